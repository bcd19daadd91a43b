//! The Earnings tab: what each payee earned and was paid in a calendar year, the state of their tax report, and whether the
//! year is reportable. One payee's year is on their own page.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use payout::access::Permission;
use payout::eligibility::TaxReport;
use payout::money::Vendor;

use super::api::{by_name, by_net, place, sealed_place};
use super::filter::{FilterParams, Tab};
use super::summary::payee_address;
use super::{Choice, Shared, choices};
use crate::app::App;
use crate::ops::dashboard::{self, Earnings, EarningsCursor as Begins, Line, YearTotal};
use crate::ops::tax::year_of;
use crate::store::earnings::{self, Way};
use crate::web::kit::form::{ListQuery, Pager, Paging};
use crate::web::kit::format::{Cash, Chip, ReturnedTotals, Summed};
use crate::web::kit::layout::{Frame, MenuItem, PageContext};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, get};
use crate::web::kit::sort::{First, Head};

pub fn routes() -> Vec<Route> {
    vec![get(Tab::Earnings.path(), Access::May(Permission::Read), show)]
}

/// What a payee earned and was paid in one currency, as a row.
struct Row {
    name: String,
    external_id: String,
    address: String,
    earned: Summed,
    paid: Summed,
    back: ReturnedTotals,
    net: Summed,
    /// The part of the net that is not yet at their bank.
    to_bank: Option<Summed>,
    /// The amounts by vendor or as paid outside.
    ways: Vec<(&'static str, Summed)>,
    tax: Chip,
    /// Whether the year is reportable; `None` except in US dollars.
    reported: Option<Chip>,
}

/// A year's totals in one currency.
struct Total {
    code: &'static str,
    earned: Summed,
    paid: Summed,
    back: ReturnedTotals,
    outside: Option<Summed>,
    net: Summed,
    /// The part of the net that is not yet at the payees' banks.
    to_bank: Option<Summed>,
}

#[derive(Template)]
#[template(path = "dashboard/earnings.html")]
struct Page {
    frame: Frame,
    shared: Shared,
    years: Vec<Choice>,
    year: i32,
    line: Option<Cash>,
    totals: Vec<Total>,
    rows: Vec<Row>,
    heads: Vec<Head>,
    /// Whether it is sorted by net.
    by_net: bool,
    turn: Pager,
}

async fn show(
    State(app): State<App>,
    context: PageContext,
    ListQuery(mut params, paging): ListQuery<FilterParams>,
) -> Result<Response, Problem> {
    params.sort.clone_from(&paging.sort);
    let mut db = app.store.read().await?;
    let now = app.clock.now();
    let narrowed = params.resolve(&mut db, Tab::Earnings, now).await?;
    let begins = begins(&paging)?;
    let (by_net, year) = (matches!(begins, Begins::Net(..)), narrowed.year);
    let (found, totals) = match narrowed.problems.is_empty() {
        true => (
            Some(dashboard::earnings(&mut db, &narrowed.scope, year, &begins, paging.limit).await?),
            dashboard::year_totals(&mut db, &narrowed.scope, year).await?,
        ),
        false => (None, Vec::new()),
    };
    let next = found.as_ref().and_then(|found| found.next.as_ref()).map(sealed_place);
    let lines = found.as_ref().map_or(&[][..], |found: &Earnings| found.lines.as_slice());
    let earliest = earnings::first_payment(&mut db).await?.map_or(year_of(now), year_of);
    let page = Page {
        frame: context.frame("Earnings", MenuItem::Dashboard),
        years: years(earliest, year_of(now), year),
        year,
        line: found.as_ref().map(|found| Cash(found.line)),
        totals: totals.iter().map(total).collect(),
        rows: lines.iter().map(|line| row(line, year, now)).collect(),
        heads: heads(&params),
        by_net,
        turn: paging.turn(lines.len(), next.as_deref(), None),
        shared: Shared::of(Tab::Earnings, params, narrowed),
    };
    context.show(&page)
}

/// Where the page begins. Pages are also sorted the other way around.
fn begins(paging: &Paging) -> Result<Begins, Problem> {
    match paging.sort.as_deref() {
        Some("-name") => by_name(paging, Way::Turned),
        Some("net") => by_net(paging, Way::Turned),
        Some(_) | None => place(paging),
    }
}

/// The heads of the list by payee. A year's payments are added up for the order by net; no other sum has an order.
fn heads(params: &FilterParams) -> Vec<Head> {
    let order = params.sort.as_deref().unwrap_or("name");
    let to = |order: &str| params.address(Tab::Earnings, &[("sort", order)]);
    vec![
        Head::sorting("Payee", "name", First::Rising, order, to),
        Head::plain("Earned").right(),
        Head::plain("Paid").right(),
        Head::plain("Came back").right(),
        Head::sorting("Net", "net", First::Falling, order, to).right(),
        Head::plain("Paid by"),
        Head::plain("Tax report"),
        Head::plain("Threshold"),
    ]
}

/// The years from the current one back to the first payment's, plus the requested one.
fn years(earliest: i32, this: i32, asked: i32) -> Vec<Choice> {
    let mut years: Vec<i32> = (earliest..=this).collect();
    years.push(asked);
    years.sort_unstable();
    years.dedup();
    let words: Vec<String> = years.iter().rev().map(ToString::to_string).collect();
    let pairs = words.iter().map(|year| (year.as_str(), year.as_str()));
    choices(pairs, Some(&asked.to_string()))
}

fn total(total: &YearTotal) -> Total {
    Total {
        code: total.paid.currency.code(),
        earned: Cash(total.earned),
        paid: Cash(total.paid),
        back: ReturnedTotals::of(total.back),
        outside: (total.outside.minor != 0).then_some(Cash(total.outside)),
        net: Cash(total.net()),
        to_bank: (total.to_bank.minor != 0).then_some(Cash(total.to_bank)),
    }
}

fn row(line: &Line, year: i32, now: i64) -> Row {
    let earning = &line.earning;
    let way =
        |total: &crate::store::tax::Total| (total.vendor.map_or("Outside", Vendor::label), Cash(total.net()));
    Row {
        name: line.named.as_ref().map(|named| named.name.clone()).unwrap_or_default(),
        external_id: line.named.as_ref().map(|named| named.external_id.clone()).unwrap_or_default(),
        address: format!("{}?year={year}", payee_address(earning.payee)),
        earned: Cash(earning.earned),
        paid: Cash(earning.paid()),
        back: ReturnedTotals::of(earning.back()),
        net: Cash(earning.net()),
        to_bank: Some(earning.to_bank()).filter(|sum| sum.minor != 0).map(Cash),
        ways: earning.totals.iter().map(way).collect(),
        tax: match line.tax {
            TaxReport::Missing => Chip { tone: "", words: "None" },
            TaxReport::Unfit => Chip { tone: "bad", words: "Wrong form" },
            TaxReport::Until(Some(end)) if end <= now => Chip { tone: "warn", words: "Out of date" },
            TaxReport::Until(_) => Chip { tone: "fine", words: "On file" },
        },
        reported: line.over.map(|over| match over {
            true => Chip { tone: "warn", words: "Over" },
            false => Chip { tone: "", words: "Under" },
        }),
    }
}
