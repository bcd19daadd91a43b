//! When claims signed by the provider take effect: nothing before our second factor, nobody as a second person for a day,
//! and nothing without notifying administrators.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use axum::http::{Request, StatusCode};
use bursar::ops::people::{self, factor, provider};
use bursar::store::people::{Counts, by_email};
use bursar::store::step::{Passing, Point, Watch, watched};
use bursar::store::{audit, identities};
use bursar::work::provider::setup_problem;
use payout::access::Role;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::played::{actions, comes, kim, part, sent, world};
use crate::pages::{Browser, PASSWORD};
use crate::people::MINUTE;
use crate::world::{DAY, Loop, SECOND, World};

/// The notices to administrators: event and user. Sorted by text, since two may be sent at the same moment.
async fn told(world: &World) -> Vec<String> {
    let mut database = crate::nodes::beside(world).await;
    let of = "FROM outbox WHERE notice = 'login_by_provider'";
    let many = crate::nodes::text(&mut database, &format!("SELECT CAST(COUNT(*) AS TEXT) {of}")).await;
    let mut found = Vec::new();
    for place in 0..many.parse().unwrap() {
        let one = format!("SELECT detail {of} ORDER BY id LIMIT 1 OFFSET {place}");
        let detail: Value = serde_json::from_str(&crate::nodes::text(&mut database, &one).await).unwrap();
        let values = ["what", "address", "role", "old", "claim"].map(|name| detail[name].as_str().unwrap());
        let last = if detail["last"] == true { "last" } else { "" };
        let present: Vec<&str> = values.into_iter().chain([last]).filter(|word| !word.is_empty()).collect();
        found.push(present.join(" "));
    }
    found.sort();
    found
}

async fn counts(world: &World, email: &str) -> Counts {
    let mut db = world.app.store.read().await.unwrap();
    let person = by_email(&mut db, email).await.unwrap().unwrap();
    bursar::store::people::counts(&mut db, &person.id.to_string(), world.now()).await.unwrap()
}

async fn role(world: &World, email: &str) -> Role {
    let mut db = world.app.store.read().await.unwrap();
    by_email(&mut db, email).await.unwrap().unwrap().role
}

const MAPPING: [(&str, &str); 3] = [
    ("oidc-role-claim", "groups"),
    ("oidc-roles", "it=admin;finance=payer;audit=auditor"),
    ("oidc-make-logins", "true"),
];

/// Someone with an account there under a user's address, but without their second factor, changes nothing of theirs.
#[tokio::test]
async fn nothing_counts_before_our_second_factor_was_shown() {
    let (world, played) = world("provider_before", 821, &MAPPING).await;
    kim(&world, Role::Payer).await;
    let mut first = Browser::new(&world);
    first.post("/login", &[("email", "kim@example.com"), ("password", PASSWORD)]).await;
    let held = crate::people::factor::set_up(&world, &mut first).await;
    let half = "/login/code?next=%2Frewards";
    played.say(json!({"sub": "u-evil", "groups": ["audit"]}));
    assert_eq!(comes(&world, &played, &mut Browser::new(&world)).await.to, half);
    assert!(!actions(&world).await.iter().any(|action| action == "login_linked" || action == "role_changed"));
    assert_eq!((role(&world, "kim@example.com").await, told(&world).await), (Role::Payer, vec![]));
    // The real user comes afterwards and shows it: now the link and the role take effect.
    let now = world.now() / 1_000_000;
    played.say(json!({"sub": "u-1", "groups": "it", "auth_time": now - 3_600}));
    let mut browser = Browser::new(&world);
    assert_eq!(comes(&world, &played, &mut browser).await.to, half);
    world.pass(30 * SECOND);
    let code = factor::code_at(&held.secret, world.now()).unwrap();
    assert_eq!(browser.post("/login/code", &[("code", &code), ("next", "/rewards")]).await.to, "/rewards");
    assert_eq!(role(&world, "kim@example.com").await, Role::Admin);
    let heard = told(&world).await;
    assert_eq!(heard, ["linked kim@example.com Administrator", "role kim@example.com Administrator Payer"]);
    assert!(actions(&world).await.iter().any(|action| action == "came_by_provider"));
    // The time of authentication at the provider is still known after the code was entered.
    assert_eq!(browser.get("/keys/new").await.to, "/prove?next=%2Fkeys%2Fnew");
    assert_eq!(comes(&world, &played, &mut Browser::new(&world)).await.to, half);
    played.say(json!({"sub": "u-evil", "groups": "it"}));
    assert_eq!(comes(&world, &played, &mut Browser::new(&world)).await.to, "/login?why=provider_taken");
    world.close().await;
}

