//! A payout to try things out: a partner, an activity and a small approved reward of their own, while a vendor is in test mode
//! and no real money moves. What is left to do is what everybody does: add it under Review Claims, and press Pay. What is
//! deliberately not here: paying.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use payout::Refusal;
use payout::access::Permission;
use payout::money::Vendor;
use payout::payee::Destination;

use crate::app::{Actor, App};
use crate::ops::rewards::{Verdict, Which, decide_many};
use crate::ops::{OpsError, company, import, payees};
use crate::store::rewards;
use crate::store::vendors::{self, Connection};
use crate::web::kit::form::Form;
use crate::web::kit::layout::{Told, Visit};
use crate::web::kit::problem::Fault;
use crate::web::kit::route::{Need, Route, Web, post};
use crate::work::connect;

/// The rows of the route table.
pub fn routes() -> Vec<Route> {
    vec![post("/home/test-payout", Need::May(Permission::Administer), begin).proved("Prepare a test payout")]
}

const ACCOUNTS: &str = "external_id,name\ntest-account,Test account\n";
const PARTNERS: &str =
    "external_id,account,name,email\ntest-partner,test-account,Test partner,test-partner@example.com\n";
const ACTIVITIES: &str =
    "external_id,program,program_type,name\ntest-activity,Test program,cash,Test activity\n";

/// Whether a payment could be tried out: what a vendor does in this mode moves no real money.
pub fn is_test(connection: &Connection) -> bool {
    connection.mode != "live" && connection.rejected_at.is_none()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent {
    /// A PayPal address, or the id of a Stripe account.
    #[serde(default)]
    address: String,
}

async fn begin(State(web): State<Web>, visit: Visit, Form(sent): Form<Sent>) -> Result<Response, Fault> {
    match prepare(&web, &visit.actor, sent.address.trim()).await {
        Ok(number) => {
            let told = format!(
                "{number} is a test reward, approved for “Test partner”. Add it to a payout here, then press Pay: the vendor is in test mode, so no real money moves."
            );
            Ok(Told::good(told).on("/claims"))
        }
        Err(error) => Ok(Told::refused(error)?.on("/")),
    }
}

/// Enters what a test payout needs, and answers the number of its reward. What is there of an earlier one is used again.
async fn prepare(web: &Web, actor: &Actor, address: &str) -> crate::ops::Result<String> {
    let app = &web.app;
    let vendor = if address.starts_with("acct_") { Vendor::Stripe } else { Vendor::PayPal };
    let destination = Destination::at(vendor, address).map_err(OpsError::Refused)?;
    let mut db = app.store.read().await?;
    let connected = vendors::all(&mut db).await?.into_iter().find(|one| one.vendor == vendor);
    if !connected.as_ref().is_some_and(is_test) {
        let told =
            format!("{} is not connected in test mode, so nothing can be tried out there.", vendor.label());
        return Err(OpsError::Refused(Refusal::new("vendor_not_connected", told).at("address")));
    }
    let mostly = company::read(&mut db).await?.currency;
    drop(db);
    import::accounts(app, actor, ACCOUNTS.as_bytes(), false, None).await?;
    import::partners(app, actor, PARTNERS.as_bytes(), false, None).await?;
    import::activities(app, actor, ACTIVITIES.as_bytes(), false, None).await?;
    let payee = payees::named(&mut app.store.read().await?, "test-partner").await?;
    connect::set_profile(&web.work, actor, payee.ok_or(OpsError::Missing)?, destination).await?;
    approved(app, actor, if mostly.is_empty() { "USD" } else { &mostly }).await
}

/// A small reward, entered and approved.
async fn approved(app: &App, actor: &Actor, currency: &str) -> crate::ops::Result<String> {
    let chance = payout::ids::encode(app.clock.chance());
    let id = format!("test-{}", chance.get(16..).unwrap_or(&chance));
    let file =
        format!("external_id,activity,owner,value,currency\n{id},test-activity,test-partner,5,{currency}\n");
    import::rewards(app, actor, file.as_bytes(), false, None).await?;
    let found = rewards::find(&mut app.store.read().await?, &id).await?;
    let entered = found.ok_or(OpsError::Missing)?.entered;
    decide_many(app, actor, &Which::Ids(vec![entered.id]), &Verdict::Approve, None).await?;
    Ok(format!("RW-{:06}", entered.number))
}
