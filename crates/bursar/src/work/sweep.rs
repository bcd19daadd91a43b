//! Forgetting what need not be kept for ever, laying aside what nobody waits for any more, and bringing back what a clock
//! that was wrong has put off for long. What is deliberately not here: forgetting anything about money, which is kept.

use super::{Done, Work};
use crate::ops::import::runs;
use crate::ops::{Result, idempotency};
use crate::store::{self, events};
use crate::transact;

/// An event waits a day for an object of ours to turn up.
const PARKED_US: i64 = 86_400_000_000;
/// How many events one pass lays aside.
const AT_ONCE: i64 = 1_000;

/// One pass: forgets the answers kept under old keys, when that is due, and files that were imported long ago, and lays
/// events aside that are about objects that are not ours.
///
/// # Errors
/// When the database does not answer.
pub async fn once(work: &Work, now: i64) -> Done {
    if work.clamps(now) {
        let app = &work.app;
        let mended = transact!(app, |tx| { Ok(store::due::clamp(tx, now, app.config.poll_us()).await?) })?;
        if mended > 0 {
            tracing::warn!(mended, "a clock was wrong: what it had put off for long goes on now");
        }
    }
    let forgotten = idempotency::sweep(&work.app, now).await? + runs::forget(&work.app, now).await?;
    let aside = lay_aside(work, now).await?;
    Ok(usize::try_from(forgotten + aside).unwrap_or(0))
}

async fn lay_aside(work: &Work, now: i64) -> Result<u64> {
    let app = &work.app;
    if !events::any_parked_before(&mut app.store.read().await?, now - PARKED_US).await? {
        return Ok(0);
    }
    transact!(app, |tx| { Ok(events::lay_aside(tx, now - PARKED_US, now, AT_ONCE).await?) })
}
