//! What a leg must pass to be sent: checked by `dispatch` before it commits a submission, and by `last_gates` before
//! sending. Not here: the gates' messages and remedies (`payout::eligibility`), and sending (`send`).

use std::collections::{HashMap, HashSet};

use payout::eligibility::{self, BeforeSend, Code};
use payout::ids::{BatchId, TransactionId};
use payout::money::Vendor;
use payout::transaction::Leg;

use super::submission::Back;
use crate::ops::Result;
use crate::ops::gates::Gates;
use crate::store;
use crate::store::transactions::{self, Attempt, Transaction};
use crate::work::Work;

/// The vendors that reject our credentials and are not due for a retry.
pub(super) fn paused(connections: &[store::vendors::Connection], now: i64) -> Vec<Vendor> {
    let paused = connections.iter().filter(|connection| connection.rejected_at.is_some());
    let resting = paused.filter(|connection| connection.retry_at.is_some_and(|at| at > now));
    resting.map(|connection| connection.vendor).collect()
}

/// The payments of attempts that build on another leg: bank payouts, reversals and cancellations.
pub(super) fn built_on_another(attempts: &[Attempt]) -> Vec<TransactionId> {
    let built = attempts.iter().filter(|one| takes_back(one.leg) || one.leg == Leg::Payout);
    built.map(|one| one.transaction).collect()
}

/// A reversal or cancellation of our own money only requires that the vendor is reachable. Payments must pass every
/// gate, and a bank payout also needs its transfer intact: other money in that balance belongs to other payments.
pub(super) fn gate(
    attempt: &Attempt,
    (transaction, made): (&Transaction, Option<&Back>),
    gates: &Gates,
    paused: &[Vendor],
    now: i64,
) -> BeforeSend {
    if paused.contains(&transaction.terms.vendor) {
        return BeforeSend::Wait(Code::VendorCredentialsRejected);
    }
    if takes_back(attempt.leg) {
        // The payee may already have the money of a contradicted payment; a reversal would take another payment's.
        let waits = attempt.leg == Leg::Reversal && transaction.contradicted_at.is_some();
        return if waits { BeforeSend::Wait(Code::PaymentContradicted) } else { BeforeSend::Open };
    }
    let reversed = attempt.leg == Leg::Payout && made.is_some_and(|transfer| transfer.part_minor > 0);
    if reversed {
        return BeforeSend::Stop(Code::TransferReversed);
    }
    // A reversal of the transfer was reported; first find out whether something took its money earlier.
    if attempt.leg == Leg::Payout && transaction.reversal_seen_at.is_some() {
        return BeforeSend::Wait(Code::TransferReversed);
    }
    let codes = gates.before_send(transaction, now);
    let profile = gates.profile(transaction.terms.payee);
    let frozen = &transaction.fingerprint;
    let same = profile.is_some_and(|profile| profile.fingerprint == *frozen)
        && transaction.destination.fingerprint() == *frozen;
    let same = same || payout::planted::on("changed_destination_sent");
    eligibility::before_send(&codes, same, false)
}

/// Whether a leg takes our own money back rather than paying.
pub(super) fn takes_back(leg: Leg) -> bool {
    match leg {
        Leg::Reversal | Leg::Cancel => true,
        Leg::Transfer | Leg::Payout | Leg::Item => false,
    }
}

/// The result of re-checking submissions before they are sent.
#[derive(Default)]
pub(super) struct GateRecheck {
    /// The closed gates of each submission's payments, by submission id; submissions without any are left out.
    pub(super) closed: HashMap<String, Vec<(TransactionId, BeforeSend)>>,
    /// The payments each submission carries that have not ended.
    pub(super) carried: HashMap<String, HashSet<String>>,
    /// The vendor object that already paid what a bank payout of ours would pay.
    pub(super) paid: HashMap<String, String>,
}

/// Re-checks the gates of everything these submissions carry.
pub(super) async fn closed_gates(work: &Work, submissions: &[String], now: i64) -> Result<GateRecheck> {
    let mut asked = GateRecheck::default();
    if submissions.is_empty() {
        return Ok(asked);
    }
    let mut db = work.app.store.read().await?;
    let attempts = transactions::attempts_of_submissions(&mut db, submissions).await?;
    let ids: Vec<TransactionId> = attempts.iter().map(|attempt| attempt.transaction).collect();
    let found: HashMap<TransactionId, Transaction> =
        transactions::several(&mut db, &ids).await?.into_iter().map(|one| (one.id, one)).collect();
    let gates = Gates::read(&mut db, found.values().map(|one| one.terms.payee)).await?;
    let batches: Vec<BatchId> = found.values().map(|one| one.batch).collect();
    let gates = gates.within(&mut db, &batches).await?;
    let paused = paused(&store::vendors::all(&mut db).await?, now);
    let made = transfers_of(&mut db, &built_on_another(&attempts)).await?;
    drop(db);
    for attempt in &attempts {
        let (Some(transaction), Some(submission)) = (found.get(&attempt.transaction), &attempt.submission)
        else {
            continue;
        };
        if !attempt.state.ended() {
            asked.carried.entry(submission.clone()).or_default().insert(transaction.id.to_string());
        }
        if let (Leg::Payout, Some(object)) = (attempt.leg, &attempt.vendor_id) {
            asked.paid.insert(submission.clone(), object.clone());
        }
        let gate = gate(attempt, (transaction, made.get(&transaction.id)), &gates, &paused, now);
        if gate != BeforeSend::Open {
            asked.closed.entry(submission.clone()).or_default().push((transaction.id, gate));
        }
    }
    Ok(asked)
}

/// The transfer or PayPal item of each transaction, unless it has ended.
pub(super) async fn transfers_of(
    db: &mut store::Db,
    ids: &[TransactionId],
) -> Result<HashMap<TransactionId, Back>> {
    let attempts = transactions::attempts(db, ids).await?;
    let made = |attempt: &Attempt| match attempt.leg {
        Leg::Transfer | Leg::Item => !attempt.state.ended(),
        Leg::Payout | Leg::Reversal | Leg::Cancel => false,
    };
    let transfers = attempts.into_iter().filter(made);
    let back = |attempt: Attempt| {
        Some((attempt.transaction, Back { object: attempt.vendor_id?, part_minor: attempt.reversed_minor }))
    };
    Ok(transfers.filter_map(back).collect())
}
