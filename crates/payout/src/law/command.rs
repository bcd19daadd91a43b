//! What people may do with a payment after Pay, and why a command is refused. Each command leads to a step, like a
//! fact. Not here: facts, and permissions.

use super::{still, to};
use crate::ledger::{Journal, LedgerAccount, Movement};
use crate::planted;
use crate::spelling::spelled;
use crate::transaction::{AttemptState, Leg, State, Step, Terms};

/// Why a command on a transaction is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotNow {
    /// The last attempt has no final outcome at the vendor.
    NotTerminal,
    /// It was paid, and no bank has returned it.
    Arrived,
    /// Nothing has been sent yet.
    NotSentYet,
    /// It is in the payee's Stripe balance; the bank payout has not started.
    NotPaidOut,
    /// PayPal is waiting for the receiver to accept it.
    Unclaimed,
    /// A person must first find out the outcome of the last attempt.
    InReview,
    /// Its transfer is being reversed.
    BeingRecalled,
    /// Two people wrote off the money in the payee's balance.
    WrittenOff,
    /// None of its money is in a payee's balance.
    NothingParked,
    /// The vendor has the object a person reported as not made.
    VendorHasIt,
    /// Its rewards were returned to the pool.
    Closed,
    /// Its payee was paid another way, which covers its rewards.
    PaidOutside,
    /// The money is in the payee's Stripe balance and must be reversed first.
    RecallFirst,
    /// Part of its transfer was reversed, so the payee's balance holds less than the payment.
    CameBackInPart,
    /// The vendor contradicts what the ledger has as final.
    Contradicted,
    /// The vendor has it in addition to what the ledger has, and its outcome is still open.
    NotCorrected,
    /// No attempt waits for a person.
    NothingInDoubt,
    /// It was retried, and its request may be on its way to the vendor.
    StillAsking,
    /// It changed while the vendor was being asked about it.
    NotLookedAt,
    /// Its request ended with another payment it carried, and is no longer sent or looked up.
    RequestEnded,
    /// Only unclaimed payments can be canceled.
    NotUnclaimed,
    /// A cancellation is already in progress.
    CancelUnderWay,
}

