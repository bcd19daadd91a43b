//! Submissions that an event names by our own key: the vendor has an object for them and reports its id. `work::named`
//! looks that object up; everything else about submissions is in [`super::submissions`].

use payout::ids::{AttemptId, TransactionId};
use payout::money::Vendor;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Db, MOST_VALUES, Result, Rows, Tx, Value, Where, submissions, word};

/// The submissions committed under these keys: key, id, vendor, account.
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

/// Records the ids under which the vendor reportedly has these submissions, due for a look-up at `at`. A submission
/// already accepted under that id needs none unless people called part of it not made; nor does an object that people have
/// settled as a duplicate payment.
pub async fn name(tx: &mut Tx, named: &[(String, String)], at: i64) -> Result<()> {
    let mut rows = Rows::default();
    let distinct: std::collections::BTreeSet<&(String, String)> = named.iter().collect();
    for (submission, vendor_id) in distinct {
        rows.push([submission.as_str().into(), vendor_id.as_str().into()]);
    }
    let sql = "WITH v (id, object_id) AS (VALUES {rows}) \
               INSERT INTO named_object (submission_id, object_id, vendor, named_at, look_at, looks) \
               SELECT s.id, v.object_id, s.vendor, CAST($1 AS BIGINT), CAST($1 AS BIGINT), 0 \
               FROM v JOIN submission s ON s.id = v.id \
               WHERE (s.state <> 'accepted' OR s.vendor_id <> v.object_id \
               OR EXISTS (SELECT 1 FROM attempt a WHERE a.submission_id = s.id \
               AND a.state = 'failed' AND a.reason_code = 'not_made')) \
               ON CONFLICT (submission_id, object_id) DO UPDATE SET look_at = excluded.look_at \
               WHERE named_object.counted_at IS NULL";
    tx.bulk(sql, &[at.into()], rows).await?;
    Ok(())
}

/// An object that a vendor reportedly has under one of our keys.
#[derive(Clone, Debug)]
pub struct NamedObject {
    /// The submission committed under the key.
    pub submission: submissions::Submission,
    /// The vendor's id of the object.
    pub object: String,
    /// When it was first reported.
    pub since: i64,
    /// The number of inconclusive look-ups.
    pub looks: i64,
    /// Whether a person was told of it.
    pub notified: bool,
}

/// Leases the named objects due for a look-up. Leaves out those with unreadable submissions until their lease ends.
pub async fn lease(
    tx: &mut Tx,
    vendor: Vendor,
    now: i64,
    until: i64,
    limit: i64,
) -> Result<Vec<NamedObject>> {
    let sql = format!(
        "UPDATE named_object SET look_at = $2 WHERE (submission_id, object_id) IN (SELECT submission_id, object_id \
         FROM named_object WHERE look_at IS NOT NULL AND look_at <= $1 AND vendor = $3 \
         ORDER BY look_at, submission_id, object_id LIMIT {limit}) AND look_at <= $1 \
         RETURNING submission_id, object_id, named_at, looks, told_at"
    );
    let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(now).bind(until).bind(vendor.as_str());
    let mut rows: Vec<(String, String, i64, i64, Option<i64>)> = Vec::new();
    for row in tx.all(query).await? {
        rows.push((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?, row.try_get(4)?));
    }
    // The database returns rows in no particular order.
    rows.sort();
    let wanted: Vec<String> = rows.iter().map(|(id, ..)| id.clone()).collect();
    let readable = submissions::several_readable(tx, &wanted).await?;
    let named = rows.into_iter().filter_map(|(id, object, since, looks, told_at)| {
        let submission = readable.iter().find(|one| one.id == id)?.clone();
        Some(NamedObject { submission, object, since, looks, notified: told_at.is_some() })
    });
    Ok(named.collect())
}

/// Whether people called any attempt of a submission not made.
pub async fn called_not_made(db: &mut Db, submission: &str) -> Result<bool> {
    let sql = "SELECT id FROM attempt WHERE submission_id = $1 AND state = 'failed' AND reason_code = 'not_made' LIMIT 1";
    Ok(db.optional(sqlx::query(sql).bind(submission.to_owned())).await?.is_some())
}

/// Records a look-up: conclusive, or not to be repeated; with `again_at`, inconclusive and repeated then.
pub async fn looked(tx: &mut Tx, submission: &str, object: &str, again_at: Option<i64>) -> Result<()> {
    let sql =
        "UPDATE named_object SET look_at = $3, looks = looks + 1 WHERE submission_id = $1 AND object_id = $2";
    let query = sqlx::query(sql).bind(submission.to_owned()).bind(object.to_owned()).bind(again_at);
    tx.run(query).await?;
    Ok(())
}

