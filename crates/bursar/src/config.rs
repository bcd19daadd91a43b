//! The configuration. Each setting is an environment variable and a flag of every command that opens the database. A
//! secret can also come from a file.

use std::ffi::OsStr;
use std::net::IpAddr;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::builder::BoolishValueParser;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command, FromArgMatches};
use payout::access::Role;
use payout::money::Vendor;

use crate::secrets;

/// Stripe's live API.
pub const STRIPE_API: &str = "https://api.stripe.com";
/// PayPal's live API.
pub const PAYPAL_API: &str = "https://api-m.paypal.com";
/// PayPal's sandbox API.
pub const PAYPAL_SANDBOX_API: &str = "https://api-m.sandbox.paypal.com";

/// The effective configuration: the given settings, with secrets read once from the files named for them.
#[derive(Clone, Debug)]
pub struct Config(Given);

impl Deref for Config {
    type Target = Given;

    fn deref(&self) -> &Given {
        &self.0
    }
}

impl DerefMut for Config {
    fn deref_mut(&mut self) -> &mut Given {
        &mut self.0
    }
}

impl From<Given> for Config {
    fn from(given: Given) -> Self {
        Self(given)
    }
}

impl Args for Config {
    fn augment_args(command: Command) -> Command {
        Given::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Given::augment_args_for_update(command)
    }
}

