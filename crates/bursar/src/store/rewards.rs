//! Rewards: reading single ones, inserting many at once, and recording decisions; lists are in [`list`]. Adding rewards
//! to batches and payments is in [`super::batches`] and [`super::transactions`].

mod filter;
mod list;
mod terms;

pub use filter::{Filter, Sort, View, Visible};
pub use list::{Count, Listed, Position, Window, count, count_up_to, keys, list};

use std::collections::HashMap;

use payout::external;
use payout::ids::{AccountId, ActivityId, BatchId, PartnerId, ProgramId, RewardId, TransactionId};
use payout::ledger::Payee;
use payout::reward::{Entry, PaymentType, Placement, RewardStatus, RewardType, Shown};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use list::{narrowed, page};

use super::programs::RewardValue;
use super::{Db, MOST_VALUES, Result, Rows, Tx, Value, Where, word};

/// A reference to something a reward belongs to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Of<I> {
    /// Our id.
    pub id: I,
    /// The caller's id.
    pub external_id: String,
    pub name: String,
}

/// The data entered for a reward.
#[derive(Clone, Debug)]
pub struct Entered {
    /// The id.
    pub id: RewardId,
    /// `RW-000231` without its prefix.
    pub number: i64,
    /// The caller's id.
    pub external_id: String,
    /// Distinguishes a resent reward from a different one under the same external id.
    pub content_hash: String,
    pub program: ProgramId,
    pub activity: ActivityId,
    pub owner: PartnerId,
    pub account: AccountId,
    pub reward_type: RewardType,
    /// Individual or organization; cash only.
    pub payment_type: Option<PaymentType>,
    /// The payee; `None` for points.
    pub payee: Option<Payee>,
    pub entry: Entry,
    pub worth: RewardValue,
    pub status: RewardStatus,
    pub reason: Option<String>,
    /// The record or form behind it.
    pub form_reference: Option<String>,
    /// The form's fields, as JSON.
    pub form_data: Option<String>,
    pub note: Option<String>,
    /// The date it was earned.
    pub earned_on: Option<String>,
    /// Not payable from this time on.
    pub expires_at: Option<i64>,
    pub held_until: Option<i64>,
    pub created_at: i64,
    pub created_by: String,
    pub decided_at: Option<i64>,
    pub decided_by: Option<String>,
    /// When it was first approved.
    pub first_approved_at: Option<i64>,
}

/// A reward with the names of what it belongs to.
#[derive(Clone, Debug)]
pub struct Reward {
    pub entered: Entered,
    pub program: Of<ProgramId>,
    pub activity: Of<ActivityId>,
    /// The owner: id and names.
    pub owner: Of<PartnerId>,
    pub account: Of<AccountId>,
    /// When the partner was shown the reason.
    pub reason_shown_at: Option<i64>,
    /// The batch it is in: id and number.
    pub batch: Option<(BatchId, String)>,
    /// The payment it is in: id, and number without prefix.
    pub transaction: Option<(TransactionId, i64)>,
    pub paid_at: Option<i64>,
    pub version: i64,
}

impl Reward {
    /// Where it is in the payment process.
    pub fn placement(&self) -> Placement<BatchId> {
        match (self.paid_at, &self.transaction, &self.batch) {
            (Some(at), _, _) => Placement::Paid(at),
            (None, Some(_), _) => Placement::InFlight,
            (None, None, Some((batch, _))) => Placement::InBatch(*batch),
            (None, None, None) => Placement::Free,
        }
    }

    pub fn shown(&self, now: i64) -> Shown {
        payout::reward::shown(self.entered.status, &self.placement(), self.entered.expires_at, now)
    }

    pub fn number(&self) -> String {
        format!("RW-{:06}", self.entered.number)
    }
}

/// A reward by its id, number (`RW-000231`) or external id. Anything in our id or number format is taken as ours; an
/// external id that looks the same is found only by [`find_external`], so that nobody decides on the wrong reward.
pub async fn find(db: &mut Db, id: &str) -> Result<Option<Reward>> {
    let mut conditions = Where::default();
    match (RewardId::parse(id), number(id)) {
        (Some(id), _) => conditions.and("id = ?", [id.to_string().into()]),
        (None, Some(number)) => conditions.and("number = ?", [number.into()]),
        (None, None) => conditions.and("external_id = ?", [external::folded(id).into()]),
    }
    db.optional(page(conditions, 1)).await?.as_ref().map(read).transpose()
}

