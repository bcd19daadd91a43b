//! The mark: a small file, beside the master key or at `BURSAR_MARK_FILE`, that records how far the database had
//! progressed when this or another process was last about to send something. It is written after the database commit
//! and before the first byte is sent, so a crash can leave it behind the database but never ahead of it. A database
//! that is behind its mark was restored, or taken over by a standby that lacks the latest commits. Not here: the
//! response to that (`ops::epoch`).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::backup;
use crate::config::Given;
use crate::secrets;
use crate::store::put_back::Progress;

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MarkContents {
    /// The database's id; a mark from another database is ignored.
    pub database: String,
    /// How many times it has been restored.
    pub epoch: i64,
    /// How many requests were about to be sent.
    pub sent: i64,
    /// The id of the last request. A database without it has diverged, however much it has sent since.
    pub last: Option<String>,
    /// When it was written, microseconds UTC.
    pub at: i64,
}

impl MarkContents {
    pub fn progress(&self) -> Progress {
        Progress { epoch: self.epoch, sent: self.sent }
    }
}

/// How often, in microseconds, a process records in the database that it is current, or checks who else has.
const EACH_US: i64 = 60_000_000;

/// This process's view of the mark.
#[derive(Debug, Default)]
pub struct Mark {
    file: Option<PathBuf>,
    /// The furthest progress this process has seen in the database.
    seen: Mutex<Progress>,
    written: Mutex<FileState>,
    /// Whether this process knows the database to be current, and when it last recorded that in the database or
    /// checked.
    known: Mutex<(bool, Option<i64>)>,
    /// When another process last recorded that, as last read.
    heard: Mutex<Option<i64>>,
}

/// The contents of the file.
#[derive(Debug, Default)]
struct FileState {
    progress: Progress,
    /// The id of the last request that this process was about to send.
    last: Option<String>,
    /// Why the last write failed, if it did.
    write_error: Option<String>,
}

impl Mark {
    pub fn at(file: PathBuf) -> Self {
        Self { file: Some(file), ..Self::default() }
    }

    /// The mark file that belongs to a key file.
    pub fn beside(key: &Path) -> Self {
        Self::at(place(key))
    }

    /// Reads the file; `None` if it does not exist or this process keeps none.
    ///
    /// # Errors
    /// The file exists and cannot be read.
    pub fn read(&self) -> io::Result<Option<MarkContents>> {
        let Some(file) = &self.file else { return Ok(None) };
        match std::fs::read(file) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub fn is_kept(&self) -> bool {
        self.file.is_some()
    }

    /// Records the database's progress. A failed write does not block payments; a stale mark only detects less.
    pub fn note(&self, noted: &MarkContents) {
        self.saw(noted.progress());
        let Some(file) = &self.file else { return };
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.progress() < written.progress {
            return;
        }
        let trouble = write(file, noted).err().map(|error| error.to_string());
        if let Some(why) = trouble.as_ref().filter(|_| written.write_error.is_none()) {
            tracing::warn!(
                file = %file.display(), why,
                "the mark beside the key cannot be written, so Bursar on this machine would not notice an old database that is restored later. Payments go on; make its folder writable for Bursar, or name another file with BURSAR_MARK_FILE"
            );
        }
        *written = FileState { progress: noted.progress(), last: noted.last.clone(), write_error: trouble };
    }

    /// Adopts what the file says as the last write.
    pub fn found(&self, noted: &MarkContents) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        *written = FileState { progress: noted.progress(), last: noted.last.clone(), write_error: None };
    }

    /// Records what other processes have sent, unless the file already says as much: they may share it.
    pub fn note_others(&self, noted: &MarkContents) {
        let there = self.read().ok().flatten().filter(|there| there.database == noted.database);
        match there.filter(|there| there.progress() >= noted.progress()) {
            Some(there) => self.found(&there),
            None => self.note(noted),
        }
    }

    /// Progress by others beyond what the file says, with the file's last request. A node that only watches must record
    /// it too, because it may be the first to restart.
    pub fn unrecorded(&self) -> Option<(Progress, Option<String>)> {
        let seen = self.seen();
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        // A request from an earlier epoch may legitimately be missing in this one.
        let last = written.last.clone().filter(|_| seen.epoch == written.progress.epoch);
        (self.is_kept() && seen > written.progress).then_some((seen, last))
    }

