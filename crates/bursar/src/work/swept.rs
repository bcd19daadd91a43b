//! Transferred money that a connected balance does not hold. Every connected account is put on the manual schedule when
//! it is connected; where somebody has put it back, Stripe pays out whatever the account holds, and our money with it. Such
//! a payout settles the leg that would have paid the same money, and is matched by the balance transactions it took. Or
//! somebody has reversed the transfer. Or the money is gone: then a person is told, after a while.
//!
//! What is deliberately not here: guessing by amount or date.

use std::collections::HashMap;

use payout::deadline;
use payout::eligibility::Code;
use payout::ids::TransactionId;
use payout::money::Vendor;
use payout::transaction::{Fact, Leg, Reason};
use vendors::ReadError;
use vendors::stripe::{ConnectedAccount, Stripe, payout as bank};

use super::dispatch::Ready;
use super::{Work, settle};
use crate::ops::Result;
use crate::ops::record::Heard;
use crate::store::transactions::{self, Attempt};

/// A payout whose money is not there to be paid out.
pub(super) struct Gone {
    pub(super) ready: Ready,
    /// Why it is not, in words, and since when it must be there to be called missing.
    pub(super) why: Why,
}

/// Why money cannot be paid out.
#[derive(Clone)]
pub(super) enum Why {
    /// The balance holds less than was transferred.
    Short,
    /// It is held, and has not become available for long.
    Unavailable,
    /// Stripe does not show the balance to us: its words.
    Hidden(String),
}

impl Why {
    /// For so long it is waited for.
    fn patience_us(&self) -> i64 {
        match self {
            Self::Short => deadline::MISSING_US,
            Self::Unavailable => deadline::UNAVAILABLE_US,
            Self::Hidden(_) => deadline::UNSEEN_US,
        }
    }

    fn reason(&self) -> Reason {
        match self {
            Self::Short => {
                Reason::new(Code::MoneyMissing.as_str(), "The balance holds less than was transferred to it.")
            }
            Self::Unavailable => Reason::new(
                Code::MoneyMissing.as_str(),
                "The balance holds money, but what was transferred for this payment has not become available.",
            ),
            Self::Hidden(words) => Reason::new("not_shown_by_vendor", words.as_str()),
        }
    }
}

/// Finds out what became of the money of these payouts, all of one account: which Stripe has paid out by itself, which was
/// taken back, and which is missing for so long that a person must look. Answers those as facts, and the rest.
///
/// # Errors
/// When the database does not answer. A vendor that does not answer settles nothing.
pub(super) async fn look(
    work: &Work,
    stripe: &Stripe,
    gone: Vec<Gone>,
    now: i64,
) -> Result<(Vec<(Attempt, Heard)>, Vec<Ready>)> {
    let account =
        gone.first().and_then(|one| ConnectedAccount::parse(one.ready.transaction.destination.address()));
    let Some(account) = account else {
        return Ok((Vec::new(), gone.into_iter().map(|one| one.ready).collect()));
    };
    let ids: Vec<TransactionId> = gone.iter().map(|one| one.ready.transaction.id).collect();
    let transfers = transfers(work, &ids).await?;
    let mut taken = match work.ask(Vendor::Stripe, taken(stripe, &account, &gone, &transfers)).await {
        Ok(taken) => taken,
        Err(error) => {
            tracing::warn!(%account, %error, "an account holds less than was transferred to it, and could not be looked through");
            return Ok((Vec::new(), gone.into_iter().map(|one| one.ready).collect()));
        }
    };
    let (mut settled, mut still) = (Vec::new(), Vec::new());
    for one in gone {
        let Gone { ready, why } = one;
        let age = now.saturating_sub(ready.transaction.state_at);
        match taken.remove(&ready.transaction.id) {
            Some(heard) => settled.push((ready.attempt, heard)),
            None if age >= why.patience_us() => {
                let reason = why.reason();
                let detail = reason.message.clone();
                let heard = heard(&ready.attempt, Fact::OutOfSight(Leg::Payout, reason), detail);
                settled.push((ready.attempt, heard));
            }
            None => still.push(ready),
        }
    }
    Ok((settled, still))
}

/// The transfers of these payments that stand, as far as we know.
async fn transfers(work: &Work, ids: &[TransactionId]) -> Result<HashMap<TransactionId, Attempt>> {
    let attempts = transactions::attempts(&mut work.app.store.read().await?, ids).await?;
    let stand = attempts.into_iter().filter(|one| one.leg == Leg::Transfer && !one.state.ended());
    Ok(stand.map(|one| (one.transaction, one)).collect())
}

/// What became of each payment's money: the payout of Stripe's own that took it, or the reversal of its transfer.
async fn taken(
    stripe: &Stripe,
    account: &ConnectedAccount,
    gone: &[Gone],
    transfers: &HashMap<TransactionId, Attempt>,
) -> std::result::Result<HashMap<TransactionId, Heard>, ReadError> {
    let (mut found, mut payments) = (HashMap::new(), HashMap::new());
    for one in gone {
        let id = one.ready.transaction.id;
        let Some(attempt) = transfers.get(&id) else { continue };
        let Some(object) = &attempt.vendor_id else { continue };
        let transfer = stripe.transfer(object).await?;
        let (told, fact) = settle::transfer_fact(&transfer);
        if let Some(fact) = fact {
            found.insert(id, heard(attempt, fact, format!("Stripe says {told}")));
        } else if let Some(payment) = transfer.destination_payment {
            payments.insert(id, payment);
        }
    }
    let shown = gone.iter().any(|one| !matches!(one.why, Why::Hidden(_)));
    if payments.is_empty() || !shown {
        return Ok(found);
    }
    // A day earlier, because the two clocks need not agree; what a payout took is what identifies it.
    let since = gone.iter().map(|one| one.ready.transaction.created_at).min().unwrap_or_default() / 1_000_000
        - 86_400;
    let mut by_payment: HashMap<String, (String, Fact)> = HashMap::new();
    for payout in stripe.payouts_since(account, since).await?.into_iter().filter(|payout| payout.automatic) {
        // One that failed has given the money back; then the account holds it.
        let fact = bank::fact(&payout).filter(|fact| matches!(fact, Fact::PayoutMade | Fact::PayoutPaid));
        let Some(fact) = fact else { continue };
        for entry in stripe.balance_transactions_of_payout(account, &payout.id).await? {
            by_payment.extend(entry.source.map(|source| (source, (payout.id.clone(), fact.clone()))));
        }
    }
    if by_payment.is_empty() {
        return Ok(found);
    }
    for one in gone {
        let payment = payments.get(&one.ready.transaction.id);
        let Some((payout, fact)) = payment.and_then(|payment| by_payment.get(payment).cloned()) else {
            continue;
        };
        let detail = format!("Stripe paid it out by its own schedule, with {payout}");
        let told = Heard { vendor_id: Some(payout), ..heard(&one.ready.attempt, fact, detail) };
        found.insert(one.ready.transaction.id, told);
    }
    tracing::warn!(%account, settled = found.len(), "Stripe paid an account out by its own schedule; it is set to the manual one again");
    stripe.set_manual_schedule(account).await?;
    Ok(found)
}

fn heard(attempt: &Attempt, fact: Fact, detail: String) -> Heard {
    Heard {
        transaction: attempt.transaction,
        attempt: attempt.id,
        fact,
        detail: Some(detail),
        vendor_id: None,
        submission: None,
        source: "poll",
        event_id: None,
    }
}
