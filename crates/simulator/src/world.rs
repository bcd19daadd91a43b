//! The state of both vendors behind one lock, and the agenda of scheduled events.
//!
//! Not here: the rules. `advance` only passes each agenda entry to the vendor that scheduled it.

use std::collections::BTreeMap;

use crate::Options;
use crate::books::MoneyRequest;
use crate::chance::Ids;
use crate::door::Incoming;
use crate::faults::{Faults, Lie};
use crate::outbox::Outbox;
use crate::paypal::{self, PayPal};
use crate::stripe::{self, Stripe};

/// The state of the pair.
pub(crate) struct World {
    pub(crate) options: Options,
    pub(crate) ids: Ids,
    pub(crate) agenda: Agenda,
    pub(crate) faults: Faults,
    pub(crate) outbox: Outbox,
    pub(crate) stripe: Stripe,
    pub(crate) paypal: PayPal,
    pub(crate) requests: Vec<MoneyRequest>,
    pub(crate) questions: BTreeMap<String, u64>,
    /// By our id of the payment: `transfer_group`, `sender_item_id`.
    pub(crate) lies: BTreeMap<String, Lie>,
}

/// An event that is scheduled to happen.
#[derive(Debug)]
pub(crate) enum Due {
    /// Transferred money becomes available in a connected account.
    Funds { account: String, currency: String, amount: i64 },
    /// A Stripe payout takes its next step.
    Payout { id: String, step: stripe::payout::Step },
    /// An account on the daily schedule is paid out.
    Sweep { account: String, currency: String },
    /// Processing of a PayPal batch begins.
    BatchStarts { batch: usize },
    /// A PayPal item takes its next step.
    Item { item: usize, step: paypal::settle::Step },
    /// All items of a batch without a scene get their status together.
    ItemsSettle { batch: usize },
}

/// What is due when; entries with the same time keep their insertion order.
#[derive(Debug, Default)]
pub(crate) struct Agenda {
    entries: BTreeMap<(i64, u64), Due>,
    written: u64,
}

impl Agenda {
    pub(crate) fn write(&mut self, at: i64, due: Due) {
        self.written += 1;
        self.entries.insert((at, self.written), due);
    }

    fn next(&mut self, now: i64) -> Option<(i64, Due)> {
        let first = self.entries.first_entry()?;
        let at = first.key().0;
        (at <= now).then(|| (at, first.remove()))
    }
}

impl World {
    pub(crate) fn new(options: Options) -> Self {
        World {
            ids: Ids::new(options.seed),
            agenda: Agenda::default(),
            faults: Faults::default(),
            outbox: Outbox::default(),
            stripe: Stripe::new(&options),
            paypal: PayPal::new(&options),
            requests: Vec::new(),
            questions: BTreeMap::new(),
            lies: BTreeMap::new(),
            options,
        }
    }

    /// Whether a request carries this account's credentials at its vendor.
    pub(crate) fn is_asked(&self, incoming: &Incoming) -> bool {
        stripe::authorized(incoming, &self.options.stripe_key) || paypal::is_asked(self, incoming)
    }

    /// The planted false report about a payment's movements, if any.
    pub(crate) fn lie_about(&self, payment: Option<&str>) -> Option<Lie> {
        payment.and_then(|payment| self.lies.get(payment)).copied()
    }

    /// The earlier of the next agenda entry and the next webhook.
    pub(crate) fn next_at(&self) -> Option<i64> {
        let agenda = self.agenda.entries.first_key_value().map(|((at, _), _)| *at);
        agenda.into_iter().chain(self.outbox.next_at()).min()
    }

    /// Applies each due entry at its own time, so that it does not matter how often this is called.
    pub(crate) fn advance(&mut self, now: i64) {
        while let Some((at, due)) = self.agenda.next(now) {
            match due {
                Due::Funds { account, currency, amount } => {
                    stripe::balance::release(self, &account, &currency, amount);
                }
                Due::Payout { id, step } => stripe::payout::take_step(self, &id, step, at),
                Due::Sweep { account, currency } => stripe::payout::sweep(self, &account, &currency, at),
                Due::BatchStarts { batch } => paypal::settle::start(self, batch, at),
                Due::Item { item, step } => paypal::settle::take_step(self, item, step, at),
                Due::ItemsSettle { batch } => paypal::settle::settle_batch(self, batch, at),
            }
        }
    }
}
