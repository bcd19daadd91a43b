//! Verifies people's statements about a payment at the vendor before they are recorded. The object they found is read
//! and must belong to this attempt. *Not made* is accepted from one person only if a live look at the vendor finds
//! nothing. A vendor that cannot be searched does not count as having nothing.

mod schedule;

use std::cmp::Reverse;
use std::collections::BTreeSet;

use payout::Refusal;
use payout::ids::TransactionId;
use payout::law::{self, NotNow, Parked};
use payout::money::{Money, Vendor};
use payout::transaction::{AttemptState, Fact, Leg, State};
use vendors::ReadError;
use vendors::paypal::batch as paypal_batch;
use vendors::stripe::{ConnectedAccount, Stripe, payout as bank};

use super::answer::LookupOutcome as Outcome;
use super::bank_payouts::{self, named_payout};
use super::case::{Case, ShownMoney, ShownResult, is_other};
use super::scheduled_payouts::{self, Trace};
use super::shown::{
    batches_of, found_now, has_it, made_by_schedule, not_connected, of_another_account, of_what_was_found,
    paypal_has, stripe_has, unreachable,
};
use super::submission;
use super::{Work, chunks, recheck, settle, unknown_objects, verdict};
use crate::clock::Clock;
use crate::ops::by_hand::{Finding, SearchCompleteness};
use crate::ops::record::{self, Observation};
use crate::ops::{OpsError, Result, by_hand};
use crate::store::submissions::{self, Submission};
use crate::store::transactions::{self, Attempt, Transaction};
use crate::store::{Db, StoreError, events, named, put_back};
use crate::transact;

/// After this long, Stripe has reported what a payout of its automatic schedule took.
const REPORTED_BY_US: i64 = 86_400_000_000;

/// Reads the object a person found at the vendor for a payment that waits for them, and verifies that it belongs to
/// this payment: our attempt in its metadata, amount, currency and destination; and that no other payment has it.
///
/// # Errors
/// [`OpsError::Refused`] if the vendor has no such object or it belongs to something else; [`OpsError::Conflict`] if
/// nothing waits for a person; [`OpsError::Unreachable`] if the vendor does not answer.
pub async fn found(work: &Work, id: TransactionId, vendor_id: &str) -> Result<Finding> {
    let mut db = work.app.store.read().await?;
    if put_back::any_found(&mut db, Some(id)).await? {
        // The known object may have come back in the lost time. If not, the found one is a second payment.
        drop(db);
        settle::about(work, &[id], work.app.clock.now(), "poll").await?;
        db = work.app.store.read().await?;
    }
    let case = Case::read(&mut db, id).await?;
    let vendor = case.transaction.terms.vendor;
    let carried = events::by_vendor_id(&mut db, vendor, &[vendor_id.to_owned()]).await?;
    let named_by_events = named_keys(&mut db, &case).await?;
    drop(db);
    if case.may_be_made().is_empty() && case.lying().is_none() {
        let why = NotNow::NothingInDoubt;
        return Err(OpsError::Conflict(Refusal::new(why.code(), why.sentence())));
    }
    // One payout of Stripe's automatic schedule pays several payments.
    let others: BTreeSet<TransactionId> =
        carried.into_iter().map(|(_, other, _)| other).filter(|other| *other != id).collect();
    let others: Vec<TransactionId> = others.into_iter().collect();
    let by_schedule = match vendor {
        Vendor::PayPal => Ok(None),
        Vendor::Stripe => schedule::swept_by(work, &case, vendor_id, &others).await?,
    };
    if !others.is_empty() && matches!(by_schedule, Ok(None)) && !any_object() {
        return Err(not_this(
            "The vendor has this object for another payment of ours, so it cannot be this one's. Nothing was changed.",
        ));
    }
    let read = match (vendor, by_schedule) {
        (Vendor::PayPal, _) => paypal_item(work, &case, vendor_id).await?,
        (Vendor::Stripe, Ok(None)) => stripe_object(work, &case, vendor_id, &named_by_events).await?,
        (Vendor::Stripe, found) => found,
    };
    match read {
        Ok(Some(finding)) if moved_nothing(&case, &finding) => Err(not_this(
            "The vendor shows that this moved no money, or that its money came back, which is already recorded. Nothing was changed. If there is another object, name that one; if there is none, settle it as not made.",
        )),
        Ok(Some(finding)) => {
            contradict(work, &case, &finding).await?;
            transfer_first(work, &case, finding).await
        }
        Ok(None) | Err(ReadError::Missing | ReadError::Refused { .. }) => Err(not_this(
            "The vendor has nothing under this id that matches this payment: the same amount, currency and destination, our attempt on it, and not reversed. Nothing was changed.",
        )),
        Err(error) => Err(unreachable(&error)),
    }
}

