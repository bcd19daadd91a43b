//! Review decisions about rewards, one at a time or in bulk.

use std::collections::HashSet;

use payout::Refusal;
use payout::ids::RewardId;
use payout::ledger::Journal;
use payout::notice::Notice;
use payout::reward::{self, Entry, RewardStatus, Standing};
use serde_json::json;

use super::{Created, DAY_US, changed_meanwhile, expect_version, note, owed};
use crate::app::{Actor, App};
use crate::clock::start_of_date;
use crate::ops::idempotency::{Idempotency, finish};
use crate::ops::{OpsError, Result, safe_mode};
use crate::store::rewards::{self, Brief, Decision, Filter, Reward};
use crate::store::{Tx, contradictions, decisions, ledger, outbox};
use crate::transact;

/// A reviewer's decision about a reward.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// To be paid.
    Approve,
    /// Not to be paid.
    Reject {
        reason: String,
        /// Whether the partner may see the reason.
        shown: bool,
    },
    Review,
    Void {
        reason: String,
        /// Whether the partner may see the reason.
        shown: bool,
    },
}

impl Verdict {
    /// The resulting status, if the rules allow it.
    fn on(&self, standing: Standing) -> std::result::Result<RewardStatus, Refusal> {
        match self {
            Self::Approve => reward::approve(standing),
            Self::Reject { reason, .. } => reward::reject(standing, reason),
            Self::Review => reward::review(standing),
            Self::Void { reason, .. } => reward::void(standing, reason),
        }
    }

    fn status(&self) -> RewardStatus {
        match self {
            Self::Approve => RewardStatus::Approved,
            Self::Reject { .. } => RewardStatus::Rejected,
            Self::Review => RewardStatus::InReview,
            Self::Void { .. } => RewardStatus::Void,
        }
    }

    fn action(&self) -> &'static str {
        match self {
            Self::Approve => "reward_approved",
            Self::Reject { .. } => "reward_rejected",
            Self::Review => "reward_taken_into_review",
            Self::Void { .. } => "reward_voided",
        }
    }

    /// The notice for the partner; reviewing and voiding send none.
    fn notice(&self) -> Option<Notice> {
        match self {
            Self::Approve => Some(Notice::RewardApproved),
            Self::Reject { .. } => Some(Notice::RewardRejected),
            Self::Review | Self::Void { .. } => None,
        }
    }

    fn reason(&self) -> (Option<&str>, bool) {
        match self {
            Self::Approve | Self::Review => (None, false),
            Self::Reject { reason, shown } | Self::Void { reason, shown } => (Some(reason.trim()), *shown),
        }
    }
}

/// Decides about one reward.
///
/// # Errors
/// The rule that forbids it, or `precondition_failed` if its version is not `seen`.
pub async fn decide(
    app: &App,
    actor: &Actor,
    id: &str,
    seen: Option<i64>,
    verdict: &Verdict,
    once: Option<&Idempotency<Created>>,
) -> Result<Reward> {
    let now = app.clock.now();
    let decided = transact!(app, |tx| {
        safe_mode::refuse(tx, id).await?;
        let found = rewards::find(tx, id).await?.ok_or(OpsError::Missing)?;
        expect_version(&found, seen)?;
        let briefs = rewards::briefs(tx, &[found.entered.id]).await?;
        let contradicted = contradictions::rewards(tx).await?;
        let (mut allowed, skipped) = judge(briefs.readable, actor, verdict, &contradicted);
        if let Some((_, refusal)) = skipped.into_iter().next() {
            return Err(refusal.into());
        }
        // Voiding a clawback raises what is owed again.
        let clawback = found.entered.entry == Entry::Clawback;
        record(tx, app, actor, verdict, &mut allowed, (clawback, 0, now)).await?;
        let reward = rewards::find(tx, id).await?.ok_or(OpsError::Missing)?;
        let outcome = Created { reward, existed: true, now };
        finish(tx, once, &outcome).await?;
        Ok(outcome.reward)
    })?;
    app.nudge.notify_watchers();
    Ok(decided)
}

/// The rewards to decide about.
#[derive(Clone, Debug)]
pub enum RewardSelection {
    Ids(Vec<RewardId>),
    /// All that match a filter, if their number is still the one the reviewer saw.
    All(Box<Filter>, i64),
}

