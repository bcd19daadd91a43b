//! Files on disk: their permissions, and the key that decrypts the stored secrets.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use bursar::ops::key_rotation;
use bursar::ops::master_key::{self, KeyCheck};
use bursar::ops::people::MachineUser;
use bursar::secrets::MasterKey;

use crate::world::World;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Runs the real program in its own folder.
fn bursar(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bursar"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("BURSAR_")) {
        command.env_remove(name);
    }
    command.current_dir(folder).args(arguments).output().unwrap()
}

fn done(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn refused(output: &Output, told: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains(told), "{told:?} is not in {said}");
}

#[test]
fn nobody_else_reads_the_database_and_no_other_key_is_made_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (database, key) = (at("bursar.db"), at("bursar.key"));
    done(&bursar(folder.path(), &["init"]));
    assert_eq!((mode(&database), mode(&key)), (0o600, 0o600));

    chmod(&database, 0o644);
    fs::write(at("bursar.db-wal"), "").unwrap();
    chmod(&at("bursar.db-wal"), 0o644);
    done(&bursar(folder.path(), &["init"]));
    assert_eq!(mode(&database), 0o600, "one from before is taken back");
    assert!(!at("bursar.db-wal").exists() || mode(&at("bursar.db-wal")) == 0o600);

    for open in [0o644, 0o444, 0o604, 0o660, 0o620, 0o641] {
        chmod(&key, open);
        refused(&bursar(folder.path(), &["init"]), "Run `chmod 600 bursar.key`");
    }
    // As secrets are mounted into containers: readable by the group, not by others.
    for kept in [0o640, 0o440, 0o400] {
        chmod(&key, kept);
        done(&bursar(folder.path(), &["init"]));
    }
    chmod(&key, 0o600);
    done(&bursar(folder.path(), &["init"]));

    fs::rename(&key, at("away.key")).unwrap();
    refused(&bursar(folder.path(), &["init"]), "there is no master key file at bursar.key");
    refused(&bursar(folder.path(), &["serve", "--listen=127.0.0.1:0"]), "Put the right file there");
    assert!(!key.exists(), "no other key is made");
    done(&bursar(folder.path(), &["init", "--database-url=sqlite://other.db"]));
    refused(&bursar(folder.path(), &["init"]), "is not the one that encrypted this database");
    done(&bursar(folder.path(), &["init", "--master-key-file=away.key"]));

    let output = bursar(folder.path(), &["init", "--key-is-lost", "--master-key-file=away.key"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("so no key was replaced"), "it is not lost: {said}");
    done(&bursar(folder.path(), &["init", "--key-is-lost"]));
    done(&bursar(folder.path(), &["init"]));
    refused(&bursar(folder.path(), &["init", "--master-key-file=away.key"]), "is not the one");
}

#[test]
fn what_the_program_writes_is_private_whatever_the_umask() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in ["init", "backup copy.tar"] {
        let mut open = Command::new("sh");
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("BURSAR_")) {
            open.env_remove(name);
        }
        let command = format!("umask 0; exec {} {arguments}", env!("CARGO_BIN_EXE_bursar"));
        done(&open.current_dir(folder.path()).args(["-c", &command]).output().unwrap());
    }
    let files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(files.len() >= 3, "{files:?}");
    for file in files {
        assert_eq!(mode(&file) & 0o077, 0, "{}", file.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_from_before_the_check_knows_its_key_by_what_it_sealed() {
    let world = World::open("key_check", 3).await;
    let (store, clock, key) = (&world.app.store, &world.app.clock, &world.app.master_key);
    let other = MasterKey::new([8; 32]);
    let asks = master_key::key_check(store).await.unwrap();
    assert!(matches!(&asks, KeyCheck::OneOf(sealed) if sealed.len() == 2), "{asks:?}");
    assert!(asks.opens_with(key) && !asks.opens_with(&other));

    assert!(master_key::note(store, clock, key).await.unwrap());
    assert!(!master_key::note(store, clock, &other).await.unwrap(), "the first stays");
    let asks = master_key::key_check(store).await.unwrap();
    assert!(matches!(asks, KeyCheck::Check(_)) && asks.opens_with(key) && !asks.opens_with(&other));

    assert!(!key_rotation::replace_lost(store, clock, key, MachineUser("a test")).await.unwrap());
    assert!(key_rotation::replace_lost(store, clock, &other, MachineUser("a test")).await.unwrap());
    assert!(master_key::key_check(store).await.unwrap().opens_with(&other));
    world.close().await;
}
