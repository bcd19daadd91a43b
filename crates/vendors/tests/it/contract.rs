//! Checks every request the clients make against the vendors' official API documents, and parses the documents'
//! samples. Passing is necessary but not sufficient: the documents allow more than the vendors do.

use std::collections::BTreeSet;
use std::sync::Arc;

use payout::money::{Currency, Money, Vendor};
use serde_json::{Map, Value, json};
use url::form_urlencoded;
use vendors::http::Http;
use vendors::paypal::PayPal;
use vendors::paypal::batch::{BatchOrder, ItemOrder};
use vendors::stripe::account::NewAccount;
use vendors::stripe::payout::PayoutOrder;
use vendors::stripe::transfer::{ReversalOrder, TransferOrder};
use vendors::stripe::{ConnectedAccount, NEEDED_EVENTS_CONNECT, NEEDED_EVENTS_PLATFORM, Stripe};

use crate::server::{self, Asked, Reply};
use crate::specs;

#[tokio::test]
async fn stripe_requests_are_what_the_official_document_asks_for() {
    let (Some(spec), Some(samples)) =
        (specs::load("stripe-connect-subset.json"), specs::load("stripe-fixtures-subset.json"))
    else {
        return;
    };
    let samples = samples["resources"].clone();
    let (base, log) = server::start(move |asked| Reply::Whole(200, stripe_sample(asked, &samples))).await;
    call_every_stripe_endpoint(&Stripe::new(Http::new().unwrap(), base, "sk_test_1").unwrap()).await;
    let log = log.lock().unwrap();
    let seen: BTreeSet<String> = log.iter().map(|asked| check(asked, &spec, true)).collect();
    assert_eq!(seen.len(), 19, "{seen:#?}");
    for asked in log.iter() {
        assert_eq!(asked.header("stripe-version"), Some(vendors::stripe::VERSION));
        assert_eq!(asked.header("authorization"), Some("Bearer sk_test_1"));
        let as_account = asked.path.starts_with("/v1/payouts") || asked.path == "/v1/balance_settings";
        assert!(!as_account || asked.header("stripe-account") == Some("acct_9"), "{asked:?}");
    }
}

async fn call_every_stripe_endpoint(stripe: &Stripe) {
    use vendors::stripe::{payout, transfer};
    let account = &ConnectedAccount::parse("acct_9").unwrap();
    let (transaction, attempt) = ("ptx_1", "atm_1");
    for (text, code) in
        [("120.00", "USD"), ("500", "JPY"), ("1500.00", "HUF"), ("7", "ISK"), ("1.230", "KWD")]
    {
        let amount = Money::parse(text, Currency::parse(code).unwrap()).unwrap().at(Vendor::Stripe).unwrap();
        let description = "Rewards & more = thanks";
        let order = TransferOrder {
            key: "tr:ptx_1:1",
            transaction,
            attempt,
            destination: account,
            amount,
            description,
        };
        stripe.send_transfer(&transfer::request(&order).unwrap()).await;
        let statement_descriptor = "A LONG NAME OF A PROGRAMME";
        let order =
            PayoutOrder { key: "po:ptx_1:1", transaction, attempt, account, amount, statement_descriptor };
        stripe.send_payout(&payout::request(&order).unwrap()).await;
        let order = ReversalOrder { key: "rv:ptx_1:1", transaction, attempt, transfer: "tr_9", amount };
        stripe.send_reversal(&transfer::reversal_request(&order).unwrap()).await;
    }
    stripe.transfer("tr_9").await.unwrap();
    stripe.transfers_by_group("ptx_1").await.unwrap();
    assert_eq!(stripe.reversals("tr_9").await.unwrap().len(), 1);
    assert_eq!(stripe.payout(account, "po_9").await.unwrap().status, "in_transit");
    assert_eq!(stripe.payouts_since(account, 1_790_000_000).await.unwrap().len(), 1);
    assert_eq!(stripe.payout_created_events(account, 1_790_000_000).await.unwrap().len(), 1);
    assert_eq!(stripe.events_since(None, NEEDED_EVENTS_PLATFORM, 1_790_000_000).await.unwrap().len(), 1);
    assert!(stripe.account(account).await.unwrap().transfers_active);
    stripe.set_manual_schedule(account).await.unwrap();
    let usd = Currency::parse("USD").unwrap();
    assert_eq!(stripe.balance(None).await.unwrap().available_units(usd), Some(0));
    stripe.balance(Some(account)).await.unwrap();
    assert_eq!(stripe.balance_transactions_of_payout(account, "po_9").await.unwrap().len(), 1);
    let (country, email, business_type) = ("DE", "ana@example.com", "individual");
    let new = NewAccount { key: "ac:ptn_1", payee: "ptn_1", country, email, business_type, recipient: true };
    stripe.create_account(&new).await.unwrap();
    stripe.account_link(account, "https://us.example/again", "https://us.example/back").await.unwrap();
    assert_eq!(
        stripe.webhook_endpoints().await.unwrap()[0].missing(&["charge.failed", "payout.paid"]),
        ["payout.paid"]
    );
    let hook = "https://us.example/webhooks/stripe";
    stripe.create_webhook_endpoint(hook, false, NEEDED_EVENTS_PLATFORM).await.unwrap();
    stripe.create_webhook_endpoint(hook, true, NEEDED_EVENTS_CONNECT).await.unwrap();
    stripe.update_webhook_endpoint("we_9", hook, NEEDED_EVENTS_CONNECT).await.unwrap();
    stripe.delete_webhook_endpoint("we_9").await.unwrap();
}

