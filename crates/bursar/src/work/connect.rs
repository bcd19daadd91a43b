//! Setup at the vendors: our own connection with its webhooks, and payees' destinations. Each function asks the vendor
//! first and then calls one verb; if the vendor cannot be reached, nothing changes.

use futures::StreamExt as _;
use payout::Refusal;
use payout::ledger::Payee;
use payout::money::Vendor;
use payout::payee::Destination;
use payout::reason::{requirement, restriction};
use vendors::ReadError;
use vendors::paypal::{self, PayPal};
use vendors::stripe::{
    ConnectedAccount, ConnectedAccountState, NEEDED_EVENTS_CONNECT, NEEDED_EVENTS_PLATFORM, Stripe,
};

use super::calls::Calls;
use super::clients::Made;
use super::pace::About;
use super::{PassResult, Work, missed};
use crate::app::Actor;
use crate::ops::payees::{self as payee_verbs, DestinationStatus};
use crate::ops::vendors::{self as connections, Credentials, Proof};
use crate::ops::{OpsError, Result};
use crate::store::payees::Profile;
use crate::store::vendors::Connection;
use crate::store::{self, meta};
use crate::transact;

/// How many accounts one pass re-reads.
const ACCOUNTS_AT_ONCE: i64 = 50;
/// How many of those reads run concurrently.
const READS_AT_ONCE: usize = 8;
/// How long to wait before asking again whose credentials these are.
const IDENTIFY_AGAIN_US: i64 = 5_000_000;
const HOUR_US: i64 = 3_600_000_000;
const DAY_US: i64 = 24 * HOUR_US;
/// The key under which we store when accounts without a bank account were last scheduled for a re-read.
const BANKS: &str = "banks_asked_for_at";

/// Verifies a Stripe key, registers both webhook endpoints, and saves.
///
/// # Errors
/// [`OpsError::Refused`] with Stripe's message, or `wrong_mode` if the key is not for this mode; [`OpsError::Conflict`]
/// `other_vendor_account`; [`OpsError::Unreachable`] if Stripe does not answer.
pub async fn stripe(work: &Work, actor: &Actor, secret_key: &str, mode: &str) -> Result<()> {
    if let Some(own) = mode_of_key(secret_key).filter(|own| *own != mode) {
        return Err(wrong_mode(mode, own));
    }
    let client = work.clients.new_stripe(secret_key).map_err(|told| refused("secret_key", &told))?;
    let owner =
        client.identity().await.map_err(|error| vendor_error("secret_key", Vendor::Stripe, &error))?;
    let own = if owner.live { "live" } else { "test" };
    if own != mode {
        return Err(wrong_mode(mode, own));
    }
    let connection = connection(work, Vendor::Stripe).await?;
    let [had_platform, had_connect] = match open_credentials(work, connection.as_ref()) {
        Some(Credentials::Stripe { platform, connect, .. }) => [platform, connect],
        Some(Credentials::PayPal { .. }) | None => [None, None],
    };
    let account = connections::account_in(&owner.account, own);
    let before = connection.as_ref().and_then(|connection| connection.account.as_ref());
    let same_as_before = match before {
        Some(before) => *before == account,
        None => {
            let had = [&had_platform, &had_connect].into_iter().flatten().map(|(id, _)| id.as_str());
            let had: Vec<&str> = had.collect();
            let told = |error| vendor_error("secret_key", Vendor::Stripe, &error);
            stripe_has_ours(work, &client, &had).await?.map_err(told)?
        }
    };
    let proof = Proof { mode: own, account, same_as_before };
    not_another(work, actor, Vendor::Stripe, &proof).await?;
    let base = &work.app.base_url;
    let platform = endpoint(&client, &format!("{base}/webhooks/stripe"), false, had_platform).await;
    let connect = endpoint(&client, &format!("{base}/webhooks/stripe-connect"), true, had_connect).await;
    let credentials = Credentials::Stripe {
        secret_key: secret_key.to_owned(),
        platform: Some(platform.map_err(|error| vendor_error("webhooks", Vendor::Stripe, &error))?),
        connect: Some(connect.map_err(|error| vendor_error("webhooks", Vendor::Stripe, &error))?),
    };
    connections::save(&work.app, actor, &credentials, &proof).await
}

