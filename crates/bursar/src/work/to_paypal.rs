//! Sends money requests to PayPal: a batch, which PayPal may already have, and the cancellation of an item, whose
//! outcome only the item shows. Not here: what a verdict leads to (`send`).

use vendors::paypal::PayPal;
use vendors::paypal::batch::{self as paypal_batch, BatchAccepted};
use vendors::{Doubt, MoneyRequest, Outcome, ReadError, UnknownCause};

use super::Work;
use super::submission;
use super::verdict::{self, Judgment};
use crate::store::submissions::Submission;

pub(super) async fn batch(work: &Work, paypal: &PayPal, of: &Submission, request: &MoneyRequest) -> Judgment {
    let outcome = paypal.send_batch(request).await;
    let (now, longest) = (work.app.clock.now(), work.app.config.longest_wait_us());
    match outcome {
        Outcome::Accepted(BatchAccepted::Created { payout_batch_id, .. }) => {
            Judgment::accepted(of, &payout_batch_id, "accepted")
        }
        Outcome::Accepted(BatchAccepted::Duplicate { payout_batch_id: Some(id) }) => {
            adopt(paypal, of, request, &id, now, longest).await
        }
        Outcome::Accepted(BatchAccepted::Duplicate { payout_batch_id: None }) => {
            Judgment::review(of, "PayPal says that it has this batch, but not its id")
        }
        Outcome::Rejected(rejection) => verdict::paypal_refusal(of, &rejection, now),
        Outcome::Unknown(doubt) => verdict::paypal_doubt(of, &doubt, now, longest),
    }
}

/// Cancels an unclaimed item and then reads it: whatever the answer, the item shows the outcome.
pub(super) async fn cancel(
    work: &Work,
    paypal: &PayPal,
    of: &Submission,
    request: &MoneyRequest,
) -> Judgment {
    let outcome = paypal.send_cancel(request).await;
    let (now, longest) = (work.app.clock.now(), work.app.config.longest_wait_us());
    match &outcome {
        Outcome::Unknown(doubt) if !doubt.why.may_have_executed() => {
            return verdict::paypal_doubt(of, doubt, now, longest);
        }
        Outcome::Accepted(_) | Outcome::Rejected(_) | Outcome::Unknown(_) => {}
    }
    let item = paypal_batch::canceled_item(request);
    let fetched = paypal.item(item).await.map(|item| item.status);
    verdict::cancellation(of, item, &outcome, &fetched, (work.app.clock.now(), longest))
}

/// PayPal has a batch under our key. It is ours only if it contains what we sent, item for item.
async fn adopt(
    client: &PayPal,
    of: &Submission,
    request: &MoneyRequest,
    id: &str,
    now: i64,
    longest: i64,
) -> Judgment {
    let later =
        |detail: String| verdict::paypal_doubt(of, &Doubt::new(UnknownCause::NoAnswer, detail), now, longest);
    match client.batch(id).await {
        // A batch PayPal has just accepted may not list its items yet.
        Ok(batch)
            if batch.items.len() < submission::item_ids(of).len()
                && matches!(batch.status.as_str(), "PENDING" | "PROCESSING") =>
        {
            later(format!("the batch {id} does not list all of its items yet"))
        }
        // A batch PayPal refused may have no items; polling then fails each payment.
        Ok(batch) if batch.items.is_empty() && paypal_batch::batch_refusal(&batch).is_some() => {
            Judgment::accepted(of, id, "found")
        }
        Ok(batch) => match paypal_batch::difference(request, &batch) {
            None => Judgment::accepted(of, id, "found"),
            Some(difference) => Judgment::review(
                of,
                format!("the batch {id} under our key is not what we sent: {difference}"),
            ),
        },
        Err(error) => {
            let judged = later(format!("the batch {id} could not be read: {error}"));
            Judgment { pause: matches!(error, ReadError::Credentials(_)), ..judged }
        }
    }
}
