//! The master key, what it seals (vendor credentials, tax ids), and the hashes that stand for secrets we only compare.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, mpsc};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead as _, KeyInit as _};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use sha2::{Digest as _, Sha256};

use crate::clock::Clock;
use crate::turns::{Busy, Turns, cores};

/// The key that encrypts secrets in the database. It lies beside the database, never in it and never in a backup.
#[derive(Clone)]
pub struct MasterKey(Arc<XChaCha20Poly1305>);

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey(…)")
    }
}

impl MasterKey {
    /// A key from its 32 bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Arc::new(XChaCha20Poly1305::new(&Key::from(bytes))))
    }

    /// Reads the key file; `None` when there is none.
    ///
    /// # Errors
    /// When it cannot be read, others on the machine can read it too, or it does not hold a key.
    pub fn read(path: &Path) -> std::io::Result<Option<Self>> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        must_be_kept(path, ", and with it every secret in the database", ", change the vendors' keys too")?;
        let bytes = STANDARD.decode(text.trim()).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let told = || std::io::Error::other("it does not hold a master key");
        bytes.map(|bytes| Some(Self::new(bytes))).ok_or_else(told)
    }

    /// Makes a key, in a file that only its owner can read.
    ///
    /// # Errors
    /// When the file cannot be made, or is there already.
    pub fn make(path: &Path, clock: &Clock) -> std::io::Result<Self> {
        let mut bytes = [0u8; 32];
        bytes[..16].copy_from_slice(&clock.chance().to_be_bytes());
        bytes[16..].copy_from_slice(&clock.chance().to_be_bytes());
        let mut file = for_its_owner().create_new(true).open(path)?;
        file.write_all(STANDARD.encode(bytes).as_bytes())?;
        file.sync_all()?;
        Ok(Self::new(bytes))
    }

    /// Encrypts `plain` so that it opens only where `context` is named again: a secret cannot be moved to another row.
    pub fn seal(&self, clock: &Clock, context: &str, plain: &str) -> String {
        let mut nonce = [0u8; 24];
        nonce[..16].copy_from_slice(&clock.chance().to_be_bytes());
        nonce[16..].copy_from_slice(&clock.chance().to_be_bytes()[..8]);
        let payload = chacha20poly1305::aead::Payload { msg: plain.as_bytes(), aad: context.as_bytes() };
        // Encryption fails only for messages of many gigabytes, which nothing here can hold.
        let sealed = self.0.encrypt(&XNonce::from(nonce), payload).unwrap_or_default();
        STANDARD.encode([nonce.as_slice(), sealed.as_slice()].concat())
    }

    /// Opens what [`MasterKey::seal`] made; `None` under another key or context.
    pub fn open(&self, context: &str, sealed: &str) -> Option<String> {
        let bytes = STANDARD.decode(sealed).ok()?;
        let (nonce, sealed) = bytes.split_at_checked(24)?;
        let nonce = <[u8; 24]>::try_from(nonce).ok()?;
        let payload = chacha20poly1305::aead::Payload { msg: sealed, aad: context.as_bytes() };
        String::from_utf8(self.0.decrypt(&XNonce::from(nonce), payload).ok()?).ok()
    }
}

/// A signature: what is signed is bound to the key by the tag of an empty message, under a nonce that follows from what is
/// signed, so that no nonce is used for two messages.
impl MasterKey {
    /// Signs a message, in hexadecimal.
    pub fn sign(&self, message: &str) -> String {
        let payload = chacha20poly1305::aead::Payload { msg: b"", aad: message.as_bytes() };
        let tag = self.0.encrypt(&nonce_of(message), payload).unwrap_or_default();
        tag.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether this key has signed a message so. Compared in constant time by the library.
    pub fn has_signed(&self, message: &str, tag: &str) -> bool {
        let byte = |at| u8::from_str_radix(tag.get(at..at + 2)?, 16).ok();
        let Some(bytes) = (0..tag.len()).step_by(2).map(byte).collect::<Option<Vec<u8>>>() else {
            return false;
        };
        let payload = chacha20poly1305::aead::Payload { msg: &bytes, aad: message.as_bytes() };
        self.0.decrypt(&nonce_of(message), payload).is_ok_and(|plain| plain.is_empty())
    }
}

fn nonce_of(message: &str) -> XNonce {
    let mut nonce = [0u8; 24];
    let digest = Sha256::digest(format!("signature nonce\n{message}"));
    nonce.iter_mut().zip(digest).for_each(|(byte, of)| *byte = of);
    XNonce::from(nonce)
}

/// How a file is made that only its owner may read or write.
pub fn for_its_owner() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
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
        "others on this machine can read or change it{with_it}. Run `chmod 600 {file}` (its group may read it, 0440, where it belongs to root or to the user that runs Bursar); if somebody may have read it{then}"
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
    fn what_is_sealed_opens_only_under_its_key_and_context() {
        let (clock, _) = Clock::standing_at(0, 1);
        let key = MasterKey::new([7; 32]);
        let sealed = key.seal(&clock, "stripe", "sk_test_1");
        assert_eq!(key.open("stripe", &sealed).as_deref(), Some("sk_test_1"));
        assert_eq!(key.open("paypal", &sealed), None);
        assert_eq!(MasterKey::new([8; 32]).open("stripe", &sealed), None);
        assert_ne!(sealed, key.seal(&clock, "stripe", "sk_test_1"), "a nonce is never used twice");
        assert!(!sealed.contains("sk_test"));
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
