//! What takes effect after a sign-in through the provider: the link, the role, and the notices. Applied in the transaction
//! that signs them in, and so after their second factor. Every administrator is notified of each new link, each created login
//! and each change of a role that moves money or administers. Such a login does not count as a second person for a day,
//! because an operator of the provider, or someone with an account there, might not be the login's owner. Not here: finding
//! the login (`provider`).

use payout::Refusal;
use payout::access::{Permission, Role, allows, needs_second_factor};
use payout::external::without_unseen;
use payout::ids::PersonId;
use payout::notice::Notice;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{IdentityClaims, address, of_issuer};
use crate::app::App;
use crate::ops::people::note;
use crate::ops::people::team::delay_second_person;
use crate::ops::{OpsError, Result, master_key};
use crate::store::people::{self, Person};
use crate::store::sealed::Column;
use crate::store::{Tx, factors, identities, outbox, passkeys, sessions};
use crate::transact;

/// The actor in the audit trail for changes made by the provider's claims.
const PROVIDER: &str = "provider";
/// An administrator who can sign in only through the provider, and has not for this long, does not count as able to.
const RELIED_ON_US: i64 = 30 * 24 * 3_600_000_000;

/// How far a provider's clock may be ahead of ours.
const AHEAD_US: i64 = 300_000_000;

/// The claims to apply here, stored until the second factor is completed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::ops) struct Provided {
    issuer: String,
    subject: String,
    address: String,
    /// The role from the role claim, if the provider manages roles.
    role: Option<String>,
    /// When they authenticated there, if known; otherwise the sign-in does not count as a step-up.
    proved_at: Option<i64>,
}

impl Provided {
    pub(super) fn of(shown: &IdentityClaims, role: Option<Role>, now: i64) -> Self {
        Self {
            issuer: shown.issuer.clone(),
            subject: shown.subject.clone(),
            address: shown.email.clone().unwrap_or_default(),
            role: role.map(|role| role.as_str().to_owned()),
            // Tolerate a clock slightly ahead, but store no time in the future.
            proved_at: shown.proved_at.filter(|at| *at <= now + AHEAD_US).map(|at| at.min(now)),
        }
    }

    /// The issuer: which provider it was.
    pub(in crate::ops::people) fn issuer(&self) -> &str {
        &self.issuer
    }

    fn role(&self) -> Option<Role> {
        self.role.as_deref().and_then(Role::parse)
    }

    /// Sealed for storage beside the halfway token.
    pub(in crate::ops::people) async fn sealed(
        &self,
        tx: &mut Tx,
        app: &App,
        half_hash: &str,
    ) -> Result<String> {
        let text = serde_json::to_string(self).unwrap_or_default();
        master_key::seal(tx, app, &Column::HalfLogin.place(half_hash), &text).await
    }

    /// The stored claims; `None` if they cannot be read, or the provider has been replaced.
    pub(in crate::ops::people) fn open(app: &App, half_hash: &str, sealed: &str) -> Option<Self> {
        let text = app.master_key.open(&Column::HalfLogin.place(half_hash), sealed)?;
        let provided: Self = serde_json::from_str(&text).ok()?;
        (app.config.oidc.issuer.as_ref() == Some(&provided.issuer)).then_some(provided)
    }

    /// Locks the administrators first if the role may change: the lock order is administrators, then the person.
    pub(in crate::ops::people) async fn hold_first(&self, tx: &mut Tx, id: PersonId) -> Result<()> {
        let Some(role) = self.role() else { return Ok(()) };
        if people::by_id(tx, id).await?.is_some_and(|person| person.role != role) {
            people::hold_administrators(tx).await?;
        }
        Ok(())
    }
}

/// What happened to a login, for a notice.
#[derive(Clone, Copy)]
enum LoginEvent<'a> {
    Made,
    Linked,
    Factor,
    Role(Role),
    /// `last`: no one is left who could sign in as an administrator.
    NoRole {
        last: bool,
    },
    /// The required claim that does not hold.
    NotOfUs(&'a str),
}

