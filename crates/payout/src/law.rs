//! The law of a payment: what each fact and each command does to a transaction, its attempt and the books.
//!
//! A *fact* is something known to have happened. It cannot be refused: [`on`] answers a [`Step`] for every state and
//! every fact; doubled, late and reordered facts change nothing the second time. A *command* is somebody asking and may
//! be refused. The whole law is printed as a table in `tests/law.rs`.

use crate::ledger::{Journal, LedgerAccount, Movement};
use crate::money::Money;
use crate::notice::Notice;
use crate::transaction::{AttemptState, Fact, Leg, State, Step, Terms};

/// What `fact`, about an attempt that stands at `attempt`, does to a transaction that stands at `state`.
///
/// A fact about an attempt that has ended, or a leg that this vendor does not have, changes nothing: at most it is
/// marked as a contradiction, for a person to look at.
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
        Fact::ReversalMade => reversal_made(state, terms),
        Fact::ItemPending => item_waits(state, State::Processing),
        Fact::ItemOnHold(_) => item_waits(state, State::OnHold),
        Fact::ItemUnclaimed(_) => item_waits(state, State::Unclaimed),
        Fact::ItemPaid { fee } => item_paid(state, terms, *fee),
        Fact::ItemFailed(_) => item_not_paid(state, State::Failed, terms),
        Fact::ItemBlocked(_) => item_not_paid(state, State::Blocked, terms),
        Fact::ItemReturned(_) => item_came_back(state, State::Returned, terms, None),
        Fact::ItemRefunded { fee } => item_came_back(state, State::Refunded, terms, *fee),
        Fact::ItemReversed { fee } => item_came_back(state, State::Reversed, terms, *fee),
        Fact::CancelMade => still(state),
    }
}

/// Calling an unclaimed item back moves nothing and changes no state, whatever becomes of it: what the item itself says
/// when it is fetched does.
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
        | Fact::ItemPaid { .. }
        | Fact::ItemFailed(_)
        | Fact::ItemUnclaimed(_)
        | Fact::ItemOnHold(_)
        | Fact::ItemReturned(_)
        | Fact::ItemBlocked(_)
        | Fact::ItemRefunded { .. }
        | Fact::ItemReversed { .. } => return still(state),
    };
    if from.contains(&attempt) { still(state).attempt(next) } else { still(state) }
}

/// An attempt is over and its money accounted for. To hear again that it ended is an echo; to hear that it paid after
/// all contradicts the books, and no book entry made by a machine can settle that.
fn echo_of_an_ended_attempt(state: State, attempt: AttemptState, fact: &Fact) -> Step {
    let paid_after_all = attempt == AttemptState::Failed
        && matches!(fact, Fact::TransferMade | Fact::ReversalMade | Fact::ItemPaid { .. });
    Step { contradiction: paid_after_all, ..still(state) }
}

fn sent(state: State, leg: Leg) -> Step {
    match (state, leg) {
        (State::Queued, Leg::Transfer | Leg::Item) => to(State::Sending).attempt(AttemptState::Sending),
        (State::Transferred, Leg::Payout) => to(State::PayoutSending).attempt(AttemptState::Sending),
        (State::Recalling, Leg::Reversal) => to(State::Recalling).attempt(AttemptState::Sending),
        (_, Leg::Transfer | Leg::Payout | Leg::Reversal | Leg::Item | Leg::Cancel) => still(state),
    }
}

/// No believable answer (`Unknown`), or Bursar cannot find out alone (`Review`). Neither moves money.
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

/// Definitely not carried out. For the first leg nothing left us; for a payout or a reversal the money stays in the
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

/// What was intended but certainly never sent waits again as it did before. Once it may have been sent there is no way
/// back to waiting.
fn withheld(state: State, attempt: AttemptState, leg: Leg) -> Step {
    match (state, attempt, leg) {
        (State::Sending, AttemptState::Sending, Leg::Transfer | Leg::Item) => {
            to(State::Queued).attempt(AttemptState::Queued)
        }
        (_, _, Leg::Transfer | Leg::Payout | Leg::Reversal | Leg::Item | Leg::Cancel) => still(state),
    }
}

/// The transferred money is not there to be paid out yet: it goes out later, by another attempt. No money has moved, and
/// nobody is told that anything failed.
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
        | State::Reversed => still(state),
    }
}

