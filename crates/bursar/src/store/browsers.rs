//! The browsers in which each login has signed in, by the hash of their cookie. Not here: when a browser counts as new
//! (`ops::people::browsers`).

use sqlx::Row as _;

use payout::ids::PersonId;

use super::{Db, Result, Tx};

/// The browsers of a login, and when it last signed in there; 0 for one that counts as new again.
pub async fn of(db: &mut Db, person: PersonId) -> Result<Vec<(String, i64)>> {
    let sql = "SELECT browser_hash, seen_at FROM login_browser WHERE person_id = $1";
    let rows = db.all(sqlx::query(sql).bind(person.to_string())).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// Records a sign-in, and keeps the `most` browsers used last.
pub async fn note(tx: &mut Tx, person: PersonId, browser_hash: &str, now: i64, most: i64) -> Result<()> {
    let sql = "INSERT INTO login_browser (person_id, browser_hash, seen_at) VALUES ($1, $2, $3) \
               ON CONFLICT (person_id, browser_hash) DO UPDATE SET seen_at = excluded.seen_at";
    let query = sqlx::query(sql).bind(person.to_string()).bind(browser_hash.to_owned()).bind(now);
    tx.run(query).await?;
    let sql = "DELETE FROM login_browser WHERE person_id = $1 AND browser_hash NOT IN (SELECT browser_hash \
               FROM login_browser WHERE person_id = $1 ORDER BY seen_at DESC, browser_hash LIMIT $2)";
    tx.run(sqlx::query(sql).bind(person.to_string()).bind(most)).await?;
    Ok(())
}

/// Makes the browser of one of a person's sessions new again.
pub async fn forget_one(tx: &mut Tx, person: PersonId, session: &str) -> Result<u64> {
    let sql = "UPDATE login_browser SET seen_at = 0 WHERE person_id = $1 AND browser_hash = (SELECT browser_hash \
               FROM session WHERE person_id = $1 AND COALESCE(public_id, token_hash) = $2)";
    tx.run(sqlx::query(sql).bind(person.to_string()).bind(session.to_owned())).await
}

/// Makes all of a person's browsers new again, except that of this session.
pub async fn forget_others(tx: &mut Tx, person: PersonId, session: &str) -> Result<u64> {
    let sql = "UPDATE login_browser SET seen_at = 0 WHERE person_id = $1 AND browser_hash <> COALESCE((SELECT browser_hash \
               FROM session WHERE person_id = $1 AND COALESCE(public_id, token_hash) = $2), '')";
    tx.run(sqlx::query(sql).bind(person.to_string()).bind(session.to_owned())).await
}
