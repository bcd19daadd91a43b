//! The JSON that several parts of the API share: money, blockers, pages of a list, tags of versions. What is deliberately not
//! here: the JSON of one thing, which is private to its file.

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
use crate::store::programs::Worth;
use crate::store::rewards::Visible;

/// Money: a decimal text with exactly the currency's digits or fewer. Answers print all digits.
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

/// What stands in the way, as `actor` may read it: partners read the code's own words, never what our people noted. There
/// is no other way from a blocker to its JSON, so no route that partners share can forget it.
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
    pub fn of<R>(mut rows: Vec<R>, limit: i64, key: impl Fn(&R) -> String, json: impl Fn(R) -> T) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| has_more).map(key);
        Self { data: rows.into_iter().map(json).collect(), has_more, next }
    }
}

/// The tag of a version of a thing, as `ETag` and `If-Match` write it.
pub fn etag(version: i64) -> String {
    format!("\"{version}\"")
}

/// The version that `If-Match` asks for; `None` when any will do. A tag we never gave out matches no version.
pub fn if_match(headers: &axum::http::HeaderMap) -> Option<i64> {
    let sent = headers.get(axum::http::header::IF_MATCH)?.to_str().unwrap_or("").trim();
    if sent == "*" {
        return None;
    }
    let tag = sent.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    Some(tag.and_then(|tag| tag.parse().ok()).unwrap_or(-1))
}

/// A problem as the description tells it; [`problem`] writes it.
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

/// What is wrong with one field.
#[derive(ToSchema)]
#[schema(as = ProblemField)]
#[allow(dead_code, reason = "the description reads the fields")]
struct ProblemFieldJson {
    /// A JSON pointer to it.
    pointer: String,
    /// As the problem's.
    code: String,
    detail: String,
}

/// Who receives.
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
    /// Of this payee, by the name that it has.
    pub fn of(payee: Payee, named: Option<&crate::store::payees::Named>) -> Self {
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

/// How a payee is paid follows from who it is.
pub fn payment_type(payee: Payee) -> PaymentType {
    match payee {
        Payee::Partner(_) => PaymentType::Individual,
        Payee::Account(_) => PaymentType::Organization,
    }
}
