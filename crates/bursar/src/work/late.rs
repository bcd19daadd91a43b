//! Late sends. A bank payout takes whatever its account holds, and a reversal whatever Stripe allows. Meanwhile
//! Stripe's automatic schedule may have paid out the transfer's money, and what remains belongs to another payment. So
//! before a bank payout is sent late or again, and before every send of a reversal, check whether the schedule took the
//! money or somebody reversed the transfer. Not here: how that is found out (`scheduled_payouts`, `prove`, `settle`).

use payout::deadline;
use payout::eligibility::Code;
use payout::ids::TransactionId;
use payout::transaction::State;
use vendors::{MoneyKind, ReadError};

use super::answer::LookupOutcome;
use super::prove::{LookupDepth, MoneyLocation};
use super::submission::{self, Answered};
use super::verdict::Judgment;
use super::{Work, last_gates, prove, settle};
use crate::ops::Result;
use crate::ops::record::PAID_OUT;
use crate::store::submissions::Submission;
use crate::store::transactions::{self, Transaction};
use crate::transact;

/// A schedule pays out at the end of a UTC day what has become available by then.
const DAY_US: i64 = 86_400_000_000;
const HOUR_US: i64 = 3_600_000_000;
/// A decision younger than this needs no new check.
const FRESH_US: i64 = 300_000_000;

/// Whether a payment's transferred money has been in the balance long enough for a schedule to have taken it.
pub(super) fn is_late(of: &Transaction, now: i64) -> bool {
    let since = of.left_at.unwrap_or(of.state_at);
    let lain = now.saturating_sub(since) > HOUR_US || other_day(since, now);
    lain && !payout::planted::on("swept_unseen")
}

/// Whether a schedule may have paid out between two times, however close they are.
pub(super) fn other_day(one: i64, other: i64) -> bool {
    one.div_euclid(DAY_US) != other.div_euclid(DAY_US)
}

/// Checks before sending a bank payout that was decided a while ago or may have been executed, and before every send of
/// a reversal, which is manual and rare. Returns the result if it must not be sent now.
pub(super) async fn look(work: &Work, of: &Submission, now: i64) -> Option<Answered> {
    let waited = now.saturating_sub(of.created_at) > FRESH_US || other_day(of.created_at, now);
    let asks = !payout::planted::on("schedule_unasked");
    let looked = match MoneyKind::parse(&of.kind) {
        Some(MoneyKind::Payout) if asks && (waited || of.doubts > 0) => payout(work, of, now).await,
        Some(MoneyKind::Reversal) => reversal(work, of, now).await,
        Some(MoneyKind::Transfer | MoneyKind::Payout | MoneyKind::Batch | MoneyKind::Cancel) | None => {
            return None;
        }
    };
    looked.unwrap_or_else(|error| {
        tracing::warn!(?error, key = of.key, "it could not be read where the money is; nothing was sent");
        Some(waits(work, of, now))
    })
}

fn waits(work: &Work, of: &Submission, now: i64) -> Answered {
    submission::unsent(of.clone(), now + work.app.config.longest_wait_us())
}

/// The payment of a request that carries only one.
async fn payment(work: &Work, of: &Submission) -> Result<Option<Transaction>> {
    let mut db = work.app.store.read().await?;
    let carried = transactions::attempts_of_submissions(&mut db, std::slice::from_ref(&of.id)).await?;
    let ids: Vec<TransactionId> = carried.iter().map(|one| one.transaction).collect();
    Ok(transactions::several(&mut db, &ids).await?.into_iter().next())
}

/// Does not pay again what a payout of Stripe's own schedule has paid, or what has come back to us. If Stripe does not
/// show us the account, the send itself gets that answer.
async fn payout(work: &Work, of: &Submission, now: i64) -> Result<Option<Answered>> {
    let Some(payment) = payment(work, of).await? else { return Ok(None) };
    let asks = if is_late(&payment, now) { LookupDepth::Payouts } else { LookupDepth::Transfer };
    let location = prove::lies(work, payment.id, asks).await?;
    if let Ok(transfer_balance) = &location {
        note(work, &payment, matches!(transfer_balance, MoneyLocation::NotReported(_)), now).await?;
    }
    Ok(match location {
        Ok(MoneyLocation::There) | Err(ReadError::Missing | ReadError::Refused { .. }) => None,
        // It may have been made as well, so look it up; the payment by the schedule is learned from the transfer.
        Ok(MoneyLocation::PaidOut(..)) if of.doubts > 0 => {
            Some(Answered::unsent(of.clone(), last_gates::ended(of, PAID_OUT, now), Vec::new()))
        }
        Ok(MoneyLocation::PaidOut(id, fact)) => {
            Some(Answered::found(of.clone(), Judgment::accepted(of, &id, "found"), fact))
        }
        // Once that is recorded, a gate closes.
        Ok(MoneyLocation::CameBack) => {
            settle::look_before(work, payment.id).await?;
            Some(waits(work, of, now))
        }
        Ok(MoneyLocation::NotReported(why)) if untold_for_long(&payment, now) => {
            let message = format!(
                "Stripe has not reported for ten days what it paid out of the payee's balance ({why}), so this bank payout was not sent"
            );
            Some(Answered::unsent(of.clone(), Judgment::review(of, message), Vec::new()))
        }
        Ok(MoneyLocation::NotReported(why)) => {
            tracing::warn!(
                %why,
                key = of.key,
                "Stripe does not report what it paid out of a payee's balance; nothing was sent"
            );
            Some(waits(work, of, now))
        }
        Err(error) => {
            tracing::warn!(%error, key = of.key, "Stripe does not report what it paid out of a payee's balance; nothing was sent");
            Some(waits(work, of, now))
        }
    })
}

fn untold_for_long(of: &Transaction, now: i64) -> bool {
    of.unseen_since.is_some_and(|since| now.saturating_sub(since) > deadline::UNAVAILABLE_US)
}

/// Records since when Stripe does not report what left a payee's balance, or that it reports it again.
async fn note(work: &Work, of: &Transaction, untold: bool, now: i64) -> Result<()> {
    if untold == of.unseen_since.is_some() {
        return Ok(());
    }
    let app = &work.app;
    let one = std::slice::from_ref(&of.id);
    let (shown, unseen) = if untold { (&[][..], one) } else { (one, &[][..]) };
    transact!(app, |tx| { Ok(transactions::note_shown(tx, shown, unseen, now).await?) })
}

/// Does not reverse what was paid out or has come back. A hidden account is waited for no longer than a transfer that
/// came back.
async fn reversal(work: &Work, of: &Submission, now: i64) -> Result<Option<Answered>> {
    let Some(before) = payment(work, of).await? else { return Ok(None) };
    let looked = settle::look_before(work, before.id).await?;
    let Some(payment) = payment(work, of).await? else { return Ok(None) };
    if payment.state != State::Recalling {
        let why = if payment.state == State::Recalled { Code::TransferReversed.as_str() } else { PAID_OUT };
        return Ok(Some(Answered::unsent(of.clone(), last_gates::ended(of, why, now), Vec::new())));
    }
    let for_long = payment.unseen_since.is_some_and(|since| now.saturating_sub(since) >= deadline::UNSEEN_US);
    let may = looked == LookupOutcome::Through || (looked == LookupOutcome::NotShown && for_long);
    // A contradicted payment's money is with the payee; a reversal would take other money.
    Ok((!may || payment.contradicted_at.is_some()).then(|| waits(work, of, now)))
}
