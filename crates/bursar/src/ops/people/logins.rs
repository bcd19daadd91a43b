//! Creating logins and resetting passwords: the commands, and what they share with the administrators' pages (`team`).

use payout::Refusal;
use payout::access::{Held, Role, may_become};
use payout::ids::{PartnerId, PersonId};
use serde_json::json;

use super::rights::{self, RightsChange};
use super::team::{delay_second_person, link_shown};
use super::{LINK_US, OPERATOR, block_second_person, hashed, link, note};
use crate::app::App;
use crate::ops::settings::is_address;
use crate::ops::{OpsError, Result};
use crate::secrets::token_hash;
use crate::store::people::{self, LinkFor, Person};
use crate::store::{Tx, programs};
use crate::transact;

/// The address of the administrator that the first start creates, until they enter their own.
pub const FIRST: &str = "admin@localhost";

#[derive(Clone, Debug)]
pub struct NewPerson {
    /// The address they sign in with.
    pub email: String,
    /// The name shown in history.
    pub name: String,
    pub role: Role,
    /// The partner they belong to, by the caller's ID for them; required for the partner roles, not allowed for others.
    pub partner: Option<String>,
    /// Their password; if `None`, they get a one-time link.
    pub password: Option<String>,
}

/// The operating-system user who runs a command; the program knows nothing else about them.
#[derive(Clone, Copy, Debug)]
pub struct MachineUser<'a>(pub &'a str);

impl MachineUser<'_> {
    /// The name used for them in mails.
    fn named(self) -> String {
        format!("{} at the command line", self.0)
    }
}

/// Creates a login and returns a one-time link. It counts as a second person at once: for the first administrator and the
/// demonstration.
///
/// # Errors
/// If the address is taken or invalid, the password not acceptable, or the role does not fit the partner.
pub async fn add(app: &App, new: &NewPerson) -> Result<String> {
    enter(app, new, None).await
}

/// The same from the command line, where an unknown person sees the link: the audit trail names the operating-system user,
/// every administrator is notified, and for a day the login does not count as a second person.
///
/// # Errors
/// As [`add`].
pub async fn add_at_the_machine(app: &App, new: &NewPerson, by: MachineUser<'_>) -> Result<String> {
    enter(app, new, Some(by)).await
}

async fn enter(app: &App, new: &NewPerson, by: Option<MachineUser<'_>>) -> Result<String> {
    let email = address(&new.email)?;
    let now = app.clock.now();
    let id = PersonId::fresh(now, app.clock.in_turn());
    let mut person = Person {
        id,
        kind: "person".to_owned(),
        name: new.name.clone(),
        email: Some(email.clone()),
        role: new.role,
        scopes: "read,write".to_owned(),
        partner: None,
        password_hash: None,
        disabled_at: None,
        last_seen_at: None,
    };
    if let Some(password) = &new.password {
        person.password_hash = Some(hashed(app, password, &person).await?);
    }
    let token = app.clock.secret();
    transact!(app, |tx| {
        // When the first administrator is created, there is no one to notify, and no one whose second person they could be.
        let by_somebody = match by {
            Some(by) if people::has_administrator(tx).await? => Some(by),
            Some(_) | None => None,
        };
        let partner = partner_of(tx, new.role, new.partner.as_deref()).await?;
        let person = Person { partner, ..person.clone() };
        if !people::insert(tx, &person, None, OPERATOR, now).await? {
            let known = people::by_email(tx, &email).await?;
            let message = match known.is_some_and(|known| known.disabled_at.is_some()) {
                true => {
                    "Somebody of this address was entered before and is shut out. Let them in again instead."
                }
                false => "Somebody signs in with this address already; reset them instead.",
            };
            return Err(Refusal::new("email_taken", message).at("email").into());
        }
        people::add_link(tx, &token_hash(&token), (id, LinkFor::Login), now + LINK_US).await?;
        if let Some(by) = by_somebody {
            delay_second_person(tx, id, new.role, now).await?;
            shown_at_the_machine(tx, app, &person, by, now).await?;
        }
        let detail = json!({"role": new.role.as_str(), "system_user": by.map(|by| by.0)});
        note(tx, now, OPERATOR, "person_added", id, detail);
        Ok(())
    })?;
    app.nudge.notify.notify();
    Ok(link(app, &token))
}

/// Someone at the command line has seen a login's link: for a day the login does not count as a second person, and
/// administrators are notified.
async fn shown_at_the_machine(
    tx: &mut Tx,
    app: &App,
    person: &Person,
    by: MachineUser<'_>,
    now: i64,
) -> Result<()> {
    block_second_person(tx, person, OPERATOR, now).await?;
    if person.partner.is_some() {
        return Ok(());
    }
    link_shown(tx, app, person, &by.named(), now).await
}

/// An address for signing in, as it is stored.
pub(super) fn address(typed: &str) -> std::result::Result<String, Refusal> {
    let email = typed.trim().to_lowercase();
    if !is_address(&email) {
        let message = "No mail can be sent to this; write one e-mail address like ana@example.com.";
        return Err(Refusal::new("invalid_email", message).at("email"));
    }
    Ok(email)
}

