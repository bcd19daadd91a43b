//! Read models of reconciliation pages: days, their balance transactions, and what does not tie. Not here: reading from
//! vendors and matching, which write this data.

use std::collections::BTreeMap;

use payout::money::{Currency, Money, Sum, Vendor};
use payout::reconciliation::{Kind, Part, kind, ours};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::super::{Db, Result, Value, Where, sums, word};
use super::Account;

/// A day of one account and currency.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Key {
    /// The day in UTC, `YYYY-MM-DD`.
    pub day: String,
    pub of: Account,
    pub currency: String,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Filter {
    pub vendor: Option<Vendor>,
    pub currency: Option<Currency>,
    pub from: Option<String>,
    /// Up to and including this day.
    pub to: Option<String>,
    /// Only days with something that does not tie or is waiting.
    pub open: bool,
}

fn narrowed(filter: &Filter) -> Where {
    let mut conditions = Where::default();
    if let Some(vendor) = filter.vendor {
        conditions.and("d.vendor = ?", [vendor.as_str().into()]);
    }
    if let Some(currency) = filter.currency {
        conditions.and("d.currency = ?", [currency.code().into()]);
    }
    if let Some(from) = &filter.from {
        conditions.and("d.day >= ?", [from.as_str().into()]);
    }
    if let Some(to) = &filter.to {
        conditions.and("d.day <= ?", [to.as_str().into()]);
    }
    if filter.open {
        conditions.and(
            "EXISTS (SELECT 1 FROM reconciliation_case c WHERE c.day = d.day AND c.vendor = d.vendor \
             AND c.vendor_account = d.vendor_account AND c.currency = d.currency AND c.closed_at IS NULL \
             AND c.explained_at IS NULL)",
            [],
        );
    }
    conditions
}

/// A page of days, newest first, after the cursor if given.
pub async fn page(db: &mut Db, filter: &Filter, after: Option<&Key>, limit: i64) -> Result<Vec<Key>> {
    let mut conditions = narrowed(filter);
    if let Some(after) = after {
        let values: [Value; 5] = [
            after.day.as_str().into(),
            after.day.as_str().into(),
            after.of.vendor.as_str().into(),
            after.of.name.as_str().into(),
            after.currency.as_str().into(),
        ];
        conditions.and(
            "(d.day < ? OR (d.day = ? AND (d.vendor, d.vendor_account, d.currency) > (?, ?, ?)))",
            values,
        );
    }
    let sql = format!(
        "SELECT d.day, d.vendor, d.vendor_account, d.currency FROM vendor_day d {{where}} \
         ORDER BY d.day DESC, d.vendor, d.vendor_account, d.currency LIMIT {limit}"
    );
    db.all(conditions.query(&sql)).await?.iter().map(|row| read_key(row, 0)).collect()
}

fn read_key(row: &AnyRow, at: usize) -> Result<Key> {
    let vendor: String = row.try_get(at + 1)?;
    Ok(Key {
        day: row.try_get(at)?,
        of: Account { vendor: word(Vendor::parse(&vendor), &vendor)?, name: row.try_get(at + 2)? },
        currency: row.try_get(at + 3)?,
    })
}

/// A day as read: what moved, and the vendor's balance.
#[derive(Clone, Debug)]
pub struct Read {
    pub day: String,
    /// The sum of its transactions.
    pub moved: Sum,
    /// The number of its transactions.
    pub lines: i64,
    /// How many of them are unrelated to Bursar.
    pub not_ours: i64,
    /// The opening balance, from the first one the vendor reported.
    pub opened: Option<Sum>,
    /// The closing balance as last reported, and when.
    pub told: Option<(Sum, i64)>,
}

