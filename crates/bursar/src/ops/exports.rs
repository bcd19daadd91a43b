//! Exporting data as files. Who exported what is logged before the first byte is sent. A small export is made at once; a
//! large one in the background, in bounded steps, by any node. An API export is streamed as it is read and not stored.
//!
//! Not here: the format of a file (`documents`), and who may have one (the route table).

pub mod accounts;
pub mod earnings;
pub mod gathered;
pub mod rows;
pub mod scope;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use payout::Refusal;
use serde_json::{Value, json};

pub use self::gathered::{AT_ONCE, RowPage};
pub use self::rows::{count, gather};
pub use self::scope::{ExportRequest, Scope};
use super::idempotency::{Idempotency, finish};
use super::{OpsError, Result};
use crate::app::{Actor, App};
use crate::documents::{Cell, Format, csv, xlsx};
use crate::store::exports::{self, Part, Run, State};
use crate::store::{StoreError, Tx, audit, next_numbers};
use crate::transact;

/// The most rows that are exported while the caller waits; larger exports run in the background.
pub const SMALL: i64 = 5_000;
/// How long a file is kept.
pub const KEPT_DAYS: i64 = 7;
const DAY_US: i64 = 86_400_000_000;
/// A step takes seconds; a worker that has not finished within this time has died.
const LEASE_US: i64 = 120_000_000;
/// The size of a file part, before base64 encoding.
const PART_BYTES: usize = 512 * 1024;

/// Makes a small export at once, or queues a large one.
///
/// # Errors
/// If it would be too long for a spreadsheet, or has no column.
pub async fn order(
    app: &App,
    actor: &Actor,
    asked: &ExportRequest,
    once: Option<&Idempotency<Run>>,
) -> Result<Run> {
    let now = app.clock.now();
    let expected = check(app, asked, now).await?;
    if expected > SMALL {
        return queue(app, actor, asked, expected, once).await;
    }
    let (bytes, rows_done) = whole(app, asked, now).await?;
    transact!(app, |tx| {
        let run = Run {
            rows_done,
            bytes: counted(bytes.len()),
            finished_at: Some(now),
            kept_until: Some(now.saturating_add(KEPT_DAYS * DAY_US)),
            ..new_run(tx, app, actor, asked, State::Ready, expected, now).await?
        };
        exports::insert(tx, &run).await?;
        put_file(tx, &run.id, &bytes).await?;
        note(tx, actor, now, "export_made", &run, asked);
        finish(tx, once, &run).await?;
        Ok(run)
    })
}

/// Queues an export for the background.
pub async fn queue(
    app: &App,
    actor: &Actor,
    asked: &ExportRequest,
    expected: i64,
    once: Option<&Idempotency<Run>>,
) -> Result<Run> {
    let now = app.clock.now();
    let run = transact!(app, |tx| {
        let run = new_run(tx, app, actor, asked, State::Gathering, expected, now).await?;
        exports::insert(tx, &run).await?;
        note(tx, actor, now, "export_begun", &run, asked);
        finish(tx, once, &run).await?;
        Ok(run)
    })?;
    app.nudge.exports.notify();
    Ok(run)
}

/// Logs an export that is about to be streamed and is not stored.
///
/// # Errors
/// If it would be too long for a spreadsheet, or has no column.
pub async fn send(app: &App, actor: &Actor, asked: &ExportRequest) -> Result<Run> {
    let now = app.clock.now();
    let expected = check(app, asked, now).await?;
    transact!(app, |tx| {
        let fresh = new_run(tx, app, actor, asked, State::Sent, expected, now).await?;
        let run = Run { rows_done: expected, finished_at: Some(now), ..fresh };
        exports::insert(tx, &run).await?;
        note(tx, actor, now, "export_sent", &run, asked);
        Ok(run)
    })
}