/// A reward by external id only, even if it looks like another reward's number.
pub async fn find_external(db: &mut Db, external_id: &str) -> Result<Option<Reward>> {
    let mut conditions = Where::default();
    conditions.and("external_id = ?", [external::folded(external_id).into()]);
    db.optional(page(conditions, 1)).await?.as_ref().map(read).transpose()
}

/// The rewards with these ids, in no order.
pub async fn named(db: &mut Db, ids: &[RewardId]) -> Result<Vec<Reward>> {
    let mut found = Vec::new();
    for some in ids.chunks(MOST_VALUES) {
        let mut conditions = Where::default();
        conditions.among("id", some.iter().map(|id| id.to_string().into()));
        for row in db.all(page(conditions, 1_000)).await? {
            found.push(read(&row)?);
        }
    }
    Ok(found)
}

/// A group of a payee's cash rewards that are neither paid nor in the pool.
#[derive(Clone, Debug)]
pub struct Elsewhere {
    /// The draft they are in.
    pub batch: Option<BatchId>,
    /// The payment they are in. If neither is set, they are not approved.
    pub transaction: Option<TransactionId>,
    pub count: i64,
    /// The number of the first one.
    pub first: i64,
}

/// Where a payee's unpaid cash rewards outside the pool are, oldest first.
pub async fn elsewhere(db: &mut Db, payee: Payee, limit: i64) -> Result<Vec<Elsewhere>> {
    let mut conditions = Where::default();
    conditions.and("payee = ? AND paid_at IS NULL AND reward_type = 'cash'", [payee.to_string().into()]);
    conditions.and(
        "(status IN ('submitted', 'in_review') OR batch_id IS NOT NULL OR transaction_id IS NOT NULL)",
        [],
    );
    let sql = format!(
        "SELECT batch_id, transaction_id, COUNT(*), MIN(number) FROM reward {{where}} \
         GROUP BY batch_id, transaction_id ORDER BY MIN(number) LIMIT {limit}"
    );
    let read = |row: &AnyRow| {
        let (batch, transaction): (Option<String>, Option<String>) = (row.try_get(0)?, row.try_get(1)?);
        Ok(Elsewhere {
            batch: batch.map(|id| word(BatchId::parse(&id), &id)).transpose()?,
            transaction: transaction.map(|id| word(TransactionId::parse(&id), &id)).transpose()?,
            count: row.try_get(2)?,
            first: row.try_get(3)?,
        })
    };
    db.all(conditions.query(&sql)).await?.iter().map(read).collect()
}

/// Parses `RW-000231` as 231.
fn number(text: &str) -> Option<i64> {
    text.strip_prefix("RW-")?.parse().ok()
}

/// A reward's inputs to a decision, read in bulk.
#[derive(Clone, Debug)]
pub struct Brief {
    /// The id.
    pub id: RewardId,
    /// The public number without its prefix.
    pub number: i64,
    pub owner: PartnerId,
    /// The payee; `None` for points.
    pub payee: Option<Payee>,
    pub worth: RewardValue,
    pub status: RewardStatus,
    /// In a batch, in flight or paid.
    pub placed: bool,
    /// It has been approved at some time.
    pub ever_approved: bool,
    /// The date it was earned.
    pub earned_on: Option<String>,
    pub created_at: i64,
    /// The program's hold period, in days.
    pub hold_days: i64,
    /// The version that was read, and that the decision applies to.
    pub version: i64,
}

const BRIEF: &str = "SELECT id, number, owner_id, payee, value_minor, currency, status, batch_id, transaction_id, \
                     paid_at, first_approved_at, earned_on, created_at, \
                     (SELECT hold_days FROM program WHERE program.id = reward.program_id) AS hold_days, version FROM reward";

/// The decision inputs of these rewards.
pub async fn briefs(db: &mut Db, ids: &[RewardId]) -> Result<Briefs> {
    let mut found = Briefs::default();
    for some in ids.chunks(MOST_VALUES) {
        let mut conditions = Where::default();
        conditions.among("id", some.iter().map(|id| id.to_string().into()));
        found.read(&db.all(conditions.query(&format!("{BRIEF} {{where}}"))).await?)?;
    }
    Ok(found)
}

/// The decision inputs of all rewards that match a filter, by id.
pub async fn briefs_of(db: &mut Db, filter: &Filter, now: i64) -> Result<Briefs> {
    let query = narrowed(filter, now).query(&format!("{BRIEF} {{where}} ORDER BY id"));
    let mut found = Briefs::default();
    found.read(&db.all(query).await?)?;
    Ok(found)
}

