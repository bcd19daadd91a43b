//! The Safe mode page: its state, what keeps it on, found payments, and turning it on and off. Not here: searching
//! (`work::search`) and deciding (`ops::safe_mode`).

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use payout::access::Permission;
use payout::money::Vendor;

use crate::app::App;
use crate::ops::safe_mode::{self, FoundPayment, SettlementNote, Vouched};
use crate::web::kit::form::Form;
use crate::web::kit::format::{self, Cash, When, when};
use crate::web::kit::layout::{Flash, Frame, MenuItem, PageContext};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, get, post};

const PAGE: &str = "/safe-mode";
/// At most this many found payments are listed.
const MOST_FOUND: i64 = 1_000;

pub fn routes() -> Vec<Route> {
    let (reads, administers) = (Access::May(Permission::Read), Access::May(Permission::Administer));
    vec![
        get(PAGE, reads, show),
        post("/safe-mode/on", administers, on),
        post("/safe-mode/off", administers, off).step_up("End safe mode"),
        post("/safe-mode/settle", administers, settle),
    ]
}

/// How many rewards a row lists; the rest are counted.
const MOST_REWARDS: usize = 50;

/// A found payment: a vendor has it and this database does not.
struct Row {
    vendor: &'static str,
    object: String,
    ours: String,
    destination: String,
    /// The payees it may have paid: pages and names.
    payees: Vec<(String, String)>,
    amount: String,
    made: Option<When>,
    settled: Option<(When, String, String)>,
    /// The payment here to settle it with.
    payment: Option<String>,
    /// Rewards that can be paid once it is settled: number, value, status, and whether the amount is exactly the same.
    unpaid: Vec<(String, Cash, String, bool)>,
    more: usize,
    /// The statement to confirm: about these rewards, or about who was paid.
    none_of: Option<String>,
    /// What to find out, if it holds nobody.
    whom: Option<String>,
    /// Its status at the vendor.
    stands: Option<String>,
}

impl Row {
    fn of(shown: FoundPayment) -> Self {
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
    /// What to enter again before it ends, after a restore.
    to_reenter: Option<String>,
    /// Whether the button would do anything: nothing keeps it on, or people may say that they have compared a vendor by
    /// hand.
    may_end: bool,
    /// What is sent when it ends.
    goes_out: Vec<String>,
    /// The vendors that people may have compared by hand: field name and label.
    by_hand: Vec<(&'static str, &'static str)>,
    open: Vec<String>,
    found: Vec<Row>,
    /// The steps for settling each, in order.
    steps: &'static [&'static str],
    may: bool,
}

async fn show(State(app): State<App>, context: PageContext) -> Result<Response, Problem> {
    let mut db = app.store.read().await?;
    let report = safe_mode::report(&mut db, &[]).await?;
    let found = safe_mode::list(&mut db, MOST_FOUND).await?;
    drop(db);
    let page = Page {
        frame: Frame { safe_mode: false, found: false, ..context.frame("Safe mode", MenuItem::Elsewhere) },
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
        may: context.may(Permission::Administer),
    };
    context.show(&page)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    note: Option<String>,
}

async fn on(
    State(app): State<App>,
    context: PageContext,
    Form(sent): Form<Note>,
) -> Result<Response, Problem> {
    safe_mode::switch_on(&app, &context.actor, None, &sent.note.unwrap_or_default()).await?;
    Ok(Flash::good("Safe mode is on. Nothing is sent.").on(PAGE))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EndForm {
    /// Whether they ticked that they have seen what will be sent.
    checked: Option<String>,
    /// They have entered again what was lost.
    reentered: Option<String>,
    stripe: Option<String>,
    paypal: Option<String>,
}

async fn off(
    State(app): State<App>,
    context: PageContext,
    Form(sent): Form<EndForm>,
) -> Result<Response, Problem> {
    let goes_out = safe_mode::report(&mut app.store.read().await?, &[]).await?.goes_out;
    if sent.checked.is_none() {
        return Ok(Flash::bad("Confirm first that you have reviewed what will be sent. Safe mode stays on.")
            .on(PAGE));
    }
    let ticked = [(sent.stripe, Vendor::Stripe), (sent.paypal, Vendor::PayPal)];
    let compared: Vec<Vendor> =
        ticked.into_iter().filter_map(|(tick, vendor)| tick.map(|_| vendor)).collect();
    let vouched = Vouched { compared: &compared, reentered: sent.reentered.is_some() };
    match safe_mode::leave(&app, &context.actor, vouched).await {
        Ok(()) => Ok(Flash::good("Safe mode is off. Payments resume.").listing(sent_now(goes_out)).on(PAGE)),
        Err(error) => Ok(Flash::refused(error)?.on(PAGE)),
    }
}

/// What is sent now, as a sentence; `None` if nothing was waiting.
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

async fn settle(
    State(app): State<App>,
    context: PageContext,
    Form(sent): Form<Settled>,
) -> Result<Response, Problem> {
    let said =
        SettlementNote { note: sent.note.as_deref().unwrap_or_default(), none_of: sent.none_of.as_deref() };
    match safe_mode::settle_found(&app, &context.actor, &sent.object, said).await {
        Ok(message) => Ok(Flash::good(message).on(PAGE)),
        Err(error) => Ok(Flash::refused(error)?.on(PAGE)),
    }
}
