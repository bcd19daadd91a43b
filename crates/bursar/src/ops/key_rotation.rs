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

use std::collections::{BTreeMap, BTreeSet};

use payout::Refusal;
use payout::ids::PersonId;
use payout::notice::Notice;
use serde_json::json;

use super::master_key::{self, KeyCheck};
use super::people::{MachineUser, OPERATOR};
use super::{OpsError, Result};
use crate::app::App;
use crate::clock::Clock;
use crate::secrets::{MasterKey, OneKey, id_in};
use crate::store::sealed::{self, Column};
use crate::store::{self, Db, Store, Tx, audit, nodes, outbox, people};
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
        keep(tx, &app.clock, new, (old.id(), Some(&old)), &[]).await?;
        let detail = json!({ "from": old.id(), "to": new.id(), "system_user": by.0 });
        note(tx, now, "master_key_changed", new, &detail);
        tell(tx, &app.clock, by, new, (old.id(), false)).await?;
        Ok(true)
    })?;
    app.master_key.take(new);
    app.nudge.notify.notify();
    Ok(begun)
}

/// Makes the key file's key the sealing key because the database's own is lost; `false` if that one is in the key file after
/// all. What the lost key sealed stays as it is, and is known to be lost.
pub async fn replace_lost(
    store: &Store,
    clock: &Clock,
    keys: &MasterKey,
    by: MachineUser<'_>,
) -> Result<bool> {
    let mut asks = master_key::key_check(store).await?;
    let mut tx = store.begin().await?;
    tx.named(crate::this_function!());
    // Held, so that nobody signs the log meanwhile: it says how far the lost key may have signed.
    if let Some(check) = master_key::hold_check(&mut tx).await? {
        asks = KeyCheck::Check(check);
    }
    let Some(new) = keys.sealing().filter(|_| !asks.opens_with(keys)) else { return Ok(false) };
    let lost = asks.id().unwrap_or_default();
    master_key::change(&mut tx, clock, &new).await?;
    if !lost.is_empty() {
        keep(&mut tx, clock, &new, (lost, None), &[]).await?;
    }
    let detail = json!({ "lost": lost, "to": new.id(), "system_user": by.0 });
    note(&mut tx, clock.now(), "master_key_lost", &new, &detail);
    tell(&mut tx, clock, by, &new, (lost, true)).await?;
    tx.commit().await?;
    Ok(true)
}

/// Tells all administrators about a new key. Whoever is at the machine could have made it.
async fn tell(
    tx: &mut Tx,
    clock: &Clock,
    by: MachineUser<'_>,
    new: &OneKey,
    (old, is_lost): (&str, bool),
) -> Result<()> {
    let by = format!("{} at the command line", by.0);
    let old = if old.is_empty() { "?" } else { old };
    let lost = if is_lost { "yes" } else { "" };
    let body = json!({ "by": by, "key": new.id(), "old": old, "lost": lost });
    let notice = (Notice::MasterKeyChanged, new.id().to_owned(), body.to_string());
    Ok(outbox::write(tx, clock, clock.now(), [notice]).await.map(drop)?)
}

