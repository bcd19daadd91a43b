//! Look-ups a page or API handler may await before or after a verb, never inside it: a fresh balance before Pay, a
//! manual refresh, the outcome of a reversal. Claims people make about an object at the vendor are checked in
//! [`super::prove`].

use std::time::Duration;

use futures::StreamExt as _;
use payout::ids::TransactionId;
use payout::money::{Money, Vendor, from_units};
use payout::transaction::{AttemptState, Leg, State};
use vendors::paypal;
use vendors::stripe::{NEEDED_EVENTS_CONNECT, NEEDED_EVENTS_PLATFORM, Stripe};

use super::answer::LookupOutcome;
use super::pace::About;
use super::prove;
pub use super::prove::{found, not_made, parked};
use super::{Work, bank_payouts, connect, recheck, settle};
use crate::app::Actor;
use crate::ops::pay::Balances;
use crate::ops::{OpsError, Result, payees, transactions as verbs};
use crate::store::batches;
use crate::store::payees::lacking_in_drafts;
use crate::store::put_back;
use crate::store::transactions::{self, Attempt, Transaction};

/// How long a request waits for a reversal or a cancellation before it reports "not known yet".
const REVERSAL: Duration = Duration::from_secs(10);
/// How long a request waits for one object to be read before it continues with what is known.
const READ_IN: Duration = Duration::from_secs(5);
/// Do not re-read what was read within this time.
const READ_AGAIN_US: i64 = 60_000_000;
/// How many accounts are read before a draft is shown or paid.
const BANKS_AT_ONCE: i64 = 20;
/// The poll interval while waiting for a result.
const LOOK: Duration = Duration::from_millis(100);

/// Reads the balances at the vendors now. A balance that cannot be read is left out: an unknown balance warns but does
/// not block. Also re-reads the accounts that block a draft because they have no bank account in its currency: the
/// payee may have added one.
pub async fn balances(work: &Work) -> Balances {
    if let Err(error) = fresh_banks(work).await {
        tracing::warn!(?error, "accounts without a bank account could not be read");
    }
    // Read before the balance: money that leaves in between is counted twice rather than not at all.
    let read_at = work.app.clock.now();
    let promised = async { batches::committed(&mut work.app.store.read().await?, read_at).await };
    let Ok(promised) = promised.await else { return Balances::default() };
    Balances { reported: stripe_balances(work).await, committed: promised, read_at }
}

async fn fresh_banks(work: &Work) -> Result<()> {
    let before = work.app.clock.now() - READ_AGAIN_US;
    let due = lacking_in_drafts(&mut work.app.store.read().await?, before, BANKS_AT_ONCE).await?;
    if due.is_empty() {
        return Ok(());
    }
    let Some(stripe) = work.clients.stripe().await? else { return Ok(()) };
    let (client, many) = (&stripe.client, due.len());
    let reads: Vec<_> =
        due.into_iter().map(|address| async move { note_account(work, client, &address).await }).collect();
    let mut reads = futures::stream::iter(reads).buffer_unordered(work.concurrency(many));
    let reading = async {
        while let Some(read) = reads.next().await {
            read?;
        }
        Ok(())
    };
    // The background loop reads what is not read in time.
    tokio::time::timeout(READ_IN, reading).await.unwrap_or(Ok(()))
}

/// Reads an account from Stripe now. If Stripe does not answer, nothing changes.
async fn note_account(work: &Work, client: &Stripe, address: &str) -> Result<()> {
    let asked_at = work.app.clock.now();
    let asked = work.ask_about(Vendor::Stripe, About::Account, connect::account(client, address)).await;
    let Ok(state) = asked else { return Ok(()) };
    payees::note_standing(&work.app, Vendor::Stripe, address, &connect::standing(&state), asked_at).await
}

async fn stripe_balances(work: &Work) -> Vec<(Vendor, Money)> {
    let Ok(Some(stripe)) = work.clients.stripe().await else { return Vec::new() };
    let read = tokio::time::timeout(READ_IN, stripe.client.balance(None)).await;
    let Ok(Ok(balance)) = read else { return Vec::new() };
    let rows = balance.available.iter().filter_map(|funds| {
        let money: Money = from_units(Vendor::Stripe, funds.units, funds.currency).ok()?;
        Some((Vendor::Stripe, money))
    });
    rows.collect()
}

/// One of our webhook URLs, as registered at the vendor.
#[derive(Clone, Debug)]
pub struct Hook {
    pub address: String,
    /// Registered at the vendor and not disabled.
    pub works: bool,
    /// The event types Bursar needs.
    pub needed: &'static [&'static str],
    /// Needed event types it is not subscribed to.
    pub missing: Vec<&'static str>,
}

/// The webhook paths, and the event types each must receive.
pub const NEEDED: [(&str, &[&str]); 3] = [
    ("/webhooks/stripe", NEEDED_EVENTS_PLATFORM),
    ("/webhooks/stripe-connect", NEEDED_EVENTS_CONNECT),
    ("/webhooks/paypal", paypal::NEEDED_EVENTS),
];

