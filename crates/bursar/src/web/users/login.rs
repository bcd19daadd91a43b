//! Pages without the layout, because nobody may be signed in: signing in, and its errors. The sign-in requests are handled
//! in `sign_in`.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use super::passkey_button::Button;
use crate::app::App;
use crate::web::kit::form::Query;
use crate::web::kit::layout::{assets_version, html};
use crate::web::kit::problem::Fault;
use crate::web::kit::route::{Need, Route, get};
use crate::web::portal::{Language, Words};

pub fn routes() -> Vec<Route> {
    vec![get("/login", Need::Open, login)]
}

#[derive(Template)]
#[template(path = "users/login.html")]
struct Login {
    version: &'static str,
    why: Option<&'static str>,
    next: String,
    passkey: Option<Button>,
    /// The texts that the passkey button uses.
    t: &'static Words,
    /// The name of the identity provider, if there is one.
    provider: Option<String>,
}

impl Login {
    /// Where they want to go, encoded for a URL.
    fn on(&self) -> String {
        url::form_urlencoded::byte_serialize(self.next.as_bytes()).collect()
    }
}

#[derive(Deserialize)]
struct Ask {
    why: Option<String>,
    next: Option<String>,
}

#[derive(Template)]
#[template(path = "users/login_link.html")]
struct Link {
    version: &'static str,
}

/// The page behind a one-time link.
pub fn by_link() -> Result<Response, Fault> {
    html(&Link { version: assets_version() })
}

/// The form again, after too many attempts.
pub fn again(app: &App, next: Option<String>) -> Result<Response, Fault> {
    page(app, Some("Too many tries. Wait a minute, then try again."), next)
}

fn page(app: &App, why: Option<&'static str>, next: Option<String>) -> Result<Response, Fault> {
    html(&Login {
        version: assets_version(),
        why,
        next: next.unwrap_or_default(),
        passkey: Button::alone(app),
        t: Language::English.words(),
        provider: app.config.oidc.called(),
    })
}

async fn login(State(app): State<App>, Query(ask): Query<Ask>) -> Result<Response, Fault> {
    let why = ask.why.as_deref().map(|why| match why {
        provider if provider.starts_with("provider_") => by_provider(provider),
        "link" => {
            "This one-time link was used already or is too old. Sign in with your password, or ask for a new link."
        }
        "passkey" => Language::English.words().passkey_wrong,
        _ => "Wrong e-mail or password. Check both and try again.",
    });
    page(&app, why, ask.next)
}

/// Why a sign-in through the identity provider failed, for the person.
fn by_provider(why: &str) -> &'static str {
    match why {
        "provider_over" => {
            "That sign-in took longer than ten minutes, was finished before, or was begun in another browser. Begin it again here."
        }
        "provider_no" => {
            "Your company’s sign-in has not let you in. Try again there, or ask whoever runs it."
        }
        "provider_unverified" => {
            "Your company’s sign-in does not say that your e-mail address is verified, so it is not known which login here is yours. Ask whoever runs it."
        }
        "provider_unknown" => {
            "There is no login here for your e-mail address. Ask an administrator to invite you."
        }
        "provider_out" => "Your login here is shut out. Ask an administrator.",
        "provider_partner" => "Partners sign in on the portal, with their own password.",
        "provider_taken" => {
            "The login of your e-mail address here belongs to another account of your company’s sign-in. Ask an administrator to unlink it."
        }
        "provider_unlinked" => {
            "Your account at your company’s sign-in was unlinked from your login here. Ask an administrator to allow it again, or sign in with your password."
        }
        "provider_not_of_us" => {
            "Your company’s sign-in says that your account there is none that may come in here. Use your work account, or ask whoever runs it."
        }
        "provider_other" => {
            "Another account was used at your company’s sign-in than the one that was signed in here, so nothing was done. Sign in anew."
        }
        "provider_old" => {
            "Your company’s sign-in has not asked you for more than twelve hours who you are. Sign out there, then sign in again here."
        }
        "provider_role" => {
            "Your company’s sign-in gives you no role here. Ask whoever runs it for the right group."
        }
        "provider_wrong" => {
            "What your company’s sign-in sent could not be believed, so nobody was signed in. Try again; if it stays, tell whoever runs Bursar: the log says why."
        }
        _ => {
            "Your company’s sign-in does not answer at the moment. Try again in a minute, or sign in with your password."
        }
    }
}
