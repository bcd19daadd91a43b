//! Recovery from a restored database that is older than payments made since: how far it had progressed, which requests
//! are in doubt, which payments to look up before sending, and what vendors have that it does not know of. Not here:
//! deciding that it is older (`ops::epoch`), and the look-ups (`work::search`).

use std::collections::HashSet;

use payout::ids::{AttemptId, TransactionId};
use payout::ledger::Payee;
use payout::money::{Currency, Money, Vendor};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::found::VendorStatus;
use super::{
    Db, MOST_VALUES, Result, Rows, Tx, Value, Where, count_up, counted, meta, named, submissions, word,
};

/// Counter of requests committed for sending.
const SENT: &str = "sent";
/// Counts how often a restore was detected.
const EPOCH: &str = "epoch";
/// The meta key of when a restore was last detected.
const BEGAN: &str = "put_back_at";
/// Non-urgent look-ups are spread over this many microseconds.
const SPREAD_US: i64 = 6 * 3_600_000_000;
/// The meta key of when the database was last known to be current.
const CURRENT: &str = "current_at";
/// Payments whose requests ended here or are in review. If they date from before the restore, they are searched for
/// before anyone releases or writes them off. An index has the same condition.
const ENDED_HERE: &str = "t.vendor = 'stripe' AND t.released_at IS NULL AND t.outside_at IS NULL AND t.state IN \
                          ('payout_failed', 'payout_canceled', 'payout_review', 'review', 'written_off', 'failed', \
                          'recalling')";
/// The payment that a found object names, if it still holds its rewards. Its state here may be outdated: the money may
/// have been returned in the lost period.
const NAMED_OPEN: &str = "t.id = x.our_id AND t.released_at IS NULL AND t.outside_at IS NULL";
/// Puts a request in doubt: it may have been sent, executed and finished since. Fences off any worker that holds it.
const DOUBT: &str = "UPDATE submission SET doubts = doubts + 1, refusals = 0, same_errors = 0, looks = 0, looked_at = NULL, \
                     first_sent_at = COALESCE(first_sent_at, created_at), next_at = $1, lease_until = 0, lease_node = NULL, \
                     fence = fence + 1, sending_since = NULL, \
                     last_why = CASE WHEN state = 'looking' THEN last_why ELSE 'put_back' END, \
                     last_detail = CASE WHEN state = 'looking' THEN last_detail \
                     ELSE 'the database was put back, so this request may have been sent since' END, \
                     state = CASE WHEN vendor = 'stripe' THEN 'looking' ELSE 'unknown' END \
                     WHERE state IN ('intended', 'unknown', 'looking')";

/// How far a database has progressed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Progress {
    /// The number of detected restores.
    pub epoch: i64,
    /// The number of requests committed for sending.
    pub sent: i64,
}

pub async fn progress(db: &mut Db) -> Result<Progress> {
    Ok(Progress { epoch: counted(db, EPOCH).await?, sent: counted(db, SENT).await? })
}

/// Counts requests about to be sent, in the transaction that commits them.
pub async fn count_sent(tx: &mut Tx, how_many: usize) -> Result<Progress> {
    let by = i64::try_from(how_many).unwrap_or(i64::MAX);
    let sent = count_up(tx, SENT, by).await?;
    Ok(Progress { epoch: counted(tx, EPOCH).await?, sent })
}

/// Starts a new epoch, above `beyond`.
pub async fn begin_epoch(tx: &mut Tx, beyond: i64) -> Result<i64> {
    let known = counted(tx, EPOCH).await?;
    count_up(tx, EPOCH, beyond.max(known) - known + 1).await
}

/// Whether this database knows the request as one about to be sent.
pub async fn knows_sent(db: &mut Db, submission: &str) -> Result<bool> {
    let sql = "SELECT first_sent_at FROM submission WHERE id = $1";
    let row = db.optional(sqlx::query(sql).bind(submission.to_owned())).await?;
    Ok(row.map(|row| row.try_get::<Option<i64>, _>(0)).transpose()?.flatten().is_some())
}

/// Records that the database is current at this moment.
pub async fn say_current(tx: &mut Tx, now: i64) -> Result<()> {
    meta::set(tx, CURRENT, &now.to_string()).await
}

