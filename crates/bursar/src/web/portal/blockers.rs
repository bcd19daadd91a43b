//! Why something is not paid yet, for the partner waiting for it: in their language and perspective, with who must act,
//! until when if a date is known, and where they can act.

use std::collections::BTreeMap;

use payout::eligibility::{Code, Who};
use payout::ids::RewardId;
use payout::ledger::Payee;
use payout::money::{Currency, Sum};
use payout::settings::Settings;

use super::layout::{OnBehalfOf, PartnerContext, day};
use super::words::Words;
use crate::ops::{Result, batches, settings};
use crate::store::batches::{Candidate, PoolFilter};
use crate::store::{Db, payees};

pub struct Reason {
    /// What blocks the payment, in words.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
    pub who: &'static str,
    /// The day on which it ends, if known.
    pub until: Option<String>,
}

impl Reason {
    /// The reason for a code, for the partner waiting for this payee's money.
    pub fn of(code: Code, whose: OnBehalfOf, context: &PartnerContext, until: Option<i64>) -> Self {
        let who = Self::who(code.who(), whose, context.t());
        let (message, remedy) = context.language.blocker(code);
        Self { message, remedy, who, until: until.map(day) }
    }

    /// Who must act, from the partner's perspective.
    pub fn who(who: Who, whose: OnBehalfOf, t: &Words) -> &'static str {
        match (who, whose) {
            (Who::Partner, OnBehalfOf::Me) => t.who_you,
            (Who::Partner, OnBehalfOf::Company) => t.who_company,
            (Who::Preparer | Who::Payer | Who::Admin, _) => t.who_us,
            (Who::Vendor, _) => t.who_vendor,
            (Who::Nobody, _) => t.who_nobody,
        }
    }
}

/// Rewards of one payee and currency that are waiting for the same reasons.
pub struct WaitingGroup {
    pub payee: Payee,
    pub count: usize,
    /// How many of the rewards are clawbacks.
    pub taken: usize,
    pub total: Sum,
    /// Why they wait; empty if nothing blocks them.
    pub reasons: Vec<Reason>,
}

/// A payee's approved rewards in no payout, grouped by reasons; and each reward's own reasons.
pub struct Waiting {
    pub heaps: Vec<WaitingGroup>,
    pub codes: BTreeMap<RewardId, Vec<Code>>,
    /// When the hold periods end.
    pub held_until: BTreeMap<RewardId, i64>,
    /// When the payee's cooling-off period ends.
    pub cooling_until: Option<i64>,
}

impl Waiting {
    /// Why a reward is waiting, in words.
    pub fn of(&self, reward: RewardId, whose: OnBehalfOf, context: &PartnerContext) -> Vec<Reason> {
        let codes = self.codes.get(&reward).map(Vec::as_slice).unwrap_or_default();
        let until = |code| {
            let held = self.held_until.get(&reward).copied().filter(|_| code == Code::RewardInHoldPeriod);
            held.or(self.cooling_until.filter(|_| code == Code::ProfileChangedRecently))
        };
        codes.iter().map(|code| Reason::of(*code, whose, context, until(*code))).collect()
    }
}

/// What a payee's approved rewards are waiting for.
pub async fn waiting(
    db: &mut Db,
    context: &PartnerContext,
    whose: OnBehalfOf,
    payee: Payee,
    now: i64,
) -> Result<Waiting> {
    let filter = PoolFilter { payee: Some(payee.to_string()), ..PoolFilter::default() };
    let (open, blocked) = batches::pool_blockers(db, &filter, now).await?;
    // If payouts are closed for everyone, nothing could be in the next payout.
    let general = batches::closed_for_all(db).await?;
    let rules = settings::load(db).await?;
    let cooling_until = cooling(db, payee, &rules, now).await?;
    let (mut codes, mut held_until) = (BTreeMap::new(), BTreeMap::new());
    let mut heaps: BTreeMap<(Currency, Vec<Code>), Vec<Candidate>> = BTreeMap::new();
    let blocked = blocked
        .into_iter()
        .map(|(candidate, blockers)| (candidate, blockers.into_iter().map(|blocker| blocker.code).collect()));
    for (candidate, why) in open.into_iter().map(|candidate| (candidate, Vec::new())).chain(blocked) {
        if let Some(until) = candidate.facts.held_until {
            held_until.insert(candidate.id, until);
        }
        let why: Vec<Code> = general.iter().copied().chain(why).collect();
        codes.insert(candidate.id, why.clone());
        if let Some(adds) = candidate.adds {
            heaps.entry((adds.currency, why)).or_default().push(candidate);
        }
    }
    let mut waiting = Waiting { heaps: Vec::new(), codes, held_until, cooling_until };
    for ((currency, _), rewards) in heaps {
        let last = rewards.iter().max_by_key(|one| one.facts.held_until).map(|one| one.id);
        waiting.heaps.push(WaitingGroup {
            payee,
            count: rewards.iter().filter(|one| !one.takes_off()).count(),
            taken: rewards.iter().filter(|one| one.takes_off()).count(),
            total: batches::sum(&rewards, currency),
            reasons: last.map(|last| waiting.of(last, whose, context)).unwrap_or_default(),
        });
    }
    Ok(waiting)
}

/// When the cooling-off of a changed destination ends.
async fn cooling(db: &mut Db, payee: Payee, settings: &Settings, now: i64) -> Result<Option<i64>> {
    let profile = payees::profile_of(db, payee).await?;
    let until = profile.and_then(|profile| profile.changed_at).map(|at| at + settings.cooling_off_us());
    Ok(until.filter(|until| now < *until))
}
