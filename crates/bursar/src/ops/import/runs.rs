//! An import through the pages: uploaded, columns mapped, checked, imported, done. Checking and importing run in bounded
//! units that a worker leases. Each unit of rewards is one database transaction that holds its rows and the progress, so
//! the import resumes after a crash.
//!
//! Not here: what a row means (`import`, `catalogue`), and asking a vendor about the destinations a file names
//! (`work::imports`).

use payout::Refusal;
use payout::access::{Permission, allows};
use payout::ids::{ImportId, PersonId};
use serde::Serialize;
use serde_json::json;

pub use super::layout::{Layout, columns, required};
pub use super::sample::Sample;

use super::layout::{guess, places, plain};
use super::sample::{of_catalogue, of_rewards};
use super::source::Source;
use super::table::{Destinations, Table};
use super::{DestinationChange, Report, RowError, ToConnect, catalogue, error_file, insert_rows, sorted};
use crate::app::{Actor, App};
use crate::ops::idempotency::{Idempotency, finish};
use crate::ops::{OpsError, Result, people};
use crate::store::imports::{self, Counts, Import, ImportKind, ImportState, Refused};
use crate::store::people as persons;
use crate::store::{self, Db, Tx, audit};
use crate::transact;

/// The number of rewards per unit. A file with at most this many rows is checked while the sender waits.
const UNIT: i64 = 2_000;
/// How long a worker may take for a unit before another one restarts it.
const LEASE_US: i64 = 120_000_000;
/// How often a unit is started before a person must look.
const MOST_TRIES: i64 = 5;
/// How long an uploaded file is kept.
const KEPT_US: i64 = 30 * 86_400_000_000;
/// The longest file name that is stored, in characters.
const MOST_NAME: usize = 120;

pub fn permission(what: ImportKind) -> Permission {
    match what {
        ImportKind::Rewards => Permission::Review,
        ImportKind::Partners | ImportKind::Accounts | ImportKind::Activities => Permission::ManagePartners,
    }
}

/// Stores an uploaded file for review.
///
/// # Errors
/// If it cannot be read as a whole: neither UTF-8 nor a workbook, or without a header or rows.
pub async fn upload(
    app: &App,
    actor: &Actor,
    what: ImportKind,
    name: &str,
    file: &[u8],
    once: Option<&Idempotency<Import>>,
) -> Result<Import> {
    let source = Source::of(file).await?;
    let (layout, total) = Layout::of_source(&source)?;
    let (now, size) = (app.clock.now(), i64::try_from(file.len()).unwrap_or(i64::MAX));
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = name.chars().filter(|letter| !letter.is_control()).take(MOST_NAME).collect();
    transact!(app, |tx| {
        let import = Import {
            id: ImportId::fresh(now, app.clock.in_turn()),
            number: store::next_numbers(tx, "import", 1).await?,
            what,
            file_name: if name.is_empty() { "pasted rows".to_owned() } else { name.clone() },
            size,
            layout: written(&layout)?,
            mapping: None,
            sample: None,
            state: ImportState::Uploaded,
            total,
            done: 0,
            counts: Counts::default(),
            connected_line: 0,
            created_at: now,
            created_by: actor.id.to_string(),
            came_from: actor.came_from.clone(),
            checked_at: None,
            started: None,
            finished_at: None,
            canceled_at: None,
            failed: None,
            forgotten_at: None,
            fence: 0,
            tries: 0,
        };
        imports::insert(tx, &import, &source.text).await?;
        let what = what.as_str();
        let told = json!({"number": import.number(), "what": what, "file": import.file_name, "rows": total});
        note(tx, now, &import.created_by, "import_uploaded", &import, &told);
        finish(tx, once, &import).await?;
        Ok(import)
    })
}

fn note(
    tx: &mut Tx,
    at: i64,
    actor: &str,
    action: &'static str,
    import: &Import,
    detail: &serde_json::Value,
) {
    let (actor, subject) = (actor.to_owned(), import.id.to_string());
    tx.audit(audit::Entry { at, actor, action, subject, detail: detail.to_string() });
}

fn written(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| corrupt(&error))
}

fn corrupt(error: &serde_json::Error) -> OpsError {
    OpsError::Internal(store::StoreError::Corrupt(error.to_string()))
}

