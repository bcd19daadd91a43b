//! Master key rotation: every encrypted value is re-encrypted and bound to its location, running processes continue, crashed
//! ones can be resumed, and nothing saved meanwhile is lost. Runs the real program as `bursar key`. Not here: the key file,
//! which is tested in `secrets::key_file`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bursar::app::{App, Inner, Nudge};
use bursar::ops::key_rotation::{self, AT_ONCE, FinishOutcome};
use bursar::ops::log_signature::{self, Signature, Signer, Signers};
use bursar::ops::nodes::{self, NodeCensus};
use bursar::ops::people::{self, MachineUser, NewPerson};
use bursar::ops::vendors::Credentials;
use bursar::ops::{self, OpsError, master_key, trail};
use bursar::secrets::key_file::{self, Locked};
use bursar::secrets::{MasterKey, OneKey, id_in};
use bursar::store::sealed::{self, Column};
use bursar::store::tax::Filed;
use bursar::store::{Store, factors, meta, secret_links, tax, vendors};
use bursar::transact;
use bursar::work::Work;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use payout::access::Role;
use payout::ids::PartnerId;
use payout::ledger::Payee;
use payout::money::Vendor;
use payout::tax::Form;
use tower::ServiceExt as _;

use crate::nodes::{beside, run, text};
use crate::source;
use crate::world::{CONNECTIONS, World};

mod lost;
mod mounted;

const OPERATOR: MachineUser<'_> = MachineUser("a test");
/// A prefix that no stored value has.
const NO_HEAD: &str = "v1.________________.";

/// A world, and the key file of its database.
struct House {
    world: World,
    folder: tempfile::TempDir,
}

impl House {
    async fn open(name: &str) -> Self {
        let house = Self { world: World::open(name, 5).await, folder: tempfile::tempdir().unwrap() };
        key_file::make(&house.file(), &[first_key()]).unwrap();
        let app = &house.world.app;
        assert!(master_key::note(&app.store, &app.clock, &app.master_key).await.unwrap());
        house
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("bursar.key")
    }

    /// Another process, which has read this key file.
    async fn process(&self, file: &Path) -> App {
        let app = &self.world.app;
        let master_key = MasterKey::read(file).unwrap().unwrap();
        assert!(master_key::note(&app.store, &app.clock, &master_key).await.unwrap());
        App::new(Inner {
            store: Store::open_with(&app.config.database_url, CONNECTIONS).await.unwrap(),
            clock: app.clock.clone(),
            config: app.config.clone(),
            base_url: app.base_url.clone(),
            master_key,
            nudge: Nudge::default(),
        })
    }

    /// The program, ready to run with this key file.
    fn bursar(&self, file: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bursar"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("BURSAR_")) {
            command.env_remove(name);
        }
        command.env("BURSAR_DATABASE_URL", &self.world.app.config.database_url);
        command.env("BURSAR_MASTER_KEY_FILE", file).current_dir(self.folder.path());
        command.arg("key").args(arguments).stdin(Stdio::null());
        command
    }

    async fn run(&self, file: &Path, arguments: &[&str]) -> Output {
        let mut command = self.bursar(file, arguments);
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    async fn done(&self, arguments: &[&str]) -> String {
        told(&self.run(&self.file(), arguments).await, 0)
    }

    async fn refused(&self, arguments: &[&str]) -> String {
        told(&self.run(&self.file(), arguments).await, 1)
    }

    fn keys(&self) -> Vec<OneKey> {
        key_file::read(&self.file()).unwrap().unwrap()
    }

    async fn close(self) {
        self.world.close().await;
    }
}

fn first_key() -> OneKey {
    OneKey::new([7; 32])
}

/// The output, if the program exited with this code.
fn told(output: &Output, code: i32) -> String {
    let (out, complaints) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{out}{complaints}");
    format!("{out}{complaints}")
}

