//! Asking the vendor how payments stand, and recording what it says. Webhooks, polls and hand refreshes all end here:
//! whatever the occasion, the *fetched* object decides.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures::StreamExt as _;
use payout::ids::TransactionId;
use payout::money::Vendor;
use payout::transaction::{Fact, Leg, State};
use tokio::sync::mpsc;
use vendors::ReadError;
use vendors::paypal::PayPal;
use vendors::paypal::batch::{self as paypal_batch, Batch, Item};
use vendors::stripe::{ConnectedAccount, payout as bank};

use super::aside::{self, Halves, Was};
use super::calls::Calls;
use super::{Done, Work, credit};
use crate::ops::record::{self, Heard};
use crate::ops::{Result, vendors as connections};
use crate::store::submissions;
use crate::store::transactions::{self, Asked, Attempt, Transaction};
use crate::store::{Tx, events};
use crate::transact;

/// How many transactions one pass asks about.
const AT_ONCE: i64 = 500;
/// How many questions are on the wire at a time.
const READS_AT_ONCE: usize = 16;
/// How many PayPal batches are read at a time.
const BATCHES_AT_ONCE: usize = 4;
/// How many answers are recorded in one database transaction.
const RECORDED_AT_ONCE: usize = 64;
/// How long a question may take before another worker asks it.
const LEASE_US: i64 = 60_000_000;
/// A success is watched this long: a bank can send it back for about five business days.
const WATCHED_US: i64 = 10 * DAY_US;
const DAY_US: i64 = 86_400_000_000;
/// Up to so many items of a PayPal batch are asked for one by one; more, and the whole batch is read.
const ITEMS_ONE_BY_ONE: usize = 3;
/// What is noted of a payment that the connected account does not have.
const ELSEWHERE: &str =
    "the vendor was not asked: the payment was made from another account than the one that is connected";

/// What the vendor said about one attempt.
struct Said {
    transaction: TransactionId,
    heard: Option<Heard>,
    what: String,
    unreachable: bool,
}

/// Where answers are told as they come. Nobody listens any more only when recording has failed, which ends the pass.
type Tell = mpsc::UnboundedSender<Said>;

/// The items to be asked about, by PayPal's id of their batch.
type ByBatch = BTreeMap<String, Vec<(Transaction, Attempt)>>;

/// One pass for one vendor: asks about the payments that are due.
///
/// # Errors
/// When the database does not answer.
pub async fn once(work: &Work, vendor: Vendor, now: i64) -> Done {
    let app = &work.app;
    let most = work.reach.room(vendor, Calls::Reads, now, AT_ONCE);
    if most == 0 {
        return Ok(0);
    }
    let until = now + LEASE_US;
    let due = transact!(app, |tx| { Ok(transactions::lease_to_ask(tx, vendor, now, until, most).await?) })?;
    match about(work, &due, now, "poll").await {
        Err(error) if aside::about_a_row(&error) => halve(work, &due, now).await,
        outcome => outcome,
    }
}

