//! Rate limits for sends and reads: the vendors' published limits, so that a large batch is not rate limited. Each kind
//! of endpoint has its own bucket, and all Stripe calls share one more, which is smaller in test mode.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use payout::money::Vendor;
use vendors::MoneyKind;

/// What a read is about. The most frequent kinds have their own bucket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum About {
    Balance,
    Account,
    /// The state of a payment, and other look-ups.
    Payment,
}

/// One token bucket per limited endpoint.
pub struct Pace {
    transfers: DefaultDirectRateLimiter,
    reversals: DefaultDirectRateLimiter,
    payouts: DefaultDirectRateLimiter,
    balances: DefaultDirectRateLimiter,
    questions: DefaultDirectRateLimiter,
    accounts: ByMode,
    stripe: ByMode,
    /// The current Stripe credentials are for test mode.
    is_test: AtomicBool,
    paypal_questions: DefaultDirectRateLimiter,
    paypal_batches: DefaultDirectRateLimiter,
}

/// A bucket that is smaller in test mode.
struct ByMode {
    live: DefaultDirectRateLimiter,
    test: DefaultDirectRateLimiter,
}

impl ByMode {
    fn per_second(live: NonZeroU32, test: NonZeroU32) -> Self {
        Self {
            live: RateLimiter::direct(Quota::per_second(live)),
            test: RateLimiter::direct(Quota::per_second(test)),
        }
    }

    async fn turn(&self, is_test: bool) {
        if is_test { self.test.until_ready().await } else { self.live.until_ready().await }
    }
}

impl std::fmt::Debug for Pace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pace")
    }
}

/// Stripe: 25 per second for an endpoint, 15 for creating payouts; 100 per second in total, 25 in test mode; 30 for
/// accounts, 5 in test mode.
const STRIPE_ENDPOINT: NonZeroU32 = NonZeroU32::new(25).unwrap();
const STRIPE_PAYOUTS: NonZeroU32 = NonZeroU32::new(15).unwrap();
const STRIPE_IN_ALL: NonZeroU32 = NonZeroU32::new(100).unwrap();
const STRIPE_IN_ALL_TEST: NonZeroU32 = NonZeroU32::new(25).unwrap();
const STRIPE_ACCOUNTS: NonZeroU32 = NonZeroU32::new(30).unwrap();
const STRIPE_ACCOUNTS_TEST: NonZeroU32 = NonZeroU32::new(5).unwrap();
/// PayPal: 400 batches per minute. It publishes no limit for reads, so this is a conservative one.
const PAYPAL_QUESTIONS: NonZeroU32 = NonZeroU32::new(25).unwrap();
const PAYPAL_BATCHES_PER_MINUTE: NonZeroU32 = NonZeroU32::new(400).unwrap();

impl Pace {
    pub fn published() -> Self {
        let per_second = |most| RateLimiter::direct(Quota::per_second(most));
        Self {
            transfers: per_second(STRIPE_ENDPOINT),
            reversals: per_second(STRIPE_ENDPOINT),
            payouts: per_second(STRIPE_PAYOUTS),
            balances: per_second(STRIPE_ENDPOINT),
            questions: per_second(STRIPE_ENDPOINT),
            accounts: ByMode::per_second(STRIPE_ACCOUNTS, STRIPE_ACCOUNTS_TEST),
            stripe: ByMode::per_second(STRIPE_IN_ALL, STRIPE_IN_ALL_TEST),
            is_test: AtomicBool::new(false),
            paypal_questions: per_second(PAYPAL_QUESTIONS),
            paypal_batches: RateLimiter::direct(Quota::per_minute(PAYPAL_BATCHES_PER_MINUTE)),
        }
    }

    /// Records whether the current Stripe credentials are for test mode.
    pub fn in_test_mode(&self, is_test: bool) {
        self.is_test.store(is_test, Ordering::Release);
    }

    /// Waits for a slot for this money request.
    pub async fn turn(&self, kind: MoneyKind) {
        match kind {
            MoneyKind::Transfer => self.transfers.until_ready().await,
            MoneyKind::Reversal => self.reversals.until_ready().await,
            MoneyKind::Payout => self.payouts.until_ready().await,
            MoneyKind::Batch | MoneyKind::Cancel => return self.paypal_batches.until_ready().await,
        }
        self.turn_at_stripe().await;
    }

    /// Waits for a slot for a read.
    pub async fn read_turn(&self, vendor: Vendor, about: About) {
        match (vendor, about) {
            (Vendor::PayPal, _) => return self.paypal_questions.until_ready().await,
            (Vendor::Stripe, About::Balance) => self.balances.until_ready().await,
            (Vendor::Stripe, About::Account) => {
                self.accounts.turn(self.is_test.load(Ordering::Acquire)).await
            }
            (Vendor::Stripe, About::Payment) => self.questions.until_ready().await,
        }
        self.turn_at_stripe().await;
    }

    async fn turn_at_stripe(&self) {
        self.stripe.turn(self.is_test.load(Ordering::Acquire)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    /// Counts the slots available at once; a slow machine may get some of the next second's.
    fn at_once(most: usize, take: impl AsyncFn()) -> usize {
        let taken = (0..200).take_while(|_| take().now_or_never().is_some()).count();
        assert!((most..most + 10).contains(&taken), "{taken} instead of {most}");
        taken
    }

    #[test]
    fn each_endpoint_has_its_own_limit_and_all_of_them_share_one() {
        let pace = Pace::published();
        let taken = at_once(15, async || pace.turn(MoneyKind::Payout).await)
            + at_once(25, async || pace.turn(MoneyKind::Transfer).await)
            + at_once(25, async || pace.read_turn(Vendor::Stripe, About::Balance).await)
            + at_once(25, async || pace.read_turn(Vendor::Stripe, About::Payment).await);
        at_once(100_usize.saturating_sub(taken), async || {
            pace.read_turn(Vendor::Stripe, About::Account).await;
        });
        at_once(25, async || pace.read_turn(Vendor::PayPal, About::Balance).await);
    }

    #[test]
    fn stripes_test_mode_allows_less() {
        let pace = Pace::published();
        pace.in_test_mode(true);
        let taken = at_once(5, async || pace.read_turn(Vendor::Stripe, About::Account).await);
        at_once(25 - taken, async || pace.turn(MoneyKind::Transfer).await);
    }
}
