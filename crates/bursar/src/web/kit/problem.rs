//! Errors: those of all layers become a [`Problem`], which becomes `problem+json` (RFC 9457) or a page. Not here:
//! internal details. They are logged with the request id, and only the id is shown.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use payout::Refusal;
use payout::eligibility::Blocker;
use payout::ids::PersonId;

use super::login_limit::Wait;
use crate::ops::OpsError;
use crate::store::StoreError;

/// An error in one field of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FieldError {
    /// A JSON pointer to the field, also for a query parameter.
    pub pointer: String,
    pub code: &'static str,
    /// What is wrong and what to write instead.
    pub detail: String,
}

/// An error response, before it is rendered.
#[derive(Clone, Debug)]
pub struct Problem(Box<ProblemDetails>);

/// The content of a [`Problem`], for rendering.
#[derive(Clone, Debug)]
pub struct ProblemDetails {
    pub status: StatusCode,
    pub code: String,
    /// What happened, what it means and what to do.
    pub detail: String,
    pub errors: Vec<FieldError>,
    pub blockers: Vec<Blocker>,
    /// Additional members of the problem, such as `current`, the current object of a 412.
    pub members: Vec<(&'static str, Value)>,
    /// Seconds after which a retry makes sense.
    pub retry_after: Option<u32>,
    /// The API key that was sent, known but not accepted; only logged, never shown.
    pub key: Option<PersonId>,
    /// Whether a refusal is disguised as another error, so that it reveals nothing.
    pub hides: bool,
}

impl Problem {
    /// A problem with a stable code and a message for the client.
    pub fn new(status: StatusCode, code: impl Into<String>, detail: impl Into<String>) -> Self {
        Self(Box::new(ProblemDetails {
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

    /// It does not exist, or not for this actor.
    pub fn missing() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "This page was not found, or you have no access to it.")
    }

    /// The role or the key's scopes do not allow it.
    pub fn forbidden() -> Self {
        let message = "Your role or the scopes of your API key do not allow this. Ask an administrator.";
        Self::new(StatusCode::FORBIDDEN, "permission_denied", message)
    }

    /// Adds the known but unaccepted API key, for the log.
    pub fn to_key(mut self, key: PersonId) -> Self {
        self.0.key = Some(key);
        self
    }

    /// Marks a refusal that is answered as if nothing existed, for the log.
    pub fn hiding(mut self) -> Self {
        self.0.hides = true;
        self
    }

    pub fn blocked_by(mut self, blockers: Vec<Blocker>) -> Self {
        self.0.blockers = blockers;
        self
    }

    /// The request cannot be parsed.
    pub fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// One field is invalid. Unknown and duplicate fields are 400, invalid values 422.
    pub fn field(error: FieldError) -> Self {
        Self::fields(vec![error])
    }

    /// Several fields are invalid; the first determines the problem's code.
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
        let mut problem = Self::new(status, code, detail);
        problem.0.errors = errors;
        problem
    }

    /// The object has changed since it was read; `current` is the new version.
    pub fn stale(current: Value) -> Self {
        let message = "This was changed since you read it. Look at `current`, then retry with its ETag.";
        Self::new(StatusCode::PRECONDITION_FAILED, "precondition_failed", message).with("current", current)
    }

    /// Our own failure: logged, never shown.
    pub fn internal(error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "a request failed with an internal error");
        let message = "Bursar had an internal error, and nothing was changed. Try again; if it persists, give the request id to Bursar's operator.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }

    pub fn slow_down(Wait(seconds): Wait) -> Self {
        let message = format!(
            "There were too many attempts, so this one was not processed. Nothing is locked: wait {}, then try again.",
            span(seconds)
        );
        Self::new(StatusCode::TOO_MANY_REQUESTS, "slow_down", message).retry_after(seconds)
    }

    /// A login or an API key exceeds its rate limit.
    pub fn too_many_requests(Wait(seconds): Wait, of_key: bool) -> Self {
        let whose = if of_key { "This API key" } else { "Your login" };
        let message = format!(
            "{whose} has exceeded its rate limit, so this request was not processed; earlier requests stay done. Wait {}, then send it again.",
            span(seconds)
        );
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", message).retry_after(seconds)
    }

    /// Adds a member to the problem.
    pub fn with(mut self, name: &'static str, value: Value) -> Self {
        self.0.members.push((name, value));
        self
    }

    /// Adds after how many seconds to retry.
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.0.retry_after = Some(seconds);
        self
    }

    pub fn details(&self) -> &ProblemDetails {
        &self.0
    }

    pub fn code(&self) -> &str {
        &self.0.code
    }
}

impl From<Refusal> for Problem {
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

impl From<OpsError> for Problem {
    fn from(error: OpsError) -> Self {
        match error {
            OpsError::Refused(refusal) => refusal.into(),
            OpsError::Blocked(blockers) => {
                let message = "At least one gate is closed, so nothing was done: `blockers` says which and who must act.";
                let mut problem = Self::new(StatusCode::CONFLICT, "blocked", message);
                problem.0.blockers = blockers;
                problem
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
                let message = "The database's disk is full or cannot be written, so nothing was changed. Tell Bursar's operator; retry once there is room.";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "storage_unavailable", message).retry_after(30)
            }
            OpsError::Internal(error) if error.away() => {
                tracing::error!(%error, "the database is away");
                let message = "The database does not answer, so nothing was changed. Try again in a moment; if it persists, tell Bursar's operator.";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "storage_unavailable", message).retry_after(5)
            }
            OpsError::Internal(error) => Self::internal(&error),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        OpsError::from(error).into()
    }
}

impl IntoResponse for Problem {
    /// A bare status that carries the problem; `kit::error_page` renders it once the format is known.
    fn into_response(self) -> Response {
        let mut response = self.0.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// The request for which a [`Problem`] is rendered.
#[derive(Clone, Debug)]
pub struct RequestContext {
    /// `problem+json` rather than a page.
    pub json: bool,
    /// Whether the request may have changed something.
    pub writes: bool,
    pub instance: String,
    /// The id of this request in the log.
    pub request_id: String,
    pub base_url: String,
    /// The CSRF token, if somebody is signed in.
    pub csrf: Option<String>,
}

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
