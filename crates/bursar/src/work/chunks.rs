//! PayPal batches: splits queued items into chunks sent together, and builds the exact bytes of each. Not here:
//! committing them (`dispatch`) and handling the answer (`send`).

use std::collections::{BTreeMap, HashMap};

use payout::ids::BatchId;
use payout::money::{Currency, Vendor};
use vendors::paypal::batch::{BatchOrder, ItemOrder};
use vendors::{BadRequest, MoneyRequest};

use super::submission::Ready;
use crate::ops::Result;
use crate::store::transactions::Transaction;
use crate::store::{Tx, put_back, submissions};

/// Items per PayPal batch. PayPal takes up to 15,000; a thousand fits one page when read back, and a denied batch
/// affects fewer payees.
const PAYPAL_ITEMS: usize = 1_000;

/// Separates out items for which PayPal would refuse a whole batch, so that the others go without them.
pub(super) fn buildable(items: Vec<&Ready>) -> (Vec<&Ready>, Vec<(&Ready, BadRequest)>) {
    let (mut good, mut bad) = (Vec::with_capacity(items.len()), Vec::new());
    for ready in items {
        match batch_request("pb", ready.transaction.terms.net.currency, &[&ready.transaction]) {
            Ok(_) => good.push(ready),
            Err(why) => bad.push((ready, why)),
        }
    }
    (good, bad)
}

/// Items of one batch and currency sent to PayPal together.
pub(super) struct Chunk<'a> {
    pub(super) batch: BatchId,
    currency: Currency,
    number: usize,
    pub(super) items: Vec<&'a Ready>,
}

impl Chunk<'_> {
    pub(super) fn request(&self) -> std::result::Result<MoneyRequest, BadRequest> {
        let key = format!("pb:{}:{}:1", self.batch, self.number);
        let of: Vec<&Transaction> = self.items.iter().map(|ready| &ready.transaction).collect();
        batch_request(&key, self.currency, &of)
    }
}

/// The exact bytes of a PayPal batch over these transactions.
pub(super) fn batch_request(
    key: &str,
    currency: Currency,
    of: &[&Transaction],
) -> std::result::Result<MoneyRequest, BadRequest> {
    let ids: Vec<(String, String)> = of.iter().map(|one| (one.id.to_string(), one.label())).collect();
    let mut items = Vec::with_capacity(of.len());
    for (transaction, (id, label)) in of.iter().zip(&ids) {
        let net = transaction.terms.net;
        let amount = net.at(Vendor::PayPal).map_err(|_| BadRequest(format!("PayPal cannot pay {net}")))?;
        items.push(ItemOrder {
            transaction: id,
            receiver: transaction.destination.address(),
            amount,
            note: label,
        });
    }
    vendors::paypal::batch::request(&BatchOrder {
        key,
        currency,
        items: &items,
        subject: "You have a payout",
    })
}

/// Splits items into chunks, continuing the batch's chunk numbers.
pub(super) async fn of<'a>(tx: &mut Tx, items: Vec<&'a Ready>) -> Result<Vec<Chunk<'a>>> {
    let mut groups: BTreeMap<(BatchId, Currency), Vec<&Ready>> = BTreeMap::new();
    for ready in items {
        let of = (ready.transaction.batch, ready.transaction.terms.net.currency);
        groups.entry(of).or_default().push(ready);
    }
    let mut next: HashMap<BatchId, usize> = HashMap::new();
    let mut chunks = Vec::new();
    for ((batch, currency), items) in groups {
        let first = match next.get(&batch) {
            Some(number) => *number,
            None => next_chunk(tx, batch).await?,
        };
        let numbered = (first..).zip(items.chunks(PAYPAL_ITEMS));
        chunks.extend(numbered.map(|(number, some)| Chunk { batch, currency, number, items: some.to_vec() }));
        next.insert(batch, first + items.len().div_ceil(PAYPAL_ITEMS));
    }
    Ok(chunks)
}

/// `pb:{batch}:{chunk}:{n}` with the next `n`.
pub(super) fn next_key(key: &str) -> String {
    let (stem, n) = key.rsplit_once(':').unwrap_or((key, "1"));
    format!("{stem}:{}", n.parse::<u32>().unwrap_or(1) + 1)
}

/// The chunk and `n` of a key, in the order of a batch's requests.
pub(super) fn place_of(key: &str) -> Option<(u64, u32)> {
    let mut parts = key.rsplit(':');
    let (n, chunk) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    Some((chunk, n))
}

/// Chunk numbers per database epoch. Each epoch starts a new range, so a restored database never reuses numbers the
/// lost one gave to other payments.
const NUMBERS_OF_AN_EPOCH: usize = 1_000_000;

/// The number of a batch's next chunk.
pub(super) async fn next_chunk(tx: &mut Tx, batch: BatchId) -> Result<usize> {
    let epoch = usize::try_from(put_back::progress(tx).await?.epoch).unwrap_or(0);
    let first = epoch.saturating_mul(NUMBERS_OF_AN_EPOCH);
    let prefix = format!("pb:{batch}:");
    let keys = submissions::chunk_keys(tx, batch).await?;
    let numbers =
        keys.iter().filter_map(|key| key.strip_prefix(&prefix)?.split(':').next()?.parse::<usize>().ok());
    Ok(numbers.max().map_or(first, |last| first.max(last + 1)))
}
