//! Transferred money that a connected balance does not hold, or holds no more. Every connected account is put on the manual
//! schedule when it is connected; where somebody has put it back, Stripe pays out whatever the account holds, and our money
//! with it. Such a payout settles the leg that would have paid the same money, and is matched by the balance transactions it
//! took; also where the money lay parked after the payee's bank had refused it, and wherever the payee is paid since. Or
//! somebody has reversed the transfer. Or the money is gone: then a person is told, after a while.
//!
//! What is deliberately not here: guessing by amount or date.

use std::collections::{HashMap, HashSet};

use payout::deadline;
use payout::eligibility::Code;
use payout::ids::TransactionId;
use payout::money::Vendor;
use payout::transaction::{AttemptState, Fact, Leg, Reason, State};
use vendors::ReadError;
use vendors::stripe::balance::BalanceTransaction;
use vendors::stripe::{ConnectedAccount, Stripe, payout as bank};

use super::answer::Looked;
use super::dispatch::Ready;
use super::{Work, bank_payouts, beside, settle};
use crate::ops::record::Heard;
use crate::ops::{Result, by_hand};
use crate::store::transactions::{self, Attempt, Transaction};

/// A payout whose money is not there to be paid out.
pub(super) struct Gone {
    pub(super) ready: Ready,
    /// Why it is not, in words, and since when it must be there to be called missing.
    pub(super) why: Why,
}

/// Why money cannot be paid out.
#[derive(Clone)]
pub(super) enum Why {
    /// The balance holds less than was transferred.
    Short,
    /// It is held, and has not become available for long.
    Unavailable,
    /// What is available may be taken by another payment's payout, whose outcome a person is finding out.
    Promised,
    /// Stripe shows it as available and refuses each payout of it.
    Refused,
    /// Stripe does not show the balance to us: its words.
    Hidden(String),
    /// What Stripe says of the balance cannot be read.
    Unreadable(String),
}

impl Why {
    /// The balance was asked about and not told.
    pub(super) fn not_told(error: &ReadError) -> Self {
        let words = error.to_string();
        if matches!(error, ReadError::Unreadable(_)) { Self::Unreadable(words) } else { Self::Hidden(words) }
    }

    /// For so long it is waited for.
    fn patience_us(&self) -> i64 {
        match self {
            Self::Short | Self::Refused => deadline::MISSING_US,
            Self::Unavailable | Self::Unreadable(_) => deadline::UNAVAILABLE_US,
            Self::Promised => i64::MAX,
            Self::Hidden(_) => deadline::UNSEEN_US,
        }
    }

    fn reason(&self) -> Reason {
        match self {
            Self::Short => {
                Reason::new(Code::MoneyMissing.as_str(), "The balance holds less than was transferred to it.")
            }
            Self::Refused => Reason::new(
                "funds_refused",
                "The balance shows the money as available, and its payout is refused each time.",
            ),
            Self::Unavailable | Self::Promised => Reason::new(
                Code::MoneyMissing.as_str(),
                "The balance holds money, but what was transferred for this payment has not become available.",
            ),
            Self::Hidden(words) => Reason::new("not_shown_by_vendor", words.as_str()),
            Self::Unreadable(words) => Reason::new("vendor_not_understood", words.as_str()),
        }
    }
}

