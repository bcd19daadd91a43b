//! `/payees/{id}/…`: where a payee is paid and his tax report, entered by an administrator.

use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use payout::Refusal;
use payout::access::Permission;
use payout::ledger::Payee;
use payout::money::Vendor;
use payout::payee::Destination;

use crate::app::App;
use crate::clock::{date, rfc3339};
use crate::ops::payees::{self as verbs, TaxEntry};
use crate::store::payees::{self, Profile, Tax};
use crate::web::fault::Fault;
use crate::web::session::Who;
use crate::web::strict::Json;
use crate::web::{Need, Route, Web, put};
use crate::work::connect;

/// The rows of the route table.
#[must_use]
pub fn routes() -> Vec<Route> {
    let manage = Need::May(Permission::ManagePartners);
    vec![
        put("/api/v1/payees/{id}/payout-profile", manage, set_profile)
            .says("Set where a partner or account is paid; a Stripe account is read before this answers")
            .takes::<ProfileChange>()
            .answers::<ProfileJson>(200),
        put("/api/v1/payees/{id}/tax-report", manage, file_tax)
            .says("File a tax report; the number is kept encrypted and answered masked")
            .takes::<TaxChange>()
            .answers::<TaxJson>(200),
    ]
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PayoutProfileChange)]
struct ProfileChange {
    vendor: String,
    stripe_account: Option<String>,
    paypal_email: Option<String>,
}

/// A payout profile; the destination is masked.
#[derive(Serialize, ToSchema)]
#[schema(as = PayoutProfile)]
struct ProfileJson {
    payee: String,
    vendor: String,
    destination: String,
    /// The vendor would pay to it now.
    complete: bool,
    /// What the vendor still wants.
    not_payable_why: Option<String>,
    currencies: Option<Vec<String>>,
    changed_at: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TaxReportChange)]
struct TaxChange {
    form: String,
    signed_on: String,
    tin: Option<String>,
    name: String,
}

/// A tax report; the number is masked.
#[derive(Serialize, ToSchema)]
#[schema(as = TaxReport)]
struct TaxJson {
    payee: String,
    form: String,
    name: String,
    signed_on: String,
    tin: Option<String>,
    expires_on: Option<String>,
}

async fn find(app: &App, id: &str) -> Result<Payee, Fault> {
    payees::find(&mut app.store.read().await?, id).await?.ok_or_else(Fault::missing)
}

fn destination(change: &ProfileChange) -> Result<Destination, Refusal> {
    let missing = |field| Refusal::new("missing", "Name the destination for the chosen vendor.").at(field);
    match (Vendor::parse(&change.vendor), &change.stripe_account, &change.paypal_email) {
        (Some(Vendor::Stripe), Some(account), None) => Destination::stripe(account),
        (Some(Vendor::PayPal), None, Some(email)) => Destination::paypal(email),
        (Some(Vendor::Stripe), None, _) => Err(missing("stripe_account")),
        (Some(Vendor::PayPal), _, None) => Err(missing("paypal_email")),
        (Some(_), Some(_), Some(_)) => {
            let told = "Name one destination, that of the chosen vendor.";
            Err(Refusal::new("one_destination", told).at("vendor"))
        }
        (None, _, _) => Err(Refusal::new("unknown_vendor", "The vendor is stripe or paypal.").at("vendor")),
    }
}

async fn set_profile(
    State(web): State<Web>,
    Who(actor): Who,
    Path(id): Path<String>,
    Json(change): Json<ProfileChange>,
) -> Result<axum::Json<ProfileJson>, Fault> {
    let payee = find(&web.app, &id).await?;
    let profile = connect::set_profile(&web.work, &actor, payee, destination(&change)?).await?;
    Ok(axum::Json(profile_json(&profile)))
}

fn profile_json(profile: &Profile) -> ProfileJson {
    let codes = |list: &Vec<payout::money::Currency>| list.iter().map(|one| one.code().to_owned()).collect();
    ProfileJson {
        payee: profile.payee.to_string(),
        vendor: profile.destination.vendor().as_str().to_owned(),
        destination: profile.destination.masked(),
        complete: profile.payable_at.is_some(),
        not_payable_why: profile.not_payable_why.clone(),
        currencies: profile.currencies.as_ref().map(codes),
        changed_at: profile.changed_at.map(rfc3339),
    }
}

async fn file_tax(
    State(app): State<App>,
    Who(actor): Who,
    Path(id): Path<String>,
    Json(change): Json<TaxChange>,
) -> Result<axum::Json<TaxJson>, Fault> {
    let payee = find(&app, &id).await?;
    let TaxChange { form, signed_on, tin, name } = change;
    let tax = verbs::file_tax_report(&app, &actor, payee, &TaxEntry { form, signed_on, tin, name }).await?;
    Ok(axum::Json(tax_json(&tax)))
}

fn tax_json(tax: &Tax) -> TaxJson {
    TaxJson {
        payee: tax.payee.to_string(),
        form: tax.form.clone(),
        name: tax.name.clone(),
        signed_on: tax.signed_on.clone(),
        tin: tax.masked_tin.clone(),
        // The last day it holds is the one before it ends.
        expires_on: tax.expires_at.map(|end| date(end - 1)),
    }
}
