//! Stripe Connect and PayPal Payouts, played: two vendors behind one HTTP port, with their own books,
//! idempotency tables, rate limits, webhook signing and retries. What they do follows their public documents;
//! where those are silent, the choice is written beside the code.
//!
//! # Destinations
//!
//! A destination that has not been seen is a good one with a bank account in every currency. Its name can
//! script another outcome: a Stripe account `acct_sim_<scene>_<anything>`, a PayPal address
//! `sim-<scene>-<anything>@…`.
//!
//! | scene | Stripe | PayPal |
//! | --- | --- | --- |
//! | `closed` | payout fails, `account_closed` | FAILED `RECEIVER_ACCOUNT_LOCKED` |
//! | `no_account` | payout fails, `no_account` | FAILED `INVALID_EMAIL` |
//! | `restricted` | 400 `insufficient_capabilities_for_transfer` | FAILED `RECEIVER_STATE_RESTRICTED` |
//! | `paid_then_failed` | paid, later failed `account_frozen` | SUCCESS, later REVERSED without an event |
//! | `slow` | transfer available after 24 h, payout takes 3 days | PENDING for 3 days |
//! | `unclaimed` | payout pending for 10 days, then canceled | UNCLAIMED, RETURNED after 30 days |
//! | `unclaimed_then_returned` | canceled after `unclaimed_return_us` | RETURNED after the same |
//! | `held` | payout pending for `late_us`, then paid | ONHOLD for `late_us`, then SUCCESS |
//! | `blocked` | payout 403 `payouts_not_allowed` | BLOCKED `REGULATORY_BLOCKED` |
//! | `refunded` | paid, later failed `declined` | SUCCESS, later REFUNDED |
//! | `denied` | transfer 403 `transfers_not_allowed` | whole batch DENIED, items FAILED `RISK_DECLINE` |
//! | `limit` | payout 400 `payouts_limit_exceeded` | FAILED `RECEIVING_LIMIT_EXCEEDED` |
//! | `minimum` | payout 400 `balance_insufficient`, though the balance is shown as available | SUCCESS |
//! | `refused` | transfer 403 `account_invalid` | 400 `VALIDATION_ERROR` on `/items/{i}/receiver` |
//!
//! *Later* is after [`Pace::late_us`]. Pending payouts play an account that the platform has paused.
//!
//! [`Simulator::mend`] ends a scene: the partner has replaced the bank details, claimed the money, been
//! cleared.
//!
//! # Control over HTTP
//!
//! `GET /_sim/books` · `POST /_sim/faults` (a [`Fault`] as JSON) · `POST /_sim/balance`
//! `{"vendor","currency","minor"}` · `POST /_sim/mend` `{"destination"}` · `GET /_sim/ca.pem` ·
//! `POST /_sim/advance` `{"seconds"}` (moves the clock ahead) · `POST /_sim/forget-token`.
//!
//! # Another account
//!
//! [`Simulator::open_account`] opens another account at both vendors behind the same address: credentials, books,
//! balances and webhooks of its own. A request belongs to the account whose credentials it carries.
//!
//! # Not here
//!
//! Card payments, what an onboarding form really asks, automatic schedules other than daily, currency conversion, Accounts v2;
//! and anything about who is paid and why: this crate knows its callers only by their requests.

mod books;
mod chance;
mod door;
mod faults;
mod outbox;
mod paypal;
mod scene;
mod stripe;
mod table;
mod world;

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use books::{
    Balance, BatchLine, Books, Flow, Holder, ItemLine, MoneyRequest, PayoutLine, ReversalLine, TransferLine,
    WebhookLine,
};
pub use door::{Asked, Told};
pub use faults::{Call, Fault, FaultKind, Lie};
pub use outbox::Delivery;

use world::World;

/// Tells the time: microseconds since 1970, UTC.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// One second in the clock's unit.
pub(crate) const SECOND: i64 = 1_000_000;
/// One day in the clock's unit.
pub(crate) const DAY: i64 = 86_400 * SECOND;

/// One of the two vendors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Vendor {
    Stripe,
    PayPal,
}

/// How long things take, in microseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pace {
    /// A Stripe payout, from its creation to `paid` or `failed`.
    pub stripe_payout_us: i64,
    /// A PayPal item, from the acceptance of its batch to its first status.
    pub paypal_item_us: i64,
    /// Until money transferred to a connected account becomes available there.
    pub transfer_available_us: i64,
    /// How long the scene `unclaimed_then_returned` lasts.
    pub unclaimed_return_us: i64,
    /// How long after success a late change comes, and how long a hold lasts.
    pub late_us: i64,
}