/// The ids of rewards that match a filter, in id order, at most `limit`.
pub async fn ids_of(db: &mut Db, filter: &Filter, now: i64, limit: i64) -> Result<Vec<RewardId>> {
    let sql = format!("SELECT id FROM reward {{where}} ORDER BY id LIMIT {limit}");
    let rows = db.all(narrowed(filter, now).query(&sql)).await?;
    rows.iter().map(|row| parsed(row, "id", RewardId::parse)).collect()
}

/// The decision inputs of those of these rewards that still match a filter.
pub async fn briefs_among(db: &mut Db, filter: &Filter, now: i64, ids: &[RewardId]) -> Result<Briefs> {
    let mut found = Briefs::default();
    for some in ids.chunks(MOST_VALUES) {
        let mut conditions = narrowed(filter, now);
        conditions.among("id", some.iter().map(|id| id.to_string().into()));
        found.read(&db.all(conditions.query(&format!("{BRIEF} {{where}}"))).await?)?;
    }
    Ok(found)
}

/// The readable and unreadable rewards: an unreadable record must not block decisions on the others.
#[derive(Default)]
pub struct Briefs {
    pub readable: Vec<Brief>,
    /// Those whose records cannot be read.
    pub unreadable: Vec<RewardId>,
}

impl Briefs {
    fn read(&mut self, rows: &[AnyRow]) -> Result<()> {
        for row in rows {
            match read_brief(row) {
                Err(error) if error.about_a_row() => {
                    let id = parsed(row, "id", RewardId::parse)?;
                    tracing::error!(reward = %id, %error, "the record of a reward cannot be read; nothing is decided about it");
                    self.unreadable.push(id);
                }
                brief => self.readable.push(brief?),
            }
        }
        Ok(())
    }
}

fn read_brief(row: &AnyRow) -> Result<Brief> {
    let currency: Option<String> = row.try_get("currency")?;
    let batch: Option<String> = row.try_get("batch_id")?;
    let transaction: Option<String> = row.try_get("transaction_id")?;
    let paid_at: Option<i64> = row.try_get("paid_at")?;
    let first_approved_at: Option<i64> = row.try_get("first_approved_at")?;
    Ok(Brief {
        id: parsed(row, "id", RewardId::parse)?,
        number: row.try_get("number")?,
        owner: parsed(row, "owner_id", PartnerId::parse)?,
        payee: maybe(row, "payee", Payee::parse)?,
        worth: RewardValue::read(row.try_get("value_minor")?, currency.as_deref())?,
        status: parsed(row, "status", RewardStatus::parse)?,
        placed: batch.is_some() || transaction.is_some() || paid_at.is_some(),
        ever_approved: first_approved_at.is_some(),
        earned_on: row.try_get("earned_on")?,
        created_at: row.try_get("created_at")?,
        hold_days: row.try_get("hold_days")?,
        version: row.try_get("version")?,
    })
}

/// The external ids that exist already, with their content hashes.
pub async fn known(db: &mut Db, external_ids: &[&str]) -> Result<HashMap<String, String>> {
    let mut known = HashMap::new();
    for some in external_ids.chunks(MOST_VALUES) {
        let mut conditions = Where::default();
        conditions.among("external_id", some.iter().map(|id| Value::from(*id)));
        for row in db.all(conditions.query("SELECT external_id, content_hash FROM reward {where}")).await? {
            known.insert(row.try_get(0)?, row.try_get(1)?);
        }
    }
    Ok(known)
}

