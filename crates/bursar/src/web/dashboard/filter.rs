//! The dashboard's filters in the query string: one set, of which each tab uses some. Links between tabs keep the filters
//! that both use. An invalid filter is never guessed: the page reports it and shows no data.

use payout::money::Currency;
use payout::reward::PaymentType;
use serde::Deserialize;

use super::period::{self, PRESETS};
use crate::clock::{self, date};
use crate::ops::{settings, tax};
use crate::store::Db;
use crate::store::dashboard::Range;
use crate::store::scope::Scope;
use crate::web::kit::problem::Problem;
use crate::web::kit::resolve::{self, Resolved};

const DAY_US: i64 = 86_400_000_000;

/// A tab of the dashboard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tab {
    Summary,
    Transactions,
    /// What payees earned in a year.
    Earnings,
}

impl Tab {
    pub const ALL: [Self; 3] = [Self::Summary, Self::Transactions, Self::Earnings];

    pub fn path(self) -> &'static str {
        match self {
            Self::Summary => "/dashboard/summary",
            Self::Transactions => "/dashboard/transactions",
            Self::Earnings => "/dashboard/earnings",
        }
    }

    pub fn label(self) -> &'static str {
        match self {
            Self::Summary => "Summary",
            Self::Transactions => "Transactions",
            Self::Earnings => "Earnings",
        }
    }

    /// Whether the tab uses a filter.
    pub fn has(self, filter: &str) -> bool {
        match filter {
            "payment_type" | "account" | "partner" => true,
            "range" | "from" | "to" => self != Self::Earnings,
            "year" => self == Self::Earnings,
            "currency" => self == Self::Summary,
            "sort" => self != Self::Summary,
            _ => self == Self::Transactions,
        }
    }
}

#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FilterParams {
    /// `individual` or `organization`.
    pub payment_type: Option<String>,
    /// An account with its users: an ID, or a name.
    pub account: Option<String>,
    /// Only payments to this partner: an ID, or a name.
    pub partner: Option<String>,
    /// A named range, or `custom`.
    pub range: Option<String>,
    pub from: Option<String>,
    pub to: Option<String>,
    /// The calendar year of earnings.
    pub year: Option<String>,
    /// The currency whose figures to show.
    pub currency: Option<String>,
    pub status: Option<String>,
    pub vendor: Option<String>,
    pub batch: Option<String>,
    /// One payee, by ID or external ID.
    pub payee: Option<String>,
    /// The reason code of failed payments.
    pub reason: Option<String>,
    /// Failed, returned, unclaimed, on hold, or needs review.
    pub needs_attention: Option<bool>,
    /// Not completed for three days.
    pub stuck: Option<bool>,
    /// Returned after they had succeeded.
    pub after_success: Option<bool>,
    pub under_way: Option<bool>,
    /// The sort order of the tab's list, with `-` for descending. It is read with the page of the list.
    #[serde(skip)]
    pub sort: Option<String>,
}

/// The filters shared by the tabs, resolved.
#[derive(Default)]
pub struct ResolvedFilter {
    pub scope: Scope,
    pub range: Range,
    /// The calendar year, on the tab that uses one.
    pub year: i32,
    /// The currency that was requested, if any.
    pub currency: Option<Currency>,
    /// The active filters in words, each with the address that removes it.
    pub on: Vec<(String, String)>,
    pub problems: Vec<String>,
    /// The named range that does not count, because dates were typed beside it.
    pub overruled: Option<&'static str>,
    /// Candidates for an ambiguous name, each with its address.
    pub candidates: Vec<(String, String)>,
}

impl FilterParams {
    fn pairs(&self) -> Vec<(&'static str, &str)> {
        let words = [
            ("payment_type", &self.payment_type),
            ("account", &self.account),
            ("partner", &self.partner),
            ("range", &self.range),
            ("from", &self.from),
            ("to", &self.to),
            ("year", &self.year),
            ("currency", &self.currency),
            ("status", &self.status),
            ("vendor", &self.vendor),
            ("batch", &self.batch),
            ("payee", &self.payee),
            ("reason", &self.reason),
            ("sort", &self.sort),
        ];
        // The form also sends the named range next to typed dates; the dates take precedence.
        let overruled = self.dated() && self.range.as_deref() != Some("custom");
        let words = words.into_iter().filter(|(name, _)| *name != "range" || !overruled);
        let words = words.filter_map(|(name, value)| Some((name, value.as_deref()?)));
        words.chain(self.view().map(|view| (view, "true"))).collect()
    }

