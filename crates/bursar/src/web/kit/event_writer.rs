//! The writer of vendor events (group commit): handlers hand over their events; the writer takes whatever is waiting,
//! inserts it in one database transaction and answers all of them after the commit. There is no timer, so a single event
//! is never delayed. Not here: verifying an event (`webhooks`), and processing it (`work::intake`).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use axum::http::StatusCode;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use payout::money::Vendor;

use super::problem::Problem;
use crate::app::App;
use crate::loop_watch::{self, LoopWatch};
use crate::ops::vendors::Credentials;
use crate::store::events::{self, New};
use crate::{store, transact};

/// How many events may wait for the writer. Beyond that the vendor is asked to retry.
const WAITING_AT_MOST: usize = 4_096;

/// How many events the writer takes at once.
const AT_ONCE: usize = 512;

/// How old the cached secrets may be; another node may have changed them in the database.
const SECRETS_US: i64 = 1_000_000;

/// How outdated the displayed time of a vendor's last event may be.
const STALE_AFTER_US: i64 = 1_000_000;

/// How many KiB of events may wait for the writer in total.
const WAITING_KIB: usize = 64 << 10;

/// How long an idle writer waits before it reports that it is alive.
const IDLE: Duration = Duration::from_secs(5);

/// The writers' names in the liveness report.
const WRITERS: [&str; 2] = ["webhooks_1", "webhooks_2"];

const ROUND: Duration = Duration::from_secs(120);

/// A message to a writer. An event holds its share of the memory budget until it is written.
enum Message {
    Store(Box<New>, OwnedSemaphorePermit, oneshot::Sender<bool>),
    /// Bad signatures were counted, and there may be no event to record them with.
    NoteBad,
}

/// Bad signatures, counted in memory: anybody can send them, so they must not cost a commit each. They are recorded with
/// the next commit, or separately once every [`BAD_NOTED_US`].
#[derive(Default)]
struct BadSignatures {
    counted: [AtomicUsize; Vendor::ALL.len()],
    noted_at: AtomicI64,
}

/// How often bad signatures are recorded if nothing else is.
const BAD_NOTED_US: i64 = 10_000_000;

