//! Which processes live, so that what a dead one had begun goes on at once and not when its leases lapse.
//!
//! No clock is compared with another: a process counts beats in its own row, and whoever sees the same count too often in
//! a row takes it for dead. That is no proof, and none is needed: what a sleeping process brings under an old fence is
//! dropped, and the same bytes under the same key are carried out once. On SQLite there is one process, so those before it
//! are dead when it starts. Not here: the leases themselves, which each kind of work takes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Result, master_key};
use crate::app::App;
use crate::secrets::OneKey;
use crate::store::nodes;
use crate::transact;

/// So often the same count of beats, one look each half second, and the process is taken for dead.
const SILENT: u32 = 8;

/// What one process has seen of the others: their beats, and how often it has seen no more of them.
#[derive(Clone, Debug, Default)]
pub struct Census(Arc<Mutex<HashMap<String, (i64, u32)>>>);

impl Census {
    /// Takes a look at everybody's beats; answers who is dead.
    pub fn look(&self, ours: &str, all: &[(String, i64)]) -> Vec<String> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|id, _| all.iter().any(|(other, _)| other == id));
        let mut dead = Vec::new();
        for (id, beats) in all.iter().filter(|(id, _)| id != ours) {
            let (before, silent) = known.entry(id.clone()).or_insert((*beats, 0));
            *silent = if *before == *beats { *silent + 1 } else { 0 };
            *before = *beats;
            if *silent > SILENT {
                dead.push(id.clone());
            }
        }
        dead
    }
}

/// Enters this process. `alone` says that no other can be alive, because the database is a file that this one has locked:
/// then whatever earlier ones held is free at once.
pub async fn join(app: &App, alone: bool) -> Result<()> {
    let now = app.clock.now();
    let ours = format!("nod_{}", payout::ids::encode(payout::ids::fresh(now, app.clock.chance())));
    let ended = transact!(app, |tx| {
        let mut ended = 0;
        if alone {
            for (dead, _) in nodes::all(tx).await? {
                ended += nodes::bury(tx, &dead).await?;
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

/// Counts a beat and ends the leases of whoever has stopped counting; answers how many leases ended.
pub async fn beat(app: &App, census: &Census) -> Result<u64> {
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
        ended += transact!(app, |tx| { Ok(nodes::bury(tx, &dead).await?) })?;
        tracing::warn!(
            node = dead,
            ended,
            "a process that serves this database has gone silent; its work continues here"
        );
    }
    Ok(ended)
}

/// The ids of the keys that this process has.
fn key_ids(app: &App) -> String {
    app.master_key.keys().iter().map(OneKey::id).collect::<Vec<_>>().join(" ")
}

/// Every process that serves the database, and how far it has counted.
pub async fn beats(db: &mut crate::store::Db) -> crate::store::Result<Vec<(String, i64)>> {
    nodes::all(db).await
}

/// Takes this process out, at a stop that was asked for.
pub async fn leave(app: &App) -> Result<()> {
    let Some(ours) = app.store.node() else { return Ok(()) };
    transact!(app, |tx| {
        nodes::bury(tx, ours).await?;
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_stands_still_for_long_is_dead() {
        let census = Census::default();
        let all = |a: i64, b: i64| vec![("a".to_owned(), a), ("b".to_owned(), b), ("us".to_owned(), 0)];
        for beats in 0..=20 {
            assert!(census.look("us", &all(beats, beats / 4)).is_empty(), "slow is not dead");
        }
        let found: Vec<_> = (21..40).map(|beats| census.look("us", &all(beats, 5))).collect();
        assert_eq!(found.iter().position(|dead| !dead.is_empty()), Some(SILENT as usize));
        assert!(found.iter().all(|dead| dead.is_empty() || *dead == ["b"]));
    }
}
