//! Checks every response of every route against the vendors' own OpenAPI documents, and PayPal's also against recordings of
//! its sandbox.
//!
//! The documents are not part of the project: `BURSAR_VENDOR_SPECS` names their folder.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::play::{Answer, DAY, Play, SECOND};

/// An OpenAPI document whose schemas were converted to JSON Schema.
struct Official {
    document: Value,
    checked: BTreeSet<(String, String)>,
}

impl Official {
    /// The original document; `None`, after reporting it, if the folder is missing.
    fn open(name: &str) -> Option<Official> {
        let mut document = read(name)?;
        into_json_schema(&mut document["components"]);
        into_json_schema(&mut document["paths"]);
        Some(Official { document, checked: BTreeSet::new() })
    }

    /// Checks the response of an operation of the document.
    fn check(&mut self, method: &str, template: &str, answer: &Answer) {
        let responses = &self.document["paths"][template][method.to_lowercase()]["responses"];
        assert!(responses.is_object(), "the document has no {method} {template}");
        let status = answer.status.to_string();
        let response = responses.get(&status).unwrap_or(&responses["default"]);
        let schema = response["content"]["application/json"]["schema"].clone();
        self.checked.insert((method.to_owned(), template.to_owned()));
        if answer.status != 204 {
            self.check_against(schema, &answer.body, &format!("{method} {template} {status}"));
        }
    }

    fn check_against(&self, schema: Value, body: &Value, what: &str) {
        let problems = self.problems(schema, body);
        assert!(problems.is_empty(), "{what}: {problems:#?}\n{body:#}");
    }

    /// The schema violations, and the fields that the schema does not know.
    fn problems(&self, schema: Value, body: &Value) -> Vec<String> {
        let reference = schema["$ref"].as_str().unwrap_or("#/nowhere").trim_start_matches('#');
        let known = self.document.pointer(reference).and_then(|schema| schema["properties"].as_object());
        let unknown = body.as_object().into_iter().flatten().map(|(name, _)| name);
        let unknown = unknown.filter(|name| known.is_some_and(|known| !known.contains_key(*name)));
        let mut problems: Vec<String> = unknown.map(|name| format!("unknown field {name}")).collect();
        let whole = json!({"allOf": [schema], "components": self.document["components"]});
        let validator = jsonschema::validator_for(&whole).unwrap();
        problems
            .extend(validator.iter_errors(body).map(|error| format!("{}: {error}", error.instance_path())));
        problems
    }
}

fn read(name: &str) -> Option<Value> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vendor-specs");
    let folder = std::env::var_os("BURSAR_VENDOR_SPECS").map_or(beside, PathBuf::from);
    let Ok(text) = std::fs::read_to_string(folder.join(name)) else {
        let required = std::env::var("BURSAR_TEST_REQUIRE").unwrap_or_default();
        assert!(!required.split(',').any(|name| name == "specs"), "{name} is required and absent");
        println!("skipped: {name} is not in {}", folder.display());
        return None;
    };
    Some(serde_json::from_str(&text).unwrap())
}

/// OpenAPI 3.0 uses `nullable` where JSON Schema lists the type `null`.
fn into_json_schema(value: &mut Value) {
    if let Some(object) = value.as_object_mut() {
        if object.get("nullable") == Some(&Value::Bool(true)) {
            object.remove("nullable");
            if let Some(kind) = object.get("type").and_then(Value::as_str) {
                object.insert("type".to_owned(), json!([kind, "null"]));
            }
            for alternatives in ["anyOf", "enum"] {
                if let Some(list) = object.get_mut(alternatives).and_then(Value::as_array_mut) {
                    list.push(if alternatives == "enum" { Value::Null } else { json!({"type": "null"}) });
                }
            }
        }
        object.values_mut().for_each(into_json_schema);
    }
    if let Some(list) = value.as_array_mut() {
        list.iter_mut().for_each(into_json_schema);
    }
}