/// How a pair of vendors is set up.
#[derive(Clone)]
pub struct Options {
    /// Tells the time; nothing else does.
    pub clock: Clock,
    /// Ids are drawn from it: the same seed and the same calls give the same ids.
    pub seed: u64,
    pub pace: Pace,
    /// Answer 429 beyond the published limits (Stripe 25 a second and endpoint, 15 for payouts, 100 in all
    /// with a live key and 25 with a test key; PayPal 400 POST a minute).
    pub enforce_rate_limits: bool,
    /// The one secret key that Stripe accepts. `sk_live_…` makes every object a live one.
    pub stripe_key: String,
    /// The id of the account that the key belongs to, as `GET /v1/account` tells it.
    pub stripe_account: String,
    /// The client id that PayPal accepts.
    pub paypal_client_id: String,
    pub paypal_client_secret: String,
    /// The id of the application, as an access token tells it.
    pub paypal_app_id: String,
    /// What lies in every currency at each vendor until [`Simulator::set_balance`] says otherwise; minor
    /// units.
    pub opening_minor: i64,
    /// Answer 422 `INSUFFICIENT_FUNDS` to a PayPal batch that the balance does not cover, rather than accept
    /// it and make it DENIED.
    pub refuse_uncovered_batches: bool,
    /// How many webhooks [`Simulator::deliver_due`] posts at once; 1 keeps their order strictly.
    pub deliveries_at_once: usize,
}

impl Options {
    /// Good defaults: everything settles after a second, no rate limits, the credentials `sk_test_sim`, and
    /// `sim_client` with `sim_secret`.
    pub fn new(clock: Clock) -> Self {
        Options {
            clock,
            seed: 1,
            pace: Pace {
                stripe_payout_us: SECOND,
                paypal_item_us: SECOND,
                transfer_available_us: 0,
                unclaimed_return_us: 30 * DAY,
                late_us: 3 * DAY,
            },
            enforce_rate_limits: false,
            stripe_key: "sk_test_sim".to_owned(),
            stripe_account: stripe::PLATFORM.to_owned(),
            paypal_client_id: "sim_client".to_owned(),
            paypal_client_secret: "sim_secret".to_owned(),
            paypal_app_id: "APP-SIMULATED".to_owned(),
            opening_minor: 10_000_000_000,
            refuse_uncovered_batches: false,
            deliveries_at_once: 16,
        }
    }
}

/// The two vendors. A clone is another handle on the same pair.
#[derive(Clone)]
pub struct Simulator {
    clock: Clock,
    /// How far `/_sim/advance` has moved the clock ahead.
    ahead: Arc<AtomicI64>,
    deliveries_at_once: usize,
    world: Arc<Mutex<World>>,
    /// Further accounts behind the same address.
    others: Arc<Mutex<Vec<Simulator>>>,
}

impl Simulator {
    /// A fresh pair of vendors with nothing in their books but the opening balances.
    pub fn new(options: Options) -> Simulator {
        Simulator {
            clock: Arc::clone(&options.clock),
            ahead: Arc::new(AtomicI64::new(0)),
            deliveries_at_once: options.deliveries_at_once.max(1),
            world: Arc::new(Mutex::new(World::new(options))),
            others: Arc::default(),
        }
    }

    /// Opens another account at both vendors, behind the same address. It is told apart by the credentials in `options`
    /// and takes part in [`Simulator::advance`] and in the delivery of webhooks.
    pub fn open_account(&self, options: Options) -> Simulator {
        let other = Simulator { ahead: Arc::clone(&self.ahead), ..Simulator::new(options) };
        let mut others = self.others();
        // Deliveries are numbered apart, because whoever takes them tells them apart by number.
        other.world().outbox.number_from((others.len() as u64 + 1) << 40);
        others.push(other.clone());
        other
    }

    /// The account whose credentials a request carries; this one when no other's fit.
    pub(crate) fn of(&self, incoming: &door::Incoming) -> Simulator {
        let others = self.others();
        others.iter().find(|other| other.world().is_asked(incoming)).unwrap_or(self).clone()
    }

    /// This account and those that were opened beside it.
    fn accounts(&self) -> Vec<Simulator> {
        std::iter::once(self).chain(self.others().iter()).cloned().collect()
    }

    fn others(&self) -> MutexGuard<'_, Vec<Simulator>> {
        self.others.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Both vendors and the control paths; the vendors' paths do not overlap.
    pub fn router(&self) -> axum::Router {
        door::router(self.clone())
    }

    /// Serves the router until the future is dropped. Errors are the listener's.
    pub async fn serve(&self, listener: tokio::net::TcpListener) -> std::io::Result<()> {
        use axum::serve::ListenerExt;
        let listener = listener.tap_io(|stream| {
            // An answer is small and is waited for; without this it may be held back for the next one.
            let _ = stream.set_nodelay(true);
        });
        axum::serve(listener, self.router()).await
    }

