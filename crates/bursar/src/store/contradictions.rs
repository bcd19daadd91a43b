//! Payments whose vendor contradicted a final state here, and the rewards that must not be paid again until someone
//! resolves it; also what one person has decided about a payment and another must confirm. `payout::law` defines what a
//! contradiction is.

use std::collections::{HashMap, HashSet};

use payout::ids::{AttemptId, RewardId, TransactionId};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Db, MOST_VALUES, Result, Tx, Value, Where, word};

/// Payments that may have been made although they ended here as not made: those the vendor contradicts, and those an
/// event names by our key after people or two look-ups had called them not made, until the vendor has been asked about
/// the named object. There are hardly ever any, but every pass asks, so each query is answered by an index whatever the
/// database's statistics say.
async fn held(db: &mut Db) -> Result<Vec<Value>> {
    // One commit moves a payment from named to contradicted. Reading contradictions last finds it in one of the two.
    let named = "SELECT submission_id FROM named_object \
                 WHERE vendor IN ('stripe', 'paypal') AND look_at IS NOT NULL AND told_at IS NULL";
    let named = texts(&db.all(sqlx::query(named)).await?)?;
    let mut held = Vec::new();
    for some in named.chunks(MOST_VALUES) {
        let mut conditions = Where::default();
        conditions.among("submission_id", some.to_vec());
        conditions.and("state = 'failed' AND reason_code IN ('not_made', 'not_found_at_vendor')", []);
        held.extend(texts(&db.all(conditions.query("SELECT transaction_id FROM attempt {where}")).await?)?);
    }
    let contradicted = "SELECT id FROM payout_transaction WHERE contradicted_at IS NOT NULL";
    held.extend(texts(&db.all(sqlx::query(contradicted)).await?)?);
    Ok(held)
}

fn texts(rows: &[AnyRow]) -> Result<Vec<Value>> {
    rows.iter().map(|row| Ok(Value::from(row.try_get::<String, _>(0)?))).collect()
}

/// Every reward such a payment has ever covered, whether or not the payment is closed.
pub async fn rewards(db: &mut Db) -> Result<HashSet<RewardId>> {
    let mut found = HashSet::new();
    for some in held(db).await?.chunks(MOST_VALUES) {
        let mut conditions = Where::default();
        conditions.among("transaction_id", some.to_vec());
        for row in db.all(conditions.query("SELECT reward_id FROM transaction_reward {where}")).await? {
            let id: String = row.try_get(0)?;
            found.insert(word(RewardId::parse(&id), &id)?);
        }
    }
    Ok(found)
}

/// Those payments, and any other payment that covers one of their rewards.
pub async fn payments(db: &mut Db) -> Result<HashSet<TransactionId>> {
    let mut found = HashSet::new();
    for some in held(db).await?.chunks(MOST_VALUES) {
        let mut conditions = Where::default();
        conditions.among("tr.transaction_id", some.to_vec());
        let sql = "SELECT DISTINCT other.transaction_id FROM transaction_reward tr \
                   JOIN transaction_reward other ON other.reward_id = tr.reward_id {where}";
        for row in db.all(conditions.query(sql)).await? {
            let id: String = row.try_get(0)?;
            found.insert(word(TransactionId::parse(&id), &id)?);
        }
    }
    Ok(found)
}

/// The numbers of the payments their vendor contradicts, oldest first.
pub async fn numbers(db: &mut Db) -> Result<Vec<String>> {
    let sql = "SELECT number FROM payout_transaction WHERE contradicted_at IS NOT NULL";
    let read = |row: &AnyRow| row.try_get::<i64, _>(0);
    let found: std::result::Result<Vec<i64>, _> = db.all(sqlx::query(sql)).await?.iter().map(read).collect();
    let mut found = found?;
    found.sort_unstable();
    Ok(found.into_iter().map(|number| format!("PT-{number:06}")).collect())
}

/// A person resolved the contradiction of this attempt, or of all the payment's attempts if none is named. The payment
/// stays held while any remains.
pub async fn settle(tx: &mut Tx, id: TransactionId, attempt: Option<AttemptId>) -> Result<()> {
    let sql = "UPDATE attempt SET contradicted_at = NULL WHERE transaction_id = $1 AND contradicted_at IS NOT NULL \
               AND id = COALESCE($2, id)";
    let query = sqlx::query(sql).bind(id.to_string()).bind(attempt.map(|one| one.to_string()));
    tx.run(query).await?;
    let sql = "UPDATE payout_transaction SET contradicted_at = (SELECT MAX(a.contradicted_at) FROM attempt a \
               WHERE a.transaction_id = payout_transaction.id) WHERE id = $1 AND contradicted_at IS NOT NULL";
    tx.run(sqlx::query(sql).bind(id.to_string())).await?;
    Ok(())
}

