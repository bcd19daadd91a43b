//! Preparing a batch: forming, changing, viewing, releasing and deleting it.
//!
//! While the batch is a draft, claims are computed from its rewards; after Pay they are its transactions. Paying is
//! `ops::pay`; decisions about single claims are `ops::claims`.

pub mod entered;
mod paid;
pub mod view;

use std::collections::{BTreeMap, BTreeSet};

use payout::Refusal;
use payout::access::Permission;
use payout::batch::{self, BatchStatus, Claim};
use payout::eligibility::{self, Blocker, Code};
use payout::ids::{BatchId, RewardId};
use payout::ledger::Payee;
use payout::money::{Currency, Money, Sum};
use payout::notice::Notice;
use payout::payee::Destination;

use super::audit::{batch_changed, changed_meanwhile, note, note_rewards};
use super::gates::{Amounts, Gates, of_reward};
use super::idempotency::Idempotency;
use super::skipped;
use super::{OpsError, Result, clawbacks, idempotency, limits, people, settings};
use crate::app::{Actor, App};
use crate::store;
use crate::store::batches::{self, Batch, Candidate, CandidateSource, PoolFilter};
use crate::store::{Db, Tx, payees};
use crate::transact;
use view::{BatchView, ClaimView};

/// The draft that a verb changes.
#[derive(Clone, Copy, Debug)]
pub struct Draft {
    pub id: BatchId,
    /// The version the caller has seen, if given.
    pub version: Option<i64>,
}

impl From<BatchId> for Draft {
    fn from(id: BatchId) -> Self {
        Self { id, version: None }
    }
}

fn by_claim(candidates: Vec<Candidate>) -> BTreeMap<(Payee, Currency), Vec<Candidate>> {
    let mut groups: BTreeMap<(Payee, Currency), Vec<Candidate>> = BTreeMap::new();
    for candidate in candidates {
        if let (Some(payee), Some(adds)) = (candidate.payee, candidate.adds) {
            groups.entry((payee, adds.currency)).or_default().push(candidate);
        }
    }
    groups
}

/// The sum of the rewards, in a type wide enough for any number of them.
pub fn sum<'a>(candidates: impl IntoIterator<Item = &'a Candidate>, currency: Currency) -> Sum {
    let adds = candidates.into_iter().filter_map(|candidate| candidate.adds);
    Sum::new(adds.map(|money| i128::from(money.minor)).sum(), currency)
}

/// The total of a claim, if it fits in one payment.
fn payable_sum<'a>(rewards: impl IntoIterator<Item = &'a Candidate>, currency: Currency) -> Option<Money> {
    sum(rewards, currency).money().filter(|money| money.minor <= Money::MAX_MINOR)
}

/// A batch with everything computed from it, as of `now`.
///
/// # Errors
/// [`OpsError::Missing`] if there is no such batch.
pub async fn view(db: &mut Db, id_or_number: &str, now: i64) -> Result<BatchView> {
    let batch = batches::find(db, id_or_number).await?;
    if batch.paid.is_some() {
        return paid::view(db, batch).await;
    }
    let mut view = view_draft(db, batch, now).await?;
    for crossing in view::crossings(db, &view, now).await? {
        let mut claims = view.claims.iter_mut();
        let is_it = |claim: &&mut ClaimView| {
            claim.payee == crossing.payee && claim.total.currency == crossing.line.currency
        };
        if let Some(claim) = claims.find(is_it) {
            claim.crossing = Some(crossing);
        }
    }
    Ok(view)
}

/// The status of a batch, and its totals by currency.
pub type StatusAndTotals = (BatchStatus, Vec<Sum>);

