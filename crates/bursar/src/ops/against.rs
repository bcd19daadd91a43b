//! What a vendor says against the books of one payment, in sentences that name the attempt, the vendor's id, the amount and
//! what was said of that attempt before. What is deliberately not here: what a contradiction is (`record`), and settling it
//! (`by_hand`).

use payout::transaction::{AttemptState, Leg};

use super::by_hand::called_not_made;
use crate::clock;
use crate::store::transactions::{self, Attempt, ReadLine, Transaction};
use crate::store::{Db, Result};

/// A sentence for each attempt that the vendor contradicts; none where it contradicts nothing.
///
/// # Errors
/// When the database does not answer.
pub async fn told(db: &mut Db, payment: &Transaction) -> Result<Vec<String>> {
    if payment.contradicted_at.is_none() {
        return Ok(Vec::new());
    }
    let attempts = transactions::attempts(db, &[payment.id]).await?;
    let lines = transactions::timeline(db, payment.id).await?;
    let against = attempts.iter().filter(|one| one.contradicted_at.is_some());
    Ok(against.map(|one| sentence(payment, one, &lines)).collect())
}

fn sentence(payment: &Transaction, attempt: &Attempt, lines: &[ReadLine]) -> String {
    let vendor = payment.terms.vendor.label();
    let under = attempt.vendor_id.as_ref().map(|id| format!(", {id} at {vendor}")).unwrap_or_default();
    let what = match attempt.leg {
        Leg::Transfer => "the transfer",
        Leg::Payout => "the bank payout",
        Leg::Reversal => "the reversal",
        Leg::Item => "the PayPal payment",
        Leg::Cancel => "the cancellation",
    };
    let (net, number) = (payment.terms.net, attempt.number);
    format!("It is about attempt {number}, {what} of {net}{under}. {}", held(attempt, lines))
}

/// How the books hold an attempt, and by whose word.
fn held(attempt: &Attempt, lines: &[ReadLine]) -> String {
    let ended = attempt.ended_at.map(|at| format!(" on {}", clock::told(at))).unwrap_or_default();
    if called_not_made(attempt) {
        return format!("Here it was called not made{ended}{}.", by(attempt, lines));
    }
    match attempt.state {
        AttemptState::Failed => {
            let code = attempt.reason_code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default();
            format!("Here it ended as failed{ended}{code}.")
        }
        AttemptState::Returned => format!("Here its money came back{ended}."),
        AttemptState::Succeeded => format!("Here it is held as done{ended}."),
        AttemptState::Accepted => "Here the vendor is held to have it.".to_owned(),
        AttemptState::Queued | AttemptState::Sending | AttemptState::Unknown | AttemptState::Review => {
            "Here it has not ended.".to_owned()
        }
    }
}

/// Who has settled an attempt by hand, in the line that was written with its end.
fn by(attempt: &Attempt, lines: &[ReadLine]) -> String {
    let settled = lines.iter().find(|line| {
        line.effect == "settled_by_hand" && attempt.ended_at.is_some_and(|ended| line.at >= ended)
    });
    let said = settled.and_then(|line| line.detail.as_deref());
    said.map(|said| {
        format!(" by {}", said.replacen(": ", " (", 1) + if said.contains(": ") { ")" } else { "" })
    })
    .unwrap_or_default()
}
