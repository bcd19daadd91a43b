//! The audit trail: append-only, each row hashing the one before it, written in the same transaction as the change.

use std::collections::HashMap;

use sha2::{Digest, Sha256};
use sqlx::Row as _;

use super::{Db, Result, Rows, Tx, Value};

/// Who did what to what. `detail` is JSON and holds no secret.
#[derive(Clone, Debug)]
pub struct Entry {
    /// When (microseconds UTC).
    pub at: i64,
    /// A person's id, or the name of a loop.
    pub actor: String,
    /// What was done, snake_case: `reward_approved`.
    pub action: &'static str,
    /// The id of what it was done to.
    pub subject: String,
    /// What changed, as JSON.
    pub detail: String,
}

/// A row of the trail.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its place in the chain, from 1.
    pub seq: i64,
    /// What was noted.
    pub at: i64,
    /// Who.
    pub actor: String,
    /// What.
    pub action: String,
    /// To what.
    pub subject: String,
    /// How.
    pub detail: String,
    /// The hash of the row before it.
    pub previous_hash: String,
    /// The hash of this row.
    pub hash: String,
}

impl Row {
    /// The hash that follows from what the row says and from the row before it.
    #[must_use]
    pub fn computed_hash(&self) -> String {
        let parts = [&self.actor, &self.action, &self.subject, &self.detail];
        hash(&self.previous_hash, self.seq, self.at, parts.map(String::as_str))
    }
}

