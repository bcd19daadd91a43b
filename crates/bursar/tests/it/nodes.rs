//! Several nodes on one database, and the guarantees of the database itself: locking, rejected writes, and deletions that
//! are detected. Some tests need PostgreSQL, where two transactions can write at once.

mod interleaved;
mod kept;
mod limits;
mod monthly;
mod pays;

use std::time::Duration;

use bursar::ops;
use bursar::ops::payees;
use bursar::ops::settings;
use bursar::ops::trail;
use bursar::ops::verify;
use bursar::store::Store;
use bursar::store::transactions::{self, Filter, LookupUpdate, Unshown};
use bursar::transact;
use payout::eligibility::PayeeStanding;
use payout::money::Vendor;
use payout::transaction::State;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Executor as _, Row as _, SqlSafeStr as _};

use serde_json::{Value, json};

use crate::api::TestApp;
use crate::need;
use crate::scenarios::Stage;
use crate::world::World;

/// A separate connection to a world's database, like an administrator's `psql`.
pub(crate) async fn beside(world: &World) -> AnyConnection {
    AnyConnection::connect(&world.app.config.database_url).await.unwrap()
}

pub(crate) async fn run(database: &mut AnyConnection, sql: &str) -> Result<(), String> {
    let done = database.execute(AssertSqlSafe(sql.to_owned()).into_sql_str()).await;
    done.map(|_| ()).map_err(|error| error.to_string())
}

pub(crate) async fn text(database: &mut AnyConnection, sql: &str) -> String {
    database.fetch_one(AssertSqlSafe(sql.to_owned()).into_sql_str()).await.unwrap().get(0)
}

/// A succeeded and a failed payment, with their books and audit trail.
async fn paid(name: &str) -> Stage {
    let mut stage = Stage::open(name, 1).await;
    for line in [
        "partner ana paypal ana@example.com",
        "partner bo paypal sim-closed-bo@example.com",
        "reward R1 ana 10.00 approved",
        "reward R2 bo 20.00 approved",
        "batch B1 all",
        "pay B1",
        "live 10 seconds",
        "expect ana success",
        "expect bo failed",
    ] {
        stage.one(line).await.unwrap();
    }
    stage
}

