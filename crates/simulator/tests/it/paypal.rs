//! PayPal's rules: tokens, batches, items, scenes.

use serde_json::{Value, json};
use simulator::{Holder, Vendor};

use crate::play::{DAY, Play, SECOND, batch_body};

#[tokio::test]
async fn an_item_is_credited_and_its_fee_taken() {
    let play = Play::start().await;
    play.simulator.set_balance(Vendor::PayPal, "USD", 100_000);
    let batch = play.batch("pb_1", &[("ana@example.com", "120.25", "ptx_1")]).await;
    assert_eq!((batch.status, batch.text("/batch_header/batch_status")), (201, "PENDING"));
    assert!(batch.body.get("items").is_none());
    let path = format!("/v1/payments/payouts/{}", batch.text("/batch_header/payout_batch_id"));
    let processing = play.paypal("GET", &path, None).await;
    assert_eq!(processing.text("/batch_header/batch_status"), "PROCESSING");
    assert_eq!(processing.text("/items/0/transaction_status"), "PENDING");
    play.later(SECOND);
    let done = play.paypal("GET", &path, None).await;
    assert_eq!(done.text("/batch_header/batch_status"), "SUCCESS");
    assert_eq!(done.text("/items/0/transaction_status"), "SUCCESS");
    assert_eq!(done.text("/items/0/payout_item_fee/value"), "2.41");
    let books = play.simulator.books();
    assert_eq!(books.balance(Vendor::PayPal, &Holder::Ours, "USD"), 100_000 - 12_025 - 241);
    assert_eq!(play.flow(Vendor::PayPal, "ptx_1"), (12_025, 0, 12_025));
}

#[tokio::test]
async fn a_sender_batch_id_pays_once_in_thirty_days() {
    let play = Play::start().await;
    let first = play.batch("pb_1", &[("ana@example.com", "1.00", "ptx_1")]).await;
    let again = play.batch("pb_1", &[("ana@example.com", "1.00", "ptx_1")]).await;
    assert_eq!((again.status, again.text("/name")), (400, "USER_BUSINESS_ERROR"));
    assert_eq!(again.text("/details/0/field"), "SENDER_BATCH_ID");
    assert!(again.text("/details/0/link/0/href").ends_with(first.text("/batch_header/payout_batch_id")));
    play.later(30 * DAY);
    assert_eq!(play.batch("pb_1", &[("ana@example.com", "1.00", "ptx_1")]).await.status, 201);
    let mut nameless = batch_body("x", &[("ana@example.com", "1.00", "ptx_2")]);
    nameless["sender_batch_header"] = json!({"email_subject": "hello"});
    for _ in 0..2 {
        let answer = play.paypal("POST", "/v1/payments/payouts", Some(&nameless)).await;
        assert_eq!(answer.status, 201, "without the id a repeat pays again");
    }
}

#[tokio::test]
async fn a_bad_request_names_every_fault() {
    let play = Play::start().await;
    let items = [
        ("ana@example.com", "1.234", "a"),
        ("sim-refused-1@example.com", "1.00", "b"),
        ("ana@example.com", "1.00", "c"),
        ("nobody", "1.00", "d"),
    ];
    let mut body = batch_body("pb_1", &items);
    body["items"][2]["amount"]["currency"] = json!("EUR");
    let refused = play.paypal("POST", "/v1/payments/payouts", Some(&body)).await;
    assert_eq!((refused.status, refused.text("/name")), (400, "VALIDATION_ERROR"));
    let fields: Vec<&str> =
        refused.body["details"].as_array().unwrap().iter().map(|d| d["field"].as_str().unwrap()).collect();
    let expected =
        ["/items/0/amount/value", "/items/1/receiver", "/items/2/amount/currency", "/items/3/receiver"];
    assert_eq!(fields, expected);
    body["items"] = json!([]);
    assert_eq!(play.paypal("POST", "/v1/payments/payouts", Some(&body)).await.status, 400);
    assert_eq!(
        play.batch("pb_1", &[("ana@example.com", "1.00", "a")]).await.status,
        201,
        "the id is still free"
    );
}

#[tokio::test]
async fn scenes_end_as_they_are_named() {
    let play = Play::start().await;
    for (scene, status, error) in [
        ("closed", "FAILED", "RECEIVER_ACCOUNT_LOCKED"),
        ("no_account", "FAILED", "INVALID_EMAIL"),
        ("restricted", "FAILED", "RECEIVER_STATE_RESTRICTED"),
        ("limit", "FAILED", "RECEIVING_LIMIT_EXCEEDED"),
        ("blocked", "BLOCKED", "REGULATORY_BLOCKED"),
        ("unclaimed", "UNCLAIMED", "RECEIVER_UNREGISTERED"),
        ("unclaimed_then_returned", "UNCLAIMED", "RECEIVER_UNREGISTERED"),
        ("held", "ONHOLD", ""),
        ("slow", "PENDING", ""),
        ("paid_then_failed", "SUCCESS", ""),
        ("refunded", "SUCCESS", ""),
        ("denied", "FAILED", "RISK_DECLINE"),
    ] {
        let item = play.settled_item(scene, &format!("sim-{scene}-1@example.com"), "10.00").await;
        assert_eq!(item["transaction_status"], status, "{scene}");
        assert_eq!(item["errors"]["name"].as_str().unwrap_or(""), error, "{scene}");
    }
    play.later(30 * DAY);
    for (scene, status, flow) in [
        ("unclaimed", "RETURNED", (1000, 1000, 0)),
        ("unclaimed_then_returned", "RETURNED", (1000, 1000, 0)),
        ("held", "SUCCESS", (1000, 0, 1000)),
        ("slow", "SUCCESS", (1000, 0, 1000)),
        ("paid_then_failed", "REVERSED", (1000, 1000, 0)),
        ("refunded", "REFUNDED", (1000, 1000, 0)),
        ("closed", "FAILED", (0, 0, 0)),
        ("denied", "FAILED", (0, 0, 0)),
    ] {
        let books = play.simulator.books();
        let line = books.items.iter().find(|line| line.sender_item_id.as_deref() == Some(scene)).unwrap();
        assert_eq!(line.status, status, "{scene}");
        assert_eq!(play.flow(Vendor::PayPal, scene), flow, "{scene}");
    }
}

