//! The vendors' records as plain data: every money movement, balance, payment request and webhook. Tests compare them
//! with the payer's records.
//!
//! Not here: anything that changes the books.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::Vendor;
use crate::paypal::settle::Status;
use crate::stripe::PLATFORM;
use crate::world::World;

/// A copy of both vendors' books at one moment. Amounts are in the vendor's own minor units, currencies in
/// the vendor's own case, times in microseconds UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Books {
    pub transfers: Vec<TransferLine>,
    pub reversals: Vec<ReversalLine>,
    pub payouts: Vec<PayoutLine>,
    pub batches: Vec<BatchLine>,
    pub items: Vec<ItemLine>,
    pub balances: Vec<Balance>,
    pub requests: Vec<MoneyRequest>,
    /// The number of requests, by vendor and path prefix: `stripe /v1/payouts`.
    pub questions: BTreeMap<String, u64>,
    pub webhooks: Vec<WebhookLine>,
}

/// A Stripe transfer from the platform to a connected account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferLine {
    /// `tr_…`
    pub id: String,
    pub destination: String,
    pub currency: String,
    pub amount: i64,
    pub amount_reversed: i64,
    pub transfer_group: Option<String>,
    pub metadata: BTreeMap<String, String>,
    /// The idempotency key of the call.
    pub key: Option<String>,
    pub created_at: i64,
}

/// A reversal of a part of a transfer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReversalLine {
    /// `trr_…`
    pub id: String,
    pub transfer: String,
    pub amount: i64,
    pub key: Option<String>,
    pub created_at: i64,
}

/// A Stripe payout from a balance to a bank.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PayoutLine {
    /// `po_…`
    pub id: String,
    /// The connected account; `None` when the platform paid its own bank.
    pub account: Option<String>,
    pub currency: String,
    pub amount: i64,
    /// `pending`, `in_transit`, `paid`, `failed` or `canceled`.
    pub status: String,
    pub failure_code: Option<String>,
    pub automatic: bool,
    /// The groups of the transfers whose money an automatic payout took.
    #[serde(default)]
    pub settles: Vec<String>,
    pub metadata: BTreeMap<String, String>,
    pub key: Option<String>,
    pub created_at: i64,
    /// It ended while the platform had no access to the account, or just before losing it, and there still is none: the
    /// platform cannot know the outcome.
    #[serde(default)]
    pub unseen: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchLine {
    pub id: String,
    pub sender_batch_id: Option<String>,
    /// `PENDING`, `PROCESSING`, `SUCCESS` or `DENIED`.
    pub status: String,
    pub currency: String,
    pub amount: i64,
    /// The payout item ids.
    pub items: Vec<String>,
    pub created_at: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemLine {
    pub id: String,
    pub batch: String,
    pub sender_item_id: Option<String>,
    pub receiver: String,
    pub currency: String,
    pub amount: i64,
    /// The actual fee; 0 until the item is credited.
    pub fee: i64,
    /// The `transaction_status`.
    pub status: String,
    pub error: Option<String>,
    /// Whether the amount has ever left our balance.
    pub left: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Holder {
    /// The source of our deposits: the negative of everything that ever came in.
    Outside,
    /// Our balance at the vendor.
    Ours,
    /// A connected account's balance at Stripe, available and pending.
    Connected(String),
    /// The money of pending payouts at Stripe, and of unclaimed items at PayPal.
    OnItsWay,
    /// A partner's bank account or PayPal account.
    Partner(String),
    /// Our own bank account, reached by a payout without `Stripe-Account`.
    OurBank,
    Fees,
}

/// A holder's balance in one currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balance {
    pub vendor: Vendor,
    pub holder: Holder,
    pub currency: String,
    pub minor: i64,
}

/// A payment request that reached a vendor, whatever its result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoneyRequest {
    pub vendor: Vendor,
    pub path: String,
    /// The `Stripe-Account` header.
    pub account: Option<String>,
    /// `Idempotency-Key` at Stripe; `sender_batch_id`, else `PayPal-Request-Id`, at PayPal.
    pub key: Option<String>,
    /// SHA-256 of the body's bytes, hexadecimal.
    pub body_hash: String,
    /// Whether this request made something new; false for replays, refusals and faults before execution.
    pub executed: bool,
    pub at: i64,
}

/// One attempt to deliver a webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookLine {
    pub delivery_id: u64,
    pub vendor: Vendor,
    pub event_type: String,
    pub event_id: String,
    pub object_id: String,
    /// The receiver's status; 0 when there was no answer.
    pub answered: u16,
    /// 1 for the first try.
    pub attempt: u32,
    pub forged: bool,
    pub at: i64,
}

