//! What an answer means, one table per vendor. Anything that is not listed is unknown.
//!
//! Not here: the objects inside an accepted answer, which each vendor's modules parse.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::http::{Answer, Received};
use crate::{Doubt, Outcome, ReadError, Rejection, UnknownCause, lenient};

/// Why a 2xx does not count as an acceptance.
pub(crate) enum InvalidResponse {
    /// Not the object the contract promises.
    Unreadable(String),
    /// The object differs from what was requested.
    Mismatch(String),
}

/// A vendor's error answer, normalized.
pub(crate) struct VendorError {
    code: String,
    message: String,
    items: Vec<usize>,
    may_be_duplicate: bool,
    class: Class,
}

/// What a vendor's error answer means for the money.
enum Class {
    Definite,
    Doubtful(UnknownCause),
}

/// Classifies the answer to a Stripe money request.
pub(crate) fn stripe<T>(
    answer: &Answer,
    accept: impl FnOnce(&[u8]) -> Result<T, InvalidResponse>,
) -> Outcome<T> {
    outcome(answer, stripe_error, accept)
}

/// Classifies the answer to a PayPal money request. A duplicate batch must be recognized first.
pub(crate) fn paypal<T>(
    answer: &Answer,
    accept: impl FnOnce(&[u8]) -> Result<T, InvalidResponse>,
) -> Outcome<T> {
    outcome(answer, paypal_error, accept)
}

/// Parses the answer to a Stripe read or settings change.
pub(crate) fn stripe_read<T: DeserializeOwned>(answer: &Answer) -> Result<T, ReadError> {
    read(answer, stripe_error)
}

/// Parses the answer to a PayPal read or settings change.
pub(crate) fn paypal_read<T: DeserializeOwned>(answer: &Answer) -> Result<T, ReadError> {
    read(answer, paypal_error)
}

/// Parses JSON in the shape the contract promises.
pub(crate) fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, InvalidResponse> {
    serde_json::from_slice(body).map_err(|error| InvalidResponse::Unreadable(error.to_string()))
}

/// The request id by which the vendor's support finds the answer.
pub(crate) fn request_id(received: &Received) -> Option<String> {
    received.header("request-id").or_else(|| received.header("paypal-debug-id")).map(String::from)
}

fn outcome<T>(
    answer: &Answer,
    fault: impl FnOnce(&Received) -> VendorError,
    accept: impl FnOnce(&[u8]) -> Result<T, InvalidResponse>,
) -> Outcome<T> {
    let received = match answer {
        Answer::NotSent(detail) => return Outcome::Unknown(Doubt::new(UnknownCause::NotSent, detail)),
        Answer::Lost(detail) => return Outcome::Unknown(Doubt::new(UnknownCause::NoAnswer, detail)),
        Answer::Got(received) => received,
    };
    let doubt = |why, detail| {
        Outcome::Unknown(Doubt {
            why,
            detail,
            retry_after_s: retry_after(received),
            request_id: request_id(received),
        })
    };
    if (200..300).contains(&received.status) {
        return match accept(&received.body) {
            Ok(object) => Outcome::Accepted(object),
            Err(InvalidResponse::Unreadable(detail)) => {
                doubt(UnknownCause::Unreadable, format!("{} but {detail}", received.status))
            }
            Err(InvalidResponse::Mismatch(detail)) => doubt(UnknownCause::Mismatch, detail),
        };
    }
    let VendorError { code, message, items, may_be_duplicate, class } = fault(received);
    match class {
        Class::Doubtful(why) => doubt(why, format!("{} {code}: {message}", received.status)),
        Class::Definite => Outcome::Rejected(Rejection {
            code,
            message,
            status: received.status,
            request_id: request_id(received),
            items,
            may_be_duplicate,
        }),
    }
}

