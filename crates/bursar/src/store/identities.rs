//! Links between our logins and identities at an OpenID Connect provider. Not here: the provider's claims, which are
//! trusted once (`work::provider`), and their effects (`ops::people::provider`).

use payout::ids::PersonId;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Db, Result, Tx, Where, word};

/// An identity at a provider.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// The provider's issuer URL.
    pub issuer: String,
    pub subject: String,
    /// Our login it belongs to.
    pub person: PersonId,
    /// When it was linked; 0 if it never was.
    pub linked_at: i64,
    /// When it was unlinked, if it was: it is not linked again automatically.
    pub unlinked_at: Option<i64>,
    /// When linking it again was allowed, if it was.
    pub allowed_at: Option<i64>,
}

const COLUMNS: &str = "issuer, subject, person_id, linked_at, unlinked_at, allowed_at";

fn read(row: &AnyRow) -> Result<Identity> {
    let id: String = row.try_get("person_id")?;
    Ok(Identity {
        issuer: row.try_get("issuer")?,
        subject: row.try_get("subject")?,
        person: word(PersonId::parse(&id), &id)?,
        linked_at: row.try_get("linked_at")?,
        unlinked_at: row.try_get("unlinked_at")?,
        allowed_at: row.try_get("allowed_at")?,
    })
}

/// An identity, if known.
pub async fn known(db: &mut Db, issuer: &str, subject: &str) -> Result<Option<Identity>> {
    let mut conditions = Where::default();
    conditions.and("issuer = ?", [issuer.into()]);
    conditions.and("subject = ?", [subject.into()]);
    let sql = format!("SELECT {COLUMNS} FROM login_identity {{where}}");
    db.optional(conditions.query(&sql)).await?.map(|row| read(&row)).transpose()
}

/// A person's current and former identities, newest first.
pub async fn of(db: &mut Db, person: PersonId) -> Result<Vec<Identity>> {
    let mut conditions = Where::default();
    conditions.and("person_id = ?", [person.to_string().into()]);
    let sql = format!("SELECT {COLUMNS} FROM login_identity {{where}} ORDER BY linked_at DESC LIMIT 20");
    db.all(conditions.query(&sql)).await?.iter().map(read).collect()
}

/// Links an identity to a person; `false` if they have another one at the provider, or if it is or was someone else's.
pub async fn link(tx: &mut Tx, issuer: &str, subject: &str, person: PersonId, now: i64) -> Result<bool> {
    let sql = "INSERT INTO login_identity (issuer, subject, person_id, linked_at) VALUES ($1, $2, $3, $4) \
               ON CONFLICT DO NOTHING";
    let query = sqlx::query(sql).bind(issuer.to_owned()).bind(subject.to_owned());
    Ok(tx.run(query.bind(person.to_string()).bind(now)).await? == 1)
}

/// Relinks an unlinked identity if that is allowed; `false` otherwise.
pub async fn link_again(
    tx: &mut Tx,
    issuer: &str,
    subject: &str,
    person: PersonId,
    now: i64,
) -> Result<bool> {
    let sql = "UPDATE login_identity SET unlinked_at = NULL, allowed_at = NULL, linked_at = $4 \
               WHERE issuer = $1 AND subject = $2 AND person_id = $3 AND allowed_at IS NOT NULL";
    let query = sqlx::query(sql).bind(issuer.to_owned()).bind(subject.to_owned());
    Ok(tx.run(query.bind(person.to_string()).bind(now)).await? == 1)
}

/// Unlinks a person's identities and returns issuer and subject of each. None can be linked again until someone allows
/// it.
pub async fn unlink(tx: &mut Tx, person: PersonId, now: i64) -> Result<Vec<(String, String)>> {
    let sql = "UPDATE login_identity SET allowed_at = NULL WHERE person_id = $1 AND allowed_at IS NOT NULL";
    tx.run(sqlx::query(sql).bind(person.to_string())).await?;
    let sql = "UPDATE login_identity SET unlinked_at = $2 WHERE person_id = $1 AND unlinked_at IS NULL \
               RETURNING issuer, subject";
    let rows = tx.all(sqlx::query(sql).bind(person.to_string()).bind(now)).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// Allows relinking one unlinked identity to a person, and no other at that provider. Deletes expected identities that
/// never signed in, such as mistyped ones, because they may belong to someone else.
pub async fn allow(tx: &mut Tx, one: (&str, &str), person: PersonId, now: i64) -> Result<()> {
    let sql = "DELETE FROM login_identity \
               WHERE issuer = $1 AND subject <> $2 AND person_id = $3 AND linked_at = 0";
    let query = sqlx::query(sql).bind(one.0.to_owned()).bind(one.1.to_owned());
    tx.run(query.bind(person.to_string())).await?;
    let sql = "UPDATE login_identity \
               SET allowed_at = CASE WHEN subject = $2 THEN CAST($4 AS BIGINT) ELSE NULL END \
               WHERE issuer = $1 AND person_id = $3 AND unlinked_at IS NOT NULL";
    let query = sqlx::query(sql).bind(one.0.to_owned()).bind(one.1.to_owned());
    tx.run(query.bind(person.to_string()).bind(now)).await?;
    Ok(())
}

/// Records an identity never seen here as one that may be linked to a person; `false` if it is or was someone's.
pub async fn expect(tx: &mut Tx, one: (&str, &str), person: PersonId, now: i64) -> Result<bool> {
    let sql = "INSERT INTO login_identity (issuer, subject, person_id, linked_at, unlinked_at, allowed_at) \
               VALUES ($1, $2, $3, 0, $4, $4) ON CONFLICT DO NOTHING";
    let query = sqlx::query(sql).bind(one.0.to_owned()).bind(one.1.to_owned());
    Ok(tx.run(query.bind(person.to_string()).bind(now)).await? == 1)
}

/// Records that the provider gave an identity no role; `false` if that was already recorded.
pub async fn refuse(tx: &mut Tx, issuer: &str, subject: &str, now: i64) -> Result<bool> {
    let sql =
        "UPDATE login_identity SET refused_at = $3 WHERE issuer = $1 AND subject = $2 AND refused_at IS NULL";
    Ok(tx.run(sqlx::query(sql).bind(issuer.to_owned()).bind(subject.to_owned()).bind(now)).await? == 1)
}

/// Records that an identity lacks a required claim; `false` if that was already recorded.
pub async fn lacks(tx: &mut Tx, issuer: &str, subject: &str, now: i64) -> Result<bool> {
    let sql =
        "UPDATE login_identity SET lacks_at = $3 WHERE issuer = $1 AND subject = $2 AND lacks_at IS NULL";
    Ok(tx.run(sqlx::query(sql).bind(issuer.to_owned()).bind(subject.to_owned()).bind(now)).await? == 1)
}

/// Clears both records: the identity has a role and all required claims.
pub async fn accept(tx: &mut Tx, issuer: &str, subject: &str) -> Result<u64> {
    let sql = "UPDATE login_identity SET refused_at = NULL, lacks_at = NULL \
               WHERE issuer = $1 AND subject = $2 AND (refused_at IS NOT NULL OR lacks_at IS NOT NULL)";
    tx.run(sqlx::query(sql).bind(issuer.to_owned()).bind(subject.to_owned())).await
}
