//! Passkeys: adding and removing them, and accepting one in place of a code, or of a password and a code. Each challenge is
//! stored in the database (or, before sign-in, sealed in the browser), is bound to the action and to who may answer it, and
//! is consumed by the first answer; before sign-in, by the first correct one. Not here: verifying an answer (`webauthn`), and
//! rate limits (`web::kit::login_limit`).

use payout::Refusal;
use payout::access::needs_second_factor;
use payout::ids::{PersonId, encode, fresh};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::browsers::Browser;
use super::factor::{CODES, end_elsewhere, hashes, notify_owner, recovery_code, required, still_theirs};
use super::provider::settle::first_factor;
use super::sessions::{self, By, SignInProgress, enter};
use super::{Session, StepUpOutcome, note};
use crate::app::App;
use crate::ops::{OpsError, Result};
use crate::secrets::{SealedAt, token_hash};
use crate::store::people::{self, Person};
use crate::store::{Db, Tx, factors, passkeys as stored, used_login_states};
use crate::transact;
use crate::webauthn::{self, Assertion, Made, Refused, Site};

pub use stored::Passkey;

const MINUTE_US: i64 = 60 * 1_000_000;
/// How long a challenge can be answered.
const CHALLENGE_VALID_US: i64 = 5 * MINUTE_US;
/// The most passkeys that a person can have.
const MOST: usize = 20;
/// The most characters in the name of a passkey.
const MOST_NAME: usize = 60;

/// What a challenge is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Purpose {
    Add,
    /// Signing in with a passkey alone.
    SignIn,
    /// The second factor after a password or a link.
    Second,
    /// A step-up before a sensitive action.
    Prove,
}

impl Purpose {
    fn as_str(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::SignIn => "sign_in",
            Self::Second => "second_factor",
            Self::Prove => "prove",
        }
    }
}

/// The action that a passkey signs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SignedAction(String);

impl SignedAction {
    /// A form posted to this path with these fields. Line endings are normalized, because browsers differ.
    pub fn of<'a>(path: &str, fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in fields {
            form.append_pair(name, &value.replace("\r\n", "\n").replace('\r', "\n"));
        }
        Self(format!("POST {path} {}", token_hash(&form.finish())))
    }

    /// An action as named by one of our pages.
    pub fn named(text: &str) -> Option<Self> {
        let fits = text.starts_with("POST /") && text.len() <= 1_000 && !text.contains(char::is_control);
        fits.then(|| Self(text.to_owned()))
    }

    /// As it is signed: method, path and the SHA-256 of the form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A challenge for a device.
#[derive(Clone, Debug)]
pub struct PasskeyRequest {
    pub challenge: String,
    /// The site that the passkey belongs to.
    pub site: String,
    /// The ids of the passkeys that are accepted; if empty, any.
    pub known: Vec<String>,
    /// The owner of a new passkey; `None` when authenticating.
    pub owner: Option<Owner>,
}

/// The owner of a new passkey.
#[derive(Clone, Debug)]
pub struct Owner {
    /// Their ID, which reveals nothing about them.
    pub id: String,
    /// The address they sign in with.
    pub email: String,
    pub name: String,
}

/// The site that passkeys are registered for here.
///
/// # Errors
/// A refusal if the base URL does not support passkeys.
pub fn site(app: &App) -> Result<Site> {
    Site::of(&app.base_url).ok_or_else(|| {
        let message = format!(
            "Passkeys need an address that begins with https:// and has a name. BURSAR_BASE_URL says {}, so there are none here.",
            app.base_url
        );
        Refusal::new("no_passkeys_here", message).into()
    })
}

/// Whether passkeys can be used here.
pub fn is_here(app: &App) -> bool {
    Site::of(&app.base_url).is_some()
}

async fn ask(tx: &mut Tx, app: &App, purpose: Purpose, bound_to: &str, deed: &str) -> Result<String> {
    let (now, nonce) = (app.clock.now(), app.clock.secret());
    let challenge = challenge_of(purpose.as_str(), bound_to, deed, &nonce);
    let one = stored::Challenge {
        challenge: challenge.clone(),
        purpose: purpose.as_str(),
        bound_to: bound_to.to_owned(),
        action: deed.to_owned(),
        nonce,
        expires_at: now + CHALLENGE_VALID_US,
    };
    stored::ask(tx, &one, now).await?;
    Ok(challenge)
}

