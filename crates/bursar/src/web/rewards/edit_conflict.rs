//! Two people at one reward: the second sees side by side what they typed and what it is now, and by whom, and applies
//! theirs again on that or drops it. What they typed is on the page and nowhere else, so nothing of it is lost and nothing
//! is kept.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::ops::OpsError;
use crate::store::rewards::Reward;
use crate::store::{Db, audit};
use crate::web::kit::format::{When, plain};
use crate::web::kit::history;
use crate::web::kit::layout::{Frame, Place, Visit};
use crate::web::kit::problem::Fault;

/// One field of what was typed.
pub struct Side {
    pub field: &'static str,
    pub typed: String,
    pub now: String,
}

/// What could not be done because somebody else was first.
pub struct Clash {
    /// Where the form goes again.
    pub action: String,
    /// What is typed beside what is.
    pub lines: Vec<Side>,
    /// Everything that the form sends again.
    pub fields: Vec<(&'static str, String)>,
    pub again: &'static str,
    /// Why it cannot be done on what is there now.
    pub why_not: Option<String>,
}

/// Whether a verb did nothing because somebody else was first.
pub fn is_clash(error: &OpsError) -> bool {
    let OpsError::Conflict(refusal) = error else { return false };
    matches!(refusal.code, "precondition_failed" | "changed_meanwhile")
}

#[derive(Template)]
#[template(path = "rewards/edit_conflict.html")]
struct ClashPage {
    frame: Frame,
    number: String,
    clash: Clash,
    /// Who changed it, when, and what they did.
    last: Option<(String, When, String)>,
}

pub async fn show(db: &mut Db, visit: &Visit, reward: &Reward, clash: Clash) -> Result<Response, Fault> {
    let rows = audit::newest(db, Some(&reward.entered.id.to_string()), i64::MAX, 1).await?;
    let last = match rows.into_iter().next() {
        Some(row) => {
            let by = history::names(db, std::iter::once(row.actor.as_str())).await?.remove(&row.actor);
            Some((by.unwrap_or_default(), When(row.at), plain(&row.action)))
        }
        None => None,
    };
    let number = reward.number();
    let frame = visit.frame(format!("{number} has changed"), Place::Rewards);
    let page = visit.show(&ClashPage { frame, number, clash, last })?;
    Ok((StatusCode::CONFLICT, page).into_response())
}
