//! The vendors' contracts, checked from outside: what goes out, what comes in, and what is made of it.
//!
//! `cfg(test)` on each part tells the lints that these are tests, where a surprise should panic.

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
