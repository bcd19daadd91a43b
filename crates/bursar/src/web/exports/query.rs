//! The export parameters in the query string, shared by API and page. Not here: the filters of lists, which are parsed
//! where the lists are.

use axum::body::{Body, Bytes};
use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use futures::stream::unfold;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;
use utoipa::openapi::schema::ObjectBuilder;

use payout::money::Currency;

use crate::app::{Actor, App};
use crate::clock;
use crate::documents::journal::Layout;
use crate::documents::{Format, csv, xlsx};
use crate::ops::exports::{self, ExportRequest, Scope};
use crate::ops::tax;
use crate::store::Db;
use crate::store::audit::Filter as AuditFilter;
use crate::store::exports::Run;
use crate::store::journal::Filter as JournalFilter;
use crate::web::kit::extract::{Tree, read};
use crate::web::kit::problem::{FieldError, Problem};
use crate::web::kit::scope::scope as whose;
use crate::web::kit::shapes;

const DAY_US: i64 = 86_400_000_000;

/// How the journal can be grouped: by entry, or by day and currency.
const BY_ENTRY: &str = "entry";
const BY_DAY: &str = "day";

shapes::shapes! {
    FormatName, "As what the file is written; `csv` when not named." => shapes::one_of(Format::ALL.iter().map(|it| it.as_str()));
    LayoutName, "For which program the journal is written; `generic` when not named." => shapes::one_of(Layout::ALL.iter().map(|it| it.as_str()));
    GroupName, "One entry for each journal (`entry`, when not named), or for each day and currency." => shapes::one_of([BY_ENTRY, BY_DAY]);
}

/// The column parameter, with the available names.
pub fn columns(names: impl IntoIterator<Item = &'static str>) -> ObjectBuilder {
    let mut names: Vec<&str> = names.into_iter().collect();
    names.sort_unstable();
    names.dedup();
    shapes::some_of(names)
}

/// The file options.
#[derive(Clone, Debug, Default, IntoParams)]
#[allow(dead_code, reason = "the description reads the fields; requests are read word by word")]
pub struct FileOptions {
    /// `csv` (the default) or `xlsx`
    #[param(value_type = Option<FormatName>, inline)]
    pub format: Option<String>,
    /// `true` starts CSV with the byte-order mark by which Excel recognizes UTF-8
    pub bom: Option<bool>,
    /// The columns, separated by commas; defaults to the usual ones
    #[param(ignore)]
    pub columns: Option<String>,
}

impl FileOptions {
    /// Removes the file options from a query.
    ///
    /// # Errors
    /// An invalid boolean.
    pub fn take(tree: &mut Tree) -> Result<Self, Problem> {
        let bom = match tree.take_param("bom").as_deref() {
            None => None,
            Some("true" | "yes" | "1") => Some(true),
            Some("false" | "no" | "0") => Some(false),
            Some(_) => return Err(wrong("bom", "Write true or false.")),
        };
        Ok(Self { format: tree.take_param("format"), bom, columns: tree.take_param("columns") })
    }

    /// The complete export request.
    ///
    /// # Errors
    /// An unknown format or column.
    pub fn to_request(&self, scope: Scope, told: String) -> Result<ExportRequest, Problem> {
        let format = match self.format.as_deref() {
            None => Format::Csv,
            Some(word) => Format::parse(word).ok_or_else(|| wrong("format", "Write csv or xlsx."))?,
        };
        let all = scope.headings();
        let columns = match self.columns.as_deref() {
            None => all.iter().filter(|head| head.usual).map(|head| head.name.to_owned()).collect(),
            Some(list) => {
                let names: Vec<String> = list.split(',').map(|name| name.trim().to_owned()).collect();
                let unknown = names.iter().find(|name| all.iter().all(|head| head.name != name.as_str()));
                if let Some(name) = unknown {
                    let known: Vec<&str> = all.iter().map(|head| head.name).collect();
                    let message = format!("There is no column “{name}”. There are: {}.", known.join(", "));
                    return Err(wrong("columns", &message));
                }
                names
            }
        };
        Ok(ExportRequest { scope, format, marked: self.bom.unwrap_or(false), columns, filter_summary: told })
    }
}

