//! `bursar backup` and `bursar restore` as an operator would run them, on files.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use bursar::backup;
use bursar::ops::verify;
use bursar::store::Store;
use bursar::store::transactions::{self, Filter};
use serde_json::Value;

use super::play;
use crate::need;
use crate::scenarios::Stage;

/// Runs the program itself in a folder of its own.
fn bursar(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bursar"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("BURSAR_")) {
        command.env_remove(name);
    }
    command.current_dir(folder).args(arguments).output().unwrap()
}

fn done(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn refused(output: &Output, told: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains(told), "{told:?} is not in {said}");
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|one| one.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Replaces the manifest after the same bytes.
fn say(at: &Path, change: impl FnOnce(&mut Value)) {
    let mut bytes = fs::read(at).unwrap();
    let page = bytes.split_off(bytes.len() - 4_096);
    let mut manifest: Value = serde_json::from_slice(page.trim_ascii_end()).unwrap();
    change(&mut manifest);
    let mut page = serde_json::to_vec(&manifest).unwrap();
    page.resize(4_096, b' ');
    bytes.extend(page);
    fs::write(at, bytes).unwrap();
}

#[test]
fn a_backup_is_taken_proven_and_put_back() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let run = |arguments: &[&str]| bursar(folder.path(), arguments);
    done(&run(&["init"]));
    let body: Value = serde_json::from_str(&done(&run(&["backup", "one", "--json"]))).unwrap();
    assert_eq!(body["bytes"].as_u64().unwrap() + 4_096, fs::metadata(at("one")).unwrap().len());
    assert_eq!(fs::metadata(at("one")).unwrap().permissions().mode() & 0o777, 0o600);
    refused(&run(&["backup", "one"]), "already exists");
    assert_eq!(names(folder.path()), ["bursar.db", "bursar.key", "one"], "nothing lies about");

    // Damaged and truncated files, newer versions and other files are refused, and nothing is changed.
    let (whole, before) = (fs::read(at("one")).unwrap(), fs::read(at("bursar.db")).unwrap());
    let mut flipped = whole.clone();
    flipped[20_000] ^= 1;
    for (bytes, why) in [
        (flipped, "SHA-256"),
        (whole[..whole.len() - 100].to_vec(), "truncated"),
        (whole[..whole.len() / 2].to_vec(), "truncated"),
        (before.clone(), "not a backup"),
    ] {
        fs::write(at("bad"), bytes).unwrap();
        refused(&run(&["restore", "bad"]), why);
    }
    fs::write(at("bad"), &whole).unwrap();
    say(&at("bad"), |manifest| manifest["schema"] = 9_999.into());
    refused(&run(&["restore", "bad"]), "this version supports only up to");
    refused(&run(&["restore", "nowhere"]), "cannot be restored");
    fs::remove_file(at("bad")).unwrap();
    assert_eq!(fs::read(at("bursar.db")).unwrap(), before);
    done(&run(&["restore", "one", "--check"]));

    // With another key Bursar would not start on it.
    fs::rename(at("bursar.key"), at("own.key")).unwrap();
    done(&run(&["init", "--database-url=sqlite://other.db"]));
    refused(&run(&["restore", "one", "--check"]), "encrypted with a different key");
    fs::remove_file(at("bursar.key")).unwrap();
    let unknown = run(&["restore", "one", "--check"]);
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("There is no key file"), "{unknown:?}");
    done(&unknown);
    fs::rename(at("own.key"), at("bursar.key")).unwrap();
    names(folder.path()).iter().filter(|name| name.starts_with("other")).for_each(|name| {
        fs::remove_file(at(name)).unwrap();
    });

    // While a server has it open, it is not overwritten by a restore.
    let serving = File::open(at("bursar.db")).unwrap();
    serving.try_lock().unwrap();
    refused(&run(&["restore", "one"]), "Stop it, then restore");
    done(&run(&["restore", "one", "--check"]));
    drop(serving);
    assert_eq!(names(folder.path()), ["bursar.db", "bursar.key", "one"]);

    done(&run(&["user", "add", "--email=late@example.com", "--name=Late", "--role=admin"]));
    let body: Value = serde_json::from_str(&done(&run(&["restore", "one", "--json"]))).unwrap();
    let kept = body["kept"].as_str().unwrap();
    assert!(at(kept).exists() && kept.contains(".before-restore-"), "{kept}");
    assert_eq!(fs::metadata(at("bursar.db")).unwrap().permissions().mode() & 0o777, 0o600);
    let reset = ["user", "reset", "--email=late@example.com"];
    refused(&run(&reset), "No login has the address late@example.com");
    let elsewhere = format!("--database-url=sqlite://{kept}");
    done(&run(&["user", "reset", "--email=late@example.com", &elsewhere]));

    let body: Value = serde_json::from_str(&done(&run(&["safe-mode", "--json"]))).unwrap();
    assert_eq!((body["on"].as_bool(), body["state"]["why"].as_str()), (Some(true), Some("restored")));
    // No vendor is connected, so there is none to ask; but nobody has re-entered what the backup does not know.
    refused(&run(&["safe-mode", "off"]), "Holds, closed payees and changed destinations since");
    assert!(done(&run(&["safe-mode", "off", "--reentered"])).contains("Safe mode is off"));
    let elsewhere = ["restore", "one", "--database-url=sqlite://fresh.db"];
    done(&run(&elsewhere));
    assert!(at("fresh.db").exists(), "where there was no database there is one now");
}

