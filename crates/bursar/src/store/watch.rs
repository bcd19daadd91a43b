//! Queries for alerts: unanswered payments, tax reports that are missing or expiring, and finished batches.

use payout::ids::BatchId;
use payout::money::Vendor;
use payout::transaction::State;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Db, Result, Value, Where, word};

/// The vendors with unfinished payments of ours, each with when the oldest was sent.
pub async fn unanswered(db: &mut Db) -> Result<Vec<(Vendor, i64)>> {
    let mut conditions = Where::default();
    let waiting = State::ALL.iter().filter(|state| !state.settled() && **state != State::Unclaimed);
    conditions.among("t.state", waiting.map(|state| Value::from(state.as_str())));
    conditions.and("a.state IN ('sending', 'unknown', 'accepted') AND a.first_sent_at IS NOT NULL", []);
    let sql = "SELECT t.vendor, MIN(a.first_sent_at) FROM payout_transaction t \
               JOIN attempt a ON a.transaction_id = t.id {where} GROUP BY t.vendor ORDER BY t.vendor";
    let read = |row: &AnyRow| {
        let vendor: String = row.try_get(0)?;
        Ok((word(Vendor::parse(&vendor), &vendor)?, row.try_get(1)?))
    };
    db.all(conditions.query(sql)).await?.iter().map(read).collect()
}

/// Tax reports expiring in this period: payee, form, expiry.
pub async fn tax_ending(db: &mut Db, from: i64, to: i64, limit: i64) -> Result<Vec<(String, String, i64)>> {
    let sql = "SELECT t.payee, t.form, t.expires_at FROM tax_report t WHERE t.expires_at > $1 AND t.expires_at <= $2 \
               AND NOT EXISTS (SELECT 1 FROM notice_told n WHERE n.notice = 'tax_report_expiring' \
               AND n.about = t.payee || ' ' || CAST(t.expires_at AS TEXT)) ORDER BY t.expires_at LIMIT $3";
    let rows = db.all(sqlx::query(sql).bind(from).bind(to).bind(limit)).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))).collect()
}

/// An API key that is about to expire.
pub struct KeyEnding {
    /// Its id.
    pub id: String,
    pub name: String,
    pub hint: String,
    pub role: String,
    /// The name of its creator, if stored here.
    pub made_by: Option<String>,
    pub ends_at: i64,
    /// When it was last used.
    pub used_at: i64,
}

/// API keys that expire in this period, were used since `used`, and whose expiry has not been announced. Excludes keys
/// that ended with their creator.
pub async fn keys_ending(db: &mut Db, from: i64, to: i64, used: i64, limit: i64) -> Result<Vec<KeyEnding>> {
    let sql = "SELECT k.id, k.name, COALESCE(k.key_hint, ''), k.role, m.name, k.ends_at, k.last_seen_at FROM person k \
               LEFT JOIN person m ON m.id = k.stands_for AND m.kind = 'person' \
               WHERE k.ends_at > $1 AND k.ends_at <= $2 AND k.last_seen_at >= $3 AND k.disabled_at IS NULL \
               AND (m.id IS NULL OR (m.disabled_at IS NULL AND m.role = 'admin')) \
               AND NOT EXISTS (SELECT 1 FROM notice_told n WHERE n.notice = 'api_key_ends' \
               AND n.about = k.id || ' ' || CAST(k.ends_at AS TEXT)) ORDER BY k.ends_at LIMIT $4";
    let read = |row: &AnyRow| {
        Ok(KeyEnding {
            id: row.try_get(0)?,
            name: row.try_get(1)?,
            hint: row.try_get(2)?,
            role: row.try_get(3)?,
            made_by: row.try_get(4)?,
            ends_at: row.try_get(5)?,
            used_at: row.try_get(6)?,
        })
    };
    let query = sqlx::query(sql).bind(from).bind(to).bind(used).bind(limit);
    db.all(query).await?.iter().map(read).collect()
}

/// Payees with approved rewards in the pool and no valid tax report.
pub async fn tax_missing(db: &mut Db, now: i64, limit: i64) -> Result<Vec<String>> {
    let sql = "SELECT DISTINCT r.payee FROM reward r WHERE r.status = 'approved' AND r.batch_id IS NULL \
               AND r.transaction_id IS NULL AND r.paid_at IS NULL AND r.payee IS NOT NULL \
               AND NOT EXISTS (SELECT 1 FROM tax_report t WHERE t.payee = r.payee \
               AND (t.expires_at IS NULL OR t.expires_at > $1)) \
               AND NOT EXISTS (SELECT 1 FROM notice_told n WHERE n.notice = 'tax_report_needed' \
               AND n.about = r.payee AND n.told_at > $2) ORDER BY r.payee LIMIT $3";
    // A partner is asked again only after thirty days.
    let asked = now - 30 * 86_400_000_000;
    let rows = db.all(sqlx::query(sql).bind(now).bind(asked).bind(limit)).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Paid batches with no payment in flight whose completion has not been announced.
pub async fn ended_batches(db: &mut Db, limit: i64) -> Result<Vec<String>> {
    let mut conditions = Where::default();
    conditions.and("b.pay_pressed_at IS NOT NULL", []);
    let not_yet_notified =
        "NOT EXISTS (SELECT 1 FROM notice_told n WHERE n.notice = 'batch_final' AND n.about = b.id)";
    conditions.and(not_yet_notified, []);
    conditions.and(
        "NOT EXISTS (SELECT 1 FROM payout_transaction t WHERE t.batch_id = b.id AND t.settled_at IS NULL)",
        [],
    );
    let sql = format!("SELECT b.id FROM batch b {{where}} ORDER BY b.id LIMIT {limit}");
    db.all(conditions.query(&sql)).await?.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Those of these batches with no payment in flight.
pub async fn ended_among(db: &mut Db, batches: &[BatchId]) -> Result<Vec<String>> {
    let mut conditions = Where::default();
    conditions.among("b.id", batches.iter().map(|batch| Value::from(batch.to_string())));
    conditions.and(
        "NOT EXISTS (SELECT 1 FROM payout_transaction t WHERE t.batch_id = b.id AND t.settled_at IS NULL)",
        [],
    );
    let sql = "SELECT b.id FROM batch b {where} ORDER BY b.id";
    db.all(conditions.query(sql)).await?.iter().map(|row| Ok(row.try_get(0)?)).collect()
}
