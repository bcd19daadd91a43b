//! One person: role, access, sessions, identity provider links, and a new sign-in link for them.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::Deserialize;

use payout::access::{Held, Permission, Role, may_become};
use payout::ids::PersonId;

use super::account::{Device, EndSessionForm};
use super::list::{ADMINISTERS, chip, our_roles};
use super::preferences::{LinkedIdentity, Row};
use crate::app::App;
use crate::ops::invitations::Invitation;
use crate::ops::people::provider::links;
use crate::ops::people::{Session, factor, sessions, team};
use crate::store::roster::{self, Listed};
use crate::store::{factors, passkeys, people};
use crate::web::kit::form::Form;
use crate::web::kit::format::{Chip, When, how_many, when};
use crate::web::kit::history::{self, Line};
use crate::web::kit::layout::{Flash, Frame, MenuItem, PageContext};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Route, get, post};
use crate::web::kit::session::{SignedIn, is_fresh, prove_first};

pub(super) fn routes() -> Vec<Route> {
    vec![
        get("/people/{id}", ADMINISTERS, show),
        post("/people/{id}/role", ADMINISTERS, change_role),
        post("/people/{id}/disable", ADMINISTERS, disable),
        post("/people/{id}/enable", ADMINISTERS, let_in),
        post("/people/{id}/sessions", ADMINISTERS, end_sessions),
        post("/people/{id}/link", ADMINISTERS, fresh_link),
        post("/people/{id}/factor", ADMINISTERS, reset_factor),
        post("/people/{id}/unlink", ADMINISTERS, unlink).step_up("Unlink this login from the provider"),
        post("/people/{id}/relink", ADMINISTERS, relink).step_up("Allow this account to be linked"),
    ]
}

/// How many audit rows the page shows.
const SHOWN: i64 = 20;

#[derive(Template)]
#[template(path = "users/show.html")]
struct PersonPage {
    frame: Frame,
    one: Listed,
    chip: Chip,
    /// The roles they can be given.
    roles: Vec<Role>,
    made_by: Option<String>,
    created: When,
    seen: Option<When>,
    sessions: Vec<Row>,
    /// Since when they have a second factor.
    factor: Option<When>,
    /// How many passkeys they have.
    passkeys: usize,
    /// Their current and former accounts at identity providers.
    linked: Vec<LinkedIdentity>,
    is_oneself: bool,
    /// Whether the person viewing the page has just stepped up.
    fresh: bool,
    /// Why their role cannot be changed.
    no_role: Option<String>,
    /// Why they cannot be disabled.
    no_out: Option<String>,
    /// A link that was just created, and when it expires.
    made: Option<(String, When)>,
    history: Vec<Line>,
}

impl PersonPage {
    /// Whether an account at a provider is linked to this login.
    fn is_linked(&self) -> bool {
        self.linked.iter().any(|one| one.until.is_none())
    }

    /// Whether one was unlinked from it.
    fn was_linked(&self) -> bool {
        self.linked.iter().any(|one| one.until.is_some())
    }

    /// The accounts that were unlinked and are not allowed again.
    fn may_be_allowed(&self) -> impl Iterator<Item = &LinkedIdentity> {
        self.linked.iter().filter(|one| one.until.is_some() && one.allowed.is_none())
    }
}

fn read(id: &str) -> Result<PersonId, Problem> {
    PersonId::parse(id).ok_or_else(Problem::missing)
}

fn address(id: PersonId) -> String {
    format!("/people/{id}")
}

async fn show(
    State(app): State<App>,
    SignedIn(session): SignedIn,
    context: PageContext,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    page(&app, &session, &context, read(&id)?, None).await
}

