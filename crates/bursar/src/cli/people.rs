//! The commands `user …` and `api-key …`. They work while the server runs.

use clap::{Args, Subcommand};
use payout::access::Role;
use payout::scope::{Scope, Scopes};

use super::{Failure, Outcome, open, output, unknown, words};
use crate::app::App;
use crate::config::Config;
use crate::ops::people::provider::links;
use crate::ops::people::{self, MachineUser, NewKey, NewPerson, keys as made};

#[derive(Args)]
pub(super) struct Users {
    #[command(subcommand)]
    command: UserCommand,
}

#[derive(Subcommand)]
enum UserCommand {
    /// Add a person; prints a one-time sign-in link
    Add {
        #[command(flatten)]
        config: Config,
        /// The email address they sign in with
        #[arg(long)]
        email: String,
        /// The name shown in history
        #[arg(long)]
        name: String,
        /// admin, program_manager, preparer, payer, auditor, partner_admin or partner
        #[arg(long, value_parser = role)]
        role: Role,
        /// The partner, by your own id; for the partner roles
        #[arg(long)]
        partner: Option<String>,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Disable a person's login; their sessions end
    Disable {
        #[command(flatten)]
        config: Config,
        /// The email address they sign in with
        #[arg(long)]
        email: String,
    },
    /// Enable a person's disabled login
    Enable {
        #[command(flatten)]
        config: Config,
        /// The email address they sign in with
        #[arg(long)]
        email: String,
    },
    /// Remove a person's second factor, app and passkeys, if they lost it; they and all administrators are notified
    MfaReset {
        #[command(flatten)]
        config: Config,
        /// The email address they sign in with
        address: String,
    },
    /// Unlink a person from their account at the identity provider; that account can no longer open their login
    Unlink {
        #[command(flatten)]
        config: Config,
        /// The email address they sign in with
        #[arg(long)]
        email: String,
    },
    /// Allow one account at the identity provider to be linked to a person whose account was unlinked
    Relink {
        #[command(flatten)]
        config: Config,
        /// The email address they sign in with
        #[arg(long)]
        email: String,
        /// The account's subject (sub) at the provider; not needed for the account that was unlinked
        #[arg(long)]
        subject: Option<String>,
    },
    /// Reset a person's password and end their sessions; prints a one-time link
    Reset {
        #[command(flatten)]
        config: Config,
        /// The email address they sign in with
        #[arg(long)]
        email: String,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
}

#[derive(Args)]
pub(super) struct Keys {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Subcommand)]
enum KeyCommand {
    /// Create a key and print it; it is shown only once
    Create {
        #[command(flatten)]
        config: Config,
        /// What it may do
        #[arg(long, value_parser = role)]
        role: Role,
        /// The name shown in history
        #[arg(long)]
        name: String,
        /// The partner it acts for, by your own id; for the partner roles
        #[arg(long)]
        partner: Option<String>,
        /// read, write or both; and release, which lets a key with the payer or admin role act as the second person
        /// under the two-person rule. Narrower than write: rewards:write, payees:write, batches:prepare, pay, release,
        /// settings
        #[arg(long, default_value = "read,write")]
        scopes: String,
        /// When it expires: after days such as 90d, or after a date such as 2027-01-31; if not set, never
        #[arg(long)]
        expires: Option<String>,
        /// The client addresses or networks it is accepted from, such as 203.0.113.7,10.0.0.0/8; if not set, any
        #[arg(long)]
        cidr: Vec<String>,
        /// What it may pay per day (UTC), such as "5000.00 EUR", once for each currency it pays in; if not set, only the
        /// installation's limits apply
        #[arg(long)]
        day_limit: Vec<String>,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
}

fn role(text: &str) -> Result<Role, String> {
    let known = || Role::ALL.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(", ");
    Role::parse(text).ok_or_else(|| format!("the roles are {}", known()))
}

pub(super) async fn users(users: Users) -> Outcome {
    match users.command {
        UserCommand::Add { config, email, name, role, partner, json } => {
            let app = open(config).await?;
            let new = NewPerson { email, name, role, partner, password: None };
            let link =
                people::add_at_the_machine(&app, &new, MachineUser(&system_user())).await.map_err(words)?;
            print_link(&link, json);
            app.store.close().await;
        }
        UserCommand::Disable { config, email } => {
            let app = open(config).await?;
            let done = people::disable(&app, &email, MachineUser(&system_user())).await;
            done.map_err(|error| unknown(error, &nobody(&email)))?;
            output::print_line(&format!("{email} can no longer sign in."));
            app.store.close().await;
        }
        UserCommand::Enable { config, email } => {
            let app = open(config).await?;
            let done = people::enable(&app, &email, MachineUser(&system_user())).await;
            done.map_err(|error| unknown(error, &nobody(&email)))?;
            output::print_line(&format!("{email} can sign in again, with the role and password they had."));
            app.store.close().await;
        }
        UserCommand::MfaReset { config, address } => {
            let app = open(config).await?;
            let by = system_user();
            let done = people::factor::reset_at_the_machine(&app, &address, MachineUser(&by)).await;
            done.map_err(|error| unknown(error, &nobody(&address)))?;
            output::print_line(&format!(
                "{address} no longer has a second factor; their sessions have ended."
            ));
            app.store.close().await;
        }
        UserCommand::Unlink { config, email } => {
            let app = open(config).await?;
            unlink(&app, &email).await?;
            app.store.close().await;
        }
        UserCommand::Relink { config, email, subject } => {
            let app = open(config).await?;
            let by = system_user();
            let subject = subject.as_deref();
            let done = links::allow_again_at_the_machine(&app, &email, subject, MachineUser(&by)).await;
            done.map_err(|error| unknown(error, &nobody(&email)))?;
            output::print_line(&format!("The next sign-in of {email} with that account links it."));
            app.store.close().await;
        }
        UserCommand::Reset { config, email, json } => {
            let app = open(config).await?;
            let link = people::reset(&app, &email, None, MachineUser(&system_user())).await;
            let link = link.map_err(|error| unknown(error, &nobody(&email)))?;
            print_link(&link, json);
            print_remaining_access(&app, &email).await?;
            app.store.close().await;
        }
    }
    Ok(())
}

async fn unlink(app: &App, email: &str) -> Outcome {
    let by = system_user();
    let done = links::unlink_at_the_machine(app, email, MachineUser(&by)).await;
    let last = done.map_err(|error| unknown(error, &nobody(email)))?;
    output::print_line(&format!(
        "{email} is unlinked and signed out; no account at the provider can sign in to this login until you allow one."
    ));
    if last {
        output::complain(&format!(
            "Nobody can sign in as an administrator now; `bursar user reset --email {email}` creates a link."
        ));
    }
    Ok(())
}

/// Prints what a new password or link does not change.
async fn print_remaining_access(app: &App, email: &str) -> Outcome {
    let passkeys = people::passkeys::names(app, email).await.map_err(words)?;
    if !passkeys.is_empty() {
        output::complain(&format!(
            "These passkeys can still sign in to this login: {}; `bursar user mfa-reset {email}` removes them.",
            passkeys.join(", ")
        ));
    }
    if links::opens(app, email).await.map_err(words)? {
        output::complain(&format!(
            "An account at the provider can still sign in to this login; `bursar user unlink --email {email}` ends that."
        ));
    }
    Ok(())
}

fn nobody(email: &str) -> String {
    format!("No login has the address {email}. The People page lists everybody.")
}

/// The operating-system user who runs this, for the audit trail. With sudo, the original user is named too.
pub(super) fn system_user() -> String {
    let sudo = std::env::var("SUDO_USER").ok().filter(|from| !from.is_empty());
    let sudo = sudo.map(|from| format!(", by sudo from {from}")).unwrap_or_default();
    format!("{}{sudo}", this_user())
}

#[cfg(unix)]
fn this_user() -> String {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(us) = std::fs::metadata("/proc/self") else { return "an unknown user".to_owned() };
    let id = us.uid().to_string();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let named = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let name = named.filter(|user| user.get(2) == Some(&id.as_str())).find_map(|user| user.first().copied());
    match name {
        Some(name) => format!("{name} (user id {id})"),
        None => format!("user id {id}"),
    }
}

#[cfg(not(unix))]
fn this_user() -> String {
    std::env::var("USERNAME").unwrap_or_else(|_| "an unknown user".to_owned())
}

fn print_link(link: &str, json: bool) {
    if json {
        output::json(&serde_json::json!({ "link": link }));
    } else {
        output::print_line(&format!("Sign in once, within a day: {link}"));
    }
}

pub(super) async fn keys(keys: Keys) -> Outcome {
    let KeyCommand::Create { config, role, name, partner, scopes, expires, cidr, day_limit, json } =
        keys.command;
    let scopes = Scopes::parse(&scopes).map_err(|strange| {
        let known: Vec<&str> = Scope::ALL.iter().map(|scope| scope.as_str()).collect();
        Failure(format!("there is no scope {strange:?}; there are {}", known.join(", ")))
    })?;
    if !cidr.is_empty() && cidr.iter().all(|one| one.trim().is_empty()) {
        return Err(Failure(
            "--cidr names no address; leave it out for a key that works from anywhere".to_owned(),
        ));
    }
    let app = open(config).await?;
    let ends = expires.map_or(Ok(None), |typed| made::end(&typed, app.clock.now()));
    let new = NewKey {
        name,
        role,
        partner,
        scopes,
        ends_at: ends.map_err(|refusal| Failure(refusal.sentence))?,
        addresses: made::addresses(&cidr.join(",")).map_err(|refusal| Failure(refusal.sentence))?,
        day_limits: made::day_limits(&day_limit.join(",")).map_err(|refusal| Failure(refusal.sentence))?,
    };
    let key =
        people::create_key_at_the_machine(&app, &new, MachineUser(&system_user())).await.map_err(words)?;
    if json {
        output::json(&serde_json::json!({ "key": key }));
    } else {
        output::print_line(&key);
        output::complain("Keep it now: it is stored hashed and cannot be shown again.");
    }
    app.store.close().await;
    Ok(())
}
