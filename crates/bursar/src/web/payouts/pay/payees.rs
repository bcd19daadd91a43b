//! The payees of a payout on the Pay page: the largest claims of each currency, with deductions and destination. Not
//! here: computing a claim (`ops::batches`), and its rewards, which are on Review Claims.

use std::collections::BTreeMap;

use payout::money::{Currency, Sum, Vendor};

use crate::ops::batches::view::ClaimView;
use crate::web::kit::format::{self, Cash, Summed, how_many};
use crate::web::payouts::draft::payee_kind;

/// How many payees of a currency are listed.
const LISTED: usize = 50;

pub struct Line {
    /// The payee's name and page.
    pub name: String,
    pub page: String,
    /// A person or a company.
    pub kind: &'static str,
    /// The vendor and the masked destination.
    pub to: String,
    /// The number of rewards, and their total without clawbacks.
    pub rewards: String,
    pub earned: Summed,
    /// The total of the clawbacks, negative.
    pub clawbacks: Option<Summed>,
    /// The expected fee, if known before it is billed.
    pub fee: Option<Summed>,
    /// What the vendor is told to pay.
    pub net: Summed,
}

/// The claims of one currency.
pub struct Group {
    pub code: &'static str,
    pub count: usize,
    pub payees: String,
    /// The totals: earned, clawbacks, fees, and net.
    pub sums: [Summed; 4],
    /// Whether any of them has a clawback.
    pub claws: bool,
    pub lines: Vec<Line>,
}

/// The total of a claim's rewards, and the total of its clawbacks.
fn earned(claim: &ClaimView) -> [i128; 2] {
    claim.rewards.iter().fold([0, 0], |[earned, clawed], (.., minor)| match i128::from(*minor) {
        minor if minor < 0 => [earned, clawed + minor],
        minor => [earned + minor, clawed],
    })
}

/// The claims by currency, largest first.
pub fn groups(claims: &[ClaimView]) -> Vec<Group> {
    let mut by: BTreeMap<Currency, Vec<&ClaimView>> = BTreeMap::new();
    for claim in claims {
        by.entry(claim.total.currency).or_default().push(claim);
    }
    by.into_iter().map(|(currency, claims)| group(currency, claims)).collect()
}

fn group(currency: Currency, mut claims: Vec<&ClaimView>) -> Group {
    let mut sums = [0; 4];
    for claim in &claims {
        let [earned, clawed] = earned(claim);
        let adds = [earned, clawed, claim.fee.minor.into(), claim.net.minor.into()];
        sums.iter_mut().zip(adds).for_each(|(sum, add)| *sum += add);
    }
    claims.sort_by_key(|claim| (std::cmp::Reverse(claim.exact().minor), claim.payee));
    Group {
        code: currency.code(),
        count: claims.len(),
        payees: how_many(claims.len(), "payee", "payees"),
        sums: sums.map(|minor| Cash(Sum::new(minor, currency))),
        claws: sums.get(1).is_some_and(|clawed| *clawed != 0),
        lines: claims.into_iter().take(LISTED).map(line).collect(),
    }
}

fn line(claim: &ClaimView) -> Line {
    let [earned, clawed] = earned(claim);
    let sum = |minor| Cash(Sum::new(minor, claim.total.currency));
    let to = claim.destination.as_ref();
    // Without a fee table, Stripe's fees are billed separately.
    let told = claim.vendor() == Some(Vendor::PayPal) || claim.fee.minor > 0;
    Line {
        name: claim.named.as_ref().map_or_else(|| claim.payee.to_string(), |named| named.name.clone()),
        page: format::address(claim.payee),
        kind: payee_kind(claim.payee),
        to: to.map_or_else(
            || "Nowhere yet".to_owned(),
            |to| format!("{} {}", to.vendor().label(), to.masked()),
        ),
        rewards: how_many(claim.reward_count, "reward", "rewards"),
        earned: sum(earned),
        clawbacks: (clawed != 0).then(|| sum(clawed)),
        fee: told.then(|| sum(claim.fee.minor.into())),
        net: sum(claim.net.minor.into()),
    }
}
