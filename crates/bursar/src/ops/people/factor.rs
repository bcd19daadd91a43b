//! The second factor of a login: setting up an app, checking its codes, each of which works once, and removing the factor.
//! Which roles need one is in `payout::access`; whether it is required here is a setting. Not here: passkeys (`passkeys`),
//! the rate limit (`web::kit::login_limit`), and requiring a step-up before a change, which the pages do.

use payout::Refusal;
use payout::access::{Role, needs_second_factor};
use payout::ids::PersonId;
use payout::notice::Notice;
use serde::{Deserialize, Serialize};
use serde_json::json;
use totp_rs::{Builder, Secret, Totp};

use super::logins::MachineUser;
use super::provider::settle::first_factor;
use super::{OPERATOR, Session, block_second_person, note, owner, sessions};
use crate::app::{Actor, App};
use crate::ops::settings::{self, lowering};
use crate::ops::{OpsError, Result, master_key};
use crate::secrets::{SealedAt, token_hash};
use crate::store::people::{self, Person};
use crate::store::sealed::Column;
use crate::store::{self, Db, Tx, audit, factors, passkeys};
use crate::transact;

/// How many recovery codes a person is given.
pub(super) const CODES: usize = 10;
/// How long a new secret can be confirmed with its first code.
const SETUP_VALID_US: i64 = 30 * 60 * 1_000_000;
/// The owner is notified after every this many wrong codes, because someone knows their password.
const NOTIFY_EVERY: i64 = 10;

/// A new secret, as shown during setup.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The secret in Base32, as people type it.
    pub secret: String,
    /// The URI that an app opens or scans.
    pub uri: String,
}

/// The second factors that a person has.
#[derive(Clone, Debug)]
pub struct FactorStatus {
    /// Since when they have an app.
    pub since: Option<i64>,
    pub passkeys: Vec<passkeys::Passkey>,
    /// How many recovery codes are left.
    pub codes_left: i64,
    /// Their role needs one here.
    pub required: bool,
}

impl FactorStatus {
    pub fn is_on(&self) -> bool {
        self.since.is_some() || !self.passkeys.is_empty()
    }
}

/// The result of checking a code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Taken {
    /// It was correct, and is used up now.
    Right(Means),
    /// It was correct, but used before.
    Used,
    Wrong,
    /// They have no second factor.
    NoFactor,
    /// The secret of their app does not open with the available keys.
    Unreadable,
}

/// What kind of code it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Means {
    App,
    Recovery,
}

impl Means {
    /// As the activity log names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::App => "app code",
            Self::Recovery => "recovery code",
        }
    }
}

/// The second factors that a person has.
pub async fn standing(app: &App, db: &mut Db, id: PersonId, role: Role) -> Result<FactorStatus> {
    let found = factors::get(db, id).await?;
    Ok(FactorStatus {
        since: found.map(|factor| factor.confirmed_at),
        passkeys: passkeys::of(db, id).await?,
        codes_left: factors::codes_left(db, id).await?,
        required: needs_second_factor(role) && required(app, db).await?,
    })
}

/// Whether the person must set up a second factor before doing anything else.
pub async fn must_set_up(app: &App, session: &Session) -> Result<bool> {
    if session.has_factor() || !needs_second_factor(session.actor.role) {
        return Ok(false);
    }
    required(app, &mut app.store.read().await?).await
}

/// Begins to set up a secret; the current one works until the new one is confirmed.
pub async fn begin(app: &App, session: &Session) -> Result<()> {
    let (now, id) = (app.clock.now(), session.actor.id);
    let mut bytes = app.clock.random().to_be_bytes().to_vec();
    bytes.extend_from_slice(&app.clock.random().to_be_bytes()[..4]);
    let secret = Secret::from(bytes).to_base32();
    transact!(app, |tx| {
        let sealed = master_key::seal(tx, app, &begun_of(id), &secret).await?;
        Ok(factors::begin(tx, id, &session.id, &sealed, now).await?)
    })
}

