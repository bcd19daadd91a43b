//! Reads the state of items from PayPal: individually if there are few, otherwise by batch. Not here: which payments
//! are read, and recording the answers (`settle`).

use std::collections::HashMap;

use futures::StreamExt as _;
use payout::money::Vendor;
use payout::transaction::Fact;
use vendors::paypal::PayPal;
use vendors::paypal::batch::{self as paypal_batch, Batch, Item};

use super::{
    AnswerSender, BATCHES_AT_ONCE, ByBatch, ELSEWHERE, ObjectAnswer, Question, believed, failed_to_ask,
    observation, unreachable, unseen, unusable,
};
use crate::ops::Result;
use crate::ops::record::Observation;
use crate::store::transactions::Transaction;
use crate::work::Work;
use crate::work::answer::Answer;
use crate::work::submission;

/// Up to this many items of a batch are read individually; for more, the whole batch is read.
const ITEMS_ONE_BY_ONE: usize = 3;

pub(super) async fn ask(work: &Work, ask: ByBatch, source: &'static str, out: &AnswerSender) -> Result<()> {
    if ask.is_empty() {
        return Ok(());
    }
    let ask = ask.into_iter().map(|(object, due)| {
        let question =
            |(transaction, attempt)| Question { transaction, attempt, object: object.clone(), parked: None };
        due.into_iter().map(question).collect::<Vec<_>>()
    });
    let Some(paypal) = work.clients.paypal().await? else {
        let silent = |one| drop(out.send(vec![unreachable(&one, "PayPal is not connected")]));
        ask.flatten().for_each(silent);
        return Ok(());
    };
    let (ask, elsewhere): (Vec<_>, Vec<_>) = ask.partition(|due: &Vec<Question>| {
        due.iter().all(|one| paypal.may_have(one.transaction.vendor_account.as_deref()))
    });
    elsewhere.iter().flatten().for_each(|one| drop(out.send(vec![unreachable(one, ELSEWHERE)])));
    let client = &paypal.client;
    let asks =
        futures::stream::iter(ask).map(|due| async move { ask_batch(work, client, &due, source).await });
    let mut asks = asks.buffer_unordered(work.concurrency(BATCHES_AT_ONCE));
    while let Some(said) = asks.next().await {
        said?.into_iter().for_each(|one| drop(out.send(vec![one])));
    }
    Ok(())
}

/// The answers about some items of one batch, read individually if there are few.
async fn ask_batch(
    work: &Work,
    client: &PayPal,
    due: &[Question],
    source: &'static str,
) -> Result<Vec<ObjectAnswer>> {
    let few = due.len() <= ITEMS_ONE_BY_ONE && due.iter().all(|one| one.attempt.vendor_id.is_some());
    if few && let Some(answers) = ask_items(work, client, due, source).await? {
        return Ok(answers);
    }
    let Some(batch) = due.first().map(|one| one.object.as_str()) else { return Ok(Vec::new()) };
    match work.ask(Vendor::PayPal, client.batch(batch)).await {
        Ok(batch) => Ok(of_batch(&batch, due, source, work.app.clock.now())),
        Err(error) => {
            let mut answers = Vec::new();
            for one in due {
                answers.push(failed_to_ask(work, Vendor::PayPal, one, &error).await?);
            }
            Ok(answers)
        }
    }
}

/// Reads a few items individually; `None` if one is still undecided, because only its batch can say whether it will
/// ever be.
async fn ask_items(
    work: &Work,
    client: &PayPal,
    due: &[Question],
    source: &'static str,
) -> Result<Option<Vec<ObjectAnswer>>> {
    let mut answers = Vec::new();
    for one in due {
        let item = client.item(one.attempt.vendor_id.as_deref().unwrap_or_default());
        match work.ask(Vendor::PayPal, item).await {
            Ok(item) => match paypal_batch::item_fact(&item) {
                None | Some(Fact::ItemPending) => return Ok(None),
                fact => answers.push(of_item(one, &item, fact, source, work.app.clock.now())),
            },
            Err(error) => answers.push(failed_to_ask(work, Vendor::PayPal, one, &error).await?),
        }
    }
    Ok(Some(answers))
}

/// The facts from an item, including PayPal's fee, which it may report long afterwards.
fn of_item(of: &Question, item: &Item, fact: Option<Fact>, source: &'static str, now: i64) -> ObjectAnswer {
    let fee = paypal_batch::item_fee(item).map(Fact::FeeKnown);
    let told = |fact| Observation {
        vendor_id: Some(item.payout_item_id.clone()),
        ..observation(&of.attempt, fact, source, &item.status)
    };
    let observations = fact.map(|fact| [fact].into_iter().chain(fee).map(told).collect());
    believed(of, &item.status, about_ours(&of.transaction, item), observations, now)
}

/// Whether an item is about this payment. PayPal always reports the amount; everything else it reports must match.
pub(in crate::work) fn about_ours(of: &Transaction, item: &Item) -> bool {
    let ours = of.destination.address();
    item.amount == Some(of.terms.net)
        && item.receiver.as_ref().is_none_or(|theirs| theirs.eq_ignore_ascii_case(ours))
        && item.sender_item_id.as_ref().is_none_or(|theirs| *theirs == of.id.to_string())
}

/// A batch with status SUCCESS may contain failed and unclaimed items: only items count. A refused batch may list none.
fn of_batch(batch: &Batch, due: &[Question], source: &'static str, now: i64) -> Vec<ObjectAnswer> {
    let processing = matches!(batch.status.as_str(), "PENDING" | "PROCESSING");
    let items: HashMap<&str, &Item> =
        batch.items.iter().filter_map(|item| Some((item.sender_item_id.as_deref()?, item))).collect();
    let one = |of: &Question| match items.get(of.transaction.id.to_string().as_str()) {
        // Until the batch is processed, an item may have no status of its own.
        Some(item) if processing && item.status.is_empty() && about_ours(&of.transaction, item) => {
            ObjectAnswer {
                answer: Answer::Told,
                ..unreachable(of, &format!("PayPal says that the batch is {}", batch.status))
            }
        }
        Some(item) => of_item(of, item, paypal_batch::fact_in(batch, item), source, now),
        None if batch.unread > 0 || !submission::names_ours(batch) => {
            unusable(of, "PayPal's answer about this item cannot be read; Bursar asks again", now)
        }
        None => {
            let what = format!("PayPal says that the batch is {} and does not list this item", batch.status);
            match paypal_batch::batch_refusal(batch).map(Fact::ItemFailed) {
                Some(refused) => ObjectAnswer {
                    observations: vec![observation(&of.attempt, refused, source, &batch.status)],
                    answer: Answer::Told,
                    ..unreachable(of, &what)
                },
                // Until the batch is processed, it may not list its items.
                None if processing => ObjectAnswer { answer: Answer::Told, ..unreachable(of, &what) },
                None => unseen(of, &what, now),
            }
        }
    };
    due.iter().map(one).collect()
}
