//! Where somebody is signed in: how long a session lasts, how its token is replaced after a proof, and how it ends. What is
//! deliberately not here: how people come in (`super`), and the cookie (`web::session`).

use std::sync::{Arc, OnceLock};

use payout::Refusal;
use payout::ids::PersonId;
use serde_json::json;

use super::{actor, note, note_seen};
use crate::app::{Actor, App};
use crate::ops::{OpsError, Result};
use crate::secrets::token_hash;
use crate::store::people;
use crate::store::preferences::Preferences;
use crate::store::sessions::{self as store, UsedSince};
use crate::store::{Db, Tx};
use crate::transact;

const MINUTE_US: i64 = 60 * 1_000_000;
/// How long a session lasts, however much it is used.
const SESSION_US: i64 = 12 * 60 * MINUTE_US;
/// How long one of our own people's lasts while nobody uses it.
const IDLE_US: i64 = 30 * MINUTE_US;
/// The same of a partner's, which can do less.
const IDLE_OF_PARTNERS_US: i64 = 60 * MINUTE_US;
/// How exactly it is known when a session was last used.
const USED_US: i64 = MINUTE_US;

/// The browser that somebody comes with: what it calls itself, and where it is.
#[derive(Clone, Debug, Default)]
pub struct Browser {
    /// What it calls itself.
    pub agent: String,
    /// The address it comes from, as far as that is known.
    pub address: String,
}

/// Somebody who has signed in.
#[derive(Clone, Debug)]
pub struct Session {
    /// Who.
    pub actor: Actor,
    /// The word that every form of the session carries.
    pub csrf: String,
    /// The name of the session, which stays when its token is replaced.
    pub id: String,
    /// How pages look to them.
    pub preferences: Preferences,
    token_hash: String,
    proved_at: i64,
    /// Its next token, and when they proved who they are for it. Every copy of this session sees it.
    renewed: Arc<OnceLock<(String, i64)>>,
}

impl Session {
    /// When they last proved who they are, or came in.
    #[must_use]
    pub fn proved_at(&self) -> i64 {
        self.renewed.get().map_or(self.proved_at, |(_, at)| *at)
    }

    /// The token that takes the old one's place, for the browser, when they have just proved who they are.
    #[must_use]
    pub fn renewed(&self) -> Option<&str> {
        self.renewed.get().map(|(token, _)| token.as_str())
    }

    fn token_hash(&self) -> String {
        self.renewed().map_or_else(|| self.token_hash.clone(), token_hash)
    }
}

/// Since when sessions must have been used not to be over.
#[must_use]
pub fn used_since(now: i64) -> UsedSince {
    UsedSince { ours: now - IDLE_US, partners: now - IDLE_OF_PARTNERS_US }
}

/// Whoever holds this session's token. `from` is the address they use it from; nothing where it is no person who asks, but
/// a page that is left open.
///
/// # Errors
/// When the database does not answer.
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
        preferences: found.preferences,
        token_hash: hash,
        proved_at: found.proved_at.unwrap_or(0),
        renewed: Arc::default(),
    }))
}

/// Notes that a session is used, at most once a minute, and beside what is asked for.
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

/// Begins a session and answers its token.
pub(in crate::ops) async fn begin(app: &App, person: PersonId, browser: &Browser) -> Result<String> {
    let token = app.clock.secret();
    transact!(app, |tx| { begin_in(tx, app, person, browser, &token).await })?;
    Ok(token)
}

/// The same in a transaction that does more.
pub(super) async fn begin_in(
    tx: &mut Tx,
    app: &App,
    person: PersonId,
    browser: &Browser,
    token: &str,
) -> Result<()> {
    let now = app.clock.now();
    let (csrf, id) = (app.clock.secret(), app.clock.secret());
    let device: String = browser.agent.chars().filter(|letter| !letter.is_control()).take(200).collect();
    let new = store::New {
        token_hash: &token_hash(token),
        id: &id,
        person,
        csrf: &csrf,
        device: &device,
        address: &browser.address,
        expires_at: now + SESSION_US,
    };
    store::begin(tx, &new, now).await?;
    note(tx, now, &person.to_string(), "signed_in", person, json!({ "from": browser.address }));
    Ok(())
}

/// Notes in a transaction that whoever holds a session has proved who they are; the token that takes its place.
pub(super) async fn prove_in(tx: &mut Tx, app: &App, session: &Session) -> Result<String> {
    let token = app.clock.secret();
    if !store::proved(tx, &session.token_hash(), &token_hash(&token), app.clock.now()).await? {
        let told = "You have proved it in another window a moment ago, or were signed out, so nothing was done. Load the page again.";
        return Err(OpsError::Conflict(Refusal::new("session_renewed", told)));
    }
    Ok(token)
}

/// Lets every copy of a session know its next token, once that is committed.
pub(super) fn renew(app: &App, session: &Session, token: String) {
    // Nobody proves twice in one request; if they did, the first token would be over and they would sign in again.
    let _ = session.renewed.set((token, app.clock.now()));
}

/// The sessions somebody has, the newest first.
///
/// # Errors
/// When the database does not answer.
pub async fn list(db: &mut Db, id: PersonId, now: i64) -> crate::store::Result<Vec<store::Session>> {
    store::list(db, id, now, used_since(now)).await
}

/// Ends every session of somebody but the one they hold; how many.
///
/// # Errors
/// When the database does not answer.
pub async fn sign_out_elsewhere(app: &App, session: &Session) -> Result<u64> {
    let (now, id) = (app.clock.now(), session.actor.id);
    transact!(app, |tx| {
        let ended = store::end_others(tx, id, &session.id).await?;
        note(tx, now, &id.to_string(), "signed_out_elsewhere", id, json!({ "sessions": ended }));
        Ok(ended)
    })
}

/// Ends one of somebody's sessions; whether there was one of this name. `by` is who does it: themselves, or an administrator.
///
/// # Errors
/// When the database does not answer.
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

/// Ends a session.
///
/// # Errors
/// When the database does not answer.
pub async fn sign_out(app: &App, session: &Session) -> Result<()> {
    transact!(app, |tx| {
        store::end_one(tx, session.actor.id, &session.id).await?;
        Ok(())
    })
}
