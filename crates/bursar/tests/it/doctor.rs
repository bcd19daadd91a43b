//! `bursar doctor`: its findings and their order, and that it reports nothing on a healthy installation.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use bursar::ops::checks::{self, Finding, Installation};
use bursar::ops::safe_mode;
use bursar::work::checkup;
use serde_json::Value;

use crate::scenarios::Stage;

/// Runs the real program in a folder: its findings, and whether something must be done.
fn doctor(folder: &Path) -> (Vec<(String, String)>, bool) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bursar"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("BURSAR_")) {
        command.env_remove(name);
    }
    let output = command.current_dir(folder).args(["doctor", "--json"]).output().unwrap();
    let found: Vec<Value> = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let text = |one: &Value, name: &str| one[name].as_str().unwrap().to_owned();
    for one in &found {
        assert!(!text(one, "what").is_empty() && !text(one, "remedy").is_empty(), "{one}");
    }
    let rows = found.iter().map(|one| (text(one, "weight"), text(one, "code"))).collect();
    (rows, output.status.code() == Some(1))
}

fn run(folder: &Path, arguments: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bursar"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("BURSAR_")) {
        command.env_remove(name);
    }
    let output = command.current_dir(folder).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn codes(found: &[(String, String)]) -> Vec<&str> {
    found.iter().map(|(_, code)| code.as_str()).collect()
}

#[test]
fn the_program_says_what_is_wrong_with_its_files() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (found, must) = doctor(folder.path());
    assert!(must && codes(&found) == ["not_begun"], "{found:?}");
    assert!(!at("bursar.db").exists() && !at("bursar.key").exists(), "nothing is made by it");

    run(folder.path(), &["init"]);
    let (found, must) = doctor(folder.path());
    assert!(must);
    assert_eq!(codes(&found), ["no_vendor", "backup_old", "nobody_serves", "no_mail_server"], "{found:?}");

    run(folder.path(), &["backup", "one"]);
    run(folder.path(), &["safe-mode", "on"]);
    fs::set_permissions(at("bursar.db"), fs::Permissions::from_mode(0o644)).unwrap();
    let (found, _) = doctor(folder.path());
    assert_eq!(found[0], ("urgent".to_owned(), "safe_mode".to_owned()), "what weighs most comes first");
    assert!(!codes(&found).contains(&"backup_old"), "{found:?}");

    fs::rename(at("bursar.key"), at("away.key")).unwrap();
    run(folder.path(), &["init", "--database-url=sqlite://other.db"]);
    let (found, _) = doctor(folder.path());
    assert!(codes(&found).contains(&"key_other"), "{found:?}");
    fs::set_permissions(at("bursar.key"), fs::Permissions::from_mode(0o666)).unwrap();
    let (found, _) = doctor(folder.path());
    assert!(codes(&found).contains(&"key_unusable"), "{found:?}");

    fs::write(at("bursar.db"), "this is no database, whatever its name says, and it is long enough").unwrap();
    let (found, must) = doctor(folder.path());
    assert!(must && found.iter().any(|(_, code)| code.starts_with("database_")), "{found:?}");
}

/// An unfinished master key rotation is reported with instructions; a backup from before it needs the key of that time.
#[test]
fn the_program_says_how_a_change_of_the_key_stands() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    run(folder.path(), &["init"]);
    run(folder.path(), &["backup", "before"]);
    let old = fs::read_to_string(at("bursar.key")).unwrap();
    run(folder.path(), &["key", "rotate", "--to", "both.key"]);
    fs::rename(at("both.key"), at("bursar.key")).unwrap();
    let (found, _) = doctor(folder.path());
    assert!(codes(&found).contains(&"key_new_waits") && !codes(&found).contains(&"key_other"), "{found:?}");
    let keys = fs::read_to_string(at("bursar.key")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_bursar"));
    let told = command.current_dir(folder.path()).args(["config", "check"]).output().unwrap();
    let message = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(
        message.contains("bursar.key") && keys.lines().all(|key| !message.contains(&key[..6])),
        "{message}"
    );

    run(folder.path(), &["key", "rotate"]);
    let (found, _) = doctor(folder.path());
    assert!(codes(&found).iter().all(|code| !code.starts_with("key_")), "{found:?}");
    let new = fs::read_to_string(at("bursar.key")).unwrap();
    assert_eq!(keys, format!("{new}{old}"));

    let check = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bursar"));
        let output =
            command.current_dir(folder.path()).args(["restore", "--check", "before"]).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, message) = check();
    assert!(code == Some(1) && message.contains("add the key of that time"), "{message}");
    fs::write(at("bursar.key"), &keys).unwrap();
    assert_eq!(check().0, Some(0));
    let (found, _) = doctor(folder.path());
    assert!(codes(&found).contains(&"key_old_kept"), "{found:?}");

    // After a restore, continuing the rotation re-encrypts the older database with the new key.
    run(folder.path(), &["restore", "before"]);
    let (found, _) = doctor(folder.path());
    assert!(codes(&found).contains(&"key_new_waits"), "{found:?}");
    run(folder.path(), &["key", "finish"]);
    assert_eq!(fs::read_to_string(at("bursar.key")).unwrap(), new);
}

