//! Concurrent edits of a reward: the second person sees their input next to the current values, and who changed them, and
//! can apply it again or discard it. The input is kept on the page only.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::ops::OpsError;
use crate::store::rewards::Reward;
use crate::store::{Db, audit};
use crate::web::kit::action_words;
use crate::web::kit::format::When;
use crate::web::kit::history;
use crate::web::kit::layout::{Frame, MenuItem, PageContext};
use crate::web::kit::problem::Problem;

/// One field of the input.
pub struct ConflictField {
    pub field: &'static str,
    pub typed: String,
    pub now: String,
}

/// An edit that failed because somebody else was first.
pub struct EditConflict {
    /// The target of the form for trying again.
    pub action: String,
    /// The input next to the current values.
    pub lines: Vec<ConflictField>,
    /// All fields that the form sends again.
    pub fields: Vec<(&'static str, String)>,
    pub again: &'static str,
    /// Why it cannot be applied to the current version.
    pub why_not: Option<String>,
}

/// Whether a verb did nothing because somebody else was first.
pub fn is_conflict(error: &OpsError) -> bool {
    let OpsError::Conflict(refusal) = error else { return false };
    matches!(refusal.code, "precondition_failed" | "changed_meanwhile")
}

#[derive(Template)]
#[template(path = "rewards/edit_conflict.html")]
struct EditConflictPage {
    frame: Frame,
    number: String,
    clash: EditConflict,
    /// Who changed it, when, and what they did.
    last: Option<(String, When, String)>,
}

pub async fn show(
    db: &mut Db,
    context: &PageContext,
    reward: &Reward,
    clash: EditConflict,
) -> Result<Response, Problem> {
    let rows = audit::newest(db, Some(&reward.entered.id.to_string()), i64::MAX, 1).await?;
    let last = match rows.into_iter().next() {
        Some(row) => {
            let by = history::names(db, std::iter::once(row.actor.as_str())).await?.remove(&row.actor);
            Some((by.unwrap_or_default(), When(row.at), action_words::done(&row.action)))
        }
        None => None,
    };
    let number = reward.number();
    let frame = context.frame(format!("{number} has changed"), MenuItem::Rewards);
    let page = context.show(&EditConflictPage { frame, number, clash, last })?;
    Ok((StatusCode::CONFLICT, page).into_response())
}
