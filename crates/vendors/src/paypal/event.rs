//! Events: the envelope that tells which item or batch to fetch.
//!
//! The resource inside is not believed, so only its ids and its status are read, the status for people to
//! see.

use serde::Deserialize;

use super::batch::{Item, ItemAnswer};
use crate::lenient;

/// An event's envelope. A type that is not known parses too: it is stored, shown, and moves nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// `WH-…`. Simulated events of PayPal's own tools share one, so it is unique only together with the type.
    pub id: String,
    /// `PAYMENT.PAYOUTS-ITEM.SUCCEEDED` and so on.
    pub event_type: String,
    /// The item, for item events.
    pub payout_item_id: Option<String>,
    /// The batch, for both kinds.
    pub payout_batch_id: Option<String>,
    /// Our key, when PayPal repeats it.
    pub sender_batch_id: Option<String>,
    /// Our transaction, for item events.
    pub sender_item_id: Option<String>,
    /// The item's or the batch's status at the time; what the event's name says when the resource says
    /// nothing.
    pub status: Option<String>,
}

/// Reads an event from the exact bytes of a delivery, whose signature must have been checked before.
///
/// # Errors
/// Says what is wrong with it.
pub fn parse(body: &[u8]) -> Result<Event, String> {
    let body: EventBody =
        serde_json::from_slice(body).map_err(|error| format!("not a PayPal event: {error}"))?;
    Ok(envelope(body))
}

/// The item as it was when an event was written, for whoever reads it again later: nothing is decided by it when it comes.
/// `None` when the event is not about an item.
#[must_use]
pub fn item(body: &[u8]) -> Option<Item> {
    serde_json::from_slice::<ItemBody>(body).ok()?.resource.map(Item::from)
}

#[derive(Deserialize)]
struct ItemBody {
    #[serde(default, deserialize_with = "lenient::maybe")]
    resource: Option<ItemAnswer>,
}

/// What an event tells, wherever it was read.
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

/// The status that an item event's name stands for. DENIED stands for two, so it says nothing.
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

/// `GET /v1/notifications/webhooks-events`.
#[derive(Deserialize)]
pub(super) struct EventsBody {
    #[serde(default)]
    pub(super) events: Vec<EventBody>,
}

#[derive(Deserialize)]
pub(super) struct EventBody {
    id: String,
    event_type: String,
    /// As PayPal writes it; only used to ask for what is older.
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
