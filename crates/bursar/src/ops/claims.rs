//! Decisions about single claims of a batch: an override of the earning threshold, and the history of the claims that a
//! payout left out.

use payout::Refusal;
use payout::eligibility::Code;
use payout::ids::BatchId;
use payout::ledger::Payee;
use payout::money::Currency;

use super::batches::{Draft, answer, take_draft, view_draft};
use super::idempotency::Idempotency;
use super::skipped::note_skipped;
use super::{OpsError, Result};
use crate::app::{Actor, App};
use crate::ops::batches::view::BatchView;
use crate::store::claims;
use crate::store::claims::Override;
use crate::store::{audit, batches};
use crate::transact;

/// The longest reason, in bytes.
const LONGEST_REASON: usize = 500;

/// Lets a claim of exactly its present total be paid although it is below the earning threshold. Who decided it and why is
/// part of the digest, so it voids a release.
///
/// # Errors
/// [`OpsError::Refused`] without a reason; [`OpsError::Conflict`] if the claim is not below its threshold, or the batch is
/// no longer a draft.
pub async fn override_threshold(
    app: &App,
    actor: &Actor,
    draft: impl Into<Draft>,
    (payee, currency): (Payee, Currency),
    reason: &str,
    once: Option<&Idempotency<BatchView>>,
) -> Result<BatchView> {
    let (draft, reason) = (draft.into(), reason.trim());
    if reason.is_empty() || reason.chars().count() > LONGEST_REASON || reason.chars().any(char::is_control) {
        let message = "Write why this is paid although it is under the threshold, on one line of at most 500 characters; the payer reads it.";
        return Err(Refusal::new("reason_required", message).at("reason").into());
    }
    transact!(app, |tx| {
        let now = app.clock.now();
        take_draft(tx, actor, draft, now).await?;
        let known = batches::find(tx, &draft.id.to_string()).await?;
        let view = view_draft(tx, known, now).await?;
        let mut claims = view.claims.iter();
        let claim = claims.find(|claim| claim.payee == payee && claim.total.currency == currency);
        let Some(claim) = claim else {
            let message = format!("{} has no claim of this payee in {currency}.", view.batch.number);
            return Err(Refusal::new("unknown_claim", message).at("payee").into());
        };
        let under = claim.blockers.iter().any(|blocker| blocker.code == Code::BelowThreshold);
        if !under && claim.overridden.is_none() {
            let message = "This claim is not below its threshold, so there is nothing to override.";
            return Err(OpsError::Conflict(Refusal::new("not_below_threshold", message)));
        }
        let new = Override {
            batch: draft.id,
            payee,
            total: claim.total,
            reason: reason.to_owned(),
            actor: actor.id.to_string(),
            at: now,
        };
        claims::put_override(tx, &new).await?;
        let body = serde_json::json!({ "payee": payee.to_string(), "total": claim.total.to_string(), "reason": reason });
        tx.audit(audit::Entry {
            at: now,
            actor: actor.id.to_string(),
            action: "threshold_overridden",
            subject: draft.id.to_string(),
            detail: body.to_string(),
        });
        answer(tx, app, draft.id, once).await
    })
}

/// Records the claims because of which Pay was refused. The refused transaction was rolled back.
pub(super) async fn note_stopped(app: &App, batch: BatchId) -> Result<()> {
    transact!(app, |tx| {
        let known = batches::find(tx, &batch.to_string()).await?;
        if known.open() {
            let now = app.clock.now();
            let view = view_draft(tx, known, now).await?;
            note_skipped(tx, &view, now).await?;
        }
        Ok(())
    })
}
