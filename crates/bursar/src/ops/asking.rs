//! When a vendor is asked about a payment that has just changed. What is deliberately not here: when it is asked again after
//! it has answered and nothing has changed (`work::settle`).

use payout::transaction::State;

/// When the vendor is to be asked next. While the first byte of something is still to leave, nobody asks: the send itself is
/// driven on. A success is looked at more rarely, because a bank can still send it back, and so is money that lies in a
/// payee's balance, because somebody may take it back at the vendor, or its own schedule pay it out; at once where the vendor
/// has just refused to give it back, because it may be back already.
///
/// What was due already stays due, also when the payment has ended: an event that came in while the change was on its way
/// still waits for the vendor to be asked, and may tell more than the change does.
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
