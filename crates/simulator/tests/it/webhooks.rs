//! Webhooks: who gets which, signatures, retries, faults, delivery over HTTP.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use hmac::{Hmac, KeyInit, Mac};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, UnixTime};
use simulator::{Call, Delivery, Fault, FaultKind, Vendor};

use crate::play::{DAY, Play, SECOND};

const NOWHERE: &str = "http://127.0.0.1:9";

fn header<'a>(delivery: &'a Delivery, name: &str) -> &'a str {
    delivery.headers.iter().find(|(given, _)| given == name).map_or("", |(_, value)| value)
}

fn stripe_genuine(delivery: &Delivery, secret: &str) -> bool {
    let signature = header(delivery, "stripe-signature");
    let parts: BTreeMap<&str, &str> = signature.split(',').filter_map(|part| part.split_once('=')).collect();
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(parts["t"].as_bytes());
    mac.update(b".");
    mac.update(&delivery.body);
    let made: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    made == parts["v1"]
}

fn kinds(deliveries: &[Delivery]) -> Vec<&str> {
    deliveries.iter().map(|delivery| delivery.event_type.as_str()).collect()
}

#[tokio::test]
async fn stripe_events_go_to_the_right_endpoint_and_are_signed() {
    let play = Play::start().await;
    let registered = play.register_webhooks(NOWHERE).await;
    play.pay("acct_sim_closed_1", "700", "ptx_1").await;
    play.later(SECOND);
    let deliveries = play.take_webhooks();
    assert_eq!(
        kinds(&deliveries),
        [
            "transfer.created",
            "payout.created",
            "payout.updated",
            "payout.failed",
            "account.external_account.updated"
        ]
    );
    for delivery in &deliveries {
        let event: serde_json::Value = serde_json::from_slice(&delivery.body).unwrap();
        let of_platform = delivery.event_type.starts_with("transfer");
        let secret = if of_platform { &registered.platform_secret } else { &registered.connect_secret };
        assert!(stripe_genuine(delivery, secret));
        assert!(!stripe_genuine(delivery, "whsec_other"));
        assert_eq!(delivery.url, format!("{NOWHERE}/{}", !of_platform));
        assert_eq!(event["account"].is_null(), of_platform);
        assert_eq!(
            (&event["api_version"], &event["pending_webhooks"]),
            (&"2026-05-27.dahlia".into(), &1.into())
        );
        assert_eq!(event["id"], delivery.event_id.as_str());
    }
    let created: serde_json::Value = serde_json::from_slice(&deliveries[1].body).unwrap();
    assert_eq!(created["request"]["idempotency_key"], "po:ptx_1:1");
    assert_eq!(created["data"]["object"]["status"], "pending", "a snapshot of that time");
    let updated: serde_json::Value = serde_json::from_slice(&deliveries[2].body).unwrap();
    assert_eq!(updated["data"]["previous_attributes"]["status"], "pending");
    let listed = play.get("/v1/events?type=payout.*", &[("stripe-account", "acct_sim_closed_1")]).await;
    assert_eq!(listed.body["data"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn an_endpoint_gets_only_what_it_enabled() {
    let play = Play::start().await;
    let form = [("url", NOWHERE), ("enabled_events[]", "payout.paid"), ("connect", "true")];
    let endpoint = play.post("/v1/webhook_endpoints", &form, &[]).await;
    play.pay("acct_ana", "700", "ptx_1").await;
    play.later(SECOND);
    assert_eq!(kinds(&play.take_webhooks()), ["payout.paid"]);
    let path = format!("/v1/webhook_endpoints/{}", endpoint.text("/id"));
    assert_eq!(play.get(&path, &[]).await.text("/secret"), "", "shown once");
    play.pay("acct_ana", "700", "ptx_2").await;
    play.later(SECOND);
    assert_eq!(play.delete(&path).await.body["deleted"], true);
    assert!(play.take_webhooks().is_empty());
}

#[tokio::test]
async fn paypal_events_are_signed_by_a_certificate_below_the_root() {
    let play = Play::start().await;
    let registered = play.register_webhooks(NOWHERE).await;
    play.settled_item("pb_1", "ana@example.com", "10.00").await;
    let deliveries = play.take_webhooks();
    let batch = "PAYMENT.PAYOUTSBATCH";
    assert_eq!(
        kinds(&deliveries),
        [&format!("{batch}.PROCESSING"), "PAYMENT.PAYOUTS-ITEM.SUCCEEDED", &format!("{batch}.SUCCESS")]
    );
    let delivery = &deliveries[1];
    let url = header(delivery, "paypal-cert-url");
    assert!(url.starts_with(&format!("{}/v1/notifications/certs/", play.base)));
    let pem = crate::play::client().get(url).send().await.unwrap().bytes().await.unwrap();
    let chain: Vec<CertificateDer<'_>> = CertificateDer::pem_slice_iter(&pem).map(Result::unwrap).collect();
    let root = CertificateDer::from_pem_slice(play.simulator.ca_pem().as_bytes()).unwrap();
    let anchor = webpki::anchor_from_trusted_cert(&root).unwrap();
    let leaf = webpki::EndEntityCert::try_from(&chain[0]).unwrap();
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(1_772_438_400));
    let usage = webpki::KeyUsage::server_auth();
    leaf.verify_for_usage(webpki::ALL_VERIFICATION_ALGS, &[anchor], &chain[1..], now, usage, None, None)
        .unwrap();
    let message = format!(
        "{}|{}|{}|{}",
        header(delivery, "paypal-transmission-id"),
        header(delivery, "paypal-transmission-time"),
        registered.webhook_id,
        crc32fast::hash(&delivery.body)
    );
    use base64::Engine;
    let signature = base64::engine::general_purpose::STANDARD
        .decode(header(delivery, "paypal-transmission-sig"))
        .unwrap();
    let algorithm = webpki::ring::RSA_PKCS1_2048_8192_SHA256;
    leaf.verify_signature(algorithm, message.as_bytes(), &signature).unwrap();
    assert!(leaf.verify_signature(algorithm, b"something else", &signature).is_err());
    assert_eq!(verified_by_paypal(&play, delivery, &registered.webhook_id, &delivery.body).await, "SUCCESS");
    assert_eq!(verified_by_paypal(&play, delivery, "0ANOTHERWEBHOOKID", &delivery.body).await, "FAILURE");
    let changed = String::from_utf8_lossy(&delivery.body).replace("SUCCESS", "PENDING");
    assert_eq!(
        verified_by_paypal(&play, delivery, &registered.webhook_id, changed.as_bytes()).await,
        "FAILURE"
    );
}

/// The event must be in the request byte for byte, so the body is assembled by hand.
async fn verified_by_paypal(play: &Play, delivery: &Delivery, webhook_id: &str, event: &[u8]) -> String {
    let headers = ["auth-algo", "cert-url", "transmission-id", "transmission-sig", "transmission-time"];
    let field = |name: &str| {
        let value = header(delivery, &format!("paypal-{name}"));
        format!("\"{}\":\"{value}\"", name.replace('-', "_"))
    };
    let fields = headers.map(field).join(",");
    let event = String::from_utf8_lossy(event);
    let body = format!("{{{fields},\"webhook_id\":\"{webhook_id}\",\"webhook_event\":{event}}}");
    let token = play.fetch_token().await.text("/access_token").to_owned();
    let url = format!("{}/v1/notifications/verify-webhook-signature", play.base);
    let request = crate::play::client().post(url).bearer_auth(token).body(body);
    let answer: serde_json::Value = request.send().await.unwrap().json().await.unwrap();
    answer["verification_status"].as_str().unwrap_or("").to_owned()
}

#[tokio::test]
async fn refused_deliveries_come_back_signed_anew() {
    let play = Play::start().await;
    let registered = play.register_webhooks(NOWHERE).await;
    play.transfer("acct_ana", "700", "ptx_1", "k").await;
    let first = play.simulator.due_webhooks(play.now()).remove(0);
    assert_eq!(play.simulator.due_webhooks(play.now()).len(), 1, "queued until its answer is known");
    play.simulator.delivered(first.id, 400, play.now());
    assert!(play.simulator.due_webhooks(play.now()).is_empty());
    play.later(60 * SECOND);
    let second = play.simulator.due_webhooks(play.now()).remove(0);
    assert_eq!((first.id, &first.body), (second.id, &second.body));
    assert_ne!(header(&first, "stripe-signature"), header(&second, "stripe-signature"));
    assert!(stripe_genuine(&second, &registered.platform_secret));
    let tries = exhaust(&play, first.id);
    assert!((10..20).contains(&tries), "three days of doubling: {tries}");
    play.batch("pb", &[("ana@example.com", "1.00", "a")]).await;
    play.later(0);
    let first = play.simulator.due_webhooks(play.now()).remove(0);
    play.simulator.delivered(first.id, 500, play.now());
    play.later(60 * SECOND);
    let again = play.simulator.due_webhooks(play.now());
    let second = again.iter().find(|delivery| delivery.id == first.id).unwrap();
    assert_ne!(header(&first, "paypal-transmission-id"), header(second, "paypal-transmission-id"));
    assert_eq!(first.event_id, second.event_id);
    play.take_webhooks();
    play.settled_item("pb2", "sim-held-1@example.com", "1.00").await;
    let held = play.simulator.due_webhooks(play.now()).pop().unwrap();
    assert_eq!(exhaust(&play, held.id), 25, "PayPal's number of tries");
}

/// Rejects everything for four days; returns how many attempts this delivery had.
fn exhaust(play: &Play, id: u64) -> usize {
    let mut tries = 0;
    for _ in 0..4 * 24 * 12 {
        for delivery in play.simulator.due_webhooks(play.now()) {
            tries += usize::from(delivery.id == id);
            play.simulator.delivered(delivery.id, 503, play.now());
        }
        play.later(300 * SECOND);
    }
    tries
}

#[tokio::test]
async fn webhooks_can_be_spoiled() {
    let cases = [
        (FaultKind::Lost, vec!["payout.updated", "payout.paid"]),
        (FaultKind::Doubled, vec!["payout.created", "payout.created", "payout.updated", "payout.paid"]),
        (FaultKind::Reordered, vec!["payout.updated", "payout.created", "payout.paid"]),
        (FaultKind::Late { micros: DAY }, vec!["payout.updated", "payout.paid", "payout.created"]),
        (FaultKind::Forged, vec!["payout.created", "payout.created", "payout.updated", "payout.paid"]),
    ];
    for (kind, expected) in cases {
        let play = Play::start().await;
        let form = [("url", NOWHERE), ("enabled_events[]", "*"), ("connect", "true")];
        let secret = play.post("/v1/webhook_endpoints", &form, &[]).await.text("/secret").to_owned();
        let fault =
            Fault { vendor: Vendor::Stripe, call: Call::Webhook, kind: kind.clone(), skip: 0, times: 1 };
        play.simulator.plant(fault);
        play.pay("acct_ana", "700", "ptx_1").await;
        play.later(SECOND);
        let mut deliveries = play.take_webhooks();
        play.later(DAY);
        deliveries.extend(play.take_webhooks());
        assert_eq!(kinds(&deliveries), expected, "{kind:?}");
        let genuine: Vec<bool> =
            deliveries.iter().map(|delivery| stripe_genuine(delivery, &secret)).collect();
        let forged = matches!(kind, FaultKind::Forged);
        assert_eq!(genuine[0], !forged);
        assert!(genuine[1..].iter().all(|genuine| *genuine));
        if forged {
            assert_ne!(deliveries[0].body, deliveries[1].body);
            assert_eq!(deliveries[0].event_id, deliveries[1].event_id);
        }
    }
}

#[tokio::test]
async fn webhooks_are_posted_and_an_early_one_comes_before_the_answer() {
    let play = Play::start().await;
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = Arc::clone(&seen);
    let receive = move |body: String| {
        let event: serde_json::Value = serde_json::from_str(&body).unwrap();
        log.lock().unwrap().push(event["type"].as_str().unwrap_or("paypal").to_owned());
        async { "ok" }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = axum::Router::new().fallback(axum::routing::post(receive));
    tokio::spawn(async move { axum::serve(listener, router).await });
    play.register_webhooks(&url).await;
    let kind = FaultKind::Early;
    play.simulator.plant(Fault { vendor: Vendor::Stripe, call: Call::Webhook, kind, skip: 0, times: 1 });
    play.transfer("acct_ana", "700", "ptx_1", "k").await;
    assert_eq!(*seen.lock().unwrap(), ["transfer.created"]);
    play.payout("acct_ana", "700", "ptx_1", "p").await;
    play.later(SECOND);
    assert_eq!(play.simulator.deliver_due(play.now()).await, 3);
    assert_eq!(play.simulator.deliver_due(play.now()).await, 0);
    assert_eq!(seen.lock().unwrap().len(), 4);
    let books = play.simulator.books();
    assert!(books.webhooks.iter().all(|line| line.answered == 200 && line.attempt == 1));
}
