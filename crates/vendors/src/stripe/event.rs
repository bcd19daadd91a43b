//! Events: the envelope, which says which object to fetch.
//!
//! The object inside is a snapshot of some point in time and is not trusted: before an event is applied, the object is
//! fetched. So only its type and id are read here.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::payout::Payout;
use super::transfer::Transfer;
use crate::lenient;

/// The envelope of a snapshot event. Unknown types are parsed too: they are stored and shown, and have no effect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// `evt_…`
    pub id: String,
    /// The event type, such as `payout.paid`.
    pub event_type: String,
    /// The connected account (`acct_…`) the event belongs to; `None` for the platform's own.
    pub account: Option<String>,
    /// Whether it is about real money.
    pub livemode: bool,
    /// Unix seconds; no indication of order.
    pub created: i64,
    /// The type of its object: `payout`, `transfer`, `account`, …
    pub object: String,
    /// The object's id; `None` for objects without one, such as a balance.
    pub object_id: Option<String>,
    /// For an event about a reversing payout: the id of the payout it reverses.
    pub original_payout: Option<String>,
    /// Our idempotency key, if our own call caused the event.
    pub idempotency_key: Option<String>,
}

/// Parses the exact bytes of a delivery, whose signature must have been verified.
///
/// Only id and type are required. A thin notification, which contains no object, is parsed as an event without one.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub fn parse(body: &[u8]) -> Result<Event, String> {
    let body: EventBody =
        serde_json::from_slice(body).map_err(|error| format!("not a Stripe event: {error}"))?;
    Ok(body.event())
}

/// The payout as it was when the event was written, for later analysis; no decision on arrival depends on it. `None` if
/// the event is not about a payout.
#[must_use]
pub fn payout(body: &[u8]) -> Option<Payout> {
    written_of(body, "payout")
}

/// The same for a transfer.
#[must_use]
pub fn transfer(body: &[u8]) -> Option<Transfer> {
    written_of(body, "transfer")
}

fn written_of<T: serde::de::DeserializeOwned>(body: &[u8], kind: &str) -> Option<T> {
    #[derive(Deserialize)]
    struct Written {
        data: Data,
    }
    #[derive(Deserialize)]
    struct Data {
        object: Box<RawValue>,
    }
    #[derive(Deserialize)]
    struct Kind {
        object: String,
    }
    let object = serde_json::from_slice::<Written>(body).ok()?.data.object;
    let is_it = serde_json::from_str::<Kind>(object.get()).is_ok_and(|it| it.object == kind);
    is_it.then(|| serde_json::from_str(object.get()).ok()).flatten()
}

#[derive(Deserialize)]
pub(super) struct EventBody {
    pub(super) id: String,
    #[serde(rename = "type")]
    event_type: String,
    #[serde(default, deserialize_with = "lenient::text")]
    account: Option<String>,
    #[serde(default, deserialize_with = "lenient::or_default")]
    livemode: bool,
    #[serde(default, deserialize_with = "lenient::or_default")]
    created: i64,
    #[serde(default, deserialize_with = "lenient::maybe")]
    data: Option<Data>,
    /// Very old API versions only contain the request's id.
    #[serde(default, deserialize_with = "lenient::maybe")]
    request: Option<Cause>,
}

#[derive(Deserialize)]
struct Data {
    #[serde(default, deserialize_with = "lenient::maybe")]
    object: Option<Snapshot>,
}

#[derive(Deserialize)]
struct Snapshot {
    #[serde(default, deserialize_with = "lenient::maybe")]
    id: Option<String>,
    #[serde(default, deserialize_with = "lenient::word")]
    object: String,
    #[serde(default, deserialize_with = "lenient::text")]
    original_payout: Option<String>,
}

#[derive(Deserialize)]
struct Cause {
    #[serde(default, deserialize_with = "lenient::text")]
    idempotency_key: Option<String>,
}

impl EventBody {
    pub(super) fn event(self) -> Event {
        let snapshot = self.data.and_then(|data| data.object);
        let (object, object_id, original_payout) =
            snapshot.map_or((String::new(), None, None), |seen| (seen.object, seen.id, seen.original_payout));
        Event {
            id: self.id,
            event_type: self.event_type,
            account: self.account,
            livemode: self.livemode,
            created: self.created,
            object,
            object_id,
            original_payout,
            idempotency_key: self.request.and_then(|cause| cause.idempotency_key),
        }
    }
}
