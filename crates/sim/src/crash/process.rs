//! Runs `bursar serve` as an operator would, with a supervisor that restarts it. Not here: what ends it (`leader`).

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::task::JoinHandle;

use super::Plan;
use super::leader::Records;
use super::place::Place;

/// How long a process may take to stop when asked.
const STOP: Duration = Duration::from_secs(40);
/// How often to check whether it is alive.
const LOOK: Duration = Duration::from_millis(5);
/// How often a process may exit by itself before it is no longer restarted.
const MOST: usize = 100;
/// The delay before restarting a process that exited by itself.
const PAUSE: Duration = Duration::from_millis(200);

/// How to start a process.
#[derive(Clone)]
pub struct Recipe {
    binary: PathBuf,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
    log: PathBuf,
    /// It may exit by itself, because it cannot work in its environment.
    may_end: bool,
}

impl Recipe {
    /// A node of a place, with its database, vendors and harness socket.
    pub fn of(place: &Place, binary: &Path, node: usize, plan: &Plan) -> Self {
        let arguments = vec![
            "serve".to_owned(),
            format!("--database-url={}", place.database_url),
            format!("--listen={}", place.listen[node]),
            format!("--base-url={}", place.base_url),
            format!("--master-key-file={}", place.key_files[node].display()),
            format!("--stripe-api-base={}", place.vendors_url),
            format!("--paypal-api-base={}", place.vendors_url),
            format!("--paypal-cert-ca={}", place.roots_file.display()),
            "--poll-seconds=1".to_owned(),
            "--log=warn".to_owned(),
        ];
        let socket = place.leader.socket.display().to_string();
        let mut variables = vec![("BURSAR_POINTS_SOCKET".to_owned(), socket)];
        variables.extend(plan.variables.iter().cloned());
        Self { binary: binary.to_owned(), arguments, variables, log: place.log(), may_end: plan.may_end }
    }

    pub fn start(&self) -> Child {
        let log = OpenOptions::new().create(true).append(true).open(&self.log).unwrap();
        Command::new(&self.binary)
            .args(&self.arguments)
            .envs(self.variables.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::from(log))
            .spawn()
            .unwrap_or_else(|error| panic!("{} cannot be started: {error}", self.binary.display()))
    }
}

/// Keeps a process running, as systemd would.
pub struct Keeper {
    child: Arc<Mutex<Child>>,
    stopping: Arc<AtomicBool>,
    ended: Arc<Mutex<Vec<(u32, ExitStatus)>>>,
    task: JoinHandle<()>,
    records: Records,
    may_end: bool,
}

impl Keeper {
    /// Starts a process and restarts it whenever it exits.
    pub fn start(place: &Place, recipe: Recipe) -> Self {
        let may_end = recipe.may_end;
        let child = Arc::new(Mutex::new(recipe.start()));
        let (stopping, ended) = (Arc::<AtomicBool>::default(), Arc::<Mutex<Vec<_>>>::default());
        let task = tokio::spawn(watch(
            recipe,
            child.clone(),
            stopping.clone(),
            ended.clone(),
            place.leader.records(),
        ));
        Self { child, stopping, ended, task, records: place.leader.records(), may_end }
    }

    /// Returns its current process id.
    pub fn pid(&self) -> Box<dyn Fn() -> u32 + Send + Sync> {
        let child = self.child.clone();
        Box::new(move || child.lock().unwrap_or_else(PoisonError::into_inner).id())
    }

    /// Stops it and waits; returns what was wrong with how it ended, now or earlier.
    pub async fn stop(mut self) -> Vec<String> {
        self.stopping.store(true, Ordering::SeqCst);
        signal(self.pid()(), Signal::TERM);
        let mut messages = Vec::new();
        if tokio::time::timeout(STOP, &mut self.task).await.is_err() {
            messages.push(format!("it did not stop in {STOP:?}"));
            let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = child.kill();
            let _ = child.wait();
        }
        for (pid, status) in self.ended.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            if !self.may_end && !self.records.has_killed(*pid) && !status.success() {
                messages.push(format!("the process {pid} ended by itself: {status}"));
            }
        }
        messages
    }
}

pub fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

async fn watch(
    recipe: Recipe,
    child: Arc<Mutex<Child>>,
    stopping: Arc<AtomicBool>,
    ended: Arc<Mutex<Vec<(u32, ExitStatus)>>>,
    records: Records,
) {
    loop {
        let mut by_itself = false;
        {
            let mut child = child.lock().unwrap_or_else(PoisonError::into_inner);
            if let Ok(Some(status)) = child.try_wait() {
                let mut ended = ended.lock().unwrap_or_else(PoisonError::into_inner);
                ended.push((child.id(), status));
                if stopping.load(Ordering::SeqCst) || ended.len() > MOST {
                    return;
                }
                by_itself = !records.has_killed(child.id());
                if !by_itself {
                    *child = recipe.start();
                    continue;
                }
            }
        }
        if by_itself {
            tokio::time::sleep(PAUSE).await;
            *child.lock().unwrap_or_else(PoisonError::into_inner) = recipe.start();
        }
        tokio::time::sleep(LOOK).await;
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.task.abort();
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = child.kill();
        let _ = child.wait();
    }
}
