//! Describes how the vendor contradicts the books of one payment: the attempt, the vendor's id, the amount, and what was
//! recorded about the attempt before. Not here: what a contradiction is (`record`), and settling it (`by_hand`).

use payout::money::Vendor;
use payout::transaction::{AttemptState, Leg, State};

use crate::clock;
use crate::store::transactions::{self, Attempt, ReadLine, Transaction};
use crate::store::{Db, Result, named, put_back};

/// One sentence per attempt that the vendor contradicts, and per object that its events name under our key but we do not
/// count. Empty unless the payment is contradicted or in review.
pub async fn sentences(db: &mut Db, payment: &Transaction) -> Result<Vec<String>> {
    let in_doubt = matches!(payment.state, State::Review | State::PayoutReview);
    if payment.contradicted_at.is_none() && !in_doubt {
        return Ok(Vec::new());
    }
    let attempts = transactions::attempts(db, &[payment.id]).await?;
    let lines = transactions::timeline(db, payment.id).await?;
    let against = attempts.iter().filter(|one| one.contradicted_at.is_some());
    let mut messages: Vec<String> = against.map(|one| sentence(payment, one, &lines)).collect();
    let vendor = payment.terms.vendor.label();
    for (object, at) in named::of_payment(db, payment.id).await? {
        messages.push(format!(
            "On {}, {vendor} sent a signed event that names {object} under this payment's key: it may well have been made. Look for {object} at {vendor} before you settle it as not made.",
            clock::human(at)
        ));
    }
    Ok(messages)
}

/// The vendor object that may be this payment, if there is exactly one; the manual settlement form offers it. PayPal's
/// events name batches, which settle nothing.
pub async fn likely(db: &mut Db, payment: &Transaction) -> Result<Option<String>> {
    let mut objects = put_back::open_of(db, payment.id).await?;
    if payment.terms.vendor == Vendor::Stripe {
        let named = named::of_payment(db, payment.id).await?;
        objects.extend(named.into_iter().map(|(object, _)| object));
    }
    objects.sort_unstable();
    objects.dedup();
    Ok(objects.pop().filter(|_| objects.is_empty()))
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

/// What the books say about an attempt, and who said so.
fn held(attempt: &Attempt, lines: &[ReadLine]) -> String {
    let ended = attempt.ended_at.map(|at| format!(" on {}", clock::human(at))).unwrap_or_default();
    if called_not_made(attempt) {
        return format!("Here it was settled as not made{ended}{}.", by(attempt, lines));
    }
    match attempt.state {
        AttemptState::Failed => {
            let code = attempt.reason_code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default();
            format!("Here it failed{ended}{code}.")
        }
        AttemptState::Returned => format!("Here its money came back{ended}."),
        AttemptState::Succeeded => format!("Here it is recorded as done{ended}."),
        AttemptState::Accepted => "Here it is recorded as accepted by the vendor.".to_owned(),
        AttemptState::Queued | AttemptState::Sending | AttemptState::Unknown | AttemptState::Review => {
            "Here it has not ended.".to_owned()
        }
    }
}

/// Who settled an attempt by hand, from the timeline entry written when it ended.
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

/// Whether people marked an attempt as not made, and nothing has since proved otherwise.
pub fn called_not_made(attempt: &Attempt) -> bool {
    attempt.state == AttemptState::Failed && attempt.reason_code.as_deref() == Some("not_made")
}
