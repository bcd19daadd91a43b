//! The file format of a SQLite backup: the database, followed by a one-page text manifest that describes it and carries
//! its checksum. Any SQLite client opens the file as is; `bursar restore` trusts only the manifest. Not here: copying
//! the database (`store::copy`), and when to back up or restore (`cli`, `ops::backups`).

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::secrets::{self, make_durable};

/// The manifest's size in bytes at the end of the file: one database page.
const MANIFEST: usize = 4_096;
/// The read buffer's size in bytes.
const AT_ONCE: usize = 1 << 20;
/// The only format version so far.
const FORMAT: u32 = 1;

/// The manifest of a backup.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// The format version of the file.
    pub bursar_backup: u32,
    /// The version of Bursar that made it.
    pub program: String,
    /// When it was made, in RFC 3339.
    pub made: String,
    /// The same moment in microseconds UTC.
    pub made_at: i64,
    /// The database's id, if it had one.
    pub database: Option<String>,
    pub schema: i64,
    /// How many times the database had been restored before.
    pub epoch: i64,
    /// How many vendor requests the database had committed to send.
    pub sent: i64,
    /// The database's size in bytes.
    pub bytes: u64,
    /// The SHA-256 of these bytes.
    pub sha256: String,
}

impl Manifest {
    /// The manifest before the copy exists: no size or checksum yet.
    pub fn of(made: (String, i64), database: Option<String>, schema: i64, progress: (i64, i64)) -> Self {
        Self {
            bursar_backup: FORMAT,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            made: made.0,
            made_at: made.1,
            database,
            schema,
            epoch: progress.0,
            sent: progress.1,
            bytes: 0,
            sha256: String::new(),
        }
    }
}

/// The temporary name for a file being written: in the same folder as its destination, so that one rename finishes it.
pub fn unfinished(file: &Path) -> PathBuf {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    file.with_file_name(format!(".{name}.{}.unfinished", std::process::id()))
}

/// Creates an empty file that only its owner can read.
///
/// # Errors
/// The file exists already or cannot be created.
pub fn make_empty(file: &Path) -> io::Result<()> {
    secrets::for_its_owner().create_new(true).open(file).map(drop)
}

/// Reads the copy once, appends the manifest with its checksum, and syncs the file to disk. Calls `on_read` with the
/// size of each chunk read.
///
/// # Errors
/// The file cannot be read or written.
pub fn seal(copy: &Path, manifest: Manifest, mut on_read: impl FnMut(u64)) -> io::Result<Manifest> {
    let mut file = secrets::for_its_owner().read(true).open(copy)?;
    let (bytes, sha256) = digest(&mut file, u64::MAX, |part| {
        on_read(part.len() as u64);
        Ok(())
    })?;
    let manifest = Manifest { bytes, sha256, ..manifest };
    let mut page = serde_json::to_vec(&manifest)?;
    if page.len() >= MANIFEST {
        return Err(io::Error::other("the manifest is too long"));
    }
    page.resize(MANIFEST - 1, b' ');
    page.push(b'\n');
    file.seek(SeekFrom::End(0))?;
    file.write_all(&page)?;
    file.sync_all()?;
    Ok(manifest)
}

/// Moves a finished file to its destination without overwriting anything, and syncs the folder.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] if something is there.
pub fn put_in_place(finished: &Path, place: &Path) -> io::Result<()> {
    // A hard link fails if the destination exists; a rename would overwrite it.
    match std::fs::hard_link(finished, place) {
        Ok(()) => std::fs::remove_file(finished)?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(error),
        // Some file systems do not support hard links.
        Err(_) if !place.exists() => std::fs::rename(finished, place)?,
        Err(error) => return Err(error),
    }
    make_durable(place)
}

/// Reads a backup's manifest, without verifying it.
///
/// # Errors
/// The file cannot be read, is not a backup, or is truncated.
pub fn manifest_of(backup: &Path) -> io::Result<Manifest> {
    let mut file = File::open(backup)?;
    let none = || {
        io::Error::other(
            "it is not a backup made by `bursar backup`, or it is truncated. Use another backup; restore a database file that was copied by hand by hand as well",
        )
    };
    let length = file.metadata()?.len();
    let start = length.checked_sub(MANIFEST as u64).ok_or_else(none)?;
    file.seek(SeekFrom::Start(start))?;
    let mut page = Vec::with_capacity(MANIFEST);
    file.read_to_end(&mut page)?;
    let manifest: Manifest = serde_json::from_slice(page.trim_ascii_end()).map_err(|_| none())?;
    if manifest.bursar_backup != FORMAT {
        return Err(io::Error::other("its format is newer than this version supports; use a newer Bursar"));
    }
    if manifest.bytes != start {
        return Err(io::Error::other(format!(
            "it is damaged: it should hold {} bytes of the database, but holds {start}. Use another backup",
            manifest.bytes
        )));
    }
    Ok(manifest)
}