/// The status and totals of each of these batches, in the same order.
pub async fn standings(db: &mut Db, of: &[Batch]) -> Result<Vec<StatusAndTotals>> {
    let (paid, drafts): (Vec<&Batch>, Vec<&Batch>) = of.iter().partition(|one| one.paid.is_some());
    let ids = |some: &[&Batch]| some.iter().map(|one| one.id).collect::<Vec<_>>();
    let mut known = batches::paid(db, &ids(&paid)).await?;
    let mut held = batches::held(db, &ids(&drafts)).await?;
    let sums = |of: BTreeMap<Currency, i128>| -> Vec<Sum> {
        of.into_iter().map(|(currency, minor)| Sum::new(minor, currency)).collect()
    };
    let standing = |batch: &Batch| match batch.paid {
        Some(_) => {
            let (states, of) = known.remove(&batch.id).unwrap_or_default();
            (payout::batch::status_after_pay(states), sums(of))
        }
        None => (before_pay(batch), sums(held.remove(&batch.id).unwrap_or_default())),
    };
    Ok(of.iter().map(standing).collect())
}

/// The status of a batch that has not been paid.
fn before_pay(batch: &Batch) -> BatchStatus {
    match (batch.deleted_at, batch.release_asked_at, &batch.released) {
        (Some(_), _, _) => BatchStatus::Deleted,
        (None, Some(_), None) => BatchStatus::AwaitingRelease,
        (None, _, _) => BatchStatus::Draft,
    }
}

/// The draft's claims with all their blockers.
pub(super) async fn view_draft(db: &mut Db, batch: Batch, now: i64) -> store::Result<BatchView> {
    let held = batches::candidates(db, CandidateSource::Of(batch.id)).await?;
    let left_out = by_claim(clawbacks::clawbacks_to_add(db, &held).await?);
    let groups = by_claim(held);
    let gates = Gates::read(db, groups.keys().map(|(payee, _)| *payee)).await?;
    let mut gates = gates.within(db, &[batch.id]).await?.in_month_of(db, now).await?;
    let of: Vec<Payee> = groups.keys().map(|(payee, _)| *payee).collect();
    let names = payees::names(db, &of).await?;
    let mut claims = Vec::with_capacity(groups.len());
    for ((payee, currency), rewards) in groups {
        let exact = sum(&rewards, currency);
        let payable = payable_sum(&rewards, currency);
        let total = payable.or(exact.money()).unwrap_or(Money::new(Money::MAX_MINOR, currency));
        let amounts @ Amounts { fee, monthly, net } = gates.amounts(payee, total);
        gates.beside(payee, amounts);
        let overridden = gates.override_of(batch.id, payee, total).cloned();
        let mut blockers = gates.claim(payee, total, net, overridden.is_some(), now);
        if payable.is_none() {
            let note = format!("It totals {exact}.");
            blockers.push(Blocker::new(Code::TotalTooLarge, payee).noting(Some(note)));
        }
        for reward in &rewards {
            let codes = eligibility::reward(&reward.facts, Some(batch.id), now);
            blockers.extend(codes.into_iter().map(|code| of_reward(code, reward.id, &reward.facts)));
        }
        if left_out.contains_key(&(payee, currency)) {
            blockers.push(Blocker::new(Code::ClawbackLeftOut, payee));
        }
        let name = names.get(&payee).map(|named| named.name.clone());
        let blockers = blockers.into_iter().map(|blocker| blocker.called(name.clone())).collect();
        claims.push(ClaimView {
            payee,
            named: names.get(&payee).cloned(),
            destination: gates.destination(payee).cloned(),
            total,
            beyond: exact.money().is_none().then_some(exact),
            fee,
            monthly,
            net,
            reward_count: rewards.len(),
            rewards: rewards.iter().map(|r| (r.id, r.number, r.adds.map_or(0, |adds| adds.minor))).collect(),
            blockers,
            overridden,
            crossing: None,
        });
    }
    let told: Vec<Claim> = claims.iter().map(as_claim).collect();
    let digest = batch::digest(batch.id, &told);
    let totals = totals(&claims);
    let blockers = batch_blockers(db, &batch, &gates, &claims, &digest, now).await?;
    let status = before_pay(&batch);
    Ok(BatchView { totals, batch, status, claims, blockers, digest, unreadable: Vec::new() })
}

/// The totals of a batch, one per currency, never across; by currency code.
fn totals(claims: &[ClaimView]) -> Vec<Sum> {
    let mut sums = BTreeMap::<Currency, i128>::new();
    for claim in claims {
        *sums.entry(claim.total.currency).or_default() += claim.exact().minor;
    }
    sums.into_iter().map(|(currency, minor)| Sum::new(minor, currency)).collect()
}

