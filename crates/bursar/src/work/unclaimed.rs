//! Objects Stripe has for a payment that none of its attempts is known to have: created by a lost database, or by a
//! request that ended here as not made. Not here: what becomes of them (`recheck`, `search`, `prove`).

use std::collections::BTreeSet;

use payout::transaction::{AttemptState, Fact, Leg};
use vendors::ReadError;
use vendors::stripe::transfer::Transfer;
use vendors::stripe::{ConnectedAccount, Stripe, payout as bank};

use crate::store::transactions::{Attempt, Transaction};

/// Look from a week before the payment was created by our clock, which may have been days ahead of the vendor's.
/// Objects are identified by our key, our metadata or what they took, never by time.
pub(super) const EARLIER_S: i64 = 7 * 86_400;

/// The start of the look, as a Unix second.
pub(super) fn since(of: &Transaction) -> i64 {
    of.created_at / 1_000_000 - EARLIER_S
}

/// A Stripe object for a payment that belongs to none of its known attempts: money that is out, or may be.
pub(super) enum UnclaimedObject {
    /// A transfer in its transfer group.
    Transfer(Transfer),
    /// A bank payout that names the payment; `named` if an event says it was created with one of our keys.
    Payout { payout: bank::Payout, named: bool },
}

impl UnclaimedObject {
    /// Stripe's id for it.
    pub(super) fn id(&self) -> &str {
        match self {
            Self::Transfer(made) => &made.id,
            Self::Payout { payout, .. } => &payout.id,
        }
    }

    /// Which leg it is of.
    pub(super) fn leg(&self) -> Leg {
        match self {
            Self::Transfer(_) => Leg::Transfer,
            Self::Payout { .. } => Leg::Payout,
        }
    }

    /// The attempt id in its metadata.
    pub(super) fn mark(&self) -> Option<&String> {
        match self {
            Self::Transfer(made) => made.metadata.get("attempt"),
            Self::Payout { payout, .. } => payout.metadata.get("attempt"),
        }
    }
}

/// Every Stripe object for a payment that belongs to none of its known attempts. Bank payouts are recognized by our
/// key, which an event names, or by our metadata, which the payee can overwrite and copy.
///
/// # Errors
/// If Stripe does not answer, or does not show everything.
pub(super) async fn others(
    stripe: &Stripe,
    of: &Transaction,
    attempts: &[Attempt],
) -> std::result::Result<Vec<UnclaimedObject>, ReadError> {
    let (ours, known) =
        (of.id.to_string(), |id: &str| attempts.iter().any(|one| one.vendor_id.as_deref() == Some(id)));
    let group = stripe.transfers_by_group(&ours).await?;
    // A list that omits a known transfer may omit others.
    let made = |one: &&Attempt| one.leg == Leg::Transfer && one.state != AttemptState::Failed;
    let mut made = attempts.iter().filter(made).filter_map(|one| one.vendor_id.as_deref());
    if let Some(missing) = made.find(|id| group.iter().all(|one| one.id != **id)) {
        return Err(ReadError::Unreadable(format!("Stripe's list leaves out the transfer {missing}")));
    }
    // Without a transfer there was nothing to pay out.
    let transferred = !group.is_empty();
    let stands = |one: &Transfer| one.amount_reversed_units < one.amount_units;
    let transfers = group.into_iter().filter(|one| stands(one) && !known(&one.id));
    let mut others: Vec<UnclaimedObject> = transfers.map(UnclaimedObject::Transfer).collect();
    let Some(account) = ConnectedAccount::parse(of.destination.address()).filter(|_| transferred) else {
        return Ok(others);
    };
    let since = since(of);
    let named = named_payouts(stripe, &account, (&ours, since)).await?;
    let all = stripe.payouts_since(&account, since).await?;
    if let Some(hidden) = named.iter().find(|id| !known(id) && all.iter().all(|one| one.id != **id)) {
        let message =
            format!("an event names our key for the payout {hidden:?}, but {account} does not list it");
        return Err(ReadError::Unreadable(message));
    }
    let over =
        |one: &bank::Payout| matches!(bank::fact(one), Some(Fact::PayoutFailed(_) | Fact::PayoutCanceled(_)));
    for payout in all.into_iter().filter(|one| !known(&one.id) && !over(one)) {
        let named = named.contains(&payout.id);
        if named || (!payout.automatic && payout.metadata.get("transaction") == Some(&ours)) {
            others.push(UnclaimedObject::Payout { payout, named });
        }
    }
    Ok(others)
}

/// The bank payouts that events link to a payment by one of our keys, whatever the attempt number: a lost database may
/// have made more attempts. A missing id becomes an empty string.
pub(super) async fn named_payouts(
    stripe: &Stripe,
    account: &ConnectedAccount,
    (of, since): (&str, i64),
) -> std::result::Result<BTreeSet<String>, ReadError> {
    let any_number = format!("{}:{of}:", Leg::Payout.key_prefix());
    let events = stripe.payout_created_events(account, since).await?.into_iter();
    let ours =
        events.filter(|event| event.idempotency_key.as_ref().is_some_and(|key| key.starts_with(&any_number)));
    Ok(ours.map(|event| event.object_id.unwrap_or_default()).collect())
}
