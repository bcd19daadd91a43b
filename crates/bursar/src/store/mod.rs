//! All SQL and nothing else: one text for SQLite and PostgreSQL, plain `$1` statements through sqlx's `Any` driver.
//!
//! Reads take a [`Db`]; every write takes a [`Tx`], which only a verb (`ops`) opens. What is deliberately not here:
//! decisions. A statement guards what the database can guard (unique, still in this state) and says how many rows it
//! touched; what that means is said by the caller.
#![allow(clippy::disallowed_methods, reason = "this is the one place where SQL is")]

mod address;
pub mod aside;
pub mod audit;
pub mod batches;
mod bulk;
pub mod came_back;
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
pub mod found;
pub mod home;
pub mod idempotency;
pub mod identities;
pub mod imports;
pub mod invariants;
pub mod journal;
pub mod ledger;
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
pub mod sessions;
pub mod settings;
pub mod shown;
mod silent;
pub mod step;
pub mod submissions;
pub(crate) mod sums;
pub mod tax;
pub mod templates;
mod timeline;
pub mod transactions;
pub mod vendors;
pub mod watch;

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sqlx::any::{AnyPoolOptions, AnyRow};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Any, AnyConnection, AnyPool, AssertSqlSafe, Executor as _, Row as _};

use crate::points::{self, Side};
use bulk::MOST_VALUES;
pub use bulk::{Rows, Value};
pub use counters::{count_up, counted, counted_each, next_numbers, next_of_each};
use step::Point;

/// What the database answers when it does not answer with rows.
#[derive(Debug)]
pub enum StoreError {
    Missing,
    /// Somebody else changed it first, or it would break a rule the database keeps.
    Conflict(String),
    /// A stored value that this program cannot have written.
    Corrupt(String),
    /// Another transaction entered the same thing first: the whole of it may be tried again.
    Overtaken,
    /// The database itself: unreachable, full, broken.
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
    /// How many times the whole transaction is worth another try: six when the database gave it up because of another one
    /// (PostgreSQL 40001 and 40P01, SQLite's busy codes), which ends in milliseconds; twice when a row was not let go for
    /// seconds (55P03), or when this process slept so long in the middle that the database ended it (25P03). What ran out of
    /// its time (57014) would do so again.
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

    /// Another try is worth it.
    pub fn try_again(&self) -> bool {
        self.tries() > 0
    }

    /// The error is about a row: a stored value that cannot be read, or one that the database does not take (SQLSTATE
    /// classes 22 and 23). Anything else may be the database's own trouble.
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

    /// The database cannot be reached, is too busy to be, or is being stopped, started or taken over.
    pub fn away(&self) -> bool {
        use sqlx::Error::{Io, PoolClosed, PoolTimedOut, Protocol, Tls};
        let Self::Db(error) = self else { return self.try_again() };
        let code = error.as_database_error().and_then(|told| told.code());
        // A proxy before a server that is gone takes connections and closes them, which is no protocol.
        matches!(error, Io(_) | PoolTimedOut | PoolClosed | Protocol(_) | Tls(_))
            // It ran out of its time, the server is shutting down, has crashed or is starting, has no connection left, or is a
            // standby that is not promoted yet; 08 are the connections.
            || matches!(code.as_deref(), Some("57014" | "57P01" | "57P02" | "57P03" | "53300" | "25006"))
            || code.is_some_and(|code| code.starts_with("08"))
            || self.cannot_write()
            || self.try_again()
    }

    /// The disk of the database is full, or does not do what it is told.
    pub fn cannot_write(&self) -> bool {
        let Self::Db(error) = self else { return false };
        let code = error.as_database_error().and_then(|told| told.code());
        match code.as_deref() {
            // PostgreSQL: disk full, an error of the disk.
            Some("53100" | "58030") => true,
            // SQLite's own codes are numbers whose last byte is the kind: an error of the disk, full, a file that cannot be
            // opened.
            Some(code) if code.len() < 5 => {
                code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 10 | 13 | 14))
            }
            Some(_) | None => false,
        }
    }

    /// A row that somebody else holds was not let go in the time a statement waits for one.
    pub fn held_elsewhere(&self) -> bool {
        let Self::Db(error) = self else { return false };
        let code = error.as_database_error().and_then(|told| told.code());
        code.as_deref() == Some("55P03")
    }
}

/// What a read or write answers.
pub type Result<T> = std::result::Result<T, StoreError>;

