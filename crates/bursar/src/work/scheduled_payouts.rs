//! Transferred money that a connected balance does not hold, or no longer holds. Connecting an account sets it to the
//! manual payout schedule; if somebody sets it back, Stripe pays out everything in the account, including our money.
//! Such a payout settles the leg that would have paid the same money, and is matched by the balance transactions it
//! covers. This also applies to money parked after the payee's bank refused it, money being reversed, and payees whose
//! destination has changed since. Or somebody reversed the transfer, or the money is missing: then a person is told
//! after a while.
//!
//! Not here: guessing by amount or date, and accepting that a transfer was reversed (`settle`).

use std::collections::{HashMap, HashSet};

use payout::deadline;
use payout::eligibility::Code;
use payout::ids::TransactionId;
use payout::money::Vendor;
use payout::transaction::{AttemptState, Fact, Leg, Reason, State};
use vendors::ReadError;
use vendors::stripe::balance::BalanceTransaction;
use vendors::stripe::{ConnectedAccount, Stripe, payout as bank};

use super::answer::{FoundPayouts, LookupOutcome, transfer_facts};
use super::submission::Ready;
use super::{Work, unknown_objects};
use crate::clock::Clock;
use crate::ops::Result;
use crate::ops::contradiction_text;
use crate::ops::record::Observation;
use crate::store::transactions::{self, Attempt, Transaction};

/// A bank payout that cannot be funded.
pub(super) struct UnpayablePayout {
    pub(super) ready: Ready,
    /// Why not; decides how long it may be missing before a person is told.
    pub(super) why: UnpayableReason,
}

/// Why money cannot be paid out.
#[derive(Clone)]
pub(super) enum UnpayableReason {
    /// The balance holds less than was transferred.
    Short,
    /// It is held but has not become available for a long time.
    Unavailable,
    /// The available money may be taken by another payment's payout, whose outcome a person is finding out.
    Promised,
    /// Stripe shows it as available but refuses every payout of it.
    Refused,
    /// Enough is available, but it may be another payment's: this payment's money arrived long ago, or before today.
    Late,
    /// Stripe does not show us the balance: its message.
    Hidden(String),
    /// Stripe's answer about the balance is unreadable.
    Unreadable(String),
}

impl UnpayableReason {
    /// The balance was requested, but not obtained.
    pub(super) fn unknown(error: &ReadError) -> Self {
        let words = error.to_string();
        if matches!(error, ReadError::Unreadable(_)) { Self::Unreadable(words) } else { Self::Hidden(words) }
    }

    /// How long to wait before a person is told.
    fn patience_us(&self) -> i64 {
        match self {
            Self::Short | Self::Refused => deadline::MISSING_US,
            Self::Unavailable | Self::Late | Self::Unreadable(_) => deadline::UNAVAILABLE_US,
            Self::Promised => i64::MAX,
            Self::Hidden(_) => deadline::UNSEEN_US,
        }
    }

    fn reason(&self) -> Reason {
        match self {
            Self::Short => Reason::new(
                Code::MoneyMissing.as_str(),
                "The balance is less than what was transferred to it.",
            ),
            Self::Refused => Reason::new(
                "funds_refused",
                "The balance shows the money as available, but every payout of it is refused.",
            ),
            Self::Unavailable | Self::Promised => Reason::new(
                Code::MoneyMissing.as_str(),
                "The balance has money, but the transfer of this payment has not become available.",
            ),
            Self::Late => Reason::new(
                "not_shown_by_vendor",
                "Stripe does not report everything that its own payouts took from the payee's balance.",
            ),
            Self::Hidden(words) => Reason::new("not_shown_by_vendor", words.as_str()),
            Self::Unreadable(words) => Reason::new("vendor_not_understood", words.as_str()),
        }
    }
}

/// The result for payouts whose money is missing or may be another payment's.
#[derive(Default)]
pub(super) struct Outcome {
    /// What became of their money.
    pub(super) settled: Vec<(Attempt, Observation)>,
    pub(super) still: Vec<Ready>,
    /// Those whose money nothing has taken: they can be paid out.
    pub(super) clear: Vec<Ready>,
    /// Those whose balance Stripe does not show.
    pub(super) unseen: Vec<TransactionId>,
    /// Those whose balance it shows again.
    pub(super) shown: Vec<TransactionId>,
    /// Those whose transfer was reversed. Polling them decides whether to accept that.
    pub(super) came_back: Vec<TransactionId>,
}

