//! The second factor: setup, single use of codes, where it is requested, when it is required, and that no one is locked out
//! permanently.

use axum::http::StatusCode;
use bursar::ops::OpsError;
use bursar::ops::people::factor::{self, FactorPolicy};
use bursar::ops::people::{
    self, Browser as Comes, MachineUser, SecondFactor, SecondFactorOutcome, SignInProgress,
};
use bursar::secrets::OneKey;
use bursar::store::audit;
use bursar::store::sealed::Column;
use payout::access::Role;
use payout::notice::Notice;
use serde_json::Value;

use super::{MINUTE, id_of};
use crate::pages::{Browser, PASSWORD, Page, seed_data};
use crate::world::{DAY, SECOND, World};

/// The TOTP secret and recovery codes a user holds.
pub struct Held {
    pub secret: String,
    pub codes: Vec<String>,
}

impl Held {
    fn code(&self, world: &World) -> String {
        factor::code_at(&self.secret, world.now()).unwrap()
    }
}

fn between(page: &Page, before: &str) -> Vec<String> {
    page.body.split(before).skip(1).map(|rest| rest.split('<').next().unwrap().to_owned()).collect()
}

/// Sets up a second factor as a user does.
pub async fn set_up(world: &World, browser: &mut Browser) -> Held {
    let csrf = browser.read("/factor").await.hidden("csrf");
    assert_eq!(browser.post("/factor/begin", &[("csrf", &csrf)]).await.to, "/factor/new");
    let page = browser.read("/factor/new").await;
    assert!(page.body.contains("<svg class=\"qr\"") && page.body.contains("href=\"otpauth://totp/Bursar"));
    let secret = between(&page, "class=\"secret\">").remove(0);
    let code = factor::code_at(&secret, world.now()).unwrap();
    let done = browser.post("/factor/new", &[("csrf", &csrf), ("code", &code)]).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.words());
    let codes = between(&done, "<li><code>");
    assert_eq!(codes.len(), 10, "{}", done.words());
    Held { secret, codes }
}

async fn half_way(browser: &mut Browser, email: &str) {
    let fields = [("email", email), ("password", PASSWORD), ("next", "/me")];
    assert_eq!(browser.post("/login", &fields).await.to, "/login/code?next=%2Fme");
}

fn with_code(code: &str) -> [(&str, &str); 2] {
    [("code", code), ("next", "/me")]
}

/// The changes of a login that its owner was notified of.
pub async fn told(world: &World, about: &str) -> Vec<String> {
    let mut database = crate::nodes::beside(world).await;
    let count = format!(
        "SELECT CAST(COUNT(*) AS TEXT) FROM outbox WHERE subject = '{about}' AND notice = 'login_changed'"
    );
    let many: usize = crate::nodes::text(&mut database, &count).await.parse().unwrap();
    let mut found = Vec::new();
    for place in 0..many {
        let one = format!(
            "SELECT detail FROM outbox WHERE subject = '{about}' AND notice = 'login_changed' ORDER BY id LIMIT 1 OFFSET {place}"
        );
        let detail = crate::nodes::text(&mut database, &one).await;
        let detail: serde_json::Value = serde_json::from_str(&detail).unwrap();
        found.push(detail["what"].as_str().unwrap().to_owned());
    }
    found
}

