//! Renders an error response: `problem+json` for programs, a page for people. Not here: the error itself (`kit::problem`).

use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use payout::eligibility::Code;

use super::codes;
use super::format::{BlockerSummary, summarize};
use super::layout::{Frame, MenuItem, PageContext, assets_version, html};
use super::problem::{Problem, ProblemDetails, RequestContext, blocker};
use super::refused;

/// Whether a response needs a body from us and may be shown with the menu. Internal errors and rate limits are not: building
/// the menu would query the database.
pub fn has_menu(response: &Response) -> bool {
    let limited = response.status() == StatusCode::TOO_MANY_REQUESTS;
    response.status().is_client_error()
        && !limited
        && (response.extensions().get::<Problem>().is_some() || !has_words(response))
}

/// Gives an error response its body. A successful response, or one that has a body already, passes unchanged. `visit` is the
/// signed-in person, if the page has a menu.
pub fn render(
    mut response: Response,
    context: &RequestContext,
    page_context: Option<&PageContext>,
) -> Response {
    let status = response.status();
    let problem = match response.extensions_mut().remove::<Problem>() {
        Some(fault) => fault,
        None if has_words(&response) => return response,
        None => bare(status),
    };
    let mut rendered = match context.json {
        true => problem_json(&problem, context).into_response(),
        false => bare_or_page(problem.details(), context, page_context),
    };
    *rendered.status_mut() = problem.details().status;
    match problem.details().hides {
        true => refused::mark(&mut rendered, StatusCode::FORBIDDEN, "permission_denied", None),
        false => {
            refused::mark(&mut rendered, problem.details().status, problem.code(), problem.details().key)
        }
    }
    if let Some(seconds) = problem.details().retry_after {
        rendered.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(allow) = response.headers().get(header::ALLOW) {
        rendered.headers_mut().insert(header::ALLOW, allow.clone());
    }
    if context.json && problem.details().status == StatusCode::UNAUTHORIZED {
        rendered.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    rendered
}

/// Whether a response needs no body from us. The framework's own errors do: a wrong method, a path that is not UTF-8, a
/// panic.
fn has_words(response: &Response) -> bool {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return true;
    }
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    kind.is_some_and(|kind| !kind.starts_with("text/plain"))
}

fn bare(status: StatusCode) -> Problem {
    match status {
        StatusCode::NOT_FOUND => Problem::missing(),
        StatusCode::METHOD_NOT_ALLOWED => Problem::new(
            status,
            "method_not_allowed",
            "This address does not answer to this method; see Allow.",
        ),
        status if status.is_server_error() => Problem::internal(&status),
        status => Problem::new(status, "bad_request", "The request cannot be read."),
    }
}

fn problem_json(problem: &Problem, context: &RequestContext) -> Response {
    let details = problem.details();
    let errors: Vec<Value> = details
        .errors
        .iter()
        .map(|error| json!({"pointer": error.pointer, "code": error.code, "detail": error.detail}))
        .collect();
    let mut body = json!({
        "type": codes::address(&context.base_url, &details.code),
        "title": details.status.canonical_reason().unwrap_or("Error"),
        "status": details.status.as_u16(),
        "detail": details.detail,
        "instance": context.instance,
        "code": details.code,
        "errors": errors,
        "blockers": details.blockers.iter().map(blocker).collect::<Vec<_>>(),
        "request_id": context.request_id,
    });
    for (name, value) in &details.members {
        body[*name] = value.clone();
    }
    ([(header::CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response()
}

/// An error page without the menu.
#[derive(Template)]
#[template(path = "kit/error_page.html")]
struct Alone<'a> {
    version: &'static str,
    words: Words<'a>,
    csrf: Option<&'a str>,
}

/// An error page with the menu, for a signed-in person.
#[derive(Template)]
#[template(path = "kit/error_framed.html")]
struct Framed<'a> {
    frame: Frame,
    words: Words<'a>,
}

struct Words<'a> {
    title: &'static str,
    detail: &'a str,
    errors: Vec<(&'a str, &'a str)>,
    whys: Vec<BlockerSummary>,
    /// What to do, if the detail does not say it.
    to_do: &'static str,
    /// Whether to show what the addresses of records look like.
    examples: bool,
    request_id: &'a str,
}

/// What to do about a response with this status, if nothing else says it. Only a page with a menu can suggest searching or
/// asking an administrator.
fn to_do(details: &ProblemDetails, context: &RequestContext, has_menu: bool) -> &'static str {
    match details.status.as_u16() {
        404 if details.code == "not_found" && has_menu => {
            "Check the address, or search for its number or name. If it should be there, ask an administrator for access."
        }
        404 if details.code == "not_found" => "Check the address.",
        400 | 415 | 422 => "Go back and correct it; what you typed may still be there.",
        500 if context.writes => {
            "It may have been done. Look before you try again; if it stays, tell whoever runs Bursar the request below."
        }
        500 => "Try again in a moment; if it stays, tell whoever runs Bursar the request below.",
        502 | 503 => "Try again in a moment.",
        _ => "",
    }
}

/// The page for an error.
fn page(
    details: &ProblemDetails,
    context: &RequestContext,
    page_context: Option<&PageContext>,
) -> Result<Response, Problem> {
    let title = match details.status.as_u16() {
        401 => "Sign in first",
        403 => "Not allowed",
        404 => "Not found",
        409 | 412 | 501 => "Not done",
        429 if details.code == "too_many_requests" => "Too fast",
        429 => "Too many tries",
        400 | 415 | 422 => "This cannot be read",
        502 => "The vendor does not answer",
        503 => "Not now",
        500.. => "Bursar failed",
        _ => "Not done",
    };
    let unreadable = details.blockers.iter().any(|blocker| blocker.code == Code::SetAside);
    let (title, detail) = match (unreadable, details.code == "blocked") {
        (true, _) => (
            "This payment's record cannot be read",
            "Nothing more is sent for it. What was already sent continues at the vendor; check there. The other payments go on.",
        ),
        // The title and detail that programs get are shown below.
        (false, true) => (title, "At least one gate is closed, so nothing was done."),
        (false, false) => (title, details.detail.as_str()),
    };
    let errors =
        details.errors.iter().map(|error| (error.pointer.trim_start_matches('/'), error.detail.as_str()));
    let words = Words {
        title,
        detail,
        errors: errors.collect(),
        // The page already says that the role does not allow it.
        whys: summarize(details.blockers.iter().filter(|blocker| blocker.code != Code::PermissionDenied)),
        to_do: to_do(details, context, page_context.is_some()),
        examples: details.code == "not_found" && page_context.is_some(),
        request_id: &context.request_id,
    };
    match page_context {
        Some(page_context) => html(&Framed { frame: page_context.frame(title, MenuItem::Elsewhere), words }),
        None => html(&Alone { version: assets_version(), words, csrf: context.csrf.as_deref() }),
    }
}

/// The page for an error; the caller sets the status.
fn bare_or_page(
    details: &ProblemDetails,
    context: &RequestContext,
    page_context: Option<&PageContext>,
) -> Response {
    // If rendering the error page fails, send its text alone.
    page(details, context, page_context).unwrap_or_else(|_| details.detail.clone().into_response())
}
