//! PayPal Payouts: the client, its token, and the words of batches and items.
//!
//! A batch is accepted long before anything is paid, and a batch called SUCCESS may hold items that are not:
//! only items decide. Not here: when to ask, and what a doubt leads to.

pub mod batch;
pub mod event;
mod report;
pub mod webhook;

mod client;
mod token;

pub use client::PayPal;
pub use webhook::NEEDED_EVENTS;
