//! What is known of the vendors, for the gates.

pub use crate::store::vendors::facts;
