//! Webhooks: the required event types, and the registrations.
//!
//! A webhook's id is part of what PayPal signs, so it is stored like a secret. Verifying a delivery is
//! [`crate::signature`]'s job. There is no event for a reversed item: only polling finds those.

use serde::{Deserialize, Serialize};

use crate::lenient;

/// The event types our webhook must receive.
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

/// A webhook registered at PayPal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// The id that deliveries are signed with.
    pub id: String,
    /// The URL it delivers to.
    pub url: String,
    /// The event types it is subscribed to, or `*`.
    pub events: Vec<String>,
}

impl Webhook {
    /// The needed event types it is not subscribed to.
    #[must_use]
    pub fn missing<'n>(&self, needed: &[&'n str]) -> Vec<&'n str> {
        let sends = |event: &str| self.events.iter().any(|enabled| enabled == event || enabled == "*");
        needed.iter().copied().filter(|event| !sends(event)).collect()
    }
}

/// The response that lists them.
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

/// One operation of a JSON Patch.
#[derive(Serialize)]
pub(super) struct Replace<T> {
    op: &'static str,
    path: &'static str,
    value: T,
}

/// A JSON Patch operation that replaces a value.
pub(super) fn replace<T>(path: &'static str, value: T) -> Replace<T> {
    Replace { op: "replace", path, value }
}

pub(super) fn names<'a>(events: &[&'a str]) -> Vec<EventName<&'a str>> {
    events.iter().copied().map(|name| EventName { name }).collect()
}