impl LoginEvent<'_> {
    fn as_str(self) -> &'static str {
        match self {
            Self::Made => "made",
            Self::Linked => "linked",
            Self::Factor => "factor",
            Self::Role(_) => "role",
            Self::NoRole { .. } => "no_role",
            Self::NotOfUs(_) => "not_of_us",
        }
    }

    fn begins_a_day(self) -> bool {
        match self {
            Self::Made | Self::Linked | Self::Factor | Self::Role(_) => true,
            Self::NoRole { .. } | Self::NotOfUs(_) => false,
        }
    }
}

/// Notifies every administrator of what the provider's claims have changed about a login.
async fn notify_administrators(
    tx: &mut Tx,
    app: &App,
    whose: &Person,
    what: LoginEvent<'_>,
    now: i64,
) -> Result<()> {
    let (mut keys, mut old, mut claim, mut last) = (String::new(), "", "", false);
    match what {
        LoginEvent::Role(Role::Admin) => {
            (keys, old) = (people::keys_made_by(tx, whose.id).await?.join(", "), Role::Admin.label());
        }
        LoginEvent::Role(before) => old = before.label(),
        LoginEvent::NoRole { last: is_last } => last = is_last,
        LoginEvent::NotOfUs(lacks) => claim = lacks,
        LoginEvent::Made | LoginEvent::Linked | LoginEvent::Factor => {}
    }
    let provider = app.config.oidc.issuer.clone().unwrap_or_default();
    // The person with the new role is notified as well.
    let to = matches!(what, LoginEvent::Role(_)).then_some(&whose.email);
    let detail = json!({
        "to": to, "what": what.as_str(), "whose": whose.name, "address": whose.email, "role": whose.role.label(), "old": old,
        "provider": provider, "keys": keys, "claim": claim, "last": last,
        "waits": what.begins_a_day() && allows(whose.role, Permission::Pay),
    });
    let notice = (Notice::LoginByProvider, whose.id.to_string(), detail.to_string());
    outbox::write(tx, &app.clock, now, [notice]).await?;
    Ok(())
}

/// Notifies the owner of a login that it is now linked.
async fn notify_owner(tx: &mut Tx, app: &App, whose: &Person, issuer: &str, now: i64) -> Result<()> {
    let link = format!("{}/me", app.base_url);
    let detail = json!({ "to": whose.email, "provider": issuer, "link": link }).to_string();
    outbox::write(tx, &app.clock, now, [(Notice::LoginLinked, whose.id.to_string(), detail)]).await?;
    Ok(())
}

/// Applies the provider's claims to a locked login. Returns `false`, and does nothing, if the identity has been linked to
/// another login in the meantime.
pub(in crate::ops::people) async fn settle(
    tx: &mut Tx,
    app: &App,
    person: &Person,
    provided: &Provided,
    now: i64,
) -> Result<bool> {
    let (issuer, subject) = (&provided.issuer, &provided.subject);
    let known = identities::known(tx, issuer, subject).await?;
    let is_new = known.as_ref().is_none_or(|known| known.unlinked_at.is_some());
    let (is_taken, was_unlinked) = of_issuer(tx, person, issuer).await?;
    let is_theirs = match known {
        Some(known) if known.person != person.id => false,
        Some(_) if !is_new => true,
        Some(_) => !is_taken && identities::link_again(tx, issuer, subject, person.id, now).await?,
        None => !is_taken && !was_unlinked && identities::link(tx, issuer, subject, person.id, now).await?,
    };
    if !is_theirs {
        return Ok(false);
    }
    identities::accept(tx, issuer, subject).await?;
    let role = match provided.role() {
        Some(role) => take_role(tx, app, person, role, now).await?,
        None => person.role,
    };
    if is_new {
        let person = Person { role, ..person.clone() };
        let detail = json!({ "issuer": issuer, "subject": subject, "address": provided.address });
        note(tx, now, &person.id.to_string(), "login_linked", person.id, detail);
        delay_second_person(tx, person.id, role, now).await?;
        // Someone shown an old link could still set the password of a login that is in use.
        people::drop_links(tx, person.id).await?;
        notify_owner(tx, app, &person, issuer, now).await?;
        notify_administrators(tx, app, &person, LoginEvent::Linked, now).await?;
    }
    Ok(true)
}

