//! A payment's status, its reason, and the possible actions, as shown with what it pays. Not here: blockers of a reward
//! or a payout (`why`).

use payout::eligibility::{Blocker, Code, Who};
use payout::reason::{Cause, explain_at};
use payout::remedy::Choice;
use payout::transaction::State;
use payout::{law, remedy};

use crate::ops::{OpsError, Result};
use crate::store;
use crate::store::transactions::Transaction;
use crate::store::{Db, StoreError, transactions};

/// Adds to the blocker of a reward in flight: which payment, its status, and who must act.
pub fn in_flight(blocker: Blocker, payment: &Transaction, elsewhere: bool) -> Blocker {
    let message = format!("It is {}, which is {}.", payment.label(), payment.state.status().label());
    let who = reason_now(payment, elsewhere).map(|reason| reason.who);
    let who = who.or_else(|| choices(payment).first().map(|choice| choice.who));
    let blocker = blocker.noting(Some(message));
    match who.filter(|who| *who != Who::Nobody) {
        Some(who) => blocker.acting(who, "Open that payment: its page says why and what can be done."),
        None => blocker,
    }
}

/// A payment, by number or id.
///
/// # Errors
/// [`OpsError::Blocked`] if its record cannot be read, with who must act and how.
pub async fn payment(db: &mut Db, name: &str) -> Result<Transaction> {
    match transactions::find(db, name).await {
        Err(error @ (StoreError::Corrupt(_) | StoreError::Db(_))) if error.about_a_row() => {
            tracing::error!(payment = name, %error, "the record of a payment cannot be read");
            let sentence = Some(format!("What is wrong with it: {error}."));
            Err(OpsError::Blocked(vec![Blocker::new(Code::SetAside, name).noting(sentence)]))
        }
        found => Ok(found?),
    }
}

/// Why a payment is in its state, or what it waits for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reason {
    /// The vendor's own code, a gate's, or ours.
    pub code: String,
    pub message: String,
    /// The vendor's own message, if any.
    pub said: Option<String>,
    pub remedy: &'static str,
    pub who: Who,
}

/// The reason of a payment, if it has one.
pub fn reason(transaction: &Transaction) -> Option<Reason> {
    let (code, said) = match (&transaction.reason, &transaction.waiting) {
        (Some(reason), _) => (reason.code.clone(), Some(reason.message.clone())),
        (None, Some(waiting)) => (waiting.clone(), None),
        (None, None) => (by_its_state(transaction.state)?.to_owned(), None),
    };
    // An unreadable answer is described in our own words only.
    let said = said.filter(|words| !words.is_empty() && code != "vendor_not_understood");
    let explained = explain_at(&code, transaction.state);
    let message = explained.message.map(str::to_owned).or_else(|| said.clone());
    let message = message.unwrap_or_else(|| "The vendor gave no explanation, only this code.".to_owned());
    let (who, remedy) = match (is_over(transaction), transaction.contradicted_at) {
        (true, _) => (Who::Nobody, "Nothing to do here: the payment is closed."),
        (false, Some(_)) => (
            Who::Payer,
            "First settle the contradiction with its vendor; nothing else can be done before that.",
        ),
        (false, None) => (explained.who, explained.remedy),
    };
    Some(Reason { code, message, said, remedy, who })
}

/// As [`reason`], but if the payee has changed their destination (`elsewhere`), the partner has done their part, and the
/// payer must act.
pub fn reason_now(transaction: &Transaction, elsewhere: bool) -> Option<Reason> {
    let reason = reason(transaction)?;
    let answered = elsewhere && reason.who == Who::Partner;
    let remedy = "Return it to the pool and pay its rewards in the next payout: the payee has another destination now.";
    Some(if answered { Reason { who: Who::Payer, remedy, ..reason } } else { reason })
}

/// Whether one of these gates says that the payee's destination has changed since Pay.
pub fn elsewhere(closed: &[Blocker]) -> bool {
    closed.iter().any(|gate| gate.code == Code::DestinationChanged)
}

/// Whether the payee of a payment that waits for the partner has changed their destination.
pub async fn moved_on(db: &mut Db, payment: &Transaction) -> store::Result<bool> {
    let asks = reason(payment).is_some_and(|reason| reason.who == Who::Partner);
    if !asks || law::resubmit(payment.state, &payment.terms).is_err() {
        return Ok(false);
    }
    let profile = store::payees::profile_of(db, payment.terms.payee).await?;
    let promised = payment.destination.fingerprint();
    Ok(profile.is_some_and(|profile| profile.destination.fingerprint() != promised))
}

/// The default reason of a state, for a payment without one.
fn by_its_state(state: State) -> Option<&'static str> {
    match state {
        State::Review | State::PayoutReview => Some("needs_review"),
        State::PayoutFailed => Some("payout_not_begun"),
        State::Queued
        | State::Sending
        | State::Unknown
        | State::Processing
        | State::OnHold
        | State::Unclaimed
        | State::Transferred
        | State::PayoutSending
        | State::PayoutUnknown
        | State::InTransit
        | State::Success
        | State::Failed
        | State::PayoutCanceled
        | State::Recalling
        | State::Recalled
        | State::Returned
        | State::Blocked
        | State::Refunded
        | State::Reversed
        | State::WrittenOff => None,
    }
}

/// Whether there is nothing left to do about a payment. The rewards of a closed one are elsewhere, but its money may still
/// be parked in the payee's balance, or its vendor may contradict it.
fn is_over(transaction: &Transaction) -> bool {
    let parked = matches!(transaction.state, State::PayoutFailed | State::PayoutCanceled);
    transaction.closed() && !parked && transaction.contradicted_at.is_none()
}

/// The possible actions, given whether the payee has changed their destination.
pub fn choices_now(transaction: &Transaction, elsewhere: bool) -> &'static [Choice] {
    let asks = reason(transaction).is_some_and(|reason| reason.who == Who::Partner);
    if elsewhere && asks { remedy::elsewhere() } else { choices(transaction) }
}

/// The possible actions, the usual one first; none for a closed payment.
pub fn choices(transaction: &Transaction) -> &'static [Choice] {
    let cause = transaction.reason.as_ref().map(|reason| Cause::of(&reason.code));
    match (is_over(transaction), transaction.contradicted_at) {
        (true, _) => &[],
        (false, Some(_)) => remedy::contradicted(transaction.terms.vendor),
        (false, None) if transaction.waiting.as_deref() == Some(Code::SetAside.as_str()) => {
            remedy::set_aside()
        }
        (false, None) if transaction.state == State::Failed && transaction.called_not_made => {
            remedy::not_made()
        }
        (false, None) => remedy::choices(transaction.state, cause),
    }
}
