//! Recording that someone investigated a payment with an unreadable record: once two administrators have, or one repeats it
//! after a day, the payment no longer holds its payee. The record stays as it is, and nothing is sent for it. Not here: the
//! hold itself (`gates`), and who counts as a second person (`settings::lowering`).

use payout::Refusal;
use serde_json::{Value, json};

use super::settings::lowering;
use super::{OpsError, Result};
use crate::app::{Actor, App};
use crate::store::transactions::{self, AsText};
use crate::store::{Db, Tx, audit, past};
use crate::transact;

/// The longest note, in characters.
const MOST: usize = 1_000;

/// Lifts the hold on the payment's payee: someone has checked at the vendor that the next payment will not pay the same
/// again.
///
/// # Errors
/// A refusal without a note, and for a payment that can be read; `second_person_needed` while another administrator is
/// needed; [`OpsError::Missing`] if there is no such payment.
pub async fn say(app: &App, actor: &Actor, number: &str, note: &str) -> Result<()> {
    let note = note.trim();
    if note.is_empty() || note.chars().count() > MOST {
        let message = "Write how you found out what became of this payment, in at most 1,000 characters. Nothing was changed.";
        return Err(Refusal::new("note_required", message).at("note").into());
    }
    let said = transact!(app, |tx| {
        let of = unread(tx, number).await?;
        if past::looked_at(tx, of.number).await?.is_some() {
            return Ok(Ok(()));
        }
        let number = label(&of);
        let detail = json!({ "payment": number, "payee": of.payee, "note": note, "from": actor.came_from });
        if let Some(refusal) = lowering::not_yet_of_payment(tx, app, actor, &number).await? {
            written(tx, app, actor, ("unreadable_payment_look_noted", of.id), &detail);
            return Ok(Err(refusal));
        }
        past::note_looked(tx, of.number, &actor.id.to_string()).await?;
        written(tx, app, actor, ("unreadable_payment_looked_at", of.id), &detail);
        Ok(Ok(()))
    })?;
    app.nudge.notify.notify();
    said.map_err(OpsError::Conflict)
}

/// Makes the payment hold its payee again, because a statement about it was wrong. Also withdraws a pending statement.
///
/// # Errors
/// A refusal for a payment that can be read; [`OpsError::Missing`] if there is no such payment.
pub async fn hold_again(app: &App, actor: &Actor, number: &str) -> Result<()> {
    transact!(app, |tx| {
        let of = unread(tx, number).await?;
        let asked = lowering::forget_of_payment(tx, &label(&of), app.clock.now()).await?;
        let looked = past::forget_looked(tx, of.number).await?;
        if asked || looked {
            let detail = json!({ "payment": label(&of), "payee": of.payee, "from": actor.came_from });
            written(tx, app, actor, ("unreadable_payment_holds_again", of.id), &detail);
        }
        Ok(())
    })
}

/// Who has said that they looked, by their id, and from when on they can end the hold alone; for this reader.
pub async fn asked(db: &mut Db, of: &AsText, reader: &str, now: i64) -> Result<Option<(String, i64)>> {
    lowering::asked_of_payment(db, &label(of), reader, now).await
}

fn label(of: &AsText) -> String {
    format!("PT-{:06}", of.number)
}

fn written(tx: &mut Tx, app: &App, actor: &Actor, (action, subject): (&'static str, String), detail: &Value) {
    let (at, actor, detail) = (app.clock.now(), actor.id.to_string(), detail.to_string());
    tx.audit(audit::Entry { at, actor, action, subject, detail });
}

/// The raw content of its record, if the record cannot be parsed.
async fn unread(db: &mut Db, number: &str) -> Result<AsText> {
    let of = transactions::as_text(db, number).await?.ok_or(OpsError::Missing)?;
    match transactions::find(db, number).await {
        Err(error) if error.about_a_row() => Ok(of),
        Err(error) => Err(error.into()),
        Ok(_) => {
            let message =
                "The record of this payment can be read by now, so it holds nobody. Nothing was changed.";
            Err(OpsError::Conflict(Refusal::new("record_readable", message)))
        }
    }
}
