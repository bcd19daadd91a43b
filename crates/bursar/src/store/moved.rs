//! Money that left us for payees and what happened to it, according to the ledger. The dashboard, earnings, tax
//! figures, exports and statements all use this one definition.
//!
//! *Left us* is what was taken off our balance at a vendor: once per payment, however often its bank payout is retried.
//! Money that payees did not keep falls into three parts: what was *returned* to our balance; what a bank refused and
//! is *held* in the payee's vendor balance, less what was resent, recalled or settled; and what was *written off*
//! there. A payment that failed twice at the bank and then arrived left us once, and nothing was returned. Each part
//! can be negative in a given period, when money from before it moves on.
//!
//! Vendor fees are not the payee's and are in none of these.

use payout::money::{Currency, Sum};
use sqlx::any::AnyRow;

use super::{Result, sums};

/// The part of the money that left us that payees did not keep.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Back {
    /// Returned to our balance at the vendor.
    pub to_us: Sum,
    /// In payees' balances at the vendor: ours, awaiting a decision.
    pub in_balances: Sum,
    /// Was there and was written off by two people.
    pub given_up: Sum,
}

impl Back {
    pub fn nothing(currency: Currency) -> Self {
        let zero = Sum::nothing(currency);
        Self { to_us: zero, in_balances: zero, given_up: zero }
    }

    pub fn total(&self) -> Sum {
        Sum::new(self.to_us.minor + self.in_balances.minor + self.given_up.minor, self.to_us.currency)
    }

    /// Adds another value in the same currency.
    pub fn add(&mut self, other: &Self) {
        self.to_us.minor += other.to_us.minor;
        self.in_balances.minor += other.in_balances.minor;
        self.given_up.minor += other.given_up.minor;
    }

    /// Reads the six columns of `{back}`.
    ///
    /// # Errors
    /// The columns are missing.
    pub(super) fn read(row: &AnyRow, column: usize, currency: Currency) -> Result<Self> {
        let sum = |place: usize| Ok::<_, super::StoreError>(Sum::new(sums::read(row, place)?, currency));
        Ok(Self { to_us: sum(column)?, in_balances: sum(column + 2)?, given_up: sum(column + 4)? })
    }
}

/// The SQL behind each placeholder. Journals are aliased `j` and their postings `p`.
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

/// Expands these placeholders in a statement.
pub fn expanded(sql: &str) -> String {
    WORDS.iter().fold(sql.to_owned(), |sql, (word, means)| sql.replace(word, means))
}
