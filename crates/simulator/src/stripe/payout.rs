//! Payouts from a balance to a bank: pending, in transit, paid or failed; and the daily sweep of accounts on an
//! automatic schedule.
//!
//! A payout without `Stripe-Account` pays the platform's own bank, as at Stripe; the books show it.
//!
//! A reversed payout stays paid, and a second payout with the negative amount recovers it: once that one is paid, the
//! money is in the balance again.
//!
//! Not here: instant payouts to cards.

use std::cell::Cell;
use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::account::{Account, bank_id};
use super::balance::{Movement, Place, check_amount};
use super::event::{Cause, emit};
use super::refusal::Refusal;
use super::{Call, Outcome, PLATFORM, Stripe, page_of};
use crate::books::PayoutLine;
use crate::scene::Scene;
use crate::table::Dated;
use crate::world::{Due, World};
use crate::{DAY, SECOND};

/// A payout (`po_…`).
#[derive(Debug)]
pub(crate) struct Payout {
    id: String,
    pub(crate) account: String,
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) status: &'static str,
    automatic: bool,
    movement: String,
    failure_movement: Option<String>,
    failure: Option<Failure>,
    description: Option<String>,
    statement_descriptor: Option<String>,
    method: String,
    source_type: String,
    metadata: BTreeMap<String, String>,
    key: Option<String>,
    /// The payout that this one reverses.
    pub(crate) original: Option<String>,
    /// The payout that reverses this one.
    reversed_by: Option<String>,
    /// When it came to its end.
    ended_at: Option<i64>,
    /// Whether the platform has been shown its outcome.
    end_shown: Cell<bool>,
    /// It ended while the platform had no access to the account, or just before losing it.
    ended_unseen: bool,
    created_at: i64,
    arrival_at: i64,
}

/// A polling platform cannot have asked within this time.
const JUST_NOW: i64 = 600 * SECOND;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failure {
    code: &'static str,
    message: &'static str,
}

/// The next step of a payout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Leave,
    Arrive,
    Fail(Failure),
    Cancel,
}

const CLOSED: Failure = Failure { code: "account_closed", message: "The bank account has been closed." };
const NO_ACCOUNT: Failure =
    Failure { code: "no_account", message: "The bank account details on file are probably incorrect." };
const FROZEN: Failure = Failure { code: "account_frozen", message: "The bank account has been frozen." };
const DECLINED: Failure = Failure { code: "declined", message: "The bank has declined this transfer." };

const PARAMETERS: [&str; 9] = [
    "amount",
    "currency",
    "description",
    "destination",
    "metadata",
    "method",
    "payout_method",
    "source_type",
    "statement_descriptor",
];

impl Dated for Payout {
    fn made_at(&self) -> i64 {
        self.created_at
    }
}

pub(crate) fn create(world: &mut World, call: &Call<'_>) -> Outcome {
    let form = &call.form;
    form.only(&PARAMETERS)?;
    let currency = form.required("currency")?.to_owned();
    form.required("amount")?;
    let amount = check_amount(form.integer("amount")?, &currency, true)?;
    let metadata = form.metadata(&BTreeMap::new())?;
    let descriptor = form.text("statement_descriptor");
    if descriptor.as_ref().is_some_and(|text| text.len() > 22) {
        let message = "The statement descriptor must be at most 22 characters.";
        return Err(Refusal::parameter("parameter_invalid_string_length", "statement_descriptor", message));
    }
    let account_id = call.account.unwrap_or(PLATFORM).to_owned();
    let missing = || Refusal::missing("account", &account_id);
    let account = world.stripe.account(&account_id, call.now).ok_or_else(missing)?;
    let scene = account.scene();
    check_bank(account, form.get("destination"), &currency)?;
    refuse_by_scene(scene)?;
    if world.stripe.available(&account_id, &currency) < amount {
        let message = "You have insufficient funds in your Stripe account for this transfer.";
        return Err(Refusal::definite("balance_insufficient", message));
    }
    let payout = Payout {
        id: world.ids.stripe("po"),
        account: account_id,
        amount,
        currency,
        status: "pending",
        automatic: false,
        movement: String::new(),
        failure_movement: None,
        failure: None,
        description: form.text("description"),
        statement_descriptor: descriptor,
        method: form.text("method").unwrap_or_else(|| "standard".to_owned()),
        source_type: form.text("source_type").unwrap_or_else(|| "card".to_owned()),
        metadata,
        key: call.key.map(str::to_owned),
        original: None,
        reversed_by: None,
        ended_at: None,
        end_shown: Cell::default(),
        ended_unseen: false,
        created_at: call.now,
        arrival_at: call.now,
    };
    Ok(begin(world, &Cause::of(call), payout, scene))
}

