//! The commands `serve`, `init`, `migrate` and `config check`.

use std::fs::TryLockError;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;

use super::listen::{self, Bounds};
use super::manager::Manager;
use super::{Failure, Outcome, log, open, open_or_make, output};
use crate::config::{Config, SECRETS, Secret};
use crate::mark::{self, Mark};
use crate::ops::{nodes, people};
use crate::points::{self, PointSide};
use crate::secrets;
use crate::store;
use crate::web;
use crate::work::pace::Pace;
use crate::work::{self, Work, provider};

pub(super) async fn run(config: Config) -> Outcome {
    log::begin(&config.log, &config.log_format);
    points::pass(PointSide::Before, "the start");
    let listener = bind(&config.listen).await?;
    let address = listener.local_addr()?;
    let here = format!("http://{address}");
    provider::settings(&config.oidc).map_err(Failure)?;
    check_plain_http(config.base_url.as_deref().unwrap_or(&here), config.plain_http)?;
    // Before the database is opened: closing another handle of the file would release SQLite's own locks.
    let server = Server::alone(&config.database_url).await?;
    let app = open_or_make(config, Some(here)).await?;
    if let Some(link) = people::first_administrator(&app).await.map_err(super::words)? {
        output::print_line(&format!(
            "Nobody can sign in yet. Open this link to begin; it works once and for a day: {link}\nThere you enter your e-mail address, choose a password and name your company."
        ));
    } else if people::welcome::is_setup_pending(&app).await.map_err(super::words)? {
        let again = format!("bursar user reset --email {}", people::FIRST);
        output::print_line(&format!(
            "The first administrator has not finished signing up. If their link is used or expired, `{again}` prints another."
        ));
    }
    tracing::info!(%address, base_url = app.base_url, database = app.store.engine_name(), "Bursar listens");
    nodes::join(&app, server.is_alone).await.map_err(super::words)?;
    let mark = Mark::at(mark::place_in(&app.config));
    let work = Work::new(app.clone(), Some(Arc::new(Pace::published())))?.remembering(mark);
    work.compare_with_mark().await.map_err(super::words)?;
    let loops = work::start(work.clone());
    let (manager, asked) = (Manager::from_environment(), asked_to_stop());
    manager.notify("READY=1");
    let watched = tokio::spawn(manager.clone().watch(app.clone()));
    let stop = async move {
        asked.await;
        manager.notify("STOPPING=1");
    };
    until_stopped(listener, work, stop).await?;
    loops.stop().await;
    watched.abort();
    if let Err(error) = nodes::leave(&app).await {
        tracing::warn!(
            ?error,
            "this process could not be removed from the list; the others notice in a few seconds"
        );
    }
    app.store.close().await;
    tracing::info!("stopped; nothing was lost");
    Ok(())
}

/// Refuses plain http, where sessions and passwords could be intercepted.
fn check_plain_http(base_url: &str, allowed: bool) -> Outcome {
    let Ok(url) = url::Url::parse(base_url) else { return Ok(()) };
    let host = url.host_str().unwrap_or_default();
    let here =
        host == "localhost" || host.trim_matches(['[', ']']).parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    match (url.scheme() == "https" || here, allowed) {
        (true, _) => Ok(()),
        (false, true) => {
            tracing::warn!(
                base_url,
                "passwords and sessions travel unencrypted, as BURSAR_PLAIN_HTTP allows"
            );
            Ok(())
        }
        (false, false) => Err(Failure(format!(
            "the base URL {base_url} is not https: passwords and sessions would travel unencrypted. Put a TLS proxy in front \
             of Bursar and set BURSAR_BASE_URL to its https address. For a trial on your own network, BURSAR_PLAIN_HTTP=true \
             starts it anyway"
        ))),
    }
}

