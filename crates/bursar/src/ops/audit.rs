//! Audit entries about batches, and the refusals for a batch that has changed. Not here: the verbs that write them.

use payout::Refusal;
use payout::ids::BatchId;

use crate::app::Actor;
use crate::ops::OpsError;
use crate::store::{Tx, audit};

/// The batch is not what the caller was shown.
pub(super) fn batch_changed(sentence: impl Into<String>) -> OpsError {
    OpsError::Conflict(Refusal::new("batch_changed", sentence))
}

/// Somebody else changed one of the rewards at the same moment.
pub(super) fn changed_meanwhile() -> OpsError {
    batch_changed(
        "Somebody changed one of these rewards at the same time, so nothing was added. Look again, then retry.",
    )
}

/// Records a change to a batch, and how many rewards it affected.
pub(super) fn note(tx: &mut Tx, actor: &Actor, now: i64, action: &'static str, id: BatchId, rewards: u64) {
    let detail = serde_json::json!({ "rewards": rewards }).to_string();
    tx.audit(audit::Entry { at: now, actor: actor.id.to_string(), action, subject: id.to_string(), detail });
}

/// How many rewards one audit row names.
const NAMED_AT_ONCE: usize = 1_000;

/// Records the numbers of the rewards that were added to a batch or removed from it, in as many rows as needed.
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
