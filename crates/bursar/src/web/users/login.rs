//! Pages without the layout, because nobody may be signed in: signing in, and its errors. The sign-in requests are handled
//! in `sign_in`.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use super::passkey_button::Button;
use crate::app::App;
use crate::ops::company;
use crate::web::kit::form::Query;
use crate::web::kit::layout::{assets_version, html};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, get};
use crate::web::portal::{Language, Words};

pub fn routes() -> Vec<Route> {
    vec![get("/login", Access::Open, login)]
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
    /// Whose sign-in page it is; may be empty.
    company: String,
}

impl Login {
    /// Where they want to go, encoded for a URL.
    fn on(&self) -> String {
        url::form_urlencoded::byte_serialize(self.next.as_bytes()).collect()
    }
}

#[derive(Deserialize)]
struct LoginParams {
    why: Option<String>,
    next: Option<String>,
}

#[derive(Template)]
#[template(path = "users/login_link.html")]
struct Link {
    version: &'static str,
}

/// The page behind a one-time link.
pub fn by_link() -> Result<Response, Problem> {
    html(&Link { version: assets_version() })
}

/// The form again, after too many attempts. It reads nothing from the database.
pub fn again(app: &App, next: Option<String>) -> Result<Response, Problem> {
    page(app, Some("Too many tries. Wait a minute, then try again."), next, String::new())
}

fn page(
    app: &App,
    why: Option<&'static str>,
    next: Option<String>,
    company: String,
) -> Result<Response, Problem> {
    html(&Login {
        version: assets_version(),
        why,
        next: next.unwrap_or_default(),
        passkey: Button::alone(app),
        t: Language::English.words(),
        provider: app.config.oidc.called(),
        company,
    })
}

async fn login(State(app): State<App>, Query(ask): Query<LoginParams>) -> Result<Response, Problem> {
    let why = ask.why.as_deref().map(|why| match why {
        provider if provider.starts_with("provider_") => by_provider(provider),
        "link" => {
            "This one-time link was already used or has expired. Sign in with your password, or ask for a new link."
        }
        "passkey" => Language::English.words().passkey_wrong,
        _ => "Wrong e-mail or password. Check both and try again.",
    });
    let company = company::name(&app).await;
    page(&app, why, ask.next, company)
}

/// Why a sign-in through the identity provider failed, for the person.
fn by_provider(why: &str) -> &'static str {
    match why {
        "provider_over" => {
            "That sign-in took longer than ten minutes, was already completed, or was started in another browser. Start again here."
        }
        "provider_no" => "Your company’s sign-in refused you. Try again, or ask your IT team.",
        "provider_unverified" => {
            "Your company’s sign-in does not confirm that your e-mail address is verified, so Bursar cannot match it to a login. Ask your IT team."
        }
        "provider_unknown" => {
            "There is no login here for your e-mail address. Ask an administrator to invite you."
        }
        "provider_out" => "Your login here is disabled. Ask an administrator.",
        "provider_partner" => "Partners sign in on the portal, with their own password.",
        "provider_taken" => {
            "The login of your e-mail address here belongs to another account of your company’s sign-in. Ask an administrator to unlink it."
        }
        "provider_unlinked" => {
            "Your account at your company’s sign-in was unlinked from your login here. Ask an administrator to allow it again, or sign in with your password."
        }
        "provider_not_of_us" => {
            "Your company’s sign-in does not allow your account to use Bursar. Use your work account, or ask your IT team."
        }
        "provider_other" => {
            "You used a different account at your company’s sign-in than the one signed in here, so nothing was done. Sign in again."
        }
        "provider_old" => {
            "You last proved who you are at your company’s sign-in more than twelve hours ago. Sign out there, then sign in again here."
        }
        "provider_role" => {
            "Your company’s sign-in gives you no role here. Ask your IT team for the right group."
        }
        "provider_wrong" => {
            "The response from your company’s sign-in could not be verified, so you were not signed in. Try again. If it happens again, tell your Bursar operator. The log shows the reason."
        }
        _ => {
            "Your company’s sign-in is not responding. Try again in a minute, or sign in with your password."
        }
    }
}
