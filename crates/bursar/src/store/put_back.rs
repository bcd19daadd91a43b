//! What a database needs to know when it is older than the payments made since: how far it had come, which requests are in
//! doubt because of it, which payments must be looked for before they are sent, and what the vendors have that it does not
//! know of. What is deliberately not here: when it is taken to be older (`ops::epoch`), and looking (`work::search`).

use std::collections::HashSet;

use payout::ids::{AttemptId, TransactionId};
use payout::ledger::Payee;
use payout::money::{Currency, Money, Vendor};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::found::Stands;
use super::{
    Db, MOST_VALUES, Result, Rows, Tx, Value, Where, count_up, counted, meta, named, submissions, word,
};

/// Counts what was about to be sent.
const SENT: &str = "sent";
/// Counts how often the database was found to be older than what was done with it.
const EPOCH: &str = "epoch";
/// The name of the moment at which the database was last found to be put back.
const BEGAN: &str = "put_back_at";
/// Questions that nothing waits for are spread over so long.
const SPREAD_US: i64 = 6 * 3_600_000_000;
/// The name of the moment at which the database was last known to be the one that is worked on.
const CURRENT: &str = "current_at";
/// Payments whose requests have ended here or wait for a person: where those were promised before the database was put back,
/// they are looked through before anybody frees them or gives them up. An index has the same words.
const ENDED_HERE: &str = "t.vendor = 'stripe' AND t.released_at IS NULL AND t.outside_at IS NULL AND t.state IN \
                          ('payout_failed', 'payout_canceled', 'payout_review', 'review', 'written_off', 'failed', \
                          'recalling')";
/// That a payment is the one that a found object names, and has not given its rewards back. However it stands here, that may be
/// old: what it has at the vendor may have come back in the time that is lost.
const NAMED_OPEN: &str = "t.id = x.our_id AND t.released_at IS NULL AND t.outside_at IS NULL";
/// What makes a request doubtful: it may have been sent, carried out and ended since. Nobody who holds it records it any more.
const DOUBT: &str = "UPDATE submission SET doubts = doubts + 1, refusals = 0, same_errors = 0, looks = 0, looked_at = NULL, \
                     first_sent_at = COALESCE(first_sent_at, created_at), next_at = $1, lease_until = 0, lease_node = NULL, \
                     fence = fence + 1, sending_since = NULL, \
                     last_why = CASE WHEN state = 'looking' THEN last_why ELSE 'put_back' END, \
                     last_detail = CASE WHEN state = 'looking' THEN last_detail \
                     ELSE 'the database was put back, so this request may have been sent since' END, \
                     state = CASE WHEN vendor = 'stripe' THEN 'looking' ELSE 'unknown' END \
                     WHERE state IN ('intended', 'unknown', 'looking')";

/// How far a database has come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Progress {
    /// How often it was put back and found out.
    pub epoch: i64,
    /// How many requests were about to be sent.
    pub sent: i64,
}

/// How far this database has come.
pub async fn progress(db: &mut Db) -> Result<Progress> {
    Ok(Progress { epoch: counted(db, EPOCH).await?, sent: counted(db, SENT).await? })
}

/// Counts requests that are about to be sent, in the transaction that says so.
pub async fn count_sent(tx: &mut Tx, how_many: usize) -> Result<Progress> {
    let by = i64::try_from(how_many).unwrap_or(i64::MAX);
    let sent = count_up(tx, SENT, by).await?;
    Ok(Progress { epoch: counted(tx, EPOCH).await?, sent })
}

/// Begins another epoch, above `beyond`.
pub async fn begin_epoch(tx: &mut Tx, beyond: i64) -> Result<i64> {
    let known = counted(tx, EPOCH).await?;
    count_up(tx, EPOCH, beyond.max(known) - known + 1).await
}

/// Whether this request is known here as one that was about to be sent.
pub async fn knows_sent(db: &mut Db, submission: &str) -> Result<bool> {
    let sql = "SELECT first_sent_at FROM submission WHERE id = $1";
    let row = db.optional(sqlx::query(sql).bind(submission.to_owned())).await?;
    Ok(row.map(|row| row.try_get::<Option<i64>, _>(0)).transpose()?.flatten().is_some())
}

