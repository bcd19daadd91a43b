//! Starting an export: its filters (as in the list it was started from), the format, the columns, and the expected number
//! of rows. A small one is downloaded at once, a large one is made in the background.

use askama::Template;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use serde::Deserialize;

use payout::access::Permission;

use super::list::size;
use super::query::{FileOptions, JournalAsk, raw_filters};
use crate::app::App;
use crate::documents::journal::Layout;
use crate::documents::{Format, Heading, Kind};
use crate::ops::exports::{self as verbs, ExportRequest, SMALL, Scope};
use crate::ops::idempotency::Reply;
use crate::store::Db;
use crate::store::exports::{self, Run, State as Stands};
use crate::web::audit::ListParams as ActivityAsk;
use crate::web::dashboard::{FilterParams as DashboardAsk, Tab};
use crate::web::kit::extract::{Tree, read};
use crate::web::kit::form::{Form, Key};
use crate::web::kit::format::count;
use crate::web::kit::layout::{Flash, Frame, MenuItem, PageContext};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, get, post};
use crate::web::payments;
use crate::web::rewards::FilterParams;

pub fn routes() -> Vec<Route> {
    let reads = Access::May(Permission::Read);
    vec![get("/exports/new", reads, form), post("/exports", reads, begin)]
}

/// The average size of a cell in bytes, approximately.
const BYTES_OF_A_CELL: i64 = 14;

/// The requested rows, their filters in words, and as a query string.
struct ExportParams {
    scope: Scope,
    told: String,
    query: String,
}

/// Parses the request from the query string, or says why it is invalid.
async fn wanted(
    db: &mut Db,
    context: &PageContext,
    of: &str,
    query: &str,
    now: i64,
) -> Result<Result<ExportParams, String>, Problem> {
    let kind = Kind::parse(of).ok_or_else(Problem::missing)?;
    if kind == Kind::Audit && !context.may(Permission::Audit) {
        return Err(Problem::forbidden());
    }
    let mut tree = Tree::from_pairs(query.as_bytes()).map_err(Problem::field)?;
    // The position of a list page is irrelevant to the export.
    let _ = (tree.take_param("after"), tree.take_param("limit"), tree.take_param("of"));
    if kind != Kind::Rewards {
        // Only rewards keep the list's sort order in the file.
        let _ = tree.take_param("sort");
    }
    let (scope, message) = match kind {
        Kind::Rewards => {
            let params: FilterParams = read(&tree).map_err(Problem::field)?;
            let narrowed = params.resolve(db).await?;
            if !narrowed.problems.is_empty() {
                return Ok(Err(narrowed.problems.join(" ")));
            }
            let (sort, descending) = params.sort();
            let mut words = vec![params.view().1.to_owned()];
            words.extend(narrowed.on.into_iter().map(|(words, _)| words));
            let filter = Box::new(narrowed.filter);
            (Scope::Rewards { filter, eligible: params.eligible(), sort, descending }, words.join(", "))
        }
        Kind::Transactions => {
            let params: DashboardAsk = read(&tree).map_err(Problem::field)?;
            let mut narrowed = params.resolve(db, Tab::Transactions, now).await?;
            let filter = payments::filter(db, &params, &mut narrowed, now).await?;
            if !narrowed.problems.is_empty() {
                return Ok(Err(narrowed.problems.join(" ")));
            }
            let view = params.view().map(|view| view.replace('_', " "));
            let words = view.into_iter().chain(narrowed.on.into_iter().map(|(words, _)| words));
            (Scope::Transactions(Box::new(filter)), all_or(words.collect()))
        }
        Kind::Earnings => {
            let params: DashboardAsk = read(&tree).map_err(Problem::field)?;
            let narrowed = params.resolve(db, Tab::Earnings, now).await?;
            if !narrowed.problems.is_empty() {
                return Ok(Err(narrowed.problems.join(" ")));
            }
            let mut words = vec![format!("Earning Year: {}", narrowed.year)];
            words.extend(narrowed.on.into_iter().map(|(words, _)| words));
            (Scope::Earnings { year: narrowed.year, whose: narrowed.scope }, words.join(", "))
        }
        Kind::Journal => {
            let params: JournalAsk = read(&tree).map_err(Problem::field)?;
            (params.scope()?, raw_filters(&tree))
        }
        Kind::Audit => {
            let params: ActivityAsk = read(&tree).map_err(Problem::field)?;
            match params.filter(None) {
                Ok(filter) => (Scope::Audit(Box::new(filter)), raw_filters(&tree)),
                Err(problem) => return Ok(Err(problem)),
            }
        }
    };
    Ok(Ok(ExportParams { scope, told: message, query: written(&tree) }))
}

