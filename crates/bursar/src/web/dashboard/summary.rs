//! The Summary tab: where the money of one currency is, compared with the previous period; what was paid in each of twelve
//! months; why payments failed; how long they took; who was paid the most. Other currencies are one link away.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use payout::access::Permission;
use payout::ledger::Payee;
use payout::money::{Currency, Sum};
use payout::reason::{explain, explain_at};
use payout::transaction::State as Stands;

use super::Shared;
use super::filter::{FilterParams, ResolvedFilter, Tab};
use super::period;
use crate::app::App;
use crate::clock::date;
use crate::ops::company;
use crate::ops::dashboard::{self, Card, Summary};
use crate::store::Db;
use crate::store::dashboard::{Failure, Month, Range};
use crate::store::{reconciliation, transactions};
use crate::web::kit::chart::{Column, Columns};
use crate::web::kit::form::Query;
use crate::web::kit::format::{Cash, Summed, bare, count, how_many, meaning, plain};
use crate::web::kit::layout::{Frame, MenuItem, PageContext};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, get};

/// The number of months in the chart; narrow the dates to see earlier ones.
const MONTHS: i32 = 12;
const DAY_US: i64 = 86_400_000_000;

pub fn routes() -> Vec<Route> {
    vec![
        get("/dashboard", Access::May(Permission::Read), async || {
            axum::response::Redirect::to(Tab::Summary.path())
        }),
        get(Tab::Summary.path(), Access::May(Permission::Read), show),
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

/// The net of the previous period. Amounts in flight, failed or waiting are known only as of now.
struct Before {
    days: String,
    /// Whether it is cut to the same days, because the current period is not over.
    begun: bool,
    net: Summed,
}

/// A currency offered to choose from.
struct Choice {
    code: &'static str,
    address: String,
    here: bool,
    /// How many of its payments are waiting for someone.
    attention: i64,
}

struct Part {
    code: &'static str,
    card: Card,
    before: Option<Before>,
    /// If no dates are requested: the amounts paid this month and last month.
    lately: Option<(Summed, Summed)>,
    /// The addresses of the lists of payments in flight and failed.
    lists: (String, String),
    /// Whether there is more than one currency: the lists cannot be filtered by currency.
    several: bool,
    /// The months in the chart, in words.
    span: String,
    columns: Columns,
    month_rows: Vec<MonthRow>,
    /// Whether earlier months are omitted.
    cut: bool,
    /// Whether anything was paid outside within the requested dates.
    outside: bool,
    /// Whether to show the columns for amounts paid outside, in payees' balances, and written off.
    outside_column: bool,
    in_balances: bool,
    given_up: bool,
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
    currencies: Vec<Choice>,
    part: Option<Part>,
    failure_rows: Vec<FailureRow>,
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

async fn show(
    State(app): State<App>,
    context: PageContext,
    Query(params): Query<FilterParams>,
) -> Result<Response, Problem> {
    let mut db = app.store.read().await?;
    let now = app.clock.now();
    let narrowed = params.resolve(&mut db, Tab::Summary, now).await?;
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
    let mostly = company::read(&mut db).await?.currency;
    let shown = shown(&summary, narrowed.currency, &mostly);
    let mut lacks = summary.unread.is_some();
    let part = match shown {
        Some(currency) => {
            let before = before(&mut db, &narrowed, currency, now, &mut lacks).await?;
            let months = chart_months(&mut db, &narrowed, &summary, currency, now, &mut lacks).await?;
            Some(part(&params, &summary, currency, before, months, span(&narrowed, now)))
        }
        None => None,
    };
    let unread = match (&summary.unread, lacks) {
        (None, true) => Some(transactions::unreadable_anywhere(&mut db, dashboard::MOST_UNREAD).await?),
        (messages, _) => messages.clone(),
    };
    let of_shown = |failure: &&Failure| Some(failure.amount.currency) == shown;
    let page = Page {
        frame: context.frame("Payout Dashboard", MenuItem::Dashboard),
        untied,
        unread,
        currencies: currencies(&params, &summary, shown),
        part,
        failure_rows: summary
            .failures
            .iter()
            .filter(of_shown)
            .map(|failure| failure_row(&params, failure))
            .collect(),
        median_rows: summary.medians.iter().map(median_row).collect(),
        shared: Shared::of(Tab::Summary, params, narrowed),
    };
    context.show(&page)
}

/// The currency to show: the requested one, else the company's if it has any figures, else the one with the most activity.
fn shown(summary: &Summary, asked: Option<Currency>, mostly: &str) -> Option<Currency> {
    let used = |card: &&Card| {
        let currency = card.currency();
        let months = summary.months.iter().filter(|month| month.paid.currency == currency).count();
        let stands = card.in_flight.count + card.failed.count + card.waiting.count;
        (stands.saturating_add(i64::try_from(months).unwrap_or(i64::MAX)), std::cmp::Reverse(currency))
    };
    let companys = || summary.cards.iter().map(Card::currency).find(|currency| currency.code() == mostly);
    asked.or_else(companys).or_else(|| summary.cards.iter().max_by_key(used).map(Card::currency))
}

fn currencies(params: &FilterParams, summary: &Summary, shown: Option<Currency>) -> Vec<Choice> {
    let choice = |card: &Card| Choice {
        code: card.currency().code(),
        address: params.address(Tab::Summary, &[("currency", card.currency().code())]),
        here: Some(card.currency()) == shown,
        attention: card.failed.count + card.need_person,
    };
    let mut all: Vec<Choice> = summary.cards.iter().map(choice).collect();
    // Offer the current currency even if it has no figures in these dates.
    if let Some(currency) = shown.filter(|_| !all.iter().any(|one| one.here)) {
        all.insert(0, choice(&Card::empty(currency)));
    }
    all
}

/// The net of the previous period, if the requested dates have both ends. Sets `unread` if some of its records cannot be
/// read.
async fn before(
    db: &mut Db,
    narrowed: &ResolvedFilter,
    currency: Currency,
    now: i64,
    unread: &mut bool,
) -> Result<Option<Before>, Problem> {
    let Range { from: Some(from), to: Some(to) } = narrowed.range else { return Ok(None) };
    let found = period::before(&date(from), &date(to - DAY_US), &date(now));
    let Some((first, last, begun)) = found else { return Ok(None) };
    let Some((from, end)) = start_of(&first).zip(start_of(&last)) else { return Ok(None) };
    let range = Range { from: Some(from), to: Some(end + DAY_US) };
    let mut net = Sum::nothing(currency);
    for month in crate::store::dashboard::months(db, &narrowed.scope, range, unread).await? {
        if month.paid.currency == currency {
            net.minor += month.net().minor;
        }
    }
    Ok(Some(Before { days: format!("{first} to {last}"), begun, net: Cash(net) }))
}

fn start_of(day: &str) -> Option<i64> {
    crate::clock::day(day, "").ok()
}

/// The end of the chart: the end of the requested dates, but not later than now.
fn end(narrowed: &ResolvedFilter, now: i64) -> i64 {
    narrowed.range.to.map_or(now, |to| now.min(to - 1))
}

/// The twelve months up to the end of the requested dates, but not past the current month.
async fn chart_months(
    db: &mut Db,
    narrowed: &ResolvedFilter,
    summary: &Summary,
    currency: Currency,
    now: i64,
    unread: &mut bool,
) -> Result<Vec<Month>, Problem> {
    let first = period::months_before(&date(end(narrowed, now)), MONTHS - 1);
    let months = match narrowed.range.from {
        None => summary.months.clone(),
        Some(_) => {
            let from = first.first().and_then(|month| start_of(&format!("{month}-01")));
            let range = Range { from, to: narrowed.range.to };
            crate::store::dashboard::months(db, &narrowed.scope, range, unread).await?
        }
    };
    let of = |month: String| {
        let found = months.iter().find(|one| one.paid.currency == currency && one.month == month);
        found.cloned().unwrap_or_else(|| Month::nothing(&month, currency))
    };
    Ok(first.into_iter().map(of).collect())
}

/// Describes the chart's months, whether they go beyond the requested dates, and whether the last is complete.
fn span(narrowed: &ResolvedFilter, now: i64) -> String {
    let last_day = date(end(narrowed, now));
    let months = period::months_before(&last_day, MONTHS - 1);
    let [first, .., last] = months.as_slice() else { return String::new() };
    let starts = start_of(&format!("{first}-01"));
    let beyond = match narrowed.range.from.zip(starts).is_some_and(|(from, starts)| starts < from) {
        true => ", also before the days that are chosen",
        false => "",
    };
    let open = if narrowed.range.to.is_some_and(|to| to <= now) {
        let cut = format!("; {} only to {last_day}", period::name_of(last));
        if period::ends_a_month(&last_day) { String::new() } else { cut }
    } else {
        format!("; {} is not over", period::name_of(last))
    };
    format!("{} to {}{beyond}{open}", period::name_in_full(first), period::name_in_full(last))
}

fn part(
    params: &FilterParams,
    summary: &Summary,
    currency: Currency,
    before: Option<Before>,
    months: Vec<Month>,
    span: String,
) -> Part {
    let card = summary.cards.iter().find(|card| card.currency() == currency);
    let card = card.copied().unwrap_or_else(|| Card::empty(currency));
    let top = summary.top.iter().filter(|one| one.net.currency == currency);
    let top_rows = top.map(|one| TopRow {
        name: summary.names.get(&one.payee).map_or_else(String::new, |named| named.name.clone()),
        address: payee_address(one.payee),
        net: Cash(one.net),
    });
    let moved = |month: &Month| *month != Month::nothing(&month.month, currency);
    let earliest = months.first().map_or("", |month| month.month.as_str());
    let rows: Vec<&Month> = months.iter().skip_while(|month| !moved(month)).collect();
    let dated = params.range.is_some() || params.from.is_some() || params.to.is_some();
    let lately = match months.as_slice() {
        [.., last, this] if !dated => Some((Cash(this.net()), Cash(last.net()))),
        _ => None,
    };
    let other = |one: Currency| one != currency;
    Part {
        code: currency.code(),
        card,
        before,
        lately,
        lists: (
            params.address(Tab::Transactions, &[("under_way", "true")]),
            params.address(Tab::Transactions, &[("needs_attention", "true")]),
        ),
        several: summary.cards.iter().any(|card| other(card.currency()))
            || summary.failures.iter().any(|failure| other(failure.amount.currency)),
        span,
        columns: columns(currency, &months),
        month_rows: rows
            .iter()
            .rev()
            .skip_while(|month| !moved(month))
            .map(|month| month_row(month))
            .collect(),
        cut: summary.months.iter().any(|one| one.paid.currency == currency && one.month.as_str() < earliest),
        outside: card.outside.minor != 0,
        outside_column: months.iter().any(|month| month.outside.minor != 0),
        in_balances: months.iter().any(|month| month.back.in_balances.minor != 0),
        given_up: months.iter().any(|month| month.back.given_up.minor != 0),
        top_rows: top_rows.collect(),
    }
}

/// The address of a payee's page.
pub fn payee_address(payee: Payee) -> String {
    match payee {
        Payee::Partner(id) => format!("/partners/{id}"),
        Payee::Account(id) => format!("/accounts/{id}"),
    }
}

fn columns(currency: Currency, months: &[Month]) -> Columns {
    let column = |(place, month): (usize, &Month)| {
        // As in the net column: amounts paid outside have their own.
        let (paid, back) = (month.paid.minor, month.back.total());
        // Negative if money in payees' balances was paid in another way: then nothing came back.
        let suffix = match back.minor > 0 {
            true => format!(", {} came back or never arrived", bare(back)),
            false => String::new(),
        };
        let (year, name) = month.month.split_once('-').unwrap_or_default();
        // Show the year only once, and where a new one begins.
        let year = if place == 0 || name == "01" { year } else { "" };
        Column {
            label: (period::name_of(&month.month), year.to_owned()),
            told: format!("{}: {} paid{suffix}", month.month, bare(Sum::new(paid, currency))),
            // Money that came back may belong to earlier months and exceed what was paid in this one.
            kept: (paid - back.minor.max(0)).max(0),
            back: back.minor.max(0),
        }
    };
    let ends = |month: Option<&Month>| month.map_or("", |month| month.month.as_str()).to_owned();
    let empty = months.iter().all(|month| *month == Month::nothing(&month.month, currency));
    Columns {
        id: "months".to_owned(),
        title: format!("Paid through the vendors by month, {}", currency.code()),
        told: format!(
            "A column for each month from {} to {}: what was paid through the vendors and stayed, and hatched \
             above it what came back or never reached the payee in that month, also of payments of earlier months.{}",
            ends(months.first()),
            ends(months.last()),
            if empty { "" } else { " The table below has the figures." },
        ),
        currency,
        columns: months.iter().enumerate().map(column).collect(),
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

const SETTLED: &str = "Two people have settled the money that lay in the payee's Stripe balance.";

fn failure_row(params: &FilterParams, failure: &Failure) -> FailureRow {
    let state = Stands::parse(&failure.code);
    let explained = match failure.state {
        Some(state) => explain_at(&failure.code, state),
        None => explain(&failure.code),
    };
    let words = explained.message.map_or_else(
        || match state {
            // Payments settled by other means are in this state too, and are no longer owed.
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
        address: params.address(Tab::Transactions, &[("reason", &failure.code)]),
        code: failure.code.clone(),
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
    fn a_column_is_what_stayed_and_what_came_back_in_its_month() {
        for (paid, to_us, in_balances, kept, back, message) in [
            (3000, 2000, 0, 1000, 2000, "2026-03: 30.00 paid, 20.00 came back or never arrived"),
            // Money paid in an earlier month came back.
            (1000, 2500, 0, 0, 2500, "2026-03: 10.00 paid, 25.00 came back or never arrived"),
            // Money held in a payee's balance since an earlier month was paid in another way.
            (1000, 0, -500, 1000, 0, "2026-03: 10.00 paid"),
        ] {
            let mut month = Month::nothing("2026-03", Currency::USD);
            (month.paid.minor, month.back.to_us.minor) = (paid, to_us);
            month.back.in_balances.minor = in_balances;
            let drawn = columns(Currency::USD, &[month]);
            assert!(drawn.told.ends_with("The table below has the figures."));
            let column = &drawn.columns[0];
            assert_eq!((column.kept, column.back, column.told.as_str()), (kept, back, message));
        }
        let drawn = columns(Currency::USD, &[Month::nothing("2026-03", Currency::USD)]);
        assert!(!drawn.told.contains("table"), "there is none");
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
