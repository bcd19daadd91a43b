//! What users see about a payment that its vendor contradicts, and about the consequences: on the pages, in `why` and in
//! `doctor`.

use bursar::cli::why::lines;
use bursar::ops::checks::{self, Installation};
use bursar::ops::{reconciliation, why};
use bursar::store::reconciliation::days::Filter;
use bursar::work::movements;
use payout::access::Role;

use super::{BESIDE, SENT_AGAIN, close, it_was_made, play, settle_first, stripe_refuses_it};
use crate::pages::Browser;
use crate::scenarios::Stage;

/// Two people settled the first attempt as not made and resubmitted the payment; then PayPal reports the first one.
async fn contradicted(name: &str) -> (Stage, &'static str) {
    let mut stage = Stage::open(name, 1).await;
    let (before, after) = SENT_AGAIN.split_once("settle    ana    made").unwrap();
    play(&mut stage, before).await.unwrap();
    (stage, after)
}

async fn explained(stage: &Stage, name: &str) -> String {
    let mut db = stage.world.app.store.read().await.unwrap();
    lines(&why::find(&mut db, name, stage.world.app.clock.now()).await.unwrap()).join("\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_contradicted_success_is_found_and_says_what_is_contradicted() {
    let (stage, _) = contradicted("told_contradicted").await;
    let mut browser = Browser::of(&stage.world, Role::Admin, "ada").await;
    let list = browser.read("/dashboard/transactions?needs_attention=true").await;
    list.says("Needs attention (1)");
    list.says("PT-000001");
    let narrowed = browser.read("/dashboard/transactions?needs_attention=true&status=success").await;
    narrowed.says("PT-000001");
    let narrowed = browser.read("/dashboard/transactions?needs_attention=true&status=failed").await;
    assert!(!narrowed.words().contains("PT-000001"), "it stands on Success");

    let batch = browser.read("/claims/PB-2026-0001/pay").await;
    batch.says("As recorded here: The payment succeeded.");
    batch.says("Vendor disagrees 1");
    batch.says("For 1 payment, the vendor reports something different from what is recorded here");
    batch.says("Vendor disagrees");

    let page = browser.read("/transactions/PT-000001").await;
    page.says("PayPal says something different from what is recorded here.");
    page.says("It is about attempt 1, the PayPal payment of 20.00 USD, ");
    page.says("Here it was settled as not made on ");
    page.says("the vendor&#39;s records could not be searched for it, so this rests on their word");
    page.says("Settled as not made");
    page.says("People settled it as not made: the books hold that no money moved");
    page.says(
        "so money may have moved that they do not count. Nothing can be done with it until that is settled",
    );
    let words = page.words();
    for lie in ["while the books hold it as failed", "The vendor refused this step", "Failed, no money moved"]
    {
        assert!(!words.contains(lie), "{lie}:\n{words}");
    }

    let known = Installation { now: stage.world.now(), mails: true, file: false, backup_us: i64::MAX };
    let found = checks::of_database(&mut stage.world.app.store.read().await.unwrap(), &known).await.unwrap();
    let of_it = found.iter().find(|one| one.code == "payments_contradicted").unwrap();
    assert!(of_it.what.contains(": PT-000001."), "{}", of_it.what);

    let message = explained(&stage, "PT-000001").await;
    assert!(message.contains("It is about attempt 1, the PayPal payment of 20.00 USD"), "{message}");
    let message = explained(&stage, "PB-2026-0001").await;
    assert!(
        message.contains("1 of its payments needs attention: PT-000001 (contradicted by its vendor)."),
        "{message}"
    );
    assert!(message.contains("The payer must act"), "{message}");
    let message = explained(&stage, "ana").await;
    assert!(message.contains("[payment_contradicted, PT-000001]"), "{message}");
    close(stage, Ok(())).await;
}

/// A settled duplicate is deducted from the payee's next claim: the payment, the payee and the reward say so, with the
/// reason.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_paid_twice_says_where_it_comes_off() {
    let (mut stage, _) = contradicted("told_taken_back").await;
    play(&mut stage, "settle ana made first").await.unwrap();
    let mut browser = Browser::of(&stage.world, Role::Admin, "ada").await;
    let payment = browser.read("/transactions/PT-000001").await;
    payment
        .says("Clawbacks RW-000002 −20.00 USD : will be subtracted from the payee&#39;s next claim in USD.");
    payment.says("Paid twice: PT-000001 paid it after all.");
    let payee = payment.body.split("href=\"/partners/").nth(1).unwrap().split('"').next().unwrap();
    let of_payee = format!("/partners/{payee}");
    let payee = browser.read(&of_payee).await;
    payee.says("RW-000002 −20.00 USD : will be subtracted from the payee&#39;s next claim in USD.");
    let reward = browser.read("/rewards/RW-000001").await;
    reward.says("It was paid, and 20.00 USD of it is clawed back: RW-000002");
    reward.says("Paid and clawed back");
    browser.read("/rewards/RW-000002").await.says("− 20.00 USD for ana");
    browser.read("/rewards/RW-000002").await.says("once they are owed more than its amount");
    let summary = browser.read("/dashboard/summary").await;
    summary.says("Waiting 0.00 USD");
    summary.says("20.00 USD is owed to us by payees who were paid too much");
    // Tax forms use the date a payment was sent; the books use the date it became known.
    let sql = "UPDATE attempt SET first_sent_at = first_sent_at - 31536000000000 WHERE state = 'succeeded'";
    crate::world::run(&stage.world.database_url, sql.to_owned()).await;
    let payee = browser.read(&of_payee).await;
    payee.says("Tax forms use the day of payment.");
    payee.says("PT-000001 20.00 USD : sent 31 Mar 2025, 09:00 UTC , counted 31 Mar 2026, 09:00 UTC");
    close(stage, Ok(())).await;
}

