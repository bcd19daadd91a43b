//! What features are built from: routes and their access rules, parsing and responses, formatting. What is deliberately not
//! here: any feature; the kit names none.

pub mod change_summary;
pub mod chart;
pub mod clawbacks;
pub mod client;
pub mod codes;
pub mod error_page;
pub mod event_writer;
pub mod extract;
pub mod facet;
pub mod form;
pub mod format;
pub mod headers;
pub mod history;
pub mod json;
pub mod layout;
pub mod login_limit;
pub mod openapi;
pub mod problem;
pub mod record_form;
pub mod record_json;
pub mod refused;
pub mod reply;
pub mod request_limit;
pub mod resolve;
pub mod route;
pub mod scope;
pub mod session;
pub mod shapes;
pub mod sse;
pub mod upload;
