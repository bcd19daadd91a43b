//! Webhook deliveries that must have no effect: unsigned, wrongly signed, too old, from another account or mode, about
//! unknown objects, of unneeded types. And accepted events are stored before they are acknowledged.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use axum::http::Request;
use bursar::ops::people;
use bursar::ops::vendors::{Credentials, Proof};
use bursar::store;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use simulator::{Delivery, Vendor};

use crate::api::TestApp;
use crate::world::{DAY, Loop, World};

/// A Stripe delivery written by the test, signed with the endpoint's real secret.
async fn stripe(world: &World, endpoint: &str, event: &Value, signed_at_us: i64) -> Delivery {
    let body = event.to_string().into_bytes();
    let secret = secret(world, endpoint).await;
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    let at = signed_at_us / 1_000_000;
    mac.update(format!("{at}.").as_bytes());
    mac.update(&body);
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    delivery(world, endpoint, body, vec![("Stripe-Signature".to_owned(), format!("t={at},v1={hex}"))])
}

fn delivery(world: &World, endpoint: &str, body: Vec<u8>, headers: Vec<(String, String)>) -> Delivery {
    Delivery {
        id: 0,
        vendor: Vendor::Stripe,
        url: format!("{}/webhooks/{endpoint}", world.app.base_url),
        headers,
        body,
        event_type: String::new(),
        event_id: String::new(),
        object_id: String::new(),
    }
}

async fn secret(world: &World, endpoint: &str) -> String {
    let all = store::vendors::all(&mut world.app.store.read().await.unwrap()).await.unwrap();
    let stripe = all.iter().find(|one| one.vendor == payout::money::Vendor::Stripe).unwrap();
    match Credentials::open(&world.app.master_key, stripe).unwrap() {
        Credentials::Stripe { platform, connect, .. } => {
            let of = if endpoint == "stripe" { platform } else { connect };
            of.unwrap().1
        }
        Credentials::PayPal { .. } => panic!("not Stripe's"),
    }
}

fn event(id: &str, kind: &str, account: &str, object: &str, live: bool) -> Value {
    json!({
        "id": id, "object": "event", "api_version": "2026-05-27.dahlia", "created": 1_790_000_000, "type": kind,
        "livemode": live, "pending_webhooks": 1, "account": account,
        "request": {"id": null, "idempotency_key": null},
        "data": {"object": {"id": object, "object": "payout", "status": "paid", "amount": 100, "currency": "eur"}},
    })
}