    /// Whether specific dates are requested; they override a named range.
    pub fn dated(&self) -> bool {
        self.from.is_some() || self.to.is_some()
    }

    /// The active view of payments.
    pub fn view(&self) -> Option<&'static str> {
        let ticks = [
            ("needs_attention", self.needs_attention),
            ("stuck", self.stuck),
            ("after_success", self.after_success),
            ("under_way", self.under_way),
        ];
        ticks.into_iter().find(|(_, tick)| *tick == Some(true)).map(|(name, _)| name)
    }

    /// The query string of a tab, with some parameters replaced; an empty value removes a parameter.
    pub fn query(&self, tab: Tab, otherwise: &[(&str, &str)]) -> String {
        let mut text = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in self.pairs() {
            if tab.has(name) && !otherwise.iter().any(|(other, _)| *other == name) {
                text.append_pair(name, value);
            }
        }
        for (name, value) in otherwise.iter().filter(|(_, value)| !value.is_empty()) {
            text.append_pair(name, value);
        }
        text.finish()
    }

    /// The parameters that a form of a tab must send along: the current ones, except those the form itself has.
    pub fn besides(&self, tab: Tab, names: &[&str]) -> Vec<(&'static str, &str)> {
        self.pairs().into_iter().filter(|(name, _)| tab.has(name) && !names.contains(name)).collect()
    }

    /// The address of a tab with the current filters that it supports.
    pub fn address(&self, tab: Tab, otherwise: &[(&str, &str)]) -> String {
        match self.query(tab, otherwise).as_str() {
            "" => tab.path().to_owned(),
            query => format!("{}?{query}", tab.path()),
        }
    }

    /// The tabs: address, label, whether it is the current one. Each has a sort order of its own.
    pub fn tabs(&self, shown: Tab) -> Vec<(String, &'static str, bool)> {
        let tab = |tab: Tab| (self.address(tab, &[("sort", "")]), tab.label(), tab == shown);
        Tab::ALL.into_iter().map(tab).collect()
    }

    /// Resolves the shared filters for a tab.
    pub async fn resolve(&self, db: &mut Db, tab: Tab, now: i64) -> Result<ResolvedFilter, Problem> {
        let mut narrowed = ResolvedFilter::default();
        for (name, _) in self.pairs().iter().filter(|(name, _)| !tab.has(name)) {
            let message = format!("{} is not a filter of {}.", label(name), tab.label());
            narrowed.problems.push(message);
        }
        if let Some(word) = &self.payment_type {
            narrowed.scope.payment_type = PaymentType::parse(word);
            match narrowed.scope.payment_type {
                Some(PaymentType::Individual) => self.note(tab, &mut narrowed, "payment_type", "Individual"),
                Some(PaymentType::Organization) => {
                    self.note(tab, &mut narrowed, "payment_type", "Organization");
                }
                None => narrowed.problems.push(format!("There is no payment type “{word}”.")),
            }
        }
        if let Some(text) = &self.account {
            let meant = resolve::account(db, text).await?;
            narrowed.scope.account = self.one(tab, &mut narrowed, "account", text, meant);
        }
        if let Some(text) = &self.partner {
            let meant = resolve::partner(db, text).await?;
            narrowed.scope.partner = self.one(tab, &mut narrowed, "partner", text, meant);
        }
        if let Some(code) = &self.currency {
            narrowed.currency = Currency::parse(&code.to_ascii_uppercase()).ok();
            if narrowed.currency.is_none() {
                narrowed.problems.push(format!("There is no currency “{code}”."));
            }
        }
        match tax::requested_year(self.year.as_deref(), now) {
            Ok(year) => narrowed.year = year,
            Err(refusal) => {
                narrowed.year = tax::year_of(now);
                narrowed.problems.push(refusal.sentence);
            }
        }
        let start = settings::read(db).await?.0.fiscal_year_start;
        self.read_range(tab, &mut narrowed, &date(now), &start);
        Ok(narrowed)
    }

    /// Adds an active filter and the address that removes it.
    pub fn note(&self, tab: Tab, narrowed: &mut ResolvedFilter, name: &'static str, words: &str) {
        narrowed.on.push((format!("{}: {words}", label(name)), self.address(tab, &[(name, "")])));
    }

    fn one<T>(
        &self,
        tab: Tab,
        narrowed: &mut ResolvedFilter,
        name: &'static str,
        text: &str,
        meant: Resolved<T>,
    ) -> Option<T> {
        match meant {
            Resolved::One(id, called) => {
                self.note(tab, narrowed, name, &called);
                Some(id)
            }
            Resolved::Nobody => {
                narrowed.problems.push(format!("No {name} has the id or the name “{text}”."));
                None
            }
            Resolved::Several(several) => {
                narrowed.problems.push(format!("Several {name}s match “{text}”. Which one?"));
                for (called, external_id) in several {
                    let address = self.address(tab, &[(name, &external_id)]);
                    narrowed.candidates.push((format!("{called} ({external_id})"), address));
                }
                None
            }
        }
    }

    fn read_range(&self, tab: Tab, narrowed: &mut ResolvedFilter, today: &str, start: &str) {
        let without: [(&str, &str); 3] = [("range", ""), ("from", ""), ("to", "")];
        let dated = self.dated();
        let preset = self.range.as_deref().filter(|range| *range != "custom" && !dated);
        let (days, words) = match preset {
            None if dated => {
                // The typed dates count, and the page says so if a named range was chosen beside them.
                let chosen = self.range.as_deref();
                let named = PRESETS.iter().find(|(word, _)| chosen == Some(*word) && *word != "custom");
                narrowed.overruled = named.map(|(_, words)| *words);
                ((self.from.clone(), self.to.clone()), None)
            }
            None => return,
            Some(preset) => {
                let named = PRESETS.iter().find(|(word, _)| *word == preset);
                let days = named.and_then(|_| period::days(preset, today, start));
                let Some(((_, words), (first, last))) = named.zip(days) else {
                    return narrowed.problems.push(format!("There is no date range “{preset}”."));
                };
                ((Some(first), Some(last)), Some(*words))
            }
        };
        let mut day = |text: &Option<String>| {
            let text = text.as_deref()?;
            let usual = format!("“{text}” is not a date; write it like 2026-07-19.");
            clock::day(text, &usual).map_err(|told| narrowed.problems.push(told)).ok()
        };
        let (from, to) = (day(&days.0), day(&days.1).map(|start| start + DAY_US));
        if from.zip(to).is_some_and(|(from, to)| from >= to) {
            narrowed.problems.push("The range ends before it begins.".to_owned());
        }
        narrowed.range = Range { from, to };
        let (from, to) = (days.0.unwrap_or_default(), days.1.unwrap_or_default());
        let between = match (from.is_empty(), to.is_empty()) {
            (false, false) => format!("{from} to {to}"),
            (false, true) => format!("from {from}"),
            (true, _) => format!("to {to}"),
        };
        let words = match (words, narrowed.overruled) {
            (Some(words), _) => format!("{words}, {between}"),
            (None, Some(named)) => format!("{between}, not {named}"),
            (None, None) => between,
        };
        narrowed.on.push((format!("Date Range: {words}"), self.address(tab, &without)));
    }
}

