//! Processing of batches and items: the balance is checked, and money is reserved, taken and returned.
//!
//! An item's amount leaves our balance when it is credited or waits unclaimed; the fee when it is credited. Returned
//! amounts do not include the fee.
//!
//! Not here: requests rejected before a batch exists (`batch`).

use serde_json::{Value, json};

use super::batch::{Batch, decimal, fee_of, show_item};
use super::report::Line;
use super::{Call, Outcome, PayPal, Refusal, event, moment};
use crate::books::ItemLine;
use crate::scene::Scene;
use crate::table::Dated;
use crate::world::{Due, World};
use crate::{DAY, Pace};

/// An item of a batch.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) id: String,
    pub(crate) batch: usize,
    pub(crate) receiver: String,
    pub(crate) sender_item_id: Option<String>,
    pub(crate) amount: i64,
    pub(crate) echo: Value,
    pub(crate) scene: Option<Scene>,
    pub(crate) status: Status,
    pub(crate) error: Option<(&'static str, &'static str)>,
    pub(crate) transaction_id: Option<String>,
    pub(crate) processed_at: Option<i64>,
    pub(crate) fee_taken: i64,
    /// Whether its amount and fee are reserved in our balance.
    pub(crate) held: bool,
    /// Whether its amount has ever left our balance.
    pub(crate) left: bool,
}

/// `transaction_status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Pending,
    Success,
    Failed,
    Unclaimed,
    Returned,
    OnHold,
    Blocked,
    Refunded,
    Reversed,
}

/// What happens to an item next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Become(Status, Option<(&'static str, &'static str)>),
    /// After 30 days, or when the receiver refuses.
    Return,
    /// The receiver opened an account, or a review was passed.
    Claim,
}

impl Status {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Status::Pending => "PENDING",
            Status::Success => "SUCCESS",
            Status::Failed => "FAILED",
            Status::Unclaimed => "UNCLAIMED",
            Status::Returned => "RETURNED",
            Status::OnHold => "ONHOLD",
            Status::Blocked => "BLOCKED",
            Status::Refunded => "REFUNDED",
            Status::Reversed => "REVERSED",
        }
    }

    /// The suffix of its event type; `None` for a reversal.
    fn event(self) -> Option<&'static str> {
        match self {
            Status::Success => Some("SUCCEEDED"),
            Status::OnHold => Some("HELD"),
            Status::Failed | Status::Unclaimed | Status::Returned | Status::Blocked | Status::Refunded => {
                Some(self.as_str())
            }
            Status::Pending | Status::Reversed => None,
        }
    }
}

impl Dated for Item {
    fn made_at(&self) -> i64 {
        0
    }
}

/// Starts a batch: denied as a whole if the balance does not cover it or a scene says so, otherwise processed.
pub(crate) fn start(world: &mut World, position: usize, at: i64) {
    let batch = world.paypal.batches.at(position);
    let (needed, currency, items) = (batch.amount + batch.fees, batch.currency.clone(), batch.items.clone());
    let denied = items.clone().any(|item| world.paypal.items.at(item).scene == Some(Scene::Denied));
    let purse = world.paypal.purse(&currency, at);
    let covered = purse.balance - purse.held >= needed;
    if denied || !covered {
        let error = if covered {
            ("RISK_DECLINE", "The transaction was declined due to risk.")
        } else {
            ("INSUFFICIENT_FUNDS", "The sender does not have sufficient funds.")
        };
        deny(world, position, error, at);
        return;
    }
    purse.held += needed;
    world.paypal.batches.at_mut(position).status = "PROCESSING";
    announce_batch(world, position, "PROCESSING", "Payouts batch got processed.", at);
    let pace = world.options.pace.clone();
    for item in items {
        world.paypal.items.at_mut(item).held = true;
        for (wait, step) in way(world.paypal.items.at(item).scene, &pace) {
            world.agenda.write(at + wait, Due::Item { item, step });
        }
    }
    world.agenda.write(at + pace.paypal_item_us, Due::ItemsSettle { batch: position });
}

/// Credits every item without a scene.
pub(crate) fn settle_batch(world: &mut World, position: usize, at: i64) {
    for item in world.paypal.batches.at(position).items.clone() {
        if world.paypal.items.at(item).scene.is_none() {
            take_step(world, item, Step::Become(Status::Success, None), at);
        }
    }
}

/// Takes an item's step, if it still applies.
pub(crate) fn take_step(world: &mut World, position: usize, step: Step, at: i64) {
    let status = world.paypal.items.at(position).status;
    match step {
        Step::Become(to, error) if may_become(status, to) => become_status(world, position, to, error, at),
        Step::Return if status == Status::Unclaimed => {
            let error = world.paypal.items.at(position).error;
            become_status(world, position, Status::Returned, error, at);
        }
        Step::Claim if matches!(status, Status::Unclaimed | Status::OnHold | Status::Pending) => {
            become_status(world, position, Status::Success, None, at);
        }
        Step::Become(..) | Step::Return | Step::Claim => {}
    }
}

