//! Telling of a login's rights: that somebody has another role, was shut out or may sign in again. Every administrator hears
//! of it and so does whoever it is, in words that nobody can change. What is deliberately not here: changing them (`team`,
//! `logins`).

use payout::access::{Permission, Role, allows};
use payout::notice::Notice;
use serde_json::json;

use crate::app::App;
use crate::clock;
use crate::ops::Result;
use crate::store::people::Person;
use crate::store::{Tx, mails, outbox};

/// What has become of a login.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Became {
    /// It has another role than this one; from this moment on it counts where two persons are needed.
    Role(Role, Option<i64>),
    ShutOut,
    /// Enabled again; from this moment on it counts where two persons are needed.
    LetIn(Option<i64>),
}

/// Whether what becomes of a login with this role is everybody's business.
fn matters(role: Role) -> bool {
    allows(role, Permission::Pay) || allows(role, Permission::Administer)
}

/// Tells of it where the login moves money or lets people in, or did. `whose` is as it is now, `by` the name of whoever did it.
/// Who administers is looked up here as well as when the mail is made: whoever is shut out in between hears of it all the same.
pub(super) async fn tell(
    tx: &mut Tx,
    app: &App,
    whose: &Person,
    became: Became,
    (by, now): (&str, i64),
) -> Result<()> {
    let (what, old, from) = match became {
        Became::Role(old, from) => ("role", Some(old), from),
        Became::ShutOut => ("shut_out", None, None),
        Became::LetIn(from) => ("let_in", None, from),
    };
    if whose.kind != "person" || !(matters(whose.role) || old.is_some_and(matters)) {
        return Ok(());
    }
    let to: Vec<String> = mails::administrators(tx).await?.into_iter().chain(whose.email.clone()).collect();
    let detail = json!({
        "to": to, "by": by, "what": what, "whose": whose.name, "address": whose.email, "role": whose.role.label(),
        "old": old.map(Role::label), "from": from.map(clock::human),
    });
    let notice = (Notice::RightsChanged, whose.id.to_string(), detail.to_string());
    outbox::write(tx, &app.clock, now, [notice]).await?;
    Ok(())
}
