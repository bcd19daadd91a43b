//! PayPal's scheme: an RSA signature over the delivery's id and time, our webhook id, and the body's CRC-32.
//!
//! A CRC is not a cryptographic hash: whoever has one signed delivery can construct another body with the same CRC. So
//! a valid signature is a reason to ask PayPal, never a reason to move money. Refusing a transmission id that returns
//! with another body requires state, which is not here.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use url::Url;
use webpki::ring::RSA_PKCS1_2048_8192_SHA256;
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_parser::parse_x509_certificate;

use super::SignatureError;

/// The maximum age of a delivery, in microseconds: PayPal retries for three days.
pub const MAX_AGE: i64 = 3 * 86_400 * 1_000_000;
/// How far PayPal's clock may be ahead of ours, in microseconds.
const MAX_AHEAD: i64 = 300 * 1_000_000;
/// A leaf and a few intermediates; a longer chain is an attempt to waste our time.
const MAX_CHAIN: usize = 8;
/// The length of an RSA signature with a key of 2048 to 8192 bits, in bytes.
const SIGNATURE_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;
const CERTIFICATES: &str = "/v1/notifications/certs/";
const LIVE_HOSTS: [&str; 2] = ["api-m.paypal.com", "api.paypal.com"];
const SANDBOX_HOSTS: [&str; 2] = ["api-m.sandbox.paypal.com", "api.sandbox.paypal.com"];

/// The five signature headers of a delivery.
#[derive(Clone, Copy, Debug)]
pub struct PaypalHeaders<'a> {
    /// `PAYPAL-TRANSMISSION-ID`: identifies this attempt at delivery.
    pub transmission_id: &'a str,
    /// `PAYPAL-TRANSMISSION-TIME`, in RFC 3339.
    pub transmission_time: &'a str,
    /// `PAYPAL-TRANSMISSION-SIG`, in base64.
    pub transmission_sig: &'a str,
    /// `PAYPAL-CERT-URL`: must be allowed by [`cert_url`] before it is fetched.
    pub cert_url: &'a str,
    /// `PAYPAL-AUTH-ALGO`.
    pub auth_algo: &'a str,
}

impl<'a> PaypalHeaders<'a> {
    /// The names of the signature headers, in the order of the fields.
    pub const NAMES: [&'static str; 5] = [
        "paypal-transmission-id",
        "paypal-transmission-time",
        "paypal-transmission-sig",
        "paypal-cert-url",
        "paypal-auth-algo",
    ];

    /// Extracts the headers from a request.
    ///
    /// # Errors
    /// [`SignatureError::Header`] with the first missing one.
    pub fn find(header: impl Fn(&'static str) -> Option<&'a str>) -> Result<Self, SignatureError> {
        let need = |name| header(name).ok_or(SignatureError::Header(name));
        let [id, time, sig, url, algo] = Self::NAMES;
        Ok(Self {
            transmission_id: need(id)?,
            transmission_time: need(time)?,
            transmission_sig: need(sig)?,
            cert_url: need(url)?,
            auth_algo: need(algo)?,
        })
    }
}

/// The authorities trusted to sign PayPal's certificate.
#[derive(Clone, Debug)]
pub struct Roots(Vec<TrustAnchor<'static>>);

impl Roots {
    /// The public authorities and, if the API at `base` is a stand-in, those of an extra PEM file. A stand-in's
    /// authority is never trusted with PayPal's own base.
    ///
    /// # Errors
    /// If the PEM contains no certificate, or an invalid one.
    pub fn for_base(base: &Url, extra_pem: Option<&[u8]>) -> Result<Self, String> {
        let mut anchors = webpki_roots::TLS_SERVER_ROOTS.to_vec();
        if let Some(pem) = extra_pem.filter(|_| !is_paypals_own(base)) {
            let extra = certificates(pem).map_err(|error| error.to_string())?;
            for certificate in &extra {
                let anchor = anchor_from_trusted_cert(certificate).map_err(|error| error.to_string())?;
                anchors.push(anchor.to_owned());
            }
        }
        Ok(Self(anchors))
    }
}

/// Whether an API base URL is PayPal's own, live or sandbox.
#[must_use]
pub fn is_paypals_own(base: &Url) -> bool {
    base.host_str().is_some_and(|host| LIVE_HOSTS.contains(&host) || SANDBOX_HOSTS.contains(&host))
}

/// Checks a certificate's URL before it is fetched: it must be below PayPal's certificate path, on a PayPal host for
/// our mode, over https on the default port; or, if `base` is a stand-in, at exactly the stand-in's scheme, host and
/// port.
///
/// # Errors
/// [`SignatureError::Header`] if the URL is not allowed.
pub fn cert_url(text: &str, base: &Url) -> Result<Url, SignatureError> {
    let refused = SignatureError::Header("paypal-cert-url");
    // The URL parser tolerates whitespace and control characters; this check must not.
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(refused);
    }
    let url = Url::parse(text).map_err(|_| refused.clone())?;
    let plain = url.username().is_empty() && url.password().is_none();
    let plain = plain && url.query().is_none() && url.fragment().is_none();
    let named = url.path().strip_prefix(CERTIFICATES).is_some_and(|name| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    });
    let host = url.host_str().unwrap_or_default();
    let https = url.scheme() == "https" && url.port().is_none();
    let same_as_base = (url.scheme(), url.host_str(), url.port_or_known_default())
        == (base.scheme(), base.host_str(), base.port_or_known_default());
    let own = is_paypals_own(base);
    let live = !own || base.host_str().is_some_and(|host| LIVE_HOSTS.contains(&host));
    let sandbox = !own || !live;
    let at_paypal =
        https && ((live && LIVE_HOSTS.contains(&host)) || (sandbox && SANDBOX_HOSTS.contains(&host)));
    if plain && named && (at_paypal || (!own && same_as_base)) { Ok(url) } else { Err(refused) }
}

