//! Sessions: how long they last, how their token is replaced after a step-up, and how they end. Not here: signing in
//! (`super`), and the cookie (`web::kit::session`).

use std::sync::{Arc, OnceLock};

use payout::Refusal;
use payout::ids::PersonId;
use serde_json::json;

use super::browsers::{self, Browser};
use super::factor::{self, Taken};
use super::passkeys::{self, Answer, Passkey};
use super::provider::settle::{self, Provided};
use super::{actor, note, note_seen};
use crate::app::{Actor, App};
use crate::ops::{OpsError, Result};
use crate::secrets::token_hash;
use crate::store::people::{self, Person};
use crate::store::preferences::Preferences;
use crate::store::sessions::{self as store, UsedSince};
use crate::store::{Db, Tx, factors};
use crate::transact;
use crate::webauthn::Assertion;

const MINUTE_US: i64 = 60 * 1_000_000;
/// The maximum lifetime of a session, however much it is used.
const SESSION_US: i64 = 12 * 60 * MINUTE_US;
/// The idle timeout of sessions of our own people.
const IDLE_US: i64 = 30 * MINUTE_US;
/// The idle timeout of partner sessions, which can do less.
const IDLE_OF_PARTNERS_US: i64 = 60 * MINUTE_US;
/// A session's last use is recorded at most this often.
const USED_US: i64 = MINUTE_US;

/// Someone who has signed in.
#[derive(Clone, Debug)]
pub struct Session {
    pub actor: Actor,
    /// The CSRF token of the session's forms.
    pub csrf: String,
    /// The permanent id of the session; its token changes.
    pub id: String,
    /// They have an authenticator app.
    pub has_app: bool,
    pub has_passkey: bool,
    /// When they signed in through the provider, if they did.
    pub provider_at: Option<i64>,
    /// Their preferences for how pages look.
    pub preferences: Preferences,
    token_hash: String,
    proved_at: i64,
    /// The next token, and when they stepped up for it; shared by all copies of this session.
    renewed: Arc<OnceLock<(String, i64)>>,
}

impl Session {
    /// Whether they have a second factor.
    pub fn has_factor(&self) -> bool {
        self.has_app || self.has_passkey
    }

    /// When they last authenticated: at sign-in or by a step-up.
    pub fn proved_at(&self) -> i64 {
        self.renewed.get().map_or(self.proved_at, |(_, at)| *at)
    }

    /// The new token for the browser, if they have just stepped up.
    pub fn renewed(&self) -> Option<&str> {
        self.renewed.get().map(|(token, _)| token.as_str())
    }

    fn token_hash(&self) -> String {
        self.renewed().map_or_else(|| self.token_hash.clone(), token_hash)
    }
}

/// The earliest last use with which a session is still alive.
pub fn used_since(now: i64) -> UsedSince {
    UsedSince { ours: now - IDLE_US, partners: now - IDLE_OF_PARTNERS_US }
}

/// The session of this token. `from` is the address it is used from; `None` if the request comes from an open page rather
/// than a person.
pub async fn by_session(app: &App, token: &str, from: Option<&str>) -> Result<Option<Session>> {
    let (hash, now) = (token_hash(token), app.clock.now());
    let found = people::in_session(&mut app.store.read().await?, &hash, now, used_since(now)).await?;
    let Some(found) = found else { return Ok(None) };
    if let Some(from) = from {
        note_seen(app, &found.person);
        note_used(app, &hash, found.seen_at, from);
    }
    Ok(Some(Session {
        actor: actor(&found.person),
        csrf: found.csrf,
        id: found.id,
        has_app: found.factor_at.is_some(),
        has_passkey: found.passkey_at.is_some(),
        provider_at: found.provider_at,
        preferences: found.preferences,
        token_hash: hash,
        proved_at: found.proved_at.unwrap_or(0),
        renewed: Arc::default(),
    }))
}

/// Records the last use of a session, at most once a minute, in the background.
fn note_used(app: &App, token_hash: &str, seen_at: i64, from: &str) {
    let now = app.clock.now();
    let before = now - USED_US;
    if seen_at > before {
        return;
    }
    let (app, hash, from) = (app.clone(), token_hash.to_owned(), from.to_owned());
    tokio::spawn(async move {
        let noted = transact!(app, |tx| { Ok(store::used(tx, &hash, &from, now, before + 1).await?) });
        if let Err(error) = noted {
            tracing::info!(?error, "it could not be noted when a session was last used");
        }
    });
}

