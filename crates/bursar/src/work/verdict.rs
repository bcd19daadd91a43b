//! What an answer to a submission means for it: pure functions, the same for a first send, a retry and a look-up.
//!
//! The rules of the payment protocol: a definite refusal fails; a doubt is retried with the same key and bytes while
//! the key is recent, then looked up; what cannot be found out goes to a person. An unknown outcome is never treated as
//! failure.

use payout::deadline;
use payout::eligibility::BeforeSend;
use payout::ids::TransactionId;
use payout::money::Vendor;
use payout::transaction::{Fact, Leg, Reason};
use vendors::paypal::batch::Item;
use vendors::{Doubt, MoneyKind, Outcome, ReadError, Rejection, UnknownCause};

use super::unfunded;
use crate::store::submissions::{self, Submission};

/// Below this age, the vendor replays a key instead of executing the request again (Stripe deletes keys after 24 hours;
/// the margin is ours).
const STRIPE_KEY_US: i64 = 20 * 3_600_000_000;
/// PayPal remembers a `sender_batch_id` for 30 days.
const PAYPAL_KEY_US: i64 = 29 * 86_400_000_000;
/// The code on a submission that needs review because the vendor's lists cannot be read.
pub(super) const UNREADABLE: &str = "lists_unreadable";
/// Two look-ups, or two refusals, count as proof only if they are this far apart.
pub const APART_US: i64 = 120_000_000;
/// The first wait between two tries; it doubles.
const FIRST_WAIT_US: i64 = 500_000;
/// After this many stored errors in a row, asking again with the same key only repeats them.
const SAME_ERRORS: i64 = 3;
/// After this many identical refusals following a doubt, a person must look.
const REFUSALS: i64 = 3;

/// The start of the detail of a review that may never end in failure.
const CLASHED: &str = "the key was used with other bytes";
/// The `why` of what a gate stopped; the detail is the gate's code.
const STOPPED: &str = "stopped";
/// A past event recorded further in the future than this was recorded by a wrong clock.
const CLOCK_WAS_WRONG_US: i64 = 3_600_000_000;

/// The verdict on a submission. Times are microseconds UTC.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The vendor has it, under this id.
    Accepted(String),
    Refused(Reason),
    /// Definitely not executed, because of these items; the others are sent again.
    RefusedFor(Vec<usize>, Reason),
    /// Never sent, because gates are closed for these; the others are sent again.
    Stopped(Vec<(TransactionId, BeforeSend)>),
    /// Send the same bytes again at this time.
    Again {
        at: i64,
        /// This try may have been executed.
        doubtful: bool,
    },
    /// Do not resend; look it up at the vendor from this time on.
    Look(i64),
    /// A person must find out.
    Review,
}

/// A verdict with the submission's new counters and the message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Judgment {
    pub verdict: Verdict,
    /// One word: a [`UnknownCause`], `accepted`, `refused`, `found`, `absent`.
    pub why: String,
    pub detail: String,
    pub same_errors: i64,
    pub refusals: i64,
    pub looks: i64,
    /// When the look-up or refusal that counts took place.
    pub looked_at: Option<i64>,
    /// The vendor rejects our credentials: pause it.
    pub pause: bool,
    /// The vendor asks us not to call before this time.
    pub hold_until: Option<i64>,
    /// Somebody should be notified at once.
    pub alarm: bool,
    /// The vendor was searched and has nothing of it: earlier doubts are resolved.
    pub clean: bool,
}

impl Judgment {
    fn new(of: &Submission, verdict: Verdict, why: &str, detail: impl Into<String>) -> Self {
        Self {
            verdict,
            why: why.to_owned(),
            detail: detail.into(),
            same_errors: 0,
            refusals: of.refusals,
            looks: of.looks,
            looked_at: of.looked_at,
            pause: false,
            hold_until: None,
            alarm: false,
            clean: false,
        }
    }

    pub fn accepted(of: &Submission, vendor_id: &str, how: &str) -> Self {
        Self::new(of, Verdict::Accepted(vendor_id.to_owned()), how, vendor_id)
    }

    /// The vendor's id, if accepted.
    pub fn accepted_as(&self) -> Option<&str> {
        match &self.verdict {
            Verdict::Accepted(id) => Some(id),
            Verdict::Refused(_)
            | Verdict::RefusedFor(..)
            | Verdict::Stopped(_)
            | Verdict::Again { .. }
            | Verdict::Look(_)
            | Verdict::Review => None,
        }
    }

