//! Saving the vendors' connections on Payout Settings, after the vendor has accepted the credentials. A refusal is shown in
//! the vendor's words and changes nothing. Secrets are write-only.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use payout::access::Permission;
use payout::money::Vendor;

use super::connected::Refused;
use super::payout::{PAGE, page_after};
use crate::ops::OpsError;
use crate::web::kit::form::Form;
use crate::web::kit::layout::{Flash, PageContext};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, Web, post};
use crate::web::kit::session::{SignedIn, is_fresh, prove_first};
use crate::work::connect;

pub fn routes() -> Vec<Route> {
    let administers = Access::May(Permission::Administer);
    vec![
        post("/settings/vendors/stripe", administers, stripe),
        post("/settings/vendors/paypal", administers, paypal),
    ]
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StripeKey {
    secret_key: Option<String>,
    mode: Option<String>,
}

async fn stripe(
    State(web): State<Web>,
    SignedIn(session): SignedIn,
    context: PageContext,
    Form(sent): Form<StripeKey>,
) -> Result<Response, Problem> {
    // Credentials are not carried through the step-up page; they must be entered again afterwards.
    if !is_fresh(&session, web.app.clock.now()) {
        return Ok(prove_first(PAGE));
    }
    let mode = if sent.mode.as_deref() == Some("live") { "live" } else { "test" };
    let key = sent.secret_key.unwrap_or_default();
    let done = connect::stripe(&web.work, &context.actor, key.trim(), mode).await;
    let good = "Stripe is connected: the key is good and its webhooks are registered.";
    said(&web, &context, done, good, (Vendor::Stripe, mode, String::new())).await
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
    SignedIn(session): SignedIn,
    context: PageContext,
    Form(sent): Form<PayPalKey>,
) -> Result<Response, Problem> {
    // Credentials are not carried through the step-up page; they must be entered again afterwards.
    if !is_fresh(&session, web.app.clock.now()) {
        return Ok(prove_first(PAGE));
    }
    let mode = if sent.mode.as_deref() == Some("live") { "live" } else { "sandbox" };
    let (id, secret) = (sent.client_id.unwrap_or_default(), sent.client_secret.unwrap_or_default());
    let done = connect::paypal(&web.work, &context.actor, id.trim(), secret.trim(), mode).await;
    let good = "PayPal is connected: the credentials are good and the webhook is registered.";
    said(&web, &context, done, good, (Vendor::PayPal, mode, id)).await
}

/// Redirects to the page if saved; otherwise shows it again with the vendor's message and the input.
async fn said(
    web: &Web,
    context: &PageContext,
    done: crate::ops::Result<()>,
    good: &str,
    (vendor, mode, client_id): (Vendor, &str, String),
) -> Result<Response, Problem> {
    match done {
        Ok(()) => {
            let place = vendor.as_str();
            Ok(Flash::good(good).within(place).on(&format!("{PAGE}#{place}")))
        }
        Err(OpsError::Refused(refusal) | OpsError::Conflict(refusal) | OpsError::Unreachable(refusal)) => {
            let refused = Refused { vendor, sentence: refusal.sentence, mode: mode.to_owned(), client_id };
            page_after(web, context, refused).await
        }
        Err(error) => Err(error.into()),
    }
}