fn as_claim(claim: &ClaimView) -> Claim {
    Claim {
        payee: claim.payee,
        total: claim.total,
        net: claim.net,
        vendor: claim.vendor(),
        fingerprint: claim.destination.as_ref().map(Destination::fingerprint),
        overridden: claim.overridden.as_ref().map(|one| one.reason.clone()),
        rewards: claim.rewards.iter().map(|(id, _, minor)| (*id, *minor)).collect(),
    }
}

/// The gates that are closed for every payout, regardless of its contents.
pub async fn closed_for_all(db: &mut Db) -> store::Result<Vec<Code>> {
    let mut codes = Vec::new();
    if !super::settings::load(db).await?.enabled {
        codes.push(Code::ModuleDisabled);
    }
    if super::safe_mode::on(db).await? {
        codes.push(Code::SafeMode);
    }
    if super::brake::on(db).await? {
        codes.push(Code::BooksDoNotBalance);
    }
    Ok(codes)
}

async fn batch_blockers(
    db: &mut Db,
    batch: &Batch,
    gates: &Gates,
    claims: &[ClaimView],
    digest: &str,
    now: i64,
) -> store::Result<Vec<Blocker>> {
    let mut codes = Vec::new();
    if claims.is_empty() {
        codes.push(Code::BatchEmpty);
    }
    let closed_for_all = closed_for_all(db).await?;
    codes.extend(closed_for_all.iter().filter(|code| **code == Code::ModuleDisabled));
    if gates.settings.two_person_release && !release_holds(db, batch, digest, now).await? {
        codes.push(Code::ReleaseNeedsOtherPerson);
    }
    codes.extend(closed_for_all.iter().filter(|code| **code != Code::ModuleDisabled));
    let number = || Some(batch.number.clone());
    let mut blockers: Vec<Blocker> =
        codes.into_iter().map(|code| Blocker::new(code, batch.id).called(number())).collect();
    let sums = view::sums(claims);
    blockers.extend(limits::closed(db, &gates.settings, batch.id, &sums, None, now).await?);
    Ok(blockers)
}

/// How long a release stays valid: facts may have come to light since the payout was reviewed.
const RELEASE_HOLDS_US: i64 = 24 * 3_600_000_000;

/// Whether a release is still valid: it is for exactly this digest, less than a day old, by somebody who may still release,
/// and who has not entered a destination in it since.
async fn release_holds(db: &mut Db, batch: &Batch, digest: &str, now: i64) -> store::Result<bool> {
    match &batch.released {
        Some((by, of, at)) if of == digest && now - at < RELEASE_HOLDS_US => {
            Ok(store::people::may_still(db, by, Permission::Pay, now).await?
                && entered::own_entry(db, batch.id, by, now).await?.is_none())
        }
        Some(_) | None => Ok(false),
    }
}

/// What to put into a batch.
#[derive(Clone, Debug)]
pub enum Selection {
    /// Exactly these, all or nothing.
    Named(Vec<RewardId>),
    /// Everything in the pool that passes every gate.
    AllEligible(PoolFilter),
}

/// Forms a batch, or adds to the open draft unless `new` asks for another.
///
/// # Errors
/// [`OpsError::Blocked`] if a named reward cannot be in a batch; then nothing is created.
pub async fn form(
    app: &App,
    actor: &Actor,
    choose: &Selection,
    new: bool,
    once: Option<&Idempotency<BatchView>>,
) -> Result<BatchView> {
    transact!(app, |tx| {
        let draft = if new { None } else { batches::open_draft(tx).await? };
        let id = match draft {
            Some(draft) => draft.id,
            None => open_new(tx, app, actor).await?,
        };
        add_to(tx, app, actor, id.into(), choose).await?;
        answer(tx, app, id, once).await
    })
}