    /// Why the last write failed, if it did.
    pub fn write_error(&self) -> Option<String> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).write_error.clone()
    }

    /// From now on, treat the database as current.
    pub fn mark_current(&self) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.0 = true;
    }

    /// Once a minute: `Some(true)` if this process must record in the database that it is current, `Some(false)` if it
    /// must check whether another process has.
    pub fn is_due(&self, now: i64) -> Option<bool> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let due = known.1.is_none_or(|last| now.saturating_sub(last) >= EACH_US || now < last);
        if due {
            known.1 = Some(now);
        }
        due.then_some(known.0)
    }

    /// Stores when a process last recorded that the database is current; returns the previous value.
    pub fn swap_last_current(&self, said: Option<i64>) -> Option<i64> {
        std::mem::replace(&mut *self.heard.lock().unwrap_or_else(PoisonError::into_inner), said)
    }

    pub fn saw(&self, now: Progress) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        *seen = (*seen).max(now);
    }

    /// The furthest progress this process has seen. A caller that reads this first and then finds less in the database
    /// is connected to an older database.
    pub fn seen(&self) -> Progress {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The mark's path under these settings.
pub fn place_in(config: &Given) -> PathBuf {
    config.mark_file.clone().unwrap_or_else(|| place(&config.master_key_file))
}

/// The mark's default path for a key file.
pub fn place(key: &Path) -> PathBuf {
    let name = key.file_name().unwrap_or_default().to_string_lossy();
    key.with_file_name(format!("{name}.mark"))
}

/// Writes the file atomically: a partial mark would be unusable.
fn write(file: &Path, noted: &MarkContents) -> io::Result<()> {
    use io::Write as _;
    let unfinished = backup::unfinished(file);
    let mut to = secrets::for_its_owner().create(true).truncate(true).open(&unfinished)?;
    to.write_all(&serde_json::to_vec(noted)?)?;
    to.sync_all()?;
    std::fs::rename(&unfinished, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(epoch: i64, sent: i64) -> MarkContents {
        MarkContents { database: "db".to_owned(), epoch, sent, last: Some("sub_1".to_owned()), at: 7 }
    }

    #[test]
    fn a_mark_is_read_as_it_was_noted() {
        let folder = tempfile::tempdir().unwrap();
        let mark = Mark::beside(&folder.path().join("bursar.key"));
        assert_eq!(mark.read().unwrap(), None);
        mark.note(&contents(0, 5));
        mark.note(&contents(0, 6));
        assert_eq!(mark.read().unwrap(), Some(contents(0, 6)));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing lies about");
        std::fs::write(folder.path().join("bursar.key.mark"), "{").unwrap();
        assert!(mark.read().is_err());
    }

    #[test]
    fn who_can_tell_says_so_once_a_minute_and_the_others_look() {
        let mark = Mark::default();
        assert_eq!(mark.is_due(0), Some(false));
        assert_eq!(mark.is_due(EACH_US - 1), None);
        assert_eq!((mark.swap_last_current(Some(3)), mark.swap_last_current(Some(5))), (None, Some(3)));
        mark.mark_current();
        assert_eq!(mark.is_due(EACH_US), Some(true));
        assert_eq!(mark.is_due(EACH_US + 1), None);
        assert_eq!(mark.is_due(EACH_US - 5), Some(true), "the clock was set back");
    }

    #[test]
    fn what_others_have_sent_is_noted_as_well() {
        let folder = tempfile::tempdir().unwrap();
        let mark = Mark::beside(&folder.path().join("bursar.key"));
        mark.found(&contents(0, 5));
        mark.saw(Progress { epoch: 0, sent: 5 });
        assert_eq!(mark.unrecorded(), None);
        mark.saw(Progress { epoch: 0, sent: 7 });
        let beyond = (Progress { epoch: 0, sent: 7 }, Some("sub_1".to_owned()));
        assert_eq!(mark.unrecorded(), Some(beyond), "with the last of our own, which is still to be there");
        mark.note_others(&contents(0, 7));
        assert_eq!(mark.unrecorded(), None);
        assert_eq!(mark.read().unwrap(), Some(contents(0, 7)));
        let shares = Mark::beside(&folder.path().join("bursar.key"));
        shares.note_others(&MarkContents { last: None, ..contents(0, 7) });
        assert_eq!(shares.read().unwrap(), Some(contents(0, 7)), "whoever sent knows better");
        mark.saw(Progress { epoch: 1, sent: 6 });
        assert_eq!(
            mark.unrecorded(),
            Some((Progress { epoch: 1, sent: 6 }, None)),
            "it went back, and that was noticed"
        );
        let nowhere = Mark::default();
        nowhere.saw(Progress { epoch: 0, sent: 7 });
        assert_eq!(nowhere.unrecorded(), None, "there is no file");
    }

    #[test]
    fn a_folder_that_cannot_be_written_stops_nobody() {
        let mark = Mark::beside(Path::new("/nowhere/at/all/bursar.key"));
        mark.note(&contents(0, 5));
        assert!(mark.write_error().is_some());
        assert_eq!(mark.seen(), Progress { epoch: 0, sent: 5 });
        mark.saw(Progress { epoch: 0, sent: 4 });
        assert_eq!(mark.seen().sent, 5, "it was further before");
        mark.saw(Progress { epoch: 1, sent: 2 });
        assert_eq!(mark.seen().epoch, 1, "another epoch may begin lower");
    }
}
