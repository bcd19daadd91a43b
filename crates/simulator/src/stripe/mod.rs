//! Stripe Connect, API version 2026-05-27.dahlia: transfers, payouts, accounts, balances, events.
//!
//! Every call is checked in Stripe's order: credentials, rate limit, idempotency key, parameters, execution.
//!
//! Not here: calls that a payer of partners does not make. Unknown paths get Stripe's own 404.

pub(crate) mod account;
pub(crate) mod balance;
pub(crate) mod event;
mod form;
pub(crate) mod onboarding;
pub(crate) mod payout;
mod refusal;
pub(crate) mod transfer;

use std::collections::{BTreeMap, HashMap, VecDeque};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::books::MoneyRequest;
use crate::door::{Answer, Incoming, Trouble, Twist};
use crate::faults::echo_other_status;
use crate::table::{Dated, Table};
use crate::world::World;
use crate::{DAY, Options, SECOND, Vendor};
use account::Account;
use form::Form;
use refusal::Refusal;

/// The platform's own account.
pub(crate) const PLATFORM: &str = "acct_platform";
/// The API version of every object.
const API_VERSION: &str = "2026-05-27.dahlia";

pub(crate) struct Stripe {
    pub(crate) accounts: BTreeMap<String, Account>,
    pub(crate) transfers: Table<transfer::Transfer>,
    pub(crate) reversals: Table<transfer::Reversal>,
    pub(crate) payouts: Table<payout::Payout>,
    /// The total deposits, by currency.
    pub(crate) deposits: BTreeMap<String, i64>,
    movements: Table<balance::Movement>,
    events: Table<event::Event>,
    endpoints: Vec<event::Endpoint>,
    links: Vec<onboarding::Link>,
    pub(crate) pages_at: Option<String>,
    kept: Kept,
    limits: HashMap<&'static str, (i64, u32)>,
    opening_minor: i64,
    live: bool,
    /// The largest page of a list, whatever was requested.
    pub(crate) longest_page: usize,
    /// The minimum age of an object in lists.
    pub(crate) lists_behind_us: i64,
}

/// A call with valid credentials.
pub(crate) struct Call<'a> {
    pub(crate) now: i64,
    /// `Stripe-Account`.
    pub(crate) account: Option<&'a str>,
    pub(crate) key: Option<&'a str>,
    pub(crate) request_id: &'a str,
    pub(crate) form: Form,
    /// The base URL the caller used.
    pub(crate) base: String,
}

/// The idempotency table: the first answer for each key of each account, kept for a day.
#[derive(Default)]
struct Kept {
    answers: HashMap<(String, String), KeptAnswer>,
    by_age: VecDeque<(i64, (String, String))>,
}

struct KeptAnswer {
    fingerprint: String,
    request_id: String,
    answer: Answer,
    at: i64,
}

type Outcome = Result<Value, Refusal>;

impl Stripe {
    pub(crate) fn forget_keys(&mut self) {
        self.kept = Kept::default();
    }

    pub(crate) fn new(options: &Options) -> Self {
        let mut stripe = Stripe {
            accounts: BTreeMap::new(),
            transfers: Table::default(),
            reversals: Table::default(),
            payouts: Table::default(),
            deposits: BTreeMap::new(),
            movements: Table::default(),
            events: Table::default(),
            endpoints: Vec::new(),
            links: Vec::new(),
            pages_at: None,
            kept: Kept::default(),
            limits: HashMap::new(),
            opening_minor: options.opening_minor,
            live: options.stripe_key.contains("_live_"),
            longest_page: usize::MAX,
            lists_behind_us: 0,
        };
        stripe.accounts.insert(PLATFORM.to_owned(), Account::new(PLATFORM, (options.clock)()));
        for currency in ["usd", "eur", "gbp"] {
            stripe.set_balance(currency, options.opening_minor, (options.clock)());
        }
        stripe
    }

    /// Deposits or withdraws money until the platform has `minor` available.
    pub(crate) fn set_balance(&mut self, currency: &str, minor: i64, now: i64) {
        if let Some(platform) = self.accounts.get_mut(PLATFORM) {
            let purse = platform.purses.entry(currency.to_owned()).or_default();
            let change = minor - purse.available;
            *self.deposits.entry(currency.to_owned()).or_default() += change;
            purse.available = minor;
            balance::Movement::outside(self, currency, change, now);
        }
    }

