//! The law of a payment: what each fact and each command does to a transaction, its attempt and the ledger.
//!
//! A *fact* is something known to have happened. It cannot be refused: [`on`] returns a [`Step`] for every state and
//! every fact; duplicate, late and reordered facts change nothing the second time. A *command* is a request and may be
//! refused; see [`command`]. `tests/law.rs` prints the whole law as a table.

mod command;
mod correction;
mod part;
mod swept;

pub use command::{
    NotNow, Parked, Release, cancel_unclaimed, mark_paid_outside, resubmit, return_to_pool, settle_parked,
};
pub use correction::{beyond_correction, correct, stands_beside};
pub use part::{back_after_settling, booked_by_itself, part_account, part_back, part_settled};
pub use swept::{still_contradicted, swept_beside};

use crate::ledger::{Journal, LedgerAccount, Movement};
use crate::money::Money;
use crate::notice::Notice;
use crate::planted;
use crate::transaction::{AttemptState, Fact, Leg, State, Step, Terms};

/// Applies `fact`, about an attempt in state `attempt`, to a transaction in state `state`.
///
/// A fact about an ended attempt, or about a leg this vendor does not have, changes nothing: at most it is marked as a
/// contradiction for a person to look at. Fees and partial reversals move nothing here either: [`fee`] and
/// [`part_back`] post the difference from what is already posted, and [`back_after_settling`] posts what comes back
/// after two people settled it.
#[must_use]
pub fn on(state: State, attempt: AttemptState, terms: &Terms, fact: &Fact) -> Step {
    if attempt.ended() {
        return echo_of_an_ended_attempt(state, attempt, fact);
    }
    if fact.leg() == Leg::Cancel {
        return canceling(state, attempt, fact);
    }
    match fact {
        Fact::Sent(leg) => sent(state, *leg),
        Fact::Unknown(leg) => doubtful(state, *leg, AttemptState::Unknown),
        Fact::Review(leg) => doubtful(state, *leg, AttemptState::Review),
        Fact::Refused(leg, _) => refused(state, *leg, terms),
        Fact::Withheld(leg) => withheld(state, attempt, *leg),
        Fact::Unfunded(_) => unfunded(state),
        Fact::TransferMade => transfer_made(state, terms),
        Fact::PayoutMade => payout_made(state),
        Fact::PayoutPaid => payout_paid(state),
        Fact::PayoutFailed(_) => payout_ended(state, State::PayoutFailed, terms),
        Fact::PayoutCanceled(_) => payout_ended(state, State::PayoutCanceled, terms),
        Fact::ReversalMade => reversal_made(state),
        Fact::ItemPending => item_waits(state, State::Processing),
        Fact::ItemOnHold(_) => item_waits(state, State::OnHold),
        Fact::ItemUnclaimed(_) if planted::on("unclaimed_is_failed") => {
            item_not_paid(state, State::Failed, terms)
        }
        Fact::ItemUnclaimed(_) => item_waits(state, State::Unclaimed),
        Fact::ItemPaid => item_paid(state, terms),
        Fact::ItemFailed(_) => item_not_paid(state, State::Failed, terms),
        Fact::ItemBlocked(_) => item_not_paid(state, State::Blocked, terms),
        Fact::ItemReturned(_) => item_came_back(state, State::Returned, terms),
        Fact::ItemRefunded => item_came_back(state, State::Refunded, terms),
        Fact::ItemReversed => item_came_back(state, State::Reversed, terms),
        Fact::TransferReversed => transfer_reversed(state, attempt, terms),
        Fact::TransferReversedPartly(_) => transfer_reversed_partly(state),
        Fact::OutOfSight(leg, _) => out_of_sight(state, attempt, *leg),
        Fact::Swept { arrived, .. } => swept::swept(state, *arrived, terms),
        // The ledger already has another object for it: the vendor made it twice.
        Fact::FoundAfterAll(_) => Step { contradiction: true, ..still(state) },
        Fact::CancelMade | Fact::FeeKnown(_) | Fact::PartBack(_) => still(state),
    }
}

