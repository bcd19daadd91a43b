//! What comes back of a transfer beside the states: a part of it, and what comes back after two people have settled it. Like
//! a fee, a part is booked by the difference between what is told and what the books hold. What is deliberately not here:
//! what the states are, which [`super::on`] says.

use super::{still, to};
use crate::ledger::{Journal, LedgerAccount, Movement};
use crate::money::Money;
use crate::transaction::{AttemptState, State, Step, Terms};

/// Against which account a part that came back is booked. While the payment has no end it stands by itself, so that our
/// balance at the vendor is told rightly at once; where two people have settled the whole, it takes from what they settled.
#[must_use]
pub fn part_account(state: State, terms: &Terms, paid_otherwise: bool) -> LedgerAccount {
    match (state == State::WrittenOff, paid_otherwise) {
        (true, true) => LedgerAccount::PaidOutside,
        (true, false) => LedgerAccount::WrittenOff(terms.vendor),
        (false, _) => LedgerAccount::PartlyReversed(terms.vendor),
    }
}

/// What books the difference between the part of a transfer that is told to have come back and what the books hold of it;
/// nothing when they agree. Nothing told takes the part out again: the whole came back, and is booked as such.
#[must_use]
pub fn part_back(
    terms: &Terms,
    against: LedgerAccount,
    booked_minor: i64,
    told_minor: i64,
) -> Option<Journal> {
    let difference = Money::new(told_minor - booked_minor, terms.net.currency);
    let back = LedgerAccount::VendorBalance(terms.vendor);
    (difference.minor != 0).then(|| Journal::entry(Movement::PartReversed, back, against, difference))
}

/// Whether what is told to have come back of a transfer is booked by itself. A part always is. The whole is only while a bank
/// payout may be under way: its end is awaited before the payment moves, and our balance is told rightly meanwhile. Everywhere
/// else the whole has a step of its own.
#[must_use]
pub fn booked_by_itself(state: State, terms: &Terms, told_minor: i64) -> bool {
    let awaits_the_payout =
        matches!(state, State::PayoutSending | State::PayoutUnknown | State::PayoutReview | State::InTransit);
    awaits_the_payout || told_minor < terms.net.minor
}

/// Two people have settled what lay in the payee's balance while a part of it had come back: that part is not what they
/// gave up, or what the payee has.
#[must_use]
pub fn part_settled(terms: &Terms, settled_on: LedgerAccount, part_minor: i64) -> Journal {
    let part = Money::new(part_minor, terms.net.currency);
    Journal::entry(Movement::PartReversed, LedgerAccount::PartlyReversed(terms.vendor), settled_on, part)
}

/// A transfer came back, of which two people had settled that it does not; `part_minor` of it is booked already. What was
/// given up is ours again, and its rewards are free. What the payee was said to have been paid otherwise has cost us what
/// was paid otherwise, and a person must look whether it was.
#[must_use]
pub fn back_after_settling(terms: &Terms, paid_otherwise: bool, part_minor: i64) -> Step {
    let back = LedgerAccount::VendorBalance(terms.vendor);
    let rest = Money::new(terms.net.minor - part_minor, terms.net.currency);
    let from = part_account(State::WrittenOff, terms, paid_otherwise);
    let step = match paid_otherwise {
        true => Step { contradiction: true, ..still(State::WrittenOff) },
        false => to(State::Recalled),
    };
    let step = step.attempt(AttemptState::Returned);
    // All of it may be booked already: it came back before two people settled it.
    match rest.minor {
        0 => step,
        _ => step.books(Journal::entry(Movement::Recall, back, from, rest)),
    }
}
