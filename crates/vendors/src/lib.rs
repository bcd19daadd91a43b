//! Translation between Bursar and the vendors: an instruction becomes a request, an answer becomes an outcome.
//!
//! Everything here is a pure function of its arguments, except [`http`], which accesses the network. Not here: retries,
//! waiting, clocks and databases. The caller decides from the [`Outcome`] whether and when to retry, and no function
//! here ever turns an answer it does not understand into a failure.

pub mod certificates;
pub mod http;
pub mod paypal;
pub mod signature;
pub mod stripe;

mod classify;
mod lenient;
mod movement;
mod request;

pub use movement::{Movement, MovementPage, ReportedBalance};
pub use request::{BadRequest, MoneyKind, MoneyRequest};

/// What a vendor's answer to a money request means. There is no fourth value: whatever is not clearly accepted or
/// clearly rejected is unknown, and unknown is never failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<T> {
    /// The vendor accepted it and assigned an id.
    Accepted(T),
    /// A definite refusal: this request moved no money.
    Rejected(Rejection),
    /// Money may or may not have moved; [`UnknownCause::may_have_executed`] says which doubts are harmless.
    Unknown(Doubt),
}

impl<T> Outcome<T> {
    /// The same outcome with another object.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Outcome<U> {
        match self {
            Self::Accepted(object) => Outcome::Accepted(change(object)),
            Self::Rejected(rejection) => Outcome::Rejected(rejection),
            Self::Unknown(doubt) => Outcome::Unknown(doubt),
        }
    }
}

/// A definite refusal, in the vendor's own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The vendor's own code, unchanged: Stripe `error.code` (else `error.type`), PayPal `name`.
    pub code: String,
    /// The vendor's message.
    pub message: String,
    /// The HTTP status of the answer.
    pub status: u16,
    /// Stripe `Request-Id` or PayPal `PayPal-Debug-Id`, for the vendor's support.
    pub request_id: Option<String>,
    /// PayPal: indexes, from 0, of the items that caused the refusal of the whole request. Empty if it names none;
    /// always empty for Stripe.
    pub items: Vec<usize>,
    /// PayPal: the refusal has the error name also used for duplicate batches, and its subject cannot be determined.
    pub may_be_duplicate: bool,
}

/// An inconclusive answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// The kind of doubt.
    pub why: UnknownCause,
    /// What was observed, for the person on call. Never contains a secret.
    pub detail: String,
    /// The wait the vendor requests with `Retry-After`, in seconds.
    pub retry_after_s: Option<u64>,
    /// Stripe `Request-Id` or PayPal `PayPal-Debug-Id`, if there was an answer at all.
    pub request_id: Option<String>,
}

impl Doubt {
    /// A doubt with only these details.
    #[must_use]
    pub fn new(why: UnknownCause, detail: impl Into<String>) -> Self {
        Self { why, detail: detail.into(), retry_after_s: None, request_id: None }
    }
}

/// The kind of doubt behind an unknown outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownCause {
    /// Connection refused, DNS or TLS failure before any byte of the request was written.
    NotSent,
    /// Timeout, reset or end of stream after the first byte.
    NoAnswer,
    /// A status of 5xx.
    ServerError,
    /// Stripe: a 5xx stored under the key, so that a retry with it only replays it (`Idempotent-Replayed: true` or
    /// `Stripe-Should-Retry: false`).
    StoredServerError,
    /// 409: a request with the same key is in progress.
    InUse,
    /// 429: not executed.
    RateLimited,
    /// Stripe could not lock the account: not executed.
    LockTimeout,
    /// 401, or a 403 that names no account: not executed, and nothing will be until somebody acts.
    Credentials,
    /// Stripe `idempotency_error`: the key was used with other bytes.
    KeyClash,
    /// 3xx, HTML, invalid JSON, an object without an id, or an error not known to be definite.
    Unreadable,
    /// Accepted, but with another amount, currency or destination than requested.
    Mismatch,
    /// 408, 424, 425, or a refusal for which Stripe itself asks for a retry.
    TryLater,
}

impl UnknownCause {
    /// All kinds of doubt.
    pub const ALL: [Self; 12] = [
        Self::NotSent,
        Self::NoAnswer,
        Self::ServerError,
        Self::StoredServerError,
        Self::InUse,
        Self::RateLimited,
        Self::LockTimeout,
        Self::Credentials,
        Self::KeyClash,
        Self::Unreadable,
        Self::Mismatch,
        Self::TryLater,
    ];

