//! Another master key: letting it seal, and sealing with it what an earlier one has sealed. Each step may be the last before
//! the process dies, and is done again by whoever goes on:
//!
//! 1. The new key is put into the key file, before the old one (`secrets::key_file`). Nothing is sealed with it.
//! 2. [`begin`]: in one transaction the database's check is sealed with the new key, and the old one is kept under it. Whoever
//!    stores something sealed holds the check, so from here on nothing is stored under the old key.
//! 3. [`seal_some`]: each value is opened and sealed anew where it still is what was read.
//! 4. [`end`]: with the check held, no value is left that an old key opens. Then the old one may leave the key file.
//!
//! What is deliberately not here: the order of it and the file (`cli::key`), and which key seals (`master_key`).

use payout::Refusal;
use payout::ids::PersonId;
use payout::notice::Notice;
use serde_json::json;

use super::people::{AtTheMachine, OPERATOR};
use super::{OpsError, Result, master_key};
use crate::app::App;
use crate::secrets::{MasterKey, OneKey};
use crate::store::sealed::{self, Column};
use crate::store::{self, Db, Tx, audit, nodes, outbox, people};
use crate::transact;

/// So many values are sealed anew in one transaction.
pub const AT_ONCE: i64 = 50;
/// So many values that do not open are named.
const MOST_NAMED: usize = 100;

/// The processes that serve the database and do not have this key yet: name, beats, and since when they run.
pub async fn without_key(db: &mut Db, key: &OneKey) -> store::Result<Vec<(String, i64, i64)>> {
    nodes::without_key(db, key.id()).await
}

/// Lets a key seal from now on that is in the key file already, and keeps the one before it; false when it seals already.
///
/// # Errors
/// [`OpsError::Conflict`] when the key that the database is sealed with is not here: another one was changed to meanwhile.
pub async fn begin(app: &App, new: &OneKey, by: AtTheMachine<'_>) -> Result<bool> {
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
        let told = json!({ "by": format!("{} at the command line", by.0), "key": new.id(), "old": old.id() });
        let notice = (Notice::MasterKeyChanged, new.id().to_owned(), told.to_string());
        outbox::write(tx, &app.clock, now, [notice]).await?;
        Ok(true)
    })?;
    app.master_key.take(new);
    app.nudge.notify.ring();
    Ok(begun)
}

/// Keeps a key that does not seal any more, for what it has signed.
async fn keep(tx: &mut Tx, app: &App, new: &OneKey, old: &OneKey) -> Result<()> {
    let place = Column::RetiredKey.place(old.id());
    let sealed = new.seal(&app.clock, &place, &old.line());
    // Whoever signs the log holds the check as well, so it has signed none of the rows that come after these.
    let log_rows = Some(store::counted(tx, "audit").await?);
    let old = sealed::Retired { id: old.id().to_owned(), sealed, at: app.clock.now(), log_rows };
    Ok(sealed::retire(tx, &old).await?)
}

fn note(tx: &mut Tx, at: i64, action: &'static str, key: &OneKey, detail: &serde_json::Value) {
    let (actor, subject, detail) = (OPERATOR.to_owned(), key.id().to_owned(), detail.to_string());
    tx.audit(audit::Entry { at, actor, action, subject, detail });
}

/// Notes that a key from before is about to be written into a file.
pub async fn note_written(app: &App, key: &OneKey, by: AtTheMachine<'_>) -> Result<()> {
    transact!(app, |tx| {
        note(tx, app.clock.now(), "master_key_written", key, &json!({ "system_user": by.0 }));
        Ok(())
    })
}

/// What became of some values of a column.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Pass {
    /// How many are sealed anew.
    pub done: usize,
    /// The row to go on behind; nothing at the end.
    pub next: Option<String>,
}

/// Seals some values of a column anew, from behind a row on. One that does not open stays as it is, and so does one that was
/// changed meanwhile: that is sealed with the new key already.
///
/// # Errors
/// [`OpsError::Conflict`] when this is not the key that the database is sealed with any more.
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
        // Held last and shortly: another rotation that began meanwhile would find these under a key that leaves.
        still_seals(tx, &app.master_key, new).await?;
        Ok(pass)
    })
}

async fn still_seals(tx: &mut Tx, key: &MasterKey, new: &OneKey) -> Result<()> {
    if master_key::hold(tx, key).await? == *new {
        return Ok(());
    }
    let told = "Another key was changed to meanwhile. Nothing more was done here; `bursar key status` says which one seals.";
    Err(OpsError::Conflict(Refusal::new("master_key_changed", told)))
}

/// What is not sealed with the new key, or all that is sealed.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Left {
    /// How many values open with a key that is here.
    pub opens: usize,
    /// How many open with no key that is here.
    pub closed: usize,
    /// Where the first of those are: table, column and row.
    pub named: Vec<String>,
}

impl Left {
    /// What does not open, in a sentence; nothing where all of it does.
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

/// Looks for what is not sealed with a key. What is of use for minutes only and does not open is nobody's.
pub async fn left(db: &mut Db, key: &MasterKey, new: &OneKey) -> store::Result<Left> {
    but_for(db, key, &new.head()).await
}

/// Looks at everything that is sealed, each in its place.
pub async fn all(db: &mut Db, key: &MasterKey) -> store::Result<Left> {
    but_for(db, key, NO_HEAD).await
}

/// No value begins with this.
const NO_HEAD: &str = "v1.________________.";

/// Looks at what does not begin with this head.
async fn but_for(db: &mut Db, key: &MasterKey, head: &str) -> store::Result<Left> {
    let mut left = Left::default();
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

/// What became of ending it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ended {
    /// Nothing is left that an old key opens: the old ones may leave the key file.
    Yes,
    No(Left),
}

/// Ends it when nothing is left that an old key opens, and keeps every old key that was in the file. `despite` ends it also
/// where values are left that no key opens. The check is held, so whatever was being stored is seen, and nothing is stored
/// under an old key afterwards.
///
/// # Errors
/// [`OpsError::Conflict`] when this is not the key that the database is sealed with.
pub async fn end(app: &App, new: &OneKey, by: AtTheMachine<'_>, despite: bool) -> Result<Ended> {
    transact!(app, |tx| {
        still_seals(tx, &app.master_key, new).await?;
        let left = left(tx, &app.master_key, new).await?;
        if left.opens > 0 || (left.closed > 0 && !despite) {
            return Ok(Ended::No(left));
        }
        let old: Vec<OneKey> = app.master_key.keys().into_iter().filter(|one| one != new).collect();
        for old in &old {
            keep(tx, app, new, old).await?;
        }
        let ids: Vec<&str> = old.iter().map(OneKey::id).collect();
        let detail = json!({ "old": ids, "do_not_open": left.closed, "system_user": by.0 });
        note(tx, app.clock.now(), "master_keys_retired", new, &detail);
        Ok(Ended::Yes)
    })
}