impl BadSignatures {
    /// Counts one; returns whether it is time to record them.
    fn count(&self, vendor: Vendor, now: i64) -> bool {
        if let Some(counted) = self.of(vendor) {
            counted.fetch_add(1, Ordering::Relaxed);
        }
        let noted_at = self.noted_at.load(Ordering::Relaxed);
        now - noted_at >= BAD_NOTED_US
            && self.noted_at.compare_exchange(noted_at, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    fn take(&self) -> Vec<(Vendor, usize)> {
        let all = Vendor::ALL.iter().zip(&self.counted);
        all.map(|(vendor, counted)| (*vendor, counted.swap(0, Ordering::Relaxed)))
            .filter(|(_, count)| *count > 0)
            .collect()
    }

    /// Restores counts that could not be recorded.
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

/// The channel to the writers, and the secrets for verifying signatures.
#[derive(Clone)]
pub struct Intake {
    writer: mpsc::Sender<Message>,
    bad: Arc<BadSignatures>,
    capacity: Arc<Semaphore>,
    secrets: Arc<Mutex<Option<Secrets>>>,
    /// Commits each event directly, without writers.
    alone: Option<App>,
}

/// The secrets for verifying signatures.
#[derive(Clone)]
pub struct Secrets {
    read_at: i64,
    changes: u64,
    pub(in crate::web) stripe_platform: Option<String>,
    pub(in crate::web) stripe_connect: Option<String>,
    pub(in crate::web) paypal: Option<(String, String)>,
}

impl Intake {
    /// Starts the writers. They end when the last handle is dropped.
    pub fn start(app: App) -> Self {
        let (writer, messages) = mpsc::channel(WAITING_AT_MOST);
        let messages = Arc::new(Mutex::new(messages));
        let bad = Arc::<BadSignatures>::default();
        for name in WRITERS.into_iter().take(app.store.writers()) {
            let writer = Writer { app: app.clone(), messages: messages.clone(), bad: bad.clone() };
            let kept = Arc::<Mutex<WriterState>>::default();
            let pass = move || write(writer.clone(), kept.clone());
            let of = LoopWatch { name, limit: ROUND };
            tokio::spawn(loop_watch::watch(app.clone(), of, CancellationToken::new(), pass));
        }
        let room = Arc::new(Semaphore::new(WAITING_KIB));
        Self { writer, bad, capacity: room, secrets: Arc::default(), alone: None }
    }

    /// Without writers: for a simulation, in which everything runs in order.
    pub fn in_turn(app: App) -> Self {
        let (writer, _) = mpsc::channel(1);
        let room = Arc::new(Semaphore::new(WAITING_KIB));
        Self { writer, bad: Arc::default(), capacity: room, secrets: Arc::default(), alone: Some(app) }
    }

    /// Counts a bad signature; returns whether it is time to record them.
    pub(in crate::web) fn counts_bad(&self, vendor: Vendor, now: i64) -> bool {
        self.bad.count(vendor, now)
    }

    /// Asks a writer to record the bad signatures, if one can be reached.
    pub(in crate::web) fn note_bad(&self) {
        let _ = self.writer.try_send(Message::NoteBad);
    }

    /// Stores an event; returns after the commit.
    pub(in crate::web) async fn store(&self, event: New) -> Result<(), Problem> {
        if let Some(app) = &self.alone {
            let new = [event];
            let stored = commit(app, &new, &self.bad.take(), &to_note(&LastEventAt::new(), &new)).await;
            return match stored.is_ok() || payout::planted::on("acknowledged_unstored") {
                true => Ok(()),
                false => Err(not_stored()),
            };
        }
        let (answer, stored) = oneshot::channel();
        let kib = u32::try_from(event.body.len() / 1_024 + 1).unwrap_or(u32::MAX);
        let taken = self.capacity.clone().try_acquire_many_owned(kib).is_ok_and(|permit| {
            self.writer.try_send(Message::Store(Box::new(event), permit, answer)).is_ok()
        });
        if !taken {
            let message = "Bursar's webhook queue is full; send this event again.";
            return Err(
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "over_capacity", message).retry_after(1)
            );
        }
        match stored.await {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(not_stored()),
        }
    }

    /// The secrets for verifying signatures, at most slightly outdated.
    pub(in crate::web) async fn secrets(&self, app: &App) -> Result<Secrets, Problem> {
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

fn not_stored() -> Problem {
    let message = "The event could not be stored; send it again.";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "storage_unavailable", message).retry_after(5)
}

#[derive(Clone)]
struct Writer {
    app: App,
    messages: Arc<Mutex<mpsc::Receiver<Message>>>,
    bad: Arc<BadSignatures>,
}

/// A writer's state between passes.
#[derive(Default)]
struct WriterState {
    some: Vec<Message>,
    last_event_at: LastEventAt,
}

/// One pass of a writer: takes what is waiting, commits it together, then answers. After a failed commit or a panic the
/// answer is 503, and the vendor retries. Returns whether there will be more.
async fn write(with: Writer, kept: Arc<Mutex<WriterState>>) -> bool {
    let Writer { app, messages, bad } = &with;
    let mut kept = kept.lock().await;
    let WriterState { some, last_event_at: noted } = &mut *kept;
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
        Ok(()) => log_rejected(&taken),
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
        // If the handler is gone, the vendor retries, and the event is already stored by then.
        let _ = answer.send(stored.is_ok() || payout::planted::on("acknowledged_unstored"));
    }
    if stored.is_ok() && !new.is_empty() {
        noted.extend(last);
        metrics::counter!("bursar_event_commits_total").increment(1);
        metrics::counter!("bursar_events_stored_total").increment(new.len() as u64);
        app.nudge.intake.notify();
    }
    true
}

/// The recorded time of each vendor's last event.
type LastEventAt = HashMap<Vendor, i64>;

/// The last-event times to record with these events. Not with every commit: updating one row in all of them would serialize
/// the commits.
fn to_note(noted: &LastEventAt, new: &[New]) -> LastEventAt {
    let mut last = LastEventAt::new();
    for event in new {
        let at = last.entry(event.vendor).or_insert(event.received_at);
        *at = event.received_at.max(*at);
    }
    last.retain(|vendor, at| noted.get(vendor).is_none_or(|noted| *at - noted >= STALE_AFTER_US));
    last
}

/// One log line for many, so that bad signatures cannot fill the log.
fn log_rejected(counted: &[(Vendor, usize)]) {
    for (vendor, count) in counted {
        let vendor = vendor.as_str();
        tracing::warn!(vendor, count, "webhooks whose signatures do not fit were refused");
    }
}

async fn commit(
    app: &App,
    new: &[New],
    bad: &[(Vendor, usize)],
    last: &LastEventAt,
) -> crate::ops::Result<()> {
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
