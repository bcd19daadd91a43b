//! Whether a vendor may be called now: the patience it asked for, and a circuit breaker. When several calls in a row got no
//! answer, only one at a time is made until one is answered, so that a vendor that hangs costs one request's time-out
//! instead of everybody's. What is remembered here is a courtesy of this process: nothing is decided about money by it.
//!
//! What is deliberately not here: how fast a vendor that answers is called (`pace`), and what an answer means.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use payout::money::Vendor;
use vendors::ReadError;

/// The two kinds of calls, each with a patience and a breaker of its own: questions that are refused must not hold up
/// payments.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Calls {
    Money,
    Reads,
}

/// So many calls in a row without an answer open the breaker.
const SILENT: u32 = 5;
/// No second probe is made while one may still be on the wire.
const PROBE_US: i64 = 20_000_000;
/// The wait after the first probe without an answer; it doubles, up to [`LONGEST_US`].
const FIRST_WAIT_US: i64 = 1_000_000;
const LONGEST_US: i64 = 30_000_000;
/// Patience beyond this is told of: payments stand still for it, and nobody has looked why.
const LONG_PATIENCE_US: i64 = 600_000_000;
/// A time before one that was seen already by more than this is that of a clock that was set back.
const SET_BACK_US: i64 = 600_000_000;

#[derive(Default)]
struct Line {
    /// The latest time that was seen, by which the others were noted.
    seen_at: i64,
    /// The vendor asked for patience until then.
    held_until: i64,
    /// How many calls in a row got no answer.
    silent: u32,
    /// With an open breaker: when the next probe may be made.
    probe_at: i64,
}

impl Line {
    fn open(&self) -> bool {
        self.silent >= SILENT
    }

    /// It is this time now. Where the clock was set back, what is waited for moves back with it.
    fn at(&mut self, now: i64) {
        let back = self.seen_at.saturating_sub(now);
        if self.seen_at > 0 && back > SET_BACK_US {
            (self.held_until, self.probe_at) = (self.held_until - back, self.probe_at - back);
            self.seen_at = now;
        }
        self.seen_at = self.seen_at.max(now);
    }
}

/// How each vendor can be reached, by kind of call.
#[derive(Default)]
pub(super) struct Reach(Mutex<HashMap<(Vendor, Calls), Line>>);

impl Reach {
    fn with<T>(&self, vendor: Vendor, calls: Calls, act: impl FnOnce(&mut Line) -> T) -> T {
        act(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry((vendor, calls)).or_default())
    }

    /// The vendor asked for patience. What it asks of payments holds for questions too; what it asks of questions does
    /// not hold up payments.
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

    /// Whether this patience is worth an alarm: long, and longer than what was granted already.
    fn asks_for_much(&self, vendor: Vendor, calls: Calls, until: i64, now: i64) -> bool {
        let held = self.with(vendor, calls, |line| line.held_until);
        until - now > LONG_PATIENCE_US && until - held > LONG_PATIENCE_US
    }

    /// How many calls may be begun now, at most `most`: none while the vendor asked for patience or a probe is on its way,
    /// one as a probe.
    pub(super) fn room(&self, vendor: Vendor, calls: Calls, now: i64, most: i64) -> i64 {
        self.with(vendor, calls, |line| {
            line.at(now);
            match (line.held_until > now, line.open()) {
                (true, _) => 0,
                (false, false) => most,
                (false, true) => i64::from(line.probe_at <= now).min(most),
            }
        })
    }

    /// Asks to begin one call. `false`: not now.
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

    /// A call was answered, whatever the answer was.
    pub(super) fn answered(&self, vendor: Vendor, calls: Calls) {
        let was_open = self.with(vendor, calls, |line| {
            let was_open = line.open();
            line.silent = 0;
            was_open
        });
        if was_open {
            tracing::info!(vendor = vendor.as_str(), ?calls, "the vendor answers again");
        }
    }

