//! After a restore: searches Stripe for every leg of payments whose requests have ended here or wait for a person. The
//! lost database may have continued them, so freeing or writing off one could pay it twice. A bank payout it made from
//! money parked here is adopted, and anything else is recorded; a payment counts as searched only if Stripe shows
//! nothing unknown here.
//!
//! Not here: payments being sent, which are looked up leg by leg first (`dispatch`, `look_through`), and payments that
//! are not in this database (`search`).

use std::collections::HashSet;

use futures::StreamExt as _;
use payout::ids::TransactionId;
use payout::law;
use payout::money::Vendor;
use payout::transaction::{AttemptState, Fact, Leg, State};
use vendors::ReadError;
use vendors::stripe::payout as bank;

use super::answer::LookupOutcome;
use super::search::{self, Cases, Unknown};
use super::unknown_objects::{self, UnknownObject};
use super::{PassResult, Work, scheduled_payouts};
use crate::ops::record::{self, Observation};
use crate::ops::{OpsError, Result, safe_mode};
use crate::store::put_back::{self, Found};
use crate::store::transactions::{self, Attempt, Transaction};
use crate::transact;

/// How many payments one pass searches, and how many concurrently.
const AT_ONCE: i64 = 100;
const SIDE_BY_SIDE: usize = 8;
/// The retry delay after an incomplete search, and after one for which Stripe does not show everything.
const AGAIN_US: i64 = 60_000_000;
const NOT_SHOWN_US: i64 = 10 * AGAIN_US;

/// One pass. Returns how many payments are now searched.
pub(super) async fn once(work: &Work, now: i64) -> PassResult {
    let app = &work.app;
    let mut db = app.store.read().await?;
    if put_back::any_found(&mut db, None).await? {
        transact!(app, |tx| { Ok(put_back::settle_known(tx, now).await?) })?;
    }
    // Requests in flight when the database was restored are visible by then.
    let due = put_back::unlooked(&mut db, now, safe_mode::APART_US, AT_ONCE).await?;
    drop(db);
    let looks = futures::stream::iter(due).map(|id| through(work, id, now));
    let mut looks = looks.buffer_unordered(work.concurrency(SIDE_BY_SIDE));
    let mut done = 0;
    while let Some(looked) = looks.next().await {
        done += usize::from(looked? == LookupOutcome::Through);
    }
    Ok(done)
}

/// Searches one payment if the database was restored since it was promised and it has not been searched since.
///
/// # Errors
/// If there is no such payment or the database fails.
pub(super) async fn before(work: &Work, id: TransactionId) -> Result<LookupOutcome> {
    let mut db = work.app.store.read().await?;
    let needed = !put_back::to_look_for(&mut db, &[id]).await?.is_empty();
    drop(db);
    if needed { through(work, id, work.app.clock.now()).await } else { Ok(LookupOutcome::Through) }
}

/// Splits payments into those that may be asked about and those that must be searched first: a reversed transfer frees
/// its rewards, and a lost database may have paid it out before.
pub(super) async fn first(
    work: &Work,
    of: Vec<Transaction>,
    unlooked: &HashSet<TransactionId>,
) -> Result<(Vec<Transaction>, Vec<TransactionId>)> {
    let (mut may, mut waits) = (Vec::new(), Vec::new());
    for one in of {
        let looks = unlooked.contains(&one.id) && frees_when_reversed(&one);
        if looks && before(work, one.id).await? != LookupOutcome::Through {
            waits.push(one.id);
        } else {
            may.push(one);
        }
    }
    Ok((may, waits))
}

/// Whether a reversed transfer ends a payment and frees its rewards; also for written-off payments.
pub(super) fn frees_when_reversed(of: &Transaction) -> bool {
    let step = law::on(of.state, AttemptState::Succeeded, &of.terms, &Fact::TransferReversed);
    step.state == State::Recalled || of.state == State::WrittenOff
}

/// Searches one payment and records the findings. An incomplete search is retried later.
async fn through(work: &Work, id: TransactionId, now: i64) -> Result<LookupOutcome> {
    let looked = match look(work, id).await? {
        Ok(true) => LookupOutcome::Through,
        Ok(false) => LookupOutcome::NotAnswered,
        Err(error) => {
            tracing::warn!(payment = %id, %error, "a payment could not be searched for after the database was restored");
            match error {
                ReadError::Missing | ReadError::Refused { .. } => LookupOutcome::NotShown,
                ReadError::Credentials(_)
                | ReadError::RateLimited { .. }
                | ReadError::Unreachable(_)
                | ReadError::Unreadable(_) => LookupOutcome::NotAnswered,
            }
        }
    };
    let wait = match looked {
        LookupOutcome::Through => return Ok(looked),
        LookupOutcome::NotShown => NOT_SHOWN_US,
        LookupOutcome::NotYet | LookupOutcome::NotAnswered => AGAIN_US,
    };
    let app = &work.app;
    transact!(app, |tx| { Ok(put_back::look_again(tx, id, now.saturating_add(wait)).await?) })?;
    Ok(looked)
}

