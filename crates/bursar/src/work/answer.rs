//! How reads about payments were answered, and how much the caller can conclude from them. Not here: making the reads,
//! and what an answer does to a payment (`settle`).

use payout::Refusal;
use payout::transaction::{Fact, Reason};
use vendors::stripe::transfer::Transfer;

use crate::ops::{OpsError, Result};

/// How a read was answered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Answer {
    /// There is nothing to ask the vendor about yet.
    NotAsked,
    /// The vendor returned the object's state.
    Told,
    /// The vendor says that the object does not exist, or that we may not see it.
    Unseen,
    /// The response cannot be parsed, is about another object, or has a status we do not know.
    Unusable,
    Silent,
}

/// The overall result of reading payments: that of the worst answer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum LookupOutcome {
    /// Every read was answered, and the results are recorded.
    Through,
    /// The vendor does not show us something.
    NotShown,
    /// The vendor does not report everything yet, and will within hours.
    NotYet,
    /// A read got no response, or an unusable one.
    NotAnswered,
}

impl Answer {
    /// What the answer allows us to conclude. `hidden`: the transfer was reported, but not what has left the payee's
    /// balance.
    pub(super) fn looked(self, hidden: bool) -> LookupOutcome {
        match self {
            Self::NotAsked | Self::Told if !hidden => LookupOutcome::Through,
            Self::NotAsked | Self::Told | Self::Unseen => LookupOutcome::NotShown,
            Self::Unusable | Self::Silent => LookupOutcome::NotAnswered,
        }
    }
}

impl LookupOutcome {
    /// Fails unless a look established where parked money is. Without the vendor's answer the money may have left, and
    /// acting anyway would pay twice or take another payment's money.
    pub(super) fn known(self) -> Result<()> {
        let message = match self {
            Self::Through => return Ok(()),
            Self::NotShown => {
                "Stripe does not show everything it has for this payment, so it is not known where the money is. Nothing was changed. If this persists, two people can record what happened to the money."
            }
            Self::NotYet => {
                "Stripe has paid out the payee's account on its own schedule, or may have in the last minutes, and does not report yet what that took. Nothing was changed. Shortly after midnight (UTC), try again in a few minutes; at any other time, in a few hours."
            }
            Self::NotAnswered => {
                "The vendor did not answer, so it is not known where the money is. Nothing was changed; try again."
            }
        };
        Err(OpsError::Unreachable(Refusal::new("vendor_unreachable", message)))
    }
}

/// The result of looking for bank payouts that are not known to have been made.
pub(super) struct FoundPayouts {
    pub(super) looked: LookupOutcome,
    /// The ids of those that exist after all.
    pub(super) out: Vec<String>,
}

/// The state of a transfer in words, and the resulting facts: how much came back, for the ledger, and that it was
/// reversed.
pub(super) fn transfer_facts(transfer: &Transfer) -> (String, Vec<Fact>) {
    let (all, back) = (transfer.amount_units, transfer.amount_reversed_units);
    if back <= 0 {
        return ("that the transfer stands".to_owned(), Vec::new());
    }
    let booked = transfer.come_back().map(Fact::PartBack).into_iter();
    if back >= all {
        let message = "that the transfer was reversed".to_owned();
        return (message, booked.chain([Fact::TransferReversed]).collect());
    }
    let message = format!(
        "that {back} of the transfer's {all} {} (in Stripe's units) were reversed",
        transfer.currency
    );
    let reason = Reason::new("transfer_reversed_partly", message.as_str());
    (message, booked.chain([Fact::TransferReversedPartly(reason)]).collect())
}