fn all_or(words: Vec<String>) -> String {
    if words.is_empty() { "All".to_owned() } else { words.join(", ") }
}

/// The query string of a parsed query.
fn written(tree: &Tree) -> String {
    let mut text = url::form_urlencoded::Serializer::new(String::new());
    let Tree::Object(fields) = tree else { return String::new() };
    for (name, value) in fields {
        match value {
            Tree::Word(word) => {
                text.append_pair(name, word);
            }
            Tree::List(words) => {
                for word in words {
                    if let Tree::Word(word) = word {
                        text.append_pair(name, word);
                    }
                }
            }
            Tree::Null | Tree::Bool(_) | Tree::Number(_) | Tree::Text(_) | Tree::Object(_) => {}
        }
    }
    text.finish()
}

#[derive(Template)]
#[template(path = "exports/new.html")]
struct NewPage {
    frame: Frame,
    of: &'static str,
    title: &'static str,
    problem: Option<String>,
    query: String,
    told: String,
    rows: String,
    /// The estimated size and time, in words.
    estimate: String,
    large: bool,
    /// The columns, and whether each is chosen.
    columns: Vec<(Heading, bool)>,
    /// Whether a spreadsheet is chosen, and a byte-order mark: as the last time.
    xlsx: bool,
    bom: bool,
    fixed: bool,
    is_journal: bool,
    is_earnings: bool,
    layouts: Vec<(&'static str, &'static str, bool)>,
    /// The current filters of journal and earnings.
    from: String,
    to: String,
    currency: String,
    by_day: bool,
    year: String,
    /// The list to narrow the filters in.
    list: &'static str,
    once: String,
    may_name_accounts: bool,
}