/// Checks what can be checked without the certificate: the algorithm, the time (`now` in microseconds UTC) and the form
/// of the signature. Returns the signature's bytes. Nothing is requested from PayPal for a delivery that fails here.
///
/// # Errors
/// [`SignatureError`]; nothing is accepted without a webhook id.
pub fn precheck(headers: &PaypalHeaders<'_>, webhook_id: &str, now: i64) -> Result<Vec<u8>, SignatureError> {
    if webhook_id.is_empty() {
        return Err(SignatureError::NotConfigured);
    }
    if !headers.auth_algo.eq_ignore_ascii_case("SHA256withRSA") {
        return Err(SignatureError::Header("paypal-auth-algo"));
    }
    let time: jiff::Timestamp =
        headers.transmission_time.parse().map_err(|_| SignatureError::Header("paypal-transmission-time"))?;
    let signature = STANDARD
        .decode(headers.transmission_sig)
        .map_err(|_| SignatureError::Header("paypal-transmission-sig"))?;
    if !SIGNATURE_BYTES.contains(&signature.len()) {
        return Err(SignatureError::Header("paypal-transmission-sig"));
    }
    if !(-MAX_AHEAD..=MAX_AGE).contains(&now.saturating_sub(time.as_microsecond())) {
        return Err(SignatureError::Stale);
    }
    Ok(signature)
}

/// Verifies a delivery: fresh, signed with SHA-256 and RSA by a certificate that is valid at `now` (microseconds UTC),
/// chains to `roots` and names a host below `paypal.com`, over our webhook id and the CRC-32 of the exact body (PayPal
/// documentation, webhook notifications).
///
/// # Errors
/// [`SignatureError`]; an empty webhook id is never used.
pub fn verify(
    headers: &PaypalHeaders<'_>,
    body: &[u8],
    webhook_id: &str,
    cert_pem: &[u8],
    roots: &Roots,
    now: i64,
) -> Result<(), SignatureError> {
    let signature = precheck(headers, webhook_id, now)?;
    let chain = certificates(cert_pem)?;
    let (leaf, intermediates) = chain.split_first().ok_or_else(|| distrust("no certificate"))?;
    belongs_to_paypal(leaf)?;
    let key = EndEntityCert::try_from(leaf).map_err(distrust)?;
    let seconds = u64::try_from(now.div_euclid(1_000_000)).map_err(distrust)?;
    let at = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    let usage = KeyUsage::server_auth();
    key.verify_for_usage(ALL_VERIFICATION_ALGS, &roots.0, intermediates, at, usage, None, None)
        .map_err(distrust)?;
    let crc = crc32fast::hash(body);
    let signed = format!("{}|{}|{webhook_id}|{crc}", headers.transmission_id, headers.transmission_time);
    key.verify_signature(RSA_PKCS1_2048_8192_SHA256, signed.as_bytes(), &signature)
        .map_err(|_| SignatureError::Mismatch)
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, SignatureError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).take(MAX_CHAIN).collect();
    match chain {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        Ok(_) => Err(distrust("the file holds no certificate")),
        Err(error) => Err(distrust(error)),
    }
}

/// Any public certificate would chain to a public authority; the common name says whose it is.
fn belongs_to_paypal(leaf: &CertificateDer<'_>) -> Result<(), SignatureError> {
    let (_, certificate) = parse_x509_certificate(leaf).map_err(distrust)?;
    let mut names = certificate.subject().iter_common_name().map(|name| name.as_str().unwrap_or_default());
    match (names.next(), names.next()) {
        (Some(name), None) if name.ends_with(".paypal.com") => Ok(()),
        (Some(name), None) => Err(distrust(format!("it belongs to {name}"))),
        (None, _) | (Some(_), Some(_)) => Err(distrust("it does not name exactly one owner")),
    }
}

fn distrust(detail: impl ToString) -> SignatureError {
    SignatureError::Certificate(detail.to_string())
}