/// Finds out what became of the money of these payouts, all of one account: which Stripe has paid out by itself, which was
/// taken back, and which is missing for so long that a person must look. Answers those as facts, and the rest.
///
/// # Errors
/// When the database does not answer. A vendor that does not answer settles nothing.
pub(super) async fn look(
    work: &Work,
    stripe: &Stripe,
    gone: Vec<Gone>,
    now: i64,
) -> Result<(Vec<(Attempt, Heard)>, Vec<Ready>)> {
    let account =
        gone.first().and_then(|one| ConnectedAccount::parse(one.ready.transaction.destination.address()));
    let account = account.filter(|_| !payout::planted::on("swept_unseen"));
    let Some(account) = account else {
        return Ok((Vec::new(), gone.into_iter().map(|one| one.ready).collect()));
    };
    let ids: Vec<TransactionId> = gone.iter().map(|one| one.ready.transaction.id).collect();
    let attempts = transactions::attempts(&mut work.app.store.read().await?, &ids).await?;
    let mut taken = match work.ask(Vendor::Stripe, taken(stripe, &account, &gone, &attempts)).await {
        Ok(taken) => taken,
        // An answer, and none that could be used: it must not keep from a person what has waited for long.
        Err(ReadError::Unreadable(why)) => {
            tracing::warn!(%account, why, "an account could not be looked through: the answer cannot be read");
            HashMap::new()
        }
        Err(error) => {
            tracing::warn!(%account, %error, "an account holds less than was transferred to it, and could not be looked through");
            return Ok((Vec::new(), gone.into_iter().map(|one| one.ready).collect()));
        }
    };
    let (mut settled, mut still) = (Vec::new(), Vec::new());
    for one in gone {
        let Gone { ready, why } = one;
        let age = ready.waited_us(now);
        let taken = taken.remove(&ready.transaction.id);
        // It may have gone to the bank before it came back, which is not shown, or not yet.
        if let Some(heard) = taken.as_ref().filter(|heard| came_back(heard) && age < deadline::UNSEEN_US)
            && (matches!(why, Why::Hidden(_) | Why::Unreadable(_))
                || bank_payouts::look_again(work, ready.transaction.id).await? == Looked::NotAnswered)
        {
            tracing::warn!(payment = %ready.transaction.id, facts = heard.len(), "its transfer came back; what took its money before is looked for first");
            still.push(ready);
            continue;
        }
        match taken {
            Some(heard) => settled.extend(heard.into_iter().map(|heard| (ready.attempt.clone(), heard))),
            None if age >= why.patience_us() => {
                let reason = why.reason();
                let detail = reason.message.clone();
                let heard = heard(&ready.attempt, Fact::OutOfSight(Leg::Payout, reason), detail);
                settled.push((ready.attempt, heard));
            }
            None => still.push(ready),
        }
    }
    Ok((settled, still))
}

/// What became of each payment's money: the payout of Stripe's own that took it, or the reversal of its transfer, whole or in
/// part, with what is to be booked of that.
async fn taken(
    stripe: &Stripe,
    account: &ConnectedAccount,
    gone: &[Gone],
    attempts: &[Attempt],
) -> std::result::Result<HashMap<TransactionId, Vec<Heard>>, ReadError> {
    let (mut found, mut traces) = (HashMap::new(), Vec::new());
    for one in gone {
        let of = &one.ready.transaction;
        let own: Vec<&Attempt> = attempts.iter().filter(|attempt| attempt.transaction == of.id).collect();
        let Some(attempt) = own.iter().find(|one| one.leg == Leg::Transfer && !one.state.ended()) else {
            continue;
        };
        let Some(object) = &attempt.vendor_id else { continue };
        let transfer = stripe.transfer(object).await?;
        let (told, facts) = settle::transfer_facts(&transfer);
        let back = facts.contains(&Fact::TransferReversed);
        if !facts.is_empty() {
            let detail = format!("Stripe says {told}");
            found.insert(of.id, facts.into_iter().map(|fact| heard(attempt, fact, detail.clone())).collect());
        }
        // It may have been paid out before it was taken back: then the payee has it.
        if let Some(payment) = transfer.destination_payment.filter(|_| back || !found.contains_key(&of.id)) {
            traces.push(Trace::of(of, &own, named_as(stripe, (object, back), payment).await?));
        }
    }
    let shown = gone.iter().any(|one| !matches!(one.why, Why::Hidden(_) | Why::Unreadable(_)));
    if traces.is_empty() || !shown {
        return Ok(found);
    }
    let since = gone.iter().map(|one| beside::since(&one.ready.transaction)).min().unwrap_or_default();
    let by_schedule = by_schedule(stripe, account, since, traces).await?;
    for one in gone {
        let id = one.ready.transaction.id;
        if let Some((payout, fact)) = by_schedule.found.get(&id) {
            let told = heard(&one.ready.attempt, fact.clone(), words(payout));
            let told = Heard { vendor_id: Some(payout.clone()), ..told };
            found.entry(id).or_default().insert(0, told);
        } else if by_schedule.in_progress && found.get(&id).is_some_and(|heard| came_back(heard)) {
            // What took it before may not be told yet.
            found.remove(&id);
        }
    }
    Ok(found)
}

