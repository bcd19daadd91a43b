//! Passkeys and pending challenges. Not here: verifying them (`ops::people::passkeys`).

use sqlx::Row as _;
use sqlx::any::AnyRow;

use payout::ids::PersonId;

use super::{Db, Result, Tx, word};

#[derive(Clone, Debug)]
pub struct Passkey {
    pub id: String,
    pub person: PersonId,
    pub credential_id: String,
    pub public_key: String,
    /// The name its owner gave it.
    pub name: String,
    pub made_at: i64,
    /// When it was last used to sign in.
    pub used_at: Option<i64>,
    /// Whether it is device-bound or synced, if the device has said so.
    pub devices: Option<String>,
}

fn read(row: &AnyRow) -> Result<Passkey> {
    let person: String = row.try_get(1)?;
    Ok(Passkey {
        id: row.try_get(0)?,
        person: word(PersonId::parse(&person), &person)?,
        credential_id: row.try_get(2)?,
        public_key: row.try_get(3)?,
        name: row.try_get(4)?,
        made_at: row.try_get(5)?,
        used_at: row.try_get(6)?,
        devices: row.try_get(7)?,
    })
}

/// A person's passkeys, oldest first.
pub async fn of(db: &mut Db, person: PersonId) -> Result<Vec<Passkey>> {
    let sql = "SELECT id, person_id, credential_id, public_key, name, made_at, used_at, devices FROM passkey \
               WHERE person_id = $1 ORDER BY made_at, id LIMIT 100";
    db.all(sqlx::query(sql).bind(person.to_string())).await?.iter().map(read).collect()
}

/// The passkey with this credential id.
pub async fn called(db: &mut Db, credential_id: &str) -> Result<Option<Passkey>> {
    let sql = "SELECT id, person_id, credential_id, public_key, name, made_at, used_at, devices FROM passkey \
               WHERE credential_id = $1";
    let row = db.optional(sqlx::query(sql).bind(credential_id.to_owned())).await?;
    row.map(|row| read(&row)).transpose()
}

/// Stores a passkey; `false` if its credential id is already taken.
pub async fn insert(tx: &mut Tx, one: &Passkey, count: i64) -> Result<bool> {
    let sql = "INSERT INTO passkey (id, person_id, credential_id, public_key, name, use_count, made_at, devices) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (credential_id) DO NOTHING";
    let query = sqlx::query(sql).bind(one.id.clone()).bind(one.person.to_string());
    let query = query.bind(one.credential_id.clone()).bind(one.public_key.clone()).bind(one.name.clone());
    Ok(tx.run(query.bind(count).bind(one.made_at).bind(one.devices.clone())).await? == 1)
}

/// Records a use with the device's signature counter; `false` if the counter has not increased, on any node, which
/// means a clone or a replay. A device that always reports 0 keeps no counter. Also stores whether the passkey is now
/// synced.
pub async fn used(tx: &mut Tx, id: &str, count: i64, devices: &'static str, now: i64) -> Result<bool> {
    let sql = "UPDATE passkey SET use_count = $2, used_at = $3, devices = $4 WHERE id = $1 \
               AND (use_count < $2 OR use_count = 0 AND $2 = 0)";
    let query = sqlx::query(sql).bind(id.to_owned()).bind(count).bind(now);
    Ok(tx.run(query.bind(devices)).await? == 1)
}

/// Removes one of a person's passkeys; `false` if they have none with this id.
pub async fn remove(tx: &mut Tx, person: PersonId, id: &str) -> Result<bool> {
    let sql = "DELETE FROM passkey WHERE person_id = $1 AND id = $2";
    Ok(tx.run(sqlx::query(sql).bind(person.to_string()).bind(id.to_owned())).await? == 1)
}

/// A challenge waiting for a passkey.
#[derive(Clone, Debug)]
pub struct Challenge {
    /// The value to sign, in base64url.
    pub challenge: String,
    pub purpose: &'static str,
    /// The person or browser that may answer it.
    pub bound_to: String,
    pub action: String,
    pub nonce: String,
    pub expires_at: i64,
}

/// How far another node's clock may be behind, in microseconds: its challenges are still valid there.
const BEHIND_US: i64 = 60 * 60 * 1_000_000;

/// Stores a challenge and deletes unanswered ones: those that expired long ago, and all but the last four bound to the
/// same person or browser.
pub async fn ask(tx: &mut Tx, one: &Challenge, now: i64) -> Result<()> {
    let over = sqlx::query("DELETE FROM passkey_challenge WHERE expires_at < $1").bind(now - BEHIND_US);
    tx.run(over).await?;
    let sql = "DELETE FROM passkey_challenge WHERE bound_to = $1 AND challenge NOT IN \
               (SELECT challenge FROM passkey_challenge WHERE bound_to = $1 ORDER BY expires_at DESC, challenge LIMIT 4)";
    tx.run(sqlx::query(sql).bind(one.bound_to.clone())).await?;
    let sql = "INSERT INTO passkey_challenge (challenge, purpose, bound_to, deed, nonce, expires_at) \
               VALUES ($1, $2, $3, $4, $5, $6)";
    let query = sqlx::query(sql).bind(one.challenge.clone()).bind(one.purpose).bind(one.bound_to.clone());
    tx.run(query.bind(one.action.clone()).bind(one.nonce.clone()).bind(one.expires_at)).await?;
    Ok(())
}

/// Consumes a challenge, whichever node issued it; returns its action and nonce. `None` if there is none, it has
/// expired, or it is for another purpose or owner.
pub async fn take(
    tx: &mut Tx,
    challenge: &str,
    purpose: &'static str,
    bound_to: &str,
    now: i64,
) -> Result<Option<(String, String)>> {
    let sql = "DELETE FROM passkey_challenge WHERE challenge = $1 AND purpose = $2 AND bound_to = $3 AND expires_at > $4 \
               RETURNING deed, nonce";
    let query = sqlx::query(sql).bind(challenge.to_owned()).bind(purpose).bind(bound_to.to_owned());
    let row = tx.optional(query.bind(now)).await?;
    row.map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).transpose()
}

/// The latest pending challenge for this purpose and owner.
pub async fn waiting(db: &mut Db, purpose: &'static str, bound_to: &str, now: i64) -> Result<Option<String>> {
    let sql = "SELECT challenge FROM passkey_challenge WHERE bound_to = $1 AND purpose = $2 AND expires_at > $3 \
               ORDER BY expires_at DESC LIMIT 1";
    let query = sqlx::query(sql).bind(bound_to.to_owned()).bind(purpose).bind(now);
    db.optional(query).await?.map(|row| Ok(row.try_get(0)?)).transpose()
}
