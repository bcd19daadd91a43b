//! Bulk decisions on rewards: what was decided, each reward's previous state, and what can still be undone. Applying
//! the decision is in [`super::rewards`].

use payout::ids::{PartnerId, RewardId};
use payout::ledger::Payee;
use payout::money::{Currency, Sum};
use payout::reward::RewardStatus;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::programs::RewardValue;
use super::{Db, Result, Rows, Tx, Value, Where, sums as wide, word};

/// A bulk decision on rewards.
#[derive(Clone, Debug)]
pub struct Decision {
    /// Its id, `dec_…`.
    pub id: String,
    pub verdict: RewardStatus,
    /// The reason, if one was given.
    pub reason: Option<String>,
    pub at: i64,
    pub by: String,
    /// The query string of the list it was made from.
    pub list: String,
    /// How many rewards it decided.
    pub done: i64,
    pub skipped: i64,
    /// When and by whom it was undone.
    pub undone: Option<(i64, String)>,
}

/// A reward in a decision: its state before the decision and now.
#[derive(Clone, Debug)]
pub struct DecidedReward {
    pub id: RewardId,
    /// Why it was skipped, if it was.
    pub skipped: Option<String>,
    pub before: Option<RewardStatus>,
    /// The version after the decision.
    pub version: Option<i64>,
    /// When this reward was undone.
    pub undone_at: Option<i64>,
    /// Its current state; `None` if it was deleted.
    pub now: Option<Now>,
}

/// The current state of a reward.
#[derive(Clone, Debug)]
pub struct Now {
    /// The public number without its prefix.
    pub number: i64,
    pub owner: PartnerId,
    pub owner_name: String,
    /// The payee; `None` for points.
    pub payee: Option<Payee>,
    pub worth: RewardValue,
    pub status: RewardStatus,
    /// In a batch, in flight or paid.
    pub placed: bool,
    pub version: i64,
}

/// Inserts the decision. [`keep`] records the rewards' state before they change.
pub async fn insert(tx: &mut Tx, decision: &Decision) -> Result<()> {
    let sql = "INSERT INTO decision (id, verdict, reason, decided_at, decided_by, list, done_count, skipped_count) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let query = sqlx::query(sql)
        .bind(decision.id.clone())
        .bind(decision.verdict.as_str())
        .bind(decision.reason.clone())
        .bind(decision.at)
        .bind(decision.by.clone())
        .bind(decision.list.clone())
        .bind(decision.done)
        .bind(decision.skipped);
    tx.run(query).await?;
    Ok(())
}

/// Adds the counts of a further chunk of the decision; 0 if the decision was undone in the meantime.
pub async fn add(tx: &mut Tx, id: &str, done: i64, skipped: i64) -> Result<u64> {
    let sql = "UPDATE decision SET done_count = done_count + $2, skipped_count = skipped_count + $3 \
               WHERE id = $1 AND undone_at IS NULL";
    tx.run(sqlx::query(sql).bind(id.to_owned()).bind(done).bind(skipped)).await
}

/// Records the current state of rewards about to be decided, and the version they will then have.
pub async fn keep(tx: &mut Tx, decision: &str, rewards: impl IntoIterator<Item = RewardId>) -> Result<u64> {
    let sql = "INSERT INTO decision_reward (decision_id, reward_id, version, before_status, before_reason, \
               before_shown_at, before_decided_at, before_decided_by, before_held_until) \
               SELECT $1, id, version + 1, status, reason, reason_shown_at, decided_at, decided_by, held_until \
               FROM reward WHERE id IN ({ids})";
    tx.among(sql, &[decision.into()], rewards.into_iter().map(|id| id.to_string())).await
}

/// Records which rewards were skipped, and why.
pub async fn pass_over(tx: &mut Tx, decision: &str, skipped: &[(RewardId, &str)]) -> Result<u64> {
    let sql = "INSERT INTO decision_reward (decision_id, reward_id, skipped) VALUES {rows} \
               ON CONFLICT (decision_id, reward_id) DO NOTHING";
    let rows: Rows =
        skipped.iter().map(|(id, why)| [decision.into(), id.to_string().into(), (*why).into()]).collect();
    tx.bulk(sql, &[], rows).await
}

