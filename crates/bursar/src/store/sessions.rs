//! Active sessions. Tokens are stored as hashes only, and every step-up replaces the token, so a session also has a
//! stable id. Not here: how long a session lasts (`ops::people`).

use sqlx::Row as _;
use sqlx::any::AnyRow;

use payout::ids::PersonId;

use super::{Db, Result, Tx, Where, browsers};

/// The idle limits: a session last used before this time has ended, for staff and for partners.
#[derive(Clone, Copy, Debug)]
pub struct UsedSince {
    /// For staff, in microseconds UTC.
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

/// A session as shown to its owner.
#[derive(Clone, Debug)]
pub struct Session {
    pub id: String,
    /// The browser's name for itself.
    pub device: Option<String>,
    /// The client address of its last use.
    pub address: Option<String>,
    pub created_at: i64,
    /// When it was last used, accurate to about a minute.
    pub seen_at: i64,
}

/// A person's sessions, newest first.
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
    /// The hash of its token.
    pub token_hash: &'a str,
    pub id: &'a str,
    pub person: PersonId,
    /// The CSRF token of its forms.
    pub csrf: &'a str,
    /// The browser's name for itself.
    pub device: &'a str,
    /// The client address it comes from.
    pub address: &'a str,
    /// The hash of its browser's cookie, if it has one.
    pub browser_hash: Option<&'a str>,
    /// When it ends, however much it is used.
    pub expires_at: i64,
}

pub async fn begin(tx: &mut Tx, new: &New<'_>, now: i64) -> Result<()> {
    let sql = "INSERT INTO session \
               (token_hash, public_id, person_id, csrf, device, address, browser_hash, expires_at, created_at, proved_at, seen_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $9)";
    let query = sqlx::query(sql).bind(new.token_hash.to_owned()).bind(new.id.to_owned());
    let query = query.bind(new.person.to_string()).bind(new.csrf.to_owned()).bind(new.device.to_owned());
    let query = query.bind(new.address.to_owned()).bind(new.browser_hash.map(str::to_owned));
    tx.run(query.bind(new.expires_at).bind(now)).await?;
    let seen = sqlx::query("UPDATE person SET last_seen_at = $1 WHERE id = $2").bind(now);
    tx.run(seen.bind(new.person.to_string())).await?;
    tx.run(sqlx::query("DELETE FROM session WHERE expires_at < $1").bind(now)).await?;
    Ok(())
}

/// Records that a session began through the identity provider, and when the provider says the person authenticated.
pub async fn by_provider(tx: &mut Tx, token_hash: &str, proved_at: Option<i64>, now: i64) -> Result<u64> {
    let sql = "UPDATE session SET proved_at = $2, provider_at = $3 WHERE token_hash = $1";
    tx.run(sqlx::query(sql).bind(token_hash.to_owned()).bind(proved_at).bind(now)).await
}

/// Updates when and from where a session was used, unless that was recorded at or after `before`.
pub async fn used(tx: &mut Tx, token_hash: &str, address: &str, now: i64, before: i64) -> Result<u64> {
    let sql = "UPDATE session SET seen_at = $2, address = $3 \
               WHERE token_hash = $1 AND COALESCE(seen_at, created_at) < $4";
    let query = sqlx::query(sql).bind(token_hash.to_owned()).bind(now).bind(address.to_owned());
    tx.run(query.bind(before)).await
}

/// Records a step-up and replaces the session's token. `false` if the session has ended in the meantime.
pub async fn proved(tx: &mut Tx, token_hash: &str, next_hash: &str, now: i64) -> Result<bool> {
    // Sessions that used their token's hash as id keep it.
    let sql = "UPDATE session SET token_hash = $2, public_id = COALESCE(public_id, token_hash), proved_at = $3, \
               seen_at = $3 WHERE token_hash = $1";
    let query = sqlx::query(sql).bind(token_hash.to_owned()).bind(next_hash.to_owned());
    Ok(tx.run(query.bind(now)).await? == 1)
}

/// Replaces a session's token without recording a step-up. `false` if the session has ended in the meantime.
pub async fn renamed(tx: &mut Tx, token_hash: &str, next_hash: &str) -> Result<bool> {
    let sql = "UPDATE session SET token_hash = $2, public_id = COALESCE(public_id, token_hash) WHERE token_hash = $1";
    let query = sqlx::query(sql).bind(token_hash.to_owned()).bind(next_hash.to_owned());
    Ok(tx.run(query).await? == 1)
}

/// Ends all of a person's sessions, and their browsers count as new again; returns how many sessions.
pub async fn end_all(tx: &mut Tx, id: PersonId) -> Result<u64> {
    browsers::forget_others(tx, id, "").await?;
    tx.run(sqlx::query("DELETE FROM session WHERE person_id = $1").bind(id.to_string())).await
}

/// Ends a person's sessions that began through the identity provider; returns how many. All their browsers count as new
/// again, because a session that has expired no longer says which browser it was in.
pub async fn end_by_provider(tx: &mut Tx, id: PersonId) -> Result<u64> {
    browsers::forget_others(tx, id, "").await?;
    let sql = "DELETE FROM session WHERE person_id = $1 AND provider_at IS NOT NULL";
    tx.run(sqlx::query(sql).bind(id.to_string())).await
}

/// Ends a person's sessions except the one with this id; returns how many. All browsers but its own count as new again.
pub async fn end_others(tx: &mut Tx, person: PersonId, id: &str) -> Result<u64> {
    browsers::forget_others(tx, person, id).await?;
    let sql = "DELETE FROM session WHERE person_id = $1 AND COALESCE(public_id, token_hash) <> $2";
    tx.run(sqlx::query(sql).bind(person.to_string()).bind(id.to_owned())).await
}

/// Ends one of a person's sessions, and its browser counts as new again; 0 if they have none with this id.
pub async fn end_one(tx: &mut Tx, person: PersonId, id: &str) -> Result<u64> {
    browsers::forget_one(tx, person, id).await?;
    sign_out(tx, person, id).await
}

/// Ends a session because its person signs out there; the browser stays known.
pub async fn sign_out(tx: &mut Tx, person: PersonId, id: &str) -> Result<u64> {
    let sql = "DELETE FROM session WHERE person_id = $1 AND COALESCE(public_id, token_hash) = $2";
    tx.run(sqlx::query(sql).bind(person.to_string()).bind(id.to_owned())).await
}
