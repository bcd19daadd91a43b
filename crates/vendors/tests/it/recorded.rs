//! Parses real or sample answers from the vendors, and checks what each status means.

use payout::money::{Currency, Money};
use payout::transaction::{Fact, Reason};
use serde_json::{Value, json};
use vendors::http::{Answer, Http, Received};
use vendors::paypal::{PayPal, batch, event as paypal_event};
use vendors::stripe::{Stripe, event as stripe_event, payout as stripe_payout};
use vendors::{MoneyKind, MoneyRequest, Outcome, ReadError};

use crate::server::{self, Reply};
use crate::specs;

fn got(status: u16, body: &Value) -> Answer {
    Answer::Got(Received { status, headers: Default::default(), body: body.to_string().into_bytes() })
}

#[tokio::test]
async fn recorded_paypal_answers_are_read() {
    let Some(recorded) = specs::load("paypal-recorded-payouts.json") else { return };
    let mut read = 0;
    for exchange in recorded["exchanges"].as_array().unwrap() {
        let (method, path) = (exchange["method"].as_str().unwrap(), exchange["path"].as_str().unwrap());
        let status = u16::try_from(exchange["status"].as_u64().unwrap()).unwrap();
        let path = path.split('?').next().unwrap().trim_end_matches('/');
        let id = path.rsplit('/').next().unwrap().to_owned();
        let body = exchange["response"].to_string();
        let (base, _) = server::start(move |asked| {
            if asked.path == "/v1/oauth2/token" {
                Reply::Whole(200, r#"{"access_token":"t","expires_in":32400}"#.into())
            } else {
                Reply::Whole(status, body.clone())
            }
        })
        .await;
        let paypal =
            PayPal::new(Http::new().unwrap(), base, "id", "secret", std::sync::Arc::new(|| 0)).unwrap();
        let told = match (method, path) {
            ("POST", "/v1/payments/payouts") => batch_told(exchange, status),
            ("GET", path) if path.starts_with("/v1/payments/payouts/") => {
                format!("{:?}", paypal.batch(&id).await.map(|batch| facts(&batch)))
            }
            ("GET", path) if path.starts_with("/v1/payments/payouts-item/") => {
                format!("{:?}", paypal.item(&id).await.map(|item| batch::item_fact(&item)))
            }
            ("POST", path) if path.ends_with("/cancel") => {
                let item = path.split('/').nth(4).unwrap();
                match paypal.send_cancel(&cancel(item)).await {
                    Outcome::Accepted(item) => format!("Ok({:?})", batch::item_fact(&item)),
                    Outcome::Rejected(rejection) => format!("Refused({})", rejection.code),
                    Outcome::Unknown(doubt) => panic!("{method} {path}: {doubt:?}"),
                }
            }
            _ => continue,
        };
        assert!(told.starts_with("Ok(") || told.starts_with("Refused("), "{method} {path} {status}: {told}");
        read += 1;
    }
    assert!(read >= 10, "only {read} exchanges were read");
}

fn batch_told(exchange: &Value, status: u16) -> String {
    let key = exchange["request"]["sender_batch_header"]["sender_batch_id"].as_str().unwrap();
    // The recorded requests write amounts as numbers, which we never do, so only their key is used.
    let body = json!({"items": []}).to_string().into_bytes();
    let path = "/v1/payments/payouts".into();
    let request = MoneyRequest::from_stored(MoneyKind::Batch, path, None, key.into(), body).unwrap();
    let mut response = exchange["response"].clone();
    if let Some(header) = response.get_mut("batch_header").and_then(Value::as_object_mut) {
        header.remove("amount");
    }
    match batch::read(&got(status, &response), &request) {
        Outcome::Accepted(accepted) => format!("Ok({accepted:?})"),
        Outcome::Rejected(rejection) => format!("Refused({})", rejection.code),
        Outcome::Unknown(doubt) => format!("{doubt:?}"),
    }
}

fn facts(batch: &batch::Batch) -> Vec<Fact> {
    batch.items.iter().map(|item| batch::fact_in(batch, item).expect("a known status")).collect()
}

fn item(status: &str, fee: Option<&str>, error: bool) -> batch::Item {
    let usd = Currency::parse("USD").unwrap();
    batch::Item {
        payout_item_id: "I1".into(),
        payout_batch_id: None,
        sender_batch_id: None,
        transaction_id: None,
        sender_item_id: Some("ptx_1".into()),
        status: status.into(),
        amount: None,
        fee: fee.map(|fee| Money::parse(fee, usd).unwrap()),
        receiver: None,
        error: error.then(|| batch::ItemError { name: "CODE".into(), message: "Words.".into() }),
        time_processed: None,
    }
}

#[test]
fn each_item_status_says_one_thing() {
    let said = Reason::new("CODE", "Words.");
    let fee = Some(Money::parse("0.25", Currency::parse("USD").unwrap()).unwrap());
    for (status, fact) in [
        ("PENDING", Some(Fact::ItemPending)),
        ("SUCCESS", Some(Fact::ItemPaid)),
        ("FAILED", Some(Fact::ItemFailed(said.clone()))),
        ("UNCLAIMED", Some(Fact::ItemUnclaimed(said.clone()))),
        ("ONHOLD", Some(Fact::ItemOnHold(said.clone()))),
        ("RETURNED", Some(Fact::ItemReturned(said.clone()))),
        ("BLOCKED", Some(Fact::ItemBlocked(said.clone()))),
        ("REFUNDED", Some(Fact::ItemRefunded)),
        ("REVERSED", Some(Fact::ItemReversed)),
        ("NEW", None),
        ("INVENTED_LATER", None),
        ("", None),
    ] {
        assert_eq!(batch::item_fact(&item(status, Some("0.25"), true)), fact, "{status}");
    }
    for (status, told) in [("SUCCESS", fee), ("REFUNDED", fee), ("UNCLAIMED", None), ("FAILED", None)] {
        assert_eq!(batch::item_fee(&item(status, Some("0.25"), true)), told, "{status}");
    }
    assert_eq!(
        batch::item_fact(&item("BLOCKED", None, false)),
        Some(Fact::ItemBlocked(Reason::new("BLOCKED", "")))
    );
}

#[test]
fn only_items_decide_except_in_a_refused_batch() {
    let of = |status: &str| batch::Batch {
        payout_batch_id: "B1".into(),
        sender_batch_id: None,
        status: status.into(),
        error: Some(batch::ItemError { name: "INSUFFICIENT_FUNDS".into(), message: String::new() }),
        items: Vec::new(),
        unread: 0,
        total: None,
    };
    let unclaimed = item("UNCLAIMED", None, true);
    assert!(matches!(batch::fact_in(&of("SUCCESS"), &unclaimed), Some(Fact::ItemUnclaimed(_))));
    assert!(matches!(batch::fact_in(&of("DENIED"), &unclaimed), Some(Fact::ItemUnclaimed(_))));
    let refused = Some(Fact::ItemFailed(Reason::new("INSUFFICIENT_FUNDS", "")));
    for status in ["", "PENDING"] {
        assert_eq!(batch::fact_in(&of("DENIED"), &item(status, None, false)), refused, "{status}");
        assert_eq!(batch::fact_in(&of("CANCELED"), &item(status, None, false)), refused, "{status}");
    }
    assert_eq!(batch::fact_in(&of("PROCESSING"), &item("", None, false)), None);
    assert_eq!(batch::batch_refusal(&of("SUCCESS")), None);
    assert_eq!(batch::batch_refusal(&of("DENIED")), Some(Reason::new("INSUFFICIENT_FUNDS", "")));
}

#[test]
fn a_batch_is_whole_when_its_items_sum_to_what_was_asked_for() {
    let usd = |value: &str| Money::parse(value, Currency::parse("USD").unwrap()).ok();
    let worth =
        |value: Option<&str>| batch::Item { amount: value.and_then(usd), ..item("SUCCESS", None, true) };
    let of = |status: &str, items: Vec<batch::Item>, total: Option<&str>, unread| {
        let (status, total) = (status.to_owned(), total.and_then(usd));
        let (payout_batch_id, sender_batch_id, error) = ("B1".to_owned(), None, None);
        batch::Batch { payout_batch_id, sender_batch_id, status, error, items, unread, total }.is_whole()
    };
    let both = || vec![worth(Some("1.00")), worth(Some("2.00"))];
    assert!(of("PROCESSING", both(), Some("3.00"), 0) && of("SUCCESS", both(), Some("3.00"), 0));
    assert!(!of("PROCESSING", both(), Some("6.00"), 0), "half of it is listed");
    assert!(!of("SUCCESS", both(), Some("6.00"), 0), "nor is it told what became of the rest");
    assert!(!of("SUCCESS", both(), Some("3.00"), 1), "one cannot be read");
    assert!(!of("SUCCESS", vec![worth(Some("3.00")), worth(None)], Some("3.00"), 0), "one is of any amount");
    assert!(of("SUCCESS", both(), None, 0) && !of("PROCESSING", both(), None, 0), "it has its end");
    assert!(of("DENIED", vec![], Some("3.00"), 0), "none of a refused one was paid");
    assert!(!of("SUCCESS", vec![], Some("3.00"), 0) && !of("PENDING", vec![], None, 0));
}

#[test]
fn each_payout_status_says_one_thing() {
    for (status, code, fact) in [
        ("pending", None, Some(Fact::PayoutMade)),
        ("in_transit", None, Some(Fact::PayoutMade)),
        ("paid", None, Some(Fact::PayoutPaid)),
        (
            "failed",
            Some("account_closed"),
            Some(Fact::PayoutFailed(Reason::new("account_closed", "Closed."))),
        ),
        ("failed", None, Some(Fact::PayoutFailed(Reason::new("failed", "Closed.")))),
        ("canceled", None, Some(Fact::PayoutCanceled(Reason::new("canceled", "Closed.")))),
        ("posted", None, None),
    ] {
        let payout: stripe_payout::Payout = serde_json::from_value(json!({
            "id": "po_1", "amount": 100, "currency": "usd", "status": status, "metadata": null,
            "failure_code": code, "failure_message": "Closed.",
        }))
        .unwrap();
        assert_eq!(stripe_payout::fact(&payout), fact, "{status}");
    }
}

#[test]
fn stripe_events_are_read_whatever_their_type() {
    let event = stripe_event::parse(
        br#"{"id":"evt_1","object":"event","type":"payout.paid","account":"acct_9","livemode":true,
            "created":7,
            "data":{"object":{"id":"po_1","object":"payout","status":"paid"},"previous_attributes":{}},
            "request":{"id":null,"idempotency_key":"po:ptx_1:1"},"pending_webhooks":1}"#,
    )
    .unwrap();
    assert_eq!(
        (&*event.id, &*event.event_type, event.account.as_deref()),
        ("evt_1", "payout.paid", Some("acct_9"))
    );
    assert_eq!((event.object_id.as_deref(), &*event.object, event.livemode), (Some("po_1"), "payout", true));
    assert_eq!((event.created, event.idempotency_key.as_deref()), (7, Some("po:ptx_1:1")));
    let unknown =
        br#"{"id":"evt_2","object":"event","type":"invented.later","data":{"object":{}},"request":"req_1"}"#;
    let unknown = stripe_event::parse(unknown).unwrap();
    assert_eq!((unknown.object_id, unknown.idempotency_key, unknown.account), (None, None, None));
    for without_object in [
        &br#"{"id":"evt_3","object":"v2.core.event","type":"v1.payout.paid","related_object":{"id":"po_1"}}"#
            [..],
        br#"{"id":"evt_3","object":"event","type":"payout.paid"}"#,
        br#"{"id":"evt_3","object":"event","type":"payout.paid","livemode":null,"created":7.5,"account":[],
            "data":{"object":null},"request":7}"#,
        br#"{"id":"evt_3","object":"event","type":"payout.paid","data":{"object":"a text"}}"#,
        br#"{"id":"evt_3","object":"event","type":"payout.paid","data":{"object":{"id":12}}}"#,
    ] {
        let event = stripe_event::parse(without_object).unwrap();
        assert_eq!((&*event.id, event.object_id, event.created), ("evt_3", None, 0));
    }
    for wrong in [&br#"{"object":"event","type":"payout.paid","data":{"object":{}}}"#[..], b"[]", b""] {
        assert!(stripe_event::parse(wrong).is_err());
    }
}

