//! One import: mapping its columns, what it would do, progress, result, and its rejected rows as a file.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::list::{IMPORTS, chip, has_error_file};
use crate::app::App;
use crate::ops::OpsError;
use crate::ops::import::runs::{self as verbs, Sample};
use crate::ops::import::{Destinations, Sheet};
use crate::store::imports::{self, Import, ImportKind, ImportState, Refused};
use crate::store::{Db, StoreError};
use crate::web::kit::form::{Form, Query};
use crate::web::kit::format::{Chip, When, count, how_many};
use crate::web::kit::history::Line;
use crate::web::kit::layout::{Flash, Frame, LOOKS, MenuItem, PageContext};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Route, get, post};
use crate::web::kit::session::CurrentActor;
use crate::web::kit::{history, sse};

pub fn routes() -> Vec<Route> {
    vec![
        get("/imports/{number}", LOOKS, show),
        get("/imports/{number}/events", LOOKS, events),
        get("/imports/{number}/columns", IMPORTS, columns_form),
        post("/imports/{number}/columns", IMPORTS, name_columns),
        post("/imports/{number}/start", IMPORTS, start),
        post("/imports/{number}/cancel", IMPORTS, cancel),
        get("/imports/{number}/refused.csv", IMPORTS, error_file),
    ]
}

/// How many rejected rows the page lists; the file has all of them.
const MOST_REFUSED: i64 = 200;
/// How many rows of the file to show next to its columns.
const EXAMPLES: usize = 3;
/// The form value of a header that maps to none of our columns.
const LEFT_OUT: &str = "-";

/// The import, if this person may import its kind.
async fn mine(db: &mut Db, context: &PageContext, number: &str) -> Result<Import, Problem> {
    let import = imports::find(db, number).await?;
    if context.may(verbs::permission(import.what)) { Ok(import) } else { Err(Problem::forbidden()) }
}

fn rows(number: i64) -> String {
    how_many(usize::try_from(number).unwrap_or_default(), "row", "rows")
}

#[derive(Template)]
#[template(path = "imports/show.html")]
struct ImportPage {
    frame: Frame,
    number: String,
    cancel: String,
    what: ImportKind,
    file: String,
    total: String,
    by: String,
    at: When,
    chip: Chip,
    moving: bool,
    told: String,
    tone: &'static str,
    /// The progress, in thousandths; `None` if unknown.
    bar: Option<i64>,
    counts: Vec<(&'static str, String)>,
    /// The counts of its lines, if they were counted.
    lines: Option<String>,
    /// The sheet of a workbook that was read.
    sheet: Option<Sheet>,
    sample: Sample,
    refused: Vec<Refused>,
    refused_in_all: String,
    refused_more: bool,
    left_out: Vec<String>,
    /// The changes to existing payees' destinations.
    destinations: Option<String>,
    /// The label of the import button.
    enters: String,
    error_file: bool,
    forgotten: Option<When>,
    seen: i64,
    /// Why the Import button is disabled.
    why_not: Option<&'static str>,
    may: bool,
    checked: bool,
    stopped: bool,
    ended: bool,
    history: Vec<Line>,
}

impl ImportPage {
    /// The label of the link to the imported records.
    fn looks_at(&self) -> Option<&'static str> {
        match self.what {
            ImportKind::Rewards => Some("Review rewards"),
            ImportKind::Partners => Some("View partners"),
            ImportKind::Accounts => Some("View accounts"),
            ImportKind::Activities => None,
        }
    }

    fn leads_to(&self) -> &'static str {
        match self.what {
            ImportKind::Rewards | ImportKind::Activities => "/rewards",
            ImportKind::Partners => "/partners",
            ImportKind::Accounts => "/partners?kind=companies",
        }
    }
}

