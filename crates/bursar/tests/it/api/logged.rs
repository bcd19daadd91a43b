//! The request log: the client and response of each request, and refusals with their reason; no secrets, and at most a
//! fixed number of lines per minute.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::http::Request;
use bursar::ops::people::{self, NewKey};
use payout::access::Role;
use payout::scope::Scopes;
use serde_json::Value;

use super::{TestApp, from};

const MINUTE: i64 = 60_000_000;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Captures the log of this thread until the guard is dropped.
    fn listen() -> (Self, impl Drop) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::INFO)
            .with_writer(move || writer.clone())
            .json()
            .finish();
        (
            log,
            Hears(
                tracing::subscriber::set_default(subscriber),
                tracing::Dispatch::new(tracing_subscriber::registry()),
            ),
        )
    }

    /// The fields of each line with this message since the last call.
    fn heard(&self, message: &str) -> Vec<Value> {
        let bytes = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let text = String::from_utf8(bytes).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["fields"].clone());
        lines.filter(|fields| fields["message"] == message).collect()
    }
}

/// Keeps a second dispatcher alive. With only one subscriber, a callsite first hit by another test on a thread without one
/// would be cached as disabled for everyone.
struct Hears(tracing::subscriber::DefaultGuard, tracing::Dispatch);

impl Drop for Hears {
    fn drop(&mut self) {
        let _both = (&self.0, &self.1);
    }
}

fn with_key(key: &str, path: &str) -> Request<Body> {
    let request = Request::get(path).header("authorization", format!("Bearer {key}"));
    request.body(Body::empty()).unwrap()
}

async fn id_of(house: &TestApp, key: &str) -> String {
    people::by_key(&house.app, key, None).await.unwrap().actor().unwrap().id.to_string()
}

#[tokio::test]
async fn an_answer_is_logged_with_who_asked_and_from_where() {
    let house =
        TestApp::open_at("logged_answers", "http://127.0.0.1:8080", &["--trusted-proxies=10.0.0.1"]).await;
    let (log, _hears) = Log::listen();
    let asked = |passed_on: &str| {
        let mut request = from(with_key(&house.admin, "/api/v1/rewards?q=secret-word"), "10.0.0.1");
        request.headers_mut().insert("x-forwarded-for", passed_on.parse().unwrap());
        request
    };
    house.send(asked("1.2.3.4, 203.0.113.9")).await.ok();
    house.send(from(Request::get("/login").body(Body::empty()).unwrap(), "198.51.100.7")).await;
    // A client that sets the header itself is not trusted.
    let mut spoofed = from(Request::get("/login").body(Body::empty()).unwrap(), "198.51.100.7");
    spoofed.headers_mut().insert("x-forwarded-for", "127.0.0.1".parse().unwrap());
    house.send(spoofed).await;
    let whole = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(!whole.contains("secret-word") && !whole.contains(&house.admin), "{whole}");
    let lines = log.heard("answered");
    let told: Vec<[&str; 3]> =
        lines.iter().map(|line| ["who", "from", "route"].map(|name| line[name].as_str().unwrap())).collect();
    let admin = id_of(&house, &house.admin).await;
    assert_eq!(
        told,
        [
            [admin.as_str(), "203.0.113.9", "/api/v1/rewards"],
            ["nobody", "198.51.100.7", "/login"],
            ["nobody", "198.51.100.7", "/login"],
        ]
    );
}

