//! Rewards: creating, editing, deleting and clawing back, one at a time. Reviewing is in [`review`], the gates of a
//! reward in [`gates`], undoing a bulk decision in [`undo`]. Not here: files (`ops::import`), batches and payments.

mod gates;
mod review;
mod undo;

pub use gates::{PoolPage, blockers, in_draft, pool};
pub use review::{
    BulkOutcome, RewardSelection, SavedDecision, UNIT, Verdict, decide, decide_and_keep, decide_many,
};
pub use undo::{UndoOutcome, check_restorable, undo, why_no_undo};

use payout::Refusal;
use payout::external;
use payout::ids::RewardId;
use payout::ledger::{Journal, Payee};
use payout::money::Money;
use payout::reward::{self, Entry, PaymentType, RewardStatus, RewardType, Standing};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::dates::end_of_date;
use super::idempotency::{Idempotency, finish};
use super::partners::referred;
use super::{OpsError, Result, clawbacks, safe_mode, settings};
use crate::app::{Actor, App};
use crate::clock::{self, day};
use crate::store::programs::{self, Activity, Partner, RecordRef, RewardValue};
use crate::store::rewards::{self, Edited, Entered, Reward};
use crate::store::{self, Db, Tx, audit, contradictions, ledger};
use crate::transact;

const DAY_US: i64 = 86_400_000_000;
/// The longest external id, in bytes.
const MOST_OF_AN_ID: usize = 200;

/// A reward as submitted. References are external ids.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Draft {
    /// The caller's id; the same id means the same reward.
    pub external_id: String,
    pub activity: String,
    /// The partner who earned it.
    pub owner: String,
    /// The value; the activity's own value if `None`.
    pub worth: Option<RewardValue>,
    /// Who is paid; the partner if `None`. Points have none.
    pub payment_type: Option<PaymentType>,
    /// The record or form behind it.
    pub form_reference: Option<String>,
    /// The form's fields, as JSON.
    pub form_data: Option<String>,
    pub note: Option<String>,
    /// The date it was earned, `YYYY-MM-DD`.
    pub earned_on: Option<String>,
    /// When it expires and is no longer payable.
    pub expires_at: Option<i64>,
}

impl Draft {
    /// A copy with every id in its normal form.
    ///
    /// # Errors
    /// The id that has invisible characters, is empty or too long.
    pub fn in_normal_form(&self) -> std::result::Result<Self, Refusal> {
        let external_id =
            external::entered(&self.external_id).map_err(|refusal| refusal.at("external_id"))?;
        if external_id.is_empty() || external_id.len() > MOST_OF_AN_ID {
            return Err(Refusal::new("invalid", "An external id must have 1 to 200 bytes.").at("external_id"));
        }
        let activity = referred(&self.activity, "activity")?;
        let owner = referred(&self.owner, "owner")?;
        Ok(Self { external_id, activity, owner, ..self.clone() })
    }

