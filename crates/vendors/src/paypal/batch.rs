//! Batches and their items: building and parsing them, and what an item's status means.
//!
//! Parsing is lenient where PayPal is known to deviate from its documentation, and strict where money could be misread.
//! Not here: comparing a batch with what was requested beyond its stored bytes, which needs our ledger.

use ::payout::money::{self, Currency, Money, VendorAmount};
use ::payout::transaction::{Fact, Reason};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::classify::{self, InvalidResponse};
use crate::http::Answer;
use crate::{BadRequest, MoneyKind, MoneyRequest, Outcome, lenient};

/// PayPal's maximum number of items per batch (Payouts documentation).
pub const MAX_ITEMS: usize = 15_000;
/// The maximum length of a `sender_batch_id`, in bytes.
const MAX_BATCH_ID: usize = 256;
/// The maximum length of a `sender_item_id`, in bytes.
const MAX_ITEM_ID: usize = 63;
/// The maximum length of a receiver, in bytes.
const MAX_RECEIVER: usize = 127;
/// The maximum lengths of subject and note, in characters.
const MAX_SUBJECT: usize = 255;
const MAX_NOTE: usize = 4_000;

/// An instruction to pay many items together, in one currency.
#[derive(Clone, Debug)]
pub struct BatchOrder<'a> {
    /// The submission's key; also the `sender_batch_id`, for which PayPal pays only once in 30 days.
    pub key: &'a str,
    /// The currency of every item.
    pub currency: Currency,
    /// Between 1 and [`MAX_ITEMS`] items.
    pub items: &'a [ItemOrder<'a>],
    /// The subject of PayPal's mail to receivers; truncated to 255 characters.
    pub subject: &'a str,
}

/// One item of a batch instruction.
#[derive(Clone, Debug)]
pub struct ItemOrder<'a> {
    /// Our transaction id; becomes the `sender_item_id`.
    pub transaction: &'a str,
    /// The receiver's email address.
    pub receiver: &'a str,
    /// The amount in PayPal's units.
    pub amount: VendorAmount,
    /// A note for the receiver; may be empty.
    pub note: &'a str,
}

/// How PayPal accepted a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BatchAccepted {
    /// A new batch was created.
    Created {
        /// PayPal's id for the batch.
        payout_batch_id: String,
        /// PayPal's status; never final.
        status: String,
    },
    /// This `sender_batch_id` was accepted before: an earlier try of ours succeeded. Read the batch and compare.
    Duplicate {
        /// PayPal's id for the batch, if the error has a link.
        payout_batch_id: Option<String>,
    },
}

/// A batch with all its items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// PayPal's id for the batch.
    pub payout_batch_id: String,
    /// Our idempotency key.
    pub sender_batch_id: Option<String>,
    /// PayPal's status, unchanged.
    pub status: String,
    /// PayPal's error, for a refused batch.
    pub error: Option<ItemError>,
    /// All items, from all pages, that could be parsed.
    pub items: Vec<Item>,
    /// How many items could not be parsed, not even their id.
    pub unread: usize,
    /// The total amount requested, if PayPal reports it and it can be parsed.
    pub total: Option<Money>,
}

impl Batch {
    /// Whether all items are present. A batch in processing may list only some, so all must be readable and add up to
    /// the requested total. If PayPal reports no total, the batch must have ended.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let ended = matches!(self.status.as_str(), "SUCCESS" | "DENIED" | "CANCELED");
        if self.unread > 0 || (self.items.is_empty() && batch_refusal(self).is_none()) {
            return false;
        }
        let mut amounts = self.items.iter().map(|item| item.amount);
        match (self.total, amounts.next()) {
            // A refused batch may have no items.
            (_, None) => true,
            (None, Some(_)) => ended,
            (Some(total), Some(first)) => {
                first.and_then(|first| amounts.try_fold(first, |sum, amount| sum.plus(amount?)))
                    == Some(total)
            }
        }
    }
}

/// An item as PayPal reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// PayPal's id for the item.
    pub payout_item_id: String,
    /// PayPal's id for its batch.
    pub payout_batch_id: Option<String>,
    /// Our idempotency key.
    pub sender_batch_id: Option<String>,
    /// PayPal's id for the payment, once there is one.
    pub transaction_id: Option<String>,
    /// Our transaction id.
    pub sender_item_id: Option<String>,
    /// PayPal's status, unchanged; empty if there is none.
    pub status: String,
    /// The amount; `None` if it cannot be parsed, which matches no request.
    pub amount: Option<Money>,
    /// PayPal's fee, if it can be parsed.
    pub fee: Option<Money>,
    /// The receiver, as sent.
    pub receiver: Option<String>,
    /// PayPal's error on the item.
    pub error: Option<ItemError>,
    /// As PayPal wrote it: impossible dates occur, so no decision depends on it.
    pub time_processed: Option<String>,
}

