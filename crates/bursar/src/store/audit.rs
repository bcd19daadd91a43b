//! The audit trail: append-only, each row hashing the one before it, written in the same transaction as the change.

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
