//! What people do about a payment after Pay: resubmit it, return its rewards to the pool, close it, poll the vendor. Manual
//! settlement is in [`super::by_hand`].

use payout::Refusal;
use payout::eligibility::Blocker;
use payout::ids::TransactionId;
use payout::law::{self, NotNow, Release};
use payout::money::Vendor;
use payout::transaction::{AttemptState, Leg, State};

use super::gates::Gates;
use super::idempotency::{self, Idempotency};
use super::record;
use super::{OpsError, Result, safe_mode};
use crate::app::{Actor, App};
use crate::clock;
use crate::store::submissions::SubmissionState;
use crate::store::transactions::{self, Attempt, Line, PaidOutside, Transaction};
use crate::store::{self, Tx, audit, put_back};
use crate::transact;

/// Resubmits a failed payment: a new attempt with a new key, of the leg that failed. The facts about the payee's account
/// and a parked transfer should be fresh: call `work::ask::before_resubmit` first.
///
/// # Errors
/// [`OpsError::Conflict`] unless the last attempt has ended at the vendor; [`OpsError::Blocked`] with every gate that would
/// stop it again.
pub async fn resubmit(
    app: &App,
    actor: &Actor,
    id: TransactionId,
    once: Option<&Idempotency<Transaction>>,
) -> Result<Transaction> {
    let sent = transact!(app, |tx| {
        let transaction = locked(tx, id).await?;
        let step = law::resubmit(transaction.state, &transaction.terms).map_err(not_now)?;
        if came_back_in_part(tx, id).await? {
            return Err(not_now(NotNow::CameBackInPart));
        }
        // A Stripe payment is looked up before it is sent, and adopted if it is there.
        if transaction.terms.vendor == Vendor::PayPal {
            nothing_found(tx, id).await?;
        }
        let closed = closed_gates(tx, &transaction, app.clock.now()).await?;
        if !closed.is_empty() {
            return Err(OpsError::Blocked(closed));
        }
        record::command(tx, app, actor, id, step, "resubmitted").await?;
        let mut after = transactions::find(tx, &id.to_string()).await?;
        if after.state == State::Queued {
            // It starts over and nothing of it exists anywhere, so it is paid from the account that is connected now.
            store::vendors::bind_again(tx, id).await?;
            after = transactions::find(tx, &id.to_string()).await?;
        }
        idempotency::finish(tx, once, &after).await?;
        Ok(after)
    })?;
    app.nudge.dispatch.notify();
    app.nudge.notify_watchers();
    Ok(sent)
}

/// Whether part of its transfer has come back: the money in the payee's balance is no longer the full payment.
pub async fn came_back_in_part(db: &mut store::Db, id: TransactionId) -> store::Result<bool> {
    let attempts = transactions::attempts(db, &[id]).await?;
    Ok(attempts.iter().any(|one| one.leg == Leg::Transfer && !one.state.ended() && one.reversed_minor > 0))
}

/// The gates that would stop or delay a payment if it were sent now.
pub async fn closed_gates(
    db: &mut store::Db,
    transaction: &Transaction,
    now: i64,
) -> store::Result<Vec<Blocker>> {
    let gates = Gates::read(db, [transaction.terms.payee]).await?;
    let gates = gates.within(db, &[transaction.batch]).await?;
    Ok(gates.blockers_before_send(transaction, now))
}

/// Returns the rewards of a failed payment to the pool. If the money is parked in the payee's Stripe balance, a reversal is
/// made first and the rewards follow once it is accepted; the caller waits for it with `work::ask`.
///
/// # Errors
/// [`OpsError::Conflict`] unless the last attempt has ended at the vendor.
pub async fn return_to_pool(
    app: &App,
    actor: &Actor,
    id: TransactionId,
    once: Option<&Idempotency<Transaction>>,
) -> Result<Transaction> {
    let after = transact!(app, |tx| {
        let transaction = held(tx, id).await?;
        if transaction.contradicted_at.is_some() {
            return Err(not_now(NotNow::Contradicted));
        }
        // The rewards of a closed payment are elsewhere, but its money may still be parked in the payee's balance.
        let release = law::return_to_pool(transaction.state);
        if transaction.closed() && !matches!(release, Ok(Release::AfterReversal(_))) {
            return Err(not_now(transaction.closed_as().unwrap_or(NotNow::Closed)));
        }
        let release = release.map_err(not_now)?;
        looked_through(tx, id).await?;
        match release {
            Release::Now => {
                let freed = transactions::release(tx, id, app.clock.now()).await?;
                note(tx, app, actor, id, "returned_to_pool", serde_json::json!({ "rewards": freed })).await?;
            }
            Release::AfterReversal(step) => {
                record::command(tx, app, actor, id, step, "recall_asked").await?;
            }
        }
        let after = transactions::find(tx, &id.to_string()).await?;
        idempotency::finish(tx, once, &after).await?;
        Ok(after)
    })?;
    app.nudge.dispatch.notify();
    app.nudge.notify_watchers();
    Ok(after)
}