/// Finds out what became of the money of these payouts, all for one account: paid out by Stripe's automatic schedule,
/// reversed, or missing for so long that a person must look.
///
/// # Errors
/// If the database fails. A vendor that does not answer settles nothing.
pub(super) async fn look(
    work: &Work,
    stripe: &Stripe,
    gone: Vec<UnpayablePayout>,
    now: i64,
) -> Result<Outcome> {
    let account =
        gone.first().and_then(|one| ConnectedAccount::parse(one.ready.transaction.destination.address()));
    let account = account.filter(|_| !payout::planted::on("swept_unseen"));
    let (mut outcome, waits) =
        (Outcome::default(), |gone: Vec<UnpayablePayout>| gone.into_iter().map(|one| one.ready));
    let Some(account) = account else {
        return Ok(Outcome { still: waits(gone).collect(), ..outcome });
    };
    let ids: Vec<TransactionId> = gone.iter().map(|one| one.ready.transaction.id).collect();
    let mut db = work.app.store.read().await?;
    let attempts = transactions::attempts(&mut db, &ids).await?;
    let beside = transactions::payouts_of_others(&mut db, &ids).await?;
    drop(db);
    let taken = funds_taken(stripe, (&account, &work.app.clock), &gone, (&attempts, beside));
    let mut taken = match work.ask(Vendor::Stripe, taken).await {
        Ok(taken) => taken,
        // An answer, but unusable: it must not keep long-waiting payouts from a person.
        Err(ReadError::Unreadable(why)) => {
            tracing::warn!(%account, why, "an account could not be checked: the answer cannot be read");
            Taken { incomplete: true, ..Taken::default() }
        }
        Err(error) => {
            tracing::warn!(%account, %error, "an account holds less than was transferred to it, and could not be checked");
            return Ok(Outcome { still: waits(gone).collect(), ..outcome });
        }
    };
    for UnpayablePayout { ready, why } in gone {
        let id = ready.transaction.id;
        let hidden = matches!(why, UnpayableReason::Hidden(_));
        let seen = if hidden { &mut outcome.unseen } else { &mut outcome.shown };
        seen.extend((hidden || ready.transaction.unseen_since.is_some()).then_some(id));
        match taken.facts.remove(&id) {
            Some(observations) if came_back(&observations) => {
                tracing::warn!(payment = %id, "its transfer came back; what took its money before is looked for first");
                outcome.came_back.push(id);
                outcome.still.push(ready);
            }
            Some(observations) => {
                outcome.settled.extend(observations.into_iter().map(|heard| (ready.attempt.clone(), heard)));
            }
            None if matches!(why, UnpayableReason::Late)
                && !taken.incomplete
                && !taken.unnamed.contains(&id) =>
            {
                outcome.clear.push(ready);
            }
            // It will be reported within hours; until then nothing counts as missing.
            None if taken.not_yet => outcome.still.push(ready),
            None if ready.out_of_sight_us(&why, now) >= why.patience_us() => {
                let reason = why.reason();
                let detail = reason.message.clone();
                let heard = observation(&ready.attempt, Fact::OutOfSight(Leg::Payout, reason), detail);
                outcome.settled.push((ready.attempt, heard));
            }
            None => outcome.still.push(ready),
        }
    }
    Ok(outcome)
}

impl Ready {
    /// How long its money has been missing, or not shown to us.
    fn out_of_sight_us(&self, why: &UnpayableReason, now: i64) -> i64 {
        match why {
            UnpayableReason::Hidden(_) => {
                self.transaction.unseen_since.map_or(0, |since| now.saturating_sub(since))
            }
            UnpayableReason::Short
            | UnpayableReason::Unavailable
            | UnpayableReason::Promised
            | UnpayableReason::Refused
            | UnpayableReason::Late
            | UnpayableReason::Unreadable(_) => self.waited_us(now),
        }
    }
}

/// What became of the payments' money.
#[derive(Default)]
struct Taken {
    facts: HashMap<TransactionId, Vec<Observation>>,
    /// Stripe does not report everything yet that its payouts took.
    incomplete: bool,
    /// As `incomplete`, but it will be reported within hours.
    not_yet: bool,
    /// For these, Stripe does not name the payment on the connected account.
    unnamed: HashSet<TransactionId>,
}

