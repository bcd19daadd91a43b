//! The words of a payment: where it stands, what can happen to it, and what a happening leads to.
//!
//! What each fact does in each state is [`crate::law`]; it is printed whole in `tests/law.rs`. Nothing here sends,
//! stores or knows the time.

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
    /// Stripe: from the connected balance back to ours, after their bank refused.
    Reversal,
    /// PayPal: one item of a batch.
    Item,
    /// PayPal: calling back an item that nobody has claimed. It moves no money by itself: only the item, fetched, says
    /// that the money is back.
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

    /// Reads [`Leg::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|leg| leg.as_str() == text)
    }

    /// What the leg is called at the beginning of a submission's key: `tr:`, `po:`, `rv:`, `pb:`, `ca:`.
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

    /// The leg a payment through this vendor begins with.
    #[must_use]
    pub fn first(vendor: Vendor) -> Self {
        match vendor {
            Vendor::Stripe => Self::Transfer,
            Vendor::PayPal => Self::Item,
        }
    }
}

/// Why something ended as it did: the vendor's own code and words, or one of our blocker codes.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Reason {
    /// Stripe's `failure_code` or `error.code`, PayPal's `errors.name`, or ours.
    pub code: String,
    /// The vendor's words, unchanged. May be empty.
    pub message: String,
}

impl Reason {
    /// A reason from its two parts.
    #[must_use]
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }
}

/// Something that happened to one attempt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fact {
    /// The intention is committed; bytes may leave from now on.
    Sent(Leg),
    /// No answer that could be believed: it may or may not have been carried out.
    Unknown(Leg),
    /// Bursar cannot find out by itself; a person must look.
    Review(Leg),
    /// Definitely not carried out: the vendor refused, or a gate closed before the first byte.
    Refused(Leg, Reason),
    /// Certainly not sent, because a gate closed that opens by itself: it is to be sent when it does.
    Withheld(Leg),
    /// The bank payout was refused only because the connected balance does not cover it yet.
    Unfunded(Reason),
    /// Stripe made the transfer: the money left our balance.
    TransferMade,
    /// Stripe has the payout (`pending` or `in_transit`).
    PayoutMade,
    /// Stripe expects the money at the bank (`paid`); a bank can still send it back.
    PayoutPaid,
    /// The bank payout failed, before or after `paid`; the money is in the connected balance.
    PayoutFailed(Reason),
    /// The payout was canceled; the money is in the connected balance.
    PayoutCanceled(Reason),
    /// The transfer was reversed: the money is back in our balance.
    ReversalMade,
    /// PayPal has the item and is working on it.
    ItemPending,
    /// PayPal credited the receiver.
    ItemPaid,
    /// PayPal did not pay the item (item `FAILED`, batch `DENIED` or `CANCELED`).
    ItemFailed(Reason),
    /// The receiver has not yet accepted; PayPal waits up to 30 days.
    ItemUnclaimed(Reason),
    /// PayPal is reviewing the item.
    ItemOnHold(Reason),
    /// The money came back: not claimed in time, or we canceled it.
    ItemReturned(Reason),
    /// PayPal stopped the item and did not pay it.
    ItemBlocked(Reason),
    /// The receiver sent the money back.
    ItemRefunded,
    /// PayPal took the money back from the receiver.
    ItemReversed,
    /// PayPal has called the unclaimed item back. That its money is with us is another fact: [`Fact::ItemReturned`].
    CancelMade,
    /// What the vendor took for itself for this attempt, in all. It may be told long after the payment, and again.
    FeeKnown(Money),
    /// The transfer was wholly reversed, by whomever: its money is back in our balance.
    TransferReversed,
    /// A part of the transfer was reversed: what is left is neither the payment nor nothing.
    TransferReversedPartly(Reason),
    /// What of the transfer has come back so far: a part, or all of it. It is told with each look.
    PartBack(Money),
    /// What should be at the vendor is not there, and has not been for so long that a person must look.
    OutOfSight(Leg, Reason),
    /// The vendor has an object of an attempt that the books do not hold: it ended here as not carried out, or another object
    /// is known as it already.
    FoundAfterAll(Leg),
    /// What lay in the payee's balance after their bank had refused it was paid out by the vendor's own schedule: proven by the
    /// entries of that balance which the payout took.
    Swept {
        /// The vendor's payout.
        payout: String,
        /// The bank has it, or it is on its way there.
        arrived: bool,
    },
}