/// Notes that this database is the one that is worked on at this moment.
pub async fn say_current(tx: &mut Tx, now: i64) -> Result<()> {
    meta::set(tx, CURRENT, &now.to_string()).await
}

/// When this database was last noted to be the one that is worked on.
pub async fn said_current(db: &mut Db) -> Result<Option<i64>> {
    Ok(meta::get(db, CURRENT).await?.and_then(|at| at.parse().ok()))
}

/// From when on requests may be missing here: from when it was last known to be the one that is worked on. Where nobody has
/// said so, from the last request that it knows of: a row that was written after it was put back, as when somebody switched
/// safe mode on, is no sign that it knows of what was sent meanwhile.
pub async fn known_until(db: &mut Db) -> Result<i64> {
    let current = said_current(db).await?;
    let row = db.one(sqlx::query("SELECT MAX(last_sent_at) FROM submission")).await?;
    let (sent, alive): (Option<i64>, _) = (row.try_get(0)?, last_alive(db).await?);
    Ok(current.or(sent).into_iter().chain(alive).min().unwrap_or(0))
}

/// When anything last happened here: the newest row of the trail and the newest request.
async fn last_alive(db: &mut Db) -> Result<Option<i64>> {
    let asked = [
        "SELECT at FROM audit ORDER BY seq DESC LIMIT 1",
        "SELECT at FROM audit_waiting ORDER BY place DESC LIMIT 1",
        "SELECT created_at FROM payout_transaction ORDER BY number DESC LIMIT 1",
    ];
    let mut last = None;
    for sql in asked {
        let row = db.optional(sqlx::query(sql)).await?;
        last = last.max(row.map(|row| row.try_get::<i64, _>(0)).transpose()?);
    }
    Ok(last)
}

/// Holds what is about to be sent until the end of the transaction, and answers the epoch. Whoever begins an epoch, and whoever
/// commits what is about to be sent, does so first: each sees all that the other has done, or nothing.
pub async fn hold(tx: &mut Tx) -> Result<i64> {
    count_up(tx, SENT, 0).await?;
    counted(tx, EPOCH).await
}

/// Takes everything that was not over for doubtful. Answers how many.
pub async fn doubt_all(tx: &mut Tx, now: i64) -> Result<u64> {
    tx.run(sqlx::query(DOUBT).bind(now)).await
}

/// The vendor is asked about every payment once more that had succeeded since then: its money may have come back in the time
/// that is lost, and whoever was told of that was the lost database. There may be very many, so they are spread over the next
/// hours; what is due already stays due.
pub async fn ask_again(tx: &mut Tx, over_since: i64, now: i64) -> Result<u64> {
    let sql = "UPDATE payout_transaction SET ask_at = CASE WHEN ask_at <= $1 THEN ask_at \
               ELSE $1 + settled_at % $3 END WHERE state = 'success' AND settled_at >= $2";
    tx.run(sqlx::query(sql).bind(now).bind(over_since).bind(SPREAD_US)).await
}

/// The same at once, and until the vendor has said how it stands, for whom payments that were found just now may have paid:
/// those may have paid anew what had come back. What was paid from another account than the connected one cannot be asked
/// about.
pub async fn ask_payees(tx: &mut Tx, over_since: i64, found_at: i64) -> Result<u64> {
    let sql = "UPDATE payout_transaction SET ask_at = $1, hinted_at = COALESCE(hinted_at, $1) WHERE state = 'success' \
               AND settled_at >= $2 AND payee IN (SELECT p.payee FROM found_payment x JOIN found_payee p \
               ON p.vendor = x.vendor AND p.object_id = x.object_id WHERE x.found_at >= $1) \
               AND EXISTS (SELECT 1 FROM vendor_connection c WHERE c.vendor = payout_transaction.vendor \
               AND (payout_transaction.vendor_account IS NULL OR payout_transaction.vendor_account = c.vendor_account))";
    tx.run(sqlx::query(sql).bind(found_at).bind(over_since)).await
}

