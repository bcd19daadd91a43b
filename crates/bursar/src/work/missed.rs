//! Hearing of what Stripe's webhooks never delivered. Every payment is asked about by itself, but only for as long as it is
//! watched; what becomes of it afterwards only an event tells. So once an hour Stripe is asked for its list of events, and
//! those that never came are stored as if they had. What is deliberately not here: what an event means (`intake`), and
//! connected accounts, whose lists can only be asked for one by one: their payouts are asked about while they are watched.

use payout::ids::EventId;
use payout::money::Vendor;
use serde_json::json;
use vendors::ReadError;
use vendors::stripe::event::Event;

use super::{Done, Work};
use crate::ops::vendors as connections;
use crate::store::events::{self, New};
use crate::store::meta;
use crate::transact;

/// How often Stripe is asked.
const EACH_US: i64 = 3_600_000_000;
/// So far back the list is read beside what is new: it is not in the order in which things happened, and clocks differ.
const OVERLAP_US: i64 = 2 * 3_600_000_000;
/// So far back the first time: Stripe delivers an event again for three days.
const FIRST_US: i64 = 3 * 86_400_000_000;
/// Stripe lists events for thirty days.
const LISTED_US: i64 = 30 * 86_400_000_000 - OVERLAP_US;
/// Within so long a webhook is waited for.
const DELIVERED_US: i64 = 3_600_000_000;
/// What is asked for: that money came back. What a transfer that was just made says, its own answer says too.
const KINDS: [&str; 2] = ["transfer.reversed", "transfer.updated"];

const ASKED: &str = "stripe_events_asked_at";
const HEARD: &str = "stripe_events_heard_until";

/// One pass: asks for the list when it is time, and stores what is new in it; answers how many events that were.
pub async fn once(work: &Work, now: i64) -> Done {
    let mut db = work.app.store.read().await?;
    let (read, heard) = (meta::get(&mut db, ASKED).await?, meta::get(&mut db, HEARD).await?);
    drop(db);
    let moment = |at: &Option<String>| at.as_ref().and_then(|at| at.parse::<i64>().ok());
    let (asked, heard) = (moment(&read), moment(&heard));
    // A clock that was ahead must not keep it from being asked for ever.
    if asked.is_some_and(|at| at <= now && now - at < EACH_US) {
        return Ok(0);
    }
    let Some(stripe) = work.clients.stripe().await? else { return Ok(0) };
    // Of several processes one asks.
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

async fn keep(work: &Work, listed: &[Event], now: i64) -> Done {
    let app = &work.app;
    let new = |event: &Event| New {
        id: EventId::fresh(now, app.clock.chance()).to_string(),
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
    // What has just happened may be on its way, and says more as it was signed.
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
        app.nudge.intake.ring();
    }
    Ok(usize::try_from(stored).unwrap_or(usize::MAX))
}

/// What an event says that was listed, as one that was delivered says it.
fn body(event: &Event) -> String {
    json!({
        "id": event.id, "type": event.event_type, "account": event.account, "livemode": event.livemode,
        "created": event.created, "data": { "object": { "id": event.object_id, "object": event.object } },
        "request": { "idempotency_key": event.idempotency_key },
    })
    .to_string()
}
