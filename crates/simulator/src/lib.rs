//! A simulator of Stripe Connect and PayPal Payouts: two vendors behind one HTTP port, with their own books, idempotency
//! tables, rate limits, webhook signing and retries. They behave as publicly documented; where the documentation is
//! silent, a comment beside the code explains the choice.
//!
//! # Destinations
//!
//! An unknown destination is valid and has a bank account in every currency. Its name can script another outcome: a
//! Stripe account `acct_sim_<scene>_<anything>`, a PayPal address `sim-<scene>-<anything>@…`.
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
//! *Later* is after [`Pace::late_us`]. A payout that stays pending represents an account that the platform has paused.
//!
//! [`Simulator::mend`] ends a scene: the partner has replaced the bank details, claimed the money, or been
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
pub use door::{InProcessRequest, InProcessResponse};
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
    /// The only source of time.
    pub clock: Clock,
    /// The seed of all ids: the same seed and the same calls give the same ids.
    pub seed: u64,
    pub pace: Pace,
    /// Answer 429 beyond the published limits (Stripe: 25 per second and endpoint, 15 for payouts, 100 in total with a
    /// live key and 25 with a test key; PayPal: 400 POSTs per minute).
    pub enforce_rate_limits: bool,
    /// The only secret key that Stripe accepts. `sk_live_…` makes every object live.
    pub stripe_key: String,
    /// The id of the account the key belongs to, as in `GET /v1/account`.
    pub stripe_account: String,
    /// The client id that PayPal accepts.
    pub paypal_client_id: String,
    pub paypal_client_secret: String,
    /// The id of the application, as in an access token.
    pub paypal_app_id: String,
    /// The initial balance in every currency at each vendor, until [`Simulator::set_balance`] changes it; minor units.
    pub opening_minor: i64,
    /// Answer 422 `INSUFFICIENT_FUNDS` to a PayPal batch that the balance does not cover, instead of accepting it and
    /// making it DENIED.
    pub refuse_uncovered_batches: bool,
    /// How many webhooks [`Simulator::deliver_due`] posts at once; 1 preserves their order.
    pub deliveries_at_once: usize,
}

impl Options {
    /// Defaults: everything settles after a second, no rate limits, the credentials `sk_test_sim`, and `sim_client`
    /// with `sim_secret`.
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

/// Both vendors. A clone is another handle on the same pair.
#[derive(Clone)]
pub struct Simulator {
    clock: Clock,
    /// How far the clock was moved ahead, including by `/_sim/advance`.
    ahead: Arc<AtomicI64>,
    deliveries_at_once: usize,
    world: Arc<Mutex<World>>,
    /// Other accounts behind the same address.
    others: Arc<Mutex<Vec<Simulator>>>,
}

impl Simulator {
    /// A fresh pair of vendors with only the opening balances.
    pub fn new(options: Options) -> Simulator {
        Simulator {
            clock: Arc::clone(&options.clock),
            ahead: Arc::new(AtomicI64::new(0)),
            deliveries_at_once: options.deliveries_at_once.max(1),
            world: Arc::new(Mutex::new(World::new(options))),
            others: Arc::default(),
        }
    }

    /// Opens another account at both vendors, behind the same address. It is selected by the credentials in `options`
    /// and takes part in [`Simulator::advance`] and in webhook delivery.
    pub fn open_account(&self, options: Options) -> Simulator {
        let other = Simulator { ahead: Arc::clone(&self.ahead), ..Simulator::new(options) };
        let mut others = self.others();
        // Number deliveries in separate ranges, because receivers identify them by number.
        other.world().outbox.number_from((others.len() as u64 + 1) << 40);
        others.push(other.clone());
        other
    }

    /// The account whose credentials a request carries; this one if no other's match.
    pub(crate) fn of(&self, incoming: &door::Incoming) -> Simulator {
        let others = self.others();
        others.iter().find(|other| other.world().is_asked(incoming)).unwrap_or(self).clone()
    }

