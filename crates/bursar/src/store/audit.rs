//! The audit trail: append-only, each row hashing the one before it, written in the same transaction as the change.
//!
//! On SQLite a row is also chained in that transaction. On PostgreSQL it waits in `audit_waiting` until some node
//! chains it after the commit, so that no transaction holds a lock that every other node needs.

use std::collections::HashMap;

use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use sqlx::Row as _;

use super::{Db, Result, Rows, Tx, Value};

/// Who did what to what. `detail` is JSON and holds no secret.
#[derive(Clone, Debug)]
pub struct Entry {
    /// When, in microseconds UTC.
    pub at: i64,
    /// A person's id, or the name of a loop.
    pub actor: String,
    /// The action in snake case: `reward_approved`.
    pub action: &'static str,
    /// The id of the affected object.
    pub subject: String,
    pub detail: String,
}

impl Entry {
    /// Adds the address of the request that causes it, unless the entry already names it. It becomes part of the detail, so
    /// that older rows keep their hashes.
    pub(super) fn with_origin(mut self) -> Self {
        let Some(address) = crate::origin::address() else { return self };
        if let Ok(Json::Object(mut detail)) = serde_json::from_str::<Json>(&self.detail)
            && !detail.get("from").and_then(Json::as_str).is_some_and(|from| names(from, &address))
        {
            detail.insert("came_from".to_owned(), address.into());
            self.detail = Json::Object(detail).to_string();
        }
        self
    }
}

/// Whether an origin names this address, by itself or as that of an API key.
fn names(origin: &str, address: &str) -> bool {
    let ends_so = |part: &str| part.strip_suffix(address).is_some_and(|rest| rest.ends_with(" at "));
    origin.split(',').map(str::trim).any(|part| part == address || ends_so(part))
}

/// A row of the audit trail.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its position in the chain, from 1.
    pub seq: i64,
    pub at: i64,
    pub actor: String,
    pub action: String,
    pub subject: String,
    pub detail: String,
    /// The hash of the previous row.
    pub previous_hash: String,
    pub hash: String,
}

impl Row {
    /// Recomputes the hash from the row's content and the previous hash.
    pub fn computed_hash(&self) -> String {
        let parts = [&self.actor, &self.action, &self.subject, &self.detail];
        hash(&self.previous_hash, self.seq, self.at, parts.map(String::as_str))
    }
}

