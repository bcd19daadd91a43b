//! People and API keys: who may come in, and how: signing in and out, proving who one is, one's own password. Entering
//! people is in `logins`, what an administrator does about them in `team`, API keys in `keys`. What is deliberately not
//! here: what each may do (`payout::access`), and how many times one may try (`web::kit::login_limit` slows down guessing).

pub mod factor;
pub mod forgotten;
pub mod keys;
mod logins;
pub mod passkeys;
mod password;
pub mod provider;
mod rights;
pub mod sessions;
pub mod team;
pub mod welcome;

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
use crate::turns::Busy;

use factor::Taken;
use sessions::{By, enter};

pub use keys::{NewKey, Sent, by_key, create_key, create_key_at_the_machine, make_key, revoke};
pub use logins::{
    AtTheMachine, FIRST, NewPerson, add, add_at_the_machine, disable, enable, first_administrator, link_for,
    reset,
};
pub use sessions::{Browser, Entered, Finished, Second, Session, by_session, finish, half_way, sign_out};

/// How long a one-time link can be used.
const LINK_US: i64 = 24 * 3_600_000_000;
/// How exactly it is known when somebody was last here.
const SEEN_US: i64 = 5 * 60 * 1_000_000;
/// What stands in history for the command line, which acts without a session.
pub const OPERATOR: &str = "operator";

/// The address that somebody signs in with.
///
/// # Errors
/// When there is nobody of this id.
pub async fn address_of(app: &App, id: PersonId) -> Result<String> {
    let found = people::by_id(&mut app.store.read().await?, id).await?;
    found.and_then(|person| person.email).ok_or(OpsError::Missing)
}

/// Notes that somebody is here, at most once in five minutes, and beside what they ask for: nobody waits for a line that
/// only says when they were last seen, and nothing is lost with it.
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

/// Signs somebody in, or half way in when they have a second factor; `None` for a wrong address or password. `browser` is the
/// one they come with.
pub async fn sign_in(app: &App, email: &str, password: &str, browser: &Browser) -> Result<Option<Entered>> {
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

/// Notes that a password of somebody's was wrong, beside the answer: an address that nobody has must not be told by being
/// answered sooner.
fn note_refused(app: &App, person: PersonId, browser: &Browser) {
    tracing::warn!(%person, from = browser.address, "a wrong password was tried");
    let (app, now, from) = (app.clone(), app.clock.now(), browser.address.clone());
    tokio::spawn(async move {
        let noted = transact!(app, |tx| {
            note(tx, now, "stranger", "sign_in_refused", person, json!({ "from": from }));
            Ok(())
        });
        if let Err(error) = noted {
            tracing::warn!(?error, "it could not be noted that a wrong password was tried");
        }
    });
}

/// An unknown address takes as long as a wrong password, so that nobody learns which addresses exist.
async fn is_password(hashing: &Hashing, of: Option<&Person>, password: &str) -> Result<bool> {
    let hash = of.and_then(|person| person.password_hash.clone());
    let password = password.to_owned();
    let matches = hashing
        .run(move || password_matches(&password, hash.as_deref().unwrap_or(NOBODYS_HASH)) && hash.is_some());
    matches.await.map_err(too_busy)
}

fn too_busy(_: Busy) -> OpsError {
    let told = "More people sign in at this moment than Bursar can check at once, so nothing was looked at. Try again in a few seconds.";
    OpsError::Conflict(Refusal::new("slow_down", told))
}

/// What somebody shows again: their password, and the code of their second factor where they have one.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    pub password: String,
    pub code: String,
}

/// What became of showing it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Proof {
    Right,
    /// The password was wrong; the code was not looked at.
    WrongPassword,
    WrongCode,
    /// The code was used before.
    UsedCode,
    /// The passkey was not believed, or it took too long.
    WrongPasskey,
    /// The secret of their app does not open here, so that no code of it can be looked at.
    Unreadable,
}