/// Clears an attempt's failure reason now that it is known to have been paid, so that the vendor's next report
/// contradicts nothing.
pub async fn withdraw_failure(tx: &mut Tx, attempt: AttemptId) -> Result<()> {
    let sql = "UPDATE attempt SET reason_code = NULL WHERE id = $1 AND state = 'failed'";
    tx.run(sqlx::query(sql).bind(attempt.to_string())).await?;
    Ok(())
}

/// Records what is known of an attempt, so that the vendor reporting it again is no contradiction.
pub async fn note_reason(tx: &mut Tx, attempt: AttemptId, code: &str) -> Result<()> {
    let sql = "UPDATE attempt SET reason_code = $2 WHERE id = $1 AND state = 'succeeded'";
    tx.run(sqlx::query(sql).bind(attempt.to_string()).bind(code.to_owned())).await?;
    Ok(())
}

/// The attempts behind these vendor objects: vendor id, attempt. Omits payouts, since one on Stripe's own schedule pays
/// several.
pub async fn carriers(db: &mut Db, vendor_ids: &[String]) -> Result<Vec<(String, AttemptId)>> {
    let mut found = Vec::new();
    for some in vendor_ids.chunks(MOST_VALUES) {
        let mut conditions = Where::default();
        conditions.and("leg IN ('transfer', 'reversal', 'item')", []);
        conditions.among("vendor_id", some.iter().map(|id| Value::from(id.as_str())));
        found.extend(db.all(conditions.query("SELECT vendor_id, id FROM attempt {where}")).await?);
    }
    let read = |row: &AnyRow| {
        let id: String = row.try_get(1)?;
        Ok((row.try_get(0)?, word(AttemptId::parse(&id), &id)?))
    };
    found.iter().map(read).collect()
}

/// How often each payment's books were corrected; omits those that never were.
pub async fn corrections(db: &mut Db, transactions: &[&str]) -> Result<HashMap<String, i64>> {
    let mut found = HashMap::new();
    for some in transactions.chunks(MOST_VALUES) {
        let mut conditions = Where::default();
        conditions.and("effect = 'corrected'", []);
        conditions.among("transaction_id", some.iter().map(|id| Value::from(*id)));
        let sql = "SELECT transaction_id, COUNT(*) FROM timeline {where} GROUP BY transaction_id";
        for row in db.all(conditions.query(sql)).await? {
            found.insert(row.try_get(0)?, row.try_get(1)?);
        }
    }
    Ok(found)
}

/// The current location of a reward that a closed payment covered.
#[derive(Clone, Debug)]
pub struct RewardLocation {
    pub reward: RewardId,
    /// `RW-000231` without its prefix.
    pub number: i64,
    /// The number of the draft it is in.
    pub draft: Option<String>,
    /// In another payment, or paid some other way.
    pub elsewhere: bool,
    /// The number of that other payment, if it has not paid and may still be sent or resent: `PT-000231` without its
    /// prefix.
    pub may_be_sent: Option<i64>,
    /// The other payment's money is in the vendor balance that this one's was in.
    pub beside: bool,
    /// Voided or edited, so no longer what the payment paid for.
    pub changed: bool,
}

/// A reward's share of a payment, in minor units.
const ADDS: &str = "CASE WHEN reward.entry = 'clawback' THEN -reward.value_minor ELSE reward.value_minor END";

/// The current location of the rewards that a payment released.
pub async fn whereabouts(db: &mut Db, id: TransactionId) -> Result<Vec<RewardLocation>> {
    let sql = format!(
        "SELECT reward.id, reward.number, CASE WHEN reward.transaction_id IS NULL THEN b.number END, \
         CASE WHEN reward.transaction_id IS NOT NULL OR reward.paid_at IS NOT NULL THEN 1 ELSE 0 END, \
         CASE WHEN reward.status <> 'approved' OR tr.amount_minor <> {ADDS} THEN 1 ELSE 0 END, \
         CASE WHEN other.outside_at IS NULL AND other.state IN ('queued', 'sending', 'unknown', 'review', 'transferred', \
         'payout_sending', 'payout_unknown', 'payout_review', 'failed', 'payout_failed', 'payout_canceled', 'recalling', \
         'returned', 'blocked', 'refunded', 'reversed', 'written_off') THEN other.number END, \
         CASE WHEN other.state IN ('payout_failed', 'payout_canceled') AND other.destination = mine.destination \
         THEN 1 ELSE 0 END \
         FROM transaction_reward tr JOIN reward ON reward.id = tr.reward_id \
         JOIN payout_transaction mine ON mine.id = tr.transaction_id \
         LEFT JOIN payout_transaction other ON other.id = reward.transaction_id \
         LEFT JOIN batch b ON b.id = reward.batch_id WHERE tr.transaction_id = $1 ORDER BY reward.number"
    );
    let read = |row: &AnyRow| {
        let id: String = row.try_get(0)?;
        Ok(RewardLocation {
            reward: word(RewardId::parse(&id), &id)?,
            number: row.try_get(1)?,
            draft: row.try_get(2)?,
            elsewhere: row.try_get::<i64, _>(3)? == 1,
            changed: row.try_get::<i64, _>(4)? == 1,
            may_be_sent: row.try_get(5)?,
            beside: row.try_get::<i64, _>(6)? == 1,
        })
    };
    let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id.to_string());
    db.all(query).await?.iter().map(read).collect()
}

