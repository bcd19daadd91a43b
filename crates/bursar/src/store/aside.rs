//! Payments whose records cannot be processed. They are set aside so that the others in the same pass can proceed, and
//! they stay visible. Ids are taken as text, because parsing the record is what fails.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Db, Result, Tx, Value, Where};

/// Sets aside the payment of a queued attempt; retried at `again_at`.
pub async fn attempt(tx: &mut Tx, id: &str, why: &str, again_at: i64, now: i64) -> Result<()> {
    let sql = "UPDATE attempt SET next_at = $2 WHERE id = $1 AND state = 'queued'";
    tx.run(sqlx::query(sql).bind(id.to_owned()).bind(again_at)).await?;
    let sql = "SELECT transaction_id FROM attempt WHERE id = $1";
    let Some(row) = tx.optional(sqlx::query(sql).bind(id.to_owned())).await? else { return Ok(()) };
    let transaction: String = row.try_get(0)?;
    let sql = "UPDATE payout_transaction SET waiting_code = 'set_aside' WHERE id = $1";
    tx.run(sqlx::query(sql).bind(transaction.clone())).await?;
    note(tx, &transaction, why, now).await
}

/// Sets aside a payment that is due for a look-up; asked about again at `again_at`.
pub async fn question(tx: &mut Tx, transaction: &str, why: &str, again_at: i64, now: i64) -> Result<()> {
    let sql = "UPDATE payout_transaction SET ask_at = $2, ask_lease_until = 0 WHERE id = $1";
    tx.run(sqlx::query(sql).bind(transaction.to_owned()).bind(again_at)).await?;
    note(tx, transaction, why, now).await
}

/// Sets aside the payments in a submission, which becomes due again at `again_at`, and ends its lease under this fence.
/// Still counts as possibly sent.
pub async fn submission(
    tx: &mut Tx,
    (id, fence): (&str, i64),
    why: &str,
    again_at: i64,
    now: i64,
) -> Result<()> {
    let sql = "UPDATE submission SET next_at = $3, lease_until = 0 WHERE id = $1 AND fence = $2 \
               AND state IN ('intended', 'unknown', 'looking')";
    if tx.run(sqlx::query(sql).bind(id.to_owned()).bind(fence).bind(again_at)).await? == 0 {
        return Ok(());
    }
    let sql = "UPDATE payout_transaction SET waiting_code = 'set_aside' \
               WHERE id IN (SELECT transaction_id FROM attempt WHERE submission_id = $1) RETURNING id";
    for row in tx.all(sqlx::query(sql).bind(id.to_owned())).await? {
        let transaction: String = row.try_get(0)?;
        note(tx, &transaction, why, now).await?;
    }
    Ok(())
}

/// Sets aside a submission named by an event, and its payments; looked at again at `again_at`.
pub async fn named(tx: &mut Tx, submission: &str, why: &str, again_at: i64, now: i64) -> Result<()> {
    let sql = "UPDATE named_object SET look_at = $2 WHERE submission_id = $1 AND look_at IS NOT NULL";
    tx.run(sqlx::query(sql).bind(submission.to_owned()).bind(again_at)).await?;
    let sql = "SELECT DISTINCT transaction_id FROM attempt WHERE submission_id = $1";
    for row in tx.all(sqlx::query(sql).bind(submission.to_owned())).await? {
        let transaction: String = row.try_get(0)?;
        note(tx, &transaction, why, now).await?;
    }
    Ok(())
}

async fn note(tx: &mut Tx, transaction: &str, why: &str, now: i64) -> Result<()> {
    let sql = "INSERT INTO set_aside (transaction_id, why, first_at, last_at) VALUES ($1, $2, $3, $3) \
               ON CONFLICT (transaction_id) DO UPDATE SET why = excluded.why, last_at = excluded.last_at";
    let query = sqlx::query(sql).bind(transaction.to_owned()).bind(why.to_owned()).bind(now);
    tx.run(query).await?;
    Ok(())
}

/// Why a payment was set aside, since when, and when last; `None` if it never was.
pub async fn of(db: &mut Db, transaction: &str) -> Result<Option<(String, i64, i64)>> {
    let sql = "SELECT why, first_at, last_at FROM set_aside WHERE transaction_id = $1";
    let row = db.optional(sqlx::query(sql).bind(transaction.to_owned())).await?;
    row.map(|row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))).transpose()
}

/// The ids of payments set aside since this moment.
pub async fn since(db: &mut Db, moment: i64, limit: i64) -> Result<Vec<String>> {
    let mut conditions = Where::default();
    conditions.and("last_at > ?", [Value::from(moment)]);
    let sql = format!("SELECT transaction_id FROM set_aside {{where}} ORDER BY last_at LIMIT {limit}");
    let read = |row: &AnyRow| Ok(row.try_get(0)?);
    db.all(conditions.query(&sql)).await?.iter().map(read).collect()
}
