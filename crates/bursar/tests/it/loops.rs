//! The loops at runtime: one vendor's outage does not affect the other.
//!
//! Not here: what a loop does with one payment (`scenarios`).

mod clocks;

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use bursar::loop_watch::{self, LoopWatch};
use bursar::ops::{Result, vendors, why};
use bursar::store::payees::{self, DestinationAnswer};
use bursar::store::transactions::{self, Filter};
use bursar::store::{aside, events, outbox};
use bursar::work::{self, sweep};
use bursar::{app, transact};
use payout::eligibility::Code;
use payout::money::Vendor;
use payout::transaction::State;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Executor as _, SqlSafeStr as _};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::scenarios::Stage;

/// A stage on which these lines were played.
async fn stage(name: &str, lines: &[&str]) -> Stage {
    let mut stage = Stage::open(name, 1).await;
    for line in lines {
        stage.one(line).await.unwrap();
    }
    stage
}

/// How many queries with this name prefix the vendors received.
fn questions(stage: &Stage, of: &str) -> u64 {
    let asked = stage.world.simulator.books().questions;
    asked.iter().filter(|(name, _)| name.starts_with(of)).map(|(_, count)| count).sum()
}

/// Waits in real time until a line holds.
async fn until(stage: &mut Stage, line: &str, most: Duration) {
    let began = Instant::now();
    while let Err(message) = stage.one(line).await {
        assert!(began.elapsed() < most, "after {most:?}: {message}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vendor_that_hangs_holds_up_only_itself() {
    let mut stage = stage(
        "a_vendor_that_hangs",
        &[
            "crowd 200 stripe 10.00",
            "partner ana paypal ana@example.com",
            "reward R1 ana 20.00 approved",
            "batch B1 all",
            "vendor stripe slow 15000 on any times 100000",
            "pay B1",
        ],
    )
    .await;
    let (loops, began) = (work::start(stage.world.works[0].clone()), Instant::now());
    until(&mut stage, "requests ana 1 executed 1", Duration::from_secs(10)).await;
    stage.one("later 10 seconds").await.unwrap();
    stage.one("deliver").await.unwrap();
    until(&mut stage, "expect ana success", Duration::from_secs(10)).await;
    assert!(began.elapsed() < Duration::from_secs(14), "Stripe hangs for longer");
    drop(loops);
    stage.close(Ok(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vendor_that_does_not_answer_is_called_one_at_a_time() {
    let mut stage = stage(
        "a_vendor_that_does_not_answer",
        &["crowd 300 stripe 10.00", "batch B1 all", "vendor stripe answer lost times 100000", "pay B1"],
    )
    .await;
    stage.one("tick dispatch").await.unwrap();
    // Thirty were in flight when the first responses failed to arrive; after them only probes.
    let asked = stage.world.simulator.books().requests.len();
    assert!(asked <= 40, "{asked} requests");
    for _ in 0..10 {
        stage.one("later 1 minute").await.unwrap();
        stage.one("tick dispatch").await.unwrap();
    }
    let probes = stage.world.simulator.books().requests.len() - asked;
    assert!((1..=11).contains(&probes), "{probes} probes in ten minutes");
    stage.one("heal").await.unwrap();
    let ended = stage.play("the end", "live 1 hour\nexpect all success\n").await;
    stage.close(ended).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn patience_that_is_asked_of_questions_is_kept_by_every_question_and_by_no_payment() {
    let mut stage = stage(
        "patience_of_questions",
        &[
            "partner bo stripe acct_bo",
            "partner cy stripe acct_cy",
            "reward R1 bo 10.00 approved",
            "reward R2 cy 20.00 approved",
            "batch B1 R1",
            "batch B2 R2",
            "pay B1",
            "vendor stripe 429 retry-after 600 on read",
            "tick dispatch",
        ],
    )
    .await;
    let refused = questions(&stage, "stripe");
    for _ in 0..9 {
        stage.one("later 1 minute").await.unwrap();
        stage.one("tick all").await.unwrap();
    }
    assert_eq!(questions(&stage, "stripe"), refused, "nothing was asked while Stripe wanted patience");
    stage.one("pay B2").await.unwrap();
    stage.one("tick dispatch").await.unwrap();
    stage.one("requests cy 1 executed 1").await.unwrap();
    let ended = stage.play("the end", "live 1 hour\nexpect all success\n").await;
    stage.close(ended).await;
}

/// Changes the database directly, bypassing all rules.
async fn tamper(stage: &Stage, sql: &str) {
    let mut database = AnyConnection::connect(&stage.world.app.config.database_url).await.unwrap();
    let changed = database.execute(AssertSqlSafe(sql.to_owned()).into_sql_str()).await.unwrap();
    assert_eq!(changed.rows_affected(), 1, "{sql}");
    database.close().await.unwrap();
}

/// A send decided before a restore and committed too late to be marked as unknown with the others: it may have been
/// executed in the lost period, so it is looked up, not sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_intended_in_an_epoch_before_is_looked_for() {
    let lines = ["partner bo stripe acct_bo", "reward R1 bo 20.00 approved", "batch B1 all", "pay B1"];
    let mut stage = stage("intended_late", &lines).await;
    for line in ["vendor stripe answer lost", "tick dispatch", "keys forgotten"] {
        stage.one(line).await.unwrap();
    }
    let never_sent = "UPDATE submission SET state = 'intended', doubts = 0, next_at = 0, lease_until = 0, \
                      sending_since = NULL, first_sent_at = NULL, last_sent_at = NULL";
    tamper(&stage, never_sent).await;
    tamper(&stage, "INSERT INTO counter (name, value) VALUES ('epoch', 1)").await;
    let ended = stage.play("the end", "live 1 hour\nexpect bo success\nsent bo 20.00\n").await;
    stage.close(ended).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_destination_that_todays_rules_would_refuse_is_paid_as_it_was_frozen() {
    let mut stage = stage(
        "a_destination_of_old",
        &["partner ana paypal ana@example.com", "reward R1 ana 20.00 approved", "batch B1 all", "pay B1"],
    )
    .await;
    let old = payout::payee::Destination::stored(Vendor::PayPal, "an\u{e4}@example.com");
    let (address, print) = (old.address(), old.fingerprint());
    let set = format!("UPDATE payout_profile SET address = '{address}', fingerprint = '{print}'");
    tamper(&stage, &set).await;
    let set = format!("UPDATE payout_transaction SET destination = '{address}', fingerprint = '{print}'");
    tamper(&stage, &set).await;
    let ended = stage.play("the end", "live 1 hour\nexpect ana success\n").await;
    assert_eq!(stage.world.simulator.books().items[0].receiver, address);
    stage.close(ended).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_destination_that_was_changed_after_pay_in_the_database_is_not_paid() {
    let mut stage = stage(
        "a_destination_meddled_with",
        &["partner ana paypal ana@example.com", "reward R1 ana 20.00 approved", "batch B1 all", "pay B1"],
    )
    .await;
    tamper(&stage, "UPDATE payout_transaction SET destination = 'eve@example.com'").await;
    stage.one("tick dispatch").await.unwrap();
    stage.one("expect ana failed reason destination_changed").await.unwrap();
    assert_eq!(stage.world.simulator.books().requests.len(), 0);
    stage.close(Ok(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_cannot_be_read_is_set_aside_and_the_others_are_paid() {
    for (name, vendor) in [("set_aside_stripe", "stripe"), ("set_aside_paypal", "paypal")] {
        let mut stage = stage(name, &[&format!("crowd 20 {vendor} 10.00"), "batch B1 all", "pay B1"]).await;
        let guilty = "UPDATE payout_transaction SET currency = 'dollars' WHERE number = 7";
        tamper(&stage, guilty).await;
        stage.one("tick dispatch").await.unwrap();
        let executed = stage.world.simulator.books();
        let paid = executed.transfers.len() + executed.items.len();
        assert_eq!(paid, 19, "{vendor}: the others");
        let mut db = stage.world.app.store.read().await.unwrap();
        assert_eq!(aside::since(&mut db, 0, 10).await.unwrap().len(), 1);
        drop(db);
        stage.one("tick notify").await.unwrap();
        stage.one("announced payments_stuck").await.unwrap();
        tamper(&stage, "UPDATE payout_transaction SET currency = 'USD' WHERE number = 7").await;
        let ended = stage.play("the end", "live 3 hours\nexpect all success\n").await;
        stage.close(ended).await;
    }
}

/// One unreadable payment in progress does not block other bank payouts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payout_under_way_that_cannot_be_read_keeps_no_other_back() {
    let lines = [
        "partner ana stripe acct_ana",
        "reward R1 ana 10.00 approved",
        "batch B1 all",
        "pay B1",
        "vendor stripe 503 on payout",
        "tick dispatch",
        "expect ana pending_processing outcome_unknown",
        "partner bo stripe acct_bo",
        "reward R2 bo 20.00 approved",
        "batch B2 all",
        "pay B2",
    ];
    let mut stage = stage("under_way_unread", &lines).await;
    tamper(&stage, "UPDATE payout_transaction SET currency = 'dollars' WHERE number = 1").await;
    for line in ["tick dispatch", "later 2 seconds", "tick dispatch"] {
        stage.one(line).await.unwrap();
    }
    let books = stage.world.simulator.books();
    assert!(books.payouts.iter().any(|one| one.account.as_deref() == Some("acct_bo")), "{:?}", books.payouts);
    tamper(&stage, "UPDATE payout_transaction SET currency = 'USD' WHERE number = 1").await;
    let ended = stage.play("the end", "live 3 hours\nexpect all success\n").await;
    stage.close(ended).await;
}

/// For a payment with an unreadable record, every interface says who must act and how. A PayPal batch that is about to be
/// sent is never split, so this then applies to the whole batch.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_that_was_set_aside_says_who_must_act() {
    let intended = ["crowd 3 paypal 10.00", "batch B1 all", "pay B1", "die between commit and send"];
    let mut stage = stage("set_aside_told", &intended).await;
    tamper(&stage, "UPDATE payout_transaction SET currency = 'dollars' WHERE number = 2").await;
    stage.one("tick dispatch").await.unwrap();
    assert_eq!(
        stage.world.simulator.books().requests.len(),
        0,
        "nothing of it was sent, so nothing is in doubt"
    );
    let mut browser = crate::pages::Browser::of(&stage.world, payout::access::Role::Admin, "reader").await;
    let code = Code::SetAside;
    for number in ["PT-000001", "PT-000002", "PT-000003"] {
        let mut db = stage.world.app.store.read().await.unwrap();
        let why = why::find(&mut db, number, stage.world.now()).await.unwrap();
        drop(db);
        assert!(why.blockers.iter().any(|blocker| blocker.code == code), "{number}: {why:?}");
        let said = bursar::cli::why::lines(&why).join(" ");
        let page = browser.get(&format!("/transactions/{number}")).await.words().replace("&#39;", "'");
        assert!(!page.contains("`blockers` says which"), "{number}: {page}");
        // The page shows operators the error that stopped processing.
        assert!(
            page.contains("Set aside since") || page.contains("What is wrong with it"),
            "{number}: {page}"
        );
        for words in [code.message(), code.remedy(), code.who().label()] {
            assert!(said.contains(words) && page.contains(words), "{number} {words}: {said}\n{page}");
        }
    }
    tamper(&stage, "UPDATE payout_transaction SET currency = 'USD' WHERE number = 2").await;
    let ended = stage.play("the end", "live 3 hours\nexpect all success\n").await;
    assert_eq!(stage.world.simulator.books().requests.len(), 1, "one batch, whole");
    stage.close(ended).await;
}

/// A worker reads the available balance for one payout. Before it commits any of it, another worker commits all of it to
/// another payout of the same account.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_do_not_share_out_one_availability_twice() {
    let mut stage = stage(
        "one_availability",
        &[
            "workers 2",
            "partner bo stripe acct_sim_slow_bo",
            "reward R1 bo 75.00 approved",
            "reward R2 bo 75.00 approved",
            "batch B1 R1",
            "batch B2 R2",
            "pay B1",
            "tick dispatch",
            "later 20 hours",
            "pay B2",
            "tick dispatch",
            "later 5 hours",
        ],
    )
    .await;
    // The first worker sees only the second payment, and the second worker only the first.
    let (now, first) = (stage.world.now(), stage.number("bo@B1").await.unwrap());
    let of_first = format!(
        "leg = 'payout' AND transaction_id {{}} (SELECT id FROM payout_transaction WHERE number = {})",
        first.trim_start_matches("PT-").parse::<i64>().unwrap()
    );
    let due = |at: i64, which: &str| {
        format!("UPDATE attempt SET next_at = {at} WHERE {}", of_first.replace("{}", which))
    };
    tamper(&stage, &due(now + 10_000_000, "IN")).await;
    tamper(&stage, &due(now, "NOT IN")).await;
    for line in ["vendor stripe slow 2500 on read", "start dispatch by 1", "asked"] {
        stage.one(line).await.unwrap();
    }
    tamper(&stage, &due(now + 60_000_000, "NOT IN")).await;
    for line in [
        "later 20 seconds",
        "tick dispatch by 2",
        "requests bo@B1 2 executed 2",
        "finish",
        "tick dispatch by 1",
        "requests bo@B2 1 executed 1",
        "expect bo@B2 payout_ready",
    ] {
        stage.one(line).await.unwrap();
    }
    let ended = stage.play("the end", "live 5 days\nexpect all success\nrequests bo@B2 2 executed 2\n").await;
    stage.close(ended).await;
}

/// While a vendor is slow, leases in use are extended every ten seconds, so no one else takes them over, however long the
/// call takes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_in_use_is_made_longer() {
    let mut stage = stage(
        "renewed",
        &[
            "workers 2",
            "partner bo stripe acct_bo",
            "reward R1 bo 10.00 approved",
            "batch B1 all",
            "pay B1",
            "vendor stripe slow 14000",
            "start dispatch by 1",
        ],
    )
    .await;
    transfers(&stage, 1).await;
    // Extended ten seconds after it was taken, when the clock had advanced another twenty.
    for line in ["later 20 seconds", "rest 10500", "later 20 seconds", "tick dispatch by 2"] {
        stage.one(line).await.unwrap();
    }
    stage.one("requests bo 1 executed 1").await.unwrap();
    stage.one("finish").await.unwrap();
    let ended =
        stage.play("the end", "live 1 hour\nexpect all success\nattempts bo transfer=1 payout=1\n").await;
    stage.close(ended).await;
}

/// A vendor sends an extremely long `Retry-After`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vendor_that_asks_for_ever_is_asked_again_after_a_day() {
    let mut stage = stage(
        "for_ever",
        &[
            "partner ana paypal ana@example.com",
            "reward R1 ana 10.00 approved",
            "batch B1 all",
            "pay B1",
            "vendor paypal 429 retry-after 99999999999",
            "tick dispatch",
            "later 23 hours",
            "tick dispatch",
            "requests ana 1 executed 0",
            "later 2 hours",
            "tick dispatch",
            "requests ana 2 executed 1",
        ],
    )
    .await;
    let ended = stage.play("the end", "live 1 hour\nexpect all success\n").await;
    stage.close(ended).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_cannot_be_read_when_it_is_sent_holds_up_nobody() {
    let intended = ["crowd 20 stripe 10.00", "batch B1 all", "pay B1", "die between commit and send"];
    let mut stage = stage("set_aside_sent", &intended).await;
    tamper(&stage, "UPDATE payout_transaction SET currency = 'dollars' WHERE number = 7").await;
    stage.one("tick dispatch").await.unwrap();
    assert_eq!(stage.world.simulator.books().transfers.len(), 19, "the others");
    let mut db = stage.world.app.store.read().await.unwrap();
    assert_eq!(aside::since(&mut db, 0, 10).await.unwrap().len(), 1);
    drop(db);
    tamper(&stage, "UPDATE payout_transaction SET currency = 'USD' WHERE number = 7").await;
    let ended = stage.play("the end", "live 2 days\nlive 5 days\nexpect all success\n").await;
    stage.close(ended).await;
}

/// A restricted key that can read but not pay: each probe ends the pause, each payment restarts it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_that_comes_and_goes_is_told_once_an_hour() {
    let mut stage = stage("paused_again_and_again", &["partner bo stripe acct_bo"]).await;
    let app = stage.world.app.clone();
    let told = async || {
        let mut db = app.store.read().await.unwrap();
        outbox::about(&mut db, Vendor::Stripe.as_str()).await.unwrap().len()
    };
    for (later, expected) in [("1 minute", 1), ("1 minute", 1), ("1 hour", 2)] {
        stage.one(&format!("later {later}")).await.unwrap();
        vendors::pause(&app, Vendor::Stripe, "may not pay").await.unwrap();
        assert_eq!(told().await, expected);
        vendors::resume(&app, Vendor::Stripe, "connect").await.unwrap();
    }
    stage.close(Ok(())).await;
}

/// Waits until this many transfers were made.
async fn transfers(stage: &Stage, count: usize) {
    let began = Instant::now();
    while stage.world.simulator.books().transfers.len() < count {
        assert!(began.elapsed() < Duration::from_secs(60), "no {count} transfers");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_cannot_be_recorded_is_told_again_and_the_others_are_recorded() {
    let paid =
        ["crowd 20 stripe 10.00", "batch B1 all", "pay B1", "vendor stripe slow 2000 on transfer times 20"];
    let mut stage = stage("set_aside_recorded", &paid).await;
    stage.one("start dispatch by 1").await.unwrap();
    transfers(&stage, 20).await;
    tamper(&stage, "UPDATE payout_transaction SET currency = 'dollars' WHERE number = 7").await;
    stage.one("finish").await.unwrap();
    let mut db = stage.world.app.store.read().await.unwrap();
    let recorded = transactions::list(&mut db, &Filter::default(), 100).await.unwrap();
    let recorded = recorded.iter().filter(|one| one.left_at.is_some()).count();
    assert_eq!(recorded, 19, "the others");
    assert_eq!(aside::since(&mut db, 0, 10).await.unwrap().len(), 1);
    drop(db);
    tamper(&stage, "UPDATE payout_transaction SET currency = 'USD' WHERE number = 7").await;
    let ended = stage.play("the end", "live 2 days\nlive 5 days\nexpect all success\n").await;
    assert_eq!(stage.world.simulator.books().transfers.len(), 20);
    stage.close(ended).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_that_is_placed_while_payments_wait_for_their_turn_holds() {
    let paid =
        ["crowd 40 stripe 10.00", "batch B1 all", "pay B1", "vendor stripe slow 2000 on transfer times 30"];
    let mut stage = stage("held_in_the_queue", &paid).await;
    stage.one("start dispatch by 1").await.unwrap();
    // Thirty are in flight at a time; the others have passed the gates and wait.
    transfers(&stage, 30).await;
    let mut database = AnyConnection::connect(&stage.world.app.config.database_url).await.unwrap();
    database.execute("UPDATE partner SET standing = 'on_hold'").await.unwrap();
    database.close().await.unwrap();
    for line in ["later 5 seconds", "finish"] {
        stage.one(line).await.unwrap();
    }
    assert_eq!(stage.world.simulator.books().transfers.len(), 30);
    let failed = Filter { states: Some(vec![State::Failed]), ..Filter::default() };
    let mut db = stage.world.app.store.read().await.unwrap();
    assert_eq!(transactions::list(&mut db, &failed, 100).await.unwrap().len(), 10);
    drop(db);
    stage.close(Ok(())).await;
}

/// During a rolling upgrade, a process of the previous version may still take leases. It records no intent to send, so its
/// lease is the only sign that it may have sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_of_the_version_before_is_a_doubt() {
    let intended = [
        "partner bo stripe acct_bo",
        "reward R1 bo 75.00 approved",
        "batch B1 all",
        "pay B1",
        "die between commit and send",
    ];
    let mut stage = stage("leased_by_the_version_before", &intended).await;
    let now = stage.world.now();
    let leased =
        format!("UPDATE submission SET lease_until = {now}, fence = fence + 1, first_sent_at = {now}");
    tamper(&stage, &leased).await;
    for line in ["hold bo on", "tick dispatch", "expect bo pending_processing outcome_unknown"] {
        stage.one(line).await.unwrap();
    }
    let ended = stage.play("the end", "live 10 minutes\nexpect bo failed reason partner_on_hold\n").await;
    stage.close(ended).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_cannot_be_read_does_not_keep_others_from_settling() {
    let mut stage = stage(
        "set_aside_asked",
        &["crowd 12 stripe 10.00", "batch B1 all", "pay B1", "tick dispatch", "tick dispatch"],
    )
    .await;
    tamper(&stage, "UPDATE payout_transaction SET currency = 'dollars' WHERE number = 7").await;
    for line in ["later 10 minutes", "tick settle", "later 5 days", "tick settle"] {
        stage.one(line).await.unwrap();
    }
    let mut db = stage.world.app.store.read().await.unwrap();
    assert_eq!(aside::since(&mut db, 0, 10).await.unwrap().len(), 1, "whoever can mend it is told");
    drop(db);
    tamper(&stage, "UPDATE payout_transaction SET currency = 'USD' WHERE number = 7").await;
    let all = Filter { states: Some(vec![State::Success]), ..Filter::default() };
    let mut db = stage.world.app.store.read().await.unwrap();
    assert_eq!(transactions::list(&mut db, &all, 100).await.unwrap().len(), 11, "the others");
    drop(db);
    let ended = stage.play("the end", "live 3 hours\nexpect all success\n").await;
    stage.close(ended).await;
}

/// Events name three submissions whose responses were lost. The record of one is unreadable, and so is that of an item in
/// the second. The third is adopted, due payments are polled, and the two follow when their records are repaired.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_named_submission_that_cannot_be_read_does_not_keep_others_from_settling() {
    let paid = [
        "partner ana paypal ana@example.com",
        "partner bo paypal bo@example.com",
        "partner cy paypal cy@example.com",
        "partner di paypal di@example.com",
        "reward R1 ana 10.00 approved",
        "reward R2 bo 20.00 approved",
        "reward R3 cy 30.00 approved",
        "reward R4 di 40.00 approved",
        "batch B4 R4",
        "pay B4",
        "tick dispatch",
        "vendor paypal answer lost times 3",
        "vendor paypal 503 on batch after 3 times 100000",
        "batch B1 R1",
        "batch B2 R2",
        "batch B3 R3",
        "pay B1",
        "pay B2",
        "pay B3",
        "tick dispatch",
        "expect cy pending_processing outcome_unknown",
    ];
    let mut stage = stage("set_aside_named", &paid).await;
    let of = |number: i64| {
        format!(
            "WHERE id = (SELECT a.submission_id FROM attempt a JOIN payout_transaction t \
             ON t.id = a.transaction_id WHERE t.number = {number})"
        )
    };
    tamper(&stage, &format!("UPDATE submission SET state = 'puzzling' {}", of(2))).await;
    tamper(&stage, "UPDATE payout_transaction SET currency = 'dollars' WHERE number = 3").await;
    for line in ["deliver", "tick intake", "later 30 seconds", "deliver", "tick intake", "tick settle"] {
        stage.one(line).await.unwrap();
    }
    for line in ["later 10 minutes", "tick settle", "expect cy success", "expect di success"] {
        stage.one(line).await.unwrap();
    }
    let mut db = stage.world.app.store.read().await.unwrap();
    assert_eq!(aside::since(&mut db, 0, 10).await.unwrap().len(), 1);
    drop(db);
    tamper(&stage, &format!("UPDATE submission SET state = 'unknown' {}", of(2))).await;
    tamper(&stage, "UPDATE payout_transaction SET currency = 'USD' WHERE number = 3").await;
    let ended = stage.play("the end", "live 3 hours\nexpect all success\n").await;
    stage.close(ended).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loop_that_panics_is_begun_again() {
    let stage = stage("a_loop_that_panics", &[]).await;
    let (stop, count) =
        (CancellationToken::new(), std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0)));
    let counted = count.clone();
    let pass = move || {
        let counted = counted.clone();
        async move {
            let before = counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            assert!(before > 0, "a pass panics");
            before < 3
        }
    };
    let of = LoopWatch { name: "a test's", limit: Duration::from_secs(60) };
    loop_watch::watch(stage.world.app.clone(), of, stop, pass).await;
    assert_eq!(count.load(std::sync::atomic::Ordering::SeqCst), 4);
    stage.close(Ok(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loop_that_stands_still_makes_the_node_not_ready() {
    let stage = stage("a_loop_that_stands_still", &[]).await;
    let app: &app::App = &stage.world.app;
    let router = bursar::web::router(stage.world.works[0].clone());
    let ready = async || {
        let answer =
            router.clone().oneshot(Request::get("/readyz").body(Body::empty()).unwrap()).await.unwrap();
        let status = answer.status().as_u16();
        let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    };
    let limit = Duration::from_secs(180);
    app.nudge.pulse.record("settle_stripe", limit, app.clock.now());
    assert_eq!(ready().await.0, 200);
    app.nudge.pulse.record("settle_stripe", limit, app.clock.now() - 181_000_000);
    let (status, body) = ready().await;
    assert_eq!(status, 503);
    assert!(body.contains("settle_stripe since 181 s"), "{body}");
    stage.close(Ok(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_event_during_a_read_of_that_account_is_not_lost() {
    let mut stage = stage("an_account_event", &["partner bo stripe acct_bo"]).await;
    let app = stage.world.app.clone();
    let asked_at = app.clock.now();
    let due = async |now: i64| {
        let mut db = app.store.read().await.unwrap();
        payees::to_check(&mut db, Vendor::Stripe, now, 10).await.unwrap().len()
    };
    let say = async |why_not: Option<&'static str>, asked_at: i64| {
        let said =
            DestinationAnswer { why_not, currencies: None, asked_at, again_at: asked_at + 86_400_000_000 };
        let noted: Result<u64> = transact!(app, |tx| {
            Ok(payees::note_standing(tx, Vendor::Stripe, "acct_bo", &said, app.clock.now()).await?)
        });
        noted.unwrap()
    };
    stage.one("later 1 second").await.unwrap();
    let event_at = app.clock.now();
    let asked: Result<u64> =
        transact!(app, |tx| { Ok(payees::ask_again(tx, Vendor::Stripe, "acct_bo", event_at).await?) });
    asked.unwrap();
    assert_eq!(say(Some("not yet"), asked_at).await, 1);
    assert_eq!(due(event_at).await, 1, "the event came after the question");
    assert_eq!(say(None, event_at).await, 1);
    assert_eq!(due(i64::MAX).await, 0);
    assert_eq!(say(Some("of old"), asked_at).await, 0, "an older answer changes nothing");
    assert_eq!(say(Some("not any more"), event_at).await, 1);
    assert_eq!((due(event_at).await, due(event_at + 86_400_000_000).await), (0, 1), "read again after a day");
    let ahead = event_at + 5 * 86_400_000_000;
    assert_eq!(say(Some("by a clock that was wrong"), ahead).await, 1);
    assert_eq!(say(None, event_at).await, 1, "what a clock that was wrong has noted is learnt anew");
    stage.close(Ok(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_others_are_laid_aside_after_a_day() {
    let mut stage = stage(
        "events_of_others",
        &[
            "partner bo stripe acct_bo",
            "reward R1 bo 20.00 approved",
            "batch B1 all",
            "pay B1",
            "tick dispatch",
            "webhook bo paid unknown object",
            "tick intake",
        ],
    )
    .await;
    let parked = async |stage: &Stage| {
        events::backlog(&mut stage.world.app.store.read().await.unwrap()).await.unwrap().2
    };
    assert_eq!(parked(&stage).await, 1);
    let work = stage.world.works[0].clone();
    for (days, left) in [("1 hour", 1), ("2 days", 0)] {
        stage.one(&format!("later {days}")).await.unwrap();
        sweep::once(&work, stage.world.now()).await.unwrap();
        assert_eq!(parked(&stage).await, left, "after {days}");
    }
    let ended = stage.play("the end", "live 1 hour\nexpect all success\n").await;
    stage.close(ended).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_about_a_payout_that_settled_several_reaches_all_of_them() {
    let mut stage = stage(
        "one_payout_for_several",
        &[
            "partner bo stripe acct_bo",
            "reward R1 bo 75.00 approved",
            "reward R2 bo 30.00 approved",
            "batch B1 R1",
            "batch B2 R2",
            "pay B1",
            "pay B2",
            "tick dispatch",
        ],
    )
    .await;
    // As if one automatic payout of Stripe had paid both.
    let one = "SELECT MAX(vendor_id) FROM attempt WHERE leg = 'payout'";
    let same =
        format!("UPDATE attempt SET vendor_id = ({one}) WHERE leg = 'payout' AND vendor_id <> ({one})");
    tamper(&stage, &same).await;
    for line in ["webhook bo paid", "tick intake"] {
        stage.one(line).await.unwrap();
    }
    let effects = events::effects(&mut stage.world.app.store.read().await.unwrap()).await.unwrap();
    assert!(effects.iter().any(|effect| effect == "asked about 2 payments"), "{effects:?}");
    stage.close(Ok(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_event_tells_of_is_asked_about_before_what_is_only_due_again() {
    let mut stage = stage(
        "hints_before_polls",
        &[
            "crowd 20 stripe 10.00",
            "batch B1 all",
            "pay B1",
            "tick dispatch",
            "later 10 seconds",
            "partner bo stripe acct_bo",
            "reward R1 bo 20.00 approved",
            "batch B2 all",
            "pay B2",
            "tick dispatch",
            "later 1 day",
            "webhook bo paid",
            "tick intake",
        ],
    )
    .await;
    let app = stage.world.app.clone();
    let first: Result<Vec<_>> = transact!(app, |tx| {
        let now = app.clock.now();
        Ok(transactions::lease_to_ask(tx, Vendor::Stripe, now, now + 1, 1).await?)
    });
    let first = first.unwrap();
    let mut db = app.store.read().await.unwrap();
    let found = transactions::several(&mut db, &first).await.unwrap();
    drop(db);
    assert_eq!(found[0].destination.address(), "acct_bo");
    let ended = stage.play("the end", "live 1 day\nexpect all success\n").await;
    let before = questions(&stage, "stripe /v1/payouts");
    stage.one("live 12 days").await.unwrap();
    let each = (questions(&stage, "stripe /v1/payouts") - before) / 21;
    assert!((5..=15).contains(&each), "{each} questions about each success");
    stage.close(ended).await;
}
