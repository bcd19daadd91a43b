//! `/dashboard`: where the money is, by currency, and what payees earned and were paid in a year. Partners see payments to
//! themselves; an account's administrator, payments to the account and its users.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use payout::access::Permission;
use payout::eligibility::TaxReport;
use payout::money::Vendor;
use payout::reason::{explain, explain_at};

use crate::app::App;
use crate::clock;
use crate::ops::dashboard::{self, Card, EarningsCursor, Line, Sum, YearTotal};
use crate::ops::tax::requested_year;
use crate::store::dashboard::{Failure, Median, Month, Range};
use crate::store::earnings::Way;
use crate::web::kit::form::{ListQuery, Paging, Query, encode_cursor};
use crate::web::kit::json::{MoneyJson, PayeeJson};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, get};
use crate::web::kit::scope::{scope, wrong};
use crate::web::kit::session::CurrentActor;
use crate::web::kit::shapes;

const DAY_US: i64 = 86_400_000_000;

/// The sort orders of earnings.
const BY_NAME: &str = "name";
const BY_NET: &str = "-net";

shapes::shapes! {
    SortName, "By name (the default), or the most first within each currency, and only who was paid anything." => shapes::one_of([BY_NAME, BY_NET]);
}

pub fn routes() -> Vec<Route> {
    let read = Access::MayOrOwn(Permission::Read);
    vec![
        get("/api/v1/dashboard/summary", read, summary)
            .says("What was paid, is in flight, failed and waits, by currency")
            .filters::<ListParams>()
            .filters::<Dates>()
            .answers::<SummaryJson>(200),
        get("/api/v1/dashboard/earnings", read, earnings)
            .says("What payees earned and were paid in a calendar year, a row for each payee and currency")
            .by_pages()
            .filters::<ListParams>()
            .filters::<YearAsked>()
            .answers::<EarningsJson>(200),
    ]
}

/// Whose money to include.
#[derive(IntoParams)]
#[allow(
    dead_code,
    reason = "it is read by the description only; the calls read all their parameters at once"
)]
struct ListParams {
    #[param(value_type = Option<shapes::PaymentType>, inline)]
    payment_type: Option<String>,
    /// An account with its users, by ID or external ID
    account: Option<String>,
    /// Only payments to this partner, by ID or external ID
    partner: Option<String>,
}

#[derive(IntoParams)]
#[allow(
    dead_code,
    reason = "it is read by the description only; the calls read all their parameters at once"
)]
struct Dates {
    /// From this UTC date: when money moved, Pay was pressed or rewards were approved
    #[param(value_type = Option<shapes::Day>, inline)]
    from: Option<String>,
    /// Up to and including this UTC date
    #[param(value_type = Option<shapes::Day>, inline)]
    to: Option<String>,
}

