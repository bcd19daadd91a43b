//! Measures what Bursar's work costs: one run measures every hot path on each database, compares it with a floor (the
//! same work with nothing behind it), and reports the bottleneck.
//!
//! Everything runs in one process: Bursar on its own threads, the vendors and the load generator on one thread each, so
//! that their CPU time can be told apart. They share the machine, and so do both sides of every ratio. Not here: a
//! verdict. Numbers depend on the machine, and tests with time limits fail on a busy one.

mod batch;
mod event;
mod lists;
mod load;
mod meter;
mod report;
mod seed;
mod send;
mod settle;
mod strangers;
mod visitor;
mod webhooks;
mod world;

use std::process::ExitCode;
use std::time::Duration;

use bursar::cli::output;
use clap::Parser;
use tokio::runtime::{Builder, Runtime};

use world::{Engine, World};

/// An error message.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Measure what Bursar's work costs, on SQLite and on the PostgreSQL server in BURSAR_TEST_POSTGRES
#[derive(Parser)]
#[command(name = "bursar-bench")]
struct Arguments {
    /// Use a twentieth of every size: shows that the benchmark runs, but measures little
    #[arg(long)]
    quick: bool,
    /// Only this database: sqlite or postgres
    #[arg(long)]
    only: Option<String>,
    /// Only this measurement: webhooks, payments or lists
    #[arg(long)]
    measure: Option<String>,
    #[command(subcommand)]
    instead: Option<Instead>,
}

/// What to do instead of measuring.
#[derive(clap::Subcommand)]
enum Instead {
    /// Fill an empty database with rewards, to try lists on it; its ledger is empty, so nothing in it can be paid
    Seed {
        /// The number of rewards
        #[arg(long, default_value_t = 1_000_000)]
        rewards: usize,
        /// sqlite://… or postgres://…
        #[arg(long)]
        database: String,
    },
    /// Attack a running program, and check that it keeps serving everyone else
    Strangers {
        /// The program, started as `PROGRAM demo`
        #[arg(long, default_value = "target/release/bursar")]
        program: String,
        /// The duration of each attack, in seconds
        #[arg(long, default_value_t = 12)]
        seconds: u64,
    },
}

/// The size of each measurement.
#[derive(Clone, Copy)]
pub struct Sizes {
    /// Events per round of webhook intake.
    pub events: usize,
    /// Rounds of webhook intake; the median counts.
    pub rounds: usize,
    /// Rewards in the large batch.
    pub rewards: usize,
    /// Their payees, and so the payments; half at each vendor.
    pub payees: usize,
    /// Rewards in the lists.
    pub listed: usize,
    /// The number of requests per list.
    pub requests: usize,
}

const FULL: Sizes =
    Sizes { events: 8_000, rounds: 3, rewards: 100_000, payees: 10_000, listed: 1_000_000, requests: 480 };
const QUICK: Sizes =
    Sizes { events: 400, rounds: 1, rewards: 5_000, payees: 500, listed: 50_000, requests: 48 };

/// Runtimes with named threads, so that their CPU time can be told apart.
pub struct Threads {
    pub client: Runtime,
    pub vendors: Runtime,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::complain(&failure.to_string());
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let threads = Threads {
        client: Builder::new_multi_thread().worker_threads(1).thread_name("client").enable_all().build()?,
        vendors: Builder::new_multi_thread().worker_threads(1).thread_name("vendors").enable_all().build()?,
    };
    let bursar = Builder::new_multi_thread().thread_name("bursar").enable_all().build()?;
    match &arguments.instead {
        Some(Instead::Seed { rewards, database }) => return bursar.block_on(seed::fill(database, *rewards)),
        Some(Instead::Strangers { program, seconds }) => {
            return threads.client.block_on(strangers::measure(program, Duration::from_secs(*seconds)));
        }
        None => {}
    }
    let sizes = if arguments.quick { QUICK } else { FULL };
    let measures = |name: &str| arguments.measure.as_deref().is_none_or(|only| only == name);
    report::preface(arguments.quick)?;
    for engine in Engine::ALL {
        if arguments.only.as_deref().is_some_and(|only| only != engine.name()) {
            continue;
        }
        if let Some(why) = engine.absent() {
            output::print_line(&format!("\n{}: skipped: {why}", engine.label()));
            continue;
        }
        report::heading(engine);
        if measures("webhooks") {
            bursar.block_on(webhooks(engine, &threads, sizes))?;
        }
        if measures("payments") {
            bursar.block_on(payments(engine, &threads, sizes))?;
        }
        if measures("lists") {
            bursar.block_on(lists(engine, &threads, sizes))?;
        }
    }
    Ok(())
}

// A world for each, so that a hundred thousand stored events do not slow down the payments.

async fn webhooks(engine: Engine, threads: &Threads, sizes: Sizes) -> Result<(), Failure> {
    let world = World::open(engine, "intake", threads).await?;
    webhooks::measure(&world, threads, sizes).await?;
    world.close().await
}

async fn lists(engine: Engine, threads: &Threads, sizes: Sizes) -> Result<(), Failure> {
    let world = World::open(engine, "lists", threads).await?;
    lists::measure(&world, threads, sizes).await?;
    world.close().await
}

async fn payments(engine: Engine, threads: &Threads, sizes: Sizes) -> Result<(), Failure> {
    let world = World::open(engine, "pay", threads).await?;
    let payees = batch::people(&world, sizes).await?;
    batch::measure(&world, &payees, sizes).await?;
    send::measure(&world, threads, send::Through::Both, sizes.payees).await?;
    settle::measure(&world, threads, sizes).await?;
    for through in [send::Through::Stripe, send::Through::PayPal] {
        let payments = batch::pay_each(&world, &payees, through).await?;
        send::measure(&world, threads, through, payments).await?;
    }
    world.close().await
}
