//! Payees' destinations, and how to display them without revealing them.

use sha2::{Digest, Sha256};

use crate::Refusal;
use crate::domain;
use crate::money::Vendor;

/// A destination at a vendor, in the normal form used for comparison.
#[derive(Clone, PartialEq, Eq)]
pub struct Destination {
    vendor: Vendor,
    address: String,
}

impl std::fmt::Debug for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.vendor.as_str(), self.masked())
    }
}

impl Destination {
    /// The longest address PayPal accepts, in characters (PayPal Payouts, `receiver`).
    pub const PAYPAL_MAX: usize = 127;

    /// A Stripe connected account, `acct_…`.
    ///
    /// # Errors
    /// `invalid_stripe_account` if it is not such an id.
    pub fn stripe(account: &str) -> Result<Self, Refusal> {
        let rest = account.strip_prefix("acct_").unwrap_or("");
        let plain = rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if rest.is_empty() || rest.len() > 100 || !plain {
            let sentence = "This is not a Stripe account id; it begins with acct_.";
            return Err(Refusal::new("invalid_stripe_account", sentence).at("stripe_account"));
        }
        Ok(Self { vendor: Vendor::Stripe, address: account.to_owned() })
    }

    /// A PayPal email address: one bare address, in lower case, its domain in ASCII (punycode if it has other letters),
    /// so that look-alike addresses are distinguishable wherever one is shown.
    ///
    /// # Errors
    /// `invalid_paypal_email` if it is not exactly one plain address of at most 127 characters, with a sentence for
    /// each case.
    pub fn paypal(email: &str) -> Result<Self, Refusal> {
        let refuse =
            |sentence: String| Err(Refusal::new("invalid_paypal_email", sentence).at("paypal_email"));
        if let Some(sentence) = not_one_bare_address(email) {
            return refuse(sentence.to_owned());
        }
        let not_an_address = "This is not an e-mail address; write it like ana@example.com.";
        let Some((name, host)) = email.split_once('@').filter(|(name, _)| !name.is_empty()) else {
            return refuse(not_an_address.to_owned());
        };
        if !name.is_ascii() {
            return refuse(format!(
                "Before the @ there is a letter that only looks like a plain one, or that PayPal does not accept ({}). Use \
                 the letters a to z.",
                shown_in_ascii(name)
            ));
        }
        let Some(host) = domain::in_ascii(host).filter(|host| host.contains('.')) else {
            return refuse(not_an_address.to_owned());
        };
        if let Some(label) = domain::mixed_label(&host) {
            return refuse(format!(
                "The domain mixes letters from several alphabets, as look-alike addresses do; it is really {label}. Ask the \
                 payee for their address and type it in."
            ));
        }
        let address = format!("{}@{host}", name.to_lowercase());
        if address.len() > Self::PAYPAL_MAX {
            return refuse(format!(
                "PayPal accepts addresses of at most {} characters; this one has {}.",
                Self::PAYPAL_MAX,
                address.len()
            ));
        }
        Ok(Self { vendor: Vendor::PayPal, address })
    }

    /// A destination as stored: a frozen one is neither checked against today's rules nor changed. Before sending,
    /// compare [`Destination::fingerprint`] with the stored fingerprint.
    #[must_use]
    pub fn stored(vendor: Vendor, address: &str) -> Self {
        Self { vendor, address: address.to_owned() }
    }

    /// A destination at the given vendor.
    ///
    /// # Errors
    /// Same as [`Destination::stripe`] and [`Destination::paypal`].
    pub fn at(vendor: Vendor, address: &str) -> Result<Self, Refusal> {
        match vendor {
            Vendor::Stripe => Self::stripe(address),
            Vendor::PayPal => Self::paypal(address),
        }
    }

    /// The destination's vendor.
    #[must_use]
    pub fn vendor(&self) -> Vendor {
        self.vendor
    }

