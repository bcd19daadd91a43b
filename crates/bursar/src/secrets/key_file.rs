//! The key file: one key per line, the sealing key first. It is parsed strictly and replaced atomically, so a crash
//! leaves either the old file or the new one. Not here: using the keys (`master`).

use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use super::one_key::OneKey;
use super::{for_its_owner, make_durable, must_be_kept, must_last};

/// Reads the keys in a file; `None` if there is no file.
///
/// # Errors
/// The file cannot be read, other users on the machine can read it, or it contains anything but keys.
pub fn read(path: &Path) -> io::Result<Option<Vec<OneKey>>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    must_be_kept(path, ", and with it every secret in the database", ", change the vendors' keys too")?;
    let keys: Option<Vec<OneKey>> = text.trim().lines().map(|line| OneKey::parse(line.trim())).collect();
    let told = || io::Error::other("it must hold master keys, one per line, and nothing else");
    let keys = keys.filter(|keys| !keys.is_empty()).ok_or_else(told)?;
    let mut each: Vec<OneKey> = Vec::new();
    keys.into_iter().for_each(|key| {
        if !each.contains(&key) {
            each.push(key)
        }
    });
    Ok(Some(each))
}

/// Creates a new key file that only its owner can access.
///
/// # Errors
/// The file exists already or cannot be created, or would be lost with the service; nothing is left behind.
pub fn make(path: &Path, keys: &[OneKey]) -> io::Result<()> {
    must_last(path)?;
    let mut file = for_its_owner().create_new(true).open(path)?;
    let made = fill(&mut file, keys).and_then(|()| make_durable(path));
    if made.is_err() {
        let _ = std::fs::remove_file(path);
    }
    made
}

fn fill(file: &mut File, keys: &[OneKey]) -> io::Result<()> {
    let text: String = keys.iter().map(|key| format!("{}\n", key.line())).collect();
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Identifies a file's version: a different or rewritten file has a different stamp.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stamp([i64; 7]);

impl Stamp {
    /// The stamp of the file now at this path, following links; `None` if there is none.
    pub fn of(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().map(|file| Self::read(&file))
    }

    #[cfg(unix)]
    fn read(file: &std::fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        let of = u64::cast_signed;
        let written = [file.mtime(), file.mtime_nsec(), file.ctime(), file.ctime_nsec()];
        let [at, at_ns, changed, changed_ns] = written;
        Self([of(file.dev()), of(file.ino()), of(file.size()), at, at_ns, changed, changed_ns])
    }

    #[cfg(not(unix))]
    fn read(file: &std::fs::Metadata) -> Self {
        let at = file.modified().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
        let (seconds, rest) =
            at.map(|at| (at.as_secs().cast_signed(), at.subsec_nanos())).unwrap_or_default();
        Self([0, 0, file.len().cast_signed(), seconds, rest.into(), 0, 0])
    }
}

/// A key file locked against other processes of this program.
#[derive(Debug)]
pub struct Locked {
    /// The path of the file itself, with links resolved.
    place: PathBuf,
    /// The file and its replacements since; each holds its own lock.
    held: Vec<File>,
    /// Whether this file system supports locks.
    is_alone: bool,
}

impl Locked {
    /// Locks the file. A link is kept; its target is what gets replaced.
    ///
    /// # Errors
    /// [`ErrorKind::WouldBlock`] if another process holds the lock; otherwise the file is missing or cannot be read.
    pub fn of(path: &Path) -> io::Result<Self> {
        let place = std::fs::canonicalize(path)?;
        let file = File::open(&place)?;
        let is_alone = lock(&file)?;
        // The previous holder may have replaced the file in the meantime.
        if Stamp::read(&file.metadata()?).0[..2] != Stamp::read(&std::fs::metadata(&place)?).0[..2] {
            return Err(io::Error::new(ErrorKind::WouldBlock, "it was replaced just now"));
        }
        let locked = Self { place, held: vec![file], is_alone };
        // Left by a killed run, with keys in it.
        let _ = std::fs::remove_file(locked.beside());
        Ok(locked)
    }

    /// Whether the lock is exclusive; some file systems have no locks.
    pub fn is_alone(&self) -> bool {
        self.is_alone
    }

    /// The temporary path of the new file.
    fn beside(&self) -> PathBuf {
        let name = self.place.file_name().unwrap_or_default().to_string_lossy();
        self.place.with_file_name(format!(".{name}.unfinished"))
    }

    /// Atomically replaces the file with one that holds these keys, keeping owner, group and mode. Once this returns,
    /// the new file survives a power failure.
    ///
    /// # Errors
    /// The temporary file cannot be written or given to its owner. The old file is then unchanged, unless only syncing
    /// the folder failed.
    pub fn write(&mut self, keys: &[OneKey]) -> io::Result<()> {
        must_last(&self.place)?;
        let beside = self.beside();
        match std::fs::remove_file(&beside) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file = for_its_owner().create_new(true).open(&beside)?;
        let written = give_as(&file, &self.place)
            .and_then(|()| fill(&mut file, keys))
            .and_then(|()| lock(&file))
            .and_then(|_| std::fs::rename(&beside, &self.place));
        if let Err(error) = written {
            let _ = std::fs::remove_file(&beside);
            return Err(error);
        }
        self.held.push(file);
        make_durable(&self.place)
    }

    /// Syncs the existing file, since its writer may have died before doing so.
    ///
    /// # Errors
    /// Syncing fails.
    pub fn make_durable(&self) -> io::Result<()> {
        let sync = || {
            File::open(&self.place)?.sync_all()?;
            make_durable(&self.place)
        };
        match sync() {
            // On a read-only file system, another system wrote the file.
            Err(error) if error.kind() == ErrorKind::ReadOnlyFilesystem => Ok(()),
            done => done,
        }
    }
}

/// Takes the lock; `false` if the file system has no locks.
fn lock(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Err(ErrorKind::WouldBlock.into()),
        Err(TryLockError::Error(_)) => Ok(false),
    }
}

