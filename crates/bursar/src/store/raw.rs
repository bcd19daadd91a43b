//! What vendors said word for word, forgotten after its time: the text goes, its hash and everything that was read of it
//! stay. A later delivery of the same event is known by its id, as before. What is deliberately not here: what we sent.
//! The exact bytes of a request are kept as long as its payment, because the same key must never carry others.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Db, Result, Rows, Tx};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Events that were dealt with.
    Events,
    Answers,
}

impl Kind {
    pub const ALL: [Self; 2] = [Self::Events, Self::Answers];

    /// What its ids begin with.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Events => "evt_",
            Self::Answers => "",
        }
    }

    /// Under which name it is kept how far it was forgotten.
    pub fn cursor(self) -> &'static str {
        match self {
            Self::Events => "raw_events_forgotten",
            Self::Answers => "raw_answers_forgotten",
        }
    }

    /// Under which name it is kept from where on texts were left that waited: they are come back to.
    pub fn left(self) -> &'static str {
        match self {
            Self::Events => "raw_events_left",
            Self::Answers => "raw_answers_left",
        }
    }
}

/// A text that may be forgotten.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Text {
    /// Its id.
    pub id: String,
    /// What was said.
    pub body: String,
    /// Nobody has dealt with it yet, so it is kept until somebody has.
    pub waits: bool,
}

/// Texts after one id and before another, by id, which is by time.
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

/// Forgets texts, of which these are the hashes; an event that nobody has dealt with keeps its own. Answers how many.
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