/// Stores a retired key, to verify what it has signed, or that it is lost. `known` are the keys kept so far: one that was
/// retired before has signed no more than the log had then.
async fn keep(
    tx: &mut Tx,
    clock: &Clock,
    new: &OneKey,
    (id, old): (&str, Option<&OneKey>),
    known: &[master_key::Retired],
) -> Result<()> {
    // Whoever signs the log holds the check as well, so it has signed none of the rows that come after these.
    let log_rows =
        match known.iter().find(|one| one.id == id && one.is_vouched_for).and_then(|one| one.log_rows) {
            Some(rows) => rows,
            None => store::counted(tx, "audit").await?,
        };
    let sealed = new.seal(clock, &Column::RetiredKey.place(id), &master_key::kept_text(old, Some(log_rows)));
    let old = sealed::Retired { id: id.to_owned(), sealed, at: clock.now(), log_rows: Some(log_rows) };
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
        let known = match column {
            Column::RetiredKey => master_key::retired(tx, &app.master_key).await?,
            Column::Connection
            | Column::TaxNumber
            | Column::Factor
            | Column::FactorBegun
            | Column::HalfLogin
            | Column::SecretLink => Vec::new(),
        };
        for (row, value) in &rows {
            if let Some(person) = PersonId::parse(row).filter(|_| column.is_of_people()) {
                people::hold(tx, person).await?;
            }
            let place = column.place(row);
            let Some(plain) = app.master_key.open(&place, value) else { continue };
            // An earlier version did not seal how many rows the key may have signed.
            let kept = known.iter().find(|one| one.id == *row && one.key.is_some());
            let plain = match kept {
                Some(one) => master_key::kept_text(one.key.as_ref(), one.log_rows),
                None if column == Column::RetiredKey => master_key::unvouched(value, plain, row),
                None => plain,
            };
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
    /// The ids of the keys that sealed those, as far as they name their key.
    pub keys: BTreeSet<String>,
    /// How many were sealed with a key that is known to be lost, by column. Nothing can be done about the values themselves.
    pub lost: BTreeMap<Column, usize>,
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

    /// What is lost with its key, and what to do about it; nothing where nothing is.
    pub fn gone(&self) -> Option<(String, String)> {
        let all: usize = self.lost.values().sum();
        let kinds: Vec<String> = self
            .lost
            .iter()
            .map(|(column, count)| {
                let (one, many) = column.label();
                format!("{count} {}", if *count == 1 { one } else { many })
            })
            .collect();
        let remedies: Vec<&str> = self.lost.keys().map(|column| remedy(*column)).collect();
        let values = match all {
            0 => return None,
            1 => "1 sealed value is".to_owned(),
            many => format!("{many} sealed values are"),
        };
        Some((format!("{values} lost with the key: {}", kinds.join(", ")), remedies.join(" ")))
    }
}

/// What replaces a value whose key is lost.
fn remedy(column: Column) -> &'static str {
    match column {
        Column::Connection => "Save the credentials of the vendor again.",
        Column::TaxNumber => {
            "Have the tax forms of these payees filed again, or leave them if nothing is paid to them any more."
        }
        Column::Factor => {
            "Whoever cannot sign in sets up the authenticator app again after `bursar user mfa-reset`."
        }
        Column::FactorBegun | Column::HalfLogin => "Begin again.",
        Column::SecretLink => "Send these people a new link.",
        Column::RetiredKey => {
            "What an earlier key signed in the activity log can no longer be verified; that stays so."
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
    let lost: Vec<String> =
        master_key::retired(db, key).await?.into_iter().filter(|one| one.is_lost).map(|one| one.id).collect();
    for column in Column::ALL {
        let mut after = String::new();
        loop {
            let rows = sealed::others(db, column, head, &after, AT_ONCE).await?;
            let Some((last, _)) = rows.last() else { break };
            after.clone_from(last);
            for (row, value) in &rows {
                let by = id_in(value);
                if key.open(&column.place(row), value).is_some() {
                    left.opens += 1;
                } else if column.is_passing() {
                    continue;
                } else if by.is_some_and(|by| lost.iter().any(|lost| lost == by)) {
                    *left.lost.entry(column).or_default() += 1;
                } else {
                    left.closed += 1;
                    left.keys.extend(by.map(str::to_owned));
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
        let known = master_key::retired(tx, &app.master_key).await?;
        for old in &old {
            keep(tx, &app.clock, new, (old.id(), Some(old)), &known).await?;
        }
        // Whoever leaves them unreadable has no key for them. What is kept of an earlier key stays, for whoever finds the key
        // that opens it.
        let is_kept = |id: &str| known.iter().any(|one| one.id == id) || old.iter().any(|one| one.id() == id);
        for lost in left.keys.iter().filter(|id| !is_kept(id)) {
            keep(tx, &app.clock, new, (lost, None), &known).await?;
        }
        let ids: Vec<&str> = old.iter().map(OneKey::id).collect();
        let detail =
            json!({ "old": ids, "do_not_open": left.closed, "lost": left.keys, "system_user": by.0 });
        note(tx, app.clock.now(), "master_keys_retired", new, &detail);
        Ok(FinishOutcome::Yes)
    })
}
