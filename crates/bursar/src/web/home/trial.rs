//! Prepares a test payout while a vendor is in test mode: a partner, an activity and a small approved reward. The user adds
//! it to a payout and presses Pay. Never changes the company's own records that use these IDs.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use payout::Refusal;
use payout::access::Permission;
use payout::ledger::Payee;
use payout::money::Vendor;
use payout::payee::Destination;

use crate::app::{Actor, App};
use crate::clock::date;
use crate::ops::import::Report;
use crate::ops::rewards::{RewardSelection, Verdict, decide_many};
use crate::ops::{OpsError, company, import};
use crate::store::programs::{self, RecordRef};
use crate::store::rewards;
use crate::store::vendors::{self, Connection};
use crate::web::kit::form::Form;
use crate::web::kit::layout::{Flash, PageContext};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, Web, post};
use crate::work::connect;

/// The rows of the route table.
pub fn routes() -> Vec<Route> {
    vec![
        post("/home/test-payout", Access::May(Permission::Administer), begin)
            .step_up("Prepare a test payout"),
    ]
}

const ACCOUNTS: &str = "external_id,name\ntest-account,Test account\n";
const PARTNERS: &str =
    "external_id,account,name,email\ntest-partner,test-account,Test partner,test-partner@example.com\n";
const ACTIVITIES: &str =
    "external_id,program,program_type,name\ntest-activity,Test program,cash,Test activity\n";

/// How long a test reward can be paid, so that it is not paid if the vendor goes live later.
const LASTS_US: i64 = 7 * 86_400_000_000;

/// Whether the vendor is connected in test mode, where no real money moves.
pub fn is_test(connection: &Connection) -> bool {
    connection.mode != "live" && connection.rejected_at.is_none()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent {
    /// A PayPal address, or the ID of a Stripe account.
    #[serde(default)]
    address: String,
}

async fn begin(
    State(web): State<Web>,
    context: PageContext,
    Form(sent): Form<Sent>,
) -> Result<Response, Problem> {
    match prepare(&web, &context.actor, sent.address.trim()).await {
        Ok((number, expires)) => {
            let message = format!(
                "{number} is a test reward, approved for “Test partner”; it expires after {expires}. Add it to a \
                 payout here, then press Pay: the vendor is in test mode, so no real money moves. If something still \
                 stops it, such as the cooling-off of a changed address, this page says so."
            );
            Ok(Flash::good(message).on("/claims"))
        }
        Err(error) => Ok(Flash::refused(error)?.on("/")),
    }
}

/// Creates what a test payout needs, reusing records of an earlier one. Returns the reward's number and the last day on which
/// it can be paid.
async fn prepare(web: &Web, actor: &Actor, address: &str) -> crate::ops::Result<(String, String)> {
    let app = &web.app;
    let vendor = if address.starts_with("acct_") { Vendor::Stripe } else { Vendor::PayPal };
    let destination = Destination::at(vendor, address).map_err(OpsError::Refused)?;
    let mut db = app.store.read().await?;
    let connected = vendors::all(&mut db).await?.into_iter().find(|one| one.vendor == vendor);
    if !connected.as_ref().is_some_and(is_test) {
        let message =
            format!("{} is not connected in test mode, so nothing can be tried out there.", vendor.label());
        return Err(OpsError::Refused(Refusal::new("vendor_not_connected", message).at("address")));
    }
    let currency = company::read(&mut db).await?.currency;
    drop(db);
    let payee = ensure_records(app, actor).await?;
    connect::set_profile(&web.work, actor, payee, destination).await?;
    create_reward(app, actor, if currency.is_empty() { "USD" } else { &currency }).await
}

/// Creates the account, partner and activity if they are missing, and returns the partner. If another record already uses one
/// of these IDs, changes and creates nothing.
async fn ensure_records(app: &App, actor: &Actor) -> crate::ops::Result<Payee> {
    let mut db = app.store.read().await?;
    let account = programs::account(&mut db, RecordRef::External("test-account")).await?;
    let partner = programs::partner(&mut db, RecordRef::External("test-partner")).await?;
    let activity = programs::activity(&mut db, RecordRef::External("test-activity")).await?;
    drop(db);
    let taken = [
        ("test-account", account.as_ref().is_some_and(|it| it.name != "Test account")),
        (
            "test-partner",
            partner
                .as_ref()
                .is_some_and(|it| it.email != "test-partner@example.com" || it.account.1 != "test-account"),
        ),
        ("test-activity", activity.as_ref().is_some_and(|it| it.name != "Test activity")),
    ];
    if let Some((id, _)) = taken.into_iter().find(|(_, taken)| *taken) {
        let message = format!(
            "Something of yours has the id “{id}”, which a test payout needs for itself. It was left as it is, \
             and nothing was entered."
        );
        return Err(OpsError::Refused(Refusal::new("external_id_conflict", message)));
    }
    if account.is_none() {
        complete(&import::accounts(app, actor, ACCOUNTS.as_bytes(), false, None).await?.0)?;
    }
    if partner.is_none() {
        complete(&import::partners(app, actor, PARTNERS.as_bytes(), false, None).await?.0)?;
    }
    if activity.is_none() {
        complete(&import::activities(app, actor, ACTIVITIES.as_bytes(), false, None).await?)?;
    }
    let partner =
        programs::partner(&mut app.store.read().await?, RecordRef::External("test-partner")).await?;
    Ok(Payee::Partner(partner.ok_or(OpsError::Missing)?.id))
}

/// Fails with the reason of the first rejected row.
fn complete(report: &Report) -> crate::ops::Result<()> {
    match report.rejected.first() {
        None => Ok(()),
        Some(row) => Err(OpsError::Refused(Refusal::new(row.code, row.detail.clone()))),
    }
}

/// Creates and approves a small reward. Returns its number and the last day on which it can be paid.
async fn create_reward(app: &App, actor: &Actor, currency: &str) -> crate::ops::Result<(String, String)> {
    let chance = payout::ids::encode(app.clock.random());
    let id = format!("test-{}", chance.get(16..).unwrap_or(&chance));
    let expires = date(app.clock.now() + LASTS_US);
    let file = format!(
        "external_id,activity,owner,value,currency,expires_on\n{id},test-activity,test-partner,5,{currency},{expires}\n"
    );
    complete(&import::rewards(app, actor, file.as_bytes(), false, None).await?)?;
    let found = rewards::find(&mut app.store.read().await?, &id).await?;
    let entered = found.ok_or(OpsError::Missing)?.entered;
    let number = format!("RW-{:06}", entered.number);
    let done =
        decide_many(app, actor, &RewardSelection::Ids(vec![entered.id]), &Verdict::Approve, None).await?;
    if done.done.is_empty() {
        let message =
            format!("{number} was entered as a test reward, but is not approved. Open it to see why.");
        return Err(OpsError::Refused(Refusal::new("reward_not_approved", message)));
    }
    Ok((number, expires))
}