/// Inserts rewards; returns how many, which is fewer if an external id was inserted concurrently.
pub async fn insert(tx: &mut Tx, rewards: &[Entered]) -> Result<u64> {
    let sql = "INSERT INTO reward (id, number, external_id, content_hash, program_id, activity_id, owner_id, account_id, \
               reward_type, payment_type, payee, entry, value_minor, currency, status, reason, form_reference, \
               form_data, note, earned_on, expires_at, held_until, created_at, created_by, decided_at, decided_by, \
               first_approved_at, version) VALUES {rows} ON CONFLICT (external_id) DO NOTHING";
    let mut rows = Rows::default();
    for it in rewards {
        rows.push([
            it.id.to_string().into(),
            it.number.into(),
            it.external_id.as_str().into(),
            it.content_hash.as_str().into(),
            it.program.to_string().into(),
            it.activity.to_string().into(),
            it.owner.to_string().into(),
            it.account.to_string().into(),
            it.reward_type.as_str().into(),
            Value::Text(it.payment_type.map(|kind| kind.as_str().to_owned())),
            Value::Text(it.payee.map(|payee| payee.to_string())),
            it.entry.as_str().into(),
            it.worth.minor().into(),
            Value::Text(it.worth.currency().map(|currency| currency.code().to_owned())),
            it.status.as_str().into(),
            it.reason.clone().into(),
            it.form_reference.clone().into(),
            it.form_data.clone().into(),
            it.note.clone().into(),
            it.earned_on.clone().into(),
            it.expires_at.into(),
            it.held_until.into(),
            it.created_at.into(),
            it.created_by.as_str().into(),
            it.decided_at.into(),
            it.decided_by.clone().into(),
            it.first_approved_at.into(),
            1.into(),
        ]);
    }
    tx.bulk(sql, &[], rows).await
}

/// A decision on rewards that are in no batch or payment.
#[derive(Clone, Debug)]
pub struct Decision {
    pub status: RewardStatus,
    pub reason: Option<String>,
    /// When the partner was shown the reason.
    pub reason_shown_at: Option<i64>,
    pub at: i64,
    pub by: String,
}

/// Records a decision on many rewards that are in status `from`, each at the version that was read, with the end of its
/// hold period if it becomes approved. Returns how many still matched.
pub async fn decide(
    tx: &mut Tx,
    decision: &Decision,
    from: RewardStatus,
    rewards: impl IntoIterator<Item = (RewardId, i64, Option<i64>)>,
) -> Result<u64> {
    let approved_at = (decision.status == RewardStatus::Approved).then_some(decision.at);
    let mut rows = Rows::default();
    for (id, version, held_until) in rewards {
        rows.push([id.to_string().into(), version.into(), held_until.into()]);
    }
    let fixed = [
        Value::from(decision.status.as_str()),
        decision.reason.clone().into(),
        decision.reason_shown_at.into(),
        decision.at.into(),
        decision.by.as_str().into(),
        approved_at.into(),
        from.as_str().into(),
    ];
    // Join on the id only; CASE hides the other conditions from the planner. On a table without statistics, PostgreSQL
    // expects them to leave a single row, starts there, and compares every reward with every row of the list.
    let sql = "WITH v (id, version, held_until) AS (VALUES {rows}) \
               UPDATE reward SET status = $1, reason = $2, reason_shown_at = $3, decided_at = $4, decided_by = $5, \
               first_approved_at = COALESCE(reward.first_approved_at, $6), \
               held_until = COALESCE(v.held_until, reward.held_until), version = reward.version + 1 \
               FROM v WHERE reward.id = v.id \
               AND CASE WHEN reward.version = v.version AND reward.status = $7 AND reward.batch_id IS NULL \
               AND reward.transaction_id IS NULL AND reward.paid_at IS NULL THEN 1 ELSE 0 END = 1";
    tx.bulk(sql, &fixed, rows).await
}

/// The new content of a reward's editable fields.
#[derive(Clone, Debug)]
pub struct Edited {
    /// The value in minor units or points.
    pub value_minor: i64,
    pub status: RewardStatus,
    pub reason: Option<String>,
    pub note: Option<String>,
    /// Not payable from this time on.
    pub expires_at: Option<i64>,
}

/// Edits a reward if its version is unchanged and it is in no batch or payment; `false` otherwise.
pub async fn edit(tx: &mut Tx, id: RewardId, version: i64, edited: &Edited) -> Result<bool> {
    let sql = "UPDATE reward SET value_minor = $1, status = $2, reason = $3, note = $4, expires_at = $5, \
               version = version + 1 WHERE id = $6 AND version = $7 \
               AND batch_id IS NULL AND transaction_id IS NULL AND paid_at IS NULL";
    let query = sqlx::query(sql)
        .bind(edited.value_minor)
        .bind(edited.status.as_str())
        .bind(edited.reason.clone())
        .bind(edited.note.clone())
        .bind(edited.expires_at)
        .bind(id.to_string())
        .bind(version);
    Ok(tx.run(query).await? == 1)
}

/// Deletes a reward that was never approved, if its version is unchanged; `false` otherwise.
pub async fn delete(tx: &mut Tx, id: RewardId, version: i64) -> Result<bool> {
    let sql = "DELETE FROM reward WHERE id = $1 AND version = $2 AND first_approved_at IS NULL \
               AND batch_id IS NULL AND transaction_id IS NULL AND paid_at IS NULL";
    Ok(tx.run(sqlx::query(sql).bind(id.to_string()).bind(version)).await? == 1)
}

