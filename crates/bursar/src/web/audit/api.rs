//! The auditors' API: ledger balances, the audit trail, the invariants.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use payout::access::Permission;
use payout::money::{Currency, Sum};

use crate::app::App;
use crate::clock::rfc3339;
use crate::ops::verify::{self, Invariant};
use crate::store::{StoreError, audit, ledger};
use crate::web::kit::form::{ListQuery, encode_cursor};
use crate::web::kit::json::Page;
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, get};

pub fn routes() -> Vec<Route> {
    vec![
        get("/api/v1/ledger/balances", Access::May(Permission::Read), balances)
            .says("The balance of every ledger account and currency, debit positive")
            .answers::<Balances>(200),
        get("/api/v1/audit", Access::May(Permission::Audit), trail)
            .says("The audit trail, newest first")
            .by_pages()
            .filters::<AuditQuery>()
            .answers_page::<AuditJson>(),
        get("/api/v1/verify", Access::May(Permission::Audit), check)
            .says("Check what must always hold")
            .answers::<Vec<InvariantJson>>(200),
    ]
}

/// The balances; each currency sums to zero.
#[derive(Serialize, ToSchema)]
struct Balances {
    data: Vec<BalanceJson>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Balance)]
struct BalanceJson {
    account: String,
    currency: String,
    /// Signed decimal.
    balance: String,
}

async fn balances(State(app): State<App>) -> Result<axum::Json<Balances>, Problem> {
    let rows = ledger::balances(&mut app.store.read().await?).await?;
    let json = |(account, code, minor): (String, String, i128)| {
        let currency = Currency::parse(&code).map_err(|_| StoreError::Corrupt(code))?;
        let balance = Sum::new(minor, currency).decimal();
        Ok(BalanceJson { account, currency: currency.code().to_owned(), balance })
    };
    let data = rows.into_iter().map(json).collect::<Result<_, StoreError>>()?;
    Ok(axum::Json(Balances { data }))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct AuditQuery {
    /// The ID of the changed record
    subject: Option<String>,
}

/// A row of the audit trail, chained to the row before it.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditRow)]
struct AuditJson {
    seq: i64,
    at: String,
    actor: String,
    action: String,
    subject: String,
    #[schema(value_type = Object)]
    detail: serde_json::Value,
    previous_hash: String,
    hash: String,
}

async fn trail(
    State(app): State<App>,
    ListQuery(query, paging): ListQuery<AuditQuery>,
) -> Result<axum::Json<Page<AuditJson>>, Problem> {
    let before = match paging.after_parts()? {
        None => i64::MAX,
        Some([seq]) => seq.parse().map_err(|_| paging.elsewhere())?,
    };
    let mut db = app.store.read().await?;
    let rows = audit::newest(&mut db, query.subject.as_deref(), before, paging.limit + 1).await?;
    Ok(axum::Json(Page::of(
        rows,
        paging.limit,
        |row| encode_cursor(&[&row.seq.to_string()]),
        |row| AuditJson {
            seq: row.seq,
            at: rfc3339(row.at),
            actor: row.actor,
            action: row.action,
            subject: row.subject,
            detail: serde_json::from_str(&row.detail).unwrap_or_default(),
            previous_hash: row.previous_hash,
            hash: row.hash,
        },
    )))
}

/// An invariant.
#[derive(Serialize, ToSchema)]
#[schema(as = Invariant)]
struct InvariantJson {
    id: &'static str,
    holds: bool,
    checked: i64,
    says: &'static str,
    violations: Vec<String>,
}

impl From<Invariant> for InvariantJson {
    fn from(one: Invariant) -> Self {
        let holds = one.holds();
        Self { id: one.id, holds, checked: one.checked, says: one.says, violations: one.violations }
    }
}

async fn check(State(app): State<App>) -> Result<axum::Json<Vec<InvariantJson>>, Problem> {
    let found = verify::all(&mut app.store.read().await?).await?;
    Ok(axum::Json(found.into_iter().map(InvariantJson::from).collect()))
}