/// Reads a stored word back into its enum or id.
///
/// # Errors
/// [`StoreError::Corrupt`] when this program cannot have written it.
pub fn word<T>(read: Option<T>, text: &str) -> Result<T> {
    read.ok_or_else(|| StoreError::Corrupt(text.to_owned()))
}

/// What can be read of some rows. A row that cannot be is told of in the log: it must not take the others out of sight.
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

/// The database: a pool to read from and, on SQLite, one connection to write through, so that writers queue fairly
/// instead of waiting on a lock.
#[derive(Clone)]
pub struct Store {
    engine: Engine,
    readers: AnyPool,
    writer: AnyPool,
    /// Which process this is, where it serves: leases are held in its name.
    node: Arc<OnceLock<String>>,
}

/// SQLite before this version can corrupt its write-ahead log.
const SQLITE_AT_LEAST: (u32, u32, u32) = (3, 51, 3);

const SCHEMES: &str = "BURSAR_DATABASE_URL must begin with sqlite:// or postgres://";

/// Waiting longer than this for a connection is worth a line in the log.
const SLOW: Duration = Duration::from_secs(10);

impl Store {
    /// Opens the database, checks what must be true of it and brings its tables up to date.
    ///
    /// # Errors
    /// When it cannot be reached, is too old, does not keep what it acknowledges, or has tables of a newer program.
    pub async fn open(url: &str) -> Result<Self> {
        Self::open_with(url, CONNECTIONS).await
    }

    /// The same with at most so many connections to PostgreSQL. They take turns, and each of them has every statement planned
    /// for itself, which is most of what a short life does.
    ///
    /// # Errors
    /// As [`Store::open`].
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
                // One connection first: a pool would go on trying and in the end say only that it took too long. A
                // migration may take longer than a statement may otherwise, so it runs before that is set.
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
                // A file does not go away like a server does, so nobody need ask first whether it is there.
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
                        // An UPDATE joined to a list of ids would go through the whole table and index the list,
                        // instead of going through the list and finding each id by the index that is there.
                        connection.execute("PRAGMA automatic_index = OFF").await?;
                        Ok(())
                    })
                })
        };
        let store = Self {
            engine: Engine::Sqlite,
            node: Arc::default(),
            // What a reader has cached is worthless after the next commit of the writer, so it gets little.
            writer: pool(1, "PRAGMA cache_size = -65536").connect(&url).await?,
            readers: pool(8, "PRAGMA cache_size = -8192").connect(&url).await?,
        };
        store.check_sqlite().await?;
        Ok(store)
    }

    /// What SQLite acknowledges must survive a power loss, and the library must be one that keeps its log whole.
    async fn check_sqlite(&self) -> Result<()> {
        let mut db = self.read().await?;
        let version = db.one(sqlx::query("SELECT sqlite_version()")).await?.try_get::<String, _>(0)?;
        let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
        let mut next = || parts.next().unwrap_or(0);
        let found = (next(), next(), next());
        if found < SQLITE_AT_LEAST {
            let told = format!("SQLite {version} is too old: before 3.51.3 its log can be corrupted");
            return Err(StoreError::Conflict(told));
        }
        let synchronous = db.one(sqlx::query("PRAGMA synchronous")).await?.try_get::<i64, _>(0);
        let journal = db.one(sqlx::query("PRAGMA journal_mode")).await?.try_get::<String, _>(0)?;
        if synchronous.is_ok_and(|level| level < 2) || journal != "wal" {
            let told =
                "SQLite must run with journal_mode=WAL and synchronous=FULL, or a power loss undoes payments";
            return Err(StoreError::Conflict(told.to_owned()));
        }
        Ok(())
    }

    async fn open_postgres(url: &str, connections: u32) -> Result<Self> {
        let pool = silent::asks(AnyPoolOptions::new())
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

    /// A connection to read through. What several statements read may differ in time; a decision belongs into a [`Tx`].
    pub async fn read(&self) -> Result<Db> {
        Ok(Db { connection: Connection::Pooled(self.readers.acquire().await?) })
    }

    /// Begins a database transaction to write in. Dropped without [`Tx::commit`], it leaves nothing behind.
    pub async fn begin(&self) -> Result<Tx> {
        step::at(Point::Begin).await?;
        // A deferred SQLite transaction that reads first and writes later can fail in the middle; this one cannot.
        let begun = match self.engine {
            Engine::Sqlite => self.writer.begin_with("BEGIN IMMEDIATE").await?,
            Engine::Postgres => silent::begun(self.writer.begin()).await?,
        };
        Ok(Tx {
            db: Db { connection: Connection::Transaction(begun) },
            engine: self.engine,
            node: self.node().map(str::to_owned),
            audit: Vec::new(),
            named: "a transaction",
        })
    }

    /// The same database as another process sees it: with a name of its own.
    pub fn of_another_process(&self) -> Self {
        Self { node: Arc::default(), ..self.clone() }
    }

    /// Names this process, once: from now on its leases are held in this name.
    pub fn serves_as(&self, node: &str) {
        let _ = self.node.set(node.to_owned());
    }

    /// The name of this process, where it serves.
    pub fn node(&self) -> Option<&str> {
        self.node.get().map(String::as_str)
    }

    /// How many writers keep the database busy: SQLite has one at a time; PostgreSQL takes what one sends while it makes
    /// durable what another has sent.
    pub fn writers(&self) -> usize {
        match self.engine {
            Engine::Sqlite => 1,
            Engine::Postgres => 2,
        }
    }

    /// Rows of the trail are chained by a loop, after their transaction was committed.
    pub fn chains_later(&self) -> bool {
        match self.engine {
            Engine::Sqlite => false,
            Engine::Postgres => true,
        }
    }

    /// The number of the newest migration that this program has for this database.
    pub fn newest_schema(&self) -> i64 {
        schema::newest(self.engine)
    }

    /// `sqlite` or `postgres`, for people.
    pub fn engine_name(&self) -> &'static str {
        match self.engine {
            Engine::Sqlite => "sqlite",
            Engine::Postgres => "postgres",
        }
    }

    /// Closes every connection, once what is under way has ended.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// Whether a connection may be used again. SQLite ends a transaction by itself when its disk is full or fails; the rollback