/// Fills every encrypted column; returns where each value is stored, and its plaintext.
pub(crate) async fn filled(app: &App) -> Vec<(Column, String, String)> {
    let new = NewPerson {
        email: "kim@example.com".to_owned(),
        name: "Kim".to_owned(),
        role: Role::Payer,
        partner: None,
        password: None,
    };
    people::add(app, &new).await.unwrap();
    let by_email =
        bursar::store::people::by_email(&mut app.store.read().await.unwrap(), "kim@example.com").await;
    let kim = by_email.unwrap().unwrap().id;
    let payees: Vec<Payee> = (0..AT_ONCE + 3)
        .map(|_| Payee::Partner(PartnerId::fresh(app.clock.now(), app.clock.random())))
        .collect();
    let filled: ops::Result<Vec<(Column, String, String)>> = transact!(app, |tx| {
        let mut all = Vec::new();
        let now = app.clock.now();
        for (number, payee) in payees.iter().enumerate() {
            let (place, tin) = (Column::TaxNumber.place(&payee.to_string()), format!("000-00-{number:04}"));
            let sealed_tin = Some(master_key::seal(tx, app, &place, &tin).await?);
            let filed = Filed {
                payee: *payee,
                form: Form::W9,
                name: "Ana".to_owned(),
                signed_on: "2026-01-01".to_owned(),
                sealed_tin,
                masked_tin: None,
                expires_at: None,
                filed: (now, "a test".to_owned()),
            };
            tax::put(tx, &filed).await?;
            all.push((Column::TaxNumber, payee.to_string(), tin));
        }
        let of = |column: Column, row: &str| column.place(row);
        let app_secret =
            master_key::seal(tx, app, &of(Column::Factor, &kim.to_string()), "of the app").await?;
        factors::confirm(tx, kim, &app_secret, 1, now).await?;
        all.push((Column::Factor, kim.to_string(), "of the app".to_owned()));
        let begun = master_key::seal(tx, app, &of(Column::FactorBegun, &kim.to_string()), "begun").await?;
        factors::begin(tx, kim, "a session", &begun, now).await?;
        all.push((Column::FactorBegun, kim.to_string(), "begun".to_owned()));
        let provided = master_key::seal(tx, app, &of(Column::HalfLogin, "hash"), "signed").await?;
        let half = factors::PendingLogin { person: kim, provided: Some(&provided), end: now + 600_000_000 };
        factors::insert_pending_login(tx, "hash", &half, now).await?;
        all.push((Column::HalfLogin, "hash".to_owned(), "signed".to_owned()));
        let link = master_key::seal(tx, app, &of(Column::SecretLink, "msg_1"), "a link").await?;
        secret_links::put(tx, "msg_1", &link, now + 600_000_000).await?;
        all.push((Column::SecretLink, "msg_1".to_owned(), "a link".to_owned()));
        Ok(all)
    });
    let mut filled = filled.unwrap();
    let mut db = app.store.read().await.unwrap();
    for (vendor, value) in rows(&mut db, Column::Connection).await {
        let plain = app.master_key.open(&Column::Connection.place(&vendor), &value).unwrap();
        filled.push((Column::Connection, vendor, plain));
    }
    filled
}

pub(crate) async fn rows(db: &mut bursar::store::Db, column: Column) -> Vec<(String, String)> {
    sealed::others(db, column, NO_HEAD, "", 10_000).await.unwrap()
}