/// PayPal's error on an item or a batch.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ItemError {
    /// PayPal's code, unchanged; empty if there is none.
    #[serde(default, deserialize_with = "lenient::word")]
    pub name: String,
    /// PayPal's message.
    #[serde(default, deserialize_with = "lenient::word")]
    pub message: String,
}

/// Builds `POST /v1/payments/payouts`.
///
/// # Errors
/// [`BadRequest`], naming the item, if PayPal would refuse the batch for its shape.
pub fn request(order: &BatchOrder<'_>) -> Result<MoneyRequest, BadRequest> {
    if order.items.is_empty() || order.items.len() > MAX_ITEMS {
        let count = order.items.len();
        return Err(BadRequest(format!("a PayPal batch holds 1 to {MAX_ITEMS} items, not {count}")));
    }
    if order.key.len() > MAX_BATCH_ID {
        return Err(BadRequest(format!("{:?} is too long for a batch", order.key)));
    }
    let mut items = Vec::with_capacity(order.items.len());
    for item in order.items {
        items.push(item_body(item, order.currency)?);
    }
    let body = BatchBody {
        sender_batch_header: HeaderBody {
            sender_batch_id: order.key,
            email_subject: cut(order.subject, MAX_SUBJECT),
            recipient_type: "EMAIL",
        },
        items,
    };
    let bytes = serde_json::to_vec(&body).map_err(|error| BadRequest(error.to_string()))?;
    let path = "/v1/payments/payouts".into();
    MoneyRequest::from_stored(MoneyKind::Batch, path, None, order.key.into(), bytes)
}

/// Classifies the answer to a batch. A duplicate counts as accepted; the caller checks whether it is really ours.
#[must_use]
pub fn read(answer: &Answer, request: &MoneyRequest) -> Outcome<BatchAccepted> {
    if let Answer::Got(received) = answer
        && let Some(link) = classify::paypal_duplicate(received)
    {
        let payout_batch_id = link.as_deref().and_then(batch_of_link);
        return Outcome::Accepted(BatchAccepted::Duplicate { payout_batch_id });
    }
    let outcome = classify::paypal(answer, |body| {
        let created: CreatedBody = classify::json(body)?;
        created.batch_header.accepted(request)
    });
    match outcome {
        Outcome::Rejected(mut rejection) => {
            let count = sent(request).map_or(0, |body| body.items.len());
            rejection.items.retain(|at| *at < count);
            rejection.items.sort_unstable();
            rejection.items.dedup();
            Outcome::Rejected(rejection)
        }
        Outcome::Accepted(_) | Outcome::Unknown(_) => outcome,
    }
}

/// Builds `POST /v1/payments/payouts-item/{id}/cancel`: only an unclaimed item can be canceled, and only once, so
/// repeating the request is harmless.
///
/// # Errors
/// [`BadRequest`] if the id cannot be part of a URL.
pub fn cancel_request(key: &str, payout_item_id: &str) -> Result<MoneyRequest, BadRequest> {
    let path = format!("/v1/payments/payouts-item/{payout_item_id}/cancel");
    MoneyRequest::from_stored(MoneyKind::Cancel, path, None, key.into(), Vec::new())
}

/// The id of the item a cancellation is about.
#[must_use]
pub fn canceled_item(request: &MoneyRequest) -> &str {
    request.path().split('/').nth(4).unwrap_or_default()
}

/// Classifies the answer to a cancellation. Even an acceptance only means that PayPal took the request; the item, read
/// afterwards, shows whether the money is back.
#[must_use]
pub fn read_cancel(answer: &Answer, request: &MoneyRequest) -> Outcome<Item> {
    classify::paypal(answer, |body| {
        let item: Item = classify::json::<ItemAnswer>(body)?.into();
        let asked = canceled_item(request);
        if item.payout_item_id == asked {
            return Ok(item);
        }
        Err(InvalidResponse::Mismatch(format!(
            "asked for the item {asked}, the answer is about {}",
            item.payout_item_id
        )))
    })
}

