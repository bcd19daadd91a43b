//! Who is asking: API keys in `Authorization`, people by the session cookie; and the cookies that say so. What is
//! deliberately not here: signing in and out (`users::sign_in`), and what each role may do (the route table).

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};

use payout::scope::Scopes;

use super::client;
use super::login_limit::Wait;
use super::problem::Fault;
use crate::app::{Actor, App};
use crate::clock;
use crate::config::Range;
use crate::ops::people::{self, Browser, Entered, Sent, Session};
use crate::secrets::Place;

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

/// The answer to whoever is nobody.
pub fn unauthenticated() -> Fault {
    let told = "Send an API key as `Authorization: Bearer brs_…`; make one with `bursar api-key create`.";
    Fault::new(StatusCode::UNAUTHORIZED, "unauthenticated", told)
}

/// Whoever sent this API key from this address, and what the key is for.
///
/// # Errors
/// 401 without one, with one that is unknown, revoked or over; 403 from an address that it is not taken from.
pub async fn by_api_key(
    app: &App,
    headers: &HeaderMap,
    from: Option<IpAddr>,
) -> Result<(Actor, Scopes), Fault> {
    let key = sent_key(headers).ok_or_else(unauthenticated)?;
    match people::by_key(app, key, from).await? {
        Sent::In(actor, scopes) => Ok((actor, scopes)),
        Sent::Unknown(None) => Err(unauthenticated()),
        Sent::Unknown(Some(id)) => Err(unauthenticated().to_key(id)),
        Sent::Ended(id, at) => {
            let told = format!(
                "This API key ended on {}. An administrator makes another one under People and keys.",
                clock::told(at)
            );
            Err(Fault::new(StatusCode::UNAUTHORIZED, "api_key_ended", told).to_key(id))
        }
        Sent::MakerGone(id) => {
            let told = "This API key has ended with whoever made it: they are shut out, or no administrator any more. Another administrator makes another one under People and keys.";
            Err(Fault::new(StatusCode::UNAUTHORIZED, "api_key_maker_gone", told).to_key(id))
        }
        Sent::FromElsewhere(id, from) => Err(not_from_here(from).to_key(id)),
        Sent::NoAddresses(id) => {
            let told = "API keys that pay or administer must name here the addresses they are taken from, and this one names none. An administrator names them under People and keys.";
            Err(Fault::new(StatusCode::FORBIDDEN, "api_key_addresses_required", told).to_key(id))
        }
    }
}

/// The API key that was sent, if something was that looks like one.
pub fn sent_key(headers: &HeaderMap) -> Option<&str> {
    let sent = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let (scheme, key) = sent.and_then(|value| value.split_once(' '))?;
    (scheme.eq_ignore_ascii_case("bearer") && key.starts_with("brs_")).then(|| key.trim())
}

fn not_from_here(from: Option<IpAddr>) -> Fault {
    let from = from.map_or_else(|| "an unknown address".to_owned(), |from| from.to_string());
    let told = format!(
        "This API key is not taken from {from}. An administrator changes its addresses under People and keys. If {from} is a proxy of yours, BURSAR_TRUSTED_PROXIES must name it."
    );
    Fault::new(StatusCode::FORBIDDEN, "api_key_address", told)
}

