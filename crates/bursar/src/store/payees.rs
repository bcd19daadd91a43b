//! payees
