//! The account that a login is linked to at the provider: shown to its user and to administrators, unlinked, and not linked
//! again automatically.

use bursar::ops::people::provider::links;
use bursar::ops::people::{self, MachineUser};
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
    pat.read(&page).await.says("Allow u-1");
    assert_eq!(asks(&mut pat, &format!("{page}/relink"), &[("subject", "u-1")]).await.to, page);
    pat.read(&page).await.says("u-1 may be linked, since");
    assert_eq!(comes(&world, &played, &mut browser).await.to, "/rewards");
    world.close().await;
}

/// Whoever could create one account there with a user's address may create another. After an unlink, an administrator names
/// the right account, and no other is accepted.
#[tokio::test]
async fn after_one_was_unlinked_an_administrator_says_which_account_is_theirs() {
    let (world, played) = world("provider_which", 844, &[]).await;
    kim(&world, Role::Payer).await;
    let come = async |subject: &str| {
        played.say(json!({ "sub": subject }));
        comes(&world, &played, &mut Browser::new(&world)).await.to
    };
    let (by, out) = (MachineUser("anna (user id 1000)"), "/login?why=provider_unlinked");
    let unlink = async || links::unlink_at_the_machine(&world.app, KIM, by).await.unwrap();
    let allow = async |one: Option<&str>| links::allow_again_at_the_machine(&world.app, KIM, one, by).await;
    assert_eq!(come("u-evil").await, "/rewards");
    assert!(!unlink().await);
    for subject in ["u-evil", "u-evil-2", "u-1"] {
        assert_eq!(come(subject).await, out, "{subject}");
    }
    // Their real account was never here; once it is allowed, the others stay out. An account named by mistake can be
    // released again.
    allow(Some("u-pat")).await.unwrap();
    allow(Some("u-1")).await.unwrap();
    for subject in ["u-evil", "u-evil-2"] {
        assert_eq!(come(subject).await, out, "{subject}");
    }
    assert_eq!(come("u-1").await, "/rewards");
    assert_eq!(come("u-evil").await, out);
    assert_eq!(come("u-evil-2").await, "/login?why=provider_taken");
    unlink().await;
    // The previously allowed account is no longer accepted, and the error says which of two it is.
    assert_eq!(come("u-1").await, out);
    assert!(allow(None).await.is_err());
    allow(Some("u-evil")).await.unwrap();
    allow(Some("u-1")).await.unwrap();
    assert_eq!(come("u-evil").await, out, "one at a time");
    assert_eq!(come("u-1").await, "/rewards");
    // Nor can another person's account be allowed for them.
    let pat = Browser::of(&world, Role::Admin, "pat").await;
    drop(pat);
    played.say(json!({"sub": "u-pat", "email": "pat@example.com"}));
    assert_eq!(comes(&world, &played, &mut Browser::new(&world)).await.to, "/rewards");
    unlink().await;
    assert!(allow(Some("u-pat")).await.is_err());
    let rows = bursar::store::audit::list(
        &mut world.app.store.read().await.unwrap(),
        &bursar::store::audit::Filter::default(),
        100,
    )
    .await
    .unwrap();
    let subjects = |action: &str| {
        let of = rows.iter().filter(|row| row.action == action).rev();
        let subject = |detail: &str| {
            serde_json::from_str::<serde_json::Value>(detail).unwrap()["subject"].as_str().unwrap().to_owned()
        };
        of.map(|row| subject(&row.detail)).collect::<Vec<_>>()
    };
    assert_eq!(subjects("login_unlinked"), ["u-evil", "u-1", "u-1"]);
    assert_eq!(subjects("login_link_allowed"), ["u-pat", "u-1", "u-evil", "u-1"]);
    world.close().await;
}

/// An administrator who signs in only through the provider cannot be unlinked while no one else could sign in as one.
#[tokio::test]
async fn the_last_way_in_is_not_unlinked() {
    let mapping = [("oidc-role-claim", "groups"), ("oidc-roles", "it=admin"), ("oidc-make-logins", "true")];
    let (world, played) = world("provider_last_way", 845, &mapping).await;
    played.say(json!({"groups": "it"}));
    comes(&world, &played, &mut Browser::new(&world)).await;
    played.say(json!({"groups": "it", "sub": "u-2", "email": "lee@example.com"}));
    comes(&world, &played, &mut Browser::new(&world)).await;
    let id = async |email: &str| {
        let mut db = world.app.store.read().await.unwrap();
        bursar::store::people::by_email(&mut db, email).await.unwrap().unwrap().id
    };
    let (kim, lee) = (id(KIM).await, id("lee@example.com").await);
    // If two unlink each other, one remains linked.
    let by = async |whose| {
        let mut db = world.app.store.read().await.unwrap();
        let person = bursar::store::people::by_id(&mut db, whose).await.unwrap().unwrap();
        people::actor(&person)
    };
    let (by_kim, by_lee) = (by(kim).await, by(lee).await);
    let (one, other) =
        tokio::join!(links::unlink(&world.app, &by_lee, kim), links::unlink(&world.app, &by_kim, lee));
    assert_eq!([one.is_ok(), other.is_ok()].iter().filter(|done| **done).count(), 1, "{one:?} {other:?}");
    // The command line may do it, with a warning.
    let machine = MachineUser("anna (user id 1000)");
    let rest = if one.is_ok() { "lee@example.com" } else { KIM };
    assert!(links::unlink_at_the_machine(&world.app, rest, machine).await.unwrap());
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
    let by = MachineUser("anna (user id 1000)");
    people::reset(&world.app, KIM, None, by).await.unwrap();
    assert!(opens(&world).await, "what the command line says it by");
    assert!(
        links::allow_again_at_the_machine(&world.app, KIM, None, by).await.is_err(),
        "nothing was unlinked"
    );
    links::unlink_at_the_machine(&world.app, KIM, by).await.unwrap();
    assert!(!opens(&world).await);
    assert!(links::unlink_at_the_machine(&world.app, KIM, by).await.is_err(), "once");
    links::allow_again_at_the_machine(&world.app, KIM, None, by).await.unwrap();
    assert_eq!(comes(&world, &played, &mut Browser::new(&world)).await.to, "/rewards");
    world.close().await;
}
