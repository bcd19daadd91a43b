//! Payout requests: the payee's rewards come first when the next payout is prepared. Not here: paying. A person does
//! that, and a payment fulfils the request.

use payout::Refusal;
use payout::ledger::Payee;
use payout::notice::Notice;
use serde_json::json;

use super::{OpsError, Result, batches, settings};
use crate::app::{Actor, App};
use crate::store::batches::PoolFilter;
use crate::store::{self, audit, portal};
use crate::transact;

/// Records that a payee wants to be paid, and notifies the payers. A repeated request changes nothing.
///
/// # Errors
/// `nothing_payable` while none of their rewards passes every gate.
pub async fn request_payout(app: &App, actor: &Actor, payee: Payee) -> Result<()> {
    let filter = PoolFilter { payee: Some(payee.to_string()), ..PoolFilter::default() };
    transact!(app, |tx| {
        let now = app.clock.now();
        let enabled = settings::load(tx).await?.enabled;
        let (open, _) = batches::pool_blockers(tx, &filter, now).await?;
        if !enabled || open.iter().filter_map(|one| one.adds).all(|adds| adds.minor <= 0) {
            let message =
                "Nothing of yours can be paid right now. Each of your rewards says what it waits for.";
            return Err(OpsError::Refused(Refusal::new("nothing_payable", message)));
        }
        if portal::requests(tx).await?.contains_key(&payee) {
            return Ok(());
        }
        let by = actor.id.to_string();
        portal::request(tx, payee, &by, now).await?;
        let detail = json!({ "rewards": open.len() }).to_string();
        let notice = (Notice::PayoutRequested, payee.to_string(), detail.clone());
        store::outbox::write(tx, &app.clock, now, [notice]).await?;
        let subject = payee.to_string();
        tx.audit(audit::Entry { at: now, actor: by, action: "payout_requested", subject, detail });
        Ok(())
    })?;
    app.nudge.notify_watchers();
    Ok(())
}