/// A lock on a SQLite database, held while the process lives: its holder is the only process that serves the database,
/// and earlier ones are dead. It locks the file itself, so another name for it (a symbolic or hard link, a folder
/// mounted elsewhere) shares the same lock. SQLite's own locks are unaffected.
pub(super) struct Server {
    /// Kept open as long as the database is, whether or not it holds the lock.
    _file: Option<std::fs::File>,
    /// Nobody else serves this database. Always false for PostgreSQL, which many nodes may serve.
    pub(super) is_alone: bool,
    /// Whether another process has the lock.
    taken: bool,
}

/// How often, and at what interval, a start checks whether the previous process has stopped, which takes up to half a
/// minute.
const LOOKS: usize = 70;
const LOOK: Duration = Duration::from_millis(500);

impl Server {
    /// Waits for a process that is stopping. Two processes that serve one SQLite database would each consider the other
    /// dead.
    pub(super) async fn alone(database_url: &str) -> Result<Self, Failure> {
        for _ in 0..LOOKS {
            let server = Self::of(database_url);
            if !server.taken {
                return Ok(server);
            }
            drop(server);
            tokio::time::sleep(LOOK).await;
        }
        Err(Failure(
            "another Bursar serves this SQLite database, and only one can. Nothing was started or changed. Stop the other one first; to run several, use PostgreSQL".to_owned(),
        ))
    }

    fn of(database_url: &str) -> Self {
        match store::copy::file_of(database_url) {
            Some(path) => Self::of_file(&path, true),
            None => Self { _file: None, is_alone: false, taken: false },
        }
    }

    /// The same by path; `make` creates a missing file.
    pub(super) fn of_file(path: &std::path::Path, make: bool) -> Self {
        // Opening the database will report the error.
        let Ok(file) = secrets::for_its_owner().read(true).create(make).open(path) else {
            return Self { _file: None, is_alone: false, taken: false };
        };
        let (is_alone, taken) = match file.try_lock() {
            Ok(()) => (true, false),
            Err(TryLockError::WouldBlock) => (false, true),
            Err(TryLockError::Error(error)) => {
                tracing::warn!(%error, path = %path.display(), "this file cannot be locked, so Bursar cannot tell whether another one serves it; make sure that none does");
                (false, false)
            }
        };
        Self { _file: Some(file), is_alone, taken }
    }
}

pub(super) async fn bind(listen: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(listen).await.map_err(|error| {
        Failure(format!("cannot listen on {listen}: {error}. Is another Bursar running there?"))
    })
}

/// Serves until `stop`, then gives open requests a few seconds, because a live page never ends by itself.
pub(super) async fn until_stopped(
    listener: TcpListener,
    work: Work,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Failure> {
    let proxies = work.app.config.trusted_proxies.clone();
    listen::serve(listener, web::router(work), Bounds::USUAL, &proxies, stop).await.map_err(Failure::from)
}

/// Completes on SIGTERM or Ctrl-C. The handlers are installed by the call itself, because a signal that arrives before
/// anyone awaits would otherwise kill the process.
pub(super) fn asked_to_stop() -> impl Future<Output = ()> + Send + 'static {
    let terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate());
    async move {
        let mut terminate = match terminate {
            Ok(signal) => signal,
            Err(error) => {
                tracing::warn!(%error, "the SIGTERM handler could not be installed; only an interrupt stops Bursar");
                let _ = tokio::signal::ctrl_c().await;
                return;
            }
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    }
}

pub(super) async fn init(config: Config, json: bool) -> Outcome {
    let key = config.master_key_file.display().to_string();
    let app = open_or_make(config, None).await?;
    let engine = app.store.engine_name();
    if json {
        output::json(&serde_json::json!({ "database": engine, "master_key_file": key }));
    } else {
        output::print_line(&format!(
            "The database ({engine}) is ready; the master key is in {key}. Keep the key apart from backups."
        ));
    }
    app.store.close().await;
    Ok(())
}