/// that follows then fails too, and the connection would count as being in that transaction for ever. Of one connection to
/// write through, nothing would be left.
async fn has_no_transaction(connection: &mut AnyConnection) -> std::result::Result<bool, sqlx::Error> {
    use sqlx::Connection as _;
    if !connection.is_in_transaction() {
        return Ok(true);
    }
    // A rollback may still be on its way; what is asked after it is answered after it.
    connection.ping().await?;
    Ok(!connection.is_in_transaction())
}

/// The database holds what nobody else on the machine may read. SQLite gives the files beside it the mode it has itself.
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

/// So many connections to PostgreSQL one process holds at most.
const CONNECTIONS: u32 = 24;

/// What every connection to PostgreSQL is told. Nobody waits for a row without end, and no transaction holds one without
/// end: a node that is frozen, cut off or forgotten in the middle of a transaction stops the others for seconds. Whoever
/// asked is answered 503 and may ask again; a loop takes the work up again.
const POSTGRES_SESSION: &[(&str, &str)] = &[
    ("lock_timeout", "5s"),
    ("statement_timeout", "60s"),
    ("idle_in_transaction_session_timeout", "15s"),
    ("tcp_keepalives_idle", "30"),
    ("tcp_keepalives_interval", "10"),
    ("tcp_keepalives_count", "3"),
];

/// A commit is on disk before it is answered; where the server waits for a standby to show it too, that stays so.
const KEEPS_ITS_COMMITS: &str = "SELECT pg_catalog.set_config('synchronous_commit', \
                                 CASE current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false)";

/// What this connection was told, with what is in force of it; nothing on SQLite.
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

/// The server is new enough, and what it acknowledges survives a power loss.
async fn check_postgres(connection: &mut AnyConnection) -> Result<()> {
    let version = connection.fetch_one("SHOW server_version_num").await?.try_get::<String, _>(0)?;
    if version.parse::<u32>().unwrap_or(0) < 150_000 {
        return Err(StoreError::Conflict(format!("PostgreSQL {version} is too old: 15 or later is needed")));
    }
    let fsync = connection.fetch_one("SHOW fsync").await?.try_get::<String, _>(0)?;
    if fsync == "off" {
        let told = "PostgreSQL runs with fsync = off, so a power loss could undo payments that were acknowledged, \
                    or break the database. Set fsync = on, restart PostgreSQL, then start Bursar again";
        return Err(StoreError::Conflict(told.to_owned()));
    }
    Ok(())
}