/// Logs the download of a stored file.
///
/// # Errors
/// [`OpsError::Missing`] if it is no longer stored.
pub async fn note_download(app: &App, actor: &Actor, run: &Run) -> Result<()> {
    if !run.is_kept() {
        return Err(OpsError::Missing);
    }
    let now = app.clock.now();
    let detail = json!({"number": run.label(), "of": run.kind, "format": run.format, "rows": run.rows_done});
    transact!(app, |tx| {
        let (actor, subject) = (actor.id.to_string(), run.id.clone());
        let (at, action) = (now, "export_downloaded");
        tx.audit(audit::Entry { at, actor, action, subject, detail: detail.to_string() });
        Ok(())
    })
}

/// Checks that the export can be made, and returns its expected number of rows.
async fn check(app: &App, asked: &ExportRequest, now: i64) -> Result<i64> {
    if asked.heads().is_empty() {
        return Err(Refusal::new("missing", "Choose at least one column.").at("columns").into());
    }
    if asked.scope.is_fixed() && asked.format != Format::Csv {
        let message =
            "Accounting programs import this as CSV; a spreadsheet is available only for the generic layout.";
        return Err(Refusal::new("csv_only", message).at("format").into());
    }
    let expected = rows::count(&mut app.store.read().await?, &asked.scope, now).await?;
    if asked.format == Format::Xlsx && expected > xlsx::MOST_ROWS {
        return Err(too_long(expected).into());
    }
    Ok(expected)
}

fn too_long(rows: i64) -> Refusal {
    let most = xlsx::MOST_ROWS;
    let message = format!(
        "These are {rows} rows, but a spreadsheet can have at most {most}. Narrow them, or choose CSV."
    );
    Refusal::new("too_many_rows", message).at("format")
}

async fn new_run(
    tx: &mut Tx,
    app: &App,
    actor: &Actor,
    asked: &ExportRequest,
    state: State,
    rows_expected: i64,
    now: i64,
) -> Result<Run> {
    Ok(Run {
        id: format!("exp_{}", payout::ids::encode(payout::ids::fresh(now, app.clock.in_turn()))),
        number: next_numbers(tx, "export", 1).await?,
        kind: asked.scope.kind().as_str().to_owned(),
        format: asked.format.as_str().to_owned(),
        asked: asked.json().to_string(),
        told: asked.filter_summary.clone(),
        state,
        rows_expected,
        rows_done: 0,
        bytes: 0,
        parts: 0,
        place: None,
        by: (actor.id.to_string(), actor.name.clone()),
        created_at: now,
        finished_at: None,
        failed: None,
        kept_until: None,
        forgotten_at: None,
        fence: 0,
    })
}

fn note(tx: &mut Tx, actor: &Actor, at: i64, action: &'static str, run: &Run, asked: &ExportRequest) {
    let columns: Vec<&str> = asked.heads().iter().map(|head| head.name).collect();
    let detail = json!({
        "number": run.label(),
        "of": run.kind,
        "format": run.format,
        "filters": asked.filter_summary,
        "columns": columns,
        "rows": run.rows_expected,
    });
    let (actor, subject) = (actor.id.to_string(), run.id.clone());
    tx.audit(audit::Entry { at, actor, action, subject, detail: detail.to_string() });
}

/// The start of a CSV file: the byte-order mark, if asked for, and the header.
pub fn opening(asked: &ExportRequest) -> Vec<u8> {
    let mark = if asked.marked { csv::MARK } else { &[] };
    [mark, &csv::head(asked.heads().iter().map(|head| head.name))].concat()
}

/// A new spreadsheet with its header.
///
/// # Errors
/// If the disk cannot be written.
fn sheet(asked: &ExportRequest, at: i64) -> Result<xlsx::SheetWriter> {
    let words: Vec<&str> = asked.heads().iter().map(|head| head.words).collect();
    xlsx::SheetWriter::new(asked.scope.kind().label(), &words, at).map_err(|error| broken(&error))
}

fn broken(error: &xlsx::Error) -> OpsError {
    OpsError::Internal(StoreError::Corrupt(format!("a spreadsheet: {error}")))
}

