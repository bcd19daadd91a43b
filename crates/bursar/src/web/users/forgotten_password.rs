//! A forgotten password: asking for a link, and choosing a new password with it, for our own people and partners. Not
//! here: invitations, whose links are separate (`join`, `portal::sign_in`).

use askama::Template;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use crate::app::App;
use crate::ops::OpsError;
use crate::ops::invitations::{self, InvitationKind};
use crate::ops::people::{self, forgotten};
use crate::origin;
use crate::web::kit::form::Form;
use crate::web::kit::layout::{assets_version, html};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, Web, get, post};
use crate::web::kit::session::{self, Device, MOST_EMAIL_BYTES, arrive, too_many};
use crate::web::portal::{Language, Words, requested_language, spoken};

pub fn routes() -> Vec<Route> {
    vec![
        get("/forgotten", Access::Open, form),
        post("/forgotten", Access::Open, ask),
        get("/portal/forgotten", Access::Open, form),
        post("/portal/forgotten", Access::Open, ask),
        get("/password/new/{token}", Access::Open, choose_form),
        post("/password/new/{token}", Access::Open, choose),
    ]
}

#[derive(Template)]
#[template(path = "users/forgotten_password.html")]
struct AskPage {
    title: &'static str,
    language: Language,
    t: &'static Words,
    version: &'static str,
    login: &'static str,
    path: &'static str,
    mails: bool,
    sent: bool,
    why: Option<&'static str>,
}

/// The page in one of its states, for our own people or for partners, by address.
fn ask_page(
    app: &App,
    headers: &HeaderMap,
    uri: &Uri,
    sent: bool,
    why: Option<fn(&Words) -> &'static str>,
) -> Result<Response, Problem> {
    let portal = session::is_portal(uri.path());
    let language = if portal { requested_language(headers) } else { Language::English };
    let t = language.words();
    html(&AskPage {
        title: t.forgotten,
        language,
        t,
        version: assets_version(),
        login: if portal { session::PORTAL_LOGIN } else { "/login" },
        path: if portal { "/portal/forgotten" } else { "/forgotten" },
        mails: app.config.smtp_url.is_some(),
        sent,
        why: why.map(|why| why(t)),
    })
}

async fn form(State(app): State<App>, headers: HeaderMap, uri: Uri) -> Result<Response, Problem> {
    ask_page(&app, &headers, &uri, false, None)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Address {
    #[serde(default)]
    email: String,
}

/// Gives the same response, equally fast, whether or not the address has a login.
async fn ask(
    State(web): State<Web>,
    headers: HeaderMap,
    uri: Uri,
    Form(sent): Form<Address>,
) -> Result<Response, Problem> {
    let (app, email) = (&web.app, sent.email.trim().to_lowercase());
    if email.len() > MOST_EMAIL_BYTES {
        let message = "No e-mail address is as long as this one. Check it and repeat it.";
        return Err(Problem::bad_request("invalid_email", message));
    }
    if let Err(wait) = web.tried(web.tries.forgotten(&email, app.clock.now())).await? {
        return Ok(too_many(ask_page(app, &headers, &uri, false, Some(|t| t.login_slow))?, wait));
    }
    if app.config.smtp_url.is_some() {
        let app = app.clone();
        let asking = async move {
            if let Err(error) = forgotten::ask(&app, &email).await {
                tracing::error!(?error, "a link for a forgotten password could not be made");
            }
        };
        origin::spawn(asking);
    }
    ask_page(app, &headers, &uri, true, None)
}

#[derive(Template)]
#[template(path = "users/choose_password.html")]
struct ChoosePage {
    title: &'static str,
    language: Language,
    t: &'static Words,
    version: &'static str,
    login: &'static str,
    /// The address they sign in with; `None` if the link is no longer valid.
    email: Option<String>,
    why: Option<&'static str>,
}

async fn choose_page(
    app: &App,
    headers: &HeaderMap,
    token: &str,
    why: Option<&(dyn Fn(&Words) -> &'static str + Sync)>,
) -> Result<Response, Problem> {
    let person = invitations::waiting(app, InvitationKind::Forgotten, token).await?;
    let language = match &person {
        Some(person) => spoken(app, &people::actor(person)).await?,
        None => requested_language(headers),
    };
    let t = language.words();
    let partner = person.as_ref().is_some_and(|person| person.role.is_partners());
    let page = ChoosePage {
        title: t.choose_password,
        language,
        t,
        version: assets_version(),
        login: if partner { session::PORTAL_LOGIN } else { "/login" },
        email: person.and_then(|person| person.email),
        why: why.map(|why| why(t)),
    };
    let status = match (&page.email, &page.why) {
        (None, _) => StatusCode::GONE,
        (Some(_), Some(_)) => StatusCode::UNPROCESSABLE_ENTITY,
        (Some(_), None) => StatusCode::OK,
    };
    Ok((status, html(&page)?).into_response())
}

async fn choose_form(
    State(app): State<App>,
    headers: HeaderMap,
    Path(token): Path<String>,
) -> Result<Response, Problem> {
    choose_page(&app, &headers, &token, None).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Passwords {
    #[serde(default)]
    password: String,
    #[serde(default)]
    again: String,
}

async fn choose(
    State(app): State<App>,
    Device(browser): Device,
    headers: HeaderMap,
    Path(token): Path<String>,
    Form(sent): Form<Passwords>,
) -> Result<Response, Problem> {
    if sent.password != sent.again {
        return choose_page(&app, &headers, &token, Some(&|t: &Words| t.not_the_same)).await;
    }
    match invitations::accept(&app, InvitationKind::Forgotten, &token, &sent.password, &browser).await {
        Ok(Some(entered)) => Ok(arrive(&entered, None)),
        Ok(None) => choose_page(&app, &headers, &token, None).await,
        Err(OpsError::Refused(refusal)) => {
            let why = move |t: &Words| t.password_refused(refusal.code);
            choose_page(&app, &headers, &token, Some(&why)).await
        }
        Err(error) => Err(error.into()),
    }
}
