//! The gates between rewards and their payment, for one reward or the whole pool.

use std::collections::{BTreeSet, HashMap};

use payout::eligibility::{self, Blocker, Code, RewardFacts, Who};
use payout::ids::{BatchId, RewardId};
use payout::ledger::Payee;
use payout::money::{Money, Sum};
use payout::reward::{Placement, RewardType};

use super::owed;
use crate::ops::placed;
use crate::ops::{Result, batches, gates, settings};
use crate::store::Db;
use crate::store::batches::{self as store, CandidateSource, PoolFilter};
use crate::store::rewards::{self, Filter, Position, Reward, View, Window};
use crate::store::{contradictions, transactions};

/// How many rewards of the pool are checked for a page: first, and then in each further step.
const STEPS: [i64; 2] = [80, 320];

/// Every gate that blocks a reward, those of all payouts first.
pub async fn blockers(db: &mut Db, reward: &Reward, now: i64) -> Result<Vec<Blocker>> {
    let mut found = own_blockers(db, reward, now).await?;
    // A paid reward, or one that is never paid out, is not waiting.
    let waits =
        !matches!(reward.placement(), Placement::Paid(_)) && reward.entered.reward_type == RewardType::Cash;
    if waits {
        let general = batches::closed_for_all(db).await?;
        found.splice(0..0, general.into_iter().map(|code| Blocker::new(code, reward.entered.id)));
    }
    Ok(found)
}

async fn own_blockers(db: &mut Db, reward: &Reward, now: i64) -> Result<Vec<Blocker>> {
    let entered = &reward.entered;
    let facts = RewardFacts {
        status: entered.status,
        reward_type: entered.reward_type,
        expires_at: entered.expires_at,
        held_until: entered.held_until,
        placement: reward.placement(),
        contradicted: contradictions::rewards(db).await?.contains(&entered.id),
    };
    let mut found = Vec::new();
    for code in eligibility::reward(&facts, None, now) {
        found.push(placed(db, reward, gates::of_reward(code, entered.id, &facts)).await?);
    }
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
    // It is not in the pool yet: the claim would be the pool's rewards of this payee plus this one.
    let pool = batches::sum(&open, money.currency).minor;
    let claim = Sum::new(pool + i128::from(money.minor), money.currency);
    match claim.money().filter(|claim| claim.minor <= Money::MAX_MINOR) {
        Some(claim) => found.extend(payee_blockers(db, payee, claim, now).await?),
        None => found.push(Blocker::new(Code::TotalTooLarge, payee)),
    }
    Ok(found)
}

/// Adds details about the payout or payment that a reward is in.
async fn placed(db: &mut Db, reward: &Reward, blocker: Blocker) -> Result<Blocker> {
    match (blocker.code, &reward.batch, &reward.transaction) {
        (Code::RewardInFlight, _, Some((id, _))) => {
            let payment = transactions::find(db, &id.to_string()).await?;
            let elsewhere = placed::moved_on(db, &payment).await?;
            Ok(placed::in_flight(blocker, &payment, elsewhere))
        }
        (Code::RewardInBatch, Some((batch, _)), _) => in_draft(db, blocker, *batch).await,
        (_, _, _) => Ok(blocker),
    }
}

/// Adds details about the draft that a reward is in: which one, and what it waits for.
pub async fn in_draft(db: &mut Db, blocker: Blocker, batch: BatchId) -> Result<Blocker> {
    let batch = store::find(db, &batch.to_string()).await?;
    let (who, waits) =
        match (settings::load(db).await?.two_person_release, batch.release_asked_at, &batch.released) {
            (true, None, None) => {
                (Who::Preparer, "which is being prepared: its release has not been requested")
            }
            (true, Some(_), None) => {
                (Who::Payer, "which waits for its release by a payer who neither prepared nor changed it")
            }
            (false, _, _) | (true, _, Some(_)) => (Who::Payer, "which waits for a payer to press Pay"),
        };
    let remedy = blocker.code.remedy();
    Ok(blocker.noting(Some(format!("It is in {}, {waits}.", batch.number))).acting(who, remedy))
}

