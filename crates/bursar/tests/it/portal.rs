//! The partner portal, as a browser without JavaScript sees it. Not here: appearance, and the hosted onboarding in a real
//! browser (`browser`).

mod profile;
mod whose;

use axum::http::StatusCode;
use bursar::ops::batches::{self, Selection};
use bursar::ops::invitations;
use bursar::ops::pay::{self, Balances, ConfirmedTotals};
use bursar::store::batches::PoolFilter;
use payout::access::Role;

use crate::pages::{Browser, approve_all, seed_data};
use crate::world::{DAY, SECOND, World};

/// Pays everything that can be paid, and lets it arrive.
pub async fn pay_all(world: &World) {
    begin_payout(world).await;
    arrive(world).await;
}

async fn arrive(world: &World) {
    for _ in 0..3 {
        world.tick_all(0).await;
        world.pass(2 * SECOND);
        world.deliver().await;
    }
    world.tick_all(0).await;
}

/// Presses Pay for everything that can be paid; nothing is sent yet.
async fn begin_payout(world: &World) {
    let choose = Selection::AllEligible(PoolFilter::default());
    let view = batches::form(&world.app, &world.actor, &choose, false, None).await.unwrap();
    let seen = ConfirmedTotals { digest: view.digest.clone(), totals: view.totals.clone() };
    pay::pay(&world.app, &world.actor, view.batch.id, &seen, &Balances::default(), None).await.unwrap();
}

#[tokio::test]
async fn what_was_not_paid_has_no_statement() {
    let world = World::open("portal_unpaid", 69).await;
    seed_data(&world).await;
    approve_all(&world).await;
    begin_payout(&world).await;
    let mut ana = Browser::of(&world, Role::Partner, "ana-herself").await;
    let list = ana.read("/portal/payouts").await;
    let number = list.body.split("/portal/payouts/PT-").nth(1).unwrap()[..6].to_owned();
    let path = format!("/portal/payouts/PT-{number}");
    let page = ana.read(&path).await;
    assert!(!page.body.contains("/statement"), "{}", page.body);
    assert_eq!(ana.get(&format!("{path}/statement")).await.to, path);
    arrive(&world).await;
    world.close().await;
}

#[tokio::test]
async fn an_invitation_is_taken_up_once_and_looking_at_it_does_not_use_it_up() {
    let world = World::open("portal_invite", 61).await;
    seed_data(&world).await;
    let mut admin = Browser::of(&world, Role::Admin, "pat").await;
    let form = admin.read("/partners/ana/invite").await;
    form.says("Signs in with ana@example.com");
    let fields = [("csrf", form.hidden("csrf")), ("role", "partner".to_owned())];
    let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
    let first = admin.post("/partners/ana/invite", &fields).await;
    let shown = admin.post("/partners/ana/invite", &fields).await;
    let link = |page: &crate::pages::Page| {
        let rest = page.body.split("/portal/join/").nth(1).unwrap();
        format!("/portal/join/{}", rest.split('<').next().unwrap())
    };
    let mut stranger = Browser::new(&world);
    assert_eq!(stranger.get(&link(&first)).await.status, StatusCode::GONE, "the newer one ends the older");
    let path = link(&shown);
    for _ in 0..3 {
        stranger.read(&path).await.says("Choose a password.");
    }
    let both = |one, two| [("password", one), ("again", two)];
    let short = stranger.post(&path, &both("short", "short")).await;
    assert_eq!(short.status, StatusCode::UNPROCESSABLE_ENTITY);
    short.says("At least twelve characters.");
    stranger.post(&path, &both("a long password 1", "a long password 2")).await.says("are not the same");
    let inside = stranger.post_on(&path, &both("a long password 1", "a long password 1")).await;
    inside.says("Hello, Ana Lima");
    assert_eq!(
        stranger.post(&path, &both("another password", "another password")).await.status,
        StatusCode::GONE
    );

    let mut again = Browser::new(&world);
    let login = again.get("/portal/payouts").await;
    assert_eq!(login.to, "/portal/login?next=%2Fportal%2Fpayouts");
    let fields = [("email", "ana@example.com"), ("password", "a long password"), ("next", "/portal/payouts")];
    again.post_on("/login", &fields).await.says("Wrong e-mail or password.");
    let fields =
        [("email", "ana@example.com"), ("password", "a long password 1"), ("next", "/portal/payouts")];
    again.post_on("/login", &fields).await.says("Nothing has been paid yet.");
    let out = again.read("/portal").await.hidden("csrf");
    assert_eq!(again.post("/logout", &[("csrf", &out)]).await.to, "/portal/login");

    // An invitation expires after a week, and an unknown partner cannot be invited.
    let late = invitations::invite(&world.app, &world.actor, "bo", Role::Partner).await.unwrap();
    world.pass(8 * DAY);
    let path = late.link.strip_prefix(&world.app.base_url).unwrap().to_owned();
    assert_eq!(stranger.get(&path).await.status, StatusCode::GONE);
    for (partner, role) in [("nobody", Role::Partner), ("ana", Role::Admin)] {
        assert!(invitations::invite(&world.app, &world.actor, partner, role).await.is_err());
    }
    world.close().await;
}

