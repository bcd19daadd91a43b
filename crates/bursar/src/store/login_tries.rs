//! The latest wrong passwords of each login. Not here: how many are reported (`ops::people::wrong_tries`), and the
//! rate limits (`web::kit::login_limit`).

use sqlx::Row as _;

use payout::ids::PersonId;

use super::{Db, Result, Tx};

/// The latest wrong tries of a login, as JSON; the caller has locked the login.
pub async fn of(db: &mut Db, person: PersonId) -> Result<Option<String>> {
    let sql = "SELECT tries FROM login_tries WHERE person_id = $1";
    let row = db.optional(sqlx::query(sql).bind(person.to_string())).await?;
    row.map(|row| Ok(row.try_get(0)?)).transpose()
}

/// Replaces what is kept of a login that the caller has locked.
pub async fn put(tx: &mut Tx, person: PersonId, tries: &str) -> Result<u64> {
    let sql = "INSERT INTO login_tries (person_id, tries) VALUES ($1, $2) \
               ON CONFLICT (person_id) DO UPDATE SET tries = excluded.tries";
    tx.run(sqlx::query(sql).bind(person.to_string()).bind(tries.to_owned())).await
}
