//! Where people are signed in. Only hashes of tokens are here, and a token is replaced after each proof, so a session has a
//! name of its own beside it. What is deliberately not here: how long a session lasts (`ops::people`).

use sqlx::Row as _;
use sqlx::any::AnyRow;

use payout::ids::PersonId;

use super::{Db, Result, Tx, Where};

/// Since when a session must have been used, else it is over: for our own people, and for partners.
#[derive(Clone, Copy, Debug)]
pub struct UsedSince {
    /// Our own people.
    pub ours: i64,
    pub partners: i64,
}

impl UsedSince {
    pub(super) fn narrow(self, list: &mut Where) {
        let used = "(p.partner_id IS NULL AND COALESCE(s.seen_at, s.created_at) > ? \
                    OR p.partner_id IS NOT NULL AND COALESCE(s.seen_at, s.created_at) > ?)";
        list.and(used, [self.ours.into(), self.partners.into()]);
    }
}

/// A session as its owner is shown it.
#[derive(Clone, Debug)]
pub struct Session {
    pub id: String,
    /// What the browser calls itself.
    pub device: Option<String>,
    /// The address it was last used from.
    pub address: Option<String>,
    pub created_at: i64,
    /// When it was last used, to about a minute.
    pub seen_at: i64,
}

/// The sessions somebody has, the newest first.
pub async fn list(db: &mut Db, id: PersonId, now: i64, since: UsedSince) -> Result<Vec<Session>> {
    let mut conditions = Where::default();
    conditions.and("s.person_id = ?", [id.to_string().into()]);
    conditions.and("s.expires_at > ?", [now.into()]);
    since.narrow(&mut conditions);
    let sql = "SELECT COALESCE(s.public_id, s.token_hash), s.device, s.address, s.created_at, \
               COALESCE(s.seen_at, s.created_at) FROM session s JOIN person p ON p.id = s.person_id \
               {where} ORDER BY s.created_at DESC LIMIT 50";
    let rows = db.all(conditions.query(sql)).await?;
    let read = |row: &AnyRow| {
        Ok(Session {
            id: row.try_get(0)?,
            device: row.try_get(1)?,
            address: row.try_get(2)?,
            created_at: row.try_get(3)?,
            seen_at: row.try_get(4)?,
        })
    };
    rows.iter().map(read).collect()
}

#[derive(Clone, Debug)]
pub struct New<'a> {
    /// What its token is stored as.
    pub token_hash: &'a str,
    pub id: &'a str,
    pub person: PersonId,
    /// The word that every form of it carries.
    pub csrf: &'a str,
    /// What the browser calls itself.
    pub device: &'a str,
    /// The address it comes from.
    pub address: &'a str,
    /// When it ends, however much it is used.
    pub expires_at: i64,
}

pub async fn begin(tx: &mut Tx, new: &New<'_>, now: i64) -> Result<()> {
    let sql = "INSERT INTO session \
               (token_hash, public_id, person_id, csrf, device, address, expires_at, created_at, proved_at, seen_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8, $8)";
    let query = sqlx::query(sql).bind(new.token_hash.to_owned()).bind(new.id.to_owned());
    let query = query.bind(new.person.to_string()).bind(new.csrf.to_owned()).bind(new.device.to_owned());
    tx.run(query.bind(new.address.to_owned()).bind(new.expires_at).bind(now)).await?;
    let seen = sqlx::query("UPDATE person SET last_seen_at = $1 WHERE id = $2").bind(now);
    tx.run(seen.bind(new.person.to_string())).await?;
    tx.run(sqlx::query("DELETE FROM session WHERE expires_at < $1").bind(now)).await?;
    Ok(())
}

/// Notes of a session that the provider signed for when that was, and when it says that they proved who they are.
pub async fn by_provider(tx: &mut Tx, token_hash: &str, proved_at: Option<i64>, now: i64) -> Result<u64> {
    let sql = "UPDATE session SET proved_at = $2, provider_at = $3 WHERE token_hash = $1";
    tx.run(sqlx::query(sql).bind(token_hash.to_owned()).bind(proved_at).bind(now)).await
}

/// Notes when and from where a session was used, unless that is known to be later than `before`.
pub async fn used(tx: &mut Tx, token_hash: &str, address: &str, now: i64, before: i64) -> Result<u64> {
    let sql = "UPDATE session SET seen_at = $2, address = $3 \
               WHERE token_hash = $1 AND COALESCE(seen_at, created_at) < $4";
    let query = sqlx::query(sql).bind(token_hash.to_owned()).bind(now).bind(address.to_owned());
    tx.run(query.bind(before)).await
}

/// Notes that whoever holds this session has just proved who they are, and stores it under another token from now on. False
/// when the session has ended meanwhile.
pub async fn proved(tx: &mut Tx, token_hash: &str, next_hash: &str, now: i64) -> Result<bool> {
    // Whoever is called by their token's hash keeps that name.
    let sql = "UPDATE session SET token_hash = $2, public_id = COALESCE(public_id, token_hash), proved_at = $3, \
               seen_at = $3 WHERE token_hash = $1";
    let query = sqlx::query(sql).bind(token_hash.to_owned()).bind(next_hash.to_owned());
    Ok(tx.run(query.bind(now)).await? == 1)
}

/// Gives a session another token and leaves it when they proved who they are as it is. False when it has ended meanwhile.
pub async fn renamed(tx: &mut Tx, token_hash: &str, next_hash: &str) -> Result<bool> {
    let sql = "UPDATE session SET token_hash = $2, public_id = COALESCE(public_id, token_hash) WHERE token_hash = $1";
    let query = sqlx::query(sql).bind(token_hash.to_owned()).bind(next_hash.to_owned());
    Ok(tx.run(query).await? == 1)
}

/// Ends every session of somebody; how many.
pub async fn end_all(tx: &mut Tx, id: PersonId) -> Result<u64> {
    tx.run(sqlx::query("DELETE FROM session WHERE person_id = $1").bind(id.to_string())).await
}

/// Ends the sessions that somebody began by the provider; how many.
pub async fn end_by_provider(tx: &mut Tx, id: PersonId) -> Result<u64> {
    let sql = "DELETE FROM session WHERE person_id = $1 AND provider_at IS NOT NULL";
    tx.run(sqlx::query(sql).bind(id.to_string())).await
}

/// Ends somebody's sessions but the one of this name; how many.
pub async fn end_others(tx: &mut Tx, person: PersonId, id: &str) -> Result<u64> {
    let sql = "DELETE FROM session WHERE person_id = $1 AND COALESCE(public_id, token_hash) <> $2";
    tx.run(sqlx::query(sql).bind(person.to_string()).bind(id.to_owned())).await
}

/// Ends one session of somebody; 0 when they have none of this name.
pub async fn end_one(tx: &mut Tx, person: PersonId, id: &str) -> Result<u64> {
    let sql = "DELETE FROM session WHERE person_id = $1 AND COALESCE(public_id, token_hash) = $2";
    tx.run(sqlx::query(sql).bind(person.to_string()).bind(id.to_owned())).await
}