/// Posts the difference between the fee the vendor reports for an attempt and what is already posted; `None` if they
/// are equal. If the fee is reported late, twice or with a correction, the ledger ends at the last reported value.
#[must_use]
pub fn fee(terms: &Terms, booked_minor: i64, told: Money) -> Option<Journal> {
    let (cost, paid_from) = (terms.fees(), LedgerAccount::VendorBalance(terms.vendor));
    let difference = Money::new(told.minor - booked_minor, told.currency);
    (difference.minor != 0).then(|| Journal::entry(Movement::Fee, cost, paid_from, difference))
}

/// A cancellation of an unclaimed item moves no money and changes no state, whatever its outcome: the item's own
/// status, read afterwards, does.
fn canceling(state: State, attempt: AttemptState, fact: &Fact) -> Step {
    let (next, from): (AttemptState, &[AttemptState]) = match fact {
        Fact::Sent(_) => (AttemptState::Sending, &[AttemptState::Queued]),
        Fact::Unknown(_) => (AttemptState::Unknown, &[AttemptState::Queued, AttemptState::Sending]),
        Fact::Review(_) => {
            (AttemptState::Review, &[AttemptState::Queued, AttemptState::Sending, AttemptState::Unknown])
        }
        Fact::Refused(..) => (AttemptState::Failed, AttemptState::ALL),
        Fact::CancelMade => (AttemptState::Returned, AttemptState::ALL),
        Fact::Withheld(_)
        | Fact::Unfunded(_)
        | Fact::TransferMade
        | Fact::PayoutMade
        | Fact::PayoutPaid
        | Fact::PayoutFailed(_)
        | Fact::PayoutCanceled(_)
        | Fact::ReversalMade
        | Fact::ItemPending
        | Fact::ItemPaid
        | Fact::ItemFailed(_)
        | Fact::ItemUnclaimed(_)
        | Fact::ItemOnHold(_)
        | Fact::ItemReturned(_)
        | Fact::ItemBlocked(_)
        | Fact::ItemRefunded
        | Fact::ItemReversed
        | Fact::FeeKnown(_)
        | Fact::TransferReversed
        | Fact::TransferReversedPartly(_)
        | Fact::PartBack(_)
        | Fact::OutOfSight(..)
        | Fact::FoundAfterAll(_)
        | Fact::Swept { .. } => return still(state),
    };
    if from.contains(&attempt) { still(state).attempt(next) } else { still(state) }
}

/// The attempt has ended and its money is accounted for. A repeated report of the end is an echo; a report that it paid
/// after all contradicts the ledger, and no automatic posting can resolve that.
fn echo_of_an_ended_attempt(state: State, attempt: AttemptState, fact: &Fact) -> Step {
    let paid_after_all = attempt == AttemptState::Failed
        && matches!(fact, Fact::TransferMade | Fact::ReversalMade | Fact::ItemPaid);
    let not_in_the_books = matches!(fact, Fact::FoundAfterAll(_));
    Step { contradiction: paid_after_all || not_in_the_books, ..still(state) }
}

fn sent(state: State, leg: Leg) -> Step {
    match (state, leg) {
        (State::Queued, Leg::Transfer | Leg::Item) => to(State::Sending).attempt(AttemptState::Sending),
        (State::Transferred, Leg::Payout) => to(State::PayoutSending).attempt(AttemptState::Sending),
        (State::Recalling, Leg::Reversal) => to(State::Recalling).attempt(AttemptState::Sending),
        (_, Leg::Transfer | Leg::Payout | Leg::Reversal | Leg::Item | Leg::Cancel) => still(state),
    }
}