/// Asks PayPal to return an unclaimed payment: a separate attempt, committed before anything is sent. The books change once
/// the item itself is fetched and is returned; the caller waits for it with `work::ask`.
///
/// # Errors
/// [`OpsError::Conflict`] unless it is unclaimed, or if a cancellation is already in progress.
pub async fn cancel_unclaimed(
    app: &App,
    actor: &Actor,
    id: TransactionId,
    once: Option<&Idempotency<Transaction>>,
) -> Result<Transaction> {
    let after = transact!(app, |tx| {
        let transaction = locked(tx, id).await?;
        let step = law::cancel_unclaimed(transaction.state).map_err(not_now)?;
        if transactions::attempts(tx, &[id]).await?.iter().any(canceling) {
            return Err(not_now(NotNow::CancelUnderWay));
        }
        record::command(tx, app, actor, id, step, "cancel_asked").await?;
        let after = transactions::find(tx, &id.to_string()).await?;
        idempotency::finish(tx, once, &after).await?;
        Ok(after)
    })?;
    app.nudge.dispatch.notify();
    app.nudge.notify_watchers();
    Ok(after)
}

/// Whether an attempt is a cancellation that has not ended.
pub fn canceling(attempt: &Attempt) -> bool {
    attempt.leg == Leg::Cancel && !attempt.state.ended()
}

/// Closes a failed payment that was paid some other way.
///
/// # Errors
/// [`OpsError::Refused`] without a reference and a date; [`OpsError::Conflict`] unless the money is with us.
pub async fn mark_paid_outside(
    app: &App,
    actor: &Actor,
    id: TransactionId,
    reference: &str,
    paid_on: &str,
    once: Option<&Idempotency<Transaction>>,
) -> Result<Transaction> {
    if reference.trim().is_empty() || reference.chars().count() > 200 {
        let sentence =
            "Give the reference of the outside payment, at most 200 characters; it is kept as evidence.";
        return Err(Refusal::new("reference_required", sentence).at("reference").into());
    }
    let paid_at = paid_day(app, paid_on)?;
    transact!(app, |tx| {
        let now = app.clock.now();
        // A contradicted payment must be settled first: being paid outside does not explain what the vendor did.
        let transaction = locked(tx, id).await?;
        let journal = law::mark_paid_outside(transaction.state, &transaction.terms).map_err(not_now)?;
        looked_through(tx, id).await?;
        let paid = PaidOutside { on: paid_on, at: paid_at, reference, otherwise: false };
        transactions::close_outside(tx, id, &paid, now).await?;
        let booked = (id.to_string(), Some(id.to_string()), journal);
        store::ledger::write_once(tx, now, &app.clock, &[booked]).await?;
        let detail = serde_json::json!({ "reference": reference, "paid_on": paid_on });
        note(tx, app, actor, id, "marked_paid_outside", detail).await?;
        let after = transactions::find(tx, &id.to_string()).await?;
        idempotency::finish(tx, once, &after).await?;
        Ok(after)
    })
}

/// The day on which a payment was made outside; at the latest today somewhere on earth. Monthly and yearly totals count it
/// on that day, so a future day would remove it from what has been paid.
///
/// # Errors
/// [`OpsError::Refused`] if it is not a date, or is in the future.
pub(super) fn paid_day(app: &App, paid_on: &str) -> Result<i64> {
    let refused = |code, told: String| OpsError::from(Refusal::new(code, told).at("paid_on"));
    let day = clock::day(paid_on, "Write the date like 2026-01-31.")
        .map_err(|told| refused("invalid_date", told))?;
    if day > app.clock.now().saturating_add(EASTMOST_US) {
        let message = format!(
            "{paid_on} is in the future. Write the day on which the payee was paid. Nothing was changed."
        );
        return Err(refused("date_to_come", message));
    }
    Ok(day)
}

/// The time zone furthest ahead of UTC.
const EASTMOST_US: i64 = 14 * 3_600_000_000;

