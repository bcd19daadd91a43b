//! What is sent, or sent again under its key, once nothing is stopped: payments, and bank payouts of money that is at Stripe
//! already. What is deliberately not here: whether a gate keeps it waiting, which is asked before each sending.

use payout::money::{Currency, Sum};
use sqlx::Row as _;

use super::{Db, Result, Where, sums, word};

/// Payments in one currency that wait alike.
#[derive(Clone, Copy, Debug)]
pub struct Waiting {
    /// Their money is at Stripe, and its way to the bank is what waits.
    pub bank: bool,
    /// How many.
    pub count: i64,
    /// What they come to.
    pub net: Sum,
}

/// What waits to be sent or has had no answer, by way and currency.
///
/// # Errors
/// When the database does not answer.
pub async fn waiting(db: &mut Db) -> Result<Vec<Waiting>> {
    let mut conditions = Where::default();
    let states =
        "state IN ('queued', 'sending', 'unknown', 'transferred', 'payout_sending', 'payout_unknown')";
    conditions.and(states, []);
    conditions.and("released_at IS NULL AND outside_at IS NULL", []);
    let sql = "SELECT CASE WHEN state IN ('transferred', 'payout_sending', 'payout_unknown') THEN 'bank' ELSE 'all' END AS way, \
               currency, COUNT(*), {sum(net_minor)} FROM payout_transaction {where} GROUP BY way, currency ORDER BY way, currency";
    let rows = db.all(conditions.query(sql)).await?;
    rows.iter()
        .map(|row| {
            let (way, code): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            let currency = word(Currency::parse(&code).ok(), &code)?;
            let net = Sum::new(sums::read(row, 3)?, currency);
            Ok(Waiting { bank: way == "bank", count: row.try_get(2)?, net })
        })
        .collect()
}
