//! The worker loops. They are woken by a nudge or a timer and take no input. Each is a `…_once(now)` that does one
//! bounded unit of work and is safe to cancel and rerun at any point.
//!
//! `dispatch` commits submissions and sends them; `intake` links stored events to payments; `settle` polls the vendor
//! and records the results. `dispatch` and `settle` run once per vendor, so a vendor that hangs only holds up itself.
//! `dispatch::funds` reads connected balances for bank payouts, and `connect` re-reads accounts that changed, including
//! changes no webhook reported (`missed`). `look_for` looks up requests that got no answer and, in safe mode, payments
//! the database does not know (`look_through`, `search`). `movements` reads the vendors' own balance reports and
//! reconciles them with the ledger. `notify` expands notices into mails and sends them. `imports` checks and enters
//! uploaded files; `exports` writes files too large to produce within a request. `sweep` deletes what no longer needs
//! to be kept, and `guard` checks the invariants. `ask` and `connect` are the look-ups a page or API handler may await
//! next to a verb; `provider` talks to the identity provider. Not here: decisions (`payout`, and `verdict` for answers)
//! and writes (`ops::record`).

mod answer;
mod aside;
pub mod ask;
mod bank_payouts;
mod begin;
mod calls;
mod case;
pub mod checkup;
mod chunks;
pub mod clients;
pub mod connect;
mod credit;
pub mod dispatch;
pub mod exports;
mod funds;
mod gates;
pub mod guard;
pub mod imports;
pub mod intake;
mod last_gates;
mod late;
mod leases;
pub mod look_for;
pub mod look_through;
mod mailer;
mod missed;
pub mod movements;
mod named;
mod next_look;
pub mod notify;
pub mod onboard;
pub mod pace;
mod prove;
pub mod provider;
mod recheck;
pub mod replay;
mod scheduled_payouts;
pub mod search;
mod send;
pub mod settle;
mod shown;
pub mod skew;
mod submission;
pub mod sweep;
mod to_paypal;
pub mod trail;
mod unfunded;
mod unknown_objects;
pub mod verdict;
mod watch_found;

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use payout::money::Vendor;
use payout::transaction::Leg;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use vendors::ReadError;
use vendors::http::Http;

use crate::app::App;
use crate::loop_watch::{self, LoopWatch};
use crate::mark::{Mark, MarkContents};
use crate::ops::epoch;
use crate::ops::nodes::{self, NodeCensus};
use crate::store::put_back::Progress;
use calls::{Calls, VendorReach};
use clients::Clients;
use mailer::Mailer;
use pace::{About, Pace};

/// What every loop gets.
#[derive(Clone)]
pub struct Work {
    /// The program.
    pub app: App,
    /// The vendors' clients.
    pub clients: Clients,
    /// The mail server, if one is configured.
    mailer: Option<Mailer>,
    /// Rate limits for sending; `None` sends as fast as possible, for the benchmark.
    pub pace: Option<Arc<Pace>>,
    /// Circuit breakers: whether a vendor may be called now.
    reach: Arc<VendorReach>,
    /// What is known about the other processes.
    census: NodeCensus,
    /// When we last looked for due times far in the future.
    clamped_at: Arc<AtomicI64>,
    /// Consecutive passes that violated a database constraint, one entry per pass, by leg.
    clashes: Arc<Mutex<Vec<Leg>>>,
    /// Run everything sequentially, so a simulation is deterministic.
    sequential: bool,
    /// The point at which the simulation kills this process.
    next_crash: Arc<Mutex<Option<CrashPoint>>>,
    /// How far the database has progressed, as far as this process knows.
    mark: Arc<Mark>,
    /// The identity provider's cached metadata.
    provider: provider::ProviderMetadata,
}

/// A point at which a process may crash: what is committed stays, and nothing after it happens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CrashPoint {
    /// The submission is committed; nothing has been sent.
    BetweenCommitAndSend,
    /// Submissions are leased but not yet marked as about to be sent.
    BetweenLeaseAndBegin,
    /// Submissions are marked as about to be sent; nothing has been sent.
    BetweenBeginAndSend,
    /// The vendor has answered; nothing is recorded.
    BetweenSendAndRecord,
}

impl Work {
    /// Creates the loops' context with these rate limits.
    ///
    /// # Errors
    /// When TLS cannot be set up, or the mail server's address cannot be read.
    pub fn new(app: App, pace: Option<Arc<Pace>>) -> Result<Self, String> {
        let clients = Clients::new(app.clone())?;
        Self::with(app, pace, clients)
    }

    /// Creates a context that sends its vendor calls through `http`, one at a time.
    ///
    /// # Errors
    /// When the mail server's address cannot be read.
    pub fn over(app: App, http: Http) -> Result<Self, String> {
        let clients = Clients::over(app.clone(), http);
        Ok(Self { sequential: true, ..Self::with(app, None, clients)? })
    }

