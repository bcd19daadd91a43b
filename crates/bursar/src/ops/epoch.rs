//! Detects an older database: a file copied back by hand, a VM snapshot, or a standby that took over without the latest
//! writes. Compares the database with the mark beside the key at each start, and with what this process has seen at each
//! send and twice a second. If the database is behind, safe mode begins automatically.
//!
//! The mark records the last request that was about to be sent. Later changes that moved no money may be lost unnoticed;
//! no payment can be. Not here: the file (`mark`), and what safe mode does.

use std::io;

use super::safe_mode::{self, SafeModeCause, SafeModeEntry};
use super::{OpsError, Result};
use crate::app::App;
use crate::clock::{self, Clock};
use crate::mark::{Mark, MarkContents};
use crate::store::put_back::{self, Progress};
use crate::store::{Db, Store, Tx, meta};
use crate::transact;

/// The key in `meta` for the database's own id.
const ID: &str = "database_id";

/// The id of the database, created once and then permanent; copies share it.
pub async fn identity(store: &Store, clock: &Clock) -> Result<String> {
    if let Some(id) = meta::get(&mut store.read().await?, ID).await? {
        return Ok(id);
    }
    let mut tx = store.begin().await?;
    tx.named(crate::this_function!());
    let fresh = format!("db_{}", payout::ids::encode(payout::ids::fresh(clock.now(), clock.random())));
    let id = meta::keep_first(&mut tx, ID, &fresh).await?;
    tx.commit().await?;
    Ok(id)
}

/// The id of a database, if it has one already.
pub async fn known_identity(db: &mut Db) -> crate::store::Result<Option<String>> {
    meta::get(db, ID).await
}

/// How a mark compares with the database.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MarkComparison {
    /// There is no mark, or it belongs to another database.
    Unknown,
    /// The database is at least as recent as the mark.
    Kept,
    /// The database is behind the mark by at least this many sends; 0 if only the last send differs.
    Behind(i64),
}

/// Compares a mark with the database.
pub async fn standing(db: &mut Db, ours: &str, mark: Option<&MarkContents>) -> Result<MarkComparison> {
    let Some(mark) = mark.filter(|mark| mark.database == ours) else { return Ok(MarkComparison::Unknown) };
    let here = put_back::progress(db).await?;
    // The mark is from an earlier epoch; anything it lacks was noticed when that epoch ended.
    if mark.epoch < here.epoch {
        return Ok(MarkComparison::Kept);
    }
    let missing = (mark.sent - here.sent).max(0);
    let knows = match &mark.last {
        Some(last) => put_back::knows_sent(db, last).await?,
        None => true,
    };
    Ok(match mark.epoch > here.epoch || missing > 0 || !knows {
        true => MarkComparison::Behind(missing),
        false => MarkComparison::Kept,
    })
}

/// At startup: begins safe mode if the database is behind the mark, and returns whether it did. Then updates the mark.
pub async fn check(app: &App, mark: &Mark) -> Result<bool> {
    let ours = identity(&app.store, &app.clock).await?;
    let read = readable(mark.read());
    let standing = standing(&mut app.store.read().await?, &ours, read.as_ref()).await?;
    let here = put_back::progress(&mut app.store.read().await?).await?;
    // A process may declare this database current if its mark matches the database exactly, or if it has just found the
    // database to be older (the new epoch makes it current). A process with a new mark, or one behind the database, may
    // not: it could vouch for an old database that another process knows to be old.
    let exact = read.as_ref().is_some_and(|noted| noted.database == ours && noted.progress() == here);
    if exact || matches!(standing, MarkComparison::Behind(_)) || !mark.is_kept() {
        mark.mark_current();
    }
    let behind = if let MarkComparison::Behind(missing) = standing { Some(missing) } else { None };
    if let (Some(missing), Some(noted)) = (behind, &read) {
        let sent = match missing {
            0 => "something that it sent".to_owned(),
            1 => "at least one request that was sent".to_owned(),
            many => format!("at least {many} requests that were sent"),
        };
        let says = format!(
            "The mark beside the key says that this database was further along: {sent} by {} is missing here. An older copy of it was put in place, or a standby that was behind took over.",
            clock::human(noted.at)
        );
        begin(app, says, noted.progress(), noted.at).await?;
    }
    let now = put_back::progress(&mut app.store.read().await?).await?;
    mark.saw(now);
    if let Some(noted) = read.as_ref().filter(|noted| behind.is_none() && noted.database == ours) {
        mark.found(noted);
    }
    if mark.is_kept() && (behind.is_some() || read.is_none_or(|noted| noted.database != ours)) {
        let (epoch, sent, at) = (now.epoch, now.sent, app.clock.now());
        mark.note(&MarkContents { database: ours, epoch, sent, last: None, at });
    }
    Ok(behind.is_some())
}

