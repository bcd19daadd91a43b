//! Look-ups that a face may await before or after one verb, never inside it: a fresh balance before Pay, a hand refresh,
//! the outcome of a reversal.

use std::time::Duration;

use payout::ids::TransactionId;
use payout::money::{Money, Vendor, from_units};

use super::{Work, settle};
use crate::ops::pay::Balances;
use crate::ops::{Result, transactions as verbs};
use crate::store::transactions::{self, Transaction};

/// How long a face waits for a reversal before it says "not known yet".
const REVERSAL: Duration = Duration::from_secs(10);
/// How often it looks meanwhile.
const LOOK: Duration = Duration::from_millis(100);

/// The balances at the vendors, read now. What cannot be read is left out: unknown warns, it does not block.
pub async fn balances(work: &Work) -> Balances {
    let Ok(Some(stripe)) = work.clients.stripe().await else { return Balances::default() };
    let read = tokio::time::timeout(Duration::from_secs(5), stripe.client.balance(None)).await;
    let Ok(Ok(balance)) = read else { return Balances::default() };
    let rows = balance.available.iter().filter_map(|funds| {
        let money: Money = from_units(Vendor::Stripe, funds.units, funds.currency).ok()?;
        Some((Vendor::Stripe, money))
    });
    Balances(rows.collect())
}

/// Asks the vendor about a payment now and applies what it says.
///
/// # Errors
/// When there is no such payment or the database does not answer.
pub async fn refresh(work: &Work, id: TransactionId) -> Result<Transaction> {
    verbs::ask_now(&work.app, id).await?;
    settle::about(work, &[id], work.app.clock.now(), "person").await?;
    let mut db = work.app.store.read().await?;
    Ok(transactions::find(&mut db, &id.to_string()).await?)
}

/// Waits for the reversal of a recalled payment to be answered, for ten seconds at the most.
///
/// # Errors
/// When the database does not answer.
pub async fn reversal(work: &Work, id: TransactionId) -> Result<Transaction> {
    let waiting = async {
        loop {
            let mut db = work.app.store.read().await?;
            let transaction = transactions::find(&mut db, &id.to_string()).await?;
            drop(db);
            if !verbs::recalling(&transaction) {
                return Ok(transaction);
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    match tokio::time::timeout(REVERSAL, waiting).await {
        Ok(outcome) => outcome,
        Err(_) => {
            let mut db = work.app.store.read().await?;
            Ok(transactions::find(&mut db, &id.to_string()).await?)
        }
    }
}
