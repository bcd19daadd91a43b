//! Access control and body parsing: every route × every role, keys, scopes, and what a body may look like.

use axum::body::Body;
use axum::http::Request;
use bursar::ops::OpsError;
use bursar::ops::people::{self, MachineUser, NewKey};
use bursar::web::{Access, table};
use payout::access::Role;
use payout::scope::Scopes;
use serde_json::{Value, json};

use super::{TestApp, from};

#[tokio::test]
async fn every_route_admits_exactly_the_roles_it_names() {
    let house = TestApp::open("routes").await;
    house.seed_data().await;
    for role in Role::ALL {
        let partner = matches!(role, Role::Partner | Role::PartnerAdmin).then_some("ana");
        let key = house.key(*role, partner).await;
        for route in table().into_iter().filter(|route| route.path.starts_with("/api/v1")) {
            let path = route.path.replace("{id}", "nobody");
            let path = path.trim_start_matches("/api/v1");
            let answer = house.call_as(&key, route.method.as_str(), path, Value::Null, &[]).await;
            let refused = answer.code() == "permission_denied";
            let hidden = answer.status == 404;
            let message = format!("{role:?} {} {path}: {} {}", route.method, answer.status, answer.code());
            if route.access.admits(*role) {
                assert!(!refused && answer.status != 401 && answer.status != 500, "{message}");
            } else {
                assert!(refused || hidden, "{message}");
            }
        }
    }
}

#[tokio::test]
async fn without_a_good_key_every_path_answers_401_first() {
    let house = TestApp::open("unknown").await;
    let disabled = house.key(Role::Admin, None).await;
    let person = people::by_key(&house.app, &disabled, None).await.unwrap().actor().unwrap().id;
    people::disable(&house.app, &person.to_string(), MachineUser("root")).await.unwrap();
    for path in ["/rewards", "/nothing/here", "", "/rewards/import", "/webhooks"] {
        for key in ["", "brs_0", &disabled, "sk_live_1"] {
            let answer = house.call_as(key, "POST", path, Value::Null, &[]).await;
            answer.refused(401, "unauthenticated");
            assert_eq!(answer.header("content-type"), "application/problem+json");
            assert_eq!(answer.header("www-authenticate"), "Bearer");
        }
    }
    house.get("/nothing/here").await.refused(404, "not_found");
    house.call("POST", "/accounts", Value::Null).await.refused(405, "method_not_allowed");
}

#[tokio::test]
async fn the_description_is_open_and_tells_every_route() {
    let house = TestApp::open("openapi").await;
    let request = Request::builder().uri("/api/v1/openapi.json").body(Body::empty()).unwrap();
    let document = house.send(request).await.ok();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    for route in table().into_iter().filter(|route| route.path.starts_with("/api/v1")) {
        let told = &document["paths"][route.path][route.method.as_str().to_lowercase()];
        assert!(told["summary"].is_string(), "{} {} is not described", route.method, route.path);
    }
    for path in ["/api/docs/", "/api/docs/swagger-ui-bundle.js", "/healthz", "/readyz"] {
        let answer = house.send(Request::builder().uri(path).body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, 200, "{path}");
    }
}

#[tokio::test]
async fn a_key_does_what_its_scopes_say() {
    let house = TestApp::open("scopes").await;
    let new = |scopes| NewKey::of("k", Role::Admin, Scopes::kept(scopes));
    let reads = people::create_key(&house.app, &new("read")).await.unwrap();
    let writes = people::create_key(&house.app, &new("write")).await.unwrap();
    let body = || json!({"name": "Acme"});
    house.call_as(&reads, "PUT", "/accounts/acme", body(), &[]).await.refused(403, "permission_denied");
    house.call_as(&writes, "PUT", "/accounts/acme", body(), &[]).await.ok();
    house.call_as(&writes, "GET", "/accounts/acme", Value::Null, &[]).await.refused(403, "permission_denied");
    house.call_as(&reads, "GET", "/accounts/acme", Value::Null, &[]).await.ok();
}

