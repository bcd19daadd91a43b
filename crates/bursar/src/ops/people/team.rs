//! What administrators do with logins: inviting a colleague, changing roles, disabling and enabling, sending new links. The
//! rules are in `payout::access`; the pages require a step-up.

use payout::Refusal;
use payout::access::{Held, Permission, Role, allows, may_become, may_change_role};
use payout::ids::PersonId;
use payout::notice::Notice;
use serde_json::json;

use super::logins::address;
use super::rights::{self, RightsChange};
use super::{block_second_person, note, stand_behind};
use crate::app::{Actor, App};
use crate::ops::invitations::{INVITATION_US, Invitation};
use crate::ops::settings::lowering::{self, RoleChange};
use crate::ops::{OpsError, Result};
use crate::secrets::token_hash;
use crate::store::people::{self, LinkFor, Person};
use crate::store::{self, Tx};
use crate::transact;

#[derive(Clone, Debug)]
pub struct TeamMember {
    /// The address they will sign in with.
    pub email: String,
    /// The name shown in history.
    pub name: String,
    pub role: Role,
}

/// Invites a colleague: creates their login and returns the one-time link for choosing a password. The link is mailed to
/// them if a mail server is configured.
///
/// # Errors
/// If the address is taken or invalid, the name is missing, or the role is a partner's.
pub async fn invite(app: &App, actor: &Actor, new: &TeamMember) -> Result<Invitation> {
    let (email, name) = (address(&new.email)?, new.name.trim());
    if name.is_empty() || name.chars().count() > 100 {
        let message = "Write the name that history will show, in at most 100 letters.";
        return Err(Refusal::new("missing", message).at("name").into());
    }
    if new.role.is_partners() {
        let message = "A partner is invited from their own page.";
        return Err(Refusal::new("wrong_role", message).at("role").into());
    }
    let now = app.clock.now();
    let (id, token) = (PersonId::fresh(now, app.clock.in_turn()), app.clock.secret());
    let by = actor.id.to_string();
    let invited = transact!(app, |tx| {
        let person = Person {
            id,
            kind: "person".to_owned(),
            name: name.to_owned(),
            email: Some(email.clone()),
            role: new.role,
            scopes: "read,write".to_owned(),
            partner: None,
            password_hash: None,
            disabled_at: None,
            last_seen_at: None,
        };
        if !people::insert(tx, &person, None, &by, now).await? {
            let message = "Somebody signs in with this address already. Give them a new link instead.";
            return Err(Refusal::new("email_taken", message).at("email").into());
        }
        note(tx, now, &by, "person_invited", id, json!({ "to": email, "role": new.role.as_str() }));
        delay_second_person(tx, id, new.role, now).await?;
        block_second_person(tx, &person, &by, now).await?;
        link_shown(tx, app, &person, &actor.name, now).await?;
        give_link(tx, app, &person, &token, now).await
    })?;
    app.nudge.notify.notify();
    Ok(invited)
}

/// Sends a new link to choose a password. Invalidates older links; the password stays until the link is used.
///
/// # Errors
/// [`OpsError::Missing`] if there is no such login; a refusal if it is disabled.
pub async fn fresh_link(app: &App, actor: &Actor, id: PersonId) -> Result<Invitation> {
    let (now, token) = (app.clock.now(), app.clock.secret());
    let made = transact!(app, |tx| {
        let person = signs_in(tx, id).await?;
        if person.disabled_at.is_some() {
            let message = "This login is shut out, so no link is made for it. Let it in again first.";
            return Err(Refusal::new("login_disabled", message).into());
        }
        people::drop_links(tx, id).await?;
        note(tx, now, &actor.id.to_string(), "login_link_made", id, json!({}));
        let by = actor.id.to_string();
        if person.partner.is_none() {
            block_second_person(tx, &person, &by, now).await?;
            link_shown(tx, app, &person, &actor.name, now).await?;
        } else {
            // Whoever is shown the link could use it themselves, as long as it works.
            stand_behind(tx, &person, &by, now, now + INVITATION_US).await?;
        }
        give_link(tx, app, &person, &token, now).await
    })?;
    app.nudge.notify.notify();
    Ok(made)
}