async fn show(
    State(app): State<App>,
    context: PageContext,
    Path(number): Path<String>,
) -> Result<Response, Problem> {
    let mut db = app.store.read().await?;
    let import = imports::find(&mut db, &number).await?;
    let may = context.may(verbs::permission(import.what));
    if import.state == ImportState::Uploaded && may {
        return Ok(Redirect::to(&format!("/imports/{}/columns", import.number())).into_response());
    }
    let names = history::names(&mut db, std::iter::once(import.created_by.as_str())).await?;
    let layout = verbs::layout(&import)?;
    let left_out = match import.mapping {
        Some(_) => {
            let mapping = verbs::mapping(&mut db, &import).await?;
            let out = mapping.iter().enumerate().filter(|(_, column)| column.is_none());
            out.map(|(place, _)| layout.name(place)).collect()
        }
        None => Vec::new(),
    };
    let known = import.checked_at.is_some() && import.state != ImportState::Checking;
    let refused = match known {
        true => imports::refused(&mut db, import.id, MOST_REFUSED).await?,
        false => Vec::new(),
    };
    let checked = import.state == ImportState::Checked;
    let sample = verbs::sample(&import)?;
    let page = ImportPage {
        frame: context.frame(import.number(), MenuItem::Imports),
        number: import.number(),
        cancel: format!("/imports/{}/cancel", import.number()),
        what: import.what,
        total: rows(import.total),
        by: names.get(&import.created_by).cloned().unwrap_or_default(),
        at: When(import.created_at),
        chip: chip(import.state),
        moving: import.state.moving(),
        told: progress_sentence(&import),
        tone: tone(&import),
        bar: bar(&import),
        counts: if known { counted(&import) } else { Vec::new() },
        lines: layout.lines.map(|lines| lines.to_string()),
        sheet: layout.sheet.clone(),
        destinations: destinations(&import, &sample.destinations),
        enters: match sample.destinations.changed {
            0 => "Import".to_owned(),
            changed => {
                format!("Import, and change {} destination{}", changed, if changed == 1 { "" } else { "s" })
            }
        },
        sample: if checked {
            sample
        } else {
            Sample { destinations: sample.destinations, ..Sample::default() }
        },
        refused_in_all: rows(import.counts.rejected),
        refused_more: import.counts.rejected > MOST_REFUSED,
        refused,
        left_out,
        error_file: has_error_file(&import) && may,
        forgotten: import.forgotten_at.map(When),
        seen: import.fence,
        why_not: (import.counts.accepted == 0).then_some("Nothing to import: no row is both valid and new."),
        may,
        checked,
        stopped: import.state == ImportState::Failed,
        ended: matches!(import.state, ImportState::Done | ImportState::Canceled),
        history: history::of(&mut db, &import.id.to_string(), 20).await?,
        file: import.file_name,
    };
    context.show(&page)
}

/// The state of the import in a sentence, announced to screen readers when it changes.
fn progress_sentence(import: &Import) -> String {
    let counts = import.counts;
    let (done, total) = (count(import.done), rows(import.total));
    let (accepted, there, refused) = (rows(counts.accepted), rows(counts.duplicates), rows(counts.rejected));
    let entered = match import.what {
        ImportKind::Rewards => "imported",
        ImportKind::Partners | ImportKind::Accounts | ImportKind::Activities => "saved",
    };
    match import.state {
        ImportState::Uploaded => "The columns of the file have not been matched yet.".to_owned(),
        ImportState::Checking => format!("The {total} are being checked. Nothing is {entered} yet."),
        ImportState::Checked => format!(
            "{accepted} would be {entered}, {there} already there with the same content, {refused} refused. Nothing is {entered} yet."
        ),
        ImportState::Importing if import.done < import.total => format!("{done} of {total} are done."),
        ImportState::Importing => "All rows are saved. The destinations are being set one by one.".to_owned(),
        ImportState::Done => {
            format!("{accepted} {entered}, {there} already there with the same content, {refused} refused.")
        }
        ImportState::Failed => {
            let why = import.failed.as_ref().map_or("", |(_, why)| why.as_str());
            match import.started {
                Some(_) => format!("It stopped after {done} of {total}: {why} Rows already {entered} stay."),
                None => format!("It could not be checked: {why} Nothing is {entered}."),
            }
        }
        ImportState::Canceled if import.started.is_some() => {
            format!("It was canceled after {done} of {total}. {accepted} {entered} before that stay.")
        }
        ImportState::Canceled => format!("It was canceled before anything was {entered}."),
    }
}

