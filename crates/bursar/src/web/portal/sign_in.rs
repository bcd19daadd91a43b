//! Signing in, accepting an invitation, and the step-up before sensitive actions. The step-up page is shared by partners and
//! our own people.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use payout::access::Role;

use super::words::{Language, Words};
use crate::app::{Actor, App};
use crate::ops::OpsError;
use crate::ops::company;
use crate::ops::invitations::{self, InvitationKind};
use crate::ops::people::{self, Session};
use crate::store::programs::{self, RecordRef};
use crate::web::kit::form::{Form, Query};
use crate::web::kit::layout::{assets_version, html};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, Web, get, post};
use crate::web::kit::session::{Device, SignedIn, arrive, is_ours};
use crate::web::users::{Button, by_provider, to_go_on};

pub fn routes() -> Vec<Route> {
    vec![
        get("/portal/login", Access::Open, login),
        get("/portal/join/{token}", Access::Open, join_form),
        post("/portal/join/{token}", Access::Open, join),
        get("/prove", Access::Login, step_up),
    ]
}

/// The language of a known person: a partner's own, English for our own people.
pub async fn spoken(app: &App, actor: &Actor) -> Result<Language, Problem> {
    let Some(id) = actor.partner else { return Ok(Language::English) };
    let partner = programs::partner(&mut app.store.read().await?, RecordRef::Either(&id.to_string())).await?;
    let spoken = partner.and_then(|partner| partner.language);
    Ok(spoken.as_deref().and_then(Language::parse).unwrap_or(Language::English))
}

/// The language a browser asks for.
pub fn requested_language(headers: &HeaderMap) -> Language {
    let header = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    Language::accepted(header.unwrap_or(""))
}

#[derive(Template)]
#[template(path = "portal/login.html")]
struct LoginPage {
    title: &'static str,
    language: Language,
    languages: [Language; 5],
    t: &'static Words,
    version: &'static str,
    why: Option<&'static str>,
    next: String,
    passkey: Option<Button>,
    /// Whose portal it is; may be empty.
    company: String,
}

#[derive(Deserialize)]
struct SignInParams {
    why: Option<String>,
    next: Option<String>,
    language: Option<String>,
}

async fn login(
    State(app): State<App>,
    headers: HeaderMap,
    Query(ask): Query<SignInParams>,
) -> Result<Response, Problem> {
    let chosen = ask.language.as_deref().and_then(Language::parse);
    let language = chosen.unwrap_or_else(|| requested_language(&headers));
    let t = language.words();
    let why = ask.why.as_deref().map(|why| match why {
        "link" => t.login_link,
        "passkey" => t.passkey_wrong,
        _ => t.login_wrong,
    });
    let company = company::name(&app).await;
    login_page(&app, language, why, ask.next, company)
}

#[derive(Template)]
#[template(path = "portal/login_link.html")]
struct LinkPage {
    title: &'static str,
    language: Language,
    t: &'static Words,
    version: &'static str,
}

/// The page of a partner's one-time link.
pub fn login_by_link(headers: &HeaderMap) -> Result<Response, Problem> {
    let language = requested_language(headers);
    let t = language.words();
    html(&LinkPage { title: t.login, language, t, version: assets_version() })
}

/// The form again, after too many attempts. It reads nothing from the database.
pub fn login_again(app: &App, headers: &HeaderMap, next: Option<String>) -> Result<Response, Problem> {
    let language = requested_language(headers);
    login_page(app, language, Some(language.words().login_slow), next, String::new())
}

fn login_page(
    app: &App,
    language: Language,
    why: Option<&'static str>,
    next: Option<String>,
    company: String,
) -> Result<Response, Problem> {
    let t = language.words();
    html(&LoginPage {
        title: t.login,
        language,
        languages: Language::OFFERED,
        t,
        version: assets_version(),
        why,
        next: next.unwrap_or_else(|| "/portal".to_owned()),
        passkey: Button::alone(app),
        company,
    })
}

#[derive(Template)]
#[template(path = "portal/join.html")]
struct JoinPage {
    title: &'static str,
    language: Language,
    t: &'static Words,
    version: &'static str,
    email: Option<String>,
    why: Option<String>,
}

/// An error message, in the language of the page.
type LocalizedMessage = Box<dyn Fn(&Words) -> &'static str + Send>;

