//! PayPal Payouts 1.9 and its webhooks: tokens, batches, items, events.
//!
//! Not here: orders, captures, and the dashboard in which people cancel batches by hand.

mod batch;
mod event;
mod report;
pub(crate) mod settle;
pub(crate) mod signing;

use std::collections::{BTreeMap, HashMap};

use base64::Engine;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::books::MoneyRequest;
use crate::door::{Answer, Incoming, Trouble, Twist};
use crate::faults::echo_other_status;
use crate::table::Table;
use crate::world::World;
use crate::{Options, SECOND, Vendor};

/// How long a token is valid.
const TOKEN_SECONDS: i64 = 32_400;
/// The limit of POST requests per minute for Payouts.
const POSTS_A_MINUTE: u32 = 400;

pub(crate) struct PayPal {
    pub(crate) batches: Table<batch::Batch>,
    pub(crate) items: Table<settle::Item>,
    pub(crate) purses: BTreeMap<String, Balance>,
    /// All balance movements, oldest first.
    movements: Vec<report::Movement>,
    /// `sender_batch_id` → the batch and when it arrived.
    sender_batch_ids: HashMap<String, (String, i64)>,
    /// `PayPal-Request-Id` of batches without a `sender_batch_id` → the answer.
    request_ids: HashMap<String, Answer>,
    /// Receivers whose scenes have ended.
    mended: std::collections::HashSet<String>,
    /// Token → when it expires.
    tokens: HashMap<String, i64>,
    events: Table<event::Event>,
    webhooks: Vec<event::Webhook>,
    posts: (i64, u32),
    opening_minor: i64,
    /// Hide the fees of items.
    pub(crate) fees_hidden: bool,
    /// List only the first half of a batch's items until it is done.
    pub(crate) items_late: bool,
    /// The largest page of a batch, whatever was requested.
    pub(crate) longest_page: usize,
}

/// Our balance in one currency.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Balance {
    pub(crate) balance: i64,
    /// The part reserved for items in progress, including fees.
    held: i64,
    pub(crate) deposited: i64,
    pub(crate) fees: i64,
}

/// A call with a valid token.
struct Call<'a> {
    now: i64,
    base: String,
    query: BTreeMap<String, String>,
    body: &'a [u8],
    request_id: Option<&'a str>,
}

/// An error object: `name` is the code.
#[derive(Debug)]
struct Refusal {
    status: u16,
    name: &'static str,
    message: String,
    details: Vec<Value>,
}

type Outcome = Result<(u16, Value), Refusal>;

impl PayPal {
    pub(crate) fn forget_keys(&mut self) {
        self.sender_batch_ids.clear();
        self.request_ids.clear();
    }

    pub(crate) fn new(options: &Options) -> Self {
        PayPal {
            batches: Table::default(),
            items: Table::default(),
            purses: BTreeMap::new(),
            movements: Vec::new(),
            sender_batch_ids: HashMap::new(),
            request_ids: HashMap::new(),
            mended: std::collections::HashSet::new(),
            tokens: HashMap::new(),
            events: Table::default(),
            webhooks: Vec::new(),
            posts: (0, 0),
            opening_minor: options.opening_minor,
            fees_hidden: false,
            items_late: false,
            longest_page: usize::MAX,
        }
    }

    /// Deposits or withdraws money until the balance is `minor`.
    pub(crate) fn set_balance(&mut self, currency: &str, minor: i64, now: i64) {
        let purse = self.purses.entry(currency.to_owned()).or_default();
        let change = minor - purse.balance;
        purse.deposited += change;
        purse.balance = minor;
        report::Movement::outside(&mut self.movements, currency, change, now);
    }

    pub(crate) fn forget_tokens(&mut self) {
        self.tokens.clear();
    }

    /// A currency seen for the first time holds the opening balance.
    fn purse(&mut self, currency: &str, now: i64) -> &mut Balance {
        if !self.purses.contains_key(currency) {
            self.set_balance(currency, self.opening_minor, now);
        }
        self.purses.entry(currency.to_owned()).or_default()
    }
}

