//! Events, webhook endpoints, and the signature verification call.
//!
//! Not here: the queue (`outbox`), the keys (`signing`).

use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{Call, Outcome, PayPal, Refusal, signing};
use crate::outbox::{Letter, Seal};
use crate::table::{Dated, Window};
use crate::world::World;

/// An event (`WH-…`), stored as sent.
#[derive(Debug)]
pub(crate) struct Event {
    letter: Arc<Letter>,
    created_at: i64,
}

#[derive(Debug)]
pub(crate) struct Webhook {
    id: String,
    url: String,
    event_types: Vec<String>,
    /// The base URL of the certificate.
    base: String,
}

/// The event types PayPal offers for payouts.
const TYPES: [&str; 12] = [
    "PAYMENT.PAYOUTSBATCH.DENIED",
    "PAYMENT.PAYOUTSBATCH.PROCESSING",
    "PAYMENT.PAYOUTSBATCH.SUCCESS",
    "PAYMENT.PAYOUTS-ITEM.BLOCKED",
    "PAYMENT.PAYOUTS-ITEM.CANCELED",
    "PAYMENT.PAYOUTS-ITEM.DENIED",
    "PAYMENT.PAYOUTS-ITEM.FAILED",
    "PAYMENT.PAYOUTS-ITEM.HELD",
    "PAYMENT.PAYOUTS-ITEM.REFUNDED",
    "PAYMENT.PAYOUTS-ITEM.RETURNED",
    "PAYMENT.PAYOUTS-ITEM.SUCCEEDED",
    "PAYMENT.PAYOUTS-ITEM.UNCLAIMED",
];
/// The most webhooks per application.
const MOST_WEBHOOKS: usize = 10;

impl Dated for Event {
    fn made_at(&self) -> i64 {
        self.created_at
    }
}

/// Records an event and queues it for every subscribed webhook. `about` is resource type and summary.
pub(crate) fn emit(
    world: &mut World,
    now: i64,
    kind: &str,
    about: (&str, &str),
    object_id: &str,
    resource: &Value,
) {
    let id = format!("WH-{}-{}", world.ids.capitals(17), world.ids.capitals(17));
    let created = jiff::Timestamp::from_microsecond(now).unwrap_or_default();
    let event = json!({
        "id": id,
        "event_version": "1.0",
        "create_time": created.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string(),
        "resource_type": about.0,
        "event_type": kind,
        "summary": about.1,
        "resource": resource,
        "links": [],
    });
    let letter = Arc::new(Letter {
        event_id: id.clone(),
        event_type: kind.to_owned(),
        object_id: object_id.to_owned(),
        body: event.to_string().into_bytes(),
    });
    for webhook in world.paypal.webhooks.iter().filter(|webhook| webhook.wants(kind)) {
        world.outbox.send(&mut world.faults, now, webhook.address(), webhook.seal(), &letter);
    }
    let lists = [format!("object={object_id}")];
    world.paypal.events.add(&id, &lists, Event { letter, created_at: now });
}

pub(crate) fn register(world: &mut World, call: &Call<'_>) -> Outcome {
    let body = call.json()?;
    let url = checked_url(&body["url"])?;
    let event_types = checked_types(&body["event_types"])?;
    let webhooks = &world.paypal.webhooks;
    if webhooks.iter().any(|webhook| webhook.url == url) {
        return Err(Refusal::new(400, "WEBHOOK_URL_ALREADY_EXISTS", "Webhook URL already exists"));
    }
    if webhooks.len() >= MOST_WEBHOOKS {
        return Err(Refusal::new(400, "WEBHOOK_NUMBER_LIMIT_EXCEEDED", "Webhook number limit exceeded"));
    }
    let webhook = Webhook { id: world.ids.capitals(17), url, event_types, base: call.base.clone() };
    let shown = webhook.show(call);
    world.paypal.webhooks.push(webhook);
    Ok((201, shown))
}

pub(crate) fn list_webhooks(world: &World, call: &Call<'_>) -> Outcome {
    let webhooks: Vec<Value> = world.paypal.webhooks.iter().map(|webhook| webhook.show(call)).collect();
    Ok((200, json!({ "webhooks": webhooks })))
}

pub(crate) fn read_webhook(world: &World, call: &Call<'_>, id: &str) -> Outcome {
    Ok((200, world.paypal.webhook(id)?.show(call)))
}

/// `[{"op":"replace","path":"/url"|"/event_types","value":…}]`
pub(crate) fn patch_webhook(world: &mut World, call: &Call<'_>, id: &str) -> Outcome {
    let body = call.json()?;
    let webhooks = &mut world.paypal.webhooks;
    let webhook = webhooks.iter_mut().find(|webhook| webhook.id == id).ok_or_else(unknown_webhook)?;
    for patch in body.as_array().into_iter().flatten() {
        match (patch["op"].as_str(), patch["path"].as_str()) {
            (Some("replace"), Some("/url")) => webhook.url = checked_url(&patch["value"])?,
            (Some("replace"), Some("/event_types")) => webhook.event_types = checked_types(&patch["value"])?,
            _ => {
                let message = "Only url and event_types can be replaced.";
                return Err(Refusal::new(400, "WEBHOOK_PATCH_REQUEST_NO_CHANGE", message));
            }
        }
    }
    Ok((200, webhook.show(call)))
}

pub(crate) fn delete_webhook(world: &mut World, id: &str) -> Outcome {
    let webhooks = &mut world.paypal.webhooks;
    let position = webhooks.iter().position(|webhook| webhook.id == id).ok_or_else(unknown_webhook)?;
    webhooks.remove(position);
    world.outbox.forget(id);
    Ok((204, Value::Null))
}

