//! Setting up what lies at a vendor: our own connection with its webhooks, and payees' destinations. Each asks the vendor
//! first and then calls one verb; a vendor that cannot be reached changes nothing.

use futures::StreamExt as _;
use payout::Refusal;
use payout::ledger::Payee;
use payout::money::Vendor;
use payout::payee::Destination;
use payout::reason::{requirement, restriction};
use vendors::ReadError;
use vendors::paypal;
use vendors::stripe::{
    ConnectedAccount, ConnectedAccountState, NEEDED_EVENTS_CONNECT, NEEDED_EVENTS_PLATFORM, Stripe,
};

use super::calls::Calls;
use super::{Done, Work};
use crate::app::Actor;
use crate::ops::payees::{self as payee_verbs, Standing};
use crate::ops::vendors::{self as connections, Credentials};
use crate::ops::{OpsError, Result};
use crate::store;
use crate::store::payees::Profile;
use crate::transact;

/// How many accounts one pass reads again.
const ACCOUNTS_AT_ONCE: i64 = 50;
/// How many of them are on the wire at a time.
const READS_AT_ONCE: usize = 8;

/// Proves a Stripe key, registers both webhook endpoints, and saves.
///
/// # Errors
/// [`OpsError::Refused`] in Stripe's words; [`OpsError::Unreachable`] when Stripe does not answer.
pub async fn stripe(work: &Work, actor: &Actor, secret_key: &str, mode: &str) -> Result<()> {
    let client = work.clients.new_stripe(secret_key).map_err(|told| refused("secret_key", &told))?;
    client.balance(None).await.map_err(|error| told("secret_key", Vendor::Stripe, &error))?;
    let known = newest_at(work, Vendor::Stripe).await?;
    if let Some(transfer) = known
        && let Err(ReadError::Missing) = client.transfer(&transfer).await
    {
        return Err(other_account(Vendor::Stripe));
    }
    let kept = match saved(work, Vendor::Stripe).await? {
        Some(Credentials::Stripe { platform, connect, .. }) => [platform, connect],
        Some(Credentials::PayPal { .. }) | None => [None, None],
    };
    let [had_platform, had_connect] = kept;
    let base = &work.app.base_url;
    let platform = endpoint(&client, &format!("{base}/webhooks/stripe"), false, had_platform).await;
    let connect = endpoint(&client, &format!("{base}/webhooks/stripe-connect"), true, had_connect).await;
    let credentials = Credentials::Stripe {
        secret_key: secret_key.to_owned(),
        platform: Some(platform.map_err(|error| told("webhooks", Vendor::Stripe, &error))?),
        connect: Some(connect.map_err(|error| told("webhooks", Vendor::Stripe, &error))?),
    };
    connections::save(&work.app, actor, &credentials, mode).await
}

/// The endpoint at `url`: the one we have if Stripe still has it, else a new one, because only its making tells the
/// secret. One of ours whose secret we do not have is removed.
async fn endpoint(
    client: &Stripe,
    url: &str,
    connect: bool,
    had: Option<(String, String)>,
) -> std::result::Result<(String, String), ReadError> {
    let needed = if connect { NEEDED_EVENTS_CONNECT } else { NEEDED_EVENTS_PLATFORM };
    for found in client.webhook_endpoints().await?.into_iter().filter(|found| found.url == url) {
        match &had {
            Some((id, secret)) if *id == found.id => {
                if !found.missing(needed).is_empty() || found.status == "disabled" {
                    client.update_webhook_endpoint(id, url, needed).await?;
                }
                return Ok((id.clone(), secret.clone()));
            }
            Some(_) | None => client.delete_webhook_endpoint(&found.id).await?,
        }
    }
    let made = client.create_webhook_endpoint(url, connect, needed).await?;
    Ok((made.id, made.secret))
}