/// Answers a request, modified by a fault if one applies.
pub(crate) fn answer(world: &mut World, incoming: &Incoming, twist: Twist) -> Answer {
    let debug_id = world.ids.hex();
    let mut answer = admitted(world, incoming, twist, &debug_id);
    if twist == Twist::Executed500 {
        answer = Answer { executed: answer.executed, ..server_error(&debug_id) };
    }
    if twist == Twist::OtherAmount {
        echo_other_amount(&mut answer);
    }
    if twist == Twist::OtherStatus {
        echo_other_status(&mut answer);
    }
    if twist == Twist::Repeated {
        let executed = answer.executed;
        answer = Answer { executed, ..admitted(world, incoming, Twist::Plain, &debug_id) };
        name_no_batch(&mut answer);
    }
    answer.headers.push(("paypal-debug-id", debug_id));
    answer
}

/// The record of a payment request in the books.
pub(crate) fn money_request(incoming: &Incoming, executed: bool) -> MoneyRequest {
    let body: Value = serde_json::from_slice(&incoming.body).unwrap_or_default();
    let sender_batch_id = body["sender_batch_header"]["sender_batch_id"].as_str().map(str::to_owned);
    MoneyRequest {
        vendor: Vendor::PayPal,
        path: incoming.path.clone(),
        account: None,
        key: sender_batch_id.or_else(|| incoming.header("paypal-request-id").map(str::to_owned)),
        body_hash: crate::stripe::hex(&Sha256::digest(&incoming.body)),
        executed,
        at: incoming.now,
    }
}

fn admitted(world: &mut World, incoming: &Incoming, twist: Twist, debug_id: &str) -> Answer {
    if let Some(id) = incoming.path.strip_prefix("/v1/notifications/certs/") {
        return signing::certificate(id);
    }
    match twist {
        Twist::Instead(trouble) => return troubled(trouble, debug_id),
        Twist::Stored500 => return server_error(debug_id),
        Twist::Plain | Twist::Executed500 | Twist::OtherAmount | Twist::OtherStatus | Twist::Repeated => {}
    }
    if incoming.path == "/v1/oauth2/token" {
        return token(world, incoming);
    }
    if !authorized(world, incoming) {
        return invalid_token();
    }
    if over_limit(world, incoming) {
        return troubled(Trouble::Limited { retry_after_s: 60 }, debug_id);
    }
    let query = url::form_urlencoded::parse(incoming.query.as_bytes());
    let call = Call {
        now: incoming.now,
        base: incoming.base(),
        query: query.map(|(name, value)| (name.into_owned(), value.into_owned())).collect(),
        body: &incoming.body,
        request_id: incoming.header("paypal-request-id"),
    };
    match route(world, &call, &incoming.method, &incoming.path) {
        Ok((204, _)) => Answer { status: 204, headers: Vec::new(), body: Vec::new(), executed: true },
        Ok((status, body)) => Answer { executed: incoming.method == "POST", ..Answer::json(status, &body) },
        Err(refusal) => refusal.answer(debug_id),
    }
}

fn route(world: &mut World, call: &Call<'_>, method: &str, path: &str) -> Outcome {
    let parts: Vec<&str> = path.trim_start_matches("/v1/").split('/').collect();
    match (method, parts.as_slice()) {
        ("POST", ["payments", "payouts"]) => batch::create(world, call),
        ("GET", ["payments", "payouts", id]) => batch::read(world, call, id),
        ("GET", ["payments", "payouts-item", id]) => batch::read_item(world, call, id),
        ("POST", ["payments", "payouts-item", id, "cancel"]) => settle::cancel(world, call, id),
        ("GET", ["reporting", "transactions"]) => report::transactions(world, call),
        ("GET", ["reporting", "balances"]) => report::balances(world, call),
        ("POST", ["notifications", "webhooks"]) => event::register(world, call),
        ("GET", ["notifications", "webhooks"]) => event::list_webhooks(world, call),
        ("GET", ["notifications", "webhooks", id]) => event::read_webhook(world, call, id),
        ("PATCH", ["notifications", "webhooks", id]) => event::patch_webhook(world, call, id),
        ("DELETE", ["notifications", "webhooks", id]) => event::delete_webhook(world, id),
        ("GET", ["notifications", "webhooks", id, "event-types"]) => event::types_of(world, id),
        ("GET", ["notifications", "webhooks-event-types"]) => event::all_types(),
        ("POST", ["notifications", "verify-webhook-signature"]) => event::verify(call),
        ("GET", ["notifications", "webhooks-events"]) => event::list(world, call),
        ("GET", ["notifications", "webhooks-events", id]) => event::read(world, id),
        ("POST", ["notifications", "webhooks-events", id, "resend"]) => event::resend(world, call, id),
        _ => Err(Refusal::missing()),
    }
}

