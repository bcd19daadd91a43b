//! The links between logins and accounts at the provider: showing and removing them. An unlinked account is remembered: the
//! next sign-in links neither it nor another account with the same address until an administrator says which one may be
//! linked.

use payout::Refusal;
use payout::ids::PersonId;
use serde_json::json;

use crate::app::{Actor, App};
use crate::ops::people::factor::{end_elsewhere, notify_owner, still_theirs};
use crate::ops::people::{MachineUser, OPERATOR, Session, note};
use crate::ops::{OpsError, Result};
use crate::store::people::{self, Person};
use crate::store::{self, Db, Tx, factors, identities};
use crate::transact;

use super::settle::is_the_last_way_in;

pub use identities::Identity;

/// All accounts at providers that the person is or was linked to, the newest first.
pub async fn of(db: &mut Db, id: PersonId) -> Result<Vec<Identity>> {
    Ok(identities::of(db, id).await?)
}

/// Whether the person can step up with the current provider.
pub async fn can_prove(app: &App, id: PersonId) -> Result<bool> {
    let Some(issuer) = &app.config.oidc.issuer else { return Ok(false) };
    let known = identities::of(&mut app.store.read().await?, id).await?;
    Ok(known.iter().any(|one| one.unlinked_at.is_none() && one.issuer == *issuer))
}

/// Whether an account at the current provider is linked to the login with this address.
pub async fn opens(app: &App, email: &str) -> Result<bool> {
    let found = people::by_email(&mut app.store.read().await?, &email.trim().to_lowercase()).await?;
    match found {
        Some(person) => can_prove(app, person.id).await,
        None => Ok(false),
    }
}

/// Unlinks the person's own login; their other sessions end.
///
/// # Errors
/// A refusal if it is not linked, or they could not sign in without the link.
pub async fn unlink_own(app: &App, session: &Session) -> Result<()> {
    let (now, id) = (app.clock.now(), session.actor.id);
    transact!(app, |tx| {
        let person = people::hold(tx, id).await?.ok_or(OpsError::Missing)?;
        still_theirs(tx, session, now).await?;
        if person.password_hash.is_none() && !session.has_passkey {
            let message = "You have no password and no passkey here, so you could not sign in any more. Choose a password first.";
            return Err(Refusal::new("no_other_way_in", message).into());
        }
        take_away(tx, app, &person, (&id.to_string(), ""), json!({ "from": session.actor.came_from }))
            .await?;
        end_elsewhere(tx, session).await
    })?;
    app.nudge.notify.notify();
    Ok(())
}

/// Unlinks a login as an administrator; its sessions end.
///
/// # Errors
/// [`OpsError::Missing`] if there is no such login; a refusal if it is not linked, is one's own, or no one could administer
/// any more.
pub async fn unlink(app: &App, actor: &Actor, id: PersonId) -> Result<()> {
    if actor.id == id {
        let message = "Your own login is unlinked on your own page, which sees that you can still sign in.";
        return Err(Refusal::new("own_login", message).into());
    }
    let now = app.clock.now();
    transact!(app, |tx| {
        people::hold_administrators(tx).await?;
        let person = people::hold(tx, id).await?.filter(|one| one.kind == "person");
        let person = person.ok_or(OpsError::Missing)?;
        if is_the_last_way_in(tx, app, &person, now).await? {
            let message = "Nobody else could sign in as an administrator any more. Let one choose a password or add a passkey first.";
            return Err(Refusal::new("last_admin", message).into());
        }
        take_away(tx, app, &person, (&actor.id.to_string(), &actor.name), json!({})).await?;
        end_all(tx, id).await
    })?;
    app.nudge.notify.notify();
    Ok(())
}

/// The same from the command line, where it is never refused, because the operator can create another way in. Returns whether
/// no one can administer now.
///
/// # Errors
/// As [`unlink`].
pub async fn unlink_at_the_machine(app: &App, email: &str, by: MachineUser<'_>) -> Result<bool> {
    let now = app.clock.now();
    let last = transact!(app, |tx| {
        people::hold_administrators(tx).await?;
        let person = held(tx, email).await?;
        let name = format!("{} at the command line", by.0);
        let last = is_the_last_way_in(tx, app, &person, now).await?;
        take_away(tx, app, &person, (OPERATOR, &name), json!({ "system_user": by.0 })).await?;
        end_all(tx, person.id).await?;
        Ok(last)
    })?;
    app.nudge.notify.notify();
    Ok(last)
}

