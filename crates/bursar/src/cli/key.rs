//! `key …`: rotating the master key, and its status. If the process dies at any step, running the same command again
//! continues, because the key file and the database alone determine the next step. Not here: the steps themselves
//! (`ops::key_rotation`), and replacing the file (`secrets::key_file`).

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};

use super::people::system_user;
use super::{Failure, Outcome, open, output, words};
use crate::app::App;
use crate::clock;
use crate::config::Config;
use crate::ops::key_rotation::{self, AT_ONCE, FinishOutcome, NotResealed};
use crate::ops::master_key;
use crate::ops::people::MachineUser;
use crate::points::{self, PointSide};
use crate::secrets::key_file::{self, Locked};
use crate::secrets::{self, OneKey};
use crate::store::sealed::Column;

/// How often, and at what interval, to check whether every node has the new key. Twice per second, each node reloads a
/// changed key file and records its heartbeat.
const LOOKS: usize = 10;
const LOOK: Duration = Duration::from_millis(500);

#[derive(Args)]
pub(super) struct Options {
    #[command(subcommand)]
    command: Order,
}

#[derive(Subcommand)]
enum Order {
    /// Show which key encrypts, which keys are in the key file and which are retired; never prints key material
    Status {
        #[command(flatten)]
        config: Config,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Rotate the master key: create a new key, re-encrypt everything with it, and remove the old key from the key file. The
    /// server can keep running. If this is interrupted, run it again, or run finish; both continue where it stopped. Copy the
    /// old key file first: your backups need it
    Rotate {
        #[command(flatten)]
        config: Config,
        /// For a key file that is mounted read-only: write a file with both keys here, and stop
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
        /// Remove the old key from the key file even if some values cannot be decrypted with any key; those values are left
        /// unchanged
        #[arg(long)]
        leave_unreadable: bool,
        /// Create another key even though the current one is less than a day old
        #[arg(long)]
        again: bool,
    },
    /// Continue a rotation that was started, without creating a key; also for other machines with their own copy of the key
    /// file
    Finish {
        #[command(flatten)]
        config: Config,
        /// As for rotate
        #[arg(long)]
        leave_unreadable: bool,
    },
    /// Write a retired key to a new file, for a backup from its time
    Old {
        #[command(flatten)]
        config: Config,
        /// The key's id, as shown by `bursar key status`
        id: String,
        /// The file to write; it must not exist
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
}

pub(super) async fn run(options: Options) -> Outcome {
    match options.command {
        Order::Status { config, json } => status(&open(config).await?, json).await,
        Order::Rotate { config, to: Some(to), again, .. } => prepare(&open(config).await?, &to, again).await,
        Order::Rotate { config, to: None, leave_unreadable, again } => {
            let makes = if again { Makes::Another } else { Makes::One };
            change(&open(config).await?, makes, leave_unreadable).await
        }
        Order::Finish { config, leave_unreadable } => {
            change(&open(config).await?, Makes::None, leave_unreadable).await
        }
        Order::Old { config, id, to } => old(&open(config).await?, &id, &to).await,
    }
}

/// Locks the key file against other `bursar key` commands; returns the lock and its keys.
fn locked(app: &App) -> Result<(Locked, Vec<OneKey>), Failure> {
    let path = &app.config.master_key_file;
    let unusable = |error: io::Error| {
        let path = path.display();
        Failure(if error.kind() == ErrorKind::WouldBlock {
            format!(
                "another `bursar key` is working on {path}. Nothing was done here; when it has finished, check `bursar key status`."
            )
        } else {
            format!("the master key file {path} cannot be used: {error}.")
        })
    };
    let file = Locked::of(path).map_err(unusable)?;
    if !file.is_alone() {
        output::complain(
            "The key file cannot be locked here; make sure that nobody else changes the key now.",
        );
    }
    let keys = key_file::read(path).map_err(unusable)?.unwrap_or_default();
    app.master_key.look_again();
    Ok((file, keys))
}

/// The key that the database is currently encrypted with.
async fn sealing(app: &App) -> Result<OneKey, Failure> {
    let found = master_key::of_database(&mut app.store.read().await?, &app.master_key).await?;
    found.ok_or_else(|| {
        Failure("the database is encrypted with a key that is not in the key file: somebody has just changed it on another machine. Copy the key file from there.".to_owned())
    })
}

/// Whether to create a key if the key file does not already hold a new one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Makes {
    None,
    /// Create one unless the current key is new: whoever runs the command again may not know that the rotation has finished.
    One,
    /// Create one in any case.
    Another,
}

/// A key that has been in use for less than this counts as just rotated.
const NEW_US: i64 = 24 * 3_600_000_000;

/// If the rotation has just finished, says so and returns true.
async fn has_just_ended(app: &App, seals: &OneKey) -> Result<bool, Failure> {
    let retired = master_key::retired(&mut app.store.read().await?, &app.master_key).await?;
    let since = retired.first().map(|one| one.at).filter(|at| app.clock.now() - at < NEW_US);
    let Some(since) = since else { return Ok(false) };
    let left = nothing_left(app, seals).await?;
    output::print_line(&format!(
        "The key {} seals, and another one was retired on {}. {left} No new key was made. To change the key once more, add --again.",
        seals.id(),
        clock::human(since)
    ));
    Ok(true)
}

/// Says that nothing is left to do with a single key in the file. Somebody may have taken the old one out too early.
async fn nothing_left(app: &App, seals: &OneKey) -> Result<&'static str, Failure> {
    let left = key_rotation::left(&mut app.store.read().await?, &app.master_key, seals).await?;
    match left.shut() {
        None => Ok("There is nothing left to do here."),
        Some(shut) => Err(Failure(format!("{shut}. {FIND_THE_KEY}"))),
    }
}