    /// The address sent to the vendor. Never shown, logged or mailed.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A warning for whoever enters or clears this destination, if there is one.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let (_, host) = self.address.split_once('@')?;
        host.split('.').any(|label| label.starts_with("xn--")).then(|| {
            format!(
                "The domain {host} uses letters other than a to z ({}) and may look like another one. Make sure that it is \
                 the payee's.",
                domain::in_letters(host)
            )
        })
    }

    /// A SHA-256 hash in hex, for comparing destinations without knowing them.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let text = format!("{}:{}", self.vendor.as_str(), self.address);
        hex(&Sha256::digest(text.as_bytes()))
    }

    /// Enough to recognize it: `acct_…7890`, `a…@example.com`.
    #[must_use]
    pub fn masked(&self) -> String {
        match self.vendor {
            Vendor::Stripe => {
                let tail = self.address.len().saturating_sub(4).max(5);
                format!("acct_…{}", self.address.get(tail..).unwrap_or(""))
            }
            Vendor::PayPal => {
                let (name, host) = self.address.split_once('@').unwrap_or((&self.address, ""));
                let first: String = name.chars().take(1).collect();
                format!("{first}…@{host}")
            }
        }
    }

    /// This and another destination, masked just enough to tell them apart.
    #[must_use]
    pub fn masked_beside(&self, other: &Self) -> (String, String) {
        let (one, two) = (self.masked(), other.masked());
        if one != two || self == other {
            return (one, two);
        }
        match self.vendor {
            // Stripe ids end in random characters, but these two share the last four.
            Vendor::Stripe => (self.address.clone(), other.address.clone()),
            Vendor::PayPal => {
                let same =
                    self.address.chars().zip(other.address.chars()).take_while(|(a, b)| a == b).count();
                let shown = |address: &str| {
                    let (name, host) = address.split_once('@').unwrap_or((address, ""));
                    let first: String = name.chars().take(same + 1).collect();
                    let rest = if first.len() < name.len() { "…" } else { "" };
                    format!("{first}{rest}@{host}")
                };
                (shown(&self.address), shown(&other.address))
            }
        }
    }
}

/// Why a text is not one bare address, before it is parsed as one.
fn not_one_bare_address(text: &str) -> Option<&'static str> {
    if text.contains(['\r', '\n']) {
        return Some("This contains a line break; write one e-mail address on one line.");
    }
    let separated = text.split([',', ';', ' ']).filter(|part| part.contains('@')).count();
    if separated > 1 {
        return Some("These are several addresses, and the money can go to only one. Write that one.");
    }
    if text.contains(['<', '>', '"']) {
        return Some("Write the address alone, without the name and the brackets around it.");
    }
    let strange = |c: char| c.is_whitespace() || c.is_control() || ",;:()[]\\".contains(c);
    let many = text.matches('@').count() > 1;
    (many || text.contains(strange))
        .then_some("Write one bare e-mail address, without spaces or other characters.")
}

/// A text with every non-ASCII letter escaped, so that look-alikes are visible: `\u{430}na`.
fn shown_in_ascii(text: &str) -> String {
    let shown = |letter: char| {
        if letter.is_ascii() { letter.to_string() } else { letter.escape_unicode().to_string() }
    };
    text.chars().map(shown).collect()
}

