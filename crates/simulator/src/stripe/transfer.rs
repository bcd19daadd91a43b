//! Transfers from the platform to a connected account, and their reversals. A transfer has no status: it exists, or the
//! call was rejected.
//!
//! Not here: the path from the connected account to a bank (`payout`).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::balance::{Movement, Place, check_amount};
use super::event::{Cause, emit};
use super::refusal::Refusal;
use super::{Call, Outcome, PLATFORM, list_of, page_of};
use crate::books::{ReversalLine, TransferLine};
use crate::scene::Scene;
use crate::table::Dated;
use crate::world::{Due, World};
use crate::{DAY, SECOND};

/// A transfer (`tr_…`).
#[derive(Debug)]
pub(crate) struct Transfer {
    id: String,
    amount: i64,
    amount_reversed: i64,
    currency: String,
    destination: String,
    destination_payment: String,
    movement: String,
    description: Option<String>,
    metadata: BTreeMap<String, String>,
    group: Option<String>,
    source_type: String,
    key: Option<String>,
    reversals: Vec<String>,
    created_at: i64,
}

/// A reversal (`trr_…`).
#[derive(Debug)]
pub(crate) struct Reversal {
    id: String,
    transfer: String,
    amount: i64,
    currency: String,
    metadata: BTreeMap<String, String>,
    movement: String,
    key: Option<String>,
    created_at: i64,
}

impl Dated for Transfer {
    fn made_at(&self) -> i64 {
        self.created_at
    }
}

impl Dated for Reversal {
    fn made_at(&self) -> i64 {
        self.created_at
    }
}

const PARAMETERS: [&str; 8] = [
    "amount",
    "currency",
    "destination",
    "description",
    "metadata",
    "transfer_group",
    "source_transaction",
    "source_type",
];

pub(crate) fn create(world: &mut World, call: &Call<'_>) -> Outcome {
    let form = &call.form;
    form.only(&PARAMETERS)?;
    let currency = form.required("currency")?.to_owned();
    let destination = form.required("destination")?.to_owned();
    form.required("amount")?;
    let amount = check_amount(form.integer("amount")?, &currency, false)?;
    let metadata = form.metadata(&BTreeMap::new())?;
    let group = form.text("transfer_group");
    let source_type = form.text("source_type").unwrap_or_else(|| "card".to_owned());
    let missing = || Refusal::missing("destination", &destination);
    let account = world.stripe.account(&destination, call.now).ok_or_else(missing)?;
    let scene = account.scene();
    refuse_by_scene(scene)?;
    if world.stripe.platform_available(&currency, call.now) < amount {
        let message = "You have insufficient available funds in your Stripe account.";
        return Err(Refusal::definite("balance_insufficient", message));
    }
    let of = Order {
        amount,
        currency,
        destination,
        description: form.text("description"),
        metadata,
        group,
        source_type,
        key: call.key.map(str::to_owned),
    };
    make(world, &Cause::of(call), of, call.now)
}

/// Someone sends money to a connected account in Stripe's dashboard; `false` if the balance does not cover it.
pub(crate) fn send_in_dashboard(
    world: &mut World,
    destination: &str,
    currency: &str,
    amount: i64,
    now: i64,
) -> bool {
    let known = world.stripe.account(destination, now).is_some();
    if !known || world.stripe.platform_available(currency, now) < amount {
        return false;
    }
    let of = Order {
        amount,
        currency: currency.to_owned(),
        destination: destination.to_owned(),
        description: Some("made in the dashboard".to_owned()),
        metadata: BTreeMap::new(),
        group: None,
        source_type: "card".to_owned(),
        key: None,
    };
    make(world, &Cause::itself(now), of, now).is_ok()
}

/// A transfer request that passed all checks.
struct Order {
    amount: i64,
    currency: String,
    destination: String,
    description: Option<String>,
    metadata: BTreeMap<String, String>,
    group: Option<String>,
    source_type: String,
    key: Option<String>,
}