/// By what the entries of a payee's balance name a transfer: the payment that it is there, and what took it back.
pub(super) async fn named_as(
    stripe: &Stripe,
    (transfer, came_back): (&str, bool),
    payment: String,
) -> std::result::Result<Vec<String>, ReadError> {
    let back = if came_back { stripe.reversals(transfer).await? } else { Vec::new() };
    let back = back.into_iter().flat_map(|one| [Some(one.id), one.destination_payment_refund]);
    Ok([Some(payment)].into_iter().chain(back).flatten().collect())
}

/// Whether all of a transfer has come back.
pub(super) fn came_back(heard: &[Heard]) -> bool {
    heard.iter().any(|one| one.fact == Fact::TransferReversed)
}

/// What is noted of money that Stripe's own schedule has paid out.
pub(super) fn words(payout: &str) -> String {
    format!("Stripe paid it out by its own schedule, with {payout}")
}

/// By what the entries of a payee's balance tell a payment's money from any other.
pub(super) struct Trace {
    of: TransactionId,
    /// The payment that its transfer is there, and our own payouts of it: what came in, went out, and was given back.
    own: Vec<String>,
    /// Payouts of Stripe's own that took it together with other money: when one fails, all of that comes back in one entry.
    shared: Vec<String>,
    /// A payout of ours may have been made whose id is not known here: one that has not ended, or that people have called
    /// not made. It would be of so many of Stripe's units. One that Stripe has refused was made by nobody.
    unknown_units: Option<i64>,
    /// Bank payouts that are known to be other payments'.
    others: HashSet<String>,
}

/// Whether a payout took a payment's money.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Lies {
    /// It did.
    Here,
    /// It did, or it took what a payout of ours had left there whose id is not known here.
    Perhaps,
    /// It did not.
    Elsewhere,
}

impl Trace {
    /// The trace of a payment whose transfer has these names in the payee's balance.
    pub(super) fn of(transaction: &Transaction, attempts: &[&Attempt], named_as: Vec<String>) -> Self {
        let (mut own, mut shared, mut unknown) = (named_as, Vec::new(), false);
        for attempt in attempts.iter().filter(|one| one.leg == Leg::Payout) {
            match (&attempt.vendor_id, &attempt.submission) {
                (Some(id), Some(_)) => own.push(id.clone()),
                (Some(id), None) => shared.push(id.clone()),
                (None, Some(_)) => unknown |= !attempt.state.ended() || by_hand::called_not_made(attempt),
                (None, None) => {}
            }
        }
        let units = transaction.terms.net.at(Vendor::Stripe).map_or(0, |amount| amount.units);
        let unknown_units = unknown.then_some(units);
        Self { of: transaction.id, own, shared, unknown_units, others: HashSet::new() }
    }

    /// The same, knowing bank payouts to the same account that are other payments'.
    pub(super) fn beside(self, others: HashSet<String>) -> Self {
        Self { others, ..self }
    }

    /// The same where the account was looked through for payouts of ours, and shows none that is not known here.
    pub(super) fn looked_through(self) -> Self {
        Self { unknown_units: None, ..self }
    }

    /// Whether a payout that took these entries took the payment's money. The payout's own entry is not among them.
    fn lies_in(&self, entries: &[BalanceTransaction]) -> Lies {
        let from = |sources: &[String], entry: &BalanceTransaction| {
            entry.source.as_ref().is_some_and(|source| sources.contains(source))
        };
        let own: i64 =
            entries.iter().filter(|entry| from(&self.own, entry)).map(|entry| entry.amount_units).sum();
        let shared = entries.iter().any(|entry| from(&self.shared, entry) && entry.amount_units > 0);
        let may_be_ours = |entry: &BalanceTransaction| {
            let known = entry.source.as_ref().is_some_and(|source| self.others.contains(source));
            Some(-entry.amount_units) == self.unknown_units && !known && !from(&self.own, entry)
        };
        match own > 0 || (own == 0 && shared) {
            true if entries.iter().any(may_be_ours) => Lies::Perhaps,
            true => Lies::Here,
            false => Lies::Elsewhere,
        }
    }
}

