//! The ledger for export: journals with their postings by time, and sums by day. Writing is in [`super::ledger`].

use payout::ids::{RewardId, TransactionId};
use payout::money::{Currency, Money, Sum};
use sqlx::Row as _;

use super::{Db, MOST_VALUES, Result, Value, Where, sums, word};

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Filter {
    pub from: Option<i64>,
    pub before: Option<i64>,
    /// Postings in this currency only.
    pub currency: Option<String>,
}

/// A posting and its journal.
#[derive(Clone, Debug)]
pub struct Posted {
    pub journal: String,
    pub at: i64,
    pub movement: String,
    /// The id of the reward or payment it is about.
    pub subject: String,
    pub account: String,
    pub money: Money,
}

fn in_time(filter: &Filter) -> Where {
    let mut conditions = Where::default();
    if let Some(from) = filter.from {
        conditions.and("at >= ?", [from.into()]);
    }
    if let Some(before) = filter.before {
        conditions.and("at < ?", [before.into()]);
    }
    conditions
}

/// The postings of up to `limit` journals after the cursor, oldest first, and the next cursor.
pub async fn entries(
    db: &mut Db,
    filter: &Filter,
    after: Option<(i64, String)>,
    limit: i64,
) -> Result<(Vec<Posted>, Option<(i64, String)>)> {
    let mut conditions = in_time(filter);
    if let Some((at, id)) = after {
        conditions.and("(at, id) > (?, ?)", [at.into(), id.into()]);
    }
    let sql =
        format!("SELECT id, movement, subject, at FROM journal {{where}} ORDER BY at, id LIMIT {limit}");
    let mut heads: Vec<(String, String, String, i64)> = Vec::new();
    for row in db.all(conditions.query(&sql)).await? {
        heads.push((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?));
    }
    let next = heads.last().filter(|_| heads.len() as u64 == limit.unsigned_abs());
    let next = next.map(|(id, _, _, at)| (*at, id.clone()));
    let mut lines = postings(db, filter, heads.iter().map(|(id, ..)| id.as_str())).await?;
    let mut found = Vec::new();
    for (journal, movement, subject, at) in heads {
        for (account, money) in lines.remove(&journal).unwrap_or_default() {
            let (journal, movement, subject) = (journal.clone(), movement.clone(), subject.clone());
            found.push(Posted { journal, at, movement, subject, account, money });
        }
    }
    Ok((found, next))
}

type Lines = std::collections::HashMap<String, Vec<(String, Money)>>;

async fn postings<'a>(db: &mut Db, filter: &Filter, ids: impl Iterator<Item = &'a str>) -> Result<Lines> {
    let ids: Vec<&str> = ids.collect();
    let mut lines = Lines::new();
    for some in ids.chunks(MOST_VALUES - 1) {
        let mut conditions = Where::default();
        conditions.among("journal_id", some.iter().map(|id| Value::from(*id)));
        if let Some(currency) = &filter.currency {
            conditions.and("currency = ?", [currency.as_str().into()]);
        }
        let sql = "SELECT journal_id, account, currency, amount_minor FROM posting {where} ORDER BY journal_id, line";
        for row in db.all(conditions.query(sql)).await? {
            let code: String = row.try_get(2)?;
            let money = Money::new(row.try_get(3)?, word(Currency::parse(&code).ok(), &code)?);
            lines.entry(row.try_get(0)?).or_default().push((row.try_get(1)?, money));
        }
    }
    Ok(lines)
}

/// The time of the first journal in the filter's range.
pub async fn first(db: &mut Db, filter: &Filter) -> Result<Option<i64>> {
    let query = in_time(filter).query("SELECT at FROM journal {where} ORDER BY at LIMIT 1");
    db.optional(query).await?.map(|row| Ok(row.try_get(0)?)).transpose()
}

