//! Single sign-on: redirecting a browser to the identity provider, and signing in whoever comes back. Not here: what the
//! provider signs (`work::provider`), and who may sign in (`ops::people::provider`).

use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use subtle::ConstantTimeEq as _;

use crate::ops::people::provider::{
    self as people, AuthorizationRequest, IdentityClaims, PendingSignIn, SignInRefusal,
};
use crate::web::kit::form::Query;
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, Web, get};
use crate::web::kit::session::{
    Device, FRESH_US, PROVIDER_VISIT, arrive, by_cookie, is_ours, pending_sign_in,
};
use crate::web::kit::{client, session};
use crate::work::provider::{self, BACK};

pub fn routes() -> Vec<Route> {
    vec![get("/login/provider", Access::Open, send), get(BACK, Access::Open, back)]
}

#[derive(Deserialize)]
struct CallbackParams {
    next: Option<String>,
    /// `yes`: they must authenticate again there, however recently they did.
    again: Option<String>,
}

/// The longest path to return to, in bytes: it is stored in a cookie, which holds four thousand.
const MOST_NEXT: usize = 1_500;

/// Redirects to the provider. A link and not a form, because browsers check every redirect target of a form, and a provider
/// may redirect to other hosts.
async fn send(
    State(web): State<Web>,
    method: Method,
    Query(ask): Query<CallbackParams>,
    request: Request,
) -> Result<Response, Problem> {
    let app = &web.app;
    if method == Method::HEAD {
        return Ok(StatusCode::OK.into_response());
    }
    if app.config.oidc.issuer.is_none() {
        return Ok(Redirect::to("/login").into_response());
    }
    // Other sites cannot start a sign-in: the person presses the button on our page.
    let site = request.headers().get("sec-fetch-site");
    if site.is_some_and(|site| site == "cross-site" || site == "same-site") {
        return Ok(Redirect::to("/login").into_response());
    }
    // The first one in an hour queries the provider.
    let network = client::network(&request, &app.config.trusted_proxies);
    web.tries.check_network(network, app.clock.now()).map_err(Problem::slow_down)?;
    let next = ask.next.filter(|next| is_ours(next) && next.len() <= MOST_NEXT).unwrap_or_default();
    let (sent, again) = (AuthorizationRequest::fresh(app), ask.again.is_some());
    let address = match provider::address(&web.work, &sent, again).await {
        Ok(address) => address,
        Err(fault) => return Ok(sign_in_error(&fault)),
    };
    // After a step-up, the same person must come back.
    let session = if again { by_cookie(app, request.headers(), None).await? } else { None };
    let visit = people::visit(app, &sent, &next, again, session.map(|session| session.actor.id));
    let mut response = Redirect::to(address.as_str()).into_response();
    session::set_pending_sign_in(&mut response, &visit);
    Ok(response)
}

/// The provider's redirect back. Unknown parameters are ignored.
#[derive(Deserialize)]
struct Returned {
    code: Option<String>,
    state: Option<String>,
    iss: Option<String>,
    error: Option<String>,
}

async fn back(
    State(web): State<Web>,
    method: Method,
    Device(device): Device,
    Query(returned): Query<Returned>,
    request: Request,
) -> Result<Response, Problem> {
    let app = &web.app;
    if method == Method::HEAD {
        return Ok(StatusCode::OK.into_response());
    }
    let Some(issuer) = &app.config.oidc.issuer else { return Ok(Redirect::to("/login").into_response()) };
    let network = client::network(&request, &app.config.trusted_proxies);
    web.tries.check_network(network, app.clock.now()).map_err(Problem::slow_down)?;
    let headers = request.headers();
    let came_with = returned.state.as_deref().zip(pending_sign_in(headers));
    let visit = match came_with {
        Some((state, kept)) => people::back(app, state, kept).await?,
        None => None,
    };
    let Some(visit) = visit else { return Ok(to_login("provider_over")) };
    // If the redirect names an issuer, it must be the one they were sent to.
    let other = |iss: &String| !bool::from(iss.as_bytes().ct_eq(issuer.as_bytes()));
    if returned.iss.as_ref().is_some_and(other) {
        tracing::warn!("a provider other than BURSAR_OIDC_ISSUER sent a sign-in back; nobody was signed in");
        return Ok(to_login("provider_wrong"));
    }
    let Some(code) = returned.code.filter(|_| returned.error.is_none()) else {
        let error = returned.error.unwrap_or_default();
        let error: String = error.chars().filter(|letter| letter.is_ascii_graphic()).take(40).collect();
        tracing::warn!(
            error,
            "the provider refused a sign-in. `access_denied` comes from the person or the provider; any other error is about the client registration at the provider"
        );
        return Ok(to_login("provider_no"));
    };
    let shown = match provider::believe(&web.work, &visit, code).await {
        Ok(shown) => shown,
        Err(fault) => return Ok(sign_in_error(&fault)),
    };
    let mut response = match people::enter(app, &shown, &device, visit.whose.as_deref()).await? {
        Ok(entered) => {
            session::end_former(app, headers).await?;
            arrive(&entered, then(&visit, &shown, app.clock.now()).as_deref())
        }
        Err(why) => refused(why, &shown),
    };
    session::forget(&mut response, PROVIDER_VISIT);
    Ok(response)
}