    /// Removes a connected account's available money, as if its owner had spent it. A negative balance stays.
    pub(crate) fn drain(&mut self, account: &str, currency: &str, now: i64) {
        if self.available(account, currency) <= 0 {
            return;
        }
        self.spend_movements(account, currency, now);
        let purse = self.accounts.get_mut(account).and_then(|account| account.purses.get_mut(currency));
        if let Some(purse) = purse {
            *self.deposits.entry(currency.to_owned()).or_default() -= purse.available;
            purse.available = 0;
        }
    }

    /// The account of a call, created on first sight; `None` if it is not an account id.
    fn account(&mut self, id: &str, now: i64) -> Option<&mut Account> {
        if !id.starts_with("acct_") || id.len() > 255 {
            return None;
        }
        if !self.accounts.contains_key(id) {
            self.accounts.insert(id.to_owned(), Account::new(id, now));
        }
        self.accounts.get_mut(id).filter(|account| !account.deleted)
    }

    /// The platform's available balance; a currency seen for the first time holds the opening balance.
    fn platform_available(&mut self, currency: &str, now: i64) -> i64 {
        let known = |platform: &Account| platform.purses.contains_key(currency);
        if !self.accounts.get(PLATFORM).is_some_and(known) {
            self.set_balance(currency, self.opening_minor, now);
        }
        self.available(PLATFORM, currency)
    }

    fn available(&self, account: &str, currency: &str) -> i64 {
        let purse = self.accounts.get(account).and_then(|account| account.purses.get(currency));
        purse.map_or(0, |purse| purse.available)
    }
}

/// Answers a request, modified by a fault if one applies.
pub(crate) fn answer(world: &mut World, incoming: &Incoming, twist: Twist) -> Answer {
    let request_id = world.ids.stripe("req");
    let mut answer = admitted(world, incoming, twist, &request_id);
    if twist == Twist::OtherAmount {
        echo_other_amount(&mut answer);
    }
    if twist == Twist::OtherStatus {
        echo_other_status(&mut answer);
    }
    answer.headers.push(("request-id", request_id));
    let version = incoming.header("stripe-version").unwrap_or(API_VERSION);
    answer.headers.push(("stripe-version", version.to_owned()));
    answer
}

/// The record of a payment request in the books.
pub(crate) fn money_request(incoming: &Incoming, executed: bool) -> MoneyRequest {
    MoneyRequest {
        vendor: Vendor::Stripe,
        path: incoming.path.clone(),
        account: incoming.header("stripe-account").map(str::to_owned),
        key: incoming.header("idempotency-key").map(str::to_owned),
        body_hash: hex(&Sha256::digest(&incoming.body)),
        executed,
        at: incoming.now,
    }
}

fn admitted(world: &mut World, incoming: &Incoming, twist: Twist, request_id: &str) -> Answer {
    let trouble = match twist {
        Twist::Instead(trouble) => Some(trouble),
        Twist::Plain
        | Twist::Stored500
        | Twist::Executed500
        | Twist::OtherAmount
        | Twist::OtherStatus
        | Twist::Repeated => {
            (!authorized(incoming, &world.options.stripe_key)).then_some(Trouble::Unauthorized)
        }
    };
    if let Some(trouble) = trouble {
        return troubled(trouble, incoming);
    }
    let account = incoming.header("stripe-account");
    if account.is_some_and(|id| world.stripe.accounts.get(id).is_some_and(|account| account.deleted)) {
        return Refusal::forbidden(
            "account_invalid",
            "The provided key does not have access to this account, or its access was revoked.",
        )
        .answer();
    }
    if let Some(reason) = over_limit(world, incoming) {
        return limited(reason, 1);
    }
    let key = incoming.header("idempotency-key").filter(|_| incoming.method == "POST");
    if key.is_some_and(|key| key.is_empty() || key.len() > 255) {
        let message = "Idempotency keys have from 1 to 255 characters.";
        return Refusal::new(400, None, message).of_kind("idempotency_error").answer();
    }
    let form = Form::read(&incoming.query, if incoming.method == "GET" { b"" } else { &incoming.body });
    let slot = key.map(|key| (account.unwrap_or_default().to_owned(), key.to_owned()));
    let fingerprint = format!("{}\u{3}{}", incoming.path, form.fingerprint());
    if let Some(replayed) =
        slot.as_ref().and_then(|slot| world.stripe.kept.replay(slot, &fingerprint, incoming.now))
    {
        return replayed;
    }
    let call = Call { now: incoming.now, account, key, request_id, form, base: incoming.base() };
    let (mut answer, keep) = if twist == Twist::Stored500 {
        (server_error(), true)
    } else {
        match route(world, &call, &incoming.method, &incoming.path) {
            Ok(body) => (Answer { executed: incoming.method == "POST", ..Answer::json(200, &body) }, true),
            Err(refusal) => (refusal.answer(), refusal.begun),
        }
    };
    if twist == Twist::Executed500 {
        answer = Answer { executed: answer.executed, ..server_error() };
    }
    if let Some(slot) = slot.filter(|_| keep) {
        world.stripe.kept.keep(slot, fingerprint, request_id, &answer, incoming.now);
    }
    answer
}

