//! Idempotency keys and entity tags.

use axum::body::Body;
use axum::http::Request;
use bursar::ops::idempotency::{self, Idempotency, KeyOutcome, Reply};
use serde_json::{Value, json};

use super::TestApp;

fn reward(id: &str) -> Value {
    json!({"external_id": id, "activity": "deal", "owner": "ana", "value": {"value": "10", "currency": "EUR"}})
}

#[tokio::test]
async fn the_same_key_answers_the_same_again() {
    let house = TestApp::open("keys").await;
    house.seed_data().await;
    let key: &[(&str, &str)] = &[("idempotency-key", "k1")];
    let post = async |body: Value| house.call_as(&house.admin, "POST", "/rewards", body, key).await;
    let first = post(reward("R1")).await;
    let again = post(reward("R1")).await;
    assert_eq!((first.status.as_u16(), again.status.as_u16()), (201, 201));
    assert_eq!(first.body, again.body);
    assert_eq!((first.header("idempotent-replayed"), again.header("idempotent-replayed")), ("", "true"));
    post(reward("R2")).await.refused(422, "idempotency_key_reused");
    let refused: &[(&str, &str)] = &[("idempotency-key", "k2")];
    let path = "/rewards/nobody/approve";
    let first = house.call_as(&house.admin, "POST", path, Value::Null, refused).await;
    let again = house.call_as(&house.admin, "POST", path, Value::Null, refused).await;
    assert_eq!((first.status.as_u16(), again.header("idempotent-replayed")), (404, "true"));
    assert_eq!(first.body, again.body, "a refusal is answered again as well");
    house.pass_days(31);
    assert_eq!(idempotency::delete_expired(&house.app, house.app.clock.now()).await.unwrap(), 2);
    assert_eq!(
        idempotency::delete_expired(&house.app, house.app.clock.now()).await.unwrap(),
        0,
        "once an hour is enough"
    );
    assert_eq!(post(reward("R1")).await.status, 200, "after 30 days the key is new; the reward exists");
}

#[tokio::test]
async fn what_was_answered_in_the_end_is_answered_again() {
    let house = TestApp::open("in_the_end").await;
    let begin = async || idempotency::begin(&house.app, "per_1", "k", "h").await.unwrap();
    let KeyOutcome::First(mark) = begin().await else { panic!("a new key is free") };
    let short = |(): &()| Reply { status: 202, content_type: "t".into(), body: "not known yet".into() };
    let mut tx = house.app.store.begin().await.unwrap();
    idempotency::finish(&mut tx, Some(&Idempotency::new(mark.clone(), short)), &()).await.unwrap();
    tx.commit().await.unwrap();
    let KeyOutcome::Answered(reply) = begin().await else {
        panic!("the effect and its answer are there together")
    };
    assert_eq!(reply.status, 202);
    let whole = Reply { status: 409, content_type: "t".into(), body: "the vendor refused".into() };
    idempotency::keep(&house.app, &mark, &whole).await.unwrap();
    assert!(matches!(begin().await, KeyOutcome::Answered(reply) if reply == whole));
}

#[tokio::test]
async fn a_running_key_is_in_use_until_its_lease_runs_out() {
    let house = TestApp::open("lease").await;
    let begin = async || idempotency::begin(&house.app, "per_1", "k", "h").await.unwrap();
    let KeyOutcome::First(dead) = begin().await else { panic!("a new key is free") };
    assert!(matches!(begin().await, KeyOutcome::Running));
    house.clock.pass(31_000_000);
    assert!(matches!(begin().await, KeyOutcome::First(_)), "taken over from a process that died");
    idempotency::forget(&house.app, &dead).await.unwrap();
    assert!(matches!(begin().await, KeyOutcome::Running), "the one that died holds it no more");
}

#[tokio::test]
async fn a_file_needs_a_key() {
    let house = TestApp::open("file_key").await;
    let request = Request::builder()
        .method("POST")
        .uri("/api/v1/rewards/import")
        .header("authorization", format!("Bearer {}", house.admin))
        .header("content-type", "text/csv")
        .body(Body::from("external_id,activity,owner,value,currency\n"));
    house.send(request.unwrap()).await.refused(400, "idempotency_key_required");
}

#[tokio::test]
async fn a_stale_tag_gets_the_newer_object() {
    let house = TestApp::open("tags").await;
    house.seed_data().await;
    house.reward("R1", "ana", "10").await;
    let tag = house.get("/rewards/R1").await.header("etag").to_owned();
    let edit = async |tag: &str, value: &str| {
        let body = json!({"value": {"value": value, "currency": "EUR"}});
        house.call_as(&house.admin, "PATCH", "/rewards/R1", body, &[("if-match", tag)]).await
    };
    let edited = edit(&tag, "11").await;
    assert_eq!(edited.status, 200);
    let stale = edit(&tag, "12").await;
    stale.refused(412, "precondition_failed");
    assert_eq!(stale.body["current"]["value"]["value"], "11.00");
    assert_eq!(edit(edited.header("etag"), "12").await.status, 200);
    assert_eq!(edit("\"nonsense\"", "13").await.status, 412);

    let settings = house.get("/settings/payout").await;
    assert_eq!(settings.body["cooling_off_hours"], 72);
    let tag = settings.header("etag").to_owned();
    let put = async |body: Value, tag: &str| {
        house.call_as(&house.admin, "PUT", "/settings/payout", body, &[("if-match", tag)]).await
    };
    assert_eq!(put(json!({"cooling_off_hours": 0}), &tag).await.ok()["cooling_off_hours"], 0);
    put(json!({"cooling_off_hours": 1}), &tag).await.refused(412, "precondition_failed");
    let refused = house.call("PUT", "/settings/payout", json!({"enabled": true})).await;
    refused.refused(422, "payout_method_required");
    assert_eq!(refused.body["errors"][0]["detail"], "Payout method must be selected");
    let nobody = json!({"enabled": true, "vendors": ["paypal", "stripe"]});
    let refused = house.call("PUT", "/settings/payout", nobody).await;
    refused.refused(422, "vendor_not_connected");
    let thresholds =
        json!({"vendors": ["paypal", "stripe"], "earning_thresholds": [{"value": "50", "currency": "EUR"}]});
    let saved = house.call("PUT", "/settings/payout", thresholds).await.ok();
    assert_eq!(saved["earning_thresholds"], json!([{"value": "50.00", "currency": "EUR"}]));
    assert_eq!(saved["cooling_off_hours"], 0, "what is not named keeps its value");
}
