//! The output: one line per measurement with its ratios to its floor, followed by the bottleneck.

use bursar::cli::output;

use crate::Failure;
use crate::meter::{self, Cpu, Measured};
use crate::world::Engine;

/// A line of the table.
pub struct Row<'a> {
    pub name: &'a str,
    pub measured: &'a Measured,
    /// The same work with nothing behind it.
    pub floor: Option<&'a Measured>,
    /// What p50 and p99 refer to.
    pub step: &'a str,
}

/// Prints what the reader must know before the numbers.
pub fn preface(quick: bool) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let cores = cores();
    output::print_line(&format!(
        "{cores} processors, which the load, the vendors, the database and Bursar share; the disk makes 4 KiB durable \
         in {} µs (the middle of 100)",
        meter::fsync_us(folder.path())?
    ));
    output::print_line(
        "(×…) is the ratio to the floor, the line without one above it; CPU is per unit, in microseconds:",
    );
    output::print_line(
        "bursar its own, db the database server's, rest the load's and the vendors'. other: processor time of",
    );
    output::print_line("anything else on the machine meanwhile; above a few per cent, measure again.");
    if quick {
        output::print_line("QUICK: a twentieth of every size; the numbers show only that it runs.");
    }
    Ok(())
}

fn cores() -> u64 {
    std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64)
}

/// Prints the table header for a database.
pub fn heading(engine: Engine) {
    output::print_line(&format!("\n{}", engine.label()));
    output::print_line(&format!(
        "{:<44} {:>16} {:>16} {:>16}  {:<7} {:>16} {:>7} {:>7} {:>6} {:>6}",
        "", "units/s", "p50 ms", "p99 ms", "of a", "bursar µs", "db µs", "rest µs", "MiB", "other"
    ));
}

pub fn row(row: &Row<'_>) {
    let (is, floor) = (row.measured, row.floor);
    let steps = |percent: usize| match is.steps_us.is_empty() {
        true => "-".to_owned(),
        false => {
            let took = is.percentile_us(percent);
            let ratio = floor.map(|floor| (took, floor.percentile_us(percent)));
            // A loop pass makes many requests, so its ratio to a single one would be meaningless.
            let ratio = ratio.filter(|_| row.step == "request");
            with_ratio(&thousandths(took), ratio)
        }
    };
    let per_unit = |total: u64| total / is.units.max(1);
    let rest = is.cpu.client + is.cpu.vendors;
    let own =
        (is.cpu.bursar * 1_000 / is.units.max(1), floor.map(|it| it.cpu.bursar * 1_000 / it.units.max(1)));
    output::print_line(&format!(
        "{:<44} {:>16} {:>16} {:>16}  {:<7} {:>16} {:>7} {:>7} {:>6} {:>5}%",
        row.name,
        with_ratio(&is.rate().to_string(), floor.map(|floor| (is.rate(), floor.rate()))),
        steps(50),
        steps(99),
        row.step,
        with_ratio(&per_unit(is.cpu.bursar).to_string(), own.1.map(|floor| (own.0, floor))),
        per_unit(is.cpu.database),
        per_unit(rest),
        is.peak_kib / 1_024,
        is.cpu.elsewhere * 100 / (is.wall_us * cores()).max(1),
    ));
}

fn with_ratio(told: &str, ratio: Option<(u64, u64)>) -> String {
    match ratio {
        Some((is, floor)) if floor > 0 => format!("{told} (×{})", hundredths(is * 100 / floor)),
        Some(_) | None => told.to_owned(),
    }
}

fn hundredths(value: u64) -> String {
    format!("{}.{:02}", value / 100, value % 100)
}

fn thousandths(value: u64) -> String {
    format!("{}.{:02}", value / 1_000, value % 1_000 / 10)
}

/// A duration in words, in seconds.
pub fn seconds(us: u64) -> String {
    format!("{} s", hundredths(us / 10_000))
}

/// Prints a remark beside the numbers.
pub fn aside(told: &str) {
    output::print_line(&format!("    {told}"));
}

/// Prints the bottleneck according to CPU use, with an additional fact.
pub fn bound(is: &Measured, fact: &str) {
    let Cpu { bursar, client, vendors, database, elsewhere } = is.cpu;
    let share = |used: u64| hundredths(used * 100 / is.wall_us.max(1));
    let busy = bursar + client + vendors + database + elsewhere;
    let shares = format!(
        "bursar {}, database {}, load {}, vendors {}, others {}",
        share(bursar),
        share(database),
        share(client),
        share(vendors),
        share(elsewhere)
    );
    let cores = cores();
    let bound = if busy * 100 >= is.wall_us * cores * 85 {
        "bound by the processors"
    } else if busy * 100 >= is.wall_us * 85 {
        "bound by one processor's work and the waits between its steps"
    } else {
        "bound by waiting: for the disk, or one step for the next"
    };
    aside(&format!("{bound}: {} of {cores} were busy ({shares}); {fact}", share(busy)));
}
