//! Whether the loops are alive: when each last finished a pass, and the watch that begins a pass again which panicked.
//!
//! What is deliberately not here: what a loop does (`work`), and who is told that one is late (`web::health`).

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use tokio_util::sync::CancellationToken;

use crate::app::App;

/// The first wait after a pass that panicked; it doubles, up to [`LONGEST`], until a pass is finished again.
const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(60);

/// When each loop of this process last finished a pass.
#[derive(Default)]
pub struct Pulse(Mutex<BTreeMap<&'static str, Beat>>);

struct Beat {
    at: i64,
    limit_us: i64,
}

/// A loop as it is told of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Age {
    /// Its name.
    pub name: &'static str,
    /// How long ago it finished a pass, in microseconds.
    pub age_us: i64,
    /// It should have finished one since.
    pub late: bool,
}

impl Pulse {
    fn with<T>(&self, act: impl FnOnce(&mut BTreeMap<&'static str, Beat>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A loop has begun, or has finished a pass; it finishes the next within the limit.
    pub fn beat(&self, name: &'static str, limit: Duration, now: i64) {
        let limit_us = i64::try_from(limit.as_micros()).unwrap_or(i64::MAX);
        self.with(|beats| beats.insert(name, Beat { at: now, limit_us }));
    }

    /// A loop has ended because it was asked to.
    pub fn end(&self, name: &'static str) {
        self.with(|beats| beats.remove(name));
    }

    /// Every loop that runs.
    #[must_use]
    pub fn ages(&self, now: i64) -> Vec<Age> {
        self.with(|beats| {
            let age = |(name, beat): (&&'static str, &Beat)| {
                let age_us = now.saturating_sub(beat.at);
                Age { name, age_us, late: age_us > beat.limit_us }
            };
            beats.iter().map(age).collect()
        })
    }
}

/// A loop under watch.
#[derive(Clone, Copy, Debug)]
pub struct Watched {
    /// Its name in the log and the metrics.
    pub name: &'static str,
    /// Within what time each pass ends.
    pub limit: Duration,
}

/// Runs passes until the stop, or until one says that it was the last. A pass that panics is told of, counted and begun
/// again after a while: what it held in the database lapses by itself, as it does when a process dies.
pub async fn watch<F>(app: App, of: Watched, stop: CancellationToken, mut pass: impl FnMut() -> F)
where
    F: Future<Output = bool>,
{
    let pulse = &app.nudge.pulse;
    pulse.beat(of.name, of.limit, app.clock.now());
    let mut wait = FIRST;
    while !stop.is_cancelled() {
        match AssertUnwindSafe(pass()).catch_unwind().await {
            Ok(goes_on) => {
                pulse.beat(of.name, of.limit, app.clock.now());
                wait = FIRST;
                if !goes_on {
                    break;
                }
            }
            Err(panic) => {
                let words = panic.downcast_ref::<&str>().copied();
                let words = words.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
                tracing::error!(
                    name = of.name,
                    panic = words.unwrap_or("without words"),
                    "a loop panicked and is begun again; what it held lapses and is driven on"
                );
                metrics::counter!("bursar_loop_panics_total", "loop" => of.name).increment(1);
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(wait) => {}
                }
                wait = wait.saturating_mul(2).min(LONGEST);
            }
        }
    }
    pulse.end(of.name);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_is_late_beyond_its_limit() {
        let pulse = Pulse::default();
        pulse.beat("sweep", Duration::from_secs(2), 0);
        let late = |now| pulse.ages(now).iter().map(|age| age.late).collect::<Vec<_>>();
        assert_eq!((late(2_000_000), late(2_000_001)), (vec![false], vec![true]));
        pulse.beat("sweep", Duration::from_secs(2), 2_000_001);
        assert_eq!(late(2_000_002), [false]);
        pulse.end("sweep");
        assert!(late(i64::MAX).is_empty());
    }
}
