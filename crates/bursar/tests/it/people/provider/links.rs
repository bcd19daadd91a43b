//! Who a login is at the provider: shown to whoever it is and to administrators, taken away, and not back by itself.

use bursar::ops::people::provider::links;
use bursar::ops::people::{self, AtTheMachine};
use payout::access::Role;
use serde_json::json;

use super::played::{comes, kim, world};
use crate::pages::{Browser, PASSWORD};
use crate::people::MINUTE;
use crate::people::factor::told;
use crate::world::World;

const KIM: &str = "kim@example.com";

async fn asks(browser: &mut Browser, path: &str, more: &[(&str, &str)]) -> crate::pages::Page {
    let csrf = browser.read("/me").await.hidden("csrf");
    browser.post(path, &[&[("csrf", csrf.as_str())][..], more].concat()).await
}

#[tokio::test]
async fn an_administrator_unlinks_somebody_and_it_does_not_come_back_by_itself() {
    let (world, played) = world("provider_unlink", 841, &[]).await;
    kim(&world, Role::Payer).await;
    let mut browser = Browser::new(&world);
    comes(&world, &played, &mut browser).await;
    let mut db = world.app.store.read().await.unwrap();
    let id = bursar::store::people::by_email(&mut db, KIM).await.unwrap().unwrap().id;
    drop(db);
    let mut pat = Browser::of(&world, Role::Admin, "pat").await;
    let page = format!("/people/{id}");
    pat.read(&page).await.says("u-1, since");
    world.pass(11 * MINUTE);
    asks(&mut pat, &format!("{page}/unlink"), &[]).await.says("Is it you?");
    assert_eq!(asks(&mut pat, &format!("{page}/unlink"), &[("password", PASSWORD)]).await.to, page);
    pat.read(&page).await.says("Was u-1, unlinked");
    assert!(browser.get("/rewards").await.to.starts_with("/login"), "their sessions end");
    assert_eq!(told(&world, &id.to_string()).await, ["unlinked"]);
    let unlinked = comes(&world, &played, &mut browser).await.to;
    assert_eq!(unlinked, "/login?why=provider_unlinked", "nor by the same account");
    browser.read(&unlinked).await.says("Ask an administrator to allow it again");
    // Another account of theirs is linked, as when theirs was made anew.
    played.say(json!({"sub": "u-2"}));
    assert_eq!(comes(&world, &played, &mut browser).await.to, "/rewards");
    asks(&mut pat, &format!("{page}/unlink"), &[]).await;
    assert_eq!(asks(&mut pat, &format!("{page}/relink"), &[]).await.to, page);
    assert_eq!(comes(&world, &played, &mut browser).await.to, "/rewards");
    world.close().await;
}

#[tokio::test]
async fn people_see_who_they_are_there_and_unlink_it_when_they_can_come_in_otherwise() {
    let mapping = [("oidc-role-claim", "groups"), ("oidc-roles", "it=admin"), ("oidc-make-logins", "true")];
    let (world, played) = world("provider_own", 842, &mapping).await;
    played.say(json!({"groups": "it"}));
    let mut browser = Browser::new(&world);
    comes(&world, &played, &mut browser).await;
    browser.read("/me").await.says("As u-1, since");
    assert_eq!(asks(&mut browser, "/me/provider", &[]).await.to, "/me");
    browser.read("/me").await.says("Choose a password first.");
    let words = [("password", "seven green lanterns"), ("again", "seven green lanterns")];
    assert_eq!(asks(&mut browser, "/password", &words).await.to, "/");
    assert_eq!(asks(&mut browser, "/me/provider", &[]).await.to, "/me");
    browser.read("/me").await.says("As u-1, unlinked");
    assert_eq!(comes(&world, &played, &mut Browser::new(&world)).await.to, "/login?why=provider_unlinked");
    world.close().await;
}

async fn opens(world: &World) -> bool {
    links::opens(&world.app, KIM).await.unwrap()
}

#[tokio::test]
async fn a_reset_leaves_the_link_and_says_so() {
    let (world, played) = world("provider_reset", 843, &[]).await;
    kim(&world, Role::Payer).await;
    assert!(!opens(&world).await);
    comes(&world, &played, &mut Browser::new(&world)).await;
    let by = AtTheMachine("anna (user id 1000)");
    people::reset(&world.app, KIM, None, by).await.unwrap();
    assert!(opens(&world).await, "what the command line says it by");
    assert!(links::allow_again_at_the_machine(&world.app, KIM, by).await.is_err(), "nothing was unlinked");
    links::unlink_at_the_machine(&world.app, KIM, by).await.unwrap();
    assert!(!opens(&world).await);
    assert!(links::unlink_at_the_machine(&world.app, KIM, by).await.is_err(), "once");
    links::allow_again_at_the_machine(&world.app, KIM, by).await.unwrap();
    assert_eq!(comes(&world, &played, &mut Browser::new(&world)).await.to, "/rewards");
    world.close().await;
}
