//! Tests of the HTTP API: the full router over a fresh database with a manual clock, one request at a time.

mod by_hand;
mod codes;
mod connecting;
mod denied;
mod description;
mod doors;
mod imports;
mod keys;
mod known;
mod lines;
mod logged;
mod names;
mod once;
mod payees;
mod rewards;
mod strangers;
pub mod workbooks;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use bursar::app::{App, Inner, Nudge};
use bursar::clock::{Clock, VirtualClock, start_of_date};
use bursar::config::Config;
use bursar::ops::people::{self, NewKey};
use bursar::secrets::MasterKey;
use bursar::store::Store;
use bursar::work::Work;
use clap::{Args as _, Command, FromArgMatches as _};
use payout::access::Role;
use payout::scope::Scopes;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::world::CONNECTIONS;
use crate::world::database::Database;

/// A test installation without vendors, with an API key per role.
pub struct TestApp {
    pub app: App,
    pub clock: Arc<VirtualClock>,
    pub admin: String,
    router: Router,
    _database: Database,
}

/// All scopes a key of this role had before narrower scopes existed.
pub fn all_scopes(role: Role) -> Scopes {
    let pays = matches!(role, Role::Payer | Role::Admin);
    Scopes::kept(if pays { "read,write,release" } else { "read,write" })
}

/// A response, with its body parsed.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: axum::http::HeaderMap,
    pub body: Value,
}

impl Answer {
    /// The `code` of a problem response; empty for other responses.
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or("")
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
    }

    /// Checks that every code in a problem response is documented, and that its `type` links to that documentation.
    fn can_be_looked_up(&self) {
        // A response to HEAD has no body.
        if self.header("content-type") != "application/problem+json" || !self.body.is_object() {
            return;
        }
        let known = bursar::web::kit::codes::all();
        let lists =
            ["errors", "blockers"].map(|name| self.body[name].as_array().cloned().unwrap_or_default());
        let within = lists.iter().flatten().map(|one| one["code"].as_str().unwrap_or(""));
        for code in within.chain([self.code()]) {
            assert!(known.contains(&code), "{code} has no words: {:#}", self.body);
        }
        let led = bursar::web::kit::codes::address("", self.code());
        assert!(self.body["type"].as_str().is_some_and(|to| to.ends_with(&led)), "{:#}", self.body);
    }

    #[track_caller]
    pub fn ok(self) -> Value {
        assert!(self.status.is_success(), "{} {:#}", self.status, self.body);
        self.body
    }

    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) {
        assert_eq!((self.status.as_u16(), self.code()), (status, code), "{:#}", self.body);
    }
}

impl TestApp {
    pub async fn open(name: &str) -> Self {
        Self::open_at(name, "http://127.0.0.1:8080", &["--metrics-token=tell-me"]).await
    }

    /// Like `open`, with another base URL and other `serve` flags.
    pub async fn open_at(name: &str, base_url: &str, flags: &[&str]) -> Self {
        let database = Database::fresh(&format!("api_{name}")).await;
        let (clock, handle) = Clock::standing_at(start_of_date("2026-03-02").unwrap() + 9 * 3_600_000_000, 7);
        let app = App::new(Inner {
            store: Store::open_with(&database.url, CONNECTIONS).await.unwrap(),
            clock,
            config: config(flags),
            base_url: base_url.to_owned(),
            master_key: MasterKey::new([7; 32]),
            nudge: Nudge::default(),
        });
        let router = bursar::web::router(Work::new(app.clone(), None).unwrap());
        let mut house = Self { app, clock: handle, admin: String::new(), router, _database: database };
        house.admin = house.key(Role::Admin, None).await;
        house
    }

    /// An API key created by a different person than the others.
    pub async fn key_of_another(&self, role: Role) -> String {
        let new = NewKey::of(role.as_str(), role, all_scopes(role));
        people::make_key(&self.app, "somebody else", &new).await.unwrap()
    }

