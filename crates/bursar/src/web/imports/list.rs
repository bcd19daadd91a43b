//! Imports: the uploaded files, newest first, and the upload page. A single import is in `show`.

use askama::Template;
use axum::Extension;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use payout::access::Permission;

use crate::app::App;
use crate::ops::OpsError;
use crate::ops::idempotency::Reply;
use crate::ops::import::{example, runs as verbs};
use crate::store::external_ids::{self, UnnormalizedId};
use crate::store::imports::{self, Filter, Import, ImportKind, ImportState};
use crate::web::kit::form::{Form, Key, ListQuery, Pager, Query, encode_cursor};
use crate::web::kit::format::{Chip, ShortTime, count};
use crate::web::kit::history;
use crate::web::kit::layout::{Frame, LOOKS, MenuItem, PageContext};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, get, post};
use crate::web::kit::upload::Upload;

/// Permission to import something; the handler checks what.
pub const IMPORTS: Access = Access::MayAny(&[Permission::Review, Permission::ManagePartners]);

/// At most this many similar ids are listed.
const MOST_COLLISIONS: i64 = 100;
/// The most bytes of a file.
const FILE_LIMIT: usize = 32 << 20;

pub fn routes() -> Vec<Route> {
    vec![
        get("/imports", LOOKS, list),
        get("/imports/new", IMPORTS, new_form),
        get("/imports/example/{what}", IMPORTS, example_file),
        post("/imports/new", IMPORTS, new).up_to(FILE_LIMIT).with_file().heavy(),
        // The former address for importing rewards.
        get("/rewards/import", Access::May(Permission::Review), async || {
            Redirect::to("/imports/new?what=rewards")
        }),
    ]
}

/// The chip of a state.
pub fn chip(state: ImportState) -> Chip {
    let tone = match state {
        ImportState::Uploaded | ImportState::Checked => "warn",
        ImportState::Checking | ImportState::Importing => "wait",
        ImportState::Done => "fine",
        ImportState::Failed => "bad",
        ImportState::Canceled => "",
    };
    Chip { tone, words: state.label() }
}

/// An import, as a table row.
struct Row {
    number: String,
    what: &'static str,
    file: String,
    by: String,
    at: ShortTime,
    chip: Chip,
    /// Accepted, duplicates and rejected; `None` until known.
    counts: Option<[String; 3]>,
    /// Whether there is a file of rejected rows.
    error_file: bool,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct ListParams {
    what: Option<String>,
    state: Option<String>,
}

#[derive(Template)]
#[template(path = "imports/list.html")]
struct ListPage {
    frame: Frame,
    ask: ListParams,
    problem: Option<String>,
    rows: Vec<Row>,
    /// External ids that normalize to that of another record: kind, original form, normalized form, and both pages.
    alike: Vec<[String; 5]>,
    turn: Pager,
    may: bool,
}

impl ListPage {
    fn is_what(&self, what: &ImportKind) -> bool {
        self.ask.what.as_deref() == Some(what.as_str())
    }

    fn is_state(&self, state: &ImportState) -> bool {
        self.ask.state.as_deref() == Some(state.as_str())
    }

