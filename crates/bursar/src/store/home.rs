//! Counts for the home page: groups of rewards with totals, payees who cannot be paid yet, and setup progress. Each is
//! one bounded query, because the page is opened all day. Not here: whose turn it is to act (`ops::home`).

use payout::ids::BatchId;
use payout::money::{Currency, Sum};
use sqlx::Row as _;

use super::{Db, Result, Where, sums};

/// Counting stops at this many.
pub const MOST: i64 = 10_000;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RewardGroup {
    /// Those waiting for a decision.
    Pending,
    /// Approved, not in a payout, not expired.
    Free,
    Of(BatchId),
}

/// A group of rewards: count and totals.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RewardTotals {
    /// The count. Above [`MOST`] means there are more, and the totals cover only the first ones.
    pub count: i64,
    /// Totals by currency, net of clawbacks.
    pub sums: Vec<Sum>,
    pub points: i128,
}

impl RewardTotals {
    /// Whether counting stopped at the limit.
    pub fn is_cut(&self) -> bool {
        self.count > MOST
    }
}

/// Counts and sums the rewards of a group.
pub async fn heap(db: &mut Db, which: RewardGroup, now: i64) -> Result<RewardTotals> {
    let mut conditions = Where::default();
    match which {
        RewardGroup::Pending => conditions.and("status IN ('submitted', 'in_review')", []),
        RewardGroup::Free => {
            let free =
                "status = 'approved' AND batch_id IS NULL AND transaction_id IS NULL AND paid_at IS NULL";
            conditions.and(free, []);
            conditions.and("payee IS NOT NULL", []);
            conditions.and("(expires_at IS NULL OR expires_at > ?)", [now.into()]);
        }
        RewardGroup::Of(batch) => conditions.and("batch_id = ?", [batch.to_string().into()]),
    }
    let limit = MOST + 1;
    let sql = format!(
        "SELECT h.currency, COUNT(*), {{sum(CASE WHEN h.entry = 'clawback' THEN -h.value_minor ELSE h.value_minor END)}} \
         FROM (SELECT currency, entry, value_minor FROM reward {{where}} LIMIT {limit}) h \
         GROUP BY h.currency ORDER BY h.currency"
    );
    let mut heap = RewardTotals::default();
    for row in db.all(conditions.query(&sql)).await? {
        let (code, count): (Option<String>, i64) = (row.try_get(0)?, row.try_get(1)?);
        let minor = sums::read(&row, 2)?;
        heap.count += count;
        match code.as_deref().map(Currency::parse) {
            None => heap.points += minor,
            Some(Ok(currency)) => heap.sums.push(Sum::new(minor, currency)),
            // A bad record must not break the page; it still counts.
            Some(Err(_)) => {
                tracing::error!(code, "rewards in a currency that there is not are left out of a sum")
            }
        }
    }
    Ok(heap)
}

/// The number of rewards waiting for a decision, counted up to `most`.
pub async fn pending_up_to(db: &mut Db, most: i64) -> Result<i64> {
    let sql =
        "SELECT COUNT(*) FROM (SELECT id FROM reward WHERE status IN ('submitted', 'in_review') LIMIT $1) h";
    Ok(db.one(sqlx::query(sql).bind(most)).await?.try_get(0)?)
}

/// The number of payees with approved rewards who lack a payout method that the vendor pays to or, if `tax` requires
/// one, a valid tax form. Counted up to [`MOST`].
pub async fn unready(db: &mut Db, tax: bool, now: i64) -> Result<i64> {
    let sql = "SELECT COUNT(*) FROM (SELECT DISTINCT payee FROM reward WHERE status = 'approved' AND batch_id IS NULL \
               AND transaction_id IS NULL AND paid_at IS NULL AND payee IS NOT NULL \
               AND (expires_at IS NULL OR expires_at > $2) LIMIT 10001) r \
               LEFT JOIN payout_profile f ON f.payee = r.payee LEFT JOIN tax_report t ON t.payee = r.payee \
               WHERE f.payable_at IS NULL OR ($1 = 1 AND (t.payee IS NULL OR t.expires_at <= $2))";
    let row = db.one(sqlx::query(sql).bind(i64::from(tax)).bind(now)).await?;
    Ok(row.try_get(0)?)
}

/// The setup steps an installation has completed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Milestones {
    pub activities: bool,
    pub partners: bool,
    pub rewards: bool,
    pub payments: bool,
}

/// The setup steps completed so far.
pub async fn milestones(db: &mut Db) -> Result<Milestones> {
    let sql = "SELECT (SELECT COUNT(*) FROM (SELECT id FROM activity LIMIT 1) a), \
               (SELECT COUNT(*) FROM (SELECT id FROM partner LIMIT 1) b), \
               (SELECT COUNT(*) FROM (SELECT id FROM reward LIMIT 1) c), \
               (SELECT COUNT(*) FROM (SELECT id FROM payout_transaction LIMIT 1) d)";
    let row = db.one(sqlx::query(sql)).await?;
    let any = |place: usize| Ok::<_, super::StoreError>(row.try_get::<i64, _>(place)? > 0);
    Ok(Milestones { activities: any(0)?, partners: any(1)?, rewards: any(2)?, payments: any(3)? })
}
