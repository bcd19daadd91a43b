//! Look-ups that a face may await before or after one verb, never inside it: a fresh balance before Pay, a hand refresh,
//! the outcome of a reversal. What a person says of an object at the vendor is proven in [`super::prove`].

use std::time::Duration;

use futures::StreamExt as _;
use payout::Refusal;
use payout::ids::TransactionId;
use payout::money::{Money, Vendor, from_units};
use payout::transaction::{AttemptState, Leg, State};
use vendors::paypal;
use vendors::stripe::{NEEDED_EVENTS_CONNECT, NEEDED_EVENTS_PLATFORM, Stripe};

use super::answer::Looked;
use super::pace::About;
use super::prove;
pub use super::prove::{found, not_made, parked};
use super::{Work, bank_payouts, connect, relook, settle};
use crate::app::Actor;
use crate::ops::pay::Balances;
use crate::ops::{OpsError, Result, payees, transactions as verbs};
use crate::store::batches;
use crate::store::payees::lacking_in_drafts;
use crate::store::put_back;
use crate::store::transactions::{self, Attempt, Transaction};

/// How long a face waits for a reversal or a cancellation before it says "not known yet".
const REVERSAL: Duration = Duration::from_secs(10);
/// How long a face waits for one object to be read before it goes on with what is known.
const READ_IN: Duration = Duration::from_secs(5);
/// What was read so lately is not read again.
const READ_AGAIN_US: i64 = 60_000_000;
/// How many accounts are read before a draft is shown or paid.
const BANKS_AT_ONCE: i64 = 20;
/// How often it looks meanwhile.
const LOOK: Duration = Duration::from_millis(100);

/// The balances at the vendors, read now. What cannot be read is left out: unknown warns, it does not block. So are the
/// accounts that keep a draft from being paid because they have no bank account in its currency: their payees may have one by
/// now.
pub async fn balances(work: &Work) -> Balances {
    if let Err(error) = fresh_banks(work).await {
        tracing::warn!(?error, "accounts without a bank account could not be read");
    }
    // Read before the balance: what leaves in between is counted twice rather than not at all.
    let read_at = work.app.clock.now();
    let promised = async { batches::promised(&mut work.app.store.read().await?, read_at).await };
    let Ok(promised) = promised.await else { return Balances::default() };
    Balances { told: stripe_balances(work).await, promised, read_at }
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
    let mut reads = futures::stream::iter(reads).buffer_unordered(work.side_by_side(many));
    let reading = async {
        while let Some(read) = reads.next().await {
            read?;
        }
        Ok(())
    };
    // What is not read in time is read by itself.
    tokio::time::timeout(READ_IN, reading).await.unwrap_or(Ok(()))
}

/// Reads an account as Stripe has it now. One that does not answer changes nothing.
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

/// An address of ours that a vendor delivers events to, as the vendor has it.
#[derive(Clone, Debug)]
pub struct Hook {
    pub address: String,
    /// The vendor has it, and has not disabled it.
    pub works: bool,
    /// The events that Bursar needs.
    pub needed: &'static [&'static str],
    /// Those of them that it would not send.
    pub missing: Vec<&'static str>,
}

/// Where the vendors' events must arrive, and which each must send there.
pub const NEEDED: [(&str, &[&str]); 3] = [
    ("/webhooks/stripe", NEEDED_EVENTS_PLATFORM),
    ("/webhooks/stripe-connect", NEEDED_EVENTS_CONNECT),
    ("/webhooks/paypal", paypal::NEEDED_EVENTS),
];

/// The addresses that a vendor delivers to, asked now; `None` when it cannot be asked.
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

/// Asks the vendor about a payment now and applies what it says.
///
/// # Errors
/// When there is no such payment or the database does not answer.
pub async fn refresh(work: &Work, actor: &Actor, id: TransactionId) -> Result<Transaction> {
    verbs::ask_now(&work.app, actor, id).await?;
    settle::about(work, &[id], work.app.clock.now(), "person").await?;
    let mut db = work.app.store.read().await?;
    Ok(transactions::find(&mut db, &id.to_string()).await?)
}

/// Reads the account that a payment goes to as the vendor has it now, so that nobody is refused by old news: partners mend
/// their accounts at the vendor, and the word of it can be late. A vendor that does not answer in time changes nothing.
///
/// # Errors
/// When there is no such payment or the database does not answer.
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

/// Before the transfer of parked money is asked back, or money that was given up is freed: somebody may have reversed it at
/// Stripe already, Stripe's own schedule may have paid it out, or a bank payout that was called not made may be out after all.
/// Answers the payment as it is then; its rewards are free when the money was found to be back.
///
/// # Errors
/// [`OpsError::Unreachable`] when Stripe does not say where the money is; when there is no such payment or the database does
/// not answer.
pub async fn before_return(work: &Work, id: TransactionId) -> Result<Transaction> {
    // A database that was put back since it was promised may be too old to say.
    relook::before(work, id).await?;
    called_not_made(work, id).await?;
    let mut db = work.app.store.read().await?;
    let found = transactions::find(&mut db, &id.to_string()).await?;
    // What was found is settled first, and the payment says so.
    let waits = put_back::any_found(&mut db, Some(id)).await?;
    drop(db);
    let given_up = found.state == State::WrittenOff;
    if waits || found.closed() || !(given_up || parked_at_stripe(&found)) {
        return Ok(found);
    }
    // What two people have given up of an account that is not connected any more rests on their word.
    if given_up && !may_ask(work, &found).await? {
        return Ok(found);
    }
    if given_up {
        given_up_lies(work, id).await?;
    } else {
        known(settle::look(work, id).await?.max(bank_payouts::look_again(work, id).await?))?;
    }
    Ok(transactions::find(&mut work.app.store.read().await?, &id.to_string()).await?)
}