/// Extracts the database from a backup into a new file and verifies its checksum on the way. Removes the new file if
/// verification fails.
///
/// # Errors
/// The backup is damaged, or a file cannot be read or written.
pub fn unpack(backup: &Path, to: &Path, on_read: impl FnMut(u64)) -> io::Result<Manifest> {
    let manifest = manifest_of(backup)?;
    let unpacked = copy_proven(backup, to, &manifest, on_read);
    if unpacked.is_err() && to.exists() {
        std::fs::remove_file(to)?;
    }
    unpacked.map(|()| manifest)
}

fn copy_proven(
    backup: &Path,
    to: &Path,
    manifest: &Manifest,
    mut on_read: impl FnMut(u64),
) -> io::Result<()> {
    let mut from = File::open(backup)?;
    let mut into = secrets::for_its_owner().create_new(true).open(to)?;
    let (bytes, sha256) = digest(&mut from, manifest.bytes, |part| {
        on_read(part.len() as u64);
        into.write_all(part)
    })?;
    into.sync_all()?;
    if (bytes, &sha256) != (manifest.bytes, &manifest.sha256) {
        return Err(io::Error::other(format!(
            "it is damaged: its SHA-256 is {sha256}, but it was {} when it was made. Use another backup",
            manifest.sha256
        )));
    }
    Ok(())
}

/// Reads at most `most` bytes; returns how many were read and their SHA-256.
fn digest(
    file: &mut File,
    most: u64,
    mut each: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<(u64, String)> {
    let (mut hasher, mut buffer, mut done) = (Sha256::new(), vec![0_u8; AT_ONCE], 0_u64);
    while done < most {
        let room = usize::try_from(most - done).unwrap_or(AT_ONCE).min(AT_ONCE);
        let read = file.read(&mut buffer[..room])?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
        each(&buffer[..read])?;
        done += read as u64;
    }
    let sha256 = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((done, sha256))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(at: &Path) -> Manifest {
        let copy = unfinished(at);
        make_empty(&copy).unwrap();
        std::fs::write(&copy, vec![7_u8; 10_000]).unwrap();
        let made = Manifest::of(("then".to_owned(), 5), None, 68, (0, 3));
        let manifest = seal(&copy, made, |_| ()).unwrap();
        put_in_place(&copy, at).unwrap();
        manifest
    }

    #[test]
    fn what_was_sealed_is_unpacked_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let manifest = sealed(&at("b"));
        assert_eq!((manifest.bytes, manifest.sent, manifest.schema), (10_000, 3, 68));
        assert_eq!(unpack(&at("b"), &at("new"), |_| ()).unwrap(), manifest);
        assert_eq!(std::fs::read(at("new")).unwrap(), vec![7_u8; 10_000]);
        let whole = std::fs::read(at("b")).unwrap();
        let mut flipped = whole.clone();
        flipped[5_000] = 8;
        for (broken, why) in [
            (flipped, "SHA-256"),
            (whole[..9_000].to_vec(), "truncated"),
            (whole[1_000..].to_vec(), "should hold 10000 bytes"),
            (vec![7_u8; 10], "truncated"),
        ] {
            std::fs::write(at("broken"), broken).unwrap();
            let message = unpack(&at("broken"), &at("other"), |_| ()).unwrap_err().to_string();
            assert!(message.contains(why), "{message}");
            assert!(!at("other").exists(), "nothing is left of it");
        }
    }

    #[test]
    fn nothing_is_ever_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("there"), "kept").unwrap();
        std::fs::write(at("finished"), "new").unwrap();
        assert_eq!(
            put_in_place(&at("finished"), &at("there")).unwrap_err().kind(),
            io::ErrorKind::AlreadyExists
        );
        assert_eq!(std::fs::read(at("there")).unwrap(), b"kept");
    }
}