#[test]
fn paypal_events_are_read_whatever_their_type() {
    let item = paypal_event::parse(
        br#"{"id":"WH-1","event_type":"PAYMENT.PAYOUTS-ITEM.HELD","resource":{"payout_item_id":"I1",
            "payout_batch_id":"B1","sender_batch_id":"pb:bat_1:0:1",
            "payout_item":{"sender_item_id":"ptx_1"}}}"#,
    )
    .unwrap();
    assert_eq!((item.payout_item_id.as_deref(), item.status.as_deref()), (Some("I1"), Some("ONHOLD")));
    assert_eq!(
        (item.payout_batch_id.as_deref(), item.sender_item_id.as_deref()),
        (Some("B1"), Some("ptx_1"))
    );
    let batch = paypal_event::parse(
        br#"{"id":"WH-2","event_type":"PAYMENT.PAYOUTSBATCH.DENIED","resource":{"batch_header":{
            "payout_batch_id":"B1","batch_status":"DENIED",
            "sender_batch_header":{"sender_batch_id":"pb:bat_1:0:1"}}}}"#,
    )
    .unwrap();
    assert_eq!((batch.payout_batch_id.as_deref(), batch.status.as_deref()), (Some("B1"), Some("DENIED")));
    assert_eq!(batch.sender_batch_id.as_deref(), Some("pb:bat_1:0:1"));
    let said = br#"{"id":"WH-3","event_type":"PAYMENT.PAYOUTS-ITEM.CANCELED",
        "resource":{"transaction_status":"UNCLAIMED"}}"#;
    assert_eq!(
        paypal_event::parse(said).unwrap().status.as_deref(),
        Some("UNCLAIMED"),
        "the resource's word counts"
    );
    let unknown = paypal_event::parse(br#"{"id":"WH-4","event_type":"INVENTED.LATER"}"#).unwrap();
    assert_eq!((unknown.status, unknown.payout_item_id), (None, None));
    assert!(paypal_event::parse(b"{}").is_err());
    for odd in ["\"a text\"", "null", "[]", "{\"payout_item\": 7, \"batch_header\": \"a text\"}"] {
        let body = format!("{{\"id\":\"WH-5\",\"event_type\":\"PAYMENT.X\",\"resource\":{odd}}}");
        let event = paypal_event::parse(body.as_bytes()).unwrap();
        assert_eq!((&*event.id, event.payout_item_id, event.payout_batch_id), ("WH-5", None, None));
    }
    let number =
        br#"{"id":"WH-6","event_type":"PAYMENT.PAYOUTS-ITEM.FAILED","resource":{"payout_item_id":"I1",
        "payout_item":{"sender_item_id":12}}}"#;
    let number = paypal_event::parse(number).unwrap();
    assert_eq!(
        (number.payout_item_id.as_deref(), number.sender_item_id.as_deref()),
        (Some("I1"), Some("12"))
    );
}

