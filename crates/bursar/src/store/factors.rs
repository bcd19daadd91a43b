//! Second factors: the encrypted secrets of authenticator apps, hashed recovery codes, and pending logins that still
//! need a second factor. Not here: checking codes (`ops::people::factor`), and passkeys (`passkeys`), which also count
//! as one.

use sqlx::Row as _;

use payout::access::Role;
use payout::ids::PersonId;

use super::{Db, Result, Tx, word};

/// A confirmed authenticator app of a person.
#[derive(Clone, Debug)]
pub struct Factor {
    pub sealed: String,
    pub confirmed_at: i64,
    /// The last time step whose code was accepted.
    pub used_step: i64,
}

/// A person's authenticator app, if any.
pub async fn get(db: &mut Db, person: PersonId) -> Result<Option<Factor>> {
    let sql = "SELECT sealed, confirmed_at, used_step FROM factor WHERE person_id = $1";
    let row = db.optional(sqlx::query(sql).bind(person.to_string())).await?;
    let read = |row: sqlx::any::AnyRow| {
        Ok(Factor { sealed: row.try_get(0)?, confirmed_at: row.try_get(1)?, used_step: row.try_get(2)? })
    };
    row.map(read).transpose()
}

/// Since when a person has a second factor, an app or a passkey; `None` if they have none.
pub async fn since(db: &mut Db, person: PersonId) -> Result<Option<i64>> {
    let sql = "SELECT confirmed_at FROM factor WHERE person_id = $1 \
               UNION ALL SELECT made_at FROM passkey WHERE person_id = $1 ORDER BY 1 LIMIT 1";
    let row = db.optional(sqlx::query(sql).bind(person.to_string())).await?;
    row.map(|row| Ok(row.try_get(0)?)).transpose()
}

/// Staff who can sign in but have no second factor: name, address and role, oldest first.
pub async fn without(db: &mut Db) -> Result<Vec<(String, String, Role)>> {
    let sql = "SELECT p.name, COALESCE(p.email, ''), p.role FROM person p \
               LEFT JOIN factor x ON x.person_id = p.id WHERE x.person_id IS NULL AND p.kind = 'person' \
               AND p.partner_id IS NULL AND p.disabled_at IS NULL \
               AND NOT EXISTS (SELECT 1 FROM passkey k WHERE k.person_id = p.id) ORDER BY p.id LIMIT 500";
    let read = |row: &sqlx::any::AnyRow| {
        let role: String = row.try_get(2)?;
        Ok((row.try_get(0)?, row.try_get(1)?, word(Role::parse(&role), &role)?))
    };
    db.all(sqlx::query(sql)).await?.iter().map(read).collect()
}

/// Marks a time step as used; `false` if it or a later one was already used, on any node.
pub async fn use_step(tx: &mut Tx, person: PersonId, step: i64) -> Result<bool> {
    let sql = "UPDATE factor SET used_step = $2 WHERE person_id = $1 AND used_step < $2";
    let used = tx.run(sqlx::query(sql).bind(person.to_string()).bind(step)).await? == 1;
    if used {
        right(tx, person).await?;
    }
    Ok(used)
}

/// Resets the count of wrong codes after a correct one.
async fn right(tx: &mut Tx, person: PersonId) -> Result<()> {
    let sql = "UPDATE person SET wrong_codes = 0 WHERE id = $1 AND wrong_codes > 0";
    tx.run(sqlx::query(sql).bind(person.to_string())).await?;
    Ok(())
}

/// Records a wrong code; returns how many there were since the last correct one.
pub async fn wrong(tx: &mut Tx, person: PersonId) -> Result<i64> {
    let sql =
        "UPDATE person SET wrong_codes = COALESCE(wrong_codes, 0) + 1 WHERE id = $1 RETURNING wrong_codes";
    let row = tx.optional(sqlx::query(sql).bind(person.to_string())).await?;
    row.map_or(Ok(0), |row| Ok(row.try_get(0)?))
}

