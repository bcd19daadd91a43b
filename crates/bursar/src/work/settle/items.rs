//! Asking PayPal how items stand: one by one when they are few, else by their batch. What is deliberately not here: which
//! payments are asked about, and recording what is said (`settle`).

use std::collections::HashMap;

use futures::StreamExt as _;
use payout::money::Vendor;
use payout::transaction::Fact;
use vendors::paypal::PayPal;
use vendors::paypal::batch::{self as paypal_batch, Batch, Item};

use super::{
    BATCHES_AT_ONCE, ByBatch, ELSEWHERE, Question, Said, Tell, believed, failed_to_ask, tell, unreachable,
    unseen, unusable,
};
use crate::ops::Result;
use crate::ops::record::Heard;
use crate::store::transactions::Transaction;
use crate::work::Work;
use crate::work::answer::Answer;
use crate::work::submission;

/// Up to so many items of a PayPal batch are asked for one by one; more, and the whole batch is read.
const ITEMS_ONE_BY_ONE: usize = 3;

pub(super) async fn ask(work: &Work, ask: ByBatch, source: &'static str, out: &Tell) -> Result<()> {
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
    let mut asks = asks.buffer_unordered(work.side_by_side(BATCHES_AT_ONCE));
    while let Some(said) = asks.next().await {
        said?.into_iter().for_each(|one| drop(out.send(vec![one])));
    }
    Ok(())
}

/// What PayPal says of some items of one batch: asked for one by one when they are few.
async fn ask_batch(
    work: &Work,
    client: &PayPal,
    due: &[Question],
    source: &'static str,
) -> Result<Vec<Said>> {
    let few = due.len() <= ITEMS_ONE_BY_ONE && due.iter().all(|one| one.attempt.vendor_id.is_some());
    if few && let Some(said) = ask_items(work, client, due, source).await? {
        return Ok(said);
    }
    let Some(batch) = due.first().map(|one| one.object.as_str()) else { return Ok(Vec::new()) };
    match work.ask(Vendor::PayPal, client.batch(batch)).await {
        Ok(batch) => Ok(of_batch(&batch, due, source, work.app.clock.now())),
        Err(error) => {
            let mut said = Vec::new();
            for one in due {
                said.push(failed_to_ask(work, Vendor::PayPal, one, &error).await?);
            }
            Ok(said)
        }
    }
}

/// Asks for a few items one by one; `None` when one of them is not decided, because then only its batch can say whether
/// it ever will be.
async fn ask_items(
    work: &Work,
    client: &PayPal,
    due: &[Question],
    source: &'static str,
) -> Result<Option<Vec<Said>>> {
    let mut said = Vec::new();
    for one in due {
        let item = client.item(one.attempt.vendor_id.as_deref().unwrap_or_default());
        match work.ask(Vendor::PayPal, item).await {
            Ok(item) => match paypal_batch::item_fact(&item) {
                None | Some(Fact::ItemPending) => return Ok(None),
                fact => said.push(of_item(one, &item, fact, source, work.app.clock.now())),
            },
            Err(error) => said.push(failed_to_ask(work, Vendor::PayPal, one, &error).await?),
        }
    }
    Ok(Some(said))
}

/// What an item says of its payment, and what PayPal took for it, which it may tell long after.
fn of_item(of: &Question, item: &Item, fact: Option<Fact>, source: &'static str, now: i64) -> Said {
    let fee = paypal_batch::item_fee(item).map(Fact::FeeKnown);
    let told = |fact| Heard {
        vendor_id: Some(item.payout_item_id.clone()),
        ..tell(&of.attempt, fact, source, &item.status)
    };
    let heard = fact.map(|fact| [fact].into_iter().chain(fee).map(told).collect());
    believed(of, &item.status, about_ours(&of.transaction, item), heard, now)
}

/// Whether an item is about this payment. PayPal always tells the amount; what else it tells must agree.
pub(in crate::work) fn about_ours(of: &Transaction, item: &Item) -> bool {
    let ours = of.destination.address();
    item.amount == Some(of.terms.net)
        && item.receiver.as_ref().is_none_or(|theirs| theirs.eq_ignore_ascii_case(ours))
        && item.sender_item_id.as_ref().is_none_or(|theirs| *theirs == of.id.to_string())
}

/// A batch that PayPal calls SUCCESS may hold failed and unclaimed items: only items decide. A refused batch may hold
/// none at all.
fn of_batch(batch: &Batch, due: &[Question], source: &'static str, now: i64) -> Vec<Said> {
    let processing = matches!(batch.status.as_str(), "PENDING" | "PROCESSING");
    let items: HashMap<&str, &Item> =
        batch.items.iter().filter_map(|item| Some((item.sender_item_id.as_deref()?, item))).collect();
    let one = |of: &Question| match items.get(of.transaction.id.to_string().as_str()) {
        // While it is not processed, an item may have no word of its own yet.
        Some(item) if processing && item.status.is_empty() && about_ours(&of.transaction, item) => Said {
            answer: Answer::Told,
            ..unreachable(of, &format!("PayPal says that the batch is {}", batch.status))
        },
        Some(item) => of_item(of, item, paypal_batch::fact_in(batch, item), source, now),
        None if batch.unread > 0 || !submission::names_ours(batch) => {
            unusable(of, "PayPal's answer about this item cannot be read; it is asked again", now)
        }
        None => {
            let what = format!("PayPal says that the batch is {} and does not list this item", batch.status);
            match paypal_batch::batch_refusal(batch).map(Fact::ItemFailed) {
                Some(refused) => Said {
                    heard: vec![tell(&of.attempt, refused, source, &batch.status)],
                    answer: Answer::Told,
                    ..unreachable(of, &what)
                },
                // While it is not processed, it may not list its items yet.
                None if processing => Said { answer: Answer::Told, ..unreachable(of, &what) },
                None => unseen(of, &what, now),
            }
        }
    };
    due.iter().map(one).collect()
}
