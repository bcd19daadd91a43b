//! The views of payments that pages and programs share: what somebody must look at, what does not end, what came back.
//! What is deliberately not here: the other filters, which each of them reads from its own query.

use payout::transaction::{State, Status};

use crate::store::transactions::Filter;

/// Without an end for this long, a payment is stuck.
const STUCK_US: i64 = 3 * 86_400_000_000;

/// What somebody must look at: failed, come back, unclaimed, on hold, not to be found out by Bursar itself, or contradicted by
/// its vendor, however it stands.
pub fn needing_attention() -> Filter {
    let needs = |state: &State| {
        failed(*state)
            || matches!(state, State::Unclaimed | State::OnHold | State::Review | State::PayoutReview)
    };
    Filter { states: Some(those(needs)), open: true, ..contradicted() }
}

/// What the vendor contradicts, however it stands.
pub fn contradicted() -> Filter {
    Filter { states: Some(Vec::new()), or_contradicted: Some(those(|_| true)), ..Filter::default() }
}

pub fn under_way() -> Filter {
    Filter { states: Some(those(|state| !state.settled())), open: true, ..Filter::default() }
}

/// What has not ended, and stands as it does for three days.
pub fn stuck(now: i64) -> Filter {
    Filter { unmoved_since: Some(now - STUCK_US), ..under_way() }
}

/// What came back after it had succeeded.
pub fn after_success() -> Filter {
    Filter {
        states: Some(State::of(Status::PayoutFailed).collect()),
        after_success: true,
        ..Filter::default()
    }
}

/// Only what stands in one of these states besides.
pub fn narrow(filter: &mut Filter, to: impl Fn(&State) -> bool) {
    let within = |state: &State| filter.states.as_ref().is_none_or(|all| all.contains(state));
    filter.states = Some(those(|state| to(state) && within(state)));
    if let Some(others) = &mut filter.or_contradicted {
        others.retain(&to);
    }
}

/// Only what failed or came back for this reason: its code, or how it stands where the vendor gave none.
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