#[tokio::test]
async fn a_body_is_read_strictly() {
    let house = TestApp::open("bodies").await;
    let rows: [(&str, &str, u16, &str); 6] = [
        ("application/json", r#"{"name":"A","nmae":1}"#, 400, "unknown_field"),
        ("application/json", r#"{"name":"A","name":"B"}"#, 400, "duplicate_key"),
        ("application/json", r#"{"name":1}"#, 422, "wrong_type"),
        ("application/json", r#"{"name":"#, 400, "malformed_json"),
        ("application/json", r#"{}"#, 422, "missing"),
        ("text/plain", r#"{"name":"A"}"#, 415, "unsupported_media_type"),
    ];
    for (kind, body, status, code) in rows {
        let request = Request::builder()
            .method("PUT")
            .uri("/api/v1/accounts/acme")
            .header("authorization", format!("Bearer {}", house.admin))
            .header("content-type", kind);
        let answer = house.send(request.body(Body::from(body)).unwrap()).await;
        answer.refused(status, code);
        assert!(answer.body["request_id"].as_str().unwrap().starts_with("req_"));
        if status == 422 {
            assert_eq!(answer.body["errors"][0]["pointer"], "/name");
        }
    }
    let large = json!({"name": "x".repeat(1 << 20)});
    house.call("PUT", "/accounts/acme", large).await.refused(413, "body_too_large");
    house.get("/rewards?viev=all").await.refused(400, "unknown_field");
    house.get("/rewards?limit=201").await.refused(422, "invalid");
    house.get("/rewards?status=nonsense").await.refused(422, "unknown_value");
}

#[tokio::test]
async fn every_list_reads_its_page_alike() {
    let house = TestApp::open("pages_alike").await;
    house.seed_data().await;
    for path in
        ["/transactions", "/batches", "/audit", "/rewards", "/partners", "/accounts", "/outbox", "/programs"]
    {
        for limit in ["0", "-1", "201", "many"] {
            house.get(&format!("{path}?limit={limit}")).await.refused(422, "invalid");
        }
        for after in ["zzz", "688"] {
            let answer = house.get(&format!("{path}?after={after}")).await;
            assert_eq!(answer.status, 422, "{path} {after}: {:#}", answer.body);
        }
        house.get(&format!("{path}?limti=1")).await.refused(400, "unknown_field");
    }
    let (mut seen, mut query) = (Vec::new(), "?limit=3".to_owned());
    loop {
        let page = house.get(&format!("/audit{query}")).await.ok();
        seen.extend(page["data"].as_array().unwrap().iter().map(|row| row["seq"].as_i64().unwrap()));
        let Some(next) = page["next"].as_str() else { break };
        query = format!("?limit=3&after={next}");
    }
    assert!(seen.len() > 6 && seen.is_sorted_by(|one, next| *one == next + 1), "{seen:?}");
}

#[tokio::test]
async fn no_text_holds_nul() {
    let house = TestApp::open("nul").await;
    house.seed_data().await;
    let name = json!({"name": "A\u{0}B"});
    house.call("PUT", "/accounts/acme", name).await.refused(422, "invalid_character");
    house.get("/rewards?q=%00").await.refused(422, "invalid_character");
    assert_eq!(house.get("/rewards/a%00b").await.status, 404);
}

#[tokio::test]
async fn pages_send_strangers_to_the_login_and_forms_need_their_word() {
    let house = TestApp::open("pages").await;
    let pages = table().into_iter().filter(|route| route.method == "GET" && route.access != Access::Open);
    for route in pages.filter(|route| !route.path.starts_with("/api/")) {
        let path = route.path.replace(['{', '}'], "");
        let answer = house.send(Request::builder().uri(&path).body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, 303, "{path}");
        let login = if path.starts_with("/portal") { "/portal/login?next=" } else { "/login?next=" };
        assert!(answer.header("location").starts_with(login), "{path}");
        assert!(answer.header("content-security-policy").contains("frame-ancestors 'none'"));
    }
    let link = people::first_administrator(&house.app).await.unwrap().unwrap();
    let path = link.trim_start_matches("http://127.0.0.1:8080").to_owned();
    let open = || {
        let form = "application/x-www-form-urlencoded";
        Request::post(&path).header("content-type", form).body(Body::empty()).unwrap()
    };
    let entered = house.send(open()).await;
    assert_eq!(entered.header("location"), "/welcome", "whoever begins says who they are");
    let cookie = entered.header("set-cookie").to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
    assert_eq!(house.send(open()).await.header("location"), "/login?why=link", "a link works once");
    let token = cookie.split(';').next().unwrap();
    let choose = Request::builder().uri("/password").header("cookie", token).body(Body::empty()).unwrap();
    let shown = house.send(choose).await.body.as_str().unwrap_or_default().to_owned();
    let field = format!("autocomplete=\"username\" value=\"{}\" readonly", people::FIRST);
    assert!(shown.contains(&field), "it says with which address they sign in from now on: {shown}");
    let form = |body: &str| {
        let request = Request::builder().method("POST").uri("/logout").header("cookie", token);
        request
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from(body.to_owned()))
            .unwrap()
    };
    assert_eq!(house.send(form("csrf=wrong")).await.status, 403);
    let secret = token.trim_start_matches("bursar_session=");
    let session = people::by_session(&house.app, secret, None).await.unwrap().unwrap();
    assert_eq!(house.send(form(&format!("csrf={}", session.csrf))).await.header("location"), "/login");
    assert!(people::by_session(&house.app, secret, None).await.unwrap().is_none(), "signed out");
    let last = people::disable(&house.app, "admin@localhost", MachineUser("root")).await;
    assert!(matches!(last, Err(OpsError::Refused(refusal)) if refusal.code == "last_admin"));
}

#[tokio::test]
async fn a_password_signs_in_and_guessing_is_slowed_down() {
    let house = TestApp::open("passwords").await;
    let person = people::NewPerson {
        email: "Pat@example.com".into(),
        name: "Pat".into(),
        role: Role::Payer,
        partner: None,
        password: Some("correct horse battery".into()),
    };
    people::add(&house.app, &person).await.unwrap();
    let login = async |password: &str, next: &str| {
        let body = format!("email=pat%40example.com&password={password}&next={next}");
        let request = Request::builder()
            .method("POST")
            .uri("/login")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from(body));
        house.send(from(request.unwrap(), "203.0.113.9")).await
    };
    let good = "correct+horse+battery";
    assert_eq!(login(good, "%2Frewards").await.header("location"), "/rewards");
    assert_eq!(login(good, "%2F%2Fevil.example").await.header("location"), "/");
    for _ in 0..8 {
        assert_eq!(login("wrong", "").await.header("location"), "/login?why=wrong");
    }
    let slow = login(good, "").await;
    assert_eq!((slow.status.as_u16(), slow.header("retry-after")), (429, "61"));
    assert!(slow.body.as_str().unwrap().contains("Too many tries."));
}

#[tokio::test]
async fn numbers_are_for_whoever_has_the_token() {
    let house = TestApp::open("metrics").await;
    let ask = |token: &str| {
        let request = Request::builder().uri("/metrics").header("authorization", format!("Bearer {token}"));
        request.body(Body::empty()).unwrap()
    };
    assert_eq!(house.send(ask("guess")).await.status, 401);
    assert_eq!(house.send(ask("tell-me")).await.status, 200);
}
