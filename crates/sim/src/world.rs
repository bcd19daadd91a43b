//! A whole Bursar in one process: the program on a database of its own, its router on loopback, both vendors played
//! beside it, and one clock for all of them that stands still until a test moves it.
//!
//! What is deliberately not here: its database (`database`), what happens in a test, and what must hold after it (`check`).

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
use bursar::work::{Done, Work, connect, dispatch, imports, intake, look_for, notify, settle, trail};
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
/// What sets the chance of one process apart from that of another.
const FIRST: u64 = 0x5bd1_e995_0000;
/// So many deliveries are no longer posted one after the other.
const MANY: usize = 100;
/// To PostgreSQL, of each process: few, because each of them plans every statement for itself.
pub const CONNECTIONS: u32 = 4;

/// The program and everything around it.
pub struct World {
    /// The program.
    pub app: App,
    /// Its workers: one, unless a test wants more. Each is what a process of its own would hold.
    pub works: Vec<Work>,
    /// The two vendors.
    pub simulator: Simulator,
    /// An administrator.
    pub actor: Actor,
    /// Another one, for what one person may not do alone.
    pub other: Actor,
    /// The vendors' clock.
    truth: Clock,
    /// Every clock there is: time passes for all of them.
    clocks: Vec<Arc<VirtualClock>>,
    /// The doors of each process; one where the workers share theirs.
    routers: Vec<Router>,
    /// In place of a network, where each worker is a process of its own.
    wire: Option<Arc<Wire>>,
    seed: u64,
    /// How many processes have been started.
    started: u64,
    /// A clock was moved away from the others.
    moved: AtomicBool,
    received: Mutex<Vec<Delivery>>,
    servers: Vec<JoinHandle<()>>,
    _database: Database,
    /// Where its database is, for what only a database of before can hold.
    pub database_url: String,
    /// Another account at both vendors, opened when it is first asked for.
    other_account: OnceLock<Simulator>,
    /// What is known of what was done here.
    pub memory: Memory,
    /// Beside this key its processes remember how far the database had come.
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
    /// Those that move money; the mails are looked at where they matter.
    pub const ALL: [Self; 4] = [Self::Intake, Self::Settle, Self::Dispatch, Self::Reconcile];
}

impl World {
    /// A fresh program with both vendors connected and payouts switched on. `seed` draws every id.
    pub async fn open(name: &str, seed: u64) -> Self {
        Self::open_with(name, seed, &[]).await
    }

    /// The same with more flags of `serve`.
    pub async fn open_with(name: &str, seed: u64, flags: &[(&str, &str)]) -> Self {
        Self::open_at(name, seed, flags, start()).await
    }

    /// The same at another moment: now, for what shares its database with a process on the machine's clock.
    pub async fn open_at(name: &str, seed: u64, flags: &[(&str, &str)], at: i64) -> Self {
        let world = Self::begin(seed, flags, at, Database::fresh(name).await).await;
        world.connect().await;
        world
    }

    /// A program on a database that `prepare` has filled; the vendors know nothing of what is in it.
    pub async fn open_kept(name: &str, prepare: impl AsyncFnOnce(&str)) -> Self {
        let database = Database::empty(name).await;
        prepare(&database.url).await;
        Self::begin(1, &[], start(), database).await
    }

    /// A fresh program on a database that somebody else has prepared, at the address that stands in it.
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

    /// A world for the simulation: no network and no threads of its own, each worker a process with a clock of its own, on
    /// a copy of a database that is up to date already.
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

    /// Another process on the same database: nothing in its memory, a name of its own, and the clock that is given.
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

    /// With the mark beside the key, where its processes remember.
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

    /// Forgets which accounts of the vendors everything belongs to: as a database is that an earlier version has written.
    pub async fn forget_accounts(&self) {
        for table in ["vendor_connection", "payout_transaction", "submission"] {
            run(&self.database_url, format!("UPDATE {table} SET vendor_account = NULL")).await;
        }
    }

    /// Changes the payout settings.
    pub async fn set(&self, change: impl Fn(Document) -> Document + Send + Sync) {
        let save = async |by: &Actor| settings::save(&self.app, by, None, |before| Ok(change(before))).await;
        match save(&self.actor).await {
            Err(OpsError::Conflict(refusal)) if refusal.code == "second_person_needed" => {
                save(&self.other).await.unwrap();
            }
            saved => drop(saved.unwrap()),
        }
    }

    /// Another account at both vendors, with credentials and books of its own.
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

    /// Microseconds UTC.
    pub fn now(&self) -> i64 {
        self.app.clock.now()
    }

    /// Lets time pass, for us and for the vendors.
    pub fn pass(&self, us: i64) {
        self.clocks.iter().for_each(|clock| clock.pass(us));
        self.simulator.advance(self.truth.now());
    }

    /// Microseconds UTC where the vendors are.
    pub fn vendors_now(&self) -> i64 {
        self.truth.now()
    }

