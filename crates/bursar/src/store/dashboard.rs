//! Read models of the dashboard summary, by currency: paid, in flight, failed and waiting. Amounts are sums of ledger
//! postings where there are any, otherwise of payments and rewards that agree with the ledger. Not here: yearly
//! earnings per payee (`earnings`).

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

/// A half-open time range in microseconds UTC; an unset end is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range {
    pub from: Option<i64>,
    pub to: Option<i64>,
}

impl Range {
    /// Adds the range as conditions on a column.
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

/// One month's payments (UTC) in one currency.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Month {
    /// `YYYY-MM`.
    pub month: String,
    /// What left our balance at a vendor.
    pub paid: Sum,
    /// What payees did not keep of it.
    pub back: Back,
    /// Payments marked as paid outside, by the date given.
    pub outside: Sum,
}

impl Month {
    /// A month without any payments.
    pub fn nothing(month: &str, currency: Currency) -> Self {
        let zero = Sum::nothing(currency);
        Self { month: month.to_owned(), paid: zero, back: Back::nothing(currency), outside: zero }
    }

    pub fn net(&self) -> Sum {
        Sum::new(self.paid.minor - self.back.total().minor + self.outside.minor, self.paid.currency)
    }
}

fn currency(row: &AnyRow, column: usize) -> Result<Currency> {
    let code: String = row.try_get(column)?;
    word(Currency::parse(&code).ok(), &code)
}

/// The row's value; `None`, with a log entry, if the record is unreadable, so that one bad record does not hide the
/// rest.
fn skip<T>(read: Result<T>, unread: &mut bool) -> Result<Option<T>> {
    match read {
        Err(error) if error.about_a_row() => {
            tracing::error!(%error, "a record cannot be read; it is left out of the dashboard");
            *unread = true;
            Ok(None)
        }
        read => read.map(Some),
    }
}

fn readable<T>(read: impl Iterator<Item = Result<T>>, unread: &mut bool) -> Result<Vec<T>> {
    let mut found = Vec::new();
    for one in read {
        found.extend(skip(one, unread)?);
    }
    Ok(found)
}

fn payee(row: &AnyRow, column: usize) -> Result<Payee> {
    let id: String = row.try_get(column)?;
    word(Payee::parse(&id), &id)
}

/// Paid and returned amounts by month and currency, oldest first; sets `unread` if a record is unreadable. Summed by
/// day in SQL, where integer division works on both databases, and by month here.
pub async fn months(db: &mut Db, scope: &Scope, range: Range, unread: &mut bool) -> Result<Vec<Month>> {
    let mut found: BTreeMap<(String, Currency), Month> = BTreeMap::new();
    let mut conditions = Where::default();
    conditions.and("{moved}", []);
    conditions.and("{ours}", []);
    range.narrow(&mut conditions, "j.at >= ?", "j.at < ?");
    scope.narrow(&mut conditions);
    conditions.and("p.journal_id = j.id", []);
    // For everybody, skip the payments table, and make SQLite start from the few relevant journals rather than from
    // every posting. For a narrower scope it may start from their payments.
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
        let Some(currency) = skip(currency(&row, 1), unread)? else { continue };
        let month = day.get(..7).unwrap_or_default();
        let key = (month.to_owned(), currency);
        let month = found.entry(key).or_insert_with(|| Month::nothing(month, currency));
        month.paid.minor += sums::read(&row, 2)?;
        month.back.add(&Back::read(&row, 4, currency)?);
    }
    for row in outside(db, scope, range).await? {
        let Some(currency) = skip(currency(&row, 1), unread)? else { continue };
        let day: String = row.try_get(0)?;
        let month = day.get(..7).unwrap_or_default();
        let key = (month.to_owned(), currency);
        let month = found.entry(key).or_insert_with(|| Month::nothing(month, currency));
        month.outside.minor += sums::read(&row, 2)?;
        month.back.in_balances.minor -= sums::read(&row, 4)?;
    }
    Ok(found.into_values().collect())
}

/// Payments marked as paid outside, by day and currency. The second value is the part settled out of a payee's vendor
/// balance, which had left us earlier.
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

/// The count and total of payments in one state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StateTotal {
    pub state: State,
    pub count: i64,
    /// The amount promised: the sum of the rewards.
    pub amount: Sum,
}

