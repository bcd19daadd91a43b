//! Passkey verification per W3C Web Authentication level 3, §7.1 and §7.2: the checks on what a browser returns. A pure
//! function of its arguments: no clock, randomness or database. Not here: attestation, which identifies a device's
//! maker and would exclude people's own devices; open challenges (`ops::people::passkeys`); and parsing the bytes
//! (`data`, `key`).

mod data;
mod key;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use url::{Host, Url};

use data::Data;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Site {
    /// The relying party id of the passkeys: a host name.
    pub name: String,
    /// The required origin of the browser.
    pub origin: String,
}

impl Site {
    /// The site for our base URL. `None` where browsers do not allow passkeys: over plain http except on `localhost`,
    /// and on a host given as an IP address.
    pub fn of(base_url: &str) -> Option<Self> {
        let url = Url::parse(base_url).ok()?;
        let Some(Host::Domain(name)) = url.host() else { return None };
        let can = match url.scheme() {
            "https" => true,
            "http" => name == "localhost",
            _ => false,
        };
        can.then(|| Self { name: name.to_owned(), origin: url.origin().ascii_serialization() })
    }
}

/// Why a response was rejected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// The response cannot be parsed.
    Unreadable,
    /// Wrong ceremony: a registration where an assertion is due, or the reverse.
    Purpose,
    Challenge,
    /// The browser was on another site or in a cross-origin frame.
    Origin,
    /// The passkey belongs to another site.
    Site,
    Nobody,
    /// The device did not verify the user by PIN, fingerprint or face.
    Unverified,
    /// The signature algorithm is not one we requested.
    Algorithm,
    /// The signature does not verify.
    Signature,
    Owner,
    /// Its backup eligibility differs from registration, or its flags contradict each other.
    Devices,
}

impl Refused {
    /// As recorded in the audit trail.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::Purpose => "purpose",
            Self::Challenge => "challenge",
            Self::Origin => "origin",
            Self::Site => "site",
            Self::Nobody => "nobody_there",
            Self::Unverified => "not_verified",
            Self::Algorithm => "algorithm",
            Self::Signature => "signature",
            Self::Owner => "owner",
            Self::Devices => "devices",
        }
    }
}

/// A new passkey from the browser; each field in base64url.
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Made {
    /// What the browser signed over: challenge and origin, as JSON.
    pub client_data: String,
    /// The authenticator data, with the key.
    pub authenticator_data: String,
}

/// A passkey assertion from the browser; each field in base64url.
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Assertion {
    pub id: String,
    /// What the browser signed over.
    pub client_data: String,
    pub authenticator_data: String,
    pub signature: String,
    /// The user handle, as the device remembers it.
    #[serde(default)]
    pub user: Option<String>,
}

/// A verified passkey, ready to store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct New {
    /// The credential id, in base64url.
    pub id: String,
    /// The public key (a `COSE_Key`), in base64url.
    pub key: String,
    pub count: u32,
    /// Whether it is device-bound or synced.
    pub devices: Devices,
}

/// Whether a passkey is bound to one device or synced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Devices {
    /// Only on the device that made it.
    One,
    /// On all devices its owner syncs it to.
    Many,
}

impl Devices {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::Many => "many",
        }
    }

    fn of(data: &Data<'_>) -> Result<Self, Refused> {
        let many = data.is_for_many().ok_or(Refused::Devices)?;
        Ok(if many { Self::Many } else { Self::One })
    }
}

/// The requested signature algorithms, best first, by COSE number: ES256, EdDSA, RS256.
pub const ALGORITHMS: [i64; 3] = [-7, -8, -257];

/// Parses a form field that holds a passkey.
pub fn read<T: for<'a> Deserialize<'a>>(text: &str) -> Option<T> {
    serde_json::from_str(text).ok()
}

