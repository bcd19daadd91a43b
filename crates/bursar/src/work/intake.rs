//! From a stored event to its payment. An event is a hint: it says which object to fetch from the vendor, and nothing
//! in its body is believed. Not here: fetching (`settle`), and signature verification (done before storing).

use std::collections::{BTreeSet, HashMap};

use ::vendors::{paypal, stripe};
use payout::ids::TransactionId;
use payout::money::Vendor;
use payout::transaction::{Fact, Reason};

use super::{PassResult, Work};
use crate::app::App;
use crate::ops::Result;
use crate::ops::record::{self, Observation};
use crate::store::events::{self, PendingEvent};
use crate::store::{Tx, named, payees, transactions, vendors};
use crate::transact;

/// How many events one pass takes.
const AT_ONCE: i64 = 1_000;
/// How many bytes of event bodies one pass takes.
const BYTES_AT_ONCE: i64 = 8 << 20;

/// How long a parked event is rechecked against new objects. Recording our own answer also unparks it, but on
/// PostgreSQL that can happen between our look-up of the object and the parking.
const PARKED_US: i64 = 600_000_000;

/// The message for an event whose signature is valid but whose body cannot be parsed.
const UNREADABLE: &str =
    "it is signed but cannot be read; nothing was done, and Bursar asks the vendor by itself";

/// An event may arrive before the answer to our own request, which says the same thing: wait this long for the answer.
const ANSWER_US: i64 = 10_000_000;

/// What to do about an event.
enum Effect {
    Concerns(TransactionId),
    /// It concerns all of these.
    ConcernsAll(Vec<TransactionId>),
    Account(String),
    /// It names this submission by our idempotency key, and the vendor's object created with it.
    Names(String, String),
    /// We do not know the object yet.
    Park,
    /// No effect; the text says why.
    Nothing(String),
}

/// One pass: processes new events.
pub async fn once(work: &Work, _now: i64) -> PassResult {
    let app = &work.app;
    // Idle passes only read, so that they do not take SQLite's single writer twice a second.
    let since = app.clock.now() - PARKED_US;
    if !events::any_to_look_at(&mut app.store.read().await?, since).await? {
        return Ok(0);
    }
    let done = transact!(app, |tx| {
        let now = app.clock.now();
        events::unpark_known(tx, now - PARKED_US).await?;
        let waiting = events::waiting(tx, AT_ONCE, BYTES_AT_ONCE).await?;
        if waiting.is_empty() {
            return Ok(0);
        }
        let live: HashMap<Vendor, bool> =
            vendors::all(tx).await?.into_iter().map(|one| (one.vendor, one.mode == "live")).collect();
        let read: Vec<Read> = waiting.iter().map(|event| (event, parse_body(event))).collect();
        let (known, keys) = (known_objects(tx, &read).await?, known_keys(tx, &read).await?);
        let (mut links, mut parked, mut applied) = (Vec::new(), Vec::new(), Vec::new());
        let (mut ask, mut carried, mut named) = (BTreeSet::new(), BatchContents::new(), Vec::new());
        let mut paid_out = BTreeSet::new();
        for (event, body) in &read {
            let live = live.get(&event.vendor).copied().unwrap_or(false);
            let meaning = match body {
                Some(VendorEvent::Stripe(it)) => stripe(event, it, (&known, &keys), live),
                Some(VendorEvent::PayPal(it)) => paypal(tx, event, it, (&known, &keys), &mut carried).await?,
                None => Effect::Nothing(UNREADABLE.to_owned()),
            };
            match meaning {
                Effect::Concerns(id) => {
                    links.push((event.id.clone(), id));
                    ask.insert(id);
                }
                Effect::ConcernsAll(ids) => {
                    applied.push((event.id.clone(), asked_about(ids.len())));
                    ask.extend(ids);
                }
                Effect::Account(account) => {
                    payees::ask_again(tx, Vendor::Stripe, &account, now).await?;
                    named::look_again(tx, &account, now).await?;
                    applied.push((event.id.clone(), "the account is being read again".to_owned()));
                }
                Effect::Names(..) if payout::planted::on("own_keys_unread") => parked.push(event.id.clone()),
                Effect::Names(submission, object) => {
                    named.push((submission, object));
                    parked.push(event.id.clone());
                }
                Effect::Park => {
                    paid_out.extend(body.as_ref().and_then(VendorEvent::pays_out));
                    parked.push(event.id.clone());
                }
                Effect::Nothing(why) => applied.push((event.id.clone(), why)),
            }
        }
        if payout::planted::on("body_believed") {
            believe(tx, app, &waiting, &links).await?;
        }
        ask.extend(transactions::lying_at(tx, paid_out).await?);
        events::link(tx, &links, now).await?;
        events::park(tx, &parked, now).await?;
        events::mark_applied(tx, &applied, now).await?;
        named::name(tx, &named, now + ANSWER_US).await?;
        transactions::ask_now(tx, &ask.into_iter().collect::<Vec<_>>(), now).await?;
        Ok(waiting.len())
    })?;
    if done > 0 {
        app.nudge.settle.notify();
    }
    Ok(done)
}