#[tokio::test]
async fn an_unclaimed_item_can_be_cancelled_or_claimed() {
    let play = Play::start().await;
    let item = play.settled_item("a", "sim-unclaimed-1@example.com", "10.00").await;
    let cancel = format!("/v1/payments/payouts-item/{}/cancel", item["payout_item_id"].as_str().unwrap());
    let cancelled = play.paypal("POST", &cancel, None).await;
    assert_eq!((cancelled.status, cancelled.text("/transaction_status")), (200, "RETURNED"));
    assert_eq!(play.paypal("POST", &cancel, None).await.text("/name"), "ITEM_ALREADY_CANCELLED");
    assert_eq!(play.flow(Vendor::PayPal, "a"), (1000, 1000, 0));
    let item = play.settled_item("b", "sim-unclaimed-2@example.com", "10.00").await;
    play.simulator.mend("sim-unclaimed-2@example.com");
    play.later(0);
    let claimed = play.item(item["payout_item_id"].as_str().unwrap()).await;
    assert_eq!(claimed.text("/transaction_status"), "SUCCESS");
    let item = play.settled_item("c", "ana@example.com", "10.00").await;
    let cancel = format!("/v1/payments/payouts-item/{}/cancel", item["payout_item_id"].as_str().unwrap());
    assert_eq!(play.paypal("POST", &cancel, None).await.text("/name"), "ITEM_INCORRECT_STATUS");
}

#[tokio::test]
async fn a_batch_beyond_the_balance_is_denied() {
    let play = Play::start().await;
    play.simulator.set_balance(Vendor::PayPal, "USD", 2039);
    let item = play.settled_item("a", "ana@example.com", "10.00").await;
    assert_eq!(item["transaction_status"], "SUCCESS");
    let item = play.settled_item("b", "ana@example.com", "10.00").await;
    assert_eq!(
        (&item["transaction_status"], &item["errors"]["name"]),
        (&"FAILED".into(), &"INSUFFICIENT_FUNDS".into())
    );
    let play = Play::with(|options| {
        options.refuse_uncovered_batches = true;
        options.opening_minor = 5;
    })
    .await;
    assert_eq!(play.batch("a", &[("ana@example.com", "10.00", "a")]).await.status, 422);
}

#[tokio::test]
async fn a_batch_is_read_in_pages() {
    let play = Play::start().await;
    let receivers: Vec<String> = (0..25).map(|n| format!("p{n}@example.com")).collect();
    let items: Vec<(&str, &str, &str)> =
        receivers.iter().map(|to| (to.as_str(), "1.00", to.as_str())).collect();
    let batch = play.batch("pb", &items).await;
    let id = batch.text("/batch_header/payout_batch_id");
    let page = async |n: u32| {
        let path = format!("/v1/payments/payouts/{id}?page={n}&page_size=10&total_required=true");
        play.paypal("GET", &path, None).await
    };
    let third = page(3).await;
    assert_eq!((&third.body["total_items"], &third.body["total_pages"]), (&25.into(), &3.into()));
    assert_eq!(third.body["items"].as_array().map(Vec::len), Some(5));
    assert_eq!(third.text("/items/0/payout_item/sender_item_id"), "p20@example.com");
    assert_eq!(page(4).await.body["items"], json!([]));
}

#[tokio::test]
async fn tokens_end() {
    let play = Play::start().await;
    let token = play.fetch_token().await;
    assert_eq!(token.body["expires_in"], 32_400);
    assert_eq!(play.item("NOSUCHITEM").await.status, 404);
    play.simulator.forget_token();
    let refused = play.item("NOSUCHITEM").await;
    assert_eq!((refused.status, refused.text("/error")), (401, "invalid_token"));
    let token = play.fetch_token().await.text("/access_token").to_owned();
    for (wait, status) in [(32_399 * SECOND, 404), (SECOND, 401)] {
        play.later(wait);
        let url = format!("{}/v1/payments/payouts-item/NOSUCHITEM", play.base);
        let answer = crate::play::client().get(url).bearer_auth(&token).send().await.unwrap();
        assert_eq!(answer.status(), status);
    }
}

#[tokio::test]
async fn whole_units_have_no_decimals() {
    let play = Play::start().await;
    let mut body = batch_body("jpy", &[("ana@example.com", "500", "a")]);
    body["items"][0]["amount"]["currency"] = json!("JPY");
    let batch = play.paypal("POST", "/v1/payments/payouts", Some(&body)).await;
    play.later(SECOND);
    let path = format!("/v1/payments/payouts/{}", batch.text("/batch_header/payout_batch_id"));
    let read = play.paypal("GET", &path, None).await;
    assert_eq!(read.body["batch_header"]["fees"], json!({"currency": "JPY", "value": "10"}));
    body["items"][0]["amount"]["value"] = Value::from("500.00");
    assert_eq!(play.paypal("POST", "/v1/payments/payouts", Some(&body)).await.status, 400);
}
