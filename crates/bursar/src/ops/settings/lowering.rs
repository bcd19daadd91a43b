//! Switching the two-person rule off, or no more requiring a second factor, takes two administrators, or one and a day: what
//! keeps one person from paying cannot be taken away by the same one. What is deliberately not here: switching it on, which
//! anybody who administers may at once.

use payout::Refusal;
use serde::{Deserialize, Serialize};

use crate::app::Actor;
use crate::clock;
use crate::ops::Result;
use crate::store::{Tx, audit, people, settings};

/// What is switched off by two.
pub struct Rule {
    /// Under which name it is kept who asked.
    kept: &'static str,
    /// What the trail calls it that somebody asked.
    action: &'static str,
    /// Which settings it belongs to.
    subject: &'static str,
    /// What stays as it is for now.
    stays: &'static str,
    /// The field of a refusal.
    field: &'static str,
}

/// The two-person rule.
pub const TWO_PERSONS: Rule = Rule {
    kept: "two_person_rule_off",
    action: "two_person_rule_off_asked",
    subject: "settings:payout",
    stays: "The two-person rule stays on for now",
    field: "two_person_release",
};
/// That a second factor is required.
pub const SECOND_FACTOR: Rule = Rule {
    kept: "second_factor_off",
    action: "second_factor_off_asked",
    subject: "settings:sign_in",
    stays: "The second factor stays required for now",
    field: "second_factor",
};
/// After so long the same person may do it alone; who administers has had a day to read of it in the activity log.
const ALONE_AFTER_US: i64 = 24 * 3_600_000_000;
/// What was asked for so long ago is not meant any more.
const FORGOTTEN_AFTER_US: i64 = 7 * 24 * 3_600_000_000;

#[derive(Serialize, Deserialize)]
struct Asked {
    by: String,
    person: String,
    at: i64,
}

/// Why the rule stays on for now: nobody else has asked for the same, and it is no day since this one did. That they ask is
/// written down.
///
/// # Errors
/// When the database does not answer.
pub async fn not_yet(tx: &mut Tx, actor: &Actor, now: i64, rule: &Rule) -> Result<Option<Refusal>> {
    let by = actor.id.to_string();
    let person = people::behind(tx, &by, now).await?;
    let (kept, version) = settings::get(tx, rule.kept).await?.unwrap_or_default();
    let asked = serde_json::from_str::<Option<Asked>>(&kept).ok().flatten();
    let asked = asked.filter(|asked| now - asked.at < FORGOTTEN_AFTER_US);
    let first = match asked {
        Some(asked) => {
            let behind = people::behind(tx, &asked.by, now).await?;
            let counts = people::counts(tx, &by, now).await? == people::Counts::Yes;
            let other = counts && asked.by != by && asked.person != person && behind != person;
            if other || now - asked.at >= ALONE_AFTER_US {
                settings::put(tx, rule.kept, "null", version, now).await?;
                return Ok(None);
            }
            asked
        }
        None => {
            let asked = Asked { by: by.clone(), person, at: now };
            let text = serde_json::to_string(&asked).unwrap_or_default();
            if !settings::put(tx, rule.kept, &text, version, now).await? {
                return Err(super::stale());
            }
            tx.audit(audit::Entry {
                at: now,
                actor: by,
                action: rule.action,
                subject: rule.subject.to_owned(),
                detail: "{}".to_owned(),
            });
            asked
        }
    };
    let sentence = format!(
        "{}, and nothing was changed. That you want it off is written down: it is off as soon as another administrator saves the same, or when you save it again after {}. Your own API keys do not count as a second person.",
        rule.stays,
        clock::told(first.at + ALONE_AFTER_US)
    );
    Ok(Some(Refusal::new("second_person_needed", sentence).at(rule.field)))
}

/// Forgets that somebody has asked for it.
///
/// # Errors
/// When the database does not answer.
pub async fn take_back(tx: &mut Tx, now: i64, rule: &Rule) -> Result<()> {
    let (kept, version) = settings::get(tx, rule.kept).await?.unwrap_or_default();
    if version > 0 && kept != "null" && !settings::put(tx, rule.kept, "null", version, now).await? {
        return Err(super::stale());
    }
    Ok(())
}