/// An event arrives while the response to an earlier query is being recorded, after which nothing is due any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_event_asks_for_outlives_the_answer_that_is_being_written() {
    if need::postgres().is_none() {
        return;
    }
    let stage = paid("hinted").await;
    let (app, now) = (stage.world.app.clone(), stage.world.now());
    let all = transactions::list(&mut app.store.read().await.unwrap(), &Filter::default(), 10).await.unwrap();
    let failed = all.iter().find(|one| one.state == State::Failed).unwrap().id;
    let asked: ops::Result<()> =
        transact!(app, |tx| { Ok(transactions::ask_now(tx, &[failed], now).await?) });
    asked.unwrap();
    let mut answering = app.store.begin().await.unwrap();
    let what = "the vendor says FAILED".to_owned();
    let over =
        LookupUpdate { id: failed, what, next_at: None, still_hinted: false, unshown: Unshown::default() };
    transactions::note_asked(&mut answering, &[over], now).await.unwrap();
    let another = app.clone();
    let event = tokio::spawn(async move {
        transact!(another, |tx| { Ok(transactions::ask_now(tx, &[failed], now).await?) }) as ops::Result<()>
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    answering.commit().await.unwrap();
    event.await.unwrap().unwrap();
    let leased: ops::Result<Vec<_>> =
        transact!(app, |tx| { Ok(transactions::lease_to_ask(tx, Vendor::PayPal, now, now + 1, 10).await?) });
    assert_eq!(leased.unwrap(), [failed]);
    stage.close(Ok(())).await;
}

/// SQLite rolls a transaction back by itself when its disk is full; here a trigger does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_could_not_write_is_written_again() {
    let stage = paid("writes_again").await;
    if stage.world.app.store.engine_name() == "postgres" {
        return;
    }
    let mut database = beside(&stage.world).await;
    let full =
        "CREATE TRIGGER no_room BEFORE UPDATE ON setting BEGIN SELECT RAISE(ROLLBACK, 'disk full'); END";
    run(&mut database, full).await.unwrap();
    let save = async || settings::save(&stage.world.app, &stage.world.actor, None, Ok).await;
    for _ in 0..3 {
        assert!(save().await.is_err());
    }
    run(&mut database, "DROP TRIGGER no_room").await.unwrap();
    save().await.unwrap();
    database.close().await.unwrap();
    stage.close(Ok(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_stands_in_the_books_and_in_the_trail_stays() {
    let stage = paid("stays").await;
    while trail::chain(&stage.world.app).await.unwrap() > 0 {}
    let mut database = beside(&stage.world).await;
    for table in ["posting", "journal", "audit"] {
        for sql in [format!("DELETE FROM {table}"), update(table)] {
            let message = run(&mut database, &sql).await.unwrap_err();
            assert!(message.contains("only ever added to"), "{sql}: {message}");
        }
    }
    database.close().await.unwrap();
    stage.close(Ok(())).await;
}

fn update(table: &str) -> String {
    let column = match table {
        "posting" => "amount_minor = 0",
        "journal" => "subject = 'x'",
        _ => "actor = 'x'",
    };
    format!("UPDATE {table} SET {column}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_that_does_not_balance_cannot_be_committed() {
    let stage = paid("balanced").await;
    let mut database = beside(&stage.world).await;
    run(&mut database, "PRAGMA foreign_keys = ON").await.ok();
    let journal = |id: &str| {
        format!("INSERT INTO journal (id, movement, subject, at) VALUES ('{id}', 'approve', 'x', 1)")
    };
    let posting = |id: &str, line: i64, currency: &str, minor: i64| {
        format!(
            "INSERT INTO posting (journal_id, line, account, currency, amount_minor) VALUES ('{id}', {line}, 'reward_expense', '{currency}', {minor})"
        )
    };
    let tries = [
        ("one_sided", vec![posting("one_sided", 1, "USD", 5)], false),
        ("two_money", vec![posting("two_money", 1, "USD", 5), posting("two_money", 2, "EUR", -5)], false),
        ("off_by_one", vec![posting("off_by_one", 1, "USD", 5), posting("off_by_one", 2, "USD", -4)], false),
        ("balanced", vec![posting("balanced", 1, "USD", 5), posting("balanced", 2, "USD", -5)], true),
    ];
    for (id, postings, may) in tries {
        run(&mut database, "BEGIN").await.unwrap();
        run(&mut database, &journal(id)).await.unwrap();
        for sql in postings {
            run(&mut database, &sql).await.unwrap();
        }
        let committed = run(&mut database, "COMMIT").await;
        assert_eq!(committed.is_ok(), may, "{id}: {committed:?}");
        run(&mut database, "ROLLBACK").await.ok();
    }
    // Nor in a later database transaction.
    assert!(run(&mut database, &posting("balanced", 3, "USD", 7)).await.is_err());
    database.close().await.unwrap();
    stage.close(Ok(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_is_not_booked_a_second_time() {
    let stage = paid("once").await;
    let mut database = beside(&stage.world).await;
    run(&mut database, "PRAGMA foreign_keys = ON").await.ok();
    for (movement, other) in [("post", "vendor_balance:paypal"), ("void", "payable:x")] {
        let subject =
            text(&mut database, &format!("SELECT subject FROM journal WHERE movement = '{movement}'")).await;
        let id = text(&mut database, &format!("SELECT id FROM journal WHERE movement = '{movement}'")).await;
        assert!(id.ends_with(movement), "{id} is not made of what it comes of");
        let again = format!(
            "INSERT INTO journal (id, movement, subject, at) VALUES ('{id}', '{movement}', '{subject}', 1)"
        );
        assert!(run(&mut database, &again).await.is_err(), "{movement} of the same attempt");
        // A payment that reuses the ID under another name fails the in-flight balance check.
        run(&mut database, "BEGIN").await.unwrap();
        run(&mut database, &again.replace(&id, &format!("{id}2"))).await.unwrap();
        let posting = format!(
            "INSERT INTO posting (journal_id, line, account, currency, amount_minor) VALUES \
             ('{id}2', 1, 'in_flight:paypal', 'USD', 1), ('{id}2', 2, '{other}', 'USD', -1)"
        );
        let message = run(&mut database, &posting).await.unwrap_err();
        assert!(message.contains("in flight"), "{message}");
        run(&mut database, "ROLLBACK").await.unwrap();
    }
    database.close().await.unwrap();
    stage.close(Ok(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trail_whose_end_was_cut_off_does_not_verify() {
    let stage = paid("cut").await;
    let app = &stage.world.app;
    while trail::chain(app).await.unwrap() > 0 {}
    let chain = verify::chain(&mut app.store.read().await.unwrap()).await.unwrap();
    assert!(chain.holds() && chain.checked > 5, "{chain:?}");
    let mut database = beside(&stage.world).await;
    // The owner of the tables can drop the triggers; the hash chain detects that.
    let sqlite = app.store.engine_name() == "sqlite";
    run(
        &mut database,
        if sqlite { "DROP TRIGGER audit_not_removed" } else { "DROP TRIGGER audit_stays ON audit" },
    )
    .await
    .unwrap();
    run(&mut database, "DELETE FROM audit WHERE seq = (SELECT MAX(seq) FROM audit)").await.unwrap();
    let chain = verify::chain(&mut app.store.read().await.unwrap()).await.unwrap();
    assert!(chain.violations.iter().any(|told| told.contains("missing at the end")), "{chain:?}");
    database.close().await.unwrap();
    stage.close(Ok(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_wait_to_be_chained_are_seen_and_guarded() {
    if need::postgres().is_none() {
        return;
    }
    let stage = paid("waiting").await;
    let app = &stage.world.app;
    let mut database = beside(&stage.world).await;
    let waiting = "SELECT CAST(COUNT(*) AS TEXT) FROM audit_waiting";
    assert_ne!(text(&mut database, waiting).await, "0", "rows are chained after their transaction");
    assert!(run(&mut database, "DELETE FROM audit_waiting").await.is_err());
    assert!(run(&mut database, "UPDATE audit_waiting SET actor = 'x'").await.is_err());
    let mut db = app.store.read().await.unwrap();
    let listed = bursar::store::audit::list(&mut db, &Default::default(), 10).await.unwrap();
    assert_eq!(listed.len(), 10, "they are listed all the same");
    assert!(verify::chain(&mut db).await.unwrap().holds());
    run(&mut database, "DROP TRIGGER audit_waiting_stays ON audit_waiting").await.unwrap();
    run(
        &mut database,
        "UPDATE audit_waiting SET actor = 'x' WHERE place = (SELECT MAX(place) FROM audit_waiting)",
    )
    .await
    .unwrap();
    assert!(!verify::chain(&mut db).await.unwrap().holds(), "a row that was changed before it was chained");
    drop(db);
    database.close().await.unwrap();
    stage.close(Ok(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_frozen_in_a_transaction_stops_no_other() {
    if need::postgres().is_none() {
        return;
    }
    let mut stage = Stage::open("frozen", 1).await;
    for line in ["partner ana paypal ana@example.com", "partner bo paypal bo@example.com"] {
        stage.one(line).await.unwrap();
    }
    // The frozen node has written its change and its audit row, and has not committed.
    let frozen = Store::open(&stage.world.app.config.database_url).await.unwrap();
    let mut tx = frozen.begin().await.unwrap();
    let who = |name: &str| format!("SELECT id FROM partner WHERE external_id = '{name}'");
    let mut database = beside(&stage.world).await;
    let (ana, bo) = (text(&mut database, &who("ana")).await, text(&mut database, &who("bo")).await);
    let (ana, bo) = (payout::ledger::Payee::parse(&ana).unwrap(), payout::ledger::Payee::parse(&bo).unwrap());
    bursar::store::payees::set_standing(&mut tx, ana, PayeeStanding::OnHold, Some("asleep"), 1)
        .await
        .unwrap();
    let walk = std::sync::Arc::new(bursar::store::step::StepGate::default());
    tx.audit(bursar::store::audit::Entry {
        at: 1,
        actor: "asleep".to_owned(),
        action: "payee_standing_changed",
        subject: ana.to_string(),
        detail: "{}".to_owned(),
    });
    // All of its audit rows are written; only its commit is held back.
    walk.allow(1);
    let asleep = tokio::spawn(std::sync::Arc::clone(&walk).lead(tx.commit()));
    walk.stopped().await;
    // The other nodes continue to write, pay and chain.
    let began = tokio::time::Instant::now();
    let (app, actor) = (stage.world.app.clone(), stage.world.actor.clone());
    let (app, actor) = (&app, &actor);
    payees::set_standing(app, actor, bo, PayeeStanding::OnHold, "a look").await.unwrap();
    payees::set_standing(app, actor, bo, PayeeStanding::Active, "fine").await.unwrap();
    while trail::chain(app).await.unwrap() > 0 {}
    for line in
        ["reward R1 bo 10.00 approved", "batch B1 R1", "pay B1", "live 10 seconds", "expect bo success"]
    {
        stage.one(line).await.unwrap();
    }
    assert!(began.elapsed() < Duration::from_secs(5), "somebody waited for the one that is asleep");
    // A writer that needs the same row gets an error within seconds, and loses nothing.
    walk.allow(10);
    asleep.await.unwrap().unwrap();
    let mut db = app.store.read().await.unwrap();
    assert!(verify::chain(&mut db).await.unwrap().holds());
    drop(db);
    frozen.close().await;
    database.close().await.unwrap();
    stage.close(Ok(())).await;
}

/// Transactions that PostgreSQL aborts because of a conflict are retried as a whole; those that only time out are not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_postgres_gives_up_is_tried_again_as_a_whole() {
    if need::postgres().is_none() {
        return;
    }
    let mut stage = Stage::open("tried_again", 1).await;
    stage.one("partner ana paypal ana@example.com").await.unwrap();
    let (app, actor) = (stage.world.app.clone(), stage.world.actor.clone());
    let mut database = beside(&stage.world).await;
    let codes = [("40001", 7), ("40P01", 7), ("55P03", 3), ("25P03", 3), ("57014", 1), ("22P02", 1)];
    for (code, tries) in codes {
        let raise = format!("DO $$ BEGIN RAISE EXCEPTION 'for a test' USING ERRCODE = '{code}'; END $$");
        let mut tried = 0;
        let done: bursar::ops::Result<()> = bursar::transact!(app, |tx| {
            tried += 1;
            bursar::store::meta::set(tx, "tried", code).await?;
            let error = database.execute(AssertSqlSafe(raise.clone()).into_sql_str()).await.unwrap_err();
            Err(bursar::store::StoreError::from(error).into())
        });
        assert!(done.is_err());
        assert_eq!(tried, tries, "{code}");
    }
    assert_eq!(bursar::store::meta::get(&mut app.store.read().await.unwrap(), "tried").await.unwrap(), None);

    // The first attempt waits five seconds for a locked row and gives up; the second gets it.
    let ana = text(&mut database, "SELECT id FROM partner").await;
    let ana = payout::ledger::Payee::parse(&ana).unwrap();
    run(&mut database, "BEGIN").await.unwrap();
    run(&mut database, "SELECT id FROM partner FOR UPDATE").await.unwrap();
    let holding = async {
        tokio::time::sleep(Duration::from_millis(5_500)).await;
        run(&mut database, "ROLLBACK").await.unwrap();
    };
    let began = tokio::time::Instant::now();
    let hold = payees::set_standing(&app, &actor, ana, PayeeStanding::OnHold, "a look");
    let (done, ()) = tokio::join!(hold, holding);
    done.unwrap();
    assert!(began.elapsed() > Duration::from_secs(5), "nobody waited");
    database.close().await.unwrap();
    stage.close(Ok(())).await;
}

#[tokio::test]
async fn what_postgres_says_while_it_is_taken_over_is_no_fault_of_ours() {
    if need::postgres().is_none() {
        return;
    }
    let world = World::open("taken_over", 1).await;
    let mut database = beside(&world).await;
    for (code, is_away) in [
        ("08006", true),
        ("25006", true),
        ("53300", true),
        ("57014", true),
        ("57P01", true),
        ("57P03", true),
        ("57000", false),
        ("25001", false),
        ("42601", false),
        ("XX000", false),
    ] {
        let raise = format!("DO $$ BEGIN RAISE EXCEPTION 'for a test' USING ERRCODE = '{code}'; END $$");
        let error = database.execute(AssertSqlSafe(raise).into_sql_str()).await.unwrap_err();
        assert_eq!(bursar::store::StoreError::from(error).away(), is_away, "{code}");
    }
    database.close().await.unwrap();
    world.close().await;
}

#[tokio::test]
async fn an_address_of_several_servers_is_refused_in_words() {
    for host in ["a,b", "a:5432,b:5433", "me:se,cret@a,b"] {
        let message = Store::open(&format!("postgres://{host}/bursar")).await.err().unwrap().to_string();
        assert!(message.contains("one address"), "{host}: {message}");
    }
    let message = Store::open("postgres://me:se,cret@127.0.0.1:1/bursar").await.err().unwrap().to_string();
    assert!(!message.contains("one address"), "{message}");
}

/// The PostgreSQL binaries, needed to run a separate server.
fn programs() -> Option<std::path::PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let found = versions.filter_map(|version| Some(version.ok()?.path().join("bin")));
    found.filter(|bin| bin.join("initdb").exists()).max()
}

/// Runs one of them as the required user.
fn run_program(program: &std::path::Path, arguments: &[&str]) {
    // PostgreSQL refuses to run as root.
    let root = std::fs::metadata("/proc/self").is_ok_and(|us| std::os::unix::fs::MetadataExt::uid(&us) == 0);
    let mut command = match root {
        true => std::process::Command::new("runuser"),
        false => std::process::Command::new(program),
    };
    if root {
        command.args(["-u", "postgres", "--"]).arg(program);
    }
    let null = std::process::Stdio::null;
    let done = command.args(arguments).stdin(null()).stdout(null()).stderr(null()).status().unwrap();
    assert!(done.success(), "{} {arguments:?}", program.display());
}

#[tokio::test]
async fn a_server_that_forgets_at_a_power_loss_is_refused() {
    if need::postgres().is_none() {
        return;
    }
    let Some(bin) = programs() else {
        return need::skip_or_fail("postgres", "its own programs are not here");
    };
    // Not in the tests' own directory, which PostgreSQL's user may be unable to access.
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    let data = folder.path().join("data").display().to_string();
    // PostgreSQL's user must be able to write there; nothing secret is stored in it.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(folder.path(), open).unwrap();
    let arguments = ["--pgdata", &data, "--username", "postgres", "--auth", "trust", "--no-sync"];
    run_program(&bin.join("initdb"), &arguments);
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let place = folder.path().display();
    let options = format!(
        "-c port={free} -c listen_addresses=127.0.0.1 -c unix_socket_directories={place} -c fsync=off"
    );
    let control = bin.join("pg_ctl");
    run_program(&control, &["--pgdata", &data, "--silent", "--wait", "--options", &options, "start"]);
    let opened = Store::open(&format!("postgres://postgres@127.0.0.1:{free}/postgres")).await;
    run_program(&control, &["--pgdata", &data, "--silent", "--mode", "immediate", "stop"]);
    let message = opened.err().unwrap().to_string();
    assert!(message.contains("fsync = off") && message.contains("Set fsync = on"), "{message}");
}

#[tokio::test]
async fn every_connection_to_postgres_is_bounded_and_durable() {
    if need::postgres().is_none() {
        return;
    }
    let world = World::open("bounded", 1).await;
    let mut db = world.app.store.read().await.unwrap();
    let said = bursar::store::session(&mut db).await.unwrap();
    let wanted = [
        ("lock_timeout", "5s"),
        ("statement_timeout", "1min"),
        ("idle_in_transaction_session_timeout", "15s"),
        ("synchronous_commit", "on"),
    ];
    for (name, value) in wanted {
        assert!(said.iter().any(|(known, is)| known == name && is == value), "{name}: {said:?}");
    }
    drop(db);
    world.close().await;
}

#[tokio::test]
async fn what_people_change_is_in_the_trail() {
    let house = TestApp::open("in_the_trail").await;
    house.seed_data().await;
    let rows = async |action: &str| {
        let trail = house.get("/audit?limit=200").await.ok();
        let rows = trail["data"].as_array().unwrap().iter().filter(|row| row["action"] == action);
        rows.map(|row| row["detail"].to_string()).collect::<Vec<_>>()
    };
    // A hold set through the API needs a reason, and so does lifting it.
    let hold = json!({"standing": "on_hold"});
    house.call("PUT", "/partners/ana", hold.clone()).await.refused(422, "missing");
    house.call("PUT", "/partners/ana", json!({"standing": "on_hold", "note": "a bank called"})).await.ok();
    house.call("PUT", "/partners/ana", json!({"standing": "active"})).await.refused(422, "missing");
    house.call("PUT", "/partners/ana", json!({"standing": "active", "note": "settled"})).await.ok();
    house.call("PUT", "/partners/ana", json!({"standing": "active", "name": "Ana B."})).await.ok();
    house.call("PUT", "/accounts/acme", hold).await.refused(422, "missing");
    let standings = rows("payee_standing_changed").await;
    assert_eq!(standings.len(), 2, "{standings:?}");
    assert!(standings.iter().any(|told| told.contains("a bank called")), "{standings:?}");
    // An edit of other reward fields than the value.
    house.reward("R1", "ana", "10.00").await;
    house.call("PATCH", "/rewards/R1", json!({"expires_on": "2029-03-04", "note": "seen"})).await.ok();
    let edited = rows("reward_edited").await;
    assert!(edited[0].contains("2029-03-05") && edited[0].contains("seen"), "{edited:?}");
    // Rewards added to and removed from a batch.
    house.call("POST", "/rewards/R1/approve", Value::Null).await.ok();
    let id = house.get("/rewards/R1").await.ok()["id"].clone();
    let formed = house.call("POST", "/batches", json!({"rewards": [id]})).await.ok();
    house.call("DELETE", &format!("/batches/{}", formed["id"].as_str().unwrap()), Value::Null).await;
    for action in ["batch_rewards_added", "batch_deleted"] {
        let messages = rows(action).await;
        assert!(messages[0].contains("RW-000001"), "{action}: {messages:?}");
    }
}

#[tokio::test]
async fn a_nul_in_a_text_fails_nothing() {
    let house = TestApp::open("nul").await;
    house.seed_data().await;
    house.reward("R1", "ana", "10.00").await;
    let refused = house.call("PATCH", "/rewards/R1", json!({"note": "a\u{0}b"})).await;
    assert!(refused.status.is_client_error(), "{:?}", refused.body);
    // Text from another source, such as a vendor's message, is written without the NUL.
    let mut tx = house.app.store.begin().await.unwrap();
    let notice = (payout::notice::Notice::PaymentFailed, "x\u{0}y".to_owned(), "{}".to_owned());
    bursar::store::outbox::write(&mut tx, &house.app.clock, 1, [notice]).await.unwrap();
    tx.commit().await.unwrap();
}
