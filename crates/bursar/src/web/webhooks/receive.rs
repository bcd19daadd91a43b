//! The webhook endpoints: an event is verified on its raw bytes, stored durably, and only then acknowledged. Not here:
//! storing them (`kit::event_writer`), and processing them (`work::intake`).

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use sha2::{Digest as _, Sha256};
use vendors::certificates::NoCertificate;
use vendors::signature::paypal::{PaypalHeaders, Roots};
use vendors::signature::{self, SignatureError};

use payout::money::Vendor;

use crate::app::App;
use crate::store::events;
use crate::store::events::New;
use crate::web::kit::extract;
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, Web, post};
use crate::work::clients;

pub fn routes() -> Vec<Route> {
    vec![
        post("/webhooks/stripe", Access::Open, stripe_platform)
            .says("Stripe's events about our own account")
            .needs_header("Stripe-Signature", SIGNED_BY_STRIPE)
            .takes_foreign(EVENT)
            .answers_nothing(200),
        post("/webhooks/stripe-connect", Access::Open, stripe_connect)
            .says("Stripe's events about connected accounts")
            .needs_header("Stripe-Signature", SIGNED_BY_STRIPE)
            .takes_foreign(EVENT)
            .answers_nothing(200),
        PaypalHeaders::NAMES
            .iter()
            .fold(post("/webhooks/paypal", Access::Open, paypal), |route, name| {
                route.needs_header(name, SIGNED_BY_PAYPAL)
            })
            .says("PayPal's events")
            .takes_foreign(EVENT)
            .answers_nothing(200),
    ]
}

const EVENT: &str = "An event as the vendor writes it; the signature is of its bytes.";
const SIGNED_BY_STRIPE: &str = "When it was signed, and its signature under the secret of this address";

const SIGNED_BY_PAYPAL: &str =
    "As PayPal sends it; the five together are the signature and what it is made with";

async fn stripe_platform(State(web): State<Web>, request: Request) -> Result<Response, Problem> {
    let secrets = web.intake.secrets(&web.app).await?;
    stripe(&web, request, "stripe", secrets.stripe_platform).await
}

async fn stripe_connect(State(web): State<Web>, request: Request) -> Result<Response, Problem> {
    let secrets = web.intake.secrets(&web.app).await?;
    stripe(&web, request, "stripe-connect", secrets.stripe_connect).await
}

async fn stripe(
    web: &Web,
    request: Request,
    endpoint: &'static str,
    secret: Option<String>,
) -> Result<Response, Problem> {
    let headers = request.headers().clone();
    let body = extract::body(request).await?;
    let sent = headers.get("stripe-signature").and_then(|value| value.to_str().ok()).unwrap_or("");
    let secret = secret.unwrap_or_default();
    let now = web.app.clock.now();
    let verified = signature::stripe(&[secret.as_str()], sent, &body, now);
    verified.map_err(|error| refuse(web, Vendor::Stripe, &error))?;
    let event = vendors::stripe::event::parse(&body).unwrap_or_else(|why| vendors::stripe::event::Event {
        id: unreadable(Vendor::Stripe, &body, &why),
        event_type: events::UNREADABLE.to_owned(),
        ..Default::default()
    });
    let new = New {
        id: fresh_id(&web.app),
        vendor: Vendor::Stripe,
        endpoint,
        event_id: event.id,
        event_type: event.event_type,
        account: event.account,
        object_id: event.object_id,
        body: text(&body),
        headers: serde_json::json!({ "stripe-signature": sent }).to_string(),
        received_at: now,
    };
    web.intake.store(new).await?;
    Ok(received())
}

async fn paypal(State(web): State<Web>, request: Request) -> Result<Response, Problem> {
    let headers = request.headers().clone();
    let body = extract::body(request).await?;
    let now = web.app.clock.now();
    verify_paypal(&web, &headers, &body, now).await.map_err(|unverified| match unverified {
        Unverified::Signature(error) => refuse(&web, Vendor::PayPal, &error),
        Unverified::Later => {
            let message =
                "Too many deliveries name certificates that are not known yet; send this one again.";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "over_capacity", message).retry_after(60)
        }
    })?;
    let event = vendors::paypal::event::parse(&body).unwrap_or_else(|why| vendors::paypal::event::Event {
        id: unreadable(Vendor::PayPal, &body, &why),
        event_type: events::UNREADABLE.to_owned(),
        ..Default::default()
    });
    let kept: serde_json::Map<String, serde_json::Value> = headers
        .iter()
        .filter(|(name, _)| name.as_str().starts_with("paypal-"))
        .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.into())))
        .collect();
    let new = New {
        id: fresh_id(&web.app),
        vendor: Vendor::PayPal,
        endpoint: "paypal",
        event_id: event.id,
        event_type: event.event_type,
        account: None,
        object_id: event.payout_batch_id,
        body: text(&body),
        headers: serde_json::Value::Object(kept).to_string(),
        received_at: now,
    };
    web.intake.store(new).await?;
    Ok(received())
}

