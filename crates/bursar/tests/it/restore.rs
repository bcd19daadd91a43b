//! Backups and restores: the files, automatic detection of an older database, and drills in which nothing may be paid twice
//! according to the vendors' books. Not here: safe mode and every verb (`safe_mode`).

mod drills;
mod files;
mod sealed;
mod settled;

use std::collections::BTreeMap;

use bursar::ops::reconciliation;
use bursar::ops::rewards::Verdict;
use bursar::ops::safe_mode::{self, SafeModeCause, SettlementNote, Vouched};
use bursar::ops::{OpsError, rewards};
use bursar::store::directory::{self, HeldBy};
use bursar::store::put_back;
use bursar::store::reconciliation::days;
use bursar::work::movements;
use payout::access::Role;
use payout::eligibility::PayeeStanding;
use payout::money::Vendor;
use payout::reconciliation::Aspect;

use crate::pages::Browser;
use crate::scenarios::{Stage, say_of_found};

async fn play(stage: &mut Stage, lines: &[&str]) {
    for line in lines {
        stage.one(line).await.unwrap();
    }
}

/// The state of safe mode: why it is on, and what keeps it on.
async fn standing(stage: &Stage) -> (Option<SafeModeCause>, Vec<String>) {
    let report = safe_mode::report(&mut stage.world.app.store.read().await.unwrap(), &[]).await.unwrap();
    (report.state.map(|state| state.why), report.keeps_on)
}

/// What left our balances for each destination and did not come back, in cents, from the vendors' books.
fn paid(stage: &Stage) -> BTreeMap<String, i64> {
    let books = stage.world.simulator.books();
    let mut paid: BTreeMap<String, i64> = BTreeMap::new();
    for one in &books.transfers {
        *paid.entry(one.destination.clone()).or_default() += one.amount - one.amount_reversed;
    }
    let back = ["FAILED", "RETURNED", "REFUNDED", "REVERSED", "BLOCKED", "DENIED"];
    for one in books.items.iter().filter(|one| !back.contains(&one.status.as_str())) {
        *paid.entry(one.receiver.clone()).or_default() += one.amount;
    }
    paid
}

/// An administrator's steps until safe mode can be left: wait, look up, settle found payments that hold nobody.
async fn leave_safe_mode(stage: &mut Stage) {
    let vouched = Vouched { compared: &[], reentered: true };
    for _ in 0..30 {
        match safe_mode::leave(&stage.world.app, &stage.world.actor, vouched).await {
            Ok(()) => return,
            Err(OpsError::Conflict(refusal)) => assert_eq!(refusal.code, "safe_mode_open"),
            Err(error) => panic!("{error:?}"),
        }
        stage.one("live 1 minute").await.unwrap();
    }
    panic!("it is never left: {:?}", standing(stage).await);
}

/// The unsettled payments found at the vendors: payee and amount.
async fn found(stage: &Stage) -> Vec<(String, String, String)> {
    let mut db = stage.world.app.store.read().await.unwrap();
    let found = put_back::list_found(&mut db, 1_000).await.unwrap().into_iter();
    let open = found.filter(|one| one.settled.is_none()).map(|one| one.found);
    open.map(|one| (one.destination, one.amount.to_string(), one.object_id)).collect()
}

async fn void(stage: &Stage, number: &str) {
    let (app, actor) = (&stage.world.app, &stage.world.actor);
    let paid = Verdict::Void { reason: "paid before the database was put back".to_owned(), shown: false };
    rewards::decide(app, actor, number, None, &paid, None).await.unwrap();
}

/// Payees at both vendors, and a payout in progress.
const BEFORE: &[&str] = &[
    "partner ana paypal ana@example.com",
    "partner bo stripe acct_bo",
    "partner cy stripe acct_cy",
    "partner di paypal di@example.com",
    "partner ed stripe acct_ed",
    "reward R1 ana 10.00 approved",
    "reward R2 bo 20.00 approved",
    "reward R3 cy 30.00 approved",
    "reward R4 di 40.00 approved",
    "reward R5 ed 50.00 approved",
    "reward R6 bo 60.00 approved",
    "batch B1 R1 R2",
    "pay B1",
];

