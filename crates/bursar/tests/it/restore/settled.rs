//! Settling payments found after a restore: on the page, on the command line, and in Reconciliation.

use bursar::mark::Mark;
use bursar::ops::safe_mode;
use bursar::ops::{OpsError, epoch};
use bursar::store::put_back::{self, Progress};
use payout::access::Role;

use super::{BEFORE, Browser, Stage, found, leave_safe_mode, movements, play, say_of_found, void};
use crate::reconciliation::command;

/// R3 (cy, Stripe, 30.00) and R4 (di, PayPal, 40.00) are paid by a database that is then lost; safe mode is over.
async fn lost(name: &str, seed: u64) -> Stage {
    let mut stage = Stage::swift(name, seed).await;
    stage.remember().await;
    play(&mut stage, BEFORE).await;
    play(&mut stage, &["reward R8 cy 30.00", "reward R9 cy 7.00 approved"]).await;
    stage.restart(async |database| database.save("old").await).await;
    play(&mut stage, &["live 1 hour", "batch B2 R3 R4", "pay B2", "live 1 hour", "expect di success"]).await;
    assert!(stage.restart(async |database| database.put_back("old").await).await, "the mark is ahead");
    play(&mut stage, &["live 1 minute"]).await;
    leave_safe_mode(&mut stage).await;
    stage
}

async fn object(stage: &Stage, to: &str) -> String {
    found(stage).await.into_iter().find(|(whom, ..)| whom == to).unwrap().2
}

/// The paid reward is approved and in the pool: a mere statement must not let it be paid again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_settles_a_found_payment_without_looking_at_what_can_be_paid_then() {
    let stage = lost("put_back_settled", 41).await;
    let (paid, undecided) = (stage.number("R3").await.unwrap(), stage.number("R8").await.unwrap());
    let other = stage.number("R9").await.unwrap();
    let tr = object(&stage, "acct_cy").await;
    let mut browser = Browser::of(&stage.world, Role::Admin, "adm").await;
    let page = browser.read("/safe-mode").await;
    page.says(" is paid. It has not come back.");
    page.says("For a Stripe transfer, check in Stripe whether a payout of that account took it to the bank.");
    page.says(&format!("{paid} 30.00 USD The same amount is approved, and can be paid once this is settled"));
    page.says(&format!("{undecided} 30.00 USD The same amount can be paid once it is approved"));
    page.says(&format!("{other} 7.00 USD is approved"));
    let csrf = page.hidden("csrf");
    let words = page.all_hidden("none_of");
    let settle = [("csrf", csrf.as_str()), ("object", tr.as_str()), ("note", "looked at it")];
    let told = browser.post_on("/safe-mode/settle", &settle).await;
    told.says(&format!(
        "These rewards of cy can be paid once this is settled, or once they are approved: {paid} (30.00 USD)"
    ));
    let before = words.iter().find(|word| page.body.contains(word.as_str())).unwrap().clone();

    browser.read("/rewards").await.says("the vendors have payments that it does not know");
    // The payee's page names what holds them, and links to where it is resolved.
    let payee = page.body.split("href=\"/partners/").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let of_payee = browser.read(&format!("/partners/{payee}")).await;
    of_payee.says("that this database does not know, because it was restored from a backup");
    assert!(!of_payee.body.contains("and so are its partners"), "no company is on hold");
    of_payee.says("On the Safe mode page, settle what the vendor has paid");

    // If it has changed since it was viewed, it must be viewed again.
    void(&stage, &paid).await;
    for word in &words {
        let told = browser.post_on("/safe-mode/settle", &[&settle[..], &[("none_of", word)]].concat()).await;
        told.says("This has changed since you looked");
    }
    let (done, message) = command(&stage.world, &["safe-mode", "settle", &tr, "--note=asked"]).await;
    assert!(!done && message.contains(&format!("{undecided} (30.00 USD), {other} (7.00 USD)")), "{message}");
    let (done, message) = command(&stage.world, &["safe-mode"]).await;
    assert!(
        done && message.contains("4. For a Stripe transfer, check in Stripe whether a payout"),
        "{message}"
    );
    assert!(message.contains(&format!("{other} 7.00 USD is approved, and can be paid once")), "{message}");
    let mut offered = message.split("--none-of ").skip(1).map(|rest| rest.split_whitespace().next().unwrap());
    let word = offered.find(|word| *word != before && !words.iter().any(|old| old == word)).unwrap();
    let flag = format!("--none-of={word}");
    let (done, message) = command(&stage.world, &["safe-mode", "settle", &tr, "--note=voided", &flag]).await;
    assert!(
        done && message.contains("It is settled, and no longer holds cy. This no longer blocks these"),
        "{message}"
    );
    assert!(message.contains(&format!("{undecided} (30.00 USD), {other} (7.00 USD)")), "{message}");
    stage.close(Ok(())).await;
}

