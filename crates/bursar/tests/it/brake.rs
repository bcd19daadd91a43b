//! Invariant checks in the running program: a violation stops all sending until someone releases the brake. Also the signed
//! activity log, which reveals deletions and changes. Not here: the individual rules (`books`), and the database triggers
//! (`nodes`).

use bursar::ops::checks::{self, Installation};
use bursar::ops::log_signature::{Signature, Signers};
use bursar::ops::trail;
use bursar::ops::{OpsError, brake, log_signature};
use bursar::secrets::MasterKey;
use payout::access::Role;

use crate::nodes::{beside, run, text};
use crate::pages::Browser;
use crate::scenarios::Stage;

async fn play(stage: &mut Stage, lines: &[&str]) {
    for line in lines {
        stage.one(line).await.unwrap_or_else(|error| panic!("{line}: {error}"));
    }
}

/// One check, a minute after the previous one.
async fn look(stage: &Stage) -> usize {
    while trail::chain(&stage.world.app).await.unwrap() > 0 {}
    stage.world.pass(61_000_000);
    brake::look(&stage.world.app, stage.world.now()).await.unwrap()
}

async fn broken(stage: &Stage) -> Vec<String> {
    let state = brake::state(&mut stage.world.app.store.read().await.unwrap()).await.unwrap();
    state.map(|brake| brake.broken.iter().map(|one| one.id.clone()).collect()).unwrap_or_default()
}

/// The findings of `bursar doctor`.
async fn findings(stage: &Stage) -> Vec<&'static str> {
    let known = Installation { now: stage.world.now(), mails: true, file: false, backup_us: 0 };
    let found = checks::of_database(&mut stage.world.app.store.read().await.unwrap(), &known).await.unwrap();
    found.iter().map(|one| one.code).collect()
}

/// Changes the database without Bursar.
async fn raw_sql(stage: &Stage, sql: &str) {
    let mut database = beside(&stage.world).await;
    run(&mut database, sql).await.unwrap();
}