/// The changes to existing payees' destinations. If the import stopped, the payees' pages show how far it came.
fn destinations(import: &Import, of: &Destinations) -> Option<String> {
    match import.state {
        ImportState::Checked | ImportState::Importing => of.destination_changes(true),
        ImportState::Done => of.destination_changes(false),
        ImportState::Failed | ImportState::Canceled if import.done > 0 => of.destination_changes(true).map(|told| {
            format!(
                "{told} It stopped before all destinations were changed. Each payee's page shows their current destination."
            )
        }),
        ImportState::Uploaded | ImportState::Checking | ImportState::Failed | ImportState::Canceled => None,
    }
}

fn tone(import: &Import) -> &'static str {
    match import.state {
        ImportState::Failed => "bad",
        ImportState::Uploaded | ImportState::Canceled => "warn",
        ImportState::Done | ImportState::Checked if import.counts.rejected > 0 => "warn",
        ImportState::Done => "good",
        ImportState::Checked | ImportState::Checking | ImportState::Importing => "note",
    }
}

fn bar(import: &Import) -> Option<i64> {
    let shown = import.state == ImportState::Importing || import.started.is_some();
    (import.done.saturating_mul(1_000)).checked_div(import.total).filter(|_| shown)
}

fn counted(import: &Import) -> Vec<(&'static str, String)> {
    let future = import.state == ImportState::Checked;
    let first = match (import.what, future) {
        (ImportKind::Rewards, true) => "would be imported",
        (ImportKind::Rewards, false) => "imported",
        (ImportKind::Partners | ImportKind::Accounts | ImportKind::Activities, true) => {
            "would be added or changed"
        }
        (ImportKind::Partners | ImportKind::Accounts | ImportKind::Activities, false) => "added or changed",
    };
    let counts = import.counts;
    vec![
        (first, count(counts.accepted)),
        ("already there", count(counts.duplicates)),
        ("refused", count(counts.rejected)),
    ]
}

async fn events(
    State(app): State<App>,
    CurrentActor(actor): CurrentActor,
    Path(number): Path<String>,
    Query(params): Query<sse::StreamParams>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    sse::watching(app, actor.id, sse::LiveSubject::Import(number), &params, &headers).await
}

/// A column of the file: its name, its first values, and which of ours it maps to.
struct Header {
    place: usize,
    name: String,
    examples: Vec<String>,
    stands_for: String,
}

#[derive(Template)]
#[template(path = "imports/columns.html")]
struct ColumnsPage {
    frame: Frame,
    number: String,
    cancel: String,
    what: ImportKind,
    file: String,
    total: String,
    delimiter: &'static str,
    /// The sheet of a workbook, which has no delimiter.
    sheet: Option<Sheet>,
    headers: Vec<Header>,
    columns: Vec<(&'static str, bool)>,
    required: &'static [&'static str],
    refused: Option<String>,
}

async fn columns_form(
    State(app): State<App>,
    context: PageContext,
    Path(number): Path<String>,
) -> Result<Response, Problem> {
    let mut db = app.store.read().await?;
    let import = mine(&mut db, &context, &number).await?;
    let stopped = import.state == ImportState::Failed && import.started.is_none();
    if !matches!(import.state, ImportState::Uploaded | ImportState::Checked) && !stopped {
        return Ok(Redirect::to(&format!("/imports/{}", import.number())).into_response());
    }
    let mapping = verbs::mapping(&mut db, &import).await?;
    columns_page(&mut db, &context, import, mapping, None).await
}

