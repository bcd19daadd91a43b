//! Vendor events: stored before they are acknowledged, linked to their transaction, applied once.

use payout::ids::TransactionId;
use payout::money::Vendor;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Db, MOST_VALUES, Result, Rows, Tx, Value, Where, word};

/// A verified event to store.
#[derive(Clone, Debug)]
pub struct New {
    /// Our id.
    pub id: String,
    pub vendor: Vendor,
    /// The endpoint that received it.
    pub endpoint: &'static str,
    /// The vendor's id.
    pub event_id: String,
    /// The type in the vendor's own terms.
    pub event_type: String,
    pub account: Option<String>,
    /// The object used to match it: a transfer, a payout, a PayPal batch.
    pub object_id: Option<String>,
    /// The raw bytes as received.
    pub body: String,
    /// The headers that were verified, as JSON.
    pub headers: String,
    pub received_at: i64,
}

/// Stores events and skips duplicates; returns how many were new.
pub async fn store(tx: &mut Tx, events: &[New]) -> Result<u64> {
    let mut rows = Rows::default();
    for event in events {
        let delivery = if payout::planted::on("no_event_dedupe") { event.id.as_str() } else { "" };
        rows.push([
            event.id.as_str().into(),
            event.vendor.as_str().into(),
            event.endpoint.into(),
            event.event_id.as_str().into(),
            format!("{}{delivery}", event.event_type).into(),
            event.account.clone().into(),
            event.object_id.clone().into(),
            event.body.as_str().into(),
            event.headers.as_str().into(),
            event.received_at.into(),
        ]);
    }
    let sql = "INSERT INTO vendor_event (id, vendor, endpoint, event_id, event_type, account, object_id, body, \
               headers, received_at) VALUES {rows} ON CONFLICT (vendor, event_id, event_type) DO NOTHING";
    tx.bulk(sql, &[], rows).await
}

/// The type of a stored event whose signature is valid but whose body cannot be parsed.
pub const UNREADABLE: &str = "unreadable";

/// A stored event that has not been processed.
#[derive(Clone, Debug)]
pub struct PendingEvent {
    /// Our id.
    pub id: String,
    pub vendor: Vendor,
    /// The endpoint that received it.
    pub endpoint: String,
    /// The type in the vendor's own terms.
    pub event_type: String,
    pub account: Option<String>,
    /// The object used to match it.
    pub object_id: Option<String>,
    /// The raw bytes as received.
    pub body: String,
}

/// Unprocessed events, oldest first: as many as fit into `bytes` in total, and at least one.
pub async fn waiting(db: &mut Db, limit: i64, bytes: i64) -> Result<Vec<PendingEvent>> {
    let sql = "SELECT id, CAST(OCTET_LENGTH(body) AS BIGINT) FROM vendor_event \
               WHERE linked_at IS NULL AND parked_at IS NULL AND applied_at IS NULL \
               ORDER BY received_at, id LIMIT $1";
    let (mut ids, mut sum) = (Vec::new(), 0_i64);
    for row in db.all(sqlx::query(sql).bind(limit)).await? {
        sum = sum.saturating_add(row.try_get(1)?);
        if sum > bytes && !ids.is_empty() {
            break;
        }
        ids.push(row.try_get::<String, _>(0)?);
    }
    let read = |row: &AnyRow| -> Result<PendingEvent> {
        let vendor: String = row.try_get(1)?;
        Ok(PendingEvent {
            id: row.try_get(0)?,
            vendor: word(Vendor::parse(&vendor), &vendor)?,
            endpoint: row.try_get(2)?,
            event_type: row.try_get(3)?,
            account: row.try_get(4)?,
            object_id: row.try_get(5)?,
            body: row.try_get(6)?,
        })
    };
    let mut found = Vec::new();
    for some in ids.chunks(MOST_VALUES) {
        let mut conditions = Where::default();
        conditions.among("id", some.iter().map(|id| Value::from(id.as_str())));
        let sql = "SELECT id, vendor, endpoint, event_type, account, object_id, body FROM vendor_event {where} \
                   ORDER BY received_at, id";
        for row in db.all(conditions.query(sql)).await? {
            found.push(read(&row)?);
        }
    }
    Ok(found)
}