fn hash(previous: &str, seq: i64, at: i64, parts: [&str; 4]) -> String {
    let mut hash = Sha256::new();
    hash.update(format!("{previous}\n{seq}\n{at}\n"));
    for part in parts {
        // Prefix the length so that no two rows hash the same bytes.
        hash.update(format!("{}:{part}\n", part.len()));
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A row's content: actor, action, subject and detail.
struct Line {
    at: i64,
    parts: [String; 4],
}

impl From<Entry> for Line {
    fn from(entry: Entry) -> Self {
        let parts = [entry.actor, entry.action.to_owned(), entry.subject, entry.detail];
        Self { at: entry.at, parts }
    }
}

/// Chains and writes a change's rows in its own transaction.
pub(super) async fn write(tx: &mut Tx, entries: Vec<Entry>) -> Result<()> {
    append(tx, entries.into_iter().map(Line::from).collect()).await
}

/// A hash over all rows of one transaction, seeded with their count.
#[derive(Clone)]
struct ChangeHash(Sha256);

impl ChangeHash {
    fn of(lines: i64) -> Self {
        let mut hash = Sha256::new();
        hash.update(format!("{lines}\n"));
        Self(hash)
    }

    fn add(&mut self, at: i64, parts: [&str; 4]) {
        self.0.update(hash("", 0, at, parts));
    }

    fn hex(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Queues the rows for chaining, with a hash over all of them.
pub(super) async fn put_down(tx: &mut Tx, entries: Vec<Entry>) -> Result<()> {
    if entries.is_empty() {
        return Ok(());
    }
    let lines = i64::try_from(entries.len()).unwrap_or(i64::MAX);
    let mut change = ChangeHash::of(lines);
    for entry in &entries {
        change.add(entry.at, [entry.actor.as_str(), entry.action, &entry.subject, &entry.detail]);
    }
    let change = change.hex();
    let mut rows = Rows::default();
    for (line, entry) in (1_i64..).zip(entries) {
        rows.push([
            entry.at.into(),
            entry.actor.into(),
            entry.action.into(),
            entry.subject.into(),
            entry.detail.into(),
            line.into(),
            lines.into(),
            change.as_str().into(),
        ]);
    }
    let sql = "INSERT INTO audit_waiting (at, actor, action, subject, detail, line_number, line_count, change_hash) \
               VALUES {rows}";
    tx.bulk(sql, &[], rows).await?;
    Ok(())
}

/// Chains at most `most` committed rows, oldest first; returns how many. Nodes that do this at the same time wait for
/// each other here; nothing else waits for them.
pub async fn chain_waiting(tx: &mut Tx, most: i64) -> Result<u64> {
    tx.run(sqlx::query("UPDATE counter SET value = value WHERE name = 'audit'")).await?;
    let sql = "SELECT place, at, actor, action, subject, detail FROM audit_waiting ORDER BY place LIMIT $1";
    let waiting = tx.all(sqlx::query(sql).bind(most)).await?;
    let (mut last, mut places, mut lines) = (0, Rows::default(), Vec::new());
    for row in &waiting {
        last = row.try_get::<i64, _>(0)?;
        places.push([last.into()]);
        let parts = [row.try_get(2)?, row.try_get(3)?, row.try_get(4)?, row.try_get(5)?];
        lines.push(Line { at: row.try_get(1)?, parts });
    }
    append(tx, lines).await?;
    // The bound lets this use the index. Rows with a lower place that committed since are not in the list.
    let sql = "WITH v (place) AS (VALUES {rows}) \
               DELETE FROM audit_waiting WHERE place <= $1 AND place IN (SELECT place FROM v)";
    tx.bulk(sql, &[last.into()], places).await
}

/// Whether any row is waiting to be chained.
pub async fn any_waits(db: &mut Db) -> Result<bool> {
    Ok(db.optional(sqlx::query("SELECT place FROM audit_waiting LIMIT 1")).await?.is_some())
}

/// The rows waiting to be chained.
#[derive(Clone, Debug, Default)]
pub struct UnchainedRows {
    pub count: i64,
    /// Integrity violations: changes with a missing or altered row.
    pub violations: Vec<String>,
}

/// A partly read change: the next expected line, and the hash so far if it was read from the first line.
struct PartialChange {
    next: i64,
    lines: i64,
    hash: Option<ChangeHash>,
}

/// Verifies the waiting rows. The first rows of a change may already be chained; the rest must all be there.
pub async fn waiting(db: &mut Db) -> Result<UnchainedRows> {
    let sql = "SELECT place, at, actor, action, subject, detail, line_number, line_count, change_hash \
               FROM audit_waiting WHERE place > $1 ORDER BY place LIMIT 5000";
    let (mut found, mut place) = (UnchainedRows::default(), 0_i64);
    let mut open: HashMap<String, PartialChange> = HashMap::new();
    let broken = |change: &str| format!("rows that wait to be chained: change {change}");
    loop {
        let rows = db.all(sqlx::query(sql).bind(place)).await?;
        for row in &rows {
            place = row.try_get(0)?;
            found.count += 1;
            let (line, lines, change): (i64, i64, String) =
                (row.try_get(6)?, row.try_get(7)?, row.try_get(8)?);
            let whole = (line == 1).then(|| ChangeHash::of(lines));
            let seen = open.entry(change.clone()).or_insert(PartialChange { next: line, lines, hash: whole });
            if let Some(hash) = &mut seen.hash {
                let parts: [String; 4] = [row.try_get(2)?, row.try_get(3)?, row.try_get(4)?, row.try_get(5)?];
                hash.add(row.try_get(1)?, parts.each_ref().map(String::as_str));
            }
            let follows = line == seen.next && lines == seen.lines;
            seen.next = line + 1;
            if !follows {
                found.violations.push(broken(&change));
                open.remove(&change);
            } else if line == lines {
                let computed = open.remove(&change).and_then(|seen| seen.hash).map(ChangeHash::hex);
                if computed.is_some_and(|told| told != change) {
                    found.violations.push(broken(&change));
                }
            }
        }
        if rows.is_empty() {
            break;
        }
    }
    found.violations.extend(open.keys().map(|change| broken(change)));
    Ok(found)
}

/// Chains and writes the rows. Updating the counter locks the head, so concurrent transactions cannot fork the chain.
async fn append(tx: &mut Tx, lines: Vec<Line>) -> Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    let count = i64::try_from(lines.len()).unwrap_or(i64::MAX);
    let sql = "INSERT INTO counter (name, value) VALUES ('audit', $1) \
               ON CONFLICT (name) DO UPDATE SET value = counter.value + excluded.value RETURNING value";
    let last: i64 = tx.one(sqlx::query(sql).bind(count)).await?.try_get(0)?;
    let mut seq = last - count;
    let head = tx.optional(sqlx::query("SELECT hash FROM audit WHERE seq = $1").bind(seq)).await?;
    let mut previous = head.map(|row| row.try_get::<String, _>(0)).transpose()?.unwrap_or_default();
    let mut rows = Rows::default();
    for Line { at, parts } in lines {
        seq += 1;
        let hash = hash(&previous, seq, at, parts.each_ref().map(String::as_str));
        let [actor, action, subject, detail] = parts;
        rows.push([
            seq.into(),
            at.into(),
            actor.into(),
            action.into(),
            subject.into(),
            detail.into(),
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

/// Rows after `after`, oldest first, for verification and export.
pub async fn rows(db: &mut Db, after: i64, limit: i64) -> Result<Vec<Row>> {
    let sql = "SELECT seq, at, actor, action, subject, detail, previous_hash, hash FROM audit \
               WHERE seq > $1 ORDER BY seq LIMIT $2";
    let rows = db.all(sqlx::query(sql).bind(after).bind(limit)).await?;
    rows.iter().map(read).collect()
}

/// The hashes of rows after `after`, oldest first.
pub async fn hashes(db: &mut Db, after: i64, limit: i64) -> Result<Vec<String>> {
    let sql = "SELECT hash FROM audit WHERE seq > $1 ORDER BY seq LIMIT $2";
    let rows = db.all(sqlx::query(sql).bind(after).bind(limit)).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// The subjects of the rows after `after`, up to `last`.
pub async fn subjects(db: &mut Db, after: i64, last: i64) -> Result<Vec<String>> {
    let sql = "SELECT DISTINCT subject FROM audit WHERE seq > $1 AND seq <= $2";
    let rows = db.all(sqlx::query(sql).bind(after).bind(last)).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Waiting rows with their expected position, as if nothing else were chained first. Their hashes are not known yet.
const WAITING: &str = "SELECT place - (SELECT MIN(place) FROM audit_waiting) + 1 + COALESCE((SELECT value FROM counter WHERE name = 'audit'), 0) AS seq, \
     at, actor, action, subject, detail, '' AS previous_hash, '' AS hash FROM audit_waiting";

/// The newest rows, optionally of one subject.
pub async fn newest(db: &mut Db, subject: Option<&str>, before: i64, limit: i64) -> Result<Vec<Row>> {
    let mut conditions = super::Where::default();
    conditions.and("seq < ?", [Value::from(before)]);
    if let Some(subject) = subject {
        conditions.and("subject = ?", [Value::from(subject)]);
    }
    let sql = format!(
        "SELECT seq, at, actor, action, subject, detail, previous_hash, hash FROM (\
         SELECT * FROM (SELECT seq, at, actor, action, subject, detail, previous_hash, hash FROM audit {{where}} \
         ORDER BY seq DESC LIMIT {limit}) chained UNION ALL SELECT * FROM ({WAITING}) waiting {{where}}) found \
         ORDER BY seq DESC LIMIT {limit}"
    );
    db.all(conditions.query(&sql)).await?.iter().map(read).collect()
}

/// The filter of the activity log.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Any of these actors: ids of people or keys, or names of loops.
    pub actors: Option<Vec<String>>,
    pub action: Option<String>,
    /// The id of the affected object.
    pub subject: Option<String>,
    pub from: Option<i64>,
    pub to: Option<i64>,
    /// Older than the row with this time and position.
    pub before: Option<(i64, i64)>,
}

/// The rows that match, newest first.
pub async fn list(db: &mut Db, filter: &Filter, limit: i64) -> Result<Vec<Row>> {
    let sql = format!(
        "SELECT seq, at, actor, action, subject, detail, previous_hash, hash FROM (\
         SELECT * FROM (SELECT seq, at, actor, action, subject, detail, previous_hash, hash FROM audit {{where}} \
         ORDER BY at DESC, seq DESC LIMIT {limit}) chained UNION ALL SELECT * FROM ({WAITING}) waiting {{where}}) found \
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

/// Every action ever recorded, found by skipping through the index.
pub async fn actions(db: &mut Db) -> Result<Vec<String>> {
    let sql = "WITH RECURSIVE kind (action) AS (SELECT MIN(action) FROM audit UNION ALL \
               SELECT (SELECT MIN(a.action) FROM audit a WHERE a.action > k.action) FROM kind k \
               WHERE k.action IS NOT NULL) SELECT action FROM kind WHERE action IS NOT NULL \
               UNION SELECT action FROM audit_waiting ORDER BY action";
    db.all(sqlx::query(sql)).await?.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Display names for these ids: the number if it has one, otherwise the name. Deleted objects have none.
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

/// How many rows match the filter.
pub async fn count(db: &mut Db, filter: &Filter) -> Result<i64> {
    let sql = format!(
        "SELECT (SELECT COUNT(*) FROM audit {{where}}) + (SELECT COUNT(*) FROM ({WAITING}) waiting {{where}})"
    );
    Ok(db.one(narrowed(filter).query(&sql)).await?.try_get(0)?)
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