/// The secret being set up, if it was begun recently.
pub async fn pending_setup(app: &App, session: &Session) -> Result<Option<Setup>> {
    let id = session.actor.id;
    let mut db = app.store.read().await?;
    let sealed = factors::begun(&mut db, id, &session.id, app.clock.now() - SETUP_VALID_US).await?;
    let Some(secret) = sealed.and_then(|sealed| app.master_key.open(&begun_of(id), &sealed)) else {
        return Ok(None);
    };
    let person = people::by_id(&mut db, id).await?.ok_or(OpsError::Missing)?;
    let uri = address_of(&app.base_url, &person.email.unwrap_or_default(), &secret);
    Ok(Some(Setup { secret, uri }))
}

/// The result of confirming a new secret.
#[derive(Clone, Debug)]
pub enum Confirmed {
    /// It is active; these are the recovery codes, which are shown only now.
    Done(Vec<String>),
    Wrong,
    /// It was begun too long ago, or setup was begun again since.
    Gone,
}

/// Activates the second factor that was begun, if the code shows that the app has its secret; ends their other sessions.
/// Counts as a step-up only if they had just done one (`proved`): a fresh sign-in through the identity provider does not
/// count, and setting up the first factor proves nothing.
pub async fn confirm(app: &App, session: &Session, code: &str, proved: bool) -> Result<Confirmed> {
    let (now, id) = (app.clock.now(), session.actor.id);
    let codes: Vec<String> = (0..CODES).map(|_| recovery_code(app)).collect();
    let done = transact!(app, |tx| {
        // The lock also keeps a key rotation from resealing the secret in the meantime.
        let person = people::hold(tx, id).await?.ok_or(OpsError::Missing)?;
        let sealed = factors::begun(tx, id, &session.id, now - SETUP_VALID_US).await?;
        let Some(sealed) = sealed else { return Ok(Err(Confirmed::Gone)) };
        let Some(secret) = app.master_key.open(&begun_of(id), &sealed) else {
            return Ok(Err(Confirmed::Gone));
        };
        let Some(step) = step_of(&secret, code, now) else { return Ok(Err(Confirmed::Wrong)) };
        if !factors::take_begun(tx, id, &sealed).await? {
            return Ok(Err(Confirmed::Gone));
        }
        let place = Column::Factor.place(&id.to_string());
        let sealed = master_key::seal(tx, app, &place, &secret).await?;
        let first = factors::since(tx, id).await?.is_none();
        let renewed = factors::get(tx, id).await?.is_some();
        factors::confirm(tx, id, &sealed, step, now).await?;
        factors::put_codes(tx, id, &hashes(id, &codes), now).await?;
        end_elsewhere(tx, session).await?;
        let (action, what) = match renewed {
            true => ("second_factor_renewed", "factor_renewed"),
            false => ("second_factor_set_up", "factor_on"),
        };
        note(tx, now, &id.to_string(), action, id, json!({ "from": session.actor.came_from }));
        notify_owner(tx, app, &person, what, "", now).await?;
        if first {
            first_factor(tx, app, &person, now).await?;
        }
        // Replaces the token, so that a copy of the old one is useless.
        Ok(Ok(match proved {
            true => sessions::step_up_in(tx, app, session).await?,
            false => sessions::rotate_token_in(tx, app, session).await?,
        }))
    })?;
    app.nudge.notify.notify();
    let token = match done {
        Ok(token) => token,
        Err(not_done) => return Ok(not_done),
    };
    match proved {
        true => sessions::renew(app, session, token),
        false => sessions::rename(session, token),
    }
    Ok(Confirmed::Done(codes))
}

