//! Payout profiles set up by payees themselves: recording a connected account before Stripe is asked to create it, the
//! one-time return from Stripe's pages, and PayPal addresses, which are confirmed by mail. Not here: calls to Stripe
//! (`work::onboard`) and the profile itself (`ops::payees`).

use payout::Refusal;
use payout::access::Role;
use payout::ledger::Payee;
use payout::money::Vendor;
use payout::notice::Notice;
use payout::payee::Destination;
use serde_json::json;

use super::notices::secret;
use super::payees::{self, DestinationStatus};
use super::{OpsError, Result, people, settings};
use crate::app::{Actor, App};
use crate::secrets::token_hash;
use crate::store::onboarding::{self as store, Intended, Unconfirmed};
use crate::store::payees::Profile;
use crate::store::{self as all, Db, Tx, audit};
use crate::transact;

/// How long a return from Stripe's pages is accepted. Afterwards only the redirect is lost, nothing else.
const STATE_US: i64 = 4 * 3_600_000_000;
/// How long an address can be confirmed.
const CONFIRM_US: i64 = 24 * 3_600_000_000;

/// Why somebody may not set up a payout profile in the portal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SetupDenial {
    Off,
    Role,
    /// No vendor can be chosen.
    NoVendor,
}

/// The vendors a payee may choose, or why they may choose none.
pub async fn choice(db: &mut Db, role: Role) -> Result<std::result::Result<Vec<Vendor>, SetupDenial>> {
    let (document, _) = settings::read(db).await?;
    if !document.enabled {
        return Ok(Err(SetupDenial::Off));
    }
    if !document.profile_roles.iter().any(|allowed| allowed == role.as_str()) {
        return Ok(Err(SetupDenial::Role));
    }
    let connected = all::vendors::facts(db).await?.connected;
    let selected = document.vendors.iter().filter_map(|vendor| Vendor::parse(vendor));
    let vendors: Vec<Vendor> = selected.filter(|vendor| connected.contains(vendor)).collect();
    Ok(if vendors.is_empty() { Err(SetupDenial::NoVendor) } else { Ok(vendors) })
}

/// Refuses a vendor that is not one of those.
///
/// # Errors
/// `vendor_not_offered`, or database errors.
pub async fn check_choice(db: &mut Db, actor: &Actor, vendor: Vendor) -> Result<()> {
    match choice(db, actor.role).await? {
        Ok(vendors) if vendors.contains(&vendor) => Ok(()),
        Ok(_) | Err(_) => {
            let message = format!("You cannot choose {} right now. Nothing was changed.", vendor.label());
            Err(Refusal::new("vendor_not_offered", message).into())
        }
    }
}

/// What is sent to Stripe about a new connected account.
#[derive(Clone, Debug)]
pub struct Particulars {
    pub country: String,
    pub email: String,
    /// `recipient` if the payee's country differs from ours, otherwise `full`.
    pub service_agreement: &'static str,
}

/// Records that a connected account is to be created for a payee. If one is already recorded, returns that one with the
/// data sent to Stripe, so that the request can be repeated under the same idempotency key.
///
/// # Errors
/// A refusal if they may not choose Stripe, or the country is invalid.
pub async fn intend(app: &App, actor: &Actor, payee: Payee, particulars: &Particulars) -> Result<Intended> {
    if !super::partners::is_country(&particulars.country) {
        let sentence = "Write the country in two capital letters, such as US or DE.";
        return Err(Refusal::new("unknown_country", sentence).at("country").into());
    }
    transact!(app, |tx| {
        let now = app.clock.now();
        check_choice(tx, actor, Vendor::Stripe).await?;
        let before = store::newest(tx, payee).await?;
        if let Some(open) = before.clone().filter(|one| one.refused_at.is_none()) {
            return Ok(open);
        }
        let number = before.map_or(1, |one| one.number + 1);
        let new = Intended {
            number,
            key: format!("ac:{payee}:{number}"),
            country: particulars.country.clone(),
            email: particulars.email.clone(),
            business_type: match payee {
                Payee::Partner(_) => "individual".to_owned(),
                Payee::Account(_) => "company".to_owned(),
            },
            service_agreement: particulars.service_agreement.to_owned(),
            account: None,
            refused_at: None,
            intended_at: now,
        };
        if !store::intend(tx, payee, &new, &actor.id.to_string()).await? {
            let message = "This was started twice at the same time. Nothing is lost: try again.";
            return Err(OpsError::Conflict(Refusal::new("changed_meanwhile", message)));
        }
        note(tx, now, actor, "stripe_account_intended", payee, &json!({ "country": new.country }));
        Ok(new)
    })
}

/// Records the account that Stripe has created.
pub async fn made(app: &App, actor: &Actor, payee: Payee, number: i64, account: &Destination) -> Result<()> {
    transact!(app, |tx| {
        let now = app.clock.now();
        store::made(tx, payee, number, account.address(), now).await?;
        note(tx, now, actor, "stripe_account_made", payee, &json!({ "account": account.masked() }));
        Ok(())
    })
}