fn make(world: &mut World, cause: &Cause, of: Order, now: i64) -> Outcome {
    let id = world.ids.stripe("tr");
    let payment = world.ids.stripe("py");
    let available_at = receive(world, &of.destination, &of.currency, of.amount, now);
    let movement = Movement::record(world, PLATFORM, &of.currency, -of.amount, ("transfer", &id), now);
    let source = ("payment", payment.as_str());
    Movement::record_later(world, &of.destination, &of.currency, of.amount, source, (now, available_at));
    let mut lists = vec![format!("destination={}", of.destination)];
    lists.extend(of.group.iter().map(|group| format!("group={group}")));
    let transfer = Transfer {
        id: id.clone(),
        amount: of.amount,
        amount_reversed: 0,
        currency: of.currency,
        destination: of.destination,
        destination_payment: payment,
        movement,
        description: of.description,
        metadata: of.metadata,
        group: of.group,
        source_type: of.source_type,
        key: of.key,
        reversals: Vec::new(),
        created_at: now,
    };
    let position = world.stripe.transfers.add(&id, &lists, transfer);
    announce(world, cause, position, "transfer.created", None)
}

pub(crate) fn list(world: &World, call: &Call<'_>) -> Outcome {
    let group = call.form.get("transfer_group");
    let destination = call.form.get("destination");
    // The group's list is the shorter one.
    let key = group
        .map(|group| format!("group={group}"))
        .or_else(|| destination.map(|destination| format!("destination={destination}")));
    page_of(
        &world.stripe,
        &world.stripe.transfers,
        key.as_deref(),
        call,
        "/v1/transfers",
        |transfer| destination.is_none_or(|destination| destination == transfer.destination),
        |transfer| transfer.show(world),
    )
}

pub(crate) fn read(world: &World, id: &str) -> Outcome {
    let transfer = world.stripe.transfers.find(id);
    transfer.map(|transfer| transfer.show(world)).ok_or_else(|| Refusal::missing("transfer", id))
}

pub(crate) fn update(world: &mut World, call: &Call<'_>, id: &str) -> Outcome {
    call.form.only(&["metadata", "description"])?;
    let missing = || Refusal::missing("transfer", id);
    let position = world.stripe.transfers.position(id).ok_or_else(missing)?;
    let transfer = world.stripe.transfers.at_mut(position);
    let before = json!({"metadata": transfer.metadata, "description": transfer.description});
    transfer.metadata = call.form.metadata(&transfer.metadata)?;
    if call.form.get("description").is_some() {
        transfer.description = call.form.text("description");
    }
    announce(world, &Cause::of(call), position, "transfer.updated", Some(before))
}

/// Takes money back from the connected account, if it is still there.
pub(crate) fn reverse(world: &mut World, call: &Call<'_>, id: &str) -> Outcome {
    call.form.only(&["amount", "description", "metadata", "refund_application_fee"])?;
    let asked = call.form.integer("amount")?;
    let metadata = call.form.metadata(&BTreeMap::new())?;
    let missing = || Refusal::missing("transfer", id);
    let position = world.stripe.transfers.position(id).ok_or_else(missing)?;
    let transfer = world.stripe.transfers.at(position);
    let left = transfer.amount - transfer.amount_reversed;
    let amount = asked.unwrap_or(left);
    if left == 0 || amount < 1 || amount > left {
        let message = format!("Transfer {id} has {left} left to reverse.");
        return Err(Refusal::definite("transfer_reversal_amount_invalid", &message));
    }
    let (account, currency) = (transfer.destination.clone(), transfer.currency.clone());
    if !take_back(world, &account, &currency, amount) {
        let message = "The connected account's balance does not cover this reversal.";
        return Err(Refusal::definite("balance_insufficient", message));
    }
    let reversal_id = world.ids.stripe("trr");
    let source = ("transfer_refund", reversal_id.as_str());
    let movement = Movement::record(world, PLATFORM, &currency, amount, source, call.now);
    Movement::record(world, &account, &currency, -amount, ("payment_refund", &reversal_id), call.now);
    let reversal = Reversal {
        id: reversal_id.clone(),
        transfer: id.to_owned(),
        amount,
        currency,
        metadata,
        movement,
        key: call.key.map(str::to_owned),
        created_at: call.now,
    };
    let shown = reversal.show();
    world.stripe.reversals.add(&reversal_id, &[format!("transfer={id}")], reversal);
    let transfer = world.stripe.transfers.at_mut(position);
    transfer.amount_reversed += amount;
    transfer.reversals.push(reversal_id);
    announce(world, &Cause::of(call), position, "transfer.reversed", None)?;
    Ok(shown)
}

