//! Secrets: the master key and what it encrypts, and hashes of secrets that are only compared.

pub mod key_file;
mod master;
mod one_key;

use std::fs::{File, OpenOptions};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, mpsc};

use sha2::{Digest as _, Sha256};

use crate::clock::Clock;
use crate::work_limit::{Busy, WorkLimit, cores};

pub use master::MasterKey;
pub use one_key::{HEAD_LENGTH, OneKey, SealedAt, id_in};

/// Options for creating a file that only its owner may read or write.
pub fn for_its_owner() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Whether systemd passes the file to this process as a credential (`LoadCredential=`): a copy in memory, which ends with
/// the service. Whatever is written there is lost.
pub fn is_credential(path: &Path) -> bool {
    let given = std::env::var_os("CREDENTIALS_DIRECTORY").filter(|folder| !folder.is_empty());
    let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let Some(folder) = path.parent().map(real) else { return false };
    // A command that an administrator runs has no such variable.
    folder.starts_with("/run/credentials")
        || given.is_some_and(|given| folder.starts_with(real(Path::new(&given))))
}

/// Refuses to write a file that would be lost.
fn must_last(path: &Path) -> std::io::Result<()> {
    if !is_credential(path) {
        return Ok(());
    }
    let message = "systemd passes it as a credential (LoadCredential=), a copy that ends with the service, so nothing is written there";
    Err(std::io::Error::new(std::io::ErrorKind::ReadOnlyFilesystem, message))
}

/// Syncs a file's folder, without which a new name in it is not durable.
///
/// # Errors
/// The folder cannot be opened.
pub fn make_durable(file: &Path) -> std::io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// Makes an existing file private to its owner.
///
/// # Errors
/// Another user owns the file.
pub fn give_to_owner(path: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    if path.exists() && is_open_to_others(path)? {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(path, mode)?;
    }
    Ok(())
}

/// Reads a secret from a file, without the trailing newline.
///
/// # Errors
/// The file cannot be read, or other users on the machine can read it.
pub fn read_private(path: &Path) -> std::io::Result<String> {
    let text = std::fs::read_to_string(path)?;
    must_be_kept(path, "", ", change what it holds")?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

/// Rejects a file that others may have read.
fn must_be_kept(path: &Path, with_it: &str, then: &str) -> std::io::Result<()> {
    if is_private(path)? {
        return Ok(());
    }
    let file = path.display();
    Err(std::io::Error::other(format!(
        "others on this machine can read or change it{with_it}. Run `chmod 600 {file}` (its group may read it, 0440, if it belongs to root or to the user that runs Bursar); if somebody may have read it{then}"
    )))
}

/// Whether a secret file is private: others have no access, and the group can at most read, as for secrets mounted into
/// containers (owned by root, mode 0440). Group access is allowed only if root or this user owns the file, because the
/// owner chose the group.
fn is_private(path: &Path) -> std::io::Result<bool> {
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

/// Whether anyone but the owner may access a file.
///
/// # Errors
/// The file cannot be inspected.
pub fn is_open_to_others(path: &Path) -> std::io::Result<bool> {
    #[cfg(unix)]
    return Ok(std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(path)?) & 0o077 != 0);
    #[cfg(not(unix))]
    return std::fs::metadata(path).map(|_| false);
}

/// The stored hash of a token or key that has enough entropy of its own.
pub fn token_hash(token: &str) -> String {
    Sha256::digest(token.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bounds how many slow hashes run at once and how many may wait. Each takes a core for tens of milliseconds and 19
/// MiB, so unbounded password guesses would exhaust the machine. They run on dedicated threads, one per core, because a
/// thread keeps its memory after making a hash.
pub struct Hashing {
    limit: WorkLimit,
    jobs: mpsc::Sender<Job>,
}

type Job = Box<dyn FnOnce() + Send>;

/// For requests without a session.
static STRANGERS: LazyLock<Hashing> = LazyLock::new(Hashing::begin);
/// For signed-in people: step-up and password changes. They never queue behind strangers.
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
                    // The waiting caller sees its dropped channel.
                    let _ = catch_unwind(AssertUnwindSafe(job));
                }
            });
            if let Err(error) = begun {
                tracing::error!(%error, "there is no thread to make hashes of passwords on");
            }
        }
        Self { limit: WorkLimit::of_cores(MOST_WAITING), jobs }
    }

    /// The queue for people who have not signed in. There is one per process because the cores belong to the machine.
    pub fn of_strangers() -> &'static Self {
        &STRANGERS
    }

    /// The queue for signed-in people.
    pub fn of_the_known() -> &'static Self {
        &KNOWN
    }

    /// Runs blocking work on a hashing thread when its turn comes.
    ///
    /// # Errors
    /// [`Busy`] if too many are waiting already.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Busy> {
        let _permit = self.limit.take().await?;
        let (tell, told) = tokio::sync::oneshot::channel();
        let job: Job = Box::new(move || {
            let _ = tell.send(work());
        });
        self.jobs.send(job).map_err(|_| Busy)?;
        told.await.map_err(|_| Busy)
    }
}

/// Hashes a password with Argon2.
///
/// # Errors
/// Argon2 rejects the parameters, which the defaults never cause.
pub fn password_hash(clock: &Clock, password: &str) -> Result<String, argon2::password_hash::Error> {
    use argon2::password_hash::PasswordHasher as _;
    let salt = clock.random().to_be_bytes();
    Ok(argon2::Argon2::default().hash_password_with_salt(password.as_bytes(), &salt)?.to_string())
}

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
