//! `/reconciliation`: each day's movements at a vendor compared with its balance and our books, and the differences.

use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use payout::access::Permission;
use payout::money::{Currency, Sum, Vendor};

use crate::app::App;
use crate::clock::{self, rfc3339};
use crate::ops::reconciliation::{self as verbs, DayView};
use crate::store::reconciliation::days::{Filter, Key};
use crate::store::reconciliation::{self as kept, Account, Case};
use crate::web::kit::extract::Json;
use crate::web::kit::form::{ListQuery, Paging, encode_cursor};
use crate::web::kit::json::Page;
use crate::web::kit::problem::{FieldError, Problem};
use crate::web::kit::route::{Access, Route, get, post};
use crate::web::kit::session::CurrentActor;
use crate::web::kit::shapes;
use crate::work::{Work, movements};

pub fn routes() -> Vec<Route> {
    let (reads, pays) = (Access::May(Permission::Read), Access::May(Permission::Pay));
    vec![
        get("/api/v1/reconciliation", reads, list)
            .says("Each day of each vendor and currency, newest first: opening, movements, closing, and what does not tie")
            .by_pages()
            .filters::<ListParams>()
            .answers_page::<DayJson>(),
        post("/api/v1/reconciliation/{case}/look-again", pays, look_again)
            .says("Read what the vendors say once more, ask about the payment, and compare again")
            .answers::<CaseJson>(200),
        post("/api/v1/reconciliation/{case}/explain", pays, explain)
            .says("Note who explained it and why it is off; the difference is closed unless the amount changes")
            .takes::<Reason>()
            .answers::<CaseJson>(200),
    ]
}

/// The only status by which days can be filtered.
const OPEN: &str = "open";

shapes::shapes! {
    OnlyOpen, "Only days on which something does not tie or waits." => shapes::one_of([OPEN]);
}

/// The filters of days, shared by page, API and export.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
pub struct ListParams {
    #[param(value_type = Option<shapes::VendorName>, inline)]
    pub vendor: Option<String>,
    /// Three capital letters (ISO 4217)
    #[param(value_type = Option<shapes::CurrencyCode>, inline)]
    pub currency: Option<String>,
    /// The first day (UTC), such as `2026-03-01`
    #[param(value_type = Option<shapes::Day>, inline)]
    pub from: Option<String>,
    /// The last day (UTC)
    #[param(value_type = Option<shapes::Day>, inline)]
    pub to: Option<String>,
    /// `open`: only days on which something differs or waits
    #[param(value_type = Option<OnlyOpen>, inline)]
    pub status: Option<String>,
}

impl ListParams {
    /// The filter for the database.
    ///
    /// # Errors
    /// The first invalid parameter.
    pub fn filter(&self) -> Result<Filter, FieldError> {
        let wrong = |name: &str, code: &'static str, detail: String| FieldError {
            pointer: format!("/{name}"),
            code,
            detail,
        };
        let day = |name: &'static str, typed: &Option<String>| {
            let describe = |day: &str| format!("“{day}” is not a day; write it like 2026-03-31.");
            let read = |day: &String| clock::day(day, &describe(day)).map(clock::date);
            typed.as_ref().map(read).transpose().map_err(|detail| wrong(name, "invalid_date", detail))
        };
        let vendor = match self.vendor.as_deref() {
            None => None,
            Some(word) => Some(Vendor::parse(word).ok_or_else(|| {
                wrong(
                    "vendor",
                    "unknown_value",
                    format!("There is no vendor “{word}”; write stripe or paypal."),
                )
            })?),
        };
        let currency = match self.currency.as_deref() {
            None => None,
            Some(code) => Some(
                Currency::parse(code)
                    .map_err(|error| wrong("currency", "unknown_currency", error.sentence().to_owned()))?,
            ),
        };
        let open = match self.status.as_deref() {
            None => false,
            Some(OPEN) => true,
            Some(word) => {
                let message = format!("There is no status “{word}”; write open, or leave it out.");
                return Err(wrong("status", "unknown_value", message));
            }
        };
        Ok(Filter { vendor, currency, from: day("from", &self.from)?, to: day("to", &self.to)?, open })
    }
}

/// Where the previous page of days ended.
///
/// # Errors
/// If the cursor is from another list.
pub fn after(paging: &Paging) -> Result<Option<Key>, Problem> {
    let Some([day, vendor, name, currency]) = paging.after_parts()? else { return Ok(None) };
    let vendor = Vendor::parse(&vendor).ok_or_else(|| paging.elsewhere())?;
    Ok(Some(Key { day, of: Account { vendor, name }, currency }))
}

/// The cursor of a day in the list.
pub fn place(key: &Key) -> String {
    encode_cursor(&[&key.day, key.of.vendor.as_str(), &key.of.name, &key.currency])
}

