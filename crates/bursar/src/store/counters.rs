//! Counters: the numbers people see, and how often something happened. Not here: what is numbered.

use std::collections::HashMap;

use sqlx::Row as _;

use super::{Db, MOST_VALUES, Result, Rows, Tx, Value, Where};

/// Reserves `count` numbers of a sequence that people see (`reward`, `transaction`, `batch:2026`); returns the first.
pub async fn next_numbers(tx: &mut Tx, name: &str, count: i64) -> Result<i64> {
    let sql = "INSERT INTO counter (name, value) VALUES ($1, $2) \
               ON CONFLICT (name) DO UPDATE SET value = counter.value + excluded.value RETURNING value";
    let row = tx.one(sqlx::query(sql).bind(name.to_owned()).bind(count)).await?;
    Ok(row.try_get::<i64, _>(0)? - count + 1)
}

/// Adds to a counter and returns the new value, saturating at the largest `BIGINT`. Locks the row until the transaction
/// ends.
pub async fn count_up(tx: &mut Tx, name: &str, by: i64) -> Result<i64> {
    let sql = "INSERT INTO counter (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET \
               value = CASE WHEN counter.value > 9223372036854775807 - excluded.value THEN 9223372036854775807 \
               ELSE counter.value + excluded.value END RETURNING value";
    let row = tx.one(sqlx::query(sql).bind(name.to_owned()).bind(by)).await?;
    Ok(row.try_get(0)?)
}

/// The last number taken by [`next_numbers`]; 0 if none.
pub async fn counted(db: &mut Db, name: &str) -> Result<i64> {
    let sql = "SELECT value FROM counter WHERE name = $1";
    let row = db.optional(sqlx::query(sql).bind(name.to_owned())).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?.unwrap_or(0))
}

/// The same for several counters; omits those never used.
pub async fn counted_each(db: &mut Db, names: &[String]) -> Result<HashMap<String, i64>> {
    let mut found = HashMap::new();
    for some in names.chunks(MOST_VALUES) {
        let mut conditions = Where::default();
        conditions.among("name", some.iter().map(|name| Value::from(name.as_str())));
        for row in db.all(conditions.query("SELECT name, value FROM counter {where}")).await? {
            found.insert(row.try_get(0)?, row.try_get(1)?);
        }
    }
    Ok(found)
}

/// Takes the next number of each counter, locking them in name order to avoid deadlocks.
pub async fn next_of_each(tx: &mut Tx, names: &[String]) -> Result<HashMap<String, i64>> {
    let sql = "WITH v (name, value) AS (VALUES {rows}) \
               INSERT INTO counter (name, value) SELECT name, value FROM v WHERE true ORDER BY name \
               ON CONFLICT (name) DO UPDATE SET value = counter.value + excluded.value RETURNING name, value";
    let mut names: Vec<&String> = names.iter().collect();
    names.sort_unstable();
    let rows: Rows = names.into_iter().map(|name| [Value::from(name.as_str()), 1.into()]).collect();
    let taken = tx.bulk_returning(sql, &[], rows).await?;
    taken.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}
