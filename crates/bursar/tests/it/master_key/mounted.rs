//! Key files that cannot be written: mounted read-only, or passed by systemd as a credential.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use bursar::ops::key_rotation;
use bursar::secrets::key_file;

use super::{House, first_key, told};

/// The key file is mounted read-only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_for_another_place_is_written_where_this_one_cannot_be() {
    let house = House::open("key_mounted").await;
    let at = |name: &str| house.folder.path().join(name);
    let new_file = at("new.key");
    house.done(&["rotate", "--to", &new_file.display().to_string()]).await;
    assert_eq!(house.keys(), [first_key()], "nothing was changed here");
    let keys = key_file::read(&new_file).unwrap().unwrap();
    assert!(keys.len() == 2 && keys[1] == first_key());
    house.refused(&["rotate", "--to", &new_file.display().to_string()]).await;

    // As secrets are mounted: a symlink to a symlink to the file, which can be switched atomically.
    std::fs::create_dir(at("2026_1")).unwrap();
    std::fs::rename(&new_file, at("2026_1/bursar.key")).unwrap();
    std::os::unix::fs::symlink("2026_1", at("..data")).unwrap();
    std::fs::remove_file(house.file()).unwrap();
    std::os::unix::fs::symlink("..data/bursar.key", house.file()).unwrap();
    // It cannot be replaced, not even by root.
    std::fs::create_dir(at("2026_1/.bursar.key.unfinished")).unwrap();
    let said = house.refused(&["rotate"]).await;
    assert!(said.contains("everything is encrypted with the key") && said.contains("by hand"), "{said}");
    assert_eq!(house.keys(), keys, "it is as it was");
    let app = house.process(&house.file()).await;
    let left =
        key_rotation::left(&mut app.store.read().await.unwrap(), &app.master_key, &keys[0]).await.unwrap();
    assert_eq!((left.opens, left.closed), (0, 0));
    app.store.close().await;
    house.close().await;
}

/// systemd passes the key as a credential: a copy that ends with the service, so that nothing may be written beside it either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_credential_is_read_and_never_written() {
    let house = House::open("key_credential").await;
    let at = |name: &str| house.folder.path().join(name);
    fs::create_dir(at("credentials")).unwrap();
    let file = at("credentials/master_key");
    fs::rename(house.file(), &file).unwrap();
    let run = async |arguments: &[&str], code: i32| {
        let mut command = house.bursar(&file, arguments);
        command.env("CREDENTIALS_DIRECTORY", at("credentials"));
        told(&tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap(), code)
    };
    let replace = |keys: &[bursar::secrets::OneKey]| {
        fs::remove_file(&file).unwrap();
        let text: String = keys.iter().map(|key| key.line() + "\n").collect();
        fs::write(&file, text).unwrap();
        chmod(&file, 0o400);
    };
    let others = || fs::read_dir(at("credentials")).unwrap().count() - 1;

    for mode in [0o400, 0o440] {
        chmod(&file, mode);
        run(&["status"], 0).await;
    }
    chmod(&file, 0o444);
    assert!(run(&["status"], 1).await.contains("others on this machine can read or change it"));
    chmod(&file, 0o400);

    let said = run(&["rotate"], 1).await;
    assert!(said.contains("rotate --to FILE") && said.contains("LoadCredential="), "{said}");
    assert_eq!((key_file::read(&file).unwrap().unwrap(), others()), (vec![first_key()], 0));
    let new_file = at("new.key");
    let said = run(&["rotate", "--to", &new_file.display().to_string()], 0).await;
    assert!(said.contains("restart Bursar, then run `bursar key rotate` again"), "{said}");
    let inside = at("credentials/new.key").display().to_string();
    assert!(run(&["rotate", "--to", &inside], 1).await.contains("ends with the service"));

    let keys = key_file::read(&new_file).unwrap().unwrap();
    replace(&keys);
    let said = run(&["rotate"], 1).await;
    assert!(
        said.contains("everything is encrypted with the key") && said.contains("restart Bursar"),
        "{said}"
    );
    assert_eq!((key_file::read(&file).unwrap().unwrap(), others()), (keys.clone(), 0));
    replace(&keys[..1]);
    assert!(run(&["finish"], 0).await.contains("There is nothing left to do here"));
    house.close().await;
}

/// A first start with a credential that is not there makes no key: it would be gone after the service has stopped.
#[test]
fn no_key_is_created_among_the_credentials() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_bursar"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("BURSAR_")) {
        command.env_remove(name);
    }
    fs::create_dir(folder.path().join("credentials")).unwrap();
    command.current_dir(folder.path()).env("CREDENTIALS_DIRECTORY", folder.path().join("credentials"));
    let said = told(&command.args(["init", "--master-key-file=credentials/master_key"]).output().unwrap(), 1);
    assert!(said.contains("LoadCredential="), "{said}");
    assert_eq!(fs::read_dir(folder.path().join("credentials")).unwrap().count(), 0);
}

fn chmod(file: &Path, mode: u32) {
    fs::set_permissions(file, fs::Permissions::from_mode(mode)).unwrap();
}
