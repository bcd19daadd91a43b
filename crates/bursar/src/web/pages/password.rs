//! Choosing a password of one's own, for people who came by a one-time link. Partners do it on their own page. What is
//! deliberately not here: giving somebody else a password (`bursar user reset`).

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use payout::access::Role;

use super::frame::{Told, assets_version, html};
use crate::ops::OpsError;
use crate::ops::people::{self, Session};
use crate::web::fault::Fault;
use crate::web::form::Form;
use crate::web::session::{SignedIn, is_fresh};
use crate::web::{Need, Route, Web, get, post};

/// The rows of the route table.
#[must_use]
pub fn routes() -> Vec<Route> {
    vec![get("/password", Need::Login, show), post("/password", Need::Login, change)]
}

#[derive(Template)]
#[template(path = "password.html")]
struct PasswordPage {
    version: &'static str,
    csrf: String,
    has_password: bool,
    /// Without a password, only whoever came by his link just now may choose one.
    too_late: bool,
    why: Option<String>,
}

async fn show(State(web): State<Web>, SignedIn(session): SignedIn) -> Result<Response, Fault> {
    if matches!(session.actor.role, Role::Partner | Role::PartnerAdmin) {
        return Ok(Redirect::to("/portal/account").into_response());
    }
    page(&web, session, None).await
}

async fn page(web: &Web, session: Session, why: Option<String>) -> Result<Response, Fault> {
    let has_password = people::has_password(&web.app, session.actor.id).await?;
    let too_late = !has_password && !is_fresh(&session, web.app.clock.now());
    html(&PasswordPage { version: assets_version(), csrf: session.csrf, has_password, too_late, why })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Passwords {
    #[serde(default)]
    current: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    again: String,
}

async fn change(
    State(web): State<Web>,
    SignedIn(session): SignedIn,
    Form(sent): Form<Passwords>,
) -> Result<Response, Fault> {
    let refused = match people::has_password(&web.app, session.actor.id).await? {
        true if !web.logins.allows(&session.actor.id.to_string()) => {
            Some("Too many tries. Wait a minute, then try again.")
        }
        true if !people::prove(&web.app, &session, &sent.current).await? => {
            Some("This is not your password. Nothing was changed.")
        }
        false if !is_fresh(&session, web.app.clock.now()) => Some("Sign in with a new one-time link first."),
        true | false if sent.password != sent.again => Some("The two are not the same. Nothing was changed."),
        true | false => None,
    };
    if let Some(why) = refused {
        return page(&web, session, Some(why.to_owned())).await;
    }
    match people::change_password(&web.app, &session, &sent.password).await {
        Ok(()) => Ok(Told::good("Your password is changed; your other sessions have ended.").on("/")),
        Err(OpsError::Refused(refusal)) => page(&web, session, Some(refusal.sentence)).await,
        Err(error) => Err(error.into()),
    }
}