async fn form(State(app): State<App>, context: PageContext, uri: Uri) -> Result<Response, Problem> {
    let query = uri.query().unwrap_or("").to_owned();
    let mut tree = Tree::from_pairs(query.as_bytes()).map_err(Problem::field)?;
    let of = tree.take_param("of").unwrap_or_else(|| Kind::Rewards.as_str().to_owned());
    let kind = Kind::parse(&of).ok_or_else(Problem::missing)?;
    let now = app.clock.now();
    let mut db = app.store.read().await?;
    let (wanted, problem) = match wanted(&mut db, &context, &of, &query, now).await? {
        Ok(wanted) => (Some(wanted), None),
        Err(problem) => (None, Some(problem)),
    };
    let rows = match &wanted {
        Some(wanted) => verbs::count(&mut db, &wanted.scope, now).await?,
        None => 0,
    };
    let fixed = wanted.as_ref().is_some_and(|wanted| wanted.scope.is_fixed());
    let columns = wanted.as_ref().map(|wanted| wanted.scope.headings()).unwrap_or_default();
    // An accounting program's columns are its own, and no choice for another file.
    let fits = |last: &ExportRequest| {
        !fixed && last.columns.iter().any(|name| columns.iter().any(|head| head.name == name))
    };
    let last = last(&mut db, &context, kind).await?.filter(fits);
    let chosen = |head: &Heading| match &last {
        Some(last) => last.columns.iter().any(|name| name == head.name),
        None => head.usual,
    };
    let columns: Vec<(Heading, bool)> = columns.into_iter().map(|head| (head, chosen(&head))).collect();
    let chosen = columns.iter().filter(|(_, chosen)| *chosen).count();
    let bytes = rows.saturating_mul(i64::try_from(chosen).unwrap_or(0)).saturating_mul(BYTES_OF_A_CELL);
    let mut word = |name: &str| tree.take_param(name).unwrap_or_default();
    let (layout, group) = (word("layout"), word("group"));
    let layout = Layout::parse(&layout).unwrap_or(Layout::Generic);
    let page = NewPage {
        frame: context.frame(format!("Export: {}", kind.label()), MenuItem::Exports),
        of: kind.as_str(),
        title: kind.label(),
        problem,
        told: wanted.as_ref().map(|wanted| wanted.told.clone()).unwrap_or_default(),
        xlsx: last.as_ref().is_some_and(|last| last.format == Format::Xlsx),
        bom: last.as_ref().is_some_and(|last| last.marked),
        fixed,
        query: wanted.map(|wanted| wanted.query).unwrap_or_default(),
        rows: count(rows),
        estimate: format!("about {} as CSV", size(bytes)),
        large: rows > SMALL,
        columns,
        is_journal: kind == Kind::Journal,
        is_earnings: kind == Kind::Earnings,
        layouts: Layout::ALL.map(|one| (one.as_str(), one.label(), one == layout)).to_vec(),
        from: word("from"),
        to: word("to"),
        currency: word("currency"),
        by_day: group == "day",
        year: word("year"),
        list: match kind {
            Kind::Rewards => "/rewards",
            Kind::Transactions => Tab::Transactions.path(),
            Kind::Earnings => Tab::Earnings.path(),
            Kind::Journal => "",
            Kind::Audit => "/activity",
        },
        once: app.clock.secret(),
        may_name_accounts: context.may(Permission::Administer),
    };
    context.show(&page)
}

/// What this person last chose for an export of this kind.
async fn last(db: &mut Db, context: &PageContext, kind: Kind) -> Result<Option<ExportRequest>, Problem> {
    let run = exports::last_of(db, kind.as_str(), &context.actor.id.to_string()).await?;
    Ok(run.and_then(|run| ExportRequest::read(&serde_json::from_str(&run.asked).ok()?)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    of: String,
    #[serde(default)]
    query: String,
    format: Option<String>,
    bom: Option<String>,
    #[serde(default)]
    column: Vec<String>,
}

async fn begin(
    State(app): State<App>,
    context: PageContext,
    key: Key,
    Form(order): Form<Order>,
) -> Result<Response, Problem> {
    let back = format!("/exports/new?of={}&{}", order.of, order.query);
    let found =
        wanted(&mut app.store.read().await?, &context, &order.of, &order.query, app.clock.now()).await?;
    let wanted = match found {
        Ok(wanted) => wanted,
        Err(problem) => return Ok(Flash::bad(problem).on(&back)),
    };
    let columns = (!wanted.scope.is_fixed()).then(|| order.column.join(","));
    if columns.as_ref().is_some_and(String::is_empty) {
        return Ok(Flash::bad("Choose at least one column. Nothing was exported.").on(&back));
    }
    let manner = FileOptions { format: order.format, bom: Some(order.bom.is_some()), columns };
    let asked: ExportRequest = manner.to_request(wanted.scope, wanted.told)?;
    let once = key.once(|run: &Run| Reply::see_other(address(run)));
    match verbs::order(&app, &context.actor, &asked, once.as_ref()).await {
        Ok(run) if run.state == Stands::Ready => {
            Ok(axum::response::IntoResponse::into_response(axum::response::Redirect::to(&address(&run))))
        }
        Ok(run) => {
            let words = format!(
                "{} is in progress. You can leave this page. The file will be in the list of exports.",
                run.label()
            );
            Ok(Flash::good(words).on(&address(&run)))
        }
        Err(error) => Ok(Flash::refused(error)?.on(&back)),
    }
}

/// A small export is downloaded at once; a large one opens its progress page.
fn address(run: &Run) -> String {
    let page = format!("/exports/{}", run.label());
    if run.state == Stands::Ready { page + "/file" } else { page }
}
