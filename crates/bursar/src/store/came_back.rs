//! What somebody who was nobody yet has come back with: their browser keeps it, sealed, and here stands that it was used. What
//! is deliberately not here: what it is, and who may have it (`ops::people::provider`, `ops::people::passkeys`).

use super::{Result, Tx};

/// It stands here for so long after its end: nodes' clocks differ, and one that is behind still takes it.
const KEPT_US: i64 = 86_400_000_000;

/// Notes what somebody came back with, by its hash, and forgets what nobody can come back with any more; false when somebody
/// came back with it before, on whichever node.
pub async fn first(tx: &mut Tx, hash: &str, now: i64, until: i64) -> Result<bool> {
    let sql = "INSERT INTO came_back (hash, expires_at) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    let first = tx.run(sqlx::query(sql).bind(hash.to_owned()).bind(until)).await? == 1;
    tx.run(sqlx::query("DELETE FROM came_back WHERE expires_at <= $1").bind(now - KEPT_US)).await?;
    Ok(first)
}