/// What a vendor reportedly has under our keys for a payment but the books do not include: its ids, and since when.
pub async fn of_payment(db: &mut Db, payment: TransactionId) -> Result<Vec<(String, i64)>> {
    let sql = "SELECT n.object_id, MIN(n.named_at) FROM attempt a JOIN named_object n ON n.submission_id = a.submission_id \
               WHERE a.transaction_id = $1 AND n.counted_at IS NULL AND (n.look_at IS NOT NULL OR n.told_at IS NOT NULL) \
               AND a.state IN ('needs_review', 'unknown', 'failed') \
               AND (a.vendor_id IS NULL OR a.vendor_id <> n.object_id) GROUP BY n.object_id ORDER BY n.object_id";
    let rows = db.all(sqlx::query(sql).bind(payment.to_string())).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// Records that a person was told of an object that we cannot see.
pub async fn told(tx: &mut Tx, submission: &str, object: &str, now: i64) -> Result<()> {
    let sql = "UPDATE named_object SET told_at = $3 WHERE submission_id = $1 AND object_id = $2";
    tx.run(sqlx::query(sql).bind(submission.to_owned()).bind(object.to_owned()).bind(now)).await?;
    Ok(())
}

/// Makes unseen objects of an account due for a look-up now: the payee may have given us access.
pub async fn look_again(tx: &mut Tx, account: &str, now: i64) -> Result<()> {
    let sql = "UPDATE named_object SET look_at = $2 WHERE look_at IS NOT NULL AND look_at > $2 AND EXISTS (\
               SELECT 1 FROM submission s WHERE s.id = named_object.submission_id AND s.account = $1)";
    tx.run(sqlx::query(sql).bind(account.to_owned()).bind(now)).await?;
    Ok(())
}

/// Records the vendor's id of a submission. An open submission ends as accepted, and fences off a worker that is still
/// sending it. One that ended as refused stays so and gains the id. A known id is never replaced; returns whether this
/// is the submission's object.
pub async fn adopt(tx: &mut Tx, submission: &str, vendor_id: &str, now: i64) -> Result<bool> {
    let sql = "UPDATE submission SET vendor_id = $2, fence = fence + 1, lease_until = 0, sending_since = NULL, \
               ended_at = COALESCE(ended_at, $3), last_why = 'found', last_detail = $2, \
               state = CASE WHEN state = 'refused' THEN 'refused' ELSE 'accepted' END \
               WHERE id = $1 AND (vendor_id IS NULL OR vendor_id = $2)";
    let query = sqlx::query(sql).bind(submission.to_owned()).bind(vendor_id.to_owned()).bind(now);
    Ok(tx.run(query).await? == 1)
}

/// The same after a person has proven that this object belongs to an attempt that had ended here. It replaces the known
/// object, unless another attempt in the submission is still alive.
pub async fn adopt_proven(
    tx: &mut Tx,
    submission: &str,
    (attempt, vendor_id): (AttemptId, &str),
    now: i64,
) -> Result<()> {
    let sql = "UPDATE submission SET vendor_id = NULL WHERE id = $1 AND vendor_id <> $2 AND NOT EXISTS (\
               SELECT 1 FROM attempt a WHERE a.submission_id = $1 AND a.id <> $3 AND a.state NOT IN ('failed', 'returned'))";
    let query =
        sqlx::query(sql).bind(submission.to_owned()).bind(vendor_id.to_owned()).bind(attempt.to_string());
    tx.run(query).await?;
    adopt(tx, submission, vendor_id, now).await?;
    looked(tx, submission, vendor_id, None).await
}

/// People have established that this object was paid in addition to the one in the books: stop reporting it.
pub async fn counted(tx: &mut Tx, submission: &str, object: &str, now: i64) -> Result<()> {
    let sql = "INSERT INTO named_object (submission_id, object_id, vendor, named_at, looks, counted_at) \
               SELECT s.id, $2, s.vendor, CAST($3 AS BIGINT), 0, CAST($3 AS BIGINT) FROM submission s WHERE s.id = $1 \
               ON CONFLICT (submission_id, object_id) DO UPDATE SET look_at = NULL, counted_at = excluded.counted_at";
    let query = sqlx::query(sql).bind(submission.to_owned()).bind(object.to_owned()).bind(now);
    tx.run(query).await?;
    Ok(())
}

/// The vendor ids reported for a submission.
pub async fn of(db: &mut Db, submission: &str) -> Result<Vec<String>> {
    let sql = "SELECT object_id FROM named_object WHERE submission_id = $1 ORDER BY named_at, object_id";
    let read = |row: &AnyRow| Ok(row.try_get(0)?);
    db.all(sqlx::query(sql).bind(submission.to_owned())).await?.iter().map(read).collect()
}