/// One account and currency's days, oldest first: the requested ones, back to the last earlier day with a reported
/// balance, so that opening balances are known, and forward to the next such day if none of them has one.
pub async fn series(
    db: &mut Db,
    of: &Account,
    currency: Currency,
    (from, to): (&str, &str),
) -> Result<Vec<Read>> {
    let bounds = "SELECT MAX(day), MIN(day) FROM vendor_day {where}";
    let on_series = || {
        let mut conditions = Where::default();
        conditions.and("vendor = ?", [of.vendor.as_str().into()]);
        conditions.and("vendor_account = ?", [of.name.as_str().into()]);
        conditions.and("currency = ?", [currency.code().into()]);
        conditions
    };
    let mut conditions = on_series();
    conditions.and("balance_minor IS NOT NULL", []);
    conditions.and("day < ?", [from.into()]);
    let before: Option<String> = db.one(conditions.query(bounds)).await?.try_get(0)?;
    let mut conditions = on_series();
    conditions.and("balance_minor IS NOT NULL", []);
    conditions.and("day >= ?", [from.into()]);
    let next: Option<String> = db.one(conditions.query(bounds)).await?.try_get(1)?;
    let from = before.as_deref().unwrap_or(from).to_owned();
    let to = match next {
        Some(next) if before.is_none() && next.as_str() > to => next,
        Some(_) | None => to.to_owned(),
    };
    let between = || {
        let mut conditions = on_series();
        conditions.and("day >= ?", [from.as_str().into()]);
        conditions.and("day <= ?", [to.as_str().into()]);
        conditions
    };
    let mut days = moved(db, of, currency, between()).await?;
    let sql =
        "SELECT day, balance_minor, balance_at, first_balance_minor FROM vendor_day {where} ORDER BY day";
    let rows = db.all(between().query(sql)).await?;
    let after = moved_after(db, of, currency, (&from, &to), AFTER_LAST).await?;
    let after_first = moved_after(db, of, currency, (&from, &to), AFTER_FIRST).await?;
    for row in &rows {
        let day: String = row.try_get(0)?;
        let (balance, at): (Option<i64>, Option<i64>) = (row.try_get(1)?, row.try_get(2)?);
        let entry = days.entry(day.clone()).or_insert_with(|| quiet(&day, currency));
        let later = after.get(&day).copied().unwrap_or(0);
        entry.told = balance.zip(at).map(|(minor, at)| (Sum::new(i128::from(minor) + later, currency), at));
        let (first, later): (Option<i64>, i128) =
            (row.try_get(3)?, after_first.get(&day).copied().unwrap_or(0));
        let opened = |first: i64| i128::from(first) + later - entry.moved.minor;
        entry.opened = first.map(|first| Sum::new(opened(first), currency));
    }
    Ok(days.into_values().collect())
}

fn quiet(day: &str, currency: Currency) -> Read {
    Read {
        day: day.to_owned(),
        moved: Sum::nothing(currency),
        lines: 0,
        not_ours: 0,
        opened: None,
        told: None,
    }
}

async fn moved(
    db: &mut Db,
    of: &Account,
    currency: Currency,
    conditions: Where,
) -> Result<BTreeMap<String, Read>> {
    let sql = "SELECT day, kind, {sum(net_minor)}, COUNT(*) FROM vendor_movement {where} GROUP BY day, kind";
    let mut days: BTreeMap<String, Read> = BTreeMap::new();
    for row in db.all(conditions.query(sql)).await? {
        let (day, word): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let (sum, lines) = (sums::read(&row, 2)?, row.try_get::<i64, _>(4)?);
        let entry = days.entry(day.clone()).or_insert_with(|| quiet(&day, currency));
        entry.moved.minor += sum;
        entry.lines += lines;
        if kind(of.vendor, &word).part.aspect().is_none() {
            entry.not_ours += lines;
        }
    }
    Ok(days)
}

/// What moved on each day after its last reported balance: first seen later than that and not dated before it. Vendors'
/// timestamps have one-second resolution, so allow a margin.
const AFTER_LAST: &str = "SELECT d.day, {sum(m.net_minor)} FROM vendor_day d CROSS JOIN vendor_movement m \
    WHERE d.vendor = $1 AND d.vendor_account = $2 AND d.currency = $3 AND d.day >= $4 AND d.day <= $5 \
    AND m.day = d.day AND m.vendor = d.vendor AND m.vendor_account = d.vendor_account AND m.currency = d.currency \
    AND m.first_seen_at > d.read_at AND m.created_at >= d.balance_at - 3000000 GROUP BY d.day";
/// The same for its first balance.
const AFTER_FIRST: &str = "SELECT d.day, {sum(m.net_minor)} FROM vendor_day d CROSS JOIN vendor_movement m \
    WHERE d.vendor = $1 AND d.vendor_account = $2 AND d.currency = $3 AND d.day >= $4 AND d.day <= $5 \
    AND m.day = d.day AND m.vendor = d.vendor AND m.vendor_account = d.vendor_account AND m.currency = d.currency \
    AND m.first_seen_at > d.first_read_at AND m.created_at >= d.first_balance_at - 3000000 GROUP BY d.day";

async fn moved_after(
    db: &mut Db,
    of: &Account,
    currency: Currency,
    (from, to): (&str, &str),
    sql: &'static str,
) -> Result<BTreeMap<String, i128>> {
    let sql = sums::expand_placeholders(sql);
    let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(of.vendor.as_str()).bind(of.name.clone());
    let query = query.bind(currency.code()).bind(from.to_owned()).bind(to.to_owned());
    let read = |row: &AnyRow| Ok((row.try_get(0)?, sums::read(row, 1)?));
    db.all(query).await?.iter().map(read).collect()
}

