//! One's own login, for our own people and for partners alike: changing the password, and where one is signed in. What is
//! deliberately not here: the pages (`preferences`, `portal::account`), which have words of their own.

use serde::Deserialize;

use super::step_up::Evidence;
use crate::app::App;
use crate::ops::OpsError;
use crate::ops::people::passkeys::Deed;
use crate::ops::people::{self, Proof, Session, sessions};
use crate::store::{Db, sessions as stored};
use crate::web::kit::problem::Fault;
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
    /// In the place of both.
    passkey: Option<String>,
    #[serde(default)]
    password: String,
    #[serde(default)]
    again: String,
}

pub enum Changed {
    /// It is another one now.
    Done,
    Slow,
    /// The present one was wrong.
    Wrong,
    /// The code of the second factor was wrong.
    WrongCode,
    /// The code was used before.
    UsedCode,
    /// The passkey was not believed.
    WrongPasskey,
    /// The secret of their app does not open here.
    Unreadable,
    /// There is none yet, and they must prove first who they are.
    ProveFirst,
    /// The two new ones differ.
    NotTheSame,
    Refused(OpsError),
}

/// What a passkey signs that is shown to change a password at this path. The new password is no part of it: the trail keeps
/// what was signed, and a hash of a password that anybody may compute is as good as the password.
pub fn to_change(path: &str) -> Deed {
    Deed::of(path, [])
}

/// Changes the password of whoever holds a session, by a form that was sent to this path.
pub async fn change_password(
    web: &Web,
    session: &Session,
    path: &str,
    sent: &Passwords,
) -> Result<Changed, Fault> {
    let (app, id) = (&web.app, session.actor.id);
    // Before anything is shown: a slip of the pen must not use a code up.
    if sent.password != sent.again {
        return Ok(Changed::NotTheSame);
    }
    if people::has_password(app, id).await? {
        if web.tries.prove(&session.id, app.clock.now()).is_err() {
            return Ok(Changed::Slow);
        }
        let shown = Evidence::of(sent.current.clone(), sent.code.clone(), sent.passkey.as_deref());
        match shown.prove(app, session, &to_change(path)).await? {
            Proof::Right => {}
            Proof::WrongPassword => return Ok(Changed::Wrong),
            Proof::WrongCode => return Ok(Changed::WrongCode),
            Proof::UsedCode => return Ok(Changed::UsedCode),
            Proof::WrongPasskey => return Ok(Changed::WrongPasskey),
            Proof::Unreadable => return Ok(Changed::Unreadable),
        }
    } else if !is_fresh(session, app.clock.now()) {
        return Ok(Changed::ProveFirst);
    }
    match people::change_password(app, session, &sent.password).await {
        Ok(()) => Ok(Changed::Done),
        Err(error) => Ok(Changed::Refused(error)),
    }
}

/// The form that ends sessions: one of them, or without its name all but the one that is used.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ending {
    /// The name of the one.
    pub one: Option<String>,
}

/// Ends one session of whoever holds one, or all others. Whether it was one, and it was there.
pub async fn end(app: &App, session: &Session, sent: &Ending) -> Result<Option<bool>, Fault> {
    match &sent.one {
        Some(one) => Ok(Some(sessions::end_one(app, &session.actor, session.actor.id, one).await?)),
        None => {
            sessions::sign_out_elsewhere(app, session).await?;
            Ok(None)
        }
    }
}

/// A browser somebody is signed in with.
pub struct Device {
    pub id: String,
    /// What it calls itself, if that can be told.
    pub name: Option<String>,
    /// The address it was last used from, where it is known.
    pub address: Option<String>,
    pub since: i64,
    /// When it was last used.
    pub seen: i64,
    /// It is the one that asks.
    pub here: bool,
}

impl Device {
    /// One of somebody's sessions, as seen from the session of this name.
    pub fn of(one: stored::Session, here: &str) -> Self {
        Self {
            name: one.device.as_deref().and_then(browser),
            address: one.address.filter(|address| !address.is_empty()),
            since: one.created_at,
            seen: one.seen_at,
            here: one.id == here,
            id: one.id,
        }
    }
}

/// Where whoever holds a session is signed in, the newest first.
pub async fn devices(db: &mut Db, session: &Session, now: i64) -> Result<Vec<Device>, Fault> {
    let found = sessions::list(db, session.actor.id, now).await?;
    Ok(found.into_iter().map(|one| Device::of(one, &session.id)).collect())
}

/// Its name and system, in two words; the whole of what it says is of no use to people.
pub fn browser(agent: &str) -> Option<String> {
    let first = |names: &[(&str, &'static str)]| {
        names.iter().find(|(mark, _)| agent.contains(mark)).map(|(_, name)| *name)
    };
    // The order counts: most browsers also claim to be those below them.
    let name =
        first(&[("Edg/", "Edge"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari")]);
    let system = first(&[
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Android", "Android"),
        ("Windows", "Windows"),
        ("Mac OS", "macOS"),
        ("Linux", "Linux"),
    ]);
    match (name, system) {
        (Some(name), Some(system)) => Some(format!("{name}, {system}")),
        (Some(one), None) | (None, Some(one)) => Some(one.to_owned()),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_named_in_two_words() {
        let chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0 Safari/537.36";
        assert_eq!(browser(chrome).as_deref(), Some("Chrome, Linux"));
        assert_eq!(browser("curl/8"), None);
    }
}
