//! Passkeys: adding them, signing in with one alone or after a password, and using one for step-up; which responses are
//! rejected; that each challenge is answered once, on whichever node; and that the signed action is the one performed.

use axum::http::StatusCode;
use bursar::app::{App, Inner, Nudge};
use bursar::ops::people::factor::{self, FactorPolicy};
use bursar::ops::people::{self, MachineUser, NewPerson};
use bursar::secrets::MasterKey;
use bursar::store::{Store, audit};
use bursar::work::Work;
use payout::access::Role;
use payout::ids::PersonId;
use payout::notice::Notice;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::authenticator::{Device, closed};
use super::factor::{me, set_up, told};
use super::{MINUTE, id_of};
use crate::pages::{Browser, PASSWORD, Page};
use crate::world::{SECOND, World};

const SITE: &str = "pay.acme.example";
const ORIGIN: &str = "https://pay.acme.example";

/// A node that is reached by a host name.
async fn node(world: &World) -> App {
    App::new(Inner {
        store: Store::open(&world.database_url).await.unwrap(),
        clock: world.app.clock.clone(),
        config: world.app.config.clone(),
        base_url: ORIGIN.to_owned(),
        master_key: MasterKey::new([7; 32]),
        nudge: Nudge::default(),
    })
}

fn browser(app: &App) -> Browser {
    Browser::at(bursar::web::router(Work::new(app.clone(), None).unwrap()))
}

async fn signed_in(app: &App, role: Role, name: &str) -> Browser {
    let (email, name) = (format!("{name}@example.com"), name.to_owned());
    let new = NewPerson { email, name, role, partner: None, password: Some(PASSWORD.to_owned()) };
    let link = people::add(app, &new).await.unwrap();
    let mut browser = browser(app);
    browser.post(link.strip_prefix(ORIGIN).unwrap(), &[]).await;
    browser
}

/// The first attribute of this name on a page.
fn attribute(page: &Page, name: &str) -> String {
    let value = page
        .body
        .split(&format!("{name}=\""))
        .nth(1)
        .unwrap_or_else(|| panic!("no {name} in\n{}", page.body));
    value.split('"').next().unwrap().replace("&#34;", "\"").replace("&#38;", "&")
}

/// The challenge that a page's button gives the browser.
async fn asked(world: &World, browser: &mut Browser, page: &Page) -> Value {
    world.pass(SECOND);
    let (at, send) = (attribute(page, "data-passkey"), attribute(page, "data-send"));
    let fields: Vec<(String, String)> = url::form_urlencoded::parse(send.as_bytes()).into_owned().collect();
    let fields: Vec<(&str, &str)> =
        fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let answer = browser.post(&at, &fields).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.words());
    serde_json::from_str(&answer.body).unwrap()
}

/// Adds a passkey right after a step-up; returns the resulting page.
async fn add(browser: &mut Browser, device: &mut Device, name: &str) -> Page {
    let csrf = browser.read("/factor").await.hidden("csrf");
    // From then on it signs in alone, so a copy of a fresh session is not enough.
    for password in ["", "not the password"] {
        let tried = [("csrf", csrf.as_str()), ("password", password)];
        let asked = browser.post("/factor/passkeys", &tried).await;
        assert_eq!(asked.to, "", "{password}");
        assert!(asked.body.contains("name=\"password\""), "{}", asked.words());
    }
    let right = [("csrf", csrf.as_str()), ("password", PASSWORD)];
    assert_eq!(browser.post("/factor/passkeys", &right).await.to, "/factor/passkeys/new");
    make(browser, device, name).await
}

async fn make(browser: &mut Browser, device: &mut Device, name: &str) -> Page {
    let page = browser.read("/factor/passkeys/new").await;
    let asked: Value = serde_json::from_str(&attribute(&page, "data-asked")).unwrap();
    let made = device.make(&asked);
    browser
        .post("/factor/passkeys/new", &[("csrf", &page.hidden("csrf")), ("name", name), ("passkey", &made)])
        .await
}

fn device(id: &str) -> Device {
    Device::at(ORIGIN, SITE, id)
}

/// A user with one passkey.
async fn with_one(app: &App, role: Role, name: &str) -> (Browser, Device) {
    let (mut browser, mut device) = (signed_in(app, role, name).await, device(name));
    let done = add(&mut browser, &mut device, "Phone").await;
    done.says("Your recovery codes");
    (browser, device)
}

async fn alone(world: &World, browser: &mut Browser, device: &mut Device) -> Page {
    let page = browser.read("/login?next=%2Fme").await;
    let asked = asked(world, browser, &page).await;
    let shown = device.show(&asked);
    browser.post("/login/passkey", &[("next", "/me"), ("passkey", &shown)]).await
}

const NOT_IN: &str = "/login?why=passkey&next=%2Fme";

async fn half_way(app: &App, name: &str) -> (Browser, Page) {
    let mut next = browser(app);
    let email = format!("{name}@example.com");
    let fields = [("email", email.as_str()), ("password", PASSWORD), ("next", "/me")];
    assert_eq!(next.post("/login", &fields).await.to, "/login/code?next=%2Fme");
    let page = next.read("/login/code?next=%2Fme").await;
    (next, page)
}

