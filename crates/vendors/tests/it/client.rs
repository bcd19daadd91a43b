//! The clients over real connections: what is not sent, what is lost, pages, tokens and secrets.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use payout::money::{Currency, Money, Vendor};
use serde_json::json;
use url::Url;
use vendors::certificates::NoCertificate;
use vendors::http::{Http, MAX_BODY_BYTES};
use vendors::paypal::PayPal;
use vendors::paypal::batch::{BatchAccepted, BatchOrder, ItemOrder};
use vendors::stripe::transfer::{self, TransferOrder};
use vendors::stripe::{ConnectedAccount, Stripe};
use vendors::{MoneyRequest, Outcome, ReadError, UnknownCause};

use crate::server::{self, Asked, Reply};

fn stripe(base: &Url) -> Stripe {
    Stripe::new(Http::new().unwrap(), base.clone(), "sk_test_hidden").unwrap()
}

fn paypal(base: &Url, clock: Arc<dyn Fn() -> i64 + Send + Sync>) -> PayPal {
    PayPal::new(Http::new().unwrap(), base.clone(), "client", "hidden", clock).unwrap()
}

fn a_transfer() -> MoneyRequest {
    transfer::request(&TransferOrder {
        key: "tr:ptx_1:1",
        transaction: "ptx_1",
        attempt: "atm_1",
        destination: &ConnectedAccount::parse("acct_9").unwrap(),
        amount: dollars("120.00", Vendor::Stripe),
        description: "",
    })
    .unwrap()
}

fn a_batch() -> MoneyRequest {
    let amount = dollars("1.00", Vendor::PayPal);
    vendors::paypal::batch::request(&BatchOrder {
        key: "pb:bat_1:0:1",
        currency: Currency::parse("USD").unwrap(),
        items: &[ItemOrder { transaction: "ptx_1", receiver: "ana@example.com", amount, note: "" }],
        subject: "Paid",
    })
    .unwrap()
}

fn dollars(text: &str, vendor: Vendor) -> payout::money::VendorAmount {
    Money::parse(text, Currency::parse("USD").unwrap()).unwrap().at(vendor).unwrap()
}

fn why<T: std::fmt::Debug>(outcome: Outcome<T>) -> UnknownCause {
    match outcome {
        Outcome::Unknown(doubt) => doubt.why,
        Outcome::Accepted(_) | Outcome::Rejected(_) => panic!("{outcome:?}"),
    }
}

fn page(data: &[serde_json::Value], has_more: bool) -> Reply {
    Reply::Whole(200, json!({"object": "list", "data": data, "has_more": has_more, "url": "/"}).to_string())
}

fn token(asked: &Asked) -> Option<Reply> {
    (asked.path == "/v1/oauth2/token").then(|| {
        let body = json!({"access_token": "t1", "token_type": "Bearer", "expires_in": 32_400});
        Reply::Whole(200, body.to_string())
    })
}

#[tokio::test]
async fn a_refused_connection_is_not_sent() {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base: Url = format!("http://{}", free.local_addr().unwrap()).parse().unwrap();
    drop(free);
    let Outcome::Unknown(doubt) = stripe(&base).send_transfer(&a_transfer()).await else {
        panic!("nobody was there");
    };
    assert_eq!(doubt.why, UnknownCause::NotSent);
    assert!(doubt.detail.contains("refused"), "what lies under the error is told: {}", doubt.detail);
    let nowhere: Url = "http://no-such-host.invalid".parse().unwrap();
    assert_eq!(why(stripe(&nowhere).send_transfer(&a_transfer()).await), UnknownCause::NotSent);
    assert_eq!(why(paypal(&base, Arc::new(|| 0)).send_batch(&a_batch()).await), UnknownCause::NotSent);
}

#[tokio::test]
async fn a_server_that_does_not_speak_tls_is_not_sent() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let deaf: Url = format!("https://{}", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            drop(stream)
        }
    });
    assert_eq!(why(stripe(&deaf).send_transfer(&a_transfer()).await), UnknownCause::NotSent);
}

