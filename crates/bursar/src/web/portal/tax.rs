//! The tax report: choosing the form with two questions; the form with its certification and date; and what is on file,
//! with the number masked. The rules are in `payout::tax`; no tax advice is given.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use payout::ledger::Payee;
use payout::tax::Form as TaxForm;

use super::PARTNERS;
use super::layout::{Frame, MenuItem, OnBehalfOf, PartnerContext, day};
use super::words::Words;
use crate::app::App;
use crate::clock;
use crate::ops::tax::{self as verbs, TaxEntry};
use crate::ops::{OpsError, settings};
use crate::store::tax::{self as store, Filed};
use crate::web::kit::form::{Form, Query};
use crate::web::kit::layout::Flash;
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Route, get, post};
use crate::web::kit::session::{is_fresh, prove_first};

pub fn routes() -> Vec<Route> {
    vec![
        get("/portal/tax", PARTNERS, choose),
        get("/portal/tax/{whose}", PARTNERS, show),
        post("/portal/tax/{whose}", PARTNERS, file),
    ]
}

fn page_of(whose: OnBehalfOf) -> String {
    format!("/portal/tax/{}", whose.as_str())
}

/// A partner with one payee is not asked whose report it is.
async fn choose(State(app): State<App>, context: PartnerContext) -> Result<Response, Problem> {
    if !context.administers() {
        return Ok(Redirect::to(&page_of(OnBehalfOf::Me)).into_response());
    }
    let (t, now) = (context.t(), app.clock.now());
    let mut db = app.store.read().await?;
    let mut cards = Vec::new();
    for (whose, payee) in context.payees() {
        let filed = store::of(&mut db, payee).await?;
        let message = filed.map_or_else(|| t.tax_none.to_owned(), |filed| on_file(&filed, t, now).0);
        cards.push((page_of(whose), context.named(whose), message));
    }
    context.show(&ChoosePage { frame: context.frame(t.tax, MenuItem::Tax), cards })
}

#[derive(Template)]
#[template(path = "portal/taxes.html")]
struct ChoosePage {
    frame: Frame,
    cards: Vec<(String, String, String)>,
}

/// What is on file, until when it is valid, and whether it is valid now.
fn on_file(filed: &Filed, t: &Words, now: i64) -> (String, Option<String>, bool) {
    let message = t.tax_on_file.replace("{form}", filed.form.label()).replace("{day}", &filed.signed_on);
    let holds = filed.expires_at.is_none_or(|end| now < end);
    let words = if holds { t.tax_until } else { t.tax_expired };
    // It expires at the start of a day, so the last valid day is the day before.
    let until = filed.expires_at.map(|end| words.replace("{day}", &day(end - 1)));
    (message, until, holds)
}

/// What is on file, for display.
struct OnFile {
    told: String,
    name: String,
    tin: Option<String>,
    until: Option<String>,
    holds: bool,
}

#[derive(Template)]
#[template(path = "portal/tax.html")]
struct TaxPage {
    frame: Frame,
    name: String,
    address: String,
    on_file: Option<OnFile>,
    needed: bool,
    form: Option<TaxForm>,
    us: String,
    entity: String,
    today: String,
    typed: FormInput,
    wrong: Option<(&'static str, String)>,
}

impl TaxPage {
    /// The error message of a field.
    fn at(&self, field: &str) -> Option<&str> {
        self.wrong.as_ref().filter(|(at, _)| *at == field).map(|(_, told)| told.as_str())
    }

    /// An error that belongs to none of the shown fields.
    fn elsewhere(&self) -> Option<&str> {
        let shown = ["name", "tin", "signed_on", "certified"];
        self.wrong.as_ref().filter(|(at, _)| !shown.contains(at)).map(|(_, told)| told.as_str())
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Answers {
    us: Option<String>,
    entity: Option<String>,
}

/// The input. The number is not shown again.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FormInput {
    form: String,
    name: String,
    tin: Option<String>,
    signed_on: String,
    certified: Option<String>,
}

async fn show(
    State(app): State<App>,
    context: PartnerContext,
    Path(whose): Path<String>,
    Query(answers): Query<Answers>,
) -> Result<Response, Problem> {
    let (whose, payee) = context.whose(&whose)?;
    let yes = |answer: &Option<String>| answer.as_deref().map(|answer| answer == "yes");
    let form = match (yes(&answers.us), yes(&answers.entity)) {
        (Some(us), Some(entity)) => Some(TaxForm::for_answers(us, entity)),
        (Some(_) | None, None) | (None, Some(_)) => None,
    };
    let typed = FormInput { name: context.named(whose), ..FormInput::default() };
    page(&app, &context, (whose, payee), (answers, form), typed, None).await
}

async fn page(
    app: &App,
    context: &PartnerContext,
    (whose, payee): (OnBehalfOf, Payee),
    (answers, form): (Answers, Option<TaxForm>),
    typed: FormInput,
    wrong: Option<(&'static str, String)>,
) -> Result<Response, Problem> {
    let (t, now) = (context.t(), app.clock.now());
    let mut db = app.store.read().await?;
    let filed = store::of(&mut db, payee).await?;
    let page = TaxPage {
        name: context.named(whose),
        address: page_of(whose),
        on_file: filed.map(|filed| {
            let (message, until, holds) = on_file(&filed, t, now);
            OnFile { told: message, name: filed.name, tin: filed.masked_tin, until, holds }
        }),
        needed: settings::load(&mut db).await?.us_tax_tracking,
        us: answers.us.unwrap_or_default(),
        entity: answers.entity.unwrap_or_else(|| match whose {
            OnBehalfOf::Me => "no".to_owned(),
            OnBehalfOf::Company => "yes".to_owned(),
        }),
        form,
        today: clock::date(now),
        frame: context.frame(t.tax, MenuItem::Tax),
        typed,
        wrong,
    };
    context.show(&page)
}

async fn file(
    State(app): State<App>,
    context: PartnerContext,
    Path(whose): Path<String>,
    Form(typed): Form<FormInput>,
) -> Result<Response, Problem> {
    let (whose, payee) = context.whose(&whose)?;
    let replaces = store::of(&mut app.store.read().await?, payee).await?.is_some();
    if replaces && !is_fresh(&context.session, app.clock.now()) {
        return Ok(prove_first(&page_of(whose)));
    }
    let entry = TaxEntry {
        form: typed.form.clone(),
        signed_on: typed.signed_on.clone(),
        tin: typed.tin.clone(),
        name: typed.name.clone(),
        certified: Some(typed.certified.is_some()),
    };
    match verbs::file(&app, context.actor(), payee, &entry).await {
        Ok(_) => Ok(Flash::good(context.t().tax_filed).on(&page_of(whose))),
        Err(OpsError::Refused(refusal)) => {
            let form = TaxForm::parse(&typed.form);
            let wrong = Some((refusal.field.unwrap_or("form"), context.of_refusal(&refusal)));
            page(&app, &context, (whose, payee), (Answers::default(), form), typed, wrong).await
        }
        Err(error) => Ok(context.refused(error)?.on(&page_of(whose))),
    }
}
