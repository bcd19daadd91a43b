//! A virtual passkey authenticator, written from the standard and independently of our own parser: it holds keys, produces
//! what browsers and devices produce, and can produce false data.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// One passkey on a device, in a browser at some origin.
pub struct Device {
    key: EcdsaKeyPair,
    id: Vec<u8>,
    user: String,
    /// The origin of the browser.
    pub origin: String,
    /// The site (relying party) of the passkey.
    pub site: String,
    /// The signature counter; 0 for a device that does not count.
    pub count: u32,
    /// Whether it verifies its user (UV flag).
    pub verifies: bool,
    /// Whether the user is present (UP flag).
    pub touched: bool,
    /// Whether it may be copied to other devices, and whether it was (backup flags).
    pub copies: (bool, bool),
}

const PRESENT: u8 = 0x01;
const VERIFIED: u8 = 0x04;
const MAY_BE_COPIED: u8 = 0x08;
const WAS_COPIED: u8 = 0x10;
const ATTESTED: u8 = 0x40;

impl Device {
    /// A new one, in a browser at this origin.
    pub fn at(origin: &str, site: &str, id: &str) -> Self {
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
        Self {
            key: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, key.as_ref(), &random).unwrap(),
            id: id.as_bytes().to_vec(),
            user: String::new(),
            origin: origin.to_owned(),
            site: site.to_owned(),
            count: 1,
            verifies: true,
            touched: true,
            copies: (false, false),
        }
    }

    /// Its credential ID, as browsers encode it.
    pub fn id(&self) -> String {
        closed(&self.id)
    }

    fn data(&self, more: u8) -> Vec<u8> {
        let mut flags = more;
        flags |= if self.touched { PRESENT } else { 0 };
        flags |= if self.verifies { VERIFIED } else { 0 };
        flags |= if self.copies.0 { MAY_BE_COPIED } else { 0 };
        flags |= if self.copies.1 { WAS_COPIED } else { 0 };
        let hash = Sha256::digest(self.site.as_bytes());
        [hash.as_slice(), &[flags], &self.count.to_be_bytes()].concat()
    }

    fn client_data(&self, purpose: &str, asked: &Value) -> String {
        // As browsers write it, including an unknown member.
        json!({
            "type": purpose, "challenge": asked["challenge"], "origin": self.origin, "crossOrigin": false,
            "other_keys_can_be_added_here": "do not compare clientDataJSON against a template",
        })
        .to_string()
    }

    /// Creates a passkey for a page's challenge.
    pub fn make(&mut self, asked: &Value) -> String {
        assert_eq!(asked["site"], self.site.as_str());
        self.user = asked["owner"]["id"].as_str().unwrap().to_owned();
        let point = self.key.public_key().as_ref();
        let (x, y) = point[1..].split_at(32);
        let key = [&[0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32][..], x, &[0x22, 0x58, 32], y].concat();
        let length = u16::try_from(self.id.len()).unwrap().to_be_bytes();
        let data = [self.data(ATTESTED), vec![0; 16], length.to_vec(), self.id.clone(), key].concat();
        let client_data = self.client_data("webauthn.create", asked);
        json!({ "client_data": closed(client_data.as_bytes()), "authenticator_data": closed(&data) })
            .to_string()
    }

    /// Answers a challenge with the passkey, if the page allows it.
    pub fn show(&mut self, asked: &Value) -> String {
        let known = asked["known"].as_array().unwrap();
        assert!(
            known.is_empty() || known.contains(&json!(self.id())),
            "it is not among those that are asked for"
        );
        self.sign(asked)
    }

    /// The same, whichever passkeys the page allows.
    pub fn sign(&mut self, asked: &Value) -> String {
        if self.count > 0 {
            self.count += 1;
        }
        let data = self.data(0);
        let client_data = self.client_data("webauthn.get", asked);
        let signed = [data.as_slice(), &Sha256::digest(client_data.as_bytes())].concat();
        let signature = self.key.sign(&SystemRandom::new(), &signed).unwrap();
        json!({
            "id": self.id(), "client_data": closed(client_data.as_bytes()), "authenticator_data": closed(&data),
            "signature": closed(signature.as_ref()), "user": self.user,
        })
        .to_string()
    }
}

/// Bytes in base64url, as a page encodes them.
pub fn closed(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
