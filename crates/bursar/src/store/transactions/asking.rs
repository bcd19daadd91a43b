//! Scheduling of look-ups: when and by whom a vendor is asked about a payment, and that it was asked. Not here: its
//! answer, which is recorded as a fact.

use std::collections::{BTreeSet, HashMap, HashSet};

use payout::ids::TransactionId;
use payout::money::Vendor;
use payout::transaction::State;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::store::{Db, MOST_VALUES, Result, Rows, Tx, Value, Where, evidence, word};

/// Leases a vendor's transactions that are due for a look-up, so that two workers do not ask about the same one: first
/// those hinted at by an event or a person, then the regular ones.
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
        leased.sort(); // UPDATE … RETURNING has no defined order.
        found.extend(leased);
    }
    Ok(found)
}

/// A look-up: that the vendor was asked, its answer, and when to ask again.
pub struct LookupUpdate {
    pub id: TransactionId,
    /// The answer in a few words.
    pub what: String,
    /// When to ask again; `None` if nothing more is expected.
    pub next_at: Option<i64>,
    /// A look-up that an event or a person requested had no answer: it keeps its priority.
    pub still_hinted: bool,
    /// What the vendor does not show of it.
    pub unshown: Unshown,
}

/// Since when the vendor does not show part of a payment.
#[derive(Clone, Copy, Default, Debug)]
pub struct Unshown {
    pub since: Option<i64>,
    /// Since when it reports the transfer as reversed without showing what took the money.
    pub reversal_seen_at: Option<i64>,
}

/// Records the answers and releases the leases.
pub async fn note_asked(tx: &mut Tx, asked: &[LookupUpdate], now: i64) -> Result<()> {
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

/// Requests a look-up of these payments now. Also writes rows that are already due: someone may be recording an earlier
/// answer, after which nothing would be due, and must be waited for. While a look-up is running, the newer request is
/// kept, because the running one may predate it.
pub async fn ask_now(tx: &mut Tx, ids: &[TransactionId], now: i64) -> Result<()> {
    let sql = "UPDATE payout_transaction SET ask_at = CASE WHEN ask_at < $1 THEN ask_at ELSE $1 END, \
               hinted_at = CASE WHEN hinted_at IS NULL OR ask_lease_until > $1 THEN $1 ELSE hinted_at END WHERE id IN ({ids})";
    tx.among(sql, &[now.into()], ids.iter().map(ToString::to_string)).await?;
    Ok(())
}

/// Records which payments the vendor shows, and which it does not, starting now if it did before.
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

/// The payments whose money is or may be in one of these connected accounts: awaiting its bank payout, parked, being
/// recalled, written off, or with a bank payout in review.
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

/// For each payment, the vendor ids of bank payouts of the same payee's other payments to the same account, if any.
pub async fn payouts_of_others(
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

/// Those of these payments with a bank payout found after a restore that people resolved.
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