/// What became of each payment's money: the payout of Stripe's automatic schedule that took it, or the reversal of its
/// transfer, full or partial, with the amount to post.
async fn funds_taken(
    stripe: &Stripe,
    (account, clock): (&ConnectedAccount, &Clock),
    gone: &[UnpayablePayout],
    (attempts, mut beside): (&[Attempt], HashMap<TransactionId, HashSet<String>>),
) -> std::result::Result<Taken, ReadError> {
    let (mut taken, mut traces) = (Taken::default(), Vec::new());
    for one in gone {
        let of = &one.ready.transaction;
        let own: Vec<&Attempt> = attempts.iter().filter(|attempt| attempt.transaction == of.id).collect();
        let Some(attempt) = own.iter().find(|one| one.leg == Leg::Transfer && !one.state.ended()) else {
            continue;
        };
        let Some(object) = &attempt.vendor_id else { continue };
        let transfer = stripe.transfer(object).await?;
        let (message, facts) = transfer_facts(&transfer);
        if !facts.is_empty() {
            let detail = format!("Stripe says {message}");
            let facts = facts.into_iter().map(|fact| observation(attempt, fact, detail.clone()));
            taken.facts.insert(of.id, facts.collect());
        } else if let Some(payment) = transfer.destination_payment {
            let others = beside.remove(&of.id).unwrap_or_default();
            traces.push(Trace::of(of, &own, vec![payment]).beside(others).made(transfer.created));
        } else {
            taken.unnamed.insert(of.id);
        }
    }
    let shown = gone
        .iter()
        .any(|one| !matches!(one.why, UnpayableReason::Hidden(_) | UnpayableReason::Unreadable(_)));
    if traces.is_empty() || !shown {
        return Ok(taken);
    }
    let since =
        gone.iter().map(|one| unknown_objects::since(&one.ready.transaction)).min().unwrap_or_default();
    let by_schedule = by_schedule(stripe, account, (since, clock), traces).await?;
    (taken.incomplete, taken.not_yet) = (by_schedule.in_progress, by_schedule.not_yet);
    for one in gone {
        if let Some((payout, fact)) = by_schedule.found.get(&one.ready.transaction.id) {
            let told = observation(&one.ready.attempt, fact.clone(), words(payout));
            let told = Observation { vendor_id: Some(payout.clone()), ..told };
            taken.facts.insert(one.ready.transaction.id, vec![told]);
        }
    }
    Ok(taken)
}

/// The ids under which the payee's balance transactions refer to a transfer: its payment there, and what reversed it.
pub(super) async fn named_as(
    stripe: &Stripe,
    (transfer, came_back): (&str, bool),
    payment: String,
) -> std::result::Result<Vec<String>, ReadError> {
    let back = if came_back { stripe.reversals(transfer).await? } else { Vec::new() };
    let back = back.into_iter().flat_map(|one| [Some(one.id), one.destination_payment_refund]);
    Ok([Some(payment)].into_iter().chain(back).flatten().collect())
}

/// Whether a transfer was completely reversed.
pub(super) fn came_back(observations: &[Observation]) -> bool {
    observations.iter().any(|one| one.fact == Fact::TransferReversed)
}

/// The note on money paid out by Stripe's automatic schedule.
pub(super) fn words(payout: &str) -> String {
    format!("Stripe paid it out on its own schedule, with {payout}")
}

const DAY_US: i64 = 86_400_000_000;
const UNLISTED_US: i64 = 120_000_000;
const SECOND_US: i64 = 1_000_000;
/// What a payout took is reported within hours. If an older one is not, it is hidden.
const REPORTED_WITHIN_S: i64 = 172_800;

/// Stripe's timestamps have a resolution of one second, and related objects are created one after another.
const A_MINUTE_S: i64 = 60;

/// What distinguishes a payment's money from other money in a payee's balance transactions.
pub(super) struct Trace {
    of: TransactionId,
    /// The transfer's payment there, and our payouts of it: money in, money out, and money returned.
    own: Vec<String>,
    /// Payouts of Stripe's automatic schedule that took it with other money: if one fails, everything comes back in one
    /// entry.
    shared: Vec<String>,
    /// The amount, in Stripe's units, of a payout of ours that may exist under an id not known here: one that has not
    /// ended, or that people reported as not made. One that Stripe refused does not exist.
    unknown_units: Option<i64>,
    /// Bank payouts known to belong to other payments.
    others: HashSet<String>,
    /// When the transfer was made, in seconds by Stripe's clock: an earlier payout cannot have taken it.
    made_s: i64,
}

/// Whether a payout took a payment's money.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum PayoutCoverage {
    /// It did.
    Here,
    /// It did, or it took what a payout of ours with an id not known here had left.
    Perhaps,
    /// It did not.
    Elsewhere,
}

