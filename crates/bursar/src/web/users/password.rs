//! Choosing a password, for people who came by a one-time link. Partners do it on their own page. Not here: setting
//! somebody else's password (`bursar user reset`).

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};

use payout::access::Role;

use super::account::{Changed, Passwords, change_password, to_change};
use super::passkey_button::Button;
use super::step_up::by_provider;
use crate::ops::OpsError;
use crate::ops::people::{self, Session};
use crate::web::kit::form::Form;
use crate::web::kit::layout::{Flash, assets_version, html};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, Web, get, post};
use crate::web::kit::session::{SignedIn, is_fresh};
use crate::web::portal::{Language, Words};

pub fn routes() -> Vec<Route> {
    vec![get(PAGE, Access::Login, show), post(PAGE, Access::Login, change)]
}

const PAGE: &str = "/password";

#[derive(Template)]
#[template(path = "users/password.html")]
struct PasswordPage {
    version: &'static str,
    csrf: String,
    /// The address they sign in with.
    address: String,
    has_password: bool,
    has_factor: bool,
    has_app: bool,
    passkey: Option<Button>,
    t: &'static Words,
    /// Whether they came too long ago: without a password, one can only be chosen right after using a link.
    too_late: bool,
    /// If they can step up with their identity provider: its name, and the address.
    provider: Option<(String, String)>,
    why: Option<String>,
}

async fn show(State(web): State<Web>, SignedIn(session): SignedIn) -> Result<Response, Problem> {
    if matches!(session.actor.role, Role::Partner | Role::PartnerAdmin) {
        return Ok(Redirect::to("/portal/account").into_response());
    }
    page(&web, session, None).await
}

async fn page(web: &Web, session: Session, why: Option<String>) -> Result<Response, Problem> {
    let has_password = people::has_password(&web.app, session.actor.id).await?;
    let too_late = !has_password && !is_fresh(&session, web.app.clock.now());
    let address = people::address_of(&web.app, session.actor.id).await?;
    let provider = by_provider(&web.app, &session, PAGE).await?;
    html(&PasswordPage {
        provider,
        version: assets_version(),
        address,
        has_password,
        has_factor: session.has_factor(),
        has_app: session.has_app,
        passkey: Button::to_prove(&web.app, &session, &to_change(PAGE)).filter(|_| has_password),
        t: Language::English.words(),
        csrf: session.csrf,
        too_late,
        why,
    })
}

async fn change(
    State(web): State<Web>,
    SignedIn(session): SignedIn,
    Form(sent): Form<Passwords>,
) -> Result<Response, Problem> {
    let why = match change_password(&web, &session, PAGE, &sent).await? {
        Changed::Done => {
            return Ok(Flash::good("Your password is saved. Your other sessions have ended.").on("/"));
        }
        Changed::Slow => "Too many tries. Wait a minute, then try again.".to_owned(),
        Changed::WrongCode => {
            "This code is not right, so nothing was changed. Enter the code that your app shows now."
                .to_owned()
        }
        Changed::UsedCode => {
            "This code was used already, so nothing was changed. Wait for the next code in your app."
                .to_owned()
        }
        Changed::WrongPasskey => Language::English.words().passkey_wrong.to_owned(),
        Changed::Unreadable => Language::English.words().factor_unreadable.to_owned(),
        Changed::Wrong => "This is not your password. Nothing was changed.".to_owned(),
        Changed::ProveFirst => "Sign in again first, or use a new one-time link.".to_owned(),
        Changed::NotTheSame => "The two passwords are not the same. Nothing was changed.".to_owned(),
        Changed::Refused(OpsError::Refused(refusal)) => refusal.sentence,
        Changed::Refused(error) => return Err(error.into()),
    };
    page(&web, session, Some(why)).await
}
