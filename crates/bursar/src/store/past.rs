//! Payees' payment history, read in sets, as the baseline for checks before Pay. Not here: what counts as unusual
//! (`payout::unusual`).

use std::collections::{HashMap, HashSet};

use payout::ids::{RewardId, TransactionId};
use payout::ledger::Payee;
use payout::money::{Currency, Money, Sum, Vendor};
use payout::payee::Destination;
use payout::transaction::State;
use payout::unusual::{AVERAGE_DAYS, Before, CameBack, DUPLICATE_DAYS, PaidTo, Past, Recent};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Db, MOST_VALUES, Result, Tx, Value, Where, meta, readable, sums, word};

const DAY_US: i64 = 86_400_000_000;

/// These payees' history; omits payees who were never paid.
pub async fn of(db: &mut Db, payees: &[Payee], now: i64) -> Result<HashMap<Payee, Past>> {
    let mut past: HashMap<Payee, Past> = HashMap::new();
    for some in payees.chunks(MOST_VALUES - 20) {
        for (payee, to) in paid_to(db, some).await? {
            past.entry(payee).or_default().destinations.push(to);
        }
        for (payee, back) in came_back(db, some).await? {
            past.entry(payee).or_default().came_back.push(back);
        }
        for (payee, recent) in recent(db, some, now - DUPLICATE_DAYS * DAY_US).await? {
            past.entry(payee).or_default().recent.push(recent);
        }
        for (payee, to, recent) in found(db, some).await? {
            let past = past.entry(payee).or_default();
            past.destinations.push(to);
            past.recent.extend(Some(recent).filter(|one| one.at >= now - DUPLICATE_DAYS * DAY_US));
        }
        for (payee, completed) in completed(db, some, now - AVERAGE_DAYS * DAY_US).await? {
            past.entry(payee).or_default().completed.push(completed);
        }
    }
    Ok(past)
}

fn among(payees: &[Payee]) -> Where {
    let mut conditions = Where::default();
    conditions.among("payee", payees.iter().map(|payee| Value::from(payee.to_string())));
    conditions
}

async fn paid_to(db: &mut Db, payees: &[Payee]) -> Result<Vec<(Payee, PaidTo)>> {
    let mut conditions = among(payees);
    conditions.and("state = 'success'", []);
    let sql = "SELECT payee, fingerprint, MAX(masked), MAX(created_at) FROM payout_transaction {where} \
               GROUP BY payee, fingerprint";
    let read = |row: &AnyRow| {
        let to = PaidTo { fingerprint: row.try_get(1)?, masked: row.try_get(2)?, last_at: row.try_get(3)? };
        Ok((payee(row)?, to))
    };
    db.all(conditions.query(sql)).await?.iter().map(read).collect()
}

/// Payments that went to a destination and did not stay there. A failed payment never went anywhere.
async fn came_back(db: &mut Db, payees: &[Payee]) -> Result<Vec<(Payee, CameBack)>> {
    let mut conditions = among(payees);
    conditions.and(
        "state IN ('returned', 'blocked', 'refunded', 'reversed', 'payout_failed', 'payout_canceled', 'recalling', \
         'recalled', 'written_off')",
        [],
    );
    let sql = "SELECT payee, fingerprint, MAX(number), MAX(created_at) FROM payout_transaction {where} \
               GROUP BY payee, fingerprint";
    let read = |row: &AnyRow| {
        let number: i64 = row.try_get(2)?;
        let number = format!("PT-{number:06}");
        Ok((payee(row)?, CameBack { fingerprint: row.try_get(1)?, number, at: row.try_get(3)? }))
    };
    db.all(conditions.query(sql)).await?.iter().map(read).collect()
}

/// Attempts that ended without proof from the vendor that they were not made, however the payment ended afterwards.
const UNPROVEN: &str = "EXISTS (SELECT 1 FROM attempt a WHERE a.transaction_id = q.id AND a.leg NOT IN ('reversal', 'cancel') \
                        AND a.state = 'failed' \
                        AND a.reason_code IN ('not_made', 'not_found_at_vendor'))";

