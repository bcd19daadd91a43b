//! Lives of Bursar, played: a whole program in one process with both vendors beside it (`world`), and the language in
//! which what happens to it is told (`stage`); scenarios by chance (`author`), played and judged (`life`), in which
//! everything takes turns (`turns`), and what must hold after each (`invariants`). The integration tests play the same
//! worlds. Beside them is a real process that is killed for real (`crash`). What is deliberately not here: the program, and
//! the vendors.
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
