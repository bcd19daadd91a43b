//! What an administrator does about those who sign in: inviting a colleague, another role, shutting out and letting in
//! again, a fresh link. The rules of who may lose what are `payout::access`; that whoever does it has just proved who they
//! are, the pages see to.

use payout::Refusal;
use payout::access::{Held, Permission, Role, allows, may_become, may_change_role};
use payout::ids::PersonId;
use payout::notice::Notice;
use serde_json::json;

use super::logins::address;
use super::note;
use super::rights::{self, Became};
use crate::app::{Actor, App};
use crate::ops::invitations::{INVITATION_US, Invitation};
use crate::ops::{OpsError, Result};
use crate::secrets::token_hash;
use crate::store::people::{self, LinkFor, Person};
use crate::store::{self, Tx};
use crate::transact;

#[derive(Clone, Debug)]
pub struct Colleague {
    /// Where they will sign in with.
    pub email: String,
    /// The name shown in history.
    pub name: String,
    pub role: Role,
}

/// Invites a colleague: enters them, and answers the one-time link by which they choose their password. It is mailed to them
/// where mails are sent.
///
/// # Errors
/// When the address is taken or strange, they have no name, or the role is a partner's.
pub async fn invite(app: &App, actor: &Actor, new: &Colleague) -> Result<Invitation> {
    let (email, name) = (address(&new.email)?, new.name.trim());
    if name.is_empty() || name.chars().count() > 100 {
        let told = "Write the name that history will show, in at most 100 letters.";
        return Err(Refusal::new("missing", told).at("name").into());
    }
    if new.role.is_partners() {
        let told = "A partner is invited from their own page.";
        return Err(Refusal::new("wrong_role", told).at("role").into());
    }
    let now = app.clock.now();
    let (id, token) = (PersonId::fresh(now, app.clock.chance()), app.clock.secret());
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
            let told = "Somebody signs in with this address already. Give them a new link instead.";
            return Err(Refusal::new("email_taken", told).at("email").into());
        }
        note(tx, now, &by, "person_invited", id, json!({ "to": email, "role": new.role.as_str() }));
        waits(tx, id, new.role, now).await?;
        stands_for(tx, &person, &by, now).await?;
        link_shown(tx, app, &person, &actor.name, now).await?;
        give_link(tx, app, &person, &token, now).await
    })?;
    app.nudge.notify.ring();
    Ok(invited)
}

/// Gives somebody a fresh link by which they choose another password; their older links end, their password stays until they
/// take the link up.
///
/// # Errors
/// [`OpsError::Missing`] for nobody; a refusal for whoever is shut out.
pub async fn fresh_link(app: &App, actor: &Actor, id: PersonId) -> Result<Invitation> {
    let (now, token) = (app.clock.now(), app.clock.secret());
    let made = transact!(app, |tx| {
        let person = signs_in(tx, id).await?;
        if person.disabled_at.is_some() {
            let told = "This login is shut out, so no link is made for it. Let it in again first.";
            return Err(Refusal::new("login_disabled", told).into());
        }
        people::drop_links(tx, id).await?;
        note(tx, now, &actor.id.to_string(), "login_link_made", id, json!({}));
        stands_for(tx, &person, &actor.id.to_string(), now).await?;
        if person.partner.is_none() {
            link_shown(tx, app, &person, &actor.name, now).await?;
        }
        give_link(tx, app, &person, &token, now).await
    })?;
    app.nudge.notify.ring();
    Ok(made)
}

/// How long a login counts as whoever was shown its link: long enough for the colleague, who was mailed it too, to notice
/// that somebody else has opened it.
const STANDS_FOR_US: i64 = 24 * 3_600_000_000;

/// How long somebody who may newly pay is no second person: long enough for everybody else to see that they are here.
const COUNTS_AFTER_US: i64 = 24 * 3_600_000_000;

/// Whoever may newly pay counts as a second person a day from now; answers from when on.
pub(super) async fn waits(tx: &mut Tx, id: PersonId, role: Role, now: i64) -> Result<Option<i64>> {
    if !allows(role, Permission::Pay) {
        return Ok(None);
    }
    let from = now + COUNTS_AFTER_US;
    people::count_from(tx, id, from).await?;
    Ok(Some(from))
}

/// Tells every administrator that somebody was shown a link with which they could sign in as this person.
pub(super) async fn link_shown(tx: &mut Tx, app: &App, whose: &Person, by: &str, now: i64) -> Result<()> {
    let detail = json!({ "by": by, "whose": whose.name, "address": whose.email, "role": whose.role.label() });
    let notice = (Notice::LoginLinkShown, whose.id.to_string(), detail.to_string());
    store::outbox::write(tx, &app.clock, now, [notice]).await?;
    Ok(())
}