#[tokio::test]
async fn what_breaks_after_the_first_byte_is_unknown() {
    let whole = "HTTP/1.1 200 OK\r\ncontent-length: 400\r\n\r\n{\"id\":\"tr_9\"";
    for bytes in [Vec::new(), b"HTTP/1.1 200 OK\r\ncont".to_vec(), whole.into(), b"nonsense\r\n\r\n".to_vec()]
    {
        let (base, log) = server::start(move |_| Reply::Bytes(bytes.clone())).await;
        assert_eq!(why(stripe(&base).send_transfer(&a_transfer()).await), UnknownCause::NoAnswer);
        assert_eq!(log.lock().unwrap().len(), 1, "sent once");
    }
    let whole = [
        format!("HTTP/1.1 500 X\r\ncontent-length: {MAX_BODY_BYTES}\r\n\r\n").into_bytes(),
        vec![b' '; MAX_BODY_BYTES],
    ];
    let whole = whole.concat();
    let (base, _) = server::start(move |_| Reply::Bytes(whole.clone())).await;
    assert_eq!(
        why(stripe(&base).send_transfer(&a_transfer()).await),
        UnknownCause::ServerError,
        "it just fits"
    );
    let huge = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", MAX_BODY_BYTES + 1);
    let huge = [huge.into_bytes(), vec![b' '; MAX_BODY_BYTES + 1]].concat();
    let (base, _) = server::start(move |_| Reply::Bytes(huge.clone())).await;
    assert_eq!(why(stripe(&base).send_transfer(&a_transfer()).await), UnknownCause::NoAnswer);
}

