//! What is noted of a batch in the trail, and the refusal where it has changed meanwhile. What is deliberately not here: the
//! verbs that note it.

use payout::Refusal;
use payout::ids::BatchId;

use crate::app::Actor;
use crate::ops::OpsError;
use crate::store::{Tx, audit};

/// What was shown is not what is there.
pub(super) fn batch_changed(sentence: impl Into<String>) -> OpsError {
    OpsError::Conflict(Refusal::new("batch_changed", sentence))
}

/// Somebody else changed it at the same moment.
pub(super) fn changed_meanwhile() -> OpsError {
    batch_changed(
        "Somebody changed one of these rewards at the same time, so nothing was added. Look again, then retry.",
    )
}

/// Notes what became of a batch, and how many rewards it was about.
pub(super) fn note(tx: &mut Tx, actor: &Actor, now: i64, action: &'static str, id: BatchId, rewards: u64) {
    let detail = serde_json::json!({ "rewards": rewards }).to_string();
    tx.audit(audit::Entry { at: now, actor: actor.id.to_string(), action, subject: id.to_string(), detail });
}

/// How many rewards one row of the trail names.
const NAMED_AT_ONCE: usize = 1_000;

/// Notes which rewards, by their numbers, went into a batch or out of it: as many rows as it takes to name all of them.
pub(super) fn note_rewards(
    tx: &mut Tx,
    actor: &Actor,
    now: i64,
    action: &'static str,
    id: BatchId,
    mut numbers: Vec<i64>,
) {
    numbers.sort_unstable();
    if numbers.is_empty() {
        note(tx, actor, now, action, id, 0);
    }
    for some in numbers.chunks(NAMED_AT_ONCE) {
        let which: Vec<String> = some.iter().map(|number| format!("RW-{number:06}")).collect();
        let detail = serde_json::json!({ "rewards": numbers.len(), "which": which.join(" ") }).to_string();
        let (actor, subject) = (actor.id.to_string(), id.to_string());
        tx.audit(audit::Entry { at: now, actor, action, subject, detail });
    }
}
