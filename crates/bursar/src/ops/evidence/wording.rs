//! The wording of a payment's timeline: what happened and what that means for the money, shared by page and API. The
//! timeline itself stores short names, which programs compare. Not here: a payment's current status (`web::kit::format`),
//! and raw vendor responses.

use payout::money::Vendor;
use payout::notice::Notice;
use payout::transaction::State;

use crate::store::transactions::ReadLine;

/// What happened, as a sentence without its full stop.
pub fn happened(line: &ReadLine, vendor: Vendor) -> String {
    let name = vendor.label();
    if line.source == "notice" {
        let notice_label =
            Notice::parse(&line.effect).map_or_else(|| plain(&line.effect), |it| it.label().to_owned());
        return format!("A mail was written: {notice_label}");
    }
    by_people(line).or_else(|| about_money(&line.effect)).map(str::to_owned).unwrap_or_else(|| {
        match line.effect.as_str() {
            "sent" => format!("Recorded, to be sent to {name}"),
            "outcome_unknown" => {
                format!("{name} gave no clear answer, so it is not known whether it has this")
            }
            "out_of_sight" => format!("{name} no longer shows it: a person must look"),
            "not_understood" => {
                format!("{name}'s answers about it have been inconclusive for days: a person must look")
            }
            "contradiction" => {
                format!("{name} says something different from what is recorded here: a person must look")
            }
            "asked" => format!("{name} was asked"),
            "changed nothing" => format!("{name} answered, and nothing changed"),
            "unreadable" => format!("{name}'s answer could not be read, so nothing changed"),
            // The vendor's own name of an event that moved nothing.
            own if line.source == "webhook" => format!("{name} sent the event {own}"),
            other => plain(other),
        }
    })
}

/// Actions of our own people.
fn by_people(line: &ReadLine) -> Option<&'static str> {
    Some(match line.effect.as_str() {
        "refused" if line.source == "person" => {
            "People settled it as not made: the books hold that no money moved"
        }
        "pay_pressed" => "Pay was pressed",
        "resubmitted" => "Resubmitted: the failed step is tried again with a new key",
        "recall_asked" => "Return to pool was requested: Stripe is asked to reverse the transfer first",
        "cancel_asked" => "Cancellation at PayPal was requested",
        "returned_to_pool" => "Its rewards went back to the pool",
        "marked_paid_outside" => "Marked as paid outside",
        "second_person_asked" => "Recorded; it takes effect when a second person confirms it",
        "settled_by_hand" => "Settled by hand",
        "parked_money_settled" => "The money in the payee's Stripe balance was settled by two people",
        "corrected" => "Corrected to what the vendor shows",
        _ => return None,
    })
}

/// What happened to the money.
fn about_money(effect: &str) -> Option<&'static str> {
    Some(match effect {
        "needs_review" => "Bursar cannot find out how it ended: a person must look",
        "refused" => "The vendor refused this step, and no money moved",
        "withheld" => "Nothing was sent: it waits until its gates are open",
        "unfunded" => "The bank payout waits: the money is not available in the payee's Stripe balance yet",
        "transfer_made" => "Stripe moved the money from our balance to the payee's Stripe balance",
        "payout_made" => "Stripe started the payout to the payee's bank",
        "swept" => "Stripe's own schedule paid the money out of the payee's Stripe balance to their bank",
        "payout_paid" => "Stripe paid the money out to the payee's bank",
        "payout_failed" => "The bank payout failed: the money is in the payee's Stripe balance",
        "payout_canceled" => "The bank payout was canceled: the money is in the payee's Stripe balance",
        "reversal_made" => "Stripe reversed the transfer: the money is back in our balance",
        "item_pending" => "PayPal has the payment and is processing it",
        "item_paid" => "PayPal paid the receiver",
        "item_failed" => "PayPal did not pay it: the money is in our balance",
        "item_unclaimed" => "The receiver has not claimed the money yet",
        "item_on_hold" => "PayPal is reviewing the payment",
        "item_returned" => "The money was not claimed and came back to us",
        "item_blocked" => "PayPal stopped the payment and did not pay it",
        "item_refunded" => "The receiver sent the money back to us",
        "item_reversed" => "PayPal took the money back from the receiver",
        "cancel_made" => "PayPal has canceled the unclaimed payment and returns the money next",
        "fee_known" => "The vendor's fee is known",
        "transfer_reversed" => "The transfer was reversed: the money is back in our balance",
        "transfer_reversed_partly" => "Part of the transfer was reversed: a person must look",
        "part_back" => "Part of the transfer came back to us",
        "found_after_all" => "It had ended here as not made, but was made after all",
        _ => return None,
    })
}

/// The details of a line: who is quoted, the idempotency key, or the outcome of an answer.
pub fn of_line(line: &ReadLine, vendor: Vendor) -> Option<String> {
    let detail = line.detail.as_deref()?;
    Some(match (line.source.as_str(), detail.split_once(": ")) {
        ("request", _) => format!("Idempotency key {detail}"),
        ("answer", Some(("accepted", id))) => format!("Accepted under the id {id}"),
        ("answer", Some((worth, said))) if is_short_name(worth) => format!("{}: {said}", plain(worth)),
        ("person", _) => detail.to_owned(),
        (_, _) => particulars(&vendors_own(detail, vendor)),
    })
}

