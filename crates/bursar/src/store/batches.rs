//! Batches and their contents. Forming and paying a batch are set-based: no statement per reward.

use std::collections::{BTreeMap, BTreeSet};

use payout::eligibility::RewardFacts;
use payout::external;
use payout::ids::{BatchId, RewardId};
use payout::ledger::Payee;
use payout::money::{Currency, Money, Sum, Vendor};
use payout::reward::{Entry, Placement, RewardStatus, RewardType};
use payout::transaction::State;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Db, MOST_VALUES, Result, Rows, Tx, Value, Where, people, readable, sums, word};

/// A stored batch; its claims and status are computed.
#[derive(Clone, Debug)]
pub struct Batch {
    pub id: BatchId,
    /// `PB-2026-0042`.
    pub number: String,
    /// Who created it, and when.
    pub created: (String, i64),
    /// Who last changed it, and when.
    pub changed: (String, i64),
    pub version: i64,
    /// When the preparer asked for a release.
    pub release_asked_at: Option<i64>,
    pub release_asked_by: Option<String>,
    /// When a release became void because the batch changed afterwards.
    pub release_voided_at: Option<i64>,
    /// Who released which digest, and when.
    pub released: Option<(String, String, i64)>,
    pub deleted_at: Option<i64>,
    /// Who pressed Pay, and when.
    pub paid: Option<(String, i64)>,
    /// The digest at the time of Pay.
    pub digest: Option<String>,
}

impl Batch {
    /// Still a draft: neither paid nor deleted.
    pub fn open(&self) -> bool {
        self.paid.is_none() && self.deleted_at.is_none()
    }
}

const BATCH: &str = "SELECT id, number, created_by, created_at, changed_by, changed_at, version, \
                     release_asked_at, released_by, released_digest, released_at, deleted_at, \
                     pay_pressed_by, pay_pressed_at, digest, release_asked_by, release_voided_at FROM batch";

fn batch(row: &AnyRow) -> Result<Batch> {
    let id: String = row.try_get(0)?;
    let released_by: Option<String> = row.try_get(8)?;
    let released_digest: Option<String> = row.try_get(9)?;
    let released_at: Option<i64> = row.try_get(10)?;
    let paid_by: Option<String> = row.try_get(12)?;
    Ok(Batch {
        id: word(BatchId::parse(&id), &id)?,
        number: row.try_get(1)?,
        created: (row.try_get(2)?, row.try_get(3)?),
        changed: (row.try_get(4)?, row.try_get(5)?),
        version: row.try_get(6)?,
        release_asked_at: row.try_get(7)?,
        release_asked_by: row.try_get(15)?,
        release_voided_at: row.try_get(16)?,
        released: released_by
            .zip(released_digest)
            .zip(released_at)
            .map(|((by, digest), at)| (by, digest, at)),
        deleted_at: row.try_get(11)?,
        paid: paid_by.zip(row.try_get::<Option<i64>, _>(13)?),
        digest: row.try_get(14)?,
    })
}

/// A batch by its id or number.
///
/// # Errors
/// [`super::StoreError::Missing`] when there is none.
pub async fn find(db: &mut Db, id_or_number: &str) -> Result<Batch> {
    let mut conditions = Where::default();
    conditions.and("(id = ? OR number = ?)", [Value::from(id_or_number), Value::from(id_or_number)]);
    batch(&db.one(conditions.query(&format!("{BATCH} {{where}}"))).await?)
}

/// The oldest open draft, if any.
pub async fn open_draft(db: &mut Db) -> Result<Option<Batch>> {
    let mut conditions = Where::default();
    conditions.and("deleted_at IS NULL AND pay_pressed_at IS NULL", []);
    let query = conditions.query(&format!("{BATCH} {{where}} ORDER BY created_at LIMIT 1"));
    db.optional(query).await?.as_ref().map(batch).transpose()
}

pub async fn newest(db: &mut Db, before: Option<&str>, limit: i64) -> Result<Vec<Batch>> {
    let mut conditions = Where::default();
    if let Some(before) = before {
        conditions.and("id < ?", [Value::from(before)]);
    }
    let query = conditions.query(&format!("{BATCH} {{where}} ORDER BY id DESC LIMIT {limit}"));
    db.all(query).await?.iter().map(batch).collect()
}

