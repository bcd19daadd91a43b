//! `/payees/{id}/…`: payout profiles and tax reports, as administrators enter them and as those with access read them.

use axum::Extension;
use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use payout::Refusal;
use payout::access::Permission;
use payout::ledger::Payee;
use payout::money::Vendor;
use payout::payee::Destination;
use payout::scope::Scope;

use crate::app::{Actor, App};
use crate::clock::{date, rfc3339};
use crate::ops::tax::{self, TaxEntry};
use crate::ops::{partners, payees as verbs};
use crate::store::payees::{self, DestinationChange, Profile};
use crate::store::rewards::Visible;
use crate::store::tax::Filed;
use crate::store::{self, Db};
use crate::web::kit::extract::Json;
use crate::web::kit::form::{NotKept, Query};
use crate::web::kit::json::{BlockerJson, MoneyJson, PayeeJson, blockers_for};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, Web, get, post, put};
use crate::web::kit::session::CurrentActor;
use crate::web::kit::shapes;
use crate::work::connect;

pub fn routes() -> Vec<Route> {
    let manage = Access::May(Permission::ManagePartners);
    let read = Access::MayOrOwn(Permission::Read);
    vec![
        get("/api/v1/payees/{id}", read, show)
            .says("A payee: standing, payout profile, tax report, and every reason why they cannot be paid")
            .answers::<PayeeView>(200),
        get("/api/v1/payees/{id}/history", read, history)
            .says("The changes of a payee's destination, newest first, masked")
            .answers::<History>(200),
        get("/api/v1/payees/{id}/tax-year", read, tax_year)
            .says("What a payee was paid in a calendar year, by vendor and currency")
            .filters::<YearQuery>()
            .answers::<YearJson>(200),
        put("/api/v1/payees/{id}/payout-profile", manage, set_profile)
            .asks_vendor()
            .says("Set where a partner or account is paid; a Stripe account is read before this answers")
            .takes::<ProfileChange>()
            .answers::<ProfileJson>(200),
        post("/api/v1/payees/{id}/payout-profile/clear", manage, clear_shared)
            .opened_by(Scope::Write)
            .says("As a second person, say that a destination rightly belongs to several payees")
            .takes::<Reason>()
            .answers::<ProfileJson>(200),
        put("/api/v1/payees/{id}/tax-report", manage, file_tax)
            .says("File a tax report; the number is kept encrypted and answered masked")
            .takes::<TaxChange>()
            .answers::<TaxJson>(200),
        post("/api/v1/payees/{id}/tax-report/reveal", Access::May(Permission::Administer), reveal)
            .opened_by(Scope::Write)
            .says("Answer the whole tax number once, and keep who saw it and why")
            .takes::<Reason>()
            .answers::<Revealed>(200),
    ]
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PayoutProfileChange)]
#[schema(example = json!({"vendor": "paypal", "paypal_email": "ana@example.com"}))]
struct ProfileChange {
    #[schema(value_type = shapes::VendorName)]
    vendor: String,
    stripe_account: Option<String>,
    paypal_email: Option<String>,
}

/// A payout profile; the destination is masked.
#[derive(Serialize, ToSchema)]
#[schema(as = PayoutProfile)]
struct ProfileJson {
    payee: String,
    #[schema(value_type = shapes::VendorName)]
    vendor: String,
    destination: String,
    /// Whether the vendor would pay to it now.
    complete: bool,
    /// What the vendor still requires.
    not_payable_why: Option<String>,
    currencies: Option<Vec<String>>,
    changed_at: Option<String>,
    /// Whether another payee has the same destination and nobody has cleared it: both are on hold.
    shared: bool,
    /// A warning about the destination.
    warning: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TaxReportChange)]
#[schema(example = json!({"form": "w8ben", "name": "Ana Lima", "signed_on": "2026-03-02"}))]
struct TaxChange {
    #[schema(value_type = shapes::TaxForm)]
    form: String,
    #[schema(value_type = shapes::Day)]
    signed_on: String,
    tin: Option<String>,
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// Whether the certification was ticked; leave it out if you have the signed form.
    certified: Option<bool>,
}

/// A tax report; the number is masked.
#[derive(Serialize, ToSchema)]
#[schema(as = TaxReport)]
struct TaxJson {
    payee: String,
    #[schema(value_type = shapes::TaxForm)]
    form: String,
    name: String,
    signed_on: String,
    tin: Option<String>,
    expires_on: Option<String>,
}

async fn find(app: &App, id: &str) -> Result<Payee, Problem> {
    verbs::named(&mut app.store.read().await?, id).await?.ok_or_else(Problem::missing)
}

