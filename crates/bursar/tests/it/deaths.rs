//! Crashes: another process takes over immediately, whatever kind of lease the dead one held. Also credentials that cannot
//! be decrypted, and requests that outlive their client.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use base64::Engine as _;
use bursar::app::{App, Inner, Nudge};
use bursar::clock::Clock;
use bursar::ops::idempotency::{self, KeyOutcome, Reply};
use bursar::ops::nodes::{self, NodeCensus};
use bursar::ops::vendors as connections;
use bursar::ops::{self, OpsError};
use bursar::secrets::MasterKey;
use bursar::store::sealed::Column;
use bursar::store::transactions::{self, Filter};
use bursar::store::{Store, vendors};
use bursar::transact;
use bursar::work::{Work, dispatch};
use payout::money::Vendor;
use payout::transaction::State;

use crate::scenarios::Stage;
use crate::world::{CONNECTIONS, World};

/// Another process on the same database.
async fn another(world: &World) -> App {
    let app = &world.app;
    App::new(Inner {
        store: Store::open_with(&app.config.database_url, CONNECTIONS).await.unwrap(),
        clock: app.clock.clone(),
        config: app.config.clone(),
        base_url: app.base_url.clone(),
        master_key: app.master_key.clone(),
        nudge: Nudge::default(),
    })
}

async fn play(stage: &mut Stage, lines: &[&str]) {
    for line in lines {
        stage.one(line).await.unwrap();
    }
}

async fn leased_to_ask(app: &App, vendor: Vendor) -> usize {
    let now = app.clock.now();
    let leased: ops::Result<Vec<_>> =
        transact!(app, |tx| { Ok(transactions::lease_to_ask(tx, vendor, now, now + 60_000_000, 10).await?) });
    leased.unwrap().len()
}

#[tokio::test]
async fn what_a_dead_process_held_is_free_at_once() {
    let mut stage = Stage::open("dead_process", 21).await;
    nodes::join(&stage.world.app, true).await.unwrap();
    play(
        &mut stage,
        &[
            "partner ana paypal ana@example.com",
            "partner bo stripe acct_bo",
            "reward R1 ana 10.00 approved",
            "reward R2 bo 20.00 approved",
            "reward R3 ana 30.00 approved",
            "batch B1 R1 R2",
            "batch B2 R3",
            "pay B1",
            "tick dispatch",
            "later 1 hour",
            "pay B2",
            "die begin and send",
        ],
    )
    .await;
    let (app, second) = (&stage.world.app, another(&stage.world).await);
    assert!(leased_to_ask(app, Vendor::Stripe).await > 0 && leased_to_ask(app, Vendor::PayPal).await > 0);
    let begin = async |app: &App| idempotency::begin(app, "per_1", "k", "h").await.unwrap();
    assert!(matches!(begin(app).await, KeyOutcome::First(_)));
    assert!(matches!(begin(&second).await, KeyOutcome::Running));
    assert_eq!(leased_to_ask(&second, Vendor::PayPal).await, 0);

    // On SQLite the starting process knows it is alone; on PostgreSQL the others see that the dead one's heartbeat has
    // stopped.
    let alone = second.store.engine_name() == "sqlite";
    nodes::join(&second, alone).await.unwrap();
    if !alone {
        let census = NodeCensus::default();
        let mut ended = 0;
        for _ in 0..12 {
            ended += nodes::heartbeat(&second, &census).await.unwrap();
        }
        assert!(ended >= 4, "{ended}");
    }
    assert!(leased_to_ask(&second, Vendor::Stripe).await > 0, "the asking goes on");
    assert!(matches!(begin(&second).await, KeyOutcome::First(_)), "the request may be repeated");
    let work = Work::new(second.clone(), None).unwrap();
    let sent = dispatch::once(&work, Vendor::PayPal, second.clock.now()).await.unwrap();
    assert!(sent > 0, "what was about to be sent is sent, and no time has passed");
    nodes::leave(&second).await.unwrap();
    second.store.close().await;
    stage.close(Ok(())).await;
}

