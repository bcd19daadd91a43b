//! The ledger: double entry, append-only. A [`Journal`] is only built by the functions here, each of which moves an
//! amount from one account to another, so an unbalanced entry cannot be written.
//!
//! Not here: balances, which are sums of postings, computed by the database.

use std::fmt;

use crate::ids::{AccountId, PartnerId};
use crate::money::{Money, Vendor};
use crate::spelling::spelled;

/// The receiver: the partner (*Individual*) or their company (*Organization*).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Payee {
    /// The partner user.
    Partner(PartnerId),
    /// The partner company, for the rewards of all its users.
    Account(AccountId),
}

impl Payee {
    /// Parses the id of a partner or an account; `None` for anything else.
    #[must_use]
    pub fn parse(id: &str) -> Option<Self> {
        PartnerId::parse(id).map(Self::Partner).or_else(|| AccountId::parse(id).map(Self::Account))
    }
}

impl fmt::Display for Payee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Partner(id) => id.fmt(f),
            Self::Account(id) => id.fmt(f),
        }
    }
}

/// A ledger account. Written `payable:ptn_…`, `in_flight:stripe`, `reward_expense`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum LedgerAccount {
    /// The cost of rewards.
    RewardExpense,
    /// What we owe a payee.
    Payable(Payee),
    /// Promised to a vendor, and not yet known to have left.
    InFlight(Vendor),
    /// Our balance at a vendor, starting from zero: negative for money that left.
    VendorBalance(Vendor),
    /// Fees the vendor charged us.
    VendorFees(Vendor),
    /// Fees borne by payees, against the vendor's fees for their payments: debit if the vendor charged more than they
    /// bore.
    FeeVariance(Vendor),
    /// Our money in the payee's balance at the vendor after their bank refused it.
    Returned(Vendor),
    /// Settled outside Bursar, on somebody's word.
    PaidOutside,
    /// Money in a payee's balance at the vendor that was written off.
    WrittenOff(Vendor),
    /// Partial reversals of transfers whose payment is still open, from zero: credit.
    PartlyReversed(Vendor),
}

impl fmt::Display for LedgerAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RewardExpense => f.write_str("reward_expense"),
            Self::Payable(payee) => write!(f, "payable:{payee}"),
            Self::InFlight(vendor) => write!(f, "in_flight:{}", vendor.as_str()),
            Self::VendorBalance(vendor) => write!(f, "vendor_balance:{}", vendor.as_str()),
            Self::VendorFees(vendor) => write!(f, "vendor_fees:{}", vendor.as_str()),
            Self::FeeVariance(vendor) => write!(f, "fee_variance:{}", vendor.as_str()),
            Self::Returned(vendor) => write!(f, "returned:{}", vendor.as_str()),
            Self::PaidOutside => f.write_str("paid_outside"),
            Self::WrittenOff(vendor) => write!(f, "written_off:{}", vendor.as_str()),
            Self::PartlyReversed(vendor) => write!(f, "partly_reversed:{}", vendor.as_str()),
        }
    }
}

spelled! {
    /// Why money moved in the ledger.
    Movement {
        /// A reward was approved: it is owed.
        Approve = "approve",
        /// An approval was withdrawn before payment.
        Unapprove = "unapprove",
        /// Pay was pressed, or a failed payment was resubmitted.
        Reserve = "reserve",
        /// Nothing left us: the in-flight amount is payable again.
        Void = "void",
        /// The money is known to have left our balance at the vendor.
        Post = "post",
        /// The vendor's fee became known.
        Fee = "fee",
        /// The payee's bank refused: the money is in their balance at the vendor, and the payee is owed again.
        Park = "park",
        /// The parked money is sent to their bank again.
        Unpark = "unpark",
        /// The parked money came back to our balance.
        Recall = "recall",
        /// Money that had reached the payee, or was on its way to them, came back to our balance.
        Reverse = "reverse",
        /// Somebody reports that it was paid outside Bursar.
        Outside = "outside",
        /// Money earned wrongly is deducted from what we owe.
        Clawback = "clawback",
        /// Two people wrote off the money in the payee's balance.
        WriteOff = "write_off",
        /// Part of a transfer came back to our balance, or was settled with the rest of it.
        PartReversed = "part_reversed",
    }
}

