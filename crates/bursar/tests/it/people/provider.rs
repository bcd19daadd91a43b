//! Single sign-on against a simulated OpenID Connect provider that signs real tokens: who is admitted, and every way in
//! which a response must be rejected.

mod counts;
mod links;
pub mod played;

use axum::http::StatusCode;
use bursar::ops::people::provider::links as linked;
use bursar::ops::people::{self, MachineUser};
use payout::access::Role;
use payout::notice::Notice;
use serde_json::{Value, json};

use super::MINUTE;
use crate::pages::Browser;
use crate::world::{Loop, World};

use played::{Signing, actions, comes, kim, part, sent, world};

#[tokio::test]
async fn somebody_comes_in_by_the_provider_and_is_linked_once() {
    let (world, played) = world("provider_in", 801, &[]).await;
    kim(&world, Role::Payer).await;
    let mut browser = Browser::new(&world);
    let login = browser.read("/login?next=/rewards").await;
    login.says("Sign in with Acme");
    assert!(login.body.contains("/login/provider?next=%2Frewards"), "{}", login.body);
    let back = sent(&world, &played, &mut browser, "?next=/rewards").await;
    let there = browser.get("/login/provider?next=/rewards").await.to;
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", "bursar"),
        ("code_challenge_method", "S256"),
        ("scope", "openid email profile"),
        ("max_age", "43200"),
    ] {
        assert_eq!(part(&there, name), value, "{there}");
    }
    assert_eq!(part(&there, "redirect_uri"), format!("{}/login/provider/back", world.app.base_url));
    // The second visit replaced the cookie, so the first one is over.
    assert_eq!(browser.get(&back).await.to, "/login?why=provider_over");

    assert_eq!(comes(&world, &played, &mut browser).await.to, "/rewards");
    browser.read("/rewards").await.says("Kim Payer");
    assert!(actions(&world).await.iter().any(|action| action == "login_linked"));
    assert!(world.tick(0, Loop::Notify).await > 0);
    let mut db = world.app.store.read().await.unwrap();
    let filter = bursar::store::mails::Filter { notice: Some(Notice::LoginLinked), ..Default::default() };
    let mails = bursar::store::mails::list(&mut db, &filter, 9).await.unwrap();
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].recipient, "kim@example.com");
    drop(db);
    // Once linked, the identity at the provider counts, not the address; nor does anyone else's.
    played.say(json!({"email": "kim@elsewhere.example", "email_verified": false}));
    let mut elsewhere = Browser::new(&world);
    assert_eq!(comes(&world, &played, &mut elsewhere).await.to, "/rewards");
    played.say(json!({"sub": "u-2"}));
    assert_eq!(comes(&world, &played, &mut Browser::new(&world)).await.to, "/login?why=provider_taken");
    let by = MachineUser("anna (user id 1000)");
    linked::unlink_at_the_machine(&world.app, "kim@example.com", by).await.unwrap();
    assert!(elsewhere.get("/rewards").await.to.starts_with("/login"), "their sessions end");
    assert_eq!(comes(&world, &played, &mut elsewhere).await.to, "/login?why=provider_unlinked");
    world.close().await;
}

/// Each forged or invalid response is rejected.
#[tokio::test]
async fn what_is_not_signed_for_us_and_for_now_lets_nobody_in() {
    let (world, played) = world("provider_lies", 802, &[]).await;
    kim(&world, Role::Payer).await;
    let now = world.now() / 1_000_000;
    let claims = [
        ("another issuer", json!({"iss": "https://evil.example"})),
        ("another audience", json!({"aud": "somebody-else"})),
        ("an audience more", json!({"aud": ["bursar", "somebody-else"]})),
        ("signed for another party", json!({"azp": "somebody-else"})),
        ("another nonce", json!({"nonce": "made up"})),
        ("no nonce", json!({"nonce": null})),
        ("over", json!({"exp": now - 1})),
        ("to come", json!({"iat": now + 3_600, "exp": now + 7_200})),
    ];
    let why = "/login?why=provider_wrong";
    for (message, claims) in claims {
        played.say(claims);
        assert_eq!(comes(&world, &played, &mut Browser::new(&world)).await.to, why, "{message}");
    }
    played.say(json!({}));
    for signing in [Signing::ForeignKey, Signing::Hs256, Signing::None] {
        played.set(|said| said.signing = signing);
        assert_eq!(comes(&world, &played, &mut Browser::new(&world)).await.to, why, "{signing:?}");
    }
    played.set(|said| (said.signing, said.tampered) = (Signing::Rs256, true));
    assert_eq!(
        comes(&world, &played, &mut Browser::new(&world)).await.to,
        why,
        "changed after it was signed"
    );
    played.set(|said| (said.tampered, said.refuses) = (false, true));
    assert_eq!(comes(&world, &played, &mut Browser::new(&world)).await.to, why, "the code is not redeemed");
    played.set(|said| said.refuses = false);
    let mut browser = Browser::new(&world);
    browser.read(why).await.says("could not be verified, so you were not signed in.");
    assert!(!actions(&world).await.iter().any(|action| action == "signed_in" || action == "login_linked"));
    // None of this has locked anyone out, and both signature algorithms are accepted.
    for signing in [Signing::Es256, Signing::Rs256] {
        played.set(|said| said.signing = signing);
        assert_eq!(comes(&world, &played, &mut Browser::new(&world)).await.to, "/rewards", "{signing:?}");
    }
    world.close().await;
}