impl FromArgMatches for Config {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut given = Given::from_arg_matches(matches)?;
        // Treat an empty variable as unset: everybody could present an empty token.
        for text in [&mut given.metrics_token, &mut given.oidc.client_secret] {
            *text = text.take().filter(|text| !text.is_empty());
        }
        for one in SECRETS {
            if one.file(&given).is_some_and(|file| file.as_os_str().is_empty()) {
                (one.set)(&mut given, None);
            }
            given.read(one, matches).map_err(|told| clap::Error::raw(ErrorKind::ValueValidation, told))?;
        }
        Ok(Self(given))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// A setting that holds a secret, paired with the setting that names a file to read it from.
pub struct Secret {
    /// The environment variable. The file's variable adds `_FILE`.
    pub name: &'static str,
    /// The clap ids of the two arguments.
    ids: [&'static str; 2],
    file: fn(&Given) -> Option<&Path>,
    /// Stores the file's contents; `None` if the file does not apply.
    set: fn(&mut Given, Option<String>),
}

impl Secret {
    /// The file the secret comes from, if one is set.
    pub fn file(&self, given: &Given) -> Option<PathBuf> {
        (self.file)(given).map(Path::to_path_buf)
    }
}

/// Every secret setting. `config check` prints none of them. Setting both the secret and its file is an error, unless
/// one is on the command line and the other in the environment.
pub const SECRETS: &[Secret] = &[
    Secret {
        name: "BURSAR_DATABASE_URL",
        ids: ["database_url", "database_url_file"],
        file: |given| given.database_url_file.as_deref(),
        set: |given, secret| match secret {
            Some(secret) => given.database_url = secret,
            None => given.database_url_file = None,
        },
    },
    Secret {
        name: "BURSAR_SMTP_URL",
        ids: ["smtp_url", "smtp_url_file"],
        file: |given| given.smtp_url_file.as_deref(),
        set: |given, secret| match secret {
            Some(secret) => given.smtp_url = Some(secret),
            None => given.smtp_url_file = None,
        },
    },
    Secret {
        name: "BURSAR_METRICS_TOKEN",
        ids: ["metrics_token", "metrics_token_file"],
        file: |given| given.metrics_token_file.as_deref(),
        set: |given, secret| match secret {
            Some(secret) => given.metrics_token = Some(secret),
            None => given.metrics_token_file = None,
        },
    },
    Secret {
        name: "BURSAR_OIDC_CLIENT_SECRET",
        ids: ["oidc_client_secret", "oidc_client_secret_file"],
        file: |given| given.oidc.client_secret_file.as_deref(),
        set: |given, secret| match secret {
            Some(secret) => given.oidc.client_secret = Some(secret),
            None => given.oidc.client_secret_file = None,
        },
    },
];

/// The settings as given by flags and environment variables.
#[derive(Args, Clone, Debug)]
pub struct Given {
    /// The database: `sqlite://FILE` or `postgres://…`
    #[arg(
        long,
        env = "BURSAR_DATABASE_URL",
        default_value = "sqlite://bursar.db",
        global = true,
        hide_env_values = true
    )]
    pub database_url: String,
    /// A file that holds the database URL, in place of the URL itself
    #[arg(long, env = "BURSAR_DATABASE_URL_FILE", global = true)]
    pub database_url_file: Option<PathBuf>,
    /// The address to listen on; port 0 picks a free port
    #[arg(long, env = "BURSAR_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: String,
    /// The public URL that people and vendors use; defaults to the listening address
    #[arg(long, env = "BURSAR_BASE_URL")]
    pub base_url: Option<String>,
    /// The file with the key that encrypts secrets; created on first start
    #[arg(long, env = "BURSAR_MASTER_KEY_FILE", default_value = "bursar.key")]
    pub master_key_file: PathBuf,
    /// The file that records how far the database has progressed; defaults to a file beside the key file. Must be
    /// writable
    #[arg(long, env = "BURSAR_MARK_FILE")]
    pub mark_file: Option<PathBuf>,
    /// The base URL of Stripe's API, or of a stand-in
    #[arg(long, env = "BURSAR_STRIPE_API_BASE")]
    pub stripe_api_base: Option<String>,
    /// The base URL of PayPal's API, or of a stand-in
    #[arg(long, env = "BURSAR_PAYPAL_API_BASE")]
    pub paypal_api_base: Option<String>,
    /// Extra root certificates for PayPal's webhooks; used only with a PayPal base URL that is not PayPal's own
    #[arg(long, env = "BURSAR_PAYPAL_CERT_CA")]
    pub paypal_cert_ca: Option<PathBuf>,
    /// The SMTP server for mail; if not set, mail stays in the outbox
    #[arg(long, env = "BURSAR_SMTP_URL", hide_env_values = true)]
    pub smtp_url: Option<String>,
    /// A file that holds the SMTP URL and its password, in place of the URL itself
    #[arg(long, env = "BURSAR_SMTP_URL_FILE")]
    pub smtp_url_file: Option<PathBuf>,
    /// The sender of mail, such as `Payouts <payouts@example.com>`; defaults to an address at the base URL's host
    #[arg(long, env = "BURSAR_MAIL_FROM")]
    pub mail_from: Option<String>,
    /// What to log, as a `tracing` filter
    #[arg(long, env = "BURSAR_LOG", default_value = "info")]
    pub log: String,
    /// The log format: `text` or `json`
    #[arg(long, env = "BURSAR_LOG_FORMAT", default_value = "text")]
    pub log_format: String,
    /// How often to check unsettled payments with the vendor, in seconds
    #[arg(long, env = "BURSAR_POLL_SECONDS", default_value_t = 300)]
    pub poll_seconds: u32,
    /// The token required to read /metrics; if not set, only loopback may read it
    #[arg(long, env = "BURSAR_METRICS_TOKEN", hide_env_values = true)]
    pub metrics_token: Option<String>,
    /// A file that holds the metrics token, in place of the token itself
    #[arg(long, env = "BURSAR_METRICS_TOKEN_FILE")]
    pub metrics_token_file: Option<PathBuf>,
    /// Proxies trusted to report the client's address, such as `127.0.0.1,10.0.0.0/8`; if not set, none are trusted
    #[arg(long, env = "BURSAR_TRUSTED_PROXIES", value_delimiter = ',')]
    pub trusted_proxies: Vec<Range>,
    /// Start even though people reach Bursar over plain http from other machines, where passwords can be intercepted
    #[arg(long, env = "BURSAR_PLAIN_HTTP")]
    pub plain_http: bool,
    /// Days to keep vendors' answers and events in full, at least 60; after that only their hash is kept. If not set,
    /// keep them forever
    #[arg(long, env = "BURSAR_RAW_DAYS", value_parser = clap::value_parser!(u32).range(60..))]
    pub raw_days: Option<u32>,
    /// Requests per minute for each login or API key, which may come in one burst: 0 for no limit, otherwise at least
    /// 60
    #[arg(long, env = "BURSAR_REQUESTS_PER_MINUTE", default_value = "1200", value_parser = requests_per_minute)]
    pub requests_per_minute: u32,
    /// Tell browsers to use https for all subdomains of the base URL too (`includeSubDomains`)
    #[arg(long, env = "BURSAR_HSTS_SUBDOMAINS")]
    pub hsts_subdomains: bool,
    #[command(flatten)]
    pub oidc: Oidc,
    /// Running as the demo, which also shows the style guide.
    #[arg(skip)]
    pub demonstrates: bool,
}

