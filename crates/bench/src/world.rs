//! A Bursar to measure: its own database, its real router on loopback, and both simulated vendors.
//!
//! The loops do not run by themselves; each measurement runs the one it is about. Payments stay in flight at the
//! vendors until the vendors' clock is advanced.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use axum::Router;
use axum::serve::ListenerExt as _;
use bursar::app::{Actor, App, Inner, Nudge};
use bursar::clock::Clock;
use bursar::config::Config;
use bursar::ops::OpsError;
use bursar::ops::settings::{self, Document};
use bursar::ops::vendors::Credentials;
use bursar::secrets::MasterKey;
use bursar::store::{self, Store};
use bursar::work::{Work, connect};
use clap::{Args as _, Command, FromArgMatches as _};
use payout::access::Role;
use payout::ids::PersonId;
use simulator::{Options, Simulator};
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Executor as _, Row as _, SqlSafeStr as _};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::load::Connection;
use crate::meter::Meter;
use crate::{Failure, Threads, load};

/// How long a payment is in flight at the vendors, by their clock, which follows ours until it is advanced.
const ON_ITS_WAY_US: i64 = 120_000_000;

/// The database engine under test.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// A temporary SQLite file.
    Sqlite,
    /// A schema of its own on the server in `BURSAR_TEST_POSTGRES`.
    Postgres,
}

impl Engine {
    pub const ALL: [Self; 2] = [Self::Sqlite, Self::Postgres];

    /// The name as an argument.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }

    /// The name for people.
    pub fn label(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }

    /// Why it cannot be measured, if it cannot.
    pub fn absent(self) -> Option<&'static str> {
        (self == Self::Postgres && server().is_none()).then_some("BURSAR_TEST_POSTGRES is not set")
    }
}

fn server() -> Option<String> {
    std::env::var("BURSAR_TEST_POSTGRES").ok().filter(|server| !server.is_empty())
}

/// What a measurement works with.
pub struct World {
    pub app: App,
    /// Its work, without rate limits.
    pub work: Work,
    pub simulator: Simulator,
    /// The actor of all commands.
    pub actor: Actor,
    /// The address Bursar listens on.
    pub web_at: SocketAddr,
    /// The address the vendors listen on.
    pub vendors_at: SocketAddr,
    /// The URL of the database.
    pub url: String,
    ahead: Arc<AtomicI64>,
    schema: Option<(String, String)>,
    /// The database server's process id, if it runs on this machine.
    pub server: Option<u32>,
    _folder: TempDir,
}

impl World {
    /// A fresh one, with both vendors connected and payouts on.
    pub async fn open(engine: Engine, name: &str, threads: &Threads) -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let (database_url, schema, server) = match engine {
            Engine::Sqlite => (format!("sqlite://{}/bursar.db", folder.path().display()), None, None),
            Engine::Postgres => fresh_schema(name).await?,
        };
        let ahead = Arc::new(AtomicI64::new(0));
        let (simulator, vendors_at) = vendors(threads, &ahead).await?;
        let roots = folder.path().join("roots.pem");
        std::fs::write(&roots, simulator.ca_pem())?;
        let web = TcpListener::bind("127.0.0.1:0").await?;
        let web_at = web.local_addr()?;
        let clock = Clock::system();
        let actor = Actor {
            id: PersonId::fresh(clock.now(), clock.random()),
            name: "bench".to_owned(),
            role: Role::Admin,
            partner: None,
            may_write: true,
            came_from: "the bench".to_owned(),
        };
        let app = App::new(Inner {
            store: Store::open(&database_url).await?,
            clock,
            config: config(&[
                ("database-url", &database_url),
                ("stripe-api-base", &format!("http://{vendors_at}")),
                ("paypal-api-base", &format!("http://{vendors_at}")),
                ("paypal-cert-ca", &roots.display().to_string()),
            ])?,
            base_url: format!("http://{web_at}"),
            master_key: MasterKey::new([7; 32]),
            nudge: Nudge::default(),
        });
        let work = Work::new(app.clone(), None)?;
        serve(web, bursar::web::router(work.clone()));
        let world = Self {
            app,
            work,
            simulator,
            actor,
            web_at,
            vendors_at,
            url: database_url,
            ahead,
            schema,
            server,
            _folder: folder,
        };
        world.connect().await.map_err(failed)?;
        Ok(world)
    }

    async fn connect(&self) -> Result<(), OpsError> {
        connect::stripe(&self.work, &self.actor, "sk_test_sim", "test").await?;
        connect::paypal(&self.work, &self.actor, "sim_client", "sim_secret", "sandbox").await?;
        let vendors = vec!["stripe".to_owned(), "paypal".to_owned()];
        let on = |before| Ok(Document { enabled: true, vendors: vendors.clone(), ..before });
        settings::save(&self.app, &self.actor, None, on).await?;
        Ok(())
    }

    /// Starts a measurement.
    pub fn meter(&self) -> Meter {
        Meter::start(self.server)
    }

    /// The secret that Stripe signs connected accounts' events with.
    pub async fn stripe_secret(&self) -> Result<String, Failure> {
        let mut db = self.app.store.read().await?;
        for connection in store::vendors::all(&mut db).await? {
            if let Some(Credentials::Stripe { connect: Some((_, secret)), .. }) =
                Credentials::open(&self.app.master_key, &connection)
            {
                return Ok(secret);
            }
        }
        Err("Stripe is not connected".into())
    }

    /// Completes every payment in flight at the vendors.
    pub fn let_payments_arrive(&self) {
        let ahead = self.ahead.fetch_add(ON_ITS_WAY_US + 1, Ordering::SeqCst) + ON_ITS_WAY_US + 1;
        self.simulator.advance(self.app.clock.now() + ahead);
    }

    /// The vendors' current time, in microseconds UTC.
    pub fn vendors_now(&self) -> i64 {
        self.app.clock.now() + self.ahead.load(Ordering::SeqCst)
    }

    /// Bursar's metric counter with this name, summed over all labels.
    pub async fn counted(&self, name: &str) -> Result<u64, Failure> {
        let mut connection = Connection::open(self.web_at).await?;
        let answer = connection.ask(&load::request("GET", "/metrics", &[], b"")).await?;
        let text = String::from_utf8(answer.body)?;
        let lines = text.lines().filter(|line| line.starts_with(name));
        Ok(lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok()).sum())
    }

    /// Stops the program and cleans up.
    pub async fn close(self) -> Result<(), Failure> {
        self.app.store.close().await;
        if let Some((server, schema)) = &self.schema {
            let mut admin = AnyConnection::connect(server).await?;
            admin.execute(AssertSqlSafe(format!("DROP SCHEMA {schema} CASCADE")).into_sql_str()).await?;
            admin.close().await?;
        }
        Ok(())
    }
}

