//! Balances, balance transactions, the payout schedule, and amount validation.
//!
//! Not here: who moves money and why (`transfer`, `payout`). Fees and reserves are not simulated, except where a test
//! plants a false report.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::refusal::Refusal;
use super::{Call, Outcome, PLATFORM, Stripe, page_of};
use crate::SECOND;
use crate::faults::Lie;
use crate::table::Dated;
use crate::world::World;

/// An account's money in one currency.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Purse {
    pub(crate) available: i64,
    pub(crate) pending: i64,
}

/// The part of a purse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Available,
    Pending,
}

/// A balance transaction (`txn_…`).
#[derive(Debug)]
pub(crate) struct Movement {
    id: String,
    account: String,
    currency: String,
    amount: i64,
    kind: &'static str,
    source: String,
    created_at: i64,
    available_at: i64,
    /// Paid out by an automatic payout, or spent by its owner.
    pub(crate) swept: bool,
}

/// Three decimals, the last of which must be 0 (documented for payments; assumed for payouts).
const THREE_DECIMALS: [&str; 5] = ["bhd", "jod", "kwd", "omr", "tnd"];
/// Expressed in hundredths although the currency has none.
const HUNDREDFOLD: [&str; 2] = ["isk", "ugx"];
/// Expressed in hundredths, but paid out in whole units only.
const WHOLE_PAYOUTS: [&str; 2] = ["huf", "twd"];
const LARGEST: i64 = 99_999_999_999;

/// Validates an amount against Stripe's rules for its currency; `payout` adds the rules for payouts.
pub(crate) fn check_amount(amount: Option<i64>, currency: &str, payout: bool) -> Result<i64, Refusal> {
    if !super::account::CURRENCIES.contains(&currency) {
        let message = format!("Invalid currency: {currency}. Currencies are three lower-case letters.");
        return Err(Refusal::parameter("parameter_invalid_string", "currency", &message));
    }
    let amount = amount.unwrap_or_default();
    if amount < 1 {
        return Err(Refusal::parameter("amount_too_small", "amount", "Amount must be at least 1."));
    }
    if amount > LARGEST {
        return Err(Refusal::parameter("amount_too_large", "amount", "Amount is too large."));
    }
    let step = if HUNDREDFOLD.contains(&currency) || (payout && WHOLE_PAYOUTS.contains(&currency)) {
        100
    } else if THREE_DECIMALS.contains(&currency) {
        10
    } else {
        1
    };
    if amount % step != 0 {
        let message = format!("Amounts in {currency} must be divisible by {step} here.");
        return Err(Refusal::parameter("parameter_invalid_integer", "amount", &message));
    }
    Ok(amount)
}

pub(crate) fn read(world: &mut World, call: &Call<'_>) -> Outcome {
    let id = call.account.unwrap_or(PLATFORM);
    let live = world.stripe.live;
    let account = world.stripe.account(id, call.now).ok_or_else(|| Refusal::missing("account", id))?;
    let part = |of: fn(&Purse) -> i64| {
        let line = |(currency, purse): (&String, &Purse)| {
            let amount = of(purse);
            json!({"amount": amount, "currency": currency, "source_types": {"card": amount}})
        };
        let mut lines: Vec<Value> = account.purses.iter().map(line).collect();
        if lines.is_empty() {
            lines.push(json!({"amount": 0, "currency": "usd", "source_types": {"card": 0}}));
        }
        Value::from(lines)
    };
    let mut balance = json!({
        "object": "balance",
        "available": part(|purse| purse.available),
        "pending": part(|purse| purse.pending),
        "livemode": live,
    });
    if id == PLATFORM {
        balance["connect_reserved"] = json!([{"amount": 0, "currency": "usd"}]);
    }
    Ok(balance)
}

pub(crate) fn release(world: &mut World, account: &str, currency: &str, amount: i64) {
    world.stripe.pay_in(account, currency, -amount, Place::Pending);
    world.stripe.pay_in(account, currency, amount, Place::Available);
}

impl Stripe {
    /// Adds to (or subtracts from) one purse.
    pub(crate) fn pay_in(&mut self, account: &str, currency: &str, amount: i64, place: Place) {
        let Some(account) = self.accounts.get_mut(account) else { return };
        let purse = account.purses.entry(currency.to_owned()).or_default();
        match place {
            Place::Available => purse.available += amount,
            Place::Pending => purse.pending += amount,
        }
    }
}

impl Dated for Movement {
    fn made_at(&self) -> i64 {
        self.created_at
    }
}

