//! A person's own login, for our own people and for partners: changing the password, and sessions. Not here: the pages
//! (`preferences`, `portal::account`), which have their own texts.

use serde::Deserialize;

use super::step_up::Evidence;
use crate::app::App;
use crate::ops::OpsError;
use crate::ops::people::browsers::browser_in_words;
use crate::ops::people::passkeys::SignedAction;
use crate::ops::people::{self, Session, StepUpOutcome, sessions};
use crate::store::{Db, sessions as stored};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::Web;
use crate::web::kit::session::is_fresh;

/// The form that changes a password.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Passwords {
    #[serde(default)]
    current: String,
    #[serde(default)]
    code: String,
    /// In place of password and code.
    passkey: Option<String>,
    #[serde(default)]
    password: String,
    #[serde(default)]
    again: String,
}

pub enum Changed {
    Done,
    Slow,
    /// The current password was wrong.
    Wrong,
    /// The code of the second factor was wrong.
    WrongCode,
    /// The code was used before.
    UsedCode,
    WrongPasskey,
    /// The secret of their app does not open here.
    Unreadable,
    /// There is none yet, and they must prove first who they are.
    ProveFirst,
    /// The two new passwords differ.
    NotTheSame,
    Refused(OpsError),
}

/// What a passkey signs to change a password at this path. Leaves out the new password: the audit trail stores what was
/// signed, and an unsalted hash would expose the password.
pub fn to_change(path: &str) -> SignedAction {
    SignedAction::of(path, [])
}

/// Changes the password of a session's person, with a form posted to this path.
pub async fn change_password(
    web: &Web,
    session: &Session,
    path: &str,
    sent: &Passwords,
) -> Result<Changed, Problem> {
    let (app, id) = (&web.app, session.actor.id);
    // Check this first: a typo must not use up a code.
    if sent.password != sent.again {
        return Ok(Changed::NotTheSame);
    }
    if people::has_password(app, id).await? {
        if web.tried(web.tries.check_step_up(&session.id, app.clock.now())).await?.is_err() {
            return Ok(Changed::Slow);
        }
        let shown = Evidence::of(sent.current.clone(), sent.code.clone(), sent.passkey.as_deref());
        match shown.check(app, session, &to_change(path)).await? {
            StepUpOutcome::Right => {}
            StepUpOutcome::WrongPassword => return Ok(Changed::Wrong),
            StepUpOutcome::WrongCode => return Ok(Changed::WrongCode),
            StepUpOutcome::UsedCode => return Ok(Changed::UsedCode),
            StepUpOutcome::WrongPasskey => return Ok(Changed::WrongPasskey),
            StepUpOutcome::Unreadable => return Ok(Changed::Unreadable),
        }
    } else if !is_fresh(session, app.clock.now()) {
        return Ok(Changed::ProveFirst);
    }
    match people::change_password(app, session, &sent.password).await {
        Ok(()) => Ok(Changed::Done),
        Err(error) => Ok(Changed::Refused(error)),
    }
}

/// The form that ends sessions: a single one, or without its id all except the current one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndSessionForm {
    /// The session's id.
    pub one: Option<String>,
}

/// Ends one of the person's sessions, or all others. Returns whether the single session existed.
pub async fn end(app: &App, session: &Session, sent: &EndSessionForm) -> Result<Option<bool>, Problem> {
    match &sent.one {
        Some(one) => Ok(Some(sessions::end_one(app, &session.actor, session.actor.id, one).await?)),
        None => {
            sessions::sign_out_elsewhere(app, session).await?;
            Ok(None)
        }
    }
}

/// A browser with a session.
pub struct Device {
    pub id: String,
    pub name: Option<String>,
    /// The address it was last used from, if known.
    pub address: Option<String>,
    pub since: i64,
    /// When it was last used.
    pub seen: i64,
    /// Whether it is the current one.
    pub here: bool,
}

impl Device {
    /// A session, as seen from the session with id `here`.
    pub fn of(one: stored::Session, here: &str) -> Self {
        Self {
            name: one.device.as_deref().and_then(browser_in_words),
            address: one.address.filter(|address| !address.is_empty()),
            since: one.created_at,
            seen: one.seen_at,
            here: one.id == here,
            id: one.id,
        }
    }
}

/// The sessions of a session's person, newest first.
pub async fn devices(db: &mut Db, session: &Session, now: i64) -> Result<Vec<Device>, Problem> {
    let found = sessions::list(db, session.actor.id, now).await?;
    Ok(found.into_iter().map(|one| Device::of(one, &session.id)).collect())
}
