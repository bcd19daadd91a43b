//! People and API keys: who may come in, and how. What is deliberately not here: what each may do
//! (`payout::access`), and how many times one may try (`web::session` slows down guessing).

use payout::Refusal;
use payout::access::Role;
use payout::ids::PersonId;
use serde_json::json;

use super::{OpsError, Result};
use crate::app::{Actor, App};
use crate::secrets::{password_hash, password_matches, token_hash};
use crate::store::people::{self, Person};
use crate::store::preferences::Preferences;
use crate::store::{Tx, audit, programs};
use crate::transact;

/// How long a session lasts.
const SESSION_US: i64 = 12 * 3_600_000_000;
/// How long a one-time link can be used.
const LINK_US: i64 = 24 * 3_600_000_000;
/// What stands in history for the command line, which acts without a session.
pub const OPERATOR: &str = "operator";

/// Somebody who has signed in.
#[derive(Clone, Debug)]
pub struct Session {
    /// Who.
    pub actor: Actor,
    /// The word that every form of the session carries.
    pub csrf: String,
    /// What the session is stored under.
    pub token_hash: String,
    /// When he last gave his password, or came by a one-time link.
    pub proved_at: i64,
    /// How pages look to him.
    pub preferences: Preferences,
}

/// Whoever sent this API key, and whether it may read; `None` when it is unknown or disabled.
///
/// # Errors
/// When the database does not answer.
pub async fn by_key(app: &App, key: &str) -> Result<Option<(Actor, bool)>> {
    let found = people::by_key_hash(&mut app.store.read().await?, &token_hash(key)).await?;
    let found = found.filter(|person| person.disabled_at.is_none());
    Ok(found.map(|person| (actor(&person), person.scopes.split(',').any(|scope| scope == "read"))))
}

/// Whoever holds this session's token.
///
/// # Errors
/// When the database does not answer.
pub async fn by_session(app: &App, token: &str) -> Result<Option<Session>> {
    let hash = token_hash(token);
    let found = people::in_session(&mut app.store.read().await?, &hash, app.clock.now()).await?;
    Ok(found.map(|found| Session {
        actor: actor(&found.person),
        csrf: found.csrf,
        token_hash: hash,
        proved_at: found.proved_at.unwrap_or(0),
        preferences: found.preferences,
    }))
}

/// Signs somebody in; the token of the new session, or `None` for a wrong address or password. `device` is what his
/// browser calls itself.
///
/// # Errors
/// When the database does not answer.
pub async fn sign_in(app: &App, email: &str, password: &str, device: &str) -> Result<Option<String>> {
    let found = people::by_email(&mut app.store.read().await?, &email.trim().to_lowercase()).await?;
    let found = found.filter(|person| person.disabled_at.is_none());
    let matches = is_password(found.as_ref(), password).await;
    let Some(person) = found.filter(|_| matches) else { return Ok(None) };
    begin_session(app, person.id, device).await.map(Some)
}

/// An unknown address takes as long as a wrong password, so that nobody learns which addresses exist.
async fn is_password(of: Option<&Person>, password: &str) -> bool {
    let hash = of.and_then(|person| person.password_hash.clone());
    let password = password.to_owned();
    let matches = tokio::task::spawn_blocking(move || {
        password_matches(&password, hash.as_deref().unwrap_or(NOBODYS_HASH)) && hash.is_some()
    });
    matches.await.unwrap_or(false)
}

/// Takes note that whoever holds a session has given his password again; false for a wrong one.
///
/// # Errors
/// When the database does not answer.
pub async fn prove(app: &App, session: &Session, password: &str) -> Result<bool> {
    let person = people::by_id(&mut app.store.read().await?, session.actor.id).await?;
    if !is_password(person.as_ref(), password).await {
        return Ok(false);
    }
    let now = app.clock.now();
    transact!(app, |tx| {
        people::prove(tx, &session.token_hash, now).await?;
        note(tx, now, &session.actor.id.to_string(), "proved_again", session.actor.id, json!({}));
        Ok(())
    })?;
    Ok(true)
}

/// Whether somebody has a password at all.
///
/// # Errors
/// When the database does not answer.
pub async fn has_password(app: &App, id: PersonId) -> Result<bool> {
    let person = people::by_id(&mut app.store.read().await?, id).await?;
    Ok(person.is_some_and(|person| person.password_hash.is_some()))
}

/// Gives whoever holds a session another password; his other sessions and links end.
///
/// # Errors
/// When the password is too short.
pub async fn change_password(app: &App, session: &Session, password: &str) -> Result<()> {
    let hash = hashed(app, password)?;
    let (now, id) = (app.clock.now(), session.actor.id);
    transact!(app, |tx| {
        people::keep_password(tx, id, &hash).await?;
        people::end_other_sessions(tx, id, &session.token_hash).await?;
        people::drop_links(tx, id).await?;
        note(tx, now, &id.to_string(), "password_changed", id, json!({}));
        Ok(())
    })
}