/// Checks that every value decrypts to its plaintext with one of these keys; returns the number of values per key.
async fn all_open(app: &App, keys: &[OneKey], expected: &[(Column, String, String)]) -> Vec<usize> {
    let key = MasterKey::new([0; 32]).with(keys.to_vec());
    let mut db = app.store.read().await.unwrap();
    let mut found = 0;
    let mut under = vec![0; keys.len()];
    for column in Column::ALL.into_iter().filter(|column| *column != Column::RetiredKey) {
        for (row, value) in rows(&mut db, column).await {
            let plain =
                key.open(&column.place(&row), &value).unwrap_or_else(|| panic!("{column:?} {row} is shut"));
            let same = |one: &&(Column, String, String)| (one.0, &one.1) == (column, &row);
            assert_eq!(expected.iter().find(same).map(|one| &one.2), Some(&plain), "{column:?} {row}");
            let by = key.key_of(&column.place(&row), &value).unwrap();
            under[keys.iter().position(|one| *one == by).unwrap()] += 1;
            found += 1;
        }
    }
    assert_eq!(found, expected.len(), "nothing is missing");
    under
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_is_sealed_anew_and_told() {
    let house = House::open("key_changed").await;
    let app = &house.world.app;
    let expected = filled(app).await;
    let said = house.done(&["finish"]).await;
    assert!(said.contains("There is nothing left to do here"), "{said}");
    assert_eq!(house.keys(), [first_key()]);
    let said = house.done(&["rotate"]).await;
    let keys = house.keys();
    assert!(keys.len() == 1 && keys[0] != first_key());
    assert!(said.contains(&format!("tax_report.sealed_tin: {} re-encrypted", AT_ONCE + 3)), "{said}");
    assert_eq!(all_open(app, &keys, &expected).await, [expected.len()]);
    let status = house.done(&["status"]).await;
    assert!(status.contains(&format!("The key {} encrypts.", keys[0].id())), "{status}");
    assert!(status.contains(&format!("The key {} encrypted until", first_key().id())), "{status}");
    for key in [&keys[0], &first_key()] {
        assert!(
            !said.contains(&key.line()[..8]) && !status.contains(&key.line()[..8]),
            "no part of a key is told"
        );
    }
    let mut database = beside(&house.world).await;
    while trail::chain(app).await.unwrap() > 0 {}
    let log = text(&mut database, "SELECT detail FROM audit WHERE action = 'master_key_changed'").await;
    assert!(log.contains(keys[0].id()) && log.contains(first_key().id()) && log.contains("user id"), "{log}");
    let notice = "SELECT CAST(COUNT(*) AS TEXT) FROM outbox WHERE notice = 'master_key_changed'";
    assert_eq!(text(&mut database, notice).await, "1");

    // A retired key can be written out for older backups, and a second rotation keeps it too.
    let said = house.done(&["rotate"]).await;
    assert!(said.contains("nothing left to do") && said.contains("--again"), "{said}");
    let new_file = house.folder.path().join("new.key");
    house.done(&["rotate", "--to", &new_file.display().to_string()]).await;
    assert!(house.keys() == keys && !new_file.exists(), "whoever asks again is given no third key");
    house.done(&["rotate", "--again"]).await;
    let out = house.folder.path().join("old.key");
    house.done(&["old", first_key().id(), "--to", &out.display().to_string()]).await;
    assert_eq!(key_file::read(&out).unwrap().unwrap(), [first_key()]);
    house.refused(&["old", first_key().id(), "--to", &out.display().to_string()]).await;
    house.refused(&["old", "0000000000000000", "--to", "other.key"]).await;
    assert_eq!(all_open(app, &house.keys(), &expected).await, [expected.len()]);

    // A retired key is not reactivated by accident.
    let mut file = Locked::of(&house.file()).unwrap();
    file.write(&[keys[0].clone(), house.keys()[0].clone()]).unwrap();
    drop(file);
    let said = house.refused(&["rotate"]).await;
    assert!(said.contains("was used before and retired"), "{said}");
    house.close().await;
}

/// Starts the program with its named points under the test's control.
fn led(house: &House, name: &str, arguments: &[&str]) -> (Child, BufReader<UnixStream>) {
    let socket = house.folder.path().join(name);
    let listener = UnixListener::bind(&socket).unwrap();
    let mut command = house.bursar(&house.file(), arguments);
    let command = command.env("BURSAR_POINTS_SOCKET", &socket).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    (child, BufReader::new(listener.accept().unwrap().0))
}

/// The output of a rotation during which `deed` runs while the program waits at a point.
fn meanwhile(house: &House, waits: &str, deed: impl FnOnce()) -> Output {
    let (child, mut points) = led(house, "points-meanwhile", &["rotate"]);
    let mut deed = Some(deed);
    loop {
        let mut point = String::new();
        if points.read_line(&mut point).unwrap_or(0) == 0 {
            break;
        }
        if point.trim() == waits
            && let Some(deed) = deed.take()
        {
            deed();
        }
        points.get_mut().write_all(b"0\n").unwrap();
    }
    assert!(deed.is_none(), "{waits} is a point");
    std::fs::remove_file(house.folder.path().join("points-meanwhile")).unwrap();
    child.wait_with_output().unwrap()
}

/// Configuration management tools replace the file without taking the lock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_was_replaced_meanwhile_is_looked_at_again() {
    let house = House::open("key_replaced").await;
    let app = &house.world.app;
    let expected = filled(app).await;
    let write = |keys: &[OneKey]| {
        let lines: String = keys.iter().map(|key| format!("{}\n", key.line())).collect();
        std::fs::write(house.file(), lines).unwrap();
    };
    let output = tokio::task::block_in_place(|| {
        meanwhile(&house, "after the new key in the key file", || write(&[first_key()]))
    });
    let said = told(&output, 1);
    assert!(said.contains("was changed while this ran, so nothing is sealed with"), "{said}");
    assert_eq!(house.keys(), [first_key()]);
    assert_eq!(
        all_open(app, &house.keys(), &expected).await,
        [expected.len()],
        "no value is lost with a key"
    );

    let added = OneKey::new([5; 32]);
    let output = tokio::task::block_in_place(|| {
        meanwhile(&house, "before the old key out of the key file", || {
            write(&[first_key(), added.clone()]);
        })
    });
    let said = told(&output, 1);
    assert!(said.contains("was changed while this ran, so it is left as it is"), "{said}");
    assert_eq!(house.keys(), [first_key(), added.clone()], "nobody's line is overwritten");
    // Everything is encrypted with a key that is no longer in the key file, so there is a copy of it.
    let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    let copies = || -> Vec<PathBuf> {
        let all = std::fs::read_dir(house.folder.path()).unwrap().map(|one| one.unwrap().path());
        all.filter(|path| name(path).starts_with("bursar.key.") && !name(path).ends_with(".mark")).collect()
    };
    let [copy] = &copies()[..] else { panic!("{:?}", copies()) };
    assert!(said.contains(&*copy.to_string_lossy()), "{said}");
    let new = key_file::read(copy).unwrap().unwrap();
    assert_eq!(all_open(app, &new, &expected).await, [expected.len()]);
    write(&[new, house.keys()].concat());
    house.done(&["finish"]).await;
    assert_eq!(house.keys().len(), 1);
    assert_eq!(copies(), Vec::<PathBuf>::new(), "the copy goes with the old key");

    // A process that still has the key reports that the file no longer does.
    let here = house.process(&house.file()).await;
    let look = async || {
        here.master_key.look_again();
        master_key::follow(&mut here.store.read().await.unwrap(), &here.master_key).await.unwrap();
        here.master_key.is_not_in_file()
    };
    let right = house.keys();
    assert!(!look().await);
    write(&[first_key()]);
    assert!(look().await && !here.master_key.is_key_missing());
    write(&right);
    assert!(!look().await);
    std::fs::remove_file(house.file()).unwrap();
    assert!(look().await, "the file is gone");
    here.store.close().await;
    house.close().await;
}

