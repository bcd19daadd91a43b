//! Rate limits for signed-in users and API keys: generous, the same for both, and a flood from one does not affect anyone
//! else.

use axum::body::Body;
use axum::http::Request;
use bursar::ops::people::{self, NewPerson};
use payout::access::Role;

use super::{Answer, TestApp, from};

const FLAGS: [&str; 2] = ["--requests-per-minute=60", "--metrics-token=tell-me"];

async fn many(house: &TestApp, key: &str, number: usize) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..number {
        statuses
            .push(house.call_as(key, "GET", "/programs", serde_json::Value::Null, &[]).await.status.as_u16());
    }
    statuses
}

#[tokio::test]
async fn a_key_that_asks_without_end_is_told_when_to_come_back_and_nobody_else_is() {
    let house = TestApp::open_at("limit_key", "http://127.0.0.1:8080", &FLAGS).await;
    let other = house.key(Role::Admin, None).await;
    let statuses = many(&house, &house.admin, 70).await;
    assert!(statuses[..60].iter().all(|status| *status == 200), "{statuses:?}");
    assert!(statuses[60..].iter().all(|status| *status == 429), "{statuses:?}");
    let slow = house.get("/programs").await;
    slow.refused(429, "too_many_requests");
    assert_eq!((slow.header("content-type"), slow.header("retry-after")), ("application/problem+json", "2"));
    // Requests that return 404 or 403 count too.
    assert_eq!(house.get("/nothing/here").await.status, 429);
    assert_eq!(many(&house, &other, 1).await, [200]);
    house.clock.pass(1_000_000);
    assert_eq!(many(&house, &house.admin, 2).await, [200, 429]);
}

/// Unknown keys are counted before the database is queried, so here the database is unavailable.
#[tokio::test]
async fn keys_that_nobody_knows_do_not_reach_the_database_without_end() {
    let house = TestApp::open_at("limit_unknown", "http://127.0.0.1:8080", &FLAGS).await;
    let other = house.key(Role::Admin, None).await;
    let ask = async |key: String, address: &str| {
        let request = Request::get("/api/v1/programs").header("authorization", format!("Bearer {key}"));
        house.send(from(request.body(Body::empty()).unwrap(), address)).await
    };
    assert_eq!(ask(house.admin.clone(), "203.0.113.9").await.status, 200);
    for number in 0..70 {
        let answer = ask(format!("brs_{number}"), "203.0.113.9").await;
        assert_eq!(answer.status, if number < 59 { 401 } else { 429 }, "{number}");
    }
    ask("brs_70".to_owned(), "203.0.113.77").await.refused(429, "slow_down");
    assert_eq!(ask("brs_70".to_owned(), "198.51.100.9").await.status, 401, "another network");
    assert_eq!(ask(house.admin.clone(), "203.0.113.9").await.status, 200, "whoever came in before comes in");
    house.clock.pass(1_000_000);
    assert_eq!(ask(other, "203.0.113.9").await.status, 200, "and whoever is new a moment later");
    house.app.store.close().await;
    assert_eq!(ask("brs_71".to_owned(), "203.0.113.9").await.status, 429, "nobody has looked for it");
    assert!(ask("brs_71".to_owned(), "198.51.100.9").await.status.is_server_error());
}

#[tokio::test]
async fn whoever_is_not_known_and_vendors_are_not_counted() {
    let house = TestApp::open_at("limit_open", "http://127.0.0.1:8080", &FLAGS).await;
    for path in ["/healthz", "/readyz", "/login", "/assets/app.css", "/api/v1/openapi.json"] {
        for _ in 0..70 {
            let answer = house.send(Request::get(path).body(Body::empty()).unwrap()).await;
            assert_ne!(answer.status, 429, "{path}");
        }
    }
    for _ in 0..70 {
        let answer = house.send(Request::post("/webhooks/stripe").body(Body::from("{}")).unwrap()).await;
        assert_ne!(answer.status, 429);
    }
}

#[tokio::test]
async fn a_person_reads_a_page_that_says_so_and_can_always_sign_out() {
    let house = TestApp::open_at("limit_person", "http://127.0.0.1:8080", &FLAGS).await;
    let password = Some("correct horse battery".to_owned());
    let (email, name) = ("kim@example.com".to_owned(), "Kim".to_owned());
    let new = NewPerson { email, name, role: Role::Payer, partner: None, password };
    people::add(&house.app, &new).await.unwrap();
    let sign_in = async || {
        let form = Request::post("/login").header("content-type", "application/x-www-form-urlencoded");
        let form = form.body(Body::from("email=kim%40example.com&password=correct+horse+battery")).unwrap();
        let entered = house.send(form).await;
        let cookies = entered.headers.get_all("set-cookie").iter().map(|cookie| cookie.to_str().unwrap());
        let session = cookies
            .map(|cookie| cookie.split(';').next().unwrap())
            .find(|one| one.starts_with("bursar_session="));
        session.unwrap().to_owned()
    };
    let (stolen, own) = (sign_in().await, sign_in().await);
    let look = async |path: &str, cookie: &str| -> Answer {
        house.send(Request::get(path).header("cookie", cookie).body(Body::empty()).unwrap()).await
    };
    let mut last = look("/rewards", &stolen).await;
    for _ in 0..100 {
        last = look("/rewards", &stolen).await;
    }
    assert_eq!((last.status.as_u16(), last.header("retry-after")), (429, "2"));
    let page = last.body.as_str().unwrap();
    assert!(page.contains("<h1>Too fast</h1>") && page.contains("action=\"/logout\""), "{page}");
    assert!(!page.contains("href=\"/rewards\""), "no menu, which would be read from the database");
    assert_eq!(look("/assets/app.css", &stolen).await.status, 200, "the page that says so is whole");
    // A flood from one session does not affect another session of the same user.
    assert_eq!(look("/me", &own).await.status, 200);
    let token = stolen.strip_prefix("bursar_session=").unwrap();
    let csrf = people::by_session(&house.app, token, None).await.unwrap().unwrap().csrf;
    let out = Request::post("/logout").header("cookie", &stolen);
    let out = out
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from(format!("csrf={csrf}")));
    assert_eq!(house.send(out.unwrap()).await.header("location"), "/login");
}
