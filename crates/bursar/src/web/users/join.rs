//! Accepting an invitation as a colleague: the one-time link, a password, and they are signed in. Partners have their own
//! page (`portal::sign_in`).

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use crate::app::App;
use crate::ops::OpsError;
use crate::ops::invitations::{self, InvitationKind};
use crate::web::kit::form::Form;
use crate::web::kit::layout::{assets_version, html};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, get, post};
use crate::web::kit::session::{Device, arrive};

pub(super) fn routes() -> Vec<Route> {
    vec![get("/join/{token}", Access::Open, form), post("/join/{token}", Access::Open, join)]
}

#[derive(Template)]
#[template(path = "users/join.html")]
struct JoinPage {
    version: &'static str,
    /// The address they will sign in with; `None` if the link is no longer valid.
    email: Option<String>,
    why: Option<String>,
}

async fn page(app: &App, token: &str, why: Option<String>) -> Result<Response, Problem> {
    let person = invitations::waiting(app, InvitationKind::House, token).await?;
    let page = JoinPage { version: assets_version(), email: person.and_then(|person| person.email), why };
    let status = match (&page.email, &page.why) {
        (None, _) => StatusCode::GONE,
        (Some(_), Some(_)) => StatusCode::UNPROCESSABLE_ENTITY,
        (Some(_), None) => StatusCode::OK,
    };
    Ok((status, html(&page)?).into_response())
}

async fn form(State(app): State<App>, Path(token): Path<String>) -> Result<Response, Problem> {
    page(&app, &token, None).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Passwords {
    #[serde(default)]
    password: String,
    #[serde(default)]
    again: String,
}

async fn join(
    State(app): State<App>,
    Device(device): Device,
    Path(token): Path<String>,
    Form(sent): Form<Passwords>,
) -> Result<Response, Problem> {
    if sent.password != sent.again {
        return page(&app, &token, Some("The two passwords are not the same.".to_owned())).await;
    }
    match invitations::accept(&app, InvitationKind::House, &token, &sent.password, &device).await {
        Ok(Some(entered)) => Ok(arrive(&entered, None)),
        Ok(None) => page(&app, &token, None).await,
        Err(OpsError::Refused(refusal)) => page(&app, &token, Some(refusal.sentence)).await,
        Err(error) => Err(error.into()),
    }
}
