//! Which claim a clawback is deducted from: its payee's next one in its currency, whichever rewards were named. Not here:
//! entering a clawback (`ops::rewards`), and other changes to a draft (`ops::batches`).

use std::collections::{BTreeMap, BTreeSet};

use payout::ids::{BatchId, RewardId};
use payout::ledger::Payee;
use payout::money::{Currency, Money};

use super::Result;
use super::audit::{changed_meanwhile, note_rewards};
use crate::app::Actor;
use crate::store::batches::{self, Candidate, CandidateSource};
use crate::store::rewards::Entered;
use crate::store::{self, Db, Tx};

/// The free clawbacks of the claims that these rewards belong to, without those already among them. If a claim has a
/// positive total, it also takes the clawbacks that sit alone in other drafts, where there is nothing to deduct them from.
pub(super) async fn clawbacks_to_add(db: &mut Db, rewards: &[Candidate]) -> store::Result<Vec<Candidate>> {
    if payout::planted::on("clawback_left_out") {
        return Ok(Vec::new());
    }
    let claims: BTreeSet<(Payee, Currency)> = rewards.iter().filter_map(Candidate::claim).collect();
    let owed: BTreeSet<(Payee, Currency)> =
        rewards.iter().filter(|one| !one.takes_off()).filter_map(Candidate::claim).collect();
    let known: BTreeSet<RewardId> = rewards.iter().map(|candidate| candidate.id).collect();
    let of: Vec<Payee> =
        claims.iter().map(|(payee, _)| *payee).collect::<BTreeSet<_>>().into_iter().collect();
    let mut found = batches::candidates(db, CandidateSource::Clawbacks(&of)).await?;
    found.retain(|one| {
        let of_it = if one.draft().is_some() { &owed } else { &claims };
        one.claim().is_some_and(|claim| of_it.contains(&claim)) && !known.contains(&one.id)
    });
    Ok(found)
}

/// Removes clawbacks that sit alone in other drafts from those drafts, which counts as a change to them.
pub(super) async fn out_of_other_drafts(
    tx: &mut Tx,
    actor: &Actor,
    into: BatchId,
    chosen: &[Candidate],
    now: i64,
) -> Result<()> {
    let mut drafts: BTreeMap<BatchId, Vec<RewardId>> = BTreeMap::new();
    for one in chosen {
        if let Some(draft) = one.draft().filter(|draft| *draft != into) {
            drafts.entry(draft).or_default().push(one.id);
        }
    }
    for (draft, rewards) in drafts {
        if !batches::take_draft(tx, draft, &actor.id.to_string(), now).await? {
            return Err(changed_meanwhile());
        }
        let taken = batches::take_out(tx, draft, &rewards).await?;
        note_rewards(tx, actor, now, "batch_rewards_removed", draft, taken);
    }
    Ok(())
}

/// Adds a new clawback to the draft that holds its payee's claim in its currency, if there is one: that is the next claim.
/// This counts as a change to the draft by whoever entered the clawback.
pub(super) async fn join(
    tx: &mut Tx,
    actor: &Actor,
    clawback: &Entered,
    (payee, money): (Payee, Money),
    now: i64,
) -> Result<()> {
    let Some(draft) = batches::draft_with(tx, payee, money.currency).await? else { return Ok(()) };
    // If the draft was just paid or deleted, the clawback waits in the pool for the next claim.
    if batches::take_draft(tx, draft, &actor.id.to_string(), now).await? {
        batches::put_in(tx, draft, &[clawback.id]).await?;
        note_rewards(tx, actor, now, "batch_rewards_added", draft, vec![clawback.number]);
    }
    Ok(())
}
