//! Whose turn it is: what several processes and people do at the same moment, one step of it at a time, in an order that a
//! number draws. A step ends before a database transaction, after its commit, and on both sides of a question to a vendor;
//! there somebody else may go on, a process may die or fall asleep, and at any statement the database may fail. What is
//! deliberately not here: what they do.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};

use bursar::store::StoreError;
use bursar::store::step::{self, Passing, Point, Watch};

use crate::chance::Chance;

tokio::task_local! {
    static PLAYER: Arc<Player>;
}

/// What befalls whoever plays a side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    Goes,
    /// The process dies at its n-th point: what is committed stays, what comes after never happens.
    Dies(u32),
    /// The process stands still from its n-th point on, until it is woken.
    Sleeps(u32),
    /// The database fails at its n-th statement.
    Errs(u32),
}

/// Whoever plays one side.
struct Player {
    fate: Fate,
    /// Nobody else plays on the same process: then others may go first while a vendor is asked. What shares a process shares
    /// its locks, and would wait for whoever holds one and is not let go.
    alone: AtomicBool,
    /// What it does at this moment may hold a lock of the process while a vendor is asked.
    quiet: AtomicBool,
    points: AtomicU32,
    statements: AtomicU32,
    paused: AtomicBool,
    /// A transaction was begun and is not committed, as far as is known: nobody tells of a rollback.
    open: AtomicBool,
    dead: AtomicBool,
    asleep: AtomicBool,
    wakers: Mutex<Vec<Waker>>,
}

impl Player {
    async fn come(&self) {
        // While another branch of it has a transaction open, others would wait for what it holds.
        if self.open.load(Ordering::SeqCst) {
            return;
        }
        let number = self.points.fetch_add(1, Ordering::SeqCst) + 1;
        match self.fate {
            Fate::Dies(at) if at == number => {
                self.dead.store(true, Ordering::SeqCst);
                std::future::pending::<()>().await;
            }
            Fate::Sleeps(at) if at == number => {
                self.asleep.store(true, Ordering::SeqCst);
                poll_fn(|context| {
                    if !self.asleep.load(Ordering::SeqCst) {
                        return Poll::Ready(());
                    }
                    self.wakers().push(context.waker().clone());
                    Poll::Pending
                })
                .await;
            }
            Fate::Goes | Fate::Dies(_) | Fate::Sleeps(_) | Fate::Errs(_) => {}
        }
        self.paused.store(true, Ordering::SeqCst);
        let mut waited = false;
        poll_fn(|context| {
            if std::mem::replace(&mut waited, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    fn wakers(&self) -> std::sync::MutexGuard<'_, Vec<Waker>> {
        self.wakers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stopped(&self) -> bool {
        self.dead.load(Ordering::SeqCst) || self.asleep.load(Ordering::SeqCst)
    }
}

impl Watch for Player {
    fn pass(&self, at: Point) -> Passing<'_> {
        Box::pin(async move {
            match at {
                Point::Begin => {
                    self.come().await;
                    self.open.store(true, Ordering::SeqCst);
                }
                Point::Committed => {
                    self.open.store(false, Ordering::SeqCst);
                    self.come().await;
                }
                Point::Statement | Point::Read | Point::Commit => {
                    let number = self.statements.fetch_add(1, Ordering::SeqCst) + 1;
                    if self.fate == Fate::Errs(number) {
                        let broken = std::io::Error::other("the database fails, as was drawn");
                        return Err(StoreError::Db(sqlx::Error::Io(broken)));
                    }
                }
            }
            Ok(())
        })
    }
}

/// Whoever is on the way to a vendor, or back, lets somebody else go first.
pub async fn point() {
    if let Ok(player) = PLAYER.try_with(Arc::clone)
        && player.alone.load(Ordering::SeqCst)
        && !player.quiet.load(Ordering::SeqCst)
    {
        player.come().await;
    }
}

/// Does something in which nobody goes first while a vendor is asked: a webhook is verified by one at a time, and whoever
/// delivers the next one, also to a process that stands still, would wait for ever.
pub async fn quietly<T>(doing: impl Future<Output = T>) -> T {
    let player = PLAYER.try_with(Arc::clone).ok();
    let quiet = |on| player.iter().for_each(|player| player.quiet.store(on, Ordering::SeqCst));
    quiet(true);
    let done = doing.await;
    quiet(false);
    done
}

/// What one of them does, as far as it has come.
pub struct Side {
    process: usize,
    player: Arc<Player>,
    doing: Pin<Box<dyn Future<Output = String> + Send>>,
}

pub enum End {
    /// It came to its end, which is told.
    Done(String),
    Died,
    /// The process stands still, and goes on when it is woken.
    Asleep(Side),
}

impl Side {
    /// Somebody who does this on a process, and what befalls it.
    pub fn new(process: usize, fate: Fate, doing: impl Future<Output = String> + Send + 'static) -> Self {
        let player = Arc::new(Player {
            fate,
            alone: AtomicBool::new(true),
            quiet: AtomicBool::new(false),
            points: AtomicU32::new(0),
            statements: AtomicU32::new(0),
            paused: AtomicBool::new(false),
            open: AtomicBool::new(false),
            dead: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            wakers: Mutex::default(),
        });
        let watch: Arc<dyn Watch> = Arc::<Player>::clone(&player);
        let doing = PLAYER.scope(Arc::clone(&player), step::watched(watch, doing));
        Self { process, player, doing: Box::pin(doing) }
    }

    pub fn wake(&self) {
        self.player.asleep.store(false, Ordering::SeqCst);
        self.player.wakers().drain(..).for_each(Waker::wake);
    }
}

/// Plays all sides to their ends, one step at a time; the number draws whose step is next.
pub async fn together(sides: Vec<Side>, turns: u64) -> Vec<End> {
    let mut chance = Chance::new(turns);
    for side in &sides {
        let alone = sides.iter().filter(|other| other.process == side.process).count() == 1;
        side.player.alone.store(alone, Ordering::SeqCst);
    }
    let mut ends: BTreeMap<usize, End> = BTreeMap::new();
    let mut playing: Vec<(usize, Side)> = sides.into_iter().enumerate().collect();
    let mut current = None;
    poll_fn(|context| {
        loop {
            if playing.is_empty() {
                return Poll::Ready(());
            }
            let at = current.unwrap_or_else(|| chance.below(playing.len()));
            current = Some(at);
            let (number, side) = &mut playing[at];
            let number = *number;
            match side.doing.as_mut().poll(context) {
                Poll::Ready(told) => {
                    ends.insert(number, End::Done(told));
                    playing.remove(at);
                }
                Poll::Pending if side.player.stopped() => {
                    // With it whatever else its process was doing.
                    let (process, dead) = (side.process, side.player.dead.load(Ordering::SeqCst));
                    let (stopped, others): (Vec<_>, Vec<_>) = std::mem::take(&mut playing)
                        .into_iter()
                        .partition(|(_, side)| side.process == process);
                    playing = others;
                    for (number, side) in stopped {
                        ends.insert(number, if dead { End::Died } else { End::Asleep(side) });
                    }
                }
                Poll::Pending if side.player.paused.swap(false, Ordering::SeqCst) => {}
                Poll::Pending => return Poll::Pending,
            }
            current = None;
        }
    })
    .await;
    ends.into_values().collect()
}