#[tokio::test]
async fn stripe_answers_as_documented() {
    let Some(mut official) = Official::open("stripe-connect-subset.pruned.json") else { return };
    let play = Play::start().await;
    let registered = endpoints(&play, &mut official).await;
    accounts(&play, &mut official).await;
    movements(&play, &mut official).await;
    balances_and_events(&play, &mut official).await;
    let deleted = play.delete(&format!("/v1/webhook_endpoints/{registered}")).await;
    official.check("DELETE", "/v1/webhook_endpoints/{webhook_endpoint}", &deleted);
    let left_out = [
        ("DELETE", "/v1/accounts/{account}/external_accounts/{id}"),
        ("GET", "/v1/accounts/{account}/external_accounts/{id}"),
        ("POST", "/v1/accounts/{account}/capabilities/{capability}"),
        ("POST", "/v1/accounts/{account}/external_accounts"),
        ("POST", "/v1/accounts/{account}/external_accounts/{id}"),
        ("POST", "/v1/accounts/{account}/login_links"),
        ("POST", "/v1/accounts/{account}/reject"),
        ("POST", "/v1/payouts/{payout}/reverse"),
        ("POST", "/v1/transfers/{transfer}/reversals/{id}"),
    ];
    assert_eq!(unchecked(&official), left_out, "what the play leaves out is written down here");
}

#[tokio::test]
async fn the_check_can_fail() {
    let Some(official) = Official::open("stripe-connect-subset.pruned.json") else { return };
    let play = Play::start().await;
    let genuine = play.transfer("acct_ana", "700", "ptx_1", "k").await.body;
    let schema = json!({"$ref": "#/components/schemas/transfer"});
    assert_eq!(official.problems(schema.clone(), &genuine), Vec::<String>::new());
    for (field, wrong) in [
        ("amount", json!("700")),
        ("livemode", Value::Null),
        ("object", json!("payout")),
        ("status", json!("paid")),
    ] {
        let mut body = genuine.clone();
        body[field] = wrong;
        assert_eq!(official.problems(schema.clone(), &body).len(), 1, "{field}");
    }
}

/// The operations of the document for which no response was checked.
fn unchecked(official: &Official) -> Vec<(&str, &str)> {
    let paths = official.document["paths"].as_object().unwrap();
    let mut left: Vec<(&str, &str)> = Vec::new();
    for (path, operations) in paths {
        for method in ["GET", "POST", "PATCH", "DELETE"] {
            let known = operations.get(method.to_lowercase()).is_some();
            if known && !official.checked.contains(&(method.to_owned(), path.clone())) {
                left.push((method, path));
            }
        }
    }
    left.sort_unstable();
    left
}

async fn endpoints(play: &Play, official: &mut Official) -> String {
    let form = [
        ("url", "http://127.0.0.1:9"),
        ("enabled_events[0]", "*"),
        ("connect", "true"),
        ("metadata[a]", "b"),
    ];
    let endpoint = play.post("/v1/webhook_endpoints", &form, &[]).await;
    official.check("POST", "/v1/webhook_endpoints", &endpoint);
    assert!(endpoint.text("/secret").starts_with("whsec_"));
    official.check("POST", "/v1/webhook_endpoints", &play.post("/v1/webhook_endpoints", &[], &[]).await);
    official.check("GET", "/v1/webhook_endpoints", &play.get("/v1/webhook_endpoints", &[]).await);
    let path = format!("/v1/webhook_endpoints/{}", endpoint.text("/id"));
    official.check("GET", "/v1/webhook_endpoints/{webhook_endpoint}", &play.get(&path, &[]).await);
    let form = [("description", "d"), ("enabled_events[0]", "*")];
    let updated = play.post(&path, &form, &[]).await;
    official.check("POST", "/v1/webhook_endpoints/{webhook_endpoint}", &updated);
    endpoint.text("/id").to_owned()
}

async fn accounts(play: &Play, official: &mut Official) {
    let form = [("country", "DE"), ("email", "a@example.com"), ("controller[fees][payer]", "application")];
    let account = play.post("/v1/accounts", &form, &[]).await;
    official.check("POST", "/v1/accounts", &account);
    let id = account.text("/id");
    for id in [id, "acct_ana", "acct_sim_restricted_1", "nonsense"] {
        let path = format!("/v1/accounts/{id}");
        official.check("GET", "/v1/accounts/{account}", &play.get(&path, &[]).await);
        let capabilities = format!("{path}/capabilities");
        official.check("GET", "/v1/accounts/{account}/capabilities", &play.get(&capabilities, &[]).await);
        let capability = play.get(&format!("{capabilities}/transfers"), &[]).await;
        official.check("GET", "/v1/accounts/{account}/capabilities/{capability}", &capability);
        let banks = play.get(&format!("{path}/external_accounts?limit=3"), &[]).await;
        official.check("GET", "/v1/accounts/{account}/external_accounts", &banks);
    }
    official.check("GET", "/v1/account", &play.get("/v1/account", &[]).await);
    official.check("GET", "/v1/accounts", &play.get("/v1/accounts?limit=2", &[]).await);
    let form = [("settings[payouts][schedule][interval]", "manual"), ("metadata[k]", "v")];
    official.check(
        "POST",
        "/v1/accounts/{account}",
        &play.post(&format!("/v1/accounts/{id}"), &form, &[]).await,
    );
    let form = [("account", id), ("type", "account_onboarding"), ("return_url", "http://127.0.0.1:9/")];
    official.check("POST", "/v1/account_links", &play.post("/v1/account_links", &form, &[]).await);
    official.check("DELETE", "/v1/accounts/{account}", &play.delete(&format!("/v1/accounts/{id}")).await);
}

