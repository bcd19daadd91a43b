//! Clawbacks and the rewards they reverse: the amount, the reason, and whether it has been deducted yet. Not here:
//! entering one (`ops::rewards`), and withdrawing one because a second payment was returned (`second_payments`).

use payout::ids::RewardId;
use payout::ledger::Payee;
use payout::money::{Currency, Money};
use payout::reward::RewardStatus;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Db, Result, Value, Where, word};

#[derive(Clone, Debug)]
pub struct Clawback {
    pub number: i64,
    /// The number of the reward it claws back.
    pub of: i64,
    pub value: Money,
    /// Approved, or void if it was withdrawn.
    pub status: RewardStatus,
    pub reason: Option<String>,
    /// When it was deducted from a completed payment.
    pub taken_at: Option<i64>,
    /// The number of the payment it is in.
    pub payment: Option<i64>,
    /// The number of the draft it is in.
    pub draft: Option<String>,
}

const READ: &str = "SELECT c.number, of.number, c.currency, c.value_minor, c.status, c.reason, c.paid_at, t.number, \
                    CASE WHEN c.transaction_id IS NULL THEN b.number END \
                    FROM reward c JOIN reward of ON of.id = c.form_reference \
                    LEFT JOIN payout_transaction t ON t.id = c.transaction_id \
                    LEFT JOIN batch b ON b.id = c.batch_id {where} ORDER BY c.number";

async fn read(db: &mut Db, mut conditions: Where) -> Result<Vec<Clawback>> {
    conditions.and("c.entry = 'clawback'", []);
    let clawback = |row: &AnyRow| {
        let (code, status): (String, String) = (row.try_get(2)?, row.try_get(4)?);
        let currency = word(Currency::parse(&code).ok(), &code)?;
        Ok(Clawback {
            number: row.try_get(0)?,
            of: row.try_get(1)?,
            value: Money::new(row.try_get(3)?, currency),
            status: word(RewardStatus::parse(&status), &status)?,
            reason: row.try_get(5)?,
            taken_at: row.try_get(6)?,
            payment: row.try_get(7)?,
            draft: row.try_get(8)?,
        })
    };
    db.all(conditions.query(READ)).await?.iter().map(clawback).collect()
}

/// The clawbacks of these rewards, including withdrawn ones.
pub async fn of_rewards(db: &mut Db, rewards: impl IntoIterator<Item = RewardId>) -> Result<Vec<Clawback>> {
    let mut conditions = Where::default();
    conditions.among("c.form_reference", rewards.into_iter().map(|id| Value::from(id.to_string())));
    read(db, conditions).await
}

/// A payee's clawbacks that have not been deducted yet.
pub async fn open_of(db: &mut Db, payee: Payee) -> Result<Vec<Clawback>> {
    let mut conditions = Where::default();
    conditions.and("c.payee = ?", [Value::from(payee.to_string())]);
    conditions.and("c.status = 'approved' AND c.transaction_id IS NULL AND c.paid_at IS NULL", []);
    read(db, conditions).await
}