/// An empty database would report that all invariants hold and nothing is sent, while the real one continues paying.
#[test]
fn a_command_in_the_wrong_folder_says_so_and_makes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for command in [
        "verify",
        "brake",
        "safe-mode",
        "safe-mode on",
        "why RW-000001",
        "audit verify",
        "reconcile",
        "replay PT-000001",
        "api-key create --role admin --name k",
        "user add --email a@example.com --name A --role admin",
        "import rewards rewards.csv",
    ] {
        fs::write(folder.path().join("rewards.csv"), "external_id\n").unwrap();
        let mut program = Command::new(env!("CARGO_BIN_EXE_bursar"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("BURSAR_")) {
            program.env_remove(name);
        }
        let output = program.current_dir(folder.path()).args(command.split(' ')).output().unwrap();
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{command}: {message}");
        let place = fs::canonicalize(folder.path()).unwrap().join("bursar.db").display().to_string();
        assert!(message.contains(&format!("there is no Bursar database at {place}")), "{command}: {message}");
        assert!(output.stdout.is_empty(), "{command}");
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "{command} makes {left:?}");
    }
    // SQLite treats an empty file as an empty database.
    fs::write(folder.path().join("bursar.db"), "").unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_bursar"));
    program.env_remove("BURSAR_DATABASE_URL").env_remove("BURSAR_MASTER_KEY_FILE");
    let output = program.current_dir(folder.path()).arg("verify").output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.code() == Some(1) && message.contains("there is no Bursar database at"),
        "{message}"
    );
    assert_eq!(fs::metadata(folder.path().join("bursar.db")).unwrap().len(), 0, "nothing is made of it");
}

/// The findings about the database and the vendors, without the program.
async fn found(stage: &Stage) -> Vec<Finding> {
    let known = Installation { now: stage.world.now(), mails: true, file: false, backup_us: 0 };
    let mut db = stage.world.app.store.read().await.unwrap();
    let mut found = checks::of_database(&mut db, &known).await.unwrap();
    drop(db);
    found.extend(checkup::vendors(&stage.world.works[0]).await.unwrap());
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_database_and_the_vendors_tell() {
    let mut stage = Stage::open("doctor", 36).await;
    assert_eq!(found(&stage).await, [], "nothing is wrong");
    for line in [
        "partner ana paypal ana@example.com",
        "partner bo stripe acct_bo",
        "reward R1 ana 10.00 approved",
        "reward R2 bo 20.00 approved",
        "batch B1 R1 R2",
        "pay B1",
        "set-aside ana",
        "vendor stripe 401 on any times 100000",
        "tick dispatch",
    ] {
        stage.one(line).await.unwrap();
    }
    safe_mode::switch_on(&stage.world.app, &stage.world.actor, None, "").await.unwrap();
    let findings = found(&stage).await;
    let codes: Vec<&str> = findings.iter().map(|one| one.code).collect();
    for code in ["safe_mode", "payments_set_aside", "stripe_refuses", "vendor_away"] {
        assert!(codes.contains(&code), "{code} is not in {codes:?}");
    }
    stage.close(Ok(())).await;
}

/// A person cannot settle an unreadable payment, so it is reported separately from those that wait for a person.
#[tokio::test]
async fn a_payment_that_cannot_be_read_is_named() {
    let mut stage = Stage::open("doctor_unreadable", 37).await;
    for line in [
        "partner ana paypal ana@example.com",
        "reward R1 ana 10.00 approved",
        "batch B1 R1",
        "pay B1",
        "live 10 minutes",
    ] {
        stage.one(line).await.unwrap();
    }
    let url = stage.world.database_url.clone();
    let spoil = async |vendor: &str, state: &str| {
        let sql = format!("UPDATE payout_transaction SET vendor = '{vendor}', state = '{state}'");
        crate::world::run(&url, sql).await;
    };
    spoil("cheque", "review").await;
    let known = Installation { now: stage.world.now(), mails: true, file: false, backup_us: 0 };
    let findings =
        checks::of_database(&mut stage.world.app.store.read().await.unwrap(), &known).await.unwrap();
    let unreadable = findings.iter().find(|one| one.code == "payments_unreadable").unwrap();
    assert!(
        unreadable.what.contains("The record of 1 payment cannot be read: PT-000001."),
        "{}",
        unreadable.what
    );
    assert!(findings.iter().all(|one| one.code != "payments_need_review"), "{findings:?}");
    spoil("paypal", "review").await;
    let findings =
        checks::of_database(&mut stage.world.app.store.read().await.unwrap(), &known).await.unwrap();
    let waits = findings.iter().find(|one| one.code == "payments_need_review").unwrap();
    assert!(
        waits.what.contains("1 payment needs a person") && waits.what.contains("PT-000001"),
        "{}",
        waits.what
    );
    spoil("paypal", "success").await;
    stage.close(Ok(())).await;
}