/// Describes a failed verb.
pub fn failed(error: OpsError) -> Failure {
    format!("{error:?}").into()
}

/// Serves as `bursar serve` does.
pub fn serve(listener: TcpListener, router: Router) {
    let listener = listener.tap_io(|stream| {
        // Answers are small; without this the kernel may delay them.
        let _ = stream.set_nodelay(true);
    });
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
}

/// Both vendors on a thread of their own, answering immediately.
pub async fn vendors(threads: &Threads, ahead: &Arc<AtomicI64>) -> Result<(Simulator, SocketAddr), Failure> {
    let (clock, ahead) = (Clock::system(), ahead.clone());
    let mut options = Options::new(Arc::new(move || clock.now() + ahead.load(Ordering::SeqCst)));
    options.pace.stripe_payout_us = ON_ITS_WAY_US;
    options.pace.paypal_item_us = ON_ITS_WAY_US;
    let simulator = Simulator::new(options);
    let playing = simulator.clone();
    let (told, address) = tokio::sync::oneshot::channel();
    threads.vendors.spawn(async move {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let _ = told.send(listener.local_addr()?);
        playing.serve(listener).await
    });
    Ok((simulator, address.await?))
}

/// Creates a schema for this run; also returns the server's process id if it runs on this machine.
async fn fresh_schema(name: &str) -> Result<(String, Option<(String, String)>, Option<u32>), Failure> {
    let server = server().ok_or("BURSAR_TEST_POSTGRES is not set")?;
    sqlx::any::install_default_drivers();
    let schema = format!("bench_{name}_{}", std::process::id());
    let mut admin = AnyConnection::connect(&server).await?;
    admin.execute(AssertSqlSafe(format!("CREATE SCHEMA {schema}")).into_sql_str()).await?;
    let row = admin.fetch_one("SELECT CAST(pg_backend_pid() AS BIGINT)").await?;
    let backend: i64 = row.try_get(0)?;
    admin.close().await?;
    let url = format!("{server}?options[search_path]={schema}");
    Ok((url, Some((server, schema)), parent(backend)))
}

/// The parent process, if it is a PostgreSQL server on this machine.
fn parent(backend: i64) -> Option<u32> {
    let text = std::fs::read_to_string(format!("/proc/{backend}/stat")).ok()?;
    let (name, rest) = text.rsplit_once(") ")?;
    name.contains("(postgres").then(|| rest.split(' ').nth(1)?.parse().ok())?
}

/// The configuration as the command line would parse it.
fn config(flags: &[(&str, &str)]) -> Result<Config, Failure> {
    let flags = flags.iter().map(|(name, value)| format!("--{name}={value}"));
    let command = Config::augment_args(Command::new("bursar"));
    let matches = command.try_get_matches_from(std::iter::once("bursar".to_owned()).chain(flags))?;
    Ok(Config::from_arg_matches(&matches)?)
}