impl Fact {
    /// The leg whose attempt the fact is about.
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

    /// The vendor's reason, where the fact carries one.
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
    /// Where a transaction stands, and with it where its money is. People are shown [`Status`] and [`Detail`].
    State {
        /// Pay was pressed; nothing sent. In flight.
        Queued = "queued",
        /// The first leg is committed and may be on the wire. In flight.
        Sending = "sending",
        /// The first leg's outcome is not known. In flight.
        Unknown = "unknown",
        /// A person must find out about the first leg. In flight.
        Review = "review",
        /// PayPal has the item. In flight.
        Processing = "processing",
        /// PayPal reviews the item. In flight.
        OnHold = "on_hold",
        /// The receiver has not accepted yet. In flight.
        Unclaimed = "unclaimed",
        /// Stripe made the transfer; the bank payout is not begun. Left our balance.
        Transferred = "transferred",
        /// The bank payout is committed and may be on the wire. Left our balance.
        PayoutSending = "payout_sending",
        /// The bank payout's outcome is not known. Left our balance.
        PayoutUnknown = "payout_unknown",
        /// A person must find out about the bank payout. Left our balance.
        PayoutReview = "payout_review",
        /// Stripe has the bank payout. Left our balance.
        InTransit = "in_transit",
        /// Completed. Left our balance.
        Success = "success",
        /// Nothing was paid. Owed again.
        Failed = "failed",
        /// Stripe's bank payout failed. The money lies in the connected balance; owed again.
        PayoutFailed = "payout_failed",
        /// Stripe's bank payout was canceled. The money lies in the connected balance; owed again.
        PayoutCanceled = "payout_canceled",
        /// The transfer's reversal is asked for. The money lies in the connected balance; owed again.
        Recalling = "recalling",
        /// The transfer was reversed. The money is back with us; owed again.
        Recalled = "recalled",
        /// PayPal gave the money back before it was accepted, or after. Owed again.
        Returned = "returned",
        /// PayPal stopped the item. Owed again.
        Blocked = "blocked",
        /// The receiver sent it back. Owed again.
        Refunded = "refunded",
        /// The vendor took it back. Owed again.
        Reversed = "reversed",
        /// The money in the connected balance was given up by two people. Owed again, unless it was paid otherwise.
        WrittenOff = "written_off",
    }
}

spelled! {
    /// What people see.
    Status {
        /// Queued, not yet sent to the vendor.
        Pending = "pending",
        /// Sent, awaiting the vendor.
        PendingProcessing = "pending_processing",
        /// The vendor has the money and the instruction; the bank payout is not begun.
        PayoutReady = "payout_ready",
        /// Completed; a bank can still send it back for some days.
        Success = "success",
        /// Nothing was paid.
        Failed = "failed",
        /// Failed after processing began, or the money came back.
        PayoutFailed = "payout_failed",
    }
}

impl Status {
    /// The word on pages.
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

    /// What it means, for people.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Pending => {
                "Created when Pay was pressed, and queued. Nothing has been sent to the vendor yet."
            }
            Self::PendingProcessing => {
                "Sent, and waiting for the vendor. This includes payments whose outcome is not known yet, that are unclaimed or on hold."
            }
            Self::PayoutReady => {
                "The vendor has the money and the instruction. The payout to the bank has not begun yet."
            }
            Self::Success => {
                "Paid. A bank can still send it back for some days; then it becomes Payout Failed."
            }
            Self::Failed => "It failed before completion: nothing was paid.",
            Self::PayoutFailed => {
                "The vendor reported a failure after processing had begun, or the money came back."
            }
        }
    }
}

