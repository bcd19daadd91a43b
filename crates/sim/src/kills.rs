//! Many crash workloads in parallel, each killing a process at a different point; an undisturbed run finds the points.
//! Not here: a single workload (`bursar_sim::crash`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use bursar::clock::Clock;
use bursar_sim::crash::leader::Strike;
use bursar_sim::crash::{self, Plan, RunOutcome};
use bursar_sim::world::database;
use clap::Args;
use payout::planted;

use crate::cases;

/// Kill a real `bursar serve` at named points, restart it, and check the books
#[derive(Args)]
pub struct Options {
    /// Use databases on this PostgreSQL server instead of SQLite
    #[arg(long)]
    postgres: Option<String>,
    /// The approximate number of kills per point
    #[arg(long, default_value_t = 3)]
    kills: u32,
    /// Only points whose name contains this
    #[arg(long)]
    point: Option<String>,
    /// Only the points listed in this file, one per line, such as `after work::begin::all #1`
    #[arg(long)]
    chosen: Option<PathBuf>,
    /// The number of workloads to run in parallel
    #[arg(long, default_value_t = 4)]
    jobs: usize,
    /// The number of processes that serve one database behind a load balancer; the one that reaches the point is
    /// killed. PostgreSQL only
    #[arg(long, default_value_t = 1)]
    nodes: usize,
    /// Run machine failures instead of kills: `all`, or part of a case's name
    #[arg(long)]
    case: Option<String>,
    /// Enable this fault of `payout::planted`; the workloads must detect it
    #[arg(long)]
    planted: Option<String>,
    /// Only print the points and how often each is reached
    #[arg(long)]
    list: bool,
    /// The bursar program; defaults to the one beside this program
    #[arg(long)]
    bursar: Option<PathBuf>,
    /// Stop after this many failed workloads
    #[arg(long, default_value_t = 10)]
    enough: usize,
    /// Show the end of the log of failed workloads
    #[arg(long)]
    log: bool,
}

/// The totals of all workloads.
#[derive(Default)]
struct Tally {
    done: usize,
    kills: usize,
    missed: usize,
    away_us: i64,
    points: BTreeSet<String>,
    wrong: Vec<(String, RunOutcome)>,
}

struct Run<'a> {
    options: &'a Options,
    binary: PathBuf,
    end: String,
    plans: Vec<(String, Plan)>,
    next: AtomicUsize,
    tally: Mutex<Tally>,
}

/// Runs all workloads; reports failures.
pub fn all(options: &Options) -> ExitCode {
    if !planted::COMPILED {
        println!("this was built without debug assertions, so there are no points");
        return ExitCode::FAILURE;
    }
    database::on_server(options.postgres.clone());
    let Some(binary) = options.bursar.clone().or_else(beside) else {
        println!("the program is not beside this one; name it with --bursar");
        return ExitCode::FAILURE;
    };
    let clock = Clock::system();
    let began = clock.now();
    if options.nodes > 1 && options.postgres.is_none() {
        println!("SQLite is served by one process; name a PostgreSQL server with --postgres");
        return ExitCode::FAILURE;
    }
    let whole = one(0, &binary, &Plan::of(Vec::new(), options.nodes), None);
    let points = whole.passed.len();
    println!("without a crash: {points} points, {} ms", (clock.now() - began) / 1_000);
    if !whole.failures.is_empty() {
        return wrong("an errand that nothing befell", &whole, true);
    }
    if options.list {
        whole.passed.iter().for_each(|(point, times)| println!("{times:6} {point}"));
        return ExitCode::SUCCESS;
    }
    let strikes = match options.chosen.as_deref().map(|file| chosen(file, &whole.passed)) {
        Some(Ok(strikes)) => strikes,
        Some(Err(message)) => {
            println!("{message}");
            return ExitCode::FAILURE;
        }
        None => strikes(options, &whole.passed),
    };
    let plans = match &options.case {
        Some(wanted) => cases::all(options.postgres.is_some(), wanted),
        None => strikes.into_iter().map(|strikes| named(strikes, options)).collect(),
    };
    let run =
        Run { options, binary, end: whole.end, plans, next: AtomicUsize::new(1), tally: Mutex::default() };
    run.all();
    run.tell((clock.now() - began) / 1_000_000)
}

fn named(strikes: Vec<Strike>, options: &Options) -> (String, Plan) {
    let names = strikes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let chosen = planted::ALL.iter().map(|(name, _)| *name);
    let planted = options.planted.as_ref().and_then(|wanted| chosen.into_iter().find(|name| name == wanted));
    (names, Plan { planted, ..Plan::of(strikes, options.nodes) })
}

