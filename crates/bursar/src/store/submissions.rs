//! Submissions: idempotent requests to a vendor. Key and exact bytes are stored before the request is sent.

use payout::ids::BatchId;
use payout::money::Vendor;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Db, MOST_VALUES, Result, Rows, Tx, Value, Where, word};

/// The look-up reason after a restore: the database's knowledge of the request may be outdated.
pub const PUT_BACK: &str = "put_back";

/// A submission's state, as spelled in the database.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SubmissionState {
    /// Committed; not sent yet, or known not to have been executed.
    Intended,
    /// It was sent and may have been executed.
    Unknown,
    /// No longer sent: being looked up at the vendor.
    Looking,
    Accepted,
    Refused,
    /// A person must find out.
    Review,
}

impl SubmissionState {
    const ALL: [Self; 6] =
        [Self::Intended, Self::Unknown, Self::Looking, Self::Accepted, Self::Refused, Self::Review];

    /// The spelling in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Intended => "intended",
            Self::Unknown => "unknown",
            Self::Looking => "looking",
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::Review => "needs_review",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// A submission as it is stored.
#[derive(Clone, Debug)]
pub struct Submission {
    /// Its id.
    pub id: String,
    /// The vendor's idempotency key: `tr:…:1`, `po:…:2`, `rv:…:1`, `pb:…:0:1`.
    pub key: String,
    pub vendor: Vendor,
    /// The kind, as spelled in the vendors crate.
    pub kind: String,
    pub path: String,
    /// The connected account it is made for.
    pub account: Option<String>,
    /// The exact bytes.
    pub body: String,
    pub batch: BatchId,
    pub state: SubmissionState,
    /// The lease's fence: only its holder may record.
    pub fence: i64,
    /// How often it was sent.
    pub tries: i64,
    /// How many of the tries may have been executed.
    pub doubts: i64,
    /// The number of consecutive stored errors.
    pub same_errors: i64,
    /// The number of rejections after a try that may have been executed.
    pub refusals: i64,
    /// The number of look-ups without a finding.
    pub looks: i64,
    /// When it was last looked up, or last rejected after a doubtful try.
    pub looked_at: Option<i64>,
    /// The last answer: code and detail.
    pub last: Option<(String, String)>,
    /// The vendor's id of it, once known.
    pub vendor_id: Option<String>,
    /// When it was decided: when reading the data behind the decision began.
    pub created_at: i64,
    /// When its first byte may have been sent.
    pub first_sent_at: Option<i64>,
    /// When its bytes may last have been sent.
    pub last_sent_at: Option<i64>,
    /// The vendor account it is meant for; it is never sent to another.
    pub vendor_account: Option<String>,
    /// The database epoch that it was decided in.
    pub epoch: i64,
}

const COLUMNS: &str = "id, key, vendor, kind, path, account, body, batch_id, state, fence, tries, doubts, \
                       same_errors, refusals, looks, looked_at, last_why, last_detail, vendor_id, created_at, \
                       first_sent_at, last_sent_at, vendor_account, epoch";

fn submission(row: &AnyRow) -> Result<Submission> {
    let text = |column: usize| row.try_get::<String, _>(column);
    let (vendor, batch, state) = (text(2)?, text(7)?, text(8)?);
    let (why, detail): (Option<String>, Option<String>) = (row.try_get(16)?, row.try_get(17)?);
    let read = Submission {
        id: text(0)?,
        key: text(1)?,
        vendor: word(Vendor::parse(&vendor), &vendor)?,
        kind: text(3)?,
        path: text(4)?,
        account: row.try_get(5)?,
        body: text(6)?,
        batch: word(BatchId::parse(&batch), &batch)?,
        state: word(SubmissionState::parse(&state), &state)?,
        fence: row.try_get(9)?,
        tries: row.try_get(10)?,
        doubts: row.try_get(11)?,
        same_errors: row.try_get(12)?,
        refusals: row.try_get(13)?,
        looks: row.try_get(14)?,
        looked_at: row.try_get(15)?,
        last: why.map(|why| (why, detail.unwrap_or_default())),
        vendor_id: row.try_get(18)?,
        created_at: row.try_get(19)?,
        first_sent_at: row.try_get(20)?,
        last_sent_at: row.try_get(21)?,
        vendor_account: row.try_get(22)?,
        epoch: row.try_get(23)?,
    };
    let again = read.doubts > 0 && payout::planted::on("new_key_after_unknown");
    Ok(if again { under_another_key(read) } else { read })
}

/// One of the planted faults.
fn under_another_key(of: Submission) -> Submission {
    let key = format!("{}:2", of.key);
    Submission { body: of.body.replace(&of.key, &key), key, ..of }
}

#[derive(Clone, Debug)]
pub struct New {
    /// Its id.
    pub id: String,
    pub key: String,
    pub vendor: Vendor,
    pub kind: &'static str,
    pub path: String,
    pub account: Option<String>,
    /// The exact bytes.
    pub body: String,
    pub batch: BatchId,
    /// The vendor account to send it to.
    pub vendor_account: Option<String>,
    /// Look it up before sending: after a restore, it may have been sent before.
    pub looks: bool,
}

/// Inserts submissions decided in this epoch. They can be leased at once, to be sent or looked up.
///
/// # Errors
/// [`super::StoreError::Conflict`] if a key was used before.
pub async fn insert(tx: &mut Tx, new: Vec<New>, epoch: i64, now: i64) -> Result<()> {
    let mut rows = Rows::default();
    for one in new {
        let state = first_state(&one);
        rows.push([
            one.id.into(),
            one.key.into(),
            one.vendor.as_str().into(),
            one.kind.into(),
            one.path.into(),
            one.account.into(),
            one.body.into(),
            one.batch.to_string().into(),
            state.as_str().into(),
            now.into(),
            now.into(),
            0.into(),
            0.into(),
            0.into(),
            i64::from(one.looks).into(),
            0.into(),
            0.into(),
            0.into(),
            one.vendor_account.into(),
            one.looks.then(|| PUT_BACK.to_owned()).into(),
            one.looks.then_some(now).into(),
            epoch.into(),
        ]);
    }
    let sql = "INSERT INTO submission (id, key, vendor, kind, path, account, body, batch_id, state, next_at, \
               created_at, lease_until, fence, tries, doubts, same_errors, refusals, looks, \
               vendor_account, last_why, first_sent_at, epoch) VALUES {rows}";
    tx.bulk(sql, &[], rows).await?;
    Ok(())
}

/// Only Stripe can be searched; at PayPal, resending the same bytes is the look-up.
fn first_state(of: &New) -> SubmissionState {
    match (of.looks, of.vendor) {
        (false, _) => SubmissionState::Intended,
        (true, Vendor::Stripe) => SubmissionState::Looking,
        (true, Vendor::PayPal) => SubmissionState::Unknown,
    }
}

/// Leases a vendor's due submissions, to be sent (`intended`, `unknown`) or looked up (`looking`). Increments the
/// fence, so that a worker whose lease expired cannot record over a newer one.
///
/// A lease alone does not mean that the request was sent: its holder may have died before the first byte. A submission
/// counts as possibly sent only if [`begin`] was called and nothing was recorded since, whatever earlier tries
/// established. The same applies to a lease without a node and with a first send time: it was taken by an older
/// version, for which a lease meant the intention to send, and which may still serve the same database during a rolling
/// upgrade.
///
/// Unreadable submissions are logged and left out, because they must not block the others.
pub async fn lease(
    tx: &mut Tx,
    vendor: Vendor,
    looking: bool,
    now: i64,
    until: i64,
    limit: i64,
) -> Result<Vec<Submission>> {
    let (states, sends) = match looking {
        true => ("'looking'", ""),
        false => (
            "'intended', 'unknown'",
            ", doubts = doubts + CASE WHEN sending_since IS NOT NULL \
             OR (lease_until > 0 AND lease_node IS NULL AND first_sent_at IS NOT NULL) THEN 1 ELSE 0 END, \
             sending_since = NULL",
        ),
    };
    // Listing all three states matches the partial index of due rows, which SQLite uses only then. CASE hides the
    // recheck from PostgreSQL's planner, which would otherwise scan all due rows for each one taken.
    let sql = format!(
        "UPDATE submission SET lease_until = $2, lease_node = $4, fence = fence + 1{sends} WHERE id IN (SELECT id FROM submission \
         WHERE vendor = $3 AND state IN ('intended', 'unknown', 'looking') AND state IN ({states}) \
         AND next_at <= $1 AND lease_until <= $1 ORDER BY next_at, id LIMIT {limit}) \
         AND CASE WHEN state IN ({states}) AND lease_until <= $1 THEN 1 ELSE 0 END = 1 RETURNING {COLUMNS}"
    );
    let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(now).bind(until).bind(vendor.as_str());
    let query = query.bind(tx.node.clone());
    let mut leased = tx.all(query).await?.iter().filter_map(readable).collect::<Result<Vec<_>>>()?;
    leased.sort_by(|one, other| one.id.cmp(&other.id)); // UPDATE … RETURNING has no defined order.
    Ok(leased)
}

/// The row's submission; `None`, with an error log, if it is unreadable, so that the others proceed.
fn readable(row: &AnyRow) -> Option<Result<Submission>> {
    match submission(row) {
        Err(error) if error.about_a_row() => {
            let id: Option<String> = row.try_get(0).ok();
            tracing::error!(id, %error, "the record of a request to a vendor cannot be read; it is left alone");
            None
        }
        read => Some(read),
    }
}

/// The last commit before any byte is sent: marks these submissions, under these fences, as about to be sent. Returns
/// the ids still held and when each was first sent; the others must not be sent. A key's age counts from its first such
/// mark.
pub async fn begin(
    tx: &mut Tx,
    held: &[(String, i64)],
    (now, vendors_now): (i64, i64),
) -> Result<Vec<(String, Option<i64>)>> {
    let mut rows = Rows::default();
    held.iter().for_each(|(id, fence)| rows.push([id.as_str().into(), (*fence).into()]));
    let sql = "WITH v (id, fence) AS (VALUES {rows}) UPDATE submission SET sending_since = $1, \
               first_sent_at = COALESCE(first_sent_at, $2) FROM v \
               WHERE submission.id = v.id AND submission.fence = v.fence \
               AND submission.state IN ('intended', 'unknown') RETURNING submission.id, submission.first_sent_at";
    let begun = tx.bulk_returning(sql, &[now.into(), vendors_now.into()], rows).await?;
    begun.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// Extends leases; returns how many are still held.
pub async fn renew(tx: &mut Tx, held: &[(String, i64)], until: i64) -> Result<u64> {
    let mut rows = Rows::default();
    held.iter().for_each(|(id, fence)| rows.push([id.as_str().into(), (*fence).into()]));
    let sql = "WITH v (id, fence) AS (VALUES {rows}) UPDATE submission SET lease_until = $1 \
               FROM v WHERE submission.id = v.id AND submission.fence = v.fence";
    tx.bulk(sql, &[until.into()], rows).await
}

/// The result of an answer for a submission.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub id: String,
    /// The fence of the lease it was sent under.
    pub fence: i64,
    pub state: SubmissionState,
    /// When it is due again.
    pub next_at: i64,
    /// The answer: code and detail.
    pub last: (String, String),
    /// The vendor's id of it.
    pub vendor_id: Option<String>,
    /// The counters: tries, doubts, same errors, rejections, look-ups.
    pub counts: [i64; 5],
    /// When it was last looked up, or rejected after a doubtful try.
    pub looked_at: Option<i64>,
    /// When its bytes may have been sent first and last.
    pub sent: (Option<i64>, Option<i64>),
    pub ended_at: Option<i64>,
}

/// Records answers under the fences of their leases; returns the ids still held. Results under an old fence are not
/// among them and must be dropped.
pub async fn record(tx: &mut Tx, outcomes: &[Outcome]) -> Result<Vec<String>> {
    let mut rows = Rows::default();
    for one in outcomes {
        let [tries, doubts, same_errors, refusals, looks] = one.counts;
        rows.push([
            one.id.as_str().into(),
            one.fence.into(),
            one.state.as_str().into(),
            one.next_at.into(),
            one.last.0.as_str().into(),
            one.last.1.as_str().into(),
            one.vendor_id.clone().into(),
            tries.into(),
            doubts.into(),
            same_errors.into(),
            refusals.into(),
            looks.into(),
            one.looked_at.into(),
            one.sent.0.into(),
            one.sent.1.into(),
            one.ended_at.into(),
        ]);
    }
    let sql = "WITH v (id, fence, state, next_at, why, detail, vendor_id, tries, doubts, same_errors, refusals, \
               looks, looked_at, first_sent_at, last_sent_at, ended_at) AS (VALUES {rows}) \
               UPDATE submission SET state = v.state, next_at = v.next_at, last_why = v.why, \
               last_detail = v.detail, vendor_id = v.vendor_id, tries = v.tries, doubts = v.doubts, \
               same_errors = v.same_errors, refusals = v.refusals, looks = v.looks, looked_at = v.looked_at, \
               first_sent_at = v.first_sent_at, last_sent_at = v.last_sent_at, ended_at = v.ended_at, \
               lease_until = 0, sending_since = NULL FROM v WHERE submission.id = v.id AND submission.fence = v.fence \
               AND submission.state IN ('intended', 'unknown', 'looking') RETURNING submission.id";
    let unfenced = sql.replace(" AND submission.fence = v.fence", "");
    let sql = if payout::planted::on("no_fence") { unfenced.as_str() } else { sql };
    let held = tx.bulk_returning(sql, &[], rows).await?;
    held.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// The submissions of several attempts, by id.
pub async fn several(db: &mut Db, ids: &[String]) -> Result<Vec<Submission>> {
    let mut found = Vec::new();
    for some in ids.chunks(MOST_VALUES) {
        let mut conditions = Where::default();
        conditions.among("id", some.iter().map(|id| Value::from(id.as_str())));
        for row in db
            .all(conditions.query(&format!("SELECT {COLUMNS} FROM submission {{where}} ORDER BY id")))
            .await?
        {
            found.push(submission(&row)?);
        }
    }
    Ok(found)
}

/// Submissions by id, without unreadable ones.
pub async fn several_readable(db: &mut Db, ids: &[String]) -> Result<Vec<Submission>> {
    let mut found = Vec::new();
    for some in ids.chunks(MOST_VALUES) {
        let mut conditions = Where::default();
        conditions.among("id", some.iter().map(|id| Value::from(id.as_str())));
        let rows = db
            .all(conditions.query(&format!("SELECT {COLUMNS} FROM submission {{where}} ORDER BY id")))
            .await?;
        for one in rows.iter().filter_map(readable) {
            found.push(one?);
        }
    }
    Ok(found)
}

/// The vendor's ids of these submissions, by our id; omits those without one.
pub async fn vendor_ids(db: &mut Db, ids: impl IntoIterator<Item = String>) -> Result<Vec<(String, String)>> {
    let ids: Vec<String> = ids.into_iter().collect();
    let mut found = Vec::new();
    for some in ids.chunks(MOST_VALUES) {
        let mut conditions = Where::default();
        conditions.and("vendor_id IS NOT NULL", []);
        conditions.among("id", some.iter().map(|id| Value::from(id.as_str())));
        for row in db.all(conditions.query("SELECT id, vendor_id FROM submission {where}")).await? {
            found.push((row.try_get(0)?, row.try_get(1)?));
        }
    }
    Ok(found)
}

/// The keys of a batch's PayPal submissions, from which the next chunk number follows.
pub async fn chunk_keys(db: &mut Db, batch: BatchId) -> Result<Vec<String>> {
    let sql = "SELECT key FROM submission WHERE batch_id = $1 AND kind = 'batch'";
    let rows = db.all(sqlx::query(sql).bind(batch.to_string())).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Makes everything due that was waiting for a vendor's credentials.
pub async fn wake(tx: &mut Tx, vendor: Vendor, now: i64) -> Result<()> {
    let sql = "UPDATE submission SET next_at = $2 WHERE vendor = $1 AND next_at > $2 \
               AND state IN ('intended', 'unknown', 'looking')";
    tx.run(sqlx::query(sql).bind(vendor.as_str()).bind(now)).await?;
    let sql = "UPDATE attempt SET next_at = $1 WHERE state = 'queued' AND next_at > $1";
    tx.run(sqlx::query(sql).bind(now)).await?;
    Ok(())
}

/// Submissions that have not ended and are not in review: state and count.
pub async fn open(db: &mut Db) -> Result<Vec<(String, i64)>> {
    let sql = "SELECT state, COUNT(*) FROM submission WHERE state IN ('intended', 'unknown', 'looking') \
               GROUP BY state";
    let rows = db.all(sqlx::query(sql)).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// Resumes submissions in review: Stripe is searched again; PayPal gets the same bytes again, if every gate is open. A
/// submission in review may have been executed, so this counts as a doubt.
pub async fn take_up_again(tx: &mut Tx, ids: &[String], now: i64) -> Result<u64> {
    let sql = "UPDATE submission SET state = CASE vendor WHEN 'stripe' THEN 'looking' ELSE 'unknown' END, \
               next_at = $1, doubts = doubts + 1, looks = 0, looked_at = NULL, refusals = 0, ended_at = NULL \
               WHERE state = 'needs_review' AND id IN ({ids})";
    let undoubted = sql.replace("doubts = doubts + 1, ", "");
    let sql = if payout::planted::on("review_is_no_doubt") { undoubted.as_str() } else { sql };
    tx.among(sql, &[now.into()], ids.iter().cloned()).await
}

/// Ends a submission in review by a person's finding: the vendor has it under this id, or never executed it. It is no
/// longer sent or looked up. Returns 0 if it was resumed in the meantime and may be in flight, or if it is called not
/// executed although the vendor is known to have it.
pub async fn end_by_hand(tx: &mut Tx, id: &str, vendor_id: Option<&str>, now: i64) -> Result<u64> {
    let sql = "UPDATE submission SET state = CASE WHEN $2 = '' THEN 'refused' ELSE 'accepted' END, \
               vendor_id = CASE WHEN $2 = '' THEN vendor_id ELSE $2 END, ended_at = $3 \
               WHERE id = $1 AND (state IN ('needs_review', 'refused') OR (state = 'accepted' AND $2 <> ''))";
    let vendor_id = vendor_id.unwrap_or_default().to_owned();
    tx.run(sqlx::query(sql).bind(id.to_owned()).bind(vendor_id).bind(now)).await
}

/// The vendor's id of the most recent transfer or batch it accepted.
pub async fn newest_accepted(db: &mut Db, vendor: Vendor) -> Result<Option<String>> {
    let sql = "SELECT vendor_id FROM submission WHERE vendor = $1 AND state = 'accepted' \
               AND kind IN ('transfer', 'batch') ORDER BY created_at DESC, id DESC LIMIT 1";
    let row = db.optional(sqlx::query(sql).bind(vendor.as_str())).await?;
    Ok(row.map(|row| row.try_get::<Option<String>, _>(0)).transpose()?.flatten())
}