impl Given {
    /// Reads a secret from its file, if one is set.
    fn read(&mut self, one: &Secret, matches: &ArgMatches) -> Result<(), String> {
        let name = one.name;
        let Some(file) = one.file(self) else { return Ok(()) };
        // Container users empty a variable to unset what the image sets.
        let is_empty = matches.get_raw(one.ids[0]).is_none_or(|mut values| values.all(OsStr::is_empty));
        let given = one.ids.map(|id| matches.value_source(id));
        match given.map(|source| source == Some(ValueSource::CommandLine)) {
            // The command line overrides the environment.
            [true, false] => {
                (one.set)(self, None);
                return Ok(());
            }
            [false, true] => {}
            [true, true] | [false, false] => {
                if !is_empty && given[0] != Some(ValueSource::DefaultValue) {
                    return Err(format!("{name} and {name}_FILE are both set: keep one"));
                }
            }
        }
        let unusable = |why| format!("{}, which {name}_FILE names, cannot be used: {why}", file.display());
        let secret = secrets::read_private(&file).map_err(|error| unusable(error.to_string()))?;
        if secret.is_empty() {
            return Err(unusable("it is empty".to_owned()));
        }
        (one.set)(self, Some(secret));
        Ok(())
    }

    /// A vendor's configured API base URL, if set.
    pub fn api_base(&self, vendor: Vendor) -> Option<&str> {
        match vendor {
            Vendor::Stripe => self.stripe_api_base.as_deref(),
            Vendor::PayPal => self.paypal_api_base.as_deref(),
        }
    }

    /// The base URL of a vendor's stand-in; `None` if unset or if it is the vendor's own.
    pub fn stand_in(&self, vendor: Vendor) -> Option<&str> {
        let own = [STRIPE_API, PAYPAL_API, PAYPAL_SANDBOX_API];
        self.api_base(vendor).filter(|base| !own.contains(&base.trim_end_matches('/')))
    }

    /// The poll interval, in microseconds.
    pub fn poll_us(&self) -> i64 {
        i64::from(self.poll_seconds.max(1)) * 1_000_000
    }

    /// The longest wait between two retries or look-ups: the poll interval, capped at one minute.
    pub fn longest_wait_us(&self) -> i64 {
        self.poll_us().min(60_000_000)
    }
}

/// A lower limit would block people who only browse pages.
const LEAST_REQUESTS: u32 = 60;
/// A higher limit would not limit anything.
const MOST_REQUESTS: u32 = 1_000_000;

fn requests_per_minute(text: &str) -> Result<u32, String> {
    match text.trim().parse::<u32>() {
        Ok(0) => Ok(0),
        Ok(number) if (LEAST_REQUESTS..=MOST_REQUESTS).contains(&number) => Ok(number),
        Ok(_) | Err(_) => {
            Err(format!("write 0 for any number, or a number from {LEAST_REQUESTS} to {MOST_REQUESTS}"))
        }
    }
}

