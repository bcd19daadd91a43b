//! Read models of the dashboard's summary: what was paid, what is under way, what failed and what waits, by currency.
//! Amounts are sums of the books where the books have them, and of the payments and rewards that the books agree with
//! otherwise. What is deliberately not here: what each payee earned in a year; that is `earnings`.

use std::collections::BTreeMap;

use payout::ledger::Payee;
use payout::money::{Currency, Sum, Vendor};
use payout::transaction::{State, Status};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::moved::Back;
use super::scope::Scope;
use super::{Db, Result, Value, Where, sums, word};
use crate::clock::date;

const DAY_US: i64 = 86_400_000_000;

/// A span of time, open where it has no end: microseconds UTC, its first and the first after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// From this moment on.
    pub from: Option<i64>,
    /// Before this moment.
    pub to: Option<i64>,
}

impl Range {
    /// Narrows a list to what the column says is in it.
    fn narrow(self, conditions: &mut Where, from: &str, to: &str) {
        if let Some(moment) = self.from {
            conditions.and(from, [moment.into()]);
        }
        if let Some(moment) = self.to {
            conditions.and(to, [moment.into()]);
        }
    }

    fn narrow_pressed(self, conditions: &mut Where) {
        self.narrow(conditions, "created_at >= ?", "created_at < ?");
    }
}

/// What reached payees in one month (UTC) in one currency.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Month {
    /// `YYYY-MM`.
    pub month: String,
    /// What left our balance at a vendor.
    pub paid: Sum,
    /// What of it did not stay with payees.
    pub back: Back,
    /// What was marked as paid outside, on the date that was named.
    pub outside: Sum,
}

impl Month {
    /// A month in which nothing moved.
    #[must_use]
    pub fn nothing(month: &str, currency: Currency) -> Self {
        let zero = Sum::nothing(currency);
        Self { month: month.to_owned(), paid: zero, back: Back::nothing(currency), outside: zero }
    }

    /// What stayed with payees.
    #[must_use]
    pub fn net(&self) -> Sum {
        Sum::new(self.paid.minor - self.back.total().minor + self.outside.minor, self.paid.currency)
    }
}

fn currency(row: &AnyRow, column: usize) -> Result<Currency> {
    let code: String = row.try_get(column)?;
    word(Currency::parse(&code).ok(), &code)
}

fn payee(row: &AnyRow, column: usize) -> Result<Payee> {
    let id: String = row.try_get(column)?;
    word(Payee::parse(&id), &id)
}

/// What was paid and came back, by month and currency, oldest first. It is summed by the day, which both databases can
/// tell from a moment by division, and by the month here.
///
/// # Errors
/// When the database does not answer.
pub async fn months(db: &mut Db, scope: &Scope, range: Range) -> Result<Vec<Month>> {
    let mut found: BTreeMap<(String, Currency), Month> = BTreeMap::new();
    let mut conditions = Where::default();
    conditions.and("{moved}", []);
    conditions.and("{ours}", []);
    range.narrow(&mut conditions, "j.at >= ?", "j.at < ?");
    scope.narrow(&mut conditions);
    conditions.and("p.journal_id = j.id", []);
    // Of everybody the payments need not be read, and SQLite is told where to begin: with the few movements that count,
    // not with every posting there is. Of some it may begin with their payments.
    let from = match scope.is_everybody() {
        true => "journal j CROSS JOIN posting p",
        false => {
            "journal j JOIN payout_transaction t ON t.id = j.subject JOIN posting p ON p.journal_id = j.id"
        }
    };
    let sql = format!(
        "SELECT j.at / 86400000000, p.currency, {{sum({{left_us}})}}, {{back}} \
         FROM {from} {{where}} \
         GROUP BY j.at / 86400000000, p.currency"
    );
    for row in db.all(conditions.query(&sql)).await? {
        let day = date(row.try_get::<i64, _>(0)?.saturating_mul(DAY_US));
        let (month, currency) = (day.get(..7).unwrap_or_default(), currency(&row, 1)?);
        let key = (month.to_owned(), currency);
        let month = found.entry(key).or_insert_with(|| Month::nothing(month, currency));
        month.paid.minor += sums::read(&row, 2)?;
        month.back.add(&Back::read(&row, 4, currency)?);
    }
    for row in outside(db, scope, range).await? {
        let (day, currency): (String, Currency) = (row.try_get(0)?, currency(&row, 1)?);
        let month = day.get(..7).unwrap_or_default();
        let key = (month.to_owned(), currency);
        let month = found.entry(key).or_insert_with(|| Month::nothing(month, currency));
        month.outside.minor += sums::read(&row, 2)?;
        month.back.in_balances.minor -= sums::read(&row, 4)?;
    }
    Ok(found.into_values().collect())
}