/// The mode in the key's prefix: `sk_live_…`, `rk_test_…`.
fn mode_of_key(key: &str) -> Option<&'static str> {
    let (_, rest) = key.split_once('_')?;
    ["live", "test"].into_iter().find(|mode| rest.starts_with(&format!("{mode}_")))
}

fn wrong_mode(mode: &str, own: &str) -> OpsError {
    let sentence = format!(
        "This is a {own} key, but the mode is {mode}. Nothing was changed. Choose {own}, or paste the {mode} key: in test mode no money moves, whatever the payments say."
    );
    Refusal::new("wrong_mode", sentence).at("mode").into()
}

/// Whether a Stripe account is the one that was connected, when that was not recorded: it has one of our webhook
/// endpoints by id, or the newest accepted transfer. Nothing else proves it.
async fn stripe_has_ours(
    work: &Work,
    client: &Stripe,
    endpoints: &[&str],
) -> Result<std::result::Result<bool, ReadError>> {
    match client.webhook_endpoints().await {
        Ok(found) if found.iter().any(|one| endpoints.contains(&one.id.as_str())) => return Ok(Ok(true)),
        Ok(_) => {}
        Err(error) => return Ok(Err(error)),
    }
    let mut db = work.app.store.read().await?;
    let newest = store::submissions::newest_accepted(&mut db, Vendor::Stripe).await?;
    drop(db);
    let Some(transfer) = newest else { return Ok(Ok(false)) };
    Ok(match client.transfer(&transfer).await {
        Ok(_) => Ok(true),
        Err(ReadError::Missing) => Ok(false),
        Err(error) => Err(error),
    })
}

/// Refuses a different account before anything is registered there. The save checks again, and its check decides.
async fn not_another(work: &Work, actor: &Actor, vendor: Vendor, proof: &Proof) -> Result<()> {
    if proof.same_as_before {
        return Ok(());
    }
    connections::may_replace(&work.app, actor, vendor, proof).await
}

/// The endpoint at `url`: the existing one if Stripe still has it, otherwise a new one, because Stripe only returns the
/// secret at creation. An endpoint of ours whose secret we do not have is deleted.
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

/// Verifies PayPal's credentials, registers (or adopts) the webhook, and saves.
///
/// # Errors
/// Same as [`stripe`].
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
    client.webhooks().await.map_err(|error| vendor_error("client_secret", Vendor::PayPal, &error))?;
    let proof = paypal_proof(work, &client, client_id, mode).await?;
    not_another(work, actor, Vendor::PayPal, &proof).await?;
    let url = format!("{}/webhooks/paypal", work.app.base_url);
    let webhook_id = client
        .create_webhook(&url, paypal::NEEDED_EVENTS)
        .await
        .map_err(|error| vendor_error("webhooks", Vendor::PayPal, &error))?;
    let credentials = Credentials::PayPal {
        client_id: client_id.to_owned(),
        client_secret: client_secret.to_owned(),
        webhook_id: Some(webhook_id),
    };
    connections::save(&work.app, actor, &credentials, &proof).await
}