/// Payments that are not finished: in flight, or failed and still holding their rewards.
pub async fn standing(
    db: &mut Db,
    scope: &Scope,
    range: Range,
    unread: &mut bool,
) -> Result<Vec<StateTotal>> {
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
        Ok(StateTotal { state: word(State::parse(&state), &state)?, count: row.try_get(1)?, amount })
    };
    readable(db.all(conditions.query(sql)).await?.iter().map(read), unread)
}

/// Payments that have left us but have not reached the payee's bank, counted and summed as part of what was paid. The
/// range applies to the day they left.
pub async fn to_bank(db: &mut Db, scope: &Scope, range: Range, unread: &mut bool) -> Result<Vec<(i64, Sum)>> {
    let mut conditions = Where::default();
    let going = State::ALL.iter().filter(|state| state.to_bank());
    conditions.among("state", going.map(|state| Value::from(state.as_str())));
    conditions.and("left_at IS NOT NULL", []);
    range.narrow(&mut conditions, "left_at >= ?", "left_at < ?");
    scope.narrow(&mut conditions);
    let sql = "SELECT COUNT(*), currency, {sum(net_minor)} FROM payout_transaction {where} \
               GROUP BY currency ORDER BY currency";
    let read = |row: &AnyRow| Ok((row.try_get(0)?, Sum::new(sums::read(row, 2)?, currency(row, 1)?)));
    readable(db.all(conditions.query(sql)).await?.iter().map(read), unread)
}

/// Approved rewards in no payment, in one currency, net of clawbacks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WaitingTotal {
    /// The number of rewards waiting to be paid.
    pub count: i64,
    /// Their total per payee, excluding payees whose clawbacks exceed their rewards.
    pub amount: Sum,
    /// What payees owe us where clawbacks exceed their rewards.
    pub owed_to_us: Sum,
    /// How many expired before being added to a payout.
    pub expired_count: i64,
    /// Their total: still in the books, but not payable.
    pub expired: Sum,
}

/// Approved rewards in no payment, by currency; the range applies to the approval date.
pub async fn waiting(
    db: &mut Db,
    scope: &Scope,
    range: Range,
    now: i64,
    unread: &mut bool,
) -> Result<Vec<WaitingTotal>> {
    let mut found: BTreeMap<Currency, WaitingTotal> = BTreeMap::new();
    let mut conditions = Where::beside([now.into()]);
    conditions.and("status = 'approved' AND transaction_id IS NULL AND paid_at IS NULL", []);
    conditions.and("currency IS NOT NULL", []);
    range.narrow(&mut conditions, "decided_at >= ?", "decided_at < ?");
    scope.narrow(&mut conditions);
    // A reward in a batch does not expire.
    let sql = "SELECT currency, CASE WHEN batch_id IS NULL AND expires_at <= $1 THEN 'expired' ELSE '' END, \
               COUNT(*), \
               {sum(CASE WHEN entry = 'clawback' THEN -value_minor ELSE value_minor END)} \
               FROM reward {where} GROUP BY 1, 2";
    for row in db.all(conditions.query(sql)).await? {
        let Some(currency) = skip(currency(&row, 0), unread)? else { continue };
        let zero = Sum::nothing(currency);
        let nothing =
            WaitingTotal { count: 0, amount: zero, owed_to_us: zero, expired_count: 0, expired: zero };
        let sum = found.entry(currency).or_insert(nothing);
        let (count, amount) = (row.try_get(2)?, Sum::new(sums::read(&row, 3)?, currency));
        if row.try_get::<String, _>(1)?.is_empty() {
            (sum.count, sum.amount) = (count, amount);
        } else {
            (sum.expired_count, sum.expired) = (count, amount);
        }
    }
    for owed in owed_to_us(db, scope, range, now).await? {
        if let Some(sum) = found.get_mut(&owed.currency) {
            (sum.amount.minor, sum.owed_to_us) = (sum.amount.minor + owed.minor, owed);
        }
    }
    Ok(found.into_values().collect())
}