/// The challenge: a hash of its purpose, who may answer it, the action and a nonce.
fn challenge_of(purpose: &str, bound_to: &str, deed: &str, nonce: &str) -> String {
    webauthn::text(&Sha256::digest(format!("bursar passkey 1\n{purpose}\n{bound_to}\n{deed}\n{nonce}")))
}

async fn asked(
    tx: &mut Tx,
    app: &App,
    purpose: Purpose,
    bound_to: &str,
    of: PersonId,
    deed: &str,
) -> Result<PasskeyRequest> {
    let site = site(app)?;
    let known = stored::of(tx, of).await?;
    if known.is_empty() {
        return Err(none_of_theirs());
    }
    let challenge = ask(tx, app, purpose, bound_to, deed).await?;
    let known = known.into_iter().map(|one| one.credential_id).collect();
    Ok(PasskeyRequest { challenge, site: site.name, known, owner: None })
}

fn none_of_theirs() -> OpsError {
    Refusal::new("no_passkey", "This login has no passkey.").into()
}

/// Asks for a passkey to step up a session for one action.
///
/// # Errors
/// A refusal if they have none.
pub async fn ask_to_prove(app: &App, session: &Session, deed: &SignedAction) -> Result<PasskeyRequest> {
    transact!(app, |tx| {
        asked(tx, app, Purpose::Prove, &session.id, session.actor.id, deed.as_str()).await
    })
}

/// Asks for a passkey as the second factor of a halfway sign-in.
///
/// # Errors
/// A refusal if they have none, or the sign-in is not halfway.
pub async fn ask_second(app: &App, half: &str) -> Result<PasskeyRequest> {
    let hash = token_hash(half);
    transact!(app, |tx| {
        let person = factors::half(tx, &hash, app.clock.now()).await?.ok_or_else(none_of_theirs)?;
        asked(tx, app, Purpose::Second, &hash, person, SIGN_IN).await
    })
}

/// What a browser stores, sealed, between the challenge and its answer, before sign-in.
#[derive(Serialize, Deserialize)]
struct BrowserChallenge {
    nonce: String,
    until: i64,
}

/// The action of a sign-in by passkey alone.
const SIGN_IN: &str = "sign in";

/// A challenge for anybody, with the sealed state for their browser. Stores nothing here, because anybody may ask.
///
/// # Errors
/// A refusal if passkeys cannot be used.
pub fn ask_anybody(app: &App) -> Result<(PasskeyRequest, String)> {
    let site = site(app)?;
    let kept = BrowserChallenge { nonce: app.clock.secret(), until: app.clock.now() + CHALLENGE_VALID_US };
    let challenge = challenge_of(Purpose::SignIn.as_str(), ANYBODY, SIGN_IN, &kept.nonce);
    let text = serde_json::to_string(&kept).unwrap_or_default();
    let sealed = app.master_key.seal(&app.clock, &place(&challenge), &text);
    Ok((PasskeyRequest { challenge, site: site.name, known: Vec::new(), owner: None }, sealed))
}

/// What a sign-in challenge is bound to: any browser that has its sealed state.
const ANYBODY: &str = "a browser";

/// Browsers keep this for minutes only, so there are no values from before sealed values named their key.
fn place(challenge: &str) -> SealedAt {
    SealedAt::kept_by_browser("asked for a passkey", challenge)
}

/// The state that the browser has stored for the challenge being answered.
fn kept(app: &App, sealed: &str, shown: &Assertion) -> Option<BrowserChallenge> {
    let challenge = webauthn::challenge_in(&shown.client_data)?;
    let text = app.master_key.open(&place(&challenge), sealed)?;
    serde_json::from_str(&text).ok()
}

/// Begins to add a passkey, in this session only. If the person has a second factor, the page has just asked for it.
///
/// # Errors
/// A refusal if passkeys cannot be used here, or the person has too many.
pub async fn begin(app: &App, session: &Session) -> Result<()> {
    site(app)?;
    transact!(app, |tx| {
        if stored::of(tx, session.actor.id).await?.len() >= MOST {
            let message = "This login has 20 passkeys. Remove one before you add another.";
            return Err(Refusal::new("too_many_passkeys", message).into());
        }
        ask(tx, app, Purpose::Add, &session.id, "add a passkey").await.map(|_| ())
    })
}