/// A transaction's money at one vendor in one currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    pub vendor: Vendor,
    pub currency: String,
    /// Everything that left our balance for it.
    pub left_minor: i64,
    /// What was returned to our balance.
    pub returned_minor: i64,
    /// What the partner has now: paid to the bank, or credited at PayPal.
    pub arrived_minor: i64,
}

impl MoneyRequest {
    fn asks_the_same_as(&self, other: &MoneyRequest) -> bool {
        self.body_hash == other.body_hash && self.path == other.path && self.account == other.account
    }
}

impl Books {
    /// The movements made for `transaction`: Stripe's by `transfer_group` or `metadata[transaction]`,
    /// PayPal's by `sender_item_id`; an automatic payout by the transfers it took. One flow per vendor and
    /// currency; none when no money ever moved.
    pub fn flows(&self, transaction: &str) -> Vec<Flow> {
        let mut flows: BTreeMap<(Vendor, String), [i64; 3]> = BTreeMap::new();
        let mut add = |vendor: Vendor, currency: &str, parts: [i64; 3]| {
            let flow = flows.entry((vendor, currency.to_owned())).or_default();
            for (sum, part) in flow.iter_mut().zip(parts) {
                *sum += part;
            }
        };
        let named = |metadata: &BTreeMap<String, String>| {
            metadata.get("transaction").is_some_and(|named| named == transaction)
        };
        for line in &self.transfers {
            if line.transfer_group.as_deref() == Some(transaction) || named(&line.metadata) {
                add(Vendor::Stripe, &line.currency, [line.amount, line.amount_reversed, 0]);
            }
        }
        for line in self.payouts.iter().filter(|line| named(&line.metadata)) {
            let paid = if line.status == "paid" { line.amount } else { 0 };
            // A payout without an account takes the money from our own balance.
            let left = if line.account.is_none() { paid } else { 0 };
            add(Vendor::Stripe, &line.currency, [left, 0, paid]);
        }
        // If our own payout paid it, no scheduled payout did.
        let brought = self.payouts.iter().any(|line| named(&line.metadata) && line.status == "paid");
        let swept = |line: &&PayoutLine| !brought && line.settles.iter().any(|group| group == transaction);
        if self.payouts.iter().filter(swept).any(|line| line.status == "paid") {
            let ours = |line: &&TransferLine| line.transfer_group.as_deref() == Some(transaction);
            for line in self.transfers.iter().filter(ours) {
                add(Vendor::Stripe, &line.currency, [0, 0, line.amount]);
            }
        }
        let items = self.items.iter().filter(|line| line.sender_item_id.as_deref() == Some(transaction));
        for line in items.filter(|line| line.left) {
            let back = matches!(line.status.as_str(), "RETURNED" | "REFUNDED" | "REVERSED");
            let arrived = line.status == "SUCCESS";
            let part = |counted: bool| if counted { line.amount } else { 0 };
            add(Vendor::PayPal, &line.currency, [line.amount, part(back), part(arrived)]);
        }
        let mut found = Vec::new();
        for ((vendor, currency), [left_minor, returned_minor, arrived_minor]) in flows {
            found.push(Flow { vendor, currency, left_minor, returned_minor, arrived_minor });
        }
        found
    }

    /// A payout by Stripe's own schedule that took a transaction's money, and a payout of ours for the same transaction
    /// more than `apart` microseconds later, neither of them returned: ours used money that belonged to another
    /// transaction.
    pub fn paid_beside_the_schedule(&self, transaction: &str, apart: i64) -> Option<(&str, &str)> {
        let out = |line: &&PayoutLine| !matches!(line.status.as_str(), "failed" | "canceled");
        let took = |line: &&PayoutLine| line.settles.iter().any(|group| group == transaction);
        let swept = self.payouts.iter().filter(out).find(took)?;
        let named = |line: &&PayoutLine| line.metadata.get("transaction").is_some_and(|it| it == transaction);
        let mut later = self.payouts.iter().filter(out).filter(named);
        let ours = later.find(|line| line.created_at > swept.created_at.saturating_add(apart))?;
        Some((&swept.id, &ours.id))
    }

    /// Whether a transaction's last bank payout ended unseen by the platform and can no longer be seen, because the
    /// owner revoked its access to the account.
    pub fn ends_unseen(&self, transaction: &str) -> bool {
        let named =
            |line: &&PayoutLine| line.metadata.get("transaction").is_some_and(|named| named == transaction);
        self.payouts.iter().filter(named).max_by_key(|line| line.created_at).is_some_and(|line| line.unseen)
    }

