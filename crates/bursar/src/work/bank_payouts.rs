//! Lists the bank payouts of a payee's Stripe account and decides whether one belongs to an attempt: by our metadata,
//! by its id, or by the event that names our idempotency key. Not here: payouts of Stripe's automatic schedule
//! (`scheduled_payouts`).

use std::collections::{HashMap, HashSet};

use payout::ids::TransactionId;
use payout::money::Vendor;
use payout::transaction::{AttemptState, Fact, Leg, State};
use vendors::ReadError;
use vendors::stripe::event::Event as StripeEvent;
use vendors::stripe::{ConnectedAccount, Stripe, payout as bank};

use super::answer::{FoundPayouts, LookupOutcome};
use super::case::{Case, ShownMoney, is_other};
use super::search;
use super::{Work, recheck, scheduled_payouts};
use crate::ops::Result;
use crate::ops::contradiction_text;
use crate::ops::record::{self, Observation};
use crate::store::put_back;
use crate::store::transactions::{self, Attempt, Transaction};
use crate::transact;

pub(super) struct First {
    /// Payments that may be asked about now.
    pub(super) may: Vec<Transaction>,
    /// Payments for which Stripe did not say whether a bank payout of ours exists.
    pub(super) waits: Vec<TransactionId>,
    /// What Stripe showed for the other payments that needed this look.
    pub(super) found_payouts: HashMap<TransactionId, FoundPayouts>,
}

/// Looks for bank payouts that may exist before asking about their payments: a transfer reported as reversed would free
/// its rewards, although the bank may have paid them.
pub(super) async fn first(work: &Work, of: Vec<Transaction>, attempts: &[Attempt]) -> Result<First> {
    let frees: Vec<TransactionId> = of
        .iter()
        .filter(|one| one.terms.vendor == Vendor::Stripe && recheck::frees_when_reversed(one))
        .map(|one| one.id)
        .collect();
    let mut suspects: HashSet<TransactionId> =
        attempts.iter().filter(|one| unproven(one)).map(|one| one.transaction).collect();
    if !frees.is_empty() {
        let mut db = work.app.store.read().await?;
        suspects.extend(transactions::with_settled_payouts(&mut db, &frees).await?);
    }
    let mut first = First { may: Vec::new(), waits: Vec::new(), found_payouts: HashMap::new() };
    for one in of {
        if frees.contains(&one.id) && suspects.contains(&one.id) {
            let ours = look_for(work, one.id).await?;
            if ours.looked == LookupOutcome::NotAnswered {
                first.waits.push(one.id);
                continue;
            }
            first.found_payouts.insert(one.id, ours);
        }
        first.may.push(one);
    }
    Ok(first)
}

/// Whether a bank payout that ended here may still have been made: people reported it as not made, or it was absent
/// when we looked it up.
fn unproven(one: &Attempt) -> bool {
    let failed = one.leg == Leg::Payout && one.state == AttemptState::Failed && one.submission.is_some();
    failed
        && (contradiction_text::called_not_made(one)
            || (one.vendor_id.is_none() && one.reason_code.is_some()))
}

/// For a payment whose money should be in the payee's balance, looks again for bank payouts not known to have been
/// made: those people reported as not made, those absent when we looked them up, and those found after a restore and
/// settled on people's word. If one exists after all, that is a contradiction: the money in the balance is another
/// payment's.
pub(super) async fn look_again(work: &Work, id: TransactionId) -> Result<LookupOutcome> {
    Ok(look_for(work, id).await?.looked)
}