/// What Stripe's own schedule has paid out.
pub(super) struct BySchedule {
    /// The payout that has a payment's money, and how it stands.
    pub(super) found: HashMap<TransactionId, (String, Fact)>,
    /// Of one of the payouts Stripe has not told everything yet that it took, or not in a word that we know whether it went
    /// out, or it took as much as a payout of ours that is not known here would have left: what was not found may be in it.
    pub(super) in_progress: bool,
}

/// Which payouts of Stripe's own schedule took the money of these payments, all to one account, and how each stands. One that
/// failed has given it back, and a later one may have taken it again. The account is put on the manual schedule again.
///
/// # Errors
/// When Stripe does not answer, or does not show the account to us.
pub(super) async fn by_schedule(
    stripe: &Stripe,
    account: &ConnectedAccount,
    since: i64,
    mut traces: Vec<Trace>,
) -> std::result::Result<BySchedule, ReadError> {
    let all = stripe.payouts_since(account, since).await?;
    for payout in all.iter().filter(|payout| payout.fetched_back) {
        // What came back of a payout of ours comes back under the id of the one that fetched it.
        let own = traces.iter_mut().filter(|trace| trace.own.contains(&payout.id));
        own.for_each(|trace| trace.own.extend(payout.reversed_by.clone()));
    }
    let mut automatic: Vec<bank::Payout> = all.into_iter().filter(|payout| payout.automatic).collect();
    automatic.sort_by(|one, other| (one.created, &one.id).cmp(&(other.created, &other.id)));
    let (mut found, mut in_progress) = (HashMap::new(), false);
    for payout in automatic {
        let fact = bank::fact(&payout);
        let mut entries = stripe.balance_transactions_of_payout(account, &payout.id).await?;
        // Stripe lists what the payout itself took from the balance among them: where it pays one payment, as much as a
        // payout of ours would have.
        entries.retain(|entry| entry.source.as_ref() != Some(&payout.id));
        let Some(fact) = fact else {
            // Whether it went out is not known, so what it took may be with the payee.
            in_progress |= payout.reconciliation_status == bank::IN_PROGRESS
                || traces.iter().any(|trace| trace.lies_in(&entries) != Lies::Elsewhere);
            continue;
        };
        let out = matches!(fact, Fact::PayoutMade | Fact::PayoutPaid);
        in_progress |= out && payout.reconciliation_status == bank::IN_PROGRESS;
        in_progress |= out && traces.iter().any(|trace| trace.lies_in(&entries) == Lies::Perhaps);
        for trace in traces.iter_mut().filter(|trace| trace.lies_in(&entries) == Lies::Here) {
            if out {
                found.insert(trace.of, (payout.id.clone(), fact.clone()));
            } else {
                found.remove(&trace.of);
                trace.shared.push(payout.id.clone());
                trace.shared.extend(payout.reversed_by.clone());
            }
        }
    }
    if !found.is_empty() || in_progress {
        tracing::warn!(%account, settled = found.len(), "Stripe paid an account out by its own schedule; it is set to the manual one again");
        if let Err(error) = stripe.set_manual_schedule(account).await {
            tracing::warn!(%account, %error, "an account could not be put on the manual schedule");
        }
    }
    Ok(BySchedule { found, in_progress })
}

/// Whether money should lie in the payee's balance, from where Stripe's own schedule may pay it out: parked, given up, or
/// missing before a payout of ours was ever sent. What two people have settled as paid otherwise is theirs.
pub(super) fn lies_there(of: &Transaction, attempts: &[&Attempt]) -> bool {
    match of.state {
        State::PayoutFailed | State::PayoutCanceled => true,
        State::WrittenOff => of.otherwise_at.is_none(),
        State::PayoutReview => missing(attempts).is_some(),
        State::Queued
        | State::Sending
        | State::Unknown
        | State::Review
        | State::Processing
        | State::OnHold
        | State::Unclaimed
        | State::Transferred
        | State::PayoutSending
        | State::PayoutUnknown
        | State::InTransit
        | State::Success
        | State::Failed
        | State::Recalling
        | State::Recalled
        | State::Returned
        | State::Blocked
        | State::Refunded
        | State::Reversed => false,
    }
}

