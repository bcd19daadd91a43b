//! The vocabulary of a payment: its states, the facts about it, and the step that follows from a fact.
//!
//! What each fact does in each state is in [`crate::law`], printed in full by `tests/law.rs`. Not here: sending,
//! storing, time.

use crate::ledger::{Journal, Payee};
use crate::money::{Money, Vendor};
use crate::notice::Notice;
use crate::spelling::spelled;

/// A part of a payment that is one request to a vendor.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Leg {
    /// Stripe: from our balance to the payee's connected balance.
    Transfer,
    /// Stripe: from the connected balance to the payee's bank.
    Payout,
    /// Stripe: from the connected balance back to ours, after the payee's bank refused.
    Reversal,
    /// PayPal: one item of a batch.
    Item,
    /// PayPal: canceling an unclaimed item. It moves no money itself: only the item, read afterwards, shows that the
    /// money is back.
    Cancel,
}

impl Leg {
    /// Every leg.
    pub const ALL: [Self; 5] = [Self::Transfer, Self::Payout, Self::Reversal, Self::Item, Self::Cancel];

    /// The spelling in the database and the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Transfer => "transfer",
            Self::Payout => "payout",
            Self::Reversal => "reversal",
            Self::Item => "item",
            Self::Cancel => "cancel",
        }
    }

    /// Parses the spelling of [`Leg::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|leg| leg.as_str() == text)
    }

    /// The prefix of this leg's idempotency keys: `tr`, `po`, `rv`, `pb`, `ca`.
    #[must_use]
    pub fn key_prefix(self) -> &'static str {
        match self {
            Self::Transfer => "tr",
            Self::Payout => "po",
            Self::Reversal => "rv",
            Self::Item => "pb",
            Self::Cancel => "ca",
        }
    }

    /// The first leg of a payment through this vendor.
    #[must_use]
    pub fn first(vendor: Vendor) -> Self {
        match vendor {
            Vendor::Stripe => Self::Transfer,
            Vendor::PayPal => Self::Item,
        }
    }
}

/// Why something ended as it did: the vendor's own code and message, or one of our blocker codes.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Reason {
    /// Stripe's `failure_code` or `error.code`, PayPal's `errors.name`, or ours.
    pub code: String,
    /// The vendor's message, unchanged. May be empty.
    pub message: String,
}

impl Reason {
    /// A reason with this code and message.
    #[must_use]
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }
}

/// A fact: something that happened to one attempt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fact {
    /// The submission is committed; it may be sent from now on.
    Sent(Leg),
    /// No conclusive answer: it may or may not have been executed.
    Unknown(Leg),
    /// Bursar cannot find out on its own; a person must look.
    Review(Leg),
    /// Definitely not executed: the vendor refused it, or a gate closed before it was sent.
    Refused(Leg, Reason),
    /// Certainly not sent, because of a gate that opens by itself: it is sent when it does.
    Withheld(Leg),
    /// The bank payout was refused only because the connected balance does not cover it yet.
    Unfunded(Reason),
    /// Stripe made the transfer: the money left our balance.
    TransferMade,
    /// Stripe has the payout (`pending` or `in_transit`).
    PayoutMade,
    /// Stripe expects the money to arrive (`paid`); a bank can still return it.
    PayoutPaid,
    /// The bank payout failed, before or after `paid`; the money is in the connected balance.
    PayoutFailed(Reason),
    /// The bank payout was canceled; the money is in the connected balance.
    PayoutCanceled(Reason),
    /// Our reversal of the transfer was made: the money is back in our balance.
    ReversalMade,
    /// PayPal has the item and is processing it.
    ItemPending,
    /// PayPal credited the receiver.
    ItemPaid,
    /// PayPal did not pay the item (item `FAILED`, batch `DENIED` or `CANCELED`).
    ItemFailed(Reason),
    /// The receiver has not accepted it yet; PayPal waits up to 30 days.
    ItemUnclaimed(Reason),
    /// PayPal is reviewing the item.
    ItemOnHold(Reason),
    /// The money came back: unclaimed in time, or canceled by us.
    ItemReturned(Reason),
    /// PayPal stopped the item and did not pay it.
    ItemBlocked(Reason),
    /// The receiver returned the money.
    ItemRefunded,
    /// PayPal took the money back from the receiver.
    ItemReversed,
    /// PayPal canceled the unclaimed item. That its money is back is a separate fact: [`Fact::ItemReturned`].
    CancelMade,
    /// The vendor's total fee for this attempt. It may be reported long after the payment, and repeatedly.
    FeeKnown(Money),
    /// The transfer was fully reversed, by whomever: its money is back in our balance.
    TransferReversed,
    /// The transfer was partly reversed: the rest is neither the full payment nor nothing.
    TransferReversedPartly(Reason),
    /// How much of the transfer has been reversed so far, in part or in full. Reported with every read.
    PartBack(Money),
    /// What should be at the vendor is not there, for so long that a person must look.
    OutOfSight(Leg, Reason),
    /// The vendor has an object for an attempt that the ledger does not: it ended here as not executed, or a different
    /// object is recorded for it.
    FoundAfterAll(Leg),
    /// Money parked in the payee's balance after their bank refused it was paid out by the vendor's automatic schedule,
    /// as shown by the balance transactions that payout covers.
    Swept {
        /// The vendor's id of the payout.
        payout: String,
        /// Whether the bank has it; otherwise it is on its way there.
        arrived: bool,
    },
}

