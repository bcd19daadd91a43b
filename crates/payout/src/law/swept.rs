//! What lay in a payee's balance after their bank had refused it, and was then paid out by the vendor's own schedule, which
//! somebody had switched on there. The payee has it, so it is the end of the leg that would have paid the same money: a bank
//! payout of its own, which can fail like any other. What is deliberately not here: how the vendor's payout is proven to
//! have taken this money (`work::swept`).

use super::{parked, still, to};
use crate::ledger::Journal;
use crate::notice::Notice;
use crate::transaction::{AttemptState, Leg, State, Step, Terms};

/// Parked money was paid out. Money that two people have given up was not theirs to be paid: a person must look.
pub(super) fn swept(state: State, arrived: bool, terms: &Terms) -> Step {
    if parked(state) {
        let notice = if arrived { Notice::PaymentPaid } else { Notice::PaymentOnItsWay };
        no_more_recalled(state, paid_out(arrived, terms.unpark()).tell(notice))
    } else {
        Step { contradiction: state == State::WrittenOff, ..still(state) }
    }
}

/// The same of a payment that gave its rewards back, or that is contradicted already: somebody must say what became of its
/// rewards. Where two people have settled that the payee has the money, it says no more than they did.
#[must_use]
pub fn swept_beside(state: State, paid_otherwise: bool) -> Step {
    let lies = parked(state) || (state == State::WrittenOff && !paid_otherwise);
    Step { contradiction: lies, ..still(state) }
}

/// A transfer came back after a payout of the vendor's own had taken its money, of a payment that is contradicted: what came
/// back was other money, so nothing moves, and the contradiction stands.
#[must_use]
pub fn still_contradicted(state: State) -> Step {
    Step { contradiction: true, ..still(state) }
}

/// The payment goes on with a bank payout that the vendor made.
pub(super) fn paid_out(arrived: bool, booked: Journal) -> Step {
    let next = if arrived { State::Success } else { State::InTransit };
    to(next).begin(Leg::Payout).books(booked)
}

/// The payee has what was being fetched back, so what asks for it is over: made all the same, it would take other money.
pub(super) fn no_more_recalled(state: State, step: Step) -> Step {
    if state == State::Recalling { step.also(Leg::Reversal, AttemptState::Failed) } else { step }
}