/// Runs migrations only: no key is needed or created.
pub(super) async fn migrate(config: &Config, json: bool) -> Outcome {
    // Without the right URL, which a new shell may lack, this would create an empty database and call it up to date.
    if let Some(file) = store::copy::file_of(&config.database_url).filter(|file| !file.exists()) {
        let file = file.display();
        return Err(Failure(format!(
            "there is no database at {file}. Name it with BURSAR_DATABASE_URL; `bursar serve` creates a new one at its first start. Nothing was created."
        )));
    }
    let store = super::open_store(config).await?;
    let (engine, schema) = (store.engine_name(), store.newest_schema());
    store.close().await;
    if json {
        output::json(&serde_json::json!({ "database": engine, "schema": schema }));
    } else {
        output::print_line(&format!("The tables ({engine}) are up to date: schema {schema}."));
    }
    Ok(())
}

/// Prints the effective settings and what is missing.
pub(super) async fn check(config: &Config, json: bool) -> Outcome {
    let rows = in_force(config);
    let missing = missing(config).await?;
    if json {
        let settings: serde_json::Map<String, serde_json::Value> =
            rows.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        output::json(&serde_json::json!({ "settings": settings, "missing": missing }));
        return Ok(());
    }
    let rows: Vec<Vec<String>> = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    output::table(&["setting", "in force"], &rows);
    missing.iter().for_each(|one| output::print_line(&format!("Missing: {one}")));
    Ok(())
}

fn in_force(config: &Config) -> Vec<(&'static str, String)> {
    let or = |value: &Option<String>, instead: &str| value.clone().unwrap_or_else(|| instead.to_owned());
    let masked = |value: &Option<String>, instead: &str| match value {
        Some(_) => "(set)".to_owned(),
        None => instead.to_owned(),
    };
    let path = |path: &Option<PathBuf>, instead: &str| match path {
        Some(path) => path.display().to_string(),
        None => instead.to_owned(),
    };
    let from_listen = format!("http://{} (from listen)", config.listen);
    let mut rows = vec![
        ("BURSAR_DATABASE_URL", without_password(&config.database_url)),
        ("BURSAR_DATABASE_URL_FILE", path(&config.database_url_file, "(not set)")),
        ("BURSAR_LISTEN", config.listen.clone()),
        ("BURSAR_BASE_URL", or(&config.base_url, &from_listen)),
        ("BURSAR_MASTER_KEY_FILE", config.master_key_file.display().to_string()),
        ("BURSAR_MARK_FILE", format!("{}{}", mark::place_in(config).display(), beside_key(config))),
        ("BURSAR_STRIPE_API_BASE", or(&config.stripe_api_base, "Stripe's own")),
        ("BURSAR_PAYPAL_API_BASE", or(&config.paypal_api_base, "PayPal's own")),
        ("BURSAR_PAYPAL_CERT_CA", path(&config.paypal_cert_ca, "(not set)")),
        ("BURSAR_SMTP_URL", masked(&config.smtp_url, "(not set: mails stay in the outbox)")),
        ("BURSAR_SMTP_URL_FILE", path(&config.smtp_url_file, "(not set)")),
        ("BURSAR_MAIL_FROM", or(&config.mail_from, "(not set: bursar at the host of the base URL)")),
        ("BURSAR_LOG", config.log.clone()),
        ("BURSAR_LOG_FORMAT", config.log_format.clone()),
        ("BURSAR_POLL_SECONDS", config.poll_seconds.to_string()),
        ("BURSAR_TRUSTED_PROXIES", trusted_proxies(config)),
        ("BURSAR_PLAIN_HTTP", config.plain_http.to_string()),
        (
            "BURSAR_RAW_DAYS",
            config.raw_days.map_or_else(|| "not set: kept for ever".to_owned(), |days| days.to_string()),
        ),
        (
            "BURSAR_REQUESTS_PER_MINUTE",
            match config.requests_per_minute {
                0 => "0: requests of logins and API keys are not counted".to_owned(),
                number => number.to_string(),
            },
        ),
        ("BURSAR_HSTS_SUBDOMAINS", config.hsts_subdomains.to_string()),
        (
            "BURSAR_OIDC_ISSUER",
            or(&config.oidc.issuer, "(not set: people sign in with passwords of Bursar's)"),
        ),
        ("BURSAR_OIDC_CLIENT_ID", or(&config.oidc.client_id, "(not set)")),
        ("BURSAR_OIDC_CLIENT_SECRET", masked(&config.oidc.client_secret, "(not set)")),
        ("BURSAR_OIDC_CLIENT_SECRET_FILE", path(&config.oidc.client_secret_file, "(not set)")),
        ("BURSAR_OIDC_NAME", or(&config.oidc.called(), "(not set)")),
        ("BURSAR_OIDC_SCOPES", config.oidc.scopes.clone()),
        ("BURSAR_OIDC_ROLE_CLAIM", or(&config.oidc.role_claim, "(not set: roles are given here)")),
        ("BURSAR_OIDC_ROLES", mapped(config)),
        ("BURSAR_OIDC_MAKE_LOGINS", config.oidc.make_logins.to_string()),
        ("BURSAR_OIDC_REQUIRE", required(config)),
        (
            "BURSAR_METRICS_TOKEN",
            masked(&config.metrics_token, "(not set: only this machine reads /metrics)"),
        ),
        ("BURSAR_METRICS_TOKEN_FILE", path(&config.metrics_token_file, "(not set)")),
    ];
    for (file, name) in SECRETS.iter().filter_map(|one: &Secret| Some((one.file(config)?, one.name))) {
        let told = rows.iter_mut().filter(|(row, _)| *row == name);
        told.for_each(|(_, value)| *value = format!("{value} (from {})", file.display()));
    }
    rows
}

