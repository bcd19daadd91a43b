//! Catches up on Stripe events that no webhook delivered. Payments are polled only while they are watched; after that,
//! changes arrive only as events. So once an hour we read Stripe's event list and store missing events as if they had
//! been delivered. Not here: what an event means (`intake`), and connected accounts, whose lists can only be read one
//! by one: their payouts are polled while they are watched.

use payout::ids::EventId;
use payout::money::Vendor;
use serde_json::json;
use vendors::ReadError;
use vendors::stripe::event::Event;

use super::{PassResult, Work};
use crate::ops::vendors as connections;
use crate::store::events::{self, New};
use crate::store::meta;
use crate::transact;

/// How often the list is read.
const EACH_US: i64 = 3_600_000_000;
/// How far each read overlaps the previous one: the list is not in order of occurrence, and clocks differ.
const OVERLAP_US: i64 = 2 * 3_600_000_000;
/// How far back the first read goes: Stripe retries deliveries for three days.
const FIRST_US: i64 = 3 * 86_400_000_000;
/// Stripe lists events for thirty days.
const LISTED_US: i64 = 30 * 86_400_000_000 - OVERLAP_US;
/// How long to wait for a webhook.
const DELIVERED_US: i64 = 3_600_000_000;
/// The event types to read: those that report money coming back. The answer to a transfer request already reports the
/// transfer.
const KINDS: [&str; 2] = ["transfer.reversed", "transfer.updated"];

const ASKED: &str = "stripe_events_asked_at";
const HEARD: &str = "stripe_events_heard_until";

/// One pass: reads the list when it is due and stores new events. Returns how many there were.
pub async fn once(work: &Work, now: i64) -> PassResult {
    let mut db = work.app.store.read().await?;
    let (read, heard) = (meta::get(&mut db, ASKED).await?, meta::get(&mut db, HEARD).await?);
    drop(db);
    let moment = |at: &Option<String>| at.as_ref().and_then(|at| at.parse::<i64>().ok());
    let (asked, heard) = (moment(&read), moment(&heard));
    // A clock that ran ahead must not suppress this forever.
    if asked.is_some_and(|at| at <= now && now - at < EACH_US) {
        return Ok(0);
    }
    let Some(stripe) = work.clients.stripe().await? else { return Ok(0) };
    // Only one of several processes reads it.
    let ours =
        transact!(work.app, |tx| { Ok(meta::replace(tx, ASKED, read.as_deref(), &now.to_string()).await?) })?;
    if !ours {
        return Ok(0);
    }
    let since = heard.map_or(now - FIRST_US, |at| at.min(now) - OVERLAP_US).max(now - LISTED_US);
    match work.ask(Vendor::Stripe, stripe.client.events_since(None, &KINDS, since / 1_000_000)).await {
        Ok(listed) => keep(work, &listed, now).await,
        Err(ReadError::Credentials(why)) => {
            connections::pause(&work.app, Vendor::Stripe, &why).await?;
            Ok(0)
        }
        Err(error) => {
            tracing::info!(%error, "Stripe's list of events could not be read; it is asked for again in an hour");
            Ok(0)
        }
    }
}

async fn keep(work: &Work, listed: &[Event], now: i64) -> PassResult {
    let app = &work.app;
    let new = |event: &Event| New {
        id: EventId::fresh(now, app.clock.in_turn()).to_string(),
        vendor: Vendor::Stripe,
        endpoint: "stripe",
        event_id: event.id.clone(),
        event_type: event.event_type.clone(),
        account: event.account.clone(),
        object_id: event.object_id.clone(),
        body: body(event),
        headers: json!({ "listed": "Stripe's list of events told of it; no webhook has" }).to_string(),
        received_at: now,
    };
    // A recent event may still be delivered, and its signed body says more.
    let missed = listed.iter().filter(|event| event.created.saturating_mul(1_000_000) <= now - DELIVERED_US);
    let new: Vec<New> = missed.map(new).collect();
    let stored = transact!(app, |tx| {
        let stored = if new.is_empty() { 0 } else { events::store(tx, &new).await? };
        meta::set(tx, HEARD, &now.to_string()).await?;
        Ok(stored)
    })?;
    if stored > 0 {
        tracing::warn!(stored, "Stripe lists events that no webhook has delivered; they are looked at now");
        metrics::counter!("bursar_missed_events_total").increment(stored);
        app.nudge.intake.notify();
    }
    Ok(usize::try_from(stored).unwrap_or(usize::MAX))
}

/// The body of a listed event, in the shape of a delivered one.
fn body(event: &Event) -> String {
    json!({
        "id": event.id, "type": event.event_type, "account": event.account, "livemode": event.livemode,
        "created": event.created, "data": { "object": { "id": event.object_id, "object": event.object } },
        "request": { "idempotency_key": event.idempotency_key },
    })
    .to_string()
}