/// Handles a first second factor. If the provider can open the login, the person who set it up may be someone else with the
/// account there, however old the link: it does not count as a second person for a day, and every administrator is notified.
pub(in crate::ops::people) async fn first_factor(
    tx: &mut Tx,
    app: &App,
    whose: &Person,
    now: i64,
) -> Result<()> {
    if identities::of(tx, whose.id).await?.iter().any(|one| one.unlinked_at.is_none()) {
        delay_second_person(tx, whose.id, whose.role, now).await?;
        notify_administrators(tx, app, whose, LoginEvent::Factor, now).await?;
    }
    Ok(())
}

/// Records that a session came through the provider, and when the provider says they authenticated.
pub(in crate::ops::people) async fn came(
    tx: &mut Tx,
    token_hash: &str,
    person: PersonId,
    provided: &Provided,
    now: i64,
) -> Result<()> {
    sessions::by_provider(tx, token_hash, provided.proved_at, now).await?;
    note(tx, now, &person.to_string(), "came_by_provider", person, json!({}));
    Ok(())
}

/// Creates a linked login for somebody the mapping gives a role; `None` if another sign-in was first.
pub(super) async fn make(
    app: &App,
    shown: &IdentityClaims,
    provided: &Provided,
    role: Role,
) -> Result<Option<Person>> {
    let Some(email) = address(shown) else { return Ok(None) };
    let (now, id) = (app.clock.now(), PersonId::fresh(app.clock.now(), app.clock.in_turn()));
    let name = without_unseen(shown.name.as_deref().unwrap_or_default());
    let name = if name.trim().is_empty() { email.as_str() } else { name.trim() };
    let person = Person {
        id,
        kind: "person".to_owned(),
        name: name.chars().take(100).collect(),
        email: Some(email.clone()),
        role,
        scopes: "read,write".to_owned(),
        partner: None,
        password_hash: None,
        disabled_at: None,
        last_seen_at: None,
    };
    let made = transact!(app, |tx| {
        if !people::insert(tx, &person, None, PROVIDER, now).await? {
            return Ok(false);
        }
        if !identities::link(tx, &provided.issuer, &provided.subject, id, now).await? {
            // Roll back: the login must not be left without an owner.
            return Err(OpsError::Conflict(Refusal::new(BELONGS_ELSEWHERE, "They have a login already.")));
        }
        delay_second_person(tx, id, role, now).await?;
        let detail = json!({ "role": role.as_str(), "issuer": provided.issuer, "subject": provided.subject });
        note(tx, now, PROVIDER, "person_added", id, detail);
        notify_owner(tx, app, &person, &provided.issuer, now).await?;
        notify_administrators(tx, app, &person, LoginEvent::Made, now).await?;
        Ok(true)
    });
    match made {
        Ok(true) => Ok(Some(person)),
        Ok(false) => Ok(None),
        Err(OpsError::Conflict(refusal)) if refusal.code == BELONGS_ELSEWHERE => Ok(None),
        Err(error) => Err(error),
    }
}

const BELONGS_ELSEWHERE: &str = "belongs_elsewhere";

/// Sets the role that the provider names now; returns the resulting role. The last administrator who can sign in keeps their
/// role: otherwise no one could fix a wrong mapping.
async fn take_role(tx: &mut Tx, app: &App, person: &Person, role: Role, now: i64) -> Result<Role> {
    if person.role == role {
        return Ok(role);
    }
    people::hold_administrators(tx).await?;
    if person.role == Role::Admin && !has_another(tx, app, person.id, now).await? {
        tracing::warn!(
            role = role.as_str(),
            "the provider gives the last administrator who can sign in another role, which is not taken: let another administrator sign in first"
        );
        return Ok(person.role);
    }
    people::set_role(tx, person.id, role).await?;
    delay_second_person(tx, person.id, role, now).await?;
    let detail = json!({ "old": person.role.as_str(), "new": role.as_str() });
    note(tx, now, PROVIDER, "role_changed", person.id, detail);
    if needs_second_factor(person.role) || needs_second_factor(role) {
        let now_is = Person { role, ..person.clone() };
        notify_administrators(tx, app, &now_is, LoginEvent::Role(person.role), now).await?;
    }
    Ok(role)
}

