//! What went wrong, told once: every face's errors become a [`Fault`], and a fault becomes `problem+json` (RFC 9457) or
//! a page. What is deliberately not here: our own insides. They are logged with the request's id, and only the id is
//! shown.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use payout::Refusal;
use payout::eligibility::Blocker;
use payout::ids::PersonId;

use super::login_limit::Wait;
use crate::ops::OpsError;
use crate::store::StoreError;

/// What is wrong with one field of what was sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FieldError {
    /// A JSON pointer to it, or the name of a query parameter as one.
    pub pointer: String,
    pub code: &'static str,
    /// What is wrong and what to write instead.
    pub detail: String,
}

/// An answer that is not what was asked for.
#[derive(Clone, Debug)]
pub struct Fault(Box<Told>);

/// What a [`Fault`] says, for whoever renders it.
#[derive(Clone, Debug)]
pub struct Told {
    pub status: StatusCode,
    pub code: String,
    /// What happened, what it means and what to do.
    pub detail: String,
    pub errors: Vec<FieldError>,
    pub blockers: Vec<Blocker>,
    /// Further members of the problem, such as `current`, the newer object of a 412.
    pub members: Vec<(&'static str, Value)>,
    /// Seconds after which asking again makes sense.
    pub retry_after: Option<u32>,
    /// The API key that it is told of although it does not count; for the log alone, never shown.
    pub key: Option<PersonId>,
    /// It is a refusal that is told as something else, so that nobody learns what there is.
    pub hides: bool,
}

impl Fault {
    /// A fault with a stable code and words for whoever asked.
    pub fn new(status: StatusCode, code: impl Into<String>, detail: impl Into<String>) -> Self {
        Self(Box::new(Told {
            status,
            code: code.into(),
            detail: detail.into(),
            errors: Vec::new(),
            blockers: Vec::new(),
            members: Vec::new(),
            retry_after: None,
            key: None,
            hides: false,
        }))
    }

    /// There is no such thing, or not for whoever asks.
    pub fn missing() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "This page was not found, or you have no access to it.")
    }

    /// The role or the key's scopes do not allow it.
    pub fn forbidden() -> Self {
        let told = "Your role or the scopes of your API key do not allow this. Ask an administrator.";
        Self::new(StatusCode::FORBIDDEN, "permission_denied", told)
    }

    /// The same for the log: to whoever has this key, which is known and does not count.
    pub fn to_key(mut self, key: PersonId) -> Self {
        self.0.key = Some(key);
        self
    }

    /// The same for the log: a refusal that is answered as if there were nothing.
    pub fn hiding(mut self) -> Self {
        self.0.hides = true;
        self
    }

    /// The same, naming the gates that are closed.
    pub fn blocked_by(mut self, blockers: Vec<Blocker>) -> Self {
        self.0.blockers = blockers;
        self
    }

    /// What was sent cannot be read at all.
    pub fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// One field is wrong. Unknown and doubled fields are 400, wrong values 422.
    pub fn field(error: FieldError) -> Self {
        Self::fields(vec![error])
    }

    /// Fields are wrong; the first gives the problem its code.
    pub fn fields(errors: Vec<FieldError>) -> Self {
        let first = errors.first();
        let code = first.map_or("invalid", |error| error.code);
        let detail = first.map_or_else(String::new, |error| match error.pointer.as_str() {
            "" => error.detail.clone(),
            pointer => format!("{pointer}: {}", error.detail),
        });
        let status = match code {
            "unknown_field" | "duplicate_key" | "too_many_fields" | "name_too_long" | "value_too_long"
            | "too_deep" => StatusCode::BAD_REQUEST,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        let mut fault = Self::new(status, code, detail);
        fault.0.errors = errors;
        fault
    }

    /// The object was changed since it was read; `current` is how it is now.
    pub fn stale(current: Value) -> Self {
        let told = "This was changed since you read it. Look at `current`, then retry with its ETag.";
        Self::new(StatusCode::PRECONDITION_FAILED, "precondition_failed", told).with("current", current)
    }

    /// Our own failure: logged, never shown.
    pub fn internal(error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "a request failed with an internal error");
        let told = "Bursar had an internal error, and nothing was changed. Try again; if it persists, give the request id to Bursar's operator.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", told)
    }

    pub fn slow_down(Wait(seconds): Wait) -> Self {
        let told = format!(
            "There were too many attempts, so this one was not processed. Nothing is locked: wait {}, then try again.",
            span(seconds)
        );
        Self::new(StatusCode::TOO_MANY_REQUESTS, "slow_down", told).retry_after(seconds)
    }

    /// A login or an API key asks for more in a minute than it may.
    pub fn too_many_requests(Wait(seconds): Wait, of_key: bool) -> Self {
        let whose = if of_key { "This API key" } else { "Your login" };
        let told = format!(
            "{whose} has exceeded its rate limit, so this request was not processed; earlier requests stay done. Wait {}, then send it again.",
            span(seconds)
        );
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", told).retry_after(seconds)
    }

    /// The same with one more member.
    pub fn with(mut self, name: &'static str, value: Value) -> Self {
        self.0.members.push((name, value));
        self
    }

    /// The same, saying when to come back.
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.0.retry_after = Some(seconds);
        self
    }

    pub fn told(&self) -> &Told {
        &self.0
    }

    pub fn code(&self) -> &str {
        &self.0.code
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        if let Some(field) = refusal.field {
            let pointer = format!("/{}", field.replace('.', "/"));
            return Self::field(FieldError { pointer, code: refusal.code, detail: refusal.sentence });
        }
        let status = match refusal.code {
            "own_reward" | "permission_denied" | "person_needed" => StatusCode::FORBIDDEN,
            _ => StatusCode::CONFLICT,
        };
        Self::new(status, refusal.code, refusal.sentence)
    }
}

