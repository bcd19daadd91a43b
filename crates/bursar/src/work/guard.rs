//! Checks the invariants while the program runs. Not here: the invariants themselves, and what happens when one is
//! violated (`ops::brake`).

use super::{PassResult, Work};
use crate::ops::brake;

/// One pass, at most once a minute across all nodes. Never reruns at once.
pub async fn once(work: &Work, now: i64) -> PassResult {
    if brake::look(&work.app, now).await? > 0 {
        work.app.nudge.notify_watchers();
    }
    Ok(0)
}
