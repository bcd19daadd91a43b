//! Signing in and out, stepping up and changing one's own password. Creating logins is in `logins`, what administrators do
//! with them in `team`, API keys in `keys`. Not here: what each role allows (`payout::access`), and the rate limits against
//! guessing (`web::kit::login_limit`).

pub mod browsers;
pub mod factor;
pub mod forgotten;
pub mod keys;
mod logins;
mod owner;
pub mod passkeys;
mod password;
pub mod provider;
mod rights;
pub mod sessions;
pub mod shared_limits;
pub mod team;
pub mod welcome;
mod wrong_tries;

use payout::Refusal;
use payout::ids::PersonId;
use payout::scope::Scopes;
use serde_json::json;

use super::{OpsError, Result};
use crate::app::{Actor, App};
use crate::secrets::{Hashing, password_hash, password_matches, token_hash};
use crate::store::people::{self, Counts, LinkFor, Person};
use crate::store::{self, Tx, audit};
use crate::transact;
use crate::work_limit::Busy;

use factor::Taken;
use sessions::{By, enter};
use wrong_tries::Try;

pub use browsers::Browser;
pub use keys::{KeyLookup, NewKey, by_key, create_key, create_key_at_the_machine, make_key, revoke};
pub use logins::{
    FIRST, MachineUser, NewPerson, add, add_at_the_machine, disable, enable, first_administrator, link_for,
    reset,
};
pub use sessions::{
    SecondFactor, SecondFactorOutcome, Session, SignInProgress, by_session, finish, half_way, sign_out,
};

/// How long a one-time link can be used.
const LINK_US: i64 = 24 * 3_600_000_000;
/// A person's last activity is recorded at most this often.
const SEEN_US: i64 = 5 * 60 * 1_000_000;
/// The actor in the audit trail for somebody who is not signed in.
pub const STRANGER: &str = "stranger";
/// The actor in the audit trail for the command line, which acts without a session.
pub const OPERATOR: &str = "operator";

/// The address a person signs in with.
///
/// # Errors
/// If there is no person with this id.
pub async fn address_of(app: &App, id: PersonId) -> Result<String> {
    let found = people::by_id(&mut app.store.read().await?, id).await?;
    found.and_then(|person| person.email).ok_or(OpsError::Missing)
}

/// Records that someone is active, at most once every five minutes and in the background: the request does not wait for it,
/// and losing it does no harm.
fn note_seen(app: &App, person: &Person) {
    let (now, id) = (app.clock.now(), person.id);
    let before = now - SEEN_US;
    if person.last_seen_at.is_some_and(|at| at >= before) {
        return;
    }
    let app = app.clone();
    tokio::spawn(async move {
        let noted = transact!(app, |tx| { Ok(people::seen(tx, id, now, before).await?) });
        if let Err(error) = noted {
            tracing::info!(?error, "it could not be noted when somebody was last here");
        }
    });
}

/// Signs a person in, or only halfway if they have a second factor; `None` for a wrong address or password.
pub async fn sign_in(
    app: &App,
    email: &str,
    password: &str,
    browser: &Browser,
) -> Result<Option<SignInProgress>> {
    let found = people::by_email(&mut app.store.read().await?, &email.trim().to_lowercase()).await?;
    let found = found.filter(|person| person.disabled_at.is_none());
    let matches = is_password(Hashing::of_strangers(), found.as_ref(), password).await?;
    match (found, matches) {
        (Some(person), true) => enter(app, &person, browser, By::Password).await,
        (Some(person), false) => {
            note_refused(app, person.id, browser);
            Ok(None)
        }
        (None, _) => {
            tracing::warn!(
                from = browser.address,
                "somebody tried to sign in with an address that no login has"
            );
            Ok(None)
        }
    }
}

/// Records a wrong password in the background, so that the response time does not reveal whether an address exists.
fn note_refused(app: &App, person: PersonId, browser: &Browser) {
    tracing::warn!(%person, from = browser.address, "a wrong password was tried");
    let (app, now, from) = (app.clone(), app.clock.now(), browser.address.clone());
    tokio::spawn(async move {
        let noted = transact!(app, |tx| {
            note(tx, now, STRANGER, "sign_in_refused", person, json!({ "from": from }));
            if let Some(held) = people::hold(tx, person).await? {
                wrong_tries::count(tx, &app, &held, (Try::AtSignIn, &from), now).await?;
            }
            Ok(())
        });
        if let Err(error) = noted {
            tracing::warn!(?error, "it could not be noted that a wrong password was tried");
        }
        app.nudge.notify.notify();
    });
}

