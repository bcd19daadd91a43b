//! Every encrypted value of a backup is checked before a restore, each at its location; `bursar doctor` does the same for a
//! live database.

use std::process::{Command, Output};

use bursar::ops::{self, key_rotation, master_key};
use bursar::secrets::OneKey;
use bursar::secrets::key_file;
use bursar::store::copy;
use bursar::store::sealed::{self, Column, Retired};
use bursar::transact;

use crate::master_key::{filled, rows};
use crate::world::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_value_of_a_backup_that_does_not_open_is_named() {
    let world = World::open("restore_sealed", 5).await;
    let app = &world.app;
    if copy::file_of(&app.config.database_url).is_none() {
        return world.close().await;
    }
    assert!(master_key::note(&app.store, &app.clock, &app.master_key).await.unwrap());
    filled(app).await;
    let folder = tempfile::tempdir().unwrap();
    key_file::make(&folder.path().join("bursar.key"), &[OneKey::new([7; 32])]).unwrap();
    let bursar = |arguments: &[&str]| -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bursar"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("BURSAR_")) {
            command.env_remove(name);
        }
        command.current_dir(folder.path()).env("BURSAR_DATABASE_URL", &app.config.database_url);
        tokio::task::block_in_place(|| command.args(arguments).output().unwrap())
    };
    let checked = |name: &str| {
        assert!(bursar(&["backup", name]).status.success());
        let output = bursar(&["restore", "--check", name]);
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = checked("whole");
    assert_eq!(code, Some(0), "{said}");

    let retired: ops::Result<()> = transact!(app, |tx| {
        let id = OneKey::new([4; 32]).id().to_owned();
        let sealed =
            master_key::seal(tx, app, &Column::RetiredKey.place(&id), &OneKey::new([4; 32]).line()).await?;
        Ok(sealed::retire(tx, &Retired { id, sealed, at: 0, log_rows: None }).await?)
    });
    retired.unwrap();
    for column in Column::ALL {
        // Not the first row: a check of samples would miss it.
        let (row, value) = rows(&mut app.store.read().await.unwrap(), column).await.pop().unwrap();
        let lost = OneKey::new([3; 32]).seal(&app.clock, &column.place(&row), "{}");
        let change = async |from: &str, to: &str| {
            let changed: ops::Result<bool> =
                transact!(app, |tx| { Ok(sealed::exchange(tx, column, &row, from, to).await?) });
            assert!(changed.unwrap());
        };
        change(&value, &lost).await;
        let (table, name) = column.name();
        let (code, said) = checked(table);
        let all = key_rotation::all(&mut app.store.read().await.unwrap(), &app.master_key).await.unwrap();
        if column.is_passing() {
            assert_eq!((code, all.closed), (Some(0), 0), "{said}");
        } else {
            let message =
                format!("1 sealed value opens with no key of the key file: {table}.{name} of {row}.");
            assert!(code == Some(1) && said.contains(&message) && said.contains("bursar key old"), "{said}");
            let doctor = bursar(&["doctor", "--offline", "--json"]);
            let doctor = String::from_utf8_lossy(&doctor.stdout);
            assert!(doctor.contains("values_shut") && doctor.contains(&row), "{doctor}");
        }
        change(&lost, &value).await;
    }

    // Once the key is known to be lost, that is said, and no check fails because of it.
    let (row, value) = rows(&mut app.store.read().await.unwrap(), Column::TaxNumber).await.pop().unwrap();
    let done: ops::Result<bool> = transact!(app, |tx| {
        let id = OneKey::new([3; 32]).id().to_owned();
        let sealed = master_key::seal(tx, app, &Column::RetiredKey.place(&id), "lost 1").await?;
        sealed::retire(tx, &Retired { id, sealed, at: 0, log_rows: Some(1) }).await?;
        let lost = OneKey::new([3; 32]).seal(&app.clock, &Column::TaxNumber.place(&row), "{}");
        Ok(sealed::exchange(tx, Column::TaxNumber, &row, &value, &lost).await?)
    });
    assert!(done.unwrap());
    let (code, said) = checked("lost");
    assert!(code == Some(0) && said.contains("1 sealed value is lost with the key: 1 tax number."), "{said}");
    let doctor = bursar(&["doctor", "--offline", "--json"]);
    let doctor = String::from_utf8_lossy(&doctor.stdout);
    assert!(doctor.contains("values_lost") && !doctor.contains("values_shut"), "{doctor}");
    world.close().await;
}
