//! What a person says about a payment, proven at the vendor before it is recorded: the object that they found is read, and
//! must be about this very attempt; and *not made* is believed of one person only where the vendor, asked now, shows that it
//! has nothing of it. Where the vendor cannot be looked through, that is told apart from having nothing.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashSet};

use payout::Refusal;
use payout::ids::TransactionId;
use payout::law::{self, NotNow, Parked};
use payout::money::{Money, Vendor};
use payout::transaction::{AttemptState, Fact, Leg, State};
use vendors::ReadError;
use vendors::paypal::batch as paypal_batch;
use vendors::stripe::{ConnectedAccount, Stripe, payout as bank};

use super::answer::Looked as Outcome;
use super::bank_payouts::{self, named_payout};
use super::shown::{
    Has, Shown, batches_of, found_now, is_other, made_by_schedule, not_connected, of_another_account,
    of_what_was_found, paypal_has, stripe_has,
};
use super::submission;
use super::swept::{self, Trace};
use super::{Work, ask, beside, chunks, relook, settle, verdict};
use crate::clock::Clock;
use crate::ops::by_hand::{Finding, Looked};
use crate::ops::record::{self, Heard};
use crate::ops::{OpsError, Result, by_hand};
use crate::store::submissions::{self, Submission};
use crate::store::transactions::{self, Attempt, Transaction};
use crate::store::{Db, StoreError, events, named, put_back};
use crate::transact;

/// Stripe tells within hours what a payout of its own schedule took.
const TOLD_BY_US: i64 = 86_400_000_000;

/// What is known here of a payment whose end a person tells.
pub(super) struct Case {
    pub(super) transaction: Transaction,
    pub(super) attempts: Vec<Attempt>,
    carriers: Vec<Submission>,
    /// Something of it was found after the database was put back.
    found: bool,
    /// The bank payouts to the same account that are known to be other payments'.
    beside: HashSet<String>,
}

impl Case {
    pub(super) async fn read(db: &mut Db, id: TransactionId) -> Result<Self> {
        let transaction = transactions::find(db, &id.to_string()).await?;
        let attempts = transactions::attempts(db, &[id]).await?;
        let carriers: Vec<String> = attempts.iter().filter_map(|one| one.submission.clone()).collect();
        let carriers = submissions::several(db, &carriers).await?;
        let found = put_back::any_found(db, Some(id)).await?;
        let beside = transactions::payouts_beside(db, &[id]).await?.remove(&id).unwrap_or_default();
        Ok(Self { transaction, attempts, carriers, found, beside })
    }

    pub(super) fn carrier(&self, of: &Attempt) -> Option<&Submission> {
        self.carriers.iter().find(|one| Some(&one.id) == of.submission.as_ref())
    }

    /// From when on payouts are looked through, as a Unix second.
    pub(super) fn since(&self) -> i64 {
        beside::since(&self.transaction)
    }

    /// The transfer that a reversal asks back: its request names it.
    pub(super) fn reversed(&self, of: &Attempt) -> Option<&str> {
        let path = self.carrier(of)?.path.as_str();
        path.split('/').find(|part| part.starts_with("tr_"))
    }

    /// Whether an object of this payment is of an attempt that a lost database has made: it carries a mark, and no attempt here
    /// has that or is known to have the object.
    pub(super) fn is_lost(&self, object: &str, mark: Option<&String>) -> bool {
        let has =
            |one: &Attempt| mark == Some(&one.id.to_string()) || one.vendor_id.as_deref() == Some(object);
        mark.is_some() && !self.attempts.iter().any(has)
    }

    /// The transfer of a contradicted payment whose money should lie in the payee's balance.
    fn lying(&self) -> Option<&Attempt> {
        let of = &self.transaction;
        let lies = matches!(
            of.state,
            State::PayoutFailed | State::PayoutCanceled | State::Recalling | State::WrittenOff
        );
        let lies = lies && of.contradicted_at.is_some() && of.otherwise_at.is_none();
        self.attempts.iter().find(|one| lies && one.leg == Leg::Transfer && !one.state.ended())
    }

