//! Times at which something is due, brought back to a sane measure: a clock that jumped ahead and was set right again
//! leaves waits and leases that lie far in the future, and nothing else would ever look at them.

use super::{Result, Tx};

const HOUR_US: i64 = 3_600_000_000;
const DAY_US: i64 = 24 * HOUR_US;

/// Makes due what waits longer than anything ever has to, and ends leases that nobody can have taken by a clock that was
/// right; answers how many there were. A vendor's own `Retry-After` is left alone up to a day. `poll_us` is how often a
/// vendor is asked about what is on its way.
pub async fn clamp(tx: &mut Tx, now: i64, poll_us: i64) -> Result<u64> {
    let waits = [
        (
            "UPDATE submission SET next_at = $1 WHERE state IN ('intended', 'unknown', 'looking') AND next_at > $2",
            DAY_US,
        ),
        ("UPDATE attempt SET next_at = $1 WHERE state = 'queued' AND next_at > $2", HOUR_US),
        ("UPDATE payout_transaction SET ask_at = $1 WHERE ask_at IS NOT NULL AND ask_at > $2", 11 * DAY_US),
        (
            "UPDATE payout_transaction SET ask_at = $1 \
             WHERE ask_at IS NOT NULL AND ask_at > $2 AND state <> 'success'",
            poll_us.saturating_add(HOUR_US),
        ),
        ("UPDATE payout_profile SET check_at = $1 WHERE check_at IS NOT NULL AND check_at > $2", 2 * DAY_US),
        ("UPDATE named_object SET look_at = $1 WHERE look_at IS NOT NULL AND look_at > $2", 2 * DAY_US),
        ("UPDATE vendor_connection SET retry_at = $1 WHERE retry_at > $2", HOUR_US),
    ];
    let leases = [
        "UPDATE submission SET lease_until = 0 \
         WHERE state IN ('intended', 'unknown', 'looking') AND lease_until > $1",
        "UPDATE payout_transaction SET ask_lease_until = 0 WHERE ask_at IS NOT NULL AND ask_lease_until > $1",
        "UPDATE mail SET lease_until = 0 WHERE state = 'waiting' AND lease_until > $1",
        "UPDATE import_run SET lease_until = 0 WHERE state IN ('checking', 'importing') AND lease_until > $1",
        "UPDATE export_run SET lease_until = 0 WHERE state IN ('gathering', 'packing') AND lease_until > $1",
    ];
    let mut mended = 0;
    for (sql, most) in waits {
        mended += tx.run(sqlx::query(sql).bind(now).bind(now.saturating_add(most))).await?;
    }
    for sql in leases {
        mended += tx.run(sqlx::query(sql).bind(now.saturating_add(HOUR_US))).await?;
    }
    Ok(mended)
}