async fn open_new(tx: &mut Tx, app: &App, actor: &Actor) -> Result<BatchId> {
    let now = app.clock.now();
    let id = BatchId::fresh(now, app.clock.in_turn());
    let year = crate::clock::date(now).chars().take(4).collect::<String>();
    let number = store::next_numbers(tx, &format!("batch:{year}"), 1).await?;
    batches::insert(tx, id, &format!("PB-{year}-{number:04}"), &actor.id.to_string(), now).await?;
    Ok(id)
}

/// Adds rewards to a draft.
///
/// # Errors
/// As [`form`]; [`OpsError::Conflict`] if the batch is no longer a draft.
pub async fn add(
    app: &App,
    actor: &Actor,
    draft: impl Into<Draft>,
    choose: &Selection,
    once: Option<&Idempotency<BatchView>>,
) -> Result<BatchView> {
    let draft = draft.into();
    transact!(app, |tx| {
        add_to(tx, app, actor, draft, choose).await?;
        answer(tx, app, draft.id, once).await
    })
}

async fn add_to(tx: &mut Tx, app: &App, actor: &Actor, draft: Draft, choose: &Selection) -> Result<()> {
    let (id, now) = (draft.id, app.clock.now());
    take_draft(tx, actor, draft, now).await?;
    let mut chosen = match choose {
        Selection::Named(ids) => named(tx, ids, now).await?,
        Selection::AllEligible(filter) => eligible(tx, id, filter, now).await?,
    };
    // A payee's clawbacks come off the claim even if they were not named, including claims that the draft already holds.
    let mut touched = batches::candidates(tx, CandidateSource::Of(id)).await?;
    touched.extend(chosen.iter().cloned());
    let joining = clawbacks::clawbacks_to_add(tx, &touched).await?;
    touched.extend(joining.iter().cloned());
    chosen.extend(joining);
    within_what_can_be_paid(touched)?;
    clawbacks::out_of_other_drafts(tx, actor, id, &chosen, now).await?;
    let rewards: Vec<RewardId> = chosen.iter().map(|candidate| candidate.id).collect();
    let taken = batches::put_in(tx, id, &rewards).await?;
    if taken != rewards.len() as u64 {
        return Err(changed_meanwhile());
    }
    let numbers = chosen.iter().map(|candidate| candidate.number).collect();
    note_rewards(tx, actor, now, "batch_rewards_added", id, numbers);
    Ok(())
}

/// Checks that no claim and no currency total exceeds the maximum of one payment. Otherwise nobody could press Pay.
fn within_what_can_be_paid(rewards: Vec<Candidate>) -> Result<()> {
    let mut sums: BTreeMap<Currency, i128> = BTreeMap::new();
    for ((_, currency), of_claim) in by_claim(rewards) {
        let claim = sum(&of_claim, currency);
        let total = sums.entry(currency).or_default();
        *total += claim.minor;
        let largest = claim.minor.max(*total);
        if largest > i128::from(Money::MAX_MINOR) {
            let message = format!(
                "With these rewards the payout would total {}, which is more than Bursar can pay at once, so nothing was added. Add fewer of them, and check whether one of their values is a mistake.",
                Sum::new(largest, currency)
            );
            return Err(Refusal::new(Code::TotalTooLarge.as_str(), message).at("rewards").into());
        }
    }
    Ok(())
}

/// The named rewards, each of which must exist and pass its own gates.
async fn named(tx: &mut Tx, ids: &[RewardId], now: i64) -> Result<Vec<Candidate>> {
    let unique: BTreeSet<RewardId> = ids.iter().copied().collect();
    let ids: Vec<RewardId> = unique.into_iter().collect();
    let found = batches::candidates(tx, CandidateSource::Named(&ids)).await?;
    let known: BTreeSet<RewardId> = found.iter().map(|candidate| candidate.id).collect();
    if let Some(unknown) = ids.iter().find(|id| !known.contains(id)) {
        let sentence = format!("There is no reward {unknown}, so nothing was added. Check the id.");
        return Err(Refusal::new("unknown_reward", sentence).at("rewards").into());
    }
    let blockers: Vec<Blocker> = found
        .iter()
        .flat_map(|candidate| {
            let codes = eligibility::reward(&candidate.facts, None, now);
            codes.into_iter().map(|code| of_reward(code, candidate.id, &candidate.facts))
        })
        .collect();
    if blockers.is_empty() { Ok(found) } else { Err(OpsError::Blocked(blockers)) }
}

