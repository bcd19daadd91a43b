//! The loops as they run: one vendor's trouble is not the other's.
//!
//! What is deliberately not here: what a loop does with one payment (`scenarios`).

use std::time::{Duration, Instant};

use bursar::work;

use crate::scenarios::Stage;

/// A stage with these lines played.
async fn stage(name: &str, lines: &[&str]) -> Stage {
    let mut stage = Stage::open(name, 1).await;
    for line in lines {
        stage.one(line).await.unwrap();
    }
    stage
}

/// How many questions the vendors were asked whose name begins so.
fn questions(stage: &Stage, of: &str) -> u64 {
    let asked = stage.world.simulator.books().questions;
    asked.iter().filter(|(name, _)| name.starts_with(of)).map(|(_, count)| count).sum()
}

/// Waits in real time until a line holds.
async fn until(stage: &mut Stage, line: &str, most: Duration) {
    let began = Instant::now();
    while let Err(told) = stage.one(line).await {
        assert!(began.elapsed() < most, "after {most:?}: {told}");
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
    // Thirty were on the wire when the first answers were missed; after them nothing but probes.
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
