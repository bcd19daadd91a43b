//! PayPal Payouts: the client, its token, and batches and items.
//!
//! A batch is accepted long before anything is paid, and a batch with status SUCCESS may contain unpaid items: only
//! items count. Not here: when to send, and what a doubt leads to.

pub mod batch;
pub mod event;
mod report;
pub mod webhook;

mod client;
mod token;

pub use client::PayPal;
pub use webhook::NEEDED_EVENTS;
