//! Saved views of the reward list: a named query string, private or shared with everyone who may read rewards.

use payout::ids::PersonId;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Db, Result, Tx, Where, word};

#[derive(Clone, Debug)]
pub struct SavedView {
    /// Its id, `sv_…`.
    pub id: String,
    pub person: PersonId,
    pub person_name: String,
    pub name: String,
    /// The query string of the list.
    pub query: String,
    /// When it was shared, if it is.
    pub shared_at: Option<i64>,
}

const VIEW: &str = "SELECT v.id, v.person_id, p.name, v.name, v.query, v.shared_at FROM saved_view v \
                    JOIN person p ON p.id = v.person_id";

/// The views a person can use: their own and shared ones, by name.
pub async fn of(db: &mut Db, person: PersonId) -> Result<Vec<SavedView>> {
    let mut conditions = Where::default();
    conditions.and("(v.person_id = ? OR v.shared_at IS NOT NULL)", [person.to_string().into()]);
    let query = conditions.query(&format!("{VIEW} {{where}} ORDER BY v.name, v.id LIMIT 500"));
    db.all(query).await?.iter().map(read).collect()
}

/// A view, if this person may see it.
pub async fn find(db: &mut Db, id: &str, person: PersonId) -> Result<Option<SavedView>> {
    let mut conditions = Where::default();
    conditions.and("v.id = ?", [id.into()]);
    conditions.and("(v.person_id = ? OR v.shared_at IS NOT NULL)", [person.to_string().into()]);
    let query = conditions.query(&format!("{VIEW} {{where}}"));
    db.optional(query).await?.as_ref().map(read).transpose()
}

/// How many views a person has saved.
pub async fn count(db: &mut Db, person: PersonId) -> Result<i64> {
    let sql = "SELECT COUNT(*) FROM saved_view WHERE person_id = $1";
    Ok(db.one(sqlx::query(sql).bind(person.to_string())).await?.try_get(0)?)
}

/// Saves a view, replacing the person's view of the same name; returns its id.
pub async fn save(tx: &mut Tx, view: &SavedView, at: i64) -> Result<String> {
    let sql = "INSERT INTO saved_view (id, person_id, name, query, shared_at, created_at, updated_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $6) ON CONFLICT (person_id, name) DO UPDATE SET \
               query = excluded.query, shared_at = excluded.shared_at, updated_at = excluded.updated_at \
               RETURNING id";
    let query = sqlx::query(sql)
        .bind(view.id.clone())
        .bind(view.person.to_string())
        .bind(view.name.clone())
        .bind(view.query.clone())
        .bind(view.shared_at)
        .bind(at);
    Ok(tx.one(query).await?.try_get(0)?)
}

/// Renames a view and sets whether it is shared; `false` if it does not exist.
///
/// # Errors
/// The database does not answer, or the person has another view with this name.
pub async fn rename(tx: &mut Tx, id: &str, name: &str, shared_at: Option<i64>, at: i64) -> Result<bool> {
    let sql = "UPDATE saved_view SET name = $2, shared_at = $3, updated_at = $4 WHERE id = $1";
    let query = sqlx::query(sql).bind(id.to_owned()).bind(name.to_owned()).bind(shared_at).bind(at);
    Ok(tx.run(query).await? == 1)
}

/// Deletes a view; `false` if it does not exist.
pub async fn delete(tx: &mut Tx, id: &str) -> Result<bool> {
    Ok(tx.run(sqlx::query("DELETE FROM saved_view WHERE id = $1").bind(id.to_owned())).await? == 1)
}

fn read(row: &AnyRow) -> Result<SavedView> {
    let person: String = row.try_get(1)?;
    Ok(SavedView {
        id: row.try_get(0)?,
        person: word(PersonId::parse(&person), &person)?,
        person_name: row.try_get(2)?,
        name: row.try_get(3)?,
        query: row.try_get(4)?,
        shared_at: row.try_get(5)?,
    })
}