/// Every table with leases is listed where a dead process's leases end.
#[test]
fn every_kind_of_lease_ends_with_its_process() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/store/migrations");
    let mut tables = std::collections::BTreeSet::new();
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    for file in files.filter(|path| path.extension().is_some_and(|ending| ending == "sql")) {
        let text = std::fs::read_to_string(file).unwrap();
        for table in text.split("CREATE TABLE ").skip(1) {
            let (name, rest) = table.split_once(" (").unwrap();
            if rest.split(");").next().unwrap_or("").contains("lease_until") {
                tables.insert(name.to_owned());
            }
        }
    }
    assert!(tables.len() >= 6, "{tables:?}");
    let ends = include_str!("../../src/store/nodes.rs");
    for table in tables {
        assert!(ends.contains(&format!("UPDATE {table} SET")), "{table}");
    }
}

struct Process(Child);

impl Process {
    /// Starts a real `bursar serve` on the world's database and vendors.
    fn start(world: &World, key: &std::path::Path) -> Self {
        let config = &world.app.config;
        let child = Command::new(env!("CARGO_BIN_EXE_bursar"))
            .arg("serve")
            .arg(format!("--database-url={}", config.database_url))
            .arg("--listen=127.0.0.1:0")
            .arg(format!("--base-url={}", world.app.base_url))
            .arg(format!("--master-key-file={}", key.display()))
            .arg(format!("--stripe-api-base={}", config.stripe_api_base.as_deref().unwrap()))
            .arg(format!("--paypal-api-base={}", config.paypal_api_base.as_deref().unwrap()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }

    /// Kills it, like `kill -9`.
    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Waits for a condition while the vendors' clock advances.
async fn until(world: &World, what: &str, mut so: impl AsyncFnMut() -> bool) -> Duration {
    let clock = Clock::system();
    let begun = clock.now();
    loop {
        if so().await {
            return Duration::from_micros((clock.now() - begun).unsigned_abs());
        }
        assert!(clock.now() - begun < 60_000_000, "never: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
        world.pass(50_000);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_is_killed_is_replaced_within_seconds() {
    let mut stage = Stage::open_now("sigkill", 22).await;
    play(
        &mut stage,
        &[
            "partner ana paypal ana@example.com",
            "partner bo stripe acct_bo",
            "reward R1 ana 10.00 approved",
            "reward R2 bo 20.00 approved",
            "batch B1 R1 R2",
            "pay B1",
            "vendor bo slow 60000",
            "vendor ana slow 60000",
        ],
    )
    .await;
    let world = &stage.world;
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("master.key");
    std::fs::write(&key, base64::engine::general_purpose::STANDARD.encode([7u8; 32])).unwrap();

    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();

    let first = Process::start(world, &key);
    until(world, "both are on the wire", async || world.simulator.books().requests.len() >= 2).await;
    first.kill();
    let second = Process::start(world, &key);
    let went_on = until(world, "both answers are recorded", async || {
        let mut db = world.app.store.read().await.unwrap();
        let all = transactions::list(&mut db, &Filter::default(), 10).await.unwrap();
        all.iter().all(|one| !matches!(one.state, State::Queued | State::Sending | State::Unknown))
    });
    let went_on = went_on.await;
    second.kill();
    // A lease would have lasted half a minute. The bound leaves room for slow machines to start a process.
    assert!(went_on < Duration::from_secs(20), "{went_on:?}");
    let executed = world.simulator.books().requests.iter().filter(|one| one.executed).count();
    assert!(
        (2..=3).contains(&executed),
        "a transfer, a batch, and the bank payout if it came so far: {executed}"
    );
    stage.close(Ok(())).await;
}

#[tokio::test]
async fn credentials_that_do_not_open_hold_up_nobody_else() {
    let mut stage = Stage::open("sealed", 23).await;
    play(
        &mut stage,
        &[
            "partner ana paypal ana@example.com",
            "partner bo stripe acct_bo",
            "reward R1 ana 10.00 approved",
            "reward R2 bo 20.00 approved",
            "batch B1 R1 R2",
            "pay B1",
        ],
    )
    .await;
    let app = stage.world.app.clone();
    let all = vendors::all(&mut app.store.read().await.unwrap()).await.unwrap();
    let ours = all.into_iter().find(|one| one.vendor == Vendor::PayPal).unwrap();
    let sealed = MasterKey::new([9; 32]).seal(&app.clock, &Column::Connection.place("paypal"), "{}");
    let lost = vendors::Connection { sealed, ..ours };
    let put: ops::Result<()> = transact!(app, |tx| { Ok(vendors::put(tx, &lost).await?) });
    put.unwrap();
    play(
        &mut stage,
        &[
            "live 5 minutes",
            "expect bo success",
            "expect ana pending_processing waiting vendor_credentials_rejected",
            "announced vendor_credentials_rejected",
            "requests ana 0 executed 0",
            "hold ana on",
            "live 2 minutes",
            "hold ana off",
        ],
    )
    .await;
    let kept = connections::remove(&app, &stage.world.actor, Vendor::PayPal).await;
    let in_use = matches!(&kept, Err(OpsError::Conflict(refusal)) if refusal.code == "vendor_in_use");
    assert!(in_use, "somebody must be able to ask how it ends: {kept:?}");
    play(
        &mut stage,
        &["reconnect paypal", "live 1 minute", "expect ana success", "requests ana 1 executed 1"],
    )
    .await;
    let watched = connections::remove(&app, &stage.world.actor, Vendor::PayPal).await;
    assert!(matches!(watched, Err(OpsError::Conflict(_))), "watched for ten days");
    stage.one("live 15 days").await.unwrap();
    connections::remove(&app, &stage.world.actor, Vendor::PayPal).await.unwrap();
    let gone = connections::remove(&app, &stage.world.actor, Vendor::PayPal).await;
    assert!(matches!(gone, Err(OpsError::Missing)));
    stage.close(Ok(())).await;
}

#[tokio::test]
async fn a_clock_that_was_wrong_puts_nothing_off_for_ever() {
    let mut stage = Stage::open("clock_jumped", 24).await;
    play(
        &mut stage,
        &[
            "partner ana paypal ana@example.com",
            "reward R1 ana 10.00 approved",
            "batch B1 R1",
            "pay B1",
            "later 300 days",
            "vendor paypal 503",
            "tick dispatch",
        ],
    )
    .await;
    stage.world.pass(-300 * crate::world::DAY);
    stage.one("tick dispatch").await.unwrap();
    stage.one("expect ana pending_processing outcome_unknown").await.unwrap();
    bursar::work::sweep::once(&stage.world.works[0], stage.world.now()).await.unwrap();
    stage.one("tick dispatch").await.unwrap();
    stage.one("expect ana pending_processing needs_review").await.unwrap();
    stage.close(Ok(())).await;
}

#[tokio::test]
async fn a_request_keeps_its_key_for_as_long_as_it_runs() {
    let house = crate::api::TestApp::open("long_request").await;
    let begin = async || idempotency::begin(&house.app, "per_1", "k", "h").await.unwrap();
    let KeyOutcome::First(mark) = begin().await else { panic!("a new key is free") };
    let each = Duration::from_millis(10);
    let long = idempotency::running(&house.app, &mark, each, async {
        for _ in 0..5 {
            house.clock.pass(25_000_000);
            tokio::time::sleep(Duration::from_millis(200)).await;
            assert!(matches!(begin().await, KeyOutcome::Running), "its own retry does not take it over");
        }
        Reply { status: 200, content_type: "t".into(), body: "done".into() }
    });
    let reply = long.await;
    idempotency::keep(&house.app, &mark, &reply).await.unwrap();
    assert!(matches!(begin().await, KeyOutcome::Answered(kept) if kept == reply));
}

/// The client disconnects; the request still completes, and its response is there on retry.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_hangs_up_finds_the_answer_later() {
    let house = crate::api::TestApp::open("hung_up").await;
    house.seed_data().await;
    let router = bursar::web::router(Work::new(house.app.clone(), None).unwrap());
    let ask = || {
        let body = serde_json::json!({"external_id": "R1", "activity": "deal", "owner": "ana",
            "value": {"value": "10", "currency": "EUR"}});
        let request = Request::post("/api/v1/rewards")
            .header("authorization", format!("Bearer {}", house.admin))
            .header("content-type", "application/json")
            .header("idempotency-key", "once");
        let request = request.body(Body::from(body.to_string())).unwrap();
        tower::ServiceExt::oneshot(router.clone(), request)
    };
    let _ = tokio::time::timeout(Duration::from_millis(3), ask()).await;
    for _ in 0..200 {
        let answer = ask().await.unwrap();
        if answer.status() == 201 {
            return;
        }
        assert_eq!(answer.status(), 409, "it runs still");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it never ended");
}