    /// Answers one request without a network: the same vendors, the same faults.
    pub fn carry(&self, asked: Asked) -> Told {
        door::carry(self, asked)
    }

    /// When something will next happen by itself or a webhook is to leave (microseconds), if anything will.
    pub fn next_at(&self) -> Option<i64> {
        self.accounts().iter().filter_map(|account| account.world().next_at()).min()
    }

    /// Lets everything happen that is due by `now` (microseconds). Doing it again changes nothing.
    pub fn advance(&self, now: i64) {
        self.accounts().iter().for_each(|account| account.world().advance(now));
    }

    /// The webhooks that are to leave by `now`, signed for this moment, in order. Each is handed out again
    /// until [`Simulator::delivered`] has been told how it went.
    pub fn due_webhooks(&self, now: i64) -> Vec<Delivery> {
        let due = |account: Simulator| account.world().outbox.due(now, usize::MAX);
        self.accounts().into_iter().flat_map(due).map(|waiting| waiting.signed(now)).collect()
    }

    /// Records the receiver's answer. Anything but 2xx brings the webhook back later, as that vendor does it:
    /// with a new timestamp and a new signature. Use 0 when there was no answer at all.
    pub fn delivered(&self, delivery_id: u64, status: u16, now: i64) {
        self.accounts().iter().for_each(|account| account.world().outbox.delivered(delivery_id, status, now));
    }

    /// Posts every due webhook to its registered URL and records the answers; returns how many were posted.
    pub async fn deliver_due(&self, now: i64) -> usize {
        let mut posted = 0;
        loop {
            let due = |account: Simulator| account.world().outbox.due(now, self.deliveries_at_once);
            let waiting: Vec<_> = self.accounts().into_iter().flat_map(due).collect();
            if waiting.is_empty() {
                return posted;
            }
            posted += waiting.len();
            self.deliver(waiting, now).await;
        }
    }

    /// Runs in real time: moves the vendors on and posts their webhooks every 50 ms, for ever.
    pub async fn run(self) {
        let mut beat = tokio::time::interval(Duration::from_millis(50));
        loop {
            beat.tick().await;
            let now = self.now();
            self.advance(now);
            self.deliver_due(now).await;
        }
    }

    pub fn plant(&self, fault: Fault) {
        self.world().faults.plant(fault);
    }

    /// Nothing goes wrong any more: every planted fault is taken away.
    pub fn heal(&self) {
        self.world().faults.clear();
    }

    /// Both vendors have forgotten every key that was ever used, sooner than they say: whoever uses one again has its request
    /// carried out again.
    pub fn forget_keys(&self) {
        let world = &mut *self.world();
        world.stripe.forget_keys();
        world.paypal.forget_keys();
    }

    /// From now on PayPal does not tell which fees it takes, or tells it again.
    pub fn hide_fees(&self, hidden: bool) {
        self.world().paypal.fees_hidden = hidden;
    }

    /// From now on PayPal lists only the first half of a batch's items until the batch is through, or all of them again.
    pub fn list_items_late(&self, late: bool) {
        self.world().paypal.items_late = late;
    }

    /// From now on no page of a list holds more than this, whatever was asked for; both vendors may do that.
    pub fn longest_page(&self, most: usize) {
        let world = &mut *self.world();
        world.stripe.longest_page = most.max(1);
        world.paypal.longest_page = most.max(1);
    }

    /// From now on Stripe's lists show only what was made so long ago (microseconds): a worse vendor than Stripe says it is.
    pub fn lists_behind(&self, us: i64) {
        self.world().stripe.lists_behind_us = us;
    }

    /// A copy of everything that both vendors have written down.
    pub fn books(&self) -> Books {
        Books::of(&self.world())
    }

    /// Sets what is available to us at a vendor: minor units as that vendor counts them (for PayPal whole
    /// units in HUF, JPY and TWD, hundredths otherwise). The currency is understood in either case.
    pub fn set_balance(&self, vendor: Vendor, currency: &str, minor: i64) {
        let now = self.now();
        let world = &mut *self.world();
        match vendor {
            Vendor::Stripe => world.stripe.set_balance(&currency.to_ascii_lowercase(), minor, now),
            Vendor::PayPal => world.paypal.set_balance(&currency.to_ascii_uppercase(), minor, now),
        }
    }

    /// Takes away what is available in a connected Stripe account, as if the partner had spent it: the money has
    /// left the vendor.
    pub fn drain(&self, account: &str, currency: &str) {
        let now = self.now();
        self.world().stripe.drain(account, &currency.to_ascii_lowercase(), now);
    }

