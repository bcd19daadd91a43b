//! Rate limits for signed-in users and API keys: generous, the same for both, and a flood from one does not affect anyone
//! else.

use axum::body::Body;
use axum::http::Request;
use bursar::ops::people::{self, NewPerson};
use payout::access::Role;

use super::{Answer, House};

const FLAGS: [&str; 2] = ["--requests-per-minute=60", "--metrics-token=tell-me"];

async fn many(house: &House, key: &str, number: usize) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..number {
        statuses
            .push(house.call_as(key, "GET", "/programs", serde_json::Value::Null, &[]).await.status.as_u16());
    }
    statuses
}

#[tokio::test]
async fn a_key_that_asks_without_end_is_told_when_to_come_back_and_nobody_else_is() {
    let house = House::open_at("limit_key", "http://127.0.0.1:8080", &FLAGS).await;
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

#[tokio::test]
async fn whoever_is_not_known_and_vendors_are_not_counted() {
    let house = House::open_at("limit_open", "http://127.0.0.1:8080", &FLAGS).await;
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
    let house = House::open_at("limit_person", "http://127.0.0.1:8080", &FLAGS).await;
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
