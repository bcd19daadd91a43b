//! Simulation of Bursar: the whole program in one process with both simulated vendors (`world`), and a scenario
//! language (`stage`); random scenarios (`author`) that are run and checked (`life`) with deterministic interleaving
//! (`turns`), and the invariants (`invariants`). The integration tests use the same worlds. Also here: crash tests with
//! a real process (`crash`). Not here: the program and the vendors.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what is here is a test from the first line to the last, where a panic is how one fails"
)]

pub mod author;
mod chance;
pub mod coverage;
pub mod crash;
pub mod invariants;
pub mod life;
pub mod outside;
pub mod shrink;
pub mod stage;
pub mod turns;
pub mod world;
