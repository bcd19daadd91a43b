//! After a restore: searches the vendors for payments this database does not know, because they were promised after the
//! backup or their sending is missing from it. Never sends. An object of a known payment is adopted or reported as a
//! contradiction; an object of no known payment is recorded and holds its payee.
//!
//! Known open requests are looked up by `look_through` (Stripe) and by the PayPal batch's key (`named`). Not here: when
//! safe mode ends (`ops::safe_mode`).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use payout::ids::TransactionId;
use payout::money::{Money, Vendor};
use payout::transaction::{AttemptState, Fact, Leg};
use vendors::ReadError;
use vendors::paypal::PayPal;
use vendors::paypal::batch::{Batch, Item, fact_in};
use vendors::stripe::Stripe;
use vendors::stripe::transfer::Transfer;

use super::submission;
use super::submission::is_out;
use super::{PassResult, Work, chunks};
use crate::app::App;
use crate::clock;
use crate::ops::record::{self, Observation};
use crate::ops::{OpsError, Result, safe_mode, vendors as connections};
use crate::store::put_back::{self, Found};
use crate::store::submissions::SubmissionState;
use crate::store::transactions::{self, Attempt, Transaction};
use crate::store::{self, StoreError, Tx, named, submissions};
use crate::transact;

/// PayPal lists events of the last 30 days; older ones cannot be searched.
const PAYPAL_KEEPS_US: i64 = 29 * DAY_US;
const DAY_US: i64 = 86_400_000_000;
/// The margin for clocks that differ.
const HOUR_US: i64 = 3_600_000_000;
/// The note on whatever a search finds.
const FOUND_NOTE: &str = "found at the vendor after the database was restored";

/// One pass: searches the vendors that are due in safe mode.
pub async fn once(work: &Work, now: i64) -> PassResult {
    let mut db = work.app.store.read().await?;
    let Some(state) = safe_mode::state(&mut db).await? else { return Ok(0) };
    let connected = store::vendors::all(&mut db).await?;
    drop(db);
    let Some(since) = state.searched_from() else { return Ok(0) };
    let mut done = 0;
    for one in connected {
        let (vendor, place) = (one.vendor, safe_mode::place(one.vendor, one.account.as_deref()));
        if !state.is_due(&place, now) {
            continue;
        }
        let searched = match vendor {
            Vendor::Stripe => stripe(work, since).await?,
            Vendor::PayPal => paypal(work, since, now).await?,
        };
        if let Err(why) = &searched {
            tracing::warn!(
                vendor = vendor.as_str(),
                why,
                "a vendor could not be searched; safe mode stays on"
            );
        }
        let app = &work.app;
        transact!(app, |tx| { safe_mode::searched(tx, &place, now, searched.clone().err()).await })?;
        done += 1;
    }
    if done > 0 {
        work.app.nudge.settle.notify();
        work.app.nudge.notify_watchers();
    }
    Ok(done)
}

/// Whether a search completed, or why not.
type SearchOutcome = std::result::Result<(), String>;

async fn search_failed(work: &Work, vendor: Vendor, error: ReadError) -> Result<SearchOutcome> {
    if let ReadError::Credentials(why) = &error {
        connections::pause(&work.app, vendor, why).await?;
    }
    Ok(Err(error.to_string()))
}