/// The bank payout of which nothing was ever sent: it waits for its money, or for a person, because that was not there.
fn missing<'a>(attempts: &[&'a Attempt]) -> Option<&'a Attempt> {
    let waits = |one: &&&Attempt| {
        one.leg == Leg::Payout && matches!(one.state, AttemptState::Queued | AttemptState::Review)
    };
    attempts.iter().find(waits).copied().filter(|one| one.submission.is_none())
}

/// A transfer's money should lie in the payee's balance, or was taken back from there: whether Stripe's own schedule has paid
/// it out before, wherever the payee is paid now. Answers what is to be noted beside how the transfer stands, and what has
/// happened.
pub(super) async fn since_parked(
    stripe: &Stripe,
    (of, transfer, payouts): (&Transaction, &Attempt, &[Attempt]),
    named_as: Vec<String>,
    source: &'static str,
) -> std::result::Result<(String, Option<Heard>), ReadError> {
    let Some(account) = ConnectedAccount::parse(of.destination.address()) else {
        return Ok((String::new(), None));
    };
    let payouts: Vec<&Attempt> = payouts.iter().collect();
    let trace = Trace::of(of, &payouts, named_as);
    match by_schedule(stripe, &account, beside::since(of), vec![trace]).await {
        Ok(BySchedule { found, in_progress }) => {
            let Some((payout, fact)) = found.get(&of.id) else {
                let untold = "; what the payouts of the payee's account took is not all told yet";
                return Ok((if in_progress { untold.to_owned() } else { String::new() }, None));
            };
            let told = match missing(&payouts) {
                Some(waits) => {
                    Heard { vendor_id: Some(payout.clone()), ..heard(waits, fact.clone(), words(payout)) }
                }
                None => heard(transfer, swept(payout, fact), words(payout)),
            };
            Ok((format!("; {}", words(payout)), Some(Heard { source, ..told })))
        }
        // The transfer was shown, and it stands: that is an answer.
        Err(error @ (ReadError::Missing | ReadError::Refused { .. })) => {
            Ok((format!("; the payouts of the payee's account are not shown to us ({error})"), None))
        }
        Err(error) => Err(error),
    }
}

/// Parked money that a payout of Stripe's own took: the fact about its transfer.
pub(super) fn swept(payout: &str, fact: &Fact) -> Fact {
    Fact::Swept { payout: payout.to_owned(), arrived: *fact == Fact::PayoutPaid }
}

fn heard(attempt: &Attempt, fact: Fact, detail: String) -> Heard {
    Heard {
        transaction: attempt.transaction,
        attempt: attempt.id,
        fact,
        detail: Some(detail),
        vendor_id: None,
        submission: None,
        source: "poll",
        event_id: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(source: &str, amount_units: i64) -> BalanceTransaction {
        BalanceTransaction {
            id: format!("txn_{source}"),
            amount_units,
            currency: "usd".to_owned(),
            kind: "payment".to_owned(),
            source: Some(source.to_owned()),
        }
    }

    #[test]
    fn what_was_taken_back_before_is_not_in_a_payout() {
        let own = ["py_1", "trr_1", "pyr_1"].map(str::to_owned).to_vec();
        let trace = Trace {
            of: TransactionId::fresh(0, 1),
            own,
            shared: Vec::new(),
            unknown_units: None,
            others: HashSet::new(),
        };
        let took = [entry("py_1", 7_500), entry("py_2", 5_000)];
        assert_eq!(trace.lies_in(&took), Lies::Here);
        for back in ["trr_1", "pyr_1"] {
            let took = [entry("py_1", 7_500), entry(back, -7_500), entry("py_2", 5_000)];
            assert_eq!(trace.lies_in(&took), Lies::Elsewhere, "{back}");
        }
    }
}