/// The official sample of the object at a path, wrapped in a list if the path is a list's.
fn stripe_sample(asked: &Asked, samples: &Value) -> String {
    let path: Vec<&str> = asked.path.trim_start_matches("/v1/").split('/').collect();
    let (name, list) = match path[..] {
        ["transfers"] => ("transfer", true),
        ["transfers", _] => ("transfer", false),
        ["transfers", _, "reversals"] => ("transfer_reversal", true),
        ["payouts"] => ("payout", true),
        ["payouts", _] => ("payout", false),
        ["events"] => ("event", true),
        ["accounts"] => ("account", true),
        ["accounts", _] => ("account", false),
        ["balance"] => ("balance", false),
        ["balance_settings"] => ("balance_settings", false),
        ["balance_transactions"] => ("balance_transaction", true),
        ["account_links"] => ("account_link", false),
        ["webhook_endpoints"] => ("webhook_endpoint", true),
        ["webhook_endpoints", _] => ("webhook_endpoint", false),
        _ => panic!("{asked:?}"),
    };
    let mut sample = samples[name].clone();
    if name == "balance_settings" {
        sample["payments"]["payouts"]["schedule"]["interval"] = json!("manual");
    }
    if name == "webhook_endpoint" && asked.method == "POST" {
        // The samples show the endpoint as read later, without its secret.
        sample["secret"] = json!("whsec_1");
    }
    if list && asked.method == "GET" {
        return json!({"object": "list", "data": [sample], "has_more": false, "url": asked.path}).to_string();
    }
    sample.to_string()
}

#[tokio::test]
async fn paypal_requests_are_what_the_official_document_asks_for() {
    let (Some(payouts), Some(webhooks)) =
        (specs::load("paypal-payouts-subset.json"), specs::load("paypal-webhooks-subset.json"))
    else {
        return;
    };
    let (base, log) = server::start(|asked| {
        let body = match &*asked.path {
            // The document omits the token endpoint.
            "/v1/oauth2/token" => json!({"access_token": "t", "expires_in": 32_400}),
            "/v1/notifications/webhooks" if asked.method == "GET" => json!({"webhooks": []}),
            path if path.starts_with("/v1/notifications/") => json!({"id": "W1"}),
            path if path.contains("payouts-item") => json!({"payout_item_id": "I1", "payout_batch_id": "B1"}),
            _ => json!({"batch_header": {"payout_batch_id": "B1", "batch_status": "PENDING"}}),
        };
        Reply::Whole(200, body.to_string())
    })
    .await;
    let paypal = PayPal::new(Http::new().unwrap(), base, "id", "secret", Arc::new(|| 0)).unwrap();
    call_every_paypal_endpoint(&paypal).await;
    let log = log.lock().unwrap();
    let mut seen = BTreeSet::new();
    for asked in log.iter() {
        if asked.path == "/v1/oauth2/token" {
            assert_eq!(asked.header("authorization"), Some("Basic aWQ6c2VjcmV0"));
            assert_eq!(asked.body, b"grant_type=client_credentials");
        } else {
            assert_eq!(asked.header("authorization"), Some("Bearer t"));
            let spec = if asked.path.contains("/notifications/") { &webhooks } else { &payouts };
            seen.insert(check(asked, spec, false));
        }
    }
    assert!(seen.len() >= 8, "{seen:#?}");
}

async fn call_every_paypal_endpoint(paypal: &PayPal) {
    use vendors::paypal::{NEEDED_EVENTS, batch};
    for (text, code) in [("9.87", "USD"), ("500", "JPY"), ("1500.00", "HUF")] {
        let currency = Currency::parse(code).unwrap();
        let amount = Money::parse(text, currency).unwrap().at(Vendor::PayPal).unwrap();
        let items = [
            ItemOrder { transaction: "ptx_1", receiver: "ana@example.com", amount, note: "Thank you." },
            ItemOrder { transaction: "ptx_2", receiver: "bo@example.com", amount, note: "" },
        ];
        let order = BatchOrder { key: "pb:bat_1:0:1", currency, items: &items, subject: &"Paid ".repeat(90) };
        let request = batch::request(&order).unwrap();
        assert!(matches!(paypal.send_batch(&request).await, vendors::Outcome::Accepted(_)));
    }
    paypal.batch("B1").await.unwrap();
    paypal.item("I1").await.unwrap();
    assert!(matches!(paypal.send_cancel(&cancel("I1")).await, vendors::Outcome::Accepted(_)));
    paypal.webhooks().await.unwrap();
    let hook = "https://us.example/webhooks/paypal";
    assert_eq!(paypal.create_webhook(hook, NEEDED_EVENTS).await, Ok("W1".into()));
    paypal.update_webhook("W1", hook, NEEDED_EVENTS).await.unwrap();
    paypal.delete_webhook("W1").await.unwrap();
}

