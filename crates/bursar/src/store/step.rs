//! Walking a database transaction statement by statement, so that a test can put another one between any two of them:
//! what two verbs do to one row at the same moment is then tried in every order, and not left to luck. Outside
//! [`Walk::lead`] nothing waits here. What is deliberately not here: what is walked, and what must come of it.

use std::sync::Arc;

use tokio::sync::{Notify, Semaphore};

tokio::task_local! {
    static WALK: Arc<Walk>;
}

/// A leash on whatever writes under it: each statement of a transaction, and its commit, waits to be let go.
pub struct Walk {
    allowed: Semaphore,
    stopped: Notify,
}

impl Default for Walk {
    fn default() -> Self {
        Self { allowed: Semaphore::new(0), stopped: Notify::new() }
    }
}

impl Walk {
    /// Runs `future` on the leash.
    pub async fn lead<T>(self: Arc<Self>, future: impl Future<Output = T>) -> T {
        WALK.scope(self, future).await
    }

    /// Lets so many more statements go.
    pub fn allow(&self, statements: usize) {
        self.allowed.add_permits(statements);
    }

    /// Returns once what is on the leash waits before a statement.
    pub async fn stopped(&self) {
        self.stopped.notified().await;
    }

    async fn pass(&self) {
        if let Ok(one) = self.allowed.try_acquire() {
            return one.forget();
        }
        self.stopped.notify_one();
        if let Ok(one) = self.allowed.acquire().await {
            one.forget();
        }
    }
}

/// Before each statement of a transaction, and before its commit.
pub(super) async fn next() {
    if let Ok(walk) = WALK.try_with(Arc::clone) {
        walk.pass().await;
    }
}
