//! `backup` and `restore`. A SQLite database is copied online and restored only while nothing serves it. PostgreSQL has
//! its own tools for both, so there the commands print exactly what to run and check what they can.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::serve::{Server, without_password};
use super::{Failure, Outcome, output, words};
use crate::backup::{self, Manifest};
use crate::clock::{self, Clock};
use crate::config::Config;
use crate::ops::backups::{self, Taken};
use crate::ops::key_rotation::{self, NotResealed};
use crate::ops::{epoch, master_key};
use crate::secrets::MasterKey;
use crate::store::{Store, copy, put_back};

#[derive(Args)]
pub(super) struct Backup {
    /// Where to write the backup; the file must not exist
    file: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: Config,
}

#[derive(Args)]
pub(super) struct Restore {
    /// A backup made by `bursar backup`
    file: PathBuf,
    /// Only check whether the backup is intact and can be restored
    #[arg(long)]
    check: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: Config,
}

/// Error text: `FILE cannot be …: why`
fn because(file: &Path, what: &'static str) -> impl Fn(io::Error) -> Failure {
    let file = file.display().to_string();
    move |error| Failure(format!("{file} cannot be {what}: {error}."))
}

pub(super) async fn take(options: Backup) -> Outcome {
    let (config, file) = (&options.config, options.file.as_path());
    if copy::file_of(&config.database_url).is_none() {
        return with_pg_dump(config, options.json).await;
    }
    if file.exists() {
        return Err(Failure(format!(
            "{} already exists, and a backup never overwrites a file. Name another file. Nothing was done.",
            file.display()
        )));
    }
    let store = Store::open_as_it_is(&config.database_url).await.map_err(not_opened)?;
    let unfinished = backup::unfinished(file);
    let taken = copied(&store, &unfinished).await;
    let placed = match taken {
        Ok(manifest) => {
            backup::put_in_place(&unfinished, file).map(|()| manifest).map_err(because(file, "written"))
        }
        Err(error) => Err(error),
    };
    if placed.is_err() && unfinished.exists() {
        std::fs::remove_file(&unfinished)?;
    }
    let manifest = placed?;
    let place = std::path::absolute(file).unwrap_or_else(|_| file.to_path_buf()).display().to_string();
    backups::note(&store, &Taken { at: manifest.made_at, file: place }).await.map_err(words)?;
    store.close().await;
    if options.json {
        output::json(&manifest);
    } else {
        output::print_line(&format!(
            "{} is a backup of {} bytes, SHA-256 {}. Copy it to another machine, and keep the key file apart from it.",
            file.display(),
            manifest.bytes,
            manifest.sha256
        ));
    }
    Ok(())
}

fn not_opened(error: crate::store::StoreError) -> Failure {
    Failure(format!(
        "the database cannot be opened: {error}. Check BURSAR_DATABASE_URL; nothing was changed."
    ))
}

