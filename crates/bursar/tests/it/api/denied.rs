//! Denied requests in the audit trail: one row for each client and kind in ten minutes, and the address of every request that
//! changes something.

use axum::body::Body;
use axum::http::Request;
use bursar::ops::people::{self, NewPerson};
use bursar::ops::verify;
use bursar::store::audit;
use payout::access::Role;
use serde_json::{Value, json};

use super::{TestApp, from};

const MINUTE: i64 = 60_000_000;

/// The rows of an action, oldest first: actor and detail. Waits until there are this many, because they are written after
/// the response.
async fn rows(house: &TestApp, action: &str, many: usize) -> Vec<(String, Value)> {
    let filter = audit::Filter { action: Some(action.to_owned()), ..audit::Filter::default() };
    let mut found = Vec::new();
    for _ in 0..400 {
        found = audit::list(&mut house.app.store.read().await.unwrap(), &filter, 500).await.unwrap();
        if found.len() >= many {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(found.len(), many, "{action}: {found:?}");
    let row = |row: audit::Row| (row.actor, serde_json::from_str(&row.detail).unwrap());
    found.into_iter().rev().map(row).collect()
}

fn with_key(method: &str, path: &str, key: &str) -> Request<Body> {
    let request =
        Request::builder().method(method).uri(path).header("authorization", format!("Bearer {key}"));
    request.header("content-type", "application/json").body(Body::from("{}")).unwrap()
}

#[tokio::test]
async fn a_permission_denied_has_a_row_with_who_where_and_from_which_address() {
    let house = TestApp::open("denied_permission").await;
    let key = house.key(Role::Preparer, None).await;
    let id = people::by_key(&house.app, &key, None).await.unwrap().actor().unwrap().id.to_string();
    let ask = async || {
        house
            .send(from(with_key("GET", "/api/v1/audit", &key), "203.0.113.200"))
            .await
            .refused(403, "permission_denied");
    };
    for _ in 0..4 {
        ask().await;
    }
    let told = rows(&house, "permission_denied", 1).await;
    let detail =
        json!({ "from": "203.0.113.200", "route": "GET /api/v1/audit", "code": "permission_denied" });
    assert_eq!(told, [(id, detail)]);
    house.clock.pass(10 * MINUTE);
    ask().await;
    let told = rows(&house, "permission_denied", 2).await;
    assert_eq!(told[1].1["left_out"], 3);
}

#[tokio::test]
async fn a_key_that_is_not_accepted_has_a_row() {
    let house = TestApp::open("denied_keys").await;
    let key = house.key(Role::Preparer, None).await;
    let id = people::by_key(&house.app, &key, None).await.unwrap().actor().unwrap().id;
    let admin = people::by_key(&house.app, &house.admin, None).await.unwrap().actor().unwrap();
    people::revoke(&house.app, &admin, id).await.unwrap();
    for _ in 0..3 {
        house
            .send(from(with_key("GET", "/api/v1/rewards", "brs_nobody"), "203.0.113.1"))
            .await
            .refused(401, "unauthenticated");
    }
    rows(&house, "api_key_refused", 1).await;
    house
        .send(from(with_key("GET", "/api/v1/rewards", &key), "203.0.113.1"))
        .await
        .refused(401, "unauthenticated");
    // Without a key nobody tries anything.
    let bare = Request::get("/api/v1/rewards").body(Body::empty()).unwrap();
    house.send(from(bare, "203.0.113.2")).await.refused(401, "unauthenticated");
    let told = rows(&house, "api_key_refused", 2).await;
    let actors: Vec<&str> = told.iter().map(|(actor, _)| actor.as_str()).collect();
    assert_eq!(actors, ["stranger", id.to_string().as_str()]);
}

#[tokio::test]
async fn a_limit_that_begins_has_a_row_and_a_flood_has_few() {
    let house = TestApp::open("denied_flood").await;
    let form = |address: &str| {
        let form = Request::post("/login").header("content-type", "application/x-www-form-urlencoded");
        from(form.body(Body::from("csrf=1")).unwrap(), address)
    };
    for _ in 0..80 {
        house.send(form("203.0.113.1")).await;
    }
    let told = rows(&house, "rate_limited", 1).await;
    assert_eq!((told[0].0.as_str(), &told[0].1["route"]), ("stranger", &json!("POST /login")));
    for network in 0..200 {
        let unknown = with_key("GET", "/api/v1/rewards", "brs_nobody");
        house.send(from(unknown, &format!("10.{network}.0.1"))).await.refused(401, "unauthenticated");
    }
    rows(&house, "api_key_refused", 50).await;
}

#[tokio::test]
async fn what_a_request_changes_is_noted_with_its_address() {
    let house = TestApp::open("denied_origin").await;
    let body = json!({ "name": "Acme" }).to_string();
    let request =
        Request::put("/api/v1/accounts/A-1").header("authorization", format!("Bearer {}", house.admin));
    let request = request.header("content-type", "application/json").body(Body::from(body)).unwrap();
    let done = house.send(from(request, "198.51.100.7")).await;
    assert_eq!(done.status, 201, "{}", done.body);
    let told = rows(&house, "account_saved", 1).await;
    assert_eq!(told[0].1["came_from"], "198.51.100.7");
    let mut db = house.app.store.read().await.unwrap();
    assert!(verify::segment(&mut db, 1, 100).await.unwrap().violations.is_empty());
}

/// A form is handled in a task of its own, and this one's link is made in another, after the answer.
#[tokio::test]
async fn whoever_asks_for_a_password_link_is_noted_with_their_address() {
    let house =
        TestApp::open_at("denied_forgotten", "http://127.0.0.1:8080", &["--smtp-url=smtp://127.0.0.1:1"])
            .await;
    let kim = NewPerson {
        email: "kim@example.com".to_owned(),
        name: "Kim".to_owned(),
        role: Role::Payer,
        partner: None,
        password: Some("four green lanterns".to_owned()),
    };
    people::add(&house.app, &kim).await.unwrap();
    let form = Request::post("/forgotten").header("content-type", "application/x-www-form-urlencoded");
    house.send(from(form.body(Body::from("email=kim%40example.com")).unwrap(), "198.51.100.8")).await;
    let told = rows(&house, "password_link_asked", 1).await;
    assert_eq!(told[0].1["came_from"], "198.51.100.8");
}