/// Proves PayPal's credentials, registers (or adopts) the webhook, and saves.
///
/// # Errors
/// As [`stripe`].
pub async fn paypal(
    work: &Work,
    actor: &Actor,
    client_id: &str,
    client_secret: &str,
    mode: &str,
) -> Result<()> {
    let client = work
        .clients
        .new_paypal(client_id, client_secret, mode)
        .map_err(|told| refused("client_id", &told))?;
    client.webhooks().await.map_err(|error| told("client_secret", Vendor::PayPal, &error))?;
    let known = newest_at(work, Vendor::PayPal).await?;
    if let Some(batch) = known
        && let Err(ReadError::Missing) = client.batch(&batch).await
    {
        return Err(other_account(Vendor::PayPal));
    }
    let url = format!("{}/webhooks/paypal", work.app.base_url);
    let webhook_id = client
        .create_webhook(&url, paypal::NEEDED_EVENTS)
        .await
        .map_err(|error| told("webhooks", Vendor::PayPal, &error))?;
    let credentials = Credentials::PayPal {
        client_id: client_id.to_owned(),
        client_secret: client_secret.to_owned(),
        webhook_id: Some(webhook_id),
    };
    connections::save(&work.app, actor, &credentials, mode).await
}

/// While payments through a vendor are unsettled, the newest object that it has of ours: credentials that do not know it
/// belong to another account, to which open submissions would be sent a second time.
async fn newest_at(work: &Work, vendor: Vendor) -> Result<Option<String>> {
    let mut db = work.app.store.read().await?;
    Ok(store::submissions::newest_accepted_while_open(&mut db, vendor).await?)
}

fn other_account(vendor: Vendor) -> OpsError {
    let sentence = format!(
        "These credentials belong to another {} account (or mode) than the payments that are still under way, so nothing was saved: those would be sent a second time. Wait until they have ended, then connect the other account.",
        vendor.label()
    );
    OpsError::Conflict(Refusal::new("other_vendor_account", sentence))
}

/// The credentials that are saved, if they open.
async fn saved(work: &Work, vendor: Vendor) -> Result<Option<Credentials>> {
    let mut db = work.app.store.read().await?;
    let all = store::vendors::all(&mut db).await?;
    let connection = all.into_iter().find(|connection| connection.vendor == vendor);
    Ok(connection.and_then(|connection| Credentials::open(&work.app.master_key, &connection)))
}

fn refused(field: &'static str, sentence: &str) -> OpsError {
    Refusal::new("vendor_refused", sentence).at(field).into()
}

/// A vendor's refusal, or its silence, as whoever asked is told it.
pub(super) fn told(field: &'static str, vendor: Vendor, error: &ReadError) -> OpsError {
    let name = vendor.label();
    match error {
        ReadError::Credentials(words) => {
            let sentence = format!(
                "{name} does not accept these credentials: {}. Nothing was changed.",
                words.trim_end_matches('.')
            );
            Refusal::new("vendor_credentials_rejected", sentence).at(field).into()
        }
        ReadError::Missing => {
            let sentence =
                format!("{name} does not know it, or it is not connected to us. Nothing was changed.");
            Refusal::new("vendor_refused", sentence).at(field).into()
        }
        ReadError::Refused { code, message, .. } => {
            let sentence = format!("{name} refused: {message} ({code}). Nothing was changed.");
            Refusal::new("vendor_refused", sentence).at(field).into()
        }
        ReadError::RateLimited { .. } | ReadError::Unreachable(_) | ReadError::Unreadable(_) => {
            let sentence =
                format!("{name} could not be asked ({error}). Nothing was changed; try again in a moment.");
            OpsError::Unreachable(Refusal::new("vendor_unreachable", sentence).at(field))
        }
    }
}

/// Sets where a payee is paid, as an administrator does. A Stripe account is read first and put on the manual schedule;
/// while Stripe is not connected the profile is kept as not ready and read when it is.
///
/// # Errors
/// [`OpsError::Unreachable`] when the vendor does not answer; then nothing is changed.
pub async fn set_profile(
    work: &Work,
    actor: &Actor,
    payee: Payee,
    destination: Destination,
) -> Result<Profile> {
    let standing = match destination.vendor() {
        Vendor::PayPal => Standing::Payable(None),
        Vendor::Stripe => match work.clients.stripe().await? {
            None => Standing::NotYet("Stripe is not connected yet".to_owned()),
            Some(stripe) => {
                let read = account(&stripe.client, destination.address()).await;
                standing(&read.map_err(|error| told("stripe_account", Vendor::Stripe, &error))?)
            }
        },
    };
    payee_verbs::set_profile(&work.app, actor, payee, destination, standing).await
}

/// Reads an account, and puts it on the manual schedule: on any other, Stripe would sweep a transfer away by itself.
pub(super) async fn account(
    client: &Stripe,
    address: &str,
) -> std::result::Result<ConnectedAccountState, ReadError> {
    let id = ConnectedAccount::parse(address).ok_or(ReadError::Missing)?;
    let state = client.account(&id).await?;
    if state.schedule_interval.as_deref() != Some("manual") {
        client.set_manual_schedule(&id).await?;
    }
    Ok(state)
}

