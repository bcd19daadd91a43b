//! Retention of vendors' raw messages: after the retention period the text is deleted; its hash and everything parsed
//! from it remain. A later duplicate event is still recognized by its id. Not here: our requests. Their exact bytes are
//! kept as long as the payment, because the same idempotency key must never carry different bytes.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Db, Result, Rows, Tx};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Events that have been processed.
    Events,
    Answers,
}

impl Kind {
    pub const ALL: [Self; 2] = [Self::Events, Self::Answers];

    /// The prefix of its ids.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Events => "evt_",
            Self::Answers => "",
        }
    }

    /// The meta key of how far the purge has progressed.
    pub fn cursor(self) -> &'static str {
        match self {
            Self::Events => "raw_events_forgotten",
            Self::Answers => "raw_answers_forgotten",
        }
    }

    /// The meta key of where skipped unprocessed texts begin, to be revisited.
    pub fn left(self) -> &'static str {
        match self {
            Self::Events => "raw_events_left",
            Self::Answers => "raw_answers_left",
        }
    }
}

/// A raw text that may be purged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Text {
    /// Its id.
    pub id: String,
    /// The raw text of the vendor.
    pub body: String,
    /// Not processed yet, so it must be kept.
    pub waits: bool,
}

/// Texts between two ids; ids are ordered by time.
pub async fn between(
    db: &mut Db,
    kind: Kind,
    (after, before): (&str, &str),
    limit: i64,
) -> Result<Vec<Text>> {
    let sql = match kind {
        Kind::Events => {
            "SELECT id, body, CAST(CASE WHEN applied_at IS NULL THEN 1 ELSE 0 END AS BIGINT) FROM vendor_event \
             WHERE id > $1 AND id < $2 ORDER BY id LIMIT $3"
        }
        Kind::Answers => {
            "SELECT id, body, CAST(0 AS BIGINT) FROM vendor_answer WHERE id > $1 AND id < $2 ORDER BY id LIMIT $3"
        }
    };
    let query = sqlx::query(sql).bind(after.to_owned()).bind(before.to_owned()).bind(limit);
    let text = |row: &AnyRow| {
        let waits: i64 = row.try_get(2)?;
        Ok(Text { id: row.try_get(0)?, body: row.try_get(1)?, waits: waits == 1 })
    };
    db.all(query).await?.iter().map(text).collect()
}

/// Purges texts and stores their hashes; an unprocessed event keeps its text. Returns how many.
pub async fn forget(tx: &mut Tx, kind: Kind, hashes: &[(String, String)]) -> Result<u64> {
    let sql = match kind {
        Kind::Events => {
            "WITH v (id, body_hash) AS (VALUES {rows}) \
             UPDATE vendor_event SET body = '', headers = '', body_hash = v.body_hash FROM v \
             WHERE vendor_event.id = v.id AND vendor_event.applied_at IS NOT NULL AND vendor_event.body_hash IS NULL"
        }
        Kind::Answers => {
            "WITH v (id, body_hash) AS (VALUES {rows}) \
             UPDATE vendor_answer SET body = '', body_hash = v.body_hash FROM v \
             WHERE vendor_answer.id = v.id AND vendor_answer.body_hash IS NULL"
        }
    };
    let mut rows = Rows::default();
    for (id, hash) in hashes {
        rows.push([id.as_str().into(), hash.as_str().into()]);
    }
    tx.bulk(sql, &[], rows).await
}
