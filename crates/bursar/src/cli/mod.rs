//! The command line: every setting is an environment variable and a flag, and every command with a result has `--json`.
//!
//! Exit codes: 0 success; 1 failure; 2 wrong usage; 3 an import rejected rows (the valid ones are imported); 4 an
//! import with `--dry-run` would change where payees are paid.

mod backup;
#[cfg(feature = "demo")]
mod demo;
mod doctor;
mod health;
mod import;
mod key;
mod listen;
mod log;
mod manager;
pub mod output;
mod people;
mod reconcile;
mod replay;
mod safe_mode;
mod serve;
#[cfg(feature = "demo")]
mod simulator;
mod timed_stream;
mod verify;
pub mod why;
#[cfg(not(feature = "demo"))]
mod without_demo;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use payout::access::Role;
use payout::ids::PersonId;

use crate::app::{Actor, App, Inner, Nudge};
use crate::clock::Clock;
use crate::config::Config;
use crate::ops::people::MachineUser;
use crate::ops::{OpsError, key_rotation, master_key};
use crate::secrets::{self, MasterKey};
use crate::store::{Store, StoreError, copy};
use crate::work::clients::without_its_stand_in;
#[cfg(not(feature = "demo"))]
use without_demo::{self as demo, self as simulator};

/// The version shown, which also says whether the demo is built in, since a server does not need it.
const VERSION: &str = if cfg!(feature = "demo") {
    concat!(env!("CARGO_PKG_VERSION"), " (with the demonstration)")
} else {
    env!("CARGO_PKG_VERSION")
};

/// Review partner rewards, batch the approved ones, pay each partner once
#[derive(Parser)]
#[command(name = "bursar", version = VERSION, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server: pages, API, webhooks and the loops that pay
    Serve(WithConfig),
    /// Prepare the database and the master key, and exit
    Init(Init),
    /// Run database migrations and exit; use the role that owns the tables if `serve` runs as a role that may not
    /// change them
    Migrate(WithJson),
    /// Explore Bursar on temporary data and simulated vendors
    #[cfg_attr(not(feature = "demo"), command(hide = true))]
    Demo(demo::Options),
    /// Run simulated Stripe and PayPal APIs on their own port
    #[cfg_attr(not(feature = "demo"), command(hide = true))]
    Simulator(simulator::Options),
    /// Check the configuration
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Add, disable and reset people
    User(people::Users),
    /// Create API keys
    ApiKey(people::Keys),
    /// Rotate the master key, which encrypts vendor credentials and tax numbers, or show its status
    Key(key::Options),
    /// Import a CSV file; exits with 3 if rows were rejected, and with 4 if a dry run would change where payees are
    /// paid
    Import(import::Options),
    /// Explain why a reward, payout, payment or payee is not being paid, and who must act
    Why(why::Options),
    /// Read the vendors' records of our balance and reconcile them with the books; exits with 1 if a day does not tie
    Reconcile(reconcile::Options),
    /// Copy a SQLite database while it is in use; for PostgreSQL, print what to run
    Backup(backup::Backup),
    /// Replace the database with a backup, in safe mode; the current database is kept
    Restore(backup::Restore),
    /// Show the status of safe mode, or turn it on or off
    SafeMode(safe_mode::Options),
    /// Recompute a payment's status from the stored raw messages, and show any difference
    Replay(replay::Options),
    /// Report problems of this installation and how to fix them; exits with 1 if something must be done
    Doctor(doctor::Options),
    /// Ask the running Bursar whether it is ready; exits with 1 if not
    Health(health::Options),
    /// Check every invariant; exits with 1 if one is violated
    Verify(verify::Options),
    /// Show whether a violated invariant has stopped payments; --release resumes them
    Brake(verify::BrakeOptions),
    /// Verify, sign and prove the audit trail
    Audit {
        #[command(subcommand)]
        command: AuditCommand,
    },
}

#[derive(Args)]
struct WithConfig {
    #[command(flatten)]
    config: Config,
}

