//! The state of the vendor connections on Payout Settings. Not here: changing them (`connections`). Secrets are never shown.

use std::time::Duration;

use payout::money::Vendor;

use crate::ops::vendors::NOT_OURS;
use crate::store::{self, vendors::Connection};
use crate::web::kit::format::{Cash, Chip, When, count, when};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::Web;
use crate::work::ask;

/// How long the page waits for a vendor before it shows that it could not be reached.
const WAIT: Duration = Duration::from_secs(2);

/// The maximum number of payees to list who must reconnect.
const NAMED: i64 = 20;

/// A vendor's refusal, and the form input to show again: never a secret.
pub(super) struct Refused {
    pub vendor: Vendor,
    pub sentence: String,
    pub mode: String,
    pub client_id: String,
}

/// A webhook endpoint, as registered at the vendor.
pub(super) struct HookRow {
    pub address: String,
    pub chip: Chip,
    pub told: String,
    pub missing: Vec<&'static str>,
    /// The events that it must send.
    pub needed: &'static [&'static str],
}

/// A vendor, with its connection if it has one.
pub(super) struct Connected {
    pub key: &'static str,
    pub label: &'static str,
    pub joined: Option<Joined>,
    pub wrong: Option<String>,
    /// The form's values: the mode, and PayPal's client id.
    pub live: bool,
    pub client_id: String,
}

/// A vendor's connection, for display.
pub(super) struct Joined {
    pub mode: Chip,
    pub last_four: String,
    pub since: When,
    pub rejected: Option<(When, String)>,
    pub last_event: Option<When>,
    pub bad_signatures: String,
    /// The number of correctly signed events that could not be parsed.
    pub unreadable_events: String,
    pub balances: Option<Vec<Cash>>,
    /// `None` if the vendor could not be reached.
    pub hooks: Option<Vec<HookRow>>,
    /// The payees who must reconnect: page and name of each.
    pub again: Vec<(String, String)>,
}

/// Both vendors, with their current state.
pub(super) async fn all(web: &Web, refused: Option<Refused>) -> Result<Vec<Connected>, Problem> {
    let known = store::vendors::all(&mut web.app.store.read().await?).await?;
    let mut rows = Vec::new();
    for vendor in [Vendor::Stripe, Vendor::PayPal] {
        let connection = known.iter().find(|one| one.vendor == vendor);
        let joined = match connection {
            Some(connection) => Some(joined(web, connection).await?),
            None => None,
        };
        let refused = refused.as_ref().filter(|refused| refused.vendor == vendor);
        let mode = refused.map(|refused| refused.mode.as_str());
        let mode = mode.or(connection.map(|connection| connection.mode.as_str()));
        rows.push(Connected {
            key: vendor.as_str(),
            label: match vendor {
                Vendor::Stripe => "Stripe Connect",
                Vendor::PayPal => "PayPal Payouts",
            },
            joined,
            wrong: refused.map(|refused| refused.sentence.clone()),
            live: mode == Some("live"),
            client_id: refused.map(|refused| refused.client_id.clone()).unwrap_or_default(),
        });
    }
    Ok(rows)
}

async fn joined(web: &Web, connection: &Connection) -> Result<Joined, Problem> {
    let vendor = connection.vendor;
    let asking = tokio::time::timeout(WAIT, ask::hooks(&web.work, vendor));
    let (hooks, balances) = match vendor {
        Vendor::Stripe => {
            let balances = tokio::time::timeout(WAIT, ask::balances(&web.work));
            let (hooks, balances) = tokio::join!(asking, balances);
            (hooks, balances.unwrap_or_default().reported)
        }
        Vendor::PayPal => (asking.await, Vec::new()),
    };
    let mut db = web.app.store.read().await?;
    let again = store::vendors::payees_stopped(&mut db, vendor, NOT_OURS, NAMED).await?;
    let page = |(kind, id, name): (&str, String, String)| (format!("/{kind}s/{id}"), name);
    Ok(Joined {
        mode: match connection.mode.as_str() {
            "live" => Chip { tone: "fine", words: "Live" },
            "sandbox" => Chip { tone: "warn", words: "Sandbox, no real money" },
            _ => Chip { tone: "warn", words: "Test, no real money" },
        },
        last_four: connection.last_four.clone(),
        since: When(connection.connected_at),
        rejected: when(connection.rejected_at)
            .map(|at| (at, connection.rejected_why.clone().unwrap_or_default())),
        last_event: when(connection.last_event_at),
        bad_signatures: count(connection.bad_signatures),
        unreadable_events: count(connection.unreadable_events),
        balances: (vendor == Vendor::Stripe)
            .then(|| balances.into_iter().map(|(_, money)| Cash(money)).collect()),
        hooks: hooks.ok().flatten().map(|hooks| hooks.into_iter().map(hook).collect()),
        again: again.into_iter().map(page).collect(),
    })
}

fn hook(hook: ask::Hook) -> HookRow {
    let (needed, missing) = (hook.needed.len(), hook.missing.len());
    let chip = match (hook.works, missing) {
        (true, 0) => Chip { tone: "fine", words: "Registered" },
        (true, _) => Chip { tone: "warn", words: "Events missing" },
        (false, _) => Chip { tone: "bad", words: "Not registered, or disabled" },
    };
    let message = format!("{} of {needed} needed events enabled", needed - missing);
    HookRow { address: hook.address, chip, told: message, missing: hook.missing, needed: hook.needed }
}