fn token(world: &mut World, incoming: &Incoming) -> Answer {
    if !is_client(world, incoming) {
        let body = json!({"error": "invalid_client", "error_description": "Client Authentication failed"});
        return Answer::json(401, &body);
    }
    let form = url::form_urlencoded::parse(&incoming.body);
    let grant = form.filter(|(name, _)| name == "grant_type").map(|(_, value)| value).next();
    if incoming.method != "POST" || grant.as_deref() != Some("client_credentials") {
        let description = "Grant Type is NULL or not supported";
        return Answer::json(
            400,
            &json!({"error": "unsupported_grant_type", "error_description": description}),
        );
    }
    let token = format!("A21AA{}", world.ids.capitals(92));
    let ends_at = incoming.now + TOKEN_SECONDS * SECOND;
    world.paypal.tokens.retain(|_, ends_at| *ends_at > incoming.now);
    world.paypal.tokens.insert(token.clone(), ends_at);
    let scopes = ["payments/payouts", "services/applications/webhooks", "services/reporting/search/read"];
    let body = json!({
        "scope": scopes.map(|scope| format!("https://uri.paypal.com/{scope}")).join(" "),
        "access_token": token,
        "token_type": "Bearer",
        "app_id": world.options.paypal_app_id,
        "expires_in": TOKEN_SECONDS,
        "nonce": format!("{}{}", incoming.now, world.ids.capitals(16)),
    });
    Answer::json(200, &body)
}

/// Whether a request carries this account's credentials: its application's, or a token issued to it.
pub(crate) fn is_asked(world: &World, incoming: &Incoming) -> bool {
    is_client(world, incoming) || authorized(world, incoming)
}

fn is_client(world: &World, incoming: &Incoming) -> bool {
    let options = &world.options;
    let expected = format!("{}:{}", options.paypal_client_id, options.paypal_client_secret);
    let header = incoming.header("authorization").unwrap_or_default();
    let basic = header.strip_prefix("Basic ").unwrap_or_default();
    let given = base64::engine::general_purpose::STANDARD.decode(basic).unwrap_or_default();
    given == expected.as_bytes()
}

fn authorized(world: &World, incoming: &Incoming) -> bool {
    let header = incoming.header("authorization").unwrap_or_default();
    let token = header.strip_prefix("Bearer ").unwrap_or_default();
    world.paypal.tokens.get(token).is_some_and(|ends_at| *ends_at > incoming.now)
}

fn over_limit(world: &mut World, incoming: &Incoming) -> bool {
    if !world.options.enforce_rate_limits || incoming.method != "POST" {
        return false;
    }
    let minute = incoming.now / (60 * SECOND);
    if world.paypal.posts.0 != minute {
        world.paypal.posts = (minute, 0);
    }
    world.paypal.posts.1 += 1;
    world.paypal.posts.1 > POSTS_A_MINUTE
}

fn troubled(trouble: Trouble, debug_id: &str) -> Answer {
    let limited = |retry_after_s: Option<u64>| {
        let message = "Too many requests. Blocked due to rate limiting.";
        let mut answer = Refusal::new(429, "RATE_LIMIT_REACHED", message).answer(debug_id);
        answer.headers.extend(retry_after_s.map(|seconds| ("retry-after", seconds.to_string())));
        answer
    };
    match trouble {
        Trouble::Unavailable => {
            Refusal::new(503, "SERVICE_UNAVAILABLE", "Service Unavailable.").answer(debug_id)
        }
        Trouble::Limited { retry_after_s } => limited(Some(retry_after_s)),
        Trouble::Locked => limited(None),
        Trouble::InUse => {
            let message = "A previous request with this PayPal-Request-Id is still in progress.";
            Refusal::new(409, "REQUEST_IN_PROGRESS", message).answer(debug_id)
        }
        Trouble::Unauthorized => invalid_token(),
    }
}

