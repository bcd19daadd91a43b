//! The rules of paying partners. What is deliberately not here: IO, the clock, chance, serialisation, async. Times are
//! microseconds UTC and come in as arguments, as do ids; that absence is what lets every rule be proven by a table.

pub mod ids;
pub mod law;
pub mod ledger;
pub mod money;
pub mod transaction;