/// The webhooks registered at a vendor, read now; `None` if they cannot be read.
pub async fn hooks(work: &Work, vendor: Vendor) -> Option<Vec<Hook>> {
    let base = &work.app.base_url;
    match vendor {
        Vendor::Stripe => {
            let found = work.clients.stripe().await.ok()??.client.webhook_endpoints().await.ok()?;
            let hook = |path: &str, needed: &'static [&'static str]| {
                let address = format!("{base}{path}");
                let one = found.iter().find(|one| one.url == address);
                let works = one.is_some_and(|one| one.status != "disabled");
                let missing = one.map_or_else(|| needed.to_vec(), |one| one.missing(needed));
                Hook { address, works, needed, missing }
            };
            Some(vec![
                hook("/webhooks/stripe", NEEDED_EVENTS_PLATFORM),
                hook("/webhooks/stripe-connect", NEEDED_EVENTS_CONNECT),
            ])
        }
        Vendor::PayPal => {
            let found = work.clients.paypal().await.ok()??.client.webhooks().await.ok()?;
            let address = format!("{base}/webhooks/paypal");
            let needed = paypal::NEEDED_EVENTS;
            let one = found.iter().find(|one| one.url == address);
            let missing = one.map_or_else(|| needed.to_vec(), |one| one.missing(needed));
            Some(vec![Hook { works: one.is_some(), address, needed, missing }])
        }
    }
}

/// Asks the vendor about a payment now and applies the answer.
///
/// # Errors
/// If there is no such payment or the database fails.
pub async fn refresh(work: &Work, actor: &Actor, id: TransactionId) -> Result<Transaction> {
    verbs::ask_now(&work.app, actor, id).await?;
    settle::about(work, &[id], work.app.clock.now(), "person").await?;
    let mut db = work.app.store.read().await?;
    Ok(transactions::find(&mut db, &id.to_string()).await?)
}

/// Re-reads the account a payment goes to, so that nobody is refused because of stale data: partners fix their accounts
/// at the vendor, and the webhook may be late. If the vendor does not answer in time, nothing changes.
///
/// # Errors
/// If there is no such payment or the database fails.
pub async fn fresh_account(work: &Work, id: TransactionId) -> Result<()> {
    let mut db = work.app.store.read().await?;
    let transaction = transactions::find(&mut db, &id.to_string()).await?;
    drop(db);
    let address = transaction.destination.address();
    let Some(stripe) = work.clients.stripe().await? else { return Ok(()) };
    if transaction.terms.vendor != Vendor::Stripe {
        return Ok(());
    }
    let read = tokio::time::timeout(READ_IN, note_account(work, &stripe.client, address)).await;
    read.unwrap_or(Ok(()))
}

/// Runs before the transfer of parked money is reversed, or written-off money is freed. Somebody may already have
/// reversed it at Stripe, Stripe's automatic schedule may have paid it out, or a bank payout reported as not made may
/// exist after all. Returns the payment as it is then; its rewards are free if the money turned out to be back.
///
/// # Errors
/// [`OpsError::Unreachable`] if Stripe does not say where the money is; also if there is no such payment or the
/// database fails.
pub async fn before_return(work: &Work, id: TransactionId) -> Result<Transaction> {
    // If the database was restored after the payment was promised, it may be too old to tell.
    recheck::before(work, id).await?;
    called_not_made(work, id).await?;
    let mut db = work.app.store.read().await?;
    let found = transactions::find(&mut db, &id.to_string()).await?;
    // Settle the found payment first; the payment reports that.
    let waits = put_back::any_found(&mut db, Some(id)).await?;
    drop(db);
    let given_up = found.state == State::WrittenOff;
    if waits || found.closed() || !(given_up || parked_at_stripe(&found)) {
        return Ok(found);
    }
    // Money two people wrote off in an account that is no longer connected is accepted on their word.
    if given_up && !may_ask(work, &found).await? {
        return Ok(found);
    }
    if given_up {
        given_up_lies(work, id).await?;
    } else {
        settle::look(work, id).await?.max(bank_payouts::look_again(work, id).await?).known()?;
    }
    Ok(transactions::find(&mut work.app.store.read().await?, &id.to_string()).await?)
}

/// Runs before a failed payment is marked as paid outside: looks again for objects people reported as not made, and for
/// what became of money two people wrote off.
///
/// # Errors
/// [`OpsError::Unreachable`] if the vendor does not answer; also if there is no such payment or the database fails.
pub async fn before_outside(work: &Work, id: TransactionId) -> Result<()> {
    called_not_made(work, id).await?;
    let found = transactions::find(&mut work.app.store.read().await?, &id.to_string()).await?;
    let given_up = found.state == State::WrittenOff && !found.closed();
    if given_up && may_ask(work, &found).await? {
        given_up_lies(work, id).await?;
    }
    Ok(())
}