fn invalid_token() -> Answer {
    let description = "Token signature verification failed";
    Answer::json(401, &json!({"error": "invalid_token", "error_description": description}))
}

fn server_error(debug_id: &str) -> Answer {
    Refusal::new(500, "INTERNAL_SERVER_ERROR", "An internal server error has occurred.").answer(debug_id)
}

/// Adds one hundred units to the first amount in the answer. A batch acceptance shows none, so it gets a different
/// `sender_batch_id`.
fn echo_other_amount(answer: &mut Answer) {
    let Ok(mut body) = serde_json::from_slice::<Value>(&answer.body) else { return };
    let places =
        ["/payout_item/amount/value", "/items/0/payout_item/amount/value", "/batch_header/amount/value"];
    let amount = places.into_iter().find(|place| body.pointer(place).is_some());
    let place = amount.unwrap_or("/batch_header/sender_batch_header/sender_batch_id");
    let Some(value) = body.pointer_mut(place) else { return };
    *value = Value::from(format!("1{}", value.as_str().unwrap_or_default()));
    answer.body = body.to_string().into_bytes();
}

/// Removes the links from an error's details.
fn name_no_batch(answer: &mut Answer) {
    let Ok(mut body) = serde_json::from_slice::<Value>(&answer.body) else { return };
    let details = body.get_mut("details").and_then(Value::as_array_mut);
    for detail in details.into_iter().flatten().filter_map(Value::as_object_mut) {
        detail.remove("link");
    }
    answer.body = body.to_string().into_bytes();
}

impl Refusal {
    fn new(status: u16, name: &'static str, message: &str) -> Refusal {
        Refusal { status, name, message: message.to_owned(), details: Vec::new() }
    }

    fn missing() -> Refusal {
        Refusal::new(404, "RESOURCE_NOT_FOUND", "The specified resource does not exist.")
    }

    /// `faults` are (field, issue).
    fn invalid(faults: &[(String, &str)]) -> Refusal {
        let detail =
            |(field, issue): &(String, &str)| json!({"field": field, "location": "body", "issue": issue});
        let details = faults.iter().map(detail).collect();
        Refusal { details, ..Refusal::new(400, "VALIDATION_ERROR", "Invalid request - see details.") }
    }

    fn answer(&self, debug_id: &str) -> Answer {
        let mut body = json!({
            "name": self.name,
            "message": self.message,
            "debug_id": debug_id,
            "information_link":
                format!("https://developer.paypal.com/docs/api/payments.payouts-batch/#error-{}", self.name),
        });
        if !self.details.is_empty() {
            body["details"] = Value::from(self.details.as_slice());
        }
        Answer::json(self.status, &body)
    }
}

impl Call<'_> {
    fn json(&self) -> Result<Value, Refusal> {
        let malformed = |_| {
            let message = "Request is not well-formed, syntactically incorrect, or violates schema.";
            Refusal::new(400, "MALFORMED_REQUEST", message)
        };
        serde_json::from_slice(self.body).map_err(malformed)
    }

    /// An integer query parameter, within bounds.
    fn number(&self, name: &'static str, default: usize, most: usize) -> Result<usize, Refusal> {
        let Some(text) = self.query.get(name) else { return Ok(default) };
        let number = text.parse().ok().filter(|number| (1..=most).contains(number));
        number.ok_or_else(|| Refusal::invalid(&[(name.to_owned(), "Value is out of range.")]))
    }

    fn link(&self, path: &str, rel: &str, method: &str) -> Value {
        json!({"href": format!("{}{path}", self.base), "rel": rel, "method": method})
    }
}

/// A time as PayPal writes it, to the second.
fn moment(at: i64) -> String {
    jiff::Timestamp::from_microsecond(at)
        .map(|moment| moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
        .unwrap_or_default()
}
