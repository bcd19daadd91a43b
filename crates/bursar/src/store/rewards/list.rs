//! Reward lists that stay fast with a million rewards, at any page depth and with any filter.
//!
//! One index serves each list, chosen here rather than by the databases, which know too little about the data and guess
//! badly: SQLite has no statistics, PostgreSQL's may be stale. Each filter term is counted up to a limit, and the
//! rarest term is used: its rows are scanned in sort order or, if its index is ordered differently and they are few,
//! collected and sorted. The remaining terms are hidden from the planner. A scan that finds too little stops after a
//! fixed number of rows and reports where to continue, so the cost of a page does not depend on the size of the table.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use payout::ids::RewardId;

use super::filter::{Filter, Sort};
use super::terms::{Column, Term, terms};
use super::{Reward, parsed, read};
use crate::store::{Db, Query, Result, Where};

/// A position in a list: the sort key and the id of a row.
pub type Position = (i64, String);

/// Which rows of a list, and in which order.
#[derive(Clone, Debug)]
pub struct Window {
    pub sort: Sort,
    pub descending: bool,
    pub after: Option<Position>,
    pub limit: i64,
}

#[derive(Clone, Debug)]
pub struct Listed {
    pub rewards: Vec<Reward>,
    /// Where the next page begins, if there is one.
    pub next: Option<Position>,
    /// Set if the scan stopped after this many rows without filling the page; there may or may not be more.
    pub looked_at: Option<i64>,
}

/// How many rewards match a filter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Count {
    Exactly(i64),
    MoreThan(i64),
    /// Counting would take too long.
    Unknown,
}

/// Up to this many matches a term counts as rare, and its rows are collected and sorted.
const FEW: i64 = 5_000;
/// How many rows a scan reads in each step. All steps together take about as long as people wait without noticing.
const STEPS: [i64; 4] = [300, 1_500, 5_000, 14_000];

/// Joins the names to the few rows of a page, never to the whole table: the subquery finds the page through one index
/// first.
const PAGE: &str = "SELECT r.*, g.external_id AS program_xid, g.name AS program_name, \
    c.external_id AS activity_xid, c.name AS activity_name, o.external_id AS owner_xid, o.name AS owner_name, \
    a.external_id AS account_xid, a.name AS account_name, b.number AS batch_number, t.number AS transaction_number \
    FROM (SELECT * FROM reward {where} ORDER BY {ORDER} LIMIT {limit}) r \
    JOIN program g ON g.id = r.program_id JOIN activity c ON c.id = r.activity_id \
    JOIN partner o ON o.id = r.owner_id JOIN account a ON a.id = r.account_id \
    LEFT JOIN batch b ON b.id = r.batch_id LEFT JOIN payout_transaction t ON t.id = r.transaction_id";

/// The sort orders, ascending and descending: each through an index; each again in a form that sorts collected rows and
/// that no index matches; and the index orders of single terms.
const ORDER: &[&str] = &[
    "created_at, id",
    "created_at DESC, id DESC",
    "number",
    "number DESC",
    "value_minor, id",
    "value_minor DESC, id DESC",
    "created_at + 0, id",
    "created_at + 0 DESC, id DESC",
    "number + 0",
    "number + 0 DESC",
    "value_minor + 0, id",
    "value_minor + 0 DESC, id DESC",
    "expires_at, id",
    "decided_at, id",
];
const KEY: &[&str] = &["created_at", "number", "value_minor"];

/// The query for a page of rewards.
pub(super) fn page(conditions: Where, limit: i64) -> Query {
    conditions.query(&PAGE.replace("{ORDER}", ORDER[0]).replace("{limit}", &limit.to_string()))
}

impl Sort {
    fn place(self) -> usize {
        match self {
            Self::CreatedAt => 0,
            Self::Number => 1,
            Self::Value => 2,
        }
    }

    /// The value that this sort order compares.
    pub fn key(self, reward: &Reward) -> i64 {
        match self {
            Self::CreatedAt => reward.entered.created_at,
            Self::Number => reward.entered.number,
            Self::Value => reward.entered.worth.minor(),
        }
    }
}

impl Window {
    fn order(&self, gathers: bool) -> &'static str {
        let place = self.sort.place() * 2 + usize::from(self.descending) + if gathers { 6 } else { 0 };
        ORDER.get(place).copied().unwrap_or(ORDER[0])
    }

    /// After this position, up to that one.
    fn put(&self, to: &mut Where, after: Option<&Position>, end: Option<&Position>) {
        let (than, up_to) = if self.descending { ("<", ">=") } else { (">", "<=") };
        for (sign, place) in [(than, after), (up_to, end)] {
            let Some((key, id)) = place else { continue };
            match self.sort {
                Sort::CreatedAt => {
                    to.and(&format!("(created_at, id) {sign} (?, ?)"), [(*key).into(), id.as_str().into()]);
                }
                Sort::Number => to.and(&format!("number {sign} ?"), [(*key).into()]),
                Sort::Value => {
                    to.and(&format!("(value_minor, id) {sign} (?, ?)"), [(*key).into(), id.as_str().into()]);
                }
            }
        }
    }
}

