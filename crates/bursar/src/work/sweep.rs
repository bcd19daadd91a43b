//! Forgetting what need not be kept for ever. What is deliberately not here: anything about money, which is kept.

use super::{Done, Work};
use crate::ops::idempotency;

/// One pass: forgets the answers kept under old keys, when that is due.
///
/// # Errors
/// When the database does not answer.
pub async fn once(work: &Work, now: i64) -> Done {
    Ok(usize::try_from(idempotency::sweep(&work.app, now).await?).unwrap_or(0))
}
