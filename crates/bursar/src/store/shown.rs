//! Snapshots of drafts as shown to people, by digest. Not here: a snapshot's content, and computing differences
//! (`ops::shown_draft`).

use payout::ids::BatchId;
use sqlx::Row as _;

use super::{Db, Result, Tx};

/// The snapshot of a draft with this digest, if it was shown.
pub async fn find(db: &mut Db, batch: BatchId, digest: &str) -> Result<Option<String>> {
    let sql = "SELECT body FROM batch_shown WHERE batch_id = $1 AND digest = $2";
    let row = db.optional(sqlx::query(sql).bind(batch.to_string()).bind(digest.to_owned())).await?;
    row.map(|row| Ok(row.try_get(0)?)).transpose()
}

/// Stores a draft's snapshot and keeps at most `most` of the earlier ones.
pub async fn keep(tx: &mut Tx, batch: BatchId, digest: &str, body: &str, now: i64, most: i64) -> Result<()> {
    let sql = "INSERT INTO batch_shown (batch_id, digest, shown_at, body) \
               SELECT id, $2, $3, $4 FROM batch WHERE id = $1 AND pay_pressed_at IS NULL AND deleted_at IS NULL \
               ON CONFLICT (batch_id, digest) DO NOTHING";
    let insert = sqlx::query(sql).bind(batch.to_string()).bind(digest.to_owned());
    tx.run(insert.bind(now).bind(body.to_owned())).await?;
    let sql = "DELETE FROM batch_shown WHERE batch_id = $1 AND digest NOT IN (SELECT digest FROM batch_shown \
               WHERE batch_id = $1 ORDER BY shown_at DESC, digest LIMIT $2)";
    tx.run(sqlx::query(sql).bind(batch.to_string()).bind(most)).await?;
    Ok(())
}

/// Deletes a batch's snapshots, because it is no longer a draft.
pub async fn forget(tx: &mut Tx, batch: BatchId) -> Result<u64> {
    tx.run(sqlx::query("DELETE FROM batch_shown WHERE batch_id = $1").bind(batch.to_string())).await
}
