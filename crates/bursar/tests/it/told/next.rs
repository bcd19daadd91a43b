//! The next step and who must act, for a payee, a payout and a closed payment: the command line and the pages agree. Not
//! here: open payments (`told`).

use bursar::cli::why::lines;
use bursar::ops::why;
use payout::access::Role;

use super::{plain, play};
use crate::pages::Browser;
use crate::scenarios::Stage;

/// The output of `bursar why`.
async fn why_of(stage: &Stage, name: &str) -> String {
    let mut db = stage.world.app.store.read().await.unwrap();
    lines(&why::find(&mut db, name, stage.world.now()).await.unwrap()).join("\n")
}

#[tokio::test]
async fn why_names_what_comes_next_and_who_does_it() {
    let mut stage = Stage::open("told_next", 411).await;
    play(
        &mut stage,
        "partner ana paypal ana@example.com
        partner bo paypal bo@example.com
        partner cy paypal cy@example.com
        reward R1 ana 10.00 approved
        reward R2 bo 20.00
        batch B1 R1",
    )
    .await;
    let batch = stage.number("B1").await.unwrap();
    let (ana, bo, cy) =
        (stage.payee("ana").to_string(), stage.payee("bo").to_string(), stage.payee("cy").to_string());
    let waits = format!("It is in {batch}, which waits for a payer to press Pay.");
    assert!(why_of(&stage, &ana).await.contains(&waits), "{}", why_of(&stage, &ana).await);
    let message = why_of(&stage, &batch).await;
    assert!(message.contains(&format!("{batch} waits for a payer to press Pay.")), "{message}");
    assert!(message.contains("The payer must act"), "{message}");
    let message = why_of(&stage, &bo).await;
    let of_bo = format!("The reward is not approved. It concerns {}.", stage.number("R2").await.unwrap());
    assert!(message.contains(&of_bo) && message.contains("An administrator must act"), "{message}");
    let message = why_of(&stage, &cy).await;
    assert_eq!(message, "Nothing stands in the way. They have no reward to be paid.");
    let mut browser = Browser::of(&stage.world, Role::Admin, "reader").await;
    let page = browser.read(&format!("/partners/{ana}")).await;
    page.says("1 approved reward waits to be paid: 10.00 USD");
    page.says(&waits);
    browser.read(&format!("/partners/{bo}")).await.says(&of_bo);
    play(&mut stage, "approve R2").await;
    let message = why_of(&stage, &bo).await;
    assert!(message.contains("1 reward. It can be in the next payout"), "{message}");
    assert!(message.contains("The preparer must act"), "{message}");
    play(&mut stage, "brake on").await;
    for name in [&ana, &bo, &batch] {
        let message = why_of(&stage, name).await;
        assert!(message.contains("[books_do_not_balance, "), "{message}");
    }
    play(&mut stage, "brake off\nhold ana on").await;
    let message = why_of(&stage, &batch).await;
    assert!(message.contains("[partner_on_hold, ana]"), "the payee is named: {message}");
    let pay = browser.read(&format!("/claims/{batch}/pay")).await;
    assert!(pay.body.contains(&format!("<a href=\"/partners/{ana}\"><bdi>ana</bdi></a>")), "{}", pay.body);
    play(&mut stage, "hold ana off").await;
    stage.close(Ok(())).await;
}

#[tokio::test]
async fn a_closed_payment_asks_nobody_for_anything() {
    let mut stage = Stage::open("told_closed", 412).await;
    play(
        &mut stage,
        "partner ana paypal sim-closed-ana@example.com
        partner bo paypal sim-closed-bo@example.com
        reward R1 ana 10.00 approved
        reward R2 bo 20.00 approved
        batch B1 all
        pay B1
        live 10 minutes",
    )
    .await;
    let (ana, bo) = (stage.number("ana").await.unwrap(), stage.number("bo").await.unwrap());
    let batch = stage.number("B1").await.unwrap();
    play(&mut stage, "outside ana CHEQUE-7 2026-03-02\nreturn bo").await;
    let mut browser = Browser::of(&stage.world, Role::Admin, "reader").await;
    for (number, status, closed) in [
        (&ana, "Paid outside", "its rewards count as paid. Do not pay them again."),
        (&bo, "Failed", "its rewards went back to the pool, and another payment can pay them."),
    ] {
        let message = why_of(&stage, number).await;
        assert!(message.starts_with(&format!("{number}  {status}")), "{message}");
        let page = plain(&browser.read(&format!("/transactions/{number}")).await.words());
        for said in [&message, &page] {
            assert!(said.contains(closed), "{said}");
            assert!(!said.contains("must act") && said.contains("Nobody needs to act"), "{said}");
        }
    }
    let page = browser.read(&format!("/claims/{batch}/pay")).await;
    page.says("All 2 payments have ended: 0 succeeded, 1 paid another way, 1 did not.");
    page.says("30.00 USD 0.00 USD 10.00 USD 0.00 USD 20.00 USD");
    stage.close(Ok(())).await;
}

