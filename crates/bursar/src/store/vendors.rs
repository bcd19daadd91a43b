//! Vendor connections: sealed credentials, their last known status, and webhook statistics.

use payout::eligibility::VendorFacts;
use payout::ids::{BatchId, TransactionId};
use payout::money::Vendor;
use sqlx::Row as _;

use super::{Db, Result, Tx, word};

/// A stored connection; `sealed` is JSON encrypted with the master key.
#[derive(Clone, Debug)]
pub struct Connection {
    pub vendor: Vendor,
    /// `live`, `test` or `sandbox`.
    pub mode: String,
    /// The encrypted credentials and webhook secrets.
    pub sealed: String,
    /// The end of the credential, for people to recognize it.
    pub last_four: String,
    pub connected_at: i64,
    /// Since when the vendor rejects the credentials: payments through it are paused.
    pub rejected_at: Option<i64>,
    /// The vendor's reason for rejecting them.
    pub rejected_why: Option<String>,
    pub retry_at: Option<i64>,
    /// How many webhooks had an invalid signature.
    pub bad_signatures: i64,
    /// How many webhooks were signed but unreadable.
    pub unreadable_events: i64,
    /// When the last valid webhook arrived.
    pub last_event_at: Option<i64>,
    /// The vendor's account and mode as reported by the vendor: `acct_…/live`. `None` until they are read.
    pub account: Option<String>,
}

pub async fn all(db: &mut Db) -> Result<Vec<Connection>> {
    let sql = "SELECT vendor, mode, sealed, last_four, connected_at, rejected_at, rejected_why, retry_at, \
               bad_signatures, last_event_at, vendor_account, unreadable_events FROM vendor_connection ORDER BY vendor";
    let read = |row: &sqlx::any::AnyRow| {
        let vendor: String = row.try_get(0)?;
        Ok(Connection {
            vendor: word(Vendor::parse(&vendor), &vendor)?,
            mode: row.try_get(1)?,
            sealed: row.try_get(2)?,
            last_four: row.try_get(3)?,
            connected_at: row.try_get(4)?,
            rejected_at: row.try_get(5)?,
            rejected_why: row.try_get(6)?,
            retry_at: row.try_get(7)?,
            bad_signatures: row.try_get(8)?,
            last_event_at: row.try_get(9)?,
            account: row.try_get(10)?,
            unreadable_events: row.try_get(11)?,
        })
    };
    db.all(sqlx::query(sql)).await?.iter().map(read).collect()
}

/// Saves a connection, replacing the previous one; this ends a pause.
pub async fn put(tx: &mut Tx, connection: &Connection) -> Result<()> {
    let sql = "INSERT INTO vendor_connection (vendor, mode, sealed, last_four, connected_at, vendor_account, bad_signatures) \
               VALUES ($1, $2, $3, $4, $5, $6, 0) ON CONFLICT (vendor) DO UPDATE SET mode = excluded.mode, \
               sealed = excluded.sealed, last_four = excluded.last_four, vendor_account = excluded.vendor_account, \
               connected_at = excluded.connected_at, rejected_at = NULL, rejected_why = NULL, retry_at = NULL";
    let query = sqlx::query(sql).bind(connection.vendor.as_str()).bind(connection.mode.clone());
    let query = query.bind(connection.sealed.clone()).bind(connection.last_four.clone());
    tx.run(query.bind(connection.connected_at).bind(connection.account.clone())).await?;
    Ok(())
}

/// Locks one or all connections, so that a change of account and writes that depend on the account are serialized.
pub async fn hold(tx: &mut Tx, vendor: Option<Vendor>) -> Result<()> {
    let sql = "UPDATE vendor_connection SET mode = mode WHERE CAST($1 AS TEXT) IS NULL OR vendor = $1";
    tx.run(sqlx::query(sql).bind(vendor.map(Vendor::as_str))).await?;
    Ok(())
}

/// Binds a batch's payments to the connected accounts. Call this last, because it locks the connections. `false` if the
/// vendor of one is no longer connected.
pub async fn bind_batch(tx: &mut Tx, batch: BatchId) -> Result<bool> {
    hold(tx, None).await?;
    let sql = format!("{BIND} WHERE batch_id = $1");
    tx.run(sqlx::query(sqlx::AssertSqlSafe(sql)).bind(batch.to_string())).await?;
    let sql = "SELECT t.id FROM payout_transaction t WHERE t.batch_id = $1 AND NOT EXISTS \
               (SELECT 1 FROM vendor_connection c WHERE c.vendor = t.vendor) LIMIT 1";
    Ok(tx.optional(sqlx::query(sql).bind(batch.to_string())).await?.is_none())
}