fn destination(change: &ProfileChange) -> Result<Destination, Refusal> {
    let missing = |field| Refusal::new("missing", "Name the destination for the chosen vendor.").at(field);
    match (Vendor::parse(&change.vendor), &change.stripe_account, &change.paypal_email) {
        (Some(Vendor::Stripe), Some(account), None) => Destination::stripe(account),
        (Some(Vendor::PayPal), None, Some(email)) => Destination::paypal(email),
        (Some(Vendor::Stripe), None, _) => Err(missing("stripe_account")),
        (Some(Vendor::PayPal), _, None) => Err(missing("paypal_email")),
        (Some(_), Some(_), Some(_)) => {
            let message = "Name one destination, that of the chosen vendor.";
            Err(Refusal::new("one_destination", message).at("vendor"))
        }
        (None, _, _) => {
            Err(Refusal::new("unknown_vendor", "The vendor must be stripe or paypal.").at("vendor"))
        }
    }
}

async fn set_profile(
    State(web): State<Web>,
    CurrentActor(actor): CurrentActor,
    Path(id): Path<String>,
    Json(change): Json<ProfileChange>,
) -> Result<axum::Json<ProfileJson>, Problem> {
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
        shared: profile.shared,
        warning: profile.destination.warning(),
    }
}

async fn file_tax(
    State(app): State<App>,
    CurrentActor(actor): CurrentActor,
    Path(id): Path<String>,
    Json(change): Json<TaxChange>,
) -> Result<axum::Json<TaxJson>, Problem> {
    let payee = find(&app, &id).await?;
    let TaxChange { form, signed_on, tin, name, certified } = change;
    let entry = TaxEntry { form, signed_on, tin, name, certified };
    Ok(axum::Json(tax_json(&tax::file(&app, &actor, payee, &entry).await?)))
}

fn tax_json(tax: &Filed) -> TaxJson {
    TaxJson {
        payee: tax.payee.to_string(),
        form: tax.form.as_str().to_owned(),
        name: tax.name.clone(),
        signed_on: tax.signed_on.clone(),
        tin: tax.masked_tin.clone(),
        // It is valid through the day before it ends.
        expires_on: tax.expires_at.map(|end| date(end - 1)),
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RevealReason)]
struct Reason {
    #[schema(value_type = shapes::ShortReason)]
    reason: String,
}

/// A payee, with everything that decides whether they can be paid.
#[derive(Serialize, ToSchema)]
struct PayeeView {
    #[serde(flatten)]
    payee: PayeeJson,
    country: Option<String>,
    /// `active`, `on_hold` or `closed`: their own standing or their company's, whichever is stricter.
    #[schema(value_type = shapes::PayeeStanding)]
    standing: &'static str,
    payout_profile: Option<ProfileJson>,
    tax_report: Option<TaxJson>,
    /// Why they cannot be paid now, regardless of the amount.
    blockers: Vec<BlockerJson>,
}

/// The changes of a payee's destination.
#[derive(Serialize, ToSchema)]
struct History {
    data: Vec<MovedJson>,
}