/// The numbers of these payees' payments that had succeeded and are asked about once more, of which the connected account of
/// their vendor has said nothing yet.
pub async fn still_asked(db: &mut Db, payees: &[Payee]) -> Result<Vec<i64>> {
    let mut found = Vec::new();
    for some in payees.chunks(MOST_VALUES) {
        let mut conditions = Where::default();
        conditions.among("payee", some.iter().map(|payee| Value::from(payee.to_string())));
        conditions.and("hinted_at IS NOT NULL AND state = 'success' AND unseen_since IS NULL", []);
        conditions.and(
            "EXISTS (SELECT 1 FROM vendor_connection c WHERE c.vendor = payout_transaction.vendor \
             AND (payout_transaction.vendor_account IS NULL OR payout_transaction.vendor_account = c.vendor_account))",
            [],
        );
        for row in
            db.all(conditions.query("SELECT number FROM payout_transaction {where} ORDER BY number")).await?
        {
            found.push(row.try_get(0)?);
        }
    }
    Ok(found)
}

/// Takes these requests for doubtful: they were decided by the database of an epoch before.
pub async fn doubt(tx: &mut Tx, submissions: &[String], now: i64) -> Result<u64> {
    let sql = format!("{DOUBT} AND id IN ({{ids}})");
    tx.among(&sql, &[now.into()], submissions.iter().cloned()).await
}

/// The vendor was looked through for these requests: they are of this epoch from now on.
pub async fn renew(tx: &mut Tx, submissions: &[String], epoch: i64) -> Result<()> {
    let sql = "UPDATE submission SET epoch = $1 WHERE id IN ({ids})";
    tx.among(sql, &[epoch.into()], submissions.iter().cloned()).await?;
    Ok(())
}

/// Every payment of an earlier epoch is looked for from now on before it is sent.
pub async fn look_from(tx: &mut Tx, now: i64) -> Result<()> {
    meta::set(tx, BEGAN, &now.to_string()).await
}

/// Of these payments, the ones that must be looked for before anything of them is sent.
pub async fn to_look_for(db: &mut Db, of: &[TransactionId]) -> Result<HashSet<TransactionId>> {
    let epoch = counted(db, EPOCH).await?;
    if epoch == 0 {
        return Ok(HashSet::new());
    }
    let mut found = HashSet::new();
    for some in of.chunks(MOST_VALUES) {
        let mut conditions = Where::default();
        conditions.and("vendor = 'stripe' AND promised_epoch < ?", [Value::from(epoch)]);
        conditions.and("looked_epoch < ?", [Value::from(epoch)]);
        conditions.among("id", some.iter().map(|id| Value::from(id.to_string())));
        for row in db.all(conditions.query("SELECT id FROM payout_transaction {where}")).await? {
            let id: String = row.try_get(0)?;
            found.insert(word(TransactionId::parse(&id), &id)?);
        }
    }
    Ok(found)
}

/// Payments that are to be looked through, from `apart` after the database was put back on, whose turn it is.
pub async fn unlooked(db: &mut Db, now: i64, apart: i64, limit: i64) -> Result<Vec<TransactionId>> {
    let epoch = counted(db, EPOCH).await?;
    let began = meta::get(db, BEGAN).await?.and_then(|moment| moment.parse().ok()).unwrap_or(0_i64);
    if epoch == 0 || began.saturating_add(apart) > now {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT t.id FROM payout_transaction t WHERE {ENDED_HERE} \
         AND t.promised_epoch < $1 AND t.looked_epoch < $1 AND COALESCE(t.look_next_at, 0) <= $2 \
         ORDER BY t.created_at, t.id LIMIT $3"
    );
    let read = |row: &AnyRow| {
        let id: String = row.try_get(0)?;
        word(TransactionId::parse(&id), &id)
    };
    let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(epoch).bind(now).bind(limit);
    db.all(query).await?.iter().map(read).collect()
}

/// A payment is looked through again at this moment.
pub async fn look_again(tx: &mut Tx, id: TransactionId, at: i64) -> Result<()> {
    let sql = "UPDATE payout_transaction SET look_next_at = $2 WHERE id = $1";
    tx.run(sqlx::query(sql).bind(id.to_string()).bind(at)).await?;
    Ok(())
}