#[tokio::test]
async fn an_idle_connection_that_was_closed_is_no_second_sending() {
    let (base, log) =
        server::start(|_| Reply::Bytes(b"HTTP/1.1 500 X\r\ncontent-length: 2\r\n\r\n{}".to_vec())).await;
    let stripe = stripe(&base);
    for sent in 1..=20 {
        // The server closes each connection without announcing it; sometimes that is noticed only while writing.
        let why = why(stripe.send_transfer(&a_transfer()).await);
        assert!(matches!(why, UnknownCause::ServerError | UnknownCause::NoAnswer), "{why:?}");
        assert!(log.lock().unwrap().len() <= sent, "sent more often than asked");
    }
    let log = log.lock().unwrap();
    let bytes = |asked: &Asked| (asked.header("idempotency-key").map(String::from), asked.body.clone());
    assert!(log.iter().all(|asked| bytes(asked) == bytes(&log[0])));
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let moved = "HTTP/1.1 307 X\r\nlocation: /v1/elsewhere\r\ncontent-length: 0\r\n\r\n";
    let (base, log) = server::start(move |_| Reply::Bytes(moved.into())).await;
    assert_eq!(why(stripe(&base).send_transfer(&a_transfer()).await), UnknownCause::Unreadable);
    assert_eq!(log.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn another_kind_is_never_sent() {
    let (base, log) = server::start(|_| Reply::Whole(200, "{}".into())).await;
    assert_eq!(why(stripe(&base).send_payout(&a_transfer()).await), UnknownCause::NotSent);
    assert_eq!(why(stripe(&base).send_transfer(&a_batch()).await), UnknownCause::NotSent);
    assert_eq!(why(paypal(&base, Arc::new(|| 0)).send_batch(&a_transfer()).await), UnknownCause::NotSent);
    assert!(log.lock().unwrap().is_empty());
}

#[tokio::test]
async fn lists_are_read_to_the_end_and_only_what_was_asked_for_is_kept() {
    let item = |id: &str, group: &str| {
        json!({"id": id, "amount": 1, "currency": "usd", "destination": "acct_9",
            "transfer_group": group})
    };
    let pages = move |asked: &Asked| {
        if asked.query.contains("starting_after=tr_2") {
            page(&[item("tr_3", "ptx_1")], false)
        } else {
            page(&[item("tr_1", "ptx_1"), item("tr_2", "ptx_other")], true)
        }
    };
    let (base, _) = server::start(pages).await;
    let found = stripe(&base).transfers_by_group("ptx_1").await.unwrap();
    assert_eq!(found.iter().map(|found| &*found.id).collect::<Vec<_>>(), ["tr_1", "tr_3"]);
}

#[tokio::test]
async fn what_is_no_list_is_not_an_empty_one() {
    for body in ["{}", "null", "", "{\"data\":[]}", "{\"data\":[],\"has_more\":true}", "<html>"] {
        let (base, _) = server::start(move |_| Reply::Whole(200, body.into())).await;
        let answer = stripe(&base).transfers_by_group("ptx_1").await;
        assert!(matches!(answer, Err(ReadError::Unreadable(_))), "{body}: {answer:?}");
    }
    let (base, _) = server::start(|_| Reply::Whole(404, "<html>not here</html>".into())).await;
    assert!(matches!(stripe(&base).transfer("tr_1").await, Err(ReadError::Unreadable(_))));
    let missing = json!({"error": {"type": "invalid_request_error", "code": "resource_missing"}}).to_string();
    let (base, _) = server::start(move |_| Reply::Whole(404, missing.clone())).await;
    assert_eq!(stripe(&base).transfer("tr_1").await, Err(ReadError::Missing));
}

#[tokio::test]
async fn an_id_cannot_name_another_resource() {
    let (base, log) = server::start(|_| Reply::Whole(404, "{}".into())).await;
    stripe(&base).transfer("tr_1/reversals?x=1").await.unwrap_err();
    assert_eq!(log.lock().unwrap()[0].path, "/v1/transfers/tr_1%2Freversals%3Fx=1");
}

#[tokio::test]
async fn many_callers_fetch_one_token() {
    let (base, log) =
        server::start(|asked| token(asked).unwrap_or(Reply::Whole(200, json!({"webhooks": []}).to_string())))
            .await;
    let now = Arc::new(AtomicI64::new(1_790_000_000_000_000));
    let read = Arc::clone(&now);
    let paypal = paypal(&base, Arc::new(move || read.load(Ordering::Relaxed)));
    let tokens = || log.lock().unwrap().iter().filter(|asked| asked.path == "/v1/oauth2/token").count();
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let paypal = paypal.clone();
            tokio::spawn(async move { paypal.webhooks().await.unwrap() })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
    assert_eq!(tokens(), 1);
    now.fetch_add(32_000 * 1_000_000, Ordering::Relaxed);
    paypal.webhooks().await.unwrap();
    assert_eq!(tokens(), 1, "still good");
    now.fetch_add(300 * 1_000_000, Ordering::Relaxed);
    paypal.webhooks().await.unwrap();
    assert_eq!(tokens(), 2, "renewed before it ends");
}

#[tokio::test]
async fn a_refused_token_is_renewed_once_and_the_same_bytes_go_again() {
    let issued = AtomicUsize::new(0);
    let (base, log) = server::start(move |asked| {
        if asked.path == "/v1/oauth2/token" {
            let number = issued.fetch_add(1, Ordering::Relaxed);
            let body = json!({"access_token": format!("t{number}"), "expires_in": 32_400});
            return Reply::Whole(200, body.to_string());
        }
        if asked.header("authorization") == Some("Bearer t0") {
            return Reply::Whole(401, json!({"error": "invalid_token"}).to_string());
        }
        let header = json!({"payout_batch_id": "B9", "batch_status": "PENDING"});
        Reply::Whole(201, json!({"batch_header": header}).to_string())
    })
    .await;
    let paypal = paypal(&base, Arc::new(|| 0));
    let created = BatchAccepted::Created { payout_batch_id: "B9".into(), status: "PENDING".into() };
    assert_eq!(paypal.send_batch(&a_batch()).await, Outcome::Accepted(created));
    let log = log.lock().unwrap();
    let sent: Vec<&Asked> = log.iter().filter(|asked| asked.path.ends_with("/payouts")).collect();
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0].body, sent[1].body);
    assert!(sent.iter().all(|asked| asked.header("paypal-request-id") == Some("pb:bat_1:0:1")));
}

#[tokio::test]
async fn rejected_credentials_fail_nothing() {
    let refused = json!({"error": "invalid_client", "error_description": "no"}).to_string();
    let (base, log) = server::start(move |_| Reply::Whole(401, refused.clone())).await;
    let paypal = paypal(&base, Arc::new(|| 0));
    assert_eq!(why(paypal.send_batch(&a_batch()).await), UnknownCause::Credentials);
    assert!(matches!(paypal.webhooks().await, Err(ReadError::Credentials(_))));
    assert!(log.lock().unwrap().iter().all(|asked| asked.path == "/v1/oauth2/token"));
    let (base, log) = server::start(|asked| {
        token(asked).unwrap_or(Reply::Whole(401, json!({"error": "invalid_token"}).to_string()))
    })
    .await;
    assert_eq!(
        why(self::paypal(&base, Arc::new(|| 0)).send_batch(&a_batch()).await),
        UnknownCause::Credentials
    );
    assert_eq!(log.lock().unwrap().len(), 4, "token, batch, token, batch");
}

