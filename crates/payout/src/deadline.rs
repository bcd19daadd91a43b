//! How long a payment may stay in a state, who is notified after that, and what they can do: every state has an exit
//! and a limit. Not here: the check itself (`ops::notices::watch`) and transitions (`law`).

use crate::eligibility::Who;
use crate::transaction::State;

const DAY_US: i64 = 86_400_000_000;

/// How long a success is watched: a bank can return it for about five business days.
pub const WATCHED_US: i64 = 10 * DAY_US;
/// How long money in a payee's balance is watched after two people settled it: it can still be reversed at the vendor.
pub const SETTLED_WATCHED_US: i64 = 30 * DAY_US;
/// After this long without the vendor showing an object, a person takes over.
pub const UNSEEN_US: i64 = 2 * DAY_US;
/// Transferred money absent from the payee's balance for this long is missing.
pub const MISSING_US: i64 = 2 * DAY_US;
/// Transferred money held but not made available for this long is missing too: it was somebody else's.
pub const UNAVAILABLE_US: i64 = 10 * DAY_US;

/// The time limit of a state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limit {
    /// How long it may last, in microseconds; `None` if nothing more is awaited.
    pub longest_us: Option<i64>,
    /// Who is notified after that.
    pub told: Who,
    /// What they can do, in words.
    pub then: &'static str,
}

const fn after(days: i64, told: Who, then: &'static str) -> Limit {
    Limit { longest_us: Some(days * DAY_US), told, then }
}

const fn never(then: &'static str) -> Limit {
    Limit { longest_us: None, told: Who::Nobody, then }
}

/// The limit of a state.
#[must_use]
pub fn limit(state: State) -> Limit {
    match state {
        State::Queued => after(1, Who::Admin, "open the gate it waits at, or stop the payee: then it fails"),
        State::Sending | State::PayoutSending => after(1, Who::Admin, "see why the vendor does not answer"),
        State::Unknown | State::PayoutUnknown => {
            after(1, Who::Admin, "see why the vendor does not answer; it is looked up by itself")
        }
        State::Review | State::PayoutReview => after(1, Who::Admin, "settle by hand"),
        State::Processing => after(3, Who::Admin, "refresh; ask PayPal"),
        State::OnHold => after(3, Who::Admin, "refresh; give PayPal what it asks for"),
        State::Unclaimed => after(31, Who::Admin, "cancel at PayPal"),
        State::Transferred => {
            after(3, Who::Admin, "see why the money is not available; missing money goes to review by itself")
        }
        State::InTransit => after(7, Who::Admin, "refresh; ask Stripe"),
        State::Recalling => after(1, Who::Admin, "see why Stripe does not answer"),
        State::Failed => after(30, Who::Admin, "resubmit, return to the pool, or mark as paid outside"),
        State::PayoutFailed | State::PayoutCanceled => {
            after(30, Who::Admin, "resubmit, return to the pool, or settle the parked money by two people")
        }
        State::Returned | State::Blocked | State::Refunded | State::Reversed => {
            after(30, Who::Admin, "resubmit, return to the pool, or mark as paid outside")
        }
        State::WrittenOff => after(30, Who::Admin, "return to the pool, or mark as paid outside"),
        State::Success => never("watched for ten days, then done"),
        State::Recalled => never("done: its rewards are in the pool"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_looked_at_and_what_is_missing_is_counted_in_days() {
        let rows = [
            (WATCHED_US, 10, "a bank sends a payout back within about five business days"),
            (SETTLED_WATCHED_US, 30, "somebody may reverse a transfer that two people have settled"),
            (UNSEEN_US, 2, "the vendor shows nothing of it"),
            (MISSING_US, 2, "the balance does not hold it"),
            (UNAVAILABLE_US, 10, "the balance holds it and it does not become available"),
        ];
        for (limit_us, days, why) in rows {
            assert_eq!(limit_us, days * 24 * 60 * 60 * 1_000_000, "{why}");
        }
    }
}