/// The layout of the file.
///
/// # Errors
/// If what is stored cannot be read.
pub fn layout(import: &Import) -> Result<Layout> {
    serde_json::from_str(&import.layout).map_err(|error| corrupt(&error))
}

/// The first rows as they will be saved, once the file is checked.
///
/// # Errors
/// If what is stored cannot be read.
pub fn sample(import: &Import) -> Result<Sample> {
    let sample = import.sample.as_deref().map(serde_json::from_str).transpose();
    Ok(sample.map_err(|error| corrupt(&error))?.unwrap_or_default())
}

/// What each header maps to: as chosen by a person, or else as guessed.
pub async fn mapping(db: &mut Db, import: &Import) -> Result<Vec<Option<String>>> {
    if let Some(mapping) = &import.mapping {
        return serde_json::from_str(mapping).map_err(|error| corrupt(&error));
    }
    let remembered = imports::headers(db, import.what).await?;
    Ok(guess(import.what, &layout(import)?, &remembered))
}

/// The first rows of a file as uploaded.
///
/// # Errors
/// If the file has been deleted.
pub async fn first_rows(db: &mut Db, import: &Import, most: usize) -> Result<Vec<Vec<String>>> {
    let body = body(db, import).await?;
    let mut records = super::records::Records::of(&body, layout(import)?.delimiter())?;
    let good = std::iter::from_fn(|| records.next()).filter_map(|record| record.fields.ok());
    let rows: Vec<Vec<String>> = good.take(most).collect();
    let shown = |row: &Vec<String>| row.iter().map(|field| records.shown(field).to_owned()).collect();
    Ok(rows.iter().map(shown).collect())
}

async fn body(db: &mut Db, import: &Import) -> Result<String> {
    let body = imports::body(db, import.id).await?;
    body.ok_or_else(|| {
        let message = "The file was deleted after 30 days. Upload it again.";
        Refusal::new("file_forgotten", message).into()
    })
}

/// Sets what the headers map to, and has the file checked. A small file is checked before this returns.
///
/// # Errors
/// If the mapping is invalid, or the import is in the wrong state.
pub async fn name_columns(app: &App, named: &str, chosen: &[Option<String>]) -> Result<()> {
    let now = app.clock.now();
    let import = transact!(app, |tx| {
        let before = imports::find(tx, named).await?;
        let stopped = before.state == ImportState::Failed && before.started.is_none();
        if !matches!(before.state, ImportState::Uploaded | ImportState::Checked) && !stopped {
            return Err(not_now(&before));
        }
        let layout = layout(&before)?;
        places(before.what, &layout, chosen)?;
        imports::remember_headers(tx, before.what, &remembered(&layout, chosen), now).await?;
        let mapping = Some(written(&chosen)?);
        let state = ImportState::Checking;
        let (counts, failed) = (Counts::default(), None);
        let unchecked = Import { mapping, sample: None, counts, checked_at: None, ..before.clone() };
        let import = Import { state, failed, tries: 0, ..unchecked };
        // While the sender waits, no worker may take it.
        let free_at = if import.total <= UNIT { now + LEASE_US } else { now };
        save(tx, &before, import, free_at).await
    })?;
    if import.total <= UNIT {
        advance(app, &import).await?;
    }
    app.nudge.imports.notify();
    Ok(())
}

/// What to remember of each header. For a header that occurs twice, remembers the column chosen for it, not *leave it out*:
/// its second occurrence can only be left out, and in the next file it may occur once.
fn remembered(layout: &Layout, chosen: &[Option<String>]) -> Vec<(String, Option<String>)> {
    let mut remembered: Vec<(String, Option<String>)> = Vec::new();
    let headers = layout.headers.iter().map(|header| plain(header)).zip(chosen);
    for (header, column) in headers.filter(|(header, _)| !header.is_empty()) {
        match remembered.iter_mut().find(|(known, _)| *known == header) {
            None => remembered.push((header, column.clone())),
            Some((_, known)) => *known = known.take().or_else(|| column.clone()),
        }
    }
    remembered
}

