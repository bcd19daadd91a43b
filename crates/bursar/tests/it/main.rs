//! Bursar's integration tests: one binary, because linking a dozen would take longer than running them.
//!
//! The database is SQLite in a temporary file, or PostgreSQL if `BURSAR_TEST_POSTGRES` names a server. A test that lacks a
//! tool prints "skipped" and passes, unless `BURSAR_TEST_REQUIRE` lists that tool.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "this is a test from the first line to the last, where a panic is how one fails"
)]

use bursar_sim::world;

mod api;
mod at_rest;
mod books;
mod brake;
mod browser;
mod canary;
mod dashboard;
mod deaths;
mod doctor;
mod exports;
mod gates;
mod loops;
mod mails;
mod master_key;
mod need;
mod nodes;
mod pages;
mod paid_twice;
mod people;
mod portal;
mod reconciliation;
mod rehearsal;
mod restore;
mod roles;
mod safe_mode;
mod said;
mod scenarios;
mod second_payments;
mod service;
mod sim;
mod source;
mod sql;
mod tidy;
mod told;
mod webhooks;
