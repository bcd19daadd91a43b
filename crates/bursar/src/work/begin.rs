//! The last commit before requests are sent: it marks them as about to be sent, counts them, and updates the mark
//! beside the key, so that an older restored database can be recognized. Not here: sending (`send`).

use std::collections::HashMap;

use super::Work;
use crate::mark::Mark;
use crate::ops::{OpsError, Result, brake, epoch, safe_mode};
use crate::store::put_back;
use crate::store::submissions::{self, Submission};
use crate::transact;

/// Marks a whole set as about to be sent. Before this commit a crash or a database failure means nothing was sent;
/// after it, something may have been. Sends nothing if safe mode started or the brake was set meanwhile, or if the
/// database is behind what this process knows.
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
        // Created before the database was restored, and committed too late to be put in doubt with the others.
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