/// A bank payout of a lost database is settled after its transfer if a search found that too: without the transfer
/// there is nothing here that it could have paid out.
async fn transfer_first(work: &Work, case: &Case, finding: Finding) -> Result<Finding> {
    if !matches!(finding, Finding::Made { fact: Fact::PayoutMade | Fact::PayoutPaid, .. }) {
        return Ok(finding);
    }
    let open = put_back::open_of(&mut work.app.store.read().await?, case.transaction.id).await?;
    let Some(transfer) = open.iter().find(|one| one.starts_with("tr_")) else { return Ok(finding) };
    match found_now(work, case, transfer).await? {
        Ok(ShownMoney::It(_) | ShownMoney::NotSaid) => {}
        // It has come back since it was found, and is over.
        Ok(ShownMoney::Nothing) => {
            let (app, message) = (&work.app, "Stripe shows that its money came back.");
            transact!(app, |tx| {
                Ok(put_back::settle_found(tx, transfer, "search", message, app.clock.now()).await?)
            })?;
            return Ok(finding);
        }
        Err(error) => return Err(unreachable(&error)),
    }
    let message = format!(
        "Stripe also has the transfer {transfer} of this payment, which is missing here and which this was paid from. Nothing was settled. First settle that one, as made under its id."
    );
    Err(OpsError::Conflict(Refusal::new("settle_the_transfer", message)))
}

/// An object proven to be out contradicts an attempt that had ended, whether or not settling it succeeds: that may be
/// refused or wait for a second person, and until then nothing may pay its rewards again.
async fn contradict(work: &Work, case: &Case, finding: &Finding) -> Result<()> {
    let Finding::Made { attempt, vendor_id, proven: true, .. } = finding else { return Ok(()) };
    let ended = |one: &&Attempt| one.id == *attempt && one.state.ended();
    let Some(attempt) = case.attempts.iter().find(ended) else { return Ok(()) };
    found_after_all(work, &[(attempt, vendor_id.clone())]).await
}

/// Records that the vendor shows, under these ids, what had ended here as not made.
async fn found_after_all(work: &Work, shows: &[(&Attempt, String)]) -> Result<()> {
    let observations: Vec<Observation> =
        shows.iter().map(|(one, object)| bank_payouts::out(one, object)).collect();
    let app = &work.app;
    if !observations.is_empty() {
        transact!(app, |tx| { Ok(record::record(tx, app, "looked_again", &observations).await?) })?;
        app.nudge.notify_watchers();
    }
    Ok(())
}

/// Whether the object of an ended attempt only confirms that end, so there is no contradiction.
fn moved_nothing(case: &Case, finding: &Finding) -> bool {
    let Finding::Made { attempt, fact, .. } = finding else { return false };
    let ended = case.attempts.iter().any(|one| one.id == *attempt && one.state.ended());
    let out = submission::is_out(fact)
        || matches!(
            fact,
            Fact::TransferMade
                | Fact::PayoutMade
                | Fact::PayoutPaid
                | Fact::ReversalMade
                | Fact::Swept { .. }
                | Fact::FoundAfterAll(_)
        );
    ended && !out
}

fn any_object() -> bool {
    payout::planted::on("any_object_settles")
}

fn not_this(sentence: &str) -> OpsError {
    OpsError::Refused(Refusal::new("not_this_payment", sentence).at("vendor_id"))
}

/// The object ids that events link to our keys.
async fn named_keys(db: &mut Db, case: &Case) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for carrier in &case.carriers {
        let ids = named::of(db, &carrier.id).await?.into_iter();
        found.extend(ids.map(|id| (carrier.id.clone(), id)));
    }
    Ok(found)
}

/// The fact an object reports for an attempt, and how much of a transfer has come back.
type ObjectFact = (Fact, Option<Money>);

