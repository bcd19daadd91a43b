//! `demo`: all of Bursar on temporary data and simulated vendors, with sample data to explore. `--auto` runs the main
//! workflow (import, approve, batch, pay, follow) and prints how every payment ended and why.

mod play;
mod world;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use clap::Args;
use payout::access::Role;
use payout::scope::{Scope, Scopes};
use simulator::Simulator;
use tempfile::TempDir;
use tokio::net::TcpListener;

use super::{Failure, Outcome, log, open_by, operator, output, serve, words};
use crate::app::App;
use crate::clock::Clock;
use crate::config::{Config, Given, Oidc};
use crate::ops::company::{self, Company};
use crate::ops::nodes;
use crate::ops::people::{self, NewKey, NewPerson};
use crate::ops::settings;
use crate::work::pace::Pace;
use crate::work::{self, Loops, Work, connect, movements};

#[derive(Args)]
pub(super) struct Options {
    /// Run import, approve, batch, Pay and webhooks, and print a table of the outcomes
    #[arg(long)]
    auto: bool,
    /// Exit when done
    #[arg(long)]
    exit: bool,
    /// The address to listen on; port 0 picks a free port
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: String,
    /// Print one JSON object as the first line: addresses, an API key, logins
    #[arg(long)]
    json: bool,
    /// What to log, as a `tracing` filter
    #[arg(long, default_value = "warn")]
    log: String,
}

/// The password of every demo login.
const PASSWORD: &str = "four paper boats";

/// The running demo. Its data is deleted when it is dropped.
struct Demo {
    app: App,
    work: Work,
    loops: Loops,
    vendors: Simulator,
    /// How far its clock is behind the machine's while its history is generated.
    behind: Arc<AtomicI64>,
    /// Keeps other processes from serving or replacing its database.
    server: serve::Server,
    _data: TempDir,
}

pub(super) async fn run(options: Options) -> Outcome {
    log::begin(&options.log, "text");
    let listener = serve::bind(&options.listen).await?;
    let address = listener.local_addr()?;
    let demo = begin(address).await?;
    let pages = tokio::spawn(serve::until_stopped(listener, demo.work.clone(), serve::asked_to_stop()));
    connect_vendors(&demo).await?;
    world::build(&demo.app, &demo.work, &demo.behind).await?;
    move_by_hand(&demo).await?;
    let shown = greet(&demo.app, options.json).await;
    let played = match (shown, options.auto) {
        (Ok(()), true) => play::auto(&demo).await,
        (shown, _) => shown,
    };
    if !options.exit && played.is_ok() {
        if !options.json {
            output::print_line("Press Ctrl-C to stop; the data are temporary and go with it.");
        }
        pages.await??;
    } else {
        pages.abort();
    }
    demo.loops.stop().await;
    nodes::leave(&demo.app).await.map_err(words)?;
    demo.app.store.close().await;
    drop(demo.server);
    played
}

/// Sets up temporary data, both vendors on loopback, and the loops.
async fn begin(address: SocketAddr) -> Result<Demo, Failure> {
    let data = tempfile::tempdir()?;
    let (clock, behind) = Clock::behind(world::AGO_US);
    let told = clock.clone();
    let mut played = simulator::Options::new(Arc::new(move || told.now()));
    played.pace.stripe_payout_us = 700_000;
    played.pace.paypal_item_us = 700_000;
    played.pace.late_us = 4_000_000;
    let vendors = Simulator::new(played);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let base = format!("http://{}", listener.local_addr()?);
    let (serving, moving) = (vendors.clone(), vendors.clone());
    tokio::spawn(async move { serving.serve(listener).await });
    tokio::spawn(moving.run());
    let ca = data.path().join("vendors.pem");
    std::fs::write(&ca, vendors.ca_pem())?;
    let config = Config::from(Given {
        database_url: format!("sqlite://{}", data.path().join("bursar.db").display()),
        database_url_file: None,
        listen: address.to_string(),
        base_url: None,
        master_key_file: data.path().join("bursar.key"),
        mark_file: None,
        stripe_api_base: Some(base.clone()),
        paypal_api_base: Some(base),
        paypal_cert_ca: Some(ca),
        smtp_url: None,
        smtp_url_file: None,
        mail_from: None,
        log: String::new(),
        log_format: String::new(),
        poll_seconds: 2,
        metrics_token: None,
        metrics_token_file: None,
        trusted_proxies: Vec::new(),
        plain_http: true,
        raw_days: None,
        // The API can be explored and load-tested without harm here.
        requests_per_minute: 0,
        hsts_subdomains: false,
        oidc: Oidc::default(),
        demonstrates: true,
    });
    let server = serve::Server::alone(&config.database_url).await?;
    let app = open_by(clock, config, None).await?;
    nodes::join(&app, server.is_alone).await.map_err(words)?;
    let work = Work::new(app.clone(), Some(Arc::new(Pace::published())))?;
    let loops = work::start(work.clone());
    Ok(Demo { app, work, loops, vendors, behind, server, _data: data })
}