    /// The attempts that *not made* is said of: the one that waits for a person, else those that the vendor may contradict.
    fn open(&self) -> Vec<&Attempt> {
        let waiting = self.waiting();
        if waiting.is_empty() { self.may_be_contradicted() } else { waiting }
    }

    fn waiting(&self) -> Vec<&Attempt> {
        self.attempts.iter().filter(|one| one.state == AttemptState::Review).collect()
    }

    /// What people have settled as paid beside another is counted, and nothing is asked about it any more. Of what has not
    /// ended, the vendor may have another object beside the one that the books hold.
    fn may_be_contradicted(&self) -> Vec<&Attempt> {
        let counted = |one: &Attempt| one.state == AttemptState::Failed && one.reason_code.is_none();
        let asked = |one: &&Attempt| match one.state.ended() {
            true => !counted(one),
            false => one.contradicted_at.is_some(),
        };
        let contradicted = self.transaction.contradicted_at.is_some();
        self.attempts.iter().filter(|one| contradicted && asked(one)).collect()
    }

    /// The attempts that an object may be about, those first that wait for a person. Whoever finds out that what ended here as
    /// not made was made may say so, whether the vendor tells of it or not, and whatever else of the payment waits. What was
    /// found after the database was put back may be about the newest of each leg: what had ended was made after all, and what
    /// has an object is paid twice where that stands as well.
    fn may_be_made(&self) -> Vec<&Attempt> {
        let newest = |one: &Attempt| {
            let mut of_leg = self.attempts.iter().filter(|other| other.leg == one.leg);
            of_leg.all(|other| other.number <= one.number)
        };
        let may = |one: &&Attempt| {
            let has_an_end = one.state.ended() || one.vendor_id.is_some();
            by_hand::may_have_been_made(one) || (self.found && has_an_end && newest(one))
        };
        let (mut all, others) = (self.waiting(), self.attempts.iter().filter(may));
        for one in self.may_be_contradicted().into_iter().chain(others) {
            if all.iter().all(|known| known.id != one.id) {
                all.push(one);
            }
        }
        all
    }
}

/// Reads the object that a person has found at the vendor for a payment that waits for them, and proves that it is about
/// this payment: our attempt on it, amount, currency and destination; and that no other payment has it.
///
/// # Errors
/// [`OpsError::Refused`] when the vendor has no such object or it is about something else; [`OpsError::Conflict`] when
/// nothing waits for a person; [`OpsError::Unreachable`] when the vendor does not answer.
pub async fn found(work: &Work, id: TransactionId, vendor_id: &str) -> Result<Finding> {
    let mut db = work.app.store.read().await?;
    if put_back::any_found(&mut db, Some(id)).await? {
        // What is known here of it may have come back in the time that is lost. Else this is paid beside that.
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
    // One payout of Stripe's own schedule pays several.
    let others: BTreeSet<TransactionId> =
        carried.into_iter().map(|(_, other, _)| other).filter(|other| *other != id).collect();
    let others: Vec<TransactionId> = others.into_iter().collect();
    let by_schedule = match vendor {
        Vendor::PayPal => Ok(None),
        Vendor::Stripe => swept_by(work, &case, vendor_id, &others).await?,
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
            "The vendor shows that this moved no money, or that its money came back, which is what is recorded of it. Nothing was changed. If there is another object, name that one; if there is none, say that it was not made.",
        )),
        Ok(Some(finding)) => {
            contradict(work, &case, &finding).await?;
            transfer_first(work, &case, finding).await
        }
        Ok(None) | Err(ReadError::Missing | ReadError::Refused { .. }) => Err(not_this(
            "The vendor has nothing under this id that is about this payment: the same amount, currency and destination, with our attempt on it, and not taken back. Nothing was changed.",
        )),
        Err(error) => Err(unreachable(&error)),
    }
}

