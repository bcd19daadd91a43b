//! The vendors' credentials: saving them sealed, and pausing a vendor that rejects them.

use payout::Refusal;
use payout::deadline;
use payout::money::Vendor;
use payout::notice::Notice;
use serde::{Deserialize, Serialize};

use super::settings::lowering::{self, ConnectionChange, Phase};
use super::{OpsError, Result, master_key, safe_mode};
use crate::app::{Actor, App};
use crate::secrets::MasterKey;
use crate::store::sealed::Column;
use crate::store::vendors::Connection;
use crate::store::{self, Db, Tx, audit, mails, submissions, vendors};
use crate::transact;

pub use crate::store::vendors::facts;

/// The reason stored for a connected account that Stripe does not recognize as ours: it belongs to another of our accounts,
/// or the payee has disconnected it. Either way they must connect again.
pub const NOT_OURS: &str = "Stripe does not know this account, or it is no longer connected to us";

/// How often at most a rejection of the same credentials is reported.
const REPORT_AGAIN_US: i64 = 3_600_000_000;

/// The stored field that names the stand-in.
const STAND_IN: &str = "stand_in";

/// The credentials of a connection, sealed with the master key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "vendor", rename_all = "lowercase")]
pub enum Credentials {
    /// Stripe's key and the secrets of both webhook endpoints.
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
        client_id: String,
        client_secret: String,
        /// The webhook's id, used to verify signatures.
        webhook_id: Option<String>,
    },
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({}, …)", self.vendor().as_str())
    }
}

impl Credentials {
    pub fn vendor(&self) -> Vendor {
        match self {
            Self::Stripe { .. } => Vendor::Stripe,
            Self::PayPal { .. } => Vendor::PayPal,
        }
    }

    /// Opens a connection's credentials; `None` under another master key.
    pub fn open(key: &MasterKey, connection: &Connection) -> Option<Self> {
        serde_json::from_str(&plain(key, connection)?).ok()
    }

    /// The base URL of the stand-in that a connection was saved against, if any. Such credentials are only used with that
    /// stand-in, so that a rehearsal in another terminal never reaches the vendor itself.
    pub fn stand_in(key: &MasterKey, connection: &Connection) -> Option<String> {
        let kept: serde_json::Value = serde_json::from_str(&plain(key, connection)?).ok()?;
        kept[STAND_IN].as_str().map(str::to_owned)
    }