    /// The gate that stopped it, if one did.
    pub fn stopped_by(&self) -> Option<&str> {
        (self.why == STOPPED).then_some(self.detail.as_str())
    }

    /// The verdict that a person must find out.
    pub fn review(of: &Submission, detail: impl Into<String>) -> Self {
        Self { alarm: true, ..Self::new(of, Verdict::Review, "needs_review", detail) }
    }
}

/// A key under which something may have been executed is not sent once the vendor may have forgotten it, because the
/// request would then be executed again. Returns the verdict in that case; `None` while it may be sent. `behind` is how
/// far our clock is known to be behind the vendor's.
pub fn too_old_to_send(of: &Submission, now: i64, behind: i64) -> Option<Judgment> {
    let age = age(of, now).saturating_add(behind);
    let (why, detail) = of.last.clone().unwrap_or_default();
    match of.vendor {
        _ if of.doubts == 0 => None,
        Vendor::Stripe if age >= STRIPE_KEY_US => Some(Judgment::new(of, Verdict::Look(now), &why, detail)),
        Vendor::PayPal if age >= PAYPAL_KEY_US => {
            Some(Judgment::review(of, "PayPal no longer knows the key, so the request cannot be sent again"))
        }
        Vendor::Stripe | Vendor::PayPal => None,
    }
}

/// The age of a key. If its first use is in the future, a wrong clock recorded it, and it counts as infinitely old.
fn age(of: &Submission, now: i64) -> i64 {
    match now - of.first_sent_at.unwrap_or(now) {
        ahead if ahead < -CLOCK_WAS_WRONG_US => i64::MAX,
        age => age,
    }
}

/// Not sent because a gate had closed, and no earlier try was executed.
pub fn stopped(of: &Submission, verdict: Verdict, code: &str) -> Judgment {
    Judgment::new(of, verdict, STOPPED, code)
}

/// A gate closed after a try that may have been executed: look it up instead of resending. If nothing is found, the
/// gate is what stopped it.
pub fn looks_instead(of: &Submission, code: &str, now: i64) -> Judgment {
    Judgment { looks: 0, looked_at: None, ..Judgment::new(of, Verdict::Look(now), STOPPED, code) }
}

/// Not sent now; due again at this time. Nothing was learned.
pub fn waits(of: &Submission, at: i64) -> Judgment {
    let again = Judgment::new(of, Verdict::Again { at, doubtful: false }, "waits", "");
    Judgment { same_errors: of.same_errors, ..again }
}

/// The wait before the next try: doubles from half a second, at most `longest`.
pub fn backoff(tries: i64, longest: i64) -> i64 {
    FIRST_WAIT_US.saturating_mul(1 << tries.clamp(0, 20)).min(longest)
}

/// The verdict on a doubtful answer from Stripe.
pub fn stripe_doubt(of: &Submission, doubt: &Doubt, now: i64, longest: i64) -> Judgment {
    let told = |verdict| Judgment::new(of, verdict, doubt.why.as_str(), doubt.detail.as_str());
    let again = |doubtful| Verdict::Again { at: next_try(of, doubt, now, longest), doubtful };
    match doubt.why {
        UnknownCause::Credentials => {
            Judgment { pause: true, ..told(Verdict::Again { at: now + longest, doubtful: false }) }
        }
        UnknownCause::NotSent => told(again(false)),
        UnknownCause::RateLimited | UnknownCause::LockTimeout => {
            Judgment { hold_until: held(doubt, now), ..told(again(false)) }
        }
        UnknownCause::KeyClash | UnknownCause::Unreadable | UnknownCause::Mismatch => {
            Judgment { alarm: true, ..told(Verdict::Look(now)) }
        }
        UnknownCause::StoredServerError | UnknownCause::ServerError if repeats(of, doubt) => {
            let same_errors = of.same_errors + 1;
            let verdict = if same_errors >= SAME_ERRORS { Verdict::Look(now) } else { again(true) };
            Judgment { same_errors, ..told(verdict) }
        }
        UnknownCause::StoredServerError | UnknownCause::ServerError => {
            Judgment { same_errors: 1, ..told(young(of, now, again(true))) }
        }
        UnknownCause::NoAnswer if payout::planted::on("time_out_is_failure") => {
            told(Verdict::Refused(Reason::new("no_answer", "")))
        }
        UnknownCause::NoAnswer | UnknownCause::InUse | UnknownCause::TryLater => {
            told(young(of, now, again(true)))
        }
    }
}