#[tokio::test]
async fn what_comes_back_counts_once_in_the_browser_that_was_sent_for_ten_minutes() {
    let (world, played) = world("provider_state", 803, &[]).await;
    kim(&world, Role::Payer).await;
    let over = "/login?why=provider_over";
    let mut browser = Browser::new(&world);
    let back = sent(&world, &played, &mut browser, "").await;
    // Another person's browser, with the callback URL or with a visit of its own.
    assert_eq!(Browser::new(&world).get(&back).await.to, over);
    let mut other = Browser::new(&world);
    sent(&world, &played, &mut other, "").await;
    assert_eq!(other.get(&back).await.to, over);
    for made_up in ["?code=a-code&state=made-up", "?code=a-code", "", "?error=access_denied"] {
        let page = browser.get(&format!("/login/provider/back{made_up}")).await;
        assert_eq!(page.to, over, "{made_up}");
    }
    assert_eq!(played.redeemed(), 0, "no code is redeemed for any of them");
    let back = sent(&world, &played, &mut browser, "?next=//evil.example").await;
    assert_eq!(browser.get(&back).await.to, "/");
    let mut again = Browser::new(&world);
    assert_eq!(again.get(&back).await.to, over);
    assert_eq!(browser.get(&back).await.to, over, "once");
    assert_eq!(played.redeemed(), 1);
    let back = sent(&world, &played, &mut again, "").await;
    world.pass(10 * MINUTE);
    assert_eq!(again.get(&back).await.to, over, "ten minutes");
    again.read(over).await.says("Start again here.");
    // An error response by the provider uses up the visit as well; a response with another issuer is rejected.
    let back = sent(&world, &played, &mut again, "").await;
    let no = back.replace("code=a-code", "error=access_denied");
    assert_eq!(again.get(&no).await.to, "/login?why=provider_no");
    assert_eq!(again.get(&back).await.to, over);
    let back = sent(&world, &played, &mut again, "").await;
    assert_eq!(again.get(&format!("{back}&iss=https://evil.example")).await.to, "/login?why=provider_wrong");
    let back = sent(&world, &played, &mut again, "").await;
    let iss: String = url::form_urlencoded::byte_serialize(played.issuer.as_bytes()).collect();
    assert_eq!(again.get(&format!("{back}&iss={iss}&session_state=x")).await.to, "/");
    world.close().await;
}

#[tokio::test]
async fn only_a_known_login_with_a_verified_address_is_linked() {
    let (world, played) = world("provider_who", 804, &[]).await;
    crate::pages::seed_data(&world).await;
    kim(&world, Role::Payer).await;
    let rows = [
        (json!({"email_verified": false}), "provider_unverified"),
        (json!({"email_verified": null}), "provider_unverified"),
        (json!({"email": null}), "provider_unverified"),
        (json!({"email": "nobody@example.com"}), "provider_unknown"),
    ];
    for (claims, why) in rows {
        played.say(claims.clone());
        let page = comes(&world, &played, &mut Browser::new(&world)).await;
        assert_eq!(page.to, format!("/login?why={why}"), "{claims}");
        Browser::new(&world).read(&page.to).await.says("Sign in");
    }
    Browser::of(&world, Role::Partner, "ana-partner").await;
    played.say(json!({"sub": "u-9", "email": "ana-partner@example.com"}));
    let page = comes(&world, &played, &mut Browser::new(&world)).await;
    assert_eq!(page.to, "/login?why=provider_partner");
    // Address case at the provider does not matter.
    played.say(json!({"email": "Kim@Example.com"}));
    assert_eq!(comes(&world, &played, &mut Browser::new(&world)).await.to, "/rewards");
    let by = MachineUser("anna (user id 1000)");
    people::disable(&world.app, "kim@example.com", by).await.unwrap();
    let page = comes(&world, &played, &mut Browser::new(&world)).await;
    assert_eq!(page.to, "/login?why=provider_out");
    world.close().await;
}

