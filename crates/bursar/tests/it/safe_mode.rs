//! Safe mode and every verb: each verb on rewards, batches and payments is either refused in safe mode or listed here with
//! the reason why not.

use bursar::ops::batches::Selection;
use bursar::ops::by_hand::{Finding, ParkedFinding, SearchCompleteness};
use bursar::ops::pay::{Balances, ConfirmedTotals};
use bursar::ops::rewards::{Edit, RewardSelection, Verdict};
use bursar::ops::{OpsError, batches, by_hand, pay, rewards, transactions};
use bursar::store::meta;
use bursar::store::transactions::Filter;
use payout::access::Role;
use payout::eligibility::Code;
use payout::ids::{BatchId, TransactionId};
use payout::law::Parked;
use payout::money::{Currency, Money};

use crate::pages::Browser;
use crate::scenarios::Stage;
use crate::world::World;

/// Verbs that only add or prepare stay allowed: they free and pay nothing.
const ALLOWED: [&str; 7] = [
    "batches::form",
    "batches::add",
    "batches::ask_release",
    "batches::release",
    "claims::override_threshold",
    "rewards::create",
    "transactions::ask_now",
];

const SOURCES: [(&str, &str); 8] = [
    ("batches", include_str!("../../src/ops/batches.rs")),
    ("by_hand", include_str!("../../src/ops/by_hand.rs")),
    ("claims", include_str!("../../src/ops/claims.rs")),
    ("pay", include_str!("../../src/ops/pay.rs")),
    ("rewards", include_str!("../../src/ops/rewards.rs")),
    ("rewards", include_str!("../../src/ops/rewards/review.rs")),
    ("rewards", include_str!("../../src/ops/rewards/undo.rs")),
    ("transactions", include_str!("../../src/ops/transactions.rs")),
];

/// Every public verb of these files: a function that takes the program and an actor.
fn verbs() -> Vec<String> {
    let mut found = Vec::new();
    for (module, source) in SOURCES {
        for part in source.split("pub async fn ").skip(1) {
            let name: String = part.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let head = part.split('{').next().unwrap_or("");
            if head.contains("app: &App") && head.contains("actor: &Actor") {
                found.push(format!("{module}::{name}"));
            }
        }
    }
    found
}

/// The test data: a paid and an unpaid reward, a draft, a failed payment.
struct There {
    paid: String,
    free: String,
    draft: BatchId,
    failed: TransactionId,
}

/// Tries every verb that must be refused.
async fn tries(world: &World, on: &There) -> Vec<(&'static str, Result<(), OpsError>)> {
    let (app, actor) = (&world.app, &world.actor);
    let (paid, free, draft, failed) = (on.paid.as_str(), on.free.as_str(), on.draft, on.failed);
    let seen = ConfirmedTotals { digest: String::new(), totals: Vec::new() };
    let cent = Money::new(1, Currency::parse("USD").unwrap());
    let void = Verdict::Void { reason: "entered twice".to_owned(), shown: false };
    let none = RewardSelection::Ids(Vec::new());
    let (reference, paid_on) = (String::new(), String::new());
    let not_made = Finding::NotMade {
        looked: SearchCompleteness::Through,
        of: Vec::new(),
        contradicted_at: None,
        found: Vec::new(),
    };
    let lost = ParkedFinding { how: Parked::GivenUp, reference, paid_on, note: "asked".to_owned() };
    vec![
        ("batches::remove", batches::remove(app, actor, draft, &[], None).await.map(drop)),
        ("batches::remove_blocked", batches::remove_blocked(app, actor, draft, None).await.map(drop)),
        ("batches::delete", batches::delete(app, actor, draft).await.map(drop)),
        (
            "pay::pay",
            pay::pay(
                app,
                actor,
                draft,
                &shown(world, draft).await.unwrap_or(seen),
                &Balances::default(),
                None,
            )
            .await
            .map(drop),
        ),
        ("rewards::edit", rewards::edit(app, actor, free, None, &Edit::default()).await.map(drop)),
        ("rewards::delete", rewards::delete(app, actor, free, None).await),
        ("rewards::claw_back", rewards::claw_back(app, actor, paid, cent, "too much", None).await.map(drop)),
        ("rewards::decide", rewards::decide(app, actor, free, None, &void, None).await.map(drop)),
        (
            "rewards::decide_many",
            rewards::decide_many(app, actor, &none, &Verdict::Approve, None).await.map(drop),
        ),
        (
            "rewards::decide_and_keep",
            rewards::decide_and_keep(app, actor, &none, &Verdict::Approve, "", None).await.map(drop),
        ),
        ("rewards::undo", rewards::undo(app, actor, "dec_none").await.map(drop)),
        ("transactions::resubmit", transactions::resubmit(app, actor, failed, None).await.map(drop)),
        (
            "transactions::return_to_pool",
            transactions::return_to_pool(app, actor, failed, None).await.map(drop),
        ),
        (
            "transactions::cancel_unclaimed",
            transactions::cancel_unclaimed(app, actor, failed, None).await.map(drop),
        ),
        (
            "transactions::mark_paid_outside",
            transactions::mark_paid_outside(app, actor, failed, "REF", "2026-03-02", None).await.map(drop),
        ),
        (
            "by_hand::settle_by_hand",
            by_hand::settle_by_hand(app, actor, failed, &not_made, "asked", None).await.map(drop),
        ),
        ("by_hand::settle_parked", by_hand::settle_parked(app, actor, failed, &lost, None).await.map(drop)),
    ]
}

