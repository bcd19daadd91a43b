//! Vendors' balance transactions as read, and the postings they match. Not here: matching and what a difference means
//! (`payout::reconciliation`), and the read models of pages (`days`).

mod case;
pub mod days;
pub mod fitting;

use std::collections::BTreeSet;

use payout::ledger::Movement as Booked;
use payout::money::{Currency, Money, Vendor};
use payout::reconciliation::{kind, ours};
use payout::transaction::State;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Db, MOST_VALUES, Result, Rows, StoreError, Tx, Value, Where, word};
pub use case::{
    Case, Explained, case, cases, lock_case, lock_cases, open_on, put_cases, tasks, untold_tasks,
};
pub use fitting::Known;

/// The vendor account that is read.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Account {
    pub vendor: Vendor,
    /// Its name as in the connection: `acct_…/live`.
    pub name: String,
}

/// The read progress of an account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pull {
    pub of: Account,
    /// Older transactions are not matched against anything.
    pub begun_at: i64,
    /// Everything before this time has been read at least once.
    pub read_until: i64,
    /// The time range being read: from, until.
    pub slice: Option<(i64, i64)>,
    /// The vendor's page cursor within it.
    pub after_page: Option<String>,
    /// When the next read of an older range is due.
    pub deep_at: i64,
    pub due_at: i64,
    pub fence: i64,
    /// When a time range was last read completely.
    pub pulled_at: Option<i64>,
    /// The number of unreadable lines.
    pub unread: i64,
    /// Since when reading fails, and why.
    pub failed: Option<(i64, String)>,
}

const PULL: &str = "vendor, vendor_account, begun_at, read_until, slice_from, slice_until, after_page, deep_at, due_at, \
                    fence, pulled_at, unread, failed_at, failed_why";

fn read_pull(row: &AnyRow) -> Result<Pull> {
    let vendor: String = row.try_get(0)?;
    let (from, until): (Option<i64>, Option<i64>) = (row.try_get(4)?, row.try_get(5)?);
    let (failed_at, why): (Option<i64>, Option<String>) = (row.try_get(12)?, row.try_get(13)?);
    Ok(Pull {
        of: Account { vendor: word(Vendor::parse(&vendor), &vendor)?, name: row.try_get(1)? },
        begun_at: row.try_get(2)?,
        read_until: row.try_get(3)?,
        slice: from.zip(until),
        after_page: row.try_get(6)?,
        deep_at: row.try_get(7)?,
        due_at: row.try_get(8)?,
        fence: row.try_get(9)?,
        pulled_at: row.try_get(10)?,
        unread: row.try_get(11)?,
        failed: failed_at.zip(why),
    })
}

pub async fn pulls(db: &mut Db) -> Result<Vec<Pull>> {
    let sql = format!("SELECT {PULL} FROM vendor_pull ORDER BY vendor, vendor_account");
    db.all(sqlx::query(sqlx::AssertSqlSafe(sql))).await?.iter().map(read_pull).collect()
}

/// Registers an account to be read from `begun_at`, unless it already is.
pub async fn enter(tx: &mut Tx, of: &Account, begun_at: i64) -> Result<()> {
    let sql = "INSERT INTO vendor_pull (vendor, vendor_account, begun_at, read_until, deep_at, due_at, lease_until, fence, \
               unread) VALUES ($1, $2, $3, $3, 0, 0, 0, 0, 0) ON CONFLICT (vendor, vendor_account) DO NOTHING";
    tx.run(sqlx::query(sql).bind(of.vendor.as_str()).bind(of.name.clone()).bind(begun_at)).await?;
    Ok(())
}

/// Leases the reading of an account, if it is due and not leased.
pub async fn lease(tx: &mut Tx, of: &Account, now: i64, until: i64) -> Result<Option<Pull>> {
    let sql = format!(
        "UPDATE vendor_pull SET lease_until = $4, lease_node = $5, fence = fence + 1 \
         WHERE vendor = $1 AND vendor_account = $2 AND due_at <= $3 AND lease_until <= $3 RETURNING {PULL}"
    );
    let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(of.vendor.as_str()).bind(of.name.clone());
    let query = query.bind(now).bind(until).bind(tx.node.clone());
    tx.optional(query).await?.as_ref().map(read_pull).transpose()
}

