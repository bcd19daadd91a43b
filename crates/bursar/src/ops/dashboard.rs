//! The data of the dashboard, for pages, API and files alike: the summary by currency, and what payees earned and were
//! paid in a year. Not here: the queries (`store::dashboard`, `store::earnings`), and the reporting threshold of a year
//! (`payout::tax`).

use std::collections::{BTreeMap, HashMap};

use payout::eligibility::TaxReport;
use payout::ledger::Payee;
use payout::money::{self, Currency, Money};
use payout::tax as rules;
use payout::transaction::{Detail, Status};

use super::tax::year;
use super::{OpsError, Result, settings};
use crate::store::dashboard::{
    self as store, Failure, Median, Month, Range, StateTotal, TopPayee, WaitingTotal,
};
use crate::store::earnings::{self, Earning, NetPlace, Way};
use crate::store::moved::Back;
use crate::store::payees::{self, PayeeIdentity};
use crate::store::scope::Scope;
use crate::store::{Db, tax::Span, transactions};

/// A count and a total amount.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sum {
    pub count: i64,
    pub amount: money::Sum,
}

impl Sum {
    fn add(&mut self, one: &StateTotal) {
        self.count += one.count;
        self.amount.minor += one.amount.minor;
    }
}

/// Where the money of one currency is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Card {
    /// What left our balance at the vendors.
    pub paid: money::Sum,
    /// The part of it that did not stay with payees.
    pub back: Back,
    /// What was marked as paid outside.
    pub outside: money::Sum,
    /// Committed to a vendor or about to be sent, and not yet counted as paid.
    pub in_flight: Sum,
    /// How many payments in flight need a person.
    pub need_person: i64,
    /// Left our balance but not yet at the payees' banks; counts as paid.
    pub to_bank: Sum,
    /// Failed or returned, and waiting for a decision.
    pub failed: Sum,
    /// Approved and in no payment.
    pub waiting: WaitingTotal,
}

impl Card {
    pub fn empty(currency: Currency) -> Self {
        let zero = money::Sum::nothing(currency);
        let none = Sum { count: 0, amount: zero };
        let waiting =
            WaitingTotal { count: 0, amount: zero, owed_to_us: zero, expired_count: 0, expired: zero };
        Self {
            paid: zero,
            back: Back::nothing(currency),
            outside: zero,
            in_flight: none,
            need_person: 0,
            to_bank: none,
            failed: none,
            waiting,
        }
    }

    pub fn currency(&self) -> Currency {
        self.paid.currency
    }

    pub fn net(&self) -> money::Sum {
        money::Sum::new(self.paid.minor - self.back.total().minor + self.outside.minor, self.currency())
    }
}

/// At most this many unreadable payments are named.
pub const MOST_UNREAD: i64 = 10;

#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Where the money is, by currency.
    pub cards: Vec<Card>,
    /// Amounts paid and returned, by month and currency, oldest first.
    pub months: Vec<Month>,
    /// Failed payments, grouped by reason code.
    pub failures: Vec<Failure>,
    /// Median time from Pay to Success, by vendor.
    pub medians: Vec<Median>,
    /// The payees who were paid most, by currency.
    pub top: Vec<TopPayee>,
    pub names: HashMap<Payee, PayeeIdentity>,
    /// If some records cannot be read, and so are missing from these figures: the numbers of the payments among them.
    pub unread: Option<Vec<String>>,
}

/// The summary for `scope`. The range applies to the day on which money moved, Pay was pressed or a reward was approved,
/// depending on the figure.
pub async fn summary(db: &mut Db, scope: &Scope, range: Range, now: i64) -> Result<Summary> {
    let unread = &mut false;
    let (months, cards) = cards(db, scope, range, now, unread).await?;
    let top = store::top(db, scope, range, unread).await?;
    let of: Vec<Payee> = top.iter().map(|one| one.payee).collect();
    Ok(Summary {
        cards,
        months,
        failures: store::failures(db, scope, range, unread).await?,
        medians: store::medians(db, scope, range, unread).await?,
        names: payees::names(db, &of).await?,
        top,
        unread: match *unread {
            true => Some(transactions::unreadable_anywhere(db, MOST_UNREAD).await?),
            false => None,
        },
    })
}

