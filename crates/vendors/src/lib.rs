//! Translation: an instruction in, a request out; an answer in, an outcome out.
//!
//! Everything here is a pure function of its arguments except [`http`], the one place that reaches the
//! network. Not here: retries, waiting, clocks and databases. Whether and when to ask again is decided by
//! whoever calls, from the [`Outcome`], and no function of this crate ever turns an answer it does not
//! understand into a failure.

pub mod certificates;
pub mod http;
pub mod paypal;
pub mod signature;
pub mod stripe;

mod classify;
mod lenient;
mod movement;
mod request;

pub use movement::{Movement, MovementPage, Told};
pub use request::{BadRequest, MoneyKind, MoneyRequest};

/// What a vendor's answer to a money request means. There is no fourth value: whatever is not clearly
/// accepted and not clearly rejected is unknown, and unknown is never failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<T> {
    /// The vendor has it and gave it an id.
    Accepted(T),
    /// A definite refusal: no money moved because of this request.
    Rejected(Rejection),
    /// The money may or may not have moved; [`Why::may_have_executed`] says which doubts are harmless.
    Unknown(Doubt),
}

impl<T> Outcome<T> {
    /// The same outcome about another object.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Outcome<U> {
        match self {
            Self::Accepted(object) => Outcome::Accepted(change(object)),
            Self::Rejected(rejection) => Outcome::Rejected(rejection),
            Self::Unknown(doubt) => Outcome::Unknown(doubt),
        }
    }
}

/// A definite refusal in the vendor's own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The vendor's own code, unchanged: Stripe `error.code` (else `error.type`), PayPal `name`.
    pub code: String,
    /// The vendor's sentence.
    pub message: String,
    /// The HTTP status it came with.
    pub status: u16,
    /// Stripe `Request-Id` or PayPal `PayPal-Debug-Id`: what the vendor's support asks for.
    pub request_id: Option<String>,
    /// PayPal: positions, from 0, of the items because of which the whole request was refused. Empty when the
    /// refusal names none; always empty at Stripe.
    pub items: Vec<usize>,
    /// PayPal: a refusal of the kind with which it tells of a batch that it has already, and what it is about cannot be read.
    pub may_be_duplicate: bool,
}

/// An answer that settles nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// The kind of doubt.
    pub why: Why,
    /// What was seen, for the person on call. Never holds a secret.
    pub detail: String,
    /// How long the vendor asks to wait, from `Retry-After` in seconds.
    pub retry_after_s: Option<u64>,
    /// Stripe `Request-Id` or PayPal `PayPal-Debug-Id`, if there was an answer at all.
    pub request_id: Option<String>,
}

impl Doubt {
    /// A doubt of which nothing more is known than these words.
    #[must_use]
    pub fn new(why: Why, detail: impl Into<String>) -> Self {
        Self { why, detail: detail.into(), retry_after_s: None, request_id: None }
    }
}

/// Why an outcome is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Refused connection, DNS or TLS failure before a byte of the request was written.
    NotSent,
    /// Time-out, reset or end of stream after the first byte.
    NoAnswer,
    /// A 5xx.
    ServerError,
    /// Stripe: a 5xx that is stored under the key, so that asking again with it only repeats it
    /// (`Idempotent-Replayed: true` or `Stripe-Should-Retry: false`).
    StoredServerError,
    /// 409: the same key is being worked on.
    InUse,
    /// 429: not executed.
    RateLimited,
    /// Stripe could not lock the account: not executed.
    LockTimeout,
    /// 401, or a 403 that names no account: not executed, and nothing will be until somebody acts.
    Credentials,
    /// Stripe `idempotency_error`: this key was used with other bytes.
    KeyClash,
    /// 3xx, HTML, broken JSON, an object without an id, or an error that is none we know to be definite.
    Unreadable,
    /// Accepted, but with another amount, currency or destination than was asked for.
    Mismatch,
    /// 408, 424, 425, or a refusal that Stripe itself asks to try again.
    TryLater,
}

impl Why {
    /// All of them.
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

    /// Whether this very request may have moved money. `false` only where the vendor's contract says that
    /// nothing was executed; an earlier request with the same key may of course have been.
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

    /// Reads [`Why::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|why| why.as_str() == text)
    }
}

/// Whose credentials these are, as the vendor tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The vendor's id of the account.
    pub account: String,
    /// Real money.
    pub live: bool,
}

/// Why a question, or a change of settings, has no answer. No money is at stake in any of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// The vendor says that there is no such object (404 with the vendor's own error object).
    Missing,
    /// The vendor does not accept our credentials, or they may not do this.
    Credentials(String),
    /// Too many questions; wait this long.
    RateLimited {
        /// Seconds, from `Retry-After`.
        retry_after_s: Option<u64>,
    },
    /// Another definite 4xx, in the vendor's words.
    Refused {
        /// The vendor's own code, unchanged.
        code: String,
        /// The vendor's sentence.
        message: String,
        /// The HTTP status.
        status: u16,
    },
    /// No answer, or one that says "later".
    Unreachable(String),
    /// An answer that is not what the contract says.
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
    /// What cannot be sent has no answer.
    fn from(bad: BadRequest) -> Self {
        Self::Unreachable(bad.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_doubt_is_read_as_it_is_written() {
        for why in Why::ALL {
            assert_eq!(Why::parse(why.as_str()), Some(why));
        }
        assert_eq!(Why::parse("failed"), None);
    }

    /// Only where the vendor's contract says so has nothing been executed: everything else may have moved money.
    #[test]
    fn what_may_have_moved_money_is_everything_that_a_contract_does_not_exclude() {
        let harmless: Vec<&str> =
            Why::ALL.iter().filter(|why| !why.may_have_executed()).map(|why| why.as_str()).collect();
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
