//! Who is asking: API keys in `Authorization`, people by the session cookie; and signing in and out. What is
//! deliberately not here: the pages with the forms (`web::pages`), and what each role may do (the route table).

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts, Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter};
use serde::Deserialize;

use payout::access::Role;

use super::fault::Fault;
use super::form::Form;
use super::{Need, Route, Web, get, post};
use crate::app::{Actor, App};
use crate::ops::people::{self, Session};

/// The cookie's name.
pub const COOKIE: &str = "bursar_session";
/// How long the cookie lasts, as the session does: twelve hours.
pub const COOKIE_SECONDS: u32 = 12 * 3_600;
/// How much of where somebody came from is kept, in characters.
const MOST_CAME_FROM: usize = 200;

/// Whoever asks. Every handler behind a permission may take it.
pub struct Who(pub Actor);

impl<S: Sync> FromRequestParts<S> for Who {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fault> {
        parts.extensions.get::<Actor>().cloned().map(Self).ok_or_else(unauthenticated)
    }
}

/// The session of a page.
pub struct SignedIn(pub Session);

impl<S: Sync> FromRequestParts<S> for SignedIn {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fault> {
        parts.extensions.get::<Session>().cloned().map(Self).ok_or_else(unauthenticated)
    }
}

/// What an API key may do at all, beside its role.
#[derive(Clone, Copy, Debug)]
pub struct MayRead(pub bool);

/// The answer to whoever is nobody.
#[must_use]
pub fn unauthenticated() -> Fault {
    let told = "Send an API key as `Authorization: Bearer brs_…`; make one with `bursar api-key create`.";
    Fault::new(StatusCode::UNAUTHORIZED, "unauthenticated", told)
}

/// Whoever sent this API key.
///
/// # Errors
/// 401 without one, or with one that is unknown or disabled.
pub async fn by_api_key(app: &App, headers: &HeaderMap) -> Result<(Actor, MayRead), Fault> {
    let sent = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let (scheme, key) = sent.and_then(|value| value.split_once(' ')).ok_or_else(unauthenticated)?;
    if !scheme.eq_ignore_ascii_case("bearer") || !key.starts_with("brs_") {
        return Err(unauthenticated());
    }
    let (actor, may_read) = people::by_key(app, key.trim()).await?.ok_or_else(unauthenticated)?;
    Ok((actor, MayRead(may_read)))
}

/// Whoever sent this cookie, if anybody did.
///
/// # Errors
/// When the database does not answer.
pub async fn by_cookie(app: &App, headers: &HeaderMap) -> Result<Option<Session>, Fault> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    match pairs.into_iter().find(|(name, _)| *name == COOKIE) {
        Some((_, token)) if !token.is_empty() => Ok(people::by_session(app, token).await?),
        Some(_) | None => Ok(None),
    }
}

/// Where a request comes from, for the history of what matters: the address of whoever holds the connection, whom he says
/// he passes it on for, and the browser. All but the first can be made up, so nothing is decided by it.
#[must_use]
pub fn came_from(request: &Request) -> String {
    let sent = |name| request.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    let mut told = peer.map_or_else(|| "an unknown address".to_owned(), |peer| peer.to_string());
    if let Some(passed_on) = sent("x-forwarded-for") {
        told = format!("{told}, for {passed_on}");
    }
    if let Some(browser) = sent("user-agent") {
        told = format!("{told}, {browser}");
    }
    told.chars().filter(|letter| !letter.is_control()).take(MOST_CAME_FROM).collect()
}

/// Slows down guessing: ten tries for an address, then one a minute; and a bound on the slow hashes made at a time.
#[derive(Clone)]
pub struct LoginLimit {
    each: Arc<DefaultKeyedRateLimiter<String>>,
    all: Arc<DefaultDirectRateLimiter>,
}

impl Default for LoginLimit {
    fn default() -> Self {
        const TEN: NonZeroU32 = NonZeroU32::new(10).unwrap();
        const ONE: NonZeroU32 = NonZeroU32::MIN;
        Self {
            each: Arc::new(RateLimiter::keyed(Quota::per_minute(ONE).allow_burst(TEN))),
            all: Arc::new(RateLimiter::direct(Quota::per_second(TEN).allow_burst(TEN))),
        }
    }
}

impl LoginLimit {
    /// Whether somebody may try now: an address, a session's owner, whatever is guessed at.
    #[must_use]
    pub fn allows(&self, email: &str) -> bool {
        if self.each.len() > 10_000 {
            self.each.retain_recent();
        }
        self.all.check().is_ok() && self.each.check_key(&email.trim().to_lowercase()).is_ok()
    }
}