async fn look_for(work: &Work, id: TransactionId) -> Result<FoundPayouts> {
    let nothing = |looked| Ok(FoundPayouts { looked, out: Vec::new() });
    let mut db = work.app.store.read().await?;
    let case = Case::read(&mut db, id).await?;
    let mut said = put_back::settled_by_people(&mut db, id).await?;
    drop(db);
    let of = &case.transaction;
    let lies = matches!(
        of.state,
        State::Transferred
            | State::PayoutFailed
            | State::PayoutCanceled
            | State::Recalling
            | State::WrittenOff
    );
    let suspects: Vec<&Attempt> = case.attempts.iter().filter(|one| lies && unproven(one)).collect();
    let known = |object: &String| case.attempts.iter().any(|one| one.vendor_id.as_ref() == Some(object));
    said.retain(|object| lies && object.starts_with("po_") && !known(object));
    if suspects.is_empty() && said.is_empty() {
        return nothing(LookupOutcome::Through);
    }
    let (Some(stripe), Some(account)) =
        (work.clients.stripe().await?, ConnectedAccount::parse(of.destination.address()))
    else {
        return nothing(LookupOutcome::NotAnswered);
    };
    if !stripe.may_have(of.vendor_account.as_deref()) {
        return nothing(LookupOutcome::NotAnswered);
    }
    let shown = match work.ask(Vendor::Stripe, Payouts::read(&stripe.client, &account, case.since())).await {
        Ok(shown) => shown,
        // An unreadable answer counts as an answer: waiting for a readable one could take forever.
        Err(ReadError::Missing | ReadError::Refused { .. } | ReadError::Unreadable(_)) => {
            return nothing(LookupOutcome::NotShown);
        }
        Err(ReadError::Credentials(_) | ReadError::RateLimited { .. } | ReadError::Unreachable(_)) => {
            return nothing(LookupOutcome::NotAnswered);
        }
    };
    let (mut looked, mut observations, mut are_out) = (LookupOutcome::Through, Vec::new(), Vec::new());
    for attempt in suspects {
        match shown.out((&case, attempt)) {
            ShownMoney::Nothing => {}
            ShownMoney::NotSaid => looked = LookupOutcome::NotShown,
            ShownMoney::It(object) => {
                observations.push(out(attempt, &object));
                are_out.push(object);
            }
        }
    }
    let payouts = case.attempts.iter().filter(|one| one.leg == Leg::Payout);
    let newest = payouts.max_by_key(|one| one.number);
    let stands = said.iter().filter(|object| shown.stands((of, object))).min();
    are_out.extend(stands.cloned());
    if let (Some(newest), Some(object)) = (newest.filter(|one| one.state.ended()), stands) {
        observations.push(out(newest, object));
    }
    // Only the transfer is known here, so its money is what went to the bank.
    let transfer = case.attempts.iter().find(|one| one.leg == Leg::Transfer && !one.state.ended());
    if let (None, Some(transfer), Some(object)) = (newest, transfer, stands) {
        observations.extend(shown.fact(object).map(|fact| {
            search::observation(transfer, scheduled_payouts::paid_by_schedule(object, &fact), None)
        }));
    }
    if !observations.is_empty() {
        let app = &work.app;
        transact!(app, |tx| { Ok(record::record(tx, app, "looked_again", &observations).await?) })?;
        app.nudge.notify_watchers();
    }
    Ok(FoundPayouts { looked, out: are_out })
}

/// The fact that the vendor shows, under this id, what ended here as not made. A bank payout only gets the id when it
/// is settled: the payee could have copied our metadata to another payout.
pub(super) fn out(attempt: &Attempt, object: &str) -> Observation {
    let known = (attempt.leg != Leg::Payout).then(|| object.to_owned());
    let whose = match attempt.leg {
        Leg::Payout | Leg::Reversal => "the payee's Stripe balance",
        Leg::Transfer | Leg::Item | Leg::Cancel => "our balance",
    };
    Observation {
        detail: Some(format!("the vendor shows {object}, and the money has left {whose} or is leaving it")),
        ..search::observation(attempt, Fact::FoundAfterAll(attempt.leg), known)
    }
}

/// The bank payouts of an account, and Stripe's events that name the idempotency keys they were created with.
pub(super) struct Payouts {
    all: Vec<bank::Payout>,
    created: Vec<StripeEvent>,
}