/// Replaces the recovery codes; they are shown only now, and the old ones stop working.
///
/// # Errors
/// A refusal without a second factor.
pub async fn new_codes(app: &App, session: &Session) -> Result<Vec<String>> {
    let (now, id) = (app.clock.now(), session.actor.id);
    let codes: Vec<String> = (0..CODES).map(|_| recovery_code(app)).collect();
    transact!(app, |tx| {
        let person = people::hold(tx, id).await?.ok_or(OpsError::Missing)?;
        if factors::since(tx, id).await?.is_none() {
            let message = "There is no second factor to make recovery codes for.";
            return Err(Refusal::new("no_second_factor", message).into());
        }
        still_theirs(tx, session, now).await?;
        factors::put_codes(tx, id, &hashes(id, &codes), now).await?;
        note(tx, now, &id.to_string(), "recovery_codes_made", id, json!({ "from": session.actor.came_from }));
        notify_owner(tx, app, &person, "recovery_codes", "", now).await
    })?;
    app.nudge.notify.notify();
    Ok(codes)
}

/// Turns off the person's own second factor; their other sessions end.
///
/// # Errors
/// A refusal while their role needs it.
pub async fn turn_off(app: &App, session: &Session) -> Result<()> {
    let (now, id) = (app.clock.now(), session.actor.id);
    transact!(app, |tx| {
        let person = people::hold(tx, id).await?.ok_or(OpsError::Missing)?;
        if needs_second_factor(person.role) && required(app, tx).await? {
            let message = "Your role needs a second factor here, so it is not turned off. Set up another device instead.";
            return Err(Refusal::new("second_factor_required", message).into());
        }
        still_theirs(tx, session, now).await?;
        if factors::drop(tx, id).await? {
            end_elsewhere(tx, session).await?;
            note(
                tx,
                now,
                &id.to_string(),
                "second_factor_off",
                id,
                json!({ "from": session.actor.came_from }),
            );
            notify_owner(tx, app, &person, "factor_off", "", now).await?;
        }
        Ok(())
    })?;
    app.nudge.notify.notify();
    Ok(())
}

/// Removes the person's own authenticator app if they have a passkey, for example after parting with a phone; their other
/// sessions end.
///
/// # Errors
/// A refusal if they have no app, or no passkey.
pub async fn remove_app(app: &App, session: &Session) -> Result<()> {
    let (now, id) = (app.clock.now(), session.actor.id);
    transact!(app, |tx| {
        let person = people::hold(tx, id).await?.ok_or(OpsError::Missing)?;
        still_theirs(tx, session, now).await?;
        if passkeys::of(tx, id).await?.is_empty() || !factors::drop_app(tx, id).await? {
            let message = "An app is removed by itself where there is a passkey beside it.";
            return Err(Refusal::new("app_is_needed", message).into());
        }
        end_elsewhere(tx, session).await?;
        note(tx, now, &id.to_string(), "app_removed", id, json!({ "from": session.actor.came_from }));
        notify_owner(tx, app, &person, "app_removed", "", now).await
    })?;
    app.nudge.notify.notify();
    Ok(())
}

/// Refuses a request whose session was ended while it was in progress.
pub(super) async fn still_theirs(tx: &mut Tx, session: &Session, now: i64) -> Result<()> {
    let open = sessions::list(tx, session.actor.id, now).await?;
    match open.iter().any(|one| one.id == session.id) {
        true => Ok(()),
        false => Err(OpsError::Conflict(Refusal::new(
            "session_over",
            "You were signed out meanwhile, so nothing was done. Sign in again.",
        ))),
    }
}

pub(super) async fn end_elsewhere(tx: &mut Tx, session: &Session) -> Result<()> {
    store::sessions::end_others(tx, session.actor.id, &session.id).await?;
    factors::end_pending_logins(tx, session.actor.id).await?;
    Ok(())
}

