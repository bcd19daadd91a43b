//! The vendors' events as received, with what each changed, including those without effect. What is deliberately not here:
//! the raw bodies, which contain personal data; they are in the database.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use payout::access::Permission;
use payout::money::Vendor;

use crate::app::App;
use crate::ops::evidence::particulars;
use crate::store::events::{self, Filter, Listed};
use crate::web::kit::form::{ListQuery, Turn, sealed};
use crate::web::kit::format::{Chip, Lately};
use crate::web::kit::layout::{Frame, Place, Visit};
use crate::web::kit::problem::Fault;
use crate::web::kit::route::{Need, Route, get};

pub fn routes() -> Vec<Route> {
    vec![get("/events", Need::May(Permission::Read), list)]
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ask {
    vendor: Option<String>,
    q: Option<String>,
    without_payment: Option<bool>,
}

struct Row {
    at: Lately,
    vendor: &'static str,
    kind: String,
    event_id: String,
    object: Option<String>,
    transaction: Option<String>,
    chip: Chip,
    effect: String,
}

#[derive(Template)]
#[template(path = "webhooks/list.html")]
struct EventsPage {
    frame: Frame,
    rows: Vec<Row>,
    vendor: String,
    q: String,
    without_payment: bool,
    turn: Turn,
}

async fn list(
    State(app): State<App>,
    visit: Visit,
    ListQuery(ask, paging): ListQuery<Ask>,
) -> Result<Response, Fault> {
    let without_payment = ask.without_payment.unwrap_or(false);
    let filter = Filter {
        vendor: ask.vendor.as_deref().and_then(Vendor::parse),
        kind: ask.q.clone(),
        without_payment,
    };
    let before = paging.after_parts()?.map(|[at, id]| (at.parse().unwrap_or(i64::MAX), id));
    let mut db = app.store.read().await?;
    let mut rows = events::newest(&mut db, &filter, before, paging.limit + 1).await?;
    let most = usize::try_from(paging.limit).unwrap_or(usize::MAX);
    let more = rows.len() > most;
    rows.truncate(most);
    let (vendor, q) = (ask.vendor.unwrap_or_default(), ask.q.unwrap_or_default());
    let next = rows.last().filter(|_| more);
    let next = next.map(|last| sealed(&[&last.received_at.to_string(), &last.id]));
    let turn = paging.turn(rows.len(), next.as_deref(), None);
    let rows = rows.into_iter().map(row).collect();
    let frame = visit.frame("Vendor events", Place::PayoutSettings);
    visit.show(&EventsPage { frame, rows, vendor, q, without_payment, turn })
}

fn row(event: Listed) -> Row {
    let (chip, effect) = match (&event.applied, event.parked_at, event.transaction) {
        (Some((_, effect)), _, None) if effect.starts_with("no effect") => {
            (Chip { tone: "", words: "No effect" }, effect.clone())
        }
        (Some((_, effect)), _, _) => (Chip { tone: "fine", words: "Processed" }, particulars(effect)),
        (None, Some(_), _) => {
            let told = "about an object that Bursar does not know yet. It is processed once a vendor answer names the object";
            (Chip { tone: "warn", words: "Parked" }, told.to_owned())
        }
        (None, None, _) => (Chip { tone: "wait", words: "Waiting" }, "checking with the vendor".to_owned()),
    };
    Row {
        at: Lately(event.received_at),
        vendor: event.vendor.label(),
        kind: event.event_type,
        event_id: event.event_id,
        object: event.object_id,
        transaction: event.transaction.map(|number| format!("PT-{number:06}")),
        chip,
        effect,
    }
}
