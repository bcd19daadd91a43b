//! Unauthenticated clients: their requests are cheap, consume nothing permanently, and block no one else.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request};
use bursar::ops::OpsError;
use bursar::ops::people::{self, MachineUser, NewPerson};
use bursar::web::{Access, table};
use payout::access::Role;
use serde_json::Value;
use tokio::time::Instant;

use super::{Answer, TestApp, from};

const PASSWORD: &str = "correct horse battery";

/// A form request with extra headers.
fn form(path: &str, body: impl Into<Body>, headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::post(path).header("content-type", "application/x-www-form-urlencoded");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body.into()).unwrap()
}

fn look(method: &str, path: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::empty()).unwrap()
}

fn is_page(path: &str) -> bool {
    !["/api", "/webhooks", "/healthz", "/readyz", "/metrics"].iter().any(|other| path.starts_with(other))
}

/// Creates a user and returns the path of their one-time link.
async fn enter(house: &TestApp, name: &str, role: Role) -> String {
    let email = format!("{name}@example.com");
    let password = Some(PASSWORD.to_owned());
    let new = NewPerson { email, name: name.to_owned(), role, partner: None, password };
    let link = people::add(&house.app, &new).await.unwrap();
    path_of(house, &link)
}

fn path_of(house: &TestApp, link: &str) -> String {
    link.strip_prefix(&house.app.base_url).unwrap().to_owned()
}

/// The cookies set by a response, in request form.
fn cookies(answer: &Answer) -> String {
    let set = answer.headers.get_all("set-cookie").iter().map(|cookie| cookie.to_str().unwrap());
    set.map(|cookie| cookie.split(';').next().unwrap()).collect::<Vec<_>>().join("; ")
}

/// The first of these cookies: the session, before the browser's mark.
fn first_pair(cookies: &str) -> &str {
    cookies.split(';').next().unwrap()
}

#[test]
fn forms_are_small_and_those_of_strangers_smallest() {
    let posts = table().into_iter().filter(|route| route.method == Method::POST && is_page(route.path));
    for route in posts.filter(|route| !route.takes_file) {
        let most = if route.access == Access::Open { 16 << 10 } else { 64 << 10 };
        assert!(route.body_limit <= most, "{} takes {} bytes", route.path, route.body_limit);
    }
}