/// Why a delivery is refused.
enum Unverified {
    Signature(SignatureError),
    /// Its certificate cannot be fetched now.
    Later,
}

impl From<SignatureError> for Unverified {
    fn from(error: SignatureError) -> Self {
        Self::Signature(error)
    }
}

impl From<NoCertificate> for Unverified {
    fn from(error: NoCertificate) -> Self {
        match error {
            NoCertificate::Failed(_) => SignatureError::Header("paypal-cert-url").into(),
            NoCertificate::Later => Self::Later,
        }
    }
}

async fn verify_paypal(web: &Web, headers: &HeaderMap, body: &[u8], now: i64) -> Result<(), Unverified> {
    let not_configured = SignatureError::NotConfigured;
    let secrets = web.intake.secrets(&web.app).await.map_err(|_| not_configured.clone())?;
    let Some((webhook_id, mode)) = secrets.paypal else { return Err(not_configured.into()) };
    let told = PaypalHeaders::find(|name| headers.get(name).and_then(|value| value.to_str().ok()))?;
    // Check everything that can be checked before fetching anything from PayPal.
    signature::paypal::precheck(&told, &webhook_id, now)?;
    let base = clients::base(&web.app, Vendor::PayPal, &mode).map_err(|_| not_configured.clone())?;
    // Check the URL before fetching from it.
    let url = signature::paypal::cert_url(told.cert_url, &base)?;
    let extra = match &web.app.config.paypal_cert_ca {
        Some(path) => Some(tokio::fs::read(path).await.map_err(|_| not_configured.clone())?),
        None => None,
    };
    let roots = Roots::for_base(&base, extra.as_deref()).map_err(|_| not_configured)?;
    let certificate = web.work.clients.http().fetch_certificate(&url, now).await?;
    Ok(signature::paypal::verify(&told, body, &webhook_id, &certificate, &roots, now)?)
}

/// A missing secret is our fault and may be fixed, so the vendor is asked to retry; anything else is a 400, which vendors
/// retry as well, and which changes nothing.
fn refuse(web: &Web, vendor: Vendor, error: &SignatureError) -> Problem {
    if matches!(error, SignatureError::NotConfigured) {
        let message = "No webhook secret is configured for this vendor, so its events are not taken. Connect it in Payout Settings.";
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, "webhook_not_configured", message)
            .retry_after(60);
    }
    tracing::debug!(vendor = vendor.as_str(), %error, "a webhook whose signature does not fit was refused");
    if web.intake.counts_bad(vendor, web.app.clock.now()) {
        // If the queue is full, they are recorded with its next event.
        web.intake.note_bad();
    }
    Problem::bad_request(
        "bad_signature",
        format!("The signature does not fit ({error}); nothing was stored."),
    )
}

/// A signed event that cannot be parsed is stored, counted and shown anyway: refused, it would be retried for days, and the
/// vendor would disable the endpoint. It has no readable id, so a hash of its bytes serves as one.
fn unreadable(vendor: Vendor, body: &[u8], why: &str) -> String {
    tracing::warn!(
        vendor = vendor.as_str(),
        why,
        "a signed event cannot be read; it is stored and moves nothing"
    );
    metrics::counter!("bursar_unreadable_events_total", "vendor" => vendor.as_str()).increment(1);
    let hash: String = Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}:{hash}", events::UNREADABLE)
}

/// PostgreSQL rejects NUL in text.
fn text(body: &[u8]) -> String {
    String::from_utf8_lossy(body).replace('\0', "")
}

fn fresh_id(app: &App) -> String {
    payout::ids::EventId::fresh(app.clock.now(), app.clock.in_turn()).to_string()
}

fn received() -> Response {
    axum::Json(serde_json::json!({ "received": true })).into_response()
}
