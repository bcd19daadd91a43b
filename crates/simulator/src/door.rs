//! The HTTP entry point: dispatch to a vendor, connection faults, and the control paths.
//!
//! Not here: the vendors' answers. A connection is broken by a body that fails: before the first byte, the server
//! closes without sending anything; later, it closes midway.

use axum::body::{Body, Bytes};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures::{StreamExt, stream};
use serde::Deserialize;
use std::time::Duration;

use crate::faults::{Call, Fault, FaultKind};
use crate::stripe::onboarding;
use crate::{SECOND, Simulator, Vendor, paypal, stripe};

/// Both vendors reject larger bodies; 15,000 PayPal items fit easily.
const LARGEST_BODY: usize = 64 << 20;

pub(crate) struct Incoming {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) now: i64,
}

/// An answer, before any connection fault.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    /// Whether the call created something.
    pub(crate) executed: bool,
}

/// What a fault asks of the vendor itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Twist {
    Plain,
    /// Execute nothing, return this, store nothing.
    Instead(Trouble),
    /// Execute nothing, return 500, store it under the key.
    Stored500,
    /// Execute, return 500, and store that under the key.
    Executed500,
    OtherAmount,
    /// Execute, and return undocumented statuses.
    OtherStatus,
    /// Execute twice, and answer as for the second request.
    Repeated,
}

/// An error unrelated to the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    Unavailable,
    Limited { retry_after_s: u64 },
    Locked,
    InUse,
    Unauthorized,
}

/// A request made without a network.
pub struct InProcessRequest {
    /// `GET`, `POST` or another.
    pub method: String,
    /// From the slash on, without the query.
    pub path: String,
    /// The part after the question mark; may be empty.
    pub query: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// The answer to a request made without a network.
pub struct InProcessResponse {
    pub status: u16,
    /// The headers, including `Date`.
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    /// Whether it arrives completely; otherwise the connection breaks and the caller sees at most part of it.
    pub whole: bool,
    /// The webhooks to deliver before the answer.
    pub early: Vec<crate::Delivery>,
}

enum Travel {
    Whole,
    Nothing,
    Half,
    Slowly(u64),
}

impl Incoming {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The base URL the caller used, for links and certificates.
    pub(crate) fn base(&self) -> String {
        format!("http://{}", self.header("host").unwrap_or("localhost"))
    }
}

impl Answer {
    pub(crate) fn json(status: u16, body: &serde_json::Value) -> Answer {
        Answer { status, headers: Vec::new(), body: body.to_string().into_bytes(), executed: false }
    }
}

pub(crate) fn router(simulator: Simulator) -> Router {
    Router::new()
        .route("/_sim/books", get(books))
        .route("/_sim/faults", post(plant))
        .route("/_sim/balance", post(set_balance))
        .route("/_sim/mend", post(mend))
        .route("/_sim/ca.pem", get(ca))
        .route("/_sim/advance", post(advance))
        .route("/_sim/forget-token", post(forget_token))
        .route("/_sim/onboard/{link}", get(onboard).post(onboarded))
        .fallback(serve)
        .with_state(simulator)
}

async fn serve(State(simulator): State<Simulator>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, LARGEST_BODY).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let incoming = Incoming {
        method: parts.method.as_str().to_owned(),
        path: parts.uri.path().trim_end_matches('/').to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers,
        body,
        now: simulator.now(),
    };
    let simulator = simulator.of(&incoming);
    let (answer, travel, early) = answer(&simulator, &incoming);
    if !early.is_empty() {
        simulator.deliver(early, incoming.now).await;
    }
    send(answer, travel, incoming.now)
}

/// The same without a network.
pub(crate) fn carry(simulator: &Simulator, asked: InProcessRequest) -> InProcessResponse {
    let incoming = Incoming {
        method: asked.method,
        path: asked.path.trim_end_matches('/').to_owned(),
        query: asked.query,
        headers: asked.headers,
        body: Bytes::from(asked.body),
        now: simulator.now(),
    };
    let simulator = simulator.of(&incoming);
    let (answer, travel, early) = answer(&simulator, &incoming);
    let mut headers = answer.headers;
    headers.extend(dated(incoming.now).map(|date| ("date", date)));
    InProcessResponse {
        status: answer.status,
        headers,
        body: answer.body,
        whole: matches!(travel, Travel::Whole | Travel::Slowly(_)),
        early: early.iter().map(|waiting| waiting.signed(incoming.now)).collect(),
    }
}

