//! API keys: who made which and when each was last used; making one, which is shown this once; taking one away.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use payout::Refusal;
use payout::access::Role;
use payout::ids::PersonId;

use super::super::frame::{Frame, Place, Told, Visit};
use super::super::history;
use super::super::words::{Chip, When, when};
use super::ADMINISTERS;
use crate::app::App;
use crate::ops::OpsError;
use crate::ops::people::{self, NewKey};
use crate::store::roster::{self, Filter, Kind, Listed};
use crate::web::fault::Fault;
use crate::web::form::{Form, ListQuery, sealed};
use crate::web::session::{SignedIn, is_fresh, prove_first};
use crate::web::{Route, get, post};

const PAGE: &str = "/keys";

/// The rows of the route table.
pub(super) fn routes() -> Vec<Route> {
    vec![
        get(PAGE, ADMINISTERS, list),
        get("/keys/new", ADMINISTERS, form),
        post("/keys/new", ADMINISTERS, make),
        get("/keys/{id}/revoke", ADMINISTERS, ask_revoke),
        post("/keys/{id}/revoke", ADMINISTERS, revoke),
    ]
}

struct Row {
    id: String,
    name: String,
    role: &'static str,
    partner: Option<(String, String)>,
    scopes: String,
    hint: String,
    seen: Option<When>,
    made: When,
    made_by: String,
    gone: Option<When>,
}

impl Row {
    fn of(one: Listed, made_by: String) -> Self {
        Self {
            id: one.id.to_string(),
            name: one.name,
            role: one.role.label(),
            partner: one.partner.map(|(id, name)| (format!("/partners/{id}"), name)),
            scopes: one.scopes.replace(',', ", "),
            hint: one.hint.unwrap_or_default(),
            seen: when(one.last_seen_at),
            made: When(one.created_at),
            made_by,
            gone: when(one.disabled_at),
        }
    }

    fn chip(&self) -> Chip {
        match self.gone {
            Some(_) => Chip { tone: "bad", words: "Revoked" },
            None => Chip { tone: "good", words: "Works" },
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Ask {
    /// `yes`: revoked ones too.
    revoked: Option<String>,
}

#[derive(Template)]
#[template(path = "keys.html")]
struct ListPage {
    frame: Frame,
    /// Revoked ones are shown too.
    all: bool,
    rows: Vec<Row>,
    next: Option<String>,
}

async fn list(
    State(app): State<App>,
    visit: Visit,
    ListQuery(ask, paging): ListQuery<Ask>,
) -> Result<Response, Fault> {
    let all = ask.revoked.as_deref() == Some("yes");
    let filter = Filter {
        kind: Kind::Keys,
        disabled: (!all).then_some(false),
        before: paging.after_parts::<1>()?.map(|[id]| id),
        ..Filter::default()
    };
    let mut db = app.store.read().await?;
    let found = roster::list(&mut db, &filter, paging.limit + 1).await?;
    let limit = usize::try_from(paging.limit).unwrap_or(usize::MAX);
    let more = found.len() > limit;
    let next = found.iter().take(limit).next_back().filter(|_| more).map(|last| {
        let all = if all { "revoked=yes&" } else { "" };
        format!("{PAGE}?{all}after={}", sealed(&[&last.id.to_string()]))
    });
    let names = history::names(&mut db, found.iter().filter_map(|one| one.made_by.as_deref())).await?;
    let row = |one: Listed| {
        let by = one.made_by.as_ref().and_then(|by| names.get(by).cloned()).unwrap_or_default();
        Row::of(one, by)
    };
    let rows = found.into_iter().take(limit).map(row).collect();
    visit.show(&ListPage { frame: visit.frame("API keys", Place::People), all, rows, next })
}

/// What was typed.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Typed {
    name: Option<String>,
    role: Option<String>,
    partner: Option<String>,
    read: Option<String>,
    write: Option<String>,
    release: Option<String>,
}

#[derive(Template)]
#[template(path = "key_new.html")]
struct NewPage {
    frame: Frame,
    typed: Typed,
    wrong: Option<Refusal>,
    made: Option<String>,
}

impl NewPage {
    /// What is wrong with a field.
    fn at(&self, field: &str) -> Option<&str> {
        let wrong = self.wrong.as_ref()?;
        (wrong.field == Some(field)).then_some(wrong.sentence.as_str())
    }

    fn chosen(&self, role: &Role) -> bool {
        self.typed.role.as_deref() == Some(role.as_str())
    }
}

fn new_page(
    visit: &Visit,
    typed: Typed,
    wrong: Option<Refusal>,
    made: Option<String>,
) -> Result<Response, Fault> {
    let status = if wrong.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let page = NewPage { frame: visit.frame("New API key", Place::People), typed, wrong, made };
    Ok((status, visit.show(&page)?).into_response())
}

async fn form(State(app): State<App>, SignedIn(session): SignedIn, visit: Visit) -> Result<Response, Fault> {
    if !is_fresh(&session, app.clock.now()) {
        return Ok(prove_first("/keys/new"));
    }
    let typed = Typed { read: Some("yes".to_owned()), ..Typed::default() };
    new_page(&visit, typed, None, None)
}

async fn make(
    State(app): State<App>,
    SignedIn(session): SignedIn,
    visit: Visit,
    Form(typed): Form<Typed>,
) -> Result<Response, Fault> {
    if !is_fresh(&session, app.clock.now()) {
        return Ok(prove_first("/keys/new"));
    }
    let Some(role) = typed.role.as_deref().and_then(Role::parse) else {
        let refusal = Refusal::new("missing", "Choose what the key may do.").at("role");
        return new_page(&visit, typed, Some(refusal), None);
    };
    let new = NewKey {
        name: typed.name.clone().unwrap_or_default(),
        role,
        partner: typed.partner.clone(),
        may_read: typed.read.is_some(),
        may_write: typed.write.is_some(),
        may_release: typed.release.is_some(),
    };
    match people::make_key(&app, &visit.actor.id.to_string(), &new).await {
        Ok(key) => new_page(&visit, typed, None, Some(key)),
        Err(OpsError::Refused(refusal)) => new_page(&visit, typed, Some(refusal), None),
        Err(error) => Err(error.into()),
    }
}

#[derive(Template)]
#[template(path = "key_revoke.html")]
struct RevokePage {
    frame: Frame,
    row: Row,
}

async fn ask_revoke(State(app): State<App>, visit: Visit, Path(id): Path<String>) -> Result<Response, Fault> {
    let id = PersonId::parse(&id).ok_or_else(Fault::missing)?;
    let one = roster::one(&mut app.store.read().await?, id).await?.filter(|one| one.email.is_none());
    let one = one.ok_or_else(Fault::missing)?;
    let frame = visit.frame(format!("Revoke {}?", one.name), Place::People);
    visit.show(&RevokePage { frame, row: Row::of(one, String::new()) })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

async fn revoke(
    State(app): State<App>,
    visit: Visit,
    Path(id): Path<String>,
    Form(Nothing {}): Form<Nothing>,
) -> Result<Response, Fault> {
    let id = PersonId::parse(&id).ok_or_else(Fault::missing)?;
    people::revoke(&app, &visit.actor, id).await?;
    Ok(Told::good("The key is revoked. Whatever still sends it is refused.").on(PAGE))
}
