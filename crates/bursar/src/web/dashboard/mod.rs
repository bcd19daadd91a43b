//! The Payout Dashboard: its tabs and what they share. Each tab has its own address: `summary` and `earnings` are here, the
//! payments in `payments::list`. What is deliberately not here: the calculations (`ops::dashboard`).

mod api;
mod earnings;
mod filter;
mod period;
mod summary;

use axum::extract::RawQuery;
use axum::response::{IntoResponse, Redirect, Response};

use payout::access::Permission;
use payout::reward::PaymentType;

use crate::web::kit::route::{Need, Route, get};
pub use filter::{Ask, Narrowed, Tab};

pub fn routes() -> Vec<Route> {
    let mut routes = vec![get("/transactions", Need::May(Permission::Read), moved)];
    routes.extend(summary::routes());
    routes.extend(earnings::routes());
    routes.extend(api::routes());
    routes
}

/// The former address of the list of payments.
async fn moved(RawQuery(query): RawQuery) -> Response {
    let to = Tab::Transactions.path();
    let address = query.map_or_else(|| to.to_owned(), |query| format!("{to}?{query}"));
    Redirect::permanent(&address).into_response()
}

/// An option of a filter.
pub struct Choice {
    /// Its value in the query string.
    pub value: String,
    pub words: String,
    pub chosen: bool,
}

/// What every tab shows: the tabs, and the shared filters.
pub struct Shared {
    /// Each tab's address, label, and whether it is the current one.
    pub tabs: Vec<(String, &'static str, bool)>,
    pub action: &'static str,
    pub ask: Ask,
    pub payment_types: Vec<Choice>,
    /// The date ranges, on the tabs that use them.
    pub ranges: Vec<Choice>,
    /// The active filters, each with the address that removes it.
    pub on: Vec<(String, String)>,
    pub problems: Vec<String>,
    pub candidates: Vec<(String, String)>,
}

impl Shared {
    /// Whether one of the additional filters is active or invalid.
    pub fn has_more(&self) -> bool {
        let ask = &self.ask;
        let more = [&ask.from, &ask.to, &ask.status, &ask.vendor, &ask.batch, &ask.payee, &ask.reason];
        more.iter().any(|filter| filter.is_some())
    }

    /// The address for exporting what is shown.
    pub fn export(&self, of: &str) -> String {
        let tab = Tab::ALL.into_iter().find(|tab| tab.path() == self.action);
        let query = tab.map(|tab| self.ask.query(tab, &[])).unwrap_or_default();
        format!("/exports/new?of={of}&{query}")
    }

    /// The shared part of a tab.
    pub fn of(tab: Tab, ask: Ask, narrowed: Narrowed) -> Self {
        let types = [PaymentType::Individual, PaymentType::Organization];
        let types = types.map(|one| (one.as_str(), one.label()));
        let own = ask.range.is_none() && (ask.from.is_some() || ask.to.is_some());
        let range = if own { Some("custom") } else { ask.range.as_deref() };
        let ranges = period::PRESETS.into_iter().chain([("custom", "From and to, below")]);
        Self {
            tabs: ask.tabs(tab),
            action: tab.path(),
            payment_types: choices(types, ask.payment_type.as_deref()),
            ranges: if tab.has("range") { choices(ranges, range) } else { Vec::new() },
            on: narrowed.on,
            problems: narrowed.problems,
            candidates: narrowed.candidates,
            ask,
        }
    }
}

/// Options, with the selected one marked.
pub fn choices<'a>(all: impl IntoIterator<Item = (&'a str, &'a str)>, chosen: Option<&str>) -> Vec<Choice> {
    let choice = |(value, words): (&str, &str)| Choice {
        value: value.to_owned(),
        words: words.to_owned(),
        chosen: chosen == Some(value),
    };
    all.into_iter().map(choice).collect()
}
