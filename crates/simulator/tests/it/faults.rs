//! Every fault of a call: what the caller sees, and what was actually executed.

use simulator::{Call, Fault, FaultKind, Vendor};

use crate::play::{Play, SECOND};

fn plant(play: &Play, vendor: Vendor, call: Call, kind: FaultKind) {
    play.simulator.plant(Fault { vendor, call, kind, skip: 0, times: 1 });
}

/// The result of a transfer: the status, or 0 if the connection broke.
async fn transfer(play: &Play) -> (u16, String) {
    let form =
        [("amount", "700"), ("currency", "usd"), ("destination", "acct_a"), ("transfer_group", "ptx_1")];
    match play.try_post("/v1/transfers", &form, &[("idempotency-key", "tr:1")]).await {
        Ok(answer) => {
            let code = [answer.text("/error/code"), answer.text("/error/type")].concat();
            (answer.status, if code.is_empty() { answer.text("/id").to_owned() } else { code })
        }
        Err(_) => (0, String::new()),
    }
}

#[tokio::test]
async fn faults_of_a_transfer() {
    let cases = [
        // fault, status seen, amount moved, status of the retry
        (FaultKind::AnswerLost, 0, 700, 200),
        (FaultKind::CutInBody, 0, 700, 200),
        (FaultKind::RefuseConnection, 0, 0, 200),
        (FaultKind::Stored500, 500, 0, 500),
        (FaultKind::Executed500, 500, 700, 500),
        (FaultKind::Status503, 503, 0, 200),
        (FaultKind::RateLimited { retry_after_s: 7 }, 429, 0, 200),
        (FaultKind::LockTimeout, 429, 0, 200),
        (FaultKind::InUse409, 409, 0, 200),
        (FaultKind::Unauthorized401, 401, 0, 200),
        (FaultKind::Html200, 200, 0, 200),
        (FaultKind::OtherAmount, 200, 700, 200),
        (FaultKind::Repeated, 200, 700, 200),
        (FaultKind::SlowDrip { millis: 20 }, 200, 700, 200),
    ];
    for (kind, status, moved, then) in cases {
        let play = Play::start().await;
        plant(&play, Vendor::Stripe, Call::Transfer, kind.clone());
        assert_eq!(transfer(&play).await.0, status, "{kind:?}");
        assert_eq!(play.flow(Vendor::Stripe, "ptx_1").0, moved, "{kind:?}");
        assert_eq!(transfer(&play).await.0, then, "{kind:?}: next try");
        let in_all = if kind == FaultKind::Stored500 { 0 } else { 700 };
        assert_eq!(play.flow(Vendor::Stripe, "ptx_1").0, in_all, "{kind:?}: never twice");
        let books = play.simulator.books();
        let executed = books.requests.iter().filter(|request| request.executed).count();
        assert_eq!((books.requests.len(), executed), (2, usize::from(in_all > 0)), "{kind:?}");
        assert!(books.clashing_keys().is_empty());
    }
}

#[tokio::test]
async fn faults_of_a_batch() {
    let cases = [
        (FaultKind::AnswerLost, 0, 400),
        (FaultKind::CutInBody, 0, 400),
        (FaultKind::RefuseConnection, 0, 201),
        (FaultKind::Stored500, 500, 201),
        (FaultKind::Executed500, 500, 400),
        (FaultKind::Status503, 503, 201),
        (FaultKind::RateLimited { retry_after_s: 7 }, 429, 201),
        (FaultKind::LockTimeout, 429, 201),
        (FaultKind::InUse409, 409, 201),
        (FaultKind::Unauthorized401, 401, 201),
        (FaultKind::Html200, 200, 201),
        (FaultKind::OtherAmount, 201, 400),
        (FaultKind::Repeated, 400, 400),
        (FaultKind::SlowDrip { millis: 20 }, 201, 400),
    ];
    let body = crate::play::batch_body("pb_1", &[("ana@example.com", "7.00", "ptx_1")]);
    for (kind, status, then) in cases {
        let play = Play::start().await;
        plant(&play, Vendor::PayPal, Call::Batch, kind.clone());
        let seen = play.try_paypal("POST", "/v1/payments/payouts", Some(&body)).await;
        assert_eq!(seen.map_or(0, |answer| answer.status), status, "{kind:?}");
        let again = play.paypal("POST", "/v1/payments/payouts", Some(&body)).await;
        assert_eq!(again.status, then, "{kind:?}: next try");
        play.later(SECOND);
        assert_eq!(play.flow(Vendor::PayPal, "ptx_1"), (700, 0, 700), "{kind:?}: exactly once");
    }
}