pub(crate) fn list(world: &World, call: &Call<'_>) -> Outcome {
    let (status, destination) = (call.form.get("status"), call.form.get("destination"));
    let key = format!("account={}", call.account.unwrap_or(PLATFORM));
    page_of(
        &world.stripe,
        &world.stripe.payouts,
        Some(&key),
        call,
        "/v1/payouts",
        |payout| {
            status.is_none_or(|status| status == payout.status)
                && destination.is_none_or(|bank| bank == bank_id(&payout.account, &payout.currency))
        },
        |payout| payout.show_to_platform(world.stripe.live),
    )
}

pub(crate) fn read(world: &World, call: &Call<'_>, id: &str) -> Outcome {
    let position = own(world, call, id)?;
    Ok(world.stripe.payouts.at(position).show_to_platform(world.stripe.live))
}

pub(crate) fn update(world: &mut World, call: &Call<'_>, id: &str) -> Outcome {
    call.form.only(&["metadata"])?;
    let position = own(world, call, id)?;
    let payout = world.stripe.payouts.at_mut(position);
    let before = json!({"metadata": payout.metadata});
    payout.metadata = call.form.metadata(&payout.metadata)?;
    Ok(announce(world, &Cause::of(call), position, "payout.updated", Some(before)))
}

/// The owner of an account removes a metadata key from its payouts.
pub(crate) fn write_over(world: &mut World, account: &str, key: &str) {
    let of_account = |payout: &Payout| payout.account == account;
    for position in 0..world.stripe.payouts.rows().len() {
        if of_account(world.stripe.payouts.at(position)) {
            world.stripe.payouts.at_mut(position).metadata.remove(key);
        }
    }
}

pub(crate) fn cancel(world: &mut World, call: &Call<'_>, id: &str) -> Outcome {
    let position = own(world, call, id)?;
    let payout = world.stripe.payouts.at(position);
    if payout.status != "pending" || payout.automatic {
        let message = "Only manual payouts that are still pending can be canceled.";
        return Err(Refusal::definite("payout_not_cancelable", message));
    }
    let cause = Cause::of(call);
    bring_back(world, position, "payout_cancel", call.now);
    world.stripe.payouts.at_mut(position).status = "canceled";
    Ok(announce(world, &cause, position, "payout.canceled", None))
}

/// Asks the bank to return a paid payout.
pub(crate) fn reverse(world: &mut World, call: &Call<'_>, id: &str) -> Outcome {
    call.form.only(&["metadata"])?;
    let position = own(world, call, id)?;
    let metadata = call.form.metadata(&BTreeMap::new())?;
    let payout = world.stripe.payouts.at(position);
    if payout.status != "paid" || payout.reversed_by.is_some() || payout.original.is_some() {
        let message = "Only payouts that are paid, and were not reversed before, can be reversed.";
        return Err(Refusal::definite("payout_not_reversible", message));
    }
    Ok(fetch_back(world, &Cause::of(call), position, metadata, call.now))
}