/// The effect of an event about several payments.
fn asked_about(payments: usize) -> String {
    format!("asked about {payments} payment{}", if payments == 1 { "" } else { "s" })
}

enum VendorEvent {
    Stripe(stripe::event::Event),
    PayPal(paypal::event::Event),
}

impl VendorEvent {
    /// The connected account of a payout event for a payout we do not know: Stripe's automatic schedule may have paid
    /// out money of ours from it.
    fn pays_out(&self) -> Option<String> {
        match self {
            Self::Stripe(told) if told.event_type.starts_with("payout.") => told.account.clone(),
            Self::Stripe(_) | Self::PayPal(_) => None,
        }
    }
}

/// An event with its parsed body, if it can be parsed.
type Read<'a> = (&'a PendingEvent, Option<VendorEvent>);

fn parse_body(event: &PendingEvent) -> Option<VendorEvent> {
    let body = event.body.as_bytes();
    match event.vendor {
        Vendor::Stripe => stripe::event::parse(body).ok().map(VendorEvent::Stripe),
        Vendor::PayPal => paypal::event::parse(body).ok().map(VendorEvent::PayPal),
    }
}

/// A planted bug for tests: records what Stripe's events say about bank payouts, without asking Stripe.
async fn believe(
    tx: &mut Tx,
    app: &App,
    waiting: &[PendingEvent],
    links: &[(String, TransactionId)],
) -> Result<()> {
    for (event, id) in links {
        let Some(event) = waiting.iter().find(|one| one.id == *event) else { continue };
        let fact = match event.event_type.as_str() {
            "payout.paid" => Fact::PayoutPaid,
            "payout.failed" => Fact::PayoutFailed(Reason::new("account_closed", "")),
            _ => continue,
        };
        let attempts = transactions::attempts(tx, &[*id]).await?;
        let Some(attempt) = attempts.iter().find(|one| one.vendor_id == event.object_id) else { continue };
        let observation = Observation {
            transaction: *id,
            attempt: attempt.id,
            fact,
            vendor_id: None,
            submission: None,
            source: "webhook",
            detail: None,
            event_id: Some(event.id.clone()),
        };
        record::record(tx, app, "intake", &[observation]).await?;
    }
    Ok(())
}

/// The transactions behind the objects these events name, each with the account that must match at Stripe. A payout
/// from Stripe's automatic schedule settles several.
type KnownObjects = HashMap<(Vendor, String), Vec<(TransactionId, String)>>;

