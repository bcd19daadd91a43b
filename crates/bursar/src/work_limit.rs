//! A concurrency limit for expensive work. Excess callers wait; once too many wait, the next is refused immediately
//! instead of slowing everyone down. Not here: who has to wait.

use tokio::sync::{Semaphore, SemaphorePermit};

/// The slots for one kind of work.
pub struct WorkLimit {
    running: Semaphore,
    taken: Semaphore,
}

pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Too many callers are waiting already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Busy;

/// A slot, held while the work runs.
pub struct WorkPermit<'a> {
    _running: SemaphorePermit<'a>,
    _taken: SemaphorePermit<'a>,
}

impl WorkLimit {
    /// At most `at_once` run while `waiting` more wait.
    pub fn new(at_once: usize, waiting: usize) -> Self {
        Self { running: Semaphore::new(at_once), taken: Semaphore::new(at_once + waiting) }
    }

    pub fn of_cores(waiting: usize) -> Self {
        Self::new(cores(), waiting)
    }

    /// Waits for a slot.
    ///
    /// # Errors
    /// [`Busy`] if too many are waiting already.
    pub async fn take(&self) -> Result<WorkPermit<'_>, Busy> {
        let taken = self.taken.try_acquire().map_err(|_| Busy)?;
        let running = self.running.acquire().await.map_err(|_| Busy)?;
        Ok(WorkPermit { _running: running, _taken: taken })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn so_many_run_so_many_wait_and_the_next_is_told() {
        let turns = WorkLimit::new(1, 2);
        let first = turns.take().await.unwrap();
        let mut waiting = vec![Box::pin(turns.take()), Box::pin(turns.take())];
        for one in &mut waiting {
            assert!(futures::poll!(one).is_pending());
        }
        assert_eq!(turns.take().await.err(), Some(Busy));
        drop(first);
        for one in waiting {
            drop(one.await.unwrap());
        }
        turns.take().await.unwrap();
    }
}
