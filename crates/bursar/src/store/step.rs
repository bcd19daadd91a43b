//! The points of whatever is done to the database, for whoever watches a task from outside: a test that puts another
//! transaction between any two statements, a simulation in which a process dies between any two commits or a statement
//! fails. Where nobody watches nothing waits here. What is deliberately not here: what is done at a point, and what must
//! come of it.

use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::{Notify, Semaphore};

use super::Result;

tokio::task_local! {
    static WATCH: Arc<dyn Watch>;
}

/// Where a task stands with the database.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Point {
    /// A transaction is about to begin.
    Begin,
    /// A statement of a transaction is about to run.
    Statement,
    /// A statement outside of a transaction is about to run.
    Read,
    /// A transaction is about to be committed.
    Commit,
    /// It is committed, and whoever committed it does not know it yet.
    Committed,
}

/// The task goes on when this ends; where it ends in an error, the database is taken to have answered so.
pub type Passing<'a> = Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>>;

/// Whoever is asked at every point.
pub trait Watch: Send + Sync {
    /// A task has come to this point.
    fn pass(&self, at: Point) -> Passing<'_>;
}

/// Runs `future` under watch; what it spawns is not watched.
pub async fn watched<T>(watch: Arc<dyn Watch>, future: impl Future<Output = T>) -> T {
    WATCH.scope(watch, future).await
}

/// Asks whoever watches, if anybody does.
pub(super) async fn at(point: Point) -> Result<()> {
    match WATCH.try_with(Arc::clone) {
        Ok(watch) => watch.pass(point).await,
        Err(_) => Ok(()),
    }
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
        watched(self, future).await
    }

    /// Lets so many more statements go.
    pub fn allow(&self, statements: usize) {
        self.allowed.add_permits(statements);
    }

    /// Returns once what is on the leash waits before a statement.
    pub async fn stopped(&self) {
        self.stopped.notified().await;
    }

    async fn wait(&self) {
        if let Ok(one) = self.allowed.try_acquire() {
            return one.forget();
        }
        self.stopped.notify_one();
        if let Ok(one) = self.allowed.acquire().await {
            one.forget();
        }
    }
}

impl Watch for Walk {
    fn pass(&self, at: Point) -> Passing<'_> {
        Box::pin(async move {
            match at {
                Point::Statement | Point::Commit => self.wait().await,
                Point::Begin | Point::Read | Point::Committed => {}
            }
            Ok(())
        })
    }
}