/// Ends every session of somebody but the one he holds; how many.
///
/// # Errors
/// When the database does not answer.
pub async fn sign_out_elsewhere(app: &App, session: &Session) -> Result<u64> {
    let (now, id) = (app.clock.now(), session.actor.id);
    transact!(app, |tx| {
        let ended = people::end_other_sessions(tx, id, &session.token_hash).await?;
        note(tx, now, &id.to_string(), "signed_out_elsewhere", id, json!({ "sessions": ended }));
        Ok(ended)
    })
}

/// A hash that no password has, as expensive to compare with as a real one.
const NOBODYS_HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Signs in whoever a one-time link was made for, once; `None` when it is unknown, used or too old.
///
/// # Errors
/// When the database does not answer.
pub async fn sign_in_by_link(app: &App, token: &str, device: &str) -> Result<Option<String>> {
    let now = app.clock.now();
    let hash = token_hash(token);
    let person = transact!(app, |tx| { Ok(people::use_link(tx, &hash, now).await?) })?;
    let Some(person) = person else { return Ok(None) };
    let known = people::by_id(&mut app.store.read().await?, person).await?;
    match known.filter(|person| person.disabled_at.is_none()) {
        Some(person) => begin_session(app, person.id, device).await.map(Some),
        None => Ok(None),
    }
}

pub(super) async fn begin_session(app: &App, person: PersonId, device: &str) -> Result<String> {
    let now = app.clock.now();
    let (token, csrf) = (app.clock.secret(), app.clock.secret());
    let device: String = device.chars().filter(|letter| !letter.is_control()).take(200).collect();
    transact!(app, |tx| {
        let hash = token_hash(&token);
        people::begin_session(tx, &hash, person, &csrf, &device, now, now + SESSION_US).await?;
        note(tx, now, &person.to_string(), "signed_in", person, json!({}));
        Ok(())
    })?;
    Ok(token)
}

/// Ends a session.
///
/// # Errors
/// When the database does not answer.
pub async fn sign_out(app: &App, session: &Session) -> Result<()> {
    transact!(app, |tx| {
        people::end_session(tx, &session.token_hash).await?;
        Ok(())
    })
}

/// A person to enter.
#[derive(Clone, Debug)]
pub struct NewPerson {
    /// Where he signs in with.
    pub email: String,
    /// The name shown in history.
    pub name: String,
    /// What he may do.
    pub role: Role,
    /// The partner he is, by our caller's id; for the partner roles, and for them only.
    pub partner: Option<String>,
    /// His password; without one he is given a one-time link.
    pub password: Option<String>,
}

/// Enters a person and answers a one-time link for him.
///
/// # Errors
/// When the address is taken or strange, the password too short, or the role does not fit the partner.
pub async fn add(app: &App, new: &NewPerson) -> Result<String> {
    let email = new.email.trim().to_lowercase();
    if !email.contains('@') || email.contains(char::is_whitespace) {
        return Err(Refusal::new("invalid_email", "This is not an e-mail address.").at("email").into());
    }
    let hash = new.password.as_deref().map(|password| hashed(app, password)).transpose()?;
    let now = app.clock.now();
    let id = PersonId::fresh(now, app.clock.chance());
    let token = app.clock.secret();
    transact!(app, |tx| {
        let person = Person {
            id,
            kind: "person".to_owned(),
            name: new.name.clone(),
            email: Some(email.clone()),
            role: new.role,
            scopes: "read,write".to_owned(),
            partner: partner_of(tx, new.role, new.partner.as_deref()).await?,
            password_hash: hash.clone(),
            disabled_at: None,
        };
        if !people::insert(tx, &person, None, now).await? {
            let told = "Somebody signs in with this address already; reset him instead.";
            return Err(Refusal::new("email_taken", told).at("email").into());
        }
        people::add_link(tx, &token_hash(&token), id, now + LINK_US).await?;
        note(tx, now, OPERATOR, "person_added", id, json!({"role": new.role.as_str()}));
        Ok(())
    })?;
    Ok(link(app, &token))
}

/// The partner roles belong to a partner, the others to none.
async fn partner_of(
    tx: &mut Tx,
    role: Role,
    partner: Option<&str>,
) -> Result<Option<payout::ids::PartnerId>> {
    let is_partner = matches!(role, Role::Partner | Role::PartnerAdmin);
    let refuse = |told: &str| Err(Refusal::new("wrong_partner", told).at("partner").into());
    match (is_partner, partner) {
        (false, None) => Ok(None),
        (false, Some(_)) => refuse("Only the roles partner and partner_admin belong to a partner."),
        (true, None) => refuse("The roles partner and partner_admin need the partner they belong to."),
        (true, Some(external_id)) => match programs::partner_id(tx, external_id).await? {
            Some(id) => Ok(Some(id)),
            None => refuse("There is no such partner; enter him first."),
        },
    }
}

pub(super) fn hashed(app: &App, password: &str) -> Result<String> {
    if password.chars().count() < 12 {
        let told = "A password has at least twelve characters.";
        return Err(Refusal::new("password_too_short", told).at("password").into());
    }
    password_hash(&app.clock, password).map_err(|error| {
        OpsError::Internal(crate::store::StoreError::Corrupt(format!(
            "a password could not be hashed: {error}"
        )))
    })
}

