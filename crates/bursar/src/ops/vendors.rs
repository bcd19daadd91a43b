//! The vendors' credentials: sealed, saved, paused when the vendor refuses them.

use payout::money::Vendor;
use payout::notice::Notice;
use serde::{Deserialize, Serialize};

use super::Result;
use crate::app::{Actor, App};
use crate::secrets::MasterKey;
use crate::store::vendors::Connection;
use crate::store::{self, audit, submissions, vendors};
use crate::transact;

pub use crate::store::vendors::facts;

/// What is noted of a connected account that Stripe does not know as ours: it belongs to another account of ours, or the
/// payee has taken the connection back. Either way he must connect again.
pub const NOT_OURS: &str = "Stripe does not know this account, or it is no longer connected to us";

/// What is kept of a connection under the master key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "vendor", rename_all = "lowercase")]
pub enum Credentials {
    /// Stripe's key and the secrets of the two webhook endpoints.
    Stripe {
        /// `sk_…` or `rk_…`
        secret_key: String,
        /// The endpoint for our own account's events: id and secret.
        platform: Option<(String, String)>,
        /// The endpoint for connected accounts' events: id and secret.
        connect: Option<(String, String)>,
    },
    /// PayPal's application and the id of its webhook.
    PayPal {
        /// The application.
        client_id: String,
        /// Its secret.
        client_secret: String,
        /// The webhook's id, against which signatures are checked.
        webhook_id: Option<String>,
    },
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({}, …)", self.vendor().as_str())
    }
}

impl Credentials {
    /// Of which vendor.
    #[must_use]
    pub fn vendor(&self) -> Vendor {
        match self {
            Self::Stripe { .. } => Vendor::Stripe,
            Self::PayPal { .. } => Vendor::PayPal,
        }
    }

    /// Opens what a connection keeps; `None` under another master key.
    #[must_use]
    pub fn open(key: &MasterKey, connection: &Connection) -> Option<Self> {
        let plain = key.open(connection.vendor.as_str(), &connection.sealed)?;
        serde_json::from_str(&plain).ok()
    }

    fn last_four(&self) -> String {
        let secret = match self {
            Self::Stripe { secret_key, .. } => secret_key,
            Self::PayPal { client_secret, .. } => client_secret,
        };
        let count = secret.chars().count();
        secret.chars().skip(count.saturating_sub(4)).collect()
    }
}

/// Saves credentials that the vendor has just accepted; everything that waited for them goes on.
///
/// # Errors
/// When the database does not answer.
pub async fn save(app: &App, actor: &Actor, credentials: &Credentials, mode: &str) -> Result<()> {
    let vendor = credentials.vendor();
    transact!(app, |tx| {
        let now = app.clock.now();
        let plain = serde_json::to_string(credentials).unwrap_or_default();
        let connection = Connection {
            vendor,
            mode: mode.to_owned(),
            sealed: app.master_key.seal(&app.clock, vendor.as_str(), &plain),
            last_four: credentials.last_four(),
            connected_at: now,
            rejected_at: None,
            rejected_why: None,
            retry_at: None,
            bad_signatures: 0,
            last_event_at: None,
        };
        vendors::put(tx, &connection).await?;
        submissions::wake(tx, vendor, now).await?;
        if vendor == Vendor::Stripe {
            store::payees::ask_all_again(tx, vendor, now).await?;
        }
        tx.audit(audit::Entry {
            at: now,
            actor: actor.id.to_string(),
            action: "vendor_connected",
            subject: vendor.as_str().to_owned(),
            detail: serde_json::json!({ "mode": mode, "last_four": connection.last_four }).to_string(),
        });
        Ok(())
    })?;
    app.nudge.vendors_changed.fetch_add(1, std::sync::atomic::Ordering::AcqRel);
    app.nudge.dispatch.ring();
    app.nudge.settle.ring();
    Ok(())
}

/// Pauses a vendor that refuses our credentials. Nothing is failed; the administrators are told once.
///
/// # Errors
/// When the database does not answer.
pub async fn pause(app: &App, vendor: Vendor, why: &str) -> Result<()> {
    let now = app.clock.now();
    let first = transact!(app, |tx| {
        let first = vendors::pause(tx, vendor, why, now, now + app.config.longest_wait_us()).await?;
        if first {
            let detail = serde_json::json!({ "why": why }).to_string();
            let notice = (Notice::CredentialsRejected, vendor.as_str().to_owned(), detail.clone());
            store::outbox::write(tx, &app.clock, now, [notice]).await?;
            let (actor, subject) = ("dispatch".to_owned(), vendor.as_str().to_owned());
            tx.audit(audit::Entry { at: now, actor, action: "vendor_paused", subject, detail });
        }
        Ok(first)
    })?;
    if first {
        tracing::error!(
            vendor = vendor.as_str(),
            why,
            "the vendor refuses our credentials; its payments are paused, nothing has failed: save working credentials in Payout Settings"
        );
    }
    Ok(())
}

/// The vendor took our credentials: takes a pause off. `by` is the loop that found it out.
///
/// # Errors
/// When the database does not answer.
pub async fn resume(app: &App, vendor: Vendor, by: &'static str) -> Result<()> {
    transact!(app, |tx| {
        if vendors::resume(tx, vendor).await? {
            let now = app.clock.now();
            submissions::wake(tx, vendor, now).await?;
            let detail = "{}".to_owned();
            let (actor, subject) = (by.to_owned(), vendor.as_str().to_owned());
            tx.audit(audit::Entry { at: now, actor, action: "vendor_resumed", subject, detail });
        }
        Ok(())
    })
}