fn beside_key(config: &Config) -> &'static str {
    if config.mark_file.is_some() { "" } else { " (beside the key)" }
}

fn mapped(config: &Config) -> String {
    let all: Vec<String> =
        config.oidc.roles.iter().map(|one| format!("{}={}", one.value, one.role.as_str())).collect();
    if all.is_empty() { "(not set)".to_owned() } else { all.join("; ") }
}

fn required(config: &Config) -> String {
    let all: Vec<String> =
        config.oidc.require.iter().map(|one| format!("{}={}", one.claim, one.value)).collect();
    if all.is_empty() { "(not set: anybody the provider knows)".to_owned() } else { all.join("; ") }
}

fn trusted_proxies(config: &Config) -> String {
    match config.trusted_proxies.as_slice() {
        [] => "(not set: nobody's word is taken for whom a request is passed on for)".to_owned(),
        ranges => ranges.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
    }
}

/// What still needs to be set up. Read-only.
async fn missing(config: &Config) -> Result<Vec<String>, Failure> {
    let mut missing = Vec::new();
    if !config.master_key_file.exists() {
        missing.push("the master key file; it is created at the first start.".to_owned());
    }
    let file =
        config.database_url.strip_prefix("sqlite://").map(|rest| rest.split('?').next().unwrap_or(rest));
    if file.is_some_and(|file| !std::path::Path::new(file).exists()) {
        missing.push("the database; it is created at the first start.".to_owned());
    }
    if !missing.is_empty() {
        return Ok(missing);
    }
    if let Err(message) = provider::settings(&config.oidc) {
        missing.push(format!("signing in with the provider: {message}."));
    }
    let app = open(config.clone()).await?;
    let work = Work::new(app.clone(), None).map_err(Failure)?;
    if let Some(message) = provider::setup_problem(&work).await {
        missing.push(format!("signing in with the provider: {message}."));
    }
    let connected = store::vendors::all(&mut app.store.read().await?).await?;
    for vendor in payout::money::Vendor::ALL {
        if connected.iter().all(|connection| connection.vendor != vendor) {
            let name = vendor.label();
            missing.push(format!("{name} is not connected; save its credentials in Payout Settings."));
        }
    }
    app.store.close().await;
    Ok(missing)
}

