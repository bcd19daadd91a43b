//! Reads over HTTP: what is requested, and how the answers are interpreted. Not here: money requests, and what the
//! official documents say about each read (`contract`).

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use ::payout::money::{Currency, Money};
use ::payout::transaction::Fact;
use serde_json::{Value, json};
use url::Url;
use vendors::http::Http;
use vendors::paypal::PayPal;
use vendors::stripe::account::NewAccount;
use vendors::stripe::{ConnectedAccount, Stripe};
use vendors::{Outcome, ReadError, UnknownCause, paypal, stripe};

use crate::server::{self, Asked, Reply};

const SECOND: i64 = 1_000_000;

fn a_stripe(base: &Url) -> Stripe {
    Stripe::new(Http::new().unwrap(), base.clone(), "sk_test_1").unwrap()
}

fn a_paypal(base: &Url, clock: Arc<dyn Fn() -> i64 + Send + Sync>) -> PayPal {
    PayPal::new(Http::new().unwrap(), base.clone(), "id", "secret", clock).unwrap()
}

fn answer(body: &Value) -> Reply {
    Reply::Whole(200, body.to_string())
}

fn asked_for_token(asked: &Asked) -> bool {
    asked.path == "/v1/oauth2/token"
}

/// A token is used until two minutes before it expires; if its lifetime cannot be parsed, ten minutes are assumed.
#[tokio::test]
async fn a_token_is_used_until_shortly_before_it_ends() {
    for (expires_in, lasts_s) in [
        (json!(600), 480),
        (json!(32_400), 32_280),
        (json!(999_999), 86_280),
        (json!("soon"), 480),
        (json!(60), 0),
    ] {
        let (base, log) = server::start(move |asked| match asked_for_token(asked) {
            true => answer(&json!({"access_token": "t", "expires_in": expires_in})),
            false => answer(&json!({"webhooks": []})),
        })
        .await;
        let now = Arc::new(AtomicI64::new(5 * SECOND));
        let clock = Arc::clone(&now);
        let paypal = a_paypal(&base, Arc::new(move || clock.load(Ordering::SeqCst)));
        let tokens_at = async |at: i64| {
            now.store(at, Ordering::SeqCst);
            paypal.webhooks().await.unwrap();
            log.lock().unwrap().iter().filter(|asked| asked_for_token(asked)).count()
        };
        assert_eq!(tokens_at(5 * SECOND).await, 1);
        if lasts_s > 0 {
            assert_eq!(tokens_at((5 + lasts_s) * SECOND - 1).await, 1, "after {lasts_s} s less a moment");
        }
        assert_eq!(tokens_at((5 + lasts_s) * SECOND).await, 2, "after {lasts_s} s");
    }
}

/// Without a token the request itself was never sent, whatever the reason.
#[tokio::test]
async fn what_keeps_the_token_away_is_told_of_the_request() {
    let head = |status: u16| format!("HTTP/1.1 {status} X\r\nretry-after: 9\r\ncontent-length: 0\r\n\r\n");
    for (status, why, retry) in [
        (401, UnknownCause::Credentials, None),
        (429, UnknownCause::RateLimited, Some(9)),
        (500, UnknownCause::NotSent, None),
    ] {
        let (base, log) = server::start(move |_| Reply::Bytes(head(status).into())).await;
        let cancel = paypal::batch::cancel_request("ca:1", "I1").unwrap();
        let Outcome::Unknown(doubt) = a_paypal(&base, Arc::new(|| 0)).send_cancel(&cancel).await else {
            panic!("{status} settles nothing");
        };
        assert_eq!((doubt.why, doubt.retry_after_s), (why, retry), "{status}");
        assert!(!doubt.why.may_have_executed() && log.lock().unwrap().iter().all(asked_for_token));
    }
}

#[tokio::test]
async fn what_is_no_batch_and_no_cancellation_is_not_sent_as_one() {
    let (base, log) = server::start(|_| answer(&json!({}))).await;
    let cancel = paypal::batch::cancel_request("ca:1", "I1").unwrap();
    let told = a_paypal(&base, Arc::new(|| 0)).send_batch(&cancel).await;
    assert!(matches!(told, Outcome::Unknown(doubt) if doubt.why == UnknownCause::NotSent));
    assert!(log.lock().unwrap().is_empty());
}