    /// Whether this request may have moved money. `false` only if the vendor's contract says that nothing was executed;
    /// an earlier request with the same key may still have been.
    #[must_use]
    pub fn may_have_executed(self) -> bool {
        match self {
            Self::NotSent | Self::RateLimited | Self::LockTimeout | Self::Credentials => false,
            Self::NoAnswer
            | Self::ServerError
            | Self::StoredServerError
            | Self::InUse
            | Self::KeyClash
            | Self::Unreadable
            | Self::Mismatch
            | Self::TryLater => true,
        }
    }

    /// The spelling in logs and the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotSent => "not_sent",
            Self::NoAnswer => "no_answer",
            Self::ServerError => "server_error",
            Self::StoredServerError => "stored_server_error",
            Self::InUse => "in_use",
            Self::RateLimited => "rate_limited",
            Self::LockTimeout => "lock_timeout",
            Self::Credentials => "credentials",
            Self::KeyClash => "key_clash",
            Self::Unreadable => "unreadable",
            Self::Mismatch => "mismatch",
            Self::TryLater => "try_later",
        }
    }

    /// Parses the spelling of [`UnknownCause::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|why| why.as_str() == text)
    }
}

/// The account the credentials belong to, as the vendor reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The vendor's id for the account.
    pub account: String,
    /// Whether it moves real money.
    pub live: bool,
}

/// Why a read or a settings change has no result. None of these move money.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// The vendor says that there is no such object (404 with the vendor's own error object).
    Missing,
    /// The vendor rejects our credentials, or they lack the permission.
    Credentials(String),
    /// Rate limited; wait this long.
    RateLimited {
        /// Seconds, from `Retry-After`.
        retry_after_s: Option<u64>,
    },
    /// Another definite 4xx, in the vendor's words.
    Refused {
        /// The vendor's own code, unchanged.
        code: String,
        /// The vendor's message.
        message: String,
        /// The HTTP status code.
        status: u16,
    },
    /// No answer, or one that says "later".
    Unreachable(String),
    /// An answer that does not match the contract.
    Unreadable(String),
}

impl std::fmt::Display for ReadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing => f.write_str("the vendor has no such object"),
            Self::Credentials(detail) => write!(f, "the vendor does not accept the credentials: {detail}"),
            Self::RateLimited { retry_after_s: Some(seconds) } => {
                write!(f, "the vendor asks to wait {seconds} s")
            }
            Self::RateLimited { retry_after_s: None } => f.write_str("the vendor asks to slow down"),
            Self::Refused { code, message, status } => {
                write!(f, "the vendor refused with {status} {code}: {message}")
            }
            Self::Unreachable(detail) => write!(f, "the vendor could not be reached: {detail}"),
            Self::Unreadable(detail) => write!(f, "the vendor's answer could not be read: {detail}"),
        }
    }
}

impl std::error::Error for ReadError {}

impl From<BadRequest> for ReadError {
    /// A request that cannot be built has no answer.
    fn from(bad: BadRequest) -> Self {
        Self::Unreachable(bad.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_doubt_is_read_as_it_is_written() {
        for why in UnknownCause::ALL {
            assert_eq!(UnknownCause::parse(why.as_str()), Some(why));
        }
        assert_eq!(UnknownCause::parse("failed"), None);
    }

    /// Nothing was executed only if the vendor's contract says so; in all other cases money may have moved.
    #[test]
    fn what_may_have_moved_money_is_everything_that_a_contract_does_not_exclude() {
        let harmless: Vec<&str> =
            UnknownCause::ALL.iter().filter(|why| !why.may_have_executed()).map(|why| why.as_str()).collect();
        assert_eq!(harmless, ["not_sent", "rate_limited", "lock_timeout", "credentials"]);
    }

    #[test]
    fn what_came_of_a_question_is_told_in_a_sentence() {
        let refused = ReadError::Refused { code: "nope".into(), message: "Not so.".into(), status: 422 };
        let rows = [
            (ReadError::Missing, "the vendor has no such object"),
            (ReadError::Credentials("401".into()), "the vendor does not accept the credentials: 401"),
            (ReadError::RateLimited { retry_after_s: Some(7) }, "the vendor asks to wait 7 s"),
            (ReadError::RateLimited { retry_after_s: None }, "the vendor asks to slow down"),
            (refused, "the vendor refused with 422 nope: Not so."),
            (ReadError::Unreachable("cut".into()), "the vendor could not be reached: cut"),
            (ReadError::Unreadable("html".into()), "the vendor's answer could not be read: html"),
            (ReadError::from(BadRequest("no key".into())), "the vendor could not be reached: no key"),
        ];
        for (error, sentence) in rows {
            assert_eq!(error.to_string(), sentence);
        }
    }
}