impl Fact {
    /// The leg of the attempt the fact is about.
    #[must_use]
    pub fn leg(&self) -> Leg {
        match self {
            Self::Sent(leg)
            | Self::Unknown(leg)
            | Self::Review(leg)
            | Self::Refused(leg, _)
            | Self::Withheld(leg)
            | Self::OutOfSight(leg, _)
            | Self::FoundAfterAll(leg) => *leg,
            Self::TransferMade
            | Self::TransferReversed
            | Self::TransferReversedPartly(_)
            | Self::PartBack(_)
            | Self::Swept { .. } => Leg::Transfer,
            Self::PayoutMade
            | Self::PayoutPaid
            | Self::PayoutFailed(_)
            | Self::PayoutCanceled(_)
            | Self::Unfunded(_) => Leg::Payout,
            Self::ReversalMade => Leg::Reversal,
            Self::ItemPending
            | Self::ItemPaid
            | Self::ItemFailed(_)
            | Self::ItemUnclaimed(_)
            | Self::ItemOnHold(_)
            | Self::ItemReturned(_)
            | Self::ItemBlocked(_)
            | Self::ItemRefunded
            | Self::ItemReversed
            | Self::FeeKnown(_) => Leg::Item,
            Self::CancelMade => Leg::Cancel,
        }
    }

    /// The vendor's reason, if the fact has one.
    #[must_use]
    pub fn reason(&self) -> Option<&Reason> {
        match self {
            Self::Refused(_, reason)
            | Self::Unfunded(reason)
            | Self::PayoutFailed(reason)
            | Self::PayoutCanceled(reason)
            | Self::ItemFailed(reason)
            | Self::ItemUnclaimed(reason)
            | Self::ItemOnHold(reason)
            | Self::ItemReturned(reason)
            | Self::ItemBlocked(reason)
            | Self::TransferReversedPartly(reason)
            | Self::OutOfSight(_, reason) => Some(reason),
            Self::Sent(_)
            | Self::Withheld(_)
            | Self::Unknown(_)
            | Self::Review(_)
            | Self::TransferMade
            | Self::PayoutMade
            | Self::PayoutPaid
            | Self::ReversalMade
            | Self::CancelMade
            | Self::ItemPending
            | Self::ItemPaid
            | Self::ItemRefunded
            | Self::ItemReversed
            | Self::FeeKnown(_)
            | Self::TransferReversed
            | Self::PartBack(_)
            | Self::FoundAfterAll(_)
            | Self::Swept { .. } => None,
        }
    }

    /// A short name for timelines and logs.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Sent(_) => "sent",
            Self::Unknown(_) => "outcome_unknown",
            Self::Review(_) => "needs_review",
            Self::Refused(..) => "refused",
            Self::Withheld(_) => "withheld",
            Self::Unfunded(_) => "unfunded",
            Self::TransferMade => "transfer_made",
            Self::PayoutMade => "payout_made",
            Self::PayoutPaid => "payout_paid",
            Self::PayoutFailed(_) => "payout_failed",
            Self::PayoutCanceled(_) => "payout_canceled",
            Self::ReversalMade => "reversal_made",
            Self::ItemPending => "item_pending",
            Self::ItemPaid => "item_paid",
            Self::ItemFailed(_) => "item_failed",
            Self::ItemUnclaimed(_) => "item_unclaimed",
            Self::ItemOnHold(_) => "item_on_hold",
            Self::ItemReturned(_) => "item_returned",
            Self::ItemBlocked(_) => "item_blocked",
            Self::ItemRefunded => "item_refunded",
            Self::ItemReversed => "item_reversed",
            Self::CancelMade => "cancel_made",
            Self::FeeKnown(_) => "fee_known",
            Self::TransferReversed => "transfer_reversed",
            Self::TransferReversedPartly(_) => "transfer_reversed_partly",
            Self::PartBack(_) => "part_back",
            Self::OutOfSight(_, why) if why.code == "vendor_not_understood" => "not_understood",
            Self::OutOfSight(..) => "out_of_sight",
            Self::FoundAfterAll(_) => "found_after_all",
            Self::Swept { .. } => "swept",
        }
    }
}