async fn stripe(work: &Work, since: i64) -> Result<SearchOutcome> {
    let client: Stripe = match work.clients.stripe().await? {
        Some(connected) => connected.client,
        None => return Ok(Err("the credentials cannot be decrypted".to_owned())),
    };
    let all = match work.ask(Vendor::Stripe, client.transfers_since(since / 1_000_000)).await {
        Ok(all) => all,
        Err(error) => return search_failed(work, Vendor::Stripe, error).await,
    };
    // Ours carry our transaction id; a completely reversed transfer is no longer a payment.
    let ours =
        |one: &Transfer| Some((one.transfer_group.as_deref().and_then(TransactionId::parse)?, one.clone()));
    let standing = all.iter().filter(|one| one.amount_reversed_units < one.amount_units).filter_map(ours);
    let standing: Vec<(TransactionId, Transfer)> = standing.collect();
    let app = &work.app;
    transact!(app, |tx| {
        let objects: Vec<String> = standing.iter().map(|(_, one)| one.id.clone()).collect();
        let known = put_back::known(tx, &objects).await?;
        let unknown: Vec<&(TransactionId, Transfer)> =
            standing.iter().filter(|(_, one)| !known.contains(&one.id)).collect();
        let ids: Vec<TransactionId> = unknown.iter().map(|(id, _)| *id).collect();
        let cases = Cases::read(tx, &ids).await?;
        let (mut observations, mut found, mut unread) = (Vec::new(), Vec::new(), None);
        for (id, one) in unknown {
            match cases.unknown(*id, Leg::Transfer, (&one.id, one.metadata.get("attempt"))) {
                Unknown::LookedUp => {}
                unknown @ (Unknown::Contradicts(_) | Unknown::Found) => {
                    if let Unknown::Contradicts(observation) = unknown {
                        observations.push(*observation);
                    }
                    match transfer_found(*id, one) {
                        Ok(one) => found.push(one),
                        Err(why) => unread = Some(why),
                    }
                }
            }
        }
        record::record(tx, app, "search", &observations).await?;
        safe_mode::note_found(tx, &found, app.clock.now()).await?;
        Ok(unread.map_or(Ok(()), Err))
    })
}

fn transfer_found(id: TransactionId, one: &Transfer) -> std::result::Result<Found, String> {
    let amount = one.money().ok_or_else(|| {
        format!(
            "the transfer {} is missing here, and its currency {:?} is unknown: check it in Stripe",
            one.id, one.currency
        )
    })?;
    Ok(Found {
        vendor: Vendor::Stripe,
        object_id: one.id.clone(),
        our_id: id.to_string(),
        destination: one.destination.clone(),
        amount,
        made_at: (one.created > 0).then(|| one.created.saturating_mul(1_000_000)),
        reference: None,
    })
}

async fn paypal(work: &Work, since: i64, now: i64) -> Result<SearchOutcome> {
    let (client, account): (PayPal, _) = match work.clients.paypal().await? {
        Some(connected) => (connected.client, connected.account),
        None => return Ok(Err("the credentials cannot be decrypted".to_owned())),
    };
    if since < now - PAYPAL_KEEPS_US {
        let why = "the backup is so old that PayPal no longer lists the batches sent since: compare the payments since then by hand";
        return Ok(Err(why.to_owned()));
    }
    let start = clock::rfc3339(since);
    let events = match work.ask(Vendor::PayPal, client.batch_events_since(&start)).await {
        Ok(events) => events,
        Err(error) => return search_failed(work, Vendor::PayPal, error).await,
    };
    let ids: BTreeSet<String> = events.into_iter().filter_map(|one| one.payout_batch_id).collect();
    let ids: Vec<String> = ids.into_iter().collect();
    let mut db = work.app.store.read().await?;
    let taken = put_back::batches_since(&mut db, account, since.saturating_add(HOUR_US)).await?;
    let known = put_back::known(&mut db, &ids).await?;
    drop(db);
    // Trust what a list omits only if it contains everything known to exist.
    if let Some(missing) = taken.iter().find(|one| !ids.contains(one)) {
        let why = format!(
            "PayPal's list of events omits the batch {missing}, which PayPal has, so it may omit more: compare the payments since then by hand"
        );
        return Ok(Err(why));
    }
    let (mut unread, mut lost) = (None, Vec::new());
    for id in ids.iter().filter(|id| !known.contains(*id)) {
        match work.ask(Vendor::PayPal, client.batch(id)).await {
            Ok(batch) => lost.push(batch),
            Err(error @ (ReadError::Missing | ReadError::Refused { .. } | ReadError::Unreadable(_))) => {
                unread = Some(format!("PayPal lists the batch {id} but does not show it: {error}"));
            }
            Err(error) => return search_failed(work, Vendor::PayPal, error).await,
        }
    }
    // If a payment was sent several times, the last request counts: the earlier ones had ended by then.
    lost.sort_by_key(|batch| Reverse(batch.sender_batch_id.as_deref().and_then(chunks::place_of)));
    for batch in &lost {
        unread = batch_found(work, batch).await?.err().or(unread);
    }
    Ok(unread.map_or(Ok(()), Err))
}