/// A day of one vendor account and currency. Amounts are signed decimals of the currency; money that left is negative.
#[derive(Serialize, ToSchema)]
#[schema(as = ReconciliationDay)]
pub struct DayJson {
    /// The date, in UTC.
    day: String,
    #[schema(value_type = shapes::VendorName)]
    vendor: &'static str,
    /// The vendor's account and mode.
    account: String,
    #[schema(value_type = shapes::CurrencyCode)]
    currency: String,
    /// `ties` (both sides agree), `explained` (they differ, and somebody has explained why), `waits` (one side may be late)
    /// or `does_not_tie`.
    status: &'static str,
    /// The balance before the first movement; null while no balance has been read.
    opening: Option<String>,
    /// The total of the vendor's own list of movements.
    movements: String,
    /// The balance after the last movement.
    closing: Option<String>,
    /// How much the balance reported by the vendor exceeds opening plus movements.
    difference: String,
    /// How much more the vendor moved than the books have, explained or not; without what still waits.
    not_in_books: String,
    /// When the vendor last reported its balance on this day; null if it did not.
    balance_read_at: Option<String>,
    /// The number of movements.
    count: i64,
    /// How many of them are other business on the same account.
    not_ours: i64,
    /// The differences, whether open, waiting or explained.
    unmatched: Vec<CaseJson>,
}

/// A difference, or something that may still be late.
#[derive(Serialize, ToSchema)]
#[schema(as = ReconciliationCase)]
pub struct CaseJson {
    id: String,
    /// `missing_at_vendor`, `extra_at_vendor`, `amount_differs`, `fee_differs`, `status_differs`, `balance_differs`, `waits`
    /// or `ties`.
    code: &'static str,
    /// `money`, `fee` or `balance`.
    aspect: &'static str,
    /// The id of the payment concerned.
    transaction: Option<String>,
    /// The payment, the vendor's object, or the day.
    subject: String,
    message: String,
    remedy: String,
    /// The total on the vendor's side.
    at_vendor: String,
    /// The total on our side.
    in_books: String,
    currency: String,
    opened_at: String,
    /// Until when it may still be late.
    waits_until: Option<String>,
    /// When both sides agreed.
    closed_at: Option<String>,
    explained: Option<ExplainedJson>,
}

/// Somebody's explanation of a difference.
#[derive(Serialize, ToSchema)]
#[schema(as = ReconciliationExplanation)]
struct ExplainedJson {
    by: String,
    at: String,
    reason: String,
}

impl From<&Case> for CaseJson {
    fn from(case: &Case) -> Self {
        Self {
            id: case.id.clone(),
            code: case.standing.as_str(),
            aspect: case.aspect.as_str(),
            transaction: case.transaction.clone(),
            subject: case.subject.clone(),
            message: case.message(),
            remedy: case.remedy(),
            at_vendor: case.moved.decimal(),
            in_books: case.posted.decimal(),
            currency: case.moved.currency.code().to_owned(),
            opened_at: rfc3339(case.opened_at),
            waits_until: case.waits_until.map(rfc3339),
            closed_at: case.closed_at.map(rfc3339),
            explained: case.explained.as_ref().map(|said| ExplainedJson {
                by: said.name.clone(),
                at: rfc3339(said.at),
                reason: said.why.clone(),
            }),
        }
    }
}

impl From<&DayView> for DayJson {
    fn from(view: &DayView) -> Self {
        let decimal = |minor: i128| Sum::new(minor, view.currency).decimal();
        Self {
            day: view.key.day.clone(),
            vendor: view.key.of.vendor.as_str(),
            account: view.key.of.name.clone(),
            currency: view.key.currency.clone(),
            status: view.standing().as_str(),
            opening: view.closed.opening_minor.map(decimal),
            movements: view.read.moved.decimal(),
            closing: view.closed.closing_minor.map(decimal),
            difference: decimal(view.closed.difference_minor),
            not_in_books: view.not_in_books().decimal(),
            balance_read_at: view.read.told.map(|(_, at)| rfc3339(at)),
            count: view.read.lines,
            not_ours: view.read.not_ours,
            unmatched: view.cases.iter().map(CaseJson::from).collect(),
        }
    }
}

async fn list(
    State(app): State<App>,
    ListQuery(params, paging): ListQuery<ListParams>,
) -> Result<axum::Json<Page<DayJson>>, Problem> {
    let (filter, after) = (params.filter().map_err(Problem::field)?, after(&paging)?);
    let mut db = app.store.read().await?;
    let days = verbs::list(&mut db, &filter, after.as_ref(), paging.limit + 1).await?;
    Ok(axum::Json(Page::of(days, paging.limit, |day| place(&day.key), |day| DayJson::from(&day))))
}

async fn look_again(
    State(app): State<App>,
    State(work): State<Work>,
    CurrentActor(actor): CurrentActor,
    Path(id): Path<String>,
) -> Result<axum::Json<CaseJson>, Problem> {
    verbs::look_again(&app, &actor, Some(&id)).await?;
    movements::look(&work).await?;
    let case = kept::case(&mut app.store.read().await?, &id).await?;
    Ok(axum::Json(CaseJson::from(&case)))
}

/// Who explained the difference, and why it exists.
#[derive(Deserialize, ToSchema)]
#[schema(as = ReconciliationReason)]
#[serde(deny_unknown_fields)]
struct Reason {
    #[schema(value_type = shapes::LongReason)]
    reason: String,
}

async fn explain(
    State(app): State<App>,
    CurrentActor(actor): CurrentActor,
    Path(id): Path<String>,
    Json(sent): Json<Reason>,
) -> Result<axum::Json<CaseJson>, Problem> {
    let case = verbs::explain(&app, &actor, &id, &sent.reason).await?;
    Ok(axum::Json(CaseJson::from(&case)))
}
