//! A batch as everybody sees it: its claims, their payees and amounts, and which payees it takes over the tax reporting
//! threshold. Not here: changing it (`batches`).

use std::collections::HashMap;

use payout::batch::BatchStatus;
use payout::eligibility::Blocker;
use payout::ids::RewardId;
use payout::ledger::Payee;
use payout::money::{Currency, Money, Sum, Vendor};
use payout::payee::Destination;
use payout::tax as rules;

use crate::ops::tax::{ThresholdCrossing, usd, year, year_of};
use crate::ops::{Result, settings};
use crate::store::batches::Batch;
use crate::store::claims::Override;
use crate::store::payees::PayeeIdentity;
use crate::store::{Db, tax};

/// One payee's part of a batch in one currency.
#[derive(Clone, Debug)]
pub struct ClaimView {
    pub payee: Payee,
    pub named: Option<PayeeIdentity>,
    /// Where the money goes; `None` without a payout profile.
    pub destination: Option<Destination>,
    /// The sum of its rewards.
    pub total: Money,
    /// The actual sum, if it exceeds what one amount can hold. Then `total` is meaningless, and a closed gate keeps the
    /// claim from being paid.
    pub beyond: Option<Sum>,
    pub fee: Money,
    /// The part of `fee` that the vendor charges once a month per payee; after Pay it is included in `fee` only.
    pub monthly: Money,
    /// What the vendor would be told to pay.
    pub net: Money,
    /// Its rewards: id, number, what each adds in minor units.
    pub rewards: Vec<(RewardId, i64, i64)>,
    /// The number of rewards; after Pay the rewards themselves are read with their transaction.
    pub reward_count: usize,
    /// Why it cannot be paid.
    pub blockers: Vec<Blocker>,
    /// Why it is paid although it is below the earning threshold.
    pub overridden: Option<Override>,
    /// How it takes the payee's year over the tax reporting threshold, if it does; set by [`view`] only.
    pub crossing: Option<ThresholdCrossing>,
}

impl ClaimView {
    pub fn vendor(&self) -> Option<Vendor> {
        self.destination.as_ref().map(Destination::vendor)
    }

    /// The sum of its rewards, however large.
    pub fn exact(&self) -> Sum {
        self.beyond.unwrap_or_else(|| self.total.into())
    }
}

/// A batch with everything that is computed from it.
#[derive(Clone, Debug)]
pub struct BatchView {
    pub batch: Batch,
    pub status: BatchStatus,
    /// Its claims, by payee and currency.
    pub claims: Vec<ClaimView>,
    pub totals: Vec<Sum>,
    /// Why the batch as a whole cannot be paid.
    pub blockers: Vec<Blocker>,
    /// The digest that Pay would be bound to, or was bound to.
    pub digest: String,
    /// The numbers of payments whose record cannot be read; the claims and totals leave them out.
    pub unreadable: Vec<String>,
}

impl BatchView {
    /// Everything that blocks Pay: the batch's own blockers, then its claims'.
    pub fn all_blockers(&self) -> Vec<Blocker> {
        let of_claims = self.claims.iter().flat_map(|claim| claim.blockers.iter().cloned());
        self.blockers.iter().cloned().chain(of_claims).collect()
    }
}

/// What the vendors would be told to pay for these claims, one sum per currency.
pub fn sums(claims: &[ClaimView]) -> Vec<Sum> {
    let mut sums = std::collections::BTreeMap::<Currency, i128>::new();
    for claim in claims {
        *sums.entry(claim.net.currency).or_default() += i128::from(claim.net.minor.max(0));
    }
    sums.into_iter().map(|(currency, minor)| Sum::new(minor, currency)).collect()
}

/// The payees that a batch takes over this year's tax reporting threshold: US dollars only, and only while US Tax Tracking
/// is on. A paid batch is already in the books and crosses nothing.
pub async fn crossings(db: &mut Db, view: &BatchView, now: i64) -> Result<Vec<ThresholdCrossing>> {
    let rules = settings::load(db).await?;
    let claims = view.claims.iter().filter(|claim| claim.total.currency == Currency::USD);
    let adds: HashMap<Payee, Money> = claims.map(|claim| (claim.payee, claim.net)).collect();
    if !rules.us_tax_tracking || adds.is_empty() || !view.batch.open() {
        return Ok(Vec::new());
    }
    let this_year = year_of(now);
    let Some(span) = year(this_year) else { return Ok(Vec::new()) };
    let line = rules::threshold(this_year, &rules.tax_thresholds);
    let mut of: Vec<Payee> = adds.keys().copied().collect();
    of.sort_unstable();
    let mut so_far: HashMap<Payee, i128> = HashMap::new();
    for total in tax::totals(db, &of, &span).await? {
        *so_far.entry(total.payee).or_default() += usd(&total);
    }
    let crossing = |payee: Payee| {
        let so_far = Sum::new(so_far.get(&payee).copied().unwrap_or(0), Currency::USD);
        let adds = adds.get(&payee).copied()?;
        rules::crosses(so_far, adds, line).then_some(ThresholdCrossing { payee, so_far, adds, line })
    };
    Ok(of.into_iter().filter_map(crossing).collect())
}