/// The owner of an account reverses a payment's newest paid payout in their dashboard. Returns whether there was one.
pub(crate) fn reverse_in_dashboard(world: &mut World, transaction: &str, now: i64) -> bool {
    let of_it = |payout: &Payout| payout.transaction() == Some(transaction) && payout.status == "paid";
    let found = world.stripe.payouts.rows().iter().rposition(|one| of_it(one) && one.reversed_by.is_none());
    if let Some(position) = found {
        fetch_back(world, &Cause::itself(now), position, BTreeMap::new(), now);
    }
    found.is_some()
}

fn fetch_back(
    world: &mut World,
    cause: &Cause,
    position: usize,
    metadata: BTreeMap<String, String>,
    now: i64,
) -> Value {
    let whole = world.options.pace.stripe_payout_us;
    let id = world.ids.stripe("po");
    let payout = world.stripe.payouts.at_mut(position);
    payout.reversed_by = Some(id.clone());
    let account = payout.account.clone();
    let reversing = Payout {
        id: id.clone(),
        account: account.clone(),
        amount: -payout.amount,
        currency: payout.currency.clone(),
        status: "pending",
        automatic: false,
        movement: String::new(),
        failure_movement: None,
        failure: None,
        description: None,
        statement_descriptor: None,
        method: payout.method.clone(),
        source_type: payout.source_type.clone(),
        metadata,
        key: None,
        original: Some(payout.id.clone()),
        reversed_by: None,
        ended_at: None,
        end_shown: Cell::default(),
        ended_unseen: false,
        created_at: now,
        arrival_at: now + whole,
    };
    announce(world, cause, position, "payout.updated", Some(json!({"reversed_by": null})));
    for (wait, step) in [(whole / 2, Step::Leave), (whole, Step::Arrive)] {
        world.agenda.write(now + wait, Due::Payout { id: id.clone(), step });
    }
    let position = world.stripe.payouts.add(&id, &[format!("account={account}")], reversing);
    announce(world, cause, position, "payout.created", None)
}

/// The bank has returned a payout.
fn fetched(world: &mut World, position: usize, at: i64) {
    let payout = world.stripe.payouts.at(position);
    let (id, account) = (payout.id.clone(), payout.account.clone());
    let (currency, amount) = (payout.currency.clone(), -payout.amount);
    let movement = Movement::record(world, &account, &currency, amount, ("payout", &id), at);
    world.stripe.pay_in(&account, &currency, amount, Place::Available);
    world.stripe.payouts.at_mut(position).movement = movement;
}

/// Takes a payout's step, unless it has ended otherwise in the meantime.
pub(crate) fn take_step(world: &mut World, id: &str, step: Step, at: i64) {
    let Some(position) = world.stripe.payouts.position(id) else { return };
    let cause = Cause::itself(at);
    let status = world.stripe.payouts.at(position).status;
    let moving = status == "pending" || status == "in_transit";
    match step {
        Step::Leave if status == "pending" => {
            world.stripe.payouts.at_mut(position).status = "in_transit";
            let before = json!({"status": "pending"});
            announce(world, &cause, position, "payout.updated", Some(before));
        }
        Step::Arrive if moving => {
            world.stripe.payouts.at_mut(position).status = "paid";
            note_end(world, position, at);
            if world.stripe.payouts.at(position).original.is_some() {
                fetched(world, position, at);
            }
            announce(world, &cause, position, "payout.paid", None);
            if world.stripe.payouts.at(position).automatic {
                announce(world, &cause, position, "payout.reconciliation_completed", None);
            }
        }
        Step::Fail(failure) if moving || status == "paid" => fail(world, position, failure, at),
        Step::Cancel if status == "pending" => {
            bring_back(world, position, "payout_cancel", at);
            world.stripe.payouts.at_mut(position).status = "canceled";
            announce(world, &cause, position, "payout.canceled", None);
        }
        Step::Leave | Step::Arrive | Step::Fail(_) | Step::Cancel => {}
    }
}

impl super::Stripe {
    fn payouts_of(&self, account: &str) -> Vec<String> {
        let listed = self.payouts.listed(&format!("account={account}")).iter();
        listed.map(|position| self.payouts.at(*position).id.clone()).collect()
    }

