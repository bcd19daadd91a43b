//! The vendors' events as received, with what each changed, including those without effect. Not here: the raw bodies,
//! which contain personal data; they are in the database.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use payout::access::Permission;
use payout::money::Vendor;

use crate::app::App;
use crate::ops::evidence::particulars;
use crate::store::events::{self, EventRow, Filter};
use crate::web::kit::facet::{Facet, Facets};
use crate::web::kit::form::{ListQuery, Pager, encode_cursor};
use crate::web::kit::format::{Chip, ShortTime};
use crate::web::kit::layout::{Frame, MenuItem, PageContext};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, get};

pub fn routes() -> Vec<Route> {
    vec![get("/events", Access::May(Permission::Read), list)]
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListParams {
    vendor: Option<String>,
    q: Option<String>,
    without_payment: Option<bool>,
}

impl ListParams {
    /// All active parameters except the named one.
    fn besides(&self, name: &str) -> Vec<(&'static str, &str)> {
        let alone = self.without_payment.filter(|alone| *alone).map(|_| "true");
        let pairs =
            [("vendor", self.vendor.as_deref()), ("q", self.q.as_deref()), ("without_payment", alone)];
        let asked = pairs.into_iter().filter_map(|(of, value)| Some((of, value?)));
        asked.filter(|(of, value)| *of != name && !value.is_empty()).collect()
    }

    /// The address with one filter replaced; an empty value removes it.
    fn with(&self, name: &str, value: &str) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.besides(name));
        if !value.is_empty() {
            query.append_pair(name, value);
        }
        format!("/events?{}", query.finish()).trim_end_matches('?').to_owned()
    }

    /// The active filters in words, each with the address that removes it.
    fn on(&self) -> Vec<(String, String)> {
        let words = |(name, value): (&'static str, &str)| {
            let words = match name {
                "vendor" => {
                    format!("Vendor: {}", Vendor::parse(value).map_or(value, |vendor| vendor.label()))
                }
                "q" => format!("Event: {value}"),
                _ => ALONE.to_owned(),
            };
            (words, self.with(name, ""))
        };
        self.besides("").into_iter().map(words).collect()
    }
}

const ALONE: &str = "About no payment of ours";

struct Row {
    at: ShortTime,
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
    ask: ListParams,
    /// The filters, to be added one at a time, and the active ones.
    facets: Facets,
    on: Vec<(String, String)>,
    rows: Vec<Row>,
    turn: Pager,
}

async fn list(
    State(app): State<App>,
    context: PageContext,
    ListQuery(params, paging): ListQuery<ListParams>,
) -> Result<Response, Problem> {
    let filter = Filter {
        vendor: params.vendor.as_deref().and_then(Vendor::parse),
        kind: params.q.clone(),
        without_payment: params.without_payment.unwrap_or(false),
    };
    let before = paging.after_parts()?.map(|[at, id]| (at.parse().unwrap_or(i64::MAX), id));
    let mut db = app.store.read().await?;
    let mut rows = events::newest(&mut db, &filter, before, paging.limit + 1).await?;
    let most = usize::try_from(paging.limit).unwrap_or(usize::MAX);
    let more = rows.len() > most;
    rows.truncate(most);
    let next = rows.last().filter(|_| more);
    let next = next.map(|last| encode_cursor(&[&last.received_at.to_string(), &last.id]));
    let turn = paging.turn(rows.len(), next.as_deref(), None);
    let rows = rows.into_iter().map(row).collect();
    let frame = context.frame("Vendor events", MenuItem::PayoutSettings);
    let vendors = Vendor::ALL.map(|vendor| (vendor.label(), params.with("vendor", vendor.as_str())));
    let alone = Facet::links("Payment", [(ALONE, params.with("without_payment", "true"))]);
    let facets = Facets::of(vec![Facet::links("Vendor", vendors), alone], params.besides(""));
    context.show(&EventsPage { frame, facets, on: params.on(), ask: params, rows, turn })
}

fn row(event: EventRow) -> Row {
    let (chip, effect) = match (&event.applied, event.parked_at, event.transaction) {
        (Some((_, effect)), _, None) if effect.starts_with("no effect") => {
            (Chip { tone: "", words: "No effect" }, effect.clone())
        }
        (Some((_, effect)), _, _) => (Chip { tone: "fine", words: "Processed" }, particulars(effect)),
        (None, Some(_), _) => {
            let message = "about an object that Bursar does not know yet. It is processed once a vendor answer names the object";
            (Chip { tone: "warn", words: "Parked" }, message.to_owned())
        }
        (None, None, _) => (Chip { tone: "wait", words: "Waiting" }, "checking with the vendor".to_owned()),
    };
    Row {
        at: ShortTime(event.received_at),
        vendor: event.vendor.label(),
        kind: event.event_type,
        event_id: event.event_id,
        object: event.object_id,
        transaction: event.transaction.map(|number| format!("PT-{number:06}")),
        chip,
        effect,
    }
}