/// What to do about values that open with no key.
const FIND_THE_KEY: &str = "If their key is elsewhere (`bursar key old` writes those that are kept), add it to the key file on a line below, and run this again. If it is lost, enter these values again, or run `bursar key finish --leave-unreadable`, which reports them as lost from then on.";

/// Starts a rotation, or continues one.
async fn change(app: &App, makes: Makes, despite: bool) -> Outcome {
    let (mut file, mut keys) = locked(app)?;
    let seals = sealing(app).await?;
    let path = app.config.master_key_file.display();
    if keys.len() < 2 {
        if keys.first() == Some(&seals) {
            // Someone may have finished the rotation by hand.
            let _ = std::fs::remove_file(spare_path(app, &seals));
        }
        if makes == Makes::None {
            if despite {
                end(app, &seals, true).await?;
            }
            let left = nothing_left(app, &seals).await?;
            output::print_line(&format!("{path} has one key, {}. {left}", seals.id()));
            return Ok(());
        }
        if makes == Makes::One && has_just_ended(app, &seals).await? {
            return Ok(());
        }
        keys = make(app, &mut file, &seals)?;
    }
    let new = keys.first().cloned().unwrap_or_else(|| seals.clone());
    refuse_one_from_before(app, &new).await?;
    // The file's writer may have died before syncing it.
    file.make_durable().map_err(|error| {
        Failure(format!("{path} cannot be synced to disk ({error}), so nothing is encrypted with its new key. Run this again."))
    })?;
    if new != seals {
        wait_for_nodes(app, &new).await?;
        if !are_in_file(app, &keys) {
            return Err(Failure(format!(
                "{path} was changed while this ran, so nothing is sealed with the key {}. Look what lies there, then begin again.",
                new.id()
            )));
        }
        // Until the rotation finishes, this is the only other copy of the new key if someone replaces the key file.
        keep_spare(app, &new)?;
        let by = system_user();
        key_rotation::begin(app, &new, MachineUser(&by)).await.map_err(words)?;
        output::print_line(&format!("The key {} now encrypts; {} did before.", new.id(), seals.id()));
    }
    seal_all(app, &new).await?;
    end(app, &new, despite).await?;
    take_out(app, &mut file, &keys)?;
    app.store.close().await;
    Ok(())
}

