//! Choosing a password of one's own, for people who came by a one-time link. Partners do it on their own page. What is
//! deliberately not here: giving somebody else a password (`bursar user reset`).

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};

use payout::access::Role;

use super::frame::{Told, assets_version, html};
use super::own_login::{Changed, Passwords, change_password};
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
    /// The address that they sign in with.
    address: String,
    has_password: bool,
    has_factor: bool,
    /// Without a password, only whoever came by their link just now may choose one.
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
    let address = people::address_of(&web.app, session.actor.id).await?;
    let (csrf, has_factor) = (session.csrf, session.has_factor);
    html(&PasswordPage { version: assets_version(), csrf, address, has_password, has_factor, too_late, why })
}

async fn change(
    State(web): State<Web>,
    SignedIn(session): SignedIn,
    Form(sent): Form<Passwords>,
) -> Result<Response, Fault> {
    let why = match change_password(&web, &session, &sent).await? {
        Changed::Done => {
            return Ok(Told::good("Your password is kept; your other sessions have ended.").on("/"));
        }
        Changed::Slow => "Too many tries. Wait a minute, then try again.".to_owned(),
        Changed::WrongCode => {
            "This code is not right, so nothing was changed. Write the one that your app shows now."
                .to_owned()
        }
        Changed::UsedCode => {
            "This code was used already, so nothing was changed. Wait until your app shows the next one."
                .to_owned()
        }
        Changed::Wrong => "This is not your password. Nothing was changed.".to_owned(),
        Changed::ProveFirst => "Sign in with a new one-time link first.".to_owned(),
        Changed::NotTheSame => "The two are not the same. Nothing was changed.".to_owned(),
        Changed::Refused(OpsError::Refused(refusal)) => refusal.sentence,
        Changed::Refused(error) => return Err(error.into()),
    };
    page(&web, session, Some(why)).await
}