/// Verifies a new passkey.
///
/// # Errors
/// Why it was rejected.
pub fn new(site: &Site, challenge: &str, made: &Made) -> Result<New, Refused> {
    let client_data = bytes(&made.client_data)?;
    same_scene(site, "webauthn.create", challenge, &client_data)?;
    let data = bytes(&made.authenticator_data)?;
    let data = Data::read(&data).ok_or(Refused::Unreadable)?;
    verified(site, &data)?;
    let (id, key) = data.attested().ok_or(Refused::Unreadable)?;
    key::Key::read(key).ok_or(Refused::Algorithm)?;
    Ok(New { id: text(id), key: text(key), count: data.count, devices: Devices::of(&data)? })
}

/// The stored passkey that an assertion is verified against.
#[derive(Clone, Copy, Debug)]
pub struct StoredPasskey<'a> {
    pub key: &'a str,
    pub owner: &'a str,
    /// Whether it is synced, if that was stored.
    pub devices: Option<&'a str>,
}

/// Verifies an assertion; returns the signature counter and whether the passkey is synced.
///
/// # Errors
/// Why it was rejected.
pub fn shown(
    site: &Site,
    challenge: &str,
    kept: StoredPasskey<'_>,
    shown: &Assertion,
) -> Result<(u32, Devices), Refused> {
    let client_data = bytes(&shown.client_data)?;
    same_scene(site, "webauthn.get", challenge, &client_data)?;
    let told = bytes(&shown.authenticator_data)?;
    let data = Data::read(&told).ok_or(Refused::Unreadable)?;
    verified(site, &data)?;
    if let Some(user) = &shown.user
        && bytes(user)? != kept.owner.as_bytes()
    {
        return Err(Refused::Owner);
    }
    let devices = Devices::of(&data)?;
    // A device may start syncing its passkeys, but a synced passkey never becomes device-bound again.
    if devices == Devices::One && kept.devices == Some(Devices::Many.as_str()) {
        return Err(Refused::Devices);
    }
    let key = bytes(kept.key)?;
    let key = key::Key::read(&key).ok_or(Refused::Algorithm)?;
    let signed = [told.as_slice(), &Sha256::digest(&client_data)].concat();
    match key.signed(&signed, &bytes(&shown.signature)?) {
        true => Ok((data.count, devices)),
        false => Err(Refused::Signature),
    }
}

/// The challenge that a response claims to answer; `None` if it cannot be read.
pub fn challenge_in(client_data: &str) -> Option<String> {
    let client_data = bytes(client_data).ok()?;
    let challenge = serde_json::from_slice::<ClientData>(&client_data).ok()?.challenge;
    // Check the encoding: PostgreSQL does not accept every text.
    bytes(&challenge).is_ok().then_some(challenge)
}

/// The credential id in an assertion, as stored; `None` if it cannot be read.
pub fn id_in(shown: &Assertion) -> Option<String> {
    bytes(&shown.id).ok().map(|id| text(&id))
}

/// The client data that the browser collected.
#[derive(Deserialize)]
struct ClientData {
    #[serde(rename = "type")]
    purpose: String,
    challenge: String,
    origin: String,
    #[serde(rename = "crossOrigin", default)]
    in_a_frame: bool,
}

fn same_scene(site: &Site, purpose: &str, challenge: &str, client_data: &[u8]) -> Result<(), Refused> {
    let told: ClientData = serde_json::from_slice(client_data).map_err(|_| Refused::Unreadable)?;
    if told.purpose != purpose {
        return Err(Refused::Purpose);
    }
    if told.challenge != challenge {
        return Err(Refused::Challenge);
    }
    if told.origin != site.origin || told.in_a_frame {
        return Err(Refused::Origin);
    }
    Ok(())
}

fn verified(site: &Site, data: &Data<'_>) -> Result<(), Refused> {
    if data.site_hash != Sha256::digest(site.name.as_bytes()).as_slice() {
        return Err(Refused::Site);
    }
    if !data.is_present() {
        return Err(Refused::Nobody);
    }
    if !data.is_verified() {
        return Err(Refused::Unverified);
    }
    Ok(())
}