/// A balance transaction as shown.
#[derive(Clone, Debug)]
pub struct Line {
    /// Our id for it.
    pub id: String,
    pub of: Account,
    /// The vendor's own id.
    pub vendor_id: String,
    /// The type in the vendor's own terms.
    pub word: String,
    /// What that type means here.
    pub kind: Kind,
    /// The gross amount in or out.
    pub amount: Money,
    /// The vendor's fee in it.
    pub fee: Money,
    /// The change of the balance.
    pub net: Money,
    pub created_at: i64,
    /// When the money becomes available.
    pub available_at: Option<i64>,
    /// The day it counts toward.
    pub day: String,
    /// The object it belongs to.
    pub object: Option<String>,
    /// When it was first read.
    pub first_seen_at: i64,
    /// The number of the payment.
    pub transaction: Option<i64>,
    /// The journal of the matching posting.
    pub journal: Option<String>,
    pub tied_at: Option<i64>,
    /// Its subject has a real difference, not merely a late side.
    pub off: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LineStanding {
    NotOurs,
    /// It ties, with everything it belongs to.
    Ties,
    /// One side may be late, or its payment is unfinished.
    Waits,
    DoesNotTie,
}

impl Line {
    /// Its status, derived from its subject.
    pub fn standing(&self) -> LineStanding {
        match (self.kind.part == Part::NotOurs, self.tied_at, self.off) {
            (true, _, _) => LineStanding::NotOurs,
            (false, Some(_), _) => LineStanding::Ties,
            (false, None, true) => LineStanding::DoesNotTie,
            (false, None, false) => LineStanding::Waits,
        }
    }
}

/// Which transactions of a day to show.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lines {
    All,
    /// Those whose type is part of a payment.
    Ours,
    NotOurs,
    /// Those that do not tie.
    Untied,
}

/// A day's transactions, oldest first, after the cursor (time and id) if given.
pub async fn lines(
    db: &mut Db,
    key: &Key,
    which: Lines,
    after: Option<(i64, String)>,
    limit: i64,
) -> Result<Vec<Line>> {
    let mut conditions = Where::default();
    conditions.and("m.day = ?", [key.day.as_str().into()]);
    conditions.and("m.vendor = ?", [key.of.vendor.as_str().into()]);
    conditions.and("m.vendor_account = ?", [key.of.name.as_str().into()]);
    conditions.and("m.currency = ?", [key.currency.as_str().into()]);
    match which {
        Lines::All => {}
        Lines::Ours => conditions.among("m.kind", ours(key.of.vendor).map(Value::from)),
        Lines::NotOurs => {
            for word in ours(key.of.vendor) {
                conditions.and("m.kind <> ?", [word.into()]);
            }
        }
        Lines::Untied => conditions.and("m.tied_at IS NULL", []),
    }
    if let Some((at, id)) = after {
        conditions.and("(m.created_at, m.id) > (?, ?)", [at.into(), id.into()]);
    }
    let sql = format!(
        "SELECT m.id, m.vendor, m.vendor_account, m.vendor_id, m.kind, m.currency, m.amount_minor, m.fee_minor, \
         m.net_minor, m.created_at, m.available_at, m.day, m.object, m.first_seen_at, t.number, m.journal_id, m.tied_at, \
         (SELECT COUNT(*) FROM reconciliation_case c WHERE c.subject = COALESCE(m.transaction_id, m.object) \
         AND c.vendor = m.vendor AND c.vendor_account = m.vendor_account AND c.currency = m.currency \
         AND c.closed_at IS NULL AND c.standing <> 'waits') \
         FROM vendor_movement m LEFT JOIN payout_transaction t ON t.id = m.transaction_id {{where}} \
         ORDER BY m.created_at, m.id LIMIT {limit}"
    );
    db.all(conditions.query(&sql)).await?.iter().map(read_line).collect()
}

fn read_line(row: &AnyRow) -> Result<Line> {
    let (vendor, kind_word, code): (String, String, String) =
        (row.try_get(1)?, row.try_get(4)?, row.try_get(5)?);
    let of = Account { vendor: word(Vendor::parse(&vendor), &vendor)?, name: row.try_get(2)? };
    let currency = word(Currency::parse(&code).ok(), &code)?;
    let money = |place: usize| Ok::<_, super::super::StoreError>(Money::new(row.try_get(place)?, currency));
    Ok(Line {
        id: row.try_get(0)?,
        vendor_id: row.try_get(3)?,
        kind: kind(of.vendor, &kind_word),
        word: kind_word,
        amount: money(6)?,
        fee: money(7)?,
        net: money(8)?,
        created_at: row.try_get(9)?,
        available_at: row.try_get(10)?,
        day: row.try_get(11)?,
        object: row.try_get(12)?,
        first_seen_at: row.try_get(13)?,
        transaction: row.try_get(14)?,
        journal: row.try_get(15)?,
        tied_at: row.try_get(16)?,
        off: row.try_get::<i64, _>(17)? > 0,
        of,
    })
}