/// No conclusive answer (`Unknown`), or Bursar cannot find out on its own (`Review`). Neither moves money.
fn doubtful(state: State, leg: Leg, attempt: AttemptState) -> Step {
    let review = attempt == AttemptState::Review;
    let (first, payout) =
        if review { (State::Review, State::PayoutReview) } else { (State::Unknown, State::PayoutUnknown) };
    let next = match leg {
        Leg::Transfer | Leg::Item => rank(state).zip(rank(first)).map(|ranks| (ranks, first)),
        Leg::Payout => payout_rank(state).zip(payout_rank(payout)).map(|ranks| (ranks, payout)),
        Leg::Reversal => return doubtful_reversal(state, attempt),
        Leg::Cancel => return still(state),
    };
    match next {
        Some(((before, after), next)) if before < after => {
            let step = to(next).attempt(attempt);
            if review { step.tell(Notice::PaymentNeedsReview) } else { step }
        }
        Some(_) | None => still(state),
    }
}

fn doubtful_reversal(state: State, attempt: AttemptState) -> Step {
    match (state == State::Recalling, attempt == AttemptState::Review) {
        (true, true) => to(state).attempt(attempt).tell(Notice::PaymentNeedsReview),
        (true, false) => to(state).attempt(attempt),
        (false, _) => still(state),
    }
}

/// Definitely not executed. For the first leg nothing left us; for a bank payout or a reversal the money stays in the
/// connected balance.
fn refused(state: State, leg: Leg, terms: &Terms) -> Step {
    match leg {
        Leg::Transfer | Leg::Item if untouched(state) => {
            to(State::Failed).attempt(AttemptState::Failed).books(terms.void()).tell(Notice::PaymentFailed)
        }
        Leg::Payout if payout_rank(state).is_some() && state != State::InTransit => to(State::PayoutFailed)
            .attempt(AttemptState::Failed)
            .books(terms.park())
            .tell(Notice::PaymentReturned),
        Leg::Reversal if state == State::Recalling => to(State::PayoutFailed).attempt(AttemptState::Failed),
        Leg::Transfer | Leg::Item | Leg::Payout | Leg::Reversal | Leg::Cancel => still(state),
    }
}

/// What was committed but certainly never sent goes back to waiting. Once it may have been sent, that is impossible.
fn withheld(state: State, attempt: AttemptState, leg: Leg) -> Step {
    match (state, attempt, leg) {
        (State::Sending, AttemptState::Sending, Leg::Transfer | Leg::Item) => {
            to(State::Queued).attempt(AttemptState::Queued)
        }
        (_, _, Leg::Transfer | Leg::Payout | Leg::Reversal | Leg::Item | Leg::Cancel) => still(state),
    }
}

/// The transferred money cannot be paid out yet: another attempt pays it later. No money has moved, and nobody is
/// notified of a failure.
fn unfunded(state: State) -> Step {
    match state {
        State::PayoutSending | State::PayoutUnknown | State::PayoutReview => {
            to(State::Transferred).attempt(AttemptState::Failed).begin(Leg::Payout)
        }
        State::Queued
        | State::Sending
        | State::Unknown
        | State::Review
        | State::Processing
        | State::OnHold
        | State::Unclaimed
        | State::Transferred
        | State::InTransit
        | State::Success
        | State::Failed
        | State::PayoutFailed
        | State::PayoutCanceled
        | State::Recalling
        | State::Recalled
        | State::Returned
        | State::Blocked
        | State::Refunded
        | State::Reversed
        | State::WrittenOff => still(state),
    }
}

fn transfer_made(state: State, terms: &Terms) -> Step {
    if untouched(state) {
        to(State::Transferred).attempt(AttemptState::Succeeded).begin(Leg::Payout).books(terms.post())
    } else {
        still(state)
    }
}