/// Where the money is, by currency, and by month what was paid and came back. `unread` is set where something of it cannot
/// be read.
async fn cards(
    db: &mut Db,
    scope: &Scope,
    range: Range,
    now: i64,
    unread: &mut bool,
) -> Result<(Vec<Month>, Vec<Card>)> {
    let months = store::months(db, scope, range, unread).await?;
    let mut cards: BTreeMap<Currency, Card> = BTreeMap::new();
    let mut card = |currency: Currency, change: &dyn Fn(&mut Card)| {
        change(cards.entry(currency).or_insert_with(|| Card::empty(currency)));
    };
    for month in &months {
        card(month.paid.currency, &|card| {
            card.paid.minor += month.paid.minor;
            card.back.add(&month.back);
            card.outside.minor += month.outside.minor;
        });
    }
    for one in store::standing(db, scope, range, unread).await? {
        card(one.amount.currency, &|card| match one.state.status() {
            Status::Failed | Status::PayoutFailed => card.failed.add(&one),
            Status::Pending | Status::PendingProcessing | Status::PayoutReady | Status::Success => {
                if one.state.detail() == Some(Detail::NeedsReview) {
                    card.need_person += one.count;
                }
                // Money that has left us counts on the day it left.
                if one.state.in_flight() {
                    card.in_flight.add(&one);
                }
            }
        });
    }
    for (count, amount) in store::to_bank(db, scope, range, unread).await? {
        card(amount.currency, &|card| card.to_bank = Sum { count, amount });
    }
    for waiting in store::waiting(db, scope, range, now, unread).await? {
        card(waiting.amount.currency, &|card| card.waiting = waiting);
    }
    Ok((months, cards.into_values().collect()))
}

/// Where a page of earnings begins: after this position in its sort order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EarningsCursor {
    /// By name: the name and id of the last payee.
    Name(Way, Option<(String, String)>),
    /// By net, highest first within each currency: the position of the last row.
    Net(Way, Option<NetPlace>),
}

/// What one payee earned and was paid in a year, in one currency.
#[derive(Clone, Debug)]
pub struct Line {
    pub named: Option<PayeeIdentity>,
    pub earning: Earning,
    /// The current state of their tax report.
    pub tax: TaxReport,
    /// Whether the year's amount is reportable; `None` except in US dollars, because nothing is converted.
    pub over: Option<bool>,
}

/// What everybody in scope earned and was paid in a year, in one currency.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct YearTotal {
    pub earned: money::Sum,
    pub paid: money::Sum,
    /// The part of it that did not stay with payees.
    pub back: Back,
    /// Marked as paid outside.
    pub outside: money::Sum,
    /// The part of `paid` that is not yet at the payees' banks.
    pub to_bank: money::Sum,
}

impl YearTotal {
    pub fn net(&self) -> money::Sum {
        money::Sum::new(self.paid.minor - self.back.total().minor + self.outside.minor, self.paid.currency)
    }
}

/// A page of a year's earnings.
#[derive(Clone, Debug)]
pub struct Earnings {
    /// The tax reporting threshold of the year.
    pub line: Money,
    /// One line per payee and currency.
    pub lines: Vec<Line>,
    /// Where the next page begins, if there is one.
    pub next: Option<EarningsCursor>,
}