/// Before a failed payment is marked as paid outside: what people have called not made is looked for once more, and what became
/// of money that two people have given up.
///
/// # Errors
/// [`OpsError::Unreachable`] when the vendor does not answer; when there is no such payment or the database does not answer.
pub async fn before_outside(work: &Work, id: TransactionId) -> Result<()> {
    called_not_made(work, id).await?;
    let found = transactions::find(&mut work.app.store.read().await?, &id.to_string()).await?;
    let given_up = found.state == State::WrittenOff && !found.closed();
    if given_up && may_ask(work, &found).await? {
        given_up_lies(work, id).await?;
    }
    Ok(())
}

/// What became of money that two people have given up. What is not shown rests on their word.
async fn given_up_lies(work: &Work, id: TransactionId) -> Result<()> {
    let looked = settle::look(work, id).await?.max(bank_payouts::look_again(work, id).await?);
    if looked == Looked::NotShown { Ok(()) } else { known(looked) }
}

/// What people have called not made of a payment that has ended: the vendor may show it by now, and then the payment refuses.
async fn called_not_made(work: &Work, id: TransactionId) -> Result<()> {
    let found = transactions::find(&mut work.app.store.read().await?, &id.to_string()).await?;
    if found.closed() || !found.state.settled() || !may_ask(work, &found).await? {
        return Ok(());
    }
    known(prove::called_not_made(work, id).await?)
}

fn parked_at_stripe(of: &Transaction) -> bool {
    matches!(of.state, State::PayoutFailed | State::PayoutCanceled)
}

/// Whether the account that a payment was made from is the connected one.
async fn may_ask(work: &Work, of: &Transaction) -> Result<bool> {
    let account = of.vendor_account.as_deref();
    Ok(match of.terms.vendor {
        Vendor::Stripe => work.clients.stripe().await?.is_some_and(|stripe| stripe.may_have(account)),
        Vendor::PayPal => work.clients.paypal().await?.is_some_and(|paypal| paypal.may_have(account)),
    })
}

/// Whether a look says where parked money is. What the vendor has not answered may be that it has left: whoever acts all the
/// same pays twice, or takes another payment's money.
pub(super) fn known(looked: Looked) -> Result<()> {
    let told = match looked {
        Looked::Through => return Ok(()),
        Looked::NotShown => {
            "Stripe does not show us all that it has of this payment, so it is not known where the money is. Nothing was changed. If it stays so, two people can record what became of the money."
        }
        Looked::NotYet => {
            "Stripe has paid the payee's account out by a schedule of its own, or may have within the last minutes, and does not tell yet what that took. Nothing was changed. Shortly after midnight (UTC) try again in a few minutes, at any other time in some hours."
        }
        Looked::NotAnswered => {
            "The vendor did not answer, so it is not known where the money is. Nothing was changed; try again."
        }
    };
    Err(OpsError::Unreachable(Refusal::new("vendor_unreachable", told)))
}

/// Before a failed payment is sent again: what Stripe says of the payee's account, and, where the money lies in their balance,
/// whether the transfer still stands and nothing has paid it out, not even a bank payout that was called not made. What is
/// found is recorded, and the payment then refuses; were it sent, it would be paid out of another payment's money.
///
/// # Errors
/// [`OpsError::Unreachable`] when Stripe does not say where the money is; when there is no such payment or the database does
/// not answer.
pub async fn before_resubmit(work: &Work, id: TransactionId) -> Result<()> {
    fresh_account(work, id).await?;
    called_not_made(work, id).await?;
    let mut db = work.app.store.read().await?;
    let found = transactions::find(&mut db, &id.to_string()).await?;
    let attempts = transactions::attempts(&mut db, &[id]).await?;
    // What was found after the database was put back is settled first, and the payment says so.
    let waits = put_back::any_found(&mut db, Some(id)).await?;
    drop(db);
    if waits || !parked_at_stripe(&found) || found.closed() {
        return Ok(());
    }
    let stands = |one: &Attempt| one.leg == Leg::Transfer && !one.state.ended() && one.vendor_id.is_some();
    // The gates refuse what another account, or none, would have to pay.
    if !attempts.iter().any(stands) || !may_ask(work, &found).await? {
        return Ok(());
    }
    known(settle::look(work, id).await?.max(bank_payouts::look_again(work, id).await?))
}

/// Waits for the reversal of a recalled payment to be answered, for ten seconds at the most. Where Stripe refuses, the
/// transfer itself is asked about: it may have been reversed by somebody else.
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

/// Waits for the cancellation of an unclaimed payment to be answered and its item to be fetched, for ten seconds at the
/// most. Answers the payment, and why PayPal refused when it did.
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
