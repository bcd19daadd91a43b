//! The books: journals and postings, only ever added. Balances are sums.

use payout::ledger::Journal;
use sqlx::Row as _;

use super::{Db, Result, Rows, Tx};
use crate::clock::Clock;

/// Writes journals, each with the id of what it is about.
///
/// # Errors
/// When the database does not answer.
pub async fn write(tx: &mut Tx, at: i64, clock: &Clock, entries: &[(String, Journal)]) -> Result<()> {
    let (mut journals, mut postings) = (Rows::default(), Rows::default());
    for (subject, journal) in entries {
        let id = format!("jrn_{}", payout::ids::encode(payout::ids::fresh(at, clock.chance())));
        journals.push([
            id.as_str().into(),
            journal.movement().as_str().into(),
            subject.as_str().into(),
            at.into(),
        ]);
        for (line, posting) in (1i64..).zip(journal.postings()) {
            postings.push([
                id.as_str().into(),
                line.into(),
                posting.account.to_string().into(),
                posting.money.currency.code().into(),
                posting.money.minor.into(),
            ]);
        }
    }
    tx.bulk("INSERT INTO journal (id, movement, subject, at) VALUES {rows}", &[], journals).await?;
    let sql = "INSERT INTO posting (journal_id, line, account, currency, amount_minor) VALUES {rows}";
    tx.bulk(sql, &[], postings).await?;
    Ok(())
}

/// The balance of every ledger account in every currency, debit positive: account, currency, minor units.
///
/// # Errors
/// When the database does not answer.
pub async fn balances(db: &mut Db) -> Result<Vec<(String, String, i64)>> {
    let sql = "SELECT account, currency, CAST(SUM(amount_minor) AS BIGINT) FROM posting \
               GROUP BY account, currency ORDER BY account, currency";
    let rows = db.all(sqlx::query(sql)).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))).collect()
}
