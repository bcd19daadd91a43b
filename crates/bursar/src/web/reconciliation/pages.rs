//! The reconciliation pages: the days of each vendor and currency, and one day's movements and differences; both also as
//! CSV. Differences can be checked again or explained. Not here: the comparison.

use std::collections::HashMap;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use payout::access::Permission;
use payout::money::{Sum, Vendor};
use payout::reconciliation::Aspect;

use super::api::{ListParams, after, place};
use crate::app::App;
use crate::clock;
use crate::documents::{Cell, csv};
use crate::ops::reconciliation::{self as verbs, DayStanding, DayView};
use crate::ops::safe_mode;
use crate::store::Db;
use crate::store::journal;
use crate::store::reconciliation::days::{self, Filter, Key, Line, LineStanding, Lines};
use crate::store::reconciliation::{self as kept, Account, Case, Pull};
use crate::web::kit::form::{Form, ListQuery, Pager, Query, encode_cursor};
use crate::web::kit::format::{Chip, When, bare, count, how_many};
use crate::web::kit::layout::{Flash, Frame, MenuItem, PageContext};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, get, post};
use crate::work::{Work, movements};

pub fn routes() -> Vec<Route> {
    let (reads, pays) = (Access::May(Permission::Read), Access::May(Permission::Pay));
    vec![
        get("/reconciliation", reads, list),
        get("/reconciliation/days.csv", reads, days_file).heavy(),
        get("/reconciliation/day", reads, day),
        get("/reconciliation/movements.csv", reads, movements_file).heavy(),
        post("/reconciliation/{case}/look-again", pays, look_again),
        post("/reconciliation/{case}/explain", pays, explain),
    ]
}

/// The most days in one file.
const MOST_DAYS: i64 = 20_000;
/// How many movements are read at a time for a file.
const AT_ONCE: i64 = 5_000;

struct Row {
    address: String,
    day: String,
    vendor: &'static str,
    currency: String,
    opening: String,
    movements: String,
    closing: String,
    difference: Option<String>,
    /// How much more the vendor moved than the books have, explained or not.
    not_in_books: String,
    count: String,
    not_ours: Option<String>,
    chip: Chip,
    tasks: usize,
    explained: usize,
}

/// An option of a select.
struct Choice {
    value: &'static str,
    words: &'static str,
    chosen: bool,
}

#[derive(Template)]
#[template(path = "reconciliation/list.html")]
struct ListPage {
    frame: Frame,
    ask: ListParams,
    vendors: Vec<Choice>,
    statuses: Vec<Choice>,
    problem: Option<String>,
    rows: Vec<Row>,
    turn: Pager,
    narrowed: bool,
    file: String,
    readings: Vec<Reading>,
}

/// How far a vendor has been read.
struct Reading {
    vendor: &'static str,
    account: String,
    read: Option<When>,
    failed: Option<(When, String)>,
    /// How many lines could not be parsed.
    unread: Option<String>,
    /// Whether it was last read before the database was restored.
    stale: bool,
}

impl Reading {
    /// `put_back` is when the database was restored, while that is not over.
    fn of(pull: Pull, put_back: Option<i64>) -> Self {
        Self {
            stale: put_back.is_some_and(|at| pull.pulled_at.is_none_or(|read| read < at)),
            vendor: pull.of.vendor.label(),
            account: pull.of.name,
            read: pull.pulled_at.map(When),
            failed: pull.failed.map(|(at, why)| (When(at), why)),
            unread: (pull.unread > 0).then(|| count(pull.unread)),
        }
    }
}

fn query(params: &ListParams) -> url::form_urlencoded::Serializer<'static, String> {
    let mut text = url::form_urlencoded::Serializer::new(String::new());
    let words = [
        ("vendor", &params.vendor),
        ("currency", &params.currency),
        ("from", &params.from),
        ("to", &params.to),
        ("status", &params.status),
    ];
    for (name, value) in words {
        if let Some(value) = value {
            text.append_pair(name, value);
        }
    }
    text
}

/// The address of a day.
fn address(key: &Key, path: &str) -> String {
    let mut text = url::form_urlencoded::Serializer::new(String::new());
    text.append_pair("day", &key.day).append_pair("vendor", key.of.vendor.as_str());
    text.append_pair("currency", &key.currency).append_pair("account", &key.of.name);
    format!("/reconciliation/{path}?{}", text.finish())
}

