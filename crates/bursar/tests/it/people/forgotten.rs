//! Password reset: no one can find out which addresses have a login, a link works once, for an hour and only for this
//! purpose, and a rejected password names the rule it breaks.

use axum::http::StatusCode;
use payout::access::Role;

use super::MINUTE;
use crate::pages::{Browser, PASSWORD, Page, seed_data};
use crate::world::{SECOND, World};

const MAIL: [(&str, &str); 1] = [("smtp-url", "smtp://127.0.0.1:1")];

async fn ask(browser: &mut Browser, path: &str, email: &str) -> Page {
    browser.post(path, &[("email", email)]).await
}

/// The newest link mailed, once there are `many`: mails are created asynchronously.
async fn link(world: &World, many: usize) -> String {
    let mut database = crate::nodes::beside(world).await;
    let count = "SELECT CAST(COUNT(*) AS TEXT) FROM outbox WHERE notice = 'password_forgotten'";
    for _ in 0..400 {
        if crate::nodes::text(&mut database, count).await == many.to_string() {
            return crate::people::secret_links(world, "password_forgotten").await.pop().unwrap();
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("no link was made");
}

fn both(password: &str) -> [(&str, &str); 2] {
    [("password", password), ("again", password)]
}

#[tokio::test]
async fn a_link_replaces_a_forgotten_password_once() {
    let world = World::open_with("forgotten", 191, &MAIL).await;
    let mut kim = Browser::of(&world, Role::Preparer, "kim").await;
    let mut stranger = Browser::new(&world);
    stranger.read("/login").await.says("Forgot your password?");
    let page = stranger.read("/forgotten").await;
    page.says("Write the address that you sign in with.");
    let known = ask(&mut stranger, "/forgotten", " Kim@Example.com ").await;
    let unknown = ask(&mut stranger, "/forgotten", "nobody@example.com").await;
    known.says("If somebody signs in with this address, a link is on its way to it.");
    assert_eq!((known.status, &known.body), (unknown.status, &unknown.body), "the same answer");
    let first = link(&world, 1).await;
    kim.read("/me").await;

    // Viewing it does not use it up; it works nowhere else, and other links do not work here.
    stranger.read(&first).await.says("Choose another password");
    for door in ["/join/", "/login/", "/portal/join/"] {
        let other = first.replace("/password/new/", door);
        let answer = stranger.post(&other, &both("seven green lanterns")).await;
        assert!(answer.status == StatusCode::GONE || answer.to == "/login?why=link", "{door}");
    }
    world.pass(SECOND);
    ask(&mut stranger, "/forgotten", "kim@example.com").await;
    let second = link(&world, 2).await;
    assert_eq!(stranger.get(&first).await.status, StatusCode::GONE, "the older one is over");
    let rows = [
        ("short", "At least twelve characters."),
        ("password1234", "among those that are tried first"),
        ("my Bursar lantern", "holds your name, your address"),
    ];
    for (password, rule) in rows {
        let refused = stranger.post(&second, &both(password)).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
        refused.says(rule);
    }
    assert_eq!(stranger.post(&second, &both("seven green lanterns")).await.to, "/");
    stranger.read("/me").await;
    assert!(kim.get("/me").await.to.starts_with("/login"), "what was signed in before has ended");
    assert_eq!(stranger.get(&second).await.status, StatusCode::GONE);
    let fields = [("email", "kim@example.com"), ("password", PASSWORD)];
    assert_eq!(kim.post("/login", &fields).await.to, "/login?why=wrong");

    // Three at once and then one every twenty minutes, whether the address exists or not.
    world.pass(SECOND);
    assert_eq!(ask(&mut stranger, "/forgotten", "kim@example.com").await.status, StatusCode::OK);
    let third = link(&world, 3).await;
    for email in ["kim@example.com", "nobody@example.com"] {
        let mut answers = Vec::new();
        for _ in 0..4 {
            answers.push(ask(&mut stranger, "/forgotten", email).await.status);
        }
        assert_eq!(answers.last(), Some(&StatusCode::TOO_MANY_REQUESTS), "{email}");
    }
    world.pass(61 * MINUTE);
    assert_eq!(stranger.get(&third).await.status, StatusCode::GONE, "it works for an hour");
    world.close().await;
}

#[tokio::test]
async fn whoever_is_shut_out_or_has_a_second_factor() {
    let world = World::open_with("forgotten_factor", 192, &MAIL).await;
    seed_data(&world).await;
    let mut ana = Browser::of(&world, Role::Partner, "ana-herself").await;
    super::factor::set_up(&world, &mut ana).await;
    let mut browser = Browser::new(&world);
    ask(&mut browser, "/portal/forgotten", "ana-herself@example.com").await.says("a link is on its way");
    let mailed = link(&world, 1).await;
    let to = browser.post(&mailed, &both("seven green lanterns")).await.to;
    assert_eq!(to, "/login/code?next=", "a mailbox does not stand in for the second factor");
    bursar::ops::people::disable(
        &world.app,
        "ana-herself@example.com",
        bursar::ops::people::MachineUser("root"),
    )
    .await
    .unwrap();
    ask(&mut browser, "/portal/forgotten", "ana-herself@example.com").await.says("a link is on its way");
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    link(&world, 1).await;
    world.close().await;
}

#[tokio::test]
async fn where_no_mails_are_sent_it_is_said() {
    let world = World::open("forgotten_no_mail", 193).await;
    let mut browser = Browser::new(&world);
    browser.read("/forgotten").await.says("No mails are sent from here.");
    browser.read("/portal/forgotten").await.says("No mails are sent from here.");
    ask(&mut browser, "/forgotten", "kim@example.com").await.says("No mails are sent from here.");
    world.close().await;
}