/// The same for one payment that has nothing at the vendor and is sent again from the start.
pub async fn bind_again(tx: &mut Tx, id: TransactionId) -> Result<()> {
    hold(tx, None).await?;
    let sql = format!("{BIND} WHERE id = $1");
    tx.run(sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id.to_string())).await?;
    Ok(())
}

const BIND: &str = "UPDATE payout_transaction SET \
    vendor_account = (SELECT c.vendor_account FROM vendor_connection c WHERE c.vendor = payout_transaction.vendor), \
    mode = (SELECT c.mode FROM vendor_connection c WHERE c.vendor = payout_transaction.vendor)";

/// A payment through a vendor that is not over: in flight, parked in a payee's balance there, contradicted, or a
/// success still being watched.
const NOT_OVER: &str = "(ask_at IS NOT NULL OR contradicted_at IS NOT NULL OR (released_at IS NULL AND outside_at IS NULL \
                        AND state NOT IN ('success', 'failed', 'recalled', 'returned', 'blocked', 'refunded', 'reversed', \
                        'written_off')))";

/// A payment that people called not made since then, and that PayPal may still report as made.
const MAY_TURN_UP: &str = "EXISTS (SELECT 1 FROM attempt a WHERE a.transaction_id = payout_transaction.id \
                           AND a.leg = 'item' AND a.state = 'failed' AND a.reason_code = 'not_made' \
                           AND a.ended_at > $3)";

/// How many of a vendor's payments that are not over, or were called not made since then and may still turn up, are
/// bound to a different or unknown account; plus its unfinished requests.
pub async fn bound_elsewhere(db: &mut Db, vendor: Vendor, account: &str, since: i64) -> Result<i64> {
    let sql = format!(
        "SELECT (SELECT COUNT(*) FROM payout_transaction WHERE vendor = $1 \
         AND COALESCE(vendor_account, '') <> $2 AND ({NOT_OVER} OR {MAY_TURN_UP})) \
         + (SELECT COUNT(*) FROM submission WHERE vendor = $1 AND COALESCE(vendor_account, '') <> $2 \
         AND state IN ('intended', 'unknown', 'looking'))"
    );
    let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(vendor.as_str()).bind(account.to_owned());
    Ok(db.one(query.bind(since)).await?.try_get(0)?)
}

/// Binds a vendor's unfinished payments and requests without an account, from before accounts were recorded, to this
/// one.
pub async fn adopt(tx: &mut Tx, vendor: Vendor, account: &str, mode: &str) -> Result<()> {
    let sql = format!(
        "UPDATE payout_transaction SET vendor_account = $2, mode = $3 WHERE vendor = $1 \
         AND vendor_account IS NULL AND {NOT_OVER}"
    );
    let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(vendor.as_str());
    tx.run(query.bind(account.to_owned()).bind(mode.to_owned())).await?;
    let sql = "UPDATE submission SET vendor_account = $2 WHERE vendor = $1 AND vendor_account IS NULL \
               AND state IN ('intended', 'unknown', 'looking', 'needs_review')";
    tx.run(sqlx::query(sql).bind(vendor.as_str()).bind(account.to_owned())).await?;
    Ok(())
}

/// Records the gate at which the payments of these requests wait.
pub async fn note_elsewhere(tx: &mut Tx, code: &str, submissions: &[String]) -> Result<()> {
    let sql = "UPDATE payout_transaction SET waiting_code = $1 WHERE id IN \
               (SELECT transaction_id FROM attempt WHERE submission_id IN ({ids}))";
    tx.among(sql, &[code.into()], submissions.iter().cloned()).await?;
    Ok(())
}

/// Records the account of the saved credentials; `false` if they were replaced in the meantime or the account is known.
pub async fn identify(tx: &mut Tx, vendor: Vendor, sealed: &str, account: &str, mode: &str) -> Result<bool> {
    let sql = "UPDATE vendor_connection SET vendor_account = $3, mode = $4 \
               WHERE vendor = $1 AND sealed = $2 AND vendor_account IS NULL";
    let query = sqlx::query(sql).bind(vendor.as_str()).bind(sealed.to_owned());
    Ok(tx.run(query.bind(account.to_owned()).bind(mode.to_owned())).await? == 1)
}