/// The transfer was reversed, by whomever. While a bank payout may be in progress, its outcome is awaited: only then is
/// it known whether the payee also has the money. Meanwhile the money in our balance is posted ([`booked_by_itself`]).
fn transfer_reversed(state: State, attempt: AttemptState, terms: &Terms) -> Step {
    if attempt != AttemptState::Succeeded {
        return still(state);
    }
    let undone = |next| to(next).attempt(AttemptState::Returned);
    match state {
        State::Transferred => {
            undone(State::Recalled).also(Leg::Payout, AttemptState::Failed).books(terms.reverse())
        }
        State::PayoutFailed | State::PayoutCanceled => undone(State::Recalled).books(terms.recall()),
        State::Recalling => {
            undone(State::Recalled).also(Leg::Reversal, AttemptState::Succeeded).books(terms.recall())
        }
        // The bank has paid and the transfer was reversed to us: the payee's balance is short by that amount.
        State::Success => Step {
            contradiction: true,
            ..undone(State::Reversed).also(Leg::Payout, AttemptState::Returned).books(terms.reverse())
        },
        State::Queued
        | State::Sending
        | State::Unknown
        | State::Review
        | State::Processing
        | State::OnHold
        | State::Unclaimed
        | State::PayoutSending
        | State::PayoutUnknown
        | State::PayoutReview
        | State::InTransit
        | State::Failed
        | State::Recalled
        | State::Returned
        | State::Blocked
        | State::Refunded
        | State::Reversed
        | State::WrittenOff => still(state),
    }
}

/// The rest is neither the full payment nor nothing, so nothing more is paid out of it until a person has looked.
fn transfer_reversed_partly(state: State) -> Step {
    if state == State::Transferred {
        to(State::PayoutReview).also(Leg::Payout, AttemptState::Review).tell(Notice::PaymentNeedsReview)
    } else {
        let final_here = parked(state) || matches!(state, State::Success | State::WrittenOff);
        Step { contradiction: final_here, ..still(state) }
    }
}

/// The vendor has not shown it for too long, or its money is not where it was sent: a person must find out.
fn out_of_sight(state: State, attempt: AttemptState, leg: Leg) -> Step {
    let next = match leg {
        Leg::Transfer | Leg::Item => rank(state).map(|_| State::Review),
        Leg::Payout => payout_rank(state).map(|_| State::PayoutReview),
        Leg::Reversal | Leg::Cancel => None,
    };
    match next {
        Some(next) if attempt != AttemptState::Review => {
            to(next).attempt(AttemptState::Review).tell(Notice::PaymentNeedsReview)
        }
        Some(_) | None => still(state),
    }
}

fn payout_made(state: State) -> Step {
    match payout_rank(state) {
        Some(_) if state != State::InTransit => {
            to(State::InTransit).attempt(AttemptState::Accepted).tell(Notice::PaymentOnItsWay)
        }
        Some(_) | None => still(state),
    }
}

fn payout_paid(state: State) -> Step {
    if payout_rank(state).is_some() {
        to(State::Success).attempt(AttemptState::Succeeded).tell(Notice::PaymentPaid)
    } else {
        still(state)
    }
}

/// `paid` is not final: a bank can return the money for some days, so a success can end here too.
fn payout_ended(state: State, end: State, terms: &Terms) -> Step {
    let returned = state == State::Success && !planted::on("paid_is_final");
    if payout_rank(state).is_some() || returned {
        to(end).attempt(AttemptState::Failed).books(terms.park()).tell(Notice::PaymentReturned)
    } else {
        still(state)
    }
}

/// Our reversal is made, and its money is in our balance. The transfer shows whether something took that money from the
/// payee's balance earlier, so the transfer ends the payment and frees its rewards ([`transfer_reversed`]), whoever
/// reversed it.
fn reversal_made(state: State) -> Step {
    if state == State::Recalling { to(state).attempt(AttemptState::Succeeded) } else { still(state) }
}