/// A bank payout of a lost database is settled after the transfer that it was made of, where a search has found that as well:
/// without it there is nothing here that it could have paid out.
async fn transfer_first(work: &Work, case: &Case, finding: Finding) -> Result<Finding> {
    if !matches!(finding, Finding::Made { fact: Fact::PayoutMade | Fact::PayoutPaid, .. }) {
        return Ok(finding);
    }
    let open = put_back::open_of(&mut work.app.store.read().await?, case.transaction.id).await?;
    let Some(transfer) = open.iter().find(|one| one.starts_with("tr_")) else { return Ok(finding) };
    match found_now(work, case, transfer).await? {
        Ok(Has::It(_) | Has::NotSaid) => {}
        // It has come back since it was found, and is over.
        Ok(Has::Nothing) => {
            let (app, told) = (&work.app, "Stripe shows that its money came back.");
            transact!(app, |tx| {
                Ok(put_back::settle_found(tx, transfer, "search", told, app.clock.now()).await?)
            })?;
            return Ok(finding);
        }
        Err(error) => return Err(unreachable(&error)),
    }
    let told = format!(
        "Stripe has the transfer {transfer} of this payment as well, which is not known here and which this was paid out of. Nothing was settled: settle that one first, as made under its id."
    );
    Err(OpsError::Conflict(Refusal::new("settle_the_transfer", told)))
}

/// What had ended here and is proven to be out contradicts the books from now on, whatever becomes of settling it: that may be
/// refused, or wait for a second person, and until it is done nothing must pay its rewards again.
async fn contradict(work: &Work, case: &Case, finding: &Finding) -> Result<()> {
    let Finding::Made { attempt, vendor_id, proven: true, .. } = finding else { return Ok(()) };
    let ended = |one: &&Attempt| one.id == *attempt && one.state.ended();
    let Some(attempt) = case.attempts.iter().find(ended) else { return Ok(()) };
    found_after_all(work, &[(attempt, vendor_id.clone())]).await
}

/// Records that the vendor shows what had ended here as not made, under which id.
async fn found_after_all(work: &Work, shows: &[(&Attempt, String)]) -> Result<()> {
    let heard: Vec<Heard> = shows.iter().map(|(one, object)| bank_payouts::out(one, object)).collect();
    let app = &work.app;
    if !heard.is_empty() {
        transact!(app, |tx| { Ok(record::record(tx, app, "looked_again", &heard).await?) })?;
        app.nudge.tell_watchers();
    }
    Ok(())
}

/// Whether what was found of an attempt that has ended shows nothing else than its end: it denies no contradiction.
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

pub(super) fn unreachable(error: &ReadError) -> OpsError {
    let sentence = format!(
        "The vendor must be asked before this is recorded, and that has failed, so nothing was recorded and nothing has \
         changed. Try again in a while. What was said: {error}"
    );
    OpsError::Unreachable(Refusal::new("vendor_unreachable", sentence))
}

/// Under which ids events say that the vendor has our keys.
async fn named_keys(db: &mut Db, case: &Case) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for carrier in &case.carriers {
        let ids = named::of(db, &carrier.id).await?.into_iter();
        found.extend(ids.map(|id| (carrier.id.clone(), id)));
    }
    Ok(found)
}

/// What an object says of an attempt, and what of a transfer has come back already.
type Said = (Fact, Option<Money>);

/// What a look at one object answers: it is about this payment, or not, or could not be read.
type Look = std::result::Result<Option<Finding>, ReadError>;

