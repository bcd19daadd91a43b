//! The simulator, asked over HTTP as a payer would ask it, on a clock that stands still until it is moved.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::print_stdout, reason = "a test that is skipped says so")]

mod books;
mod faults;
mod paypal;
mod play;
mod schemas;
mod stripe;
mod webhooks;