/// Increments a reward's version if it is unchanged; `false` otherwise.
pub async fn touch(tx: &mut Tx, id: RewardId, version: i64) -> Result<bool> {
    let sql = "UPDATE reward SET version = version + 1 WHERE id = $1 AND version = $2";
    Ok(tx.run(sqlx::query(sql).bind(id.to_string()).bind(version)).await? == 1)
}

/// The amount clawed back from a reward, in minor units, and the number of its clawbacks, including withdrawn ones.
pub async fn clawed_back(db: &mut Db, of: RewardId) -> Result<(i64, i64)> {
    let sql = "SELECT CAST(COALESCE(SUM(CASE WHEN status = 'void' THEN 0 ELSE value_minor END), 0) AS BIGINT), \
               COUNT(*) FROM reward WHERE form_reference = $1 AND entry = 'clawback'";
    let row = db.one(sqlx::query(sql).bind(of.to_string())).await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

fn parsed<T>(row: &AnyRow, column: &str, parse: fn(&str) -> Option<T>) -> Result<T> {
    let text: String = row.try_get(column)?;
    word(parse(&text), &text)
}

fn maybe<T>(row: &AnyRow, column: &str, parse: fn(&str) -> Option<T>) -> Result<Option<T>> {
    let text: Option<String> = row.try_get(column)?;
    text.map(|text| word(parse(&text), &text)).transpose()
}

fn read(row: &AnyRow) -> Result<Reward> {
    let entered = read_entered(row)?;
    let batch = maybe(row, "batch_id", BatchId::parse)?;
    let transaction = maybe(row, "transaction_id", TransactionId::parse)?;
    let batch_number: Option<String> = row.try_get("batch_number")?;
    let transaction_number: Option<i64> = row.try_get("transaction_number")?;
    Ok(Reward {
        program: of(row, entered.program, ["program_xid", "program_name"])?,
        activity: of(row, entered.activity, ["activity_xid", "activity_name"])?,
        owner: of(row, entered.owner, ["owner_xid", "owner_name"])?,
        account: of(row, entered.account, ["account_xid", "account_name"])?,
        reason_shown_at: row.try_get("reason_shown_at")?,
        batch: batch.zip(batch_number),
        transaction: transaction.zip(transaction_number),
        paid_at: row.try_get("paid_at")?,
        version: row.try_get("version")?,
        entered,
    })
}

fn of<I>(row: &AnyRow, id: I, [external_id, name]: [&str; 2]) -> Result<Of<I>> {
    Ok(Of { id, external_id: row.try_get(external_id)?, name: row.try_get(name)? })
}

fn read_entered(row: &AnyRow) -> Result<Entered> {
    let currency: Option<String> = row.try_get("currency")?;
    Ok(Entered {
        id: parsed(row, "id", RewardId::parse)?,
        number: row.try_get("number")?,
        external_id: row.try_get("external_id")?,
        content_hash: row.try_get("content_hash")?,
        program: parsed(row, "program_id", ProgramId::parse)?,
        activity: parsed(row, "activity_id", ActivityId::parse)?,
        owner: parsed(row, "owner_id", PartnerId::parse)?,
        account: parsed(row, "account_id", AccountId::parse)?,
        reward_type: parsed(row, "reward_type", RewardType::parse)?,
        payment_type: maybe(row, "payment_type", PaymentType::parse)?,
        payee: maybe(row, "payee", Payee::parse)?,
        entry: parsed(row, "entry", Entry::parse)?,
        worth: RewardValue::read(row.try_get("value_minor")?, currency.as_deref())?,
        status: parsed(row, "status", RewardStatus::parse)?,
        reason: row.try_get("reason")?,
        form_reference: row.try_get("form_reference")?,
        form_data: row.try_get("form_data")?,
        note: row.try_get("note")?,
        earned_on: row.try_get("earned_on")?,
        expires_at: row.try_get("expires_at")?,
        held_until: row.try_get("held_until")?,
        created_at: row.try_get("created_at")?,
        created_by: row.try_get("created_by")?,
        decided_at: row.try_get("decided_at")?,
        decided_by: row.try_get("decided_by")?,
        first_approved_at: row.try_get("first_approved_at")?,
    })
}
