//! The last gate check before sending, and what a closed gate leads to.
//!
//! A submission may have waited for an unavailable vendor while its payee was put on hold or changed the destination.
//! One that was certainly never executed fails, or waits if the gate opens by itself. One that may have been executed
//! is not sent again while a gate is closed: Stripe is searched instead, which moves nothing; PayPal, whose only
//! look-up is a repeated send, needs review. So does a request whose bytes name a payment it no longer carries: another
//! request determines that one's outcome. Not here: the gates themselves (`payout::eligibility`).

use std::collections::HashSet;

use payout::eligibility::{BeforeSend, Code};
use payout::ids::TransactionId;
use payout::money::Vendor;
use payout::transaction::Reason;
use vendors::MoneyKind;

use super::gates::{self, GateRecheck};
use super::submission::{self, Answered, item_ids};
use super::verdict::{self, Judgment, Verdict};
use super::{Work, aside};
use crate::ops::Result;
use crate::ops::record::PAID_OUT;
use crate::store::submissions::Submission;

/// Splits leased submissions into those a gate stops and those that may be sent. A record that cannot be read is set
/// aside and only holds up itself.
pub(super) async fn ask(
    work: &Work,
    leased: Vec<Submission>,
    now: i64,
) -> Result<(Vec<Answered>, Vec<Submission>)> {
    let ids: Vec<String> = leased.iter().map(|one| one.id.clone()).collect();
    match gates::closed_gates(work, &ids, now).await {
        Ok(asked) => return Ok(part(work, leased, asked, now)),
        Err(error) if aside::about_a_row(&error) => {}
        Err(error) => return Err(error),
    }
    let (mut stopped, mut open) = (Vec::new(), Vec::new());
    for submission in leased {
        match gates::closed_gates(work, std::slice::from_ref(&submission.id), now).await {
            Ok(asked) => {
                let (closed, passed) = part(work, vec![submission], asked, now);
                stopped.extend(closed);
                open.extend(passed);
            }
            Err(error) if aside::about_a_row(&error) => aside::put_sent(work, &submission, &error).await?,
            Err(error) => return Err(error),
        }
    }
    Ok((stopped, open))
}

fn part(
    work: &Work,
    leased: Vec<Submission>,
    mut asked: GateRecheck,
    now: i64,
) -> (Vec<Answered>, Vec<Submission>) {
    let (mut stopped, mut open) = (Vec::new(), Vec::new());
    for submission in leased {
        if let Some(judged) = names_another(&submission, asked.carried.get(&submission.id)) {
            stopped.push(Answered::unsent(submission, judged, Vec::new()));
            continue;
        }
        let is_over = over(&submission, asked.carried.get(&submission.id), now);
        if let Some(judged) = is_over.or_else(|| paid(&submission, asked.paid.get(&submission.id), now)) {
            stopped.push(Answered::unsent(submission, judged, Vec::new()));
            continue;
        }
        let driven_on = submission.doubts > 0 && payout::planted::on("doubt_opens_gates");
        match asked.closed.remove(&submission.id).filter(|_| !driven_on) {
            None => open.push(submission),
            Some(closed) => {
                let (judged, waits) = stop(&submission, closed, now, work.app.config.longest_wait_us());
                stopped.push(Answered::unsent(submission, judged, waits));
            }
        }
    }
    (stopped, open)
}

/// A request whose bytes name a payment it no longer carries, or that has ended here, is never sent: it would pay that
/// one again. Returns the verdict in that case.
fn names_another(of: &Submission, carried: Option<&HashSet<String>>) -> Option<Judgment> {
    let gone = |named: &String| !carried.is_some_and(|carried| carried.contains(named));
    let named = item_ids(of).into_iter().find(gone)?;
    let message = format!(
        "this request also names a payment that no longer waits in it ({named}) and would pay it again, so it is never sent. For each payment that still waits here, find out at PayPal what happened and settle it by hand"
    );
    Some(Judgment::review(of, message))
}

/// A reversal whose attempt has ended is never sent: the money was paid out meanwhile. One that may have been made is
/// looked up.
fn over(of: &Submission, carried: Option<&HashSet<String>>, now: i64) -> Option<Judgment> {
    let has_ended = of.kind == MoneyKind::Reversal.as_str() && carried.is_none_or(HashSet::is_empty);
    has_ended.then(|| ended(of, PAID_OUT, now))
}

/// The verdict on a request nothing waits for any more.
pub(super) fn ended(of: &Submission, why: &str, now: i64) -> Judgment {
    match of.doubts {
        0 => verdict::stopped(of, Verdict::Refused(Reason::new(why, "")), why),
        _ => verdict::looks_instead(of, why, now),
    }
}

/// A bank payout is never sent if Stripe's automatic schedule has already paid out its money, reported while the
/// request was being written: it would take another payment's money. One that may have been made is looked up.
fn paid(of: &Submission, object: Option<&String>, now: i64) -> Option<Judgment> {
    object.map(|object| match of.doubts {
        0 => Judgment::accepted(of, object, "found"),
        _ => verdict::looks_instead(of, PAID_OUT, now),
    })
}

/// Re-checks the gates for a submission that has waited for its turn. Returns the result if it must not be sent: a gate
/// has closed, or the check failed.
pub(super) async fn closed_since(work: &Work, of: &Submission, now: i64) -> Option<Answered> {
    match gates::closed_gates(work, std::slice::from_ref(&of.id), now).await {
        Ok(asked) => part(work, vec![of.clone()], asked, now).0.pop(),
        Err(error) => {
            tracing::warn!(?error, key = of.key, "the gates could not be asked once more; nothing was sent");
            Some(submission::unsent(of.clone(), now + work.app.config.longest_wait_us()))
        }
    }
}

