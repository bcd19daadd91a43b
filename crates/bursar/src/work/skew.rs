//! How far our clock is off the vendors' clocks, measured from the `Date` of their responses.
//!
//! Look-ups use time as well as keys, and keys age by our clock, so with a wrong clock existing objects can seem
//! absent. Over 15 seconds off raises an alarm; over 30 seconds, nothing counts as absent: two nodes, one ahead and one
//! behind by that much, still make two look-ups a minute apart. Not here: correcting the clock, which only the machine
//! can do.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use vendors::http::Watch;

use crate::clock::Clock;

/// Above this, somebody should correct the clock.
const ALARM_US: i64 = 15_000_000;
/// Above this, nothing counts as absent.
const TOO_MUCH_US: i64 = 30_000_000;
/// How long a measurement is valid: a clock can be set at any time.
const FRESH_US: i64 = 60_000_000;
/// A `Date` has a resolution of one second and may be written at its beginning or its end.
const SECOND_US: i64 = 1_000_000;

/// The latest measurements. Clones share them.
#[derive(Clone, Default)]
pub struct Skew(Arc<Mutex<HashMap<&'static str, ClockOffset>>>);

#[derive(Clone, Copy, Default)]
struct ClockOffset {
    /// How far our clock was ahead.
    us: i64,
    at: i64,
}

impl Skew {
    /// Compares our clock with the named vendor's on every response.
    pub fn watch(&self, clock: &Clock, named: &'static str) -> Watch {
        let (skew, clock) = (self.clone(), clock.clone());
        Watch {
            clock: Arc::new(move || clock.now()),
            on_date: Arc::new(move |asked_at, answered_at, date| {
                if let Some(theirs) = crate::clock::http_date(date) {
                    skew.measured(named, between(asked_at, answered_at, theirs), answered_at);
                }
            }),
        }
    }

    fn measured(&self, named: &'static str, us: i64, at: i64) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = all.insert(named, ClockOffset { us, at }).unwrap_or_default().us;
        drop(all);
        if let Ok(seconds) = i32::try_from(us / SECOND_US) {
            metrics::gauge!("bursar_clock_skew_seconds", "vendor" => named).set(f64::from(seconds));
        }
        if us.abs() > ALARM_US && before.abs() <= ALARM_US {
            metrics::counter!("bursar_alarms_total").increment(1);
            let seconds = us / SECOND_US;
            tracing::error!(
                vendor = named,
                seconds,
                "this machine's clock and the vendor's differ; set it right (NTP): over 30 seconds nothing that was lost is called absent, and payments in doubt stay so"
            );
        }
    }

    /// How far our clock is ahead of a vendor's, in microseconds; negative if behind. `None` before the vendor's first
    /// response.
    pub fn of(&self, named: &str) -> Option<i64> {
        self.last(named).map(|last| last.us)
    }

    fn last(&self, named: &str) -> Option<ClockOffset> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(named).copied()
    }

    /// Whether a vendor's time was seen since that time and within the last minute. An earlier measurement says nothing
    /// about a clock that may have been set since.
    pub fn is_fresh(&self, named: &str, since: i64, now: i64) -> bool {
        self.last(named).is_some_and(|last| last.at >= since && (now - last.at).abs() <= FRESH_US)
    }

    /// How far our clock is behind a vendor's, in microseconds; 0 if it is not. By such a clock, a key seems younger
    /// than the vendor considers it.
    pub fn behind(&self, named: &str) -> i64 {
        self.of(named).map_or(0, |ahead| ahead.saturating_neg().max(0))
    }

    /// How far our clock is ahead of a vendor's, measured within the last minute; 0 if it is not, or without a
    /// measurement. A first use recorded by such a clock would seem recent again later.
    pub fn ahead(&self, named: &str, now: i64) -> i64 {
        let fresh = self.last(named).filter(|last| (now - last.at).abs() <= FRESH_US);
        fresh.map_or(0, |last| last.us.max(0))
    }

    /// Whether the difference to a vendor's clock is too large for anything to count as absent.
    pub fn too_much(&self, named: &str) -> bool {
        self.of(named).is_some_and(|us| us.abs() > TOO_MUCH_US)
    }
}

/// The minimum our clock must be off: the vendor wrote its time some time between request and answer, so a slow answer
/// is not skew.
fn between(asked_at: i64, answered_at: i64, theirs: i64) -> i64 {
    let (ahead, behind) = (asked_at - (theirs + SECOND_US), theirs - answered_at);
    if ahead > 0 { ahead } else { -behind.max(0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = SECOND_US;

    #[test]
    fn a_slow_answer_is_no_skew_and_a_wrong_clock_is() {
        let rows = [
            (100 * S, 100 * S, 100 * S, 0),
            (100 * S, 119 * S, 100 * S, 0),
            (100 * S, 119 * S, 118 * S, 0),
            (220 * S, 221 * S, 100 * S, 119 * S),
            (100 * S, 101 * S, 191 * S, -90 * S),
        ];
        for (asked, answered, theirs, expected) in rows {
            assert_eq!(between(asked, answered, theirs), expected, "{asked} {answered} {theirs}");
        }
    }

    #[test]
    fn only_a_clock_that_is_behind_is_behind() {
        let skew = Skew::default();
        assert_eq!(skew.behind("stripe"), 0);
        for (ahead, behind) in [(-3_600 * S, 3_600 * S), (3_600 * S, 0)] {
            skew.measured("stripe", ahead, 0);
            assert_eq!(skew.behind("stripe"), behind);
        }
    }

    #[test]
    fn what_was_measured_before_or_long_ago_is_not_fresh() {
        let skew = Skew::default();
        assert!(!skew.is_fresh("stripe", 0, 0));
        skew.measured("stripe", 0, 100 * S);
        assert!(skew.is_fresh("stripe", 100 * S, 160 * S));
        assert!(!skew.is_fresh("stripe", 101 * S, 160 * S), "before the doubt");
        assert!(!skew.is_fresh("stripe", 0, 161 * S), "long ago");
        assert!(!skew.is_fresh("stripe", 0, 39 * S), "the clock was set back");
    }

    #[test]
    fn a_clock_is_ahead_by_what_was_measured_lately() {
        let skew = Skew::default();
        assert_eq!(skew.ahead("stripe", 0), 0);
        for (us, ahead) in [(3_600 * S, 3_600 * S), (-3_600 * S, 0)] {
            skew.measured("stripe", us, 100 * S);
            assert_eq!((skew.ahead("stripe", 160 * S), skew.ahead("stripe", 161 * S)), (ahead, 0));
        }
    }

    #[test]
    fn half_a_minute_is_too_much() {
        let skew = Skew::default();
        assert!(!skew.too_much("stripe") && skew.of("stripe").is_none());
        for (us, too_much) in [(30 * S, false), (31 * S, true), (-31 * S, true), (0, false)] {
            skew.measured("stripe", us, 0);
            assert_eq!((skew.of("stripe"), skew.too_much("stripe")), (Some(us), too_much));
            assert!(!skew.too_much("paypal"));
        }
    }
}
