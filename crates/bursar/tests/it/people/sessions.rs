//! Sessions: how long they last, that a step-up replaces the token, and who may end each one.

use axum::http::StatusCode;
use bursar::ops::people::{self, NewPerson};
use payout::access::Role;

use super::{MINUTE, id_of};
use crate::pages::{Browser, PASSWORD};
use crate::world::World;

/// Requests a page and waits until the use is recorded, which happens asynchronously.
pub async fn used(world: &World, browser: &mut Browser, path: &str) {
    browser.read(path).await;
    let mut database = crate::nodes::beside(world).await;
    for _ in 0..200 {
        let after = world.now() - MINUTE;
        let count = format!("SELECT CAST(COUNT(*) AS TEXT) FROM session WHERE seen_at >= {after}");
        if crate::nodes::text(&mut database, &count).await != "0" {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("it was never noted");
}

#[tokio::test]
async fn a_session_ends_when_nobody_uses_it() {
    let world = World::open("sessions_idle", 171).await;
    crate::pages::seed_data(&world).await;
    let rows = [(Role::Payer, "kim", "/me", 30), (Role::Partner, "ana-herself", "/portal/account", 60)];
    for (role, name, page, idle) in rows {
        let mut browser = Browser::of(&world, role, name).await;
        world.pass((idle - 1) * MINUTE);
        used(&world, &mut browser, page).await;
        world.pass((idle - 1) * MINUTE);
        used(&world, &mut browser, page).await;
        world.pass((idle + 1) * MINUTE);
        assert_eq!(browser.get(page).await.status, StatusCode::SEE_OTHER, "{name}");
    }
    world.close().await;
}

#[tokio::test]
async fn a_session_ends_after_twelve_hours_however_much_it_is_used() {
    let world = World::open("sessions_long", 172).await;
    let mut kim = Browser::of(&world, Role::Payer, "kim").await;
    for _ in 0..28 {
        world.pass(25 * MINUTE);
        used(&world, &mut kim, "/me").await;
    }
    world.pass(21 * MINUTE);
    assert!(kim.get("/me").await.to.starts_with("/login"));
    world.close().await;
}

#[tokio::test]
async fn a_proof_takes_the_place_of_the_token() {
    let world = World::open("sessions_proof", 173).await;
    let mut pat = Browser::of(&world, Role::Admin, "pat").await;
    let csrf = pat.read("/me").await.hidden("csrf");
    let mut thief = pat.clone();
    thief.read("/me").await;
    let proof = [("csrf", csrf.as_str()), ("password", PASSWORD), ("next", "/me")];
    let page = pat.post_on("/prove", &proof).await;
    assert_eq!(page.hidden("csrf"), csrf, "forms in other windows still work");
    assert!(thief.get("/me").await.to.starts_with("/login"), "the old token is over");
    // A wrong password changes nothing.
    let before = pat.clone();
    pat.post("/prove", &[proof[0], ("password", "wrong"), proof[2]]).await;
    pat.read("/me").await;
    // A password change does the same, and ends all other sessions.
    let mut elsewhere = Browser::new(&world);
    let fields = [("email", "pat@example.com"), ("password", PASSWORD), ("next", "/me")];
    elsewhere.post_on("/login", &fields).await;
    let (new, fields) = ("seven green lanterns", ("csrf", csrf.as_str()));
    let change = [fields, ("current", PASSWORD), ("password", new), ("again", new)];
    assert_eq!(pat.post("/password", &change).await.to, "/");
    pat.read("/me").await.says("Your password is saved");
    for mut over in [before, elsewhere] {
        assert!(over.get("/me").await.to.starts_with("/login"));
    }
    world.close().await;
}

#[tokio::test]
async fn each_session_is_ended_alone() {
    let world = World::open("sessions_one", 174).await;
    let mut pat = Browser::of(&world, Role::Admin, "pat").await;
    let mut kim = Browser::of(&world, Role::Payer, "kim").await;
    let mut others = [Browser::new(&world), Browser::new(&world), Browser::new(&world)];
    for other in &mut others {
        let fields = [("email", "kim@example.com"), ("password", PASSWORD), ("next", "/me")];
        other.post_on("/login", &fields).await;
    }
    let page = kim.read("/me").await;
    page.says("last used");
    let (csrf, all) = (page.hidden("csrf"), page.all_hidden("one"));
    assert_eq!(all.len(), 3, "not the one that is used");
    let fields = [("csrf", csrf.as_str()), ("one", all[0].as_str())];
    kim.post_on("/me/sessions", &fields).await.says("Signed out there.");
    kim.post_on("/me/sessions", &fields).await.says("had ended already");
    // No one can end another user's session by its ID.
    let theirs = pat.read("/me").await.hidden("csrf");
    let fields = [("csrf", theirs.as_str()), ("one", all[1].as_str())];
    pat.post_on("/me/sessions", &fields).await.says("had ended already");
    let over = async |others: &mut [Browser; 3]| {
        let mut over = 0;
        for other in others {
            over += usize::from(other.get("/me").await.status == StatusCode::SEE_OTHER);
        }
        over
    };
    assert_eq!(over(&mut others).await, 1);
    // An administrator can, on that user's page.
    let id = id_of(&mut pat, "kim").await;
    let page = pat.read(&format!("/people/{id}")).await;
    assert_eq!(page.all_hidden("one").len(), 3);
    pat.post_on(&format!("/people/{id}/sessions"), &fields).await.says("The session has ended.");
    assert_eq!(over(&mut others).await, 2);
    kim.read("/me").await;
    world.close().await;
}

#[tokio::test]
async fn signing_in_anew_ends_the_session_that_the_browser_had() {
    let world = World::open("sessions_anew", 181).await;
    let mut pat = Browser::of(&world, Role::Admin, "pat").await;
    pat.read("/me").await;
    let mut copy = pat.clone();
    let fields = [("email", "pat@example.com"), ("password", PASSWORD), ("next", "/me")];
    assert_eq!(pat.post("/login", &fields).await.to, "/me");
    pat.read("/me").await;
    assert!(copy.get("/me").await.to.starts_with("/login"), "nobody else would have ended it");
    world.close().await;
}

#[tokio::test]
async fn what_was_tried_in_vain_stands_in_the_activity_log() {
    let world = World::open("sessions_refused", 182).await;
    let mut pat = Browser::of(&world, Role::Admin, "pat").await;
    let csrf = pat.read("/me").await.hidden("csrf");
    let wrong = [("csrf", csrf.as_str()), ("password", "not the password"), ("next", "/me")];
    pat.post("/prove", &wrong).await;
    pat.post("/logout", &[("csrf", &csrf)]).await;
    for email in ["pat@example.com", "nobody@example.com"] {
        pat.post("/login", &[("email", email), ("password", "not the password")]).await;
    }
    let mut database = crate::nodes::beside(&world).await;
    let rows = "SELECT COALESCE(MAX(CASE WHEN action = 'proof_refused' THEN detail END), '') || ' ' || \
                CAST(COUNT(CASE WHEN action = 'signed_out' THEN 1 END) AS TEXT) || ' ' || \
                CAST(COUNT(CASE WHEN action = 'sign_in_refused' THEN 1 END) AS TEXT) FROM audit";
    let mut counts = String::new();
    for _ in 0..200 {
        world.chain().await;
        counts = crate::nodes::text(&mut database, rows).await;
        if counts.ends_with(" 1 1") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert!(counts.contains("\"what\":\"password\"") && counts.ends_with(" 1 1"), "{counts}");
    world.close().await;
}

/// Signed-in users can sign out from every page, including step-up pages and refusals.
#[tokio::test]
async fn every_page_has_a_way_to_sign_out() {
    let world = World::open("sessions_out", 184).await;
    crate::pages::seed_data(&world).await;
    let mut pat = Browser::of(&world, Role::Admin, "pat").await;
    let mut ana = Browser::of(&world, Role::PartnerAdmin, "ana-admin").await;
    let form = "action=\"/logout\"";
    let (mut seen, own) = (0, ["/welcome", "/factor", "/password", "/prove?next=%2Fme", "/nothing/here"]);
    let routes = bursar::web::table().into_iter().filter(|route| route.method == "GET");
    let paths =
        routes.filter(|route| route.access != bursar::web::Access::Open && !route.path.starts_with("/api/"));
    let paths =
        paths.map(|route| route.path.replace(['{', '}'], "")).filter(|path| !path.ends_with("/events"));
    for path in paths.chain(own.map(str::to_owned)) {
        for browser in [&mut pat, &mut ana] {
            let page = browser.get(&path).await;
            if page.body.contains("<!doctype html>") {
                assert!(page.body.contains(form), "{path} ({}) has no way to sign out", page.status);
                seen += 1;
            }
        }
    }
    assert!(seen > 60, "{seen}");
    // Before a sensitive action.
    let csrf = pat.read("/me").await.hidden("csrf");
    world.pass(11 * MINUTE);
    let asked = pat.post("/safe-mode/off", &[("csrf", &csrf)]).await;
    asked.says("Is it you?");
    assert!(asked.body.contains(form), "{}", asked.body);
    assert_eq!(pat.post("/logout", &[("csrf", &csrf)]).await.to, "/login");
    world.close().await;
}

#[tokio::test]
async fn a_link_signs_in_with_a_button_alone() {
    let world = World::open("sessions_link", 183).await;
    let new = NewPerson {
        email: "kim@example.com".to_owned(),
        name: "Kim".to_owned(),
        role: Role::Payer,
        partner: None,
        password: Some(PASSWORD.to_owned()),
    };
    let link = people::add(&world.app, &new).await.unwrap();
    let path = link.strip_prefix(&world.app.base_url).unwrap().to_owned();
    let mut browser = Browser::new(&world);
    browser.read(&format!("{path}?now=yes")).await.says("This link signs you in once");
    assert_eq!(browser.post(&path, &[]).await.to, "/");
    world.close().await;
}