/// Bytes as lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_neither_judged_nor_changed() {
        for address in ["anä@example.com", "Ana@Example.COM", "ana@bücher.example", "not an address"] {
            let fingerprint = hex(&Sha256::digest(format!("paypal:{address}").as_bytes()));
            let stored = Destination::stored(Vendor::PayPal, address);
            assert_eq!((stored.address(), stored.fingerprint()), (address, fingerprint));
        }
    }

    #[test]
    fn what_is_and_is_not_a_destination() {
        for good in ["ana@example.com", "Ana.B+x@Example.COM", "sim-unclaimed-1@partners.example"] {
            assert!(Destination::paypal(good).is_ok(), "{good}");
        }
        let long = format!("{}@example.com", "a".repeat(116));
        let rows = [
            ("", "not an e-mail address"),
            ("ana", "not an e-mail address"),
            ("ana@host", "not an e-mail address"),
            ("@example.com", "not an e-mail address"),
            ("ana@ex..com", "not an e-mail address"),
            ("ana@-ex.com", "not an e-mail address"),
            ("a@b@c.de", "one bare e-mail address"),
            ("a b@c.de", "one bare e-mail address"),
            ("Ana <ana@example.com>", "without the name"),
            ("ana@example.com,", "one bare e-mail address"),
            ("ana(x)@example.com", "one bare e-mail address"),
            ("ana\u{a0}@example.com", "one bare e-mail address"),
            ("ana\u{7}@example.com", "one bare e-mail address"),
            ("a@b.cd,d@e.fg", "several addresses"),
            ("a@b.cd; d@e.fg", "several addresses"),
            ("a@b.cd\n", "line break"),
            ("a@b.cd\r\nBcc: d@e.fg", "line break"),
            ("\u{430}na@example.com", "\\u{430}na"),
            ("ana@p\u{430}ypal.com", "xn--pypal-4ve"),
            ("ana@xn--pypal-4ve.com", "several alphabets"),
            (&long, "at most 127 characters"),
        ];
        for (bad, because) in rows {
            let refusal = Destination::paypal(bad).expect_err(bad);
            assert_eq!((refusal.code, refusal.field), ("invalid_paypal_email", Some("paypal_email")));
            assert!(refusal.sentence.contains(because), "{bad:?}: {}", refusal.sentence);
        }
        let (most, more) = (format!("acct_{}", "1".repeat(100)), format!("acct_{}", "1".repeat(101)));
        for bad in ["", "acct_", "ana", "acct_1 2", "acct_é", "acct_/../x", &more] {
            let refusal = Destination::stripe(bad).expect_err(bad);
            assert_eq!((refusal.code, refusal.field), ("invalid_stripe_account", Some("stripe_account")));
        }
        for good in ["acct_1", "acct_1A2_b", &most] {
            assert_eq!(
                Destination::stripe(good).map(|there| there.address().to_owned()).as_deref(),
                Ok(good)
            );
        }
        let longest = format!("{}@example.com", "a".repeat(115));
        assert_eq!(longest.len(), Destination::PAYPAL_MAX);
        assert!(Destination::paypal(&longest).is_ok());
    }

    #[test]
    fn a_destination_belongs_to_its_vendor() {
        let there = Destination::at(Vendor::Stripe, "acct_1").unwrap();
        assert_eq!((there.vendor(), there.address()), (Vendor::Stripe, "acct_1"));
        assert!(Destination::at(Vendor::PayPal, "acct_1").is_err());
        let there = Destination::at(Vendor::PayPal, "ana@example.com").unwrap();
        assert_eq!((there.vendor(), there.address()), (Vendor::PayPal, "ana@example.com"));
    }

    /// Two destinations that differ never look the same: people confirm a change by comparing both.
    #[test]
    fn two_destinations_are_told_apart() {
        let paypal = |address: &str| Destination::paypal(address).unwrap();
        let stripe = |account: &str| Destination::stripe(account).unwrap();
        let rows = [
            (paypal("ana@example.com"), paypal("bo@example.com"), "a…@example.com", "b…@example.com"),
            (paypal("ana@example.com"), paypal("ana@example.org"), "a…@example.com", "a…@example.org"),
            (paypal("ana@example.com"), paypal("anton@example.com"), "ana@example.com", "ant…@example.com"),
            (paypal("an@example.com"), paypal("ana@example.com"), "an@example.com", "ana@example.com"),
            (
                paypal("anabel@example.com"),
                paypal("anatol@example.com"),
                "anab…@example.com",
                "anat…@example.com",
            ),
            (stripe("acct_15678"), stripe("acct_25678"), "acct_15678", "acct_25678"),
            (stripe("acct_15678"), stripe("acct_15679"), "acct_…5678", "acct_…5679"),
            (stripe("acct_15678"), stripe("acct_15678"), "acct_…5678", "acct_…5678"),
            (paypal("ana@example.com"), paypal("ana@example.com"), "a…@example.com", "a…@example.com"),
        ];
        for (one, two, shown_one, shown_two) in rows {
            assert_eq!(one.masked_beside(&two), (shown_one.to_owned(), shown_two.to_owned()));
            assert_eq!(two.masked_beside(&one), (shown_two.to_owned(), shown_one.to_owned()));
        }
    }

    #[test]
    fn a_domain_in_other_letters_is_shown_in_ascii_with_a_warning() {
        let there = Destination::paypal("ana@bücher.example").unwrap();
        assert_eq!(there.address(), "ana@xn--bcher-kva.example");
        assert_eq!(there.masked(), "a…@xn--bcher-kva.example");
        assert_eq!(there, Destination::paypal("Ana@XN--BCHER-KVA.example").unwrap());
        assert!(there.warning().unwrap().contains("bücher.example"));
        // All one script, and still a different domain from the one it looks like.
        let alike = Destination::paypal("ana@\u{430}\u{440}\u{440}\u{4cf}\u{435}.com").unwrap();
        assert!(alike.warning().unwrap().contains("xn--"));
        assert_eq!(Destination::paypal("ana@example.com").unwrap().warning(), None);
        assert_eq!(Destination::stripe("acct_1").unwrap().warning(), None);
    }

    #[test]
    fn a_mask_gives_nothing_away_and_a_fingerprint_ignores_case() {
        let ana = Destination::paypal("Ana@Example.com").unwrap();
        assert_eq!(ana.masked(), "a…@example.com");
        assert_eq!(ana.fingerprint(), Destination::paypal("ana@example.com").unwrap().fingerprint());
        assert_eq!(Destination::stripe("acct_1234567890").unwrap().masked(), "acct_…7890");
        assert_eq!(Destination::stripe("acct_12").unwrap().masked(), "acct_…12");
        assert_eq!(format!("{ana:?}"), "paypal:a…@example.com");
    }
}
