//! The Summary tab: where the money is, by currency; payments by month; failure reasons; median times; top payees. Every
//! chart has its table next to it.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use payout::access::Permission;
use payout::ledger::Payee;
use payout::money::{Currency, Sum};
use payout::reason::{explain, explain_at};
use payout::transaction::State as Stands;

use super::Shared;
use super::filter::{Ask, Tab};
use crate::app::App;
use crate::ops::dashboard::{self, Card, Summary};
use crate::store::dashboard::{Failure, Month};
use crate::store::reconciliation;
use crate::web::kit::chart::{Bar, Chart};
use crate::web::kit::form::Query;
use crate::web::kit::format::{Cash, Summed, bare, count, how_many, meaning, plain};
use crate::web::kit::layout::{Frame, Place, Visit};
use crate::web::kit::problem::Fault;
use crate::web::kit::route::{Need, Route, get};

/// How many months the chart shows; narrow the dates for earlier ones.
const MOST_MONTHS: usize = 24;
/// How many reasons the chart shows; the table has all.
const MOST_REASONS: usize = 8;

pub fn routes() -> Vec<Route> {
    vec![
        get("/dashboard", Need::May(Permission::Read), async || {
            axum::response::Redirect::to(Tab::Summary.path())
        }),
        get(Tab::Summary.path(), Need::May(Permission::Read), show),
    ]
}

/// A table row: one month of one currency.
struct MonthRow {
    month: String,
    paid: Summed,
    to_us: Summed,
    in_balances: Summed,
    given_up: Summed,
    outside: Option<Summed>,
    net: Summed,
}

/// A table row: one of the top payees.
struct TopRow {
    name: String,
    address: String,
    net: Summed,
}

struct Part {
    code: &'static str,
    card: Card,
    /// The addresses of the lists of payments in flight and of failed ones.
    lists: (String, String),
    months: Chart,
    month_rows: Vec<MonthRow>,
    /// Whether earlier months are left out.
    cut: bool,
    /// Whether to show the columns for amounts paid outside, in payees' balances, and written off.
    outside: bool,
    in_balances: bool,
    given_up: bool,
    top: Chart,
    top_rows: Vec<TopRow>,
}

/// A table row: one failure reason.
struct FailureRow {
    code: String,
    words: String,
    count: i64,
    amount: Summed,
    address: String,
}

/// A table row: one vendor's median time.
struct MedianRow {
    vendor: &'static str,
    took: String,
    count: String,
}

#[derive(Template)]
#[template(path = "dashboard/summary.html")]
struct Page {
    frame: Frame,
    shared: Shared,
    /// The number of open differences with the vendors, and their oldest day.
    untied: Option<(String, String)>,
    /// If some records cannot be read, and so are missing from the figures: the payments among them.
    unread: Option<Vec<String>>,
    parts: Vec<Part>,
    failures: Chart,
    failure_rows: Vec<FailureRow>,
    medians: Chart,
    median_rows: Vec<MedianRow>,
}

impl Page {
    fn cash(&self, sum: &Sum) -> Summed {
        Cash(*sum)
    }

    fn counted(&self, number: &i64, one: &str, more: &str) -> String {
        format!("{} {}", count(*number), if *number == 1 { one } else { more })
    }
}

async fn show(State(app): State<App>, visit: Visit, Query(ask): Query<Ask>) -> Result<Response, Fault> {
    let mut db = app.store.read().await?;
    let now = app.clock.now();
    let narrowed = ask.narrow(&mut db, Tab::Summary, now).await?;
    let summary = match narrowed.problems.is_empty() {
        true => dashboard::summary(&mut db, &narrowed.scope, narrowed.range, now).await?,
        false => Summary::default(),
    };
    let untied = match reconciliation::tasks(&mut db).await? {
        (tasks, Some(day)) => {
            Some((how_many(usize::try_from(tasks).unwrap_or(0), "difference", "differences"), day))
        }
        (_, None) => None,
    };
    let failure_rows: Vec<FailureRow> =
        summary.failures.iter().map(|failure| failure_row(&ask, failure)).collect();
    let page = Page {
        frame: visit.frame("Payout Dashboard", Place::Dashboard),
        untied,
        unread: summary.unread.clone(),
        parts: parts(&ask, &summary),
        failures: failures_chart(&summary.failures),
        failure_rows,
        medians: medians_chart(&summary),
        median_rows: summary.medians.iter().map(median_row).collect(),
        shared: Shared::of(Tab::Summary, ask, narrowed),
    };
    visit.show(&page)
}

