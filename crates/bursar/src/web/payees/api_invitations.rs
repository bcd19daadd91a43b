//! `POST /partners/{external_id}/invite`: a portal login for a partner.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json as JsonAnswer};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use payout::Refusal;
use payout::access::{Permission, Role};
use payout::scope::Scope;

use crate::app::App;
use crate::clock::rfc3339;
use crate::ops::{OpsError, invitations};
use crate::web::kit::extract::Json;
use crate::web::kit::form::NotKept;
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, post};
use crate::web::kit::session::CurrentActor;
use crate::web::kit::shapes;

pub fn routes() -> Vec<Route> {
    vec![
        post("/api/v1/partners/{id}/invite", Access::May(Permission::Administer), invite)
            .opened_by(Scope::Write)
            .says("Invite a partner, by their id or yours, to the portal; answers the one-time link")
            .takes::<Invite>()
            .answers::<InvitationJson>(201),
    ]
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Invite {
    /// `partner` (the default), or `partner_admin`, who sees their whole company.
    #[schema(value_type = Option<shapes::PartnerRole>)]
    role: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Invitation)]
struct InvitationJson {
    /// The address they will sign in with.
    email: String,
    /// Their role.
    #[schema(value_type = shapes::PartnerRole)]
    role: &'static str,
    /// Works once; a new invitation invalidates it.
    link: String,
    /// When it expires.
    expires_at: String,
}

async fn invite(
    State(app): State<App>,
    CurrentActor(actor): CurrentActor,
    Path(id): Path<String>,
    Json(sent): Json<Invite>,
) -> Result<(StatusCode, Extension<NotKept>, JsonAnswer<InvitationJson>), Problem> {
    let role = Role::parse(sent.role.as_deref().unwrap_or(Role::Partner.as_str())).ok_or_else(|| {
        let message = "A partner can be invited as partner or as partner_admin.";
        OpsError::from(Refusal::new("unknown_value", message).at("role"))
    })?;
    let made = invitations::invite(&app, &actor, &id, role).await?;
    let answer = InvitationJson {
        email: made.email,
        role: made.role.as_str(),
        link: made.link,
        expires_at: rfc3339(made.expires_at),
    };
    Ok((StatusCode::CREATED, Extension(NotKept), JsonAnswer(answer)))
}
