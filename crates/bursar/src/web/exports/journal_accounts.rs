//! The names of the ledger accounts in the operator's accounting program. Not here: the export itself, and the supported
//! programs (`documents::journal`).

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use payout::access::Permission;

use crate::app::App;
use crate::documents::journal::Names;
use crate::ops::exports::accounts;
use crate::web::kit::form::Form;
use crate::web::kit::layout::{Flash, Frame, MenuItem, PageContext};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, get, post};

pub fn routes() -> Vec<Route> {
    vec![
        get("/settings/journal", Access::May(Permission::Read), show),
        post("/settings/journal", Access::May(Permission::Administer), save).step_up("Save these accounts"),
    ]
}

/// An account: the ledger's key, a description, and its name in the accounting program.
struct Row {
    key: String,
    what: String,
    name: String,
}

#[derive(Template)]
#[template(path = "exports/journal_accounts.html")]
struct AccountsPage {
    frame: Frame,
    rows: Vec<Row>,
    tax_rate: String,
    version: i64,
    may_change: bool,
}

async fn show(State(app): State<App>, context: PageContext) -> Result<Response, Problem> {
    let (names, version) = accounts::read(&mut app.store.read().await?).await?;
    let row = |(key, what, usual): (String, String, String)| Row {
        name: names.accounts.get(&key).cloned().unwrap_or(usual),
        key,
        what,
    };
    let page = AccountsPage {
        frame: context.frame("Journal accounts", MenuItem::Exports),
        rows: Names::known().into_iter().map(row).collect(),
        tax_rate: names.xero_tax_rate.clone(),
        version,
        may_change: context.may(Permission::Administer),
    };
    context.show(&page)
}

/// The names, in the order of the accounts on the page.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent {
    version: i64,
    #[serde(default)]
    key: Vec<String>,
    #[serde(default)]
    name: Vec<String>,
    #[serde(default)]
    tax_rate: String,
}

async fn save(
    State(app): State<App>,
    context: PageContext,
    Form(sent): Form<Sent>,
) -> Result<Response, Problem> {
    const PAGE: &str = "/settings/journal";
    if sent.key.len() != sent.name.len() {
        return Ok(Flash::bad("Enter a name for every account. Nothing was saved.").on(PAGE));
    }
    let names =
        Names { accounts: sent.key.into_iter().zip(sent.name).collect(), xero_tax_rate: sent.tax_rate };
    let flash = match accounts::save(&app, &context.actor, sent.version, &names).await {
        Ok(()) => Flash::good("The names are saved. The next journal export uses them."),
        Err(error) => Flash::refused(error)?,
    };
    Ok(flash.on(PAGE))
}
