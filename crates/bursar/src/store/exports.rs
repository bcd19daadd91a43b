//! Exports: each run, and the parts of its file, which are kept for some days.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Db, Result, Tx, Value, Where, word};

/// The progress of an export.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Its rows are being collected in chunks.
    Gathering,
    /// All rows are collected; the file is being built.
    Packing,
    /// The file can be downloaded until it expires.
    Ready,
    /// It was sent in the response and is not kept.
    Sent,
    /// It could not be produced.
    Failed,
}

impl State {
    /// The spelling in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gathering => "gathering",
            Self::Packing => "packing",
            Self::Ready => "ready",
            Self::Sent => "sent",
            Self::Failed => "failed",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let all = [Self::Gathering, Self::Packing, Self::Ready, Self::Sent, Self::Failed];
        all.into_iter().find(|state| state.as_str() == text)
    }
}

#[derive(Clone, Debug)]
pub struct Run {
    /// `exp_…`.
    pub id: String,
    /// `EX-000012` without its prefix.
    pub number: i64,
    /// What is exported: rewards, transactions and so on.
    pub kind: String,
    /// `csv` or `xlsx`.
    pub format: String,
    /// The filters, columns and other request options, as JSON.
    pub asked: String,
    pub told: String,
    pub state: State,
    /// The number of rows when it was requested.
    pub rows_expected: i64,
    /// The number of rows written so far.
    pub rows_done: i64,
    /// The file size in bytes.
    pub bytes: i64,
    /// The number of parts written in the current state.
    pub parts: i64,
    /// The cursor for the next rows.
    pub place: Option<String>,
    /// Who requested it: id and name.
    pub by: (String, String),
    /// When it was requested. All content is as of this time.
    pub created_at: i64,
    /// When the file was complete.
    pub finished_at: Option<i64>,
    /// When and why it failed.
    pub failed: Option<(i64, String)>,
    /// The time until which the file is kept.
    pub kept_until: Option<i64>,
    /// When the file was deleted.
    pub forgotten_at: Option<i64>,
    /// Incremented with every lease, so that a worker with an expired lease cannot write.
    pub fence: i64,
}

impl Run {
    pub fn label(&self) -> String {
        format!("EX-{:06}", self.number)
    }

    /// Still collecting rows or building the file.
    pub fn is_moving(&self) -> bool {
        matches!(self.state, State::Gathering | State::Packing)
    }

    /// Increases with every unit of work and once more when finished.
    pub fn change_number(&self) -> i64 {
        self.fence * 2 + i64::from(!self.is_moving())
    }

    /// Whether the file can be downloaded.
    pub fn is_kept(&self) -> bool {
        self.state == State::Ready && self.forgotten_at.is_none()
    }
}

const COLUMNS: &str = "id, number, kind, format, asked, told, state, rows_expected, rows_done, bytes, parts, place, \
                       made_by, made_by_name, created_at, finished_at, failed_at, failed_why, kept_until, \
                       forgotten_at, fence";

fn run(row: &AnyRow) -> Result<Run> {
    let state: String = row.try_get(6)?;
    let (failed_at, failed_why): (Option<i64>, Option<String>) = (row.try_get(16)?, row.try_get(17)?);
    Ok(Run {
        id: row.try_get(0)?,
        number: row.try_get(1)?,
        kind: row.try_get(2)?,
        format: row.try_get(3)?,
        asked: row.try_get(4)?,
        told: row.try_get(5)?,
        state: word(State::parse(&state), &state)?,
        rows_expected: row.try_get(7)?,
        rows_done: row.try_get(8)?,
        bytes: row.try_get(9)?,
        parts: row.try_get(10)?,
        place: row.try_get(11)?,
        by: (row.try_get(12)?, row.try_get(13)?),
        created_at: row.try_get(14)?,
        finished_at: row.try_get(15)?,
        failed: failed_at.zip(failed_why),
        kept_until: row.try_get(18)?,
        forgotten_at: row.try_get(19)?,
        fence: row.try_get(20)?,
    })
}

pub async fn insert(tx: &mut Tx, run: &Run) -> Result<()> {
    let sql = "INSERT INTO export_run (id, number, kind, format, asked, told, state, rows_expected, rows_done, bytes, \
               parts, made_by, made_by_name, created_at, finished_at, kept_until, lease_until, fence) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, 0, 0)";
    let query = sqlx::query(sql).bind(run.id.clone()).bind(run.number).bind(run.kind.clone());
    let query = query.bind(run.format.clone()).bind(run.asked.clone()).bind(run.told.clone());
    let query = query.bind(run.state.as_str()).bind(run.rows_expected).bind(run.rows_done);
    let query = query.bind(run.bytes).bind(run.parts).bind(run.by.0.clone()).bind(run.by.1.clone());
    tx.run(query.bind(run.created_at).bind(run.finished_at).bind(run.kept_until)).await?;
    Ok(())
}

/// An export by its number.
///
/// # Errors
/// [`super::StoreError::Missing`] if there is none.
pub async fn find(db: &mut Db, number: i64) -> Result<Run> {
    let mut conditions = Where::default();
    conditions.and("number = ?", [number.into()]);
    run(&db.one(conditions.query(&format!("SELECT {COLUMNS} FROM export_run {{where}}"))).await?)
}

