//! The limits on tries that all nodes share, as token buckets: when each is full again. Not here: the rules, and the buckets
//! of one process (`web::kit::login_limit`).

use sqlx::Row as _;

use super::{Db, Result, Tx};

/// A bucket's size, and how often one more try is allowed, in microseconds.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    pub at_once: i64,
    pub then_every_us: i64,
}

/// Takes a try from a bucket; returns how many microseconds to wait if it is empty.
pub async fn take(tx: &mut Tx, key_hash: &str, rule: Rule, now: i64) -> Result<Option<i64>> {
    let every = rule.then_every_us;
    let room = every.saturating_mul(rule.at_once - 1);
    let sql = "INSERT INTO login_bucket (key_hash, full_again) VALUES ($1, $2) ON CONFLICT (key_hash) DO UPDATE \
               SET full_again = CASE WHEN login_bucket.full_again > $3 THEN login_bucket.full_again ELSE $3 END + $4 \
               WHERE login_bucket.full_again - $3 <= $5 RETURNING full_again";
    let query = sqlx::query(sql).bind(key_hash.to_owned()).bind(now.saturating_add(every)).bind(now);
    if tx.optional(query.bind(every).bind(room)).await?.is_some() {
        return Ok(None);
    }
    // A bucket cannot be emptier than empty: after the clock is set back, nobody waits for the difference.
    let empty = now.saturating_add(room).saturating_add(every);
    let sql = "UPDATE login_bucket SET full_again = $2 WHERE key_hash = $1 AND full_again > $2";
    tx.run(sqlx::query(sql).bind(key_hash.to_owned()).bind(empty)).await?;
    let sql = "SELECT full_again FROM login_bucket WHERE key_hash = $1";
    let row = tx.optional(sqlx::query(sql).bind(key_hash.to_owned())).await?;
    let full_again: i64 = row.map(|row| row.try_get(0)).transpose()?.unwrap_or(now);
    Ok(Some((full_again - now - room).max(1)))
}

/// Whether any is full again.
pub async fn any_full(db: &mut Db, now: i64) -> Result<bool> {
    let sql = "SELECT 1 FROM login_bucket WHERE full_again < $1 LIMIT 1";
    Ok(db.optional(sqlx::query(sql).bind(now)).await?.is_some())
}

/// Deletes those that are full again.
pub async fn delete_full(tx: &mut Tx, now: i64) -> Result<u64> {
    tx.run(sqlx::query("DELETE FROM login_bucket WHERE full_again < $1").bind(now)).await
}
