//! Outgoing webhooks: queued per endpoint, signed when sent, retried when rejected.
//!
//! Not here: event contents (`stripe::event`, `paypal::event`) and signature formats.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::books::WebhookLine;
use crate::faults::{Call, FaultKind, Faults};
use crate::{DAY, SECOND, Vendor, paypal, stripe};

/// A webhook, ready to be posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Identifies this delivery to [`crate::Simulator::delivered`]; the same in every attempt.
    pub id: u64,
    pub vendor: Vendor,
    pub url: String,
    /// All headers, including the signature.
    pub headers: Vec<(String, String)>,
    /// The signed bytes.
    pub body: Vec<u8>,
    /// Such as `payout.paid` or `PAYMENT.PAYOUTS-ITEM.SUCCEEDED`.
    pub event_type: String,
    /// The event's own id; a doubled event has two deliveries with one event id.
    pub event_id: String,
    /// The payout, transfer, item, batch or account it is about.
    pub object_id: String,
}

/// How an endpoint's deliveries are signed.
#[derive(Debug, Clone)]
pub(crate) enum Seal {
    /// The endpoint's `whsec_…`.
    Stripe { secret: String },
    /// The webhook id, and the base URL of the certificate.
    PayPal { webhook_id: String, base: String },
}

/// A delivery that is queued for sending.
#[derive(Debug, Clone)]
pub(crate) struct Waiting {
    id: u64,
    url: String,
    endpoint: String,
    seal: Seal,
    event: Arc<Letter>,
    /// The number of attempts so far.
    tries: u32,
    first_at: i64,
    forged: bool,
    early: bool,
}

/// The event to deliver, whatever the endpoint.
#[derive(Debug, Clone)]
pub(crate) struct Letter {
    pub(crate) event_id: String,
    pub(crate) event_type: String,
    pub(crate) object_id: String,
    pub(crate) body: Vec<u8>,
}

/// All pending deliveries, and the log of past ones.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    queue: BTreeMap<(i64, u64), Waiting>,
    due_at: HashMap<u64, i64>,
    written: u64,
    /// For each vendor, the delivery held back until the next one overtakes it.
    overtaken: HashMap<Vendor, u64>,
    pub(crate) log: Vec<WebhookLine>,
}

impl Waiting {
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    fn vendor(&self) -> Vendor {
        match self.seal {
            Seal::Stripe { .. } => Vendor::Stripe,
            Seal::PayPal { .. } => Vendor::PayPal,
        }
    }

    /// Signs it as of `now`: every attempt has its own timestamp and signature.
    pub(crate) fn signed(&self, now: i64) -> Delivery {
        let body = &self.event.body;
        let mut headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        match &self.seal {
            Seal::Stripe { secret } => headers.extend(stripe::event::signature(secret, body, now)),
            Seal::PayPal { webhook_id, base } => {
                let transmission = (self.id << 8) | u64::from(self.tries);
                headers.extend(paypal::signing::headers(base, webhook_id, transmission, body, now));
            }
        }
        if self.forged {
            spoil(&mut headers);
        }
        Delivery {
            id: self.id,
            vendor: self.vendor(),
            url: self.url.clone(),
            headers,
            body: body.clone(),
            event_type: self.event.event_type.clone(),
            event_id: self.event.event_id.clone(),
            object_id: self.event.object_id.clone(),
        }
    }
}

impl Outbox {
    /// Queues an event for an endpoint, subject to planted faults.
    pub(crate) fn send(
        &mut self,
        faults: &mut Faults,
        now: i64,
        endpoint: (&str, &str),
        seal: Seal,
        event: &Arc<Letter>,
    ) {
        let vendor = match seal {
            Seal::Stripe { .. } => Vendor::Stripe,
            Seal::PayPal { .. } => Vendor::PayPal,
        };
        let (endpoint, url) = (endpoint.0.to_owned(), endpoint.1.to_owned());
        let event = Arc::clone(event);
        let (tries, first_at) = (0, now);
        let mut waiting =
            Waiting { id: 0, url, endpoint, seal, event, tries, first_at, forged: false, early: false };
        let fault = faults.strike(vendor, Some(Call::Webhook));
        match &fault {
            Some(FaultKind::Lost) => return,
            Some(FaultKind::Doubled) => {
                self.put(now, waiting.clone());
            }
            Some(FaultKind::Forged) => {
                let event = Arc::new(forge(&waiting.event));
                self.put(now, Waiting { event, forged: true, ..waiting.clone() });
            }
            Some(FaultKind::Early) => waiting.early = true,
            _ => {}
        }
        match fault {
            Some(FaultKind::Late { micros }) => {
                self.put(now + micros, waiting);
            }
            Some(FaultKind::Reordered) => {
                let id = self.put(now + 3600 * SECOND, waiting);
                self.overtaken.insert(vendor, id);
            }
            _ => {
                self.put(now, waiting);
                self.let_follow(vendor, now);
            }
        }
    }

    /// Numbers the deliveries from here on.
    pub(crate) fn number_from(&mut self, first: u64) {
        self.written = self.written.max(first);
    }

    /// At most `most` deliveries due by `now`, in order; they stay in the queue.
    pub(crate) fn due(&self, now: i64, most: usize) -> Vec<Waiting> {
        self.queue.range(..=(now, u64::MAX)).take(most).map(|(_, waiting)| waiting.clone()).collect()
    }

    /// When the next delivery is due.
    pub(crate) fn next_at(&self) -> Option<i64> {
        self.queue.first_key_value().map(|((at, _), _)| *at)
    }

