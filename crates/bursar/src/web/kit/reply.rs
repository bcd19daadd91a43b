//! A response stored under a one-time key, for replay. Not here: taking the key (`guard`).

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::ops::idempotency::Reply;

impl Reply {
    pub(in crate::web) fn of(headers: &HeaderMap, status: StatusCode, body: &[u8]) -> Self {
        let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or("");
        let (content_type, body) = match text(header::LOCATION) {
            "" => (text(header::CONTENT_TYPE).to_owned(), String::from_utf8_lossy(body).into_owned()),
            location if status.is_redirection() => ("location".to_owned(), location.to_owned()),
            _ => (text(header::CONTENT_TYPE).to_owned(), String::from_utf8_lossy(body).into_owned()),
        };
        Self { status: status.as_u16(), content_type, body }
    }

    pub fn json(status: StatusCode, body: &impl serde::Serialize) -> Self {
        let body = serde_json::to_string(body).unwrap_or_default();
        Self { status: status.as_u16(), content_type: "application/json".to_owned(), body }
    }

    /// A redirect after a form.
    pub fn see_other(location: impl Into<String>) -> Self {
        Self { status: 303, content_type: "location".to_owned(), body: location.into() }
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::OK);
        if self.content_type == "location" {
            return (status, [(header::LOCATION, self.body)]).into_response();
        }
        (status, [(header::CONTENT_TYPE, self.content_type)], self.body).into_response()
    }
}
