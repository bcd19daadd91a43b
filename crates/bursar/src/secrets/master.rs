//! The master key: the key that seals, plus earlier keys that can still open old values. Not here: a single key
//! (`one_key`), the file (`key_file`), choosing which key seals stored values (`ops::master_key`; the database
//! decides), and re-sealing everything (`ops::key_rotation`).

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use super::key_file::{self, Stamp};
use super::one_key::{OneKey, SealedAt, SealedText};
use crate::clock::Clock;

/// The master key: all keys in the key file. The file lives beside the database, never in it and never in a backup.
/// Clones share state.
#[derive(Clone)]
pub struct MasterKey(Arc<KeyRing>);

struct KeyRing {
    file: Option<PathBuf>,
    held: RwLock<Held>,
    /// The database is sealed with a key that this process does not have.
    key_is_missing: AtomicBool,
    /// The key that the database is sealed with is available here but no longer in the file.
    away: AtomicBool,
}

struct Held {
    keys: Vec<OneKey>,
    /// The number of leading keys that are still in the file; the rest were removed from it.
    in_file: usize,
    /// The index of the key that seals.
    seals: usize,
    /// The file's stamp when it was last read.
    read: Option<Stamp>,
}

impl Held {
    /// Once the sealing key is in the file, keys removed from the file no longer open anything.
    fn forget(&mut self) {
        if self.seals < self.in_file {
            self.keys.truncate(self.in_file);
        }
    }
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey(…)")
    }
}

