//! Authentication: API keys in `Authorization`, the session cookie, and other cookies of ours. Not here: signing in and
//! out (`users::sign_in`), and what each role may do (the route table).

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};

use axum::extract::{ConnectInfo, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};

use payout::scope::Scopes;

use super::client;
use super::login_limit::Wait;
use super::problem::Problem;
use crate::app::{Actor, App};
use crate::clock::{self, Clock};
use crate::config::Range;
use crate::ops::people::{self, Browser, KeyLookup, Session, SignInProgress};
use crate::secrets::SealedAt;

pub const COOKIE: &str = "bursar_session";
/// The lifetime of the session cookie: twelve hours, like the session.
pub const COOKIE_SECONDS: u32 = 12 * 3_600;
/// How much of a request's origin is stored, in characters.
const MOST_CAME_FROM: usize = 200;

/// The authenticated actor. Every handler behind a permission may take it.
pub struct CurrentActor(pub Actor);

impl<S: Sync> FromRequestParts<S> for CurrentActor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Actor>().cloned().map(Self).ok_or_else(unauthenticated)
    }
}

/// The session of a page.
pub struct SignedIn(pub Session);

impl<S: Sync> FromRequestParts<S> for SignedIn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Session>().cloned().map(Self).ok_or_else(unauthenticated)
    }
}

/// The response to a request without valid credentials.
pub fn unauthenticated() -> Problem {
    let message = "Send an API key as `Authorization: Bearer brs_…`; make one with `bursar api-key create`.";
    Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", message)
}

/// The actor of an API key sent from this address, and the key's scopes.
///
/// # Errors
/// 401 without a key, or with one that is unknown, revoked or expired; 403 from an address that it is not allowed from.
pub async fn by_api_key(
    app: &App,
    headers: &HeaderMap,
    from: Option<IpAddr>,
) -> Result<(Actor, Scopes), Problem> {
    let key = sent_key(headers).ok_or_else(unauthenticated)?;
    match people::by_key(app, key, from).await? {
        KeyLookup::In(actor, scopes) => Ok((actor, scopes)),
        KeyLookup::Unknown(None) => Err(unauthenticated()),
        KeyLookup::Unknown(Some(id)) => Err(unauthenticated().to_key(id)),
        KeyLookup::Ended(id, at) => {
            let message = format!(
                "This API key ended on {}. An administrator can create another one under People and keys.",
                clock::human(at)
            );
            Err(Problem::new(StatusCode::UNAUTHORIZED, "api_key_ended", message).to_key(id))
        }
        KeyLookup::MakerGone(id) => {
            let message = "This API key ended because the person who made it lost their access or is no longer an administrator. Another administrator can create a new one under People and keys.";
            Err(Problem::new(StatusCode::UNAUTHORIZED, "api_key_maker_gone", message).to_key(id))
        }
        KeyLookup::FromElsewhere(id, from) => Err(not_from_here(from).to_key(id)),
        KeyLookup::NoAddresses(id) => {
            let message = "API keys that pay or administer must be limited to certain addresses here, and this one is not. An administrator sets them under People and keys.";
            Err(Problem::new(StatusCode::FORBIDDEN, "api_key_addresses_required", message).to_key(id))
        }
    }
}

/// The API key that was sent, if something was that looks like one.
pub fn sent_key(headers: &HeaderMap) -> Option<&str> {
    let sent = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let (scheme, key) = sent.and_then(|value| value.split_once(' '))?;
    (scheme.eq_ignore_ascii_case("bearer") && key.starts_with("brs_")).then(|| key.trim())
}

fn not_from_here(from: Option<IpAddr>) -> Problem {
    let from = from.map_or_else(|| "an unknown address".to_owned(), |from| from.to_string());
    let message = format!(
        "This API key does not work from {from}. An administrator can change its addresses under People and keys. If {from} is your own proxy, BURSAR_TRUSTED_PROXIES must name it."
    );
    Problem::new(StatusCode::FORBIDDEN, "api_key_address", message)
}

/// The session of the cookie, if there is one. `from` is the client's address; `None` if the request does not come from a
/// person.
pub async fn by_cookie(
    app: &App,
    headers: &HeaderMap,
    from: Option<&str>,
) -> Result<Option<Session>, Problem> {
    match cookie(headers, COOKIE) {
        Some(token) => Ok(people::by_session(app, token, from).await?),
        None => Ok(None),
    }
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(known, _)| *known == name).map(|(_, value)| value).filter(|value| !value.is_empty())
}

/// The origin of a request, for the audit trail: the address as far as known, the address that an unknown proxy reports,
/// and the browser. All but the first can be forged, so nothing is decided by it.
pub fn came_from(request: &Request, trusted: &[Range]) -> String {
    let sent = |name| request.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    let from = client::address(request, trusted);
    let mut origin = from.map_or_else(|| "an unknown address".to_owned(), |from| from.to_string());
    // An address reported by an unconfigured proxy is unverified, and marked as such.
    if let Some(passed_on) = sent("x-forwarded-for").filter(|_| from == peer.map(|peer| peer.to_canonical()))
    {
        origin = format!("{origin}, for {passed_on}");
    }
    if let Some(browser) = sent("user-agent") {
        origin = format!("{origin}, {browser}");
    }
    origin.chars().filter(|letter| !letter.is_control()).take(MOST_CAME_FROM).collect()
}

