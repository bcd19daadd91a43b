//! Writes large exports piece by piece and deletes expired files. If a worker dies, its progress stays, and another
//! worker resumes once the lease has lapsed. Not here: what a piece is (`ops::exports`).

use super::{PassResult, Work};
use crate::ops::{OpsError, exports};
use crate::store::StoreError;

/// One pass: one piece of the export that has waited longest.
pub async fn once(work: &Work, now: i64) -> PassResult {
    let app = &work.app;
    let forgotten = exports::forget(app, now).await?;
    let Some(run) = exports::lease(app, now).await? else { return Ok(forgotten) };
    let why = match exports::step(app, &run, now).await {
        Ok(_) => return Ok(forgotten + 1),
        Err(OpsError::Conflict(_)) => {
            tracing::info!(export = run.label(), "another worker went on with an export meanwhile");
            return Ok(forgotten + 1);
        }
        Err(OpsError::Refused(refusal)) => refusal.sentence,
        Err(OpsError::Missing) => "What it was requested for no longer exists.".to_owned(),
        // A retry would find it in the same state.
        Err(OpsError::Internal(StoreError::Corrupt(what))) => {
            tracing::error!(export = run.label(), what, "an export cannot be made");
            "A stored record cannot be read. The log names it.".to_owned()
        }
        Err(error) => return Err(error),
    };
    exports::give_up(app, &run, &why, now).await?;
    Ok(forgotten + 1)
}
