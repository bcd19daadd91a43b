//! JSON types that several parts of the API share: money, blockers, pages of a list, version tags. Not here: the JSON of
//! a single resource, which is private to its file.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use payout::eligibility::Blocker;
use payout::ledger::Payee;
use payout::money::{Currency, Money, MoneyError, Sum};
use payout::reward::PaymentType;

use super::problem::FieldError;
use crate::app::Actor;
use crate::clock::day;
use crate::ops::dates::end_of_date;
use crate::ops::partners::visible;
use crate::store::programs::RewardValue;
use crate::store::rewards::Visible;

/// Money: a decimal string with at most the currency's number of digits. Responses always have all digits.
#[derive(Clone, Serialize, Deserialize, ToSchema, PartialEq, Eq, Debug)]
#[serde(deny_unknown_fields)]
pub struct MoneyJson {
    /// The decimal, such as `420.00`.
    #[schema(value_type = super::shapes::SignedAmount)]
    pub value: String,
    /// Three capital letters (ISO 4217).
    #[schema(value_type = super::shapes::CurrencyCode)]
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
    /// The parsed amount; `pointer` is its place.
    ///
    /// # Errors
    /// An unknown currency, or anything but a positive decimal of that currency.
    pub fn read(&self, pointer: &str) -> Result<Money, FieldError> {
        let currency = Currency::parse(&self.currency)
            .map_err(|error| money_error(format!("{pointer}/currency"), error))?;
        Money::parse(&self.value, currency).map_err(|error| money_error(format!("{pointer}/value"), error))
    }
}

/// Money or points: `{"value":"420.00","currency":"USD"}` or `{"points":350}`.
#[derive(Clone, Default, Serialize, Deserialize, PartialEq, Eq, Debug)]
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

impl From<RewardValue> for ValueJson {
    fn from(worth: RewardValue) -> Self {
        match worth {
            RewardValue::Cash(money) => Self {
                value: Some(money.decimal()),
                currency: Some(money.currency.code().to_owned()),
                points: None,
            },
            RewardValue::Points(points) => Self { points: Some(points), ..Self::default() },
        }
    }
}

impl ValueJson {
    /// The parsed value; `pointer` is its place.
    ///
    /// # Errors
    /// As [`MoneyJson::read`], and if it is neither money nor points, or both.
    pub fn read(&self, pointer: &str) -> Result<RewardValue, FieldError> {
        let missing = |name: &str| FieldError {
            pointer: format!("{pointer}/{name}"),
            code: "missing",
            detail: "Write money as {\"value\",\"currency\"}, or points as {\"points\"}.".to_owned(),
        };
        match (&self.value, &self.currency, self.points) {
            (None, None, Some(points)) => crate::ops::import::points(&points.to_string())
                .map(RewardValue::Points)
                .map_err(|error| money_error(format!("{pointer}/points"), error)),
            (Some(value), Some(currency), None) => {
                let money = MoneyJson { value: value.clone(), currency: currency.clone() };
                money.read(pointer).map(RewardValue::Cash)
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
    #[schema(value_type = super::shapes::BlockerCode)]
    code: &'static str,
    #[schema(value_type = super::shapes::BlockerScope)]
    scope: &'static str,
    subject: String,
    message: String,
    #[schema(value_type = super::shapes::WhoActs)]
    who: &'static str,
    remedy: &'static str,
}

/// The blockers as `actor` may see them: partners get the codes' own texts, never notes of our people. This is the only
/// conversion of blockers to JSON, so no route open to partners can forget it.
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

/// A timestamp: an RFC 3339 time, or the start of a date, UTC.
///
/// # Errors
/// If it is neither.
pub fn moment(text: &str, pointer: &str) -> Result<i64, FieldError> {
    let odd_year = match day(text, "") {
        Ok(start) => return Ok(start),
        Err(message) => message,
    };
    match (odd_year.is_empty(), time(text)) {
        (true, Some(moment)) => Ok(moment),
        (true, None) => Err(not_a_time(pointer)),
        (false, _) => Err(FieldError { pointer: pointer.to_owned(), code: "invalid_date", detail: odd_year }),
    }
}

/// An expiry: an RFC 3339 time, or the end of a date, UTC.
///
/// # Errors
/// If it is neither.
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

/// An error about an amount, at its place.
pub fn money_error(pointer: String, error: MoneyError) -> FieldError {
    FieldError { pointer, code: error.code(), detail: error.sentence().to_owned() }
}

/// A page of a list.
#[derive(Clone, Serialize, ToSchema, Debug)]
pub struct Page<T> {
    /// The rows.
    pub data: Vec<T>,
    /// Whether there are more rows after these.
    pub has_more: bool,
    /// The `after` parameter of the next page.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// A page of at most `limit` of `rows`, which has one more if there is another page; `key` encodes a row's cursor.
    pub fn of<R>(mut rows: Vec<R>, limit: i64, key: impl Fn(&R) -> String, json: impl Fn(R) -> T) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| has_more).map(key);
        Self { data: rows.into_iter().map(json).collect(), has_more, next }
    }
}

/// The tag of a version, as used in `ETag` and `If-Match`.
pub fn etag(version: i64) -> String {
    format!("\"{version}\"")
}

/// The version that `If-Match` requires; `None` if any is accepted. A tag that we never issued matches no version.
pub fn if_match(headers: &axum::http::HeaderMap) -> Option<i64> {
    let sent = headers.get(axum::http::header::IF_MATCH)?.to_str().unwrap_or("").trim();
    if sent == "*" {
        return None;
    }
    let tag = sent.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    Some(tag.and_then(|tag| tag.parse().ok()).unwrap_or(-1))
}

/// The schema of a problem; [`problem`] writes it.
#[derive(ToSchema)]
#[schema(as = Problem)]
#[allow(dead_code, reason = "the description reads the fields")]
pub struct ProblemJson {
    r#type: String,
    title: String,
    status: u16,
    detail: String,
    instance: String,
    /// Stable, snake_case; what each means: [/api/docs/errors](/api/docs/errors)
    code: String,
    errors: Vec<ProblemFieldJson>,
    blockers: Vec<BlockerJson>,
    request_id: String,
}

/// An error in one field.
#[derive(ToSchema)]
#[schema(as = ProblemField)]
#[allow(dead_code, reason = "the description reads the fields")]
struct ProblemFieldJson {
    /// A JSON pointer to it.
    pointer: String,
    /// Like the problem's code.
    code: String,
    detail: String,
}

/// The recipient of a payment.
#[derive(Serialize, ToSchema)]
#[schema(as = Payee)]
pub struct PayeeJson {
    /// `partner` or `account`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// Our id.
    id: String,
    /// The caller's own id.
    external_id: Option<String>,
    /// The name.
    name: Option<String>,
}

impl PayeeJson {
    /// The payee with its name.
    pub fn of(payee: Payee, named: Option<&crate::store::payees::PayeeIdentity>) -> Self {
        Self {
            kind: match payee {
                Payee::Partner(_) => "partner",
                Payee::Account(_) => "account",
            },
            id: payee.to_string(),
            external_id: named.map(|named| named.external_id.clone()),
            name: named.map(|named| named.name.clone()),
        }
    }
}

/// The payment type of a payee.
pub fn payment_type(payee: Payee) -> PaymentType {
    match payee {
        Payee::Partner(_) => PaymentType::Individual,
        Payee::Account(_) => PaymentType::Organization,
    }
}
