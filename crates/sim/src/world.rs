//! A whole Bursar in one process: the program on a database of its own, its router on loopback, both simulated vendors,
//! and one clock, which moves only when a test advances it.
//!
//! Not here: its database (`database`), what happens in a test, and what must hold afterwards (`check`).

pub mod check;
pub mod database;
pub mod memory;
pub mod wire;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use axum::Router;
use bursar::app::{Actor, App, Inner, Nudge};
use bursar::clock::{self, Clock, VirtualClock};
use bursar::config::Config;
use bursar::mark::Mark;
use bursar::ops::settings::{self, Document};
use bursar::ops::{OpsError, nodes};
use bursar::secrets::MasterKey;
use bursar::store::Store;
use bursar::work::{PassResult, Work, connect, dispatch, imports, intake, look_for, notify, settle, trail};
use clap::{Args as _, Command, FromArgMatches as _};
use futures::StreamExt as _;
use payout::access::Role;
use payout::ids::PersonId;
use payout::money::Vendor;
use simulator::{Delivery, Options, Simulator};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use database::Database;
use memory::Memory;
use wire::Wire;

pub use database::run;

pub const SECOND: i64 = 1_000_000;
pub const DAY: i64 = 86_400 * SECOND;
/// Separates the random streams of different processes.
const FIRST: u64 = 0x5bd1_e995_0000;
/// From this many on, deliveries are posted concurrently.
const MANY: usize = 100;
/// The PostgreSQL connections per process: few, because each plans every statement for itself.
pub const CONNECTIONS: u32 = 4;

/// The program and everything around it.
pub struct World {
    pub app: App,
    /// Its workers: one, unless a test needs more. Each has its own in-memory state, like a process.
    pub works: Vec<Work>,
    pub simulator: Simulator,
    pub actor: Actor,
    /// A second administrator, for the two-person rule.
    pub other: Actor,
    /// The vendors' clock.
    truth: Clock,
    /// All clocks; time passes for each of them.
    clocks: Vec<Arc<VirtualClock>>,
    /// The router of each process; a single one if the workers share it.
    routers: Vec<Router>,
    /// The in-process transport, if each worker is a process of its own.
    wire: Option<Arc<Wire>>,
    seed: u64,
    /// The number of processes started so far.
    started: u64,
    /// Whether a clock was moved away from the others.
    moved: AtomicBool,
    received: Mutex<Vec<Delivery>>,
    servers: Vec<JoinHandle<()>>,
    _database: Database,
    /// The database's URL, for test data that only direct SQL can create.
    pub database_url: String,
    /// Another account at both vendors, opened on first use.
    other_account: OnceLock<Simulator>,
    /// The record of what was done in this world.
    pub memory: Memory,
    /// The key beside which its processes keep their marks.
    key: Option<PathBuf>,
}

/// One of the loops.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loop {
    Dispatch,
    Intake,
    Settle,
    Reconcile,
    Notify,
    Imports,
}

impl Loop {
    /// The loops that move money; mail is handled where it matters.
    pub const ALL: [Self; 4] = [Self::Intake, Self::Settle, Self::Dispatch, Self::Reconcile];
}

impl World {
    /// A fresh program with both vendors connected and payouts on. `seed` determines every id.
    pub async fn open(name: &str, seed: u64) -> Self {
        Self::open_with(name, seed, &[]).await
    }

    /// The same with additional `serve` flags.
    pub async fn open_with(name: &str, seed: u64, flags: &[(&str, &str)]) -> Self {
        Self::open_at(name, seed, flags, start()).await
    }

    /// The same at another time: now, if it shares its database with a process on the machine's clock.
    pub async fn open_at(name: &str, seed: u64, flags: &[(&str, &str)], at: i64) -> Self {
        let world = Self::begin(seed, flags, at, Database::fresh(name).await).await;
        world.connect().await;
        world
    }

    /// A program on a database that `prepare` has filled; the vendors know nothing about its contents.
    pub async fn open_kept(name: &str, prepare: impl AsyncFnOnce(&str)) -> Self {
        let database = Database::empty(name).await;
        prepare(&database.url).await;
        Self::begin(1, &[], start(), database).await
    }

