//! Searching the vendors for payments that this database does not know of, because it was put back: those that were promised
//! after it was saved, and those whose sending it has forgotten. Nothing is ever sent here. What a known payment turns out to
//! have is adopted or told as a contradiction; what belongs to no payment here is written down and holds whoever was paid.
//!
//! Requests that are known and not over are looked up by `reconcile` (Stripe) and by the key that PayPal's batch carries
//! (`named`). What is deliberately not here: when safe mode ends (`ops::safe_mode`).

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use payout::ids::TransactionId;
use payout::money::Vendor;
use payout::transaction::{AttemptState, Fact, Leg};
use vendors::ReadError;
use vendors::paypal::PayPal;
use vendors::paypal::batch::{Batch, fact_in};
use vendors::stripe::Stripe;
use vendors::stripe::transfer::Transfer;

use super::{Done, Work, chunks, send};
use crate::app::App;
use crate::clock;
use crate::ops::record::{self, Heard};
use crate::ops::{OpsError, Result, safe_mode, vendors as connections};
use crate::store::put_back::{self, Found};
use crate::store::transactions::{self, Attempt, Transaction};
use crate::store::{self, StoreError, Tx, named, submissions};
use crate::transact;

/// PayPal tells events of the last 30 days; older ones cannot be searched for.
const PAYPAL_KEEPS_US: i64 = 29 * 86_400_000_000;
/// What is noted of what a search finds.
const TOLD: &str = "found at the vendor after the database was put back";

/// One pass: searches the vendors that are due to be searched in safe mode.
///
/// # Errors
/// When the database does not answer.
pub async fn once(work: &Work, now: i64) -> Done {
    let mut db = work.app.store.read().await?;
    let Some(state) = safe_mode::state(&mut db).await? else { return Ok(0) };
    let connected: Vec<Vendor> =
        store::vendors::all(&mut db).await?.into_iter().map(|one| one.vendor).collect();
    drop(db);
    let Some(since) = state.searched_from() else { return Ok(0) };
    let mut done = 0;
    for vendor in connected.into_iter().filter(|one| state.is_due(*one, now)) {
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
        transact!(app, |tx| { safe_mode::searched(tx, vendor, now, searched.clone().err()).await })?;
        done += 1;
    }
    if done > 0 {
        work.app.nudge.settle.ring();
        work.app.nudge.tell_watchers();
    }
    Ok(done)
}

/// Whether a search went through, or why not.
type Searched = std::result::Result<(), String>;

async fn told(work: &Work, vendor: Vendor, error: ReadError) -> Result<Searched> {
    if let ReadError::Credentials(why) = &error {
        connections::pause(&work.app, vendor, why).await?;
    }
    Ok(Err(error.to_string()))
}

async fn stripe(work: &Work, since: i64) -> Result<Searched> {
    let client: Stripe = match work.clients.stripe().await? {
        Some(connected) => connected.client,
        None => return Ok(Err("the credentials cannot be opened".to_owned())),
    };
    let all = match work.ask(Vendor::Stripe, client.transfers_since(since / 1_000_000)).await {
        Ok(all) => all,
        Err(error) => return told(work, Vendor::Stripe, error).await,
    };
    // Ours carry our transaction; what has come back wholly is no payment any more.
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
        let (mut heard, mut found) = (Vec::new(), Vec::new());
        for (id, one) in unknown {
            match cases.newest(*id, Leg::Transfer) {
                // What had ended as not made was made after all; what is open is looked up by itself.
                Some(attempt) if attempt.state == AttemptState::Failed => {
                    heard.push(hear(attempt, Fact::FoundAfterAll(Leg::Transfer), Some(one.id.clone())));
                }
                Some(attempt) if is_open(attempt) => {}
                Some(_) | None => found.extend(transfer_found(*id, one)),
            }
        }
        record::record(tx, app, "search", &heard).await?;
        safe_mode::note_found(tx, &found, app.clock.now()).await?;
        Ok(())
    })?;
    Ok(Ok(()))
}

fn transfer_found(id: TransactionId, one: &Transfer) -> Option<Found> {
    let Some(amount) = one.money() else {
        tracing::error!(
            transfer = one.id,
            currency = one.currency,
            "a transfer that is not known here has a currency that is not known either; look at it in Stripe"
        );
        return None;
    };
    Some(Found {
        vendor: Vendor::Stripe,
        object_id: one.id.clone(),
        our_id: id.to_string(),
        destination: one.destination.clone(),
        amount,
        made_at: (one.created > 0).then(|| one.created.saturating_mul(1_000_000)),
    })
}

async fn paypal(work: &Work, since: i64, now: i64) -> Result<Searched> {
    let client: PayPal = match work.clients.paypal().await? {
        Some(connected) => connected.client,
        None => return Ok(Err("the credentials cannot be opened".to_owned())),
    };
    if since < now - PAYPAL_KEEPS_US {
        let why = "the backup is so old that PayPal does not tell any more which batches it was sent since: compare the payments since then by hand";
        return Ok(Err(why.to_owned()));
    }
    let start = clock::rfc3339(since);
    let events = match work.ask(Vendor::PayPal, client.batch_events_since(&start)).await {
        Ok(events) => events,
        Err(error) => return told(work, Vendor::PayPal, error).await,
    };
    let ids: BTreeSet<String> = events.into_iter().filter_map(|one| one.payout_batch_id).collect();
    let ids: Vec<String> = ids.into_iter().collect();
    let known = put_back::known(&mut work.app.store.read().await?, &ids).await?;
    for id in ids.iter().filter(|id| !known.contains(*id)) {
        match work.ask(Vendor::PayPal, client.batch(id)).await {
            Ok(batch) => batch_found(work, &batch).await?,
            Err(ReadError::Missing | ReadError::Refused { .. }) => {}
            Err(error) => return told(work, Vendor::PayPal, error).await,
        }
    }
    Ok(Ok(()))
}