/// The partner roles need a partner; other roles must have none.
pub(super) async fn partner_of(tx: &mut Tx, role: Role, partner: Option<&str>) -> Result<Option<PartnerId>> {
    let is_partner = matches!(role, Role::Partner | Role::PartnerAdmin);
    let refuse = |told: &str| Err(Refusal::new("wrong_partner", told).at("partner").into());
    match (is_partner, partner) {
        (false, None) => Ok(None),
        (false, Some(_)) => refuse("Only the roles partner and partner_admin belong to a partner."),
        (true, None) => refuse("The roles partner and partner_admin need the partner they belong to."),
        (true, Some(external_id)) => match programs::partner_id(tx, external_id).await? {
            Some(id) => Ok(Some(id)),
            None => refuse("There is no such partner; enter them first."),
        },
    }
}

/// Sets a new password, or removes it if `None`. Either way the person's sessions end, and a one-time link is returned.
///
/// # Errors
/// If no login has this address, it is disabled, or the password is not acceptable.
pub async fn reset(app: &App, email: &str, password: Option<&str>, by: MachineUser<'_>) -> Result<String> {
    let hash = match password {
        Some(password) => {
            let found = people::by_email(&mut app.store.read().await?, &email.trim().to_lowercase()).await?;
            Some(hashed(app, password, &found.ok_or(OpsError::Missing)?).await?)
        }
        None => None,
    };
    let now = app.clock.now();
    let token = app.clock.secret();
    transact!(app, |tx| {
        let person = people::by_email(tx, &email.trim().to_lowercase()).await?.ok_or(OpsError::Missing)?;
        if person.disabled_at.is_some() {
            let message = "They are shut out, so no link would let them in. Let them in again first; nothing was changed.";
            return Err(OpsError::Conflict(Refusal::new("disabled", message)));
        }
        people::set_password(tx, person.id, hash.as_deref()).await?;
        people::drop_links(tx, person.id).await?;
        people::add_link(tx, &token_hash(&token), (person.id, LinkFor::Login), now + LINK_US).await?;
        shown_at_the_machine(tx, app, &person, by, now).await?;
        note(tx, now, OPERATOR, "person_reset", person.id, json!({ "system_user": by.0 }));
        Ok(())
    })?;
    app.nudge.notify.notify();
    Ok(link(app, &token))
}

/// Disables a person or an API key at once; refused for the last administrator, without whom no one could enable anyone.
///
/// # Errors
/// If nobody has this address or id, or they are the last administrator.
pub async fn disable(app: &App, email_or_id: &str, by: MachineUser<'_>) -> Result<()> {
    let now = app.clock.now();
    transact!(app, |tx| {
        // Locked first, so that what is read afterwards cannot change.
        let admins = people::hold_administrators(tx).await?;
        let person = match PersonId::parse(email_or_id) {
            Some(id) => people::by_id(tx, id).await?,
            None => people::by_email(tx, &email_or_id.trim().to_lowercase()).await?,
        };
        let person = person.ok_or(OpsError::Missing)?;
        if person.kind == "person" {
            let held = Held {
                role: person.disabled_at.is_none().then_some(person.role),
                is_oneself: false,
                other_admins: admins.iter().filter(|admin| **admin != person.id).count(),
            };
            may_become(held, None)?;
        }
        // Old links must not work if the person is enabled again.
        people::drop_links(tx, person.id).await?;
        if people::disable(tx, person.id, now).await? == 1 {
            note(tx, now, OPERATOR, "person_disabled", person.id, json!({ "system_user": by.0 }));
            rights::notify(tx, app, &person, RightsChange::ShutOut, (&by.named(), now)).await?;
        }
        Ok(())
    })?;
    app.nudge.notify.notify();
    Ok(())
}

/// Enables a login again, with its previous role and password.
///
/// # Errors
/// If no login has this address.
pub async fn enable(app: &App, email: &str, by: MachineUser<'_>) -> Result<()> {
    let now = app.clock.now();
    transact!(app, |tx| {
        let email = email.trim().to_lowercase();
        let person = people::by_email(tx, &email).await?.ok_or(OpsError::Missing)?;
        if people::enable(tx, person.id).await? == 1 {
            // Read after the update: their role may have been changed just before.
            let person = people::by_id(tx, person.id).await?.ok_or(OpsError::Missing)?;
            let from = super::team::delay_second_person(tx, person.id, person.role, now).await?;
            note(tx, now, OPERATOR, "person_enabled", person.id, json!({ "system_user": by.0 }));
            rights::notify(tx, app, &person, RightsChange::LetIn(from), (&by.named(), now)).await?;
        }
        Ok(())
    })?;
    app.nudge.notify.notify();
    Ok(())
}

/// Creates the first administrator and returns a one-time link; `None` if an administrator can sign in already.
pub async fn first_administrator(app: &App) -> Result<Option<String>> {
    if people::has_administrator(&mut app.store.read().await?).await? {
        return Ok(None);
    }
    let new = NewPerson {
        email: FIRST.to_owned(),
        name: "Administrator".to_owned(),
        role: Role::Admin,
        partner: None,
        password: None,
    };
    match add(app, &new).await {
        Ok(link) => Ok(Some(link)),
        // The login exists but is disabled: enabling it is up to the operator, not to a restart.
        Err(OpsError::Refused(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A one-time link for an existing login; for the demonstration.
///
/// # Errors
/// If no login has this address.
pub async fn link_for(app: &App, email: &str) -> Result<String> {
    let now = app.clock.now();
    let token = app.clock.secret();
    transact!(app, |tx| {
        let person = people::by_email(tx, email).await?.ok_or(OpsError::Missing)?;
        people::add_link(tx, &token_hash(&token), (person.id, LinkFor::Login), now + LINK_US).await?;
        note(tx, now, OPERATOR, "login_link_made", person.id, json!({}));
        Ok(())
    })?;
    Ok(link(app, &token))
}