    /// An account's pending payouts; used only for mending, because it scans the whole list.
    pub(crate) fn waiting_payouts(&self, account: &str) -> Vec<String> {
        let listed = self.payouts.listed(&format!("account={account}")).iter();
        let payouts = listed.map(|position| self.payouts.at(*position));
        payouts.filter(|payout| payout.status == "pending").map(|payout| payout.id.clone()).collect()
    }
}

/// Schedules the next sweep of an account on the daily schedule: the midnight (UTC) after `at`.
pub(crate) fn plan_sweep(world: &mut World, account: &str, currency: &str, at: i64) {
    let daily = world.stripe.accounts.get(account).is_some_and(|account| account.interval == "daily");
    if daily && account != PLATFORM {
        let midnight = (at / DAY + 1) * DAY;
        let (account, currency) = (account.to_owned(), currency.to_owned());
        world.agenda.write(midnight, Due::Sweep { account, currency });
    }
}

/// Pays out everything available, as Stripe does for an account on the daily schedule. Pending money, or money its bank
/// account cannot receive yet, waits for the next midnight.
pub(crate) fn sweep(world: &mut World, account_id: &str, currency: &str, at: i64) {
    let amount = world.stripe.available(account_id, currency);
    let Some(account) = world.stripe.accounts.get(account_id) else { return };
    let usable = check_bank(account, None, currency).is_ok();
    let pending = account.purses.get(currency).is_some_and(|purse| purse.pending > 0);
    let pays = account.interval == "daily" && amount > 0 && usable;
    let scene = account.scene();
    if pending || (amount > 0 && !usable) {
        plan_sweep(world, account_id, currency, at);
    }
    if !pays {
        return;
    }
    let payout = Payout {
        id: world.ids.stripe("po"),
        account: account_id.to_owned(),
        amount,
        currency: currency.to_owned(),
        status: "pending",
        automatic: true,
        movement: String::new(),
        failure_movement: None,
        failure: None,
        description: Some("STRIPE PAYOUT".to_owned()),
        statement_descriptor: None,
        method: "standard".to_owned(),
        source_type: "card".to_owned(),
        metadata: BTreeMap::new(),
        key: None,
        original: None,
        reversed_by: None,
        ended_at: None,
        end_shown: Cell::default(),
        ended_unseen: false,
        created_at: at,
        arrival_at: at,
    };
    let id = payout.id.clone();
    world.stripe.sweep_movements(account_id, currency, &id, at);
    begin(world, &Cause::itself(at), payout, scene);
}

/// Takes the money from the balance and schedules all steps according to the scene.
fn begin(world: &mut World, cause: &Cause, mut payout: Payout, scene: Option<Scene>) -> Value {
    let (id, account) = (payout.id.clone(), payout.account.clone());
    let (currency, amount, now) = (payout.currency.clone(), payout.amount, payout.created_at);
    let steps = way(scene, &world.options.pace);
    payout.arrival_at = now + steps.last().map_or(0, |(wait, _)| *wait);
    payout.movement = Movement::record(world, &account, &currency, -amount, ("payout", &id), now);
    if payout.automatic {
        // Its own line is part of its contents.
        world.stripe.take_into(&payout.movement, &id);
    }
    world.stripe.pay_in(&account, &currency, -amount, Place::Available);
    for (wait, step) in steps {
        world.agenda.write(now + wait, Due::Payout { id: id.clone(), step });
    }
    let position = world.stripe.payouts.add(&id, &[format!("account={account}")], payout);
    announce(world, cause, position, "payout.created", None)
}

