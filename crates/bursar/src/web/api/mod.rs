//! The HTTP API, version 1: one file per resource, each with its rows of the route table, its JSON and its handlers. The
//! JSON of a thing is private to its file; what several share is here.

mod batches;
mod books;
pub mod dashboard;
mod difference;
mod exports;
mod imports;
mod invitations;
mod keys;
mod outbox;
mod partners;
mod payees;
mod programs;
pub mod reconciliation;
mod reward_filter;
mod reward_json;
mod rewards;
mod settings;
mod skipped;
mod transactions;
mod vendors;

pub use dashboard::scope as whose;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use payout::eligibility::Blocker;
use payout::money::{Currency, Money, MoneyError, Sum};

use super::Route;
use super::fault::FieldError;
use crate::app::Actor;
use crate::clock::day;
use crate::ops::partners::visible;
use crate::ops::rewards::end_of_date;
use crate::store::programs::Worth;
use crate::store::rewards::Visible;

/// Every route of the API.
#[must_use]
pub fn routes() -> Vec<Route> {
    let mut routes = settings::routes();
    routes.extend(partners::routes());
    routes.extend(invitations::routes());
    routes.extend(keys::routes());
    routes.extend(programs::routes());
    routes.extend(rewards::routes());
    routes.extend(imports::routes());
    routes.extend(vendors::routes());
    routes.extend(payees::routes());
    routes.extend(skipped::routes());
    routes.extend(batches::routes());
    routes.extend(transactions::routes());
    routes.extend(books::routes());
    routes.extend(reconciliation::routes());
    routes.extend(dashboard::routes());
    routes.extend(exports::routes());
    routes.extend(outbox::routes());
    routes
}

/// Money: a decimal text with exactly the currency's digits or fewer. Answers print all digits.
#[derive(Clone, Serialize, Deserialize, ToSchema, PartialEq, Eq, Debug)]
#[serde(deny_unknown_fields)]
pub struct MoneyJson {
    /// The decimal, such as `420.00`.
    pub value: String,
    /// Three capital letters (ISO 4217).
    pub currency: String,
}

impl From<Money> for MoneyJson {
    fn from(money: Money) -> Self {
        Self { value: money.decimal(), currency: money.currency.code().to_owned() }
    }
}

impl From<Sum> for MoneyJson {
    fn from(sum: Sum) -> Self {
        Self { value: sum.decimal(), currency: sum.currency.code().to_owned() }
    }
}

impl MoneyJson {
    /// The amount that is meant; `pointer` is where it stands.
    ///
    /// # Errors
    /// Unknown currencies and whatever is not a positive decimal of that currency.
    pub fn read(&self, pointer: &str) -> Result<Money, FieldError> {
        let currency = Currency::parse(&self.currency)
            .map_err(|error| money_error(format!("{pointer}/currency"), error))?;
        Money::parse(&self.value, currency).map_err(|error| money_error(format!("{pointer}/value"), error))
    }
}

/// Money or points: `{"value":"420.00","currency":"USD"}` or `{"points":350}`.
#[derive(Clone, Default, Serialize, Deserialize, ToSchema, PartialEq, Eq, Debug)]
#[schema(as = Value)]
#[serde(deny_unknown_fields)]
pub struct ValueJson {
    /// The decimal, such as `420.00`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Three capital letters (ISO 4217).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// Points, instead of money.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub points: Option<i64>,
}

impl From<Worth> for ValueJson {
    fn from(worth: Worth) -> Self {
        match worth {
            Worth::Cash(money) => Self {
                value: Some(money.decimal()),
                currency: Some(money.currency.code().to_owned()),
                points: None,
            },
            Worth::Points(points) => Self { points: Some(points), ..Self::default() },
        }
    }
}

impl ValueJson {
    /// What is meant; `pointer` is where it stands.
    ///
    /// # Errors
    /// As [`MoneyJson::read`], and when it is neither money nor points, or both.
    pub fn read(&self, pointer: &str) -> Result<Worth, FieldError> {
        let missing = |name: &str| FieldError {
            pointer: format!("{pointer}/{name}"),
            code: "missing",
            detail: "Write money as {\"value\",\"currency\"}, or points as {\"points\"}.".to_owned(),
        };
        match (&self.value, &self.currency, self.points) {
            (None, None, Some(points)) => crate::ops::import::points(&points.to_string())
                .map(Worth::Points)
                .map_err(|error| money_error(format!("{pointer}/points"), error)),
            (Some(value), Some(currency), None) => {
                let money = MoneyJson { value: value.clone(), currency: currency.clone() };
                money.read(pointer).map(Worth::Cash)
            }
            (Some(_), None, _) => Err(missing("currency")),
            (None, Some(_), _) | (None, None, None) => Err(missing("value")),
            (Some(_), Some(_), Some(_)) => Err(FieldError {
                pointer: format!("{pointer}/points"),
                code: "money_or_points",
                detail: "A value is money or points, not both.".to_owned(),
            }),
        }
    }
}

