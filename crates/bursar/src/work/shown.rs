//! What the vendor shows now about an attempt's money: it is out, there is none, or it cannot be determined. Not here:
//! what that settles (`prove`), and payouts of Stripe's automatic schedule (`scheduled_payouts`).

use std::collections::BTreeSet;

use payout::Refusal;
use payout::law::NotNow;
use payout::money::Vendor;
use payout::transaction::{AttemptState, Fact, Leg};
use vendors::ReadError;
use vendors::paypal::batch as paypal_batch;
use vendors::stripe::transfer::Transfer;
use vendors::stripe::{ConnectedAccount, payout as bank};

use super::bank_payouts::Payouts;
use super::case::{Case, ShownMoney, ShownResult, is_other};
use super::submission;
use super::{Work, settle, unknown_objects};
use crate::ops::{OpsError, Result};
use crate::store::put_back;
use crate::store::submissions::Submission;
use crate::store::transactions::{Attempt, Transaction};

pub(super) async fn stripe_has(work: &Work, case: &Case, attempt: &Attempt) -> Result<ShownResult> {
    let Some(stripe) = work.clients.stripe().await? else { return Ok(Err(not_connected())) };
    let (of, ours) = (&case.transaction, attempt.id.to_string());
    if !stripe.may_have(of.vendor_account.as_deref()) {
        return Ok(Err(of_another_account()));
    }
    let stripe = &stripe.client;
    Ok(match attempt.leg {
        Leg::Transfer => stripe.transfers_by_group(&of.id.to_string()).await.map(|all| {
            let other = all.iter().filter(|one| is_other(attempt, &one.id));
            let mut stands = other.filter(|one| one.amount_reversed_units < one.amount_units);
            let its = stands.find(|one| {
                let mark = one.metadata.get("attempt");
                let known = attempt.state.ended() && attempt.vendor_id.as_ref() == Some(&one.id);
                known || mark == Some(&ours) || case.is_lost(&one.id, mark)
            });
            ShownMoney::of(its.map(|one| one.id.as_str()))
        }),
        Leg::Payout => match ConnectedAccount::parse(of.destination.address()) {
            Some(account) => {
                Payouts::read(stripe, &account, case.since()).await.map(|shown| shown.out((case, attempt)))
            }
            None => Ok(ShownMoney::NotSaid),
        },
        Leg::Reversal => match case.reversed(attempt) {
            Some(transfer) => stripe.reversals(transfer).await.map(|all| {
                let mut other = all.iter().filter(|one| is_other(attempt, &one.id));
                let its = other.find(|one| one.metadata.get("attempt") == Some(&ours));
                ShownMoney::of(its.map(|one| one.id.as_str()))
            }),
            None => Ok(ShownMoney::NotSaid),
        },
        Leg::Item | Leg::Cancel => Ok(ShownMoney::NotSaid),
    })
}

/// Whether a payout of Stripe's automatic schedule recorded as an attempt is out. It was never a request of ours.
pub(super) async fn made_by_schedule(work: &Work, case: &Case, attempt: &Attempt) -> Result<ShownResult> {
    let (of, account) = (&case.transaction, ConnectedAccount::parse(case.transaction.destination.address()));
    let (Some(object), Some(account), Leg::Payout) = (&attempt.vendor_id, account, attempt.leg) else {
        return Ok(Ok(ShownMoney::Nothing));
    };
    let Some(stripe) = work.clients.stripe().await? else { return Ok(Err(not_connected())) };
    if !stripe.may_have(of.vendor_account.as_deref()) {
        return Ok(Err(of_another_account()));
    }
    Ok(stripe.client.payout(&account, object).await.map(|one| match bank::fact(&one) {
        Some(Fact::PayoutFailed(_) | Fact::PayoutCanceled(_)) => ShownMoney::Nothing,
        Some(_) => ShownMoney::It(object.clone()),
        None => ShownMoney::NotSaid,
    }))
}

/// The PayPal batches to read for an attempt: those known or reported to have our key. For an open attempt, only
/// batches other than the recorded one.
pub(super) fn batches_of(attempt: &Attempt, carrier: &Submission, named: &[(String, String)]) -> Vec<String> {
    let said = named.iter().filter(|(of, _)| *of == carrier.id).map(|(_, id)| id);
    let holds = attempt.state.ended() || attempt.state == AttemptState::Review;
    let all: BTreeSet<&String> = said.chain(carrier.vendor_id.as_ref()).collect();
    all.into_iter().filter(|id| holds || Some(*id) != carrier.vendor_id.as_ref()).cloned().collect()
}

