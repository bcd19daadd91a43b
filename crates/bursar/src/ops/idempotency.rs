//! Idempotency keys: a request repeated with the same `Idempotency-Key` gets the first response again and has no second
//! effect.
//!
//! A key is first marked as running, under a lease that is renewed while its request runs ([`running`]); so only a key left
//! behind by a dead process is taken over. The verb stores its response with [`finish`] in its own database transaction, so
//! effect and response are committed together. If the key was taken over in the meantime, that write fails and the whole
//! verb rolls back. The final response, including refusals, is stored with [`keep`]; a response that may differ next time
//! (a 5xx) is dropped with [`forget`].

use std::time::Duration;

use payout::Refusal;

use super::{OpsError, Result};
use crate::app::App;
use crate::store::{Tx, idempotency, meta};
use crate::transact;

/// How long a running request counts as alive without a renewal.
const LEASE_US: i64 = 30_000_000;
/// How often the lease is renewed.
pub const RENEWED_EACH: Duration = Duration::from_secs(10);
/// When old responses were last deleted, and how often that happens.
const SWEPT_AT: &str = "idempotency_swept_at";
const SWEPT_EACH_US: i64 = 3_600_000_000;
/// How long a response is kept.
const KEPT_US: i64 = 30 * 86_400_000_000;

/// A response that can be replayed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reply {
    pub status: u16,
    /// The body's content type; `location` if the body is a redirect target.
    pub content_type: String,
    pub body: String,
}

/// A key that this request holds while it runs.
#[derive(Clone, Debug)]
pub struct HeldKey {
    person: String,
    key: String,
    fence: i64,
}

/// A held key, and how to turn the verb's outcome into a response. Passed to the verb, which calls [`finish`].
pub struct Idempotency<T> {
    held: HeldKey,
    reply: Box<dyn Fn(&T) -> Reply + Send + Sync>,
}

impl<T> Idempotency<T> {
    /// Holds the key of `mark`; `reply` builds the response.
    pub fn new(mark: HeldKey, reply: impl Fn(&T) -> Reply + Send + Sync + 'static) -> Self {
        Self { held: mark, reply: Box::new(reply) }
    }
}

/// The state of a key that was sent.
#[derive(Debug)]
pub enum KeyOutcome {
    /// It is new or was taken over, and this request holds it.
    First(HeldKey),
    Answered(Reply),
    /// It was used for a different request.
    Reused,
    /// Its first request is still running.
    Running,
}

/// Looks up a key, and takes it if it is free or its lease has expired.
pub async fn begin(app: &App, person: &str, key: &str, request_hash: &str) -> Result<KeyOutcome> {
    let now = app.clock.now();
    let lease_until = now + LEASE_US;
    let first = |fence| HeldKey { person: person.to_owned(), key: key.to_owned(), fence };
    transact!(app, |tx| {
        if idempotency::mark(tx, person, key, request_hash, now, lease_until).await? {
            return Ok(KeyOutcome::First(first(1)));
        }
        let Some(kept) = idempotency::kept(tx, person, key).await? else { return Ok(KeyOutcome::Running) };
        if kept.request_hash != request_hash {
            return Ok(KeyOutcome::Reused);
        }
        if let (Some(status), Some(content_type), Some(body)) = (kept.status, kept.content_type, kept.body) {
            let status = u16::try_from(status).unwrap_or(200);
            return Ok(KeyOutcome::Answered(Reply { status, content_type, body }));
        }
        let lapsed = kept.lease_until <= now;
        if lapsed && idempotency::take_over(tx, person, key, kept.fence, lease_until).await? {
            return Ok(KeyOutcome::First(first(kept.fence + 1)));
        }
        Ok(KeyOutcome::Running)
    })
}

/// Runs a request while renewing the lease of its key at this interval ([`RENEWED_EACH`]).
pub async fn running<T>(app: &App, mark: &HeldKey, each: Duration, request: impl Future<Output = T>) -> T {
    let held = async {
        loop {
            tokio::time::sleep(each).await;
            let until = app.clock.now() + LEASE_US;
            let renewed = transact!(app, |tx| {
                Ok(idempotency::renew(tx, &mark.person, &mark.key, mark.fence, until).await?)
            });
            if let Err(error) = renewed {
                tracing::warn!(
                    ?error,
                    "the lease of a running request's idempotency key could not be renewed"
                );
            }
        }
    };
    tokio::select! {
        answer = request => answer,
        () = held => std::future::pending().await,
    }
}

/// Stores the response in the verb's own database transaction. Does nothing without a key.
///
/// # Errors
/// [`OpsError::Conflict`] if another request has taken over the key: that one has the effect, and this one must not.
pub async fn finish<T>(tx: &mut Tx, once: Option<&Idempotency<T>>, outcome: &T) -> Result<()> {
    let Some(once) = once else { return Ok(()) };
    if write(tx, &once.held, true, &(once.reply)(outcome)).await? {
        return Ok(());
    }
    Err(OpsError::Conflict(Refusal::new(
        "idempotency_key_in_use",
        "Another request with this Idempotency-Key is still in progress, so this one did nothing. Retry in a moment to get its answer.",
    )))
}

/// Stores the response as it was sent. If the verb has already stored one, this is the same or a more complete one.
pub async fn keep(app: &App, mark: &HeldKey, reply: &Reply) -> Result<()> {
    transact!(app, |tx| {
        write(tx, mark, false, reply).await?;
        Ok(())
    })
}

/// Releases the key, so that the request can be retried.
pub async fn forget(app: &App, mark: &HeldKey) -> Result<()> {
    transact!(app, |tx| {
        idempotency::forget(tx, &mark.person, &mark.key, mark.fence).await?;
        Ok(())
    })
}

/// Deletes responses older than 30 days; at most once an hour, however often and from wherever it is called.
pub async fn delete_expired(app: &App, now: i64) -> Result<u64> {
    let due = |last: Option<String>| {
        last.and_then(|at| at.parse().ok()).is_none_or(|at: i64| at <= now - SWEPT_EACH_US)
    };
    if !due(meta::get(&mut app.store.read().await?, SWEPT_AT).await?) {
        return Ok(0);
    }
    transact!(app, |tx| {
        meta::set(tx, SWEPT_AT, &now.to_string()).await?;
        Ok(idempotency::forget_old(tx, now - KEPT_US).await?)
    })
}

async fn write(tx: &mut Tx, mark: &HeldKey, first: bool, reply: &Reply) -> Result<bool> {
    let answer = (i64::from(reply.status), reply.content_type.as_str(), reply.body.as_str());
    Ok(idempotency::answer(tx, &mark.person, &mark.key, mark.fence, first, answer).await?)
}