async fn held(tx: &mut Tx, email: &str) -> Result<Person> {
    let found = people::by_email(tx, &email.trim().to_lowercase()).await?.ok_or(OpsError::Missing)?;
    people::hold(tx, found.id).await?.ok_or(OpsError::Missing)
}

async fn end_all(tx: &mut Tx, id: PersonId) -> Result<()> {
    store::sessions::end_all(tx, id).await?;
    factors::end_pending_logins(tx, id).await?;
    Ok(())
}

async fn take_away(
    tx: &mut Tx,
    app: &App,
    person: &Person,
    (by, name): (&str, &str),
    detail: serde_json::Value,
) -> Result<()> {
    let now = app.clock.now();
    let unlinked = identities::unlink(tx, person.id, now).await?;
    if unlinked.is_empty() {
        let message = "This login is linked to nobody at the provider, so nothing was done.";
        return Err(Refusal::new("not_linked", message).into());
    }
    for one in &unlinked {
        note(tx, now, by, "login_unlinked", person.id, naming(&detail, one));
    }
    notify_owner(tx, app, person, "unlinked", name, now).await
}

/// Adds the provider account to an audit detail.
fn naming(detail: &serde_json::Value, (issuer, subject): &(String, String)) -> serde_json::Value {
    let mut detail = detail.clone();
    detail["issuer"] = json!(issuer);
    detail["subject"] = json!(subject);
    detail
}

/// Allows an unlinked login to be linked again: to the account at the provider with this `subject`, or without one, to the
/// only account that was unlinked.
///
/// # Errors
/// [`OpsError::Missing`] if there is no such login; a refusal if none was unlinked, or the account is ambiguous.
pub async fn allow_again(app: &App, actor: &Actor, id: PersonId, subject: Option<&str>) -> Result<()> {
    transact!(app, |tx| {
        let person = people::hold(tx, id).await?.ok_or(OpsError::Missing)?;
        allow(tx, app, &person, subject, (&actor.id.to_string(), json!({}))).await
    })
}

/// The same from the command line.
///
/// # Errors
/// As [`allow_again`].
pub async fn allow_again_at_the_machine(
    app: &App,
    email: &str,
    subject: Option<&str>,
    by: MachineUser<'_>,
) -> Result<()> {
    transact!(app, |tx| {
        let person = held(tx, email).await?;
        allow(tx, app, &person, subject, (OPERATOR, json!({ "system_user": by.0 }))).await
    })
}

async fn allow(
    tx: &mut Tx,
    app: &App,
    person: &Person,
    subject: Option<&str>,
    (by, detail): (&str, serde_json::Value),
) -> Result<()> {
    let now = app.clock.now();
    let mut all = identities::of(tx, person.id).await?;
    all.retain(|one| one.unlinked_at.is_some());
    // Only an account at the current provider can be linked.
    let issuer = app.config.oidc.issuer.clone().or_else(|| all.first().map(|one| one.issuer.clone()));
    let Some(issuer) = issuer.filter(|_| !all.is_empty()) else {
        let message = "No account at the provider was unlinked from this login, so nothing was done.";
        return Err(Refusal::new("nothing_unlinked", message).into());
    };
    let subject = match (subject.map(str::trim).filter(|subject| !subject.is_empty()), all.as_slice()) {
        (Some(subject), _) => subject.to_owned(),
        (None, [one]) => one.subject.clone(),
        (None, _) => {
            let message = "More than one account was unlinked from this login. Say which of them may be linked again, by its subject.";
            return Err(Refusal::new("which_account", message).at("subject").into());
        }
    };
    let issuer = all.iter().find(|one| one.subject == subject).map_or(issuer, |one| one.issuer.clone());
    if !all.iter().any(|one| one.subject == subject)
        && !identities::expect(tx, (&issuer, &subject), person.id, now).await?
    {
        let message =
            "That account belongs to another login, or opens this one already, so nothing was done.";
        return Err(Refusal::new("account_taken", message).at("subject").into());
    }
    identities::allow(tx, (&issuer, &subject), person.id, now).await?;
    note(tx, now, by, "login_link_allowed", person.id, naming(&detail, &(issuer, subject)));
    Ok(())
}