/// The same stored answer as before. Only a 500 is stored and replayed; a vendor that is down returns 502 to 504, and
/// is retried.
fn repeats(of: &Submission, doubt: &Doubt) -> bool {
    let stored = doubt.why == UnknownCause::StoredServerError || doubt.detail.starts_with("500");
    stored && of.same_errors > 0
}

fn young(of: &Submission, now: i64, again: Verdict) -> Verdict {
    if age(of, now) < STRIPE_KEY_US { again } else { Verdict::Look(now) }
}

fn next_try(of: &Submission, doubt: &Doubt, now: i64, longest: i64) -> i64 {
    let patience = held(doubt, now).unwrap_or(0);
    (now + backoff(of.tries, longest)).max(patience)
}

fn held(doubt: &Doubt, now: i64) -> Option<i64> {
    let seconds = i64::try_from(doubt.retry_after_s?).ok()?;
    Some(now.saturating_add(seconds.saturating_mul(1_000_000)))
}

/// The verdict on a refusal from Stripe. After a doubtful try it is not final: the request is looked up first, from
/// scratch.
pub fn stripe_refusal(of: &Submission, rejection: &Rejection, now: i64) -> Judgment {
    let reason = Reason::new(rejection.code.as_str(), rejection.message.as_str());
    if of.doubts == 0 {
        return Judgment::new(of, Verdict::Refused(reason), "refused", one_line(rejection));
    }
    let judged = Judgment::new(of, Verdict::Look(now), "refused", one_line(rejection));
    Judgment { refusals: of.refusals + 1, looks: 0, looked_at: None, ..judged }
}

/// The refusal in one line, which [`refusal_in`] parses.
fn one_line(rejection: &Rejection) -> String {
    format!("{}: {}", rejection.code, rejection.message)
}

fn refusal_in(detail: &str) -> Reason {
    let (code, message) = detail.split_once(": ").unwrap_or((detail, ""));
    Reason::new(code, message)
}

/// Stripe was searched and has no such transfer, payout or reversal. One look proves nothing, whatever was answered
/// before: the first try's object may become visible a moment later. What is absent in two looks is refused with the
/// known reason.
pub fn stripe_absent(of: &Submission, now: i64) -> Judgment {
    let (why, detail) = of.last.clone().unwrap_or_default();
    let looked = |verdict, looks| Judgment {
        looks,
        looked_at: Some(now),
        ..Judgment::new(of, verdict, &why, detail.as_str())
    };
    if why == UnknownCause::KeyClash.as_str() || detail.starts_with(CLASHED) {
        return Judgment::review(of, format!("{CLASHED} and nothing was found: {detail}"));
    }
    match of.looked_at {
        // A lost database may have requested the reversal, and acted on its refusal, unknown to us. An old request must
        // not take anybody's money back: whoever still wants it asks again, and everything is searched first.
        Some(first)
            if of.looks > 0
                && now - first >= APART_US
                && why == submissions::PUT_BACK
                && of.kind == MoneyKind::Reversal.as_str() =>
        {
            let message = "searched for after the database was restored: Stripe shows no such reversal, and Bursar does not request another by itself";
            looked(Verdict::Refused(Reason::new("asked_back_before_restore", message)), of.looks + 1)
        }
        // In doubt only because of the restore: now it is known that it was never executed.
        Some(first) if of.looks > 0 && now - first >= APART_US && why == submissions::PUT_BACK => {
            let again = Verdict::Again { at: now, doubtful: false };
            let message = "searched for after the database was restored: the vendor has no record of it";
            Judgment { clean: true, ..Judgment::new(of, again, "absent", message) }
        }
        Some(first) if of.looks > 0 && now - first >= APART_US => {
            let reason = match (why == STOPPED, of.refusals > 0) {
                (true, _) => Reason::new(detail.as_str(), ""),
                (false, true) => refusal_in(&detail),
                (false, false) => Reason::new("not_found_at_vendor", detail.as_str()),
            };
            looked(Verdict::Refused(reason), of.looks + 1)
        }
        Some(first) if of.looks > 0 => {
            Judgment { looked_at: Some(first), ..looked(Verdict::Look(first + APART_US), of.looks) }
        }
        Some(_) | None if payout::planted::on("absent_at_once") => {
            looked(Verdict::Refused(Reason::new("not_found_at_vendor", detail.as_str())), 1)
        }
        Some(_) | None => looked(Verdict::Look(now + APART_US), 1),
    }
}

