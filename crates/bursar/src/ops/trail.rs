//! Chains audit rows that have been committed and wait. Not here: writing rows, which every verb does in its own
//! transaction, and checking them (`verify`).

use super::Result;
use crate::app::App;
use crate::store::audit;
use crate::transact;

/// How many rows are chained in one transaction.
const AT_ONCE: i64 = 1_000;

/// Chains waiting rows; returns how many. Does nothing while another node is chaining.
pub async fn chain(app: &App) -> Result<usize> {
    if !app.store.chains_later() {
        return Ok(0);
    }
    if !audit::any_waits(&mut app.store.read().await?).await? {
        return Ok(0);
    }
    let chained: Result<u64> = transact!(app, |tx| { Ok(audit::chain_waiting(tx, AT_ONCE).await?) });
    match chained {
        Err(super::OpsError::Internal(error)) if error.held_elsewhere() => Ok(0),
        chained => Ok(usize::try_from(chained?).unwrap_or(0)),
    }
}
