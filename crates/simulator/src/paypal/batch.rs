//! Batches: request validation, rejection of a repeated `sender_batch_id`, and reading.
//!
//! Not here: processing items (`settle`).

use serde_json::{Map, Value, json};

use super::settle::{Item, Status};
use super::{Call, Outcome, Refusal, moment};
use crate::DAY;
use crate::books::BatchLine;
use crate::door::Answer;
use crate::scene::Scene;
use crate::table::Dated;
use crate::world::{Due, World};

/// A batch; its id has 13 capitals and digits.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) id: String,
    pub(crate) currency: String,
    pub(crate) status: &'static str,
    sender_batch_id: Option<String>,
    /// The sender's header, as returned in answers.
    header: Value,
    pub(crate) amount: i64,
    pub(crate) fees: i64,
    /// The positions of its items, which are consecutive.
    pub(crate) items: std::ops::Range<usize>,
    /// How many of them are still pending.
    pub(crate) open: usize,
    pub(crate) created_at: i64,
    pub(crate) completed_at: Option<i64>,
    /// The base URL for links in events.
    pub(crate) base: String,
}

impl Dated for Batch {
    fn made_at(&self) -> i64 {
        self.created_at
    }
}

/// An item that passed all checks.
struct Checked {
    amount: i64,
    receiver: String,
    sender_item_id: Option<String>,
    echo: Map<String, Value>,
}

/// BRL, CNY and MYR work only within their countries, which is not simulated.
const CURRENCIES: [&str; 24] = [
    "AUD", "BRL", "CAD", "CNY", "CZK", "DKK", "EUR", "GBP", "HKD", "HUF", "ILS", "JPY", "MXN", "MYR", "NOK",
    "NZD", "PHP", "PLN", "SEK", "SGD", "CHF", "THB", "TWD", "USD",
];
const MOST_ITEMS: usize = 15_000;
/// PayPal accepts a completed `sender_batch_id` once per this period.
const REMEMBERED: i64 = 30 * DAY;

pub(crate) fn create(world: &mut World, call: &Call<'_>) -> Outcome {
    let body = call.json()?;
    let header = &body["sender_batch_header"];
    let sender_batch_id = header["sender_batch_id"].as_str().map(str::to_owned);
    let (currency, items) = check(world, &body)?;
    refuse_repeated(world, call, sender_batch_id.as_deref())?;
    if let (None, Some(request_id)) = (&sender_batch_id, call.request_id)
        && let Some(kept) = world.paypal.request_ids.get(request_id)
    {
        return Ok((kept.status, serde_json::from_slice(&kept.body).unwrap_or_default()));
    }
    let amount: i64 = items.iter().map(|item| item.amount).sum();
    let fees: i64 = items.iter().map(|item| fee_of(item.amount)).sum();
    let purse = world.paypal.purse(&currency, call.now);
    if world.options.refuse_uncovered_batches && purse.balance - purse.held < amount + fees {
        let message = "The account does not have sufficient funds to do this payout.";
        return Err(Refusal::new(422, "INSUFFICIENT_FUNDS", message));
    }
    let id = world.ids.capitals(13);
    let first = world.paypal.items.rows().len();
    let batch = Batch {
        id: id.clone(),
        currency,
        status: "PENDING",
        sender_batch_id: sender_batch_id.clone(),
        header: echoed(header),
        amount,
        fees,
        items: first..first + items.len(),
        open: items.len(),
        created_at: call.now,
        completed_at: None,
        base: call.base.clone(),
    };
    let accepted = json!({
        "batch_header": {
            "payout_batch_id": id,
            "batch_status": "PENDING",
            "time_created": moment(call.now),
            "sender_batch_header": batch.header,
        },
        "links": [call.link(&format!("/v1/payments/payouts/{id}"), "self", "GET")],
    });
    let position = world.paypal.batches.add(&id, &[], batch);
    for item in items {
        add_item(world, position, item);
    }
    world.agenda.write(call.now, Due::BatchStarts { batch: position });
    if let Some(sender_batch_id) = sender_batch_id {
        world.paypal.sender_batch_ids.insert(sender_batch_id, (id, call.now));
    } else if let Some(request_id) = call.request_id {
        let kept = Answer::json(201, &accepted);
        world.paypal.request_ids.insert(request_id.to_owned(), kept);
    }
    Ok((201, accepted))
}