/// Verifies and extends a lease.
///
/// # Errors
/// [`StoreError::Conflict`] if someone else holds it now.
pub async fn hold(tx: &mut Tx, pull: &Pull, until: i64) -> Result<()> {
    let sql =
        "UPDATE vendor_pull SET lease_until = $4 WHERE vendor = $1 AND vendor_account = $2 AND fence = $3";
    let query = sqlx::query(sql).bind(pull.of.vendor.as_str()).bind(pull.of.name.clone());
    match tx.run(query.bind(pull.fence).bind(until)).await? {
        1 => Ok(()),
        _ => Err(StoreError::Conflict("another process reads this account now".to_owned())),
    }
}

/// Saves the progress of a leased read.
pub async fn note(tx: &mut Tx, pull: &Pull) -> Result<()> {
    let sql = "UPDATE vendor_pull SET read_until = $3, slice_from = $4, slice_until = $5, after_page = $6, deep_at = $7, \
               due_at = $8, pulled_at = $9, unread = $10, failed_at = $11, failed_why = $12 \
               WHERE vendor = $1 AND vendor_account = $2";
    let (from, until) = pull.slice.unzip();
    let (failed_at, why) = pull.failed.clone().unzip();
    let query = sqlx::query(sql).bind(pull.of.vendor.as_str()).bind(pull.of.name.clone());
    let query = query.bind(pull.read_until).bind(from).bind(until).bind(pull.after_page.clone());
    let query = query.bind(pull.deep_at).bind(pull.due_at).bind(pull.pulled_at).bind(pull.unread);
    tx.run(query.bind(failed_at).bind(why)).await?;
    Ok(())
}

pub async fn let_go(tx: &mut Tx, pull: &Pull) -> Result<()> {
    let sql = "UPDATE vendor_pull SET lease_until = 0, lease_node = NULL \
               WHERE vendor = $1 AND vendor_account = $2 AND fence = $3";
    let query = sqlx::query(sql).bind(pull.of.vendor.as_str()).bind(pull.of.name.clone());
    tx.run(query.bind(pull.fence)).await?;
    Ok(())
}

/// Makes every account due now, including an older range; starting at `since` if given.
pub async fn hurry(tx: &mut Tx, now: i64, since: Option<i64>) -> Result<()> {
    let sql = "UPDATE vendor_pull SET due_at = $1, deep_at = $1 WHERE due_at > $1 OR deep_at > $1";
    tx.run(sqlx::query(sql).bind(now)).await?;
    let sql = "UPDATE vendor_pull SET read_until = CASE WHEN read_until < $1 THEN read_until ELSE $1 END, \
               begun_at = CASE WHEN begun_at < $1 THEN begun_at ELSE $1 END, slice_from = NULL, slice_until = NULL, \
               after_page = NULL";
    if let Some(since) = since {
        tx.run(sqlx::query(sql).bind(since)).await?;
    }
    Ok(())
}

/// A balance transaction as read from the vendor.
#[derive(Clone, Debug)]
pub struct NewMovement {
    /// Our id for it.
    pub id: String,
    /// The vendor's own id.
    pub vendor_id: String,
    /// The type in the vendor's own terms.
    pub kind: String,
    /// The gross amount in or out.
    pub amount: Money,
    /// The vendor's fee in it.
    pub fee: Money,
    /// The change of the balance.
    pub net: Money,
    pub created_at: i64,
    /// When the money becomes available.
    pub available_at: Option<i64>,
    /// The day it happened on.
    pub day: String,
    pub source: Option<String>,
    /// The object it belongs to.
    pub object: String,
    /// Our ids in that object's metadata.
    pub names: Option<String>,
    pub body_hash: String,
}