/// Whether there are events to process: unprocessed ones, or ones parked since this moment.
pub async fn any_to_look_at(db: &mut Db, parked_since: i64) -> Result<bool> {
    let sql = "SELECT 1 WHERE EXISTS (SELECT 1 FROM vendor_event \
               WHERE linked_at IS NULL AND parked_at IS NULL AND applied_at IS NULL) \
               OR EXISTS (SELECT 1 FROM vendor_event \
               WHERE parked_at >= $1 AND parked_at IS NOT NULL AND linked_at IS NULL AND applied_at IS NULL)";
    Ok(db.optional(sqlx::query(sql).bind(parked_since)).await?.is_some())
}

/// The transactions with an attempt under one of these vendor ids, with the destination that must match: vendor id,
/// transaction, destination.
pub async fn by_vendor_id(
    db: &mut Db,
    vendor: Vendor,
    ids: &[String],
) -> Result<Vec<(String, TransactionId, String)>> {
    let mut found = Vec::new();
    for some in ids.chunks(MOST_VALUES) {
        let mut conditions = Where::default();
        conditions.and("t.vendor = ?", [Value::from(vendor.as_str())]);
        conditions.among("a.vendor_id", some.iter().map(|id| Value::from(id.as_str())));
        let sql = "SELECT a.vendor_id, a.transaction_id, t.destination FROM attempt a \
                   JOIN payout_transaction t ON t.id = a.transaction_id {where}";
        found.extend(db.all(conditions.query(sql)).await?);
    }
    let read = |row: &AnyRow| {
        let id: String = row.try_get(1)?;
        Ok((row.try_get(0)?, word(TransactionId::parse(&id), &id)?, row.try_get(2)?))
    };
    found.iter().map(read).collect()
}

/// The transactions in a PayPal batch.
pub async fn by_paypal_batch(db: &mut Db, payout_batch_id: &str) -> Result<Vec<TransactionId>> {
    let sql = "SELECT a.transaction_id FROM attempt a JOIN submission s ON s.id = a.submission_id \
               WHERE s.vendor_id = $1 AND s.vendor = 'paypal'";
    let read = |row: &AnyRow| {
        let id: String = row.try_get(0)?;
        word(TransactionId::parse(&id), &id)
    };
    db.all(sqlx::query(sql).bind(payout_batch_id.to_owned())).await?.iter().map(read).collect()
}

/// Links events to their transactions, so that the vendor is asked about those now.
pub async fn link(tx: &mut Tx, links: &[(String, TransactionId)], now: i64) -> Result<()> {
    let mut rows = Rows::default();
    for (event, transaction) in links {
        rows.push([event.as_str().into(), transaction.to_string().into()]);
    }
    let sql = "WITH v (id, transaction_id) AS (VALUES {rows}) \
               UPDATE vendor_event SET transaction_id = v.transaction_id, linked_at = $1 \
               FROM v WHERE vendor_event.id = v.id AND vendor_event.applied_at IS NULL";
    tx.bulk(sql, &[now.into()], rows).await?;
    Ok(())
}

/// Parks events about objects we do not know yet: our own request's answer may still be on its way.
pub async fn park(tx: &mut Tx, ids: &[String], now: i64) -> Result<()> {
    let sql = "UPDATE vendor_event SET parked_at = $1 WHERE id IN ({ids}) AND linked_at IS NULL";
    tx.among(sql, &[now.into()], ids.iter().cloned()).await?;
    Ok(())
}

/// Unparks events, including those set aside, whose object has just become known, if their body is still kept. Returns
/// how many.
pub async fn unpark(tx: &mut Tx, objects: &[String]) -> Result<u64> {
    let sql = "UPDATE vendor_event SET parked_at = NULL, applied_at = NULL, effect = NULL \
               WHERE parked_at IS NOT NULL AND linked_at IS NULL AND body_hash IS NULL AND object_id IN ({ids})";
    tx.among(sql, &[], objects.iter().cloned()).await
}

/// Unparks events parked since this moment whose object turned out to be ours. Returns how many. Matches Stripe's by
/// attempt only: if only a submission knows the object, it was called not made and its money returned.
pub async fn unpark_known(tx: &mut Tx, since: i64) -> Result<u64> {
    let sql = "UPDATE vendor_event SET parked_at = NULL WHERE parked_at >= $1 AND parked_at IS NOT NULL \
               AND linked_at IS NULL AND applied_at IS NULL AND (EXISTS (SELECT 1 FROM attempt a WHERE a.vendor_id = vendor_event.object_id) \
               OR (vendor = 'paypal' AND EXISTS (SELECT 1 FROM submission s WHERE s.vendor_id = vendor_event.object_id)))";
    tx.run(sqlx::query(sql).bind(since)).await
}