/// The longest possible e-mail address (RFC 5321).
pub const MOST_EMAIL_BYTES: usize = 254;

/// Marks a browser as known for this login.
pub fn make_known(app: &App, response: &mut Response, name: &str, email: &str) {
    let shown = app.master_key.seal(&app.clock, &known_as(name), email);
    set_cookie(response, name, &shown, KNOWN_SECONDS);
}

fn known_as(name: &str) -> SealedAt {
    SealedAt::kept_by_browser(name, "").once(name)
}

/// The cookie of a browser that has signed in before: the login's address, sealed. It grants no access; it only lets its
/// owner try a password while others are guessing.
pub const KNOWN: &str = "bursar_known";
const KNOWN_SECONDS: u32 = 180 * 86_400;

/// The same for a browser that has also completed the second factor. A browser that was only known before there was a
/// factor may not try codes.
const KNOWN_BY_CODE: &str = "bursar_known_by_code";

/// Whether a browser has this cookie for this login.
pub fn is_known_as(app: &App, headers: &HeaderMap, name: &str, email: &str) -> bool {
    let shown = cookie(headers, name).and_then(|shown| app.master_key.open(&known_as(name), shown));
    shown.is_some_and(|known| known == email)
}

/// Whether a browser has completed this login's second factor before.
pub fn is_known_by_code(app: &App, headers: &HeaderMap, email: &str) -> bool {
    is_known_as(app, headers, KNOWN_BY_CODE, email)
}

/// The cookie of a halfway sign-in. It lasts as long as that does: ten minutes.
pub const HALF_WAY: &str = "bursar_half_way";
const HALF_WAY_SECONDS: u32 = 600;

/// The cookie with the state of a redirect to the identity provider. It lasts as long as that may take: ten minutes.
pub const PROVIDER_VISIT: &str = "bursar_provider";

/// The state of a redirect to the identity provider.
pub fn pending_sign_in(headers: &HeaderMap) -> Option<&str> {
    cookie(headers, PROVIDER_VISIT)
}

/// Stores the state of a redirect to the identity provider.
pub fn set_pending_sign_in(response: &mut Response, sealed: &str) {
    set_cookie(response, PROVIDER_VISIT, sealed, HALF_WAY_SECONDS);
}

/// The address that redirects to the identity provider for a step-up, and then to `next`.
pub fn again_at_provider(next: &str) -> String {
    let next: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
    format!("/login/provider?again=yes&next={next}")
}

/// Deletes a cookie of ours.
pub fn forget(response: &mut Response, name: &str) {
    set_cookie(response, name, "", 0);
}

/// The token of a halfway sign-in.
pub fn half_way(headers: &HeaderMap) -> Option<&str> {
    cookie(headers, HALF_WAY)
}

/// Binds a passkey sign-in to this browser, so that nobody can sign in somebody else's browser. It lasts as long as the
/// challenge: five minutes.
const ASKED: &str = "bursar_asked";
const ASKED_SECONDS: u32 = 300;

/// The state of a passkey sign-in.
pub fn asked_for_passkey(headers: &HeaderMap) -> Option<&str> {
    cookie(headers, ASKED)
}

/// Stores the state of a passkey sign-in.
pub fn ask_for_passkey(response: &mut Response, sealed: &str) {
    set_cookie(response, ASKED, sealed, ASKED_SECONDS);
}

/// Continues after a password or a link: signs in and redirects to `next`, or asks for the second factor first.
pub fn arrive(entered: &SignInProgress, next: Option<&str>) -> Response {
    match entered {
        SignInProgress::In(token) => welcome(token, next),
        SignInProgress::HalfWay(token) => {
            let next = next.filter(|next| is_ours(next)).unwrap_or_default();
            let next: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
            let mut response = Redirect::to(&format!("/login/code?next={next}")).into_response();
            set_cookie(&mut response, HALF_WAY, token, HALF_WAY_SECONDS);
            response
        }
    }
}

/// Signs in after the second factor, and marks the browser as known.
pub fn whole_way(app: &App, headers: &HeaderMap, email: &str, token: &str, next: Option<&str>) -> Response {
    let mut response = welcome(token, next);
    for name in [HALF_WAY, ASKED] {
        set_cookie(&mut response, name, "", 0);
    }
    for name in [KNOWN, KNOWN_BY_CODE] {
        if !is_known_as(app, headers, name, email) {
            make_known(app, &mut response, name, email);
        }
    }
    response
}

/// Ends the browser's previous session at a new sign-in; otherwise it would stay open, because its cookie is replaced.
pub async fn end_former(app: &App, headers: &HeaderMap) -> Result<(), Problem> {
    if let Some(former) = by_cookie(app, headers, None).await? {
        people::sign_out(app, &former).await?;
    }
    Ok(())
}