/// Whoever sent this cookie, if anybody did. `from` is the address they use the session from; nothing where no person asks.
pub async fn by_cookie(app: &App, headers: &HeaderMap, from: Option<&str>) -> Result<Option<Session>, Fault> {
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

/// Where a request comes from, for the history of what matters: the address it comes from, as far as that can be known,
/// whom an unknown proxy says it passes it on for, and the browser. All but the first can be made up, so nothing is decided
/// by it.
pub fn came_from(request: &Request, trusted: &[Range]) -> String {
    let sent = |name| request.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    let from = client::address(request, trusted);
    let mut told = from.map_or_else(|| "an unknown address".to_owned(), |from| from.to_string());
    // Whom a proxy that nobody named passes it on for is hearsay, and is told as such.
    if let Some(passed_on) = sent("x-forwarded-for").filter(|_| from == peer.map(|peer| peer.to_canonical()))
    {
        told = format!("{told}, for {passed_on}");
    }
    if let Some(browser) = sent("user-agent") {
        told = format!("{told}, {browser}");
    }
    told.chars().filter(|letter| !letter.is_control()).take(MOST_CAME_FROM).collect()
}

/// The longest address there is (RFC 5321).
pub const MOST_EMAIL_BYTES: usize = 254;

/// Gives a browser what it is known by, for this login.
pub fn make_known(app: &App, response: &mut Response, name: &str, email: &str) {
    let shown = app.master_key.seal(&app.clock, &known_as(name), email);
    set_cookie(response, name, &shown, KNOWN_SECONDS);
}

fn known_as(name: &str) -> Place {
    Place::kept_by_browser(name, "").once(name)
}

/// What a browser shows that has signed in to a login before: its address, sealed. It opens nothing; it only lets its
/// owner try a password while somebody elsewhere guesses at it.
pub const KNOWN: &str = "bursar_known";
const KNOWN_SECONDS: u32 = 180 * 86_400;

/// The same of a browser that has also shown the second factor's code: what a password alone was given before there was a
/// factor lets nobody try codes.
const KNOWN_BY_CODE: &str = "bursar_known_by_code";

/// Whether a browser shows what it was given under this name, for this login.
pub fn is_known_as(app: &App, headers: &HeaderMap, name: &str, email: &str) -> bool {
    let shown = cookie(headers, name).and_then(|shown| app.master_key.open(&known_as(name), shown));
    shown.is_some_and(|known| known == email)
}

/// Whether a browser has shown this login's code before.
pub fn is_known_by_code(app: &App, headers: &HeaderMap, email: &str) -> bool {
    is_known_as(app, headers, KNOWN_BY_CODE, email)
}

/// What a browser shows whose user has come half way. It lasts as long as that does: ten minutes.
pub const HALF_WAY: &str = "bursar_half_way";
const HALF_WAY_SECONDS: u32 = 600;

/// What a browser keeps that was sent to the provider. It lasts as long as that may take: ten minutes.
pub const PROVIDER_VISIT: &str = "bursar_provider";

/// What a browser has kept that was sent to the provider.
pub fn provider_visit(headers: &HeaderMap) -> Option<&str> {
    cookie(headers, PROVIDER_VISIT)
}

/// Gives it to a browser.
pub fn visit_provider(response: &mut Response, sealed: &str) {
    set_cookie(response, PROVIDER_VISIT, sealed, HALF_WAY_SECONDS);
}

/// The address that leads to the provider, to prove there once more who they are, and then to `next`.
pub fn again_at_provider(next: &str) -> String {
    let next: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
    format!("/login/provider?again=yes&next={next}")
}

/// Takes a cookie of ours away.
pub fn forget(response: &mut Response, name: &str) {
    set_cookie(response, name, "", 0);
}

/// The token of whoever has come half way.
pub fn half_way(headers: &HeaderMap) -> Option<&str> {
    cookie(headers, HALF_WAY)
}

/// What a browser is known by while somebody shows it a passkey and nothing else, so that nobody can sign somebody else's
/// browser in. It lasts as long as the challenge does: five minutes.
const ASKED: &str = "bursar_asked";
const ASKED_SECONDS: u32 = 300;

/// What a browser has kept that was asked for a passkey.
pub fn asked_for_passkey(headers: &HeaderMap) -> Option<&str> {
    cookie(headers, ASKED)
}

/// Has a browser keep what it comes back with that is asked for a passkey.
pub fn ask_for_passkey(response: &mut Response, sealed: &str) {
    set_cookie(response, ASKED, sealed, ASKED_SECONDS);
}

/// Lets whoever has shown a password or a link in, and on to `next`, or asks for their code first.
pub fn arrive(entered: &Entered, next: Option<&str>) -> Response {
    match entered {
        Entered::In(token) => welcome(token, next),
        Entered::HalfWay(token) => {
            let next = next.filter(|next| is_ours(next)).unwrap_or_default();
            let next: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
            let mut response = Redirect::to(&format!("/login/code?next={next}")).into_response();
            set_cookie(&mut response, HALF_WAY, token, HALF_WAY_SECONDS);
            response
        }
    }
}

/// Lets somebody in who has come the whole way, with a browser that is known from now on.
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

/// Ends the session that a browser had before somebody signed in with it anew: its token is replaced there, so nobody would
/// end it.
pub async fn end_former(app: &App, headers: &HeaderMap) -> Result<(), Fault> {
    if let Some(former) = by_cookie(app, headers, None).await? {
        people::sign_out(app, &former).await?;
    }
    Ok(())
}

/// An answer to too many tries, with when to come back.
pub fn too_many(mut page: Response, Wait(seconds): Wait) -> Response {
    *page.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    page.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    page
}

pub const PORTAL_LOGIN: &str = "/portal/login";

/// Whether an address of ours is a page of the partners' portal.
pub fn is_portal(path: &str) -> bool {
    path == "/portal" || path.starts_with("/portal/") || path.starts_with("/portal?")
}

/// Whether whoever holds a session has proved who they are within the last ten minutes: what is asked before a destination
/// changes or money is sent. Where it is false, [`prove_first`] leads to their password and back.
pub fn is_fresh(session: &Session, now: i64) -> bool {
    now - session.proved_at() <= FRESH_US
}

/// Whether whoever has no second factor yet has just come by the provider, which may say of no proof: they may set up an app,
/// else they would be asked for a second factor for ever.
pub fn just_came(session: &Session, now: i64) -> bool {
    !session.has_factor() && session.provider_at.is_some_and(|at| now - at <= FRESH_US)
}

/// How long a proof is fresh.
pub const FRESH_US: i64 = 10 * 60 * 1_000_000;

/// To the page that asks for the password again, and then to `next`.
pub fn prove_first(next: &str) -> Response {
    let next: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
    Redirect::to(&format!("/prove?next={next}")).into_response()
}

/// The address that a request comes from, as far as it is known; an extension of what is asked of pages.
#[derive(Clone, Debug, Default)]
pub struct Address(pub String);

/// The browser that somebody comes with.
pub struct Device(pub Browser);

impl<S: Sync> FromRequestParts<S> for Device {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fault> {
        let named = parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        let address = parts.extensions.get::<Address>().cloned().unwrap_or_default().0;
        Ok(Self(Browser { agent: named.unwrap_or_default().to_owned(), address }))
    }
}

/// Gives a browser the token that takes its session's place after a proof.
pub fn renew(response: &mut Response, token: &str) {
    set_cookie(response, COOKIE, token, COOKIE_SECONDS);
}

/// Signs a browser in and goes on to `next`, or home.
pub fn welcome(token: &str, next: Option<&str>) -> Response {
    let mut response = Redirect::to(next.filter(|next| is_ours(next)).unwrap_or("/")).into_response();
    set_cookie(&mut response, COOKIE, token, COOKIE_SECONDS);
    response
}

/// Only a path of our own may follow a login, never another host's address in disguise.
pub fn is_ours(next: &str) -> bool {
    let mut letters = next.chars();
    letters.next() == Some('/')
        && !matches!(letters.next(), Some('/' | '\\'))
        && !next.contains(|letter: char| letter.is_control() || letter == '\\')
        // That would begin another sign-in, which nobody has asked for.
        && !next.starts_with("/login/")
}

/// Gives a browser a cookie of ours.
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
