//! Objects that an event links to a submission by our own key. A field only we write (an idempotency key, a
//! `sender_batch_id`) proves nothing about the money but says where to look: the object is fetched, compared with the
//! exact bytes we stored, and only then adopted if its outcome was unknown, or reported as a contradiction if it had
//! ended here as not made.

use payout::deadline;
use payout::money::Vendor;
use payout::transaction::{AttemptState, Fact, Leg};
use vendors::paypal::batch::{self as paypal_batch, Batch};
use vendors::stripe::{ConnectedAccount, Expect, payout as bank};
use vendors::{MoneyKind, MoneyRequest, ReadError};

use super::aside::{self, AsideKind};
use super::submission;
use super::{PassResult, Work};
use crate::ops::Result;
use crate::ops::record::contradiction::made_twice;
use crate::ops::record::{self, Observation};
use crate::store::events;
use crate::store::named::{self, NamedObject};
use crate::store::submissions::{Submission, SubmissionState};
use crate::store::transactions::{self, Attempt};
use crate::transact;

/// How many objects one pass looks at.
const AT_ONCE: i64 = 50;
/// The lease for one look, and the retry delay if the vendor did not answer.
const LEASE_US: i64 = 60_000_000;
/// A look without a result is repeated after a minute, then after twice as long each time, at least daily, until this
/// long after the object was first named. A person has been told by then.
const LOOKED_FOR_US: i64 = 30 * DAY_US;
const DAY_US: i64 = 86_400_000_000;

