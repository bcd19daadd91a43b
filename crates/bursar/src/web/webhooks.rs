//! Where vendors' events come in: verified on the bytes as they came, stored durably, and only then acknowledged.
//!
//! Storing is group commit: handlers hand their event to a writer, which takes whatever waits, inserts it in one
//! database transaction and answers all of them after the commit. There is no timer: alone, an event waits for nobody.
//! What is deliberately not here: understanding events (`work::intake`).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use sha2::{Digest as _, Sha256};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use vendors::certificates::NoCertificate;
use vendors::signature::paypal::{PaypalHeaders, Roots};
use vendors::signature::{self, SignatureError};

use payout::money::Vendor;

use super::fault::Fault;
use super::strict;
use super::{Need, Route, Web, post};
use crate::app::App;
use crate::ops::vendors::Credentials;
use crate::pulse::{self, Watched};
use crate::store::events::New;
use crate::store::{self, events};
use crate::transact;
use crate::work::clients;

/// The routes.
#[must_use]
pub fn routes() -> Vec<Route> {
    vec![
        post("/webhooks/stripe", Need::Open, stripe_platform)
            .says("Stripe's events about our own account")
            .answers_nothing(200),
        post("/webhooks/stripe-connect", Need::Open, stripe_connect)
            .says("Stripe's events about connected accounts")
            .answers_nothing(200),
        post("/webhooks/paypal", Need::Open, paypal).says("PayPal's events").answers_nothing(200),
    ]
}

/// How many events may wait for the writer. Beyond that the vendor is asked to come again, and does.
const WAITING_AT_MOST: usize = 4_096;
/// How many the writer takes at once.
const AT_ONCE: usize = 512;
/// How long the secrets in memory may be older than those in the database, which another node may have changed.
const SECRETS_US: i64 = 1_000_000;

/// How far the moment that is shown as a vendor's last event may lie behind it.
const NOTED_US: i64 = 1_000_000;

/// How many KiB of events may wait for the writer together.
const WAITING_KIB: usize = 64 << 10;
/// How long a writer waits before it shows that it is alive.
const IDLE: Duration = Duration::from_secs(5);
/// The writers' names where their age is told, and within what time each comes round.
const WRITERS: [&str; 2] = ["webhooks_1", "webhooks_2"];
const ROUND: Duration = Duration::from_secs(120);

/// What a writer is handed. An event holds its share of the room for what waits until it is written.
enum Message {
    Store(Box<New>, OwnedSemaphorePermit, oneshot::Sender<bool>),
    /// Bad signatures were counted, and nothing else may come to note them with.
    NoteBad,
}

/// Signatures that did not fit, counted in memory: anybody can send them, and none may cost a commit. They are noted with
/// whatever is committed next, or by themselves once in [`BAD_NOTED_US`].
#[derive(Default)]
struct BadSignatures {
    counted: [AtomicUsize; Vendor::ALL.len()],
    noted_at: AtomicI64,
}

/// How often bad signatures are noted when nothing else is.
const BAD_NOTED_US: i64 = 10_000_000;