/// The routes of signing in and out. `GET /login`, the form, is a page.
#[must_use]
pub fn routes() -> Vec<Route> {
    vec![
        post("/login", Need::Open, sign_in),
        get("/login/{token}", Need::Open, sign_in_by_link),
        post("/logout", Need::Login, sign_out),
        post("/prove", Need::Login, prove),
    ]
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Credentials {
    #[serde(default)]
    email: String,
    #[serde(default)]
    password: String,
    next: Option<String>,
}

async fn sign_in(
    State(web): State<Web>,
    Device(device): Device,
    Form(sent): Form<Credentials>,
) -> Result<Response, Fault> {
    // Where he signs in is where he is told that it did not work.
    let portal = sent.next.as_deref().is_some_and(is_portal);
    let page = if portal { PORTAL_LOGIN } else { "/login" };
    if !web.logins.allows(&sent.email) {
        return Ok(Redirect::to(&format!("{page}?why=slow_down")).into_response());
    }
    let Some(token) = people::sign_in(&web.app, &sent.email, &sent.password, &device).await? else {
        return Ok(Redirect::to(&format!("{page}?why=wrong")).into_response());
    };
    Ok(welcome(&web.app, &token, sent.next.as_deref()))
}

async fn sign_in_by_link(
    State(app): State<App>,
    Device(device): Device,
    Path(token): Path<String>,
) -> Result<Response, Fault> {
    Ok(match people::sign_in_by_link(&app, &token, &device).await? {
        Some(session) => welcome(&app, &session, None),
        None => Redirect::to("/login?why=link").into_response(),
    })
}

async fn sign_out(State(app): State<App>, SignedIn(session): SignedIn) -> Result<Response, Fault> {
    people::sign_out(&app, &session).await?;
    let partner = matches!(session.actor.role, Role::Partner | Role::PartnerAdmin);
    let mut response = Redirect::to(if partner { PORTAL_LOGIN } else { "/login" }).into_response();
    set_cookie(&app, &mut response, "", 0);
    Ok(response)
}

/// Where partners sign in.
pub const PORTAL_LOGIN: &str = "/portal/login";

/// Whether an address of ours is a page of the partners' portal.
#[must_use]
pub fn is_portal(path: &str) -> bool {
    path == "/portal" || path.starts_with("/portal/") || path.starts_with("/portal?")
}

/// Whether whoever holds a session has proved who he is within the last ten minutes: what is asked before a destination
/// changes or money is sent. Where it is false, [`prove_first`] leads to his password and back.
#[must_use]
pub fn is_fresh(session: &Session, now: i64) -> bool {
    now - session.proved_at <= FRESH_US
}

/// How long a proof is fresh.
pub const FRESH_US: i64 = 10 * 60 * 1_000_000;

/// To the page that asks for the password again, and then to `next`.
#[must_use]
pub fn prove_first(next: &str) -> Response {
    let next: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
    Redirect::to(&format!("/prove?next={next}")).into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Proof {
    #[serde(default)]
    password: String,
    next: Option<String>,
}

async fn prove(
    State(web): State<Web>,
    SignedIn(session): SignedIn,
    Form(sent): Form<Proof>,
) -> Result<Response, Fault> {
    let next = sent.next.as_deref().filter(|next| is_ours(next)).unwrap_or("/");
    let back = |why: &str| {
        let next: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
        Redirect::to(&format!("/prove?why={why}&next={next}")).into_response()
    };
    if !web.logins.allows(&session.actor.id.to_string()) {
        return Ok(back("slow_down"));
    }
    match people::prove(&web.app, &session, &sent.password).await? {
        true => Ok(Redirect::to(next).into_response()),
        false => Ok(back("wrong")),
    }
}

/// What a browser calls itself.
pub struct Device(pub String);

impl<S: Sync> FromRequestParts<S> for Device {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fault> {
        let named = parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        Ok(Self(named.unwrap_or_default().to_owned()))
    }
}

/// Signs a browser in and goes on to `next`, or home.
#[must_use]
pub fn welcome(app: &App, token: &str, next: Option<&str>) -> Response {
    let mut response = Redirect::to(next.filter(|next| is_ours(next)).unwrap_or("/")).into_response();
    set_cookie(app, &mut response, token, COOKIE_SECONDS);
    response
}

/// Only a path of our own may follow a login, never another host's address in disguise.
pub fn is_ours(next: &str) -> bool {
    let mut letters = next.chars();
    letters.next() == Some('/')
        && !matches!(letters.next(), Some('/' | '\\'))
        && !next.contains(|letter: char| letter.is_control() || letter == '\\')
}

fn set_cookie(app: &App, response: &mut Response, token: &str, seconds: u32) {
    let secure = if app.base_url.starts_with("https:") { "; Secure" } else { "" };
    let cookie = format!("{COOKIE}={token}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}");
    if let Ok(value) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_paths_follow_a_login() {
        for ours in ["/", "/rewards?view=all", "/claims/PB-2026-0042/pay"] {
            assert!(is_ours(ours), "{ours}");
        }
        for theirs in ["", "rewards", "//evil.example", "/\\evil.example", "https://evil.example", "/a\nb"] {
            assert!(!is_ours(theirs), "{theirs:?}");
        }
    }
}
