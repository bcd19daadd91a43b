//! Exports: the list, each export's content and progress, and its file while it is stored. Starting one is in `new`.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;

use payout::access::Permission;

use super::query;
use crate::app::App;
use crate::documents::{Format, Kind};
use crate::ops::exports::{self as verbs, ExportRequest, KEPT_DAYS};
use crate::store::exports::{self, Run, State as Stands};
use crate::store::{Db, StoreError};
use crate::web::kit::form::{ListQuery, Pager, Query, encode_cursor};
use crate::web::kit::format::{Chip, ShortTime, When, count};
use crate::web::kit::layout::{Frame, MenuItem, PageContext};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, get};
use crate::web::kit::sse;

pub fn routes() -> Vec<Route> {
    let reads = Access::May(Permission::Read);
    vec![
        get("/exports", reads, list),
        get("/exports/{number}", reads, show),
        get("/exports/{number}/file", reads, file),
        get("/exports/{number}/events", reads, events),
    ]
}

/// An export, as a table row and as a page.
struct Row {
    number: String,
    what: &'static str,
    told: String,
    format: String,
    by: String,
    at: ShortTime,
    rows: String,
    size: String,
    chip: Chip,
    kept: bool,
    kept_until: Option<When>,
    moving: bool,
    why: Option<String>,
}

impl Row {
    fn of(run: &Run) -> Self {
        let moving = run.is_moving();
        let rows = match moving {
            true => format!("{} of {}", count(run.rows_done), count(run.rows_expected)),
            false => count(run.rows_done),
        };
        Self {
            number: run.label(),
            what: Kind::parse(&run.kind).map_or("", Kind::label),
            told: run.told.clone(),
            format: run.format.to_uppercase(),
            by: run.by.1.clone(),
            at: ShortTime(run.created_at),
            rows,
            size: if run.bytes > 0 { size(run.bytes) } else { String::new() },
            chip: chip(run),
            kept: run.is_kept(),
            kept_until: run.kept_until.filter(|_| run.is_kept()).map(When),
            moving,
            why: run.failed.as_ref().map(|(_, why)| why.clone()),
        }
    }
}

fn chip(run: &Run) -> Chip {
    let (tone, words) = match run.state {
        Stands::Gathering | Stands::Packing => ("wait", "In progress"),
        Stands::Ready if run.forgotten_at.is_some() => ("", "No longer kept"),
        Stands::Ready => ("fine", "Ready"),
        Stands::Sent => ("fine", "Sent"),
        Stands::Failed => ("bad", "Failed"),
    };
    Chip { tone, words }
}

/// A file size: `640 bytes`, `12 KB`, `3.4 MB`.
pub fn size(bytes: i64) -> String {
    match bytes {
        ..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{} KB", bytes / 1_000),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000),
    }
}

/// The kinds of exports a role may see; the activity log only for those who may read it.
fn kinds(context: &PageContext) -> Vec<&'static str> {
    let audits = context.may(Permission::Audit);
    Kind::ALL.into_iter().filter(|kind| audits || *kind != Kind::Audit).map(Kind::as_str).collect()
}

#[derive(Template)]
#[template(path = "exports/list.html")]
struct ListPage {
    frame: Frame,
    /// The kinds of exports: value and label.
    of: Vec<(&'static str, &'static str)>,
    rows: Vec<Row>,
    turn: Pager,
    days: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListParams {}

async fn list(
    State(app): State<App>,
    context: PageContext,
    ListQuery(ListParams {}, paging): ListQuery<ListParams>,
) -> Result<Response, Problem> {
    let kinds = kinds(&context);
    let before = paging.after_parts::<1>()?.and_then(|[number]| number.parse().ok());
    let mut db = app.store.read().await?;
    let mut found = exports::list(&mut db, &kinds, before, paging.limit + 1).await?;
    let limit = usize::try_from(paging.limit).unwrap_or(usize::MAX);
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|last| encode_cursor(&[&last.number.to_string()]));
    let known = Kind::ALL.into_iter().filter(|kind| kinds.contains(&kind.as_str()));
    let page = ListPage {
        frame: context.frame("Exports", MenuItem::Exports),
        of: known.map(|kind| (kind.as_str(), kind.label())).collect(),
        rows: found.iter().map(Row::of).collect(),
        turn: paging.turn(found.len(), next.as_deref(), None),
        days: KEPT_DAYS,
    };
    context.show(&page)
}

/// The export with a number or an id, if the person may see it.
async fn find(db: &mut Db, context: &PageContext, label: &str) -> Result<Run, Problem> {
    let number: Option<i64> = label.strip_prefix("EX-").and_then(|digits| digits.parse().ok());
    let found = match number {
        Some(number) => exports::find(db, number).await,
        None => exports::by_id(db, label).await,
    };
    let run = match found {
        Ok(run) => run,
        Err(StoreError::Missing) => return Err(Problem::missing()),
        Err(error) => return Err(error.into()),
    };
    if kinds(context).contains(&run.kind.as_str()) { Ok(run) } else { Err(Problem::missing()) }
}

#[derive(Template)]
#[template(path = "exports/show.html")]
struct ExportPage {
    frame: Frame,
    row: Row,
    /// The version that the page shows.
    seen: i64,
    columns: Vec<&'static str>,
    /// The progress, in thousandths of the whole.
    done: i64,
    days: i64,
}

async fn show(
    State(app): State<App>,
    context: PageContext,
    Path(number): Path<String>,
) -> Result<Response, Problem> {
    let run = find(&mut app.store.read().await?, &context, &number).await?;
    let done = run.rows_done.saturating_mul(1_000).checked_div(run.rows_expected).unwrap_or(0);
    let page = ExportPage {
        frame: context.frame(run.label(), MenuItem::Exports),
        columns: original_request(&run).heads().iter().map(|head| head.words).collect(),
        row: Row::of(&run),
        seen: run.change_number(),
        done: done.clamp(0, 1_000),
        days: KEPT_DAYS,
    };
    context.show(&page)
}

/// The original request; if it can no longer be read, only its format.
fn original_request(run: &Run) -> ExportRequest {
    let kept = serde_json::from_str(&run.asked).ok().as_ref().and_then(ExportRequest::read);
    kept.unwrap_or_else(|| ExportRequest {
        scope: verbs::Scope::Audit(Box::default()),
        format: Format::parse(&run.format).unwrap_or(Format::Csv),
        marked: false,
        columns: Vec::new(),
        filter_summary: run.told.clone(),
    })
}

async fn file(
    State(app): State<App>,
    context: PageContext,
    Path(number): Path<String>,
) -> Result<Response, Problem> {
    let run = find(&mut app.store.read().await?, &context, &number).await?;
    verbs::note_download(&app, &context.actor, &run).await?;
    Ok(query::kept(&app, &run, &original_request(&run)))
}

async fn events(
    State(app): State<App>,
    context: PageContext,
    Path(number): Path<String>,
    Query(params): Query<sse::StreamParams>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let run = find(&mut app.store.read().await?, &context, &number).await?;
    sse::watching(app, context.actor.id, sse::LiveSubject::Export(run.number), &params, &headers).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_told_in_words() {
        assert_eq!([size(999), size(12_345), size(3_450_000)], ["999 bytes", "12 KB", "3.4 MB"]);
    }
}
