//! What stands between rewards and their payment: asked of one reward, or of the whole pool.

use std::collections::HashMap;

use payout::eligibility::{self, Blocker, RewardFacts};
use payout::ids::RewardId;
use payout::ledger::Payee;
use payout::money::Money;

use super::owed;
use crate::ops::{Result, batches, settings};
use crate::store::batches::PoolFilter;
use crate::store::rewards::{self, Filter, Reward, Sort, View, Window};
use crate::store::{Db, payees, vendors};

/// Every gate that stands between a reward and its payment.
///
/// # Errors
/// When the database does not answer.
pub async fn blockers(db: &mut Db, reward: &Reward, now: i64) -> Result<Vec<Blocker>> {
    let entered = &reward.entered;
    let facts = RewardFacts {
        status: entered.status,
        reward_type: entered.reward_type,
        expires_at: entered.expires_at,
        held_until: entered.held_until,
        placement: reward.placement(),
    };
    let own = eligibility::reward(&facts, None, now);
    let mut found: Vec<Blocker> = own.into_iter().map(|code| Blocker::new(code, entered.id)).collect();
    let Some((payee, money)) = owed(entered.payee, entered.worth) else { return Ok(found) };
    let filter = PoolFilter {
        payee: Some(payee.to_string()),
        currency: Some(money.currency.code().to_owned()),
        ..PoolFilter::default()
    };
    let (open, blocked) = batches::pool_blockers(db, &filter, now).await?;
    let of_pool = blocked.into_iter().find(|(candidate, _)| candidate.id == entered.id);
    if let Some((_, blockers)) = of_pool {
        return Ok(blockers);
    }
    if open.iter().any(|candidate| candidate.id == entered.id) {
        return Ok(Vec::new());
    }
    // It is not in the pool yet: its payee's claim would be what lies there now and this.
    let pool: i64 = open.iter().filter_map(|candidate| candidate.adds).map(|adds| adds.minor).sum();
    found.extend(
        payee_blockers(db, payee, Money::new(pool.saturating_add(money.minor), money.currency), now).await?,
    );
    Ok(found)
}

async fn payee_blockers(db: &mut Db, payee: Payee, total: Money, now: i64) -> Result<Vec<Blocker>> {
    let (rules, vendors) = (settings::load(db).await?, vendors::facts(db).await?);
    let Some(facts) = payees::facts(db, &[payee]).await?.remove(&payee) else { return Ok(Vec::new()) };
    let mut codes = eligibility::payee(&facts, &rules, &vendors, now);
    let fee = facts.profile.as_ref().map(|profile| payout::batch::estimated_fee(profile.vendor, total));
    let fee = fee.unwrap_or(Money::new(0, total.currency));
    let net = payout::batch::net(total, fee, rules.fees_paid_by);
    codes.extend(eligibility::amount(&facts, &rules, total, net));
    Ok(codes.into_iter().map(|code| Blocker::new(code, payee)).collect())
}

/// A page of the pool: the rewards that pass every gate, or those that do not, each with its blockers.
///
/// # Errors
/// When the database does not answer.
pub async fn pool(
    db: &mut Db,
    filter: &Filter,
    window: &Window,
    eligible: bool,
    now: i64,
) -> Result<Vec<(Reward, Vec<Blocker>)>> {
    // A claim is a payee's whole pool in a currency, so the gates are asked about the pool before it is narrowed.
    let (_, blocked) = batches::pool_blockers(db, &PoolFilter::default(), now).await?;
    let mut blocked: HashMap<RewardId, Vec<Blocker>> =
        blocked.into_iter().map(|(candidate, blockers)| (candidate.id, blockers)).collect();
    let filter = Filter { view: View::Pool, ..filter.clone() };
    let mut window = window.clone();
    let wanted = usize::try_from(window.limit).unwrap_or(usize::MAX);
    window.limit = 500;
    let mut page = Vec::new();
    loop {
        let rows = rewards::list(db, &filter, &window, now).await?;
        let last = rows.last().map(|last| after(last, window.sort));
        let full = rows.len() == 500;
        for reward in rows {
            let blockers = blocked.remove(&reward.entered.id).unwrap_or_default();
            if blockers.is_empty() == eligible && page.len() < wanted {
                page.push((reward, blockers));
            }
        }
        if !full || page.len() >= wanted {
            return Ok(page);
        }
        window.after = last;
    }
}

/// Where a list goes on after this reward.
#[must_use]
pub fn after(reward: &Reward, sort: Sort) -> (i64, String) {
    (rewards::sort_key(reward, sort), reward.entered.id.to_string())
}
