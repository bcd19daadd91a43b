//! The Payout Dashboard: its tabs and what they share. Each tab has its own address: `summary` and `earnings` are here, the
//! payments in `payments::list`. Not here: the calculations (`ops::dashboard`).

mod api;
mod earnings;
mod filter;
mod period;
mod summary;

use axum::extract::RawQuery;
use axum::response::{IntoResponse, Redirect, Response};

use payout::access::Permission;
use payout::money::Vendor;
use payout::reward::PaymentType;
use payout::transaction::Status;

use crate::web::kit::facet::{Facet, Facets, Typed};
use crate::web::kit::route::{Access, Route, get};
pub use filter::{FilterParams, ResolvedFilter, Tab};

pub fn routes() -> Vec<Route> {
    let mut routes = vec![get("/transactions", Access::May(Permission::Read), moved)];
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
    pub ask: FilterParams,
    pub payment_types: Vec<Choice>,
    /// The date ranges, on the tabs that use them.
    pub ranges: Vec<Choice>,
    /// The filters, to be added one at a time.
    pub facets: Facets,
    /// The active filters, each with the address that removes it.
    pub on: Vec<(String, String)>,
    pub problems: Vec<String>,
    pub candidates: Vec<(String, String)>,
}

impl Shared {
    /// The parameters that a form must send along: the current ones, except those the form itself has.
    pub fn besides(&self, names: &[&str]) -> Vec<(&'static str, &str)> {
        let tab = Tab::ALL.into_iter().find(|tab| tab.path() == self.action);
        tab.map(|tab| self.ask.besides(tab, names)).unwrap_or_default()
    }

    /// The address for exporting what is shown. Files have an order of their own.
    pub fn export(&self, of: &str) -> String {
        let tab = Tab::ALL.into_iter().find(|tab| tab.path() == self.action);
        let query = tab.map(|tab| self.ask.query(tab, &[("sort", "")])).unwrap_or_default();
        format!("/exports/new?of={of}&{query}")
    }

    /// The shared part of a tab.
    pub fn of(tab: Tab, params: FilterParams, narrowed: ResolvedFilter) -> Self {
        let types = PaymentType::ALL.iter().map(|one| (one.as_str(), one.label()));
        let range = if params.dated() { Some("custom") } else { params.range.as_deref() };
        let ranges = period::PRESETS.into_iter().chain([("custom", "From and to, below")]);
        Self {
            tabs: params.tabs(tab),
            action: tab.path(),
            payment_types: choices(types, params.payment_type.as_deref()),
            ranges: if tab.has("range") { choices(ranges, range) } else { Vec::new() },
            facets: facets(tab, &params),
            on: narrowed.on,
            problems: narrowed.problems,
            candidates: narrowed.candidates,
            ask: params,
        }
    }
}

/// The filters of a tab, to be added one at a time.
fn facets(tab: Tab, params: &FilterParams) -> Facets {
    let links = |name: &'static str, words, all: Vec<(&'static str, &'static str)>| {
        Facet::links(
            words,
            all.into_iter().map(|(value, words)| (words, params.address(tab, &[(name, value)]))),
        )
    };
    let typed = |name: &'static str, words, value: &Option<String>, hint| {
        Facet::typed(words, vec![Typed::of(name, words, "text", value, hint)])
    };
    let mut facets = Vec::new();
    if tab.has("range") {
        let days = vec![
            Typed::of("from", "From", "date", &params.from, ""),
            Typed::of("to", "To", "date", &params.to, ""),
        ];
        let link = |(range, words): (&str, &str)| {
            (words.to_owned(), params.address(tab, &[("range", range), ("from", ""), ("to", "")]))
        };
        let facet = Facet::typed("Date Range (UTC)", days);
        facets.push(facet.with(period::PRESETS.into_iter().map(link).collect()));
    }
    if tab.has("status") {
        let statuses = Status::ALL.iter().map(|status| (status.as_str(), status.label())).collect();
        facets.push(links("status", "Status", statuses));
        facets.push(links("vendor", "Vendor", Vendor::ALL.map(|one| (one.as_str(), one.label())).into()));
    }
    let types = PaymentType::ALL.iter().map(|one| (one.as_str(), one.label()));
    facets.push(links("payment_type", "Payment Type", types.collect()));
    facets.push(typed("account", "Account", &params.account, "Name or id"));
    facets.push(typed("partner", "Partner User", &params.partner, "Name or id"));
    if tab.has("batch") {
        facets.push(typed("payee", "Payee (id)", &params.payee, ""));
        facets.push(typed("batch", "Batch", &params.batch, "PB-2026-0042"));
    }
    Facets::of(facets, params.besides(tab, &[]))
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