/// A transfer later settled as made is held in the payee's balance, and no bank has rejected it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_found_after_all_is_not_told_as_a_refusal_of_the_bank() {
    let mut stage = Stage::open("told_transfer", 1).await;
    play(&mut stage, BESIDE).await.unwrap();
    stripe_refuses_it(&stage).await;
    it_was_made(&stage).await;
    settle_first(&stage, &stage.world.actor).await.unwrap();
    let mut browser = Browser::of(&stage.world, Role::Admin, "ada").await;
    let page = browser.read("/transactions/PT-000001").await;
    page.says("It has not been paid out to their bank yet");
    assert!(!page.words().contains("The payout to the bank failed"), "{}", page.words());
    close(stage, Ok(())).await;
}

/// A movement that matches no payment, with the amount of one that was settled as not made, is reported with that payment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_movement_that_fits_what_was_called_not_made_names_it() {
    let mut stage = Stage::open("told_fits", 1).await;
    let (before, _) = SENT_AGAIN.split_once("resubmit  ana").unwrap();
    play(&mut stage, before).await.unwrap();
    movements::all(&stage.world.works[0], None).await.unwrap();
    let mut db = stage.world.app.store.read().await.unwrap();
    let days = reconciliation::list(&mut db, &Filter::default(), None, 100).await.unwrap();
    drop(db);
    let cases: Vec<_> = days.iter().flat_map(|day| &day.cases).filter(|case| case.known.is_some()).collect();
    assert_eq!(cases.len(), 1, "{days:?}");
    assert_eq!(cases[0].label(), "Matches a payment settled as not made");
    assert!(cases[0].message().contains("exactly the amount of PT-000001"), "{}", cases[0].message());
    assert_eq!(
        cases[0].known.as_ref().unwrap().pages,
        [("/transactions/PT-000001".into(), "PT-000001".into())]
    );
    // Any of several retries may have been executed: PayPal knows a key for thirty days.
    let sql = "UPDATE attempt SET first_sent_at = first_sent_at - 1728000000000 WHERE state = 'failed'";
    crate::world::run(&stage.world.database_url, sql.to_owned()).await;
    let mut db = stage.world.app.store.read().await.unwrap();
    let days = reconciliation::list(&mut db, &Filter::default(), None, 100).await.unwrap();
    drop(db);
    let known: Vec<_> =
        days.iter().flat_map(|day| &day.cases).filter_map(|case| case.known.as_ref()).collect();
    assert_eq!(known.len(), 1, "{days:?}");
    assert_eq!(known[0].label, "Matches a payment settled as not made");
    close(stage, Ok(())).await;
}
