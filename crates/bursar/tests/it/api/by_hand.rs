//! Settling payments by hand over the API: status codes, who may do it, and what partners can see.

use bursar::ops::OpsError;
use bursar::ops::by_hand::{self, Finding};
use bursar::ops::people::{self, NewKey};
use bursar::store::put_back::{self, Found};
use bursar::store::transactions;
use bursar::work::ask;
use payout::access::Role;
use payout::money::Vendor;
use serde_json::{Value, json};

use super::all_scopes;
use crate::scenarios::Stage;

/// Sends a request with this key.
async fn ask(stage: &Stage, key: &str, method: &str, path: &str, body: Value) -> (u16, Value) {
    use axum::body::Body;
    use tower::ServiceExt as _;
    let request = axum::http::Request::builder()
        .method(method)
        .uri(format!("/api/v1{path}"))
        .header("authorization", format!("Bearer {key}"))
        .header("content-type", "application/json")
        .body(if body.is_null() { Body::empty() } else { Body::from(body.to_string()) });
    let router = bursar::web::router(stage.world.works[0].clone());
    let answer = router.oneshot(request.unwrap()).await.unwrap();
    let status = answer.status().as_u16();
    let bytes = axum::body::to_bytes(answer.into_body(), 1 << 22).await.unwrap();
    (status, serde_json::from_slice(&bytes).unwrap())
}

/// An API key created by this person, or one for a partner.
async fn key(stage: &Stage, by: &str, role: Role, partner: Option<&str>) -> String {
    let partner = partner.map(str::to_owned);
    let new = NewKey { partner, ..NewKey::of("k", role, all_scopes(role)) };
    people::make_key(&stage.world.app, by, &new).await.unwrap()
}

