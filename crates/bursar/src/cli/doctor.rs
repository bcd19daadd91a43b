//! `doctor`: problems of this installation, most severe first, each with its remedy. Read-only; exits with 1 if
//! something must be done. Not here: checks that are also reported elsewhere (`ops::checks`).

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::{Failure, Outcome, output};
use crate::app::{App, Inner, Nudge};
use crate::clock::Clock;
use crate::config::Config;
use crate::mark::{self, Mark};
use crate::ops::OpsError;
use crate::ops::checks::{self, Finding, Installation, Severity};
use crate::ops::epoch::{self, MarkComparison};
use crate::ops::key_rotation::{self, NotResealed};
use crate::ops::master_key;
use crate::secrets::{self, MasterKey, OneKey};
use crate::store::{Store, StoreError, copy};
use crate::work::{Work, checkup};

/// The time between two reads of the nodes' heartbeats; a node beats twice per second.
const BEATS: Duration = Duration::from_millis(1_500);
/// Report less free disk space than this for the database.
const LEAST_FREE_BYTES: u64 = 1 << 30;
const DAY_US: i64 = 86_400_000_000;

#[derive(Args)]
pub(super) struct Options {
    #[command(flatten)]
    config: Config,
    /// Report a backup older than this many days
    #[arg(long, default_value_t = 2)]
    backup_days: u32,
    /// Do not contact the vendors
    #[arg(long)]
    offline: bool,
    /// Print one JSON array
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(options: Options) -> Outcome {
    let mut found = Vec::new();
    let (config, clock) = (&options.config, Clock::system());
    if is_nowhere(config) {
        print_findings(&[not_begun()], options.json);
        return Err(Failure("1 thing must be done".to_owned()));
    }
    let key = key(config, &mut found);
    files(config, &mut found);
    match Store::open_as_it_is(&config.database_url).await {
        Ok(store) => {
            let examined = examined(&options, &store, key, &clock, &mut found).await;
            store.close().await;
            if let Err(error) = examined {
                found.push(broken(&error));
            }
        }
        Err(error) => {
            let remedy = format!("{} ({error})", checks::database_away().remedy);
            found.push(Finding { remedy, ..checks::database_away() });
        }
    }
    found.sort_by_key(|one| one.weight);
    print_findings(&found, options.json);
    let must = found.iter().filter(|one| one.weight != Severity::Know).count();
    match must {
        0 => Ok(()),
        1 => Err(Failure("1 thing must be done".to_owned())),
        many => Err(Failure(format!("{many} things must be done, in this order"))),
    }
}

/// Whether both key and database are missing: the installation was never started, or this is the wrong folder.
fn is_nowhere(config: &Config) -> bool {
    let no_key = matches!(MasterKey::read(&config.master_key_file), Ok(None));
    no_key && copy::file_of(&config.database_url).is_some_and(|file| !copy::holds_something(&file))
}

fn not_begun() -> Finding {
    Finding::new(
        Severity::Act,
        "not_begun",
        "There is no database and no master key here, so nothing was checked.",
        "`bursar serve` creates both at its first start. If yours are elsewhere, name them with BURSAR_DATABASE_URL and BURSAR_MASTER_KEY_FILE, or run this in their folder.",
    )
}

fn broken(error: &StoreError) -> Finding {
    Finding::new(
        Severity::Urgent,
        "database_broken",
        format!("The database answers, but cannot be read as Bursar's: {error}."),
        "Check that BURSAR_DATABASE_URL names the right one; if it does, restore a backup.",
    )
}

/// Checks the key file.
fn key(config: &Config, found: &mut Vec<Finding>) -> Option<MasterKey> {
    let file = config.master_key_file.display();
    let remedy = "Put the right file there, or name it with BURSAR_MASTER_KEY_FILE; run `chmod 600` on it if others can read it.";
    match MasterKey::read(&config.master_key_file) {
        Ok(Some(key)) => return Some(key),
        Ok(None) => found.push(Finding::new(
            Severity::Urgent,
            "key_missing",
            format!("There is no master key file at {file}, so Bursar does not start on a database that is encrypted with one."),
            remedy,
        )),
        Err(error) => found.push(Finding::new(
            Severity::Urgent,
            "key_unusable",
            format!("The master key file {file} cannot be used, so Bursar does not start: {error}."),
            remedy,
        )),
    }
    None
}

/// Checks the files of a SQLite database and the free disk space.
fn files(config: &Config, found: &mut Vec<Finding>) {
    let Some(file) = copy::file_of(&config.database_url) else { return };
    let open: Vec<String> = ["", "-wal", "-shm"]
        .map(|ending| PathBuf::from(format!("{}{ending}", file.display())))
        .into_iter()
        .filter(|file| file.exists() && secrets::is_open_to_others(file).unwrap_or(false))
        .map(|file| file.display().to_string())
        .collect();
    if !open.is_empty() {
        found.push(Finding::new(
            Severity::Act,
            "files_open",
            format!("Others on this machine may read {}.", open.join(", ")),
            "Run `chmod 600` on them, or restart Bursar, which does so too.",
        ));
    }
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Ok(disk) = rustix::fs::statvfs(folder) else { return };
    let room = disk.f_bavail.saturating_mul(disk.f_frsize);
    if room < LEAST_FREE_BYTES {
        found.push(Finding::new(
            if room < LEAST_FREE_BYTES / 10 { Severity::Urgent } else { Severity::Act },
            "disk_full",
            format!(
                "The database's disk has {} MiB left. When it is full, Bursar accepts and sends nothing.",
                room >> 20
            ),
            "Free some space, or move the database to a larger disk.",
        ));
    }
}

async fn examined(
    options: &Options,
    store: &Store,
    key: Option<MasterKey>,
    clock: &Clock,
    found: &mut Vec<Finding>,
) -> Result<(), StoreError> {
    let config = &options.config;
    let mut db = store.read().await?;
    let before = checks::beats(&mut db).await?;
    let schema = copy::schema_of(&mut db).await?;
    found.extend(other_version(schema, store.newest_schema()));
    found.extend(server(&mut db, config, clock).await?);
    drop(db);
    let mut opens = false;
    if let Some(key) = &key {
        let asks = master_key::key_check(store).await.map_err(internal)?;
        opens = asks.opens_with(key);
        found.extend((!opens).then(other_key));
        found.extend(asks.key_of(key).and_then(|seals| unfinished(key, &seals)));
    }
    // Another schema version may lack the columns of the checks below.
    if schema != store.newest_schema() {
        return Ok(());
    }
    if let Some(key) = key.as_ref().filter(|_| opens) {
        let all = key_rotation::all(&mut store.read().await?, key).await?;
        found.extend(shut(&all));
        found.extend(gone(&all));
    }
    found.extend(mark(config, store).await?);
    let known = Installation {
        now: clock.now(),
        mails: config.smtp_url.is_some(),
        file: copy::file_of(&config.database_url).is_some(),
        backup_us: i64::from(options.backup_days).saturating_mul(DAY_US),
    };
    found.extend(checks::of_database(&mut store.read().await?, &known).await?);
    if let Some(key) = key.filter(|_| !options.offline) {
        found.extend(asked(config, store, key, clock).await?);
    }
    tokio::time::sleep(BEATS).await;
    let after = checks::beats(&mut store.read().await?).await?;
    found.extend(checks::nobody_serves(&before, &after));
    Ok(())
}

fn internal(error: OpsError) -> StoreError {
    match error {
        OpsError::Internal(error) => error,
        OpsError::Refused(refusal) | OpsError::Conflict(refusal) | OpsError::Unreachable(refusal) => {
            StoreError::Corrupt(refusal.sentence)
        }
        OpsError::Blocked(_) | OpsError::Missing => StoreError::Missing,
    }
}

fn other_version(schema: i64, known: i64) -> Option<Finding> {
    match schema.cmp(&known) {
        std::cmp::Ordering::Equal => None,
        std::cmp::Ordering::Less => Some(Finding::new(
            Severity::Act,
            "schema_old",
            format!("The database has schema {schema}, but this version needs {known}."),
            "Back up, then start this version: it migrates the database, or says who may.",
        )),
        std::cmp::Ordering::Greater => Some(Finding::new(
            Severity::Urgent,
            "schema_new",
            format!(
                "The database has schema {schema}, but this version supports only up to {known}, so it does not start."
            ),
            "Install the previous version again, or a newer one.",
        )),
    }
}

fn other_key() -> Finding {
    Finding::new(
        Severity::Urgent,
        "key_other",
        "The key file does not hold the key that encrypted this database, so Bursar does not start.",
        "Put the right file there. A running Bursar may still have the key, so do not stop it first. If the key was changed after this database was copied, add the key of that time on a line below. If it is permanently lost, run `bursar init --key-is-lost`.",
    )
}

/// Reports sealed values that no key opens, although a key opens the check.
fn shut(all: &NotResealed) -> Option<Finding> {
    let remedy = "If their key lies elsewhere (`bursar key status` names those that are kept, `bursar key old` writes one), add it to the key file as another line below and run `bursar key finish`. Otherwise enter these values again.";
    let shut = all.shut()?;
    Some(Finding::new(Severity::Act, "values_shut", format!("{shut}."), remedy))
}

/// Some of what is sealed is known to be lost. Nothing must be done here that is not reported where it is missing.
fn gone(all: &NotResealed) -> Option<Finding> {
    let (what, remedy) = all.gone()?;
    Some(Finding::new(Severity::Know, "values_lost", format!("{what}."), remedy))
}

/// A change of the key that was begun and has not ended.
fn unfinished(key: &MasterKey, seals: &OneKey) -> Option<Finding> {
    let keys = key.keys();
    let first = keys.first().filter(|_| keys.len() > 1)?;
    Some(if first == seals {
        Finding::new(
            Severity::Act,
            "key_old_kept",
            "The key file still has the previous key: a key rotation has not finished here.",
            "Run `bursar key finish`. If you keep that key for an old backup, store it elsewhere.",
        )
    } else {
        Finding::new(
            Severity::Act,
            "key_new_waits",
            "The key file has a new key that encrypts nothing yet: a key rotation was started.",
            "Copy the key file to every machine that serves this database, then run `bursar key rotate` here.",
        )
    })
}

/// Checks a PostgreSQL server's clock and WAL archiving.
async fn server(
    db: &mut crate::store::Db,
    config: &Config,
    clock: &Clock,
) -> Result<Vec<Finding>, StoreError> {
    let mut found = Vec::new();
    if copy::file_of(&config.database_url).is_some() || config.database_url.starts_with("sqlite:") {
        return Ok(found);
    }
    let server = copy::server(db).await?;
    let apart = clock.now() - server.now;
    if apart.abs() > 30_000_000 {
        found.push(Finding::new(
            Severity::Act,
            "clock_apart",
            format!("This machine's clock and that of PostgreSQL are {} s apart.", apart.abs() / 1_000_000),
            "Synchronize both (NTP).",
        ));
    }
    if server.standbys == 0 && (server.archive_mode == "off" || server.failed) {
        found.push(Finding::new(
            Severity::Act,
            "log_not_archived",
            "PostgreSQL has no standby and does not archive its WAL: a restore loses what was paid since the last dump.",
            "Set up continuous archiving or a synchronous standby; `bursar backup` says how to dump.",
        ));
    }
    Ok(found)
}

async fn mark(config: &Config, store: &Store) -> Result<Option<Finding>, StoreError> {
    let place = mark::place_in(config);
    let mark = Mark::at(place.clone());
    let read = match mark.read() {
        Ok(read) => read,
        Err(error) => {
            return Ok(Some(Finding::new(
                Severity::Act,
                "mark_unreadable",
                format!(
                    "{} cannot be read ({error}), so Bursar would not notice an old database.",
                    place.display()
                ),
                "Remove it; the next start creates another. If the database was restored, first run `bursar safe-mode on --put-back-from TIME`.",
            )));
        }
    };
    let mut db = store.read().await?;
    let Some(ours) = epoch::known_identity(&mut db).await? else { return Ok(None) };
    let standing = epoch::standing(&mut db, &ours, read.as_ref()).await.map_err(internal)?;
    Ok(match standing {
        MarkComparison::Kept => None,
        MarkComparison::Unknown => Some(Finding::new(
            Severity::Know,
            "mark_missing",
            format!(
                "There is no mark of this database at {}, so Bursar on this machine would not notice an older one.",
                place.display()
            ),
            "`bursar serve` creates it if that folder is writable; BURSAR_MARK_FILE names another place.",
        )),
        MarkComparison::Behind(_) => Some(Finding::new(
            Severity::Urgent,
            "database_older",
            "This database is older than what this machine has sent: an old copy was restored, or a standby that was behind took over.",
            "Start `bursar serve`: safe mode starts by itself. Pay nothing before that.",
        )),
    })
}

async fn asked(
    config: &Config,
    store: &Store,
    master_key: MasterKey,
    clock: &Clock,
) -> Result<Vec<Finding>, StoreError> {
    let base_url = config.base_url.clone().unwrap_or_else(|| format!("http://{}", config.listen));
    let (store, clock, config) = (store.clone(), clock.clone(), config.clone());
    let base_url = base_url.trim_end_matches('/').to_owned();
    let app = App::new(Inner { store, clock, config, base_url, master_key, nudge: Nudge::default() });
    let work = Work::new(app, None).map_err(StoreError::Corrupt)?;
    checkup::vendors(&work).await.map_err(internal)
}

fn print_findings(found: &[Finding], json: bool) {
    if json {
        let rows: Vec<serde_json::Value> = found
            .iter()
            .map(|one| serde_json::json!({ "weight": one.weight.as_str(), "code": one.code, "what": one.what, "remedy": one.remedy }))
            .collect();
        return output::json(&rows);
    }
    if found.is_empty() {
        output::print_line("Nothing is wrong.");
    }
    for one in found {
        output::print_line(&format!(
            "{:6}  {}  [{}]\n        → {}",
            one.weight.as_str(),
            one.what,
            one.code,
            one.remedy
        ));
    }
}