#[tokio::test]
async fn what_is_refused_is_logged_with_its_code_and_whose_key_it_was() {
    let house = TestApp::open("logged_refusals").await;
    let reads =
        people::create_key(&house.app, &NewKey::of("r", Role::Admin, Scopes::kept("read"))).await.unwrap();
    let ends_at = Some(house.app.clock.now() + MINUTE);
    let ends = NewKey { ends_at, ..NewKey::of("e", Role::Admin, Scopes::kept("read")) };
    let ends = people::create_key(&house.app, &ends).await.unwrap();
    let bound = NewKey {
        addresses: vec!["203.0.113.0/24".parse().unwrap()],
        ..NewKey::of("b", Role::Admin, Scopes::kept("read"))
    };
    let bound_key = people::create_key(&house.app, &bound).await.unwrap();
    let preparer = house.key(Role::Preparer, None).await;
    let [reads_id, ends_id, preparer_id] =
        [id_of(&house, &reads).await, id_of(&house, &ends).await, id_of(&house, &preparer).await];
    house.clock.pass(2 * MINUTE);
    let (log, _hears) = Log::listen();
    let send = async |request: Request<Body>| house.send(from(request, "203.0.113.200")).await;
    let post = |key: &str, path: &str| {
        let request = Request::post(path).header("authorization", format!("Bearer {key}"));
        let request = request.header("content-type", "application/json").header("idempotency-key", "one");
        request.body(Body::from("{}")).unwrap()
    };
    send(post(&reads, "/api/v1/batches")).await.refused(403, "permission_denied");
    send(with_key(&ends, "/api/v1/rewards")).await.refused(401, "api_key_ended");
    send(with_key("brs_made_up", "/api/v1/rewards")).await.refused(401, "unauthenticated");
    let elsewhere = from(with_key(&bound_key, "/api/v1/rewards"), "198.51.100.1");
    house.send(elsewhere).await.refused(403, "api_key_address");
    send(post(&preparer, "/api/v1/partners/ptn_00000000000000000000000000/invite")).await;
    let form = Request::post("/login")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("sec-fetch-site", "cross-site");
    assert_eq!(send(form.body(Body::from("email=a")).unwrap()).await.status, 403);
    let lines = log.heard("refused");
    let told: Vec<[&str; 3]> =
        lines.iter().map(|line| ["code", "who", "from"].map(|name| line[name].as_str().unwrap())).collect();
    let here = "203.0.113.200";
    assert_eq!(told[0], ["permission_denied", reads_id.as_str(), here]);
    assert_eq!(told[1], ["api_key_ended", ends_id.as_str(), here]);
    assert_eq!(told[2], ["unauthenticated", "nobody", here]);
    assert_eq!((told[3][0], told[3][2]), ("api_key_address", "198.51.100.1"));
    assert_ne!(told[3][1], "nobody", "the key is known, and is named");
    assert_eq!(told[4], ["permission_denied", preparer_id.as_str(), here]);
    assert_eq!(told[5], ["form_from_elsewhere", "nobody", here]);
}

#[tokio::test]
async fn strangers_do_not_fill_the_log_with_what_is_refused_to_them() {
    let house = TestApp::open("logged_flood").await;
    let (log, _hears) = Log::listen();
    let flood = async |many: u16| {
        for number in 0..many {
            let address = format!("203.{}.{}.9", number / 256, number % 256);
            house.send(from(with_key("brs_0", "/api/v1/rewards"), &address)).await;
        }
    };
    flood(300).await;
    flood(300).await;
    assert_eq!(log.heard("refused").len(), 50);
    house.clock.pass(MINUTE);
    // The next request of any kind writes the count for the past minute.
    house.send(Request::get("/healthz").body(Body::empty()).unwrap()).await;
    let left_out = log.heard("so many more were refused within a minute");
    assert_eq!((left_out.len(), &left_out[0]["left_out"]), (1, &Value::from(550)));
    assert_eq!(left_out[0]["code"], "unauthenticated");
}

#[tokio::test]
async fn limits_that_are_met_are_logged() {
    let house =
        TestApp::open_at("logged_limits", "http://127.0.0.1:8080", &["--requests-per-minute=60"]).await;
    let (log, _hears) = Log::listen();
    for _ in 0..100 {
        house.get("/rewards").await;
        let form = Request::post("/login").header("content-type", "application/x-www-form-urlencoded");
        let form = form.body(Body::from("email=ana%40example.com&password=wrong")).unwrap();
        house.send(from(form, "203.0.113.9")).await;
    }
    let lines = log.heard("refused");
    let told: Vec<[&str; 2]> =
        lines.iter().map(|line| ["code", "who"].map(|name| line[name].as_str().unwrap())).collect();
    let admin = id_of(&house, &house.admin).await;
    assert!(
        told.contains(&["too_many_requests", &admin]) && told.contains(&["slow_down", "nobody"]),
        "{told:?}"
    );
    assert_eq!(told.len(), 2, "one of a kind in a minute: {told:?}");
}
