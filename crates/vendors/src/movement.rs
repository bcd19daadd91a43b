//! A vendor's own account of our balance there: one line for each change of it, in common words. What is deliberately not
//! here: which of our payments a line belongs to, and what it means that there is none.

use ::payout::money::{Currency, Money};
use sha2::{Digest as _, Sha256};

/// One change of our balance at a vendor, as the vendor tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Movement {
    /// The vendor's own id of the line: `txn_…` at Stripe, the transaction id at PayPal.
    pub id: String,
    /// The vendor's own word for what it is, unchanged: Stripe's `type`, PayPal's `transaction_event_code`.
    pub kind: String,
    /// What came in, or went out: signed.
    pub amount: Money,
    /// What the vendor kept for itself of this line; positive when it did.
    pub fee: Money,
    /// By how much the balance changed: the amount less the fee.
    pub net: Money,
    /// When it happened, in microseconds UTC; vendors tell it to the second.
    pub created_at: i64,
    /// When the money may be used, where the vendor tells it.
    pub available_at: Option<i64>,
    /// The object behind it, where the vendor names one: `tr_…`, `trr_…`.
    pub source: Option<String>,
    /// The object by which it is known to belong to a payment: the transfer at Stripe, the payment at PayPal. A reversal and
    /// a fee name the one that they belong to.
    pub object: Option<String>,
    /// What we wrote on that object ourselves, where the vendor shows it.
    pub names: Option<String>,
    /// SHA-256 of the line as it was told, in hexadecimal.
    pub body_hash: String,
}

/// One page of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MovementPage {
    /// What can be read.
    pub movements: Vec<Movement>,
    /// How many lines cannot be read, or are in no currency that Bursar knows.
    pub unread: usize,
    /// What to ask for the next page with; `None` at the end.
    pub next: Option<String>,
    /// Up to when the vendor says that its list is whole; `None` where it always is.
    pub whole_until: Option<i64>,
}

/// What a vendor says lies there in one currency, available or not, and of which moment it says so, where it says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// How much.
    pub money: Money,
    /// When that was so.
    pub as_of: Option<i64>,
}

pub(crate) fn hash_of(line: &serde_json::Value) -> String {
    Sha256::digest(line.to_string()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A currency in whatever case it is written.
pub(crate) fn currency(code: &str) -> Option<Currency> {
    Currency::parse(&code.to_ascii_uppercase()).ok()
}