/// Requests a poll of the vendor now; `work::settle` does it. What needs review is resumed: it is looked up again, and may
/// be found by now.
///
/// # Errors
/// [`OpsError::Missing`] if there is no such payment.
pub async fn ask_now(app: &App, actor: &Actor, id: TransactionId) -> Result<()> {
    transact!(app, |tx| {
        let now = app.clock.now();
        transactions::find(tx, &id.to_string()).await?;
        let attempts = transactions::attempts(tx, &[id]).await?;
        let waiting = attempts.into_iter().filter(|attempt| attempt.state == AttemptState::Review);
        let carriers: Vec<String> = waiting.filter_map(|attempt| attempt.submission).collect();
        // In safe mode the vendor is polled, but nothing is resumed.
        let asleep = safe_mode::on(tx).await?;
        let taken_up = match asleep {
            true => 0,
            false => store::submissions::take_up_again(tx, &carriers, now).await?,
        };
        if taken_up == 0 && !asleep && ended_for_good(tx, &carriers).await? {
            return Err(not_now(NotNow::RequestEnded));
        }
        if taken_up > 0 {
            // One person's opinion was given before this retry, so it no longer applies.
            let again = transactions::attempts_of_submissions(tx, &carriers).await?;
            let again: Vec<TransactionId> = again.iter().map(|one| one.transaction).collect();
            store::contradictions::forget_opinions(tx, &again).await?;
        }
        let detail = serde_json::json!({ "taken_up_again": taken_up }).to_string();
        let (actor, subject) = (actor.id.to_string(), id.to_string());
        tx.audit(audit::Entry { at: now, actor, action: "refresh_asked", subject, detail });
        Ok(transactions::ask_now(tx, &[id], now).await?)
    })?;
    app.nudge.settle.notify();
    app.nudge.dispatch.notify();
    app.nudge.look_for.notify();
    Ok(())
}

/// Whether a request that needs review was already ended together with another payment it carried.
async fn ended_for_good(db: &mut store::Db, carriers: &[String]) -> Result<bool> {
    let carried = store::submissions::several(db, carriers).await?;
    Ok(carried.iter().any(|one| one.state == SubmissionState::Refused && one.vendor_id.is_none()))
}

/// Refuses to release a payment that the database may be too old for: the lost database may have sent it again.
async fn looked_through(tx: &mut Tx, id: TransactionId) -> Result<()> {
    nothing_found(tx, id).await?;
    if put_back::to_look_for(tx, &[id]).await?.is_empty() {
        return Ok(());
    }
    let message = "The database was restored after Pay was pressed for this payment, and Bursar has not searched Stripe for it since, or Stripe has a record of it that is missing here, so it may have been paid. Nothing was changed. Bursar searches by itself; resubmit the payment instead, and Bursar adopts what Stripe has.";
    Err(OpsError::Conflict(Refusal::new("not_looked_through", message)))
}

async fn nothing_found(tx: &mut Tx, id: TransactionId) -> Result<()> {
    if !put_back::any_found(tx, Some(id)).await? {
        return Ok(());
    }
    let message = "The vendor has a record of this payment that this database lacks, because it was restored. Nothing was changed. Safe mode lists it: settle this payment by hand, as made under that id, or as not made if the vendor shows that no money moved.";
    Err(OpsError::Conflict(Refusal::new("unknown_at_vendor", message)))
}

/// Locks the transaction until this database transaction ends; refuses if it is closed or contradicted.
async fn locked(tx: &mut Tx, id: TransactionId) -> Result<Transaction> {
    let transaction = open(tx, id).await?;
    if transaction.contradicted_at.is_some() { Err(not_now(NotNow::Contradicted)) } else { Ok(transaction) }
}

/// Locks the transaction until this database transaction ends; refuses if it is closed.
async fn open(tx: &mut Tx, id: TransactionId) -> Result<Transaction> {
    let transaction = held(tx, id).await?;
    match transaction.closed_as() {
        Some(why) => Err(not_now(why)),
        None => Ok(transaction),
    }
}

/// Locks the transaction until this database transaction ends.
pub(super) async fn held(tx: &mut Tx, id: TransactionId) -> Result<Transaction> {
    safe_mode::refuse(tx, id).await?;
    let mut found = transactions::lock(tx, &[id]).await?;
    found.remove(&id).ok_or(OpsError::Missing)
}

pub(super) fn not_now(why: NotNow) -> OpsError {
    OpsError::Conflict(Refusal::new(why.code(), why.sentence()))
}

pub(super) async fn note(
    tx: &mut Tx,
    app: &App,
    actor: &Actor,
    id: TransactionId,
    action: &'static str,
    detail: serde_json::Value,
) -> Result<()> {
    note_said(tx, app, actor, id, (action, actor.name.clone()), detail).await
}

/// The same, with a detail beyond who did it.
pub(super) async fn note_said(
    tx: &mut Tx,
    app: &App,
    actor: &Actor,
    id: TransactionId,
    (action, told): (&'static str, String),
    detail: serde_json::Value,
) -> Result<()> {
    let now = app.clock.now();
    let line = Line {
        transaction: id,
        at: now,
        source: "person",
        effect: action.to_owned(),
        detail: Some(told),
        event_id: None,
    };
    transactions::write_timeline(tx, &[line], payout::ids::fresh(now, app.clock.in_turn())).await?;
    let (actor, subject) = (actor.id.to_string(), id.to_string());
    tx.audit(audit::Entry { at: now, actor, action, subject, detail: detail.to_string() });
    Ok(())
}

/// Whether a requested reversal is still in progress.
pub fn recalling(transaction: &Transaction) -> bool {
    transaction.state == State::Recalling
}
