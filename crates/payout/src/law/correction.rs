//! Corrections: a person has proven, with the vendor's own object, the real outcome of an attempt that had ended here.
//! Not here: what became of the rewards meanwhile, which the database knows, and permissions.

use super::swept::{no_more_recalled, paid_out};
use super::{parked, still, to};
use crate::notice::Notice;
use crate::transaction::{AttemptState, Fact, Leg, State, Step, Terms};

/// Corrects the ledger: `fact` is what the vendor's object reports. If no money is out, nothing is corrected.
#[must_use]
pub fn correct(state: State, terms: &Terms, fact: &Fact) -> Step {
    let step = corrected(state, terms, fact);
    // Whoever was notified of a failure is notified that it was paid after all.
    let paid = step.state == State::Success && state != State::Success;
    if paid { step.tell(Notice::PaymentPaid) } else { step }
}

fn corrected(state: State, terms: &Terms, fact: &Fact) -> Step {
    let failed_item =
        matches!(state, State::Failed | State::Returned | State::Blocked | State::Refunded | State::Reversed);
    let waits = |next| to(next).attempt(AttemptState::Accepted);
    match fact {
        Fact::ItemPaid if failed_item => {
            to(State::Success).attempt(AttemptState::Succeeded).books(terms.paid_after_all())
        }
        // There is a newer attempt: what this one paid is owed back to us.
        Fact::ItemPaid if !beyond_correction(state, fact) => still(state).books(terms.paid_after_all()),
        Fact::ItemPending if failed_item => waits(State::Processing).books(terms.reserve()),
        Fact::ItemOnHold(_) if failed_item => waits(State::OnHold).books(terms.reserve()),
        Fact::ItemUnclaimed(_) if failed_item => waits(State::Unclaimed).books(terms.reserve()),
        // No other transfer of it stands: its money is in the payee's balance, and the payee is still owed.
        Fact::TransferMade if matches!(state, State::Failed | State::Recalled | State::Reversed) => {
            to(State::PayoutFailed)
                .attempt(AttemptState::Succeeded)
                .also(Leg::Reversal, AttemptState::Returned)
                .books(terms.found_parked())
        }
        Fact::TransferMade if stands_beside(state, fact) => still(state).books(terms.paid_after_all()),
        // What was written off in the payee's balance went to their bank.
        Fact::PayoutMade if state == State::WrittenOff => {
            waits(State::InTransit).books(terms.out_of_given_up())
        }
        Fact::PayoutPaid if state == State::WrittenOff => {
            to(State::Success).attempt(AttemptState::Succeeded).books(terms.out_of_given_up())
        }
        Fact::PayoutMade if parked(state) => {
            no_more_recalled(state, waits(State::InTransit).books(terms.unpark()))
        }
        Fact::PayoutPaid if parked(state) => {
            let paid = to(State::Success).attempt(AttemptState::Succeeded);
            no_more_recalled(state, paid.books(terms.unpark()))
        }
        Fact::Swept { arrived, .. } if parked(state) => {
            no_more_recalled(state, paid_out(*arrived, terms.unpark()))
        }
        Fact::Swept { arrived, .. } if state == State::WrittenOff => {
            paid_out(*arrived, terms.out_of_given_up())
        }
        // The bank paid, and the transfer was reversed: the same result as in the other order.
        Fact::PayoutPaid if state == State::Recalled => to(State::Reversed).attempt(AttemptState::Returned),
        Fact::Sent(_)
        | Fact::Unknown(_)
        | Fact::Review(_)
        | Fact::Refused(..)
        | Fact::Withheld(_)
        | Fact::Unfunded(_)
        | Fact::TransferMade
        | Fact::PayoutMade
        | Fact::PayoutPaid
        | Fact::PayoutFailed(_)
        | Fact::PayoutCanceled(_)
        | Fact::ReversalMade
        | Fact::ItemPending
        | Fact::ItemPaid
        | Fact::ItemFailed(_)
        | Fact::ItemUnclaimed(_)
        | Fact::ItemOnHold(_)
        | Fact::ItemReturned(_)
        | Fact::ItemBlocked(_)
        | Fact::ItemRefunded
        | Fact::ItemReversed
        | Fact::CancelMade
        | Fact::FeeKnown(_)
        | Fact::TransferReversed
        | Fact::TransferReversedPartly(_)
        | Fact::PartBack(_)
        | Fact::OutOfSight(..)
        | Fact::FoundAfterAll(_)
        | Fact::Swept { .. } => still(state),
    }
}

/// Whether a correction depends on an outcome that is still open at the vendor. Until it is known, the contradiction
/// stays and holds the rewards; the open outcome arrives by itself.
#[must_use]
pub fn beyond_correction(state: State, fact: &Fact) -> bool {
    let ended =
        matches!(state, State::Failed | State::Returned | State::Blocked | State::Refunded | State::Reversed);
    // The contradiction stops what has not been sent; corrected now, it would be sent and pay again.
    let newer_is_open = matches!(state, State::Queued | State::Sending | State::Unknown | State::Review);
    let newer_payout_is_open = matches!(
        state,
        State::Transferred | State::PayoutSending | State::PayoutUnknown | State::PayoutReview
    );
    (matches!(fact, Fact::TransferMade | Fact::ItemPaid) && newer_is_open)
        || (matches!(fact, Fact::PayoutMade | Fact::PayoutPaid) && newer_payout_is_open)
        || (matches!(fact, Fact::PayoutMade) && state == State::Recalled)
        || (matches!(fact, Fact::ItemPending | Fact::ItemOnHold(_) | Fact::ItemUnclaimed(_)) && !ended)
}

/// Whether an object is a second transfer besides a later one of the same payment. While its money is in the payee's
/// balance it can be reversed at Stripe, and then nothing is out. No object proves that it has left the balance, so
/// that the payee was paid twice: that takes two people.
#[must_use]
pub fn stands_beside(state: State, fact: &Fact) -> bool {
    matches!(fact, Fact::TransferMade)
        && matches!(
            state,
            State::Transferred
                | State::PayoutSending
                | State::PayoutUnknown
                | State::PayoutReview
                | State::InTransit
                | State::Success
                | State::PayoutFailed
                | State::PayoutCanceled
                | State::Recalling
                | State::WrittenOff
        )
}