/// PayPal can be searched only by batch and item id. Without an id nothing can be concluded. Every batch is read: a
/// failed read of one does not hide what another shows.
pub(super) async fn paypal_has(
    work: &Work,
    (of, attempt, carrier): (&Transaction, &Attempt, &Submission),
    batches: Vec<String>,
) -> Result<ShownResult> {
    let Some(paypal) = work.clients.paypal().await? else { return Ok(Err(not_connected())) };
    if !paypal.may_have(of.vendor_account.as_deref()) {
        return Ok(Err(of_another_account()));
    }
    let (sent, ours) = (submission::item_ids(carrier).len(), of.id.to_string());
    let (mut shown, mut failed) =
        (if batches.is_empty() { ShownMoney::NotSaid } else { ShownMoney::Nothing }, Ok::<(), ReadError>(()));
    // The contradicting item may be in a batch not known here.
    let item = attempt.vendor_id.as_deref().filter(|_| attempt.state.ended());
    if let Some(item) = item {
        match paypal.client.item(item).await.map(|item| paypal_batch::item_fact(&item)) {
            Ok(Some(fact)) if submission::is_out(&fact) => return Ok(Ok(ShownMoney::It(item.to_owned()))),
            Ok(Some(_)) => {}
            Ok(None) => shown = ShownMoney::NotSaid,
            Err(error) => failed = Err(error),
        }
    }
    for batch in batches {
        let answer = match paypal.client.batch(&batch).await {
            Ok(batch) => has_in(&batch, &ours, sent, |item| settle::about_ours(of, item)),
            Err(error) => Err(error),
        };
        match answer {
            Ok(ShownMoney::It(item)) => return Ok(Ok(ShownMoney::It(item))),
            Ok(ShownMoney::Nothing) => {}
            Ok(ShownMoney::NotSaid) => shown = ShownMoney::NotSaid,
            Err(error) => failed = Err(error),
        }
    }
    Ok(failed.map(|()| shown))
}

/// Whether the money of our item is out. A batch in processing may not list it yet, so the answer is to wait. A batch
/// with an unknown status is judged by its items. An item that is missing, unreadable, has an unknown status or is not
/// about ours proves nothing: that is not "no". Only a refused batch may list fewer items than were sent.
fn has_in(
    batch: &paypal_batch::Batch,
    ours: &str,
    sent: usize,
    about_ours: impl Fn(&paypal_batch::Item) -> bool,
) -> ShownResult {
    let ended = matches!(batch.status.as_str(), "SUCCESS" | "DENIED" | "CANCELED");
    let refused = batch.items.is_empty() && paypal_batch::batch_refusal(batch).is_some();
    let read = batch.unread == 0 && submission::names_ours(batch);
    let whole = read && (refused || batch.items.len() >= sent);
    let not_said = || match matches!(batch.status.as_str(), "PENDING" | "PROCESSING") {
        false => Ok(ShownMoney::NotSaid),
        true => Err(ReadError::Unreachable("PayPal does not say yet what happened to it".to_owned())),
    };
    let Some(item) = batch.items.iter().find(|item| item.sender_item_id.as_deref() == Some(ours)) else {
        return if ended && whole { Ok(ShownMoney::Nothing) } else { not_said() };
    };
    match paypal_batch::fact_in(batch, item) {
        Some(_) if !about_ours(item) => Ok(ShownMoney::NotSaid),
        Some(fact) => Ok(ShownMoney::of(submission::is_out(&fact).then_some(item.payout_item_id.as_str()))),
        None => not_said(),
    }
}

pub(super) fn of_another_account() -> ReadError {
    ReadError::Unreachable(
        "the payment was made from a different account than the one connected now".to_owned(),
    )
}

pub(super) fn not_connected() -> ReadError {
    ReadError::Unreachable("the vendor is not connected".to_owned())
}

pub(super) fn unreachable(error: &ReadError) -> OpsError {
    let sentence = format!(
        "Bursar must ask the vendor before this is recorded, and that failed, so nothing was recorded and nothing has \
         changed. Try again later. The answer was: {error}"
    );
    OpsError::Unreachable(Refusal::new("vendor_unreachable", sentence))
}

pub(super) fn has_it(object: &str) -> OpsError {
    let why = NotNow::VendorHasIt;
    OpsError::Conflict(Refusal::new(why.code(), format!("{} Its id there is {object}.", why.sentence())))
}

/// For a payment with objects found after a restore, reads those first: if one is out, the payment counts as made. One
/// that moved no money, or came back, is thereby settled. A bank payout that carries our metadata but that no event
/// links to our key may be the payee's own, so it takes two people, as does an object that is no longer shown. Returns
/// the objects read, and whether all of them are over.
pub(super) async fn of_what_was_found(work: &Work, case: &Case) -> Result<(Vec<String>, bool)> {
    let id = case.transaction.id;
    let (mut looked_at, mut over) = (Vec::new(), true);
    for object in put_back::open_of(&mut work.app.store.read().await?, id).await? {
        match found_now(work, case, &object).await? {
            Ok(ShownMoney::It(object)) => return Err(has_it(&object)),
            Ok(ShownMoney::Nothing) => {}
            // An object no longer shown says nothing about the money.
            Ok(ShownMoney::NotSaid) | Err(ReadError::Missing | ReadError::Refused { .. }) => over = false,
            Err(error) => return Err(unreachable(&error)),
        }
        looked_at.push(object);
    }
    Ok((looked_at, over))
}

