//! Connecting a vendor: a key of the other mode is rejected, and payments record the mode they were made in.

use axum::body::Body;
use axum::http::Request;
use bursar::ops::OpsError;
use bursar::ops::people::{self, NewKey};
use bursar::work::connect;
use payout::access::Role;
use payout::scope::Scopes;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::TestApp;
use crate::scenarios::Stage;

#[tokio::test]
async fn a_key_of_the_other_mode_is_refused_before_anybody_is_asked() {
    let house = TestApp::open("connecting_wrong_mode").await;
    for (key, mode) in
        [("sk_live_1", "test"), ("rk_live_1", "test"), ("sk_test_1", "live"), ("rk_test_1", "live")]
    {
        let sent = json!({"secret_key": key, "mode": mode});
        let answer = house.call("PUT", "/settings/vendors/stripe", sent).await;
        answer.refused(422, "wrong_mode");
        assert_eq!(answer.body["errors"][0]["pointer"], "/mode", "{:#}", answer.body);
        assert!(!answer.body.to_string().contains(key), "a secret is never told");
    }
    assert_eq!(house.get("/settings/vendors").await.ok(), json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payments_say_in_which_mode_they_were_made() {
    let mut stage = Stage::open("connecting_mode", 1).await;
    let plot = "partner ana stripe acct_ana
partner bob paypal bob@example.com
reward R1 ana 10.00 approved
reward R2 bob 20.00 approved
batch B1 R1 R2
pay B1
live 1 minute";
    stage.play("mode", plot).await.unwrap();
    let world = &stage.world;
    let wrong = connect::stripe(&world.works[0], &world.actor, "sk_test_sim", "live").await;
    assert!(matches!(wrong, Err(OpsError::Refused(refusal)) if refusal.code == "wrong_mode"));
    let new = NewKey::of("reader", Role::Admin, Scopes::kept("read"));
    let key = people::create_key(&world.app, &new).await.unwrap();
    let read = async |path: &str| {
        let request = Request::get(format!("/api/v1{path}")).header("authorization", format!("Bearer {key}"));
        let router = bursar::web::router(world.works[0].clone());
        let answer = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let bytes = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        serde_json::from_slice::<Value>(&bytes).unwrap()
    };
    let all = read("/transactions").await;
    let mut modes: Vec<(String, String)> = all["data"].as_array().unwrap().iter().map(of).collect();
    modes.sort();
    let expected = [("paypal", "sandbox"), ("stripe", "test")];
    assert_eq!(modes, expected.map(|(vendor, mode)| (vendor.to_owned(), mode.to_owned())));
    let listed = read("/batches").await["data"][0].clone();
    let batch = read(&format!("/batches/{}", listed["id"].as_str().unwrap())).await;
    assert_eq!(listed["totals"], json!([{"value": "30.00", "currency": "USD"}]));
    for message in ["status", "totals", "number"] {
        assert_eq!(
            listed[message], batch[message],
            "the list tells the {message} of a batch as the batch does"
        );
    }
    let connections = read("/settings/vendors").await;
    let accounts: Vec<&str> =
        connections.as_array().unwrap().iter().filter_map(|one| one["account"].as_str()).collect();
    assert_eq!(accounts, ["sim_client", "acct_platform"]);
    stage.close(Ok(())).await;
}

fn of(row: &Value) -> (String, String) {
    (row["vendor"].as_str().unwrap().to_owned(), row["mode"].as_str().unwrap_or("none").to_owned())
}
