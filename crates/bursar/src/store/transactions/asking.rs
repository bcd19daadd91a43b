//! When a vendor is asked about a payment, by whom, and that it was. What is deliberately not here: what it said, which is
//! recorded as a fact.

use std::collections::{BTreeSet, HashSet};

use payout::ids::TransactionId;
use payout::money::Vendor;
use payout::transaction::State;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::Transaction;
use crate::store::{Db, MOST_VALUES, Result, Rows, Tx, Value, Where, evidence, word};

/// Leases transactions of a vendor that is to be asked about them, so that two workers do not ask about the same one: first
/// those of which an event or a person told, then those that are due again.
///
/// # Errors
/// When the database does not answer.
pub async fn lease_to_ask(
    tx: &mut Tx,
    vendor: Vendor,
    now: i64,
    until: i64,
    limit: i64,
) -> Result<Vec<TransactionId>> {
    let read = |row: &AnyRow| {
        let id: String = row.try_get(0)?;
        word(TransactionId::parse(&id), &id)
    };
    let mut found: Vec<TransactionId> = Vec::new();
    for hinted in [true, false] {
        let limit = limit.saturating_sub(i64::try_from(found.len()).unwrap_or(limit));
        if limit == 0 {
            break;
        }
        let due = if hinted { "hinted_at" } else { "ask_at" };
        let sql = format!(
            "UPDATE payout_transaction SET ask_lease_until = $2, ask_lease_node = $4 WHERE id IN \
             (SELECT id FROM payout_transaction WHERE vendor = $3 AND {due} IS NOT NULL AND {due} <= $1 AND ask_at IS NOT NULL \
             AND ask_lease_until <= $1 ORDER BY {due}, id LIMIT {limit}) AND ask_lease_until <= $1 RETURNING id"
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(now).bind(until).bind(vendor.as_str());
        let query = query.bind(tx.node.clone());
        let leased: Result<Vec<_>> = tx.all(query).await?.iter().map(read).collect();
        let mut leased = leased?;
        leased.sort(); // What an UPDATE returns comes in any order.
        found.extend(leased);
    }
    Ok(found)
}

/// Notes that a vendor was asked, what it said, and when to ask again.
pub struct Asked {
    /// About which.
    pub id: TransactionId,
    /// What it said, in a few words.
    pub what: String,
    /// When to ask again; `None` when nothing more is expected.
    pub next_at: Option<i64>,
    /// What an event or a person asked for has not been answered: it goes before the others again.
    pub still_hinted: bool,
    /// Since when the vendor shows nothing of it.
    pub unseen_since: Option<i64>,
}

/// Notes what the vendor said and gives the leases back.
///
/// # Errors
/// When the database does not answer.
pub async fn note_asked(tx: &mut Tx, asked: &[Asked], now: i64) -> Result<()> {
    evidence::note_asked(tx, asked.iter().map(|one| (one.id, one.what.as_str())), now).await?;
    let mut rows = Rows::default();
    for one in asked {
        let hint = one.next_at.filter(|_| one.still_hinted);
        rows.push([
            one.id.to_string().into(),
            one.what.as_str().into(),
            one.next_at.into(),
            hint.into(),
            one.unseen_since.into(),
        ]);
    }
    let sql = "WITH v (id, what, next_at, hinted_at, unseen_since) AS (VALUES {rows}) \
               UPDATE payout_transaction SET asked_at = $1, asked_what = v.what, ask_at = v.next_at, \
               hinted_at = CASE WHEN payout_transaction.hinted_at IS NULL THEN NULL ELSE v.hinted_at END, \
               unseen_since = v.unseen_since, ask_lease_until = 0 FROM v WHERE payout_transaction.id = v.id";
    tx.bulk(sql, &[now.into()], rows).await?;
    Ok(())
}

/// Asks for the vendor to be asked about these now. Rows that are due already are written all the same: somebody may be
/// writing down the answer to an earlier question, after which nothing is due any more, and must be waited for.
///
/// # Errors
/// When the database does not answer.
pub async fn ask_now(tx: &mut Tx, ids: &[TransactionId], now: i64) -> Result<()> {
    let sql = "UPDATE payout_transaction SET ask_at = CASE WHEN ask_at < $1 THEN ask_at ELSE $1 END, \
               hinted_at = COALESCE(hinted_at, $1) WHERE id IN ({ids})";
    tx.among(sql, &[now.into()], ids.iter().map(ToString::to_string)).await?;
    Ok(())
}

/// The payments whose money lies in one of these connected accounts, or may: parked, given up, or with a bank payout that a
/// person looks for.
///
/// # Errors
/// When the database does not answer.
pub async fn lying_at(db: &mut Db, accounts: BTreeSet<String>) -> Result<Vec<TransactionId>> {
    let mut found = Vec::new();
    for some in accounts.into_iter().collect::<Vec<_>>().chunks(MOST_VALUES - 20) {
        let mut conditions = Where::default();
        let states = [State::PayoutFailed, State::PayoutCanceled, State::WrittenOff, State::PayoutReview];
        conditions.among("state", states.map(|state| Value::from(state.as_str())));
        conditions.among("destination", some.iter().map(|account| Value::from(account.as_str())));
        conditions.and("vendor = ?", [Value::from(Vendor::Stripe.as_str())]);
        let query = conditions.query("SELECT id FROM payout_transaction {where}");
        for row in db.all(query).await? {
            let id: String = row.try_get(0)?;
            found.push(word(TransactionId::parse(&id), &id)?);
        }
    }
    Ok(found)
}

/// The vendor's ids of the bank payouts of the same payee's other payments to the same account.
///
/// # Errors
/// When the database does not answer.
pub async fn payouts_beside(db: &mut Db, of: &Transaction) -> Result<HashSet<String>> {
    let sql = "SELECT a.vendor_id FROM payout_transaction t CROSS JOIN attempt a WHERE t.payee = $1 \
               AND t.destination = $2 AND t.id <> $3 AND a.transaction_id = t.id AND a.leg = 'payout' \
               AND a.vendor_id IS NOT NULL";
    let (payee, account) = (of.terms.payee.to_string(), of.destination.address().to_owned());
    let query = sqlx::query(sql).bind(payee).bind(account).bind(of.id.to_string());
    db.all(query).await?.iter().map(|row| Ok(row.try_get(0)?)).collect()
}
