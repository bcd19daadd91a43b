//! `/settings/vendors/…`: connecting Stripe and PayPal. Secrets are write-only.

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use payout::Refusal;
use payout::access::Permission;
use payout::money::Vendor;
use payout::scope::Scope;

use crate::app::App;
use crate::clock::rfc3339;
use crate::ops::vendors as connections;
use crate::store::{self, vendors::Connection};
use crate::web::kit::extract::Json;
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, Web, delete, get, put};
use crate::web::kit::session::CurrentActor;
use crate::web::kit::shapes;
use crate::work::{Work, connect};

pub fn routes() -> Vec<Route> {
    let administer = Access::May(Permission::Administer);
    vec![
        get("/api/v1/settings/vendors", Access::May(Permission::Read), list)
            .says("The vendors' connections, secrets masked")
            .answers::<Vec<ConnectionJson>>(200),
        put("/api/v1/settings/vendors/stripe", administer, stripe)
            .asks_vendor()
            .opened_by(Scope::Write)
            .says("Connect Stripe: the key is proved and the webhooks registered before it is saved")
            .takes::<StripeJson>()
            .answers::<ConnectionJson>(200),
        put("/api/v1/settings/vendors/paypal", administer, paypal)
            .asks_vendor()
            .opened_by(Scope::Write)
            .says(
                "Connect PayPal: the credentials are proved and the webhook registered before they are saved",
            )
            .takes::<PayPalJson>()
            .answers::<ConnectionJson>(200),
        delete("/api/v1/settings/vendors/stripe", administer, remove_stripe)
            .opened_by(Scope::Write)
            .says(
                "Take the connection to Stripe away; refused while a payment through it is not over for good",
            )
            .answers_nothing(204),
        delete("/api/v1/settings/vendors/paypal", administer, remove_paypal)
            .opened_by(Scope::Write)
            .says(
                "Take the connection to PayPal away; refused while a payment through it is not over for good",
            )
            .answers_nothing(204),
    ]
}

/// The account modes of each vendor.
const STRIPE_MODES: [&str; 2] = ["live", "test"];
const PAYPAL_MODES: [&str; 2] = ["live", "sandbox"];

shapes::shapes! {
    StripeMode, "In test mode no money moves." => shapes::one_of(STRIPE_MODES);
    PayPalMode, "In the sandbox no money moves." => shapes::one_of(PAYPAL_MODES);
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ConnectStripe)]
struct StripeJson {
    #[schema(min_length = 1)]
    secret_key: String,
    #[schema(value_type = StripeMode)]
    mode: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ConnectPayPal)]
struct PayPalJson {
    #[schema(min_length = 1)]
    client_id: String,
    #[schema(min_length = 1)]
    client_secret: String,
    #[schema(value_type = PayPalMode)]
    mode: String,
}

/// A vendor connection, without its secrets.
#[derive(Serialize, ToSchema)]
#[schema(as = VendorConnection)]
struct ConnectionJson {
    #[schema(value_type = shapes::VendorName)]
    vendor: String,
    mode: String,
    /// The vendor's own ID of the account that the credentials belong to: `acct_…` at Stripe, the application's client ID at
    /// PayPal. Null until it has been read.
    account: Option<String>,
    /// The last four characters of the credential.
    last_four: String,
    connected_at: String,
    /// When the vendor first rejected the credentials. Payments through it are paused.
    rejected_at: Option<String>,
    rejected_why: Option<String>,
    last_event_at: Option<String>,
    signature_failures: i64,
    /// How many seconds our clock is ahead of the vendor's; negative if behind. If the difference exceeds 60, a look-up never
    /// concludes that a request did not reach the vendor.
    clock_skew_seconds: Option<i64>,
    /// The number of correctly signed events that could not be parsed. They are stored and have no effect.
    unreadable_events: i64,
}

fn json(connection: &Connection, work: &Work) -> ConnectionJson {
    ConnectionJson {
        vendor: connection.vendor.as_str().to_owned(),
        mode: connection.mode.clone(),
        account: connection.account.as_ref().map(|account| {
            account.rsplit_once('/').map_or(account.as_str(), |(account, _)| account).to_owned()
        }),
        last_four: connection.last_four.clone(),
        connected_at: rfc3339(connection.connected_at),
        rejected_at: connection.rejected_at.map(rfc3339),
        rejected_why: connection.rejected_why.clone(),
        last_event_at: connection.last_event_at.map(rfc3339),
        signature_failures: connection.bad_signatures,
        clock_skew_seconds: work.clients.skew().of(connection.vendor.as_str()).map(|us| us / 1_000_000),
        unreadable_events: connection.unreadable_events,
    }
}

async fn list(State(web): State<Web>) -> Result<axum::Json<Vec<ConnectionJson>>, Problem> {
    let all = store::vendors::all(&mut web.app.store.read().await?).await?;
    Ok(axum::Json(all.iter().map(|one| json(one, &web.work)).collect()))
}

fn one_of(mode: &str, known: &[&str]) -> Result<(), Refusal> {
    if known.contains(&mode) {
        return Ok(());
    }
    Err(Refusal::new("unknown_mode", format!("The mode is {}.", known.join(" or "))).at("mode"))
}

async fn stripe(
    State(web): State<Web>,
    CurrentActor(actor): CurrentActor,
    Json(sent): Json<StripeJson>,
) -> Result<axum::Json<ConnectionJson>, Problem> {
    one_of(&sent.mode, &STRIPE_MODES)?;
    connect::stripe(&web.work, &actor, &sent.secret_key, &sent.mode).await?;
    saved(&web, Vendor::Stripe).await
}

async fn paypal(
    State(web): State<Web>,
    CurrentActor(actor): CurrentActor,
    Json(sent): Json<PayPalJson>,
) -> Result<axum::Json<ConnectionJson>, Problem> {
    one_of(&sent.mode, &PAYPAL_MODES)?;
    connect::paypal(&web.work, &actor, &sent.client_id, &sent.client_secret, &sent.mode).await?;
    saved(&web, Vendor::PayPal).await
}

async fn remove_stripe(
    State(app): State<App>,
    CurrentActor(actor): CurrentActor,
) -> Result<StatusCode, Problem> {
    connections::remove(&app, &actor, Vendor::Stripe).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn remove_paypal(
    State(app): State<App>,
    CurrentActor(actor): CurrentActor,
) -> Result<StatusCode, Problem> {
    connections::remove(&app, &actor, Vendor::PayPal).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn saved(web: &Web, vendor: Vendor) -> Result<axum::Json<ConnectionJson>, Problem> {
    let all = store::vendors::all(&mut web.app.store.read().await?).await?;
    let connection = all.iter().find(|connection| connection.vendor == vendor);
    connection.map(|connection| axum::Json(json(connection, &web.work))).ok_or_else(Problem::missing)
}