    /// Reverses the newest standing transfer of a `transfer_group` in Stripe's dashboard: wholly, or a part of it in minor
    /// units. Answers whether there was one.
    pub fn reverse(&self, group: &str, part: Option<i64>) -> bool {
        let now = self.now();
        let which = (stripe::transfer::Which::Newest, part);
        stripe::transfer::reverse_in_dashboard(&mut self.world(), group, which, now)
    }

    /// The same of the first standing transfer of a group, wholly.
    pub fn reverse_first(&self, group: &str) -> bool {
        let (now, which) = (self.now(), (stripe::transfer::Which::First, None));
        stripe::transfer::reverse_in_dashboard(&mut self.world(), group, which, now)
    }

    /// Has the newest paid payout of a payment reversed in Stripe's dashboard. Answers whether there was one.
    pub fn reverse_payout(&self, transaction: &str) -> bool {
        let now = self.now();
        stripe::payout::reverse_in_dashboard(&mut self.world(), transaction, now)
    }

    /// Sends money to a connected account in Stripe's dashboard, for no payment of anybody's: minor units. Answers whether
    /// the balance covered it.
    pub fn send_in_dashboard(&self, account: &str, currency: &str, minor: i64) -> bool {
        let (now, currency) = (self.now(), currency.to_ascii_lowercase());
        stripe::transfer::send_in_dashboard(&mut self.world(), account, &currency, minor, now)
    }

    /// From now on links to onboarding lead to this address, as where somebody answers in Stripe's place.
    pub fn lead_to(&self, base: &str) {
        self.world().stripe.pages_at = Some(base.to_owned());
    }

    /// From now on the list of movements says something wrong of those made for a payment (a `transfer_group`, a
    /// `sender_item_id`), or the truth again.
    pub fn lie_about(&self, payment: &str, lie: Option<Lie>) {
        let lies = &mut self.world().lies;
        match lie {
            Some(lie) => lies.insert(payment.to_owned(), lie),
            None => lies.remove(payment),
        };
    }

    /// The owner of a connected Stripe account writes over what we wrote on its payouts.
    pub fn write_over(&self, account: &str, key: &str) {
        stripe::payout::write_over(&mut self.world(), account, key);
    }

    /// Puts a connected Stripe account back on the daily schedule: at midnight Stripe pays out what it holds.
    pub fn pay_daily(&self, account: &str) {
        let now = self.now();
        stripe::account::pay_daily(&mut self.world(), account, now);
    }

    /// Ends a destination's scene: its bank details were replaced, its restriction lifted, its money claimed.
    pub fn mend(&self, destination: &str) {
        let now = self.now();
        let world = &mut *self.world();
        if destination.starts_with("acct_") {
            stripe::account::mend(world, destination, now);
        } else {
            paypal::settle::mend(world, destination, now);
        }
    }

    /// Takes away the bank account in which a connected Stripe account is paid a currency.
    pub fn close_bank(&self, account: &str, currency: &str) {
        let now = self.now();
        stripe::account::close_bank(&mut self.world(), account, &currency.to_ascii_lowercase(), now);
    }

    /// The owner of a connected Stripe account takes back our access to it.
    pub fn disconnect(&self, account: &str) {
        let now = self.now();
        stripe::account::disconnect(&mut self.world(), account, now);
    }

    /// The owner of a connected Stripe account gives us access to it again.
    pub fn give_access(&self, account: &str) {
        let now = self.now();
        stripe::account::give_access(&mut self.world(), account, now);
    }

    /// The root, as PEM, of the certificates that sign PayPal's webhooks.
    pub fn ca_pem(&self) -> String {
        paypal::signing::identity().root_pem.clone()
    }

    /// Makes every PayPal token that was handed out an `invalid_token`.
    pub fn forget_token(&self) {
        self.world().paypal.forget_tokens();
    }

    /// The vendors' present (microseconds UTC).
    pub fn time(&self) -> i64 {
        self.now()
    }

    /// The vendors' present: the clock, and what `/_sim/advance` has added.
    pub(crate) fn now(&self) -> i64 {
        (self.clock)() + self.ahead.load(Ordering::SeqCst)
    }

    /// Moves the vendors' clock ahead of whoever else is told the time, or behind it.
    pub fn move_ahead(&self, micros: i64) {
        self.ahead.fetch_add(micros, Ordering::SeqCst);
        self.advance(self.now());
    }

    /// The state; a panic elsewhere does not make it unusable, as every change to it is small.
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) async fn deliver(&self, waiting: Vec<outbox::Waiting>, now: i64) {
        let mut posts = tokio::task::JoinSet::new();
        for waiting in waiting {
            posts.spawn(async move { (waiting.id(), outbox::post(waiting.signed(now)).await) });
        }
        while let Some(joined) = posts.join_next().await {
            if let Ok((id, status)) = joined {
                self.delivered(id, status, now);
            }
        }
    }
}
