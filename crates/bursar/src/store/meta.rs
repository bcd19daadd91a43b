//! The database's facts about itself: its id, and whether it is in safe mode.

use sqlx::Row as _;

use super::{Db, Result, StoreError, Tx};

pub async fn get(db: &mut Db, name: &str) -> Result<Option<String>> {
    let row =
        db.optional(sqlx::query("SELECT value FROM meta WHERE name = $1").bind(name.to_owned())).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

pub async fn set(tx: &mut Tx, name: &str, value: &str) -> Result<()> {
    let sql = "INSERT INTO meta (name, value) VALUES ($1, $2) \
               ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    tx.run(sqlx::query(sql).bind(name.to_owned()).bind(value.to_owned())).await?;
    Ok(())
}

/// A value by name, with its row locked until the transaction ends.
pub async fn hold(tx: &mut Tx, name: &str) -> Result<Option<String>> {
    let sql = "UPDATE meta SET value = value WHERE name = $1 RETURNING value";
    let row = tx.optional(sqlx::query(sql).bind(name.to_owned())).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

/// Compare-and-set: sets a value if it is still as read, or still absent. Returns whether it did.
pub async fn replace(tx: &mut Tx, name: &str, read: Option<&str>, value: &str) -> Result<bool> {
    let sql = "INSERT INTO meta (name, value) VALUES ($1, $2) \
               ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE meta.value = $3";
    let query = sqlx::query(sql).bind(name.to_owned()).bind(value.to_owned());
    Ok(tx.run(query.bind(read.unwrap_or_default().to_owned())).await? == 1)
}

/// Sets a value unless there is one; returns the stored value.
pub async fn keep_first(tx: &mut Tx, name: &str, value: &str) -> Result<String> {
    let sql = "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
    tx.run(sqlx::query(sql).bind(name.to_owned()).bind(value.to_owned())).await?;
    get(tx, name).await?.ok_or(StoreError::Missing)
}

/// Deletes a value if it is still as read; returns whether it did.
pub async fn unset_as(tx: &mut Tx, name: &str, read: &str) -> Result<bool> {
    let sql = "DELETE FROM meta WHERE name = $1 AND value = $2";
    let query = sqlx::query(sql).bind(name.to_owned()).bind(read.to_owned());
    Ok(tx.run(query).await? == 1)
}

pub async fn unset(tx: &mut Tx, name: &str) -> Result<()> {
    tx.run(sqlx::query("DELETE FROM meta WHERE name = $1").bind(name.to_owned())).await?;
    Ok(())
}
