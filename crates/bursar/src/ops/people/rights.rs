//! Notices about a login's rights: its role was changed, or it was disabled or enabled. Sent to every administrator and to
//! the login's owner, with a fixed text that cannot be edited. Not here: changing the rights (`team`, `logins`).

use payout::access::{Permission, Role, allows};
use payout::notice::Notice;
use serde_json::json;

use crate::app::App;
use crate::clock;
use crate::ops::Result;
use crate::store::people::Person;
use crate::store::{Tx, mails, outbox};

/// What happened to a login.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum RightsChange {
    /// Its role changed from this one; it counts as a second person from this time on.
    Role(Role, Option<i64>),
    ShutOut,
    /// Enabled again; it counts as a second person from this time on.
    LetIn(Option<i64>),
}

/// Whether changes to a login with this role are reported.
fn matters(role: Role) -> bool {
    allows(role, Permission::Pay) || allows(role, Permission::Administer)
}

/// Sends the notices if the login can move money or administer, or could before. `whose` is the login after the change, `by`
/// the name of who made it. Administrators are looked up now and again when the mail is rendered, so one who is disabled in
/// between is still notified.
pub(super) async fn notify(
    tx: &mut Tx,
    app: &App,
    whose: &Person,
    became: RightsChange,
    (by, now): (&str, i64),
) -> Result<()> {
    let (what, old, from) = match became {
        RightsChange::Role(old, from) => ("role", Some(old), from),
        RightsChange::ShutOut => ("shut_out", None, None),
        RightsChange::LetIn(from) => ("let_in", None, from),
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
