//! Settings: a named JSON text each, with a version for optimistic locking.

use sqlx::Row as _;

use super::{Db, Result, Tx};

/// A setting and its version, if it was ever saved.
pub async fn get(db: &mut Db, name: &str) -> Result<Option<(String, i64)>> {
    let sql = "SELECT value, version FROM setting WHERE name = $1";
    let row = db.optional(sqlx::query(sql).bind(name.to_owned())).await?;
    row.map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).transpose()
}

/// Saves a setting if its version is still `over` (0: never saved); `false` if someone else saved it in the meantime.
pub async fn put(tx: &mut Tx, name: &str, value: &str, over: i64, now: i64) -> Result<bool> {
    let sql = "INSERT INTO setting (name, value, version, updated_at) VALUES ($1, $2, $3 + 1, $4) \
               ON CONFLICT (name) DO UPDATE SET value = excluded.value, version = excluded.version, \
               updated_at = excluded.updated_at WHERE setting.version = $3";
    let query = sqlx::query(sql).bind(name.to_owned()).bind(value.to_owned()).bind(over).bind(now);
    Ok(tx.run(query).await? == 1)
}