/// PayPal has the item, but its outcome is open; late facts never lead back to an earlier rank.
fn item_waits(state: State, next: State) -> Step {
    match (rank(state), rank(next)) {
        (Some(before), Some(after)) if before < after || planted::on("older_over_newer") => {
            let step = to(next).attempt(AttemptState::Accepted);
            if next == State::Unclaimed {
                step.tell(Notice::PaymentUnclaimed)
            } else if before < RANK_ACCEPTED {
                step.tell(Notice::PaymentOnItsWay)
            } else {
                step
            }
        }
        (None, Some(_)) if matches!(state, State::Success) && planted::on("older_over_newer") => {
            to(next).attempt(AttemptState::Accepted)
        }
        (Some(_) | None, Some(_) | None) => still(state),
    }
}

fn item_paid(state: State, terms: &Terms) -> Step {
    if rank(state).is_some() {
        to(State::Success).attempt(AttemptState::Succeeded).books(terms.post()).tell(Notice::PaymentPaid)
    } else {
        still(state)
    }
}

fn item_not_paid(state: State, end: State, terms: &Terms) -> Step {
    if state == State::Success {
        came_back_after_success(end, terms)
    } else if rank(state).is_none() {
        still(state)
    } else if end == State::Failed {
        to(end).attempt(AttemptState::Failed).books(terms.void()).tell(Notice::PaymentFailed)
    } else {
        to(end).attempt(AttemptState::Returned).books(terms.give_back()).tell(Notice::PaymentReturned)
    }
}

fn item_came_back(state: State, end: State, terms: &Terms) -> Step {
    if state == State::Success {
        came_back_after_success(end, terms)
    } else if rank(state).is_some() {
        to(end).attempt(AttemptState::Returned).books(terms.give_back()).tell(Notice::PaymentReturned)
    } else {
        still(state)
    }
}

/// The fee stays posted: PayPal keeps it.
fn came_back_after_success(end: State, terms: &Terms) -> Step {
    let end = if end == State::Failed { State::Reversed } else { end };
    to(end).attempt(AttemptState::Returned).books(terms.reverse()).tell(Notice::PaymentReturned)
}

/// From this rank on, the vendor has the item.
const RANK_ACCEPTED: u8 = 4;

/// The progress of the first leg while nothing is known to have left us; `None` afterwards.
fn rank(state: State) -> Option<u8> {
    let order = [
        State::Queued,
        State::Sending,
        State::Unknown,
        State::Review,
        State::Processing,
        State::OnHold,
        State::Unclaimed,
    ];
    (0u8..).zip(order).find(|(_, at)| *at == state).map(|(rank, _)| rank)
}

/// The progress of the bank payout; `None` if the payment is not at that leg.
fn payout_rank(state: State) -> Option<u8> {
    let order = [
        State::Transferred,
        State::PayoutSending,
        State::PayoutUnknown,
        State::PayoutReview,
        State::InTransit,
    ];
    (0u8..).zip(order).find(|(_, at)| *at == state).map(|(rank, _)| rank)
}

/// The vendor is not known to have accepted the first leg.
fn untouched(state: State) -> bool {
    rank(state).is_some_and(|rank| rank < RANK_ACCEPTED)
}

fn parked(state: State) -> bool {
    matches!(state, State::PayoutFailed | State::PayoutCanceled | State::Recalling)
}

fn still(state: State) -> Step {
    let journals = Vec::new();
    Step { state, attempt: None, also: None, begin: None, journals, notice: None, contradiction: false }
}

fn to(state: State) -> Step {
    still(state)
}

impl Step {
    /// Whether there is nothing to record.
    #[must_use]
    pub fn is_empty(&self, before: State) -> bool {
        *self == still(before)
    }

    fn attempt(self, attempt: AttemptState) -> Self {
        Self { attempt: Some(attempt), ..self }
    }

    fn also(self, leg: Leg, attempt: AttemptState) -> Self {
        Self { also: Some((leg, attempt)), ..self }
    }

    fn begin(self, leg: Leg) -> Self {
        Self { begin: Some(leg), ..self }
    }

    fn books(mut self, journal: Journal) -> Self {
        self.journals.push(journal);
        self
    }