/// The rewards of the pool that pass every gate, including the gates of their claim. A claim includes what the draft
/// already holds of it.
async fn eligible(db: &mut Db, draft: BatchId, filter: &PoolFilter, now: i64) -> Result<Vec<Candidate>> {
    let mut pool = batches::candidates(db, CandidateSource::Pool(filter)).await?;
    pool.retain(|candidate| eligibility::reward(&candidate.facts, None, now).is_empty());
    pool.extend(clawbacks::clawbacks_to_add(db, &pool).await?);
    let held = by_claim(batches::candidates(db, CandidateSource::Of(draft)).await?);
    let groups = by_claim(pool);
    let mut gates =
        Gates::read(db, groups.keys().map(|(payee, _)| *payee)).await?.in_month_of(db, now).await?;
    let mut chosen = Vec::new();
    for ((payee, currency), rewards) in groups {
        let already = held.get(&(payee, currency)).into_iter().flatten();
        let Some(total) = payable_sum(rewards.iter().chain(already), currency) else { continue };
        let amounts = gates.amounts(payee, total);
        if gates.claim(payee, total, amounts.net, false, now).is_empty() {
            gates.beside(payee, amounts);
            chosen.extend(rewards);
        }
    }
    Ok(chosen)
}

/// The rewards to remove from a draft, with the clawbacks that must leave with them, or why that is not possible. A
/// clawback stays while its claim holds rewards, and leaves with the last of them, because then there is nothing left to
/// deduct it from.
async fn out_of(tx: &mut Tx, draft: BatchId, rewards: &[RewardId]) -> Result<Vec<RewardId>> {
    let leaving: BTreeSet<RewardId> = rewards.iter().copied().collect();
    let mut out = rewards.to_vec();
    for of_claim in by_claim(batches::candidates(tx, CandidateSource::Of(draft)).await?).into_values() {
        let (clawbacks, earned): (Vec<_>, Vec<_>) = of_claim.iter().partition(|one| one.takes_off());
        let leaves = |one: &&Candidate| leaving.contains(&one.id);
        if earned.iter().all(leaves) {
            // A claim of clawbacks alone can be taken apart freely.
            let with_them = clawbacks.iter().filter(|one| !earned.is_empty() && !leaving.contains(&one.id));
            out.extend(with_them.map(|one| one.id));
        } else if let Some(clawback) = clawbacks.iter().find(|one| leaves(one)) {
            let message = format!(
                "RW-{:06} is a clawback, which is deducted from the payee's claim as long as the payout holds rewards of that claim. Nothing was taken out. Take out the whole claim.",
                clawback.number
            );
            return Err(OpsError::Conflict(Refusal::new("clawback_stays", message)));
        }
    }
    Ok(out)
}

/// Removes rewards from a draft; they return to the pool.
///
/// # Errors
/// [`OpsError::Conflict`] if the batch is no longer a draft.
pub async fn remove(
    app: &App,
    actor: &Actor,
    draft: impl Into<Draft>,
    rewards: &[RewardId],
    once: Option<&Idempotency<BatchView>>,
) -> Result<BatchView> {
    let draft = draft.into();
    transact!(app, |tx| {
        let (id, now) = (draft.id, app.clock.now());
        super::safe_mode::refuse(tx, id).await?;
        take_draft(tx, actor, draft, now).await?;
        let rewards = out_of(tx, id, rewards).await?;
        let taken = batches::take_out(tx, id, &rewards).await?;
        note_rewards(tx, actor, now, "batch_rewards_removed", id, taken);
        answer(tx, app, id, once).await
    })
}