/// An export by its id.
///
/// # Errors
/// [`super::StoreError::Missing`] if there is none.
pub async fn by_id(db: &mut Db, id: &str) -> Result<Run> {
    let mut conditions = Where::default();
    conditions.and("id = ?", [id.into()]);
    run(&db.one(conditions.query(&format!("SELECT {COLUMNS} FROM export_run {{where}}"))).await?)
}

/// Exports of these kinds, newest first.
pub async fn list(db: &mut Db, kinds: &[&str], before: Option<i64>, limit: i64) -> Result<Vec<Run>> {
    let mut conditions = Where::default();
    conditions.among("kind", kinds.iter().map(|kind| Value::from(*kind)));
    if let Some(before) = before {
        conditions.and("number < ?", [before.into()]);
    }
    let sql = format!("SELECT {COLUMNS} FROM export_run {{where}} ORDER BY number DESC LIMIT {limit}");
    db.all(conditions.query(&sql)).await?.iter().map(run).collect()
}

/// The last export of this kind that somebody made, among the newest of all.
pub async fn last_of(db: &mut Db, kind: &str, person: &str) -> Result<Option<Run>> {
    let mut conditions = Where::default();
    conditions.and("kind = ?", [kind.into()]);
    conditions.and("made_by = ?", [person.into()]);
    let sql = format!(
        "SELECT {COLUMNS} FROM (SELECT * FROM export_run ORDER BY number DESC LIMIT 200) newest {{where}} \
         ORDER BY number DESC LIMIT 1"
    );
    db.optional(conditions.query(&sql)).await?.as_ref().map(run).transpose()
}

/// Whether an export is due for a unit of work.
pub async fn anything_due(db: &mut Db, now: i64) -> Result<bool> {
    let sql =
        "SELECT id FROM export_run WHERE state IN ('gathering', 'packing') AND lease_until <= $1 LIMIT 1";
    Ok(db.optional(sqlx::query(sql).bind(now)).await?.is_some())
}

/// Leases the oldest unfinished export for one unit of work.
pub async fn lease(tx: &mut Tx, now: i64, until: i64) -> Result<Option<Run>> {
    let sql = format!(
        "UPDATE export_run SET lease_until = $2, lease_node = $3, fence = fence + 1 WHERE id IN (SELECT id FROM export_run \
         WHERE state IN ('gathering', 'packing') AND lease_until <= $1 ORDER BY number LIMIT 1) \
         AND lease_until <= $1 RETURNING {COLUMNS}"
    );
    let node = tx.node.clone();
    tx.optional(sqlx::query(sqlx::AssertSqlSafe(sql)).bind(now).bind(until).bind(node))
        .await?
        .as_ref()
        .map(run)
        .transpose()
}

/// Saves a leased export's progress and releases the lease. Returns zero rows if the lease was taken over.
pub async fn advance(tx: &mut Tx, run: &Run) -> Result<u64> {
    let sql = "UPDATE export_run SET state = $3, rows_done = $4, bytes = $5, parts = $6, place = $7, finished_at = $8, \
               failed_at = $9, failed_why = $10, kept_until = $11, lease_until = 0 WHERE id = $1 AND fence = $2";
    let query = sqlx::query(sql).bind(run.id.clone()).bind(run.fence).bind(run.state.as_str());
    let query = query.bind(run.rows_done).bind(run.bytes).bind(run.parts).bind(run.place.clone());
    let (failed_at, failed_why) = run.failed.clone().unzip();
    tx.run(query.bind(run.finished_at).bind(failed_at).bind(failed_why).bind(run.kept_until)).await
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// Rows collected for a spreadsheet.
    Rows,
    File,
}

impl Part {
    fn as_str(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::File => "file",
        }
    }
}

/// Writes one part of an export.
pub async fn put_part(tx: &mut Tx, id: &str, of: Part, place: i64, body: String) -> Result<()> {
    let sql = "INSERT INTO export_part (run_id, kind, place, body) VALUES ($1, $2, $3, $4)";
    tx.run(sqlx::query(sql).bind(id.to_owned()).bind(of.as_str()).bind(place).bind(body)).await?;
    Ok(())
}

/// Reads one part of an export.
pub async fn part(db: &mut Db, id: &str, of: Part, place: i64) -> Result<Option<String>> {
    let sql = "SELECT body FROM export_part WHERE run_id = $1 AND kind = $2 AND place = $3";
    let row = db.optional(sqlx::query(sql).bind(id.to_owned()).bind(of.as_str()).bind(place)).await?;
    row.map(|row| Ok(row.try_get(0)?)).transpose()
}

/// Deletes every part of a kind.
pub async fn drop_parts(tx: &mut Tx, id: &str, of: Part) -> Result<u64> {
    let sql = "DELETE FROM export_part WHERE run_id = $1 AND kind = $2";
    tx.run(sqlx::query(sql).bind(id.to_owned()).bind(of.as_str())).await
}

/// Exports whose files have passed their retention.
pub async fn overdue(db: &mut Db, now: i64, limit: i64) -> Result<Vec<String>> {
    let sql = "SELECT id FROM export_run WHERE kept_until <= $1 AND forgotten_at IS NULL ORDER BY kept_until LIMIT $2";
    let rows = db.all(sqlx::query(sql).bind(now).bind(limit)).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Records that a file was deleted.
pub async fn mark_forgotten(tx: &mut Tx, id: &str, now: i64) -> Result<u64> {
    let sql = "UPDATE export_run SET forgotten_at = $2 WHERE id = $1 AND forgotten_at IS NULL";
    tx.run(sqlx::query(sql).bind(id.to_owned()).bind(now)).await
}
