//! Master keys that are lost: what they sealed is reported once and makes no later check fail, and an earlier key signs nothing
//! that came after it.

use bursar::app::App;
use bursar::ops::key_rotation::{self, NotResealed};
use bursar::ops::people::MachineUser;
use bursar::ops::{master_key, trail};
use bursar::secrets::key_file::{self, Locked};
use bursar::secrets::{MasterKey, OneKey};
use bursar::store::sealed::Column;

use super::{House, filled, first_key, put_as_it_is};
use crate::nodes::{beside, run, text};

async fn all(app: &App) -> NotResealed {
    key_rotation::all(&mut app.store.read().await.unwrap(), &app.master_key).await.unwrap()
}

/// `init --key-is-lost`: everybody is told, and what is lost is known to be.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_lost_key_sealed_is_reported_once() {
    let house = House::open("key_lost").await;
    filled(&house.world.app).await;
    // One from before is kept under the one that is lost now, so that it is lost with it.
    house.done(&["rotate"]).await;
    let lost = house.keys().remove(0);
    while trail::chain(&house.world.app).await.unwrap() > 0 {}
    std::fs::remove_file(house.file()).unwrap();
    key_file::make(&house.file(), &[OneKey::new([9; 32])]).unwrap();

    let (store, clock) = (&house.world.app.store, &house.world.app.clock);
    let keys = MasterKey::read(&house.file()).unwrap().unwrap();
    assert!(key_rotation::replace_lost(store, clock, &keys, MachineUser("anna")).await.unwrap());
    let app = house.process(&house.file()).await;
    while trail::chain(&app).await.unwrap() > 0 {}
    let mut database = beside(&house.world).await;
    let log = text(&mut database, "SELECT detail FROM audit WHERE action = 'master_key_lost'").await;
    assert!(log.contains(lost.id()) && log.contains("anna"), "{log}");
    let notice = text(
        &mut database,
        "SELECT detail FROM outbox WHERE notice = 'master_key_changed' AND detail LIKE '%anna%'",
    );
    assert!(notice.await.contains("\"lost\":\"yes\""));

    let found = all(&app).await;
    assert_eq!((found.closed, found.shut()), (0, None), "{found:?}");
    let kinds: Vec<Column> = found.lost.keys().copied().collect();
    assert_eq!(
        kinds,
        [Column::Connection, Column::TaxNumber, Column::Factor, Column::SecretLink, Column::RetiredKey]
    );
    let (what, remedy) = found.gone().unwrap();
    assert!(what.contains("2 vendor connections") && what.contains("1 earlier master key"), "{what}");
    assert!(remedy.contains("Save the credentials"), "{remedy}");
    let status = house.done(&["status"]).await;
    assert_eq!(status.matches("; it is lost").count(), 2, "{status}");
    let said = house.refused(&["old", lost.id(), "--to", "old.key"]).await;
    assert!(said.contains("is lost"), "{said}");
    // A later rotation is not held up by it, and forgets nothing.
    house.done(&["rotate", "--again"]).await;
    let later = house.process(&house.file()).await;
    assert_eq!(all(&later).await.lost, found.lost);

    // It turns up: its values open again, and it has signed no more than there was when it was lost.
    let rows = |of: &App| {
        let (store, key, id) = (of.store.clone(), of.master_key.clone(), lost.id().to_owned());
        async move {
            let all = master_key::retired(&mut store.read().await.unwrap(), &key).await.unwrap();
            all.into_iter().find(|one| one.id == id).map(|one| (one.is_lost, one.log_rows))
        }
    };
    let before = rows(&later).await;
    assert!(matches!(before, Some((true, Some(1..)))), "{before:?}");
    let keys = [house.keys(), vec![lost.clone()]].concat();
    Locked::of(&house.file()).unwrap().write(&keys).unwrap();
    house.done(&["finish"]).await;
    let found_again = house.process(&house.file()).await;
    assert_eq!(rows(&found_again).await, before.map(|(_, rows)| (false, rows)));
    assert!(all(&found_again).await.lost.is_empty());
    for one in [app, later, found_again] {
        one.store.close().await;
    }
    house.close().await;
}

