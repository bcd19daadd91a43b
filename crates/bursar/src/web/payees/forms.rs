//! The forms on a payee's page: standing, destination, tax report, and the full tax number for those who give a reason. A
//! refused form keeps its input, except a tax number.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::Deserialize;

use payout::Refusal;
use payout::access::Permission;
use payout::ledger::Payee;
use payout::money::Vendor;
use payout::payee::Destination;
use payout::tax::Form as TaxForm;

use super::show::{FormInput, show};
use crate::app::App;
use crate::ops::tax::{self, TaxEntry};
use crate::ops::{OpsError, partners, payees as verbs};
use crate::web::kit::form::Form;
use crate::web::kit::format::address;
use crate::web::kit::layout::{Flash, Frame, MenuItem, PageContext};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, Web, post};
use crate::work::connect;

pub fn routes() -> Vec<Route> {
    let manages = Access::May(Permission::ManagePartners);
    vec![
        post("/payees/{id}/standing", manages, standing),
        post("/payees/{id}/payout-profile", manages, profile).step_up("Save this destination"),
        post("/payees/{id}/payout-profile/clear", manages, clear).step_up("Clear this shared destination"),
        post("/payees/{id}/tax-report", manages, tax_report),
        post("/payees/{id}/tax-report/reveal", Access::May(Permission::Administer), reveal)
            .step_up("Show this tax number"),
    ]
}

async fn find(app: &App, id: &str) -> Result<Payee, Problem> {
    verbs::named(&mut app.store.read().await?, id).await?.ok_or_else(Problem::missing)
}

/// The page again, with the reason why nothing was done.
async fn again(
    app: &App,
    context: PageContext,
    payee: Payee,
    error: OpsError,
    typed: FormInput,
) -> Result<Response, Problem> {
    let flash = Flash::refused(error)?;
    let wrong = Some(std::iter::once(flash.words).chain(flash.items).collect::<Vec<_>>().join(" "));
    let mut db = app.store.read().await?;
    show(&mut db, app, &context, payee, None, FormInput { wrong, ..typed }).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StandingSent {
    standing: String,
    #[serde(default)]
    reason: String,
}

async fn standing(
    State(app): State<App>,
    context: PageContext,
    Path(id): Path<String>,
    Form(sent): Form<StandingSent>,
) -> Result<Response, Problem> {
    let payee = find(&app, &id).await?;
    let wanted = partners::standing(&sent.standing)?;
    match verbs::set_standing(&app, &context.actor, payee, wanted, &sent.reason).await {
        Ok(()) => Ok(Flash::good("Standing changed.").on(&address(payee))),
        Err(error) => again(&app, context, payee, error, FormInput::default()).await,
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProfileSent {
    vendor: String,
    #[serde(default)]
    address: String,
}

async fn profile(
    State(web): State<Web>,
    context: PageContext,
    Path(id): Path<String>,
    Form(sent): Form<ProfileSent>,
) -> Result<Response, Problem> {
    let payee = find(&web.app, &id).await?;
    let message = "Choose the vendor.";
    let vendor =
        Vendor::parse(&sent.vendor).ok_or_else(|| Refusal::new("unknown_vendor", message).at("vendor"));
    // Trim a line break copied along with the address; one inside it is refused.
    let destination = vendor.and_then(|vendor| Destination::at(vendor, sent.address.trim()));
    let set = match destination {
        Ok(destination) => connect::set_profile(&web.work, &context.actor, payee, destination).await,
        Err(refusal) => Err(refusal.into()),
    };
    match set {
        Ok(profile) => {
            let words = format!("This payee is now paid at {}.", profile.destination.masked());
            let shared = "Another payee has the same address, so both are on hold until a second person has cleared it.";
            let notes =
                [profile.destination.warning(), profile.not_payable_why.clone()].into_iter().flatten();
            let notes: Vec<String> = notes.chain(profile.shared.then(|| shared.to_owned())).collect();
            let flash = if notes.is_empty() { Flash::good(words) } else { Flash::warn(words).listing(notes) };
            Ok(flash.on(&address(payee)))
        }
        Err(error) => {
            let typed = FormInput {
                vendor: sent.vendor,
                address: sent.address,
                open: "profile",
                ..FormInput::default()
            };
            again(&web.app, context, payee, error, typed).await
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReasonSent {
    #[serde(default)]
    reason: String,
    confirmed: Option<String>,
}

async fn clear(
    State(app): State<App>,
    context: PageContext,
    Path(id): Path<String>,
    Form(sent): Form<ReasonSent>,
) -> Result<Response, Problem> {
    let payee = find(&app, &id).await?;
    match verbs::clear_shared(&app, &context.actor, payee, &sent.reason).await {
        Ok(_) => Ok(Flash::good("The shared destination is cleared.").on(&address(payee))),
        Err(error) => again(&app, context, payee, error, FormInput::default()).await,
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TaxSent {
    /// `yes` or `no`: the two questions that determine the form.
    us_person: Option<String>,
    entity: Option<String>,
    #[serde(default)]
    name: String,
    #[serde(default)]
    signed_on: String,
    tin: Option<String>,
    certified: Option<String>,
}

async fn tax_report(
    State(app): State<App>,
    context: PageContext,
    Path(id): Path<String>,
    Form(sent): Form<TaxSent>,
) -> Result<Response, Problem> {
    let payee = find(&app, &id).await?;
    let yes = |word: &Option<String>| word.as_deref() == Some("yes");
    let form = TaxForm::for_answers(yes(&sent.us_person), yes(&sent.entity));
    let entry = TaxEntry {
        form: form.as_str().to_owned(),
        signed_on: sent.signed_on.clone(),
        tin: sent.tin,
        name: sent.name.clone(),
        certified: Some(sent.certified.is_some()),
    };
    match tax::file(&app, &context.actor, payee, &entry).await {
        Ok(_) => Ok(Flash::good(format!("The {} is on file.", form.label())).on(&address(payee))),
        Err(error) => {
            let typed =
                FormInput { name: sent.name, signed_on: sent.signed_on, open: "tax", ..FormInput::default() };
            again(&app, context, payee, error, typed).await
        }
    }
}

#[derive(Template)]
#[template(path = "payees/tin.html")]
struct RevealedPage {
    frame: Frame,
    back: String,
    tin: String,
    reason: String,
}

/// The number is in this response only, which is neither cached nor stored.
async fn reveal(
    State(app): State<App>,
    context: PageContext,
    Path(id): Path<String>,
    Form(sent): Form<ReasonSent>,
) -> Result<Response, Problem> {
    let payee = find(&app, &id).await?;
    if sent.confirmed.is_none() {
        let message = "Confirm that your name and reason are kept. The number was not shown.";
        return Ok(Flash::bad(message).on(&address(payee)));
    }
    match tax::reveal(&app, &context.actor, payee, &sent.reason).await {
        Ok(tin) => {
            let frame = context.frame("Tax number", MenuItem::Partners);
            context.show(&RevealedPage { frame, back: address(payee), tin, reason: sent.reason })
        }
        Err(error) => again(&app, context, payee, error, FormInput::default()).await,
    }
}