/// The earlier payments that released these rewards, except those the vendor rejected, where nothing ever moved. A
/// payment called not made because nothing was found, or by people, may turn out to have been made.
pub async fn of_rewards(db: &mut Db, rewards: &[RewardId]) -> Result<Vec<Before>> {
    let mut found = Vec::new();
    for some in rewards.chunks(MOST_VALUES - 20) {
        let mut conditions = Where::default();
        conditions.among("c.reward_id", some.iter().map(|id| Value::from(id.to_string())));
        conditions.and("q.id = c.transaction_id AND w.id = c.reward_id", []);
        conditions.and("q.released_at IS NOT NULL", []);
        conditions.and(&format!("(q.state <> 'failed' OR {UNPROVEN})"), []);
        let sql = format!(
            "SELECT c.reward_id, w.number, q.number, q.state, q.created_at, CAST(CASE WHEN {UNPROVEN} THEN 1 ELSE 0 END \
             AS BIGINT) FROM transaction_reward c CROSS JOIN payout_transaction q CROSS JOIN reward w {{where}} ORDER BY q.number"
        );
        for row in db.all(conditions.query(&sql)).await? {
            let (reward, state): (String, String) = (row.try_get(0)?, row.try_get(3)?);
            found.push(Before {
                reward: word(RewardId::parse(&reward), &reward)?,
                reward_number: row.try_get(1)?,
                payment: row.try_get(2)?,
                state: word(State::parse(&state), &state)?,
                unproven: row.try_get::<i64, _>(5)? == 1,
                at: row.try_get(4)?,
            });
        }
    }
    Ok(found)
}

/// Every payment a reward was ever in.
pub async fn payments_of(db: &mut Db, reward: RewardId) -> Result<Vec<TransactionId>> {
    let sql = "SELECT transaction_id FROM transaction_reward WHERE reward_id = $1 ORDER BY transaction_id";
    let read = |row: &AnyRow| {
        let id: String = row.try_get(0)?;
        word(TransactionId::parse(&id), &id)
    };
    db.all(sqlx::query(sql).bind(reward.to_string())).await?.iter().map(read).collect()
}

/// Payments of the same amount to a payee, represented by the latest.
fn recent_of(row: &AnyRow) -> Result<(Payee, Recent)> {
    let number: i64 = row.try_get(3)?;
    let amount = Money::new(row.try_get(2)?, currency(row)?);
    Ok((payee(row)?, Recent { number: format!("PT-{number:06}"), amount, at: row.try_get(4)? }))
}

/// Excludes released payments, because paying their rewards again is intended. Includes failed payments that still hold
/// their rewards: they can be resent, and would then duplicate a reward entered anew.
async fn recent_rows(db: &mut Db, payees: &[Payee], since: i64) -> Result<Vec<AnyRow>> {
    let mut conditions = among(payees);
    conditions.and("released_at IS NULL AND created_at >= ?", [Value::from(since)]);
    let sql = "SELECT payee, currency, amount_minor, MAX(number), MAX(created_at) FROM payout_transaction \
               {where} GROUP BY payee, currency, amount_minor";
    db.all(conditions.query(sql)).await
}

async fn recent(db: &mut Db, payees: &[Payee], since: i64) -> Result<Vec<(Payee, Recent)>> {
    readable(recent_rows(db, payees, since).await?.iter().map(recent_of))
}

/// Payees with unreadable payments in the recent days, each with the number of one: whether they are being paid twice
/// is unknown.
pub async fn unread(db: &mut Db, payees: &[Payee], now: i64) -> Result<HashMap<Payee, String>> {
    let since = now - DUPLICATE_DAYS * DAY_US;
    let mut doubtful = HashSet::new();
    for some in payees.chunks(MOST_VALUES - 20) {
        for row in recent_rows(db, some, since).await?.iter().filter(|row| recent_of(row).is_err()) {
            doubtful.insert(payee(row)?);
        }
    }
    let mut found = HashMap::new();
    for one in doubtful {
        let mut conditions = among(&[one]);
        conditions.and("released_at IS NULL AND created_at >= ?", [Value::from(since)]);
        let sql = "SELECT payee, currency, amount_minor, number, created_at FROM payout_transaction {where} ORDER BY id";
        let rows = db.all(conditions.query(sql)).await?;
        let unread = rows.iter().filter(|row| recent_of(row).is_err());
        let numbers: Vec<Option<i64>> = unread.map(|row| row.try_get(3).ok()).collect();
        drop(rows);
        let mut held = None;
        for number in numbers {
            let looked = match number {
                Some(number) => looked_at(db, number).await?.is_some(),
                None => false,
            };
            if !looked {
                held = Some(number.map_or_else(|| "?".to_owned(), |number| format!("PT-{number:06}")));
                break;
            }
        }
        found.extend(held.map(|number| (one, number)));
    }
    Ok(found)
}