impl Payouts {
    pub(super) async fn read(
        stripe: &Stripe,
        account: &ConnectedAccount,
        since: i64,
    ) -> std::result::Result<Self, ReadError> {
        let created = stripe.payout_created_events(account, since).await?;
        Ok(Self { all: stripe.payouts_since(account, since).await?, created })
    }

    /// The id under which Stripe's events report the bank payout of an attempt, by our idempotency key.
    fn named(&self, (case, attempt): (&Case, &Attempt)) -> Option<&String> {
        let key = &case.carrier(attempt)?.key;
        let named = self.created.iter().filter(|event| event.idempotency_key.as_ref() == Some(key));
        named.filter_map(|event| event.object_id.as_ref()).find(|id| is_other(attempt, id))
    }

    /// Whether a bank payout that an event links to this payment by one of our keys is out, or may be.
    fn stands(&self, (of, object): (&Transaction, &str)) -> bool {
        let any_number = format!("{}:{}:", Leg::Payout.key_prefix(), of.id);
        let by_us = |event: &StripeEvent| {
            let key = event.idempotency_key.as_ref();
            event.object_id.as_deref() == Some(object) && key.is_some_and(|key| key.starts_with(&any_number))
        };
        let listed = self.all.iter().find(|one| one.id == object);
        listed.is_some_and(|one| !is_over(one)) && self.created.iter().any(by_us)
    }

    /// The fact for a bank payout that is out.
    fn fact(&self, object: &str) -> Option<Fact> {
        let fact = bank::fact(self.all.iter().find(|one| one.id == object)?)?;
        matches!(fact, Fact::PayoutMade | Fact::PayoutPaid).then_some(fact)
    }

    /// Whether a bank payout of this attempt is out, or may be. It is ours if it carries our attempt in its metadata,
    /// has an id we know, or is linked to our key by an event. The payee can overwrite the metadata, but not the other
    /// two.
    pub(super) fn out(&self, of: (&Case, &Attempt)) -> ShownMoney {
        let ours = of.1.id.to_string();
        let named = self.named(of);
        let is_it = |one: &&bank::Payout| {
            one.metadata.get("attempt") == Some(&ours)
                || named == Some(&one.id)
                || of.1.vendor_id.as_ref() == Some(&one.id)
                || (one.metadata.get("transaction") == Some(&of.0.transaction.id.to_string())
                    && of.0.is_lost(&one.id, one.metadata.get("attempt")))
        };
        let other = self.all.iter().filter(|one| is_other(of.1, &one.id));
        let found: Vec<&bank::Payout> = other.filter(is_it).collect();
        // A payout named by an event but missing from the list exists somewhere. One with a different amount or an
        // unknown status says nothing reliable about ours.
        let hidden = named.is_some_and(|named| found.iter().all(|one| one.id != *named));
        let net = Some(of.0.transaction.terms.net);
        let odd = |one: &bank::Payout| bank::fact(one).is_none() || (!one.automatic && one.money() != net);
        if hidden || found.iter().any(|one| odd(one)) {
            return ShownMoney::NotSaid;
        }
        ShownMoney::of(found.into_iter().find(|one| !is_over(one)).map(|one| one.id.as_str()))
    }
}

/// Whether a bank payout moved no money, or its money is back in the payee's balance.
fn is_over(payout: &bank::Payout) -> bool {
    matches!(bank::fact(payout), Some(Fact::PayoutFailed(_) | Fact::PayoutCanceled(_)))
}

/// The id under which Stripe's events report the bank payout of an attempt, by our idempotency key.
pub(super) async fn named_payout(
    stripe: &Stripe,
    account: &ConnectedAccount,
    (case, attempt): (&Case, &Attempt),
) -> std::result::Result<Option<String>, ReadError> {
    let created = stripe.payout_created_events(account, case.since()).await?;
    Ok(Payouts { all: Vec::new(), created }.named((case, attempt)).cloned())
}