/// Checks one request against its operation and returns which one it was.
fn check(asked: &Asked, spec: &Value, form: bool) -> String {
    let (path, operation) = operation(asked, spec);
    let what = format!("{} {path}", asked.method);
    let parameters: Vec<&Value> =
        operation["parameters"].as_array().into_iter().flatten().map(|given| deref(given, spec)).collect();
    let query: Vec<(String, String)> = form_urlencoded::parse(asked.query.as_bytes()).into_owned().collect();
    for (name, value) in nested(&query) {
        let known = parameters.iter().find(|known| known["in"] == "query" && known["name"] == *name);
        let known = known.unwrap_or_else(|| panic!("{what} has no parameter {name}"));
        valid(&coerce(&value, &known["schema"]), &known["schema"], spec, &what);
    }
    let content = &operation["requestBody"]["content"];
    if form && !asked.body.is_empty() {
        let schema = &content["application/x-www-form-urlencoded"]["schema"];
        let fields: Vec<(String, String)> = form_urlencoded::parse(&asked.body).into_owned().collect();
        valid(&coerce(&Value::Object(nested(&fields)), schema), schema, spec, &what);
    } else if !asked.body.is_empty() {
        let body: Value = serde_json::from_slice(&asked.body).unwrap();
        valid(&body, &content["application/json"]["schema"], spec, &what);
    }
    what
}

fn operation<'s>(asked: &Asked, spec: &'s Value) -> (&'s str, &'s Value) {
    let fits = |template: &str| {
        let (ours, theirs): (Vec<_>, Vec<_>) =
            (asked.path.split('/').collect(), template.split('/').collect());
        let same = |(own, their): (&&str, &&str)| own == their || their.starts_with('{');
        ours.len() == theirs.len() && ours.iter().zip(&theirs).all(same)
    };
    let paths = spec["paths"].as_object().unwrap();
    let (path, item) =
        paths.iter().find(|(path, _)| fits(path)).unwrap_or_else(|| panic!("no {}", asked.path));
    let operation = &item[asked.method.to_lowercase()];
    assert!(operation.is_object(), "no {} {path}", asked.method);
    (path, operation)
}

fn deref<'s>(value: &'s Value, spec: &'s Value) -> &'s Value {
    value["$ref"].as_str().map_or(value, |to| spec.pointer(to.trim_start_matches('#')).unwrap())
}

fn valid(value: &Value, schema: &Value, spec: &Value, what: &str) {
    assert!(schema.is_object(), "{what} takes no body");
    let mut whole = schema.clone();
    whole["components"] = spec["components"].clone();
    let validator = jsonschema::validator_for(&whole).unwrap();
    let errors: Vec<String> =
        validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{what}: {errors:#?}\n{value:#}");
}

/// `a[b]=1&a[c]=2` → `{"a": {"b": "1", "c": "2"}}`.
fn nested(fields: &[(String, String)]) -> Map<String, Value> {
    let mut root = Map::new();
    for (name, value) in fields {
        let mut steps = name.split(['[', ']']).filter(|step| !step.is_empty());
        let mut at = root.entry(steps.next().unwrap()).or_insert(Value::Null);
        for step in steps {
            if at.is_null() {
                *at = Value::Object(Map::new());
            }
            at = at.as_object_mut().unwrap().entry(step).or_insert(Value::Null);
        }
        assert!(at.is_null(), "{name} is given twice");
        *at = Value::String(value.clone());
    }
    root
}

/// A form contains only strings; the document gives each one's type.
fn coerce(value: &Value, schema: &Value) -> Value {
    if let Some(choices) = schema["anyOf"].as_array() {
        let tried = choices.iter().map(|choice| (coerce(value, choice), choice));
        let fits = |(coerced, choice): &(Value, &Value)| jsonschema::is_valid(choice, coerced);
        return tried.into_iter().find(fits).map_or_else(|| value.clone(), |(coerced, _)| coerced);
    }
    match (schema["type"].as_str(), value) {
        (Some("integer"), Value::String(text)) => text.parse::<i64>().map_or(value.clone(), Value::from),
        (Some("boolean"), Value::String(text)) => text.parse::<bool>().map_or(value.clone(), Value::from),
        (Some("array"), Value::Object(places)) => {
            let numbered = (0..places.len()).map(|at| coerce(&places[&at.to_string()], &schema["items"]));
            numbered.collect()
        }
        (_, Value::Object(fields)) => {
            let of = |name: &String| schema["properties"].get(name).unwrap_or(&Value::Null);
            fields.iter().map(|(name, value)| (name.clone(), coerce(value, of(name)))).collect()
        }
        _ => value.clone(),
    }
}

/// A cancellation request for an item.
fn cancel(item: &str) -> vendors::MoneyRequest {
    vendors::paypal::batch::cancel_request("ca:one:1", item).unwrap()
}
