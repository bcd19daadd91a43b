//! Whose money the portal's pages and mails are about: a partner's own, their company's, their colleagues'; what a payment
//! requires of them; and what was returned.

use axum::http::StatusCode;
use bursar::mail::{Language, partner_text};
use bursar::ops::why;
use bursar::store::mails::{self, Filter};
use payout::access::Role;
use payout::eligibility::{Code, Who};
use payout::notice::Notice;

use super::profile::at_vendor;
use crate::pages::Browser;
use crate::scenarios::Stage;
use crate::world::Loop;

async fn play(stage: &mut Stage, story: &str) {
    for line in story.lines().map(str::trim).filter(|line| !line.is_empty()) {
        stage.one(line).await.unwrap();
    }
}

#[tokio::test]
async fn a_german_partner_is_told_in_german() {
    let mut stage = Stage::open("told_german", 403).await;
    play(&mut stage, "partner ana\nreward R1 ana 10.00 approved").await;
    let mut browser = Browser::of_partner(&stage.world, Role::Partner, "ana").await;
    let csrf = browser.read("/portal/rewards").await.hidden("csrf");
    let chosen = [("csrf", csrf.as_str()), ("language", "de"), ("back", "/portal/rewards")];
    let there = browser.post("/portal/language", &chosen).await;
    assert_eq!(there.to, "/portal/rewards", "they stay where they are");
    let words = partner_text::gate(Language::De, Code::ProfileMissing);
    for path in ["/portal", "/portal/rewards"] {
        let page = browser.read(path).await;
        page.says(words.message);
        page.says(words.remedy);
        assert!(!page.words().contains("The payee"), "{}", page.words());
    }
    stage.close(Ok(())).await;
}

#[tokio::test]
async fn what_a_company_is_paid_is_told_as_the_companys() {
    let mut stage = Stage::open("portal_whose", 420).await;
    play(
        &mut stage,
        "account acme paypal pay@acme.example
        partner ana stripe acct_ana of acme
        partner bo paypal bo@example.com of acme
        reward R1 ana 10.00 approved organization
        reward R2 ana 30.00 approved
        reward R3 bo 50.00 approved
        batch B1 all
        pay B1
        live 1 minute",
    )
    .await;
    let mut admin = Browser::of_partner(&stage.world, Role::PartnerAdmin, "ana").await;
    let home = admin.read("/portal").await;
    let rows: Vec<&str> = home.body.split("class=\"inner heap purse\"").skip(1).collect();
    assert_eq!(rows.len(), 2, "one row is hers and one is the company's");
    assert!(rows[0].contains("30.00") && !rows[0].contains("10.00"), "{}", rows[0]);
    assert!(rows[1].contains("acme") && rows[1].contains("10.00"), "{}", rows[1]);
    let own = admin.read("/portal/payouts").await;
    own.says("Every payment to you and to acme, newest first.");
    assert!(!own.words().contains("50.00"), "a colleague's money stands elsewhere: {}", own.words());
    let others = admin.read("/portal/payouts?of=others").await;
    others.says("This money is theirs, not yours.");
    others.says("50.00 USD");
    assert!(!others.words().contains("30.00"), "{}", others.words());
    // Actions on a colleague's reward are shown only to the colleague.
    play(&mut stage, "partner cy of acme\nreward R4 cy 5.00 approved").await;
    let listed = admin.read("/portal/rewards").await;
    listed.says("5.00 USD");
    let missing = partner_text::gate(Language::En, Code::ProfileMissing);
    assert!(!listed.words().contains(missing.message), "{}", listed.words());
    Browser::of_partner(&stage.world, Role::Partner, "cy")
        .await
        .read("/portal/rewards")
        .await
        .says(missing.message);

    let mut bo = Browser::of_partner(&stage.world, Role::Partner, "bo").await;
    let page = bo.read("/portal/payouts?of=others").await;
    page.says("Every payment to you, newest first.");
    assert!(!page.words().contains("30.00"), "{}", page.words());

    stage.world.tick(0, Loop::Notify).await;
    let filter = Filter { notice: Some(Notice::PaymentPaid), ..Filter::default() };
    let mails = mails::list(&mut stage.world.app.store.read().await.unwrap(), &filter, 20).await.unwrap();
    let of = |amount: &str| mails.iter().filter(|mail| mail.title.contains(amount)).collect::<Vec<_>>();
    for mail in of("10.00 USD") {
        assert!(mail.title.contains("acme") && !mail.title.contains("to you"), "{}", mail.title);
        assert!(mail.body.contains("this payment to") && mail.body.contains("acme"), "{}", mail.body);
    }
    assert!(of("30.00 USD").iter().all(|mail| mail.title == "30.00 USD was paid to you"));
    assert!(!of("10.00 USD").is_empty() && !of("30.00 USD").is_empty());
    stage.close(Ok(())).await;
}