async fn movements(play: &Play, official: &mut Official) {
    let transfer = play.transfer("acct_sim_paid_then_failed_1", "700", "ptx_1", "k").await;
    official.check("POST", "/v1/transfers", &transfer);
    for bad in
        [play.transfer("acct_ana", "701", "ptx_1", "k").await, play.transfer("nobody", "1", "g", "k2").await]
    {
        assert!(bad.status >= 400);
        official.check("POST", "/v1/transfers", &bad);
    }
    official.check("GET", "/v1/transfers", &play.get("/v1/transfers", &[]).await);
    let path = format!("/v1/transfers/{}", transfer.text("/id"));
    official.check("POST", "/v1/transfers/{transfer}", &play.post(&path, &[("metadata[x]", "y")], &[]).await);
    let reversals = format!("{path}/reversals");
    let reversal = play.post(&reversals, &[("amount", "100")], &[]).await;
    official.check("POST", "/v1/transfers/{id}/reversals", &reversal);
    official.check("GET", "/v1/transfers/{id}/reversals", &play.get(&reversals, &[]).await);
    let read = play.get(&format!("{reversals}/{}", reversal.text("/id")), &[]).await;
    official.check("GET", "/v1/transfers/{transfer}/reversals/{id}", &read);
    official.check("GET", "/v1/transfers/{transfer}", &play.get(&path, &[]).await);
    let payout = play.payout("acct_sim_paid_then_failed_1", "600", "ptx_1", "p").await;
    official.check("POST", "/v1/payouts", &payout);
    let as_account = [("stripe-account", "acct_sim_paid_then_failed_1")];
    let path = format!("/v1/payouts/{}", payout.text("/id"));
    official.check(
        "POST",
        "/v1/payouts/{payout}",
        &play.post(&path, &[("metadata[x]", "y")], &as_account).await,
    );
    for wait in [0, SECOND, 3 * DAY] {
        play.later(wait);
        official.check("GET", "/v1/payouts/{payout}", &play.get(&path, &as_account).await);
        official.check("GET", "/v1/payouts", &play.get("/v1/payouts", &as_account).await);
    }
    let payout = play.pay("acct_sim_unclaimed_1", "5", "ptx_2").await;
    let as_account = [("stripe-account", "acct_sim_unclaimed_1")];
    let canceled = play.post(&format!("/v1/payouts/{payout}/cancel"), &[], &as_account).await;
    official.check("POST", "/v1/payouts/{payout}/cancel", &canceled);
}

async fn balances_and_events(play: &Play, official: &mut Official) {
    let as_account = [("stripe-account", "acct_sim_paid_then_failed_1")];
    for headers in [&[][..], &as_account[..]] {
        official.check("GET", "/v1/balance", &play.get("/v1/balance", headers).await);
        official.check("GET", "/v1/balance_settings", &play.get("/v1/balance_settings", headers).await);
        let movements = play.get("/v1/balance_transactions?limit=100", headers).await;
        official.check("GET", "/v1/balance_transactions", &movements);
        let path = format!("/v1/balance_transactions/{}", movements.text("/data/0/id"));
        official.check("GET", "/v1/balance_transactions/{id}", &play.get(&path, headers).await);
        let events = play.get("/v1/events?limit=100", headers).await;
        official.check("GET", "/v1/events", &events);
        for event in events.body["data"].as_array().unwrap() {
            let path = format!("/v1/events/{}", event["id"].as_str().unwrap());
            official.check("GET", "/v1/events/{id}", &play.get(&path, headers).await);
            let object = &event["data"]["object"];
            let schema = format!("#/components/schemas/{}", object["object"].as_str().unwrap());
            official.check_against(json!({"$ref": schema}), object, event["type"].as_str().unwrap());
        }
    }
    let form = [("payments[payouts][schedule][interval]", "manual")];
    official.check(
        "POST",
        "/v1/balance_settings",
        &play.post("/v1/balance_settings", &form, &as_account).await,
    );
}

