//! The addresses that partners had in the last 90 days. Not here: who is mailed there (`ops::notices`), and which
//! destinations wait because of them (`ops::payees`).

use payout::ids::PartnerId;
use sqlx::Row as _;

use super::{Db, Result, Rows, Tx};

/// How long they are kept.
pub const KEPT_US: i64 = 90 * 86_400_000_000;

/// Whether any have been kept for too long.
pub async fn any_too_old(db: &mut Db, now: i64) -> Result<bool> {
    let sql = "SELECT 1 FROM former_email WHERE until_at < $1 LIMIT 1";
    Ok(db.optional(sqlx::query(sql).bind(now - KEPT_US)).await?.is_some())
}

/// Deletes those that have been kept for too long.
pub async fn delete_too_old(tx: &mut Tx, now: i64) -> Result<u64> {
    tx.run(sqlx::query("DELETE FROM former_email WHERE until_at < $1").bind(now - KEPT_US)).await
}

/// Stores the previous addresses of partners.
pub async fn note(tx: &mut Tx, had: &[(PartnerId, String)], now: i64) -> Result<()> {
    let mut rows = Rows::default();
    for (partner, email) in had {
        rows.push([partner.to_string().into(), email.as_str().into(), now.into()]);
    }
    let sql = "INSERT INTO former_email (partner_id, email, until_at) VALUES {rows} \
               ON CONFLICT (partner_id, email) DO UPDATE SET until_at = excluded.until_at";
    tx.bulk(sql, &[], rows).await.map(drop)
}

/// The addresses that a partner had until after `since`, the latest first.
pub async fn of(db: &mut Db, partner: PartnerId, since: i64) -> Result<Vec<String>> {
    let sql = "SELECT email FROM former_email WHERE partner_id = $1 AND until_at > $2 ORDER BY until_at DESC, email";
    let query = sqlx::query(sql).bind(partner.to_string()).bind(since);
    db.all(query).await?.iter().map(|row| Ok(row.try_get(0)?)).collect()
}
