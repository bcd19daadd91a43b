//! The loops that talk to vendors: nudged or timed, they take no input, and each is a `…_once(now)` that does one
//! bounded piece of work and can be dropped and begun again at any moment.
//!
//! `dispatch` commits intentions and sends them; `intake` links stored events to payments; `settle` asks the vendor and
//! records what it says: both run once for each vendor, so that one that hangs holds up only itself. `dispatch::funds` reads
//! connected balances for bank payouts, and `connect` accounts that changed, with what no webhook has told (`missed`);
//! `look_for` looks for what got no answer and, in safe mode, for what the database does not know of (`look_through`,
//! `search`);
//! `movements` reads what the vendors themselves say of our balance and holds it against the books;
//! `notify` turns notices into mails and sends them;
//! `imports` checks and enters files that people have uploaded; `exports` makes the files that are too large to wait for;
//! `sweep` forgets what need not be kept, and `guard` looks whether what must always hold does. `ask` and `connect` are the
//! look-ups that a face may await beside a verb; `provider` asks who signs in. What is deliberately not here: deciding
//! (`payout`, and `verdict` for answers) and writing (`ops::record`).

mod answer;
mod aside;
pub mod ask;
mod bank_payouts;
mod begin;
mod beside;
mod calls;
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
mod relook;
pub mod replay;
pub mod search;
mod send;
pub mod settle;
mod shown;
pub mod skew;
mod submission;
pub mod sweep;
mod swept;
mod to_paypal;
pub mod trail;
mod unfunded;
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
use crate::mark::{Mark, Noted};
use crate::ops::epoch;
use crate::ops::nodes::{self, Census};
use crate::store::put_back::Progress;
use crate::watched::{self, Watched};
use calls::{Calls, Reach};
use clients::Clients;
use mailer::Mailer;
use pace::{About, Pace};

/// What every loop is given.
#[derive(Clone)]
pub struct Work {
    /// The program.
    pub app: App,
    /// The vendors' clients.
    pub clients: Clients,
    /// The mail server, where there is one.
    mailer: Option<Mailer>,
    /// How fast to send; `None` sends as fast as it can, for the benchmark.
    pub pace: Option<Arc<Pace>>,
    /// Whether a vendor may be called now.
    reach: Arc<Reach>,
    /// What is known of the other processes.
    census: Census,
    /// When times far in the future were last looked for.
    clamped_at: Arc<AtomicI64>,
    /// How many passes in a row met a rule of the database, by leg.
    clashes: Arc<Mutex<Vec<Leg>>>,
    /// One thing after another, for a simulation: the same every time.
    in_turn: bool,
    /// Where the simulation lets this process die.
    dies: Arc<Mutex<Option<Death>>>,
    /// How far the database has come, as this process knows it.
    mark: Arc<Mark>,
    /// What the provider that people sign in with says of itself.
    provider: provider::Known,
}

/// A point at which a process may die: what is committed stays, what comes after never happens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Death {
    /// The intention is committed, no byte has left.
    BetweenCommitAndSend,
    /// Submissions are leased, and nobody has said yet that they are about to be sent.
    BetweenLeaseAndBegin,
    /// It is committed that they are about to be sent, no byte has left.
    BetweenBeginAndSend,
    /// The vendor has answered, nothing is recorded.
    BetweenSendAndRecord,
}

impl Work {
    /// Work for a program, at this pace.
    ///
    /// # Errors
    /// When TLS cannot be set up, or the mail server's address cannot be read.
    pub fn new(app: App, pace: Option<Arc<Pace>>) -> Result<Self, String> {
        let clients = Clients::new(app.clone())?;
        Self::with(app, pace, clients)
    }

    /// Work whose questions to vendors go over what is given, one after another.
    ///
    /// # Errors
    /// When the mail server's address cannot be read.
    pub fn over(app: App, http: Http) -> Result<Self, String> {
        let clients = Clients::over(app.clone(), http);
        Ok(Self { in_turn: true, ..Self::with(app, None, clients)? })
    }

    /// Whether one thing is done after another.
    pub fn in_turn(&self) -> bool {
        self.in_turn
    }

    /// How many things may be under way at a time.
    fn side_by_side(&self, most: usize) -> usize {
        if self.in_turn { 1 } else { most }
    }

    fn with(app: App, pace: Option<Arc<Pace>>, clients: Clients) -> Result<Self, String> {
        let mailer = Mailer::new(&app)?;
        let (reach, census) = (Arc::default(), Census::default());
        let (clamped_at, clashes, dies) = (Arc::default(), Arc::default(), Arc::default());
        let (in_turn, mark, provider) = (false, Arc::default(), provider::Known::default());
        Ok(Self {
            app,
            clients,
            mailer,
            pace,
            reach,
            census,
            clamped_at,
            clashes,
            in_turn,
            dies,
            mark,
            provider,
        })
    }

    /// The same, which remembers beside a key file how far the database has come, and notices when it has come less far.
    pub fn remembering(self, mark: Mark) -> Self {
        Self { mark: Arc::new(mark), ..self }
    }

    /// Compares the database with what was remembered; safe mode begins where it has come less far. Answers whether it did.
    pub async fn compare_with_mark(&self) -> crate::ops::Result<bool> {
        epoch::check(&self.app, &self.mark).await
    }