/// Copies the database into a temporary file and appends the manifest.
async fn copied(store: &Store, to: &Path) -> Result<Manifest, Failure> {
    let now = Clock::system().now();
    let mut db = store.read().await?;
    let progress = put_back::progress(&mut db).await?;
    let schema = copy::schema_of(&mut db).await?;
    let made = (clock::rfc3339(now), now);
    let manifest =
        Manifest::of(made, epoch::known_identity(&mut db).await?, schema, (progress.epoch, progress.sent));
    let bytes = u64::try_from(copy::bytes_of(&mut db).await?).unwrap_or(0);
    drop(db);
    backup::make_empty(to).map_err(because(to, "written"))?;
    let bar = bar(bytes, "copying");
    let growing = async {
        loop {
            bar.set_position(std::fs::metadata(to).map(|file| file.len()).unwrap_or(0));
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::select! {
        done = store.copy_into(to) => done.map_err(|error| Failure(format!(
            "the database could not be copied: {error}. Is there room for {bytes} bytes? The partial copy was removed."
        )))?,
        () = growing => {}
    }
    bar.finish_and_clear();
    let (copy, bar) = (to.to_path_buf(), self::bar(bytes, "proving"));
    let progress_bar = bar.clone();
    let sealing =
        tokio::task::spawn_blocking(move || backup::seal(&copy, manifest, |read| progress_bar.inc(read)));
    let sealed = sealing.await?.map_err(because(to, "finished"));
    bar.finish_and_clear();
    sealed
}

fn bar(bytes: u64, what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {wide_bar} {bytes} of {total_bytes}, {eta}");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(bytes).with_style(style).with_message(what)
}

/// PostgreSQL backs itself up; this checks what can be checked from here.
async fn with_pg_dump(config: &Config, json: bool) -> Outcome {
    let store = Store::open_as_it_is(&config.database_url).await.map_err(not_opened)?;
    let mut db = store.read().await?;
    let server = copy::server(&mut db).await?;
    let schema = copy::schema_of(&mut db).await?;
    drop(db);
    store.close().await;
    let address = without_password(&config.database_url).replace(":…@", "@");
    let dump = format!("pg_dump --format=custom --no-owner --file=FILE '{address}'");
    let archive = match (server.archive_mode.as_str(), server.archived_at) {
        ("off", _) => {
            "archive_mode is off: nothing is kept between two dumps, so a restore loses what was paid since the last one".to_owned()
        }
        (_, Some(at)) if !server.failed => format!("WAL is archived, last on {}", clock::human(at)),
        (_, _) => "archive_mode is on, but the last attempt to archive WAL failed, or there was none".to_owned(),
    };
    if json {
        output::json(
            &serde_json::json!({ "command": dump, "server_version": server.version, "schema": schema,
            "archive_mode": server.archive_mode, "archived_at": server.archived_at.map(clock::rfc3339),
            "archive_failed": server.failed, "standbys": server.standbys }),
        );
        return Ok(());
    }
    output::print_line(&format!(
        "Bursar does not back up a PostgreSQL database; use PostgreSQL's own tools. With the password in ~/.pgpass or PGPASSWORD, run:\n\n    {dump}\n\nThe server answers: PostgreSQL {}, schema {schema}; {archive}; {} standbys follow. Use a pg_dump of at least that version. Keep the key file apart from the dump.",
        server.version, server.standbys
    ));
    Ok(())
}

pub(super) async fn put_back_from(options: Restore) -> Outcome {
    let (config, file) = (&options.config, options.file.as_path());
    let Some(place) = copy::file_of(&config.database_url) else { return with_pg_restore(config) };
    let manifest = backup::manifest_of(file).map_err(because(file, "restored"))?;
    fits(&manifest)?;
    // Hold the lock until the end, so that no Bursar starts serving in the meantime. `--check` takes no lock.
    let server = (!options.check).then(|| Server::of_file(&place, false));
    if place.exists() && server.as_ref().is_some_and(|server| !server.is_alone) {
        return Err(Failure(format!(
            "a Bursar serves {}. Stop it, then restore; nothing was changed.",
            place.display()
        )));
    }
    let fresh = backup::unfinished(&place);
    let prepared = prepared(config, file, &fresh, options.check).await;
    let kept = match (&prepared, options.check) {
        (Ok(_), false) => exchange(&place, &fresh),
        (_, _) => Ok(None),
    };
    clear(&fresh)?;
    let (manifest, kept) = (prepared?, kept.map_err(because(&place, "replaced"))?);
    print_restored(&options, &manifest, &place, kept.as_deref());
    Ok(())
}

fn fits(manifest: &Manifest) -> Outcome {
    let known = copy::newest_schema();
    if manifest.schema > known {
        return Err(Failure(format!(
            "the backup was made by Bursar {} with schema {}, but this version supports only up to {known}. Install that version or a newer one, then restore. Nothing was changed.",
            manifest.program, manifest.schema
        )));
    }
    Ok(())
}

/// Unpacks the backup beside the database, verifies it, migrates it and turns safe mode on.
async fn prepared(config: &Config, file: &Path, fresh: &Path, check: bool) -> Result<Manifest, Failure> {
    clear(fresh)?;
    let bar = bar(std::fs::metadata(file)?.len(), "proving");
    let (from, to, progress_bar) = (file.to_path_buf(), fresh.to_path_buf(), bar.clone());
    let unpacking =
        tokio::task::spawn_blocking(move || backup::unpack(&from, &to, |read| progress_bar.inc(read)));
    let unpacked = unpacking.await?.map_err(because(file, "restored"));
    bar.finish_and_clear();
    let manifest = unpacked?;
    let url = format!("sqlite://{}", fresh.display());
    if check {
        checked(config, &url, &manifest).await?;
        return Ok(manifest);
    }
    let store = Store::open(&url).await.map_err(|error| {
        Failure(format!("the backup's tables cannot be migrated: {error}. Nothing was changed."))
    })?;
    if let Err(why) = copy::is_sound(&mut store.read().await?).await? {
        return Err(Failure(format!("the backup is damaged: {why}. Use another one. Nothing was changed.")));
    }
    warn_of_another_key(config, &store).await?;
    let now = Clock::system().now();
    backups::make_safe(&store, &manifest, now).await.map_err(words)?;
    store.close().await;
    Ok(manifest)
}

/// Whether Bursar could start on the backup with the current key file.
async fn checked(config: &Config, url: &str, manifest: &Manifest) -> Outcome {
    let store = Store::open_as_it_is(url).await.map_err(|error| {
        Failure(format!("the backup's tables cannot be read: {error}. Use another one. Nothing was changed."))
    })?;
    let sound = copy::is_sound(&mut store.read().await?).await;
    let asks = master_key::key_check(&store).await;
    store.close().await;
    if let Err(why) = sound? {
        return Err(Failure(format!("the backup is damaged: {why}. Use another one. Nothing was changed.")));
    }
    let key = MasterKey::read(&config.master_key_file).map_err(because(&config.master_key_file, "read"))?;
    let (made, file) = (clock::human(manifest.made_at), config.master_key_file.display());
    match key {
        Some(key) => {
            let asks = asks.map_err(words)?;
            if asks.opens_with(&key) {
                let all = everything(url, &key).await?;
                tell_gone(&all);
                let Some(shut) = all.shut() else { return Ok(()) };
                return Err(Failure(format!(
                    "the backup of {made} is whole, and can be restored with the key in {file}, but {shut}. {OTHER_KEYS} Nothing was changed."
                )));
            }
            let called = asks.id().map(|id| format!(" ({id})")).unwrap_or_default();
            Err(Failure(format!(
                "the backup of {made} is intact, but encrypted with a different key{called} than the one in {file}, so Bursar would not start on it. Put the original key file there, or name it with BURSAR_MASTER_KEY_FILE. If the key was changed since, add the key of that time to the file on a line below; `bursar key old` writes it from the current database. Nothing was changed."
            )))
        }
        None => {
            output::complain(&format!(
                "There is no key file at {file}, so Bursar did not check whether the backup can be decrypted with yours."
            ));
            Ok(())
        }
    }
}

const OTHER_KEYS: &str = "If the key was changed at that time, add the other key of it to the file as another line below; `bursar key status` names those that are kept and `bursar key old` writes one. What no key opens is entered again after the restore.";

/// Says once what is lost with its key: that does not make a backup a bad one, and no check can be green otherwise.
fn tell_gone(all: &NotResealed) {
    if let Some((what, remedy)) = all.gone() {
        output::complain(&format!("{what}. {remedy}"));
    }
}

/// Tries all that is sealed. The tables are brought up to date for that: they are a copy's.
async fn everything(url: &str, key: &MasterKey) -> Result<NotResealed, Failure> {
    let store = Store::open(url).await.map_err(|error| {
        Failure(format!("the backup's tables cannot be brought up to date: {error}. Nothing was changed."))
    })?;
    let all = key_rotation::all(&mut store.read().await?, key).await?;
    store.close().await;
    Ok(all)
}

async fn warn_of_another_key(config: &Config, store: &Store) -> Outcome {
    let asks = master_key::key_check(store).await.map_err(words)?;
    let key = MasterKey::read(&config.master_key_file).ok().flatten();
    let opens = key.as_ref().filter(|key| asks.opens_with(key));
    if let Some(key) = opens {
        let all = key_rotation::all(&mut store.read().await?, key).await?;
        tell_gone(&all);
        if let Some(shut) = all.shut() {
            output::complain(&format!("{shut}. {OTHER_KEYS}"));
        }
    } else {
        output::complain(&format!(
            "The key in {} is missing or is not the one that encrypted this backup: put the right one there before you start. If the key was changed since, add the key of that time on a line below.",
            config.master_key_file.display()
        ));
    }
    Ok(())
}

/// The suffixes of a SQLite database's files.
const PARTS: [&str; 3] = ["", "-wal", "-shm"];

fn part(of: &Path, ending: &str) -> PathBuf {
    let mut name = of.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// Moves the current database aside and the restored one into place; returns where the current one went.
fn exchange(place: &Path, fresh: &Path) -> io::Result<Option<PathBuf>> {
    let stamp: String =
        clock::rfc3339(Clock::system().now()).chars().filter(char::is_ascii_alphanumeric).collect();
    let aside = part(place, &format!(".before-restore-{stamp}"));
    let was_there = place.exists();
    File::open(fresh)?.sync_all()?;
    move_all(place, &aside)?;
    if let Err(error) = backup::put_in_place(fresh, place) {
        // Without a database in place, the next start would create an empty one.
        return Err(match move_all(&aside, place) {
            Ok(()) => error,
            Err(again) => io::Error::other(format!(
                "{error}; the current database was moved to {} and could not be moved back ({again}). Do not start Bursar; first move it back, with its -wal and -shm files",
                aside.display()
            )),
        });
    }
    Ok(was_there.then_some(aside))
}

/// Move the log first: a database without its log lacks recent commits, but a log without its database is useless.
fn move_all(from: &Path, to: &Path) -> io::Result<()> {
    for ending in PARTS.iter().rev().filter(|ending| part(from, ending).exists()) {
        std::fs::rename(part(from, ending), part(to, ending))?;
    }
    Ok(())
}

/// Deletes the leftovers of an unfinished restore.
fn clear(fresh: &Path) -> io::Result<()> {
    for ending in PARTS {
        match std::fs::remove_file(part(fresh, ending)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

fn print_restored(options: &Restore, manifest: &Manifest, place: &Path, kept: Option<&Path>) {
    let kept = kept.map(|kept| kept.display().to_string());
    if options.json {
        let body = serde_json::json!({ "manifest": manifest, "database": place.display().to_string(), "kept": kept,
            "restored": !options.check });
        return output::json(&body);
    }
    let made = clock::human(manifest.made_at);
    if options.check {
        return output::print_line(&format!(
            "The backup of {made} is intact and can be restored. Nothing was changed."
        ));
    }
    let kept = kept.map(|kept| format!(" The previous database is kept as {kept}.")).unwrap_or_default();
    output::print_line(&format!(
        "{} now holds the backup of {made}.{kept} It is in safe mode: start Bursar, and nothing is sent until the payments of this database have been looked up, and missing ones searched for, at the vendors. `bursar safe-mode` shows the progress; an administrator ends it.",
        place.display()
    ));
}

fn with_pg_restore(config: &Config) -> Outcome {
    let address = without_password(&config.database_url).replace(":…@", "@");
    Err(Failure(format!(
        "Bursar does not restore a PostgreSQL database; use PostgreSQL's own tools. Stop every Bursar that serves it, then, with the password in ~/.pgpass or PGPASSWORD, run:\n\n    createdb NEW          # a new, empty database beside the current one, which is {address}\n    pg_restore --no-owner --dbname=NEW FILE\n\nSet BURSAR_DATABASE_URL to the new database, then:\n\n    bursar safe-mode on --put-back-from TIME   # when the dump was begun, like 2026-03-02T02:00:00Z\n\nThen start Bursar. The mark beside the key file notices an older database by itself; the last line makes sure of it. Nothing was done."
    )))
}
