//! The pages in a real browser: headless Chromium signs in, our script runs under our content security policy, and the
//! page is what it is without it, only handier. What is deliberately not here: what a page says; that is in `pages`.

mod driver;
mod inspection;
mod payday;
mod portal;

use std::path::Path;
use std::process::{Command, Stdio};

use bursar::ops::people::{self, NewPerson};
use payout::access::Role;

use crate::need;
use crate::pages::furnish;
use crate::world::World;

const KNOWN: [&str; 3] = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/// The browser there is; `None` after saying that there is none.
fn known() -> Option<&'static str> {
    let found = KNOWN.into_iter().find(|path| Path::new(path).exists());
    if found.is_none() {
        need::absent("browser", "there is no Chromium");
    }
    found
}

/// The page at `address` as the browser has it after its scripts have run, in a profile of its own.
async fn seen(browser: &'static str, profile: &Path, address: String) -> String {
    let profile = format!("--user-data-dir={}", profile.display());
    let run = move || {
        let quiet = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"];
        let alone = ["--disable-background-networking", "--disable-component-update"];
        let output = Command::new(browser)
            .args(quiet)
            .args(alone)
            .args([&profile, "--virtual-time-budget=4000", "--dump-dom", &address])
            .stderr(Stdio::null())
            .output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn our_script_runs_and_the_page_stands_without_it() {
    let Some(browser) = known() else { return };
    let world = World::open("browser", 10).await;
    furnish(&world).await;
    let new = NewPerson {
        email: "pat@example.com".to_owned(),
        name: "Pat".to_owned(),
        role: Role::Admin,
        partner: None,
        password: Some("a long password 1".to_owned()),
    };
    let link = people::add(&world.app, &new).await.unwrap();
    let profile = tempfile::tempdir().unwrap();
    let page = seen(browser, profile.path(), format!("{link}?now=yes")).await;
    assert!(page.contains("Pending Rewards"), "the link leads to the rewards:\n{page}");
    assert!(page.contains("Nothing is ticked."), "the script counts what is ticked");
    assert!(
        page.contains("data-all=\"id\" data-js=\"\" aria-label"),
        "what needs the script is shown with it"
    );
    world.close().await;
}
