//! The raw text behind a row of a payment's timeline: what the vendor was sent and what it answered. Only administrators
//! and auditors may open it, and every access is logged in the activity log.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;

use payout::access::Permission;

use crate::app::App;
use crate::ops::evidence;
use crate::web::kit::format::When;
use crate::web::kit::layout::{Frame, MenuItem, PageContext};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, get};

pub fn routes() -> Vec<Route> {
    vec![get("/transactions/{number}/evidence/{row}", Access::May(Permission::Evidence), show)]
}

#[derive(Template)]
#[template(path = "payments/evidence.html")]
struct EvidencePage {
    frame: Frame,
    number: String,
    what: String,
    at: When,
    parts: Vec<(&'static str, String)>,
}

async fn show(
    State(app): State<App>,
    context: PageContext,
    Path((number, row)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let raw = evidence::open(&app, &context.actor, &number, &row).await?;
    context.show(&EvidencePage {
        frame: context.frame(format!("{} of {number}", raw.title), MenuItem::Dashboard),
        number,
        what: raw.title,
        at: When(raw.at),
        parts: raw.parts,
    })
}
