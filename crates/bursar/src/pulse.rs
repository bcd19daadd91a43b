//! Loop liveness: when each loop last finished a pass. Not here: what a loop does (`work`), its supervision
//! (`loop_watch`), and who is alerted when one is late (`web::health`).

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// When each loop of this process last finished a pass.
#[derive(Default)]
pub struct LoopHeartbeats(Mutex<BTreeMap<&'static str, Heartbeat>>);

struct Heartbeat {
    at: i64,
    limit_us: i64,
}

/// A loop's liveness as reported.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Age {
    pub name: &'static str,
    /// Microseconds since its last finished pass.
    pub age_us: i64,
    /// It has exceeded its limit.
    pub late: bool,
}

impl LoopHeartbeats {
    fn with<T>(&self, act: impl FnOnce(&mut BTreeMap<&'static str, Heartbeat>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A loop started or finished a pass; the next must finish within `limit`.
    pub fn record(&self, name: &'static str, limit: Duration, now: i64) {
        let limit_us = i64::try_from(limit.as_micros()).unwrap_or(i64::MAX);
        self.with(|beats| beats.insert(name, Heartbeat { at: now, limit_us }));
    }

    /// A loop stopped because it was asked to.
    pub fn end(&self, name: &'static str) {
        self.with(|beats| beats.remove(name));
    }

    pub fn ages(&self, now: i64) -> Vec<Age> {
        self.with(|beats| {
            let age = |(name, beat): (&&'static str, &Heartbeat)| {
                let age_us = now.saturating_sub(beat.at);
                Age { name, age_us, late: age_us > beat.limit_us }
            };
            beats.iter().map(age).collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_is_late_beyond_its_limit() {
        let pulse = LoopHeartbeats::default();
        pulse.record("sweep", Duration::from_secs(2), 0);
        let late = |now| pulse.ages(now).iter().map(|age| age.late).collect::<Vec<_>>();
        assert_eq!((late(2_000_000), late(2_000_001)), (vec![false], vec![true]));
        pulse.record("sweep", Duration::from_secs(2), 2_000_001);
        assert_eq!(late(2_000_002), [false]);
        pulse.end("sweep");
        assert!(late(i64::MAX).is_empty());
    }
}
