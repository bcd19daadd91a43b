//! The vendors' events as received, with what each changed, including those without effect. Not here: the raw bodies,
//! which contain personal data; they are in the database.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::Deserialize;

use payout::access::Permission;
use payout::money::Vendor;
use payout::transaction::State as Stands;

use crate::app::App;
use crate::ops::evidence::particulars;
use crate::store::events::{self, EventRow, Filter};
use crate::web::kit::facet::{Facet, Facets};
use crate::web::kit::form::{ListQuery, Pager, encode_cursor};
use crate::web::kit::format::{Chip, ShortTime, When, plain};
use crate::web::kit::layout::{Frame, MenuItem, PageContext};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, get};

pub fn routes() -> Vec<Route> {
    let reads = Access::May(Permission::Read);
    vec![get("/events", reads, list), get("/events/{event}", reads, show)]
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
    id: String,
    at: ShortTime,
    vendor: &'static str,
    kind: String,
    transaction: Option<String>,
    /// Set only if it has not been processed.
    chip: Option<Chip>,
    /// What it changed, in a few words; its own page has the sentence.
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
        id: None,
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
    let (chip, effect) = match (&event.applied, event.parked_at) {
        (Some((_, effect)), _) => (None, in_short(effect)),
        (None, Some(_)) => (Some(PARKED), String::new()),
        (None, None) => (Some(WAITING), String::new()),
    };
    Row {
        id: event.id,
        at: ShortTime(event.received_at),
        vendor: event.vendor.label(),
        kind: event.event_type,
        transaction: event.transaction.map(|number| format!("PT-{number:06}")),
        chip,
        effect,
    }
}

const PARKED: Chip = Chip { tone: "warn", words: "Parked" };
const WAITING: Chip = Chip { tone: "wait", words: "Waiting" };

/// What an event changed, in a few words.
fn in_short(effect: &str) -> String {
    if let Some((_, code)) = effect.rsplit_once("the payment is ") {
        return Stands::parse(code)
            .map_or_else(|| plain(effect), |state| format!("Now {}", state.status().label()));
    }
    if let Some(asked) = particulars(effect).strip_prefix("asked about ") {
        return format!("Checked {asked}");
    }
    let words = match effect {
        "the account is being read again" => "Account checked again",
        "from the other mode (test or live)" => "Other mode, ignored",
        "from a different account than the payment's" => "Other account, ignored",
        none if none.starts_with("no effect") => "No effect",
        "names no item or batch that can be read" => "Unreadable, ignored",
        "names a payment that is not in its batch" => "Not in its batch, ignored",
        other if other.starts_with("names ") => "Not ours, ignored",
        other => return plain(other),
    };
    words.to_owned()
}

#[derive(Template)]
#[template(path = "webhooks/show.html")]
struct EventPage {
    frame: Frame,
    at: When,
    vendor: &'static str,
    kind: String,
    event_id: String,
    object: Option<String>,
    transaction: Option<String>,
    chip: Chip,
    effect: String,
    applied: Option<When>,
}

async fn show(
    State(app): State<App>,
    context: PageContext,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let filter = Filter { id: Some(id), ..Filter::default() };
    let found = events::newest(&mut app.store.read().await?, &filter, None, 1).await?.into_iter().next();
    let event = found.ok_or_else(Problem::missing)?;
    let (chip, effect) = match (&event.applied, event.parked_at) {
        (Some((_, effect)), _) => (Chip { tone: "fine", words: "Processed" }, plain(&particulars(effect))),
        (None, Some(_)) => {
            let message = "It is about an object that Bursar does not know yet. It is processed once a vendor answer names the object.";
            (PARKED, message.to_owned())
        }
        (None, None) => (WAITING, "Bursar checks with the vendor next.".to_owned()),
    };
    context.show(&EventPage {
        frame: context.frame("Vendor event", MenuItem::PayoutSettings),
        at: When(event.received_at),
        vendor: event.vendor.label(),
        kind: event.event_type,
        event_id: event.event_id,
        object: event.object_id,
        transaction: event.transaction.map(|number| format!("PT-{number:06}")),
        chip,
        effect,
        applied: event.applied.map(|(at, _)| When(at)),
    })
}

#[cfg(test)]
mod tests {
    use super::in_short;

    #[test]
    fn what_an_event_changed_is_a_few_words() {
        for (effect, words) in [
            ("the vendor was asked; the payment is payout_failed", "Now Payout Failed"),
            ("asked about 1 payments", "Checked 1 payment"),
            ("asked about 2 payments", "Checked 2 payments"),
            ("no effect: an event that Bursar does not use", "No effect"),
        ] {
            assert_eq!(in_short(effect), words);
        }
    }
}
