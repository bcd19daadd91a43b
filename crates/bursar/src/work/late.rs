//! What is sent later than it was decided. A bank payout takes whatever its account holds, and a reversal whatever Stripe
//! lets it: what was transferred for a payment may have been paid out by Stripe's own schedule meanwhile, and then what lies
//! there is another payment's. So before the first byte of either leaves late, or leaves again, it is asked whether the
//! schedule took the money. What is deliberately not here: how that is found out (`swept`, `prove`, `settle`).

use payout::deadline;
use payout::ids::TransactionId;
use payout::transaction::State;
use vendors::{MoneyKind, ReadError};

use super::answer::Looked;
use super::send::{self, Answered};
use super::verdict::Judged;
use super::{Work, prove, settle};
use crate::ops::Result;
use crate::store::submissions::Submission;
use crate::store::transactions::{self, Transaction};

/// A schedule pays out what has become available by then, at the end of a day (UTC).
const DAY_US: i64 = 86_400_000_000;
const HOUR_US: i64 = 3_600_000_000;
/// What was decided so lately was looked at then.
const FRESH_US: i64 = 300_000_000;

/// Whether what was transferred for a payment has lain there for so long that a schedule may have taken it.
pub(super) fn is_late(of: &Transaction, now: i64) -> bool {
    let since = of.left_at.unwrap_or(of.state_at);
    let lain = now.saturating_sub(since) > HOUR_US || now / DAY_US != since / DAY_US;
    lain && !payout::planted::on("swept_unseen")
}

/// Looks before a bank payout or a reversal is sent that was decided a while ago, or may have been carried out. Answers what
/// becomes of it where it is not sent now.
pub(super) async fn look(work: &Work, of: &Submission, now: i64) -> Option<Answered> {
    let waited = now.saturating_sub(of.created_at) > FRESH_US || now / DAY_US != of.created_at / DAY_US;
    let looked = match MoneyKind::parse(&of.kind) {
        Some(MoneyKind::Payout) if waited || of.doubts > 0 => payout(work, of, now).await,
        Some(MoneyKind::Reversal) => reversal(work, of, now).await,
        Some(MoneyKind::Transfer | MoneyKind::Payout | MoneyKind::Batch | MoneyKind::Cancel) | None => {
            return None;
        }
    };
    looked.unwrap_or_else(|error| {
        tracing::warn!(?error, key = of.key, "it could not be read where the money lies; nothing was sent");
        Some(waits(work, of, now))
    })
}

fn waits(work: &Work, of: &Submission, now: i64) -> Answered {
    send::unsent(of.clone(), now + work.app.config.longest_wait_us())
}

/// The payment that a request of one is about.
async fn payment(work: &Work, of: &Submission) -> Result<Option<Transaction>> {
    let mut db = work.app.store.read().await?;
    let carried = transactions::attempts_of_submissions(&mut db, std::slice::from_ref(&of.id)).await?;
    let ids: Vec<TransactionId> = carried.iter().map(|one| one.transaction).collect();
    Ok(transactions::several(&mut db, &ids).await?.into_iter().next())
}

/// What a payout of Stripe's own has paid is not paid once more. An account that is not shown to us says so to the request.
async fn payout(work: &Work, of: &Submission, now: i64) -> Result<Option<Answered>> {
    let Some(payment) = payment(work, of).await?.filter(|payment| is_late(payment, now)) else {
        return Ok(None);
    };
    Ok(match prove::paid_by_schedule(work, payment.id, false).await? {
        Ok(None) | Err(ReadError::Missing | ReadError::Refused { .. }) => None,
        Ok(Some((id, fact))) => Some(Answered::found(of.clone(), Judged::accepted(of, &id, "found"), fact)),
        Err(error) => {
            tracing::warn!(%error, key = of.key, "what a payee's balance has paid out is not told; nothing was sent");
            Some(waits(work, of, now))
        }
    })
}

/// What was paid out, or is back, is not fetched back once more. Where the account is hidden, it is not waited for longer than
/// for a transfer that came back.
async fn reversal(work: &Work, of: &Submission, now: i64) -> Result<Option<Answered>> {
    let asked_for_long = |of: &Transaction| now.saturating_sub(of.state_at) > FRESH_US;
    // By when it was asked for: what keeps it from being sent keeps it from being decided as well.
    let Some(before) = payment(work, of).await?.filter(asked_for_long) else { return Ok(None) };
    let looked = settle::look_before(work, before.id).await?;
    let Some(payment) = payment(work, of).await? else { return Ok(None) };
    let for_long = now.saturating_sub(payment.state_at) >= deadline::UNSEEN_US;
    let stands = payment.state == State::Recalling;
    let may = looked == Looked::Through || (looked == Looked::NotShown && for_long);
    Ok((!(stands && may)).then(|| waits(work, of, now)))
}
