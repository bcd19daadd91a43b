//! Forgetting what need not be kept for ever, and bringing back what a clock that was wrong has put off for long. What is
//! deliberately not here: forgetting anything about money, which is kept.

use super::{Done, Work};
use crate::ops::idempotency;
use crate::ops::import::runs;
use crate::store;
use crate::transact;

/// One pass: forgets the answers kept under old keys, when that is due, and files that were imported long ago.
///
/// # Errors
/// When the database does not answer.
pub async fn once(work: &Work, now: i64) -> Done {
    if work.clamps(now) {
        let app = &work.app;
        let mended = transact!(app, |tx| { Ok(store::due::clamp(tx, now).await?) })?;
        if mended > 0 {
            tracing::warn!(mended, "a clock was wrong: what it had put off for long goes on now");
        }
    }
    let forgotten = idempotency::sweep(&work.app, now).await? + runs::forget(&work.app, now).await?;
    Ok(usize::try_from(forgotten).unwrap_or(0))
}
