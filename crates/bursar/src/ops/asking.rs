//! When to poll the vendor about a payment whose state has just changed. Not here: the next poll when the vendor answered
//! and nothing changed (`work::settle`).

use payout::transaction::State;

/// When to poll the vendor next. No poll while a send is still outstanding: the send itself is retried. A successful
/// payment is polled less often, because a bank can still return it. So is money parked in a payee's balance, because it
/// can be taken back at the vendor, or paid out on the payee's own schedule. If the vendor has just refused to give parked
/// money back, poll at once: it may be back already.
///
/// A poll that is already due stays due, even if the payment has ended: an event that arrived in the meantime is still
/// waiting for it, and may reveal more than this change does.
pub(super) fn next((before, state): (State, State), due: Option<i64>, now: i64, poll_us: i64) -> Option<i64> {
    let waiting = due.filter(|at| *at <= now);
    match state {
        State::PayoutFailed | State::PayoutCanceled if before == State::Recalling => Some(now),
        State::PayoutFailed
        | State::PayoutCanceled
        | State::Recalling
        | State::WrittenOff
        | State::Success => waiting.or(Some(now.saturating_add(12 * poll_us))),
        State::Processing | State::OnHold | State::Unclaimed | State::InTransit => {
            waiting.or(Some(now.saturating_add(poll_us)))
        }
        State::Review
        | State::PayoutReview
        | State::Transferred
        | State::Failed
        | State::Recalled
        | State::Returned
        | State::Blocked
        | State::Refunded
        | State::Reversed => waiting,
        State::Queued | State::Sending | State::Unknown | State::PayoutSending | State::PayoutUnknown => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_event_asked_for_is_asked_though_the_payment_has_ended() {
        for ended in [State::Returned, State::Failed, State::Recalled, State::Refunded, State::Review] {
            assert_eq!(next((State::Unclaimed, ended), Some(5), 10, 60), Some(5), "{ended:?}");
            assert_eq!(
                next((State::Unclaimed, ended), Some(70), 10, 60),
                None,
                "a poll is not needed any more"
            );
            assert_eq!(next((State::Unclaimed, ended), None, 10, 60), None);
        }
        assert_eq!(next((State::Unclaimed, State::Success), Some(5), 10, 60), Some(5));
        assert_eq!(next((State::Queued, State::Sending), Some(5), 10, 60), None, "its sending is driven on");
    }
}
