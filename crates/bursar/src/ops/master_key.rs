//! Which master key the database is sealed with. The database stores a check value that only that key opens. With another key
//! the program could read neither vendor credentials nor tax numbers, and would seal new values that the right key cannot
//! open, so it refuses to start. Writers of sealed values hold the check until they commit, so nothing is sealed with an old
//! key once the check has changed. Not here: the key file (`secrets`), and resealing (`key_rotation`).

use payout::Refusal;

use super::{OpsError, Result};
use crate::app::App;
use crate::clock::Clock;
use crate::secrets::{MasterKey, OneKey, SealedAt, id_in};
use crate::store::sealed::{self, Column};
use crate::store::{self, Db, Store, Tx, meta, tax, vendors};

/// The key of the check in `meta`, and the plaintext that is sealed as its value.
const CHECK: &str = "key_check";
/// The message if the database's key is not in the key file.
pub const NOT_HERE: &str = "The master key was changed, and the key file of this machine does not have the new key: nothing is sent or sealed from here. Copy the key file from the machine where `bursar key rotate` was run; nothing must be restarted.";
/// The message if only this process still has the key that the database is sealed with.
pub const NOT_IN_FILE: &str = "The key that the database is sealed with does not lie in the key file any more, or the file cannot be used. This process still has the key, and none that starts would.";
/// The remedy while the process that has the key is still running.
pub const PUT_IT_BACK: &str =
    "Put the right key file back, from where you keep it, before anything is stopped or started again.";
/// How many tax numbers to try if there is no check yet.
const TRIED: i64 = 20;

fn place_of_check() -> SealedAt {
    SealedAt::stored("meta", "value", CHECK).once(CHECK)
}

/// What the database reveals about its key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KeyCheck {
    /// Nothing is sealed yet, so any key works.
    Nothing,
    /// A check value that only the right key opens.
    Check(String),
    /// The database predates the check: the right key opens at least one of these values.
    OneOf(Vec<(SealedAt, String)>),
}

impl KeyCheck {
    /// Whether the right key is among these.
    pub fn opens_with(&self, key: &MasterKey) -> bool {
        matches!(self, Self::Nothing) || self.key_of(key).is_some()
    }

    /// The right key, if it is among these.
    pub fn key_of(&self, key: &MasterKey) -> Option<OneKey> {
        match self {
            Self::Nothing => None,
            Self::Check(sealed) => key.key_of(&place_of_check(), sealed),
            Self::OneOf(sealed) => sealed.iter().find_map(|(place, sealed)| key.key_of(place, sealed)),
        }
    }

    /// The id of the right key, if known.
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Check(sealed) => id_in(sealed),
            Self::Nothing | Self::OneOf(_) => None,
        }
    }
}

/// Reads what the database reveals about its key.
pub async fn key_check(store: &Store) -> Result<KeyCheck> {
    let mut db = store.read().await?;
    if let Some(check) = meta::get(&mut db, CHECK).await? {
        return Ok(KeyCheck::Check(check));
    }
    let connections = vendors::all(&mut db).await?.into_iter();
    let place = |vendor: &str| Column::Connection.place(vendor);
    let mut sealed: Vec<_> = connections.map(|one| (place(one.vendor.as_str()), one.sealed)).collect();
    let numbers = tax::newest_sealed(&mut db, TRIED).await?.into_iter();
    sealed.extend(numbers.map(|(payee, number)| (Column::TaxNumber.place(&payee.to_string()), number)));
    Ok(if sealed.is_empty() { KeyCheck::Nothing } else { KeyCheck::OneOf(sealed) })
}

/// Stores a check for the database's key, unless there is one. Returns whether one of these keys opens the stored check; that
/// key becomes the sealing key. If two processes start at the same moment with different keys, one gets `false`.
pub async fn note(store: &Store, clock: &Clock, key: &MasterKey) -> Result<bool> {
    let mut tx = store.begin().await?;
    tx.named(crate::this_function!());
    let check = key.seal(clock, &place_of_check(), CHECK);
    let kept = meta::keep_first(&mut tx, CHECK, &check).await?;
    tx.commit().await?;
    Ok(key.key_of(&place_of_check(), &kept).is_some_and(|kept| key.take(&kept)))
}

/// Seals a value that is stored in this transaction, with the database's key. Holds the check until the commit, so that
/// nobody can change the key in the meantime.
///
/// # Errors
/// [`OpsError::Conflict`] `master_key_missing` if that key is not available here.
pub async fn seal(tx: &mut Tx, app: &App, place: &SealedAt, plain: &str) -> Result<String> {
    Ok(hold(tx, &app.master_key).await?.seal(&app.clock, place, plain))
}

/// The database's key, locked until the end of the transaction.
///
/// # Errors
/// As [`seal`].
pub(super) async fn hold(tx: &mut Tx, key: &MasterKey) -> Result<OneKey> {
    hold_if_here(tx, key).await?.ok_or_else(missing)
}

/// The same; `None` if that key is not available here.
pub(super) async fn hold_if_here(tx: &mut Tx, key: &MasterKey) -> Result<Option<OneKey>> {
    let found = match hold_check(tx).await? {
        Some(check) => key.key_of(&place_of_check(), &check),
        // A server process stores a check before it does anything else.
        None => key.sealing(),
    };
    Ok(found.inspect(|found| {
        key.take(found);
    }))
}

