//! A payment's timeline: requests, answers, events and actions in order. Vendors' raw messages are in
//! [`super::evidence`].

use payout::ids::TransactionId;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Db, Result, Rows, Tx};

/// An entry of a payment's timeline.
#[derive(Clone, Debug)]
pub struct Line {
    pub transaction: TransactionId,
    pub at: i64,
    /// `request`, `answer`, `webhook`, `poll`, `notice` or `person`.
    pub source: &'static str,
    pub effect: String,
    pub detail: Option<String>,
    /// The vendor's event, if it came by webhook.
    pub event_id: Option<String>,
}

/// Appends timeline entries; ids count up from `first`, so that entries with the same time keep their order.
pub async fn write_timeline(tx: &mut Tx, lines: &[Line], first: u128) -> Result<()> {
    let mut rows = Rows::default();
    for (place, line) in (0u128..).zip(lines) {
        rows.push([
            line.transaction.to_string().into(),
            line.at.into(),
            payout::ids::encode((first & (u128::MAX >> 1)).wrapping_add(place)).into(),
            line.source.into(),
            line.effect.as_str().into(),
            line.detail.clone().into(),
            line.event_id.clone().into(),
        ]);
    }
    let sql = "INSERT INTO timeline (transaction_id, at, id, source, effect, detail, event_id) VALUES {rows}";
    tx.bulk(sql, &[], rows).await?;
    Ok(())
}

/// A timeline entry as read back.
#[derive(Clone, Debug)]
pub struct ReadLine {
    /// Its id within the transaction.
    pub id: String,
    pub at: i64,
    pub source: String,
    pub effect: String,
    pub detail: Option<String>,
    pub event_id: Option<String>,
}

/// A transaction's timeline, oldest first.
pub async fn timeline(db: &mut Db, id: TransactionId) -> Result<Vec<ReadLine>> {
    let sql = "SELECT at, source, effect, detail, event_id, id FROM timeline WHERE transaction_id = $1 ORDER BY at, id";
    let read = |row: &AnyRow| {
        Ok(ReadLine {
            at: row.try_get(0)?,
            source: row.try_get(1)?,
            effect: row.try_get(2)?,
            detail: row.try_get(3)?,
            event_id: row.try_get(4)?,
            id: row.try_get(5)?,
        })
    };
    db.all(sqlx::query(sql).bind(id.to_string())).await?.iter().map(read).collect()
}
