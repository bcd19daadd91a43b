//! Loop supervision: runs a loop's passes and restarts after a panic. Not here: what a loop does (`work`), and how long
//! ago each finished a pass (`pulse`).

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;
use tokio_util::sync::CancellationToken;

use crate::app::App;

/// The first backoff after a pass panics. It doubles up to [`LONGEST`] and resets once a pass finishes.
const FIRST: Duration = Duration::from_millis(500);

const LONGEST: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug)]
pub struct LoopWatch {
    /// Its name in logs and metrics.
    pub name: &'static str,
    /// The time limit for one pass.
    pub limit: Duration,
}

/// Runs passes until stopped or until one says it was the last. A panic is logged and counted, and the loop restarts
/// after a backoff. Its leases in the database lapse, as they do when a process dies.
pub async fn watch<F>(app: App, of: LoopWatch, stop: CancellationToken, mut pass: impl FnMut() -> F)
where
    F: Future<Output = bool>,
{
    let pulse = &app.nudge.pulse;
    pulse.record(of.name, of.limit, app.clock.now());
    let mut wait = FIRST;
    while !stop.is_cancelled() {
        match AssertUnwindSafe(pass()).catch_unwind().await {
            Ok(goes_on) => {
                pulse.record(of.name, of.limit, app.clock.now());
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
                    "a worker loop panicked and is restarted; its leases expire and its work is picked up again"
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