/// Removes a person's second factor as an administrator; they sign in with their password alone until they set one up. The
/// person and every administrator are notified.
///
/// # Errors
/// [`OpsError::Missing`] if there is no such login; a refusal for one's own login, or if there is no second factor.
pub async fn reset(app: &App, actor: &Actor, id: PersonId) -> Result<()> {
    if actor.id == id {
        let message = "Your own second factor is turned off or renewed on the page about it, with a code or a recovery code.";
        return Err(Refusal::new("own_login", message).into());
    }
    transact!(app, |tx| {
        let person = people::hold(tx, id).await?.filter(|one| one.kind == "person");
        let person = person.ok_or(OpsError::Missing)?;
        let by = (actor.id.to_string(), actor.name.clone());
        take_away(tx, app, &person, by, json!({})).await
    })?;
    app.nudge.notify.notify();
    Ok(())
}

/// The same from the command line, for someone who has lost both app and codes when no administrator can sign in either.
pub async fn reset_at_the_machine(app: &App, email: &str, by: MachineUser<'_>) -> Result<()> {
    transact!(app, |tx| {
        let found = people::by_email(tx, &email.trim().to_lowercase()).await?.ok_or(OpsError::Missing)?;
        let person = people::hold(tx, found.id).await?.ok_or(OpsError::Missing)?;
        let names = (OPERATOR.to_owned(), format!("{} at the command line", by.0));
        take_away(tx, app, &person, names, json!({ "system_user": by.0 })).await
    })?;
    app.nudge.notify.notify();
    Ok(())
}

async fn take_away(
    tx: &mut Tx,
    app: &App,
    person: &Person,
    (by, name): (String, String),
    detail: serde_json::Value,
) -> Result<()> {
    let now = app.clock.now();
    if !factors::drop(tx, person.id).await? {
        let message = "This login has no second factor, so nothing was done.";
        return Err(Refusal::new("no_second_factor", message).into());
    }
    store::sessions::end_all(tx, person.id).await?;
    factors::end_pending_logins(tx, person.id).await?;
    // Whoever did this may know the password too: for a day the login does not count as a second person.
    block_second_person(tx, person, &by, now).await?;
    note(tx, now, &by, "second_factor_reset", person.id, detail);
    notify_owner(tx, app, person, "factor_reset", &name, now).await?;
    let detail = json!({
        "by": name, "whose": person.name, "address": person.email, "role": person.role.label(),
    });
    let notice = (Notice::SecondFactorReset, person.id.to_string(), detail.to_string());
    store::outbox::write(tx, &app.clock, now, [notice]).await?;
    Ok(())
}

/// Notifies the owner of a login of a change to it; this cannot be turned off. `by` is who made it, if someone else did; for
/// a passkey it is the passkey's name.
pub(in crate::ops) async fn notify_owner(
    tx: &mut Tx,
    app: &App,
    whose: &Person,
    what: &str,
    by: &str,
    now: i64,
) -> Result<()> {
    let (about, link) = owner::page_of(app, whose);
    let passkeys = if what == "password" { passkeys::of(tx, whose.id).await? } else { Vec::new() };
    let passkeys: Vec<String> = passkeys.into_iter().map(|one| one.name).collect();
    let passkeys = passkeys.join(", ");
    let detail = json!({ "to": whose.email, "what": what, "by": by, "passkeys": passkeys, "link": link });
    store::outbox::write(tx, &app.clock, now, [(Notice::LoginChanged, about, detail.to_string())]).await?;
    Ok(())
}

