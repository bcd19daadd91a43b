//! An unreadable record: it is named wherever it is missing, and blocks nothing else.

use axum::http::StatusCode;
use bursar::ops::{OpsError, looked};
use payout::access::Role;
use serde_json::json;

use super::{Program, play};
use crate::pages::Browser;
use crate::scenarios::Stage;
use crate::world::DAY;

#[tokio::test]
async fn a_payment_that_cannot_be_read_hides_no_other_one() {
    let mut stage = Stage::open("told_unreadable", 413).await;
    play(
        &mut stage,
        "partner ana paypal ana@example.com
        partner bo paypal bo@example.com
        partner cy paypal cy@example.com
        reward R1 ana 10.00 approved
        reward R2 bo 20.00 approved
        reward R3 cy 30.00 approved
        batch B1 all
        pay B1
        live 10 minutes",
    )
    .await;
    let program = Program::of(&stage.world, Role::Admin, None).await;
    let all = program.get("/transactions").await;
    let ids: Vec<&str> =
        all["data"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    let spoil = async |currency: &str| {
        let sql = format!("UPDATE payout_transaction SET currency = '{currency}' WHERE id = '{}'", ids[1]);
        crate::world::run(&stage.world.app.config.database_url, sql).await;
    };
    spoil("???").await;
    let first = program.get("/transactions?limit=1").await;
    assert_eq!((&first["data"][0]["id"], &first["has_more"]), (&json!(ids[0]), &json!(true)), "{first:#}");
    let next = first["next"].as_str().unwrap();
    let second = program.get(&format!("/transactions?limit=1&after={next}")).await;
    assert_eq!(
        (&second["data"][0]["id"], &second["has_more"]),
        (&json!(ids[2]), &json!(false)),
        "{second:#}"
    );
    // The dashboard and the batch continue without it, and say so.
    let state = async |state: &str| {
        let sql = format!("UPDATE payout_transaction SET state = '{state}' WHERE id = '{}'", ids[1]);
        crate::world::run(&stage.world.app.config.database_url, sql).await;
    };
    state("failed").await;
    let mut browser = Browser::of(&stage.world, Role::Admin, "reader").await;
    let summary = browser.read("/dashboard/summary").await;
    let spoiled = all["data"][1]["number"].as_str().unwrap();
    summary.says(&format!("The record of {spoiled} cannot be read: these figures lack it"));
    assert_eq!(program.get("/dashboard/summary").await["unreadable"], json!([spoiled]));
    let batch = browser.read("/claims/PB-2026-0001/pay").await;
    batch.says("2 of 3 payments succeeded, 1 cannot be read. Someone must look into it.");
    assert!(!batch.words().contains("All 2 payments"), "{}", batch.words());
    let page = browser.get(&format!("/transactions/{spoiled}")).await;
    page.says("000 minor units of “???” to ");
    assert!(
        page.body.contains("href=\"/partners/ptn_")
            && page.body.contains("href=\"/claims/PB-2026-0001/pay\"")
    );
    spoil("USD").await;
    let url = &stage.world.app.config.database_url;
    let vendor = |word| format!("UPDATE payout_transaction SET vendor = '{word}' WHERE id = '{}'", ids[1]);
    crate::world::run(url, vendor("cheque")).await;
    browser.read("/claims/PB-2026-0001/pay").await.says("2 of 3 payments succeeded, 1 cannot be read");
    crate::world::run(url, vendor("paypal")).await;
    state("success").await;
    stage.close(Ok(())).await;
}

/// Whatever its content, it blocks nobody else's payment: not its payee's colleagues, and not its own payee later.
#[tokio::test]
async fn a_payment_that_cannot_be_read_keeps_no_other_from_being_paid() {
    let mut stage = Stage::open("paid_beside_unreadable", 415).await;
    play(
        &mut stage,
        "partner ana paypal ana@example.com
        partner bo paypal bo@example.com
        reward R0 ana 10.00 approved
        batch B0 all
        pay B0
        live 10 minutes",
    )
    .await;
    let url = stage.world.app.config.database_url.clone();
    for (number, state) in
        payout::transaction::State::ALL.iter().enumerate().map(|(at, state)| (at + 1, state))
    {
        let spoil = format!(
            "UPDATE payout_transaction SET currency = '???', state = '{}' WHERE number = 1",
            state.as_str()
        );
        crate::world::run(&url, spoil).await;
        play(&mut stage, &format!("reward R{number} bo {number}.00 approved\nbatch B{number} all\npay B{number}\nlive 10 minutes")).await;
    }
    crate::world::run(
        &url,
        "UPDATE payout_transaction SET currency = 'USD', state = 'success' WHERE number = 1".to_owned(),
    )
    .await;
    stage.close(Ok(())).await;
}

/// The unreadable payment may have been for the same amount, so a person checks before the payee is paid again.
#[tokio::test]
async fn whoever_has_a_payment_that_cannot_be_read_is_not_paid_again_unseen() {
    let mut stage = Stage::open("held_by_unreadable", 417).await;
    play(
        &mut stage,
        "partner ana paypal ana@example.com
        partner bo paypal bo@example.com
        reward R0 ana 10.00 approved
        batch B0 all
        pay B0
        live 10 minutes",
    )
    .await;
    let url = stage.world.app.config.database_url.clone();
    let spoil = |word: &str| format!("UPDATE payout_transaction SET currency = '{word}' WHERE number = 1");
    play(&mut stage, "reward R1 ana 10.00 approved\nreward R2 bo 5.00 approved\nbatch B1 R1 R2").await;
    crate::world::run(&url, spoil("X?")).await;
    play(&mut stage, "blocked B1 partner_on_hold\nrefuse partner_on_hold pay B1").await;
    let mut browser = Browser::of(&stage.world, Role::Admin, "reader").await;
    let pay = browser.read("/claims/PB-2026-0002/pay").await;
    pay.says("The record of their payment PT-000001 cannot be read, so Bursar cannot tell whether this would pay the same thing twice.");
    play(&mut stage, "take B1 R1\npay B1\nlive 10 minutes\nexpect bo success").await;
    crate::world::run(&url, spoil("USD")).await;
    play(&mut stage, "batch B2 all").await;
    // A PostgreSQL column accepts only values of its type.
    if stage.world.app.store.engine_name() == "sqlite" {
        let amount =
            |minor: &str| format!("UPDATE payout_transaction SET amount_minor = {minor} WHERE number = 1");
        crate::world::run(&url, amount("1000.5")).await;
        play(&mut stage, "blocked B2 partner_on_hold").await;
        crate::world::run(&url, amount("1000")).await;
    }
    play(&mut stage, "pay B2\nlive 10 minutes").await;
    stage.close(Ok(())).await;
}

/// Whose word does not count for another one is not named to them.
async fn is_named_while_their_word_counts(url: &str, other: &mut Browser) {
    for (shut_out, is_named) in [("NULL", true), ("1", false), ("NULL", true)] {
        let sql = format!("UPDATE person SET disabled_at = {shut_out} WHERE name = 'pat'");
        crate::world::run(url, sql).await;
        let page = other.get("/transactions/PT-000001").await;
        assert_eq!(page.words().contains("pat has looked and says"), is_named, "{}", page.words());
    }
}

/// An administrator who has checked confirms it, and need not repair the record in the database.
#[tokio::test]
async fn an_administrator_who_has_looked_ends_that_hold() {
    let mut stage = Stage::open("looked_at_unreadable", 418).await;
    play(
        &mut stage,
        "partner ana paypal ana@example.com
        reward R0 ana 10.00 approved
        batch B0 all
        pay B0
        live 10 minutes
        reward R1 ana 12.00 approved
        batch B1 R1",
    )
    .await;
    let url = stage.world.app.config.database_url.clone();
    let spoil = |word: &str| format!("UPDATE payout_transaction SET currency = '{word}' WHERE number = 1");
    crate::world::run(&url, spoil("X?")).await;
    play(&mut stage, "refuse partner_on_hold pay B1").await;
    let mut payer = Browser::of(&stage.world, Role::Payer, "payer").await;
    let page = payer.get("/transactions/PT-000001").await;
    page.says("Two administrators who have looked at the vendor say so here");
    let csrf = page.hidden("csrf");
    let said = [("csrf", csrf.as_str()), ("note", "PayPal shows it as paid on the 4th, for R0")];
    assert_eq!(payer.post("/transactions/PT-000001/looked", &said).await.status, StatusCode::FORBIDDEN);
    let mut pat = Browser::of(&stage.world, Role::Admin, "pat").await;
    let csrf = pat.get("/transactions/PT-000001").await.hidden("csrf");
    let sent = pat.post("/transactions/PT-000001/looked", &[("csrf", &csrf), ("note", " ")]).await;
    pat.get(&sent.to).await.says("Write how you found out");
    play(&mut stage, "refuse partner_on_hold pay B1").await;
    let said = [("csrf", csrf.as_str()), said[1]];
    // One person's statement does not release a payment that may be for the same money.
    for _ in 0..2 {
        let sent = pat.post("/transactions/PT-000001/looked", &said).await;
        let page = pat.get(&sent.to).await;
        page.says("This payment holds its payee for now");
        page.says("pat has looked and says that what is paid next is not the same.");
    }
    play(&mut stage, "refuse partner_on_hold pay B1").await;
    stage.world.chain().await;
    pat.read("/activity?action=unreadable_payment_look_noted").await.says("for R0");
    // Another administrator may contradict it; then two statements are needed again.
    let mut kim = Browser::of(&stage.world, Role::Admin, "kim").await;
    is_named_while_their_word_counts(&url, &mut kim).await;
    // Another administrator may contradict it; then two statements are needed again.
    let hers = kim.get("/transactions/PT-000001").await.hidden("csrf");
    let sent = kim.post("/transactions/PT-000001/hold-again", &[("csrf", &hers)]).await;
    kim.get(&sent.to).await.says("This payment holds its payee again");
    pat.post("/transactions/PT-000001/looked", &said).await;
    play(&mut stage, "refuse partner_on_hold pay B1").await;
    let theirs = [("csrf", hers.as_str()), said[1]];
    let sent = kim.post("/transactions/PT-000001/looked", &theirs).await;
    kim.get(&sent.to).await.says("kim has looked what became of it, so it holds its payee no more.");
    let sent = pat.post("/transactions/PT-000001/hold-again", &said[..1]).await;
    pat.get(&sent.to).await.says("For 30 days after it was paid");
    play(&mut stage, "refuse partner_on_hold pay B1").await;
    stage.world.chain().await;
    kim.read("/activity?action=unreadable_payment_looked_at").await.says("for R0");
    // Alone, after a day.
    let (app, one) = (stage.world.app.clone(), stage.world.actor.clone());
    let says = async || looked::say(&app, &one, "PT-000001", "PayPal shows it as paid").await;
    for _ in 0..2 {
        let said = says().await;
        assert!(
            matches!(&said, Err(OpsError::Conflict(why)) if why.code == "second_person_needed"),
            "{said:?}"
        );
    }
    stage.world.pass(DAY);
    says().await.unwrap();
    play(&mut stage, "pay B1\nlive 10 minutes\nexpect ana success").await;
    crate::world::run(&url, spoil("USD")).await;
    let mut lee = Browser::of(&stage.world, Role::Admin, "lee").await;
    let csrf = lee.read("/me").await.hidden("csrf");
    let sent = lee.post("/transactions/PT-000001/looked", &[("csrf", csrf.as_str()), said[1]]).await;
    lee.read(&sent.to).await.says("can be read by now");
    stage.close(Ok(())).await;
}

#[tokio::test]
async fn a_reward_that_cannot_be_read_keeps_no_other_from_being_decided() {
    let mut stage = Stage::open("decided_unreadable", 414).await;
    play(
        &mut stage,
        "partner ana paypal ana@example.com
        reward R1 ana 10.00
        reward R2 ana 20.00
        reward R3 ana 30.00",
    )
    .await;
    let program = Program::of(&stage.world, Role::Admin, None).await;
    let all = program.get("/rewards").await;
    let id = |name: &str| {
        let mut rows = all["data"].as_array().unwrap().iter();
        rows.find(|one| one["external_id"] == name).unwrap()["id"].as_str().unwrap().to_owned()
    };
    let (first, second, third) = (id("R1"), id("R2"), id("R3"));
    let spoil = async |currency: &str| {
        let sql = format!("UPDATE reward SET currency = '{currency}' WHERE id = '{second}'");
        crate::world::run(&stage.world.app.config.database_url, sql).await;
    };
    spoil("???").await;
    let asked = json!({"action": "approve", "ids": [first, second, third]});
    let (status, answer) = program.ask("POST", "/rewards/bulk", asked).await;
    assert_eq!(status, 200, "{answer:#}");
    assert_eq!(answer["done"].as_array().unwrap().len(), 2, "{answer:#}");
    assert_eq!(answer["skipped"], json!([{"id": second, "code": "record_unreadable"}]));
    spoil("USD").await;
    let (status, _) =
        program.ask("POST", "/rewards/bulk", json!({"action": "approve", "ids": [second]})).await;
    assert_eq!(status, 200);
    stage.close(Ok(())).await;
}