fn label(name: &str) -> &'static str {
    match name {
        "payment_type" => "Payment Type",
        "account" => "Account",
        "partner" => "Partner User",
        "range" | "from" | "to" => "Date Range",
        "year" => "Earning Year",
        "currency" => "Currency",
        "status" => "Status",
        "vendor" => "Vendor",
        "batch" => "Batch",
        "payee" => "Payee",
        "reason" => "Reason",
        _ => "View",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tab_keeps_the_filters_that_the_other_one_has_too() {
        let word = |text: &str| Some(text.to_owned());
        let params = FilterParams {
            account: word("Acme & Sons"),
            range: word("this_month"),
            status: word("failed"),
            stuck: Some(true),
            ..FilterParams::default()
        };
        let shared = "account=Acme+%26+Sons&range=this_month";
        assert_eq!(params.address(Tab::Summary, &[]), format!("/dashboard/summary?{shared}"));
        assert_eq!(
            params.address(Tab::Transactions, &[]),
            format!("/dashboard/transactions?{shared}&status=failed&stuck=true")
        );
        assert_eq!(params.address(Tab::Earnings, &[]), "/dashboard/earnings?account=Acme+%26+Sons");
        let params = FilterParams { year: word("2025"), ..FilterParams::default() };
        assert_eq!(params.address(Tab::Summary, &[]), "/dashboard/summary");
        assert_eq!(params.address(Tab::Earnings, &[("year", "2024")]), "/dashboard/earnings?year=2024");
    }
}