/// By currency, what payees owe us whose clawbacks exceed their waiting rewards.
async fn owed_to_us(db: &mut Db, scope: &Scope, range: Range, now: i64) -> Result<Vec<Sum>> {
    let mut conditions = Where::beside([now.into()]);
    conditions.and("status = 'approved' AND transaction_id IS NULL AND paid_at IS NULL", []);
    conditions.and("currency IS NOT NULL", []);
    conditions.and("(batch_id IS NOT NULL OR expires_at IS NULL OR expires_at > $1)", []);
    // Payees without clawbacks, nearly all of them, owe nothing.
    conditions.and(
        "payee IN (SELECT c.payee FROM reward c WHERE c.entry = 'clawback' AND c.status = 'approved' \
         AND c.transaction_id IS NULL AND c.paid_at IS NULL)",
        [],
    );
    range.narrow(&mut conditions, "decided_at >= ?", "decided_at < ?");
    scope.narrow(&mut conditions);
    let sql = "SELECT currency, {sum(CASE WHEN entry = 'clawback' THEN -value_minor ELSE value_minor END)} \
               FROM reward {where} GROUP BY currency, payee";
    let mut owed: BTreeMap<Currency, i128> = BTreeMap::new();
    for row in db.all(conditions.query(sql)).await? {
        let sum = sums::read(&row, 1)?;
        if sum < 0 {
            let Ok(currency) = currency(&row, 0) else { continue };
            *owed.entry(currency).or_default() -= sum;
        }
    }
    Ok(owed.into_iter().map(|(currency, minor)| Sum::new(minor, currency)).collect())
}

/// Failed payments with the same reason, in one currency.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// The reason code; if the vendor gave none, the payment's state.
    pub code: String,
    /// Their state, if all share it: where the money is decides what the code means.
    pub state: Option<State>,
    pub count: i64,
    pub amount: Sum,
}

/// Failed and returned payments, regardless of later remedies, by reason; most frequent first.
pub async fn failures(db: &mut Db, scope: &Scope, range: Range, unread: &mut bool) -> Result<Vec<Failure>> {
    let mut conditions = Where::default();
    let failed = State::ALL.iter().filter(|state| has_failed(**state));
    conditions.among("state", failed.map(|state| Value::from(state.as_str())));
    range.narrow_pressed(&mut conditions);
    scope.narrow(&mut conditions);
    // The vendors have fewer reasons than the limit.
    let sql = "SELECT COALESCE(reason_code, state), currency, COUNT(*), MIN(state), MAX(state), {sum(amount_minor)} \
               FROM payout_transaction {where} GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT 100";
    let read = |row: &AnyRow| {
        let (least, most): (String, String) = (row.try_get(3)?, row.try_get(4)?);
        let state = State::parse(&least).filter(|_| least == most);
        let amount = Sum::new(sums::read(row, 5)?, currency(row, 1)?);
        Ok(Failure { code: row.try_get(0)?, state, count: row.try_get(2)?, amount })
    };
    readable(db.all(conditions.query(sql)).await?.iter().map(read), unread)
}

fn has_failed(state: State) -> bool {
    matches!(state.status(), Status::Failed | Status::PayoutFailed)
}

/// The median time from Pay to Success for one vendor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Median {
    pub vendor: Vendor,
    /// The median in microseconds; for an even count, the lower middle value.
    pub took_us: i64,
    pub count: i64,
}

/// Each vendor's median time from Pay to Success, read as the middle row.
pub async fn medians(db: &mut Db, scope: &Scope, range: Range, unread: &mut bool) -> Result<Vec<Median>> {
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
    readable(db.all(conditions.query(sql)).await?.iter().map(read), unread)
}

/// A payee with one of the largest totals.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TopPayee {
    pub payee: Payee,
    /// What left us for them through the vendors, net of returns.
    pub net: Sum,
}

/// The five payees paid most through the vendors in each currency.
pub async fn top(db: &mut Db, scope: &Scope, range: Range, unread: &mut bool) -> Result<Vec<TopPayee>> {
    let mut conditions = Where::default();
    conditions.and("{moved}", []);
    conditions.and("{ours}", []);
    conditions.and("p.journal_id = j.id AND t.id = j.subject", []);
    range.narrow(&mut conditions, "j.at >= ?", "j.at < ?");
    scope.narrow(&mut conditions);
    // Same join order as for the months.
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
        Ok(TopPayee { payee: payee(row, 0)?, net: Sum::new(sums::read(row, 2)?, currency(row, 1)?) })
    };
    readable(db.all(conditions.query(&sql)).await?.iter().map(read), unread)
}