/// Whoever leaves values unreadable is not told about them for ever as if something had to be done.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_left_unreadable_is_lost() {
    let house = House::open("key_left").await;
    let app = &house.world.app;
    filled(app).await;
    let sealed = OneKey::new([3; 32]).seal(&app.clock, &Column::Connection.place("stripe"), "{}");
    put_as_it_is(&house.world, "vendor_connection", &format!("sealed = '{sealed}' WHERE vendor = 'stripe'"))
        .await;
    assert_eq!((all(app).await.closed, all(app).await.lost.len()), (1, 0));
    let said = house.refused(&["finish"]).await;
    assert!(
        said.contains("vendor_connection.sealed of stripe") && said.contains("--leave-unreadable"),
        "{said}"
    );
    house.done(&["finish", "--leave-unreadable"]).await;
    let found = all(app).await;
    assert_eq!((found.closed, found.lost.get(&Column::Connection)), (0, Some(&1)));
    assert!(house.done(&["finish"]).await.contains("There is nothing left to do here"));
    house.close().await;
}

/// Whoever can write the database, and has a key that was given up, cannot let it sign what came later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_far_a_retired_key_has_signed_is_sealed() {
    let house = House::open("key_bound").await;
    while trail::chain(&house.world.app).await.unwrap() > 0 {}
    house.done(&["rotate"]).await;
    let app = house.process(&house.file()).await;
    let bound = async || {
        let all = master_key::retired(&mut app.store.read().await.unwrap(), &app.master_key).await.unwrap();
        all[0].log_rows
    };
    let before = bound().await;
    assert!(before.is_some());
    let mut database = beside(&house.world).await;
    for value in ["NULL", "9000000000"] {
        run(&mut database, &format!("UPDATE retired_key SET log_rows = {value}")).await.unwrap();
        assert_eq!(bound().await, before, "{value}");
    }
    // A key cannot vouch for itself, even while it is still in the key file.
    let only = house.keys();
    let place = Column::RetiredKey.place(first_key().id());
    let forged = first_key().seal(&app.clock, &place, &format!("{} 9000000000", first_key().line()));
    let kept = text(&mut database, "SELECT sealed FROM retired_key").await;
    put_as_it_is(&house.world, "retired_key", &format!("sealed = '{forged}'")).await;
    Locked::of(&house.file()).unwrap().write(&[only.clone(), vec![first_key()]].concat()).unwrap();
    let both = house.process(&house.file()).await;
    let all = master_key::retired(&mut both.store.read().await.unwrap(), &both.master_key).await.unwrap();
    assert_eq!((all[0].log_rows, all[0].key.is_none()), (None, true));
    both.store.close().await;
    put_as_it_is(&house.world, "retired_key", &format!("sealed = '{kept}'")).await;
    Locked::of(&house.file()).unwrap().write(&only).unwrap();
    // As an earlier version kept it: the number lies in its column until the next rotation seals it.
    let sealed = house.keys()[0].seal(&app.clock, &place, &first_key().line());
    put_as_it_is(&house.world, "retired_key", &format!("sealed = '{sealed}', log_rows = 5")).await;
    assert_eq!(bound().await, Some(5));
    house.done(&["rotate", "--again"]).await;
    run(&mut database, "UPDATE retired_key SET log_rows = NULL").await.unwrap();
    let later = house.process(&house.file()).await;
    let all = master_key::retired(&mut later.store.read().await.unwrap(), &later.master_key).await.unwrap();
    let kept = all.iter().find(|one| one.id == first_key().id()).unwrap();
    assert_eq!(kept.log_rows, Some(5));
    for one in [app, later] {
        one.store.close().await;
    }
    house.close().await;
}