/// An unknown address takes as long as a wrong password, so that the response time does not reveal which addresses exist.
async fn is_password(hashing: &Hashing, of: Option<&Person>, password: &str) -> Result<bool> {
    let hash = of.and_then(|person| person.password_hash.clone());
    let password = password.to_owned();
    let matches = hashing
        .run(move || password_matches(&password, hash.as_deref().unwrap_or(NOBODYS_HASH)) && hash.is_some());
    matches.await.map_err(too_busy)
}

fn too_busy(_: Busy) -> OpsError {
    let message = "More people sign in at this moment than Bursar can check at once, so nothing was looked at. Try again in a few seconds.";
    OpsError::Conflict(Refusal::new("slow_down", message))
}

/// The credentials for a step-up: the password, and the code of the second factor if they have one.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    pub password: String,
    pub code: String,
}

/// The result of a step-up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StepUpOutcome {
    Right,
    /// The password was wrong; the code was not checked.
    WrongPassword,
    WrongCode,
    /// The code was used before.
    UsedCode,
    /// The passkey was rejected, or took too long.
    WrongPasskey,
    /// The secret of their app does not open with the available keys, so no code can be checked.
    Unreadable,
}

/// Records a successful step-up, and replaces the session's token.
pub async fn step_up(app: &App, session: &Session, shown: &Credentials) -> Result<StepUpOutcome> {
    let person = people::by_id(&mut app.store.read().await?, session.actor.id).await?;
    let (now, id) = (app.clock.now(), session.actor.id);
    let refused = |tx: &mut Tx, what: &str| {
        let detail = json!({ "what": what, "from": session.actor.came_from });
        note(tx, now, &id.to_string(), "proof_refused", id, detail);
    };
    if !is_password(Hashing::of_the_known(), person.as_ref(), &shown.password).await? {
        transact!(app, |tx| {
            refused(tx, "password");
            let held = people::hold(tx, id).await?.ok_or(OpsError::Missing)?;
            wrong_tries::count(tx, app, &held, (Try::InSession, &session.actor.came_from), now).await?;
            Ok(())
        })?;
        app.nudge.notify.notify();
        return Ok(StepUpOutcome::WrongPassword);
    }
    let token = transact!(app, |tx| {
        let held = people::hold(tx, id).await?.ok_or(OpsError::Missing)?;
        let with = match factor::take(tx, app, &held, &shown.code, None).await? {
            Taken::Right(means) => format!("password and {}", means.as_str()),
            Taken::NoFactor => "password".to_owned(),
            Taken::Unreadable => {
                refused(tx, "code that cannot be checked");
                return Ok(Err(StepUpOutcome::Unreadable));
            }
            Taken::Used => {
                refused(tx, "used code");
                return Ok(Err(StepUpOutcome::UsedCode));
            }
            Taken::Wrong => {
                refused(tx, "code");
                return Ok(Err(StepUpOutcome::WrongCode));
            }
        };
        let token = sessions::step_up_in(tx, app, session).await?;
        let detail = json!({ "from": session.actor.came_from, "with": with });
        note(tx, now, &id.to_string(), "proved_again", id, detail);
        Ok(Ok(token))
    })?;
    app.nudge.notify.notify();
    Ok(match token {
        Ok(token) => {
            sessions::renew(app, session, token);
            StepUpOutcome::Right
        }
        Err(refused) => refused,
    })
}

/// Whether a person has a password.
pub async fn has_password(app: &App, id: PersonId) -> Result<bool> {
    let person = people::by_id(&mut app.store.read().await?, id).await?;
    Ok(person.is_some_and(|person| person.password_hash.is_some()))
}

/// Changes the password of a session's person; their other sessions and links end.
///
/// # Errors
/// If the password is not acceptable.
pub async fn change_password(app: &App, session: &Session, password: &str) -> Result<()> {
    let (now, id) = (app.clock.now(), session.actor.id);
    let person = people::by_id(&mut app.store.read().await?, id).await?.ok_or(OpsError::Missing)?;
    let hash = hashed(app, password, &person).await?;
    let token = transact!(app, |tx| {
        let person = people::hold(tx, id).await?.ok_or(OpsError::Missing)?;
        people::keep_password(tx, id, &hash).await?;
        store::sessions::end_others(tx, id, &session.id).await?;
        store::factors::end_pending_logins(tx, id).await?;
        people::drop_links(tx, id).await?;
        note(tx, now, &id.to_string(), "password_changed", id, json!({}));
        factor::notify_owner(tx, app, &person, "password", "", now).await?;
        // A session that stepped up just now already has a new token; otherwise replace it, so that a copy of the old one
        // is useless.
        match session.renewed() {
            Some(_) => Ok(None),
            None => Ok(Some(sessions::step_up_in(tx, app, session).await?)),
        }
    })?;
    if let Some(token) = token {
        sessions::renew(app, session, token);
    }
    app.nudge.notify.notify();
    Ok(())
}

