//! Forgetting what need not be kept for ever. What is deliberately not here: anything about money, which is kept.

use super::{Done, Work};
use crate::ops::idempotency;
use crate::ops::import::runs;

/// One pass: forgets the answers kept under old keys, when that is due, and files that were imported long ago.
///
/// # Errors
/// When the database does not answer.
pub async fn once(work: &Work, now: i64) -> Done {
    let forgotten = idempotency::sweep(&work.app, now).await? + runs::forget(&work.app, now).await?;
    Ok(usize::try_from(forgotten).unwrap_or(0))
}
