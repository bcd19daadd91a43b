//! What a pass does when it trips over a row: the set is halved until the guilty row is alone; that one is set aside, with
//! an alarm, and the others go on. What is deliberately not here: errors of the database itself, which end the pass.

use crate::ops::{OpsError, Result};
use crate::store::aside;
use crate::store::submissions::Submission;
use crate::transact;

use super::Work;

/// After so long what was set aside is tried again.
const AGAIN_US: i64 = 3_600_000_000;

/// Whether an error is about a row, not about the database.
pub(super) fn about_a_row(error: &OpsError) -> bool {
    match error {
        OpsError::Internal(error) => error.about_a_row(),
        // A rule of the database that a row breaks each time. Two workers who met once do not meet at the next try.
        OpsError::Missing | OpsError::Conflict(_) => true,
        OpsError::Refused(_) | OpsError::Blocked(_) | OpsError::Unreachable(_) => false,
    }
}

/// The parts of a set that are still to be tried.
pub(super) struct Halves(Vec<Vec<String>>);

impl Halves {
    pub(super) fn of(ids: Vec<String>) -> Self {
        Self(if ids.is_empty() { Vec::new() } else { vec![ids] })
    }

    pub(super) fn next(&mut self) -> Option<Vec<String>> {
        self.0.pop()
    }

    /// A part failed: its halves are tried next. Answers the guilty one when it was alone.
    pub(super) fn failed(&mut self, mut part: Vec<String>) -> Option<String> {
        if part.len() < 2 {
            return part.pop();
        }
        let second = part.split_off(part.len() / 2);
        self.0.extend([second, part]);
        None
    }
}

/// What was to be done with what is set aside.
#[derive(Clone, Copy)]
pub(super) enum Was {
    /// A queued attempt was to be sent.
    Queued,
    /// The vendor was to be asked about a payment.
    Asked,
    /// What an event names was to be looked at, by the submission's id.
    Named,
}

/// Sets a row aside: tried again in an hour, shown as set aside, told of as stuck.
pub(super) async fn put(work: &Work, was: Was, id: &str, error: &OpsError) -> Result<()> {
    let (app, why) = (&work.app, alarm(id, error));
    transact!(app, |tx| {
        let now = app.clock.now();
        match was {
            Was::Queued => aside::attempt(tx, id, &why, now + AGAIN_US, now).await?,
            Was::Asked => aside::question(tx, id, &why, now + AGAIN_US, now).await?,
            Was::Named => aside::named(tx, id, &why, now + AGAIN_US, now).await?,
        }
        Ok(())
    })
}

/// The same for all that a leased submission carries. Where it was sent and the answer could not be recorded, that stays in
/// doubt: the same bytes under the same key tell it again.
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
        "a record cannot be worked on; it is set aside for an hour, and the others go on"
    );
    metrics::counter!("bursar_alarms_total").increment(1);
    why
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guilty_one_is_found_and_the_others_are_each_tried() {
        let mut halves = Halves::of((0..100).map(|id| id.to_string()).collect());
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