#[tokio::test]
async fn a_closed_bank_account_is_mended_in_the_account_that_exists() {
    let mut stage = Stage::open("portal_mend", 421).await;
    play(
        &mut stage,
        "partner bo stripe acct_sim_closed_bo
        reward R1 bo 75.00 approved
        batch B1 R1
        pay B1
        live 1 minute
        expect bo payout_failed reason account_closed",
    )
    .await;
    let mut bo = Browser::of_partner(&stage.world, Role::Partner, "bo").await;
    let home = bo.read("/portal").await;
    home.says("Correct it at Stripe");
    home.says("a new Stripe account would not receive it.");
    bo.read("/portal/rewards").await.says("Payout Failed");
    let page = bo.read("/portal/profile/me").await;
    page.says("Needs you");
    page.says("Your bank account is closed.");
    assert!(!page.words().contains("Ready to be paid"), "{}", page.words());
    page.says("A payment that waits for the account above does not go to the new one.");
    let csrf = page.hidden("csrf");
    let away = bo.post("/portal/profile/me/stripe/mend", &[("csrf", &csrf)]).await;
    assert!(away.to.contains("/_sim/onboard/"), "{} {}", away.to, away.body);
    assert_eq!(at_vendor(&stage.world, &away.to, None).await.0, StatusCode::OK);
    let back = at_vendor(&stage.world, &away.to, Some("finish")).await.1;
    let done = bo.get(&back).await;
    assert_eq!(done.to, "/portal/profile/me");
    // A destination chosen in the meantime is kept.
    let csrf = bo.read("/portal/profile/me").await.hidden("csrf");
    let away = bo.post("/portal/profile/me/stripe/mend", &[("csrf", &csrf)]).await;
    let back = at_vendor(&stage.world, &away.to, Some("finish")).await.1;
    play(&mut stage, "later 1 minute\n change bo paypal bo@example.com").await;
    bo.get(&back).await;
    bo.read("/portal/profile/me").await.says("Through PayPal");
    play(&mut stage, "later 1 minute\n change bo stripe acct_sim_closed_bo").await;
    let mut db = stage.world.app.store.read().await.unwrap();
    let payee = bursar::ops::payees::named(&mut db, "bo").await.unwrap().unwrap();
    let made = bursar::store::onboarding::newest(&mut db, payee).await.unwrap();
    assert!(made.is_none(), "no second account was made: {made:?}");
    drop(db);

    // They choose another destination anyway: the rest is up to us, and every page says so.
    play(&mut stage, "change bo stripe acct_bo2").await;
    let number = stage.number("bo").await.unwrap();
    let mut pat = Browser::of(&stage.world, Role::Admin, "pat").await;
    let page = pat.read(&format!("/transactions/{number}")).await;
    page.says("the payee has another destination now.");
    assert!(!page.words().contains("Ask the partner to correct their bank details"), "{}", page.words());
    let mut db = stage.world.app.store.read().await.unwrap();
    let reward = stage.number("R1").await.unwrap();
    let found = why::find(&mut db, &reward, stage.world.now()).await.unwrap();
    drop(db);
    let who: Vec<Who> = found.blockers.iter().map(|one| one.who()).collect();
    assert!(who.first() == Some(&Who::Payer) && !who.contains(&Who::Partner), "{who:?}");
    let home = bo.read("/portal").await;
    assert!(!home.words().contains("Correct it at Stripe"), "{}", home.words());
    let payout = bo.read(&format!("/portal/payouts/{number}")).await;
    payout.says("We act");
    assert!(!payout.words().contains("Your bank account is closed."), "{}", payout.words());
    stage.close(Ok(())).await;
}

#[tokio::test]
async fn what_was_taken_back_is_told_as_that() {
    let mut stage = Stage::open("portal_taken", 422).await;
    play(
        &mut stage,
        "partner ana paypal ana@example.com
        reward R1 ana 50.00 approved
        batch B1 R1
        pay B1
        live 1 minute
        clawback C1 R1 40.00",
    )
    .await;
    let (reward, mut ana) =
        (stage.number("R1").await.unwrap(), Browser::of_partner(&stage.world, Role::Partner, "ana").await);
    let page = ana.read("/portal/rewards").await;
    page.says(&format!("Taken back from {reward}. It comes off your next payout."));
    assert!(!page.words().contains("Why is this not paid yet?"), "{}", page.words());
    let home = ana.read("/portal").await;
    home.says("1 taken back");
    assert!(!home.words().contains("1 reward "), "a clawback is no reward that waits: {}", home.words());
    stage.close(Ok(())).await;
}