async fn staged(name: &str, story: &str) -> Stage {
    let mut stage = Stage::open(name, 501).await;
    for line in story.lines().filter(|line| !line.trim().is_empty()) {
        stage.one(line).await.unwrap();
    }
    stage
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parked_money_is_settled_by_two_people() {
    let stage = staged(
        "api_settle_parked",
        "partner bo stripe acct_sim_closed_bo
        reward R1 bo 75.00 approved
        batch B1 R1
        pay B1
        live 10 seconds",
    )
    .await;
    let (pat, kim) = (stage.world.actor.id.to_string(), stage.world.other.id.to_string());
    let (hers, also_hers) =
        (key(&stage, &pat, Role::Payer, None).await, key(&stage, &pat, Role::Admin, None).await);
    let theirs = key(&stage, &kim, Role::Payer, None).await;
    let reads = key(&stage, &kim, Role::Auditor, None).await;
    let path = format!("/transactions/{}/settle-parked", stage.number("bo").await.unwrap());
    let lost = json!({ "outcome": "written_off", "note": "Stripe says that it is spent" });
    let (status, body) = ask(&stage, &reads, "POST", &path, lost.clone()).await;
    assert_eq!(status, 403, "{body:#}");
    let (status, body) = ask(&stage, &hers, "POST", &path, json!({ "outcome": "gone", "note": "n" })).await;
    assert_eq!((status, body["errors"][0]["pointer"].as_str()), (422, Some("/outcome")), "{body:#}");
    let (status, body) =
        ask(&stage, &hers, "POST", &path, json!({ "outcome": "written_off", "note": " " })).await;
    assert_eq!((status, body["code"].as_str()), (422, Some("note_required")), "{body:#}");
    let (status, body) = ask(&stage, &hers, "POST", &path, lost.clone()).await;
    assert_eq!(status, 202, "{body:#}");
    let second = &body["second_person"];
    assert_eq!(
        (second["deed"].as_str(), second["why"].as_str()),
        (Some("written_off"), Some("nothing_proves_it"))
    );
    assert_eq!(body["status"], "payout_failed");
    // Another key of the same person does not count as a second person.
    let (status, body) = ask(&stage, &also_hers, "POST", &path, lost.clone()).await;
    assert_eq!(status, 202, "{body:#}");
    let (status, body) = ask(&stage, &theirs, "POST", &path, lost.clone()).await;
    assert_eq!((status, &body["second_person"]), (200, &Value::Null), "{body:#}");
    let (status, body) = ask(&stage, &theirs, "POST", &path, lost).await;
    assert_eq!((status, body["code"].as_str()), (409, Some("nothing_parked")), "{body:#}");
    stage.close(Ok(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_our_people_noted_is_not_told_to_partners() {
    const NOTE: &str = "Kim suspects fraud and phoned PayPal";
    let stage = staged(
        "api_note_hidden",
        "partner ana paypal ana@example.com
        reward R1 ana 20.00 approved
        batch B1 R1
        pay B1
        vendor paypal 503 on batch times 100000
        tick dispatch
        later 29 days
        tick dispatch
        heal",
    )
    .await;
    let (pat, kim) = (stage.world.actor.id.to_string(), stage.world.other.id.to_string());
    let (hers, theirs) =
        (key(&stage, &pat, Role::Payer, None).await, key(&stage, &kim, Role::Payer, None).await);
    let own = key(&stage, &pat, Role::Partner, Some("ana")).await;
    let number = stage.number("ana").await.unwrap();
    let path = format!("/transactions/{number}/settle-by-hand");
    let said = json!({ "outcome": "not_made", "note": NOTE });
    let (status, body) = ask(&stage, &hers, "POST", &path, said.clone()).await;
    assert_eq!((status, body["second_person"]["why"].as_str()), (202, Some("vendor_not_looked_through")));
    let (_, body) = ask(&stage, &own, "GET", &format!("/transactions/{number}"), Value::Null).await;
    assert!(body["number"] == number.as_str() && !body.to_string().contains("fraud"), "{body:#}");
    let (status, body) = ask(&stage, &theirs, "POST", &path, said).await;
    assert_eq!((status, body["status"].as_str()), (200, Some("failed")), "{body:#}");
    assert!(body["timeline"].to_string().contains("fraud"), "we read it ourselves: {body:#}");
    let (_, body) = ask(&stage, &own, "GET", &format!("/transactions/{number}"), Value::Null).await;
    assert_eq!((body["status"].as_str(), &body["reason"]["vendor_message"]), (Some("failed"), &Value::Null));
    assert!(!body.to_string().contains("fraud"), "{body:#}");
    stage.close(Ok(())).await;
}

/// An object found by a search after the look-up was not part of that look-up: the payment is not settled as *not made*, and
/// the found object does not settle it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_found_since_is_not_settled_by_the_look() {
    let stage = staged(
        "api_found_since",
        "partner ana paypal ana@example.com
        reward R1 ana 20.00 approved
        batch B1 R1
        vendor paypal webhook lost times 500
        pay B1
        vendor paypal answer lost
        tick dispatch
        hold ana on
        later 1 minute
        tick dispatch
        expect ana pending_processing needs_review",
    )
    .await;
    let number = stage.number("ana").await.unwrap();
    let (work, app) = (stage.world.works[0].clone(), stage.world.app.clone());
    let found = transactions::find(&mut app.store.read().await.unwrap(), &number).await.unwrap();
    let looked = ask::not_made(&work, found.id).await.unwrap();
    let object = Found {
        vendor: Vendor::PayPal,
        object_id: "ITEM".to_owned(),
        our_id: found.id.to_string(),
        destination: "ana@example.com".to_owned(),
        amount: found.terms.net,
        made_at: None,
        reference: None,
    };
    let mut tx = app.store.begin().await.unwrap();
    tx.named(bursar::this_function!());
    put_back::note_found(&mut tx, &[object], app.clock.now()).await.unwrap();
    tx.commit().await.unwrap();
    for who in [&stage.world.actor, &stage.world.other] {
        let late = by_hand::settle_by_hand(&app, who, found.id, &looked, "PayPal has none", None).await;
        assert_eq!(code(late.map(drop)), "changed_meanwhile");
    }
    let open = put_back::open_of(&mut app.store.read().await.unwrap(), found.id).await.unwrap();
    assert_eq!(open, ["ITEM"]);
    stage.close(Ok(())).await;
}

/// Between the look-up at the vendor and its recording, someone else may settle and retry the payment, or the vendor may
/// report something new. *Not made* must then be refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_looked_at_is_not_called_not_made() {
    let mut stage = staged(
        "api_not_looked_at",
        "partner ana paypal ana@example.com
        reward R1 ana 20.00 approved
        batch B1 R1
        vendor paypal webhook lost times 500
        pay B1
        vendor paypal answer lost
        tick dispatch
        hold ana on
        later 1 minute
        tick dispatch
        expect ana pending_processing needs_review",
    )
    .await;
    let number = stage.number("ana").await.unwrap();
    let (work, other) = (stage.world.works[0].clone(), stage.world.other.clone());
    let id = transactions::find(&mut work.app.store.read().await.unwrap(), &number).await.unwrap().id;
    let looked = ask::not_made(&work, id).await.unwrap();

    // The first attempt is settled as not made and another one waits: the look-up was about the first.
    for line in [
        "settle ana not-made",
        "settle ana not-made by other",
        "hold ana off",
        "resubmit ana",
        "vendor paypal 503 on batch",
        "tick dispatch",
        "hold ana on",
        "later 1 minute",
        "tick dispatch",
        "expect ana pending_processing needs_review",
    ] {
        stage.one(line).await.unwrap();
    }
    let late = by_hand::settle_by_hand(&work.app, &other, id, &looked, "PayPal has none", None).await;
    assert_eq!(code(late.map(drop)), "changed_meanwhile");

    // A contradiction that arrived after the look-up was not part of it either.
    for line in ["webhook ana succeeded of 1", "tick intake", "later 30 seconds", "tick settle"] {
        stage.one(line).await.unwrap();
    }
    for line in ["settle ana not-made", "settle ana not-made by other"] {
        stage.one(line).await.unwrap();
    }
    let Finding::NotMade { looked, of, .. } = looked else { panic!("the look found something") };
    let before = Finding::NotMade { looked, of, contradicted_at: None, found: Vec::new() };
    let late = by_hand::settle_by_hand(&work.app, &other, id, &before, "PayPal has none", None).await;
    assert_eq!(code(late.map(drop)), "changed_meanwhile");
    stage.one("settle ana made").await.unwrap();
    stage.one("expect ana success").await.unwrap();
}

/// State left by an earlier version: one payment of a batch was settled as not made, and its sibling waits behind a request
/// that is never sent again. Refresh reports that instead of doing nothing, and the sibling can be settled by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_behind_an_ended_request_says_so() {
    let mut stage = staged(
        "api_request_ended",
        "partner ana paypal ana@example.com
        partner cy paypal cy@example.com
        reward R1 ana 20.00 approved
        reward R2 cy 30.00 approved
        batch B1 all
        pay B1
        vendor paypal 503 on batch
        tick dispatch
        hold ana on
        later 1 minute
        tick dispatch
        expect all pending_processing needs_review",
    )
    .await;
    let sql = "UPDATE submission SET state = 'refused', ended_at = created_at".to_owned();
    crate::world::run(&stage.world.database_url, sql).await;
    let pat = stage.world.actor.id.to_string();
    let payer = key(&stage, &pat, Role::Payer, None).await;
    let path = format!("/transactions/{}/refresh", stage.number("cy").await.unwrap());
    let (status, body) = ask(&stage, &payer, "POST", &path, Value::Null).await;
    assert_eq!((status, body["code"].as_str()), (409, Some("request_ended")), "{body:#}");
    for line in ["settle ana not-made", "settle ana not-made by other", "expect all failed reason not_made"] {
        stage.one(line).await.unwrap();
    }
    stage.close(Ok(())).await;
}

fn code(answer: Result<(), OpsError>) -> String {
    match answer {
        Err(OpsError::Conflict(refusal)) => refusal.code.to_string(),
        other => panic!("{other:?}"),
    }
}