impl Movement {
    /// Records a movement of available money: `source` is its type and object.
    pub(crate) fn record(
        world: &mut World,
        account: &str,
        currency: &str,
        amount: i64,
        source: (&'static str, &str),
        now: i64,
    ) -> String {
        Movement::record_later(world, account, currency, amount, source, (now, now))
    }

    /// The same for money available later: `times` are creation and availability.
    pub(crate) fn record_later(
        world: &mut World,
        account: &str,
        currency: &str,
        amount: i64,
        source: (&'static str, &str),
        times: (i64, i64),
    ) -> String {
        let id = world.ids.stripe("txn");
        let movement = Movement {
            id: id.clone(),
            account: account.to_owned(),
            currency: currency.to_owned(),
            amount,
            kind: source.0,
            source: source.1.to_owned(),
            created_at: times.0,
            available_at: times.1,
            swept: false,
        };
        let lists = [format!("account={account}"), format!("source={}", source.1)];
        world.stripe.movements.add(&id, &lists, movement);
        id
    }

    /// Deposits to and withdrawals from the platform. Ids are sequential, not random.
    pub(crate) fn outside(stripe: &mut Stripe, currency: &str, amount: i64, now: i64) {
        if amount == 0 {
            return;
        }
        let count = stripe.movements.rows().len();
        let (kind, prefix) = if amount > 0 { ("topup", "tu") } else { ("payout", "po") };
        let (id, source) = (format!("txn_outside{count:017}"), format!("{prefix}_outside{count:017}"));
        let movement = Movement {
            id: id.clone(),
            account: PLATFORM.to_owned(),
            currency: currency.to_owned(),
            amount,
            kind,
            source,
            created_at: now,
            available_at: now,
            swept: false,
        };
        stripe.movements.add(&id, &[format!("account={PLATFORM}")], movement);
    }

    /// The group of its transfer, or of the transfer it reverses.
    fn payment<'a>(&self, world: &'a World) -> Option<&'a str> {
        let stripe = &world.stripe;
        let transfer = match stripe.reversals.find(&self.source) {
            Some(reversal) => stripe.transfers.find(reversal.transfer()),
            None => stripe.transfers.find(&self.source),
        };
        transfer.and_then(super::transfer::Transfer::group)
    }

    /// The balance transaction as returned to this caller, with its source expanded if requested.
    fn tell(&self, world: &World, call: &Call<'_>) -> Value {
        let mut shown = self.show(call.now);
        if call.form.list("expand").iter().any(|field| field == "data.source" || field == "source") {
            let transfer = || world.stripe.transfers.find(&self.source).map(|one| one.show(world));
            let reversal = || world.stripe.reversals.find(&self.source).map(super::transfer::Reversal::show);
            if let Some(object) = transfer().or_else(reversal) {
                shown["source"] = object;
            }
        }
        match world.lie_about(self.payment(world)) {
            Some(Lie::Amount(more)) => {
                shown["amount"] = Value::from(self.amount + more);
                shown["net"] = Value::from(self.amount + more);
            }
            Some(Lie::Fee(more)) => {
                shown["fee"] = Value::from(more);
                shown["net"] = Value::from(self.amount - more);
            }
            Some(Lie::LeftOut) | None => {}
        }
        shown
    }

    fn show(&self, now: i64) -> Value {
        let reporting_category = match self.kind {
            "payment" => "charge",
            "payment_refund" => "refund",
            "transfer_refund" => "transfer_reversal",
            "payout_failure" | "payout_cancel" => "payout_reversal",
            same => same,
        };
        json!({
            "id": self.id,
            "object": "balance_transaction",
            "amount": self.amount,
            "available_on": self.available_at / SECOND,
            "balance_type": "payments",
            "created": self.created_at / SECOND,
            "currency": self.currency,
            "description": null,
            "exchange_rate": null,
            "fee": 0,
            "fee_details": [],
            "net": self.amount,
            "reporting_category": reporting_category,
            "source": self.source,
            "status": if self.available_at <= now { "available" } else { "pending" },
            "type": self.kind,
        })
    }
}

