//! Runs random scenarios and reports violated invariants: `bursar-sim --seeds 0..1000 --jobs 2 --nodes 3`; or kills
//! real processes: `bursar-sim crash`. Not here: a single run (`life`), and crash tests (`crash`).
#![allow(clippy::print_stdout, reason = "what it finds is told on the standard output")]

mod cases;
mod kills;
mod run;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Run random scenarios of Bursar and check the invariants
#[derive(Parser)]
#[command(name = "bursar-sim", args_conflicts_with_subcommands = true)]
pub struct Arguments {
    #[command(subcommand)]
    instead: Option<Instead>,
    /// The seeds to run: `A..B`, or one number
    #[arg(long, default_value = "0..100")]
    seeds: String,
    /// The number of runs in parallel
    #[arg(long, default_value_t = 1)]
    jobs: usize,
    /// The maximum number of processes in a run
    #[arg(long, default_value_t = 3)]
    nodes: usize,
    /// Use this PostgreSQL server instead of SQLite
    #[arg(long)]
    postgres: Option<String>,
    /// Run the scenario in this file, written by the simulation, instead
    #[arg(long)]
    play: Option<std::path::PathBuf>,
    /// Print the log of each run
    #[arg(long)]
    log: bool,
    /// Print each seed's scenario without running it
    #[arg(long)]
    written: bool,
    /// Stop after this many failures
    #[arg(long, default_value_t = 20)]
    enough: usize,
    /// The number of failures to show
    #[arg(long, default_value_t = 3)]
    shown: usize,
    /// Enable these planted faults one after the other, separated by commas, or `all`, and report which seed detected
    /// each; needs a build with debug assertions
    #[arg(long)]
    planted: Option<String>,
    /// Shorten the scenario that detected a planted fault as far as possible, and print it
    #[arg(long)]
    shorter: bool,
    /// Only the planted faults listed in this file, each starting at the seed that detected it before
    #[arg(long)]
    seen: Option<std::path::PathBuf>,
    /// Print every row of the law that was reached
    #[arg(long)]
    coverage: bool,
    /// Do not shorten failing scenarios
    #[arg(long)]
    whole: bool,
}

/// What to do instead of running scenarios.
#[derive(Subcommand)]
enum Instead {
    Crash(kills::Options),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match &arguments.instead {
        Some(Instead::Crash(options)) => kills::all(options),
        None => run::all(&arguments),
    }
}
