//! The ledger: journals and postings, insert-only. Balances are sums.

use payout::ids::AttemptId;
use payout::ledger::{Journal, Movement};
use sqlx::Row as _;

use super::{Db, Result, Rows, Tx, Where, sums};
use crate::clock::Clock;

/// Writes journals, each with the id of its subject.
pub async fn write(tx: &mut Tx, at: i64, clock: &Clock, entries: &[(String, Journal)]) -> Result<()> {
    let entries = entries.iter().map(|(subject, journal)| (subject.as_str(), None, journal));
    write_all(tx, at, clock, entries).await
}

/// Writes payments' journals, each with its cause: an attempt, or the payment itself. For a movement that one cause can
/// produce only once, the journal id is derived from both, so it cannot be posted twice.
///
/// # Errors
/// [`super::StoreError::Conflict`] if such a movement is already posted.
pub async fn write_once(
    tx: &mut Tx,
    at: i64,
    clock: &Clock,
    entries: &[(String, Option<String>, Journal)],
) -> Result<()> {
    let entries =
        entries.iter().map(|(subject, cause, journal)| (subject.as_str(), cause.as_deref(), journal));
    write_all(tx, at, clock, entries).await
}

/// The journal cause for an attempt that paid in addition to another attempt of the same payment.
pub fn beside(attempt: AttemptId) -> String {
    format!("{attempt}_beside")
}

/// The journal cause for the replacement payment of an attempt that the bank did pay after all.
pub fn in_place_of(attempt: AttemptId) -> String {
    format!("{attempt}_in_place")
}

/// Whether the ledger already records that an attempt paid in addition to another.
pub async fn holds_beside(db: &mut Db, attempt: AttemptId) -> Result<bool> {
    let id = format!("jrn_{}_{}", beside(attempt), Movement::Post.as_str());
    Ok(db.optional(sqlx::query("SELECT id FROM journal WHERE id = $1").bind(id)).await?.is_some())
}

/// Whether one cause can produce this movement only once. Fees and partial reversals arrive in parts. A reward can be
/// approved again after an approval is undone, which its version guards.
fn only_once(movement: Movement) -> bool {
    match movement {
        Movement::Reserve
        | Movement::Void
        | Movement::Post
        | Movement::Park
        | Movement::Unpark
        | Movement::Recall
        | Movement::Reverse
        | Movement::Outside
        | Movement::WriteOff => true,
        Movement::Fee
        | Movement::PartReversed
        | Movement::Approve
        | Movement::Unapprove
        | Movement::Clawback => false,
    }
}

async fn write_all<'a>(
    tx: &mut Tx,
    at: i64,
    clock: &Clock,
    entries: impl Iterator<Item = (&'a str, Option<&'a str>, &'a Journal)>,
) -> Result<()> {
    let (mut journals, mut postings) = (Rows::default(), Rows::default());
    for (subject, cause, journal) in entries {
        let id = match cause.filter(|_| only_once(journal.movement())) {
            Some(cause) => format!("jrn_{cause}_{}", journal.movement().as_str()),
            None => format!("jrn_{}", payout::ids::encode(payout::ids::fresh(at, clock.in_turn()))),
        };
        journals.push([id.as_str().into(), journal.movement().as_str().into(), subject.into(), at.into()]);
        let half = payout::planted::on("half_an_entry") && clock.random().is_multiple_of(8);
        let lines = journal.postings().len() - usize::from(half);
        for (line, posting) in (1i64..).zip(journal.postings()).take(lines) {
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

/// The balance of every ledger account per currency, debit positive: account, currency, minor units.
pub async fn balances(db: &mut Db) -> Result<Vec<(String, String, i128)>> {
    let sql = "SELECT account, currency, {sum(amount_minor)} FROM posting {where} \
               GROUP BY account, currency ORDER BY account, currency";
    let rows = db.all(Where::default().query(sql)).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?, sums::read(row, 2)?))).collect()
}