/// Starts the program and kills it at its n-th point; false if it exits before that.
fn killed_at(house: &House, n: usize, arguments: &[&str]) -> bool {
    let (mut child, mut points) = led(house, &format!("points-{n}"), arguments);
    for passed in 0.. {
        let mut point = String::new();
        if points.read_line(&mut point).unwrap_or(0) == 0 {
            break;
        }
        if passed == n {
            child.kill().unwrap();
            child.wait().unwrap();
            return true;
        }
        points.get_mut().write_all(b"0\n").unwrap();
    }
    assert!(child.wait().unwrap().success());
    false
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_dies_at_any_point_is_gone_on_from_with_the_same_key() {
    let house = House::open("key_killed").await;
    let app = &house.world.app;
    let expected = filled(app).await;
    let mut points = 0;
    loop {
        let before = house.keys();
        let killed = tokio::task::block_in_place(|| killed_at(&house, points, &["rotate", "--again"]));
        let midway = house.keys();
        assert!(
            midway.len() <= 2 && (midway == before || midway.last() == before.first() || midway.len() == 1)
        );
        all_open(app, &midway, &expected).await;
        // With only one key, the rotation was not started or had finished: this is another one.
        let finish = if midway.len() == 2 { "rotate" } else { "finish" };
        house.done(&[finish]).await;
        let after = house.keys();
        assert_eq!(after, [midway[0].clone()], "no third key: point {points}");
        assert_eq!(all_open(app, &after, &expected).await, [expected.len()], "point {points}");
        let left = std::fs::read_dir(house.folder.path()).unwrap().map(|one| one.unwrap().file_name());
        assert!(
            left.into_iter().all(|name| !name.to_string_lossy().contains("unfinished")),
            "point {points}"
        );
        if !killed {
            break;
        }
        points += 1;
    }
    assert!(points > 20, "{points}");
    house.close().await;
}

/// The format of encrypted values before they named their key.
fn sealed_before(key: [u8; 32], bound: &str, plain: &str) -> String {
    let nonce = [5u8; 24];
    let payload = Payload { msg: plain.as_bytes(), aad: bound.as_bytes() };
    let sealed = XChaCha20Poly1305::new(&Key::from(key)).encrypt(&XNonce::from(nonce), payload).unwrap();
    STANDARD.encode([nonce.as_slice(), sealed.as_slice()].concat())
}

async fn put_as_it_is(world: &World, table: &str, set: &str) {
    run(&mut beside(world).await, &format!("UPDATE {table} SET {set}")).await.unwrap();
}

/// A value encrypted by an earlier version is bound to less context and still decrypts; re-encrypting binds it to its
/// place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_earlier_version_sealed_opens_and_is_bound_when_it_is_sealed_anew() {
    let house = House::open("key_before").await;
    let app = &house.world.app;
    let expected = filled(app).await;
    for (column, row, plain) in &expected {
        let (table, name) = column.name();
        let (key, bound) = match column {
            Column::Connection => ("vendor", row.clone()),
            Column::TaxNumber => ("payee", format!("tin:{row}")),
            Column::Factor | Column::FactorBegun => ("person_id", format!("second factor of {row}")),
            Column::HalfLogin => ("token_hash", format!("what the provider signed for {row}")),
            // There are none from before.
            Column::SecretLink => continue,
            Column::RetiredKey => unreachable!(),
        };
        let value = sealed_before([7; 32], &bound, plain);
        put_as_it_is(&house.world, table, &format!("{name} = '{value}' WHERE {key} = '{row}'")).await;
    }
    let check = sealed_before([7; 32], "key_check", "key_check");
    put_as_it_is(&house.world, "meta", &format!("value = '{check}' WHERE name = 'key_check'")).await;
    assert_eq!(all_open(app, &[first_key()], &expected).await, [expected.len()]);
    house.done(&["rotate"]).await;
    let keys = house.keys();
    assert_eq!(all_open(app, &keys, &expected).await, [expected.len()]);
    let (key, mut db) = (MasterKey::read(&house.file()).unwrap().unwrap(), app.store.read().await.unwrap());
    let factor = rows(&mut db, Column::Factor).await.pop().unwrap();
    assert!(key.open(&Column::FactorBegun.place(&factor.0), &factor.1).is_none(), "in another table");
    let numbers = rows(&mut db, Column::TaxNumber).await;
    assert!(key.open(&Column::TaxNumber.place(&numbers[0].0), &numbers[1].1).is_none(), "in another row");
    drop(db);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_runs_reads_and_seals_with_the_new_key() {
    let house = House::open("key_running").await;
    // One shares the key file, the other has a copy.
    let copy = house.folder.path().join("copy.key");
    key_file::make(&copy, &[first_key()]).unwrap();
    let (near, far) = (house.process(&house.file()).await, house.process(&copy).await);
    house.done(&["rotate"]).await;
    let new = house.keys().remove(0);
    let connection = async |app: &App, vendor: Vendor| {
        let all = vendors::all(&mut app.store.read().await.unwrap()).await.unwrap();
        all.into_iter().find(|one| one.vendor == vendor).unwrap()
    };
    assert!(Credentials::open(&near.master_key, &connection(&near, Vendor::PayPal).await).is_some());
    let work = Work::new(near.clone(), None).unwrap();
    assert!(work.clients.stripe().await.unwrap().is_some());

    let begin = async |app: &App| -> ops::Result<String> {
        let place = Column::Connection.place("paypal");
        transact!(app, |tx| { master_key::seal(tx, app, &place, "anew").await })
    };
    assert_eq!(id_in(&begin(&near).await.unwrap()), Some(new.id()), "it seals with the new key, too");
    assert_eq!(near.master_key.sealing(), Some(new.clone()));

    // The copy has only the old key: that node cannot encrypt, and the vendor is not paused for everyone.
    let refused = begin(&far).await;
    assert!(
        matches!(&refused, Err(OpsError::Conflict(refusal)) if refusal.code == "master_key_missing"),
        "{refused:?}"
    );
    let work = Work::new(far.clone(), None).unwrap();
    assert!(work.clients.paypal().await.unwrap().is_none());
    assert_eq!(connection(&far, Vendor::PayPal).await.rejected_at, None);
    let ready = async || {
        let asked = Request::get("/readyz").body(Body::empty()).unwrap();
        let answer = bursar::web::router(work.clone()).oneshot(asked).await.unwrap();
        let status = answer.status().as_u16();
        let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    };
    let (status, body) = ready().await;
    assert!(status == 503 && body.contains("does not have the new key"), "{status} {body}");
    let mut file = Locked::of(&copy).unwrap();
    file.write(&[new.clone(), first_key()]).unwrap();
    drop(file);
    assert_eq!(id_in(&begin(&far).await.unwrap()), Some(new.id()), "the file that was copied is read");
    assert!(work.clients.paypal().await.unwrap().is_some());
    master_key::follow(&mut far.store.read().await.unwrap(), &far.master_key).await.unwrap();
    assert_eq!(ready().await.0, 200);
    let said = told(&house.run(&copy, &["finish"]).await, 0);
    assert!(said.contains("now holds only that key"), "{said}");
    assert_eq!(key_file::read(&copy).unwrap().unwrap(), [new]);
    near.store.close().await;
    far.store.close().await;
    house.close().await;
}

/// Values saved during re-encryption are kept; nothing is encrypted with the old key after the rotation.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_saved_meanwhile_stays() {
    let house = House::open("key_meanwhile").await;
    let (app, new) = (house.process(&house.file()).await, OneKey::new([9; 32]));
    Locked::of(&house.file()).unwrap().write(&[new.clone(), first_key()]).unwrap();
    app.master_key.look_again();
    let place = Column::Connection.place("paypal");
    let value = async || rows(&mut app.store.read().await.unwrap(), Column::Connection).await.remove(0);
    let read = value().await;
    assert_eq!(read.0, "paypal");

    // A concurrent write: the rotation waits for it, and finds the new value.
    let mut storing = app.store.begin().await.unwrap();
    let by_old = master_key::seal(&mut storing, &app, &place, "{\"saved\":1}").await.unwrap();
    assert!(sealed::exchange(&mut storing, Column::Connection, "paypal", &read.1, &by_old).await.unwrap());
    let other = app.clone();
    let to = new.clone();
    let beginning = tokio::spawn(async move { key_rotation::begin(&other, &to, OPERATOR).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!beginning.is_finished(), "it waits");
    storing.commit().await.unwrap();
    assert!(beginning.await.unwrap().unwrap());
    assert!(!key_rotation::begin(&app, &new, OPERATOR).await.unwrap(), "once");
    assert!(
        matches!(key_rotation::end(&app, &new, OPERATOR, true).await.unwrap(), FinishOutcome::No(left) if left.opens >= 2)
    );

    // A concurrent write between reading and replacing a value.
    let seen = value().await;
    assert_eq!(id_in(&seen.1), Some(first_key().id()));
    let anew = new.seal(&app.clock, &place, "{\"saved\":1}");
    let saved: ops::Result<()> = transact!(app, |tx| {
        let by_new = master_key::seal(tx, &app, &place, "{\"saved\":2}").await?;
        assert_eq!(id_in(&by_new), Some(new.id()));
        assert!(sealed::exchange(tx, Column::Connection, "paypal", &seen.1, &by_new).await?);
        Ok(())
    });
    saved.unwrap();
    let late: ops::Result<bool> = transact!(app, |tx| {
        Ok(sealed::exchange(tx, Column::Connection, "paypal", &seen.1, &anew).await?)
    });
    assert!(!late.unwrap(), "what was saved is not written over");
    for column in Column::ALL {
        key_rotation::seal_some(&app, &new, column, "", AT_ONCE).await.unwrap();
    }
    assert_eq!(key_rotation::end(&app, &new, OPERATOR, false).await.unwrap(), FinishOutcome::Yes);
    assert_eq!(new_only(&new).open(&place, &value().await.1).as_deref(), Some("{\"saved\":2}"));
    app.store.close().await;
    house.close().await;
}

fn new_only(new: &OneKey) -> MasterKey {
    MasterKey::new([0; 32]).with([new.clone()])
}

/// Two operators with separate key files rotate at once: one succeeds, the other gets an error, and no value is encrypted
/// with a key that only one file has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_who_change_it_at_once_one_does() {
    let house = House::open("key_two").await;
    let other_file = house.folder.path().join("other.key");
    let (mine, theirs) = (OneKey::new([9; 32]), OneKey::new([8; 32]));
    key_file::make(&other_file, &[theirs.clone(), first_key()]).unwrap();
    Locked::of(&house.file()).unwrap().write(&[mine.clone(), first_key()]).unwrap();
    let (me, they) = (house.process(&house.file()).await, house.process(&other_file).await);
    assert_eq!(they.master_key.sealing(), Some(first_key()), "the database says which one seals");
    assert!(key_rotation::begin(&me, &mine, OPERATOR).await.unwrap());
    for refused in [
        key_rotation::begin(&they, &theirs, OPERATOR).await.map(drop),
        key_rotation::seal_some(&they, &theirs, Column::Connection, "", AT_ONCE).await.map(drop),
        key_rotation::end(&they, &theirs, OPERATOR, true).await.map(drop),
    ] {
        assert!(matches!(refused, Err(OpsError::Conflict(_))), "{refused:?}");
    }
    let mut db = they.store.read().await.unwrap();
    for column in Column::ALL {
        assert!(rows(&mut db, column).await.iter().all(|(_, value)| id_in(value) != Some(theirs.id())));
    }
    drop(db);
    let said = told(&house.run(&other_file, &["rotate"]).await, 1);
    assert!(said.contains("is not the one that encrypted this database"), "{said}");

    // On one machine the file is locked.
    let held = Locked::of(&house.file()).unwrap();
    let said = house.refused(&["rotate"]).await;
    assert!(said.contains("another `bursar key` is working on"), "{said}");
    drop(held);
    house.done(&["rotate"]).await;
    assert_eq!(house.keys(), [mine]);
    me.store.close().await;
    they.store.close().await;
    house.close().await;
}

