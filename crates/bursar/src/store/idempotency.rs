//! Idempotency keys: stored responses that are replayed when a request is repeated.

use sqlx::Row as _;

use super::{Db, Result, Tx};

/// A stored key. `status`, `content_type` and `body` are empty while the first request is running.
#[derive(Clone, Debug)]
pub struct StoredReply {
    /// The hash of the request.
    pub request_hash: String,
    /// Until when the running request counts as alive.
    pub lease_until: i64,
    /// The fence of the current holder.
    pub fence: i64,
    /// The response status, once there is one.
    pub status: Option<i64>,
    pub content_type: Option<String>,
    /// The response body, once there is one.
    pub body: Option<String>,
}

/// Marks a key as running unless it already exists.
pub async fn mark(tx: &mut Tx, person: &str, key: &str, hash: &str, now: i64, lease: i64) -> Result<bool> {
    let sql = "INSERT INTO idempotency (person_id, key, request_hash, lease_until, created_at, lease_node, fence) \
               VALUES ($1, $2, $3, $4, $5, $6, 1) ON CONFLICT (person_id, key) DO NOTHING";
    let query = sqlx::query(sql).bind(person.to_owned()).bind(key.to_owned()).bind(hash.to_owned());
    let query = query.bind(lease).bind(now).bind(tx.node.clone());
    Ok(tx.run(query).await? == 1)
}

/// The stored entry of a key.
pub async fn kept(db: &mut Db, person: &str, key: &str) -> Result<Option<StoredReply>> {
    let sql = "SELECT request_hash, lease_until, status, content_type, body, fence FROM idempotency \
               WHERE person_id = $1 AND key = $2";
    let row = db.optional(sqlx::query(sql).bind(person.to_owned()).bind(key.to_owned())).await?;
    row.map(|row| {
        Ok(StoredReply {
            request_hash: row.try_get(0)?,
            lease_until: row.try_get(1)?,
            status: row.try_get(2)?,
            content_type: row.try_get(3)?,
            body: row.try_get(4)?,
            fence: row.try_get(5)?,
        })
    })
    .transpose()
}

/// Takes over a running key whose lease expired or whose process died; `false` if someone else was faster.
pub async fn take_over(tx: &mut Tx, person: &str, key: &str, old_fence: i64, lease: i64) -> Result<bool> {
    let sql = "UPDATE idempotency SET lease_until = $1, lease_node = $5, fence = fence + 1 \
               WHERE person_id = $2 AND key = $3 AND fence = $4 AND status IS NULL";
    let query = sqlx::query(sql).bind(lease).bind(person.to_owned()).bind(key.to_owned()).bind(old_fence);
    let query = query.bind(tx.node.clone());
    Ok(tx.run(query).await? == 1)
}

/// Extends the lease of a running key.
pub async fn renew(tx: &mut Tx, person: &str, key: &str, fence: i64, lease: i64) -> Result<u64> {
    let sql = "UPDATE idempotency SET lease_until = $1 \
               WHERE person_id = $2 AND key = $3 AND fence = $4 AND status IS NULL";
    let query = sqlx::query(sql).bind(lease).bind(person.to_owned()).bind(key.to_owned()).bind(fence);
    tx.run(query).await
}

/// Stores the response; `false` if the lease was lost. The `first` response is committed with the effect and fails if
/// there already is one. The final response overwrites it, because in between a reversal may have been answered or more
/// of the object read.
pub async fn answer(
    tx: &mut Tx,
    person: &str,
    key: &str,
    fence: i64,
    first: bool,
    answer: (i64, &str, &str),
) -> Result<bool> {
    let sql = "UPDATE idempotency SET status = $1, content_type = $2, body = $3 \
               WHERE person_id = $4 AND key = $5 AND fence = $6 AND (status IS NULL OR $7 = 0)";
    let (status, content_type, body) = answer;
    let query = sqlx::query(sql).bind(status).bind(content_type.to_owned()).bind(body.to_owned());
    let query = query.bind(person.to_owned()).bind(key.to_owned()).bind(fence).bind(i64::from(first));
    Ok(tx.run(query).await? == 1)
}

/// Deletes a running key, so that the request can be retried.
pub async fn forget(tx: &mut Tx, person: &str, key: &str, fence: i64) -> Result<u64> {
    let sql = "DELETE FROM idempotency \
               WHERE person_id = $1 AND key = $2 AND fence = $3 AND status IS NULL";
    tx.run(sqlx::query(sql).bind(person.to_owned()).bind(key.to_owned()).bind(fence)).await
}

/// Deletes keys created before `before`.
pub async fn forget_old(tx: &mut Tx, before: i64) -> Result<u64> {
    tx.run(sqlx::query("DELETE FROM idempotency WHERE created_at < $1").bind(before)).await
}