async fn connect_vendors(demo: &Demo) -> Outcome {
    let (app, work, actor) = (&demo.app, &demo.work, operator());
    connect::stripe(work, &actor, "sk_test_sim", "test").await.map_err(words)?;
    connect::paypal(work, &actor, "sim_client", "sim_secret", "sandbox").await.map_err(words)?;
    settings::save(app, &actor, None, |mut document| {
        document.enabled = true;
        document.vendors = vec!["stripe".to_owned(), "paypal".to_owned()];
        Ok(document)
    })
    .await
    .map_err(words)?;
    company::save(app, &actor, |before| Company {
        name: "Demo Industries".to_owned(),
        address: "1 Sample Street\nExampleton, CA 90001\nUnited States".to_owned(),
        support: "partners@demo.example".to_owned(),
        currency: "USD".to_owned(),
        ..before
    })
    .await
    .map_err(words)?;
    Ok(())
}

/// Moves money by hand in Stripe's dashboard, for no payment, so that the day does not tie at Stripe but does at
/// PayPal.
async fn move_by_hand(demo: &Demo) -> Outcome {
    demo.vendors.send_in_dashboard("acct_demo_02", "USD", 2_500);
    movements::all(&demo.work, None).await.map_err(words)
}

/// The environment that points another command at the demo: its database, key and simulated vendors.
fn environment(app: &App) -> Vec<String> {
    let config = &app.config;
    let bases = [("STRIPE", &config.stripe_api_base), ("PAYPAL", &config.paypal_api_base)];
    let bases = bases
        .into_iter()
        .filter_map(|(name, base)| Some(format!("BURSAR_{name}_API_BASE={}", base.as_ref()?)));
    let own = [
        format!("BURSAR_DATABASE_URL={}", config.database_url),
        format!("BURSAR_MASTER_KEY_FILE={}", config.master_key_file.display()),
    ];
    own.into_iter().chain(bases).collect()
}

/// Prints the address and one-time login links.
async fn greet(app: &App, json: bool) -> Outcome {
    let mut links = Vec::new();
    // This partner administrator has no payout method yet, so that there is something to set up.
    for (role, partner) in [
        (Role::Admin, None),
        (Role::Payer, None),
        (Role::Partner, Some("demo-partner-01")),
        (Role::PartnerAdmin, Some("demo-partner-09")),
    ] {
        let new = NewPerson {
            email: format!("{}@demo.example", role.as_str()),
            name: format!("Demo {}", role.as_str()),
            role,
            partner: partner.map(str::to_owned),
            password: Some(PASSWORD.to_owned()),
        };
        // These links are not mailed, so no confirmation click is needed.
        let link = people::add(app, &new).await.map_err(words)?;
        links.push((role.as_str(), new.email, format!("{link}?now=yes")));
    }
    let key = NewKey::of("demo", Role::Admin, Scopes::of(&[Scope::Read, Scope::Write, Scope::Release]));
    let key = people::create_key(app, &key).await.map_err(words)?;
    if json {
        let emails: serde_json::Map<String, serde_json::Value> =
            links.iter().map(|(role, email, _)| ((*role).to_owned(), email.clone().into())).collect();
        let logins: serde_json::Map<String, serde_json::Value> =
            links.into_iter().map(|(role, _, link)| (role.to_owned(), link.into())).collect();
        output::json(&serde_json::json!({
            "base_url": app.base_url, "api_key": key, "logins": logins, "emails": emails, "password": PASSWORD,
            "environment": environment(app),
        }));
        return Ok(());
    }
    output::print_line(&format!(
        "Bursar runs at {} on temporary data, with simulated vendors.",
        app.base_url
    ));
    for (role, email, link) in links {
        output::print_line(&format!("  sign in as {role:<13} {link}"));
        output::print_line(&format!("             {:<13} once; later with {email} and the password", ""));
    }
    output::print_line(&format!(
        "  password                 {PASSWORD} (before something that matters it is asked for again)"
    ));
    output::print_line(&format!("  API key                  {key}"));
    output::print_line("  For the command line, in another terminal:");
    output::print_line(&format!("export {}", environment(app).join(" ")));
    Ok(())
}
