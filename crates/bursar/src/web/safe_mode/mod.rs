//! Safe mode: how it stands, what keeps it on, what the vendors have that this database does not know of; switching it on and
//! off. What is deliberately not here: looking (`work::search`) and deciding (`ops::safe_mode`).

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use payout::access::Permission;
use payout::money::Vendor;

use crate::app::App;
use crate::ops::safe_mode::{self, Said, Shown, Vouched};
use crate::web::kit::form::Form;
use crate::web::kit::format::{self, Cash, When, when};
use crate::web::kit::layout::{Frame, Place, Told, Visit};
use crate::web::kit::problem::Fault;
use crate::web::kit::route::{Need, Route, get, post};

const PAGE: &str = "/safe-mode";
/// So many found payments are listed.
const MOST_FOUND: i64 = 1_000;

/// The rows of the route table.
pub fn routes() -> Vec<Route> {
    let (reads, administers) = (Need::May(Permission::Read), Need::May(Permission::Administer));
    vec![
        get(PAGE, reads, show),
        post("/safe-mode/on", administers, on),
        post("/safe-mode/off", administers, off).proved("End safe mode"),
        post("/safe-mode/settle", administers, settle),
    ]
}

/// So many rewards stand in a row; the others are counted.
const MOST_REWARDS: usize = 50;

/// A payment that a vendor has and this database does not know of.
struct Row {
    vendor: &'static str,
    object: String,
    ours: String,
    destination: String,
    /// Whom it may have paid: their pages and names.
    payees: Vec<(String, String)>,
    amount: String,
    made: Option<When>,
    settled: Option<(When, String, String)>,
    /// The payment here that it is settled with.
    payment: Option<String>,
    /// Rewards that can be paid as soon as it is settled: number, value, how it stands, of exactly its amount.
    unpaid: Vec<(String, Cash, String, bool)>,
    more: usize,
    /// What somebody says who has looked at these, or has found out whom it paid.
    none_of: Option<String>,
    /// What must be found out, where it holds nobody.
    whom: Option<String>,
    /// How it stands at its vendor.
    stands: Option<String>,
}

impl Row {
    fn of(shown: Shown) -> Self {
        let (none_of, stands) = (shown.none_of(), shown.stands());
        let whom = shown.holds_nobody().then(|| shown.whom());
        let one = shown.listed;
        let like = one.found.amount;
        let more = shown.unpaid.len().saturating_sub(MOST_REWARDS);
        let unpaid = shown.unpaid.iter().take(MOST_REWARDS);
        Self {
            payees: shown.payees.into_iter().map(|(payee, name)| (format::address(payee), name)).collect(),
            vendor: one.found.vendor.label(),
            object: one.found.object_id,
            ours: one.found.our_id,
            destination: one.found.destination,
            amount: like.to_string(),
            made: when(one.found.made_at),
            settled: one.settled.map(|(at, by, note)| (When(at), by, note)),
            payment: one.payment.map(|number| format!("PT-{number:06}")),
            unpaid: unpaid
                .map(|one| (one.label(), Cash(one.value), one.says(), one.value == like && !one.clawback))
                .collect(),
            more,
            none_of,
            whom,
            stands,
        }
    }
}

#[derive(Template)]
#[template(path = "safe_mode/page.html")]
struct Page {
    frame: Frame,
    on: bool,
    since: Option<When>,
    says: String,
    keeps_on: Vec<String>,
    /// The vendors are searched, because payments may be missing here.
    /// What to enter again before it ends, where the database was put back.
    to_reenter: Option<String>,
    /// Pressing it would do something: nothing keeps it on, or people may say that they have compared a vendor by hand.
    may_end: bool,
    /// What goes out when it ends.
    goes_out: Vec<String>,
    /// The vendors that people may have compared by hand: the names of their fields, and their own.
    by_hand: Vec<(&'static str, &'static str)>,
    open: Vec<String>,
    found: Vec<Row>,
    /// How each of them is settled, in this order.
    steps: &'static [&'static str],
    may: bool,
}

async fn show(State(app): State<App>, visit: Visit) -> Result<Response, Fault> {
    let mut db = app.store.read().await?;
    let report = safe_mode::report(&mut db, &[]).await?;
    let found = safe_mode::list(&mut db, MOST_FOUND).await?;
    drop(db);
    let page = Page {
        frame: Frame { safe_mode: false, found: false, ..visit.frame("Safe mode", Place::Elsewhere) },
        on: report.state.is_some(),
        since: report.state.as_ref().and_then(|state| when(Some(state.at).filter(|at| *at > 0))),
        to_reenter: report.state.as_ref().and_then(|state| state.since).map(safe_mode::to_reenter),
        says: report.state.map(|state| state.says).unwrap_or_default(),
        may_end: report.keeps_on.is_empty() || !report.by_hand.is_empty(),
        goes_out: report.goes_out,
        keeps_on: report.keeps_on,
        by_hand: report.by_hand.iter().map(|vendor| (vendor.as_str(), vendor.label())).collect(),
        open: report.open,
        found: found.into_iter().map(Row::of).collect(),
        steps: &safe_mode::STEPS,
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
    Ok(Told::good("Safe mode is on. Nothing is sent.").on(PAGE))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Off {
    /// They have seen what goes out.
    checked: Option<String>,
    /// They have entered again what was lost.
    reentered: Option<String>,
    stripe: Option<String>,
    paypal: Option<String>,
}

async fn off(State(app): State<App>, visit: Visit, Form(sent): Form<Off>) -> Result<Response, Fault> {
    let goes_out = safe_mode::report(&mut app.store.read().await?, &[]).await?.goes_out;
    if sent.checked.is_none() {
        return Ok(
            Told::bad("Confirm first that you have reviewed what will be sent. Safe mode stays on.").on(PAGE)
        );
    }
    let ticked = [(sent.stripe, Vendor::Stripe), (sent.paypal, Vendor::PayPal)];
    let compared: Vec<Vendor> =
        ticked.into_iter().filter_map(|(tick, vendor)| tick.map(|_| vendor)).collect();
    let vouched = Vouched { compared: &compared, reentered: sent.reentered.is_some() };
    match safe_mode::leave(&app, &visit.actor, vouched).await {
        Ok(()) => Ok(Told::good("Safe mode is off. Payments resume.").listing(sent_now(goes_out)).on(PAGE)),
        Err(error) => Ok(Told::refused(error)?.on(PAGE)),
    }
}

/// What goes out now, as a line; nothing where nothing waited.
fn sent_now(goes_out: Vec<String>) -> Option<String> {
    (!goes_out.is_empty()).then(|| format!("Now being sent: {}.", goes_out.join(", ")))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settled {
    object: String,
    note: Option<String>,
    none_of: Option<String>,
}

async fn settle(State(app): State<App>, visit: Visit, Form(sent): Form<Settled>) -> Result<Response, Fault> {
    let said = Said { note: sent.note.as_deref().unwrap_or_default(), none_of: sent.none_of.as_deref() };
    match safe_mode::settle_found(&app, &visit.actor, &sent.object, said).await {
        Ok(told) => Ok(Told::good(told).on(PAGE)),
        Err(error) => Ok(Told::refused(error)?.on(PAGE)),
    }
}