/// The audit rows about a user, newest first: action and details.
async fn trail(app: &App, of: &str) -> Vec<(String, Value)> {
    let filter = audit::Filter { subject: Some(of.to_owned()), ..Default::default() };
    let rows = audit::list(&mut app.store.read().await.unwrap(), &filter, 50).await.unwrap();
    rows.into_iter().map(|row| (row.action, serde_json::from_str(&row.detail).unwrap())).collect()
}

/// Why a user's last passkey response was rejected, according to the audit trail.
async fn why(app: &App, of: &str) -> String {
    let rows = trail(app, of).await;
    let (action, detail) = &rows[0];
    assert_eq!(action, "passkey_refused", "{rows:?}");
    detail["why"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_passkey_stands_in_for_the_code_and_for_the_password() {
    let world = World::open("passkey_in", 501).await;
    let app = node(&world).await;
    let mut kim = signed_in(&app, Role::Preparer, "kim").await;
    let mut elsewhere = browser(&app);
    elsewhere.post("/login", &[("email", "kim@example.com"), ("password", PASSWORD)]).await;
    elsewhere.read("/me").await;
    let (mut copy, mut phone) = (kim.clone(), device("phone"));
    let done = add(&mut kim, &mut phone, "").await;
    done.says("Your recovery codes");
    assert_eq!(done.body.matches("<li><code>").count(), 10);
    for over in [&mut elsewhere, &mut copy] {
        assert!(
            over.get("/me").await.to.starts_with("/login"),
            "it is the first, so what was open has ended"
        );
    }
    kim.read("/me").await.says("On: a passkey is asked for when you sign in");
    kim.read("/factor").await.says("Passkey Added 2026-03-02, not used yet");

    // After the password, instead of a code.
    let (mut next, page) = half_way(&app, "kim").await;
    page.says("One step more: show your passkey.");
    page.says("Recovery code");
    let asked = asked(&world, &mut next, &page).await;
    let shown = phone.show(&asked);
    let sent = [("next", "/me"), ("passkey", shown.as_str())];
    assert_eq!(next.post("/login/code/passkey", &sent).await.to, "/me");
    next.read("/me").await;
    assert_eq!(next.post("/login/code/passkey", &sent).await.status, StatusCode::GONE);
    next.read("/factor").await.says("Passkey Added 2026-03-02, last used 2026-03-02");

    // Alone, without a password or an address.
    let mut other = browser(&app);
    assert_eq!(alone(&world, &mut other, &mut phone).await.to, "/me");
    other.read("/me").await;

    let id = me(&world, "kim@example.com").await;
    assert_eq!(told(&world, &id).await, ["passkey_added"]);
    let rows = trail(&app, &id).await;
    assert_eq!((rows[0].0.as_str(), &rows[0].1["passkey"]), ("signed_in", &json!("Passkey")));
    let added = rows.iter().find(|(action, _)| action == "passkey_added").unwrap();
    assert!(added.1["from"].as_str().unwrap().contains("address"), "{added:?}");
    world.close().await;
}

#[tokio::test]
async fn what_is_not_believed_lets_nobody_in() {
    let world = World::open("passkey_no", 502).await;
    let app = node(&world).await;
    let (_, mut phone) = with_one(&app, Role::Preparer, "kim").await;
    let id = me(&world, "kim@example.com").await;
    let mut next = browser(&app);
    type Lie = fn(&mut Device);
    let lies: [(Lie, &str); 6] = [
        (|device| device.origin = "https://pay.acme.example.evil.example".to_owned(), "origin"),
        (|device| device.origin = "http://pay.acme.example".to_owned(), "origin"),
        (|device| device.origin = "https://pay.acme.example:8443".to_owned(), "origin"),
        (|device| device.site = "acme.example".to_owned(), "site"),
        (|device| device.verifies = false, "not_verified"),
        (|device| device.touched = false, "nobody_there"),
    ];
    for (lie, reason) in lies {
        lie(&mut phone);
        assert_eq!(alone(&world, &mut next, &mut phone).await.to, NOT_IN, "{reason}");
        assert_eq!(why(&app, &id).await, reason);
        (phone.origin, phone.site) = (ORIGIN.to_owned(), SITE.to_owned());
        (phone.verifies, phone.touched) = (true, true);
    }
    next.read(NOT_IN).await.says("This passkey was not accepted here, or it took too long.");

    // Another challenge, an answered one, one of another browser, an expired one.
    let page = next.read("/login").await;
    let first = asked(&world, &mut next, &page).await;
    let shown = phone.show(&first);
    let sent = [("next", "/me"), ("passkey", shown.as_str())];
    let mut thief = browser(&app);
    let page = thief.read("/login").await;
    asked(&world, &mut thief, &page).await;
    assert_eq!(thief.post("/login/passkey", &sent).await.to, NOT_IN, "another browser was asked");
    assert_eq!(why(&app, &id).await, "challenge");
    assert_eq!(next.post("/login/passkey", &sent).await.to, "/me");
    let replayed = next.post("/login/passkey", &sent).await;
    assert_eq!(replayed.to, NOT_IN, "it was answered");
    let made_up = phone.sign(&json!({ "challenge": closed(&[7; 32]) }));
    assert_eq!(next.post("/login/passkey", &[("next", "/me"), ("passkey", &made_up)]).await.to, NOT_IN);
    let page = next.read("/login").await;
    let old = asked(&world, &mut next, &page).await;
    world.pass(5 * MINUTE + SECOND);
    let shown = phone.show(&old);
    assert_eq!(next.post("/login/passkey", &[("next", "/me"), ("passkey", &shown)]).await.to, NOT_IN);
    assert_eq!(why(&app, &id).await, "challenge");

    world.close().await;
}

/// A passkey marked as synced can never be marked device-bound again; contradictory flags are rejected.
#[tokio::test]
async fn a_passkey_that_was_shared_is_never_on_one_device_again() {
    let world = World::open("passkey_copies", 520).await;
    let app = node(&world).await;
    let (mut owner, mut phone) = with_one(&app, Role::Preparer, "kim").await;
    let id = me(&world, "kim@example.com").await;
    let mut next = browser(&app);
    phone.copies = (false, true);
    assert_eq!(alone(&world, &mut next, &mut phone).await.to, NOT_IN, "it is copied and may not be");
    assert_eq!(why(&app, &id).await, "devices");
    phone.copies = (false, false);
    assert_eq!(alone(&world, &mut next, &mut phone).await.to, "/me");
    phone.copies = (true, false);
    assert_eq!(alone(&world, &mut next, &mut phone).await.to, "/me", "its device shares passkeys now");
    phone.copies = (true, true);
    assert_eq!(alone(&world, &mut next, &mut phone).await.to, "/me", "it was copied since");
    phone.copies = (false, false);
    assert_eq!(alone(&world, &mut next, &mut phone).await.to, NOT_IN);
    assert_eq!(why(&app, &id).await, "devices");
    phone.copies = (true, true);
    // A passkey from before this was recorded reports it at its next use.
    crate::world::run(&world.app.config.database_url, "UPDATE passkey SET devices = NULL".to_owned()).await;
    assert_eq!(alone(&world, &mut next, &mut phone).await.to, "/me");
    // A passkey with contradictory flags is not stored.
    let csrf = owner.read("/factor").await.hidden("csrf");
    let asking = owner.post("/factor/passkeys", &[("csrf", csrf.as_str())]).await;
    let asked = asked(&world, &mut owner, &asking).await;
    let shown = phone.show(&asked);
    owner.post("/factor/passkeys", &[("csrf", csrf.as_str()), ("passkey", &shown)]).await;
    let mut odd = device("odd");
    odd.copies = (false, true);
    make(&mut owner, &mut odd, "Odd").await.says("This passkey was not accepted");
    world.close().await;
}

/// A passkey challenge for an anonymous browser writes nothing, and challenges of one session do not accumulate.
#[tokio::test]
async fn being_asked_for_a_passkey_piles_nothing_up() {
    let world = World::open("passkey_piles", 521).await;
    let app = node(&world).await;
    let (mut owner, mut phone) = with_one(&app, Role::Preparer, "kim").await;
    let mut database = crate::nodes::beside(&world).await;
    let waiting = "SELECT CAST(COUNT(*) AS TEXT) FROM passkey_challenge";
    let before = crate::nodes::text(&mut database, waiting).await;
    let mut stranger = browser(&app);
    let page = stranger.read("/login").await;
    for _ in 0..3 {
        asked(&world, &mut stranger, &page).await;
    }
    assert_eq!(crate::nodes::text(&mut database, waiting).await, before);
    let csrf = owner.read("/factor").await.hidden("csrf");
    let asking = owner.post("/factor/codes", &[("csrf", csrf.as_str())]).await;
    let mut last = Value::Null;
    for _ in 0..9 {
        last = asked(&world, &mut owner, &asking).await;
    }
    let many: i64 = crate::nodes::text(&mut database, waiting).await.parse().unwrap();
    assert!(many <= 6, "{many}");
    let shown = phone.show(&last);
    let codes = owner.post("/factor/codes", &[("csrf", csrf.as_str()), ("passkey", &shown)]).await;
    codes.says("Your recovery codes");
    // The audit trail names the passkey used.
    alone(&world, &mut stranger, &mut phone).await;
    let id = me(&world, "kim@example.com").await;
    let rows = trail(&app, &id).await;
    let came = rows.iter().find(|(action, _)| action == "signed_in").unwrap();
    assert_eq!(came.1["evidence"]["credential"], phone.id().as_str(), "{came:?}");
    world.close().await;
}

#[tokio::test]
async fn what_somebody_else_signed_lets_nobody_in() {
    let world = World::open("passkey_signature", 511).await;
    let app = node(&world).await;
    let (_, mut phone) = with_one(&app, Role::Preparer, "kim").await;
    let id = me(&world, "kim@example.com").await;
    let mut next = browser(&app);
    // A signature over other data, one by another key, an unknown passkey, and no passkey at all.
    let page = next.read("/login").await;
    let asked_for = asked(&world, &mut next, &page).await;
    let mut shown: Value = serde_json::from_str(&phone.show(&asked_for)).unwrap();
    shown["authenticator_data"] =
        json!(closed(&[Sha256::digest(SITE.as_bytes()).as_slice(), &[5, 0, 0, 1, 0]].concat()));
    assert_eq!(
        next.post("/login/passkey", &[("next", "/me"), ("passkey", &shown.to_string())]).await.to,
        NOT_IN
    );
    assert_eq!(why(&app, &id).await, "signature");
    let mut another = device("kim");
    let page = next.read("/login").await;
    let asked_for = asked(&world, &mut next, &page).await;
    let mut shown: Value = serde_json::from_str(&another.sign(&asked_for)).unwrap();
    shown["user"] = json!(closed(id.as_bytes()));
    assert_eq!(
        next.post("/login/passkey", &[("next", "/me"), ("passkey", &shown.to_string())]).await.to,
        NOT_IN
    );
    assert_eq!(why(&app, &id).await, "signature");
    assert_eq!(alone(&world, &mut next, &mut device("unknown")).await.to, NOT_IN);
    let nul = r#"{"id":"a\u0000b","client_data":"e30","authenticator_data":"","signature":"","user":""}"#;
    for odd in ["", "{}", "null", "[1]", nul] {
        assert_eq!(
            next.post("/login/passkey", &[("next", "/me"), ("passkey", odd)]).await.to,
            NOT_IN,
            "{odd}"
        );
    }
    // A disabled user gets the same response as an unknown one.
    people::disable(&app, "kim@example.com", MachineUser("root")).await.unwrap();
    assert_eq!(alone(&world, &mut next, &mut phone).await.to, NOT_IN);
    people::enable(&app, "kim@example.com", MachineUser("root")).await.unwrap();
    assert_eq!(alone(&world, &mut next, &mut phone).await.to, "/me");
    world.close().await;
}

#[tokio::test]
async fn a_passkey_that_counts_backwards_was_copied() {
    let world = World::open("passkey_copy", 503).await;
    let app = node(&world).await;
    let (_, mut phone) = with_one(&app, Role::Preparer, "kim").await;
    let id = me(&world, "kim@example.com").await;
    let mut next = browser(&app);
    phone.count = 40;
    assert_eq!(alone(&world, &mut next, &mut phone).await.to, "/me");
    // The counter increases before each response, so the last was 41.
    for count in [39, 40, 0] {
        phone.count = count;
        assert_eq!(alone(&world, &mut next, &mut phone).await.to, NOT_IN, "{count}");
        assert_eq!(trail(&app, &id).await[0].0, "passkey_copied");
    }
    assert_eq!(
        told(&world, &id).await,
        ["passkey_added", "passkey_copied", "passkey_copied", "passkey_copied"]
    );
    phone.count = 41;
    assert_eq!(alone(&world, &mut next, &mut phone).await.to, "/me");

    // A device without a counter always sends 0.
    let mut lee = signed_in(&app, Role::Preparer, "lee").await;
    let mut cloud = device("cloud");
    cloud.count = 0;
    add(&mut lee, &mut cloud, "Cloud").await.says("Your recovery codes");
    for _ in 0..2 {
        assert_eq!(alone(&world, &mut next, &mut cloud).await.to, "/me");
    }
    world.close().await;
}

#[tokio::test]
async fn nobody_shows_the_passkey_of_somebody_else() {
    let world = World::open("passkey_others", 504).await;
    let app = node(&world).await;
    let (_kim, mut kims) = with_one(&app, Role::Preparer, "kim").await;
    let (mut lee, mut lees) = with_one(&app, Role::Preparer, "lee").await;
    let id = me(&world, "kim@example.com").await;
    // Someone who has Kim's password answers with their own passkey.
    let (mut next, page) = half_way(&app, "kim").await;
    let asked_for = asked(&world, &mut next, &page).await;
    assert_eq!(asked_for["known"], json!([kims.id()]));
    let shown = lees.sign(&asked_for);
    next.post("/login/code/passkey", &[("next", "/me"), ("passkey", &shown)])
        .await
        .says("was not accepted here");
    assert_eq!(why(&app, &id).await, "owner");
    // A challenge for one purpose is valid for no other.
    let mut stranger = browser(&app);
    let page = stranger.read("/login").await;
    let alone_asked = asked(&world, &mut stranger, &page).await;
    let shown = kims.sign(&alone_asked);
    next.post("/login/code/passkey", &[("next", "/me"), ("passkey", &shown)])
        .await
        .says("was not accepted here");
    assert_eq!(why(&app, &id).await, "challenge");
    // Another login's passkey cannot be registered again, and a sign-in response cannot register one.
    let csrf = lee.read("/factor").await.hidden("csrf");
    let fields = [("csrf", csrf.as_str())];
    lee.post("/factor/passkeys", &fields).await.says("Is it you?");
    let (mut pat, mut same) = (signed_in(&app, Role::Preparer, "pat").await, device("kim"));
    add(&mut pat, &mut same, "Mine").await.says("was not accepted here");
    add(&mut pat, &mut device("pat"), "Mine").await.says("Your recovery codes");
    // The audit trail records the attempts, and nothing was consumed by them.
    let mut again = browser(&app);
    assert_eq!(alone(&world, &mut again, &mut kims).await.to, "/me");
    world.close().await;
}

#[tokio::test]
async fn a_challenge_is_answered_once_on_whichever_node() {
    let world = World::open("passkey_nodes", 505).await;
    let (one, two) = (node(&world).await, node(&world).await);
    let (_, mut phone) = with_one(&one, Role::Preparer, "kim").await;
    for _ in 0..3 {
        let mut here = browser(&one);
        let page = here.read("/login").await;
        let asked = asked(&world, &mut here, &page).await;
        let shown = phone.show(&asked);
        let sent = [("next", "/me"), ("passkey", shown.as_str())];
        let (mut there, mut twice) = (here.on(&two), here.clone());
        let done = tokio::join!(
            here.post("/login/passkey", &sent),
            there.post("/login/passkey", &sent),
            twice.post("/login/passkey", &sent)
        );
        let done = [done.0.to, done.1.to, done.2.to];
        assert_eq!(done.iter().filter(|to| *to == "/me").count(), 1, "{done:?}");
    }
    let mut here = browser(&one);
    let page = here.read("/login").await;
    let asked = asked(&world, &mut here, &page).await;
    let mut there = here.on(&two);
    let sent = phone.show(&asked);
    assert_eq!(there.post("/login/passkey", &[("next", "/me"), ("passkey", &sent)]).await.to, "/me");
    world.close().await;
}

#[tokio::test]
async fn what_is_signed_is_what_is_done() {
    let world = World::open("passkey_deed", 506).await;
    let app = node(&world).await;
    let (mut pat, mut phone) = with_one(&app, Role::Admin, "pat").await;
    let id = me(&world, "pat@example.com").await;
    let csrf = pat.read("/me").await.hidden("csrf");
    world.pass(11 * MINUTE);
    let off = |reason| [("csrf", csrf.as_str()), ("reason", reason)];
    let page = pat.post("/safe-mode/off", &off("we looked\r\nand it is well")).await;
    page.says("Is it you?");
    page.says("To be done: End safe mode /safe-mode/off");
    let asked_for = asked(&world, &mut pat, &page).await;
    // Another form, and another URL, with the same signature; each consumes the challenge.
    let shown = phone.show(&asked_for);
    let other = [off("something else")[0], off("something else")[1], ("passkey", shown.as_str())];
    let refused = pat.post("/safe-mode/off", &other).await;
    refused.says("This passkey was not accepted here");
    assert_eq!(why(&app, &id).await, "challenge");
    let same = [
        off("we looked\nand it is well")[0],
        off("we looked\nand it is well")[1],
        ("passkey", shown.as_str()),
    ];
    pat.post("/safe-mode/off", &same).await.says("This passkey was not accepted here");
    let page = pat.post("/safe-mode/off", &off("we looked\r\nand it is well")).await;
    let shown = phone.show(&asked(&world, &mut pat, &page).await);
    let same = [
        off("we looked\nand it is well")[0],
        off("we looked\nand it is well")[1],
        ("passkey", shown.as_str()),
    ];
    pat.post("/safe-mode/off?reason=other", &same).await.says("This passkey was not accepted here");
    // Browsers normalize line endings in form data.
    let done = pat.post("/safe-mode/off", &same).await;
    assert!(!done.words().contains("Is it you?"), "{}", done.words());

    // The audit trail records the signed data, so it can be verified.
    let rows = trail(&app, &id).await;
    let (_, proof) = rows.iter().find(|(action, _)| action == "proved_again").unwrap();
    assert_eq!(proof["with"], "passkey");
    let evidence = &proof["evidence"];
    let word = |name: &str| evidence[name].as_str().unwrap();
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.append_pair("csrf", &csrf).append_pair("reason", "we looked\nand it is well");
    let digest = Sha256::digest(form.finish()).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(proof["deed"].as_str().unwrap(), format!("POST /safe-mode/off {digest}"));
    let text = format!(
        "bursar passkey 1\nprove\n{}\n{}\n{}",
        word("bound_to"),
        proof["deed"].as_str().unwrap(),
        word("nonce")
    );
    let challenge = closed(&Sha256::digest(text));
    let sent: Value = serde_json::from_str(&shown).unwrap();
    for part in ["client_data", "authenticator_data", "signature"] {
        assert_eq!(evidence[part], sent[part], "{part}");
    }
    assert_eq!(challenge, word_of(&sent["client_data"], "challenge"));
    world.close().await;
}

/// A member of the client data that a browser wrote.
fn word_of(client_data: &Value, name: &str) -> String {
    use base64::Engine as _;
    let bytes =
        base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(client_data.as_str().unwrap()).unwrap();
    serde_json::from_slice::<Value>(&bytes).unwrap()[name].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn whoever_has_a_passkey_alone_is_not_let_through_by_a_password() {
    let world = World::open("passkey_only", 507).await;
    let app = node(&world).await;
    let mut kim = signed_in(&app, Role::Preparer, "kim").await;
    let mut phone = device("phone");
    let codes = add(&mut kim, &mut phone, "Phone").await;
    let code = codes.body.split("<li><code>").nth(3).unwrap().split('<').next().unwrap().to_owned();
    let csrf = kim.read("/me").await.hidden("csrf");
    let prove = |code| [("csrf", csrf.as_str()), ("password", PASSWORD), ("code", code), ("next", "/factor")];
    for wrong in ["", "000000", "aaaa-bbbb"] {
        assert_eq!(kim.post("/prove", &prove(wrong)).await.to, "/prove?why=code&next=%2Ffactor", "{wrong:?}");
    }
    assert_eq!(kim.post("/prove", &prove(&code)).await.to, "/factor");
    assert_eq!(kim.post("/prove", &prove(&code)).await.to, "/prove?why=code&next=%2Ffactor", "once");
    // Nor can the password alone change the second factor or the password.
    world.pass(5 * MINUTE);
    for path in ["/factor/begin", "/factor/codes", "/factor/off", "/factor/passkeys"] {
        kim.post(path, &[("csrf", &csrf)]).await.says("Is it you?");
        let tried = [("csrf", csrf.as_str()), ("password", PASSWORD), ("code", "000000")];
        kim.post(path, &tried).await.says("This code is not right.");
    }
    let new = "seven green lanterns";
    let change =
        [("csrf", csrf.as_str()), ("current", PASSWORD), ("code", ""), ("password", new), ("again", new)];
    kim.post("/password", &change).await.says("This code is not right, so nothing was changed.");
    // The passkey can, for exactly the requested action.
    world.pass(5 * MINUTE);
    let page = kim.read("/password").await;
    let shown = phone.show(&asked(&world, &mut kim, &page).await);
    let changed = [("csrf", csrf.as_str()), ("password", new), ("again", new), ("passkey", shown.as_str())];
    assert_eq!(kim.post("/password", &changed).await.to, "/");
    let page = kim.post("/factor/codes", &[("csrf", &csrf)]).await;
    let shown = phone.show(&asked(&world, &mut kim, &page).await);
    let made = [("csrf", csrf.as_str()), ("passkey", shown.as_str())];
    kim.post("/factor/off", &made).await.says("This passkey was not accepted here");
    let page = kim.post("/factor/codes", &[("csrf", &csrf)]).await;
    let shown = phone.show(&asked(&world, &mut kim, &page).await);
    kim.post("/factor/codes", &[("csrf", &csrf), ("passkey", &shown)]).await.says("Your recovery codes");
    // The step-up page continues to the requested page.
    world.pass(11 * MINUTE);
    let to = kim.get("/factor").await.to;
    let page = kim.read(&to).await;
    let shown = phone.show(&asked(&world, &mut kim, &page).await);
    let sent = [("csrf", csrf.as_str()), ("next", "/factor"), ("passkey", shown.as_str())];
    assert_eq!(kim.post("/prove", &sent).await.to, "/factor");
    kim.read("/factor").await;
    world.close().await;
}

#[tokio::test]
async fn a_passkey_is_the_factor_that_a_role_needs() {
    let world = World::open("passkey_needed", 508).await;
    let app = node(&world).await;
    let mut pat = signed_in(&app, Role::Admin, "pat").await;
    let mut kim = signed_in(&app, Role::Payer, "kim").await;
    factor::want(&app, &world.actor, FactorPolicy::Always).await.unwrap();
    let (mut phone, mut laptop) = (device("phone"), device("laptop"));
    for (browser, device) in [(&mut pat, &mut laptop), (&mut kim, &mut phone)] {
        assert_eq!(browser.get("/rewards").await.to, "/factor");
        add(browser, device, "One").await.says("Your recovery codes");
        browser.read("/rewards").await;
    }
    pat.read("/people/sign-in").await.says("Nobody whose role this concerns.");
    // The last one cannot be removed, and another is added with the first.
    let page = kim.read("/factor").await;
    page.says("Your role needs it here, so it is not turned off.");
    let (csrf, one) = (page.hidden("csrf"), page.hidden("id"));
    let remove = async |kim: &mut Browser, phone: &mut Device, one: &str| {
        let page = kim.post("/factor/passkeys/remove", &[("csrf", &csrf), ("id", one)]).await;
        let shown = phone.show(&asked(&world, kim, &page).await);
        kim.post_on("/factor/passkeys/remove", &[("csrf", &csrf), ("id", one), ("passkey", &shown)]).await
    };
    let page = kim.post("/factor/passkeys/remove", &[("csrf", &csrf), ("id", &one)]).await;
    let shown = phone.show(&asked(&world, &mut kim, &page).await);
    let sent = [("csrf", csrf.as_str()), ("id", &one), ("passkey", &shown)];
    kim.post("/factor/passkeys/remove", &sent).await.says("this passkey is the only one");
    let page = kim.post("/factor/passkeys", &[("csrf", &csrf)]).await;
    let shown = phone.show(&asked(&world, &mut kim, &page).await);
    let begun = kim.post("/factor/passkeys", &[("csrf", &csrf), ("passkey", &shown)]).await;
    assert_eq!(begun.to, "/factor/passkeys/new");
    let mut key = device("key");
    assert_eq!(make(&mut kim, &mut key, "Key <1>").await.to, "/me", "no codes but with the first");
    kim.read("/factor").await.says("Key &#60;1&#62; Added 2026-03-02");
    remove(&mut kim, &mut phone, &one).await.says("The passkey is removed.");
    let id = me(&world, "kim@example.com").await;
    assert_eq!(told(&world, &id).await, ["passkey_added", "passkey_added", "passkey_removed"]);
    let mut next = browser(&app);
    assert_eq!(alone(&world, &mut next, &mut phone).await.to, NOT_IN, "what was removed");

    // An administrator readmits a user who lost their passkeys, and counts as the same person for a day.
    let path = format!("/people/{}", id_of(&mut pat, "kim").await);
    pat.read(&path).await.says("with a passkey");
    let csrf = pat.read("/me").await.hidden("csrf");
    pat.post_on(&format!("{path}/factor"), &[("csrf", &csrf)]).await.says("The second factor is removed.");
    assert!(kim.get("/me").await.to.starts_with("/login"), "their sessions have ended");
    assert_eq!(alone(&world, &mut next, &mut key).await.to, NOT_IN);
    let mut db = app.store.read().await.unwrap();
    let pats = me(&world, "pat@example.com").await;
    assert_eq!(bursar::store::people::behind(&mut db, &id, world.now()).await.unwrap(), pats);
    let notices = bursar::store::outbox::about(&mut db, &id).await.unwrap();
    assert!(notices.iter().any(|one| one.notice == Notice::SecondFactorReset), "{notices:?}");
    drop(db);
    // The same on the command line, for a user who also has an app; recovery codes are removed too.
    set_up(&world, &mut signed_in(&app, Role::Preparer, "lee").await).await;
    people::factor::reset_at_the_machine(&app, "pat@example.com", MachineUser("root")).await.unwrap();
    let pats = PersonId::parse(&pats).unwrap();
    let mut db = app.store.read().await.unwrap();
    let standing = factor::standing(&app, &mut db, pats, Role::Admin).await.unwrap();
    assert!(!standing.is_on() && standing.codes_left == 0, "{standing:?}");
    drop(db);
    world.close().await;
}

#[tokio::test]
async fn an_app_and_a_passkey_stand_beside_each_other() {
    let world = World::open("passkey_both", 509).await;
    let app = node(&world).await;
    let mut kim = signed_in(&app, Role::Preparer, "kim").await;
    let held = set_up(&world, &mut kim).await;
    let csrf = kim.read("/factor").await.hidden("csrf");
    world.pass(30 * SECOND);
    let code = factor::code_at(&held.secret, world.now()).unwrap();
    let proved = [("csrf", csrf.as_str()), ("password", PASSWORD), ("code", &code)];
    assert_eq!(kim.post("/factor/passkeys", &proved).await.to, "/factor/passkeys/new");
    // Someone signed in elsewhere cannot continue what was started here.
    let (mut next, page) = half_way(&app, "kim").await;
    page.says("One step more: write the code");
    world.pass(30 * SECOND);
    let code = factor::code_at(&held.secret, world.now()).unwrap();
    assert_eq!(next.post("/login/code", &[("code", &code), ("next", "/me")]).await.to, "/me");
    assert_eq!(next.get("/factor/passkeys/new").await.to, "/factor");
    let mut phone = device("phone");
    let begun = kim.clone();
    assert_eq!(make(&mut kim, &mut phone, "Phone").await.to, "/me");
    kim.read("/me").await.says("On: a code from your app or a passkey is asked for");
    // The cookie from before is invalid, and registration cannot be repeated.
    assert!(begun.clone().get("/me").await.to.starts_with("/login"));
    assert_eq!(kim.get("/factor/passkeys/new").await.to, "/factor");
    let (mut next, page) = half_way(&app, "kim").await;
    page.says("Code from the app");
    let shown = phone.show(&asked(&world, &mut next, &page).await);
    assert_eq!(next.post("/login/code/passkey", &[("next", "/me"), ("passkey", &shown)]).await.to, "/me");
    // The app can be removed alone, for example when a phone is given away; passkey and codes stay.
    let page = next.read("/factor").await;
    assert!(page.body.contains("/factor/app/remove"));
    let csrf = page.hidden("csrf");
    let page = next.post("/factor/app/remove", &[("csrf", &csrf)]).await;
    let shown = phone.show(&asked(&world, &mut next, &page).await);
    next.post_on("/factor/app/remove", &[("csrf", &csrf), ("passkey", &shown)])
        .await
        .says("The app is removed.");
    assert!(!next.read("/factor").await.body.contains("/factor/app/remove"), "it is gone");
    let messages = super::factor::told(&world, &me(&world, "kim@example.com").await).await;
    assert_eq!(messages.last().map(String::as_str), Some("app_removed"));
    // Turning it off removes all of them.
    let page = next.read("/factor").await;
    page.says("Recovery codes left: 10.");
    let (csrf, one) = (page.hidden("csrf"), page.hidden("id"));
    let page = next.post("/factor/off", &[("csrf", &csrf)]).await;
    let shown = phone.show(&asked(&world, &mut next, &page).await);
    next.post_on("/factor/off", &[("csrf", &csrf), ("passkey", &shown)])
        .await
        .says("The second factor is off.");
    let mut again = browser(&app);
    let fields = [("email", "kim@example.com"), ("password", PASSWORD), ("next", "/me")];
    assert_eq!(again.post("/login", &fields).await.to, "/me");
    assert_eq!(alone(&world, &mut again, &mut phone).await.to, NOT_IN, "{one}");
    world.close().await;
}

#[tokio::test]
async fn a_partner_has_passkeys_in_their_language() {
    let world = World::open("passkey_partner", 512).await;
    crate::pages::seed_data(&world).await;
    let app = node(&world).await;
    let new = NewPerson {
        email: "ana-herself@example.com".to_owned(),
        name: "Ana Lima".to_owned(),
        role: Role::Partner,
        partner: Some("ana".to_owned()),
        password: Some(PASSWORD.to_owned()),
    };
    let link = people::add(&app, &new).await.unwrap();
    let mut ana = browser(&app);
    ana.post(link.strip_prefix(ORIGIN).unwrap(), &[]).await;
    let csrf = ana.read("/portal/account").await.hidden("csrf");
    ana.post("/portal/language", &[("csrf", &csrf), ("language", "de")]).await;
    ana.read("/factor").await.says("Passkey hinzufügen");
    let mut phone = device("phone");
    add(&mut ana, &mut phone, "Telefon").await.says("Ihre Ersatzcodes");
    let page = ana.post("/factor/codes", &[("csrf", &csrf)]).await;
    page.says("Sind Sie es? Noch wurde nichts getan.");
    page.says("Passkey benutzen");
    let page = ana.read("/portal/account").await;
    let shown = phone.show(&asked(&world, &mut ana, &page).await);
    let new = "seven green lanterns";
    let changed = [("csrf", csrf.as_str()), ("password", new), ("again", new), ("passkey", shown.as_str())];
    ana.post_on("/portal/account/password", &changed).await.says("Ihr Passwort ist geändert");
    let mut next = browser(&app);
    let page = next.read("/portal/login?language=de").await;
    page.says("Mit Passkey anmelden");
    let asked_for = asked(&world, &mut next, &page).await;
    let shown = phone.show(&asked_for);
    let sent = [("next", "/portal"), ("passkey", shown.as_str())];
    assert_eq!(next.post("/login/passkey", &sent).await.to, "/portal");
    next.read("/portal").await;
    assert_eq!(next.post("/login/passkey", &sent).await.to, "/portal/login?why=passkey&next=%2Fportal");
    next.read("/portal/login?why=passkey").await.says("This passkey was not accepted here");
    world.close().await;
}

#[tokio::test]
async fn where_there_are_none_the_page_says_why() {
    let world = World::open("passkey_none", 510).await;
    let mut kim = Browser::of(&world, Role::Preparer, "kim").await;
    let page = kim.read("/factor").await;
    page.says("Passkeys need an address that begins with https:// and has a name. People reach this at http://127.0.0.1");
    assert!(!page.body.contains("action=\"/factor/passkeys\""));
    let csrf = page.hidden("csrf");
    kim.post("/factor/passkeys", &[("csrf", &csrf)]).await.says("BURSAR_BASE_URL says http://127.0.0.1");
    assert_eq!(kim.get("/factor/passkeys/new").await.to, "/factor");
    let mut stranger = Browser::new(&world);
    assert!(!stranger.read("/login").await.body.contains("data-passkey"));
    assert!(stranger.post("/login/challenge", &[]).await.status.is_client_error());
    assert_eq!(stranger.post("/login/passkey", &[("passkey", "{}"), ("next", "/me")]).await.to, NOT_IN);
    // Nobody can request another user's.
    let app = node(&world).await;
    let mut stranger = browser(&app);
    assert!(stranger.post("/login/code/challenge", &[]).await.status.is_client_error());
    let mut lee = signed_in(&app, Role::Preparer, "lee").await;
    let csrf = lee.read("/me").await.hidden("csrf");
    let deed = [("csrf", csrf.as_str()), ("deed", "POST /claims/PB-1/pay 00")];
    lee.post("/passkey", &deed).await.says("This login has no passkey.");
    lee.post("/passkey", &[("csrf", &csrf), ("deed", "GET /")]).await.says("Not found");
    assert_eq!(lee.post("/passkey", &[("csrf", "x"), deed[1]]).await.status, StatusCode::FORBIDDEN);
    world.close().await;
}