    fn is_filtered(&self) -> bool {
        self.ask.what.is_some() || self.ask.state.is_some()
    }
}

async fn list(
    State(app): State<App>,
    context: PageContext,
    ListQuery(params, paging): ListQuery<ListParams>,
) -> Result<Response, Problem> {
    let what = params.what.as_deref().map(|word| ImportKind::parse(word).ok_or(word));
    let state = params.state.as_deref().map(|word| ImportState::parse(word).ok_or(word));
    let problem = match (&what, &state) {
        (Some(Err(word)), _) => Some(format!("There is no import type “{word}”.")),
        (_, Some(Err(word))) => Some(format!("There is no state “{word}”.")),
        (Some(Ok(_)) | None, Some(Ok(_)) | None) => None,
    };
    let before = paging.after_parts::<1>()?.and_then(|[number]| number.parse().ok());
    let filter = Filter { what: what.and_then(Result::ok), state: state.and_then(Result::ok), before };
    let mut db = app.store.read().await?;
    let mut found = match problem.is_none() {
        true => imports::list(&mut db, &filter, paging.limit + 1).await?,
        false => Vec::new(),
    };
    let limit = usize::try_from(paging.limit).unwrap_or(usize::MAX);
    let more = found.len() > limit;
    found.truncate(limit);
    let names = history::names(&mut db, found.iter().map(|one| one.created_by.as_str())).await?;
    let next = found.last().filter(|_| more).map(|last| encode_cursor(&[&last.number.to_string()]));
    let turn = paging.turn(found.len(), next.as_deref(), None);
    let row = |one: Import| Row {
        number: one.number(),
        what: one.what.label(),
        by: names.get(&one.created_by).cloned().unwrap_or_default(),
        at: ShortTime(one.created_at),
        chip: chip(one.state),
        counts: (one.checked_at.is_some())
            .then(|| [one.counts.accepted, one.counts.duplicates, one.counts.rejected].map(count)),
        error_file: has_error_file(&one) && context.may(verbs::permission(one.what)),
        file: one.file_name,
    };
    let page = ListPage {
        frame: context.frame("Imports", MenuItem::Imports),
        problem,
        rows: found.into_iter().map(row).collect(),
        turn,
        alike: external_ids::collisions(&mut db, MOST_COLLISIONS).await?.into_iter().map(id_row).collect(),
        may: ImportKind::ALL.iter().any(|what| context.may(verbs::permission(*what))),
        ask: params,
    };
    context.show(&page)
}

/// An external id that normalizes to that of another record.
fn id_row(found: UnnormalizedId) -> [String; 5] {
    let page = |id: &str| match found.kind.as_str() {
        "activity" => format!("/activities/{id}"),
        kind => format!("/{kind}s/{id}"),
    };
    let (one, other) = (page(&found.subject), page(found.other.as_deref().unwrap_or(&found.subject)));
    // Show the escaped characters, the only difference between the two.
    [found.kind.clone(), format!("{:?}", found.was), found.normal, one, other]
}

/// Whether the rejected rows are available as a file.
pub fn has_error_file(import: &Import) -> bool {
    import.counts.rejected > 0 && import.forgotten_at.is_none() && !import.state.moving()
}

#[derive(Template)]
#[template(path = "imports/new.html")]
struct NewPage {
    frame: Frame,
    what: ImportKind,
    /// The kinds this person may import: address, label, whether it is the current one.
    kinds: Vec<(String, &'static str, bool)>,
    /// The one-time key that prevents a double upload.
    once: String,
    pasted: String,
    refused: Option<String>,
}

impl NewPage {
    /// Our columns, and whether each is required.
    fn columns(&self) -> Vec<(&'static str, bool)> {
        let required = verbs::required(self.what);
        verbs::columns(self.what).iter().map(|column| (*column, required.contains(column))).collect()
    }

