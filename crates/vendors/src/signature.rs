//! Verifies that a delivery really comes from the vendor, from the exact bytes received.
//!
//! Pure functions: the time, the secrets and PayPal's certificate are arguments. Not here: fetching the certificate
//! ([`crate::http::Http::fetch_certificate`]) and remembering deliveries. Without configuration nothing is accepted.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

pub mod paypal;

/// The maximum difference between a Stripe signature's time and ours, in seconds, in both directions. Stripe's
/// libraries only refuse old signatures; refusing future ones costs nothing if the clocks agree.
pub const STRIPE_TOLERANCE_S: u64 = 300;

/// Why a delivery is not accepted. The sender only learns that it was not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignatureError {
    /// No secret, or no webhook id, is configured: unsigned events are never accepted.
    NotConfigured,
    /// A header is missing or malformed.
    Header(&'static str),
    /// Signed too long ago, or in the future.
    Stale,
    /// The certificate has expired, is not PayPal's, or is not signed by a trusted authority.
    Certificate(String),
    /// The signature does not match these bytes or this secret.
    Mismatch,
}

impl fmt::Display for SignatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotConfigured => f.write_str("no webhook secret is configured for this vendor"),
            Self::Header(name) => write!(f, "the header {name} is missing or malformed"),
            Self::Stale => f.write_str("the delivery was signed too long ago, or the clocks differ"),
            Self::Certificate(detail) => write!(f, "the signing certificate is not trusted: {detail}"),
            Self::Mismatch => f.write_str("the signature is not of this body"),
        }
    }
}

impl std::error::Error for SignatureError {}

/// Verifies a `Stripe-Signature` header: `t=<unix seconds>,v1=<hex>,…`, HMAC-SHA256 of `t.body` (Stripe documentation,
/// webhook signatures). While a secret is being rotated, there are several `v1` and several secrets. `now` is in
/// microseconds UTC.
///
/// # Errors
/// [`SignatureError`]; empty secrets are never used.
pub fn stripe(secrets: &[&str], header: &str, body: &[u8], now: i64) -> Result<(), SignatureError> {
    const NAME: &str = "Stripe-Signature";
    let unset = |secret: &&&str| secret.is_empty() && !payout::planted::on("empty_secret");
    if secrets.iter().all(|secret| unset(&secret)) {
        return Err(SignatureError::NotConfigured);
    }
    let written_again = payout::planted::on("signed_after_reading").then(|| written_again(body)).flatten();
    let body = written_again.as_deref().unwrap_or(body);
    let mut time = None;
    let mut signatures = Vec::new();
    for (scheme, value) in header.split(',').filter_map(|part| part.trim().split_once('=')) {
        match scheme {
            "t" if time.is_some() => return Err(SignatureError::Header(NAME)),
            "t" => time = Some(value),
            "v1" => signatures.extend(unhex(value)),
            // Other schemes are for Stripe's own tests.
            _ => {}
        }
    }
    let time = time.ok_or(SignatureError::Header(NAME))?;
    let seconds: i64 = time.parse().map_err(|_| SignatureError::Header(NAME))?;
    if signatures.is_empty() {
        return Err(SignatureError::Header(NAME));
    }
    let genuine = secrets.iter().filter(|secret| !unset(secret)).any(|secret| {
        // HMAC accepts keys of any length, so this never fails; if it did, nothing would be accepted.
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).is_ok_and(|mac| {
            let mac = mac.chain_update(time).chain_update(b".").chain_update(body);
            signatures.iter().any(|signature| mac.clone().verify_slice(signature).is_ok())
        })
    });
    if !genuine && !payout::planted::on("signature_not_checked") {
        return Err(SignatureError::Mismatch);
    }
    if now.div_euclid(1_000_000).abs_diff(seconds) > STRIPE_TOLERANCE_S {
        return Err(SignatureError::Stale);
    }
    Ok(())
}

/// A planted bug for tests: the same document, but not the same bytes.
fn written_again(body: &[u8]) -> Option<Vec<u8>> {
    serde_json::to_vec(&serde_json::from_slice::<serde_json::Value>(body).ok()?).ok()
}

/// Decodes 32 bytes of lower-case hex, the only form Stripe uses.
fn unhex(text: &str) -> Option<[u8; 32]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let text = text.as_bytes();
    if text.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}