/// The challenge for adding a passkey, if one was begun in this session and has not expired.
pub async fn pending_registration(app: &App, session: &Session) -> Result<Option<PasskeyRequest>> {
    let Some(site) = Site::of(&app.base_url) else { return Ok(None) };
    let (mut db, id) = (app.store.read().await?, session.actor.id);
    let add = Purpose::Add.as_str();
    let Some(challenge) = stored::waiting(&mut db, add, &session.id, app.clock.now()).await? else {
        return Ok(None);
    };
    let known = stored::of(&mut db, id).await?.into_iter().map(|one| one.credential_id).collect();
    let person = people::by_id(&mut db, id).await?.ok_or(OpsError::Missing)?;
    let owner = Owner { id: id.to_string(), email: person.email.unwrap_or_default(), name: person.name };
    Ok(Some(PasskeyRequest { challenge, site: site.name, known, owner: Some(owner) }))
}

/// The result of adding a passkey.
#[derive(Clone, Debug)]
pub enum Added {
    /// It was added. If it is their first factor, these are the recovery codes, which are shown only now.
    Done(Vec<String>),
    Refused,
    /// The challenge has expired or was answered before.
    Gone,
}

/// Adds the passkey that was begun. If it is its owner's first factor, their other sessions end.
pub async fn add(app: &App, session: &Session, name: &str, made: &Made) -> Result<Added> {
    let (now, id) = (app.clock.now(), session.actor.id);
    let site = site(app)?;
    let name = named(name);
    let codes: Vec<String> = (0..CODES).map(|_| recovery_code(app)).collect();
    let add = Purpose::Add.as_str();
    let done = transact!(app, |tx| {
        let person = people::hold(tx, id).await?.ok_or(OpsError::Missing)?;
        let Some(challenge) = webauthn::challenge_in(&made.client_data) else {
            return Ok(Err(Added::Refused));
        };
        if stored::take(tx, &challenge, add, &session.id, now).await?.is_none() {
            return Ok(Err(Added::Gone));
        }
        let new = match webauthn::new(&site, &challenge, made) {
            Ok(new) => new,
            Err(why) => {
                refused(tx, now, &person, session.actor.came_from.clone(), add, why);
                return Ok(Err(Added::Refused));
            }
        };
        let first = factors::since(tx, id).await?.is_none();
        let one = Passkey {
            id: encode(fresh(now, app.clock.in_turn())),
            person: id,
            credential_id: new.id,
            public_key: new.key,
            name: name.clone(),
            made_at: now,
            used_at: None,
            devices: Some(new.devices.as_str().to_owned()),
        };
        if !stored::insert(tx, &one, i64::from(new.count)).await? {
            return Ok(Err(Added::Refused));
        }
        if first {
            factors::put_codes(tx, id, &hashes(id, &codes), now).await?;
            end_elsewhere(tx, session).await?;
            first_factor(tx, app, &person, now).await?;
        }
        let detail = json!({
            "passkey": one.name, "from": session.actor.came_from,
            "evidence": { "credential": one.credential_id, "public_key": one.public_key },
        });
        note(tx, now, &id.to_string(), "passkey_added", id, detail);
        notify_owner(tx, app, &person, "passkey_added", &one.name, now).await?;
        // The token was replaced, so a copy of the old one is useless.
        Ok(Ok((first, sessions::step_up_in(tx, app, session).await?)))
    })?;
    app.nudge.notify.notify();
    match done {
        Ok((first, token)) => {
            sessions::renew(app, session, token);
            Ok(Added::Done(if first { codes } else { Vec::new() }))
        }
        Err(added) => Ok(added),
    }
}

fn named(typed: &str) -> String {
    let name: String = typed.trim().chars().filter(|letter| !letter.is_control()).take(MOST_NAME).collect();
    if name.is_empty() { "Passkey".to_owned() } else { name }
}

/// Removes one of the person's own passkeys. With the last factor the recovery codes are deleted. Their other sessions end.
///
/// # Errors
/// [`OpsError::Missing`] if they have no such passkey; a refusal if it is the last factor and their role needs one.
pub async fn remove(app: &App, session: &Session, one: &str) -> Result<()> {
    let (now, id) = (app.clock.now(), session.actor.id);
    transact!(app, |tx| {
        let person = people::hold(tx, id).await?.ok_or(OpsError::Missing)?;
        still_theirs(tx, session, now).await?;
        let all = stored::of(tx, id).await?;
        let found = all.iter().find(|known| known.id == one).ok_or(OpsError::Missing)?;
        let last = all.len() == 1 && factors::get(tx, id).await?.is_none();
        if last && needs_second_factor(person.role) && required(app, tx).await? {
            let message = "Your role needs a second factor here, and this passkey is the only one. Add another one first.";
            return Err(Refusal::new("second_factor_required", message).into());
        }
        stored::remove(tx, id, one).await?;
        if last {
            factors::drop(tx, id).await?;
        }
        // Someone with the device may be signed in with it.
        end_elsewhere(tx, session).await?;
        let detail = json!({
            "passkey": found.name, "from": session.actor.came_from,
            "evidence": { "credential": found.credential_id },
        });
        note(tx, now, &id.to_string(), "passkey_removed", id, detail);
        notify_owner(tx, app, &person, "passkey_removed", &found.name, now).await
    })?;
    app.nudge.notify.notify();
    Ok(())
}