/// The invitation page, in the partner's language or the browser's.
async fn join_page(
    app: &App,
    headers: &HeaderMap,
    token: &str,
    why: Option<LocalizedMessage>,
) -> Result<JoinPage, Problem> {
    let person = invitations::waiting(app, InvitationKind::Portal, token).await?;
    let mut language = requested_language(headers);
    if let Some(id) = person.as_ref().and_then(|person| person.partner) {
        let partner =
            programs::partner(&mut app.store.read().await?, RecordRef::Either(&id.to_string())).await?;
        let spoken = partner.and_then(|partner| partner.language);
        language = spoken.as_deref().and_then(Language::parse).unwrap_or(language);
    }
    let t = language.words();
    let email = person.and_then(|person| person.email);
    Ok(JoinPage {
        title: t.join,
        language,
        t,
        version: assets_version(),
        email,
        why: why.map(|why| why(t).to_owned()),
    })
}

async fn join_form(
    State(app): State<App>,
    headers: HeaderMap,
    Path(token): Path<String>,
) -> Result<Response, Problem> {
    let page = join_page(&app, &headers, &token, None).await?;
    let status = if page.email.is_some() { StatusCode::OK } else { StatusCode::GONE };
    Ok((status, html(&page)?).into_response())
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
    State(web): State<Web>,
    Device(device): Device,
    headers: HeaderMap,
    Path(token): Path<String>,
    Form(sent): Form<Passwords>,
) -> Result<Response, Problem> {
    let app = &web.app;
    let refused: LocalizedMessage = if sent.password != sent.again {
        Box::new(|t: &Words| t.not_the_same)
    } else {
        match invitations::accept(app, InvitationKind::Portal, &token, &sent.password, &device).await {
            Ok(Some(entered)) => return Ok(arrive(&entered, Some("/portal"))),
            Ok(None) => Box::new(|t: &Words| t.join_gone),
            Err(OpsError::Refused(refusal)) => Box::new(move |t: &Words| t.password_refused(refusal.code)),
            Err(error) => return Err(error.into()),
        }
    };
    let page = join_page(app, &headers, &token, Some(refused)).await?;
    let status = if page.email.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::GONE };
    Ok((status, html(&page)?).into_response())
}

#[derive(Template)]
#[template(path = "portal/step_up.html")]
struct ProvePage {
    title: &'static str,
    language: Language,
    t: &'static Words,
    version: &'static str,
    csrf: String,
    next: String,
    home: &'static str,
    has_password: bool,
    has_factor: bool,
    has_app: bool,
    passkey: Option<Button>,
    /// If they can step up with their identity provider: its name, and the address.
    provider: Option<(String, String)>,
    why: Option<&'static str>,
}

/// English only: partners do not sign in through the provider.
const NOT_SAID: &str = "Your company’s sign-in does not say that you have just proved there who you are, so it does not count here. Use your password or a passkey. Without both, choose a password: sign out, then take “Forgotten your password?”. Whoever runs the sign-in must let it send auth_time.";

async fn step_up(
    State(app): State<App>,
    SignedIn(session): SignedIn,
    Query(ask): Query<SignInParams>,
) -> Result<Response, Problem> {
    let next = ask.next.filter(|next| is_ours(next));
    let Some(next) = next else { return Ok(Redirect::to("/").into_response()) };
    let why: Option<fn(&Words) -> &'static str> = ask.why.as_deref().map(|why| match why {
        "code" => |t: &Words| t.factor_wrong,
        "used" => |t: &Words| t.factor_used,
        "passkey" => |t: &Words| t.passkey_wrong,
        "unreadable" => |t: &Words| t.factor_unreadable,
        "provider" => |_: &Words| NOT_SAID,
        _ => |t: &Words| t.password_wrong,
    });
    prove_page(&app, session, next, why).await
}

/// The form again, after too many attempts.
pub async fn prove_again(app: &App, session: Session, next: String) -> Result<Response, Problem> {
    prove_page(app, session, next, Some(|t| t.login_slow)).await
}

async fn prove_page(
    app: &App,
    session: Session,
    next: String,
    why: Option<fn(&Words) -> &'static str>,
) -> Result<Response, Problem> {
    let language = spoken(app, &session.actor).await?;
    let t = language.words();
    let partner = matches!(session.actor.role, Role::Partner | Role::PartnerAdmin);
    html(&ProvePage {
        title: t.prove,
        language,
        t,
        version: assets_version(),
        has_password: people::has_password(app, session.actor.id).await?,
        has_factor: session.has_factor(),
        has_app: session.has_app,
        passkey: Button::to_prove(app, &session, &to_go_on(&next)),
        provider: by_provider(app, &session, &next).await?,
        csrf: session.csrf,
        next,
        home: if partner { "/portal" } else { "/" },
        why: why.map(|why| why(t)),
    })
}
