//! Vendor fees of payments as posted in the ledger. Not here: fees expected at Pay.

use std::collections::HashMap;

use payout::ids::TransactionId;
use sqlx::Row as _;

use super::super::{Db, MOST_VALUES, Result, Value, Where, sums, word};

/// The vendor's fee for each payment, in minor units of its currency. Payments without a reported fee are left out.
pub async fn fees_taken(
    db: &mut Db,
    of: impl IntoIterator<Item = TransactionId>,
) -> Result<HashMap<TransactionId, i128>> {
    let ids: Vec<TransactionId> = of.into_iter().collect();
    let mut found = HashMap::new();
    for some in ids.chunks(MOST_VALUES) {
        let mut conditions = Where::default();
        conditions.among("transaction_id", some.iter().map(|id| Value::from(id.to_string())));
        conditions.and("fee_minor <> 0", []);
        let sql = "SELECT transaction_id, {sum(fee_minor)} FROM attempt {where} GROUP BY transaction_id";
        for row in db.all(conditions.query(sql)).await? {
            let id: String = row.try_get(0)?;
            found.insert(word(TransactionId::parse(&id), &id)?, sums::read(&row, 1)?);
        }
    }
    Ok(found)
}