/// Of two half-finished sign-ins of one login, the one that shows the second factor is linked, and the other must start
/// again.
#[tokio::test]
async fn one_of_two_who_are_half_way_is_linked() {
    let (world, played) = world("provider_two", 822, &[]).await;
    kim(&world, Role::Payer).await;
    let mut first = Browser::new(&world);
    first.post("/login", &[("email", "kim@example.com"), ("password", PASSWORD)]).await;
    let held = crate::people::factor::set_up(&world, &mut first).await;
    let (mut one, mut other) = (Browser::new(&world), Browser::new(&world));
    comes(&world, &played, &mut one).await;
    played.say(json!({"sub": "u-2"}));
    comes(&world, &played, &mut other).await;
    let mut ended = Vec::new();
    for browser in [&mut one, &mut other] {
        world.pass(31 * SECOND);
        let code = factor::code_at(&held.secret, world.now()).unwrap();
        ended.push(browser.post("/login/code", &[("code", &code), ("next", "/rewards")]).await);
    }
    assert_eq!(ended[0].to, "/rewards");
    assert_eq!(ended[1].to, "/login?why=provider_taken", "{}", ended[1].words());
    let mut db = world.app.store.read().await.unwrap();
    let kim = by_email(&mut db, "kim@example.com").await.unwrap().unwrap();
    let linked = identities::of(&mut db, kim.id).await.unwrap();
    assert_eq!(linked.iter().map(|one| one.subject.as_str()).collect::<Vec<_>>(), ["u-1"]);
    drop(db);
    world.close().await;
}

/// One person with two accounts is not two people, and nobody is linked or created unnoticed.
#[tokio::test]
async fn who_is_linked_or_made_counts_a_day_later_and_every_administrator_hears_of_it() {
    let (world, played) = world("provider_counts", 823, &MAPPING).await;
    Browser::of(&world, Role::Admin, "pat").await;
    kim(&world, Role::Payer).await;
    assert_eq!(counts(&world, "kim@example.com").await, Counts::Yes);
    played.say(json!({"groups": "finance"}));
    comes(&world, &played, &mut Browser::new(&world)).await;
    let until = world.now() + DAY;
    assert_eq!(counts(&world, "kim@example.com").await, Counts::From(until));
    played.say(json!({"sub": "u-2", "email": "kim.oh@example.com", "name": "Pat\u{202e}\u{7} Jones ", "groups": "finance"}));
    let mut made = Browser::new(&world);
    assert_eq!(comes(&world, &played, &mut made).await.to, "/rewards");
    made.read("/rewards").await.says("Pat Jones Payer");
    assert!(matches!(counts(&world, "kim.oh@example.com").await, Counts::From(_)));
    assert_eq!(told(&world).await, ["linked kim@example.com Payer", "made kim.oh@example.com Payer"]);
    // Another sign-in sends no notices.
    comes(&world, &played, &mut Browser::new(&world)).await;
    assert_eq!(told(&world).await.len(), 2);
    assert!(world.tick(0, Loop::Notify).await > 0);
    let mut db = world.app.store.read().await.unwrap();
    let filter = bursar::store::mails::Filter {
        notice: Some(payout::notice::Notice::LoginByProvider),
        ..Default::default()
    };
    let mails = bursar::store::mails::list(&mut db, &filter, 9).await.unwrap();
    assert_eq!(mails.iter().map(|mail| mail.recipient.as_str()).collect::<Vec<_>>(), ["pat@example.com"; 2]);
    drop(db);
    world.pass(DAY);
    assert_eq!(counts(&world, "kim@example.com").await, Counts::Yes);
    world.close().await;
}