/// A hash that no password matches, as expensive to verify as a real one.
const NOBODYS_HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Who a one-time link would sign in; `None` if it is unknown, used or expired. Does not use the link up.
pub async fn whose_link(app: &App, token: &str) -> Result<Option<Person>> {
    let mut db = app.store.read().await?;
    Ok(people::waiting_link(&mut db, &token_hash(token), LinkFor::Login, app.clock.now()).await?)
}

/// Signs in the owner of a one-time link, once; `None` if it is unknown, used or expired.
pub async fn sign_in_by_link(app: &App, token: &str, browser: &Browser) -> Result<Option<SignInProgress>> {
    let now = app.clock.now();
    let hash = token_hash(token);
    let person = transact!(app, |tx| { Ok(people::use_link(tx, &hash, LinkFor::Login, now).await?) })?;
    let Some(person) = person else { return Ok(None) };
    let known = people::by_id(&mut app.store.read().await?, person).await?;
    match known.filter(|person| person.disabled_at.is_none()) {
        Some(person) => enter(app, &person, browser, By::Link).await,
        None => Ok(None),
    }
}

/// Hashes a person's new password if it is acceptable.
pub(super) async fn hashed(app: &App, password: &str, whose: &Person) -> Result<String> {
    let known = password::known_of(&mut app.store.read().await?, &app.base_url, whose).await?;
    let (clock, password) = (app.clock.clone(), password.to_owned());
    let hash = Hashing::of_the_known()
        .run(move || {
            password::check(&password, &known)?;
            Ok::<_, Refusal>(password_hash(&clock, &password))
        })
        .await;
    hash.map_err(too_busy)??.map_err(|error| {
        OpsError::Internal(crate::store::StoreError::Corrupt(format!(
            "a password could not be hashed: {error}"
        )))
    })
}

fn link(app: &App, token: &str) -> String {
    format!("{}/login/{token}", app.base_url)
}

/// Why a person does not count as a second person, in a sentence; `None` if they do.
pub fn not_counted(counts: Counts) -> Option<String> {
    match counts {
        Counts::Yes => None,
        Counts::KeyMayNot => Some(
            "This API key does not have the scope “release”, so it is no second person. Sign in and do it there, or make a key with that scope."
                .to_owned(),
        ),
        Counts::From(at) => Some(format!(
            "This login or API key has been allowed to pay for less than a day. It counts as a second person from {}; until then somebody else must do it.",
            crate::clock::human(at)
        )),
    }
}

/// How long a login does not count as a second person for whoever was shown its link: long enough for its owner, who gets the
/// mail too, to notice misuse.
const BLOCKED_US: i64 = 24 * 3_600_000_000;

/// Whoever creates a link sees it and could use it: for a day the login does not count as a second person for them.
pub(super) async fn block_second_person(tx: &mut Tx, person: &Person, by: &str, now: i64) -> Result<()> {
    stand_behind(tx, person, by, now, now + BLOCKED_US).await
}

/// Until then, `by` stands behind what this login does.
pub(super) async fn stand_behind(tx: &mut Tx, person: &Person, by: &str, now: i64, until: i64) -> Result<()> {
    let whom = people::behind(tx, by, now).await?;
    people::stand_for(tx, person.id, &whom, until).await?;
    Ok(())
}

/// A person as the actor of a request.
pub fn actor(person: &Person) -> Actor {
    Actor {
        id: person.id,
        name: person.name.clone(),
        role: person.role,
        partner: person.partner,
        may_write: Scopes::kept(&person.scopes).writes(),
        // Set by the route that authenticates them.
        came_from: String::new(),
    }
}

pub(super) fn note(
    tx: &mut Tx,
    at: i64,
    actor: &str,
    action: &'static str,
    subject: PersonId,
    detail: serde_json::Value,
) {
    let (actor, subject) = (actor.to_owned(), subject.to_string());
    tx.audit(audit::Entry { at, actor, action, subject, detail: detail.to_string() });
}
