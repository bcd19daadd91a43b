//! Uploaded files: each pass handles one unit of one import, then the payout destinations in the file, for which a
//! vendor may have to be asked.

use super::{PassResult, Work, connect};
use crate::ops::OpsError;
use crate::ops::import::{ToConnect, runs};
use crate::origin;
use crate::store::imports::Import;

/// How many destinations one pass sets.
const AT_ONCE: usize = 20;
/// Retry delay after a vendor did not answer.
const REST_US: i64 = 10_000_000;
/// How often the vendor is asked about one destination.
const MOST_TRIES: i64 = 4;

pub async fn once(work: &Work, now: i64) -> PassResult {
    let Some(import) = runs::lease(&work.app, now).await? else { return Ok(0) };
    let from = origin::address_of(&import.came_from).map(|from| from.to_string()).unwrap_or_default();
    origin::of_request(from, one_unit(work, import)).await?;
    Ok(1)
}

async fn one_unit(work: &Work, import: Import) -> crate::ops::Result<()> {
    let to_connect = runs::advance(&work.app, &import).await?;
    if !to_connect.is_empty() {
        match set_profiles(work, import, to_connect).await {
            // Somebody canceled the import meanwhile.
            Ok(()) | Err(OpsError::Conflict(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn set_profiles(work: &Work, mut import: Import, to_connect: Vec<ToConnect>) -> crate::ops::Result<()> {
    let actor = runs::on_behalf(&work.app, &import).await?;
    for one in to_connect.into_iter().take(AT_ONCE) {
        let problem = match connect::set_profile(work, &actor, one.payee, one.destination).await {
            Ok(_) => None,
            Err(OpsError::Unreachable(_)) if import.tries < MOST_TRIES => {
                return runs::release(&work.app, &import, work.app.clock.now() + REST_US).await;
            }
            Err(
                OpsError::Refused(refusal) | OpsError::Conflict(refusal) | OpsError::Unreachable(refusal),
            ) => Some(refusal.sentence),
            Err(OpsError::Blocked(blockers)) => blockers.first().map(|blocker| blocker.message().to_owned()),
            Err(OpsError::Missing) => Some("The payee no longer exists.".to_owned()),
            Err(error @ OpsError::Internal(_)) => return Err(error),
        };
        let line = (one.line, one.told.as_ref());
        import = runs::connected(&work.app, &import, line, problem.as_deref()).await?;
    }
    runs::release(&work.app, &import, work.app.clock.now()).await
}
