//! Whether a vendor may be called now: its Retry-After, and a circuit breaker. After several calls in a row without a
//! response, only one probe at a time goes out until one is answered, so a vendor that hangs costs one timeout instead
//! of one per call. This state is per process and only a courtesy: no decision about money depends on it.
//!
//! Not here: the rate at which a responsive vendor is called (`pace`), and what an answer means.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use payout::money::Vendor;
use vendors::ReadError;

/// The two kinds of calls, each with its own hold and breaker: refused reads must not hold up payments.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Calls {
    Money,
    Reads,
}

/// This many calls in a row without a response open the breaker.
const OPEN_AFTER: u32 = 5;
/// No second probe while one may still be in flight.
const PROBE_US: i64 = 20_000_000;
/// The wait after the first unanswered probe; it doubles up to [`LONGEST_US`].
const FIRST_WAIT_US: i64 = 1_000_000;
const LONGEST_US: i64 = 30_000_000;
/// A hold longer than this raises an alarm: payments are stopped, and someone should find out why.
const LONG_PATIENCE_US: i64 = 600_000_000;
/// If the time is earlier than the latest one seen by more than this, the clock was set back.
const SET_BACK_US: i64 = 600_000_000;

#[derive(Default)]
struct CallState {
    /// The latest time seen; the other times are relative to it.
    seen_at: i64,
    /// The vendor asked us not to call before this time.
    held_until: i64,
    /// Consecutive calls without a response.
    unanswered: u32,
    /// With an open breaker: when the next probe may go out.
    probe_at: i64,
}

impl CallState {
    fn open(&self) -> bool {
        self.unanswered >= OPEN_AFTER
    }

    /// Updates the current time. If the clock was set back, the deadlines move back with it.
    fn at(&mut self, now: i64) {
        let back = self.seen_at.saturating_sub(now);
        if self.seen_at > 0 && back > SET_BACK_US {
            (self.held_until, self.probe_at) = (self.held_until - back, self.probe_at - back);
            self.seen_at = now;
        }
        self.seen_at = self.seen_at.max(now);
    }
}

/// The state of each vendor's calls, by kind.
#[derive(Default)]
pub(super) struct VendorReach(Mutex<HashMap<(Vendor, Calls), CallState>>);

impl VendorReach {
    fn with<T>(&self, vendor: Vendor, calls: Calls, act: impl FnOnce(&mut CallState) -> T) -> T {
        act(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry((vendor, calls)).or_default())
    }

    /// The vendor asked us to wait. A hold on payments also holds reads; a hold on reads does not hold payments.
    pub(super) fn hold(&self, vendor: Vendor, calls: Calls, until: i64, now: i64) {
        if self.asks_for_much(vendor, calls, until, now) {
            tracing::error!(
                vendor = vendor.as_str(),
                ?calls,
                minutes = (until - now) / 60_000_000,
                "the vendor asks not to be called for long; nothing is sent to it until then and nothing has failed. Ask the vendor why, or restart Bursar to try at once"
            );
            metrics::counter!("bursar_alarms_total").increment(1);
        }
        let also = match calls {
            Calls::Money => &[Calls::Money, Calls::Reads][..],
            Calls::Reads => &[Calls::Reads][..],
        };
        for calls in also {
            self.with(vendor, *calls, |line| line.held_until = line.held_until.max(until));
        }
    }

    /// Whether this hold is worth an alarm: long, and much longer than the current one.
    fn asks_for_much(&self, vendor: Vendor, calls: Calls, until: i64, now: i64) -> bool {
        let held = self.with(vendor, calls, |line| line.held_until);
        until - now > LONG_PATIENCE_US && until - held > LONG_PATIENCE_US
    }

    /// How many calls may start now, at most `most`: none while the vendor asked us to wait or a probe is in flight,
    /// and one as a probe while the breaker is open.
    pub(super) fn capacity(&self, vendor: Vendor, calls: Calls, now: i64, most: i64) -> i64 {
        self.with(vendor, calls, |line| {
            line.at(now);
            match (line.held_until > now, line.open()) {
                (true, _) => 0,
                (false, false) => most,
                (false, true) => i64::from(line.probe_at <= now).min(most),
            }
        })
    }

    /// Reserves one call. `false`: not now.
    pub(super) fn begin(&self, vendor: Vendor, calls: Calls, now: i64) -> bool {
        self.with(vendor, calls, |line| {
            line.at(now);
            if line.held_until > now || (line.open() && line.probe_at > now) {
                return false;
            }
            if line.open() {
                line.probe_at = now.saturating_add(PROBE_US);
            }
            true
        })
    }

    /// A call got a response, whatever it was.
    pub(super) fn answered(&self, vendor: Vendor, calls: Calls) {
        let was_open = self.with(vendor, calls, |line| {
            let was_open = line.open();
            line.unanswered = 0;
            was_open
        });
        if was_open {
            tracing::info!(vendor = vendor.as_str(), ?calls, "the vendor answers again");
        }
    }

    /// A call got no response.
    pub(super) fn record_no_response(&self, vendor: Vendor, calls: Calls, now: i64) {
        let just_opened = self.with(vendor, calls, |line| {
            line.at(now);
            line.unanswered = line.unanswered.saturating_add(1);
            let probes = line.unanswered.saturating_sub(OPEN_AFTER).min(16);
            line.probe_at = now.saturating_add((FIRST_WAIT_US << probes).min(LONGEST_US));
            line.unanswered == OPEN_AFTER
        });
        if just_opened {
            tracing::warn!(
                vendor = vendor.as_str(),
                ?calls,
                "the vendor has not answered several calls in a row; it is called one at a time until it does"
            );
        }
    }