/// The query plan of a list.
struct QueryPlan {
    /// The term whose index is scanned; `None` for the sort's own index.
    drive: Option<Term>,
    rest: Vec<Term>,
    /// Collect all rows of the driving term and sort them.
    gathers: bool,
    few: bool,
    /// No reward can match at all.
    nothing: bool,
}

impl QueryPlan {
    async fn find(db: &mut Db, filter: &Filter, sort: Sort, now: i64) -> Result<Self> {
        let terms = terms(filter, now);
        let way = |drive: Option<usize>, found: Option<i64>| {
            let (mut rest, few) = (terms.clone(), found.is_some_and(|found| found <= FEW));
            let drive = drive.map(|place| rest.remove(place));
            let gathers = drive.as_ref().is_some_and(|drive| !drive.walks(sort));
            Self { drive, rest, gathers, few, nothing: found == Some(0) }
        };
        if let Some(named) = terms.iter().position(|term| matches!(term, Term::Named(..))) {
            return Ok(way(Some(named), Some(1)));
        }
        if terms.is_empty() || (terms.len() == 1 && terms.iter().all(|term| term.walks(sort))) {
            return Ok(way((!terms.is_empty()).then_some(0), None));
        }
        let mut rarest: Option<(i64, usize)> = None;
        for (place, term) in terms.iter().enumerate() {
            let Some(column) = term.column() else { continue };
            let found = probe(db, term, column, now).await?;
            rarest = rarest.into_iter().chain([(found, place)]).min();
        }
        match rarest {
            Some((found, place)) if found <= FEW => Ok(way(Some(place), Some(found))),
            Some(_) | None => {
                let walking = |narrow: bool| {
                    terms.iter().position(|term| term.walks(sort) && (term.is_narrow() || !narrow))
                };
                Ok(way(walking(true).or_else(|| walking(false)), None))
            }
        }
    }

    /// The conditions within these scan bounds.
    fn conditions(&self, window: &Window, bounds: [Option<&Position>; 2], all: bool, now: i64) -> Where {
        let mut conditions = Where::default();
        if let Some(drive) = &self.drive {
            drive.put(&mut conditions, now);
        }
        let [after, end] = bounds;
        let seen = |term: &&Term| !self.gathers && term.bounds(window.sort);
        if !self.gathers {
            self.rest.iter().filter(seen).for_each(|term| term.put(&mut conditions, now));
            window.put(&mut conditions, after, end);
        }
        if all {
            conditions.unseen();
            self.rest.iter().filter(|term| !seen(term)).for_each(|term| term.put(&mut conditions, now));
            if self.gathers {
                window.put(&mut conditions, after, end);
            }
        }
        conditions
    }

    /// Whether a scan may read rows that do not match.
    fn passes(&self, window: &Window) -> bool {
        !self.few && self.rest.iter().any(|term| !term.bounds(window.sort))
    }
}

/// How many rewards match a term, counted up to the limit for a rare one.
async fn probe(db: &mut Db, term: &Term, column: Column, now: i64) -> Result<i64> {
    let order = match column {
        Column::CreatedAt => ORDER[0],
        Column::Value => ORDER[4],
        Column::Expiry => ORDER[12],
        Column::Decision => ORDER[13],
    };
    let mut conditions = Where::default();
    term.put(&mut conditions, now);
    counted(db, conditions, order, FEW + 1).await
}

async fn counted(db: &mut Db, conditions: Where, order: &str, limit: i64) -> Result<i64> {
    let sql = "SELECT COUNT(*) FROM (SELECT id FROM reward {where} ORDER BY {ORDER} LIMIT {limit}) found";
    let sql = sql.replace("{ORDER}", order).replace("{limit}", &limit.to_string());
    Ok(db.one(conditions.query(&sql)).await?.try_get(0)?)
}

/// The rows of a page, plus one if there are more, and how far a scan went that stopped early.
async fn rows(
    db: &mut Db,
    sql: &str,
    filter: &Filter,
    window: &Window,
    now: i64,
) -> Result<(Vec<AnyRow>, Option<(Position, i64)>)> {
    let way = QueryPlan::find(db, filter, window.sort, now).await?;
    let mut found = Vec::new();
    if way.nothing {
        return Ok((found, None));
    }
    let sql = sql.replace("{ORDER}", window.order(way.gathers));
    let (mut after, mut looked_at) = (window.after.clone(), 0);
    for step in STEPS {
        let end = match way.passes(window) {
            true => end_of_step(db, &way, window, after.as_ref(), step, now).await?,
            false => None,
        };
        let wanted = window.limit + 1 - i64::try_from(found.len()).unwrap_or(0);
        let conditions = way.conditions(window, [after.as_ref(), end.as_ref()], true, now);
        found.extend(db.all(conditions.query(&sql.replace("{limit}", &wanted.to_string()))).await?);
        if found.len() as u64 > window.limit.unsigned_abs() {
            return Ok((found, None));
        }
        let Some(end) = end else { return Ok((found, None)) };
        looked_at += step;
        after = Some(end);
    }
    Ok((found, after.map(|place| (place, looked_at))))
}