    /// The keys that arrived with different bodies, paths or accounts; none if the payer is correct.
    pub fn clashing_keys(&self) -> Vec<String> {
        let mut first: BTreeMap<(Vendor, &str), &MoneyRequest> = BTreeMap::new();
        let mut clashing = BTreeSet::new();
        for request in &self.requests {
            if let Some(key) = request.key.as_deref() {
                let before = *first.entry((request.vendor, key)).or_insert(request);
                if !before.asks_the_same_as(request) {
                    clashing.insert(key.to_owned());
                }
            }
        }
        clashing.into_iter().collect()
    }

    /// A holder's balance; zero if they are not in the books.
    pub fn balance(&self, vendor: Vendor, holder: &Holder, currency: &str) -> i64 {
        let matching = |line: &&Balance| {
            line.vendor == vendor && line.holder == *holder && line.currency.eq_ignore_ascii_case(currency)
        };
        self.balances.iter().filter(matching).map(|line| line.minor).sum()
    }

    /// Every vendor and currency whose balances do not sum to zero, which would mean that money was created or lost.
    /// Always empty.
    pub fn imbalances(&self) -> Vec<(Vendor, String, i64)> {
        let mut sums: BTreeMap<(Vendor, String), i64> = BTreeMap::new();
        for line in &self.balances {
            *sums.entry((line.vendor, line.currency.clone())).or_default() += line.minor;
        }
        let off = |((vendor, currency), sum)| (sum != 0).then_some((vendor, currency, sum));
        sums.into_iter().filter_map(off).collect()
    }

    pub(crate) fn of(world: &World) -> Books {
        let stripe = &world.stripe;
        let batches = world.paypal.batches.rows().iter();
        let items = world.paypal.items.rows();
        let payouts = stripe.payouts.rows().iter().filter(|row| row.original.is_none());
        Books {
            transfers: stripe.transfers.rows().iter().map(|row| row.line()).collect(),
            reversals: stripe.reversals.rows().iter().map(|row| row.line()).collect(),
            payouts: payouts.map(|row| row.line(stripe)).collect(),
            batches: batches.map(|batch| batch.line(items)).collect(),
            items: items.iter().map(|item| item.line(&world.paypal)).collect(),
            balances: balances(world),
            requests: world.requests.clone(),
            questions: world.questions.clone(),
            webhooks: world.outbox.log.clone(),
        }
    }
}

fn balances(world: &World) -> Vec<Balance> {
    let mut sums: BTreeMap<(Vendor, Holder, String), i64> = BTreeMap::new();
    let mut add = |vendor, holder, currency: &str, minor: i64| {
        *sums.entry((vendor, holder, currency.to_owned())).or_default() += minor;
    };
    for (currency, minor) in &world.stripe.deposits {
        add(Vendor::Stripe, Holder::Outside, currency, -minor);
    }
    for (id, account) in &world.stripe.accounts {
        for (currency, purse) in &account.purses {
            let holder = if id == PLATFORM { Holder::Ours } else { Holder::Connected(id.clone()) };
            add(Vendor::Stripe, holder, currency, purse.available + purse.pending);
        }
    }
    for payout in world.stripe.payouts.rows() {
        let account = &payout.account;
        let holder = match payout.status {
            "pending" | "in_transit" => Holder::OnItsWay,
            "paid" if account == PLATFORM => Holder::OurBank,
            "paid" => Holder::Partner(account.clone()),
            _ => continue,
        };
        add(Vendor::Stripe, holder, &payout.currency, payout.amount);
    }
    for (currency, purse) in &world.paypal.purses {
        add(Vendor::PayPal, Holder::Outside, currency, -purse.deposited);
        add(Vendor::PayPal, Holder::Ours, currency, purse.balance);
        add(Vendor::PayPal, Holder::Fees, currency, purse.fees);
    }
    for item in world.paypal.items.rows() {
        let currency = &world.paypal.batches.at(item.batch).currency;
        match item.status {
            Status::Success => {
                add(Vendor::PayPal, Holder::Partner(item.receiver.clone()), currency, item.amount);
            }
            Status::Unclaimed => add(Vendor::PayPal, Holder::OnItsWay, currency, item.amount),
            Status::Pending
            | Status::OnHold
            | Status::Failed
            | Status::Blocked
            | Status::Returned
            | Status::Refunded
            | Status::Reversed => {}
        }
    }
    let line = |((vendor, holder, currency), minor)| Balance { vendor, holder, currency, minor };
    sums.into_iter().map(line).collect()
}