pub async fn insert(tx: &mut Tx, id: BatchId, number: &str, by: &str, at: i64) -> Result<()> {
    let sql = "INSERT INTO batch (id, number, created_by, created_at, changed_by, changed_at, version) \
               VALUES ($1, $2, $3, $4, $3, $4, 1)";
    let query = sqlx::query(sql).bind(id.to_string()).bind(number.to_owned()).bind(by.to_owned()).bind(at);
    tx.run(query).await?;
    add_contributor(tx, id, by, at).await
}

/// Records that someone took part in forming the batch: created it, changed it, or asked for its release. An API key
/// counts for its creator as well, even if either is removed later.
async fn add_contributor(tx: &mut Tx, id: BatchId, by: &str, at: i64) -> Result<()> {
    let sql = "INSERT INTO batch_hand (batch_id, person, since) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    let behind = people::behind(tx, by, at).await?;
    for person in BTreeSet::from([by.to_owned(), behind]) {
        tx.run(sqlx::query(sql).bind(id.to_string()).bind(person).bind(at)).await?;
    }
    Ok(())
}

/// Whether someone took part in forming the batch, through any of their logins or API keys, and so cannot be the second
/// person who releases it.
pub async fn is_contributor(db: &mut Db, id: BatchId, person: &str, now: i64) -> Result<bool> {
    let behind = people::behind(db, person, now).await?;
    let sql = "SELECT since FROM batch_hand WHERE batch_id = $1 AND (person = $2 OR person = $3)";
    let query = sqlx::query(sql).bind(id.to_string()).bind(person.to_owned()).bind(behind);
    Ok(db.optional(query).await?.is_some())
}

/// The oldest draft that would pay this payee in this currency.
pub async fn draft_with(db: &mut Db, payee: Payee, currency: Currency) -> Result<Option<BatchId>> {
    let sql = "SELECT b.id FROM batch b WHERE b.deleted_at IS NULL AND b.pay_pressed_at IS NULL \
               AND EXISTS (SELECT 1 FROM reward r WHERE r.batch_id = b.id AND r.payee = $1 AND r.currency = $2 \
               AND r.entry = 'earned' AND r.transaction_id IS NULL) ORDER BY b.created_at, b.id LIMIT 1";
    let query = sqlx::query(sql).bind(payee.to_string()).bind(currency.code());
    let Some(row) = db.optional(query).await? else { return Ok(None) };
    let id: String = row.try_get(0)?;
    word(BatchId::parse(&id), &id).map(Some)
}

/// Locks the batch for a change by `by`, if it is still a draft. Increments its version and voids any release. The row
/// stays locked until the transaction ends, so Pay and Delete cannot both find a draft.
pub async fn take_draft(tx: &mut Tx, id: BatchId, by: &str, at: i64) -> Result<bool> {
    let sql = "UPDATE batch SET changed_by = $2, changed_at = $3, version = version + 1, \
               release_voided_at = CASE WHEN released_at IS NULL THEN release_voided_at ELSE $3 END, \
               released_at = NULL, released_by = NULL, released_digest = NULL \
               WHERE id = $1 AND deleted_at IS NULL AND pay_pressed_at IS NULL";
    let taken = tx.run(sqlx::query(sql).bind(id.to_string()).bind(by.to_owned()).bind(at)).await? == 1;
    if taken {
        add_contributor(tx, id, by, at).await?;
    }
    Ok(taken)
}

/// Marks the batch deleted if it is still a draft.
pub async fn mark_deleted(tx: &mut Tx, id: BatchId, at: i64) -> Result<bool> {
    let sql = match payout::planted::on("deleted_though_paid") {
        true => {
            "UPDATE batch SET deleted_at = $2, version = version + 1 WHERE id = $1 AND deleted_at IS NULL"
        }
        false => {
            "UPDATE batch SET deleted_at = $2, version = version + 1 \
             WHERE id = $1 AND deleted_at IS NULL AND pay_pressed_at IS NULL"
        }
    };
    Ok(tx.run(sqlx::query(sql).bind(id.to_string()).bind(at)).await? == 1)
}