/// Searches one payment. Returns whether nothing unknown is left.
async fn look(work: &Work, id: TransactionId) -> Result<std::result::Result<bool, ReadError>> {
    let mut db = work.app.store.read().await?;
    let epoch = put_back::progress(&mut db).await?.epoch;
    let of = transactions::find(&mut db, &id.to_string()).await?;
    let attempts = transactions::attempts(&mut db, &[id]).await?;
    drop(db);
    if of.terms.vendor != Vendor::Stripe {
        return Ok(Ok(true));
    }
    let told = |why: &str| Ok(Err(ReadError::Unreachable(why.to_owned())));
    let Some(stripe) = work.clients.stripe().await? else { return told("Stripe is not connected") };
    if !stripe.may_have(of.vendor_account.as_deref()) {
        return told("it was paid from a different account than the one connected now");
    }
    match work.ask(Vendor::Stripe, unknown_objects::others(&stripe.client, &of, &attempts)).await {
        Ok(others) => Ok(Ok(note(work, id, &others, epoch).await?)),
        Err(error) => Ok(Err(error)),
    }
}

/// Records what Stripe has of a payment that was unknown here. Returns whether nothing unknown is left. Stripe was
/// asked in `epoch`: if the database was restored again since, that says nothing about the next epoch.
async fn note(work: &Work, id: TransactionId, others: &[UnknownObject], epoch: i64) -> Result<bool> {
    let app = &work.app;
    let looked = transact!(app, |tx| {
        let now = app.clock.now();
        let cases = Cases::read(tx, &[id]).await?;
        let of = cases.transactions.get(&id).ok_or(OpsError::Missing)?;
        // Known by now: adopted while Stripe was being read, or settled by people.
        let objects: Vec<String> = others.iter().map(|one| one.id().to_owned()).collect();
        let mut known = put_back::known(tx, &objects).await?;
        known.extend(put_back::settled_by_people(tx, id).await?);
        let others: Vec<&UnknownObject> = others.iter().filter(|one| !known.contains(one.id())).collect();
        let (mut observations, mut found) = (Vec::new(), Vec::new());
        if let Some(adopted) = adopted(of, &cases, &others) {
            observations.push(adopted);
        } else {
            for one in &others {
                match cases.unknown(id, one.leg(), (one.id(), one.mark())) {
                    Unknown::Contradicts(observation) => {
                        observations.push(*observation);
                        found.push(as_found(of, one));
                    }
                    Unknown::LookedUp => {}
                    Unknown::Found => found.push(as_found(of, one)),
                }
            }
        }
        // An adopted object is known from now on.
        let through = others.is_empty() || (found.is_empty() && observations.len() == others.len());
        record::record(tx, app, "search", &observations).await?;
        safe_mode::note_found(tx, &found, now).await?;
        if through {
            put_back::looked_for(tx, &[id], epoch).await?;
        }
        Ok(through)
    })?;
    app.nudge.settle.notify();
    Ok(looked)
}

/// The lost database had sent parked money to the bank again: if Stripe has a bank payout of this payment with our key
/// and its amount, that payout settles what is parked here.
fn adopted(of: &Transaction, cases: &Cases, others: &[&UnknownObject]) -> Option<Observation> {
    let parked = matches!(of.state, State::PayoutFailed | State::PayoutCanceled);
    let [UnknownObject::Payout { payout, named: true }] = others else { return None };
    // A payout sent by an attempt here belongs to that attempt.
    if payout.metadata.get("attempt").is_some_and(|mark| cases.is_ours(mark)) {
        return None;
    }
    let transfer = cases.newest(of.id, Leg::Transfer).filter(|one: &&Attempt| !one.state.ended())?;
    let fact = bank::fact(payout).filter(|fact| matches!(fact, Fact::PayoutMade | Fact::PayoutPaid))?;
    let ours = parked && of.contradicted_at.is_none() && !of.closed() && payout.money() == Some(of.terms.net);
    ours.then(|| search::observation(transfer, scheduled_payouts::paid_by_schedule(&payout.id, &fact), None))
}

fn as_found(of: &Transaction, one: &UnknownObject) -> Found {
    let (amount, created) = match one {
        UnknownObject::Transfer(made) => (made.money(), made.created),
        UnknownObject::Payout { payout, .. } => (payout.money(), payout.created),
    };
    Found {
        vendor: Vendor::Stripe,
        object_id: one.id().to_owned(),
        our_id: of.id.to_string(),
        destination: of.destination.address().to_owned(),
        // If its currency is unknown here, it holds the payment anyway.
        amount: amount.unwrap_or(of.terms.net),
        made_at: (created > 0).then(|| created.saturating_mul(1_000_000)),
        reference: None,
    }
}