/// Copies owner, group and mode from the file that is about to be replaced.
fn give_as(file: &File, there: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
        let (ours, theirs) = (file.metadata()?, std::fs::metadata(there)?);
        let differs = |ours: u32, theirs: u32| (ours != theirs).then_some(theirs);
        let (owner, group) = (differs(ours.uid(), theirs.uid()), differs(ours.gid(), theirs.gid()));
        if owner.is_some() || group.is_some() {
            fchown(file, owner, group).map_err(|error| {
                let message = format!("the new file cannot be given to the owner and group of this one ({error}); run this as its owner, or as root");
                io::Error::new(error.kind(), message)
            })?;
        }
        file.set_permissions(std::fs::Permissions::from_mode(theirs.mode() & 0o777))?;
    }
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use super::*;

    fn key(byte: u8) -> OneKey {
        OneKey::new([byte; 32])
    }

    #[test]
    fn keys_are_read_as_they_were_written_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("bursar.key");
        assert!(read(&file).unwrap().is_none());
        make(&file, &[key(1)]).unwrap();
        assert_eq!(read(&file).unwrap(), Some(vec![key(1)]));
        assert_eq!(make(&file, &[key(2)]).unwrap_err().kind(), ErrorKind::AlreadyExists);
        let (one, two) = (key(1).line(), key(2).line());
        // The file format for a single key.
        for (text, keys) in [(one.clone(), vec![1]), (format!("{two}\r\n{one}\n"), vec![2, 1])] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(read(&file).unwrap(), Some(keys.into_iter().map(key).collect::<Vec<_>>()));
        }
        std::fs::write(&file, format!("{one}\n{two}\n{one}\n")).unwrap();
        assert_eq!(read(&file).unwrap().unwrap().len(), 2, "the same twice is one");
        for strange in [
            "",
            "\n",
            "# ours",
            &one[1..],
            &format!("{one}\n# old\n{two}"),
            &format!("{one} {two}"),
            &format!("{one}\n\n{two}"),
        ] {
            std::fs::write(&file, strange).unwrap();
            assert!(read(&file).is_err(), "{strange:?}");
        }
    }

    #[test]
    fn a_file_is_replaced_in_one_step_and_keeps_its_mode_and_its_links() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("secret")).unwrap();
        make(&at("secret/real.key"), &[key(1)]).unwrap();
        std::fs::set_permissions(at("secret/real.key"), std::fs::Permissions::from_mode(0o440)).unwrap();
        std::os::unix::fs::symlink("secret/real.key", at("bursar.key")).unwrap();
        std::fs::write(at("secret/.real.key.unfinished"), "of a run that was killed").unwrap();
        let before = Stamp::of(&at("bursar.key"));
        let mut file = Locked::of(&at("bursar.key")).unwrap();
        assert!(file.is_alone() && std::fs::read_dir(at("secret")).unwrap().count() == 1, "its rest is gone");
        assert_eq!(Locked::of(&at("secret/real.key")).unwrap_err().kind(), ErrorKind::WouldBlock);
        file.write(&[key(2), key(1)]).unwrap();
        file.make_durable().unwrap();
        let second = Locked::of(&at("bursar.key")).unwrap_err();
        assert_eq!(second.kind(), ErrorKind::WouldBlock, "also the one that took its place is held");
        assert_eq!(read(&at("bursar.key")).unwrap().unwrap(), [key(2), key(1)]);
        assert_ne!(Stamp::of(&at("bursar.key")), before);
        assert!(at("bursar.key").is_symlink());
        assert_eq!(std::fs::metadata(at("secret/real.key")).unwrap().mode() & 0o777, 0o440);
        assert_eq!(std::fs::read_dir(at("secret")).unwrap().count(), 1, "nothing lies about");
        drop(file);
        Locked::of(&at("bursar.key")).unwrap();
    }

    #[test]
    fn where_it_cannot_be_written_it_stays_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("bursar.key");
        make(&file, &[key(1)]).unwrap();
        let mut held = Locked::of(&file).unwrap();
        // An obstacle at the temporary path that stops root too.
        std::fs::create_dir(folder.path().join(".bursar.key.unfinished")).unwrap();
        assert!(held.write(&[key(2), key(1)]).is_err());
        assert_eq!(read(&file).unwrap(), Some(vec![key(1)]));
        assert_eq!(Locked::of(&folder.path().join("none")).unwrap_err().kind(), ErrorKind::NotFound);
    }
}