fn way(scene: Option<Scene>, pace: &crate::Pace) -> Vec<(i64, Step)> {
    let whole = pace.stripe_payout_us;
    let to_bank = |whole: i64, end: Step| vec![(whole / 2, Step::Leave), (whole, end)];
    let undone = |failure| {
        let mut steps = to_bank(whole, Step::Arrive);
        steps.push((whole + pace.late_us, Step::Fail(failure)));
        steps
    };
    match scene {
        Some(Scene::Closed) => to_bank(whole, Step::Fail(CLOSED)),
        Some(Scene::NoAccount) => to_bank(whole, Step::Fail(NO_ACCOUNT)),
        Some(Scene::PaidThenFailed) => undone(FROZEN),
        Some(Scene::Refunded) => undone(DECLINED),
        Some(Scene::Slow) => to_bank(3 * DAY, Step::Arrive),
        Some(Scene::Unclaimed) => vec![(10 * DAY, Step::Cancel)],
        Some(Scene::UnclaimedThenReturned) => vec![(pace.unclaimed_return_us, Step::Cancel)],
        Some(Scene::Held) => vec![(pace.late_us, Step::Leave), (pace.late_us + whole, Step::Arrive)],
        None
        | Some(
            Scene::Restricted
            | Scene::Blocked
            | Scene::Denied
            | Scene::Limit
            | Scene::Minimum
            | Scene::Refused,
        ) => to_bank(whole, Step::Arrive),
    }
}

/// Returns the money to its balance and disables the bank account.
fn fail(world: &mut World, position: usize, failure: Failure, at: i64) {
    bring_back(world, position, "payout_failure", at);
    let payout = world.stripe.payouts.at_mut(position);
    payout.status = "failed";
    payout.failure = Some(failure);
    note_end(world, position, at);
    let payout = world.stripe.payouts.at(position);
    let (account, currency) = (payout.account.clone(), payout.currency.clone());
    announce(world, &Cause::itself(at), position, "payout.failed", None);
    super::account::switch_off_bank(world, &account, &currency, at);
}

fn note_end(world: &mut World, position: usize, at: i64) {
    let account = &world.stripe.payouts.at(position).account;
    let unseen = world.stripe.accounts.get(account).is_some_and(|account| account.deleted);
    let payout = world.stripe.payouts.at_mut(position);
    (payout.ended_at, payout.ended_unseen) = (Some(at), unseen);
    payout.end_shown.set(false);
}

/// The platform loses access to an account: it has not seen what just ended there and was not queried since.
pub(crate) fn lose_sight(world: &mut World, account: &str, now: i64) {
    for id in world.stripe.payouts_of(account) {
        let Some(position) = world.stripe.payouts.position(&id) else { continue };
        let payout = world.stripe.payouts.at_mut(position);
        let just_now = payout.ended_at.is_some_and(|at| now - at < JUST_NOW);
        payout.ended_unseen |= just_now && !payout.end_shown.get();
    }
}

fn bring_back(world: &mut World, position: usize, kind: &'static str, at: i64) {
    let payout = world.stripe.payouts.at(position);
    let (id, account) = (payout.id.clone(), payout.account.clone());
    let (currency, amount) = (payout.currency.clone(), payout.amount);
    let movement = Movement::record(world, &account, &currency, amount, (kind, &id), at);
    world.stripe.pay_in(&account, &currency, amount, Place::Available);
    world.stripe.payouts.at_mut(position).failure_movement = Some(movement);
}

fn check_bank(account: &Account, asked: Option<&str>, currency: &str) -> Result<(), Refusal> {
    let bank = bank_id(&account.id, currency);
    if let Some(asked) = asked
        && asked != bank
    {
        return Err(Refusal::missing("external account", asked));
    }
    if account.errored.contains(currency) {
        let message =
            "The bank account cannot be used: an earlier payout to it failed. Its details must be replaced.";
        return Err(Refusal::definite("bank_account_unusable", message));
    }
    Ok(())
}

