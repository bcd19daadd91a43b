//! Chaining the audit trail, where it is not chained at once. What is deliberately not here: how (`ops::trail`).

use super::{Done, Work};
use crate::ops::trail;

/// One pass: chains rows that are committed and wait.
pub async fn once(work: &Work, _now: i64) -> Done {
    trail::chain(&work.app).await
}