/// Which transfer of a group.
#[derive(Clone, Copy)]
pub(crate) enum Which {
    First,
    Newest,
}

/// Someone reverses a group's transfer in Stripe's dashboard, fully or partly. An insufficient connected balance
/// becomes negative, as Stripe allows a platform that is liable for its accounts.
pub(crate) fn reverse_in_dashboard(
    world: &mut World,
    group: &str,
    (which, part): (Which, Option<i64>),
    now: i64,
) -> bool {
    let of_group = |one: &&Transfer| one.group.as_deref() == Some(group) && one.amount_reversed < one.amount;
    let mut standing = world.stripe.transfers.rows().iter().filter(of_group);
    let found = match which {
        Which::First => standing.next(),
        Which::Newest => standing.next_back(),
    };
    let Some(transfer) = found else { return false };
    let (id, account, currency) =
        (transfer.id.clone(), transfer.destination.clone(), transfer.currency.clone());
    let left = transfer.amount - transfer.amount_reversed;
    let amount = part.unwrap_or(left).min(left);
    world.stripe.pay_in(&account, &currency, -amount, Place::Available);
    world.stripe.pay_in(PLATFORM, &currency, amount, Place::Available);
    let reversal_id = world.ids.stripe("trr");
    let source = ("transfer_refund", reversal_id.as_str());
    let movement = Movement::record(world, PLATFORM, &currency, amount, source, now);
    Movement::record(world, &account, &currency, -amount, ("payment_refund", &reversal_id), now);
    let reversal = Reversal {
        id: reversal_id.clone(),
        transfer: id.clone(),
        amount,
        currency,
        metadata: BTreeMap::new(),
        movement,
        key: None,
        created_at: now,
    };
    world.stripe.reversals.add(&reversal_id, &[format!("transfer={id}")], reversal);
    let Some(position) = world.stripe.transfers.position(&id) else { return false };
    let transfer = world.stripe.transfers.at_mut(position);
    transfer.amount_reversed += amount;
    transfer.reversals.push(reversal_id);
    announce(world, &Cause::itself(now), position, "transfer.reversed", None).is_ok()
}

pub(crate) fn list_reversals(world: &World, call: &Call<'_>, id: &str) -> Outcome {
    let url = format!("/v1/transfers/{id}/reversals");
    let key = format!("transfer={id}");
    page_of(&world.stripe, &world.stripe.reversals, Some(&key), call, &url, |_| true, Reversal::show)
}

pub(crate) fn read_reversal(world: &World, id: &str) -> Outcome {
    world.stripe.reversals.find(id).map(Reversal::show).ok_or_else(|| Refusal::missing("reversal", id))
}

fn refuse_by_scene(scene: Option<Scene>) -> Result<(), Refusal> {
    match scene {
        Some(Scene::Restricted) => Err(Refusal::definite(
            "insufficient_capabilities_for_transfer",
            "Your destination account needs to have at least one of the following capabilities enabled: \
             transfers, crypto_transfers, legacy_payments",
        )),
        Some(Scene::Denied) => {
            Err(Refusal::forbidden("transfers_not_allowed", "Transfers to this account are not allowed."))
        }
        Some(Scene::Refused) => Err(Refusal::forbidden(
            "account_invalid",
            "The provided key does not have access to this account.",
        )),
        _ => Ok(()),
    }
}

