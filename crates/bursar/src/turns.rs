//! Work that costs much, so many at a time: the others wait for their turn, and when too many wait already, whoever comes
//! next is told at once instead of making everybody slower. What is deliberately not here: who is asked to wait.

use tokio::sync::{Semaphore, SemaphorePermit};

/// The turns of one kind of work.
pub struct Turns {
    running: Semaphore,
    taken: Semaphore,
}

/// How many cores there are.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// So many wait already that another would wait for long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Busy;

/// The work goes on while it is held.
pub struct Turn<'a> {
    _running: SemaphorePermit<'a>,
    _taken: SemaphorePermit<'a>,
}

impl Turns {
    /// So many at a time, while so many may wait.
    pub fn new(at_once: usize, waiting: usize) -> Self {
        Self { running: Semaphore::new(at_once), taken: Semaphore::new(at_once + waiting) }
    }

    pub fn of_cores(waiting: usize) -> Self {
        Self::new(cores(), waiting)
    }

    /// Waits for a turn.
    ///
    /// # Errors
    /// [`Busy`] when too many wait already.
    pub async fn take(&self) -> Result<Turn<'_>, Busy> {
        let taken = self.taken.try_acquire().map_err(|_| Busy)?;
        let running = self.running.acquire().await.map_err(|_| Busy)?;
        Ok(Turn { _running: running, _taken: taken })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn so_many_run_so_many_wait_and_the_next_is_told() {
        let turns = Turns::new(1, 2);
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