impl NotNow {
    /// All values.
    pub const ALL: &'static [Self] = &[
        Self::NotTerminal,
        Self::Arrived,
        Self::NotSentYet,
        Self::NotPaidOut,
        Self::Unclaimed,
        Self::InReview,
        Self::BeingRecalled,
        Self::WrittenOff,
        Self::NothingParked,
        Self::VendorHasIt,
        Self::Closed,
        Self::PaidOutside,
        Self::RecallFirst,
        Self::CameBackInPart,
        Self::Contradicted,
        Self::NotCorrected,
        Self::NothingInDoubt,
        Self::StillAsking,
        Self::NotLookedAt,
        Self::RequestEnded,
        Self::NotUnclaimed,
        Self::CancelUnderWay,
    ];

    /// The stable snake_case code of the refusal.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::NotTerminal
            | Self::Arrived
            | Self::NotSentYet
            | Self::NotPaidOut
            | Self::Unclaimed
            | Self::InReview
            | Self::BeingRecalled => "not_terminal",
            Self::WrittenOff => "written_off",
            Self::NothingParked => "nothing_parked",
            Self::VendorHasIt => "vendor_has_it",
            Self::Closed | Self::PaidOutside => "transaction_closed",
            Self::RecallFirst | Self::CameBackInPart => "recall_first",
            Self::Contradicted | Self::NotCorrected => "contradicted",
            Self::NothingInDoubt => "nothing_in_doubt",
            Self::StillAsking => "still_asking",
            Self::NotLookedAt => "changed_meanwhile",
            Self::RequestEnded => "request_ended",
            Self::NotUnclaimed => "not_unclaimed",
            Self::CancelUnderWay => "cancel_under_way",
        }
    }

    /// What blocks it and what to do, as a sentence for people.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::NotTerminal => {
                "The vendor has not said how the last attempt ended, so nothing can be done without risking a second payment. Bursar keeps asking; you can ask now with Refresh."
            }
            Self::Arrived => {
                "The vendor says that it was paid, so there is nothing to do. If the money comes back in the next days, this becomes possible."
            }
            Self::NotSentYet => {
                "Nothing has been sent yet. It is sent within seconds, or once the gate named above opens."
            }
            Self::NotPaidOut => {
                "The money is in the payee's Stripe balance, and its bank payout has not started yet. Bursar starts it once the money is available and every gate is open."
            }
            Self::Unclaimed => {
                "PayPal has the money and waits up to 30 days for the receiver to claim it, so it may still be paid. To pay it another way, cancel it at PayPal first."
            }
            Self::InReview => {
                "Nobody knows yet how the last attempt ended, so nothing can be done without risking a second payment. Look for it at the vendor, then settle it by hand."
            }
            Self::BeingRecalled => {
                "Bursar is asking Stripe to reverse the transfer. Its rewards are free once Stripe has done so; if Stripe refuses, this becomes possible again."
            }
            Self::WrittenOff => {
                "The money in the payee's Stripe balance was written off, so it cannot be sent on. Return it to the pool; a new payment then pays its rewards."
            }
            Self::NothingParked => {
                "No money of this payment is in a payee's Stripe balance, so there is nothing to write off. Nothing was changed."
            }
            Self::VendorHasIt => {
                "Bursar asked the vendor, which has this payment, so it cannot be settled as not made. Nothing was changed. Settle it as made, with the vendor's id for it."
            }
            Self::Closed => {
                "It is closed: its rewards went back to the pool, and another payment can pay them."
            }
            Self::PaidOutside => {
                "It is closed: somebody here marked it as paid another way, and its rewards count as paid. Do not pay them again."
            }
            Self::RecallFirst => {
                "The money is in the payee's Stripe balance. First return the transaction to the pool, which brings the money back; then void the rewards with the outside payment's reference."
            }
            Self::CameBackInPart => {
                "Part of its transfer was reversed, so the payee's Stripe balance holds less than this payment, and a new bank payout would take another payment's money. Return it to the pool, which brings back the rest; a new payment then pays its rewards."
            }
            Self::Contradicted => {
                "The vendor and the books disagree about this payment, so money may have moved that they do not count. Nothing can be done with it until that is settled, because it could be paid a second time. Settle it by hand: as made, with the vendor's id for it, if it was paid; as not made if it was not, or if the vendor took it back."
            }
            Self::NotCorrected => {
                "The vendor has this object in addition to what the books hold for this payment, and its outcome is not known yet, so nothing was changed and its rewards stay held. Settle it once the outcome is known: when the newer attempt has ended, when the bank has paid or refused, or when PayPal says that it was paid or returned."
            }
            Self::NotLookedAt => {
                "The payment was tried again, or its vendor reported something new, while Bursar was asking the vendor. Nothing was changed. Look at it again, and settle it if it still needs you."
            }
            Self::RequestEnded => {
                "Another payment of the same PayPal batch was settled by hand, so the request that carried both is never sent again and asking again cannot resolve this one. Look for it at PayPal, then settle it by hand."
            }
            Self::StillAsking => {
                "Bursar is asking the vendor once more, which may find the payment or make it, so it cannot be settled as not made yet. Nothing was changed. Look again in a few minutes."
            }
            Self::NotUnclaimed => "Only an unclaimed PayPal payment can be canceled. Nothing was changed.",
            Self::CancelUnderWay => {
                "PayPal has already been asked to cancel it. It stays unclaimed here until PayPal says that the money is back."
            }
            Self::NothingInDoubt => {
                "This payment needs no action: Bursar finds out its outcome by itself. Refresh asks the vendor now."
            }
        }
    }
}

/// Resubmits a failed payment: a new attempt, with a new key, of the leg that failed.
///
/// # Errors
/// [`NotNow::Closed`] or [`NotNow::WrittenOff`]; otherwise, unless the payment has failed, why it has not.
pub fn resubmit(state: State, terms: &Terms) -> Result<Step, NotNow> {
    match state {
        State::Failed | State::Returned | State::Blocked | State::Refunded | State::Reversed => {
            Ok(to(State::Queued).begin(Leg::first(terms.vendor)).books(terms.reserve()))
        }
        State::PayoutFailed | State::PayoutCanceled if planted::on("resubmit_transfers_again") => {
            let again = to(State::Queued).also(Leg::Transfer, AttemptState::Returned).begin(Leg::Transfer);
            Ok(again.books(terms.reserve()))
        }
        State::PayoutFailed | State::PayoutCanceled => {
            Ok(to(State::Transferred).begin(Leg::Payout).books(terms.unpark()))
        }
        State::Recalled => Err(NotNow::Closed),
        State::WrittenOff => Err(NotNow::WrittenOff),
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
        | State::Recalling => Err(under_way(state)),
    }
}

