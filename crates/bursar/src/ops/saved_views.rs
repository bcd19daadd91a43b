//! Saved views of the rewards list: saving, renaming, sharing and deleting. Not here: running their query.

use payout::Refusal;
use payout::access::{Permission, allows};
use serde_json::json;

use super::{OpsError, Result};
use crate::app::{Actor, App};
use crate::store::saved_views::{self as views, SavedView};
use crate::store::{Db, Tx, audit};
use crate::transact;

const MOST: i64 = 50;
const LONGEST: usize = 60;

/// Saves a list query under a name, replacing the person's own view with that name. Returns its id.
///
/// # Errors
/// An invalid name, or too many views.
pub async fn save(app: &App, actor: &Actor, name: &str, query: &str, shared: bool) -> Result<String> {
    let now = app.clock.now();
    let name = named(name)?;
    transact!(app, |tx| {
        if views::count(tx, actor.id).await? >= MOST {
            let message = format!("You have {MOST} saved views, which is the maximum. Delete one first.");
            return Err(Refusal::new("too_many", message).into());
        }
        let view = SavedView {
            id: format!("sv_{}", payout::ids::encode(payout::ids::fresh(now, app.clock.in_turn()))),
            person: actor.id,
            person_name: actor.name.clone(),
            name: name.clone(),
            query: query.to_owned(),
            shared_at: shared.then_some(now),
        };
        let id = views::save(tx, &view, now).await?;
        note(tx, now, actor, "view_saved", &id, &view);
        Ok(id)
    })
}

/// Renames one of the person's own views, and shares or unshares it.
///
/// # Errors
/// If it is not theirs, or another of theirs has this name.
pub async fn rename(app: &App, actor: &Actor, id: &str, name: &str, shared: bool) -> Result<()> {
    let now = app.clock.now();
    let name = named(name)?;
    transact!(app, |tx| {
        let view = find(tx, actor, id).await?;
        if !may_rename(actor, &view) {
            return Err(Refusal::new("not_yours", "Only the person who saved a view can rename it.").into());
        }
        let others = views::of(tx, actor.id).await?;
        if others.iter().any(|other| other.person == actor.id && other.id != id && other.name == name) {
            let message = format!("You already have a view called “{name}”; choose another name.");
            return Err(Refusal::new("name_taken", message).at("name").into());
        }
        let shared_at = shared.then_some(view.shared_at.unwrap_or(now));
        if !views::rename(tx, id, &name, shared_at, now).await? {
            return Err(OpsError::Missing);
        }
        note(tx, now, actor, "view_renamed", id, &SavedView { name: name.clone(), shared_at, ..view });
        Ok(())
    })
}

/// Deletes one of the person's own views; an administrator may delete shared ones, too.
///
/// # Errors
/// If they may not delete it.
pub async fn delete(app: &App, actor: &Actor, id: &str) -> Result<()> {
    let now = app.clock.now();
    transact!(app, |tx| {
        let view = find(tx, actor, id).await?;
        if !may_delete(actor, &view) {
            let message = "Only the person who saved a view, or an administrator, can delete it.";
            return Err(Refusal::new("not_yours", message).into());
        }
        if !views::delete(tx, id).await? {
            return Err(OpsError::Missing);
        }
        note(tx, now, actor, "view_deleted", id, &view);
        Ok(())
    })
}

/// Whether the actor may rename it.
pub fn may_rename(actor: &Actor, view: &SavedView) -> bool {
    view.person == actor.id
}

/// Whether the actor may delete it.
pub fn may_delete(actor: &Actor, view: &SavedView) -> bool {
    may_rename(actor, view) || (view.shared_at.is_some() && allows(actor.role, Permission::Administer))
}

async fn find(db: &mut Db, actor: &Actor, id: &str) -> Result<SavedView> {
    views::find(db, id, actor.id).await?.ok_or(OpsError::Missing)
}

fn named(name: &str) -> std::result::Result<String, Refusal> {
    let name = name.trim();
    if (1..=LONGEST).contains(&name.chars().count()) {
        return Ok(name.to_owned());
    }
    let message = format!("Give the view a name of at most {LONGEST} characters.");
    Err(Refusal::new("invalid_name", message).at("name"))
}

fn note(tx: &mut Tx, at: i64, actor: &Actor, action: &'static str, id: &str, view: &SavedView) {
    let shared = if view.shared_at.is_some() { "with everybody" } else { "with nobody" };
    let detail = json!({"name": view.name, "query": view.query, "shared": shared}).to_string();
    tx.audit(audit::Entry { at, actor: actor.id.to_string(), action, subject: id.to_owned(), detail });
}