fn read<T: DeserializeOwned>(
    answer: &Answer,
    fault: impl FnOnce(&Received) -> VendorError,
) -> Result<T, ReadError> {
    let received = match answer {
        Answer::NotSent(detail) | Answer::Lost(detail) => return Err(ReadError::Unreachable(detail.clone())),
        Answer::Got(received) => received,
    };
    let status = received.status;
    if (200..300).contains(&status) {
        let body: &[u8] = if received.body.is_empty() { b"null" } else { &received.body };
        return serde_json::from_slice(body).map_err(|error| ReadError::Unreadable(error.to_string()));
    }
    let VendorError { code, message, class, .. } = fault(received);
    let detail = format!("{status} {code}: {message}");
    Err(match class {
        Class::Definite if status == 404 => ReadError::Missing,
        Class::Definite => ReadError::Refused { code, message, status },
        Class::Doubtful(UnknownCause::Credentials) => ReadError::Credentials(detail),
        Class::Doubtful(UnknownCause::RateLimited | UnknownCause::LockTimeout) => {
            ReadError::RateLimited { retry_after_s: retry_after(received) }
        }
        Class::Doubtful(UnknownCause::KeyClash) => ReadError::Refused { code, message, status },
        Class::Doubtful(UnknownCause::Unreadable | UnknownCause::Mismatch) => ReadError::Unreadable(detail),
        Class::Doubtful(
            UnknownCause::NotSent
            | UnknownCause::NoAnswer
            | UnknownCause::ServerError
            | UnknownCause::StoredServerError
            | UnknownCause::InUse
            | UnknownCause::TryLater,
        ) => ReadError::Unreachable(detail),
    })
}

/// Statuses that mean the same at both vendors, whatever the body.
fn by_status(status: u16) -> Option<UnknownCause> {
    match status {
        408 | 424 | 425 => Some(UnknownCause::TryLater),
        409 => Some(UnknownCause::InUse),
        401 => Some(UnknownCause::Credentials),
        500..600 => Some(UnknownCause::ServerError),
        // 1xx and 3xx do not answer our requests, and nothing above 599 is HTTP.
        ..400 | 600.. => Some(UnknownCause::Unreadable),
        400 | 402..408 | 410..424 | 426..500 => None,
    }
}

#[derive(Deserialize)]
struct StripeErrorBody {
    error: StripeError,
}

#[derive(Deserialize)]
struct StripeError {
    #[serde(rename = "type", default, deserialize_with = "lenient::text")]
    kind: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    code: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    message: Option<String>,
}

fn stripe_error(received: &Received) -> VendorError {
    let error = serde_json::from_slice::<StripeErrorBody>(&received.body).ok().map(|body| body.error);
    let Some(error) = error else {
        let why = by_status(received.status).unwrap_or(match received.status {
            403 => UnknownCause::Credentials,
            429 => UnknownCause::RateLimited,
            _ => UnknownCause::Unreadable,
        });
        return VendorError {
            code: "unreadable".into(),
            message: "the answer is not an error object".into(),
            items: Vec::new(),
            may_be_duplicate: false,
            class: Class::Doubtful(stored(received, why)),
        };
    };
    let kind = error.kind.unwrap_or_default();
    let class = stripe_class(received, &kind, error.code.as_deref().unwrap_or_default());
    VendorError {
        code: error.code.unwrap_or(kind),
        message: error.message.unwrap_or_default(),
        items: Vec::new(),
        may_be_duplicate: false,
        class,
    }
}

fn stripe_class(received: &Received, kind: &str, code: &str) -> Class {
    if kind == "idempotency_error" && code != "idempotency_key_in_use" {
        return Class::Doubtful(UnknownCause::KeyClash);
    }
    let asks_again = received.header("stripe-should-retry") == Some("true");
    match (received.status, code) {
        (400..500, "idempotency_key_in_use") => Class::Doubtful(UnknownCause::InUse),
        (400..500, "lock_timeout") => Class::Doubtful(UnknownCause::LockTimeout),
        // Stripe names a reason when it rate limits; without one, it could not lock an object.
        (429, code) => {
            let limited = code == "rate_limit" || received.header("stripe-rate-limited-reason").is_some();
            Class::Doubtful(if limited { UnknownCause::RateLimited } else { UnknownCause::LockTimeout })
        }
        (403, code) if !names_an_account(code) => Class::Doubtful(UnknownCause::Credentials),
        (status, _) => match by_status(status) {
            Some(why) => Class::Doubtful(stored(received, why)),
            None if asks_again => Class::Doubtful(UnknownCause::TryLater),
            // `api_error` is a problem on Stripe's side, whatever the status.
            None if kind == "api_error" => Class::Doubtful(UnknownCause::ServerError),
            None if kind.is_empty() && code.is_empty() => Class::Doubtful(UnknownCause::Unreadable),
            None => Class::Definite,
        },
    }
}

