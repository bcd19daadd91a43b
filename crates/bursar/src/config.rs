//! The configuration: every setting an environment variable and a flag of `serve`.

use std::path::PathBuf;

use clap::Args;

/// The vendors' own addresses.
pub const STRIPE_API: &str = "https://api.stripe.com";
/// PayPal's live address.
pub const PAYPAL_API: &str = "https://api-m.paypal.com";
/// PayPal's sandbox.
pub const PAYPAL_SANDBOX_API: &str = "https://api-m.sandbox.paypal.com";

/// What is in force, from flags and environment.
#[derive(Args, Clone, Debug)]
pub struct Config {
    /// Where the data is: `sqlite://FILE` or `postgres://…`
    #[arg(
        long,
        env = "BURSAR_DATABASE_URL",
        default_value = "sqlite://bursar.db",
        global = true,
        hide_env_values = true
    )]
    pub database_url: String,
    /// The address to listen on; port 0 chooses one
    #[arg(long, env = "BURSAR_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: String,
    /// How people and vendors reach Bursar; from the listening address when not set
    #[arg(long, env = "BURSAR_BASE_URL")]
    pub base_url: Option<String>,
    /// The file with the key that encrypts secrets; made on first start
    #[arg(long, env = "BURSAR_MASTER_KEY_FILE", default_value = "bursar.key")]
    pub master_key_file: PathBuf,
    /// Stripe's address, or that of a stand-in
    #[arg(long, env = "BURSAR_STRIPE_API_BASE")]
    pub stripe_api_base: Option<String>,
    /// PayPal's address, or that of a stand-in
    #[arg(long, env = "BURSAR_PAYPAL_API_BASE")]
    pub paypal_api_base: Option<String>,
    /// Extra certificate roots for PayPal's webhooks; only honoured beside a PayPal base that is not PayPal's own
    #[arg(long, env = "BURSAR_PAYPAL_CERT_CA")]
    pub paypal_cert_ca: Option<PathBuf>,
    /// Where to send mails; not set, they stay in the outbox
    #[arg(long, env = "BURSAR_SMTP_URL", hide_env_values = true)]
    pub smtp_url: Option<String>,
    /// Whom mails are from, such as `Payouts <payouts@example.com>`; from the base URL when not set
    #[arg(long, env = "BURSAR_MAIL_FROM")]
    pub mail_from: Option<String>,
    /// What to log, as a `tracing` filter
    #[arg(long, env = "BURSAR_LOG", default_value = "info")]
    pub log: String,
    /// How to log: `text` or `json`
    #[arg(long, env = "BURSAR_LOG_FORMAT", default_value = "text")]
    pub log_format: String,
    /// How often unsettled transactions are checked with the vendor, in seconds
    #[arg(long, env = "BURSAR_POLL_SECONDS", default_value_t = 300)]
    pub poll_seconds: u32,
    /// Whoever sends this token may read /metrics; not set, only loopback may
    #[arg(long, env = "BURSAR_METRICS_TOKEN", hide_env_values = true)]
    pub metrics_token: Option<String>,
    /// This is the demonstration, which also shows the parts that pages are made of.
    #[arg(skip)]
    pub demonstrates: bool,
}

impl Config {
    /// The period of the sweep, in microseconds.
    #[must_use]
    pub fn poll_us(&self) -> i64 {
        i64::from(self.poll_seconds.max(1)) * 1_000_000
    }

    /// The longest wait between two tries or looks: the period, but never over a minute.
    #[must_use]
    pub fn longest_wait_us(&self) -> i64 {
        self.poll_us().min(60_000_000)
    }
}