fn chip(standing: DayStanding) -> Chip {
    match standing {
        DayStanding::Ties => Chip { tone: "fine", words: "Ties" },
        DayStanding::Explained => Chip { tone: "", words: "Explained" },
        DayStanding::Waits => Chip { tone: "wait", words: "Waits" },
        DayStanding::DoesNotTie => Chip { tone: "bad", words: "Does not tie" },
    }
}

fn row(view: &DayView) -> Row {
    let amount =
        |minor: Option<i128>| minor.map_or("–".to_owned(), |minor| bare(Sum::new(minor, view.currency)));
    let off = view.closed.difference_minor;
    Row {
        address: address(&view.key, "day"),
        day: view.key.day.clone(),
        vendor: view.key.of.vendor.label(),
        currency: view.key.currency.clone(),
        opening: amount(view.closed.opening_minor),
        movements: bare(view.read.moved),
        closing: amount(view.closed.closing_minor),
        not_in_books: bare(view.not_in_books()),
        difference: (off != 0).then(|| amount(Some(off))),
        count: count(view.read.lines),
        not_ours: (view.read.not_ours > 0).then(|| count(view.read.not_ours)),
        chip: chip(view.standing()),
        tasks: view.cases.iter().filter(|case| case.wants_somebody()).count(),
        explained: view.cases.iter().filter(|case| case.explained.is_some()).count(),
    }
}

async fn list(
    State(app): State<App>,
    context: PageContext,
    ListQuery(params, paging): ListQuery<ListParams>,
) -> Result<Response, Problem> {
    let mut db = app.store.read().await?;
    let (mut views, problem) = match params.filter() {
        Ok(filter) => {
            (verbs::list(&mut db, &filter, after(&paging)?.as_ref(), paging.limit + 1).await?, None)
        }
        Err(wrong) => (Vec::new(), Some(wrong.detail)),
    };
    let limit = usize::try_from(paging.limit).unwrap_or(usize::MAX);
    let more = views.len() > limit;
    views.truncate(limit);
    let next = views.last().filter(|_| more).map(|last| place(&last.key));
    let chosen = |word: &Option<String>, value| word.as_deref() == Some(value);
    let vendor = |vendor: Vendor| Choice {
        value: vendor.as_str(),
        words: vendor.label(),
        chosen: chosen(&params.vendor, vendor.as_str()),
    };
    let query_string = query(&params).finish();
    let put_back = safe_mode::state(&mut db).await?.filter(|state| state.since.is_some());
    let put_back = put_back.map(|state| state.at);
    let page = ListPage {
        frame: context.frame("Reconciliation", MenuItem::Reconciliation),
        vendors: Vendor::ALL.map(vendor).into(),
        statuses: vec![Choice {
            value: "open",
            words: "Does not tie, or waits",
            chosen: chosen(&params.status, "open"),
        }],
        problem,
        turn: paging.turn(views.len(), next.as_deref(), None),
        rows: views.iter().map(row).collect(),
        narrowed: !query_string.is_empty(),
        file: format!("/reconciliation/days.csv?{query_string}"),
        readings: kept::pulls(&mut db).await?.into_iter().map(|pull| Reading::of(pull, put_back)).collect(),
        ask: params,
    };
    context.show(&page)
}

/// Which day, and which of its movements.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct DayAsk {
    day: Option<String>,
    vendor: Option<String>,
    currency: Option<String>,
    account: Option<String>,
    show: Option<String>,
}

impl DayAsk {
    fn key(&self) -> Option<Key> {
        let vendor = Vendor::parse(self.vendor.as_deref()?)?;
        let of = Account { vendor, name: self.account.clone()? };
        Some(Key { day: self.day.clone()?, of, currency: self.currency.clone()? })
    }

    fn lines(&self) -> Lines {
        match self.show.as_deref() {
            Some("ours") => Lines::Ours,
            Some("not_ours") => Lines::NotOurs,
            Some("untied") => Lines::Untied,
            Some(_) | None => Lines::All,
        }
    }
}