/// This many events of one type, each a second older than the one before.
fn events(newest: i64, count: i64) -> Vec<Value> {
    let event = |second: i64| {
        json!({
            "id": format!("WH-{second}"), "event_type": "PAYMENT.PAYOUTSBATCH.SUCCESS",
            "create_time": format!("2026-03-02T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60),
        })
    };
    (0..count).map(|back| event(newest - back)).collect()
}

/// PayPal's list of events is not paged: older ones are requested by the time of the oldest one returned.
#[tokio::test]
async fn events_are_asked_for_until_a_list_is_not_full() {
    let (base, log) = server::start(|asked| {
        if asked_for_token(asked) {
            return answer(&json!({"access_token": "t", "expires_in": 32_400}));
        }
        let older = asked.query.contains("end_time");
        let of_the_kind = asked.query.contains("PAYOUTSBATCH.SUCCESS");
        let told = match (of_the_kind, older) {
            (true, false) => events(1_000, 300),
            // The oldest event of the previous page is returned again.
            (true, true) => events(701, 10),
            (false, _) => events(0, 0),
        };
        answer(&json!({"events": told}))
    })
    .await;
    let found = a_paypal(&base, Arc::new(|| 0)).batch_events_since("2026-03-01T00:00:00Z").await.unwrap();
    assert_eq!((found.len(), &*found[0].id, &*found[308].id), (309, "WH-1000", "WH-692"));
    let log = log.lock().unwrap();
    let lists = log.iter().filter(|asked| !asked_for_token(asked));
    assert_eq!(lists.clone().count(), 4, "two of the one kind, one of each other");
    assert!(lists.clone().any(|asked| asked.query.contains("end_time=2026-03-02T00%3A11%3A41Z")), "{log:?}");
}

/// More events at the same time than a list holds: none may be skipped unnoticed.
#[tokio::test]
async fn a_list_of_events_that_never_ends_is_no_answer() {
    let (base, _) = server::start(|asked| match asked_for_token(asked) {
        true => answer(&json!({"access_token": "t", "expires_in": 32_400})),
        false => answer(&json!({"events": events(1_000, 300)})),
    })
    .await;
    let told = a_paypal(&base, Arc::new(|| 0)).batch_events_since("2026-03-01T00:00:00Z").await;
    assert!(matches!(told, Err(ReadError::Unreadable(_))), "{told:?}");
}

#[tokio::test]
async fn paypals_report_is_read_page_by_page_without_what_was_refused() {
    let line = |id: &str, status: &str, value: &str| {
        json!({"transaction_info": {
            "transaction_id": id, "transaction_event_code": "T0001", "transaction_status": status,
            "transaction_initiation_date": "2026-03-02T09:00:00+0000",
            "transaction_amount": {"currency_code": "USD", "value": value},
        }})
    };
    let (base, log) = server::start(move |asked| match &*asked.path {
        "/v1/oauth2/token" => answer(&json!({"access_token": "t", "expires_in": 32_400})),
        "/v1/reporting/balances" => answer(&json!({
            "as_of_time": "2026-03-02T09:00:00Z",
            "balances": [
                {"total_balance": {"currency_code": "USD", "value": "-3.50"}},
                {"total_balance": {"currency_code": "XXX", "value": "1.00"}},
            ],
        })),
        _ => answer(&json!({
            "transaction_details": [
                line("A", "S", "-10.00"), line("B", "D", "-5.00"), line("C", "S", "2.00"), line("D", "S", "odd"),
            ],
            "total_pages": 3, "last_refreshed_datetime": "2026-03-02T12:00:00Z",
        })),
    })
    .await;
    let paypal = a_paypal(&base, Arc::new(|| 0));
    let at = 1_772_442_000 * SECOND;
    for (page, next) in [(None, Some("2")), (Some("2"), Some("3")), (Some("3"), None), (Some("4"), None)] {
        let told = paypal.movements(at, at + SECOND, page).await.unwrap();
        let lines: Vec<_> =
            told.movements.iter().map(|one| (&*one.id, one.net.minor, one.fee.minor)).collect();
        assert_eq!(lines, [("A", -1_000, 0), ("C", 200, 0)], "what was refused moved nothing");
        assert_eq!((told.unread, told.next.as_deref()), (1, next), "{page:?}");
        assert_eq!(told.whole_until, Some(at + 3 * 3_600 * SECOND));
        assert_eq!(told.movements[0].body_hash.len(), 64);
        assert_ne!(told.movements[0].body_hash, told.movements[1].body_hash, "each line has its own");
    }
    let lying = paypal.balances(at).await.unwrap();
    let lies: Vec<_> = lying.iter().map(|one| (one.money, one.as_of)).collect();
    assert_eq!(lies, [(Money::new(-350, Currency::USD), Some(at))]);
    let log = log.lock().unwrap();
    assert!(log.iter().any(|asked| asked.query.contains("start_date=2026-03-02T09%3A00%3A00Z")), "{log:?}");
}

#[tokio::test]
async fn stripe_is_asked_since_when_and_for_whom() {
    let transfer = json!({"id": "tr_1", "amount": 1, "currency": "usd", "destination": "acct_9"});
    let list = |data: Vec<Value>| answer(&json!({"data": data, "has_more": false}));
    let made = |id: &str, payee: &str| json!({"id": id, "metadata": {"payee": payee}});
    let (base, log) = server::start(move |asked| match &*asked.path {
        "/v1/transfers" => list(vec![transfer.clone()]),
        "/v1/accounts" => {
            list(vec![made("acct_1", "ptn_1"), made("acct_2", "ptn_2"), json!({"id": "acct_3"})])
        }
        "/v1/account" => answer(&json!({"id": "acct_0", "country": "DE"})),
        "/v1/accounts/acct_9" => answer(&json!({
            "id": "acct_9",
            "external_accounts": {"data": [{"id": "ba_1", "currency": "usd"}], "has_more": true},
        })),
        "/v1/accounts/acct_9/external_accounts" => {
            list(vec![json!({"id": "ba_1", "currency": "usd"}), json!({"id": "ba_2", "currency": "eur"})])
        }
        "/v1/balance" => answer(&json!({"livemode": true, "available": []})),
        _ => answer(&json!({"payments": {"payouts": {"schedule": {"interval": "daily"}}}})),
    })
    .await;
    let stripe = a_stripe(&base);
    let account = ConnectedAccount::parse("acct_9").unwrap();
    assert_eq!(stripe.transfers_since(7).await.unwrap().len(), 1);
    let theirs = stripe.accounts_made_for("ptn_1", 7).await.unwrap();
    assert_eq!(theirs.iter().map(ConnectedAccount::as_str).collect::<Vec<_>>(), ["acct_1"]);
    assert_eq!(stripe.platform_country().await, Ok(Some("DE".into())));
    let identity = stripe.identity().await.unwrap();
    assert_eq!((&*identity.account, identity.live), ("acct_0", true));
    let state = stripe.account(&account).await.unwrap();
    assert_eq!(state.currencies.len(), 2, "the whole list is asked for where the account tells a part of it");
    let daily = stripe.set_manual_schedule(&account).await;
    assert!(matches!(daily, Err(ReadError::Unreadable(_))), "Stripe did not do it: {daily:?}");
    let log = log.lock().unwrap();
    let since = log.iter().filter(|asked| asked.query.contains("created%5Bgte%5D=7"));
    assert_eq!(since.count(), 2, "{log:?}");
}

/// An account can be paid if Stripe allows it, in a currency for which it has a bank account.
#[test]
fn an_account_pays_when_all_three_hold() {
    let state = |transfers_active, payouts_enabled, currency: &str| stripe::ConnectedAccountState {
        id: "acct_1".into(),
        transfers_active,
        payouts_enabled,
        details_submitted: true,
        currencies: vec![Currency::parse(currency).unwrap()],
        disabled_reason: None,
        currently_due: Vec::new(),
        country: None,
        schedule_interval: None,
    };
    for (transfers, payouts, currency, pays) in [
        (true, true, "USD", true),
        (false, true, "USD", false),
        (true, false, "USD", false),
        (true, true, "EUR", false),
    ] {
        assert_eq!(state(transfers, payouts, currency).pays(Currency::USD), pays);
    }
    for (text, is_one) in
        [("acct_1", true), ("acct_", false), ("ca_1", false), ("acct_1/x", false), ("acct_é", false)]
    {
        assert_eq!(ConnectedAccount::parse(text).is_some(), is_one, "{text}");
    }
}

#[test]
fn what_has_come_back_of_a_transfer_is_never_more_than_it() {
    let back = |reversed: i64, currency: &str| {
        let told = json!({
            "id": "tr_1", "amount": 1_000, "amount_reversed": reversed, "currency": currency,
            "destination": "acct_9",
        });
        serde_json::from_value::<stripe::transfer::Transfer>(told).unwrap().come_back()
    };
    let usd = |minor| Some(Money::new(minor, Currency::USD));
    assert_eq!((back(0, "usd"), back(-5, "usd")), (None, None));
    assert_eq!((back(1, "usd"), back(400, "usd"), back(1_000, "usd")), (usd(1), usd(400), usd(1_000)));
    assert_eq!(back(1_001, "usd"), usd(1_000));
    assert_eq!(back(400, "xxx"), None, "no currency that we know");
}

#[test]
fn what_a_fetched_payout_says() {
    let fact = |status: &str, code: Option<&str>| {
        let told =
            json!({"id": "po_1", "amount": 1, "currency": "usd", "status": status, "failure_code": code});
        stripe::payout::fact(&serde_json::from_value(told).unwrap())
    };
    let rows = [
        ("pending", Some("payout_made")),
        ("in_transit", Some("payout_made")),
        ("paid", Some("payout_paid")),
        ("failed", Some("payout_failed")),
        ("canceled", Some("payout_canceled")),
        ("a_word_of_tomorrow", None),
    ];
    for (status, told) in rows {
        assert_eq!(fact(status, None).as_ref().map(Fact::as_str), told, "{status}");
    }
    let code = |fact: Option<Fact>| fact.and_then(|fact| fact.reason().map(|reason| reason.code.clone()));
    assert_eq!(code(fact("failed", Some("account_closed"))).as_deref(), Some("account_closed"));
    assert_eq!(code(fact("failed", None)).as_deref(), Some("failed"));
}

/// The event type implies a status if the item inside has none. DENIED could be two of them, so it implies none.
#[test]
fn an_item_events_name_says_a_status_where_the_item_does_not() {
    let status = |name: &str, resource: Value| {
        let event = json!({"id": "WH-1", "event_type": format!("PAYMENT.{name}"), "resource": resource});
        paypal::event::parse(event.to_string().as_bytes()).unwrap().status
    };
    for (name, told) in [
        ("PAYOUTS-ITEM.SUCCEEDED", Some("SUCCESS")),
        ("PAYOUTS-ITEM.FAILED", Some("FAILED")),
        ("PAYOUTS-ITEM.UNCLAIMED", Some("UNCLAIMED")),
        ("PAYOUTS-ITEM.RETURNED", Some("RETURNED")),
        ("PAYOUTS-ITEM.CANCELED", Some("RETURNED")),
        ("PAYOUTS-ITEM.HELD", Some("ONHOLD")),
        ("PAYOUTS-ITEM.BLOCKED", Some("BLOCKED")),
        ("PAYOUTS-ITEM.REFUNDED", Some("REFUNDED")),
        ("PAYOUTS-ITEM.DENIED", None),
        ("PAYOUTSBATCH.SUCCESS", None),
    ] {
        assert_eq!(status(name, json!({"payout_item_id": "I1"})).as_deref(), told, "{name}");
        let said = status(name, json!({"payout_item_id": "I1", "transaction_status": "PENDING"}));
        assert_eq!(said.as_deref(), Some("PENDING"), "{name}: the item's own word counts");
    }
}

#[test]
fn what_an_event_showed_is_read_again_as_what_it_was() {
    let stripe_event = |object: Value| json!({"data": {"object": object}}).to_string();
    let payout = stripe_event(json!({"object": "payout", "id": "po_1", "amount": 5, "currency": "usd"}));
    let transfer = stripe_event(
        json!({"object": "transfer", "id": "tr_1", "amount": 5, "currency": "usd", "destination": "acct_9"}),
    );
    assert_eq!(stripe::event::payout(payout.as_bytes()).map(|one| one.id).as_deref(), Some("po_1"));
    assert_eq!(stripe::event::transfer(transfer.as_bytes()).map(|one| one.id).as_deref(), Some("tr_1"));
    assert_eq!(stripe::event::payout(transfer.as_bytes()), None);
    assert_eq!(stripe::event::transfer(payout.as_bytes()), None);
    let item = json!({"resource": {"payout_item_id": "I1", "transaction_status": "SUCCESS"}}).to_string();
    assert_eq!(paypal::event::item(item.as_bytes()).map(|item| item.status).as_deref(), Some("SUCCESS"));
    assert_eq!(paypal::event::item(json!({"resource": {"id": "B1"}}).to_string().as_bytes()), None);
}

#[test]
fn a_webhook_says_which_events_it_would_not_send() {
    let stripe_hook = |events: &[&str]| {
        let hook: stripe::webhook::WebhookEndpoint =
            serde_json::from_value(json!({"id": "we_1", "enabled_events": events})).unwrap();
        hook.missing(&["payout.paid", "payout.failed"])
    };
    let paypal_hook = |events: &[&str]| {
        let events = events.iter().map(|event| (*event).to_owned()).collect();
        paypal::webhook::Webhook { id: "W1".into(), url: String::new(), events }
            .missing(&["payout.paid", "payout.failed"])
    };
    let rows: [(&[&str], &[&str]); 4] = [
        (&[], &["payout.paid", "payout.failed"]),
        (&["payout.paid", "charge.failed"], &["payout.failed"]),
        (&["payout.failed", "payout.paid"], &[]),
        (&["*"], &[]),
    ];
    for (enabled, missing) in rows {
        assert_eq!(stripe_hook(enabled), missing, "{enabled:?}");
        assert_eq!(paypal_hook(enabled), missing, "{enabled:?}");
    }
}

/// A webhook is adopted only if it was refused because it already exists; any other refusal is returned, whatever is
/// registered.
#[tokio::test]
async fn a_webhook_that_paypal_refuses_for_another_reason_is_not_adopted() {
    let hook = "https://us.example/hook";
    let (base, _) = server::start(move |asked| match (&*asked.method, asked_for_token(asked)) {
        (_, true) => answer(&json!({"access_token": "t", "expires_in": 32_400})),
        ("POST", false) => Reply::Whole(400, json!({"name": "VALIDATION_ERROR"}).to_string()),
        (_, false) => {
            answer(&json!({"webhooks": [{"id": "W1", "url": hook, "event_types": [{"name": "A"}]}]}))
        }
    })
    .await;
    let told = a_paypal(&base, Arc::new(|| 0)).create_webhook(hook, &["A"]).await;
    assert!(matches!(&told, Err(ReadError::Refused { code, .. }) if code == "VALIDATION_ERROR"), "{told:?}");
}

/// A new account has the manual payout schedule from the start, so that Stripe never pays out a transfer by itself, and
/// names its payee, by which it is found again if the answer is lost.
#[tokio::test]
async fn a_new_account_is_paid_out_by_us_alone() {
    let (base, log) = server::start(|_| answer(&json!({"id": "acct_9"}))).await;
    for recipient in [false, true] {
        let new = NewAccount {
            key: "ac:ptn_1",
            payee: "ptn_1",
            country: "DE",
            email: "ana@example.com",
            business_type: "individual",
            recipient,
        };
        let made = a_stripe(&base).create_account(&new).await.unwrap();
        assert_eq!([format!("{made}"), format!("{made:?}")], ["acct_9", "acct_9"]);
        let asked = log.lock().unwrap().last().cloned().unwrap();
        assert_eq!((&*asked.path, asked.header("idempotency-key")), ("/v1/accounts", Some("ac:ptn_1")));
        let fields: Vec<(String, String)> = url::form_urlencoded::parse(&asked.body).into_owned().collect();
        let field =
            |name: &str| fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        assert_eq!(field("settings[payouts][schedule][interval]"), Some("manual"));
        assert_eq!((field("metadata[payee]"), field("country")), (Some("ptn_1"), Some("DE")));
        assert_eq!(field("capabilities[transfers][requested]"), Some("true"));
        assert_eq!(field("tos_acceptance[service_agreement]"), recipient.then_some("recipient"));
    }
}