/// When the database was last recorded as current.
pub async fn said_current(db: &mut Db) -> Result<Option<i64>> {
    Ok(meta::get(db, CURRENT).await?.and_then(|at| at.parse().ok()))
}

/// From when on requests may be missing here: when the database was last known to be current or, if never recorded, its
/// last sent request. A row written after the restore, for example by turning safe mode on, does not show that it knows
/// what was sent in between.
pub async fn known_until(db: &mut Db) -> Result<i64> {
    let current = said_current(db).await?;
    let row = db.one(sqlx::query("SELECT MAX(last_sent_at) FROM submission")).await?;
    let (sent, alive): (Option<i64>, _) = (row.try_get(0)?, last_alive(db).await?);
    Ok(current.or(sent).into_iter().chain(alive).min().unwrap_or(0))
}

/// The last activity here: the newest audit row or the newest payment.
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

/// Locks the send counter until the transaction ends, and returns the epoch. Both starting an epoch and committing
/// requests to send take this lock first, so each sees all of the other's changes or none.
pub async fn hold(tx: &mut Tx) -> Result<i64> {
    count_up(tx, SENT, 0).await?;
    counted(tx, EPOCH).await
}

/// Puts every unfinished request in doubt. Returns how many.
pub async fn doubt_all(tx: &mut Tx, now: i64) -> Result<u64> {
    tx.run(sqlx::query(DOUBT).bind(now)).await
}

/// Makes every payment that succeeded since `over_since` due for another look-up: its money may have been returned in
/// the lost period, with the news lost as well. They may be many, so they are spread over the next hours; those already
/// due stay due.
pub async fn ask_again(tx: &mut Tx, over_since: i64, now: i64) -> Result<u64> {
    let sql = "UPDATE payout_transaction SET ask_at = CASE WHEN ask_at <= $1 THEN ask_at \
               ELSE $1 + settled_at % $3 END WHERE state = 'success' AND settled_at >= $2";
    tx.run(sqlx::query(sql).bind(now).bind(over_since).bind(SPREAD_US)).await
}

/// The same immediately, and until the vendor answers, for payees that the just-found payments may have paid: those may
/// be replacements for returned payments. Payments from another account than the connected one cannot be looked up.
pub async fn ask_payees(tx: &mut Tx, over_since: i64, found_at: i64) -> Result<u64> {
    let sql = "UPDATE payout_transaction SET ask_at = $1, hinted_at = COALESCE(hinted_at, $1) WHERE state = 'success' \
               AND settled_at >= $2 AND payee IN (SELECT p.payee FROM found_payment x JOIN found_payee p \
               ON p.vendor = x.vendor AND p.object_id = x.object_id WHERE x.found_at >= $1) \
               AND EXISTS (SELECT 1 FROM vendor_connection c WHERE c.vendor = payout_transaction.vendor \
               AND (payout_transaction.vendor_account IS NULL OR payout_transaction.vendor_account = c.vendor_account))";
    tx.run(sqlx::query(sql).bind(found_at).bind(over_since)).await
}

/// The numbers of these payees' successful payments whose renewed look-up the connected vendor account has not answered
/// yet.
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

/// Puts these requests in doubt: they were decided in an earlier epoch.
pub async fn doubt(tx: &mut Tx, submissions: &[String], now: i64) -> Result<u64> {
    let sql = format!("{DOUBT} AND id IN ({{ids}})");
    tx.among(&sql, &[now.into()], submissions.iter().cloned()).await
}

/// Moves these requests to this epoch, after the vendor was searched for them.
pub async fn renew(tx: &mut Tx, submissions: &[String], epoch: i64) -> Result<()> {
    let sql = "UPDATE submission SET epoch = $1 WHERE id IN ({ids})";
    tx.among(sql, &[epoch.into()], submissions.iter().cloned()).await?;
    Ok(())
}

/// From now on, payments of earlier epochs are looked up before they are sent.
pub async fn look_from(tx: &mut Tx, now: i64) -> Result<()> {
    meta::set(tx, BEGAN, &now.to_string()).await
}

/// Those of these payments that must be looked up before anything of them is sent.
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

/// No search is put off for longer, so a time further ahead was set by a wrong clock and does not count.
const LONGEST_WAIT_US: i64 = 86_400_000_000;