/// A page of what payees earned and were paid in a calendar year: at most `limit` payees if sorted by name, or `limit`
/// lines if sorted by net. Sorted by net, only payees who were paid something are listed.
///
/// # Errors
/// [`OpsError::Missing`] for a year outside the calendar; otherwise database errors.
pub async fn earnings(
    db: &mut Db,
    scope: &Scope,
    of: i32,
    from: &EarningsCursor,
    limit: i64,
) -> Result<Earnings> {
    let span = year(of).ok_or(OpsError::Missing)?;
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let (earnings, next) = match from {
        EarningsCursor::Name(way, after) => {
            let mut named = earnings::by_name(db, scope, &span, *way, after.as_ref(), limit + 1).await?;
            let more = named.len() > most;
            named.truncate(most);
            let last = named.last().filter(|_| more);
            let next =
                last.map(|(payee, name)| EarningsCursor::Name(*way, Some((name.clone(), payee.to_string()))));
            (in_turn(db, &span, &named).await?, next)
        }
        EarningsCursor::Net(way, after) => {
            let mut ranked = earnings::by_net(db, scope, &span, *way, after.as_ref(), limit + 1).await?;
            let more = ranked.len() > most;
            ranked.truncate(most);
            let place = |(payee, net): &(Payee, money::Sum)| {
                let place = (net.currency.code().to_owned(), net.minor, payee.to_string());
                EarningsCursor::Net(*way, Some(place))
            };
            let next = ranked.last().filter(|_| more).map(place);
            (ranked_ones(db, &span, &ranked).await?, next)
        }
    };
    let rules = settings::load(db).await?;
    let line = rules::threshold(of, &rules.tax_thresholds);
    Ok(Earnings { lines: lines(db, earnings, line).await?, line, next })
}

/// All earnings of these payees, in their order.
async fn in_turn(db: &mut Db, span: &Span, named: &[(Payee, String)]) -> Result<Vec<Earning>> {
    let payees: Vec<Payee> = named.iter().map(|(payee, _)| *payee).collect();
    let mut by_payee: HashMap<Payee, Vec<Earning>> = HashMap::new();
    for ((payee, _), earning) in earnings::of(db, &payees, span).await? {
        by_payee.entry(payee).or_default().push(earning);
    }
    Ok(payees.iter().filter_map(|payee| by_payee.remove(payee)).flatten().collect())
}

/// The earnings of these payees in these currencies, in their order.
async fn ranked_ones(db: &mut Db, span: &Span, ranked: &[(Payee, money::Sum)]) -> Result<Vec<Earning>> {
    let mut payees: Vec<Payee> = ranked.iter().map(|(payee, _)| *payee).collect();
    payees.sort_unstable();
    payees.dedup();
    let mut found = earnings::of(db, &payees, span).await?;
    Ok(ranked.iter().filter_map(|(payee, net)| found.remove(&(*payee, net.currency))).collect())
}

async fn lines(db: &mut Db, earnings: Vec<Earning>, line: Money) -> Result<Vec<Line>> {
    let mut payees: Vec<Payee> = earnings.iter().map(|earning| earning.payee).collect();
    payees.dedup();
    let names = payees::names(db, &payees).await?;
    let facts = payees::facts(db, &payees).await?;
    let told = |earning: Earning| {
        let net = earning.net();
        Line {
            named: names.get(&earning.payee).cloned(),
            tax: facts.get(&earning.payee).map_or(TaxReport::Missing, |facts| facts.tax),
            over: (net.currency == line.currency).then_some(net.minor >= i128::from(line.minor)),
            earning,
        }
    };
    Ok(earnings.into_iter().map(told).collect())
}

/// What everybody in scope earned and was paid in a calendar year, by currency.
///
/// # Errors
/// [`OpsError::Missing`] for a year outside the calendar; otherwise database errors.
pub async fn year_totals(db: &mut Db, scope: &Scope, of: i32) -> Result<Vec<YearTotal>> {
    let span = year(of).ok_or(OpsError::Missing)?;
    let mut found: BTreeMap<Currency, YearTotal> = BTreeMap::new();
    let empty = |currency| {
        let zero = money::Sum::nothing(currency);
        YearTotal { earned: zero, paid: zero, back: Back::nothing(currency), outside: zero, to_bank: zero }
    };
    for earned in earnings::earned(db, scope, &span).await? {
        found.insert(earned.currency, YearTotal { earned, ..empty(earned.currency) });
    }
    let range = Range { from: Some(span.moments.0), to: Some(span.moments.1) };
    for month in store::months(db, scope, range, &mut false).await? {
        let sum = found.entry(month.paid.currency).or_insert_with(|| empty(month.paid.currency));
        sum.paid.minor += month.paid.minor;
        sum.back.add(&month.back);
        sum.outside.minor += month.outside.minor;
    }
    for (_, going) in store::to_bank(db, scope, range, &mut false).await? {
        found.entry(going.currency).or_insert_with(|| empty(going.currency)).to_bank = going;
    }
    Ok(found.into_values().collect())
}
