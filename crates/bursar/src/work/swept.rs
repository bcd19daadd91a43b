//! Payouts that Stripe made by its own schedule. Every connected account is put on the manual schedule when it is
//! connected; where somebody has put it back, Stripe pays out whatever the account holds, and our money with it. Such a
//! payout settles the leg that would have paid the same money, and is matched by the balance transactions it took.
//!
//! What is deliberately not here: guessing by amount or date. A payment whose money is gone and is in no payout waits.

use std::collections::HashMap;

use payout::ids::TransactionId;
use payout::money::Vendor;
use payout::transaction::Fact;
use vendors::ReadError;
use vendors::stripe::{ConnectedAccount, Stripe, payout as bank};

use super::Work;
use super::dispatch::{Ready, transfers_of};
use crate::ops::Result;
use crate::ops::record::Heard;
use crate::store::transactions::Attempt;

/// Finds out which of these payouts, all of one account that does not hold their money, Stripe has made by itself;
/// answers those as facts, and the rest.
///
/// # Errors
/// When the database does not answer. A vendor that does not answer settles nothing.
pub(super) async fn look(
    work: &Work,
    stripe: &Stripe,
    gone: Vec<Ready>,
) -> Result<(Vec<(Attempt, Heard)>, Vec<Ready>)> {
    let account = gone.first().and_then(|one| ConnectedAccount::parse(one.transaction.destination.address()));
    let Some(account) = account else { return Ok((Vec::new(), gone)) };
    let ids: Vec<TransactionId> = gone.iter().map(|one| one.transaction.id).collect();
    let transfers = transfers_of(&mut work.app.store.read().await?, &ids).await?;
    let mut taken = match work.ask(Vendor::Stripe, taken(stripe, &account, &gone, &transfers)).await {
        Ok(taken) => taken,
        Err(error) => {
            tracing::warn!(%account, %error, "an account holds less than was transferred to it, and could not be looked through");
            HashMap::new()
        }
    };
    let (mut settled, mut still) = (Vec::new(), Vec::new());
    for one in gone {
        match taken.remove(&one.transaction.id) {
            Some((payout, fact)) => settled.push((one.attempt.clone(), heard(&one.attempt, payout, fact))),
            None => still.push(one),
        }
    }
    Ok((settled, still))
}

/// The payout that took each transaction's money, and what it says.
async fn taken(
    stripe: &Stripe,
    account: &ConnectedAccount,
    gone: &[Ready],
    transfers: &HashMap<TransactionId, String>,
) -> std::result::Result<HashMap<TransactionId, (String, Fact)>, ReadError> {
    // A minute earlier, because the two clocks need not agree.
    let since = gone.iter().map(|one| one.transaction.created_at).min().unwrap_or_default() / 1_000_000 - 60;
    let mut by_payment: HashMap<String, (String, Fact)> = HashMap::new();
    for payout in stripe.payouts_since(account, since).await?.into_iter().filter(|payout| payout.automatic) {
        // One that failed has given the money back; then the account holds it.
        let fact = bank::fact(&payout).filter(|fact| matches!(fact, Fact::PayoutMade | Fact::PayoutPaid));
        let Some(fact) = fact else { continue };
        for entry in stripe.balance_transactions_of_payout(account, &payout.id).await? {
            by_payment.extend(entry.source.map(|source| (source, (payout.id.clone(), fact.clone()))));
        }
    }
    let mut taken = HashMap::new();
    if by_payment.is_empty() {
        return Ok(taken);
    }
    for one in gone {
        let Some(transfer) = transfers.get(&one.transaction.id) else { continue };
        let payment = stripe.transfer(transfer).await?.destination_payment;
        let found = payment.and_then(|payment| by_payment.get(&payment).cloned());
        taken.extend(found.map(|found| (one.transaction.id, found)));
    }
    tracing::warn!(%account, settled = taken.len(), "Stripe paid an account out by its own schedule; it is set to the manual one again");
    stripe.set_manual_schedule(account).await?;
    Ok(taken)
}

fn heard(attempt: &Attempt, payout: String, fact: Fact) -> Heard {
    Heard {
        transaction: attempt.transaction,
        attempt: attempt.id,
        fact,
        detail: Some(format!("Stripe paid it out by its own schedule, with {payout}")),
        vendor_id: Some(payout),
        submission: None,
        source: "poll",
        event_id: None,
    }
}