/// Payments due to be searched for, starting `apart` after the restore.
pub async fn unlooked(db: &mut Db, now: i64, apart: i64, limit: i64) -> Result<Vec<TransactionId>> {
    let epoch = counted(db, EPOCH).await?;
    let began = meta::get(db, BEGAN).await?.and_then(|moment| moment.parse().ok()).unwrap_or(0_i64);
    if epoch == 0 || began.saturating_add(apart) > now {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT t.id FROM payout_transaction t WHERE {ENDED_HERE} \
         AND t.promised_epoch < $1 AND t.looked_epoch < $1 \
         AND (COALESCE(t.look_next_at, 0) <= $2 OR t.look_next_at > $4) \
         ORDER BY t.created_at, t.id LIMIT $3"
    );
    let read = |row: &AnyRow| {
        let id: String = row.try_get(0)?;
        word(TransactionId::parse(&id), &id)
    };
    let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(epoch).bind(now).bind(limit);
    let query = query.bind(now.saturating_add(LONGEST_WAIT_US));
    db.all(query).await?.iter().map(read).collect()
}

/// Schedules the next search for a payment.
pub async fn look_again(tx: &mut Tx, id: TransactionId, at: i64) -> Result<()> {
    let sql = "UPDATE payout_transaction SET look_next_at = $2 WHERE id = $1";
    tx.run(sqlx::query(sql).bind(id.to_string()).bind(at)).await?;
    Ok(())
}

/// Staff have compared Stripe's records by hand: mark all payments as searched, except those with an unresolved found
/// payment.
pub async fn take_as_looked(tx: &mut Tx) -> Result<u64> {
    let sql = format!(
        "UPDATE payout_transaction SET looked_epoch = $1 WHERE id IN (SELECT t.id FROM payout_transaction t \
         WHERE {ENDED_HERE} AND NOT EXISTS (SELECT 1 FROM found_payment x WHERE x.our_id = t.id AND x.settled_at IS NULL))"
    );
    let epoch = counted(tx, EPOCH).await?;
    tx.run(sqlx::query(sqlx::AssertSqlSafe(sql)).bind(epoch)).await
}

/// Records that the vendor was searched for these payments in this epoch, without a finding.
pub async fn looked_for(tx: &mut Tx, of: &[TransactionId], epoch: i64) -> Result<()> {
    let sql = "UPDATE payout_transaction SET looked_epoch = $1 WHERE looked_epoch < $1 AND id IN ({ids})";
    tx.among(sql, &[epoch.into()], of.iter().map(ToString::to_string)).await?;
    Ok(())
}

/// The look-ups that are still open.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Open {
    /// Requests being looked for at Stripe.
    pub looking: i64,
    /// Queued Stripe payments not yet looked for.
    pub queued: i64,
    /// Stripe payments that ended or are in review and have not been searched for; findings are listed separately.
    pub unlooked: i64,
    /// PayPal batches that were found and are being compared.
    pub named: i64,
    /// Payments waiting for a person.
    pub review: i64,
    /// Unresolved found payments, which the vendors have and this database does not know.
    pub found: i64,
    /// Those whose destination no payee here uses, so that they hold nobody.
    pub strangers: i64,
    /// Those that name a payment here which still holds its rewards; they hold that payment.
    pub naming: i64,
}

/// Counts the look-ups that are open.
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

/// A payment that a vendor has and this database does not know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    pub vendor: Vendor,
    /// The vendor's id of it.
    pub object_id: String,
    /// Our id that it carries: created after this database's last commit.
    pub our_id: String,
    /// The recipient: a Stripe account or a PayPal address.
    pub destination: String,
    pub amount: Money,
    /// When it was made, if the vendor says.
    pub made_at: Option<i64>,
    /// PayPal's payment id of the item, once paid; its reports know the item only by this id.
    pub reference: Option<String>,
}

/// Stores found payments; existing ones stay as they are. Returns how many were new.
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

/// Records whom new findings may have paid: current and former payees at the destination, and the payee of the named
/// payment.
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