/// The filters of a list and the file options, from a query string.
pub struct ExportQuery<T> {
    /// The filters.
    pub filters: T,
    /// How the file is written.
    pub options: FileOptions,
    /// The filters as given, for the export log.
    pub filter_summary: String,
}

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for ExportQuery<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut tree =
            Tree::from_pairs(parts.uri.query().unwrap_or("").as_bytes()).map_err(Problem::field)?;
        let manner = FileOptions::take(&mut tree)?;
        let filters = read(&tree).map_err(Problem::field)?;
        Ok(Self { filters, options: manner, filter_summary: raw_filters(&tree) })
    }
}

/// The filters as given.
pub fn raw_filters(tree: &Tree) -> String {
    let Tree::Object(fields) = tree else { return "All".to_owned() };
    let mut words = Vec::new();
    for (name, value) in fields {
        let values =
            if let Tree::List(values) = value { values.as_slice() } else { std::slice::from_ref(value) };
        for value in values {
            if let Tree::Word(word) = value {
                words.push(format!("{}: {word}", name.replace('_', " ")));
            }
        }
    }
    if words.is_empty() { "All".to_owned() } else { words.join(", ") }
}

/// The filters of an earnings export.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
pub struct EarningsAsk {
    /// The tax year, like 2026; defaults to the current one
    #[param(value_type = Option<shapes::Year>, inline)]
    pub year: Option<String>,
    #[param(value_type = Option<shapes::PaymentType>, inline)]
    pub payment_type: Option<String>,
    /// An account with its users, by ID or external ID
    pub account: Option<String>,
    /// Only payments to this partner, by ID or external ID
    pub partner: Option<String>,
}

impl EarningsAsk {
    /// The resolved scope.
    ///
    /// # Errors
    /// The first invalid parameter.
    pub async fn scope(&self, db: &mut Db, actor: &Actor, now: i64) -> Result<Scope, Problem> {
        let year = tax::requested_year(self.year.as_deref(), now)
            .map_err(|refusal| wrong("year", &refusal.sentence))?;
        let (payment_type, account) = (self.payment_type.as_deref(), self.account.as_deref());
        let whose = whose(db, actor, payment_type, account, self.partner.as_deref()).await?;
        Ok(Scope::Earnings { year, whose })
    }
}

/// The filters and layout of a journal export.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
pub struct JournalAsk {
    /// From this UTC date
    #[param(value_type = Option<shapes::Day>, inline)]
    pub from: Option<String>,
    /// Up to and including this UTC date
    #[param(value_type = Option<shapes::Day>, inline)]
    pub to: Option<String>,
    /// Only this currency
    #[param(value_type = Option<shapes::CurrencyCode>, inline)]
    pub currency: Option<String>,
    /// `generic` (the default), `quickbooks`, `xero` or `netsuite`
    #[param(value_type = Option<LayoutName>, inline)]
    pub layout: Option<String>,
    /// `entry` (the default): one entry per journal; `day`: one per day and currency
    #[param(value_type = Option<GroupName>, inline)]
    pub group: Option<String>,
}

impl JournalAsk {
    /// The resolved scope.
    ///
    /// # Errors
    /// The first invalid parameter.
    pub fn scope(&self) -> Result<Scope, Problem> {
        let (from, before) = days(self.from.as_ref(), self.to.as_ref())?;
        let currency = match &self.currency {
            None => None,
            Some(code) => {
                let known = Currency::parse(code).map_err(|error| wrong("currency", error.sentence()))?;
                Some(known.code().to_owned())
            }
        };
        let layout = match self.layout.as_deref() {
            None => Layout::Generic,
            Some(word) => Layout::parse(word)
                .ok_or_else(|| wrong("layout", "Write generic, quickbooks, xero or netsuite."))?,
        };
        let by_day = match self.group.as_deref() {
            None | Some(BY_ENTRY) => false,
            Some(BY_DAY) => true,
            Some(_) => return Err(wrong("group", "Write entry or day.")),
        };
        let filter = JournalFilter { from, before, currency };
        Ok(Scope::Journal { filter, layout, by_day })
    }
}

/// The filters of an activity log export.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
pub struct AuditAsk {
    /// The id of the actor
    pub actor: Option<String>,
    /// The action, like `export_made`
    pub action: Option<String>,
    /// The ID of the changed record
    pub subject: Option<String>,
    /// From this UTC date
    #[param(value_type = Option<shapes::Day>, inline)]
    pub from: Option<String>,
    /// Up to and including this UTC date
    #[param(value_type = Option<shapes::Day>, inline)]
    pub to: Option<String>,
}