fn route(world: &mut World, call: &Call<'_>, method: &str, path: &str) -> Outcome {
    let parts: Vec<&str> = path.trim_start_matches("/v1").trim_start_matches('/').split('/').collect();
    match (method, parts.as_slice()) {
        ("POST", ["transfers"]) => transfer::create(world, call),
        ("GET", ["transfers"]) => transfer::list(world, call),
        ("GET", ["transfers", id]) => transfer::read(world, id),
        ("POST", ["transfers", id]) => transfer::update(world, call, id),
        ("POST", ["transfers", id, "reversals"]) => transfer::reverse(world, call, id),
        ("GET", ["transfers", id, "reversals"]) => transfer::list_reversals(world, call, id),
        ("GET", ["transfers", _, "reversals", id]) => transfer::read_reversal(world, id),
        ("POST", ["payouts"]) => payout::create(world, call),
        ("GET", ["payouts"]) => payout::list(world, call),
        ("GET", ["payouts", id]) => payout::read(world, call, id),
        ("POST", ["payouts", id]) => payout::update(world, call, id),
        ("POST", ["payouts", id, "cancel"]) => payout::cancel(world, call, id),
        ("POST", ["payouts", id, "reverse"]) => payout::reverse(world, call, id),
        ("GET", ["account"]) => account::read_own(world, call),
        ("POST", ["accounts"]) => account::create(world, call),
        ("GET", ["accounts"]) => account::list(world, call),
        ("GET", ["accounts", id]) => account::read(world, call, id),
        ("POST", ["accounts", id]) => account::update(world, call, id),
        ("DELETE", ["accounts", id]) => account::delete(world, call, id),
        ("GET", ["accounts", id, "capabilities"]) => account::capabilities(world, call, id),
        ("GET", ["accounts", id, "capabilities", "transfers"]) => account::capability(world, call, id),
        ("GET", ["accounts", id, "external_accounts"]) => account::external_accounts(world, call, id),
        ("POST", ["account_links"]) => onboarding::link(world, call),
        ("GET", ["balance"]) => balance::read(world, call),
        ("GET", ["balance_settings"]) => balance::settings(world, call),
        ("POST", ["balance_settings"]) => balance::change_settings(world, call),
        ("GET", ["balance_transactions"]) => balance::list(world, call),
        ("GET", ["balance_transactions", id]) => balance::movement(world, call, id),
        ("GET", ["events"]) => event::list(world, call),
        ("GET", ["events", id]) => event::read(world, id),
        ("POST", ["webhook_endpoints"]) => event::create_endpoint(world, call),
        ("GET", ["webhook_endpoints"]) => event::list_endpoints(world, call),
        ("GET", ["webhook_endpoints", id]) => event::read_endpoint(world, id),
        ("POST", ["webhook_endpoints", id]) => event::update_endpoint(world, call, id),
        ("DELETE", ["webhook_endpoints", id]) => event::delete_endpoint(world, id),
        _ => Err(Refusal::new(404, None, &format!("Unrecognized request URL ({method}: {path})."))),
    }
}

impl Kept {
    /// Replays the stored answer, or rejects a key that was used for something else.
    fn replay(&mut self, slot: &(String, String), fingerprint: &str, now: i64) -> Option<Answer> {
        while let Some((at, old)) = self.by_age.front().filter(|(at, _)| now - at >= DAY) {
            if self.answers.get(old).is_some_and(|kept| kept.at == *at) {
                self.answers.remove(old);
            }
            self.by_age.pop_front();
        }
        let kept = self.answers.get(slot)?;
        if kept.fingerprint != fingerprint {
            let message = format!(
                "Keys for idempotent requests can only be used with the same parameters they were first used \
                 with. Try using a key other than '{}' if you meant to execute a different request.",
                slot.1
            );
            return Some(Refusal::new(400, None, &message).of_kind("idempotency_error").answer());
        }
        let mut answer = Answer { executed: false, ..kept.answer.clone() };
        answer.headers.push(("idempotent-replayed", "true".to_owned()));
        answer.headers.push(("original-request", kept.request_id.clone()));
        Some(answer)
    }

