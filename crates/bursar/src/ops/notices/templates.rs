//! The templates of notices: the one in force, saving a new version, and returning to the built-in one.

use payout::Refusal;
use payout::notice::Notice;
use serde_json::json;

use crate::app::{Actor, App};
use crate::mail::{Language, Template};
use crate::ops::settings::lowering;
use crate::ops::{Result, settings};
use crate::store::templates::{self, Version};
use crate::store::{self, Db, audit};
use crate::transact;

/// How many versions of a template are shown.
const SHOWN: i64 = 50;

/// The template in force and its version; version 0 is the built-in one, never changed.
pub async fn in_force(db: &mut Db, notice: Notice, language: Language) -> store::Result<(Template, i64)> {
    let newest = templates::versions(db, notice, language.as_str(), 1).await?.into_iter().next();
    let version = newest.as_ref().map_or(0, |newest| newest.version);
    let words = newest.and_then(|newest| newest.words).filter(|_| !notice.is_fixed());
    let template = words.map(|(subject, body)| Template { subject, body });
    Ok((template.unwrap_or_else(|| language.built_in(notice)), version))
}

/// The saved versions, newest first.
pub async fn history(db: &mut Db, notice: Notice, language: Language) -> store::Result<Vec<Version>> {
    templates::versions(db, notice, language.as_str(), SHOWN).await
}

/// Saves a template, or with `None` returns to the built-in one. `expected` is the version the caller saw, if given.
/// Returns the new version.
///
/// # Errors
/// A refusal with field, line and problem if the template is invalid; `precondition_failed` if somebody else has saved one
/// since.
pub async fn save(
    app: &App,
    actor: &Actor,
    (notice, language): (Notice, Language),
    template: Option<&Template>,
    expected: Option<i64>,
) -> Result<i64> {
    let template = template.map(|template| Template {
        subject: template.subject.trim().to_owned(),
        // Browsers send line ends as CRLF.
        body: template.body.replace("\r\n", "\n").trim().to_owned(),
    });
    if template.is_some() && notice.is_fixed() {
        let message = "This mail always has Bursar's own text, so that a person who weakens a safeguard cannot choose how others are told. Nothing was saved.";
        return Err(Refusal::new("template_fixed", message).at("body").into());
    }
    if let Some(template) = &template {
        template
            .check(notice)
            .map_err(|broken| Refusal::new("template_broken", broken.sentence(notice)).at(broken.field))?;
    }
    transact!(app, |tx| {
        let now = app.clock.now();
        lowering::by_people(tx, actor, "change the words of mails").await?;
        let (_, seen) = in_force(tx, notice, language).await?;
        if expected.is_some_and(|expected| expected != seen) {
            return Err(settings::stale());
        }
        let version = Version {
            notice,
            language: language.as_str().to_owned(),
            version: seen + 1,
            words: template.clone().map(|template| (template.subject, template.body)),
            saved_at: now,
            saved_by: actor.id.to_string(),
        };
        if !templates::insert(tx, &version).await? {
            return Err(settings::stale());
        }
        let action = if template.is_some() { "template_saved" } else { "template_restored" };
        tx.audit(audit::Entry {
            at: now,
            actor: actor.id.to_string(),
            action,
            subject: format!("settings:notices/{}/{}", notice.as_str(), language.as_str()),
            detail: json!({"version": version.version}).to_string(),
        });
        Ok(version.version)
    })
}