/// Someone who has taken over the account at the provider by then could set up a first factor long after the link.
#[tokio::test]
async fn a_first_factor_that_is_set_up_later_begins_another_day() {
    let (world, played) = world("provider_first_factor", 848, &MAPPING).await;
    Browser::of(&world, Role::Admin, "pat").await;
    kim(&world, Role::Payer).await;
    played.say(json!({"groups": "finance"}));
    comes(&world, &played, &mut Browser::new(&world)).await;
    world.pass(DAY + MINUTE);
    assert_eq!(counts(&world, "kim@example.com").await, Counts::Yes);
    played.say(json!({"groups": "finance", "auth_time": world.now() / 1_000_000 - 5}));
    let mut late = Browser::new(&world);
    comes(&world, &played, &mut late).await;
    crate::people::factor::set_up(&world, &mut late).await;
    assert!(matches!(counts(&world, "kim@example.com").await, Counts::From(_)));
    assert_eq!(told(&world).await, ["factor kim@example.com Payer", "linked kim@example.com Payer"]);
    world.close().await;
}

/// An authentication time in the future is rejected: a provider that counts in milliseconds would pass every step-up
/// forever.
#[tokio::test]
async fn a_proof_that_is_to_come_is_none() {
    let (world, played) = world("provider_to_come", 849, &MAPPING).await;
    Browser::of(&world, Role::Admin, "pat").await;
    kim(&world, Role::Admin).await;
    played.say(json!({"groups": "it", "auth_time": world.now() / 1_000}));
    let mut browser = Browser::new(&world);
    comes(&world, &played, &mut browser).await;
    assert_eq!(browser.get("/keys/new").await.to, "/prove?next=%2Fkeys%2Fnew");
    world.close().await;
}

/// A user whose last role the provider removes is signed out at once; administrators are notified of the passwords and
/// factors the user still has here.
#[tokio::test]
async fn whoever_loses_every_role_there_is_signed_out_and_administrators_hear_of_it_once() {
    let (world, played) = world("provider_leaves", 824, &MAPPING).await;
    Browser::of(&world, Role::Admin, "pat").await;
    kim(&world, Role::Payer).await;
    played.say(json!({"groups": "finance"}));
    let mut browser = Browser::new(&world);
    comes(&world, &played, &mut browser).await;
    browser.read("/rewards").await.says("Kim Payer");
    played.say(json!({"groups": []}));
    for _ in 0..2 {
        let page = comes(&world, &played, &mut Browser::new(&world)).await;
        assert_eq!(page.to, "/login?why=provider_role");
    }
    assert!(browser.get("/rewards").await.to.starts_with("/login"), "their session has ended");
    assert_eq!(told(&world).await, ["linked kim@example.com Payer", "no_role kim@example.com Payer"]);
    // A stranger without a role triggers no notice.
    played.say(json!({"sub": "u-9", "email": "sam@example.com", "groups": []}));
    comes(&world, &played, &mut Browser::new(&world)).await;
    assert_eq!(told(&world).await.len(), 2);
    played.say(json!({"groups": "finance"}));
    assert_eq!(comes(&world, &played, &mut browser).await.to, "/rewards", "a role again");
    world.close().await;
}

/// The role mapping never removes the last administrator who can sign in.
#[tokio::test]
async fn only_administrators_who_can_come_in_are_relied_on() {
    let (world, played) = world("provider_last", 825, &MAPPING).await;
    let new = people::NewPerson {
        email: "admin@localhost".to_owned(),
        name: "Administrator".to_owned(),
        role: Role::Admin,
        partner: None,
        password: None,
    };
    people::add(&world.app, &new).await.unwrap();
    kim(&world, Role::Admin).await;
    played.say(json!({"groups": "finance"}));
    comes(&world, &played, &mut Browser::new(&world)).await;
    assert_eq!(role(&world, "kim@example.com").await, Role::Admin, "nobody ever used the other login");
    // Someone who signs in only through the provider counts while they keep doing so.
    played.say(json!({"sub": "u-2", "email": "lee@example.com", "groups": "it"}));
    comes(&world, &played, &mut Browser::new(&world)).await;
    world.pass(31 * DAY);
    played.say(json!({"groups": "finance"}));
    comes(&world, &played, &mut Browser::new(&world)).await;
    assert_eq!(role(&world, "kim@example.com").await, Role::Admin, "a month is too long ago");
    played.say(json!({"sub": "u-2", "email": "lee@example.com", "groups": "it"}));
    comes(&world, &played, &mut Browser::new(&world)).await;
    played.say(json!({"groups": "finance"}));
    comes(&world, &played, &mut Browser::new(&world)).await;
    assert_eq!(role(&world, "kim@example.com").await, Role::Payer);
    let heard = told(&world).await;
    assert!(heard.contains(&"role kim@example.com Payer Administrator".to_owned()), "{heard:?}");
    world.close().await;
}

