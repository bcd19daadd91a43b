//! Candidates for money that left for no payment in this database: payments that people called not made. Not here: what
//! to conclude from it (`ops::reconciliation`).

use payout::money::{Currency, Money, Vendor};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::super::{Db, Result, Value, Where, word};

/// What is known about a balance transaction without a payment here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Known {
    pub label: &'static str,
    pub message: String,
    /// What to do about it.
    pub remedy: String,
    pub alarms: bool,
    /// Explaining it also explains its vendor fee.
    pub with_fee: bool,
    /// Related pages: our path, and the link text.
    pub pages: Vec<(String, String)>,
}

/// A payment with a balance-moving attempt that people called not made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CalledNotMade {
    pub number: i64,
    pub vendor: Vendor,
    /// The amount the vendor was instructed to pay.
    pub net: Money,
    /// When it was first and last sent; any of its tries may have been executed.
    pub sent_at: (i64, i64),
}

/// Those sent or resent between these two times.
pub async fn called_not_made(db: &mut Db, (from, to): (i64, i64)) -> Result<Vec<CalledNotMade>> {
    let mut conditions = Where::default();
    conditions.and("a.state = 'failed' AND a.reason_code = 'not_made' AND a.leg IN ('transfer', 'item')", []);
    let tried = "COALESCE(s.last_sent_at, a.first_sent_at) >= ? AND a.first_sent_at < ?";
    conditions.and(tried, [Value::from(from), Value::from(to)]);
    let sql = "SELECT t.number, t.vendor, t.net_minor, t.currency, a.first_sent_at, \
               COALESCE(s.last_sent_at, a.first_sent_at) FROM attempt a \
               JOIN payout_transaction t ON t.id = a.transaction_id \
               LEFT JOIN submission s ON s.id = a.submission_id {where} ORDER BY t.number";
    let read = |row: &AnyRow| {
        let (vendor, code): (String, String) = (row.try_get(1)?, row.try_get(3)?);
        let currency = word(Currency::parse(&code).ok(), &code)?;
        Ok(CalledNotMade {
            number: row.try_get(0)?,
            vendor: word(Vendor::parse(&vendor), &vendor)?,
            net: Money::new(row.try_get(2)?, currency),
            sent_at: (row.try_get(4)?, row.try_get(5)?),
        })
    };
    db.all(conditions.query(sql)).await?.iter().map(read).collect()
}