fn parts(ask: &Ask, summary: &Summary) -> Vec<Part> {
    let mut months: BTreeMap<Currency, Vec<&Month>> = BTreeMap::new();
    for month in &summary.months {
        months.entry(month.paid.currency).or_default().push(month);
    }
    let part = |card: &Card| {
        let currency = card.currency();
        let moved = months.get(&currency).map_or(&[][..], Vec::as_slice);
        let filled = filled(moved);
        let shown = &filled[filled.len().saturating_sub(MOST_MONTHS)..];
        let tops: Vec<(&str, String, Sum)> = summary
            .top
            .iter()
            .filter(|one| one.net.currency == currency)
            .map(|one| {
                let name = summary.names.get(&one.payee).map_or("", |named| named.name.as_str());
                (name, payee_address(one.payee), one.net)
            })
            .collect();
        Part {
            code: currency.code(),
            card: *card,
            lists: (
                ask.address(Tab::Transactions, &[("under_way", "true")]),
                ask.address(Tab::Transactions, &[("needs_attention", "true")]),
            ),
            months: months_chart(currency, shown),
            month_rows: shown.iter().rev().map(month_row).collect(),
            cut: shown.len() < filled.len(),
            outside: card.outside.minor != 0,
            in_balances: shown.iter().any(|month| month.back.in_balances.minor != 0),
            given_up: shown.iter().any(|month| month.back.given_up.minor != 0),
            top: top_chart(currency, &tops),
            top_rows: tops
                .into_iter()
                .map(|(name, address, net)| TopRow { name: name.to_owned(), address, net: Cash(net) })
                .collect(),
        }
    };
    summary.cards.iter().map(part).collect()
}

/// The address of a payee's page.
pub fn payee_address(payee: Payee) -> String {
    match payee {
        Payee::Partner(id) => format!("/partners/{id}"),
        Payee::Account(id) => format!("/accounts/{id}"),
    }
}

/// The months, including those in between without any movement.
fn filled(months: &[&Month]) -> Vec<Month> {
    let mut filled: Vec<Month> = Vec::new();
    for month in months {
        while let Some(last) = filled.last() {
            let next = next_month(&last.month);
            if next >= month.month {
                break;
            }
            filled.push(Month::nothing(&next, month.paid.currency));
        }
        filled.push((*month).clone());
    }
    filled
}

/// The next month, as `YYYY-MM`.
fn next_month(month: &str) -> String {
    let day: Option<jiff::civil::Date> = format!("{month}-01").parse().ok();
    let next = day.and_then(|day| day.last_of_month().tomorrow().ok());
    // An invalid month ends the series.
    next.map_or_else(|| "9999-12".to_owned(), |day| day.strftime("%Y-%m").to_string())
}

fn months_chart(currency: Currency, months: &[Month]) -> Chart {
    let bar = |month: &Month| {
        // Like the table column; amounts paid outside have their own.
        let paid = month.paid.minor;
        let back = month.back.total();
        let told = match back.minor {
            0 => String::new(),
            _ => format!(", {} came back or never arrived", bare(back)),
        };
        Bar {
            label: month.month.clone(),
            value: format!("{}{told}", bare(Sum::new(paid, currency))),
            first: paid,
            second: back.minor,
        }
    };
    Chart {
        id: format!("months-{}", currency.code()),
        title: format!("Paid through the vendors by month, {}", currency.code()),
        told: format!(
            "{} months, the earliest first: a bar for what was paid through the vendors, and a thinner, hatched one for what came back or never reached the payee.",
            months.len()
        ),
        bars: months.iter().map(bar).collect(),
    }
}

fn month_row(month: &Month) -> MonthRow {
    MonthRow {
        month: month.month.clone(),
        paid: Cash(month.paid),
        to_us: Cash(month.back.to_us),
        in_balances: Cash(month.back.in_balances),
        given_up: Cash(month.back.given_up),
        outside: (month.outside.minor != 0).then_some(Cash(month.outside)),
        net: Cash(month.net()),
    }
}