/// The check itself, locked until the end of the transaction.
pub(super) async fn hold_check(tx: &mut Tx) -> Result<Option<String>> {
    Ok(meta::hold(tx, CHECK).await?)
}

/// Changes the sealing key at the end of this transaction. The caller holds the check.
pub(super) async fn change(tx: &mut Tx, clock: &Clock, to: &OneKey) -> Result<()> {
    Ok(meta::set(tx, CHECK, &to.seal(clock, &place_of_check(), CHECK)).await?)
}

fn missing() -> OpsError {
    OpsError::Conflict(Refusal::new("master_key_missing", format!("Nothing was saved. {NOT_HERE}")))
}

/// The database's current key; `None` if it is not available here.
pub async fn of_database(db: &mut Db, key: &MasterKey) -> store::Result<Option<OneKey>> {
    Ok(match meta::get(db, CHECK).await? {
        Some(check) => key.key_of(&place_of_check(), &check),
        None => key.sealing(),
    })
}

/// Switches this process to the database's current key. Logs an error once if that key is not available here, or is no longer
/// in the key file, which would otherwise go unnoticed while the process runs.
pub async fn follow(db: &mut Db, key: &MasterKey) -> store::Result<()> {
    let found = of_database(db, key).await?;
    let was_lacking = key.set_key_missing(found.is_none());
    match found {
        Some(found) => {
            key.take(&found);
            let away = !key.is_in_file(&found);
            match (key.note_not_in_file(away), away) {
                (false, true) => tracing::error!("{NOT_IN_FILE} {PUT_IT_BACK}"),
                (true, false) => {
                    tracing::info!("the key that the database is sealed with lies in the key file again")
                }
                (true, true) | (false, false) => {}
            }
        }
        None if was_lacking => {}
        None => tracing::error!("{NOT_HERE}"),
    }
    Ok(())
}

/// A key that no longer seals new values.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Retired {
    pub id: String,
    /// When its successor took over.
    pub at: i64,
    /// How many rows the activity log had then.
    pub log_rows: Option<i64>,
    /// The key itself, if an available key opens it.
    pub key: Option<OneKey>,
    /// Nobody has the key any more, as far as is known: what it sealed does not open again.
    pub is_lost: bool,
    /// Whether a key that may vouch for it opened what is sealed about it. Otherwise none of its signatures count.
    pub(super) is_vouched_for: bool,
    /// The id of the key that seals it here.
    sealed_by: String,
}

/// Stands for the key itself where that is lost.
const LOST: &str = "lost";

/// What is sealed about a retired key: the key, or that it is lost, and how many rows the log had when it was retired. The
/// number is sealed too, or a thief of an old key who can write the database would raise it and sign later rows (decision
/// 56).
pub(super) fn kept_text(key: Option<&OneKey>, log_rows: Option<i64>) -> String {
    let key = key.map_or_else(|| LOST.to_owned(), OneKey::line);
    log_rows.map_or(key.clone(), |rows| format!("{key} {rows}"))
}

/// What is sealed about a retired key that it sealed itself: none of its signatures count. Bursar never seals one so.
pub(super) fn unvouched(value: &str, plain: String, id: &str) -> String {
    let key = plain.split(' ').next().and_then(OneKey::parse).filter(|_| id_in(value) == Some(id));
    key.map_or(plain, |key| kept_text(Some(&key), Some(0)))
}

/// The retired keys, newest first.
pub async fn retired(db: &mut Db, key: &MasterKey) -> store::Result<Vec<Retired>> {
    let kept = sealed::retired(db).await?.into_iter();
    let read = |kept: sealed::Retired| {
        let sealed_by = id_in(&kept.sealed).unwrap_or_default().to_owned();
        // A key cannot vouch for itself: whoever has it could seal any number here.
        let opened =
            key.open(&Column::RetiredKey.place(&kept.id), &kept.sealed).filter(|_| sealed_by != kept.id);
        let is_vouched_for = opened.is_some();
        let unsealed = kept.log_rows.filter(|_| is_vouched_for);
        let text = opened.unwrap_or_default();
        let (what, rows) = text.split_once(' ').unwrap_or((&text, ""));
        Retired {
            at: kept.at,
            // Earlier versions kept the number in its column alone; the next rotation seals it.
            log_rows: rows.parse().ok().or(unsealed),
            key: OneKey::parse(what).filter(|one| one.id() == kept.id),
            is_lost: what == LOST,
            is_vouched_for,
            sealed_by,
            id: kept.id,
        }
    };
    let mut all: Vec<Retired> = kept.map(read).collect();
    // A key that is kept here under a lost one is lost with it; that one may have been kept under another lost one.
    for _ in 0..all.len() {
        let lost: Vec<String> = all.iter().filter(|one| one.is_lost).map(|one| one.id.clone()).collect();
        let with_it = |one: &&mut Retired| one.key.is_none() && lost.contains(&one.sealed_by);
        all.iter_mut().filter(with_it).for_each(|one| one.is_lost = true);
    }
    Ok(all)
}

#[cfg(test)]
impl Retired {
    /// As if the database kept this key; its signatures count up to `log_rows`.
    pub(super) fn kept(key: OneKey, at: i64, log_rows: Option<i64>) -> Self {
        let (id, key, is_lost, sealed_by) = (key.id().to_owned(), Some(key), false, String::new());
        Self { id, at, log_rows, key, is_lost, is_vouched_for: true, sealed_by }
    }
}