/// People have compared what Stripe has by hand: nothing is looked through any more that Stripe has nothing unknown of.
pub async fn take_as_looked(tx: &mut Tx) -> Result<u64> {
    let sql = format!(
        "UPDATE payout_transaction SET looked_epoch = $1 WHERE id IN (SELECT t.id FROM payout_transaction t \
         WHERE {ENDED_HERE} AND NOT EXISTS (SELECT 1 FROM found_payment x WHERE x.our_id = t.id AND x.settled_at IS NULL))"
    );
    let epoch = counted(tx, EPOCH).await?;
    tx.run(sqlx::query(sqlx::AssertSqlSafe(sql)).bind(epoch)).await
}

/// The vendor was looked through for these payments, in this epoch of the database, and shows nothing of what was asked about.
pub async fn looked_for(tx: &mut Tx, of: &[TransactionId], epoch: i64) -> Result<()> {
    let sql = "UPDATE payout_transaction SET looked_epoch = $1 WHERE looked_epoch < $1 AND id IN ({ids})";
    tx.among(sql, &[epoch.into()], of.iter().map(ToString::to_string)).await?;
    Ok(())
}

/// What is not looked up yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Open {
    /// Requests that are looked for at Stripe.
    pub looking: i64,
    /// Queued payments of Stripe that nobody has looked for yet.
    pub queued: i64,
    /// Payments of Stripe that ended or wait for a person and were not looked through; what has been found of one is told.
    pub unlooked: i64,
    /// PayPal batches that were found and are being compared.
    pub named: i64,
    /// Requests that wait for a person.
    pub review: i64,
    /// Payments that the vendors have and this database does not know of, not settled.
    pub found: i64,
    /// Those of them whose destination no payee here has, so that nobody is held by them.
    pub strangers: i64,
    /// Those of them that name a payment here which holds its rewards: that payment is held.
    pub naming: i64,
}

/// How many of each there are.
pub async fn open(db: &mut Db) -> Result<Open> {
    let epoch = counted(db, EPOCH).await?;
    let sql = format!(
        "SELECT (SELECT COUNT(*) FROM submission WHERE state = 'looking' \
               AND state IN ('intended', 'unknown', 'looking')), \
               (SELECT COUNT(*) FROM attempt a JOIN payout_transaction t ON t.id = a.transaction_id \
               WHERE a.state = 'queued' AND t.vendor = 'stripe' AND t.promised_epoch < $1 \
               AND t.looked_epoch < $1), \
               (SELECT COUNT(*) FROM named_object WHERE vendor = 'paypal' AND look_at IS NOT NULL), \
               (SELECT COUNT(*) FROM payout_transaction WHERE state IN ('review', 'payout_review')), \
               (SELECT COUNT(*) FROM found_payment WHERE settled_at IS NULL), \
               (SELECT COUNT(*) FROM found_payment x WHERE x.settled_at IS NULL AND NOT EXISTS (SELECT 1 \
               FROM payout_profile f WHERE f.vendor = x.vendor AND f.address = x.destination) \
               AND NOT EXISTS (SELECT 1 FROM found_payee p WHERE p.vendor = x.vendor AND p.object_id = x.object_id)), \
               (SELECT COUNT(*) FROM payout_transaction t WHERE {ENDED_HERE} AND t.promised_epoch < $1 AND t.looked_epoch < $1 \
               AND NOT EXISTS (SELECT 1 FROM found_payment y WHERE y.our_id = t.id)), \
               (SELECT COUNT(*) FROM found_payment z JOIN payout_transaction u ON u.id = z.our_id \
               WHERE z.settled_at IS NULL AND u.released_at IS NULL AND u.outside_at IS NULL)"
    );
    let row = db.one(sqlx::query(sqlx::AssertSqlSafe(sql)).bind(epoch)).await?;
    let count = |column: usize| row.try_get::<i64, _>(column);
    let (looking, queued, named) = (count(0)?, count(1)?, count(2)?);
    let (review, found, strangers, unlooked) = (count(3)?, count(4)?, count(5)?, count(6)?);
    let naming = count(7)?;
    Ok(Open { looking, queued, unlooked, named, review, found, strangers, naming })
}