fn refuse_by_scene(scene: Option<Scene>) -> Result<(), Refusal> {
    match scene {
        Some(Scene::Blocked) => {
            Err(Refusal::forbidden("payouts_not_allowed", "Payouts to this account are not allowed."))
        }
        Some(Scene::Limit) => {
            let message = "The payout exceeds this account's limit.";
            Err(Refusal::definite("payouts_limit_exceeded", message))
        }
        // The account must keep a minimum, which its balance does not show.
        Some(Scene::Minimum) => {
            let message = "You have insufficient funds in your Stripe account for this transfer.";
            Err(Refusal::definite("balance_insufficient", message))
        }
        _ => Ok(()),
    }
}

/// The position of a payout that belongs to the calling account.
fn own(world: &World, call: &Call<'_>, id: &str) -> Result<usize, Refusal> {
    let account = call.account.unwrap_or(PLATFORM);
    let position = world.stripe.payouts.position(id);
    position
        .filter(|position| world.stripe.payouts.at(*position).account == account)
        .ok_or_else(|| Refusal::missing("payout", id))
}

fn announce(
    world: &mut World,
    cause: &Cause,
    position: usize,
    event: &'static str,
    before: Option<Value>,
) -> Value {
    let payout = world.stripe.payouts.at(position);
    let (shown, id, account) = (payout.show(world.stripe.live), payout.id.clone(), payout.account.clone());
    let connected = (account != PLATFORM).then_some(account);
    emit(world, cause, connected.as_deref(), event, &id, &shown, before);
    shown
}

impl Payout {
    fn is_over(&self) -> bool {
        self.status == "paid" || self.status == "failed"
    }

    fn show_to_platform(&self, live: bool) -> Value {
        if self.is_over() {
            self.end_shown.set(true);
        }
        self.show(live)
    }

    fn show(&self, live: bool) -> Value {
        let reconciliation = match (self.automatic, self.status) {
            (false, _) => "not_applicable",
            (true, "paid") => "completed",
            (true, _) => "in_progress",
        };
        json!({
            "id": self.id,
            "object": "payout",
            "amount": self.amount,
            "application_fee": null,
            "application_fee_amount": null,
            "arrival_date": self.arrival_at / SECOND,
            "automatic": self.automatic,
            "balance_transaction": self.movement,
            "created": self.created_at / SECOND,
            "currency": self.currency,
            "description": self.description,
            "destination": bank_id(&self.account, &self.currency),
            "failure_balance_transaction": self.failure_movement,
            "failure_code": self.failure.map(|failure| failure.code),
            "failure_message": self.failure.map(|failure| failure.message),
            "livemode": live,
            "metadata": self.metadata,
            "method": self.method,
            "original_payout": self.original,
            "payout_method": null,
            "reconciliation_status": reconciliation,
            "reversed_by": self.reversed_by,
            "source_type": self.source_type,
            "statement_descriptor": self.statement_descriptor,
            "status": self.status,
            "trace_id": {"status": "pending", "value": null},
            "type": "bank_account",
        })
    }

    /// The transaction in the payer's metadata.
    pub(crate) fn transaction(&self) -> Option<&str> {
        self.metadata.get("transaction").map(String::as_str)
    }

    /// In the books a recovered payout counts as failed, and the payout that recovered it is omitted.
    pub(crate) fn line(&self, stripe: &Stripe) -> PayoutLine {
        let back = |id: &String| stripe.payouts.position(id).map(|at| stripe.payouts.at(at).status);
        let back = self.reversed_by.as_ref().and_then(back) == Some("paid");
        let gone = stripe.accounts.get(&self.account).is_some_and(|account| account.deleted);
        PayoutLine {
            id: self.id.clone(),
            account: (self.account != PLATFORM).then(|| self.account.clone()),
            currency: self.currency.clone(),
            amount: self.amount,
            status: if back { "failed" } else { self.status }.to_owned(),
            failure_code: self.failure.map(|failure| failure.code.to_owned()),
            automatic: self.automatic,
            settles: stripe.groups_taken_by(&self.id),
            metadata: self.metadata.clone(),
            key: self.key.clone(),
            created_at: self.created_at,
            unseen: gone && self.ended_unseen && !self.end_shown.get(),
        }
    }
}
