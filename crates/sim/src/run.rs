//! Many runs on several threads, with totals and speed. Not here: a single run.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use bursar::clock::Clock;
use bursar_sim::author::{Author, Taste};
use bursar_sim::coverage;
use bursar_sim::life::{self, Life};
use bursar_sim::shrink;
use bursar_sim::stage;
use bursar_sim::world::database;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use payout::planted;
use payout::transaction::State;

use crate::Arguments;

/// The interval of progress reports, in microseconds.
const TOLD_EACH_US: i64 = 5_000_000;

/// A change to the program can change what a seed generates, so this many seeds are tried from the recorded one.
const NEAR: u64 = 40;

/// Unoptimized builds need more stack than threads have by default.
const STACK: usize = 16 << 20;

/// A single-threaded runtime, so that everything happens in one order.
fn alone() -> tokio::runtime::Runtime {
    #[allow(clippy::expect_used, reason = "without a runtime there is nothing to play")]
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Pins this thread and those it starts to one processor. A run and its database thread only ever wait for each other;
/// on two processors each statement wakes the other one up, and a run takes twice as long.
fn keep_to_one_processor(job: usize) {
    let Ok(allowed) = sched_getaffinity(None) else { return };
    let processors: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|one| allowed.is_set(*one)).collect();
    if let Some(one) = processors.get(job % processors.len().max(1)) {
        let mut alone = CpuSet::new();
        alone.set(*one);
        let _ = sched_setaffinity(None, &alone);
    }
}

/// The totals of the runs so far.
#[derive(Default)]
struct Tally {
    played: u64,
    told_at: i64,
    states: BTreeMap<String, usize>,
    failed: Vec<(u64, Life)>,
}

/// The state shared by all threads.
struct Run<'a> {
    arguments: &'a Arguments,
    clock: Clock,
    began: i64,
    next: AtomicU64,
    end: u64,
    most: usize,
    enough: AtomicBool,
    tally: Mutex<Tally>,
}

/// Runs all seeds; reports failures.
pub fn all(arguments: &Arguments) -> ExitCode {
    let Some(seeds) = seeds(&arguments.seeds) else {
        println!("--seeds is A..B, or one number");
        return ExitCode::FAILURE;
    };
    if arguments.written {
        let taste = Taste { processes: arguments.nodes };
        seeds.for_each(|seed| println!("# seed {seed}\n{}", Author::new(seed, taste).write()));
        return ExitCode::SUCCESS;
    }
    prepare(arguments);
    if let Some(path) = &arguments.play {
        return one_file(arguments, path);
    }
    match arguments.planted.as_deref() {
        Some(chosen) => every_planted(arguments, chosen, &seeds),
        None => every_life(arguments, seeds),
    }
}

fn one_file(arguments: &Arguments, path: &Path) -> ExitCode {
    let Ok(text) = std::fs::read_to_string(path) else {
        println!("{} cannot be read", path.display());
        return ExitCode::FAILURE;
    };
    if let Some(name) = &arguments.planted {
        planted::choose(name);
    }
    let seed = stage::written_by(&text).unwrap_or(1);
    let clock = Clock::system();
    let began = clock.now();
    let life = alone().block_on(life::of_text(seed, text));
    println!("{}\n{:?} in {} ms", life.log, life.states, (clock.now() - began) / 1_000);
    match life.failure {
        Some(message) => {
            println!("{message}");
            ExitCode::FAILURE
        }
        None => ExitCode::SUCCESS,
    }
}

/// Enables planted faults one after the other; each must be detected.
fn every_planted(arguments: &Arguments, chosen: &str, seeds: &Range<u64>) -> ExitCode {
    if !planted::COMPILED {
        println!("this was built without debug assertions, so no wrong turn can be taken");
        return ExitCode::FAILURE;
    }
    let known = match arguments.seen.as_deref().map(std::fs::read_to_string) {
        Some(Ok(text)) => seen_by(&text),
        Some(Err(error)) => {
            println!("the seeds that have seen them cannot be read: {error}");
            return ExitCode::FAILURE;
        }
        None => BTreeMap::new(),
    };
    let wanted = |name: &str| chosen == "all" || chosen.split(',').any(|one| one == name);
    let mut unseen = 0;
    for (name, what) in planted::ALL.iter().filter(|(name, _)| wanted(name)) {
        let seeds = match (known.get(*name), &arguments.seen) {
            (Some(seed), _) => *seed..seed + NEAR,
            (None, Some(_)) => continue,
            (None, None) => seeds.clone(),
        };
        planted::choose(name);
        let run = Run::of(arguments, seeds, 1);
        run.play();
        let tally = run.tally.into_inner().unwrap_or_else(PoisonError::into_inner);
        match tally.failed.first() {
            Some((seed, life)) => {
                let kind = shrink::kind(life.failure.as_deref().unwrap_or_default());
                println!("{name} {seed} {kind} # {what}; lives played: {}", tally.played);
                if arguments.log {
                    println!("{}\n{}", life.log, life.failure.as_deref().unwrap_or_default());
                }
                if arguments.shorter {
                    tell_failure(arguments, *seed, life);
                }
            }
            None => {
                println!("{name} NOT SEEN # {what}; lives played: {}", tally.played);
                unseen += 1;
            }
        }
    }
    planted::choose("");
    if unseen == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Parses lines of a planted fault and the seed that detected it.
fn seen_by(text: &str) -> BTreeMap<String, u64> {
    let mut known = BTreeMap::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        if let (Some(name), Some(Ok(seed))) = (words.next(), words.next().map(str::parse)) {
            known.insert(name.to_owned(), seed);
        }
    }
    known
}

