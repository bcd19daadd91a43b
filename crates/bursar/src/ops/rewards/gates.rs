//! What stands between rewards and their payment: asked of one reward, or of the whole pool.

use std::collections::HashMap;

use payout::eligibility::{self, Blocker, RewardFacts};
use payout::ids::RewardId;
use payout::ledger::Payee;
use payout::money::Money;

use super::owed;
use crate::ops::{Result, batches};
use crate::store::Db;
use crate::store::batches::PoolFilter;
use crate::store::rewards::{self, Filter, Reward, Sort, View, Window};

/// How many rows of the pool are looked through at a time for those that are wanted.
const WALKED_AT_ONCE: i64 = 5_000;

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
    let gates = batches::Gates::read(db, [payee]).await?;
    let (_, net) = gates.amounts(payee, total);
    Ok(gates.claim(payee, total, net, false, now))
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
    let (open, blocked) = batches::pool_blockers(db, &PoolFilter::default(), now).await?;
    let mut wanted: HashMap<RewardId, Vec<Blocker>> = match eligible {
        true => open.into_iter().map(|candidate| (candidate.id, Vec::new())).collect(),
        false => blocked.into_iter().map(|(candidate, blockers)| (candidate.id, blockers)).collect(),
    };
    let filter = Filter { view: View::Pool, ..filter.clone() };
    let mut walk = Window { limit: WALKED_AT_ONCE, ..window.clone() };
    let most = usize::try_from(window.limit).unwrap_or(usize::MAX);
    let mut picked = Vec::new();
    while picked.len() < most && !wanted.is_empty() {
        let keys = rewards::keys(db, &filter, &walk, now).await?;
        walk.after = keys.last().map(|(key, id)| (*key, id.to_string()));
        picked.extend(keys.iter().filter_map(|(_, id)| Some((*id, wanted.remove(id)?))));
        if keys.len() as u64 != WALKED_AT_ONCE.unsigned_abs() {
            break;
        }
    }
    picked.truncate(most);
    let ids: Vec<RewardId> = picked.iter().map(|(id, _)| *id).collect();
    let found = rewards::named(db, &ids).await?;
    let mut found: HashMap<RewardId, Reward> = found.into_iter().map(|it| (it.entered.id, it)).collect();
    Ok(picked.into_iter().filter_map(|(id, blockers)| Some((found.remove(&id)?, blockers))).collect())
}

/// Where a list goes on after this reward.
#[must_use]
pub fn after(reward: &Reward, sort: Sort) -> (i64, String) {
    (rewards::sort_key(reward, sort), reward.entered.id.to_string())
}