/// A later PayPal movement of the same amount is not matched to a found payment; a matching one is explained at once, with
/// its fee.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reconciliation_calls_no_other_movement_a_found_payment() {
    let mut stage = lost("put_back_strange", 42).await;
    void(&stage, &stage.number("R4").await.unwrap()).await;
    let item = object(&stage, "di@example.com").await;
    let (done, message) = command(&stage.world, &["safe-mode", "settle", &item, "--note=voided R4"]).await;
    assert!(done && message.contains("It held no unpaid reward"), "{message}");
    // Whoever pays the same amount to them again gets a warning.
    play(&mut stage, &["reward R10 di 40.00 approved", "batch B4 R10"]).await;
    let mut browser = Browser::of(&stage.world, Role::Payer, "pay").await;
    let page = browser.read(&format!("/claims/{}/pay", stage.number("B4").await.unwrap())).await;
    page.says(&format!("PayPal {item}, which Safe mode lists, was for the same amount"));
    assert!(!page.body.contains("First payment to this destination"), "{}", page.words());

    movements::all(&stage.world.works[0], None).await.unwrap();
    // Another payment of 40.00, made by hand, on the same day.
    let url = &stage.world.database_url;
    let strange = "INSERT INTO reconciliation_case (id, vendor, vendor_account, currency, subject, aspect, day, standing, \
                   moved_minor, posted_minor, opened_at) SELECT 'rec_strange', vendor, vendor_account, currency, 'STRANGE', \
                   'money', day, 'extra_at_vendor', moved_minor, 0, opened_at FROM reconciliation_case \
                   WHERE vendor = 'paypal' AND moved_minor = -4000 AND transaction_id IS NULL";
    crate::world::run(url, strange.to_owned()).await;
    let list = browser.read("/reconciliation").await;
    let days =
        list.body.split("href=\"/reconciliation/day?").skip(1).map(|rest| rest.split('"').next().unwrap());
    let day = days.map(|day| day.replace("&#38;", "&")).find(|day| day.contains("paypal")).unwrap();
    let page = browser.read(&format!("/reconciliation/day?{day}")).await;
    page.says("STRANGE PayPal moved money of this account for no payment that this database knows");
    page.says("Made after the backup, settled");
    page.says("Fee of a payment made after the backup");
    // It does not tie, and needs an explanation from the first day.
    let form = page.body.split("Made after the backup, settled").nth(1).unwrap();
    let action = form.split("action=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
    let action = action.into_iter().find(|address| address.ends_with("/explain")).unwrap().to_owned();
    let told =
        browser.post_on(&action, &[("csrf", &page.hidden("csrf")), ("reason", "PT of the lost day")]).await;
    assert_eq!(told.body.matches("PT of the lost day").count(), 2, "with its fee: {}", told.words());
    told.says("Not known here STRANGE");
    stage.close(Ok(())).await;
}

/// When the hold ends, the payment it stopped before sending is named; its reward can be paid then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_that_the_hold_has_stopped_is_named() {
    let mut stage = Stage::swift("put_back_stopped", 43).await;
    stage.remember().await;
    play(&mut stage, BEFORE).await;
    play(&mut stage, &["reward R9 cy 7.00 approved", "batch B7 R9", "pay B7"]).await;
    stage.restart(async |database| database.save("old").await).await;
    // The lost database never sends it, and pays another one.
    play(&mut stage, &["hold cy on", "live 1 hour", "hold cy off", "batch B2 R3", "pay B2", "live 1 hour"])
        .await;
    assert!(stage.restart(async |database| database.put_back("old").await).await, "the mark is ahead");
    play(&mut stage, &["live 1 minute"]).await;
    leave_safe_mode(&mut stage).await;
    play(&mut stage, &["live 1 hour"]).await;
    void(&stage, &stage.number("R3").await.unwrap()).await;
    let tr = object(&stage, "acct_cy").await;
    let (app, actor) = (&stage.world.app, &stage.world.actor);
    let shown = safe_mode::open_one(&mut app.store.read().await.unwrap(), &tr).await.unwrap().unwrap();
    let of_r9 = shown.unpaid.iter().find(|one| one.value.decimal() == "7.00").unwrap();
    let label = format!("PT-{:06}", of_r9.payment.unwrap());
    assert!(of_r9.says().contains(&format!("is in {label}, which can be sent")), "{}", of_r9.says());
    let message = say_of_found(app, actor, &tr, "voided R3").await.unwrap();
    assert!(
        message.contains(&format!("Stopped because the payee was on hold, and not sent: {label}")),
        "{message}"
    );
    stage.close(Ok(())).await;
}

