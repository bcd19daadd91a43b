//! The first hour and Home: the setup link, the setup steps, and what waits for each role.

use axum::http::StatusCode;
use bursar::ops::import;
use bursar::ops::people::{self, FIRST, NewPerson};
use bursar::ops::settings::Document;
use bursar::store::programs::{self, RecordRef};
use payout::access::Role;

use super::{Browser, Page, approve_all, seed_data};
use crate::world::{DAY, SECOND, World};

const PASSWORD: &str = "seven green lanterns";

/// The setup form with these fields replacing the defaults.
fn first<'a>(csrf: &'a str, other: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let usual = [
        ("csrf", csrf),
        ("name", "Kim Ode"),
        ("email", "Kim@Acme.example"),
        ("password", PASSWORD),
        ("again", PASSWORD),
        ("company", "Acme & Sons"),
        ("support", "partners@acme.example"),
        ("currency", "EUR"),
        ("zone", "Europe/Berlin"),
    ];
    let of = |name: &str| other.iter().find(|(known, _)| *known == name).copied();
    usual.into_iter().map(|field| of(field.0).unwrap_or(field)).collect()
}

/// The administrator created by the first start, on the page of their setup link.
async fn at_the_first_link(world: &World) -> (Browser, Page) {
    let new = NewPerson {
        email: FIRST.to_owned(),
        name: "Administrator".to_owned(),
        role: Role::Admin,
        partner: None,
        password: None,
    };
    let link = people::add(&world.app, &new).await.unwrap();
    let path = link.strip_prefix(&world.app.base_url).unwrap().to_owned();
    let mut browser = Browser::new(world);
    assert_eq!(browser.post(&path, &[]).await.to, "/welcome");
    let page = browser.read("/welcome").await;
    (browser, page)
}

#[tokio::test]
async fn who_takes_longer_than_ten_minutes_keeps_what_they_typed_and_reads_how_to_come_again() {
    let world = World::open("pages_first_late", 62).await;
    let (mut kim, page) = at_the_first_link(&world).await;
    page.says("save within ten minutes");
    let csrf = page.hidden("csrf");
    world.pass(11 * 60 * SECOND);
    let message =
        "`bursar user reset --email admin@localhost`, on the machine that runs Bursar, prints another one";
    kim.read("/welcome").await.says(message);
    let late = kim.post("/welcome", &first(&csrf, &[])).await;
    assert_eq!(late.status, StatusCode::UNPROCESSABLE_ENTITY);
    late.says(message);
    assert!(late.body.contains("value=\"Acme &#38; Sons\""), "what was typed stays");
    assert!(people::welcome::is_setup_pending(&world.app).await.unwrap(), "nothing was kept");
}

#[tokio::test]
async fn the_first_link_leads_to_one_page_and_then_home() {
    let world = World::open("pages_first_hour", 61).await;
    let (mut kim, page) = at_the_first_link(&world).await;
    page.says("Welcome to Bursar");
    let csrf = page.hidden("csrf");
    let wrong = [
        (("name", " "), "Enter your name, in at most 100 characters."),
        (("email", "nobody"), "No mail can be sent to this"),
        (("password", "kim ode acme"), "The two passwords are not the same."),
        (("support", "nobody"), "Enter one e-mail address, like partners@example.com"),
        (("currency", "BGN"), "Choose a currency from the list."),
        (("zone", "Mars/Olympus"), "Choose a time zone from the list."),
    ];
    for (field, message) in wrong {
        let again = kim.post("/welcome", &first(&csrf, &[field])).await;
        assert_eq!(again.status, StatusCode::UNPROCESSABLE_ENTITY, "{field:?}");
        again.says(message);
        assert!(again.body.contains("value=\"Acme &#38; Sons\""), "what was typed stays");
        assert!(!again.body.contains(PASSWORD), "a password does not");
    }
    let short = [("password", "kimkimkimkim ode"), ("again", "kimkimkimkim ode")];
    kim.post("/welcome", &first(&csrf, &short)).await.says("This password");

    let home = kim.post_on("/welcome", &first(&csrf, &[])).await;
    home.says("You sign in with kim@acme.example and your password from now on.");
    home.says("Welcome, Kim Ode.");
    home.says("Name your company : done");
    home.says("Add partners Enter them one by one, or import a CSV file. Import a file Add a partner");
    assert_eq!(kim.get("/welcome").await.to, "/", "it is asked once");
    kim.read("/settings/company").await.says("Company name");
    kim.read("/me").await.says("Kim Ode Administrator");
    let mut again = Browser::new(&world);
    let fields = [("email", "kim@acme.example"), ("password", PASSWORD)];
    assert_eq!(again.post("/login", &fields).await.to, "/", "with the new address and password");
    world.close().await;
}

