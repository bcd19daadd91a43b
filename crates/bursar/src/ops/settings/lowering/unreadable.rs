//! A payment with an unreadable record holds its payee until two administrators, or one and a day later again, state that they
//! investigated it.

use super::{ALONE_AFTER_US, Rule, SAVED, WeakeningRequest, forget_where, is_first, not_yet_of, waiting};
use crate::app::{Actor, App};
use crate::ops::Result;
use crate::store::{Db, Tx, settings};
use payout::Refusal;

/// A payment with an unreadable record holds its payee.
const UNREADABLE_HOLD: Rule = Rule {
    kept: "unreadable_holds_off",
    action: "unreadable_payment_look_asked",
    subject: "settings:unreadable_payments",
    stays: "This payment holds its payee for now",
    field: "note",
    label: "",
    agree: SAVED,
    told_elsewhere: false,
};

/// Whether the requests of a rule name a payment.
pub(super) fn is_about_payment(rule: &Rule) -> bool {
    rule.kept == UNREADABLE_HOLD.kept
}

/// Why a payment with an unreadable record still holds its payee: no one else has stated that they investigated it, and this
/// person did so less than a day ago. Otherwise one person's word could pay the same money twice.
pub async fn not_yet_of_payment(
    tx: &mut Tx,
    app: &App,
    actor: &Actor,
    number: &str,
) -> Result<Option<Refusal>> {
    let labels = vec![format!("{number}, whose record cannot be read, holds its payee: on → off")];
    let (rule, fields) = (&UNREADABLE_HOLD, vec![UNREADABLE_HOLD.field]);
    let change = number.to_owned();
    not_yet_of(tx, app, actor, &WeakeningRequest { rule, fields, labels, change }).await
}

/// Who stated that they investigated this payment, and from when on they can end its hold alone. `None` if their statement
/// does not count for another administrator, who would then be the first. The `reader` always sees their own.
pub async fn asked_of_payment(
    db: &mut Db,
    number: &str,
    reader: &str,
    now: i64,
) -> Result<Option<(String, i64)>> {
    let (kept, _) = settings::get(db, UNREADABLE_HOLD.kept).await?.unwrap_or_default();
    let found = waiting(&kept, &UNREADABLE_HOLD, now).into_iter().find(|one| one.change == number);
    let Some(first) = found else { return Ok(None) };
    let is_meant = first.by == reader || is_first(db, &first, now).await?;
    Ok(is_meant.then_some((first.by, first.at + ALONE_AFTER_US)))
}

/// Withdraws that statement; returns whether there was one.
pub async fn forget_of_payment(tx: &mut Tx, number: &str, now: i64) -> Result<bool> {
    forget_where(tx, &UNREADABLE_HOLD, now, |change| change == number).await
}
