//! Parses authenticator data (§6.1): a 32-byte hash of the relying party id, one flags byte, a four-byte signature
//! counter, and for a new passkey its id and key. Not here: which values are acceptable.

const PRESENT: u8 = 0x01;
/// The device verified the user by PIN, fingerprint or face.
const VERIFIED: u8 = 0x04;
/// The passkey may be synced to the owner's other devices (BE).
const MANY: u8 = 0x08;
const COPIED: u8 = 0x10;
const ATTESTED: u8 = 0x40;
/// Extensions follow, which we never request.
const EXTENDED: u8 = 0x80;

/// The longest credential id, in bytes.
const MOST_ID_BYTES: usize = 1_023;

pub struct Data<'a> {
    /// The hash of the relying party id that the passkey belongs to.
    pub site_hash: &'a [u8],
    flags: u8,
    /// The signature counter; 0 if the device keeps none.
    pub count: u32,
    rest: &'a [u8],
}

impl<'a> Data<'a> {
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let (site_hash, rest) = bytes.split_at_checked(32)?;
        let (flags, rest) = rest.split_first()?;
        let (count, rest) = rest.split_first_chunk::<4>()?;
        let data = Self { site_hash, flags: *flags, count: u32::from_be_bytes(*count), rest };
        // Data after the header requires a flag that announces it.
        (data.has(ATTESTED | EXTENDED) || rest.is_empty()).then_some(data)
    }

    fn has(&self, any_of: u8) -> bool {
        self.flags & any_of != 0
    }

    /// Whether the user touched the device.
    pub fn is_present(&self) -> bool {
        self.has(PRESENT)
    }

    /// Whether the device verified the user by PIN, fingerprint or face.
    pub fn is_verified(&self) -> bool {
        self.has(VERIFIED)
    }

    /// Whether the passkey may be synced; `None` if it is flagged as backed up but not eligible for backup.
    pub fn is_for_many(&self) -> Option<bool> {
        (self.has(MANY) || !self.has(COPIED)).then_some(self.has(MANY))
    }

    pub fn attested(&self) -> Option<(&'a [u8], &'a [u8])> {
        if !self.has(ATTESTED) {
            return None;
        }
        let (_maker, rest) = self.rest.split_at_checked(16)?;
        let (length, rest) = rest.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (id, rest) = rest.split_at_checked(length)?;
        let (key, after) = super::key::first(rest)?;
        let fits = (1..=MOST_ID_BYTES).contains(&length) && (self.has(EXTENDED) || after.is_empty());
        fits.then_some((id, key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_off_or_follows_is_not_read() {
        // A key of kty 1, alg -8, crv 6 and x of 32 bytes.
        let key = [&[0xa4, 1, 1, 3, 0x27, 0x20, 6, 0x21, 0x58, 32][..], &[9; 32]].concat();
        let whole = [&[7; 32][..], &[0x45], &[0, 0, 1, 2], &[0; 16], &[0, 3], b"id1", &key].concat();
        let data = Data::read(&whole).unwrap();
        assert!(data.is_present() && data.is_verified());
        assert_eq!(data.is_for_many(), Some(false));
        let of = |flags: u8| [&[7; 32][..], &[flags], &[0, 0, 0, 0]].concat();
        let many = |flags: u8| Data::read(&of(flags)).unwrap().is_for_many();
        assert_eq!([0x0d, 0x1d, 0x15].map(many), [Some(true), Some(true), None]);
        assert_eq!((data.site_hash, data.count), (&[7; 32][..], 258));
        assert_eq!(data.attested(), Some((&b"id1"[..], key.as_slice())));
        for end in 0..whole.len() {
            let read = Data::read(&whole[..end]).and_then(|data| data.attested().map(|_| ()));
            assert_eq!(read, None, "{end}");
        }
        let longer = [whole.as_slice(), &[0xa0]].concat();
        assert!(Data::read(&longer).unwrap().attested().is_none(), "nothing said that more follows");
        let plain = [&[7; 32][..], &[0x05], &[0, 0, 0, 0]].concat();
        assert!(Data::read(&plain).unwrap().attested().is_none());
        assert!(Data::read(&[plain.as_slice(), &[0]].concat()).is_none());
    }
}