    /// A call got no answer.
    pub(super) fn silent(&self, vendor: Vendor, calls: Calls, now: i64) {
        let just_opened = self.with(vendor, calls, |line| {
            line.at(now);
            line.silent = line.silent.saturating_add(1);
            let probes = line.silent.saturating_sub(SILENT).min(16);
            line.probe_at = now.saturating_add((FIRST_WAIT_US << probes).min(LONGEST_US));
            line.silent == SILENT
        });
        if just_opened {
            tracing::warn!(
                vendor = vendor.as_str(),
                ?calls,
                "the vendor has not answered several calls in a row; it is called one at a time until it does"
            );
        }
    }

    /// What the answer to a question says of the vendor as a whole.
    pub(super) fn learn<T>(&self, vendor: Vendor, answer: &Result<T, ReadError>, now: i64) {
        match answer {
            Err(ReadError::Unreachable(_)) => self.silent(vendor, Calls::Reads, now),
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
        let reach = Reach::default();
        for _ in 0..SILENT {
            assert_eq!(reach.room(Vendor::Stripe, Calls::Money, 0, 60), 60);
            assert!(reach.begin(Vendor::Stripe, Calls::Money, 0));
            reach.silent(Vendor::Stripe, Calls::Money, 0);
        }
        assert_eq!(reach.room(Vendor::Stripe, Calls::Money, 0, 60), 0);
        assert!(!reach.begin(Vendor::Stripe, Calls::Money, 0));
        assert_eq!(reach.room(Vendor::Stripe, Calls::Money, SECOND, 60), 1);
        assert!(reach.begin(Vendor::Stripe, Calls::Money, SECOND), "the probe");
        assert!(!reach.begin(Vendor::Stripe, Calls::Money, 2 * SECOND), "the probe is still on the wire");
        assert_eq!(reach.room(Vendor::PayPal, Calls::Money, 0, 60), 60, "the other vendor's");
        assert_eq!(reach.room(Vendor::Stripe, Calls::Reads, 0, 60), 60, "the other kind");
        reach.answered(Vendor::Stripe, Calls::Money);
        assert_eq!(reach.room(Vendor::Stripe, Calls::Money, 2 * SECOND, 60), 60);
    }

    #[test]
    fn probes_come_at_growing_distances_up_to_half_a_minute() {
        let reach = Reach::default();
        (0..SILENT + 40).for_each(|_| reach.silent(Vendor::PayPal, Calls::Reads, 0));
        assert_eq!(reach.room(Vendor::PayPal, Calls::Reads, LONGEST_US - 1, 60), 0);
        assert_eq!(reach.room(Vendor::PayPal, Calls::Reads, LONGEST_US, 60), 1);
    }

    #[test]
    fn a_clock_that_is_set_back_keeps_nobody_waiting() {
        let (reach, hours) = (Reach::default(), 5 * 3_600 * SECOND);
        (0..SILENT).for_each(|_| reach.silent(Vendor::Stripe, Calls::Reads, hours));
        assert_eq!(reach.room(Vendor::Stripe, Calls::Reads, hours, 60), 0);
        assert_eq!(reach.room(Vendor::Stripe, Calls::Reads, SECOND, 60), 0, "the probe is a second away");
        assert_eq!(reach.room(Vendor::Stripe, Calls::Reads, 3 * SECOND, 60), 1);
        reach.room(Vendor::PayPal, Calls::Money, hours, 1);
        reach.hold(Vendor::PayPal, Calls::Money, hours + 30 * SECOND, hours);
        assert!(!reach.begin(Vendor::PayPal, Calls::Money, 20 * SECOND), "its patience is kept");
        assert!(reach.begin(Vendor::PayPal, Calls::Money, 51 * SECOND));
    }

    #[test]
    fn questions_wait_when_payments_must_and_not_the_other_way_round() {
        let reach = Reach::default();
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
        let reach = Reach::default();
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
