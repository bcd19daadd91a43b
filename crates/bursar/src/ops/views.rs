//! The views of payments that pages and API share: needing attention, stuck, returned. Not here: the other filters, which
//! each of them reads from its own query.

use payout::transaction::{State, Status};

use crate::store::transactions::Filter;

/// How long without an end a payment counts as stuck.
const STUCK_US: i64 = 3 * 86_400_000_000;

/// Payments that need attention: failed, returned, unclaimed, on hold, in review, or contradicted by their vendor in any
/// state.
pub fn needing_attention() -> Filter {
    let needs = |state: &State| {
        failed(*state)
            || matches!(state, State::Unclaimed | State::OnHold | State::Review | State::PayoutReview)
    };
    Filter { states: Some(those(needs)), open: true, ..contradicted() }
}

/// Payments that their vendor contradicts, in any state.
pub fn contradicted() -> Filter {
    Filter { states: Some(Vec::new()), or_contradicted: Some(those(|_| true)), ..Filter::default() }
}

pub fn under_way() -> Filter {
    Filter { states: Some(those(|state| !state.settled())), open: true, ..Filter::default() }
}

/// Payments that have not ended and have been in their state for three days.
pub fn stuck(now: i64) -> Filter {
    Filter { unmoved_since: Some(now - STUCK_US), ..under_way() }
}

/// Payments that came back after they had succeeded.
pub fn after_success() -> Filter {
    Filter {
        states: Some(State::of(Status::PayoutFailed).collect()),
        after_success: true,
        ..Filter::default()
    }
}

/// Also limits a filter to these states.
pub fn narrow(filter: &mut Filter, to: impl Fn(&State) -> bool) {
    let within = |state: &State| filter.states.as_ref().is_none_or(|all| all.contains(state));
    filter.states = Some(those(|state| to(state) && within(state)));
    if let Some(others) = &mut filter.or_contradicted {
        others.retain(&to);
    }
}

/// Also limits a filter to payments that failed or came back for this reason: its code, or the state if the vendor gave
/// none.
pub fn because(filter: &mut Filter, code: &str) {
    narrow(filter, |state| failed(*state));
    filter.reason = Some(code.to_owned());
}

fn failed(state: State) -> bool {
    matches!(state.status(), Status::Failed | Status::PayoutFailed)
}

fn those(wanted: impl Fn(&State) -> bool) -> Vec<State> {
    State::ALL.iter().copied().filter(|state| wanted(state)).collect()
}
