//! Attributes changes to events. A payment's events are collected until its vendor is asked. Each change in the answer
//! is attributed to the event about the same object that says the same thing, or to none if there is no such event:
//! then the read found it out. Not here: asking and recording (`settle`).

use std::collections::HashMap;

use payout::ids::{AttemptId, TransactionId};
use payout::money::Vendor;
use payout::transaction::Fact;

use crate::ops::record::Observation;
use crate::store::events::LinkedEvent;
use crate::store::transactions::Attempt;

/// How well an event matches a change.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum EventMatch {
    None,
    /// About the same object, but reports something else.
    SameObject,
    Says,
}

/// Sets on each change the event it came from, if there is one.
pub(super) fn name_events<'a>(
    observations: &mut [Observation],
    linked: &[&LinkedEvent],
    attempts: impl Iterator<Item = &'a Attempt>,
) {
    let objects: HashMap<AttemptId, &str> =
        attempts.filter_map(|attempt| Some((attempt.id, attempt.vendor_id.as_deref()?))).collect();
    let mut events: HashMap<TransactionId, Vec<&LinkedEvent>> = HashMap::new();
    linked.iter().for_each(|event| events.entry(event.transaction).or_default().push(event));
    for change in observations {
        let object = change.vendor_id.as_deref().or_else(|| objects.get(&change.attempt).copied());
        let of = events.get(&change.transaction).into_iter().flatten();
        let fits = of.map(|event| (fit(event, &change.fact, object, change), event));
        // On a tie the newest wins: events are in order of arrival.
        let best = fits.filter(|(fit, _)| *fit > EventMatch::None).max_by_key(|(fit, _)| *fit);
        if let Some((_, event)) = best {
            change.source = "webhook";
            change.event_id = Some(event.event_id.clone());
        }
    }
}

fn fit(event: &LinkedEvent, fact: &Fact, object: Option<&str>, change: &Observation) -> EventMatch {
    let (same, says) = match event.vendor {
        Vendor::Stripe => {
            // No event of the transfer reports what Stripe's automatic schedule paid out.
            let swept = matches!(fact, Fact::Swept { .. });
            let same = !swept && event.object_id.is_some() && event.object_id.as_deref() == object;
            (same, stripe(fact).contains(&event.event_type.as_str()))
        }
        Vendor::PayPal => {
            let body = event.body.as_deref().unwrap_or_default();
            let Ok(told) = ::vendors::paypal::event::parse(body.as_bytes()) else { return EventMatch::None };
            let item = told.payout_item_id.is_some() && told.payout_item_id.as_deref() == object;
            let ours = told.sender_item_id.as_deref() == Some(&change.transaction.to_string());
            (item || ours, told.status.as_deref().is_some_and(|status| paypal(fact).contains(&status)))
        }
    };
    match (same, says) {
        (false, _) => EventMatch::None,
        (true, false) => EventMatch::SameObject,
        (true, true) => EventMatch::Says,
    }
}

/// The Stripe event types that report this fact.
fn stripe(fact: &Fact) -> &'static [&'static str] {
    match fact {
        Fact::TransferMade => &["transfer.created"],
        Fact::ReversalMade | Fact::TransferReversed | Fact::TransferReversedPartly(_) | Fact::PartBack(_) => {
            &["transfer.reversed", "transfer.updated"]
        }
        Fact::PayoutMade => &["payout.created", "payout.updated"],
        Fact::PayoutPaid => &["payout.paid"],
        Fact::PayoutFailed(_) => &["payout.failed"],
        Fact::PayoutCanceled(_) => &["payout.canceled"],
        Fact::Sent(_)
        | Fact::Unknown(_)
        | Fact::Review(_)
        | Fact::Refused(..)
        | Fact::Withheld(_)
        | Fact::Unfunded(_)
        | Fact::ItemPending
        | Fact::ItemPaid
        | Fact::ItemFailed(_)
        | Fact::ItemUnclaimed(_)
        | Fact::ItemOnHold(_)
        | Fact::ItemReturned(_)
        | Fact::ItemBlocked(_)
        | Fact::ItemRefunded
        | Fact::ItemReversed
        | Fact::FeeKnown(_)
        | Fact::OutOfSight(..)
        | Fact::FoundAfterAll(_)
        | Fact::Swept { .. }
        | Fact::CancelMade => &[],
    }
}

/// The PayPal item statuses that report this fact.
fn paypal(fact: &Fact) -> &'static [&'static str] {
    match fact {
        Fact::ItemPending => &["NEW", "PENDING", "PROCESSING"],
        Fact::ItemPaid => &["SUCCESS"],
        Fact::ItemFailed(_) => &["FAILED", "DENIED", "CANCELED"],
        Fact::ItemUnclaimed(_) => &["UNCLAIMED"],
        Fact::ItemOnHold(_) => &["ONHOLD"],
        Fact::ItemReturned(_) | Fact::CancelMade => &["RETURNED"],
        Fact::ItemBlocked(_) => &["BLOCKED"],
        Fact::ItemRefunded => &["REFUNDED"],
        Fact::ItemReversed => &["REVERSED"],
        Fact::Sent(_)
        | Fact::Unknown(_)
        | Fact::Review(_)
        | Fact::Refused(..)
        | Fact::Withheld(_)
        | Fact::Unfunded(_)
        | Fact::TransferMade
        | Fact::ReversalMade
        | Fact::PayoutMade
        | Fact::PayoutPaid
        | Fact::PayoutFailed(_)
        | Fact::PayoutCanceled(_)
        | Fact::FeeKnown(_)
        | Fact::TransferReversed
        | Fact::TransferReversedPartly(_)
        | Fact::PartBack(_)
        | Fact::OutOfSight(..)
        | Fact::FoundAfterAll(_)
        | Fact::Swept { .. } => &[],
    }
}