    /// Moves the clock of one process ahead of the others, or behind them. Answers whether it has one of its own.
    pub fn move_clock(&self, worker: usize, us: i64) -> bool {
        let own = self.wire.is_some().then(|| self.clocks.get(worker + 1)).flatten();
        self.moved.store(own.is_some(), Ordering::Relaxed);
        let moved = own.inspect(|clock| clock.pass(us)).is_some();
        if let Some(work) = self.works.get(worker) {
            self.memory.off_by(work.app.clock.now() - self.truth.now());
        }
        moved
    }

    /// What was asked of the other account of the vendors, if there is one.
    pub fn asked_elsewhere(&self) -> usize {
        self.other_account.get().map_or(0, |other| other.books().requests.len())
    }

    /// Chains what waits to be chained, where a loop does that.
    pub async fn chain(&self) {
        while trail::once(&self.works[0], self.now()).await.unwrap() > 0 {}
    }

    /// Every process's clock says what the vendors' say.
    pub fn set_clocks_right(&self) {
        for (work, clock) in self.works.iter().zip(self.clocks.iter().skip(1)) {
            clock.pass(self.truth.now() - work.app.clock.now());
        }
    }

    /// Whether two processes ever told different times.
    pub fn clocks_differed(&self) -> bool {
        self.moved.load(Ordering::Relaxed)
    }

    /// Has so many workers; those there are stay.
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

    /// A worker's process has died: another is started on the same database, and remembers nothing.
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

    /// From their next start on its processes remember beside a key how far the database has come.
    pub fn remember(&mut self) {
        self.key = Some(self._database.folder.path().join("bursar.key"));
    }

    /// Ends every process, lets something be done to the database while nobody is connected, and starts them again: they
    /// know nothing but what lies beside the key. Answers whether they found the database to be older than they knew it.
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

    /// Lets one loop work until nothing is due for it any more; how much it did. A running loop would log a step that
    /// fails and go on; here it fails the test.
    pub async fn tick(&self, worker: usize, which: Loop) -> usize {
        self.patient(tick(&self.works[worker], which).await)
    }

    /// What one process has noted by its clock is not over yet by another's, which asks again until it is.
    fn patient(&self, done: Result<usize, String>) -> usize {
        match done {
            Ok(done) => done,
            Err(told) if told.contains("for ever") && self.clocks_differed() => 0,
            Err(told) => panic!("{told}"),
        }
    }

    /// Lets every loop work until nothing is due for any of them.
    pub async fn tick_all(&self, worker: usize) -> usize {
        self.patient(tick_all(&self.works[worker]).await)
    }

    /// Lets the vendors post what is due, in order, or many at once where there are many; how many deliveries we took.
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

    /// Posts a delivery to the route it names; the status of the answer.
    pub async fn post(&self, delivery: &Delivery) -> u16 {
        wire::post(self.routers[0].clone(), &self.app.base_url, delivery).await
    }

    /// The doors of one process.
    pub fn router(&self, worker: usize) -> Router {
        self.routers.get(worker).unwrap_or(&self.routers[0]).clone()
    }

    /// What the vendors have delivered and we have taken, oldest first.
    pub fn received(&self) -> Vec<Delivery> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends the program and leaves nothing behind.
    pub async fn close(self) {
        self.servers.iter().for_each(JoinHandle::abort);
        self.app.store.close().await;
    }
}

/// Lets one loop of a process work until nothing is due for it any more; how much it did, or which step failed.
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

/// Lets every loop of a process that moves money work until nothing is due for any of them.
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

/// Everything that sends: both vendors, and the bank payouts whose money is there.
pub async fn dispatching(work: &Work, now: i64) -> Done {
    let mut done = 0;
    for vendor in Vendor::ALL {
        done += dispatch::once(work, vendor, now).await?;
    }
    Ok(done + dispatch::funds(work, now).await?)
}

/// Everything that asks: both vendors about payments, and about accounts.
async fn settling(work: &Work, now: i64) -> Done {
    let mut done = 0;
    for vendor in Vendor::ALL {
        done += settle::once(work, vendor, now).await?;
    }
    Ok(done + connect::once(work, now).await?)
}

/// A Monday morning.
fn start() -> i64 {
    clock::start_of_date("2026-03-02").unwrap() + 9 * 3_600 * SECOND
}

fn person(app: &App, name: &str) -> Actor {
    Actor {
        id: PersonId::fresh(app.clock.now(), app.clock.chance()),
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

/// The configuration as the command line would read it.
pub(crate) fn config(flags: &[(&str, &str)]) -> Config {
    let flags = flags.iter().map(|(name, value)| format!("--{name}={value}"));
    let command = Config::augment_args(Command::new("bursar"));
    let matches = command.get_matches_from(std::iter::once("bursar".to_owned()).chain(flags));
    Config::from_arg_matches(&matches).unwrap()
}
