//! The Payout Dashboard: its tabs and what they share. Each tab is an address of its own: `summary` here, `earnings` below
//! it, and the payments in `payments::list`. What is deliberately not here: adding up (`ops::dashboard`).

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

/// The rows of the route table.
pub fn routes() -> Vec<Route> {
    let mut routes = vec![get("/transactions", Need::May(Permission::Read), moved)];
    routes.extend(summary::routes());
    routes.extend(earnings::routes());
    routes.extend(api::routes());
    routes
}

/// Where the list of payments stood before it was a tab of the dashboard.
async fn moved(RawQuery(query): RawQuery) -> Response {
    let to = Tab::Transactions.path();
    let address = query.map_or_else(|| to.to_owned(), |query| format!("{to}?{query}"));
    Redirect::permanent(&address).into_response()
}

/// A choice of a filter.
pub struct Choice {
    /// Its word in the address.
    pub value: String,
    pub words: String,
    /// It is the one that is asked for.
    pub chosen: bool,
}

/// What every tab shows: the tabs, and the filters that they share.
pub struct Shared {
    /// Where each tab is, what it is called, whether it is this one.
    pub tabs: Vec<(String, &'static str, bool)>,
    pub action: &'static str,
    pub ask: Ask,
    pub payment_types: Vec<Choice>,
    /// The date ranges, on the tabs that have them.
    pub ranges: Vec<Choice>,
    /// The filters that are on, with the address without each.
    pub on: Vec<(String, String)>,
    pub problems: Vec<String>,
    pub candidates: Vec<(String, String)>,
}

impl Shared {
    /// A filter is on, or cannot be read, that stands below the others.
    pub fn has_more(&self) -> bool {
        let ask = &self.ask;
        let more = [&ask.from, &ask.to, &ask.status, &ask.vendor, &ask.batch, &ask.payee, &ask.reason];
        more.iter().any(|filter| filter.is_some())
    }

    /// Where what is shown is taken out as a file.
    pub fn export(&self, of: &str) -> String {
        let tab = Tab::ALL.into_iter().find(|tab| tab.path() == self.action);
        let query = tab.map(|tab| self.ask.query(tab, &[])).unwrap_or_default();
        format!("/exports/new?of={of}&{query}")
    }

    /// What a tab shows of what is asked.
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

/// Choices, one of which may be the one that is asked for.
pub fn choices<'a>(all: impl IntoIterator<Item = (&'a str, &'a str)>, chosen: Option<&str>) -> Vec<Choice> {
    let choice = |(value, words): (&str, &str)| Choice {
        value: value.to_owned(),
        words: words.to_owned(),
        chosen: chosen == Some(value),
    };
    all.into_iter().map(choice).collect()
}