#[tokio::test]
async fn home_says_what_to_do_where_the_money_is_and_why() {
    let world = World::open("portal_home", 62).await;
    seed_data(&world).await;
    let mut cy = Browser::of_partner(&world, Role::Partner, "cy").await;
    approve_all(&world).await;
    let page = cy.read("/portal").await;
    page.says("You have not chosen how to be paid yet.");
    page.says("Waiting 1,501.50 USD On its way 0.00 USD Paid in 2026 0.00 USD");
    page.says("1 of 2 done Your login : done How I am paid You have not chosen how to be paid yet.");
    assert!(!page.words().contains("Failed or came back"), "nothing did");
    cy.read("/portal/rewards").await.says("Why is this not paid yet?");

    let mut ana = Browser::of(&world, Role::Partner, "ana-herself").await;
    let page = ana.read("/portal").await;
    page.says("You are all set.");
    page.says("Next payout Ready: it can be in the next payout.");
    let csrf = page.hidden("csrf");
    let wish = [("csrf", csrf.as_str()), ("whose", "me")];
    ana.post_on("/portal/request", &wish).await.says("You asked for a payout on 2026-03-02.");
    assert_eq!(ana.post("/portal/request", &[("csrf", &csrf), ("whose", "company")]).await.status, 404);
    let csrf = cy.read("/portal").await.hidden("csrf");
    let wish = [("csrf", csrf.as_str()), ("whose", "me")];
    cy.post_on("/portal/request", &wish).await.says("Nothing of yours can be paid right now.");

    pay_all(&world).await;
    let page = ana.read("/portal").await;
    page.says("Paid in 2026");
    page.says("PT-00000");
    assert!(!page.words().contains("You asked for a payout"), "a payment answers the request");
    let number = page.body.split("/portal/payouts/PT-").nth(1).unwrap()[..6].to_owned();
    let payout = ana.read(&format!("/portal/payouts/PT-{number}")).await;
    payout.says("Success");
    payout.says("What this payout is for");
    ana.read(&format!("/portal/payouts/PT-{number}/statement")).await.says("Statement PT-");
    ana.read("/portal/statements/2026").await.says("Total");
    ana.read("/portal/statements/2019").await.says("Nothing was paid in this year.");
    let payouts = ana.read("/portal/payouts").await;
    payouts.says("Statements Statement 2026 · PDF Statement 2026");
    payouts.says("PT-00000");
    for (list, one) in [("/portal/payouts", "PT-0000"), ("/portal/rewards", "RW-0000")] {
        ana.read(&format!("{list}?year=2026")).await.says(one);
        let before = ana.read(&format!("{list}?year=2025")).await;
        before.says("All years 2026");
        assert!(!before.words().contains(one), "nothing is of 2025: {}", before.words());
        assert_eq!(ana.get(&format!("{list}?year=26")).await.status, StatusCode::NOT_FOUND);
    }
    world.close().await;
}