/// A payment that a vendor has and this database does not know of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    pub vendor: Vendor,
    /// The vendor's id of it.
    pub object_id: String,
    /// The id of ours that it carries: the payment was promised after what is in this database.
    pub our_id: String,
    /// To whom: the Stripe account or the PayPal address.
    pub destination: String,
    pub amount: Money,
    /// When it was made, where the vendor says so.
    pub made_at: Option<i64>,
    /// PayPal's own id of the payment that an item is paid by, once there is one: its reports know it by this alone.
    pub reference: Option<String>,
}

/// Writes down what was found; what is there already stays as it is. Answers how many were new.
pub async fn note_found(tx: &mut Tx, found: &[Found], now: i64) -> Result<u64> {
    let mut rows = Rows::default();
    for one in found {
        rows.push([
            one.vendor.as_str().into(),
            one.object_id.as_str().into(),
            one.our_id.as_str().into(),
            one.destination.as_str().into(),
            one.amount.minor.into(),
            one.amount.currency.code().into(),
            one.made_at.into(),
            now.into(),
            one.reference.clone().into(),
        ]);
    }
    let sql = "INSERT INTO found_payment (vendor, object_id, our_id, destination, amount_minor, currency, made_at, \
               found_at, reference) VALUES {rows} ON CONFLICT (vendor, object_id) DO NOTHING";
    let new = tx.bulk(sql, &[], rows).await?;
    if new > 0 {
        let account = "UPDATE found_payment SET vendor_account = (SELECT c.vendor_account FROM vendor_connection c \
                       WHERE c.vendor = found_payment.vendor) WHERE vendor_account IS NULL AND found_at >= $1";
        tx.run(sqlx::query(account).bind(now)).await?;
        note_payees(tx, now).await?;
    }
    Ok(new)
}

/// Whom what was just found may have paid: who is paid there now, who was paid there before, and whose payment it names.
async fn note_payees(tx: &mut Tx, found_at: i64) -> Result<()> {
    for sql in [
        "INSERT INTO found_payee (vendor, object_id, payee) SELECT x.vendor, x.object_id, f.payee \
         FROM found_payment x CROSS JOIN payout_profile f WHERE x.settled_at IS NULL AND x.found_at >= $1 \
         AND f.vendor = x.vendor AND f.address = x.destination ON CONFLICT (vendor, object_id, payee) DO NOTHING",
        "INSERT INTO found_payee (vendor, object_id, payee) SELECT DISTINCT x.vendor, x.object_id, t.payee \
         FROM payout_transaction t CROSS JOIN found_payment x WHERE x.settled_at IS NULL AND x.found_at >= $1 \
         AND t.vendor = x.vendor AND (t.destination = x.destination OR t.id = x.our_id) \
         ON CONFLICT (vendor, object_id, payee) DO NOTHING",
    ] {
        tx.run(sqlx::query(sql).bind(found_at)).await?;
    }
    Ok(())
}

/// Whoever is paid from now on where a found payment went is held by it, wherever they are paid later: it may have paid them.
pub async fn note_payee(tx: &mut Tx, payee: Payee, vendor: Vendor, address: &str) -> Result<()> {
    let sql = "INSERT INTO found_payee (vendor, object_id, payee) SELECT x.vendor, x.object_id, $1 FROM found_payment x \
               WHERE x.settled_at IS NULL AND x.vendor = $2 AND x.destination = $3 \
               ON CONFLICT (vendor, object_id, payee) DO NOTHING";
    let query = sqlx::query(sql).bind(payee.to_string()).bind(vendor.as_str());
    tx.run(query.bind(address.to_owned())).await?;
    Ok(())
}

/// What was found is no longer unknown where an attempt here is known to have led to it. Answers how many.
pub async fn settle_known(tx: &mut Tx, now: i64) -> Result<u64> {
    let sql = "UPDATE found_payment SET settled_at = $1, settled_by = 'search', note = 'It is known here by now.' \
               WHERE settled_at IS NULL AND EXISTS (SELECT 1 FROM attempt a WHERE a.vendor_id = found_payment.object_id \
               AND a.state NOT IN ('failed', 'returned') AND a.contradicted_at IS NULL)";
    tx.run(sqlx::query(sql).bind(now)).await
}

