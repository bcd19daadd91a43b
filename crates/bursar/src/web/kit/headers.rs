//! The headers of every response, in one table, and the names of our cookies. Not here: the session behind a cookie.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use payout::money::Vendor;
use url::Url;

use crate::app::App;

/// The cookie prefix by which no other host of the domain, and no plain connection, can set the cookie.
const HOST_ONLY: &str = "__Host-";

/// Set on every response that has no stricter value of its own.
const RULES: [(HeaderName, &str); 6] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (
        HeaderName::from_static("permissions-policy"),
        "accelerometer=(), browsing-topics=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), \
         magnetometer=(), microphone=(), midi=(), payment=(), usb=()",
    ),
];

/// Adds the headers to a response.
pub fn add(app: &App, headers: &mut HeaderMap, path: &str, request_id: &str) {
    if holds_a_link(path) {
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("strict-origin"));
    }
    for (name, value) in RULES {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if let Ok(policy) = HeaderValue::from_str(&content_policy(app, path)) {
        // Framed content has its own, stricter policy.
        headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(policy);
    }
    if is_https(app) {
        let kept = match app.config.hsts_subdomains {
            true => "max-age=31536000; includeSubDomains",
            false => "max-age=31536000",
        };
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(kept));
    }
    name_charset(headers);
    if !may_be_stored(path) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if let Ok(value) = HeaderValue::from_str(request_id) {
        headers.insert("x-request-id", value);
    }
}

/// Whether browsers and proxies may store a response below this path. Such a response must contain nothing about the user,
/// not even a 404.
pub fn may_be_stored(path: &str) -> bool {
    path.starts_with("/assets/") || path.starts_with("/api/docs")
}

/// Adds UTF-8 to the content type of every text response.
fn name_charset(headers: &mut HeaderMap) {
    let Some(kind) = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()) else { return };
    let (bare, words) = kind.split_once(';').unwrap_or((kind, ""));
    let bare = bare.trim().to_ascii_lowercase();
    let of_xml = bare.ends_with("+xml") || bare.ends_with("/xml");
    let is_text = bare.starts_with("text/") || of_xml || bare == "application/javascript";
    if !is_text || words.to_ascii_lowercase().contains("charset=") {
        return;
    }
    if let Ok(whole) = HeaderValue::from_str(&format!("{kind}; charset=utf-8")) {
        headers.insert(header::CONTENT_TYPE, whole);
    }
}

/// Whether a path contains a one-time link. Subresource requests must not send it in full as the referrer, because a proxy
/// would log it.
fn holds_a_link(path: &str) -> bool {
    let pages = ["/login/", "/join/", "/portal/join/", "/portal/confirm/", "/password/new/"];
    pages.iter().any(|page| path.starts_with(page))
}

fn content_policy(app: &App, path: &str) -> String {
    let mut forms = "'self'".to_owned();
    if path.starts_with("/portal/profile/") {
        // The onboarding form redirects to Stripe's pages, and browsers check a form's final target.
        let stand_in = app.config.stand_in(Vendor::Stripe).and_then(|base| Url::parse(base).ok());
        let theirs = stand_in.map(|base| base.origin().ascii_serialization());
        forms = format!("{forms} {}", theirs.as_deref().unwrap_or("https://*.stripe.com"));
    }
    format!(
        "default-src 'self'; script-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; \
         form-action {forms}; frame-ancestors 'none'"
    )
}

/// Whether people connect over https.
pub fn is_https(app: &App) -> bool {
    app.base_url.starts_with("https:")
}

/// Renames our cookies to their internal names. Over https, only cookies that no other host can have set count.
pub fn open_cookies(app: &App, headers: &mut HeaderMap) {
    if !is_https(app) {
        return;
    }
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let ours = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().strip_prefix(HOST_ONLY));
    let opened = HeaderValue::from_str(&ours.collect::<Vec<_>>().join("; "));
    headers.remove(header::COOKIE);
    if let Ok(opened) = opened {
        headers.insert(header::COOKIE, opened);
    }
}

/// Renames our cookies to the names they are sent under.
pub fn close_cookies(app: &App, headers: &mut HeaderMap) {
    if !is_https(app) {
        return;
    }
    let cookies: Vec<HeaderValue> = headers
        .get_all(header::SET_COOKIE)
        .iter()
        .filter_map(|value| {
            HeaderValue::from_str(&format!("{HOST_ONLY}{}; Secure", value.to_str().ok()?)).ok()
        })
        .collect();
    headers.remove(header::SET_COOKIE);
    for cookie in cookies {
        headers.append(header::SET_COOKIE, cookie);
    }
}

/// Whether a browser says that a form comes from another site. Programs send no such header, and have no session.
pub fn from_elsewhere(app: &App, headers: &HeaderMap) -> bool {
    let sent = |name| headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap_or("?"));
    // Browsers send this header over https, and pages cannot forge it.
    if let Some(site) = sent(HeaderName::from_static("sec-fetch-site")) {
        return !matches!(site, "same-origin" | "none");
    }
    let Some(origin) = sent(header::ORIGIN) else { return false };
    let ours = Url::parse(&app.base_url).map(|base| base.origin().ascii_serialization());
    // We may be reached under a host name other than the configured one; a foreign page's origin never equals our host.
    let here = origin.split_once("://").is_some_and(|(_, host)| sent(header::HOST) == Some(host));
    !here && ours.is_ok_and(|ours| ours != origin)
}
