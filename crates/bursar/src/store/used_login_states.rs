//! One-time use of sign-in state: before sign-in the browser holds it sealed, and this table records that it was used.
//! Not here: what the state contains, and who may use it (`ops::people::provider`, `ops::people::passkeys`).

use super::{Result, Tx};

/// Kept this long past expiry in microseconds, because a node whose clock is behind would still accept it.
const KEPT_US: i64 = 86_400_000_000;

/// Records the use of a state by its hash, and deletes expired records; `false` if it was used before, on any node.
pub async fn first(tx: &mut Tx, hash: &str, now: i64, until: i64) -> Result<bool> {
    let sql = "INSERT INTO came_back (hash, expires_at) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    let first = tx.run(sqlx::query(sql).bind(hash.to_owned()).bind(until)).await? == 1;
    tx.run(sqlx::query("DELETE FROM came_back WHERE expires_at <= $1").bind(now - KEPT_US)).await?;
    Ok(first)
}
