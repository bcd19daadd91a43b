//! Events: the envelope that tells which object to fetch.
//!
//! The object inside is a snapshot of some moment and is not believed: whoever applies an event fetches the
//! object first. So only its name and id are read here.

use serde::Deserialize;

/// The envelope of a snapshot event. A type that is not known parses too: it is stored, shown, and moves
/// nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// Our key, when our own call caused it.
    pub idempotency_key: Option<String>,
}

/// Reads an event from the exact bytes of a delivery, whose signature must have been checked before.
///
/// # Errors
/// Says what is wrong with it. Thin notifications, which hold no object, are refused.
pub fn parse(body: &[u8]) -> Result<Event, String> {
    let body: EventBody =
        serde_json::from_slice(body).map_err(|error| format!("not a Stripe event: {error}"))?;
    body.event()
}

#[derive(Deserialize)]
pub(super) struct EventBody {
    pub(super) id: String,
    object: String,
    #[serde(rename = "type")]
    event_type: String,
    account: Option<String>,
    #[serde(default)]
    livemode: bool,
    #[serde(default)]
    created: i64,
    data: Option<Data>,
    request: Option<Cause>,
}

#[derive(Deserialize)]
struct Data {
    object: Snapshot,
}

#[derive(Deserialize)]
struct Snapshot {
    id: Option<String>,
    #[serde(default)]
    object: String,
}

/// Very old versions write the request's id alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum Cause {
    Request { idempotency_key: Option<String> },
    Other(serde::de::IgnoredAny),
}

impl EventBody {
    pub(super) fn event(self) -> Result<Event, String> {
        if self.object != "event" {
            return Err(format!("a Stripe event of another kind: {:?}", self.object));
        }
        let snapshot = self.data.ok_or("a Stripe event without an object")?.object;
        Ok(Event {
            id: self.id,
            event_type: self.event_type,
            account: self.account,
            livemode: self.livemode,
            created: self.created,
            object: snapshot.object,
            object_id: snapshot.id,
            idempotency_key: match self.request {
                Some(Cause::Request { idempotency_key }) => idempotency_key,
                Some(Cause::Other(_)) | None => None,
            },
        })
    }
}
