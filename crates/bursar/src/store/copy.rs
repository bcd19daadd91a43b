//! Online copies of a database, its schema version, and a PostgreSQL server's archiving status. Not here: naming and
//! verifying copies (`backup`).

use std::path::{Path, PathBuf};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AnyConnection, AssertSqlSafe, Executor as _, Row as _};

use super::{Db, Engine, Result, Store, StoreError, schema};

/// The file of a SQLite database; `None` for PostgreSQL and for in-memory databases.
pub fn file_of(url: &str) -> Option<PathBuf> {
    if !url.starts_with("sqlite:") || url.contains(":memory:") || url.contains("mode=memory") {
        return None;
    }
    let options: SqliteConnectOptions = url.parse().ok()?;
    Some(options.get_filename().to_path_buf())
}

/// The newest migration this program has for SQLite, the format of every backup.
pub fn newest_schema() -> i64 {
    schema::newest(Engine::Sqlite)
}

/// The newest migration applied to a database.
///
/// # Errors
/// The database does not answer, or is not Bursar's.
pub async fn schema_of(db: &mut Db) -> Result<i64> {
    let sql = "SELECT CAST(COALESCE(MAX(version), 0) AS BIGINT) FROM _sqlx_migrations";
    Ok(db.raw().fetch_one(sql).await?.try_get(0)?)
}

/// Whether a Bursar database exists: on SQLite its file, on PostgreSQL its tables. An in-memory database always exists.
///
/// # Errors
/// PostgreSQL does not answer.
pub async fn is_there(url: &str) -> Result<bool> {
    if url.starts_with("sqlite:") {
        return Ok(file_of(url).is_none_or(|file| holds_something(&file)));
    }
    if !url.starts_with("postgres:") && !url.starts_with("postgresql:") {
        return Err(StoreError::Conflict(super::SCHEMES.to_owned()));
    }
    sqlx::any::install_default_drivers();
    let mut first = <AnyConnection as sqlx::Connection>::connect(url).await?;
    let asked = "SELECT COUNT(*) FROM pg_catalog.pg_class WHERE oid = to_regclass('_sqlx_migrations')";
    let tables: i64 = first.fetch_one(asked).await?.try_get(0)?;
    sqlx::Connection::close(first).await?;
    Ok(tables > 0)
}

/// Whether a file has any content. SQLite opens an empty file as an empty database, which nobody intends.
pub fn holds_something(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|about| about.len() > 0)
}

/// The total size of a SQLite database in bytes.
pub async fn bytes_of(db: &mut Db) -> Result<i64> {
    let pages: i64 = db.raw().fetch_one("PRAGMA page_count").await?.try_get(0)?;
    let size: i64 = db.raw().fetch_one("PRAGMA page_size").await?.try_get(0)?;
    Ok(pages.saturating_mul(size))
}

/// Runs SQLite's quick integrity check; the error says what it found.
pub async fn is_sound(db: &mut Db) -> Result<std::result::Result<(), String>> {
    let outcome: String = db.raw().fetch_one("PRAGMA quick_check(1)").await?.try_get(0)?;
    Ok(if outcome == "ok" { Ok(()) } else { Err(outcome) })
}

/// A PostgreSQL server's version and WAL archiving status.
#[derive(Clone, Debug, Default)]
pub struct Server {
    pub version: String,
    /// `archive_mode`.
    pub archive_mode: String,
    /// When the last WAL file was archived, microseconds UTC.
    pub archived_at: Option<i64>,
    /// The most recent archive attempt failed.
    pub failed: bool,
    pub standbys: i64,
    /// The server's time, microseconds UTC.
    pub now: i64,
}

/// Queries a PostgreSQL server's version, archiving, standbys and clock.
pub async fn server(db: &mut Db) -> Result<Server> {
    let version = db.raw().fetch_one("SHOW server_version").await?.try_get(0)?;
    let archive_mode = db.raw().fetch_one("SHOW archive_mode").await?.try_get(0)?;
    let asked = "SELECT CAST(EXTRACT(EPOCH FROM last_archived_time) * 1000000 AS BIGINT), \
                 CAST(CASE WHEN last_failed_time > COALESCE(last_archived_time, last_failed_time - INTERVAL '1 s') THEN 1 ELSE 0 END AS BIGINT), \
                 (SELECT COUNT(*) FROM pg_stat_replication), \
                 CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT) FROM pg_stat_archiver";
    let row = db.raw().fetch_one(asked).await?;
    Ok(Server {
        version,
        archive_mode,
        archived_at: row.try_get(0)?,
        failed: row.try_get::<Option<i64>, _>(1)?.unwrap_or(0) > 0,
        standbys: row.try_get(2)?,
        now: row.try_get(3)?,
    })
}

impl Store {
    /// Opens an existing database unchanged, whatever its schema version, without creating or migrating it.
    ///
    /// # Errors
    /// The database does not exist or cannot be reached.
    pub async fn open_as_it_is(url: &str) -> Result<Self> {
        sqlx::any::install_default_drivers();
        if let Some(file) = file_of(url).filter(|file| !file.exists()) {
            return Err(StoreError::Conflict(format!("there is no database at {}", file.display())));
        }
        match url.split_once(':').map(|(scheme, _)| scheme) {
            Some("sqlite") => Self::open_sqlite(url).await,
            Some("postgres" | "postgresql") => Self::open_postgres(url, super::CONNECTIONS).await,
            _ => Err(StoreError::Conflict(super::SCHEMES.to_owned())),
        }
    }

    /// Writes a consistent copy of a SQLite database into an empty file while writers continue.
    ///
    /// # Errors
    /// The file is not empty or the disk is full; [`StoreError::Conflict`] on PostgreSQL.
    pub async fn copy_into(&self, file: &Path) -> Result<()> {
        if self.engine != Engine::Sqlite {
            return Err(StoreError::Conflict("only a SQLite database is copied by Bursar".to_owned()));
        }
        let quoted = file.display().to_string().replace('\'', "''");
        let mut db = self.read().await?;
        db.raw().execute(AssertSqlSafe(format!("VACUUM INTO '{quoted}'"))).await?;
        Ok(())
    }
}
