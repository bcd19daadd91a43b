//! Safe mode: how it stands, what keeps it on, what the vendors have that this database does not know of; switching it on and
//! off. What is deliberately not here: looking (`work::search`) and deciding (`ops::safe_mode`).

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use payout::access::Permission;
use payout::ledger::Payee;
use payout::money::Vendor;

use super::frame::{Frame, Place, Told, Visit};
use super::partners;
use super::words::{When, when};
use crate::app::App;
use crate::ops::{checks, payees, safe_mode};
use crate::store::put_back::{self, Listed};
use crate::web::fault::Fault;
use crate::web::form::Form;
use crate::web::{Need, Route, get, post};

const PAGE: &str = "/safe-mode";
/// So many found payments are listed.
const MOST_FOUND: i64 = 1_000;

/// The rows of the route table.
#[must_use]
pub fn routes() -> Vec<Route> {
    let (reads, administers) = (Need::May(Permission::Read), Need::May(Permission::Administer));
    vec![
        get(PAGE, reads, show),
        post("/safe-mode/on", administers, on),
        post("/safe-mode/off", administers, off).proved("let payments go on"),
        post("/safe-mode/settle", administers, settle),
    ]
}

/// A payment that a vendor has and this database does not know of.
struct Row {
    vendor: &'static str,
    object: String,
    ours: String,
    destination: String,
    /// Who is paid there: their pages and names.
    payees: Vec<(String, String)>,
    amount: String,
    made: Option<When>,
    settled: Option<(When, String, String)>,
    /// The payment here that it is settled with.
    payment: Option<String>,
}

impl Row {
    fn of(one: Listed, payees: Vec<(Payee, String)>) -> Self {
        Self {
            payees: payees.into_iter().map(|(payee, name)| (partners::address(payee), name)).collect(),
            vendor: one.found.vendor.label(),
            object: one.found.object_id,
            ours: one.found.our_id,
            destination: one.found.destination,
            amount: one.found.amount.to_string(),
            made: when(one.found.made_at),
            settled: one.settled.map(|(at, by, note)| (When(at), by, note)),
            payment: one.payment.map(|number| format!("PT-{number:06}")),
        }
    }
}

#[derive(Template)]
#[template(path = "safe_mode.html")]
struct Page {
    frame: Frame,
    on: bool,
    since: Option<When>,
    says: String,
    keeps_on: Vec<String>,
    /// The vendors are searched, because payments may be missing here.
    compares: bool,
    /// The vendors that people may have compared by hand: the names of their fields, and their own.
    by_hand: Vec<(&'static str, &'static str)>,
    open: Vec<String>,
    found: Vec<Row>,
    /// How each of them is settled.
    settle: &'static str,
    may: bool,
}

async fn show(State(app): State<App>, visit: Visit) -> Result<Response, Fault> {
    let mut db = app.store.read().await?;
    let report = safe_mode::report(&mut db, &[]).await?;
    let found = put_back::list_found(&mut db, MOST_FOUND).await?;
    let mut rows = Vec::with_capacity(found.len());
    for one in found {
        let payees = payees::called_at(&mut db, one.found.vendor, &one.found.destination).await?;
        rows.push(Row::of(one, payees));
    }
    drop(db);
    let page = Page {
        frame: Frame { safe_mode: false, ..visit.frame("Safe mode", Place::Elsewhere) },
        on: report.state.is_some(),
        since: report.state.as_ref().and_then(|state| when(Some(state.at).filter(|at| *at > 0))),
        compares: report.state.as_ref().is_some_and(|state| state.since.is_some()),
        says: report.state.map(|state| state.says).unwrap_or_default(),
        keeps_on: report.keeps_on,
        by_hand: report.by_hand.iter().map(|vendor| (vendor.as_str(), vendor.label())).collect(),
        open: report.open,
        found: rows,
        settle: checks::SETTLE_FOUND,
        may: visit.may(Permission::Administer),
    };
    visit.show(&page)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    note: Option<String>,
}

async fn on(State(app): State<App>, visit: Visit, Form(sent): Form<Note>) -> Result<Response, Fault> {
    safe_mode::switch_on(&app, &visit.actor, None, &sent.note.unwrap_or_default()).await?;
    Ok(Told::good("Safe mode is on: nothing is sent.").on(PAGE))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Off {
    stripe: Option<String>,
    paypal: Option<String>,
}

async fn off(State(app): State<App>, visit: Visit, Form(sent): Form<Off>) -> Result<Response, Fault> {
    let ticked = [(sent.stripe, Vendor::Stripe), (sent.paypal, Vendor::PayPal)];
    let compared: Vec<Vendor> =
        ticked.into_iter().filter_map(|(tick, vendor)| tick.map(|_| vendor)).collect();
    match safe_mode::leave(&app, &visit.actor, &compared).await {
        Ok(()) => Ok(Told::good("Safe mode is off: payments go on.").on(PAGE)),
        Err(error) => Ok(Told::refused(error)?.on(PAGE)),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settled {
    object: String,
    note: Option<String>,
}

async fn settle(State(app): State<App>, visit: Visit, Form(sent): Form<Settled>) -> Result<Response, Fault> {
    let note = sent.note.unwrap_or_default();
    match safe_mode::settle_found(&app, &visit.actor, &sent.object, &note).await {
        Ok(()) => Ok(Told::good("It is settled: this payment no longer holds its payee.").on(PAGE)),
        Err(error) => Ok(Told::refused(error)?.on(PAGE)),
    }
}