/// The result of a sign-in step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SignInProgress {
    /// They are signed in: the session's token.
    In(String),
    /// They have a second factor: a halfway token that can only be used to complete it.
    HalfWay(String),
}

/// How long a person has to enter their second factor.
const HALF_WAY_US: i64 = 10 * MINUTE_US;

/// How a person authenticates at sign-in.
#[derive(Clone, Copy)]
pub(in crate::ops) enum By<'a> {
    /// A password: the second factor is required as well.
    Password,
    /// A link or an invitation: the second factor is required as well.
    Link,
    /// A passkey, which counts as both factors.
    Passkey(&'a Answer<'a>),
    /// The provider's claims: the second factor is required as well, and no claim takes effect before it.
    Provider(&'a Provided),
}

impl<'a> By<'a> {
    fn provided(self) -> Option<&'a Provided> {
        match self {
            Self::Provider(provided) => Some(provided),
            Self::Password | Self::Link | Self::Passkey(_) => None,
        }
    }

    /// As the activity log names it.
    fn as_str(self) -> &'static str {
        match self {
            Self::Password => PASSWORD,
            Self::Link => LINK,
            Self::Passkey(_) => PASSKEY,
            Self::Provider(_) => PROVIDER,
        }
    }
}

const PASSWORD: &str = "password";
const LINK: &str = "link";
const PASSKEY: &str = "passkey";
const PROVIDER: &str = "provider";

/// A halfway token, prefixed with the method used so far. Only we can create one, and the method is stored nowhere else.
fn half_token(first: &str, secret: &str) -> String {
    format!("{first}.{secret}")
}

/// The method used for the first step.
fn first_of(half: &str, provided: Option<&Provided>) -> &'static str {
    match (provided, half.split_once('.').map(|(first, _)| first)) {
        (Some(_), _) => PROVIDER,
        (None, Some(PASSWORD)) => PASSWORD,
        (None, Some(LINK)) => LINK,
        // A token issued by an earlier version, minutes ago.
        (None, Some(_) | None) => "password or link",
    }
}

struct SignInContext<'a> {
    /// The token of the new session.
    token: &'a str,
    /// The factors used, for the activity log.
    with: String,
    /// The passkey that was used.
    passkey: Option<&'a Passkey>,
}

/// Signs a person in, or halfway if they still need their second factor. `None` if they have been disabled or have changed
/// their password since `person` was read, if their passkey is rejected, or if the identity is linked to another login.
pub(in crate::ops) async fn enter(
    app: &App,
    person: &Person,
    browser: &Browser,
    by: By<'_>,
) -> Result<Option<SignInProgress>> {
    let token = app.clock.secret();
    let entered = transact!(app, |tx| {
        let now = app.clock.now();
        if let Some(provided) = by.provided() {
            provided.hold_first(tx, person.id).await?;
        }
        let held = people::hold(tx, person.id).await?.filter(|held| held.disabled_at.is_none());
        let same = |held: &Person| by.provided().is_some() || held.password_hash == person.password_hash;
        let Some(held) = held.filter(same) else { return Ok(None) };
        let passkey = match by {
            By::Password | By::Link | By::Provider(_) => {
                if factors::since(tx, held.id).await?.is_some() {
                    let half = half_token(by.as_str(), &token);
                    let hash = token_hash(&half);
                    let provided = match by.provided() {
                        Some(provided) => Some(provided.sealed(tx, app, &hash).await?),
                        None => None,
                    };
                    let end = now + HALF_WAY_US;
                    let kept = factors::PendingLogin { person: held.id, provided: provided.as_deref(), end };
                    factors::insert_pending_login(tx, &hash, &kept, now).await?;
                    return Ok(Some(SignInProgress::HalfWay(half)));
                }
                None
            }
            By::Passkey(answer) => match passkeys::take(tx, app, &held, answer).await? {
                Some((passkey, _)) => Some(passkey),
                None => return Ok(None),
            },
        };
        let came = SignInContext { token: &token, with: by.as_str().to_owned(), passkey: passkey.as_ref() };
        if !begin_by(tx, app, &held, by.provided(), browser, &came).await? {
            return Ok(None);
        }
        Ok(Some(SignInProgress::In(token.clone())))
    })?;
    app.nudge.notify.notify();
    Ok(entered)
}