/// Checks an app code or a recovery code of the person locked in this transaction. A wrong code is counted, so the
/// transaction is committed either way. `provider` names the identity provider they came from, if any: many wrong codes then
/// mean that someone controls their account there; otherwise, that someone knows their password.
pub(super) async fn take(
    tx: &mut Tx,
    app: &App,
    person: &Person,
    typed: &str,
    provider: Option<&str>,
) -> Result<Taken> {
    let now = app.clock.now();
    let factor = factors::get(tx, person.id).await?;
    if factor.is_none() && factors::since(tx, person.id).await?.is_none() {
        return Ok(Taken::NoFactor);
    }
    let digits: String = typed.chars().filter(|letter| !letter.is_whitespace()).collect();
    let place = Column::Factor.place(&person.id.to_string());
    // Without an app there are only recovery codes, which are longer.
    if digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        if let Some(factor) = &factor {
            // A secret that does not open is not a wrong code.
            let Some(secret) = app.master_key.open(&place, &factor.sealed) else {
                tracing::error!(person = %person.id, "the secret of a second factor does not open with the master key");
                return Ok(Taken::Unreadable);
            };
            if let Some(step) = step_of(&secret, &digits, now) {
                let first = factors::use_step(tx, person.id, step).await?;
                return Ok(if first { Taken::Right(Means::App) } else { Taken::Used });
            }
        }
    } else if factors::use_code(tx, person.id, &hash_of(person.id, typed), now).await? {
        note(tx, now, &person.id.to_string(), "recovery_code_used", person.id, json!({}));
        notify_owner(tx, app, person, "recovery_used", "", now).await?;
        return Ok(Taken::Right(Means::Recovery));
    }
    let wrong = factors::wrong(tx, person.id).await?;
    if wrong > 0 && wrong % NOTIFY_EVERY == 0 {
        note(
            tx,
            now,
            &person.id.to_string(),
            "second_factor_guessed_at",
            person.id,
            json!({ "times": wrong, "provider": provider }),
        );
        notify_owner(tx, app, person, "wrong_codes", provider.unwrap_or_default(), now).await?;
    }
    Ok(Taken::Wrong)
}

/// The time step that a code belongs to: the current one, the previous one or the next one.
fn step_of(secret: &str, code: &str, now: i64) -> Option<i64> {
    let totp = totp(secret)?;
    let code: String = code.chars().filter(|letter| !letter.is_whitespace()).collect();
    let step = totp.check(&code, u64::try_from(now / 1_000_000).ok()?)?;
    i64::try_from(step).ok()
}

fn totp(secret: &str) -> Option<Totp> {
    Builder::new().with_secret(Secret::try_from_base32(secret).ok()?).build().ok()
}

/// The code of a secret at a moment; for tests and the demonstration.
pub fn code_at(secret: &str, now: i64) -> Option<String> {
    let seconds = u64::try_from(now / 1_000_000).ok()?;
    Some(totp(secret)?.generate(seconds).to_string())
}

/// Where the secret being set up is stored.
fn begun_of(id: PersonId) -> SealedAt {
    Column::FactorBegun.place(&id.to_string())
}

/// The URI for an app: the secret, its owner and the site.
fn address_of(base_url: &str, email: &str, secret: &str) -> String {
    let escaped = |text: &str| {
        let text: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
        text.replace('+', "%20")
    };
    let host = url::Url::parse(base_url).ok().and_then(|url| url.host_str().map(str::to_owned));
    let issuer = escaped(&format!("Bursar {}", host.unwrap_or_default()));
    format!("otpauth://totp/{issuer}:{}?secret={secret}&issuer={issuer}", escaped(email))
}

/// 120 random bits in six groups of letters and digits.
pub(super) fn recovery_code(app: &App) -> String {
    let drawn = payout::ids::encode(app.clock.random()).to_lowercase();
    let last: Vec<char> = drawn.chars().skip(2).collect();
    last.chunks(4).map(|four| four.iter().collect::<String>()).collect::<Vec<_>>().join("-")
}

pub(super) fn hashes(id: PersonId, codes: &[String]) -> Vec<String> {
    codes.iter().map(|code| hash_of(id, code)).collect()
}

/// The hash that a recovery code is stored as, however it was typed.
fn hash_of(id: PersonId, typed: &str) -> String {
    let plain = typed.chars().filter(|letter| letter.is_ascii_alphanumeric()).map(|letter| {
        match letter.to_ascii_lowercase() {
            'o' => '0',
            'i' | 'l' => '1',
            letter => letter,
        }
    });
    token_hash(&format!("recovery code of {id}: {}", plain.collect::<String>()))
}

const NAME: &str = "sign_in";

/// When the roles that move money or administer must have a second factor.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FactorPolicy {
    /// While a mail server is configured, so that people can be notified of changes to their logins.
    #[default]
    WithMail,
    Always,
    Never,
}

