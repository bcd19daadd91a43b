//! Rotating the master key. Each step is safe to repeat, so the rotation can resume after a crash:
//!
//! 1. The new key is added to the key file, before the old one (`secrets::key_file`). Nothing is sealed with it yet.
//! 2. [`begin`]: one transaction seals the database's key check with the new key, and stores the old key sealed with it.
//!    Writers of sealed values hold the check, so nothing is sealed with the old key from here on.
//! 3. [`seal_some`]: each value is opened and resealed, unless it has changed since it was read.
//! 4. [`end`]: while holding the check, verifies that no old key opens any remaining value. Then the old key can be
//!    removed from the key file.
//!
//! Not here: the order of the steps and the file (`cli::key`), and which key seals (`master_key`).

use payout::Refusal;
use payout::ids::PersonId;
use payout::notice::Notice;
use serde_json::json;

use super::people::{MachineUser, OPERATOR};
use super::{OpsError, Result, master_key};
use crate::app::App;
use crate::secrets::{MasterKey, OneKey};
use crate::store::sealed::{self, Column};
use crate::store::{self, Db, Tx, audit, nodes, outbox, people};
use crate::transact;

/// How many values are resealed in one transaction.
pub const AT_ONCE: i64 = 50;
/// The maximum number of values that do not open to list.
const MOST_NAMED: usize = 100;

/// The processes using the database that do not have this key yet: name, number of heartbeats, running since.
pub async fn without_key(db: &mut Db, key: &OneKey) -> store::Result<Vec<(String, i64, i64)>> {
    nodes::without_key(db, key.id()).await
}

/// Makes a key from the key file the sealing key and retires the previous one; `false` if it already is the sealing key.
///
/// # Errors
/// [`OpsError::Conflict`] if the database's current key is not in the key file because of another rotation.
pub async fn begin(app: &App, new: &OneKey, by: MachineUser<'_>) -> Result<bool> {
    let begun = transact!(app, |tx| {
        let old = master_key::hold(tx, &app.master_key).await?;
        if old == *new {
            return Ok(false);
        }
        let now = app.clock.now();
        master_key::change(tx, &app.clock, new).await?;
        keep(tx, app, new, &old).await?;
        let detail = json!({ "from": old.id(), "to": new.id(), "system_user": by.0 });
        note(tx, now, "master_key_changed", new, &detail);
        let body = json!({ "by": format!("{} at the command line", by.0), "key": new.id(), "old": old.id() });
        let notice = (Notice::MasterKeyChanged, new.id().to_owned(), body.to_string());
        outbox::write(tx, &app.clock, now, [notice]).await?;
        Ok(true)
    })?;
    app.master_key.take(new);
    app.nudge.notify.notify();
    Ok(begun)
}

/// Stores a retired key, so that log rows it signed can still be verified.
async fn keep(tx: &mut Tx, app: &App, new: &OneKey, old: &OneKey) -> Result<()> {
    let place = Column::RetiredKey.place(old.id());
    let sealed = new.seal(&app.clock, &place, &old.line());
    // Signing the log also holds the check, so no row after these is signed with the old key.
    let log_rows = Some(store::counted(tx, "audit").await?);
    let old = sealed::Retired { id: old.id().to_owned(), sealed, at: app.clock.now(), log_rows };
    Ok(sealed::retire(tx, &old).await?)
}

fn note(tx: &mut Tx, at: i64, action: &'static str, key: &OneKey, detail: &serde_json::Value) {
    let (actor, subject, detail) = (OPERATOR.to_owned(), key.id().to_owned(), detail.to_string());
    tx.audit(audit::Entry { at, actor, action, subject, detail });
}

/// Logs that a retired key is about to be written to a file.
pub async fn note_written(app: &App, key: &OneKey, by: MachineUser<'_>) -> Result<()> {
    transact!(app, |tx| {
        note(tx, app.clock.now(), "master_key_written", key, &json!({ "system_user": by.0 }));
        Ok(())
    })
}

/// The result of resealing some values of a column.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Pass {
    /// How many values were resealed.
    pub done: usize,
    /// The row after which to continue; `None` at the end.
    pub next: Option<String>,
}

