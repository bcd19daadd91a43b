//! One-time normalization of external ids stored before they had a normal form. It runs when the first version with
//! that form starts, because no SQL does it identically on both databases. Ids that collide stay as they are and are
//! recorded for people to resolve.

use payout::external;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Db, Result, Rows, Store, Tx, meta};

/// The version of the normal form. Increasing it normalizes every id again.
const NORMAL_FORM_VERSION: &str = "1";
/// How many rows to process at once.
const AT_ONCE: i64 = 1_000;

/// The statements for one kind of object.
struct IdStatements {
    kind: &'static str,
    page: &'static str,
    holder: &'static str,
    rename: &'static str,
}

const ALL: [IdStatements; 5] = [
    IdStatements {
        kind: "account",
        page: "SELECT id, external_id FROM account WHERE id > $1 ORDER BY id LIMIT $2",
        holder: "SELECT id FROM account WHERE external_id = $1",
        rename: "UPDATE account SET external_id = $2 WHERE id = $1",
    },
    IdStatements {
        kind: "partner",
        page: "SELECT id, external_id FROM partner WHERE id > $1 ORDER BY id LIMIT $2",
        holder: "SELECT id FROM partner WHERE external_id = $1",
        rename: "UPDATE partner SET external_id = $2 WHERE id = $1",
    },
    IdStatements {
        kind: "program",
        page: "SELECT id, external_id FROM program WHERE id > $1 ORDER BY id LIMIT $2",
        holder: "SELECT id FROM program WHERE external_id = $1",
        rename: "UPDATE program SET external_id = $2 WHERE id = $1",
    },
    IdStatements {
        kind: "activity",
        page: "SELECT id, external_id FROM activity WHERE id > $1 ORDER BY id LIMIT $2",
        holder: "SELECT id FROM activity WHERE external_id = $1",
        rename: "UPDATE activity SET external_id = $2 WHERE id = $1",
    },
    IdStatements {
        kind: "reward",
        page: "SELECT id, external_id FROM reward WHERE id > $1 ORDER BY id LIMIT $2",
        holder: "SELECT id FROM reward WHERE external_id = $1",
        rename: "UPDATE reward SET external_id = $2 WHERE id = $1",
    },
];

/// An id that was not in normal form.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnnormalizedId {
    /// Our id of the object.
    pub subject: String,
    /// `account`, `partner`, `program`, `activity` or `reward`.
    pub kind: String,
    /// The original external id, including invisible characters.
    pub was: String,
    pub normal: String,
    /// Our id of the object that already has the normalized id; `None` if this object has it now.
    pub other: Option<String>,
}

/// Normalizes every stored id if that has not been done yet; returns how many collide.
pub(super) async fn fill(store: &Store) -> Result<usize> {
    let name = "external_id_way";
    if meta::get(&mut store.read().await?, name).await?.as_deref() == Some(NORMAL_FORM_VERSION) {
        return Ok(0);
    }
    let mut collisions = 0;
    for of in &ALL {
        let mut after = String::new();
        loop {
            let mut tx = store.begin().await?;
            tx.named(crate::this_function!());
            let rows = tx.all(sqlx::query(of.page).bind(after.clone()).bind(AT_ONCE)).await?;
            let pair = |row: &AnyRow| Ok((row.try_get::<String, _>(0)?, row.try_get::<String, _>(1)?));
            let some = rows.iter().map(pair).collect::<Result<Vec<_>>>()?;
            let mut found = Vec::new();
            for (id, was) in &some {
                let normal = external::folded(was);
                if normal != *was {
                    found.push(settle(&mut tx, of, id, was, normal).await?);
                }
            }
            collisions += found.iter().filter(|one| one.other.is_some()).count();
            note(&mut tx, &found).await?;
            tx.commit().await?;
            match some.last() {
                Some((last, _)) => after.clone_from(last),
                None => break,
            }
        }
    }
    let mut tx = store.begin().await?;
    tx.named(crate::this_function!());
    meta::set(&mut tx, name, NORMAL_FORM_VERSION).await?;
    tx.commit().await?;
    Ok(collisions)
}

/// Normalizes an object's external id, unless the result is empty or taken by another object.
async fn settle(
    tx: &mut Tx,
    of: &IdStatements,
    id: &str,
    was: &str,
    normal: String,
) -> Result<UnnormalizedId> {
    let holder = tx.optional(sqlx::query(of.holder).bind(normal.clone())).await?;
    let holder: Option<String> = holder.map(|row| row.try_get(0)).transpose()?;
    let other = holder.or_else(|| normal.is_empty().then(|| id.to_owned()));
    if other.is_none() {
        tx.run(sqlx::query(of.rename).bind(id.to_owned()).bind(normal.clone())).await?;
    }
    let (subject, kind, was) = (id.to_owned(), of.kind.to_owned(), was.to_owned());
    Ok(UnnormalizedId { subject, kind, was, normal, other })
}

async fn note(tx: &mut Tx, found: &[UnnormalizedId]) -> Result<()> {
    let mut rows = Rows::default();
    for one in found {
        rows.push([
            one.subject.as_str().into(),
            one.kind.as_str().into(),
            one.was.as_str().into(),
            one.normal.as_str().into(),
            one.other.clone().into(),
        ]);
    }
    let sql = "INSERT INTO external_id_review (subject, kind, was, normal, other) VALUES {rows} \
               ON CONFLICT (subject) DO NOTHING";
    tx.bulk(sql, &[], rows).await?;
    Ok(())
}

/// The ids that collide with another object's id.
pub async fn collisions(db: &mut Db, limit: i64) -> Result<Vec<UnnormalizedId>> {
    let sql = "SELECT subject, kind, was, normal, other FROM external_id_review WHERE other IS NOT NULL \
               ORDER BY kind, normal, subject LIMIT $1";
    let read = |row: &AnyRow| {
        Ok(UnnormalizedId {
            subject: row.try_get(0)?,
            kind: row.try_get(1)?,
            was: row.try_get(2)?,
            normal: row.try_get(3)?,
            other: row.try_get(4)?,
        })
    };
    db.all(sqlx::query(sql).bind(limit)).await?.iter().map(read).collect()
}