/// The vendor could not be searched; nothing new is known.
pub fn not_looked(of: &Submission, now: i64, longest: i64) -> Judgment {
    let (why, detail) = of.last.clone().unwrap_or_default();
    Judgment::new(of, Verdict::Look(now + backoff(of.tries.max(2), longest)), &why, detail)
}

/// A look-up was answered without showing whether the object exists: hidden from us, or unreadable. If that lasts long
/// after the key was used, a person must find out.
pub fn looked_in_vain(of: &Submission, error: &ReadError, now: i64, longest: i64) -> Judgment {
    if age(of, now) < deadline::UNSEEN_US {
        return not_looked(of, now, longest);
    }
    let review = Judgment::review(of, format!("Stripe cannot be searched for it: {error}"));
    match error {
        ReadError::Unreadable(_) => Judgment { why: UNREADABLE.to_owned(), ..review },
        ReadError::Missing
        | ReadError::Refused { .. }
        | ReadError::Credentials(_)
        | ReadError::RateLimited { .. }
        | ReadError::Unreachable(_) => review,
    }
}

/// The fact a definite refusal means for an attempt of this leg.
pub(super) fn refused_fact(leg: Leg, reason: &Reason) -> Fact {
    match leg {
        Leg::Payout if reason.code == unfunded::CODE => Fact::Unfunded(reason.clone()),
        Leg::Transfer | Leg::Payout | Leg::Reversal | Leg::Item | Leg::Cancel => {
            Fact::Refused(leg, reason.clone())
        }
    }
}

/// The fact an acceptance means if the object reports nothing else.
pub(super) fn accepted_fact(leg: Leg) -> Fact {
    match leg {
        Leg::Transfer => Fact::TransferMade,
        Leg::Payout => Fact::PayoutMade,
        Leg::Reversal => Fact::ReversalMade,
        Leg::Item => Fact::ItemPending,
        Leg::Cancel => Fact::CancelMade,
    }
}

/// The verdict on a doubtful answer from PayPal. Sending the same bytes again *is* the look-up: a `sender_batch_id` is
/// paid only once.
pub fn paypal_doubt(of: &Submission, doubt: &Doubt, now: i64, longest: i64) -> Judgment {
    let told = |verdict| Judgment::new(of, verdict, doubt.why.as_str(), doubt.detail.as_str());
    let again = |doubtful| Verdict::Again { at: next_try(of, doubt, now, longest), doubtful };
    let too_old = age(of, now) >= PAYPAL_KEY_US;
    match doubt.why {
        UnknownCause::Credentials => {
            Judgment { pause: true, ..told(Verdict::Again { at: now + longest, doubtful: false }) }
        }
        UnknownCause::NotSent => told(again(false)),
        UnknownCause::RateLimited | UnknownCause::LockTimeout => {
            Judgment { hold_until: held(doubt, now), ..told(again(false)) }
        }
        UnknownCause::NoAnswer
        | UnknownCause::ServerError
        | UnknownCause::StoredServerError
        | UnknownCause::InUse
        | UnknownCause::KeyClash
        | UnknownCause::Unreadable
        | UnknownCause::Mismatch
        | UnknownCause::TryLater
            if too_old =>
        {
            Judgment::review(of, format!("PayPal no longer knows the key: {}", doubt.detail))
        }
        UnknownCause::KeyClash | UnknownCause::Unreadable | UnknownCause::Mismatch => {
            Judgment { alarm: true, ..told(again(true)) }
        }
        UnknownCause::NoAnswer
        | UnknownCause::ServerError
        | UnknownCause::StoredServerError
        | UnknownCause::InUse
        | UnknownCause::TryLater => told(again(true)),
    }
}