/// The fact a fetched item reports; `None` for a status we do not know.
#[must_use]
pub fn item_fact(item: &Item) -> Option<Fact> {
    let reason = || reason_of(item.error.as_ref(), &item.status);
    match item.status.as_str() {
        "PENDING" => Some(Fact::ItemPending),
        "SUCCESS" => Some(Fact::ItemPaid),
        "FAILED" => Some(Fact::ItemFailed(reason())),
        "UNCLAIMED" => Some(Fact::ItemUnclaimed(reason())),
        "ONHOLD" => Some(Fact::ItemOnHold(reason())),
        "RETURNED" => Some(Fact::ItemReturned(reason())),
        "BLOCKED" => Some(Fact::ItemBlocked(reason())),
        "REFUNDED" => Some(Fact::ItemRefunded),
        "REVERSED" => Some(Fact::ItemReversed),
        _ => None,
    }
}

/// PayPal's fee for an item, once its money has reached the receiver: PayPal keeps it, whatever happens afterwards.
/// Before that, the figure is only an estimate.
#[must_use]
pub fn item_fee(item: &Item) -> Option<Money> {
    let credited = matches!(item.status.as_str(), "SUCCESS" | "REFUNDED" | "REVERSED");
    item.fee.filter(|_| credited)
}

/// Why PayPal ended a whole batch without paying any of it (`DENIED`, `CANCELED`); `None` for a batch in progress or
/// processed. A refused batch may have no items, so this is checked separately.
#[must_use]
pub fn batch_refusal(batch: &Batch) -> Option<Reason> {
    matches!(batch.status.as_str(), "DENIED" | "CANCELED")
        .then(|| reason_of(batch.error.as_ref(), &batch.status))
}

/// The fact a fetched batch reports for one of its items. The item's own status counts; the batch's refusal applies
/// only to an item without one, or still pending.
#[must_use]
pub fn fact_in(batch: &Batch, item: &Item) -> Option<Fact> {
    match item_fact(item) {
        None | Some(Fact::ItemPending) if batch_refusal(batch).is_some() => {
            let refusal = batch_refusal(batch)?;
            Some(Fact::ItemFailed(match item.error.as_ref().filter(|error| !error.name.is_empty()) {
                Some(error) => reason_of(Some(error), ""),
                None => refusal,
            }))
        }
        other => other,
    }
}

/// Our transaction ids in the order of a stored batch; empty if the bytes are not a batch of ours.
#[must_use]
pub fn sender_item_ids(body: &[u8]) -> Vec<String> {
    let sent: Option<Sent> = serde_json::from_slice(body).ok();
    sent.map_or_else(Vec::new, |sent| sent.items.into_iter().map(|item| item.sender_item_id).collect())
}

/// How a batch that PayPal has under our key differs from what we sent; `None` if it is identical, item for item.
/// Adopting another sender's batch unchecked would misread money.
#[must_use]
pub fn difference(request: &MoneyRequest, batch: &Batch) -> Option<String> {
    let Some(sent) = sent(request) else { return Some("what we sent cannot be read back".into()) };
    if let Some(theirs) = batch.sender_batch_id.as_deref().filter(|id| *id != request.key()) {
        return Some(format!("it belongs to the key {theirs}"));
    }
    if batch.unread > 0 {
        return Some(format!("{} of its items cannot be read", batch.unread));
    }
    if batch.items.len() != sent.items.len() {
        return Some(format!("we sent {} items, it holds {}", sent.items.len(), batch.items.len()));
    }
    sent.items.iter().find_map(|ours| {
        let theirs =
            batch.items.iter().find(|item| item.sender_item_id.as_deref() == Some(&ours.sender_item_id));
        match theirs {
            None => Some(format!("it does not hold {}", ours.sender_item_id)),
            Some(theirs) if theirs.amount != ours.amount.money() => {
                Some(format!("{} has another amount", ours.sender_item_id))
            }
            Some(theirs) => {
                let same = theirs
                    .receiver
                    .as_ref()
                    .is_none_or(|receiver| receiver.eq_ignore_ascii_case(&ours.receiver));
                (!same).then(|| format!("{} has another receiver", ours.sender_item_id))
            }
        }
    })
}

/// PayPal's error as a reason; without a code, the status takes its place.
fn reason_of(error: Option<&ItemError>, status: &str) -> Reason {
    let (name, message) = error.map_or(("", ""), |error| (&*error.name, &*error.message));
    Reason::new(if name.is_empty() { status } else { name }, message)
}