async fn shown(world: &World, draft: BatchId) -> Option<ConfirmedTotals> {
    let mut db = world.app.store.read().await.unwrap();
    let view = batches::view(&mut db, &draft.to_string(), world.now()).await.ok()?;
    Some(ConfirmedTotals { digest: view.digest, totals: view.totals })
}

#[tokio::test]
async fn in_safe_mode_no_verb_changes_a_payment_or_frees_a_reward() {
    let mut stage = Stage::open("safe_mode_verbs", 3).await;
    for line in [
        "partner ana paypal ana@example.com",
        "partner bo paypal sim-refused-bo@example.com",
        "reward R1 ana 10.00 approved",
        "reward R2 bo 20.00 approved",
        "reward R3 ana 30.00 approved",
        "reward R4 ana 40.00",
        "batch B1 R1",
        "batch B2 R2",
        "pay B1",
        "pay B2",
        "live 1 minute",
        "expect ana success",
        "expect bo failed",
    ] {
        stage.one(line).await.unwrap();
    }
    let world = &stage.world;
    let mut db = world.app.store.read().await.unwrap();
    let all = transactions_of(&mut db).await;
    let failed = all.iter().find(|one| one.state == payout::transaction::State::Failed).unwrap().id;
    drop(db);
    let (paid, free) = (stage.number("R1").await.unwrap(), stage.number("R4").await.unwrap());
    let number = stage.number("R3").await.unwrap();
    let mut db = world.app.store.read().await.unwrap();
    let third = bursar::store::rewards::find(&mut db, &number).await.unwrap().unwrap().entered.id;
    drop(db);
    let choose = Selection::Named(vec![third]);
    let draft = batches::form(&world.app, &world.actor, &choose, true, None).await.unwrap().batch.id;
    stage.one("safe-mode on").await.unwrap();
    let there = There { paid, free, draft, failed };
    let tried = tries(&stage.world, &there).await;
    for (verb, outcome) in &tried {
        let Err(OpsError::Blocked(blockers)) = outcome else { panic!("{verb}: {outcome:?}") };
        assert!(blockers.iter().any(|one| one.code == Code::SafeMode), "{verb}: {blockers:?}");
    }
    let mut known: Vec<&str> = tried.iter().map(|(verb, _)| *verb).chain(ALLOWED).collect();
    let mut found = verbs();
    known.sort_unstable();
    found.sort_unstable();
    assert_eq!(known, found, "a verb that is neither tried here nor said to be allowed");
    stage.one("safe-mode off").await.unwrap();
    stage.close(Ok(())).await;
}

/// Two processes at once: a write fails if the state has changed since it was read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_it_stands_is_never_written_over_unread() {
    let stage = Stage::open("safe_mode_unread", 8).await;
    let mut tx = stage.world.app.store.begin().await.unwrap();
    assert!(meta::replace(&mut tx, "safe_mode", None, "first").await.unwrap());
    assert!(!meta::replace(&mut tx, "safe_mode", None, "another's first").await.unwrap());
    assert!(meta::replace(&mut tx, "safe_mode", Some("first"), "second").await.unwrap());
    assert!(!meta::replace(&mut tx, "safe_mode", Some("first"), "late").await.unwrap());
    assert!(!meta::unset_as(&mut tx, "safe_mode", "first").await.unwrap());
    assert_eq!(meta::get(&mut tx, "safe_mode").await.unwrap().as_deref(), Some("second"));
    assert!(meta::unset_as(&mut tx, "safe_mode", "second").await.unwrap());
    tx.commit().await.unwrap();
    stage.close(Ok(())).await;
}

async fn transactions_of(db: &mut bursar::store::Db) -> Vec<bursar::store::transactions::Transaction> {
    bursar::store::transactions::list(db, &Filter::default(), 100).await.unwrap()
}