#[tokio::test]
async fn a_form_of_nothing_but_names_costs_nothing() {
    let house = TestApp::open("many_names").await;
    let names = |bytes: usize| {
        let all: String = (0..bytes / 4).map(|number| format!("{number:x}=1&")).collect();
        all[..bytes].to_owned()
    };
    let began = Instant::now();
    for path in ["/login", "/join/x", "/portal/join/x", "/portal/confirm/x"] {
        let refused = house.send(form(path, names(1 << 20), &[])).await;
        assert_eq!(refused.status, 413, "{path}");
        assert_eq!(house.send(form(path, names(16 << 10), &[])).await.status, 400, "{path}");
    }
    let many: serde_json::Map<String, Value> =
        (0..80_000).map(|number| (format!("{number:x}"), Value::Null)).collect();
    house.call("PUT", "/accounts/acme", many.into()).await.refused(400, "too_many_fields");
    house.get(&format!("/rewards?{}", "q=a&".repeat(2_001))).await.refused(400, "too_many_fields");
    // Before the fix, each took a minute; the bound leaves room for slow machines.
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[tokio::test]
async fn made_up_methods_and_paths_fill_no_counts() {
    let house = TestApp::open("methods").await;
    for number in 0..20 {
        let method = format!("MADEUP{number}");
        assert_eq!(house.send(look(&method, "/login", &[])).await.status, 501);
        let answer = house.send(look(&method, &format!("/api/v1/made-up-{number}"), &[])).await;
        answer.refused(501, "method_not_implemented");
    }
    house.send(look("OPTIONS", "/login", &[])).await;
    let counts = house.send(look("GET", "/metrics", &[("authorization", "Bearer tell-me")])).await;
    let text = counts.body.as_str().unwrap();
    assert!(text.contains("method=\"other\"") && !text.to_lowercase().contains("madeup"), "{text}");
    assert!(!text.contains("made-up"), "{text}");
}

#[tokio::test]
async fn whoever_knows_the_password_comes_in_while_others_guess() {
    let house = TestApp::open("guessing").await;
    enter(&house, "pat", Role::Payer).await;
    let login = async |password: &str, address: &str, cookie: &str| {
        let body = format!("email=Pat%40example.com&password={}", password.replace(' ', "+"));
        house.send(from(form("/login", body, &[("cookie", cookie)]), address)).await
    };
    let home = login(PASSWORD, "198.51.100.7", "").await;
    assert_eq!((home.status.as_u16(), home.header("location")), (303, "/"));
    let known = cookies(&home);
    let known = known.split("; ").find(|pair| pair.starts_with("bursar_known=")).unwrap();

    for number in 0..70 {
        login("wrong", &format!("203.0.{number}.9"), "").await;
    }
    let refused = login(PASSWORD, "203.0.113.10", "").await;
    let seconds: u32 = refused.header("retry-after").parse().unwrap();
    assert!(refused.status == 429 && seconds <= 11, "{seconds}");
    assert_eq!(
        login(PASSWORD, "203.0.113.10", known).await.header("location"),
        "/",
        "from their own browser"
    );
    house.clock.pass(i64::from(seconds) * 1_000_000);
    assert_eq!(login(PASSWORD, "203.0.113.10", "").await.header("location"), "/", "from a new one, soon");
    for _ in 0..12 {
        login("wrong", "203.0.113.11", &known.replace('=', "=x")).await;
    }
    assert_eq!(login(PASSWORD, "203.0.113.11", known).await.header("location"), "/");
}

#[tokio::test]
async fn proving_again_shares_nothing_with_strangers() {
    let house = TestApp::open("prove_apart").await;
    let path = enter(&house, "kim", Role::Payer).await;
    let entered = house.send(form(&path, "", &[])).await;
    let cookie = cookies(&entered);
    let token = first_pair(&cookie).strip_prefix("bursar_session=").unwrap();
    let session = people::by_session(&house.app, token, None).await;
    let csrf = session.unwrap().unwrap().csrf;
    for _ in 0..100 {
        house.send(from(form("/login", "email=kim%40example.com&password=wrong", &[]), "203.0.113.9")).await;
    }
    let slow = house.send(from(form("/login", "email=ana%40example.com", &[]), "203.0.113.77")).await;
    assert_eq!(slow.status, 429, "the whole network waits");
    let prove = async |password: &str, cookie: &str| {
        let body = format!("csrf={csrf}&next=%2Fclaims&password={}", password.replace(' ', "+"));
        house.send(from(form("/prove", body, &[("cookie", cookie)]), "203.0.113.9")).await
    };
    let proved = prove(PASSWORD, &cookie).await;
    assert_eq!(proved.header("location"), "/claims");
    let cookie = cookies(&proved);
    for _ in 0..9 {
        assert!(prove("wrong", &cookie).await.header("location").starts_with("/prove?why=wrong"));
    }
    let slow = prove(PASSWORD, &cookie).await;
    assert_eq!((slow.status.as_u16(), slow.header("retry-after")), (429, "61"));
}

#[tokio::test]
async fn no_address_is_longer_than_addresses_are() {
    let house = TestApp::open("long_address").await;
    let body = format!("email={}%40example.com&password=x", "a".repeat(300));
    let refused = house.send(form("/login", body, &[])).await;
    assert_eq!(refused.status, 400);
    assert!(refused.body.as_str().unwrap().contains("No e-mail address is as long"));
}

#[tokio::test]
async fn numbers_are_not_for_whom_a_proxy_here_passes_on() {
    let house = TestApp::open_at("metrics_proxy", "http://127.0.0.1:8080", &[]).await;
    let ask = async |address: &str, headers: &[(&str, &str)]| {
        house.send(from(look("GET", "/metrics", headers), address)).await.status.as_u16()
    };
    assert_eq!(ask("127.0.0.1", &[]).await, 200);
    assert_eq!(ask("203.0.113.9", &[]).await, 401);
    for header in
        ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-port", "forwarded", "via", "x-real-ip"]
    {
        assert_eq!(ask("127.0.0.1", &[(header, "203.0.113.9")]).await, 401, "{header}");
    }
}

/// An empty variable counts as unset, so a client that sends an empty token gets no metrics.
#[tokio::test]
async fn an_empty_token_opens_the_numbers_to_nobody() {
    let house = TestApp::open_at("metrics_empty", "http://127.0.0.1:8080", &["--metrics-token="]).await;
    let ask = async |address: &str, headers: &[(&str, &str)]| {
        house.send(from(look("GET", "/metrics", headers), address)).await.status.as_u16()
    };
    for headers in
        [&[][..], &[("authorization", "Bearer ")], &[("authorization", "Bearer")], &[("authorization", "")]]
    {
        assert_eq!(ask("203.0.113.9", headers).await, 401, "{headers:?}");
        assert_eq!(ask("127.0.0.1", headers).await, 200, "as where none is set");
    }
}

#[tokio::test]
async fn looking_whether_a_link_leads_anywhere_does_not_use_it_up() {
    let house = TestApp::open("links").await;
    let first = enter(&house, "pat", Role::Payer).await;
    let seen = house.send(look("HEAD", &first, &[])).await;
    assert!(seen.status == 200 && seen.headers.get("set-cookie").is_none());
    let second = path_of(
        &house,
        &people::reset(&house.app, "pat@example.com", None, MachineUser("root")).await.unwrap(),
    );
    let open = async |path: &str| house.send(look("GET", path, &[])).await.header("location").to_owned();
    let press = async |path: &str| house.send(form(path, "", &[])).await.header("location").to_owned();
    assert_eq!(open(&first).await, "/login?why=link", "a reset ends older links");
    assert_eq!(press(&first).await, "/login?why=link");
    // A mail scanner opens every link, more than once.
    for _ in 0..3 {
        let page = house.send(look("GET", &second, &[])).await;
        assert!(page.status == 200 && page.headers.get("set-cookie").is_none());
        assert!(page.body.as_str().unwrap().contains("<form method=\"post\">"), "{:?}", page.body);
    }
    assert_eq!(press(&second).await, "/password", "whoever has none is asked to choose one");
    assert_eq!(
        (open(&second).await, press(&second).await),
        ("/login?why=link".into(), "/login?why=link".into())
    );

    let third = path_of(&house, &people::link_for(&house.app, "pat@example.com").await.unwrap());
    people::disable(&house.app, "pat@example.com", MachineUser("root")).await.unwrap();
    let reset = people::reset(&house.app, "pat@example.com", None, MachineUser("root")).await;
    assert!(matches!(reset, Err(OpsError::Conflict(refusal)) if refusal.code == "disabled"));
    people::enable(&house.app, "pat@example.com", MachineUser("root")).await.unwrap();
    assert_eq!(open(&third).await, "/login?why=link", "shutting out ends links for good");
}

#[tokio::test]
async fn an_invitation_is_no_login() {
    let house = TestApp::open("invitation").await;
    let actor = people::by_key(&house.app, &house.admin, None).await.unwrap().actor().unwrap();
    let new = people::team::TeamMember {
        email: "kim@example.com".to_owned(),
        name: "Kim".to_owned(),
        role: Role::Payer,
    };
    let made = people::team::invite(&house.app, &actor, &new).await.unwrap();
    let path = path_of(&house, &made.link);
    let token = path.rsplit('/').next().unwrap();
    let door = house.send(look("GET", &format!("/login/{token}"), &[])).await;
    assert_eq!(door.header("location"), "/login?why=link", "opening a mail's link must not sign in");
    assert_eq!(house.send(look("GET", &path, &[])).await.status, 200, "it waits for a password");
    let body = "password=correct+horse+battery&again=correct+horse+battery";
    assert_eq!(house.send(form(&path, body, &[])).await.status, 303);
    assert_eq!(house.send(look("GET", &path, &[])).await.status, 410, "once");
}

/// The response headers that browsers act on, one per line.
fn told(answer: &Answer) -> String {
    let aside =
        ["content-length", "content-type", "location", "retry-after", "x-request-id", "www-authenticate"];
    let mut lines: Vec<String> = answer
        .headers
        .iter()
        .filter(|(name, _)| !aside.contains(&name.as_str()))
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    lines.sort();
    lines.join("\n")
}

#[tokio::test]
async fn every_answer_says_the_same_to_browsers() {
    let house = TestApp::open_at("headers", "https://bursar.example", &[]).await;
    let usual = told(&house.send(look("GET", "/login", &[])).await);
    insta::assert_snapshot!(usual, @"
    cache-control: no-store
    content-security-policy: default-src 'self'; script-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'
    cross-origin-opener-policy: same-origin
    cross-origin-resource-policy: same-origin
    permissions-policy: accelerometer=(), browsing-topics=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), magnetometer=(), microphone=(), midi=(), payment=(), usb=()
    referrer-policy: same-origin
    strict-transport-security: max-age=31536000
    x-content-type-options: nosniff
    x-frame-options: DENY
    ");
    let to_stripe = usual.replace("form-action 'self'", "form-action 'self' https://*.stripe.com");
    let kept = usual.replace("cache-control: no-store\n", "");
    // Subresource requests of a one-time link's page must not send the link as referrer.
    let of_a_link = usual.replace("referrer-policy: same-origin", "referrer-policy: strict-origin");
    let links = ["/login/", "/join/", "/portal/join/", "/portal/confirm/", "/password/new/"];
    for route in table() {
        let path = route.path.replace(['{', '}'], "");
        let answer = house.send(look(route.method.as_str(), &path, &[])).await;
        let expected = match path.as_str() {
            path if path.starts_with("/portal/profile/") => &to_stripe,
            path if path.starts_with("/assets/") => &kept,
            path if links.iter().any(|link| path.starts_with(link)) => &of_a_link,
            _ => &usual,
        };
        let all = told(&answer);
        // A passkey challenge sets a cookie to identify the browser.
        let lines = all.lines().filter(|line| !line.starts_with("set-cookie: __Host-bursar_asked="));
        let lines = lines.filter(|line| !path.starts_with("/assets/") || !line.starts_with("cache-"));
        assert_eq!(&lines.collect::<Vec<_>>().join("\n"), expected, "{} {path}", route.method);
    }
    let below = TestApp::open_at("headers_below", "https://bursar.example", &["--hsts-subdomains"]).await;
    let told = below.send(look("GET", "/login", &[])).await;
    let whole = "max-age=31536000; includeSubDomains";
    assert_eq!(told.header("strict-transport-security"), whole, "where nothing else is below the name");
    let plain = TestApp::open_at("headers_plain", "http://127.0.0.1:8080", &[]).await;
    let answer = plain.send(look("GET", "/login", &[])).await;
    assert_eq!(answer.header("strict-transport-security"), "", "there is nothing to hold to over plain http");
}

/// Signs in as an administrator and requests every route: every text response declares UTF-8.
#[tokio::test]
async fn every_text_names_its_character_set() {
    let house = TestApp::open("charsets").await;
    house.seed_data().await;
    house.reward("one", "ana", "1.00").await;
    let path = enter(&house, "pat", Role::Admin).await;
    let cookie = cookies(&house.send(form(&path, "", &[])).await);
    let mut kinds = std::collections::BTreeSet::new();
    let docs =
        ["/api/docs/", "/api/docs/swagger-ui-bundle.js", "/api/docs/swagger-ui.css", "/api/v1/openapi.json"];
    let routes = table().into_iter().filter(|route| route.method == "GET");
    let paths = routes.map(|route| route.path.replace(['{', '}'], "")).chain(docs.map(str::to_owned));
    for path in paths.chain(["/nothing/here".to_owned(), "/api/v1/nothing".to_owned()]) {
        let key = match path.as_str() {
            "/metrics" => "Bearer tell-me".to_owned(),
            _ => format!("Bearer {}", house.admin),
        };
        // Read only the start of an event stream, which never ends.
        let asked = look("GET", &path, &[("cookie", &cookie), ("authorization", &key)]);
        let kind = house.kind_of(asked).await;
        let lower = kind.to_ascii_lowercase();
        let is_text = ["text/", "xml", "javascript"].iter().any(|word| lower.contains(word));
        assert!(!is_text || lower.contains("openxml") || lower.contains("charset=utf-8"), "{path}: {kind}");
        kinds.insert(lower.split(';').next().unwrap().to_owned());
    }
    for kind in ["text/html", "text/css", "text/javascript", "text/csv", "text/plain", "image/svg+xml"] {
        assert!(kinds.contains(kind), "{kind} was not met: {kinds:?}");
    }
}

#[tokio::test]
async fn over_https_no_neighbour_can_set_our_cookies() {
    let house = TestApp::open_at("host_cookies", "https://bursar.example", &[]).await;
    let path = enter(&house, "pat", Role::Payer).await;
    let entered = house.send(form(&path, "", &[])).await;
    let cookie = entered.header("set-cookie").to_owned();
    assert!(cookie.starts_with("__Host-bursar_session=") && cookie.ends_with("; Secure"), "{cookie}");
    assert!(cookie.contains("; Path=/;") && !cookie.contains("Domain"), "{cookie}");
    let pair = cookies(&entered);
    let home =
        async |cookie: &str| house.send(look("GET", "/rewards", &[("cookie", cookie)])).await.status.as_u16();
    assert_eq!(home(&pair).await, 200);
    assert_eq!(home(&format!("other=1; {pair}; another=2")).await, 200);
    assert_eq!(home(pair.trim_start_matches("__Host-")).await, 303, "a cookie that a neighbour may have set");
}

#[tokio::test]
async fn a_form_comes_from_our_own_pages() {
    let house = TestApp::open_at("origins", "https://bursar.example", &[]).await;
    let path = enter(&house, "pat", Role::Payer).await;
    let mut cookie = cookies(&house.send(form(&path, "", &[])).await);
    let token = first_pair(&cookie).strip_prefix("__Host-bursar_session=").unwrap();
    let csrf = people::by_session(&house.app, token, None).await.unwrap().unwrap().csrf;
    let mine = format!("csrf={csrf}&next=%2Fclaims&password={}", PASSWORD.replace(' ', "+"));
    let login = format!("email=pat%40example.com&password={}", PASSWORD.replace(' ', "+"));
    let rows: [(&[(&str, &str)], bool); 9] = [
        (&[], true),
        (&[("origin", "https://bursar.example")], true),
        (&[("origin", "https://bursar.example"), ("sec-fetch-site", "same-origin")], true),
        (&[("origin", "http://127.0.0.1:8080"), ("host", "127.0.0.1:8080")], true),
        (&[("origin", "https://evil.example"), ("host", "bursar.example")], false),
        (&[("origin", "https://shop.bursar.example"), ("sec-fetch-site", "same-site")], false),
        (&[("sec-fetch-site", "same-site")], false),
        (&[("sec-fetch-site", "cross-site")], false),
        (&[("origin", "null")], false),
    ];
    for (headers, taken) in rows {
        let status = if taken { 303 } else { 403 };
        let answer = house.send(form("/login", login.clone(), headers)).await;
        assert_eq!(answer.status, status, "{headers:?}");
        let told = answer.body.to_string().contains("comes from another site");
        assert_eq!(told, !taken, "{headers:?}");
        let headers = [headers, &[("cookie", cookie.as_str())]].concat();
        let proved = house.send(form("/prove", mine.clone(), &headers)).await;
        assert_eq!(proved.status, status, "{headers:?}");
        if taken {
            cookie = cookies(&proved);
        }
    }
    let once = format!("{mine}&once={}", "x".repeat(256));
    let refused = house.send(form("/prove", once, &[("cookie", &cookie)])).await;
    assert_eq!(refused.status, 400);
    assert!(refused.body.as_str().unwrap().contains("one-time key is longer"));
}