    fn tell(self, notice: Notice) -> Self {
        Self { notice: Some(notice), ..self }
    }
}

/// The ledger movements of a payment. If the payee bears the fee, `amount` is owed but only `net` moves at the vendor;
/// the difference is held against the vendor's fee in a separate account.
impl Terms {
    fn payable(&self) -> LedgerAccount {
        LedgerAccount::Payable(self.payee)
    }

    fn in_flight(&self) -> LedgerAccount {
        LedgerAccount::InFlight(self.vendor)
    }

    fn borne_by_payee(&self) -> Money {
        Money::new(self.amount.minor - self.net.minor, self.amount.currency)
    }

    /// Pay: the payable becomes in flight.
    #[must_use]
    pub fn reserve(&self) -> Journal {
        Journal::entry(Movement::Reserve, self.payable(), self.in_flight(), self.amount)
    }

    fn void(&self) -> Journal {
        Journal::entry(Movement::Void, self.in_flight(), self.payable(), self.amount)
    }

    fn give_back(&self) -> Journal {
        Journal::entry(Movement::Reverse, self.in_flight(), self.payable(), self.amount)
    }

    fn post(&self) -> Journal {
        self.leave(Movement::Post, self.in_flight(), LedgerAccount::VendorBalance(self.vendor))
    }

    fn park(&self) -> Journal {
        self.come_back(Movement::Park, LedgerAccount::Returned(self.vendor))
    }

    fn unpark(&self) -> Journal {
        self.leave(Movement::Unpark, self.payable(), LedgerAccount::Returned(self.vendor))
    }

    fn reverse(&self) -> Journal {
        self.come_back(Movement::Reverse, LedgerAccount::VendorBalance(self.vendor))
    }

    fn recall(&self) -> Journal {
        let (back, from) = (LedgerAccount::VendorBalance(self.vendor), LedgerAccount::Returned(self.vendor));
        Journal::entry(Movement::Recall, back, from, self.net)
    }

    /// The account for the vendor's fee: our cost, unless the payee bears it. Then it offsets what the payee bore, and
    /// the balance is the difference between the frozen and the actual fee.
    fn fees(&self) -> LedgerAccount {
        match self.borne_by_payee().minor {
            0 => LedgerAccount::VendorFees(self.vendor),
            _ => LedgerAccount::FeeVariance(self.vendor),
        }
    }

    /// The vendor paid what the ledger has as failed.
    fn paid_after_all(&self) -> Journal {
        self.leave(Movement::Post, self.payable(), LedgerAccount::VendorBalance(self.vendor))
    }

    /// A transfer the ledger has as failed is in the connected balance; the payee is still owed.
    fn found_parked(&self) -> Journal {
        let (lies, left) = (LedgerAccount::Returned(self.vendor), LedgerAccount::VendorBalance(self.vendor));
        Journal::entry(Movement::Post, lies, left, self.net)
    }

    fn write_off(&self) -> Journal {
        let (lost, lay) = (LedgerAccount::WrittenOff(self.vendor), LedgerAccount::Returned(self.vendor));
        Journal::entry(Movement::WriteOff, lost, lay, self.net)
    }

    fn out_of_given_up(&self) -> Journal {
        self.leave(Movement::Unpark, self.payable(), LedgerAccount::WrittenOff(self.vendor))
    }

    fn paid_out_of_parked(&self) -> Journal {
        self.leave(Movement::Outside, self.payable(), LedgerAccount::Returned(self.vendor))
    }

    fn leave(&self, movement: Movement, owed: LedgerAccount, held: LedgerAccount) -> Journal {
        Journal::entry(movement, owed, held, self.net).and(owed, self.fees(), self.borne_by_payee())
    }

    fn come_back(&self, movement: Movement, held: LedgerAccount) -> Journal {
        Journal::entry(movement, held, self.payable(), self.net).and(
            self.fees(),
            self.payable(),
            self.borne_by_payee(),
        )
    }
}