/// Marks the batch paid if it is still a draft. Only one transaction ever gets `true` for a batch.
pub async fn mark_paid(tx: &mut Tx, id: BatchId, by: &str, digest: &str, at: i64) -> Result<bool> {
    let sql = "UPDATE batch SET pay_pressed_by = $2, pay_pressed_at = $3, digest = $4, version = version + 1 \
               WHERE id = $1 AND deleted_at IS NULL AND pay_pressed_at IS NULL";
    let query = sqlx::query(sql).bind(id.to_string()).bind(by.to_owned()).bind(at).bind(digest.to_owned());
    Ok(tx.run(query).await? == 1)
}

/// Records a release of exactly this digest.
pub async fn mark_released(tx: &mut Tx, id: BatchId, by: &str, digest: &str, at: i64) -> Result<bool> {
    let sql = "UPDATE batch SET released_by = $2, released_at = $3, released_digest = $4, \
               release_voided_at = NULL \
               WHERE id = $1 AND deleted_at IS NULL AND pay_pressed_at IS NULL";
    let query = sqlx::query(sql).bind(id.to_string()).bind(by.to_owned()).bind(at).bind(digest.to_owned());
    Ok(tx.run(query).await? == 1)
}

/// A reward as input to the gates and claims.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub id: RewardId,
    /// `RW-000231` without its prefix.
    pub number: i64,
    /// The payee; `None` for points.
    pub payee: Option<Payee>,
    /// Its share of a claim; negative for a clawback, `None` for points.
    pub adds: Option<Money>,
    pub facts: RewardFacts,
}

impl Candidate {
    /// The claim it belongs to; `None` for points.
    pub fn claim(&self) -> Option<(Payee, Currency)> {
        Some((self.payee?, self.adds?.currency))
    }

    /// The draft it is in, if any.
    pub fn draft(&self) -> Option<BatchId> {
        match self.facts.placement {
            Placement::InBatch(batch) => Some(batch),
            Placement::Free | Placement::InFlight | Placement::Paid(_) => None,
        }
    }

    /// Whether it reduces the claim: a clawback.
    pub fn takes_off(&self) -> bool {
        self.adds.is_some_and(|adds| adds.minor < 0)
    }
}

const CANDIDATE: &str = "SELECT id, number, payee, entry, value_minor, currency, status, reward_type, \
                         expires_at, held_until, batch_id, transaction_id, paid_at FROM reward";

fn candidate(row: &AnyRow) -> Result<Candidate> {
    let text = |column: usize| row.try_get::<String, _>(column);
    let maybe = |column: usize| row.try_get::<Option<String>, _>(column);
    let (id, entry) = (text(0)?, text(3)?);
    let value: i64 = row.try_get(4)?;
    let sign = match word(Entry::parse(&entry), &entry)? {
        Entry::Earned => 1,
        Entry::Clawback => -1,
    };
    let currency = maybe(5)?.map(|code| word(Currency::parse(&code).ok(), &code)).transpose()?;
    let batch = maybe(10)?.map(|id| word(BatchId::parse(&id), &id)).transpose()?;
    let (transaction, paid_at): (Option<String>, Option<i64>) = (maybe(11)?, row.try_get(12)?);
    let (status, kind) = (text(6)?, text(7)?);
    Ok(Candidate {
        id: word(RewardId::parse(&id), &id)?,
        number: row.try_get(1)?,
        payee: maybe(2)?.map(|id| word(Payee::parse(&id), &id)).transpose()?,
        adds: currency.map(|currency| Money::new(sign * value, currency)),
        facts: RewardFacts {
            status: word(RewardStatus::parse(&status), &status)?,
            reward_type: word(RewardType::parse(&kind), &kind)?,
            expires_at: row.try_get(8)?,
            held_until: row.try_get(9)?,
            placement: match (paid_at, transaction, batch) {
                (Some(at), _, _) => Placement::Paid(at),
                (None, Some(_), _) => Placement::InFlight,
                (None, None, Some(batch)) => Placement::InBatch(batch),
                (None, None, None) => Placement::Free,
            },
            contradicted: false,
        },
    })
}