/// The longest field, in characters. Client data is stored, and is some hundreds of bytes long.
const MOST_LETTERS: usize = 6_000;

fn bytes(text: &str) -> Result<Vec<u8>, Refused> {
    if text.len() > MOST_LETTERS {
        return Err(Refused::Unreadable);
    }
    URL_SAFE_NO_PAD.decode(text).map_err(|_| Refused::Unreadable)
}

/// Encodes bytes as base64url.
pub fn text(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passkeys_count_where_browsers_use_them() {
        let site = |name: &str, origin: &str| Some(Site { name: name.to_owned(), origin: origin.to_owned() });
        let rows = [
            ("https://pay.acme.example", site("pay.acme.example", "https://pay.acme.example")),
            ("https://Pay.Acme.example:8443/", site("pay.acme.example", "https://pay.acme.example:8443")),
            ("http://localhost:8080", site("localhost", "http://localhost:8080")),
            ("http://127.0.0.1:8080", None),
            ("https://192.0.2.7", None),
            ("https://[2001:db8::7]", None),
            ("http://pay.acme.example", None),
            ("http://localhost.acme.example", None),
            ("ftp://localhost", None),
            ("pay.acme.example", None),
        ];
        for (base_url, expected) in rows {
            assert_eq!(Site::of(base_url), expected, "{base_url}");
        }
    }

    /// Test vectors from another implementation.
    fn made_elsewhere() -> Vec<(&'static str, String, Made, Assertion)> {
        let blocks = include_str!("webauthn/made_elsewhere.txt").split("\n\n").skip(1);
        let read = |block: &'static str| {
            let (algorithm, lines) = block.split_once('\n').unwrap();
            let word = |name: &str| {
                let line = lines.lines().find_map(|line| line.strip_prefix(name)).unwrap();
                line.trim_start().to_owned()
            };
            let made = Made {
                client_data: word("made.client_data"),
                authenticator_data: word("made.authenticator_data"),
            };
            let shown = Assertion {
                id: word("id"),
                client_data: word("shown.client_data"),
                authenticator_data: word("shown.authenticator_data"),
                signature: word("shown.signature"),
                user: Some(text(b"per_1")),
            };
            (algorithm, word("challenge"), made, shown)
        };
        blocks.map(read).collect()
    }

    /// The same text with one bit flipped.
    fn bent(text_of: &str, at: usize) -> String {
        let mut bytes = bytes(text_of).unwrap();
        bytes[at] ^= 1;
        text(&bytes)
    }

    #[test]
    fn what_another_implementation_made_is_believed_and_nothing_else() {
        let site = Site::of("https://pay.acme.example").unwrap();
        let all = made_elsewhere();
        assert_eq!(all.iter().map(|one| one.0).collect::<Vec<_>>(), ["ES256", "EdDSA", "RS256"]);
        for (algorithm, challenge, made, one) in &all {
            let new = new(&site, challenge, made).unwrap();
            assert_eq!((&new.id, new.count), (&one.id, 0), "{algorithm}");
            let judge = |site: &Site, challenge: &str, owner: &str, one: &Assertion| {
                let kept = StoredPasskey { key: &new.key, owner, devices: Some(new.devices.as_str()) };
                shown(site, challenge, kept, one).map(|(count, _)| count)
            };
            assert_eq!(judge(&site, challenge, "per_1", one), Ok(7), "{algorithm}");
            let unnamed = Assertion { user: None, ..one.clone() };
            assert_eq!(judge(&site, challenge, "per_1", &unnamed), Ok(7));
            assert_eq!(judge(&site, challenge, "per_2", one), Err(Refused::Owner));
            assert_eq!(judge(&site, &bent(challenge, 0), "per_1", one), Err(Refused::Challenge));
            let other = Site::of("https://acme.example").unwrap();
            assert_eq!(judge(&other, challenge, "per_1", one), Err(Refused::Origin));
            let other = Site { name: other.name, ..site.clone() };
            assert_eq!(judge(&other, challenge, "per_1", one), Err(Refused::Site));
            // Every byte of the authenticator data and of the signature matters.
            for at in 0..bytes(&one.authenticator_data).unwrap().len() {
                let bent = Assertion { authenticator_data: bent(&one.authenticator_data, at), ..one.clone() };
                assert!(judge(&site, challenge, "per_1", &bent).is_err(), "{algorithm} {at}");
            }
            for at in 0..bytes(&one.signature).unwrap().len() {
                let bent = Assertion { signature: bent(&one.signature, at), ..one.clone() };
                assert_eq!(
                    judge(&site, challenge, "per_1", &bent),
                    Err(Refused::Signature),
                    "{algorithm} {at}"
                );
            }
            // A registration is not an assertion, and the reverse.
            let swapped = Made {
                client_data: one.client_data.clone(),
                authenticator_data: made.authenticator_data.clone(),
            };
            assert_eq!(super::new(&site, challenge, &swapped), Err(Refused::Purpose));
            let swapped = Assertion { client_data: made.client_data.clone(), ..one.clone() };
            assert_eq!(judge(&site, challenge, "per_1", &swapped), Err(Refused::Purpose));
            let plain = Made {
                client_data: made.client_data.clone(),
                authenticator_data: one.authenticator_data.clone(),
            };
            assert_eq!(super::new(&site, challenge, &plain), Err(Refused::Unreadable), "no key in it");
        }
        let (_, challenge, _, first) = &all[0];
        let others = new(&site, &all[1].1, &all[1].2).unwrap();
        let kept = StoredPasskey { key: &others.key, owner: "per_1", devices: None };
        assert_eq!(shown(&site, challenge, kept, first), Err(Refused::Signature));
    }

    #[test]
    fn what_a_browser_says_is_read_strictly() {
        let site = Site::of("http://localhost:8080").unwrap();
        let judge =
            |client_data: &str| same_scene(&site, "webauthn.get", "Y2hhbGxlbmdl", client_data.as_bytes());
        let client_data_json = |more: &str| {
            format!(
                r#"{{"type":"webauthn.get","challenge":"Y2hhbGxlbmdl","origin":"http://localhost:8080"{more}}}"#
            )
        };
        assert_eq!(judge(&client_data_json("")), Ok(()));
        assert_eq!(judge(&client_data_json(r#","crossOrigin":false,"new":{"a":[1]}"#)), Ok(()));
        assert_eq!(judge(&client_data_json(r#","crossOrigin":true"#)), Err(Refused::Origin));
        assert_eq!(
            judge(&client_data_json(r#","origin":"http://localhost:8080""#)),
            Err(Refused::Unreadable),
            "twice"
        );
        assert_eq!(judge(&client_data_json("").replace("8080", "8081")), Err(Refused::Origin));
        assert_eq!(judge(&client_data_json("").replace("http:", "https:")), Err(Refused::Origin));
        for (inside, found) in [("Y2hhbGxlbmdl", true), ("a\\u0000b", false), ("a b", false)] {
            let client_data = client_data_json("").replace("Y2hhbGxlbmdl", inside);
            assert_eq!(challenge_in(&text(client_data.as_bytes())).is_some(), found, "{inside}");
        }
        let long = client_data_json(&format!(r#","more":"{}""#, "a".repeat(MOST_LETTERS)));
        assert_eq!(challenge_in(&text(long.as_bytes())), None);
        for odd in ["", "null", "[]", "{}", "{\"type\":1}"] {
            assert_eq!(judge(odd), Err(Refused::Unreadable), "{odd:?}");
        }
    }
}