/// Whether anything is open that was found, or only what was found of this payment.
pub async fn any_found(db: &mut Db, of: Option<TransactionId>) -> Result<bool> {
    let sql = "SELECT object_id FROM found_payment WHERE settled_at IS NULL \
               AND (CAST($1 AS TEXT) IS NULL OR our_id = $1) LIMIT 1";
    Ok(db.optional(sqlx::query(sql).bind(of.map(|id| id.to_string()))).await?.is_some())
}

/// The payments here of which something was found that nobody has settled: nothing more of them is sent.
pub async fn found_of(db: &mut Db) -> Result<HashSet<TransactionId>> {
    let sql = "SELECT DISTINCT our_id FROM found_payment WHERE settled_at IS NULL";
    let mut found = HashSet::new();
    for row in db.all(sqlx::query(sql)).await? {
        found.extend(TransactionId::parse(&row.try_get::<String, _>(0)?));
    }
    Ok(found)
}

/// A person has found what a lost database had sent for an attempt, in this batch of PayPal's: the request for it is this one,
/// which is kept as one whose end is not known yet. The request that was known before is never sent again: its bytes name the
/// payment. What else that one carries is found out about for each by itself. Answers false, and changes nothing that counts,
/// where that one may be on its way.
pub async fn carry(
    tx: &mut Tx,
    attempt: AttemptId,
    (lost, batch): (submissions::New, &str),
    now: i64,
) -> Result<bool> {
    let sql = "SELECT submission_id, transaction_id FROM attempt WHERE id = $1";
    let row = tx.one(sqlx::query(sql).bind(attempt.to_string())).await?;
    let (before, of): (Option<String>, String) = (row.try_get(0)?, row.try_get(1)?);
    if let Some(before) = before {
        let sql = "UPDATE submission SET ended_at = COALESCE(ended_at, $2), \
                   last_why = CASE WHEN state = 'needs_review' THEN 'lost' ELSE last_why END, \
                   last_detail = CASE WHEN state = 'needs_review' \
                   THEN 'a payment that it names was sent by a request that is lost here, so it is never sent again' \
                   ELSE last_detail END, state = CASE WHEN state = 'needs_review' THEN 'refused' ELSE state END \
                   WHERE id = $1 AND state IN ('needs_review', 'refused', 'accepted')";
        if tx.run(sqlx::query(sql).bind(before).bind(now)).await? == 0 {
            return Ok(false);
        }
    }
    let carrier = lost_carrier(tx, &of, (lost, batch), now).await?;
    let sql = "UPDATE attempt SET submission_id = $2 WHERE id = $1";
    tx.run(sqlx::query(sql).bind(attempt.to_string()).bind(carrier)).await?;
    Ok(true)
}

/// The request here that stands for the lost one of a payment: the one that has its batch already, or has its key and names the
/// payment, or a new one. Where two databases gave the key out for different payments, it is told apart by the batch.
async fn lost_carrier(
    tx: &mut Tx,
    of: &str,
    (lost, batch): (submissions::New, &str),
    now: i64,
) -> Result<String> {
    let apart = format!("{}:{batch}", lost.key);
    let known = named::by_key(tx, &[lost.key.clone(), apart.clone()]).await?;
    let known: Vec<String> = known.into_iter().map(|(_, id, ..)| id).collect();
    let known = submissions::several(tx, &known).await?;
    let is_it = |one: &&submissions::Submission| match &one.vendor_id {
        Some(object) => object == batch,
        None => one.body.contains(of),
    };
    if let Some(one) = known.iter().find(is_it) {
        return Ok(one.id.clone());
    }
    let taken = known.iter().any(|one| one.key == lost.key);
    let key = if taken { apart } else { lost.key.clone() };
    let (id, epoch) = (lost.id.clone(), counted(tx, EPOCH).await?);
    submissions::insert(tx, vec![submissions::New { looks: true, key, ..lost }], epoch, now).await?;
    let sql = "UPDATE submission SET state = 'needs_review' WHERE id = $1";
    tx.run(sqlx::query(sql).bind(id.clone())).await?;
    Ok(id)
}