/// The person of this halfway token.
pub async fn half_way(app: &App, token: &str) -> Result<Option<Person>> {
    let mut db = app.store.read().await?;
    match factors::half(&mut db, &token_hash(token), app.clock.now()).await? {
        Some(person) => Ok(people::by_id(&mut db, person).await?.filter(|one| one.disabled_at.is_none())),
        None => Ok(None),
    }
}

/// The second factor of a halfway sign-in.
#[derive(Clone, Copy, Debug)]
pub enum SecondFactor<'a> {
    Code(&'a str),
    Passkey(&'a Assertion),
}

/// The result of a second factor.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SecondFactorOutcome {
    /// They are signed in: the session's token.
    In(String),
    /// The code was used before.
    Used,
    Wrong,
    /// Their passkey was not accepted.
    WrongPasskey,
    /// Their login is now linked to another account at the provider, or to none.
    Elsewhere,
    /// The secret of their app does not open with the available keys, so no code can be checked.
    Unreadable,
    /// They must start over: it took too long, or their login was changed in the meantime.
    Over,
}

/// Completes a halfway sign-in with the second factor.
pub async fn finish(
    app: &App,
    half: &str,
    second: SecondFactor<'_>,
    browser: &Browser,
) -> Result<SecondFactorOutcome> {
    let (token, hash) = (app.clock.secret(), token_hash(half));
    let finished = transact!(app, |tx| {
        let now = app.clock.now();
        let Some(id) = factors::half(tx, &hash, now).await? else { return Ok(SecondFactorOutcome::Over) };
        let provided = match factors::provided(tx, &hash).await? {
            Some(sealed) => match Provided::open(app, &hash, &sealed) {
                Some(provided) => Some(provided),
                None => return Ok(SecondFactorOutcome::Over),
            },
            None => None,
        };
        if let Some(provided) = &provided {
            provided.hold_first(tx, id).await?;
        }
        let person = people::hold(tx, id).await?.filter(|person| person.disabled_at.is_none());
        let Some(person) = person else { return Ok(SecondFactorOutcome::Over) };
        let issuer = provided.as_ref().map(Provided::issuer);
        let (passkey, second) = match second {
            SecondFactor::Code(code) => match factor::take(tx, app, &person, code, issuer).await? {
                Taken::Right(means) => (None, means.as_str()),
                Taken::Used => return Ok(SecondFactorOutcome::Used),
                Taken::Wrong => return Ok(SecondFactorOutcome::Wrong),
                Taken::NoFactor => return Ok(SecondFactorOutcome::Over),
                Taken::Unreadable => return Ok(SecondFactorOutcome::Unreadable),
            },
            SecondFactor::Passkey(shown) => {
                let answer = Answer::second(&hash, shown, browser);
                match passkeys::take(tx, app, &person, &answer).await? {
                    Some((passkey, _)) => (Some(passkey), PASSKEY),
                    None => return Ok(SecondFactorOutcome::WrongPasskey),
                }
            }
        };
        // A change to the login has ended the halfway sign-in.
        if !factors::end_pending_login(tx, &hash).await? {
            return Ok(SecondFactorOutcome::Over);
        }
        let with = format!("{} and {second}", first_of(half, provided.as_ref()));
        let came = SignInContext { token: &token, with, passkey: passkey.as_ref() };
        if !begin_by(tx, app, &person, provided.as_ref(), browser, &came).await? {
            return Ok(SecondFactorOutcome::Elsewhere);
        }
        Ok(SecondFactorOutcome::In(token.clone()))
    })?;
    app.nudge.notify.notify();
    Ok(finished)
}

/// Starts a session for a locked person who has authenticated fully, and applies the provider's claims. Returns `false`,
/// and starts none, if the identity is linked to another login.
async fn begin_by(
    tx: &mut Tx,
    app: &App,
    person: &Person,
    provided: Option<&Provided>,
    browser: &Browser,
    came: &SignInContext<'_>,
) -> Result<bool> {
    let now = app.clock.now();
    if let Some(provided) = provided
        && !settle::settle(tx, app, person, provided, now).await?
    {
        return Ok(false);
    }
    begin_in(tx, app, person, browser, came).await?;
    if let Some(provided) = provided {
        settle::came(tx, &token_hash(came.token), person.id, provided, now).await?;
    }
    Ok(true)
}

