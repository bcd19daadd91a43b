//! The limits on tries of a login hold for all nodes together on PostgreSQL, and cost SQLite no write.

use axum::http::StatusCode;
use payout::access::Role;

use super::{beside, text};
use crate::pages::{Browser, PASSWORD};
use crate::world::World;

const MAIL: [(&str, &str); 1] = [("smtp-url", "smtp://127.0.0.1:1")];

async fn buckets(world: &World) -> String {
    text(&mut beside(world).await, "SELECT CAST(COUNT(*) AS TEXT) FROM login_bucket").await
}

/// On SQLite one process serves the database, so it counts for itself.
fn is_shared(world: &World) -> bool {
    world.app.store.may_be_shared()
}

#[tokio::test]
async fn a_mail_that_strangers_ask_for_is_limited_on_all_nodes_together() {
    let world = World::open_with("limits_mail", 511, &MAIL).await;
    let mut nodes = [Browser::new(&world), Browser::new(&world).on(&world.app)];
    let ask =
        async |node: &mut Browser| node.post("/forgotten", &[("email", "nobody@example.com")]).await.status;
    for node in [0, 0, 1] {
        assert_eq!(ask(&mut nodes[node]).await, StatusCode::OK);
    }
    let fourth = ask(&mut nodes[1]).await;
    match is_shared(&world) {
        true => assert_eq!(fourth, StatusCode::TOO_MANY_REQUESTS),
        false => assert_eq!((fourth, buckets(&world).await.as_str()), (StatusCode::OK, "0")),
    }
    world.pass(20 * 60 * crate::world::SECOND);
    assert_eq!(ask(&mut nodes[1]).await, StatusCode::OK);
    // What is over is deleted.
    world.pass(crate::world::DAY);
    bursar::work::sweep::once(&world.works[0], world.now()).await.unwrap();
    assert_eq!(buckets(&world).await, "0");
    world.close().await;
}

#[tokio::test]
async fn proofs_of_one_session_are_limited_on_all_nodes_together() {
    let world = World::open("limits_proof", 512).await;
    let mut here = Browser::of(&world, Role::Payer, "kim").await;
    let csrf = here.read("/me").await.hidden("csrf");
    let there = here.on(&world.app);
    let mut nodes = [here, there];
    let wrong = [("csrf", csrf.as_str()), ("password", "not the password"), ("next", "/me")];
    for number in 0..10 {
        assert_eq!(nodes[number % 2].post("/prove", &wrong).await.status, StatusCode::SEE_OTHER, "{number}");
    }
    let next = nodes[0].post("/prove", &wrong).await.status;
    match is_shared(&world) {
        true => assert_eq!(next, StatusCode::TOO_MANY_REQUESTS),
        false => assert_eq!(next, StatusCode::SEE_OTHER),
    }
    world.close().await;
}

/// Guessing at a login on all nodes is no faster than on one, and does not keep its owner out.
#[tokio::test]
async fn guesses_at_a_login_are_limited_on_all_nodes_together() {
    let world = World::open("limits_login", 513).await;
    if !is_shared(&world) {
        return world.close().await;
    }
    let mut kim = Browser::of(&world, Role::Payer, "kim").await;
    let right = [("email", "kim@example.com"), ("password", PASSWORD), ("next", "/me")];
    assert_eq!(kim.post("/login", &right).await.to, "/me");
    let mut nodes = [Browser::new(&world), Browser::new(&world).on(&world.app)];
    let wrong = [("email", "kim@example.com"), ("password", "not the password")];
    // Their own try was the first of fifty.
    for number in 1..50 {
        assert_eq!(nodes[number % 2].post("/login", &wrong).await.to, "/login?why=wrong", "{number}");
    }
    for node in &mut nodes {
        assert_eq!(node.post("/login", &wrong).await.status, StatusCode::TOO_MANY_REQUESTS);
    }
    assert_eq!(kim.post("/login", &right).await.to, "/me");
    world.close().await;
}