/// The result of reading one object: it belongs to this payment, it does not, or it could not be read.
type FindingResult = std::result::Result<Option<Finding>, ReadError>;

fn made(attempt: &Attempt, said: Option<ObjectFact>, id: &str, carrier_id: &str) -> Option<Finding> {
    said.map(|(fact, part_back)| Finding::Made {
        attempt: attempt.id,
        fact,
        part_back,
        vendor_id: id.to_owned(),
        carrier_id: carrier_id.to_owned(),
        proven: true,
        lost: None,
    })
}

/// Where a payment's money went from the payee's balance.
struct BalanceUse {
    /// The payout of Stripe's automatic schedule that took it, and its state.
    payout: Option<(String, Fact)>,
    /// No part of the transfer came back, before or after.
    whole: bool,
    /// Stripe does not report everything yet that its payouts took.
    in_progress: bool,
    /// Not reported yet, but will be within hours.
    not_yet: bool,
    /// Some or all of the transfer came back.
    came_back: bool,
    /// How much came back, if only a part.
    part_back: Option<Money>,
}

/// Which payout of Stripe's automatic schedule took this payment's money.
async fn took(
    (stripe, clock): (&Stripe, &Clock),
    (case, asks): (&Case, LookupDepth),
    account: &ConnectedAccount,
) -> std::result::Result<BalanceUse, ReadError> {
    let nowhere = BalanceUse {
        payout: None,
        whole: true,
        in_progress: false,
        not_yet: false,
        came_back: false,
        part_back: None,
    };
    let mut transfers = case.attempts.iter().filter(|one| one.leg == Leg::Transfer && !one.state.ended());
    let known = transfers.find_map(|one| Some((one.vendor_id.as_deref()?, one.reversed_minor)));
    let Some((object, reversed_minor)) = known else { return Ok(nowhere) };
    let transfer = stripe.transfer(object).await?;
    let came_back = transfer.amount_reversed_units > 0;
    let is_part = came_back && transfer.amount_reversed_units < transfer.amount_units;
    let part_back = transfer.come_back().filter(|_| is_part);
    if asks == LookupDepth::Transfer {
        return Ok(BalanceUse { came_back, part_back, ..nowhere });
    }
    // If Stripe does not name the payment on the connected account, what took it cannot be determined.
    let unnamed = || {
        ReadError::Unreadable(
            "Stripe does not say how the transfer appears in the payee's balance".to_owned(),
        )
    };
    let payment = transfer.destination_payment.ok_or_else(unnamed)?;
    let attempts: Vec<&Attempt> = case.attempts.iter().collect();
    // A payout that includes both the payment and its refund took nothing of it.
    let named_as = scheduled_payouts::named_as(stripe, (object, came_back), payment).await?;
    let trace = Trace::of(&case.transaction, &attempts, named_as).beside(case.other_payouts.clone());
    let trace = trace.made(transfer.created);
    let trace = if asks == LookupDepth::PayoutsOfLookedThrough { trace.looked_through() } else { trace };
    let mut by_schedule =
        scheduled_payouts::by_schedule(stripe, account, (case.since(), clock), vec![trace]).await?;
    Ok(BalanceUse {
        payout: by_schedule.found.remove(&case.transaction.id),
        whole: reversed_minor == 0 && !came_back,
        in_progress: by_schedule.in_progress,
        not_yet: by_schedule.not_yet,
        came_back,
        part_back,
    })
}

