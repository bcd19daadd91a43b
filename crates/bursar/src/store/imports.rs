//! Files imported through the pages: progress, the file itself, its rejected rows, and remembered column mappings. Not
//! here: parsing a file (`ops::import`).

use payout::ids::ImportId;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Db, Result, Rows, Tx, Value, Where, word};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ImportKind {
    Rewards,
    Partners,
    Accounts,
    /// Activities together with their programs.
    Activities,
}

impl ImportKind {
    pub const ALL: [Self; 4] = [Self::Rewards, Self::Partners, Self::Accounts, Self::Activities];

    /// The spelling in the database and in URLs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rewards => "rewards",
            Self::Partners => "partners",
            Self::Accounts => "accounts",
            Self::Activities => "activities",
        }
    }

    /// Parses [`ImportKind::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|what| what.as_str() == text)
    }

    pub fn label(self) -> &'static str {
        match self {
            Self::Rewards => "Rewards",
            Self::Partners => "Partners",
            Self::Accounts => "Accounts",
            Self::Activities => "Activities",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ImportState {
    /// Uploaded; its columns have not been mapped yet.
    Uploaded,
    /// Its rows are being checked.
    Checking,
    /// The result of an import is known; nothing is entered yet.
    Checked,
    /// Its rows are being entered.
    Importing,
    /// Every row is entered or rejected.
    Done,
    /// It stopped and needs a person.
    Failed,
    Canceled,
}

impl ImportState {
    pub const ALL: [Self; 7] = [
        Self::Uploaded,
        Self::Checking,
        Self::Checked,
        Self::Importing,
        Self::Done,
        Self::Failed,
        Self::Canceled,
    ];

    /// The spelling in the database and in URLs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Uploaded => "uploaded",
            Self::Checking => "checking",
            Self::Checked => "checked",
            Self::Importing => "importing",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }

    /// Parses [`ImportState::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    pub fn label(self) -> &'static str {
        match self {
            Self::Uploaded => "Columns to be named",
            Self::Checking => "Being checked",
            Self::Checked => "Ready to import",
            Self::Importing => "Being imported",
            Self::Done => "Done",
            Self::Failed => "Stopped",
            Self::Canceled => "Canceled",
        }
    }

    /// Whether a worker has work to do on it.
    pub fn moving(self) -> bool {
        matches!(self, Self::Checking | Self::Importing)
    }
}

/// What happened, or would happen, to a file's rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    pub accepted: i64,
    /// Already stored with the same content.
    pub duplicates: i64,
    pub rejected: i64,
}

#[derive(Clone, Debug)]
pub struct Import {
    pub id: ImportId,
    /// `IM-000012` without its prefix.
    pub number: i64,
    pub what: ImportKind,
    /// The file name at upload.
    pub file_name: String,
    /// Its size in bytes.
    pub size: i64,
    /// The file's format, as JSON.
    pub layout: String,
    /// The column mapping, as JSON, once chosen.
    pub mapping: Option<String>,
    /// The first rows as they will be entered, as JSON, once checked.
    pub sample: Option<String>,
    pub state: ImportState,
    pub total: i64,
    /// The number of rows entered or rejected.
    pub done: i64,
    /// What happened, or would happen, to the rows.
    pub counts: Counts,
    /// The last line whose payout destination was set.
    pub connected_line: i64,
    pub created_at: i64,
    pub created_by: String,
    pub came_from: String,
    pub checked_at: Option<i64>,
    /// When and by whom Import was pressed.
    pub started: Option<(i64, String)>,
    /// When the last row was done.
    pub finished_at: Option<i64>,
    pub canceled_at: Option<i64>,
    /// When and why it stopped by itself.
    pub failed: Option<(i64, String)>,
    /// When the file was deleted.
    pub forgotten_at: Option<i64>,
    /// Incremented with every lease; fences off a worker whose lease has expired.
    pub fence: i64,
    /// The number of attempts since it last made progress.
    pub tries: i64,
}

impl Import {
    pub fn number(&self) -> String {
        format!("IM-{:06}", self.number)
    }
}