/// The whole file in memory, and its number of rows: for small exports, and for spreadsheets, which cannot be streamed.
///
/// # Errors
/// If it turns out longer than a spreadsheet can be.
pub async fn whole(app: &App, asked: &ExportRequest, now: i64) -> Result<(Vec<u8>, i64)> {
    let (mut place, mut rows, mut bytes) = (None::<String>, 0i64, opening(asked));
    let mut sheet = if asked.format == Format::Xlsx { Some(sheet(asked, now)?) } else { None };
    loop {
        let some = gather(&mut app.store.read().await?, asked, place.as_deref(), now).await?;
        rows = rows.saturating_add(counted(some.rows.len()));
        match &mut sheet {
            None => bytes.extend(csv::written(&some.rows)),
            Some(_) if rows > xlsx::MOST_ROWS => return Err(too_long(rows).into()),
            Some(sheet) => {
                for row in &some.rows {
                    sheet.add(row).map_err(|error| broken(&error))?;
                }
            }
        }
        place = some.next;
        if place.is_none() {
            break;
        }
    }
    match sheet {
        None => Ok((bytes, rows)),
        Some(sheet) => Ok((finished(sheet).await?, rows)),
    }
}

/// Packs the spreadsheet on a blocking thread, so that other requests continue.
async fn finished(sheet: xlsx::SheetWriter) -> Result<Vec<u8>> {
    let packed = tokio::task::spawn_blocking(move || sheet.finish()).await;
    let packed = packed.map_err(|error| OpsError::Internal(StoreError::Corrupt(error.to_string())))?;
    packed.map_err(|error| broken(&error))
}

async fn put_file(tx: &mut Tx, id: &str, bytes: &[u8]) -> Result<()> {
    for (place, part) in (0i64..).zip(bytes.chunks(PART_BYTES)) {
        exports::put_part(tx, id, Part::File, place, BASE64.encode(part)).await?;
    }
    Ok(())
}

/// A part of a stored file; `None` after the last.
pub async fn part(app: &App, run: &Run, place: i64) -> Result<Option<Vec<u8>>> {
    let text = exports::part(&mut app.store.read().await?, &run.id, Part::File, place).await?;
    let Some(text) = text else { return Ok(None) };
    let bytes = BASE64.decode(text).map_err(|error| StoreError::Corrupt(error.to_string()))?;
    Ok(Some(bytes))
}

/// Leases the export that has waited longest, for one step.
pub async fn lease(app: &App, now: i64) -> Result<Option<Run>> {
    if !exports::anything_due(&mut app.store.read().await?, now).await? {
        return Ok(None);
    }
    transact!(app, |tx| { Ok(exports::lease(tx, now, now.saturating_add(LEASE_US)).await?) })
}

/// One step of a leased export: gathers the next rows, or packs what was gathered.
///
/// # Errors
/// [`OpsError::Conflict`] if the lease has gone to another worker; then nothing is written.
pub async fn step(app: &App, run: &Run, now: i64) -> Result<Run> {
    let kept: Option<Value> = serde_json::from_str(&run.asked).ok();
    let asked = kept.as_ref().and_then(ExportRequest::read);
    let asked = asked.ok_or_else(|| StoreError::Corrupt(format!("what {} was asked", run.label())))?;
    match run.state {
        State::Gathering => gather_some(app, run, &asked, now).await,
        State::Packing => pack(app, run, &asked, now).await,
        State::Ready | State::Sent | State::Failed => Ok(run.clone()),
    }
}

