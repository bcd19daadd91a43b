//! `/payees/{id}/skipped`: a payee's claims that payouts left out, and why.

use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use payout::access::Permission;

use crate::app::App;
use crate::clock::rfc3339;
use crate::ops::payees;
use crate::store::claims::{self, Skipped};
use crate::web::kit::form::{ListQuery, encode_cursor};
use crate::web::kit::json::{MoneyJson, Page};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, get};

pub fn routes() -> Vec<Route> {
    vec![
        get("/api/v1/payees/{id}/skipped", Access::May(Permission::Read), skipped)
            .says("The claims of a payee that payouts went on without, newest first, each with why")
            .by_pages()
            .answers_page::<SkippedJson>(),
    ]
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct NoFilter {}

/// A claim that a payout left out.
#[derive(Serialize, ToSchema)]
#[schema(as = SkippedClaim)]
struct SkippedJson {
    /// The batch's id.
    batch: String,
    number: String,
    at: String,
    total: MoneyJson,
    reasons: Vec<ReasonJson>,
}

/// The reason: the blocker's code and texts.
#[derive(Serialize, ToSchema)]
#[schema(as = SkippedReason)]
struct ReasonJson {
    code: &'static str,
    message: &'static str,
    who: &'static str,
    remedy: &'static str,
}

async fn skipped(
    State(app): State<App>,
    Path(id): Path<String>,
    ListQuery(NoFilter {}, paging): ListQuery<NoFilter>,
) -> Result<axum::Json<Page<SkippedJson>>, Problem> {
    let mut db = app.store.read().await?;
    let payee = payees::named(&mut db, &id).await?.ok_or_else(Problem::missing)?;
    let before = paging.after_parts()?.map(|[at, batch]| (at.parse().unwrap_or(i64::MAX), batch));
    let rows = claims::skipped_of(&mut db, payee, before, paging.limit + 1).await?;
    let key = |row: &Skipped| encode_cursor(&[&row.at.to_string(), &row.batch.to_string()]);
    Ok(axum::Json(Page::of(rows, paging.limit, key, json)))
}

fn json(row: Skipped) -> SkippedJson {
    let reason = |code: &payout::eligibility::Code| ReasonJson {
        code: code.as_str(),
        message: code.message(),
        who: code.who().as_str(),
        remedy: code.remedy(),
    };
    SkippedJson {
        batch: row.batch.to_string(),
        number: row.number,
        at: rfc3339(row.at),
        total: row.total.into(),
        reasons: row.codes.iter().map(reason).collect(),
    }
}
