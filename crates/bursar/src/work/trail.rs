//! Chains the audit trail on databases where that does not happen at the commit. Not here: how (`ops::trail`).

use super::{PassResult, Work};
use crate::ops::trail;

/// One pass: chains committed rows that are waiting.
pub async fn once(work: &Work, _now: i64) -> PassResult {
    trail::chain(&work.app).await
}