/// Starts importing the rows as the check named by `seen` has shown them, or resumes an import that stopped.
///
/// # Errors
/// If the file is not checked, or was changed since it was shown.
pub async fn start(app: &App, actor: &Actor, named: &str, seen: i64) -> Result<Import> {
    let now = app.clock.now();
    let import = transact!(app, |tx| {
        let before = imports::find(tx, named).await?;
        let stopped = before.state == ImportState::Failed && before.started.is_some();
        if before.state != ImportState::Checked && !stopped {
            return Err(not_now(&before));
        }
        if before.fence != seen {
            let message =
                "Somebody changed this import since you looked at it, so nothing was done. Look again.";
            return Err(OpsError::Conflict(Refusal::new("changed_meanwhile", message)));
        }
        let started = Some((now, actor.id.to_string()));
        let state = ImportState::Importing;
        let mut import = Import { state, started, failed: None, tries: 0, ..before.clone() };
        if !stopped {
            // The counts of the check start over as rows are saved.
            import.counts = Counts::default();
            imports::clear_refused(tx, before.id).await?;
        }
        let body = json!({"number": import.number(), "what": import.what.as_str(), "rows": import.total});
        note(tx, now, &actor.id.to_string(), "import_started", &import, &body);
        save(tx, &before, import, now).await
    })?;
    app.nudge.imports.notify();
    Ok(import)
}

/// Cancels an import. Saved rows stay.
///
/// # Errors
/// If it has already ended.
pub async fn cancel(app: &App, actor: &Actor, named: &str) -> Result<Import> {
    let now = app.clock.now();
    let mut tries = 0;
    let import = loop {
        let canceled = transact!(app, |tx| {
            let before = imports::find(tx, named).await?;
            if matches!(before.state, ImportState::Done | ImportState::Canceled) {
                return Err(not_now(&before));
            }
            let state = ImportState::Canceled;
            let import = Import { state, canceled_at: Some(now), ..before.clone() };
            let body = json!({"number": import.number(), "done": import.done, "rows": import.total});
            note(tx, now, &actor.id.to_string(), "import_canceled", &import, &body);
            save(tx, &before, import, now).await
        });
        match canceled {
            // A unit finished at the same moment; retry.
            Err(OpsError::Conflict(_)) if tries < MOST_TRIES => tries += 1,
            canceled => break canceled?,
        }
    };
    app.nudge.notify_watchers();
    Ok(import)
}

fn not_now(import: &Import) -> OpsError {
    let message = match import.state {
        ImportState::Uploaded => "First map the columns of the file.",
        ImportState::Checking => "The file is still being checked. Wait until that is done.",
        ImportState::Checked => "The file is already checked and can be imported.",
        ImportState::Importing => "The file is already being imported.",
        ImportState::Done => "This import is done. To import again, upload the file again.",
        ImportState::Failed => "This import stopped. Its page says why.",
        ImportState::Canceled => "This import was canceled. To import it, upload the file again.",
    };
    OpsError::Conflict(Refusal::new("import_state", message))
}

/// Saves the state of an import, unless somebody else did in the meantime.
async fn save(tx: &mut Tx, before: &Import, import: Import, free_at: i64) -> Result<Import> {
    if imports::save(tx, before, &import, free_at).await? {
        return Ok(Import { fence: before.fence + 1, ..import });
    }
    let message = "Somebody changed this import at the same time, so nothing was done. Look again.";
    Err(OpsError::Conflict(Refusal::new("changed_meanwhile", message)))
}

/// Leases the import that has waited longest, for one unit of work.
pub async fn lease(app: &App, now: i64) -> Result<Option<Import>> {
    // Check with a read first: a write transaction would wait for others, only to find nothing.
    if !imports::any_due(&mut app.store.read().await?, now).await? {
        return Ok(None);
    }
    transact!(app, |tx| { Ok(imports::lease(tx, now, now + LEASE_US).await?) })
}

/// Does one unit of a leased import. Once all rows are saved, returns the destinations that are still to be set; the import
/// then stays leased.
///
/// # Errors
/// Database errors. Any other failure stops the import and is recorded as its reason.
pub async fn advance(app: &App, import: &Import) -> Result<Vec<ToConnect>> {
    if import.tries > MOST_TRIES {
        let message = "It was started several times and could not continue. Bursar's log says why.";
        fail(app, import, message).await?;
        return Ok(Vec::new());
    }
    match unit(app, import).await {
        Ok(to_connect) => return Ok(to_connect),
        Err(OpsError::Refused(refusal)) => fail(app, import, &refusal.sentence).await?,
        // Somebody canceled it, or entered one of its rows at the same moment: try again.
        Err(OpsError::Conflict(_)) => release(app, import, app.clock.now()).await?,
        Err(error) => return Err(error),
    }
    Ok(Vec::new())
}

