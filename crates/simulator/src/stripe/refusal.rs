//! Stripe's errors.
//!
//! Not here: 401, 409 and 429, which are returned before a call is processed (`stripe::answer`).

use serde_json::{Value, json};

use crate::door::Answer;

/// Why a call was refused.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: u16,
    kind: &'static str,
    code: Option<&'static str>,
    message: String,
    param: Option<String>,
    /// Whether execution had started: then the answer is stored under the key; a failed parameter check is not.
    pub(crate) begun: bool,
}

impl Refusal {
    /// A parameter is invalid.
    pub(crate) fn parameter(code: &'static str, param: &str, message: &str) -> Refusal {
        let mut refusal = Refusal::new(400, Some(code), message);
        refusal.param = Some(param.to_owned());
        refusal
    }

    /// The call was valid, started and rejected.
    pub(crate) fn definite(code: &'static str, message: &str) -> Refusal {
        Refusal { begun: true, ..Refusal::new(400, Some(code), message) }
    }

    /// The account may not do this.
    pub(crate) fn forbidden(code: &'static str, message: &str) -> Refusal {
        Refusal { begun: true, ..Refusal::new(403, Some(code), message) }
    }

    /// There is no such object.
    pub(crate) fn missing(what: &str, id: &str) -> Refusal {
        let mut refusal = Refusal::new(404, Some("resource_missing"), &format!("No such {what}: '{id}'"));
        refusal.param = Some("id".to_owned());
        refusal
    }

    /// An `invalid_request_error`; execution had not started.
    pub(crate) fn new(status: u16, code: Option<&'static str>, message: &str) -> Refusal {
        let kind = "invalid_request_error";
        Refusal { status, kind, code, message: message.to_owned(), param: None, begun: false }
    }

    /// The same error with another `error.type`.
    pub(crate) fn of_kind(self, kind: &'static str) -> Refusal {
        Refusal { kind, ..self }
    }

    pub(crate) fn answer(&self) -> Answer {
        let mut error = json!({
            "type": self.kind,
            "message": self.message,
            "request_log_url": "https://dashboard.stripe.com/test/logs",
        });
        if let Some(code) = self.code {
            error["code"] = Value::from(code);
            error["doc_url"] =
                Value::from(format!("https://stripe.com/docs/error-codes/{}", code.replace('_', "-")));
        }
        if let Some(param) = &self.param {
            error["param"] = Value::from(param.as_str());
        }
        Answer::json(self.status, &json!({ "error": error }))
    }
}