const COLUMNS: &str = "id, number, what, file_name, size_count, layout, mapping, sample, state, total_count, done_count, \
                       accepted_count, duplicate_count, rejected_count, connected_line, created_at, created_by, \
                       came_from, checked_at, started_at, started_by, finished_at, canceled_at, failed_at, failed_why, \
                       forgotten_at, fence, tries";

fn import(row: &AnyRow) -> Result<Import> {
    let (id, what, state): (String, String, String) = (row.try_get(0)?, row.try_get(2)?, row.try_get(8)?);
    let started: (Option<i64>, Option<String>) = (row.try_get(19)?, row.try_get(20)?);
    let failed: (Option<i64>, Option<String>) = (row.try_get(23)?, row.try_get(24)?);
    Ok(Import {
        id: word(ImportId::parse(&id), &id)?,
        number: row.try_get(1)?,
        what: word(ImportKind::parse(&what), &what)?,
        file_name: row.try_get(3)?,
        size: row.try_get(4)?,
        layout: row.try_get(5)?,
        mapping: row.try_get(6)?,
        sample: row.try_get(7)?,
        state: word(ImportState::parse(&state), &state)?,
        total: row.try_get(9)?,
        done: row.try_get(10)?,
        counts: Counts {
            accepted: row.try_get(11)?,
            duplicates: row.try_get(12)?,
            rejected: row.try_get(13)?,
        },
        connected_line: row.try_get(14)?,
        created_at: row.try_get(15)?,
        created_by: row.try_get(16)?,
        came_from: row.try_get(17)?,
        checked_at: row.try_get(18)?,
        started: started.0.zip(started.1),
        finished_at: row.try_get(21)?,
        canceled_at: row.try_get(22)?,
        failed: failed.0.zip(failed.1),
        forgotten_at: row.try_get(25)?,
        fence: row.try_get(26)?,
        tries: row.try_get(27)?,
    })
}

/// Stores a newly uploaded file.
pub async fn insert(tx: &mut Tx, it: &Import, body: &str) -> Result<()> {
    let sql = "INSERT INTO import_run (id, number, what, file_name, size_count, layout, state, total_count, done_count, \
               accepted_count, duplicate_count, rejected_count, connected_line, created_at, created_by, came_from, \
               lease_until, fence, tries) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, 0, 0, 0, 0, $9, $10, $11, 0, 0, 0)";
    let query = sqlx::query(sql)
        .bind(it.id.to_string())
        .bind(it.number)
        .bind(it.what.as_str())
        .bind(it.file_name.clone())
        .bind(it.size)
        .bind(it.layout.clone())
        .bind(it.state.as_str())
        .bind(it.total)
        .bind(it.created_at)
        .bind(it.created_by.clone())
        .bind(it.came_from.clone());
    tx.run(query).await?;
    let sql = "INSERT INTO import_file (import_id, body) VALUES ($1, $2)";
    tx.run(sqlx::query(sql).bind(it.id.to_string()).bind(body.to_owned())).await?;
    Ok(())
}

/// The filter of the import list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub what: Option<ImportKind>,
    pub state: Option<ImportState>,
    pub before: Option<i64>,
}

/// A page of the list, newest first.
pub async fn list(db: &mut Db, filter: &Filter, limit: i64) -> Result<Vec<Import>> {
    let mut conditions = Where::default();
    if let Some(what) = filter.what {
        conditions.and("what = ?", [what.as_str().into()]);
    }
    if let Some(state) = filter.state {
        conditions.and("state = ?", [state.as_str().into()]);
    }
    if let Some(before) = filter.before {
        conditions.and("number < ?", [before.into()]);
    }
    let sql = format!("SELECT {COLUMNS} FROM import_run {{where}} ORDER BY number DESC LIMIT {limit}");
    db.all(conditions.query(&sql)).await?.iter().map(import).collect()
}

/// An import by number or id.
///
/// # Errors
/// [`super::StoreError::Missing`] if there is none.
pub async fn find(db: &mut Db, named: &str) -> Result<Import> {
    let mut conditions = Where::default();
    match named.strip_prefix("IM-").and_then(|digits| digits.parse::<i64>().ok()) {
        Some(number) => conditions.and("number = ?", [number.into()]),
        None => conditions.and("id = ?", [named.into()]),
    }
    import(&db.one(conditions.query(&format!("SELECT {COLUMNS} FROM import_run {{where}}"))).await?)
}