async fn unit(app: &App, import: &Import) -> Result<Vec<ToConnect>> {
    let body = body(&mut app.store.read().await?, import).await?;
    counted_as_now(import, &body)?;
    match import.state {
        ImportState::Checking => check(app, import, &body).await.map(|()| Vec::new()),
        ImportState::Importing if import.done >= import.total => left_to_connect(app, import, &body).await,
        ImportState::Importing => enter_some(app, import, &body).await.map(|()| Vec::new()),
        ImportState::Uploaded
        | ImportState::Checked
        | ImportState::Done
        | ImportState::Failed
        | ImportState::Canceled => Ok(Vec::new()),
    }
}

/// Refuses to continue with a file stored by a version that counted rows differently: its rows are not the ones that were
/// shown.
fn counted_as_now(import: &Import, body: &str) -> Result<()> {
    if layout(import)?.lines.is_none() && Layout::of(body)?.1 != import.total {
        let message = "Since Bursar was updated it reads quotation marks more strictly, and the rows differ from those shown. Upload the file again; nothing is entered twice.";
        return Err(Refusal::new("changed_meanwhile", message).into());
    }
    Ok(())
}

/// Some rows of the file, with the chosen column mapping.
fn table(import: &Import, body: &str, some: std::ops::Range<i64>) -> Result<Table> {
    let layout = layout(import)?;
    let mapping = import.mapping.as_deref().unwrap_or("[]");
    let chosen: Vec<Option<String>> = serde_json::from_str(mapping).map_err(|error| corrupt(&error))?;
    let places = places(import.what, &layout, &chosen)?;
    let place = |at: i64| usize::try_from(at).unwrap_or(usize::MAX);
    Ok(Table::mapped(body, &layout, &places, place(some.start)..place(some.end))?)
}

/// Checks what the import would do.
async fn check(app: &App, import: &Import, body: &str) -> Result<()> {
    let table = table(import, body, 0..i64::MAX)?;
    let actor = on_behalf(app, import).await?;
    let (report, entered) = match import.what {
        ImportKind::Rewards => {
            let mut db = app.store.read().await?;
            let (entered, report) = sorted(&mut db, app, &actor, &table).await?;
            (report, entered)
        }
        ImportKind::Partners | ImportKind::Accounts | ImportKind::Activities => {
            let (report, _) =
                transact!(app, |tx| { catalogued(tx, app, &actor, import.what, &table, true).await })?;
            (report, Vec::new())
        }
    };
    let sample = match import.what {
        ImportKind::Rewards => {
            let sample = of_rewards(&mut app.store.read().await?, &table, &entered).await?;
            Sample { totals: report.totals.iter().map(ToString::to_string).collect(), ..sample }
        }
        ImportKind::Partners | ImportKind::Accounts | ImportKind::Activities => {
            of_catalogue(import.what, &table, &report)
        }
    };
    let now = app.clock.now();
    transact!(app, |tx| {
        imports::clear_refused(tx, import.id).await?;
        imports::note_refused(tx, import.id, &refused(&report)).await?;
        let checked = Import {
            counts: counts(&report),
            sample: Some(written(&sample)?),
            state: ImportState::Checked,
            checked_at: Some(now),
            tries: 0,
            ..import.clone()
        };
        save(tx, import, checked, now).await?;
        Ok(())
    })
}