/// Payments of every kind are in progress when the database is saved. They continue, others are made, and then the old file
/// is copied back by hand, without using Bursar's own restore.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_database_is_noticed_and_nothing_is_paid_twice() {
    let mut stage = Stage::swift("put_back", 31).await;
    stage.remember().await;
    play(&mut stage, BEFORE).await;
    // B1 is paid and queued; R3 and R4 are approved and free; R5 stays so.
    stage.restart(async |database| database.save("old").await).await;
    play(
        &mut stage,
        &[
            "live 1 hour",
            "expect ana success",
            "expect bo success",
            "batch B2 R3 R4",
            "pay B2",
            "live 1 hour",
            "expect cy success",
            "expect di success",
            "live 2 days",
        ],
    )
    .await;
    let before = paid(&stage);
    assert_eq!(before.values().sum::<i64>(), 10_000, "{before:?}");

    let noticed = stage.restart(async |database| database.put_back("old").await).await;
    assert!(noticed, "the mark beside the key is ahead");
    assert_eq!(standing(&stage).await.0, Some(SafeModeCause::Behind));
    play(&mut stage, &["batch B3 R3 R4 R5", "refuse safe_mode pay B3", "live 1 minute"]).await;
    let (_, keeps_on) = standing(&stage).await;
    assert!(!keeps_on.is_empty(), "it is not left before what was on its way can be seen");
    leave_safe_mode(&mut stage).await;
    assert_eq!(paid(&stage), before, "nothing is sent while it is on");
    play(&mut stage, &["expect ana success", "expect bo success"]).await;

    // Payments this database never knew hold the payees they paid, and nobody else.
    let mut held = found(&stage).await;
    held.sort();
    let held: Vec<(&str, &str)> = held.iter().map(|(to, amount, _)| (to.as_str(), amount.as_str())).collect();
    assert_eq!(held, [("acct_cy", "30.00 USD"), ("di@example.com", "40.00 USD")]);
    play(&mut stage, &["blocked B3 partner_on_hold"]).await;
    who_is_held(&stage).await;
    stage.one("clear B3").await.unwrap();
    for reward in ["R3", "R4"] {
        void(&stage, &stage.number(reward).await.unwrap()).await;
    }
    for (_, _, object) in found(&stage).await {
        let (app, actor) = (&stage.world.app, &stage.world.actor);
        let empty =
            safe_mode::settle_found(app, actor, &object, SettlementNote { note: " ", none_of: None }).await;
        assert!(matches!(empty, Err(OpsError::Refused(refusal)) if refusal.code == "note_required"));
        say_of_found(app, actor, &object, "its reward is voided").await.unwrap();
    }
    play(
        &mut stage,
        &[
            "reward R7 cy 5.00 approved",
            "add B3 R6 R7",
            "pay B3",
            "live 1 hour",
            "expect ed success",
            "expect bo success",
            "expect cy success",
        ],
    )
    .await;
    let after: i64 = paid(&stage).values().sum();
    assert_eq!(after, 10_000 + 5_000 + 6_000 + 500, "{:?}", paid(&stage));
    let again = stage.restart(async |_| ()).await;
    assert!(!again, "it is noticed once");
    stage.close(Ok(())).await;
}

/// The list of payees, its filter, `bursar doctor` and the safe mode report name exactly those on hold.
async fn who_is_held(stage: &Stage) {
    let app = &stage.world.app;
    let mut db = app.store.read().await.unwrap();
    let held = directory::Filter { standing: Some(PayeeStanding::OnHold), ..directory::Filter::default() };
    let listed = directory::list(&mut db, &held, 100).await.unwrap();
    let ids: Vec<(&str, Option<HeldBy>)> =
        listed.iter().map(|one| (one.external_id.as_str(), one.held_by)).collect();
    assert_eq!(ids, [("cy", Some(HeldBy::Found)), ("di", Some(HeldBy::Found))]);
    let active = directory::Filter { standing: Some(PayeeStanding::Active), ..directory::Filter::default() };
    let active = directory::list(&mut db, &active, 100).await.unwrap();
    assert!(active.iter().all(|one| !["cy", "di"].contains(&one.external_id.as_str())));
    assert_eq!(active.len(), 3);
    let report = safe_mode::report(&mut db, &[]).await.unwrap();
    let says =
        "The vendors have 2 payments that are missing here or differ. On hold until each is settled: cy, di.";
    assert!(report.open.iter().any(|one| one == says), "{:?}", report.open);
}

