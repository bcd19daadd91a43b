//! Second factors: the sealed secrets of authenticator apps, the hashes of recovery codes, and who has come half way. What is
//! deliberately not here: which code is right (`ops::people::factor`), and passkeys (`passkeys`), which are one as well.

use sqlx::Row as _;

use payout::access::Role;
use payout::ids::PersonId;

use super::{Db, Result, Tx, word};

/// An authenticator app that counts.
#[derive(Clone, Debug)]
pub struct Factor {
    pub sealed: String,
    pub confirmed_at: i64,
    /// The last time step of which a code was taken.
    pub used_step: i64,
}

/// The app of somebody, if they have one.
pub async fn get(db: &mut Db, person: PersonId) -> Result<Option<Factor>> {
    let sql = "SELECT sealed, confirmed_at, used_step FROM factor WHERE person_id = $1";
    let row = db.optional(sqlx::query(sql).bind(person.to_string())).await?;
    let read = |row: sqlx::any::AnyRow| {
        Ok(Factor { sealed: row.try_get(0)?, confirmed_at: row.try_get(1)?, used_step: row.try_get(2)? })
    };
    row.map(read).transpose()
}

/// Since when somebody has a second factor, an app or a passkey; nothing when they have none.
pub async fn since(db: &mut Db, person: PersonId) -> Result<Option<i64>> {
    let sql = "SELECT confirmed_at FROM factor WHERE person_id = $1 \
               UNION ALL SELECT made_at FROM passkey WHERE person_id = $1 ORDER BY 1 LIMIT 1";
    let row = db.optional(sqlx::query(sql).bind(person.to_string())).await?;
    row.map(|row| Ok(row.try_get(0)?)).transpose()
}

/// The people on our side who may come in and have no second factor: name, address and role, the oldest first.
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

/// Takes a time step as used; false when this or a later one was taken already, by whichever node.
pub async fn use_step(tx: &mut Tx, person: PersonId, step: i64) -> Result<bool> {
    let sql = "UPDATE factor SET used_step = $2 WHERE person_id = $1 AND used_step < $2";
    let used = tx.run(sqlx::query(sql).bind(person.to_string()).bind(step)).await? == 1;
    if used {
        right(tx, person).await?;
    }
    Ok(used)
}

/// Notes that somebody has shown what is right, so that wrong ones are counted anew.
async fn right(tx: &mut Tx, person: PersonId) -> Result<()> {
    let sql = "UPDATE person SET wrong_codes = 0 WHERE id = $1 AND wrong_codes > 0";
    tx.run(sqlx::query(sql).bind(person.to_string())).await?;
    Ok(())
}

/// Notes a wrong code; how many came since the last right one.
pub async fn wrong(tx: &mut Tx, person: PersonId) -> Result<i64> {
    let sql =
        "UPDATE person SET wrong_codes = COALESCE(wrong_codes, 0) + 1 WHERE id = $1 RETURNING wrong_codes";
    let row = tx.optional(sqlx::query(sql).bind(person.to_string())).await?;
    row.map_or(Ok(0), |row| Ok(row.try_get(0)?))
}

/// Keeps a secret that is being set up in this session, in the place of an earlier one.
pub async fn begin(tx: &mut Tx, person: PersonId, session: &str, sealed: &str, now: i64) -> Result<()> {
    let sql = "INSERT INTO factor_begun (person_id, session_id, sealed, begun_at) VALUES ($1, $2, $3, $4) \
               ON CONFLICT (person_id) DO UPDATE SET session_id = excluded.session_id, sealed = excluded.sealed, \
               begun_at = excluded.begun_at";
    let query = sqlx::query(sql).bind(person.to_string()).bind(session.to_owned()).bind(sealed.to_owned());
    tx.run(query.bind(now)).await?;
    Ok(())
}

/// The secret that somebody is setting up in this session, if they began after then.
pub async fn begun(db: &mut Db, person: PersonId, session: &str, after: i64) -> Result<Option<String>> {
    let sql = "SELECT sealed FROM factor_begun WHERE person_id = $1 AND session_id = $2 AND begun_at > $3";
    let query = sqlx::query(sql).bind(person.to_string()).bind(session.to_owned());
    let row = db.optional(query.bind(after)).await?;
    row.map(|row| Ok(row.try_get(0)?)).transpose()
}

/// Takes the secret that is being set up, held until the end of the transaction; nothing when it is another one by now.
pub async fn take_begun(tx: &mut Tx, person: PersonId, sealed: &str) -> Result<bool> {
    let sql = "DELETE FROM factor_begun WHERE person_id = $1 AND sealed = $2";
    Ok(tx.run(sqlx::query(sql).bind(person.to_string()).bind(sealed.to_owned())).await? == 1)
}

/// Lets a secret count from now on, the step of its first code being used.
pub async fn confirm(tx: &mut Tx, person: PersonId, sealed: &str, step: i64, now: i64) -> Result<()> {
    let sql = "INSERT INTO factor (person_id, sealed, confirmed_at, used_step, wrong_count) VALUES ($1, $2, $3, $4, 0) \
               ON CONFLICT (person_id) DO UPDATE SET sealed = excluded.sealed, confirmed_at = excluded.confirmed_at, \
               used_step = excluded.used_step, wrong_count = 0";
    let query = sqlx::query(sql).bind(person.to_string()).bind(sealed.to_owned()).bind(now);
    tx.run(query.bind(step)).await?;
    right(tx, person).await
}