/// What was found of a payment and people have settled: they have said what it is.
pub async fn settled_by_people(db: &mut Db, of: TransactionId) -> Result<HashSet<String>> {
    let sql = "SELECT object_id FROM found_payment WHERE our_id = $1 AND settled_at IS NOT NULL";
    let rows = db.all(sqlx::query(sql).bind(of.to_string())).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// The objects that were found of a payment and that nobody has settled.
pub async fn open_of(db: &mut Db, of: TransactionId) -> Result<Vec<String>> {
    let sql =
        "SELECT object_id FROM found_payment WHERE our_id = $1 AND settled_at IS NULL ORDER BY object_id";
    let rows = db.all(sqlx::query(sql).bind(of.to_string())).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// The number of the payment here that a found object names, where that holds its rewards: the object is settled with it.
pub async fn names_open(db: &mut Db, object: &str) -> Result<Option<i64>> {
    let sql = format!(
        "SELECT t.number FROM found_payment x JOIN payout_transaction t ON {NAMED_OPEN} \
         WHERE x.object_id = $1 AND x.settled_at IS NULL"
    );
    let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(object.to_owned());
    Ok(db.optional(query).await?.map(|row| row.try_get(0)).transpose()?)
}

/// The vendor's account that an object was found in, where that is known.
pub async fn account_of(db: &mut Db, object: &str) -> Result<Option<String>> {
    let sql = "SELECT vendor_account FROM found_payment WHERE object_id = $1";
    let row = db.optional(sqlx::query(sql).bind(object.to_owned())).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?.flatten())
}

/// Whether an object of a vendor was found as one of this payment's, settled or not.
pub async fn was_found(db: &mut Db, of: TransactionId, object: &str) -> Result<bool> {
    let sql = "SELECT 1 FROM found_payment WHERE our_id = $1 AND object_id = $2";
    let query = sqlx::query(sql).bind(of.to_string()).bind(object.to_owned());
    Ok(db.optional(query).await?.is_some())
}

/// A found payment as it is listed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    pub found: Found,
    pub found_at: i64,
    /// When, by whom and with which words it was settled.
    pub settled: Option<(i64, String, String)>,
    /// The number of the payment here that it is settled with.
    pub payment: Option<i64>,
    /// How it stands at its vendor, with the vendor's word for it, where that was told.
    pub stands: Option<(Stands, String)>,
    /// By whom and with which words it had been settled before its money came back.
    pub settled_before: Option<(String, String)>,
}

const LISTED: &str = "x.vendor, x.object_id, x.our_id, x.destination, x.amount_minor, x.currency, x.made_at, x.found_at, \
                      x.settled_at, x.settled_by, x.note, t.number, x.reference, x.standing, x.vendor_says";

fn read_listed(row: &AnyRow) -> Result<Listed> {
    let (vendor, code): (String, String) = (row.try_get(0)?, row.try_get(5)?);
    let currency = word(Currency::parse(&code).ok(), &code)?;
    let settled: Option<i64> = row.try_get(8)?;
    let (by, note): (Option<String>, Option<String>) = (row.try_get(9)?, row.try_get(10)?);
    let found = Found {
        vendor: word(Vendor::parse(&vendor), &vendor)?,
        object_id: row.try_get(1)?,
        our_id: row.try_get(2)?,
        destination: row.try_get(3)?,
        amount: Money::new(row.try_get(4)?, currency),
        made_at: row.try_get(6)?,
        reference: row.try_get(12)?,
    };
    let said = by.zip(note);
    let (settled, settled_before) = match (settled, said) {
        (Some(at), said) => {
            let (by, note) = said.unwrap_or_default();
            (Some((at, by, note)), None)
        }
        (None, said) => (None, said),
    };
    let (standing, says): (Option<String>, Option<String>) = (row.try_get(13)?, row.try_get(14)?);
    let stands = standing.map(|text| word(Stands::parse(&text), &text)).transpose()?.zip(says);
    Ok(Listed {
        found,
        found_at: row.try_get(7)?,
        settled,
        payment: row.try_get(11)?,
        stands,
        settled_before,
    })
}

