//! The templates of notices: the list, and editing one, previewing it with real data, sending it to oneself, and restoring
//! an earlier version or the built-in one.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::Value;

use payout::access::Permission;
use payout::notice::{Audience, Notice};

use super::outbox::measured;
use crate::app::App;
use crate::mail::{Language, Parts, Template, Variable, sample, variables};
use crate::ops::OpsError;
use crate::ops::notices::{facts, post, templates};
use crate::store::outbox;
use crate::store::templates as kept;
use crate::web::kit::form::{Form, Query};
use crate::web::kit::format::When;
use crate::web::kit::history::names;
use crate::web::kit::layout::{Flash, Frame, MenuItem, PageContext};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, get, post as posted};

pub fn routes() -> Vec<Route> {
    let (reads, administers) = (Access::May(Permission::Read), Access::May(Permission::Administer));
    vec![
        get("/settings/notices", reads, list),
        get("/settings/notices/{notice}/{language}", reads, edit),
        posted("/settings/notices/{notice}/{language}", administers, save).step_up("Save this mail"),
        get("/settings/notices/{notice}/{language}/preview", reads, as_it_is),
        posted("/settings/notices/{notice}/{language}/preview", administers, preview),
        posted("/settings/notices/{notice}/{language}/test", administers, test),
        posted("/settings/notices/{notice}/{language}/restore", administers, restore)
            .step_up("Restore the built-in mail"),
    ]
}

