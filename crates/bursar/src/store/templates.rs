//! Notice templates edited by an administrator, with all earlier versions.

use payout::notice::Notice;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Db, Result, Tx, word};

#[derive(Clone, Debug)]
pub struct Version {
    pub notice: Notice,
    pub language: String,
    /// The version number, from 1.
    pub version: i64,
    /// Subject and body; `None` if the built-in template was restored.
    pub words: Option<(String, String)>,
    pub saved_at: i64,
    pub saved_by: String,
}

fn version(row: &AnyRow) -> Result<Version> {
    let notice: String = row.try_get(0)?;
    let subject: Option<String> = row.try_get(3)?;
    Ok(Version {
        notice: word(Notice::parse(&notice), &notice)?,
        language: row.try_get(1)?,
        version: row.try_get(2)?,
        words: subject.zip(row.try_get::<Option<String>, _>(4)?),
        saved_at: row.try_get(5)?,
        saved_by: row.try_get(6)?,
    })
}

/// The versions of a template, newest first.
pub async fn versions(db: &mut Db, notice: Notice, language: &str, limit: i64) -> Result<Vec<Version>> {
    let sql = "SELECT notice, language, version, subject, body, saved_at, saved_by FROM notice_template \
               WHERE notice = $1 AND language = $2 ORDER BY version DESC LIMIT $3";
    let query = sqlx::query(sql).bind(notice.as_str()).bind(language.to_owned()).bind(limit);
    db.all(query).await?.iter().map(version).collect()
}

/// The edited templates that are in effect: notice and language.
pub async fn edited(db: &mut Db) -> Result<Vec<(String, String)>> {
    let sql = "SELECT t.notice, t.language FROM notice_template t WHERE t.subject IS NOT NULL AND t.version = \
               (SELECT MAX(n.version) FROM notice_template n WHERE n.notice = t.notice AND n.language = t.language)";
    let rows = db.all(sqlx::query(sql)).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// Saves the version after the one that was read; `false` if someone else has saved one since.
pub async fn insert(tx: &mut Tx, of: &Version) -> Result<bool> {
    let sql = "INSERT INTO notice_template (notice, language, version, subject, body, saved_at, saved_by) \
               VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING";
    let (subject, body) = of.words.clone().unzip();
    let query = sqlx::query(sql).bind(of.notice.as_str()).bind(of.language.clone()).bind(of.version);
    let query = query.bind(subject).bind(body).bind(of.saved_at).bind(of.saved_by.clone());
    Ok(tx.run(query).await? == 1)
}
