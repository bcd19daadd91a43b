//! The vendors' connections on Payout Settings: proved at the vendor before they are saved, and how they stand. A refusal
//! comes back in the vendor's words and leaves the rest as it was. Secrets go in and never come out.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use payout::access::Permission;
use payout::money::Vendor;

use super::frame::{Told, Visit};
use super::settings::{PAGE, page_after};
use super::words::{Cash, Chip, When, count, when};
use crate::ops::OpsError;
use crate::ops::vendors::NOT_OURS;
use crate::store::vendors::Connection;
use crate::store::{self};
use crate::web::fault::Fault;
use crate::web::form::Form;
use crate::web::session::{SignedIn, is_fresh, prove_first};
use crate::web::{Need, Route, Web, post};
use crate::work::{ask, connect};

/// The rows of the route table.
#[must_use]
pub fn routes() -> Vec<Route> {
    let administers = Need::May(Permission::Administer);
    vec![
        post("/settings/vendors/stripe", administers, stripe),
        post("/settings/vendors/paypal", administers, paypal),
    ]
}

/// How long the page waits for a vendor before it says that it could not be asked.
const WAIT: Duration = Duration::from_secs(2);
/// How many payees that must connect again are named.
const NAMED: i64 = 20;

/// What a vendor refused, and what of the form may stand on the page again: never a secret.
pub(super) struct Refused {
    vendor: Vendor,
    sentence: String,
    mode: String,
    client_id: String,
}

/// An address that the vendor delivers to, as it has it.
pub(super) struct HookRow {
    pub address: String,
    pub chip: Chip,
    pub told: String,
    pub missing: Vec<&'static str>,
    /// Every event that it must send.
    pub needed: &'static [&'static str],
}

/// A vendor with its connection, if it has one.
pub(super) struct Connected {
    pub key: &'static str,
    pub label: &'static str,
    pub joined: Option<Joined>,
    pub wrong: Option<String>,
    /// What the form holds: the mode, and PayPal's client id.
    pub live: bool,
    pub client_id: String,
}

/// A vendor's connection as it is shown.
pub(super) struct Joined {
    pub mode: Chip,
    pub last_four: String,
    pub since: When,
    pub rejected: Option<(When, String)>,
    pub last_event: Option<When>,
    pub bad_signatures: String,
    /// How many events were signed and could not be read.
    pub unreadable_events: String,
    pub balances: Option<Vec<Cash>>,
    /// `None` when the vendor could not be asked.
    pub hooks: Option<Vec<HookRow>>,
    /// Whoever must connect again: address of their page and their name.
    pub again: Vec<(String, String)>,
}

/// Both vendors, as they are now.
///
/// # Errors
/// When the database does not answer.
pub(super) async fn all(web: &Web, refused: Option<Refused>) -> Result<Vec<Connected>, Fault> {
    let known = store::vendors::all(&mut web.app.store.read().await?).await?;
    let mut rows = Vec::new();
    for vendor in [Vendor::Stripe, Vendor::PayPal] {
        let connection = known.iter().find(|one| one.vendor == vendor);
        let joined = match connection {
            Some(connection) => Some(joined(web, connection).await?),
            None => None,
        };
        let refused = refused.as_ref().filter(|refused| refused.vendor == vendor);
        let mode = refused.map(|refused| refused.mode.as_str());
        let mode = mode.or(connection.map(|connection| connection.mode.as_str()));
        rows.push(Connected {
            key: vendor.as_str(),
            label: match vendor {
                Vendor::Stripe => "Stripe Connect",
                Vendor::PayPal => "PayPal Payouts",
            },
            joined,
            wrong: refused.map(|refused| refused.sentence.clone()),
            live: mode == Some("live"),
            client_id: refused.map(|refused| refused.client_id.clone()).unwrap_or_default(),
        });
    }
    Ok(rows)
}