struct ListRow {
    label: &'static str,
    to: String,
    /// Code, name, address, and whether it was changed. English only if no partner and no named
    /// address receives it.
    languages: Vec<(String, &'static str, String, bool)>,
    edited: bool,
}

#[derive(askama::Template)]
#[template(path = "notices/templates.html")]
struct ListPage {
    frame: Frame,
    /// By whom they go to.
    groups: Vec<(&'static str, Vec<ListRow>)>,
}

async fn list(State(app): State<App>, context: PageContext) -> Result<Response, Problem> {
    let edited = kept::edited(&mut app.store.read().await?).await?;
    let row = |notice: &Notice| {
        let is_edited = |language: Language| {
            edited.iter().any(|(of, written)| of == notice.as_str() && written == language.as_str())
        };
        let partner = notice.audience().iter().any(|audience| audience.is_partner());
        let offered =
            Language::ALL.into_iter().filter(|one| partner || *one == Language::En || is_edited(*one));
        let languages: Vec<_> = offered
            .map(|one| (one.as_str().to_uppercase(), one.label(), address(*notice, one), is_edited(one)))
            .collect();
        let to: Vec<&str> = notice.audience().iter().map(|audience| audience.label()).collect();
        let edited = languages.iter().any(|(.., edited)| *edited);
        ListRow { label: notice.label(), to: to.join(", "), languages, edited }
    };
    let mut groups: Vec<(&'static str, Vec<ListRow>)> = GROUPS.map(|name| (name, Vec::new())).into();
    for notice in Notice::ALL {
        groups[group(*notice)].1.push(row(notice));
    }
    let frame = context.frame("Notices", MenuItem::PayoutSettings);
    context.show(&ListPage { frame, groups })
}

const GROUPS: [&str; 4] = ["To partners", "To the person it is about", "To colleagues", "To administrators"];

/// The group of a notice: by whoever it is for first.
fn group(notice: Notice) -> usize {
    let to = notice.audience();
    if to.contains(&Audience::Partner) {
        0
    } else if to.contains(&Audience::Admins) {
        3
    } else if to.contains(&Audience::Named) {
        1
    } else {
        2
    }
}

fn address(notice: Notice, language: Language) -> String {
    format!("/settings/notices/{}/{}", notice.as_str(), language.as_str())
}

struct VersionRow {
    version: i64,
    at: When,
    by: String,
    built_in: bool,
    shown: bool,
}

#[derive(askama::Template)]
#[template(path = "notices/template.html")]
struct EditPage {
    frame: Frame,
    label: &'static str,
    address: String,
    languages: Vec<(&'static str, String, bool)>,
    subject: String,
    body: String,
    version: i64,
    /// The earlier version that is shown, if one is.
    earlier: Option<i64>,
    edited: bool,
    wrong: Option<String>,
    shown: Option<(String, String)>,
    with: String,
    variables: Vec<Variable>,
    versions: Vec<VersionRow>,
    test: Result<String, &'static str>,
    may: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ShowParams {
    /// An earlier version, to view and perhaps save again.
    version: Option<i64>,
}

fn named((notice, language): (String, String)) -> Result<(Notice, Language), Problem> {
    let language = Language::ALL.into_iter().find(|known| known.as_str() == language);
    Notice::parse(&notice).zip(language).ok_or_else(Problem::missing)
}

async fn edit(
    State(app): State<App>,
    context: PageContext,
    Path(path): Path<(String, String)>,
    Query(params): Query<ShowParams>,
) -> Result<Response, Problem> {
    let of = named(path)?;
    let (template, version) = version_of(&app, of, params.version).await?;
    page(&app, &context, of, template, version, (params.version, None)).await
}

/// The template in force or the named earlier one, with the number of the one in force.
async fn version_of(
    app: &App,
    of: (Notice, Language),
    earlier: Option<i64>,
) -> Result<(Template, i64), Problem> {
    let mut db = app.store.read().await?;
    let (template, version) = templates::in_force(&mut db, of.0, of.1).await?;
    let Some(earlier) = earlier else { return Ok((template, version)) };
    let versions = templates::history(&mut db, of.0, of.1).await?;
    let found = versions.into_iter().find(|one| one.version == earlier).ok_or_else(Problem::missing)?;
    let words = found.words.map(|(subject, body)| Template { subject, body });
    Ok((words.unwrap_or_else(|| of.1.built_in(of.0)), version))
}

async fn page(
    app: &App,
    context: &PageContext,
    (notice, language): (Notice, Language),
    template: Template,
    version: i64,
    (shown_version, wrong): (Option<i64>, Option<String>),
) -> Result<Response, Problem> {
    let (values, with) = values(app, notice, language).await?;
    let shown = template.render(language, &values).ok().map(|rendered| {
        let parts = Parts::of(language, &rendered.subject, &rendered.body, &app.base_url);
        (rendered.subject, parts.text)
    });
    let mut db = app.store.read().await?;
    let versions = templates::history(&mut db, notice, language).await?;
    let names = names(&mut db, versions.iter().map(|one| one.saved_by.as_str())).await?;
    let edited = versions.first().is_some_and(|newest| newest.words.is_some());
    let row = |one: kept::Version| VersionRow {
        version: one.version,
        at: When(one.saved_at),
        by: names.get(&one.saved_by).cloned().unwrap_or_default(),
        built_in: one.words.is_none(),
        shown: shown_version.unwrap_or(version) == one.version,
    };
    let page = EditPage {
        frame: context.frame(notice.label(), MenuItem::PayoutSettings),
        label: notice.label(),
        address: address(notice, language),
        languages: Language::ALL.map(|one| (one.label(), address(notice, one), one == language)).into(),
        subject: template.subject,
        body: template.body,
        version,
        earlier: shown_version,
        edited,
        shown,
        with,
        variables: variables(notice),
        versions: versions.into_iter().map(row).collect(),
        test: post::own_address(app, &context.actor).await?.ok_or("Your account has no e-mail address."),
        may: context.may(Permission::Administer),
        wrong,
    };
    let status = if page.wrong.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    Ok((status, context.show(&page)?).into_response())
}

/// The values for a preview: of the newest notice of its kind, or example values if there is none.
async fn values(app: &App, notice: Notice, language: Language) -> Result<(Value, String), Problem> {
    let mut db = app.store.read().await?;
    let newest = outbox::newest(&mut db, notice).await?.filter(|_| !notice.carries_secret());
    if let Some(outbox_notice) = newest
        && let Ok(facts) = facts::read(&mut db, &[outbox_notice], &app.base_url, app.clock.now()).await
    {
        let partner = notice.audience().iter().any(|audience| audience.is_partner());
        return Ok((
            facts.seen_by("Ana Lima", partner, language),
            "the newest notice of this kind".to_owned(),
        ));
    }
    Ok((sample(notice), "an example, because nothing of this kind has happened yet".to_owned()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FormInput {
    subject: Option<String>,
    body: Option<String>,
    version: Option<i64>,
}

impl FormInput {
    fn template(&self) -> Template {
        let body = self.body.as_deref().unwrap_or_default().replace("\r\n", "\n");
        // Its field grows over lines, but a subject is one.
        let subject = self.subject.as_deref().unwrap_or_default();
        Template { subject: subject.lines().collect::<Vec<_>>().join(" "), body }
    }
}

async fn save(
    State(app): State<App>,
    context: PageContext,
    Path(path): Path<(String, String)>,
    Form(typed): Form<FormInput>,
) -> Result<Response, Problem> {
    let of = named(path)?;
    let template = typed.template();
    match templates::save(&app, &context.actor, of, Some(&template), typed.version).await {
        Ok(version) => {
            Ok(Flash::good(format!("Version {version} is saved and in force.")).on(&address(of.0, of.1)))
        }
        Err(OpsError::Refused(refusal)) => {
            let wrong = format!("{} Nothing was saved.", refusal.sentence);
            page(&app, &context, of, template, typed.version.unwrap_or(0), (None, Some(wrong))).await
        }
        Err(error) => Ok(Flash::refused(error)?.on(&address(of.0, of.1))),
    }
}

/// The template in force, or an earlier version, as HTML for the frame beside it.
async fn as_it_is(
    State(app): State<App>,
    Path(path): Path<(String, String)>,
    Query(params): Query<ShowParams>,
) -> Result<Response, Problem> {
    let of = named(path)?;
    let (template, _) = version_of(&app, of, params.version).await?;
    in_a_frame(&app, of, &template).await
}

/// Renders the input as HTML without saving it. An invalid template shows its error instead.
async fn preview(
    State(app): State<App>,
    Path(path): Path<(String, String)>,
    Form(typed): Form<FormInput>,
) -> Result<Response, Problem> {
    in_a_frame(&app, named(path)?, &typed.template()).await
}

async fn in_a_frame(
    app: &App,
    (notice, language): (Notice, Language),
    template: &Template,
) -> Result<Response, Problem> {
    let (values, _) = values(app, notice, language).await?;
    let rendered = template.check(notice).and_then(|()| template.render(language, &values));
    let parts = match rendered {
        Ok(rendered) => Parts::of(language, &rendered.subject, &rendered.body, &app.base_url),
        Err(broken) => Parts::of(language, "", &broken.sentence(notice), &app.base_url),
    };
    Ok(measured(parts.html))
}

async fn test(
    State(app): State<App>,
    context: PageContext,
    Path(path): Path<(String, String)>,
    Form(typed): Form<FormInput>,
) -> Result<Response, Problem> {
    let of = named(path)?;
    let template = typed.template();
    let (values, _) = values(&app, of.0, of.1).await?;
    let flash = match post::test(&app, &context.actor, of, &template, &values).await {
        Ok(mail) if app.config.smtp_url.is_some() => Flash::good(format!(
            "A test mail is on its way to {}. It is {} in the outbox.",
            mail.recipient, mail.id
        )),
        Ok(mail) => {
            Flash::warn(format!("No mail server is set, so the test mail {} stays in the outbox.", mail.id))
        }
        Err(OpsError::Refused(refusal)) => {
            let wrong = format!("{} Nothing was sent.", refusal.sentence);
            return page(&app, &context, of, template, typed.version.unwrap_or(0), (None, Some(wrong))).await;
        }
        Err(error) => Flash::refused(error)?,
    };
    Ok(flash.on(&address(of.0, of.1)))
}

async fn restore(
    State(app): State<App>,
    context: PageContext,
    Path(path): Path<(String, String)>,
) -> Result<Response, Problem> {
    let of = named(path)?;
    let flash = match templates::save(&app, &context.actor, of, None, None).await {
        Ok(_) => Flash::good(
            "The built-in template is in force again. What was written before stays in the history.",
        ),
        Err(error) => Flash::refused(error)?,
    };
    Ok(flash.on(&address(of.0, of.1)))
}