/// Codes with which Stripe refuses one account's leg rather than our credentials (Stripe error codes, Connect).
fn names_an_account(code: &str) -> bool {
    matches!(
        code,
        "account_invalid"
            | "account_closed"
            | "insufficient_capabilities_for_transfer"
            | "transfers_not_allowed"
            | "payouts_not_allowed"
            | "payouts_limit_exceeded"
            | "capability_not_active"
            | "country_unsupported"
            | "bank_account_unusable"
            | "transfer_source_balance_parameters_mismatch"
    ) || code.starts_with("instant_payouts_")
}

/// Distinguishes a 5xx that the key will only replay from one that may pass.
fn stored(received: &Received, why: UnknownCause) -> UnknownCause {
    let repeated = received.header("idempotent-replayed") == Some("true")
        || received.header("stripe-should-retry") == Some("false");
    if why == UnknownCause::ServerError && repeated { UnknownCause::StoredServerError } else { why }
}

/// PayPal's error object. The token endpoint and the gateway in front of it use `error` instead of `name`.
#[derive(Deserialize)]
pub(crate) struct PaypalError {
    #[serde(default, deserialize_with = "lenient::text")]
    name: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    error: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    message: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    error_description: Option<String>,
    #[serde(default, deserialize_with = "lenient::each")]
    details: Vec<PaypalDetail>,
}

#[derive(Deserialize)]
struct PaypalDetail {
    #[serde(default, deserialize_with = "lenient::text")]
    field: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    issue: Option<String>,
    /// The name in recorded answers; the official documentation only has a top-level `links`.
    #[serde(default, deserialize_with = "lenient::each")]
    link: Vec<PaypalLink>,
    #[serde(default, deserialize_with = "lenient::each")]
    links: Vec<PaypalLink>,
}

#[derive(Deserialize)]
struct PaypalLink {
    #[serde(default, deserialize_with = "lenient::text")]
    href: Option<String>,
}

/// The error name PayPal uses, among other things, for a batch it already has.
const BUSINESS_ERROR: &str = "USER_BUSINESS_ERROR";

/// If a batch with this key already exists: its URL, if PayPal gives one. `None` for every other answer.
///
/// Recognized by name and field, never by the message, which has changed since the first recordings.
pub(crate) fn paypal_duplicate(received: &Received) -> Option<Option<String>> {
    if received.status != 400 {
        return None;
    }
    let error: PaypalError = serde_json::from_slice(&received.body).ok()?;
    if error.name.as_deref() != Some(BUSINESS_ERROR) {
        return None;
    }
    let detail = error.details.into_iter().find(|detail| {
        detail.field.as_deref().is_some_and(|field| field.eq_ignore_ascii_case("sender_batch_id"))
    })?;
    Some(detail.link.into_iter().chain(detail.links).find_map(|link| link.href))
}

fn paypal_error(received: &Received) -> VendorError {
    let error: Option<PaypalError> = serde_json::from_slice(&received.body).ok();
    let code = error.as_ref().and_then(|error| error.name.clone().or_else(|| error.error.clone()));
    let (Some(error), Some(code)) = (error, code) else {
        let why = by_status(received.status).unwrap_or(match received.status {
            403 => UnknownCause::Credentials,
            429 => UnknownCause::RateLimited,
            _ => UnknownCause::Unreadable,
        });
        return VendorError {
            code: "unreadable".into(),
            message: "the answer is not an error object".into(),
            items: Vec::new(),
            may_be_duplicate: false,
            class: Class::Doubtful(why),
        };
    };
    VendorError {
        may_be_duplicate: code == BUSINESS_ERROR && error.details.iter().all(|one| one.field.is_none()),
        class: paypal_class(received.status, &code, error.name.is_some()),
        items: error.details.iter().filter_map(|detail| item_index(detail.field.as_deref()?)).collect(),
        message: paypal_message(error),
        code,
    }
}

fn paypal_class(status: u16, code: &str, named: bool) -> Class {
    match (status, code) {
        (429, _) | (400..500, "RATE_LIMIT_REACHED") => Class::Doubtful(UnknownCause::RateLimited),
        (403, _) | (400..500, "AUTHENTICATION_FAILURE" | "invalid_token" | "invalid_client") => {
            Class::Doubtful(UnknownCause::Credentials)
        }
        (400..500, "INTERNAL_ERROR" | "INTERNAL_SERVER_ERROR" | "UNDEFINED") => {
            Class::Doubtful(UnknownCause::ServerError)
        }
        (status, _) => match by_status(status) {
            Some(why) => Class::Doubtful(why),
            None if named => Class::Definite,
            None => Class::Doubtful(UnknownCause::Unreadable),
        },
    }
}