async fn joined(web: &Web, connection: &Connection) -> Result<Joined, Fault> {
    let vendor = connection.vendor;
    let asking = tokio::time::timeout(WAIT, ask::hooks(&web.work, vendor));
    let (hooks, balances) = match vendor {
        Vendor::Stripe => {
            let balances = tokio::time::timeout(WAIT, ask::balances(&web.work));
            let (hooks, balances) = tokio::join!(asking, balances);
            (hooks, balances.unwrap_or_default().told)
        }
        Vendor::PayPal => (asking.await, Vec::new()),
    };
    let mut db = web.app.store.read().await?;
    let again = store::vendors::payees_stopped(&mut db, vendor, NOT_OURS, NAMED).await?;
    let page = |(kind, id, name): (&str, String, String)| (format!("/{kind}s/{id}"), name);
    Ok(Joined {
        mode: match connection.mode.as_str() {
            "live" => Chip { tone: "good", words: "Live" },
            "sandbox" => Chip { tone: "warn", words: "Sandbox, no real money" },
            _ => Chip { tone: "warn", words: "Test, no real money" },
        },
        last_four: connection.last_four.clone(),
        since: When(connection.connected_at),
        rejected: when(connection.rejected_at)
            .map(|at| (at, connection.rejected_why.clone().unwrap_or_default())),
        last_event: when(connection.last_event_at),
        bad_signatures: count(connection.bad_signatures),
        unreadable_events: count(connection.unreadable_events),
        balances: (vendor == Vendor::Stripe)
            .then(|| balances.into_iter().map(|(_, money)| Cash(money)).collect()),
        hooks: hooks.ok().flatten().map(|hooks| hooks.into_iter().map(hook).collect()),
        again: again.into_iter().map(page).collect(),
    })
}

fn hook(hook: ask::Hook) -> HookRow {
    let (needed, missing) = (hook.needed.len(), hook.missing.len());
    let chip = match (hook.works, missing) {
        (true, 0) => Chip { tone: "good", words: "Registered" },
        (true, _) => Chip { tone: "warn", words: "Events missing" },
        (false, _) => Chip { tone: "bad", words: "Not registered, or disabled" },
    };
    let told = format!("{} of {needed} needed events enabled", needed - missing);
    HookRow { address: hook.address, chip, told, missing: hook.missing, needed: hook.needed }
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
    visit: Visit,
    Form(sent): Form<StripeKey>,
) -> Result<Response, Fault> {
    // Credentials do not travel through the page of the proof: whoever comes back from it types them once more.
    if !is_fresh(&session, web.app.clock.now()) {
        return Ok(prove_first(PAGE));
    }
    let mode = if sent.mode.as_deref() == Some("live") { "live" } else { "test" };
    let key = sent.secret_key.unwrap_or_default();
    let done = connect::stripe(&web.work, &visit.actor, key.trim(), mode).await;
    let good = "Stripe is connected: the key is good and its webhooks are registered.";
    said(&web, &visit, done, good, (Vendor::Stripe, mode, String::new())).await
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
    visit: Visit,
    Form(sent): Form<PayPalKey>,
) -> Result<Response, Fault> {
    // Credentials do not travel through the page of the proof: whoever comes back from it types them once more.
    if !is_fresh(&session, web.app.clock.now()) {
        return Ok(prove_first(PAGE));
    }
    let mode = if sent.mode.as_deref() == Some("live") { "live" } else { "sandbox" };
    let (id, secret) = (sent.client_id.unwrap_or_default(), sent.client_secret.unwrap_or_default());
    let done = connect::paypal(&web.work, &visit.actor, id.trim(), secret.trim(), mode).await;
    let good = "PayPal is connected: the credentials are good and the webhook is registered.";
    said(&web, &visit, done, good, (Vendor::PayPal, mode, id)).await
}

/// Goes back to the page when it was saved; else shows it again with the vendor's words and what was typed.
async fn said(
    web: &Web,
    visit: &Visit,
    done: crate::ops::Result<()>,
    good: &str,
    (vendor, mode, client_id): (Vendor, &str, String),
) -> Result<Response, Fault> {
    match done {
        Ok(()) => {
            let place = vendor.as_str();
            Ok(Told::good(good).within(place).on(&format!("{PAGE}#{place}")))
        }
        Err(OpsError::Refused(refusal) | OpsError::Conflict(refusal) | OpsError::Unreachable(refusal)) => {
            let refused = Refused { vendor, sentence: refusal.sentence, mode: mode.to_owned(), client_id };
            page_after(web, visit, refused).await
        }
        Err(error) => Err(error.into()),
    }
}
