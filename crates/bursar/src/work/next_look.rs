//! When a payment is polled next, by its state and what its vendor has shown. Not here: polling (`settle`), and
//! deadlines for people (`payout::deadline`).

use payout::deadline;
use payout::transaction::State;

use crate::store::transactions::Transaction;

const DAY_US: i64 = 86_400_000_000;

/// A success is polled after twelve poll intervals, then after six times as long, then daily, and once at the end of
/// the watch: returns are reported by events, and polling covers lost ones. Polling hourly for ten days would take 240
/// reads per payment, which at ten thousand payments a day would use up all capacity.
fn watched(now: i64, settled: i64, poll_us: i64) -> Option<i64> {
    let (first, end) = (12 * poll_us, settled.saturating_add(deadline::WATCHED_US));
    let looks = [first, 7 * first].map(|after| settled.saturating_add(after));
    let next = looks.into_iter().find(|at| *at > now).unwrap_or(now.saturating_add(DAY_US.max(first)));
    (now < end).then(|| next.min(end))
}

/// An object the vendor does not show is polled with increasing delays while a person looks for it too: it may become
/// visible again. A success is polled only while it is watched.
pub(super) fn unseen_next(of: &Transaction, since: i64, now: i64, longest: i64) -> Option<i64> {
    let wait = more_rarely(since, now, longest);
    let looked_for = matches!(of.state, State::Review | State::PayoutReview);
    (looked_for || next_at(of, now, wait).is_some()).then(|| now.saturating_add(wait))
}

/// Every minute at first, then hourly, then daily.
pub(super) fn more_rarely(since: i64, now: i64, longest: i64) -> i64 {
    let age = now.saturating_sub(since);
    let wait = match age {
        ..HOUR_US => longest.clamp(MINUTE_US, HOUR_US),
        HOUR_US..DAY_US => HOUR_US,
        _ => DAY_US,
    };
    // Never past the time at which a person takes over.
    if age < deadline::UNSEEN_US { wait.min(deadline::UNSEEN_US - age) } else { wait }
}

const MINUTE_US: i64 = 60_000_000;
const HOUR_US: i64 = 60 * MINUTE_US;

pub(super) fn next_at(transaction: &Transaction, now: i64, poll_us: i64) -> Option<i64> {
    if payout::planted::on("lost_news_lost") {
        return None;
    }
    match transaction.state {
        State::Success => watched(now, transaction.settled_at.unwrap_or(now), poll_us),
        State::Processing | State::OnHold | State::Unclaimed | State::InTransit => {
            Some(now.saturating_add(poll_us))
        }
        // Somebody may reverse it at the vendor at any time.
        State::PayoutFailed | State::PayoutCanceled | State::Recalling => {
            let age = now.saturating_sub(transaction.state_at);
            Some(now.saturating_add(if age < DAY_US { 12 * poll_us } else { DAY_US }))
        }
        // A payment two people settled may still be reversed at the vendor; after a month, only an event reports it.
        State::WrittenOff => {
            let age = now.saturating_sub(transaction.state_at);
            (age < deadline::SETTLED_WATCHED_US).then_some(now.saturating_add(DAY_US))
        }
        State::Queued
        | State::Sending
        | State::Unknown
        | State::Review
        | State::Transferred
        | State::PayoutSending
        | State::PayoutUnknown
        | State::PayoutReview
        | State::Failed
        | State::Recalled
        | State::Returned
        | State::Blocked
        | State::Refunded
        | State::Reversed => None,
    }
}

/// Whether to read the transfer as well: somebody can reverse it at Stripe at any time. If the money is in the payee's
/// balance, it is read every time; for a success, once a day.
pub(super) fn asks_for_transfer(of: &Transaction, now: i64) -> bool {
    match of.state {
        State::Transferred
        | State::PayoutSending
        | State::PayoutUnknown
        | State::PayoutReview
        | State::PayoutFailed
        | State::PayoutCanceled
        | State::Recalling
        | State::WrittenOff => true,
        State::Success => of.asked.as_ref().is_none_or(|(at, _)| at / DAY_US != now / DAY_US),
        State::Queued
        | State::Sending
        | State::Unknown
        | State::Review
        | State::Processing
        | State::OnHold
        | State::Unclaimed
        | State::InTransit
        | State::Failed
        | State::Recalled
        | State::Returned
        | State::Blocked
        | State::Refunded
        | State::Reversed => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_success_is_asked_about_a_dozen_times_and_a_last_time_at_the_end() {
        let poll_us = 300_000_000;
        let (mut now, mut looks) = (0, Vec::new());
        while let Some(next) = watched(now, 0, poll_us) {
            looks.push(next);
            now = next;
        }
        assert_eq!(looks.first(), Some(&3_600_000_000));
        assert_eq!(looks.last(), Some(&deadline::WATCHED_US));
        assert!(looks.len() <= 15, "{looks:?}");
    }
}
