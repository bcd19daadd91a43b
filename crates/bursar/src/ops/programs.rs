//! Programs and reward activities, created and changed under the caller's external ids.

use payout::Refusal;
use payout::ids::{ActivityId, ProgramId};
use payout::reward::RewardType;
use serde_json::json;

use super::Result;
use super::partners::{check_email, filled, new_or_known, note, referred, saved_as};
use super::settings::lowering;
use crate::app::{Actor, App};
use crate::store::programs::{self, Activity, Program, RecordRef, RewardValue};
use crate::transact;

/// Ten years: longer than any program's hold period.
const MOST_HOLD_DAYS: i64 = 3_650;

/// Creates or changes the program with external id `name`, or changes the one with that id of ours. `change` maps the
/// current program, if any, to the new one. Returns whether it was created.
///
/// # Errors
/// The first invalid field; `type_conflict` if rewards of the other type exist.
pub async fn save_program(
    app: &App,
    actor: &Actor,
    name: &str,
    change: impl Fn(Option<Program>, ProgramId) -> std::result::Result<Program, Refusal> + Send + Sync,
) -> Result<(Program, bool)> {
    let name = saved_as(name)?;
    let now = app.clock.now();
    let fresh = ProgramId::fresh(now, app.clock.in_turn());
    transact!(app, |tx| {
        let found = programs::program(tx, RecordRef::Either(&name)).await?;
        new_or_known(&name, found.is_some())?;
        let known_as = found.map_or_else(|| name.clone(), |found| found.external_id);
        programs::lock_programs(tx, &[known_as]).await?;
        let before = programs::program(tx, RecordRef::Either(&name)).await?;
        let mut after = change(before.clone(), fresh)?;
        after.external_id = before.as_ref().map_or_else(|| name.clone(), |before| before.external_id.clone());
        filled(&after.name, "name")?;
        check_email(after.manager_email.as_deref(), "manager_email")?;
        if !(0..=MOST_HOLD_DAYS).contains(&after.hold_days) {
            let message = "The hold period must be 0 to 3650 days.";
            return Err(Refusal::new("invalid", message).at("hold_days").into());
        }
        match &before {
            Some(before) if after.hold_days < before.hold_days => {
                lowering::by_people(tx, actor, "shorten a program's hold period").await?;
            }
            // An API key could move its activities into the new program, which would pay as early as a shorter hold.
            None if after.hold_days < programs::longest_hold(tx).await? => {
                lowering::by_people(
                    tx,
                    actor,
                    "make a program that holds rewards for a shorter time than another",
                )
                .await?;
            }
            Some(_) | None => {}
        }
        let other_type = before.as_ref().is_some_and(|before| before.reward_type != after.reward_type);
        if other_type && programs::has_rewards(tx, after.id).await? {
            let message =
                "This program already has rewards, so its type cannot change. Create another program.";
            return Err(Refusal::new("type_conflict", message).into());
        }
        after.updated_at = now;
        programs::save_program(tx, &after).await?;
        let told = |it: &Program| {
            json!({"name": it.name, "type": it.reward_type.as_str(), "manager": it.manager_email,
                   "hold_days": it.hold_days})
        };
        let before_told = before.as_ref().map_or_else(|| json!({}), told);
        let detail = json!({"external_id": after.external_id, "before": before_told, "after": told(&after)});
        note(tx, now, actor, "program_saved", &after.id.to_string(), &detail);
        Ok((after, before.is_none()))
    })
}

/// Creates or changes the activity with external id `name`, or changes the one with that id of ours. `change` maps the
/// current activity, if any, to the new one, whose program is given by external id. Returns whether it was created.
///
/// # Errors
/// The first invalid field, including a value of the wrong type.
pub async fn save_activity(
    app: &App,
    actor: &Actor,
    name: &str,
    change: impl Fn(Option<Activity>, ActivityId) -> std::result::Result<Activity, Refusal> + Send + Sync,
) -> Result<(Activity, bool)> {
    let name = saved_as(name)?;
    let now = app.clock.now();
    let fresh = ActivityId::fresh(now, app.clock.in_turn());
    transact!(app, |tx| {
        let found = programs::activity(tx, RecordRef::Either(&name)).await?;
        new_or_known(&name, found.is_some())?;
        let known_as = found.map_or_else(|| name.clone(), |found| found.external_id);
        programs::lock_activities(tx, &[known_as]).await?;
        let before = programs::activity(tx, RecordRef::Either(&name)).await?;
        let mut after = change(before.clone(), fresh)?;
        after.external_id = before.as_ref().map_or_else(|| name.clone(), |before| before.external_id.clone());
        filled(&after.name, "name")?;
        let same = before.as_ref().filter(|before| before.program.1 == after.program.1);
        let named = match same {
            // Keep the same program, and not another with a similar external id.
            Some(before) => before.program.0.to_string(),
            None => referred(&after.program.1, "program")?,
        };
        let program = programs::program(tx, RecordRef::Either(&named)).await?;
        let unknown =
            || Refusal::new("unknown_program", "There is no program with this external id.").at("program");
        let program = program.ok_or_else(unknown)?;
        after.program = (program.id, program.external_id.clone());
        after.reward_type = program.reward_type;
        after.hold_days = program.hold_days;
        check_worth(after.worth, program.reward_type)?;
        // This lets rewards be paid earlier, like shortening the hold.
        if before.as_ref().is_some_and(|before| after.hold_days < before.hold_days) {
            lowering::by_people(tx, actor, "move an activity to a program with a shorter hold period")
                .await?;
        }
        after.updated_at = now;
        programs::save_activity(tx, &after).await?;
        let told = |it: &Activity| {
            let value = it.worth.map(|worth| match worth {
                RewardValue::Cash(money) => money.to_string(),
                RewardValue::Points(points) => format!("{points} points"),
            });
            json!({"name": it.name, "program": it.program.1, "value": value, "active": it.inactive_at.is_none()})
        };
        let before_told = before.as_ref().map_or_else(|| json!({}), told);
        let detail = json!({"external_id": after.external_id, "before": before_told, "after": told(&after)});
        note(tx, now, actor, "activity_saved", &after.id.to_string(), &detail);
        Ok((after, before.is_none()))
    })
}

fn check_worth(worth: Option<RewardValue>, kind: RewardType) -> std::result::Result<(), Refusal> {
    match (worth, kind) {
        (None, _)
        | (Some(RewardValue::Cash(_)), RewardType::Cash)
        | (Some(RewardValue::Points(_)), RewardType::Points) => Ok(()),
        (Some(RewardValue::Points(_)), RewardType::Cash) => {
            Err(Refusal::new("not_points", "This program gives money; give the value with its currency.")
                .at("value"))
        }
        (Some(RewardValue::Cash(_)), RewardType::Points) => {
            Err(Refusal::new("not_cash", "This program gives points; give the value as points.").at("value"))
        }
    }
}