/// Takes note that whoever holds a session has shown again who they are, and replaces the session's token.
pub async fn prove(app: &App, session: &Session, shown: &Shown) -> Result<Proof> {
    let person = people::by_id(&mut app.store.read().await?, session.actor.id).await?;
    let (now, id) = (app.clock.now(), session.actor.id);
    let refused = |tx: &mut Tx, what: &str| {
        let detail = json!({ "what": what, "from": session.actor.came_from });
        note(tx, now, &id.to_string(), "proof_refused", id, detail);
    };
    if !is_password(Hashing::of_the_known(), person.as_ref(), &shown.password).await? {
        transact!(app, |tx| {
            refused(tx, "password");
            Ok(())
        })?;
        return Ok(Proof::WrongPassword);
    }
    let token = transact!(app, |tx| {
        let held = people::hold(tx, id).await?.ok_or(OpsError::Missing)?;
        let with = match factor::take(tx, app, &held, &shown.code, None).await? {
            Taken::Right(means) => format!("password and {}", means.as_str()),
            Taken::NoFactor => "password".to_owned(),
            Taken::Unreadable => {
                refused(tx, "code that cannot be checked");
                return Ok(Err(Proof::Unreadable));
            }
            Taken::Used => {
                refused(tx, "used code");
                return Ok(Err(Proof::UsedCode));
            }
            Taken::Wrong => {
                refused(tx, "code");
                return Ok(Err(Proof::WrongCode));
            }
        };
        let token = sessions::prove_in(tx, app, session).await?;
        let detail = json!({ "from": session.actor.came_from, "with": with });
        note(tx, now, &id.to_string(), "proved_again", id, detail);
        Ok(Ok(token))
    })?;
    app.nudge.notify.ring();
    Ok(match token {
        Ok(token) => {
            sessions::renew(app, session, token);
            Proof::Right
        }
        Err(refused) => refused,
    })
}

/// Whether somebody has a password at all.
pub async fn has_password(app: &App, id: PersonId) -> Result<bool> {
    let person = people::by_id(&mut app.store.read().await?, id).await?;
    Ok(person.is_some_and(|person| person.password_hash.is_some()))
}

/// Gives whoever holds a session another password; their other sessions and links end.
///
/// # Errors
/// When it cannot be their password.
pub async fn change_password(app: &App, session: &Session, password: &str) -> Result<()> {
    let (now, id) = (app.clock.now(), session.actor.id);
    let person = people::by_id(&mut app.store.read().await?, id).await?.ok_or(OpsError::Missing)?;
    let hash = hashed(app, password, &person).await?;
    let token = transact!(app, |tx| {
        let person = people::hold(tx, id).await?.ok_or(OpsError::Missing)?;
        people::keep_password(tx, id, &hash).await?;
        store::sessions::end_others(tx, id, &session.id).await?;
        store::factors::end_halves(tx, id).await?;
        people::drop_links(tx, id).await?;
        note(tx, now, &id.to_string(), "password_changed", id, json!({}));
        factor::tell_owner(tx, app, &person, "password", "", now).await?;
        // Whoever had to prove first has another token already; a copy of the one from before has no part in this either way.
        match session.renewed() {
            Some(_) => Ok(None),
            None => Ok(Some(sessions::prove_in(tx, app, session).await?)),
        }
    })?;
    if let Some(token) = token {
        sessions::renew(app, session, token);
    }
    app.nudge.notify.ring();
    Ok(())
}

/// A hash that no password has, as expensive to compare with as a real one.
const NOBODYS_HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Whom a one-time link would sign in; `None` when it is unknown, used or too old. To look does not use it up.
pub async fn whose_link(app: &App, token: &str) -> Result<Option<Person>> {
    let mut db = app.store.read().await?;
    Ok(people::waiting_link(&mut db, &token_hash(token), LinkFor::Login, app.clock.now()).await?)
}

/// Signs in whoever a one-time link was made for, once; `None` when it is unknown, used or too old.
pub async fn sign_in_by_link(app: &App, token: &str, browser: &Browser) -> Result<Option<Entered>> {
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

/// The hash of a password for somebody, if it can be theirs.
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

/// Why somebody does not count where two persons are needed, in a sentence; nothing when they do.
pub fn not_counted(counts: Counts) -> Option<String> {
    match counts {
        Counts::Yes => None,
        Counts::KeyMayNot => Some(
            "This API key does not have the scope “release”, so it is no second person. Sign in and do it there, or make a key with that scope."
                .to_owned(),
        ),
        Counts::From(at) => Some(format!(
            "This login or API key has been allowed to pay for less than a day. It counts as a second person from {}; until then somebody else must do it.",
            crate::clock::told(at)
        )),
    }
}

/// Whoever a person is when they act.
pub fn actor(person: &Person) -> Actor {
    Actor {
        id: person.id,
        name: person.name.clone(),
        role: person.role,
        partner: person.partner,
        may_write: Scopes::kept(&person.scopes).writes(),
        // The door they come through knows more.
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