pub async fn of(db: &mut Db, id: PersonId) -> Result<Vec<Passkey>> {
    Ok(stored::of(db, id).await?)
}

/// The names of the passkeys of the login with this address. A new password or link does not remove them.
pub async fn names(app: &App, email: &str) -> Result<Vec<String>> {
    let mut db = app.store.read().await?;
    let Some(person) = people::by_email(&mut db, &email.trim().to_lowercase()).await? else {
        return Ok(Vec::new());
    };
    Ok(stored::of(&mut db, person.id).await?.into_iter().map(|one| one.name).collect())
}

/// Where a challenge's state is stored.
enum ChallengeStore {
    Here,
    /// In the browser that answers it; `None` if it has none for this challenge.
    There(Option<BrowserChallenge>),
}

/// An answer to a challenge, and what it must match.
pub(in crate::ops) struct Answer<'a> {
    purpose: Purpose,
    /// What the challenge is bound to.
    bound_to: &'a str,
    /// The action, if it must match.
    action: Option<&'a SignedAction>,
    waits: ChallengeStore,
    shown: &'a Assertion,
    from: &'a str,
}

impl<'a> Answer<'a> {
    /// In place of a code.
    pub(super) fn second(half_hash: &'a str, shown: &'a Assertion, browser: &'a Browser) -> Self {
        Self {
            purpose: Purpose::Second,
            bound_to: half_hash,
            action: None,
            waits: ChallengeStore::Here,
            shown,
            from: &browser.address,
        }
    }
}

/// Verifies an answer: returns the passkey and the details for the audit trail, or `None` if it is rejected. A rejection is
/// logged, so the transaction is committed either way.
pub(super) async fn take(
    tx: &mut Tx,
    app: &App,
    person: &Person,
    answer: &Answer<'_>,
) -> Result<Option<(Passkey, Value)>> {
    let (now, purpose, shown) = (app.clock.now(), answer.purpose.as_str(), answer.shown);
    let Some(challenge) = webauthn::challenge_in(&shown.client_data) else {
        refused(tx, now, person, answer.from.to_owned(), purpose, Refused::Unreadable);
        return Ok(None);
    };
    let (asked, until) = match &answer.waits {
        ChallengeStore::Here => (stored::take(tx, &challenge, purpose, answer.bound_to, now).await?, None),
        ChallengeStore::There(kept) => {
            let kept = kept.as_ref().filter(|kept| kept.until > now);
            (kept.map(|kept| (SIGN_IN.to_owned(), kept.nonce.clone())), kept.map(|kept| kept.until))
        }
    };
    let fits = |deed: &str| answer.action.is_none_or(|wanted| wanted.as_str() == deed);
    let Some((deed, nonce)) = asked.filter(|(deed, _)| fits(deed)) else {
        refused(tx, now, person, answer.from.to_owned(), purpose, Refused::Challenge);
        return Ok(None);
    };
    let known = match webauthn::id_in(shown) {
        Some(id) => stored::called(tx, &id).await?.filter(|known| known.person == person.id),
        None => None,
    };
    let (site, owner) = (site(app)?, person.id.to_string());
    let judged = match known {
        Some(known) => {
            let devices = known.devices.as_deref();
            let kept = webauthn::StoredPasskey { key: &known.public_key, owner: &owner, devices };
            webauthn::shown(&site, &challenge, kept, shown).map(|told| (known, told))
        }
        None => Err(Refused::Owner),
    };
    let (known, (count, devices)) = match judged {
        Ok(judged) => judged,
        Err(why) => {
            refused(tx, now, person, answer.from.to_owned(), purpose, why);
            return Ok(None);
        }
    };
    // Store only correct answers, so that strangers cannot fill the table. If the same answer arrives twice, the second is
    // rejected.
    if let Some(until) = until
        && !used_login_states::first(tx, &token_hash(&challenge), now, until).await?
    {
        refused(tx, now, person, answer.from.to_owned(), purpose, Refused::Challenge);
        return Ok(None);
    }
    let evidence = json!({
        "credential": known.credential_id, "purpose": purpose, "bound_to": answer.bound_to, "nonce": nonce,
        "client_data": shown.client_data, "authenticator_data": shown.authenticator_data,
        "signature": shown.signature,
    });
    let detail = json!({ "passkey": known.name, "deed": deed, "from": answer.from, "evidence": evidence });
    if !stored::used(tx, &known.id, i64::from(count), devices.as_str(), now).await? {
        // The authenticator's counter did not increase, so the passkey was cloned.
        note(tx, now, &person.id.to_string(), "passkey_copied", person.id, detail);
        notify_owner(tx, app, person, "passkey_copied", &known.name, now).await?;
        return Ok(None);
    }
    Ok(Some((known, detail)))
}

