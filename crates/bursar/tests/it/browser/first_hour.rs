//! The first hour in a real browser, on a phone: the setup link, the page behind it, Home, and the collapsed menu. Not
//! here: what each page rejects, which is in `pages::home`.

use bursar::ops::people::{self, FIRST, NewPerson};
use payout::access::Role;
use serde_json::json;

use super::driver::Driven;
use super::inspection::{EVERYTHING, axe, wrong};
use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn the_first_hour_begins_on_one_page() {
    let Some(chromium) = super::known() else { return };
    let world = World::open("browser_first", 87).await;
    let new = NewPerson {
        email: FIRST.to_owned(),
        name: "Administrator".to_owned(),
        role: Role::Admin,
        partner: None,
        password: None,
    };
    let link = people::add(&world.app, &new).await.unwrap();
    let Some(browser) = Driven::open(chromium, 390).await else { return world.close().await };
    let script = axe();
    if let Some(script) = &script {
        browser.devtools("Page.addScriptToEvaluateOnNewDocument", json!({"source": script})).await;
    }
    browser.look(390, false).await;
    browser.go(&link).await;
    browser.press("Sign in").await;
    browser.says("Welcome to Bursar").await;
    let zone = "const zone = Intl.DateTimeFormat().resolvedOptions().timeZone; const list = document.getElementById('zone'); \
                return list.value === zone || (zone === 'UTC' && list.value === '')";
    assert_eq!(browser.ask(zone).await, true, "the browser's own zone is chosen");
    let found = wrong(&browser, 390, script.is_some().then_some(EVERYTHING)).await;
    assert!(found.is_empty(), "{found:?}");
    browser.picture("welcome").await;
    for (field, text) in [
        ("f-name", "Kim Ode"),
        ("f-email", "kim@acme.example"),
        ("f-password", "seven green lanterns"),
        ("f-again", "seven green lanterns"),
        ("f-company", "Acme & Sons"),
    ] {
        browser.write(field, text).await;
    }
    browser.press("Save and begin").await;
    browser.says("Welcome, Kim Ode.").await;
    let hidden = "return document.querySelector('#menu a[href=\"/settings/payouts\"]').checkVisibility()";
    assert_eq!(browser.ask(hidden).await, false, "the menu is folded");
    browser.press("Menu").await;
    assert_eq!(browser.ask(hidden).await, true);
    browser.picture("menu").await;
    browser.press("Payout Settings").await;
    browser.says("How partners are paid, and through whom.").await;
    browser.close().await;
    world.close().await;
}