/// The file, if it is still kept.
pub async fn body(db: &mut Db, id: ImportId) -> Result<Option<String>> {
    let sql = "SELECT body FROM import_file WHERE import_id = $1";
    let row = db.optional(sqlx::query(sql).bind(id.to_string())).await?;
    row.map(|row| Ok(row.try_get(0)?)).transpose()
}

/// Whether an import is due for a worker.
pub async fn any_due(db: &mut Db, now: i64) -> Result<bool> {
    let sql =
        "SELECT 1 FROM import_run WHERE state IN ('checking', 'importing') AND lease_until <= $1 LIMIT 1";
    Ok(db.optional(sqlx::query(sql).bind(now)).await?.is_some())
}

/// Leases the import that has waited longest, until `until`.
pub async fn lease(tx: &mut Tx, now: i64, until: i64) -> Result<Option<Import>> {
    let sql = format!(
        "UPDATE import_run SET lease_until = $1, lease_node = $3, fence = fence + 1, tries = tries + 1 \
         WHERE id IN (SELECT id FROM import_run WHERE state IN ('checking', 'importing') AND lease_until <= $2 \
                      ORDER BY lease_until, number LIMIT 1) \
           AND state IN ('checking', 'importing') AND lease_until <= $2 RETURNING {COLUMNS}"
    );
    let node = tx.node.clone();
    let row = tx.optional(sqlx::query(sqlx::AssertSqlSafe(sql)).bind(until).bind(now).bind(node)).await?;
    row.as_ref().map(import).transpose()
}

/// Saves an import's progress if it is unchanged since it was read and its lease is still ours; returns whether it was.
/// The next worker may take it from `free_at` on.
pub async fn save(tx: &mut Tx, before: &Import, it: &Import, free_at: i64) -> Result<bool> {
    let sql = "UPDATE import_run SET mapping = $1, sample = $2, state = $3, done_count = $4, accepted_count = $5, \
               duplicate_count = $6, rejected_count = $7, connected_line = $8, checked_at = $9, started_at = $10, \
               started_by = $11, finished_at = $12, canceled_at = $13, failed_at = $14, failed_why = $15, \
               tries = $16, lease_until = $17, fence = fence + 1 WHERE id = $18 AND state = $19 AND fence = $20";
    let (started_at, started_by) = it.started.clone().unzip();
    let (failed_at, failed_why) = it.failed.clone().unzip();
    let query = sqlx::query(sql)
        .bind(it.mapping.clone())
        .bind(it.sample.clone())
        .bind(it.state.as_str())
        .bind(it.done)
        .bind(it.counts.accepted)
        .bind(it.counts.duplicates)
        .bind(it.counts.rejected)
        .bind(it.connected_line)
        .bind(it.checked_at)
        .bind(started_at)
        .bind(started_by)
        .bind(it.finished_at)
        .bind(it.canceled_at)
        .bind(failed_at)
        .bind(failed_why)
        .bind(it.tries)
        .bind(free_at)
        .bind(it.id.to_string())
        .bind(before.state.as_str())
        .bind(before.fence);
    Ok(tx.run(query).await? == 1)
}

/// A rejected row of the file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused {
    /// The line on which it begins; the header is line 1.
    pub line: i64,
    /// The column; empty if the whole row is wrong.
    pub field: String,
    pub code: String,
    /// What is wrong and what to enter instead.
    pub detail: String,
    /// The value in the file; empty if there is none, or for rows rejected before values were stored.
    pub value: String,
}

/// At most `limit` rejected rows of an import, by line.
pub async fn refused(db: &mut Db, id: ImportId, limit: i64) -> Result<Vec<Refused>> {
    let sql = "SELECT line_number, field, code, detail, file_value FROM import_refused WHERE import_id = $1 \
               ORDER BY line_number LIMIT $2";
    let rows = db.all(sqlx::query(sql).bind(id.to_string()).bind(limit)).await?;
    let read = |row: &AnyRow| {
        Ok(Refused {
            line: row.try_get(0)?,
            field: row.try_get(1)?,
            code: row.try_get(2)?,
            detail: row.try_get(3)?,
            value: row.try_get(4)?,
        })
    };
    rows.iter().map(read).collect()
}