pub(crate) fn read(world: &World, call: &Call<'_>, id: &str) -> Outcome {
    let page = call.number("page", 1, 1000)?;
    let page_size = call.number("page_size", 1000, 1000)?.min(world.paypal.longest_page);
    let batch = world.paypal.batches.find(id).ok_or_else(Refusal::missing)?;
    let hidden = world.paypal.items_late && batch.completed_at.is_none();
    let listed = if hidden { batch.items.len() / 2 } else { batch.items.len() };
    let end = batch.items.start + listed;
    let first = batch.items.start.saturating_add((page - 1) * page_size).min(end);
    let last = first.saturating_add(page_size).min(end);
    let items: Vec<Value> = world.paypal.items.rows()[first..last]
        .iter()
        .map(|item| {
            let mut shown = item.show(batch, world.paypal.fees_hidden);
            let path = format!("/v1/payments/payouts-item/{}", item.id);
            shown["links"] = json!([call.link(&path, "item", "GET")]);
            shown
        })
        .collect();
    let path = format!("/v1/payments/payouts/{id}");
    let mut body = json!({
        "batch_header": batch.show(),
        "items": items,
        "links": [call.link(&path, "self", "GET")],
    });
    if call.query.get("total_required").is_some_and(|required| required == "true") {
        body["total_items"] = Value::from(listed);
        body["total_pages"] = Value::from(listed.div_ceil(page_size));
    }
    Ok((200, body))
}

pub(crate) fn read_item(world: &World, call: &Call<'_>, id: &str) -> Outcome {
    let item = world.paypal.items.find(id).ok_or_else(Refusal::missing)?;
    Ok((200, show_item(world, &call.base, item)))
}

/// A single item, as returned by reads, cancellation and events.
pub(crate) fn show_item(world: &World, base: &str, item: &Item) -> Value {
    let batch = world.paypal.batches.at(item.batch);
    let mut shown = item.show(batch, world.paypal.fees_hidden);
    if let Some(sender_batch_id) = &batch.sender_batch_id {
        shown["sender_batch_id"] = Value::from(sender_batch_id.as_str());
    }
    let link =
        |path: String, rel: &str| json!({"href": format!("{base}{path}"), "rel": rel, "method": "GET"});
    shown["links"] = json!([
        link(format!("/v1/payments/payouts-item/{}", item.id), "self"),
        link(format!("/v1/payments/payouts/{}", batch.id), "batch"),
    ]);
    shown
}

/// 2%, rounded half up.
pub(crate) fn fee_of(amount: i64) -> i64 {
    (amount * 2 + 50) / 100
}

/// Minor units as PayPal writes them: with two decimals, or none.
pub(crate) fn decimal(minor: i64, currency: &str) -> String {
    let (sign, minor) = (if minor < 0 { "-" } else { "" }, minor.unsigned_abs());
    if whole_units(currency) {
        return format!("{sign}{minor}");
    }
    format!("{sign}{}.{:02}", minor / 100, minor % 100)
}

fn whole_units(currency: &str) -> bool {
    matches!(currency, "HUF" | "JPY" | "TWD")
}

fn add_item(world: &mut World, batch: usize, checked: Checked) {
    let id = world.ids.capitals(13);
    let receiver = checked.receiver;
    let scene = Scene::of_receiver(&receiver).filter(|_| !world.paypal.mended.contains(&receiver));
    let list = format!("receiver={receiver}");
    let item = Item {
        id: id.clone(),
        batch,
        receiver,
        sender_item_id: checked.sender_item_id,
        amount: checked.amount,
        echo: Value::from(checked.echo),
        scene,
        status: Status::Pending,
        error: None,
        transaction_id: None,
        processed_at: None,
        fee_taken: 0,
        held: false,
        left: false,
    };
    // Only scripted receivers are ever looked up by name.
    let lists = if scene.is_some() { vec![list] } else { Vec::new() };
    world.paypal.items.add(&id, &lists, item);
}

