//! Events, webhook endpoints, and signatures.
//!
//! Not here: the queue (`outbox`); thin events of API v2.

use std::collections::BTreeMap;
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::refusal::Refusal;
use super::{API_VERSION, Call, Outcome, hex, list_of, page_of};
use crate::outbox::{Letter, Seal};
use crate::table::Dated;
use crate::world::World;
use crate::{DAY, SECOND};

/// An event (`evt_…`), stored as sent.
#[derive(Debug)]
pub(crate) struct Event {
    letter: Arc<Letter>,
    created_at: i64,
}

/// A registered webhook endpoint (`we_…`).
#[derive(Debug)]
pub(crate) struct Endpoint {
    id: String,
    url: String,
    enabled_events: Vec<String>,
    /// Whether it receives connected accounts' events or the platform's own.
    connect: bool,
    disabled: bool,
    secret: String,
    description: Option<String>,
    metadata: BTreeMap<String, String>,
    created_at: i64,
}

/// The cause of an event.
#[derive(Debug)]
pub(crate) struct Cause {
    now: i64,
    request_id: Option<String>,
    key: Option<String>,
}

impl Cause {
    pub(crate) fn of(call: &Call<'_>) -> Cause {
        let request_id = Some(call.request_id.to_owned());
        Cause { now: call.now, request_id, key: call.key.map(str::to_owned) }
    }

    /// Without a request: it was due.
    pub(crate) fn itself(now: i64) -> Cause {
        Cause { now, request_id: None, key: None }
    }
}

impl Dated for Event {
    fn made_at(&self) -> i64 {
        self.created_at
    }
}

/// Records an event and queues it for every subscribed endpoint.
pub(crate) fn emit(
    world: &mut World,
    cause: &Cause,
    account: Option<&str>,
    kind: &str,
    object_id: &str,
    object: &Value,
    before: Option<Value>,
) {
    let id = world.ids.stripe("evt");
    let stripe = &mut world.stripe;
    // An account that revoked our access reports that, and nothing afterwards.
    let silent = account.is_some_and(|id| stripe.accounts.get(id).is_some_and(|account| account.deleted))
        && kind != "account.application.deauthorized";
    let wanting: Vec<&Endpoint> = stripe
        .endpoints
        .iter()
        .filter(|endpoint| !silent && endpoint.wants(kind, account.is_some()))
        .collect();
    let mut data = json!({ "object": object });
    if let Some(before) = before {
        data["previous_attributes"] = before;
    }
    let mut event = json!({
        "id": id,
        "object": "event",
        "api_version": API_VERSION,
        "created": cause.now / SECOND,
        "data": data,
        "livemode": stripe.live,
        "pending_webhooks": wanting.len(),
        "request": {"id": cause.request_id, "idempotency_key": cause.key},
        "type": kind,
    });
    if let Some(account) = account {
        event["account"] = Value::from(account);
    }
    let letter = Arc::new(Letter {
        event_id: id.clone(),
        event_type: kind.to_owned(),
        object_id: object_id.to_owned(),
        // Over several lines, as Stripe formats them.
        body: format!("{event:#}").into_bytes(),
    });
    for endpoint in wanting {
        let seal = Seal::Stripe { secret: endpoint.secret.clone() };
        let to = (endpoint.id.as_str(), endpoint.url.as_str());
        world.outbox.send(&mut world.faults, cause.now, to, seal, &letter);
    }
    let list = format!("account={}", account.unwrap_or_default());
    stripe.events.add(&id, &[list], Event { letter, created_at: cause.now });
}

/// `t=<seconds>,v1=<HMAC-SHA256 of "t.body" under the whole secret>`.
pub(crate) fn signature(secret: &str, body: &[u8], now: i64) -> Vec<(String, String)> {
    let seconds = now / SECOND;
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return Vec::new() };
    mac.update(format!("{seconds}.").as_bytes());
    mac.update(body);
    let signature = format!("t={seconds},v1={}", hex(&mac.finalize().into_bytes()));
    vec![("stripe-signature".to_owned(), signature)]
}

/// The last 30 days, for the platform or the calling account.
pub(crate) fn list(world: &World, call: &Call<'_>) -> Outcome {
    let form = &call.form;
    let mut kinds = form.list("types");
    kinds.extend(form.text("type"));
    let list = format!("account={}", call.account.unwrap_or_default());
    page_of(
        &world.stripe,
        &world.stripe.events,
        Some(&list),
        call,
        "/v1/events",
        |event| {
            let named = kinds.is_empty() || kinds.iter().any(|kind| matches(kind, &event.letter.event_type));
            named && call.now - event.created_at <= 30 * DAY
        },
        Event::show,
    )
}

pub(crate) fn read(world: &World, id: &str) -> Outcome {
    world.stripe.events.find(id).map(Event::show).ok_or_else(|| Refusal::missing("event", id))
}

