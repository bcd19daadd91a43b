//! First-run setup: the administrator created at the first start enters their name and address, a password and the company,
//! all in one transaction. Not here: setting up the second factor, which comes next.

use payout::Refusal;
use serde_json::json;

use super::logins::{FIRST, address};
use super::{hashed, note, sessions};
use crate::app::App;
use crate::ops::company::{self, Company};
use crate::ops::{OpsError, Result, preferences};
use crate::store::people::{self, Person};
use crate::store::preferences::Preferences;
use crate::transact;

use super::Session;

#[derive(Clone, Debug, Default)]
pub struct First {
    /// The name shown in history.
    pub name: String,
    /// The address they sign in with from now on.
    pub email: String,
    pub password: String,
    /// The time zone for their pages; UTC if `None`.
    pub zone: Option<String>,
    pub company: Company,
}

/// Whether this is the initial administrator, who has not completed the setup.
pub fn is_due(person: &Person) -> bool {
    person.email.as_deref() == Some(FIRST) && person.password_hash.is_none() && person.disabled_at.is_none()
}

/// The same for a session's person.
pub async fn is_due_for(app: &App, session: &Session) -> Result<bool> {
    let person = people::by_id(&mut app.store.read().await?, session.actor.id).await?;
    Ok(person.as_ref().is_some_and(is_due))
}

/// Whether the setup has not been completed.
pub async fn is_setup_pending(app: &App) -> Result<bool> {
    let first = people::by_email(&mut app.store.read().await?, FIRST).await?;
    Ok(first.as_ref().is_some_and(is_due))
}

/// Completes the setup. The session gets a new token, and their other sessions and links end.
///
/// # Errors
/// A refusal that names the field; `done_already` if the setup has been completed.
pub async fn begin(app: &App, session: &Session, first: &First) -> Result<()> {
    let name = first.name.trim();
    if name.is_empty() || name.chars().count() > 100 || name.chars().any(char::is_control) {
        return Err(Refusal::new("invalid_name", "Enter your name, in at most 100 characters.")
            .at("name")
            .into());
    }
    let email = address(&first.email)?;
    let zone = first.zone.clone();
    if zone.as_deref().is_some_and(|zone| jiff::tz::TimeZone::get(zone).is_err()) {
        return Err(Refusal::new("unknown_zone", "Choose a time zone from the list.").at("zone").into());
    }
    first.company.checked().map_err(OpsError::Refused)?;
    let (now, id) = (app.clock.now(), session.actor.id);
    let person = people::by_id(&mut app.store.read().await?, id).await?.ok_or(OpsError::Missing)?;
    let whose = Person { name: name.to_owned(), email: Some(email.clone()), ..person };
    let hash = hashed(app, &first.password, &whose).await?;
    let token = transact!(app, |tx| {
        let person = people::hold(tx, id).await?.ok_or(OpsError::Missing)?;
        if !is_due(&person) {
            let message = "This was done already. Sign in, or change it under your name.";
            return Err(OpsError::Conflict(Refusal::new("done_already", message)));
        }
        if people::by_email(tx, &email).await?.is_some_and(|known| known.id != id) {
            let message = "Somebody else signs in with this address.";
            return Err(Refusal::new("email_taken", message).at("email").into());
        }
        people::introduce(tx, id, name, &email).await?;
        people::keep_password(tx, id, &hash).await?;
        crate::store::sessions::end_others(tx, id, &session.id).await?;
        people::drop_links(tx, id).await?;
        let chosen = Preferences { zone: zone.clone(), ..session.preferences.clone() };
        preferences::keep(tx, now, &session.actor, &chosen).await?;
        company::keep(tx, now, &session.actor, &|before| Company {
            steps_hidden_at: before.steps_hidden_at,
            address: before.address,
            ..first.company.clone()
        })
        .await?;
        note(tx, now, &id.to_string(), "introduced", id, json!({ "name": name, "email": email }));
        match session.renewed() {
            Some(_) => Ok(None),
            None => Ok(Some(sessions::step_up_in(tx, app, session).await?)),
        }
    })?;
    if let Some(token) = token {
        sessions::renew(app, session, token);
    }
    Ok(())
}
