//! Submissions: one idempotent request to a vendor each, its key and exact bytes stored before it is sent.

use payout::ids::BatchId;
use payout::money::Vendor;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Db, MOST_VALUES, Result, Rows, Tx, Value, Where, word};

/// Why a request is looked for: the database was put back, so what it knows of it may be old.
pub const PUT_BACK: &str = "put_back";

/// How a submission stands: the spelling in the database.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SubmissionState {
    /// Committed; not sent yet, or not carried out for certain.
    Intended,
    /// Sent, and it may have been carried out.
    Unknown,
    /// No longer sent: being looked for at the vendor.
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

/// A submission as it is kept.
#[derive(Clone, Debug)]
pub struct Submission {
    /// Its id.
    pub id: String,
    /// The vendor's idempotency key: `tr:…:1`, `po:…:2`, `rv:…:1`, `pb:…:0:1`.
    pub key: String,
    pub vendor: Vendor,
    /// What: the vendors crate's spelling.
    pub kind: String,
    pub path: String,
    /// On behalf of which connected account.
    pub account: Option<String>,
    /// The exact bytes.
    pub body: String,
    pub batch: BatchId,
    pub state: SubmissionState,
    /// The lease's fence: only its holder may record.
    pub fence: i64,
    /// How often it was sent.
    pub tries: i64,
    /// How many of the tries may have been carried out.
    pub doubts: i64,
    /// How many stored errors in a row.
    pub same_errors: i64,
    /// How many refusals after a doubtful try.
    pub refusals: i64,
    /// How many looks found nothing.
    pub looks: i64,
    /// When it was last looked for, or last refused after a doubt.
    pub looked_at: Option<i64>,
    /// What was last said.
    pub last: Option<(String, String)>,
    /// The vendor's id of it, once known.
    pub vendor_id: Option<String>,
    /// When it was decided: when what it rests on was begun to be read.
    pub created_at: i64,
    /// When its first byte may have left.
    pub first_sent_at: Option<i64>,
    /// When its bytes may last have left.
    pub last_sent_at: Option<i64>,
    /// The vendor's account it was intended for: it is sent to no other.
    pub vendor_account: Option<String>,
    /// The epoch of the database that it was decided by.
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

/// One of the wrong turns.
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
    /// To which account of the vendor.
    pub vendor_account: Option<String>,
    /// It is looked up before it is sent: the database was put back, so it may have been sent before.
    pub looks: bool,
}

/// Commits intentions that were decided by a database of this epoch. They are free to be leased at once, to be sent or to be
/// looked up.
///
/// # Errors
/// [`super::StoreError::Conflict`] when a key was used before.
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

/// Only Stripe can be looked through; at PayPal the same bytes are the look.
fn first_state(of: &New) -> SubmissionState {
    match (of.looks, of.vendor) {
        (false, _) => SubmissionState::Intended,
        (true, Vendor::Stripe) => SubmissionState::Looking,
        (true, Vendor::PayPal) => SubmissionState::Unknown,
    }
}

/// Leases submissions of a vendor that are due, to be sent (`intended`, `unknown`) or looked for (`looking`). The fence
/// goes up, so that a worker that slept through its lease cannot record over a newer one.
///
/// A lease alone is no doubt: whoever held it may have died long before a byte left. Only what [`begin`] was called for
/// and nobody recorded since may have been sent: that is a doubt, whatever the one before learnt. So is a lease that names
/// no process, where a first sending is noted: a program of a version before this one took it, for which a lease was the
/// intention to send, and which may serve the same database while its processes are replaced one after the other.
///
/// One that cannot be read is left out and told of in the log: it must not keep every other one from being sent.
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
    // All three states are named as well: they are the index of what is due, which SQLite uses for nothing less. The guard
    // stands inside CASE, where PostgreSQL cannot see it: it would go through all that is due for each that is taken.
    let sql = format!(
        "UPDATE submission SET lease_until = $2, lease_node = $4, fence = fence + 1{sends} WHERE id IN (SELECT id FROM submission \
         WHERE vendor = $3 AND state IN ('intended', 'unknown', 'looking') AND state IN ({states}) \
         AND next_at <= $1 AND lease_until <= $1 ORDER BY next_at, id LIMIT {limit}) \
         AND CASE WHEN state IN ({states}) AND lease_until <= $1 THEN 1 ELSE 0 END = 1 RETURNING {COLUMNS}"
    );
    let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(now).bind(until).bind(vendor.as_str());
    let query = query.bind(tx.node.clone());
    let mut leased = tx.all(query).await?.iter().filter_map(readable).collect::<Result<Vec<_>>>()?;
    leased.sort_by(|one, other| one.id.cmp(&other.id)); // What an UPDATE returns comes in any order.
    Ok(leased)
}

/// What stands in a row; nothing, and an alarm, where it cannot be read: the others go on.
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

/// The last thing that is committed before bytes leave: these, under these fences, are about to be sent. Answers the ids
/// that are still held, and when each was first sent; the others must not be sent. The age of a key counts from the first
/// time this was said of it.
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