/// Whatever the provider says about a second factor, ours is required.
#[tokio::test]
async fn our_second_factor_is_asked_for_whatever_the_provider_was_shown() {
    let (world, played) = world("provider_factor", 805, &[("smtp-url", "smtp://127.0.0.1:1")]).await;
    kim(&world, Role::Payer).await;
    played.say(json!({"amr": ["pwd", "mfa", "hwk"], "acr": "2"}));
    let mut first = Browser::new(&world);
    assert_eq!(comes(&world, &played, &mut first).await.to, "/rewards");
    assert_eq!(first.get("/rewards").await.to, "/factor", "they are led to set one up");
    super::factor::set_up(&world, &mut first).await;
    let mut browser = Browser::new(&world);
    assert_eq!(comes(&world, &played, &mut browser).await.to, "/login/code?next=%2Frewards");
    assert!(browser.get("/rewards").await.to.starts_with("/login"), "half way is not in");
    world.close().await;
}

#[tokio::test]
async fn what_the_provider_says_of_when_they_proved_it_is_their_proof_here() {
    let (world, played) = world("provider_proof", 807, &[]).await;
    kim(&world, Role::Admin).await;
    let now = world.now() / 1_000_000;
    for (at, fresh) in [(json!(now - 5), true), (json!(now - 11 * 60), false), (Value::Null, false)] {
        played.say(json!({"auth_time": at}));
        let mut browser = Browser::new(&world);
        assert_eq!(comes(&world, &played, &mut browser).await.to, "/rewards");
        let page = browser.get("/keys/new").await;
        assert_eq!(page.status == StatusCode::OK, fresh, "{at}");
    }
    let mut browser = Browser::new(&world);
    let there = browser.get("/login/provider?again=yes").await.to;
    assert_eq!((part(&there, "max_age"), part(&there, "prompt")), ("0".to_owned(), "login".to_owned()));
    world.close().await;
}

/// A user without a password re-authenticates at the provider, and an older authentication there does not count.
#[tokio::test]
async fn whoever_has_no_password_proves_it_at_the_provider() {
    let mapping = [("oidc-role-claim", "groups"), ("oidc-roles", "it=admin"), ("oidc-make-logins", "true")];
    let (world, played) = world("provider_again", 812, &mapping).await;
    played.say(json!({"groups": "it"}));
    let mut browser = Browser::new(&world);
    assert_eq!(comes(&world, &played, &mut browser).await.to, "/rewards");
    assert_eq!(browser.get("/keys/new").await.status, StatusCode::OK);
    let csrf = browser.read("/me").await.hidden("csrf");
    world.pass(11 * MINUTE);
    let asked = browser.get("/keys/new").await;
    assert_eq!(asked.to, "/prove?next=%2Fkeys%2Fnew");
    let page = browser.read(&asked.to).await;
    page.says("You have no password here: sign in again with Acme");
    assert!(
        page.body.contains("/login/provider?again=yes&amp;next=%2Fkeys%2Fnew")
            || page.body.contains("/login/provider?again=yes&#38;next=%2Fkeys%2Fnew"),
        "{}",
        page.body
    );
    let fields = [("csrf", csrf.as_str()), ("section", "safeguards"), ("cooling_off_hours", "0")];
    let asked = browser.post("/settings/payouts", &fields).await;
    asked.says("You have no password here. Sign in again with Acme");
    let back = sent(&world, &played, &mut browser, "?again=yes&next=/keys/new").await;
    assert_eq!(browser.get(&back).await.to, "/keys/new");
    browser.read("/keys/new").await.says("New API key");
    world.close().await;
}