/// Stores balance transactions, once per vendor id, and their days. If the vendor now reports different amounts for
/// one, the new amounts are stored and matched again.
pub async fn keep(tx: &mut Tx, of: &Account, lines: &[NewMovement], now: i64) -> Result<()> {
    let (mut rows, mut seen) = (Rows::default(), BTreeSet::new());
    for line in lines.iter().filter(|line| seen.insert(line.vendor_id.clone())) {
        let none_of_ours = kind(of.vendor, &line.kind).part.aspect().is_none();
        rows.push([
            line.id.as_str().into(),
            of.vendor.as_str().into(),
            of.name.as_str().into(),
            line.vendor_id.as_str().into(),
            line.kind.as_str().into(),
            line.net.currency.code().into(),
            line.amount.minor.into(),
            line.fee.minor.into(),
            line.net.minor.into(),
            line.created_at.into(),
            line.available_at.into(),
            line.day.as_str().into(),
            line.source.clone().into(),
            line.object.as_str().into(),
            line.names.clone().into(),
            line.body_hash.as_str().into(),
            now.into(),
            none_of_ours.then_some(now).into(),
        ]);
    }
    let sql = "INSERT INTO vendor_movement (id, vendor, vendor_account, vendor_id, kind, currency, amount_minor, fee_minor, \
               net_minor, created_at, available_at, day, source, object, names, body_hash, first_seen_at, tied_at) \
               VALUES {rows} ON CONFLICT (vendor, vendor_account, vendor_id) DO UPDATE SET kind = excluded.kind, \
               currency = excluded.currency, amount_minor = excluded.amount_minor, fee_minor = excluded.fee_minor, \
               net_minor = excluded.net_minor, body_hash = excluded.body_hash, journal_id = NULL, line = NULL, \
               tied_at = excluded.tied_at WHERE vendor_movement.kind <> excluded.kind \
               OR vendor_movement.currency <> excluded.currency OR vendor_movement.amount_minor <> excluded.amount_minor \
               OR vendor_movement.fee_minor <> excluded.fee_minor OR vendor_movement.net_minor <> excluded.net_minor";
    tx.bulk(sql, &[], rows).await?;
    let days = lines.iter().map(|line| (line.day.clone(), line.net.currency));
    note_days(tx, of, days).await
}

/// Adds days that have something to show.
async fn note_days(tx: &mut Tx, of: &Account, days: impl Iterator<Item = (String, Currency)>) -> Result<()> {
    let days: BTreeSet<(String, &str)> = days.map(|(day, currency)| (day, currency.code())).collect();
    let row = |(day, currency): (String, &str)| {
        [day.into(), of.vendor.as_str().into(), of.name.as_str().into(), currency.into()]
    };
    let rows: Rows = days.into_iter().map(row).collect();
    let sql = "INSERT INTO vendor_day (day, vendor, vendor_account, currency) VALUES {rows} \
               ON CONFLICT (day, vendor, vendor_account, currency) DO NOTHING";
    tx.bulk(sql, &[], rows).await?;
    Ok(())
}

/// Stores a balance reported by the vendor, replacing the same day's earlier one. Skips a zero balance in a currency
/// without any transactions.
pub async fn note_balance(
    tx: &mut Tx,
    of: &Account,
    day: &str,
    money: Money,
    (balance_at, read_at): (i64, i64),
) -> Result<()> {
    let sql = "INSERT INTO vendor_day (day, vendor, vendor_account, currency, balance_minor, balance_at, read_at, \
               first_balance_minor, first_balance_at, first_read_at) \
               SELECT CAST($1 AS TEXT), CAST($2 AS TEXT), CAST($3 AS TEXT), CAST($4 AS TEXT), CAST($5 AS BIGINT), \
               CAST($6 AS BIGINT), CAST($7 AS BIGINT), CAST($5 AS BIGINT), CAST($6 AS BIGINT), CAST($7 AS BIGINT) WHERE CAST($5 AS BIGINT) <> 0 OR EXISTS (SELECT 1 FROM vendor_day d \
               WHERE d.vendor = $2 AND d.vendor_account = $3 AND d.currency = $4) ON CONFLICT (day, vendor, vendor_account, currency) DO UPDATE SET \
               balance_minor = excluded.balance_minor, balance_at = excluded.balance_at, read_at = excluded.read_at, \
               first_balance_minor = COALESCE(vendor_day.first_balance_minor, excluded.first_balance_minor), \
               first_balance_at = COALESCE(vendor_day.first_balance_at, excluded.first_balance_at), \
               first_read_at = COALESCE(vendor_day.first_read_at, excluded.first_read_at) WHERE vendor_day.balance_at IS NULL OR vendor_day.balance_at <= excluded.balance_at";
    let query = sqlx::query(sql).bind(day.to_owned()).bind(of.vendor.as_str()).bind(of.name.clone());
    let query = query.bind(money.currency.code()).bind(money.minor).bind(balance_at).bind(read_at);
    tx.run(query).await?;
    Ok(())
}