/// The result of a bulk decision.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct BulkOutcome {
    /// The rewards that were decided.
    pub done: Vec<RewardId>,
    /// The skipped rewards, each with the code of the rule.
    pub skipped: Vec<(RewardId, &'static str)>,
}

impl BulkOutcome {
    fn with(mut self, more: Self) -> Self {
        self.done.extend(more.done);
        self.skipped.extend(more.skipped);
        self
    }
}

/// How often a unit is retried after a concurrent change.
const MOST_TRIES: u32 = 3;
/// How many rewards are decided in one database transaction. It holds locks that others need, so it must be short.
pub const UNIT: usize = 2_000;

/// Decides about many rewards; skips and lists those that the rules forbid. More than one unit are decided unit by unit,
/// and finished units stay if it stops in between.
///
/// # Errors
/// `count_changed` if the filter matches a different number than was seen; then nothing was done.
pub async fn decide_many(
    app: &App,
    actor: &Actor,
    which: &RewardSelection,
    verdict: &Verdict,
    once: Option<&Idempotency<BulkOutcome>>,
) -> Result<BulkOutcome> {
    let done = in_units(app, actor, which, verdict, None, Answer::Done(once)).await?;
    app.nudge.notify_watchers();
    Ok(done)
}

/// A bulk decision that was stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SavedDecision {
    /// Its id.
    pub id: String,
}

/// The same, stored so that the result can be viewed and, for a while, undone; notices wait until that time is over. `list`
/// is the query string of the originating list.
///
/// # Errors
/// As [`decide_many`].
pub async fn decide_and_keep(
    app: &App,
    actor: &Actor,
    which: &RewardSelection,
    verdict: &Verdict,
    list: &str,
    once: Option<&Idempotency<SavedDecision>>,
) -> Result<SavedDecision> {
    let id = format!("dec_{}", payout::ids::encode(payout::ids::fresh(app.clock.now(), app.clock.in_turn())));
    let kept = SavedDecision { id: id.clone() };
    in_units(app, actor, which, verdict, Some((&id, list)), Answer::Kept(once, &kept)).await?;
    app.nudge.notify_watchers();
    Ok(kept)
}

/// The response, stored with the last unit.
#[derive(Clone, Copy)]
enum Answer<'a> {
    Done(Option<&'a Idempotency<BulkOutcome>>),
    Kept(Option<&'a Idempotency<SavedDecision>>, &'a SavedDecision),
}

impl Answer<'_> {
    async fn write(self, tx: &mut Tx, done: &BulkOutcome) -> Result<()> {
        match self {
            Self::Done(once) => finish(tx, once, done).await,
            Self::Kept(once, kept) => finish(tx, once, kept).await,
        }
    }
}

/// Decides about all rewards, in units if there are very many.
async fn in_units(
    app: &App,
    actor: &Actor,
    which: &RewardSelection,
    verdict: &Verdict,
    keep: Option<(&str, &str)>,
    answer: Answer<'_>,
) -> Result<BulkOutcome> {
    let now = app.clock.now();
    let (filter, expected) = match which {
        RewardSelection::All(filter, expected)
            if usize::try_from(*expected).is_ok_and(|many| many > UNIT) =>
        {
            (filter, *expected)
        }
        RewardSelection::All(..) | RewardSelection::Ids(_) => {
            return transact!(app, |tx| {
                let done = decide_all(tx, app, actor, which, verdict, keep).await?;
                answer.write(tx, &done).await?;
                Ok(done)
            });
        }
    };
    let ids = rewards::ids_of(&mut app.store.read().await?, filter, now, expected.saturating_add(1)).await?;
    if i64::try_from(ids.len()).ok() != Some(expected) {
        let found = rewards::count(&mut app.store.read().await?, filter, now).await?;
        return Err(count_changed(expected, usize::try_from(found).unwrap_or(0)));
    }
    let (mut all, units) = (BulkOutcome::default(), ids.len().div_ceil(UNIT));
    for (place, some) in ids.chunks(UNIT).enumerate() {
        let keep = keep.map(|(id, list)| (id, list, place == 0));
        let last = (place + 1 == units).then_some(answer);
        let mut tries = 0;
        let unit = loop {
            let unit = transact!(app, |tx| {
                safe_mode::refuse(tx, "rewards").await?;
                let briefs = rewards::briefs_among(tx, filter, now, some).await?;
                let gone = missing(some, &briefs, "changed_meanwhile");
                let unit = decide_about(tx, app, actor, verdict, (briefs, gone), keep, now).await?;
                if let Some(answer) = last {
                    answer.write(tx, &all.clone().with(unit.clone())).await?;
                }
                Ok(unit)
            });
            match unit {
                // Somebody changed one of them at the same moment: retry with those that are left.
                Err(OpsError::Conflict(_)) if tries < MOST_TRIES => tries += 1,
                unit => break unit?,
            }
        };
        all = all.with(unit);
        app.nudge.notify_watchers();
    }
    Ok(all)
}