    pub async fn key(&self, role: Role, partner: Option<&str>) -> String {
        let partner = partner.map(str::to_owned);
        let new = NewKey { partner, ..NewKey::of(role.as_str(), role, all_scopes(role)) };
        people::create_key(&self.app, &new).await.unwrap()
    }

    /// Sends any request; parses the body as JSON, or keeps it as text.
    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        let answer = Answer { status: parts.status, headers: parts.headers, body };
        answer.can_be_looked_up();
        answer
    }

    /// The content type of a response, without waiting for its body.
    pub async fn kind_of(&self, request: Request<Body>) -> String {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let kind = response.headers().get("content-type").and_then(|kind| kind.to_str().ok());
        kind.unwrap_or_default().to_owned()
    }

    /// Sends a request with the administrator's key.
    pub async fn call(&self, method: &str, path: &str, body: Value) -> Answer {
        self.call_as(&self.admin, method, path, body, &[]).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, Value::Null).await
    }

    pub async fn call_as(
        &self,
        key: &str,
        method: &str,
        path: &str,
        body: Value,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("/api/v1{path}"));
        request = request.header("authorization", format!("Bearer {key}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = if body.is_null() {
            Body::empty()
        } else {
            request = request.header("content-type", "application/json");
            Body::from(body.to_string())
        };
        self.send(request.body(body).unwrap()).await
    }

    /// Creates two companies, three partners, a program of each kind and their activities.
    pub async fn seed_data(&self) {
        let rows = [
            ("/accounts/acme", json!({"name": "Acme"})),
            ("/accounts/bolt", json!({"name": "Bolt", "country": "DE"})),
            ("/partners/ana", json!({"name": "Ana", "email": "ana@example.com", "account": "acme"})),
            ("/partners/ben", json!({"name": "Ben", "email": "ben@example.com", "account": "acme"})),
            ("/partners/cem", json!({"name": "Cem", "email": "cem@example.com", "account": "bolt"})),
            ("/programs/growth", json!({"name": "Growth", "type": "cash"})),
            ("/programs/academy", json!({"name": "Academy", "type": "points", "hold_days": 3})),
            ("/activities/deal", json!({"name": "Deal", "program": "growth"})),
            (
                "/activities/cert",
                json!({"name": "Cert", "program": "growth", "value": {"value": "150", "currency": "USD"}}),
            ),
            ("/activities/course", json!({"name": "Course", "program": "academy", "value": {"points": 350}})),
        ];
        for (path, body) in rows {
            let answer = self.call("PUT", path, body).await;
            assert_eq!(answer.status, 201, "{path} {:#}", answer.body);
        }
    }

    /// Creates a reward of `owner` and returns it.
    pub async fn reward(&self, external_id: &str, owner: &str, value: &str) -> Value {
        let body = json!({"external_id": external_id, "activity": "deal", "owner": owner,
            "value": {"value": value, "currency": "EUR"}});
        self.clock.pass(1_000_000);
        self.call("POST", "/rewards", body).await.ok()
    }

    /// Advances the clock by some days.
    pub fn pass_days(&self, days: i64) {
        self.clock.pass(days * 86_400_000_000);
    }

    /// The balance of a ledger account in one currency.
    pub async fn balance(&self, account: &str) -> String {
        let all = self.get("/ledger/balances").await.ok();
        let rows = all["data"].as_array().unwrap();
        let found = rows.iter().find(|row| row["account"] == account);
        found.map_or("none".to_owned(), |row| row["balance"].as_str().unwrap().to_owned())
    }
}

/// The same request, with another client address.
pub fn from(mut request: Request<Body>, address: &str) -> Request<Body> {
    let peer = std::net::SocketAddr::new(address.parse().unwrap(), 4_711);
    request.extensions_mut().insert(axum::extract::ConnectInfo(peer));
    request
}

fn config(flags: &[&str]) -> Config {
    let command = Config::augment_args(Command::new("bursar"));
    Config::from_arg_matches(&command.get_matches_from([&["bursar"], flags].concat())).unwrap()
}