spelled! {
    /// The finer word beside a status.
    Detail {
        /// Bursar does not know whether it was carried out and is finding out.
        OutcomeUnknown = "outcome_unknown",
        /// The receiver has not accepted yet.
        Unclaimed = "unclaimed",
        /// The vendor is reviewing it.
        OnHold = "on_hold",
        /// The money came back.
        Returned = "returned",
        /// The vendor took it back.
        Reversed = "reversed",
        /// The receiver sent it back.
        Refunded = "refunded",
        /// It was canceled.
        Canceled = "canceled",
        /// A person must find out.
        NeedsReview = "needs_review",
    }
}

impl State {
    /// The status people see.
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

    /// The finer word, if there is one.
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

    /// Nothing more is expected of the vendor, save that a success may still come back.
    #[must_use]
    pub fn settled(self) -> bool {
        matches!(self.status(), Status::Success | Status::Failed | Status::PayoutFailed)
            && self != Self::Recalling
    }

    /// Promised to a vendor and not known to have left our balance.
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

    /// Left our balance, and not at the payee's bank yet: counted as paid, and neither arrived nor come back.
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

    /// The states people see under one status: what a filter by status asks the database for.
    pub fn of(status: Status) -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(move |state| state.status() == status)
    }
}

spelled! {
    /// How one try of one leg stands. All but `failed` and `returned` may hold money, and the database lets a leg
    /// have only one such attempt.
    AttemptState {
        /// To be sent.
        Queued = "queued",
        /// Committed, and possibly on the wire.
        Sending = "sending",
        /// No answer that could be believed.
        Unknown = "unknown",
        /// A person must find out.
        Review = "needs_review",
        /// The vendor has it.
        Accepted = "accepted",
        /// Completed.
        Succeeded = "succeeded",
        /// Ended without moving money.
        Failed = "failed",
        /// Ended with the money back where it came from.
        Returned = "returned",
    }
}

impl AttemptState {
    /// Ended for good, with no money left in it: a further fact about it is an echo.
    #[must_use]
    pub fn ended(self) -> bool {
        matches!(self, Self::Failed | Self::Returned)
    }

    /// Whether it can end like this by what became of another leg. What has ended stays so, and what was made did not fail.
    #[must_use]
    pub fn may_end(self, next: Self) -> bool {
        let made = self == Self::Succeeded && next == Self::Failed;
        !made && !self.ended()
    }
}

/// What was promised when Pay was pressed, frozen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Terms {
    /// Who receives.
    pub payee: Payee,
    /// Through whom.
    pub vendor: Vendor,
    /// The sum of the rewards.
    pub amount: Money,
    /// What the vendor is told to pay: the amount, less the fee where the payee bears it.
    pub net: Money,
}

impl Terms {
    /// The same without what has come back.
    #[must_use]
    pub fn less(self, back: Money) -> Self {
        let rest = |of: Money| Money::new(of.minor - back.minor, of.currency);
        Self { amount: rest(self.amount), net: rest(self.net), ..self }
    }
}

/// The whole consequence of a fact or a command, as a value. One database transaction records it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// The state after it.
    pub state: State,
    /// The state of the attempt it was about, if that changed.
    pub attempt: Option<AttemptState>,
    /// What becomes of the live attempt of another leg, if there is one.
    pub also: Option<(Leg, AttemptState)>,
    /// A new attempt of this leg is to be made.
    pub begin: Option<Leg>,
    /// What moves in the books.
    pub journals: Vec<Journal>,
    /// Whom to tell.
    pub notice: Option<Notice>,
    /// The vendor contradicts what was final here: whatever follows from it alone is in this step, and a person must look.
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

    /// A request whose key begins like another's would be taken for it where keys are looked for.
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
        let told = [
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
        for fact in told {
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