/// PayPal's message with its details: "Invalid request (items[0].receiver: not an address)".
fn paypal_message(error: PaypalError) -> String {
    let mut message = error.message.or(error.error_description).unwrap_or_default();
    let details: Vec<String> = error
        .details
        .into_iter()
        .filter_map(|detail| match (detail.field, detail.issue) {
            (Some(field), Some(issue)) => Some(format!("{field}: {issue}")),
            (None, Some(only)) | (Some(only), None) => Some(only),
            (None, None) => None,
        })
        .collect();
    if !details.is_empty() {
        message.push_str(&format!(" ({})", details.join("; ")));
    }
    message
}

/// The index in `/items/3/receiver`, `items[3].amount` or `ITEMS[3]`: PayPal has used all of these.
fn item_index(field: &str) -> Option<usize> {
    let lower = field.to_ascii_lowercase();
    let rest = lower.split_once("items")?.1.trim_start_matches(['/', '[', '.']);
    let digits = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
    rest[..digits].parse().ok()
}

/// The longest Retry-After that is honored. A longer one, whether a mistake of the vendor or of something in between,
/// must not stop payments forever.
const LONGEST_PATIENCE_S: u64 = 86_400;

/// The `Retry-After` in seconds, at most a day. Neither vendor uses the header's date form; anything that is not a
/// number is ignored.
fn retry_after(received: &Received) -> Option<u64> {
    let text = received.header("retry-after")?.trim();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // A number too large to parse is more than a day.
    is_number.then(|| text.parse().unwrap_or(u64::MAX).min(LONGEST_PATIENCE_S))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn got(status: u16, headers: &[(&'static str, &str)], body: &str) -> Answer {
        let headers = headers.iter().map(|(name, value)| {
            (crate::http::HeaderName::from_static(name), crate::http::HeaderValue::from_str(value).unwrap())
        });
        Answer::Got(Received { status, headers: headers.collect(), body: body.as_bytes().to_vec() })
    }

    /// A read moves no money, so its errors are classified by what the caller does next.
    #[test]
    fn what_an_answer_to_a_question_means() {
        let missing =
            r#"{"error":{"type":"invalid_request_error","code":"resource_missing","message":"No such"}}"#;
        let account =
            r#"{"error":{"type":"invalid_request_error","code":"account_invalid","message":"Not yours"}}"#;
        let clash = r#"{"error":{"type":"idempotency_error","message":"Other body"}}"#;
        let locked = r#"{"error":{"code":"lock_timeout","message":"Busy"}}"#;
        let named = r#"{"name":"RESOURCE_NOT_FOUND","message":"Not here"}"#;
        let gateway = r#"{"error":"invalid_token","error_description":"Expired"}"#;
        let (stripe, paypal) = (stripe_read::<serde_json::Value>, paypal_read::<serde_json::Value>);
        type Read = fn(&Answer) -> Result<serde_json::Value, ReadError>;
        let rows: Vec<(&str, Read, Answer, Result<&str, &str>)> = vec![
            ("an object", stripe, got(200, &[], r#"{"id":1}"#), Ok(r#"{"id":1}"#)),
            ("done, without words", paypal, got(204, &[], ""), Ok("null")),
            ("a page of a proxy", stripe, got(200, &[], "<html>"), Err("unreadable")),
            ("not there", stripe, got(404, &[], missing), Err("missing")),
            ("not there", paypal, got(404, &[], named), Err("missing")),
            ("a 404 of a proxy", stripe, got(404, &[], "<html>"), Err("unreadable")),
            ("a 404 of a proxy", paypal, got(404, &[], "<html>"), Err("unreadable")),
            ("nothing but moved", stripe, got(302, &[], ""), Err("unreadable")),
            ("credentials", stripe, got(401, &[], missing), Err("credentials")),
            ("credentials, without words", stripe, got(403, &[], "<html>"), Err("credentials")),
            ("credentials, without words", paypal, got(403, &[], ""), Err("credentials")),
            ("an expired token", paypal, got(400, &[], gateway), Err("credentials")),
            (
                "words of a gateway",
                paypal,
                got(400, &[], r#"{"error":"not_by_this_gateway"}"#),
                Err("unreadable"),
            ),
            ("one account", stripe, got(403, &[], account), Err("refused 403 account_invalid")),
            ("another status than 404", stripe, got(400, &[], missing), Err("refused 400 resource_missing")),
            ("another status than 404", paypal, got(422, &[], named), Err("refused 422 RESOURCE_NOT_FOUND")),
            ("our own clash of keys", stripe, got(400, &[], clash), Err("refused 400 idempotency_error")),
            ("too fast", stripe, got(429, &[("retry-after", "7")], "<html>"), Err("wait 7")),
            ("too fast", paypal, got(429, &[], named), Err("wait")),
            ("busy", stripe, got(400, &[], locked), Err("wait")),
            ("trouble there", stripe, got(500, &[], missing), Err("unreachable")),
            ("not now", stripe, got(425, &[], missing), Err("unreachable")),
            ("in use", paypal, got(409, &[], named), Err("unreachable")),
            ("no answer", stripe, Answer::Lost("cut".into()), Err("unreachable")),
            ("not asked", paypal, Answer::NotSent("refused".into()), Err("unreachable")),
        ];
        for (what, read, answer, expected) in rows {
            let sentence = read(&answer).map(|value| value.to_string()).map_err(|error| match error {
                ReadError::Missing => "missing".to_owned(),
                ReadError::Credentials(_) => "credentials".to_owned(),
                ReadError::RateLimited { retry_after_s: None } => "wait".to_owned(),
                ReadError::RateLimited { retry_after_s: Some(seconds) } => format!("wait {seconds}"),
                ReadError::Refused { code, status, .. } => format!("refused {status} {code}"),
                ReadError::Unreachable(_) => "unreachable".to_owned(),
                ReadError::Unreadable(_) => "unreadable".to_owned(),
            });
            assert_eq!(sentence.as_deref().map_err(|told| told.as_str()), expected, "{what}: {answer:?}");
        }
    }

    /// A refused item is identified by its index, which PayPal has written in several ways.
    #[test]
    fn the_place_of_an_item_is_read_however_it_is_written() {
        for (field, place) in [
            ("/items/3/receiver", Some(3)),
            ("items[3].amount", Some(3)),
            ("ITEMS[12]", Some(12)),
            ("items.0", Some(0)),
            ("items", None),
            ("items[].amount", None),
            ("sender_batch_header", None),
        ] {
            assert_eq!(item_index(field), place, "{field}");
        }
    }

    #[test]
    fn paypals_sentence_holds_what_its_details_add() {
        let said = |body: &str| paypal_message(serde_json::from_str(body).unwrap());
        let rows = [
            (r#"{"message":"Invalid request"}"#, "Invalid request"),
            (r#"{"error":"x","error_description":"Expired"}"#, "Expired"),
            (
                r#"{"message":"Bad","details":[{"field":"items[0]","issue":"no"},{"issue":"why"},{"field":"b"},{}]}"#,
                "Bad (items[0]: no; why; b)",
            ),
            ("{}", ""),
        ];
        for (body, sentence) in rows {
            assert_eq!(said(body), sentence);
        }
    }

    #[test]
    fn patience_is_a_number_of_seconds_and_at_most_a_day() {
        let asked = |value: &str| {
            let mut received = Received { status: 429, headers: Default::default(), body: Vec::new() };
            received.headers.insert("retry-after", value.parse().unwrap());
            retry_after(&received)
        };
        let rows = [
            ("60", Some(60)),
            (" 60 ", Some(60)),
            ("86401", Some(86_400)),
            ("18446744073709551615", Some(86_400)),
            ("99999999999999999999999999", Some(86_400)),
            ("-1", None),
            ("+5", None),
            ("soon", None),
            ("1e9", None),
            ("Wed, 21 Oct 2026 07:28:00 GMT", None),
            ("", None),
        ];
        for (value, seconds) in rows {
            assert_eq!(asked(value), seconds, "{value:?}");
        }
        assert_eq!(
            retry_after(&Received { status: 429, headers: Default::default(), body: Vec::new() }),
            None
        );
    }
}
