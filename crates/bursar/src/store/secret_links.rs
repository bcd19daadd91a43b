//! The sealed one-time links of notices whose mails are not sent yet. Not here: sealing and opening them
//! (`ops::notices::secret`), and the hashes that the links are checked against (`people`, `onboarding`).

use sqlx::Row as _;

use super::{Db, Result, Tx};

/// Stores the link of a notice until it expires.
pub async fn put(tx: &mut Tx, outbox_id: &str, sealed: &str, until: i64) -> Result<u64> {
    let sql = "INSERT INTO secret_link (outbox_id, sealed, until_at) VALUES ($1, $2, $3)";
    let query = sqlx::query(sql).bind(outbox_id.to_owned()).bind(sealed.to_owned()).bind(until);
    tx.run(query).await
}

/// The sealed link of a notice; `None` once it was sent or has expired.
pub async fn of(db: &mut Db, outbox_id: &str, now: i64) -> Result<Option<String>> {
    let sql = "SELECT sealed FROM secret_link WHERE outbox_id = $1 AND until_at >= $2";
    let row = db.optional(sqlx::query(sql).bind(outbox_id.to_owned()).bind(now)).await?;
    row.map(|row| Ok(row.try_get(0)?)).transpose()
}

/// Deletes the link of a notice once none of its mails can still be sent.
pub async fn end(tx: &mut Tx, outbox_id: &str) -> Result<u64> {
    let sql = "DELETE FROM secret_link WHERE outbox_id = $1 AND NOT EXISTS (SELECT 1 FROM mail \
               WHERE mail.outbox_id = $1 AND mail.state IN ('waiting', 'failed', 'suppressed'))";
    tx.run(sqlx::query(sql).bind(outbox_id.to_owned())).await
}

/// Whether there is something to delete.
pub async fn any_expired(db: &mut Db, now: i64) -> Result<bool> {
    let sql = "SELECT 1 FROM secret_link WHERE until_at < $1 LIMIT 1";
    Ok(db.optional(sqlx::query(sql).bind(now)).await?.is_some())
}

/// Deletes those that have expired.
pub async fn delete_expired(tx: &mut Tx, now: i64) -> Result<u64> {
    tx.run(sqlx::query("DELETE FROM secret_link WHERE until_at < $1").bind(now)).await
}
