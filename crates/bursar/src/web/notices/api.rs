//! `/outbox` and `/settings/notices`: the mails that were sent, and their templates.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use payout::access::Permission;
use payout::notice::Notice;

use crate::app::App;
use crate::clock::rfc3339;
use crate::mail::{Language, Template, variables};
use crate::ops::notices::templates;
use crate::store::mails::{self, Filter, Mail, MailState};
use crate::web::kit::extract::Json;
use crate::web::kit::form::{ListQuery, encode_cursor};
use crate::web::kit::json::{Page, etag, if_match};
use crate::web::kit::problem::{FieldError, Problem};
use crate::web::kit::route::{Access, Route, get, put};
use crate::web::kit::session::CurrentActor;
use crate::web::kit::shapes;

const TEMPLATE: &str = "/api/v1/settings/notices/{notice}/{language}";

pub fn routes() -> Vec<Route> {
    let (reads, administers) = (Access::May(Permission::Read), Access::May(Permission::Administer));
    vec![
        get("/api/v1/outbox", reads, list)
            .says("Mails, newest first: what was told to whom, and what became of it")
            .by_pages()
            .filters::<ListParams>()
            .answers_page::<MailJson>(),
        get(TEMPLATE, reads, read)
            .names::<shapes::NoticeName>("notice")
            .names::<shapes::Language>("language")
            .tagged()
            .says("The template of a notice in a language, with its ETag and what it may use")
            .answers::<TemplateJson>(200),
        put(TEMPLATE, administers, write)
            .names::<shapes::NoticeName>("notice")
            .names::<shapes::Language>("language")
            .tagged()
            .takes_tag()
            .says("Save a template; without `subject` and `body` the built-in one is in force again")
            .takes::<Change>()
            .answers::<TemplateJson>(200),
    ]
}

shapes::shapes! {
    MailStateName, "What became of a mail." => shapes::one_of(MailState::ALL.iter().map(|it| it.as_str()));
}

#[derive(Serialize, ToSchema)]
#[schema(as = Mail)]
struct MailJson {
    id: String,
    /// The kind of notice.
    #[schema(value_type = shapes::NoticeName)]
    notice: &'static str,
    /// The id of its subject.
    about: String,
    /// The address; masked if it is a payee's destination.
    recipient: String,
    language: String,
    /// Its subject line.
    subject: String,
    /// `waiting`, `sent`, `failed`, `suppressed` or `lapsed` (too old to be sent).
    #[schema(value_type = MailStateName)]
    state: &'static str,
    tries: i64,
    /// The last response of the mail server.
    answer: Option<String>,
    created_at: String,
    sent_at: Option<String>,
}

impl From<Mail> for MailJson {
    fn from(mail: Mail) -> Self {
        Self {
            recipient: mail.shown_recipient(),
            id: mail.id,
            notice: mail.notice.as_str(),
            about: mail.about,
            language: mail.language,
            subject: mail.title,
            state: mail.state.as_str(),
            tries: mail.tries,
            answer: mail.answer,
            created_at: rfc3339(mail.created_at),
            sent_at: mail.sent_at.map(rfc3339),
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct ListParams {
    /// Only mails of this notice, such as `payment_failed`.
    #[param(value_type = Option<shapes::NoticeName>, inline)]
    notice: Option<String>,
    /// Only mails to this address.
    recipient: Option<String>,
    #[param(value_type = Option<MailStateName>, inline)]
    state: Option<String>,
    /// Only mails about this reward, transaction, payee or batch, by its id.
    about: Option<String>,
}

async fn list(
    State(app): State<App>,
    ListQuery(params, paging): ListQuery<ListParams>,
) -> Result<axum::Json<Page<MailJson>>, Problem> {
    let unknown = |name: &str, word: &str| {
        let detail = format!("There is no {name} `{word}`.");
        Problem::field(FieldError { pointer: format!("/{name}"), code: "unknown_value", detail })
    };
    let notice = params.notice.map(|word| Notice::parse(&word).ok_or_else(|| unknown("notice", &word)));
    let state = params.state.map(|word| MailState::parse(&word).ok_or_else(|| unknown("state", &word)));
    let filter = Filter {
        notice: notice.transpose()?,
        recipient: params.recipient.map(|address| address.to_lowercase()),
        state: state.transpose()?,
        about: params.about,
        after: paging.after_parts::<1>()?.map(|[id]| id),
    };
    let found = mails::list(&mut app.store.read().await?, &filter, paging.limit + 1).await?;
    let key = |mail: &Mail| encode_cursor(&[&mail.id]);
    Ok(axum::Json(Page::of(found, paging.limit, key, MailJson::from)))
}

#[derive(Serialize, ToSchema)]
#[schema(as = NoticeTemplate)]
struct TemplateJson {
    #[schema(value_type = shapes::NoticeName)]
    notice: &'static str,
    #[schema(value_type = shapes::Language)]
    language: &'static str,
    subject: String,
    body: String,
    /// 0 until it is first saved.
    version: i64,
    /// The variables that subject and body may use.
    variables: Vec<&'static str>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NoticeTemplateChange)]
struct Change {
    #[schema(min_length = 1)]
    subject: Option<String>,
    #[schema(min_length = 1)]
    body: Option<String>,
}

fn named(notice: &str, language: &str) -> Result<(Notice, Language), Problem> {
    let language = Language::ALL.into_iter().find(|known| known.as_str() == language);
    Notice::parse(notice).zip(language).ok_or_else(Problem::missing)
}

async fn in_force(app: &App, (notice, language): (Notice, Language)) -> Result<TemplateJson, Problem> {
    let (template, version) = templates::in_force(&mut app.store.read().await?, notice, language).await?;
    Ok(TemplateJson {
        notice: notice.as_str(),
        language: language.as_str(),
        subject: template.subject,
        body: template.body,
        version,
        variables: variables(notice).iter().map(|variable| variable.name).collect(),
    })
}

async fn read(
    State(app): State<App>,
    Path((notice, language)): Path<(String, String)>,
) -> Result<Response, Problem> {
    Ok(answer(&in_force(&app, named(&notice, &language)?).await?))
}

async fn write(
    State(app): State<App>,
    CurrentActor(actor): CurrentActor,
    Path((notice, language)): Path<(String, String)>,
    headers: HeaderMap,
    Json(change): Json<Change>,
) -> Result<Response, Problem> {
    let of = named(&notice, &language)?;
    let template = match (change.subject, change.body) {
        (Some(subject), Some(body)) => Some(Template { subject, body }),
        (None, None) => None,
        (Some(_), None) => return Err(missing("body")),
        (None, Some(_)) => return Err(missing("subject")),
    };
    match templates::save(&app, &actor, of, template.as_ref(), if_match(&headers)).await {
        Ok(_) => Ok(answer(&in_force(&app, of).await?)),
        Err(error) => {
            let problem = Problem::from(error);
            if problem.code() != "precondition_failed" {
                return Err(problem);
            }
            Err(Problem::stale(json!(in_force(&app, of).await?)))
        }
    }
}

fn missing(name: &str) -> Problem {
    let detail = "Send subject and body together, or neither to restore the built-in template.".to_owned();
    Problem::field(FieldError { pointer: format!("/{name}"), code: "missing", detail })
}

fn answer(template: &TemplateJson) -> Response {
    ([(header::ETAG, etag(template.version))], axum::Json(template)).into_response()
}