/// What was marked as paid outside, by day and currency; and beside it what was settled as paid otherwise out of a payee's
/// balance, which has left us before and lies there no more.
async fn outside(db: &mut Db, scope: &Scope, range: Range) -> Result<Vec<AnyRow>> {
    let mut conditions = Where::default();
    conditions.and("outside_on IS NOT NULL", []);
    if let Some(from) = range.from {
        conditions.and("outside_on >= ?", [date(from).into()]);
    }
    if let Some(to) = range.to {
        conditions.and("outside_on < ?", [date(to).into()]);
    }
    scope.narrow(&mut conditions);
    let sql = "SELECT outside_on, currency, {sum(CASE WHEN otherwise_at IS NULL THEN amount_minor ELSE 0 END)}, \
               {sum(CASE WHEN otherwise_at IS NULL THEN 0 ELSE net_minor END)} FROM payout_transaction {where} \
               GROUP BY outside_on, currency";
    db.all(conditions.query(sql)).await
}

/// How many payments stand in one state, and what they come to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Standing {
    /// How they stand.
    pub state: State,
    /// How many.
    pub count: i64,
    /// What they promise: the rewards' sum.
    pub amount: Sum,
}

/// The payments of which something is still to come or to be done: under way, or failed with their rewards nowhere else.
///
/// # Errors
/// When the database does not answer.
pub async fn standing(db: &mut Db, scope: &Scope, range: Range) -> Result<Vec<Standing>> {
    let mut conditions = Where::default();
    let open = State::ALL.iter().filter(|state| **state != State::Success);
    conditions.among("state", open.map(|state| Value::from(state.as_str())));
    conditions.and("released_at IS NULL AND outside_at IS NULL", []);
    range.narrow_pressed(&mut conditions);
    scope.narrow(&mut conditions);
    let sql = "SELECT state, COUNT(*), currency, {sum(amount_minor)} FROM payout_transaction {where} \
               GROUP BY state, currency ORDER BY state, currency";
    let read = |row: &AnyRow| {
        let state: String = row.try_get(0)?;
        let amount = Sum::new(sums::read(row, 3)?, currency(row, 2)?);
        Ok(Standing { state: word(State::parse(&state), &state)?, count: row.try_get(1)?, amount })
    };
    db.all(conditions.query(sql)).await?.iter().map(read).collect()
}

/// What is approved and in no payment, in one currency; clawbacks count against it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Waiting {
    /// How many rewards wait to be paid.
    pub count: i64,
    /// What they come to.
    pub amount: Sum,
    /// How many expired before they were in a payout.
    pub expired_count: i64,
    /// What those come to: it is in the books still, and not payable.
    pub expired: Sum,
}

/// Rewards that are approved and in no payment, by currency; a range is about the day of their approval.
///
/// # Errors
/// When the database does not answer.
pub async fn waiting(db: &mut Db, scope: &Scope, range: Range, now: i64) -> Result<Vec<Waiting>> {
    let mut found: BTreeMap<Currency, Waiting> = BTreeMap::new();
    let mut conditions = Where::beside([now.into()]);
    conditions.and("status = 'approved' AND transaction_id IS NULL AND paid_at IS NULL", []);
    conditions.and("currency IS NOT NULL", []);
    range.narrow(&mut conditions, "decided_at >= ?", "decided_at < ?");
    scope.narrow(&mut conditions);
    // Being in a batch stops the clock of a reward that expires.
    let sql = "SELECT currency, CASE WHEN batch_id IS NULL AND expires_at <= $1 THEN 'expired' ELSE '' END, \
               COUNT(*), \
               {sum(CASE WHEN entry = 'clawback' THEN -value_minor ELSE value_minor END)} \
               FROM reward {where} GROUP BY 1, 2";
    for row in db.all(conditions.query(sql)).await? {
        let currency = currency(&row, 0)?;
        let zero = Sum::nothing(currency);
        let nothing = Waiting { count: 0, amount: zero, expired_count: 0, expired: zero };
        let sum = found.entry(currency).or_insert(nothing);
        let (count, amount) = (row.try_get(2)?, Sum::new(sums::read(&row, 3)?, currency));
        if row.try_get::<String, _>(1)?.is_empty() {
            (sum.count, sum.amount) = (count, amount);
        } else {
            (sum.expired_count, sum.expired) = (count, amount);
        }
    }
    Ok(found.into_values().collect())
}

/// Payments that failed for one reason, in one currency.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// The reason's code; where the vendor gave none, how the payment stands.
    pub code: String,
    /// How they stand, where all stand alike: where the money is decides what the code means.
    pub state: Option<State>,
    /// How many.
    pub count: i64,
    /// What they came to.
    pub amount: Sum,
}