/// An unreadable mark counts as none, so that it does not prevent startup.
fn readable(read: io::Result<Option<MarkContents>>) -> Option<MarkContents> {
    read.unwrap_or_else(|error| {
        tracing::warn!(
            %error,
            "the mark beside the key cannot be read, so Bursar cannot tell whether this is the database it last worked on. If it was restored, run `bursar safe-mode on --put-back-from TIME` before anything is paid"
        );
        None
    })
}

/// While running: checks that the database still has everything this process had seen before this read.
pub async fn watch(app: &App, mark: &Mark) -> Result<bool> {
    let before = mark.seen();
    let now = put_back::progress(&mut app.store.read().await?).await?;
    if now >= before {
        mark.saw(now);
        say_current(app, mark, before).await?;
        return Ok(false);
    }
    went_back(app, mark, before).await?;
    Ok(true)
}

/// Once a minute, a process that can tell records in the database that it is current. After a restore, this time is the
/// point from which data may be missing: anything written later may be lost. A process that sees another one record this
/// may do so from then on.
async fn say_current(app: &App, mark: &Mark, before: Progress) -> Result<()> {
    let now = app.clock.now();
    match mark.is_due(now) {
        None => return Ok(()),
        Some(true) => {}
        Some(false) => {
            let said = put_back::said_current(&mut app.store.read().await?).await?;
            if mark.swap_last_current(said).is_some_and(|before| said.is_some_and(|said| said > before)) {
                mark.mark_current();
            }
            return Ok(());
        }
    }
    transact!(app, |tx| {
        if put_back::progress(tx).await? >= before {
            put_back::say_current(tx, now).await?;
        }
        Ok(())
    })
}

/// The database is behind what this process has seen, so it is a different one now.
pub async fn went_back(app: &App, mark: &Mark, before: Progress) -> Result<()> {
    let says = "The database went back in time while Bursar was running: what this process sent is missing from it. A standby that was behind took over, or an older copy was put in place.";
    begin(app, says.to_owned(), before, app.clock.now()).await?;
    mark.saw(put_back::progress(&mut app.store.read().await?).await?);
    Ok(())
}

/// Begins safe mode. Everything missing was sent before `last_known_at`, the time of the mark, whatever the database says
/// about itself.
async fn begin(app: &App, says: String, beyond: Progress, last_known_at: i64) -> Result<()> {
    transact!(app, |tx| {
        let now = app.clock.now();
        // Another process may have noticed first.
        if put_back::progress(tx).await?.epoch > beyond.epoch {
            return Ok(());
        }
        let since = put_back::known_until(tx).await?.min(last_known_at);
        let entering = SafeModeEntry {
            why: SafeModeCause::Behind,
            since: Some(since),
            says: says.clone(),
            epoch: beyond.epoch,
        };
        safe_mode::enter(tx, "epoch", &entering, now).await
    })?;
    tracing::error!(
        says,
        "safe mode is on: nothing is sent until the payments of this database have been looked up, and missing ones searched for, at the vendors. See `bursar safe-mode`"
    );
    app.nudge.look_for.notify();
    app.nudge.notify_watchers();
    Ok(())
}

/// Counts requests that are about to be sent, in the transaction that records them.
///
/// # Errors
/// [`OpsError::Conflict`], which rolls back the transaction, if the database is behind what this process has seen;
/// otherwise database errors.
pub async fn count(tx: &mut Tx, before: Progress, how_many: usize) -> Result<Progress> {
    let now = put_back::count_sent(tx, how_many).await?;
    match now > before {
        true => Ok(now),
        false => Err(OpsError::Conflict(payout::Refusal::new(WENT_BACK, "The database went back in time."))),
    }
}

/// The code of [`count`]'s refusal.
pub const WENT_BACK: &str = "database_went_back";