/// An account at a previous provider admits nobody, and someone who lost their last role does not count as an
/// administrator.
#[tokio::test]
async fn administrators_are_relied_on_who_can_come_in_by_the_provider_of_now() {
    let (world, played) = world("provider_moved", 851, &MAPPING).await;
    kim(&world, Role::Admin).await;
    played.say(json!({"sub": "u-2", "email": "lee@example.com", "groups": "it"}));
    comes(&world, &played, &mut Browser::new(&world)).await;
    let url = &world.app.config.database_url;
    let at = |issuer: &str| format!("UPDATE login_identity SET issuer = '{issuer}' WHERE subject = 'u-2'");
    crate::world::run(url, at("https://old.example")).await;
    played.say(json!({"groups": "finance"}));
    comes(&world, &played, &mut Browser::new(&world)).await;
    assert_eq!(role(&world, "kim@example.com").await, Role::Admin, "lee cannot come in");
    crate::world::run(url, at(&played.issuer)).await;
    comes(&world, &played, &mut Browser::new(&world)).await;
    assert_eq!(role(&world, "kim@example.com").await, Role::Payer);
    // Now Lee is the last, and has no other way in: a notice says so.
    played.say(json!({"sub": "u-2", "email": "lee@example.com", "groups": "sales"}));
    assert_eq!(comes(&world, &played, &mut Browser::new(&world)).await.to, "/login?why=provider_role");
    let heard = told(&world).await;
    assert!(heard.contains(&"no_role lee@example.com Administrator last".to_owned()), "{heard:?}");
    world.close().await;
}

/// Redirecting to the provider writes nothing, since anonymous clients may repeat it without limit. A callback counts once,
/// even on two nodes.
#[tokio::test]
async fn being_sent_to_the_provider_writes_nothing() {
    let (world, played) = world("provider_writes", 852, &[]).await;
    kim(&world, Role::Payer).await;
    let mut database = crate::nodes::beside(&world).await;
    let many = "SELECT CAST(COUNT(*) AS TEXT) FROM came_back";
    let mut browser = Browser::new(&world);
    for _ in 0..3 {
        sent(&world, &played, &mut browser, "?next=/rewards").await;
    }
    assert_eq!(crate::nodes::text(&mut database, many).await, "0");
    let back = sent(&world, &played, &mut browser, "?next=/rewards").await;
    let mut same = browser.on(&world.app);
    assert_eq!(browser.get(&back).await.to, "/rewards");
    assert_eq!(same.get(&back).await.to, "/login?why=provider_over", "once");
    assert_eq!(crate::nodes::text(&mut database, many).await, "1");
    // Our longest URL fits into a browser's cookie.
    let long = format!("?next=/rewards/{}", "x".repeat(1_480));
    let there = browser.get(&format!("/login/provider{long}")).await;
    assert_eq!(there.status, StatusCode::SEE_OTHER);
    assert!(browser.kept("bursar_provider").len() < 3_800, "{}", browser.kept("bursar_provider").len());
    world.close().await;
}

/// A user without a password who must set up a second factor re-authenticates at the provider first.
#[tokio::test]
async fn whoever_has_no_password_sets_up_their_second_factor() {
    let more = [&MAPPING[..], &[("smtp-url", "smtp://127.0.0.1:1")]].concat();
    let (world, played) = world("provider_set_up", 826, &more).await;
    let at = |minutes: i64| world.now() / 1_000_000 - minutes * 60;
    played.say(json!({"groups": "it", "auth_time": at(30)}));
    let mut browser = Browser::new(&world);
    assert_eq!(comes(&world, &played, &mut browser).await.to, "/rewards");
    assert_eq!(browser.get("/rewards").await.to, "/factor");
    // A user who has just come from the provider may set up an app, but that does not count as a step-up.
    crate::people::factor::set_up(&world, &mut browser).await;
    browser.read("/rewards").await.says("Kim Oh Administrator");
    assert_eq!(browser.get("/keys/new").await.to, "/prove?next=%2Fkeys%2Fnew");
    assert_eq!(browser.get("/factor").await.to, "/prove?next=%2Ffactor", "nor may it be replaced by that");
    let page = browser.read("/prove?next=%2Fkeys%2Fnew").await;
    page.says("You have no password here: sign in again with Acme");
    // A user with an app and no password is asked to set a password, and can change everything with it.
    let csrf = browser.read("/me").await.hidden("csrf");
    for path in ["/factor/begin", "/factor/codes", "/factor/passkeys"] {
        let asked = browser.post(path, &[("csrf", csrf.as_str())]).await;
        asked.says("You have no password yet");
        asked.says("Sign in again with Acme, then choose a password");
        assert!(!asked.body.contains("name=\"password\""), "{}", asked.body);
        assert!(asked.body.contains("/login/provider?again=yes"), "{}", asked.body);
    }
    let back = sent(&world, &played, &mut browser, "?again=yes&next=/password").await;
    played.set(|said| said.claims["auth_time"] = json!(at(0)));
    assert_eq!(browser.get(&back).await.to, "/login/code?next=%2Fpassword");
    world.close().await;
}