#[tokio::test]
async fn paypal_payouts_answer_as_documented() {
    let Some(mut official) = Official::open("paypal-payouts-subset.json") else { return };
    // The document requires a field that real responses omit: `debug_id` in an item's errors.
    official.document["components"]["schemas"]["error"]["required"] = json!(["name", "message"]);
    let play = Play::start().await;
    let scenes = ["ana", "sim-closed-1", "sim-unclaimed-1", "sim-held-1", "sim-slow-1", "sim-blocked-1"];
    let receivers: Vec<String> = scenes.iter().map(|name| format!("{name}@example.com")).collect();
    let items: Vec<(&str, &str, &str)> = receivers.iter().map(|to| (to.as_str(), "9.87", "i")).collect();
    let create = "/v1/payments/payouts";
    let batch = play.batch("pb", &items).await;
    official.check("POST", create, &batch);
    official.check("POST", create, &play.batch("pb", &items).await);
    official.check("POST", create, &play.batch("pb2", &[("x", "1.234", "i")]).await);
    let id = batch.text("/batch_header/payout_batch_id").to_owned();
    for wait in [0, SECOND, 4 * DAY] {
        play.later(wait);
        let read = play.paypal("GET", &format!("{create}/{id}?total_required=true"), None).await;
        official.check("GET", "/v1/payments/payouts/{id}", &read);
        for item in read.body["items"].as_array().unwrap() {
            let item = item["payout_item_id"].as_str().unwrap();
            official.check("GET", "/v1/payments/payouts-item/{payout_item_id}", &play.item(item).await);
        }
    }
    for item in play.simulator.books().items {
        let cancelled = play.paypal("POST", &format!("{create}-item/{}/cancel", item.id), None).await;
        official.check("POST", "/v1/payments/payouts-item/{payout_item_id}/cancel", &cancelled);
    }
    let unknown = play.paypal("GET", &format!("{create}/NOSUCHBATCH"), None).await;
    official.check("GET", "/v1/payments/payouts/{id}", &unknown);
    assert_eq!(unchecked(&official), []);
}

#[tokio::test]
async fn paypal_webhooks_answer_as_documented() {
    let Some(mut official) = Official::open("paypal-webhooks-subset.json") else { return };
    let play = Play::start().await;
    let all = "/v1/notifications/webhooks";
    let one = "/v1/notifications/webhooks/{webhook_id}";
    let types = json!([{"name": "PAYMENT.PAYOUTS-ITEM.SUCCEEDED"}, {"name": "PAYMENT.PAYOUTSBATCH.SUCCESS"}]);
    let body = json!({"url": "https://example.com/paypal", "event_types": types});
    let webhook = play.paypal("POST", all, Some(&body)).await;
    official.check("POST", all, &webhook);
    let repeated = play.paypal("POST", all, Some(&body)).await;
    assert_eq!(repeated.text("/name"), "WEBHOOK_URL_ALREADY_EXISTS");
    official.check("POST", all, &repeated);
    official.check("GET", all, &play.paypal("GET", all, None).await);
    let path = format!("{all}/{}", webhook.text("/id"));
    official.check("GET", one, &play.paypal("GET", &path, None).await);
    let patch = json!([{"op": "replace", "path": "/event_types", "value": types}]);
    official.check("PATCH", one, &play.paypal("PATCH", &path, Some(&patch)).await);
    let types = play.paypal("GET", &format!("{path}/event-types"), None).await;
    official.check("GET", "/v1/notifications/webhooks/{webhook_id}/event-types", &types);
    let types = "/v1/notifications/webhooks-event-types";
    official.check("GET", types, &play.paypal("GET", types, None).await);
    play.settled_item("pb", "ana@example.com", "1.00").await;
    assert_eq!(play.take_webhooks().len(), 2);
    let events = "/v1/notifications/webhooks-events";
    let only = format!("{events}?page_size=2&event_type=PAYMENT.PAYOUTSBATCH.SUCCESS");
    let listed = play.paypal("GET", &only, None).await;
    assert_eq!(listed.body["count"], 1);
    official.check("GET", events, &listed);
    let event = format!("{events}/{}", listed.text("/events/0/id"));
    official.check("GET", &format!("{events}/{{event_id}}"), &play.paypal("GET", &event, None).await);
    let resent = play.paypal("POST", &format!("{event}/resend"), None).await;
    official.check("POST", &format!("{events}/{{event_id}}/resend"), &resent);
    assert_eq!(play.take_webhooks().len(), 1);
    let verify = "/v1/notifications/verify-webhook-signature";
    official.check("POST", verify, &play.paypal("POST", verify, Some(&json!({}))).await);
    official.check("DELETE", one, &play.paypal("DELETE", &path, None).await);
    assert_eq!(unchecked(&official), [("POST", "/v1/notifications/simulate-event")]);
}