/// Whether the key file still holds these keys. Configuration management tools replace the file without taking the lock. We
/// must not encrypt with a key that is in no file, nor overwrite a line that someone added.
fn are_in_file(app: &App, keys: &[OneKey]) -> bool {
    key_file::read(&app.config.master_key_file).ok().flatten().as_deref() == Some(keys)
}

/// Creates a key and adds it to the key file before anything is encrypted with it; returns the keys now in the file.
fn make(app: &App, file: &mut Locked, old: &OneKey) -> Result<Vec<OneKey>, Failure> {
    let keys = vec![OneKey::fresh(&app.clock), old.clone()];
    points::pass(PointSide::Before, "the new key in the key file");
    file.write(&keys).map_err(|error| {
        Failure(format!(
            "{} cannot be replaced: {error}. Nothing is encrypted with a new key. `bursar key rotate --to FILE` writes a file with a new key and the present one: {}, then run `bursar key rotate` again.",
            app.config.master_key_file.display(),
            put_in_place(app)
        ))
    })?;
    points::pass(PointSide::After, "the new key in the key file");
    app.master_key.look_again();
    Ok(keys)
}

/// What to do with a file that was written because the key file itself cannot be.
fn put_in_place(app: &App) -> String {
    let path = &app.config.master_key_file;
    match secrets::is_credential(path) {
        true => "put it where LoadCredential= of the unit reads the key, and restart Bursar".to_owned(),
        false => format!("put it in place of {}", path.display()),
    }
}

/// Writes a key file for use where the current one is read-only.
async fn prepare(app: &App, to: &Path, again: bool) -> Outcome {
    let (_file, keys) = locked(app)?;
    let path = app.config.master_key_file.display();
    if keys.len() > 1 {
        return Err(Failure(format!("{path} already has more than one key. Continue without --to.")));
    }
    let new = OneKey::fresh(&app.clock);
    let seals = sealing(app).await?;
    if !again && has_just_ended(app, &seals).await? {
        return Ok(());
    }
    key_file::make(to, &[new.clone(), seals]).map_err(|error| {
        Failure(format!("{} cannot be created: {error}. Nothing was changed.", to.display()))
    })?;
    output::print_line(&format!(
        "{} has a new key, {}, and the current one. For every process that serves this database, {}, then run `bursar key rotate` again. Nothing is encrypted with the new key yet.",
        to.display(),
        new.id(),
        put_in_place(app)
    ));
    app.store.close().await;
    Ok(())
}

/// Refuses a retired key: nobody goes back to one on purpose.
async fn refuse_one_from_before(app: &App, new: &OneKey) -> Outcome {
    let retired = master_key::retired(&mut app.store.read().await?, &app.master_key).await?;
    if retired.iter().all(|one| one.id != new.id()) {
        return Ok(());
    }
    Err(Failure(format!(
        "the first key in {}, {}, was used before and retired. Nothing was done. Put the key that is to encrypt on the first line, and older keys below it.",
        app.config.master_key_file.display(),
        new.id()
    )))
}