async fn paypal_item(work: &Work, case: &Case, id: &str) -> Result<FindingResult> {
    let Some(paypal) = work.clients.paypal().await? else { return Ok(Err(not_connected())) };
    if !paypal.may_have(case.transaction.vendor_account.as_deref()) {
        return Ok(Err(of_another_account()));
    }
    let item = match paypal.client.item(id).await {
        Ok(item) => item,
        Err(error) => return Ok(Err(error)),
    };
    let of = &case.transaction;
    let ours = item.sender_item_id.as_deref() == Some(of.id.to_string().as_str());
    let Some(batch_id) = item.payout_batch_id.clone() else { return Ok(Ok(None)) };
    if !ours || !settle::about_ours(of, &item) {
        return Ok(Ok(None));
    }
    // An item sent by a lost database has a key that is not known here.
    let lost = put_back::was_found(&mut work.app.store.read().await?, of.id, id).await?;
    // Two attempts of one payment have the same `sender_item_id`; the batch's key tells them apart.
    let key = match paypal.client.batch(&batch_id).await {
        Ok(batch) => batch.sender_batch_id,
        Err(error) => return Ok(Err(error)),
    };
    let carried = |one: &Attempt| {
        let carrier = case.carrier(one);
        carrier.is_some_and(|it| it.vendor_id.as_ref() == Some(&batch_id) || Some(&it.key) == key.as_ref())
    };
    // Prefer the attempt that has the item, then one whose request contains it, then the newest, for an item of a lost
    // database.
    let its = |one: &Attempt| match one.vendor_id.as_ref() == Some(&item.payout_item_id) {
        true => Some((2, one.number)),
        false if carried(one) => Some((1, one.number)),
        false => lost.then_some((0, one.number)),
    };
    let open = case.may_be_made().into_iter();
    let open = open.filter(|one| one.leg == Leg::Item && is_other(one, &item.payout_item_id));
    let attempt =
        open.filter_map(|one| Some((its(one)?, one))).max_by_key(|(its, _)| *its).map(|(_, one)| one);
    let said = paypal_batch::item_fact(&item).map(|fact| (fact, None));
    let Some(attempt) = attempt else { return Ok(Ok(None)) };
    // An attempt that has another item keeps its own request.
    let moves = (attempt.state.ended() || attempt.state == AttemptState::Review) && !carried(attempt);
    let lost = match key.as_ref().filter(|key| moves && key.starts_with("pb:")) {
        Some(key) => Some(Box::new(lost_request(work, of, key)?)),
        None => None,
    };
    let mut found = made(attempt, said, &item.payout_item_id, &batch_id);
    if let Some(Finding::Made { lost: of_it, .. }) = &mut found {
        *of_it = lost;
    }
    Ok(Ok(found))
}

/// The request of a lost database that created an item, reduced to this payment. Never sent.
fn lost_request(work: &Work, of: &Transaction, key: &str) -> Result<submissions::New> {
    let request = chunks::batch_request(key, of.terms.net.currency, &[of])
        .map_err(|bad| OpsError::Internal(StoreError::Corrupt(bad.0)))?;
    Ok(submission::new_submission(
        &work.app,
        &request,
        of.batch,
        of.vendor_account.clone(),
        work.app.clock.now(),
    ))
}

async fn stripe_object(
    work: &Work,
    case: &Case,
    id: &str,
    named: &[(String, String)],
) -> Result<FindingResult> {
    let Some(stripe) = work.clients.stripe().await? else { return Ok(Err(not_connected())) };
    let of = &case.transaction;
    if !stripe.may_have(of.vendor_account.as_deref()) {
        return Ok(Err(of_another_account()));
    }
    let Some(account) = ConnectedAccount::parse(of.destination.address()) else { return Ok(Ok(None)) };
    let mut last = Ok(None);
    // An object made by a lost database carries no attempt id known here: assign it to the newest attempt the vendor
    // contradicts.
    let mut open = case.may_be_made();
    open.sort_by_key(|one| Reverse(one.number));
    for attempt in open.into_iter().filter(|one| is_other(one, id)) {
        let is_named = named
            .iter()
            .any(|(carrier, object)| Some(carrier) == attempt.submission.as_ref() && object == id);
        let look = at_stripe(&stripe.client, (case, attempt), &account, id, is_named).await;
        let about_it = matches!(look, Ok(Some(_)));
        last = look.map(|said| made(attempt, said, id, id));
        if about_it {
            break;
        }
    }
    Ok(last)
}