fn beside() -> Option<PathBuf> {
    let binary = std::env::current_exe().ok()?.with_file_name("bursar");
    binary.exists().then_some(binary)
}

/// Strikes at each point, spread evenly over the workload. If a point is reached less often than it should be hit, the
/// process is killed there again right after each restart.
fn strikes(options: &Options, passed: &BTreeMap<String, u32>) -> Vec<Vec<Strike>> {
    let wanted = |point: &str| options.point.as_deref().is_none_or(|part| point.contains(part));
    let mut plans = Vec::new();
    for (point, times) in passed.iter().filter(|(point, _)| wanted(point)) {
        // Not the last of many, because the number of visits varies between runs.
        let within = if *times > 4 { times * 4 / 5 } else { *times };
        let errands = within.min(options.kills).max(1);
        let each = options.kills.div_ceil(errands);
        for errand in 0..errands {
            let first = Strike::kill(point, 1 + errand * within / errands);
            let again = (1..each).map(|_| Strike::kill(point, 1));
            plans.push(std::iter::once(first).chain(again).collect());
        }
    }
    plans
}

/// The points listed in a file; an error for one that is no longer reached.
fn chosen(file: &Path, passed: &BTreeMap<String, u32>) -> Result<Vec<Vec<Strike>>, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (point, nth) =
                line.rsplit_once(" #").ok_or_else(|| format!("{line}: no ` #1` at its end"))?;
            let nth = nth.parse().map_err(|_| format!("{line}: {nth} is no number"))?;
            match passed.get(point) {
                Some(times) if *times >= nth => Ok(vec![Strike::kill(point, nth)]),
                Some(times) => Err(format!("{line}: it is come to {times} times only")),
                None => Err(format!("{line}: no errand comes to this point any more; see `--list`")),
            }
        })
        .collect()
}

/// Runs one workload on a runtime of its own.
fn one(number: u64, binary: &Path, plan: &Plan, end: Option<&str>) -> RunOutcome {
    #[allow(clippy::expect_used, reason = "without a runtime there is nothing to do")]
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(crash::once(number, binary, plan, end))
}

impl Run<'_> {
    fn all(&self) {
        std::thread::scope(|scope| {
            for _ in 0..self.options.jobs.max(1) {
                scope.spawn(|| self.work());
            }
        });
    }

    fn tally(&self) -> std::sync::MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        loop {
            let number = self.next.fetch_add(1, Ordering::SeqCst);
            let Some((names, plan)) = self.plans.get(number - 1) else { return };
            if self.tally().wrong.len() >= self.options.enough {
                return;
            }
            let came = one(number as u64, &self.binary, plan, Some(&self.end));
            let mut tally = self.tally();
            tally.done += 1;
            tally.kills += came.struck.len();
            tally.missed += plan.strikes.len() - came.struck.len();
            tally.away_us = tally.away_us.max(came.away_us);
            let first = plan.strikes.first().filter(|_| !came.struck.is_empty());
            tally.points.extend(first.map(|one| one.point.clone()));
            if self.options.case.is_some() {
                println!("{names}: {} ms without a useful answer", came.away_us / 1_000);
            }
            if !came.failures.is_empty() {
                wrong(names, &came, self.options.log);
                tally.wrong.push((names.clone(), came));
            }
            if tally.done.is_multiple_of(25) {
                println!("{} of {} errands, {} wrong", tally.done, self.plans.len(), tally.wrong.len());
            }
        }
    }

    fn tell(&self, seconds: i64) -> ExitCode {
        let tally = self.tally();
        println!(
            "{} points, {} errands, {} strikes ({} more were not come to), {} went wrong, {seconds} s; the longest time \
             without a useful answer: {} ms",
            tally.points.len(),
            tally.done,
            tally.kills,
            tally.missed,
            tally.wrong.len(),
            tally.away_us / 1_000
        );
        // Chosen points are expected to be reached.
        if let Some(planted) = &self.options.planted {
            println!("{planted} was {}", if tally.wrong.is_empty() { "NOT SEEN" } else { "seen" });
            return if tally.wrong.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
        let unseen = (self.options.chosen.is_some() || self.options.case.is_some()) && tally.missed > 0;
        if tally.wrong.is_empty() && !unseen { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

fn wrong(what: &str, came: &RunOutcome, log: bool) -> ExitCode {
    println!("WRONG: {what} (struck: {})", came.struck.join(", "));
    came.failures.iter().for_each(|told| println!("  {told}"));
    if log {
        println!("  the end of its log:\n{}", came.log);
    }
    ExitCode::FAILURE
}