/// Removes the rewards of every blocked claim from a draft. The claims and their blockers are kept in their payees'
/// history.
///
/// # Errors
/// As [`remove`].
pub async fn remove_blocked(
    app: &App,
    actor: &Actor,
    draft: impl Into<Draft>,
    once: Option<&Idempotency<BatchView>>,
) -> Result<BatchView> {
    let draft = draft.into();
    transact!(app, |tx| {
        let (id, now) = (draft.id, app.clock.now());
        super::safe_mode::refuse(tx, id).await?;
        take_draft(tx, actor, draft, now).await?;
        let known = batches::find(tx, &id.to_string()).await?;
        let view = view_draft(tx, known, now).await?;
        skipped::note_skipped(tx, &view, now).await?;
        let blocked = view.claims.iter().filter(|claim| !claim.blockers.is_empty());
        let rewards: Vec<RewardId> =
            blocked.flat_map(|claim| claim.rewards.iter().map(|(id, ..)| *id)).collect();
        let taken = batches::take_out(tx, id, &rewards).await?;
        note_rewards(tx, actor, now, "batch_blocked_removed", id, taken);
        answer(tx, app, id, once).await
    })
}

/// Deletes a payout before Pay; every reward returns to the pool.
///
/// # Errors
/// [`OpsError::Conflict`] after Pay: exactly one of Pay and Delete wins.
pub async fn delete(app: &App, actor: &Actor, draft: impl Into<Draft>) -> Result<u64> {
    let draft = draft.into();
    transact!(app, |tx| {
        let (id, now) = (draft.id, app.clock.now());
        batches::lock_draft(tx, id).await?;
        let known = batches::find(tx, &id.to_string()).await?;
        same_version(draft, known.version)?;
        super::safe_mode::refuse(tx, id).await?;
        if !batches::mark_deleted(tx, id, now).await? {
            return Err(no_draft(&known));
        }
        let freed = batches::empty(tx, id).await?;
        store::shown::forget(tx, id).await?;
        let count = freed.len() as u64;
        note_rewards(tx, actor, now, "batch_deleted", id, freed);
        Ok(count)
    })
}

/// Asks another person for the release.
///
/// # Errors
/// [`OpsError::Conflict`] if the batch is no longer a draft.
pub async fn ask_release(app: &App, actor: &Actor, id: BatchId) -> Result<()> {
    transact!(app, |tx| {
        let now = app.clock.now();
        if !batches::mark_release_asked(tx, id, &actor.id.to_string(), now).await? {
            let known = batches::find(tx, &id.to_string()).await?;
            return Err(no_draft(&known));
        }
        note(tx, actor, now, "batch_release_asked", id, 0);
        let notice = (Notice::ReleaseRequested, id.to_string(), "{}".to_owned());
        store::outbox::write(tx, &app.clock, now, [notice]).await?;
        Ok(())
    })
}

/// The two-person rule: somebody who has not changed the batch since it was formed, and has not entered a destination that it
/// would be the first to pay, releases exactly what they were shown.
///
/// # Errors
/// [`OpsError::Blocked`] if they did either; [`OpsError::Conflict`] if the batch differs from what was shown.
pub async fn release(
    app: &App,
    actor: &Actor,
    draft: impl Into<Draft>,
    digest: &str,
    once: Option<&Idempotency<BatchView>>,
) -> Result<BatchView> {
    let seen = draft.into();
    transact!(app, |tx| {
        let (id, now) = (seen.id, app.clock.now());
        let me = actor.id.to_string();
        if !batches::lock_draft(tx, id).await? {
            let known = batches::find(tx, &id.to_string()).await?;
            return Err(no_draft(&known));
        }
        let draft = batches::find(tx, &id.to_string()).await?;
        same_version(seen, draft.version)?;
        if let Some(why) = not_the_other(tx, id, &me, now).await? {
            return Err(OpsError::Blocked(vec![why]));
        }
        let view = view_draft(tx, draft, now).await?;
        if view.digest != digest {
            return Err(batch_changed(
                "The batch was changed after it was shown, so it was not released. Look at it again.",
            ));
        }
        batches::mark_released(tx, id, &me, digest, now).await?;
        note(tx, actor, now, "batch_released", id, 0);
        answer(tx, app, id, once).await
    })
}

