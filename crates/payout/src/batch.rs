//! Batches: the claims their rewards form, exactly what Pay promises, and their status.

use sha2::{Digest, Sha256};

use crate::ids::{BatchId, RewardId};
use crate::ledger::Payee;
use crate::money::{Money, Vendor};
use crate::payee::hex;
use crate::spelling::spelled;
use crate::transaction::{State, Status};

spelled! {
    /// The status of a batch, derived from its history and its transactions.
    BatchStatus {
        /// Being prepared.
        Draft = "draft",
        /// Another person must release it before it can be paid.
        AwaitingRelease = "awaiting_release",
        /// Pay was pressed, and not every transaction has ended.
        Paying = "paying",
        /// Every transaction succeeded, or its payee was paid another way.
        Paid = "paid",
        /// Some transactions succeeded, some did not.
        PartlyPaid = "partly_paid",
        /// No transaction succeeded.
        Failed = "failed",
        /// Deleted before Pay; its rewards went back to the pool.
        Deleted = "deleted",
    }
}

impl BatchStatus {
    /// The name shown on pages.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Draft => "Draft",
            Self::AwaitingRelease => "Awaiting release",
            Self::Paying => "Paying",
            Self::Paid => "Paid",
            Self::PartlyPaid => "Partly paid",
            Self::Failed => "Failed",
            Self::Deleted => "Deleted",
        }
    }
}

/// The status of a batch after Pay. Each item is a transaction's state and whether its payee was paid another way,
/// which counts as a success.
#[must_use]
pub fn status_after_pay(transactions: impl IntoIterator<Item = (State, bool)>) -> BatchStatus {
    let (mut succeeded, mut ended_otherwise) = (false, false);
    for (state, outside) in transactions {
        if !state.settled() && !outside {
            return BatchStatus::Paying;
        }
        if outside || state.status() == Status::Success {
            succeeded = true;
        } else {
            ended_otherwise = true;
        }
    }
    match (succeeded, ended_otherwise) {
        (true, false) => BatchStatus::Paid,
        (true, true) => BatchStatus::PartlyPaid,
        (false, true | false) => BatchStatus::Failed,
    }
}

/// A row of a batch: what one payee gets in one currency, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Claim {
    /// The payee who receives it.
    pub payee: Payee,
    /// The sum of the rewards minus clawbacks; if zero or negative, not payable.
    pub total: Money,
    /// The amount the vendor is told to pay: the total, minus the fee if the payee bears it.
    pub net: Money,
    /// The vendor; `None` while the payee has no payout profile.
    pub vendor: Option<Vendor>,
    /// The destination's fingerprint, if there is one.
    pub fingerprint: Option<String>,
    /// The reason to pay it although it is under the earning threshold, if there is one.
    pub overridden: Option<String>,
    /// The rewards with the minor units each adds (negative for a clawback), ordered by id.
    pub rewards: Vec<(RewardId, i64)>,
}

/// A hash over rewards, payees, amounts, vendors, destinations and overrides: any change after they were shown gives
/// another digest. Written `sha256:…`.
#[must_use]
pub fn digest(batch: BatchId, claims: &[Claim]) -> String {
    let mut order: Vec<&Claim> = claims.iter().collect();
    order.sort_by_key(|claim| (claim.payee, claim.total.currency));
    let mut hash = Sha256::new();
    hash.update(format!("batch {batch}\n"));
    for claim in order {
        let vendor = claim.vendor.map_or("-", Vendor::as_str);
        let to = claim.fingerprint.as_deref().unwrap_or("-");
        hash.update(format!(
            "claim {} {} {} {} {vendor} {to}\n",
            claim.payee, claim.total.currency, claim.total.minor, claim.net.minor
        ));
        if let Some(reason) = &claim.overridden {
            // The length comes first, so that no reason can imitate a line of rewards.
            hash.update(format!("override {} {reason}\n", reason.len()));
        }
        let mut rewards: Vec<_> = claim.rewards.iter().collect();
        rewards.sort();
        for (reward, minor) in rewards {
            hash.update(format!("reward {reward} {minor}\n"));
        }
    }
    format!("sha256:{}", hex(&hash.finalize()))
}