/// Records that Stripe refused to create the account, or no longer knows it; the next request creates another.
pub async fn refused(app: &App, actor: &Actor, payee: Payee, number: i64, why: &str) -> Result<()> {
    transact!(app, |tx| {
        let now = app.clock.now();
        store::refused(tx, payee, number, why, now).await?;
        note(tx, now, actor, "stripe_account_refused", payee, &json!({ "why": why }));
        Ok(())
    })
}

/// Records that a browser was not redirected because the target host is not Stripe's. Only the host is kept: the rest of
/// the URL may contain a secret.
pub async fn not_led(app: &App, actor: &Actor, payee: Payee, host: &str) -> Result<()> {
    transact!(app, |tx| {
        note(tx, app.clock.now(), actor, "stripe_link_refused", payee, &json!({ "host": host }));
        Ok(())
    })
}

/// Opens a return from Stripe's pages for this session and payee, from the time they left; returns the `state` parameter
/// that the return must carry.
pub async fn open_state(
    app: &App,
    session_hash: &str,
    payee: Payee,
    (account, opened_at): (&str, i64),
) -> Result<String> {
    let (now, state) = (app.clock.now(), app.clock.secret());
    transact!(app, |tx| {
        let span = (now, opened_at + STATE_US);
        store::open_state(tx, &token_hash(&state), session_hash, payee, account, span).await?;
        Ok(())
    })?;
    Ok(state)
}

/// Uses a return from Stripe's pages. Returns its account and when they left; `None` if the state does not belong to this
/// session and payee, or has expired.
pub async fn use_state(
    app: &App,
    session_hash: &str,
    payee: Payee,
    state: &str,
) -> Result<Option<(String, i64)>> {
    let now = app.clock.now();
    transact!(app, |tx| {
        let way = store::use_state(tx, &token_hash(state), session_hash, payee, now).await?;
        Ok(way.map(|(account, ends_at)| (account, ends_at - STATE_US)))
    })
}

/// Records the PayPal address a payee wants to be paid to, and mails it a confirmation link. Until it is confirmed, the old
/// destination stays in force.
///
/// # Errors
/// The rule the address breaks; a refusal if they may not choose PayPal.
pub async fn enter_address(app: &App, actor: &Actor, payee: Payee, email: &str) -> Result<Destination> {
    let destination = Destination::paypal(email.trim())?;
    let token = app.clock.secret();
    transact!(app, |tx| {
        let now = app.clock.now();
        check_choice(tx, actor, Vendor::PayPal).await?;
        let profile = all::payees::profile_of(tx, payee).await?;
        if profile.is_some_and(|known| known.destination == destination && known.payable_at.is_some()) {
            let message = "You are already paid at this address. Nothing was changed.";
            return Err(Refusal::new("same_destination", message).at("paypal_email").into());
        }
        let new = Unconfirmed {
            payee,
            address: destination.address().to_owned(),
            person: actor.id,
            expires_at: now + CONFIRM_US,
        };
        store::ask_to_confirm(tx, &token_hash(&token), &new, now).await?;
        let link = format!("{}/portal/confirm/{token}", app.base_url);
        let notice = (Notice::ProfileConfirm, payee.to_string());
        secret::write(tx, app, notice, &new.address, (&link, new.expires_at)).await?;
        note(tx, now, actor, "payout_address_entered", payee, &json!({ "new": destination.masked() }));
        Ok(())
    })?;
    Ok(destination)
}

/// The unconfirmed address of this token; looking does not use it up.
pub async fn to_confirm(app: &App, token: &str) -> Result<Option<Unconfirmed>> {
    Ok(store::to_confirm(&mut app.store.read().await?, &token_hash(token), app.clock.now()).await?)
}

/// Confirms an address: it becomes the payee's destination, on behalf of whoever entered it. `None` if the token is used,
/// expired, or superseded by a newer one.
///
/// # Errors
/// If the address cannot be the payee's destination.
pub async fn confirm(app: &App, token: &str) -> Result<Option<Profile>> {
    let now = app.clock.now();
    let found = transact!(app, |tx| {
        let Some(found) = store::confirm(tx, &token_hash(token), now).await? else { return Ok(None) };
        let person = all::people::by_id(tx, found.person).await?;
        // A person who has been disabled in the meantime can change nothing.
        Ok(person.filter(|person| person.disabled_at.is_none()).map(|person| (found, people::actor(&person))))
    })?;
    let Some((found, actor)) = found else { return Ok(None) };
    let destination = Destination::paypal(&found.address)?;
    payees::set_profile(app, &actor, found.payee, destination, DestinationStatus::Payable(None))
        .await
        .map(Some)
}

fn note(tx: &mut Tx, at: i64, actor: &Actor, action: &'static str, payee: Payee, detail: &serde_json::Value) {
    let (actor, subject) = (actor.id.to_string(), payee.to_string());
    tx.audit(audit::Entry { at, actor, action, subject, detail: detail.to_string() });
}