/// Saves the next rows: some rewards, or all rows of any other kind, where a later row may contradict an earlier one.
async fn enter_some(app: &App, import: &Import, body: &str) -> Result<()> {
    let actor = on_behalf(app, import).await?;
    let end = match import.what {
        ImportKind::Rewards => import.total.min(import.done + UNIT),
        ImportKind::Partners | ImportKind::Accounts | ImportKind::Activities => import.total,
    };
    let table = table(import, body, import.done..end)?;
    let now = app.clock.now();
    let connects = transact!(app, |tx| {
        let (report, to_connect) = match import.what {
            ImportKind::Rewards => (insert_rows(tx, app, &actor, &table).await?, Vec::new()),
            ImportKind::Partners | ImportKind::Accounts | ImportKind::Activities => {
                catalogued(tx, app, &actor, import.what, &table, false).await?
            }
        };
        imports::note_refused(tx, import.id, &refused(&report)).await?;
        let (had, more) = (import.counts, counts(&report));
        let counts = Counts {
            accepted: had.accepted + more.accepted,
            duplicates: had.duplicates + more.duplicates,
            rejected: had.rejected + more.rejected,
        };
        // Current as of now: a destination may have changed since the check.
        let destinations = Destinations::of(&report.destinations);
        let sample = Some(written(&Sample { destinations, ..sample(import)? })?);
        let further = Import { done: end, counts, sample, tries: 0, ..import.clone() };
        if end < import.total || !to_connect.is_empty() {
            save(tx, import, further, now).await?;
        } else {
            done(tx, import, further, now).await?;
        }
        Ok(!to_connect.is_empty())
    })?;
    if connects {
        app.nudge.imports.notify();
    }
    app.nudge.notify_watchers();
    Ok(())
}

/// Marks an import as done.
async fn done(tx: &mut Tx, before: &Import, import: Import, now: i64) -> Result<()> {
    let counts = import.counts;
    let body = json!({
        "number": import.number(), "accepted": counts.accepted, "duplicates": counts.duplicates,
        "rejected": counts.rejected, "destinations_changed": sample(&import)?.destinations.changed,
    });
    let by = import.started.as_ref().map_or(import.created_by.clone(), |(_, by)| by.clone());
    note(tx, now, &by, "import_finished", &import, &body);
    let done = Import { state: ImportState::Done, finished_at: Some(now), ..import };
    save(tx, before, done, now).await?;
    Ok(())
}

async fn catalogued(
    tx: &mut Tx,
    app: &App,
    actor: &Actor,
    what: ImportKind,
    table: &Table,
    dry_run: bool,
) -> Result<(Report, Vec<ToConnect>)> {
    match what {
        ImportKind::Partners => catalogue::partners_of(tx, app, actor, table, dry_run).await,
        ImportKind::Accounts => catalogue::accounts_of(tx, app, actor, table, dry_run).await,
        ImportKind::Activities => {
            Ok((catalogue::activities_of(tx, app, actor, table, dry_run).await?, Vec::new()))
        }
        ImportKind::Rewards => Ok((Report::default(), Vec::new())),
    }
}

/// The destinations named by the file that are still to be set. If there are none, the import is done.
async fn left_to_connect(app: &App, import: &Import, body: &str) -> Result<Vec<ToConnect>> {
    let table = table(import, body, 0..i64::MAX)?;
    let actor = on_behalf(app, import).await?;
    let now = app.clock.now();
    let cursor = u64::try_from(import.connected_line).unwrap_or_default();
    transact!(app, |tx| {
        let (_, to_connect) = catalogued(tx, app, &actor, import.what, &table, true).await?;
        let left: Vec<ToConnect> = to_connect.into_iter().filter(|one| one.line > cursor).collect();
        if left.is_empty() {
            done(tx, import, import.clone(), now).await?;
        }
        Ok(left)
    })
}

/// Records that the destination on a line was set, or why not; the import stays leased.
///
/// # Errors
/// [`OpsError::Conflict`] if the import was canceled in the meantime.
pub async fn connected(
    app: &App,
    import: &Import,
    one: (u64, Option<&DestinationChange>),
    refusal: Option<&str>,
) -> Result<Import> {
    let now = app.clock.now();
    let line = i64::try_from(one.0).unwrap_or(i64::MAX);
    transact!(app, |tx| {
        let mut further = Import { connected_line: line, tries: 0, ..import.clone() };
        if let Some(message) = refusal {
            // Count the row once: it was counted when it was saved, and is rejected now.
            let Counts { accepted, duplicates, rejected } = &mut further.counts;
            *if *accepted > 0 { accepted } else { duplicates } -= 1;
            *rejected += 1;
            if let Some(destined) = one.1 {
                let mut sample = sample(import)?;
                sample.destinations.refused(destined);
                further.sample = Some(written(&sample)?);
            }
            let (field, code) = ("destination".to_owned(), "destination_refused".to_owned());
            let detail = format!("The row is saved, but its destination was not set: {message}");
            imports::note_refused(
                tx,
                import.id,
                &[Refused { line, field, code, detail, value: String::new() }],
            )
            .await?;
        }
        save(tx, import, further, now + LEASE_US).await
    })
}