/// Asks in ever smaller parts, so that a record that cannot be worked on holds up only itself.
async fn halve(work: &Work, due: &[TransactionId], now: i64) -> Done {
    let (mut changed, mut halves) = (0, Halves::of(due.iter().map(ToString::to_string).collect()));
    while let Some(part) = halves.next() {
        let ids: Vec<TransactionId> = part.iter().filter_map(|id| TransactionId::parse(id)).collect();
        match about(work, &ids, now, "poll").await {
            Ok(done) => changed += done,
            Err(error) if aside::about_a_row(&error) => {
                if let Some(guilty) = halves.failed(part) {
                    aside::put(work, Was::Asked, &guilty, &error).await?;
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(changed)
}

/// Asks about these payments now and records what the vendor says, in sets as the answers come; answers how many facts
/// changed something.
///
/// # Errors
/// When the database does not answer.
pub async fn about(work: &Work, ids: &[TransactionId], now: i64, source: &'static str) -> Done {
    if ids.is_empty() {
        return Ok(0);
    }
    let mut db = work.app.store.read().await?;
    let found = transactions::several(&mut db, ids).await?;
    let attempts = transactions::attempts(&mut db, ids).await?;
    let carriers: Vec<String> = attempts.iter().filter_map(|attempt| attempt.submission.clone()).collect();
    let batches: HashMap<String, String> = submissions::several(&mut db, &carriers)
        .await?
        .into_iter()
        .filter(|one| one.vendor == Vendor::PayPal)
        .filter_map(|one| Some((one.id, one.vendor_id?)))
        .collect();
    drop(db);
    let (mut stripe, mut paypal, mut silent) = (Vec::new(), ByBatch::new(), Vec::new());
    for transaction in found {
        match newest(&attempts, transaction.id, transaction.terms.vendor) {
            Some(attempt) if attempt.leg == Leg::Payout && attempt.vendor_id.is_some() => {
                stripe.push((transaction, attempt.clone()));
            }
            Some(attempt) => match attempt.submission.as_ref().and_then(|id| batches.get(id)) {
                Some(batch) => paypal.entry(batch.clone()).or_default().push((transaction, attempt.clone())),
                None => silent.push(nothing_to_ask(transaction.id)),
            },
            None => silent.push(nothing_to_ask(transaction.id)),
        }
    }
    let (tell, told) = mpsc::unbounded_channel();
    silent.into_iter().for_each(|said| drop(tell.send(said)));
    let asking = async move {
        let (stripe, paypal) =
            (ask_stripe(work, stripe, source, &tell), ask_paypal(work, paypal, source, &tell));
        futures::try_join!(stripe, paypal).map(drop)
    };
    futures::try_join!(asking, record_as_told(work, told, now)).map(|((), changed)| changed)
}

/// Records answers until the last is there: a question that hangs must not keep back what was answered meanwhile.
async fn record_as_told(work: &Work, mut told: mpsc::UnboundedReceiver<Said>, asked_at: i64) -> Done {
    let (mut changed, mut some) = (0, Vec::new());
    while told.recv_many(&mut some, RECORDED_AT_ONCE).await > 0 {
        changed += record_said(work, std::mem::take(&mut some), asked_at).await?;
    }
    Ok(changed)
}

fn nothing_to_ask(transaction: TransactionId) -> Said {
    Said { transaction, heard: None, what: "the vendor has nothing of it yet".to_owned(), unreachable: false }
}

/// The attempt the vendor is asked about: the newest bank payout, or the newest item.
fn newest(attempts: &[Attempt], of: TransactionId, vendor: Vendor) -> Option<&Attempt> {
    let leg = match vendor {
        Vendor::Stripe => Leg::Payout,
        Vendor::PayPal => Leg::Item,
    };
    attempts.iter().filter(|one| one.transaction == of && one.leg == leg).max_by_key(|one| one.number)
}

fn tell(attempt: &Attempt, fact: Fact, source: &'static str, status: &str) -> Heard {
    Heard {
        transaction: attempt.transaction,
        attempt: attempt.id,
        fact,
        vendor_id: None,
        submission: None,
        source,
        detail: Some(format!("the vendor says {status}")),
        event_id: None,
    }
}

async fn ask_stripe(
    work: &Work,
    ask: Vec<(Transaction, Attempt)>,
    source: &'static str,
    out: &Tell,
) -> Result<()> {
    if ask.is_empty() {
        return Ok(());
    }
    let Some(stripe) = work.clients.stripe().await? else {
        ask.iter().for_each(|(of, _)| drop(out.send(unreachable(of.id, "Stripe is not connected"))));
        return Ok(());
    };
    let (ask, elsewhere): (Vec<_>, Vec<_>) =
        ask.into_iter().partition(|(of, _)| stripe.may_have(of.vendor_account.as_deref()));
    let asks = futures::stream::iter(ask).map(|(transaction, attempt)| {
        let client = stripe.client.clone();
        async move {
            let account = ConnectedAccount::parse(transaction.destination.address());
            let payout = match (account, attempt.vendor_id.as_deref()) {
                (Some(account), Some(id)) => work.ask(Vendor::Stripe, client.payout(&account, id)).await,
                (_, _) => Err(ReadError::Missing),
            };
            (transaction, attempt, payout)
        }
    });
    let mut asks = asks.buffer_unordered(READS_AT_ONCE);
    elsewhere.iter().for_each(|(of, _)| drop(out.send(unreachable(of.id, ELSEWHERE))));
    while let Some((transaction, attempt, payout)) = asks.next().await {
        let said = match payout {
            Ok(payout) => {
                // One that Stripe made by its own schedule pays several at once; it was matched by what it took.
                let same = payout.automatic || payout.money() == Some(transaction.terms.net);
                let fact = bank::fact(&payout).map(|fact| tell(&attempt, fact, source, &payout.status));
                believed(&transaction, "Stripe", &payout.status, same, fact)
            }
            Err(error) => failed_to_ask(work, Vendor::Stripe, transaction.id, &error).await?,
        };
        drop(out.send(said));
    }
    Ok(())
}

/// An answer counts only when it is about the payment we asked for: the same amount, in the same currency, to the same
/// destination. Any other changes nothing, and whoever looks at the payment is told so.
fn believed(of: &Transaction, vendor: &str, status: &str, same: bool, heard: Option<Heard>) -> Said {
    let what = if same {
        format!("{vendor} says {status}")
    } else {
        metrics::counter!("bursar_alarms_total").increment(1);
        tracing::error!(transaction = %of.id, vendor, status,
            "the vendor answers about another amount, currency or destination than ours; nothing was recorded");
        format!(
            "{vendor} says {status}, but of another amount, currency or destination than ours. Nothing was recorded; ask {vendor} about it"
        )
    };
    Said { transaction: of.id, heard: heard.filter(|_| same), what, unreachable: false }
}

fn unreachable(transaction: TransactionId, why: &str) -> Said {
    Said { transaction, heard: None, what: why.to_owned(), unreachable: true }
}

/// A question without an answer changes nothing; it is asked again soon.
async fn failed_to_ask(
    work: &Work,
    vendor: Vendor,
    transaction: TransactionId,
    error: &ReadError,
) -> Result<Said> {
    if let ReadError::Credentials(why) = error {
        connections::pause(&work.app, vendor, why).await?;
    }
    if let ReadError::Unreadable(why) = error {
        metrics::counter!("bursar_alarms_total").increment(1);
        tracing::error!(%transaction, vendor = vendor.as_str(), why,
            "the vendor's answer about a payment cannot be read; nothing was recorded, and it is asked again");
    }
    Ok(unreachable(transaction, &error.to_string()))
}

async fn ask_paypal(work: &Work, ask: ByBatch, source: &'static str, out: &Tell) -> Result<()> {
    if ask.is_empty() {
        return Ok(());
    }
    let Some(paypal) = work.clients.paypal().await? else {
        let all = ask.into_values().flatten();
        all.for_each(|(of, _)| drop(out.send(unreachable(of.id, "PayPal is not connected"))));
        return Ok(());
    };
    let (ask, elsewhere): (ByBatch, ByBatch) = ask
        .into_iter()
        .partition(|(_, due)| due.iter().all(|(of, _)| paypal.may_have(of.vendor_account.as_deref())));
    elsewhere.values().flatten().for_each(|(of, _)| drop(out.send(unreachable(of.id, ELSEWHERE))));
    let client = &paypal.client;
    let asks = futures::stream::iter(ask)
        .map(|(batch, due)| async move { ask_batch(work, client, &batch, &due, source).await });
    let mut asks = asks.buffer_unordered(BATCHES_AT_ONCE);
    while let Some(said) = asks.next().await {
        said?.into_iter().for_each(|one| drop(out.send(one)));
    }
    Ok(())
}

/// What PayPal says of some items of one batch: asked for one by one when they are few.
async fn ask_batch(
    work: &Work,
    client: &PayPal,
    batch: &str,
    due: &[(Transaction, Attempt)],
    source: &'static str,
) -> Result<Vec<Said>> {
    let few = due.len() <= ITEMS_ONE_BY_ONE && due.iter().all(|(_, attempt)| attempt.vendor_id.is_some());
    if few && let Some(said) = ask_items(work, client, due, source).await? {
        return Ok(said);
    }
    match work.ask(Vendor::PayPal, client.batch(batch)).await {
        Ok(batch) => Ok(of_batch(&batch, due, source)),
        Err(error) => {
            let mut said = Vec::new();
            for (of, _) in due {
                said.push(failed_to_ask(work, Vendor::PayPal, of.id, &error).await?);
            }
            Ok(said)
        }
    }
}

/// Asks for a few items one by one; `None` when one of them is not decided, because then only its batch can say whether
/// it ever will be.
async fn ask_items(
    work: &Work,
    client: &PayPal,
    due: &[(Transaction, Attempt)],
    source: &'static str,
) -> Result<Option<Vec<Said>>> {
    let mut said = Vec::new();
    for (of, attempt) in due {
        let item = client.item(attempt.vendor_id.as_deref().unwrap_or_default());
        match work.ask(Vendor::PayPal, item).await {
            Ok(item) => match paypal_batch::item_fact(&item) {
                None | Some(Fact::ItemPending) => return Ok(None),
                fact => said.push(of_item(of, attempt, &item, fact, source)),
            },
            Err(error) => said.push(failed_to_ask(work, Vendor::PayPal, of.id, &error).await?),
        }
    }
    Ok(Some(said))
}

fn of_item(
    of: &Transaction,
    attempt: &Attempt,
    item: &Item,
    fact: Option<Fact>,
    source: &'static str,
) -> Said {
    let heard = fact.map(|fact| Heard {
        vendor_id: Some(item.payout_item_id.clone()),
        ..tell(attempt, fact, source, &item.status)
    });
    believed(of, "PayPal", &item.status, about_ours(of, item), heard)
}

/// Whether an item is about this payment. PayPal always tells the amount; what else it tells must agree.
pub(super) fn about_ours(of: &Transaction, item: &Item) -> bool {
    let ours = of.destination.address();
    item.amount == Some(of.terms.net)
        && item.receiver.as_ref().is_none_or(|theirs| theirs.eq_ignore_ascii_case(ours))
        && item.sender_item_id.as_ref().is_none_or(|theirs| *theirs == of.id.to_string())
}

/// A batch that PayPal calls SUCCESS may hold failed and unclaimed items: only items decide. A refused batch may hold
/// none at all.
fn of_batch(batch: &Batch, due: &[(Transaction, Attempt)], source: &'static str) -> Vec<Said> {
    let items: HashMap<&str, &Item> =
        batch.items.iter().filter_map(|item| Some((item.sender_item_id.as_deref()?, item))).collect();
    let one = |(of, attempt): &(Transaction, Attempt)| match items.get(of.id.to_string().as_str()) {
        Some(item) => of_item(of, attempt, item, paypal_batch::fact_in(batch, item), source),
        None if batch.unread > 0 => {
            metrics::counter!("bursar_alarms_total").increment(1);
            tracing::error!(transaction = %of.id, unread = batch.unread,
                "PayPal's answer about an item cannot be read; it is set aside and asked about again, the others settle");
            unreachable(of.id, "PayPal's answer about this item cannot be read; it is asked again")
        }
        None => {
            let refused = paypal_batch::batch_refusal(batch).map(Fact::ItemFailed);
            Said {
                transaction: of.id,
                heard: refused.map(|fact| tell(attempt, fact, source, &batch.status)),
                what: format!("PayPal says that the batch is {} and does not list this item", batch.status),
                unreachable: false,
            }
        }
    };
    due.iter().map(one).collect()
}

/// Writes down what was said. The events that were linked before the question was asked are settled by its answer.
async fn record_said(work: &Work, said: Vec<Said>, asked_at: i64) -> Done {
    let app = &work.app;
    let ids: Vec<TransactionId> = said.iter().map(|one| one.transaction).collect();
    let ids = ids.as_slice();
    let recorded = transact!(app, |tx| {
        let now = app.clock.now();
        // Held from here on, so that a hand refresh asked for meanwhile is not written over with a later time.
        transactions::lock(tx, ids).await?;
        let linked = events::linked(tx, ids, i64::MAX).await?;
        let mut heard: Vec<Heard> = said.iter().filter_map(|one| one.heard.clone()).collect();
        let answered: BTreeSet<TransactionId> =
            said.iter().filter(|one| !one.unreachable).map(|one| one.transaction).collect();
        let (mut settled, mut later) = (Vec::new(), BTreeSet::new());
        for event in &linked {
            if event.linked_at <= asked_at && answered.contains(&event.transaction) {
                settled.push(event);
            } else {
                later.insert(event.transaction);
            }
        }
        if !settled.is_empty() {
            credit::name_events(&mut heard, &settled, &transactions::attempts(tx, ids).await?);
        }
        let recorded = record::record(tx, app, "settle", &heard).await?;
        let states = note(tx, work, ids, &said, &later, now).await?;
        let effects: Vec<(String, String)> = settled
            .iter()
            .map(|event| {
                let state = states.get(&event.transaction).map_or("gone", |state| state.as_str());
                (event.id.clone(), format!("the vendor was asked; the payment is {state}"))
            })
            .collect();
        events::mark_applied(tx, &effects, now).await?;
        Ok(recorded)
    })?;
    if recorded.to_dispatch {
        app.nudge.dispatch.ring();
    }
    if recorded.changed > 0 {
        app.nudge.tell_watchers();
    }
    Ok(recorded.changed)
}

/// When each payment is asked about next, by how it stands now.
async fn note(
    tx: &mut Tx,
    work: &Work,
    ids: &[TransactionId],
    said: &[Said],
    later: &BTreeSet<TransactionId>,
    now: i64,
) -> Result<HashMap<TransactionId, State>> {
    let what: HashMap<TransactionId, &Said> = said.iter().map(|one| (one.transaction, one)).collect();
    let (mut asked, mut states) = (Vec::new(), HashMap::new());
    for transaction in transactions::several(tx, ids).await? {
        states.insert(transaction.id, transaction.state);
        let Some(said) = what.get(&transaction.id) else { continue };
        let still_hinted = later.contains(&transaction.id) || said.unreachable;
        let next_at = match (later.contains(&transaction.id), said.unreachable) {
            (true, false) => Some(now),
            (_, true) => Some(now + work.app.config.longest_wait_us()),
            (false, false) => next_at(&transaction, now, work.app.config.poll_us()),
        };
        asked.push(Asked { id: transaction.id, what: said.what.clone(), next_at, still_hinted });
    }
    transactions::note_asked(tx, &asked, now).await?;
    Ok(states)
}

/// A success is asked about after twelve polls, after six times as long, then once a day, and a last time at the end of the
/// watch: events tell of what comes back, and this is for those that are lost. Every hour for ten days would be 240 questions
/// for each payment, which at ten thousand payments a day leaves no room for anything else.
fn watched(now: i64, settled: i64, poll_us: i64) -> Option<i64> {
    let (first, end) = (12 * poll_us, settled.saturating_add(WATCHED_US));
    let looks = [first, 7 * first].map(|after| settled.saturating_add(after));
    let next = looks.into_iter().find(|at| *at > now).unwrap_or(now.saturating_add(DAY_US.max(first)));
    (now < end).then(|| next.min(end))
}

fn next_at(transaction: &Transaction, now: i64, poll_us: i64) -> Option<i64> {
    match transaction.state {
        State::Success => watched(now, transaction.settled_at.unwrap_or(now), poll_us),
        State::Processing | State::OnHold | State::Unclaimed | State::InTransit => {
            Some(now.saturating_add(poll_us))
        }
        State::Queued
        | State::Sending
        | State::Unknown
        | State::Review
        | State::Transferred
        | State::PayoutSending
        | State::PayoutUnknown
        | State::PayoutReview
        | State::Failed
        | State::PayoutFailed
        | State::PayoutCanceled
        | State::Recalling
        | State::Recalled
        | State::Returned
        | State::Blocked
        | State::Refunded
        | State::Reversed => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_success_is_asked_about_a_dozen_times_and_a_last_time_at_the_end() {
        let poll_us = 300_000_000;
        let (mut now, mut looks) = (0, Vec::new());
        while let Some(next) = watched(now, 0, poll_us) {
            looks.push(next);
            now = next;
        }
        assert_eq!(looks.first(), Some(&3_600_000_000));
        assert_eq!(looks.last(), Some(&WATCHED_US));
        assert!(looks.len() <= 15, "{looks:?}");
    }
}
