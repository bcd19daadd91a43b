//! Switching the two-person rule off takes two administrators, or one and a day: what two people must agree on cannot be made
//! to take one by the same one. What is deliberately not here: switching it on, which anybody who administers may at once.

use payout::Refusal;
use serde::{Deserialize, Serialize};

use crate::app::Actor;
use crate::clock;
use crate::ops::Result;
use crate::store::{Tx, audit, people, settings};

/// Under which name it is kept who asked.
const ASKED: &str = "two_person_rule_off";
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
pub(super) async fn not_yet(tx: &mut Tx, actor: &Actor, now: i64) -> Result<Option<Refusal>> {
    let by = actor.id.to_string();
    let person = people::behind(tx, &by, now).await?;
    let (kept, version) = settings::get(tx, ASKED).await?.unwrap_or_default();
    let asked = serde_json::from_str::<Option<Asked>>(&kept).ok().flatten();
    let asked = asked.filter(|asked| now - asked.at < FORGOTTEN_AFTER_US);
    let first = match asked {
        Some(asked) => {
            let behind = people::behind(tx, &asked.by, now).await?;
            let counts = people::counts(tx, &by, now).await? == people::Counts::Yes;
            let other = counts && asked.by != by && asked.person != person && behind != person;
            if other || now - asked.at >= ALONE_AFTER_US {
                settings::put(tx, ASKED, "null", version, now).await?;
                return Ok(None);
            }
            asked
        }
        None => {
            let asked = Asked { by: by.clone(), person, at: now };
            let text = serde_json::to_string(&asked).unwrap_or_default();
            if !settings::put(tx, ASKED, &text, version, now).await? {
                return Err(super::stale());
            }
            tx.audit(audit::Entry {
                at: now,
                actor: by,
                action: "two_person_rule_off_asked",
                subject: "settings:payout".to_owned(),
                detail: "{}".to_owned(),
            });
            asked
        }
    };
    let sentence = format!(
        "The two-person rule stays on for now, and nothing was changed. That you want it off is written down: it is off as soon as another administrator saves the same, or when you save it again after {}. Your own API keys do not count as a second person.",
        clock::told(first.at + ALONE_AFTER_US)
    );
    Ok(Some(Refusal::new("second_person_needed", sentence).at("two_person_release")))
}