impl Movement {
    /// Whether the payee is owed again what was promised or paid to them.
    #[must_use]
    pub fn owes_again(self) -> bool {
        match self {
            Self::Void | Self::Park | Self::Reverse => true,
            Self::Approve
            | Self::Unapprove
            | Self::Reserve
            | Self::Post
            | Self::Fee
            | Self::Unpark
            | Self::Recall
            | Self::Outside
            | Self::Clawback
            | Self::WriteOff
            | Self::PartReversed => false,
        }
    }
}

/// One line of a journal: debits are positive, credits negative.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Posting {
    /// The ledger account.
    pub account: LedgerAccount,
    /// The amount in its currency, debit positive.
    pub money: Money,
}

/// A balanced entry. Only the functions below create one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Journal {
    movement: Movement,
    postings: Vec<Posting>,
}

impl Journal {
    /// A reward is owed: debit expense, credit payable.
    #[must_use]
    pub fn approve(payee: Payee, money: Money) -> Self {
        Self::entry(Movement::Approve, LedgerAccount::RewardExpense, LedgerAccount::Payable(payee), money)
    }

    /// The approval is withdrawn: debit payable, credit expense.
    #[must_use]
    pub fn unapprove(payee: Payee, money: Money) -> Self {
        Self::entry(Movement::Unapprove, LedgerAccount::Payable(payee), LedgerAccount::RewardExpense, money)
    }

    /// A clawback on a paid reward reduces what the payee is owed next.
    #[must_use]
    pub fn clawback(payee: Payee, money: Money) -> Self {
        Self::entry(Movement::Clawback, LedgerAccount::Payable(payee), LedgerAccount::RewardExpense, money)
    }

    /// One amount, debited to one account and credited to another.
    pub(crate) fn entry(
        movement: Movement,
        debit: LedgerAccount,
        credit: LedgerAccount,
        money: Money,
    ) -> Self {
        let credited = Money::new(-money.minor, money.currency);
        let postings = vec![Posting { account: debit, money }, Posting { account: credit, money: credited }];
        Self { movement, postings }
    }

    /// Adds a pair to the entry; each pair balances, so the whole does. A zero pair is left out.
    pub(crate) fn and(mut self, debit: LedgerAccount, credit: LedgerAccount, money: Money) -> Self {
        if money.minor != 0 {
            self.postings.extend(Self::entry(self.movement, debit, credit, money).postings);
        }
        self
    }

    /// Why the money moved.
    #[must_use]
    pub fn movement(&self) -> Movement {
        self.movement
    }

    /// The postings, which sum to zero in every currency.
    #[must_use]
    pub fn postings(&self) -> &[Posting] {
        &self.postings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Currency;

    #[test]
    fn a_payee_is_read_as_it_is_written() {
        for payee in [Payee::Partner(PartnerId::fresh(0, 7)), Payee::Account(AccountId::fresh(0, 7))] {
            assert_eq!(Payee::parse(&payee.to_string()), Some(payee));
        }
        assert!(Payee::Partner(PartnerId::fresh(0, 7)).to_string().starts_with("ptn_"));
        assert_eq!(Payee::parse("rwd_00000000000000000000000001"), None);
    }

    #[test]
    fn what_is_earned_is_owed_until_it_is_taken_back() {
        let payee = Payee::Partner(PartnerId::fresh(0, 1));
        let money = Money::new(500, Currency::USD);
        let rows = [
            (Journal::approve(payee, money), Movement::Approve, 500, -500),
            (Journal::unapprove(payee, money), Movement::Unapprove, -500, 500),
            (Journal::clawback(payee, money), Movement::Clawback, -500, 500),
        ];
        for (journal, movement, expense, owed) in rows {
            assert_eq!(journal.movement(), movement);
            let of = |account| {
                let lines = journal.postings().iter().filter(|line| line.account == account);
                lines.map(|line| line.money.minor).sum::<i64>()
            };
            assert_eq!(of(LedgerAccount::RewardExpense), expense, "{movement:?}");
            assert_eq!(of(LedgerAccount::Payable(payee)), owed, "{movement:?}");
        }
    }

    #[test]
    fn a_pair_of_nothing_is_left_out_of_an_entry() {
        let payee = LedgerAccount::Payable(Payee::Partner(PartnerId::fresh(0, 1)));
        let flight = LedgerAccount::InFlight(Vendor::PayPal);
        let usd = |minor| Money::new(minor, Currency::USD);
        let lines = |second| {
            let entry = Journal::entry(Movement::Reserve, payee, flight, usd(5));
            entry.and(payee, flight, usd(second)).postings().len()
        };
        assert_eq!((lines(0), lines(1), lines(-1)), (2, 4, 4));
    }
}
