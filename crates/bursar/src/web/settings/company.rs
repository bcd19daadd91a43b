//! Company settings: the name and address that partners see, and the default currency of new rewards. Not here: the payout
//! settings (`payout`).

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use payout::Refusal;
use payout::access::Permission;
use payout::money::Currency;

use crate::app::App;
use crate::ops::OpsError;
use crate::ops::company::{self, Company};
use crate::web::kit::form::Form;
use crate::web::kit::layout::{Flash, Frame, MenuItem, PageContext};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, get, post};

const PAGE: &str = "/settings/company";

pub fn routes() -> Vec<Route> {
    let administers = Access::May(Permission::Administer);
    vec![
        get(PAGE, Access::May(Permission::Read), show),
        post(PAGE, administers, save).step_up("Save these settings"),
    ]
}

/// The currencies for new records, with the selected one marked.
pub fn currencies(chosen: &str) -> Vec<(&'static str, bool)> {
    let open = Currency::all().filter(|currency| currency.ended().is_none());
    open.map(|currency| (currency.code(), currency.code() == chosen)).collect()
}

#[derive(Template)]
#[template(path = "settings/company.html")]
struct CompanyPage {
    frame: Frame,
    company: Company,
    currencies: Vec<(&'static str, bool)>,
    may: bool,
    wrong: Option<Refusal>,
}

impl CompanyPage {
    fn at(&self, field: &str) -> String {
        let here = self.wrong.as_ref().filter(|refusal| refusal.field == Some(field));
        here.map(|refusal| refusal.sentence.clone()).unwrap_or_default()
    }
}

fn page(context: &PageContext, company: Company, wrong: Option<Refusal>) -> Result<Response, Problem> {
    let status = if wrong.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let page = CompanyPage {
        frame: context.frame("Company", MenuItem::PayoutSettings),
        currencies: currencies(&company.currency),
        may: context.may(Permission::Administer),
        company,
        wrong,
    };
    Ok((status, context.show(&page)?).into_response())
}

async fn show(State(app): State<App>, context: PageContext) -> Result<Response, Problem> {
    let company = company::read(&mut app.store.read().await?).await?;
    page(&context, company, None)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FormInput {
    #[serde(default)]
    company: String,
    #[serde(default)]
    address: String,
    #[serde(default)]
    support: String,
    #[serde(default)]
    currency: String,
}

async fn save(
    State(app): State<App>,
    context: PageContext,
    Form(typed): Form<FormInput>,
) -> Result<Response, Problem> {
    let over = |before: Company| Company {
        name: typed.company.clone(),
        address: typed.address.clone(),
        support: typed.support.clone(),
        currency: typed.currency.clone(),
        ..before
    };
    match company::save(&app, &context.actor, over).await {
        Ok(_) => Ok(Flash::good("The company is saved.").on(PAGE)),
        Err(OpsError::Refused(refusal)) => page(&context, over(Company::default()), Some(refusal)),
        Err(error) => Ok(Flash::refused(error)?.on(PAGE)),
    }
}