pub(crate) fn create_endpoint(world: &mut World, call: &Call<'_>) -> Outcome {
    let form = &call.form;
    form.only(&["url", "enabled_events", "connect", "api_version", "description", "metadata"])?;
    let url = checked_url(form.required("url")?)?;
    let enabled_events = form.list("enabled_events");
    if enabled_events.is_empty() {
        return Err(Refusal::parameter(
            "parameter_missing",
            "enabled_events",
            "Missing required param: enabled_events.",
        ));
    }
    let endpoint = Endpoint {
        id: world.ids.stripe("we"),
        url,
        enabled_events,
        connect: form.flag("connect"),
        disabled: false,
        secret: world.ids.stripe("whsec"),
        description: form.text("description"),
        metadata: form.metadata(&BTreeMap::new())?,
        created_at: call.now,
    };
    let mut shown = endpoint.show(world.stripe.live);
    shown["secret"] = Value::from(endpoint.secret.as_str());
    world.stripe.endpoints.push(endpoint);
    Ok(shown)
}

pub(crate) fn list_endpoints(world: &World, call: &Call<'_>) -> Outcome {
    let window = call.form.window()?;
    let newest_first = world.stripe.endpoints.iter().rev();
    let after = window.after.as_deref();
    let mut left = newest_first.skip_while(|endpoint| after.is_some_and(|after| endpoint.id != after));
    if after.is_some() {
        left.next();
    }
    let rows: Vec<Value> =
        left.by_ref().take(window.limit).map(|endpoint| endpoint.show(world.stripe.live)).collect();
    Ok(list_of("/v1/webhook_endpoints", rows, left.next().is_some()))
}

pub(crate) fn read_endpoint(world: &World, id: &str) -> Outcome {
    let endpoint = world.stripe.endpoints.iter().find(|endpoint| endpoint.id == id);
    endpoint.map(|endpoint| endpoint.show(world.stripe.live)).ok_or_else(|| missing(id))
}

pub(crate) fn update_endpoint(world: &mut World, call: &Call<'_>, id: &str) -> Outcome {
    let form = &call.form;
    form.only(&["url", "enabled_events", "disabled", "description", "metadata"])?;
    let live = world.stripe.live;
    let endpoint =
        world.stripe.endpoints.iter_mut().find(|endpoint| endpoint.id == id).ok_or_else(|| missing(id))?;
    endpoint.metadata = form.metadata(&endpoint.metadata)?;
    if let Some(url) = form.get("url") {
        endpoint.url = checked_url(url)?;
    }
    let enabled_events = form.list("enabled_events");
    if !enabled_events.is_empty() {
        endpoint.enabled_events = enabled_events;
    }
    if form.get("disabled").is_some() {
        endpoint.disabled = form.flag("disabled");
    }
    if form.get("description").is_some() {
        endpoint.description = form.text("description");
    }
    Ok(endpoint.show(live))
}

pub(crate) fn delete_endpoint(world: &mut World, id: &str) -> Outcome {
    let endpoints = &mut world.stripe.endpoints;
    let position = endpoints.iter().position(|endpoint| endpoint.id == id).ok_or_else(|| missing(id))?;
    endpoints.remove(position);
    world.outbox.forget(id);
    Ok(json!({"id": id, "object": "webhook_endpoint", "deleted": true}))
}

impl Event {
    fn show(&self) -> Value {
        serde_json::from_slice(&self.letter.body).unwrap_or_default()
    }
}

impl Endpoint {
    fn wants(&self, kind: &str, of_connected: bool) -> bool {
        let named = |wanted: &String| wanted == "*" || wanted == kind;
        !self.disabled && self.connect == of_connected && self.enabled_events.iter().any(named)
    }

    fn show(&self, live: bool) -> Value {
        json!({
            "id": self.id,
            "object": "webhook_endpoint",
            "api_version": API_VERSION,
            "application": null,
            "created": self.created_at / SECOND,
            "description": self.description,
            "enabled_events": self.enabled_events,
            "livemode": live,
            "metadata": self.metadata,
            "status": if self.disabled { "disabled" } else { "enabled" },
            "url": self.url,
        })
    }
}

/// A pattern may end in `*`.
fn matches(pattern: &str, kind: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == kind, |start| kind.starts_with(start))
}

/// Plain http is accepted too, because the simulator has no TLS certificates.
fn checked_url(text: &str) -> Result<String, Refusal> {
    let good = url::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    let refusal =
        || Refusal::parameter("url_invalid", "url", "Invalid URL: it must be an http or https URL.");
    good.then(|| text.to_owned()).ok_or_else(refusal)
}

fn missing(id: &str) -> Refusal {
    Refusal::missing("webhook endpoint", id)
}