/// The fact a Stripe object reports for an attempt, if it belongs to that attempt.
async fn at_stripe(
    stripe: &Stripe,
    (case, attempt): (&Case, &Attempt),
    account: &ConnectedAccount,
    id: &str,
    is_named: bool,
) -> std::result::Result<Option<ObjectFact>, ReadError> {
    let of = &case.transaction;
    let (net, ours) = (Some(of.terms.net), attempt.id.to_string());
    Ok(match attempt.leg {
        Leg::Transfer if id.starts_with("tr_") => {
            let found = stripe.transfer(id).await?;
            let about = found.money() == net
                && found.destination == of.destination.address()
                && found.transfer_group.as_deref() == Some(of.id.to_string().as_str())
                && (is_named
                    || found.metadata.get("attempt") == Some(&ours)
                    || attempt.vendor_id.as_deref() == Some(id)
                    || case.is_lost(&found.id, found.metadata.get("attempt")));
            // If only a part came back, the rest is out.
            let stands = found.amount_reversed_units < found.amount_units;
            (about && stands).then(|| (Fact::TransferMade, found.come_back()))
        }
        Leg::Payout if id.starts_with("po_") => {
            let found = stripe.payout(account, id).await?;
            let marked = any_object()
                || is_named
                || found.metadata.get("attempt") == Some(&ours)
                || attempt.vendor_id.as_deref() == Some(id);
            let marked =
                marked || named_payout(stripe, account, (case, attempt)).await?.as_deref() == Some(id);
            let marked = marked
                || (case.is_lost(id, found.metadata.get("attempt"))
                    && unknown_objects::named_payouts(stripe, account, (&of.id.to_string(), case.since()))
                        .await?
                        .contains(id));
            let fact = bank::fact(&found).filter(|_| found.money() == net && !found.automatic && marked);
            fact.map(|fact| (fact, None))
        }
        Leg::Reversal if id.starts_with("trr_") => {
            let all = stripe.reversals(case.reversed(attempt).unwrap_or_default()).await?;
            let about = all.iter().any(|one| one.id == id && one.metadata.get("attempt") == Some(&ours));
            about.then_some((Fact::ReversalMade, None))
        }
        Leg::Transfer | Leg::Payout | Leg::Reversal | Leg::Item | Leg::Cancel => None,
    })
}

/// Asks the vendor before *not made* is accepted. Returns how conclusive the look was.
///
/// # Errors
/// [`OpsError::Conflict`] if the vendor has it; [`OpsError::Unreachable`] if it does not answer.
pub async fn not_made(work: &Work, id: TransactionId) -> Result<Finding> {
    let mut db = work.app.store.read().await?;
    let case = Case::read(&mut db, id).await?;
    let named_by_events = named_keys(&mut db, &case).await?;
    drop(db);
    // A statement about a found object takes two people if nothing proves that it is ours.
    let (found, over) = if case.found { of_what_was_found(work, &case).await? } else { (Vec::new(), true) };
    let mut worth = if over { SearchCompleteness::Through } else { SearchCompleteness::NotThrough };
    for attempt in case.open() {
        // A cancellation moves no money, whatever its outcome.
        let carrier = case.carrier(attempt);
        let looked = match carrier.filter(|_| attempt.leg != Leg::Cancel) {
            // Without a request, we never sent it.
            None => made_by_schedule(work, &case, attempt).await?,
            Some(carrier) if carrier.vendor == Vendor::Stripe => stripe_has(work, &case, attempt).await?,
            Some(carrier) => {
                let batches = batches_of(attempt, carrier, &named_by_events);
                let holds = attempt.state.ended() || attempt.state == AttemptState::Review;
                if batches.is_empty() && !holds {
                    continue;
                }
                paypal_has(work, (&case.transaction, attempt, carrier), batches).await?
            }
        };
        match looked {
            Ok(ShownMoney::Nothing) => {}
            // A hidden object or account says nothing about the money.
            Ok(ShownMoney::NotSaid) | Err(ReadError::Missing | ReadError::Refused { .. }) => {
                worth = SearchCompleteness::NotThrough
            }
            // The vendor has been asked for a long time, without a readable answer.
            Err(ReadError::Unreadable(_)) if not_understood(&case, carrier) => {
                worth = SearchCompleteness::NotThrough
            }
            Ok(ShownMoney::It(object)) => return Err(has_it(&object)),
            Err(error) => return Err(unreachable(&error)),
        }
    }
    match schedule_has(work, &case).await? {
        Ok(ShownMoney::Nothing) => {}
        Ok(ShownMoney::NotSaid) | Err(ReadError::Missing | ReadError::Refused { .. }) => {
            worth = SearchCompleteness::NotThrough
        }
        Err(ReadError::Unreadable(_)) if not_understood(&case, None) => {
            worth = SearchCompleteness::NotThrough
        }
        Ok(ShownMoney::It(object)) => return Err(has_it(&object)),
        Err(error) => return Err(unreachable(&error)),
    }
    let of = case.open().into_iter().map(|one| one.id).collect();
    Ok(Finding::NotMade { looked: worth, of, contradicted_at: case.transaction.contradicted_at, found })
}

