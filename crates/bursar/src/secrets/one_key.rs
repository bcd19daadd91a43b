//! A single key and the format of sealed values. A value, `v1.<id>.<base64>`, names its key and is bound to its table,
//! column and row. Values from before that format have no such header and are bound to their place's older name. Not
//! here: choosing a key (`master`).

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use sha2::{Digest as _, Sha256};

use crate::clock::Clock;

/// The format that names its key.
const FORMAT: &str = "v1";
/// The length of a key id in hexadecimal digits.
const ID_LENGTH: usize = 16;
/// The length of the header, `v1.<id>.`.
pub const HEAD_LENGTH: usize = FORMAT.len() + ID_LENGTH + 2;

/// Where a sealed value belongs; it does not open anywhere else.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SealedAt {
    pub(super) bound: String,
    /// The binding used before values named their key.
    pub(super) before: Option<String>,
}

impl SealedAt {
    /// A column of a table row.
    pub fn stored(table: &str, column: &str, row: &str) -> Self {
        Self { bound: format!("{FORMAT}\n{table}\n{column}\n{row}"), before: None }
    }

    /// A cookie or other value that a browser keeps.
    pub fn kept_by_browser(name: &str, what: &str) -> Self {
        Self { bound: format!("{FORMAT}\nbrowser\n{name}\n{what}"), before: None }
    }

    /// The same, with the binding of older values.
    pub fn once(self, before: impl Into<String>) -> Self {
        Self { before: Some(before.into()), ..self }
    }
}

#[derive(Clone)]
pub struct OneKey(Arc<Inside>);

struct Inside {
    id: String,
    bytes: [u8; 32],
    cipher: XChaCha20Poly1305,
}

impl std::fmt::Debug for OneKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OneKey({}, …)", self.0.id)
    }
}

impl PartialEq for OneKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for OneKey {}

impl OneKey {
    pub fn new(bytes: [u8; 32]) -> Self {
        // A truncated hash with its own label, so the id reveals nothing about the key.
        let digest = Sha256::new().chain_update("bursar master key id\n").chain_update(bytes).finalize();
        let id = digest.iter().take(ID_LENGTH / 2).map(|byte| format!("{byte:02x}")).collect();
        Self(Arc::new(Inside { id, bytes, cipher: XChaCha20Poly1305::new(&Key::from(bytes)) }))
    }

    pub fn fresh(clock: &Clock) -> Self {
        let mut bytes = [0u8; 32];
        bytes[..16].copy_from_slice(&clock.random().to_be_bytes());
        bytes[16..].copy_from_slice(&clock.random().to_be_bytes());
        Self::new(bytes)
    }

    /// Parses a line of a key file.
    pub fn parse(line: &str) -> Option<Self> {
        let bytes = STANDARD.decode(line).ok()?;
        <[u8; 32]>::try_from(bytes).ok().map(Self::new)
    }

    /// The key as a line of the key file. This is the raw key: write it only there, or sealed with another key.
    pub fn line(&self) -> String {
        STANDARD.encode(self.0.bytes)
    }

    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// The header of every value this key seals.
    pub fn head(&self) -> String {
        format!("{FORMAT}.{}.", self.0.id)
    }

    /// Encrypts `plain`, bound to its place, so that the ciphertext cannot be moved to another row.
    pub fn seal(&self, clock: &Clock, place: &SealedAt, plain: &str) -> String {
        let mut nonce = [0u8; 24];
        nonce[..16].copy_from_slice(&clock.random().to_be_bytes());
        nonce[16..].copy_from_slice(&clock.random().to_be_bytes()[..8]);
        let payload = Payload { msg: plain.as_bytes(), aad: place.bound.as_bytes() };
        // Encryption fails only for messages of many gigabytes, which cannot occur here.
        let sealed = self.0.cipher.encrypt(&XNonce::from(nonce), payload).unwrap_or_default();
        format!("{}{}", self.head(), STANDARD.encode([nonce.as_slice(), sealed.as_slice()].concat()))
    }

    /// Decrypts a body with the given binding.
    pub(super) fn open(&self, bound: &str, body: &str) -> Option<String> {
        let bytes = STANDARD.decode(body).ok()?;
        let (nonce, sealed) = bytes.split_at_checked(24)?;
        let nonce = <[u8; 24]>::try_from(nonce).ok()?;
        let payload = Payload { msg: sealed, aad: bound.as_bytes() };
        String::from_utf8(self.0.cipher.decrypt(&XNonce::from(nonce), payload).ok()?).ok()
    }

    /// The tag of an empty message, under a nonce that follows from what is signed, so that no nonce is used for two messages.
    pub fn sign(&self, message: &str) -> String {
        let payload = Payload { msg: b"", aad: message.as_bytes() };
        let tag = self.0.cipher.encrypt(&nonce_of(message), payload).unwrap_or_default();
        tag.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub(super) fn has_signed(&self, message: &str, tag: &[u8]) -> bool {
        let payload = Payload { msg: tag, aad: message.as_bytes() };
        self.0.cipher.decrypt(&nonce_of(message), payload).is_ok_and(|plain| plain.is_empty())
    }
}

fn nonce_of(message: &str) -> XNonce {
    let mut nonce = [0u8; 24];
    let digest = Sha256::digest(format!("signature nonce\n{message}"));
    nonce.iter_mut().zip(digest).for_each(|(byte, of)| *byte = of);
    XNonce::from(nonce)
}

/// A parsed sealed value, not yet decrypted.
pub(super) enum SealedText<'a> {
    /// With the key's id, and the body.
    By(&'a str, &'a str),
    /// The older format, which names no key.
    Before(&'a str),
}

impl<'a> SealedText<'a> {
    /// `None` for an unknown format or a malformed id.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        // Base64 has no dot, so a dot means a format header.
        let Some((format, rest)) = text.split_once('.') else { return Some(Self::Before(text)) };
        let (id, body) = rest.split_once('.')?;
        (format == FORMAT && id.len() == ID_LENGTH).then_some(Self::By(id, body))
    }
}

/// The id of the key that sealed a value; `None` if it names none.
pub fn id_in(sealed: &str) -> Option<&str> {
    match SealedText::read(sealed)? {
        SealedText::By(id, _) => Some(id),
        SealedText::Before(_) => None,
    }
}

#[cfg(test)]
impl OneKey {
    /// Seals in the older format, which names no key.
    pub(crate) fn sealed_before(&self, bound: &str, plain: &str) -> String {
        let nonce = [5u8; 24];
        let payload = Payload { msg: plain.as_bytes(), aad: bound.as_bytes() };
        let sealed = self.0.cipher.encrypt(&XNonce::from(nonce), payload).unwrap_or_default();
        STANDARD.encode([nonce.as_slice(), sealed.as_slice()].concat())
    }
}
