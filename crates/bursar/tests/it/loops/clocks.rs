//! What a clock that was far ahead put off, once it is right again.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_that_a_wrong_clock_has_put_off_for_days_is_asked() {
    let paid = [
        "partner ana paypal ana@example.com",
        "reward R1 ana 20.00 approved",
        "batch B1 all",
        "pay B1",
        "tick dispatch",
    ];
    let stage = stage("asked_days_later", &paid).await;
    let now = stage.world.now();
    let ahead = now + 5 * 86_400_000_000;
    tamper(&stage, &format!("UPDATE payout_transaction SET ask_at = {ahead}")).await;
    sweep::once(&stage.world.works[0], now).await.unwrap();
    let mut db = stage.world.app.store.read().await.unwrap();
    let all = transactions::list(&mut db, &Filter::default(), 1).await.unwrap();
    assert_eq!((all[0].state, all[0].ask_at), (State::Processing, Some(now)));
    drop(db);
    stage.close(Ok(())).await;
}

/// A clock five days ahead, corrected since, parked an event, read the balance and put mails off.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_wrong_clock_put_off_goes_on() {
    let lines = [
        "partner bo stripe acct_bo",
        "reward R1 bo 20.00 approved",
        "batch B1 all",
        "pay B1",
        "tick dispatch",
    ];
    let parked = ["webhook bo paid unknown object", "tick intake"];
    let stage = stage("put_off_by_a_wrong_clock", &[&lines[..], &parked[..]].concat()).await;
    let (now, day) = (stage.world.now(), 86_400_000_000);
    let ahead = now + 5 * day;
    let put_off = [
        ("vendor_event", "parked_at", now),
        ("outbox", "due_at", now),
        ("vendor_pull", "due_at", now),
        ("vendor_pull", "deep_at", now),
        ("vendor_pull", "begun_at", now - day),
        ("vendor_pull", "read_until", now - day),
        ("vendor_pull", "lease_until", 0),
        ("mail", "next_at", now),
        ("mail", "lease_until", 0),
    ];
    let made = [
        "UPDATE outbox SET created_at = 7, expanded_at = NULL WHERE id IN (SELECT MAX(id) FROM outbox)"
            .to_owned(),
        format!(
            "INSERT INTO vendor_pull (vendor, vendor_account, begun_at, read_until, deep_at, due_at, lease_until, fence, \
             unread) VALUES ('stripe', 'acct_other/live', {now}, {now}, {now}, {now}, 0, 0, 0)"
        ),
        format!(
            "INSERT INTO mail (id, notice, about, recipient, recipient_name, language, title, body, template_version, state, \
             created_at, next_at, lease_until, fence, tries) VALUES ('mail_1', 'reminder', '', 'bo@example.com', '', 'en', '', \
             '', 0, 'waiting', {now}, {now}, 0, 0, 0)"
        ),
    ];
    for sql in made {
        tamper(&stage, &sql).await;
    }
    let only = |table| match table {
        "vendor_pull" => "vendor_account = 'acct_other/live'",
        "outbox" => "created_at = 7",
        _ => "1 = 1",
    };
    for (table, column, _) in put_off {
        tamper(&stage, &format!("UPDATE {table} SET {column} = {ahead} WHERE {}", only(table))).await;
    }
    sweep::once(&stage.world.works[0], now).await.unwrap();
    for (table, column, expected) in put_off {
        // Exactly one row has the expected value.
        tamper(
            &stage,
            &format!(
                "UPDATE {table} SET {column} = {column} WHERE {column} = {expected} AND {}",
                only(table)
            ),
        )
        .await;
    }
    stage.close(Ok(())).await;
}