/// If no second factor is set up in time, the user must go through the provider again.
#[tokio::test]
async fn whoever_came_a_while_ago_proves_it_at_the_provider_before_they_set_one_up() {
    let more = [&MAPPING[..], &[("smtp-url", "smtp://127.0.0.1:1")]].concat();
    let (world, played) = world("provider_stale", 827, &more).await;
    played.say(json!({"groups": "it"}));
    let mut browser = Browser::new(&world);
    comes(&world, &played, &mut browser).await;
    world.pass(11 * MINUTE);
    assert_eq!(browser.get("/factor").await.to, "/prove?next=%2Ffactor");
    browser.read("/prove?next=%2Ffactor").await.says("sign in again with Acme");
    browser.read("/password").await.says("Sign in again with Acme , then choose a password here.");
    let back = sent(&world, &played, &mut browser, "?again=yes&next=/factor").await;
    assert_eq!(browser.get(&back).await.to, "/factor");
    crate::people::factor::set_up(&world, &mut browser).await;
    assert_eq!(browser.get("/keys/new").await.status, StatusCode::OK);
    world.close().await;
}

/// A provider that does not report the authentication time cannot be used for step-up, and an error says so.
#[tokio::test]
async fn a_provider_that_does_not_say_when_they_proved_it_is_told_of() {
    let (world, played) = world("provider_silent", 828, &[]).await;
    kim(&world, Role::Admin).await;
    let mut browser = Browser::new(&world);
    for claims in [json!({"auth_time": null}), json!({"auth_time": world.now() / 1_000_000 - 3_600})] {
        played.say(claims);
        let back = sent(&world, &played, &mut browser, "?again=yes&next=/keys/new").await;
        let page = browser.get(&back).await;
        assert_eq!(page.to, "/prove?why=provider&next=%2Fkeys%2Fnew");
        browser.read(&page.to).await.says("does not say that you have just proved there who you are");
    }
    played.say(json!({"auth_time": world.now() / 1_000_000 - 13 * 3_600}));
    assert_eq!(comes(&world, &played, &mut browser).await.to, "/login?why=provider_old");
    browser.read("/login?why=provider_old").await.says("Sign out there, then sign in again here.");
    world.close().await;
}

/// Another colleague may authenticate at the provider; they do not continue as the original user.
#[tokio::test]
async fn nobody_else_proves_it_for_them() {
    let (world, played) = world("provider_other", 829, &[]).await;
    kim(&world, Role::Admin).await;
    Browser::of(&world, Role::Admin, "pat").await;
    let mut browser = Browser::new(&world);
    comes(&world, &played, &mut browser).await;
    let back = sent(&world, &played, &mut browser, "?again=yes&next=/keys/new").await;
    played.set(|said| said.claims["sub"] = json!("u-2"));
    played.set(|said| said.claims["email"] = json!("pat@example.com"));
    assert_eq!(browser.get(&back).await.to, "/login?why=provider_other");
    browser.read("/rewards").await.says("Kim Administrator");
    assert_eq!(told(&world).await, ["linked kim@example.com Administrator"]);
    world.close().await;
}