impl Stripe {
    /// The groups of the transfers whose money an automatic payout took: each group's incoming money less what had left
    /// before. Money returned by an earlier automatic payout counts for all groups that payout had taken.
    pub(crate) fn groups_taken_by(&self, payout: &str) -> Vec<String> {
        let (mut sums, mut shared) = (BTreeMap::<String, i64>::new(), BTreeSet::new());
        for position in self.movements.listed(&format!("payout={payout}")) {
            let movement = self.movements.at(*position);
            let source = movement.source.as_str();
            if source == payout {
                continue;
            }
            let of_payment = || self.transfers.rows().iter().find_map(|row| row.group_of_payment(source));
            let reversed = || self.transfers.find(self.reversals.find(source)?.transfer());
            let of_reversal = || reversed()?.group().map(str::to_owned);
            match self.payouts.find(source) {
                Some(given_back) => match given_back.transaction() {
                    Some(group) => *sums.entry(group.to_owned()).or_default() += movement.amount,
                    None => shared.extend(self.groups_taken_by(source)),
                },
                None => {
                    if let Some(group) = of_payment().or_else(of_reversal) {
                        *sums.entry(group).or_default() += movement.amount;
                    }
                }
            }
        }
        let zero = |group: &String| sums.get(group).is_none_or(|sum| *sum == 0);
        let again = shared.into_iter().filter(zero);
        again.chain(sums.iter().filter(|(_, sum)| **sum > 0).map(|(group, _)| group.clone())).collect()
    }

    /// Marks what an automatic payout takes: everything in this purse not paid out before.
    pub(crate) fn sweep_movements(&mut self, account: &str, currency: &str, payout: &str, now: i64) {
        let list = format!("payout={payout}");
        for position in self.spend_movements(account, currency, now) {
            self.movements.tag(position, &list);
        }
    }

    /// Marks one movement as part of an automatic payout.
    pub(crate) fn take_into(&mut self, movement: &str, payout: &str) {
        if let Some(position) = self.movements.position(movement) {
            self.movements.at_mut(position).swept = true;
            self.movements.tag(position, &format!("payout={payout}"));
        }
    }

    /// Marks everything available in this purse as spent; returns what was not spent before.
    pub(crate) fn spend_movements(&mut self, account: &str, currency: &str, now: i64) -> Vec<usize> {
        let listed = self.movements.listed(&format!("account={account}")).to_vec();
        let mut spent = Vec::new();
        for position in listed {
            let movement = self.movements.at_mut(position);
            if !movement.swept && movement.currency == currency && movement.available_at <= now {
                movement.swept = true;
                spent.push(position);
            }
        }
        spent
    }
}

/// `payout` lists an automatic payout's contents; for a manual one only its own line.
pub(crate) fn list(world: &World, call: &Call<'_>) -> Outcome {
    let account = call.account.unwrap_or(PLATFORM);
    let form = &call.form;
    let source = form.get("source").map(|source| format!("source={source}"));
    let payout = form.get("payout").map(|payout| {
        let contained = format!("payout={payout}");
        let automatic = !world.stripe.movements.listed(&contained).is_empty();
        if automatic { contained } else { format!("source={payout}") }
    });
    let key = payout.or(source).unwrap_or_else(|| format!("account={account}"));
    let (kind, currency) = (form.get("type"), form.get("currency"));
    page_of(
        &world.stripe,
        &world.stripe.movements,
        Some(&key),
        call,
        "/v1/balance_transactions",
        |movement| {
            movement.account == account
                && world.lie_about(movement.payment(world)) != Some(Lie::LeftOut)
                && kind.is_none_or(|kind| kind == movement.kind)
                && currency.is_none_or(|currency| currency == movement.currency)
        },
        |movement| movement.tell(world, call),
    )
}

pub(crate) fn movement(world: &World, call: &Call<'_>, id: &str) -> Outcome {
    let movement = world.stripe.movements.find(id);
    movement
        .map(|movement| movement.tell(world, call))
        .ok_or_else(|| Refusal::missing("balance_transaction", id))
}

pub(crate) fn settings(world: &mut World, call: &Call<'_>) -> Outcome {
    let id = call.account.unwrap_or(PLATFORM);
    let account = world.stripe.account(id, call.now).ok_or_else(|| Refusal::missing("account", id))?;
    Ok(json!({
        "object": "balance_settings",
        "payments": {
            "debit_negative_balances": true,
            "payouts": {
                "minimum_balance_by_currency": null,
                "automatic_transfer_rules_by_currency": null,
                "schedule": {"interval": account.interval},
                "statement_descriptor": null,
                "status": if account.payouts_enabled() { "enabled" } else { "disabled" },
            },
            "settlement_timing": {"delay_days": 2},
        },
    }))
}

pub(crate) fn change_settings(world: &mut World, call: &Call<'_>) -> Outcome {
    call.form.only(&["payments"])?;
    if let Some(interval) = call.form.get("payments[payouts][schedule][interval]") {
        let interval = interval.to_owned();
        super::account::set_interval(world, call, &interval)?;
    }
    settings(world, call)
}