/// An error is documented as an object; lists, null and empty objects also occur.
fn error_of<'de, D: Deserializer<'de>>(from: D) -> Result<Option<ItemError>, D::Error> {
    let value = Value::deserialize(from)?;
    let first = if value.is_array() { value.get(0).cloned().unwrap_or_default() } else { value };
    let error = if first.is_object() { serde_json::from_value::<ItemError>(first).ok() } else { None };
    Ok(error.filter(|error| !error.name.is_empty() || !error.message.is_empty()))
}

#[derive(Serialize)]
struct BatchBody<'a> {
    sender_batch_header: HeaderBody<'a>,
    items: Vec<ItemBody<'a>>,
}

#[derive(Serialize)]
struct HeaderBody<'a> {
    sender_batch_id: &'a str,
    email_subject: &'a str,
    recipient_type: &'static str,
}

#[derive(Serialize)]
struct ItemBody<'a> {
    recipient_type: &'static str,
    receiver: &'a str,
    amount: AmountBody,
    #[serde(skip_serializing_if = "str::is_empty")]
    note: &'a str,
    sender_item_id: &'a str,
}

#[derive(Serialize)]
struct AmountBody {
    value: String,
    currency: &'static str,
}

fn item_body<'a>(item: &ItemOrder<'a>, currency: Currency) -> Result<ItemBody<'a>, BadRequest> {
    let bad = |what: String| Err(BadRequest(format!("the PayPal item of {} {what}", item.transaction)));
    if item.transaction.is_empty() || item.transaction.len() > MAX_ITEM_ID {
        return bad(format!("has an id that is not 1 to {MAX_ITEM_ID} bytes long"));
    }
    if item.amount.currency != currency {
        return bad(format!("is in {}, its batch in {currency}", item.amount.currency));
    }
    if item.amount.units <= 0 {
        return bad("has no positive amount".into());
    }
    let receiver_fits = (3..=MAX_RECEIVER).contains(&item.receiver.len());
    if !receiver_fits || !item.receiver.contains('@') || item.receiver.contains(char::is_whitespace) {
        return bad(format!("has a receiver that is no mail address of at most {MAX_RECEIVER} bytes"));
    }
    Ok(ItemBody {
        recipient_type: "EMAIL",
        receiver: item.receiver,
        amount: AmountBody { value: item.amount.decimal(), currency: currency.code() },
        note: cut(item.note, MAX_NOTE),
        sender_item_id: item.transaction,
    })
}

fn cut(text: &str, limit: usize) -> &str {
    text.char_indices().nth(limit).map_or(text, |(end, _)| &text[..end])
}

/// The last segment of the batch's own URL.
fn batch_of_link(href: &str) -> Option<String> {
    let path = href.split(['?', '#']).next()?;
    let (_, id) = path.trim_end_matches('/').rsplit_once("/payouts/")?;
    crate::request::is_plain_id(id).then(|| id.to_owned())
}

#[derive(Deserialize)]
struct CreatedBody {
    batch_header: BatchHeader,
}

/// One page of a batch.
#[derive(Deserialize)]
pub(super) struct PageBody {
    pub(super) batch_header: BatchHeader,
    #[serde(default)]
    pub(super) items: Items,
    #[serde(default, deserialize_with = "lenient::maybe")]
    pub(super) total_items: Option<usize>,
    #[serde(default, deserialize_with = "lenient::maybe")]
    pub(super) total_pages: Option<usize>,
}

/// The items of a page, each parsed separately.
#[derive(Default)]
pub(super) struct Items {
    pub(super) read: Vec<Item>,
    pub(super) unread: usize,
}

impl<'de> Deserialize<'de> for Items {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let mut items = Self::default();
        for one in Option::<Vec<Box<RawValue>>>::deserialize(from)?.unwrap_or_default() {
            let item = lenient::read::<ItemAnswer, D::Error>(&one)?.map(Item::from);
            // We name every item we send: one without a name could be any of them.
            let names =
                |item: &Item| item.sender_item_id.as_deref().is_some_and(|name| !name.trim().is_empty());
            match item.filter(names) {
                Some(item) => items.read.push(item),
                None => items.unread += 1,
            }
        }
        Ok(items)
    }
}

#[derive(Deserialize)]
pub(super) struct BatchHeader {
    payout_batch_id: String,
    #[serde(default, deserialize_with = "lenient::text")]
    batch_status: Option<String>,
    #[serde(default, deserialize_with = "lenient::maybe")]
    sender_batch_header: Option<SenderHeader>,
    amount: Option<AmountAnswer>,
    #[serde(default, deserialize_with = "error_of")]
    errors: Option<ItemError>,
}

#[derive(Deserialize)]
struct SenderHeader {
    #[serde(default, deserialize_with = "lenient::text")]
    sender_batch_id: Option<String>,
}