/// At some providers anyone can have an account.
#[tokio::test]
async fn what_is_required_of_everybody_must_hold() {
    let more = [("oidc-require", "hd=acme.example; email_verified=true")];
    let (world, played) = world("provider_require", 830, &more).await;
    kim(&world, Role::Payer).await;
    let why = "/login?why=provider_not_of_us";
    for claims in [
        json!({}),
        json!({"hd": "other.example"}),
        json!({"hd": ["other.example"]}),
        json!({"hd": "acme.example", "email_verified": false}),
    ] {
        played.say(claims.clone());
        assert_eq!(comes(&world, &played, &mut Browser::new(&world)).await.to, why, "{claims}");
    }
    Browser::new(&world).read(why).await.says("does not allow your account to use Bursar");
    // Malformed but common spellings of the claim are accepted.
    for verified in [json!(true), json!("true")] {
        let claims =
            json!({"hd": "acme.example", "email_verified": verified, "updated_at": "2026-03-02T08:00:00Z"});
        played.say(claims);
        assert_eq!(comes(&world, &played, &mut Browser::new(&world)).await.to, "/rewards");
    }
    // The claim no longer holds, as after they have left: their sessions through the provider end.
    let mut browser = Browser::new(&world);
    comes(&world, &played, &mut browser).await;
    played.say(json!({}));
    for _ in 0..2 {
        assert_eq!(comes(&world, &played, &mut Browser::new(&world)).await.to, why);
    }
    assert!(browser.get("/rewards").await.to.starts_with("/login"));
    assert_eq!(told(&world).await, ["linked kim@example.com Payer", "not_of_us kim@example.com Payer hd"]);
    assert!(!actions(&world).await.iter().any(|action| action == "no_role_any_more"));
    world.close().await;
}

/// A claim may describe only this sign-in. Someone who knows only a user's password there cannot end their sessions with
/// it.
#[tokio::test]
async fn a_claim_that_does_not_hold_ends_nothing_that_did_not_come_by_the_provider() {
    let (world, played) = world("provider_mfa", 850, &[("oidc-require", "amr=mfa")]).await;
    kim(&world, Role::Payer).await;
    let mut first = Browser::new(&world);
    first.post("/login", &[("email", "kim@example.com"), ("password", PASSWORD)]).await;
    crate::people::factor::set_up(&world, &mut first).await;
    played.say(json!({"amr": ["pwd", "mfa"]}));
    let (mut by_provider, mut by_password) = (Browser::new(&world), Browser::new(&world));
    let half = "/login/code?next=%2Frewards";
    assert_eq!(comes(&world, &played, &mut by_provider).await.to, half);
    let password = [("email", "kim@example.com"), ("password", PASSWORD), ("next", "/rewards")];
    assert_eq!(by_password.post("/login", &password).await.to, half);
    played.say(json!({"amr": ["pwd"]}));
    let why = "/login?why=provider_not_of_us";
    assert_eq!(comes(&world, &played, &mut Browser::new(&world)).await.to, why);
    assert_eq!(told(&world).await, Vec::<String>::new(), "nobody is linked, so it is nobody's news");
    // Once they are linked, it ends their sessions through the provider, and a notice names the claim.
    played.say(json!({"amr": ["pwd", "mfa"]}));
    let mut linked = Browser::new(&world);
    comes(&world, &played, &mut linked).await;
    first.read("/rewards").await.says("Kim Payer");
    let mut db = world.app.store.read().await.unwrap();
    let kim = by_email(&mut db, "kim@example.com").await.unwrap().unwrap();
    drop(db);
    let url = &world.app.config.database_url;
    let link = format!(
        "INSERT INTO login_identity (issuer, subject, person_id, linked_at) VALUES ('{}', 'u-1', '{}', 1)",
        played.issuer, kim.id
    );
    crate::world::run(url, link).await;
    played.say(json!({"amr": ["pwd"]}));
    assert_eq!(comes(&world, &played, &mut Browser::new(&world)).await.to, why);
    first.read("/rewards").await.says("Kim Payer");
    let half_page = by_password.read(half).await;
    assert!(half_page.body.contains("name=\"code\""), "{}", half_page.words());
    assert_eq!(linked.get(half).await.status, StatusCode::GONE, "half way by the provider has ended");
    assert_eq!(told(&world).await, ["not_of_us kim@example.com Payer amr"]);
    world.close().await;
}

/// Lowercasing some non-ASCII letters yields another person's address.
#[tokio::test]
async fn an_address_of_other_letters_is_nobodys() {
    let (world, played) = world("provider_kelvin", 831, &[]).await;
    kim(&world, Role::Payer).await;
    for claims in [json!({"email": "\u{212a}im@example.com"}), json!({"sub": "u-1\u{0}"})] {
        played.say(claims);
        assert_eq!(
            comes(&world, &played, &mut Browser::new(&world)).await.to,
            "/login?why=provider_unverified"
        );
    }
    world.close().await;
}