impl AuditAsk {
    /// The resolved scope.
    ///
    /// # Errors
    /// An invalid date.
    pub fn scope(&self) -> Result<Scope, Problem> {
        let (from, before) = days(self.from.as_ref(), self.to.as_ref())?;
        Ok(Scope::Audit(Box::new(AuditFilter {
            actors: self.actor.clone().map(|actor| vec![actor]),
            action: self.action.clone(),
            subject: self.subject.clone(),
            from,
            to: before,
            before: None,
        })))
    }
}

/// The start of a range of days, and its exclusive end.
fn days(from: Option<&String>, to: Option<&String>) -> Result<(Option<i64>, Option<i64>), Problem> {
    let day = |name: &str, text: Option<&String>| match text {
        None => Ok(None),
        Some(text) => {
            let read = clock::day(text, "Write the date like 2026-01-31.");
            read.map(Some).map_err(|message| wrong(name, &message))
        }
    };
    let (from, to) = (day("from", from)?, day("to", to)?);
    if from.zip(to).is_some_and(|(from, to)| from > to) {
        return Err(wrong("to", "The last day is before the first."));
    }
    Ok((from, to.map(|day| day.saturating_add(DAY_US))))
}

/// An error for an invalid query parameter.
pub fn wrong(name: &str, detail: &str) -> Problem {
    Problem::field(FieldError { pointer: format!("/{name}"), code: "invalid", detail: detail.to_owned() })
}

/// Logs the export, then responds with the file: CSV streamed as it is read, a spreadsheet once it is complete.
///
/// # Errors
/// An export that is not possible.
pub async fn answer(app: &App, actor: &Actor, asked: ExportRequest) -> Result<Response, Problem> {
    let run = exports::send(app, actor, &asked).await?;
    let body = match asked.format {
        Format::Xlsx => Body::from(exports::whole(app, &asked, run.created_at).await?.0),
        Format::Csv => streamed(app.clone(), asked.clone(), run.created_at),
    };
    Ok(file(&run, asked.format, &asked.scope.word(), body))
}

/// Streams a stored file.
pub fn kept(app: &App, run: &Run, asked: &ExportRequest) -> Response {
    let parts = unfold((app.clone(), run.clone(), 0), |(app, run, place)| async move {
        match exports::part(&app, &run, place).await {
            Ok(Some(bytes)) => Some((Ok(Bytes::from(bytes)), (app, run, place + 1))),
            Ok(None) => None,
            Err(error) => Some((Err(broken_off(&error)), (app, run, i64::MAX))),
        }
    });
    file(run, asked.format, &asked.scope.word(), Body::from_stream(parts))
}

fn file(run: &Run, format: Format, what: &str, body: Body) -> Response {
    let name = xlsx::name(what, &run.label(), run.created_at, format.as_str());
    let headers = [
        (header::CONTENT_TYPE, format.media_type().to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    (headers, body).into_response()
}

/// What to write next.
enum Next {
    Opening,
    Rows(Option<String>),
    End,
}

fn streamed(app: App, asked: ExportRequest, now: i64) -> Body {
    let parts = unfold((app, asked, Next::Opening), move |(app, asked, next)| async move {
        let place = match next {
            Next::Opening => {
                let bytes = Bytes::from(exports::opening(&asked));
                return Some((Ok(bytes), (app, asked, Next::Rows(None))));
            }
            Next::Rows(place) => place,
            Next::End => return None,
        };
        match rows(&app, &asked, place.as_deref(), now).await {
            Ok(some) => {
                let bytes = Bytes::from(csv::written(&some.rows));
                let next = some.next.map_or(Next::End, |place| Next::Rows(Some(place)));
                Some((Ok(bytes), (app, asked, next)))
            }
            Err(error) => Some((Err(broken_off(&error)), (app, asked, Next::End))),
        }
    });
    Body::from_stream(parts)
}

async fn rows(
    app: &App,
    asked: &ExportRequest,
    place: Option<&str>,
    now: i64,
) -> crate::ops::Result<exports::RowPage> {
    exports::gather(&mut app.store.read().await?, asked, place, now).await
}

/// The response has started, so abort it: half a file must not look complete.
fn broken_off(error: &crate::ops::OpsError) -> std::io::Error {
    tracing::error!(?error, "an export broke off");
    std::io::Error::other("the export broke off")
}
