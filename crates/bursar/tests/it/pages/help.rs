//! The help page, the explanations of statuses, and feedback next to the field it concerns.

use axum::http::StatusCode;
use payout::access::Role;
use payout::transaction::Status;

use super::{Browser, seed_data};
use crate::world::World;

#[tokio::test]
async fn every_page_leads_to_help_which_knows_the_statuses_and_the_events() {
    let world = World::open("pages_help", 71).await;
    seed_data(&world).await;
    let mut kim = Browser::of(&world, Role::Payer, "kim").await;
    for (page, help) in
        [("/rewards", "/help#rewards"), ("/claims", "/help#pay"), ("/settings/payouts", "/help#vendors")]
    {
        let shown = kim.read(page).await;
        assert!(shown.body.contains(&format!("<a href=\"{help}\">")), "{page}");
    }
    let help = kim.read("/help").await;
    for status in Status::ALL {
        help.says(&format!("{} {}", status.label(), status.meaning()));
    }
    help.says("A payment stays in Pending Processing");
    assert!(help.body.contains("payout.paid") && help.body.contains("PAYMENT.PAYOUTS-ITEM.SUCCEEDED"));
    for page in ["/api/docs/", "/api/docs/errors"] {
        assert!(help.body.contains(&format!("href=\"{page}\"")), "{page}");
    }
    for anchor in ["rewards", "pay", "statuses", "vendors", "partners", "stuck"] {
        assert!(help.body.contains(&format!("id=\"{anchor}\"")), "{anchor}");
    }
    kim.read("/dashboard/transactions")
        .await
        .says("What the statuses mean Pending Created when Pay was pressed");
    kim.read("/claims")
        .await
        .says("Nothing needs attention. Pending 0 Pending Processing 0 Payout Ready 0 Failed 0");
    world.close().await;
}

#[tokio::test]
async fn a_section_tells_by_itself_what_became_of_it() {
    let world = World::open("pages_feedback", 72).await;
    seed_data(&world).await;
    let mut pat = Browser::of(&world, Role::Admin, "pat").await;
    let page = pat.read("/settings/payouts").await;
    let (csrf, seen) = (page.hidden("csrf"), page.body.split("value=\"amounts\"").nth(1).unwrap().to_owned());
    let seen = seen.split("name=\"seen\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let fields = |amounts| {
        [("csrf", csrf.as_str()), ("section", "amounts"), ("seen", seen.as_str()), ("thresholds", amounts)]
    };
    let wrong = pat.post("/settings/payouts", &fields("fifty")).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    let within =
        wrong.body.split("id=\"amounts\"").nth(1).unwrap().split("</section>").next().unwrap().to_owned();
    assert!(within.contains("role=\"alert\" tabindex=\"-1\" autofocus"), "{within}");
    let done = pat.post("/settings/payouts", &fields("50.00 USD")).await;
    assert_eq!(done.to, "/settings/payouts#amounts");
    let page = pat.read("/settings/payouts").await;
    let (before, behind) = page.body.split_once("id=\"amounts\"").unwrap();
    assert!(!before.contains("The thresholds are saved."), "not at the head as well");
    assert!(behind.split("</section>").next().unwrap().contains("The thresholds are saved."));
    world.close().await;
}
