//! Inviting a partner to the portal: the partner, their role, and then the one-time link, shown once.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::Deserialize;

use payout::access::{Permission, Role};

use crate::app::App;
use crate::ops::invitations::{self, Invitation};
use crate::store::programs::{self, Partner, RecordRef};
use crate::store::{Db, people};
use crate::web::kit::form::Form;
use crate::web::kit::format::When;
use crate::web::kit::layout::{Flash, Frame, MenuItem, PageContext};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, get, post};

pub fn routes() -> Vec<Route> {
    let administers = Access::May(Permission::Administer);
    vec![
        get("/partners/{id}/invite", administers, form),
        post("/partners/{id}/invite", administers, invite).step_up("Invite this partner"),
    ]
}

#[derive(Template)]
#[template(path = "payees/invite.html")]
struct InvitePage {
    frame: Frame,
    partner: Partner,
    login: Option<&'static str>,
    made: Option<(String, When)>,
}

async fn page(
    db: &mut Db,
    context: &PageContext,
    partner: Partner,
    made: Option<Invitation>,
) -> Result<Response, Problem> {
    let login = people::of_partner(db, partner.id).await?.into_iter().next();
    let login = login.map(|login| match (login.disabled_at, login.password_hash) {
        (Some(_), _) => "They had a login, which was disabled.",
        (None, Some(_)) => "They have a login with a password. A new link lets them choose another password.",
        (None, None) => "They were invited but have not signed in yet. A new link replaces the previous one.",
    });
    let made = made.map(|made| (made.link, When(made.expires_at)));
    let frame = context.frame(format!("Invite {}", partner.name), MenuItem::Partners);
    context.show(&InvitePage { frame, partner, login, made })
}

async fn find(db: &mut Db, id: &str) -> Result<Partner, Problem> {
    programs::partner(db, RecordRef::Either(id)).await?.ok_or_else(Problem::missing)
}

async fn form(
    State(app): State<App>,
    context: PageContext,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let mut db = app.store.read().await?;
    let partner = find(&mut db, &id).await?;
    page(&mut db, &context, partner, None).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InviteFields {
    role: Option<String>,
}

async fn invite(
    State(app): State<App>,
    context: PageContext,
    Path(id): Path<String>,
    Form(sent): Form<InviteFields>,
) -> Result<Response, Problem> {
    let whole = sent.role.as_deref() == Some(Role::PartnerAdmin.as_str());
    let role = if whole { Role::PartnerAdmin } else { Role::Partner };
    let (made, context) = match invitations::invite(&app, &context.actor, &id, role).await {
        Ok(made) => (Some(made), context),
        Err(error) => (None, context.telling(Flash::refused(error)?)),
    };
    let mut db = app.store.read().await?;
    let partner = find(&mut db, &id).await?;
    page(&mut db, &context, partner, made).await
}
