//! Money that was parked in a payee's balance after their bank refused it, and was then paid out by the vendor's
//! automatic schedule, which somebody had switched on. The payee has it, so it completes the leg that would have paid
//! the same money: a bank payout of its own, which can fail like any other. Not here: proving that the vendor's payout
//! took this money (`work::scheduled_payouts`).

use super::{parked, still, to};
use crate::ledger::Journal;
use crate::notice::Notice;
use crate::transaction::{AttemptState, Leg, State, Step, Terms};

/// Parked money was paid out. If two people had written it off, a person must look.
pub(super) fn swept(state: State, arrived: bool, terms: &Terms) -> Step {
    if parked(state) {
        let notice = if arrived { Notice::PaymentPaid } else { Notice::PaymentOnItsWay };
        no_more_recalled(state, paid_out(arrived, terms.unpark()).tell(notice))
    } else {
        Step { contradiction: state == State::WrittenOff, ..still(state) }
    }
}

/// The same for a payment that returned its rewards, or that is already contradicted: somebody must decide about the
/// rewards. If two people settled that the payee has the money, there is no contradiction.
#[must_use]
pub fn swept_beside(state: State, paid_otherwise: bool) -> Step {
    let lies = parked(state) || (state == State::WrittenOff && !paid_otherwise);
    Step { contradiction: lies, ..still(state) }
}

/// The transfer of a contradicted payment was reversed after an automatic payout had taken its money: other money came
/// back, so nothing moves, and the contradiction stands.
#[must_use]
pub fn still_contradicted(state: State) -> Step {
    Step { contradiction: true, ..still(state) }
}

/// The payment continues with a bank payout the vendor made.
pub(super) fn paid_out(arrived: bool, booked: Journal) -> Step {
    let next = if arrived { State::Success } else { State::InTransit };
    to(next).begin(Leg::Payout).books(booked)
}

/// The payee has the money that was being reversed, so the reversal is over: if made anyway, it would take other money.
pub(super) fn no_more_recalled(state: State, step: Step) -> Step {
    if state == State::Recalling { step.also(Leg::Reversal, AttemptState::Failed) } else { step }
}