#[tokio::test]
async fn a_code_is_asked_for_and_taken_once() {
    let world = World::open("factor_once", 181).await;
    let mut kim = Browser::of(&world, Role::Preparer, "kim").await;
    let mut elsewhere = Browser::new(&world);
    elsewhere.post("/login", &[("email", "kim@example.com"), ("password", PASSWORD)]).await;
    kim.read("/me").await.says("Off: your password alone lets you in.");
    let csrf = kim.read("/factor").await.hidden("csrf");
    kim.post("/factor/begin", &[("csrf", &csrf)]).await;
    kim.post("/factor/new", &[("csrf", &csrf), ("code", "000000")]).await.says("This code is not right.");
    elsewhere.read("/me").await;
    let held = set_up(&world, &mut kim).await;
    assert!(elsewhere.get("/me").await.to.starts_with("/login"), "what is elsewhere has ended");
    kim.read("/factor").await.says("Recovery codes left: 10.");
    assert!(!kim.read("/factor").await.body.contains(&held.codes[0]), "shown once");

    // The password alone opens nothing, and the code used for setup cannot be reused.
    let mut next = Browser::new(&world);
    half_way(&mut next, "kim@example.com").await;
    assert!(next.get("/me").await.to.starts_with("/login"), "half way is no session");
    next.read("/login/code?next=%2Fme").await.says("write the code that your authenticator app shows");
    let first = held.code(&world);
    next.post("/login/code", &with_code(&first)).await.says("This code was used already.");
    next.post("/login/code", &with_code("123 456")).await.says("This code is not right.");
    next.post("/login/code", &with_code("")).await.says("This code is not right.");
    world.pass(30 * SECOND);
    assert_eq!(next.post("/login/code", &with_code(&held.code(&world))).await.to, "/me");
    next.read("/me").await.says("On: a code from your app is asked for");
    // The code that let them in cannot be used again.
    assert_eq!(next.get("/login/code").await.status, StatusCode::GONE);

    // A recovery code replaces the app, once, in any spelling.
    let typed = held.codes[3].to_uppercase().replace('-', " ");
    let mut lost = Browser::new(&world);
    half_way(&mut lost, "kim@example.com").await;
    assert_eq!(lost.post("/login/code", &with_code(&typed)).await.to, "/me");
    lost.read("/factor").await.says("Recovery codes left: 9.");
    let mut again = Browser::new(&world);
    half_way(&mut again, "kim@example.com").await;
    again.post("/login/code", &with_code(&held.codes[3])).await.says("This code is not right.");
    world.pass(11 * MINUTE);
    again.post("/login/code", &with_code(&held.codes[4])).await.says("That took too long.");

    let id = me(&world, "kim@example.com").await;
    assert_eq!(told(&world, &id).await, ["factor_on", "recovery_used"]);
    world.close().await;
}