    fn keep(
        &mut self,
        slot: (String, String),
        fingerprint: String,
        request_id: &str,
        answer: &Answer,
        now: i64,
    ) {
        self.by_age.push_back((now, slot.clone()));
        let request_id = request_id.to_owned();
        self.answers.insert(slot, KeptAnswer { fingerprint, request_id, answer: answer.clone(), at: now });
    }
}

pub(crate) fn authorized(incoming: &Incoming, secret_key: &str) -> bool {
    use base64::Engine;
    let header = incoming.header("authorization").unwrap_or_default();
    if let Some(key) = header.strip_prefix("Bearer ") {
        return key == secret_key;
    }
    let basic = header.strip_prefix("Basic ").unwrap_or_default();
    let decoded = base64::engine::general_purpose::STANDARD.decode(basic).unwrap_or_default();
    decoded == format!("{secret_key}:").as_bytes()
}

fn troubled(trouble: Trouble, incoming: &Incoming) -> Answer {
    match trouble {
        Trouble::Unavailable => {
            Refusal::new(503, None, "The service is unavailable for a moment.").of_kind("api_error").answer()
        }
        Trouble::Limited { retry_after_s } => limited("global-rate", retry_after_s),
        Trouble::Locked => {
            let message = "This object cannot be accessed right now because another request holds it.";
            Refusal::new(429, Some("lock_timeout"), message).answer()
        }
        Trouble::InUse => {
            let key = incoming.header("idempotency-key").unwrap_or_default();
            let message = format!("There is currently another in-progress request using the key '{key}'.");
            Refusal::new(409, Some("idempotency_key_in_use"), &message).of_kind("idempotency_error").answer()
        }
        Trouble::Unauthorized => Refusal::new(401, None, "Invalid API Key provided.").answer(),
    }
}

fn limited(reason: &str, retry_after_s: u64) -> Answer {
    let mut answer = Refusal::new(429, Some("rate_limit"), "Request rate limit exceeded.").answer();
    answer.headers.push(("retry-after", retry_after_s.to_string()));
    answer.headers.push(("stripe-rate-limited-reason", reason.to_owned()));
    answer.headers.push(("stripe-should-retry", "true".to_owned()));
    answer
}

/// The rate limit this request exceeds, counted per whole second.
fn over_limit(world: &mut World, incoming: &Incoming) -> Option<&'static str> {
    if !world.options.enforce_rate_limits {
        return None;
    }
    let second = incoming.now / SECOND;
    let all = if world.stripe.live { 100 } else { 25 };
    let endpoint = ["/v1/transfers", "/v1/payouts", "/v1/accounts", "/v1/balance", "/v1/events"]
        .into_iter()
        .find(|start| incoming.path.starts_with(start))
        .unwrap_or("/v1");
    let creates_payout = incoming.method == "POST" && incoming.path == "/v1/payouts";
    let most = if creates_payout { 15 } else { 25 };
    let mut count = |name, most| {
        let (at, used) = world.stripe.limits.entry(name).or_insert((second, 0));
        if *at != second {
            (*at, *used) = (second, 0);
        }
        *used += 1;
        *used > most
    };
    if count("all", all) {
        return Some("global-rate");
    }
    count(endpoint, most).then_some("endpoint-rate")
}

fn server_error() -> Answer {
    let message = "An error occurred on our side.";
    Refusal::new(500, None, message).of_kind("api_error").answer()
}

fn echo_other_amount(answer: &mut Answer) {
    if let Ok(mut body) = serde_json::from_slice::<Value>(&answer.body)
        && let Some(amount) = body.get("amount").and_then(Value::as_i64)
    {
        body["amount"] = Value::from(amount + 1);
        answer.body = body.to_string().into_bytes();
    }
}

/// A list object for rows that are already sorted.
fn list_of(url: &str, data: Vec<Value>, has_more: bool) -> Value {
    json!({"object": "list", "data": data, "has_more": has_more, "url": url})
}

/// One page of a table.
fn page_of<T: Dated>(
    stripe: &Stripe,
    table: &Table<T>,
    key: Option<&str>,
    call: &Call<'_>,
    url: &str,
    keep: impl Fn(&T) -> bool,
    show: impl Fn(&T) -> Value,
) -> Outcome {
    let mut window = call.form.window()?;
    window.limit = window.limit.min(stripe.longest_page);
    if stripe.lists_behind_us > 0 {
        let shown = call.now - stripe.lists_behind_us;
        window.until = Some(window.until.map_or(shown, |until| until.min(shown)));
    }
    let (rows, more) = table.page(key, &window, keep);
    Ok(list_of(url, rows.into_iter().map(show).collect(), more))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
