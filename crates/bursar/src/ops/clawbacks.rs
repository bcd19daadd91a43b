//! Which claim a clawback comes off: its payee's next one in its currency, whichever rewards were named. What is deliberately
//! not here: how a clawback is entered (`ops::rewards`), and how a draft is changed otherwise (`ops::batches`).

use std::collections::{BTreeMap, BTreeSet};

use payout::ids::{BatchId, RewardId};
use payout::ledger::Payee;
use payout::money::{Currency, Money};

use super::Result;
use super::audit::{changed_meanwhile, note_rewards};
use crate::app::Actor;
use crate::store::batches::{self, Candidate, Pick};
use crate::store::rewards::Entered;
use crate::store::{self, Db, Tx};

/// The free clawbacks of the claims that these rewards are part of, but those among them. Whoever is owed something by a claim
/// has also those taken off it that another draft holds by themselves: there nothing is left that they could be taken off.
pub(super) async fn beside(db: &mut Db, rewards: &[Candidate]) -> store::Result<Vec<Candidate>> {
    if payout::planted::on("clawback_left_out") {
        return Ok(Vec::new());
    }
    let claims: BTreeSet<(Payee, Currency)> = rewards.iter().filter_map(Candidate::claim).collect();
    let owed: BTreeSet<(Payee, Currency)> =
        rewards.iter().filter(|one| !one.takes_off()).filter_map(Candidate::claim).collect();
    let known: BTreeSet<RewardId> = rewards.iter().map(|candidate| candidate.id).collect();
    let of: Vec<Payee> =
        claims.iter().map(|(payee, _)| *payee).collect::<BTreeSet<_>>().into_iter().collect();
    let mut found = batches::candidates(db, Pick::Clawbacks(&of)).await?;
    found.retain(|one| {
        let of_it = if one.draft().is_some() { &owed } else { &claims };
        one.claim().is_some_and(|claim| of_it.contains(&claim)) && !known.contains(&one.id)
    });
    Ok(found)
}

/// Takes the clawbacks that lie by themselves in other drafts out of those, which are changed by that.
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

/// Puts a new clawback into the draft that holds a claim of its payee in its currency, if there is one: that is the claim
/// it comes off next. Whoever entered it has then changed that draft.
pub(super) async fn join(
    tx: &mut Tx,
    actor: &Actor,
    clawback: &Entered,
    (payee, money): (Payee, Money),
    now: i64,
) -> Result<()> {
    let Some(draft) = batches::draft_with(tx, payee, money.currency).await? else { return Ok(()) };
    // Paid or deleted a moment ago: it waits in the pool for the next claim.
    if batches::take_draft(tx, draft, &actor.id.to_string(), now).await? {
        batches::put_in(tx, draft, &[clawback.id]).await?;
        note_rewards(tx, actor, now, "batch_rewards_added", draft, vec![clawback.number]);
    }
    Ok(())
}