async fn payee_blockers(db: &mut Db, payee: Payee, total: Money, now: i64) -> Result<Vec<Blocker>> {
    let gates = gates::Gates::read(db, [payee]).await?.in_month_of(db, now).await?;
    let net = gates.amounts(payee, total).net;
    Ok(gates.claim(payee, total, net, false, now))
}

/// A page of the pool.
#[derive(Clone, Debug)]
pub struct PoolPage {
    /// The rewards, each with its blockers.
    pub rows: Vec<(Reward, Vec<Blocker>)>,
    /// Where the next page begins, if there is one.
    pub next: Option<Position>,
    /// How many rewards were checked before the page gave up with too few found; there may be more further on.
    pub looked_at: Option<i64>,
}

/// A page of the pool: the rewards that pass every gate, or those that do not, with their blockers.
///
/// No index covers the gates, so the pool is scanned in list order, as far as time allows.
pub async fn pool(
    db: &mut Db,
    filter: &Filter,
    window: &Window,
    eligible: bool,
    now: i64,
) -> Result<PoolPage> {
    let filter = Filter { view: View::Pool, ..filter.clone() };
    let most = usize::try_from(window.limit).unwrap_or(usize::MAX);
    let mut picked: Vec<(Position, Vec<Blocker>)> = Vec::new();
    let (mut after, mut looked_at) = (window.after.clone(), 0);
    let mut stopped = None;
    for step in STEPS {
        let part = Window { limit: step, after: after.take(), ..window.clone() };
        let (keys, next) = rewards::keys(db, &filter, &part, now).await?;
        looked_at += i64::try_from(keys.len()).unwrap_or(0);
        let ids: Vec<RewardId> = keys.iter().map(|(_, id)| *id).collect();
        let mut judged = judged(db, &ids, now).await?;
        picked.extend(keys.into_iter().filter_map(|(key, id)| {
            let blockers = judged.remove(&id)?;
            (blockers.is_empty() == eligible).then(|| ((key, id.to_string()), blockers))
        }));
        (after, stopped) = (next.clone(), next);
        if picked.len() > most || after.is_none() {
            break;
        }
    }
    let more = picked.len() > most;
    picked.truncate(most);
    let last = picked.last().filter(|_| more).map(|(place, _)| place.clone());
    let rows = named(db, picked).await?;
    let looked_at = (!more && stopped.is_some()).then_some(looked_at);
    Ok(PoolPage { rows, next: last.or(stopped), looked_at })
}

async fn named(db: &mut Db, picked: Vec<(Position, Vec<Blocker>)>) -> Result<Vec<(Reward, Vec<Blocker>)>> {
    let ids: Vec<RewardId> = picked.iter().filter_map(|((_, id), _)| RewardId::parse(id)).collect();
    let found = rewards::named(db, &ids).await?;
    let mut found: HashMap<String, Reward> =
        found.into_iter().map(|reward| (reward.entered.id.to_string(), reward)).collect();
    Ok(picked.into_iter().filter_map(|((_, id), blockers)| Some((found.remove(&id)?, blockers))).collect())
}

/// The blockers of these rewards of the pool.
async fn judged(db: &mut Db, ids: &[RewardId], now: i64) -> Result<HashMap<RewardId, Vec<Blocker>>> {
    let candidates = store::candidates(db, CandidateSource::Named(ids)).await?;
    let payees: BTreeSet<Payee> = candidates.iter().filter_map(|candidate| candidate.payee).collect();
    // A claim is a payee's whole pool in a currency, so check all their rewards together.
    let filter = PoolFilter { payees: Some(payees.into_iter().collect()), ..PoolFilter::default() };
    let (open, blocked) = batches::pool_blockers(db, &filter, now).await?;
    let open = open.into_iter().map(|candidate| (candidate.id, Vec::new()));
    Ok(open.chain(blocked.into_iter().map(|(candidate, blockers)| (candidate.id, blockers))).collect())
}
