//! Events: the envelope that tells which object to fetch.
//!
//! The object inside is a snapshot of some moment and is not believed: whoever applies an event fetches the
//! object first. So only its name and id are read here.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::payout::Payout;
use super::transfer::Transfer;
use crate::lenient;

/// The envelope of a snapshot event. A type that is not known parses too: it is stored, shown, and moves
/// nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// `evt_…`
    pub id: String,
    /// `payout.paid` and so on.
    pub event_type: String,
    /// The connected account (`acct_…`) whose event it is; `None` for the platform's own.
    pub account: Option<String>,
    /// Real money.
    pub livemode: bool,
    /// Unix seconds; says nothing about order.
    pub created: i64,
    /// What kind of object it is about: `payout`, `transfer`, `account`, …
    pub object: String,
    /// The object's id; `None` for objects without one, such as a balance.
    pub object_id: Option<String>,
    /// The payout that this one, of which it tells, fetches back.
    pub original_payout: Option<String>,
    /// Our key, when our own call caused it.
    pub idempotency_key: Option<String>,
}

/// Reads an event from the exact bytes of a delivery, whose signature must have been checked before.
///
/// Only the id and the type must be there. A thin notification, which holds no object, is an event without one.
///
/// # Errors
/// Says what is wrong with it.
pub fn parse(body: &[u8]) -> Result<Event, String> {
    let body: EventBody =
        serde_json::from_slice(body).map_err(|error| format!("not a Stripe event: {error}"))?;
    Ok(body.event())
}

/// The payout as it was when an event was written, for whoever reads it again later: nothing is decided by it when it comes.
/// `None` when the event is not about a payout.
#[must_use]
pub fn payout(body: &[u8]) -> Option<Payout> {
    written_of(body, "payout")
}

/// The same of a transfer.
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
    /// Very old versions write the request's id alone.
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