fn every_life(arguments: &Arguments, seeds: Range<u64>) -> ExitCode {
    let run = Run::of(arguments, seeds, arguments.enough);
    run.play();
    run.tell_all();
    let tally = run.tally.into_inner().unwrap_or_else(PoisonError::into_inner);
    for (seed, life) in tally.failed.iter().take(arguments.shown) {
        tell_failure(arguments, *seed, life);
    }
    if tally.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Puts databases on an in-memory file system if there is one, or on the given server.
fn prepare(arguments: &Arguments) {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        let _ = tempfile::env::override_temp_dir(memory);
    }
    database::on_server(arguments.postgres.clone());
    coverage::begin();
}

fn tell_failure(arguments: &Arguments, seed: u64, life: &Life) {
    let message = life.failure.as_deref().unwrap_or_default();
    if arguments.whole {
        println!("\nseed {seed} fails:\n\n{}\n{message}", life.text);
        return;
    }
    let (text, message) = alone().block_on(shrink::shrunk(seed, &life.text, message));
    println!(
        "\nseed {seed} fails; as short as it could be made, to be saved as a scenario:\n\n{text}\n{message}"
    );
}

impl<'a> Run<'a> {
    fn of(arguments: &'a Arguments, seeds: Range<u64>, most: usize) -> Self {
        let clock = Clock::system();
        Self {
            arguments,
            began: clock.now(),
            clock,
            next: AtomicU64::new(seeds.start),
            end: seeds.end,
            most,
            enough: AtomicBool::new(false),
            tally: Mutex::default(),
        }
    }

    fn play(&self) {
        std::thread::scope(|scope| {
            for job in 0..self.arguments.jobs.max(1) {
                let thread = std::thread::Builder::new().stack_size(STACK);
                let plays = move || {
                    keep_to_one_processor(job);
                    self.one_job();
                };
                if thread.spawn_scoped(scope, plays).is_err() {
                    self.one_job();
                }
            }
        });
    }

    fn one_job(&self) {
        let taste = Taste { processes: self.arguments.nodes };
        loop {
            let seed = self.next.fetch_add(1, Ordering::SeqCst);
            if seed >= self.end || self.enough.load(Ordering::SeqCst) {
                return;
            }
            self.note(seed, alone().block_on(life::of_seed(seed, taste)));
        }
    }

    fn note(&self, seed: u64, life: Life) {
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.played += 1;
        for (state, count) in &life.states {
            *tally.states.entry(state.clone()).or_default() += count;
        }
        if self.arguments.log && self.arguments.planted.is_none() {
            println!("{}", life.log);
        }
        if let Some(message) = &life.failure {
            if self.arguments.planted.is_none() {
                println!("seed {seed} fails: {}", shrink::kind(message));
            }
            tally.failed.push((seed, life));
            if tally.failed.len() >= self.most {
                self.enough.store(true, Ordering::SeqCst);
            }
        }
        let now = self.clock.now();
        if now - tally.told_at > TOLD_EACH_US && self.arguments.planted.is_none() {
            tally.told_at = now;
            println!("{}", self.progress(&tally));
        }
    }

    fn progress(&self, tally: &Tally) -> String {
        let millis = ((self.clock.now() - self.began) / 1_000).max(1);
        let a_second = i64::try_from(tally.played).unwrap_or(i64::MAX) * 10_000 / millis;
        format!(
            "{} lives in {} s, {}.{} a second; {} failed; {} of {} rows of the law reached",
            tally.played,
            millis / 1_000,
            a_second / 10,
            a_second % 10,
            tally.failed.len(),
            coverage::reached().len(),
            coverage::rows()
        )
    }

    fn tell_all(&self) {
        let tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        println!("{}", self.progress(&tally));
        println!("payments: {:?}", tally.states);
        if self.arguments.coverage {
            let reached = coverage::reached();
            for state in State::ALL {
                let of_it = reached.iter().filter(|([of, _, _], _)| of == state.as_str());
                let rows: Vec<String> =
                    of_it.map(|([_, leg, fact], times)| format!("{leg} {fact} {times}")).collect();
                println!("  {}, {} rows: {}", state.as_str(), rows.len(), rows.join(" · "));
            }
        }
    }
}

fn seeds(text: &str) -> Option<Range<u64>> {
    match text.split_once("..") {
        Some((from, to)) => Some(from.parse().ok()?..to.parse().ok()?),
        None => text.parse().ok().map(|one: u64| one..one + 1),
    }
}
