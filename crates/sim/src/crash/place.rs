//! The environment of a workload: a database, both simulated vendors on loopback in the machine's real time, a master
//! key, and an API key. Not here: the process (`process`) and the workload (`errand`).

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};

use base64::Engine as _;
use bursar::app::{Actor, App, Inner, Nudge};
use bursar::clock::Clock;
use bursar::ops::people::{self, NewKey};
use bursar::ops::settings::{self, Document};
use bursar::secrets::MasterKey;
use bursar::store::Store;
use bursar::work::{Work, connect};
use payout::access::Role;
use payout::ids::PersonId;
use payout::scope::Scopes;
use simulator::{Options, Simulator};
use tokio::task::JoinHandle;

use super::Plan;
use super::leader::{Leader, Strike};
use crate::invariants::Known;
use crate::world::database::Database;
use crate::world::memory::Lost;
use crate::world::{SECOND, config};

/// How long after its decision a request may still reach a vendor here, because a process may be dead or frozen in
/// between.
const LATITUDE_US: i64 = 60 * SECOND;

pub struct Place {
    pub simulator: Simulator,
    pub leader: Leader,
    pub api_key: String,
    pub base_url: String,
    /// The nodes' addresses; with a single node, the base URL points to it.
    pub listen: Vec<String>,
    pub database_url: String,
    pub vendors_url: String,
    /// Each node's key file, so that each keeps its own mark.
    pub key_files: Vec<PathBuf>,
    pub roots_file: PathBuf,
    pub clock: Clock,
    /// Whether time was advanced by more than an event's maximum age.
    leapt: AtomicBool,
    /// How wrong the plan makes a clock at most, in microseconds.
    wrong_us: i64,
    engine: &'static str,
    database: Database,
    servers: Vec<JoinHandle<()>>,
}

impl Place {
    /// A fresh one, with both vendors connected and payouts on.
    pub async fn open(number: u64, plan: &Plan) -> Self {
        let clock = Clock::system();
        let simulator = vendors(&clock);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let vendors_url = format!("http://{}", listener.local_addr().unwrap());
        let (serving, moving) = (simulator.clone(), simulator.clone());
        let servers = vec![
            tokio::spawn(async move { serving.serve(listener).await.unwrap() }),
            tokio::spawn(moving.run()),
        ];
        let database = Database::fresh_in(&format!("crash_{number}"), plan.folder.as_deref()).await;
        let folder = database.folder.path();
        let roots_file = folder.join("roots.pem");
        std::fs::write(&roots_file, simulator.ca_pem()).unwrap();
        let key_files: Vec<PathBuf> =
            (1..=plan.nodes).map(|node| folder.join(format!("node{node}.key"))).collect();
        key_files.iter().for_each(|file| write_key(file));
        let listen: Vec<String> = key_files.iter().map(|_| format!("127.0.0.1:{}", free_port())).collect();
        let base_url = match &listen[..] {
            [one] => format!("http://{one}"),
            _ => format!("http://127.0.0.1:{}", free_port()),
        };
        let leader = Leader::listen(&folder.join("points.socket"), plan.strikes.clone(), plan.planted);
        let mut place = Self {
            simulator,
            leader,
            api_key: String::new(),
            base_url,
            listen,
            database_url: database.url.clone(),
            vendors_url,
            key_files,
            roots_file,
            clock,
            leapt: AtomicBool::new(false),
            wrong_us: plan.strikes.iter().map(Strike::wrong_us).max().unwrap_or(0),
            engine: "",
            database,
            servers,
        };
        place.furnish().await;
        place
    }

