//! Clamps due times. A clock that jumped ahead and was corrected leaves retries and leases far in the future, which
//! nothing else would ever pick up.

use super::{Result, Tx};

const HOUR_US: i64 = 3_600_000_000;
const DAY_US: i64 = 24 * HOUR_US;

/// Makes overly long waits due, and ends leases that no correct clock could have issued; returns how many. Leaves a
/// vendor's `Retry-After` alone up to one day. `poll_us` is the interval at which vendors are polled about payments in
/// flight.
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
        ("UPDATE mail SET next_at = $1 WHERE state = 'waiting' AND next_at > $2", DAY_US),
        ("UPDATE outbox SET due_at = $1 WHERE expanded_at IS NULL AND due_at > $2", DAY_US),
        (
            "UPDATE vendor_pull SET due_at = $1 WHERE due_at > $2",
            poll_us.saturating_mul(12).saturating_add(DAY_US),
        ),
        ("UPDATE vendor_pull SET deep_at = $1 WHERE deep_at > $2", 2 * DAY_US),
        // What the vendor booked while the clock was wrong is read again.
        ("UPDATE vendor_pull SET begun_at = $1 - 86400000000 WHERE begun_at > $2", HOUR_US),
        ("UPDATE vendor_pull SET read_until = $1 - 86400000000 WHERE read_until > $2", HOUR_US),
        // A parked event waits a day from when it was parked.
        (
            "UPDATE vendor_event SET parked_at = $1 WHERE parked_at > $2 AND parked_at IS NOT NULL \
             AND linked_at IS NULL AND applied_at IS NULL",
            HOUR_US,
        ),
    ];
    let leases = [
        "UPDATE submission SET lease_until = 0 \
         WHERE state IN ('intended', 'unknown', 'looking') AND lease_until > $1",
        "UPDATE payout_transaction SET ask_lease_until = 0 WHERE ask_at IS NOT NULL AND ask_lease_until > $1",
        "UPDATE mail SET lease_until = 0 WHERE state = 'waiting' AND lease_until > $1",
        "UPDATE import_run SET lease_until = 0 WHERE state IN ('checking', 'importing') AND lease_until > $1",
        "UPDATE vendor_pull SET lease_until = 0 WHERE lease_until > $1",
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