/// Gives a person another password, or without one a one-time link; ends his sessions either way.
///
/// # Errors
/// When nobody signs in with this address, or the password is too short.
pub async fn reset(app: &App, email: &str, password: Option<&str>) -> Result<String> {
    let hash = password.map(|password| hashed(app, password)).transpose()?;
    let now = app.clock.now();
    let token = app.clock.secret();
    transact!(app, |tx| {
        let person = people::by_email(tx, &email.trim().to_lowercase()).await?.ok_or(OpsError::Missing)?;
        people::set_password(tx, person.id, hash.as_deref()).await?;
        people::add_link(tx, &token_hash(&token), person.id, now + LINK_US).await?;
        note(tx, now, OPERATOR, "person_reset", person.id, json!({}));
        Ok(())
    })?;
    Ok(link(app, &token))
}

/// Shuts a person or an API key out at once.
///
/// # Errors
/// When there is nobody of this address or id.
pub async fn disable(app: &App, email_or_id: &str) -> Result<()> {
    let now = app.clock.now();
    transact!(app, |tx| {
        let person = match PersonId::parse(email_or_id) {
            Some(id) => people::by_id(tx, id).await?,
            None => people::by_email(tx, &email_or_id.trim().to_lowercase()).await?,
        };
        let person = person.ok_or(OpsError::Missing)?;
        if people::disable(tx, person.id, now).await? == 1 {
            note(tx, now, OPERATOR, "person_disabled", person.id, json!({}));
        }
        Ok(())
    })
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
}

/// Makes an API key and answers it; it is not stored and cannot be shown again.
///
/// # Errors
/// When the role does not fit the partner, or it may do nothing.
pub async fn create_key(app: &App, new: &NewKey) -> Result<String> {
    let scopes = match (new.may_read, new.may_write) {
        (true, true) => "read,write",
        (true, false) => "read",
        (false, true) => "write",
        (false, false) => {
            return Err(Refusal::new("no_scope", "Name read, write or both.").at("scopes").into());
        }
    };
    let now = app.clock.now();
    let id = PersonId::fresh(now, app.clock.chance());
    let key = format!("brs_{}", app.clock.secret());
    transact!(app, |tx| {
        let person = Person {
            id,
            kind: "api_key".to_owned(),
            name: new.name.clone(),
            email: None,
            role: new.role,
            scopes: scopes.to_owned(),
            partner: partner_of(tx, new.role, new.partner.as_deref()).await?,
            password_hash: None,
            disabled_at: None,
        };
        people::insert(tx, &person, Some(&token_hash(&key)), now).await?;
        note(tx, now, OPERATOR, "api_key_created", id, json!({"role": new.role.as_str(), "scopes": scopes}));
        Ok(())
    })?;
    Ok(key)
}

/// Where nobody can sign in as an administrator yet, makes one and answers a one-time link for him.
///
/// # Errors
/// When the database does not answer.
pub async fn first_administrator(app: &App) -> Result<Option<String>> {
    if people::has_administrator(&mut app.store.read().await?).await? {
        return Ok(None);
    }
    let new = NewPerson {
        email: "admin@localhost".to_owned(),
        name: "Administrator".to_owned(),
        role: Role::Admin,
        partner: None,
        password: None,
    };
    match add(app, &new).await {
        Ok(link) => Ok(Some(link)),
        // He was entered before, and disabled: whoever runs Bursar decides, not a restart.
        Err(OpsError::Refused(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A one-time link for somebody who can sign in already; for the demonstration.
///
/// # Errors
/// When nobody signs in with this address.
pub async fn link_for(app: &App, email: &str) -> Result<String> {
    let now = app.clock.now();
    let token = app.clock.secret();
    transact!(app, |tx| {
        let person = people::by_email(tx, email).await?.ok_or(OpsError::Missing)?;
        people::add_link(tx, &token_hash(&token), person.id, now + LINK_US).await?;
        note(tx, now, OPERATOR, "login_link_made", person.id, json!({}));
        Ok(())
    })?;
    Ok(link(app, &token))
}

fn link(app: &App, token: &str) -> String {
    format!("{}/login/{token}", app.base_url)
}

/// Whoever a person is when he acts.
pub(super) fn actor(person: &Person) -> Actor {
    Actor {
        id: person.id,
        name: person.name.clone(),
        role: person.role,
        partner: person.partner,
        may_write: person.scopes.split(',').any(|scope| scope == "write"),
        // The door he comes through knows more.
        came_from: String::new(),
    }
}

pub(super) fn note(
    tx: &mut Tx,
    at: i64,
    actor: &str,
    action: &'static str,
    subject: PersonId,
    detail: serde_json::Value,
) {
    let (actor, subject) = (actor.to_owned(), subject.to_string());
    tx.audit(audit::Entry { at, actor, action, subject, detail: detail.to_string() });
}