/// Two concurrent sign-ins of one person create one login and one link, and both succeed.
#[tokio::test]
async fn two_sign_ins_at_once_are_one_link() {
    let (world, played) = world("provider_at_once", 832, &MAPPING).await;
    let shown = provider::IdentityClaims {
        issuer: played.issuer.clone(),
        subject: "u-1".to_owned(),
        email: Some("kim@example.com".to_owned()),
        email_is_verified: true,
        roles: vec!["finance".to_owned()],
        ..Default::default()
    };
    let comes = people::Browser::default();
    // Before the login exists, and once it does: losing a race must not lock anyone out permanently.
    for _ in 0..3 {
        let enter = || provider::enter(&world.app, &shown, &comes, None);
        let (one, other) = tokio::join!(enter(), enter());
        let came = [one.unwrap(), other.unwrap()];
        assert!(came.iter().all(Result::is_ok), "{came:?}");
    }
    assert_eq!(told(&world).await, ["made kim@example.com Payer"]);
    world.close().await;
}

/// A second window of a person who signs in for the first time; it finishes before a given query of the first window.
struct Meets {
    app: bursar::app::App,
    shown: provider::IdentityClaims,
    at: usize,
    seen: AtomicUsize,
}

impl Watch for Meets {
    fn pass(&self, at: Point) -> Passing<'_> {
        Box::pin(async move {
            if at == Point::Read && self.seen.fetch_add(1, Ordering::Relaxed) == self.at {
                let (app, shown) = (self.app.clone(), self.shown.clone());
                let other =
                    async move { provider::enter(&app, &shown, &people::Browser::default(), None).await };
                // In a separate task, so that it is not intercepted itself.
                tokio::spawn(other).await.unwrap().unwrap().unwrap();
            }
            Ok(())
        })
    }
}

/// However the two interleave, both sign in: neither is told that their login belongs to someone else.
#[tokio::test]
async fn whoever_comes_by_two_windows_at_once_is_let_in_by_both() {
    let (world, played) = world("provider_meet", 834, &[]).await;
    for at in 0..8 {
        let (email, name) = (format!("lee{at}@example.com"), format!("lee{at}"));
        let new = people::NewPerson {
            email: email.clone(),
            name,
            role: Role::Preparer,
            partner: None,
            password: None,
        };
        people::add(&world.app, &new).await.unwrap();
        let shown = provider::IdentityClaims {
            issuer: played.issuer.clone(),
            subject: format!("lee-{at}"),
            email: Some(email),
            email_is_verified: true,
            ..Default::default()
        };
        let comes = people::Browser::default();
        let meets = Meets { app: world.app.clone(), shown: shown.clone(), at, seen: AtomicUsize::new(0) };
        let first = watched(Arc::new(meets), provider::enter(&world.app, &shown, &comes, None));
        let first = first.await.unwrap();
        assert!(first.is_ok(), "before question {at}: {first:?}");
    }
    world.close().await;
}

/// A client that calls the callback repeatedly gets a 429, and writes nothing meanwhile.
#[tokio::test]
async fn coming_back_is_slowed_down_too() {
    let (world, _) = world("provider_knocks", 833, &[]).await;
    let router = bursar::web::router(world.works[0].clone());
    let mut slow = 0;
    for _ in 0..80 {
        let request = Request::get("/login/provider/back?code=a&state=b").body(Body::empty()).unwrap();
        let answer = router.clone().oneshot(crate::api::from(request, "203.0.113.7")).await.unwrap();
        slow += usize::from(answer.status() == StatusCode::TOO_MANY_REQUESTS);
    }
    assert_eq!(slow, 20);
    world.close().await;
}

/// While the provider is down, its cached metadata is used; without a cache it is queried at most once in half a minute.
#[tokio::test]
async fn a_provider_that_is_away_is_not_asked_by_everybody() {
    let (world, played) = world("provider_pause", 834, &[]).await;
    kim(&world, Role::Payer).await;
    played.set(|said| said.away = true);
    for _ in 0..3 {
        assert_eq!(Browser::new(&world).get("/login/provider").await.to, "/login?why=provider_away");
    }
    assert_eq!(played.looked(), 1);
    played.set(|said| said.away = false);
    world.pass(30 * SECOND);
    assert_eq!(comes(&world, &played, &mut Browser::new(&world)).await.to, "/rewards");
    played.set(|said| said.away = true);
    world.pass(61 * MINUTE);
    assert_eq!(comes(&world, &played, &mut Browser::new(&world)).await.to, "/rewards", "as it was known");
    assert_eq!(played.looked(), 3);
    world.close().await;
}