/// Puts transferred money into the connected balance, available immediately or pending; returns when it becomes
/// available.
fn receive(world: &mut World, account: &str, currency: &str, amount: i64, now: i64) -> i64 {
    let scene = world.stripe.accounts.get(account).and_then(super::Account::scene);
    let wait = if scene == Some(Scene::Slow) { DAY } else { world.options.pace.transfer_available_us };
    world.stripe.pay_in(PLATFORM, currency, -amount, Place::Available);
    if wait > 0 {
        world.stripe.pay_in(account, currency, amount, Place::Pending);
        let (account, currency) = (account.to_owned(), currency.to_owned());
        world.agenda.write(now + wait, Due::Funds { account, currency, amount });
    } else {
        world.stripe.pay_in(account, currency, amount, Place::Available);
    }
    super::payout::plan_sweep(world, account, currency, now + wait);
    now + wait
}

/// Moves money from a connected balance to the platform's; `false` if there is not enough.
fn take_back(world: &mut World, account: &str, currency: &str, amount: i64) -> bool {
    if world.stripe.available(account, currency) < amount {
        return false;
    }
    world.stripe.pay_in(account, currency, -amount, Place::Available);
    world.stripe.pay_in(PLATFORM, currency, amount, Place::Available);
    true
}

fn announce(
    world: &mut World,
    cause: &Cause,
    position: usize,
    event: &'static str,
    before: Option<Value>,
) -> Outcome {
    let transfer = world.stripe.transfers.at(position);
    let (shown, id) = (transfer.show(world), transfer.id.clone());
    emit(world, cause, None, event, &id, &shown, before);
    Ok(shown)
}

impl Transfer {
    /// The transfer group set by its creator.
    pub(super) fn group(&self) -> Option<&str> {
        self.group.as_deref()
    }

    pub(super) fn show(&self, world: &World) -> Value {
        let reversals = self.reversals.iter().filter_map(|id| world.stripe.reversals.find(id));
        let url = format!("/v1/transfers/{}/reversals", self.id);
        json!({
            "id": self.id,
            "object": "transfer",
            "amount": self.amount,
            "amount_reversed": self.amount_reversed,
            "balance_transaction": self.movement,
            "created": self.created_at / SECOND,
            "currency": self.currency,
            "description": self.description,
            "destination": self.destination,
            "destination_payment": self.destination_payment,
            "livemode": world.stripe.live,
            "metadata": self.metadata,
            "reversals": list_of(&url, reversals.map(Reversal::show).collect(), false),
            "reversed": self.amount_reversed == self.amount,
            "source_transaction": null,
            "source_type": self.source_type,
            "transfer_group": self.group,
        })
    }

    /// The group, if this is the transfer that a connected account sees as `payment`.
    pub(crate) fn group_of_payment(&self, payment: &str) -> Option<String> {
        self.group.clone().filter(|_| self.destination_payment == payment)
    }

    pub(crate) fn line(&self) -> TransferLine {
        TransferLine {
            id: self.id.clone(),
            destination: self.destination.clone(),
            currency: self.currency.clone(),
            amount: self.amount,
            amount_reversed: self.amount_reversed,
            transfer_group: self.group.clone(),
            metadata: self.metadata.clone(),
            key: self.key.clone(),
            created_at: self.created_at,
        }
    }
}

impl Reversal {
    pub(super) fn transfer(&self) -> &str {
        &self.transfer
    }

    pub(super) fn show(&self) -> Value {
        json!({
            "id": self.id,
            "object": "transfer_reversal",
            "amount": self.amount,
            "balance_transaction": self.movement,
            "created": self.created_at / SECOND,
            "currency": self.currency,
            "destination_payment_refund": null,
            "metadata": self.metadata,
            "source_refund": null,
            "transfer": self.transfer,
        })
    }

    pub(crate) fn line(&self) -> ReversalLine {
        ReversalLine {
            id: self.id.clone(),
            transfer: self.transfer.clone(),
            amount: self.amount,
            key: self.key.clone(),
            created_at: self.created_at,
        }
    }
}