/// How many events are stored, and what each was found to mean.
async fn stored(world: &World) -> (i64, Vec<String>) {
    world.tick(0, Loop::Intake).await;
    let (new, linked, parked) =
        store::events::backlog(&mut world.app.store.read().await.unwrap()).await.unwrap();
    assert_eq!((new, linked), (0, 0), "everything was looked at, nothing is about a payment");
    let effects = store::events::effects(&mut world.app.store.read().await.unwrap()).await.unwrap();
    (parked + i64::try_from(effects.len()).unwrap(), effects)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_signed_as_it_should_be_is_refused_and_not_stored() {
    let world = World::open("webhook_signatures", 1).await;
    let now = world.now();
    let good = event("evt_1", "payout.paid", "acct_x", "po_x", false);
    let minute = 60_000_000;
    let mut changed = stripe(&world, "stripe-connect", &good, now).await;
    *changed.body.last_mut().unwrap() = b' ';
    let mut other_endpoint = stripe(&world, "stripe", &good, now).await;
    other_endpoint.url = format!("{}/webhooks/stripe-connect", world.app.base_url);
    let unsigned = delivery(&world, "stripe-connect", good.to_string().into_bytes(), vec![]);
    let empty = delivery(&world, "stripe-connect", vec![], vec![]);
    let paypal = delivery(&world, "paypal", br#"{"id":"WH-1"}"#.to_vec(), vec![]);
    let rows = [
        ("unsigned", unsigned),
        ("empty", empty),
        ("one byte changed", changed),
        ("signed for the other endpoint", other_endpoint),
        (
            "signed 301 seconds ago",
            stripe(&world, "stripe-connect", &good, now - 5 * minute - 1_000_000).await,
        ),
        ("signed in the future", stripe(&world, "stripe-connect", &good, now + 6 * minute).await),
        ("PayPal, unsigned", paypal),
    ];
    for (what, delivery) in rows {
        assert_eq!(world.post(&delivery).await, 400, "{what}");
    }
    assert_eq!(stored(&world).await.0, 0);
    assert_eq!(
        world.post(&stripe(&world, "stripe-connect", &good, now - 5 * minute).await).await,
        200,
        "300 s are fresh"
    );
    let failures = store::vendors::all(&mut world.app.store.read().await.unwrap()).await.unwrap();
    let count =
        failures.iter().find(|one| one.vendor == payout::money::Vendor::Stripe).unwrap().bad_signatures;
    assert!(count >= 5, "the settings page tells of {count} signatures that did not fit");
    world.close().await;
}

/// A fake PayPal that counts requests and knows nothing.
async fn counting() -> (String, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let answer = async move || {
        counted.fetch_add(1, Ordering::Relaxed);
        axum::http::StatusCode::NOT_FOUND
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let router = axum::Router::new().fallback(answer);
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (base, asked)
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_cannot_drive_calls_to_paypal_nor_writes() {
    let (base, asked) = counting().await;
    let flag = format!("--paypal-api-base={base}");
    let house = TestApp::open_at("paypal_forged", "http://127.0.0.1:8080", &[&flag]).await;
    let actor = people::by_key(&house.app, &house.admin, None).await.unwrap().actor().unwrap();
    let credentials = Credentials::PayPal {
        client_id: "id".to_owned(),
        client_secret: "secret".to_owned(),
        webhook_id: Some("WH-1".to_owned()),
    };
    let proof = Proof { mode: "sandbox", account: "sim_client/sandbox".to_owned(), same_as_before: false };
    bursar::ops::vendors::save(&house.app, &actor, &credentials, &proof).await.unwrap();
    let bad = async || {
        let all = store::vendors::all(&mut house.app.store.read().await.unwrap()).await.unwrap();
        all[0].bad_signatures
    };
    let forged = async |name: &str, algo: &str, time: &str, signature: &str| {
        let request = Request::post("/webhooks/paypal")
            .header("paypal-transmission-id", "1")
            .header("paypal-transmission-time", time)
            .header("paypal-transmission-sig", signature)
            .header("paypal-cert-url", format!("{base}/v1/notifications/certs/{name}"))
            .header("paypal-auth-algo", algo);
        house.send(request.body(Body::from("{}")).unwrap()).await.status.as_u16()
    };
    let (algo, fresh) = ("SHA256withRSA", "2026-03-02T09:00:00Z");
    let signature = base64_of(&[7; 256]);
    for number in 0..60 {
        let name = format!("CERT-{number}");
        let of = [
            ("none", fresh, signature.as_str()),
            (algo, "1970-01-01T00:00:00Z", &signature),
            (algo, fresh, "!!!"),
        ];
        for (algo, time, signature) in of {
            assert_eq!(forged(&name, algo, time, signature).await, 400);
        }
        assert_eq!(forged(&name, algo, fresh, "c2hvcnQ=").await, 400);
    }
    assert_eq!(asked.load(Ordering::Relaxed), 0, "nothing is asked of PayPal for what is plainly wrong");
    let written = bad().await;
    assert!(written < 240, "{written}: each cost a write");

    let mut statuses = Vec::new();
    for number in 0..60 {
        statuses.push(forged(&format!("NEW-{number}"), algo, fresh, &signature).await);
    }
    assert!(
        asked.load(Ordering::Relaxed) <= 10,
        "{} certificates were asked for",
        asked.load(Ordering::Relaxed)
    );
    assert!(statuses.iter().filter(|status| **status == 503).count() >= 50, "{statuses:?}");
    for _ in 0..20 {
        assert_eq!(forged("NEW-0", algo, fresh, &signature).await, 400);
    }
    assert!(asked.load(Ordering::Relaxed) <= 10, "what failed is remembered");

    house.clock.pass(10_000_000);
    assert_eq!(forged("NEW-0", algo, fresh, "!!!").await, 400);
    let counted = 240 + i64::try_from(statuses.iter().filter(|status| **status == 400).count()).unwrap() + 21;
    for _ in 0..200 {
        if bad().await == counted {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("{} of {counted} bad signatures are told of", bad().await);
}

fn base64_of(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_signed_but_not_about_us_is_stored_and_moves_nothing() {
    let world = World::open("webhook_strangers", 2).await;
    let now = world.now();
    let rows = [
        (
            "stripe-connect",
            event("evt_mode", "payout.paid", "acct_x", "po_x", true),
            Some("from the other mode (test or live)"),
        ),
        ("stripe-connect", event("evt_kind", "payout.invented", "acct_x", "po_x", false), None),
        (
            "stripe-connect",
            event("evt_use", "charge.refunded", "acct_x", "ch_x", false),
            Some("no effect: an event that Bursar does not use"),
        ),
        (
            "stripe",
            event("evt_door", "payout.paid", "acct_x", "po_x", false),
            Some("no effect: an event that Bursar does not use"),
        ),
    ];
    for (endpoint, event, _) in &rows {
        let delivery = stripe(&world, endpoint, event, now).await;
        assert_eq!(world.post(&delivery).await, 200);
        assert_eq!(world.post(&delivery).await, 200, "twice is not an error");
    }
    let (count, effects) = stored(&world).await;
    assert_eq!(count, 4, "each once");
    for expected in rows.iter().filter_map(|(_, _, expected)| *expected) {
        assert!(effects.iter().any(|effect| effect == expected), "{expected:?} in {effects:?}");
    }
    let balances = store::ledger::balances(&mut world.app.store.read().await.unwrap()).await.unwrap();
    assert!(balances.is_empty(), "nothing moved: {balances:?}");
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_secret_nothing_is_taken() {
    let house = TestApp::open("webhook_no_secret").await;
    for endpoint in ["stripe", "stripe-connect", "paypal"] {
        let request = Request::post(format!("/webhooks/{endpoint}")).body(Body::from("{}")).unwrap();
        house.send(request).await.refused(503, "webhook_not_configured");
    }
}

/// The same, with bytes that need not be an event.
async fn signed(world: &World, endpoint: &str, body: &[u8]) -> Delivery {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret(world, endpoint).await.as_bytes()).unwrap();
    let at = world.now() / 1_000_000;
    mac.update(format!("{at}.").as_bytes());
    mac.update(body);
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    delivery(
        world,
        endpoint,
        body.to_vec(),
        vec![("Stripe-Signature".to_owned(), format!("t={at},v1={hex}"))],
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_signed_and_odd_is_stored_counted_and_answered() {
    let world = World::open("webhook_odd", 1).await;
    let thin = json!({"id": "evt_thin1", "object": "v2.core.event", "type": "v2.core.account.updated",
        "created": "2026-11-28T20:00:00Z", "livemode": false, "context": "acct_x"});
    let with = |id: &str, change: fn(&mut Value)| {
        let mut odd = event(id, "payout.paid", "acct_x", "po_x", false);
        change(&mut odd);
        odd.to_string().into_bytes()
    };
    let odd = [
        thin.to_string().into_bytes(),
        with("evt_o1", |it| it["livemode"] = Value::Null),
        with("evt_o2", |it| it["data"] = json!({"object": null})),
        with("evt_o3", |it| it["data"]["object"]["id"] = json!(7)),
        with("evt_o4", |it| it["created"] = json!(1.5)),
    ];
    let unreadable =
        [&b"not JSON"[..], b"\xff\xfe", b"{\"type\": \"payout.paid\"}", b"{\"id\": null, \"type\": 7}"];
    for body in odd.iter().map(Vec::as_slice).chain(unreadable) {
        let delivery = signed(&world, "stripe-connect", body).await;
        assert_eq!(world.post(&delivery).await, 200, "{}", String::from_utf8_lossy(body));
    }
    // The same bytes again are the same event.
    assert_eq!(world.post(&signed(&world, "stripe-connect", unreadable[0]).await).await, 200);
    let (count, effects) = stored(&world).await;
    assert_eq!(count, 9, "{effects:?}");
    assert_eq!(
        effects.iter().filter(|effect| effect.starts_with("it is signed but cannot be read")).count(),
        4
    );
    let all = store::vendors::all(&mut world.app.store.read().await.unwrap()).await.unwrap();
    let of = |vendor| all.iter().find(|one| one.vendor == vendor).unwrap();
    assert!(of(payout::money::Vendor::Stripe).unreadable_events >= 4);
    assert_eq!(of(payout::money::Vendor::PayPal).unreadable_events, 0);
    let filter = store::events::Filter { kind: Some("unreadable".to_owned()), ..Default::default() };
    let mut db = world.app.store.read().await.unwrap();
    let shown = store::events::newest(&mut db, &filter, None, 10).await.unwrap();
    assert_eq!(shown.len(), 4);
    drop(db);
    world.close().await;
}

/// Raw vendor data is kept as long as the operator wants, then only its hash; a repeated event is still recognized by its
/// ID.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_whose_words_were_forgotten_is_known_when_it_comes_again() {
    let world = World::open_with("webhook_forgotten", 7, &[("raw-days", "60")]).await;
    let json = event("evt_old", "payout.paid", "acct_x", "po_x", false);
    assert_eq!(world.post(&stripe(&world, "stripe-connect", &json, world.now()).await).await, 200);
    world.tick(0, Loop::Intake).await;
    let texts = async || {
        let mut db = world.app.store.read().await.unwrap();
        let all = ("", "evt_~");
        store::raw::between(&mut db, store::raw::Kind::Events, all, 100).await.unwrap()
    };
    let sweep = async || bursar::work::sweep::once(&world.works[0], world.now()).await.unwrap();
    // Its object is unknown, so it stops being retried after a day; its text is kept for two months.
    for days in [2, 57] {
        world.pass(days * DAY);
        sweep().await;
        assert!(texts().await[0].body.contains("po_x"), "{:?}", texts().await);
    }
    world.pass(2 * DAY);
    sweep().await;
    let left = texts().await;
    assert!(left.len() == 1 && left[0].body.is_empty(), "{left:?}");
    assert_eq!(world.post(&stripe(&world, "stripe-connect", &json, world.now()).await).await, 200);
    assert_eq!(texts().await, left, "it is the one that is known");
    world.close().await;
}

/// An event not processed within its retention is kept, and forgotten once it is processed.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_dealt_with_late_is_forgotten_later() {
    let world = World::open_with("webhook_late", 8, &[("raw-days", "60")]).await;
    let texts = async || {
        let mut db = world.app.store.read().await.unwrap();
        let all = ("", "evt_~");
        let found = store::raw::between(&mut db, store::raw::Kind::Events, all, 100).await.unwrap();
        found.into_iter().map(|one| one.body).collect::<Vec<_>>()
    };
    let sweep = async || bursar::work::sweep::once(&world.works[0], world.now()).await.unwrap();
    for id in ["evt_one", "evt_two"] {
        let json = event(id, "payout.paid", "acct_x", id, false);
        assert_eq!(world.post(&stripe(&world, "stripe-connect", &json, world.now()).await).await, 200);
    }
    world.pass(61 * DAY);
    for _ in 0..3 {
        sweep().await;
    }
    assert!(texts().await.iter().all(|text| text.contains("payout.paid")), "{:?}", texts().await);
    world.tick(0, Loop::Intake).await;
    world.pass(2 * DAY);
    for _ in 0..3 {
        sweep().await;
    }
    assert_eq!(texts().await, ["", ""]);
    world.close().await;
}