/// One change of a destination, masked.
#[derive(Serialize, ToSchema)]
#[schema(as = ProfileChangeRow)]
struct MovedJson {
    at: String,
    /// The person or API key that made the change.
    actor: Option<String>,
    /// The origin: address and browser of a page, an API key, the command line.
    came_from: Option<String>,
    old: Option<String>,
    new: String,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct YearQuery {
    /// The calendar year; defaults to the current one
    #[param(value_type = Option<shapes::Year>, inline)]
    year: Option<String>,
}

/// What a payee was paid in a calendar year (UTC).
#[derive(Serialize, ToSchema)]
#[schema(as = TaxYear)]
struct YearJson {
    payee: String,
    year: i32,
    totals: Vec<YearTotal>,
    /// What stayed with the payee, in US dollars only; nothing is converted.
    reportable: MoneyJson,
    /// The year's reporting threshold.
    threshold: MoneyJson,
    over_threshold: bool,
}

/// A year's payments through one vendor in one currency.
#[derive(Serialize, ToSchema)]
struct YearTotal {
    /// `stripe`, `paypal` or `outside`.
    vendor: &'static str,
    currency: String,
    /// What left us, dated by when it left.
    paid: MoneyJson,
    /// The part of `paid` that did not stay with the payee, dated by when it came back: the sum of the next three fields.
    returned: MoneyJson,
    /// The part of `returned` that came back to our balance at the vendor.
    returned_to_us: MoneyJson,
    /// The part of `returned` that is in the payee's balance at the vendor: our money, waiting for a decision.
    in_payees_balances: MoneyJson,
    /// The part of `returned` that two people wrote off in the payee's balance: lost.
    given_up: MoneyJson,
    net: MoneyJson,
    /// The part of `net` that is not yet at the payee's bank, as of now.
    to_bank: MoneyJson,
}

/// A full tax number. It is returned once and not stored.
#[derive(Serialize, ToSchema)]
struct Revealed {
    tin: String,
}

/// The payee, if the actor may see them.
async fn seen(db: &mut Db, actor: &Actor, id: &str) -> Result<Payee, Problem> {
    let own = match partners::visible(actor) {
        Visible::All => return verbs::named(db, id).await?.ok_or_else(Problem::missing),
        Visible::Of(partner) => payees::of_partner(db, partner, false).await?,
        Visible::CompanyOf(partner) => payees::of_partner(db, partner, true).await?,
    };
    // Partners must not learn who else has the same external id.
    let mut found = payees::named(db, id).await?;
    found.retain(|payee| own.contains(&payee.to_string()));
    verbs::one_of(id, found)?.ok_or_else(Problem::missing)
}

async fn show(
    State(app): State<App>,
    CurrentActor(actor): CurrentActor,
    Path(id): Path<String>,
) -> Result<axum::Json<PayeeView>, Problem> {
    let mut db = app.store.read().await?;
    let payee = seen(&mut db, &actor, &id).await?;
    let named = payees::names(&mut db, &[payee]).await?.remove(&payee);
    let facts = payees::facts(&mut db, &[payee]).await?.remove(&payee).ok_or_else(Problem::missing)?;
    let profile = payees::profile_of(&mut db, payee).await?;
    let blockers = verbs::blockers(&mut db, payee, app.clock.now()).await?;
    Ok(axum::Json(PayeeView {
        payee: PayeeJson::of(payee, named.as_ref()),
        country: facts.country,
        standing: facts.standing.as_str(),
        payout_profile: profile.as_ref().map(profile_json),
        tax_report: store::tax::of(&mut db, payee).await?.as_ref().map(tax_json),
        blockers: blockers_for(&actor, &blockers),
    }))
}

async fn history(
    State(app): State<App>,
    CurrentActor(actor): CurrentActor,
    Path(id): Path<String>,
) -> Result<axum::Json<History>, Problem> {
    let mut db = app.store.read().await?;
    let payee = seen(&mut db, &actor, &id).await?;
    let ours = matches!(partners::visible(&actor), Visible::All);
    let row = |moved: DestinationChange| MovedJson {
        at: rfc3339(moved.at),
        // Partners do not see our people's addresses.
        actor: Some(moved.actor).filter(|by| ours || *by == actor.id.to_string()),
        came_from: moved.came_from.filter(|_| ours),
        old: moved.old,
        new: moved.new,
    };
    let changes = payees::changes(&mut db, payee, 200).await?;
    Ok(axum::Json(History { data: changes.into_iter().map(row).collect() }))
}

async fn tax_year(
    State(app): State<App>,
    CurrentActor(actor): CurrentActor,
    Path(id): Path<String>,
    Query(wanted): Query<YearQuery>,
) -> Result<axum::Json<YearJson>, Problem> {
    let mut db = app.store.read().await?;
    let payee = seen(&mut db, &actor, &id).await?;
    let view =
        tax::year_view(&mut db, payee, tax::requested_year(wanted.year.as_deref(), app.clock.now())?).await?;
    let total = |total: &store::tax::Total| YearTotal {
        vendor: total.vendor.map_or("outside", Vendor::as_str),
        currency: total.paid.currency.code().to_owned(),
        paid: total.paid.into(),
        returned: total.back.total().into(),
        returned_to_us: total.back.to_us.into(),
        in_payees_balances: total.back.in_balances.into(),
        given_up: total.back.given_up.into(),
        net: total.net().into(),
        to_bank: total.to_bank.into(),
    };
    Ok(axum::Json(YearJson {
        payee: payee.to_string(),
        year: view.year,
        totals: view.totals.iter().map(total).collect(),
        reportable: view.reportable.into(),
        threshold: view.line.into(),
        over_threshold: view.over(),
    }))
}

async fn clear_shared(
    State(app): State<App>,
    CurrentActor(actor): CurrentActor,
    Path(id): Path<String>,
    Json(why): Json<Reason>,
) -> Result<axum::Json<ProfileJson>, Problem> {
    let payee = find(&app, &id).await?;
    Ok(axum::Json(profile_json(&verbs::clear_shared(&app, &actor, payee, &why.reason).await?)))
}

async fn reveal(
    State(app): State<App>,
    CurrentActor(actor): CurrentActor,
    Path(id): Path<String>,
    Json(why): Json<Reason>,
) -> Result<(Extension<NotKept>, axum::Json<Revealed>), Problem> {
    let payee = find(&app, &id).await?;
    let tin = tax::reveal(&app, &actor, payee, &why.reason).await?;
    Ok((Extension(NotKept), axum::Json(Revealed { tin })))
}