/// Gives somebody other recovery codes; those from before work no more.
pub async fn put_codes(tx: &mut Tx, person: PersonId, hashes: &[String], now: i64) -> Result<()> {
    tx.run(sqlx::query("DELETE FROM recovery_code WHERE person_id = $1").bind(person.to_string())).await?;
    let sql = "INSERT INTO recovery_code (code_hash, person_id, made_at) VALUES ($1, $2, $3)";
    for hash in hashes {
        tx.run(sqlx::query(sql).bind(hash.clone()).bind(person.to_string()).bind(now)).await?;
    }
    Ok(())
}

/// Uses a recovery code up; false when there is none of this hash, or it was used.
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

/// How many recovery codes somebody has left.
pub async fn codes_left(db: &mut Db, person: PersonId) -> Result<i64> {
    let sql = "SELECT COUNT(*) FROM recovery_code WHERE person_id = $1 AND used_at IS NULL";
    Ok(db.one(sqlx::query(sql).bind(person.to_string())).await?.try_get(0)?)
}

/// Takes somebody's second factor away, app and passkeys, with its codes and what was begun; whether they had one.
pub async fn drop(tx: &mut Tx, person: PersonId) -> Result<bool> {
    let id = person.to_string();
    tx.run(sqlx::query("DELETE FROM factor_begun WHERE person_id = $1").bind(id.clone())).await?;
    tx.run(sqlx::query("DELETE FROM recovery_code WHERE person_id = $1").bind(id.clone())).await?;
    let keys = tx.run(sqlx::query("DELETE FROM passkey WHERE person_id = $1").bind(id.clone())).await?;
    let apps = tx.run(sqlx::query("DELETE FROM factor WHERE person_id = $1").bind(id)).await?;
    Ok(keys + apps > 0)
}

/// Takes somebody's app away, with what was begun, and leaves passkeys and recovery codes; whether they had one.
pub async fn drop_app(tx: &mut Tx, person: PersonId) -> Result<bool> {
    let id = person.to_string();
    tx.run(sqlx::query("DELETE FROM factor_begun WHERE person_id = $1").bind(id.clone())).await?;
    Ok(tx.run(sqlx::query("DELETE FROM factor WHERE person_id = $1").bind(id)).await? == 1)
}

/// Somebody who has come half way.
#[derive(Clone, Copy, Debug)]
pub struct Half<'a> {
    pub person: PersonId,
    /// What the provider signed about them, sealed, where they came by it.
    pub provided: Option<&'a str>,
    pub end: i64,
}

/// Enters somebody who has come half way.
pub async fn half_way(tx: &mut Tx, token_hash: &str, half: &Half<'_>, now: i64) -> Result<()> {
    let sql = "INSERT INTO half_login (token_hash, person_id, expires_at, provided) VALUES ($1, $2, $3, $4)";
    let query = sqlx::query(sql).bind(token_hash.to_owned()).bind(half.person.to_string()).bind(half.end);
    tx.run(query.bind(half.provided.map(str::to_owned))).await?;
    tx.run(sqlx::query("DELETE FROM half_login WHERE expires_at < $1").bind(now)).await?;
    Ok(())
}

/// What the provider signed about whoever has come half way with this token, sealed; nothing where they came another way.
pub async fn provided(db: &mut Db, token_hash: &str) -> Result<Option<String>> {
    let sql = "SELECT provided FROM half_login WHERE token_hash = $1";
    let row = db.optional(sqlx::query(sql).bind(token_hash.to_owned())).await?;
    row.map_or(Ok(None), |row| Ok(row.try_get(0)?))
}

/// Who has come half way with this token.
pub async fn half(db: &mut Db, token_hash: &str, now: i64) -> Result<Option<PersonId>> {
    let sql = "SELECT person_id FROM half_login WHERE token_hash = $1 AND expires_at > $2";
    let row = db.optional(sqlx::query(sql).bind(token_hash.to_owned()).bind(now)).await?;
    let read = |row: sqlx::any::AnyRow| {
        let id: String = row.try_get(0)?;
        word(PersonId::parse(&id), &id)
    };
    row.map(read).transpose()
}

/// Ends what somebody has come half way with; false when it has ended already.
pub async fn end_half(tx: &mut Tx, token_hash: &str) -> Result<bool> {
    let sql = "DELETE FROM half_login WHERE token_hash = $1";
    Ok(tx.run(sqlx::query(sql).bind(token_hash.to_owned())).await? == 1)
}

/// Ends everything that somebody has come half way with by the provider.
pub async fn end_halves_by_provider(tx: &mut Tx, person: PersonId) -> Result<u64> {
    let sql = "DELETE FROM half_login WHERE person_id = $1 AND provided IS NOT NULL";
    tx.run(sqlx::query(sql).bind(person.to_string())).await
}

/// Ends everything that somebody has come half way with.
pub async fn end_halves(tx: &mut Tx, person: PersonId) -> Result<u64> {
    tx.run(sqlx::query("DELETE FROM half_login WHERE person_id = $1").bind(person.to_string())).await
}