/// A decision.
///
/// # Errors
/// [`super::StoreError::Missing`] when there is none of this id.
pub async fn find(db: &mut Db, id: &str) -> Result<Decision> {
    let sql = "SELECT id, verdict, reason, decided_at, decided_by, list, done_count, skipped_count, undone_at, \
               undone_by FROM decision WHERE id = $1";
    let row = db.one(sqlx::query(sql).bind(id.to_owned())).await?;
    let verdict: String = row.try_get(1)?;
    let (undone_at, undone_by): (Option<i64>, Option<String>) = (row.try_get(8)?, row.try_get(9)?);
    Ok(Decision {
        id: row.try_get(0)?,
        verdict: word(RewardStatus::parse(&verdict), &verdict)?,
        reason: row.try_get(2)?,
        at: row.try_get(3)?,
        by: row.try_get(4)?,
        list: row.try_get(5)?,
        done: row.try_get(6)?,
        skipped: row.try_get(7)?,
        undone: undone_at.zip(undone_by),
    })
}

/// Which of a decision's rewards to read.
#[derive(Clone, Copy, Debug)]
pub enum DecidedFilter<'a> {
    /// Those decided, by id, after this one.
    Done(Option<&'a str>),
    /// Those skipped, by id, after this one.
    Skipped(Option<&'a str>),
}

/// A decision's rewards with their previous and current state; all of them if there is no limit.
pub async fn kept(
    db: &mut Db,
    decision: &str,
    which: DecidedFilter<'_>,
    limit: Option<i64>,
) -> Result<Vec<DecidedReward>> {
    let mut conditions = Where::default();
    conditions.and("d.decision_id = ?", [decision.into()]);
    let after = match which {
        DecidedFilter::Done(after) => {
            conditions.and("d.skipped IS NULL", []);
            after
        }
        DecidedFilter::Skipped(after) => {
            conditions.and("d.skipped IS NOT NULL", []);
            after
        }
    };
    if let Some(after) = after {
        conditions.and("d.reward_id > ?", [after.into()]);
    }
    let limit = limit.unwrap_or(i64::MAX);
    let sql = format!(
        "SELECT d.reward_id, d.skipped, d.before_status, d.version, d.undone_at, r.number, r.owner_id, o.name, \
         r.payee, r.value_minor, r.currency, r.status, r.batch_id, r.transaction_id, r.paid_at, r.version \
         FROM decision_reward d LEFT JOIN reward r ON r.id = d.reward_id \
         LEFT JOIN partner o ON o.id = r.owner_id {{where}} ORDER BY d.reward_id LIMIT {limit}"
    );
    db.all(conditions.query(&sql)).await?.iter().map(read).collect()
}

/// The totals of the rewards that a decision decided, by currency; without points and deleted rewards.
pub async fn totals(db: &mut Db, decision: &str) -> Result<Vec<Sum>> {
    let mut conditions = Where::default();
    conditions.and("d.decision_id = ?", [decision.into()]);
    conditions.and("d.skipped IS NULL AND r.currency IS NOT NULL", []);
    let sql = "SELECT r.currency, {sum(CASE WHEN r.entry = 'clawback' THEN -r.value_minor ELSE r.value_minor END)} \
               FROM decision_reward d JOIN reward r ON r.id = d.reward_id {where} GROUP BY r.currency ORDER BY r.currency";
    let read = |row: &AnyRow| {
        let code: String = row.try_get(0)?;
        Ok(Sum::new(wide::read(row, 1)?, word(Currency::parse(&code).ok(), &code)?))
    };
    db.all(conditions.query(sql)).await?.iter().map(read).collect()
}

/// The numbers of the decided rewards that are in a batch, in flight or paid by now; at most `limit`.
pub async fn placed(db: &mut Db, decision: &str, limit: i64) -> Result<Vec<i64>> {
    let mut conditions = Where::default();
    conditions.and("d.decision_id = ?", [decision.into()]);
    conditions.and("d.skipped IS NULL", []);
    conditions.and("(r.batch_id IS NOT NULL OR r.transaction_id IS NOT NULL OR r.paid_at IS NOT NULL)", []);
    let sql = format!(
        "SELECT r.number FROM decision_reward d JOIN reward r ON r.id = d.reward_id {{where}} ORDER BY r.number LIMIT {limit}"
    );
    db.all(conditions.query(&sql)).await?.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Whether a decided reward is still as the decision left it.
pub async fn any_unchanged(db: &mut Db, decision: &str) -> Result<bool> {
    let sql = "SELECT r.id FROM decision_reward d JOIN reward r ON r.id = d.reward_id AND r.version = d.version \
               WHERE d.decision_id = $1 AND d.skipped IS NULL AND d.undone_at IS NULL LIMIT 1";
    Ok(db.optional(sqlx::query(sql).bind(decision.to_owned())).await?.is_some())
}

fn read(row: &AnyRow) -> Result<DecidedReward> {
    let text = |column: usize| row.try_get::<Option<String>, _>(column);
    let status = |column| -> Result<Option<RewardStatus>> {
        text(column)?.map(|status| word(RewardStatus::parse(&status), &status)).transpose()
    };
    let id: String = row.try_get(0)?;
    let number: Option<i64> = row.try_get(5)?;
    Ok(DecidedReward {
        id: word(RewardId::parse(&id), &id)?,
        skipped: text(1)?,
        before: status(2)?,
        version: row.try_get(3)?,
        undone_at: row.try_get(4)?,
        now: number.map(|number| read_now(row, number)).transpose()?,
    })
}

fn read_now(row: &AnyRow, number: i64) -> Result<Now> {
    let text = |column: usize| row.try_get::<Option<String>, _>(column);
    let (owner, status): (String, String) = (row.try_get(6)?, row.try_get(11)?);
    let paid_at: Option<i64> = row.try_get(14)?;
    Ok(Now {
        number,
        owner: word(PartnerId::parse(&owner), &owner)?,
        owner_name: row.try_get(7)?,
        payee: text(8)?.map(|payee| word(Payee::parse(&payee), &payee)).transpose()?,
        worth: RewardValue::read(row.try_get(9)?, text(10)?.as_deref())?,
        status: word(RewardStatus::parse(&status), &status)?,
        placed: text(12)?.is_some() || text(13)?.is_some() || paid_at.is_some(),
        version: row.try_get(15)?,
    })
}

/// Restores every reward that is unchanged since the decision; returns how many.
pub async fn restore_rewards(tx: &mut Tx, decision: &str, rewards: &[RewardId], at: i64) -> Result<u64> {
    // Approval history stays: the books refer to the reward, so it must never be deleted.
    let sql = "UPDATE reward SET status = d.before_status, reason = d.before_reason, \
               reason_shown_at = d.before_shown_at, decided_at = d.before_decided_at, \
               decided_by = d.before_decided_by, held_until = d.before_held_until, version = reward.version + 1 \
               FROM decision_reward d WHERE d.decision_id = $1 AND d.reward_id = reward.id \
               AND reward.id IN ({ids}) AND CASE WHEN reward.version = d.version AND d.skipped IS NULL \
               AND reward.batch_id IS NULL AND reward.transaction_id IS NULL AND reward.paid_at IS NULL \
               THEN 1 ELSE 0 END = 1";
    let ids = || rewards.iter().map(ToString::to_string);
    let given = tx.among(sql, &[decision.into()], ids()).await?;
    let sql = "UPDATE decision_reward SET undone_at = $2 WHERE decision_id = $1 AND reward_id IN ({ids})";
    tx.among(sql, &[decision.into(), at.into()], ids()).await?;
    Ok(given)
}

/// Marks a decision undone unless it already is.
pub async fn mark_undone(tx: &mut Tx, id: &str, by: &str, at: i64) -> Result<bool> {
    let sql = "UPDATE decision SET undone_at = $2, undone_by = $3 WHERE id = $1 AND undone_at IS NULL";
    Ok(tx.run(sqlx::query(sql).bind(id.to_owned()).bind(at).bind(by.to_owned())).await? == 1)
}

/// Cancels notices about these rewards that are still in the outbox; returns how many.
pub async fn cancel_notices(tx: &mut Tx, decided_at: i64, rewards: &[RewardId], at: i64) -> Result<u64> {
    let sql = "UPDATE outbox SET expanded_at = $1 WHERE expanded_at IS NULL AND due_at > $2 \
               AND notice IN ('reward_approved', 'reward_rejected') AND created_at = $2 AND subject IN ({ids})";
    tx.among(sql, &[at.into(), Value::from(decided_at)], rewards.iter().map(ToString::to_string)).await
}