#[tokio::test]
async fn an_account_is_payable_only_where_its_bank_is() {
    let account = json!({
        "id": "acct_9", "country": "DE", "payouts_enabled": true, "details_submitted": true,
        "capabilities": {"transfers": "active"},
        "requirements": {"disabled_reason": null, "currently_due": []},
        "external_accounts": {"object": "list", "has_more": false, "data": [
            {"id": "ba_1", "currency": "eur", "status": "new"},
            {"id": "ba_2", "currency": "usd", "status": "errored"},
            {"id": "card_3", "currency": "gbp"},
        ]},
        "settings": {"payouts": {"schedule": {"interval": "daily"}}},
    });
    let body = account.to_string();
    let (base, _) = server::start(move |_| Reply::Whole(200, body.clone())).await;
    let stripe = Stripe::new(Http::new().unwrap(), base, "sk").unwrap();
    let id = vendors::stripe::ConnectedAccount::parse("acct_9").unwrap();
    let state = stripe.account(&id).await.unwrap();
    let pays = |code: &str| state.pays(Currency::parse(code).unwrap());
    assert_eq!((pays("EUR"), pays("GBP"), pays("USD"), pays("JPY")), (true, true, false, false));
    assert_eq!(state.schedule_interval.as_deref(), Some("daily"));
    assert!(matches!(stripe.set_manual_schedule(&id).await, Err(ReadError::Unreadable(_))));
}

/// A cancellation request for an item.
fn cancel(item: &str) -> vendors::MoneyRequest {
    vendors::paypal::batch::cancel_request("ca:one:1", item).unwrap()
}