    /// The deliveries to send before the call that caused them is answered.
    pub(crate) fn early(&mut self, now: i64) -> Vec<Waiting> {
        let mut early = Vec::new();
        for waiting in self.queue.range_mut(..=(now, u64::MAX)).map(|(_, waiting)| waiting) {
            if std::mem::take(&mut waiting.early) {
                early.push(waiting.clone());
            }
        }
        early
    }

    /// Removes a delivery from the queue, or requeues it for the vendor's next attempt.
    pub(crate) fn delivered(&mut self, id: u64, status: u16, now: i64) {
        let Some(at) = self.due_at.remove(&id) else { return };
        let Some(mut waiting) = self.queue.remove(&(at, id)) else { return };
        waiting.tries += 1;
        self.log.push(WebhookLine {
            delivery_id: id,
            vendor: waiting.vendor(),
            event_type: waiting.event.event_type.clone(),
            event_id: waiting.event.event_id.clone(),
            object_id: waiting.event.object_id.clone(),
            answered: status,
            attempt: waiting.tries,
            forged: waiting.forged,
            at: now,
        });
        if (200..300).contains(&status) || waiting.forged {
            return;
        }
        if let Some(wait) = until_next_try(waiting.vendor(), waiting.tries)
            && now + wait - waiting.first_at <= 3 * DAY
        {
            self.due_at.insert(id, now + wait);
            self.queue.insert((now + wait, id), waiting);
        }
    }

    /// Drops queued deliveries of a deleted endpoint.
    pub(crate) fn forget(&mut self, endpoint: &str) {
        let due_at = &mut self.due_at;
        self.queue.retain(|(_, id), waiting| {
            let keep = waiting.endpoint != endpoint;
            if !keep {
                due_at.remove(id);
            }
            keep
        });
    }

    fn put(&mut self, at: i64, mut waiting: Waiting) -> u64 {
        self.written += 1;
        waiting.id = self.written;
        self.due_at.insert(waiting.id, at);
        self.queue.insert((at, waiting.id), waiting);
        self.written
    }

    /// Schedules a held-back delivery right after the one that just overtook it.
    fn let_follow(&mut self, vendor: Vendor, now: i64) {
        let Some(id) = self.overtaken.remove(&vendor) else { return };
        let Some(at) = self.due_at.get(&id).copied() else { return };
        if let Some(waiting) = self.queue.remove(&(at, id)) {
            self.put(now, waiting);
            self.due_at.remove(&id);
        }
    }
}

/// Posts a delivery; returns the receiver's status, or 0 without an answer.
pub(crate) async fn post(delivery: Delivery) -> u16 {
    let Some(client) = client() else { return 0 };
    let mut request = client.post(&delivery.url).body(delivery.body);
    for (name, value) in &delivery.headers {
        request = request.header(name, value);
    }
    match request.send().await {
        Ok(answer) => answer.status().as_u16(),
        Err(error) => {
            tracing::debug!(url = %delivery.url, %error, "webhook not delivered");
            0
        }
    }
}

fn client() -> Option<&'static reqwest::Client> {
    static CLIENT: OnceLock<Option<reqwest::Client>> = OnceLock::new();
    CLIENT.get_or_init(build_client).as_ref()
}

#[allow(clippy::disallowed_methods, reason = "these are the vendors' own requests, not ours to a vendor")]
fn build_client() -> Option<reqwest::Client> {
    // Fails if a provider is installed already, which is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(Duration::from_secs(10))
        .build();
    client.inspect_err(|error| tracing::error!(%error, "webhooks cannot be posted")).ok()
}

/// Stripe retries for three days, doubling from a minute to half a day; PayPal 25 times within three days.
fn until_next_try(vendor: Vendor, tries: u32) -> Option<i64> {
    let doubling = (60 * SECOND) << tries.saturating_sub(1).min(20);
    match vendor {
        Vendor::Stripe => Some(doubling.min(DAY / 2)),
        Vendor::PayPal => (tries < 25).then_some(doubling.min(4 * 3600 * SECOND)),
    }
}

/// The same event with another status, as an attacker would send it.
fn forge(event: &Letter) -> Letter {
    let text = String::from_utf8_lossy(&event.body);
    let swaps = [
        ("\"paid\"", "\"failed\""),
        ("\"failed\"", "\"paid\""),
        ("\"in_transit\"", "\"paid\""),
        ("\"pending\"", "\"paid\""),
        ("\"SUCCESS\"", "\"RETURNED\""),
        ("\"UNCLAIMED\"", "\"SUCCESS\""),
        ("\"FAILED\"", "\"SUCCESS\""),
        ("\"PROCESSING\"", "\"SUCCESS\""),
        ("\"reversed\": false", "\"reversed\": true"),
    ];
    let swap = swaps.iter().find(|(from, _)| text.contains(from));
    let body = swap.map_or_else(|| format!("{text} "), |(from, to)| text.replacen(from, to, 1));
    Letter { body: body.into_bytes(), ..event.clone() }
}

/// Makes the signature wrong but well-formed.
fn spoil(headers: &mut [(String, String)]) {
    for (name, value) in headers.iter_mut() {
        if name == "stripe-signature" {
            let (kept, signature) = value.split_once("v1=").unwrap_or((value, ""));
            *value = format!("{kept}v1={}", signature.chars().rev().collect::<String>());
        } else if name == "paypal-transmission-sig" {
            let body = value.trim_end_matches('=');
            *value = format!("{}{}", body.chars().rev().collect::<String>(), &value[body.len()..]);
        }
    }
}