/// What we sent, parsed from the stored bytes.
#[derive(Deserialize)]
struct Sent {
    items: Vec<SentItem>,
}

#[derive(Deserialize)]
struct SentItem {
    amount: AmountAnswer,
    sender_item_id: String,
    receiver: String,
}

fn sent(request: &MoneyRequest) -> Option<Sent> {
    serde_json::from_slice(request.body()).ok()
}

fn total(sent: &Sent) -> Option<Money> {
    let mut amounts = sent.items.iter().map(|item| item.amount.money());
    let first = amounts.next()??;
    amounts.try_fold(first, |sum, amount| sum.plus(amount?))
}

impl BatchHeader {
    /// PayPal need not echo anything, but what it echoes must match what was sent.
    fn accepted(self, request: &MoneyRequest) -> Result<BatchAccepted, InvalidResponse> {
        if self.payout_batch_id.is_empty() {
            return Err(InvalidResponse::Unreadable("the batch has no id".into()));
        }
        let other = |sent: String, echoed: String| {
            Err(InvalidResponse::Mismatch(format!("sent a batch {sent}, the answer is about {echoed}")))
        };
        if let Some(id) = self.sender_batch_header.and_then(|sender| sender.sender_batch_id)
            && id != request.key()
        {
            return other(request.key().into(), id);
        }
        let total = sent(request).and_then(|sent| total(&sent));
        if let Some(amount) = self.amount
            && amount.money() != total
        {
            return other(format!("of {total:?}"), format!("{:?}", amount.money()));
        }
        Ok(BatchAccepted::Created {
            payout_batch_id: self.payout_batch_id,
            status: self.batch_status.unwrap_or_default(),
        })
    }

    pub(super) fn with(self, items: Vec<Item>, unread: usize) -> Batch {
        Batch {
            total: self.amount.as_ref().and_then(AmountAnswer::money),
            payout_batch_id: self.payout_batch_id,
            sender_batch_id: self.sender_batch_header.and_then(|header| header.sender_batch_id),
            status: self.batch_status.unwrap_or_default(),
            error: self.errors,
            items,
            unread,
        }
    }
}

/// An item as it appears in a batch, alone, or inside an event.
#[derive(Deserialize)]
pub(super) struct ItemAnswer {
    payout_item_id: String,
    #[serde(default, deserialize_with = "lenient::text")]
    payout_batch_id: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    sender_batch_id: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    transaction_id: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    transaction_status: Option<String>,
    payout_item_fee: Option<AmountAnswer>,
    #[serde(default, deserialize_with = "lenient::maybe")]
    payout_item: Option<ItemOrdered>,
    #[serde(default, deserialize_with = "error_of")]
    errors: Option<ItemError>,
    #[serde(default, deserialize_with = "lenient::text")]
    time_processed: Option<String>,
}

#[derive(Deserialize)]
struct ItemOrdered {
    amount: Option<AmountAnswer>,
    #[serde(default, deserialize_with = "lenient::text")]
    receiver: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    sender_item_id: Option<String>,
}

/// Amounts are parsed strictly: what does not follow the contract is no amount, and matches none.
struct AmountAnswer {
    value: Option<String>,
    currency: Option<String>,
}

impl<'de> Deserialize<'de> for AmountAnswer {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let all = Value::deserialize(from)?;
        let text = |name: &str| all.get(name).and_then(Value::as_str).map(str::to_owned);
        Ok(Self { value: text("value"), currency: text("currency") })
    }
}

impl AmountAnswer {
    fn money(&self) -> Option<Money> {
        let currency = Currency::parse(self.currency.as_deref()?).ok()?;
        money::from_vendor_decimal(self.value.as_deref()?, currency).ok()
    }
}

impl From<ItemAnswer> for Item {
    fn from(answer: ItemAnswer) -> Self {
        let (amount, receiver, sender_item_id) = answer
            .payout_item
            .map_or((None, None, None), |item| (item.amount, item.receiver, item.sender_item_id));
        Self {
            payout_item_id: answer.payout_item_id,
            payout_batch_id: answer.payout_batch_id,
            sender_batch_id: answer.sender_batch_id,
            transaction_id: answer.transaction_id,
            sender_item_id,
            status: answer.transaction_status.unwrap_or_default(),
            amount: amount.and_then(|amount| amount.money()),
            fee: answer.payout_item_fee.and_then(|fee| fee.money()),
            receiver,
            error: answer.errors,
            time_processed: answer.time_processed,
        }
    }
}