/// How long a login that has just gained the right to pay does not count as a second person: long enough for others to
/// notice.
const COUNTS_AFTER_US: i64 = 24 * 3_600_000_000;

/// Makes a login that has just gained the right to pay count as a second person only after a day; returns from when.
pub(super) async fn delay_second_person(
    tx: &mut Tx,
    id: PersonId,
    role: Role,
    now: i64,
) -> Result<Option<i64>> {
    if !allows(role, Permission::Pay) {
        return Ok(None);
    }
    let from = now + COUNTS_AFTER_US;
    people::count_from(tx, id, from).await?;
    Ok(Some(from))
}

/// Notifies every administrator that someone was shown a sign-in link of this login.
pub(super) async fn link_shown(tx: &mut Tx, app: &App, whose: &Person, by: &str, now: i64) -> Result<()> {
    let detail = json!({ "by": by, "whose": whose.name, "address": whose.email, "role": whose.role.label() });
    let notice = (Notice::LoginLinkShown, whose.id.to_string(), detail.to_string());
    store::outbox::write(tx, &app.clock, now, [notice]).await?;
    Ok(())
}

async fn give_link(tx: &mut Tx, app: &App, person: &Person, token: &str, now: i64) -> Result<Invitation> {
    let expires_at = now + INVITATION_US;
    people::add_link(tx, &token_hash(token), (person.id, LinkFor::Join), expires_at).await?;
    let email = person.email.clone().unwrap_or_default();
    let (notice, about, door) = match person.partner {
        Some(partner) => (Notice::PortalInvitation, partner.to_string(), "/portal/join"),
        None => (Notice::LoginInvitation, person.id.to_string(), "/join"),
    };
    let link = format!("{}{door}/{token}", app.base_url);
    crate::ops::notices::secret::write(tx, app, (notice, about), &email, (&link, expires_at)).await?;
    Ok(Invitation { person: person.id, email, role: person.role, link, expires_at })
}

/// Changes a person's role. Once anything has been paid, a role that pays, releases or administers takes two administrators,
/// or one and a day. Choosing the role that they have withdraws what was asked for.
///
/// # Errors
/// [`OpsError::Missing`] if there is no such login; a refusal for one's own administrator role, the last administrator's,
/// and a change between our roles and the partner roles; [`OpsError::Conflict`] `second_person_needed` while another
/// administrator is needed.
pub async fn change_role(app: &App, actor: &Actor, id: PersonId, role: Role) -> Result<()> {
    let now = app.clock.now();
    let changed = transact!(app, |tx| {
        let held = held(tx, actor, id).await?;
        let person = held_login(tx, id).await?;
        may_change_role(person.role, role)?;
        may_become(held, Some(role))?;
        if let Some(refusal) = lowering::role(tx, app, actor, &person, RoleChange::To(role)).await? {
            return Ok(Err(refusal));
        }
        lowering::forget_of_person(tx, id, now).await?;
        if person.role != role {
            people::set_role(tx, id, role).await?;
            let from = match allows(person.role, Permission::Pay) {
                true => None,
                false => delay_second_person(tx, id, role, now).await?,
            };
            let detail = json!({ "old": person.role.as_str(), "new": role.as_str() });
            note(tx, now, &actor.id.to_string(), "role_changed", id, detail);
            // Also while they are disabled: otherwise enabling them later would hide the new role.
            let became = RightsChange::Role(person.role, from);
            rights::notify(tx, app, &Person { role, ..person }, became, (&actor.name, now)).await?;
        }
        Ok(Ok(()))
    })?;
    app.nudge.notify.notify();
    changed.map_err(OpsError::Conflict)
}

