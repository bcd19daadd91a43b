//! API keys: made once, shown once, taken away at once.

use payout::Refusal;
use payout::access::{Permission, Role, allows};
use payout::ids::PersonId;
use serde_json::json;

use super::logins::{AtTheMachine, partner_of};
use super::team::waits;
use super::{OPERATOR, actor, note, note_seen};
use crate::app::{Actor, App};
use crate::ops::{OpsError, Result};
use crate::secrets::token_hash;
use crate::store::people::{self, KeyMark, Person, RELEASE};
use crate::transact;

/// So many letters of a key's end are kept, to tell it from others.
const HINT: usize = 4;

/// Whoever sent this API key, and whether it may read; `None` when it is unknown or disabled.
///
/// # Errors
/// When the database does not answer.
pub async fn by_key(app: &App, key: &str) -> Result<Option<(Actor, bool)>> {
    let found = people::by_key_hash(&mut app.store.read().await?, &token_hash(key)).await?;
    let found = found.filter(|person| person.disabled_at.is_none());
    if let Some(person) = &found {
        note_seen(app, person);
    }
    Ok(found.map(|person| (actor(&person), person.scopes.split(',').any(|scope| scope == "read"))))
}

/// An API key to make.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// The name shown in history.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// The partner it acts for, by our caller's id; for the partner roles, and for them only.
    pub partner: Option<String>,
    /// It may read.
    pub may_read: bool,
    /// It may write.
    pub may_write: bool,
    /// It may be the second person where two are needed: release a payout, confirm what was said of a payment.
    pub may_release: bool,
}

/// Makes an API key from the command line and answers it.
///
/// # Errors
/// As [`make_key`].
pub async fn create_key(app: &App, new: &NewKey) -> Result<String> {
    make(app, OPERATOR, new, None).await
}

/// The same, and the trail names the user of the operating system who ran it. Where there is an administrator, a key that may
/// release is no second person for a day.
///
/// # Errors
/// As [`make_key`].
pub async fn create_key_at_the_machine(app: &App, new: &NewKey, by: AtTheMachine<'_>) -> Result<String> {
    make(app, OPERATOR, new, Some(by)).await
}

/// Makes an API key and answers it; it is not stored and cannot be shown again. `by` is who makes it.
///
/// # Errors
/// When it has no name, the role does not fit the partner, or it may do nothing.
pub async fn make_key(app: &App, by: &str, new: &NewKey) -> Result<String> {
    make(app, by, new, None).await
}

async fn make(app: &App, by: &str, new: &NewKey, user: Option<AtTheMachine<'_>>) -> Result<String> {
    let name = new.name.trim();
    if name.is_empty() || name.chars().count() > 100 {
        let told = "Name the key after what uses it, in at most 100 letters.";
        return Err(Refusal::new("missing", told).at("name").into());
    }
    let scopes = scopes(new)?;
    let now = app.clock.now();
    let id = PersonId::fresh(now, app.clock.chance());
    let key = format!("brs_{}", app.clock.secret());
    transact!(app, |tx| {
        let person = Person {
            id,
            kind: "api_key".to_owned(),
            name: name.to_owned(),
            email: None,
            role: new.role,
            scopes: scopes.clone(),
            partner: partner_of(tx, new.role, new.partner.as_deref()).await?,
            password_hash: None,
            disabled_at: None,
            last_seen_at: None,
        };
        let hint = key.get(key.len().saturating_sub(HINT)..).unwrap_or_default().to_owned();
        let mark = KeyMark { hash: token_hash(&key), hint };
        people::insert(tx, &person, Some(&mark), by, now).await?;
        // Whoever sits at the machine may be whoever prepared what the key would release: others have a day to see it.
        let counts_from = match user.is_some() && people::has_administrator(tx).await? {
            true => waits(tx, id, new.role, now).await?,
            false => None,
        };
        let user = user.map(|user| user.0);
        let mut detail = json!({ "role": new.role.as_str(), "scopes": scopes, "system_user": user });
        if let Some(from) = counts_from {
            detail["counts_from"] = json!(crate::clock::told(from));
        }
        note(tx, now, by, "api_key_created", id, detail);
        Ok(())
    })?;
    Ok(key)
}

/// What a key may do, as it is kept.
fn scopes(new: &NewKey) -> Result<String> {
    if !new.may_read && !new.may_write {
        let told = "Name read, write or both.";
        return Err(Refusal::new("no_scope", told).at("scopes").into());
    }
    if new.may_release && !(new.may_write && allows(new.role, Permission::Pay)) {
        let told = "A key that may release must also be allowed to write, and have the role payer or admin.";
        return Err(Refusal::new("wrong_scope", told).at("scopes").into());
    }
    let all = [(new.may_read, "read"), (new.may_write, "write"), (new.may_release, RELEASE)];
    let named: Vec<&str> = all.into_iter().filter(|(may, _)| *may).map(|(_, scope)| scope).collect();
    Ok(named.join(","))
}

/// Takes an API key away: the next call with it is refused, and it never comes back.
///
/// # Errors
/// [`OpsError::Missing`] when there is no such key.
pub async fn revoke(app: &App, by: &Actor, id: PersonId) -> Result<()> {
    let now = app.clock.now();
    transact!(app, |tx| {
        let key = people::by_id(tx, id).await?.filter(|one| one.kind == "api_key");
        let key = key.ok_or(OpsError::Missing)?;
        if people::disable(tx, key.id, now).await? == 1 {
            note(tx, now, &by.id.to_string(), "api_key_revoked", key.id, json!({}));
        }
        Ok(())
    })
}
