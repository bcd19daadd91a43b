//! Records that somebody has investigated a payment whose record cannot be read; it then no longer holds its payee. The
//! record stays as it is, and nothing is sent for it. What is deliberately not here: the hold itself (`gates`).

use payout::Refusal;
use serde_json::json;

use super::{OpsError, Result};
use crate::app::{Actor, App};
use crate::store::transactions::{self, AsText};
use crate::store::{Db, audit, past};
use crate::transact;

/// The longest note, in characters.
const MOST: usize = 1_000;

/// Lifts the hold on the payment's payee: somebody has checked at the vendor that the next payment will not pay the same
/// again.
///
/// # Errors
/// A refusal without a note, and for a payment that can be read; [`OpsError::Missing`] if there is no such payment.
pub async fn say(app: &App, actor: &Actor, number: &str, note: &str) -> Result<()> {
    let note = note.trim();
    if note.is_empty() || note.chars().count() > MOST {
        let told = "Write how you found out what became of this payment, in at most 1,000 characters. Nothing was changed.";
        return Err(Refusal::new("note_required", told).at("note").into());
    }
    transact!(app, |tx| {
        let now = app.clock.now();
        let of = unread(tx, number).await?;
        past::note_looked(tx, of.number, &actor.id.to_string()).await?;
        let detail = json!({ "payment": number, "payee": of.payee, "note": note, "from": actor.came_from });
        tx.audit(audit::Entry {
            at: now,
            actor: actor.id.to_string(),
            action: "unreadable_payment_looked_at",
            subject: of.id,
            detail: detail.to_string(),
        });
        Ok(())
    })
}

/// The raw record of a payment that cannot be read.
async fn unread(db: &mut Db, number: &str) -> Result<AsText> {
    let of = transactions::as_text(db, number).await?.ok_or(OpsError::Missing)?;
    match transactions::find(db, number).await {
        Err(error) if error.about_a_row() => Ok(of),
        Err(error) => Err(error.into()),
        Ok(_) => {
            let told =
                "The record of this payment can be read by now, so it holds nobody. Nothing was changed.";
            Err(OpsError::Conflict(Refusal::new("record_readable", told)))
        }
    }
}
