//! The vendors' contracts, checked from outside: what is sent, what is received, and how it is interpreted.
//!
//! `cfg(test)` on each module tells the lints that these are tests, which may panic.

#[cfg(test)]
mod batches;
#[cfg(test)]
mod bounds;
#[cfg(test)]
mod client;
#[cfg(test)]
mod contract;
#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod questions;
#[cfg(test)]
mod recorded;
#[cfg(test)]
mod server;
#[cfg(test)]
mod signatures;
#[cfg(test)]
mod simulated;
#[cfg(test)]
mod specs;