spelled! {
    /// The state of a transaction, which also says where its money is. People see [`Status`] and [`Detail`].
    State {
        /// Pay was pressed; nothing has been sent. In flight.
        Queued = "queued",
        /// The first leg is committed and may have been sent. In flight.
        Sending = "sending",
        /// The first leg's outcome is unknown. In flight.
        Unknown = "unknown",
        /// A person must find out the outcome of the first leg. In flight.
        Review = "review",
        /// PayPal has the item. In flight.
        Processing = "processing",
        /// PayPal is reviewing the item. In flight.
        OnHold = "on_hold",
        /// The receiver has not accepted it yet. In flight.
        Unclaimed = "unclaimed",
        /// Stripe made the transfer; the bank payout has not started. Left our balance.
        Transferred = "transferred",
        /// The bank payout is committed and may have been sent. Left our balance.
        PayoutSending = "payout_sending",
        /// The bank payout's outcome is unknown. Left our balance.
        PayoutUnknown = "payout_unknown",
        /// A person must find out the outcome of the bank payout. Left our balance.
        PayoutReview = "payout_review",
        /// Stripe has the bank payout. Left our balance.
        InTransit = "in_transit",
        /// Completed. Left our balance.
        Success = "success",
        /// Nothing was paid. Owed again.
        Failed = "failed",
        /// Stripe's bank payout failed. The money is in the connected balance; owed again.
        PayoutFailed = "payout_failed",
        /// Stripe's bank payout was canceled. The money is in the connected balance; owed again.
        PayoutCanceled = "payout_canceled",
        /// A reversal of the transfer has been requested. The money is in the connected balance; owed again.
        Recalling = "recalling",
        /// The transfer was reversed. The money is in our balance; owed again.
        Recalled = "recalled",
        /// PayPal returned the money, unaccepted or after acceptance. Owed again.
        Returned = "returned",
        /// PayPal stopped the item. Owed again.
        Blocked = "blocked",
        /// The receiver returned it. Owed again.
        Refunded = "refunded",
        /// The vendor took it back. Owed again.
        Reversed = "reversed",
        /// Two people wrote off the money in the connected balance. Owed again, unless it was paid otherwise.
        WrittenOff = "written_off",
    }
}

spelled! {
    /// The status shown to people.
    Status {
        /// Queued; not sent to the vendor yet.
        Pending = "pending",
        /// Sent; waiting for the vendor.
        PendingProcessing = "pending_processing",
        /// The vendor has the money and the instruction; the bank payout has not started.
        PayoutReady = "payout_ready",
        /// Completed; a bank can still return it for some days.
        Success = "success",
        /// Nothing was paid.
        Failed = "failed",
        /// Failed after processing began, or the money came back.
        PayoutFailed = "payout_failed",
    }
}

impl Status {
    /// The name shown on pages.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::PendingProcessing => "Pending Processing",
            Self::PayoutReady => "Payout Ready",
            Self::Success => "Success",
            Self::Failed => "Failed",
            Self::PayoutFailed => "Payout Failed",
        }
    }

    /// What the status means, as a sentence for people.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Pending => {
                "Created when Pay was pressed and queued. Nothing has been sent to the vendor yet."
            }
            Self::PendingProcessing => {
                "Sent, and waiting for the vendor. This includes payments that are unclaimed, on hold, or whose outcome is not known yet."
            }
            Self::PayoutReady => {
                "The vendor has the money and the instruction. The payout to the bank has not started yet."
            }
            Self::Success => {
                "Paid. A bank can still send it back for some days; then it becomes Payout Failed."
            }
            Self::Failed => "It failed before completion: nothing was paid.",
            Self::PayoutFailed => {
                "The vendor reported a failure after processing had started, or the money came back."
            }
        }
    }
}