/// The method of each sign-in and step-up, newest first, from the activity log.
async fn with(world: &World, of: &str) -> Vec<String> {
    let filter = audit::Filter { subject: Some(of.to_owned()), ..Default::default() };
    let rows = audit::list(&mut world.app.store.read().await.unwrap(), &filter, 50).await.unwrap();
    let rows = rows.into_iter().filter(|row| matches!(row.action.as_str(), "signed_in" | "proved_again"));
    let detail = rows.map(|row| serde_json::from_str::<Value>(&row.detail).unwrap());
    detail.map(|detail| detail["with"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn a_sign_in_says_with_which_factors() {
    let world = World::open("factor_with", 188).await;
    let mut kim = Browser::of(&world, Role::Preparer, "kim").await;
    let id = me(&world, "kim@example.com").await;
    let fields = [("email", "kim@example.com"), ("password", PASSWORD), ("next", "/me")];
    Browser::new(&world).post("/login", &fields).await;
    let csrf = kim.read("/me").await.hidden("csrf");
    kim.post("/prove", &[("csrf", &csrf), ("password", PASSWORD), ("next", "/me")]).await;
    let held = set_up(&world, &mut kim).await;
    let mut next = Browser::new(&world);
    half_way(&mut next, "kim@example.com").await;
    world.pass(31 * SECOND);
    assert_eq!(next.post("/login/code", &with_code(&held.code(&world))).await.to, "/me");
    let mut lost = Browser::new(&world);
    half_way(&mut lost, "kim@example.com").await;
    lost.post("/login/code", &with_code(&held.codes[0])).await;
    world.pass(31 * SECOND);
    let code = held.code(&world);
    let csrf = lost.read("/me").await.hidden("csrf");
    lost.post("/prove", &[("csrf", &csrf), ("password", PASSWORD), ("code", &code), ("next", "/me")]).await;
    let link = people::link_for(&world.app, "kim@example.com").await.unwrap();
    let mut by_link = Browser::new(&world);
    by_link.post(link.strip_prefix(&world.app.base_url).unwrap(), &[]).await;
    by_link.post("/login/code", &with_code(&held.codes[1])).await;
    by_link.read("/me").await;
    assert_eq!(
        with(&world, &id).await,
        [
            "link and recovery code",
            "password and app code",
            "password and recovery code",
            "password and app code",
            "password",
            "password",
            "link",
        ]
    );
    world.close().await;
}

pub async fn me(world: &World, email: &str) -> String {
    let mut db = world.app.store.read().await.unwrap();
    bursar::store::people::by_email(&mut db, email).await.unwrap().unwrap().id.to_string()
}

#[tokio::test]
async fn two_nodes_never_take_the_same_code() {
    let world = World::open("factor_race", 182).await;
    let mut kim = Browser::of(&world, Role::Preparer, "kim").await;
    let held = set_up(&world, &mut kim).await;
    for code in [held.code(&world), held.codes[0].clone()] {
        world.pass(60 * SECOND);
        let code = if code.len() == 6 { held.code(&world) } else { code };
        let mut halves = Vec::new();
        for _ in 0..4 {
            let entered =
                people::sign_in(&world.app, "kim@example.com", PASSWORD, &Comes::default()).await.unwrap();
            let Some(SignInProgress::HalfWay(half)) = entered else { panic!("{entered:?}") };
            halves.push(half);
        }
        let browser = Comes::default();
        let finish = |half| people::finish(&world.app, half, SecondFactor::Code(&code), &browser);
        let done =
            tokio::join!(finish(&halves[0]), finish(&halves[1]), finish(&halves[2]), finish(&halves[3]));
        let done = [done.0, done.1, done.2, done.3].map(Result::unwrap);
        let entered = done.iter().filter(|one| matches!(one, SecondFactorOutcome::In(_)));
        assert_eq!(entered.count(), 1, "{done:?}");
    }
    world.close().await;
}

#[tokio::test]
async fn a_proof_asks_for_the_code_as_well() {
    let world = World::open("factor_proof", 183).await;
    let mut kim = Browser::of(&world, Role::Admin, "kim").await;
    let held = set_up(&world, &mut kim).await;
    world.pass(11 * MINUTE);
    let asked = kim.get("/factor").await;
    assert_eq!(asked.to, "/prove?next=%2Ffactor", "changing it needs a fresh proof");
    let page = kim.read(&asked.to).await;
    let csrf = page.hidden("csrf");
    page.says("Code from the app");
    let prove = |code| [("csrf", csrf.as_str()), ("password", PASSWORD), ("code", code), ("next", "/factor")];
    let used = held.code(&world);
    for (code, why) in [("", "code"), ("000000", "code")] {
        assert_eq!(kim.post("/prove", &prove(code)).await.to, format!("/prove?why={why}&next=%2Ffactor"));
    }
    kim.read("/prove?why=code&next=%2Ffactor").await.says("This code is not right.");
    assert_eq!(kim.post("/prove", &prove(&used)).await.to, "/factor");
    assert_eq!(kim.post("/prove", &prove(&used)).await.to, "/prove?why=used&next=%2Ffactor");

    // So does changing the password, which could otherwise bypass it.
    world.pass(MINUTE);
    let new = "seven green lanterns";
    let change = |code| {
        [("csrf", csrf.as_str()), ("current", PASSWORD), ("code", code), ("password", new), ("again", new)]
    };
    kim.post("/password", &change("")).await.says("This code is not right, so nothing was changed.");
    let code = held.code(&world);
    assert_eq!(kim.post("/password", &change(&code)).await.to, "/");

    // And a form that moves money: its page asks for both, and keeps the input.
    world.pass(11 * MINUTE);
    let asked = kim.post("/safe-mode/off", &[("csrf", &csrf), ("reason", "looked")]).await;
    asked.says("Is it you?");
    assert!(asked.body.contains("name=\"factor_code\"") && asked.hidden("reason") == "looked");
    let wrong = [("csrf", csrf.as_str()), ("reason", "looked"), ("password", new), ("factor_code", "1")];
    let asked = kim.post("/safe-mode/off", &wrong).await;
    asked.says("This code is not right.");
    assert!(!asked.body.contains(new), "neither is kept");
    let code = held.code(&world);
    let right = [wrong[0], wrong[1], wrong[2], ("factor_code", code.as_str())];
    assert!(!kim.post("/safe-mode/off", &right).await.words().contains("Is it you?"));
    world.close().await;
}

#[tokio::test]
async fn a_link_does_not_stand_in_for_the_code() {
    let world = World::open("factor_link", 184).await;
    let mut kim = Browser::of(&world, Role::Preparer, "kim").await;
    let held = set_up(&world, &mut kim).await;
    let link = people::reset(&world.app, "kim@example.com", None, MachineUser("root")).await.unwrap();
    let path = link.strip_prefix(&world.app.base_url).unwrap();
    assert_eq!(kim.post(path, &[]).await.to, "/login/code?next=%2Fpassword");
    world.pass(30 * SECOND);
    assert_eq!(
        kim.post("/login/code", &[("code", &held.code(&world)), ("next", "/password")]).await.to,
        "/password"
    );
    // An accepted invitation leads to it as well, and a password reset ends a half-finished sign-in.
    half_way_by_invitation(&world, &mut kim).await;
    let mut other = kim.clone();
    people::reset(&world.app, "kim@example.com", None, MachineUser("root")).await.unwrap();
    world.pass(30 * SECOND);
    other.post("/login/code", &with_code(&held.code(&world))).await.says("That took too long.");
    world.close().await;
}

async fn half_way_by_invitation(world: &World, browser: &mut Browser) {
    let id = payout::ids::PersonId::parse(&me(world, "kim@example.com").await).unwrap();
    let made = people::team::fresh_link(&world.app, &world.actor, id).await.unwrap();
    let path = made.link.strip_prefix(&world.app.base_url).unwrap().to_owned();
    let fields = [("password", "seven green lanterns"), ("again", "seven green lanterns")];
    assert_eq!(browser.post(&path, &fields).await.to, "/login/code?next=");
}

#[tokio::test]
async fn whoever_needs_one_sets_it_up_first() {
    let world = World::open("factor_needed", 185).await;
    let mut pat = Browser::of(&world, Role::Admin, "pat").await;
    let mut kim = Browser::of(&world, Role::Payer, "kim").await;
    let mut lee = Browser::of(&world, Role::Preparer, "lee").await;
    kim.read("/rewards").await;
    let page = pat.read("/people/sign-in").await;
    page.says("No mail server is configured, so it is not required now.");
    page.says("kim kim@example.com, Payer");
    let csrf = page.hidden("csrf");
    let want = |word| [("csrf", csrf.as_str()), ("second_factor", word)];
    assert_eq!(pat.post("/people/sign-in", &want("always")).await.to, "/people/sign-in");
    let mut held = Vec::new();
    for browser in [&mut pat, &mut kim] {
        for path in ["/rewards", "/me", "/"] {
            assert_eq!(browser.get(path).await.to, "/factor", "{path}");
        }
        let page = browser.read("/factor").await;
        page.says("Your role needs a second factor.");
        assert_eq!(browser.post("/me/sessions", &[("csrf", &page.hidden("csrf"))]).await.to, "/factor");
        held.push(set_up(&world, browser).await);
        browser.read("/rewards").await;
    }
    lee.read("/rewards").await;
    // It cannot be turned off while required, and one administrator alone cannot lift that within a day.
    let page = pat.read("/factor").await;
    page.says("Your role needs it here, so it is not turned off.");
    world.pass(30 * SECOND);
    let code = held[0].code(&world);
    let off = [("csrf", csrf.as_str()), ("password", PASSWORD), ("code", &code)];
    pat.post("/factor/off", &off).await.says("so it is not turned off");
    for word in ["never", "with_mail"] {
        pat.post_on("/people/sign-in", &want(word)).await.says("The second factor stays required for now");
    }
    // Saving the current settings withdraws the request; after that, the day starts again.
    world.pass(DAY + MINUTE);
    let pat_now = pat_acts(&world).await;
    factor::want(&world.app, &pat_now, FactorPolicy::Always).await.unwrap();
    let refused = factor::want(&world.app, &pat_now, FactorPolicy::Never).await;
    assert!(
        matches!(&refused, Err(OpsError::Conflict(why)) if why.code == "second_person_needed"),
        "{refused:?}"
    );
    world.pass(DAY + MINUTE);
    factor::want(&world.app, &pat_acts(&world).await, FactorPolicy::Never).await.unwrap();
    world.close().await;
}

async fn pat_acts(world: &World) -> bursar::app::Actor {
    let mut db = world.app.store.read().await.unwrap();
    people::actor(&bursar::store::people::by_email(&mut db, "pat@example.com").await.unwrap().unwrap())
}

#[tokio::test]
async fn whoever_lost_theirs_is_let_in_again_and_everybody_hears_of_it() {
    let world = World::open("factor_reset", 186).await;
    let mut pat = Browser::of(&world, Role::Admin, "pat").await;
    let mut kim = Browser::of(&world, Role::Payer, "kim").await;
    set_up(&world, &mut kim).await;
    let id = id_of(&mut pat, "kim").await;
    let path = format!("/people/{id}/factor");
    let page = pat.read(&format!("/people/{id}")).await;
    page.says("Remove second factor");
    let csrf = page.hidden("csrf");
    world.pass(11 * MINUTE);
    assert!(pat.post(&path, &[("csrf", &csrf)]).await.to.starts_with("/prove?next="), "not without a proof");
    pat.post("/prove", &[("csrf", &csrf), ("password", PASSWORD), ("next", "/people")]).await;
    pat.post_on(&path, &[("csrf", &csrf)]).await.says("The second factor is removed.");
    pat.post_on(&path, &[("csrf", &csrf)]).await.says("This login has no second factor");
    assert!(kim.get("/me").await.to.starts_with("/login"), "their sessions have ended");
    let fields = [("email", "kim@example.com"), ("password", PASSWORD), ("next", "/me")];
    assert_eq!(kim.post("/login", &fields).await.to, "/me");
    assert_eq!(told(&world, &id).await, ["factor_on", "factor_reset"]);
    // Whoever removed it may know the password too, so they cannot be the second person together with that login.
    let mut db = world.app.store.read().await.unwrap();
    let behind = bursar::store::people::behind(&mut db, &id, world.now()).await.unwrap();
    assert_eq!(behind, pat_acts(&world).await.id.to_string());
    drop(db);
    let mut db = world.app.store.read().await.unwrap();
    let notices = bursar::store::outbox::about(&mut db, &id).await.unwrap();
    assert!(notices.iter().any(|one| one.notice == Notice::SecondFactorReset), "{notices:?}");
    drop(db);

    // No one can reset their own; the last administrator is readmitted on the command line.
    set_up(&world, &mut pat).await;
    let own = pat_acts(&world).await;
    let refused = factor::reset(&world.app, &own, own.id).await;
    assert!(matches!(&refused, Err(OpsError::Refused(why)) if why.code == "own_login"), "{refused:?}");
    let by = MachineUser("anna (user id 1000)");
    factor::reset_at_the_machine(&world.app, "Pat@example.com", by).await.unwrap();
    let filter = bursar::store::audit::Filter { subject: Some(own.id.to_string()), ..Default::default() };
    let mut db = world.app.store.read().await.unwrap();
    let rows = bursar::store::audit::list(&mut db, &filter, 20).await.unwrap();
    assert!(rows.iter().any(|row| row.action == "second_factor_reset" && row.detail.contains("anna")));
    drop(db);
    let fields = [("email", "pat@example.com"), ("password", PASSWORD), ("next", "/me")];
    assert_eq!(pat.post("/login", &fields).await.to, "/me");
    world.close().await;
}

#[tokio::test]
async fn whoever_guesses_at_codes_is_slow_and_the_owner_is_told() {
    let world = World::open("factor_guess", 187).await;
    let mut kim = Browser::of(&world, Role::Preparer, "kim").await;
    let held = set_up(&world, &mut kim).await;
    let mut known = Browser::new(&world);
    half_way(&mut known, "kim@example.com").await;
    world.pass(30 * SECOND);
    assert_eq!(known.post("/login/code", &with_code(&held.code(&world))).await.to, "/me");
    let mut thief = Browser::new(&world);
    half_way(&mut thief, "kim@example.com").await;
    let mut slow = 0;
    for _ in 0..30 {
        let tried = thief.post("/login/code", &with_code("000000")).await;
        slow += usize::from(tried.status == StatusCode::TOO_MANY_REQUESTS);
    }
    assert!(slow >= 10, "{slow}");
    let id = me(&world, "kim@example.com").await;
    assert_eq!(told(&world, &id).await.last().map(String::as_str), Some("wrong_codes"));
    // The owner's own browser, which has signed in before, is admitted anyway.
    world.pass(30 * SECOND);
    half_way(&mut known, "kim@example.com").await;
    assert_eq!(known.post("/login/code", &with_code(&held.code(&world))).await.to, "/me");
    world.close().await;
}

#[tokio::test]
async fn a_partner_reads_it_in_their_language() {
    let world = World::open("factor_partner", 188).await;
    seed_data(&world).await;
    let mut ana = Browser::of(&world, Role::Partner, "ana-herself").await;
    let csrf = ana.read("/portal/account").await.hidden("csrf");
    ana.post("/portal/language", &[("csrf", &csrf), ("language", "de")]).await;
    ana.read("/portal/account").await.says("Mit einem zweiten Faktor genügt Ihr Passwort allein nicht");
    ana.read("/factor").await.says("Sie haben noch keinen.");
    let held = set_up(&world, &mut ana).await;
    let mut next = Browser::new(&world);
    let fields = [("email", "ana-herself@example.com"), ("password", PASSWORD), ("next", "/portal")];
    let asked = next.post("/login", &fields).await.to;
    next.read(&asked).await.says("Noch ein Schritt");
    world.pass(30 * SECOND);
    let code = [("code", held.code(&world)), ("next", "/portal".to_owned())];
    let code = code.each_ref().map(|(name, value)| (*name, value.as_str()));
    assert_eq!(next.post("/login/code", &code).await.to, "/portal");
    // It is not required for them, so they may turn it off.
    let csrf = next.read("/factor").await.hidden("csrf");
    next.post("/factor/off", &[("csrf", &csrf)]).await.says("Sind Sie es?");
    world.pass(30 * SECOND);
    let code = held.code(&world);
    let off = [("csrf", csrf.as_str()), ("password", PASSWORD), ("code", &code)];
    next.post_on("/factor/off", &off).await.says("Der zweite Faktor ist ausgeschaltet.");
    world.close().await;
}

/// The key that sealed the secret is lost: users are not told that their code is wrong, and no attack is reported.
#[tokio::test]
async fn a_secret_that_does_not_open_is_no_wrong_code() {
    let world = World::open("factor_unreadable", 190).await;
    seed_data(&world).await;
    let mut ana = Browser::of(&world, Role::Partner, "ana-herself").await;
    let csrf = ana.read("/portal/account").await.hidden("csrf");
    ana.post("/portal/language", &[("csrf", &csrf), ("language", "de")]).await;
    let held = set_up(&world, &mut ana).await;
    let id = me(&world, "ana-herself@example.com").await;
    world.pass(30 * SECOND);
    let mut database = crate::nodes::beside(&world).await;
    let lost = OneKey::new([9; 32]).seal(&world.app.clock, &Column::Factor.place(&id), &held.secret);
    crate::nodes::run(
        &mut database,
        &format!("UPDATE factor SET sealed = '{lost}' WHERE person_id = '{id}'"),
    )
    .await
    .unwrap();
    let mut next = Browser::new(&world);
    let fields = [("email", "ana-herself@example.com"), ("password", PASSWORD), ("next", "/portal")];
    let asked = next.post("/login", &fields).await.to;
    next.read(&asked).await;
    for _ in 0..12 {
        world.pass(MINUTE);
        let code = held.code(&world);
        let page = next.post("/login/code", &[("code", code.as_str()), ("next", "/portal")]).await;
        if page.status == StatusCode::GONE {
            next.post("/login", &fields).await;
            continue;
        }
        assert_eq!(page.status, StatusCode::CONFLICT, "{}", page.words());
        page.says("lässt sich mit dem Schlüssel von Bursar nicht öffnen (factor_unreadable)");
        page.says("bitten Sie die Person, die Ihnen diesen Zugang gegeben hat");
    }
    assert!(!told(&world, &id).await.contains(&"wrong_codes".to_owned()), "nobody is guessing");
    // For a signed-in user, the step-up page reports it too.
    let code = held.code(&world);
    let again =
        [("csrf", csrf.as_str()), ("password", PASSWORD), ("code", &code), ("next", "/portal/account")];
    let to = ana.post("/prove", &again).await.to;
    assert!(to.starts_with("/prove?why=unreadable"), "{to}");
    ana.read(&to).await.says("nicht öffnen (factor_unreadable)");
    // A recovery code still works.
    next.post("/login", &fields).await;
    let code = [("code", held.codes[0].as_str()), ("next", "/portal")];
    assert_eq!(next.post("/login/code", &code).await.to, "/portal");
    world.close().await;
}

#[tokio::test]
async fn whoever_has_the_password_does_not_share_in_setting_it_up() {
    let world = World::open("factor_shared", 189).await;
    let mut kim = Browser::of(&world, Role::Preparer, "kim").await;
    let mut thief = Browser::new(&world);
    let fields = [("email", "kim@example.com"), ("password", PASSWORD), ("next", "/me")];
    thief.post_on("/login", &fields).await;
    let csrf = kim.read("/factor").await.hidden("csrf");
    kim.post("/factor/begin", &[("csrf", &csrf)]).await;
    let secret = between(&kim.read("/factor/new").await, "class=\"secret\">").remove(0);
    let theirs = thief.read("/factor/new").await;
    theirs.says("You have none yet.");
    assert!(!theirs.body.contains(&secret));
    // Starting setup elsewhere ends this one, and no one is shown another user's secret as their own.
    let csrf_of_thief = theirs.hidden("csrf");
    thief.post("/factor/begin", &[("csrf", &csrf_of_thief)]).await;
    let code = factor::code_at(&secret, world.now()).unwrap();
    let gone = kim.post("/factor/new", &[("csrf", &csrf), ("code", &code)]).await;
    gone.says("This secret is too old. Begin again.");
    assert!(!gone.body.contains("class=\"secret\""));
    // A copy of the cookie is invalid after setup.
    let mut copy = kim.clone();
    let held = set_up(&world, &mut kim).await;
    for over in [&mut copy, &mut thief] {
        assert!(over.get("/me").await.to.starts_with("/login"));
    }
    // And a copy made afterwards cannot change it without a code, however recent the sign-in.
    let mut copy = kim.clone();
    for path in ["/factor/begin", "/factor/codes", "/factor/off"] {
        let again = [("csrf", csrf.as_str()), ("password", PASSWORD), ("code", "000000")];
        copy.post(path, &again).await.says("This code is not right.");
        copy.post(path, &again[..1]).await.says("Is it you?");
    }
    world.pass(30 * SECOND);
    let code = held.code(&world);
    let again = [("csrf", csrf.as_str()), ("password", PASSWORD), ("code", &code)];
    assert_eq!(between(&kim.post("/factor/codes", &again).await, "<li><code>").len(), 10);
    world.close().await;
}
