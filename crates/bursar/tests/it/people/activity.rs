//! The activity log: who did what and when, the links of each row, and the hash chain.

use axum::http::StatusCode;
use bursar::ops::settings::Document;
use payout::access::Role;

use crate::pages::{Browser, seed_data};
use crate::world::{DAY, World};

#[tokio::test]
async fn the_log_is_filtered_by_who_what_and_when() {
    let world = World::open("activity_filters", 171).await;
    seed_data(&world).await;
    world.pass(2 * DAY);
    let mut pat = Browser::of(&world, Role::Admin, "pat").await;
    world.set(|it| Document { cooling_off_hours: 24, two_person_release: true, ..it }).await;
    let page = pat.read("/activity").await;
    page.says("Settings changed");
    page.says("cooling off hours: 72 → 24");
    page.says("two person release: no → yes");
    page.says("Payout Settings");
    assert!(!page.body.contains("&#34;cooling_off_hours"), "words, not JSON");
    assert!(!page.body.contains("<details><summary>Settings changed"), "what is short stands on its line");
    let many: Vec<String> = (0..5).map(|number| format!("finance-{number}@company.example")).collect();
    world.set(move |it| Document { internal_recipients: many.clone(), ..it }).await;
    pat.read("/activity").await.says("Settings changed details internal recipients: nothing → finance-0@");
    let only = pat.read("/activity?action=partner_saved").await;
    only.says("Ana Lima");
    assert!(only.body.contains("href=\"/partners/ptn_"), "a row leads to its thing");
    assert!(!only.words().contains("cooling off hours:"));
    pat.read("/activity?actor=operator").await.says("Command line Person added role: admin pat");
    let mine = super::id_of(&mut pat, "pat").await;
    let signed_in = pat.read(&format!("/activity?actor={mine}")).await;
    signed_in.says("pat Signed in with: link pat");
    assert!(signed_in.body.contains(&format!("href=\"/people/{mine}\"")));
    // The world starts on 2 March; the settings were changed two days later.
    let later = pat.read("/activity?from=2026-03-04&to=2026-03-04").await;
    later.says("cooling off hours");
    assert!(!later.body.contains("href=\"/partners/ptn_"));
    pat.read("/activity?from=2026-03-05").await.says("Nothing like this was done.");
    pat.read("/activity?from=2026-03-05&to=2026-03-04").await.says("The last day is before the first");
    pat.read("/activity?from=yesterday").await.says("“yesterday” is not a day; write it like 2026-03-31.");

    // Pages are split by time and position in the chain: together they contain every row once.
    let (mut path, mut rows) = ("/activity?action=reward_entered&limit=5".to_owned(), 0);
    loop {
        let page = pat.read(&path).await;
        rows += page.body.matches("href=\"/rewards/rwd_").count();
        let Some(next) = page.body.split("href=\"").find(|rest| rest.contains("rel=\"next\"")) else { break };
        path = next.split('"').next().unwrap().replace("&#38;", "&");
    }
    assert_eq!(rows, 12);
    let mut payer = Browser::of(&world, Role::Payer, "kim").await;
    assert_eq!(payer.get("/activity").await.status, StatusCode::FORBIDDEN);
    assert_eq!(payer.get("/activity/chain").await.status, StatusCode::FORBIDDEN);
    world.close().await;
}

#[tokio::test]
async fn the_chain_is_verified_in_stretches() {
    let world = World::open("activity_chain", 172).await;
    seed_data(&world).await;
    let mut auditor = Browser::of(&world, Role::Auditor, "pat").await;
    while bursar::ops::trail::chain(&world.app).await.unwrap() > 0 {}
    let page = auditor.read("/activity/chain").await;
    page.says("Holds");
    page.says("each follows from the one before it, and none is missing.");
    page.says("This is as far as the chain goes.");
    auditor.read("/activity/chain?from=5").await.says("Rows 5 to");
    auditor.read("/activity/chain?from=100000").await.says("There is no row 100,000 yet");
    let mut db = world.app.store.read().await.unwrap();
    let part = bursar::ops::verify::segment(&mut db, 3, 4).await.unwrap();
    assert_eq!((part.first, part.last, part.violations.len()), (3, 6, 0));
    drop(db);
    world.close().await;
}