/// Waits until every node has the new key; a node without it could not decrypt credentials.
async fn wait_for_nodes(app: &App, new: &OneKey) -> Outcome {
    let without = async || key_rotation::without_key(&mut app.store.read().await?, new).await;
    let first = without().await?;
    let mut now = first.clone();
    for _ in 0..LOOKS {
        if now.is_empty() {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
        now = without().await?;
    }
    // A node without a heartbeat in the meantime is dead.
    let is_dead =
        |one: &&(String, i64, i64)| first.iter().any(|before| (&before.0, before.1) == (&one.0, one.1));
    let living: Vec<String> = now
        .iter()
        .filter(|one| !is_dead(one))
        .map(|(name, _, since)| format!("{name}, running since {}", clock::human(*since)))
        .collect();
    if living.is_empty() {
        return Ok(());
    }
    Err(Failure(format!(
        "the new key {} is in {}, but not yet known to {}. Nothing is encrypted with it. Copy the key file to every machine where Bursar serves this database (each with this version), then run this again.",
        new.id(),
        app.config.master_key_file.display(),
        living.join(" and ")
    )))
}

/// Re-encrypts everything until a full pass finds nothing left to do.
async fn seal_all(app: &App, new: &OneKey) -> Outcome {
    loop {
        let mut all = 0;
        for column in Column::ALL {
            let (mut done, mut after) = (0, String::new());
            loop {
                let pass = key_rotation::seal_some(app, new, column, &after, AT_ONCE).await.map_err(words)?;
                done += pass.done;
                let Some(next) = pass.next else { break };
                after = next;
                if done > 0 && done % 1_000 < usize::try_from(AT_ONCE).unwrap_or(1) {
                    print_progress(column, done);
                }
            }
            if done > 0 {
                print_progress(column, done);
            }
            all += done;
        }
        if all == 0 {
            return Ok(());
        }
    }
}

fn print_progress(column: Column, done: usize) {
    let (table, column) = column.name();
    output::print_line(&format!("{table}.{column}: {done} re-encrypted"));
}

async fn end(app: &App, new: &OneKey, despite: bool) -> Outcome {
    let by = system_user();
    match key_rotation::end(app, new, MachineUser(&by), despite).await.map_err(words)? {
        FinishOutcome::Yes => Ok(()),
        FinishOutcome::No(NotResealed { opens, closed: 0, .. }) => Err(Failure(format!(
            "{opens} values were stored meanwhile under an old key. The old key stays in the key file; run this again."
        ))),
        FinishOutcome::No(left) => {
            let values = match left.closed {
                1 => "1 value opens".to_owned(),
                many => format!("{many} values open"),
            };
            Err(Failure(format!(
                "{values} with no key in the key file, so the old key stays in it:\n  {}\n{FIND_THE_KEY}",
                left.named.join("\n  ")
            )))
        }
    }
}

fn spare_path(app: &App, key: &OneKey) -> PathBuf {
    let path = &app.config.master_key_file;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{name}.{}", key.id()))
}

/// Writes a copy of the new key next to the key file, if there is none yet; returns its path.
fn spare(app: &App, key: &OneKey) -> io::Result<PathBuf> {
    let path = spare_path(app, key);
    match key_file::read(&path) {
        Ok(Some(keys)) if keys.contains(key) => return Ok(path),
        Ok(Some(_)) => return Err(io::Error::new(ErrorKind::AlreadyExists, "another file is there")),
        Ok(None) => {}
        // An interrupted run left it unfinished. Its name carries the key's ID, so it is ours to replace.
        Err(_) => std::fs::remove_file(&path)?,
    }
    key_file::make(&path, std::slice::from_ref(key)).map(|()| path)
}

/// Makes sure that there is a copy of the new key before anything is encrypted with it. A mounted secret's folder is
/// read-only; there, whoever manages the secret keeps the copy.
fn keep_spare(app: &App, new: &OneKey) -> Outcome {
    let path = app.config.master_key_file.display();
    match spare(app, new) {
        Ok(_) => Ok(()),
        Err(error) if matches!(error.kind(), ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied) => {
            output::complain(&format!(
                "No copy of the new key can be written beside {path} ({error}). Keep your own until the rotation has ended."
            ));
            Ok(())
        }
        Err(error) => Err(Failure(format!(
            "the new key cannot be written beside {path}: {error}. Nothing is encrypted with it."
        ))),
    }
}

/// Removes the old keys, all but the first, from the key file.
fn take_out(app: &App, file: &mut Locked, keys: &[OneKey]) -> Outcome {
    let path = app.config.master_key_file.display();
    let Some(new) = keys.first() else { return Ok(()) };
    points::pass(PointSide::Before, "the old key out of the key file");
    if !are_in_file(app, keys) {
        let kept = match spare(app, new) {
            Ok(spare) => format!("A copy of this key is in {}", spare.display()),
            Err(error) => format!("A copy of this key cannot be written ({error}), so keep Bursar running"),
        };
        return Err(Failure(format!(
            "everything is encrypted with the key {}. {path} was changed while this ran, so it is left as it is. {kept}. Make sure that this key is the first line of {path}, then run `bursar key finish`.",
            new.id()
        )));
    }
    file.write(std::slice::from_ref(new)).map_err(|error| {
        let by_hand = match secrets::is_credential(&app.config.master_key_file) {
            true => "Remove every line but the first from the file that LoadCredential= of the unit reads, and restart Bursar.",
            false => "Run this again, or remove every line but the first by hand.",
        };
        Failure(format!("everything is encrypted with the key {}, but the old key cannot be removed from {path}: {error}. {by_hand}", new.id()))
    })?;
    points::pass(PointSide::After, "the old key out of the key file");
    // The key file has it now. If this fails, the copy is as private as the key file.
    let _ = std::fs::remove_file(spare_path(app, new));
    output::print_line(&format!(
        "Everything is encrypted with the key {}, and {path} now holds only that key. Copy it to where you keep it. Older backups need the key of their time.",
        new.id()
    ));
    Ok(())
}

/// Writes a retired key to a file.
async fn old(app: &App, id: &str, to: &Path) -> Outcome {
    let retired = master_key::retired(&mut app.store.read().await?, &app.master_key).await?;
    let Some(kept) = retired.into_iter().find(|one| one.id == id) else {
        return Err(Failure(format!("no earlier key is called {id:?}. `bursar key status` lists them.")));
    };
    let Some(kept) = kept.key else {
        if kept.is_lost {
            return Err(Failure(format!("the key {id} is lost; Bursar has no copy of it.")));
        }
        return Err(Failure(format!("the key {id} is stored, but no key in the key file decrypts it.")));
    };
    key_rotation::note_written(app, &kept, MachineUser(&system_user())).await.map_err(words)?;
    app.store.close().await;
    key_file::make(to, &[kept])
        .map_err(|error| Failure(format!("{} cannot be made: {error}.", to.display())))?;
    output::print_line(&format!("{} has the key {id}. Delete it when you are done with it.", to.display()));
    Ok(())
}

async fn status(app: &App, json: bool) -> Outcome {
    let keys = key_file::read(&app.config.master_key_file)?.unwrap_or_default();
    let seals = sealing(app).await?;
    let retired = master_key::retired(&mut app.store.read().await?, &app.master_key).await?;
    app.store.close().await;
    let in_file: Vec<&str> = keys.iter().map(OneKey::id).collect();
    if json {
        let retired: Vec<serde_json::Value> = retired
            .iter()
            .map(|one| serde_json::json!({ "id": one.id, "retired_at": clock::rfc3339(one.at), "opens": one.key.is_some(), "lost": one.is_lost }))
            .collect();
        let body = serde_json::json!({ "seals": seals.id(), "file": in_file, "retired": retired });
        output::json(&body);
        return Ok(());
    }
    output::print_line(&format!("The key {} encrypts.", seals.id()));
    for (place, id) in in_file.iter().enumerate().filter(|(_, id)| **id != seals.id()) {
        let is_new = place == 0 && retired.iter().all(|one| one.id != **id);
        output::print_line(&match is_new {
            true => format!(
                "The key {id} is in the key file, but encrypts nothing yet: `bursar key rotate` continues."
            ),
            false => {
                format!("The earlier key {id} is still in the key file: `bursar key finish` removes it.")
            }
        });
    }
    for one in &retired {
        let lost = match (one.is_lost, &one.key) {
            (true, _) => "; it is lost",
            (false, Some(_)) => "",
            (false, None) => "; it does not open with a key of the key file",
        };
        output::print_line(&format!("The key {} encrypted until {}{lost}.", one.id, clock::human(one.at)));
    }
    Ok(())
}