/// Holds a payee who starts using the destination of a found payment, even if they move on later: it may have paid
/// them.
pub async fn note_payee(tx: &mut Tx, payee: Payee, vendor: Vendor, address: &str) -> Result<()> {
    let sql = "INSERT INTO found_payee (vendor, object_id, payee) SELECT x.vendor, x.object_id, $1 FROM found_payment x \
               WHERE x.settled_at IS NULL AND x.vendor = $2 AND x.destination = $3 \
               ON CONFLICT (vendor, object_id, payee) DO NOTHING";
    let query = sqlx::query(sql).bind(payee.to_string()).bind(vendor.as_str());
    tx.run(query.bind(address.to_owned())).await?;
    Ok(())
}

/// Resolves found payments that an attempt here is now known to have caused. Returns how many.
pub async fn settle_known(tx: &mut Tx, now: i64) -> Result<u64> {
    let sql = "UPDATE found_payment SET settled_at = $1, settled_by = 'search', note = 'It is known here by now.' \
               WHERE settled_at IS NULL AND EXISTS (SELECT 1 FROM attempt a WHERE a.vendor_id = found_payment.object_id \
               AND a.state NOT IN ('failed', 'returned') AND a.contradicted_at IS NULL)";
    tx.run(sqlx::query(sql).bind(now)).await
}

/// Whether any found payment is unresolved, optionally only for one payment.
pub async fn any_found(db: &mut Db, of: Option<TransactionId>) -> Result<bool> {
    let sql = "SELECT object_id FROM found_payment WHERE settled_at IS NULL \
               AND (CAST($1 AS TEXT) IS NULL OR our_id = $1) LIMIT 1";
    Ok(db.optional(sqlx::query(sql).bind(of.map(|id| id.to_string()))).await?.is_some())
}

/// The payments here with unresolved findings; nothing more of them is sent.
pub async fn found_of(db: &mut Db) -> Result<HashSet<TransactionId>> {
    let sql = "SELECT DISTINCT our_id FROM found_payment WHERE settled_at IS NULL";
    let mut found = HashSet::new();
    for row in db.all(sqlx::query(sql)).await? {
        found.extend(TransactionId::parse(&row.try_get::<String, _>(0)?));
    }
    Ok(found)
}

/// A person found what a lost database sent for an attempt, in this PayPal batch. Assigns the attempt to that request,
/// stored as one whose outcome is unknown. The previously known request is never sent again, because its bytes name the
/// payment; its other items are resolved one by one. Returns `false`, and changes nothing that matters, if that request
/// may be in flight.
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

/// The local request that represents a payment's lost one: the one that already has its batch, or its key and names the
/// payment, or a new one. If two databases used the key for different payments, the batch id is added to it.
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

/// The found payments of a payment that people have resolved.
pub async fn settled_by_people(db: &mut Db, of: TransactionId) -> Result<HashSet<String>> {
    let sql = "SELECT object_id FROM found_payment WHERE our_id = $1 AND settled_at IS NOT NULL";
    let rows = db.all(sqlx::query(sql).bind(of.to_string())).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// The unresolved findings for a payment.
pub async fn open_of(db: &mut Db, of: TransactionId) -> Result<Vec<String>> {
    let sql =
        "SELECT object_id FROM found_payment WHERE our_id = $1 AND settled_at IS NULL ORDER BY object_id";
    let rows = db.all(sqlx::query(sql).bind(of.to_string())).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// The number of the payment that a found object names, if it still holds its rewards; the object is resolved with it.
pub async fn names_open(db: &mut Db, object: &str) -> Result<Option<i64>> {
    let sql = format!(
        "SELECT t.number FROM found_payment x JOIN payout_transaction t ON {NAMED_OPEN} \
         WHERE x.object_id = $1 AND x.settled_at IS NULL"
    );
    let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(object.to_owned());
    Ok(db.optional(query).await?.map(|row| row.try_get(0)).transpose()?)
}

/// The vendor account in which an object was found, if known.
pub async fn account_of(db: &mut Db, object: &str) -> Result<Option<String>> {
    let sql = "SELECT vendor_account FROM found_payment WHERE object_id = $1";
    let row = db.optional(sqlx::query(sql).bind(object.to_owned())).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?.flatten())
}

/// Whether a vendor object was found for this payment, resolved or not.
pub async fn was_found(db: &mut Db, of: TransactionId, object: &str) -> Result<bool> {
    let sql = "SELECT 1 FROM found_payment WHERE our_id = $1 AND object_id = $2";
    let query = sqlx::query(sql).bind(of.to_string()).bind(object.to_owned());
    Ok(db.optional(query).await?.is_some())
}

/// A found payment as shown in the list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FoundRow {
    pub found: Found,
    pub found_at: i64,
    /// When, by whom and with what note it was resolved.
    pub settled: Option<(i64, String, String)>,
    /// The number of the payment it is resolved with.
    pub payment: Option<i64>,
    /// Its status at the vendor, and the vendor's term for it, if reported.
    pub stands: Option<(VendorStatus, String)>,
    /// Who resolved it, with what note, before its money came back.
    pub settled_before: Option<(String, String)>,
}

