//! `/exports`: lists, the books and the activity log as files. Each is streamed as it is read and not stored; stored
//! files are made on the page. Not here: the format of a file (`documents`).

use axum::extract::State;
use axum::response::Response;
use utoipa::openapi::schema::ObjectBuilder;

use payout::access::Permission;

use super::query::{AuditAsk, EarningsAsk, ExportQuery, FileOptions, JournalAsk, answer, columns};
use crate::app::App;
use crate::documents::Kind;
use crate::documents::columns::headings;
use crate::documents::journal::Layout;
use crate::ops::exports::Scope;
use crate::store::rewards::Sort;
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, get};
use crate::web::kit::session::CurrentActor;
use crate::web::payments::PaymentFilter;
use crate::web::rewards::RewardFilter;

pub fn routes() -> Vec<Route> {
    let (reads, audits) = (Access::May(Permission::Read), Access::May(Permission::Audit));
    vec![
        get("/api/v1/exports/rewards", reads, rewards)
            .says("Rewards as CSV or a spreadsheet, with the filters of the list")
            .filters::<RewardFilter>()
            .filters::<FileOptions>()
            .takes_in_query("columns", columns_of(Kind::Rewards), COLUMNS)
            .heavy()
            .answers_nothing(200),
        get("/api/v1/exports/transactions", reads, payments)
            .says(
                "Transactions as CSV or a spreadsheet, with the filters of the list; destinations are masked",
            )
            .filters::<PaymentFilter>()
            .filters::<FileOptions>()
            .takes_in_query("columns", columns_of(Kind::Transactions), COLUMNS)
            .heavy()
            .answers_nothing(200),
        get("/api/v1/exports/earnings", reads, earnings)
            .says("What each payee was paid in a tax year, as CSV or a spreadsheet")
            .filters::<EarningsAsk>()
            .filters::<FileOptions>()
            .takes_in_query("columns", columns_of(Kind::Earnings), COLUMNS)
            .heavy()
            .answers_nothing(200),
        get("/api/v1/exports/journal", reads, journal)
            .says("The books, balanced per entry: generic, or as QuickBooks, Xero and NetSuite import them")
            .filters::<JournalAsk>()
            .filters::<FileOptions>()
            .takes_in_query("columns", columns_of(Kind::Journal), COLUMNS)
            .heavy()
            .answers_nothing(200),
        get("/api/v1/exports/audit", audits, audit)
            .says("The audit trail as CSV or a spreadsheet")
            .filters::<AuditAsk>()
            .filters::<FileOptions>()
            .takes_in_query("columns", columns_of(Kind::Audit), COLUMNS)
            .heavy()
            .answers_nothing(200),
    ]
}

const COLUMNS: &str = "The columns, with commas between; the usual ones when not named";

/// The available columns; those of the journal depend on its layout.
fn columns_of(kind: Kind) -> ObjectBuilder {
    match kind {
        Kind::Journal => columns(Layout::ALL.iter().flat_map(|it| it.headings()).map(|head| head.name)),
        Kind::Rewards | Kind::Transactions | Kind::Earnings | Kind::Audit => {
            columns(headings(kind).into_iter().map(|head| head.name))
        }
    }
}

async fn rewards(
    State(app): State<App>,
    CurrentActor(actor): CurrentActor,
    query: ExportQuery<RewardFilter>,
) -> Result<Response, Problem> {
    let (filter, eligible) = query.filters.read(&actor)?;
    let filter = Box::new(filter);
    let scope = Scope::Rewards { filter, eligible, sort: Sort::CreatedAt, descending: true };
    answer(&app, &actor, query.options.to_request(scope, query.filter_summary)?).await
}

async fn payments(
    State(app): State<App>,
    CurrentActor(actor): CurrentActor,
    query: ExportQuery<PaymentFilter>,
) -> Result<Response, Problem> {
    let (mut db, now) = (app.store.read().await?, app.clock.now());
    let filter = query.filters.read(&mut db, None, now).await?;
    drop(db);
    let scope = Scope::Transactions(Box::new(filter));
    answer(&app, &actor, query.options.to_request(scope, query.filter_summary)?).await
}

async fn earnings(
    State(app): State<App>,
    CurrentActor(actor): CurrentActor,
    query: ExportQuery<EarningsAsk>,
) -> Result<Response, Problem> {
    let scope = query.filters.scope(&mut app.store.read().await?, &actor, app.clock.now()).await?;
    answer(&app, &actor, query.options.to_request(scope, query.filter_summary)?).await
}

async fn journal(
    State(app): State<App>,
    CurrentActor(actor): CurrentActor,
    query: ExportQuery<JournalAsk>,
) -> Result<Response, Problem> {
    answer(&app, &actor, query.options.to_request(query.filters.scope()?, query.filter_summary)?).await
}

async fn audit(
    State(app): State<App>,
    CurrentActor(actor): CurrentActor,
    query: ExportQuery<AuditAsk>,
) -> Result<Response, Problem> {
    answer(&app, &actor, query.options.to_request(query.filters.scope()?, query.filter_summary)?).await
}