#[derive(IntoParams)]
#[allow(
    dead_code,
    reason = "it is read by the description only; the calls read all their parameters at once"
)]
struct YearAsked {
    /// The calendar year; defaults to the current one
    #[param(value_type = Option<shapes::Year>, inline)]
    year: Option<String>,
    /// `name` (the default), or `-net`: highest first within each currency, only payees who were paid something
    #[param(value_type = Option<SortName>, inline)]
    sort: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct SummaryQuery {
    payment_type: Option<String>,
    account: Option<String>,
    partner: Option<String>,
    from: Option<String>,
    to: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct EarningsQuery {
    payment_type: Option<String>,
    account: Option<String>,
    partner: Option<String>,
    year: Option<String>,
}

/// Where the money is.
#[derive(Serialize, ToSchema)]
#[schema(as = DashboardSummary)]
struct SummaryJson {
    /// By currency; nothing is converted.
    totals: Vec<CardJson>,
    /// By month (UTC) and currency, oldest first.
    months: Vec<MonthJson>,
    /// Payments that failed or came back, by reason and currency.
    failures: Vec<FailureJson>,
    /// Median time from Pay to Success, by vendor.
    medians: Vec<MedianJson>,
    /// The five payees in each currency who were paid the most through the vendors.
    top_payees: Vec<TopJson>,
    /// If some records cannot be read and are missing from these figures: the numbers of the payments among them. Null if
    /// everything can be read.
    unreadable: Option<Vec<String>>,
}

/// Where the money of one currency is.
#[derive(Serialize, ToSchema)]
#[schema(as = DashboardTotals)]
struct CardJson {
    currency: String,
    /// Money that left our balance at the vendors, dated by when it left.
    paid: MoneyJson,
    /// The part of `paid` that did not stay with payees, dated by when it came back: the sum of the next three fields.
    returned: MoneyJson,
    /// The part of `returned` that came back to our balance at the vendor.
    returned_to_us: MoneyJson,
    /// The part of `returned` that is in payees' balances at the vendor: our money, waiting for a decision.
    in_payees_balances: MoneyJson,
    /// The part of `returned` that two people wrote off in payees' balances: lost.
    given_up: MoneyJson,
    /// Payments marked as paid outside, by the date that was entered.
    paid_outside: MoneyJson,
    /// `paid − returned + paid_outside`.
    net: MoneyJson,
    /// Committed to a vendor or about to be sent, and not yet counted as paid.
    in_flight: SumJson,
    /// Left our balance but not yet at the payees' banks; part of `paid`, and dated like it.
    to_bank: SumJson,
    /// Failed or returned, and waiting for a decision.
    failed: SumJson,
    /// Approved rewards in no payment, per payee: what one payee owes us is not deducted from what another is owed.
    waiting: SumJson,
    /// What payees owe us where their clawbacks exceed their waiting rewards.
    owed_to_us: MoneyJson,
    /// Approved rewards that expired before they were in a payout.
    expired: SumJson,
}

/// A count and a total amount.
#[derive(Serialize, ToSchema)]
#[schema(as = CountedSum)]
struct SumJson {
    count: i64,
    amount: MoneyJson,
}

impl From<Sum> for SumJson {
    fn from(sum: Sum) -> Self {
        Self { count: sum.count, amount: sum.amount.into() }
    }
}

impl From<&Card> for CardJson {
    fn from(card: &Card) -> Self {
        Self {
            currency: card.currency().code().to_owned(),
            paid: card.paid.into(),
            returned: card.back.total().into(),
            returned_to_us: card.back.to_us.into(),
            in_payees_balances: card.back.in_balances.into(),
            given_up: card.back.given_up.into(),
            paid_outside: card.outside.into(),
            net: card.net().into(),
            in_flight: card.in_flight.into(),
            to_bank: card.to_bank.into(),
            failed: card.failed.into(),
            waiting: SumJson { count: card.waiting.count, amount: card.waiting.amount.into() },
            owed_to_us: card.waiting.owed_to_us.into(),
            expired: SumJson { count: card.waiting.expired_count, amount: card.waiting.expired.into() },
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = DashboardMonth)]
struct MonthJson {
    /// `YYYY-MM`.
    month: String,
    currency: String,
    paid: MoneyJson,
    returned: MoneyJson,
    /// The part of `returned` that came back to our balance at the vendor.
    returned_to_us: MoneyJson,
    /// The part of `returned` that is in payees' balances at the vendor: our money, waiting for a decision.
    in_payees_balances: MoneyJson,
    /// The part of `returned` that two people wrote off in payees' balances: lost.
    given_up: MoneyJson,
    paid_outside: MoneyJson,
    net: MoneyJson,
}

impl From<&Month> for MonthJson {
    fn from(month: &Month) -> Self {
        Self {
            month: month.month.clone(),
            currency: month.paid.currency.code().to_owned(),
            paid: month.paid.into(),
            returned: month.back.total().into(),
            returned_to_us: month.back.to_us.into(),
            in_payees_balances: month.back.in_balances.into(),
            given_up: month.back.given_up.into(),
            paid_outside: month.outside.into(),
            net: month.net().into(),
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = DashboardFailure)]
struct FailureJson {
    /// The reason's code; the detailed status if the vendor gave none.
    code: String,
    /// Our explanation of the reason, if we have one.
    message: Option<&'static str>,
    currency: String,
    count: i64,
    amount: MoneyJson,
}

impl From<&Failure> for FailureJson {
    fn from(failure: &Failure) -> Self {
        Self {
            code: failure.code.clone(),
            message: match failure.state {
                Some(state) => explain_at(&failure.code, state).message,
                None => explain(&failure.code).message,
            },
            currency: failure.amount.currency.code().to_owned(),
            count: failure.count,
            amount: failure.amount.into(),
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = DashboardMedian)]
struct MedianJson {
    #[schema(value_type = shapes::VendorName)]
    vendor: &'static str,
    /// The median time in whole seconds: half of the payments took no longer.
    seconds: i64,
    /// The number of payments.
    count: i64,
}

impl From<&Median> for MedianJson {
    fn from(median: &Median) -> Self {
        let seconds = median.took_us / 1_000_000;
        Self { vendor: median.vendor.as_str(), seconds, count: median.count }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = DashboardTop)]
struct TopJson {
    currency: String,
    payee: PayeeJson,
    net: MoneyJson,
}

/// A page of a year's earnings.
#[derive(Serialize, ToSchema)]
#[schema(as = Earnings)]
struct EarningsJson {
    /// The calendar year, UTC.
    year: i32,
    /// The year's reporting threshold.
    threshold: MoneyJson,
    /// The totals of all payees in scope, on this page or not, by currency.
    totals: Vec<YearTotalJson>,
    data: Vec<LineJson>,
    has_more: bool,
    /// The `after` parameter of the next page.
    next: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = EarningsTotal)]
struct YearTotalJson {
    currency: String,
    earned: MoneyJson,
    paid: MoneyJson,
    returned: MoneyJson,
    /// The part of `returned` that came back to our balance at the vendor.
    returned_to_us: MoneyJson,
    /// The part of `returned` that is in payees' balances at the vendor: our money, waiting for a decision.
    in_payees_balances: MoneyJson,
    /// The part of `returned` that two people wrote off in payees' balances: lost.
    given_up: MoneyJson,
    paid_outside: MoneyJson,
    net: MoneyJson,
    /// The part of `net` that is not yet at the payees' banks, as of now.
    to_bank: MoneyJson,
}

impl From<YearTotal> for YearTotalJson {
    fn from(total: YearTotal) -> Self {
        Self {
            currency: total.paid.currency.code().to_owned(),
            earned: total.earned.into(),
            paid: total.paid.into(),
            returned: total.back.total().into(),
            returned_to_us: total.back.to_us.into(),
            in_payees_balances: total.back.in_balances.into(),
            given_up: total.back.given_up.into(),
            paid_outside: total.outside.into(),
            net: total.net().into(),
            to_bank: total.to_bank.into(),
        }
    }
}

/// What one payee earned and was paid in one currency.
#[derive(Serialize, ToSchema)]
#[schema(as = Earning)]
struct LineJson {
    payee: PayeeJson,
    currency: String,
    /// Approved rewards, by approval date, less clawbacks.
    earned: MoneyJson,
    /// Everything paid to them in any way, dated by when it left.
    paid: MoneyJson,
    /// The part of `paid` that did not stay with them, dated by when it came back: the sum of the next three fields.
    returned: MoneyJson,
    /// The part of `returned` that came back to our balance at the vendor.
    returned_to_us: MoneyJson,
    /// The part of `returned` that is in payees' balances at the vendor: our money, waiting for a decision.
    in_payees_balances: MoneyJson,
    /// The part of `returned` that two people wrote off in payees' balances: lost.
    given_up: MoneyJson,
    net: MoneyJson,
    /// The part of `net` that is not yet at their bank, as of now.
    to_bank: MoneyJson,
    vendors: Vec<VendorJson>,
    /// The current state of the tax report: `on_file`, `expired`, `missing` or `unfit`.
    tax_report: &'static str,
    /// Whether `net` is at or over the year's threshold; null except in US dollars.
    over_threshold: Option<bool>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = EarningByVendor)]
struct VendorJson {
    /// `stripe`, `paypal` or `outside`.
    vendor: &'static str,
    net: MoneyJson,
}

fn line(line: &Line, now: i64) -> LineJson {
    let earning = &line.earning;
    let by_vendor = earning.totals.iter().map(|total| VendorJson {
        vendor: total.vendor.map_or("outside", Vendor::as_str),
        net: total.net().into(),
    });
    LineJson {
        payee: PayeeJson::of(earning.payee, line.named.as_ref()),
        currency: earning.earned.currency.code().to_owned(),
        earned: earning.earned.into(),
        paid: earning.paid().into(),
        returned: earning.back().total().into(),
        returned_to_us: earning.back().to_us.into(),
        in_payees_balances: earning.back().in_balances.into(),
        given_up: earning.back().given_up.into(),
        net: earning.net().into(),
        to_bank: earning.to_bank().into(),
        vendors: by_vendor.collect(),
        tax_report: match line.tax {
            TaxReport::Missing => "missing",
            TaxReport::Unfit => "unfit",
            TaxReport::Until(Some(end)) if end <= now => "expired",
            TaxReport::Until(_) => "on_file",
        },
        over_threshold: line.over,
    }
}

fn day(name: &str, text: Option<&str>) -> Result<Option<i64>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let read = clock::day(text, "Write the date like 2026-01-31.");
    read.map(Some).map_err(|told| wrong(name, "invalid_date", &told))
}

async fn summary(
    State(app): State<App>,
    CurrentActor(actor): CurrentActor,
    Query(query): Query<SummaryQuery>,
) -> Result<axum::Json<SummaryJson>, Problem> {
    let mut db = app.store.read().await?;
    let (payment_type, account) = (query.payment_type.as_deref(), query.account.as_deref());
    let scope = scope(&mut db, &actor, payment_type, account, query.partner.as_deref()).await?;
    let to = day("to", query.to.as_deref())?.map(|start| start + DAY_US);
    let range = Range { from: day("from", query.from.as_deref())?, to };
    if range.from.zip(range.to).is_some_and(|(from, to)| from >= to) {
        return Err(wrong("to", "invalid_date", "This date is before `from`."));
    }
    let found = dashboard::summary(&mut db, &scope, range, app.clock.now()).await?;
    let top = |one: &crate::store::dashboard::TopPayee| TopJson {
        currency: one.net.currency.code().to_owned(),
        payee: PayeeJson::of(one.payee, found.names.get(&one.payee)),
        net: one.net.into(),
    };
    Ok(axum::Json(SummaryJson {
        totals: found.cards.iter().map(CardJson::from).collect(),
        months: found.months.iter().map(MonthJson::from).collect(),
        failures: found.failures.iter().map(FailureJson::from).collect(),
        medians: found.medians.iter().map(MedianJson::from).collect(),
        top_payees: found.top.iter().map(top).collect(),
        unreadable: found.unread,
    }))
}

async fn earnings(
    State(app): State<App>,
    CurrentActor(actor): CurrentActor,
    ListQuery(query, paging): ListQuery<EarningsQuery>,
) -> Result<axum::Json<EarningsJson>, Problem> {
    let mut db = app.store.read().await?;
    let now = app.clock.now();
    let (payment_type, account) = (query.payment_type.as_deref(), query.account.as_deref());
    let scope = scope(&mut db, &actor, payment_type, account, query.partner.as_deref()).await?;
    let year = requested_year(query.year.as_deref(), now).map_err(crate::ops::OpsError::from)?;
    let found = dashboard::earnings(&mut db, &scope, year, &place(&paging)?, paging.limit).await?;
    let totals = dashboard::year_totals(&mut db, &scope, year).await?;
    Ok(axum::Json(EarningsJson {
        year,
        threshold: found.line.into(),
        totals: totals.into_iter().map(YearTotalJson::from).collect(),
        data: found.lines.iter().map(|one| line(one, now)).collect(),
        has_more: found.next.is_some(),
        next: found.next.as_ref().map(sealed_place),
    }))
}

/// The position at which the requested page of earnings begins.
///
/// # Errors
/// An unknown sort order, or an `after` from another sort order.
pub fn place(paging: &Paging) -> Result<EarningsCursor, Problem> {
    match paging.sort.as_deref() {
        None | Some(BY_NAME) => by_name(paging, Way::Usual),
        Some(BY_NET) => by_net(paging, Way::Usual),
        Some(_) => Err(wrong("sort", "unknown_value", "This is not one of: name, -net.")),
    }
}

/// The position of a page by name.
///
/// # Errors
/// An `after` from another sort order.
pub fn by_name(paging: &Paging, way: Way) -> Result<EarningsCursor, Problem> {
    let after = paging.after_parts::<2>()?;
    Ok(EarningsCursor::Name(way, after.map(|[name, id]| (name, id))))
}

/// The position of a page by net.
///
/// # Errors
/// An `after` from another sort order.
pub fn by_net(paging: &Paging, way: Way) -> Result<EarningsCursor, Problem> {
    let Some([code, net, id]) = paging.after_parts::<3>()? else {
        return Ok(EarningsCursor::Net(way, None));
    };
    let stale = |_| wrong("after", "invalid", "This page belongs to another sort; begin without `after`.");
    Ok(EarningsCursor::Net(way, Some((code, net.parse().map_err(stale)?, id))))
}

/// The position encoded for `after`.
pub fn sealed_place(place: &EarningsCursor) -> String {
    match place {
        EarningsCursor::Name(_, Some((name, id))) => encode_cursor(&[name, id]),
        EarningsCursor::Net(_, Some((code, net, id))) => encode_cursor(&[code, &net.to_string(), id]),
        EarningsCursor::Name(_, None) | EarningsCursor::Net(_, None) => String::new(),
    }
}