const LISTED: &str = "x.vendor, x.object_id, x.our_id, x.destination, x.amount_minor, x.currency, x.made_at, x.found_at, \
                      x.settled_at, x.settled_by, x.note, t.number, x.reference, x.standing, x.vendor_says";

fn read_listed(row: &AnyRow) -> Result<FoundRow> {
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
    let stands = standing.map(|text| word(VendorStatus::parse(&text), &text)).transpose()?.zip(says);
    Ok(FoundRow {
        found,
        found_at: row.try_get(7)?,
        settled,
        payment: row.try_get(11)?,
        stands,
        settled_before,
    })
}

/// Found payments, unresolved first, up to `limit`.
pub async fn list_found(db: &mut Db, limit: i64) -> Result<Vec<FoundRow>> {
    let sql = format!(
        "SELECT {LISTED} FROM found_payment x \
         LEFT JOIN payout_transaction t ON x.settled_at IS NULL AND {NAMED_OPEN} \
         ORDER BY CASE WHEN x.settled_at IS NULL THEN 0 ELSE 1 END, x.found_at, x.object_id LIMIT $1"
    );
    let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(limit);
    db.all(query).await?.iter().map(read_listed).collect()
}

/// An unresolved found payment by its object id.
pub async fn open_one(db: &mut Db, object: &str) -> Result<Option<FoundRow>> {
    let sql = format!(
        "SELECT {LISTED} FROM found_payment x LEFT JOIN payout_transaction t ON {NAMED_OPEN} \
         WHERE x.object_id = $1 AND x.settled_at IS NULL"
    );
    let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(object.to_owned());
    db.optional(query).await?.as_ref().map(read_listed).transpose()
}

/// Records the PayPal payment ids of found items: item, payment.
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

/// Marks a found payment resolved by a person; 0 if it does not exist or already was.
pub async fn settle_found(tx: &mut Tx, object_id: &str, by: &str, note: &str, now: i64) -> Result<u64> {
    let sql = "UPDATE found_payment SET settled_at = $2, settled_by = $3, note = $4 \
               WHERE object_id = $1 AND settled_at IS NULL";
    let query = sqlx::query(sql).bind(object_id.to_owned()).bind(now).bind(by.to_owned());
    tx.run(query.bind(note.to_owned())).await
}

/// The payees that an unresolved found payment may have paid for rewards still owed here, wherever they are paid now. A
/// found payment that belongs to an open payment here holds that payment instead, since its rewards are in it.
pub async fn held(db: &mut Db) -> Result<HashSet<Payee>> {
    let sql = "SELECT payee FROM held_payee";
    let read = |row: &AnyRow| {
        let payee: String = row.try_get(0)?;
        word(Payee::parse(&payee), &payee)
    };
    db.all(sqlx::query(sql)).await?.iter().map(read).collect()
}

/// The batches that a PayPal account is known to have accepted from this database since then.
pub async fn batches_since(db: &mut Db, account: Option<String>, since: i64) -> Result<Vec<String>> {
    let sql = "SELECT vendor_id FROM submission WHERE created_at >= $1 AND vendor = 'paypal' AND kind = 'batch' \
               AND state = 'accepted' AND vendor_id IS NOT NULL AND tries > 0 AND vendor_account = $2";
    let rows = db.all(sqlx::query(sql).bind(since).bind(account)).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Those of these vendor objects that a known request or attempt produced.
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