/// A value that no key decrypts is reported by its location, never its content, and keeps the old key in the file until an
/// operator confirms.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_open_is_named_and_left_as_it_is() {
    let house = House::open("key_shut").await;
    let app = &house.world.app;
    filled(app).await;
    let lost = OneKey::new([3; 32]).seal(&app.clock, &Column::Connection.place("stripe"), "{}");
    put_as_it_is(&house.world, "vendor_connection", &format!("sealed = '{lost}' WHERE vendor = 'stripe'"))
        .await;
    put_as_it_is(&house.world, "half_login", "provided = 'nobody reads it'").await;
    let said = house.refused(&["rotate"]).await;
    assert!(
        said.contains("vendor_connection.sealed of stripe") && said.contains("1 value opens with no key"),
        "{said}"
    );
    assert!(!said.contains(&lost[30..40]) && !said.contains("half_login.provided of"), "{said}");
    let keys = house.keys();
    assert!(keys.len() == 2 && keys[1] == first_key(), "the old key stays");
    // The rest is re-encrypted, and running it again creates no other key.
    house.refused(&["finish"]).await;
    house.refused(&["rotate"]).await;
    assert_eq!(house.keys(), keys);
    house.done(&["finish", "--leave-unreadable"]).await;
    assert_eq!(house.keys(), keys[..1]);
    let mut db = app.store.read().await.unwrap();
    assert_eq!(rows(&mut db, Column::Connection).await[1].1, lost, "it is as it was");
    drop(db);
    house.close().await;
}

