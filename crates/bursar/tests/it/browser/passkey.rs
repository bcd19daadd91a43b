//! Passkeys in a real browser with a virtual authenticator: creates one, signs in with it, and uses it instead of password
//! and code to release and pay a payout. Runs at `localhost`, where browsers allow passkeys over http.

use bursar::app::{App, Inner, Nudge};
use bursar::ops::batches::{self, Selection};
use bursar::ops::people::{self, NewPerson};
use bursar::ops::settings::{self, Document};
use bursar::secrets::MasterKey;
use bursar::store::batches::PoolFilter;
use bursar::store::{Store, audit};
use bursar::work::Work;
use payout::access::Role;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::driver::Driven;
use super::inspection::{EVERYTHING, axe, wrong};
use crate::pages::{PASSWORD, approve_all, seed_data};
use crate::world::{SECOND, World, check};

const MINUTE: i64 = 60 * SECOND;

/// Serves the same program at `localhost`.
async fn at_localhost(world: &World) -> App {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let app = App::new(Inner {
        store: Store::open(&world.database_url).await.unwrap(),
        clock: world.app.clock.clone(),
        config: world.app.config.clone(),
        base_url: format!("http://localhost:{}", listener.local_addr().unwrap().port()),
        master_key: MasterKey::new([7; 32]),
        nudge: Nudge::default(),
    });
    let router = bursar::web::router(Work::new(app.clone(), None).unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    app
}

/// Takes screenshots of a page, wide and narrow.
async fn pictures(browser: &Driven, name: &str) {
    let asked = browser.ask("return Boolean(window.axe)").await == true;
    for (width, dark) in [(1280, false), (320, true)] {
        browser.look(width, dark).await;
        let wrong = wrong(browser, width, asked.then_some(EVERYTHING)).await;
        assert!(wrong.is_empty(), "{name}: {wrong:?}");
        browser.picture(&format!("passkey-{name}-{width}")).await;
    }
    browser.look(1280, false).await;
}

/// Kim creates a passkey, with a one-time link and the password.
async fn enrol(app: &App, browser: &Driven) {
    let new = NewPerson {
        email: "kim@example.com".to_owned(),
        name: "Kim Oh".to_owned(),
        role: Role::Payer,
        partner: None,
        password: Some(PASSWORD.to_owned()),
    };
    browser.go(&people::add(app, &new).await.unwrap()).await;
    browser.press("Sign in").await;
    browser.says("Waiting for you").await;
    browser.go(&format!("{}/factor", app.base_url)).await;
    pictures(browser, "none").await;
    browser.press("Add a passkey").await;
    browser.says("Is it you?").await;
    pictures(browser, "asked").await;
    browser.write("password", PASSWORD).await;
    browser.press("Add a passkey").await;
    browser.says("Your browser asks where to keep it").await;
    pictures(browser, "new").await;
    browser.write("name", "Kim’s laptop").await;
    browser.press("Make it").await;
    browser.says("Your recovery codes").await;
    pictures(browser, "codes").await;
    browser.press("I have kept them").await;
    browser.go(&format!("{}/factor", app.base_url)).await;
    browser.says("Kim’s laptop").await;
    pictures(browser, "one").await;
}

/// The passkey replaces the code after the password; a device without a registered passkey gets an explanation.
async fn in_the_place_of_a_code(app: &App, chromium: &str) {
    let other = Driven::open(chromium, 1280).await.unwrap();
    other.with_passkeys().await;
    other.go(&format!("{}/login", app.base_url)).await;
    other.write("email", "kim@example.com").await;
    other.write("password", PASSWORD).await;
    other.press("Sign in").await;
    other.says("One step more: show your passkey.").await;
    pictures(&other, "code").await;
    other.press("Use a passkey").await;
    other.says("That did not work, and nothing was done.").await;
    pictures(&other, "failed").await;
    other.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payout_is_released_and_paid_with_a_passkey() {
    let Some(chromium) = super::known() else { return };
    let world = World::open("browser_passkey", 86).await;
    seed_data(&world).await;
    approve_all(&world).await;
    settings::save(&world.app, &world.actor, None, |it| Ok(Document { two_person_release: true, ..it }))
        .await
        .unwrap();
    let everything = Selection::AllEligible(PoolFilter::default());
    batches::form(&world.app, &world.actor, &everything, true, None).await.unwrap();
    let app = at_localhost(&world).await;
    let at = |path: &str| format!("{}{path}", app.base_url);
    let Some(browser) = Driven::open(chromium, 1280).await else { return world.close().await };
    browser.with_passkeys().await;
    if let Some(script) = axe() {
        browser.devtools("Page.addScriptToEvaluateOnNewDocument", json!({ "source": script })).await;
    }
    enrol(&app, &browser).await;

    // Sign out, and in again with only the passkey.
    browser.press("Back").await;
    browser.go(&at("/claims")).await;
    browser.press("Sign out").await;
    browser.says("Sign in with a passkey").await;
    pictures(&browser, "login").await;
    browser.go(&at("/login?next=%2Fclaims%2FPB-2026-0001%2Fpay")).await;
    browser.press("Sign in with a passkey").await;
    browser.says("You can release this payout").await;

    // Release with the passkey once the sign-in is too old for a step-up.
    world.pass(11 * MINUTE);
    browser.tick("I have checked the payees and totals").await;
    browser.press_what_begins("Release ").await;
    browser.says("Is it you?").await;
    pictures(&browser, "proof").await;
    browser.press("Use a passkey").await;
    browser.says("is released and can be paid").await;

    // Pay with it as well.
    world.pass(11 * MINUTE);
    browser.go(&at("/claims/PB-2026-0001/pay")).await;
    browser.tick("I have checked").await;
    browser.press_what_begins("Pay ").await;
    browser.says("Pay this payout").await;
    browser.press("Use a passkey").await;
    browser.says("in progress.").await;
    for _ in 0..8 {
        world.tick_all(0).await;
        world.deliver().await;
        world.pass(10 * SECOND);
    }
    assert_eq!(check::violations(&world).await, Vec::<String>::new());
    let filter = audit::Filter { action: Some("proved_again".to_owned()), ..Default::default() };
    let proofs = audit::list(&mut app.store.read().await.unwrap(), &filter, 9).await.unwrap();
    // A step-up by password signs nothing.
    let deeds: Vec<String> = proofs
        .iter()
        .filter_map(|row| {
            Some(serde_json::from_str::<Value>(&row.detail).unwrap()["deed"].as_str()?.to_owned())
        })
        .collect();
    assert!(deeds[0].starts_with("POST /claims/PB-2026-0001/pay ") && deeds.len() == 2, "{deeds:?}");
    assert!(deeds[1].starts_with("POST /claims/PB-2026-0001/release "), "{deeds:?}");

    in_the_place_of_a_code(&app, chromium).await;
    browser.go(&at("/factor")).await;
    browser.press("Make new recovery codes").await;
    browser.says("Is it you?").await;
    pictures(&browser, "again").await;
    browser.press("Use a passkey").await;
    browser.says("Your recovery codes").await;
    browser.close().await;
    world.close().await;
}