/// Where to go next. If this was a step-up and the provider does not confirm it, says so: the intended page would only ask
/// again.
fn then(visit: &PendingSignIn, shown: &IdentityClaims, now: i64) -> Option<String> {
    let next = Some(&visit.next).filter(|next| !next.is_empty()).cloned();
    if !visit.again || shown.proved_at.is_some_and(|at| now - at <= FRESH_US) {
        return next;
    }
    tracing::warn!(
        says = shown.proved_at.is_some(),
        "the provider did not confirm a re-authentication. Configure it to send the claim auth_time and to honor prompt=login and max_age; until then nobody can re-authenticate there"
    );
    let next = next.unwrap_or_else(|| "/".to_owned());
    let next: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
    Some(format!("/prove?why=provider&next={next}"))
}

fn to_login(why: &str) -> Response {
    Redirect::to(&format!("/login?why={why}")).into_response()
}

/// The response to an error at the provider or in the settings: the log says what to do, the page what it means for the person.
fn sign_in_error(fault: &provider::ProviderError) -> Response {
    match fault {
        provider::ProviderError::Away(why) => {
            tracing::error!(
                why,
                "the sign-in provider does not answer as it should. From this machine, open BURSAR_OIDC_ISSUER followed by /.well-known/openid-configuration; until then people sign in with their passwords"
            );
            to_login("provider_away")
        }
        provider::ProviderError::Old => {
            tracing::warn!(
                "the provider accepted an authentication older than the requested max_age, so nobody was signed in. Configure it to honor max_age"
            );
            to_login("provider_old")
        }
        provider::ProviderError::Wrong(why) => {
            tracing::warn!(
                why,
                "the provider's response could not be verified, so nobody was signed in. Compare client id, secret and redirect URI there with the settings here, and the clocks; if they match, this may be an attack"
            );
            to_login("provider_wrong")
        }
        provider::ProviderError::Settings(why) => {
            tracing::error!(why, "the sign-in provider is not fully configured; see `bursar config check`");
            to_login("provider_away")
        }
    }
}

/// For somebody who completed their second factor after their login was linked to another account there.
pub(super) fn elsewhere() -> Response {
    tracing::warn!(
        "a login was linked to another provider account, or unlinked, while its owner was signing in; see its page under People and keys"
    );
    let mut response = to_login("provider_taken");
    session::forget(&mut response, session::HALF_WAY);
    response
}

fn refused(why: SignInRefusal, shown: &IdentityClaims) -> Response {
    let (subject, lacks) = (&shown.subject, shown.lacks.as_deref().unwrap_or_default());
    let (word, remedy) = match why {
        SignInRefusal::Unverified => (
            "provider_unverified",
            "have their address verified at the provider, or release the claims email and email_verified",
        ),
        SignInRefusal::Unknown => {
            ("provider_unknown", "invite them under People and keys, or set BURSAR_OIDC_MAKE_LOGINS")
        }
        SignInRefusal::ShutOut => {
            ("provider_out", "enable their login under People and keys, if they should have access")
        }
        SignInRefusal::Partners => ("provider_partner", "partners sign in at /portal/login"),
        SignInRefusal::Taken => (
            "provider_taken",
            "another account there is linked to their login; if it is no longer theirs, unlink it on their page or with `bursar user unlink`",
        ),
        SignInRefusal::Unlinked => (
            "provider_unlinked",
            "an account there was unlinked from their login; if this one is theirs, allow it on their page or with `bursar user relink`",
        ),
        SignInRefusal::NotOfUs => {
            ("provider_not_of_us", "a claim required by BURSAR_OIDC_REQUIRE does not match")
        }
        SignInRefusal::Other => {
            ("provider_other", "another person was signed in in that browser; sign out first")
        }
        SignInRefusal::Over => ("provider_over", "their login was changed at the same time; sign in again"),
        SignInRefusal::NoRole => ("provider_role", "give them a group there that BURSAR_OIDC_ROLES names"),
    };
    tracing::warn!(subject, lacks, remedy, "a sign-in from the provider was refused");
    to_login(word)
}
