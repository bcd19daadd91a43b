//! The pages in a real browser: headless Chromium signs in, our script runs under our content security policy, and every
//! page works without it. Not here: page contents, which are in `pages`.

mod driver;
mod first_hour;
mod inspection;
mod passkey;
mod payday;
mod portal;

use std::path::Path;

use bursar::ops::people::{self, NewPerson};
use payout::access::Role;

use driver::Driven;

use crate::need;
use crate::pages::seed_data;
use crate::world::World;

const KNOWN: [&str; 3] = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/// The browser, or `None` after reporting that none is installed.
fn known() -> Option<&'static str> {
    let found = KNOWN.into_iter().find(|path| Path::new(path).exists());
    if found.is_none() {
        need::skip_or_fail("browser", "there is no Chromium");
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn our_script_runs_and_the_page_stands_without_it() {
    let Some(browser) = known() else { return };
    let world = World::open("browser", 10).await;
    seed_data(&world).await;
    let new = NewPerson {
        email: "pat@example.com".to_owned(),
        name: "Pat".to_owned(),
        role: Role::Admin,
        partner: None,
        password: Some("a long password 1".to_owned()),
    };
    let link = people::add(&world.app, &new).await.unwrap();
    let Some(browser) = Driven::open(browser, 1280).await else { return world.close().await };
    browser.go(&link).await;
    browser.press("Sign in").await;
    browser.says("Waiting for you").await;
    browser.go(&format!("{}/rewards", world.app.base_url)).await;
    browser.says("Nothing selected.").await;
    let shown = "const tick = document.querySelector('[data-all=id]'); return tick && !tick.hidden";
    assert_eq!(browser.ask(shown).await, true, "what needs the script is shown with it");
    browser.close().await;
    world.close().await;
}
