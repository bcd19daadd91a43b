//! The source of all vendor ids: one seeded stream, so that the same calls in the same order get the same ids.
//!
//! Not here: keys and certificates. No run depends on them, and each process generates its own (`paypal::signing`).

const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A stream of ids, based on SplitMix64.
#[derive(Debug)]
pub(crate) struct Ids {
    state: u64,
}

impl Ids {
    pub(crate) fn new(seed: u64) -> Self {
        Ids { state: seed }
    }

    /// A Stripe id: the prefix, an underscore and 24 letters and digits.
    pub(crate) fn stripe(&mut self, prefix: &str) -> String {
        let mut id = String::with_capacity(prefix.len() + 25);
        id.push_str(prefix);
        id.push('_');
        self.draw(&mut id, 24, 62);
        id
    }

    /// A PayPal id: capitals and digits only.
    pub(crate) fn capitals(&mut self, length: usize) -> String {
        let mut id = String::with_capacity(length);
        self.draw(&mut id, length, 36);
        id
    }

    /// Lower-case hexadecimal, as PayPal's debug ids are.
    pub(crate) fn hex(&mut self) -> String {
        format!("{:013x}", self.next() >> 12)
    }

    fn draw(&mut self, into: &mut String, length: usize, letters: u64) {
        let mut left = 0;
        for _ in 0..length {
            if left < letters {
                left = self.next();
            }
            let index = usize::try_from(left % letters).unwrap_or_default();
            into.push(char::from(LETTERS[index]));
            left /= letters;
        }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        scatter(self.state)
    }
}

/// Hashes a number to 64 bits: equal inputs give equal results, neighbors give unrelated ones.
pub(crate) fn scatter(number: u64) -> u64 {
    let mut mixed = number;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