/// The verdict on a refusal from PayPal. After a doubtful try it is not final either: the same bytes are sent again,
/// and if PayPal repeats its refusal, a person must look. Nor is a refusal that may mean PayPal already has the batch.
pub fn paypal_refusal(of: &Submission, rejection: &Rejection, now: i64) -> Judgment {
    let reason = Reason::new(rejection.code.as_str(), rejection.message.as_str());
    if of.doubts == 0 && !rejection.may_be_duplicate {
        let verdict = match rejection.items.is_empty() {
            true => Verdict::Refused(reason),
            false => Verdict::RefusedFor(rejection.items.clone(), reason),
        };
        return Judgment::new(of, verdict, "refused", one_line(rejection));
    }
    let same =
        of.last.as_ref().is_some_and(|(why, detail)| why == "refused" && *detail == one_line(rejection));
    // Saved credentials can trigger an early retry; only refusals far enough apart count.
    let apart = of.looked_at.is_none_or(|last| now - last >= APART_US);
    let refusals = match (same, apart) {
        (false, _) => 1,
        (true, true) => of.refusals + 1,
        (true, false) => of.refusals,
    };
    if refusals >= REFUSALS {
        return Judgment::review(of, one_line(rejection));
    }
    let again = Verdict::Again { at: now + APART_US, doubtful: true };
    let looked_at = of.looked_at.filter(|_| same && !apart).or(Some(now));
    Judgment { refusals, looked_at, ..Judgment::new(of, again, "refused", one_line(rejection)) }
}

/// The verdict on a cancellation, from PayPal's answer and the item's status read afterwards. Only the item decides: a
/// lost answer is not a failure, and an acceptance is not proof. While the item is still unclaimed, the same request is
/// sent again, which is harmless, unless PayPal has definitely refused it.
pub fn cancellation(
    of: &Submission,
    item: &str,
    outcome: &Outcome<Item>,
    fetched: &Result<String, ReadError>,
    (now, longest): (i64, i64),
) -> Judgment {
    let again = |why: UnknownCause, detail: String| {
        paypal_doubt_at_any_age(of, &Doubt::new(why, detail), now, longest)
    };
    let status = match fetched {
        Ok(status) => status.as_str(),
        Err(error) => {
            let judged = again(UnknownCause::NoAnswer, format!("the item {item} could not be read: {error}"));
            return Judgment { pause: matches!(error, ReadError::Credentials(_)), ..judged };
        }
    };
    match (status, outcome) {
        ("RETURNED", _) => Judgment::accepted(of, item, "accepted"),
        ("UNCLAIMED", Outcome::Rejected(rejection)) => {
            let reason = Reason::new(rejection.code.as_str(), rejection.message.as_str());
            Judgment::new(of, Verdict::Refused(reason), "refused", one_line(rejection))
        }
        ("UNCLAIMED", Outcome::Accepted(_)) => {
            again(UnknownCause::NoAnswer, "PayPal accepted it, but the item is still unclaimed".to_owned())
        }
        ("UNCLAIMED", Outcome::Unknown(doubt)) => again(doubt.why, doubt.detail.clone()),
        (status, Outcome::Accepted(_) | Outcome::Rejected(_) | Outcome::Unknown(_)) => {
            let reason =
                Reason::new("no_longer_unclaimed", format!("PayPal says that the item is {status}."));
            Judgment::new(of, Verdict::Refused(reason), "refused", format!("the item is {status}"))
        }
    }
}

