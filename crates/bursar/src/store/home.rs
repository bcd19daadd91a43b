//! What the first page counts: heaps of rewards with their sums, payees whom something keeps from being paid, and how far an
//! installation has come. Each is one statement with a bound, because the page is opened all day. What is deliberately not
//! here: what waits for whom (`ops::home`).

use payout::ids::BatchId;
use payout::money::{Currency, Sum};
use sqlx::Row as _;

use super::{Db, Result, Where, sums};

/// So many are counted and no more.
pub const MOST: i64 = 10_000;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Which {
    /// Those that wait for a decision.
    Pending,
    /// Approved ones in no payout that have not expired.
    Free,
    Of(BatchId),
}

/// How many rewards, and what they come to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Heap {
    /// How many; more than [`MOST`] where there are more, and then the sums are of the first of them.
    pub count: i64,
    /// What they come to, by currency; clawbacks are taken off.
    pub sums: Vec<Sum>,
    pub points: i128,
}

impl Heap {
    /// There are more than were counted.
    pub fn is_cut(&self) -> bool {
        self.count > MOST
    }
}

/// How many rewards there are and what they come to.
pub async fn heap(db: &mut Db, which: Which, now: i64) -> Result<Heap> {
    let mut conditions = Where::default();
    match which {
        Which::Pending => conditions.and("status IN ('submitted', 'in_review')", []),
        Which::Free => {
            let free =
                "status = 'approved' AND batch_id IS NULL AND transaction_id IS NULL AND paid_at IS NULL";
            conditions.and(free, []);
            conditions.and("payee IS NOT NULL", []);
            conditions.and("(expires_at IS NULL OR expires_at > ?)", [now.into()]);
        }
        Which::Of(batch) => conditions.and("batch_id = ?", [batch.to_string().into()]),
    }
    let limit = MOST + 1;
    let sql = format!(
        "SELECT h.currency, COUNT(*), {{sum(CASE WHEN h.entry = 'clawback' THEN -h.value_minor ELSE h.value_minor END)}} \
         FROM (SELECT currency, entry, value_minor FROM reward {{where}} LIMIT {limit}) h \
         GROUP BY h.currency ORDER BY h.currency"
    );
    let mut heap = Heap::default();
    for row in db.all(conditions.query(&sql)).await? {
        let (code, count): (Option<String>, i64) = (row.try_get(0)?, row.try_get(1)?);
        let minor = sums::read(&row, 2)?;
        heap.count += count;
        match code.as_deref().map(Currency::parse) {
            None => heap.points += minor,
            Some(Ok(currency)) => heap.sums.push(Sum::new(minor, currency)),
            // One record that cannot be read takes the page from nobody; it is counted.
            Some(Err(_)) => {
                tracing::error!(code, "rewards in a currency that there is not are left out of a sum")
            }
        }
    }
    Ok(heap)
}

/// How many rewards wait for a decision, counted up to `most`.
pub async fn pending_up_to(db: &mut Db, most: i64) -> Result<i64> {
    let sql =
        "SELECT COUNT(*) FROM (SELECT id FROM reward WHERE status IN ('submitted', 'in_review') LIMIT $1) h";
    Ok(db.one(sqlx::query(sql).bind(most)).await?.try_get(0)?)
}

/// How many payees have approved rewards and lack what is needed to pay them: a payout method that the vendor pays to and,
/// where `tax` asks for it, a tax form that is in date. Counted up to [`MOST`].
pub async fn unready(db: &mut Db, tax: bool, now: i64) -> Result<i64> {
    let sql = "SELECT COUNT(*) FROM (SELECT DISTINCT payee FROM reward WHERE status = 'approved' AND batch_id IS NULL \
               AND transaction_id IS NULL AND paid_at IS NULL AND payee IS NOT NULL \
               AND (expires_at IS NULL OR expires_at > $2) LIMIT 10001) r \
               LEFT JOIN payout_profile f ON f.payee = r.payee LEFT JOIN tax_report t ON t.payee = r.payee \
               WHERE f.payable_at IS NULL OR ($1 = 1 AND (t.payee IS NULL OR t.expires_at <= $2))";
    let row = db.one(sqlx::query(sql).bind(i64::from(tax)).bind(now)).await?;
    Ok(row.try_get(0)?)
}

/// How far an installation has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Milestones {
    pub activities: bool,
    pub partners: bool,
    pub rewards: bool,
    pub payments: bool,
}

/// How far this one has come.
pub async fn milestones(db: &mut Db) -> Result<Milestones> {
    let sql = "SELECT (SELECT COUNT(*) FROM (SELECT id FROM activity LIMIT 1) a), \
               (SELECT COUNT(*) FROM (SELECT id FROM partner LIMIT 1) b), \
               (SELECT COUNT(*) FROM (SELECT id FROM reward LIMIT 1) c), \
               (SELECT COUNT(*) FROM (SELECT id FROM payout_transaction LIMIT 1) d)";
    let row = db.one(sqlx::query(sql)).await?;
    let any = |place: usize| Ok::<_, super::StoreError>(row.try_get::<i64, _>(place)? > 0);
    Ok(Milestones { activities: any(0)?, partners: any(1)?, rewards: any(2)?, payments: any(3)? })
}
