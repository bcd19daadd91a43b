//! The first-run setup page: the first administrator and the company. Not here: the second factor, which the next page asks
//! for if it is required.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use payout::Refusal;
use payout::access::Permission;

use crate::app::App;
use crate::ops::OpsError;
use crate::ops::company::{self, Company};
use crate::ops::people::FIRST;
use crate::ops::people::welcome::{self, First};
use crate::web::kit::form::Form;
use crate::web::kit::layout::{Flash, assets_version, html};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, get, post};
use crate::web::kit::session::{SignedIn, is_fresh};
use crate::web::settings::currencies;
use crate::web::users::zones;

pub const PAGE: &str = "/welcome";

pub fn routes() -> Vec<Route> {
    let administers = Access::May(Permission::Administer);
    vec![get(PAGE, administers, show), post(PAGE, administers, begin)]
}

#[derive(Template)]
#[template(path = "home/welcome.html")]
struct WelcomePage {
    version: &'static str,
    csrf: String,
    typed: FormInput,
    zones: Vec<(String, bool)>,
    currencies: Vec<(&'static str, bool)>,
    wrong: Option<Refusal>,
}

impl WelcomePage {
    fn at(&self, field: &str) -> String {
        let here = self.wrong.as_ref().filter(|refusal| refusal.field == Some(field));
        here.map(|refusal| refusal.sentence.clone()).unwrap_or_default()
    }

    /// An error that belongs to no field.
    fn elsewhere(&self) -> Option<&str> {
        self.wrong.as_ref().filter(|refusal| refusal.field.is_none()).map(|refusal| refusal.sentence.as_str())
    }
}

#[derive(Deserialize, Clone, Default)]
#[serde(deny_unknown_fields, default)]
struct FormInput {
    name: String,
    email: String,
    password: String,
    again: String,
    company: String,
    support: String,
    currency: String,
    zone: String,
}

fn page(csrf: &str, typed: FormInput, wrong: Option<Refusal>) -> Result<Response, Problem> {
    let status = if wrong.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let page = WelcomePage {
        version: assets_version(),
        csrf: csrf.to_owned(),
        zones: zones(Some(typed.zone.as_str())),
        currencies: currencies(&typed.currency),
        typed,
        wrong,
    };
    Ok((status, html(&page)?).into_response())
}

/// The error if the session is too old to choose a password; the input is kept.
fn too_late() -> Refusal {
    let message = format!(
        "More than ten minutes have gone by since you opened the link, so it does not count any more. `bursar user reset --email {FIRST}`, on the machine that runs Bursar, prints another one. Open it, and save there."
    );
    Refusal::new("too_late", message)
}

async fn show(State(app): State<App>, SignedIn(session): SignedIn) -> Result<Response, Problem> {
    match welcome::is_due_for(&app, &session).await? {
        true => {
            let late = (!is_fresh(&session, app.clock.now())).then(too_late);
            // Prefilled, so that starting over keeps whatever is not edited.
            let known = company::read(&mut app.store.read().await?).await?;
            let currency = Some(known.currency).filter(|code| !code.is_empty());
            let typed = FormInput {
                company: known.name,
                support: known.support,
                currency: currency.unwrap_or_else(|| "USD".to_owned()),
                ..FormInput::default()
            };
            Ok((StatusCode::OK, page(&session.csrf, typed, late)?).into_response())
        }
        false => Ok(Redirect::to("/").into_response()),
    }
}

async fn begin(
    State(app): State<App>,
    SignedIn(session): SignedIn,
    Form(typed): Form<FormInput>,
) -> Result<Response, Problem> {
    if !welcome::is_due_for(&app, &session).await? {
        return Ok(Redirect::to("/password").into_response());
    }
    if !is_fresh(&session, app.clock.now()) {
        return page(&session.csrf, typed, Some(too_late()));
    }
    if typed.password != typed.again {
        let refusal = Refusal::new("not_the_same", "The two passwords are not the same.").at("again");
        return page(&session.csrf, typed, Some(refusal));
    }
    let first = First {
        name: typed.name.clone(),
        email: typed.email.clone(),
        password: typed.password.clone(),
        zone: Some(typed.zone.clone()).filter(|zone| !zone.is_empty()),
        company: Company {
            name: typed.company.clone(),
            support: typed.support.clone(),
            currency: typed.currency.clone(),
            ..Company::default()
        },
    };
    match welcome::begin(&app, &session, &first).await {
        Ok(()) => {
            let message = format!(
                "You sign in with {} and your password from now on.",
                typed.email.trim().to_lowercase()
            );
            Ok(Flash::good(message).on("/"))
        }
        Err(OpsError::Refused(refusal) | OpsError::Conflict(refusal)) => {
            page(&session.csrf, typed, Some(refusal))
        }
        Err(error) => Err(error.into()),
    }
}