    /// Remembers what is about to be sent. It is committed already, and no byte has left.
    async fn note(
        &self,
        progress: Progress,
        last: Option<String>,
        write: fn(&Mark, &Noted),
    ) -> crate::ops::Result<()> {
        if !self.mark.is_kept() {
            self.mark.saw(progress);
            return Ok(());
        }
        let (epoch, sent) = (progress.epoch, progress.sent);
        let database = epoch::identity(&self.app.store, &self.app.clock).await?;
        let noted = Noted { database, epoch, sent, last, at: self.app.clock.now() };
        let mark = self.mark.clone();
        // A disk that hangs must not hold up a thread that others need.
        if tokio::task::spawn_blocking(move || write(&mark, &noted)).await.is_err() {
            tracing::warn!("the mark beside the key could not be written");
        }
        Ok(())
    }

    /// Lets the process die at the next such point, for the simulation: each loop stops there and drops what it holds.
    pub fn die_at(&self, point: Death) {
        *self.dies.lock().unwrap_or_else(PoisonError::into_inner) = Some(point);
    }

    fn dies_now(&self, point: Death) -> bool {
        *self.dies.lock().unwrap_or_else(PoisonError::into_inner) == Some(point)
    }

    /// Whether times far in the future are to be looked for: once a minute, and at once when the clock was set back.
    fn clamps(&self, now: i64) -> bool {
        let last = self.clamped_at.load(Ordering::Acquire);
        let due = now < last || now - last >= 60_000_000;
        if due {
            self.clamped_at.store(now, Ordering::Release);
        }
        due
    }

    /// Another pass of a leg met a rule of the database; how many have in a row.
    fn clashes(&self, leg: Leg) -> usize {
        let mut clashes = self.clashes.lock().unwrap_or_else(PoisonError::into_inner);
        clashes.push(leg);
        clashes.iter().filter(|one| **one == leg).count()
    }

    fn agreed(&self, leg: Leg) {
        self.clashes.lock().unwrap_or_else(PoisonError::into_inner).retain(|one| *one != leg);
    }

    /// Asks a vendor a question, at our pace and with the patience it asked for. While it does not answer, one question at
    /// a time is asked; the others are not, and come back unreachable.
    async fn ask<T>(
        &self,
        vendor: Vendor,
        question: impl Future<Output = Result<T, ReadError>>,
    ) -> Result<T, ReadError> {
        self.ask_about(vendor, About::Payment, question).await
    }

    /// The same about something whose endpoint has a limit of its own.
    async fn ask_about<T>(
        &self,
        vendor: Vendor,
        about: About,
        question: impl Future<Output = Result<T, ReadError>>,
    ) -> Result<T, ReadError> {
        if !self.reach.begin(vendor, Calls::Reads, self.app.clock.now()) {
            let told = format!("{} is being waited for; it is asked again soon", vendor.label());
            return Err(ReadError::Unreachable(told));
        }
        if let Some(pace) = &self.pace {
            pace.read_turn(vendor, about).await;
        }
        let answer = question.await;
        self.reach.learn(vendor, &answer, self.app.clock.now());
        answer
    }
}

/// How much one pass of a loop did; a loop that did something goes on at once.
pub type Done = crate::ops::Result<usize>;

/// The running loops.
pub struct Loops {
    tasks: JoinSet<()>,
    stop: CancellationToken,
}

/// How long a graceful stop waits for what is on the wire: a submission's own time-out, and a little.
const STOP: Duration = Duration::from_secs(25);
/// The longest a loop sleeps without being nudged.
const IDLE: Duration = Duration::from_millis(500);

/// Within what time a pass ends: a vendor that hangs costs it a time-out or two.
const PASS: Duration = Duration::from_secs(180);
/// The same where a pass reads or writes a large file.
const LONG_PASS: Duration = Duration::from_secs(900);

/// Starts every loop, each under watch.
pub fn start(work: Work) -> Loops {
    let (mut tasks, stop) = (JoinSet::new(), CancellationToken::new());
    let app = work.app.clone();
    macro_rules! run {
        ($name:literal, $once:path, $bell:ident, $limit:ident $(, $vendor:expr)?) => {{
            let of = Watched { name: $name, limit: $limit };
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
            tasks.spawn(watched::watch(app.clone(), of, stop.clone(), pass));
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
    run!("nodes", beat, nodes, PASS);
    run!("notify", notify::once, notify, PASS);
    run!("imports", imports::once, imports, LONG_PASS);
    run!("exports", exports::once, exports, LONG_PASS);
    run!("trail", trail::once, trail, PASS);
    run!("guard", guard::once, sweep, LONG_PASS);
    Loops { tasks, stop }
}

/// One look at which processes live, and whether the database is the one it was.
/// It never goes on at once: a beat is a measure of time.
pub async fn beat(work: &Work, _now: i64) -> Done {
    if !epoch::watch(&work.app, &work.mark).await?
        && let Some((progress, last)) = work.mark.not_noted()
    {
        work.note(progress, last, Mark::note_others).await?;
    }
    let ended = nodes::beat(&work.app, &work.census).await?;
    if ended > 0 {
        work.app.nudge.dispatch.ring();
        work.app.nudge.settle.ring();
        work.app.nudge.look_for.ring();
    }
    Ok(0)
}

/// Counts what a step did; answers whether it did anything. A step that failed is logged and runs again when its lease
/// has lapsed: retry is the absence of code.
fn outcome(work: &Work, name: &'static str, done: Done) -> bool {
    let done = done.unwrap_or_else(|error| {
        tracing::error!(step = name, ?error, "a step failed and will run again");
        metrics::counter!("bursar_step_failures_total", "loop" => name).increment(1);
        0
    });
    metrics::counter!("bursar_steps_total", "loop" => name).increment(done as u64);
    if done > 0 {
        work.app.nudge.tell_watchers();
    }
    done > 0
}

impl Loops {
    /// Lets every loop finish the step it is in. What is still on the wire after that stays committed as an intention
    /// and is driven on at the next start.
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
