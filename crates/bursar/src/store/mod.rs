//! All SQL, and nothing else. One SQL text serves SQLite and PostgreSQL: plain `$1` statements through sqlx's `Any`
//! driver.
//!
//! Reads take a [`Db`]; every write takes a [`Tx`], which only a verb (`ops`) opens. Not here: decisions. A statement
//! enforces what the database can (unique, still in this state) and returns the number of affected rows; the caller
//! decides what that means.
#![allow(clippy::disallowed_methods, reason = "this is the one place where SQL is")]

mod address;
pub mod aside;
pub mod audit;
pub mod batches;
pub mod browsers;
mod bulk;
pub mod claims;
pub mod clawbacks;
pub mod contradictions;
pub mod copy;
mod counters;
pub mod dashboard;
pub mod decisions;
pub mod directory;
pub mod due;
pub mod earnings;
pub mod events;
pub mod evidence;
pub mod exports;
pub mod external_ids;
pub mod factors;
pub mod former_emails;
pub mod found;
pub mod home;
pub mod idempotency;
pub mod identities;
pub mod imports;
pub mod invariants;
pub mod journal;
pub mod ledger;
pub mod login_buckets;
pub mod login_tries;
pub mod mails;
pub mod meta;
pub mod moved;
pub mod named;
pub mod nodes;
pub mod onboarding;
pub mod outbox;
pub mod outgoing;
pub mod passkeys;
pub mod past;
pub mod payees;
pub mod people;
pub mod portal;
pub mod preferences;
pub mod programs;
pub mod put_back;
pub mod raw;
pub mod reconciliation;
pub mod rewards;
pub mod rights;
pub mod roster;
pub mod saved_views;
mod schema;
pub mod scope;
pub mod sealed;
pub mod search;
pub mod second_payments;
pub mod secret_links;
pub mod sessions;
pub mod settings;
pub mod shown;
pub mod step;
pub mod submissions;
pub(crate) mod sums;
pub mod tax;
pub mod templates;
mod timeline;
mod timeouts;
pub mod transactions;
pub mod used_login_states;
pub mod vendors;
pub mod watch;

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sqlx::any::{AnyPoolOptions, AnyRow};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Any, AnyConnection, AnyPool, AssertSqlSafe, Executor as _, Row as _};

use crate::points::{self, PointSide};
use bulk::MOST_VALUES;
pub use bulk::{Rows, Value};
pub use counters::{count_up, counted, counted_each, next_numbers, next_of_each};
use step::Point;

/// Why a database operation failed.
#[derive(Debug)]
pub enum StoreError {
    Missing,
    /// A concurrent change, or a violated constraint.
    Conflict(String),
    /// A stored value that this program cannot have written.
    Corrupt(String),
    /// A concurrent transaction inserted the same thing first: retry the whole transaction.
    Overtaken,
    /// A database failure: unreachable, full, broken.
    Db(sqlx::Error),
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing => f.write_str("not found"),
            Self::Conflict(what) => write!(f, "conflict: {what}"),
            Self::Corrupt(what) => write!(f, "a stored value cannot be read: {what}"),
            Self::Overtaken => f.write_str("somebody else entered the same thing first"),
            Self::Db(error) => write!(f, "database: {error}"),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let Some(told) = error.as_database_error() else { return Self::Db(error) };
        if told.is_unique_violation() || told.is_foreign_key_violation() {
            return Self::Conflict(told.message().to_owned());
        }
        Self::Db(error)
    }
}

impl StoreError {
    /// How many times the whole transaction is worth retrying: six if the database aborted it in favor of another one
    /// (PostgreSQL 40001 and 40P01, SQLite's busy codes), which clears in milliseconds; two if a row stayed locked for
    /// seconds (55P03) or this process stalled so long mid-transaction that the database ended it (25P03). A statement
    /// timeout (57014) would happen again.
    pub fn tries(&self) -> u32 {
        let error = match self {
            Self::Overtaken => return 6,
            Self::Db(error) => error,
            Self::Missing | Self::Conflict(_) | Self::Corrupt(_) => return 0,
        };
        let code = error.as_database_error().and_then(|told| told.code());
        match code.as_deref() {
            Some("40001" | "40P01" | "5" | "6" | "517" | "261") => 6,
            Some("55P03" | "25P03") => 2,
            Some(_) | None => 0,
        }
    }