impl Trace {
    /// The trace of a payment whose transfer has these ids in the payee's balance.
    pub(super) fn of(transaction: &Transaction, attempts: &[&Attempt], named_as: Vec<String>) -> Self {
        let (mut own, mut shared, mut unknown) = (named_as, Vec::new(), false);
        for attempt in attempts.iter().filter(|one| one.leg == Leg::Payout) {
            match (&attempt.vendor_id, &attempt.submission) {
                (Some(id), Some(_)) => own.push(id.clone()),
                (Some(id), None) => shared.push(id.clone()),
                (None, Some(_)) => {
                    unknown |= !attempt.state.ended() || contradiction_text::called_not_made(attempt)
                }
                (None, None) => {}
            }
        }
        let units = transaction.terms.net.at(Vendor::Stripe).map_or(0, |amount| amount.units);
        let unknown_units = unknown.then_some(units);
        Self { of: transaction.id, own, shared, unknown_units, others: HashSet::new(), made_s: 0 }
    }

    /// Sets when the transfer was made, in seconds by Stripe's clock.
    pub(super) fn made(self, made_s: i64) -> Self {
        Self { made_s, ..self }
    }

    /// Sets the bank payouts to the same account that belong to other payments.
    pub(super) fn beside(self, others: HashSet<String>) -> Self {
        Self { others, ..self }
    }

    /// For an account that was searched for payouts of ours without finding an unknown one.
    pub(super) fn looked_through(self) -> Self {
        Self { unknown_units: None, ..self }
    }

    /// Whether a payout that covers these entries took the payment's money. The payout's own entry is excluded.
    fn lies_in(&self, entries: &[BalanceTransaction]) -> PayoutCoverage {
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
            true if entries.iter().any(may_be_ours) => PayoutCoverage::Perhaps,
            true => PayoutCoverage::Here,
            false => PayoutCoverage::Elsewhere,
        }
    }
}

/// What Stripe's automatic schedule has paid out.
pub(super) struct ScheduledPayouts {
    /// The payout that has a payment's money, and its state.
    pub(super) found: HashMap<TransactionId, (String, Fact)>,
    /// The payout that has it, unless an unknown payout of ours does. Either way, the payee has it.
    pub(super) perhaps: HashMap<TransactionId, (String, Fact)>,
    /// Money not found may still be in one of the payouts: Stripe has not reported everything it took, its status is
    /// unknown to us, or it took as much as an unknown payout of ours would have left.
    pub(super) in_progress: bool,
    /// As `in_progress`, but it will be reported within hours.
    pub(super) not_yet: bool,
}

