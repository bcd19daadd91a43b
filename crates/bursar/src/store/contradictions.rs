//! Payments about which the vendor has said something else than was final here, and the rewards that must not be paid
//! again until somebody has settled it; and what one person has said about a payment that another must confirm. What a
//! contradiction is, is `payout::law`.

use std::collections::{HashMap, HashSet};

use payout::ids::{AttemptId, RewardId, TransactionId};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Db, MOST_VALUES, Result, Tx, Value, Where, word};

/// The payments that may have been made although they ended here as not made: those that their vendor contradicts, and those
/// that an event names by our key after people or two looks had called them not made, until the vendor was asked about what it
/// names. There are hardly ever any, and every pass asks: each question is one that an index answers, whatever a database
/// believes of how many rows there are.
async fn held(db: &mut Db) -> Result<Vec<Value>> {
    // What is named is marked as contradicted in one commit. Read last, that is seen whenever it was made.
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

/// The rewards that any such payment has ever covered, whether it is closed or not.
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

/// The payments that cover such a reward: those themselves and any other of the same reward.
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

/// The numbers of the payments that their vendor contradicts, oldest first.
pub async fn numbers(db: &mut Db) -> Result<Vec<String>> {
    let sql = "SELECT number FROM payout_transaction WHERE contradicted_at IS NOT NULL";
    let read = |row: &AnyRow| row.try_get::<i64, _>(0);
    let found: std::result::Result<Vec<i64>, _> = db.all(sqlx::query(sql)).await?.iter().map(read).collect();
    let mut found = found?;
    found.sort_unstable();
    Ok(found.into_iter().map(|number| format!("PT-{number:06}")).collect())
}

/// A person has settled what the vendor contradicted of this attempt, or of all of the payment's where none is named. The
/// payment is held for as long as anything is left.
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

/// Takes back why an attempt had failed, that people called it not made or what its vendor said then: it is known now that it
/// was paid, and what its vendor tells of it contradicts nothing any more.
pub async fn withdraw_failure(tx: &mut Tx, attempt: AttemptId) -> Result<()> {
    let sql = "UPDATE attempt SET reason_code = NULL WHERE id = $1 AND state = 'failed'";
    tx.run(sqlx::query(sql).bind(attempt.to_string())).await?;
    Ok(())
}

/// Notes what is known of an attempt, so that its vendor contradicts nothing by telling it again.
pub async fn note_reason(tx: &mut Tx, attempt: AttemptId, code: &str) -> Result<()> {
    let sql = "UPDATE attempt SET reason_code = $2 WHERE id = $1 AND state = 'succeeded'";
    tx.run(sqlx::query(sql).bind(attempt.to_string()).bind(code.to_owned())).await?;
    Ok(())
}

/// Which attempts carry these objects of a vendor: its id, the attempt. A payout of Stripe's own schedule pays several, so
/// payouts are left out.
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

/// How often the books of each of these payments were corrected; the others are not named.
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

/// Where the rewards that a closed payment covered are now.
#[derive(Clone, Debug)]
pub struct Whereabouts {
    pub reward: RewardId,
    /// `RW-000231` without its prefix.
    pub number: i64,
    /// The number of the draft that it is in.
    pub draft: Option<String>,
    /// It is in another payment, or was paid some other way.
    pub elsewhere: bool,
    /// The number of that other payment, while it has not paid and may be sent yet, or once more: `PT-000231` without its
    /// prefix.
    pub may_be_sent: Option<i64>,
    /// That other payment's money lies in the same balance at the vendor as this one's did.
    pub beside: bool,
    /// It was voided, or edited, and is not what the payment paid for any more.
    pub changed: bool,
}

/// What a reward adds to a payment, in minor units.
const ADDS: &str = "CASE WHEN reward.entry = 'clawback' THEN -reward.value_minor ELSE reward.value_minor END";

/// Where the rewards of a payment that gave them back are now.
pub async fn whereabouts(db: &mut Db, id: TransactionId) -> Result<Vec<Whereabouts>> {
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
        Ok(Whereabouts {
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

/// Takes the free rewards of a payment that gave them back into it again, as long as they are what it paid, and opens it;
/// answers how many.
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

/// What one person has said about a payment and another must confirm.
#[derive(Clone, Debug)]
pub struct Opinion {
    /// What is to be done.
    pub deed: String,
    /// Why it takes two: `two_person_rule`, `vendor_not_looked_through`, `nothing_proves_it`.
    pub why: String,
    /// How it was found out.
    pub note: String,
    /// By whom: a login or an API key.
    pub asked_by: String,
    /// The person behind it, as it was then.
    pub asked_person: String,
    pub asked_name: String,
    pub asked_at: i64,
}

/// What waits for a second person about a payment.
pub async fn opinion(db: &mut Db, id: TransactionId) -> Result<Option<Opinion>> {
    let sql = "SELECT deed, note, asked_by, asked_name, asked_at, why, asked_person FROM second_opinion \
         WHERE transaction_id = $1";
    let row = db.optional(sqlx::query(sql).bind(id.to_string())).await?;
    let read = |row: &AnyRow| {
        Ok(Opinion {
            deed: row.try_get(0)?,
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

/// Writes down what one person says, in place of what was said before.
pub async fn ask_second(tx: &mut Tx, id: TransactionId, opinion: &Opinion) -> Result<()> {
    forget_opinion(tx, id).await?;
    let sql = "INSERT INTO second_opinion (transaction_id, deed, note, asked_by, asked_name, asked_at, why, \
               asked_person) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let query = sqlx::query(sql)
        .bind(id.to_string())
        .bind(opinion.deed.clone())
        .bind(opinion.note.clone())
        .bind(opinion.asked_by.clone())
        .bind(opinion.asked_name.clone())
        .bind(opinion.asked_at)
        .bind(opinion.why.clone())
        .bind(opinion.asked_person.clone());
    tx.run(query).await?;
    Ok(())
}

/// Nothing waits for a second person about this payment any more.
pub async fn forget_opinion(tx: &mut Tx, id: TransactionId) -> Result<()> {
    tx.run(sqlx::query("DELETE FROM second_opinion WHERE transaction_id = $1").bind(id.to_string())).await?;
    Ok(())
}

/// The same about several payments.
pub async fn forget_opinions(tx: &mut Tx, ids: &[TransactionId]) -> Result<()> {
    if !ids.is_empty() {
        let sql = "DELETE FROM second_opinion WHERE transaction_id IN ({ids})";
        tx.among(sql, &[], ids.iter().map(ToString::to_string)).await?;
    }
    Ok(())
}
