//! A passkey's public key: a `COSE_Key` (RFC 9052, RFC 9053, RFC 8230), which is a small CBOR map (RFC 8949), and
//! signature verification with ring. Parses only the subset of CBOR that these keys use.

use std::ops::RangeInclusive;

use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};

/// The most entries in a key's map.
const MOST_ENTRIES: u64 = 8;

/// The RSA modulus sizes, in bytes, for which ring verifies signatures.
const RSA_BYTES: RangeInclusive<usize> = 256..=1_024;
/// The longest RSA exponent in bytes.
const MOST_EXPONENT_BYTES: usize = 8;

/// A public key of a requested algorithm.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Key {
    /// ES256: an uncompressed P-256 point.
    P256(Vec<u8>),
    /// EdDSA with Ed25519.
    Ed25519(Vec<u8>),
    /// RS256: modulus and exponent.
    Rsa(Vec<u8>, Vec<u8>),
}

impl Key {
    /// Parses a key; `None` if it is malformed or of another algorithm.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (entries, rest) = entries(bytes)?;
        if !rest.is_empty() {
            return None;
        }
        let of = |label: i64| entries.iter().find(|(known, _)| *known == label).map(|(_, value)| *value);
        let number = |label| match of(label)? {
            Value::Number(number) => Some(number),
            Value::Bytes(_) => None,
        };
        let part = |label| match of(label)? {
            Value::Bytes(bytes) => Some(bytes.to_vec()),
            Value::Number(_) => None,
        };
        let coordinate = |label| part(label).filter(|bytes| bytes.len() == 32);
        // Key type and algorithm, then the curve; the remaining labels depend on them.
        match (number(1)?, number(3)?) {
            (2, -7) if number(-1)? == 1 => {
                Some(Self::P256([vec![4], coordinate(-2)?, coordinate(-3)?].concat()))
            }
            (1, -8) if number(-1)? == 6 => Some(Self::Ed25519(coordinate(-2)?)),
            (3, -257) => {
                let modulus = part(-1).filter(|bytes| RSA_BYTES.contains(&bytes.len()));
                Some(Self::Rsa(modulus?, part(-2).filter(|bytes| bytes.len() <= MOST_EXPONENT_BYTES)?))
            }
            _ => None,
        }
    }

    /// Whether `signature` is this key's signature of `signed`.
    pub fn signed(&self, signed: &[u8], signature: &[u8]) -> bool {
        let answer = match self {
            Self::P256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).verify(signed, signature)
            }
            Self::Ed25519(point) => UnparsedPublicKey::new(&ED25519, point).verify(signed, signature),
            Self::Rsa(n, e) => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, signed, signature)
            }
        };
        answer.is_ok()
    }
}

/// Splits off the key at the start of the bytes.
pub fn first(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_, rest) = entries(bytes)?;
    bytes.split_at_checked(bytes.len() - rest.len())
}

#[derive(Clone, Copy)]
enum Value<'a> {
    Number(i64),
    Bytes(&'a [u8]),
}

/// The entries of the map at the start of the bytes, and the remaining bytes.
type Entries<'a> = (Vec<(i64, Value<'a>)>, &'a [u8]);

fn entries(bytes: &[u8]) -> Option<Entries<'_>> {
    let (5, many, mut rest) = head(bytes)? else { return None };
    if many > MOST_ENTRIES {
        return None;
    }
    let mut found: Vec<(i64, Value<'_>)> = Vec::new();
    for _ in 0..many {
        let (label, after) = value(rest)?;
        let (held, after) = value(after)?;
        let Value::Number(label) = label else { return None };
        // A duplicate label would be ambiguous.
        if found.iter().any(|(known, _)| *known == label) {
            return None;
        }
        found.push((label, held));
        rest = after;
    }
    Some((found, rest))
}

fn value(bytes: &[u8]) -> Option<(Value<'_>, &[u8])> {
    let (kind, number, rest) = head(bytes)?;
    match kind {
        0 => Some((Value::Number(i64::try_from(number).ok()?), rest)),
        1 => Some((Value::Number(-1 - i64::try_from(number).ok()?), rest)),
        2 => {
            let (held, rest) = rest.split_at_checked(usize::try_from(number).ok()?)?;
            Some((Value::Bytes(held), rest))
        }
        _ => None,
    }
}

/// The CBOR major type and argument at the start, and the remaining bytes.
fn head(bytes: &[u8]) -> Option<(u8, u64, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    let short = first & 31;
    let width = match short {
        0..=23 => 0,
        24 => 1,
        25 => 2,
        26 => 4,
        27 => 8,
        _ => return None,
    };
    let (wide, rest) = rest.split_at_checked(width)?;
    let number = match width {
        0 => u64::from(short),
        _ => wide.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte)),
    };
    Some((first >> 5, number, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p256(algorithm: u8) -> Vec<u8> {
        let head = [0xa5, 1, 2, 3, algorithm, 0x20, 1, 0x21, 0x58, 32];
        [&head[..], &[7; 32], &[0x22, 0x58, 32], &[8; 32]].concat()
    }

    #[test]
    fn keys_of_the_three_algorithms_are_read() {
        let point = [vec![4], vec![7; 32], vec![8; 32]].concat();
        assert_eq!(Key::read(&p256(0x26)), Some(Key::P256(point)));
        let ed25519 = [&[0xa4, 1, 1, 3, 0x27, 0x20, 6, 0x21, 0x58, 32][..], &[9; 32]].concat();
        assert_eq!(Key::read(&ed25519), Some(Key::Ed25519(vec![9; 32])));
        let head = [0xa4, 1, 3, 3, 0x39, 1, 0, 0x20, 0x59, 1, 0];
        let rsa = [&head[..], &[5; 256], &[0x21, 0x43, 1, 0, 1]].concat();
        assert_eq!(Key::read(&rsa), Some(Key::Rsa(vec![5; 256], vec![1, 0, 1])));
        assert_eq!(first(&[rsa.as_slice(), &[1]].concat()), Some((rsa.as_slice(), &[1][..])));
    }

    #[test]
    fn what_is_no_such_key_is_none() {
        let whole = p256(0x26);
        for end in 0..whole.len() {
            assert_eq!(Key::read(&whole[..end]), None, "{end}");
        }
        assert_eq!(Key::read(&[whole.as_slice(), &[0]].concat()), None);
        assert_eq!(Key::read(&p256(0x38)), None, "another algorithm");
        let short = [&[0xa4, 1, 1, 3, 0x27, 0x20, 6, 0x21, 0x58, 31][..], &[9; 31]].concat();
        assert_eq!(Key::read(&short), None);
        let head = [0xa4, 1, 3, 3, 0x39, 1, 0, 0x20, 0x58, 128];
        let weak = [&head[..], &[5; 128], &[0x21, 0x43, 1, 0, 1]].concat();
        assert_eq!(Key::read(&weak), None, "1,024 bits");
        let twice = [&[0xa5, 1, 1, 3, 0x27, 0x20, 6, 1, 1, 0x21, 0x58, 32][..], &[9; 32]].concat();
        assert_eq!(Key::read(&twice), None);
        // A map with more entries than bytes, and a nested map.
        assert_eq!(Key::read(&[0xbb, 255, 255, 255, 255, 255, 255, 255, 255]), None);
        assert_eq!(Key::read(&[0xa1, 1, 0xa0]), None);
    }
}