    pub fn try_again(&self) -> bool {
        self.tries() > 0
    }

    /// The error concerns a row: a stored value that cannot be read, or one that the database rejects (SQLSTATE classes
    /// 22 and 23). Other errors may be a failure of the database itself.
    pub fn about_a_row(&self) -> bool {
        match self {
            Self::Corrupt(_) | Self::Missing => true,
            Self::Db(sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_)) => true,
            Self::Db(error) => {
                let code = error.as_database_error().and_then(|told| told.code());
                code.is_some_and(|code| code.len() == 5 && (code.starts_with("22") || code.starts_with("23")))
            }
            Self::Conflict(_) | Self::Overtaken => false,
        }
    }

    /// The database is unreachable, overloaded, or being stopped, started or failed over.
    pub fn away(&self) -> bool {
        use sqlx::Error::{Io, PoolClosed, PoolTimedOut, Protocol, Tls};
        let Self::Db(error) = self else { return self.try_again() };
        let code = error.as_database_error().and_then(|told| told.code());
        // A proxy whose server is down accepts connections and closes them, which surfaces as a protocol error.
        matches!(error, Io(_) | PoolTimedOut | PoolClosed | Protocol(_) | Tls(_))
            // Statement timeout, server shutting down, crashed, starting up or out of connections, or a standby not
            // promoted yet; class 08 covers connection errors.
            || matches!(code.as_deref(), Some("57014" | "57P01" | "57P02" | "57P03" | "53300" | "25006"))
            || code.is_some_and(|code| code.starts_with("08"))
            || self.cannot_write()
            || self.try_again()
    }

    /// The database's disk is full or failing.
    pub fn cannot_write(&self) -> bool {
        let Self::Db(error) = self else { return false };
        let code = error.as_database_error().and_then(|told| told.code());
        match code.as_deref() {
            // PostgreSQL: disk full, I/O error.
            Some("53100" | "58030") => true,
            // The last byte of a SQLite code is its kind: I/O error, full, cannot open.
            Some(code) if code.len() < 5 => {
                code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 10 | 13 | 14))
            }
            Some(_) | None => false,
        }
    }

    /// A lock timeout: another transaction holds the row.
    pub fn held_elsewhere(&self) -> bool {
        let Self::Db(error) = self else { return false };
        let code = error.as_database_error().and_then(|told| told.code());
        code.as_deref() == Some("55P03")
    }
}

/// The result of a read or write.
pub type Result<T> = std::result::Result<T, StoreError>;

/// Parses a stored string into its enum or id.
///
/// # Errors
/// [`StoreError::Corrupt`] if this program cannot have written it.
pub fn word<T>(read: Option<T>, text: &str) -> Result<T> {
    read.ok_or_else(|| StoreError::Corrupt(text.to_owned()))
}

