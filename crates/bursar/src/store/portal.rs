//! Read models of the partner portal: where a payee's money is, by currency; and payout requests.

use std::collections::HashMap;

use payout::ledger::Payee;
use payout::money::{self, Currency};
use payout::transaction::State;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Db, Result, Tx, Value, Where, sums as wide, word};

/// The amount vendors were instructed to pay for payments in one state.
#[derive(Clone, Copy, Debug)]
pub struct Sum {
    pub state: State,
    pub net: money::Sum,
}

#[derive(Clone, Debug)]
pub enum PaymentRange {
    /// Those whose rewards were not released or paid outside.
    Open,
    /// Successful ones whose money left in this period.
    PaidBetween(i64, i64),
    /// Those marked as paid outside from the first date up to but excluding the last.
    OutsideBetween(String, String),
}

/// These payees' payments by currency and state.
pub async fn sums(db: &mut Db, payees: &[Payee], which: &PaymentRange) -> Result<Vec<Sum>> {
    let mut conditions = Where::default();
    conditions.among("payee", payees.iter().map(|payee| Value::from(payee.to_string())));
    match which {
        PaymentRange::Open => conditions.and("released_at IS NULL AND outside_at IS NULL", []),
        PaymentRange::PaidBetween(from, to) => {
            let values = [Value::from(*from), Value::from(*to)];
            conditions.and("state = 'success' AND left_at >= ? AND left_at < ?", values);
        }
        PaymentRange::OutsideBetween(from, to) => {
            let values = [Value::from(from.as_str()), Value::from(to.as_str())];
            conditions.and("outside_on >= ? AND outside_on < ?", values);
        }
    }
    // As in [`super::transactions::Transaction::given`]; the vendor's part is reported separately.
    let outside = "SELECT currency, state, {sum(CASE WHEN otherwise_at IS NULL THEN amount_minor ELSE net_minor END)} \
                   FROM payout_transaction {where} GROUP BY currency, state ORDER BY currency, state";
    let by_vendor = "SELECT currency, state, {sum(net_minor)} \
                     FROM payout_transaction {where} GROUP BY currency, state ORDER BY currency, state";
    let sql = match which {
        PaymentRange::OutsideBetween(..) => outside,
        PaymentRange::Open | PaymentRange::PaidBetween(..) => by_vendor,
    };
    let read = |row: &AnyRow| {
        let (code, state): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let currency = word(Currency::parse(&code).ok(), &code)?;
        Ok(Sum {
            state: word(State::parse(&state), &state)?,
            net: money::Sum::new(wide::read(row, 2)?, currency),
        })
    };
    db.all(conditions.query(sql)).await?.iter().map(read).collect()
}

/// These payees' rewards in an unpaid batch: count and total by payee and currency.
pub async fn in_preparation(db: &mut Db, payees: &[Payee]) -> Result<Vec<(Payee, i64, money::Sum)>> {
    let mut conditions = Where::default();
    conditions.among("payee", payees.iter().map(|payee| Value::from(payee.to_string())));
    conditions.and("batch_id IS NOT NULL AND transaction_id IS NULL AND paid_at IS NULL", []);
    conditions.and("currency IS NOT NULL", []);
    let sql = "SELECT payee, currency, COUNT(*), \
               {sum(CASE WHEN entry = 'clawback' THEN -value_minor ELSE value_minor END)} \
               FROM reward {where} GROUP BY payee, currency ORDER BY currency";
    let read = |row: &AnyRow| {
        let (payee, code): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let currency = word(Currency::parse(&code).ok(), &code)?;
        let payee = word(Payee::parse(&payee), &payee)?;
        Ok((payee, row.try_get(2)?, money::Sum::new(wide::read(row, 3)?, currency)))
    };
    db.all(conditions.query(sql)).await?.iter().map(read).collect()
}

/// Those of these payees who have any rewards.
pub async fn earning(db: &mut Db, payees: &[Payee]) -> Result<Vec<Payee>> {
    let mut conditions = Where::default();
    conditions.among("payee", payees.iter().map(|payee| Value::from(payee.to_string())));
    let rows = db.all(conditions.query("SELECT DISTINCT payee FROM reward {where}")).await?;
    let read = |row: &AnyRow| {
        let payee: String = row.try_get(0)?;
        word(Payee::parse(&payee), &payee)
    };
    rows.iter().map(read).collect()
}

/// Records a payee's payout request.
pub async fn request(tx: &mut Tx, payee: Payee, by: &str, now: i64) -> Result<()> {
    let sql = "INSERT INTO payout_request (payee, payout_requested_at, requested_by) VALUES ($1, $2, $3) \
               ON CONFLICT (payee) DO UPDATE SET payout_requested_at = excluded.payout_requested_at, \
               requested_by = excluded.requested_by";
    tx.run(sqlx::query(sql).bind(payee.to_string()).bind(now).bind(by.to_owned())).await?;
    Ok(())
}

/// Payees with a payout request and no payment since, and when they asked.
pub async fn requests(db: &mut Db) -> Result<HashMap<Payee, i64>> {
    let sql = "SELECT payee, payout_requested_at FROM payout_request WHERE NOT EXISTS (\
               SELECT id FROM payout_transaction \
               WHERE payee = payout_request.payee AND created_at >= payout_request.payout_requested_at)";
    let read = |row: &AnyRow| {
        let payee: String = row.try_get(0)?;
        Ok((word(Payee::parse(&payee), &payee)?, row.try_get(1)?))
    };
    db.all(sqlx::query(sql)).await?.iter().map(read).collect()
}