async fn page(
    app: &App,
    session: &Session,
    context: &PageContext,
    id: PersonId,
    made: Option<Invitation>,
) -> Result<Response, Problem> {
    let (mut db, now) = (app.store.read().await?, app.clock.now());
    let one = roster::one(&mut db, id).await?.filter(|one| one.hint.is_none() && one.email.is_some());
    let one = one.ok_or_else(Problem::missing)?;
    let held = Held {
        role: one.disabled_at.is_none().then_some(one.role),
        is_oneself: context.actor.id == id,
        other_admins: people::other_administrators(&mut db, id).await?,
    };
    let why_not = |after| may_become(held, after).err().map(|refusal| refusal.sentence);
    let found = sessions::list(&mut db, id, now).await?;
    let browsers = found.into_iter().map(|one| Row::from(Device::of(one, &session.id)));
    let makers = history::names(&mut db, one.made_by.iter().map(String::as_str)).await?;
    let partners = one.role.is_partners();
    let page = PersonPage {
        frame: context.frame(one.name.clone(), MenuItem::People),
        chip: chip(&one),
        roles: if partners { vec![Role::Partner, Role::PartnerAdmin] } else { our_roles() },
        made_by: one.made_by.as_ref().and_then(|by| makers.get(by).cloned()),
        created: When(one.created_at),
        seen: when(one.last_seen_at),
        sessions: browsers.collect(),
        factor: when(factors::since(&mut db, id).await?),
        passkeys: passkeys::of(&mut db, id).await?.len(),
        linked: links::of(&mut db, id).await?.into_iter().map(LinkedIdentity::from).collect(),
        is_oneself: context.actor.id == id,
        fresh: is_fresh(session, now),
        no_role: if one.role == Role::Admin { why_not(Some(Role::Auditor)) } else { None },
        no_out: why_not(None),
        made: made.map(|made| (made.link, When(made.expires_at))),
        history: match context.may(Permission::Audit) {
            true => history::of(&mut db, &id.to_string(), SHOWN).await?,
            false => Vec::new(),
        },
        one,
    };
    context.show(&page)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RoleSent {
    #[serde(default)]
    role: String,
}

async fn change_role(
    State(app): State<App>,
    SignedIn(session): SignedIn,
    context: PageContext,
    Path(id): Path<String>,
    Form(sent): Form<RoleSent>,
) -> Result<Response, Problem> {
    let id = read(&id)?;
    if !is_fresh(&session, app.clock.now()) {
        return Ok(prove_first(&address(id)));
    }
    let Some(role) = Role::parse(&sent.role) else {
        return Ok(Flash::bad("Choose a role.").on(&address(id)));
    };
    let flash = match team::change_role(&app, &context.actor, id, role).await {
        Ok(()) => {
            let ended = if role == Role::Admin { String::new() } else { keys_that_end(&app, id).await? };
            Flash::good(format!("The role is now {}.{ended}", role.label().to_lowercase()))
        }
        Err(error) => Flash::refused(error)?,
    };
    Ok(flash.on(&address(id)))
}

/// The API keys that stop working because their maker may no longer make keys, as an additional sentence; may be empty.
async fn keys_that_end(app: &App, maker: PersonId) -> Result<String, Problem> {
    let names = people::keys_made_by(&mut app.store.read().await?, maker).await?;
    if names.is_empty() {
        return Ok(String::new());
    }
    Ok(format!(" The API keys they made have ended with it: {}.", names.join(", ")))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EmptyForm {}

async fn disable(
    State(app): State<App>,
    context: PageContext,
    Path(id): Path<String>,
    Form(EmptyForm {}): Form<EmptyForm>,
) -> Result<Response, Problem> {
    let id = read(&id)?;
    let flash = match team::disable(&app, &context.actor, id).await {
        Ok(()) => {
            let message = "Disabled: signed out everywhere, and links no longer work.";
            Flash::good(format!("{message}{}", keys_that_end(&app, id).await?))
        }
        Err(error) => Flash::refused(error)?,
    };
    Ok(flash.on(&address(id)))
}

async fn let_in(
    State(app): State<App>,
    SignedIn(session): SignedIn,
    context: PageContext,
    Path(id): Path<String>,
    Form(EmptyForm {}): Form<EmptyForm>,
) -> Result<Response, Problem> {
    let id = read(&id)?;
    if !is_fresh(&session, app.clock.now()) {
        return Ok(prove_first(&address(id)));
    }
    let flash = match team::enable(&app, &context.actor, id).await {
        Ok(()) => Flash::good("Enabled, with the same role and password as before."),
        Err(error) => Flash::refused(error)?,
    };
    Ok(flash.on(&address(id)))
}

async fn end_sessions(
    State(app): State<App>,
    context: PageContext,
    Path(id): Path<String>,
    Form(sent): Form<EndSessionForm>,
) -> Result<Response, Problem> {
    let id = read(&id)?;
    if let Some(one) = &sent.one {
        let ended = sessions::end_one(&app, &context.actor, id, one).await?;
        let message = if ended { "The session has ended." } else { "The session had already ended." };
        return Ok(Flash::good(message).on(&address(id)));
    }
    let ended = team::end_sessions(&app, &context.actor, id).await?;
    let ended = how_many(usize::try_from(ended).unwrap_or(usize::MAX), "session", "sessions");
    Ok(Flash::good(format!("{ended} ended.")).on(&address(id)))
}

async fn reset_factor(
    State(app): State<App>,
    SignedIn(session): SignedIn,
    context: PageContext,
    Path(id): Path<String>,
    Form(EmptyForm {}): Form<EmptyForm>,
) -> Result<Response, Problem> {
    let id = read(&id)?;
    if !is_fresh(&session, app.clock.now()) {
        return Ok(prove_first(&address(id)));
    }
    let flash = match factor::reset(&app, &context.actor, id).await {
        Ok(()) => Flash::good("The second factor is removed. They and all administrators are notified."),
        Err(error) => Flash::refused(error)?,
    };
    Ok(flash.on(&address(id)))
}

async fn unlink(
    State(app): State<App>,
    context: PageContext,
    Path(id): Path<String>,
    Form(EmptyForm {}): Form<EmptyForm>,
) -> Result<Response, Problem> {
    let id = read(&id)?;
    let flash = match links::unlink(&app, &context.actor, id).await {
        Ok(()) => {
            Flash::good("Unlinked, and signed out everywhere. That account can no longer sign in here.")
        }
        Err(error) => Flash::refused(error)?,
    };
    Ok(flash.on(&address(id)))
}

/// Which account there may be linked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Allowed {
    #[serde(default)]
    subject: String,
}

async fn relink(
    State(app): State<App>,
    context: PageContext,
    Path(id): Path<String>,
    Form(sent): Form<Allowed>,
) -> Result<Response, Problem> {
    let id = read(&id)?;
    let flash = match links::allow_again(&app, &context.actor, id, Some(&sent.subject)).await {
        Ok(()) => Flash::good("Allowed: the next sign-in with that account links it."),
        Err(error) => Flash::refused(error)?,
    };
    Ok(flash.on(&address(id)))
}

async fn fresh_link(
    State(app): State<App>,
    SignedIn(session): SignedIn,
    context: PageContext,
    Path(id): Path<String>,
    Form(EmptyForm {}): Form<EmptyForm>,
) -> Result<Response, Problem> {
    let id = read(&id)?;
    if !is_fresh(&session, app.clock.now()) {
        return Ok(prove_first(&address(id)));
    }
    match team::fresh_link(&app, &context.actor, id).await {
        Ok(made) => page(&app, &session, &context, id, Some(made)).await,
        Err(error) => Ok(Flash::refused(error)?.on(&address(id))),
    }
}