/// A doubt that never goes to a person because of its age.
fn paypal_doubt_at_any_age(of: &Submission, doubt: &Doubt, now: i64, longest: i64) -> Judgment {
    paypal_doubt(&Submission { first_sent_at: Some(now), ..of.clone() }, doubt, now, longest)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::store::submissions::SubmissionState;
    use payout::ids::BatchId;

    const S: i64 = 1_000_000;
    const MINUTE: i64 = 60 * S;

    pub fn submission() -> Submission {
        Submission {
            id: "sub_1".into(),
            key: "tr:x:1".into(),
            vendor: Vendor::Stripe,
            kind: "transfer".into(),
            path: "/v1/transfers".into(),
            account: None,
            body: "a=1".into(),
            batch: BatchId::fresh(0, 0),
            state: SubmissionState::Intended,
            fence: 1,
            tries: 0,
            doubts: 0,
            same_errors: 0,
            refusals: 0,
            looks: 0,
            looked_at: None,
            last: None,
            vendor_id: None,
            created_at: 0,
            first_sent_at: Some(0),
            last_sent_at: Some(0),
            vendor_account: None,
            epoch: 0,
        }
    }

    fn rejection() -> Rejection {
        Rejection {
            code: "account_closed".into(),
            message: "Closed.".into(),
            status: 400,
            request_id: None,
            items: vec![],
            may_be_duplicate: false,
        }
    }

    #[test]
    fn every_doubt_at_stripe_keeps_the_key_or_looks() {
        let again = |at, doubtful| Verdict::Again { at, doubtful };
        let rows = [
            (UnknownCause::NotSent, "", again(S / 2, false)),
            (UnknownCause::NoAnswer, "", again(S / 2, true)),
            (UnknownCause::ServerError, "503 : down", again(S / 2, true)),
            (UnknownCause::InUse, "", again(S / 2, true)),
            (UnknownCause::TryLater, "", again(S / 2, true)),
            (UnknownCause::RateLimited, "", again(S / 2, false)),
            (UnknownCause::LockTimeout, "", again(S / 2, false)),
            (UnknownCause::Credentials, "", again(MINUTE, false)),
            (UnknownCause::KeyClash, "", Verdict::Look(0)),
            (UnknownCause::Unreadable, "", Verdict::Look(0)),
            (UnknownCause::Mismatch, "", Verdict::Look(0)),
        ];
        for (why, detail, expected) in rows {
            let judged = stripe_doubt(&submission(), &Doubt::new(why, detail), 0, MINUTE);
            assert_eq!(judged.verdict, expected, "{why:?}");
            let waits = matches!(judged.verdict, Verdict::Again { doubtful, .. } if doubtful != why.may_have_executed());
            assert!(!waits, "{why:?}");
            assert_eq!(judged.pause, why == UnknownCause::Credentials);
        }
    }

    #[test]
    fn an_old_key_is_looked_up_instead_of_sent() {
        let late = 20 * 60 * MINUTE;
        let judged = stripe_doubt(&submission(), &Doubt::new(UnknownCause::NoAnswer, ""), late, MINUTE);
        assert_eq!(judged.verdict, Verdict::Look(late));
        let paypal = paypal_doubt(
            &submission(),
            &Doubt::new(UnknownCause::NoAnswer, ""),
            29 * 24 * 60 * MINUTE,
            MINUTE,
        );
        assert_eq!(paypal.verdict, Verdict::Review);
    }

    #[test]
    fn a_key_that_may_be_forgotten_is_not_sent_again() {
        let late = 20 * 60 * MINUTE;
        let of = submission();
        assert_eq!(too_old_to_send(&of, late, 0), None, "nothing was carried out under it for certain");
        let doubtful = Submission { doubts: 1, ..submission() };
        assert_eq!(too_old_to_send(&doubtful, late - 1, 0), None);
        assert_eq!(
            too_old_to_send(&doubtful, late, 0).map(|judged| judged.verdict),
            Some(Verdict::Look(late))
        );
        let behind = too_old_to_send(&doubtful, late - 60 * MINUTE, 60 * MINUTE);
        assert_eq!(behind.map(|judged| judged.verdict), Some(Verdict::Look(late - 60 * MINUTE)));
        let paypal = Submission { vendor: Vendor::PayPal, ..doubtful };
        assert_eq!(too_old_to_send(&paypal, late, 0), None);
        let month = 29 * 24 * 60 * MINUTE;
        assert_eq!(too_old_to_send(&paypal, month, 0).map(|judged| judged.verdict), Some(Verdict::Review));
    }

    #[test]
    fn a_stored_error_is_looked_up_after_the_third() {
        let mut of = submission();
        for (round, why) in
            [UnknownCause::ServerError, UnknownCause::StoredServerError, UnknownCause::StoredServerError]
                .into_iter()
                .enumerate()
        {
            let judged = stripe_doubt(&of, &Doubt::new(why, "500 api_error: oops"), 0, MINUTE);
            assert_eq!(matches!(judged.verdict, Verdict::Look(_)), round == 2, "round {round}");
            of.same_errors = judged.same_errors;
        }
    }

    #[test]
    fn a_vendor_that_is_down_is_waited_for() {
        let mut of = submission();
        for tries in 0..50 {
            of.tries = tries;
            let judged = stripe_doubt(
                &of,
                &Doubt::new(UnknownCause::ServerError, "503 : down"),
                tries * MINUTE,
                MINUTE,
            );
            assert!(matches!(judged.verdict, Verdict::Again { doubtful: true, .. }));
            of.same_errors = judged.same_errors;
        }
    }

    #[test]
    fn retry_after_is_obeyed_in_full() {
        let doubt = Doubt { retry_after_s: Some(300), ..Doubt::new(UnknownCause::RateLimited, "") };
        let judged = stripe_doubt(&submission(), &doubt, 0, MINUTE);
        assert_eq!(judged.verdict, Verdict::Again { at: 300 * S, doubtful: false });
        assert_eq!(judged.hold_until, Some(300 * S));
    }

    #[test]
    fn absent_needs_two_looks_two_minutes_apart() {
        let mut of = submission();
        let first = stripe_absent(&of, 0);
        assert_eq!(first.verdict, Verdict::Look(APART_US));
        (of.looks, of.looked_at) = (first.looks, first.looked_at);
        let early = stripe_absent(&of, APART_US - 1);
        assert_eq!(early.verdict, Verdict::Look(APART_US), "a look too soon proves nothing");
        (of.looks, of.looked_at) = (early.looks, early.looked_at);
        let second = stripe_absent(&of, APART_US);
        assert!(matches!(second.verdict, Verdict::Refused(reason) if reason.code == "not_found_at_vendor"));
    }

    #[test]
    fn a_refusal_is_final_only_without_a_doubt_before() {
        let mut of = submission();
        assert!(matches!(stripe_refusal(&of, &rejection(), 0).verdict, Verdict::Refused(_)));
        assert!(matches!(paypal_refusal(&of, &rejection(), 0).verdict, Verdict::Refused(_)));
        of.doubts = 1;
        let looked = stripe_refusal(&of, &rejection(), 0);
        assert_eq!(looked.verdict, Verdict::Look(0));
        of.refusals = looked.refusals;
        of.last = Some((looked.why, looked.detail));
        let absent = stripe_absent(&of, 0);
        assert_eq!(absent.verdict, Verdict::Look(APART_US), "what the first try led to may be shown later");
        (of.looks, of.looked_at, of.last) =
            (absent.looks, absent.looked_at, Some((absent.why, absent.detail)));
        let absent = stripe_absent(&of, APART_US);
        assert_eq!(absent.verdict, Verdict::Refused(Reason::new("account_closed", "Closed.")));
        let again = stripe_refusal(&of, &rejection(), APART_US);
        assert_eq!((again.looks, again.looked_at), (0, None), "a look before it counts no more");

        let mut of = Submission { doubts: 1, ..submission() };
        for round in 1..=3 {
            let judged = paypal_refusal(&of, &rejection(), round * APART_US);
            assert_eq!(judged.verdict == Verdict::Review, round == 3, "round {round}");
            (of.refusals, of.last) = (judged.refusals, Some((judged.why, judged.detail)));
        }
    }

    #[test]
    fn a_clashing_key_that_is_not_found_is_never_failed() {
        let of =
            Submission { last: Some((UnknownCause::KeyClash.as_str().into(), "400".into())), ..submission() };
        assert_eq!(stripe_absent(&of, 0).verdict, Verdict::Review);
    }

    #[test]
    fn only_the_fetched_item_ends_a_cancellation() {
        let item = |status: &str| Item {
            payout_item_id: "I".into(),
            payout_batch_id: None,
            sender_batch_id: None,
            transaction_id: None,
            sender_item_id: None,
            status: status.into(),
            amount: None,
            fee: None,
            receiver: None,
            error: None,
            time_processed: None,
        };
        let of = Submission { vendor: Vendor::PayPal, doubts: 1, ..submission() };
        let (late, gone) = (40 * 24 * 60 * MINUTE, || Err(ReadError::Unreachable("gone".into())));
        let accepted = || Outcome::Accepted(item("RETURNED"));
        let refused = || Outcome::Rejected(rejection());
        let lost = || Outcome::Unknown(Doubt::new(UnknownCause::NoAnswer, "lost"));
        let again = || Verdict::Again { at: late + S / 2, doubtful: true };
        let made = || Verdict::Accepted("I".into());
        let too_late = || {
            let message = "PayPal says that the item is SUCCESS.";
            Verdict::Refused(Reason::new("no_longer_unclaimed", message))
        };
        let rows = [
            (accepted(), Ok("RETURNED"), made()),
            (refused(), Ok("RETURNED"), made()),
            (lost(), Ok("RETURNED"), made()),
            (accepted(), Ok("UNCLAIMED"), again()),
            (refused(), Ok("UNCLAIMED"), Verdict::Refused(Reason::new("account_closed", "Closed."))),
            (lost(), Ok("UNCLAIMED"), again()),
            (accepted(), Ok("SUCCESS"), too_late()),
            (refused(), Ok("SUCCESS"), too_late()),
            (lost(), Ok("SUCCESS"), too_late()),
            (accepted(), gone(), again()),
            (refused(), gone(), again()),
            (lost(), gone(), again()),
        ];
        for (outcome, fetched, expected) in rows {
            let fetched = fetched.map(str::to_owned);
            let judged = cancellation(&of, "I", &outcome, &fetched, (late, MINUTE));
            assert_eq!(judged.verdict, expected, "{outcome:?} {fetched:?}");
        }
    }

    #[test]
    fn what_a_gate_stopped_is_looked_for_twice_and_ends_with_its_code() {
        let of = Submission { doubts: 1, refusals: 2, looks: 1, looked_at: Some(0), ..submission() };
        let stopped = looks_instead(&of, "partner_on_hold", 9 * MINUTE);
        assert_eq!((stopped.verdict, stopped.looks, stopped.looked_at), (Verdict::Look(9 * MINUTE), 0, None));
        let said = Some((stopped.why, stopped.detail));
        let of = Submission { looks: 0, looked_at: None, last: said, ..of };
        let first = stripe_absent(&of, 9 * MINUTE);
        assert_eq!(
            first.verdict,
            Verdict::Look(9 * MINUTE + APART_US),
            "one look proves nothing, refused before or not"
        );
        let of = Submission {
            looks: first.looks,
            looked_at: first.looked_at,
            last: Some((first.why, first.detail)),
            ..of
        };
        let second = stripe_absent(&of, 9 * MINUTE + APART_US);
        assert_eq!(second.verdict, Verdict::Refused(Reason::new("partner_on_hold", "")));
    }

    #[test]
    fn refusals_that_follow_too_soon_count_once() {
        let refused = |before: &Judgment, at| {
            let of = Submission {
                doubts: 1,
                vendor: Vendor::PayPal,
                refusals: before.refusals,
                looked_at: before.looked_at,
                last: Some((before.why.clone(), before.detail.clone())),
                ..submission()
            };
            paypal_refusal(&of, &rejection(), at)
        };
        let nothing = waits(&submission(), 0);
        let first = refused(&nothing, MINUTE);
        let soon = refused(&first, MINUTE + S);
        assert_eq!(
            (soon.refusals, soon.looked_at),
            (1, Some(MINUTE)),
            "credentials were saved, so it was asked early"
        );
        let second = refused(&soon, MINUTE + APART_US);
        assert_eq!(second.refusals, 2);
        assert_eq!(refused(&second, MINUTE + 2 * APART_US).verdict, Verdict::Review);
        // What was refused before for another reason, or was no refusal, is not a refusal repeated.
        let (why, detail) = (second.why.as_str(), second.detail.as_str());
        for (why, detail) in [(why, "another reason"), ("no_answer", detail)] {
            let before = Judgment { why: why.to_owned(), detail: detail.to_owned(), ..second.clone() };
            let judged = refused(&before, MINUTE + 2 * APART_US);
            assert_eq!((judged.refusals, judged.verdict == Verdict::Review), (1, false), "{why}: {detail}");
        }
    }

    #[test]
    fn what_may_be_a_duplicate_is_no_refusal() {
        let of = Submission { vendor: Vendor::PayPal, ..submission() };
        assert!(matches!(paypal_refusal(&of, &rejection(), 0).verdict, Verdict::Refused(_)));
        let unnamed = Rejection { may_be_duplicate: true, ..rejection() };
        let judged = paypal_refusal(&of, &unnamed, 0);
        assert_eq!(judged.verdict, Verdict::Again { at: APART_US, doubtful: true }, "the same bytes again");
        let after = |judged: Judgment| Submission {
            doubts: 1,
            refusals: judged.refusals,
            looked_at: judged.looked_at,
            last: Some((judged.why, judged.detail)),
            ..of.clone()
        };
        let second = paypal_refusal(&after(judged), &unnamed, APART_US);
        assert_eq!(paypal_refusal(&after(second), &unnamed, 2 * APART_US).verdict, Verdict::Review);
    }

    #[test]
    fn a_key_from_the_future_is_of_any_age() {
        let of = Submission { doubts: 1, first_sent_at: Some(5 * 60 * MINUTE), ..submission() };
        let judged = too_old_to_send(&of, 0, 0).map(|judged| judged.verdict);
        assert_eq!(judged, Some(Verdict::Look(0)), "a clock was wrong");
        let of = Submission { first_sent_at: Some(S), ..of };
        assert_eq!(too_old_to_send(&of, 0, 0), None, "clocks are set back a little now and then");
    }
}
