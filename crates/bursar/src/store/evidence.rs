//! Vendors' raw answers: responses to money requests, events about a payment, and look-up results. Requests are kept
//! with their submissions. Not here: who may read it, and masking (`ops::evidence`).

use payout::ids::TransactionId;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Db, MOST_VALUES, Result, Rows, Tx, Value, Where};

pub struct New {
    pub id: String,
    pub submission: String,
    pub at: i64,
    pub status: i64,
    /// The vendor's request id, for its support.
    pub request_id: Option<String>,
    pub body: String,
}

pub async fn keep(tx: &mut Tx, new: &[New]) -> Result<()> {
    let mut rows = Rows::default();
    for one in new {
        rows.push([
            one.id.as_str().into(),
            one.submission.as_str().into(),
            one.at.into(),
            one.status.into(),
            one.request_id.clone().into(),
            one.body.as_str().into(),
        ]);
    }
    let sql = "INSERT INTO vendor_answer (id, submission_id, at, status, request_id, body) VALUES {rows}";
    tx.bulk(sql, &[], rows).await?;
    Ok(())
}

/// A stored answer to a money request.
#[derive(Clone, Debug)]
pub struct Answer {
    pub id: String,
    pub submission: String,
    pub at: i64,
    pub status: i64,
    /// The vendor's request id, for its support.
    pub request_id: Option<String>,
    /// The body; empty once purged.
    pub body: String,
    /// The hash of a purged body.
    pub body_hash: Option<String>,
}

/// The answers to these submissions, oldest first.
pub async fn answers(db: &mut Db, submissions: &[String]) -> Result<Vec<Answer>> {
    let mut found = Vec::new();
    for some in submissions.chunks(MOST_VALUES) {
        let mut conditions = Where::default();
        conditions.among("submission_id", some.iter().map(|id| Value::from(id.as_str())));
        let sql = "SELECT id, submission_id, at, status, request_id, body, body_hash FROM vendor_answer {where} \
                   ORDER BY at, id";
        found.extend(db.all(conditions.query(sql)).await?);
    }
    let read = |row: &AnyRow| {
        Ok(Answer {
            id: row.try_get(0)?,
            submission: row.try_get(1)?,
            at: row.try_get(2)?,
            status: row.try_get(3)?,
            request_id: row.try_get(4)?,
            body: row.try_get(5)?,
            body_hash: row.try_get(6)?,
        })
    };
    found.iter().map(read).collect()
}

/// A stored event about a payment.
#[derive(Clone, Debug)]
pub struct Event {
    /// Our id.
    pub id: String,
    /// The vendor's id.
    pub event_id: String,
    /// The type in the vendor's own terms.
    pub event_type: String,
    pub received_at: i64,
    /// What it changed, once it was applied.
    pub effect: Option<String>,
    /// The raw bytes as received; empty once purged.
    pub body: String,
    /// The headers that were verified, as JSON.
    pub headers: String,
    /// The hash of a purged body.
    pub body_hash: Option<String>,
}

/// The events about a payment, oldest first.
pub async fn events(db: &mut Db, of: TransactionId) -> Result<Vec<Event>> {
    let sql = "SELECT id, event_id, event_type, received_at, effect, body, headers, body_hash FROM vendor_event \
               WHERE transaction_id = $1 ORDER BY received_at, id LIMIT 500";
    let read = |row: &AnyRow| {
        Ok(Event {
            id: row.try_get(0)?,
            event_id: row.try_get(1)?,
            event_type: row.try_get(2)?,
            received_at: row.try_get(3)?,
            effect: row.try_get(4)?,
            body: row.try_get(5)?,
            headers: row.try_get(6)?,
            body_hash: row.try_get(7)?,
        })
    };
    db.all(sqlx::query(sql).bind(of.to_string())).await?.iter().map(read).collect()
}

/// What a vendor answered to look-ups of a payment.
#[derive(Clone, Debug)]
pub struct LookupAnswer {
    /// The answer, as Bursar words it.
    pub answer: String,
    /// When the vendor first gave this answer.
    pub first_at: i64,
    /// When the vendor last gave this answer.
    pub last_at: i64,
    pub times: i64,
}

/// The longest stored answer, in characters.
const MOST_ANSWER: usize = 300;

/// Records what a vendor just answered about payments.
pub async fn note_asked(
    tx: &mut Tx,
    said: impl IntoIterator<Item = (TransactionId, &str)>,
    now: i64,
) -> Result<()> {
    let mut rows = Rows::default();
    for (id, said) in said {
        let said: String = said.chars().take(MOST_ANSWER).collect();
        rows.push([id.to_string().into(), said.into(), now.into(), now.into(), 1.into()]);
    }
    let sql = "INSERT INTO asked (transaction_id, said, first_at, last_at, times_count) VALUES {rows} \
               ON CONFLICT (transaction_id, said) DO UPDATE SET last_at = excluded.last_at, \
               times_count = asked.times_count + 1";
    tx.bulk(sql, &[], rows).await?;
    Ok(())
}

/// A vendor's answers about a payment, oldest first.
pub async fn lookup_answers(db: &mut Db, of: TransactionId) -> Result<Vec<LookupAnswer>> {
    let sql = "SELECT said, first_at, last_at, times_count FROM asked WHERE transaction_id = $1 \
               ORDER BY first_at, said LIMIT 500";
    let read = |row: &AnyRow| {
        Ok(LookupAnswer {
            answer: row.try_get(0)?,
            first_at: row.try_get(1)?,
            last_at: row.try_get(2)?,
            times: row.try_get(3)?,
        })
    };
    db.all(sqlx::query(sql).bind(of.to_string())).await?.iter().map(read).collect()
}