fn refused(tx: &mut Tx, now: i64, of: &Person, from: String, purpose: &str, why: Refused) {
    let detail = json!({ "purpose": purpose, "why": why.as_str(), "from": from });
    note(tx, now, &of.id.to_string(), "passkey_refused", of.id, detail);
}

/// Steps up a session with a passkey, for one action, and replaces the session's token. The signed data goes into the audit
/// trail.
pub async fn step_up(
    app: &App,
    session: &Session,
    deed: &SignedAction,
    shown: &Assertion,
) -> Result<StepUpOutcome> {
    let (now, id) = (app.clock.now(), session.actor.id);
    let token = transact!(app, |tx| {
        let person = people::hold(tx, id).await?.ok_or(OpsError::Missing)?;
        let answer = Answer {
            purpose: Purpose::Prove,
            bound_to: &session.id,
            action: Some(deed),
            waits: ChallengeStore::Here,
            shown,
            from: &session.actor.came_from,
        };
        let Some((_, mut detail)) = take(tx, app, &person, &answer).await? else { return Ok(None) };
        detail["with"] = json!("passkey");
        let token = sessions::step_up_in(tx, app, session).await?;
        note(tx, now, &id.to_string(), "proved_again", id, detail);
        Ok(Some(token))
    })?;
    app.nudge.notify.notify();
    Ok(match token {
        Some(token) => {
            sessions::renew(app, session, token);
            StepUpOutcome::Right
        }
        None => StepUpOutcome::WrongPasskey,
    })
}

/// Signs in with a passkey alone. Returns the login's address and the result; `None` for any rejection. `asked` is the
/// sealed state from the browser.
pub async fn sign_in(
    app: &App,
    asked: &str,
    shown: &Assertion,
    browser: &Browser,
) -> Result<Option<(String, SignInProgress)>> {
    let Some(id) = webauthn::id_in(shown) else { return Ok(None) };
    let mut db = app.store.read().await?;
    let Some(known) = stored::called(&mut db, &id).await? else { return Ok(None) };
    let person = people::by_id(&mut db, known.person).await?.filter(|person| person.disabled_at.is_none());
    drop(db);
    // Without a password step, the answer must name its user.
    let Some(person) = person.filter(|_| shown.user.is_some()) else { return Ok(None) };
    let answer = Answer {
        purpose: Purpose::SignIn,
        bound_to: ANYBODY,
        action: None,
        waits: ChallengeStore::There(kept(app, asked, shown)),
        shown,
        from: &browser.address,
    };
    let entered = enter(app, &person, browser, By::Passkey(&answer)).await?;
    app.nudge.notify.notify();
    Ok(entered.map(|entered| (person.email.unwrap_or_default(), entered)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deed_is_its_path_and_its_form() {
        let fields = [("reason", "one\r\ntwo"), ("id", "7")];
        let deed = SignedAction::of("/claims/PB-1/pay", fields);
        assert_eq!(deed, SignedAction::of("/claims/PB-1/pay", [("reason", "one\ntwo"), ("id", "7")]));
        assert_eq!(SignedAction::named(deed.as_str()), Some(deed.clone()));
        let others = [
            SignedAction::of("/claims/PB-2/pay", fields),
            SignedAction::of("/claims/PB-1/pay", [("reason", "one\ntwo"), ("id", "8")]),
            SignedAction::of("/claims/PB-1/pay", [("reason", "one\ntwo")]),
        ];
        for other in others {
            assert_ne!(deed, other);
        }
        assert_eq!(SignedAction::named("GET /"), None);
        assert_eq!(SignedAction::named("POST /\nPOST /"), None);
    }
}
