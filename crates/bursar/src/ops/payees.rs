//! What is known of payees, for the gates; and what an administrator enters about them.

pub use crate::store::payees::facts;
