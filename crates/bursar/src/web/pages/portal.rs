//! What a partner sees: his own rewards, or as administrator of his account all of its, each with its status and, where
//! a reviewer lets him see it, the reason. What is deliberately not here: anything of somebody else's.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use payout::access::{Permission, Role};

use super::frame::{Frame, Place, Visit};
use super::words::{Chip, Value, When, reward_chip};
use crate::app::App;
use crate::ops::rewards::after;
use crate::store::rewards::{self, Filter, Sort, Visible, Window};
use crate::web::fault::Fault;
use crate::web::form::{ListQuery, sealed};
use crate::web::{Need, Route, get};

/// The rows of the route table.
#[must_use]
pub fn routes() -> Vec<Route> {
    vec![get("/", Need::Login, home), get("/portal", Need::May(Permission::ReadOwn), portal)]
}

/// Everybody begins where his work is.
async fn home(visit: Visit) -> Redirect {
    Redirect::to(if visit.may(Permission::Read) { "/rewards" } else { "/portal" })
}

struct Row {
    number: String,
    owner: String,
    activity: String,
    value: Value,
    clawback: bool,
    chip: Chip,
    reason: Option<String>,
    paid_on: Option<String>,
    created: When,
}

#[derive(Template)]
#[template(path = "portal.html")]
struct PortalPage {
    frame: Frame,
    company: bool,
    rows: Vec<Row>,
    next: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ask {}

async fn portal(
    State(app): State<App>,
    visit: Visit,
    ListQuery(Ask {}, paging): ListQuery<Ask>,
) -> Result<Response, Fault> {
    let Some(partner) = visit.actor.partner else { return Ok(Redirect::to("/rewards").into_response()) };
    let company = visit.actor.role == Role::PartnerAdmin;
    let visible = if company { Visible::CompanyOf(partner) } else { Visible::Of(partner) };
    let filter = Filter { visible, ..Filter::default() };
    let place = paging.after_parts::<2>()?.and_then(|[key, id]| Some((key.parse().ok()?, id)));
    let window = Window { sort: Sort::CreatedAt, descending: true, after: place, limit: paging.limit + 1 };
    let now = app.clock.now();
    let mut found = rewards::list(&mut app.store.read().await?, &filter, &window, now).await?;
    let limit = usize::try_from(paging.limit).unwrap_or(usize::MAX);
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|last| {
        let (key, id) = after(last, Sort::CreatedAt);
        format!("/portal?after={}", sealed(&[&key.to_string(), &id]))
    });
    let rows = found.into_iter().map(|reward| Row {
        number: reward.number(),
        chip: reward_chip(reward.shown(now)),
        value: Value(reward.entered.worth),
        clawback: reward.entered.entry == payout::reward::Entry::Clawback,
        reason: reward.reason_shown_at.and(reward.entered.reason.clone()),
        paid_on: reward.paid_at.map(crate::clock::date),
        created: When(reward.entered.created_at),
        owner: reward.owner.name,
        activity: reward.activity.name,
    });
    let rows = rows.collect();
    visit.show(&PortalPage { frame: visit.frame("Your rewards", Place::Rewards), company, rows, next })
}
