//! The master key, what it seals (vendor credentials, tax ids), and the hashes that stand for secrets we only compare.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead as _, KeyInit as _};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use sha2::{Digest as _, Sha256};

use crate::clock::Clock;

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
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Arc::new(XChaCha20Poly1305::new(&Key::from(bytes))))
    }

    /// Reads the key file, or makes one that only its owner can read.
    ///
    /// # Errors
    /// When the file cannot be read or made, or does not hold a key.
    pub fn from_file(path: &Path, clock: &Clock) -> std::io::Result<Self> {
        if !path.exists() {
            let mut bytes = [0u8; 32];
            bytes[..16].copy_from_slice(&clock.chance().to_be_bytes());
            bytes[16..].copy_from_slice(&clock.chance().to_be_bytes());
            let mut options = std::fs::OpenOptions::new();
            options.write(true).create_new(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let mut file = options.open(path)?;
            file.write_all(STANDARD.encode(bytes).as_bytes())?;
            file.sync_all()?;
        }
        let text = std::fs::read_to_string(path)?;
        let bytes = STANDARD.decode(text.trim()).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let told = || std::io::Error::other(format!("{} does not hold a master key", path.display()));
        bytes.map(Self::new).ok_or_else(told)
    }

    /// Encrypts `plain` so that it opens only where `context` is named again: a secret cannot be moved to another row.
    #[must_use]
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
    #[must_use]
    pub fn open(&self, context: &str, sealed: &str) -> Option<String> {
        let bytes = STANDARD.decode(sealed).ok()?;
        let (nonce, sealed) = bytes.split_at_checked(24)?;
        let nonce = <[u8; 24]>::try_from(nonce).ok()?;
        let payload = chacha20poly1305::aead::Payload { msg: sealed, aad: context.as_bytes() };
        String::from_utf8(self.0.decrypt(&XNonce::from(nonce), payload).ok()?).ok()
    }
}

/// What is stored in place of a token or key that carries enough chance of its own.
#[must_use]
pub fn token_hash(token: &str) -> String {
    Sha256::digest(token.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
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
#[must_use]
pub fn password_matches(password: &str, hash: &str) -> bool {
    use argon2::password_hash::{PasswordVerifier as _, phc::PasswordHash};
    PasswordHash::new(hash)
        .is_ok_and(|parsed| argon2::Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

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