/// What the vendor shows now about a found object.
pub(super) async fn found_now(work: &Work, case: &Case, object: &str) -> Result<ShownResult> {
    let of = &case.transaction;
    // A lost database may have paid from a different account than the payment's.
    let account = put_back::account_of(&mut work.app.store.read().await?, object).await?;
    let account = account.as_deref().or(of.vendor_account.as_deref());
    if of.terms.vendor == Vendor::PayPal {
        let Some(paypal) = work.clients.paypal().await? else { return Ok(Err(not_connected())) };
        if !paypal.may_have(account) {
            return Ok(Err(of_another_account()));
        }
        let item = paypal.client.item(object).await;
        // With an unknown status it may be out.
        let out = |item: &paypal_batch::Item| {
            paypal_batch::item_fact(item).is_none_or(|fact| submission::is_out(&fact))
        };
        return Ok(item.map(|item| ShownMoney::of(out(&item).then_some(object))));
    }
    let Some(stripe) = work.clients.stripe().await? else { return Ok(Err(not_connected())) };
    if !stripe.may_have(account) {
        return Ok(Err(of_another_account()));
    }
    if object.starts_with("tr_") {
        let transfer = stripe.client.transfer(object).await;
        let stands = |one: &Transfer| one.amount_reversed_units < one.amount_units;
        return Ok(transfer.map(|one| ShownMoney::of(stands(&one).then_some(object))));
    }
    let Some(account) = ConnectedAccount::parse(of.destination.address()) else {
        return Ok(Ok(ShownMoney::NotSaid));
    };
    let asked = async {
        let payout = stripe.client.payout(&account, object).await?;
        if matches!(bank::fact(&payout), Some(Fact::PayoutFailed(_) | Fact::PayoutCanceled(_))) {
            return Ok(ShownMoney::Nothing);
        }
        let named =
            unknown_objects::named_payouts(&stripe.client, &account, (&of.id.to_string(), case.since()))
                .await?;
        Ok(if named.contains(object) { ShownMoney::It(object.to_owned()) } else { ShownMoney::NotSaid })
    };
    Ok(asked.await)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "ptx_01KJPWD6M0Z4JW52WS05TBXQEG";

    #[test]
    fn what_paypal_does_not_say_yet_is_no_no() {
        let item = |status: &str| paypal_batch::Item {
            payout_item_id: "i".into(),
            payout_batch_id: None,
            sender_batch_id: None,
            transaction_id: None,
            sender_item_id: Some(OURS.into()),
            status: status.into(),
            amount: None,
            fee: None,
            receiver: None,
            error: None,
            time_processed: None,
        };
        let batch = |status: &str, items: Vec<paypal_batch::Item>, unread| paypal_batch::Batch {
            payout_batch_id: "b".into(),
            sender_batch_id: None,
            status: status.into(),
            error: None,
            items,
            unread,
            total: None,
        };
        let told = |status: &str, items, unread| {
            has_in(&batch(status, items, unread), OURS, 2, |item| item.receiver.is_none()).ok()
        };
        let of_another = || paypal_batch::Item { receiver: Some("b@example.com".into()), ..item("SUCCESS") };
        let named = |name: &str| paypal_batch::Item { sender_item_id: Some(name.into()), ..item("SUCCESS") };
        let theirs = || named("ptx_01KJPWD6M0KHXJVPEQ86KKTY5P");
        assert_eq!(told("PENDING", vec![], 0), None);
        assert_eq!(told("PROCESSING", vec![], 0), None);
        assert_eq!(told("PROCESSING", vec![item("A_NEW_WORD")], 0), None);
        assert_eq!(told("A_NEW_WORD", vec![], 0), Some(ShownMoney::NotSaid));
        assert_eq!(
            told("SUCCESS", vec![], 1),
            Some(ShownMoney::NotSaid),
            "it may be the one that cannot be read"
        );
        assert_eq!(told("SUCCESS", vec![item("A_NEW_WORD")], 0), Some(ShownMoney::NotSaid));
        assert_eq!(told("SUCCESS", vec![of_another()], 0), Some(ShownMoney::NotSaid));
        assert_eq!(told("SUCCESS", vec![], 0), Some(ShownMoney::NotSaid), "it lists fewer than were sent");
        assert_eq!(
            told("SUCCESS", vec![theirs()], 0),
            Some(ShownMoney::NotSaid),
            "it lists fewer than were sent"
        );
        assert_eq!(told("SUCCESS", vec![theirs(), theirs()], 0), Some(ShownMoney::Nothing));
        assert_eq!(
            told("SUCCESS", vec![theirs(), named("OURS")], 0),
            Some(ShownMoney::NotSaid),
            "it may be ours"
        );
        assert_eq!(told("DENIED", vec![], 0), Some(ShownMoney::Nothing));
        assert_eq!(told("DENIED", vec![theirs()], 0), Some(ShownMoney::NotSaid));
        assert_eq!(told("SUCCESS", vec![item("FAILED")], 0), Some(ShownMoney::Nothing));
        assert_eq!(told("PROCESSING", vec![item("PENDING")], 0), Some(ShownMoney::It("i".to_owned())));
        assert_eq!(told("SUCCESS", vec![item("UNCLAIMED")], 0), Some(ShownMoney::It("i".to_owned())));
    }
}