/// Payable as Stripe sees it, or what stands in the way: Stripe's words, made plain where they are known.
pub(super) fn standing(state: &ConnectedAccountState) -> Standing {
    if state.transfers_active && state.payouts_enabled {
        return Standing::Payable(Some(state.currencies.clone()));
    }
    let what = if state.transfers_active { "payouts are not enabled" } else { "transfers are not active" };
    let why = state.disabled_reason.as_deref().map(|code| format!(" ({})", restriction(code)));
    let mut needs: Vec<&str> = state.currently_due.iter().map(|field| requirement(field)).collect();
    needs.dedup();
    let due = match needs.is_empty() {
        true => String::new(),
        false => format!("; Stripe still needs: {}", needs.join(", ")),
    };
    Standing::NotYet(format!("{what}{}{due}", why.unwrap_or_default()))
}

/// One pass: tries the credentials of paused vendors again and reads accounts again that changed; answers how many.
///
/// # Errors
/// When the database does not answer.
pub async fn once(work: &Work, now: i64) -> Done {
    probe_paused(work, now).await?;
    refresh_accounts(work, now).await
}

/// Tries the credentials of a paused vendor again when it is time, with a question that moves nothing: a pause must end
/// by itself when the vendor takes them again, even where nothing is queued that could find it out.
async fn probe_paused(work: &Work, now: i64) -> Result<()> {
    let mut db = work.app.store.read().await?;
    let all = store::vendors::all(&mut db).await?;
    drop(db);
    let resting =
        all.iter().filter(|one| one.rejected_at.is_some() && one.retry_at.is_none_or(|at| at <= now));
    for connection in resting {
        let answer = match connection.vendor {
            Vendor::Stripe => match work.clients.stripe().await? {
                Some(stripe) => work.ask(Vendor::Stripe, stripe.client.balance(None)).await.map(drop),
                // They do not open; that was noted.
                None => continue,
            },
            Vendor::PayPal => match work.clients.paypal().await? {
                Some(paypal) => work.ask(Vendor::PayPal, paypal.client.webhooks()).await.map(drop),
                None => continue,
            },
        };
        match answer {
            Ok(()) => connections::resume(&work.app, connection.vendor, "connect").await?,
            Err(error) => connections::pause(&work.app, connection.vendor, &error.to_string()).await?,
        }
    }
    Ok(())
}

/// Reads the accounts again that Stripe told us of; answers how many.
async fn refresh_accounts(work: &Work, now: i64) -> Done {
    let app = &work.app;
    let most = work.reach.room(Vendor::Stripe, Calls::Reads, now, ACCOUNTS_AT_ONCE);
    if most == 0 {
        return Ok(0);
    }
    let mut db = app.store.read().await?;
    let due = store::payees::to_check(&mut db, Vendor::Stripe, now, most).await?;
    drop(db);
    if due.is_empty() {
        return Ok(0);
    }
    let Some(stripe) = work.clients.stripe().await? else { return Ok(0) };
    let client = &stripe.client;
    let reads = futures::stream::iter(due).map(|address| async move {
        let state = work.ask(Vendor::Stripe, account(client, &address)).await;
        (address, state)
    });
    let (mut done, mut reads) = (0, reads.buffer_unordered(READS_AT_ONCE));
    while let Some((address, state)) = reads.next().await {
        let said = match state {
            Ok(state) => standing(&state),
            Err(ReadError::Missing | ReadError::Refused { .. }) => {
                Standing::NotYet(connections::NOT_OURS.to_owned())
            }
            Err(ReadError::Credentials(why)) => {
                connections::pause(app, Vendor::Stripe, &why).await?;
                return Ok(done);
            }
            Err(ReadError::RateLimited { .. } | ReadError::Unreachable(_) | ReadError::Unreadable(_)) => {
                let again = now + app.config.longest_wait_us();
                transact!(app, |tx| {
                    Ok(store::payees::ask_again(tx, Vendor::Stripe, &address, again).await?)
                })?;
                continue;
            }
        };
        payee_verbs::note_standing(app, Vendor::Stripe, &address, &said).await?;
        done += 1;
    }
    Ok(done)
}