impl BadSignatures {
    /// Counts one; whether it is time to note them.
    fn count(&self, vendor: Vendor, now: i64) -> bool {
        if let Some(counted) = self.of(vendor) {
            counted.fetch_add(1, Ordering::Relaxed);
        }
        let noted_at = self.noted_at.load(Ordering::Relaxed);
        now - noted_at >= BAD_NOTED_US
            && self.noted_at.compare_exchange(noted_at, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Takes what was counted.
    fn take(&self) -> Vec<(Vendor, usize)> {
        let all = Vendor::ALL.iter().zip(&self.counted);
        all.map(|(vendor, counted)| (*vendor, counted.swap(0, Ordering::Relaxed)))
            .filter(|(_, count)| *count > 0)
            .collect()
    }

    /// Puts back what could not be noted.
    fn put_back(&self, taken: &[(Vendor, usize)]) {
        for (vendor, count) in taken {
            if let Some(counted) = self.of(*vendor) {
                counted.fetch_add(*count, Ordering::Relaxed);
            }
        }
    }

    fn of(&self, vendor: Vendor) -> Option<&AtomicUsize> {
        Vendor::ALL.iter().position(|one| *one == vendor).and_then(|at| self.counted.get(at))
    }
}

/// The way to the writers, and the secrets against which signatures are checked.
#[derive(Clone)]
pub struct Intake {
    writer: mpsc::Sender<Message>,
    bad: Arc<BadSignatures>,
    room: Arc<Semaphore>,
    secrets: Arc<Mutex<Option<Secrets>>>,
    /// In place of the writers: each event is committed by whoever takes it.
    alone: Option<App>,
}

/// What signatures are checked with.
#[derive(Clone)]
struct Secrets {
    read_at: i64,
    changes: u64,
    stripe_platform: Option<String>,
    stripe_connect: Option<String>,
    paypal: Option<(String, String)>,
}

impl Intake {
    /// Starts the writers. They end when the last handle is dropped.
    #[must_use]
    pub fn start(app: App) -> Self {
        let (writer, messages) = mpsc::channel(WAITING_AT_MOST);
        let messages = Arc::new(Mutex::new(messages));
        let bad = Arc::<BadSignatures>::default();
        for name in WRITERS.into_iter().take(app.store.writers()) {
            let writer = Writer { app: app.clone(), messages: messages.clone(), bad: bad.clone() };
            let kept = Arc::<Mutex<Kept>>::default();
            let pass = move || write(writer.clone(), kept.clone());
            let of = Watched { name, limit: ROUND };
            tokio::spawn(pulse::watch(app.clone(), of, CancellationToken::new(), pass));
        }
        let room = Arc::new(Semaphore::new(WAITING_KIB));
        Self { writer, bad, room, secrets: Arc::default(), alone: None }
    }

    /// Without writers: for a simulation, in which one thing follows another.
    #[must_use]
    pub fn in_turn(app: App) -> Self {
        let (writer, _) = mpsc::channel(1);
        let room = Arc::new(Semaphore::new(WAITING_KIB));
        Self { writer, bad: Arc::default(), room, secrets: Arc::default(), alone: Some(app) }
    }

    /// Stores an event; answers after the commit.
    async fn store(&self, event: New) -> Result<(), Fault> {
        if let Some(app) = &self.alone {
            let new = [event];
            let stored = commit(app, &new, &self.bad.take(), &to_note(&Noted::new(), &new)).await;
            return match stored.is_ok() || payout::planted::on("acknowledged_unstored") {
                true => Ok(()),
                false => Err(not_stored()),
            };
        }
        let (answer, stored) = oneshot::channel();
        let kib = u32::try_from(event.body.len() / 1_024 + 1).unwrap_or(u32::MAX);
        let taken = self.room.clone().try_acquire_many_owned(kib).is_ok_and(|permit| {
            self.writer.try_send(Message::Store(Box::new(event), permit, answer)).is_ok()
        });
        if !taken {
            let told = "More events are waiting than Bursar takes at once; send this one again.";
            return Err(Fault::new(StatusCode::SERVICE_UNAVAILABLE, "over_capacity", told).retry_after(1));
        }
        match stored.await {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(not_stored()),
        }
    }

    async fn secrets(&self, app: &App) -> Result<Secrets, Fault> {
        let changes = app.nudge.vendors_changed.load(Ordering::Acquire);
        let now = app.clock.now();
        let mut kept = self.secrets.lock().await;
        if let Some(secrets) = &*kept
            && secrets.changes == changes
            && now - secrets.read_at < SECRETS_US
        {
            return Ok(secrets.clone());
        }
        let mut db = app.store.read().await?;
        let mut secrets =
            Secrets { read_at: now, changes, stripe_platform: None, stripe_connect: None, paypal: None };
        for connection in store::vendors::all(&mut db).await? {
            match Credentials::open(&app.master_key, &connection) {
                Some(Credentials::Stripe { platform, connect, .. }) => {
                    secrets.stripe_platform = platform.map(|(_, secret)| secret);
                    secrets.stripe_connect = connect.map(|(_, secret)| secret);
                }
                Some(Credentials::PayPal { webhook_id, .. }) => {
                    secrets.paypal = webhook_id.map(|id| (id, connection.mode.clone()));
                }
                None => tracing::error!(
                    vendor = connection.vendor.as_str(),
                    "the vendor's credentials do not open with this master key"
                ),
            }
        }
        *kept = Some(secrets.clone());
        Ok(secrets)
    }
}

fn not_stored() -> Fault {
    let told = "The event could not be stored; send it again.";
    Fault::new(StatusCode::SERVICE_UNAVAILABLE, "storage_unavailable", told).retry_after(5)
}

/// What a writer works with.
#[derive(Clone)]
struct Writer {
    app: App,
    messages: Arc<Mutex<mpsc::Receiver<Message>>>,
    bad: Arc<BadSignatures>,
}

/// What it keeps from one pass to the next.
#[derive(Default)]
struct Kept {
    some: Vec<Message>,
    noted: Noted,
}

/// One pass of a writer: takes what waits, commits it together, then answers. A failed commit is answered 503 and the
/// vendor sends again; so is a pass that panicked. Answers whether there will be more.
async fn write(with: Writer, kept: Arc<Mutex<Kept>>) -> bool {
    let Writer { app, messages, bad } = &with;
    let mut kept = kept.lock().await;
    let Kept { some, noted } = &mut *kept;
    some.clear();
    let taking = async { messages.lock().await.recv_many(some, AT_ONCE).await };
    match tokio::time::timeout(IDLE, taking).await {
        Err(_) => return true,
        Ok(0) => return false,
        Ok(_) => {}
    }
    let (mut new, mut waiting, mut permits) = (Vec::new(), Vec::new(), Vec::new());
    for message in some.drain(..) {
        match message {
            Message::Store(event, permit, answer) => {
                new.push(*event);
                permits.push(permit);
                waiting.push(answer);
            }
            Message::NoteBad => {}
        }
    }
    let (last, taken) = (to_note(noted, &new), bad.take());
    let stored = commit(app, &new, &taken, &last).await;
    match &stored {
        Ok(()) => tell_of_bad(&taken),
        Err(_) => bad.put_back(&taken),
    }
    if let Err(error) = &stored {
        tracing::error!(
            ?error,
            events = new.len(),
            "events could not be stored; the vendors will send them again"
        );
    }
    for answer in waiting {
        // Whoever no longer waits has broken off; the vendor sends again and the event is known by then.
        let _ = answer.send(stored.is_ok() || payout::planted::on("acknowledged_unstored"));
    }
    if stored.is_ok() && !new.is_empty() {
        noted.extend(last);
        metrics::counter!("bursar_event_commits_total").increment(1);
        metrics::counter!("bursar_events_stored_total").increment(new.len() as u64);
        app.nudge.intake.ring();
    }
    true
}

/// When each vendor's last event came, as a writer has noted it.
type Noted = HashMap<Vendor, i64>;

/// What is to be noted beside these events: a row that all commits change would make them wait for each other, so it is
/// changed once in a while.
fn to_note(noted: &Noted, new: &[New]) -> Noted {
    let mut last = Noted::new();
    for event in new {
        let at = last.entry(event.vendor).or_insert(event.received_at);
        *at = event.received_at.max(*at);
    }
    last.retain(|vendor, at| noted.get(vendor).is_none_or(|noted| *at - noted >= NOTED_US));
    last
}

/// One line for many: whoever sends them must not fill the log either.
fn tell_of_bad(counted: &[(Vendor, usize)]) {
    for (vendor, count) in counted {
        let vendor = vendor.as_str();
        tracing::warn!(vendor, count, "webhooks whose signatures do not fit were refused");
    }
}

async fn commit(app: &App, new: &[New], bad: &[(Vendor, usize)], last: &Noted) -> crate::ops::Result<()> {
    transact!(app, |tx| {
        events::store(tx, new).await?;
        for (vendor, count) in bad {
            store::vendors::count_bad_signatures(tx, *vendor, *count).await?;
        }
        for vendor in Vendor::ALL {
            let unreadable =
                new.iter().filter(|one| one.vendor == vendor && one.event_type == events::UNREADABLE);
            let unreadable = unreadable.count();
            if unreadable > 0 {
                store::vendors::count_unreadable(tx, vendor, unreadable).await?;
            }
            if let Some(at) = last.get(&vendor) {
                store::vendors::note_event(tx, vendor, *at).await?;
            }
        }
        Ok(())
    })
}

async fn stripe_platform(State(web): State<Web>, request: Request) -> Result<Response, Fault> {
    let secrets = web.intake.secrets(&web.app).await?;
    stripe(&web, request, "stripe", secrets.stripe_platform).await
}

async fn stripe_connect(State(web): State<Web>, request: Request) -> Result<Response, Fault> {
    let secrets = web.intake.secrets(&web.app).await?;
    stripe(&web, request, "stripe-connect", secrets.stripe_connect).await
}

async fn stripe(
    web: &Web,
    request: Request,
    endpoint: &'static str,
    secret: Option<String>,
) -> Result<Response, Fault> {
    let headers = request.headers().clone();
    let body = strict::body(request).await?;
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

async fn paypal(State(web): State<Web>, request: Request) -> Result<Response, Fault> {
    let headers = request.headers().clone();
    let body = strict::body(request).await?;
    let now = web.app.clock.now();
    verify_paypal(&web, &headers, &body, now).await.map_err(|unverified| match unverified {
        Unverified::Signature(error) => refuse(&web, Vendor::PayPal, &error),
        Unverified::Later => {
            let told = "Too many deliveries name certificates that are not known yet; send this one again.";
            Fault::new(StatusCode::SERVICE_UNAVAILABLE, "over_capacity", told).retry_after(60)
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

/// Why a delivery is not taken.
enum Unverified {
    Signature(SignatureError),
    /// Its certificate cannot be asked for now.
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
    // Whatever can be seen to be wrong is, before anything is asked of PayPal for it.
    signature::paypal::precheck(&told, &webhook_id, now)?;
    let base = clients::base(&web.app, Vendor::PayPal, &mode).map_err(|_| not_configured.clone())?;
    // The address is checked before anything is fetched from it.
    let url = signature::paypal::cert_url(told.cert_url, &base)?;
    let extra = match &web.app.config.paypal_cert_ca {
        Some(path) => Some(tokio::fs::read(path).await.map_err(|_| not_configured.clone())?),
        None => None,
    };
    let roots = Roots::for_base(&base, extra.as_deref()).map_err(|_| not_configured)?;
    let certificate = web.work.clients.http().fetch_certificate(&url, now).await?;
    Ok(signature::paypal::verify(&told, body, &webhook_id, &certificate, &roots, now)?)
}

/// No secret is our own fault and may be mended, so the vendor is asked to come again; anything else is a 400, which
/// vendors send again as well, and which moves nothing.
fn refuse(web: &Web, vendor: Vendor, error: &SignatureError) -> Fault {
    if matches!(error, SignatureError::NotConfigured) {
        let told = "No webhook secret is configured for this vendor, so its events are not taken. Connect it in Payout Settings.";
        return Fault::new(StatusCode::SERVICE_UNAVAILABLE, "webhook_not_configured", told).retry_after(60);
    }
    tracing::debug!(vendor = vendor.as_str(), %error, "a webhook whose signature does not fit was refused");
    if web.intake.bad.count(vendor, web.app.clock.now()) {
        // A full queue notes them with what it holds.
        let _ = web.intake.writer.try_send(Message::NoteBad);
    }
    Fault::bad_request("bad_signature", format!("The signature does not fit ({error}); nothing was stored."))
}

/// What is signed and cannot be read is stored, counted and shown all the same: refused, it would come again for days, and
/// the vendor would switch the address off. It has no id that could be read, so its bytes stand for one.
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

/// PostgreSQL does not take NUL in a text.
fn text(body: &[u8]) -> String {
    String::from_utf8_lossy(body).replace('\0', "")
}

fn fresh_id(app: &App) -> String {
    payout::ids::EventId::fresh(app.clock.now(), app.clock.chance()).to_string()
}

fn received() -> Response {
    axum::Json(serde_json::json!({ "received": true })).into_response()
}
