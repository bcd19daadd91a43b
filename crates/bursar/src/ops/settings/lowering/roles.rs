//! Giving an existing login a role that pays, releases or administers, or enabling one that has such a role: it takes two
//! administrators, or one and a day. Not here: taking rights away, which works at once (`people::team`).

use payout::Refusal;
use payout::access::{Permission, Role, allows};
use payout::direction::isolated;
use payout::ids::PersonId;

use super::{Rule, WeakeningRequest, by_people, forget_where, not_yet_of};
use crate::app::{Actor, App};
use crate::ops::Result;
use crate::store::people::Person;
use crate::store::{Tx, people, transactions};

const ROLE_RAISED: Rule = Rule {
    kept: "role_raised",
    action: "role_raise_asked",
    subject: "settings:roles",
    stays: "This login keeps the rights it has for now",
    field: "role",
    label: "",
    agree: ("does the same", "does it again"),
    told_elsewhere: true,
};

/// What is asked for a login.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RoleChange {
    To(Role),
    /// Enabled again, with the role it has.
    Enabled,
}

/// Why a login does not get these rights yet: no other administrator has done the same, and this person did so less than a day
/// ago. `None` if it gains no right to pay, release or administer. Before the first payment nothing is protected. The
/// operator's own keys may do what their role allows.
///
/// # Errors
/// `person_needed` for any other key.
pub async fn role(
    tx: &mut Tx,
    app: &App,
    actor: &Actor,
    whose: &Person,
    change: RoleChange,
) -> Result<Option<Refusal>> {
    let (was, is) = match change {
        RoleChange::To(role) => (Some(whose.role), role),
        RoleChange::Enabled => (None, whose.role),
    };
    let gains = |permission| allows(is, permission) && !was.is_some_and(|was| allows(was, permission));
    if ![Permission::Pay, Permission::Administer].into_iter().any(gains) {
        return Ok(None);
    }
    by_people(tx, actor, "give a login more rights").await?;
    if people::how_key_was_made(tx, actor.id).await?.is_some() || !transactions::any(tx).await? {
        return Ok(None);
    }
    let before = was.map_or("disabled", Role::label);
    let labels = vec![format!("{}: {before} → {}", isolated(&whose.name), is.label())];
    let before = was.map_or("disabled", Role::as_str);
    let change = format!("{} {before} → {}", whose.id, is.as_str());
    let fields = vec![ROLE_RAISED.field];
    not_yet_of(tx, app, actor, &WeakeningRequest { rule: &ROLE_RAISED, fields, labels, change }).await
}

/// Withdraws the requests about a login's rights, because somebody has saved them as they should be.
pub async fn forget_of_person(tx: &mut Tx, id: PersonId, now: i64) -> Result<bool> {
    let of = format!("{id} ");
    forget_where(tx, &ROLE_RAISED, now, |change| change.starts_with(&of)).await
}
