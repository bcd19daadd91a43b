//! A transaction as raw text, for when its record cannot be parsed: it still shows the payee and the amount. Not here:
//! interpreting the values.

use sqlx::Row as _;

use super::super::{Db, Result};

/// The stored values of the record.
#[derive(Clone, Debug)]
pub struct AsText {
    /// `PT-000977` without its prefix.
    pub number: i64,
    /// The payee's id.
    pub payee: String,
    pub vendor: String,
    pub state: String,
    /// The amount the vendor was instructed to pay, in minor units.
    pub net_minor: String,
    pub currency: String,
    /// The number of its batch.
    pub batch: Option<String>,
    pub created_at: Option<i64>,
    /// The id.
    pub id: String,
}

/// A transaction's record by id or number, unparsed.
pub async fn as_text(db: &mut Db, id_or_number: &str) -> Result<Option<AsText>> {
    let number = id_or_number.strip_prefix("PT-").and_then(|digits| digits.parse::<i64>().ok());
    let sql = "SELECT t.number, CAST(t.payee AS TEXT), CAST(t.vendor AS TEXT), CAST(t.state AS TEXT), \
               CAST(t.net_minor AS TEXT), CAST(t.currency AS TEXT), b.number, t.created_at, CAST(t.id AS TEXT) \
               FROM payout_transaction t LEFT JOIN batch b ON b.id = t.batch_id WHERE t.id = $1 OR t.number = $2";
    let Some(row) = db.optional(sqlx::query(sql).bind(id_or_number.to_owned()).bind(number)).await? else {
        return Ok(None);
    };
    let text = |column: usize| row.try_get::<Option<String>, _>(column).map(Option::unwrap_or_default);
    Ok(Some(AsText {
        number: row.try_get(0)?,
        payee: text(1)?,
        vendor: text(2)?,
        state: text(3)?,
        net_minor: text(4)?,
        currency: text(5)?,
        batch: row.try_get(6)?,
        created_at: row.try_get(7).ok(),
        id: text(8)?,
    }))
}
