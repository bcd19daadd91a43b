//! The processes that serve this database, and the leases that end with them. `ops::nodes` decides when one is dead.

use sqlx::Row as _;

use super::{Db, Result, Tx};

/// Registers a process, with the ids of its keys.
pub async fn enter(tx: &mut Tx, id: &str, key_ids: &str, now: i64) -> Result<()> {
    let sql = "INSERT INTO node (id, beats, key_ids, started_at) VALUES ($1, 0, $2, $3) ON CONFLICT (id) DO NOTHING";
    tx.run(sqlx::query(sql).bind(id.to_owned()).bind(key_ids.to_owned()).bind(now)).await?;
    Ok(())
}

/// Records a heartbeat and the process's current keys; `false` if it was declared dead and removed.
pub async fn beat(tx: &mut Tx, id: &str, key_ids: &str) -> Result<bool> {
    let sql = "UPDATE node SET beats = beats + 1, key_ids = $2 WHERE id = $1";
    Ok(tx.run(sqlx::query(sql).bind(id.to_owned()).bind(key_ids.to_owned())).await? == 1)
}

/// The processes without a key of this id: name, heartbeats and start time.
pub async fn without_key(db: &mut Db, key: &str) -> Result<Vec<(String, i64, i64)>> {
    let rows = db.all(sqlx::query("SELECT id, beats, started_at, key_ids FROM node ORDER BY id")).await?;
    let mut without = Vec::new();
    for row in &rows {
        let keys: Option<String> = row.try_get(3)?;
        if !keys.unwrap_or_default().split(' ').any(|one| one == key) {
            without.push((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?));
        }
    }
    Ok(without)
}

/// All processes and their heartbeat counts.
pub async fn all(db: &mut Db) -> Result<Vec<(String, i64)>> {
    let rows = db.all(sqlx::query("SELECT id, beats FROM node ORDER BY id")).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// Removes a process and ends all its leases; returns how many.
pub async fn remove_node(tx: &mut Tx, id: &str) -> Result<u64> {
    let leases = [
        "UPDATE submission SET lease_until = 0, lease_node = NULL WHERE lease_node = $1 AND lease_until > 0 \
         AND state IN ('intended', 'unknown', 'looking')",
        "UPDATE payout_transaction SET ask_lease_until = 0, ask_lease_node = NULL WHERE ask_lease_node = $1 \
         AND ask_lease_until > 0 AND ask_at IS NOT NULL",
        "UPDATE mail SET lease_until = 0, lease_node = NULL WHERE lease_node = $1 AND lease_until > 0 \
         AND state = 'waiting'",
        "UPDATE import_run SET lease_until = 0, lease_node = NULL WHERE lease_node = $1 AND lease_until > 0 \
         AND state IN ('checking', 'importing')",
        "UPDATE export_run SET lease_until = 0, lease_node = NULL WHERE lease_node = $1 AND lease_until > 0 \
         AND state IN ('gathering', 'packing')",
        "UPDATE vendor_pull SET lease_until = 0, lease_node = NULL WHERE lease_node = $1 AND lease_until > 0",
        "UPDATE idempotency SET lease_until = 0, lease_node = NULL WHERE lease_node = $1 AND lease_until > 0 \
         AND status IS NULL",
    ];
    let mut ended = 0;
    for sql in leases {
        ended += tx.run(sqlx::query(sql).bind(id.to_owned())).await?;
    }
    tx.run(sqlx::query("DELETE FROM node WHERE id = $1").bind(id.to_owned())).await?;
    Ok(ended)
}