/// What was found, what is open first, at most so many.
pub async fn list_found(db: &mut Db, limit: i64) -> Result<Vec<Listed>> {
    let sql = format!(
        "SELECT {LISTED} FROM found_payment x \
         LEFT JOIN payout_transaction t ON x.settled_at IS NULL AND {NAMED_OPEN} \
         ORDER BY CASE WHEN x.settled_at IS NULL THEN 0 ELSE 1 END, x.found_at, x.object_id LIMIT $1"
    );
    let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(limit);
    db.all(query).await?.iter().map(read_listed).collect()
}

/// A found payment that nobody has settled.
pub async fn open_one(db: &mut Db, object: &str) -> Result<Option<Listed>> {
    let sql = format!(
        "SELECT {LISTED} FROM found_payment x LEFT JOIN payout_transaction t ON {NAMED_OPEN} \
         WHERE x.object_id = $1 AND x.settled_at IS NULL"
    );
    let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(object.to_owned());
    db.optional(query).await?.as_ref().map(read_listed).transpose()
}

/// Notes as what payments PayPal has paid found items: item, payment.
pub async fn note_references(tx: &mut Tx, paid_as: &[(String, String)]) -> Result<()> {
    let rows: Rows =
        paid_as.iter().map(|(item, paid)| [item.as_str().into(), paid.as_str().into()]).collect();
    let sql = "WITH v (object_id, reference) AS (VALUES {rows}) \
               UPDATE found_payment SET reference = v.reference FROM v \
               WHERE found_payment.vendor = 'paypal' AND found_payment.object_id = v.object_id \
               AND found_payment.reference IS NULL";
    tx.bulk(sql, &[], rows).await?;
    Ok(())
}

/// Somebody has settled a found payment; answers 0 when there is no such one, or it was settled before.
pub async fn settle_found(tx: &mut Tx, object_id: &str, by: &str, note: &str, now: i64) -> Result<u64> {
    let sql = "UPDATE found_payment SET settled_at = $2, settled_by = $3, note = $4 \
               WHERE object_id = $1 AND settled_at IS NULL";
    let query = sqlx::query(sql).bind(object_id.to_owned()).bind(now).bind(by.to_owned());
    tx.run(query.bind(note.to_owned())).await
}

/// The payees whom a found payment that is not settled may have paid, wherever they are paid now: it may have paid what they
/// are owed here. One that belongs to a payment which is open here holds that payment instead: its rewards are in it.
pub async fn held(db: &mut Db) -> Result<HashSet<Payee>> {
    let sql = "SELECT payee FROM held_payee";
    let read = |row: &AnyRow| {
        let payee: String = row.try_get(0)?;
        word(Payee::parse(&payee), &payee)
    };
    db.all(sqlx::query(sql)).await?.iter().map(read).collect()
}

/// The batches that an account of PayPal is known to have taken from this database since then.
pub async fn batches_since(db: &mut Db, account: Option<String>, since: i64) -> Result<Vec<String>> {
    let sql = "SELECT vendor_id FROM submission WHERE created_at >= $1 AND vendor = 'paypal' AND kind = 'batch' \
               AND state = 'accepted' AND vendor_id IS NOT NULL AND tries > 0 AND vendor_account = $2";
    let rows = db.all(sqlx::query(sql).bind(since).bind(account)).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Which of these objects of a vendor some request or attempt here is known to have led to.
pub async fn known(db: &mut Db, objects: &[String]) -> Result<HashSet<String>> {
    let mut found = HashSet::new();
    for some in objects.chunks(MOST_VALUES) {
        for sql in ["SELECT vendor_id FROM attempt {where}", "SELECT vendor_id FROM submission {where}"] {
            let mut conditions = Where::default();
            conditions.among("vendor_id", some.iter().map(|id| Value::from(id.as_str())));
            for row in db.all(conditions.query(sql)).await? {
                found.extend(row.try_get::<Option<String>, _>(0)?);
            }
        }
    }
    Ok(found)
}