/// Stores a secret being set up in this session, replacing an earlier one.
pub async fn begin(tx: &mut Tx, person: PersonId, session: &str, sealed: &str, now: i64) -> Result<()> {
    let sql = "INSERT INTO factor_begun (person_id, session_id, sealed, begun_at) VALUES ($1, $2, $3, $4) \
               ON CONFLICT (person_id) DO UPDATE SET session_id = excluded.session_id, sealed = excluded.sealed, \
               begun_at = excluded.begun_at";
    let query = sqlx::query(sql).bind(person.to_string()).bind(session.to_owned()).bind(sealed.to_owned());
    tx.run(query.bind(now)).await?;
    Ok(())
}

/// The secret this person is setting up in this session, if they started after that time.
pub async fn begun(db: &mut Db, person: PersonId, session: &str, after: i64) -> Result<Option<String>> {
    let sql = "SELECT sealed FROM factor_begun WHERE person_id = $1 AND session_id = $2 AND begun_at > $3";
    let query = sqlx::query(sql).bind(person.to_string()).bind(session.to_owned());
    let row = db.optional(query.bind(after)).await?;
    row.map(|row| Ok(row.try_get(0)?)).transpose()
}

/// Removes the secret being set up and keeps its row locked; `false` if it has been replaced by another.
pub async fn take_begun(tx: &mut Tx, person: PersonId, sealed: &str) -> Result<bool> {
    let sql = "DELETE FROM factor_begun WHERE person_id = $1 AND sealed = $2";
    Ok(tx.run(sqlx::query(sql).bind(person.to_string()).bind(sealed.to_owned())).await? == 1)
}

/// Activates a secret; the time step of its first code counts as used.
pub async fn confirm(tx: &mut Tx, person: PersonId, sealed: &str, step: i64, now: i64) -> Result<()> {
    let sql = "INSERT INTO factor (person_id, sealed, confirmed_at, used_step, wrong_count) VALUES ($1, $2, $3, $4, 0) \
               ON CONFLICT (person_id) DO UPDATE SET sealed = excluded.sealed, confirmed_at = excluded.confirmed_at, \
               used_step = excluded.used_step, wrong_count = 0";
    let query = sqlx::query(sql).bind(person.to_string()).bind(sealed.to_owned()).bind(now);
    tx.run(query.bind(step)).await?;
    right(tx, person).await
}

/// Replaces a person's recovery codes.
pub async fn put_codes(tx: &mut Tx, person: PersonId, hashes: &[String], now: i64) -> Result<()> {
    tx.run(sqlx::query("DELETE FROM recovery_code WHERE person_id = $1").bind(person.to_string())).await?;
    let sql = "INSERT INTO recovery_code (code_hash, person_id, made_at) VALUES ($1, $2, $3)";
    for hash in hashes {
        tx.run(sqlx::query(sql).bind(hash.clone()).bind(person.to_string()).bind(now)).await?;
    }
    Ok(())
}

/// Consumes a recovery code; `false` if it does not exist or was already used.
pub async fn use_code(tx: &mut Tx, person: PersonId, hash: &str, now: i64) -> Result<bool> {
    let sql =
        "UPDATE recovery_code SET used_at = $3 WHERE code_hash = $2 AND person_id = $1 AND used_at IS NULL";
    let query = sqlx::query(sql).bind(person.to_string()).bind(hash.to_owned()).bind(now);
    let used = tx.run(query).await? == 1;
    if used {
        right(tx, person).await?;
    }
    Ok(used)
}

/// How many unused recovery codes remain.
pub async fn codes_left(db: &mut Db, person: PersonId) -> Result<i64> {
    let sql = "SELECT COUNT(*) FROM recovery_code WHERE person_id = $1 AND used_at IS NULL";
    Ok(db.one(sqlx::query(sql).bind(person.to_string())).await?.try_get(0)?)
}