    /// Whether everything runs sequentially.
    pub fn is_sequential(&self) -> bool {
        self.sequential
    }

    /// How many operations may run concurrently.
    fn concurrency(&self, most: usize) -> usize {
        if self.sequential { 1 } else { most }
    }

    fn with(app: App, pace: Option<Arc<Pace>>, clients: Clients) -> Result<Self, String> {
        let mailer = Mailer::new(&app)?;
        let (reach, census) = (Arc::default(), NodeCensus::default());
        let (clamped_at, clashes, dies) = (Arc::default(), Arc::default(), Arc::default());
        let (in_turn, mark, provider) = (false, Arc::default(), provider::ProviderMetadata::default());
        Ok(Self {
            app,
            clients,
            mailer,
            pace,
            reach,
            census,
            clamped_at,
            clashes,
            sequential: in_turn,
            next_crash: dies,
            mark,
            provider,
        })
    }

    /// Keeps a mark beside a key file of how far the database has progressed, so that an older database is noticed.
    pub fn remembering(self, mark: Mark) -> Self {
        Self { mark: Arc::new(mark), ..self }
    }

    /// Compares the database with the mark and starts safe mode if the database is behind it. Returns whether it was.
    pub async fn compare_with_mark(&self) -> crate::ops::Result<bool> {
        epoch::check(&self.app, &self.mark).await
    }

    /// Records in the mark what is about to be sent. It is already committed, and nothing has been sent.
    async fn note(
        &self,
        progress: Progress,
        last: Option<String>,
        write: fn(&Mark, &MarkContents),
    ) -> crate::ops::Result<()> {
        if !self.mark.is_kept() {
            self.mark.saw(progress);
            return Ok(());
        }
        let (epoch, sent) = (progress.epoch, progress.sent);
        let database = epoch::identity(&self.app.store, &self.app.clock).await?;
        let noted = MarkContents { database, epoch, sent, last, at: self.app.clock.now() };
        let mark = self.mark.clone();
        // A hanging disk must not block an executor thread.
        if tokio::task::spawn_blocking(move || write(&mark, &noted)).await.is_err() {
            tracing::warn!("the mark beside the key could not be written");
        }
        Ok(())
    }

    /// Makes the process crash at the next such point, for the simulation: each loop stops there and drops what it
    /// holds.
    pub fn crash_at(&self, point: CrashPoint) {
        *self.next_crash.lock().unwrap_or_else(PoisonError::into_inner) = Some(point);
    }

    fn crashes_now(&self, point: CrashPoint) -> bool {
        *self.next_crash.lock().unwrap_or_else(PoisonError::into_inner) == Some(point)
    }

    /// Whether to look for due times far in the future: once a minute, and at once if the clock was set back.
    fn clamps(&self, now: i64) -> bool {
        let last = self.clamped_at.load(Ordering::Acquire);
        let due = now < last || now - last >= 60_000_000;
        if due {
            self.clamped_at.store(now, Ordering::Release);
        }
        due
    }

    /// Records that another pass of this leg violated a database constraint. Returns how many have in a row.
    fn clashes(&self, leg: Leg) -> usize {
        let mut clashes = self.clashes.lock().unwrap_or_else(PoisonError::into_inner);
        clashes.push(leg);
        clashes.iter().filter(|one| **one == leg).count()
    }

    fn agreed(&self, leg: Leg) {
        self.clashes.lock().unwrap_or_else(PoisonError::into_inner).retain(|one| *one != leg);
    }

    /// Makes a read request to a vendor, within our rate limit and the vendor's Retry-After. While the vendor does not
    /// respond, one read at a time goes out as a probe; the others return `Unreachable`.
    async fn ask<T>(
        &self,
        vendor: Vendor,
        question: impl Future<Output = Result<T, ReadError>>,
    ) -> Result<T, ReadError> {
        self.ask_about(vendor, About::Payment, question).await
    }

    /// Like `ask`, for an endpoint with its own rate limit.
    async fn ask_about<T>(
        &self,
        vendor: Vendor,
        about: About,
        question: impl Future<Output = Result<T, ReadError>>,
    ) -> Result<T, ReadError> {
        if !self.reach.begin(vendor, Calls::Reads, self.app.clock.now()) {
            let message = format!("{} is being waited for; it is asked again soon", vendor.label());
            return Err(ReadError::Unreachable(message));
        }
        if let Some(pace) = &self.pace {
            pace.read_turn(vendor, about).await;
        }
        let answer = question.await;
        self.reach.learn(vendor, &answer, self.app.clock.now());
        answer
    }
}

