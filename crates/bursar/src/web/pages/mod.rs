//! The pages people look at.

use axum::extract::RawQuery;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::fault::Told;
use super::{Need, Route, get};

/// The routes of the pages.
#[must_use]
pub fn routes() -> Vec<Route> {
    vec![get("/", Need::Login, async || "Bursar"), get("/login", Need::Open, login)]
}

async fn login(RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    let next = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "next");
    let next = next.map(|(_, value)| escaped(&value)).unwrap_or_default();
    page(&format!(
        "<h1>Sign in</h1><form method=post action=/login><input type=hidden name=next value=\"{next}\">\
         <label>E-mail <input name=email type=email autocomplete=username></label>\
         <label>Password <input name=password type=password autocomplete=current-password></label>\
         <button>Sign in</button></form>"
    ))
}

/// The page of something that went wrong; the caller sets the status.
#[must_use]
pub fn fault(told: &Told, request_id: &str) -> Response {
    let title = told.status.canonical_reason().unwrap_or("Error");
    page(&format!("<h1>{title}</h1><p>{}</p><p><small>{request_id}</small></p>", escaped(&told.detail)))
}

fn page(body: &str) -> Response {
    let html = format!("<!doctype html><html lang=en><meta charset=utf-8><title>Bursar</title>{body}");
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