/// Whatever PayPal's sandbox put into its recorded responses is in ours too, in the same place and with the same type.
#[tokio::test]
async fn paypal_answers_have_the_shape_of_the_recordings() {
    let Some(recorded) = read("paypal-recorded-payouts.json") else { return };
    let play = Play::start().await;
    let unclaimed = play.settled_item("batch_25", "sim-unclaimed-1@example.com", "0.99").await;
    let to_cancel = play.settled_item("t400", "sim-unclaimed-2@example.com", "0.15").await;
    let item_path =
        |item: &Value| format!("/v1/payments/payouts-item/{}", item["payout_item_id"].as_str().unwrap());
    let mut compared = 0;
    for exchange in recorded["exchanges"].as_array().unwrap() {
        let path = exchange["path"].as_str().unwrap();
        // The synchronous mode was discontinued long ago.
        if path.contains("sync_mode=true") {
            continue;
        }
        let theirs = &exchange["response"];
        let create = exchange["method"] == "POST" && !path.ends_with("/cancel");
        let ours = if create {
            play.paypal("POST", path, Some(&as_strings(exchange["request"].clone()))).await.body
        } else if path.ends_with("/cancel") && theirs["name"] == "ITEM_INCORRECT_STATUS" {
            let item = play.settled_item("paid", "ana@example.com", "0.99").await;
            play.paypal("POST", &format!("{}/cancel", item_path(&item)), None).await.body
        } else if path.ends_with("/cancel") && theirs["name"] == "ITEM_ALREADY_CANCELLED" {
            play.paypal("POST", &format!("{}/cancel", item_path(&to_cancel)), None).await;
            play.paypal("POST", &format!("{}/cancel", item_path(&to_cancel)), None).await.body
        } else if path.ends_with("/cancel") {
            let item = play.settled_item(path, "sim-unclaimed-3@example.com", "0.15").await;
            play.paypal("POST", &format!("{}/cancel", item_path(&item)), None).await.body
        } else if path.contains("payouts-item") {
            play.item(unclaimed["payout_item_id"].as_str().unwrap()).await.body
        } else {
            let batch = unclaimed["payout_batch_id"].as_str().unwrap();
            play.paypal("GET", &format!("/v1/payments/payouts/{batch}"), None).await.body
        };
        let missing: Vec<String> = shape(theirs).difference(&shape(&ours)).cloned().collect();
        // The recorded items have a note, which these requests do not send.
        let note = |place: &String| place.ends_with("/payout_item/note: string");
        assert!(missing.iter().all(note), "{path}: {missing:?}\n{ours:#}");
        compared += 1;
    }
    assert_eq!(compared, 12);
}

/// The recorded requests are from a time when amounts could be numbers.
fn as_strings(mut request: Value) -> Value {
    for item in request["items"].as_array_mut().into_iter().flatten() {
        let value = item["amount"]["value"].to_string();
        item["amount"]["value"] = json!(value);
    }
    request
}

/// Every path in a document, with the type of its value.
fn shape(value: &Value) -> BTreeSet<String> {
    fn walk(value: &Value, place: &str, into: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => {
                fields.iter().for_each(|(name, inner)| walk(inner, &format!("{place}/{name}"), into));
            }
            Value::Array(list) => list.iter().for_each(|inner| walk(inner, &format!("{place}/*"), into)),
            Value::String(_) => drop(into.insert(format!("{place}: string"))),
            Value::Number(_) => drop(into.insert(format!("{place}: number"))),
            Value::Bool(_) => drop(into.insert(format!("{place}: bool"))),
            Value::Null => drop(into.insert(format!("{place}: null"))),
        }
    }
    let mut places = BTreeSet::new();
    walk(value, "", &mut places);
    places
}