/// Releases the lease; the import can be leased again from `free_at`.
pub async fn release(app: &App, import: &Import, free_at: i64) -> Result<()> {
    transact!(app, |tx| {
        imports::save(tx, import, import, free_at).await?;
        Ok(())
    })
}

async fn fail(app: &App, import: &Import, why: &str) -> Result<()> {
    let now = app.clock.now();
    transact!(app, |tx| {
        let failed = Some((now, why.to_owned()));
        let stopped = Import { state: ImportState::Failed, failed, ..import.clone() };
        // If somebody canceled it in the meantime, it did not fail.
        if imports::save(tx, import, &stopped, now).await? {
            let body = json!({"number": stopped.number(), "why": why});
            note(tx, now, "imports", "import_failed", &stopped, &body);
        }
        Ok(())
    })
}

/// The person who started the import, if they still may.
///
/// # Errors
/// If they no longer may.
pub async fn on_behalf(app: &App, import: &Import) -> Result<Actor> {
    let by = import.started.as_ref().map_or(import.created_by.as_str(), |(_, by)| by);
    let Some(id) = PersonId::parse(by) else { return Err(OpsError::Missing) };
    let person = persons::by_id(&mut app.store.read().await?, id).await?;
    let came_from = import.came_from.clone();
    let Some(person) = person else {
        // People are never deleted, so it was started from the command line.
        let (role, name) = (payout::access::Role::Admin, String::new());
        return Ok(Actor { id, name, role, partner: None, may_write: true, came_from });
    };
    if person.disabled_at.is_some() || !allows(person.role, permission(import.what)) {
        let message = "The person who started it may no longer do so. Upload the file again.";
        return Err(Refusal::new("permission_denied", message).into());
    }
    Ok(Actor { came_from, ..people::actor(&person) })
}

fn counts(report: &Report) -> Counts {
    let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    Counts {
        accepted: count(report.accepted),
        duplicates: count(report.duplicates),
        rejected: count(report.rejected.len() as u64),
    }
}

fn refused(report: &Report) -> Vec<Refused> {
    let row = |error: &RowError| Refused {
        line: i64::try_from(error.line).unwrap_or(i64::MAX),
        field: error.column.to_owned(),
        code: error.code.to_owned(),
        detail: error.detail.clone(),
        value: error.value.clone(),
    };
    report.rejected.iter().map(row).collect()
}

/// The rejected rows, as a file that can be fixed and uploaded again.
///
/// # Errors
/// If the file has been deleted.
pub async fn refused_file(db: &mut Db, import: &Import) -> Result<String> {
    let body = body(db, import).await?;
    let refused = imports::refused(db, import.id, i64::MAX).await?;
    Ok(error_file::write(&body, &layout(import)?, &refused)?)
}

/// Deletes the uploaded files that are past their retention.
pub async fn forget(app: &App, now: i64) -> Result<u64> {
    if !imports::any_kept(&mut app.store.read().await?, now - KEPT_US).await? {
        return Ok(0);
    }
    transact!(app, |tx| { Ok(imports::forget_files(tx, now - KEPT_US, now).await?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_that_stands_twice_is_remembered_as_what_it_stood_for() {
        let text = "id,Amount,Currency,Amount,Currency,Extra\nR,5,USD,4,EUR,x\n";
        let (layout, _) = Layout::of(text).unwrap();
        let chosen = ["external_id", "value", "", "", "currency", ""];
        let chosen = chosen.map(|name| Some(name.to_owned()).filter(|name| !name.is_empty()));
        let kept = remembered(&layout, &chosen);
        let told: Vec<(&str, &str)> =
            kept.iter().map(|(header, column)| (header.as_str(), column.as_deref().unwrap_or("-"))).collect();
        assert_eq!(
            told,
            [("id", "external_id"), ("amount", "value"), ("currency", "currency"), ("extra", "-")]
        );
        let (ordinary, _) = Layout::of("id,Amount,Currency\nR,5,USD\n").unwrap();
        let guessed: Vec<Option<String>> = guess(ImportKind::Rewards, &ordinary, &kept);
        assert_eq!(guessed.iter().flatten().collect::<Vec<_>>(), ["external_id", "value", "currency"]);
    }
}