/// Puts a payment's released rewards back into it if they are free and unchanged, and reopens it; returns how many.
pub async fn take_back(tx: &mut Tx, id: TransactionId, paid_at: Option<i64>) -> Result<u64> {
    let sql = format!(
        "UPDATE reward SET transaction_id = $1, paid_at = $2, version = version + 1, \
         batch_id = (SELECT t.batch_id FROM payout_transaction t WHERE t.id = $1) \
         WHERE transaction_id IS NULL AND batch_id IS NULL AND paid_at IS NULL AND status = 'approved' \
         AND id IN (SELECT tr.reward_id FROM transaction_reward tr WHERE tr.transaction_id = $1) \
         AND (SELECT tr.amount_minor FROM transaction_reward tr WHERE tr.transaction_id = $1 \
         AND tr.reward_id = reward.id) = {ADDS}"
    );
    let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id.to_string()).bind(paid_at);
    let taken = tx.run(query).await?;
    let sql = "UPDATE payout_transaction SET released_at = NULL WHERE id = $1";
    tx.run(sqlx::query(sql).bind(id.to_string())).await?;
    Ok(taken)
}

/// One person's decision about a payment that another must confirm.
#[derive(Clone, Debug)]
pub struct FirstConfirmation {
    pub action: String,
    /// Why it needs two people: `two_person_rule`, `vendor_not_looked_through`, `nothing_proves_it`.
    pub why: String,
    /// How the person found out.
    pub note: String,
    /// The login or API key that asked.
    pub asked_by: String,
    /// The person behind it at the time.
    pub asked_person: String,
    pub asked_name: String,
    pub asked_at: i64,
}

/// The decision awaiting a second person's confirmation.
pub async fn opinion(db: &mut Db, id: TransactionId) -> Result<Option<FirstConfirmation>> {
    let sql = "SELECT deed, note, asked_by, asked_name, asked_at, why, asked_person FROM second_opinion \
         WHERE transaction_id = $1";
    let row = db.optional(sqlx::query(sql).bind(id.to_string())).await?;
    let read = |row: &AnyRow| {
        Ok(FirstConfirmation {
            action: row.try_get(0)?,
            note: row.try_get(1)?,
            asked_by: row.try_get(2)?,
            asked_name: row.try_get(3)?,
            asked_at: row.try_get(4)?,
            why: row.try_get(5)?,
            asked_person: row.try_get(6)?,
        })
    };
    row.as_ref().map(read).transpose()
}

/// Records a person's decision, replacing any earlier one.
pub async fn ask_second(tx: &mut Tx, id: TransactionId, opinion: &FirstConfirmation) -> Result<()> {
    forget_opinion(tx, id).await?;
    let sql = "INSERT INTO second_opinion (transaction_id, deed, note, asked_by, asked_name, asked_at, why, \
               asked_person) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let query = sqlx::query(sql)
        .bind(id.to_string())
        .bind(opinion.action.clone())
        .bind(opinion.note.clone())
        .bind(opinion.asked_by.clone())
        .bind(opinion.asked_name.clone())
        .bind(opinion.asked_at)
        .bind(opinion.why.clone())
        .bind(opinion.asked_person.clone());
    tx.run(query).await?;
    Ok(())
}

/// Removes the pending decision about this payment.
pub async fn forget_opinion(tx: &mut Tx, id: TransactionId) -> Result<()> {
    tx.run(sqlx::query("DELETE FROM second_opinion WHERE transaction_id = $1").bind(id.to_string())).await?;
    Ok(())
}

/// Removes the pending decisions about several payments.
pub async fn forget_opinions(tx: &mut Tx, ids: &[TransactionId]) -> Result<()> {
    if !ids.is_empty() {
        let sql = "DELETE FROM second_opinion WHERE transaction_id IN ({ids})";
        tx.among(sql, &[], ids.iter().map(ToString::to_string)).await?;
    }
    Ok(())
}
