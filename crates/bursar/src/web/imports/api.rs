//! `POST /rewards/import`, and the same for accounts, partners and activities.

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use payout::access::Permission;

use crate::app::App;
use crate::documents::Format;
use crate::ops::idempotency::Reply;
use crate::ops::import::{self, Lines, Report, Sheet};
use crate::web::kit::extract::{body, content_type};
use crate::web::kit::form::{Key, NotKept, Query};
use crate::web::kit::json::MoneyJson;
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, post};
use crate::web::kit::session::CurrentActor;

/// The largest file, in bytes.
const FILE_LIMIT: usize = 32 << 20;

/// The most lines in a file: every row is held in memory while the file is checked.
const MOST_LINES: usize = 200_000;

pub fn routes() -> Vec<Route> {
    vec![
        post("/api/v1/rewards/import", Access::May(Permission::Review), rewards)
            .up_to(FILE_LIMIT)
            .heavy()
            .needs_key()
            .says("Import rewards; each bad row is named, and the same file twice adds nothing")
            .filters::<Options>()
            .takes_rows()
            .answers::<ReportJson>(200),
    ]
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Options {
    /// Only report what would be done
    dry_run: Option<bool>,
}

/// The result of an import.
#[derive(Serialize, ToSchema)]
#[schema(as = ImportReport)]
pub struct ReportJson {
    accepted: u64,
    /// Rows that already existed with the same content.
    duplicates: u64,
    /// The number of rejected rows.
    rejected_count: usize,
    /// The first thousand rejected rows, each with its reason.
    rejected: Vec<RowErrorJson>,
    lines: LinesJson,
    /// Of an Excel workbook, the sheet that was read; null for a text file.
    sheet: Option<SheetJson>,
    /// The total of the accepted rewards, one per currency.
    totals: Vec<MoneyJson>,
}

/// Counts of the file's lines. `accepted`, `duplicates` and `rejected_count` add up to `total` minus the other three
/// counts.
#[derive(Serialize, ToSchema)]
#[schema(as = ImportLines)]
struct LinesJson {
    total: u64,
    header: u64,
    /// Empty lines.
    blank: u64,
    /// Lines that continue the row above, after a line break inside quotes.
    continued: u64,
}

/// The sheet of a workbook that was read: the first visible one with rows.
#[derive(Serialize, ToSchema)]
#[schema(as = ImportSheet)]
struct SheetJson {
    name: String,
    /// Other visible sheets with rows, which were not read.
    others: Vec<String>,
}

/// The most rejected rows in a response: with more of them, the file is at fault, not its rows.
const MOST_NAMED: usize = 1_000;

/// Why a row was rejected.
#[derive(Serialize, ToSchema)]
#[schema(as = ImportRowError)]
struct RowErrorJson {
    /// The line on which the row begins, or the row of the sheet; the header of a text file is line 1.
    line: u64,
    column: &'static str,
    /// Stable; what each means: [/api/docs/errors](/api/docs/errors)
    code: &'static str,
    detail: String,
    /// The value in the file, truncated if long; empty if the field is empty, if the row as a whole is wrong, and for
    /// destinations.
    value: String,
}

impl From<&Report> for ReportJson {
    fn from(report: &Report) -> Self {
        let rejected = report.rejected.iter().take(MOST_NAMED).map(|error| RowErrorJson {
            line: error.line,
            column: error.column,
            code: error.code,
            detail: error.detail.clone(),
            value: error.value.clone(),
        });
        let Lines { total, header, blank, continued } = report.lines;
        Self {
            accepted: report.accepted,
            duplicates: report.duplicates,
            rejected_count: report.rejected.len(),
            rejected: rejected.collect(),
            lines: LinesJson { total, header, blank, continued },
            sheet: report.sheet.clone().map(|Sheet { name, others }| SheetJson { name, others }),
            totals: report.totals.iter().copied().map(MoneyJson::from).collect(),
        }
    }
}

async fn rewards(
    State(app): State<App>,
    CurrentActor(actor): CurrentActor,
    Query(options): Query<Options>,
    key: Key,
    request: Request,
) -> Result<Response, Problem> {
    let key = key.required()?;
    // Either type will do: the file itself says what it is.
    let sent_as = content_type(request.headers());
    if ![Format::Csv, Format::Xlsx].iter().any(|format| format.bare_type() == sent_as) {
        let message =
            format!("Send the file as text/csv, or an Excel workbook as {}.", Format::Xlsx.bare_type());
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message));
    }
    let file = body(request).await?;
    // Lines may end with LF, CR or both. A workbook has a limit of its own.
    let ends = |end: u8| file.iter().filter(|byte| **byte == end).count();
    if !import::is_archive(&file) && ends(b'\n').max(ends(b'\r')) > MOST_LINES {
        let message = format!(
            "The file has more than {MOST_LINES} lines, so nothing was imported. Split it into several files, each with the header."
        );
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_many_rows", message));
    }
    let dry_run = options.dry_run.unwrap_or(false);
    let report = import::rewards(&app, &actor, &file, dry_run, key.once(reply).as_ref()).await?;
    let reply = reply(&report);
    Ok(if dry_run { (Extension(NotKept), reply).into_response() } else { reply.into_response() })
}

fn reply(report: &Report) -> Reply {
    Reply::json(StatusCode::OK, &ReportJson::from(report))
}