/// The payments that stand as failed or came back, whatever was done about them since, by reason; the most frequent first.
///
/// # Errors
/// When the database does not answer.
pub async fn failures(db: &mut Db, scope: &Scope, range: Range) -> Result<Vec<Failure>> {
    let mut conditions = Where::default();
    let failed = State::ALL.iter().filter(|state| has_failed(**state));
    conditions.among("state", failed.map(|state| Value::from(state.as_str())));
    range.narrow_pressed(&mut conditions);
    scope.narrow(&mut conditions);
    // The vendors have fewer reasons than that.
    let sql = "SELECT COALESCE(reason_code, state), currency, COUNT(*), MIN(state), MAX(state), {sum(amount_minor)} \
               FROM payout_transaction {where} GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT 100";
    let read = |row: &AnyRow| {
        let (least, most): (String, String) = (row.try_get(3)?, row.try_get(4)?);
        let state = State::parse(&least).filter(|_| least == most);
        let amount = Sum::new(sums::read(row, 5)?, currency(row, 1)?);
        Ok(Failure { code: row.try_get(0)?, state, count: row.try_get(2)?, amount })
    };
    db.all(conditions.query(sql)).await?.iter().map(read).collect()
}

fn has_failed(state: State) -> bool {
    matches!(state.status(), Status::Failed | Status::PayoutFailed)
}

/// How long payments through a vendor took from Pay to Success: half took no longer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Median {
    /// The vendor.
    pub vendor: Vendor,
    /// The time of the middle one, in microseconds; of an even number, of the quicker of the two.
    pub took_us: i64,
    /// How many there were.
    pub count: i64,
}

/// The median time from Pay to Success of each vendor: the middle row is counted out, nothing is averaged.
///
/// # Errors
/// When the database does not answer.
pub async fn medians(db: &mut Db, scope: &Scope, range: Range) -> Result<Vec<Median>> {
    let mut conditions = Where::default();
    conditions.and("state = 'success' AND settled_at IS NOT NULL", []);
    range.narrow_pressed(&mut conditions);
    scope.narrow(&mut conditions);
    let sql = "SELECT vendor, took, many FROM (SELECT vendor, settled_at - created_at AS took, \
               ROW_NUMBER() OVER (PARTITION BY vendor ORDER BY settled_at - created_at) AS place, \
               COUNT(*) OVER (PARTITION BY vendor) AS many FROM payout_transaction {where}) ranked \
               WHERE place = (many + 1) / 2 ORDER BY vendor";
    let read = |row: &AnyRow| {
        let vendor: String = row.try_get(0)?;
        let vendor = word(Vendor::parse(&vendor), &vendor)?;
        Ok(Median { vendor, took_us: row.try_get(1)?, count: row.try_get(2)? })
    };
    db.all(conditions.query(sql)).await?.iter().map(read).collect()
}

/// A payee to whom much was paid.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Top {
    /// Who.
    pub payee: Payee,
    /// What left us for them through the vendors and stayed with them.
    pub net: Sum,
}

/// The payees to whom most was paid through the vendors: five in each currency, by currency.
///
/// # Errors
/// When the database does not answer.
pub async fn top(db: &mut Db, scope: &Scope, range: Range) -> Result<Vec<Top>> {
    let mut conditions = Where::default();
    conditions.and("{moved}", []);
    conditions.and("{ours}", []);
    conditions.and("p.journal_id = j.id AND t.id = j.subject", []);
    range.narrow(&mut conditions, "j.at >= ?", "j.at < ?");
    scope.narrow(&mut conditions);
    // As for the months.
    let from = match scope.is_everybody() {
        true => "journal j CROSS JOIN payout_transaction t CROSS JOIN posting p",
        false => {
            "journal j JOIN payout_transaction t ON t.id = j.subject JOIN posting p ON p.journal_id = j.id"
        }
    };
    let sql = format!(
        "SELECT payee, currency, net_high, net_low FROM (SELECT payee, currency, net_high, net_low, \
         ROW_NUMBER() OVER (PARTITION BY currency ORDER BY net_high DESC, net_low DESC, payee) AS place FROM (\
         SELECT t.payee AS payee, p.currency AS currency, {{sum(-p.amount_minor) AS net}} \
         FROM {from} {{where}} GROUP BY t.payee, p.currency) sums) ranked \
         WHERE place <= 5 AND (net_high, net_low) > (0, 0) ORDER BY currency, place"
    );
    let read = |row: &AnyRow| {
        Ok(Top { payee: payee(row, 0)?, net: Sum::new(sums::read(row, 2)?, currency(row, 1)?) })
    };
    db.all(conditions.query(&sql)).await?.iter().map(read).collect()
}