#[tokio::test]
async fn partners_see_whose_portal_it_is() {
    let world = World::open("pages_company", 62).await;
    seed_data(&world).await;
    let mut pat = Browser::of(&world, Role::Admin, "pat").await;
    let csrf = pat.read("/settings/company").await.hidden("csrf");
    let fields = |support| {
        [("csrf", csrf.as_str()), ("company", "Acme & Sons"), ("support", support), ("currency", "EUR")]
    };
    let refused = pat.post("/settings/company", &fields("nobody")).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    refused.says("Enter one e-mail address");
    pat.post_on("/settings/company", &fields("help@acme.example")).await.says("The company is saved.");
    let new = pat.read("/rewards/new").await;
    // An example, not a value: the activity may have another currency.
    assert!(new.body.contains("name=\"currency\" value=\"\" placeholder=\"EUR\""), "{}", new.body);
    let mut ana = Browser::of(&world, Role::Partner, "ana-herself").await;
    let portal = ana.read("/portal").await;
    portal.says("Acme & Sons Partner portal".replace('&', "&#38;").as_str());
    portal.says("Questions? Write to help@acme.example");
    let mut auditor = Browser::of(&world, Role::Auditor, "reader").await;
    auditor.read("/settings/company").await.says("An administrator can.");
    assert_eq!(auditor.post("/settings/company", &fields("")).await.status, StatusCode::FORBIDDEN);
    world.close().await;
}

#[tokio::test]
async fn each_role_begins_with_its_own_work() {
    let world = World::open("pages_home", 63).await;
    seed_data(&world).await;
    let mut manager = Browser::of(&world, Role::ProgramManager, "pim").await;
    let mut payer = Browser::of(&world, Role::Payer, "kim").await;
    let mut auditor = Browser::of(&world, Role::Auditor, "aud").await;

    let home = manager.read("/").await;
    home.says("12 rewards to review 7,500 JPY 5,505.00 USD 350 points");
    home.says("Reward List 12 to review");
    assert!(!home.body.contains("steps-head"), "no step is left that they could take");
    payer.read("/").await.says("Add programs and activities : done");
    assert!(!home.words().contains("This installation"), "not theirs");
    assert!(!payer.read("/").await.words().contains("to review"), "a payer does not review");

    approve_all(&world).await;
    let home = payer.read("/").await;
    home.says("11 approved rewards in no payout 7,500 JPY 5,505.00 USD");
    home.says("1 payee is not ready to be paid");
    home.says("Prepare a payout");
    assert!(!manager.read("/").await.words().contains("to review"));
    auditor.read("/").await.says("Nothing waits for you.");

    let mut admin = Browser::of(&world, Role::Admin, "pat").await;
    let home = admin.read("/").await;
    // Only SQLite is backed up by the program itself, so only then is a missing backup reported.
    assert_eq!(
        home.words().contains("This installation"),
        world.app.config.database_url.starts_with("sqlite")
    );
    let csrf = home.hidden("csrf");
    let hidden = admin.post_on("/home/steps", &[("csrf", &csrf)]).await;
    assert!(!hidden.words().contains("First steps Hide"), "{}", hidden.words());
    assert!(!hidden.body.contains("steps-head"));
    assert!(!payer.read("/").await.body.contains("steps-head"), "for everybody");
    admin.read("/settings/company").await.says("Show it again");
    assert!(
        admin.post_on("/home/steps", &[("csrf", &csrf), ("show", "yes")]).await.body.contains("steps-head")
    );
    assert_eq!(manager.post("/home/steps", &[("csrf", "x")]).await.status, StatusCode::FORBIDDEN);
    world.close().await;
}

