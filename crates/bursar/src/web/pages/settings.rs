//! Payout Settings: the switches, and the vendors' connections. A connection is proved at the vendor before it is saved;
//! what is refused comes back in the vendor's words and leaves the rest as it was. Secrets go in and never come out.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use payout::Refusal;
use payout::access::Permission;
use payout::money::Vendor;

use super::frame::{Frame, Place, Told, Visit};
use super::words::{Cash, When, count, when};
use crate::ops::OpsError;
use crate::ops::settings::{self, Amount, Document};
use crate::store;
use crate::store::vendors::Connection;
use crate::web::fault::Fault;
use crate::web::form::Form;
use crate::web::{Need, Route, Web, get, post};
use crate::work::{ask, connect};

/// The rows of the route table.
#[must_use]
pub fn routes() -> Vec<Route> {
    let administers = Need::May(Permission::Administer);
    vec![
        get("/settings/payouts", Need::May(Permission::Read), show),
        post("/settings/payouts", administers, save),
        post("/settings/vendors/stripe", administers, stripe),
        post("/settings/vendors/paypal", administers, paypal),
    ]
}

const PAGE: &str = "/settings/payouts";

/// A vendor's connection as it is shown.
struct Joined {
    mode: String,
    last_four: String,
    since: When,
    rejected: Option<(When, String)>,
    last_event: Option<When>,
    bad_signatures: String,
}

impl Joined {
    fn of(connection: &Connection) -> Self {
        Self {
            mode: connection.mode.clone(),
            last_four: connection.last_four.clone(),
            since: When(connection.connected_at),
            rejected: when(connection.rejected_at)
                .map(|at| (at, connection.rejected_why.clone().unwrap_or_default())),
            last_event: when(connection.last_event_at),
            bad_signatures: count(connection.bad_signatures),
        }
    }
}

#[derive(Template)]
#[template(path = "settings.html")]
struct SettingsPage {
    frame: Frame,
    document: Document,
    thresholds: String,
    version: i64,
    wrong: Option<String>,
    stripe: Option<Joined>,
    paypal: Option<Joined>,
    balances: Vec<Cash>,
    base_url: String,
    may: bool,
}

impl SettingsPage {
    fn has(&self, vendor: &str) -> bool {
        self.document.vendors.iter().any(|known| known == vendor)
    }
}

async fn show(State(web): State<Web>, visit: Visit) -> Result<Response, Fault> {
    let (document, version) = settings::read(&mut web.app.store.read().await?).await?;
    page(&web, &visit, document, version, None).await
}

async fn page(
    web: &Web,
    visit: &Visit,
    document: Document,
    version: i64,
    wrong: Option<String>,
) -> Result<Response, Fault> {
    let all = store::vendors::all(&mut web.app.store.read().await?).await?;
    let joined = |vendor| all.iter().find(|one| one.vendor == vendor).map(Joined::of);
    let balances = match joined(Vendor::Stripe) {
        Some(_) => tokio::time::timeout(std::time::Duration::from_secs(2), ask::balances(&web.work)).await,
        None => Ok(crate::ops::pay::Balances::default()),
    };
    let amounts = document.earning_thresholds.iter().map(|one| format!("{} {}", one.value, one.currency));
    let page = SettingsPage {
        frame: visit.frame("Payout Settings", Place::PayoutSettings),
        thresholds: amounts.collect::<Vec<_>>().join("\n"),
        stripe: joined(Vendor::Stripe),
        paypal: joined(Vendor::PayPal),
        balances: balances.unwrap_or_default().0.into_iter().map(|(_, money)| Cash(money)).collect(),
        base_url: web.app.base_url.clone(),
        may: visit.may(Permission::Administer),
        document,
        version,
        wrong,
    };
    let status = if page.wrong.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    Ok((status, visit.show(&page)?).into_response())
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Typed {
    enabled: Option<String>,
    #[serde(default)]
    vendor: Vec<String>,
    us_tax_tracking: Option<String>,
    two_person_release: Option<String>,
    fees_paid_by: Option<String>,
    cooling_off_hours: Option<String>,
    thresholds: Option<String>,
    version: Option<i64>,
}

impl Typed {
    fn over(&self, before: Document) -> Result<Document, Refusal> {
        let hours = self.cooling_off_hours.as_deref().unwrap_or("0").trim().parse();
        let hours = hours.map_err(|_| {
            Refusal::new("invalid", "Write the cooling-off in whole hours.").at("cooling_off_hours")
        })?;
        let lines = self.thresholds.as_deref().unwrap_or("").lines().map(str::trim);
        let amounts = lines.filter(|line| !line.is_empty()).map(|line| {
            let told = "Write one threshold on a line, like 50.00 USD.";
            let (value, currency) =
                line.split_once(' ').ok_or_else(|| Refusal::new("invalid", told).at("earning_thresholds"))?;
            Ok(Amount { value: value.to_owned(), currency: currency.trim().to_owned() })
        });
        Ok(Document {
            enabled: self.enabled.is_some(),
            vendors: self.vendor.clone(),
            us_tax_tracking: self.us_tax_tracking.is_some(),
            two_person_release: self.two_person_release.is_some(),
            fees_paid_by: self.fees_paid_by.clone().unwrap_or(before.fees_paid_by),
            cooling_off_hours: hours,
            earning_thresholds: amounts.collect::<Result<_, Refusal>>()?,
            ..before
        })
    }
}

async fn save(State(web): State<Web>, visit: Visit, Form(typed): Form<Typed>) -> Result<Response, Fault> {
    let saved = settings::save(&web.app, &visit.actor, typed.version, |before| typed.over(before)).await;
    match saved {
        Ok(_) => Ok(Told::good("The payout settings are saved.").on(PAGE)),
        Err(OpsError::Refused(refusal)) => {
            // What was typed stays on the page as far as it can be read, beside what is wrong with it.
            let (before, version) = settings::read(&mut web.app.store.read().await?).await?;
            let document = typed.over(before.clone()).unwrap_or(before);
            let wrong = format!("{}. Nothing was saved.", refusal.sentence.trim_end_matches('.'));
            page(&web, &visit, document, version, Some(wrong)).await
        }
        Err(error) => Ok(Told::refused(error)?.on(PAGE)),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StripeKey {
    secret_key: Option<String>,
    mode: Option<String>,
}

async fn stripe(
    State(web): State<Web>,
    visit: Visit,
    Form(sent): Form<StripeKey>,
) -> Result<Response, Fault> {
    let mode = if sent.mode.as_deref() == Some("live") { "live" } else { "test" };
    let key = sent.secret_key.unwrap_or_default();
    let told = match connect::stripe(&web.work, &visit.actor, key.trim(), mode).await {
        Ok(()) => Told::good("Stripe is connected: the key is good and its webhooks are registered."),
        Err(error) => Told::refused(error)?,
    };
    Ok(told.on(PAGE))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PayPalKey {
    client_id: Option<String>,
    client_secret: Option<String>,
    mode: Option<String>,
}

async fn paypal(
    State(web): State<Web>,
    visit: Visit,
    Form(sent): Form<PayPalKey>,
) -> Result<Response, Fault> {
    let mode = if sent.mode.as_deref() == Some("live") { "live" } else { "sandbox" };
    let (id, secret) = (sent.client_id.unwrap_or_default(), sent.client_secret.unwrap_or_default());
    let told = match connect::paypal(&web.work, &visit.actor, id.trim(), secret.trim(), mode).await {
        Ok(()) => Told::good("PayPal is connected: the credentials are good and the webhook is registered."),
        Err(error) => Told::refused(error)?,
    };
    Ok(told.on(PAGE))
}
