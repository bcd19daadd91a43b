//! The last thing that is committed before bytes leave: these requests are about to be sent. It is counted, and remembered
//! beside the key, so that a database that is put back later can be told from this one. Not here: sending (`send`).

use std::collections::HashMap;

use super::Work;
use crate::mark::Mark;
use crate::ops::{OpsError, Result, brake, epoch, safe_mode};
use crate::store::put_back;
use crate::store::submissions::{self, Submission};
use crate::transact;

/// Commits what is about to be sent, for all of it at once. Until then a lease is only a lease: a process that dies, or a
/// database that fails, has sent nothing. From then on it may have. Where safe mode has begun meanwhile, or the brake was
/// put on, nothing is sent, nor by a database that has come less far than this process knows.
pub(super) async fn all(work: &Work, leased: Vec<Submission>) -> Result<Vec<Submission>> {
    if leased.is_empty() {
        return Ok(leased);
    }
    let (app, before) = (&work.app, work.mark.seen());
    let vendor = leased.first().map_or("", |one| one.vendor.as_str());
    let ahead = work.clients.skew().ahead(vendor, app.clock.now());
    let held: Vec<(String, i64)> = leased.iter().map(|one| (one.id.clone(), one.fence)).collect();
    let begun = transact!(app, |tx| {
        let (epoch, now) = (put_back::hold(tx).await?, app.clock.now());
        if safe_mode::stops_sending(tx).await? || brake::on(tx).await? {
            return Ok((Vec::new(), before));
        }
        // Decided before the database was put back, and committed too late to be doubted with the others.
        let stale = leased.iter().filter(|one| one.epoch < epoch && one.doubts == 0);
        let stale: Vec<String> = stale.map(|one| one.id.clone()).collect();
        put_back::doubt(tx, &stale, now).await?;
        let begun = submissions::begin(tx, &held, (now, now.saturating_sub(ahead))).await?;
        let progress = if begun.is_empty() { before } else { epoch::count(tx, before, begun.len()).await? };
        Ok((begun, progress))
    });
    let (begun, progress) = match begun {
        Err(OpsError::Conflict(refusal)) if refusal.code == epoch::WENT_BACK => {
            epoch::went_back(app, &work.mark, before).await?;
            return Ok(Vec::new());
        }
        begun => begun?,
    };
    if let Some((last, _)) = begun.last() {
        work.note(progress, Some(last.clone()), Mark::note).await?;
    }
    let begun: HashMap<String, Option<i64>> = begun.into_iter().collect();
    let as_begun = |one: Submission| Some(Submission { first_sent_at: *begun.get(&one.id)?, ..one });
    Ok(leased.into_iter().filter_map(as_begun).collect())
}