/// Keys need no ID: a new key is fetched if the known ones do not match, at most once a minute.
#[tokio::test]
async fn a_new_key_is_looked_for_though_it_has_no_name() {
    let (world, played) = world("provider_nameless", 838, &[]).await;
    kim(&world, Role::Payer).await;
    played.set(|said| said.nameless = true);
    assert_eq!(comes(&world, &played, &mut Browser::new(&world)).await.to, "/rewards");
    played.set(|said| said.rotated = true);
    assert_eq!(comes(&world, &played, &mut Browser::new(&world)).await.to, "/login?why=provider_wrong");
    assert_eq!(played.looked(), 1);
    world.pass(MINUTE);
    assert_eq!(comes(&world, &played, &mut Browser::new(&world)).await.to, "/rewards");
    assert_eq!(played.looked(), 2);
    world.close().await;
}

/// A link on another site must not sign anyone in silently.
#[tokio::test]
async fn no_page_elsewhere_begins_a_sign_in() {
    let (world, played) = world("provider_elsewhere", 836, &[]).await;
    let router = bursar::web::router(world.works[0].clone());
    let rows = [("cross-site", false), ("same-site", false), ("same-origin", true), ("none", true)];
    for (site, goes) in rows {
        let request =
            Request::get("/login/provider").header("sec-fetch-site", site).body(Body::empty()).unwrap();
        let answer = router.clone().oneshot(request).await.unwrap();
        let to = answer.headers().get("location").unwrap().to_str().unwrap();
        assert_eq!(to.starts_with(&played.issuer), goes, "{site}: {to}");
    }
    world.close().await;
}

/// A provider whose issuer differs from the setting is rejected.
#[tokio::test]
async fn a_provider_that_calls_itself_otherwise_is_not_believed() {
    let (world, played) = world("provider_name", 837, &[]).await;
    played.set(|said| said.poses = true);
    assert_eq!(Browser::new(&world).get("/login/provider").await.to, "/login?why=provider_away");
    world.close().await;
}

/// The person who configures it is told what the provider does not send, and that it does not respond.
#[tokio::test]
async fn what_the_provider_lacks_is_told_to_whoever_sets_it_up() {
    let (world, played) = world("provider_lacks", 839, &[]).await;
    let work = &world.works[0];
    assert_eq!(setup_problem(work).await, None, "it says nothing of its claims");
    let rows = [
        (json!(["sub", "email", "email_verified", "auth_time"]), None),
        (json!(["sub", "email", "email_verified"]), Some("does not say that it sends auth_time.")),
        (json!(["sub"]), Some("does not say that it sends email, email_verified, auth_time.")),
    ];
    for (sends, message) in rows {
        world.pass(61 * MINUTE);
        played.set(|said| said.sends = sends.clone());
        let lacks = setup_problem(work).await;
        assert_eq!(lacks.is_some(), message.is_some(), "{lacks:?}");
        assert!(lacks.unwrap_or_default().contains(message.unwrap_or_default()), "{sends}");
    }
    played.set(|said| said.away = true);
    world.pass(25 * 60 * MINUTE);
    assert!(setup_problem(work).await.unwrap().contains("does not answer as it should"));
    world.close().await;
}

/// The audit trail records the linked identity, without other claims of the provider.
#[tokio::test]
async fn the_trail_says_who_they_are_there() {
    let (world, played) = world("provider_trail", 835, &[]).await;
    kim(&world, Role::Payer).await;
    comes(&world, &played, &mut Browser::new(&world)).await;
    let mut db = world.app.store.read().await.unwrap();
    let rows = audit::list(&mut db, &Default::default(), 20).await.unwrap();
    let row = rows.iter().find(|row| row.action == "login_linked").unwrap();
    let detail: Value = serde_json::from_str(&row.detail).unwrap();
    assert_eq!(detail["subject"], "u-1");
    assert_eq!(detail["issuer"], played.issuer.as_str());
    drop(db);
    let there = Browser::new(&world).get("/login/provider?again=yes").await.to;
    assert_eq!(part(&there, "prompt"), "login");
    world.close().await;
}