/// Keeps the readable rows. Logs each unreadable one, because it must not hide the rest.
fn readable<T>(read: impl Iterator<Item = Result<T>>) -> Result<Vec<T>> {
    let unread = |one: &Result<T>| match one {
        Err(error) if error.about_a_row() => {
            tracing::error!(%error, "a record cannot be read; it is left out");
            true
        }
        Ok(_) | Err(_) => false,
    };
    read.filter(|one| !unread(one)).collect()
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Engine {
    Sqlite,
    Postgres,
}

/// The database: a pool for reads and, on SQLite, a single write connection, so that writers queue fairly instead of
/// contending for a lock.
#[derive(Clone)]
pub struct Store {
    engine: Engine,
    readers: AnyPool,
    writer: AnyPool,
    /// The id of this process if it serves; its leases carry it.
    node: Arc<OnceLock<String>>,
}

/// Earlier SQLite versions can corrupt the write-ahead log.
const SQLITE_AT_LEAST: (u32, u32, u32) = (3, 51, 3);

const SCHEMES: &str = "BURSAR_DATABASE_URL must begin with sqlite:// or postgres://";

/// Log a warning if acquiring a connection takes longer than this.
const SLOW: Duration = Duration::from_secs(10);

impl Store {
    /// Opens the database, verifies its requirements and runs migrations.
    ///
    /// # Errors
    /// It is unreachable, too old, does not keep commits durably, or was migrated by a newer program.
    pub async fn open(url: &str) -> Result<Self> {
        Self::open_with(url, CONNECTIONS).await
    }

    /// The same with at most `connections` PostgreSQL connections. Each connection plans every statement for itself,
    /// which is most of a short-lived process's work.
    ///
    /// # Errors
    /// Same as [`Store::open`].
    pub async fn open_with(url: &str, connections: u32) -> Result<Self> {
        sqlx::any::install_default_drivers();
        let store = match url.split_once(':').map(|(scheme, _)| scheme) {
            Some("sqlite") => {
                let store = Self::open_sqlite(url).await?;
                let mut writer = store.writer.acquire().await?;
                schema::bring_up_to_date(&mut writer, Engine::Sqlite).await?;
                store
            }
            Some("postgres" | "postgresql") => {
                // Connect once without the pool, which would retry and finally report only a timeout. Migrations run
                // before the statement timeout is set, because they may exceed it.
                address::check(url)?;
                let mut first = <AnyConnection as sqlx::Connection>::connect(url).await?;
                check_postgres(&mut first).await?;
                check_sessions(&mut first, url).await?;
                schema::bring_up_to_date(&mut first, Engine::Postgres).await?;
                sqlx::Connection::close(first).await?;
                Self::open_postgres(url, connections).await?
            }
            _ => return Err(StoreError::Conflict(SCHEMES.to_owned())),
        };
        search::fill(&store).await?;
        let collisions = external_ids::fill(&store).await?;
        if collisions > 0 {
            tracing::warn!(
                collisions,
                "external ids read like the id of another thing; `bursar verify` and the Imports page name them"
            );
        }
        Ok(store)
    }

    async fn open_sqlite(url: &str) -> Result<Self> {
        keep_to_owner(url)?;
        let url = if url.contains('?') { format!("{url}&mode=rwc") } else { format!("{url}?mode=rwc") };
        let pool = |connections, cache: &'static str| {
            AnyPoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(Duration::from_secs(30))
                .acquire_slow_threshold(SLOW)
                // A file does not disappear as a server does, so skip the check.
                .test_before_acquire(false)
                .before_acquire(|connection, _| Box::pin(has_no_transaction(connection)))
                .after_connect(move |connection, _| {
                    Box::pin(async move {
                        connection.execute("PRAGMA busy_timeout = 10000").await?;
                        connection.execute("PRAGMA journal_mode = WAL").await?;
                        connection.execute("PRAGMA synchronous = FULL").await?;
                        connection.execute("PRAGMA foreign_keys = ON").await?;
                        connection.execute(cache).await?;
                        connection.execute("PRAGMA temp_store = MEMORY").await?;
                        // For an UPDATE joined to a list of ids, SQLite would scan the whole table and index the list,
                        // instead of finding each id through the existing index.
                        connection.execute("PRAGMA automatic_index = OFF").await?;
                        Ok(())
                    })
                })
        };
        let store = Self {
            engine: Engine::Sqlite,
            node: Arc::default(),
            // A commit by the writer invalidates readers' caches, so keep those small.
            writer: pool(1, "PRAGMA cache_size = -65536").connect(&url).await?,
            readers: pool(8, "PRAGMA cache_size = -8192").connect(&url).await?,
        };
        store.check_sqlite().await?;
        Ok(store)
    }

    /// SQLite's commits must survive a power failure, and its version must not corrupt the write-ahead log.
    async fn check_sqlite(&self) -> Result<()> {
        let mut db = self.read().await?;
        let version = db.one(sqlx::query("SELECT sqlite_version()")).await?.try_get::<String, _>(0)?;
        let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
        let mut next = || parts.next().unwrap_or(0);
        let found = (next(), next(), next());
        if found < SQLITE_AT_LEAST {
            let message = format!("SQLite {version} is too old: before 3.51.3 its log can be corrupted");
            return Err(StoreError::Conflict(message));
        }
        let synchronous = db.one(sqlx::query("PRAGMA synchronous")).await?.try_get::<i64, _>(0);
        let journal = db.one(sqlx::query("PRAGMA journal_mode")).await?.try_get::<String, _>(0)?;
        if synchronous.is_ok_and(|level| level < 2) || journal != "wal" {
            let message =
                "SQLite must run with journal_mode=WAL and synchronous=FULL, or a power loss undoes payments";
            return Err(StoreError::Conflict(message.to_owned()));
        }
        Ok(())
    }

    async fn open_postgres(url: &str, connections: u32) -> Result<Self> {
        let pool = timeouts::asks(AnyPoolOptions::new())
            .max_connections(connections)
            .acquire_timeout(Duration::from_secs(30))
            .acquire_slow_threshold(SLOW)
            .after_connect(|connection, _| {
                Box::pin(async move {
                    let settings =
                        POSTGRES_SESSION.iter().map(|(name, value)| format!("SET {name} = '{value}'; "));
                    connection
                        .execute(AssertSqlSafe(settings.collect::<String>() + KEEPS_ITS_COMMITS))
                        .await?;
                    Ok(())
                })
            })
            .connect(url)
            .await?;
        Ok(Self { engine: Engine::Postgres, readers: pool.clone(), writer: pool, node: Arc::default() })
    }

    /// A connection for reads. Several statements may see different moments; decisions belong in a [`Tx`].
    pub async fn read(&self) -> Result<Db> {
        Ok(Db { connection: Connection::Pooled(self.readers.acquire().await?) })
    }

    /// Begins a write transaction. Dropped without [`Tx::commit`], it is rolled back.
    pub async fn begin(&self) -> Result<Tx> {
        step::at(Point::Begin).await?;
        // A deferred SQLite transaction that reads before it writes can fail midway; an immediate one cannot.
        let begun = match self.engine {
            Engine::Sqlite => self.writer.begin_with("BEGIN IMMEDIATE").await?,
            Engine::Postgres => timeouts::begun(self.writer.begin()).await?,
        };
        Ok(Tx {
            db: Db { connection: Connection::Transaction(begun) },
            engine: self.engine,
            node: self.node().map(str::to_owned),
            audit: Vec::new(),
            named: "a transaction",
        })
    }

    /// The same database as seen by another process, without this one's node id.
    pub fn of_another_process(&self) -> Self {
        Self { node: Arc::default(), ..self.clone() }
    }

    /// Sets this process's node id, once; its leases carry it from now on.
    pub fn serves_as(&self, node: &str) {
        let _ = self.node.set(node.to_owned());
    }

    /// This process's node id, if it serves.
    pub fn node(&self) -> Option<&str> {
        self.node.get().map(String::as_str)
    }

    /// How many concurrent writers keep the database busy: one on SQLite; on PostgreSQL two, so that one sends while
    /// the other's commit is being synced.
    pub fn writers(&self) -> usize {
        match self.engine {
            Engine::Sqlite => 1,
            Engine::Postgres => 2,
        }
    }

    /// Whether several nodes may serve this database.
    pub fn may_be_shared(&self) -> bool {
        match self.engine {
            Engine::Sqlite => false,
            Engine::Postgres => true,
        }
    }

    /// Whether audit rows are chained by a loop after the commit.
    pub fn chains_later(&self) -> bool {
        match self.engine {
            Engine::Sqlite => false,
            Engine::Postgres => true,
        }
    }

    /// The newest migration this program has for this database.
    pub fn newest_schema(&self) -> i64 {
        schema::newest(self.engine)
    }

    /// `sqlite` or `postgres`, for display.
    pub fn engine_name(&self) -> &'static str {
        match self.engine {
            Engine::Sqlite => "sqlite",
            Engine::Postgres => "postgres",
        }
    }

    /// Waits for running operations and closes every connection.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// Whether a connection can be reused. When the disk is full or failing, SQLite rolls back by itself; the rollback that