/// How much one pass of a loop did. A loop that did something runs again at once.
pub type PassResult = crate::ops::Result<usize>;

/// The running loops.
pub struct Loops {
    tasks: JoinSet<()>,
    stop: CancellationToken,
}

/// How long a graceful stop waits for requests in flight: a submission's own timeout, plus a margin.
const STOP: Duration = Duration::from_secs(25);
/// The longest a loop sleeps without a nudge.
const IDLE: Duration = Duration::from_millis(500);

/// The time limit of a pass: a vendor that hangs costs it one or two timeouts.
const PASS: Duration = Duration::from_secs(180);
/// The time limit of a pass that reads or writes a large file.
const LONG_PASS: Duration = Duration::from_secs(900);

/// Starts every loop under a watchdog.
pub fn start(work: Work) -> Loops {
    let (mut tasks, stop) = (JoinSet::new(), CancellationToken::new());
    let app = work.app.clone();
    macro_rules! run {
        ($name:literal, $once:path, $bell:ident, $limit:ident $(, $vendor:expr)?) => {{
            let of = LoopWatch { name: $name, limit: $limit };
            let bell = Arc::new(tokio::sync::Mutex::new(work.app.nudge.$bell.listen()));
            let (work, told) = (work.clone(), stop.clone());
            let pass = move || {
                let (work, told, bell) = (work.clone(), told.clone(), bell.clone());
                async move {
                    let now = work.app.clock.now();
                    if !outcome(&work, $name, $once(&work, $($vendor,)? now).await) {
                        let mut bell = bell.lock().await;
                        tokio::select! {
                            () = told.cancelled() => {}
                            _ = bell.changed() => {}
                            () = tokio::time::sleep(IDLE) => {}
                        }
                    }
                    true
                }
            };
            tasks.spawn(loop_watch::watch(app.clone(), of, stop.clone(), pass));
        }};
    }
    run!("dispatch_stripe", dispatch::once, dispatch, PASS, Vendor::Stripe);
    run!("dispatch_paypal", dispatch::once, dispatch, PASS, Vendor::PayPal);
    run!("funds", dispatch::funds, dispatch, PASS);
    run!("intake", intake::once, intake, PASS);
    run!("settle_stripe", settle::once, settle, PASS, Vendor::Stripe);
    run!("settle_paypal", settle::once, settle, PASS, Vendor::PayPal);
    run!("accounts", connect::once, settle, PASS);
    run!("look_for", look_for::once, look_for, PASS);
    run!("movements_stripe", movements::once, movements, LONG_PASS, Vendor::Stripe);
    run!("movements_paypal", movements::once, movements, LONG_PASS, Vendor::PayPal);
    run!("sweep", sweep::once, sweep, PASS);
    run!("nodes", heartbeat, nodes, PASS);
    run!("notify", notify::once, notify, PASS);
    run!("imports", imports::once, imports, LONG_PASS);
    run!("exports", exports::once, exports, LONG_PASS);
    run!("trail", trail::once, trail, PASS);
    run!("guard", guard::once, sweep, LONG_PASS);
    Loops { tasks, stop }
}

/// One heartbeat: checks which processes are alive and whether this is still the same database. Returns 0 so that the
/// loop never reruns at once: the beat measures time.
pub async fn heartbeat(work: &Work, _now: i64) -> PassResult {
    if !epoch::watch(&work.app, &work.mark).await?
        && let Some((progress, last)) = work.mark.unrecorded()
    {
        work.note(progress, last, Mark::note_others).await?;
    }
    let ended = nodes::heartbeat(&work.app, &work.census).await?;
    if ended > 0 {
        work.app.nudge.dispatch.notify();
        work.app.nudge.settle.notify();
        work.app.nudge.look_for.notify();
    }
    Ok(0)
}

/// Counts what a pass did and returns whether it did anything. A failed pass is logged and runs again once its lease
/// has lapsed, so there is no retry code.
fn outcome(work: &Work, name: &'static str, done: PassResult) -> bool {
    let done = done.unwrap_or_else(|error| {
        tracing::error!(step = name, ?error, "a step failed and will run again");
        metrics::counter!("bursar_step_failures_total", "loop" => name).increment(1);
        0
    });
    metrics::counter!("bursar_steps_total", "loop" => name).increment(done as u64);
    if done > 0 {
        work.app.nudge.notify_watchers();
    }
    done > 0
}

impl Loops {
    /// Lets every loop finish its current pass. A request still in flight after that stays committed as a submission
    /// and is resumed at the next start.
    pub async fn stop(mut self) {
        self.stop.cancel();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP, all).await.is_err() {
            tracing::warn!(
                "a request to a vendor was still on its way at the stop; it stays as it is and is driven on at the next start"
            );
        }
    }
}
