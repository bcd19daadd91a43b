//! Passkeys on pages: the challenges for the browser, and signing in with one. Our script gets the challenge and sends
//! the device's answer as a field of an ordinary form. Not here: adding and removing passkeys (`second_factor`), and the
//! forms that take one in place of a password (`step_up`, `portal::sign_in`).

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::passkey_button::{ALONE, PasskeyOptions, SECOND, TO_PROVE};
use super::provider;
use super::second_factor;
use super::sign_in::login_again;
use crate::app::App;
use crate::ops::OpsError;
use crate::ops::people::passkeys::{self, PasskeyRequest, SignedAction};
use crate::ops::people::{self, SecondFactor, SecondFactorOutcome, SignInProgress};
use crate::web::kit::client::ClientNetwork;
use crate::web::kit::form::Form;
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, Web, post};
use crate::web::kit::session::{self, Device, PORTAL_LOGIN, SignedIn, is_ours, is_portal, too_many};
use crate::webauthn::{self, Assertion};

pub fn routes() -> Vec<Route> {
    vec![
        post(TO_PROVE, Access::Login, ask_to_prove),
        post(ALONE, Access::Open, ask_anybody),
        post("/login/passkey", Access::Open, sign_in),
        post(SECOND, Access::Open, ask_second),
        post("/login/code/passkey", Access::Open, finish),
    ]
}

fn options_json(asked: PasskeyRequest) -> Response {
    Json(PasskeyOptions::from(asked)).into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Before {
    #[serde(default)]
    deed: String,
}

async fn ask_to_prove(
    State(web): State<Web>,
    SignedIn(session): SignedIn,
    Form(sent): Form<Before>,
) -> Result<Response, Problem> {
    let deed = SignedAction::named(&sent.deed).ok_or_else(Problem::missing)?;
    Ok(options_json(passkeys::ask_to_prove(&web.app, &session, &deed).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EmptyForm {}

async fn ask_anybody(
    State(app): State<App>,
    Form(EmptyForm {}): Form<EmptyForm>,
) -> Result<Response, Problem> {
    let (asked, kept) = passkeys::ask_anybody(&app)?;
    let mut response = options_json(asked);
    session::ask_for_passkey(&mut response, &kept);
    Ok(response)
}

async fn ask_second(
    State(app): State<App>,
    headers: HeaderMap,
    Form(EmptyForm {}): Form<EmptyForm>,
) -> Result<Response, Problem> {
    let half = session::half_way(&headers).unwrap_or_default();
    Ok(options_json(passkeys::ask_second(&app, half).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PasskeyForm {
    #[serde(default)]
    passkey: String,
    next: Option<String>,
}

async fn sign_in(
    State(web): State<Web>,
    Extension(ClientNetwork(network)): Extension<ClientNetwork>,
    headers: HeaderMap,
    Device(browser): Device,
    Form(sent): Form<PasskeyForm>,
) -> Result<Response, Problem> {
    let app = &web.app;
    let portal = sent.next.as_deref().is_some_and(is_portal);
    let shown: Option<Assertion> = webauthn::read(&sent.passkey);
    // Passkeys cannot be guessed; this limits the cost of verifying signatures, in each process by itself.
    let of = shown.as_ref().map_or("", |shown| shown.id.as_str());
    if let Err(wait) = web.tries.code(&format!("passkey {of}"), network, false, app.clock.now()) {
        return Ok(too_many(login_again(app, portal, &headers, sent.next)?, wait));
    }
    let entered = match (shown, session::asked_for_passkey(&headers)) {
        (Some(shown), Some(asked)) => people::passkeys::sign_in(app, asked, &shown, &browser).await?,
        (_, _) => None,
    };
    // One response for all cases: unknown, disabled, too late, or rejected.
    let Some((email, SignInProgress::In(token))) = entered else {
        let page = if portal { PORTAL_LOGIN } else { "/login" };
        let next = sent.next.as_deref().filter(|next| !next.is_empty() && is_ours(next)).unwrap_or_default();
        let next: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
        return Ok(Redirect::to(&format!("{page}?why=passkey&next={next}")).into_response());
    };
    Ok(session::whole_way(app, &headers, &email, &token, sent.next.as_deref()))
}

async fn finish(
    State(web): State<Web>,
    Extension(from): Extension<ClientNetwork>,
    headers: HeaderMap,
    Device(browser): Device,
    Form(sent): Form<PasskeyForm>,
) -> Result<Response, Problem> {
    let app = &web.app;
    let half = session::half_way(&headers).unwrap_or_default();
    let Some(person) = people::half_way(app, half).await? else {
        return second_factor::code_page(app, &headers, sent.next, None).await;
    };
    let email = person.email.clone().unwrap_or_default();
    let known = session::is_known_by_code(app, &headers, &email);
    let tried = web.tries.code(&person.id.to_string(), from.0, known, app.clock.now());
    if let Err(wait) = web.tried(tried).await? {
        return second_factor::slow_code(app, &headers, sent.next, wait).await;
    }
    let finished = match webauthn::read::<Assertion>(&sent.passkey) {
        Some(shown) => people::finish(app, half, SecondFactor::Passkey(&shown), &browser).await,
        None => Ok(SecondFactorOutcome::WrongPasskey),
    };
    match finished {
        Ok(SecondFactorOutcome::In(token)) => {
            Ok(session::whole_way(app, &headers, &email, &token, sent.next.as_deref()))
        }
        Ok(
            SecondFactorOutcome::WrongPasskey
            | SecondFactorOutcome::Wrong
            | SecondFactorOutcome::Used
            | SecondFactorOutcome::Unreadable,
        )
        | Err(OpsError::Refused(_)) => {
            second_factor::code_page(app, &headers, sent.next, Some(|t| t.passkey_wrong)).await
        }
        Ok(SecondFactorOutcome::Elsewhere) => Ok(provider::elsewhere()),
        Ok(SecondFactorOutcome::Over) => second_factor::code_page(app, &headers, sent.next, None).await,
        Err(error) => Err(error.into()),
    }
}