/// PayPal returns no account id for credentials: the application id is the same in every sandbox. The client id is
/// reliable, because an application belongs to one account; a different application counts as a different account. The
/// mode is reliable too, because each mode has its own host.
async fn paypal_proof(work: &Work, client: &PayPal, client_id: &str, mode: &str) -> Result<Proof> {
    let mode = if mode == "live" { "live" } else { "sandbox" };
    let account = connections::account_in(client_id, mode);
    let connection = connection(work, Vendor::PayPal).await?;
    let before = match (connection.as_ref(), open_credentials(work, connection.as_ref())) {
        (Some(Connection { account: Some(before), .. }), _) => Some(before.clone()),
        (Some(connection), Some(Credentials::PayPal { client_id, .. })) => {
            Some(connections::account_in(&client_id, &connection.mode))
        }
        (_, _) => None,
    };
    let same_as_before = match before {
        Some(before) => before == account,
        None => {
            let mut db = work.app.store.read().await?;
            let newest = store::submissions::newest_accepted(&mut db, Vendor::PayPal).await?;
            drop(db);
            match newest {
                None => false,
                Some(batch) => match client.batch(&batch).await {
                    Ok(_) => true,
                    Err(ReadError::Missing) => false,
                    Err(error) => return Err(vendor_error("client_id", Vendor::PayPal, &error)),
                },
            }
        }
    };
    Ok(Proof { mode, account, same_as_before })
}

/// Finds out which account the saved credentials belong to, if an earlier version did not record it. Nothing is sent
/// until that is known.
///
/// # Errors
/// If the database fails. A vendor that does not answer is asked again.
pub(super) async fn identify(work: &Work, vendor: Vendor, now: i64) -> Result<()> {
    let known = connection(work, vendor).await?;
    if let (Some(pace), Vendor::Stripe, Some(connection)) = (&work.pace, vendor, &known) {
        pace.in_test_mode(connection.mode == "test");
    }
    let unknown = known.filter(|one| one.account.is_none() && one.rejected_at.is_none());
    let Some(connection) = unknown else { return Ok(()) };
    if work.reach.capacity(vendor, Calls::Reads, now, 1) == 0 {
        return Ok(());
    }
    let Ok(client) = work.clients.client(&connection).await else { return Ok(()) };
    let told = match (client, open_credentials(work, Some(&connection))) {
        (Made::Stripe(client), _) => {
            let told = work.ask(vendor, client.identity()).await;
            told.map(|told| (told.account, if told.live { "live" } else { "test" }.to_owned()))
        }
        (Made::PayPal(client), Some(Credentials::PayPal { client_id, .. })) => {
            work.ask(vendor, client.webhooks()).await.map(|_| (client_id, connection.mode.clone()))
        }
        (Made::PayPal(_), _) => return Ok(()),
    };
    match told {
        Ok((account, mode)) => {
            let account = connections::account_in(&account, &mode);
            connections::identify(&work.app, &connection, &account, &mode).await?;
        }
        Err(ReadError::Credentials(why)) => connections::pause(&work.app, vendor, &why).await?,
        Err(error) => {
            tracing::warn!(vendor = vendor.as_str(), %error,
                "it cannot be read whose account the saved credentials belong to; nothing is sent there until it is");
            work.reach.hold(vendor, Calls::Reads, now + IDENTIFY_AGAIN_US, now);
        }
    }
    Ok(())
}

async fn connection(work: &Work, vendor: Vendor) -> Result<Option<Connection>> {
    let all = store::vendors::all(&mut work.app.store.read().await?).await?;
    Ok(all.into_iter().find(|connection| connection.vendor == vendor))
}

/// The saved credentials, if they can be decrypted.
fn open_credentials(work: &Work, connection: Option<&Connection>) -> Option<Credentials> {
    connection.and_then(|connection| Credentials::open(&work.app.master_key, connection))
}

fn refused(field: &'static str, sentence: &str) -> OpsError {
    Refusal::new("vendor_refused", sentence).at(field).into()
}

