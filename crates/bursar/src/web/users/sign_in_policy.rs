//! The sign-in policy: when a second factor is required, and who has none yet. People set up their own (`second_factor`).

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use payout::access::{Role, needs_second_factor};

use super::list::ADMINISTERS;
use crate::app::App;
use crate::ops::people::factor::{self, FactorPolicy};
use crate::store::factors;
use crate::web::kit::form::Form;
use crate::web::kit::layout::{Flash, Frame, MenuItem, PageContext};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Route, get, post};
use crate::web::kit::session::{SignedIn, is_fresh, prove_first};

const PAGE: &str = "/people/sign-in";

pub(super) fn routes() -> Vec<Route> {
    vec![get(PAGE, ADMINISTERS, show), post(PAGE, ADMINISTERS, save)]
}

/// The options: value and description.
fn choices(with_mail: bool) -> [(FactorPolicy, &'static str, String); 3] {
    let now = match with_mail {
        true => "A mail server is configured, so it is required now.",
        false => "No mail server is configured, so it is not required now.",
    };
    [
        (FactorPolicy::WithMail, "with_mail", format!("While a mail server is configured. {now}")),
        (FactorPolicy::Always, "always", "Always.".to_owned()),
        (FactorPolicy::Never, "never", "Never: each decides for themselves.".to_owned()),
    ]
}

#[derive(Template)]
#[template(path = "users/sign_in_policy.html")]
struct SignInPage {
    frame: Frame,
    /// The value, description, and whether it is in force.
    choices: Vec<(&'static str, String, bool)>,
    roles: String,
    /// The people concerned who have none: name, address, role.
    without: Vec<(String, String, &'static str)>,
    fresh: bool,
}

async fn show(
    State(app): State<App>,
    SignedIn(session): SignedIn,
    context: PageContext,
) -> Result<Response, Problem> {
    let mut db = app.store.read().await?;
    let (wanted, _) = factor::policy(&mut db).await?;
    let without = factors::without(&mut db).await?.into_iter();
    let concerned = |role: &Role| needs_second_factor(*role);
    let roles: Vec<&str> = Role::ALL.iter().copied().filter(concerned).map(Role::label).collect();
    let page = SignInPage {
        frame: context.frame("Signing in", MenuItem::People),
        choices: choices(app.config.smtp_url.is_some())
            .into_iter()
            .map(|(one, word, told)| (word, told, one == wanted))
            .collect(),
        roles: roles.join(", "),
        without: without
            .filter(|(_, _, role)| concerned(role))
            .map(|(name, email, role)| (name, email, role.label()))
            .collect(),
        fresh: is_fresh(&session, app.clock.now()),
    };
    context.show(&page)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyForm {
    #[serde(default)]
    second_factor: String,
}

async fn save(
    State(app): State<App>,
    SignedIn(session): SignedIn,
    context: PageContext,
    Form(sent): Form<PolicyForm>,
) -> Result<Response, Problem> {
    if !is_fresh(&session, app.clock.now()) {
        return Ok(prove_first(PAGE));
    }
    let found = choices(false).into_iter().find(|(_, word, _)| *word == sent.second_factor);
    let Some((wanted, ..)) = found else {
        return Ok(Flash::bad("Choose when a second factor is required.").on(PAGE));
    };
    let flash = match factor::want(&app, &context.actor, wanted).await {
        Ok(()) => {
            Flash::good("Kept. Whoever needs a second factor and has none sets it up with their next click.")
        }
        Err(error) => Flash::refused(error)?,
    };
    Ok(flash.on(PAGE))
}
