//! The outbox: every mail, newest first, with its status; and one mail as its reader gets it.
//!
//! Its HTML is shown in a sandboxed frame: nothing in a template can run there.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use payout::access::Permission;
use payout::notice::Notice;

use crate::app::App;
use crate::mail::{Language, Parts};
use crate::ops::notices::post;
use crate::store::mails::{self, Filter, Mail, MailState};
use crate::web::kit::form::{Form, ListQuery, Pager, encode_cursor};
use crate::web::kit::format::{Chip, ShortTime, When, when};
use crate::web::kit::layout::{Flash, Frame, MenuItem, PageContext};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, get, post as posted};

pub fn routes() -> Vec<Route> {
    let (reads, administers) = (Access::May(Permission::Read), Access::May(Permission::Administer));
    vec![
        get("/outbox", reads, list),
        get("/outbox/{mail}", reads, show),
        get("/outbox/{mail}/html", reads, html),
        posted("/outbox/{mail}/again", administers, again),
        posted("/outbox/{mail}/link", administers, link).step_up("Show the link of this mail"),
        posted("/outbox/lift", administers, lift),
    ]
}

/// A mail, as a table row.
pub struct Row {
    /// Its id.
    pub id: String,
    pub title: String,
    pub recipient: String,
    pub notice: &'static str,
    pub chip: Chip,
    pub at: ShortTime,
}

impl Row {
    /// A mail in a list; `server` says whether a mail server is set.
    pub fn of(mail: Mail, server: bool) -> Self {
        Self {
            recipient: mail.shown_recipient(),
            id: mail.id,
            title: mail.title,
            notice: mail.notice.label(),
            chip: state_chip(mail.state, server),
            at: ShortTime(mail.created_at),
        }
    }
}

/// The state of a mail in the words of every page. Only what is wrong has a color.
fn state_chip(state: MailState, server: bool) -> Chip {
    let (tone, words) = match state {
        MailState::Waiting if !server => ("", "Not sent"),
        MailState::Waiting | MailState::Sent => ("", state.label()),
        MailState::Failed => ("bad", state.label()),
        MailState::Suppressed | MailState::Lapsed => ("warn", state.label()),
    };
    Chip { tone, words }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct ListParams {
    notice: Option<String>,
    recipient: Option<String>,
    state: Option<String>,
}

#[derive(Template)]
#[template(path = "notices/outbox.html")]
struct OutboxPage {
    frame: Frame,
    ask: ListParams,
    problem: Option<String>,
    rows: Vec<Row>,
    turn: Pager,
    narrowed: bool,
    server: bool,
    suppressed: Vec<(String, String, When)>,
    may: bool,
}

impl OutboxPage {
    fn is_notice(&self, notice: &Notice) -> bool {
        self.ask.notice.as_deref() == Some(notice.as_str())
    }

    fn state_word(&self, state: &MailState) -> &'static str {
        state_chip(*state, self.server).words
    }

    fn is_state(&self, state: &MailState) -> bool {
        self.ask.state.as_deref() == Some(state.as_str())
    }
}

async fn list(
    State(app): State<App>,
    context: PageContext,
    ListQuery(params, paging): ListQuery<ListParams>,
) -> Result<Response, Problem> {
    let mut db = app.store.read().await?;
    let mut problem = None;
    let notice = params.notice.as_deref().map(|word| Notice::parse(word).ok_or(word));
    let state = params.state.as_deref().map(|word| MailState::parse(word).ok_or(word));
    if let Some(Err(word)) = &notice {
        problem = Some(format!("There is no notice “{word}”."));
    } else if let Some(Err(word)) = &state {
        problem = Some(format!("There is no state “{word}”."));
    }
    let filter = Filter {
        notice: notice.and_then(Result::ok),
        recipient: params.recipient.as_ref().map(|address| address.trim().to_lowercase()),
        state: state.and_then(Result::ok),
        about: None,
        after: paging.after_parts::<1>()?.map(|[id]| id),
    };
    let mut found = match problem.is_none() {
        true => mails::list(&mut db, &filter, paging.limit + 1).await?,
        false => Vec::new(),
    };
    let limit = usize::try_from(paging.limit).unwrap_or(usize::MAX);
    let more = found.len() > limit;
    found.truncate(limit);
    let suppressed = mails::suppressions(&mut db, 50).await?;
    let narrowed = [&params.notice, &params.recipient, &params.state].iter().any(|word| word.is_some());
    let next = found.last().filter(|_| more).map(|last| encode_cursor(&[&last.id]));
    let page = OutboxPage {
        frame: context.frame("Outbox", MenuItem::Outbox),
        problem,
        turn: paging.turn(found.len(), next.as_deref(), None),
        rows: found.into_iter().map(|mail| Row::of(mail, app.config.smtp_url.is_some())).collect(),
        narrowed,
        server: app.config.smtp_url.is_some(),
        suppressed: suppressed.into_iter().map(|one| (one.address, one.why, When(one.at))).collect(),
        may: context.may(Permission::Administer),
        ask: params,
    };
    context.show(&page)
}