#[tokio::test]
async fn a_person_who_stops_everything_is_told_so_and_what_goes_out_when_it_ends() {
    let mut stage = Stage::open("safe_mode_by_hand", 431).await;
    for line in
        ["partner ana paypal ana@example.com", "reward R1 ana 10.00 approved", "batch B1 R1", "pay B1"]
    {
        stage.one(line).await.unwrap();
    }
    let app = &stage.world.app;
    bursar::ops::safe_mode::switch_on(app, &stage.world.actor, None, "audit week").await.unwrap();
    let refused = rewards::delete(app, &stage.world.actor, &stage.number("R1").await.unwrap(), None).await;
    let Err(OpsError::Blocked(why)) = refused else { panic!("{refused:?}") };
    let sentence = why[0].message();
    assert!(
        sentence.contains("switched it on. audit week.") && sentence.contains("Bursar does not compare it"),
        "{sentence}"
    );
    assert!(!sentence.contains("missing recent"), "nobody says that the database is old: {sentence}");

    let mut pat = Browser::of(&stage.world, Role::Admin, "pat").await;
    let page = pat.read("/safe-mode").await;
    page.says("audit week.");
    // A second press changes nothing: what the first one said stays, and when.
    let kept = async || meta::get(&mut app.store.read().await.unwrap(), "safe_mode").await.unwrap();
    let before = kept().await;
    bursar::ops::safe_mode::switch_on(app, &stage.world.other, None, "another week").await.unwrap();
    assert_eq!(kept().await, before);
    page.says("1 payment that is queued or got no answer: 10.00 USD");
    let number = stage.number("ana").await.unwrap();
    pat.read(&format!("/transactions/{number}")).await.says("Safe mode is on. Payments cannot be changed");
    let csrf = page.hidden("csrf");
    pat.post_on("/safe-mode/off", &[("csrf", &csrf)]).await.says("Safe mode stays on.");
    let sure = [("csrf", csrf.as_str()), ("checked", "yes")];
    let off = pat.post_on("/safe-mode/off", &sure).await;
    off.says("Safe mode is off. Payments resume.");
    off.says("Now being sent: 1 payment that is queued or got no answer: 10.00 USD.");
    stage.one("live 1 minute").await.unwrap();
    stage.one("expect ana success").await.unwrap();
    stage.close(Ok(())).await;
}

/// Bursar cannot see a destination that was changed after the backup, so a person vouches for it before payments go on.
#[tokio::test]
async fn after_a_restore_somebody_says_that_lost_destinations_are_entered_again() {
    let mut stage = Stage::open("safe_mode_reentered", 433).await;
    stage.one("partner ana paypal ana@example.com").await.unwrap();
    let since = stage.world.now() - 3_600_000_000;
    bursar::ops::safe_mode::switch_on(&stage.world.app, &stage.world.actor, Some(since), "").await.unwrap();
    stage.one("live 10 minutes").await.unwrap();
    let mut pat = Browser::of(&stage.world, Role::Admin, "pat").await;
    let page = pat.read("/safe-mode").await;
    page.says("Every payment that was in progress has been looked up.");
    page.says("Holds, closed payees and changed destinations since");
    let csrf = page.hidden("csrf");
    let seen = [("csrf", csrf.as_str()), ("checked", "yes")];
    let refused = pat.post_on("/safe-mode/off", &seen).await;
    refused.says("Safe mode stays on, and nothing is sent: Holds, closed payees and changed destinations");
    let vouched = [seen[0], seen[1], ("reentered", "yes")];
    pat.post_on("/safe-mode/off", &vouched).await.says("Safe mode is off. Payments resume.");
    stage.close(Ok(())).await;
}

#[tokio::test]
async fn what_is_asked_back_goes_out_too_when_safe_mode_ends() {
    let mut stage = Stage::open("safe_mode_asked_back", 432).await;
    for line in [
        "partner bo stripe acct_sim_closed_bo",
        "partner hal paypal sim-unclaimed-hal@example.com",
        "reward R1 bo 10.00 approved",
        "reward R2 hal 20.00 approved",
        "batch B1 all",
        "pay B1",
        "live 1 minute",
        "expect bo payout_failed",
        "expect hal pending_processing unclaimed reason RECEIVER_UNREGISTERED",
        "return bo",
        "cancel hal",
    ] {
        stage.one(line).await.unwrap();
    }
    bursar::ops::safe_mode::switch_on(&stage.world.app, &stage.world.actor, None, "wait").await.unwrap();
    let mut pat = Browser::of(&stage.world, Role::Admin, "pat").await;
    pat.read("/safe-mode").await.says("2 payments that are being reversed: 30.00 USD");
    stage.close(Ok(())).await;
}
