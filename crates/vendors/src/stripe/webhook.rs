//! Webhook endpoints: the required event types, and the registrations.
//!
//! Two endpoints are needed: one for the platform's own events and one for those of connected accounts. Stripe does not
//! report later which is which, so each is marked in its metadata. Verifying a delivery is [`crate::signature`]'s job.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::lenient;

/// The event types the endpoint for our own account must receive.
pub const NEEDED_EVENTS_PLATFORM: &[&str] =
    &["transfer.created", "transfer.updated", "transfer.reversed", "balance.available"];

/// The event types the endpoint for connected accounts must receive.
pub const NEEDED_EVENTS_CONNECT: &[&str] = &[
    "payout.created",
    "payout.updated",
    "payout.paid",
    "payout.failed",
    "payout.canceled",
    "payout.reconciliation_completed",
    "account.updated",
    "capability.updated",
    "account.external_account.created",
    "account.external_account.updated",
    "account.external_account.deleted",
    "account.application.deauthorized",
];

/// A webhook endpoint registered at Stripe.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct WebhookEndpoint {
    /// `we_…`
    pub id: String,
    /// The URL it delivers to.
    #[serde(default, deserialize_with = "lenient::word")]
    pub url: String,
    /// The event types it is subscribed to, or `*`.
    #[serde(default, deserialize_with = "lenient::each")]
    pub enabled_events: Vec<String>,
    /// `enabled` or `disabled`.
    #[serde(default, deserialize_with = "lenient::word")]
    pub status: String,
    /// The API version of the objects in its events.
    #[serde(default, deserialize_with = "lenient::text")]
    pub api_version: Option<String>,
    /// The metadata we wrote on it; `bursar` is `connect` or `platform` for the endpoints Bursar created.
    #[serde(default, deserialize_with = "super::null_is_empty")]
    pub metadata: BTreeMap<String, String>,
}

impl WebhookEndpoint {
    /// The needed event types it is not subscribed to.
    #[must_use]
    pub fn missing<'n>(&self, needed: &[&'n str]) -> Vec<&'n str> {
        let sends =
            |event: &str| self.enabled_events.iter().any(|enabled| enabled == event || enabled == "*");
        needed.iter().copied().filter(|event| !sends(event)).collect()
    }
}

/// A new endpoint with its secret, which Stripe returns only once.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub struct NewWebhookEndpoint {
    /// `we_…`
    pub id: String,
    /// `whsec_…`
    pub secret: String,
}

impl std::fmt::Debug for NewWebhookEndpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NewWebhookEndpoint({})", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_endpoint_is_printed_without_its_secret() {
        let made = NewWebhookEndpoint { id: "we_1".to_owned(), secret: "whsec_hidden".to_owned() };
        assert_eq!(format!("{made:?}"), "NewWebhookEndpoint(we_1)");
    }
}
