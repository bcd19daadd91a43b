//! Funding of bank payouts: reads connected balances, allocates them to the payouts waiting for them, and handles
//! payouts whose money is missing. Not here: which payouts are due and how they are committed (`dispatch`), and where
//! missing money went (`scheduled_payouts`).

use std::collections::{BTreeMap, HashMap};

use futures::StreamExt as _;
use payout::eligibility::Code;
use payout::ids::TransactionId;
use payout::money::{Currency, Vendor};
use vendors::ReadError;
use vendors::stripe::{ConnectedAccount, Stripe};

use super::pace::About;
use super::scheduled_payouts::{self, UnpayablePayout, UnpayableReason};
use super::submission::{QueueDecision, Ready};
use super::unfunded::Refusals;
use super::{Work, late};
use crate::ops::{Result, vendors as connections};
use crate::store::{self, outgoing, transactions};

/// How many connected balances are read concurrently.
const READS_AT_ONCE: usize = 32;
/// How many accounts are searched concurrently for what took their money.
const LOOKS_AT_ONCE: usize = 8;
/// The time limit for reading a balance: a slow one must not hold up payouts that are ready.
const READ_IN: std::time::Duration = std::time::Duration::from_secs(5);
/// The interval between balance reads for a waiting payout, by how long it has waited: an hour's wait can become a
/// day's, and each read is an API call.
fn look_again_us(waited_us: i64, longest_us: i64) -> i64 {
    match waited_us / 60_000_000 {
        ..10 => longest_us,
        10..120 => longest_us.max(300_000_000),
        120.. => longest_us.max(1_200_000_000),
    }
}

/// Retry delay after a failed read, when nothing was sent.
const LOOK_AGAIN_US: i64 = 2_000_000;
const HOUR_US: i64 = 3_600_000_000;
/// Some accounts take a day to make transferred money available; money still unavailable an hour after that is looked
/// for.
const LATE_US: i64 = 25 * HOUR_US;

/// Only the available part of a connected balance is paid out. Until then the payment is Payout Ready: transferred
/// money can take a day to become available, and a payout sent too early would be refused.
pub(super) async fn check_available_balance(
    work: &Work,
    payouts: Vec<Ready>,
    sorted: &mut QueueDecision,
    now: i64,
) -> Result<()> {
    if payouts.is_empty() {
        return Ok(());
    }
    let longest = work.app.config.longest_wait_us();
    let again = now + LOOK_AGAIN_US.min(longest);
    let Some(stripe) = work.clients.stripe().await? else {
        let waits = sorted.waiting.entry(again).or_default();
        waits.extend(
            payouts.iter().map(|one| (one.attempt.id, one.transaction.id, Some("vendor_not_connected"))),
        );
        return Ok(());
    };
    let mut accounts: BTreeMap<String, Vec<Ready>> = BTreeMap::new();
    for ready in with_refusals(work, payouts).await? {
        accounts.entry(ready.transaction.destination.address().to_owned()).or_default().push(ready);
    }
    // Keep this order: if another worker allocates the balance after the first of the three reads, the commit detects
    // it.
    let names: Vec<String> = accounts.keys().map(|account| shares_of(account)).collect();
    sorted.shares.extend(store::counted_each(&mut work.app.store.read().await?, &names).await?);
    let of: Vec<&str> = accounts.keys().map(String::as_str).collect();
    let spoken_for = reserved(work, &of).await?;
    let reads = futures::stream::iter(accounts).map(|(account, waiting)| {
        let client = stripe.client.clone();
        async move {
            let balance = match ConnectedAccount::parse(&account) {
                Some(account) => {
                    let asked = in_time(client.balance(Some(&account)));
                    work.ask_about(Vendor::Stripe, About::Balance, asked).await
                }
                None => Err(ReadError::Missing),
            };
            (waiting, balance)
        }
    });
    let mut reads = reads.buffer_unordered(work.concurrency(READS_AT_ONCE));
    let mut gone = Vec::new();
    while let Some((waiting, balance)) = reads.next().await {
        match balance {
            Ok(balance) => gone.push(allocate(waiting, &balance, &spoken_for, sorted, (now, longest))),
            // We may not see the account, or the answer is unreadable: that is an answer, and the transfer can still be
            // read.
            Err(error @ (ReadError::Missing | ReadError::Refused { .. } | ReadError::Unreadable(_))) => {
                let why = UnpayableReason::unknown(&error);
                gone.push(
                    waiting.into_iter().map(|ready| UnpayablePayout { ready, why: why.clone() }).collect(),
                );
            }
            Err(error) => {
                if let ReadError::Credentials(why) = &error {
                    connections::pause(&work.app, Vendor::Stripe, why).await?;
                }
                let waits = sorted.waiting.entry(again).or_default();
                let funds = Some(Code::WaitingForFunds.as_str());
                waits.extend(waiting.iter().map(|one| (one.attempt.id, one.transaction.id, funds)));
            }
        }
    }
    drop(reads);
    look_for(work, &stripe.client, gone, sorted, now).await
}

