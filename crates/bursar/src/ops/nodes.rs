//! Detects dead processes, so that their work resumes at once and not when their leases expire.
//!
//! No clocks are compared: each process counts heartbeats in its own row, and a process whose count stays the same for too
//! long is taken for dead. That is no proof, and none is needed: writes of a stalled process fail on its old fence, and the
//! vendor executes the same bytes under the same idempotency key only once. On SQLite there is one process, so any earlier
//! one is dead when it starts. Not here: the leases themselves, which each kind of work takes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Result, master_key};
use crate::app::App;
use crate::secrets::OneKey;
use crate::store::nodes;
use crate::transact;

/// A process is taken for dead after this many looks, one every half second, with the same heartbeat count.
const DEAD_AFTER: u32 = 8;

/// What this process has seen of the others: their heartbeat counts, and how many looks each has stayed the same.
#[derive(Clone, Debug, Default)]
pub struct NodeCensus(Arc<Mutex<HashMap<String, (i64, u32)>>>);

impl NodeCensus {
    /// Compares all heartbeat counts with the previous look; returns the dead processes.
    pub fn look(&self, ours: &str, all: &[(String, i64)]) -> Vec<String> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|id, _| all.iter().any(|(other, _)| other == id));
        let mut dead = Vec::new();
        for (id, beats) in all.iter().filter(|(id, _)| id != ours) {
            let (before, silent) = known.entry(id.clone()).or_insert((*beats, 0));
            *silent = if *before == *beats { *silent + 1 } else { 0 };
            *before = *beats;
            if *silent > DEAD_AFTER {
                dead.push(id.clone());
            }
        }
        dead
    }
}

/// Registers this process. With `alone` no other can be alive, because this one has locked the database file; the leases of
/// earlier processes are released at once.
pub async fn join(app: &App, alone: bool) -> Result<()> {
    let now = app.clock.now();
    let ours = format!("nod_{}", payout::ids::encode(payout::ids::fresh(now, app.clock.in_turn())));
    let ended = transact!(app, |tx| {
        let mut ended = 0;
        if alone {
            for (dead, _) in nodes::all(tx).await? {
                ended += nodes::remove_node(tx, &dead).await?;
            }
        }
        nodes::enter(tx, &ours, &key_ids(app), now).await?;
        Ok(ended)
    })?;
    app.store.serves_as(&ours);
    if ended > 0 {
        tracing::info!(ended, "an earlier process ended in the middle of its work; the work continues now");
    }
    Ok(())
}

/// Counts a heartbeat and releases the leases of processes that have gone silent; returns how many leases.
pub async fn heartbeat(app: &App, census: &NodeCensus) -> Result<u64> {
    let Some(ours) = app.store.node() else { return Ok(0) };
    app.master_key.look_again();
    let key_ids = key_ids(app);
    let all = transact!(app, |tx| {
        if !nodes::beat(tx, ours, &key_ids).await? {
            nodes::enter(tx, ours, &key_ids, app.clock.now()).await?;
        }
        master_key::follow(tx, &app.master_key).await?;
        Ok(nodes::all(tx).await?)
    })?;
    let mut ended = 0;
    for dead in census.look(ours, &all) {
        ended += transact!(app, |tx| { Ok(nodes::remove_node(tx, &dead).await?) })?;
        tracing::warn!(
            node = dead,
            ended,
            "a process that serves this database has gone silent; its work continues here"
        );
    }
    Ok(ended)
}

/// The ids of this process's keys.
fn key_ids(app: &App) -> String {
    app.master_key.keys().iter().map(OneKey::id).collect::<Vec<_>>().join(" ")
}

/// The heartbeat counts of all processes that serve the database.
pub async fn beats(db: &mut crate::store::Db) -> crate::store::Result<Vec<(String, i64)>> {
    nodes::all(db).await
}

/// Unregisters this process on an orderly shutdown.
pub async fn leave(app: &App) -> Result<()> {
    let Some(ours) = app.store.node() else { return Ok(()) };
    transact!(app, |tx| {
        nodes::remove_node(tx, ours).await?;
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_stands_still_for_long_is_dead() {
        let census = NodeCensus::default();
        let all = |a: i64, b: i64| vec![("a".to_owned(), a), ("b".to_owned(), b), ("us".to_owned(), 0)];
        for beats in 0..=20 {
            assert!(census.look("us", &all(beats, beats / 4)).is_empty(), "slow is not dead");
        }
        let found: Vec<_> = (21..40).map(|beats| census.look("us", &all(beats, 5))).collect();
        assert_eq!(found.iter().position(|dead| !dead.is_empty()), Some(DEAD_AFTER as usize));
        assert!(found.iter().all(|dead| dead.is_empty() || *dead == ["b"]));
    }
}
