//! `/api-keys`: listing keys with their state, and revoking one. Not here: creating one, which requires a person's
//! step-up.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use payout::access::Permission;
use payout::ids::PersonId;
use payout::scope::Scope;

use crate::app::App;
use crate::clock::rfc3339;
use crate::ops::people::{self, keys::KeyStatus};
use crate::store::roster::{self, Filter, Kind, Listed};
use crate::web::kit::form::{ListQuery, encode_cursor};
use crate::web::kit::json::Page;
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, delete, get};
use crate::web::kit::session::CurrentActor;
use crate::web::kit::shapes;

pub fn routes() -> Vec<Route> {
    let administers = Access::May(Permission::Administer);
    vec![
        get("/api/v1/api-keys", administers, list)
            .says("The API keys, newest first: what each may do, when it ends, when and from where it was last used")
            .by_pages()
            .filters::<ListParams>()
            .answers_page::<KeyJson>(),
        delete("/api/v1/api-keys/{id}", administers, revoke)
            .names::<shapes::KeyId>("id")
            .opened_by(Scope::Write)
            .says("Revoke an API key: the next call with it is refused, and it never comes back")
            .answers_nothing(204),
    ]
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct ListParams {
    /// Include revoked keys.
    revoked: Option<bool>,
}

/// An API key, without the key itself.
#[derive(Serialize, ToSchema)]
#[schema(as = ApiKey)]
struct KeyJson {
    #[schema(value_type = shapes::KeyId)]
    id: String,
    name: String,
    /// The last four characters of the key.
    last_four: String,
    #[schema(value_type = shapes::RoleName)]
    role: &'static str,
    /// The partner it acts for.
    partner: Option<String>,
    scopes: Vec<String>,
    /// The addresses and networks it is allowed from; empty for any.
    addresses: Vec<String>,
    /// What it may pay per day (UTC), such as `500.00 EUR`, and in no other currency; empty without limits of its own.
    day_limits: Vec<String>,
    /// `works`, `ended` (expired), `maker_gone` (the person who made it may no longer make keys), or `revoked`.
    state: &'static str,
    created_at: String,
    /// The id of the person who made it, or `operator` for the command line.
    made_by: Option<String>,
    /// When it expires; null if it does not.
    ends_at: Option<String>,
    /// Accurate to about five minutes.
    last_used_at: Option<String>,
    last_used_from: Option<String>,
    revoked_at: Option<String>,
}

fn json(one: Listed, now: i64) -> KeyJson {
    let state = KeyStatus::of(&one, now).as_str();
    let words = |text: &str| text.split(',').filter(|word| !word.is_empty()).map(str::to_owned).collect();
    KeyJson {
        id: one.id.to_string(),
        name: one.name,
        last_four: one.hint.unwrap_or_default(),
        role: one.role.as_str(),
        partner: one.partner.map(|(id, _)| id.to_string()),
        scopes: words(&one.scopes),
        addresses: words(&one.networks),
        day_limits: words(&one.day_limits),
        state,
        created_at: rfc3339(one.created_at),
        made_by: one.made_by,
        ends_at: one.ends_at.map(rfc3339),
        last_used_at: one.last_seen_at.map(rfc3339),
        last_used_from: one.seen_from,
        revoked_at: one.disabled_at.map(rfc3339),
    }
}

async fn list(
    State(app): State<App>,
    ListQuery(asked, paging): ListQuery<ListParams>,
) -> Result<axum::Json<Page<KeyJson>>, Problem> {
    let filter = Filter {
        kind: Kind::Keys,
        disabled: (asked.revoked != Some(true)).then_some(false),
        before: paging.after_parts::<1>()?.map(|[id]| id),
        ..Filter::default()
    };
    let now = app.clock.now();
    let rows = roster::list(&mut app.store.read().await?, &filter, paging.limit + 1).await?;
    let place = |one: &Listed| encode_cursor(&[&one.id.to_string()]);
    Ok(axum::Json(Page::of(rows, paging.limit, place, |one| json(one, now))))
}

async fn revoke(
    State(app): State<App>,
    CurrentActor(actor): CurrentActor,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let id = PersonId::parse(&id).ok_or_else(Problem::missing)?;
    people::revoke(&app, &actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