/// Deletes a connection, unless something of the vendor is still to be sent, looked up, watched or recalled, or may
/// turn up after people called it not made since then; returns whether it did.
pub async fn remove(tx: &mut Tx, vendor: Vendor, since: i64) -> Result<bool> {
    let sql = "DELETE FROM vendor_connection WHERE vendor = $1 AND NOT EXISTS (SELECT 1 FROM payout_transaction t \
               WHERE t.vendor = $1 AND (t.settled_at IS NULL OR t.ask_at IS NOT NULL \
               OR t.contradicted_at IS NOT NULL OR (t.state IN ('payout_failed', 'payout_canceled', 'recalling') \
               AND t.released_at IS NULL AND t.outside_at IS NULL) OR EXISTS (SELECT 1 FROM attempt a \
               WHERE a.transaction_id = t.id AND a.leg = 'item' AND a.state = 'failed' \
               AND a.reason_code = 'not_made' AND a.ended_at > $2)))";
    Ok(tx.run(sqlx::query(sql).bind(vendor.as_str()).bind(since)).await? == 1)
}

/// Pauses a vendor that rejects our credentials; returns whether it was not paused before.
pub async fn pause(tx: &mut Tx, vendor: Vendor, why: &str, now: i64, retry_at: i64) -> Result<bool> {
    let sql = "UPDATE vendor_connection SET retry_at = $3 WHERE vendor = $1 AND rejected_at IS NOT NULL \
               AND rejected_at <= $2";
    let again = tx.run(sqlx::query(sql).bind(vendor.as_str()).bind(now).bind(retry_at)).await?;
    let sql = "UPDATE vendor_connection SET rejected_at = $2, rejected_why = $3, retry_at = $4 \
               WHERE vendor = $1 AND rejected_at IS NULL";
    let query = sqlx::query(sql).bind(vendor.as_str()).bind(now).bind(why.to_owned()).bind(retry_at);
    Ok(tx.run(query).await? > 0 && again == 0)
}

/// Ends the pause: the vendor accepts our credentials again.
pub async fn resume(tx: &mut Tx, vendor: Vendor) -> Result<bool> {
    let sql = "UPDATE vendor_connection SET rejected_at = NULL, rejected_why = NULL, retry_at = NULL \
               WHERE vendor = $1 AND rejected_at IS NOT NULL";
    Ok(tx.run(sqlx::query(sql).bind(vendor.as_str())).await? > 0)
}

/// Counts signed events that cannot be read.
pub async fn count_unreadable(tx: &mut Tx, vendor: Vendor, count: usize) -> Result<()> {
    let sql = "UPDATE vendor_connection SET unreadable_events = unreadable_events + $2 WHERE vendor = $1";
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    tx.run(sqlx::query(sql).bind(vendor.as_str()).bind(count)).await?;
    Ok(())
}

/// Counts webhooks with an invalid signature.
pub async fn count_bad_signatures(tx: &mut Tx, vendor: Vendor, count: usize) -> Result<()> {
    let sql = "UPDATE vendor_connection SET bad_signatures = bad_signatures + $2 WHERE vendor = $1";
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    tx.run(sqlx::query(sql).bind(vendor.as_str()).bind(count)).await?;
    Ok(())
}

/// Records when a valid webhook last arrived.
pub async fn note_event(tx: &mut Tx, vendor: Vendor, at: i64) -> Result<()> {
    let sql = "UPDATE vendor_connection SET last_event_at = $2 WHERE vendor = $1";
    tx.run(sqlx::query(sql).bind(vendor.as_str()).bind(at)).await?;
    Ok(())
}

/// The vendor facts that gates need.
pub async fn facts(db: &mut Db) -> Result<VendorFacts> {
    let all = all(db).await?;
    let rejected = all.iter().filter(|connection| connection.rejected_at.is_some());
    Ok(VendorFacts {
        rejected: rejected.map(|connection| connection.vendor).collect(),
        connected: all.iter().map(|connection| connection.vendor).collect(),
    })
}

/// The payees whose profile at a vendor is not payable for this reason, by name: kind, external id, name.
pub async fn payees_stopped(
    db: &mut Db,
    vendor: Vendor,
    why: &str,
    limit: i64,
) -> Result<Vec<(&'static str, String, String)>> {
    let sql = "SELECT a.id, p.external_id, p.name, a.external_id, a.name FROM payout_profile f \
               LEFT JOIN partner p ON p.id = f.payee LEFT JOIN account a ON a.id = f.payee \
               WHERE f.payable_at IS NULL AND f.not_payable_why = $2 AND f.vendor = $1 \
               ORDER BY COALESCE(p.name, a.name), f.payee LIMIT $3";
    let query = sqlx::query(sql).bind(vendor.as_str()).bind(why.to_owned()).bind(limit);
    let read = |row: &sqlx::any::AnyRow| {
        let account = row.try_get::<Option<String>, _>(0)?.is_some();
        let (kind, id, name) = if account { ("account", 3, 4) } else { ("partner", 1, 2) };
        let text = |column| row.try_get::<Option<String>, _>(column);
        Ok((kind, text(id)?.unwrap_or_default(), text(name)?.unwrap_or_default()))
    };
    db.all(query).await?.iter().map(read).collect()
}