    /// The administrator's setup before anyone is paid.
    async fn furnish(&mut self) {
        let app = App::new(Inner {
            store: Store::open(&self.database_url).await.unwrap(),
            clock: self.clock.clone(),
            config: config(&[
                ("database-url", &self.database_url),
                ("stripe-api-base", &self.vendors_url),
                ("paypal-api-base", &self.vendors_url),
                ("paypal-cert-ca", &self.roots_file.display().to_string()),
            ]),
            base_url: self.base_url.clone(),
            master_key: MasterKey::new(KEY),
            nudge: Nudge::default(),
        });
        let work = Work::new(app.clone(), None).unwrap();
        let actor = administrator(&app);
        connect::stripe(&work, &actor, "sk_test_sim", "test").await.unwrap();
        connect::paypal(&work, &actor, "sim_client", "sim_secret", "sandbox").await.unwrap();
        let on = |it| Document { enabled: true, vendors: vec!["stripe".into(), "paypal".into()], ..it };
        settings::save(&app, &actor, None, |before| Ok(on(before))).await.unwrap();
        let new = NewKey::of("an honest client", Role::Admin, Scopes::kept("read,write,release"));
        self.api_key = people::create_key(&app, &new).await.unwrap();
        self.engine = app.store.engine_name();
        app.store.close().await;
    }

    /// Advances time for the vendors and the processes, which learn of it at their next point; an event posted in
    /// between has an outdated timestamp.
    pub fn pass(&self, us: i64) {
        self.leapt.fetch_or(us > OLD_US, Ordering::Relaxed);
        self.leader.set_ahead(self.leader.ahead_us() + us);
        self.simulator.move_ahead(us);
    }

    /// Whether an event may have looked too old or dated in the future.
    pub fn leapt(&self) -> bool {
        self.leapt.load(Ordering::Relaxed)
    }

    /// Whether the plan makes a clock wrong.
    pub fn has_wrong_clock(&self) -> bool {
        self.wrong_us > 0
    }

    /// The processes' time, in microseconds UTC.
    pub fn now(&self) -> i64 {
        self.clock.now() + self.leader.ahead_us()
    }

    pub fn log(&self) -> PathBuf {
        self.database.folder.path().join("log")
    }

    pub fn logged(&self) -> String {
        std::fs::read(self.log())
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// The end of the log.
    pub fn log_tail(&self) -> String {
        let log = self.logged();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }

    /// What is known besides the database.
    pub fn known(&self) -> Known {
        Known {
            books: self.simulator.books(),
            engine: self.engine,
            aims: Vec::new(),
            safe: Vec::new(),
            // What a wrong clock wrote is off by as much.
            latitude: LATITUDE_US + self.wrong_us,
            people: Vec::new(),
            elsewhere: 0,
            lost: Lost::default(),
        }
    }

    /// `sqlite` or `postgres`.
    pub fn engine(&self) -> &'static str {
        self.engine
    }

    pub async fn close(self) {
        self.servers.iter().for_each(JoinHandle::abort);
    }
}

const KEY: [u8; 32] = [7; 32];

/// Slightly below the maximum age of a Stripe event.
const OLD_US: i64 = 250 * SECOND;

fn write_key(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, base64::engine::general_purpose::STANDARD.encode(KEY)).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// Both vendors, with payments that settle almost immediately.
fn vendors(clock: &Clock) -> Simulator {
    let told = clock.clone();
    let mut options = Options::new(Arc::new(move || told.now()));
    options.pace.stripe_payout_us = SECOND / 5;
    options.pace.paypal_item_us = SECOND / 5;
    options.pace.late_us = SECOND / 2;
    Simulator::new(options)
}

fn administrator(app: &App) -> Actor {
    Actor {
        id: PersonId::fresh(app.clock.now(), app.clock.random()),
        name: "Pat".to_owned(),
        role: Role::Admin,
        partner: None,
        may_write: true,
        came_from: "a test".to_owned(),
    }
}

/// A free port below the ephemeral range, so that it is still free when a process restarts.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 12_000 + u16::try_from(std::process::id() % 8_000).unwrap_or(0);
    loop {
        let port = first + NEXT.fetch_add(1, Ordering::Relaxed) % 8_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