#[tokio::test]
async fn other_amounts_are_echoed_only() {
    let play = Play::start().await;
    plant(&play, Vendor::Stripe, Call::Payout, FaultKind::OtherAmount);
    play.transfer("acct_ana", "700", "ptx_1", "t").await;
    assert_eq!(play.payout("acct_ana", "700", "ptx_1", "p").await.body["amount"], 701);
    assert_eq!(play.payout("acct_ana", "700", "ptx_1", "p").await.body["amount"], 700);
    plant(&play, Vendor::PayPal, Call::Read, FaultKind::OtherAmount);
    let item = play.settled_item("a", "ana@example.com", "10.00").await;
    assert_eq!(item["payout_item"]["amount"]["value"], "110.00");
}

#[tokio::test]
async fn other_statuses_are_echoed_only() {
    let play = Play::start().await;
    play.transfer("acct_ana", "700", "ptx_1", "t").await;
    plant(&play, Vendor::Stripe, Call::Payout, FaultKind::OtherStatus);
    assert_eq!(play.payout("acct_ana", "700", "ptx_1", "p").await.body["status"], "beyond_the_documents");
    assert_eq!(play.payout("acct_ana", "700", "ptx_1", "p").await.body["status"], "pending");
    plant(&play, Vendor::PayPal, Call::Read, FaultKind::OtherStatus);
    let item = play.settled_item("a", "ana@example.com", "10.00").await;
    assert_eq!(item["transaction_status"], "beyond_the_documents");
}

#[tokio::test]
async fn faults_skip_and_reach_reads_and_tokens() {
    let play = Play::start().await;
    let kind = FaultKind::Status503;
    play.simulator.plant(Fault { vendor: Vendor::PayPal, call: Call::Token, kind, skip: 1, times: 1 });
    assert_eq!(play.fetch_token().await.status, 200);
    assert_eq!(play.fetch_token().await.status, 503);
    plant(&play, Vendor::Stripe, Call::Read, FaultKind::RateLimited { retry_after_s: 9 });
    let limited = play.get("/v1/balance", &[]).await;
    assert_eq!((limited.status, limited.header("retry-after")), (429, "9"));
    plant(&play, Vendor::Stripe, Call::Any, FaultKind::LockTimeout);
    let locked = play.post("/v1/webhook_endpoints", &[], &[]).await;
    assert_eq!((locked.status, locked.text("/error/code")), (429, "lock_timeout"));
    assert_eq!(locked.header("stripe-rate-limited-reason"), "");
}

#[tokio::test]
async fn the_control_paths_do_what_the_library_does() {
    let play = Play::start().await;
    let post = async |path: &str, body: serde_json::Value| {
        let url = format!("{}/_sim/{path}", play.base);
        let answer = crate::play::client().post(url).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 204, "{path}");
    };
    post("balance", serde_json::json!({"vendor": "stripe", "currency": "usd", "minor": 50})).await;
    let fault = serde_json::json!({"vendor": "stripe", "call": "transfer", "kind": "status503"});
    post("faults", fault).await;
    let kind = serde_json::json!({"rate_limited": {"retry_after_s": 3}});
    let fault = serde_json::json!({"vendor": "stripe", "call": "read", "kind": kind});
    post("faults", fault).await;
    post("mend", serde_json::json!({"destination": "acct_sim_closed_1"})).await;
    post("forget-token", serde_json::json!({})).await;
    assert_eq!(play.transfer("acct_ana", "10", "g", "k").await.status, 503);
    assert_eq!(play.get("/v1/balance", &[]).await.status, 429);
    assert_eq!(play.get("/v1/balance", &[]).await.body["available"][2]["amount"], 50);
    play.pay("acct_sim_closed_1", "50", "ptx_1").await;
    post("advance", serde_json::json!({"seconds": 1})).await;
    let books = play.get("/_sim/books", &[]).await;
    assert_eq!(books.body["payouts"][0]["status"], "paid");
    let books: simulator::Books = serde_json::from_value(books.body).unwrap();
    assert_eq!(books, play.simulator.books());
}
