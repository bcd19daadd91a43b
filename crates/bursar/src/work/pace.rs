//! How fast to send: the vendors' published limits, so that a large batch does not run into refusals.

use std::num::NonZeroU32;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use payout::money::Vendor;
use vendors::MoneyKind;

/// One bucket per limited call.
pub struct Pace {
    stripe_endpoint: DefaultDirectRateLimiter,
    stripe_payouts: DefaultDirectRateLimiter,
    stripe_reads: DefaultDirectRateLimiter,
    paypal_reads: DefaultDirectRateLimiter,
    paypal_batches: DefaultDirectRateLimiter,
}

impl std::fmt::Debug for Pace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pace")
    }
}

/// Stripe: 25 a second for an endpoint, 15 a second for creating payouts, 100 a second in all, of which reads get what
/// the two leave. PayPal: 400 batches a minute; for questions it names no number, so they keep to a modest one.
const STRIPE_ENDPOINT_PER_SECOND: NonZeroU32 = NonZeroU32::new(25).unwrap();
const STRIPE_PAYOUTS_PER_SECOND: NonZeroU32 = NonZeroU32::new(15).unwrap();
const STRIPE_READS_PER_SECOND: NonZeroU32 = NonZeroU32::new(50).unwrap();
const PAYPAL_READS_PER_SECOND: NonZeroU32 = NonZeroU32::new(25).unwrap();
const PAYPAL_BATCHES_PER_MINUTE: NonZeroU32 = NonZeroU32::new(400).unwrap();

impl Pace {
    /// The vendors' published limits.
    #[must_use]
    pub fn published() -> Self {
        Self {
            stripe_endpoint: RateLimiter::direct(Quota::per_second(STRIPE_ENDPOINT_PER_SECOND)),
            stripe_payouts: RateLimiter::direct(Quota::per_second(STRIPE_PAYOUTS_PER_SECOND)),
            stripe_reads: RateLimiter::direct(Quota::per_second(STRIPE_READS_PER_SECOND)),
            paypal_reads: RateLimiter::direct(Quota::per_second(PAYPAL_READS_PER_SECOND)),
            paypal_batches: RateLimiter::direct(Quota::per_minute(PAYPAL_BATCHES_PER_MINUTE)),
        }
    }

    /// Waits for this money request's turn.
    pub async fn turn(&self, kind: MoneyKind) {
        match kind {
            MoneyKind::Transfer | MoneyKind::Reversal => self.stripe_endpoint.until_ready().await,
            MoneyKind::Payout => self.stripe_payouts.until_ready().await,
            MoneyKind::Batch | MoneyKind::Cancel => self.paypal_batches.until_ready().await,
        }
    }

    /// Waits for a question's turn.
    pub async fn read_turn(&self, vendor: Vendor) {
        match vendor {
            Vendor::Stripe => self.stripe_reads.until_ready().await,
            Vendor::PayPal => self.paypal_reads.until_ready().await,
        }
    }
}