#[derive(Template)]
#[template(path = "notices/outbox_mail.html")]
struct MailPage {
    frame: Frame,
    id: String,
    title: String,
    chip: Chip,
    notice: &'static str,
    notice_word: &'static str,
    recipient: String,
    address: String,
    name: String,
    language: &'static str,
    template: String,
    about: Option<String>,
    text: String,
    written: When,
    sent: Option<When>,
    next: Option<When>,
    server: bool,
    tries: Vec<(When, String)>,
    answer: Option<String>,
    suppressed: Option<(String, When)>,
    given_up: bool,
    /// Whether it contains a secret link for its recipient that somebody must pass on.
    hands_on: bool,
    may: bool,
}

async fn show(
    State(app): State<App>,
    context: PageContext,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let mut db = app.store.read().await?;
    let mail = mails::find(&mut db, &id).await?;
    let language = Language::of(Some(&mail.language));
    let parts = parts(&app, &mail);
    let suppressed = mails::suppression(&mut db, &mail.recipient).await?;
    let recipient = mail.shown_recipient();
    let waiting = mail.state == MailState::Waiting && app.config.smtp_url.is_some();
    let page = MailPage {
        frame: context.frame("Outbox", MenuItem::Outbox),
        chip: state_chip(mail.state, app.config.smtp_url.is_some()),
        notice: mail.notice.label(),
        notice_word: mail.notice.as_str(),
        language: language.label(),
        template: match mail.template_version {
            0 => "built-in".to_owned(),
            version => format!("version {version}"),
        },
        about: about(&mail.about),
        text: parts.text,
        written: When(mail.created_at),
        sent: when(mail.sent_at),
        next: waiting.then_some(When(mail.next_at)),
        server: app.config.smtp_url.is_some(),
        tries: mails::tries(&mut db, &mail.id)
            .await?
            .into_iter()
            .map(|(at, said)| (When(at), said))
            .collect(),
        suppressed: suppressed.map(|one| (one.why, When(one.at))),
        given_up: matches!(mail.state, MailState::Failed | MailState::Suppressed | MailState::Lapsed),
        hands_on: mail.notice.carries_secret() && app.config.smtp_url.is_none(),
        may: context.may(Permission::Administer),
        id: mail.id,
        title: mail.title,
        recipient,
        address: mail.recipient,
        name: mail.recipient_name,
        answer: mail.answer,
    };
    context.show(&page)
}

/// Both parts of a mail, as shown to others than its recipient: without secret links.
fn parts(app: &App, mail: &Mail) -> Parts {
    let shown = match mail.notice.carries_secret() {
        true => post::without_links(&mail.body),
        false => mail.body.clone(),
    };
    Parts::of(Language::of(Some(&mail.language)), &mail.title, &shown, &app.base_url)
}

/// The page of a mail's subject.
fn about(id: &str) -> Option<String> {
    match id.split('_').next() {
        Some("rwd") => Some(format!("/rewards/{id}")),
        Some("bat") => Some(format!("/claims/{id}")),
        Some("ptx") => Some(format!("/transactions/{id}")),
        Some(_) | None => None,
    }
}

async fn html(State(app): State<App>, Path(id): Path<String>) -> Result<Response, Problem> {
    let mail = mails::find(&mut app.store.read().await?, &id).await?;
    Ok(framed(parts(&app, &mail).html))
}

/// A mail's HTML for a frame on our page: it can be displayed and do nothing else.
pub fn framed(html: String) -> Response {
    in_a_frame(html, "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'self'")
}

/// The same for a preview, of which our script reads how high it is. Nothing in it runs either.
pub fn measured(html: String) -> Response {
    in_a_frame(
        html,
        "default-src 'none'; style-src 'unsafe-inline'; sandbox allow-same-origin; frame-ancestors 'self'",
    )
}

fn in_a_frame(html: String, rules: &'static str) -> Response {
    let mut response = ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(rules));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("SAMEORIGIN"));
    response
}

#[derive(Template)]
#[template(path = "notices/outbox_link.html")]
struct LinkPage {
    frame: Frame,
    back: String,
    link: String,
}

/// The link is shown in this response only.
async fn link(
    State(app): State<App>,
    context: PageContext,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let back = format!("/outbox/{id}");
    match post::hand_on(&app, &context.actor, &id).await {
        Ok(link) => {
            context.show(&LinkPage { frame: context.frame("One-time link", MenuItem::Outbox), back, link })
        }
        Err(error) => Ok(Flash::refused(error)?.on(&back)),
    }
}

async fn again(
    State(app): State<App>,
    context: PageContext,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let flash = match post::again(&app, &context.actor, &id).await {
        Ok(()) => Flash::good("The mail is queued again."),
        Err(error) => Flash::refused(error)?,
    };
    Ok(flash.on(&format!("/outbox/{id}")))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UnblockAddress {
    address: Option<String>,
}

async fn lift(
    State(app): State<App>,
    context: PageContext,
    Form(sent): Form<UnblockAddress>,
) -> Result<Response, Problem> {
    let address = sent.address.unwrap_or_default();
    post::lift(&app, &context.actor, &address).await?;
    Ok(Flash::good(format!("The suppression of {address} is lifted.")).on("/outbox"))
}