/// Looks again for attempts people reported as not made, or that two looks did not find, before their rewards are freed
/// or paid again: the vendor may show them by now. If it does, that is a contradiction. What cannot be read is accepted
/// on their word.
pub(super) async fn called_not_made(work: &Work, id: TransactionId) -> Result<Outcome> {
    let mut db = work.app.store.read().await?;
    let case = Case::read(&mut db, id).await?;
    let named_by_events = named_keys(&mut db, &case).await?;
    drop(db);
    let first =
        |one: &&Attempt| matches!(one.leg, Leg::Transfer | Leg::Item) && by_hand::may_have_been_made(one);
    let (mut looked, mut shows) = (Outcome::Through, Vec::new());
    for attempt in case.attempts.iter().filter(first) {
        let Some(carrier) = case.carrier(attempt) else { continue };
        let shown = match carrier.vendor {
            Vendor::Stripe => stripe_has(work, &case, attempt).await?,
            Vendor::PayPal => {
                let batches = batches_of(attempt, carrier, &named_by_events);
                paypal_has(work, (&case.transaction, attempt, carrier), batches).await?
            }
        };
        match shown {
            Ok(ShownMoney::It(object)) => shows.push((attempt, object)),
            Ok(ShownMoney::Nothing | ShownMoney::NotSaid)
            | Err(ReadError::Missing | ReadError::Refused { .. }) => {}
            Err(_) => looked = Outcome::NotAnswered,
        }
    }
    found_after_all(work, &shows).await?;
    Ok(looked)
}

/// Whether a payment waits for a person because the vendor's answers about it have been unreadable for a long time.
fn not_understood(case: &Case, carrier: Option<&Submission>) -> bool {
    let reason = case.transaction.reason.as_ref();
    reason.is_some_and(|reason| reason.code == "vendor_not_understood")
        || carrier
            .and_then(|carrier| carrier.last.as_ref())
            .is_some_and(|(why, _)| why == verdict::UNREADABLE)
}

/// Whether Stripe's automatic schedule has paid out what should be in the payee's balance.
async fn schedule_has(work: &Work, case: &Case) -> Result<ShownResult> {
    let of = &case.transaction;
    let attempts: Vec<&Attempt> = case.attempts.iter().collect();
    let account = ConnectedAccount::parse(of.destination.address());
    // Whether a reversal was made is a separate question, checked on its own.
    let of_reversal = of.state == State::Recalling && !case.waiting().is_empty();
    let lies = !of_reversal && scheduled_payouts::is_in_payee_balance(of, &attempts);
    let Some(account) = account.filter(|_| lies) else {
        return Ok(Ok(ShownMoney::Nothing));
    };
    let Some(stripe) = work.clients.stripe().await? else { return Ok(Err(not_connected())) };
    if !stripe.may_have(of.vendor_account.as_deref()) {
        return Ok(Err(of_another_account()));
    }
    Ok(match took((&stripe.client, &work.app.clock), (case, LookupDepth::Payouts), &account).await {
        Ok(BalanceUse { payout: Some((object, _)), .. }) => Ok(ShownMoney::It(object)),
        Ok(took) if took.not_yet => Err(ReadError::Unreachable(NOT_YET.to_owned())),
        Ok(took) if took.in_progress => Ok(ShownMoney::NotSaid),
        Ok(_) => Ok(ShownMoney::Nothing),
        Err(error) => Err(error),
    })
}

const NOT_YET: &str = "Stripe does not report yet what its own payouts took from the payee's account; it does within minutes at the start of a day (UTC), otherwise within hours";

/// What became of the money a bank payout should pay.
pub(super) enum MoneyLocation {
    There,
    /// A payout of Stripe's automatic schedule took it; its id and state.
    PaidOut(String, Fact),
    /// All or part of its transfer came back.
    CameBack,
    /// Stripe does not fully report yet what its payouts took, or not in a readable form: why.
    NotReported(ReadError),
}

/// How far to look for the money.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum LookupDepth {
    Transfer,
    /// Also check what payouts of Stripe's automatic schedule took.
    Payouts,
    /// The same for an account already searched for payouts of ours, without any unknown one.
    PayoutsOfLookedThrough,
}

