//! Doing the same about many payments: sending again what failed, or returning rewards to the pool. Each payment is asked
//! and answered by itself, exactly as on its own page ([`super::transaction`]), and what became of each is told. Pressed
//! twice it does nothing twice: a payment that is under way again, or closed, refuses.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use payout::access::Permission;

use super::frame::{Frame, Place, Told, Visit};
use super::transaction;
use super::words::{Chip, how_many};
use crate::web::fault::Fault;
use crate::web::form::Form;
use crate::web::{Need, Route, Web, post};

/// Vendors are asked about each payment, and whoever presses waits no longer than this; the others are told to be left.
const LONGEST_US: i64 = 15_000_000;

/// The rows of the route table.
#[must_use]
pub fn routes() -> Vec<Route> {
    vec![
        post("/dashboard/transactions/decide", Need::May(Permission::Pay), decide)
            .proved("Resubmit these payments or return them to the pool"),
    ]
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pressed {
    action: String,
    #[serde(default)]
    id: Vec<String>,
    /// The query string of the list, to go back to.
    back: Option<String>,
}

/// What became of one payment.
struct Row {
    number: String,
    chip: Chip,
    words: String,
    items: Vec<String>,
}

#[derive(Template)]
#[template(path = "payments_decided.html")]
struct Page {
    frame: Frame,
    title: &'static str,
    list: String,
    tone: &'static str,
    told: String,
    rows: Vec<Row>,
}

async fn decide(State(web): State<Web>, visit: Visit, Form(sent): Form<Pressed>) -> Result<Response, Fault> {
    let list = format!("/dashboard/transactions?{}", sent.back.unwrap_or_default());
    let (resubmits, title) = match sent.action.as_str() {
        "resubmit" => (true, "Resubmitted"),
        "return" => (false, "Returned to the pool"),
        _ => return Ok(Told::bad("Choose what is to be done; nothing was done.").on(&list)),
    };
    if sent.id.is_empty() {
        return Ok(Told::bad("No payment is ticked, so nothing was done.").on(&list));
    }
    let begun = web.app.clock.now();
    let (mut rows, mut done) = (Vec::new(), 0);
    for number in sent.id {
        let told = match (web.app.clock.now() - begun > LONGEST_US, resubmits) {
            (true, _) => Ok(Told::warn("There was no time left for it: nothing was done. Tick it again.")),
            (false, true) => transaction::sent_again(&web, &visit, &number, None).await,
            (false, false) => transaction::taken_back(&web, &visit, &number, None).await,
        };
        // The others are told of all the same.
        let told = told.unwrap_or_else(|fault| {
            tracing::error!(?fault, number, "one of several payments could not be worked on");
            Told::bad("It could not be worked on. Open it to see how it stands before you try it again.")
        });
        let chip = match told.tone.as_str() {
            "good" => Chip { tone: "good", words: "Done" },
            "warn" => Chip { tone: "warn", words: "Not finished" },
            _ => Chip { tone: "bad", words: "Not done" },
        };
        done += usize::from(told.tone == "good");
        rows.push(Row { number, chip, words: told.words, items: told.items });
    }
    let many = how_many(rows.len(), "payment", "payments");
    let what = if resubmits { "sent again" } else { "returned to the pool" };
    visit.show(&Page {
        frame: visit.frame(title, Place::Dashboard),
        title,
        list,
        tone: if done == rows.len() { "good" } else { "warn" },
        told: format!("{done} of {many} {what}."),
        rows,
    })
}
