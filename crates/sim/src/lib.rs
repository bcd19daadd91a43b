//! Lives of Bursar, played: a whole program in one process with both vendors beside it (`world`), and the language in
//! which what happens to it is told (`stage`). The integration tests play the same worlds. What is deliberately not here:
//! the program, and the vendors.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what is here is a test from the first line to the last, where a panic is how one fails"
)]

pub mod stage;
pub mod world;