/// Total debits and total credits per account and currency, as separate rows: account, amount.
pub async fn sums(db: &mut Db, filter: &Filter) -> Result<Vec<(String, Sum)>> {
    let mut conditions = Where::default();
    let bounds = [("j.at >= ?", filter.from), ("j.at < ?", filter.before)];
    for (condition, bound) in bounds {
        if let Some(bound) = bound {
            conditions.and(condition, [bound.into()]);
        }
    }
    if let Some(currency) = &filter.currency {
        conditions.and("p.currency = ?", [currency.as_str().into()]);
    }
    let sql = "SELECT p.currency, p.account, \
               {sum(CASE WHEN p.amount_minor > 0 THEN p.amount_minor ELSE 0 END)}, \
               {sum(CASE WHEN p.amount_minor < 0 THEN p.amount_minor ELSE 0 END)} \
               FROM journal j JOIN posting p ON p.journal_id = j.id {where} \
               GROUP BY p.currency, p.account ORDER BY p.currency, p.account";
    let mut found = Vec::new();
    for row in db.all(conditions.query(sql)).await? {
        let code: String = row.try_get(0)?;
        let (account, currency): (String, _) = (row.try_get(1)?, word(Currency::parse(&code).ok(), &code)?);
        for minor in [sums::read(&row, 2)?, sums::read(&row, 4)?] {
            if minor != 0 {
                found.push((account.clone(), Sum::new(minor, currency)));
            }
        }
    }
    Ok(found)
}

/// The number of sums by day, account and side.
pub async fn count_by_day(db: &mut Db, filter: &Filter) -> Result<i64> {
    let mut conditions = Where::default();
    conditions.and("p.amount_minor <> 0", []);
    for (condition, bound) in [("j.at >= ?", filter.from), ("j.at < ?", filter.before)] {
        if let Some(bound) = bound {
            conditions.and(condition, [bound.into()]);
        }
    }
    if let Some(currency) = &filter.currency {
        conditions.and("p.currency = ?", [currency.as_str().into()]);
    }
    let sql = "SELECT COUNT(*) FROM (SELECT DISTINCT j.at / 86400000000 AS day, p.currency, p.account, \
               CASE WHEN p.amount_minor > 0 THEN 1 ELSE 0 END AS side \
               FROM journal j JOIN posting p ON p.journal_id = j.id {where}) AS line";
    Ok(db.one(conditions.query(sql)).await?.try_get(0)?)
}

/// The number of postings in the filter's range.
pub async fn count(db: &mut Db, filter: &Filter) -> Result<i64> {
    let sql = "SELECT COUNT(*) FROM posting p JOIN journal j ON j.id = p.journal_id {where}";
    let mut conditions = Where::default();
    let bounds = [("j.at >= ?", filter.from), ("j.at < ?", filter.before)];
    for (condition, bound) in bounds {
        if let Some(bound) = bound {
            conditions.and(condition, [bound.into()]);
        }
    }
    if let Some(currency) = &filter.currency {
        conditions.and("p.currency = ?", [currency.as_str().into()]);
    }
    Ok(db.one(conditions.query(sql)).await?.try_get(0)?)
}

/// The public numbers of rewards and payments by id.
pub async fn numbers(db: &mut Db, ids: &[String]) -> Result<std::collections::HashMap<String, String>> {
    let mut found = std::collections::HashMap::new();
    let tables = [
        ("SELECT id, number FROM reward {where}", RewardId::PREFIX, "RW"),
        ("SELECT id, number FROM payout_transaction {where}", TransactionId::PREFIX, "PT"),
    ];
    for (sql, prefix, letters) in tables {
        let of_table: Vec<&String> = ids.iter().filter(|id| id.starts_with(prefix)).collect();
        for some in of_table.chunks(MOST_VALUES) {
            let mut conditions = Where::default();
            conditions.among("id", some.iter().map(|id| Value::from(id.as_str())));
            for row in db.all(conditions.query(sql)).await? {
                found.insert(row.try_get(0)?, format!("{letters}-{:06}", row.try_get::<i64, _>(1)?));
            }
        }
    }
    Ok(found)
}