fn transfer_made(state: State, terms: &Terms) -> Step {
    if untouched(state) {
        to(State::Transferred).attempt(AttemptState::Succeeded).begin(Leg::Payout).books(terms.post())
    } else {
        still(state)
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

/// `paid` is not final: a bank can send the money back for some days, so success leads here too.
fn payout_ended(state: State, end: State, terms: &Terms) -> Step {
    if payout_rank(state).is_some() || state == State::Success {
        to(end).attempt(AttemptState::Failed).books(terms.park()).tell(Notice::PaymentReturned)
    } else {
        still(state)
    }
}

fn reversal_made(state: State, terms: &Terms) -> Step {
    if parked(state) {
        to(State::Recalled).attempt(AttemptState::Succeeded).books(terms.recall())
    } else {
        still(state)
    }
}

/// PayPal has the item but it is not decided; what is learnt late never leads back to an earlier rank.
fn item_waits(state: State, next: State) -> Step {
    match (rank(state), rank(next)) {
        (Some(before), Some(after)) if before < after => {
            let step = to(next).attempt(AttemptState::Accepted);
            if next == State::Unclaimed {
                step.tell(Notice::PaymentUnclaimed)
            } else if before < RANK_ACCEPTED {
                step.tell(Notice::PaymentOnItsWay)
            } else {
                step
            }
        }
        (Some(_) | None, Some(_) | None) => still(state),
    }
}

fn item_paid(state: State, terms: &Terms, fee: Option<Money>) -> Step {
    if rank(state).is_some() {
        to(State::Success)
            .attempt(AttemptState::Succeeded)
            .books(terms.post())
            .fee(terms, fee)
            .tell(Notice::PaymentPaid)
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

fn item_came_back(state: State, end: State, terms: &Terms, fee: Option<Money>) -> Step {
    if state == State::Success {
        came_back_after_success(end, terms)
    } else if rank(state).is_some() {
        let back = to(end).attempt(AttemptState::Returned).books(terms.give_back());
        back.fee(terms, fee).tell(Notice::PaymentReturned)
    } else {
        still(state)
    }
}

/// The fee was posted with the success; PayPal keeps it.
fn came_back_after_success(end: State, terms: &Terms) -> Step {
    let end = if end == State::Failed { State::Reversed } else { end };
    to(end).attempt(AttemptState::Returned).books(terms.reverse()).tell(Notice::PaymentReturned)
}

/// Why a command on a transaction is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotNow {
    /// The last attempt has not ended at the vendor.
    NotTerminal,
    /// Its rewards are back in the pool, or it was marked as paid outside.
    Closed,
    /// The money lies in the payee's Stripe balance and must come back first.
    RecallFirst,
    /// The vendor says something else than the books hold as final.
    Contradicted,
    /// There is no attempt that waits for a person.
    NothingInDoubt,
    /// It was taken up again, and its request may be on its way to the vendor.
    StillAsking,
    /// Only what nobody has claimed can be called back.
    NotUnclaimed,
    /// It is being called back already.
    CancelUnderWay,
}

impl NotNow {
    /// The stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::NotTerminal => "not_terminal",
            Self::Closed => "transaction_closed",
            Self::RecallFirst => "recall_first",
            Self::Contradicted => "contradicted",
            Self::NothingInDoubt => "nothing_in_doubt",
            Self::StillAsking => "still_asking",
            Self::NotUnclaimed => "not_unclaimed",
            Self::CancelUnderWay => "cancel_under_way",
        }
    }

    /// What stands in the way, and what to do.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::NotTerminal => {
                "The vendor has not said how the last attempt ended, so nothing can be done without risking a second payment. Bursar keeps asking; you can ask now with Refresh."
            }
            Self::Closed => {
                "The rewards of this transaction are back in the pool or were marked as paid outside; pay them with a new batch."
            }
            Self::RecallFirst => {
                "The money lies in the payee's Stripe balance. Return the transaction to the pool first, which brings it back, then void the rewards with the outside payment's reference."
            }
            Self::Contradicted => {
                "The vendor says that this was paid after all, while the books hold it as failed. Nothing can be done with it until that is settled with the vendor, because it could be paid a second time. Mark it as paid outside if the vendor did pay it; settle it by hand as not made if the vendor took it back."
            }
            Self::StillAsking => {
                "The vendor is being asked once more, which may find it or carry it out, so nobody can say yet that it was not made. Nothing was changed: look again in a few minutes."
            }
            Self::NotUnclaimed => {
                "Only a PayPal payment that nobody has claimed yet can be called back. Nothing was changed."
            }
            Self::CancelUnderWay => {
                "PayPal is being asked already to give it back. It stays unclaimed here until PayPal says that the money is back."
            }
            Self::NothingInDoubt => {
                "Nothing of this payment waits for a person: Bursar finds out by itself how it ends. Refresh asks the vendor now."
            }
        }
    }
}

/// Sends a failed payment once more: a new attempt with a new key, of the leg that failed.
///
/// # Errors
/// [`NotNow::NotTerminal`] unless the last attempt has ended at the vendor.
pub fn resubmit(state: State, terms: &Terms) -> Result<Step, NotNow> {
    match state {
        State::Failed | State::Returned | State::Blocked | State::Refunded | State::Reversed => {
            Ok(to(State::Queued).begin(Leg::first(terms.vendor)).books(terms.reserve()))
        }
        State::PayoutFailed | State::PayoutCanceled => {
            Ok(to(State::Transferred).begin(Leg::Payout).books(terms.unpark()))
        }
        State::Recalled => Err(NotNow::Closed),
        State::Queued
        | State::Sending
        | State::Unknown
        | State::Review
        | State::Processing
        | State::OnHold
        | State::Unclaimed
        | State::Transferred
        | State::PayoutSending
        | State::PayoutUnknown
        | State::PayoutReview
        | State::InTransit
        | State::Success
        | State::Recalling => Err(NotNow::NotTerminal),
    }
}

