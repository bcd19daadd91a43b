//! Liveness, readiness and metrics endpoints.

use std::net::SocketAddr;
use std::sync::OnceLock;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use subtle::ConstantTimeEq as _;

use crate::app::App;
use crate::ops::{checks, master_key};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, get};
use crate::web::kit::session::unauthenticated;

pub fn routes() -> Vec<Route> {
    vec![
        get("/healthz", Access::Open, async || "ok").says("Is the process alive?").answers_nothing(200),
        get("/readyz", Access::Open, ready)
            .says("Can it work: does the database answer, and do the loops go round?")
            .answers_nothing(200),
        get("/metrics", Access::Open, numbers)
            .says("What was counted, as Prometheus text")
            .answers_nothing(200),
    ]
}

async fn ready(State(app): State<App>) -> Result<&'static str, Problem> {
    let not_ready =
        |told: String| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", told).retry_after(5);
    if let Err(error) = app.store.read().await.map(drop) {
        tracing::warn!(%error, "not ready");
        return Err(not_ready(checks::database_away().what));
    }
    if app.master_key.is_key_missing() {
        return Err(not_ready(master_key::NOT_HERE.to_owned()));
    }
    match checks::late(&app.nudge.pulse.ages(app.clock.now())) {
        None => Ok("ready"),
        Some(late) => {
            tracing::warn!(late = late.what, "not ready: loops have not finished a pass");
            Err(not_ready(late.told()))
        }
    }
}

/// Headers that show that a proxy has forwarded the request; then it does not originate from its connection's peer.
const PASSED_ON: [HeaderName; 6] = [
    header::FORWARDED,
    header::VIA,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-real-ip"),
];

/// Metrics, for whoever has the token or, if no token is configured, for this machine itself, but not through a proxy.
async fn numbers(State(app): State<App>, headers: HeaderMap, request: Request) -> Result<Response, Problem> {
    let sent = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let sent = sent.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or("");
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    let allowed = match &app.config.metrics_token {
        Some(token) => !token.is_empty() && bool::from(token.as_bytes().ct_eq(sent.as_bytes())),
        None => peer.is_some_and(|peer| peer.is_loopback()) && !is_proxied(&headers),
    };
    if !allowed {
        return Err(unauthenticated());
    }
    for age in app.nudge.pulse.ages(app.clock.now()) {
        let seconds = u32::try_from(age.age_us / 1_000_000).unwrap_or(0);
        metrics::gauge!("bursar_loop_age_seconds", "loop" => age.name).set(seconds);
    }
    let in_file = if app.master_key.is_not_in_file() || app.master_key.is_key_missing() { 0 } else { 1 };
    metrics::gauge!("bursar_master_key_in_file").set(in_file);
    let text = recorder().map(PrometheusHandle::render).unwrap_or_default();
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}

fn is_proxied(headers: &HeaderMap) -> bool {
    let named = |name: &HeaderName| PASSED_ON.contains(name) || name.as_str().starts_with("x-forwarded-");
    headers.keys().any(named)
}

/// Counts a response by its route template. Every label is from a fixed list, so outsiders cannot grow the number of
/// series.
pub fn count(method: &'static str, route: &str, status: u16, took_us: i64) {
    if recorder().is_none() {
        return;
    }
    let labels = [("method", method.to_owned()), ("route", route.to_owned()), ("status", status.to_string())];
    metrics::counter!("bursar_http_requests_total", &labels).increment(1);
    metrics::counter!("bursar_http_request_microseconds_total", &labels)
        .increment(took_us.max(0).unsigned_abs());
}

/// The process-wide metrics recorder; `None` if another one is already installed.
fn recorder() -> Option<&'static PrometheusHandle> {
    static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    RECORDER.get_or_init(|| PrometheusBuilder::new().install_recorder().ok()).as_ref()
}