/// Holds leases a little longer; answers how many are still held.
pub async fn renew(tx: &mut Tx, held: &[(String, i64)], until: i64) -> Result<u64> {
    let mut rows = Rows::default();
    held.iter().for_each(|(id, fence)| rows.push([id.as_str().into(), (*fence).into()]));
    let sql = "WITH v (id, fence) AS (VALUES {rows}) UPDATE submission SET lease_until = $1 \
               FROM v WHERE submission.id = v.id AND submission.fence = v.fence";
    tx.bulk(sql, &[until.into()], rows).await
}

/// What an answer makes of a submission.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub id: String,
    /// The fence of the lease it was sent under.
    pub fence: i64,
    pub state: SubmissionState,
    /// When it is due again.
    pub next_at: i64,
    /// What was said.
    pub last: (String, String),
    /// The vendor's id of it.
    pub vendor_id: Option<String>,
    /// The counters: tries, doubts, same errors, refusals, looks.
    pub counts: [i64; 5],
    /// When it was last looked for, or refused after a doubt.
    pub looked_at: Option<i64>,
    /// When its bytes first and last may have left.
    pub sent: (Option<i64>, Option<i64>),
    pub ended_at: Option<i64>,
}

/// Records answers under the fences they were sent under; answers the ids that were still held. What a sleeping worker
/// brings under an old fence is not among them and must be dropped.
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

/// Submissions by id, without those whose record cannot be read.
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

/// What the vendor calls these submissions, by their id; those that it has not named are left out.
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

/// The keys of a batch's submissions to PayPal: what the number of its next chunk follows from.
pub async fn chunk_keys(db: &mut Db, batch: BatchId) -> Result<Vec<String>> {
    let sql = "SELECT key FROM submission WHERE batch_id = $1 AND kind = 'batch'";
    let rows = db.all(sqlx::query(sql).bind(batch.to_string())).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Lets everything of a vendor that waits for credentials go on now.
pub async fn wake(tx: &mut Tx, vendor: Vendor, now: i64) -> Result<()> {
    let sql = "UPDATE submission SET next_at = $2 WHERE vendor = $1 AND next_at > $2 \
               AND state IN ('intended', 'unknown', 'looking')";
    tx.run(sqlx::query(sql).bind(vendor.as_str()).bind(now)).await?;
    let sql = "UPDATE attempt SET next_at = $1 WHERE state = 'queued' AND next_at > $1";
    tx.run(sqlx::query(sql).bind(now)).await?;
    Ok(())
}

/// Submissions that are neither ended nor with a person: state and count.
pub async fn open(db: &mut Db) -> Result<Vec<(String, i64)>> {
    let sql = "SELECT state, COUNT(*) FROM submission WHERE state IN ('intended', 'unknown', 'looking') \
               GROUP BY state";
    let rows = db.all(sqlx::query(sql)).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// Takes submissions that wait for a person up again: Stripe is looked through once more, PayPal is sent the same bytes,
/// if every gate is open. Whatever waits for a person may have been carried out, so that is a doubt.
pub async fn take_up_again(tx: &mut Tx, ids: &[String], now: i64) -> Result<u64> {
    let sql = "UPDATE submission SET state = CASE vendor WHEN 'stripe' THEN 'looking' ELSE 'unknown' END, \
               next_at = $1, doubts = doubts + 1, looks = 0, looked_at = NULL, refusals = 0, ended_at = NULL \
               WHERE state = 'needs_review' AND id IN ({ids})";
    let undoubted = sql.replace("doubts = doubts + 1, ", "");
    let sql = if payout::planted::on("review_is_no_doubt") { undoubted.as_str() } else { sql };
    tx.among(sql, &[now.into()], ids.iter().cloned()).await
}

/// Ends a submission that waits for a person, by what they found: the vendor has it under this id, or never carried it
/// out. It is neither sent nor looked for any more. Answers 0 when it was taken up again meanwhile and may be on the wire,
/// or when the vendor is known to have it and it is called not carried out.
pub async fn end_by_hand(tx: &mut Tx, id: &str, vendor_id: Option<&str>, now: i64) -> Result<u64> {
    let sql = "UPDATE submission SET state = CASE WHEN $2 = '' THEN 'refused' ELSE 'accepted' END, \
               vendor_id = CASE WHEN $2 = '' THEN vendor_id ELSE $2 END, ended_at = $3 \
               WHERE id = $1 AND (state IN ('needs_review', 'refused') OR (state = 'accepted' AND $2 <> ''))";
    let vendor_id = vendor_id.unwrap_or_default().to_owned();
    tx.run(sqlx::query(sql).bind(id.to_owned()).bind(vendor_id).bind(now)).await
}

/// The vendor's id of the newest transfer or batch that it has accepted.
pub async fn newest_accepted(db: &mut Db, vendor: Vendor) -> Result<Option<String>> {
    let sql = "SELECT vendor_id FROM submission WHERE vendor = $1 AND state = 'accepted' \
               AND kind IN ('transfer', 'batch') ORDER BY created_at DESC, id DESC LIMIT 1";
    let row = db.optional(sqlx::query(sql).bind(vendor.as_str())).await?;
    Ok(row.map(|row| row.try_get::<Option<String>, _>(0)).transpose()?.flatten())
}