/// Each connection of ours is one of the server's while it is open. A pooler that hands the server's connections around among
/// ours runs a statement that was prepared on one of them on another one, where the same name may stand for another statement;
/// and what a connection was told (`POSTGRES_SESSION`) holds for somebody else.
async fn check_sessions(first: &mut AnyConnection, url: &str) -> Result<()> {
    for _ in 0..3 {
        let ours = process(first).await?;
        let mut second = <AnyConnection as sqlx::Connection>::connect(url).await?;
        let others = process(&mut second).await?;
        let is_ours_still = process(first).await? == ours;
        sqlx::Connection::close(second).await?;
        if others == ours || !is_ours_still {
            let told = "between Bursar and PostgreSQL is a pooler that shares one connection of the server among several \
                        (pgbouncer with pool_mode = transaction or statement). Statements would be mixed up there. Set \
                        pool_mode = session for this database, or connect to PostgreSQL directly: each Bursar opens at \
                        most 24 connections";
            return Err(StoreError::Conflict(told.to_owned()));
        }
    }
    Ok(())
}

/// Which process of the server answers.
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
        silent::patience(self.raw())
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
        Ok(silent::within(self.patience(), query.fetch_all(self.raw())).await?)
    }

    async fn one(&mut self, query: Query) -> Result<AnyRow> {
        self.optional(query).await?.ok_or(StoreError::Missing)
    }

    async fn optional(&mut self, query: Query) -> Result<Option<AnyRow>> {
        self.step().await?;
        Ok(silent::within(self.patience(), query.fetch_optional(self.raw())).await?)
    }

    async fn run(&mut self, query: Query) -> Result<u64> {
        self.step().await?;
        Ok(silent::within(self.patience(), query.execute(self.raw())).await?.rows_affected())
    }
}

/// A database transaction: the only thing that can be written through. It derefs to [`Db`], so that a decision reads
/// and writes in one.
pub struct Tx {
    db: Db,
    engine: Engine,
    /// In whose name leases are taken.
    node: Option<String>,
    audit: Vec<audit::Entry>,
    /// What its commit is called.
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
    /// Makes everything written in it durable, the audit rows of the change with it. On SQLite, where one transaction
    /// writes at a time, they are chained here; on PostgreSQL the head of the chain would be a lock that every node waits
    /// for, so they are only written here and chained once they are committed ([`audit::chain_waiting`]).
    ///
    /// # Errors
    /// When the database refuses; then nothing was written.
    pub async fn commit(mut self) -> Result<()> {
        let entries = std::mem::take(&mut self.audit);
        match self.engine {
            Engine::Sqlite => audit::write(&mut self, entries).await?,
            Engine::Postgres => audit::put_down(&mut self, entries).await?,
        }
        step::at(Point::Commit).await?;
        points::pass(Side::Before, self.named);
        let patience = self.patience();
        match self.db.connection {
            Connection::Transaction(transaction) => silent::within(patience, transaction.commit()).await?,
            Connection::Pooled(_) => {
                return Err(StoreError::Corrupt("a transaction without one".to_owned()));
            }
        }
        points::pass(Side::After, self.named);
        step::at(Point::Committed).await
    }

    /// The commit of it is a point of this name.
    pub fn named(&mut self, named: &'static str) {
        self.named = named;
    }

    /// Notes who did what, in the same transaction as the change.
    pub fn audit(&mut self, entry: audit::Entry) {
        self.audit.push(entry);
    }
}

/// Conditions of a list, numbered as they are added.
#[derive(Default)]
pub(crate) struct Where {
    conditions: Vec<String>,
    /// From this one on they are out of a planner's sight.
    unseen: Option<usize>,
    values: Vec<Value>,
}

impl Where {
    /// Conditions of a statement that itself names these values as `$1…`.
    pub(crate) fn beside(values: impl IntoIterator<Item = Value>) -> Self {
        Self { values: values.into_iter().collect(), ..Self::default() }
    }

    /// Adds a condition; each `?` in it stands for the next of `values`.
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

    /// What is added from here on stands inside `CASE`, so that no planner chooses an index for it.
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
        let sql = spelled_out(&sql.replace("{where}", &clause));
        bind_all(sqlx::query(AssertSqlSafe(sql)), self.values)
    }
}

/// The statement with the words of [`moved`] and the sums of [`sums`] in it spelled out.
pub fn spelled_out(sql: &str) -> String {
    sums::spelled_out(&moved::spelled_out(sql))
}

fn bind_all(query: Query, values: impl IntoIterator<Item = Value>) -> Query {
    values.into_iter().fold(query, |query, value| match value {
        Value::Text(text) => query.bind(text),
        Value::Int(number) => query.bind(number),
    })
}
