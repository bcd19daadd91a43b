//! The command line during a rehearsal: a real vendor is never called with simulator credentials, imports report their
//! result, and the program lists the scenes.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use bursar::store::vendors;
use bursar::work::clients::without_its_stand_in;

use crate::pages::seed_data;
use crate::world::World;

/// The program without any `BURSAR_` variables.
fn bursar(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bursar"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("BURSAR_")) {
        command.env_remove(name);
    }
    command.current_dir(folder);
    command
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.clone(), output.stderr.clone()].concat()).into_owned()
}

#[tokio::test]
async fn a_terminal_without_the_stand_in_asks_no_vendor() {
    let world = World::open("rehearsal", 430).await;
    seed_data(&world).await;
    let all = vendors::all(&mut world.app.store.read().await.unwrap()).await.unwrap();
    assert_eq!(all.len(), 2);
    for one in &all {
        assert_eq!(without_its_stand_in(&world.app, one), None, "with it nothing is wrong");
    }
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("bursar.key");
    // The test worlds' key: thirty-two times the byte 7.
    std::fs::write(&key, "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n").unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let file = "external_id,account,name,email,vendor,destination\nnew,A-1,New One,new@example.com,stripe,acct_new\n";
    std::fs::write(folder.path().join("partners.csv"), file).unwrap();
    for arguments in [&["import", "partners", "partners.csv"][..], &["reconcile"]] {
        let mut command = bursar(folder.path());
        command.args(arguments).env("BURSAR_DATABASE_URL", &world.app.config.database_url);
        command.env("BURSAR_MASTER_KEY_FILE", &key);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let said = told(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("BURSAR_STRIPE_API_BASE is not set here"), "{said}");
    }
    let mut db = world.app.store.read().await.unwrap();
    assert!(bursar::ops::payees::named(&mut db, "new").await.unwrap().is_none(), "nothing was done");
    let after = vendors::all(&mut db).await.unwrap();
    assert!(after.iter().all(|one| one.rejected_at.is_none()), "and no vendor is paused by it");
    drop(db);
    world.close().await;
}

#[test]
fn an_import_with_refused_rows_exits_with_three() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| bursar(folder.path()).args(arguments).output().unwrap();
    assert!(run(&["init"]).status.success());
    let write = |text: &str| std::fs::write(folder.path().join("accounts.csv"), text).unwrap();
    write("external_id,name,country\nA-1,Acme,US\nA-2,Other,Germany\n");
    for arguments in
        [&["import", "accounts", "accounts.csv", "--dry-run"][..], &["import", "accounts", "accounts.csv"]]
    {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(3), "{}", told(&output));
        assert!(told(&output).contains("1 refused"), "{}", told(&output));
    }
    write("external_id,name,country\nA-1,Acme,US\n");
    assert_eq!(run(&["import", "accounts", "accounts.csv"]).status.code(), Some(0));
    assert_eq!(run(&["import", "accounts", "missing.csv"]).status.code(), Some(1));
    assert_eq!(run(&["import", "wishes", "accounts.csv"]).status.code(), Some(2));
}

/// The scenes are listed in three places, which must agree.
#[test]
fn every_scene_is_told_by_the_program_and_in_the_documents() {
    let source = include_str!("../../../simulator/src/scene.rs");
    let names = source.split("const NAMES").nth(1).unwrap().split("];").next().unwrap();
    let names: Vec<&str> = names.split("(\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert!(names.len() > 10, "{names:?}");
    let folder = tempfile::tempdir().unwrap();
    let help = told(&bursar(folder.path()).args(["simulator", "--help"]).output().unwrap());
    let documents = include_str!("../../../../docs/vendors.md");
    let crate_doc = include_str!("../../../simulator/src/lib.rs");
    for name in names {
        assert!(
            help.lines().any(|line| line.trim_start().starts_with(&format!("{name} "))),
            "{name}: {help}"
        );
        assert!(documents.contains(&format!("| `{name}` |")), "{name}");
        assert!(crate_doc.contains(&format!("| `{name}` |")), "{name}");
    }
}