/// Requests with an unknown outcome when the database was saved: executed since, or never.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_over_is_looked_up_and_never_blindly_sent() {
    let mut stage = Stage::swift("looked_up", 32).await;
    stage.remember().await;
    play(
        &mut stage,
        &[
            "partner ana paypal ana@example.com",
            "partner bo stripe acct_bo",
            "partner cy stripe acct_cy",
            "reward R1 ana 10.00 approved",
            "reward R2 bo 20.00 approved",
            "reward R3 cy 30.00 approved",
            "batch B1 R1 R2",
            "batch B2 R3",
            "vendor stripe 503 times 3",
            "vendor paypal 503 times 3",
            "pay B1",
            "tick dispatch",
        ],
    )
    .await;
    stage.restart(async |database| database.save("old").await).await;
    // B1 was executed after all; B2 is recorded, and the lost database never sent it.
    play(&mut stage, &["live 1 hour", "expect ana success", "expect bo success", "live 3 days"]).await;
    let before = paid(&stage);
    assert!(stage.restart(async |database| database.put_back("old").await).await);
    play(&mut stage, &["refuse safe_mode pay B2"]).await;
    let asked = stage.world.simulator.books().requests.len();
    leave_safe_mode(&mut stage).await;
    assert_eq!(stage.world.simulator.books().requests.len(), asked, "nothing is sent, not even to look");
    play(
        &mut stage,
        &["expect ana success", "expect bo success", "pay B2", "live 1 hour", "expect cy success"],
    )
    .await;
    let after = paid(&stage);
    assert_eq!(after.values().sum::<i64>(), before.values().sum::<i64>() + 3_000, "{after:?}");
    stage.close(Ok(())).await;
}

/// Payments recorded and never sent by any process are proven unsent, and are sent when safe mode ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_never_sent_goes_on_under_its_own_key() {
    let mut stage = Stage::swift("never_sent", 33).await;
    stage.remember().await;
    play(
        &mut stage,
        &[
            "partner ana paypal ana@example.com",
            "partner bo stripe acct_bo",
            "partner cy paypal cy@example.com",
            "reward R1 ana 10.00 approved",
            "reward R2 bo 20.00 approved",
            "reward R3 cy 30.00 approved",
            "batch B1 R1 R2",
            "batch B2 R3",
            "pay B1",
        ],
    )
    .await;
    stage.restart(async |database| database.save("old").await).await;
    // Another payment is sent, so that the old database can be told from the new one; B1 never is.
    play(&mut stage, &["hold ana on", "hold bo on", "pay B2", "live 1 hour"]).await;
    assert!(stage.restart(async |database| database.put_back("old").await).await);
    leave_safe_mode(&mut stage).await;
    play(&mut stage, &["live 1 hour", "expect ana success", "expect bo success"]).await;
    play(&mut stage, &["attempts bo transfer=1 payout=1", "attempts ana item=1"]).await;
    assert_eq!(paid(&stage).values().sum::<i64>(), 6_000);
    stage.close(Ok(())).await;
}