/// What closed gates mean for a submission, and the gates its payments are shown as waiting for.
fn stop(
    of: &Submission,
    closed: Vec<(TransactionId, BeforeSend)>,
    now: i64,
    longest: i64,
) -> (Judgment, Vec<(TransactionId, Code)>) {
    let codes: Vec<(TransactionId, Code)> =
        closed.iter().filter_map(|(id, gate)| Some((*id, code(*gate)?))).collect();
    let Some((_, first)) = codes.first().copied() else { return (verdict::waits(of, now), Vec::new()) };
    // Nothing is sent to a vendor that rejects our credentials, nor while the books do not balance, and nothing new was
    // learned.
    let nobody = |code| matches!(code, Code::VendorCredentialsRejected | Code::BooksDoNotBalance);
    if codes.iter().any(|(_, code)| nobody(*code)) {
        return (waits(of, now + longest), codes);
    }
    match (of.vendor, of.doubts > 0) {
        // The contradiction will be settled by then and must not appear as the reason the payment failed.
        (Vendor::Stripe, true) if first == Code::PaymentContradicted => {
            (verdict::looks_instead(of, "not_found_at_vendor", now), codes)
        }
        (Vendor::Stripe, true) => (verdict::looks_instead(of, first.as_str(), now), codes),
        (Vendor::PayPal, true) => {
            let stopped = codes.len();
            let sentence = format!(
                "{first}: PayPal may already have paid this batch, and resending it could pay it now, but {stopped} of its {} payments must not be paid ({}). Find out at PayPal, or open the gate and refresh",
                item_ids(of).len(),
                first.message(),
                first = first.as_str(),
            );
            (Judgment { alarm: false, ..Judgment::review(of, sentence) }, codes)
        }
        (Vendor::Stripe, false) => match closed.first().map(|(_, gate)| *gate) {
            Some(BeforeSend::Wait(_)) => (waits(of, now + longest), codes),
            Some(BeforeSend::Stop(_) | BeforeSend::Open) | None => {
                let refused = Verdict::Refused(Reason::new(first.as_str(), ""));
                (verdict::stopped(of, refused, first.as_str()), Vec::new())
            }
        },
        // In a batch, each payment fails or waits on its own gate and holds up no other.
        (Vendor::PayPal, false) => {
            let waiting = closed.iter().filter(|(_, gate)| matches!(gate, BeforeSend::Wait(_)));
            let waiting = waiting.filter_map(|(id, gate)| Some((*id, code(*gate)?))).collect();
            (verdict::stopped(of, Verdict::Stopped(closed), first.as_str()), waiting)
        }
    }
}

fn code(gate: BeforeSend) -> Option<Code> {
    match gate {
        BeforeSend::Stop(code) | BeforeSend::Wait(code) => Some(code),
        BeforeSend::Open => None,
    }
}

/// Nothing was sent and nothing learned; keep the last message.
fn waits(of: &Submission, again: i64) -> Judgment {
    let (why, detail) = of.last.clone().unwrap_or_default();
    Judgment { why, detail, ..verdict::waits(of, again) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::verdict::tests::submission;

    /// A payment that has left a request is never paid by it, however often the request is retried.
    #[test]
    fn a_request_is_sent_only_while_it_carries_all_that_it_names() {
        let body = r#"{"sender_batch_header":{"sender_batch_id":"pb:b:0:1"},"items":[
            {"recipient_type":"EMAIL","receiver":"a@example.com","amount":{"value":"1.00","currency":"USD"},"sender_item_id":"a"},
            {"recipient_type":"EMAIL","receiver":"b@example.com","amount":{"value":"1.00","currency":"USD"},"sender_item_id":"b"}]}"#;
        let of = Submission { vendor: Vendor::PayPal, body: body.to_owned(), ..submission() };
        assert_eq!(item_ids(&of), ["a", "b"]);
        let carries = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<HashSet<_>>();
        assert!(names_another(&of, Some(&carries(&["a", "b"]))).is_none());
        for left in [Some(carries(&["b"])), Some(carries(&["a"])), None] {
            let judged = names_another(&of, left.as_ref()).unwrap();
            assert_eq!(judged.verdict, Verdict::Review);
        }
        assert!(
            names_another(&Submission { body: "amount=100".to_owned(), ..of }, None).is_none(),
            "one of Stripe's"
        );
    }

    /// A person could not find out anything, and it resumes by itself once the brake is released.
    #[test]
    fn what_may_have_been_sent_waits_while_the_books_do_not_balance() {
        let id = TransactionId::fresh(0, 1);
        for vendor in Vendor::ALL {
            let of = Submission { vendor, doubts: 1, ..submission() };
            let closed = |code| vec![(id, BeforeSend::Wait(code))];
            let (judged, waiting) = stop(&of, closed(Code::BooksDoNotBalance), 9, 5);
            assert!(matches!(judged.verdict, Verdict::Again { at: 14, .. }), "{vendor:?}");
            assert_eq!(waiting, [(id, Code::BooksDoNotBalance)]);
            let (judged, _) = stop(&of, closed(Code::ProfileChangedRecently), 9, 5);
            assert!(matches!(judged.verdict, Verdict::Look(_) | Verdict::Review), "{vendor:?}");
        }
    }
}
