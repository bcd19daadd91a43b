//! A payee's yearly statement as a PDF, for our own people. Partners have their own in the portal.

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};

use payout::access::Permission;
use payout::ledger::Payee;

use crate::app::App;
use crate::ops::payees;
use crate::ops::statements::{self, Receiver};
use crate::store::programs::{self, RecordRef};
use crate::web::kit::layout::PageContext;
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, get};

pub fn routes() -> Vec<Route> {
    vec![get("/payees/{id}/statements/{file}", Access::May(Permission::Read), show).heavy()]
}

/// The year in a file name like `2026.pdf`.
///
/// # Errors
/// 404 for anything else.
pub fn year(file: &str) -> Result<i32, Problem> {
    let year = file.strip_suffix(".pdf").filter(|year| year.len() == 4);
    let year = year.filter(|year| year.bytes().all(|digit| digit.is_ascii_digit()));
    year.and_then(|year| year.parse().ok()).ok_or_else(Problem::missing)
}

/// The response: a file to display or save.
pub fn answer(bytes: Vec<u8>, year: i32) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/pdf".to_owned()),
        (header::CONTENT_DISPOSITION, format!("inline; filename=\"statement-{year}.pdf\"")),
    ];
    (headers, bytes).into_response()
}

async fn show(
    State(app): State<App>,
    context: PageContext,
    Path((id, file)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let year = year(&file)?;
    let mut db = app.store.read().await?;
    let payee = payees::named(&mut db, &id).await?.ok_or_else(Problem::missing)?;
    let receiver = match payee {
        Payee::Partner(id) => {
            let partner = programs::partner(&mut db, RecordRef::Either(&id.to_string())).await?;
            let partner = partner.ok_or_else(Problem::missing)?;
            let account =
                programs::account(&mut db, RecordRef::Either(&partner.account.0.to_string())).await?;
            Receiver {
                payees: vec![payee],
                name: partner.name,
                company: account.map(|account| account.name),
                language: partner.language,
            }
        }
        Payee::Account(id) => {
            let account = programs::account(&mut db, RecordRef::Either(&id.to_string())).await?;
            let account = account.ok_or_else(Problem::missing)?;
            Receiver { payees: vec![payee], name: account.name, company: None, language: None }
        }
    };
    drop(db);
    Ok(answer(statements::of_year(&app, &context.actor, receiver, year).await?, year))
}