fn refuse_repeated(world: &World, call: &Call<'_>, sender_batch_id: Option<&str>) -> Result<(), Refusal> {
    let known = sender_batch_id.and_then(|id| world.paypal.sender_batch_ids.get(id));
    let Some((batch, _)) = known.filter(|(_, at)| call.now - at < REMEMBERED) else { return Ok(()) };
    let link = call.link(&format!("/v1/payments/payouts/{batch}"), "self", "GET");
    let detail = json!({
        "field": "SENDER_BATCH_ID",
        "location": "body",
        "issue": "Batch with given sender_batch_id already exists",
        "link": [link],
    });
    let refusal = Refusal::new(400, "USER_BUSINESS_ERROR", "User business error.");
    Err(Refusal { details: vec![detail], ..refusal })
}

/// Lists every error in a request, not only the first.
fn check(world: &World, body: &Value) -> Result<(String, Vec<Checked>), Refusal> {
    let mut faults: Vec<(String, &'static str)> = Vec::new();
    let header = &body["sender_batch_header"];
    if !header.is_object() {
        faults.push(("/sender_batch_header".to_owned(), "Required field is missing."));
    }
    for (name, most) in [("sender_batch_id", 256), ("email_subject", 255), ("email_message", 1000)] {
        if !fits(&header[name], most) {
            faults.push((format!("/sender_batch_header/{name}"), "Value is too long or not a string."));
        }
    }
    let items = body["items"].as_array().map_or(&[][..], Vec::as_slice);
    if items.is_empty() || items.len() > MOST_ITEMS {
        faults.push(("/items".to_owned(), "Items must number from 1 to 15000."));
        return Err(Refusal::invalid(&faults));
    }
    let currency = items[0]["amount"]["currency"].as_str().unwrap_or_default().to_owned();
    let kind = header["recipient_type"].as_str();
    let mut checked = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        match check_item(world, item, &currency, kind) {
            Ok(item) => checked.push(item),
            Err((field, issue)) => faults.push((format!("/items/{index}{field}"), issue)),
        }
    }
    if faults.is_empty() { Ok((currency, checked)) } else { Err(Refusal::invalid(&faults)) }
}

fn check_item(
    world: &World,
    item: &Value,
    batch_currency: &str,
    header_kind: Option<&str>,
) -> Result<Checked, (&'static str, &'static str)> {
    let currency = item["amount"]["currency"].as_str().unwrap_or_default();
    if !CURRENCIES.contains(&currency) {
        return Err(("/amount/currency", "Currency is not supported."));
    }
    if currency != batch_currency {
        return Err(("/amount/currency", "All items of a batch must have the same currency."));
    }
    let amount = item["amount"]["value"].as_str().and_then(|value| minor_of(value, currency));
    let amount = amount.ok_or(("/amount/value", "Value is not a positive amount of this currency."))?;
    let receiver = item["receiver"].as_str().unwrap_or_default();
    if receiver.is_empty() || receiver.chars().count() > 127 {
        return Err(("/receiver", "Receiver must have from 1 to 127 characters."));
    }
    let kind = item["recipient_type"].as_str().or(header_kind).unwrap_or("EMAIL");
    let scripted = Scene::of_receiver(receiver).filter(|_| !world.paypal.mended.contains(receiver));
    if scripted == Some(Scene::Refused) || (kind == "EMAIL" && !receiver.contains('@')) {
        return Err(("/receiver", "Receiver is invalid or does not match with type."));
    }
    for (name, field, most) in [("note", "/note", 4000), ("sender_item_id", "/sender_item_id", 63)] {
        if !fits(&item[name], most) {
            return Err((field, "Value is too long or not a string."));
        }
    }
    Ok(Checked {
        amount,
        receiver: receiver.to_owned(),
        sender_item_id: item["sender_item_id"].as_str().map(str::to_owned),
        echo: echo_of(item, kind, &decimal(amount, currency), currency),
    })
}

