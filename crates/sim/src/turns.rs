//! Deterministic interleaving: several processes' and people's actions run one step at a time, in an order derived from
//! a seed. A step ends before a database transaction, after its commit, and on both sides of a vendor call. There
//! another side may continue, a process may die or stall, and any statement may fail. Not here: the actions themselves.

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

/// What happens to the process that runs a side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    Goes,
    /// It dies at its n-th point: what is committed stays, and nothing after it happens.
    Dies(u32),
    /// It stalls at its n-th point until woken.
    Sleeps(u32),
    /// The database fails at its n-th statement.
    Errs(u32),
}

/// The state of one running side.
struct Player {
    fate: Fate,
    /// It is the only side on its process, so others may run during a vendor call. Sides on the same process share
    /// locks, and one would wait for another that is not scheduled.
    alone: AtomicBool,
    /// It may hold a process-wide lock during a vendor call right now.
    quiet: AtomicBool,
    points: AtomicU32,
    statements: AtomicU32,
    paused: AtomicBool,
    /// A transaction was started and not committed, as far as known; rollbacks are not reported.
    open: AtomicBool,
    dead: AtomicBool,
    asleep: AtomicBool,
    wakers: Mutex<Vec<Waker>>,
}

impl Player {
    async fn come(&self) {
        // While another branch has a transaction open, others would wait for its locks.
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

/// Lets another side run, before or after a vendor call.
pub async fn point() {
    if let Ok(player) = PLAYER.try_with(Arc::clone)
        && player.alone.load(Ordering::SeqCst)
        && !player.quiet.load(Ordering::SeqCst)
    {
        player.come().await;
    }
}

/// Runs something during which no other side may run at a vendor call: only one webhook is verified at a time, and the
/// next delivery, even to a stalled process, would wait forever.
pub async fn quietly<T>(doing: impl Future<Output = T>) -> T {
    let player = PLAYER.try_with(Arc::clone).ok();
    let quiet = |on| player.iter().for_each(|player| player.quiet.store(on, Ordering::SeqCst));
    quiet(true);
    let done = doing.await;
    quiet(false);
    done
}

/// One side's work in progress.
pub struct Side {
    process: usize,
    player: Arc<Player>,
    doing: Pin<Box<dyn Future<Output = String> + Send>>,
}

pub enum End {
    /// It finished, with this result.
    Done(String),
    Died,
    /// The process stalled, and continues when woken.
    Asleep(Side),
}

impl Side {
    /// A side on a process, with its fate.
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

/// Runs all sides to completion one step at a time; `turns` seeds the order.
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
                Poll::Ready(message) => {
                    ends.insert(number, End::Done(message));
                    playing.remove(at);
                }
                Poll::Pending if side.player.stopped() => {
                    // The other sides of the same process stop with it.
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