/// Cancels an unclaimed item: the money is returned immediately.
pub(super) fn cancel(world: &mut World, call: &Call<'_>, id: &str) -> Outcome {
    let position = world.paypal.items.position(id).ok_or_else(Refusal::missing)?;
    let item = world.paypal.items.at(position);
    let batch_open = world.paypal.batches.at(item.batch).open > 0;
    let error = item.error;
    let refused = |name, message| Err(Refusal::new(400, name, message));
    match item.status {
        Status::Unclaimed if batch_open => {
            refused("BATCH_NOT_COMPLETED", "Items can be cancelled once their batch is completed.")
        }
        Status::Unclaimed => {
            change_status(world, position, Status::Returned, error, call.now);
            announce_item(world, position, "CANCELED", call.now);
            Ok((200, show_item(world, &call.base, world.paypal.items.at(position))))
        }
        Status::Returned => refused("ITEM_ALREADY_CANCELLED", "Requested item is already cancelled."),
        Status::Pending
        | Status::Success
        | Status::Failed
        | Status::OnHold
        | Status::Blocked
        | Status::Refunded
        | Status::Reversed => {
            refused("ITEM_INCORRECT_STATUS", "Only items in Unclaimed status can be cancelled.")
        }
    }
}

/// Ends a receiver's scene and credits unclaimed, held and pending items immediately.
pub(crate) fn mend(world: &mut World, receiver: &str, now: i64) {
    world.paypal.mended.insert(receiver.to_owned());
    for item in world.paypal.items.listed(&format!("receiver={receiver}")).to_vec() {
        let held = world.paypal.items.at(item).held;
        let unclaimed = world.paypal.items.at(item).status == Status::Unclaimed;
        if held || unclaimed {
            world.agenda.write(now, Due::Item { item, step: Step::Claim });
        }
    }
}

fn way(scene: Option<Scene>, pace: &Pace) -> Vec<(i64, Step)> {
    let first = pace.paypal_item_us;
    let become_at = |wait, to| (wait, Step::Become(to, None));
    let refused = |to, name, message| vec![(first, Step::Become(to, Some((name, message))))];
    let unclaimed =
        (first, Step::Become(Status::Unclaimed, Some(("RECEIVER_UNREGISTERED", "Receiver is unregistered"))));
    let after_success = |to| vec![become_at(first, Status::Success), become_at(first + pace.late_us, to)];
    let Some(scene) = scene else { return Vec::new() };
    match scene {
        Scene::Closed => refused(Status::Failed, "RECEIVER_ACCOUNT_LOCKED", "Receiver's account is locked"),
        Scene::NoAccount => refused(Status::Failed, "INVALID_EMAIL", "Receiver's email is invalid"),
        Scene::Restricted => {
            refused(Status::Failed, "RECEIVER_STATE_RESTRICTED", "Receiver's state is restricted")
        }
        Scene::Limit => refused(Status::Failed, "RECEIVING_LIMIT_EXCEEDED", "Receiver's limit is exceeded"),
        Scene::Blocked => refused(Status::Blocked, "REGULATORY_BLOCKED", "The payment was blocked"),
        Scene::PaidThenFailed => after_success(Status::Reversed),
        Scene::Refunded => after_success(Status::Refunded),
        Scene::Slow => vec![become_at(3 * DAY, Status::Success)],
        Scene::Held => vec![become_at(first, Status::OnHold), (first + pace.late_us, Step::Claim)],
        Scene::Unclaimed => vec![unclaimed, (first + 30 * DAY, Step::Return)],
        Scene::UnclaimedThenReturned => vec![unclaimed, (first + pace.unclaimed_return_us, Step::Return)],
        // A batch with a denied item is denied and a request with such a receiver rejected, so neither gets here. The
        // minimum applies to Stripe only.
        Scene::Denied | Scene::Refused | Scene::Minimum => vec![become_at(first, Status::Success)],
    }
}

fn may_become(from: Status, to: Status) -> bool {
    match to {
        Status::Refunded | Status::Reversed => from == Status::Success,
        Status::Success | Status::Failed | Status::Unclaimed | Status::OnHold | Status::Blocked => {
            from == Status::Pending
        }
        Status::Pending | Status::Returned => false,
    }
}

fn become_status(
    world: &mut World,
    position: usize,
    to: Status,
    error: Option<(&'static str, &'static str)>,
    at: i64,
) {
    let was_pending = world.paypal.items.at(position).status == Status::Pending;
    change_status(world, position, to, error, at);
    if let Some(suffix) = to.event() {
        announce_item(world, position, suffix, at);
    }
    if was_pending {
        close_one(world, world.paypal.items.at(position).batch, at);
    }
}