    /// A fresh program on a database that someone else has prepared.
    pub async fn open_on(seed: u64, database: Database) -> Self {
        let world = Self::begin(seed, &[], start(), database).await;
        world.connect().await;
        world
    }

    async fn begin(seed: u64, flags: &[(&str, &str)], at: i64, database: Database) -> Self {
        let (clock, handle) = Clock::standing_at(at, seed);
        let told = clock.clone();
        let mut options = Options::new(Arc::new(move || told.now()));
        (options.seed, options.deliveries_at_once) = (seed, 1);
        let simulator = Simulator::new(options);
        let (vendors, vendors_at) = listener().await;
        let (web, web_at) = listener().await;
        let playing = simulator.clone();
        let mut servers = vec![tokio::spawn(async move { playing.serve(vendors).await.unwrap() })];

        let roots = database.folder.path().join("roots.pem");
        std::fs::write(&roots, simulator.ca_pem()).unwrap();
        let database_url = database.url.clone();
        let app = App::new(Inner {
            store: Store::open_with(&database_url, CONNECTIONS).await.unwrap(),
            clock,
            config: config(
                &[
                    flags,
                    &[
                        ("database-url", &database_url),
                        ("stripe-api-base", &vendors_at),
                        ("paypal-api-base", &vendors_at),
                        ("paypal-cert-ca", &roots.display().to_string()),
                    ],
                ]
                .concat(),
            ),
            base_url: web_at,
            master_key: MasterKey::new([7; 32]),
            nudge: Nudge::default(),
        });
        let work = Work::new(app.clone(), None).unwrap();
        let router = bursar::web::router(work.clone());
        let serving = router.clone();
        servers.push(tokio::spawn(async move { axum::serve(web, serving).await.unwrap() }));
        let (actor, other) = (person(&app, "Pat"), person(&app, "Kim"));
        Self {
            truth: app.clock.clone(),
            app,
            works: vec![work],
            simulator,
            actor,
            other,
            clocks: vec![handle],
            routers: vec![router],
            wire: None,
            seed,
            started: 1,
            moved: AtomicBool::new(false),
            received: Mutex::default(),
            servers,
            _database: database,
            database_url,
            other_account: OnceLock::new(),
            memory: Memory::default(),
            key: None,
        }
    }

    /// A world for the simulation: no network, no threads of its own, and each worker a process with its own clock, on
    /// a copy of a migrated database.
    pub async fn swift(name: &str, seed: u64) -> Self {
        let (truth, handle) = Clock::standing_at(start(), seed);
        let told = truth.clone();
        let mut options = Options::new(Arc::new(move || told.now()));
        (options.seed, options.deliveries_at_once) = (seed, 1);
        let simulator = Simulator::new(options);
        let database = Database::fresh(name).await;
        let database_url = database.url.clone();
        let roots = database.folder.path().join("roots.pem");
        std::fs::write(&roots, simulator.ca_pem()).unwrap();
        let roots = roots.display().to_string();
        let wire = Arc::new(Wire::new(simulator.clone()));
        let store = Store::open_with(&database_url, CONNECTIONS).await.unwrap();
        let config = config(&[
            ("database-url", &database_url),
            ("stripe-api-base", wire::VENDORS),
            ("paypal-api-base", wire::VENDORS),
            ("paypal-cert-ca", &roots),
        ]);
        let (clock, first) = Clock::standing_at(start(), seed ^ FIRST);
        let app = App::new(Inner {
            store,
            clock,
            config,
            base_url: wire::OURS.to_owned(),
            master_key: MasterKey::new([7; 32]),
            nudge: Nudge::default(),
        });
        if payout::planted::on("no_index_of_live_attempts") {
            run(&database_url, "DROP INDEX attempt_live".to_owned()).await;
        }
        nodes::join(&app, false).await.unwrap();
        let work = Work::over(app.clone(), wire.http()).unwrap();
        let router = bursar::web::webhook_router(work.clone());
        wire.deliver_to(router.clone());
        let (actor, other) = (person(&app, "Pat"), person(&app, "Kim"));
        let world = Self {
            truth,
            app,
            works: vec![work],
            simulator,
            actor,
            other,
            clocks: vec![handle, first],
            routers: vec![router],
            wire: Some(wire),
            seed,
            started: 1,
            moved: AtomicBool::new(false),
            received: Mutex::default(),
            servers: Vec::new(),
            _database: database,
            database_url,
            other_account: OnceLock::new(),
            memory: Memory::default(),
            key: None,
        };
        world.connect().await;
        world
    }

