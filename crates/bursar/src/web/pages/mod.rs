//! The pages people look at: one file per page with its rows of the route table, its template's fields and its
//! handlers. Every page is an address whose query string holds its state, and works without JavaScript. What is
//! deliberately not here: deciding and writing; a form awaits one verb and goes to a page that tells what it did.

mod activity;
mod asked;
mod catalogue;
mod chart;
mod claims;
mod columns;
mod company;
mod conflict;
mod connections;
mod dashboard;
mod decided;
mod entry;
mod events;
mod evidence;
mod export_new;
mod exports;
pub mod factor;
mod forgotten;
mod frame;
mod help;
mod history;
mod home;
mod import;
mod imports;
mod invite;
mod journal_accounts;
mod live;
mod login;
mod me;
mod meant;
mod notices;
mod outbox;
mod own_login;
mod particulars;
mod partner_entry;
mod partners;
mod passkeys;
mod password;
mod pay;
mod payee;
mod payee_forms;
mod payments_many;
mod people;
mod pool;
mod portal;
mod prepare;
mod programs;
pub mod proof;
mod qr;
mod reconciliation;
mod reward;
mod rewards;
mod safe_mode;
mod saved;
mod search;
mod settings;
mod statement;
mod styleguide;
mod taken_back;
mod transaction;
mod transactions;
mod welcome;
pub mod words;

use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};

use super::{Need, Route, get};
use crate::app::App;
use crate::web::fault::{self, Fault};
pub use portal::prove_again;
pub use welcome::PAGE as WELCOME;
pub use words::in_zone;

/// The routes of the pages.
#[must_use]
pub fn routes() -> Vec<Route> {
    let css = async || frame::asset(frame::CSS, "text/css; charset=utf-8");
    let js = async || frame::asset(frame::JS, "text/javascript; charset=utf-8");
    let mark = async || frame::asset(frame::MARK, "image/svg+xml");
    let mut routes = vec![
        get("/assets/app.css", Need::Open, css),
        get("/assets/app.js", Need::Open, js),
        get("/assets/mark.svg", Need::Open, mark),
    ];
    let pages = [
        login::routes(),
        password::routes(),
        factor::routes(),
        passkeys::routes(),
        forgotten::routes(),
        home::routes(),
        help::routes(),
        welcome::routes(),
        company::routes(),
        portal::routes(),
        rewards::routes(),
        decided::routes(),
        saved::routes(),
        entry::routes(),
        reward::routes(),
        claims::routes(),
        prepare::routes(),
        pay::routes(),
        live::routes(),
        dashboard::routes(),
        transactions::routes(),
        payments_many::routes(),
        transaction::routes(),
        evidence::routes(),
        partners::routes(),
        payee::routes(),
        payee_forms::routes(),
        imports::routes(),
        import::routes(),
        settings::routes(),
        invite::routes(),
        notices::routes(),
        outbox::routes(),
        connections::routes(),
        events::routes(),
        reconciliation::routes(),
        activity::routes(),
        people::routes(),
        partner_entry::routes(),
        programs::routes(),
        search::routes(),
        exports::routes(),
        export_new::routes(),
        journal_accounts::routes(),
        statement::routes(),
        me::routes(),
        safe_mode::routes(),
        styleguide::routes(),
    ];
    routes.extend(pages.into_iter().flatten());
    routes
}

/// The page behind a one-time link: the partners' own, or ours.
///
/// # Errors
/// When it cannot be rendered.
pub fn login_by_link(portal: bool, headers: &HeaderMap) -> Result<Response, Fault> {
    if portal { portal::login_by_link(headers) } else { login::by_link() }
}

/// The form to sign in, after too many tries: the partners' own, or ours.
///
/// # Errors
/// When it cannot be rendered.
pub fn login_again(
    app: &App,
    portal: bool,
    headers: &HeaderMap,
    next: Option<String>,
) -> Result<Response, Fault> {
    if portal { portal::login_again(app, headers, next) } else { login::again(app, next) }
}

/// The page of something that went wrong; the caller sets the status.
#[must_use]
pub fn fault(told: &fault::Told, request_id: &str) -> Response {
    // A page that tells of a fault must not fail itself: then the words go bare.
    login::fault(told, request_id).unwrap_or_else(|_| told.detail.clone().into_response())
}