fn made(attempt: &Attempt, said: Option<Said>, id: &str, carrier_id: &str) -> Option<Finding> {
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

/// A payout of Stripe's own schedule that a person has found: it is the end of a payment whose money should lie in the
/// payee's balance. Which entries of the balance it took proves it. Where Stripe does not show those to us, one that covers the
/// amount, beside the other payments that it has settled, takes two people.
async fn swept_by(work: &Work, case: &Case, id: &str, others: &[TransactionId]) -> Result<Look> {
    let Some(stripe) = work.clients.stripe().await?.filter(|_| id.starts_with("po_")) else {
        return Ok(Ok(None));
    };
    let of = &case.transaction;
    let account = ConnectedAccount::parse(of.destination.address());
    let Some(account) = account.filter(|_| stripe.may_have(of.vendor_account.as_deref())) else {
        return Ok(Ok(None));
    };
    let others = transactions::several(&mut work.app.store.read().await?, others).await?;
    let settled_minor = others.iter().map(|other| other.terms.net.minor).sum();
    Ok(at_schedule((&stripe.client, &work.app.clock), (case, settled_minor), &account, id).await)
}

async fn at_schedule(
    (stripe, clock): (&Stripe, &Clock),
    (case, settled_minor): (&Case, i64),
    account: &ConnectedAccount,
    id: &str,
) -> Look {
    let of = &case.transaction;
    let found = stripe.payout(account, id).await?;
    let out = bank::fact(&found).filter(|fact| matches!(fact, Fact::PayoutMade | Fact::PayoutPaid));
    let Some(fact) = out.filter(|_| found.automatic) else { return Ok(None) };
    // What it has paid is known already, and contradicted since: by its transfer, which came back.
    let is_known = |one: &&Attempt| one.contradicted_at.is_some() && one.vendor_id.as_deref() == Some(id);
    if let Some(known) = case.attempts.iter().find(is_known) {
        return Ok(made(known, Some((fact, None)), id, id));
    }
    let waiting = |one: &&Attempt| one.leg == Leg::Payout && one.state == AttemptState::Review;
    let (attempt, fact) = match (case.attempts.iter().find(waiting), case.lying()) {
        (Some(waits), _) => (waits, fact),
        (None, Some(transfer)) => (transfer, swept::swept(id, &fact)),
        (None, None) => return Ok(None),
    };
    let (vendor_id, carrier_id) = (id.to_owned(), id.to_owned());
    // What came back is of the transfer, whatever else is settled.
    let part_back = |took: &Took| took.part_back.filter(|_| attempt.leg == Leg::Transfer);
    let swept_by = |proven, part_back| Finding::Made {
        attempt: attempt.id,
        fact,
        part_back,
        vendor_id,
        carrier_id,
        proven,
        lost: None,
    };
    Ok(match took((stripe, clock), (case, Asks::Payouts), account).await {
        // Of the rest of a transfer, the payee has less than the payment: what becomes of it is for two people to say.
        Ok(took) => {
            let is_it = took.payout.as_ref().is_some_and(|(payout, _)| payout == id);
            if !is_it && took.not_yet {
                return Err(ReadError::Unreachable(NOT_YET.to_owned()));
            }
            is_it.then(|| swept_by(took.whole, part_back(&took)))
        }
        // What it took is not shown to us. It may be this payment's as far as it has not settled others.
        Err(ReadError::Missing | ReadError::Refused { .. }) => {
            let covers = found.created >= case.since() && covers(&found, settled_minor, of.terms.net);
            covers.then(|| swept_by(false, None))
        }
        Err(error) => return Err(error),
    })
}

/// Whether a payout that has settled so much of other payments may have paid this as well.
fn covers(found: &bank::Payout, settled_minor: i64, net: Money) -> bool {
    let left = |money: Money| money.minor.saturating_sub(settled_minor);
    found.money().is_some_and(|money| money.currency == net.currency && left(money) >= net.minor)
}

/// Where a payment's money went from the payee's balance.
struct Took {
    /// The payout of Stripe's own that took it, and how that stands.
    payout: Option<(String, Fact)>,
    /// Nothing of the transfer came back before or after.
    whole: bool,
    /// Stripe does not tell everything yet that its payouts took.
    in_progress: bool,
    /// The same, and it will be told within hours.
    not_yet: bool,
    /// All of the transfer came back, or a part of it.
    came_back: bool,
    /// Where only a part did, how much.
    part_back: Option<Money>,
}

/// Which payout of Stripe's own took this payment's money.
async fn took(
    (stripe, clock): (&Stripe, &Clock),
    (case, asks): (&Case, Asks),
    account: &ConnectedAccount,
) -> std::result::Result<Took, ReadError> {
    let nowhere = Took {
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
    if asks == Asks::Transfer {
        return Ok(Took { came_back, part_back, ..nowhere });
    }
    // Where Stripe does not say what the transfer is there, nothing is known of what took it.
    let unnamed = || {
        ReadError::Unreadable("Stripe does not say what the transfer is in the payee's balance".to_owned())
    };
    let payment = transfer.destination_payment.ok_or_else(unnamed)?;
    let attempts: Vec<&Attempt> = case.attempts.iter().collect();
    // A payout that took what came back as well has taken nothing of it.
    let named_as = swept::named_as(stripe, (object, came_back), payment).await?;
    let trace = Trace::of(&case.transaction, &attempts, named_as).beside(case.beside.clone());
    let trace = trace.made(transfer.created);
    let trace = if asks == Asks::PayoutsOfLookedThrough { trace.looked_through() } else { trace };
    let mut by_schedule = swept::by_schedule(stripe, account, (case.since(), clock), vec![trace]).await?;
    Ok(Took {
        payout: by_schedule.found.remove(&case.transaction.id),
        whole: reversed_minor == 0 && !came_back,
        in_progress: by_schedule.in_progress,
        not_yet: by_schedule.not_yet,
        came_back,
        part_back,
    })
}

async fn paypal_item(work: &Work, case: &Case, id: &str) -> Result<Look> {
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
    // What a lost database has sent is of a key that is not known here.
    let lost = put_back::was_found(&mut work.app.store.read().await?, of.id, id).await?;
    // Two attempts of one payment name it alike; the key of their batch tells them apart.
    let key = match paypal.client.batch(&batch_id).await {
        Ok(batch) => batch.sender_batch_id,
        Err(error) => return Ok(Err(error)),
    };
    let carried = |one: &Attempt| {
        let carrier = case.carrier(one);
        carrier.is_some_and(|it| it.vendor_id.as_ref() == Some(&batch_id) || Some(&it.key) == key.as_ref())
    };
    // The one that has the item, or the request that it is in; of what a lost database has sent, the newest.
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
    // One that has another item keeps its own request.
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

/// The request of a lost database that an item came of, as far as this payment goes. It is never sent.
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

async fn stripe_object(work: &Work, case: &Case, id: &str, named: &[(String, String)]) -> Result<Look> {
    let Some(stripe) = work.clients.stripe().await? else { return Ok(Err(not_connected())) };
    let of = &case.transaction;
    if !stripe.may_have(of.vendor_account.as_deref()) {
        return Ok(Err(of_another_account()));
    }
    let Some(account) = ConnectedAccount::parse(of.destination.address()) else { return Ok(Ok(None)) };
    let mut last = Ok(None);
    // What a lost database has made carries no attempt of ours: it is the newest one's, which the vendor contradicts.
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

/// What an object at Stripe says of an attempt, if it is that attempt's.
async fn at_stripe(
    stripe: &Stripe,
    (case, attempt): (&Case, &Attempt),
    account: &ConnectedAccount,
    id: &str,
    is_named: bool,
) -> std::result::Result<Option<Said>, ReadError> {
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
            // Where a part of it came back, the rest is out.
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
                    && beside::named_payouts(stripe, account, (&of.id.to_string(), case.since()))
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

/// Asks the vendor before somebody's *not made* is believed, and answers what the look is worth.
///
/// # Errors
/// [`OpsError::Conflict`] when the vendor has it; [`OpsError::Unreachable`] when it does not answer.
pub async fn not_made(work: &Work, id: TransactionId) -> Result<Finding> {
    let mut db = work.app.store.read().await?;
    let case = Case::read(&mut db, id).await?;
    let named_by_events = named_keys(&mut db, &case).await?;
    drop(db);
    // What people say of what was found counts for two of them, where nothing proves that it is ours.
    let (found, over) = if case.found { of_what_was_found(work, &case).await? } else { (Vec::new(), true) };
    let mut worth = if over { Looked::Through } else { Looked::NotThrough };
    for attempt in case.open() {
        // Calling back moves no money whatever becomes of it.
        let carrier = case.carrier(attempt);
        let looked = match carrier.filter(|_| attempt.leg != Leg::Cancel) {
            // What has no request was never sent by us.
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
            Ok(Has::Nothing) => {}
            // That it does not show us what it once named, or an account, says nothing of the money.
            Ok(Has::NotSaid) | Err(ReadError::Missing | ReadError::Refused { .. }) => {
                worth = Looked::NotThrough
            }
            // It has been asked for long already, and says nothing that could be read.
            Err(ReadError::Unreadable(_)) if not_understood(&case, carrier) => worth = Looked::NotThrough,
            Ok(Has::It(object)) => return Err(has_it(&object)),
            Err(error) => return Err(unreachable(&error)),
        }
    }
    match schedule_has(work, &case).await? {
        Ok(Has::Nothing) => {}
        Ok(Has::NotSaid) | Err(ReadError::Missing | ReadError::Refused { .. }) => worth = Looked::NotThrough,
        Err(ReadError::Unreadable(_)) if not_understood(&case, None) => worth = Looked::NotThrough,
        Ok(Has::It(object)) => return Err(has_it(&object)),
        Err(error) => return Err(unreachable(&error)),
    }
    let of = case.open().into_iter().map(|one| one.id).collect();
    Ok(Finding::NotMade { looked: worth, of, contradicted_at: case.transaction.contradicted_at, found })
}

/// Looks once more for what people have called not made, and for what two looks have not found, before its rewards are freed or
/// paid again: the vendor may show it by now. What it shows is a contradiction. What it still cannot be asked about rests on
/// their word.
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
            Ok(Has::It(object)) => shows.push((attempt, object)),
            Ok(Has::Nothing | Has::NotSaid) | Err(ReadError::Missing | ReadError::Refused { .. }) => {}
            Err(_) => looked = Outcome::NotAnswered,
        }
    }
    found_after_all(work, &shows).await?;
    Ok(looked)
}

/// Whether a payment waits for a person because what the vendor says of it has been unreadable for long.
fn not_understood(case: &Case, carrier: Option<&Submission>) -> bool {
    let reason = case.transaction.reason.as_ref();
    reason.is_some_and(|reason| reason.code == "vendor_not_understood")
        || carrier
            .and_then(|carrier| carrier.last.as_ref())
            .is_some_and(|(why, _)| why == verdict::UNREADABLE)
}

pub(super) fn has_it(object: &str) -> OpsError {
    let why = NotNow::VendorHasIt;
    OpsError::Conflict(Refusal::new(why.code(), format!("{} Its id there is {object}.", why.sentence())))
}

/// Whether Stripe's own schedule has paid out what should lie in the payee's balance.
async fn schedule_has(work: &Work, case: &Case) -> Result<Shown> {
    let of = &case.transaction;
    let attempts: Vec<&Attempt> = case.attempts.iter().collect();
    let account = ConnectedAccount::parse(of.destination.address());
    // Whether a reversal was made is another question; what is being fetched back is asked about by itself.
    let of_reversal = of.state == State::Recalling && !case.waiting().is_empty();
    let lies = !of_reversal && swept::lies_there(of, &attempts);
    let Some(account) = account.filter(|_| lies) else {
        return Ok(Ok(Has::Nothing));
    };
    let Some(stripe) = work.clients.stripe().await? else { return Ok(Err(not_connected())) };
    if !stripe.may_have(of.vendor_account.as_deref()) {
        return Ok(Err(of_another_account()));
    }
    Ok(match took((&stripe.client, &work.app.clock), (case, Asks::Payouts), &account).await {
        Ok(Took { payout: Some((object, _)), .. }) => Ok(Has::It(object)),
        Ok(took) if took.not_yet => Err(ReadError::Unreachable(NOT_YET.to_owned())),
        Ok(took) if took.in_progress => Ok(Has::NotSaid),
        Ok(_) => Ok(Has::Nothing),
        Err(error) => Err(error),
    })
}

const NOT_YET: &str = "Stripe does not tell yet what its own payouts took from the payee's account; it does within minutes at the beginning of a day (UTC), else within hours";

/// What became of the money that a bank payout should pay.
pub(super) enum Lies {
    There,
    /// A payout of Stripe's own has, which stands like this.
    PaidOut(String, Fact),
    /// Its transfer came back, or a part of it.
    CameBack,
    /// Stripe does not tell everything yet that its payouts took, or not in a way that can be read: why.
    NotTold(ReadError),
}

/// How far it is asked what became of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Asks {
    Transfer,
    /// Also what payouts of Stripe's own took.
    Payouts,
    /// The same, where the account was looked through for payouts of ours before: it shows none that is not known here.
    PayoutsOfLookedThrough,
}

/// Whether Stripe's own schedule has paid out the money that a bank payout should pay, or somebody took it back.
///
/// # Errors
/// When the database does not answer; of Stripe what it says.
pub(super) async fn lies(
    work: &Work,
    id: TransactionId,
    asks: Asks,
) -> Result<std::result::Result<Lies, ReadError>> {
    let case = Case::read(&mut work.app.store.read().await?, id).await?;
    let Some(stripe) = work.clients.stripe().await? else { return Ok(Err(not_connected())) };
    let Some(account) = ConnectedAccount::parse(case.transaction.destination.address()) else {
        return Ok(Ok(Lies::There));
    };
    let took = took((&stripe.client, &work.app.clock), (&case, asks), &account);
    Ok(match work.ask(Vendor::Stripe, took).await {
        Ok(Took { payout: Some((id, fact)), .. }) => Ok(Lies::PaidOut(id, fact)),
        Ok(took) if took.came_back => Ok(Lies::CameBack),
        Ok(took) if took.in_progress => Ok(Lies::NotTold(ReadError::Unreachable(NOT_YET.to_owned()))),
        Ok(_) => Ok(Lies::There),
        Err(error @ ReadError::Unreadable(_)) => Ok(Lies::NotTold(error)),
        Err(error) => Err(error),
    })
}

/// Asks Stripe before two people's word about money in a payee's balance is taken; what it says then is recorded first. That a
/// transfer was reversed is not taken while Stripe shows that some of it stands. What Stripe does not show, or a transfer that
/// is gone, rests on their word.
///
/// # Errors
/// [`OpsError::Conflict`] when the transfer stands; [`OpsError::Unreachable`] when Stripe does not answer all that was asked.
pub async fn parked(work: &Work, id: TransactionId, how: Parked) -> Result<()> {
    // A database that was put back since may be too old to say. What is found then is theirs to judge.
    if relook::before(work, id).await? == Outcome::NotAnswered
        && !put_back::any_found(&mut work.app.store.read().await?, Some(id)).await?
    {
        ask::known(Outcome::NotAnswered)?;
    }
    let found = transactions::find(&mut work.app.store.read().await?, &id.to_string()).await?;
    if matches!(found.state, State::PayoutFailed | State::PayoutCanceled) {
        // It may be with the payee, or back with us, without anybody having been told.
        let looked = settle::look(work, id).await?;
        let looked = looked.max(bank_payouts::look_again(work, id).await?);
        let found = transactions::find(&mut work.app.store.read().await?, &id.to_string()).await?;
        // That a transfer came back, Stripe shows; what it does not show of the balance rests on their word once it has had the
        // time to tell what its own payouts took.
        let now = work.app.clock.now();
        let seen = found.reversal_seen_at.filter(|seen| now.saturating_sub(*seen) >= TOLD_BY_US);
        let back = how == Parked::Reversed && seen.is_some();
        if looked >= Outcome::NotYet && !back {
            ask::known(looked)?;
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
            let told = "Stripe was asked and shows that the transfer stands, or a part of it, so it was not reversed. Nothing was changed. Reverse it at Stripe, or return the payment to the pool, which asks Stripe to.";
            Err(OpsError::Conflict(Refusal::new("transfer_stands", told)))
        }
        Ok(_) | Err(ReadError::Missing | ReadError::Refused { .. }) => Ok(()),
        Err(error) => Err(unreachable(&error)),
    }
}

#[cfg(test)]
mod tests;
