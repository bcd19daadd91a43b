//! Deletes data past its retention, sets aside parked events that waited too long, and clamps due times a wrong clock set
//! far in the future. Not here: deleting anything about money, which is kept; of deleted vendor texts, the hashes are
//! kept.

use sha2::{Digest as _, Sha256};

use super::{PassResult, Work};
use crate::ops::import::runs;
use crate::ops::{Result, idempotency};
use crate::store::{self, events, former_emails, login_buckets, meta, raw, secret_links};
use crate::transact;

/// A parked event waits a day for an object of ours.
const PARKED_US: i64 = 86_400_000_000;
/// How many events one pass sets aside.
const AT_ONCE: i64 = 1_000;
/// How many texts of each kind one pass deletes.
const RAW_AT_ONCE: i64 = 500;
const DAY_US: i64 = 86_400_000_000;

/// One pass: deletes expired idempotency keys and files of old imports, sets aside events about objects that are not
/// ours, and deletes old vendor texts if configured.
pub async fn once(work: &Work, now: i64) -> PassResult {
    if work.clamps(now) {
        let app = &work.app;
        let mended = transact!(app, |tx| { Ok(store::due::clamp(tx, now, app.config.poll_us()).await?) })?;
        if mended > 0 {
            tracing::warn!(mended, "a clock was wrong: what it had put off for long goes on now");
        }
    }
    let forgotten = idempotency::delete_expired(&work.app, now).await? + runs::forget(&work.app, now).await?;
    let app = &work.app;
    if former_emails::any_too_old(&mut app.store.read().await?, now).await? {
        transact!(app, |tx| { Ok(former_emails::delete_too_old(tx, now).await?) })?;
    }
    if secret_links::any_expired(&mut app.store.read().await?, now).await? {
        transact!(app, |tx| { Ok(secret_links::delete_expired(tx, now).await?) })?;
    }
    if login_buckets::any_full(&mut app.store.read().await?, now).await? {
        transact!(app, |tx| { Ok(login_buckets::delete_full(tx, now).await?) })?;
    }
    let aside = set_aside(work, now).await?;
    let raw = forget_raw(work, now).await?;
    Ok(usize::try_from(forgotten + aside + raw).unwrap_or(0))
}

/// Deletes old vendor texts if the operator wants that, keeping their hashes. Texts that somebody still has to deal
/// with are skipped, and revisited once everything after them is done.
async fn forget_raw(work: &Work, now: i64) -> Result<u64> {
    let (app, Some(days)) = (&work.app, work.app.config.raw_days) else { return Ok(0) };
    let before = payout::ids::encode(payout::ids::fresh(now - i64::from(days) * DAY_US, 0));
    let mut forgotten = 0;
    for kind in raw::Kind::ALL {
        let mut db = app.store.read().await?;
        let after = meta::get(&mut db, kind.cursor()).await?.unwrap_or_default();
        let left = meta::get(&mut db, kind.left()).await?.unwrap_or_default();
        let before = format!("{}{before}", kind.prefix());
        let found = raw::between(&mut db, kind, (&after, &before), RAW_AT_ONCE).await?;
        drop(db);
        let (cursor, left) = match found.last() {
            Some(last) if left.is_empty() => {
                (last.id.clone(), found.iter().find(|one| one.waits).map(just_before).unwrap_or_default())
            }
            Some(last) => (last.id.clone(), left),
            None if left.is_empty() => continue,
            None => (left, String::new()),
        };
        let hash = |one: &raw::Text| {
            let hash = Sha256::digest(one.body.as_bytes());
            (one.id.clone(), hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
        };
        let hashes: Vec<(String, String)> = found.iter().filter(|one| !one.waits).map(hash).collect();
        forgotten += transact!(app, |tx| {
            let forgotten = raw::forget(tx, kind, &hashes).await?;
            meta::set(tx, kind.cursor(), &cursor).await?;
            meta::set(tx, kind.left(), &left).await?;
            Ok(forgotten)
        })?;
    }
    Ok(forgotten)
}

/// A position just before this id: a prefix of it.
fn just_before(one: &raw::Text) -> String {
    let mut id = one.id.clone();
    id.pop();
    id
}

async fn set_aside(work: &Work, now: i64) -> Result<u64> {
    let app = &work.app;
    if !events::any_parked_before(&mut app.store.read().await?, now - PARKED_US).await? {
        return Ok(0);
    }
    transact!(app, |tx| { Ok(events::lay_aside(tx, now - PARKED_US, now, AT_ONCE).await?) })
}