/// Names the vendor where a sentence starts with "the vendor says", and where one of its own answers could not be read.
pub fn vendors_own(detail: &str, vendor: Vendor) -> String {
    let name = vendor.label();
    let saying = ["the vendor says ".to_owned(), format!("{name} says ")];
    let own = saying.iter().find_map(|words| detail.strip_prefix(words.as_str()));
    let detail = own.filter(|rest| rest.starts_with(THEIRS)).unwrap_or(detail);
    let detail = detail.replace(THEIRS, &format!("{name}'s "));
    match detail.strip_prefix("the vendor ") {
        Some(rest) => format!("{name} {rest}"),
        None => detail,
    }
}

/// Stands for the vendor in text that is written without knowing which one it is.
const THEIRS: &str = "the vendor's ";

fn is_short_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

/// What an event meant. Shows a state by its label, not by the name that programs compare.
pub fn particulars(detail: &str) -> String {
    let Some((before, code)) = detail.rsplit_once("the payment is ") else {
        // So it was recorded once.
        return if detail == "asked about 1 payments" { "asked about 1 payment" } else { detail }.to_owned();
    };
    match State::parse(code) {
        Some(state) => format!("{before}the payment is {}", standing(state)),
        None => detail.to_owned(),
    }
}

fn standing(state: State) -> String {
    let label = state.status().label();
    match state.detail() {
        Some(detail) => format!("{label}, {}", detail.as_str().replace('_', " ")),
        None => label.to_owned(),
    }
}

/// A short name that has no wording of its own: `batch_paid` as "Batch paid".
fn plain(effect: &str) -> String {
    let text = effect.replace('_', " ");
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(source: &str, effect: &str) -> ReadLine {
        let (id, detail, event_id) = (String::new(), None, None);
        ReadLine { id, at: 0, source: source.to_owned(), effect: effect.to_owned(), detail, event_id }
    }

    #[test]
    fn a_state_is_told_as_people_know_it() {
        let message = particulars("the vendor was asked; the payment is in_transit");
        assert_eq!(message, "the vendor was asked; the payment is Pending Processing");
        let message = particulars("the vendor was asked; the payment is payout_canceled");
        assert_eq!(message, "the vendor was asked; the payment is Payout Failed, canceled");
        assert_eq!(particulars("asked about 2 payments"), "asked about 2 payments");
        for state in State::ALL {
            let message = particulars(&format!("the payment is {}", state.as_str()));
            assert!(!message.contains('_'), "{message}");
        }
    }

    #[test]
    fn particulars_say_what_they_are() {
        let describe = |source: &str, detail: &str| {
            let line = ReadLine { detail: Some(detail.to_owned()), ..line(source, "sent") };
            of_line(&line, Vendor::PayPal).unwrap()
        };
        for (source, detail, words) in [
            ("request", "pb:bat_1:0:1", "Idempotency key pb:bat_1:0:1"),
            ("answer", "accepted: C9V6", "Accepted under the id C9V6"),
            ("answer", "no_answer: time-out", "No answer: time-out"),
            ("answer", "nothing was sent: The module is off.", "nothing was sent: The module is off."),
            ("poll", "the vendor says SUCCESS", "PayPal says SUCCESS"),
            (
                "poll",
                "the vendor's answer could not be read: html",
                "PayPal's answer could not be read: html",
            ),
            (
                "poll",
                "the vendor says the vendor's answer could not be read: html; the vendor's answer could not be read: x",
                "PayPal's answer could not be read: html; PayPal's answer could not be read: x",
            ),
            (
                "webhook",
                "the vendor was asked; the payment is in_transit",
                "PayPal was asked; the payment is Pending Processing",
            ),
            ("person", "the vendor told me: refused", "the vendor told me: refused"),
        ] {
            assert_eq!(describe(source, detail), words);
        }
    }

    #[test]
    fn what_happened_is_a_sentence_and_no_short_name() {
        for (source, effect, words) in [
            ("answer", "item_unclaimed", "The receiver has not claimed the money yet"),
            ("webhook", "payout.updated", "Stripe sent the event payout.updated"),
            ("notice", "payment_paid", "A mail was written: Payment made"),
            ("poll", "asked", "Stripe was asked"),
            ("answer", "unreadable", "Stripe's answer could not be read, so nothing changed"),
            ("poll", "out_of_sight", "Stripe no longer shows it: a person must look"),
            (
                "poll",
                "not_understood",
                "Stripe's answers about it have been inconclusive for days: a person must look",
            ),
            ("person", "refused", "People settled it as not made: the books hold that no money moved"),
            ("answer", "refused", "The vendor refused this step, and no money moved"),
            ("person", "something_new", "Something new"),
        ] {
            assert_eq!(happened(&line(source, effect), Vendor::Stripe), words);
        }
    }
}
