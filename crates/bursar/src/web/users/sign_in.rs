//! Signing in with a password or a one-time link, the step-up, and signing out. Not here: the pages with the forms
//! (`login`, the portal's `sign_in`), and the cookies (`kit::session`).

use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use payout::access::Role;

use super::login;
use super::step_up::{self, Evidence};
use crate::app::App;
use crate::ops::people::{self, Browser, SignInProgress};
use crate::web::kit::client::ClientNetwork;
use crate::web::kit::form::{Form, Query};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, Web, get, post};
use crate::web::kit::session::{
    COOKIE, Device, KNOWN, MOST_EMAIL_BYTES, PORTAL_LOGIN, SignedIn, arrive, end_former, is_known_as,
    is_ours, is_portal, make_known, set_cookie, too_many,
};
use crate::web::{home, portal};

/// The routes of signing in and out. `GET /login`, the form, is a page.
pub fn routes() -> Vec<Route> {
    vec![
        post("/login", Access::Open, sign_in),
        get("/login/{token}", Access::Open, link_form),
        post("/login/{token}", Access::Open, sign_in_by_link),
        post("/logout", Access::Login, sign_out),
        post("/prove", Access::Login, reauthenticate),
    ]
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Credentials {
    #[serde(default)]
    email: String,
    #[serde(default)]
    password: String,
    next: Option<String>,
}

async fn sign_in(
    State(web): State<Web>,
    Extension(ClientNetwork(network)): Extension<ClientNetwork>,
    headers: HeaderMap,
    Device(device): Device,
    Form(sent): Form<Credentials>,
) -> Result<Response, Problem> {
    let (app, now) = (&web.app, web.app.clock.now());
    if sent.email.len() > MOST_EMAIL_BYTES {
        let message = "No e-mail address is as long as this one. Check it and sign in again.";
        return Err(Problem::bad_request("invalid_email", message));
    }
    // A failure is shown on the page they came from.
    let portal = sent.next.as_deref().is_some_and(is_portal);
    let email = sent.email.trim().to_lowercase();
    let known = is_known_as(app, &headers, KNOWN, &email);
    if let Err(wait) = web.tried(web.tries.sign_in(&email, network, known, now)).await? {
        let page = login_again(app, portal, &headers, sent.next)?;
        return Ok(too_many(page, wait));
    }
    let Some(entered) = people::sign_in(app, &email, &sent.password, &device).await? else {
        let page = if portal { PORTAL_LOGIN } else { "/login" };
        let next = sent.next.as_deref().filter(|next| !next.is_empty() && is_ours(next));
        let next = next.map(|next| url::form_urlencoded::byte_serialize(next.as_bytes()).collect::<String>());
        let next = next.map(|next| format!("&next={next}")).unwrap_or_default();
        return Ok(Redirect::to(&format!("{page}?why=wrong{next}")).into_response());
    };
    end_former(app, &headers).await?;
    let mut response = arrive(&entered, sent.next.as_deref());
    // A browser becomes known only after the second factor: otherwise everybody who knows the password would get their own
    // allowance for codes.
    if !known && matches!(entered, SignInProgress::In(_)) {
        make_known(app, &mut response, KNOWN, &email);
    }
    Ok(response)
}

#[derive(Deserialize)]
struct LoginParams {
    /// Sign in without a button, for links of the demonstration, which are never mailed.
    now: Option<String>,
}

/// The page behind a one-time link, with a button. Fetching it does not use the link up, because mail scanners open every
/// link.
async fn link_form(
    State(app): State<App>,
    method: Method,
    headers: HeaderMap,
    Device(device): Device,
    Path(token): Path<String>,
    Query(opened): Query<LoginParams>,
) -> Result<Response, Problem> {
    if method == Method::HEAD {
        return Ok(StatusCode::OK.into_response());
    }
    if opened.now.is_some() && app.config.demonstrates {
        return by_link(&app, &headers, &token, &device).await;
    }
    match people::whose_link(&app, &token).await? {
        Some(person) => {
            let partner = matches!(person.role, Role::Partner | Role::PartnerAdmin);
            login_by_link(partner, &headers)
        }
        None => Ok(Redirect::to("/login?why=link").into_response()),
    }
}

async fn sign_in_by_link(
    State(app): State<App>,
    headers: HeaderMap,
    Device(device): Device,
    Path(token): Path<String>,
) -> Result<Response, Problem> {
    by_link(&app, &headers, &token, &device).await
}

async fn by_link(app: &App, headers: &HeaderMap, token: &str, device: &Browser) -> Result<Response, Problem> {
    // Partners choose their password with their invitation.
    let person = people::whose_link(app, token).await?;
    let person = person.filter(|person| !matches!(person.role, Role::Partner | Role::PartnerAdmin));
    // Moving money requires a password, and ten minutes later only another link would let them choose one.
    let chooses = match person {
        Some(person) if people::welcome::is_due(&person) => Some(home::WELCOME),
        Some(person) if person.password_hash.is_none() => Some("/password"),
        Some(_) | None => None,
    };
    Ok(match people::sign_in_by_link(app, token, device).await? {
        Some(entered) => {
            end_former(app, headers).await?;
            arrive(&entered, chooses)
        }
        None => Redirect::to("/login?why=link").into_response(),
    })
}

async fn sign_out(State(app): State<App>, SignedIn(session): SignedIn) -> Result<Response, Problem> {
    people::sign_out(&app, &session).await?;
    let partner = matches!(session.actor.role, Role::Partner | Role::PartnerAdmin);
    let mut response = Redirect::to(if partner { PORTAL_LOGIN } else { "/login" }).into_response();
    set_cookie(&mut response, COOKIE, "", 0);
    // Keep the cookie that marks this browser as known: it grants no access, and its owner needs it while others guess.
    response.headers_mut().insert("clear-site-data", HeaderValue::from_static("\"cache\", \"storage\""));
    Ok(response)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReauthForm {
    #[serde(default)]
    password: String,
    #[serde(default)]
    code: String,
    passkey: Option<String>,
    next: Option<String>,
}

async fn reauthenticate(
    State(web): State<Web>,
    SignedIn(session): SignedIn,
    Form(sent): Form<ReauthForm>,
) -> Result<Response, Problem> {
    let next = sent.next.as_deref().filter(|next| is_ours(next)).unwrap_or("/");
    if let Err(wait) = web.tried(web.tries.check_step_up(&session.id, web.app.clock.now())).await? {
        let page = portal::prove_again(&web.app, session, next.to_owned()).await?;
        return Ok(too_many(page, wait));
    }
    let deed = step_up::to_go_on(sent.next.as_deref().unwrap_or_default());
    let shown = Evidence::of(sent.password, sent.code, sent.passkey.as_deref());
    let why = match shown.check(&web.app, &session, &deed).await? {
        people::StepUpOutcome::Right => return Ok(Redirect::to(next).into_response()),
        people::StepUpOutcome::WrongPassword => "wrong",
        people::StepUpOutcome::WrongCode => "code",
        people::StepUpOutcome::UsedCode => "used",
        people::StepUpOutcome::WrongPasskey => "passkey",
        people::StepUpOutcome::Unreadable => "unreadable",
    };
    let next: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
    Ok(Redirect::to(&format!("/prove?why={why}&next={next}")).into_response())
}

/// The page behind a one-time link, for partners or for our own people.
pub fn login_by_link(portal: bool, headers: &HeaderMap) -> Result<Response, Problem> {
    if portal { portal::login_by_link(headers) } else { login::by_link() }
}

/// The sign-in form after too many attempts, for partners or for our own people.
pub fn login_again(
    app: &App,
    portal: bool,
    headers: &HeaderMap,
    next: Option<String>,
) -> Result<Response, Problem> {
    if portal { portal::login_again(app, headers, next) } else { login::again(app, next) }
}