/// Disables a login at once: its sessions and links end.
///
/// # Errors
/// [`OpsError::Missing`] if there is no such login; a refusal for one's own and the last administrator's.
pub async fn disable(app: &App, actor: &Actor, id: PersonId) -> Result<()> {
    let now = app.clock.now();
    transact!(app, |tx| {
        let held = held(tx, actor, id).await?;
        let person = signs_in(tx, id).await?;
        may_become(held, None)?;
        people::drop_links(tx, id).await?;
        lowering::forget_of_person(tx, id, now).await?;
        if people::disable(tx, id, now).await? == 1 {
            note(tx, now, &actor.id.to_string(), "person_disabled", id, json!({}));
            rights::notify(tx, app, &person, RightsChange::ShutOut, (&actor.name, now)).await?;
        }
        Ok(())
    })?;
    app.nudge.notify.notify();
    Ok(())
}

/// For this long after a login was disabled by mistake, one administrator can enable it again.
const PUT_BACK_US: i64 = 15 * 60_000_000;

/// Enables a login again, with its previous role and password. Once anything has been paid, one that pays, releases or
/// administers takes two administrators, or one and a day, except right after it was disabled.
///
/// # Errors
/// [`OpsError::Missing`] if there is no such login; [`OpsError::Conflict`] `second_person_needed` while another administrator
/// is needed.
pub async fn enable(app: &App, actor: &Actor, id: PersonId) -> Result<()> {
    let now = app.clock.now();
    let enabled = transact!(app, |tx| {
        // Read under the lock: their role may have been changed just before.
        let person = held_login(tx, id).await?;
        let is_slip = person.disabled_at.is_some_and(|at| (0..PUT_BACK_US).contains(&(now - at)));
        if person.disabled_at.is_some()
            && !is_slip
            && let Some(refusal) = lowering::role(tx, app, actor, &person, RoleChange::Enabled).await?
        {
            return Ok(Err(refusal));
        }
        if people::enable(tx, id).await? == 1 {
            lowering::forget_of_person(tx, id, now).await?;
            // A login that was just enabled must not act as a second person right away.
            let from = delay_second_person(tx, id, person.role, now).await?;
            note(tx, now, &actor.id.to_string(), "person_enabled", id, json!({}));
            rights::notify(tx, app, &person, RightsChange::LetIn(from), (&actor.name, now)).await?;
        }
        Ok(Ok(()))
    })?;
    app.nudge.notify.notify();
    enabled.map_err(OpsError::Conflict)
}

/// Ends all of a person's sessions; returns how many.
///
/// # Errors
/// [`OpsError::Missing`] if there is no such login.
pub async fn end_sessions(app: &App, actor: &Actor, id: PersonId) -> Result<u64> {
    let now = app.clock.now();
    transact!(app, |tx| {
        signs_in(tx, id).await?;
        let ended = store::sessions::end_all(tx, id).await?;
        store::factors::end_pending_logins(tx, id).await?;
        note(tx, now, &actor.id.to_string(), "sessions_ended", id, json!({ "sessions": ended }));
        Ok(ended)
    })
}

/// A login of a person, not an API key.
async fn signs_in(tx: &mut Tx, id: PersonId) -> Result<Person> {
    people::by_id(tx, id).await?.filter(|one| one.kind == "person").ok_or(OpsError::Missing)
}

/// The same, locked until the transaction ends, so that nobody changes it in the meantime.
async fn held_login(tx: &mut Tx, id: PersonId) -> Result<Person> {
    people::hold(tx, id).await?.filter(|one| one.kind == "person").ok_or(OpsError::Missing)
}

/// The facts for the rules. Locks the administrators first, so that what is read afterwards cannot change.
async fn held(tx: &mut Tx, actor: &Actor, id: PersonId) -> Result<Held> {
    let admins = people::hold_administrators(tx).await?;
    let person = signs_in(tx, id).await?;
    Ok(Held {
        role: person.disabled_at.is_none().then_some(person.role),
        is_oneself: actor.id == id,
        other_admins: admins.iter().filter(|admin| **admin != id).count(),
    })
}
