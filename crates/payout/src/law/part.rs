//! Partial reversals, and reversals after two people settled the payment. Like a fee, a part is posted as the
//! difference between what is reported and what is already posted. Not here: the states ([`super::on`]).

use super::{still, to};
use crate::ledger::{Journal, LedgerAccount, Movement};
use crate::money::Money;
use crate::transaction::{AttemptState, State, Step, Terms};

/// The account against which a partial reversal is posted. While the payment is open it has its own account, so that
/// our balance at the vendor is right at once; if two people settled the whole, it reduces what they settled.
#[must_use]
pub fn part_account(state: State, terms: &Terms, paid_otherwise: bool) -> LedgerAccount {
    match (state == State::WrittenOff, paid_otherwise) {
        (true, true) => LedgerAccount::PaidOutside,
        (true, false) => LedgerAccount::WrittenOff(terms.vendor),
        (false, _) => LedgerAccount::PartlyReversed(terms.vendor),
    }
}

/// Posts the difference between the reversed part reported for a transfer and what is already posted; `None` if they
/// are equal. Amounts are minor units. Reporting zero removes the part again: the whole came back and is posted as
/// such.
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

/// Whether a reported reversal is posted on its own. A part always is. A full reversal is only while a bank payout may
/// be in progress: the payment waits for its outcome, and our balance is right meanwhile. Otherwise the full reversal
/// has its own step.
#[must_use]
pub fn booked_by_itself(state: State, terms: &Terms, told_minor: i64) -> bool {
    let awaits_the_payout =
        matches!(state, State::PayoutSending | State::PayoutUnknown | State::PayoutReview | State::InTransit);
    awaits_the_payout || told_minor < terms.net.minor
}

/// Two people settled what was in the payee's balance after part of it had come back: that part is not included in what
/// they wrote off or what the payee has.
#[must_use]
pub fn part_settled(terms: &Terms, settled_on: LedgerAccount, part_minor: i64) -> Journal {
    let part = Money::new(part_minor, terms.net.currency);
    Journal::entry(Movement::PartReversed, LedgerAccount::PartlyReversed(terms.vendor), settled_on, part)
}

/// A transfer was reversed after two people had settled that it would not be; `part_minor` of it is already posted. If
/// it was written off, it is ours again and its rewards are free. If the payee was said to be paid otherwise, it
/// reduces that cost, and a person must check whether they were.
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
    // All of it may already be posted: it came back before two people settled it.
    match rest.minor {
        0 => step,
        _ => step.books(Journal::entry(Movement::Recall, back, from, rest)),
    }
}