/// A batch that PayPal has and that nothing here is known to have led to.
async fn batch_found(work: &Work, batch: &Batch) -> Result<()> {
    let Some(key) = batch.sender_batch_id.clone().filter(|key| key.starts_with("pb:")) else { return Ok(()) };
    let app = &work.app;
    transact!(app, |tx| {
        let now = app.clock.now();
        if let Some((_, submission, ..)) =
            named::by_key(tx, std::slice::from_ref(&key)).await?.into_iter().next()
        {
            // The request is here, its answer is not: the batch is compared with it.
            named::name(tx, &[(submission, batch.payout_batch_id.clone())], now).await?;
            return Ok(());
        }
        let items = batch
            .items
            .iter()
            .filter_map(|item| Some((item.sender_item_id.as_deref().and_then(TransactionId::parse)?, item)));
        let items: BTreeMap<TransactionId, _> = items.collect();
        let cases = Cases::read(tx, &items.keys().copied().collect::<Vec<_>>()).await?;
        let (mut heard, mut found, mut queued) = (Vec::new(), Vec::new(), Vec::new());
        for (id, item) in &items {
            let said = fact_in(batch, item);
            let out = said.as_ref().is_none_or(is_out);
            match cases.newest(*id, Leg::Item) {
                Some(attempt) if attempt.state == AttemptState::Queued => queued.push((attempt, *id)),
                Some(attempt) if attempt.state == AttemptState::Failed && out => {
                    let fact = Fact::FoundAfterAll(Leg::Item);
                    heard.push(hear(attempt, fact, Some(item.payout_item_id.clone())));
                }
                Some(attempt) if is_open(attempt) => {}
                Some(_) | None if out => found.extend(item.amount.map(|amount| Found {
                    vendor: Vendor::PayPal,
                    object_id: item.payout_item_id.clone(),
                    our_id: id.to_string(),
                    destination: item.receiver.clone().unwrap_or_default(),
                    amount,
                    made_at: None,
                })),
                Some(_) | None => {}
            }
        }
        heard.extend(intend_again(app, tx, (&key, batch), (&cases, &queued), now).await?);
        record::record(tx, app, "search", &heard).await?;
        safe_mode::note_found(tx, &found, now).await?;
        Ok(())
    })
}

/// The intention that the lost database had committed: the same key over the same payments. It is not sent, but compared with
/// what PayPal has under that key, like any request whose answer was lost.
async fn intend_again(
    app: &App,
    tx: &mut Tx,
    (key, batch): (&str, &Batch),
    (cases, queued): (&Cases, &[(&Attempt, TransactionId)]),
    now: i64,
) -> Result<Vec<Heard>> {
    let of: Vec<&Transaction> = queued.iter().filter_map(|(_, id)| cases.transactions.get(id)).collect();
    let Some(first) = of.first() else { return Ok(Vec::new()) };
    let request = chunks::batch_request(key, first.terms.net.currency, &of)
        .map_err(|bad| OpsError::Internal(StoreError::Corrupt(bad.0)))?;
    let new = send::new_submission(app, &request, first.batch, first.vendor_account.clone(), now);
    let id = new.id.clone();
    submissions::insert(tx, vec![submissions::New { looks: true, ..new }], now).await?;
    named::name(tx, &[(id.clone(), batch.payout_batch_id.clone())], now).await?;
    let sent = |(attempt, _): &(&Attempt, TransactionId)| Heard {
        submission: Some(id.clone()),
        ..hear(attempt, Fact::Sent(Leg::Item), None)
    };
    Ok(queued.iter().map(sent).collect())
}

/// Its request is looked up by itself: what it has at the vendor is not known yet.
fn is_open(attempt: &Attempt) -> bool {
    attempt.vendor_id.is_none() && !attempt.state.ended()
}

/// Whether money of an item is out, or may be.
fn is_out(said: &Fact) -> bool {
    matches!(said, Fact::ItemPending | Fact::ItemPaid | Fact::ItemOnHold(_) | Fact::ItemUnclaimed(_))
}

fn hear(attempt: &Attempt, fact: Fact, vendor_id: Option<String>) -> Heard {
    Heard {
        transaction: attempt.transaction,
        attempt: attempt.id,
        fact,
        vendor_id,
        submission: None,
        source: "poll",
        detail: Some(TOLD.to_owned()),
        event_id: None,
    }
}

/// What is known here of payments that a vendor names, held from here on.
struct Cases {
    transactions: HashMap<TransactionId, Transaction>,
    attempts: Vec<Attempt>,
}

impl Cases {
    async fn read(tx: &mut Tx, ids: &[TransactionId]) -> Result<Self> {
        let ids: Vec<TransactionId> = ids.iter().copied().collect::<HashSet<_>>().into_iter().collect();
        let transactions = transactions::lock(tx, &ids).await?;
        Ok(Self { transactions, attempts: transactions::attempts(tx, &ids).await? })
    }

    /// The newest attempt of a leg; `None` when no such payment is here.
    fn newest(&self, of: TransactionId, leg: Leg) -> Option<&Attempt> {
        let of_leg = self.attempts.iter().filter(|one| one.transaction == of && one.leg == leg);
        of_leg.max_by_key(|one| one.number)
    }
}
