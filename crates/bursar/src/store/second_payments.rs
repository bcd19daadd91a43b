//! Clawbacks of duplicate payments, each with the payment it is for: when that payment is returned, the clawback is
//! withdrawn. Not here: the clawbacks themselves, which are rewards.

use payout::ids::{RewardId, TransactionId};
use sqlx::Row as _;

use super::{MOST_VALUES, Result, Tx, Value, Where, word};

/// Records which payment a clawback is for.
pub async fn note(tx: &mut Tx, clawback: RewardId, payment: TransactionId) -> Result<()> {
    let sql = "INSERT INTO second_payment (clawback_id, transaction_id) VALUES ($1, $2)";
    tx.run(sqlx::query(sql).bind(clawback.to_string()).bind(payment.to_string())).await?;
    Ok(())
}

/// The active clawbacks for these payments, each with the number of its payment.
pub async fn standing(tx: &mut Tx, payments: &[TransactionId]) -> Result<Vec<(RewardId, i64)>> {
    let mut found = Vec::new();
    for some in payments.chunks(MOST_VALUES) {
        let mut conditions = Where::default();
        conditions.and("s.settled_at IS NULL", []);
        conditions.among("s.transaction_id", some.iter().map(|id| Value::from(id.to_string())));
        let sql = "SELECT s.clawback_id, t.number FROM second_payment s \
                   JOIN payout_transaction t ON t.id = s.transaction_id {where} ORDER BY s.clawback_id";
        for row in tx.all(conditions.query(sql)).await? {
            let id: String = row.try_get(0)?;
            found.push((word(RewardId::parse(&id), &id)?, row.try_get(1)?));
        }
    }
    Ok(found)
}

/// Records that the duplicate payment was returned and its clawback withdrawn.
pub async fn settle(tx: &mut Tx, clawback: RewardId, at: i64) -> Result<()> {
    let sql = "UPDATE second_payment SET settled_at = $2 WHERE clawback_id = $1";
    tx.run(sqlx::query(sql).bind(clawback.to_string()).bind(at)).await?;
    Ok(())
}
