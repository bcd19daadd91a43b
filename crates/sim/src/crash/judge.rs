//! Checks the final state: nothing is left open, the program's own checks pass, and the invariants hold against the
//! vendors' books. Not here: the workload (`errand`).

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use sqlx::Row as _;

use super::place::Place;
use crate::invariants;
use crate::outside::Outside;

/// The time limit until nothing is open.
const PATIENCE: Duration = Duration::from_secs(60);

/// Counts unfinished work, by kind.
const OPEN: &str = "SELECT 'requests', COUNT(*) FROM submission WHERE state IN ('intended', 'unknown', 'looking') \
    UNION ALL SELECT 'attempts', COUNT(*) FROM attempt WHERE state = 'queued' \
    UNION ALL SELECT 'payments', COUNT(*) FROM payout_transaction WHERE state NOT IN ('success', 'failed', \
        'payout_failed', 'payout_canceled', 'recalled', 'returned', 'blocked', 'refunded', 'reversed', 'written_off') \
    UNION ALL SELECT 'events', COUNT(*) FROM vendor_event WHERE parked_at IS NULL AND applied_at IS NULL";

/// On PostgreSQL audit rows are chained after the commit.
const UNCHAINED: &str = "SELECT 'rows of the trail', COUNT(*) FROM audit_waiting";

/// Unprocessed events, each with its payment.
const WAITING: &str = "SELECT e.event_type, e.received_at, e.linked_at, t.number, t.state, t.ask_at \
    FROM vendor_event e LEFT JOIN payout_transaction t ON t.id = e.transaction_id \
    WHERE e.parked_at IS NULL AND e.applied_at IS NULL";

/// Waits until nothing is open and nothing is due.
///
/// # Errors
/// What is still open after a minute.
pub async fn settled(place: &Place) -> Result<(), String> {
    let outside = Outside::of(&place.database_url).await;
    let mut last = String::new();
    let waits = async {
        loop {
            let mut open = outside.rows(OPEN).await;
            if place.engine() == "postgres" {
                open.extend(outside.rows(UNCHAINED).await);
            }
            let open = open.iter().map(|row| (row.get::<String, _>(0), row.get::<i64, _>(1)));
            let open: Vec<String> =
                open.filter(|(_, count)| *count > 0).map(|(kind, count)| format!("{count} {kind}")).collect();
            let due = outside.next_due().await.into_iter().flatten().min().unwrap_or(i64::MAX);
            if open.is_empty() && due > place.now() {
                return;
            }
            last = format!("{}; next due in {} ms", open.join(", "), (due - place.now()) / 1_000);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let done = tokio::time::timeout(PATIENCE, waits).await;
    let events = match done {
        Ok(()) => Vec::new(),
        Err(_) => outside.texts(WAITING, "type,received,linked,payment,state,asked").await,
    };
    outside.close().await;
    done.map_err(|_| format!("not everything ends: {last}; it is {}; {}", place.now(), events.join("; ")))
}

/// The findings of the program's own commands.
pub async fn commands(place: &Place, binary: &Path) -> Vec<String> {
    let mut violations = Vec::new();
    for words in [&["verify"][..], &["audit", "verify"]] {
        let mut command = Command::new(binary);
        command.args(words).arg(format!("--database-url={}", place.database_url));
        command.arg(format!("--master-key-file={}", place.key_files[0].display()));
        let run = tokio::task::spawn_blocking(move || command.output());
        match run.await {
            Ok(Ok(done)) if done.status.success() => {}
            Ok(Ok(done)) => violations.push(format!(
                "bursar {}: {}{}",
                words.join(" "),
                String::from_utf8_lossy(&done.stdout),
                String::from_utf8_lossy(&done.stderr)
            )),
            other => violations.push(format!("bursar {} could not be run: {other:?}", words.join(" "))),
        }
    }
    violations
}

/// Violations according to the vendors' books and the database, and forbidden content in the log.
pub async fn broken(place: &Place) -> Vec<String> {
    let outside = Outside::of(&place.database_url).await;
    let mut violations = invariants::broken_by(&outside, place.known()).await;
    outside.close().await;
    let log = place.logged();
    violations
        .extend(log.lines().filter(|line| line.contains("panicked")).map(|line| format!("the log: {line}")));
    violations
}

/// The lines that only one of the two texts has.
pub fn difference(expected: &str, found: &str) -> String {
    let missing = expected.lines().filter(|line| !found.lines().any(|other| other == *line));
    let missing = missing.map(|line| format!("  - {line}"));
    let more = found.lines().filter(|line| !expected.lines().any(|other| other == *line));
    missing.chain(more.map(|line| format!("  + {line}"))).collect::<Vec<_>>().join("\n")
}