/// A key encrypts nothing before every serving process has it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_without_the_new_key_is_waited_for() {
    let house = House::open("key_nodes").await;
    let copy = house.folder.path().join("copy.key");
    key_file::make(&copy, &[first_key()]).unwrap();
    let far = house.process(&copy).await;
    nodes::join(&far, false).await.unwrap();
    let beating = far.clone();
    let beats = tokio::spawn(async move {
        let census = NodeCensus::default();
        loop {
            nodes::heartbeat(&beating, &census).await.unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let said = house.refused(&["rotate"]).await;
    assert!(said.contains("not yet known to nod_") && said.contains("Copy the key file"), "{said}");
    let keys = house.keys();
    assert_eq!(keys.len(), 2, "it is in the file");
    let check = meta::get(&mut far.store.read().await.unwrap(), "key_check").await.unwrap().unwrap();
    assert_eq!(id_in(&check), Some(first_key().id()), "and seals nothing");
    let status = house.done(&["status"]).await;
    assert!(
        status.contains(&format!("The key {} is in the key file, but encrypts nothing yet", keys[0].id())),
        "{status}"
    );

    Locked::of(&copy).unwrap().write(&keys).unwrap();
    house.done(&["rotate"]).await;
    assert_eq!(house.keys(), keys[..1]);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(far.master_key.sealing(), Some(keys[0].clone()), "it follows by itself");
    assert!(!far.master_key.is_key_missing());
    beats.abort();
    nodes::leave(&far).await.unwrap();
    far.store.close().await;
    house.close().await;
}

/// Signatures by an old key can still be verified, even after two rotations.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_old_key_has_signed_still_holds() {
    let house = House::open("key_signed").await;
    let app = house.world.app.clone();
    while trail::chain(&app).await.unwrap() > 0 {}
    let signed = log_signature::sign(&app).await.unwrap();
    let proof = log_signature::inclusion_proof(&app, 1).await.unwrap();
    for _ in 0..2 {
        house.done(&["rotate", "--again"]).await;
    }
    while trail::chain(&app).await.unwrap() > 0 {}
    let later = house.process(&house.file()).await;
    let difference = async |signed: &Signature| {
        let mut db = later.store.read().await.unwrap();
        log_signature::difference(&mut db, &later.master_key, signed).await.unwrap()
    };
    assert_eq!(difference(&signed).await, None);
    assert_eq!(difference(&log_signature::sign(&later).await.unwrap()).await, None);
    let forged = signed.to_string().replace('.', ".0");
    let present = Signers::only(later.master_key.clone());
    let forged = Signature::parse(&forged).map(|forged| forged.signer(&present));
    assert!(forged.is_none_or(|signer| signer == Signer::Nobody));
    assert!(proof.flaw(&present).is_some(), "not with the present key alone");
    let mut db = later.store.read().await.unwrap();
    let all = Signers::of(&mut db, &later.master_key).await.unwrap();
    assert_eq!(proof.flaw(&all), None);
    assert_eq!(proof.matches_database(&mut db).await.unwrap(), Some(true));
    drop(db);

    // Someone who finds a retired key cannot use it to sign rows added after its retirement, nor other rows from before.
    let thief = App::new(Inner {
        store: Store::open_with(&app.config.database_url, CONNECTIONS).await.unwrap(),
        clock: app.clock.clone(),
        config: app.config.clone(),
        base_url: app.base_url.clone(),
        master_key: MasterKey::new([7; 32]),
        nudge: Nudge::default(),
    });
    let mut database = beside(&house.world).await;
    let check = text(&mut database, "SELECT value FROM meta WHERE name = 'key_check'").await;
    run(&mut database, "DELETE FROM meta WHERE name = 'key_check'").await.unwrap();
    let late = log_signature::sign(&thief).await.unwrap();
    let late_proof = log_signature::inclusion_proof(&thief, 1).await.unwrap();
    run(&mut database, &format!("INSERT INTO meta (name, value) VALUES ('key_check', '{check}')"))
        .await
        .unwrap();
    let message = difference(&late).await.unwrap_or_default();
    assert!(message.contains("given up before the log had so many rows"), "{message}");
    assert!(late_proof.flaw(&all).is_some());
    let other = log_signature::Proof { detail: "{}".to_owned(), ..proof };
    assert_eq!(other.matches_database(&mut later.store.read().await.unwrap()).await.unwrap(), Some(false));
    thief.store.close().await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_bursar"));
    command.env("BURSAR_DATABASE_URL", &app.config.database_url).env("BURSAR_MASTER_KEY_FILE", house.file());
    command.args(["audit", "verify", "--signed", &signed.to_string()]);
    self::told(&tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap(), 0);
    later.store.close().await;
    house.close().await;
}

/// Every stored encrypted column is known to the rotation; otherwise its values would be lost with the old key.
#[test]
fn whatever_is_stored_sealed_is_sealed_anew() {
    let known: Vec<(&str, &str)> = Column::ALL.iter().map(|column| column.name()).collect();
    let all = source::files(&[".rs", ".sql"]);
    let migrations: Vec<_> = all.iter().filter(|file| file.path.ends_with(".sql")).collect();
    for table in migrations.iter().flat_map(|file| file.text.split("CREATE TABLE ").skip(1)) {
        let (name, rest) = table.split_once(" (").unwrap();
        let is_gone = |file: &&source::Source| file.text.contains(&format!("DROP TABLE {name};"));
        let columns = rest.split("\n);").next().unwrap_or_default().lines().map(str::trim);
        for column in columns.filter(|line| line.starts_with("sealed")) {
            let column = column.split(' ').next().unwrap_or_default();
            let there =
                known.contains(&(name, column)) || migrations.iter().copied().any(|file| is_gone(&file));
            assert!(there, "store::sealed does not know {name}.{column}");
        }
    }
    // Values kept by browsers are not re-encrypted; everything else goes through `ops::master_key::seal`.
    let by_browsers = ["ops/people/provider.rs", "ops/people/passkeys.rs", "web/kit/session.rs"];
    for file in
        all.iter().filter(|file| file.path.starts_with("crates/bursar/src/") && file.path.ends_with(".rs"))
    {
        let code: String = file.text.split_whitespace().collect();
        let is_there = |places: &[&str]| places.iter().any(|place| file.path.ends_with(place));
        let seals = code.contains("app.master_key.seal(");
        assert!(!seals || is_there(&by_browsers), "{} seals past the check", file.path);
        let makes_places = code.contains("SealedAt::stored(") && !file.path.contains("/secrets/");
        assert!(!makes_places || is_there(&["store/sealed.rs", "ops/master_key.rs"]), "{}", file.path);
    }
}