/// follows then fails too, and sqlx would consider the connection in a transaction forever. With a single write
/// connection, writing would stop entirely.
async fn has_no_transaction(connection: &mut AnyConnection) -> std::result::Result<bool, sqlx::Error> {
    use sqlx::Connection as _;
    if !connection.is_in_transaction() {
        return Ok(true);
    }
    // A rollback may still be in progress; the ping completes after it.
    connection.ping().await?;
    Ok(!connection.is_in_transaction())
}

/// Makes the database file private to its owner. SQLite gives its auxiliary files the same mode.
fn keep_to_owner(url: &str) -> Result<()> {
    let options: SqliteConnectOptions = url.parse()?;
    let path = options.get_filename();
    if url.contains(":memory:") || url.contains("mode=memory") {
        return Ok(());
    }
    match crate::secrets::for_its_owner().create_new(true).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            for beside in ["", "-wal", "-shm"] {
                let mut file = path.as_os_str().to_owned();
                file.push(beside);
                if let Err(error) = crate::secrets::give_to_owner(Path::new(&file)) {
                    tracing::warn!(?file, %error, "others on this machine may be able to read this file of the database");
                }
            }
            Ok(())
        }
        Err(error) => Err(StoreError::Conflict(format!("{}: {error}", path.display()))),
    }
}