    /// A hash of the whole content, to distinguish a repeat from a different reward under the same id.
    pub fn content_hash(&self) -> String {
        let worth = self.worth.map(|worth| {
            format!("{} {}", worth.minor(), worth.currency().map_or("points", |currency| currency.code()))
        });
        let kind = self.payment_type.unwrap_or(PaymentType::Individual).as_str();
        let parts = [
            Some(self.activity.as_str()),
            Some(self.owner.as_str()),
            worth.as_deref(),
            Some(kind),
            self.form_reference.as_deref(),
            self.form_data.as_deref(),
            self.note.as_deref(),
            self.earned_on.as_deref(),
        ];
        let mut hash = Sha256::new();
        for part in parts {
            // Prefix the length, so that different contents never hash the same bytes.
            hash.update(part.map_or("-".to_owned(), |part| format!("{}:{part}", part.len())));
            hash.update("\n");
        }
        hash.update(format!("{:?}", self.expires_at));
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The reward to store; its number is assigned later.
    ///
    /// # Errors
    /// The field that does not fit the activity.
    pub fn settle(
        &self,
        activity: &Activity,
        owner: &Partner,
        app: &App,
        by: &str,
    ) -> std::result::Result<Entered, Refusal> {
        let now = app.clock.now();
        if self.external_id.is_empty() || self.external_id.len() > MOST_OF_AN_ID {
            let message = "An external id must have 1 to 200 bytes.";
            return Err(Refusal::new("invalid", message).at("external_id"));
        }
        if activity.inactive_at.is_some() {
            let message = "This activity is not active, so it earns nothing. Activate it, or name another.";
            return Err(Refusal::new("activity_inactive", message).at("activity"));
        }
        let earned_at = self.earned_on.as_deref().map(earned_at).transpose()?;
        let cash = activity.reward_type == RewardType::Cash;
        let payment_type = cash.then(|| self.payment_type.unwrap_or(PaymentType::Individual));
        Ok(Entered {
            id: RewardId::fresh(now, app.clock.in_turn()),
            number: 0,
            external_id: self.external_id.clone(),
            content_hash: self.content_hash(),
            program: activity.program.0,
            activity: activity.id,
            owner: owner.id,
            account: owner.account.0,
            reward_type: activity.reward_type,
            payment_type,
            payee: payment_type.map(|kind| match kind {
                PaymentType::Individual => Payee::Partner(owner.id),
                PaymentType::Organization => Payee::Account(owner.account.0),
            }),
            entry: Entry::Earned,
            worth: fitting(self.worth.or(activity.worth), activity.reward_type)?,
            status: RewardStatus::Submitted,
            reason: None,
            form_reference: self.form_reference.clone(),
            form_data: self.form_data.clone(),
            note: self.note.clone(),
            earned_on: self.earned_on.clone(),
            expires_at: self.expires_at,
            held_until: Some(earned_at.unwrap_or(now).saturating_add(activity.hold_days * DAY_US)),
            created_at: now,
            created_by: by.to_owned(),
            decided_at: None,
            decided_by: None,
            first_approved_at: None,
        })
    }
}

/// Whether the hold period was already over when the reward was entered. It counts from the day it was earned, which the
/// person who enters it chooses; reviewers are warned, because the hold gave nobody time to look.
pub fn hold_was_over(of: &Entered) -> bool {
    let earned = of.earned_on.as_deref().and_then(clock::start_of_date);
    let held = earned.zip(of.held_until);
    held.is_some_and(|(earned, until)| earned < until && until <= of.created_at)
}

fn fitting(worth: Option<RewardValue>, kind: RewardType) -> std::result::Result<RewardValue, Refusal> {
    match (worth, kind) {
        (Some(worth @ RewardValue::Cash(_)), RewardType::Cash) => Ok(worth),
        (Some(worth @ RewardValue::Points(_)), RewardType::Points) => Ok(worth),
        (Some(RewardValue::Points(_)), RewardType::Cash) => {
            let message = "This activity earns money; give the value with its currency.";
            Err(Refusal::new("not_points", message).at("value"))
        }
        (Some(RewardValue::Cash(_)), RewardType::Points) => {
            let message = "This activity earns points; give the value as points, without a currency.";
            Err(Refusal::new("not_cash", message).at("value"))
        }
        (None, RewardType::Cash | RewardType::Points) => {
            let message = "This activity has no value of its own, so the reward needs one.";
            Err(Refusal::new("missing", message).at("value"))
        }
    }
}

pub(super) fn earned_at(date: &str) -> std::result::Result<i64, Refusal> {
    let message = "Write the date as year, month and day, like 2026-07-19.";
    day(date, message).map_err(|told| Refusal::new("invalid_date", told).at("earned_on"))
}

/// When a reward with this expiry date stops being payable; `None` for 9999-12-31, which programs write for "never".
///
/// # Errors
/// If it is not a date, or its year is implausible.
pub fn expiry_of(date: &str) -> std::result::Result<Option<i64>, Refusal> {
    if date == "9999-12-31" {
        return Ok(None);
    }
    let end = end_of_date(date)?;
    let year: u32 = date.get(..4).and_then(|year| year.parse().ok()).unwrap_or(0);
    if (2000..2200).contains(&year) {
        return Ok(Some(end));
    }
    let message = "The expiry year must be between 2000 and 2199. For a reward that never expires, leave the date empty or write 9999-12-31.";
    Err(Refusal::new("invalid_date", message).at("expires_on"))
}

/// A created reward, or an existing one with the same content.
#[derive(Clone, Debug)]
pub struct Created {
    pub reward: Reward,
    pub existed: bool,
    pub now: i64,
}

/// Creates a reward.
///
/// # Errors
/// `external_id_conflict` if the id exists with other content; unknown references; values that do not fit.
pub async fn create(
    app: &App,
    actor: &Actor,
    draft: &Draft,
    once: Option<&Idempotency<Created>>,
) -> Result<Created> {
    let now = app.clock.now();
    let draft = &draft.in_normal_form()?;
    transact!(app, |tx| {
        let id = draft.external_id.as_str();
        let existed = is_known(tx, draft).await? || !enter(tx, app, actor, draft).await?;
        // If somebody created the same id in between, compare with that content.
        if existed && !is_known(tx, draft).await? {
            return Err(OpsError::Conflict(external_id_conflict()));
        }
        let reward = rewards::find_external(tx, id).await?.ok_or(OpsError::Missing)?;
        let created = Created { reward, existed, now };
        finish(tx, once, &created).await?;
        Ok(created)
    })
}

/// Whether this reward already exists, with the same content.
async fn is_known(db: &mut Db, draft: &Draft) -> Result<bool> {
    match rewards::known(db, &[&draft.external_id]).await?.remove(&draft.external_id) {
        Some(hash) if hash == draft.content_hash() => Ok(true),
        Some(_) => Err(OpsError::Conflict(external_id_conflict())),
        None => Ok(false),
    }
}

/// Creates it; `false` if its id was taken in the meantime.
async fn enter(tx: &mut Tx, app: &App, actor: &Actor, draft: &Draft) -> Result<bool> {
    let (activity, owner) = references(tx, draft).await?;
    let mut entered = draft.settle(&activity, &owner, app, &actor.id.to_string())?;
    within_most(&settings::load(tx).await?, entered.worth)?;
    entered.number = store::next_numbers(tx, "reward", 1).await?;
    if rewards::insert(tx, std::slice::from_ref(&entered)).await? != 1 {
        return Ok(false);
    }
    let detail = json!({"external_id": draft.external_id});
    note(tx, app.clock.now(), actor, "reward_entered", entered.id, detail);
    Ok(true)
}

/// Checks that the value is within the operator's maximum per reward, and in a current currency.
///
/// # Errors
/// `above_reward_max` or `unknown_currency` at `value`.
pub fn within_most(
    rules: &payout::settings::Settings,
    worth: RewardValue,
) -> std::result::Result<(), Refusal> {
    let RewardValue::Cash(money) = worth else { return Ok(()) };
    if let Some(message) = money.currency.ended() {
        return Err(Refusal::new("unknown_currency", message).at("value"));
    }
    let most = rules.most_per_reward(money.currency);
    if money.minor <= most.minor {
        return Ok(());
    }
    let message = format!(
        "{money} is above the limit for one reward, which is {most}. Check that the value is right and not another number. If it is, an administrator can raise the limit in Payout Settings."
    );
    Err(Refusal::new("above_reward_max", message).at("value"))
}

/// The external id belongs to a reward with other content.
pub fn external_id_conflict() -> Refusal {
    Refusal::new(
        "external_id_conflict",
        "This external id already belongs to a reward with different content, so nothing was entered. Use a new id for a new reward, or edit the existing one.",
    )
}

async fn references(db: &mut Db, draft: &Draft) -> Result<(Activity, Partner)> {
    let activity = programs::activity(db, RecordRef::External(&draft.activity)).await?;
    let owner = programs::partner(db, RecordRef::External(&draft.owner)).await?;
    Ok((activity.ok_or_else(unknown_activity)?, owner.ok_or_else(unknown_owner)?))
}

/// No activity has this external id.
pub fn unknown_activity() -> Refusal {
    Refusal::new("unknown_activity", "There is no activity with this external id; enter it first.")
        .at("activity")
}

/// No partner has this external id.
pub fn unknown_owner() -> Refusal {
    Refusal::new("unknown_partner", "There is no partner with this external id; enter them first.")
        .at("owner")
}

/// The fields of a reward to edit.
#[derive(Clone, Debug, Default)]
pub struct Edit {
    /// Another value of the same kind and currency.
    pub worth: Option<RewardValue>,
    pub reason: Option<Option<String>>,
    pub note: Option<Option<String>>,
    pub expires_at: Option<Option<i64>>,
}

/// Edits a reward. Changing the value of an approved one revokes the approval.
///
/// # Errors
/// 409 while it is in a batch, in flight or paid; `precondition_failed` if its version is not `seen`.
pub async fn edit(app: &App, actor: &Actor, id: &str, seen: Option<i64>, edit: &Edit) -> Result<Reward> {
    let now = app.clock.now();
    let edited = transact!(app, |tx| {
        safe_mode::refuse(tx, id).await?;
        let found = rewards::find(tx, id).await?.ok_or(OpsError::Missing)?;
        expect_version(&found, seen)?;
        let before = &found.entered;
        if before.entry == Entry::Clawback {
            let message = "A clawback cannot be edited. Void it with a reason and enter another.";
            return Err(Refusal::new("clawback", message).into());
        }
        let standing = standing(tx, &found, actor).await?;
        let mut status = before.status;
        let worth = edit.worth.unwrap_or(before.worth);
        // The rule about values also prevents any other edit while it is in a payout.
        let after_value = reward::edit_value(standing)?;
        if worth != before.worth {
            same_kind(worth, before.worth)?;
            within_most(&settings::load(tx).await?, worth)?;
            status = after_value;
        }
        let after = Edited {
            value_minor: worth.minor(),
            status,
            reason: edit.reason.clone().unwrap_or_else(|| before.reason.clone()),
            note: edit.note.clone().unwrap_or_else(|| before.note.clone()),
            expires_at: edit.expires_at.unwrap_or(before.expires_at),
        };
        if !rewards::edit(tx, before.id, found.version, &after).await? {
            return Err(changed_meanwhile());
        }
        if before.status == RewardStatus::Approved
            && status != RewardStatus::Approved
            && let Some((payee, money)) = owed(before.payee, before.worth)
        {
            let entry = (before.id.to_string(), Journal::unapprove(payee, money));
            ledger::write(tx, now, &app.clock, &[entry]).await?;
        }
        let detail = json!({"value_from": before.worth.to_string(), "value_to": worth.to_string(),
            "status_from": before.status.as_str(), "status_to": status.as_str(),
            "before": editable_fields(before.expires_at, before.reason.as_deref(), before.note.as_deref()),
            "after": editable_fields(after.expires_at, after.reason.as_deref(), after.note.as_deref())});
        note(tx, now, actor, "reward_edited", before.id, detail);
        rewards::find(tx, id).await?.ok_or(OpsError::Missing)
    })?;
    app.nudge.notify_watchers();
    Ok(edited)
}

/// The editable fields other than the value, for the audit trail.
fn editable_fields(expires_at: Option<i64>, reason: Option<&str>, note: Option<&str>) -> serde_json::Value {
    json!({"expires": expires_at.map(crate::clock::rfc3339), "reason": reason, "note": note})
}

fn same_kind(new: RewardValue, old: RewardValue) -> std::result::Result<(), Refusal> {
    if new.currency() == old.currency() {
        return Ok(());
    }
    let message = "A reward's currency cannot change. Void it and enter another one in the other currency.";
    Err(Refusal::new("currency_changed", message).at("value.currency"))
}

/// Deletes a reward that was never approved.
///
/// # Errors
/// 409 if it was ever approved, or is in a batch, in flight or paid.
pub async fn delete(app: &App, actor: &Actor, id: &str, seen: Option<i64>) -> Result<()> {
    let now = app.clock.now();
    transact!(app, |tx| {
        safe_mode::refuse(tx, id).await?;
        let found = rewards::find(tx, id).await?.ok_or(OpsError::Missing)?;
        expect_version(&found, seen)?;
        reward::delete(standing(tx, &found, actor).await?)?;
        if !rewards::delete(tx, found.entered.id, found.version).await? {
            return Err(changed_meanwhile());
        }
        let detail = json!({"number": found.number(), "external_id": found.entered.external_id});
        note(tx, now, actor, "reward_deleted", found.entered.id, detail);
        Ok(())
    })?;
    app.nudge.notify_watchers();
    Ok(())
}

/// Claws back what was wrongly paid: creates a reward that the payee's next claim subtracts.
///
/// # Errors
/// If the reward is not paid or is points, or less than `value` is left of it.
pub async fn claw_back(
    app: &App,
    actor: &Actor,
    id: &str,
    value: Money,
    reason: &str,
    once: Option<&Idempotency<Created>>,
) -> Result<Created> {
    let now = app.clock.now();
    let created = transact!(app, |tx| {
        safe_mode::refuse(tx, id).await?;
        let paid = rewards::find(tx, id).await?.ok_or(OpsError::Missing)?;
        let (taken, times) = rewards::clawed_back(tx, paid.entered.id).await?;
        let payee = may_claw_back(&paid, value, taken, reason)?;
        let by = actor.id.to_string();
        let entered = clawback(tx, app, &by, &paid, (value, times), reason.trim()).await?;
        if rewards::insert(tx, std::slice::from_ref(&entered)).await? != 1
            || !rewards::touch(tx, paid.entered.id, paid.version).await?
        {
            return Err(changed_meanwhile());
        }
        // If the approval was revoked before its payment was found to have paid it, the payee already owes the amount.
        if paid.entered.status == RewardStatus::Approved {
            let entry = (entered.id.to_string(), Journal::clawback(payee, value));
            ledger::write(tx, now, &app.clock, &[entry]).await?;
        }
        clawbacks::join(tx, actor, &entered, (payee, value), now).await?;
        let detail =
            json!({"of": paid.entered.id.to_string(), "value": value.to_string(), "reason": reason.trim()});
        note(tx, now, actor, "reward_clawed_back", entered.id, detail);
        let reward = rewards::find(tx, &entered.id.to_string()).await?.ok_or(OpsError::Missing)?;
        let created = Created { reward, existed: false, now };
        finish(tx, once, &created).await?;
        Ok(created)
    })?;
    app.nudge.notify_watchers();
    Ok(created)
}

/// An approved clawback of part of a reward; `times` is the number of earlier ones.
pub(super) async fn clawback(
    tx: &mut Tx,
    app: &App,
    by: &str,
    of: &Reward,
    (value, times): (Money, i64),
    reason: &str,
) -> Result<Entered> {
    let now = app.clock.now();
    let number = store::next_numbers(tx, "reward", 1).await?;
    Ok(Entered {
        id: RewardId::fresh(now, app.clock.in_turn()),
        number,
        external_id: external::of_clawback(&of.number(), times + 1),
        content_hash: String::new(),
        entry: Entry::Clawback,
        worth: RewardValue::Cash(value),
        status: RewardStatus::Approved,
        reason: Some(reason.to_owned()),
        form_reference: Some(of.entered.id.to_string()),
        form_data: None,
        note: None,
        earned_on: None,
        expires_at: None,
        held_until: None,
        created_at: now,
        created_by: by.to_owned(),
        decided_at: Some(now),
        decided_by: Some(by.to_owned()),
        first_approved_at: Some(now),
        ..of.entered.clone()
    })
}

fn may_claw_back(
    paid: &Reward,
    value: Money,
    taken: i64,
    reason: &str,
) -> std::result::Result<Payee, Refusal> {
    let Some((payee, money)) = owed(paid.entered.payee, paid.entered.worth) else {
        return Err(Refusal::new(
            "reward_not_cash",
            "Points are not paid out, so there is nothing to take back.",
        ));
    };
    if paid.paid_at.is_none() || paid.entered.entry == Entry::Clawback {
        let message = "Only a paid reward can be clawed back. Reject, edit or void one that is not paid.";
        return Err(Refusal::new("not_paid", message));
    }
    if reason.trim().is_empty() {
        return Err(
            Refusal::new("reason_required", "Give a reason; it is stored with the clawback.").at("reason")
        );
    }
    if value.currency != money.currency {
        let message = "A clawback must be in the currency that was paid.";
        return Err(Refusal::new("currency_changed", message).at("value.currency"));
    }
    if taken.saturating_add(value.minor) > money.minor {
        let message = "Together with earlier clawbacks, this is more than was paid for the reward.";
        return Err(Refusal::new("too_large", message).at("value.value"));
    }
    Ok(payee)
}

async fn standing(db: &mut Db, reward: &Reward, actor: &Actor) -> Result<Standing> {
    Ok(Standing {
        status: reward.entered.status,
        placed: reward.batch.is_some() || reward.transaction.is_some() || reward.paid_at.is_some(),
        ever_approved: reward.entered.first_approved_at.is_some(),
        asked_by_owner: actor.partner == Some(reward.entered.owner),
        contradicted: contradictions::rewards(db).await?.contains(&reward.entered.id),
    })
}

pub(super) fn changed_meanwhile() -> OpsError {
    OpsError::Conflict(Refusal::new(
        "changed_meanwhile",
        "Somebody else changed this at the same time, so nothing was done. Look again, then retry.",
    ))
}

fn note(tx: &mut Tx, at: i64, actor: &Actor, action: &'static str, id: RewardId, detail: serde_json::Value) {
    let (actor, subject) = (actor.id.to_string(), id.to_string());
    tx.audit(audit::Entry { at, actor, action, subject, detail: detail.to_string() });
}

fn expect_version(reward: &Reward, seen: Option<i64>) -> Result<()> {
    if seen.is_some_and(|seen| seen != reward.version) { Err(settings::stale()) } else { Ok(()) }
}

pub(super) fn owed(payee: Option<Payee>, worth: RewardValue) -> Option<(Payee, Money)> {
    match worth {
        RewardValue::Cash(money) => payee.map(|payee| (payee, money)),
        RewardValue::Points(_) => None,
    }
}
