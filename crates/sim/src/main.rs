//! Plays lives by chance and says what did not hold: `bursar-sim --seeds 0..1000 --jobs 2 --nodes 3`; or kills real
//! processes: `bursar-sim crash`. What is deliberately not here: what a life is (`life`), and what is killed (`crash`).
#![allow(clippy::print_stdout, reason = "what it finds is told on the standard output")]

mod cases;
mod kills;
mod run;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Lives of Bursar by chance, each played and judged
#[derive(Parser)]
#[command(name = "bursar-sim", args_conflicts_with_subcommands = true)]
pub struct Arguments {
    #[command(subcommand)]
    instead: Option<Instead>,
    /// Which seeds: `A..B`, or one
    #[arg(long, default_value = "0..100")]
    seeds: String,
    /// How many are played at once
    #[arg(long, default_value_t = 1)]
    jobs: usize,
    /// At most so many processes in a life
    #[arg(long, default_value_t = 3)]
    nodes: usize,
    /// Play on this PostgreSQL server instead of SQLite
    #[arg(long)]
    postgres: Option<String>,
    /// Play what the simulation wrote into this file instead
    #[arg(long)]
    play: Option<std::path::PathBuf>,
    /// Print the log of each life
    #[arg(long)]
    log: bool,
    /// Print what each seed draws, and play nothing
    #[arg(long)]
    written: bool,
    /// Stop after so many that fail
    #[arg(long, default_value_t = 20)]
    enough: usize,
    /// Show so many of those that fail
    #[arg(long, default_value_t = 3)]
    shown: usize,
    /// Take these wrong turns, with commas between them, or `all`, one after the other, and say which seed saw each; needs a
    /// build with debug assertions
    #[arg(long)]
    planted: Option<String>,
    /// Make the life that has seen a wrong turn as short as it can be, and print it
    #[arg(long)]
    shorter: bool,
    /// Take only the wrong turns that this file names, each in lives from the seed on that has seen it
    #[arg(long)]
    seen: Option<std::path::PathBuf>,
    /// Print every row of the law that was reached
    #[arg(long)]
    coverage: bool,
    /// Leave a failing life as long as it is
    #[arg(long)]
    whole: bool,
}

/// What is done instead of playing lives.
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