    /// Another process on the same database: empty memory, a node id of its own, and the given clock.
    async fn process(&mut self, clock: Clock) -> (Work, Router) {
        self.started += 1;
        let app = App::new(Inner {
            store: self.app.store.of_another_process(),
            clock,
            config: self.app.config.clone(),
            base_url: self.app.base_url.clone(),
            master_key: MasterKey::new([7; 32]),
            nudge: Nudge::default(),
        });
        nodes::join(&app, false).await.unwrap();
        let http = self.wire.as_ref().map(|wire| wire.http()).unwrap();
        let work = self.remembering(Work::over(app, http).unwrap());
        work.compare_with_mark().await.unwrap();
        let router = bursar::web::webhook_router(work.clone());
        (work, router)
    }

    /// Adds the mark beside the key, if its processes keep one.
    fn remembering(&self, work: Work) -> Work {
        match &self.key {
            Some(key) => work.remembering(Mark::beside(key)),
            None => work,
        }
    }

    async fn connect(&self) {
        let (work, actor) = (&self.works[0], &self.actor);
        connect::stripe(work, actor, "sk_test_sim", "test").await.unwrap();
        connect::paypal(work, actor, "sim_client", "sim_secret", "sandbox").await.unwrap();
        self.set(|it| Document {
            enabled: true,
            vendors: vec!["stripe".to_owned(), "paypal".to_owned()],
            ..it
        })
        .await;
    }

    /// Clears the vendor accounts everywhere, as in a database written by an earlier version.
    pub async fn forget_accounts(&self) {
        for table in ["vendor_connection", "payout_transaction", "submission"] {
            run(&self.database_url, format!("UPDATE {table} SET vendor_account = NULL")).await;
        }
    }

    /// Changes the payout settings, with a second person if needed.
    pub async fn set(&self, change: impl Fn(Document) -> Document + Send + Sync) {
        let save = async |by: &Actor| settings::save(&self.app, by, None, |before| Ok(change(before))).await;
        match save(&self.actor).await {
            Err(OpsError::Conflict(refusal)) if refusal.code == "second_person_needed" => {
                save(&self.other).await.unwrap();
            }
            saved => drop(saved.unwrap()),
        }
    }

    /// Another account at both vendors, with its own credentials and books.
    pub fn other_account(&self) -> &Simulator {
        self.other_account.get_or_init(|| {
            let told = self.app.clock.clone();
            let mut options = Options::new(Arc::new(move || told.now()));
            options.stripe_key = "sk_test_other".to_owned();
            options.stripe_account = "acct_other_platform".to_owned();
            options.paypal_client_id = "other_client".to_owned();
            options.paypal_client_secret = "other_secret".to_owned();
            options.seed = 1_000;
            self.simulator.open_account(options)
        })
    }

    /// The time in microseconds UTC.
    pub fn now(&self) -> i64 {
        self.app.clock.now()
    }

    /// Advances time for the program and the vendors.
    pub fn pass(&self, us: i64) {
        self.clocks.iter().for_each(|clock| clock.pass(us));
        self.simulator.advance(self.truth.now());
    }

    /// The vendors' time in microseconds UTC.
    pub fn vendors_now(&self) -> i64 {
        self.truth.now()
    }

    /// Moves one process's clock relative to the others. Returns whether it has its own.
    pub fn move_clock(&self, worker: usize, us: i64) -> bool {
        let own = self.wire.is_some().then(|| self.clocks.get(worker + 1)).flatten();
        self.moved.store(own.is_some(), Ordering::Relaxed);
        let moved = own.inspect(|clock| clock.pass(us)).is_some();
        if let Some(work) = self.works.get(worker) {
            self.memory.off_by(work.app.clock.now() - self.truth.now());
        }
        moved
    }

    /// The number of requests to the other vendor account, if there is one.
    pub fn asked_elsewhere(&self) -> usize {
        self.other_account.get().map_or(0, |other| other.books().requests.len())
    }

    /// Chains the waiting audit rows, if a loop does that.
    pub async fn chain(&self) {
        while trail::once(&self.works[0], self.now()).await.unwrap() > 0 {}
    }

