//! Hooks around every database operation, for tests that observe a task from outside: one test interleaves another
//! transaction between any two statements, and the simulation kills a process between any two commits or makes a
//! statement fail. Without an observer they do nothing. Not here: what happens at a hook, and what must result from it.

use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::{Notify, Semaphore};

use super::Result;

tokio::task_local! {
    static WATCH: Arc<dyn Watch>;
}

/// A task's position relative to the database.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Point {
    /// A transaction is about to begin.
    Begin,
    /// A statement of a transaction is about to run.
    Statement,
    /// A statement outside a transaction is about to run.
    Read,
    /// A transaction is about to be committed.
    Commit,
    /// It is committed, but the caller does not know yet.
    Committed,
}

/// The task continues when this completes; an error counts as the database's answer.
pub type Passing<'a> = Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>>;

/// An observer that is called at every hook.
pub trait Watch: Send + Sync {
    /// Called when a task reaches this point.
    fn pass(&self, at: Point) -> Passing<'_>;
}

/// Runs `future` under an observer; tasks it spawns are not observed.
pub async fn watched<T>(watch: Arc<dyn Watch>, future: impl Future<Output = T>) -> T {
    WATCH.scope(watch, future).await
}

/// Calls the observer, if there is one.
pub(super) async fn at(point: Point) -> Result<()> {
    match WATCH.try_with(Arc::clone) {
        Ok(watch) => watch.pass(point).await,
        Err(_) => Ok(()),
    }
}

/// Step-by-step control of a writer: each statement of its transaction, and its commit, waits for permission.
pub struct StepGate {
    allowed: Semaphore,
    stopped: Notify,
}

impl Default for StepGate {
    fn default() -> Self {
        Self { allowed: Semaphore::new(0), stopped: Notify::new() }
    }
}

impl StepGate {
    /// Runs `future` step by step.
    pub async fn lead<T>(self: Arc<Self>, future: impl Future<Output = T>) -> T {
        watched(self, future).await
    }

    /// Allows this many more statements to run.
    pub fn allow(&self, statements: usize) {
        self.allowed.add_permits(statements);
    }

    /// Returns once the task waits before a statement.
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

impl Watch for StepGate {
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