/// Why somebody cannot be the second person who releases a batch; `None` if they can.
pub async fn not_the_other(db: &mut Db, id: BatchId, who: &str, now: i64) -> store::Result<Option<Blocker>> {
    let blocker = Blocker::new(Code::ReleaseNeedsOtherPerson, id);
    if let Some(why) = people::not_counted(store::people::counts(db, who, now).await?) {
        return Ok(Some(blocker.noting(Some(why))));
    }
    if batches::is_contributor(db, id, who, now).await? && !payout::planted::on("preparer_releases") {
        return Ok(Some(blocker));
    }
    Ok(entered::own_entry(db, id, who, now).await?.map(|why| blocker.noting(Some(why))))
}

/// The batch after a change, stored as the response to an idempotent request in the same transaction.
pub(super) async fn answer(
    tx: &mut Tx,
    app: &App,
    id: BatchId,
    once: Option<&Idempotency<BatchView>>,
) -> Result<BatchView> {
    let shown = view(tx, &id.to_string(), app.clock.now()).await?;
    idempotency::finish(tx, once, &shown).await?;
    Ok(shown)
}

/// Locks the draft for a change until the transaction ends, if it is still at the version the caller saw.
pub(super) async fn take_draft(tx: &mut Tx, actor: &Actor, draft: Draft, now: i64) -> Result<()> {
    let taken = batches::take_draft(tx, draft.id, &actor.id.to_string(), now).await?;
    let known = batches::find(tx, &draft.id.to_string()).await?;
    same_version(draft, known.version - i64::from(taken))?;
    if taken { Ok(()) } else { Err(no_draft(&known)) }
}

fn same_version(draft: Draft, version: i64) -> Result<()> {
    if draft.version.is_none_or(|seen| seen == version) { Ok(()) } else { Err(settings::stale()) }
}

/// Why a batch is no longer a draft.
pub(super) fn no_draft(batch: &Batch) -> OpsError {
    let refusal = if batch.deleted_at.is_some() {
        Refusal::new(
            "batch_deleted",
            format!("{} was deleted and its rewards are back in the pool.", batch.number),
        )
    } else {
        let sentence = format!(
            "{} {} It is {}.",
            Code::AlreadyPaying.message(),
            Code::AlreadyPaying.remedy(),
            batch.number
        );
        Refusal::new(Code::AlreadyPaying.as_str(), sentence)
    };
    OpsError::Conflict(refusal)
}

/// The pool's approved rewards: those that can be added now, and those that cannot, with their blockers.
pub async fn pool_blockers(
    db: &mut Db,
    filter: &PoolFilter,
    now: i64,
) -> Result<(Vec<Candidate>, Vec<(Candidate, Vec<Blocker>)>)> {
    let pool = batches::candidates(db, CandidateSource::Pool(filter)).await?;
    let beside = by_claim(clawbacks::clawbacks_to_add(db, &pool).await?);
    let groups = by_claim(pool);
    let gates = Gates::read(db, groups.keys().map(|(payee, _)| *payee)).await?.in_month_of(db, now).await?;
    let (mut open, mut blocked) = (Vec::new(), Vec::new());
    for ((payee, currency), rewards) in groups {
        // A clawback that the filter hides still comes off the claim.
        let all = || rewards.iter().chain(beside.get(&(payee, currency)).into_iter().flatten());
        let of_claim = match payable_sum(all(), currency) {
            Some(total) => {
                let net = gates.amounts(payee, total).net;
                gates.claim(payee, total, net, false, now)
            }
            None => {
                let note = format!("It totals {}.", sum(all(), currency));
                vec![Blocker::new(Code::TotalTooLarge, payee).noting(Some(note))]
            }
        };
        for reward in rewards {
            let own = eligibility::reward(&reward.facts, None, now);
            let mut blockers: Vec<Blocker> =
                own.into_iter().map(|code| of_reward(code, reward.id, &reward.facts)).collect();
            blockers.extend(of_claim.iter().cloned());
            if blockers.is_empty() { open.push(reward) } else { blocked.push((reward, blockers)) }
        }
    }
    Ok((open, blocked))
}