/// A vendor's refusal or silence, as an error for the caller.
pub(super) fn vendor_error(field: &'static str, vendor: Vendor, error: &ReadError) -> OpsError {
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

/// Sets a payee's destination, as an administrator does. A Stripe account is read first and set to the manual payout
/// schedule; while Stripe is not connected, the profile is saved as not ready and read later.
///
/// # Errors
/// [`OpsError::Unreachable`] if the vendor does not answer; then nothing changes.
pub async fn set_profile(
    work: &Work,
    actor: &Actor,
    payee: Payee,
    destination: Destination,
) -> Result<Profile> {
    let standing = match destination.vendor() {
        Vendor::PayPal => DestinationStatus::Payable(None),
        Vendor::Stripe => match work.clients.stripe().await? {
            None => DestinationStatus::NotYet("Stripe is not connected yet".to_owned()),
            Some(stripe) => {
                let read = account(&stripe.client, destination.address()).await;
                standing(&read.map_err(|error| vendor_error("stripe_account", Vendor::Stripe, &error))?)
            }
        },
    };
    payee_verbs::set_profile(&work.app, actor, payee, destination, standing).await
}

/// Reads an account and sets it to the manual payout schedule: on any other, Stripe would pay out transfers by itself.
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

/// Payable as Stripe sees it, or what is missing: Stripe's codes, in plain words where we know them.
pub(super) fn standing(state: &ConnectedAccountState) -> DestinationStatus {
    if state.transfers_active && state.payouts_enabled {
        return DestinationStatus::Payable(Some(state.currencies.clone()));
    }
    let what = if state.transfers_active { "payouts are not enabled" } else { "transfers are not active" };
    let why = state.disabled_reason.as_deref().map(|code| format!(" ({})", restriction(code)));
    let mut needs: Vec<&str> = state.currently_due.iter().map(|field| requirement(field)).collect();
    needs.dedup();
    let due = match needs.is_empty() {
        true => String::new(),
        false => format!("; Stripe still needs: {}", needs.join(", ")),
    };
    DestinationStatus::NotYet(format!("{what}{}{due}", why.unwrap_or_default()))
}

/// One pass: retries the credentials of paused vendors, processes changes no webhook reported, and re-reads accounts
/// that changed or lack something needed to pay. Returns how much it did.
pub async fn once(work: &Work, now: i64) -> PassResult {
    probe_paused(work, now).await?;
    ask_for_banks(work, now).await?;
    Ok(missed::once(work, now).await? + refresh_accounts(work, now).await?)
}

/// Once an hour, schedules a re-read of accounts that lack a bank account in a currency they are owed, each once a day.
async fn ask_for_banks(work: &Work, now: i64) -> Result<()> {
    let (app, last) = (&work.app, meta::get(&mut work.app.store.read().await?, BANKS).await?);
    let last = last.and_then(|at| at.parse::<i64>().ok()).filter(|at| *at <= now);
    if last.is_some_and(|at| now - at < HOUR_US) {
        return Ok(());
    }
    transact!(app, |tx| {
        meta::set(tx, BANKS, &now.to_string()).await?;
        Ok(store::payees::ask_for_banks(tx, now - DAY_US, now).await?)
    })?;
    Ok(())
}

/// Retries the credentials of a paused vendor when due, with a read: the pause must end by itself once the vendor
/// accepts them again, even if nothing queued would find that out.
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
                // The credentials cannot be decrypted; that is already noted.
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

/// Re-reads the accounts Stripe sent events about. Returns how many.
async fn refresh_accounts(work: &Work, now: i64) -> PassResult {
    let app = &work.app;
    let most = work.reach.capacity(Vendor::Stripe, Calls::Reads, now, ACCOUNTS_AT_ONCE);
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
        let asked_at = app.clock.now();
        let state = work.ask_about(Vendor::Stripe, About::Account, account(client, &address)).await;
        (address, asked_at, state)
    });
    let (mut done, mut reads) = (0, reads.buffer_unordered(work.concurrency(READS_AT_ONCE)));
    while let Some((address, asked_at, state)) = reads.next().await {
        let said = match state {
            Ok(state) => standing(&state),
            Err(ReadError::Missing | ReadError::Refused { .. }) => {
                DestinationStatus::NotYet(connections::NOT_OURS.to_owned())
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
        payee_verbs::note_standing(app, Vendor::Stripe, &address, &said, asked_at).await?;
        done += 1;
    }
    Ok(done)
}