/// Whether Stripe's automatic schedule has paid out the money of a bank payout, or somebody reversed the transfer.
///
/// # Errors
/// If the database fails; the inner result is Stripe's.
pub(super) async fn lies(
    work: &Work,
    id: TransactionId,
    asks: LookupDepth,
) -> Result<std::result::Result<MoneyLocation, ReadError>> {
    let case = Case::read(&mut work.app.store.read().await?, id).await?;
    let Some(stripe) = work.clients.stripe().await? else { return Ok(Err(not_connected())) };
    let Some(account) = ConnectedAccount::parse(case.transaction.destination.address()) else {
        return Ok(Ok(MoneyLocation::There));
    };
    let took = took((&stripe.client, &work.app.clock), (&case, asks), &account);
    Ok(match work.ask(Vendor::Stripe, took).await {
        Ok(BalanceUse { payout: Some((id, fact)), .. }) => Ok(MoneyLocation::PaidOut(id, fact)),
        Ok(took) if took.came_back => Ok(MoneyLocation::CameBack),
        Ok(took) if took.in_progress => {
            Ok(MoneyLocation::NotReported(ReadError::Unreachable(NOT_YET.to_owned())))
        }
        Ok(_) => Ok(MoneyLocation::There),
        Err(error @ ReadError::Unreadable(_)) => Ok(MoneyLocation::NotReported(error)),
        Err(error) => Err(error),
    })
}

/// Asks Stripe before accepting two people's word about money in a payee's balance, and records the answer first.
/// *Reversed* is not accepted while Stripe shows that part of the transfer stands. What Stripe does not show, or a
/// transfer that is gone, is accepted on their word.
///
/// # Errors
/// [`OpsError::Conflict`] if the transfer stands; [`OpsError::Unreachable`] if Stripe does not answer everything.
pub async fn parked(work: &Work, id: TransactionId, how: Parked) -> Result<()> {
    // A database restored since may be too old to tell. What is found then is for people to judge.
    if recheck::before(work, id).await? == Outcome::NotAnswered
        && !put_back::any_found(&mut work.app.store.read().await?, Some(id)).await?
    {
        Outcome::NotAnswered.known()?;
    }
    let found = transactions::find(&mut work.app.store.read().await?, &id.to_string()).await?;
    if matches!(found.state, State::PayoutFailed | State::PayoutCanceled) {
        // The payee may have it, or we may have it back, without a record of it.
        let looked = settle::look(work, id).await?;
        let looked = looked.max(bank_payouts::look_again(work, id).await?);
        let found = transactions::find(&mut work.app.store.read().await?, &id.to_string()).await?;
        // Stripe shows that a transfer came back. What it does not show of the balance is accepted on their word, once it has
        // had time to report what its own payouts took.
        let now = work.app.clock.now();
        let seen = found.reversal_seen_at.filter(|seen| now.saturating_sub(*seen) >= REPORTED_BY_US);
        let back = how == Parked::Reversed && seen.is_some();
        if looked >= Outcome::NotYet && !back {
            looked.known()?;
        }
    }
    let case = Case::read(&mut work.app.store.read().await?, id).await?;
    let (of, mut transfers) = (&case.transaction, case.attempts.iter());
    let lies = law::settle_parked(of.state, &of.terms, how).is_ok() && how == Parked::Reversed;
    let transfer = transfers.find(|one| lies && one.leg == Leg::Transfer && !one.state.ended());
    let Some(object) = transfer.and_then(|one| one.vendor_id.as_deref()) else { return Ok(()) };
    let Some(stripe) = work.clients.stripe().await? else { return Err(unreachable(&not_connected())) };
    if !stripe.may_have(of.vendor_account.as_deref()) {
        return Err(unreachable(&of_another_account()));
    }
    match stripe.client.transfer(object).await {
        Ok(transfer) if transfer.amount_reversed_units < transfer.amount_units => {
            let message = "Stripe shows that the transfer was not reversed, or not completely. Nothing was changed. Reverse it at Stripe, or return the payment to the pool, which asks Stripe to reverse it.";
            Err(OpsError::Conflict(Refusal::new("transfer_stands", message)))
        }
        Ok(_) | Err(ReadError::Missing | ReadError::Refused { .. }) => Ok(()),
        Err(error) => Err(unreachable(&error)),
    }
}

#[cfg(test)]
mod tests;