/// Which payouts of Stripe's automatic schedule took the money of these payments, all to one account, and their states.
/// A failed payout returned it, and a later one may have taken it again. Sets the account back to the manual schedule.
///
/// # Errors
/// If Stripe does not answer, or does not show us the account.
pub(super) async fn by_schedule(
    stripe: &Stripe,
    account: &ConnectedAccount,
    (since, clock): (i64, &Clock),
    mut traces: Vec<Trace>,
) -> std::result::Result<ScheduledPayouts, ReadError> {
    let all = stripe.payouts_since(account, since).await?;
    for payout in all.iter().filter(|payout| payout.fetched_back) {
        // Money from a reversed payout of ours comes back under the id of the payout that reversed it.
        let own = traces.iter_mut().filter(|trace| trace.own.contains(&payout.id));
        own.for_each(|trace| trace.own.extend(payout.reversed_by.clone()));
    }
    let mut automatic: Vec<bank::Payout> = all.into_iter().filter(|payout| payout.automatic).collect();
    for trace in &mut traces {
        let swept = trace.own.extract_if(.., |id| automatic.iter().any(|payout| payout.id == *id));
        trace.shared.extend(swept);
    }
    automatic.sort_by(|one, other| (one.created, &one.id).cmp(&(other.created, &other.id)));
    let (mut found, mut perhaps, mut in_progress, mut not_yet) =
        (HashMap::new(), HashMap::new(), false, false);
    let first_made_s = traces.iter().map(|trace| trace.made_s).min().unwrap_or_default();
    // Earlier payouts cannot have taken it, and may have many entries.
    let later = |payout: &bank::Payout| payout.created + A_MINUTE_S >= first_made_s;
    for payout in automatic.into_iter().filter(later) {
        let fact = bank::fact(&payout);
        let out = matches!(fact, None | Some(Fact::PayoutMade | Fact::PayoutPaid));
        let untold = out && payout.reconciliation_status == bank::IN_PROGRESS;
        not_yet |= untold && clock.now() / SECOND_US - payout.created < REPORTED_WITHIN_S;
        let mut entries = stripe.balance_transactions_of_payout(account, &payout.id).await?;
        // Stripe includes the payout's own entry: if it pays a single payment, it has the amount a payout of ours would
        // have had.
        entries.retain(|entry| entry.source.as_ref() != Some(&payout.id));
        let Some(fact) = fact else {
            // Whether it went out is unknown, so the payee may have what it took.
            in_progress |=
                untold || traces.iter().any(|trace| trace.lies_in(&entries) != PayoutCoverage::Elsewhere);
            continue;
        };
        in_progress |= untold;
        for trace in traces.iter().filter(|trace| out && trace.lies_in(&entries) == PayoutCoverage::Perhaps) {
            perhaps.insert(trace.of, (payout.id.clone(), fact.clone()));
            in_progress = true;
        }
        for trace in traces.iter_mut().filter(|trace| trace.lies_in(&entries) == PayoutCoverage::Here) {
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
    // By the clock after the lists were read.
    let unlisted = may_be_unlisted(clock.now());
    Ok(ScheduledPayouts {
        found,
        perhaps,
        in_progress: in_progress || unlisted,
        not_yet: not_yet || unlisted,
    })
}

/// Whether an automatic payout may not be listed yet: the schedule pays at the start of a UTC day, and a list may omit
/// objects younger than a minute.
fn may_be_unlisted(now: i64) -> bool {
    now.rem_euclid(DAY_US) < UNLISTED_US
}

/// Whether the money should be in the payee's balance, from where Stripe's automatic schedule may pay it out: parked,
/// being reversed, written off, or waiting or missing before any payout of ours was sent. Money two people settled as
/// paid otherwise is the payee's.
pub(super) fn is_in_payee_balance(of: &Transaction, attempts: &[&Attempt]) -> bool {
    match of.state {
        State::PayoutFailed | State::PayoutCanceled | State::Recalling => true,
        State::WrittenOff => of.otherwise_at.is_none(),
        State::Transferred | State::PayoutReview => missing(attempts).is_some(),
        State::Queued
        | State::Sending
        | State::Unknown
        | State::Review
        | State::Processing
        | State::OnHold
        | State::Unclaimed
        | State::PayoutSending
        | State::PayoutUnknown
        | State::InTransit
        | State::Success
        | State::Failed
        | State::Recalled
        | State::Returned
        | State::Blocked
        | State::Refunded
        | State::Reversed => false,
    }
}

/// The bank payout for which nothing was ever sent: it waits for its money or, because that was missing, for a person.
fn missing<'a>(attempts: &[&'a Attempt]) -> Option<&'a Attempt> {
    let waits = |one: &&&Attempt| {
        one.leg == Leg::Payout && matches!(one.state, AttemptState::Queued | AttemptState::Review)
    };
    attempts.iter().find(waits).copied().filter(|one| one.submission.is_none())
}

/// A transfer whose money should be in the payee's balance, or was reversed from there.
pub(super) struct TransferInBalance<'a> {
    pub(super) of: &'a Transaction,
    pub(super) transfer: &'a Attempt,
    pub(super) payouts: &'a [Attempt],
    /// Bank payouts to the same account known to belong to other payments.
    pub(super) other_payouts: &'a HashSet<String>,
    /// The result of looking for bank payouts of ours, if one was needed.
    pub(super) found_payouts: Option<&'a FoundPayouts>,
    pub(super) came_back: bool,
    /// When it was made, in seconds by Stripe's clock.
    pub(super) made_s: i64,
}

/// What Stripe shows about money that left the payee's balance.
pub(super) struct OutgoingFunds {
    /// A note to add to the transfer's state.
    pub(super) what: String,
    /// The payout of Stripe's automatic schedule that took the money.
    pub(super) swept: Option<Observation>,
    /// Stripe does not show everything, so the money may still have gone to the bank.
    pub(super) hidden: bool,
    /// Stripe will: what its payouts took is reported within hours.
    pub(super) not_yet: bool,
}

impl OutgoingFunds {
    /// Stripe does not name the transfer's payment on the connected account.
    pub(super) fn unknown() -> Self {
        let what = "; what happened to it in the payee's balance is not reported".to_owned();
        Self { what, swept: None, hidden: true, not_yet: false }
    }
}