/// Those of these vendor ids that are stored already.
pub async fn known(db: &mut Db, of: &Account, ids: &[String]) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for some in ids.chunks(MOST_VALUES) {
        let mut conditions = Where::default();
        conditions.and("vendor = ?", [of.vendor.as_str().into()]);
        conditions.and("vendor_account = ?", [of.name.as_str().into()]);
        conditions.among("vendor_id", some.iter().map(|id| Value::from(id.as_str())));
        for row in db.all(conditions.query("SELECT vendor_id FROM vendor_movement {where}")).await? {
            found.insert(row.try_get(0)?);
        }
    }
    Ok(found)
}

/// PayPal batches with items whose PayPal payment id is still unknown, newest first.
pub async fn batches_to_look_into(db: &mut Db, account: &str, from: i64, limit: i64) -> Result<Vec<String>> {
    let mut conditions = Where::default();
    conditions.and("s.vendor = 'paypal' AND s.kind = 'batch' AND s.vendor_id IS NOT NULL", []);
    conditions.and("s.created_at >= ?", [from.into()]);
    conditions.and("COALESCE(s.vendor_account, ?) = ?", [account.into(), account.into()]);
    conditions.and(
        "EXISTS (SELECT 1 FROM attempt a WHERE a.submission_id = s.id AND a.leg = 'item' AND a.vendor_reference IS NULL)",
        [],
    );
    let sql =
        format!("SELECT s.vendor_id FROM submission s {{where}} ORDER BY s.created_at DESC LIMIT {limit}");
    db.all(conditions.query(&sql)).await?.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Whether a payment-related transaction exists that has not been assigned to a payment.
pub async fn any_of_nobody(db: &mut Db, of: &Account) -> Result<bool> {
    let sql = "SELECT id FROM vendor_movement WHERE vendor = $1 AND vendor_account = $2 AND tied_at IS NULL \
               AND transaction_id IS NULL LIMIT 1";
    Ok(db.optional(sqlx::query(sql).bind(of.vendor.as_str()).bind(of.name.clone())).await?.is_some())
}

/// Records the PayPal payment ids of these items: item, payment.
pub async fn note_references(tx: &mut Tx, paid_as: &[(String, String)]) -> Result<()> {
    let rows: Rows =
        paid_as.iter().map(|(item, paid)| [item.as_str().into(), paid.as_str().into()]).collect();
    let sql = "WITH v (vendor_id, vendor_reference) AS (VALUES {rows}) \
               UPDATE attempt SET vendor_reference = v.vendor_reference FROM v \
               WHERE attempt.vendor_id = v.vendor_id AND attempt.leg = 'item' AND attempt.vendor_reference IS NULL";
    tx.bulk(sql, &[], rows).await?;
    Ok(())
}

/// Assigns balance transactions to payments: by the vendor's object, otherwise by our ids in its metadata.
pub async fn find_owners(tx: &mut Tx, of: &Account) -> Result<()> {
    let sql = "UPDATE vendor_movement SET transaction_id = COALESCE(\
               (SELECT MIN(a.transaction_id) FROM attempt a WHERE a.vendor_id = vendor_movement.object), \
               (SELECT MIN(a.transaction_id) FROM attempt a WHERE a.vendor_reference = vendor_movement.object), \
               (SELECT t.id FROM payout_transaction t WHERE t.id = vendor_movement.names)) \
               WHERE vendor = $1 AND vendor_account = $2 AND tied_at IS NULL AND transaction_id IS NULL";
    tx.run(sqlx::query(sql).bind(of.vendor.as_str()).bind(of.name.clone())).await?;
    Ok(())
}

/// What to reconcile: payments, and objects that belong to none.
pub async fn subjects(db: &mut Db, of: &Account, booked_from: i64) -> Result<BTreeSet<String>> {
    // CROSS JOIN, because otherwise SQLite would start from every payment.
    let sql = "SELECT COALESCE(transaction_id, object) FROM vendor_movement \
               WHERE vendor = $1 AND vendor_account = $2 AND tied_at IS NULL \
               UNION SELECT subject FROM reconciliation_case \
               WHERE vendor = $1 AND vendor_account = $2 AND closed_at IS NULL AND aspect <> 'balance' \
               UNION SELECT j.subject FROM journal j CROSS JOIN posting p CROSS JOIN payout_transaction t \
               WHERE j.at >= $3 AND p.journal_id = j.id AND p.account = $4 AND t.id = j.subject \
               AND COALESCE(t.vendor_account, $2) = $2 AND NOT EXISTS (SELECT 1 FROM vendor_movement m \
               WHERE m.journal_id = p.journal_id AND m.line = p.line)";
    let query = sqlx::query(sql).bind(of.vendor.as_str()).bind(of.name.clone()).bind(booked_from);
    let rows = db.all(query.bind(format!("vendor_balance:{}", of.vendor.as_str()))).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// A balance transaction to match against postings.
#[derive(Clone, Debug)]
pub struct Held {
    /// Our id for it.
    pub id: String,
    /// The payment, or the unassigned object.
    pub subject: String,
    /// The payment, if it is ours.
    pub transaction: Option<String>,
    /// The type in the vendor's own terms.
    pub kind: String,
    /// The gross amount in or out.
    pub amount: Money,
    /// The vendor's fee in minor units.
    pub fee_minor: i64,
    pub created_at: i64,
    /// The matching posting: journal and line.
    pub posting: Option<(String, i64)>,
    /// Since when everything it belongs to ties.
    pub tied_at: Option<i64>,
}

/// The payment-related balance transactions of these subjects.
pub async fn held(db: &mut Db, of: &Account, subjects: &[String]) -> Result<Vec<Held>> {
    let mut found = Vec::new();
    for some in subjects.chunks(MOST_VALUES) {
        for owned in [true, false] {
            let mut conditions = Where::default();
            let ids = || some.iter().map(|id| Value::from(id.as_str()));
            match owned {
                true => conditions.among("transaction_id", ids()),
                false => {
                    conditions.and("transaction_id IS NULL", []);
                    conditions.among("object", ids());
                }
            }
            conditions.and("vendor = ?", [of.vendor.as_str().into()]);
            conditions.and("vendor_account = ?", [of.name.as_str().into()]);
            conditions.among("kind", ours(of.vendor).map(Value::from));
            let sql = "SELECT id, COALESCE(transaction_id, object), transaction_id, kind, currency, amount_minor, \
                       fee_minor, created_at, journal_id, line, tied_at FROM vendor_movement {where} \
                       ORDER BY created_at, id";
            found.extend(db.all(conditions.query(sql)).await?);
        }
    }
    let read = |row: &AnyRow| {
        let code: String = row.try_get(4)?;
        let (journal, line): (Option<String>, Option<i64>) = (row.try_get(8)?, row.try_get(9)?);
        Ok(Held {
            id: row.try_get(0)?,
            subject: row.try_get(1)?,
            transaction: row.try_get(2)?,
            kind: row.try_get(3)?,
            amount: Money::new(row.try_get(5)?, word(Currency::parse(&code).ok(), &code)?),
            fee_minor: row.try_get(6)?,
            created_at: row.try_get(7)?,
            posting: journal.zip(line),
            tied_at: row.try_get(10)?,
        })
    };
    found.iter().map(read).collect()
}

/// A posting on the ledger account of our balance at a vendor.
#[derive(Clone, Debug)]
pub struct Posted {
    pub subject: String,
    pub journal: String,
    pub line: i64,
    pub movement: Booked,
    /// Money in is positive (a debit).
    pub money: Money,
    pub at: i64,
}

/// These payments' postings on the ledger account of our balance at a vendor.
pub async fn posted(db: &mut Db, vendor: Vendor, subjects: &[String]) -> Result<Vec<Posted>> {
    let mut found = Vec::new();
    for some in subjects.chunks(MOST_VALUES) {
        let mut conditions = Where::default();
        conditions.among("j.subject", some.iter().map(|id| Value::from(id.as_str())));
        conditions.and("p.journal_id = j.id", []);
        conditions.and("p.account = ?", [Value::from(format!("vendor_balance:{}", vendor.as_str()))]);
        let sql = "SELECT j.subject, p.journal_id, p.line, j.movement, p.currency, p.amount_minor, j.at \
                   FROM journal j CROSS JOIN posting p {where} ORDER BY j.at, j.id, p.line";
        found.extend(db.all(conditions.query(sql)).await?);
    }
    let read = |row: &AnyRow| {
        let (movement, code): (String, String) = (row.try_get(3)?, row.try_get(4)?);
        Ok(Posted {
            subject: row.try_get(0)?,
            journal: row.try_get(1)?,
            line: row.try_get(2)?,
            movement: word(Booked::parse(&movement), &movement)?,
            money: Money::new(row.try_get(5)?, word(Currency::parse(&code).ok(), &code)?),
            at: row.try_get(6)?,
        })
    };
    found.iter().map(read).collect()
}

/// The states of payments: id, state.
pub async fn states(db: &mut Db, ids: &[String]) -> Result<Vec<(String, State)>> {
    let mut found = Vec::new();
    for some in ids.chunks(MOST_VALUES) {
        let mut conditions = Where::default();
        conditions.among("id", some.iter().map(|id| Value::from(id.as_str())));
        found.extend(db.all(conditions.query("SELECT id, state FROM payout_transaction {where}")).await?);
    }
    let read = |row: &AnyRow| {
        let state: String = row.try_get(1)?;
        Ok((row.try_get(0)?, word(State::parse(&state), &state)?))
    };
    found.iter().map(read).collect()
}

/// Stores matches: transaction, journal and line. Clears old matches first, so that two can be swapped.
pub async fn pair(tx: &mut Tx, pairs: &[(String, Option<(String, i64)>)]) -> Result<()> {
    let sql = "UPDATE vendor_movement SET journal_id = NULL, line = NULL WHERE id IN ({ids})";
    tx.among(sql, &[], pairs.iter().map(|(id, _)| id.clone())).await?;
    let row = |(id, posting): &(String, Option<(String, i64)>)| {
        let (journal, line) = posting.as_ref()?;
        Some([Value::from(id.as_str()), journal.as_str().into(), (*line).into()])
    };
    let rows: Rows = pairs.iter().filter_map(row).collect();
    let sql = "WITH v (id, journal_id, line) AS (VALUES {rows}) \
               UPDATE vendor_movement SET journal_id = v.journal_id, line = v.line FROM v WHERE vendor_movement.id = v.id";
    tx.bulk(sql, &[], rows).await?;
    Ok(())
}

/// Sets since when transactions tie, or clears it.
pub async fn tie(tx: &mut Tx, ids: Vec<String>, at: Option<i64>) -> Result<()> {
    let sql = "UPDATE vendor_movement SET tied_at = $1 WHERE id IN ({ids})";
    tx.among(sql, &[at.into()], ids).await?;
    Ok(())
}