async fn known_objects(tx: &mut Tx, read: &[Read<'_>]) -> Result<KnownObjects> {
    let mut known = KnownObjects::new();
    for vendor in Vendor::ALL {
        let of_vendor = read.iter().filter(|(event, _)| event.vendor == vendor);
        let objects: Vec<String> = of_vendor
            .filter_map(|(event, told)| match told {
                Some(VendorEvent::PayPal(told)) => told.payout_item_id.clone(),
                // An event about a payout that reverses another concerns the original.
                Some(VendorEvent::Stripe(told)) => {
                    told.original_payout.clone().or_else(|| event.object_id.clone())
                }
                None => event.object_id.clone(),
            })
            .collect();
        for (object, transaction, destination) in events::by_vendor_id(tx, vendor, &objects).await? {
            known.entry((vendor, object)).or_default().push((transaction, destination));
        }
    }
    Ok(known)
}

/// The submissions these events name by our idempotency key: the key, the submission, and for Stripe its account.
type Keys = HashMap<(Vendor, String), (String, Option<String>)>;

async fn known_keys(tx: &mut Tx, read: &[Read<'_>]) -> Result<Keys> {
    let named: Vec<String> = read
        .iter()
        .filter_map(|(_, told)| match told.as_ref()? {
            VendorEvent::Stripe(told) => told.idempotency_key.clone(),
            VendorEvent::PayPal(told) => told.sender_batch_id.clone(),
        })
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    let found = named::by_key(tx, &named).await?;
    Ok(found.into_iter().map(|(key, id, vendor, account)| ((vendor, key), (id, account))).collect())
}

/// The transactions in a PayPal batch, by its id: read once per pass, because a batch of a thousand items sends a
/// thousand events.
type BatchContents = HashMap<String, BTreeSet<TransactionId>>;

/// Payees can write metadata on their own Stripe account, so events are matched by the payout id our own call returned,
/// and by account and mode, never by metadata. An event that names our idempotency key triggers a look-up.
fn stripe(
    event: &PendingEvent,
    told: &stripe::event::Event,
    (known, keys): (&KnownObjects, &Keys),
    live: bool,
) -> Effect {
    if told.livemode != live {
        return Effect::Nothing("from the other mode (test or live)".to_owned());
    }
    let connect = event.endpoint == "stripe-connect";
    let kind = event.event_type.as_str();
    if connect && is_about_account(kind) {
        return told.account.clone().map_or(Effect::Nothing("names no account".to_owned()), Effect::Account);
    }
    let about_payment = kind.starts_with("payout.") && connect || kind.starts_with("transfer.") && !connect;
    let object = told.original_payout.as_ref().or(event.object_id.as_ref());
    let Some(object) = object.filter(|_| about_payment) else {
        return Effect::Nothing("no effect: an event that Bursar does not use".to_owned());
    };
    let Some(settled) = known.get(&(Vendor::Stripe, object.clone())) else {
        let key = told.idempotency_key.clone().map(|key| (Vendor::Stripe, key));
        return match key.and_then(|key| keys.get(&key)) {
            Some((submission, account)) if *account == told.account => {
                Effect::Names(submission.clone(), object.clone())
            }
            Some(_) | None => Effect::Park,
        };
    };
    let same = |destination: &String| !connect || told.account.as_ref() == Some(destination);
    let about = settled.iter().filter(|(_, destination)| same(destination)).map(|(id, _)| *id);
    match about.collect::<Vec<_>>().as_slice() {
        [] => Effect::Nothing("from a different account than the payment's".to_owned()),
        [transaction] => Effect::Concerns(*transaction),
        several => Effect::ConcernsAll(several.to_vec()),
    }
}

fn is_about_account(kind: &str) -> bool {
    kind.starts_with("account.") || kind == "capability.updated"
}

async fn paypal(
    tx: &mut Tx,
    event: &PendingEvent,
    told: &paypal::event::Event,
    (known, keys): (&KnownObjects, &Keys),
    carried: &mut BatchContents,
) -> Result<Effect> {
    if !event.event_type.starts_with("PAYMENT.PAYOUTS") {
        return Ok(Effect::Nothing("no effect: an event that Bursar does not use".to_owned()));
    }
    let item = told.payout_item_id.clone().and_then(|item| known.get(&(Vendor::PayPal, item)));
    if let Some((transaction, _)) = item.and_then(|found| found.first()) {
        return Ok(Effect::Concerns(*transaction));
    }
    let Some(batch) = &told.payout_batch_id else {
        return Ok(match &told.payout_item_id {
            Some(_) => Effect::Park,
            None => Effect::Nothing("names no item or batch that can be read".to_owned()),
        });
    };
    if !carried.contains_key(batch) {
        let of_batch = events::by_paypal_batch(tx, batch).await?;
        carried.insert(batch.clone(), of_batch.into_iter().collect());
    }
    let Some(carried) = carried.get(batch).filter(|carried| !carried.is_empty()) else {
        let key = told.sender_batch_id.clone().map(|key| (Vendor::PayPal, key));
        return Ok(match key.and_then(|key| keys.get(&key)) {
            Some((submission, _)) => Effect::Names(submission.clone(), batch.clone()),
            None => Effect::Park,
        });
    };
    let named = told.sender_item_id.as_deref().and_then(TransactionId::parse);
    match named {
        Some(id) if carried.contains(&id) => Ok(Effect::Concerns(id)),
        Some(_) => Ok(Effect::Nothing("names a payment that is not in its batch".to_owned())),
        None => Ok(Effect::ConcernsAll(carried.iter().copied().collect())),
    }
}