/// Reads how often Stripe refused earlier payouts of the same payments.
async fn with_refusals(work: &Work, mut payouts: Vec<Ready>) -> Result<Vec<Ready>> {
    let again = payouts.iter().filter(|one| one.attempt.number > 1);
    let again: Vec<TransactionId> = again.map(|one| one.transaction.id).collect();
    if again.is_empty() {
        return Ok(payouts);
    }
    let attempts = transactions::attempts(&mut work.app.store.read().await?, &again).await?;
    for ready in &mut payouts {
        let of = ready.transaction.id;
        ready.refusals = Refusals::among(attempts.iter().filter(|one| one.transaction == of));
    }
    Ok(payouts)
}

/// The counter of how often a connected account's balance was allocated to its payouts.
pub(super) fn shares_of(account: &str) -> String {
    format!("payouts:{account}")
}

async fn in_time<T>(
    question: impl Future<Output = std::result::Result<T, ReadError>>,
) -> std::result::Result<T, ReadError> {
    let late = |_| Err(ReadError::Unreachable("the balance took too long".to_owned()));
    tokio::time::timeout(READ_IN, question).await.unwrap_or_else(late)
}

/// Finds out what became of money that is missing or may be another payment's, several accounts concurrently. What
/// cannot be found out waits.
async fn look_for(
    work: &Work,
    stripe: &Stripe,
    gone: Vec<Vec<UnpayablePayout>>,
    sorted: &mut QueueDecision,
    now: i64,
) -> Result<()> {
    let gone = gone.into_iter().filter(|of_account| !of_account.is_empty());
    let looks = gone.map(|of_account| scheduled_payouts::look(work, stripe, of_account, now));
    let mut looks = futures::stream::iter(looks).buffer_unordered(work.concurrency(LOOKS_AT_ONCE));
    while let Some(found) = looks.next().await {
        let found = found?;
        sorted.settled.extend(found.settled);
        sorted.ready.extend(found.clear);
        sorted.unseen.extend(found.unseen);
        sorted.shown.extend(found.shown);
        sorted.came_back.extend(found.came_back);
        for ready in found.still {
            sorted.waits_for_funds(&ready, now, work.app.config.longest_wait_us());
        }
    }
    Ok(())
}

impl QueueDecision {
    /// The longer money has been missing, the less often we look.
    fn waits_for_funds(&mut self, ready: &Ready, now: i64, longest: i64) {
        let age = ready.waited_us(now);
        let waits = self.waiting.entry(now + look_again_us(age, longest)).or_default();
        waits.push((ready.attempt.id, ready.transaction.id, Some(Code::WaitingForFunds.as_str())));
    }
}

/// What committed payouts not yet known to be made will take from these accounts, in Stripe's units: the balance as
/// read may not be reduced by it yet. Payouts that wait for a person without a request, or that Stripe is known to have
/// made, take nothing more.
async fn reserved(work: &Work, accounts: &[&str]) -> Result<HashMap<(String, Currency), i64>> {
    let mut db = work.app.store.read().await?;
    let mut spoken_for: HashMap<(String, Currency), i64> = HashMap::new();
    for one in outgoing::under_way(&mut db, accounts).await? {
        let units = one.net.at(Vendor::Stripe).map_or(0, |amount| amount.units);
        let taken = spoken_for.entry((one.account, one.net.currency)).or_default();
        *taken = taken.saturating_add(units);
    }
    Ok(spoken_for)
}

/// Allocates the available balance to the payouts of one account, oldest first. Returns those that need a look: the
/// account does not hold their money at all, neither available nor pending; it has held it for over a day without
/// making it available; Stripe keeps refusing them although the money is shown; or the transfer is so old that the
/// available money may be another payment's.
fn allocate(
    waiting: Vec<Ready>,
    balance: &vendors::stripe::balance::Balance,
    spoken_for: &HashMap<(String, Currency), i64>,
    sorted: &mut QueueDecision,
    (now, longest): (i64, i64),
) -> Vec<UnpayablePayout> {
    let (mut left, mut gone): (HashMap<Currency, i64>, Vec<UnpayablePayout>) = (HashMap::new(), Vec::new());
    for ready in waiting {
        let net = ready.transaction.terms.net;
        let units = net.at(Vendor::Stripe).map_or(i64::MAX, |amount| amount.units);
        let taken = (ready.transaction.destination.address().to_owned(), net.currency);
        let taken = spoken_for.get(&taken).copied().unwrap_or(0);
        let available = balance.available_units(net.currency).unwrap_or(0);
        let left = left.entry(net.currency).or_insert(available.saturating_sub(taken));
        if *left >= units {
            *left -= units;
            match ready.refusals.filter(|refusals| refusals.for_long()) {
                Some(_) => gone.push(UnpayablePayout { ready, why: UnpayableReason::Refused }),
                None if late::is_late(&ready.transaction, now) => {
                    gone.push(UnpayablePayout { ready, why: UnpayableReason::Late })
                }
                None => sorted.ready.push(ready),
            }
        } else if balance.held_units(net.currency).is_some_and(|held| held < units) {
            gone.push(UnpayablePayout { ready, why: UnpayableReason::Short });
        } else if ready.waited_us(now) > LATE_US {
            // The money there may belong to another payment whose payout has no known outcome: resolve that one first.
            let why =
                if available >= units { UnpayableReason::Promised } else { UnpayableReason::Unavailable };
            gone.push(UnpayablePayout { ready, why });
        } else {
            sorted.waits_for_funds(&ready, now, longest);
        }
    }
    gone
}