async fn open(name: &str) -> Stage {
    let mut stage = Stage::open(name, 1).await;
    play(
        &mut stage,
        &[
            "partner ana paypal ana@example.com",
            "partner bo paypal bo@example.com",
            "reward R1 ana 10.00 approved",
            "reward R2 bo 20.00 approved",
            "batch B1 R1",
            "batch B2 R2",
        ],
    )
    .await;
    stage
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_sent_while_the_books_do_not_balance() {
    let mut stage = open("brake").await;
    assert_eq!(look(&stage).await, 0, "all is well");
    play(&mut stage, &["pay B1", "tick dispatch", "live 1 minute", "expect ana success"]).await;
    assert_eq!(look(&stage).await, 0);
    // Within the day, only changed rows are checked.
    raw_sql(&stage, "UPDATE reward SET paid_at = NULL WHERE transaction_id IS NOT NULL").await;
    assert_eq!(look(&stage).await, 0, "nothing was noted about it since");
    play(&mut stage, &["refresh ana"]).await;
    assert_eq!(look(&stage).await, 1);
    assert_eq!(broken(&stage).await, ["I01"]);
    assert_eq!(look(&stage).await, 0, "it is told once");

    assert_eq!(findings(&stage).await, ["payments_stopped"]);

    play(&mut stage, &["refuse books_do_not_balance pay B2"]).await;
    let mut pat = Browser::of(&stage.world, Role::Auditor, "pat").await;
    let page = pat.read("/activity/books").await;
    page.says("Payments are stopped");
    page.says("a reward is paid exactly when its payment has succeeded");
    page.says("An administrator can.");
    page.says("RW-000001, 10.00 USD for ana");
    assert!(page.body.contains("href=\"/rewards/rwd_"), "{}", page.body);

    let app = &stage.world.app;
    let refused = brake::release(app, &stage.world.actor, "  ").await;
    assert!(matches!(refused, Err(OpsError::Refused(refusal)) if refusal.code == "note_required"));
    brake::release(app, &stage.world.actor, "changed by hand, and explained").await.unwrap();
    play(&mut stage, &["refresh ana"]).await;
    assert_eq!(look(&stage).await, 0, "what was looked at stops nothing again");
    assert_eq!(findings(&stage).await, ["rules_broken"], "it is broken still");
    play(&mut stage, &["pay B2", "live 1 minute", "expect bo success"]).await;
    pat.read("/activity/books").await.says("No broken rule stops payments.");

    // After a repair, the check a day later notices; a new violation stops payments again.
    raw_sql(&stage, "UPDATE reward SET paid_at = 1 WHERE transaction_id IS NOT NULL").await;
    stage.world.pass(86_400_000_000);
    assert_eq!(look(&stage).await, 0);
    raw_sql(&stage, "UPDATE reward SET paid_at = NULL WHERE transaction_id IS NOT NULL").await;
    stage.world.pass(86_400_000_000);
    assert_eq!(look(&stage).await, 2, "both rewards");
    raw_sql(&stage, "UPDATE reward SET paid_at = 1 WHERE transaction_id IS NOT NULL").await;
    stage.close(Ok(())).await;
}

/// Payments queued when the brake is applied wait, say so, and continue automatically afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_queued_waits_and_goes_on() {
    let mut stage = open("brake_queued").await;
    play(&mut stage, &["pay B1", "brake on", "live 10 minutes", "expect ana pending"]).await;
    assert!(stage.world.simulator.books().items.is_empty(), "nothing was sent");
    play(&mut stage, &["brake off", "live 1 minute", "expect ana success"]).await;
    stage.close(Ok(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_cut_off_the_activity_log_or_changed_in_it_shows_by_what_was_signed() {
    let mut stage = open("signed").await;
    while trail::chain(&stage.world.app).await.unwrap() > 0 {}
    let app = stage.world.app.clone();
    let (key, signers) = (&app.master_key, Signers::only(app.master_key.clone()));
    let signed = log_signature::sign(&app).await.unwrap();
    let difference = async |signed: &Signature| {
        log_signature::difference(&mut app.store.read().await.unwrap(), key, signed).await.unwrap()
    };
    assert_eq!(difference(&signed).await, None);
    let proof = log_signature::inclusion_proof(&app, 2).await.unwrap();
    assert_eq!(proof.flaw(&signers), None);
    assert!(proof.flaw(&Signers::only(MasterKey::new([9; 32]))).is_some());
    let mut other = proof.clone();
    other.detail.push(' ');
    assert!(other.flaw(&signers).is_some(), "another row");
    assert!(log_signature::inclusion_proof(&app, 0).await.is_err());
    assert!(log_signature::inclusion_proof(&app, signed.rows + 1).await.is_err());

    play(&mut stage, &["pay B1"]).await;
    while trail::chain(&app).await.unwrap() > 0 {}
    assert_eq!(difference(&signed).await, None, "what comes later changes nothing");
    let longer = log_signature::sign(&app).await.unwrap();
    assert!(longer.rows > signed.rows);
    assert_eq!(proof.flaw(&signers), None, "an old proof stays one");

    // The table owner drops the triggers, deletes the newest rows and resets the counter.
    let sqlite = app.store.engine_name() == "sqlite";
    let guard = if sqlite { "DROP TRIGGER audit_not_removed" } else { "DROP TRIGGER audit_stays ON audit" };
    raw_sql(&stage, guard).await;
    raw_sql(&stage, &format!("DELETE FROM audit WHERE seq > {}", signed.rows - 1)).await;
    raw_sql(&stage, &format!("UPDATE counter SET value = {} WHERE name = 'audit'", signed.rows - 1)).await;
    let chain = bursar::ops::verify::chain(&mut app.store.read().await.unwrap()).await.unwrap();
    assert!(chain.holds(), "the chain alone does not show it");
    assert!(difference(&longer).await.unwrap().contains("cut off"));
    assert!(difference(&signed).await.unwrap().contains("cut off"));
    // Other rows are chained in their place.
    play(&mut stage, &["hold bo on"]).await;
    while trail::chain(&app).await.unwrap() > 0 {}
    assert!(difference(&signed).await.unwrap().contains("not the ones that were signed"));
    stage.close(Ok(())).await;
}

/// Once a day the auditors receive a signed statement of the log's length.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_auditors_keep_what_was_signed() {
    let stage = open("signed_daily").await;
    let _pat = Browser::of(&stage.world, Role::Auditor, "pat").await;
    for _ in 0..3 {
        look(&stage).await;
    }
    let mut database = beside(&stage.world).await;
    let message = "SELECT CAST(COUNT(*) AS TEXT) FROM outbox WHERE notice = 'activity_log_signed'";
    assert_eq!(text(&mut database, message).await, "1");
    let detail = "SELECT detail FROM outbox WHERE notice = 'activity_log_signed'";
    let detail: serde_json::Value = serde_json::from_str(&text(&mut database, detail).await).unwrap();
    let signed = Signature::parse(detail["signature"].as_str().unwrap()).unwrap();
    let app = &stage.world.app;
    let difference =
        log_signature::difference(&mut app.store.read().await.unwrap(), &app.master_key, &signed).await;
    assert_eq!(difference.unwrap(), None);
    stage.close(Ok(())).await;
}