    /// This account and those opened later.
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
            // Answers are small; without this the kernel may delay them.
            let _ = stream.set_nodelay(true);
        });
        axum::serve(listener, self.router()).await
    }

    /// Answers one request without a network: the same vendors, the same faults.
    pub fn carry(&self, asked: InProcessRequest) -> InProcessResponse {
        door::carry(self, asked)
    }

    /// When the next scheduled event or webhook is due (microseconds), if any.
    pub fn next_at(&self) -> Option<i64> {
        self.accounts().iter().filter_map(|account| account.world().next_at()).min()
    }

    /// Runs everything due by `now` (microseconds). Idempotent.
    pub fn advance(&self, now: i64) {
        self.accounts().iter().for_each(|account| account.world().advance(now));
    }

    /// The webhooks due by `now`, signed for this moment, in order. Each is returned again until its result is passed
    /// to [`Simulator::delivered`].
    pub fn due_webhooks(&self, now: i64) -> Vec<Delivery> {
        let due = |account: Simulator| account.world().outbox.due(now, usize::MAX);
        self.accounts().into_iter().flat_map(due).map(|waiting| waiting.signed(now)).collect()
    }

    /// Records the receiver's answer. Anything but 2xx is retried later as that vendor does, with a new timestamp and
    /// signature. Use 0 for no answer.
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

    /// Runs in real time: advances the vendors and posts their webhooks every 50 ms, forever.
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

    /// Removes every fault that was planted.
    pub fn heal(&self) {
        self.world().faults.clear();
    }

    /// Makes both vendors forget every idempotency key, sooner than documented: a reused key is executed again.
    pub fn forget_keys(&self) {
        let world = &mut *self.world();
        world.stripe.forget_keys();
        world.paypal.forget_keys();
    }

    /// Sets whether PayPal hides the fees of items.
    pub fn hide_fees(&self, hidden: bool) {
        self.world().paypal.fees_hidden = hidden;
    }

    /// Sets whether PayPal lists only the first half of a batch's items until the batch is done.
    pub fn list_items_late(&self, late: bool) {
        self.world().paypal.items_late = late;
    }

    /// Limits the page size of all lists, whatever is requested; both vendors may do that.
    pub fn longest_page(&self, most: usize) {
        let world = &mut *self.world();
        world.stripe.longest_page = most.max(1);
        world.paypal.longest_page = most.max(1);
    }

    /// Makes Stripe's lists omit objects younger than this (microseconds), which is worse than Stripe documents.
    pub fn lists_behind(&self, us: i64) {
        self.world().stripe.lists_behind_us = us;
    }

    /// A copy of both vendors' books.
    pub fn books(&self) -> Books {
        Books::of(&self.world())
    }

    /// Sets our available balance at a vendor, in that vendor's minor units (for PayPal whole units in HUF, JPY and
    /// TWD, hundredths otherwise). The currency may be in either case.
    pub fn set_balance(&self, vendor: Vendor, currency: &str, minor: i64) {
        let now = self.now();
        let world = &mut *self.world();
        match vendor {
            Vendor::Stripe => world.stripe.set_balance(&currency.to_ascii_lowercase(), minor, now),
            Vendor::PayPal => world.paypal.set_balance(&currency.to_ascii_uppercase(), minor, now),
        }
    }

    /// Removes a connected Stripe account's available money, as if the partner had spent it: the money has left the
    /// vendor.
    pub fn drain(&self, account: &str, currency: &str) {
        let now = self.now();
        self.world().stripe.drain(account, &currency.to_ascii_lowercase(), now);
    }

    /// Reverses the newest unreversed transfer of a `transfer_group` in Stripe's dashboard: fully, or partly in minor
    /// units. Returns whether there was one.
    pub fn reverse(&self, group: &str, part: Option<i64>) -> bool {
        let now = self.now();
        let which = (stripe::transfer::Which::Newest, part);
        stripe::transfer::reverse_in_dashboard(&mut self.world(), group, which, now)
    }

    /// The same for the first unreversed transfer of a group, fully.
    pub fn reverse_first(&self, group: &str) -> bool {
        let (now, which) = (self.now(), (stripe::transfer::Which::First, None));
        stripe::transfer::reverse_in_dashboard(&mut self.world(), group, which, now)
    }

    /// Reverses the newest paid payout of a payment in Stripe's dashboard. Returns whether there was one.
    pub fn reverse_payout(&self, transaction: &str) -> bool {
        let now = self.now();
        stripe::payout::reverse_in_dashboard(&mut self.world(), transaction, now)
    }

    /// Sends money to a connected account in Stripe's dashboard, for no payment: minor units. Returns whether the
    /// balance covered it.
    pub fn send_in_dashboard(&self, account: &str, currency: &str, minor: i64) -> bool {
        let (now, currency) = (self.now(), currency.to_ascii_lowercase());
        stripe::transfer::send_in_dashboard(&mut self.world(), account, &currency, minor, now)
    }

    /// Makes onboarding links point to this address, for a stand-in for Stripe's pages.
    pub fn lead_to(&self, base: &str) {
        self.world().stripe.pages_at = Some(base.to_owned());
    }

    /// Makes the list of balance transactions misreport a payment's movements (a `transfer_group`, a `sender_item_id`),
    /// or report them correctly again.
    pub fn lie_about(&self, payment: &str, lie: Option<Lie>) {
        let lies = &mut self.world().lies;
        match lie {
            Some(lie) => lies.insert(payment.to_owned(), lie),
            None => lies.remove(payment),
        };
    }

    /// The owner of a connected Stripe account removes a metadata key of ours from its payouts.
    pub fn write_over(&self, account: &str, key: &str) {
        stripe::payout::write_over(&mut self.world(), account, key);
    }

    /// Puts a connected Stripe account back on the daily schedule: Stripe pays out its balance at midnight.
    pub fn pay_daily(&self, account: &str) {
        let now = self.now();
        stripe::account::pay_daily(&mut self.world(), account, now);
    }

    /// Ends a destination's scene: bank details replaced, restriction lifted, money claimed.
    pub fn mend(&self, destination: &str) {
        let now = self.now();
        let world = &mut *self.world();
        if destination.starts_with("acct_") {
            stripe::account::mend(world, destination, now);
        } else {
            paypal::settle::mend(world, destination, now);
        }
    }

    /// Removes a connected Stripe account's bank account for a currency.
    pub fn close_bank(&self, account: &str, currency: &str) {
        let now = self.now();
        stripe::account::close_bank(&mut self.world(), account, &currency.to_ascii_lowercase(), now);
    }

    /// The owner of a connected Stripe account revokes our access to it.
    pub fn disconnect(&self, account: &str) {
        let now = self.now();
        stripe::account::disconnect(&mut self.world(), account, now);
    }

    /// The owner of a connected Stripe account restores our access to it.
    pub fn give_access(&self, account: &str) {
        let now = self.now();
        stripe::account::give_access(&mut self.world(), account, now);
    }

    /// The root certificate (PEM) that PayPal's webhooks are verified against.
    pub fn ca_pem(&self) -> String {
        paypal::signing::identity().root_pem.clone()
    }

    /// Makes every issued PayPal token an `invalid_token`.
    pub fn forget_token(&self) {
        self.world().paypal.forget_tokens();
    }

    /// The vendors' current time (microseconds UTC).
    pub fn time(&self) -> i64 {
        self.now()
    }

    /// The vendors' current time: the clock, plus how far it was moved.
    pub(crate) fn now(&self) -> i64 {
        (self.clock)() + self.ahead.load(Ordering::SeqCst)
    }

    /// Moves the vendors' clock relative to everyone else's, ahead or behind.
    pub fn move_ahead(&self, micros: i64) {
        self.ahead.fetch_add(micros, Ordering::SeqCst);
        self.advance(self.now());
    }

    /// The state. A panic elsewhere does not make it unusable, because every change to it is small.
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