fn hash(previous: &str, seq: i64, at: i64, parts: [&str; 4]) -> String {
    let mut hash = Sha256::new();
    hash.update(format!("{previous}\n{seq}\n{at}\n"));
    for part in parts {
        // The length first, so that no two rows can be told in the same bytes.
        hash.update(format!("{}:{part}\n", part.len()));
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Chains and writes the rows. The head is locked by the update of its counter, so rows of concurrent transactions
/// cannot fork the chain.
pub(super) async fn append(tx: &mut Tx, entries: Vec<Entry>) -> Result<()> {
    if entries.is_empty() {
        return Ok(());
    }
    let count = i64::try_from(entries.len()).unwrap_or(i64::MAX);
    let sql = "INSERT INTO counter (name, value) VALUES ('audit', $1) \
               ON CONFLICT (name) DO UPDATE SET value = counter.value + excluded.value RETURNING value";
    let last: i64 = tx.one(sqlx::query(sql).bind(count)).await?.try_get(0)?;
    let mut seq = last - count;
    let head = tx.optional(sqlx::query("SELECT hash FROM audit WHERE seq = $1").bind(seq)).await?;
    let mut previous = head.map(|row| row.try_get::<String, _>(0)).transpose()?.unwrap_or_default();
    let mut rows = Rows::default();
    for entry in entries {
        seq += 1;
        let parts = [entry.actor.as_str(), entry.action, &entry.subject, &entry.detail];
        let hash = hash(&previous, seq, entry.at, parts);
        rows.push([
            seq.into(),
            entry.at.into(),
            entry.actor.into(),
            entry.action.into(),
            entry.subject.into(),
            entry.detail.into(),
            previous.into(),
            hash.as_str().into(),
        ]);
        previous = hash;
    }
    let sql =
        "INSERT INTO audit (seq, at, actor, action, subject, detail, previous_hash, hash) VALUES {rows}";
    tx.bulk(sql, &[], rows).await?;
    Ok(())
}

/// Rows from `after` on, oldest first, for verifying the chain and for export.
///
/// # Errors
/// When the database does not answer.
pub async fn rows(db: &mut Db, after: i64, limit: i64) -> Result<Vec<Row>> {
    let sql = "SELECT seq, at, actor, action, subject, detail, previous_hash, hash FROM audit \
               WHERE seq > $1 ORDER BY seq LIMIT $2";
    let rows = db.all(sqlx::query(sql).bind(after).bind(limit)).await?;
    rows.iter().map(read).collect()
}

/// The newest rows, of one subject if it is named.
///
/// # Errors
/// When the database does not answer.
pub async fn newest(db: &mut Db, subject: Option<&str>, before: i64, limit: i64) -> Result<Vec<Row>> {
    let mut conditions = super::Where::default();
    conditions.and("seq < ?", [Value::from(before)]);
    if let Some(subject) = subject {
        conditions.and("subject = ?", [Value::from(subject)]);
    }
    let sql = format!(
        "SELECT seq, at, actor, action, subject, detail, previous_hash, hash FROM audit {{where}} \
         ORDER BY seq DESC LIMIT {limit}"
    );
    db.all(conditions.query(&sql)).await?.iter().map(read).collect()
}

/// What the activity log is narrowed to.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Who: people's or keys' ids, or the names of loops; any of them.
    pub actors: Option<Vec<String>>,
    /// What was done.
    pub action: Option<String>,
    /// The id of what it was done to.
    pub subject: Option<String>,
    /// From this moment on.
    pub from: Option<i64>,
    /// Before this moment.
    pub to: Option<i64>,
    /// Older than the row of this moment and place in the chain.
    pub before: Option<(i64, i64)>,
}

/// The rows of a filter, newest first.
///
/// # Errors
/// When the database does not answer.
pub async fn list(db: &mut Db, filter: &Filter, limit: i64) -> Result<Vec<Row>> {
    let sql = format!(
        "SELECT seq, at, actor, action, subject, detail, previous_hash, hash FROM audit {{where}} \
         ORDER BY at DESC, seq DESC LIMIT {limit}"
    );
    db.all(narrowed(filter).query(&sql)).await?.iter().map(read).collect()
}

fn narrowed(filter: &Filter) -> super::Where {
    let mut conditions = super::Where::default();
    match filter.actors.as_deref() {
        None => {}
        Some([actor]) => conditions.and("actor = ?", [actor.as_str().into()]),
        Some(actors) => conditions.among("actor", actors.iter().map(|actor| Value::from(actor.as_str()))),
    }
    if let Some(action) = &filter.action {
        conditions.and("action = ?", [action.as_str().into()]);
    }
    if let Some(subject) = &filter.subject {
        conditions.and("subject = ?", [subject.as_str().into()]);
    }
    if let Some(from) = filter.from {
        conditions.and("at >= ?", [from.into()]);
    }
    if let Some(to) = filter.to {
        conditions.and("at < ?", [to.into()]);
    }
    if let Some((at, seq)) = filter.before {
        conditions.and("(at, seq) < (?, ?)", [at.into(), seq.into()]);
    }
    conditions
}

/// Every kind of change that was ever noted, by going from one to the next in the index.
///
/// # Errors
/// When the database does not answer.
pub async fn actions(db: &mut Db) -> Result<Vec<String>> {
    let sql = "WITH RECURSIVE kind (action) AS (SELECT MIN(action) FROM audit UNION ALL \
               SELECT (SELECT MIN(a.action) FROM audit a WHERE a.action > k.action) FROM kind k \
               WHERE k.action IS NOT NULL) SELECT action FROM kind WHERE action IS NOT NULL";
    db.all(sqlx::query(sql)).await?.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// What the things of these ids are called: numbers of what is counted, names of the others. What has been deleted has
/// none.
///
/// # Errors
/// When the database does not answer.
pub async fn called(db: &mut Db, ids: &[String]) -> Result<HashMap<String, String>> {
    let tables = [
        ("rwd_", "SELECT id, CAST(number AS TEXT) FROM reward {where}"),
        ("ptx_", "SELECT id, CAST(number AS TEXT) FROM payout_transaction {where}"),
        ("bat_", "SELECT id, number FROM batch {where}"),
        ("ptn_", "SELECT id, name FROM partner {where}"),
        ("acc_", "SELECT id, name FROM account {where}"),
        ("prg_", "SELECT id, name FROM program {where}"),
        ("act_", "SELECT id, name FROM activity {where}"),
        ("per_", "SELECT id, name FROM person {where}"),
        ("imp_", "SELECT id, file_name FROM import_run {where}"),
        ("exp_", "SELECT id, CAST(number AS TEXT) FROM export_run {where}"),
    ];
    let mut called = HashMap::new();
    for (prefix, sql) in tables {
        let of_kind: Vec<&String> = ids.iter().filter(|id| id.starts_with(prefix)).collect();
        if of_kind.is_empty() {
            continue;
        }
        let mut conditions = super::Where::default();
        conditions.among("id", of_kind.into_iter().map(|id| Value::from(id.as_str())));
        for row in db.all(conditions.query(sql)).await? {
            let (id, name): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            let name = match (prefix, name.parse::<i64>()) {
                ("rwd_", Ok(number)) => format!("RW-{number:06}"),
                ("ptx_", Ok(number)) => format!("PT-{number:06}"),
                ("exp_", Ok(number)) => format!("EX-{number:06}"),
                _ => name,
            };
            called.insert(id, name);
        }
    }
    Ok(called)
}

/// How many rows a filter finds.
///
/// # Errors
/// When the database does not answer.
pub async fn count(db: &mut Db, filter: &Filter) -> Result<i64> {
    let query = narrowed(filter).query("SELECT COUNT(*) FROM audit {where}");
    Ok(db.one(query).await?.try_get(0)?)
}

fn read(row: &sqlx::any::AnyRow) -> Result<Row> {
    Ok(Row {
        seq: row.try_get(0)?,
        at: row.try_get(1)?,
        actor: row.try_get(2)?,
        action: row.try_get(3)?,
        subject: row.try_get(4)?,
        detail: row.try_get(5)?,
        previous_hash: row.try_get(6)?,
        hash: row.try_get(7)?,
    })
}