    /// Sets every process's clock to the vendors' time.
    pub fn set_clocks_right(&self) {
        for (work, clock) in self.works.iter().zip(self.clocks.iter().skip(1)) {
            clock.pass(self.truth.now() - work.app.clock.now());
        }
    }

    /// Whether two processes' clocks ever differed.
    pub fn clocks_differed(&self) -> bool {
        self.moved.load(Ordering::Relaxed)
    }

    /// Adds workers until there are this many.
    pub async fn employ(&mut self, count: usize) {
        while self.works.len() < count {
            if self.wire.is_none() {
                self.works.push(Work::new(self.app.clone(), None).unwrap());
                continue;
            }
            let number = self.works.len() as u64;
            let (clock, handle) = Clock::standing_at(self.truth.now(), self.seed ^ (FIRST + number));
            let (work, router) = self.process(clock).await;
            self.clocks.push(handle);
            self.works.push(work);
            self.routers.push(router);
        }
    }

    /// Replaces a worker's dead process with a new one on the same database, with empty memory.
    pub async fn replace(&mut self, worker: usize) {
        if self.wire.is_none() {
            self.works[worker] = Work::new(self.app.clone(), None).unwrap();
            return;
        }
        let clock = self.works[worker].app.clock.clone();
        let (work, router) = self.process(clock).await;
        if worker == 0 {
            self.app = work.app.clone();
            if let Some(wire) = &self.wire {
                wire.deliver_to(router.clone());
            }
        }
        self.works[worker] = work;
        self.routers[worker] = router;
    }

    /// Makes its processes keep a mark beside a key from their next start on.
    pub fn remember(&mut self) {
        self.key = Some(self._database.folder.path().join("bursar.key"));
    }

    /// Stops every process, changes the database while nobody is connected, and starts them again; they know only what
    /// is beside the key. Returns whether they noticed that the database is older than they knew it.
    pub async fn restart(&mut self, meanwhile: impl AsyncFnOnce(&Database)) -> bool {
        self.app.store.close().await;
        meanwhile(&self._database).await;
        let store = Store::open_with(&self.database_url, CONNECTIONS).await.unwrap();
        let clocks: Vec<Clock> = self.works.iter().map(|work| work.app.clock.clone()).collect();
        (self.works, self.routers) = (Vec::new(), Vec::new());
        let mut older = false;
        for clock in clocks {
            let app = App::new(Inner {
                store: if self.works.is_empty() { store.clone() } else { store.of_another_process() },
                clock,
                config: self.app.config.clone(),
                base_url: self.app.base_url.clone(),
                master_key: MasterKey::new([7; 32]),
                nudge: Nudge::default(),
            });
            let (work, router) = match &self.wire {
                Some(wire) => {
                    nodes::join(&app, false).await.unwrap();
                    let work = Work::over(app, wire.http()).unwrap();
                    (work.clone(), bursar::web::webhook_router(work))
                }
                None => {
                    let work = Work::new(app, None).unwrap();
                    (work.clone(), bursar::web::router(work))
                }
            };
            let work = self.remembering(work);
            older |= work.compare_with_mark().await.unwrap();
            self.works.push(work);
            self.routers.push(router);
        }
        self.app = self.works[0].app.clone();
        if let Some(wire) = &self.wire {
            wire.deliver_to(self.routers[0].clone());
        }
        older
    }

    /// Runs one loop until nothing is due; returns how much it did. In production a failing step is logged and the loop
    /// continues; here it fails the test.
    pub async fn tick(&self, worker: usize, which: Loop) -> usize {
        self.patient(tick(&self.works[worker], which).await)
    }

    /// With differing clocks, what one process considers over may not be over for another, which asks again until it
    /// is.
    fn patient(&self, done: Result<usize, String>) -> usize {
        match done {
            Ok(done) => done,
            Err(message) if message.contains("for ever") && self.clocks_differed() => 0,
            Err(message) => panic!("{message}"),
        }
    }

    /// Runs every loop until nothing is due.
    pub async fn tick_all(&self, worker: usize) -> usize {
        self.patient(tick_all(&self.works[worker]).await)
    }