/// One pass for one vendor: looks at the objects named by events.
pub(super) async fn once(work: &Work, vendor: Vendor, now: i64) -> PassResult {
    let app = &work.app;
    let due = transact!(app, |tx| { Ok(named::lease(tx, vendor, now, now + LEASE_US, AT_ONCE).await?) })?;
    let mut done = 0;
    for one in due {
        match look_at(work, &one).await {
            Ok(adopted) => done += usize::from(adopted),
            Err(error) if aside::about_a_row(&error) => {
                aside::put(work, AsideKind::Named, &one.submission.id, &error).await?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Looks at one named object. Returns whether it was adopted.
async fn look_at(work: &Work, of: &NamedObject) -> Result<bool> {
    let (app, submission, object) = (&work.app, &of.submission, of.object.as_str());
    let denied = named::called_not_made(&mut app.store.read().await?, &submission.id).await?;
    let known =
        submission.state == SubmissionState::Accepted && submission.vendor_id.as_deref() == Some(object);
    // Our own answer, or a person, has already established it. Objects people reported as not made are compared anyway.
    if known && !denied {
        transact!(app, |tx| { Ok(named::looked(tx, &submission.id, object, None).await?) })?;
        return Ok(false);
    }
    match look(work, submission, object).await? {
        Comparison::Ours(our_object) => {
            adopt(work, of, &our_object).await?;
            return Ok(true);
        }
        Comparison::NotOurs(why) => {
            tracing::warn!(
                key = submission.key,
                object,
                why,
                "an event names our key for something else; nothing was recorded"
            );
            transact!(app, |tx| { Ok(named::looked(tx, &submission.id, object, None).await?) })?;
        }
        Comparison::NotSeen(why) => not_seen(work, of, &why).await?,
        // The lease expires by itself.
        Comparison::Later => {}
    }
    Ok(false)
}

/// The vendor does not show us the object, or not in a form that can be compared with what we sent. The vendor's event
/// says it was made under our key, so it is looked at again with increasing delays. If it had ended here as not made, a
/// person must eventually find out, because it may have been made.
async fn not_seen(work: &Work, of: &NamedObject, why: &str) -> Result<()> {
    let (app, submission) = (&work.app, &of.submission);
    tracing::warn!(
        key = submission.key,
        object = of.object,
        why,
        looks = of.looks,
        "an event names our key for an object that cannot be compared with what was sent"
    );
    transact!(app, |tx| {
        let now = app.clock.now();
        let age = now.saturating_sub(of.since);
        let again = (age < LOOKED_FOR_US).then(|| now.saturating_add(wait_us(of.looks)));
        if age >= deadline::UNSEEN_US && !of.notified {
            let carried =
                transactions::attempts_of_submissions(tx, std::slice::from_ref(&submission.id)).await?;
            let ended = |one: &&Attempt| one.state == AttemptState::Failed && one.reason_code.is_some();
            let message = format!("the vendor says that it made {} under our key, but {why}", of.object);
            let observations: Vec<Observation> = carried
                .iter()
                .filter(ended)
                .map(|one| Observation {
                    detail: Some(message.clone()),
                    ..of_object(one, Fact::FoundAfterAll(one.leg), None)
                })
                .collect();
            if !observations.is_empty() {
                record::record(tx, app, "events", &observations).await?;
                named::told(tx, &submission.id, &of.object, now).await?;
            }
        }
        Ok(named::looked(tx, &submission.id, &of.object, again).await?)
    })
}

/// Whether the object a request creates is read by its own id. A reversal is read through its transfer, and a
/// cancellation creates no object.
pub(super) fn names(of: &Submission) -> bool {
    match MoneyKind::parse(&of.kind) {
        Some(MoneyKind::Transfer | MoneyKind::Payout | MoneyKind::Batch) => true,
        Some(MoneyKind::Reversal | MoneyKind::Cancel) | None => false,
    }
}

/// The delay after this many looks without a result.
fn wait_us(looks: i64) -> i64 {
    LEASE_US.saturating_mul(1 << looks.clamp(0, 20)).min(DAY_US)
}

/// The result of looking at a named object.
enum Comparison {
    Ours(OurObject),
    NotOurs(String),
    /// The vendor does not show it to us, or not completely; why, in words.
    NotSeen(String),
    /// Cannot be determined until later.
    Later,
}

/// An object that matches what we sent.
enum OurObject {
    /// A Stripe object: its id, the fact it reports, and whether its money is out.
    Stripe {
        id: String,
        fact: Option<Fact>,
        out: bool,
    },
    PayPal(Batch),
}

async fn look(work: &Work, of: &Submission, object: &str) -> Result<Comparison> {
    let Some(kind) = MoneyKind::parse(&of.kind) else {
        return Ok(Comparison::NotOurs("its kind".to_owned()));
    };
    let (path, account, body) = (of.path.clone(), of.account.clone(), of.body.clone().into_bytes());
    let Ok(request) = MoneyRequest::from_stored(kind, path, account, of.key.clone(), body) else {
        return Ok(Comparison::NotOurs("the stored request cannot be parsed".to_owned()));
    };
    let looked = match of.vendor {
        Vendor::PayPal => at_paypal(work, of, &request, object).await?,
        Vendor::Stripe => at_stripe(work, of, &request, object).await?,
    };
    Ok(match looked {
        Ok(found) => found,
        Err(error @ (ReadError::Missing | ReadError::Refused { .. })) => {
            Comparison::NotSeen(format!("does not show it: {error}"))
        }
        Err(error @ ReadError::Unreadable(_)) => {
            Comparison::NotSeen(format!("what it shows cannot be read: {error}"))
        }
        Err(ReadError::Credentials(_) | ReadError::RateLimited { .. } | ReadError::Unreachable(_)) => {
            Comparison::Later
        }
    })
}

type LookResult = std::result::Result<Comparison, ReadError>;

async fn at_paypal(
    work: &Work,
    of: &Submission,
    request: &MoneyRequest,
    batch_id: &str,
) -> Result<LookResult> {
    if request.kind() != MoneyKind::Batch {
        return Ok(Ok(Comparison::NotOurs("it is no batch".to_owned())));
    }
    let Some(paypal) = work.clients.paypal().await? else { return Ok(Ok(Comparison::Later)) };
    if !paypal.may_have(of.vendor_account.as_deref()) {
        return Ok(Ok(Comparison::Later));
    }
    Ok(work.ask(Vendor::PayPal, paypal.client.batch(batch_id)).await.map(|batch| {
        let refused = batch.items.is_empty() && paypal_batch::batch_refusal(&batch).is_some();
        if !refused && !comparable(&batch, &of.key, submission::item_ids(of).len()) {
            return Comparison::NotSeen(format!(
                "it lists fewer items than were sent, or unreadable ones (it is {})",
                batch.status
            ));
        }
        match paypal_batch::difference(request, &batch) {
            Some(difference) if !refused => Comparison::NotOurs(difference),
            Some(_) | None => Comparison::Ours(OurObject::PayPal(batch)),
        }
    }))
}

/// Whether a batch can be compared with ours. A batch that cannot be parsed completely, has items that do not name our
/// payments, or lists fewer items than were sent says nothing about what it omits, even after processing; it may still
/// be ours, unless it has another key.
fn comparable(batch: &Batch, key: &str, sent: usize) -> bool {
    let of_another = batch.sender_batch_id.as_deref().is_some_and(|theirs| theirs != key);
    of_another || (batch.unread == 0 && batch.items.len() >= sent && submission::names_ours(batch))
}

async fn at_stripe(work: &Work, of: &Submission, request: &MoneyRequest, object: &str) -> Result<LookResult> {
    let Some(stripe) = work.clients.stripe().await? else { return Ok(Ok(Comparison::Later)) };
    if !stripe.may_have(of.vendor_account.as_deref()) {
        return Ok(Ok(Comparison::Later));
    }
    let Ok(expect) = Expect::of(request) else {
        return Ok(Ok(Comparison::NotOurs("the stored request cannot be parsed".to_owned())));
    };
    let attempt = submission::field(request, "metadata[attempt]");
    let stripe = &stripe.client;
    let amount = |units: i64, currency: &str| {
        units == expect.amount_units && currency.eq_ignore_ascii_case(&expect.currency)
    };
    let same = |units: i64, currency: &str, marked: Option<&String>| {
        amount(units, currency) && marked == Some(&attempt)
    };
    let ours = |is_it: bool, id: String, fact, out| match is_it {
        true => Comparison::Ours(OurObject::Stripe { id, fact, out }),
        false => Comparison::NotOurs("another attempt, amount, currency or destination".to_owned()),
    };
    Ok(match request.kind() {
        MoneyKind::Transfer => work.ask(Vendor::Stripe, stripe.transfer(object)).await.map(|made| {
            let is_it = same(made.amount_units, &made.currency, made.metadata.get("attempt"))
                && Some(&made.destination) == expect.destination.as_ref();
            let out = made.amount_reversed_units < made.amount_units;
            ours(is_it, made.id, None, out)
        }),
        MoneyKind::Payout => match request.account().and_then(ConnectedAccount::parse) {
            Some(account) => work.ask(Vendor::Stripe, stripe.payout(&account, object)).await.map(|made| {
                // The payee can overwrite our metadata on it, but not the event that names our key.
                let is_it = amount(made.amount_units, &made.currency) && !made.automatic;
                let fact = bank::fact(&made);
                let out = !matches!(fact, Some(Fact::PayoutFailed(_) | Fact::PayoutCanceled(_)));
                ours(is_it, made.id, fact, out)
            }),
            None => Ok(Comparison::NotOurs("the payout names no account".to_owned())),
        },
        // The event names the transfer that was reversed.
        MoneyKind::Reversal => work.ask(Vendor::Stripe, stripe.reversals(object)).await.map(|all| {
            let made = all.into_iter().find(|made| made.metadata.get("attempt") == Some(&attempt));
            match made {
                Some(made) => ours(
                    same(made.amount_units, &made.currency, Some(&attempt))
                        && expect.destination.as_deref() == Some(object),
                    made.id,
                    None,
                    true,
                ),
                None => Comparison::NotOurs("no reversal of ours".to_owned()),
            }
        }),
        MoneyKind::Batch | MoneyKind::Cancel => {
            Ok(Comparison::NotOurs("a PayPal request at Stripe".to_owned()))
        }
    })
}

/// Records that the vendor has what we sent: an open submission is accepted, one that ended as not made is
/// contradicted. If a different object is already known as ours, the vendor made it twice: that is all that is recorded
/// of this one, if its money is out.
async fn adopt(work: &Work, of: &NamedObject, answer: &OurObject) -> Result<()> {
    let (app, of, object) = (&work.app, &of.submission, &of.object);
    let carrier_id = match answer {
        OurObject::Stripe { id, .. } => id.clone(),
        OurObject::PayPal(batch) => batch.payout_batch_id.clone(),
    };
    let recorded = transact!(app, |tx| {
        let now = app.clock.now();
        let carried = transactions::attempts_of_submissions(tx, std::slice::from_ref(&of.id)).await?;
        let ids: Vec<_> = carried.iter().map(|one| one.transaction).collect();
        transactions::lock(tx, &ids).await?;
        // Re-read under the lock.
        let carried = transactions::attempts_of_submissions(tx, std::slice::from_ref(&of.id)).await?;
        let first = named::adopt(tx, &of.id, &carrier_id, now).await?;
        named::looked(tx, &of.id, object, None).await?;
        let observations: Vec<Observation> = match first {
            true => {
                // For Stripe, only the attempt that takes the id makes the event known. If none does because the money
                // is back, it must stay parked; otherwise every look would unpark it again.
                if matches!(answer, OurObject::PayPal(_)) {
                    events::unpark(tx, std::slice::from_ref(&carrier_id)).await?;
                }
                carried
                    .iter()
                    .flat_map(|one| fact_of(one, answer).into_iter().chain(fee_of(one, answer)))
                    .collect()
            }
            false => carried.iter().filter_map(|one| second_of(one, answer, &carrier_id)).collect(),
        };
        let recorded = record::record(tx, app, "events", &observations).await?;
        transactions::ask_now(tx, &ids, now).await?;
        Ok(recorded)
    })?;
    if recorded.to_dispatch {
        app.nudge.dispatch.notify();
    }
    app.nudge.intake.notify();
    app.nudge.settle.notify();
    app.nudge.notify_watchers();
    Ok(())
}

/// A second object under an attempt's key: reported if its money is out. Ignored if people have already settled it as a
/// duplicate payment.
fn second_of(attempt: &Attempt, answer: &OurObject, carrier_id: &str) -> Option<Observation> {
    let out = match answer {
        OurObject::Stripe { out, .. } => *out,
        OurObject::PayPal(batch) => item_out(attempt, batch),
    };
    let counted = attempt.state == AttemptState::Failed && attempt.reason_code.is_none();
    let made = matches!(attempt.leg, Leg::Transfer | Leg::Payout | Leg::Reversal | Leg::Item);
    let known = attempt.vendor_id.as_deref().unwrap_or("another one");
    (out && made && !counted).then(|| Observation {
        detail: Some(made_twice(carrier_id, known)),
        ..of_object(attempt, Fact::FoundAfterAll(attempt.leg), None)
    })
}

/// Whether the money of an attempt's item in a batch is out, or may be.
fn item_out(attempt: &Attempt, batch: &Batch) -> bool {
    let of = attempt.transaction.to_string();
    let item = batch.items.iter().find(|item| item.sender_item_id.as_deref() == Some(of.as_str()));
    let said = item.and_then(|item| paypal_batch::fact_in(batch, item));
    said.as_ref().is_some_and(submission::is_out)
}

/// PayPal's fee, also for items that had ended here: nobody reads those any more.
fn fee_of(attempt: &Attempt, answer: &OurObject) -> Option<Observation> {
    let OurObject::PayPal(batch) = answer else { return None };
    let of = attempt.transaction.to_string();
    let item = batch.items.iter().find(|item| item.sender_item_id.as_deref() == Some(of.as_str()))?;
    let fee = paypal_batch::item_fee(item).filter(|_| attempt.leg == Leg::Item)?;
    Some(of_object(attempt, Fact::FeeKnown(fee), None))
}

fn fact_of(attempt: &Attempt, answer: &OurObject) -> Option<Observation> {
    let failed = attempt.state == AttemptState::Failed;
    // People have already settled it as a duplicate payment.
    if failed && attempt.reason_code.is_none() {
        return None;
    }
    let (fact, vendor_id) = match answer {
        OurObject::Stripe { id, fact, out } => {
            let made = match attempt.leg {
                Leg::Transfer => Fact::TransferMade,
                Leg::Payout => fact.clone().unwrap_or(Fact::PayoutMade),
                Leg::Reversal => Fact::ReversalMade,
                Leg::Item | Leg::Cancel => return None,
            };
            if failed && !out {
                return None;
            }
            (if failed { Fact::FoundAfterAll(attempt.leg) } else { made }, Some(id.clone()))
        }
        OurObject::PayPal(batch) => {
            let of = attempt.transaction.to_string();
            let item = batch.items.iter().find(|item| item.sender_item_id.as_deref() == Some(of.as_str()));
            let said = item.and_then(|item| paypal_batch::fact_in(batch, item));
            let out = item_out(attempt, batch);
            let id = item.map(|item| item.payout_item_id.clone());
            match failed {
                true if !out => return None,
                true => (Fact::FoundAfterAll(Leg::Item), id),
                false => (said.unwrap_or(Fact::ItemPending), id),
            }
        }
    };
    Some(of_object(attempt, fact, vendor_id))
}

fn of_object(attempt: &Attempt, fact: Fact, vendor_id: Option<String>) -> Observation {
    let (leg, number) = (attempt.leg.as_str(), attempt.number);
    let detail = match &vendor_id {
        Some(id) => {
            format!("the vendor has {id} under our key: it is the {leg} of attempt {number}, as we sent it")
        }
        None => format!("the vendor's object under our key is the {leg} of attempt {number}, as we sent it"),
    };
    Observation {
        transaction: attempt.transaction,
        attempt: attempt.id,
        fact,
        vendor_id,
        submission: None,
        source: "poll",
        detail: Some(detail),
        event_id: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_seen_is_looked_at_more_and_more_rarely() {
        assert_eq!([0, 1, 2, 63].map(wait_us), [LEASE_US, 2 * LEASE_US, 4 * LEASE_US, DAY_US]);
    }

    #[test]
    fn a_batch_that_lists_fewer_than_were_sent_is_not_compared_yet() {
        let item = || paypal_batch::Item {
            payout_item_id: "i".into(),
            payout_batch_id: None,
            sender_batch_id: None,
            transaction_id: None,
            sender_item_id: Some("ptx_01KJPWD6M0Z4JW52WS05TBXQEG".into()),
            status: "SUCCESS".into(),
            amount: None,
            fee: None,
            receiver: None,
            error: None,
            time_processed: None,
        };
        let told = |key: Option<&str>, status: &str, items, unread| {
            let batch = Batch {
                payout_batch_id: "b".into(),
                sender_batch_id: key.map(str::to_owned),
                status: status.into(),
                error: None,
                items,
                unread,
                total: None,
            };
            comparable(&batch, "ours", 2)
        };
        assert!(!told(Some("ours"), "PROCESSING", vec![item()], 0));
        assert!(!told(Some("ours"), "SUCCESS", vec![item()], 0));
        assert!(!told(None, "SUCCESS", vec![], 0));
        assert!(!told(None, "SUCCESS", vec![item(), item()], 1));
        let odd = || paypal_batch::Item { sender_item_id: Some("OURS".into()), ..item() };
        assert!(!told(Some("ours"), "SUCCESS", vec![item(), odd()], 0), "it may be one of ours");
        assert!(told(Some("ours"), "SUCCESS", vec![item(), item()], 0));
        assert!(told(Some("theirs"), "SUCCESS", vec![item()], 0), "it is another's");
    }
}
