//! Gathers the rows of an export in pages: each call reads one page of a list and returns the position of the next, so an
//! export of any length uses the memory of one page and can resume where it stopped.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use payout::eligibility::Blocker;
use payout::ids::BatchId;
use payout::ledger::Payee;
use payout::money::Sum;

use super::accounts;
use super::gathered::{AT_ONCE, RowPage, place};
use super::scope::{ExportRequest, Scope};
use crate::clock::{date, start_of_date};
use crate::documents::Heading;
use crate::documents::columns::{self, RewardRow, TransactionRow};
use crate::documents::journal::{Line, entry_of, entry_of_day};
use crate::ops::rewards::pool;
use crate::ops::{OpsError, Result};
use crate::store::journal::{self, Filter as JournalFilter};
use crate::store::rewards::{self, Filter as RewardFilter, Sort, Window};
use crate::store::transactions::{self, Filter as TransactionFilter};
use crate::store::{Db, StoreError, audit, batches, payees};

const DAY_US: i64 = 86_400_000_000;

/// The next rows of an export, as of `now`.
pub async fn gather(db: &mut Db, asked: &ExportRequest, place: Option<&str>, now: i64) -> Result<RowPage> {
    let place = Cursor::read(place)?;
    let chosen: Vec<String> = asked.heads().iter().map(|head: &Heading| head.name.to_owned()).collect();
    match &asked.scope {
        Scope::Rewards { filter, eligible, sort, descending } => {
            let window = Window { sort: *sort, descending: *descending, after: place.0, limit: AT_ONCE };
            of_rewards(db, filter, *eligible, &window, &chosen, now).await
        }
        Scope::Transactions(filter) => of_transactions(db, filter, place.id(), &chosen).await,
        Scope::Earnings { year, whose } => {
            super::earnings::gather(db, *year, whose, place.id(), &chosen, now).await
        }
        Scope::Journal { filter, layout, by_day } => {
            let (lines, next) = match by_day {
                true => day(db, filter, place.0.map(|(at, _)| at)).await?,
                false => entries(db, filter, place.0).await?,
            };
            let names = accounts::names(db).await?;
            let rows = lines.iter().map(|line| line.cells(*layout, &names, &chosen)).collect();
            Ok(RowPage { rows, next })
        }
        Scope::Audit(filter) => of_audit(db, filter, place.0, &chosen).await,
    }
}

/// The number of rows the export will have.
pub async fn count(db: &mut Db, scope: &Scope, now: i64) -> Result<i64> {
    Ok(match scope {
        Scope::Rewards { filter, eligible: None, .. } => rewards::count(db, filter, now).await?,
        Scope::Rewards { filter, eligible, .. } => of_pool(db, filter, *eligible, now).await?,
        Scope::Transactions(filter) => transactions::count(db, filter, i64::MAX).await?,
        Scope::Earnings { year, whose } => super::earnings::count(db, *year, whose).await?,
        Scope::Journal { filter, by_day: true, .. } => journal::count_by_day(db, filter).await?,
        Scope::Journal { filter, by_day: false, .. } => journal::count(db, filter).await?,
        Scope::Audit(filter) => audit::count(db, filter).await?,
    })
}

/// A position in a list: a number and an id; some lists need only one of them.
struct Cursor(Option<(i64, String)>);

impl Cursor {
    fn read(text: Option<&str>) -> Result<Self> {
        let Some(text) = text else { return Ok(Self(None)) };
        let read = || -> Option<(i64, String)> { serde_json::from_str(text).ok() };
        let read = read().ok_or_else(|| OpsError::Internal(StoreError::Corrupt(text.to_owned())))?;
        Ok(Self(Some(read)))
    }

    fn id(self) -> Option<String> {
        self.0.map(|(_, id)| id)
    }
}

fn is_full(count: usize) -> bool {
    i64::try_from(count).is_ok_and(|count| count >= AT_ONCE)
}

/// Counts the rewards of the pool that pass every gate. SQL cannot evaluate the gates, so this reads every page.
async fn of_pool(db: &mut Db, filter: &RewardFilter, eligible: Option<bool>, now: i64) -> Result<i64> {
    let (mut all, mut after) = (0, None);
    loop {
        let window = Window { sort: Sort::CreatedAt, descending: true, after, limit: AT_ONCE };
        let some = of_rewards(db, filter, eligible, &window, &[], now).await?;
        all += some.rows.len();
        after = Cursor::read(some.next.as_deref())?.0;
        if after.is_none() {
            return Ok(i64::try_from(all).unwrap_or(i64::MAX));
        }
    }
}

async fn of_rewards(
    db: &mut Db,
    filter: &RewardFilter,
    eligible: Option<bool>,
    window: &Window,
    chosen: &[String],
    now: i64,
) -> Result<RowPage> {
    let (found, next) = match eligible {
        Some(eligible) => {
            let page = pool(db, filter, window, eligible, now).await?;
            (page.rows, page.next)
        }
        None => {
            let page = rewards::list(db, filter, window, now).await?;
            (page.rewards.into_iter().map(|reward| (reward, Vec::new())).collect(), page.next)
        }
    };
    let row = |(reward, blockers): (rewards::Reward, Vec<Blocker>)| {
        let mut whys: Vec<String> = blockers.iter().map(Blocker::message).collect();
        whys.dedup();
        columns::reward(&RewardRow { reward, blockers: whys.join(" "), now }, chosen)
    };
    let rows = found.into_iter().map(row).collect();
    Ok(RowPage { rows, next: next.map(|(key, id)| place(key, &id)) })
}

