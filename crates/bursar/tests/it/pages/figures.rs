//! The pages report money consistently: rewards that were paid and returned, payments that have left us and are not at the
//! bank yet, and payments that wait for a person.

use payout::access::Role;

use super::Browser;
use crate::scenarios::Stage;

async fn play(stage: &mut Stage, story: &str) {
    for line in story.lines() {
        stage.one(line).await.unwrap();
    }
}

/// A payment that succeeded and was returned is known to the next one of the same reward, and shown on the reward's page.
#[tokio::test]
async fn what_was_paid_and_came_back_is_no_first_payment() {
    let mut stage = Stage::open("figures_back", 91).await;
    play(
        &mut stage,
        "partner di paypal sim-refunded-di@example.com
        reward R1 di 42.00 approved
        batch B1 R1
        pay B1
        live 10 seconds
        expect di success
        live 4 days
        expect di payout_failed refunded",
    )
    .await;
    let (reward, payment) = (stage.number("R1").await.unwrap(), stage.number("di").await.unwrap());
    let mut browser = Browser::of(&stage.world, Role::Admin, "pat").await;
    let page = browser.read(&format!("/rewards/{reward}")).await;
    page.says(&format!("in payment {payment} (Payout Failed, sent back)"));
    assert!(!page.words().contains("paid by"), "{}", page.words());

    play(&mut stage, "return di\nbatch B2 R1").await;
    let batch = stage.number("B2").await.unwrap();
    let mut browser = Browser::of(&stage.world, Role::Admin, "kim").await;
    let pay = browser.read(&format!("/claims/{batch}/pay")).await;
    pay.says("No payment has stayed at this destination yet");
    pay.says(&format!("{reward} was in {payment} before, which ended as Payout Failed (refunded)."));
    assert!(!pay.words().contains("First payment to this destination"), "{}", pay.words());
    let page = browser.read(&format!("/rewards/{reward}")).await;
    for message in [
        format!("Put into payment {payment}"),
        format!("The money was sent with {payment}"),
        format!("{payment} ended: Payout Failed, sent back"),
        format!("{payment} returned it to the pool"),
    ] {
        page.says(&message);
    }
    stage.close(Ok(())).await;
}

/// "Paid by" is shown for a successful payment; a payment made outside says how it was paid.
#[tokio::test]
async fn a_reward_is_paid_by_what_has_paid_it() {
    let mut stage = Stage::open("figures_by", 92).await;
    play(
        &mut stage,
        "partner ana paypal ana@example.com
        partner cy paypal sim-refunded-cy@example.com
        reward R1 ana 10.00 approved
        reward R2 cy 20.00 approved
        batch B1 all
        pay B1
        live 4 days
        expect ana success
        expect cy payout_failed refunded
        outside cy WIRE-7 2026-03-05",
    )
    .await;
    let (paid, outside) = (stage.number("R1").await.unwrap(), stage.number("R2").await.unwrap());
    let batch = stage.number("B1").await.unwrap();
    let (ana, cy) = (stage.number("ana").await.unwrap(), stage.number("cy").await.unwrap());
    let mut browser = Browser::of(&stage.world, Role::Admin, "pat").await;
    browser.read(&format!("/rewards/{paid}")).await.says(&format!("paid by {ana}"));
    let page = browser.read(&format!("/rewards/{outside}")).await;
    page.says(&format!("paid outside on 2026-03-05 (WIRE-7), closing payment {cy}"));
    page.says(&format!("Paid outside instead of by {cy}"));
    // Both payees have received their money.
    browser.read(&format!("/claims/{batch}/pay")).await.says(&format!("{batch} Paid"));
    // The bar of the month equals the column of payments through vendors.
    let summary = browser.read("/dashboard/summary").await;
    summary.says("paid through the vendors");
    summary.says("30.00 paid, 20.00 came back or never arrived");
    // The months outside the selected dates show payments made outside too, or their net would not add up.
    let later = browser.read("/dashboard/summary?from=2026-03-06&to=2026-03-31&currency=USD").await;
    assert!(later.body.contains("data-l=\"Outside\""), "{}", later.body);
    assert!(!later.words().contains("USD paid outside"), "{}", later.words());
    stage.close(Ok(())).await;
}

/// Money that has left us and is not yet at the bank is shown wherever net is.
#[tokio::test]
async fn what_is_not_at_the_bank_yet_is_told_wherever_net_is() {
    let mut stage = Stage::open("figures_bank", 93).await;
    play(
        &mut stage,
        "partner lea stripe acct_sim_slow_lea
        partner bo stripe acct_bo
        reward R1 lea 150.00 approved
        batch B1 R1
        pay B1
        tick dispatch
        expect lea payout_ready",
    )
    .await;
    let going = "150.00 USD of it not at the bank yet";
    let mut browser = Browser::of(&stage.world, Role::Admin, "pat").await;
    let year = bursar::clock::date(stage.world.now())[..4].to_owned();
    let earnings = browser.read(&format!("/dashboard/earnings?year={year}")).await;
    assert_eq!(earnings.words().matches(going).count(), 2, "of all and of the payee: {}", earnings.words());
    let summary = browser.read("/dashboard/summary").await;
    summary.says("150.00 USD of it has left us and is not at the bank yet");
    summary.says("150.00 USD more is counted under Net: 1 payment not at the bank yet");
    let lea = super::payees::page_of(&mut browser, "/partners", "lea").await;
    browser.read(&lea).await.says(going);
    // Once at the bank it has arrived, and nothing is in transit.
    play(&mut stage, "live 8 days\nexpect lea success").await;
    let mut browser = Browser::of(&stage.world, Role::Admin, "kim").await;
    let earnings = browser.read(&format!("/dashboard/earnings?year={year}")).await;
    assert!(!earnings.words().contains("not at the bank"), "{}", earnings.words());
    stage.close(Ok(())).await;
}