/// Asks PayPal to give back what nobody has claimed. The payment stays unclaimed, and so in flight, until the item itself
/// says that it was returned.
///
/// # Errors
/// [`NotNow::NotUnclaimed`] in every other state.
pub fn cancel_unclaimed(state: State) -> Result<Step, NotNow> {
    match state {
        State::Unclaimed => Ok(still(state).begin(Leg::Cancel)),
        State::Queued
        | State::Sending
        | State::Unknown
        | State::Review
        | State::Processing
        | State::OnHold
        | State::Transferred
        | State::PayoutSending
        | State::PayoutUnknown
        | State::PayoutReview
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
        | State::Reversed => Err(NotNow::NotUnclaimed),
    }
}

/// What returning a transaction's rewards to the pool takes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Release {
    /// The money is with us: the rewards are free at once.
    Now,
    /// The money lies in the connected balance: a reversal goes first, and frees them when it is accepted.
    AfterReversal(Step),
}

/// Frees the rewards of a failed transaction for another batch.
///
/// # Errors
/// [`NotNow::NotTerminal`] unless the last attempt has ended at the vendor.
pub fn return_to_pool(state: State) -> Result<Release, NotNow> {
    match state {
        State::Failed
        | State::Returned
        | State::Blocked
        | State::Refunded
        | State::Reversed
        | State::Recalled => Ok(Release::Now),
        State::PayoutFailed | State::PayoutCanceled => {
            Ok(Release::AfterReversal(to(State::Recalling).begin(Leg::Reversal)))
        }
        State::Queued
        | State::Sending
        | State::Unknown
        | State::Review
        | State::Processing
        | State::OnHold
        | State::Unclaimed
        | State::Transferred
        | State::PayoutSending
        | State::PayoutUnknown
        | State::PayoutReview
        | State::InTransit
        | State::Success
        | State::Recalling => Err(NotNow::NotTerminal),
    }
}

/// Closes a failed transaction because it was paid some other way.
///
/// # Errors
/// [`NotNow`] unless the money is known to be with us.
pub fn mark_paid_outside(state: State, terms: &Terms) -> Result<Journal, NotNow> {
    match return_to_pool(state)? {
        Release::Now => {
            Ok(Journal::entry(Movement::Outside, terms.payable(), LedgerAccount::PaidOutside, terms.amount))
        }
        Release::AfterReversal(_) => Err(NotNow::RecallFirst),
    }
}

/// From this rank on the vendor has the item.
const RANK_ACCEPTED: u8 = 4;

/// How far the first leg has come while nothing is known to have left us; `None` afterwards.
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

/// How far the bank payout has come; `None` when it is not its turn.
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

/// The vendor is not known to have taken the first leg.
fn untouched(state: State) -> bool {
    rank(state).is_some_and(|rank| rank < RANK_ACCEPTED)
}

fn parked(state: State) -> bool {
    matches!(state, State::PayoutFailed | State::PayoutCanceled | State::Recalling)
}

fn still(state: State) -> Step {
    Step { state, attempt: None, begin: None, journals: Vec::new(), notice: None, contradiction: false }
}

fn to(state: State) -> Step {
    still(state)
}

impl Step {
    /// Nothing is to be recorded.
    #[must_use]
    pub fn is_empty(&self, before: State) -> bool {
        *self == still(before)
    }

    fn attempt(self, attempt: AttemptState) -> Self {
        Self { attempt: Some(attempt), ..self }
    }

    fn begin(self, leg: Leg) -> Self {
        Self { begin: Some(leg), ..self }
    }

    fn books(mut self, journal: Journal) -> Self {
        self.journals.push(journal);
        self
    }

    fn fee(self, terms: &Terms, fee: Option<Money>) -> Self {
        match fee {
            Some(money) if money.minor > 0 => self.books(terms.vendor_fee(money)),
            Some(_) | None => self,
        }
    }

    fn tell(self, notice: Notice) -> Self {
        Self { notice: Some(notice), ..self }
    }
}

/// The movements of one payment. Where the payee bears the fee, `amount` is owed but only `net` moves at the vendor;
/// the difference stands against the fee the vendor takes, in an account of its own.
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

    /// Pay: what is owed becomes promised.
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

    /// Where what the vendor takes is booked: it is our cost, unless the payee bears it. Then it stands against what the payee
    /// bore, and what is left there is the difference between the fee that was frozen and the one that was taken.
    fn fees(&self) -> LedgerAccount {
        match self.borne_by_payee().minor {
            0 => LedgerAccount::VendorFees(self.vendor),
            _ => LedgerAccount::FeeVariance(self.vendor),
        }
    }

    fn vendor_fee(&self, fee: Money) -> Journal {
        Journal::entry(Movement::Fee, self.fees(), LedgerAccount::VendorBalance(self.vendor), fee)
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
