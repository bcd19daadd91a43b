//! A payout of Stripe's automatic schedule that a person found, and whether it took the money of a payment.

use payout::ids::TransactionId;
use payout::money::Money;
use payout::transaction::{AttemptState, Fact, Leg};
use vendors::ReadError;
use vendors::stripe::{ConnectedAccount, Stripe, payout as bank};

use super::{BalanceUse, Case, FindingResult, LookupDepth, NOT_YET, made, took};
use crate::clock::Clock;
use crate::ops::Result;
use crate::ops::by_hand::Finding;
use crate::store::transactions::{self, Attempt};
use crate::work::{Work, scheduled_payouts};

/// A person found a payout of Stripe's automatic schedule that took the money of a payment from the payee's balance.
/// The balance transactions it covers prove it. If Stripe does not show those, a payout large enough for this payment
/// on top of the others it settled needs two people.
pub(super) async fn swept_by(
    work: &Work,
    case: &Case,
    id: &str,
    others: &[TransactionId],
) -> Result<FindingResult> {
    let Some(stripe) = work.clients.stripe().await?.filter(|_| id.starts_with("po_")) else {
        return Ok(Ok(None));
    };
    let of = &case.transaction;
    let account = ConnectedAccount::parse(of.destination.address());
    let Some(account) = account.filter(|_| stripe.may_have(of.vendor_account.as_deref())) else {
        return Ok(Ok(None));
    };
    let others = transactions::several(&mut work.app.store.read().await?, others).await?;
    let settled_minor = others.iter().map(|other| other.terms.net.minor).sum();
    Ok(at_schedule((&stripe.client, &work.app.clock), (case, settled_minor), &account, id).await)
}

async fn at_schedule(
    (stripe, clock): (&Stripe, &Clock),
    (case, settled_minor): (&Case, i64),
    account: &ConnectedAccount,
    id: &str,
) -> FindingResult {
    let of = &case.transaction;
    let found = stripe.payout(account, id).await?;
    let out = bank::fact(&found).filter(|fact| matches!(fact, Fact::PayoutMade | Fact::PayoutPaid));
    let Some(fact) = out.filter(|_| found.automatic) else { return Ok(None) };
    // Already known to have been paid by it, and contradicted since because the transfer came back.
    let is_known = |one: &&Attempt| one.contradicted_at.is_some() && one.vendor_id.as_deref() == Some(id);
    if let Some(known) = case.attempts.iter().find(is_known) {
        return Ok(made(known, Some((fact, None)), id, id));
    }
    let waiting = |one: &&Attempt| one.leg == Leg::Payout && one.state == AttemptState::Review;
    let (attempt, fact) = match (case.attempts.iter().find(waiting), case.lying()) {
        (Some(waits), _) => (waits, fact),
        (None, Some(transfer)) => (transfer, scheduled_payouts::paid_by_schedule(id, &fact)),
        (None, None) => return Ok(None),
    };
    let (vendor_id, carrier_id) = (id.to_owned(), id.to_owned());
    // The returned part concerns only the transfer.
    let part_back = |took: &BalanceUse| took.part_back.filter(|_| attempt.leg == Leg::Transfer);
    let swept_by = |proven, part_back| Finding::Made {
        attempt: attempt.id,
        fact,
        part_back,
        vendor_id,
        carrier_id,
        proven,
        lost: None,
    };
    Ok(match took((stripe, clock), (case, LookupDepth::Payouts), account).await {
        // If only the rest of a transfer was paid out, the payee has less than the payment; two people must decide.
        Ok(took) => {
            let is_it = took.payout.as_ref().is_some_and(|(payout, _)| payout == id);
            if !is_it && took.not_yet {
                return Err(ReadError::Unreachable(NOT_YET.to_owned()));
            }
            is_it.then(|| swept_by(took.whole, part_back(&took)))
        }
        // Stripe does not show what it took. It may include this payment, after the others it settled.
        Err(ReadError::Missing | ReadError::Refused { .. }) => {
            let covers = found.created >= case.since() && covers(&found, settled_minor, of.terms.net);
            covers.then(|| swept_by(false, None))
        }
        Err(error) => return Err(error),
    })
}

/// Whether a payout that settled this much for other payments may have paid this one too.
pub(super) fn covers(found: &bank::Payout, settled_minor: i64, net: Money) -> bool {
    let left = |money: Money| money.minor.saturating_sub(settled_minor);
    found.money().is_some_and(|money| money.currency == net.currency && left(money) >= net.minor)
}
