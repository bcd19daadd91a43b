//! Tests of the simulator over HTTP, as a payer would use it, with a clock that only the tests advance.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::print_stdout, reason = "a test that is skipped says so")]

mod books;
mod faults;
mod paypal;
mod play;
mod schemas;
mod stripe;
mod webhooks;