impl FactorPolicy {
    /// How strict it is. Compares the settings, not their effect, which may differ between nodes.
    fn strength(self) -> u8 {
        match self {
            Self::Never => 0,
            Self::WithMail => 1,
            Self::Always => 2,
        }
    }

    /// Whether a second factor is required in this installation.
    pub fn requires(self, app: &App) -> bool {
        match self {
            Self::WithMail => app.config.smtp_url.is_some(),
            Self::Always => true,
            Self::Never => false,
        }
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct SignIn {
    second_factor: FactorPolicy,
}

/// The current policy for second factors, and its version.
pub async fn policy(db: &mut Db) -> Result<(FactorPolicy, i64)> {
    let (kept, version) = store::settings::get(db, NAME).await?.unwrap_or_default();
    Ok((serde_json::from_str::<SignIn>(&kept).unwrap_or_default().second_factor, version))
}

pub(super) async fn required(app: &App, db: &mut Db) -> Result<bool> {
    Ok(policy(db).await?.0.requires(app))
}

/// Sets when a second factor is required. Relaxing it takes two administrators, or one and a day's wait.
///
/// # Errors
/// `second_person_needed` while another administrator is needed.
pub async fn want(app: &App, actor: &Actor, wanted_now: FactorPolicy) -> Result<()> {
    let now = app.clock.now();
    let saved = transact!(app, |tx| {
        let (before, version) = policy(tx).await?;
        if before == wanted_now {
            // Saving the current value withdraws a pending request to change it.
            lowering::withdraw_request(tx, now, &lowering::SECOND_FACTOR).await?;
            return Ok(Ok(()));
        }
        let change = json!([before, wanted_now]).to_string();
        if wanted_now.strength() > before.strength() {
            lowering::withdraw_request(tx, now, &lowering::SECOND_FACTOR).await?;
        }
        if wanted_now.strength() < before.strength()
            && let Some(refusal) =
                lowering::not_yet(tx, app, actor, &lowering::SECOND_FACTOR, &change).await?
        {
            return Ok(Err(refusal));
        }
        let text = serde_json::to_string(&SignIn { second_factor: wanted_now }).unwrap_or_default();
        if !store::settings::put(tx, NAME, &text, version, now).await? {
            return Err(settings::stale());
        }
        tx.audit(audit::Entry {
            at: now,
            actor: actor.id.to_string(),
            action: "settings_changed",
            subject: "settings:sign_in".to_owned(),
            detail: json!({ "before": before, "after": wanted_now }).to_string(),
        });
        Ok(Ok(()))
    })?;
    saved.map_err(OpsError::Conflict)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_the_one_that_the_standard_prints() {
        // RFC 6238, appendix B: the secret is the ASCII text 12345678901234567890; we use the last six digits of its codes.
        let secret = Secret::from(b"12345678901234567890".to_vec()).to_base32();
        for (seconds, code) in [(59, "287082"), (1_111_111_109, "081804"), (20_000_000_000, "353130")] {
            assert_eq!(code_at(&secret, seconds * 1_000_000).as_deref(), Some(code));
        }
    }

    #[test]
    fn what_an_app_reads_names_whose_it_is_and_where() {
        let uri = address_of("https://pay.example:8443", "ana+b@example.com", "ABC");
        let message = "otpauth://totp/Bursar%20pay.example:ana%2Bb%40example.com?secret=ABC&issuer=Bursar%20pay.example";
        assert_eq!(uri, message);
    }

    #[test]
    fn a_recovery_code_is_read_however_it_is_typed() {
        let id = PersonId::fresh(0, 7);
        assert_eq!(hash_of(id, "0abc-1def-0000-1111"), hash_of(id, " OABC IDEF oooo llll "));
        assert_ne!(hash_of(id, "0abc"), hash_of(PersonId::fresh(0, 8), "0abc"));
    }
}