/// Rows written after a restore do not prove that the database knows about sends in the lost period. The search starts at
/// the last time it was known to be current, or at the last send it knows of.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_missing_begins_when_the_database_was_last_known_to_be_the_current_one() {
    for says in [false, true] {
        let mut stage = Stage::swift("put_back_since", 44).await;
        play(&mut stage, BEFORE).await;
        play(&mut stage, &["live 1 hour", "expect ana success"]).await;
        let sent = stage.world.now();
        play(&mut stage, &["live 5 days"]).await;
        let (app, mark) = (&stage.world.app, Mark::default());
        if says {
            epoch::check(app, &mark).await.unwrap();
            assert!(!epoch::watch(app, &mark).await.unwrap());
        }
        let current = stage.world.now();
        play(&mut stage, &["live 5 days", "hold cy on"]).await;
        let app = &stage.world.app;
        let now = put_back::progress(&mut app.store.read().await.unwrap()).await.unwrap();
        epoch::went_back(app, &mark, Progress { sent: now.sent + 1, ..now }).await.unwrap();
        let state = safe_mode::state(&mut app.store.read().await.unwrap()).await.unwrap().unwrap();
        let since = state.since.unwrap();
        assert!(if says { since == current } else { since < sent }, "{says} {state:?}");
        stage.close(Ok(())).await;
    }
}

/// A payment is settled by a statement, and its reward voided, before its payee claims it. After 30 days PayPal returns the
/// money: it is listed again, and holds the payee until somebody has investigated.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_back_after_it_was_settled_is_listed_again() {
    const TO: &str = "sim-unclaimed_then_returned-flo@example.com";
    let mut stage = Stage::swift("put_back_unclaimed", 45).await;
    stage.remember().await;
    let partner = format!("partner flo paypal {TO}");
    play(&mut stage, &["settings cooling-off 0", &partner, "reward R1 flo 10.00 approved"]).await;
    play(&mut stage, &["reward C flo 4.00 approved"]).await;
    stage.restart(async |database| database.save("old").await).await;
    play(&mut stage, &["batch B1 R1", "pay B1", "live 1 hour"]).await;
    assert!(stage.restart(async |database| database.put_back("old").await).await, "the mark is ahead");
    play(&mut stage, &["live 1 minute"]).await;
    leave_safe_mode(&mut stage).await;
    let item = object(&stage, TO).await;
    let mut browser = Browser::of(&stage.world, Role::Admin, "adm").await;
    browser
        .read("/safe-mode")
        .await
        .says("PayPal says UNCLAIMED. It has not reached the payee yet, and may come back.");
    void(&stage, &stage.number("R1").await.unwrap()).await;
    say_of_found(&stage.world.app, &stage.world.actor, &item, "voided R1").await.unwrap();
    play(&mut stage, &["batch B2 C", "blocked B2", "live 31 days", "blocked B2 partner_on_hold"]).await;
    let mut browser = Browser::of(&stage.world, Role::Admin, "eva").await;
    let page = browser.read("/safe-mode").await;
    page.says("PayPal says RETURNED. Its money came back, so it paid nothing, and its rewards are owed");
    page.says(
        "had settled it before (“voided R1”): enter the rewards again that were voided for it and not paid since.",
    );
    let (done, message) = command(&stage.world, &["safe-mode"]).await;
    assert!(done && message.contains("PayPal says RETURNED. Its money came back"), "{message}");
    say_of_found(&stage.world.app, &stage.world.actor, &item, "R1 was entered again").await.unwrap();
    play(&mut stage, &["blocked B2", "live 3 days", "blocked B2"]).await;
    stage.close(Ok(())).await;
}