    /// The text to store, with the stand-in that accepted the credentials.
    fn kept(&self, stand_in: Option<&str>) -> String {
        let mut kept = serde_json::to_value(self).unwrap_or_default();
        if let (Some(base), Some(fields)) = (stand_in, kept.as_object_mut()) {
            fields.insert(STAND_IN.to_owned(), base.into());
        }
        kept.to_string()
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

fn plain(key: &MasterKey, connection: &Connection) -> Option<String> {
    key.open(&Column::Connection.place(connection.vendor.as_str()), &connection.sealed)
}

/// Whose credentials these are, as the vendor just reported.
#[derive(Clone, Debug)]
pub struct Proof {
    /// `live`, `test` or `sandbox`: the mode of the credentials.
    pub mode: &'static str,
    /// The vendor's account and mode, as stored: a Stripe account has the same id in both modes.
    pub account: String,
    /// Whether the account has the objects of the connected one; then what is not bound to an account yet belongs to it.
    pub same_as_before: bool,
}

/// The stored form of an account and its mode.
pub fn account_in(account: &str, mode: &str) -> String {
    format!("{account}/{mode}")
}

/// Refuses credentials of another account while any payment through the vendor is open, parked, contradicted or watched: an
/// open one would be sent a second time, and the others would be polled at the wrong account. Also refuses while the
/// connected account has not been searched for missing payments.
///
/// # Errors
/// [`OpsError::Conflict`] `other_vendor_account`, or `account_not_searched` after a restore.
pub async fn same_account(db: &mut Db, vendor: Vendor, account: &str, now: i64) -> Result<()> {
    searched_first(db, vendor, Some(account)).await?;
    let since = now.saturating_sub(deadline::SETTLED_WATCHED_US);
    let bound = vendors::bound_elsewhere(db, vendor, account, since).await?;
    if bound == 0 {
        return Ok(());
    }
    let sentence = format!(
        "These credentials belong to another {} account (or mode) than {bound} payments that are under way, parked, contradicted, still watched, or were settled as not made in the last 30 days; or Bursar cannot prove that they belong to the same one. Nothing was saved: open payments would be sent a second time, and Bursar would not learn of those that were paid after all. Save credentials of the account that they were paid from; connect the other one when those payments are over.",
        vendor.label()
    );
    Err(OpsError::Conflict(Refusal::new("other_vendor_account", sentence)))
}

/// The code of the refusal while the connected account has not been searched.
const NOT_SEARCHED: &str = "account_not_searched";

/// Refuses to replace or remove a vendor's connected account before it has been searched.
async fn searched_first(db: &mut Db, vendor: Vendor, next: Option<&str>) -> Result<()> {
    let unsearched = safe_mode::unsearched_account(db, vendor).await?;
    let Some(unsearched) = unsearched.filter(|account| Some(account.as_str()) != next) else { return Ok(()) };
    let sentence = format!(
        "This database was restored, and its {label} account {unsearched} has not been searched yet for payments that are missing here. Nothing was changed: payments made from it since would be made again. Bursar searches it by itself within minutes. If that fails, compare its payments by hand, confirm that when you end safe mode, and then try again.",
        label = vendor.label()
    );
    Err(OpsError::Conflict(Refusal::new(NOT_SEARCHED, sentence)))
}

/// A connection for people: its account and mode, and the end of its credential.
fn described(connection: &Connection) -> String {
    let account = connection.account.as_deref().unwrap_or(&connection.mode);
    format!("{account}, …{}", connection.last_four)
}

/// Mails every administrator that a connection was saved, replaced or removed. Whoever does it cannot edit the text.
/// Administrators are looked up now and again when the mail is rendered, so one who is disabled in between is still notified.
async fn notify(
    tx: &mut Tx,
    app: &App,
    actor: &Actor,
    vendor: Vendor,
    (before, after): (Option<&Connection>, Option<&Connection>),
) -> Result<()> {
    let to = mails::administrators(tx).await?;
    // During setup there may be nobody to tell.
    if to.is_empty() {
        return Ok(());
    }
    let (old, new) = (before.map(described), after.map(described));
    let detail = serde_json::json!({ "to": to, "by": actor.name, "old": old, "new": new }).to_string();
    let notice = (Notice::VendorConnectionChanged, vendor.as_str().to_owned(), detail);
    store::outbox::write(tx, &app.clock, app.clock.now(), [notice]).await?;
    Ok(())
}

/// Whether exactly these credentials are saved already.
fn is_saved(app: &App, before: &Connection, credentials: &Credentials, proof: &Proof) -> bool {
    before.mode == proof.mode
        && before.account.as_ref() == Some(&proof.account)
        && Credentials::open(&app.master_key, before).as_ref() == Some(credentials)
}

/// Why a live connection is not replaced by one of another account or mode yet, or not removed (`after` is `None`). A test
/// connection may be left at once, and new credentials of the same account replace the old ones at once, because those may
/// have leaked.
async fn not_yet(
    tx: &mut Tx,
    app: &App,
    actor: &Actor,
    before: Option<&Connection>,
    after: Option<&Proof>,
    phase: Phase,
) -> Result<Option<Refusal>> {
    let Some(before) = before.filter(|before| before.mode == "live") else { return Ok(None) };
    let is_same = |after: &Proof| match &before.account {
        Some(was) => after.account == *was,
        // Saved by an older version, which did not ask whose it is; the vendor has.
        None => after.same_as_before,
    };
    if after.is_some_and(is_same) {
        return Ok(None);
    }
    let was = before.account.as_deref().unwrap_or("unknown/live");
    let is = after.map(|after| after.account.as_str());
    lowering::connection(tx, app, actor, ConnectionChange { vendor: before.vendor, was, is }, phase).await
}

async fn connected(tx: &mut Tx, vendor: Vendor) -> Result<Option<Connection>> {
    Ok(vendors::all(tx).await?.into_iter().find(|one| one.vendor == vendor))
}

/// Refuses another account before anything is registered there: as in [`same_account`], or because another administrator is
/// needed, which is then recorded. The save checks again, and its check decides.
///
/// # Errors
/// [`OpsError::Conflict`] as in [`save`].
pub async fn may_replace(app: &App, actor: &Actor, vendor: Vendor, proof: &Proof) -> Result<()> {
    let checked = transact!(app, |tx| {
        vendors::hold(tx, Some(vendor)).await?;
        same_account(tx, vendor, &proof.account, app.clock.now()).await?;
        let before = connected(tx, vendor).await?;
        not_yet(tx, app, actor, before.as_ref(), Some(proof), Phase::Tries).await
    });
    app.nudge.notify.notify();
    let checked = match checked {
        Ok(refusal) => refusal.map_or(Ok(()), |refusal| Err(OpsError::Conflict(refusal))),
        Err(error) => Err(error),
    };
    noting_refused(app, vendor, &proof.account, checked).await
}

/// Saves credentials that the vendor has just accepted; everything that waited for them continues. Every administrator is
/// told. Replacing a live connection by another account or mode takes two administrators, or one and a day.
///
/// # Errors
/// [`OpsError::Conflict`] as in [`same_account`], which is checked in the saving transaction, and `second_person_needed` while
/// another administrator is needed.
pub async fn save(app: &App, actor: &Actor, credentials: &Credentials, proof: &Proof) -> Result<()> {
    let saved = save_in_use(app, actor, credentials, proof).await;
    noting_refused(app, credentials.vendor(), &proof.account, saved).await
}

/// Remembers the account of credentials that were refused because the connected one has not been searched.
///
/// # Errors
/// The refusal itself, and database errors.
pub async fn noting_refused(app: &App, vendor: Vendor, account: &str, outcome: Result<()>) -> Result<()> {
    if let Err(OpsError::Conflict(refusal)) = &outcome
        && refusal.code == NOT_SEARCHED
    {
        safe_mode::refused(app, vendor, account).await?;
    }
    outcome
}

async fn save_in_use(app: &App, actor: &Actor, credentials: &Credentials, proof: &Proof) -> Result<()> {
    let (vendor, mode) = (credentials.vendor(), proof.mode);
    let saved = transact!(app, |tx| {
        let now = app.clock.now();
        vendors::hold(tx, Some(vendor)).await?;
        let before = connected(tx, vendor).await?;
        if proof.same_as_before {
            vendors::adopt(tx, vendor, &proof.account, mode).await?;
        }
        same_account(tx, vendor, &proof.account, now).await?;
        if let Some(refusal) = not_yet(tx, app, actor, before.as_ref(), Some(proof), Phase::Does).await? {
            return Ok(Err(refusal));
        }
        let is_same = before.as_ref().is_some_and(|before| is_saved(app, before, credentials, proof));
        if !is_same {
            lowering::forget_of_vendor(tx, vendor, now).await?;
        }
        let plain = credentials.kept(app.config.stand_in(vendor));
        let place = Column::Connection.place(vendor.as_str());
        let connection = Connection {
            vendor,
            mode: mode.to_owned(),
            sealed: master_key::seal(tx, app, &place, &plain).await?,
            last_four: credentials.last_four(),
            connected_at: now,
            rejected_at: None,
            rejected_why: None,
            retry_at: None,
            bad_signatures: 0,
            unreadable_events: 0,
            last_event_at: None,
            account: Some(proof.account.clone()),
        };
        vendors::put(tx, &connection).await?;
        // A script that saves the same every night tells nobody and withdraws nothing.
        if !is_same {
            notify(tx, app, actor, vendor, (before.as_ref(), Some(&connection))).await?;
        }
        safe_mode::connected(tx, vendor, &proof.account, now).await?;
        submissions::wake(tx, vendor, now).await?;
        if vendor == Vendor::Stripe {
            store::payees::ask_all_again(tx, vendor, now).await?;
        }
        tx.audit(audit::Entry {
            at: now,
            actor: actor.id.to_string(),
            action: "vendor_connected",
            subject: vendor.as_str().to_owned(),
            detail: serde_json::json!({
                "mode": mode, "account": proof.account,
                "last_four": if payout::planted::on("secret_told") { &plain } else { &connection.last_four },
            })
            .to_string(),
        });
        Ok(Ok(()))
    })?;
    app.nudge.notify.notify();
    saved.map_err(OpsError::Conflict)?;
    app.nudge.vendors_changed.fetch_add(1, std::sync::atomic::Ordering::AcqRel);
    app.nudge.dispatch.notify();
    app.nudge.settle.notify();
    app.nudge.look_for.notify();
    Ok(())
}

/// Records the account of credentials saved by an older version, which did not ask for it; unfinished payments are bound to
/// it. Also corrects a wrong mode.
pub async fn identify(app: &App, connection: &Connection, account: &str, mode: &str) -> Result<()> {
    let vendor = connection.vendor;
    transact!(app, |tx| {
        if vendors::identify(tx, vendor, &connection.sealed, account, mode).await? {
            vendors::adopt(tx, vendor, account, mode).await?;
            safe_mode::connected(tx, vendor, account, app.clock.now()).await?;
            submissions::wake(tx, vendor, app.clock.now()).await?;
            let detail =
                serde_json::json!({ "account": account, "mode": mode, "mode_before": connection.mode });
            let (actor, subject) = ("dispatch".to_owned(), vendor.as_str().to_owned());
            let (at, detail) = (app.clock.now(), detail.to_string());
            tx.audit(audit::Entry { at, actor, action: "vendor_identified", subject, detail });
        }
        Ok(())
    })?;
    if connection.mode != mode {
        tracing::error!(
            vendor = vendor.as_str(),
            saved_as = connection.mode,
            mode,
            "the vendor's credentials were saved under the wrong mode; the mode is corrected now, check what was paid under the wrong one"
        );
    }
    Ok(())
}

/// Removes a connection, because its credentials can no longer be opened or the vendor is no longer used. A live one takes two
/// administrators, or one and a day.
///
/// # Errors
/// [`OpsError::Missing`] if there is none; [`OpsError::Conflict`] while a payment through it is not finally over, and
/// `second_person_needed` while another administrator is needed.
pub async fn remove(app: &App, actor: &Actor, vendor: Vendor) -> Result<()> {
    let removed = transact!(app, |tx| {
        lowering::by_people(tx, actor, "take a vendor's connection away").await?;
        // Lock first, so that the removal below sees a Pay that is binding its payments to this connection.
        vendors::hold(tx, Some(vendor)).await?;
        let connection = connected(tx, vendor).await?.ok_or(OpsError::Missing)?;
        let detail = serde_json::json!({ "mode": connection.mode, "last_four": connection.last_four });
        searched_first(tx, vendor, None).await?;
        if let Some(refusal) = not_yet(tx, app, actor, Some(&connection), None, Phase::Does).await? {
            return Ok(Err(refusal));
        }
        lowering::forget_of_vendor(tx, vendor, app.clock.now()).await?;
        let since = app.clock.now().saturating_sub(deadline::SETTLED_WATCHED_US);
        if !vendors::remove(tx, vendor, since).await? {
            let name = vendor.label();
            let message = format!(
                "Payments through {name} are still under way, are watched for ten days after they succeeded, were settled as not made in the last 30 days, or hold money there, so the connection stays: without it Bursar could not ask {name} how they end. Save working credentials instead."
            );
            return Err(OpsError::Conflict(Refusal::new("vendor_in_use", message)));
        }
        notify(tx, app, actor, vendor, (Some(&connection), None)).await?;
        tx.audit(audit::Entry {
            at: app.clock.now(),
            actor: actor.id.to_string(),
            action: "vendor_removed",
            subject: vendor.as_str().to_owned(),
            detail: detail.to_string(),
        });
        Ok(Ok(()))
    })?;
    app.nudge.notify.notify();
    removed.map_err(OpsError::Conflict)?;
    app.nudge.vendors_changed.fetch_add(1, std::sync::atomic::Ordering::AcqRel);
    Ok(())
}

/// Pauses a vendor that rejects our credentials. Nothing fails. The administrators are told once, or once an hour if the
/// vendor accepts the credentials for queries but not for payments, which starts and ends the pause every minute.
pub async fn pause(app: &App, vendor: Vendor, why: &str) -> Result<()> {
    let now = app.clock.now();
    let first = transact!(app, |tx| {
        let first = vendors::pause(tx, vendor, why, now, now + app.config.longest_wait_us()).await?;
        if first {
            let detail = serde_json::json!({ "why": why }).to_string();
            let connections = vendors::all(tx).await?.into_iter();
            let saved = connections.filter(|one| one.vendor == vendor).map(|one| one.connected_at).max();
            let about = format!("{} {}", vendor.as_str(), saved.unwrap_or_default());
            let what = Notice::CredentialsRejected.as_str();
            if store::outbox::may_send(tx, what, &about, now, now - REPORT_AGAIN_US).await? {
                let notice = (Notice::CredentialsRejected, vendor.as_str().to_owned(), detail.clone());
                store::outbox::write(tx, &app.clock, now, [notice]).await?;
            }
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

/// Ends a pause, because the vendor accepted our credentials. `by` is the loop that noticed.
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