/// The OpenID Connect provider that staff can sign in with. Off unless an issuer is set.
#[derive(Args, Clone, Debug, Default)]
pub struct Oidc {
    /// The OpenID Connect provider's `issuer`, exactly as the provider spells it; if not set, signing in with a
    /// provider is off
    #[arg(id = "oidc_issuer", long = "oidc-issuer", env = "BURSAR_OIDC_ISSUER")]
    pub issuer: Option<String>,
    /// Bursar's client id at the provider
    #[arg(id = "oidc_client_id", long = "oidc-client-id", env = "BURSAR_OIDC_CLIENT_ID")]
    pub client_id: Option<String>,
    /// The client secret
    #[arg(
        id = "oidc_client_secret",
        long = "oidc-client-secret",
        env = "BURSAR_OIDC_CLIENT_SECRET",
        hide_env_values = true
    )]
    pub client_secret: Option<String>,
    /// A file that holds the client secret, in place of the secret itself
    #[arg(
        id = "oidc_client_secret_file",
        long = "oidc-client-secret-file",
        env = "BURSAR_OIDC_CLIENT_SECRET_FILE"
    )]
    pub client_secret_file: Option<PathBuf>,
    /// The provider's name on the sign-in button
    #[arg(id = "oidc_name", long = "oidc-name", env = "BURSAR_OIDC_NAME")]
    pub name: Option<String>,
    /// The scopes to request in addition to `openid`
    #[arg(
        id = "oidc_scopes",
        long = "oidc-scopes",
        env = "BURSAR_OIDC_SCOPES",
        default_value = "email profile"
    )]
    pub scopes: String,
    /// The claim that decides a person's role, such as `groups` or `realm_access.roles`; if not set, roles are assigned
    /// in Bursar
    #[arg(id = "oidc_role_claim", long = "oidc-role-claim", env = "BURSAR_OIDC_ROLE_CLAIM")]
    pub role_claim: Option<String>,
    /// The role for each value of that claim, such as `finance-leads=payer;it-admins=admin`; the first match wins
    #[arg(id = "oidc_roles", long = "oidc-roles", env = "BURSAR_OIDC_ROLES", value_delimiter = ';')]
    pub roles: Vec<MappedRole>,
    /// Create a login for people who have none and whom the mapping gives a role
    #[arg(
        id = "oidc_make_logins", long = "oidc-make-logins",
        env = "BURSAR_OIDC_MAKE_LOGINS",
        action = clap::ArgAction::Set,
        default_value = "false",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = BoolishValueParser::new()
    )]
    pub make_logins: bool,
    /// Claims that everyone signing in must have, such as `hd=acme.example`; if there are several, all must match
    #[arg(id = "oidc_require", long = "oidc-require", env = "BURSAR_OIDC_REQUIRE", value_delimiter = ';')]
    pub require: Vec<Required>,
}

impl Oidc {
    /// The provider's display name; `None` without a provider.
    pub fn called(&self) -> Option<String> {
        self.issuer.as_ref()?;
        Some(self.name.clone().unwrap_or_else(|| "your company’s account".to_owned()))
    }
}

/// A claim and its required value: equal to it, or containing it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Required {
    pub claim: String,
    pub value: String,
}

impl FromStr for Required {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('=').map(|(claim, value)| (claim.trim(), value.trim()));
        match parts.filter(|(claim, value)| !claim.is_empty() && !value.is_empty()) {
            Some((claim, value)) => Ok(Self { claim: claim.to_owned(), value: value.to_owned() }),
            None => Err(format!("{text:?} is not a claim and a value, such as hd=acme.example")),
        }
    }
}

/// A role-claim value and the role it maps to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MappedRole {
    /// The value as the provider spells it.
    pub value: String,
    pub role: Role,
}

impl FromStr for MappedRole {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let describe = || {
            format!(
                "{text:?} is not a value and a role, such as finance-leads=payer; `;` stands between several"
            )
        };
        let (value, role) = text.rsplit_once('=').ok_or_else(describe)?;
        let (value, role) = (value.trim(), Role::parse(role.trim()).filter(|role| !role.is_partners()));
        match role {
            Some(role) if !value.is_empty() => Ok(Self { value: value.to_owned(), role }),
            Some(_) | None => Err(format!("{}, and the roles are those of your own people", describe())),
        }
    }
}

/// A CIDR range of addresses, as for a proxy: `10.0.0.0/8`, `::1`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Range {
    address: IpAddr,
    bits: u32,
}