spelled! {
    /// More detail on a status.
    Detail {
        /// Whether it was executed is unknown and being found out.
        OutcomeUnknown = "outcome_unknown",
        /// The receiver has not accepted it yet.
        Unclaimed = "unclaimed",
        /// The vendor is reviewing it.
        OnHold = "on_hold",
        /// The money came back.
        Returned = "returned",
        /// The vendor took it back.
        Reversed = "reversed",
        /// The receiver returned it.
        Refunded = "refunded",
        /// It was canceled.
        Canceled = "canceled",
        /// A person must find out the outcome.
        NeedsReview = "needs_review",
    }
}

impl State {
    /// The status shown to people.
    #[must_use]
    pub fn status(self) -> Status {
        match self {
            Self::Queued => Status::Pending,
            Self::Sending
            | Self::Unknown
            | Self::Review
            | Self::Processing
            | Self::OnHold
            | Self::Unclaimed
            | Self::PayoutSending
            | Self::PayoutUnknown
            | Self::PayoutReview
            | Self::InTransit => Status::PendingProcessing,
            Self::Transferred => Status::PayoutReady,
            Self::Success => Status::Success,
            Self::Failed => Status::Failed,
            Self::PayoutFailed
            | Self::PayoutCanceled
            | Self::Recalling
            | Self::Recalled
            | Self::Returned
            | Self::Blocked
            | Self::Refunded
            | Self::Reversed
            | Self::WrittenOff => Status::PayoutFailed,
        }
    }

    /// More detail on the status, if there is any.
    #[must_use]
    pub fn detail(self) -> Option<Detail> {
        match self {
            Self::Unknown | Self::PayoutUnknown => Some(Detail::OutcomeUnknown),
            Self::Review | Self::PayoutReview => Some(Detail::NeedsReview),
            Self::OnHold => Some(Detail::OnHold),
            Self::Unclaimed => Some(Detail::Unclaimed),
            Self::PayoutCanceled => Some(Detail::Canceled),
            Self::Returned => Some(Detail::Returned),
            Self::Refunded => Some(Detail::Refunded),
            Self::Reversed | Self::Recalled => Some(Detail::Reversed),
            Self::Queued
            | Self::Sending
            | Self::Processing
            | Self::Transferred
            | Self::PayoutSending
            | Self::InTransit
            | Self::Success
            | Self::Failed
            | Self::PayoutFailed
            | Self::Recalling
            | Self::Blocked
            | Self::WrittenOff => None,
        }
    }

    /// Nothing more is expected from the vendor, although a success may still come back.
    #[must_use]
    pub fn settled(self) -> bool {
        matches!(self.status(), Status::Success | Status::Failed | Status::PayoutFailed)
            && self != Self::Recalling
    }

    /// Whether it is promised to a vendor and not known to have left our balance.
    #[must_use]
    pub fn in_flight(self) -> bool {
        matches!(
            self,
            Self::Queued
                | Self::Sending
                | Self::Unknown
                | Self::Review
                | Self::Processing
                | Self::OnHold
                | Self::Unclaimed
        )
    }

    /// Whether it has left our balance but neither reached the payee's bank nor come back: it counts as paid.
    #[must_use]
    pub fn to_bank(self) -> bool {
        matches!(
            self,
            Self::Transferred
                | Self::PayoutSending
                | Self::PayoutUnknown
                | Self::PayoutReview
                | Self::InTransit
        )
    }

    /// The states shown as one status, for filters by status.
    pub fn of(status: Status) -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(move |state| state.status() == status)
    }
}

spelled! {
    /// The state of one attempt of one leg. All states but `failed` and `returned` may hold money, and the database
    /// allows a leg only one such attempt.
    AttemptState {
        /// To be sent.
        Queued = "queued",
        /// Committed; it may have been sent.
        Sending = "sending",
        /// No conclusive answer.
        Unknown = "unknown",
        /// A person must find out the outcome.
        Review = "needs_review",
        /// The vendor has accepted it.
        Accepted = "accepted",
        /// Completed.
        Succeeded = "succeeded",
        /// Ended without any money moving.
        Failed = "failed",
        /// Ended with the money back at its source.
        Returned = "returned",
    }
}

impl AttemptState {
    /// Whether it has ended for good, with no money left in it: any further fact is an echo.
    #[must_use]
    pub fn ended(self) -> bool {
        matches!(self, Self::Failed | Self::Returned)
    }

    /// Whether the outcome of another leg can end it this way. An ended attempt stays ended, and a completed one did
    /// not fail.
    #[must_use]
    pub fn may_end(self, next: Self) -> bool {
        let made = self == Self::Succeeded && next == Self::Failed;
        !made && !self.ended()
    }
}