/// The most PostgreSQL connections per process.
const CONNECTIONS: u32 = 24;

/// Session settings of every PostgreSQL connection. They bound how long a statement waits for a lock and how long a
/// transaction can hold one, so a node that hangs or is cut off mid-transaction blocks the others for seconds only. A
/// request that times out gets a 503 and can be retried; a loop picks the work up again.
const POSTGRES_SESSION: &[(&str, &str)] = &[
    ("lock_timeout", "5s"),
    ("statement_timeout", "60s"),
    ("idle_in_transaction_session_timeout", "15s"),
    ("tcp_keepalives_idle", "30"),
    ("tcp_keepalives_interval", "10"),
    ("tcp_keepalives_count", "3"),
];

/// Commits must be on disk before they are acknowledged. Keeps `remote_apply` if the server is configured to wait for a
/// standby.
const KEEPS_ITS_COMMITS: &str = "SELECT pg_catalog.set_config('synchronous_commit', \
                                 CASE current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false)";

/// The session settings with their effective values; empty on SQLite.
pub async fn session(db: &mut Db) -> Result<Vec<(String, String)>> {
    if !matches!(db.raw().backend_name(), "PostgreSQL") {
        return Ok(Vec::new());
    }
    let mut told = Vec::new();
    for name in POSTGRES_SESSION.iter().map(|(name, _)| *name).chain(["synchronous_commit"]) {
        let row = db.raw().fetch_one(AssertSqlSafe(format!("SHOW {name}"))).await?;
        told.push((name.to_owned(), row.try_get(0)?));
    }
    Ok(told)
}

/// The server must be recent enough, and its commits must survive a power failure.
async fn check_postgres(connection: &mut AnyConnection) -> Result<()> {
    let version = connection.fetch_one("SHOW server_version_num").await?.try_get::<String, _>(0)?;
    if version.parse::<u32>().unwrap_or(0) < 150_000 {
        return Err(StoreError::Conflict(format!("PostgreSQL {version} is too old: 15 or later is needed")));
    }
    let fsync = connection.fetch_one("SHOW fsync").await?.try_get::<String, _>(0)?;
    if fsync == "off" {
        let message = "PostgreSQL runs with fsync = off, so a power loss could undo payments that were acknowledged, \
                    or break the database. Set fsync = on, restart PostgreSQL, then start Bursar again";
        return Err(StoreError::Conflict(message.to_owned()));
    }
    Ok(())
}

