//! Time, CPU time and memory as reported by the machine, in whole microseconds and kibibytes.
//!
//! CPU time comes in kernel ticks of 10 ms, so a measurement should take a second or more.
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock; this is where")]

use std::fs;
use std::sync::OnceLock;
use std::time::Instant;

/// The kernel's accounting tick, in microseconds.
const TICK_US: u64 = 10_000;

/// Microseconds since the program began.
pub fn now_us() -> u64 {
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    u64::try_from(BEGAN.get_or_init(Instant::now).elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// CPU time by consumer, in microseconds.
#[derive(Clone, Copy, Default, Debug)]
pub struct Cpu {
    /// Bursar: this process without the two below.
    pub bursar: u64,
    pub client: u64,
    pub vendors: u64,
    /// The database server, if it runs on this machine.
    pub database: u64,
    /// Everything else on this machine.
    pub elsewhere: u64,
}

/// The result of one measurement.
#[derive(Clone, Default, Debug)]
pub struct Measured {
    /// How many operations were done.
    pub units: u64,
    /// The total duration in microseconds.
    pub wall_us: u64,
    /// The duration of each step, sorted: a request, or a pass of a loop.
    pub steps_us: Vec<u64>,
    pub cpu: Cpu,
    /// The peak memory of this process during it.
    pub peak_kib: u64,
}

impl Measured {
    pub fn rate(&self) -> u64 {
        self.units * 1_000_000 / self.wall_us.max(1)
    }

    /// The duration that `percent` percent of the steps did not exceed.
    pub fn percentile_us(&self, percent: usize) -> u64 {
        let last = self.steps_us.len().saturating_sub(1);
        self.steps_us.get(last * percent / 100).copied().unwrap_or(0)
    }
}

/// A measurement that is in progress.
pub struct Meter {
    began_us: u64,
    cpu: Cpu,
    server: Option<u32>,
}

impl Meter {
    /// Starts it; `server` is the process id of a database server on this machine.
    pub fn start(server: Option<u32>) -> Self {
        // Reset the peak; if the kernel does not allow it, the peak covers the whole run.
        let _ = fs::write("/proc/self/clear_refs", "5");
        Self { cpu: used(server), began_us: now_us(), server }
    }

    /// Ends it, given the number of operations and the duration of each step.
    pub fn stop(self, units: usize, mut steps_us: Vec<u64>) -> Measured {
        let wall_us = now_us() - self.began_us;
        let (is, was) = (used(self.server), self.cpu);
        steps_us.sort_unstable();
        Measured {
            units: units as u64,
            wall_us,
            steps_us,
            cpu: Cpu {
                bursar: is.bursar.saturating_sub(was.bursar),
                client: is.client.saturating_sub(was.client),
                vendors: is.vendors.saturating_sub(was.vendors),
                database: is.database.saturating_sub(was.database),
                elsewhere: is.elsewhere.saturating_sub(was.elsewhere),
            },
            peak_kib: status_kib("VmHWM:"),
        }
    }
}

fn used(server: Option<u32>) -> Cpu {
    let own = ticks("/proc/self/stat").map_or(0, |(_, _, ticks)| ticks);
    let (mut client, mut vendors) = (0, 0);
    for (name, _, ticks) in each("/proc/self/task") {
        match name.as_str() {
            "client" => client += ticks,
            "vendors" => vendors += ticks,
            _ => {}
        }
    }
    let is_server = |pid: u32, parent: u32| server.is_some_and(|server| pid == server || parent == server);
    let database = match server {
        Some(_) => {
            let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
            let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
            let found = pids.filter_map(|pid| Some((pid, ticks(&format!("/proc/{pid}/stat"))?)));
            found
                .filter(|(pid, (_, parent, _))| is_server(*pid, *parent))
                .map(|(_, (_, _, ticks))| ticks)
                .sum()
        }
        None => 0,
    };
    let all = machine_ticks();
    Cpu {
        bursar: own.saturating_sub(client + vendors) * TICK_US,
        client: client * TICK_US,
        vendors: vendors * TICK_US,
        database: database * TICK_US,
        elsewhere: all.saturating_sub(own + database) * TICK_US,
    }
}

/// The name, parent and CPU ticks of every task in a folder of `/proc`.
fn each(folder: &str) -> Vec<(String, u32, u64)> {
    let tasks = fs::read_dir(folder).into_iter().flatten().flatten();
    tasks.filter_map(|task| ticks(&task.path().join("stat").display().to_string())).collect()
}

/// The name is in parentheses and may contain anything; after it come state and parent, and from the twelfth field on
/// the ticks in user and kernel mode.
fn ticks(path: &str) -> Option<(String, u32, u64)> {
    let text = fs::read_to_string(path).ok()?;
    let (before, after) = text.rsplit_once(") ")?;
    let name = before.split_once('(')?.1.to_owned();
    let fields: Vec<&str> = after.split(' ').collect();
    let field = |at: usize| fields.get(at)?.parse::<u64>().ok();
    Some((name, fields.get(1)?.parse().ok()?, field(11)? + field(12)?))
}

/// The ticks in which any processor of this machine was busy.
fn machine_ticks() -> u64 {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = text.lines().next().unwrap_or_default();
    // user nice system idle iowait irq softirq steal
    let fields: Vec<u64> = line.split_whitespace().skip(1).filter_map(|field| field.parse().ok()).collect();
    [0, 1, 2, 5, 6].iter().filter_map(|at| fields.get(*at)).sum()
}

/// A line of `/proc/self/status`, in kibibytes.
pub fn status_kib(name: &str) -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// How long the disk below `folder` takes to sync four kibibytes: the median of a hundred tries, in microseconds.
pub fn fsync_us(folder: &std::path::Path) -> std::io::Result<u64> {
    use std::io::Write as _;
    let mut file = fs::File::create(folder.join("fsync"))?;
    let mut took = Vec::with_capacity(100);
    for _ in 0..100 {
        file.write_all(&[7; 4096])?;
        let began = now_us();
        file.sync_data()?;
        took.push(now_us() - began);
    }
    took.sort_unstable();
    Ok(took[50])
}