/// Locks the world once: applies what is due, triggers a fault, calls the vendor, records a payment request.
fn answer(simulator: &Simulator, incoming: &Incoming) -> (Answer, Travel, Vec<crate::outbox::Waiting>) {
    let world = &mut *simulator.world();
    world.advance(incoming.now);
    let vendor = vendor_of(&incoming.path);
    let call = call_of(vendor, incoming);
    let served_to_anyone = incoming.path.starts_with("/v1/notifications/certs/");
    let fault = if served_to_anyone { None } else { world.faults.strike(vendor, call) };
    let (twist, travel) = effect(fault.as_ref());
    let answer = match (&fault, vendor) {
        (Some(FaultKind::RefuseConnection), _) => Answer::json(503, &serde_json::Value::Null),
        (Some(FaultKind::Html200), _) => html(),
        (_, Vendor::Stripe) => stripe::answer(world, incoming, twist),
        (_, Vendor::PayPal) => paypal::answer(world, incoming, twist),
    };
    // Anything the call itself made due happens before the answer.
    world.advance(incoming.now);
    if call == Some(Call::Read) && !served_to_anyone {
        let start = incoming.path.split('/').take(3).collect::<Vec<_>>().join("/");
        let whose = match vendor {
            Vendor::Stripe => "stripe",
            Vendor::PayPal => "paypal",
        };
        *world.questions.entry(format!("{whose} {start}")).or_default() += 1;
    }
    if matches!(call, Some(Call::Transfer | Call::Payout | Call::Reversal | Call::Batch)) {
        let noted = match vendor {
            Vendor::Stripe => stripe::money_request(incoming, answer.executed),
            Vendor::PayPal => paypal::money_request(incoming, answer.executed),
        };
        world.requests.push(noted);
    }
    // The receiver may be fetching the previous delivery's certificate.
    let early = if served_to_anyone { Vec::new() } else { world.outbox.early(incoming.now) };
    (answer, travel, early)
}

fn vendor_of(path: &str) -> Vendor {
    let paypal = ["/v1/oauth2/", "/v1/payments/", "/v1/notifications/", "/v1/reporting/"];
    if paypal.iter().any(|start| path.starts_with(start)) { Vendor::PayPal } else { Vendor::Stripe }
}

fn call_of(vendor: Vendor, incoming: &Incoming) -> Option<Call> {
    let path = incoming.path.as_str();
    match (incoming.method.as_str(), vendor, path) {
        ("GET", _, _) => Some(Call::Read),
        ("POST", Vendor::Stripe, "/v1/transfers") => Some(Call::Transfer),
        ("POST", Vendor::Stripe, "/v1/payouts") => Some(Call::Payout),
        ("POST", Vendor::Stripe, _) if path.starts_with("/v1/transfers/") && path.ends_with("/reversals") => {
            Some(Call::Reversal)
        }
        ("POST", Vendor::PayPal, "/v1/payments/payouts") => Some(Call::Batch),
        ("POST", Vendor::PayPal, _)
            if path.starts_with("/v1/payments/payouts-item/") && path.ends_with("/cancel") =>
        {
            Some(Call::Cancel)
        }
        ("POST", Vendor::PayPal, "/v1/oauth2/token") => Some(Call::Token),
        _ => None,
    }
}

fn effect(fault: Option<&FaultKind>) -> (Twist, Travel) {
    let instead = |trouble| (Twist::Instead(trouble), Travel::Whole);
    let Some(fault) = fault else { return (Twist::Plain, Travel::Whole) };
    match *fault {
        FaultKind::AnswerLost | FaultKind::RefuseConnection => (Twist::Plain, Travel::Nothing),
        FaultKind::CutInBody => (Twist::Plain, Travel::Half),
        FaultKind::SlowDrip { millis } => (Twist::Plain, Travel::Slowly(millis)),
        FaultKind::Stored500 => (Twist::Stored500, Travel::Whole),
        FaultKind::Executed500 => (Twist::Executed500, Travel::Whole),
        FaultKind::OtherAmount => (Twist::OtherAmount, Travel::Whole),
        FaultKind::OtherStatus => (Twist::OtherStatus, Travel::Whole),
        FaultKind::Repeated => (Twist::Repeated, Travel::Whole),
        FaultKind::Status503 => instead(Trouble::Unavailable),
        FaultKind::RateLimited { retry_after_s } => instead(Trouble::Limited { retry_after_s }),
        FaultKind::LockTimeout => instead(Trouble::Locked),
        FaultKind::InUse409 => instead(Trouble::InUse),
        FaultKind::Unauthorized401 => instead(Trouble::Unauthorized),
        FaultKind::Html200
        | FaultKind::Lost
        | FaultKind::Doubled
        | FaultKind::Reordered
        | FaultKind::Early
        | FaultKind::Late { .. }
        | FaultKind::Forged => (Twist::Plain, Travel::Whole),
    }
}