/// Each of our connections must be one server session. A transaction pooler runs a statement prepared in one session in
/// another, where its name may refer to a different statement, and leaks our session settings (`POSTGRES_SESSION`) to
/// other clients.
async fn check_sessions(first: &mut AnyConnection, url: &str) -> Result<()> {
    for _ in 0..3 {
        let ours = process(first).await?;
        let mut second = <AnyConnection as sqlx::Connection>::connect(url).await?;
        let others = process(&mut second).await?;
        let is_ours_still = process(first).await? == ours;
        sqlx::Connection::close(second).await?;
        if others == ours || !is_ours_still {
            let message = "between Bursar and PostgreSQL is a pooler that shares one connection of the server among several \
                        (pgbouncer with pool_mode = transaction or statement). Statements would be mixed up there. Set \
                        pool_mode = session for this database, or connect to PostgreSQL directly: each Bursar opens at \
                        most 24 connections";
            return Err(StoreError::Conflict(message.to_owned()));
        }
    }
    Ok(())
}

/// The server process id of a connection.
async fn process(connection: &mut AnyConnection) -> Result<String> {
    let row = connection.fetch_one("SELECT CAST(pg_backend_pid() AS TEXT)").await?;
    Ok(row.try_get(0)?)
}

enum Connection {
    Pooled(sqlx::pool::PoolConnection<Any>),
    Transaction(sqlx::Transaction<'static, Any>),
}

pub struct Db {
    connection: Connection,
}

type Query = sqlx::query::Query<'static, Any, sqlx::any::AnyArguments>;

impl Db {
    fn raw(&mut self) -> &mut AnyConnection {
        match &mut self.connection {
            Connection::Pooled(connection) => connection,
            Connection::Transaction(connection) => connection,
        }
    }

    fn patience(&mut self) -> Option<Duration> {
        timeouts::patience(self.raw())
    }

    async fn step(&mut self) -> Result<()> {
        step::at(match self.connection {
            Connection::Transaction(_) => Point::Statement,
            Connection::Pooled(_) => Point::Read,
        })
        .await
    }

    async fn all(&mut self, query: Query) -> Result<Vec<AnyRow>> {
        self.step().await?;
        Ok(timeouts::within(self.patience(), query.fetch_all(self.raw())).await?)
    }

    async fn one(&mut self, query: Query) -> Result<AnyRow> {
        self.optional(query).await?.ok_or(StoreError::Missing)
    }

    async fn optional(&mut self, query: Query) -> Result<Option<AnyRow>> {
        self.step().await?;
        Ok(timeouts::within(self.patience(), query.fetch_optional(self.raw())).await?)
    }

    async fn run(&mut self, query: Query) -> Result<u64> {
        self.step().await?;
        Ok(timeouts::within(self.patience(), query.execute(self.raw())).await?.rows_affected())
    }
}

/// A write transaction, the only way to write. Derefs to [`Db`], so that a decision reads and writes in one
/// transaction.
pub struct Tx {
    db: Db,
    engine: Engine,
    /// The node id that leases are taken under.
    node: Option<String>,
    audit: Vec<audit::Entry>,
    /// The point name of its commit.
    named: &'static str,
}

impl std::ops::Deref for Tx {
    type Target = Db;

    fn deref(&self) -> &Db {
        &self.db
    }
}

impl std::ops::DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut Db {
        &mut self.db
    }
}