/// Records rejected rows, replacing earlier entries for the same lines.
pub async fn note_refused(tx: &mut Tx, id: ImportId, refused: &[Refused]) -> Result<()> {
    let sql = "INSERT INTO import_refused (import_id, line_number, field, code, detail, file_value) VALUES {rows} \
               ON CONFLICT (import_id, line_number) DO UPDATE SET field = excluded.field, code = excluded.code, \
               detail = excluded.detail, file_value = excluded.file_value";
    let row = |it: &Refused| -> [Value; 6] {
        let (field, code, detail) = (it.field.as_str(), it.code.as_str(), it.detail.as_str());
        [
            id.to_string().into(),
            it.line.into(),
            field.into(),
            code.into(),
            detail.into(),
            it.value.as_str().into(),
        ]
    };
    let rows: Rows = refused.iter().map(row).collect();
    tx.bulk(sql, &[], rows).await?;
    Ok(())
}

/// Deletes the rejected rows, so that a new check starts clean.
pub async fn clear_refused(tx: &mut Tx, id: ImportId) -> Result<()> {
    let sql = "DELETE FROM import_refused WHERE import_id = $1";
    tx.run(sqlx::query(sql).bind(id.to_string())).await?;
    Ok(())
}

/// The last mapping of headers in such files: our column, or `None` if it was left out.
pub async fn headers(db: &mut Db, what: ImportKind) -> Result<Vec<(String, Option<String>)>> {
    let sql = "SELECT header, field FROM import_header WHERE what = $1";
    let rows = db.all(sqlx::query(sql).bind(what.as_str())).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// Remembers a header mapping for the next file.
pub async fn remember_headers(
    tx: &mut Tx,
    what: ImportKind,
    headers: &[(String, Option<String>)],
    now: i64,
) -> Result<()> {
    let sql = "INSERT INTO import_header (what, header, field, saved_at) VALUES {rows} \
               ON CONFLICT (what, header) DO UPDATE SET field = excluded.field, saved_at = excluded.saved_at";
    let row = |(header, field): &(String, Option<String>)| -> [Value; 4] {
        [what.as_str().into(), header.as_str().into(), field.clone().into(), now.into()]
    };
    tx.bulk(sql, &[], headers.iter().map(row).collect()).await?;
    Ok(())
}

/// Whether any file uploaded before that time is still kept.
pub async fn any_kept(db: &mut Db, before: i64) -> Result<bool> {
    let sql = "SELECT 1 FROM import_run WHERE forgotten_at IS NULL AND created_at < $1 LIMIT 1";
    Ok(db.optional(sqlx::query(sql).bind(before)).await?.is_some())
}

/// Deletes files uploaded before `before`, with their rejected rows. Cancels unfinished imports, which cannot continue
/// without the file. Returns how many.
pub async fn forget_files(tx: &mut Tx, before: i64, now: i64) -> Result<u64> {
    for sql in [
        "DELETE FROM import_file WHERE import_id IN \
         (SELECT id FROM import_run WHERE forgotten_at IS NULL AND created_at < $1)",
        "DELETE FROM import_refused WHERE import_id IN \
         (SELECT id FROM import_run WHERE forgotten_at IS NULL AND created_at < $1)",
    ] {
        tx.run(sqlx::query(sql).bind(before)).await?;
    }
    let sql = "UPDATE import_run SET state = 'canceled', canceled_at = $1, fence = fence + 1 \
               WHERE forgotten_at IS NULL AND created_at < $2 AND state NOT IN ('done', 'canceled')";
    tx.run(sqlx::query(sql).bind(now).bind(before)).await?;
    let sql = "UPDATE import_run SET forgotten_at = $1, sample = NULL \
               WHERE forgotten_at IS NULL AND created_at < $2";
    tx.run(sqlx::query(sql).bind(now).bind(before)).await
}
