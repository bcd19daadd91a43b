//! Ids: 128 bits, of which the first 48 are the creation time in milliseconds, so that ids sort by time.
//!
//! Written as a prefix for the kind and 26 characters of Crockford's base 32 (`rwd_01J…`). Not here: generating the
//! random part, which is an argument.

use std::fmt;

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Encodes 128 bits as 26 characters that sort like the number.
#[must_use]
pub fn encode(bits: u128) -> String {
    let mut text = [b'0'; 26];
    let mut rest = bits;
    for place in text.iter_mut().rev() {
        *place = ALPHABET[(rest & 31) as usize];
        rest >>= 5;
    }
    text.iter().map(|byte| char::from(*byte)).collect()
}

/// Decodes the output of [`encode`]; `None` for anything else, including lower case: an id has exactly one spelling.
#[must_use]
pub fn decode(text: &str) -> Option<u128> {
    if text.len() != 26 || text.as_bytes()[0] > b'7' {
        return None;
    }
    text.bytes().try_fold(0u128, |bits, byte| {
        let digit = ALPHABET.iter().position(|letter| *letter == byte)?;
        Some((bits << 5) | digit as u128)
    })
}

/// The bits of a new id: the time in microseconds UTC and 80 random bits (higher bits of `chance` are dropped).
#[must_use]
pub fn fresh(now: i64, chance: u128) -> u128 {
    // Milliseconds beyond 48 bits are shifted out: that far in the future, ids sort from the start again.
    let millis = u128::from(now.max(0).unsigned_abs() / 1_000);
    (millis << 80) | (chance & ((1 << 80) - 1))
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(u128);

        impl $name {
            /// The prefix of every id of this kind.
            pub const PREFIX: &'static str = $prefix;

            /// A new id from the time (microseconds UTC) and 80 random bits.
            #[must_use]
            pub fn fresh(now: i64, chance: u128) -> Self {
                Self(fresh(now, chance))
            }

            /// Parses an id; `None` if it is not one of this kind.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                text.strip_prefix($prefix).and_then(decode).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}{}", $prefix, encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

id!(/// A partner company.
    AccountId, "acc_");
id!(/// A partner user.
    PartnerId, "ptn_");
id!(/// A reward programme.
    ProgramId, "prg_");
id!(/// What earns a reward.
    ActivityId, "act_");
id!(/// One earned amount.
    RewardId, "rwd_");
id!(/// A payout being prepared or paid.
    BatchId, "bat_");
id!(/// One payment to one payee in one currency.
    TransactionId, "ptx_");
id!(/// One try of a transaction at the vendor.
    AttemptId, "atm_");
id!(/// An event a vendor told us of.
    EventId, "evt_");
id!(/// A person or an API key: whoever acts.
    PersonId, "per_");
id!(/// A file that is imported.
    ImportId, "imp_");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_and_sorts_by_its_time() {
        let earlier = RewardId::fresh(1_700_000_000_000_000, u128::MAX);
        let later = RewardId::fresh(1_700_000_000_001_000, 0);
        assert_eq!(RewardId::parse(&earlier.to_string()), Some(earlier));
        assert!(earlier < later);
        assert!(earlier.to_string() < later.to_string());
        assert_eq!(earlier.to_string().len(), 30);
    }

    #[test]
    fn the_first_48_bits_are_the_time_and_the_others_chance() {
        let parts = |now, chance| {
            let bits = fresh(now, chance);
            (bits >> 80, bits & ((1 << 80) - 1))
        };
        let now = 1_700_000_000_123_999;
        assert_eq!(parts(now, 0), (1_700_000_000_123, 0));
        assert_eq!(parts(now, 0xabc), (1_700_000_000_123, 0xabc));
        assert_eq!(
            parts(now, u128::MAX),
            (1_700_000_000_123, (1 << 80) - 1),
            "chance never changes the time"
        );
        assert_eq!(parts(-5, 1), (0, 1), "before 1970 there are no ids");
    }

    #[test]
    fn every_number_has_one_spelling() {
        for (bits, text) in [
            (0, "00000000000000000000000000"),
            (31, "0000000000000000000000000Z"),
            (32, "00000000000000000000000010"),
            (u128::MAX, "7ZZZZZZZZZZZZZZZZZZZZZZZZZ"),
        ] {
            assert_eq!((encode(bits).as_str(), decode(text)), (text, Some(bits)));
        }
        let id = RewardId(u128::MAX);
        assert_eq!(format!("{id:?}"), format!("rwd_{}", encode(u128::MAX)));
    }

    #[test]
    fn another_kind_case_or_length_is_not_an_id() {
        let id = RewardId::fresh(1, u128::MAX).to_string();
        for wrong in
            [id.replace("rwd_", "bat_"), id.to_lowercase(), format!("{id}0"), "rwd_".into(), String::new()]
        {
            assert_eq!(RewardId::parse(&wrong), None, "{wrong}");
        }
        assert_eq!(RewardId::parse("rwd_8ZZZZZZZZZZZZZZZZZZZZZZZZZ"), None, "more than 128 bits");
        assert_eq!(RewardId::parse("rwd_éZZZZZZZZZZZZZZZZZZZZZZZZ"), None);
    }
}