fn named(id: impl std::fmt::Display) -> serde_json::Value {
    json!({"payout_item_id": format!("I{id}"), "payout_item": {"sender_item_id": format!("ptx_{id}")}})
}

#[tokio::test]
async fn a_batch_is_read_to_its_last_page_and_must_add_up() {
    let items = |from: usize, to: usize| -> Vec<serde_json::Value> { (from..to).map(named).collect() };
    let two_pages = move |total: usize| {
        move |asked: &Asked| {
            token(asked).unwrap_or_else(|| {
                let first = asked.query.contains("page=1&");
                let data = if first { items(0, 1_000) } else { items(1_000, 1_500) };
                let header = json!({"payout_batch_id": "B9", "batch_status": "SUCCESS"});
                let body =
                    json!({"batch_header": header, "items": data, "total_items": total, "total_pages": 2});
                Reply::Whole(200, body.to_string())
            })
        }
    };
    let (base, _) = server::start(two_pages(1_500)).await;
    assert_eq!(paypal(&base, Arc::new(|| 0)).batch("B9").await.unwrap().items.len(), 1_500);
    let (base, _) = server::start(two_pages(1_501)).await;
    let short = paypal(&base, Arc::new(|| 0)).batch("B9").await;
    assert!(matches!(short, Err(ReadError::Unreadable(_))), "{short:?}");
}

