//! Secrets: the master key and what it seals, and the hashes that stand for secrets we only compare.

pub mod key_file;
mod master;
mod one_key;

use std::fs::{File, OpenOptions};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, mpsc};

use sha2::{Digest as _, Sha256};

use crate::clock::Clock;
use crate::turns::{Busy, Turns, cores};

pub use master::MasterKey;
pub use one_key::{HEAD_LENGTH, OneKey, Place, id_in};

/// How a file is made that only its owner may read or write.
pub fn for_its_owner() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// What a folder says of its files is durable only once the folder is.
///
/// # Errors
/// When the folder cannot be opened.
pub fn make_durable(file: &Path) -> std::io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// Takes a file that is there from everybody but its owner.
///
/// # Errors
/// When it is somebody else's.
pub fn give_to_owner(path: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    if path.exists() && is_open_to_others(path)? {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(path, mode)?;
    }
    Ok(())
}

/// A secret from a file, without the end of its last line.
///
/// # Errors
/// When it cannot be read, or others on the machine can read it too.
pub fn read_kept(path: &Path) -> std::io::Result<String> {
    let text = std::fs::read_to_string(path)?;
    must_be_kept(path, "", ", change what it holds")?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

/// Refuses a file that others may have read.
fn must_be_kept(path: &Path, with_it: &str, then: &str) -> std::io::Result<()> {
    if is_kept(path)? {
        return Ok(());
    }
    let file = path.display();
    Err(std::io::Error::other(format!(
        "others on this machine can read or change it{with_it}. Run `chmod 600 {file}` (its group may read it, 0440, if it belongs to root or to the user that runs Bursar); if somebody may have read it{then}"
    )))
}

/// Whether a secret is kept from everybody whom it is not for: others may do nothing with the file, and its group at most
/// read it, as secrets are mounted into containers (root's, 0440). The group is believed only where the file belongs to
/// root or to us: whoever owns it has chosen the group.
fn is_kept(path: &Path) -> std::io::Result<bool> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let file = std::fs::metadata(path)?;
        let ours = std::fs::metadata("/proc/self").map(|us| us.uid()).unwrap_or(0);
        let group_reads = file.mode() & 0o070 == 0o040 && [0, ours].contains(&file.uid());
        Ok(file.mode() & 0o077 == 0 || (file.mode() & 0o007 == 0 && group_reads))
    }
    #[cfg(not(unix))]
    std::fs::metadata(path).map(|_| true)
}

/// Whether anybody but its owner may read or write a file.
///
/// # Errors
/// When it cannot be looked at.
pub fn is_open_to_others(path: &Path) -> std::io::Result<bool> {
    #[cfg(unix)]
    return Ok(std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(path)?) & 0o077 != 0);
    #[cfg(not(unix))]
    return std::fs::metadata(path).map(|_| false);
}

/// What is stored in place of a token or key that carries enough chance of its own.
pub fn token_hash(token: &str) -> String {
    Sha256::digest(token.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// How many slow hashes are made at a time, and how many may wait. Each takes a core for tens of milliseconds and 19 MiB:
/// without a bound, strangers who guess would take all there are. They are made on threads of their own, one for each core,
/// because every thread that has made one keeps its memory.
pub struct Hashing {
    turns: Turns,
    jobs: mpsc::Sender<Job>,
}

type Job = Box<dyn FnOnce() + Send>;

/// For whoever has not signed in.
static STRANGERS: LazyLock<Hashing> = LazyLock::new(Hashing::begin);
/// For whoever has: proving again, and choosing a password. They never wait behind strangers.
static KNOWN: LazyLock<Hashing> = LazyLock::new(Hashing::begin);
const MOST_WAITING: usize = 64;

impl Hashing {
    fn begin() -> Self {
        let (jobs, waiting) = mpsc::channel::<Job>();
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..cores() {
            let waiting = Arc::clone(&waiting);
            let next = move || waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let begun = std::thread::Builder::new().spawn(move || {
                while let Ok(job) = next() {
                    // Whoever waits for it is told by what was dropped.
                    let _ = catch_unwind(AssertUnwindSafe(job));
                }
            });
            if let Err(error) = begun {
                tracing::error!(%error, "there is no thread to make hashes of passwords on");
            }
        }
        Self { turns: Turns::of_cores(MOST_WAITING), jobs }
    }

    /// That of people who have not signed in; the cores are the machine's, so there is one for the process.
    pub fn of_strangers() -> &'static Self {
        &STRANGERS
    }

    /// That of people who have.
    pub fn of_the_known() -> &'static Self {
        &KNOWN
    }

    /// Does the work on a thread that may take long, when its turn has come.
    ///
    /// # Errors
    /// [`Busy`] when too many wait already.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Busy> {
        let _turn = self.turns.take().await?;
        let (tell, told) = tokio::sync::oneshot::channel();
        let job: Job = Box::new(move || {
            let _ = tell.send(work());
        });
        self.jobs.send(job).map_err(|_| Busy)?;
        told.await.map_err(|_| Busy)
    }
}

/// Hashes a password the slow way.
///
/// # Errors
/// When the parameters are refused, which they are not.
pub fn password_hash(clock: &Clock, password: &str) -> Result<String, argon2::password_hash::Error> {
    use argon2::password_hash::PasswordHasher as _;
    let salt = clock.chance().to_be_bytes();
    Ok(argon2::Argon2::default().hash_password_with_salt(password.as_bytes(), &salt)?.to_string())
}

/// Whether the password is the one that was hashed.
pub fn password_matches(password: &str, hash: &str) -> bool {
    use argon2::password_hash::{PasswordVerifier as _, phc::PasswordHash};
    PasswordHash::new(hash)
        .is_ok_and(|parsed| argon2::Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_hash_that_fails_takes_no_thread_with_it() {
        let hashing = Hashing::begin();
        for _ in 0..2 * cores() {
            assert_eq!(hashing.run(|| panic!("it cannot be made")).await.map(|()| 1), Err(Busy));
        }
        assert_eq!(hashing.run(|| 7).await, Ok(7));
    }

    #[test]
    fn a_password_matches_only_itself() {
        let (clock, _) = Clock::standing_at(0, 1);
        let hash = password_hash(&clock, "correct horse").unwrap();
        assert!(password_matches("correct horse", &hash));
        assert!(!password_matches("correct horses", &hash));
        assert!(!password_matches("correct horse", "not a hash"));
    }
}