/// The item as answers show it: as sent, with PayPal's defaults.
fn echo_of(item: &Value, kind: &str, value: &str, currency: &str) -> Map<String, Value> {
    let mut echo = Map::new();
    echo.insert("recipient_type".to_owned(), Value::from(kind));
    echo.insert("amount".to_owned(), json!({"currency": currency, "value": value}));
    echo.insert("recipient_wallet".to_owned(), Value::from("PAYPAL"));
    for name in ["note", "receiver", "sender_item_id", "recipient_wallet", "purpose"] {
        if let Some(given) = item.get(name) {
            echo.insert(name.to_owned(), given.clone());
        }
    }
    echo
}

fn echoed(header: &Value) -> Value {
    let mut echo = Map::new();
    for name in ["sender_batch_id", "recipient_type", "email_subject", "email_message"] {
        if let Some(given) = header.get(name) {
            echo.insert(name.to_owned(), given.clone());
        }
    }
    Value::from(echo)
}

fn fits(value: &Value, most: usize) -> bool {
    value.is_null() || value.as_str().is_some_and(|text| text.chars().count() <= most)
}

/// A decimal string in minor units, if it is positive with no more decimals than the currency allows.
fn minor_of(value: &str, currency: &str) -> Option<i64> {
    let (whole, cents) = value.split_once('.').unwrap_or((value, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let dotted = value.contains('.');
    let well_formed = !whole.is_empty() && whole.len() <= 10 && digits(whole) && digits(cents);
    if !well_formed || (dotted && (cents.is_empty() || cents.len() > 2 || whole_units(currency))) {
        return None;
    }
    let minor: i64 =
        if whole_units(currency) { whole.parse() } else { format!("{whole}{cents:0<2}").parse() }.ok()?;
    (minor > 0).then_some(minor)
}

impl Batch {
    pub(crate) fn show(&self) -> Value {
        let money = |minor| json!({"currency": self.currency, "value": decimal(minor, &self.currency)});
        let mut header = json!({
            "payout_batch_id": self.id,
            "batch_status": self.status,
            "time_created": moment(self.created_at),
            "sender_batch_header": self.header,
            "funding_source": "BALANCE",
            "amount": money(self.amount),
            "fees": money(self.fees),
        });
        if let Some(completed_at) = self.completed_at {
            header["time_completed"] = Value::from(moment(completed_at));
        }
        header
    }

    pub(crate) fn line(&self, items: &[Item]) -> BatchLine {
        BatchLine {
            id: self.id.clone(),
            sender_batch_id: self.sender_batch_id.clone(),
            status: self.status.to_owned(),
            currency: self.currency.clone(),
            amount: self.amount,
            items: items[self.items.clone()].iter().map(|item| item.id.clone()).collect(),
            created_at: self.created_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_the_digits_of_their_currency() {
        let cases = [
            ("9.87", "USD", Some(987)),
            ("9.8", "USD", Some(980)),
            ("9", "USD", Some(900)),
            ("500", "JPY", Some(500)),
            ("500.00", "JPY", None),
            ("1.234", "USD", None),
            ("1.", "USD", None),
            (".5", "USD", None),
            ("-1", "USD", None),
            ("0.00", "USD", None),
            ("1,000", "USD", None),
        ];
        for (value, currency, minor) in cases {
            assert_eq!(minor_of(value, currency), minor, "{value} {currency}");
        }
        assert_eq!(decimal(987, "USD"), "9.87");
        assert_eq!(decimal(500, "TWD"), "500");
        assert_eq!(decimal(-120, "USD"), "-1.20");
        assert_eq!(decimal(-5, "USD"), "-0.05");
    }

    #[test]
    fn the_fee_is_rounded_half_up() {
        assert_eq!([fee_of(100), fee_of(125), fee_of(24), fee_of(25)], [2, 3, 0, 1]);
    }
}