/// Which rewards [`candidates`] reads.
pub enum CandidateSource<'a> {
    Of(BatchId),
    Named(&'a [RewardId]),
    /// Approved cash rewards in no batch and no payment, narrowed by the filter.
    Pool(&'a PoolFilter),
    /// The clawbacks of these payees that are in no batch and no payment, or in a draft with no other reward.
    Clawbacks(&'a [Payee]),
}

/// A filter for the pool. Values are our ids; the currency is its code.
#[derive(Clone, Debug, Default)]
pub struct PoolFilter {
    pub owner: Option<String>,
    pub account: Option<String>,
    pub program: Option<String>,
    pub activity: Option<String>,
    pub currency: Option<String>,
    /// `individual` or `organization`.
    pub payment_type: Option<String>,
    pub payee: Option<String>,
    pub payees: Option<Vec<Payee>>,
}

/// Reads rewards for gate checks, by payee and currency.
pub async fn candidates(db: &mut Db, pick: CandidateSource<'_>) -> Result<Vec<Candidate>> {
    let sql = format!("{CANDIDATE} {{where}} ORDER BY payee, currency, id");
    let mut found = Vec::new();
    match pick {
        CandidateSource::Of(batch) => {
            let mut conditions = Where::default();
            conditions.and("batch_id = ?", [Value::from(batch.to_string())]);
            found = db.all(conditions.query(&sql)).await?;
        }
        CandidateSource::Named(ids) => {
            for some in ids.chunks(MOST_VALUES) {
                let mut conditions = Where::default();
                conditions.among("id", some.iter().map(|id| Value::from(id.to_string())));
                found.extend(db.all(conditions.query(&sql)).await?);
            }
        }
        CandidateSource::Pool(filter) => found = db.all(pool(filter).query(&sql)).await?,
        CandidateSource::Clawbacks(payees) => {
            for some in payees.chunks(MOST_VALUES) {
                let mut conditions = Where::default();
                conditions.among("payee", some.iter().map(|payee| Value::from(payee.to_string())));
                conditions.and("entry = 'clawback' AND status = 'approved'", []);
                conditions.and("transaction_id IS NULL AND paid_at IS NULL AND reward_type = 'cash'", []);
                let alone = "(batch_id IS NULL OR NOT EXISTS (SELECT 1 FROM reward e \
                             WHERE e.batch_id = reward.batch_id AND e.payee = reward.payee \
                             AND e.currency = reward.currency AND e.entry = 'earned'))";
                conditions.and(alone, []);
                found.extend(db.all(conditions.query(&sql)).await?);
            }
        }
    }
    let contradicted = super::contradictions::rewards(db).await?;
    let marked = |row: &AnyRow| {
        let mut candidate = candidate(row)?;
        candidate.facts.contradicted = contradicted.contains(&candidate.id);
        Ok(candidate)
    };
    found.iter().map(marked).collect()
}

fn free() -> Where {
    let mut conditions = Where::default();
    conditions
        .and("status = 'approved' AND batch_id IS NULL AND transaction_id IS NULL AND paid_at IS NULL", []);
    conditions.and("reward_type = 'cash'", []);
    conditions
}

fn pool(filter: &PoolFilter) -> Where {
    let mut conditions = free();
    let equal = [
        ("owner_id = ?", &filter.owner),
        ("account_id = ?", &filter.account),
        ("program_id = ?", &filter.program),
        ("activity_id = ?", &filter.activity),
        ("currency = ?", &filter.currency),
        ("payment_type = ?", &filter.payment_type),
        ("payee = ?", &filter.payee),
    ];
    for (condition, value) in equal {
        if let Some(value) = value {
            conditions.and(condition, [Value::from(value.as_str())]);
        }
    }
    if let Some(payees) = &filter.payees {
        conditions.among("payee", payees.iter().map(|payee| Value::from(payee.to_string())));
    }
    conditions
}

/// Adds rewards to a batch if they are still approved and free; returns how many were added.
pub async fn put_in(tx: &mut Tx, batch: BatchId, rewards: &[RewardId]) -> Result<u64> {
    // CASE hides the condition from SQLite's planner. For a long list it would otherwise scan all approved rewards once
    // per statement.
    let sql = "UPDATE reward SET batch_id = $1, version = version + 1 WHERE id IN ({ids}) \
               AND CASE WHEN status = 'approved' AND batch_id IS NULL AND transaction_id IS NULL \
               AND paid_at IS NULL THEN 1 ELSE 0 END = 1";
    tx.among(sql, &[batch.to_string().into()], rewards.iter().map(ToString::to_string)).await
}

/// Removes these rewards from a draft; returns the numbers of those that were in it.
pub async fn take_out(tx: &mut Tx, batch: BatchId, rewards: &[RewardId]) -> Result<Vec<i64>> {
    let sql = "UPDATE reward SET batch_id = NULL, version = version + 1 WHERE id IN ({ids}) \
               AND CASE WHEN batch_id = $1 AND transaction_id IS NULL THEN 1 ELSE 0 END = 1 RETURNING number";
    let ids = rewards.iter().map(ToString::to_string);
    numbers(&tx.among_returning(sql, &[batch.to_string().into()], ids).await?)
}

fn numbers(rows: &[AnyRow]) -> Result<Vec<i64>> {
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Removes every reward from a draft; returns their numbers.
pub async fn empty(tx: &mut Tx, batch: BatchId) -> Result<Vec<i64>> {
    let sql = "UPDATE reward SET batch_id = NULL, version = version + 1 \
               WHERE batch_id = $1 AND transaction_id IS NULL RETURNING number";
    numbers(&tx.all(sqlx::query(sql).bind(batch.to_string())).await?)
}

/// A reward of a batch being paid, its transaction, and its share in minor units.
pub type Joined = (RewardId, payout::ids::TransactionId, i64);

/// Links the rewards of a batch being paid to their transactions and records each one's share; returns how many were
/// linked.
pub async fn join_transactions(tx: &mut Tx, batch: BatchId, joined: &[Joined]) -> Result<u64> {
    let (mut covered, mut places) = (Rows::default(), Rows::default());
    for (reward, transaction, minor) in joined {
        covered.push([transaction.to_string().into(), reward.to_string().into(), (*minor).into()]);
        places.push([reward.to_string().into(), transaction.to_string().into()]);
    }
    let sql = "INSERT INTO transaction_reward (transaction_id, reward_id, amount_minor) VALUES {rows}";
    tx.bulk(sql, &[], covered).await?;
    // COALESCE makes PostgreSQL join by reward id. Its statistics may say that a batch formed a moment ago is empty,
    // and it would then scan the whole batch for every row.
    let sql = "WITH v (id, transaction_id) AS (VALUES {rows}) \
               UPDATE reward SET transaction_id = v.transaction_id, version = version + 1 FROM v \
               WHERE reward.id = v.id AND COALESCE(reward.batch_id, '') = $1 AND reward.transaction_id IS NULL";
    tx.bulk(sql, &[batch.to_string().into()], places).await
}

/// A batch's transactions by state and by whether the payee was paid in another way, with counts. Omits those with
/// unreadable records.
pub async fn states(db: &mut Db, batch: BatchId) -> Result<Vec<(State, bool, i64)>> {
    let sql = "SELECT state, COUNT(outside_at), COUNT(*) FROM payout_transaction WHERE batch_id = $1 \
               GROUP BY state, CASE WHEN outside_at IS NULL THEN 0 ELSE 1 END";
    let read = |row: &AnyRow| {
        let state: String = row.try_get(0)?;
        let outside = row.try_get::<i64, _>(1)? > 0;
        Ok((word(State::parse(&state), &state)?, outside, row.try_get(2)?))
    };
    readable(db.all(sqlx::query(sql).bind(batch.to_string())).await?.iter().map(read))
}

/// A batch's transactions with the same status and currency.
#[derive(Clone, Copy, Debug)]
pub struct StateTotal {
    /// The state at the vendor.
    pub state: State,
    /// The payees were paid in another way.
    pub outside: bool,
    pub count: i64,
    /// How many of them the vendor contradicts.
    pub contradicted: i64,
    /// The amount the vendors were instructed to pay.
    pub net: Sum,
}

/// A batch's transactions grouped by status and currency, except those with unreadable records, named in `without`.
pub async fn totals_by_state(db: &mut Db, batch: BatchId, without: &[String]) -> Result<Vec<StateTotal>> {
    let mut conditions = Where::default();
    conditions.and("batch_id = ?", [Value::from(batch.to_string())]);
    for number in without.iter().filter_map(|label| label.strip_prefix("PT-")?.parse::<i64>().ok()) {
        conditions.and("number <> ?", [Value::from(number)]);
    }
    let sql = "SELECT state, currency, COUNT(outside_at), COUNT(*), {sum(net_minor)}, COUNT(contradicted_at) \
               FROM payout_transaction {where} \
               GROUP BY state, currency, CASE WHEN outside_at IS NULL THEN 0 ELSE 1 END";
    let read = |row: &AnyRow| {
        let (state, code): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let currency = word(Currency::parse(&code).ok(), &code)?;
        Ok(StateTotal {
            state: word(State::parse(&state), &state)?,
            outside: row.try_get::<i64, _>(2)? > 0,
            count: row.try_get(3)?,
            contradicted: row.try_get(6)?,
            net: Sum::new(sums::read(row, 4)?, currency),
        })
    };
    readable(db.all(conditions.query(sql)).await?.iter().map(read))
}

/// The states of a batch's transactions, each with whether its payee was paid in another way, and their amounts by
/// currency.
pub type Paid = (Vec<(State, bool)>, BTreeMap<Currency, i128>);

/// States and totals of several batches' transactions. One with an unreadable record counts as needing review and is
/// left out of the totals.
pub async fn paid(db: &mut Db, batches: &[BatchId]) -> Result<BTreeMap<BatchId, Paid>> {
    let sql = "SELECT batch_id, state, currency, COUNT(outside_at), {sum(amount_minor)} FROM payout_transaction {where} \
               GROUP BY batch_id, state, currency, CASE WHEN outside_at IS NULL THEN 0 ELSE 1 END";
    let read = |row: &AnyRow| -> Result<(BatchId, (State, bool), Currency, i128)> {
        let (id, state, code): (String, String, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let currency = word(Currency::parse(&code).ok(), &code)?;
        let stands = (word(State::parse(&state), &state)?, row.try_get::<i64, _>(3)? > 0);
        Ok((word(BatchId::parse(&id), &id)?, stands, currency, sums::read(row, 4)?))
    };
    let mut all: BTreeMap<BatchId, Paid> = BTreeMap::new();
    for some in batches.chunks(MOST_VALUES) {
        let mut conditions = Where::default();
        conditions.among("batch_id", some.iter().map(|id| Value::from(id.to_string())));
        for row in db.all(conditions.query(sql)).await? {
            match read(&row) {
                Ok((id, stands, currency, minor)) => {
                    let (states, sums) = all.entry(id).or_default();
                    states.push(stands);
                    *sums.entry(currency).or_default() += minor;
                }
                Err(error) if error.about_a_row() => {
                    tracing::error!(%error, "a payment of a batch cannot be read");
                    let id: String = row.try_get(0)?;
                    let (states, _) = all.entry(word(BatchId::parse(&id), &id)?).or_default();
                    states.push((State::Review, false));
                }
                Err(error) => return Err(error),
            }
        }
    }
    Ok(all)
}

/// The totals of several drafts' rewards by currency. Omits points and unreadable rewards.
pub async fn held(db: &mut Db, batches: &[BatchId]) -> Result<BTreeMap<BatchId, BTreeMap<Currency, i128>>> {
    let sql = "SELECT batch_id, currency, {sum(CASE WHEN entry = 'clawback' THEN -value_minor ELSE value_minor END)} \
               FROM reward {where} GROUP BY batch_id, currency";
    let read = |row: &AnyRow| {
        let (id, code): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let currency = word(Currency::parse(&code).ok(), &code)?;
        Ok((word(BatchId::parse(&id), &id)?, currency, sums::read(row, 2)?))
    };
    let mut all: BTreeMap<BatchId, BTreeMap<Currency, i128>> = BTreeMap::new();
    for some in batches.chunks(MOST_VALUES) {
        let mut conditions = Where::default();
        conditions.among("batch_id", some.iter().map(|id| Value::from(id.to_string())));
        conditions.and("currency IS NOT NULL", []);
        for (id, currency, minor) in readable(db.all(conditions.query(sql)).await?.iter().map(read))? {
            *all.entry(id).or_default().entry(currency).or_default() += minor;
        }
    }
    Ok(all)
}

/// A number that increases with every change to a batch's transactions, by any process.
pub async fn change_number(db: &mut Db, id: BatchId) -> Result<i64> {
    let sql = "SELECT CAST(COALESCE(SUM(version), 0) AS BIGINT) FROM payout_transaction WHERE batch_id = $1";
    Ok(db.one(sqlx::query(sql).bind(id.to_string())).await?.try_get(0)?)
}

/// The amounts the vendors were instructed to pay for a batch, by state and currency. Omits transactions with
/// unreadable records.
pub async fn sums(db: &mut Db, batch: BatchId) -> Result<Vec<(State, Sum)>> {
    let mut conditions = Where::default();
    conditions.and("batch_id = ?", [Value::from(batch.to_string())]);
    let sql =
        "SELECT state, currency, {sum(net_minor)} FROM payout_transaction {where} GROUP BY state, currency";
    let read = |row: &AnyRow| {
        let (state, code): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let state = word(payout::transaction::State::parse(&state), &state)?;
        let currency = word(Currency::parse(&code).ok(), &code)?;
        Ok((state, Sum::new(sums::read(row, 2)?, currency)))
    };
    readable(db.all(conditions.query(sql)).await?.iter().map(read))
}

/// The vendor balance needed for payments whose money is not known to have left: those not sent yet, those with an
/// unknown outcome, and those that left since `since`, which a balance read at that time may still include.
pub async fn committed(db: &mut Db, since: i64) -> Result<Vec<(Vendor, Sum)>> {
    let mut conditions = Where::default();
    let unsent = [State::Queued, State::Sending, State::Unknown, State::Review];
    let mut words: Vec<Value> = unsent.iter().map(|state| Value::from(state.as_str())).collect();
    words.push(since.into());
    conditions.and("(state IN (?, ?, ?, ?) OR left_at >= ?)", words);
    let sql = "SELECT vendor, currency, {sum(net_minor + fee_minor)} FROM payout_transaction {where} \
               GROUP BY vendor, currency";
    let read = |row: &AnyRow| {
        let (vendor, code): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let currency = word(Currency::parse(&code).ok(), &code)?;
        Ok((word(Vendor::parse(&vendor), &vendor)?, Sum::new(sums::read(row, 2)?, currency)))
    };
    readable(db.all(conditions.query(sql)).await?.iter().map(read))
}

/// The number of rewards per transaction of a batch.
pub async fn reward_counts(
    db: &mut Db,
    batch: BatchId,
) -> Result<std::collections::HashMap<payout::ids::TransactionId, usize>> {
    let sql = "SELECT tr.transaction_id, COUNT(*) FROM transaction_reward tr \
               JOIN payout_transaction t ON t.id = tr.transaction_id WHERE t.batch_id = $1 \
               GROUP BY tr.transaction_id";
    let read = |row: &AnyRow| {
        let (id, count): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
        let id = word(payout::ids::TransactionId::parse(&id), &id)?;
        Ok((id, usize::try_from(count).unwrap_or(usize::MAX)))
    };
    db.all(sqlx::query(sql).bind(batch.to_string())).await?.iter().map(read).collect()
}

/// Locks the draft's row until the transaction ends, without changing it. `false` if it is no longer a draft.
pub async fn lock_draft(tx: &mut Tx, id: BatchId) -> Result<bool> {
    let sql =
        "UPDATE batch SET version = version WHERE id = $1 AND deleted_at IS NULL AND pay_pressed_at IS NULL";
    Ok(tx.run(sqlx::query(sql).bind(id.to_string())).await? == 1)
}

/// Waits for every other Pay to finish, and blocks new ones until this transaction ends.
pub async fn lock_pays(tx: &mut Tx) -> Result<()> {
    super::next_numbers(tx, "pays", 1).await?;
    Ok(())
}

/// Records who asked for the release.
pub async fn mark_release_asked(tx: &mut Tx, id: BatchId, by: &str, at: i64) -> Result<bool> {
    let sql = "UPDATE batch SET release_asked_by = $2, release_asked_at = $3 \
               WHERE id = $1 AND deleted_at IS NULL AND pay_pressed_at IS NULL";
    let asked = tx.run(sqlx::query(sql).bind(id.to_string()).bind(by.to_owned()).bind(at)).await? == 1;
    if asked {
        add_contributor(tx, id, by, at).await?;
    }
    Ok(asked)
}

/// Our id of a `partner`, `account`, `program` or `activity`, given our id or the caller's.
pub async fn our_id(db: &mut Db, kind: &str, name: &str) -> Result<Option<String>> {
    if external::is_ours(name) {
        return Ok(Some(name.to_owned()));
    }
    let sql = match kind {
        "partner" => "SELECT id FROM partner WHERE external_id = $1",
        "account" => "SELECT id FROM account WHERE external_id = $1",
        "program" => "SELECT id FROM program WHERE external_id = $1",
        _ => "SELECT id FROM activity WHERE external_id = $1",
    };
    let row = db.optional(sqlx::query(sql).bind(external::folded(name))).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}