type SkippedRewards = Vec<(RewardId, &'static str)>;

/// The requested rewards that were not found.
fn missing(ids: &[RewardId], found: &rewards::Briefs, why: &'static str) -> SkippedRewards {
    let mut known: HashSet<RewardId> = found.readable.iter().map(|brief| brief.id).collect();
    known.extend(&found.unreadable);
    ids.iter().filter(|id| !known.contains(id)).map(|id| (*id, why)).collect()
}

async fn decide_all(
    tx: &mut Tx,
    app: &App,
    actor: &Actor,
    which: &RewardSelection,
    verdict: &Verdict,
    keep: Option<(&str, &str)>,
) -> Result<BulkOutcome> {
    let now = app.clock.now();
    safe_mode::refuse(tx, "rewards").await?;
    let (briefs, unknown) = match which {
        RewardSelection::Ids(ids) => {
            let briefs = rewards::briefs(tx, ids).await?;
            let unknown = missing(ids, &briefs, "not_found");
            (briefs, unknown)
        }
        RewardSelection::All(filter, expected) => {
            // Count before reading: the difference may be a million rows.
            let found = rewards::count(tx, filter, now).await?;
            if found != *expected {
                return Err(count_changed(*expected, usize::try_from(found).unwrap_or(0)));
            }
            let briefs = rewards::briefs_of(tx, filter, now).await?;
            let found = briefs.readable.len() + briefs.unreadable.len();
            if i64::try_from(found).ok() != Some(*expected) {
                return Err(count_changed(*expected, found));
            }
            (briefs, Vec::new())
        }
    };
    let keep = keep.map(|(id, list)| (id, list, true));
    decide_about(tx, app, actor, verdict, (briefs, unknown), keep, now).await
}

/// Decides about the rewards that were read; `keep` names the decision to store them under, and whether this is its first
/// unit. All units of a decision have the same time, which its undo period counts from.
async fn decide_about(
    tx: &mut Tx,
    app: &App,
    actor: &Actor,
    verdict: &Verdict,
    (briefs, unknown): (rewards::Briefs, SkippedRewards),
    keep: Option<(&str, &str, bool)>,
    now: i64,
) -> Result<BulkOutcome> {
    let unreadable = briefs.unreadable.into_iter().map(|id| (id, "record_unreadable"));
    let contradicted = contradictions::rewards(tx).await?;
    let (mut allowed, refused) = judge(briefs.readable, actor, verdict, &contradicted);
    let refused = refused.into_iter().map(|(id, refusal)| (id, refusal.code)).chain(unreadable);
    let done = BulkOutcome {
        done: allowed.iter().map(|brief| brief.id).collect(),
        skipped: refused.chain(unknown).collect(),
    };
    let told_from = match keep {
        Some((id, list, first)) => {
            write_down(tx, now, actor, verdict, &done, (id, list, first)).await?;
            now.saturating_add(reward::UNDO_US + 1)
        }
        None => 0,
    };
    record(tx, app, actor, verdict, &mut allowed, (false, told_from, now)).await?;
    Ok(done)
}

/// Stores what a decision is about to change.
async fn write_down(
    tx: &mut Tx,
    now: i64,
    actor: &Actor,
    verdict: &Verdict,
    done: &BulkOutcome,
    (id, list, first): (&str, &str, bool),
) -> Result<()> {
    let many = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    if !first {
        if decisions::add(tx, id, many(done.done.len()), many(done.skipped.len())).await? != 1 {
            return Err(changed_meanwhile());
        }
        decisions::keep(tx, id, done.done.iter().copied()).await?;
        decisions::pass_over(tx, id, &done.skipped).await?;
        return Ok(());
    }
    let decision = decisions::Decision {
        id: id.to_owned(),
        verdict: verdict.status(),
        reason: verdict.reason().0.map(str::to_owned),
        at: now,
        by: actor.id.to_string(),
        list: list.to_owned(),
        done: many(done.done.len()),
        skipped: many(done.skipped.len()),
        undone: None,
    };
    decisions::insert(tx, &decision).await?;
    decisions::keep(tx, id, done.done.iter().copied()).await?;
    decisions::pass_over(tx, id, &done.skipped).await?;
    Ok(())
}

fn count_changed(expected: i64, found: usize) -> OpsError {
    OpsError::Conflict(Refusal::new(
        "count_changed",
        format!(
            "You saw {expected} rewards and there are {found} now, so nothing was done. Look again, then retry."
        ),
    ))
}

type Partitioned = (Vec<Brief>, Vec<(RewardId, Refusal)>);

/// Splits the rewards by what the rules allow.
fn judge(
    briefs: Vec<Brief>,
    actor: &Actor,
    verdict: &Verdict,
    contradicted: &HashSet<RewardId>,
) -> Partitioned {
    let (mut allowed, mut refused) = (Vec::new(), Vec::new());
    for brief in briefs {
        let standing = Standing {
            status: brief.status,
            placed: brief.placed,
            ever_approved: brief.ever_approved,
            asked_by_owner: actor.partner == Some(brief.owner),
            contradicted: contradicted.contains(&brief.id),
        };
        match verdict.on(standing) {
            Ok(_) => allowed.push(brief),
            Err(refusal) => refused.push((brief.id, refusal)),
        }
    }
    (allowed, refused)
}

/// Writes the decision set-based: the rewards, the journals, the history and the notices.
async fn record(
    tx: &mut Tx,
    app: &App,
    actor: &Actor,
    verdict: &Verdict,
    briefs: &mut [Brief],
    (clawback, told_from, now): (bool, i64, i64),
) -> Result<()> {
    briefs.sort_by_key(|brief| brief.id);
    let (reason, shown) = verdict.reason();
    let status = verdict.status();
    let decision = Decision {
        status,
        reason: reason.map(str::to_owned),
        reason_shown_at: shown.then_some(now),
        at: now,
        by: actor.id.to_string(),
    };
    let approves = status == RewardStatus::Approved;
    let mut changed = 0;
    for from in RewardStatus::ALL {
        let rows = briefs.iter().filter(|brief| brief.status == *from);
        let rows = rows.map(|brief| (brief.id, brief.version, approves.then(|| held_until(brief))));
        changed += rewards::decide(tx, &decision, *from, rows.collect::<Vec<_>>()).await?;
    }
    if changed != briefs.len() as u64 {
        return Err(changed_meanwhile());
    }
    let entries: Vec<(String, Journal)> = briefs
        .iter()
        .filter_map(|brief| Some((brief.id.to_string(), journal(brief, verdict, clawback)?)))
        .collect();
    ledger::write(tx, now, &app.clock, &entries).await?;
    if let Some(notice) = verdict.notice() {
        let detail = json!({"reason": reason.filter(|_| shown)}).to_string();
        let told = briefs.iter().map(|brief| (notice, brief.id.to_string(), detail.clone()));
        outbox::write_due(tx, &app.clock, now, told_from, told).await?;
    }
    for brief in briefs.iter() {
        let detail = json!({"from": brief.status.as_str(), "reason": reason});
        note(tx, now, actor, verdict.action(), brief.id, detail);
    }
    Ok(())
}

/// The hold period counts from the day the reward was earned, or else from its creation; its length is the program's
/// current one.
fn held_until(brief: &Brief) -> i64 {
    let from = brief.earned_on.as_deref().and_then(start_of_date).unwrap_or(brief.created_at);
    from.saturating_add(brief.hold_days * DAY_US)
}

/// The journal of a decision: approving creates the liability, and taking an approved reward out removes it.
fn journal(brief: &Brief, verdict: &Verdict, clawback: bool) -> Option<Journal> {
    let (payee, money) = owed(brief.payee, brief.worth)?;
    match verdict {
        Verdict::Approve => Some(Journal::approve(payee, money)),
        Verdict::Void { .. } if brief.status == RewardStatus::Approved && clawback => {
            Some(Journal::approve(payee, money))
        }
        Verdict::Void { .. } if brief.status == RewardStatus::Approved => {
            Some(Journal::unapprove(payee, money))
        }
        Verdict::Void { .. } | Verdict::Reject { .. } | Verdict::Review => None,
    }
}