impl FromStr for Range {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let describe = || format!("{text:?} is not an address such as 127.0.0.1 or 10.0.0.0/8");
        let (address, bits) =
            text.trim().split_once('/').map_or((text.trim(), None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| describe())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), str::parse).map_err(|_| describe())?;
        if bits <= most { Ok(Self { address, bits }) } else { Err(describe()) }
    }
}

impl std::fmt::Display for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

impl Range {
    /// Whether the range is too broad for one party: a prefix under 8 bits for IPv4, under 16 for IPv6.
    pub fn is_wide(self) -> bool {
        self.bits < if self.address.is_ipv4() { 8 } else { 16 }
    }

    pub fn holds(self, address: IpAddr) -> bool {
        let same = |ours: u128, theirs: u128, all: u32| {
            let apart = all - self.bits;
            apart == 128 || ours >> apart == theirs >> apart
        };
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                same(ours.to_bits().into(), theirs.to_bits().into(), 32)
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => same(ours.to_bits(), theirs.to_bits(), 128),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_would_stop_people_is_none() {
        for (text, number) in [("0", 0), ("60", 60), (" 1200 ", 1_200)] {
            assert_eq!(requests_per_minute(text), Ok(number));
        }
        for wrong in ["", "59", "-1", "many", "1000001"] {
            assert!(requests_per_minute(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_value_of_a_claim_stands_for_a_role() {
        let read = |text: &str| text.parse::<MappedRole>();
        let mapped = |value: &str, role| MappedRole { value: value.to_owned(), role };
        assert_eq!(read("finance-leads=payer").unwrap(), mapped("finance-leads", Role::Payer));
        assert_eq!(read(" cn=it,dc=x = admin").unwrap(), mapped("cn=it,dc=x", Role::Admin));
        for wrong in ["", "payer", "=payer", "a=king", "a=partner", "a=partner_admin"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn lists_of_the_provider_are_read_whole() {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            oidc: Oidc,
        }
        let read = |text: &[&str]| {
            <Line as clap::Parser>::try_parse_from([&["bursar"][..], text].concat()).map(|line| line.oidc)
        };
        let of = |value: &str, role| MappedRole { value: value.to_owned(), role };
        let oidc = read(&[
            "--oidc-roles",
            "cn=admin,ou=groups=payer; it=admin",
            "--oidc-require",
            "hd=a.example; x=y=z",
        ]);
        let oidc = oidc.unwrap();
        assert_eq!(oidc.roles, [of("cn=admin,ou=groups", Role::Payer), of("it", Role::Admin)]);
        let required =
            |claim: &str, value: &str| Required { claim: claim.to_owned(), value: value.to_owned() };
        assert_eq!(oidc.require, [required("hd", "a.example"), required("x", "y=z")]);
        for wrong in [["--oidc-roles", "it=admin;"], ["--oidc-require", "hd"], ["--oidc-require", "hd="]] {
            assert!(read(&wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_range_is_an_address_or_many() {
        let holds =
            |range: &str, address: &str| range.parse::<Range>().unwrap().holds(address.parse().unwrap());
        assert!(holds("127.0.0.1", "127.0.0.1") && !holds("127.0.0.1", "127.0.0.2"));
        assert!(holds("10.0.0.0/8", "10.9.9.9") && !holds("10.0.0.0/8", "11.0.0.0"));
        assert!(holds("0.0.0.0/0", "203.0.113.9") && !holds("0.0.0.0/0", "::1"));
        assert!(holds("::/0", "2001:db8::7") && holds("2001:db8::/32", "2001:db8::7"));
        let wide = |range: &str| range.parse::<Range>().unwrap().is_wide();
        assert!(wide("0.0.0.0/0") && wide("128.0.0.0/7") && !wide("10.0.0.0/8") && !wide("203.0.113.9"));
        assert!(wide("2000::/3") && !wide("2001:db8::/32"));
        for wrong in ["", "10.0.0.0/33", "localhost", "10.0.0.0/x"] {
            assert!(wrong.parse::<Range>().is_err(), "{wrong}");
        }
    }
}