pub(crate) fn types_of(world: &World, id: &str) -> Outcome {
    Ok((200, shown_types(&world.paypal.webhook(id)?.event_types)))
}

pub(crate) fn all_types() -> Outcome {
    Ok((200, shown_types(&TYPES.map(str::to_owned))))
}

/// Whether we signed this event for this webhook. Verifies the event's bytes as they appear in the request;
/// reserializing would change them.
pub(crate) fn verify(call: &Call<'_>) -> Outcome {
    #[derive(Deserialize)]
    struct Asked<'a> {
        auth_algo: String,
        cert_url: String,
        transmission_id: String,
        transmission_sig: String,
        transmission_time: String,
        webhook_id: String,
        #[serde(borrow)]
        webhook_event: &'a RawValue,
    }
    let asked: Asked<'_> = serde_json::from_slice(call.body).map_err(|_| {
        Refusal::invalid(&[("/".to_owned(), "All seven fields are required, webhook_event as JSON.")])
    })?;
    let event = asked.webhook_event.get().as_bytes();
    let message =
        signing::message(&asked.transmission_id, &asked.transmission_time, &asked.webhook_id, event);
    let ours =
        asked.auth_algo == signing::ALGORITHM && asked.cert_url == signing::certificate_url(&call.base);
    let good = ours && signing::verified(&message, &asked.transmission_sig);
    Ok((200, json!({"verification_status": if good { "SUCCESS" } else { "FAILURE" }})))
}

pub(crate) fn list(world: &World, call: &Call<'_>) -> Outcome {
    let time = |name: &str| {
        let text = call.query.get(name)?;
        text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_microsecond)
    };
    let window = Window {
        limit: call.number("page_size", 10, 300)?,
        from: time("start_time"),
        // Inclusive, and times are shown in milliseconds.
        until: time("end_time").map(|end| end + 1_000),
        ..Window::default()
    };
    let kind = call.query.get("event_type");
    let transaction = call.query.get("transaction_id");
    let (rows, _) = world.paypal.events.page(None, &window, |event| {
        kind.is_none_or(|kind| *kind == event.letter.event_type)
            && transaction.is_none_or(|id| event.show()["resource"]["transaction_id"] == id.as_str())
    });
    let rows: Vec<Value> = rows.into_iter().map(Event::show).collect();
    let link = call.link("/v1/notifications/webhooks-events", "self", "GET");
    Ok((200, json!({"count": rows.len(), "events": rows, "links": [link]})))
}

pub(crate) fn read(world: &World, id: &str) -> Outcome {
    Ok((200, world.paypal.events.find(id).ok_or_else(Refusal::missing)?.show()))
}

/// Queues an event again for every subscribed webhook.
pub(crate) fn resend(world: &mut World, call: &Call<'_>, id: &str) -> Outcome {
    let event = world.paypal.events.find(id).ok_or_else(Refusal::missing)?;
    for webhook in world.paypal.webhooks.iter().filter(|webhook| webhook.wants(&event.letter.event_type)) {
        world.outbox.send(&mut world.faults, call.now, webhook.address(), webhook.seal(), &event.letter);
    }
    Ok((202, event.show()))
}

impl PayPal {
    fn webhook(&self, id: &str) -> Result<&Webhook, Refusal> {
        self.webhooks.iter().find(|webhook| webhook.id == id).ok_or_else(unknown_webhook)
    }
}

impl Event {
    fn show(&self) -> Value {
        serde_json::from_slice(&self.letter.body).unwrap_or_default()
    }
}

impl Webhook {
    fn wants(&self, kind: &str) -> bool {
        self.event_types.iter().any(|wanted| wanted == "*" || wanted == kind)
    }

    fn address(&self) -> (&str, &str) {
        (&self.id, &self.url)
    }

    fn seal(&self) -> Seal {
        Seal::PayPal { webhook_id: self.id.clone(), base: self.base.clone() }
    }

    fn show(&self, call: &Call<'_>) -> Value {
        let path = format!("/v1/notifications/webhooks/{}", self.id);
        let links = [("self", "GET"), ("update", "PATCH"), ("delete", "DELETE")]
            .map(|(rel, method)| call.link(&path, rel, method));
        json!({
            "id": self.id,
            "url": self.url,
            "event_types": shown_types(&self.event_types)["event_types"],
            "links": links,
        })
    }
}

fn shown_types(names: &[String]) -> Value {
    let shown: Vec<Value> =
        names.iter().map(|name| json!({"name": name, "description": name, "status": "ENABLED"})).collect();
    json!({ "event_types": shown })
}

/// Plain http is accepted too, because the simulator has no TLS certificates.
fn checked_url(value: &Value) -> Result<String, Refusal> {
    let text = value.as_str().unwrap_or_default();
    let good = url::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    if good && text.len() <= 2048 {
        return Ok(text.to_owned());
    }
    Err(Refusal::invalid(&[("/url".to_owned(), "Not a valid webhook URL.")]))
}

fn checked_types(value: &Value) -> Result<Vec<String>, Refusal> {
    let names = value.as_array().into_iter().flatten().map(|kind| kind["name"].as_str().unwrap_or_default());
    let names: Vec<String> = names.map(str::to_owned).collect();
    let known = |name: &String| name == "*" || TYPES.contains(&name.as_str());
    if names.is_empty() || !names.iter().all(known) {
        return Err(Refusal::invalid(&[("/event_types".to_owned(), "Not a valid event type.")]));
    }
    Ok(names)
}

fn unknown_webhook() -> Refusal {
    Refusal::new(404, "INVALID_RESOURCE_ID", "Resource ID is invalid or does not exist.")
}