/// Reseals some values of a column, starting after a row. Skips values that do not open, and values that have changed since
/// they were read: those are already sealed with the new key.
///
/// # Errors
/// [`OpsError::Conflict`] if this is no longer the database's key.
pub async fn seal_some(app: &App, new: &OneKey, column: Column, after: &str, most: i64) -> Result<Pass> {
    transact!(app, |tx| {
        let rows = sealed::others(tx, column, &new.head(), after, most).await?;
        let next = rows.last().filter(|_| rows.len() >= usize::try_from(most).unwrap_or(usize::MAX));
        let mut pass = Pass { done: 0, next: next.map(|(row, _)| row.clone()) };
        for (row, value) in &rows {
            if let Some(person) = PersonId::parse(row).filter(|_| column.is_of_people()) {
                people::hold(tx, person).await?;
            }
            let place = column.place(row);
            let Some(plain) = app.master_key.open(&place, value) else { continue };
            let anew = new.seal(&app.clock, &place, &plain);
            pass.done += usize::from(sealed::exchange(tx, column, row, value, &anew).await?);
        }
        // Take the check last, to hold it briefly. If another rotation has begun, `new` is being retired and must not seal
        // these values.
        still_seals(tx, &app.master_key, new).await?;
        Ok(pass)
    })
}

async fn still_seals(tx: &mut Tx, key: &MasterKey, new: &OneKey) -> Result<()> {
    if master_key::hold(tx, key).await? == *new {
        return Ok(());
    }
    let message = "Another key was changed to meanwhile. Nothing more was done here; `bursar key status` says which one seals.";
    Err(OpsError::Conflict(Refusal::new("master_key_changed", message)))
}

/// The values not sealed with the new key, or all sealed values.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct NotResealed {
    /// How many values an available key opens.
    pub opens: usize,
    /// How many values no available key opens.
    pub closed: usize,
    /// The first of the values that do not open: table, column and row.
    pub named: Vec<String>,
}

impl NotResealed {
    /// The values that do not open, in a sentence; `None` if all do.
    pub fn shut(&self) -> Option<String> {
        let named = self.named.iter().take(10).cloned().collect::<Vec<_>>().join(", ");
        let more = if self.closed > 10 { " and others" } else { "" };
        match self.closed {
            0 => None,
            1 => Some(format!("1 sealed value opens with no key of the key file: {named}")),
            many => Some(format!("{many} sealed values open with no key of the key file: {named}{more}")),
        }
    }
}

/// Finds the values not sealed with this key. Ignores values that do not open and are needed for only a few minutes.
pub async fn left(db: &mut Db, key: &MasterKey, new: &OneKey) -> store::Result<NotResealed> {
    not_sealed_with(db, key, &new.head()).await
}

/// Checks every sealed value in its place.
pub async fn all(db: &mut Db, key: &MasterKey) -> store::Result<NotResealed> {
    not_sealed_with(db, key, NO_HEAD).await
}

/// No sealed value begins with this.
const NO_HEAD: &str = "v1.________________.";

/// Checks the sealed values that do not begin with this head.
async fn not_sealed_with(db: &mut Db, key: &MasterKey, head: &str) -> store::Result<NotResealed> {
    let mut left = NotResealed::default();
    for column in Column::ALL {
        let mut after = String::new();
        loop {
            let rows = sealed::others(db, column, head, &after, AT_ONCE).await?;
            let Some((last, _)) = rows.last() else { break };
            after.clone_from(last);
            for (row, value) in &rows {
                if key.open(&column.place(row), value).is_some() {
                    left.opens += 1;
                } else if !column.is_passing() {
                    left.closed += 1;
                    let (table, column) = column.name();
                    left.named.extend(
                        (left.named.len() < MOST_NAMED).then(|| format!("{table}.{column} of {row}")),
                    );
                }
            }
        }
    }
    Ok(left)
}

/// The result of ending a rotation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FinishOutcome {
    /// No old key opens any remaining value: the old keys can be removed from the key file.
    Yes,
    No(NotResealed),
}

/// Ends the rotation if no old key opens any remaining value, and stores every old key of the key file. With `despite`, ends
/// it even if there are values that no key opens. Holds the check, so it sees every value being stored, and no value is
/// sealed with an old key afterwards.
///
/// # Errors
/// [`OpsError::Conflict`] if this is not the database's key.
pub async fn end(app: &App, new: &OneKey, by: MachineUser<'_>, despite: bool) -> Result<FinishOutcome> {
    transact!(app, |tx| {
        still_seals(tx, &app.master_key, new).await?;
        let left = left(tx, &app.master_key, new).await?;
        if left.opens > 0 || (left.closed > 0 && !despite) {
            return Ok(FinishOutcome::No(left));
        }
        let old: Vec<OneKey> = app.master_key.keys().into_iter().filter(|one| one != new).collect();
        for old in &old {
            keep(tx, app, new, old).await?;
        }
        let ids: Vec<&str> = old.iter().map(OneKey::id).collect();
        let detail = json!({ "old": ids, "do_not_open": left.closed, "system_user": by.0 });
        note(tx, app.clock.now(), "master_keys_retired", new, &detail);
        Ok(FinishOutcome::Yes)
    })
}