/// Whoever makes a link is shown it, and could open it themselves: for a day the login is no second person beside them.
pub(super) async fn stands_for(tx: &mut Tx, person: &Person, by: &str, now: i64) -> Result<()> {
    let whom = people::behind(tx, by, now).await?;
    people::stand_for(tx, person.id, &whom, now + STANDS_FOR_US).await?;
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
    let detail = json!({ "to": email, "link": link }).to_string();
    store::outbox::write(tx, &app.clock, now, [(notice, about, detail)]).await?;
    Ok(Invitation { person: person.id, email, role: person.role, link, expires_at })
}

/// Gives somebody another role.
///
/// # Errors
/// [`OpsError::Missing`] for nobody; a refusal for one's own administrator's role, the last administrator's, and a role
/// of the other side.
pub async fn change_role(app: &App, actor: &Actor, id: PersonId, role: Role) -> Result<()> {
    let now = app.clock.now();
    transact!(app, |tx| {
        let held = held(tx, actor, id).await?;
        let person = signs_in(tx, id).await?;
        may_change_role(person.role, role)?;
        may_become(held, Some(role))?;
        if person.role != role {
            people::set_role(tx, id, role).await?;
            let from = match allows(person.role, Permission::Pay) {
                true => None,
                false => waits(tx, id, role, now).await?,
            };
            let detail = json!({ "old": person.role.as_str(), "new": role.as_str() });
            note(tx, now, &actor.id.to_string(), "role_changed", id, detail);
            // Whoever is shut out has no rights that could change.
            if person.disabled_at.is_none() {
                let became = Became::Role(person.role, from);
                rights::tell(tx, app, &Person { role, ..person }, became, (&actor.name, now)).await?;
            }
        }
        Ok(())
    })?;
    app.nudge.notify.ring();
    Ok(())
}

/// Shuts somebody out at once: their sessions and links end.
///
/// # Errors
/// [`OpsError::Missing`] for nobody; a refusal for oneself and for the last administrator.
pub async fn shut_out(app: &App, actor: &Actor, id: PersonId) -> Result<()> {
    let now = app.clock.now();
    transact!(app, |tx| {
        let held = held(tx, actor, id).await?;
        let person = signs_in(tx, id).await?;
        may_become(held, None)?;
        people::drop_links(tx, id).await?;
        if people::disable(tx, id, now).await? == 1 {
            note(tx, now, &actor.id.to_string(), "person_disabled", id, json!({}));
            rights::tell(tx, app, &person, Became::ShutOut, (&actor.name, now)).await?;
        }
        Ok(())
    })?;
    app.nudge.notify.ring();
    Ok(())
}

/// Lets somebody in again, with the role and password they had.
///
/// # Errors
/// [`OpsError::Missing`] for nobody.
pub async fn let_in(app: &App, actor: &Actor, id: PersonId) -> Result<()> {
    let now = app.clock.now();
    transact!(app, |tx| {
        let person = signs_in(tx, id).await?;
        if people::enable(tx, id).await? == 1 {
            note(tx, now, &actor.id.to_string(), "person_enabled", id, json!({}));
            rights::tell(tx, app, &person, Became::LetIn, (&actor.name, now)).await?;
        }
        Ok(())
    })?;
    app.nudge.notify.ring();
    Ok(())
}

/// Ends every session of somebody; how many.
///
/// # Errors
/// [`OpsError::Missing`] for nobody.
pub async fn end_sessions(app: &App, actor: &Actor, id: PersonId) -> Result<u64> {
    let now = app.clock.now();
    transact!(app, |tx| {
        signs_in(tx, id).await?;
        let ended = store::sessions::end_all(tx, id).await?;
        store::factors::end_halves(tx, id).await?;
        note(tx, now, &actor.id.to_string(), "sessions_ended", id, json!({ "sessions": ended }));
        Ok(ended)
    })
}

/// Somebody who signs in: no API key.
async fn signs_in(tx: &mut Tx, id: PersonId) -> Result<Person> {
    people::by_id(tx, id).await?.filter(|one| one.kind == "person").ok_or(OpsError::Missing)
}

/// What somebody holds. The administrators are held first, so that what is read after them cannot change any more.
async fn held(tx: &mut Tx, actor: &Actor, id: PersonId) -> Result<Held> {
    let admins = people::hold_administrators(tx).await?;
    let person = signs_in(tx, id).await?;
    Ok(Held {
        role: person.disabled_at.is_none().then_some(person.role),
        is_oneself: actor.id == id,
        other_admins: admins.iter().filter(|admin| **admin != id).count(),
    })
}
