//! The outbox: notices to be turned into mails, written in the same transaction as the change they report.

use payout::notice::Notice;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Db, Result, Rows, Tx, Value, word};
use crate::clock::Clock;

/// A notice in the outbox.
#[derive(Clone, Debug)]
pub struct OutboxNotice {
    /// Its id.
    pub id: String,
    pub notice: Notice,
    /// The id of its subject.
    pub about: String,
    pub detail: String,
    pub at: i64,
}

/// Writes notices: what happened, the id of its subject, and details as JSON.
pub async fn write(
    tx: &mut Tx,
    clock: &Clock,
    now: i64,
    notices: impl IntoIterator<Item = (Notice, String, String)>,
) -> Result<()> {
    write_due(tx, clock, now, 0, notices).await
}

/// Writes one notice; returns its id.
pub async fn write_one(
    tx: &mut Tx,
    clock: &Clock,
    now: i64,
    (notice, subject, detail): (Notice, String, String),
) -> Result<String> {
    let id = format!("msg_{}", payout::ids::encode(payout::ids::fresh(now, clock.in_turn())));
    let sql =
        "INSERT INTO outbox (id, notice, subject, detail, created_at, due_at) VALUES ($1, $2, $3, $4, $5, 0)";
    let query = sqlx::query(sql).bind(id.clone()).bind(notice.as_str()).bind(subject).bind(detail).bind(now);
    tx.run(query).await?;
    Ok(id)
}

/// The same, due at `due`.
pub async fn write_due(
    tx: &mut Tx,
    clock: &Clock,
    now: i64,
    due: i64,
    notices: impl IntoIterator<Item = (Notice, String, String)>,
) -> Result<()> {
    let mut rows = Rows::default();
    for (notice, subject, detail) in notices {
        let id = format!("msg_{}", payout::ids::encode(payout::ids::fresh(now, clock.in_turn())));
        let notice = notice.as_str();
        rows.push([id.into(), notice.into(), subject.into(), detail.into(), now.into(), due.into()]);
    }
    let sql = "INSERT INTO outbox (id, notice, subject, detail, created_at, due_at) VALUES {rows}";
    tx.bulk(sql, &[], rows).await?;
    Ok(())
}

/// Whether a notice is due to be turned into mails.
pub async fn anything_due(db: &mut Db, now: i64) -> Result<bool> {
    let sql = "SELECT id FROM outbox WHERE expanded_at IS NULL AND due_at <= $1 LIMIT 1";
    Ok(db.optional(sqlx::query(sql).bind(now)).await?.is_some())
}

/// Takes the oldest due notices; they count as expanded once this transaction commits.
pub async fn take(tx: &mut Tx, now: i64, limit: i64) -> Result<Vec<OutboxNotice>> {
    let sql = "UPDATE outbox SET expanded_at = $1 WHERE id IN (SELECT id FROM outbox \
               WHERE expanded_at IS NULL AND due_at <= $1 ORDER BY due_at, id LIMIT $2) \
               AND expanded_at IS NULL RETURNING id, notice, subject, detail, created_at";
    let mut taken: Vec<OutboxNotice> =
        tx.all(sqlx::query(sql).bind(now).bind(limit)).await?.iter().map(told).collect::<Result<_>>()?;
    taken.sort_by(|one, other| one.id.cmp(&other.id));
    Ok(taken)
}

/// Takes every pending notice of a kind about a partner's rewards, due or not.
pub async fn take_all_of_owner(
    tx: &mut Tx,
    notice: Notice,
    owner: &str,
    now: i64,
) -> Result<Vec<OutboxNotice>> {
    let sql = "UPDATE outbox SET expanded_at = $3 WHERE id IN (SELECT o.id FROM outbox o \
               JOIN reward r ON r.id = o.subject WHERE o.notice = $1 AND o.expanded_at IS NULL \
               AND r.owner_id = $2) AND expanded_at IS NULL \
               RETURNING id, notice, subject, detail, created_at";
    let query = sqlx::query(sql).bind(notice.as_str()).bind(owner.to_owned()).bind(now);
    let mut taken = tx.all(query).await?.iter().map(told).collect::<Result<Vec<_>>>()?;
    taken.sort_by(|one, other| one.id.cmp(&other.id));
    Ok(taken)
}

/// Puts notices back, due again at `due`.
pub async fn put_back(tx: &mut Tx, ids: Vec<String>, due: i64) -> Result<u64> {
    let sql = "UPDATE outbox SET expanded_at = NULL, due_at = $1 WHERE id IN ({ids})";
    tx.among(sql, &[Value::from(due)], ids).await
}

/// Deletes a notice's details once nothing reads them any more.
pub async fn forget_detail(tx: &mut Tx, id: &str) -> Result<u64> {
    tx.run(sqlx::query("UPDATE outbox SET detail = $2 WHERE id = $1").bind(id.to_owned()).bind("{}")).await
}

/// The newest notice of a kind, as sample data for a template.
pub async fn newest(db: &mut Db, notice: Notice) -> Result<Option<OutboxNotice>> {
    let sql = "SELECT id, notice, subject, detail, created_at FROM outbox WHERE notice = $1 \
               ORDER BY id DESC LIMIT 1";
    db.optional(sqlx::query(sql).bind(notice.as_str())).await?.as_ref().map(told).transpose()
}

/// The notices about a subject, oldest first.
pub async fn about(db: &mut Db, about: &str) -> Result<Vec<OutboxNotice>> {
    let sql =
        "SELECT id, notice, subject, detail, created_at FROM outbox WHERE subject = $1 ORDER BY id LIMIT 500";
    db.all(sqlx::query(sql).bind(about.to_owned())).await?.iter().map(told).collect()
}

/// Whether to send this notice now: never sent before, or not since `before`. Records it as sent for the first caller. That a
/// clock a day or more ahead of this one has sent it does not count.
pub async fn may_send(tx: &mut Tx, what: &str, about: &str, now: i64, before: i64) -> Result<bool> {
    let sql = "INSERT INTO notice_told (notice, about, told_at) VALUES ($1, $2, $3) \
               ON CONFLICT (notice, about) DO UPDATE SET told_at = excluded.told_at \
               WHERE notice_told.told_at <= $4 OR notice_told.told_at > $3 + 86400000000";
    let query = sqlx::query(sql).bind(what.to_owned()).bind(about.to_owned()).bind(now).bind(before);
    Ok(tx.run(query).await? == 1)
}

/// When this notice was last sent.
pub async fn last_sent(db: &mut Db, what: &str, about: &str) -> Result<Option<i64>> {
    let sql = "SELECT told_at FROM notice_told WHERE notice = $1 AND about = $2";
    let row = db.optional(sqlx::query(sql).bind(what.to_owned()).bind(about.to_owned())).await?;
    row.map(|row| Ok(row.try_get(0)?)).transpose()
}

fn told(row: &AnyRow) -> Result<OutboxNotice> {
    let notice: String = row.try_get(1)?;
    Ok(OutboxNotice {
        id: row.try_get(0)?,
        notice: word(Notice::parse(&notice), &notice)?,
        about: row.try_get(2)?,
        detail: row.try_get(3)?,
        at: row.try_get(4)?,
    })
}
