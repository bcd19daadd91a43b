//! Active leases: extended until their answers are recorded. Not here: taking them (`store::submissions`), and what
//! they are for (`send`).

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::Work;
use crate::store::submissions::{self, Submission};
use crate::transact;

/// The lease duration. It is longer than a request can take, so nobody else sends meanwhile.
pub(super) const LEASE_US: i64 = 30_000_000;
/// How often an active lease is extended.
const RENEWED_EACH: Duration = Duration::from_secs(10);

/// Active leases, extended until their answers are recorded.
pub(super) struct Leases {
    pub(super) ends: AtomicI64,
    held: Mutex<HashMap<String, i64>>,
}

impl Leases {
    pub(super) fn of(leased: &[Submission], ends: i64) -> Self {
        let held = leased.iter().map(|one| (one.id.clone(), one.fence)).collect();
        Self { ends: AtomicI64::new(ends), held: Mutex::new(held) }
    }

    fn held(&self) -> Vec<(String, i64)> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.iter().map(|(id, fence)| (id.clone(), *fence)).collect()
    }

    pub(super) fn recorded(&self, ids: &[&str]) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|id, _| !ids.contains(&id.as_str()));
    }

    /// Never returns. If another worker took over a lease, the expiry is no longer extended, so the rest of the pass is
    /// not sent.
    pub(super) async fn renew(&self, work: &Work) {
        loop {
            tokio::time::sleep(RENEWED_EACH).await;
            let (app, held) = (&work.app, self.held());
            let until = app.clock.now() + LEASE_US;
            let renewed = transact!(app, |tx| { Ok(submissions::renew(tx, &held, until).await?) });
            match renewed {
                Ok(count) if count == held.len() as u64 => self.ends.store(until, Ordering::Release),
                Ok(_) => tracing::warn!("another worker took a submission over that was still in use here"),
                Err(error) => tracing::warn!(?error, "leases in use could not be made longer"),
            }
        }
    }
}