/// The terms frozen when Pay was pressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Terms {
    /// The payee who receives it.
    pub payee: Payee,
    /// The vendor that pays it.
    pub vendor: Vendor,
    /// The sum of the rewards, clawbacks subtracted.
    pub amount: Money,
    /// The amount the vendor is told to pay: `amount`, minus the fee if the payee bears it.
    pub net: Money,
}

impl Terms {
    /// The terms minus what has come back.
    #[must_use]
    pub fn less(self, back: Money) -> Self {
        let rest = |of: Money| Money::new(of.minor - back.minor, of.currency);
        Self { amount: rest(self.amount), net: rest(self.net), ..self }
    }
}

/// The whole consequence of a fact or a command, as a value. One database transaction records it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// The transaction's new state.
    pub state: State,
    /// The new state of the attempt it was about, if that changed.
    pub attempt: Option<AttemptState>,
    /// The new state of the live attempt of another leg, if there is one.
    pub also: Option<(Leg, AttemptState)>,
    /// Create a new attempt of this leg.
    pub begin: Option<Leg>,
    /// The ledger journals to post.
    pub journals: Vec<Journal>,
    /// The notice to send, if any.
    pub notice: Option<Notice>,
    /// The vendor contradicts a final state: the step contains whatever follows from that alone, and a person must
    /// look.
    pub contradiction: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::PartnerId;
    use crate::money::Currency;

    #[test]
    fn every_spelling_reads_back() {
        for state in State::ALL {
            assert_eq!(State::parse(state.as_str()), Some(*state));
            assert!(State::of(state.status()).any(|other| other == *state));
        }
        for attempt in AttemptState::ALL {
            assert_eq!(AttemptState::parse(attempt.as_str()), Some(*attempt));
        }
        assert_eq!(State::parse("paid"), None);
    }

    #[test]
    fn a_payment_begins_with_its_vendors_first_request() {
        assert_eq!((Leg::first(Vendor::Stripe), Leg::first(Vendor::PayPal)), (Leg::Transfer, Leg::Item));
        for leg in Leg::ALL {
            assert_eq!(Leg::parse(leg.as_str()), Some(leg));
        }
        assert_eq!(Leg::parse("refund"), None);
    }

    /// If keys shared a prefix, a look-up by key could find another request.
    #[test]
    fn the_keys_of_two_requests_never_begin_alike() {
        for leg in Leg::ALL {
            let alike = Leg::ALL.into_iter().filter(|other| other.key_prefix() == leg.key_prefix());
            assert_eq!((leg.key_prefix().len(), alike.count()), (2, 1), "{leg:?}");
        }
    }

    #[test]
    fn a_vendors_reason_is_kept_with_what_it_said() {
        let why = Reason::new("account_closed", "The bank account is closed.");
        let facts = [
            Fact::Refused(Leg::Payout, why.clone()),
            Fact::Unfunded(why.clone()),
            Fact::PayoutFailed(why.clone()),
            Fact::PayoutCanceled(why.clone()),
            Fact::ItemFailed(why.clone()),
            Fact::ItemUnclaimed(why.clone()),
            Fact::ItemOnHold(why.clone()),
            Fact::ItemReturned(why.clone()),
            Fact::ItemBlocked(why.clone()),
            Fact::TransferReversedPartly(why.clone()),
            Fact::OutOfSight(Leg::Item, why.clone()),
        ];
        for fact in facts {
            assert_eq!(fact.reason(), Some(&why), "{}", fact.as_str());
        }
        for fact in [Fact::Sent(Leg::Item), Fact::ItemPaid, Fact::TransferReversed, Fact::PayoutPaid] {
            assert_eq!(fact.reason(), None, "{}", fact.as_str());
        }
    }

    #[test]
    fn what_is_settled_awaits_nothing_of_the_vendor() {
        let settled: Vec<&str> =
            State::ALL.iter().filter(|state| state.settled()).map(|state| state.as_str()).collect();
        let expected = [
            "success",
            "failed",
            "payout_failed",
            "payout_canceled",
            "recalled",
            "returned",
            "blocked",
            "refunded",
            "reversed",
            "written_off",
        ];
        assert_eq!(settled, expected);
    }

    #[test]
    fn what_came_back_is_neither_owed_nor_sent_any_more() {
        let usd = |minor| Money::new(minor, Currency::USD);
        let payee = Payee::Partner(PartnerId::fresh(0, 1));
        let terms = Terms { payee, vendor: Vendor::Stripe, amount: usd(10_000), net: usd(9_800) };
        assert_eq!(terms.less(usd(500)), Terms { amount: usd(9_500), net: usd(9_300), ..terms });
    }
}