/// A difference, on the page of its day.
struct Task {
    id: String,
    look: String,
    label: &'static str,
    tone: &'static str,
    message: String,
    remedy: String,
    /// The pages it is known to be about: addresses and labels.
    pages: Vec<(String, String)>,
    vendor: &'static str,
    at_vendor: String,
    in_books: String,
    difference: String,
    payment: Option<String>,
    subject: Option<String>,
    since: When,
    until: Option<When>,
    explained: Option<(When, String, String)>,
    open: bool,
}

struct MovementRow {
    at: When,
    kind: &'static str,
    word: String,
    id: String,
    object: Option<String>,
    amount: String,
    fee: Option<String>,
    net: String,
    payment: Option<String>,
    chip: Chip,
}

#[derive(Template)]
#[template(path = "reconciliation/day.html")]
struct DayPage {
    frame: Frame,
    row: Row,
    account: String,
    counted: String,
    told: Option<(String, When)>,
    tasks: Vec<Task>,
    tabs: Vec<(String, &'static str, bool)>,
    movements: Vec<MovementRow>,
    turn: Pager,
    file: String,
    may: bool,
}

async fn day(
    State(app): State<App>,
    context: PageContext,
    ListQuery(ask, paging): ListQuery<DayAsk>,
) -> Result<Response, Problem> {
    let Some(key) = ask.key() else { return Ok(Redirect::to("/reconciliation").into_response()) };
    let mut db = app.store.read().await?;
    let Some(view) = view(&mut db, &key).await? else {
        return Ok(Flash::warn("No movements on that day.").on("/reconciliation"));
    };
    let after = paging.after_parts()?.map(|[at, id]| (at.parse().unwrap_or(0), id));
    let mut found = days::lines(&mut db, &key, ask.lines(), after, paging.limit + 1).await?;
    let limit = usize::try_from(paging.limit).unwrap_or(usize::MAX);
    let more = found.len() > limit;
    found.truncate(limit);
    let show = ask.show.as_deref().unwrap_or("all");
    let next = found.last().filter(|_| more);
    let next = next.map(|last| encode_cursor(&[&last.created_at.to_string(), &last.id]));
    let tab =
        |word: &'static str, words| (format!("{}&show={word}", address(&key, "day")), words, show == word);
    let numbers = numbers(&mut db, &view.cases).await?;
    let page = DayPage {
        frame: context.frame("Reconciliation", MenuItem::Reconciliation),
        row: row(&view),
        counted: how_many(usize::try_from(view.read.lines).unwrap_or(0), "movement", "movements"),
        account: key.of.name.clone(),
        told: view.read.told.map(|(told, at)| (bare(told), When(at))),
        tasks: view.cases.iter().map(|case| task(case, &numbers)).collect(),
        tabs: vec![
            tab("all", "All"),
            tab("ours", "Payments"),
            tab("not_ours", "Not ours"),
            tab("untied", "Do not tie, or wait"),
        ],
        turn: paging.turn(found.len(), next.as_deref(), None),
        movements: found.into_iter().map(movement_row).collect(),
        file: address(&key, "movements.csv"),
        may: context.may(Permission::Pay),
    };
    context.show(&page)
}

async fn view(db: &mut Db, key: &Key) -> Result<Option<DayView>, Problem> {
    let filter = Filter {
        vendor: Some(key.of.vendor),
        from: Some(key.day.clone()),
        to: Some(key.day.clone()),
        ..Filter::default()
    };
    let found = verbs::list(db, &filter, None, 1_000).await?;
    Ok(found.into_iter().find(|view| view.key == *key))
}

/// The numbers of the payments that cases are about.
async fn numbers(db: &mut Db, cases: &[Case]) -> Result<HashMap<String, String>, Problem> {
    let ids: Vec<String> = cases.iter().filter_map(|case| case.transaction.clone()).collect();
    Ok(journal::numbers(db, &ids).await?)
}

fn task(case: &Case, numbers: &HashMap<String, String>) -> Task {
    let vendor = case.of.vendor.label();
    let about_payment = case.transaction.is_some() || case.aspect == Aspect::Balance;
    Task {
        id: case.id.clone(),
        look: format!("/reconciliation/{}/look-again", case.id),
        label: case.label(),
        tone: match (case.wants_somebody(), case.explained.is_some()) {
            (true, _) => "bad",
            (false, true) => "",
            (false, false) => "wait",
        },
        message: case.message(),
        remedy: case.remedy(),
        pages: case.known.as_ref().map(|known| known.pages.clone()).unwrap_or_default(),
        vendor,
        at_vendor: bare(case.moved),
        in_books: bare(case.posted),
        difference: bare(Sum::new(case.difference(), case.moved.currency)),
        payment: case.transaction.as_ref().and_then(|id| numbers.get(id)).cloned(),
        subject: (!about_payment).then(|| case.subject.clone()),
        since: When(case.opened_at),
        until: case.waits_until.map(When),
        explained: case.explained.as_ref().map(|said| (When(said.at), said.name.clone(), said.why.clone())),
        open: case.wants_somebody(),
    }
}

fn movement_row(line: Line) -> MovementRow {
    let chip = match line.standing() {
        LineStanding::NotOurs => Chip { tone: "", words: "Not ours" },
        LineStanding::Ties => Chip { tone: "fine", words: "Ties" },
        LineStanding::Waits => Chip { tone: "wait", words: "Waits" },
        LineStanding::DoesNotTie => Chip { tone: "bad", words: "Does not tie" },
    };
    MovementRow {
        at: When(line.created_at),
        kind: line.kind.label,
        word: line.word,
        object: line.object.filter(|object| *object != line.vendor_id),
        id: line.vendor_id,
        amount: bare(line.amount),
        fee: (line.fee.minor != 0).then(|| bare(line.fee)),
        net: bare(line.net),
        payment: line.transaction.map(|number| format!("PT-{number:06}")),
        chip,
    }
}

fn file(name: &str, bytes: Vec<u8>) -> Response {
    let named = format!("attachment; filename=\"{name}\"");
    let kind = "text/csv; charset=utf-8".to_owned();
    ([(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, named)], bytes).into_response()
}

async fn days_file(
    State(app): State<App>,
    context: PageContext,
    Query(params): Query<ListParams>,
) -> Result<Response, Problem> {
    let filter = params.filter().map_err(Problem::field)?;
    let mut db = app.store.read().await?;
    let views = verbs::list(&mut db, &filter, None, MOST_DAYS).await?;
    drop(db);
    let query_string = query(&params).finish();
    verbs::audit_export(&app, &context.actor, "days", &query_string, views.len()).await?;
    let head = [
        "day",
        "vendor",
        "account",
        "currency",
        "opening",
        "movements",
        "closing",
        "difference",
        "not_in_books",
        "status",
        "movement_count",
        "not_ours_count",
        "unmatched_count",
        "explained_count",
    ];
    let mut bytes = csv::head(head);
    let text = |words: &str| Cell::Text(words.to_owned());
    let counted = |number: usize| Cell::Count(i64::try_from(number).unwrap_or(i64::MAX));
    let rows: Vec<Vec<Cell>> = views
        .iter()
        .map(|view| {
            let amount = |minor: Option<i128>| {
                minor.map_or(Cell::Empty, |minor| Cell::Amount(Sum::new(minor, view.currency)))
            };
            vec![
                Cell::Day(view.key.day.clone()),
                text(view.key.of.vendor.as_str()),
                text(&view.key.of.name),
                text(&view.key.currency),
                amount(view.closed.opening_minor),
                Cell::Amount(view.read.moved),
                amount(view.closed.closing_minor),
                amount(Some(view.closed.difference_minor)),
                Cell::Amount(view.not_in_books()),
                text(view.standing().as_str()),
                Cell::Count(view.read.lines),
                Cell::Count(view.read.not_ours),
                counted(view.cases.iter().filter(|case| case.wants_somebody()).count()),
                counted(view.cases.iter().filter(|case| case.explained.is_some()).count()),
            ]
        })
        .collect();
    bytes.extend(csv::written(&rows));
    Ok(file("reconciliation.csv", bytes))
}

async fn movements_file(
    State(app): State<App>,
    context: PageContext,
    Query(ask): Query<DayAsk>,
) -> Result<Response, Problem> {
    let Some(key) = ask.key() else { return Ok(Redirect::to("/reconciliation").into_response()) };
    let head = [
        "at",
        "vendor",
        "account",
        "vendor_id",
        "kind",
        "meaning",
        "object",
        "payment",
        "currency",
        "amount",
        "fee",
        "net",
        "available_at",
        "first_seen_at",
        "journal",
        "status",
    ];
    let (mut bytes, mut after, mut rows) = (csv::head(head), None, 0);
    let mut db = app.store.read().await?;
    loop {
        let lines = days::lines(&mut db, &key, ask.lines(), after, AT_ONCE).await?;
        bytes.extend(csv::written(&lines.iter().map(cells).collect::<Vec<_>>()));
        rows += lines.len();
        let full = i64::try_from(lines.len()).is_ok_and(|found| found == AT_ONCE);
        match lines.last().filter(|_| full) {
            Some(last) => after = Some((last.created_at, last.id.clone())),
            None => break,
        }
    }
    drop(db);
    let page_address = address(&key, "day");
    verbs::audit_export(&app, &context.actor, "movements", &page_address, rows).await?;
    let name = format!("movements-{}-{}-{}.csv", key.of.vendor.as_str(), key.currency, key.day);
    let name: String =
        name.chars().filter(|sign| sign.is_ascii_alphanumeric() || "-._".contains(*sign)).collect();
    Ok(file(&name, bytes))
}

fn cells(line: &Line) -> Vec<Cell> {
    let text = |words: &str| Cell::Text(words.to_owned());
    let maybe = |words: Option<&String>| words.map_or(Cell::Empty, |words| text(words));
    let moment = |at: Option<i64>| at.map_or(Cell::Empty, Cell::Moment);
    let status = match line.standing() {
        LineStanding::NotOurs => "not_ours",
        LineStanding::Ties => "ties",
        LineStanding::Waits => "waits",
        LineStanding::DoesNotTie => "does_not_tie",
    };
    vec![
        Cell::Moment(line.created_at),
        text(line.of.vendor.as_str()),
        text(&line.of.name),
        text(&line.vendor_id),
        text(&line.word),
        text(line.kind.label),
        maybe(line.object.as_ref()),
        line.transaction.map_or(Cell::Empty, |number| Cell::Text(format!("PT-{number:06}"))),
        text(line.net.currency.code()),
        Cell::Amount(line.amount.into()),
        Cell::Amount(line.fee.into()),
        Cell::Amount(line.net.into()),
        moment(line.available_at),
        Cell::Moment(line.first_seen_at),
        maybe(line.journal.as_ref()),
        text(status),
    ]
}

/// The page of the day that a case is shown on.
async fn back_to(app: &App, id: &str) -> Result<(Case, String), Problem> {
    let case = kept::case(&mut app.store.read().await?, id).await?;
    let key =
        Key { day: case.day.clone(), of: case.of.clone(), currency: case.moved.currency.code().to_owned() };
    let address = address(&key, "day");
    Ok((case, address))
}

async fn look_again(
    State(app): State<App>,
    State(work): State<Work>,
    context: PageContext,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    verbs::look_again(&app, &context.actor, Some(&id)).await?;
    movements::look(&work).await?;
    let (case, back) = back_to(&app, &id).await?;
    let vendor = case.of.vendor.label();
    let flash = match (case.closed_at.is_some(), case.is_task()) {
        (true, _) => Flash::good(format!("{vendor} and the books now match.")),
        (false, true) => Flash::warn(format!(
            "{vendor} was checked again and still reports the same ({}). If its payment is still being looked up, check again in a minute.",
            clock::human(app.clock.now())
        )),
        (false, false) => Flash::good("Waiting: one side may still be late."),
    };
    Ok(flash.on(&back))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reason {
    reason: Option<String>,
}

async fn explain(
    State(app): State<App>,
    context: PageContext,
    Path(id): Path<String>,
    Form(sent): Form<Reason>,
) -> Result<Response, Problem> {
    let done = verbs::explain(&app, &context.actor, &id, &sent.reason.unwrap_or_default()).await;
    let (_, back) = back_to(&app, &id).await?;
    let flash = match done {
        Ok(_) => {
            Flash::good("The explanation is saved. This difference is closed unless its amount changes.")
        }
        Err(error) => Flash::refused(error)?,
    };
    Ok(flash.on(&back))
}