#[test]
fn a_person_switches_safe_mode_on_and_off() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| bursar(folder.path(), arguments);
    done(&run(&["init"]));
    assert!(done(&run(&["safe-mode"])).contains("Safe mode is off"));
    let on = ["safe-mode", "on", "--put-back-from=2026-03-02T02:00:00Z", "--note=The disk failed."];
    let message = done(&run(&on));
    assert!(
        message.contains("Safe mode is ON") && message.contains("2 Mar 2026, 02:00 UTC. The disk failed."),
        "{message}"
    );
    assert_eq!(run(&["safe-mode", "on", "--put-back-from=yesterday"]).status.code(), Some(2));
    assert!(done(&run(&["safe-mode", "off", "--reentered"])).contains("Safe mode is off"));
    refused(
        &run(&["safe-mode", "settle", "tr_1", "--note=none of ours"]),
        "No payment found at a vendor has the id",
    );
}

/// A backup taken while payments run is a consistent database.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_while_payments_run_is_whole() {
    if need::postgres().is_some() {
        return;
    }
    let mut stage = Stage::open("backup_runs", 35).await;
    play(
        &mut stage,
        &[
            "partner ana paypal ana@example.com",
            "reward R1 ana 10.00 approved",
            "crowd 239 stripe 10.00",
            "batch B1 all",
            "pay B1",
            "tick dispatch",
        ],
    )
    .await;
    let folder = tempfile::tempdir().unwrap();
    let url = format!("--database-url={}", stage.world.database_url);
    let place = folder.path().to_path_buf();
    let taking = tokio::task::spawn_blocking(move || {
        (0..4).map(|number| done(&bursar(&place, &["backup", &format!("b{number}"), &url]))).count()
    });
    while !taking.is_finished() {
        stage.one("tick all").await.unwrap();
        stage.one("deliver").await.unwrap();
    }
    assert_eq!(taking.await.unwrap(), 4);
    for number in 0..4 {
        let copy = folder.path().join(format!("copy{number}.db"));
        backup::unpack(&folder.path().join(format!("b{number}")), &copy, |_| ()).unwrap();
        let store = Store::open(&format!("sqlite://{}", copy.display())).await.unwrap();
        let mut db = store.read().await.unwrap();
        for invariant in verify::all(&mut db).await.unwrap() {
            assert!(invariant.holds(), "{invariant:?}");
        }
        assert_eq!(transactions::count(&mut db, &Filter::default(), 1_000).await.unwrap(), 240);
        drop(db);
        store.close().await;
    }
    stage.one("live 1 hour").await.unwrap();
    stage.close(Ok(())).await;
}

#[test]
fn on_postgres_it_is_said_how() {
    let Some(server) = need::postgres() else { return };
    let folder = tempfile::tempdir().unwrap();
    let name = format!("it_backup_{}", std::process::id());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(crate::world::run(&server, format!("CREATE DATABASE {name}")));
    let mut address = url::Url::parse(&server).unwrap();
    address.set_path(&name);
    let address = format!("--database-url={address}");
    done(&bursar(folder.path(), &["init", &address]));
    let message = done(&bursar(folder.path(), &["backup", "FILE", &address]));
    assert!(message.contains("pg_dump --format=custom") && message.contains(&name), "{message}");
    refused(&bursar(folder.path(), &["restore", "FILE", &address]), "pg_restore");
    runtime.block_on(crate::world::run(&server, format!("DROP DATABASE {name} WITH (FORCE)")));
}