/// The position this many rows ahead in the scan, if it is that long.
async fn end_of_step(
    db: &mut Db,
    way: &QueryPlan,
    window: &Window,
    after: Option<&Position>,
    step: i64,
    now: i64,
) -> Result<Option<Position>> {
    let sql = "SELECT id, {KEY} FROM reward {where} ORDER BY {ORDER} LIMIT 1 OFFSET {limit}";
    let sql = sql.replace("{KEY}", KEY[window.sort.place()]).replace("{ORDER}", window.order(false));
    let sql = sql.replace("{limit}", &(step - 1).to_string());
    let row = db.optional(way.conditions(window, [after, None], false, now).query(&sql)).await?;
    Ok(row.map(|row| Ok::<_, sqlx::Error>((row.try_get(1)?, row.try_get(0)?))).transpose()?)
}

/// Reads one page of a list.
pub async fn list(db: &mut Db, filter: &Filter, window: &Window, now: i64) -> Result<Listed> {
    let (found, stopped) = rows(db, PAGE, filter, window, now).await?;
    let mut rewards: Vec<Reward> = found.iter().map(read).collect::<Result<_>>()?;
    let key = |reward: &Reward| (window.sort.key(reward), reward.entered.id);
    // The joins keep the page's rows but not their order.
    rewards.sort_by_key(key);
    if window.descending {
        rewards.reverse();
    }
    let limit = usize::try_from(window.limit).unwrap_or(usize::MAX);
    let more = rewards.len() > limit;
    rewards.truncate(limit);
    let last =
        rewards.last().filter(|_| more).map(|last| (window.sort.key(last), last.entered.id.to_string()));
    let looked_at = stopped.as_ref().map(|(_, looked_at)| *looked_at);
    Ok(Listed { rewards, next: last.or(stopped.map(|(place, _)| place)), looked_at })
}

/// The same with positions only, for callers that filter by something SQL cannot express. The last value says whether
/// the list may continue after them.
pub async fn keys(
    db: &mut Db,
    filter: &Filter,
    window: &Window,
    now: i64,
) -> Result<(Vec<(i64, RewardId)>, Option<Position>)> {
    let sql = "SELECT id, created_at, number, value_minor FROM reward {where} ORDER BY {ORDER} LIMIT {limit}";
    let (found, stopped) = rows(db, sql, filter, window, now).await?;
    let key = KEY[window.sort.place()];
    let read = |row: &AnyRow| Ok((row.try_get(key)?, parsed(row, "id", RewardId::parse)?));
    let mut keys: Vec<(i64, RewardId)> = found.iter().map(read).collect::<Result<_>>()?;
    let limit = usize::try_from(window.limit).unwrap_or(usize::MAX);
    let more = keys.len() > limit;
    keys.truncate(limit);
    let last = keys.last().filter(|_| more).map(|(key, id)| (*key, id.to_string()));
    Ok((keys, last.or(stopped.map(|(place, _)| place))))
}

/// How many rewards match a filter, counted up to `most`.
pub async fn count_up_to(db: &mut Db, filter: &Filter, most: i64, now: i64) -> Result<Count> {
    let window = Window { sort: Sort::CreatedAt, descending: true, after: None, limit: 0 };
    let way = QueryPlan::find(db, filter, window.sort, now).await?;
    if way.nothing {
        return Ok(Count::Exactly(0));
    }
    if way.passes(&window) {
        return Ok(Count::Unknown);
    }
    let conditions = way.conditions(&window, [None, None], true, now);
    let found = counted(db, conditions, window.order(way.gathers), most + 1).await?;
    Ok(if found > most { Count::MoreThan(most) } else { Count::Exactly(found) })
}

/// How many rewards match a filter, however long the count takes.
pub async fn count(db: &mut Db, filter: &Filter, now: i64) -> Result<i64> {
    let query = narrowed(filter, now).query("SELECT COUNT(*) FROM reward {where}");
    Ok(db.one(query).await?.try_get(0)?)
}

/// All conditions of a filter, for a query that reads every match.
pub(super) fn narrowed(filter: &Filter, now: i64) -> Where {
    let mut conditions = Where::default();
    terms(filter, now).iter().for_each(|term| term.put(&mut conditions, now));
    conditions
}