/// The response to too many attempts, with when to retry.
pub fn too_many(mut page: Response, Wait(seconds): Wait) -> Response {
    *page.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    page.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    page
}

pub const PORTAL_LOGIN: &str = "/portal/login";

/// Whether a path is a page of the partner portal.
pub fn is_portal(path: &str) -> bool {
    path == "/portal" || path.starts_with("/portal/") || path.starts_with("/portal?")
}

/// Whether a session has stepped up within the last ten minutes, which is required before a destination changes or money is
/// sent. If not, [`prove_first`] leads to the step-up and back.
pub fn is_fresh(session: &Session, now: i64) -> bool {
    now - session.proved_at() <= FRESH_US
}

/// Whether somebody without a second factor has just come through the provider, which may not report when they
/// authenticated. They may set up an app; otherwise they would be asked for a second factor forever.
pub fn just_came(session: &Session, now: i64) -> bool {
    !session.has_factor() && session.provider_at.is_some_and(|at| now - at <= FRESH_US)
}

/// How long a step-up is fresh.
pub const FRESH_US: i64 = 10 * 60 * 1_000_000;

/// Redirects to the step-up page, and then to `next`.
pub fn prove_first(next: &str) -> Response {
    let next: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
    Redirect::to(&format!("/prove?next={next}")).into_response()
}

/// The client's address, if known; a request extension of pages.
#[derive(Clone, Debug, Default)]
pub struct Address(pub String);

/// The cookie that marks a browser, so that the owner of a login hears of a sign-in from a new one. It grants no access.
const BROWSER: &str = "bursar_browser";
/// Browsers keep no cookie longer than 400 days.
const BROWSER_SECONDS: u32 = 400 * 86_400;

/// A browser's mark: the one it sent, or a new one if it is needed; a request extension of pages.
#[derive(Clone)]
pub struct BrowserMark {
    sent: Option<String>,
    used: Arc<OnceLock<String>>,
    clock: Clock,
}

impl BrowserMark {
    pub fn sent_with(app: &App, headers: &HeaderMap) -> Self {
        let sent = cookie(headers, BROWSER).filter(|sent| (32..=64).contains(&sent.len()));
        Self { sent: sent.map(str::to_owned), used: Arc::default(), clock: app.clock.clone() }
    }

    fn get(&self) -> String {
        self.used.get_or_init(|| self.sent.clone().unwrap_or_else(|| self.clock.secret())).clone()
    }

    /// Keeps the mark in a browser that has just signed in.
    pub fn keep(&self, response: &mut Response) {
        let Some(used) = self.used.get() else { return };
        let session = format!("{COOKIE}=");
        let begins = |cookie: &HeaderValue| {
            let value = cookie.to_str().ok().and_then(|cookie| cookie.strip_prefix(&session));
            value.is_some_and(|value| !value.starts_with(';'))
        };
        if response.headers().get_all(header::SET_COOKIE).iter().any(begins) {
            set_cookie(response, BROWSER, used, BROWSER_SECONDS);
        }
    }
}

pub struct Device(pub Browser);

impl<S: Sync> FromRequestParts<S> for Device {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let named = parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        let address = parts.extensions.get::<Address>().cloned().unwrap_or_default().0;
        let mark = parts.extensions.get::<BrowserMark>().map(BrowserMark::get).unwrap_or_default();
        Ok(Self(Browser { agent: named.unwrap_or_default().to_owned(), address, mark }))
    }
}

/// Stores a session's new token after a step-up.
pub fn renew(response: &mut Response, token: &str) {
    set_cookie(response, COOKIE, token, COOKIE_SECONDS);
}

/// Signs a browser in and redirects to `next`, or Home.
pub fn welcome(token: &str, next: Option<&str>) -> Response {
    let mut response = Redirect::to(next.filter(|next| is_ours(next)).unwrap_or("/")).into_response();
    set_cookie(&mut response, COOKIE, token, COOKIE_SECONDS);
    response
}

/// Whether a redirect target is a path of our own, and not another host in disguise.
pub fn is_ours(next: &str) -> bool {
    let mut letters = next.chars();
    letters.next() == Some('/')
        && !matches!(letters.next(), Some('/' | '\\'))
        && !next.contains(|letter: char| letter.is_control() || letter == '\\')
        // That would start another sign-in that nobody asked for.
        && !next.starts_with("/login/")
}

/// Sets a cookie of ours.
pub fn set_cookie(response: &mut Response, name: &str, value: &str, seconds: u32) {
    let cookie = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}");
    if let Ok(value) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_knows_whom_a_named_proxy_passes_on() {
        let mut request = Request::new(axum::body::Body::empty());
        request.headers_mut().insert("x-forwarded-for", HeaderValue::from_static("203.0.113.9"));
        let peer: SocketAddr = "127.0.0.1:9".parse().unwrap();
        request.extensions_mut().insert(ConnectInfo(peer));
        assert_eq!(came_from(&request, &[]), "127.0.0.1, for 203.0.113.9");
        assert_eq!(came_from(&request, &["127.0.0.1".parse().unwrap()]), "203.0.113.9");
    }

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
