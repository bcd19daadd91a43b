//! `import rewards|partners|accounts|activities FILE`. Rows are imported individually; the exit code tells a scheduled
//! caller that some were rejected.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

use super::{Failure, Outcome, open, operator, output, with_the_same_vendors, words};
use crate::app::App;
use crate::config::Config;
use crate::ops::import::{self, Destinations, Report, RowError, ToConnect};
use crate::work::Work;
use crate::work::connect;

#[derive(Args)]
pub(super) struct Options {
    /// What the file contains
    what: ImportKind,
    /// The file: CSV (UTF-8) or an Excel workbook (.xlsx), with a header
    file: PathBuf,
    /// Only report what an import would do
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: Config,
}

#[derive(Clone, Copy, ValueEnum)]
enum ImportKind {
    Rewards,
    Partners,
    Accounts,
    Activities,
}

/// The exit code when rows were rejected; 0, 1 and 2 mean the same for every command.
const ROWS_REFUSED: u8 = 3;
/// The exit code of a dry run that would change existing payees' destinations.
const DESTINATIONS_CHANGE: u8 = 4;

pub(super) async fn run(options: Options) -> Result<ExitCode, Failure> {
    let file = std::fs::read(&options.file)
        .map_err(|error| Failure(format!("{} cannot be read: {error}", options.file.display())))?;
    let app = open(options.config).await?;
    // Only payees involve the vendors, and only in a real import.
    if !options.dry_run && matches!(options.what, ImportKind::Partners | ImportKind::Accounts) {
        with_the_same_vendors(&app).await?;
    }
    let bar = ProgressBar::new_spinner().with_message("importing rows");
    bar.enable_steady_tick(Duration::from_millis(120));
    let actor = operator();
    let (mut report, connect) = match options.what {
        ImportKind::Rewards => {
            (import::rewards(&app, &actor, &file, options.dry_run, None).await.map_err(words)?, Vec::new())
        }
        ImportKind::Activities => {
            (import::activities(&app, &actor, &file, options.dry_run, None).await.map_err(words)?, Vec::new())
        }
        ImportKind::Partners => {
            import::partners(&app, &actor, &file, options.dry_run, None).await.map_err(words)?
        }
        ImportKind::Accounts => {
            import::accounts(&app, &actor, &file, options.dry_run, None).await.map_err(words)?
        }
    };
    bar.finish_and_clear();
    if !options.dry_run {
        set_profiles(&app, connect, &mut report).await?;
    }
    print_report(&report, options.json, options.dry_run);
    app.store.close().await;
    let changes = options.dry_run && report.destinations.iter().any(|one| one.old.is_some());
    Ok(match (report.rejected.is_empty(), changes) {
        (false, _) => ExitCode::from(ROWS_REFUSED),
        (true, true) => ExitCode::from(DESTINATIONS_CHANGE),
        (true, false) => ExitCode::SUCCESS,
    })
}

/// Sets the destinations in the file as an administrator would. One that cannot be set is reported with its line, and
/// the payee keeps the old one.
async fn set_profiles(app: &App, connect: Vec<ToConnect>, report: &mut Report) -> Outcome {
    if connect.is_empty() {
        return Ok(());
    }
    let work = Work::new(app.clone(), None)?;
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} payout profiles, {eta} left");
    let bar = ProgressBar::new(connect.len() as u64)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    for one in connect {
        let line = one.line;
        if let Err(error) = connect::set_profile(&work, &operator(), one.payee, one.destination).await {
            let Failure(detail) = words(error);
            // Count each row once: move it from accepted or duplicate to rejected.
            let counted = if report.accepted > 0 { &mut report.accepted } else { &mut report.duplicates };
            *counted = counted.saturating_sub(1);
            report.destinations.retain(|destined| destined.line != line);
            report.rejected.push(RowError {
                line,
                column: "destination",
                code: "destination_refused",
                detail,
                value: String::new(),
            });
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(())
}

fn print_report(report: &Report, json: bool, dry_run: bool) {
    if json {
        let rejected: Vec<serde_json::Value> = report
            .rejected
            .iter()
            .map(|row| serde_json::json!({ "line": row.line, "column": row.column, "code": row.code, "detail": row.detail, "value": row.value }))
            .collect();
        let lines = report.lines;
        let destinations = report.destinations.iter().map(|one| {
            serde_json::json!({ "line": one.line, "external_id": one.external_id, "old": one.old, "new": one.new })
        });
        output::json(&serde_json::json!({
            "accepted": report.accepted, "duplicates": report.duplicates, "rejected": rejected,
            "lines": {
                "total": lines.total, "header": lines.header, "blank": lines.blank, "continued": lines.continued,
            },
            "sheet": report.sheet.as_ref().map(|sheet| {
                serde_json::json!({ "name": sheet.name, "others": sheet.others })
            }),
            "destinations": destinations.collect::<Vec<_>>(),
            "totals": report.totals.iter().map(|sum| {
                serde_json::json!({ "value": sum.decimal(), "currency": sum.currency.code() })
            }).collect::<Vec<_>>(),
        }));
        return;
    }
    for row in &report.rejected {
        let value = if row.value.is_empty() { String::new() } else { format!(" “{}”", row.value) };
        let at = if row.column.is_empty() { String::new() } else { format!(", {}", row.column) };
        output::print_line(&format!("line {}{at}{value}: {} [{}]", row.line, row.detail, row.code));
    }
    for one in &report.destinations {
        let old = one.old.as_deref().unwrap_or("nowhere");
        output::print_line(&format!("line {}, {}: paid to {old} → {}", one.line, one.external_id, one.new));
    }
    let would = if dry_run { "would be " } else { "" };
    output::print_line(&format!(
        "{} {would}accepted, {} already entered, {} refused",
        report.accepted,
        report.duplicates,
        report.rejected.len()
    ));
    if let Some(message) = Destinations::of(&report.destinations).destination_changes(dry_run) {
        output::print_line(&message);
    }
    output::print_line(&report.lines.to_string());
    if let Some(sheet) = &report.sheet {
        output::print_line(&format!("{sheet}."));
    }
    if !report.totals.is_empty() {
        let totals: Vec<String> = report.totals.iter().map(ToString::to_string).collect();
        output::print_line(&format!("The new rewards total {}.", totals.join(", ")));
    }
}
