//! `serve`, `init` and `config check`.

use std::future::IntoFuture as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;

use super::{Failure, Outcome, open, output};
use crate::app::App;
use crate::config::Config;
use crate::ops::people;
use crate::store;
use crate::work::pace::Pace;
use crate::work::{self, Work};
use crate::{secrets, web};

/// How long open requests may go on after the stop was asked for.
const REQUESTS: Duration = Duration::from_secs(4);

/// Logs to standard error, so that standard output holds results alone.
pub(super) fn log(filter: &str, format: &str) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
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
            "Nobody can sign in yet. Sign in once, within the hour, as the first administrator: {link}"
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

pub(super) async fn init(config: Config) -> Outcome {
    let key = config.master_key_file.display().to_string();
    let app = open(config, None).await?;
    output::say(&format!(
        "The database ({}) is ready; the master key is in {key}. Keep the key apart from backups.",
        app.store.engine_name()
    ));
    app.store.close().await;
    Ok(())
}

/// What is in force, and what is missing.
pub(super) async fn check(config: &Config) -> Outcome {
    let unset = || "(not set)".to_owned();
    let rows = [
        ("BURSAR_DATABASE_URL", without_password(&config.database_url)),
        ("BURSAR_LISTEN", config.listen.clone()),
        (
            "BURSAR_BASE_URL",
            config.base_url.clone().unwrap_or_else(|| format!("http://{} (from listen)", config.listen)),
        ),
        ("BURSAR_MASTER_KEY_FILE", config.master_key_file.display().to_string()),
        (
            "BURSAR_STRIPE_API_BASE",
            config.stripe_api_base.clone().unwrap_or_else(|| "Stripe's own".to_owned()),
        ),
        (
            "BURSAR_PAYPAL_API_BASE",
            config.paypal_api_base.clone().unwrap_or_else(|| "PayPal's own".to_owned()),
        ),
        (
            "BURSAR_PAYPAL_CERT_CA",
            config.paypal_cert_ca.as_ref().map_or_else(unset, |path| path.display().to_string()),
        ),
        (
            "BURSAR_SMTP_URL",
            config
                .smtp_url
                .as_ref()
                .map_or_else(|| "(not set: mails stay in the outbox)".to_owned(), |_| "(set)".to_owned()),
        ),
        ("BURSAR_LOG", config.log.clone()),
        ("BURSAR_LOG_FORMAT", config.log_format.clone()),
        ("BURSAR_POLL_SECONDS", config.poll_seconds.to_string()),
        (
            "BURSAR_METRICS_TOKEN",
            config.metrics_token.as_ref().map_or_else(
                || "(not set: only this machine reads /metrics)".to_owned(),
                |_| "(set)".to_owned(),
            ),
        ),
    ];
    let rows: Vec<Vec<String>> = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    output::table(&["setting", "in force"], &rows);
    if !config.master_key_file.exists() {
        output::say("Missing: the master key file; it is made at the first start.");
    } else if let Err(error) =
        secrets::MasterKey::from_file(&config.master_key_file, &crate::clock::Clock::system())
    {
        return Err(Failure(format!("the master key file cannot be used: {error}")));
    }
    if let Some(url) = config.database_url.strip_prefix("sqlite://")
        && !std::path::Path::new(url.split('?').next().unwrap_or(url)).exists()
    {
        output::say("Missing: the database; it is made at the first start.");
        return Ok(());
    }
    let app: App = open(config.clone(), None).await?;
    let connected = store::vendors::all(&mut app.store.read().await?).await?;
    for vendor in payout::money::Vendor::ALL {
        if connected.iter().all(|connection| connection.vendor != vendor) {
            output::say(&format!(
                "Missing: {} is not connected; save its credentials in Payout Settings.",
                vendor.label()
            ));
        }
    }
    app.store.close().await;
    Ok(())
}

fn without_password(url: &str) -> String {
    match url.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.split_once('@')?))) {
        Some((scheme, (_, place))) => format!("{scheme}://…@{place}"),
        None => url.to_owned(),
    }
}
