//! Where a payee's money goes, and how that is shown without giving it away.

use sha2::{Digest, Sha256};

use crate::Refusal;
use crate::money::Vendor;

/// A destination at a vendor, written the one way it is compared.
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
    /// The longest address PayPal takes, in bytes (PayPal Payouts, `receiver`).
    pub const PAYPAL_MAX_BYTES: usize = 127;

    /// A Stripe connected account, `acct_…`.
    ///
    /// # Errors
    /// When it is not such an id.
    pub fn stripe(account: &str) -> Result<Self, Refusal> {
        let rest = account.strip_prefix("acct_").unwrap_or("");
        let plain = rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if rest.is_empty() || rest.len() > 100 || !plain {
            let sentence = "This is not a Stripe account; write its id, which begins with acct_.";
            return Err(Refusal::new("invalid_stripe_account", sentence).at("stripe_account"));
        }
        Ok(Self { vendor: Vendor::Stripe, address: account.to_owned() })
    }

    /// An e-mail address at PayPal: one bare address, compared in lower case.
    ///
    /// # Errors
    /// When it is not exactly one plain address of at most 127 bytes.
    pub fn paypal(email: &str) -> Result<Self, Refusal> {
        let refuse = |sentence: &str| Err(Refusal::new("invalid_paypal_email", sentence).at("paypal_email"));
        if email.len() > Self::PAYPAL_MAX_BYTES {
            return refuse("PayPal takes addresses of at most 127 bytes; this one is longer.");
        }
        let strange = |c: char| c.is_whitespace() || c.is_control() || "<>,;:\"()[]\\".contains(c);
        if email.contains(strange) {
            return refuse("Write one bare e-mail address, without a name, spaces or line breaks.");
        }
        match email.split_once('@') {
            Some((name, host))
                if !name.is_empty()
                    && host.contains('.')
                    && !host.contains('@')
                    && !host.starts_with('.')
                    && !host.ends_with('.') =>
            {
                Ok(Self { vendor: Vendor::PayPal, address: email.to_lowercase() })
            }
            Some(_) | None => refuse("This is not an e-mail address; write it like ana@example.com."),
        }
    }

    /// A destination at the named vendor.
    ///
    /// # Errors
    /// As [`Destination::stripe`] and [`Destination::paypal`].
    pub fn at(vendor: Vendor, address: &str) -> Result<Self, Refusal> {
        match vendor {
            Vendor::Stripe => Self::stripe(address),
            Vendor::PayPal => Self::paypal(address),
        }
    }

    /// The vendor.
    #[must_use]
    pub fn vendor(&self) -> Vendor {
        self.vendor
    }

    /// What the vendor is told. Never shown, logged or mailed.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What stands for the destination where it must be compared but not known.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let text = format!("{}:{}", self.vendor.as_str(), self.address);
        hex(&Sha256::digest(text.as_bytes()))
    }

    /// Enough to recognise it by: `acct_…7890`, `a…a@example.com`.
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
    fn what_is_and_is_not_a_destination() {
        for good in ["ana@example.com", "Ana.B+x@Example.COM", "sim-unclaimed-1@partners.example"] {
            assert!(Destination::paypal(good).is_ok(), "{good}");
        }
        let long = format!("{}@example.com", "a".repeat(120));
        for bad in [
            "",
            "ana",
            "ana@host",
            "a@b@c.d",
            "Ana <ana@example.com>",
            "a@b.c,d@e.f",
            "a@b.c\n",
            &long,
            "a b@c.de",
        ] {
            assert!(Destination::paypal(bad).is_err(), "{bad:?}");
        }
        for bad in ["", "acct_", "ana", "acct_1 2", "acct_é", "acct_/../x"] {
            assert!(Destination::stripe(bad).is_err(), "{bad:?}");
        }
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
