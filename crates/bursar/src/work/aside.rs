//! What a pass does when one row fails: it bisects the set until the failing row is alone, sets that row aside with an
//! alarm, and continues with the rest. Not here: errors of the database itself, which end the pass.

use crate::ops::{OpsError, Result};
use crate::store::aside;
use crate::store::submissions::Submission;
use crate::transact;

use super::Work;

/// Retry rows that were set aside after this long.
const AGAIN_US: i64 = 3_600_000_000;

/// Whether an error is about a row, not about the database.
pub(super) fn about_a_row(error: &OpsError) -> bool {
    match error {
        OpsError::Internal(error) => error.about_a_row(),
        // A constraint that a row violates every time. A conflict between two workers does not recur on the next try.
        OpsError::Missing | OpsError::Conflict(_) => true,
        OpsError::Refused(_) | OpsError::Blocked(_) | OpsError::Unreachable(_) => false,
    }
}

/// The subsets still to be tried.
pub(super) struct Bisection(Vec<Vec<String>>);

impl Bisection {
    pub(super) fn of(ids: Vec<String>) -> Self {
        Self(if ids.is_empty() { Vec::new() } else { vec![ids] })
    }

    pub(super) fn next(&mut self) -> Option<Vec<String>> {
        self.0.pop()
    }

    /// A subset failed: tries its halves next. Returns the failing id if it was alone.
    pub(super) fn failed(&mut self, mut part: Vec<String>) -> Option<String> {
        if part.len() < 2 {
            return part.pop();
        }
        let second = part.split_off(part.len() / 2);
        self.0.extend([second, part]);
        None
    }
}

/// What was to be done with the row that is set aside.
#[derive(Clone, Copy)]
pub(super) enum AsideKind {
    Queued,
    /// Ask the vendor about a payment.
    Asked,
    /// Look at what an event names, by the submission's id.
    Named,
}

/// Sets a row aside: it is shown as set aside, reported as stuck, and retried in an hour.
pub(super) async fn put(work: &Work, was: AsideKind, id: &str, error: &OpsError) -> Result<()> {
    let (app, why) = (&work.app, alarm(id, error));
    transact!(app, |tx| {
        let now = app.clock.now();
        match was {
            AsideKind::Queued => aside::attempt(tx, id, &why, now + AGAIN_US, now).await?,
            AsideKind::Asked => aside::question(tx, id, &why, now + AGAIN_US, now).await?,
            AsideKind::Named => aside::named(tx, id, &why, now + AGAIN_US, now).await?,
        }
        Ok(())
    })
}

/// The same for everything a leased submission carries. If it was sent but its answer could not be recorded, it stays
/// in doubt: sending the same bytes under the same idempotency key returns the answer again.
pub(super) async fn put_sent(work: &Work, of: &Submission, error: &OpsError) -> Result<()> {
    let (app, why) = (&work.app, alarm(&of.key, error));
    transact!(app, |tx| {
        let now = app.clock.now();
        Ok(aside::submission(tx, (&of.id, of.fence), &why, now + AGAIN_US, now).await?)
    })
}

fn alarm(id: &str, error: &OpsError) -> String {
    let why = format!("{error:?}");
    tracing::error!(
        id,
        why,
        "a record cannot be processed; it is set aside for an hour, and the others continue"
    );
    metrics::counter!("bursar_alarms_total").increment(1);
    why
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guilty_one_is_found_and_the_others_are_each_tried() {
        let mut halves = Bisection::of((0..100).map(|id| id.to_string()).collect());
        let (mut good, mut guilty, mut tries) = (0, Vec::new(), 0);
        while let Some(part) = halves.next() {
            tries += 1;
            if part.iter().any(|id| id == "41" || id == "77") {
                guilty.extend(halves.failed(part));
            } else {
                good += part.len();
            }
        }
        assert_eq!((good, guilty), (98, vec!["41".to_owned(), "77".to_owned()]));
        assert!(tries < 32, "{tries}");
    }
}