/// Moves the money for a status change.
fn change_status(
    world: &mut World,
    position: usize,
    to: Status,
    error: Option<(&'static str, &'static str)>,
    at: i64,
) {
    let transaction_id = world.ids.capitals(17);
    let PayPal { items, batches, purses, movements, .. } = &mut world.paypal;
    let item = items.at_mut(position);
    let currency = batches.at(item.batch).currency.clone();
    let purse = purses.entry(currency.clone()).or_default();
    let paid_as = item.transaction_id.get_or_insert(transaction_id).clone();
    let mut line = Line {
        paid_as: &paid_as,
        about: item.sender_item_id.as_deref(),
        currency: &currency,
        at,
        into: movements,
    };
    let fee = fee_of(item.amount);
    let was_out = matches!(item.status, Status::Success | Status::Unclaimed);
    let is_out = matches!(to, Status::Success | Status::Unclaimed);
    if is_out && !was_out {
        purse.balance -= item.amount;
        item.left = true;
        line.write("T0001", -item.amount);
    }
    if was_out && !is_out {
        purse.balance += item.amount;
        line.write(if to == Status::Refunded { "T1115" } else { "T1114" }, item.amount);
    }
    if to == Status::Success && item.fee_taken == 0 {
        purse.balance -= fee;
        purse.fees += fee;
        item.fee_taken = fee;
        line.write("T0104", -fee);
    }
    if item.held && to != Status::OnHold {
        purse.held -= item.amount + fee;
        item.held = false;
    }
    item.status = to;
    item.error = error;
    item.processed_at = Some(at);
}

fn deny(world: &mut World, position: usize, error: (&'static str, &'static str), at: i64) {
    let batch = world.paypal.batches.at_mut(position);
    batch.status = "DENIED";
    batch.completed_at = Some(at);
    batch.open = 0;
    let items = batch.items.clone();
    announce_batch(world, position, "DENIED", "Payouts batch got denied.", at);
    for item in items {
        change_status(world, item, Status::Failed, Some(error), at);
        announce_item(world, item, "DENIED", at);
    }
}

/// One pending item fewer; after the last one the batch is a success, whatever happened to its items.
fn close_one(world: &mut World, position: usize, at: i64) {
    let batch = world.paypal.batches.at_mut(position);
    batch.open = batch.open.saturating_sub(1);
    if batch.open == 0 {
        batch.status = "SUCCESS";
        batch.completed_at = Some(at);
        announce_batch(world, position, "SUCCESS", "Payouts batch completed successfully.", at);
    }
}

fn announce_batch(world: &mut World, position: usize, suffix: &str, summary: &str, at: i64) {
    let batch = world.paypal.batches.at(position);
    let mut header = batch.show();
    header["payments"] = Value::from(batch.items.len());
    let href = format!("{}/v1/payments/payouts/{}", batch.base, batch.id);
    let links = json!([{"href": href, "rel": "self", "method": "GET"}]);
    let (resource, id) = (json!({"batch_header": header, "links": links}), batch.id.clone());
    let kind = format!("PAYMENT.PAYOUTSBATCH.{suffix}");
    event::emit(world, at, &kind, ("payouts", summary), &id, &resource);
}

fn announce_item(world: &mut World, position: usize, suffix: &str, at: i64) {
    let item = world.paypal.items.at(position);
    let base = &world.paypal.batches.at(item.batch).base;
    let (resource, id) = (show_item(world, base, item), item.id.clone());
    let kind = format!("PAYMENT.PAYOUTS-ITEM.{suffix}");
    let summary = format!("A payout item is {}", suffix.to_lowercase());
    event::emit(world, at, &kind, ("payouts_item", &summary), &id, &resource);
}

impl Item {
    /// Without links, which depend on where it is shown.
    pub(crate) fn show(&self, batch: &Batch, fee_hidden: bool) -> Value {
        let fee = decimal(fee_of(self.amount), &batch.currency);
        let mut shown = json!({
            "payout_item_id": self.id,
            "transaction_status": self.status.as_str(),
            "payout_item_fee": {"currency": batch.currency, "value": fee},
            "payout_batch_id": batch.id,
            "payout_item": self.echo,
        });
        if fee_hidden {
            shown["payout_item_fee"].take();
        }
        if let Some(transaction_id) = &self.transaction_id {
            shown["transaction_id"] = Value::from(transaction_id.as_str());
            shown["activity_id"] = Value::from(transaction_id.chars().rev().collect::<String>());
        }
        if let Some(processed_at) = self.processed_at {
            shown["time_processed"] = Value::from(moment(processed_at));
        }
        if let Some((name, message)) = self.error {
            // Real answers have no debug_id here, although it is documented as required.
            shown["errors"] = json!({
                "name": name,
                "message": message,
                "information_link":
                    format!("https://developer.paypal.com/docs/api/payments.payouts-batch/#error-{name}"),
            });
        }
        shown
    }

    pub(crate) fn line(&self, paypal: &PayPal) -> ItemLine {
        let batch = paypal.batches.at(self.batch);
        ItemLine {
            id: self.id.clone(),
            batch: batch.id.clone(),
            sender_item_id: self.sender_item_id.clone(),
            receiver: self.receiver.clone(),
            currency: batch.currency.clone(),
            amount: self.amount,
            fee: self.fee_taken,
            status: self.status.as_str().to_owned(),
            error: self.error.map(|(name, _)| name.to_owned()),
            left: self.left,
        }
    }
}
