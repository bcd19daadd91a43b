//! Where a vendor says something else than is final here: which attempt it says it of, whether that is news, and the mark
//! that holds the payment until a person has settled it. Each attempt has a mark of its own, so that what is said of one is
//! not lost while another waits to be settled. What is deliberately not here: settling (`ops::by_hand`).

use payout::notice::Notice;
use payout::transaction::{AttemptState, Fact, Leg};

use super::{Case, Heard, Sheet, line};
use crate::store::transactions::{Attempt, Line};

/// For so long an answer of before may still come in, of a worker that was slow.
const OLDER_ANSWER_US: i64 = 600_000_000;

impl Case {
    /// Whether the vendor shows as made or paid what had ended here: a bank payout of which people had said that it was not
    /// made, or what the vendor itself had called failed or returned. Of the latter an older answer may still say so for a
    /// while, and then means nothing.
    pub(super) fn denies_an_end(&self, place: usize, fact: &Fact, now: i64) -> bool {
        let attempt = &self.attempts[place];
        let reason = attempt.reason_code.as_deref();
        let by_people = reason == Some("not_made");
        let for_long = attempt.ended_at.is_some_and(|at| now.saturating_sub(at) > OLDER_ANSWER_US);
        match (attempt.state, fact) {
            (AttemptState::Failed, Fact::PayoutMade) => by_people,
            // One whose reason was taken back has failed no more: people have settled that it was paid.
            (AttemptState::Failed, Fact::PayoutPaid) => by_people || (for_long && reason.is_some()),
            (AttemptState::Returned, Fact::ItemPaid) => for_long,
            (_, _) => false,
        }
    }

    /// A contradiction of an attempt is told once, until somebody has settled it.
    pub(super) fn is_news(&self, place: usize, heard: &Heard) -> bool {
        let (attempt, fact) = (&self.attempts[place], &heard.fact);
        // The object is known by now, and counted.
        let known =
            heard.vendor_id.is_some() && heard.vendor_id == attempt.vendor_id && !attempt.state.ended();
        if known && matches!(fact, Fact::FoundAfterAll(_)) {
            return false;
        }
        // Its reason was taken back: people have settled that it was paid, and it was counted then.
        if attempt.state == AttemptState::Failed && attempt.reason_code.is_none() {
            return false;
        }
        // More of its transfer has come back than was known when the part was settled.
        if self.grown.contains(&attempt.id) {
            return attempt.contradicted_at.is_none();
        }
        let known = attempt.reason_code.as_deref();
        let told = fact.reason().is_some_and(|reason| known == Some(reason.code.as_str()));
        attempt.contradicted_at.is_none() && !told
    }

    /// Marks what is contradicted. Where a leg ends with another one (`also`: a transfer that is reversed although the bank has
    /// paid), it is that other one whose end is in question.
    pub(super) fn contradicted(
        &mut self,
        place: usize,
        heard: &Heard,
        also: Option<(Leg, AttemptState)>,
        now: i64,
        sheet: &mut Sheet,
    ) {
        tracing::error!(transaction = %heard.transaction, fact = heard.fact.as_str(),
            "the vendor contradicts what was final here; a person must look");
        sheet.lines.push(line(heard, "contradiction", now));
        if let Some(reason) = heard.fact.reason() {
            self.attempts[place].reason_code = Some(reason.code.clone());
            self.attempts_touched.push(self.attempts[place].id);
        }
        let other = also
            .and_then(|(leg, _)| self.attempts.iter().position(|one| one.leg == leg && !one.state.ended()));
        self.mark(other.unwrap_or(place), now);
        sheet.notices.push((Notice::PaymentNeedsReview, heard.transaction));
    }

    /// What is told about an object that another payment carries moves nothing: a person must look.
    pub(super) fn doubt(&mut self, heard: &Heard, object: &str, now: i64, sheet: &mut Sheet) {
        tracing::error!(transaction = %heard.transaction, object,
            "this object belongs to another payment; nothing was recorded, a person must look");
        metrics::counter!("bursar_alarms_total").increment(1);
        let place = self.attempts.iter().position(|one| one.id == heard.attempt);
        let Some(place) = place.filter(|place| self.attempts[*place].contradicted_at.is_none()) else {
            return;
        };
        let detail = format!("{object} belongs to another payment; nothing was recorded");
        sheet.lines.push(Line { detail: Some(detail), ..line(heard, "contradiction", now) });
        self.mark(place, now);
        sheet.notices.push((Notice::PaymentNeedsReview, heard.transaction));
    }

    /// Under which id the object of an attempt is known, where it is told of under another one. An id is never replaced: the
    /// vendor has made it twice.
    pub(super) fn known_as(&self, heard: &Heard) -> Option<String> {
        let attempt = self.attempts.iter().find(|one| one.id == heard.attempt)?;
        let other = heard.vendor_id.is_some() && attempt.vendor_id != heard.vendor_id;
        let known =
            attempt.vendor_id.clone().filter(|_| other && !matches!(heard.fact, Fact::FoundAfterAll(_)));
        known.filter(|_| !takes_an_id(attempt, heard))
    }

    /// What is told about a second object of an attempt moves nothing: a person must look.
    pub(super) fn made_twice(&mut self, heard: &Heard, known: &str, now: i64, sheet: &mut Sheet) {
        let object = heard.vendor_id.clone().unwrap_or_default();
        tracing::error!(transaction = %heard.transaction, object, known,
            "the vendor has made this twice; nothing was recorded of the second, a person must look");
        metrics::counter!("bursar_alarms_total").increment(1);
        let place = self.attempts.iter().position(|one| one.id == heard.attempt);
        let Some(place) = place.filter(|place| self.attempts[*place].contradicted_at.is_none()) else {
            return;
        };
        sheet
            .lines
            .push(Line { detail: Some(made_twice(&object, known)), ..line(heard, "contradiction", now) });
        self.mark(place, now);
        sheet.notices.push((Notice::PaymentNeedsReview, heard.transaction));
    }

    /// The payment is held from now on. Each news is later than the one before, whatever the clock does: a look that was taken
    /// before it does not settle it.
    fn mark(&mut self, place: usize, now: i64) {
        let at = self.transaction.contradicted_at.map_or(now, |before| now.max(before + 1));
        self.attempts[place].contradicted_at = Some(at);
        self.attempts_touched.push(self.attempts[place].id);
        self.transaction.contradicted_at = Some(at);
        self.touched = true;
        // What one person has said before knew nothing of it.
        self.overtaken = true;
    }
}

/// Whether an attempt takes the id that is told of it: the first one, or, where it had ended here, the one that a person has
/// proven. What is found beside another object is not it.
pub(super) fn takes_an_id(attempt: &Attempt, heard: &Heard) -> bool {
    let beside = matches!(heard.fact, Fact::FoundAfterAll(_)) && !attempt.state.ended();
    (attempt.vendor_id.is_none() && !beside) || (attempt.state.ended() && heard.source == "person")
}

/// What is noted of a second object, for whoever has to settle it.
pub fn made_twice(object: &str, known: &str) -> String {
    format!("the vendor has {object} under our key beside {known}, which the books hold: it was made twice")
}
