//! How a partner gets a login: an administrator invites them, they open the one-time link, choose a password and are
//! signed in. Colleagues accept their invitations the same way (`people::team` invites them). Not here: what each may see
//! (`payout::access` and the pages).

use payout::Refusal;
use payout::access::Role;
use payout::ids::PersonId;
use payout::notice::Notice;
use serde_json::json;

use super::notices::secret;
use super::people::factor::notify_owner;
use super::people::sessions::{By, SignInProgress, enter};
use super::people::{Browser, hashed, note, stand_behind};
use super::settings::lowering;
use super::{OpsError, Result};
use crate::app::{Actor, App};
use crate::secrets::token_hash;
use crate::store::Tx;
use crate::store::people::{self, LinkFor, Person};
use crate::store::programs::{self, Partner, RecordRef};
use crate::transact;

/// How long an invitation is valid: it travels by mail and may wait over a holiday.
pub(super) const INVITATION_US: i64 = 7 * 86_400 * 1_000_000;

/// An invitation, shown once to whoever created it.
#[derive(Clone, Debug)]
pub struct Invitation {
    pub person: PersonId,
    /// The address they will sign in with.
    pub email: String,
    pub role: Role,
    pub link: String,
    pub expires_at: i64,
}

/// Invites a partner, by external id or ours, to the portal, as `partner` or `partner_admin`. Inviting a partner again
/// sends a new link and invalidates older ones; their password stays until they accept.
///
/// # Errors
/// [`OpsError::Missing`] for an unknown partner; a refusal if the role is not a partner's, or if somebody else signs in
/// with the partner's address.
pub async fn invite(app: &App, actor: &Actor, partner: &str, role: Role) -> Result<Invitation> {
    if !matches!(role, Role::Partner | Role::PartnerAdmin) {
        let message = "A partner can be invited as partner or as partner_admin.";
        return Err(Refusal::new("unknown_value", message).at("role").into());
    }
    let now = app.clock.now();
    let (fresh, token) = (PersonId::fresh(now, app.clock.in_turn()), app.clock.secret());
    transact!(app, |tx| {
        lowering::by_people(tx, actor, "let anybody in").await?;
        let partner = programs::partner(tx, RecordRef::Either(partner)).await?.ok_or(OpsError::Missing)?;
        let person = login_of(tx, &partner, role, fresh, (&actor.id.to_string(), now)).await?;
        people::drop_links(tx, person.id).await?;
        people::add_link(tx, &token_hash(&token), (person.id, LinkFor::Join), now + INVITATION_US).await?;
        // Whoever is shown the link could use it themselves, as long as it works.
        stand_behind(tx, &person, &actor.id.to_string(), now, now + INVITATION_US).await?;
        let email = person.email.clone().unwrap_or_default();
        let link = format!("{}/portal/join/{token}", app.base_url);
        let notice = (Notice::PortalInvitation, partner.id.to_string());
        secret::write(tx, app, notice, &email, (&link, now + INVITATION_US)).await?;
        let detail = json!({ "partner": partner.external_id, "role": role.as_str() });
        note(tx, now, &actor.id.to_string(), "partner_invited", person.id, detail);
        Ok(Invitation { person: person.id, email, role, link, expires_at: now + INVITATION_US })
    })
}

/// The partner's existing login, in its new role, or a new one.
async fn login_of(
    tx: &mut Tx,
    partner: &Partner,
    role: Role,
    fresh: PersonId,
    (by, now): (&str, i64),
) -> Result<Person> {
    if let Some(person) = people::of_partner(tx, partner.id).await?.into_iter().next() {
        if person.disabled_at.is_some() {
            let message = "This partner's login is disabled, so no link is created for it.";
            return Err(Refusal::new("login_disabled", message).into());
        }
        people::set_role(tx, person.id, role).await?;
        return Ok(Person { role, ..person });
    }
    let person = Person {
        id: fresh,
        kind: "person".to_owned(),
        name: partner.name.clone(),
        email: Some(partner.email.trim().to_lowercase()),
        role,
        scopes: "read,write".to_owned(),
        partner: Some(partner.id),
        password_hash: None,
        disabled_at: None,
        last_seen_at: None,
    };
    if people::insert(tx, &person, None, by, now).await? {
        return Ok(person);
    }
    let message = "Somebody else signs in with this address. Give the partner their own address first.";
    Err(Refusal::new("email_taken", message).at("email").into())
}

/// What a one-time link gives access to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InvitationKind {
    Portal,
    /// Bursar's own pages, for colleagues.
    House,
    /// A new password in place of a forgotten one, for everybody.
    Forgotten,
}

impl InvitationKind {
    /// The kind of link it uses.
    fn links(self) -> LinkFor {
        match self {
            Self::Portal | Self::House => LinkFor::Join,
            Self::Forgotten => LinkFor::Password,
        }
    }
}

/// The person a link belongs to, while it is valid. Looking does not use it up: mail scanners open links before people do.
pub async fn waiting(app: &App, door: InvitationKind, token: &str) -> Result<Option<Person>> {
    let mut db = app.store.read().await?;
    let found = people::waiting_link(&mut db, &token_hash(token), door.links(), app.clock.now()).await?;
    Ok(found.filter(|person| match door {
        InvitationKind::Portal => person.partner.is_some(),
        InvitationKind::House => person.partner.is_none(),
        InvitationKind::Forgotten => true,
    }))
}

/// Accepts an invitation: sets the password and signs the person in as with a password; `None` if the link is unknown, used
/// or expired.
///
/// # Errors
/// If the password is not acceptable.
pub async fn accept(
    app: &App,
    door: InvitationKind,
    token: &str,
    password: &str,
    browser: &Browser,
) -> Result<Option<SignInProgress>> {
    let Some(person) = waiting(app, door, token).await? else { return Ok(None) };
    let hash = hashed(app, password, &person).await?;
    let now = app.clock.now();
    let person = transact!(app, |tx| {
        let Some(id) = people::use_link(tx, &token_hash(token), door.links(), now).await? else {
            return Ok(None);
        };
        let person = people::hold(tx, id).await?.ok_or(OpsError::Missing)?;
        people::set_password(tx, id, Some(&hash)).await?;
        people::drop_links(tx, id).await?;
        let action = match door {
            InvitationKind::Portal | InvitationKind::House => "invitation_accepted",
            InvitationKind::Forgotten => "password_changed",
        };
        note(tx, now, &id.to_string(), action, id, json!({ "from": browser.address }));
        // The login is already in use, with a password or without one.
        if person.password_hash.is_some() || person.last_seen_at.is_some() {
            notify_owner(tx, app, &person, "password", "", now).await?;
        }
        Ok(people::by_id(tx, id).await?)
    })?;
    match person {
        Some(person) => enter(app, &person, browser, By::Link).await,
        None => Ok(None),
    }
}