/// Why something cannot be paid, who must act, and how.
#[derive(Clone, Serialize, ToSchema, Debug)]
#[schema(as = Blocker)]
pub struct BlockerJson {
    code: &'static str,
    scope: &'static str,
    subject: String,
    message: String,
    who: &'static str,
    remedy: &'static str,
}

/// What stands in the way, as `actor` may read it: partners read the code's own words, never what our people noted. There
/// is no other way from a blocker to its JSON, so no route that partners share can forget it.
#[must_use]
pub fn blockers_for(actor: &Actor, blockers: &[Blocker]) -> Vec<BlockerJson> {
    let ours = matches!(visible(actor), Visible::All);
    let told = |blocker: &Blocker| {
        let code = blocker.code;
        BlockerJson {
            code: code.as_str(),
            scope: code.scope().as_str(),
            subject: blocker.subject.clone(),
            message: if ours { blocker.message() } else { code.message().to_owned() },
            who: if ours { blocker.who() } else { code.who() }.as_str(),
            remedy: if ours { blocker.remedy() } else { code.remedy() },
        }
    };
    blockers.iter().map(told).collect()
}

/// A moment: an RFC 3339 time, or the beginning of a date, UTC.
///
/// # Errors
/// When it is neither.
pub fn moment(text: &str, pointer: &str) -> Result<i64, FieldError> {
    let odd_year = match day(text, "") {
        Ok(start) => return Ok(start),
        Err(told) => told,
    };
    match (odd_year.is_empty(), time(text)) {
        (true, Some(moment)) => Ok(moment),
        (true, None) => Err(not_a_time(pointer)),
        (false, _) => Err(FieldError { pointer: pointer.to_owned(), code: "invalid_date", detail: odd_year }),
    }
}

/// The end of something: an RFC 3339 time, or the end of a date, UTC.
///
/// # Errors
/// When it is neither.
pub fn expiry(text: &str, pointer: &str) -> Result<i64, FieldError> {
    let odd_year = day(text, "").err().filter(|told| !told.is_empty());
    if let Some(detail) = odd_year {
        return Err(FieldError { pointer: pointer.to_owned(), code: "invalid_date", detail });
    }
    end_of_date(text).ok().or_else(|| time(text)).ok_or_else(|| not_a_time(pointer))
}

fn time(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>().ok().map(|time| time.as_microsecond())
}

fn not_a_time(pointer: &str) -> FieldError {
    let detail = "Write a date like 2027-03-31, or a time like 2027-03-31T12:00:00Z.".to_owned();
    FieldError { pointer: pointer.to_owned(), code: "invalid_date", detail }
}

/// A money error, at its place.
#[must_use]
pub fn money_error(pointer: String, error: MoneyError) -> FieldError {
    FieldError { pointer, code: error.code(), detail: error.sentence().to_owned() }
}

/// A page of a list.
#[derive(Clone, Serialize, ToSchema, Debug)]
pub struct Page<T> {
    /// The rows.
    pub data: Vec<T>,
    /// There are more after these.
    pub has_more: bool,
    /// What to send as `after` for the next page.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// A page of at most `limit` of `rows`, which hold one more when there is another page; `key` seals a row's place.
    #[must_use]
    pub fn of<R>(mut rows: Vec<R>, limit: i64, key: impl Fn(&R) -> String, json: impl Fn(R) -> T) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| has_more).map(key);
        Self { data: rows.into_iter().map(json).collect(), has_more, next }
    }
}

/// The tag of a version of a thing, as `ETag` and `If-Match` write it.
#[must_use]
pub fn etag(version: i64) -> String {
    format!("\"{version}\"")
}

/// The version that `If-Match` asks for; `None` when any will do. A tag we never gave out matches no version.
#[must_use]
pub fn if_match(headers: &axum::http::HeaderMap) -> Option<i64> {
    let sent = headers.get(axum::http::header::IF_MATCH)?.to_str().unwrap_or("").trim();
    if sent == "*" {
        return None;
    }
    let tag = sent.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    Some(tag.and_then(|tag| tag.parse().ok()).unwrap_or(-1))
}