impl TransferInBalance<'_> {
    fn trace(&self, named_as: Vec<String>) -> Trace {
        let payouts: Vec<&Attempt> = self.payouts.iter().collect();
        let out = self.found_payouts.map_or(&[][..], |ours| &ours.out);
        let named_as = named_as.into_iter().chain(out.iter().cloned()).collect();
        let trace =
            Trace::of(self.of, &payouts, named_as).beside(self.other_payouts.clone()).made(self.made_s);
        let through = self
            .found_payouts
            .is_some_and(|ours| ours.looked == LookupOutcome::Through && ours.out.is_empty());
        if through { trace.looked_through() } else { trace }
    }

    /// Whether Stripe's automatic schedule has already paid out the money, whatever the payee's destination is now, and
    /// whether Stripe shows everything that may have.
    pub(super) async fn left(
        &self,
        stripe: &Stripe,
        named_as: Vec<String>,
        (source, clock): (&'static str, &Clock),
    ) -> std::result::Result<OutgoingFunds, ReadError> {
        let hidden = |what: String| OutgoingFunds { what, swept: None, hidden: true, not_yet: false };
        let Some(account) = ConnectedAccount::parse(self.of.destination.address()) else {
            return Ok(OutgoingFunds { hidden: false, ..hidden(String::new()) });
        };
        let trace = self.trace(named_as);
        match by_schedule(stripe, &account, (unknown_objects::since(self.of), clock), vec![trace]).await {
            Ok(mut by_schedule) => {
                // Either of the two may have taken the money that came back: the payee was paid, and the reversal took
                // other money.
                let perhaps = by_schedule.perhaps.remove(&self.of.id).filter(|_| self.came_back);
                let Some((payout, fact)) = by_schedule.found.remove(&self.of.id).or(perhaps) else {
                    return Ok(match (by_schedule.in_progress, self.found_payouts.map(|ours| ours.looked)) {
                        (true, _) => OutgoingFunds {
                            not_yet: by_schedule.not_yet,
                            ..hidden(
                                "; what the payouts of the payee's account took is not fully reported yet"
                                    .to_owned(),
                            )
                        },
                        (
                            false,
                            Some(
                                LookupOutcome::NotShown | LookupOutcome::NotYet | LookupOutcome::NotAnswered,
                            ),
                        ) => hidden(
                            "; some payouts of the payee's account are reported in an unknown form"
                                .to_owned(),
                        ),
                        (false, Some(LookupOutcome::Through) | None) => {
                            OutgoingFunds { hidden: false, ..hidden(String::new()) }
                        }
                    });
                };
                let payouts: Vec<&Attempt> = self.payouts.iter().collect();
                let told = match missing(&payouts) {
                    Some(waits) => Observation {
                        vendor_id: Some(payout.clone()),
                        ..observation(waits, fact, words(&payout))
                    },
                    None => observation(self.transfer, paid_by_schedule(&payout, &fact), words(&payout)),
                };
                let what = format!("; {}", words(&payout));
                Ok(OutgoingFunds {
                    what,
                    swept: Some(Observation { source, ..told }),
                    hidden: false,
                    not_yet: false,
                })
            }
            // The transfer was shown, so this counts as an answer.
            Err(error @ (ReadError::Missing | ReadError::Refused { .. })) => {
                Ok(hidden(format!("; the payouts of the payee's account are not shown to us ({error})")))
            }
            Err(error @ ReadError::Unreadable(_)) if self.came_back => {
                Ok(hidden(format!("; the payouts of the payee's account cannot be read ({error})")))
            }
            Err(error) => Err(error),
        }
    }
}

/// The fact about a transfer whose parked money a payout of Stripe's automatic schedule took.
pub(super) fn paid_by_schedule(payout: &str, fact: &Fact) -> Fact {
    Fact::Swept { payout: payout.to_owned(), arrived: *fact == Fact::PayoutPaid }
}

fn observation(attempt: &Attempt, fact: Fact, detail: String) -> Observation {
    Observation {
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
            made_s: 0,
        };
        let took = [entry("py_1", 7_500), entry("py_2", 5_000)];
        assert_eq!(trace.lies_in(&took), PayoutCoverage::Here);
        for back in ["trr_1", "pyr_1"] {
            let took = [entry("py_1", 7_500), entry(back, -7_500), entry("py_2", 5_000)];
            assert_eq!(trace.lies_in(&took), PayoutCoverage::Elsewhere, "{back}");
        }
    }
}