#[tokio::test]
async fn a_payout_is_tried_out_while_the_vendor_is_in_test_mode() {
    let world = World::open("pages_trial", 65).await;
    let mut pat = Browser::of(&world, Role::Admin, "pat").await;
    let home = pat.read("/").await;
    home.says("Or try one in test mode, where no real money moves");
    let csrf = home.hidden("csrf");
    let sent = |address| [("csrf", csrf.as_str()), ("address", address)];
    pat.post_on("/home/test-payout", &sent("nobody")).await.says("PayPal");
    let claims = pat.post_on("/home/test-payout", &sent("try@example.com")).await;
    assert!(claims.words().contains("RW-000001 is a test reward, approved for"), "{}", claims.words());
    claims.says("Test partner");
    claims.says("5.00 USD");
    let last = bursar::clock::date(world.now() + 7 * DAY);
    claims.says(&format!("it expires after {last}."));
    // Again, with the records that now exist.
    pat.post_on("/home/test-payout", &sent("try@example.com")).await.says("RW-000002 is a test reward");
    let mut payer = Browser::of(&world, Role::Payer, "kim").await;
    assert!(
        !payer.read("/").await.words().contains("Or try one in test mode"),
        "an administrator prepares it"
    );
    assert_eq!(payer.post("/home/test-payout", &sent("x@example.com")).await.status, StatusCode::FORBIDDEN);
    world.close().await;
}

#[tokio::test]
async fn a_test_payout_leaves_what_already_has_its_ids() {
    let world = World::open("pages_trial_taken", 66).await;
    let (app, actor) = (&world.app, &world.actor);
    let accounts = "external_id,name\nacme,Acme\n";
    import::accounts(app, actor, accounts.as_bytes(), false, None).await.unwrap();
    let partner = "external_id,account,name,email\ntest-partner,acme,Ana Lima,ana@example.com\n";
    import::partners(app, actor, partner.as_bytes(), false, None).await.unwrap();
    let mut pat = Browser::of(&world, Role::Admin, "pat").await;
    let csrf = pat.read("/").await.hidden("csrf");
    let sent = [("csrf", csrf.as_str()), ("address", "try@example.com")];
    pat.post_on("/home/test-payout", &sent).await.says("Something of yours has the id “test-partner”");
    let there = RecordRef::External("test-partner");
    let there = programs::partner(&mut app.store.read().await.unwrap(), there).await.unwrap().unwrap();
    assert_eq!((there.name.as_str(), there.account.1.as_str()), ("Ana Lima", "acme"));
    let account = RecordRef::External("test-account");
    let account = programs::account(&mut app.store.read().await.unwrap(), account).await.unwrap();
    assert!(account.is_none(), "nothing was entered");
    world.close().await;
}

#[tokio::test]
async fn what_failed_and_what_is_to_be_released_is_told_at_once() {
    let world = World::open("pages_home_pay", 64).await;
    seed_data(&world).await;
    approve_all(&world).await;
    world.set(|it| Document { two_person_release: true, ..it }).await;
    let mut preparer = Browser::of(&world, Role::Preparer, "pre").await;
    let mut payer = Browser::of(&world, Role::Payer, "kim").await;
    let csrf = preparer.read("/claims").await.hidden("csrf");
    preparer.post_on("/claims/add", &[("csrf", &csrf), ("all", "yes")]).await;
    preparer.read("/").await.says("Payout PB-2026-0001 is being prepared");
    assert!(!payer.read("/").await.words().contains("waits for your release"), "nobody has asked");
    preparer.post_on("/claims/PB-2026-0001/ask-release", &[("csrf", &csrf)]).await;
    let home = payer.read("/").await;
    home.says("Payout PB-2026-0001 waits for your release");
    home.says("Review Claims 1 to release");
    assert!(!preparer.read("/").await.words().contains("waits for your release"), "they prepared it");
    world.close().await;
}