/// Why nothing can be done with a payment that has not failed.
fn under_way(state: State) -> NotNow {
    match state {
        State::Queued => NotNow::NotSentYet,
        State::Success => NotNow::Arrived,
        State::Transferred => NotNow::NotPaidOut,
        State::Unclaimed => NotNow::Unclaimed,
        State::Review | State::PayoutReview => NotNow::InReview,
        State::Recalling => NotNow::BeingRecalled,
        State::Sending
        | State::Unknown
        | State::Processing
        | State::OnHold
        | State::PayoutSending
        | State::PayoutUnknown
        | State::InTransit
        | State::Failed
        | State::PayoutFailed
        | State::PayoutCanceled
        | State::Recalled
        | State::Returned
        | State::Blocked
        | State::Refunded
        | State::Reversed
        | State::WrittenOff => NotNow::NotTerminal,
    }
}

/// Cancels an unclaimed PayPal item. The payment stays unclaimed, and so in flight, until the item itself reports that
/// it was returned.
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
        | State::Reversed
        | State::WrittenOff => Err(NotNow::NotUnclaimed),
    }
}

/// What it takes to return a transaction's rewards to the pool.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Release {
    /// The money is with us: the rewards are free at once.
    Now,
    /// The money is in the connected balance: a reversal goes first and frees them once it is done.
    AfterReversal(Step),
}

/// Frees the rewards of a failed transaction for another batch.
///
/// # Errors
/// A [`NotNow`] unless the last attempt has ended at the vendor without success.
pub fn return_to_pool(state: State) -> Result<Release, NotNow> {
    match state {
        State::Failed
        | State::Returned
        | State::Blocked
        | State::Refunded
        | State::Reversed
        | State::Recalled
        | State::WrittenOff => Ok(Release::Now),
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
        | State::Recalling => Err(under_way(state)),
    }
}

/// Closes a failed transaction because it was paid another way.
///
/// # Errors
/// [`NotNow::RecallFirst`] if the money is in the payee's balance; another [`NotNow`] if it is not known to be with us.
pub fn mark_paid_outside(state: State, terms: &Terms) -> Result<Journal, NotNow> {
    match return_to_pool(state)? {
        Release::Now => {
            Ok(Journal::entry(Movement::Outside, terms.payable(), LedgerAccount::PaidOutside, terms.amount))
        }
        Release::AfterReversal(_) => Err(NotNow::RecallFirst),
    }
}

spelled! {
    /// How two people settle money in a payee's balance that can be neither reversed nor paid out.
    Parked {
        /// It was reversed at Stripe after all: we have it back.
        Reversed = "reversed",
        /// It is lost: written off, and the payee is still owed.
        GivenUp = "written_off",
        /// The payee has it, or was paid by other means instead.
        PaidOtherwise = "paid_otherwise",
    }
}

/// Settles money in a payee's balance.
///
/// # Errors
/// [`NotNow::BeingRecalled`] while it is being reversed; [`NotNow::NothingParked`] in every other state without parked
/// money.
pub fn settle_parked(state: State, terms: &Terms, how: Parked) -> Result<Step, NotNow> {
    match state {
        State::PayoutFailed | State::PayoutCanceled => Ok(match how {
            Parked::Reversed => {
                to(State::Recalled).also(Leg::Transfer, AttemptState::Returned).books(terms.recall())
            }
            // The transfer still stands at Stripe and may yet be reversed there.
            Parked::GivenUp => to(State::WrittenOff).books(terms.write_off()),
            Parked::PaidOtherwise => to(State::WrittenOff).books(terms.paid_out_of_parked()),
        }),
        State::Recalling => Err(NotNow::BeingRecalled),
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
        | State::Failed
        | State::Recalled
        | State::Returned
        | State::Blocked
        | State::Refunded
        | State::Reversed
        | State::WrittenOff => Err(NotNow::NothingParked),
    }
}