/// Whether another administrator can sign in.
async fn has_another(tx: &mut Tx, app: &App, id: PersonId, now: i64) -> Result<bool> {
    let issuer = app.config.oidc.issuer.as_deref().unwrap_or_default();
    Ok(people::has_another_usable_administrator(tx, id, issuer, now - RELIED_ON_US).await?)
}

/// Whether this login's account at the provider is the only way left to sign in as an administrator. The caller has locked
/// the administrators, so of two concurrent requests the second sees the effect of the first.
pub(super) async fn is_the_last_way_in(tx: &mut Tx, app: &App, person: &Person, now: i64) -> Result<bool> {
    let opens_otherwise = person.password_hash.is_some() || !passkeys::of(tx, person.id).await?.is_empty();
    if person.role != Role::Admin || person.disabled_at.is_some() || opens_otherwise {
        return Ok(false);
    }
    Ok(!has_another(tx, app, person.id, now).await?)
}

/// The login linked to an account at the provider.
async fn opened_by(app: &App, shown: &IdentityClaims) -> Result<Option<PersonId>> {
    let known = identities::known(&mut app.store.read().await?, &shown.issuer, &shown.subject).await?;
    Ok(known.filter(|known| known.unlinked_at.is_none()).map(|known| known.person))
}

/// Ends the sessions of a person who no longer has a role at the provider. Every administrator is notified, once until they
/// have a role again. Their password and API keys stay: an administrator decides about those.
pub(super) async fn without_role(app: &App, shown: &IdentityClaims) -> Result<()> {
    let Some(id) = opened_by(app, shown).await? else { return Ok(()) };
    let now = app.clock.now();
    transact!(app, |tx| {
        people::hold_administrators(tx).await?;
        let person = people::hold(tx, id).await?.filter(|person| person.disabled_at.is_none());
        let Some(person) = person else { return Ok(()) };
        let ended = sessions::end_all(tx, person.id).await?;
        factors::end_pending_logins(tx, person.id).await?;
        let is_news = identities::refuse(tx, &shown.issuer, &shown.subject, now).await?;
        let last = is_the_last_way_in(tx, app, &person, now).await?;
        if last {
            tracing::error!(
                "the provider gives the last administrator who could sign in no role any more: nobody can administer this Bursar until its mapping is mended, or `bursar user reset` has made a link at this machine"
            );
        }
        if is_news || ended > 0 {
            note(tx, now, PROVIDER, "no_role_any_more", person.id, json!({ "sessions": ended }));
            notify_administrators(tx, app, &person, LoginEvent::NoRole { last }, now).await?;
        }
        Ok(())
    })
}

/// Handles a required claim that does not hold. It may concern this sign-in only, like the authentication method, and whoever
/// came may know only the person's password there. So only sessions that came through the provider are ended, and every
/// administrator is notified, once until the person signs in again.
pub(super) async fn not_of_us(app: &App, shown: &IdentityClaims, claim: &str) -> Result<()> {
    let Some(id) = opened_by(app, shown).await? else { return Ok(()) };
    let now = app.clock.now();
    transact!(app, |tx| {
        let person = people::hold(tx, id).await?.filter(|person| person.disabled_at.is_none());
        let Some(person) = person else { return Ok(()) };
        let ended = sessions::end_by_provider(tx, person.id).await?;
        factors::end_pending_logins_by_provider(tx, person.id).await?;
        let is_news = identities::lacks(tx, &shown.issuer, &shown.subject, now).await?;
        if is_news || ended > 0 {
            let detail = json!({ "claim": claim, "subject": shown.subject, "sessions": ended });
            note(tx, now, PROVIDER, "claim_does_not_hold", person.id, detail);
            notify_administrators(tx, app, &person, LoginEvent::NotOfUs(claim), now).await?;
        }
        Ok(())
    })
}