#[tokio::test]
async fn nobody_sees_what_is_anothers() {
    let world = World::open("portal_walls", 63).await;
    seed_data(&world).await;
    approve_all(&world).await;
    pay_all(&world).await;
    let mut ana = Browser::of(&world, Role::Partner, "ana-herself").await;
    let mut bo = Browser::of_partner(&world, Role::Partner, "bo").await;
    let theirs = bo.read("/portal/payouts").await;
    let number = theirs.body.split("/portal/payouts/PT-").nth(1).unwrap()[..6].to_owned();
    for path in [
        format!("/portal/payouts/PT-{number}"),
        format!("/portal/payouts/PT-{number}/statement"),
        "/portal/payouts/PT-999999".to_owned(),
        "/portal/statements/x".to_owned(),
        // Data of their company is for its administrators.
        "/portal/profile/company".to_owned(),
        "/portal/tax/company".to_owned(),
        "/portal/profile/anybody".to_owned(),
    ] {
        assert_eq!(ana.get(&path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    // Their company's administrator can see it; an administrator of ours has separate pages.
    let mut company = Browser::of(&world, Role::PartnerAdmin, "for-all").await;
    company.read(&format!("/portal/payouts/PT-{number}")).await.says("Bo");
    let mut pat = Browser::of(&world, Role::Admin, "pat").await;
    for path in ["/portal", "/portal/rewards", "/portal/payouts", "/portal/account"] {
        assert_eq!(pat.get(path).await.status, StatusCode::FORBIDDEN, "{path}");
    }
    world.close().await;
}

#[tokio::test]
async fn ones_own_login() {
    let world = World::open("portal_own", 64).await;
    seed_data(&world).await;
    let mut ana = Browser::of(&world, Role::Partner, "ana-herself").await;
    let mut elsewhere = Browser::new(&world);
    let fields =
        |password| [("email", "ana-herself@example.com"), ("password", password), ("next", "/portal")];
    elsewhere.post_on("/login", &fields(crate::pages::PASSWORD)).await;
    let page = ana.read("/portal/account").await;
    page.says("An unnamed browser here");
    let csrf = page.hidden("csrf");
    ana.post_on("/portal/account/sessions", &[("csrf", &csrf)]).await.says("Signed out everywhere but here.");
    assert_eq!(elsewhere.get("/portal").await.to, "/portal/login?next=%2Fportal");

    let change = |current: &'static str, new: &'static str, again: &'static str| {
        [
            ("csrf", csrf.clone()),
            ("current", current.into()),
            ("password", new.into()),
            ("again", again.into()),
        ]
    };
    let rows = [
        ("wrong", "a new long password", "a new long password", "This is not your current password."),
        (crate::pages::PASSWORD, "a new long password", "another one", "The two passwords are not the same."),
        (crate::pages::PASSWORD, "short", "short", "At least twelve characters."),
        (crate::pages::PASSWORD, "password1234", "password1234", "among those that are tried first"),
        (
            crate::pages::PASSWORD,
            "Ana Lima is so green",
            "Ana Lima is so green",
            "holds your name, your address",
        ),
        (crate::pages::PASSWORD, "a new long password", "a new long password", "Your password is changed"),
    ];
    for (current, new, again, message) in rows {
        let fields = change(current, new, again);
        let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
        ana.post_on("/portal/account/password", &fields).await.says(message);
    }
    elsewhere.post_on("/login", &fields("a new long password")).await.says("Hello, Ana Lima");

    ana.post_on("/portal/language", &[("csrf", &csrf), ("language", "en-XA")])
        .await
        .says("[Hḗllǿ, Ana Lima~]");
    world.close().await;
}
