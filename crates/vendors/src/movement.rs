//! A vendor's statement of our balance: one movement for each change, normalized. Not here: which of our payments a
//! movement belongs to, and what it means if there is none.

use ::payout::money::{Currency, Money};
use sha2::{Digest as _, Sha256};

/// One change of our balance, as the vendor reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Movement {
    /// The vendor's own id for it: `txn_…` at Stripe, the transaction id at PayPal.
    pub id: String,
    /// The vendor's own type, unchanged: Stripe's `type`, PayPal's `transaction_event_code`.
    pub kind: String,
    /// The signed amount: positive in, negative out.
    pub amount: Money,
    /// The fee the vendor deducted; positive if there was one.
    pub fee: Money,
    /// The change of the balance: amount minus fee.
    pub net: Money,
    /// When it happened, in microseconds UTC; vendors report whole seconds.
    pub created_at: i64,
    /// When the money becomes available, in microseconds UTC, if the vendor reports it.
    pub available_at: Option<i64>,
    /// The object behind it, if the vendor names one: `tr_…`, `trr_…`.
    pub source: Option<String>,
    /// The object that links it to a payment: the transfer at Stripe, the payment at PayPal. A reversal or a fee names
    /// the object it belongs to.
    pub object: Option<String>,
    /// The reference we wrote on that object ourselves, if the vendor shows it.
    pub names: Option<String>,
    /// SHA-256 of the movement as reported, in hex.
    pub body_hash: String,
}

/// One page of movements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MovementPage {
    /// The movements that could be parsed.
    pub movements: Vec<Movement>,
    /// How many could not be parsed, or have a currency unknown to Bursar.
    pub unread: usize,
    /// The cursor for the next page; `None` at the end.
    pub next: Option<String>,
    /// The time up to which the vendor's list is complete, in microseconds UTC; `None` if it always is.
    pub whole_until: Option<i64>,
}

/// A balance the vendor reports in one currency, available and pending together, with its time if reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportedBalance {
    /// The total in that currency.
    pub money: Money,
    /// The time it applies to, in microseconds UTC.
    pub as_of: Option<i64>,
}

pub(crate) fn hash_of(line: &serde_json::Value) -> String {
    Sha256::digest(line.to_string()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Parses a currency code in any case.
pub(crate) fn currency(code: &str) -> Option<Currency> {
    Currency::parse(&code.to_ascii_uppercase()).ok()
}