async fn columns_page(
    db: &mut Db,
    context: &PageContext,
    import: Import,
    mapping: Vec<Option<String>>,
    refused: Option<String>,
) -> Result<Response, Problem> {
    let layout = verbs::layout(&import)?;
    let first = verbs::first_rows(db, &import, EXAMPLES).await?;
    let header = |(place, stands_for): (usize, Option<String>)| Header {
        place,
        name: layout.name(place),
        examples: first.iter().filter_map(|row| row.get(place)).map(|text| shortened(text)).collect(),
        stands_for: stands_for.unwrap_or_else(|| LEFT_OUT.to_owned()),
    };
    let required = verbs::required(import.what);
    let status = if refused.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let page = ColumnsPage {
        frame: context.frame(format!("Columns of {}", import.number()), MenuItem::Imports),
        number: import.number(),
        cancel: format!("/imports/{}/cancel", import.number()),
        what: import.what,
        total: rows(import.total),
        delimiter: layout.delimiter_words(),
        sheet: layout.sheet.clone(),
        headers: mapping.into_iter().enumerate().map(header).collect(),
        columns: verbs::columns(import.what).iter().map(|name| (*name, required.contains(name))).collect(),
        required,
        refused,
        file: import.file_name,
    };
    Ok((status, context.show(&page)?).into_response())
}

/// The start of a value, as an example.
fn shortened(text: &str) -> String {
    const MOST: usize = 40;
    match text.chars().nth(MOST) {
        Some(_) => text.chars().take(MOST).chain(['…']).collect(),
        None => text.to_owned(),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ColumnChoices {
    /// One entry per header of the file, in order.
    #[serde(default)]
    stands_for: Vec<String>,
}

async fn name_columns(
    State(app): State<App>,
    context: PageContext,
    Path(number): Path<String>,
    Form(chosen): Form<ColumnChoices>,
) -> Result<Response, Problem> {
    let import = mine(&mut app.store.read().await?, &context, &number).await?;
    let mapping: Vec<Option<String>> =
        chosen.stands_for.into_iter().map(|name| Some(name).filter(|name| name != LEFT_OUT)).collect();
    match verbs::name_columns(&app, &import.id.to_string(), &mapping).await {
        Ok(()) => Ok(Redirect::to(&format!("/imports/{}", import.number())).into_response()),
        Err(OpsError::Refused(refusal)) if refusal.field == Some("columns") => {
            let mut db = app.store.read().await?;
            let fits = mapping.len() == verbs::layout(&import)?.headers.len();
            let mapping = if fits { mapping } else { verbs::mapping(&mut db, &import).await? };
            columns_page(&mut db, &context, import, mapping, Some(refusal.sentence)).await
        }
        Err(error) => Ok(Flash::refused(error)?.on(&format!("/imports/{}", import.number()))),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Start {
    /// The version of the check that was shown.
    seen: i64,
}

async fn start(
    State(app): State<App>,
    context: PageContext,
    Path(number): Path<String>,
    Form(sent): Form<Start>,
) -> Result<Response, Problem> {
    let import = mine(&mut app.store.read().await?, &context, &number).await?;
    let page = format!("/imports/{}", import.number());
    match verbs::start(&app, &context.actor, &import.id.to_string(), sent.seen).await {
        Ok(_) => Ok(Redirect::to(&page).into_response()),
        Err(error) => Ok(Flash::refused(error)?.on(&page)),
    }
}

async fn cancel(
    State(app): State<App>,
    context: PageContext,
    Path(number): Path<String>,
) -> Result<Response, Problem> {
    let import = mine(&mut app.store.read().await?, &context, &number).await?;
    let page = format!("/imports/{}", import.number());
    match verbs::cancel(&app, &context.actor, &import.id.to_string()).await {
        Ok(_) => Ok(Redirect::to(&page).into_response()),
        Err(error) => Ok(Flash::refused(error)?.on(&page)),
    }
}

async fn error_file(
    State(app): State<App>,
    context: PageContext,
    Path(number): Path<String>,
) -> Result<Response, Problem> {
    let mut db = app.store.read().await?;
    let import = mine(&mut db, &context, &number).await?;
    if !has_error_file(&import) {
        return Err(StoreError::Missing.into());
    }
    let file = verbs::refused_file(&mut db, &import).await?;
    let named = format!("attachment; filename=\"{}-refused.csv\"", import.number());
    let kind = "text/csv; charset=utf-8".to_owned();
    Ok(([(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, named)], file).into_response())
}

#[cfg(test)]
mod tests {
    use super::shortened;

    #[test]
    fn an_example_is_the_beginning_of_a_field() {
        assert_eq!(shortened("short"), "short");
        assert_eq!(shortened(&"é".repeat(50)), format!("{}…", "é".repeat(40)));
    }
}