/// A PayPal batch no request here is known to have created. A batch that cannot be read completely is not adopted: the
/// items it omits would be paid again.
async fn batch_found(work: &Work, batch: &Batch) -> Result<SearchOutcome> {
    let id = &batch.payout_batch_id;
    let Some(key) = batch.sender_batch_id.clone() else {
        return Ok(Err(format!("PayPal does not say whose batch {id} is")));
    };
    if !key.starts_with("pb:") {
        return Ok(Ok(()));
    }
    let app = &work.app;
    transact!(app, |tx| {
        let now = app.clock.now();
        if let Some((_, submission, ..)) =
            named::by_key(tx, std::slice::from_ref(&key)).await?.into_iter().next()
        {
            // The request is here but its answer is not: compare the batch with it.
            named::name(tx, &[(submission, batch.payout_batch_id.clone())], now).await?;
            return Ok(Ok(()));
        }
        let Some(items) = items_of(batch) else {
            let listed = batch.items.len();
            let why = format!(
                "PayPal does not list all payments of the batch {id} yet, which is {}: {listed} are readable, {} are not",
                batch.status, batch.unread
            );
            return Ok(Err(why));
        };
        let cases = Cases::read(tx, &items.keys().copied().collect::<Vec<_>>()).await?;
        let (mut observations, mut found, mut queued) = (Vec::new(), Vec::new(), Vec::new());
        for (id, (item, amount)) in &items {
            let said = fact_in(batch, item);
            let out = said.as_ref().is_none_or(is_out);
            match cases.newest(*id, Leg::Item) {
                Some(attempt) if attempt.state == AttemptState::Queued => queued.push((attempt, *id)),
                // Also if a request for it is open here: that one has another key and would pay it again.
                newest @ (Some(_) | None) if out => {
                    let ended = newest.filter(|one| one.state.ended());
                    let object = item.payout_item_id.clone();
                    let fact = Fact::FoundAfterAll(Leg::Item);
                    observations.extend(ended.map(|one| observation(one, fact, Some(object.clone()))));
                    found.push(Found {
                        vendor: Vendor::PayPal,
                        object_id: object,
                        our_id: id.to_string(),
                        destination: item.receiver.clone().unwrap_or_default(),
                        amount: *amount,
                        made_at: processed(item, now),
                        reference: item.transaction_id.clone(),
                    });
                }
                Some(_) | None => {}
            }
        }
        let names: Vec<TransactionId> = items.keys().copied().collect();
        observations.extend(intend_again(app, tx, (&key, batch, &names), (&cases, &queued), now).await?);
        record::record(tx, app, "search", &observations).await?;
        safe_mode::note_found(tx, &found, now).await?;
        Ok(Ok(()))
    })
}

/// When an item was paid, if PayPal's time is plausible.
fn processed(item: &Item, now: i64) -> Option<i64> {
    let said = item.time_processed.as_deref().and_then(clock::moment);
    said.filter(|at| (now - PAYPAL_KEEPS_US - DAY_US..=now).contains(at))
}

/// The items of a batch by the payment they name; `None` if any is missing, names no payment, or has an unreadable
/// amount.
fn items_of(batch: &Batch) -> Option<BTreeMap<TransactionId, (&Item, Money)>> {
    let of = |item: &Item| item.sender_item_id.as_deref().and_then(TransactionId::parse);
    let items = batch.items.iter().map(|item| Some((of(item)?, (item, item.amount?))));
    items.collect::<Option<BTreeMap<_, _>>>().filter(|_| batch.is_whole())
}