    /// Delivers the vendors' due webhooks, in order, or concurrently if there are many; returns how many were accepted.
    pub async fn deliver(&self) -> usize {
        let mut taken = 0;
        loop {
            let due = self.simulator.due_webhooks(self.vendors_now());
            if due.is_empty() {
                return taken;
            }
            let at_once = if due.len() > MANY { 16 } else { 1 };
            let posts = due.into_iter().map(|delivery| async move { (self.post(&delivery).await, delivery) });
            let mut posts = futures::stream::iter(posts).buffered(at_once);
            while let Some((status, delivery)) = posts.next().await {
                self.simulator.delivered(delivery.id, status, self.vendors_now());
                if status == 200 {
                    taken += 1;
                    self.received.lock().unwrap_or_else(PoisonError::into_inner).push(delivery);
                }
            }
        }
    }

    /// Posts a delivery to its route; returns the status.
    pub async fn post(&self, delivery: &Delivery) -> u16 {
        wire::post(self.routers[0].clone(), &self.app.base_url, delivery).await
    }

    /// The router of one process.
    pub fn router(&self, worker: usize) -> Router {
        self.routers.get(worker).unwrap_or(&self.routers[0]).clone()
    }

    /// The deliveries that were accepted, oldest first.
    pub fn received(&self) -> Vec<Delivery> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Stops the program and cleans up.
    pub async fn close(self) {
        self.servers.iter().for_each(JoinHandle::abort);
        self.app.store.close().await;
    }
}

/// Runs one loop of a process until nothing is due; returns how much it did, or which step failed.
pub async fn tick(work: &Work, which: Loop) -> Result<usize, String> {
    let mut all = 0;
    for _ in 0..200 {
        let now = work.app.clock.now();
        let done = match which {
            Loop::Dispatch => dispatching(work, now).await,
            Loop::Intake => intake::once(work, now).await,
            Loop::Settle => settling(work, now).await,
            Loop::Reconcile => look_for::once(work, now).await,
            Loop::Notify => notify::once(work, now).await,
            Loop::Imports => imports::once(work, now).await,
        };
        match done.map_err(|error| format!("{which:?} failed: {error:?}"))? {
            0 => return Ok(all),
            done => all += done,
        }
    }
    Err(format!("{which:?} finds work for ever while the clock stands still"))
}

/// Runs every money-moving loop of a process until nothing is due.
pub async fn tick_all(work: &Work) -> Result<usize, String> {
    let mut all = 0;
    for _ in 0..200 {
        let mut done = 0;
        for which in Loop::ALL {
            done += tick(work, which).await?;
        }
        if done == 0 {
            return Ok(all);
        }
        all += done;
    }
    Err("the loops find work for each other for ever while the clock stands still".to_owned())
}

/// Everything that sends: both vendors, and bank payouts whose money has arrived.
pub async fn dispatching(work: &Work, now: i64) -> PassResult {
    let mut done = 0;
    for vendor in Vendor::ALL {
        done += dispatch::once(work, vendor, now).await?;
    }
    Ok(done + dispatch::funds(work, now).await?)
}

/// Everything that polls: both vendors about payments, and about accounts.
async fn settling(work: &Work, now: i64) -> PassResult {
    let mut done = 0;
    for vendor in Vendor::ALL {
        done += settle::once(work, vendor, now).await?;
    }
    Ok(done + connect::once(work, now).await?)
}

/// A Monday morning, in microseconds UTC.
fn start() -> i64 {
    clock::start_of_date("2026-03-02").unwrap() + 9 * 3_600 * SECOND
}

fn person(app: &App, name: &str) -> Actor {
    Actor {
        id: PersonId::fresh(app.clock.now(), app.clock.random()),
        name: name.to_owned(),
        role: Role::Admin,
        partner: None,
        may_write: true,
        came_from: "a test".to_owned(),
    }
}

async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = format!("http://{}", listener.local_addr().unwrap());
    (listener, at)
}

/// The configuration as the command line would parse it.
pub(crate) fn config(flags: &[(&str, &str)]) -> Config {
    let flags = flags.iter().map(|(name, value)| format!("--{name}={value}"));
    let command = Config::augment_args(Command::new("bursar"));
    let matches = command.get_matches_from(std::iter::once("bursar".to_owned()).chain(flags));
    Config::from_arg_matches(&matches).unwrap()
}
