//! Records the claims that a payout left out. Not here: removing them (`batches`).

use payout::eligibility::Code;

use crate::ops::batches::view::{BatchView, ClaimView};
use crate::store::claims::Skipped;
use crate::store::{self, Tx, claims};

/// Records the blocked claims of a batch in their payees' history.
pub(super) async fn note_skipped(tx: &mut Tx, view: &BatchView, now: i64) -> store::Result<()> {
    let blocked = view.claims.iter().filter(|claim| !claim.blockers.is_empty());
    let skipped = |claim: &ClaimView| {
        let mut codes: Vec<Code> = claim.blockers.iter().map(|blocker| blocker.code).collect();
        codes.sort_unstable();
        codes.dedup();
        Skipped {
            batch: view.batch.id,
            number: view.batch.number.clone(),
            payee: claim.payee,
            total: claim.total,
            codes,
            at: now,
        }
    };
    let rows: Vec<Skipped> = blocked.map(skipped).collect();
    claims::note_skipped(tx, &rows).await
}
