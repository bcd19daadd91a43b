//! The HTTP API, version 1: one file per resource, each with its rows of the route table, its JSON and its handlers. The
//! JSON of a thing is private to its file; what several share is here.

mod batches;
mod books;
mod payees;
mod settings;
mod transactions;
mod vendors;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use payout::money::{Currency, Money, MoneyError};

use super::Route;
use super::fault::FieldError;

/// Every route of the API.
#[must_use]
pub fn routes() -> Vec<Route> {
    let mut routes = settings::routes();
    routes.extend(vendors::routes());
    routes.extend(payees::routes());
    routes.extend(batches::routes());
    routes.extend(transactions::routes());
    routes.extend(books::routes());
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
