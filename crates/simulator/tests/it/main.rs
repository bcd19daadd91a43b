//! The simulator, asked over HTTP as a payer would ask it, on a clock that stands still until it is moved.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod faults;
mod paypal;
mod play;
mod schemas;
mod stripe;
mod webhooks;