#[tokio::test]
async fn pay_names_what_is_sent_where_payees_bear_the_fee() {
    let mut stage = Stage::open("told_net", 413).await;
    play(
        &mut stage,
        "settings fee paypal USD 200
        settings fees partner
        partner ana paypal ana@example.com
        reward R1 ana 100.00 approved
        batch B1 R1",
    )
    .await;
    let batch = stage.number("B1").await.unwrap();
    let mut browser = Browser::of(&stage.world, Role::Payer, "pat").await;
    let page = browser.read(&format!("/claims/{batch}/pay")).await;
    page.says("What is paid 98.00 USD");
    page.says("Pay 98.00 USD");
    assert_eq!(page.hidden("total"), "100.00 USD", "what is promised are the rewards");
    stage.close(Ok(())).await;
}

#[tokio::test]
async fn what_was_paid_wrongly_is_clawed_back_on_its_page() {
    let mut stage = Stage::open("told_clawback", 414).await;
    play(
        &mut stage,
        "partner ana paypal ana@example.com
        reward R1 ana 10.00 approved
        batch B1 R1
        pay B1
        live 10 minutes
        expect ana success",
    )
    .await;
    let number = stage.number("R1").await.unwrap();
    let mut browser = Browser::of(&stage.world, Role::Admin, "pat").await;
    let page = browser.read(&format!("/rewards/{number}")).await;
    page.says("You can take back up to 10.00 USD.");
    let form = format!("/rewards/{number}/clawback");
    for (amount, reason, message) in [
        ("ten", "paid twice", "This is not an amount"),
        ("10.01", "paid twice", "this is more than was paid for the reward"),
        ("4.00", " ", "Give a reason"),
        ("4.00", "paid twice", "claws back 4.00 USD of"),
    ] {
        let page = browser.read(&format!("/rewards/{number}")).await;
        let (csrf, once) = (page.hidden("csrf"), page.hidden("once"));
        let sent = [("csrf", csrf.as_str()), ("once", &once), ("amount", amount), ("reason", reason)];
        browser.post_on(&form, &sent).await.says(message);
    }
    browser.read(&format!("/rewards/{number}")).await.says("You can take back up to 6.00 USD.");
    stage.close(Ok(())).await;
}

/// Two people would settle a payment as not made although a stored, signed vendor event says that it was made.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_signed_event_names_is_told_before_people_call_a_payment_not_made() {
    let mut stage = Stage::open("told_named", 412).await;
    play(
        &mut stage,
        "partner bo stripe acct_bo
        reward R1 bo 20.00 approved
        batch B1 R1
        vendor stripe webhook late 5 days times 500
        pay B1
        vendor stripe executed 500 on payout
        tick dispatch
        disconnect bo
        live 4 days
        expect bo pending_processing needs_review
        later 1 day
        live 1 day
        expect bo pending_processing needs_review",
    )
    .await;
    let payout = stage.world.simulator.books().payouts.last().unwrap().id.clone();
    let number = stage.number("bo").await.unwrap();
    let message = format!("Look for {payout} at Stripe before you settle it as not made.");
    let mut browser = Browser::of(&stage.world, Role::Payer, "payer").await;
    let page = browser.read(&format!("/transactions/{number}")).await;
    page.says(&message);
    assert!(page.body.contains(&format!("value=\"{payout}\"")), "the form offers it: {}", page.body);
    let why = why_of(&stage, &number).await;
    assert!(why.contains(&message), "{why}");
    // The first of two people's statements stays in the timeline, with their note.
    play(&mut stage, "settle bo not-made").await;
    let page = browser.read(&format!("/transactions/{number}")).await;
    page.says("Pat: it was not made and will not be. “");
    stage.close(Ok(())).await;
}

/// An unreadable response is not reported as absence at the vendor.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_cannot_be_read_are_called_that() {
    let mut stage = Stage::open("told_unread", 413).await;
    play(
        &mut stage,
        "partner bo stripe acct_sim_slow_bo
        reward R1 bo 20.00 approved
        batch B1 R1
        vendor stripe webhook lost times 500
        pay B1
        live 26 hours
        vendor stripe html on read times 100000
        live 6 days
        expect bo pending_processing needs_review reason vendor_not_understood",
    )
    .await;
    let number = stage.number("bo").await.unwrap();
    let mut browser = Browser::of(&stage.world, Role::Payer, "payer").await;
    let page = browser.read(&format!("/transactions/{number}")).await;
    page.says("Stripe&#39;s answers about it have been inconclusive for days: a person must look");
    for wrong in ["no longer shows it", "The vendor's words", "says the vendor", "the vendor&#39;s answer"] {
        assert!(!page.words().contains(wrong), "{wrong}: {}", page.words());
    }
    stage.close(Ok(())).await;
}
