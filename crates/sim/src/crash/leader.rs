//! The harness side of named points: at each point a process asks here and is allowed on, killed or frozen, or its
//! machine fails. Not here: the points (`bursar::points`), and restarting the process (`process`).

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

use super::trouble::Trouble;

/// What happens to a process at a point.
#[derive(Clone)]
pub enum StrikeAction {
    /// SIGKILL: the process ends at once.
    Kill,
    /// SIGSTOP: it freezes, holding everything it has, for this long.
    Freeze(Duration),
    /// A machine failure for this long.
    Trouble(Arc<dyn Trouble>, Duration),
    /// All processes' clocks are wrong by this many microseconds, for this long.
    WrongClock(i64, Duration),
}

/// What happens when a process reaches a point for the n-th time in its life.
#[derive(Clone)]
pub struct Strike {
    /// Such as `after work::begin::all` or `before POST /v1/transfers`.
    pub point: String,
    /// 1 for the first time; 0 for the next time, whichever it is.
    pub nth: u32,
    pub action: StrikeAction,
}

impl Strike {
    pub fn kill(point: &str, nth: u32) -> Self {
        Self::of(point, nth, StrikeAction::Kill)
    }

    pub fn of(point: &str, nth: u32, deed: StrikeAction) -> Self {
        Self { point: point.to_owned(), nth, action: deed }
    }

    /// How wrong it makes a clock, in microseconds.
    pub fn wrong_us(&self) -> i64 {
        match self.action {
            StrikeAction::WrongClock(us, _) => us.abs(),
            StrikeAction::Kill | StrikeAction::Freeze(_) | StrikeAction::Trouble(..) => 0,
        }
    }
}

impl std::fmt::Display for Strike {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} #{}", self.point, self.nth)
    }
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// How far it has been advanced.
    ahead_us: AtomicI64,
    wrong_us: AtomicI64,
}

#[derive(Default)]
struct State {
    /// The pending strikes, in order; only the first can occur next.
    strikes: VecDeque<Strike>,
    struck: Vec<String>,
    passed: BTreeMap<String, u32>,
    killed: Vec<i32>,
    frozen: Vec<i32>,
    /// The planted fault, or an empty string.
    planted: &'static str,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a visit to a point; returns the strike that is due, if any.
    fn befalls(&self, point: &str, times: u32) -> Option<StrikeAction> {
        let mut state = self.state();
        *state.passed.entry(point.to_owned()).or_default() += 1;
        let due = |strike: &Strike| strike.point == point && (strike.nth == times || strike.nth == 0);
        let due = state.strikes.front().is_some_and(due);
        let strike = if due { state.strikes.pop_front() } else { None }?;
        state.struck.push(strike.to_string());
        Some(strike.action)
    }
}

/// Listens on a socket for the processes under test.
pub struct Leader {
    shared: Arc<Shared>,
    /// The path passed to the processes.
    pub socket: PathBuf,
    task: JoinHandle<()>,
}

impl Leader {
    /// Controls every process that connects, with an optional planted fault and these strikes in order.
    pub fn listen(socket: &Path, strikes: Vec<Strike>, planted: Option<&'static str>) -> Self {
        let listener = UnixListener::bind(socket).unwrap();
        let shared = Arc::<Shared>::default();
        shared.state().strikes = strikes.into();
        shared.state().planted = planted.unwrap_or_default();
        let leading = shared.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(lead(leading.clone(), stream));
            }
        });
        Self { shared, socket: socket.to_owned(), task }
    }

    /// The strikes that occurred, in order.
    pub fn struck(&self) -> Vec<String> {
        self.shared.state().struck.clone()
    }

    /// How often each point was reached.
    pub fn passed(&self) -> BTreeMap<String, u32> {
        self.shared.state().passed.clone()
    }

    /// The record of kills and freezes, for process supervision.
    pub fn records(&self) -> Records {
        Records(self.shared.clone())
    }

    /// From their next point on, all processes' clocks run ahead by this much.
    pub fn set_ahead(&self, us: i64) {
        self.shared.ahead_us.store(us, Ordering::Relaxed);
    }

    /// How far the processes' clocks are ahead of the machine's.
    pub fn ahead_us(&self) -> i64 {
        self.shared.ahead_us.load(Ordering::Relaxed)
    }
}

/// The record of kills and freezes.
pub struct Records(Arc<Shared>);

impl Records {
    /// Whether the harness killed this process.
    pub fn has_killed(&self, pid: u32) -> bool {
        i32::try_from(pid).is_ok_and(|pid| self.0.state().killed.contains(&pid))
    }

    /// Whether the harness froze this process.
    pub fn is_frozen(&self, pid: u32) -> bool {
        i32::try_from(pid).is_ok_and(|pid| self.0.state().frozen.contains(&pid))
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn lead(shared: Arc<Shared>, stream: UnixStream) {
    let Some(pid) = stream.peer_cred().ok().and_then(|who| who.pid()).and_then(Pid::from_raw) else { return };
    let (reading, mut writing) = stream.into_split();
    let mut lines = BufReader::new(reading).lines();
    let mut times: BTreeMap<String, u32> = BTreeMap::new();
    while let Ok(Some(point)) = lines.next_line().await {
        let count = times.entry(point.clone()).or_default();
        *count += 1;
        match shared.befalls(&point, *count) {
            Some(StrikeAction::Kill) => {
                shared.state().killed.push(pid.as_raw_nonzero().get());
                let _ = kill_process(pid, Signal::KILL);
                return;
            }
            Some(StrikeAction::Freeze(lasts)) => {
                let number = pid.as_raw_nonzero().get();
                let _ = kill_process(pid, Signal::STOP);
                shared.state().frozen.push(number);
                tokio::time::sleep(lasts).await;
                shared.state().frozen.retain(|one| *one != number);
                let _ = kill_process(pid, Signal::CONT);
            }
            Some(StrikeAction::Trouble(trouble, lasts)) => {
                trouble.begin();
                tokio::spawn(async move {
                    tokio::time::sleep(lasts).await;
                    trouble.end();
                });
            }
            Some(StrikeAction::WrongClock(by_us, lasts)) => {
                shared.wrong_us.store(by_us, Ordering::Relaxed);
                let shared = shared.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(lasts).await;
                    shared.wrong_us.store(0, Ordering::Relaxed);
                });
            }
            None => {}
        }
        let ahead_us = shared.ahead_us.load(Ordering::Relaxed) + shared.wrong_us.load(Ordering::Relaxed);
        let answer = format!("{ahead_us} {}\n", shared.state().planted);
        if writing.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}