/// A transfer counts as received only once a bank payout has taken it: if the bank returns that payout, the payment is
/// listed again although the transfer stands.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_found_transfer_is_asked_about_with_its_bank_payout() {
    const TO: &str = "acct_sim_paid_then_failed_gil";
    let mut stage = Stage::swift("put_back_bounced", 48).await;
    stage.remember().await;
    let partner = format!("partner gil stripe {TO}");
    play(&mut stage, &["settings cooling-off 0", &partner, "reward R1 gil 75.00 approved"]).await;
    stage.restart(async |database| database.save("old").await).await;
    play(&mut stage, &["batch B1 R1", "pay B1", "live 1 day", "expect gil success"]).await;
    assert!(stage.restart(async |database| database.put_back("old").await).await, "the mark is ahead");
    play(&mut stage, &["live 1 minute"]).await;
    leave_safe_mode(&mut stage).await;
    let tr = object(&stage, TO).await;
    let describe = async |stage: &Stage| {
        let (done, message) = command(&stage.world, &["safe-mode"]).await;
        assert!(done, "{message}");
        message
    };
    let paid = describe(&stage).await;
    assert!(paid.contains(" is paid. It has not come back."), "{paid}");
    void(&stage, &stage.number("R1").await.unwrap()).await;
    say_of_found(&stage.world.app, &stage.world.actor, &tr, "voided R1").await.unwrap();
    assert!(!describe(&stage).await.contains(&tr));
    // Another payment of the same amount to the same account proves nothing about this one.
    play(&mut stage, &["reward R2 gil 75.00 approved", "batch B2 R2", "pay B2", "live 8 days"]).await;
    let lies = describe(&stage).await;
    assert!(
        lies.contains(" came back. The payee does not have it: the money is in their Stripe balance"),
        "{lies}"
    );
    assert!(lies.contains("enter the rewards again that were voided for it"), "{lies}");
    stage.close(Ok(())).await;
}

/// For a found payment that holds nobody, its payee must be identified before it is settled by a statement.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_holds_nobody_is_not_settled_by_a_word_alone() {
    let mut stage = Stage::swift("put_back_nobody", 46).await;
    stage.remember().await;
    play(&mut stage, BEFORE).await;
    stage.restart(async |database| database.save("old").await).await;
    play(&mut stage, &["partner eve paypal eve@example.com", "reward R9 eve 7.00 approved"]).await;
    play(&mut stage, &["batch B9 R9", "pay B9", "live 1 hour", "expect eve success"]).await;
    assert!(stage.restart(async |database| database.put_back("old").await).await, "the mark is ahead");
    play(&mut stage, &["live 10 minutes", "live 10 minutes"]).await;
    let item = object(&stage, "eve@example.com").await;
    let (app, actor) = (&stage.world.app, &stage.world.actor);
    let alone = safe_mode::SettlementNote { note: "looked at it", none_of: None };
    let refused = safe_mode::settle_found(app, actor, &item, alone).await;
    let Err(OpsError::Conflict(refusal)) = refused else { panic!("{refused:?}") };
    assert_eq!(refusal.code, "nobody_held");
    assert!(refusal.sentence.contains("enter them again with that destination"), "{}", refusal.sentence);
    let mut browser = Browser::of(&stage.world, Role::Admin, "adm").await;
    let page = browser.read("/safe-mode").await;
    page.says("No payee here has had the destination eve@example.com, so nobody is on hold for it.");
    page.says("The payee is on hold, or this payment was not ours");
    let held = "No payee is on hold for it. For 1 of them nobody is on hold: find out who was paid.";
    page.says(held);
    page.says("Nobody is on hold eve@example.com");
    let (_, message) = command(&stage.world, &["doctor"]).await;
    assert!(message.contains(held), "{message}");
    say_of_found(app, actor, &item, "eve is on hold").await.unwrap();
    stage.close(Ok(())).await;
}

/// A clawback that the lost payment had deducted is deducted again unless it is voided with the rewards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clawback_that_a_lost_payment_took_off_is_listed() {
    let mut stage = Stage::swift("put_back_clawback", 47).await;
    stage.remember().await;
    play(&mut stage, BEFORE).await;
    play(&mut stage, &["live 1 hour", "expect ana success", "reward R9 ana 50.00 approved"]).await;
    play(&mut stage, &["clawback C1 R1 4.00"]).await;
    stage.restart(async |database| database.save("old").await).await;
    play(&mut stage, &["batch B9 R9", "pay B9", "live 1 hour"]).await;
    assert!(stage.restart(async |database| database.put_back("old").await).await, "the mark is ahead");
    play(&mut stage, &["live 1 minute"]).await;
    leave_safe_mode(&mut stage).await;
    let item = found(&stage).await.into_iter().find(|(_, amount, _)| amount == "46.00 USD").unwrap().2;
    let shown = safe_mode::open_one(&mut stage.world.app.store.read().await.unwrap(), &item).await;
    let shown = shown.unwrap().unwrap();
    let clawback = shown.unpaid.iter().find(|one| one.clawback).unwrap();
    assert_eq!(clawback.value.decimal(), "4.00");
    assert!(clawback.says().contains("void it if this payment already deducted it"), "{}", clawback.says());
    stage.close(Ok(())).await;
}