async fn of_transactions(
    db: &mut Db,
    filter: &TransactionFilter,
    after: Option<String>,
    chosen: &[String],
) -> Result<RowPage> {
    let filter = TransactionFilter { after, ..filter.clone() };
    let found = transactions::list(db, &filter, AT_ONCE).await?;
    let next = found.last().filter(|_| is_full(found.len())).map(|last| place(0, &last.id.to_string()));
    let of: Vec<Payee> = found.iter().map(|one| one.terms.payee).collect();
    let names = payees::names(db, &of).await?;
    let fees = transactions::fees_taken(db, found.iter().map(|one| one.id)).await?;
    let mut numbers: HashMap<BatchId, String> = HashMap::new();
    for one in &found {
        if let Entry::Vacant(unknown) = numbers.entry(one.batch) {
            unknown.insert(batches::find(db, &one.batch.to_string()).await?.number);
        }
    }
    let row = |transaction: transactions::Transaction| {
        let named = names.get(&transaction.terms.payee).cloned();
        let batch = numbers.get(&transaction.batch).cloned().unwrap_or_default();
        let fee_taken = fees.get(&transaction.id).copied();
        columns::transaction(&TransactionRow { transaction, named, batch, fee_taken }, chosen)
    };
    Ok(RowPage { rows: found.into_iter().map(row).collect(), next })
}

async fn of_audit(
    db: &mut Db,
    filter: &audit::Filter,
    place_before: Option<(i64, String)>,
    chosen: &[String],
) -> Result<RowPage> {
    let before = place_before.and_then(|(at, seq)| Some((at, seq.parse().ok()?)));
    let found = audit::list(db, &audit::Filter { before, ..filter.clone() }, AT_ONCE).await?;
    let next =
        found.last().filter(|_| is_full(found.len())).map(|last| place(last.at, &last.seq.to_string()));
    Ok(RowPage { rows: found.iter().map(|row| columns::audit(row, chosen)).collect(), next })
}

/// The lines of the next journals, one entry per journal and currency, and the next position.
pub async fn entries(
    db: &mut Db,
    filter: &JournalFilter,
    after: Option<(i64, String)>,
) -> Result<(Vec<Line>, Option<String>)> {
    let (posted, next) = journal::entries(db, filter, after, AT_ONCE / 4).await?;
    let mut subjects: Vec<String> = posted.iter().map(|one| one.subject.clone()).collect();
    subjects.sort_unstable();
    subjects.dedup();
    let numbers = journal::numbers(db, &subjects).await?;
    let names = payees_of(db, posted.iter().map(|one| one.account.as_str())).await?;
    let mut lines: Vec<Line> = posted
        .into_iter()
        .map(|one| Line {
            entry: entry_of(&one.journal, one.money.currency),
            at: one.at,
            movement: one.movement,
            about: numbers.get(&one.subject).cloned().unwrap_or(one.subject),
            payee: names.get(&one.account).cloned(),
            ledger_account: one.account,
            money: one.money.into(),
        })
        .collect();
    // A journal in two currencies becomes two entries; keep the lines of an entry together.
    lines.sort_by(|one, other| (one.at, &one.entry).cmp(&(other.at, &other.entry)));
    Ok((lines, next.map(|(at, id)| place(at, &id))))
}

/// The totals of the next day with any postings, one entry per currency, and the next position.
pub async fn day(
    db: &mut Db,
    filter: &JournalFilter,
    from: Option<i64>,
) -> Result<(Vec<Line>, Option<String>)> {
    let rest = JournalFilter { from: from.or(filter.from), ..filter.clone() };
    let Some(first) = journal::first(db, &rest).await? else { return Ok((Vec::new(), None)) };
    let begins = start_of_date(&date(first)).unwrap_or(first);
    let ends = begins.saturating_add(DAY_US);
    let of_day = JournalFilter {
        from: Some(rest.from.map_or(begins, |from| from.max(begins))),
        before: Some(filter.before.map_or(ends, |before| before.min(ends))),
        currency: filter.currency.clone(),
    };
    let sums = journal::sums(db, &of_day).await?;
    let names = payees_of(db, sums.iter().map(|(account, _)| account.as_str())).await?;
    let line = |(account, money): (String, Sum)| Line {
        entry: entry_of_day(begins, money.currency),
        at: begins,
        movement: String::new(),
        about: String::new(),
        payee: names.get(&account).cloned(),
        ledger_account: account,
        money,
    };
    Ok((sums.into_iter().map(line).collect(), Some(place(ends, ""))))
}

/// The name and external id of the payees behind accounts like `payable:ptn_…`.
async fn payees_of<'a>(
    db: &mut Db,
    accounts: impl Iterator<Item = &'a str>,
) -> Result<HashMap<String, (String, String)>> {
    let mut of: Vec<(String, Payee)> = accounts
        .filter_map(|account| Some((account.to_owned(), Payee::parse(account.strip_prefix("payable:")?)?)))
        .collect();
    of.sort_unstable();
    of.dedup();
    let ids: Vec<Payee> = of.iter().map(|(_, payee)| *payee).collect();
    let names = payees::names(db, &ids).await?;
    let named = |(account, payee): (String, Payee)| {
        let named = names.get(&payee)?;
        Some((account, (named.name.clone(), named.external_id.clone())))
    };
    Ok(of.into_iter().filter_map(named).collect())
}
