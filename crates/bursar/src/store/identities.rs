//! Who our people are at the provider they sign in with, and who was sent there and is not back yet. What is deliberately not
//! here: what the provider says of somebody, which is believed once (`work::provider`), and what follows
//! (`ops::people::provider`).

use payout::ids::PersonId;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Db, Result, Tx, Where, word};

/// Who somebody is at a provider.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// The provider.
    pub issuer: String,
    /// Who they are there.
    pub subject: String,
    /// Whose login it is here.
    pub person: PersonId,
    /// Since when.
    pub linked_at: i64,
    /// Until when, where it was taken away: it is not linked again by itself.
    pub unlinked_at: Option<i64>,
}

const COLUMNS: &str = "issuer, subject, person_id, linked_at, unlinked_at";

fn read(row: &AnyRow) -> Result<Identity> {
    let id: String = row.try_get("person_id")?;
    Ok(Identity {
        issuer: row.try_get("issuer")?,
        subject: row.try_get("subject")?,
        person: word(PersonId::parse(&id), &id)?,
        linked_at: row.try_get("linked_at")?,
        unlinked_at: row.try_get("unlinked_at")?,
    })
}

/// An identity, as far as it is known here.
///
/// # Errors
/// When the database does not answer.
pub async fn known(db: &mut Db, issuer: &str, subject: &str) -> Result<Option<Identity>> {
    let mut conditions = Where::default();
    conditions.and("issuer = ?", [issuer.into()]);
    conditions.and("subject = ?", [subject.into()]);
    let sql = format!("SELECT {COLUMNS} FROM login_identity {{where}}");
    db.optional(conditions.query(&sql)).await?.map(|row| read(&row)).transpose()
}

/// Everything that somebody is or was at providers, the newest first.
///
/// # Errors
/// When the database does not answer.
pub async fn of(db: &mut Db, person: PersonId) -> Result<Vec<Identity>> {
    let mut conditions = Where::default();
    conditions.and("person_id = ?", [person.to_string().into()]);
    let sql = format!("SELECT {COLUMNS} FROM login_identity {{where}} ORDER BY linked_at DESC LIMIT 20");
    db.all(conditions.query(&sql)).await?.iter().map(read).collect()
}

/// Links an identity to somebody; false when they have another one there, or it is or was somebody else's.
///
/// # Errors
/// When the database does not answer.
pub async fn link(tx: &mut Tx, issuer: &str, subject: &str, person: PersonId, now: i64) -> Result<bool> {
    let sql = "INSERT INTO login_identity (issuer, subject, person_id, linked_at) VALUES ($1, $2, $3, $4) \
               ON CONFLICT DO NOTHING";
    let query = sqlx::query(sql).bind(issuer.to_owned()).bind(subject.to_owned());
    Ok(tx.run(query.bind(person.to_string()).bind(now)).await? == 1)
}

/// Takes somebody's identities away, and remembers which they were; how many.
///
/// # Errors
/// When the database does not answer.
pub async fn unlink(tx: &mut Tx, person: PersonId, now: i64) -> Result<u64> {
    let sql = "UPDATE login_identity SET unlinked_at = $2 WHERE person_id = $1 AND unlinked_at IS NULL";
    tx.run(sqlx::query(sql).bind(person.to_string()).bind(now)).await
}

/// Forgets what was taken away from somebody, so that it can be linked anew; how many.
///
/// # Errors
/// When the database does not answer.
pub async fn forget_unlinked(tx: &mut Tx, person: PersonId) -> Result<u64> {
    let sql = "DELETE FROM login_identity WHERE person_id = $1 AND unlinked_at IS NOT NULL";
    tx.run(sqlx::query(sql).bind(person.to_string())).await
}

/// Notes that the provider gave an identity no role; false when that was so the last time too.
///
/// # Errors
/// When the database does not answer.
pub async fn refuse(tx: &mut Tx, issuer: &str, subject: &str, now: i64) -> Result<bool> {
    let sql =
        "UPDATE login_identity SET refused_at = $3 WHERE issuer = $1 AND subject = $2 AND refused_at IS NULL";
    Ok(tx.run(sqlx::query(sql).bind(issuer.to_owned()).bind(subject.to_owned()).bind(now)).await? == 1)
}

/// Notes that it gives them one again.
///
/// # Errors
/// When the database does not answer.
pub async fn accept(tx: &mut Tx, issuer: &str, subject: &str) -> Result<u64> {
    let sql = "UPDATE login_identity SET refused_at = NULL \
               WHERE issuer = $1 AND subject = $2 AND refused_at IS NOT NULL";
    tx.run(sqlx::query(sql).bind(issuer.to_owned()).bind(subject.to_owned())).await
}

/// Notes that a browser is sent to the provider, and forgets those who never came back.
///
/// # Errors
/// When the database does not answer.
pub async fn send(
    tx: &mut Tx,
    (state, browser): (&str, &str),
    sealed: &str,
    now: i64,
    until: i64,
) -> Result<()> {
    let sql =
        "INSERT INTO provider_visit (state_hash, browser_hash, sealed, expires_at) VALUES ($1, $2, $3, $4)";
    let query = sqlx::query(sql).bind(state.to_owned()).bind(browser.to_owned());
    tx.run(query.bind(sealed.to_owned()).bind(until)).await?;
    tx.run(sqlx::query("DELETE FROM provider_visit WHERE expires_at <= $1").bind(now)).await?;
    Ok(())
}

/// Whether this browser was sent with this and is awaited: looked at before anything is written, since anybody may ask.
///
/// # Errors
/// When the database does not answer.
pub async fn is_awaited(db: &mut Db, state: &str, browser: &str, now: i64) -> Result<bool> {
    let sql = "SELECT 1 FROM provider_visit WHERE state_hash = $1 AND browser_hash = $2 AND expires_at > $3";
    let query = sqlx::query(sql).bind(state.to_owned()).bind(browser.to_owned()).bind(now);
    Ok(db.optional(query).await?.is_some())
}

/// Takes what was noted when this browser was sent, once; nothing when it was another browser, too long ago, or taken before.
///
/// # Errors
/// When the database does not answer.
pub async fn back(tx: &mut Tx, state: &str, browser: &str, now: i64) -> Result<Option<String>> {
    let sql = "DELETE FROM provider_visit WHERE state_hash = $1 AND browser_hash = $2 AND expires_at > $3 \
               RETURNING sealed";
    let query = sqlx::query(sql).bind(state.to_owned()).bind(browser.to_owned()).bind(now);
    Ok(tx.optional(query).await?.map(|row| row.try_get(0)).transpose()?)
}
