//! Looking whether what must always hold does, while the program runs. What is deliberately not here: what that is, and
//! what happens where it does not (`ops::brake`).

use super::{Done, Work};
use crate::ops::brake;

/// One pass, at most once a minute on all nodes together. It never goes on at once.
pub async fn once(work: &Work, now: i64) -> Done {
    if brake::look(&work.app, now).await? > 0 {
        work.app.nudge.tell_watchers();
    }
    Ok(0)
}