/// PayPal's pages: unreadable items count, and a page that adds nothing is the last.
#[tokio::test]
async fn the_pages_of_a_batch_end_where_nothing_is_added() {
    // Readable and unreadable items per page, then the number of pages and of items PayPal reports.
    type Told = (&'static [(usize, usize)], Option<usize>, Option<usize>);
    let rows: [(Told, usize, usize, usize); 5] = [
        ((&[(999, 1), (10, 0)], None, None), 1_009, 1, 2),
        ((&[(999, 0), (10, 0)], None, None), 999, 0, 1),
        ((&[(2, 1), (1, 0), (1, 0)], Some(3), Some(5)), 4, 1, 3),
        ((&[(2, 1), (0, 0), (1, 0)], Some(5), None), 2, 1, 2),
        ((&[(2, 0), (1, 0), (7, 0)], Some(2), Some(3)), 3, 0, 2),
    ];
    for ((pages, total_pages, total_items), read, unread, asked_for) in rows {
        let (base, log) = server::start(move |asked| {
            token(asked).unwrap_or_else(|| {
                let number: usize = asked.query.split(['=', '&']).nth(1).unwrap().parse().unwrap();
                let (good, odd) = pages.get(number - 1).copied().unwrap_or((0, 0));
                let good = (0..good).map(|at| named(format!("{number}-{at}")));
                let items: Vec<_> = good.chain((0..odd).map(|_| json!({}))).collect();
                let header = json!({"payout_batch_id": "B9", "batch_status": "SUCCESS"});
                let mut body = json!({"batch_header": header, "items": items});
                body["total_pages"] = json!(total_pages);
                body["total_items"] = json!(total_items);
                Reply::Whole(200, body.to_string())
            })
        })
        .await;
        let batch = paypal(&base, Arc::new(|| 0)).batch("B9").await.unwrap();
        assert_eq!((batch.items.len(), batch.unread), (read, unread), "{pages:?}");
        let asked = log.lock().unwrap().iter().filter(|asked| asked.path.ends_with("/B9")).count();
        assert_eq!(asked, asked_for, "{pages:?}");
    }
}

#[tokio::test]
async fn a_webhook_that_exists_is_adopted() {
    let (base, log) = server::start(|asked| {
        token(asked).unwrap_or_else(|| match (&*asked.method, &*asked.path) {
            ("POST", _) => Reply::Whole(400, json!({"name": "WEBHOOK_URL_ALREADY_EXISTS"}).to_string()),
            ("GET", _) => {
                let known =
                    json!({"id": "W1", "url": "https://us.example/hook", "event_types": [{"name": "A"}]});
                Reply::Whole(200, json!({"webhooks": [known]}).to_string())
            }
            (_, _) => Reply::Whole(200, "{}".into()),
        })
    })
    .await;
    let paypal = paypal(&base, Arc::new(|| 0));
    assert_eq!(paypal.create_webhook("https://us.example/hook", &["A", "B"]).await, Ok("W1".into()));
    let patched = log.lock().unwrap().last().unwrap().clone();
    assert_eq!((&*patched.method, &*patched.path), ("PATCH", "/v1/notifications/webhooks/W1"));
    assert!(String::from_utf8(patched.body).unwrap().contains(r#"[{"name":"A"},{"name":"B"}]"#));
}

#[tokio::test]
async fn certificates_are_fetched_once_and_have_a_limit() {
    let (base, log) = server::start(|asked| match &*asked.path {
        "/good" => Reply::Whole(200, "pem".into()),
        "/long" => Reply::Whole(200, "x".repeat(vendors::http::MAX_CERTIFICATE_BYTES + 1)),
        _ => Reply::Bytes(b"HTTP/1.1 302 X\r\nlocation: /good\r\ncontent-length: 0\r\n\r\n".to_vec()),
    })
    .await;
    let http = Http::new().unwrap();
    for _ in 0..3 {
        assert_eq!(*http.fetch_certificate(&base.join("/good").unwrap(), 0).await.unwrap(), *b"pem");
    }
    assert_eq!(log.lock().unwrap().len(), 1);
    http.fetch_certificate(&base.join("/long").unwrap(), 0).await.unwrap_err();
    http.fetch_certificate(&base.join("/moved").unwrap(), 0).await.unwrap_err();
}

#[tokio::test]
async fn strangers_cannot_have_certificates_asked_for_without_end() {
    const MINUTE: i64 = 60_000_000;
    let (base, log) = server::start(|asked| match &*asked.path {
        "/good" => Reply::Whole(200, "pem".into()),
        _ => Reply::Whole(404, String::new()),
    })
    .await;
    let http = Http::new().unwrap();
    let asked = || log.lock().unwrap().len();
    let ask = async |name: &str, now| http.fetch_certificate(&base.join(name).unwrap(), now).await;
    for _ in 0..5 {
        assert!(matches!(ask("/missing", 0).await, Err(NoCertificate::Failed(_))));
    }
    assert_eq!(asked(), 1, "what failed is remembered");
    ask("/missing", MINUTE).await.unwrap_err();
    assert_eq!(asked(), 2, "for a minute");

    let names: Vec<String> = (0..200).map(|number| format!("/forged-{number}")).collect();
    let mut asking = tokio::task::JoinSet::new();
    for name in &names {
        let (http, url) = (http.clone(), base.join(name).unwrap());
        asking.spawn(async move { http.fetch_certificate(&url, MINUTE).await });
    }
    let all = asking.join_all().await;
    assert_eq!(asked(), 11, "ten new names in a minute");
    assert!(all.iter().filter(|one| **one == Err(NoCertificate::Later)).count() >= 190);
    assert_eq!(ask("/good", MINUTE).await, Err(NoCertificate::Later));
    assert_eq!(*ask("/good", 2 * MINUTE).await.unwrap(), *b"pem");
    for name in &names {
        let _ = ask(name, 2 * MINUTE).await;
    }
    assert_eq!(*ask("/good", 2 * MINUTE).await.unwrap(), *b"pem", "what is known is there at once");
}

#[tokio::test]
async fn the_certificates_in_use_are_fetched_once_each_until_there_are_too_many() {
    const MINUTE: i64 = 60_000_000;
    let (base, log) = server::start(|_| Reply::Whole(200, "pem".into())).await;
    let http = Http::new().unwrap();
    let ask = async |number: i64, now| {
        http.fetch_certificate(&base.join(&format!("/{number}")).unwrap(), now).await.unwrap();
        log.lock().unwrap().len()
    };
    for number in 0..64 {
        assert_eq!(ask(number, number * MINUTE).await, number as usize + 1);
        assert_eq!(ask(0, number * MINUTE).await, number as usize + 1, "the first is kept beside {number}");
    }
    assert_eq!(ask(64, 64 * MINUTE).await, 65, "only a stranger asks for so many: all are forgotten");
    assert_eq!(ask(0, 65 * MINUTE).await, 66);
}

/// The answer to each money request is kept once, as evidence.
#[tokio::test]
async fn the_last_answer_to_a_money_request_is_kept() {
    let (base, _) = server::start(|asked| match &*asked.path {
        "/v1/transfers" => Reply::Whole(402, r#"{"error":{"code":"balance_insufficient"}}"#.into()),
        "/v1/oauth2/token" => token(asked).unwrap(),
        _ => Reply::Whole(422, r#"{"name":"INSUFFICIENT_FUNDS"}"#.into()),
    })
    .await;
    let kept = vendors::http::LastAnswer::default();
    let body =
        |kept: &vendors::http::LastAnswer| kept.take().map(|answer| (answer.status, answer.body.len()));
    assert_eq!(body(&kept), None);
    stripe(&base).keeping(&kept).send_transfer(&a_transfer()).await;
    assert_eq!(body(&kept), Some((402, 41)));
    assert_eq!(body(&kept), None, "it was taken");
    paypal(&base, Arc::new(|| 0)).keeping(&kept).send_batch(&a_batch()).await;
    assert_eq!(body(&kept), Some((422, 29)), "the token's answer is not kept");
    stripe(&base).send_transfer(&a_transfer()).await;
    assert_eq!(body(&kept), None, "only who was asked to keep does");
}

/// The clock watcher gets our request time, our response time and the response's `Date`.
#[tokio::test]
async fn the_date_of_an_answer_is_told_beside_our_own_time() {
    let date = "Wed, 21 Oct 2026 07:28:00 GMT";
    let (base, _) = server::start(move |_| {
        Reply::Bytes(format!("HTTP/1.1 200 X\r\ndate: {date}\r\ncontent-length: 2\r\n\r\n{{}}").into())
    })
    .await;
    let (now, heard) = (AtomicI64::new(0), Arc::new(std::sync::Mutex::new(Vec::new())));
    let told = Arc::clone(&heard);
    let watch = vendors::http::Watch {
        clock: Arc::new(move || now.fetch_add(5, Ordering::SeqCst)),
        on_date: Arc::new(move |asked, answered, date: &str| {
            told.lock().unwrap().push((asked, answered, date.to_owned()))
        }),
    };
    let watched = Stripe::new(Http::new().unwrap().watched(watch), base, "sk_test_hidden").unwrap();
    watched.send_transfer(&a_transfer()).await;
    assert_eq!(*heard.lock().unwrap(), [(0, 5, date.to_owned())]);
}

#[test]
fn secrets_are_never_shown() {
    let base: Url = "https://api.example".parse().unwrap();
    let stripe = stripe(&base);
    let request = stripe.money(&a_transfer()).unwrap();
    let shown = format!("{stripe:?} {:?} {request:?} {:?}", paypal(&base, Arc::new(|| 0)), a_batch());
    assert!(shown.starts_with("Stripe(https://api.example/) PayPal(https://api.example/)"), "{shown}");
    for secret in ["hidden", "Bearer", "Basic", "ana@example.com"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(shown.contains("POST /v1/transfers"), "what it was is shown: {shown}");
    assert!(request.headers.iter().any(|(_, value)| value.is_sensitive()));
}

#[test]
fn a_payout_without_an_account_cannot_exist() {
    use vendors::MoneyKind::{Batch, Payout, Reversal, Transfer};
    let from = |kind, path: &str, account: Option<&str>, key: &str| {
        MoneyRequest::from_stored(kind, path.into(), account.map(String::from), key.into(), b"a=1".to_vec())
    };
    assert!(from(Payout, "/v1/payouts", Some("acct_9"), "k").is_ok());
    assert!(from(Transfer, "/v1/transfers", None, "k").is_ok());
    for (kind, path, account, key) in [
        (Payout, "/v1/payouts", None, "k"),
        (Payout, "/v1/payouts", Some(""), "k"),
        (Payout, "/v1/payouts", Some("ac_9"), "k"),
        (Payout, "/v1/payouts", Some("acct_9\r\nx: y"), "k"),
        (Payout, "/v1/transfers", Some("acct_9"), "k"),
        (Transfer, "/v1/payouts", None, "k"),
        (Transfer, "/v1/transfers", Some("acct_9"), "k"),
        (Reversal, "/v1/transfers/tr_1/../reversals", None, "k"),
        (Batch, "/v1/payments/payouts?x=1", None, "k"),
        (Transfer, "/v1/transfers", None, ""),
        (Transfer, "/v1/transfers", None, "a key"),
    ] {
        assert!(from(kind, path, account, key).is_err(), "{kind:?} {path} {account:?} {key}");
    }
}

/// A server that answers everything but the token request with this.
async fn answering(status: u16, body: serde_json::Value) -> PayPal {
    let (base, _) =
        server::start(move |asked| token(asked).unwrap_or_else(|| Reply::Whole(status, body.to_string())))
            .await;
    paypal(&base, Arc::new(|| 0))
}

fn odd_item(id: &str, errors: serde_json::Value, amount: serde_json::Value) -> serde_json::Value {
    json!({"payout_item_id": id, "transaction_status": "UNCLAIMED", "payout_item_fee": null, "errors": errors,
           "payout_item": {"amount": amount, "receiver": "a@example.com", "sender_item_id": format!("ptx_{id}")}})
}

#[tokio::test]
async fn one_odd_item_spoils_only_itself() {
    let good = || json!({"currency": "USD", "value": "25.00"});
    let items = [
        odd_item("I0", serde_json::Value::Null, good()),
        odd_item("I1", json!({"name": "RECEIVER_UNREGISTERED", "message": null}), good()),
        odd_item("I2", json!({}), good()),
        odd_item("I3", json!({"name": null}), good()),
        odd_item("I4", json!([{"name": "FIRST", "message": "Words."}]), good()),
        odd_item("I5", json!("a text"), good()),
        odd_item("I6", serde_json::Value::Null, json!({"currency": "USD", "value": 25.0})),
        odd_item("I7", serde_json::Value::Null, json!("25.00 USD")),
        json!(null),
        json!({"payout_item_id": null}),
    ];
    let body = json!({"batch_header": {"payout_batch_id": "B1", "batch_status": "SUCCESS", "errors": []},
                      "total_items": 10, "total_pages": null, "items": items});
    let batch = answering(200, body).await.batch("B1").await.unwrap();
    assert_eq!((batch.items.len(), batch.unread, batch.error.is_none()), (8, 2, true));
    let codes: Vec<String> = batch
        .items
        .iter()
        .map(|item| match vendors::paypal::batch::item_fact(item) {
            Some(payout::transaction::Fact::ItemUnclaimed(reason)) => reason.code,
            other => panic!("{other:?}"),
        })
        .collect();
    let unclaimed = "UNCLAIMED";
    assert_eq!(
        codes,
        [unclaimed, "RECEIVER_UNREGISTERED", unclaimed, unclaimed, "FIRST", unclaimed, unclaimed, unclaimed]
    );
    let amounts: Vec<bool> = batch.items.iter().map(|item| item.amount.is_some()).collect();
    assert_eq!(amounts, [true, true, true, true, true, true, false, false], "amounts are read strictly");
    // What cannot be read does not match what we sent.
    assert!(vendors::paypal::batch::difference(&a_batch(), &batch).is_some());
}

/// We name every item we send. One without a name could be any of ours, so the batch does not count as completely read:
/// absence from it would end a payment that was made.
#[tokio::test]
async fn an_item_that_names_none_of_ours_is_not_read() {
    let good = json!({"currency": "USD", "value": "25.00"});
    for ordered in [
        json!({"amount": good, "receiver": "a@example.com"}),
        json!({"amount": good, "receiver": "a@example.com", "sender_item_id": null}),
        json!({"amount": good, "receiver": "a@example.com", "sender_item_id": ["ptx_I1"]}),
        json!({"amount": good, "receiver": "a@example.com", "sender_item_id": ""}),
        json!({"amount": good, "receiver": "a@example.com", "sender_item_id": " "}),
        json!("25.00 USD to a@example.com"),
        serde_json::Value::Null,
    ] {
        let odd =
            json!({"payout_item_id": "I1", "transaction_status": "SUCCESS", "payout_item": ordered.clone()});
        let items = [odd_item("I0", serde_json::Value::Null, good.clone()), odd];
        let body =
            json!({"batch_header": {"payout_batch_id": "B1", "batch_status": "CANCELED"}, "items": items});
        let batch = answering(200, body).await.batch("B1").await.unwrap();
        assert_eq!((batch.items.len(), batch.unread, batch.is_whole()), (1, 1, false), "{ordered}");
    }
}

#[tokio::test]
async fn an_error_body_with_nulls_in_it_is_still_that_error() {
    let body = json!({"name": "VALIDATION_ERROR", "message": null, "details": null, "links": null});
    match answering(400, body).await.send_batch(&a_batch()).await {
        Outcome::Rejected(refused) => assert_eq!(refused.code, "VALIDATION_ERROR"),
        other @ (Outcome::Accepted(_) | Outcome::Unknown(_)) => panic!("{other:?}"),
    }
    let body = json!({"name": "USER_BUSINESS_ERROR",
                      "details": [7, {"field": "SENDER_BATCH_ID", "issue": null, "link": null, "links": "none"}]});
    let outcome = answering(400, body).await.send_batch(&a_batch()).await;
    assert!(
        matches!(outcome, Outcome::Accepted(vendors::paypal::batch::BatchAccepted::Duplicate { .. })),
        "{outcome:?}"
    );
    let body = json!({"error": {"type": "invalid_request_error", "code": null, "message": {}, "param": 7}});
    let (base, _) = server::start(move |_| Reply::Whole(400, body.to_string())).await;
    match stripe(&base).send_transfer(&a_transfer()).await {
        Outcome::Rejected(refused) => assert_eq!(refused.code, "invalid_request_error"),
        other @ (Outcome::Accepted(_) | Outcome::Unknown(_)) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_account_with_odd_fields_is_read_as_not_payable_where_they_matter() {
    let body = json!({"id": "acct_9", "country": null, "payouts_enabled": null, "details_submitted": "yes",
        "capabilities": {"transfers": null}, "requirements": {"disabled_reason": {}, "currently_due": [null, "dob"]},
        "external_accounts": {"data": [null, {"id": "ba_1", "currency": "eur", "status": null}], "has_more": null},
        "settings": {"payouts": null}});
    let (base, _) = server::start(move |_| Reply::Whole(200, body.to_string())).await;
    let account = ConnectedAccount::parse("acct_9").unwrap();
    let state = stripe(&base).account(&account).await.unwrap();
    assert!(!state.transfers_active && !state.payouts_enabled && !state.details_submitted);
    assert_eq!((state.currently_due.as_slice(), state.currencies.len()), (&["dob".to_owned()][..], 1));
    let body =
        json!({"available": [null, {"amount": 5, "currency": "usd"}, {"amount": null, "currency": "eur"}]});
    let (base, _) = server::start(move |_| Reply::Whole(200, body.to_string())).await;
    let balance = stripe(&base).balance(Some(&account)).await.unwrap();
    let usd = payout::money::Currency::parse("USD").unwrap();
    let eur = payout::money::Currency::parse("EUR").unwrap();
    assert_eq!((balance.available_units(usd), balance.available_units(eur)), (Some(5), None));
}

#[tokio::test]
async fn a_payout_with_odd_fields_is_read_and_an_odd_amount_is_not() {
    let account = ConnectedAccount::parse("acct_9").unwrap();
    let odd = json!({"id": "po_1", "amount": 5, "currency": "usd", "status": null, "automatic": null,
        "metadata": {"attempt": "att_1", "other": 7}, "created": 1.5, "arrival_date": "soon",
        "destination": {"id": "ba_1"}, "failure_code": 7, "livemode": null});
    let (base, _) = server::start(move |_| Reply::Whole(200, odd.to_string())).await;
    let read = stripe(&base).payout(&account, "po_1").await.unwrap();
    assert_eq!(vendors::stripe::payout::fact(&read), None);
    assert_eq!(read.metadata.get("attempt").map(String::as_str), Some("att_1"));
    let odd = json!({"id": "po_1", "amount": "5", "currency": "usd", "status": "paid"});
    let (base, _) = server::start(move |_| Reply::Whole(200, odd.to_string())).await;
    assert!(stripe(&base).payout(&account, "po_1").await.is_err());
}
