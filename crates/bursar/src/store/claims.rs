//! What is stored about claims besides their rewards: overrides of the earning threshold, and skipped claims. Claims
//! themselves are computed.

use payout::eligibility::Code;
use payout::ids::BatchId;
use payout::ledger::Payee;
use payout::money::{Currency, Money};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Db, MOST_VALUES, Result, Rows, Tx, Value, Where, word};

/// Allows paying a claim below its earning threshold. Valid only for exactly this total.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Override {
    pub batch: BatchId,
    pub payee: Payee,
    /// The claim's total when it was decided.
    pub total: Money,
    pub reason: String,
    pub actor: String,
    pub at: i64,
}

/// Stores an override, replacing any earlier one for the claim.
pub async fn put_override(tx: &mut Tx, new: &Override) -> Result<()> {
    let sql = "INSERT INTO threshold_override (batch_id, payee, currency, total_minor, reason, actor, at) \
               VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (batch_id, payee, currency) DO UPDATE SET \
               total_minor = excluded.total_minor, reason = excluded.reason, actor = excluded.actor, \
               at = excluded.at";
    let query = sqlx::query(sql).bind(new.batch.to_string()).bind(new.payee.to_string());
    let query = query.bind(new.total.currency.code()).bind(new.total.minor).bind(new.reason.clone());
    tx.run(query.bind(new.actor.clone()).bind(new.at)).await?;
    Ok(())
}

/// The overrides in these batches.
pub async fn overrides(db: &mut Db, batches: &[BatchId]) -> Result<Vec<Override>> {
    let sql =
        "SELECT batch_id, payee, currency, total_minor, reason, actor, at FROM threshold_override {where}";
    let mut found = Vec::new();
    for some in batches.chunks(MOST_VALUES) {
        let mut conditions = Where::default();
        conditions.among("batch_id", some.iter().map(|id| Value::from(id.to_string())));
        found.extend(db.all(conditions.query(sql)).await?);
    }
    let read = |row: &AnyRow| {
        let (batch, payee): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let code: String = row.try_get(2)?;
        Ok(Override {
            batch: word(BatchId::parse(&batch), &batch)?,
            payee: word(Payee::parse(&payee), &payee)?,
            total: Money::new(row.try_get(3)?, word(Currency::parse(&code).ok(), &code)?),
            reason: row.try_get(4)?,
            actor: row.try_get(5)?,
            at: row.try_get(6)?,
        })
    };
    found.iter().map(read).collect()
}

/// A claim that was skipped, or that blocked its payout.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Skipped {
    pub batch: BatchId,
    /// The batch's number; not needed when writing.
    pub number: String,
    pub payee: Payee,
    /// The amount it would have paid.
    pub total: Money,
    pub codes: Vec<Code>,
    /// When it was last found blocked.
    pub at: i64,
}

/// Records skipped claims, once per batch, claim and set of reasons.
pub async fn note_skipped(tx: &mut Tx, skipped: &[Skipped]) -> Result<()> {
    let mut rows = Rows::default();
    for one in skipped {
        let codes: Vec<&str> = one.codes.iter().map(|code| code.as_str()).collect();
        rows.push([
            one.batch.to_string().into(),
            one.payee.to_string().into(),
            one.total.currency.code().into(),
            codes.join(" ").into(),
            one.total.minor.into(),
            one.at.into(),
        ]);
    }
    let sql = "INSERT INTO skipped_claim (batch_id, payee, currency, codes, amount_minor, at) VALUES {rows} \
               ON CONFLICT (batch_id, payee, currency, codes) DO UPDATE SET \
               amount_minor = excluded.amount_minor, at = excluded.at";
    tx.bulk(sql, &[], rows).await?;
    Ok(())
}

const SKIPPED: &str = "SELECT s.batch_id, b.number, s.payee, s.currency, s.amount_minor, s.codes, s.at \
                       FROM skipped_claim s JOIN batch b ON b.id = s.batch_id";

fn skipped(row: &AnyRow) -> Result<Skipped> {
    let (batch, payee): (String, String) = (row.try_get(0)?, row.try_get(2)?);
    let (code, codes): (String, String) = (row.try_get(3)?, row.try_get(5)?);
    Ok(Skipped {
        batch: word(BatchId::parse(&batch), &batch)?,
        number: row.try_get(1)?,
        payee: word(Payee::parse(&payee), &payee)?,
        total: Money::new(row.try_get(4)?, word(Currency::parse(&code).ok(), &code)?),
        codes: codes.split(' ').filter_map(Code::parse).collect(),
        at: row.try_get(6)?,
    })
}

/// A payee's skipped claims, newest first; `before` is the page cursor: the time and batch of the last row.
pub async fn skipped_of(
    db: &mut Db,
    payee: Payee,
    before: Option<(i64, String)>,
    limit: i64,
) -> Result<Vec<Skipped>> {
    let mut conditions = Where::default();
    conditions.and("s.payee = ?", [Value::from(payee.to_string())]);
    if let Some((at, batch)) = before {
        conditions.and("(s.at, s.batch_id) < (?, ?)", [Value::from(at), Value::from(batch)]);
    }
    let sql = format!("{SKIPPED} {{where}} ORDER BY s.at DESC, s.batch_id DESC LIMIT {limit}");
    db.all(conditions.query(&sql)).await?.iter().map(skipped).collect()
}

/// The claims skipped in a batch.
pub async fn skipped_in(db: &mut Db, batch: BatchId, limit: i64) -> Result<Vec<Skipped>> {
    let mut conditions = Where::default();
    conditions.and("s.batch_id = ?", [Value::from(batch.to_string())]);
    let sql = format!("{SKIPPED} {{where}} ORDER BY s.payee, s.currency, s.at DESC LIMIT {limit}");
    db.all(conditions.query(&sql)).await?.iter().map(skipped).collect()
}