fn top_chart(currency: Currency, tops: &[(&str, String, Sum)]) -> Chart {
    let bar = |(name, _, net): &(&str, String, Sum)| Bar {
        label: (*name).to_owned(),
        value: bare(*net),
        first: net.minor,
        second: 0,
    };
    Chart {
        id: format!("top-{}", currency.code()),
        title: format!("Paid most, {}", currency.code()),
        told: "The payees to whom most was paid through the vendors and stayed with them.".to_owned(),
        bars: tops.iter().map(bar).collect(),
    }
}

const SETTLED: &str = "Two people have settled the money that lay in the payee's Stripe balance.";

fn failure_row(ask: &Ask, failure: &Failure) -> FailureRow {
    let state = Stands::parse(&failure.code);
    let explained = match failure.state {
        Some(state) => explain_at(&failure.code, state),
        None => explain(&failure.code),
    };
    let words = explained.message.map_or_else(
        || match state {
            // Payments settled as paid by other means are in this state as well, and are no longer owed.
            Some(Stands::WrittenOff) => SETTLED.to_owned(),
            Some(state) => meaning(state).to_owned(),
            None => format!("{}.", plain(&failure.code)),
        },
        str::to_owned,
    );
    FailureRow {
        words,
        count: failure.count,
        amount: Cash(failure.amount),
        address: ask.address(Tab::Transactions, &[("reason", &failure.code)]),
        code: failure.code.clone(),
    }
}

/// The number of failures by reason, over all currencies: counts can be added, amounts cannot.
fn failures_chart(failures: &[Failure]) -> Chart {
    let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
    for failure in failures {
        *counts.entry(failure.code.as_str()).or_default() += failure.count;
    }
    let mut counts: Vec<(&str, i64)> = counts.into_iter().collect();
    counts.sort_by_key(|(code, many)| (std::cmp::Reverse(*many), *code));
    counts.truncate(MOST_REASONS);
    let bar = |(code, many): (&str, i64)| Bar {
        label: code.to_owned(),
        value: count(many),
        first: many.into(),
        second: 0,
    };
    Chart {
        id: "failures".to_owned(),
        title: "Failed payments by reason".to_owned(),
        told: "How many payments failed or came back for each reason, the most frequent first.".to_owned(),
        bars: counts.into_iter().map(bar).collect(),
    }
}

fn medians_chart(summary: &Summary) -> Chart {
    let bar = |median: &crate::store::dashboard::Median| Bar {
        label: median.vendor.label().to_owned(),
        value: took(median.took_us),
        first: median.took_us.into(),
        second: 0,
    };
    Chart {
        id: "medians".to_owned(),
        title: "From Pay to Success".to_owned(),
        told: "For each vendor the time in which half of the payments had succeeded.".to_owned(),
        bars: summary.medians.iter().map(bar).collect(),
    }
}

fn median_row(median: &crate::store::dashboard::Median) -> MedianRow {
    MedianRow { vendor: median.vendor.label(), took: took(median.took_us), count: count(median.count) }
}

/// A duration in its two largest units: `2 days 3 h`, `4 min 10 s`.
fn took(us: i64) -> String {
    let seconds = us / 1_000_000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) if seconds == 0 => "under 1 s".to_owned(),
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {minutes} min"),
        (1, _, _) => format!("1 day {hours} h"),
        _ => format!("{days} days {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_without_a_movement_are_months_too() {
        let usd = |month: &str| Month::nothing(month, Currency::USD);
        let (november, february) = (usd("2025-11"), usd("2026-02"));
        let months: Vec<String> =
            filled(&[&november, &february]).into_iter().map(|month| month.month).collect();
        assert_eq!(months, ["2025-11", "2025-12", "2026-01", "2026-02"]);
        assert!(filled(&[]).is_empty());
    }

    #[test]
    fn a_time_is_told_in_its_two_largest_units() {
        let second = 1_000_000;
        for (us, words) in [
            (900_000, "under 1 s"),
            (59 * second, "59 s"),
            (250 * second, "4 min 10 s"),
            (3_600 * second, "1 h 0 min"),
            (86_400 * second, "1 day 0 h"),
            (200_000 * second, "2 days 7 h"),
        ] {
            assert_eq!(took(us), words);
        }
    }
}