impl From<OpsError> for Fault {
    fn from(error: OpsError) -> Self {
        match error {
            OpsError::Refused(refusal) => refusal.into(),
            OpsError::Blocked(blockers) => {
                let told = "At least one gate is closed, so nothing was done: `blockers` says which and who must act.";
                let mut fault = Self::new(StatusCode::CONFLICT, "blocked", told);
                fault.0.blockers = blockers;
                fault
            }
            OpsError::Missing => Self::missing(),
            OpsError::Conflict(refusal) if refusal.code == "slow_down" => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, refusal.code, refusal.sentence).retry_after(5)
            }
            OpsError::Conflict(refusal) => Self::new(StatusCode::CONFLICT, refusal.code, refusal.sentence),
            OpsError::Unreachable(refusal) => {
                Self::new(StatusCode::BAD_GATEWAY, refusal.code, refusal.sentence)
            }
            OpsError::Internal(error) if error.cannot_write() => {
                tracing::error!(%error, "the database cannot write: its disk is full or broken. Nothing is sent until it can");
                let told = "The database's disk is full or cannot be written, so nothing was changed. Tell Bursar's operator; retry once there is room.";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "storage_unavailable", told).retry_after(30)
            }
            OpsError::Internal(error) if error.away() => {
                tracing::error!(%error, "the database is away");
                let told = "The database does not answer, so nothing was changed. Try again in a moment; if it persists, tell Bursar's operator.";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "storage_unavailable", told).retry_after(5)
            }
            OpsError::Internal(error) => Self::internal(&error),
        }
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        OpsError::from(error).into()
    }
}

impl IntoResponse for Fault {
    /// A bare status that carries the fault; `kit::error_page` gives it its words, when the face is known.
    fn into_response(self) -> Response {
        let mut response = self.0.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Where and for whom a fault is rendered.
#[derive(Clone, Debug)]
pub struct Scene {
    /// `problem+json` rather than a page.
    pub json: bool,
    /// The path that was asked for.
    pub instance: String,
    /// The id under which the log knows this request.
    pub request_id: String,
    pub base_url: String,
    /// The word of the session's forms, where somebody is signed in.
    pub csrf: Option<String>,
}

/// A blocker as every face shows it.
pub fn blocker(blocker: &Blocker) -> Value {
    let code = blocker.code;
    json!({
        "code": code.as_str(),
        "scope": code.scope().as_str(),
        "subject": blocker.subject,
        "message": blocker.message(),
        "who": blocker.who().as_str(),
        "remedy": blocker.remedy(),
    })
}

fn span(seconds: u32) -> String {
    if seconds == 1 { "a second".to_owned() } else { format!("{seconds} seconds") }
}