/// Removes a person's second factor entirely: app, passkeys, recovery codes and pending setup. Returns whether they had
/// one.
pub async fn drop(tx: &mut Tx, person: PersonId) -> Result<bool> {
    let id = person.to_string();
    tx.run(sqlx::query("DELETE FROM factor_begun WHERE person_id = $1").bind(id.clone())).await?;
    tx.run(sqlx::query("DELETE FROM recovery_code WHERE person_id = $1").bind(id.clone())).await?;
    let keys = tx.run(sqlx::query("DELETE FROM passkey WHERE person_id = $1").bind(id.clone())).await?;
    let apps = tx.run(sqlx::query("DELETE FROM factor WHERE person_id = $1").bind(id)).await?;
    Ok(keys + apps > 0)
}

/// Removes a person's app and pending setup, but keeps passkeys and recovery codes. Returns whether they had one.
pub async fn drop_app(tx: &mut Tx, person: PersonId) -> Result<bool> {
    let id = person.to_string();
    tx.run(sqlx::query("DELETE FROM factor_begun WHERE person_id = $1").bind(id.clone())).await?;
    Ok(tx.run(sqlx::query("DELETE FROM factor WHERE person_id = $1").bind(id)).await? == 1)
}

/// A pending login: it still needs its second factor.
#[derive(Clone, Copy, Debug)]
pub struct PendingLogin<'a> {
    pub person: PersonId,
    /// The identity provider's encrypted claims, if they signed in through it.
    pub provided: Option<&'a str>,
    pub end: i64,
}

/// Stores a login that still needs its second factor.
pub async fn insert_pending_login(
    tx: &mut Tx,
    token_hash: &str,
    half: &PendingLogin<'_>,
    now: i64,
) -> Result<()> {
    let sql = "INSERT INTO half_login (token_hash, person_id, expires_at, provided) VALUES ($1, $2, $3, $4)";
    let query = sqlx::query(sql).bind(token_hash.to_owned()).bind(half.person.to_string()).bind(half.end);
    tx.run(query.bind(half.provided.map(str::to_owned))).await?;
    tx.run(sqlx::query("DELETE FROM half_login WHERE expires_at < $1").bind(now)).await?;
    Ok(())
}

/// The encrypted provider claims of the pending login with this token; `None` if they signed in another way.
pub async fn provided(db: &mut Db, token_hash: &str) -> Result<Option<String>> {
    let sql = "SELECT provided FROM half_login WHERE token_hash = $1";
    let row = db.optional(sqlx::query(sql).bind(token_hash.to_owned())).await?;
    row.map_or(Ok(None), |row| Ok(row.try_get(0)?))
}

/// The person of the pending login with this token.
pub async fn half(db: &mut Db, token_hash: &str, now: i64) -> Result<Option<PersonId>> {
    let sql = "SELECT person_id FROM half_login WHERE token_hash = $1 AND expires_at > $2";
    let row = db.optional(sqlx::query(sql).bind(token_hash.to_owned()).bind(now)).await?;
    let read = |row: sqlx::any::AnyRow| {
        let id: String = row.try_get(0)?;
        word(PersonId::parse(&id), &id)
    };
    row.map(read).transpose()
}

/// Ends a pending login; `false` if it has already ended.
pub async fn end_pending_login(tx: &mut Tx, token_hash: &str) -> Result<bool> {
    let sql = "DELETE FROM half_login WHERE token_hash = $1";
    Ok(tx.run(sqlx::query(sql).bind(token_hash.to_owned())).await? == 1)
}

/// Ends a person's pending logins through the identity provider.
pub async fn end_pending_logins_by_provider(tx: &mut Tx, person: PersonId) -> Result<u64> {
    let sql = "DELETE FROM half_login WHERE person_id = $1 AND provided IS NOT NULL";
    tx.run(sqlx::query(sql).bind(person.to_string())).await
}

/// Ends all of a person's pending logins.
pub async fn end_pending_logins(tx: &mut Tx, person: PersonId) -> Result<u64> {
    tx.run(sqlx::query("DELETE FROM half_login WHERE person_id = $1").bind(person.to_string())).await
}