impl MasterKey {
    /// A single key, not from a file.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self::of(vec![OneKey::new(bytes)], None, None)
    }

    fn of(keys: Vec<OneKey>, file: Option<PathBuf>, read: Option<Stamp>) -> Self {
        let held = RwLock::new(Held { in_file: keys.len(), keys, seals: 0, read });
        let (lacking, away) = (AtomicBool::new(false), AtomicBool::new(false));
        Self(Arc::new(KeyRing { file, held, key_is_missing: lacking, away }))
    }

    /// Reads the key file; `None` if there is none.
    ///
    /// # Errors
    /// The file cannot be read, other users on the machine can read it, or it contains anything but keys.
    pub fn read(path: &Path) -> std::io::Result<Option<Self>> {
        let stamp = Stamp::of(path);
        Ok(key_file::read(path)?.map(|keys| Self::of(keys, Some(path.to_owned()), stamp)))
    }

    /// Creates a key, in a file that only its owner can read.
    ///
    /// # Errors
    /// The file cannot be created or exists already.
    pub fn make(path: &Path, clock: &Clock) -> std::io::Result<Self> {
        let keys = vec![OneKey::fresh(clock)];
        key_file::make(path, &keys)?;
        Ok(Self::of(keys, Some(path.to_owned()), Stamp::of(path)))
    }

    /// These keys plus others that are in no file, to verify old signatures.
    pub fn with(&self, more: impl IntoIterator<Item = OneKey>) -> Self {
        let mut keys = self.held().keys.clone();
        keys.extend(more);
        Self::of(keys, None, None)
    }

    fn held(&self) -> RwLockReadGuard<'_, Held> {
        self.0.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The keys, in file order.
    pub fn keys(&self) -> Vec<OneKey> {
        self.held().keys.clone()
    }

    pub fn sealing(&self) -> Option<OneKey> {
        let held = self.held();
        held.keys.get(held.seals).cloned()
    }

    /// Makes this the sealing key; `false` if this process does not have it.
    pub fn take(&self, key: &OneKey) -> bool {
        if self.sealing().as_ref() == Some(key) {
            return true;
        }
        let mut held = self.0.held.write().unwrap_or_else(PoisonError::into_inner);
        let place = held.keys.iter().position(|one| one == key);
        held.seals = place.unwrap_or(held.seals);
        held.forget();
        place.is_some()
    }

    /// Records whether the database is sealed with a key we do not have; returns the previous value.
    pub fn set_key_missing(&self, lacking: bool) -> bool {
        self.0.key_is_missing.swap(lacking, Ordering::Relaxed)
    }

    /// Whether the database was sealed with a missing key at the last check.
    pub fn is_key_missing(&self) -> bool {
        self.0.key_is_missing.load(Ordering::Relaxed)
    }

    /// Whether a key was in the file when it was last read; always true if there is no file.
    pub fn is_in_file(&self, key: &OneKey) -> bool {
        let Some(file) = &self.0.file else { return true };
        let held = self.held();
        held.keys.iter().take(held.in_file).any(|one| one == key) && Stamp::of(file).is_some()
    }

    /// Records whether the database's key is missing from the file; returns the previous value.
    pub fn note_not_in_file(&self, away: bool) -> bool {
        self.0.away.swap(away, Ordering::Relaxed)
    }

    /// Whether the database's key was missing from the file at the last check.
    pub fn is_not_in_file(&self) -> bool {
        self.0.away.load(Ordering::Relaxed)
    }

    /// Rereads the file if it has changed since it was last read. A key that is no longer in it is kept while it is the
    /// sealing key.
    pub fn look_again(&self) {
        let Some(file) = &self.0.file else { return };
        let Some(stamp) = Stamp::of(file) else { return };
        if self.held().read.as_ref() == Some(&stamp) {
            return;
        }
        let read = key_file::read(file);
        let mut held = self.0.held.write().unwrap_or_else(PoisonError::into_inner);
        held.read = Some(stamp);
        match read {
            Ok(Some(keys)) => {
                let seals = held.keys.get(held.seals).cloned();
                let before = std::mem::take(&mut held.keys);
                let kept: Vec<_> = before.into_iter().filter(|one| !keys.contains(one)).collect();
                held.in_file = keys.len();
                held.keys = keys.into_iter().chain(kept).collect();
                held.seals = held.keys.iter().position(|one| Some(one) == seals.as_ref()).unwrap_or(0);
                held.forget();
            }
            Ok(None) => {}
            Err(error) => {
                held.in_file = 0;
                tracing::error!(
                    file = %file.display(), %error,
                    "the master key file has changed and cannot be used; what was read of it before is used on"
                );
            }
        }
    }

    fn by_id(&self, id: &str) -> Option<OneKey> {
        self.held().keys.iter().find(|one| one.id() == id).cloned()
    }

    /// Seals with the current key, for values a browser keeps. Stored values use `ops::master_key::seal`.
    pub fn seal(&self, clock: &Clock, place: &SealedAt, plain: &str) -> String {
        self.sealing().map(|key| key.seal(clock, place, plain)).unwrap_or_default()
    }

    /// Opens a sealed value; `None` if it belongs to another place or its key is missing.
    pub fn open(&self, place: &SealedAt, sealed: &str) -> Option<String> {
        self.decrypt(place, sealed).map(|(_, plain)| plain)
    }

    /// The key that sealed this value.
    pub fn key_of(&self, place: &SealedAt, sealed: &str) -> Option<OneKey> {
        self.decrypt(place, sealed).map(|(key, _)| key)
    }

    fn decrypt(&self, place: &SealedAt, sealed: &str) -> Option<(OneKey, String)> {
        match SealedText::read(sealed)? {
            SealedText::By(id, body) => {
                let key = self.by_id(id).or_else(|| {
                    self.look_again();
                    self.by_id(id)
                })?;
                let plain = key.open(&place.bound, body)?;
                Some((key, plain))
            }
            SealedText::Before(body) => {
                let bound = place.before.as_ref()?;
                self.keys().into_iter().find_map(|key| key.open(bound, body).map(|plain| (key, plain)))
            }
        }
    }

    /// Which of the keys has signed a message so, in hexadecimal. Compared in constant time by the library.
    pub fn signer(&self, message: &str, tag: &str) -> Option<OneKey> {
        let byte = |at| u8::from_str_radix(tag.get(at..at + 2)?, 16).ok();
        let bytes = (0..tag.len()).step_by(2).map(byte).collect::<Option<Vec<u8>>>()?;
        self.held().keys.iter().find(|key| key.has_signed(message, &bytes)).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::super::one_key::{HEAD_LENGTH, id_in};
    use super::*;

    fn clock() -> Clock {
        Clock::standing_at(0, 1).0
    }

    fn place(row: &str) -> SealedAt {
        SealedAt::stored("vendor_connection", "sealed", row).once(row)
    }

    #[test]
    fn what_is_sealed_opens_only_under_its_key_and_in_its_place() {
        let (clock, key) = (clock(), MasterKey::new([7; 32]));
        let sealed = key.seal(&clock, &place("stripe"), "sk_test_1");
        assert_eq!(key.open(&place("stripe"), &sealed).as_deref(), Some("sk_test_1"));
        let elsewhere = [
            place("paypal"),
            SealedAt::stored("vendor_connection", "mode", "stripe"),
            SealedAt::stored("factor", "sealed", "stripe"),
            SealedAt::kept_by_browser("sealed", "stripe"),
        ];
        for elsewhere in elsewhere {
            assert_eq!(key.open(&elsewhere, &sealed), None, "{elsewhere:?}");
        }
        assert_eq!(MasterKey::new([8; 32]).open(&place("stripe"), &sealed), None);
        assert_ne!(sealed, key.seal(&clock, &place("stripe"), "sk_test_1"), "a nonce is never used twice");
        let own = OneKey::new([7; 32]);
        assert!(sealed.starts_with(&own.head()) && own.head().len() == HEAD_LENGTH);
        assert_eq!(id_in(&sealed), Some(own.id()));
        assert!(!sealed.contains("sk_test"));
    }

    #[test]
    fn what_was_sealed_before_still_opens_where_it_was_bound_to() {
        let key = MasterKey::new([7; 32]);
        let old = OneKey::new([7; 32]).sealed_before("stripe", "sk_test_1");
        assert_eq!(key.open(&place("stripe"), &old).as_deref(), Some("sk_test_1"));
        assert_eq!(key.open(&place("paypal"), &old), None);
        assert_eq!(key.open(&SealedAt::stored("vendor_connection", "sealed", "stripe"), &old), None);
        let later = MasterKey::new([8; 32]).with([OneKey::new([7; 32])]);
        assert_eq!(later.open(&place("stripe"), &old).as_deref(), Some("sk_test_1"), "by whichever it fits");
    }

    #[test]
    fn whatever_was_done_to_it_it_does_not_open_and_nothing_falls_over() {
        let key = MasterKey::new([7; 32]);
        let whole = key.seal(&clock(), &place("stripe"), "sk_test_1");
        let (head, body) = whole.split_at(HEAD_LENGTH);
        let other = OneKey::new([8; 32]).head();
        let mut broken = vec![
            String::new(),
            ".".to_owned(),
            "..".to_owned(),
            "...".to_owned(),
            body.to_owned(),
            whole.replacen("v1.", "v2.", 1),
            whole.replacen("v1.", "V1.", 1),
            whole.replacen("v1.", "", 1),
            format!("{other}{body}"),
            format!("v1..{body}"),
            format!("v1.ümlaut-schlüsse.{body}"),
            format!("{head}{body}.{body}"),
            format!("{whole} "),
            whole.to_uppercase(),
        ];
        broken.extend((0..whole.len()).map(|length| whole[..length].to_owned()));
        for text in broken {
            assert_eq!(key.open(&place("stripe"), &text), None, "{text}");
        }
    }

    #[test]
    fn a_key_that_was_put_into_the_file_is_found_when_it_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let (file, clock) = (folder.path().join("bursar.key"), clock());
        let running = MasterKey::make(&file, &clock).unwrap();
        let old = running.sealing().unwrap();
        let new = OneKey::fresh(&clock);
        let by_new = new.seal(&clock, &place("stripe"), "later");
        assert_eq!(running.open(&place("stripe"), &by_new), None, "it is not there yet");
        key_file::Locked::of(&file).unwrap().write(&[new.clone(), old.clone()]).unwrap();
        assert_eq!(running.open(&place("stripe"), &by_new).as_deref(), Some("later"));
        assert_eq!(running.sealing(), Some(old.clone()), "which one seals is not said by the file");
        assert!(running.take(&new) && running.sealing() == Some(new.clone()));
        assert_eq!(running.keys(), [new.clone(), old.clone()]);
        let late = MasterKey::read(&file).unwrap().unwrap();
        assert!(late.take(&old));
        key_file::Locked::of(&file).unwrap().write(std::slice::from_ref(&new)).unwrap();
        running.look_again();
        assert_eq!((running.keys(), running.sealing()), (vec![new.clone()], Some(new.clone())));
        late.look_again();
        assert_eq!(
            (late.keys().len(), late.sealing()),
            (2, Some(old.clone())),
            "it has not heard of the change"
        );
        assert!(late.take(&new) && late.keys() == [new.clone()], "now it has");
        let started = MasterKey::read(&file).unwrap().unwrap();
        assert!(started.keys().len() == 1 && !started.take(&old));
        // The sealing key is missing from the file if someone replaces, removes or corrupts the file.
        assert!(running.is_in_file(&new) && !running.is_in_file(&old));
        key_file::Locked::of(&file).unwrap().write(std::slice::from_ref(&old)).unwrap();
        running.look_again();
        assert!(!running.is_in_file(&new) && running.sealing() == Some(new.clone()));
        key_file::Locked::of(&file).unwrap().write(std::slice::from_ref(&new)).unwrap();
        running.look_again();
        assert!(running.is_in_file(&new));
        std::fs::rename(&file, folder.path().join("elsewhere")).unwrap();
        running.look_again();
        assert!(!running.is_in_file(&new));
        std::fs::rename(folder.path().join("elsewhere"), &file).unwrap();
        assert!(running.is_in_file(&new) && MasterKey::new([7; 32]).is_in_file(&new));
        std::fs::write(&file, "nothing of ours").unwrap();
        running.look_again();
        assert!(!running.is_in_file(&new));
        assert_eq!(running.keys(), [new], "a file that cannot be used takes nothing away");
    }

    #[test]
    fn a_signature_holds_for_whoever_has_the_key() {
        let (old, new) = (MasterKey::new([7; 32]), MasterKey::new([8; 32]));
        let signs = old.sealing().unwrap();
        let tag = signs.sign("rows");
        assert_eq!(old.signer("rows", &tag), Some(signs.clone()));
        assert_eq!(new.signer("rows", &tag), None);
        assert_eq!(new.with(old.keys()).signer("rows", &tag), Some(signs));
        assert_eq!(new.with(old.keys()).signer("more rows", &tag), None);
    }
}
