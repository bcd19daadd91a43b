//! The partner portal in a real browser: a partner and a partner administrator complete the vendor's onboarding and return;
//! and no portal page is wider than a small phone.

use bursar::ops::people::{self, NewPerson};
use payout::access::Role;

use super::driver::Driven;
use crate::pages::{PASSWORD, approve_all, seed_data};
use crate::world::World;

async fn link(world: &World, role: Role, partner: &str) -> String {
    let new = NewPerson {
        email: format!("{partner}-{}@example.com", role.as_str()),
        name: partner.to_owned(),
        role,
        partner: Some(partner.to_owned()),
        password: Some(PASSWORD.to_owned()),
    };
    people::add(&world.app, &new).await.unwrap()
}

/// From the profile page to Stripe and back, once halfway and once to the end.
async fn set_up(browser: &Driven, world: &World, whose: &str) {
    let page = format!("{}/portal/profile/{whose}", world.app.base_url);
    browser.go(&page).await;
    browser.says("Not set up yet.").await;
    browser.choose("country", "DE").await;
    browser.press("Set up with Stripe").await;
    browser.says("This plays the vendor's hosted onboarding.").await;
    browser.press("Leave half way").await;
    browser.comes_to(&page).await;
    browser.says("Something is still missing at Stripe.").await;
    browser.says("Not set up yet.").await;
    browser.press("Continue at Stripe").await;
    browser.press("Finish").await;
    browser.comes_to(&page).await;
    browser.says("Stripe says that your account is ready. You are paid to it from now on.").await;
    browser.says("Ready to be paid").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn partners_set_up_how_they_are_paid_on_any_screen() {
    let Some(chromium) = super::known() else { return };
    let world = World::open("browser_portal", 68).await;
    seed_data(&world).await;
    approve_all(&world).await;
    for (width, role, partner) in [(1280, Role::Partner, "cy"), (320, Role::PartnerAdmin, "cy")] {
        let Some(browser) = Driven::open(chromium, width).await else { return world.close().await };
        browser.go(&link(&world, role, partner).await).await;
        browser.press("Sign in").await;
        browser.says("Hello, Cy Ray").await;
        browser.picture(&format!("home-{width}")).await;
        set_up(&browser, &world, if role == Role::Partner { "me" } else { "company" }).await;
        browser.picture(&format!("profile-{width}")).await;
        let pages = ["", "/rewards", "/payouts", "/profile", "/profile/me", "/account", "/statements/2026"];
        for path in pages {
            browser.go(&format!("{}/portal{path}", world.app.base_url)).await;
            let wide = browser.ask("return document.documentElement.scrollWidth").await;
            assert!(wide.as_u64().unwrap() <= u64::from(width), "/portal{path} is {wide} wide on {width}");
            let nameless = "return [...document.querySelectorAll('input:not([type=hidden]), select, textarea')]\
                            .filter((field) => field.labels.length === 0).map((field) => field.name)";
            assert_eq!(browser.ask(nameless).await, serde_json::json!([]), "/portal{path}");
            let heads = browser.ask("return document.querySelectorAll('h1').length").await;
            assert_eq!(heads, 1, "/portal{path} has one first heading");
            browser.picture(&format!("portal{}-{width}", path.replace('/', "-"))).await;
        }
        browser.close().await;
    }
    world.close().await;
}