impl Tx {
    /// Commits all writes together with their audit rows. On SQLite, with one writer at a time, the rows are chained
    /// here. On PostgreSQL the head of the chain would be a lock that every node waits for, so rows are only stored
    /// here and chained after the commit ([`audit::chain_waiting`]).
    ///
    /// # Errors
    /// The database rejects the commit; nothing was written.
    pub async fn commit(mut self) -> Result<()> {
        let entries = std::mem::take(&mut self.audit);
        match self.engine {
            Engine::Sqlite => audit::write(&mut self, entries).await?,
            Engine::Postgres => audit::put_down(&mut self, entries).await?,
        }
        step::at(Point::Commit).await?;
        points::pass(PointSide::Before, self.named);
        let patience = self.patience();
        match self.db.connection {
            Connection::Transaction(transaction) => timeouts::within(patience, transaction.commit()).await?,
            Connection::Pooled(_) => {
                return Err(StoreError::Corrupt("a transaction without one".to_owned()));
            }
        }
        points::pass(PointSide::After, self.named);
        step::at(Point::Committed).await
    }

    /// Sets the point name of the commit.
    pub fn named(&mut self, named: &'static str) {
        self.named = named;
    }

    /// Adds an audit entry, committed with the change.
    pub fn audit(&mut self, entry: audit::Entry) {
        self.audit.push(entry.with_origin());
    }
}

/// A query's conditions, numbered as they are added.
#[derive(Default)]
pub(crate) struct Where {
    conditions: Vec<String>,
    /// Conditions from this index on are hidden from the planner.
    unseen: Option<usize>,
    values: Vec<Value>,
}

impl Where {
    /// Conditions for a statement that itself uses these values as `$1…`.
    pub(crate) fn beside(values: impl IntoIterator<Item = Value>) -> Self {
        Self { values: values.into_iter().collect(), ..Self::default() }
    }

    /// Adds a condition; each `?` in it binds the next of `values`.
    pub(crate) fn and(&mut self, condition: &str, values: impl IntoIterator<Item = Value>) {
        let mut text = String::new();
        let mut values = values.into_iter();
        for part in condition.split_inclusive('?') {
            match (part.strip_suffix('?'), values.next()) {
                (Some(before), Some(value)) => {
                    self.values.push(value);
                    text.push_str(&format!("{before}${}", self.values.len()));
                }
                (Some(_) | None, _) => text.push_str(part),
            }
        }
        self.conditions.push(text);
    }

    /// `column IN (…)`; an empty list matches nothing.
    pub(crate) fn among(&mut self, column: &str, values: impl IntoIterator<Item = Value>) {
        let rows: Rows = values.into_iter().map(|value| [value]).collect();
        if rows.is_empty() {
            return self.and("1 = 0", []);
        }
        let (list, values) = rows.unfolded("?");
        self.and(&format!("{column} IN ({list})"), [values]);
    }

    /// Wraps the conditions added from here on in `CASE`, so that no planner picks an index for them.
    pub(crate) fn unseen(&mut self) {
        self.unseen = Some(self.conditions.len());
    }

    /// The statement with `{where}` replaced, ready to run.
    pub(crate) fn query(mut self, sql: &str) -> Query {
        let unseen = self.unseen.map(|from| self.conditions.split_off(from)).unwrap_or_default();
        if !unseen.is_empty() {
            self.conditions.push(format!("CASE WHEN {} THEN 1 ELSE 0 END = 1", unseen.join(" AND ")));
        }
        let clause = match self.conditions.is_empty() {
            true => String::new(),
            false => format!("WHERE {}", self.conditions.join(" AND ")),
        };
        let sql = expanded(&sql.replace("{where}", &clause));
        bind_all(sqlx::query(AssertSqlSafe(sql)), self.values)
    }
}

/// Expands the placeholders of [`moved`] and [`sums`] in a statement.
pub fn expanded(sql: &str) -> String {
    sums::expand_placeholders(&moved::expanded(sql))
}

fn bind_all(query: Query, values: impl IntoIterator<Item = Value>) -> Query {
    values.into_iter().fold(query, |query, value| match value {
        Value::Text(text) => query.bind(text),
        Value::Int(number) => query.bind(number),
    })
}