async fn gather_some(app: &App, run: &Run, asked: &ExportRequest, now: i64) -> Result<Run> {
    let some = gather(&mut app.store.read().await?, asked, run.place.as_deref(), run.created_at).await?;
    let rows_done = run.rows_done.saturating_add(counted(some.rows.len()));
    let mut after = Run { rows_done, place: some.next, ..run.clone() };
    let (of, body) = match asked.format {
        Format::Csv => {
            let mut bytes = if run.parts == 0 { opening(asked) } else { Vec::new() };
            bytes.extend(csv::written(&some.rows));
            after.bytes = run.bytes.saturating_add(counted(bytes.len()));
            (Part::File, BASE64.encode(bytes))
        }
        Format::Xlsx if rows_done > xlsx::MOST_ROWS => return Err(too_long(rows_done).into()),
        Format::Xlsx => {
            let cells = |row: &Vec<Cell>| Value::Array(row.iter().map(Cell::json).collect());
            (Part::Rows, Value::Array(some.rows.iter().map(cells).collect()).to_string())
        }
    };
    let place = run.parts;
    after.parts = place.saturating_add(1);
    if after.place.is_none() {
        match asked.format {
            Format::Csv => made(&mut after, now),
            Format::Xlsx => after.state = State::Packing,
        }
    }
    transact!(app, |tx| {
        exports::put_part(tx, &run.id, of, place, body.clone()).await?;
        advance(tx, &after).await?;
        Ok(after.clone())
    })
}

fn made(run: &mut Run, now: i64) {
    run.state = State::Ready;
    run.finished_at = Some(now);
    run.kept_until = Some(now.saturating_add(KEPT_DAYS * DAY_US));
}

async fn pack(app: &App, run: &Run, asked: &ExportRequest, now: i64) -> Result<Run> {
    let mut sheet = sheet(asked, run.created_at)?;
    for place in 0..run.parts {
        let text = exports::part(&mut app.store.read().await?, &run.id, Part::Rows, place).await?;
        let corrupt = || StoreError::Corrupt(format!("part {place} of {}", run.label()));
        let rows: Vec<Vec<Value>> =
            text.and_then(|text| serde_json::from_str(&text).ok()).ok_or_else(corrupt)?;
        for row in rows {
            let cells: Option<Vec<Cell>> = row.iter().map(Cell::read).collect();
            sheet.add(&cells.ok_or_else(corrupt)?).map_err(|error| broken(&error))?;
        }
    }
    let bytes = finished(sheet).await?;
    let mut after = Run { bytes: counted(bytes.len()), ..run.clone() };
    made(&mut after, now);
    transact!(app, |tx| {
        exports::drop_parts(tx, &run.id, Part::Rows).await?;
        put_file(tx, &run.id, &bytes).await?;
        advance(tx, &after).await?;
        Ok(after.clone())
    })
}

/// Records progress, unless another worker holds the lease now.
async fn advance(tx: &mut Tx, run: &Run) -> Result<()> {
    if exports::advance(tx, run).await? == 1 {
        return Ok(());
    }
    let message = "Another worker took over this export meanwhile, so nothing was written.";
    Err(OpsError::Conflict(Refusal::new("changed_meanwhile", message)))
}

/// Marks an export that cannot be made as failed. Its gathered rows are deleted with the next expired files.
pub async fn give_up(app: &App, run: &Run, why: &str, now: i64) -> Result<()> {
    let failed = Some((now, why.to_owned()));
    let after = Run { state: State::Failed, failed, kept_until: Some(now), ..run.clone() };
    transact!(app, |tx| {
        advance(tx, &after).await?;
        let detail = json!({"number": run.label(), "why": why}).to_string();
        let (actor, subject) = ("exports".to_owned(), run.id.clone());
        tx.audit(audit::Entry { at: now, actor, action: "export_failed", subject, detail });
        Ok(())
    })
}

/// Deletes expired files; returns how many.
pub async fn forget(app: &App, now: i64) -> Result<usize> {
    let overdue = exports::overdue(&mut app.store.read().await?, now, 20).await?;
    for id in &overdue {
        transact!(app, |tx| {
            exports::drop_parts(tx, id, Part::File).await?;
            exports::drop_parts(tx, id, Part::Rows).await?;
            exports::mark_forgotten(tx, id, now).await?;
            Ok(())
        })?;
    }
    Ok(overdue.len())
}

fn counted(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
