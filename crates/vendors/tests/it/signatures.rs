//! Valid signatures pass, and nothing else does.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use rcgen::{CertificateParams, DnType, DnValue, KeyPair};
use url::Url;
use vendors::signature::paypal::{MAX_AGE, PaypalHeaders, Roots, cert_url, precheck, verify};
use vendors::signature::{self, SignatureError};

use crate::specs;

const NOW: i64 = 1_790_000_000_000_000;
const BODY: &[u8] = br#"{"id":"evt_1"}"#;

fn v1(secret: &str, time: i64, body: &[u8]) -> String {
    let mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    let mac = mac.chain_update(format!("{time}.")).chain_update(body).finalize().into_bytes();
    mac.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_stripe_signature_made_elsewhere_verifies() {
    // printf '1492774577.{"id":"evt_1"}' | openssl dgst -sha256 -hmac whsec_test_secret
    let header = "t=1492774577,v1=799c4ba7bb339f3c8601adfd112f0e477c930a268be1243d341abb8286501c2f";
    assert_eq!(signature::stripe(&["whsec_test_secret"], header, BODY, 1_492_774_577_000_000), Ok(()));
}

#[test]
fn stripe_signatures_hold_for_these_bytes_this_secret_and_five_minutes() {
    let t = NOW / 1_000_000;
    let good = format!("t={t},v1={}", v1("whsec_a", t, BODY));
    let check = |secrets: &[&str], header: &str, body: &[u8], after_s: i64| {
        signature::stripe(secrets, header, body, NOW + after_s * 1_000_000)
    };
    assert_eq!(check(&["whsec_a"], &good, BODY, 0), Ok(()));
    assert_eq!(check(&["whsec_a"], &good, BODY, 300), Ok(()));
    assert_eq!(check(&["whsec_a"], &good, BODY, -300), Ok(()));
    assert_eq!(check(&["whsec_a"], &good, BODY, 301), Err(SignatureError::Stale));
    assert_eq!(check(&["whsec_a"], &good, BODY, -301), Err(SignatureError::Stale));
    assert_eq!(check(&["whsec_a"], &good, br#"{"id": "evt_1"}"#, 0), Err(SignatureError::Mismatch));
    assert_eq!(check(&["whsec_b"], &good, BODY, 0), Err(SignatureError::Mismatch));
    assert_eq!(check(&["whsec_b", "whsec_a"], &good, BODY, 0), Ok(()), "each secret is tried");
    let two = format!("t={t},v0=00,v1={},v1={}", v1("whsec_old", t, BODY), v1("whsec_a", t, BODY));
    assert_eq!(check(&["whsec_a"], &two, BODY, 0), Ok(()), "each v1 is tried");
    let later = format!("t={},v1={}", t + 1, v1("whsec_a", t, BODY));
    assert_eq!(check(&["whsec_a"], &later, BODY, 0), Err(SignatureError::Mismatch), "the time is signed");
}

#[test]
fn nothing_is_accepted_unsigned() {
    let t = NOW / 1_000_000;
    let by_empty = format!("t={t},v1={}", v1("", t, BODY));
    for secrets in [&[][..], &[""][..]] {
        assert_eq!(signature::stripe(secrets, &by_empty, BODY, NOW), Err(SignatureError::NotConfigured));
    }
    assert_eq!(signature::stripe(&["", "whsec_a"], &by_empty, BODY, NOW), Err(SignatureError::Mismatch));
    let good = v1("whsec_a", t, BODY);
    for header in [
        String::new(),
        "v1=".into(),
        format!("v1={good}"),
        format!("t={t}"),
        format!("t={t},v1="),
        format!("t={t},v0={good}"),
        format!("t=now,v1={good}"),
        format!("t={t},t={t},v1={good}"),
        format!("t={t},v1={}", &good[..62]),
        format!("t={t},v1={}", good.to_uppercase()),
    ] {
        assert!(signature::stripe(&["whsec_a"], &header, BODY, NOW).is_err(), "{header}");
    }
}

/// The sender does not see this; it is for our own log.
#[test]
fn why_a_delivery_is_not_believed_is_told() {
    let rows = [
        (SignatureError::NotConfigured, "no webhook secret is configured for this vendor"),
        (SignatureError::Header("paypal-cert-url"), "the header paypal-cert-url is missing or malformed"),
        (SignatureError::Stale, "the delivery was signed too long ago, or the clocks differ"),
        (
            SignatureError::Certificate("it is expired".into()),
            "the signing certificate is not trusted: it is expired",
        ),
        (SignatureError::Mismatch, "the signature is not of this body"),
    ];
    for (error, told) in rows {
        assert_eq!(error.to_string(), told);
    }
}

const HEADERS: [(&str, &str); 5] = [
    ("paypal-transmission-id", "dfb3be50-fd74-11e4-8bf3-77339302725b"),
    ("paypal-transmission-time", "2026-09-21T14:13:20Z"),
    ("paypal-transmission-sig", "c2lnbmF0dXJl"),
    ("paypal-cert-url", "https://api.paypal.com/v1/notifications/certs/CERT-1"),
    ("paypal-auth-algo", "SHA256withRSA"),
];

#[test]
fn each_of_paypals_five_headers_is_needed() {
    let without = |absent: &str| {
        let found = |name| HEADERS.iter().find(|(known, _)| *known == name && name != absent);
        PaypalHeaders::find(|name| found(name).map(|(_, value)| *value)).err()
    };
    assert_eq!(without("none of them"), None);
    for (name, _) in HEADERS {
        assert_eq!(without(name), Some(SignatureError::Header(name)));
    }
}

/// Checked before anything is fetched for a delivery: its algorithm, its age and the form of its signature.
#[test]
fn what_cannot_be_a_delivery_of_paypals_is_refused_before_its_certificate_is_asked_for() {
    let signed_at: i64 = 1_790_000_000_000_000;
    let bytes = |length: usize| STANDARD.encode(vec![7; length]);
    let (usual, most) = (bytes(256), bytes(1_024));
    let headers = |sig, algo| PaypalHeaders {
        transmission_id: HEADERS[0].1,
        transmission_time: HEADERS[1].1,
        transmission_sig: sig,
        cert_url: HEADERS[3].1,
        auth_algo: algo,
    };
    let good = headers(&usual, "SHA256withRSA");
    let (minute, day) = (60_000_000, 86_400_000_000);
    assert_eq!(MAX_AGE, 3 * day);
    for (after, believed) in
        [(0, true), (3 * day, true), (3 * day + 1, false), (-5 * minute, true), (-5 * minute - 1, false)]
    {
        let told = precheck(&good, "WH-1", signed_at + after);
        let expected = if believed { Ok(vec![7; 256]) } else { Err(SignatureError::Stale) };
        assert_eq!(told, expected, "{after} µs later");
    }
    assert_eq!(precheck(&headers(&most, "sha256WITHrsa"), "WH-1", signed_at), Ok(vec![7; 1_024]));
    let wrong = |name| Err(SignatureError::Header(name));
    let (short, long) = (bytes(255), bytes(1_025));
    for sig in [&*short, &*long, "", "!"] {
        assert_eq!(
            precheck(&headers(sig, "SHA256withRSA"), "WH-1", signed_at),
            wrong("paypal-transmission-sig")
        );
    }
    assert_eq!(precheck(&headers(&usual, "SHA1withRSA"), "WH-1", signed_at), wrong("paypal-auth-algo"));
    let undated = PaypalHeaders { transmission_time: "yesterday", ..good };
    assert_eq!(precheck(&undated, "WH-1", signed_at), wrong("paypal-transmission-time"));
    assert_eq!(precheck(&good, "", signed_at), Err(SignatureError::NotConfigured));
}

/// Any certificate signed by a public authority is valid; only PayPal's own is accepted.
#[test]
fn a_certificate_that_names_somebody_else_is_not_paypals() {
    let sig = STANDARD.encode([7; 256]);
    let found = |name: &str| {
        if name == "paypal-transmission-sig" {
            Some(&*sig)
        } else {
            HEADERS.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
        }
    };
    let headers = PaypalHeaders::find(found).unwrap();
    let roots = Roots::for_base(&"https://api-m.paypal.com".parse().unwrap(), None).unwrap();
    let told = |names: &[&str]| {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for name in names {
            params.distinguished_name.push(DnType::CommonName, DnValue::Utf8String((*name).into()));
        }
        let pem = params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem();
        match verify(&headers, BODY, "WH-1", pem.as_bytes(), &roots, NOW) {
            Err(SignatureError::Certificate(detail)) => detail,
            other => panic!("{names:?}: {other:?}"),
        }
    };
    for name in ["messages.example.com", "paypal.com", "evilpaypal.com", "messages.paypal.com.example"] {
        assert_eq!(told(&[name]), format!("it belongs to {name}"));
    }
    assert_eq!(told(&[]), "it does not name exactly one owner");
    // PayPal's name alone is not enough: no authority we trust has signed it.
    let unsigned = told(&["messageverificationcerts.paypal.com"]);
    assert!(!unsigned.contains("belongs") && !unsigned.contains("owner"), "{unsigned}");
}

/// The vector's certificate comes without its intermediate authority, whose root has left the public lists. The test
/// therefore uses the intermediate as a root, which is only trusted with a stand-in.
fn vector_roots() -> Roots {
    let above = include_bytes!("../certificates/digicert-sha2-extended-validation-server-ca.pem");
    Roots::for_base(&"http://127.0.0.1:9".parse().unwrap(), Some(above)).unwrap()
}

#[test]
fn a_genuine_paypal_delivery_verifies_and_nothing_near_it_does() {
    let Some(vector) = specs::load("paypal-webhook-signed-vector.json") else { return };
    let text = |name: &str| vector[name].as_str().unwrap();
    let headers = PaypalHeaders {
        transmission_id: text("transmission_id"),
        transmission_time: text("transmission_time"),
        transmission_sig: text("transmission_sig"),
        cert_url: text("cert_url"),
        auth_algo: text("auth_algo"),
    };
    let (body, webhook, pem) = (text("body").as_bytes(), text("webhook_id"), text("cert_pem").as_bytes());
    let roots = vector_roots();
    let then = 1_431_963_913_000_000 + 60_000_000;
    let day = 86_400_000_000;
    let check = |headers: &PaypalHeaders<'_>, body: &[u8], webhook: &str, now| {
        verify(headers, body, webhook, pem, &roots, now)
    };
    assert_eq!(check(&headers, body, webhook, then), Ok(()));
    assert_eq!(check(&headers, body, webhook, then + 2 * day), Ok(()));
    assert_eq!(check(&headers, body, webhook, then + 3 * day), Err(SignatureError::Stale));
    assert_eq!(check(&headers, body, webhook, then - day), Err(SignatureError::Stale));
    assert_eq!(check(&headers, body, "", then), Err(SignatureError::NotConfigured));
    assert_eq!(check(&headers, body, "4JH86294D6297924H", then), Err(SignatureError::Mismatch));
    let mut changed = body.to_vec();
    changed[9] ^= 1;
    assert_eq!(check(&headers, &changed, webhook, then), Err(SignatureError::Mismatch));
    let genuine = text("transmission_sig");
    let forged = format!("{}{}", if genuine.starts_with('A') { "B" } else { "A" }, &genuine[1..]);
    for other in [
        PaypalHeaders { transmission_id: "dfb3be50-fd74-11e4-8bf3-77339302725c", ..headers },
        PaypalHeaders { transmission_time: "2015-05-18T15:45:14Z", ..headers },
        PaypalHeaders { transmission_sig: &forged, ..headers },
    ] {
        assert_eq!(check(&other, body, webhook, then), Err(SignatureError::Mismatch));
    }
    for other in [
        PaypalHeaders { transmission_sig: "not base64", ..headers },
        PaypalHeaders { transmission_sig: "AAAA", ..headers },
        PaypalHeaders { transmission_time: "yesterday", ..headers },
        PaypalHeaders { auth_algo: "SHA1withRSA", ..headers },
    ] {
        assert!(matches!(check(&other, body, webhook, then), Err(SignatureError::Header(_))));
    }
    let public = Roots::for_base(&"https://api-m.paypal.com".parse().unwrap(), None).unwrap();
    let untrusted = verify(&headers, body, webhook, pem, &public, then);
    assert!(matches!(untrusted, Err(SignatureError::Certificate(_))), "{untrusted:?}");
    let nobody = verify(&headers, body, webhook, b"", &roots, then);
    assert!(matches!(nobody, Err(SignatureError::Certificate(_))), "{nobody:?}");
}

#[test]
fn a_certificate_counts_only_within_its_dates() {
    let Some(vector) = specs::load("paypal-webhook-signed-vector.json") else { return };
    let text = |name: &str| vector[name].as_str().unwrap();
    let headers = PaypalHeaders {
        transmission_id: text("transmission_id"),
        transmission_time: "2026-01-01T00:00:00Z",
        transmission_sig: text("transmission_sig"),
        cert_url: text("cert_url"),
        auth_algo: text("auth_algo"),
    };
    let now = 1_767_225_600_000_000;
    let pem = text("cert_pem").as_bytes();
    let answer = verify(&headers, text("body").as_bytes(), text("webhook_id"), pem, &vector_roots(), now);
    assert!(matches!(answer, Err(SignatureError::Certificate(_))), "{answer:?}");
}

#[test]
fn a_stand_ins_authority_is_not_trusted_beside_paypal_itself() {
    let above = include_bytes!("../certificates/digicert-sha2-extended-validation-server-ca.pem");
    for own in ["https://api-m.paypal.com", "https://api-m.sandbox.paypal.com"] {
        let base: Url = own.parse().unwrap();
        let with = format!("{:?}", Roots::for_base(&base, Some(above)).unwrap());
        assert_eq!(with, format!("{:?}", Roots::for_base(&base, None).unwrap()));
    }
    assert!(Roots::for_base(&"http://localhost:1".parse().unwrap(), Some(b"nothing")).is_err());
}

#[test]
fn certificates_come_from_paypal_or_the_stand_in_and_nowhere_else() {
    let live = "https://api-m.paypal.com";
    let sandbox = "https://api-m.sandbox.paypal.com";
    let stand_in = "http://127.0.0.1:4010";
    let allowed = |base: &str, url: &str| cert_url(url, &base.parse().unwrap()).is_ok();
    for (base, url) in [
        (live, "https://api.paypal.com/v1/notifications/certs/CERT-1-2"),
        (live, "https://api-m.paypal.com:443/v1/notifications/certs/CERT-1"),
        (sandbox, "https://api.sandbox.paypal.com/v1/notifications/certs/CERT-1"),
        (stand_in, "http://127.0.0.1:4010/v1/notifications/certs/CERT-1"),
        (stand_in, "https://api.paypal.com/v1/notifications/certs/CERT-1"),
        (stand_in, "https://api.sandbox.paypal.com/v1/notifications/certs/CERT-1"),
    ] {
        assert!(allowed(base, url), "{base} {url}");
    }
    for url in [
        "http://api.paypal.com/v1/notifications/certs/CERT-1",
        "https://api.sandbox.paypal.com/v1/notifications/certs/CERT-1",
        "https://api.paypal.com.evil.example/v1/notifications/certs/CERT-1",
        "https://evil.example/v1/notifications/certs/CERT-1",
        "https://api.paypal.com@evil.example/v1/notifications/certs/CERT-1",
        "https://user@api.paypal.com/v1/notifications/certs/CERT-1",
        "https://api.paypal.com:8443/v1/notifications/certs/CERT-1",
        "https://api.paypal.com/v1/notifications/certs/",
        "https://api.paypal.com/v1/notifications/certs/../webhooks",
        "https://api.paypal.com/v1/notifications/certs/%2e%2e/webhooks",
        "https://api.paypal.com/v1/notifications/certs/a/b",
        "https://api.paypal.com/v1/notifications/certs/CERT-1?next=https://evil.example",
        "https://api.paypal.com/v1/notifications/certs/CERT-1#x",
        "https://api.paypal.com/other/CERT-1",
        "https://api.pay\npal.com/v1/notifications/certs/CERT-1",
        "ftp://api.paypal.com/v1/notifications/certs/CERT-1",
        "http://127.0.0.1:4010/v1/notifications/certs/CERT-1",
        "",
    ] {
        assert!(!allowed(live, url), "{url}");
    }
    for url in [
        "http://127.0.0.1:4011/v1/notifications/certs/CERT-1",
        "https://127.0.0.1:4010/v1/notifications/certs/CERT-1",
        "http://localhost:4010/v1/notifications/certs/CERT-1",
        "http://x@127.0.0.1:4010/v1/notifications/certs/CERT-1",
        "http://127.0.0.1:4010/_sim/ca.pem",
    ] {
        assert!(!allowed(stand_in, url), "{url}");
    }
}
