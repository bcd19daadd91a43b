//! When a vendor is asked about a payment, by whom, and that it was. What is deliberately not here: what it said, which is
//! recorded as a fact.

use std::collections::{BTreeSet, HashMap, HashSet};

use payout::ids::TransactionId;
use payout::money::Vendor;
use payout::transaction::State;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::store::{Db, MOST_VALUES, Result, Rows, Tx, Value, Where, evidence, word};

/// Leases transactions of a vendor that is to be asked about them, so that two workers do not ask about the same one: first
/// those of which an event or a person told, then those that are due again.
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
    pub id: TransactionId,
    /// What it said, in a few words.
    pub what: String,
    /// When to ask again; `None` when nothing more is expected.
    pub next_at: Option<i64>,
    /// What an event or a person asked for has not been answered: it goes before the others again.
    pub still_hinted: bool,
    /// What the vendor does not show of it.
    pub unshown: Unshown,
}

/// Since when the vendor does not show something of a payment.
#[derive(Clone, Copy, Default, Debug)]
pub struct Unshown {
    pub since: Option<i64>,
    /// What took its money before its transfer was reversed.
    pub reversal_seen_at: Option<i64>,
}

/// Notes what the vendor said and gives the leases back.
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
            one.unshown.since.into(),
            one.unshown.reversal_seen_at.into(),
        ]);
    }
    let sql = "WITH v (id, what, next_at, hinted_at, unseen_since, reversal_seen_at) AS (VALUES {rows}) \
               UPDATE payout_transaction SET asked_at = $1, asked_what = v.what, ask_at = v.next_at, \
               hinted_at = CASE WHEN payout_transaction.hinted_at IS NULL THEN NULL ELSE v.hinted_at END, \
               unseen_since = v.unseen_since, reversal_seen_at = v.reversal_seen_at, ask_lease_until = 0 FROM v WHERE payout_transaction.id = v.id";
    tx.bulk(sql, &[now.into()], rows).await?;
    Ok(())
}

/// Asks for the vendor to be asked about these now. Rows that are due already are written all the same: somebody may be
/// writing down the answer to an earlier question, after which nothing is due any more, and must be waited for. While it is
/// being asked about, the later wish is kept: that question may have been answered before.
pub async fn ask_now(tx: &mut Tx, ids: &[TransactionId], now: i64) -> Result<()> {
    let sql = "UPDATE payout_transaction SET ask_at = CASE WHEN ask_at < $1 THEN ask_at ELSE $1 END, \
               hinted_at = CASE WHEN hinted_at IS NULL OR ask_lease_until > $1 THEN $1 ELSE hinted_at END WHERE id IN ({ids})";
    tx.among(sql, &[now.into()], ids.iter().map(ToString::to_string)).await?;
    Ok(())
}

/// Notes of which of these payments the vendor shows something, and of which it shows nothing: since now, where it did before.
pub async fn note_shown(
    tx: &mut Tx,
    shown: &[TransactionId],
    unseen: &[TransactionId],
    now: i64,
) -> Result<()> {
    if !shown.is_empty() {
        let sql = "UPDATE payout_transaction SET unseen_since = NULL WHERE unseen_since IS NOT NULL AND id IN ({ids})";
        tx.among(sql, &[], shown.iter().map(ToString::to_string)).await?;
    }
    if !unseen.is_empty() {
        let sql =
            "UPDATE payout_transaction SET unseen_since = $1 WHERE unseen_since IS NULL AND id IN ({ids})";
        tx.among(sql, &[now.into()], unseen.iter().map(ToString::to_string)).await?;
    }
    Ok(())
}

/// The payments whose money lies in one of these connected accounts, or may: waiting for its bank payout, parked, being fetched
/// back, given up, or with a bank payout that a person looks for.
pub async fn lying_at(db: &mut Db, accounts: BTreeSet<String>) -> Result<Vec<TransactionId>> {
    let mut found = Vec::new();
    for some in accounts.into_iter().collect::<Vec<_>>().chunks(MOST_VALUES - 20) {
        let mut conditions = Where::default();
        let states = [
            State::Transferred,
            State::PayoutFailed,
            State::PayoutCanceled,
            State::Recalling,
            State::WrittenOff,
            State::PayoutReview,
        ];
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

/// The vendor's ids of the bank payouts of the same payee's other payments to the same account, for each of these payments that
/// has such others.
pub async fn payouts_beside(
    db: &mut Db,
    ids: &[TransactionId],
) -> Result<HashMap<TransactionId, HashSet<String>>> {
    let mut found: HashMap<TransactionId, HashSet<String>> = HashMap::new();
    for some in ids.chunks(MOST_VALUES) {
        let mut conditions = Where::default();
        conditions.among("t.id", some.iter().map(|id| Value::from(id.to_string())));
        conditions
            .and("other.payee = t.payee AND other.destination = t.destination AND other.id <> t.id", []);
        conditions.and("a.transaction_id = other.id AND a.leg = 'payout' AND a.vendor_id IS NOT NULL", []);
        let sql = "SELECT t.id, a.vendor_id FROM payout_transaction t CROSS JOIN payout_transaction other \
                   CROSS JOIN attempt a {where}";
        for row in db.all(conditions.query(sql)).await? {
            let id: String = row.try_get(0)?;
            found.entry(word(TransactionId::parse(&id), &id)?).or_default().insert(row.try_get(1)?);
        }
    }
    Ok(found)
}

/// Those of these payments of which a bank payout was found after a restore and was settled by people's word.
pub async fn with_settled_payouts(db: &mut Db, ids: &[TransactionId]) -> Result<HashSet<TransactionId>> {
    let mut found = HashSet::new();
    for some in ids.chunks(MOST_VALUES) {
        let mut conditions = Where::default();
        conditions.and("settled_at IS NOT NULL AND SUBSTR(object_id, 1, 3) = 'po_'", []);
        conditions.among("our_id", some.iter().map(|id| Value::from(id.to_string())));
        for row in db.all(conditions.query("SELECT DISTINCT our_id FROM found_payment {where}")).await? {
            let id: String = row.try_get(0)?;
            found.insert(word(TransactionId::parse(&id), &id)?);
        }
    }
    Ok(found)
}
