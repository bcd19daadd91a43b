//! Submissions that an event names by our own key: the vendor has something under it, and says under which id. Looking at
//! that object is `work::named`; everything else about submissions is [`super::submissions`].

use payout::money::Vendor;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Db, MOST_VALUES, Result, Rows, Tx, Value, Where, submissions, word};

/// The submissions that were committed under these keys: key, id, vendor, account.
///
/// # Errors
/// When the database does not answer.
pub async fn by_key(db: &mut Db, keys: &[String]) -> Result<Vec<(String, String, Vendor, Option<String>)>> {
    let mut found = Vec::new();
    for some in keys.chunks(MOST_VALUES) {
        let mut conditions = Where::default();
        conditions.among("key", some.iter().map(|key| Value::from(key.as_str())));
        found.extend(
            db.all(conditions.query("SELECT key, id, vendor, account FROM submission {where}")).await?,
        );
    }
    let read = |row: &AnyRow| {
        let vendor: String = row.try_get(2)?;
        Ok((row.try_get(0)?, row.try_get(1)?, word(Vendor::parse(&vendor), &vendor)?, row.try_get(3)?))
    };
    found.iter().map(read).collect()
}

/// Writes down under which ids the vendor is said to have these submissions, to be looked at from `at` on. One that is
/// known to be accepted under that id already needs no look, unless people have called something of it not made.
///
/// # Errors
/// When the database does not answer.
pub async fn name(tx: &mut Tx, named: &[(String, String)], at: i64) -> Result<()> {
    let mut rows = Rows::default();
    for (submission, vendor_id) in named {
        rows.push([submission.as_str().into(), vendor_id.as_str().into()]);
    }
    let sql = "WITH v (id, vendor_id) AS (VALUES {rows}) \
               UPDATE submission SET named_id = v.vendor_id, named_at = $1 FROM v WHERE submission.id = v.id \
               AND (submission.state <> 'accepted' OR submission.vendor_id <> v.vendor_id \
               OR EXISTS (SELECT 1 FROM attempt a WHERE a.submission_id = submission.id \
               AND a.state = 'failed' AND a.reason_code = 'not_made'))";
    tx.bulk(sql, &[at.into()], rows).await?;
    Ok(())
}

/// Leases the named submissions whose look is due: submission and the vendor's id. One whose record cannot be read is left
/// out until its lease ends.
///
/// # Errors
/// When the database does not answer.
pub async fn lease(
    tx: &mut Tx,
    vendor: Vendor,
    now: i64,
    until: i64,
    limit: i64,
) -> Result<Vec<(submissions::Submission, String)>> {
    let sql = format!(
        "UPDATE submission SET named_at = $2 WHERE id IN (SELECT id FROM submission WHERE named_at IS NOT NULL \
         AND named_at <= $1 AND vendor = $3 ORDER BY named_at, id LIMIT {limit}) AND named_at <= $1 RETURNING id, named_id"
    );
    let rows =
        tx.all(sqlx::query(sqlx::AssertSqlSafe(sql)).bind(now).bind(until).bind(vendor.as_str())).await?;
    let mut ids: std::collections::HashMap<String, String> = std::collections::HashMap::new();
    for row in &rows {
        ids.insert(row.try_get(0)?, row.try_get::<Option<String>, _>(1)?.unwrap_or_default());
    }
    let wanted: Vec<String> = ids.keys().cloned().collect();
    let found = submissions::several_readable(tx, &wanted).await?;
    Ok(found
        .into_iter()
        .filter_map(|one| Some((ids.remove(&one.id)?, one)))
        .map(|(id, one)| (one, id))
        .collect())
}

/// Whether people have called anything not made that a submission carries.
///
/// # Errors
/// When the database does not answer.
pub async fn called_not_made(db: &mut Db, submission: &str) -> Result<bool> {
    let sql = "SELECT id FROM attempt WHERE submission_id = $1 AND state = 'failed' AND reason_code = 'not_made' LIMIT 1";
    Ok(db.optional(sqlx::query(sql).bind(submission.to_owned())).await?.is_some())
}

/// A look has found out what there was to find out.
///
/// # Errors
/// When the database does not answer.
pub async fn looked(tx: &mut Tx, submission: &str) -> Result<()> {
    let sql = "UPDATE submission SET named_at = NULL WHERE id = $1";
    tx.run(sqlx::query(sql).bind(submission.to_owned())).await?;
    Ok(())
}

/// The vendor has a submission under this id. One that is open ends as accepted, and whoever has it on the wire records
/// nothing any more; one that had ended as not carried out keeps its end, and learns the id.
///
/// # Errors
/// When the database does not answer.
pub async fn adopt(tx: &mut Tx, submission: &str, vendor_id: &str, now: i64) -> Result<()> {
    let sql = "UPDATE submission SET vendor_id = $2, named_at = NULL, fence = fence + 1, lease_until = 0, sending_since = NULL, \
               ended_at = COALESCE(ended_at, $3), last_why = 'found', last_detail = $2, \
               state = CASE WHEN state = 'refused' THEN 'refused' ELSE 'accepted' END WHERE id = $1";
    let query = sqlx::query(sql).bind(submission.to_owned()).bind(vendor_id.to_owned()).bind(now);
    tx.run(query).await?;
    Ok(())
}

/// Under which id a submission is said to be with the vendor, if an event has named it.
///
/// # Errors
/// When the database does not answer.
pub async fn of(db: &mut Db, submission: &str) -> Result<Option<String>> {
    let sql = "SELECT named_id FROM submission WHERE id = $1";
    let row = db.optional(sqlx::query(sql).bind(submission.to_owned())).await?;
    Ok(row.map(|row| row.try_get::<Option<String>, _>(0)).transpose()?.flatten())
}