/// Whether any event was parked before this moment and has not been set aside.
pub async fn any_parked_before(db: &mut Db, before: i64) -> Result<bool> {
    let sql = "SELECT 1 FROM vendor_event WHERE parked_at < $1 AND parked_at IS NOT NULL \
               AND linked_at IS NULL AND applied_at IS NULL LIMIT 1";
    Ok(db.optional(sqlx::query(sql).bind(before)).await?.is_some())
}

/// Sets aside at most `limit` events parked before this moment: their object is not ours. Returns how many.
pub async fn lay_aside(tx: &mut Tx, before: i64, now: i64, limit: i64) -> Result<u64> {
    let sql = "UPDATE vendor_event SET applied_at = $2, effect = 'about an object that is not ours' \
               WHERE id IN (SELECT id FROM vendor_event WHERE parked_at < $1 AND parked_at IS NOT NULL \
               AND linked_at IS NULL AND applied_at IS NULL ORDER BY parked_at, id LIMIT $3)";
    tx.run(sqlx::query(sql).bind(before).bind(now).bind(limit)).await
}

/// Marks events as applied, with what they changed.
pub async fn mark_applied(tx: &mut Tx, effects: &[(String, String)], now: i64) -> Result<()> {
    let mut rows = Rows::default();
    for (id, effect) in effects {
        rows.push([id.as_str().into(), effect.as_str().into()]);
    }
    let sql = "WITH v (id, effect) AS (VALUES {rows}) \
               UPDATE vendor_event SET applied_at = $1, effect = v.effect FROM v WHERE vendor_event.id = v.id";
    tx.bulk(sql, &[now.into()], rows).await?;
    Ok(())
}

/// A linked event that the next answer about its transaction will settle.
#[derive(Clone, Debug)]
pub struct LinkedEvent {
    /// Our id.
    pub id: String,
    pub vendor: Vendor,
    /// The vendor's id.
    pub event_id: String,
    pub event_type: String,
    /// The object it is about.
    pub object_id: Option<String>,
    /// The raw bytes, where the columns lack the details: PayPal's events.
    pub body: Option<String>,
    pub transaction: TransactionId,
    /// When it was linked to the transaction.
    pub linked_at: i64,
}

/// Unapplied events linked to these transactions before `before`, the time of the vendor query.
pub async fn linked(db: &mut Db, transactions: &[TransactionId], before: i64) -> Result<Vec<LinkedEvent>> {
    let mut found = Vec::new();
    for some in transactions.chunks(MOST_VALUES) {
        let mut conditions = Where::default();
        conditions
            .and("linked_at IS NOT NULL AND applied_at IS NULL AND linked_at <= ?", [Value::from(before)]);
        conditions.among("transaction_id", some.iter().map(|id| Value::from(id.to_string())));
        let sql = "SELECT id, event_id, event_type, transaction_id, linked_at, vendor, object_id, \
                   CASE WHEN vendor = 'paypal' THEN body END FROM vendor_event {where} ORDER BY received_at, id";
        found.extend(db.all(conditions.query(sql)).await?);
    }
    let read = |row: &AnyRow| {
        let (id, vendor): (String, String) = (row.try_get(3)?, row.try_get(5)?);
        Ok(LinkedEvent {
            id: row.try_get(0)?,
            vendor: word(Vendor::parse(&vendor), &vendor)?,
            object_id: row.try_get(6)?,
            body: row.try_get(7)?,
            event_id: row.try_get(1)?,
            event_type: row.try_get(2)?,
            transaction: word(TransactionId::parse(&id), &id)?,
            linked_at: row.try_get(4)?,
        })
    };
    found.iter().map(read).collect()
}

/// The objects named by unapplied events linked to these payments, each with its payment.
pub async fn objects(db: &mut Db, transactions: &[TransactionId]) -> Result<Vec<(TransactionId, String)>> {
    let mut found = Vec::new();
    for some in transactions.chunks(MOST_VALUES) {
        let mut conditions = Where::default();
        conditions.and("linked_at IS NOT NULL AND applied_at IS NULL AND object_id IS NOT NULL", []);
        conditions.among("transaction_id", some.iter().map(|id| Value::from(id.to_string())));
        found.extend(
            db.all(conditions.query("SELECT transaction_id, object_id FROM vendor_event {where}")).await?,
        );
    }
    let read = |row: &AnyRow| {
        let id: String = row.try_get(0)?;
        Ok((word(TransactionId::parse(&id), &id)?, row.try_get(1)?))
    };
    found.iter().map(read).collect()
}

