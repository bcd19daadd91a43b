//! Detects when a vendor contradicts a final state: which attempt it is about, whether it is news, and the mark that
//! holds the payment until a person has settled it. Each attempt has its own mark, so that one contradiction is not lost
//! while another is open. Not here: settling (`ops::by_hand`).

use payout::notice::Notice;
use payout::transaction::{AttemptState, Fact, Leg};

use super::{Observation, PaymentCase, WriteSet, line};
use crate::store::transactions::{Attempt, Line};

/// How long a stale answer of a slow worker may still arrive.
const OLDER_ANSWER_US: i64 = 600_000_000;

impl PaymentCase {
    /// Whether the vendor reports as made or paid what had ended here: a bank payout that people had marked as not made, or
    /// one the vendor itself had reported as failed or returned. For the latter, stale answers may still arrive for a while
    /// and are ignored.
    pub(super) fn denies_an_end(&self, place: usize, fact: &Fact, now: i64) -> bool {
        let attempt = &self.attempts[place];
        let reason = attempt.reason_code.as_deref();
        let by_people = reason == Some("not_made");
        let for_long = attempt.ended_at.is_some_and(|at| now.saturating_sub(at) > OLDER_ANSWER_US);
        match (attempt.state, fact) {
            (AttemptState::Failed, Fact::PayoutMade) => by_people,
            // An attempt without a reason is not failed any more: people have settled that it was paid.
            (AttemptState::Failed, Fact::PayoutPaid) => by_people || (for_long && reason.is_some()),
            (AttemptState::Returned, Fact::ItemPaid) => for_long,
            (_, _) => false,
        }
    }

    /// A contradiction of an attempt is reported once, until it is settled.
    pub(super) fn is_new(&self, place: usize, observation: &Observation) -> bool {
        let (attempt, fact) = (&self.attempts[place], &observation.fact);
        // The object is known by now, and counted.
        let known = observation.vendor_id.is_some()
            && observation.vendor_id == attempt.vendor_id
            && !attempt.state.ended();
        if known && matches!(fact, Fact::FoundAfterAll(_)) {
            return false;
        }
        // It has no reason: people have settled that it was paid, and it was counted then.
        if attempt.state == AttemptState::Failed && attempt.reason_code.is_none() {
            return false;
        }
        // More of its transfer has come back than was known when the part was settled.
        if self.grown_transfers.contains(&attempt.id) {
            return attempt.contradicted_at.is_none();
        }
        let known = attempt.reason_code.as_deref();
        let told = fact.reason().is_some_and(|reason| known == Some(reason.code.as_str()));
        attempt.contradicted_at.is_none() && !told
    }

    /// Marks a contradiction. If the fact also ends another leg (`also`: a transfer is reversed although the bank has
    /// paid), the mark goes on that leg's attempt.
    pub(super) fn contradicted(
        &mut self,
        place: usize,
        observation: &Observation,
        also: Option<(Leg, AttemptState)>,
        now: i64,
        sheet: &mut WriteSet,
    ) {
        tracing::error!(transaction = %observation.transaction, fact = observation.fact.as_str(),
            "the vendor contradicts what was final here; a person must look");
        sheet.lines.push(line(observation, "contradiction", now));
        if let Some(reason) = observation.fact.reason() {
            self.attempts[place].reason_code = Some(reason.code.clone());
            self.attempts_touched.push(self.attempts[place].id);
        }
        let other = also
            .and_then(|(leg, _)| self.attempts.iter().position(|one| one.leg == leg && !one.state.ended()));
        self.mark(other.unwrap_or(place), now);
        sheet.notices.push((Notice::PaymentNeedsReview, observation.transaction));
    }

    /// A fact about an object that belongs to another payment moves nothing: a person must look.
    pub(super) fn doubt(&mut self, observation: &Observation, object: &str, now: i64, sheet: &mut WriteSet) {
        tracing::error!(transaction = %observation.transaction, object,
            "this object belongs to another payment; nothing was recorded, a person must look");
        metrics::counter!("bursar_alarms_total").increment(1);
        let place = self.attempts.iter().position(|one| one.id == observation.attempt);
        let Some(place) = place.filter(|place| self.attempts[*place].contradicted_at.is_none()) else {
            return;
        };
        let detail = format!("{object} belongs to another payment; nothing was recorded");
        sheet.lines.push(Line { detail: Some(detail), ..line(observation, "contradiction", now) });
        self.mark(place, now);
        sheet.notices.push((Notice::PaymentNeedsReview, observation.transaction));
    }

    /// The known id of an attempt's object, if the fact names a different one. An id is never replaced: the vendor has made
    /// it twice.
    pub(super) fn known_as(&self, observation: &Observation) -> Option<String> {
        let attempt = self.attempts.iter().find(|one| one.id == observation.attempt)?;
        let other = observation.vendor_id.is_some() && attempt.vendor_id != observation.vendor_id;
        let known = attempt
            .vendor_id
            .clone()
            .filter(|_| other && !matches!(observation.fact, Fact::FoundAfterAll(_)));
        known.filter(|_| !takes_an_id(attempt, observation))
    }

    /// A fact about a second object of an attempt moves nothing: a person must look.
    pub(super) fn made_twice(
        &mut self,
        observation: &Observation,
        known: &str,
        now: i64,
        sheet: &mut WriteSet,
    ) {
        let object = observation.vendor_id.clone().unwrap_or_default();
        tracing::error!(transaction = %observation.transaction, object, known,
            "the vendor has made this twice; nothing was recorded of the second, a person must look");
        metrics::counter!("bursar_alarms_total").increment(1);
        let place = self.attempts.iter().position(|one| one.id == observation.attempt);
        let Some(place) = place.filter(|place| self.attempts[*place].contradicted_at.is_none()) else {
            return;
        };
        sheet.lines.push(Line {
            detail: Some(made_twice(&object, known)),
            ..line(observation, "contradiction", now)
        });
        self.mark(place, now);
        sheet.notices.push((Notice::PaymentNeedsReview, observation.transaction));
    }

    /// Holds the payment from now on. Marks always increase, whatever the clock does, so a look-up made before one does not
    /// settle it.
    fn mark(&mut self, place: usize, now: i64) {
        let at = self.transaction.contradicted_at.map_or(now, |before| now.max(before + 1));
        self.attempts[place].contradicted_at = Some(at);
        self.attempts_touched.push(self.attempts[place].id);
        self.transaction.contradicted_at = Some(at);
        self.touched = true;
        // An earlier opinion of one person did not know about this.
        self.state_changed = true;
    }
}

/// Whether an attempt takes the id from a fact: its first one or, if it had ended here, one that a person has proven. A
/// second object found beside it does not count.
pub(super) fn takes_an_id(attempt: &Attempt, observation: &Observation) -> bool {
    let beside = matches!(observation.fact, Fact::FoundAfterAll(_)) && !attempt.state.ended();
    (attempt.vendor_id.is_none() && !beside) || (attempt.state.ended() && observation.source == "person")
}

/// The description of a second object, for whoever has to settle it.
pub fn made_twice(object: &str, known: &str) -> String {
    format!("the vendor has {object} under our key beside {known}, which the books hold: it was made twice")
}
