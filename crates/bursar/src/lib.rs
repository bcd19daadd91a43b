//! Bursar: review partner rewards, batch the approved ones, pay each partner once.
//!
//! `store` holds all SQL. `ops` holds the verbs: load, decide with `payout`, record, in one database transaction each.
//! `work` holds the loops that talk to vendors. `web` and `cli` are the interfaces.

pub mod app;
pub mod backup;
pub mod cli;
pub mod clock;
pub mod config;
pub mod documents;
pub mod loop_watch;
pub mod mail;
pub mod mark;
pub mod ops;
pub mod origin;
pub mod points;
pub mod pulse;
pub mod secrets;
pub mod store;
pub mod text;
pub mod web;
pub mod webauthn;
pub mod work;
pub mod work_limit;
