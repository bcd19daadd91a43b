//! Webhooks: which events are needed, and the registrations that ask for them.
//!
//! A webhook's id is part of what PayPal signs, so it is kept like a secret's twin. Checking a delivery is
//! [`crate::signature`]'s business. There is no event for a reversed item: only asking finds those.

use serde::{Deserialize, Serialize};

use crate::lenient;

/// What our webhook must send.
pub const NEEDED_EVENTS: &[&str] = &[
    "PAYMENT.PAYOUTSBATCH.PROCESSING",
    "PAYMENT.PAYOUTSBATCH.SUCCESS",
    "PAYMENT.PAYOUTSBATCH.DENIED",
    "PAYMENT.PAYOUTS-ITEM.SUCCEEDED",
    "PAYMENT.PAYOUTS-ITEM.FAILED",
    "PAYMENT.PAYOUTS-ITEM.UNCLAIMED",
    "PAYMENT.PAYOUTS-ITEM.RETURNED",
    "PAYMENT.PAYOUTS-ITEM.HELD",
    "PAYMENT.PAYOUTS-ITEM.BLOCKED",
    "PAYMENT.PAYOUTS-ITEM.REFUNDED",
    "PAYMENT.PAYOUTS-ITEM.CANCELED",
    "PAYMENT.PAYOUTS-ITEM.DENIED",
];

/// A registered webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// The id that deliveries are signed with.
    pub id: String,
    /// Where it delivers.
    pub url: String,
    /// Event types, or `*`.
    pub events: Vec<String>,
}

impl Webhook {
    /// Which of the needed events it would not send.
    #[must_use]
    pub fn missing<'n>(&self, needed: &[&'n str]) -> Vec<&'n str> {
        let sends = |event: &str| self.events.iter().any(|enabled| enabled == event || enabled == "*");
        needed.iter().copied().filter(|event| !sends(event)).collect()
    }
}

/// The list of them.
#[derive(Deserialize)]
pub(super) struct WebhooksBody {
    pub(super) webhooks: Vec<WebhookBody>,
}

#[derive(Deserialize)]
pub(super) struct WebhookBody {
    id: String,
    #[serde(default, deserialize_with = "lenient::word")]
    url: String,
    #[serde(default, deserialize_with = "lenient::each")]
    event_types: Vec<EventName<String>>,
}

impl From<WebhookBody> for Webhook {
    fn from(body: WebhookBody) -> Self {
        let events = body.event_types.into_iter().map(|event| event.name).collect();
        Self { id: body.id, url: body.url, events }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct EventName<T> {
    name: T,
}

#[derive(Serialize)]
pub(super) struct NewWebhook<'a> {
    pub(super) url: &'a str,
    pub(super) event_types: Vec<EventName<&'a str>>,
}

/// One step of a JSON patch.
#[derive(Serialize)]
pub(super) struct Replace<T> {
    op: &'static str,
    path: &'static str,
    value: T,
}

/// Puts another value in the place of what is there.
pub(super) fn replace<T>(path: &'static str, value: T) -> Replace<T> {
    Replace { op: "replace", path, value }
}

pub(super) fn names<'a>(events: &[&'a str]) -> Vec<EventName<&'a str>> {
    events.iter().copied().map(|name| EventName { name }).collect()
}