/// The number of events that are unprocessed, linked but unapplied, and parked.
pub async fn backlog(db: &mut Db) -> Result<(i64, i64, i64)> {
    let sql = "SELECT COUNT(CASE WHEN linked_at IS NULL AND parked_at IS NULL THEN 1 END), \
               COUNT(CASE WHEN linked_at IS NOT NULL THEN 1 END), \
               COUNT(CASE WHEN parked_at IS NOT NULL AND linked_at IS NULL THEN 1 END) \
               FROM vendor_event WHERE applied_at IS NULL";
    let row = db.one(sqlx::query(sql)).await?;
    Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))
}

/// An event as shown in the list.
#[derive(Clone, Debug)]
pub struct EventRow {
    /// Our id.
    pub id: String,
    pub vendor: Vendor,
    /// The vendor's id.
    pub event_id: String,
    pub event_type: String,
    /// The object it is about.
    pub object_id: Option<String>,
    pub received_at: i64,
    /// The number of its transaction.
    pub transaction: Option<i64>,
    /// Since when it has waited for an object we do not know.
    pub parked_at: Option<i64>,
    /// When it was applied, and what it changed.
    pub applied: Option<(i64, String)>,
}

#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub vendor: Option<Vendor>,
    /// Events whose type contains this.
    pub kind: Option<String>,
    /// Events that belong to no payment of ours.
    pub without_payment: bool,
    /// One event, by our id.
    pub id: Option<String>,
}

/// Events, newest first; `before` is the page cursor: the time and id of the last row.
pub async fn newest(
    db: &mut Db,
    filter: &Filter,
    before: Option<(i64, String)>,
    limit: i64,
) -> Result<Vec<EventRow>> {
    let mut conditions = Where::default();
    if let Some(vendor) = filter.vendor {
        conditions.and("e.vendor = ?", [Value::from(vendor.as_str())]);
    }
    if let Some(kind) = &filter.kind {
        conditions.and("e.event_type LIKE ?", [Value::from(format!("%{kind}%"))]);
    }
    if let Some(id) = &filter.id {
        conditions.and("e.id = ?", [Value::from(id.as_str())]);
    }
    if filter.without_payment {
        conditions.and("e.transaction_id IS NULL", []);
    }
    if let Some((at, id)) = before {
        conditions.and("(e.received_at, e.id) < (?, ?)", [Value::from(at), Value::from(id)]);
    }
    let sql = format!(
        "SELECT e.id, e.vendor, e.event_id, e.event_type, e.object_id, e.received_at, t.number, e.parked_at, \
         e.applied_at, e.effect FROM vendor_event e \
         LEFT JOIN payout_transaction t ON t.id = e.transaction_id {{where}} \
         ORDER BY e.received_at DESC, e.id DESC LIMIT {limit}"
    );
    let read = |row: &AnyRow| {
        let vendor: String = row.try_get(1)?;
        let (at, effect): (Option<i64>, Option<String>) = (row.try_get(8)?, row.try_get(9)?);
        Ok(EventRow {
            id: row.try_get(0)?,
            vendor: word(Vendor::parse(&vendor), &vendor)?,
            event_id: row.try_get(2)?,
            event_type: row.try_get(3)?,
            object_id: row.try_get(4)?,
            received_at: row.try_get(5)?,
            transaction: row.try_get(6)?,
            parked_at: row.try_get(7)?,
            applied: at.map(|at| (at, effect.unwrap_or_default())),
        })
    };
    db.all(conditions.query(&sql)).await?.iter().map(read).collect()
}

/// The recorded effects of applied events, newest first, for the events page.
pub async fn effects(db: &mut Db) -> Result<Vec<String>> {
    let sql = "SELECT effect FROM vendor_event WHERE effect IS NOT NULL ORDER BY received_at DESC, id DESC LIMIT 200";
    db.all(sqlx::query(sql)).await?.iter().map(|row| Ok(row.try_get(0)?)).collect()
}
