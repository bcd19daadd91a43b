//! Display preferences of a person. They do not affect content.

use payout::Refusal;
use serde_json::json;

use super::people::note;
use super::{OpsError, Result};
use crate::app::{Actor, App};
use crate::store::Tx;
use crate::store::preferences::{self, Preferences};
use crate::transact;

/// Saves the actor's preferences.
///
/// # Errors
/// If the time zone does not exist.
pub async fn save(app: &App, actor: &Actor, preferences: &Preferences) -> Result<()> {
    let unknown = preferences.zone.as_deref().filter(|name| jiff::tz::TimeZone::get(name).is_err());
    if let Some(name) = unknown {
        let message =
            format!("There is no time zone “{name}”; choose one from the list, like Europe/Berlin.");
        return Err(OpsError::Refused(Refusal::new("unknown_zone", message).at("zone")));
    }
    transact!(app, |tx| { keep(tx, app.clock.now(), actor, preferences).await })
}

/// The same, inside the caller's transaction.
pub(super) async fn keep(tx: &mut Tx, now: i64, actor: &Actor, preferences: &Preferences) -> Result<()> {
    preferences::save(tx, actor.id, preferences).await?;
    let detail = json!({
        "theme": preferences.theme.as_str(), "zone": preferences.zone,
        "shortcuts": if preferences.shortcuts_off_at.is_some() { "off" } else { "on" },
    });
    note(tx, now, &actor.id.to_string(), "preferences_chosen", actor.id, detail);
    Ok(())
}