fn looked(number: i64) -> String {
    format!("looked_at:PT-{number:06}")
}

/// Who confirmed that they checked an unreadable payment, as recorded.
pub async fn looked_at(db: &mut Db, number: i64) -> Result<Option<String>> {
    meta::get(db, &looked(number)).await
}

/// Records that someone checked an unreadable payment, which then no longer holds its payee.
pub async fn note_looked(tx: &mut Tx, number: i64, by: &str) -> Result<()> {
    meta::set(tx, &looked(number), by).await
}

/// Withdraws the record that someone investigated it; returns whether there was one.
pub async fn forget_looked(tx: &mut Tx, number: i64) -> Result<bool> {
    let had = looked_at(tx, number).await?.is_some();
    meta::unset(tx, &looked(number)).await?;
    Ok(had)
}

/// Payments found at the vendors after a restore, by destination: they may have paid the same.
async fn found(db: &mut Db, payees: &[Payee]) -> Result<Vec<(Payee, PaidTo, Recent)>> {
    let mut conditions = Where::default();
    conditions.among("p.payee", payees.iter().map(|payee| Value::from(payee.to_string())));
    conditions.and("x.vendor = p.vendor AND x.object_id = p.object_id", []);
    let sql = "SELECT p.payee, x.currency, x.amount_minor, x.vendor, x.destination, x.object_id, \
               COALESCE(x.made_at, x.found_at) FROM found_payee p CROSS JOIN found_payment x {where}";
    let read = |row: &AnyRow| {
        let (vendor, object): (String, String) = (row.try_get(3)?, row.try_get(5)?);
        let vendor = word(Vendor::parse(&vendor), &vendor)?;
        let (address, at): (String, i64) = (row.try_get(4)?, row.try_get(6)?);
        let to = Destination::stored(vendor, &address);
        let amount = Money::new(row.try_get(2)?, currency(row)?);
        let paid = PaidTo { fingerprint: to.fingerprint().to_owned(), masked: to.masked(), last_at: at };
        let number = format!("{} {object}, which Safe mode lists,", vendor.label());
        Ok((payee(row)?, paid, Recent { number, amount, at }))
    };
    db.all(conditions.query(sql)).await?.iter().map(read).collect()
}

async fn completed(db: &mut Db, payees: &[Payee], since: i64) -> Result<Vec<(Payee, (i64, Sum))>> {
    let mut conditions = among(payees);
    conditions.and("state = 'success' AND created_at >= ?", [Value::from(since)]);
    let sql = "SELECT payee, currency, COUNT(*), {sum(amount_minor)} FROM payout_transaction \
               {where} GROUP BY payee, currency";
    let read =
        |row: &AnyRow| Ok((payee(row)?, (row.try_get(2)?, Sum::new(sums::read(row, 3)?, currency(row)?))));
    readable(db.all(conditions.query(sql)).await?.iter().map(read))
}

/// The payees and vendors whose payments since then bore the vendor's monthly fee. A payment of which nothing moved
/// bears it only while it may be resent, not once its rewards are released. Payments from before the fee was recorded
/// are assumed to have borne it.
pub async fn billed_since(db: &mut Db, payees: &[Payee], since: i64) -> Result<HashSet<(Payee, Vendor)>> {
    let mut found = HashSet::new();
    for some in payees.chunks(MOST_VALUES) {
        let mut conditions = among(some);
        conditions.and("created_at >= ? AND COALESCE(monthly_fee_minor, 1) > 0", [Value::from(since)]);
        conditions.and("(state <> 'failed' OR (released_at IS NULL AND outside_at IS NULL))", []);
        let sql = "SELECT DISTINCT payee, vendor FROM payout_transaction {where}";
        for row in db.all(conditions.query(sql)).await? {
            let vendor: String = row.try_get(1)?;
            found.insert((payee(&row)?, word(Vendor::parse(&vendor), &vendor)?));
        }
    }
    Ok(found)
}

fn payee(row: &AnyRow) -> Result<Payee> {
    let payee: String = row.try_get(0)?;
    word(Payee::parse(&payee), &payee)
}

fn currency(row: &AnyRow) -> Result<Currency> {
    let code: String = row.try_get(1)?;
    word(Currency::parse(&code).ok(), &code)
}