spelled! {
    /// Who bears the vendor's fee.
    FeesPaidBy {
        /// The company: the payee gets the whole amount.
        Company = "company",
        /// The payee: they get the amount minus the fee.
        Partner = "partner",
    }
}

/// When a payment through this vendor is expected to arrive, counted from Pay. An expectation, not a promise: at
/// Stripe, money for some accounts becomes available a day later, and banks take business days; PayPal credits
/// receivers who have an account.
#[must_use]
pub fn expected_arrival(vendor: Vendor) -> &'static str {
    match vendor {
        Vendor::Stripe => "expected within 2 to 5 business days",
        Vendor::PayPal => "expected within minutes, if the receiver has a PayPal account",
    }
}

/// The amount the vendor is told to pay: `amount`, minus the fee if the payee bears it.
#[must_use]
pub fn net(amount: Money, fee: Money, borne_by: FeesPaidBy) -> Money {
    match borne_by {
        FeesPaidBy::Company => amount,
        FeesPaidBy::Partner => Money::new(amount.minor.saturating_sub(fee.minor), amount.currency),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::PartnerId;
    use crate::money::Currency;

    fn claim(payee: u128, minor: i64) -> Claim {
        Claim {
            payee: Payee::Partner(PartnerId::fresh(0, payee)),
            total: Money::new(minor, Currency::parse("EUR").unwrap()),
            net: Money::new(minor, Currency::parse("EUR").unwrap()),
            vendor: Some(Vendor::PayPal),
            fingerprint: Some("f".into()),
            overridden: None,
            rewards: vec![(RewardId::fresh(0, payee), minor)],
        }
    }

    #[test]
    fn the_digest_covers_everything_that_was_shown_and_no_order() {
        let batch = BatchId::fresh(0, 1);
        let (a, b) = (claim(1, 100), claim(2, 200));
        let shown = digest(batch, &[a.clone(), b.clone()]);
        assert_eq!(shown, digest(batch, &[b.clone(), a.clone()]));
        let changes: [fn(&mut Claim); 7] = [
            |claim| claim.overridden = Some("a goodbye".into()),
            |claim| claim.net.minor -= 1,
            |claim| claim.total.minor += 1,
            |claim| claim.vendor = Some(Vendor::Stripe),
            |claim| claim.fingerprint = Some("g".into()),
            |claim| claim.rewards[0].1 += 1,
            |claim| claim.payee = Payee::Partner(PartnerId::fresh(0, 9)),
        ];
        for change in changes {
            let mut changed = a.clone();
            change(&mut changed);
            assert_ne!(shown, digest(batch, &[changed, b.clone()]));
        }
        assert_ne!(shown, digest(BatchId::fresh(0, 2), &[a, b]));
    }

    #[test]
    fn how_a_paid_batch_stands() {
        use State::{Failed, InTransit, PayoutFailed, Recalling, Success};
        let rows: [(&[State], BatchStatus); 6] = [
            (&[Success, Success], BatchStatus::Paid),
            (&[Success, Failed], BatchStatus::PartlyPaid),
            (&[Failed, PayoutFailed], BatchStatus::Failed),
            (&[Success, InTransit], BatchStatus::Paying),
            (&[Recalling], BatchStatus::Paying),
            (&[], BatchStatus::Failed),
        ];
        for (states, expected) in rows {
            assert_eq!(status_after_pay(states.iter().map(|state| (*state, false))), expected, "{states:?}");
        }
        let outside = [(PayoutFailed, true), (Failed, false)];
        assert_eq!(status_after_pay(outside), BatchStatus::PartlyPaid, "one was paid in another way");
        assert_eq!(status_after_pay([outside[0], (Success, false)]), BatchStatus::Paid);
    }

    #[test]
    fn whoever_bears_the_fee_pays_it() {
        let usd = |minor| Money::new(minor, Currency::USD);
        let rows = [
            (10_000, 200, FeesPaidBy::Company, 10_000),
            (10_000, 200, FeesPaidBy::Partner, 9_800),
            (100, 200, FeesPaidBy::Partner, -100),
            (10_000, 0, FeesPaidBy::Partner, 10_000),
        ];
        for (amount, fee, borne_by, sent) in rows {
            assert_eq!(net(usd(amount), usd(fee), borne_by), usd(sent), "{amount} - {fee}, {borne_by:?}");
        }
    }
}
