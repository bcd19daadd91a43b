//! Saved views of the rewards list: saving the current one, and the page for renaming, sharing and deleting them. The list
//! itself opens a saved view, named in its address.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use payout::access::Permission;

use super::filter::FilterParams;
use crate::app::{Actor, App};
use crate::ops::saved_views::{self as verbs, may_delete, may_rename};
use crate::store::Db;
use crate::store::saved_views::{self as views, SavedView};
use crate::web::kit::extract::{Tree, read};
use crate::web::kit::form::Form;
use crate::web::kit::layout::{Flash, Frame, MenuItem, PageContext};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, get, post};

const PAGE: &str = "/rewards/views";

pub fn routes() -> Vec<Route> {
    let reads = Access::May(Permission::Read);
    vec![
        get(PAGE, reads, show),
        post(PAGE, reads, save),
        post("/rewards/views/{id}", reads, rename),
        post("/rewards/views/{id}/delete", reads, delete),
    ]
}

/// The address of a saved view.
pub fn address(id: &str, query: &str) -> String {
    let mut text = url::form_urlencoded::Serializer::new(query.to_owned());
    format!("/rewards?{}", text.append_pair("saved", id).finish())
}

/// Redirects to a saved view chosen from the list's menu.
///
/// # Errors
/// If there is none, or the actor may not see it.
pub async fn open(db: &mut Db, actor: &Actor, id: &str) -> Result<Response, Problem> {
    let view = views::find(db, id, actor.id).await?.ok_or_else(Problem::missing)?;
    Ok(Redirect::to(&address(&view.id, &view.query)).into_response())
}

struct Row {
    id: String,
    name: String,
    address: String,
    by: String,
    shared: bool,
    mine: bool,
    may_delete: bool,
}

#[derive(Template)]
#[template(path = "rewards/saved_views.html")]
struct ViewsPage {
    frame: Frame,
    rows: Vec<Row>,
}

async fn show(State(app): State<App>, context: PageContext) -> Result<Response, Problem> {
    let actor = &context.actor;
    let found = views::of(&mut app.store.read().await?, actor.id).await?;
    let row = |view: SavedView| Row {
        address: address(&view.id, &view.query),
        mine: may_rename(actor, &view),
        may_delete: may_delete(actor, &view),
        shared: view.shared_at.is_some(),
        id: view.id,
        name: view.name,
        by: view.person_name,
    };
    let rows = found.into_iter().map(row).collect();
    context.show(&ViewsPage { frame: context.frame("Saved views", MenuItem::Rewards), rows })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    name: Option<String>,
    shared: Option<String>,
    /// The query string to save.
    query: Option<String>,
}

async fn save(
    State(app): State<App>,
    context: PageContext,
    Form(sent): Form<Saved>,
) -> Result<Response, Problem> {
    let query = sent.query.unwrap_or_default();
    // Parse and rewrite it, so that nothing is saved that the list does not understand.
    let params: FilterParams =
        read(&Tree::from_pairs(query.as_bytes()).map_err(Problem::field)?).map_err(Problem::field)?;
    let (name, query) = (sent.name.unwrap_or_default(), params.kept());
    match verbs::save(&app, &context.actor, &name, &query, sent.shared.is_some()).await {
        Ok(id) => {
            let flash = Flash::good(format!("View saved as “{}”.", name.trim()));
            Ok(flash.on(&address(&id, &query)))
        }
        Err(error) => Ok(Flash::refused(error)?.on(&format!("/rewards?{query}"))),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Renamed {
    name: Option<String>,
    shared: Option<String>,
}

async fn rename(
    State(app): State<App>,
    context: PageContext,
    Path(id): Path<String>,
    Form(sent): Form<Renamed>,
) -> Result<Response, Problem> {
    let name = sent.name.unwrap_or_default();
    let flash = match verbs::rename(&app, &context.actor, &id, &name, sent.shared.is_some()).await {
        Ok(()) => Flash::good(format!("“{}” is saved.", name.trim())),
        Err(error) => Flash::refused(error)?,
    };
    Ok(flash.on(PAGE))
}

async fn delete(
    State(app): State<App>,
    context: PageContext,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let flash = match verbs::delete(&app, &context.actor, &id).await {
        Ok(()) => Flash::good("The view is deleted. No reward was changed."),
        Err(error) => Flash::refused(error)?,
    };
    Ok(flash.on(PAGE))
}
