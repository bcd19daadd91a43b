//! The key file: a key a line, the one that is to seal first. It is read strictly, and replaced in one step: whoever dies in
//! between leaves the one from before or the one after. What is deliberately not here: what its keys do (`master`).

use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use super::one_key::OneKey;
use super::{for_its_owner, make_durable, must_be_kept};

/// Reads the keys in a file; `None` when there is none.
///
/// # Errors
/// When it cannot be read, others on the machine can read it too, or it holds anything but keys.
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

/// Makes a file that is not there yet, for its owner alone.
///
/// # Errors
/// When it is there already, or cannot be made; then nothing is left of it.
pub fn make(path: &Path, keys: &[OneKey]) -> io::Result<()> {
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

/// Which file lies at a place: another one, or one that was written since, has another stamp.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stamp([i64; 7]);

impl Stamp {
    /// Of the file that lies there now, wherever links lead; nothing when there is none.
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

/// A key file that nobody else of this program changes while this is held.
#[derive(Debug)]
pub struct Locked {
    /// Where the file itself is, behind all links.
    place: PathBuf,
    /// The file, and those that took its place since: each carries its lock.
    held: Vec<File>,
    /// Whether locks can be had here.
    is_alone: bool,
}

impl Locked {
    /// Takes the file. A link stays a link: what it leads to is replaced.
    ///
    /// # Errors
    /// [`ErrorKind::WouldBlock`] when another process has it; otherwise when it is not there, or cannot be read.
    pub fn of(path: &Path) -> io::Result<Self> {
        let place = std::fs::canonicalize(path)?;
        let file = File::open(&place)?;
        let is_alone = lock(&file)?;
        // Whoever had it before may have put another file in its place meanwhile.
        if Stamp::read(&file.metadata()?).0[..2] != Stamp::read(&std::fs::metadata(&place)?).0[..2] {
            return Err(io::Error::new(ErrorKind::WouldBlock, "it was replaced just now"));
        }
        let locked = Self { place, held: vec![file], is_alone };
        // Of a run that was killed: keys lie in it.
        let _ = std::fs::remove_file(locked.beside());
        Ok(locked)
    }

    /// Whether nobody else can have it: not every file system has locks.
    pub fn is_alone(&self) -> bool {
        self.is_alone
    }

    /// Where a new file is written before it takes the place.
    fn beside(&self) -> PathBuf {
        let name = self.place.file_name().unwrap_or_default().to_string_lossy();
        self.place.with_file_name(format!(".{name}.unfinished"))
    }

    /// Replaces the file with one of these keys, of the same owner, group and mode: all of it or nothing. When this returns, it
    /// is there also after the power has failed.
    ///
    /// # Errors
    /// When a file cannot be written beside it, or not given to its owner. Then it is as it was, unless only the folder could
    /// not be made durable.
    pub fn write(&mut self, keys: &[OneKey]) -> io::Result<()> {
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

    /// Makes sure that what lies there stays also when the power fails: whoever wrote it may have died before that.
    ///
    /// # Errors
    /// When that cannot be had.
    pub fn make_durable(&self) -> io::Result<()> {
        let sync = || {
            File::open(&self.place)?.sync_all()?;
            make_durable(&self.place)
        };
        match sync() {
            // What cannot be written here was written elsewhere.
            Err(error) if error.kind() == ErrorKind::ReadOnlyFilesystem => Ok(()),
            done => done,
        }
    }
}

/// Whether it is locked now; false where there are no locks.
fn lock(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Err(ErrorKind::WouldBlock.into()),
        Err(TryLockError::Error(_)) => Ok(false),
    }
}

/// Gives a new file the owner, the group and the mode of the one whose place it is to take.
fn give_as(file: &File, there: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
        let (ours, theirs) = (file.metadata()?, std::fs::metadata(there)?);
        let differs = |ours: u32, theirs: u32| (ours != theirs).then_some(theirs);
        let (owner, group) = (differs(ours.uid(), theirs.uid()), differs(ours.gid(), theirs.gid()));
        if owner.is_some() || group.is_some() {
            fchown(file, owner, group).map_err(|error| {
                let told = format!("the new file cannot be given to the owner and group of this one ({error}); run this as its owner, or as root");
                io::Error::new(error.kind(), told)
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
        // As it was written when it held one key.
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
        // Something that cannot be taken away where the new file is made: so it is also for root.
        std::fs::create_dir(folder.path().join(".bursar.key.unfinished")).unwrap();
        assert!(held.write(&[key(2), key(1)]).is_err());
        assert_eq!(read(&file).unwrap(), Some(vec![key(1)]));
        assert_eq!(Locked::of(&folder.path().join("none")).unwrap_err().kind(), ErrorKind::NotFound);
    }
}
