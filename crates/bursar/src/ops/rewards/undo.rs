//! Undoing a bulk decision: each reward that is unchanged since gets its previous status back, in the books too, unless one
//! of them is in a payout. Which rewards can be restored is decided by `payout::reward`.

use payout::Refusal;
use payout::ids::RewardId;
use payout::ledger::Journal;
use payout::reward::{self, RewardStatus};
use serde_json::json;

use super::{changed_meanwhile, note, owed};
use crate::app::{Actor, App};
use crate::ops::{OpsError, Result, safe_mode};
use crate::store::decisions::{self, DecidedFilter, DecidedReward, Decision, Now};
use crate::store::{Db, audit, ledger};
use crate::transact;

/// The result of an undo.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UndoOutcome {
    /// The number of rewards restored.
    pub restored: usize,
    /// The number of rewards left as they are, because they have changed since.
    pub left: usize,
    /// The number of notices canceled before they were sent.
    pub canceled_notices: u64,
}

/// Checks that a reward can be restored.
///
/// # Errors
/// It is in a payout, or was changed or deleted since.
pub fn check_restorable(kept: &DecidedReward) -> std::result::Result<&Now, Refusal> {
    let Some(now) = &kept.now else { return Err(Refusal::new("changed_since", "It was deleted since.")) };
    reward::check_restorable(now.placed, kept.version == Some(now.version)).map(|()| now)
}

/// Undoes a bulk decision.
///
/// # Errors
/// Too late, already undone, or one of its rewards is in a payout: then nothing is undone.
pub async fn undo(app: &App, actor: &Actor, id: &str) -> Result<UndoOutcome> {
    let now = app.clock.now();
    let undone = transact!(app, |tx| {
        safe_mode::refuse(tx, id).await?;
        let decision = decisions::find(tx, id).await?;
        reward::undo(decision.at, decision.undone.is_some(), now)?;
        let by = actor.id.to_string();
        // Mark it first: a unit of the decision that is running now waits for this, and then stops.
        if !decisions::mark_undone(tx, id, &by, now).await? {
            return Err(changed_meanwhile());
        }
        let kept = decisions::kept(tx, id, DecidedFilter::Done(None), None).await?;
        no_payout(&kept)?;
        let free: Vec<(&DecidedReward, &Now)> =
            kept.iter().filter_map(|one| Some((one, check_restorable(one).ok()?))).collect();
        if free.is_empty() {
            return Err(Refusal::new("changed_since", ALL_CHANGED).into());
        }
        let ids: Vec<RewardId> = free.iter().map(|(one, _)| one.id).collect();
        let given = decisions::restore_rewards(tx, id, &ids, now).await?;
        if given != ids.len() as u64 {
            return Err(changed_meanwhile());
        }
        let approved = free.iter().filter(|(_, now)| now.status == RewardStatus::Approved);
        let entries: Vec<(String, Journal)> = approved
            .filter_map(|(one, now)| {
                let (payee, money) = owed(now.payee, now.worth)?;
                Some((one.id.to_string(), Journal::unapprove(payee, money)))
            })
            .collect();
        ledger::write(tx, now, &app.clock, &entries).await?;
        let canceled_notices = decisions::cancel_notices(tx, decision.at, &ids, now).await?;
        for (one, was) in &free {
            let to = one.before.map(RewardStatus::as_str);
            let detail = json!({"decision": id, "from": was.status.as_str(), "to": to});
            note(tx, now, actor, "reward_decision_undone", one.id, detail);
        }
        let left = kept.len() - ids.len();
        let detail = json!({"given_back": ids.len(), "left": left}).to_string();
        tx.audit(audit::Entry {
            at: now,
            actor: by,
            action: "decision_undone",
            subject: id.to_owned(),
            detail,
        });
        Ok(UndoOutcome { restored: ids.len(), left, canceled_notices })
    })?;
    app.nudge.notify_watchers();
    Ok(undone)
}

/// Refuses if a reward is in a payout: somebody wants it paid, so the decision stays until it is taken out.
fn no_payout(kept: &[DecidedReward]) -> Result<()> {
    let placed: Vec<String> = kept
        .iter()
        .filter_map(|one| one.now.as_ref().filter(|now| now.placed))
        .map(|now| format!("RW-{:06}", now.number))
        .collect();
    match placed.is_empty() {
        true => Ok(()),
        false => Err(OpsError::Conflict(Refusal::new("reward_in_payout", in_payout(&placed)))),
    }
}

const ALL_CHANGED: &str = "Everything in it has been changed since.";
/// How many rewards a refusal names.
const NAMED: usize = 20;

/// Why [`undo`] would refuse this decision now, if it would.
pub async fn why_no_undo(db: &mut Db, id: &str, decision: &Decision, now: i64) -> Result<Option<String>> {
    if let Some(why) = safe_mode::explanation(db).await? {
        return Ok(Some(format!("Safe mode is on. {why}")));
    }
    if let Err(refusal) = reward::undo(decision.at, decision.undone.is_some(), now) {
        return Ok(Some(refusal.sentence));
    }
    let limit = i64::try_from(NAMED).unwrap_or(i64::MAX).saturating_add(1);
    let placed = decisions::placed(db, id, limit).await?;
    if !placed.is_empty() {
        let numbers: Vec<String> = placed.iter().map(|number| format!("RW-{number:06}")).collect();
        return Ok(Some(in_payout(&numbers)));
    }
    Ok((!decisions::any_unchanged(db, id).await?).then(|| ALL_CHANGED.to_owned()))
}

fn in_payout(placed: &[String]) -> String {
    let named = placed.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    let more = if placed.len() > NAMED { " and more" } else { "" };
    format!(
        "{named}{more}: in a payout since, so nothing can be undone. Take these out of the payout first, or decide single rewards."
    )
}