/// Recreates the submission the lost database had committed: the same key and payments, including payments it no longer
/// carries. It is not sent but compared with what PayPal has under that key, like any request whose answer was lost.
async fn intend_again(
    app: &App,
    tx: &mut Tx,
    (key, batch, names): (&str, &Batch, &[TransactionId]),
    (cases, queued): (&Cases, &[(&Attempt, TransactionId)]),
    now: i64,
) -> Result<Vec<Observation>> {
    let of: Vec<&Transaction> = names.iter().filter_map(|id| cases.transactions.get(id)).collect();
    let Some(first) = of.first().filter(|_| !queued.is_empty()) else { return Ok(Vec::new()) };
    let request = chunks::batch_request(key, first.terms.net.currency, &of)
        .map_err(|bad| OpsError::Internal(StoreError::Corrupt(bad.0)))?;
    let new = submission::new_submission(app, &request, first.batch, first.vendor_account.clone(), now);
    let id = new.id.clone();
    let epoch = put_back::progress(tx).await?.epoch;
    submissions::insert(tx, vec![submissions::New { looks: true, ..new }], epoch, now).await?;
    named::name(tx, &[(id.clone(), batch.payout_batch_id.clone())], now).await?;
    let sent = |(attempt, _): &(&Attempt, TransactionId)| Observation {
        submission: Some(id.clone()),
        ..observation(attempt, Fact::Sent(Leg::Item), None)
    };
    Ok(queued.iter().map(sent).collect())
}

pub(super) fn observation(attempt: &Attempt, fact: Fact, vendor_id: Option<String>) -> Observation {
    Observation {
        transaction: attempt.transaction,
        attempt: attempt.id,
        fact,
        vendor_id,
        submission: None,
        source: "poll",
        detail: Some(FOUND_NOTE.to_owned()),
        event_id: None,
    }
}

/// How an unknown object at a vendor relates to the payment it names.
pub(super) enum Unknown {
    /// An attempt that had ended here as not made was made after all.
    Contradicts(Box<Observation>),
    /// Its own request is being looked up and will find it.
    LookedUp,
    Found,
}

/// What is known here about payments a vendor names; the rows are locked from here on.
pub(super) struct Cases {
    pub(super) transactions: HashMap<TransactionId, Transaction>,
    attempts: Vec<Attempt>,
    open: HashSet<String>,
}

impl Cases {
    pub(super) async fn read(tx: &mut Tx, ids: &[TransactionId]) -> Result<Self> {
        let ids: Vec<TransactionId> = ids.iter().copied().collect::<HashSet<_>>().into_iter().collect();
        let transactions = transactions::lock(tx, &ids).await?;
        let attempts = transactions::attempts(tx, &ids).await?;
        let carriers: Vec<String> = attempts.iter().filter_map(|one| one.submission.clone()).collect();
        let open = submissions::several(tx, &carriers).await?.into_iter().filter(|one| match one.state {
            SubmissionState::Intended | SubmissionState::Unknown | SubmissionState::Looking => true,
            SubmissionState::Accepted | SubmissionState::Refused | SubmissionState::Review => false,
        });
        Ok(Self { transactions, open: open.map(|one| one.id).collect(), attempts })
    }

    /// Classifies an object that names a payment and perhaps, in its metadata, an attempt.
    pub(super) fn unknown(
        &self,
        of: TransactionId,
        leg: Leg,
        (object, mark): (&str, Option<&String>),
    ) -> Unknown {
        let marked = self.attempts.iter().find(|one| one.leg == leg && mark == Some(&one.id.to_string()));
        match marked.or_else(|| self.newest(of, leg)) {
            Some(attempt) if attempt.state == AttemptState::Failed && attempt.vendor_id.is_none() => {
                let fact = Fact::FoundAfterAll(leg);
                Unknown::Contradicts(Box::new(observation(attempt, fact, Some(object.to_owned()))))
            }
            Some(attempt) if self.is_looked_up(attempt) => Unknown::LookedUp,
            Some(_) | None => Unknown::Found,
        }
    }

    /// Whether an attempt id belongs to one of these payments.
    pub(super) fn is_ours(&self, mark: &str) -> bool {
        self.attempts.iter().any(|one| one.id.to_string() == mark)
    }

    /// Its request is being looked up on its own, with no known result yet. One that waits for a person is not.
    fn is_looked_up(&self, attempt: &Attempt) -> bool {
        let open = match &attempt.submission {
            Some(carrier) => self.open.contains(carrier),
            None => attempt.state == AttemptState::Queued,
        };
        open && attempt.vendor_id.is_none() && !attempt.state.ended()
    }

    /// The newest attempt of a leg; `None` if the payment is not here.
    pub(super) fn newest(&self, of: TransactionId, leg: Leg) -> Option<&Attempt> {
        let of_leg = self.attempts.iter().filter(|one| one.transaction == of && one.leg == leg);
        of_leg.max_by_key(|one| one.number)
    }
}