/// The database URL without secrets: the password, and all query parameters except harmless ones.
pub(super) fn without_password(address: &str) -> String {
    const HARMLESS: [&str; 4] = ["sslmode", "application_name", "mode", "cache"];
    if address.starts_with("sqlite:") {
        return address.to_owned();
    }
    let Ok(mut url) = url::Url::parse(address) else { return "(set, but it cannot be read)".to_owned() };
    if url.password().is_some() && url.set_password(Some("…")).is_err() {
        return "(set)".to_owned();
    }
    let shown_pairs = url.query_pairs().map(|(name, value)| match HARMLESS.contains(&name.as_ref()) {
        true => format!("{name}={value}"),
        false => format!("{name}=…"),
    });
    let pairs: Vec<String> = shown_pairs.collect();
    url.set_query(None);
    let url = url.to_string().replace("%E2%80%A6", "…");
    if pairs.is_empty() { url } else { format!("{url}?{}", pairs.join("&")) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::{Args as _, Command, FromArgMatches as _};

    use super::*;

    #[test]
    fn plain_http_from_elsewhere_must_be_said() {
        for fine in
            ["https://pay.example.com", "http://127.0.0.1:8080", "http://[::1]:8080", "http://localhost"]
        {
            assert!(check_plain_http(fine, false).is_ok(), "{fine}");
        }
        for plain in ["http://pay.example.com", "http://0.0.0.0:8080", "http://10.0.0.4"] {
            let refused = check_plain_http(plain, false).unwrap_err().0;
            assert!(refused.contains("BURSAR_PLAIN_HTTP=true"), "{refused}");
            assert!(check_plain_http(plain, true).is_ok());
        }
    }

    #[test]
    fn another_name_for_a_database_is_no_other_lock() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let url = |name: &str| format!("sqlite://{}?mode=rwc", at(name).display());
        let first = Server::of(&url("bursar.db"));
        assert!(first.is_alone);
        std::os::unix::fs::symlink(at("bursar.db"), at("symbolic.db")).unwrap();
        std::fs::hard_link(at("bursar.db"), at("hard.db")).unwrap();
        let inside = folder.path().file_name().unwrap().display().to_string();
        for name in ["bursar.db", "symbolic.db", "hard.db", &format!("../{inside}/bursar.db")] {
            assert!(!Server::of(&url(name)).is_alone, "{name}");
        }
        assert!(Server::of(&url("symbolic.db")).taken, "the second one sees that it is taken");
        assert!(Server::of(&url("other.db")).is_alone);
        drop(first);
        assert!(Server::of(&url("symbolic.db")).is_alone, "the lock ends with its process");
        assert!(!Server::of("postgres://bursar@db/bursar").is_alone);
    }

    #[test]
    fn what_opens_the_database_is_masked() {
        let rows = [
            ("sqlite://bursar.db", "sqlite://bursar.db"),
            ("postgres://bursar@db/bursar", "postgres://bursar@db/bursar"),
            (
                "postgres://bursar:p@ssw0rd-SECRET@db.internal/bursar?password=QUERYSECRET&sslmode=require",
                "postgres://bursar:…@db.internal/bursar?password=…&sslmode=require",
            ),
            ("postgres:// no address", "(set, but it cannot be read)"),
        ];
        for (address, message) in rows {
            assert_eq!(without_password(address), message);
        }
    }

    #[test]
    fn every_setting_is_told() {
        let command = Config::augment_args(Command::new("bursar"));
        let settings: BTreeSet<String> =
            command.get_arguments().filter_map(|one| Some(one.get_env()?.to_str()?.to_owned())).collect();
        let config = Config::from_arg_matches(&command.get_matches_from(["bursar"])).unwrap();
        let told: BTreeSet<String> = in_force(&config).into_iter().map(|(name, _)| name.to_owned()).collect();
        assert_eq!(told, settings);
    }
}