    /// Updates the state from the response to a read.
    pub(super) fn learn<T>(&self, vendor: Vendor, answer: &Result<T, ReadError>, now: i64) {
        match answer {
            Err(ReadError::Unreachable(_)) => self.record_no_response(vendor, Calls::Reads, now),
            Err(ReadError::RateLimited { retry_after_s }) => {
                self.answered(vendor, Calls::Reads);
                let seconds = retry_after_s.unwrap_or(1);
                let patience = i64::try_from(seconds).unwrap_or(60).saturating_mul(1_000_000);
                self.hold(vendor, Calls::Reads, now.saturating_add(patience), now);
            }
            Ok(_)
            | Err(
                ReadError::Missing
                | ReadError::Credentials(_)
                | ReadError::Refused { .. }
                | ReadError::Unreadable(_),
            ) => self.answered(vendor, Calls::Reads),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    #[test]
    fn an_open_breaker_lets_one_probe_through_until_one_is_answered() {
        let reach = VendorReach::default();
        for _ in 0..OPEN_AFTER {
            assert_eq!(reach.capacity(Vendor::Stripe, Calls::Money, 0, 60), 60);
            assert!(reach.begin(Vendor::Stripe, Calls::Money, 0));
            reach.record_no_response(Vendor::Stripe, Calls::Money, 0);
        }
        assert_eq!(reach.capacity(Vendor::Stripe, Calls::Money, 0, 60), 0);
        assert!(!reach.begin(Vendor::Stripe, Calls::Money, 0));
        assert_eq!(reach.capacity(Vendor::Stripe, Calls::Money, SECOND, 60), 1);
        assert!(reach.begin(Vendor::Stripe, Calls::Money, SECOND), "the probe");
        assert!(!reach.begin(Vendor::Stripe, Calls::Money, 2 * SECOND), "the probe is still on the wire");
        assert_eq!(reach.capacity(Vendor::PayPal, Calls::Money, 0, 60), 60, "the other vendor's");
        assert_eq!(reach.capacity(Vendor::Stripe, Calls::Reads, 0, 60), 60, "the other kind");
        reach.answered(Vendor::Stripe, Calls::Money);
        assert_eq!(reach.capacity(Vendor::Stripe, Calls::Money, 2 * SECOND, 60), 60);
    }

    #[test]
    fn probes_come_at_growing_distances_up_to_half_a_minute() {
        let reach = VendorReach::default();
        (0..OPEN_AFTER + 40).for_each(|_| reach.record_no_response(Vendor::PayPal, Calls::Reads, 0));
        assert_eq!(reach.capacity(Vendor::PayPal, Calls::Reads, LONGEST_US - 1, 60), 0);
        assert_eq!(reach.capacity(Vendor::PayPal, Calls::Reads, LONGEST_US, 60), 1);
    }

    #[test]
    fn a_clock_that_is_set_back_keeps_nobody_waiting() {
        let (reach, hours) = (VendorReach::default(), 5 * 3_600 * SECOND);
        (0..OPEN_AFTER).for_each(|_| reach.record_no_response(Vendor::Stripe, Calls::Reads, hours));
        assert_eq!(reach.capacity(Vendor::Stripe, Calls::Reads, hours, 60), 0);
        assert_eq!(reach.capacity(Vendor::Stripe, Calls::Reads, SECOND, 60), 0, "the probe is a second away");
        assert_eq!(reach.capacity(Vendor::Stripe, Calls::Reads, 3 * SECOND, 60), 1);
        reach.capacity(Vendor::PayPal, Calls::Money, hours, 1);
        reach.hold(Vendor::PayPal, Calls::Money, hours + 30 * SECOND, hours);
        assert!(!reach.begin(Vendor::PayPal, Calls::Money, 20 * SECOND), "its patience is kept");
        assert!(reach.begin(Vendor::PayPal, Calls::Money, 51 * SECOND));
    }

    #[test]
    fn questions_wait_when_payments_must_and_not_the_other_way_round() {
        let reach = VendorReach::default();
        let limited: Result<(), ReadError> = Err(ReadError::RateLimited { retry_after_s: Some(30) });
        reach.learn(Vendor::Stripe, &limited, 0);
        assert!(!reach.begin(Vendor::Stripe, Calls::Reads, 29 * SECOND));
        assert!(reach.begin(Vendor::Stripe, Calls::Money, 0));
        reach.hold(Vendor::Stripe, Calls::Money, 60 * SECOND, 0);
        assert!(!reach.begin(Vendor::Stripe, Calls::Reads, 59 * SECOND));
        assert!(reach.begin(Vendor::Stripe, Calls::Reads, 60 * SECOND));
    }

    #[test]
    fn long_patience_is_told_of_once() {
        let reach = VendorReach::default();
        let asks = |minutes: i64, now: i64| {
            let until = now + minutes * 60 * SECOND;
            let much = reach.asks_for_much(Vendor::Stripe, Calls::Money, until, now);
            reach.hold(Vendor::Stripe, Calls::Money, until, now);
            much
        };
        assert!(!asks(10, 0));
        assert!(asks(60, 0));
        assert!(!asks(60, SECOND), "the same once more");
        assert!(asks(1_440, 2 * SECOND));
        assert!(!reach.begin(Vendor::Stripe, Calls::Money, 1_440 * 60 * SECOND));
        assert!(reach.begin(Vendor::Stripe, Calls::Money, 1_440 * 60 * SECOND + 2 * SECOND));
    }
}