/// The database goes back while a process is serving: a standby without the latest commits was promoted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_goes_back_under_a_running_process_is_noticed() {
    let mut stage = Stage::swift("failed_over", 34).await;
    play(
        &mut stage,
        &[
            "partner ana paypal ana@example.com",
            "partner bo stripe acct_bo",
            "reward R1 ana 10.00 approved",
            "reward R2 bo 20.00 approved",
            "batch B1 R1",
            "batch B2 R2",
            "pay B1",
            "live 1 hour",
        ],
    )
    .await;
    // The process remembers what it has seen; the counter in the database is set back underneath it.
    let url = stage.world.database_url.clone();
    crate::world::run(&url, "UPDATE counter SET value = value - 1 WHERE name = 'sent'".to_owned()).await;
    play(&mut stage, &["pay B2", "tick dispatch"]).await;
    assert_eq!(
        standing(&stage).await.0,
        Some(SafeModeCause::Behind),
        "at the next sending, without any mark"
    );
    assert_eq!(paid(&stage).values().sum::<i64>(), 1_000, "and nothing was sent by it");
    leave_safe_mode(&mut stage).await;
    play(&mut stage, &["live 1 hour", "expect bo success", "attempts bo transfer=1 payout=1"]).await;
    assert_eq!(paid(&stage).values().sum::<i64>(), 3_000);
    stage.close(Ok(())).await;
}

/// Money that left for a payment this database lost is labeled so in Reconciliation, at both vendors, with its payee.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reconciliation_knows_what_safe_mode_lists() {
    let mut stage = Stage::swift("put_back_reconciled", 32).await;
    stage.remember().await;
    play(&mut stage, BEFORE).await;
    play(&mut stage, &["pull"]).await;
    stage.restart(async |database| database.save("old").await).await;
    play(&mut stage, &["live 1 hour", "batch B2 R3 R4", "pay B2", "live 1 hour", "expect di success"]).await;
    let noticed = stage.restart(async |database| database.put_back("old").await).await;
    assert!(noticed, "the mark beside the key is ahead");
    let mut early = Browser::of(&stage.world, Role::Auditor, "eve").await;
    early.read("/reconciliation").await.says("Stripe was last read before this database was restored");
    let pulls = bursar::store::reconciliation::pulls(&mut stage.world.app.store.read().await.unwrap()).await;
    let now = stage.world.now();
    assert!(pulls.unwrap().iter().all(|pull| pull.due_at <= now), "what is missing is read at once");
    play(&mut stage, &["live 1 minute"]).await;
    leave_safe_mode(&mut stage).await;
    movements::all(&stage.world.works[0], None).await.unwrap();
    let mut db = stage.world.app.store.read().await.unwrap();
    let days = reconciliation::list(&mut db, &days::Filter::default(), None, 100).await.unwrap();
    drop(db);
    let (mut seen, mut fees) = (Vec::new(), 0);
    for day in &days {
        for case in day.cases.iter().filter(|case| case.known.is_some()) {
            assert_eq!(day.standing(), reconciliation::DayStanding::DoesNotTie);
            assert!(case.message().contains("made to") && !case.message().contains("By its amount"));
            if case.aspect == Aspect::Fee {
                assert_eq!(case.label(), "Fee of a payment made after the backup");
                fees += 1;
                continue;
            }
            assert_eq!((case.label(), case.wants_somebody()), ("Made after the backup", true));
            assert!(case.message().contains("The Safe mode page lists it"), "{}", case.message());
            let reversed = case.remedy().contains("reversed only if no payout took it");
            assert_eq!(reversed, case.of.vendor == Vendor::Stripe, "{}", case.remedy());
            let pages: Vec<&str> =
                case.known.iter().flat_map(|one| &one.pages).map(|(_, words)| words.as_str()).collect();
            seen.push((case.of.vendor, case.moved.decimal(), pages.join(", ")));
        }
    }
    seen.sort();
    let row = |vendor, moved: &str, pages: &str| (vendor, moved.to_owned(), pages.to_owned());
    assert_eq!(
        seen,
        [row(Vendor::Stripe, "-30.00", "Safe mode, cy"), row(Vendor::PayPal, "-40.00", "Safe mode, di")]
    );
    assert_eq!(fees, 1, "PayPal's fee for it has a name");
    let mut browser = Browser::of(&stage.world, Role::Auditor, "aud").await;
    let page = browser.read("/reconciliation").await;
    let day =
        page.body.split("href=\"/reconciliation/day?").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let page = browser.read(&format!("/reconciliation/day?{}", day.replace("&#38;", "&"))).await;
    page.says("Made after the backup");
    assert!(page.body.contains("<a href=\"/safe-mode\">"), "{}", page.body);
    stage.close(Ok(())).await;
}
