//! `serve`, `init` and `config check`.

use std::future::IntoFuture as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;

use super::{Failure, Outcome, open, output};
use crate::config::Config;
use crate::ops::people;
use crate::store;
use crate::web;
use crate::work::pace::Pace;
use crate::work::{self, Work};

/// How long open requests may go on after the stop was asked for.
const REQUESTS: Duration = Duration::from_secs(4);

/// Logs to standard error, so that standard output holds results alone.
pub(super) fn log(filter: &str, format: &str) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let logs =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    let begun = if format == "json" { logs.json().try_init() } else { logs.compact().try_init() };
    if begun.is_err() {
        output::complain("the log was set up before");
    }
}

pub(super) async fn run(config: Config) -> Outcome {
    log(&config.log, &config.log_format);
    let listener = bind(&config.listen).await?;
    let address = listener.local_addr()?;
    let app = open(config, Some(format!("http://{address}"))).await?;
    if let Some(link) = people::first_administrator(&app).await.map_err(super::words)? {
        output::say(&format!(
            "Nobody can sign in yet. Sign in once, within a day, as the first administrator: {link}"
        ));
    }
    tracing::info!(%address, base_url = app.base_url, database = app.store.engine_name(), "Bursar listens");
    let work = Work::new(app.clone(), Some(Arc::new(Pace::published())))?;
    let loops = work::start(work.clone());
    until_stopped(listener, work, asked_to_stop()).await?;
    loops.stop().await;
    app.store.close().await;
    tracing::info!("stopped; nothing was lost");
    Ok(())
}

pub(super) async fn bind(listen: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(listen).await.map_err(|error| {
        Failure(format!("cannot listen on {listen}: {error}. Is another Bursar running there?"))
    })
}

/// Serves until `stop`; then open requests get a few seconds, because a live page would never end by itself.
pub(super) async fn until_stopped(
    listener: TcpListener,
    work: Work,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Failure> {
    let listener = listener.tap_io(|stream| {
        // An answer is small and is waited for; without this it may be held back for the next one.
        let _ = stream.set_nodelay(true);
    });
    let service = web::router(work).into_make_service_with_connect_info::<SocketAddr>();
    let (asked, told) = tokio::sync::oneshot::channel::<()>();
    let server = axum::serve(listener, service).with_graceful_shutdown(async {
        stop.await;
        let _ = asked.send(());
    });
    let late = async {
        let _ = told.await;
        tokio::time::sleep(REQUESTS).await;
    };
    tokio::select! {
        served = server.into_future() => served.map_err(Failure::from),
        () = late => Ok(()),
    }
}

/// SIGTERM or an interrupt from the keyboard.
pub(super) async fn asked_to_stop() {
    let mut terminate = match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(signal) => signal,
        Err(error) => {
            tracing::warn!(%error, "the stop signal cannot be heard; only an interrupt stops Bursar");
            let _ = tokio::signal::ctrl_c().await;
            return;
        }
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

pub(super) async fn init(config: Config, json: bool) -> Outcome {
    let key = config.master_key_file.display().to_string();
    let app = open(config, None).await?;
    let engine = app.store.engine_name();
    if json {
        output::json(&serde_json::json!({ "database": engine, "master_key_file": key }));
    } else {
        output::say(&format!(
            "The database ({engine}) is ready; the master key is in {key}. Keep the key apart from backups."
        ));
    }
    app.store.close().await;
    Ok(())
}

/// What is in force, and what is missing.
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
    missing.iter().for_each(|one| output::say(&format!("Missing: {one}")));
    Ok(())
}

fn in_force(config: &Config) -> Vec<(&'static str, String)> {
    let or = |value: &Option<String>, instead: &str| value.clone().unwrap_or_else(|| instead.to_owned());
    let masked = |value: &Option<String>, instead: &str| match value {
        Some(_) => "(set)".to_owned(),
        None => instead.to_owned(),
    };
    let ca = config.paypal_cert_ca.as_ref().map(|path| path.display().to_string());
    let from_listen = format!("http://{} (from listen)", config.listen);
    vec![
        ("BURSAR_DATABASE_URL", without_password(&config.database_url)),
        ("BURSAR_LISTEN", config.listen.clone()),
        ("BURSAR_BASE_URL", or(&config.base_url, &from_listen)),
        ("BURSAR_MASTER_KEY_FILE", config.master_key_file.display().to_string()),
        ("BURSAR_STRIPE_API_BASE", or(&config.stripe_api_base, "Stripe's own")),
        ("BURSAR_PAYPAL_API_BASE", or(&config.paypal_api_base, "PayPal's own")),
        ("BURSAR_PAYPAL_CERT_CA", or(&ca, "(not set)")),
        ("BURSAR_SMTP_URL", masked(&config.smtp_url, "(not set: mails stay in the outbox)")),
        ("BURSAR_MAIL_FROM", or(&config.mail_from, "(not set: bursar at the host of the base URL)")),
        ("BURSAR_LOG", config.log.clone()),
        ("BURSAR_LOG_FORMAT", config.log_format.clone()),
        ("BURSAR_POLL_SECONDS", config.poll_seconds.to_string()),
        (
            "BURSAR_METRICS_TOKEN",
            masked(&config.metrics_token, "(not set: only this machine reads /metrics)"),
        ),
    ]
}

/// What must still be set up. Looks only: nothing is made here.
async fn missing(config: &Config) -> Result<Vec<String>, Failure> {
    let mut missing = Vec::new();
    if !config.master_key_file.exists() {
        missing.push("the master key file; it is made at the first start.".to_owned());
    }
    let file =
        config.database_url.strip_prefix("sqlite://").map(|rest| rest.split('?').next().unwrap_or(rest));
    if file.is_some_and(|file| !std::path::Path::new(file).exists()) {
        missing.push("the database; it is made at the first start.".to_owned());
    }
    if !missing.is_empty() {
        return Ok(missing);
    }
    let app = open(config.clone(), None).await?;
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

fn without_password(url: &str) -> String {
    match url.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.split_once('@')?))) {
        Some((scheme, (_, place))) => format!("{scheme}://…@{place}"),
        None => url.to_owned(),
    }
}