/// Finds out what became of money two people wrote off. What Stripe does not show is accepted on their word.
async fn given_up_lies(work: &Work, id: TransactionId) -> Result<()> {
    let looked = settle::look(work, id).await?.max(bank_payouts::look_again(work, id).await?);
    if looked == LookupOutcome::NotShown { Ok(()) } else { looked.known() }
}

/// Looks for objects that people reported as not made, of a payment that has ended. If the vendor shows one, the
/// payment refuses the command.
async fn called_not_made(work: &Work, id: TransactionId) -> Result<()> {
    let found = transactions::find(&mut work.app.store.read().await?, &id.to_string()).await?;
    if found.closed() || !found.state.settled() || !may_ask(work, &found).await? {
        return Ok(());
    }
    prove::called_not_made(work, id).await?.known()
}

fn parked_at_stripe(of: &Transaction) -> bool {
    matches!(of.state, State::PayoutFailed | State::PayoutCanceled)
}

/// Whether the payment was made from the connected account.
async fn may_ask(work: &Work, of: &Transaction) -> Result<bool> {
    let account = of.vendor_account.as_deref();
    Ok(match of.terms.vendor {
        Vendor::Stripe => work.clients.stripe().await?.is_some_and(|stripe| stripe.may_have(account)),
        Vendor::PayPal => work.clients.paypal().await?.is_some_and(|paypal| paypal.may_have(account)),
    })
}

/// Runs before a failed payment is resubmitted: reads the payee's account and, if the money is in their Stripe balance,
/// checks that the transfer still stands and that nothing has paid it out, not even a bank payout reported as not made.
/// Findings are recorded, and the payment then refuses; otherwise it would be paid from another payment's money.
///
/// # Errors
/// [`OpsError::Unreachable`] if Stripe does not say where the money is; also if there is no such payment or the
/// database fails.
pub async fn before_resubmit(work: &Work, id: TransactionId) -> Result<()> {
    fresh_account(work, id).await?;
    called_not_made(work, id).await?;
    let mut db = work.app.store.read().await?;
    let found = transactions::find(&mut db, &id.to_string()).await?;
    let attempts = transactions::attempts(&mut db, &[id]).await?;
    // Settle what was found after a restore first; the payment reports that.
    let waits = put_back::any_found(&mut db, Some(id)).await?;
    drop(db);
    if waits || !parked_at_stripe(&found) || found.closed() {
        return Ok(());
    }
    let stands = |one: &Attempt| one.leg == Leg::Transfer && !one.state.ended() && one.vendor_id.is_some();
    // The gates refuse a payment that another account, or none, would have to make.
    if !attempts.iter().any(stands) || !may_ask(work, &found).await? {
        return Ok(());
    }
    settle::look(work, id).await?.max(bank_payouts::look_again(work, id).await?).known()
}

/// Waits up to ten seconds for the reversal of a recalled payment to be answered. If Stripe refuses it, asks about the
/// transfer itself, which somebody else may have reversed.
pub async fn reversal(work: &Work, id: TransactionId) -> Result<Transaction> {
    let waiting = async {
        loop {
            let mut db = work.app.store.read().await?;
            let transaction = transactions::find(&mut db, &id.to_string()).await?;
            drop(db);
            if !verbs::recalling(&transaction) {
                return Ok::<_, OpsError>(transaction);
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    match tokio::time::timeout(REVERSAL, waiting).await {
        Ok(Ok(after)) if parked_at_stripe(&after) => {
            settle::about(work, &[id], work.app.clock.now(), "person").await?;
            Ok(transactions::find(&mut work.app.store.read().await?, &id.to_string()).await?)
        }
        Ok(Ok(after)) => Ok(after),
        Ok(Err(error)) => Err(error),
        Err(_) => {
            let mut db = work.app.store.read().await?;
            Ok(transactions::find(&mut db, &id.to_string()).await?)
        }
    }
}

/// Waits up to ten seconds for the cancellation of an unclaimed payment to be answered and its item to be read. Returns
/// the payment, and PayPal's reason if it refused.
pub async fn cancellation(work: &Work, id: TransactionId) -> Result<(Transaction, Option<String>)> {
    let look = async || {
        let mut db = work.app.store.read().await?;
        let transaction = transactions::find(&mut db, &id.to_string()).await?;
        let attempts = transactions::attempts(&mut db, &[id]).await?;
        let newest = attempts.into_iter().filter(|one| one.leg == Leg::Cancel).max_by_key(|one| one.number);
        Ok::<_, OpsError>((transaction, newest))
    };
    let refusal = |newest: Option<Attempt>| {
        newest.filter(|one| one.state == AttemptState::Failed).map(|one| one.reason_code.unwrap_or_default())
    };
    let waiting = async {
        loop {
            let (transaction, newest) = look().await?;
            let refused = newest.as_ref().is_some_and(|one| one.state == AttemptState::Failed);
            if transaction.state != State::Unclaimed || refused {
                return Ok((transaction, refusal(newest)));
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    match tokio::time::timeout(REVERSAL, waiting).await {
        Ok(outcome) => outcome,
        Err(_) => look().await.map(|(transaction, newest)| (transaction, refusal(newest))),
    }
}