/// Starts a session within a transaction.
async fn begin_in(
    tx: &mut Tx,
    app: &App,
    person: &Person,
    browser: &Browser,
    came: &SignInContext<'_>,
) -> Result<()> {
    let (now, browser_hash) = (app.clock.now(), browsers::arrived(tx, app, person, browser).await?);
    let person = person.id;
    let (csrf, id) = (app.clock.secret(), app.clock.secret());
    let device: String = browser.agent.chars().filter(|letter| !letter.is_control()).take(200).collect();
    let new = store::New {
        token_hash: &token_hash(came.token),
        id: &id,
        person,
        csrf: &csrf,
        device: &device,
        address: &browser.address,
        browser_hash: browser_hash.as_deref(),
        expires_at: now + SESSION_US,
    };
    store::begin(tx, &new, now).await?;
    let mut detail = json!({ "from": browser.address, "with": came.with });
    if let Some(passkey) = came.passkey {
        detail["passkey"] = json!(passkey.name);
        detail["evidence"] = json!({ "credential": passkey.credential_id });
    }
    note(tx, now, &person.to_string(), "signed_in", person, detail);
    Ok(())
}

/// Records a step-up within a transaction; returns the new token.
pub(super) async fn step_up_in(tx: &mut Tx, app: &App, session: &Session) -> Result<String> {
    let token = app.clock.secret();
    if !store::proved(tx, &session.token_hash(), &token_hash(&token), app.clock.now()).await? {
        return Err(elsewhere_meanwhile());
    }
    Ok(token)
}

fn elsewhere_meanwhile() -> OpsError {
    let message = "You have proved it in another window a moment ago, or were signed out, so nothing was done. Load the page again.";
    OpsError::Conflict(Refusal::new("session_renewed", message))
}

/// Replaces a session's token within a transaction, without a step-up.
pub(super) async fn rotate_token_in(tx: &mut Tx, app: &App, session: &Session) -> Result<String> {
    let token = app.clock.secret();
    if !store::renamed(tx, &session.token_hash(), &token_hash(&token)).await? {
        return Err(elsewhere_meanwhile());
    }
    Ok(token)
}

/// Publishes the new token to all copies of the session, after the commit.
pub(super) fn renew(app: &App, session: &Session, token: String) {
    // One request never steps up twice; if it did, the first token would be invalid and they would sign in again.
    let _ = session.renewed.set((token, app.clock.now()));
}

/// The same for a token replaced without a step-up.
pub(super) fn rename(session: &Session, token: String) {
    let _ = session.renewed.set((token, session.proved_at()));
}

/// A person's sessions, the newest first.
pub async fn list(db: &mut Db, id: PersonId, now: i64) -> crate::store::Result<Vec<store::Session>> {
    store::list(db, id, now, used_since(now)).await
}

/// Ends all of a person's sessions except this one; returns how many.
pub async fn sign_out_elsewhere(app: &App, session: &Session) -> Result<u64> {
    let (now, id) = (app.clock.now(), session.actor.id);
    transact!(app, |tx| {
        let ended = store::end_others(tx, id, &session.id).await?;
        factors::end_pending_logins(tx, id).await?;
        note(tx, now, &id.to_string(), "signed_out_elsewhere", id, json!({ "sessions": ended }));
        Ok(ended)
    })
}

/// Ends one of a person's sessions; returns whether it existed. `by` is who ends it: the person, or an administrator.
pub async fn end_one(app: &App, by: &Actor, of: PersonId, id: &str) -> Result<bool> {
    let now = app.clock.now();
    transact!(app, |tx| {
        let ended = store::end_one(tx, of, id).await? == 1;
        if ended {
            note(tx, now, &by.id.to_string(), "sessions_ended", of, json!({ "sessions": 1 }));
        }
        Ok(ended)
    })
}

pub async fn sign_out(app: &App, session: &Session) -> Result<()> {
    let (now, id) = (app.clock.now(), session.actor.id);
    transact!(app, |tx| {
        store::sign_out(tx, id, &session.id).await?;
        note(tx, now, &id.to_string(), "signed_out", id, json!({}));
        Ok(())
    })
}