    fn header(&self) -> String {
        verbs::columns(self.what).join(",")
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AskNew {
    what: Option<ImportKind>,
}

impl<'de> Deserialize<'de> for ImportKind {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        Self::parse(&word).ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            serde::de::Error::custom(format!("The import type must be one of: {known}."))
        })
    }
}

fn new_page(
    app: &App,
    context: &PageContext,
    what: Option<ImportKind>,
    pasted: String,
    refused: Option<String>,
) -> Result<Response, Problem> {
    let kinds: Vec<ImportKind> =
        ImportKind::ALL.into_iter().filter(|what| context.may(verbs::permission(*what))).collect();
    let what =
        what.or(kinds.first().copied()).filter(|what| kinds.contains(what)).ok_or_else(Problem::forbidden)?;
    let status = if refused.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let frame = context.frame(format!("Import {}", what.as_str()), MenuItem::Imports);
    let tab =
        |kind: &ImportKind| (format!("/imports/new?what={}", kind.as_str()), kind.label(), *kind == what);
    let kinds = kinds.iter().map(tab).collect();
    let page = NewPage { frame, what, kinds, once: app.clock.secret(), pasted, refused };
    Ok((status, context.show(&page)?).into_response())
}

/// An example file to start from.
async fn example_file(context: PageContext, Path(what): Path<String>) -> Result<Response, Problem> {
    let what = what.strip_suffix(".csv").and_then(ImportKind::parse).ok_or_else(Problem::missing)?;
    if !context.may(verbs::permission(what)) {
        return Err(Problem::forbidden());
    }
    let named = format!("attachment; filename=\"{}-example.csv\"", what.as_str());
    let kind = "text/csv; charset=utf-8".to_owned();
    Ok(([(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, named)], example(what)).into_response())
}

async fn new_form(
    State(app): State<App>,
    context: PageContext,
    Query(ask): Query<AskNew>,
) -> Result<Response, Problem> {
    new_page(&app, &context, ask.what, String::new(), None)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UploadFields {
    what: ImportKind,
    pasted: Option<String>,
}

async fn new(
    State(app): State<App>,
    context: PageContext,
    file: Option<Extension<Upload>>,
    key: Key,
    Form(sent): Form<UploadFields>,
) -> Result<Response, Problem> {
    if !context.may(verbs::permission(sent.what)) {
        return Err(Problem::forbidden());
    }
    let pasted = sent.pasted.unwrap_or_default();
    let file =
        file.map(|Extension(file)| file).filter(|file| !file.name.is_empty() || !file.bytes.is_empty());
    if let Some(message) = file.as_ref().and_then(|file| not_taken(&file.name)) {
        return new_page(&app, &context, Some(sent.what), pasted, Some(message));
    }
    let (name, bytes) = match (&file, pasted.trim().is_empty()) {
        (Some(file), true) => (file.name.as_str(), file.bytes.as_slice()),
        (None, false) => ("", pasted.as_bytes()),
        (Some(_), false) => {
            let message = "Choose a file or paste its rows, not both. Nothing was imported.".to_owned();
            return new_page(&app, &context, Some(sent.what), pasted, Some(message));
        }
        (None, true) => {
            let message = "Choose a file, or paste its rows. Nothing was imported.".to_owned();
            return new_page(&app, &context, Some(sent.what), pasted, Some(message));
        }
    };
    let once = key.once(uploaded);
    match verbs::upload(&app, &context.actor, sent.what, name, bytes, once.as_ref()).await {
        Ok(import) => Ok(uploaded(&import).into_response()),
        Err(OpsError::Refused(refusal) | OpsError::Conflict(refusal)) => {
            new_page(&app, &context, Some(sent.what), pasted, Some(refusal.sentence))
        }
        Err(error) => Err(error.into()),
    }
}

/// The extensions of files with rows.
const ENDINGS: [&str; 4] = [".csv", ".tsv", ".txt", ".xlsx"];

/// Why a file is refused because of its name, before its content is read.
fn not_taken(name: &str) -> Option<String> {
    let lower = name.trim().to_ascii_lowercase();
    if ENDINGS.iter().any(|ending| lower.len() > ending.len() && lower.ends_with(ending)) {
        return None;
    }
    let name: String = name.chars().filter(|letter| !letter.is_control()).take(100).collect();
    Some(format!(
        "The file name must end in {}, but this file is named “{name}”. Nothing was imported. If it is another kind of spreadsheet, save it as .xlsx or CSV. If it is a text file with rows, rename it.",
        ENDINGS.join(", ").replace(", .xlsx", " or .xlsx")
    ))
}

fn uploaded(import: &Import) -> Reply {
    Reply::see_other(format!("/imports/{}/columns", import.number()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_that_it_holds_rows_as_text() {
        for fine in
            ["rewards.xlsx", "rewards.csv", "REWARDS.CSV", "a.b.tsv", "rows.txt ", "C:\\fakepath\\x.csv"]
        {
            assert_eq!(not_taken(fine), None, "{fine}");
        }
        for wrong in ["rewards.xls", "rewards", ".csv", "", "rewards.csv.exe", "rewards.csv\0", "x.cs\u{3bd}"]
        {
            let message = not_taken(wrong).unwrap();
            assert!(message.contains(".csv, .tsv, .txt or .xlsx") && !message.contains('\0'), "{message}");
        }
    }
}