#[tokio::test]
async fn roles_follow_the_mapping_and_logins_are_made_where_that_is_allowed() {
    let mapping = [
        ("oidc-role-claim", "realm_access.roles"),
        ("oidc-roles", "it=admin;finance=payer;audit=auditor"),
        ("oidc-make-logins", "true"),
    ];
    let (world, played) = world("provider_roles", 808, &mapping).await;
    let groups = |all: &[&str]| json!({"realm_access": {"roles": all}});
    played.say(groups(&["sales"]));
    assert_eq!(comes(&world, &played, &mut Browser::new(&world)).await.to, "/login?why=provider_role");
    played.say(groups(&["audit", "finance"]));
    let mut browser = Browser::new(&world);
    assert_eq!(comes(&world, &played, &mut browser).await.to, "/rewards");
    browser.read("/rewards").await.says("Kim Oh Payer");
    let mut db = world.app.store.read().await.unwrap();
    let made = bursar::store::people::by_email(&mut db, "kim@example.com").await.unwrap().unwrap();
    assert!(made.password_hash.is_none());
    let counts = bursar::store::people::counts(&mut db, &made.id.to_string(), world.now()).await.unwrap();
    assert!(matches!(counts, bursar::store::people::Counts::From(_)), "a new login is no second person yet");
    drop(db);
    // The role is updated from the provider at each sign-in.
    played.say(groups(&["audit"]));
    let mut browser = Browser::new(&world);
    assert_eq!(comes(&world, &played, &mut browser).await.to, "/rewards");
    browser.read("/rewards").await.says("Kim Oh Auditor");
    played.say(groups(&[]));
    assert_eq!(comes(&world, &played, &mut Browser::new(&world)).await.to, "/login?why=provider_role");
    // The last administrator keeps the role, whatever the provider says.
    played.say(groups(&["it"]));
    let mut browser = Browser::new(&world);
    assert_eq!(comes(&world, &played, &mut browser).await.to, "/rewards");
    browser.read("/rewards").await.says("Kim Oh Administrator");
    played.say(groups(&["audit"]));
    let mut browser = Browser::new(&world);
    assert_eq!(comes(&world, &played, &mut browser).await.to, "/rewards");
    browser.read("/rewards").await.says("Kim Oh Administrator");
    Browser::of(&world, Role::Admin, "pat").await;
    let mut browser = Browser::new(&world);
    assert_eq!(comes(&world, &played, &mut browser).await.to, "/rewards");
    browser.read("/rewards").await.says("Kim Oh Auditor");
    world.close().await;
}

#[tokio::test]
async fn a_provider_that_is_away_says_so_and_passwords_still_work() {
    let (world, played) = world("provider_away", 809, &[]).await;
    kim(&world, Role::Payer).await;
    played.set(|said| said.away = true);
    let mut browser = Browser::new(&world);
    let page = browser.get("/login/provider").await;
    assert_eq!(page.to, "/login?why=provider_away");
    browser.read(&page.to).await.says("or sign in with your password");
    let password = [("email", "kim@example.com"), ("password", crate::pages::PASSWORD)];
    assert_eq!(browser.post("/login", &password).await.to, "/");
    // A new signing key of the provider is fetched.
    played.set(|said| said.away = false);
    world.pass(MINUTE);
    assert_eq!(comes(&world, &played, &mut Browser::new(&world)).await.to, "/rewards");
    played.set(|said| said.rotated = true);
    world.pass(2 * MINUTE);
    assert_eq!(comes(&world, &played, &mut Browser::new(&world)).await.to, "/rewards");
    world.close().await;
}

/// Without a configured provider no such routes exist; an incomplete configuration is reported.
#[tokio::test]
async fn without_a_provider_there_is_no_way_to_it() {
    let world = World::open("provider_none", 810).await;
    let mut browser = Browser::new(&world);
    assert!(!browser.read("/login").await.body.contains("/login/provider"));
    for path in ["/login/provider", "/login/provider/back?code=a&state=b"] {
        assert_eq!(browser.get(path).await.to, "/login", "{path}");
    }
    world.close().await;
}

/// One process sends, another handles the callback: the state is in the database.
#[tokio::test]
async fn another_process_takes_back_whom_one_has_sent() {
    let (world, played) = world("provider_nodes", 811, &[]).await;
    kim(&world, Role::Payer).await;
    let mut browser = Browser::new(&world);
    let back = sent(&world, &played, &mut browser, "").await;
    assert_eq!(browser.on(&world.app).get(&back).await.to, "/");
    world.close().await;
}
