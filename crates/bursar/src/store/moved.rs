//! What left us for payees and what became of it, as the books say it: the one reading of the journal that the dashboard, the
//! earnings, the tax figures, the exports and the statements have in common.
//!
//! *Left us* is what was taken off our balance at a vendor: once for each payment, however often its bank leg is tried.
//! What did not stay with payees is told in three: what *came back* to our balance; what *lies* refused in a payee's balance
//! at the vendor, less what was sent on from there, fetched back or settled; and what was *given up* there. Of one payment that
//! failed twice at the bank and then arrived, so much left us as it was, and nothing came back. Each of the three can be less
//! than nothing in a span of time: then money went on that had been there before it.
//!
//! Fees are not the payee's and so in none of them.

use payout::money::{Currency, Sum};
use sqlx::any::AnyRow;

use super::{Result, sums};

/// What of the money that left us did not stay with payees.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Back {
    /// Came back to our balance at the vendor.
    pub to_us: Sum,
    /// Lies in payees' balances at the vendor: ours, and to be decided about.
    pub in_balances: Sum,
    /// Lay there and was given up by two people: lost.
    pub given_up: Sum,
}

impl Back {
    pub fn nothing(currency: Currency) -> Self {
        let zero = Sum::nothing(currency);
        Self { to_us: zero, in_balances: zero, given_up: zero }
    }

    /// All that did not stay with payees.
    pub fn total(&self) -> Sum {
        Sum::new(self.to_us.minor + self.in_balances.minor + self.given_up.minor, self.to_us.currency)
    }

    /// Adds what is in the same currency.
    pub fn add(&mut self, other: &Self) {
        self.to_us.minor += other.to_us.minor;
        self.in_balances.minor += other.in_balances.minor;
        self.given_up.minor += other.given_up.minor;
    }

    /// What stands in the six columns of `{back}`.
    ///
    /// # Errors
    /// When there are none.
    pub(super) fn read(row: &AnyRow, column: usize, currency: Currency) -> Result<Self> {
        let sum = |place: usize| Ok::<_, super::StoreError>(Sum::new(sums::read(row, place)?, currency));
        Ok(Self { to_us: sum(column)?, in_balances: sum(column + 2)?, given_up: sum(column + 4)? })
    }
}

/// The words that a statement says for it. Its journals are `j` and their postings `p`.
const WORDS: [(&str, &str); 7] = [
    ("{moved}", "j.movement IN ('post', 'park', 'unpark', 'reverse', 'recall', 'write_off')"),
    (
        "{ours}",
        "(p.account LIKE 'vendor_balance:%' OR p.account LIKE 'returned:%' OR p.account LIKE 'written_off:%')",
    ),
    ("{back}", "{sum({came_to_us})}, {sum({in_balances})}, {sum({given_up})}"),
    (
        "{left_us}",
        "CASE WHEN p.account LIKE 'vendor_balance:%' AND p.amount_minor < 0 THEN -p.amount_minor ELSE 0 END",
    ),
    (
        "{came_to_us}",
        "CASE WHEN p.account LIKE 'vendor_balance:%' AND p.amount_minor > 0 THEN p.amount_minor ELSE 0 END",
    ),
    ("{in_balances}", "CASE WHEN p.account LIKE 'returned:%' THEN p.amount_minor ELSE 0 END"),
    ("{given_up}", "CASE WHEN p.account LIKE 'written_off:%' THEN p.amount_minor ELSE 0 END"),
];

/// The statement with these words spelled out.
pub fn spelled_out(sql: &str) -> String {
    WORDS.iter().fold(sql.to_owned(), |sql, (word, means)| sql.replace(word, means))
}
