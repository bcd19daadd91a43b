//! Events: the envelope, which says which item or batch to fetch.
//!
//! The resource inside is not trusted: only its ids and its status are read, and the status only for display.

use serde::Deserialize;

use super::batch::{Item, ItemAnswer};
use crate::lenient;

/// An event's envelope. Unknown types are parsed too: they are stored and shown, and have no effect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// `WH-…`. Simulated events from PayPal's own tools share one id, so it is unique only together with the type.
    pub id: String,
    /// The event type, such as `PAYMENT.PAYOUTS-ITEM.SUCCEEDED`.
    pub event_type: String,
    /// The item's id, for item events.
    pub payout_item_id: Option<String>,
    /// The batch's id, for item and batch events.
    pub payout_batch_id: Option<String>,
    /// Our idempotency key, if PayPal includes it.
    pub sender_batch_id: Option<String>,
    /// Our transaction id, for item events.
    pub sender_item_id: Option<String>,
    /// The item's or batch's status at the time; taken from the event type if the resource has none.
    pub status: Option<String>,
}

/// Parses the exact bytes of a delivery, whose signature must have been verified.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub fn parse(body: &[u8]) -> Result<Event, String> {
    let body: EventBody =
        serde_json::from_slice(body).map_err(|error| format!("not a PayPal event: {error}"))?;
    Ok(envelope(body))
}

/// The item as it was when the event was written, for later analysis; no decision on arrival depends on it. `None` if
/// the event is not about an item.
#[must_use]
pub fn item(body: &[u8]) -> Option<Item> {
    serde_json::from_slice::<ItemBody>(body).ok()?.resource.map(Item::from)
}

#[derive(Deserialize)]
struct ItemBody {
    #[serde(default, deserialize_with = "lenient::maybe")]
    resource: Option<ItemAnswer>,
}

/// The envelope of an event from any source.
pub(super) fn envelope(body: EventBody) -> Event {
    let resource = body.resource.unwrap_or_default();
    let header = resource.batch_header.unwrap_or_default();
    let status = resource.transaction_status.or(header.batch_status);
    Event {
        status: status.or_else(|| named_status(&body.event_type).map(String::from)),
        id: body.id,
        event_type: body.event_type,
        payout_item_id: resource.payout_item_id,
        payout_batch_id: resource.payout_batch_id.or(header.payout_batch_id),
        sender_batch_id: resource
            .sender_batch_id
            .or_else(|| header.sender_batch_header.and_then(|sender| sender.sender_batch_id)),
        sender_item_id: resource.payout_item.and_then(|item| item.sender_item_id),
    }
}

/// The status an item event's type implies. DENIED could be two of them, so it implies none.
fn named_status(event_type: &str) -> Option<&'static str> {
    match event_type.strip_prefix("PAYMENT.PAYOUTS-ITEM.")? {
        "SUCCEEDED" => Some("SUCCESS"),
        "FAILED" => Some("FAILED"),
        "UNCLAIMED" => Some("UNCLAIMED"),
        "RETURNED" | "CANCELED" => Some("RETURNED"),
        "HELD" => Some("ONHOLD"),
        "BLOCKED" => Some("BLOCKED"),
        "REFUNDED" => Some("REFUNDED"),
        _ => None,
    }
}

/// The response of `GET /v1/notifications/webhooks-events`.
#[derive(Deserialize)]
pub(super) struct EventsBody {
    #[serde(default)]
    pub(super) events: Vec<EventBody>,
}

#[derive(Deserialize)]
pub(super) struct EventBody {
    id: String,
    event_type: String,
    /// As PayPal writes it; only used to request older events.
    #[serde(default, deserialize_with = "lenient::text")]
    pub(super) create_time: Option<String>,
    #[serde(default, deserialize_with = "lenient::maybe")]
    resource: Option<Resource>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Resource {
    #[serde(deserialize_with = "lenient::text")]
    payout_item_id: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    payout_batch_id: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    sender_batch_id: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    transaction_status: Option<String>,
    #[serde(deserialize_with = "lenient::maybe")]
    payout_item: Option<ItemPart>,
    #[serde(deserialize_with = "lenient::maybe")]
    batch_header: Option<HeaderPart>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ItemPart {
    #[serde(deserialize_with = "lenient::text")]
    sender_item_id: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct HeaderPart {
    #[serde(deserialize_with = "lenient::text")]
    payout_batch_id: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    batch_status: Option<String>,
    #[serde(deserialize_with = "lenient::maybe")]
    sender_batch_header: Option<SenderPart>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SenderPart {
    #[serde(deserialize_with = "lenient::text")]
    sender_batch_id: Option<String>,
}