fn html() -> Answer {
    let body = b"<!doctype html><title>Welcome</title><p>Sign in to use this network.".to_vec();
    Answer { status: 200, headers: vec![("content-type", "text/html".to_owned())], body, executed: false }
}

fn send(answer: Answer, travel: Travel, now: i64) -> Response {
    let mut builder = Response::builder().status(answer.status);
    if let Some(date) = dated(now) {
        builder = builder.header(header::DATE, date);
    }
    let mut typed = false;
    for (name, value) in &answer.headers {
        typed |= *name == "content-type";
        builder = builder.header(*name, value);
    }
    if !typed && !answer.body.is_empty() {
        builder = builder.header(header::CONTENT_TYPE, "application/json");
    }
    let length = answer.body.len();
    let body = match travel {
        Travel::Whole => Body::from(answer.body),
        Travel::Nothing => broken(None),
        Travel::Half => {
            builder = builder.header(header::CONTENT_LENGTH, length);
            let half = Bytes::from(answer.body).slice(..length / 2);
            broken(Some(half))
        }
        Travel::Slowly(millis) => drip(&answer.body, millis),
    };
    builder.body(body).unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

/// The vendors' time as an HTTP date.
fn dated(now: i64) -> Option<String> {
    let now = jiff::Timestamp::from_microsecond(now).ok()?;
    jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&now).ok()
}

/// A body that sends what it has, waits for that to leave, and breaks.
fn broken(half: Option<Bytes>) -> Body {
    let rest = half.is_some();
    let end = stream::once(async move {
        if rest {
            tokio::task::yield_now().await;
        }
        Err(std::io::Error::other("the connection is broken on purpose"))
    });
    Body::from_stream(stream::iter(half.map(Ok)).chain(end))
}

/// A body that arrives in ten evenly spaced parts.
fn drip(body: &[u8], millis: u64) -> Body {
    let pause = Duration::from_millis(millis / 10);
    let parts: Vec<Bytes> = body.chunks(body.len().div_ceil(10).max(1)).map(Bytes::copy_from_slice).collect();
    Body::from_stream(stream::iter(parts).then(move |part| async move {
        tokio::time::sleep(pause).await;
        Ok::<Bytes, std::io::Error>(part)
    }))
}

async fn books(State(simulator): State<Simulator>) -> Response {
    Json(simulator.books()).into_response()
}

async fn plant(State(simulator): State<Simulator>, Json(fault): Json<Fault>) -> StatusCode {
    simulator.plant(fault);
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct NewBalance {
    vendor: Vendor,
    currency: String,
    minor: i64,
}

async fn set_balance(State(simulator): State<Simulator>, Json(new): Json<NewBalance>) -> StatusCode {
    simulator.set_balance(new.vendor, &new.currency, new.minor);
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct Mended {
    destination: String,
}

async fn mend(State(simulator): State<Simulator>, Json(mended): Json<Mended>) -> StatusCode {
    simulator.mend(&mended.destination);
    StatusCode::NO_CONTENT
}

async fn ca(State(simulator): State<Simulator>) -> Response {
    ([(header::CONTENT_TYPE, "application/x-pem-file")], simulator.ca_pem()).into_response()
}

#[derive(Deserialize)]
struct Ahead {
    seconds: u32,
}

async fn advance(State(simulator): State<Simulator>, Json(ahead): Json<Ahead>) -> StatusCode {
    simulator.move_ahead(i64::from(ahead.seconds) * SECOND);
    StatusCode::NO_CONTENT
}

async fn forget_token(State(simulator): State<Simulator>) -> StatusCode {
    simulator.forget_token();
    StatusCode::NO_CONTENT
}

/// Stripe's hosted onboarding, as far as it is simulated.
async fn onboard(State(simulator): State<Simulator>, Path(link): Path<String>) -> Response {
    let now = simulator.now();
    let step = onboarding::open(&mut simulator.world(), &link, now);
    show(step)
}

async fn onboarded(State(simulator): State<Simulator>, Path(link): Path<String>, body: Bytes) -> Response {
    let mut fields = url::form_urlencoded::parse(&body);
    let finished = fields.any(|(name, value)| name == "action" && value == "finish");
    let now = simulator.now();
    let step = onboarding::leave(&mut simulator.world(), &link, finished, now);
    show(step)
}

fn show(step: onboarding::Step) -> Response {
    match step {
        onboarding::Step::Form { account } => Html(onboarding::form(&account)).into_response(),
        onboarding::Step::To(url) => Redirect::to(&url).into_response(),
        onboarding::Step::Done => "The account is complete.".into_response(),
        onboarding::Step::Gone => (StatusCode::GONE, "This link does not work any more.").into_response(),
    }
}