#[derive(Args)]
struct WithJson {
    #[command(flatten)]
    config: Config,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Init {
    #[command(flatten)]
    config: Config,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// The key this database was sealed with is lost: use the one in the key file, or a new one. Everything the lost
    /// key encrypted, vendor credentials and tax numbers, must be entered again
    #[arg(long)]
    key_is_lost: bool,
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Print the effective settings and what is missing, with secrets masked
    Check(WithJson),
}

#[derive(Subcommand)]
enum AuditCommand {
    /// Verify the whole audit chain; with --signed, compare it with a signature made earlier
    Verify(verify::ChainOptions),
    /// Print a signature of the log's current end, to keep outside the database
    Sign(WithJson),
    /// Prove that a row is in the log, as JSON for someone who cannot see the other rows
    Prove(verify::ProveOptions),
}

/// Why a command failed, for the person who ran it.
pub struct Failure(String);

impl<E: std::fmt::Display> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// The result of a command.
type Outcome = Result<(), Failure>;

/// The message for a verb that failed.
fn words(error: OpsError) -> Failure {
    match error {
        OpsError::Refused(refusal) | OpsError::Conflict(refusal) | OpsError::Unreachable(refusal) => {
            let field = refusal.field.map(|field| format!("{field}: ")).unwrap_or_default();
            Failure(format!("{field}{} [{}]", refusal.sentence, refusal.code))
        }
        OpsError::Blocked(blockers) => {
            let lines: Vec<String> = blockers
                .iter()
                .map(|one| {
                    let about = one.called.as_deref().unwrap_or(&one.subject);
                    format!("{about}: {} {}", one.message(), one.remedy())
                })
                .collect();
            Failure(lines.join("\n"))
        }
        OpsError::Missing => Failure("Not found.".to_owned()),
        OpsError::Internal(error) => Failure(error.to_string()),
    }
}

/// The same for an object that somebody named; `message` is shown if it does not exist.
fn unknown(error: OpsError, message: &str) -> Failure {
    match error {
        OpsError::Missing => Failure(message.to_owned()),
        error @ (OpsError::Refused(_)
        | OpsError::Conflict(_)
        | OpsError::Unreachable(_)
        | OpsError::Blocked(_)
        | OpsError::Internal(_)) => words(error),
    }
}

/// What the program writes (database, backups, exports, keys) holds personal data, so only its own user may read it, whatever
/// the umask of the shell or service that starts it.
fn keep_files_private() {
    #[cfg(unix)]
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
}

/// Parses the command line and runs the command.
pub fn main() -> ExitCode {
    keep_files_private();
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::complain(&format!("the program could not start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(cli.command)) {
        Ok(code) => code,
        Err(Failure(message)) => {
            output::complain(&message);
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Import(options) => return import::run(options).await,
        Command::Serve(with) => serve::run(with.config).await,
        Command::Init(init) => {
            if init.key_is_lost {
                replace_lost_key(&init.config).await?;
            }
            serve::init(init.config, init.json).await
        }
        Command::Migrate(with) => serve::migrate(&with.config, with.json).await,
        Command::Config { command: ConfigCommand::Check(with) } => {
            serve::check(&with.config, with.json).await
        }
        Command::Demo(options) => demo::run(options).await,
        Command::Simulator(options) => simulator::run(options).await,
        Command::User(users) => people::users(users).await,
        Command::ApiKey(keys) => people::keys(keys).await,
        Command::Key(options) => key::run(options).await,
        Command::Why(options) => why::run(options).await,
        Command::Reconcile(options) => reconcile::run(options).await,
        Command::Backup(options) => backup::take(options).await,
        Command::Restore(options) => backup::put_back_from(options).await,
        Command::SafeMode(options) => safe_mode::run(options).await,
        Command::Replay(options) => replay::run(options).await,
        Command::Doctor(options) => doctor::run(options).await,
        Command::Health(options) => health::run(options).await,
        Command::Verify(options) => verify::run(options).await,
        Command::Brake(options) => verify::brake(options).await,
        Command::Audit { command } => match command {
            AuditCommand::Verify(options) => verify::chain(options).await,
            AuditCommand::Sign(options) => verify::sign(options).await,
            AuditCommand::Prove(options) => verify::prove(options).await,
        },
    }
    .map(|()| ExitCode::SUCCESS)
}

/// Opens an existing database. A command that created an empty one in the wrong folder would report from it: that all
/// invariants hold, that nothing stops payments, that safe mode is on, while the real one keeps paying.
async fn open(config: Config) -> Result<App, Failure> {
    let known = copy::is_there(&config.database_url).await.map_err(unusable)?;
    if !known {
        return Err(Failure(format!(
            "there is no Bursar database at {}, so nothing was read or changed. Name the one that your server uses with BURSAR_DATABASE_URL or --database-url, or run this in its folder. `bursar serve` and `bursar init` create a new one.",
            place(&config.database_url)
        )));
    }
    open_or_make(config, None).await
}

/// Fails if a vendor's real API would be called with credentials saved against a stand-in, as after rehearsing in
/// another terminal.
async fn with_the_same_vendors(app: &App) -> Outcome {
    let all = crate::store::vendors::all(&mut app.store.read().await?).await?;
    let messages: Vec<String> = all.iter().filter_map(|one| without_its_stand_in(app, one)).collect();
    if messages.is_empty() {
        Ok(())
    } else {
        Err(Failure(format!("Nothing was done. {}", messages.join("\n"))))
    }
}

/// A database's location for people: for a file an absolute path, because its URL may be relative to the current
/// folder.
fn place(database_url: &str) -> String {
    match copy::file_of(database_url) {
        Some(file) => std::path::absolute(&file).unwrap_or(file).display().to_string(),
        None => serve::without_password(database_url),
    }
}

/// Opens the database and the master key; creates both on the first start, but never a new key for a database that
/// already has one.
async fn open_or_make(config: Config, base_url: Option<String>) -> Result<App, Failure> {
    open_by(Clock::system(), config, base_url).await
}

/// The same with this clock.
async fn open_by(clock: Clock, config: Config, base_url: Option<String>) -> Result<App, Failure> {
    let store = open_store(&config).await?;
    let master_key = master_key_of(&config, &store, &clock).await?;
    let base_url =
        config.base_url.clone().or(base_url).unwrap_or_else(|| format!("http://{}", config.listen));
    let base_url = base_url.trim_end_matches('/').to_owned();
    Ok(App::new(Inner { store, clock, config, base_url, master_key, nudge: Nudge::default() }))
}

async fn open_store(config: &Config) -> Result<Store, Failure> {
    Store::open(&config.database_url).await.map_err(unusable)
}

fn unusable(error: StoreError) -> Failure {
    Failure(format!("the database cannot be used: {error}. Check BURSAR_DATABASE_URL; nothing was changed."))
}

/// The master key, if it is the one the database was sealed with.
async fn master_key_of(config: &Config, store: &Store, clock: &Clock) -> Result<MasterKey, Failure> {
    let file = config.master_key_file.display();
    let unusable =
        |error: std::io::Error| Failure(format!("the master key file {file} cannot be used: {error}."));
    let asks = master_key::key_check(store).await.map_err(words)?;
    let lost = "Put the right file there, or name it with BURSAR_MASTER_KEY_FILE; until then Bursar does not start, and what is stored stays as it is. If the key was changed after this database was copied, add the key of that time to the file on a line below. If that key is permanently lost, run `bursar init --key-is-lost` and enter the vendors' credentials and the tax numbers again.";
    let key = match MasterKey::read(&config.master_key_file).map_err(unusable)? {
        Some(key) => key,
        None if asks == master_key::KeyCheck::Nothing => {
            if secrets::is_credential(&config.master_key_file) {
                return Err(Failure(format!(
                    "there is no master key at {file}, where systemd passes credentials, and no key is created there: it would end with the service. Create one with `openssl rand -base64 32`, in a file that only root can read, and name that file in LoadCredential= of the unit."
                )));
            }
            MasterKey::make(&config.master_key_file, clock).map_err(unusable)?
        }
        None => {
            return Err(Failure(format!(
                "there is no master key file at {file}, and this database is encrypted with one. {lost}"
            )));
        }
    };
    if let Some(found) = asks.key_of(&key) {
        key.take(&found);
    }
    if asks.opens_with(&key) && master_key::note(store, clock, &key).await.map_err(words)? {
        return Ok(key);
    }
    Err(Failure(format!("the key in {file} is not the one that encrypted this database. {lost}")))
}

/// Uses the existing key file, or a new key, because the previous key is lost.
async fn replace_lost_key(config: &Config) -> Outcome {
    let (store, clock) = (open_store(config).await?, Clock::system());
    let file = config.master_key_file.display();
    let unusable =
        |error: std::io::Error| Failure(format!("the master key file {file} cannot be used: {error}."));
    let key = match MasterKey::read(&config.master_key_file).map_err(unusable)? {
        Some(key) => key,
        None => MasterKey::make(&config.master_key_file, &clock).map_err(unusable)?,
    };
    let retired = master_key::retired(&mut store.read().await?, &key).await?;
    if let Some(old) = key.sealing().filter(|new| retired.iter().any(|one| one.id == new.id())) {
        return Err(Failure(format!(
            "the first key in {file}, {}, was used before and retired: somebody else may have it. Nothing was done. Move the file away and run this again, which makes a new key; then add the old key as a second line.",
            old.id()
        )));
    }
    let by = people::system_user();
    let replaced = key_rotation::replace_lost(&store, &clock, &key, MachineUser(&by)).await.map_err(words)?;
    if !replaced {
        output::complain(&format!(
            "The database opens with a key in {file}, so no key was replaced. To change it, run `bursar key rotate`."
        ));
    }
    store.close().await;
    Ok(())
}

/// The person at the machine's command line.
fn operator() -> Actor {
    Actor {
        id: PersonId::fresh(0, 0),
        name: "operator".to_owned(),
        role: Role::Admin,
        partner: None,
        may_write: true,
        came_from: "the command line".to_owned(),
    }
}
