//! PayPal's webhook signing key, its certificate, and the headers of a delivery.
//!
//! Each process generates its own key and never exposes it, so trusting one simulator's root does not mean trusting
//! another's.
//!
//! Not here: what is signed (`event`), and when (`outbox`).

use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256, date_time_ymd,
};
use ring::rand::SystemRandom;
use ring::signature::{
    KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey,
};
use rsa::pkcs8::EncodePrivateKey;

use crate::chance::scatter;
use crate::door::Answer;

/// The only algorithm PayPal signs with.
pub(crate) const ALGORITHM: &str = "SHA256withRSA";
/// The form of ids in PayPal's certificate URLs.
const CERTIFICATE_ID: &str = "CERT-360caa42-fca2a594-5a29e601";

/// The signing key and its certificates.
pub(crate) struct Identity {
    /// The root as PEM, for verifiers.
    pub(crate) root_pem: String,
    /// Leaf and intermediate as PEM, as served.
    chain_pem: String,
    key: Option<RsaKeyPair>,
}

/// This process's identity, generated on first use.
pub(crate) fn identity() -> &'static Identity {
    static IDENTITY: OnceLock<Identity> = OnceLock::new();
    IDENTITY.get_or_init(|| {
        draw().unwrap_or_else(|error| {
            tracing::error!(%error, "no key for PayPal's webhooks: they go out with an empty signature");
            Identity { root_pem: String::new(), chain_pem: String::new(), key: None }
        })
    })
}

/// The URL of the certificate.
pub(crate) fn certificate_url(base: &str) -> String {
    format!("{base}/v1/notifications/certs/{CERTIFICATE_ID}")
}

pub(crate) fn certificate(id: &str) -> Answer {
    if id != CERTIFICATE_ID {
        return Answer::json(404, &serde_json::json!({"name": "RESOURCE_NOT_FOUND"}));
    }
    let body = identity().chain_pem.clone().into_bytes();
    let headers = vec![("content-type", "application/x-pem-file".to_owned())];
    Answer { status: 200, headers, body, executed: false }
}

/// The signed headers of one transmission; `transmission` numbers it.
pub(crate) fn headers(
    base: &str,
    webhook_id: &str,
    transmission: u64,
    body: &[u8],
    now: i64,
) -> Vec<(String, String)> {
    let id = transmission_id(transmission);
    let time = super::moment(now);
    let signature = sign(&message(&id, &time, webhook_id, body));
    let headers = [
        ("paypal-transmission-id", id),
        ("paypal-transmission-time", time),
        ("paypal-transmission-sig", signature),
        ("paypal-cert-url", certificate_url(base)),
        ("paypal-auth-algo", ALGORITHM.to_owned()),
    ];
    headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// `transmission id|time|webhook id|CRC-32 of the body, decimal`.
pub(crate) fn message(transmission_id: &str, time: &str, webhook_id: &str, body: &[u8]) -> String {
    format!("{transmission_id}|{time}|{webhook_id}|{}", crc32fast::hash(body))
}

/// Whether our key made this signature (base64) of this message.
pub(crate) fn verified(message: &str, signature: &str) -> bool {
    let (Some(key), Ok(signature)) = (&identity().key, STANDARD.decode(signature)) else { return false };
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key().as_ref());
    public.verify(message.as_bytes(), &signature).is_ok()
}

fn sign(message: &str) -> String {
    let Some(key) = &identity().key else { return String::new() };
    let mut signature = vec![0; key.public().modulus_len()];
    let signed = key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature);
    if signed.is_ok() { STANDARD.encode(signature) } else { String::new() }
}

/// Looks like a UUID, and is the same for the same transmission in the same run.
fn transmission_id(transmission: u64) -> String {
    let (high, low) = (scatter(transmission), scatter(transmission ^ u64::MAX));
    format!("{:08x}-{:04x}-11e4-{:04x}-{:012x}", high >> 32, (high >> 16) & 0xffff, high & 0xffff, low >> 16)
}

/// Generates a root, an intermediate and a leaf, with long validity because clocks may be set to any time.
fn draw() -> Result<Identity, Box<dyn std::error::Error>> {
    let private = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048)?;
    let private = private.to_pkcs8_der()?;
    let (root, root_key) = (authority("Simulated Root"), KeyPair::generate()?);
    let root_pem = root.self_signed(&root_key)?.pem();
    let root = Issuer::new(root, root_key);
    let (middle, middle_key) = (authority("Simulated Intermediate"), KeyPair::generate()?);
    let middle_pem = middle.signed_by(&middle_key, &root)?.pem();
    let issuer = Issuer::new(middle, middle_key);
    let pkcs8 = rustls::pki_types::PrivatePkcs8KeyDer::from(private.as_bytes());
    let leaf_key = KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8, &PKCS_RSA_SHA256)?;
    let name = "messageverificationcerts.sandbox.paypal.com";
    let mut leaf = params(name);
    leaf.subject_alt_names = vec![rcgen::SanType::DnsName(name.try_into()?)];
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let leaf = leaf.signed_by(&leaf_key, &issuer)?;
    let key = RsaKeyPair::from_pkcs8(private.as_bytes()).map_err(|error| error.to_string())?;
    Ok(Identity { chain_pem: format!("{}{middle_pem}", leaf.pem()), root_pem, key: Some(key) })
}

fn authority(common_name: &str) -> CertificateParams {
    let mut authority = params(common_name);
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    authority
}

fn params(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = date_time_ymd(1990, 1, 1);
    params.not_after = date_time_ymd(2090, 1, 1);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params
}
