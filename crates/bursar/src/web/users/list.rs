//! People: everybody who signs in, with their role and when they were last active; and inviting a colleague. API keys are
//! in `api_keys`. Not here: inviting a partner, which starts on the partner's page (`payees::invite`).

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use payout::Refusal;
use payout::access::{Permission, Role};

use crate::app::App;
use crate::ops::OpsError;
use crate::ops::invitations::Invitation;
use crate::ops::people::team::{self, TeamMember};
use crate::store::roster::{self, Filter, Kind, Listed};
use crate::web::kit::form::{Form, ListQuery, Pager, encode_cursor};
use crate::web::kit::format::{Chip, When, when};
use crate::web::kit::layout::{Frame, MenuItem, PageContext};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, get, post};
use crate::web::kit::session::{SignedIn, is_fresh, prove_first};

/// Permission to see and change people and keys.
pub const ADMINISTERS: Access = Access::May(Permission::Administer);

pub fn routes() -> Vec<Route> {
    vec![
        get("/people", ADMINISTERS, list),
        get("/people/new", ADMINISTERS, form),
        post("/people/new", ADMINISTERS, invite),
    ]
}

/// The roles of our own people, to choose from.
pub fn our_roles() -> Vec<Role> {
    Role::ALL.iter().copied().filter(|role| !role.is_partners()).collect()
}

/// Whether somebody can sign in, as a chip.
pub fn chip(one: &Listed) -> Chip {
    match (one.disabled_at, one.has_password) {
        (Some(_), _) => Chip { tone: "bad", words: "Disabled" },
        (None, true) => Chip { tone: "fine", words: "Active" },
        (None, false) => Chip { tone: "wait", words: "Invited" },
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct ListParams {
    /// `partners` for the logins of partners.
    of: Option<String>,
    q: Option<String>,
    role: Option<String>,
    /// `active` or `out`.
    state: Option<String>,
}

impl ListParams {
    fn partners(&self) -> bool {
        self.of.as_deref() == Some("partners")
    }

    /// The filter for the database, or the invalid value.
    fn filter(&self, before: Option<String>) -> Result<Filter, String> {
        let odd = |word: &str| format!("There is no filter value “{word}”.");
        let kind = match self.of.as_deref() {
            None => Kind::Ours,
            Some("partners") => Kind::Partners,
            Some(word) => return Err(odd(word)),
        };
        let role = self.role.as_deref().map(|word| Role::parse(word).ok_or(odd(word))).transpose()?;
        let disabled = match self.state.as_deref() {
            None => None,
            Some("active") => Some(false),
            Some("out") => Some(true),
            Some(word) => return Err(odd(word)),
        };
        Ok(Filter { kind, q: self.q.clone(), role, disabled, before })
    }
}

struct Row {
    address: String,
    name: String,
    email: String,
    role: &'static str,
    partner: Option<(String, String)>,
    chip: Chip,
    seen: Option<When>,
}

impl From<Listed> for Row {
    fn from(one: Listed) -> Self {
        Self {
            address: format!("/people/{}", one.id),
            chip: chip(&one),
            name: one.name,
            email: one.email.unwrap_or_default(),
            role: one.role.label(),
            partner: one.partner.map(|(id, name)| (format!("/partners/{id}"), name)),
            seen: when(one.last_seen_at),
        }
    }
}

#[derive(Template)]
#[template(path = "users/list.html")]
struct ListPage {
    frame: Frame,
    ask: ListParams,
    roles: Vec<(&'static str, &'static str)>,
    problem: Option<String>,
    rows: Vec<Row>,
    turn: Pager,
    narrowed: bool,
}

impl ListPage {
    fn chosen(&self, chosen: &Option<String>, word: &str) -> bool {
        chosen.as_deref() == Some(word)
    }
}

async fn list(
    State(app): State<App>,
    context: PageContext,
    ListQuery(params, paging): ListQuery<ListParams>,
) -> Result<Response, Problem> {
    let before = paging.after_parts::<1>()?.map(|[id]| id);
    let (found, problem) = match params.filter(before) {
        Ok(filter) => (roster::list(&mut app.store.read().await?, &filter, paging.limit + 1).await?, None),
        Err(problem) => (Vec::new(), Some(problem)),
    };
    let limit = usize::try_from(paging.limit).unwrap_or(usize::MAX);
    let more = found.len() > limit;
    let next = found.iter().take(limit).next_back().filter(|_| more);
    let next = next.map(|last| encode_cursor(&[&last.id.to_string()]));
    let roles = Role::ALL.iter().filter(|role| role.is_partners() == params.partners());
    let page = ListPage {
        frame: context.frame("People", MenuItem::People),
        roles: roles.map(|role| (role.as_str(), role.label())).collect(),
        problem,
        turn: paging.turn(found.len().min(limit), next.as_deref(), None),
        rows: found.into_iter().take(limit).map(Row::from).collect(),
        narrowed: [&params.q, &params.role, &params.state].iter().any(|word| word.is_some()),
        ask: params,
    };
    context.show(&page)
}

#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FormInput {
    name: Option<String>,
    email: Option<String>,
    role: Option<String>,
}

#[derive(Template)]
#[template(path = "users/new.html")]
struct NewPage {
    frame: Frame,
    typed: FormInput,
    roles: Vec<Role>,
    wrong: Option<Refusal>,
    made: Option<Invitation>,
}

impl NewPage {
    /// The error of a field.
    fn at(&self, field: &str) -> Option<&str> {
        let wrong = self.wrong.as_ref()?;
        (wrong.field == Some(field)).then_some(wrong.sentence.as_str())
    }

    fn chosen(&self, role: &Role) -> bool {
        self.typed.role.as_deref() == Some(role.as_str())
    }
}

async fn form(
    State(app): State<App>,
    SignedIn(session): SignedIn,
    context: PageContext,
) -> Result<Response, Problem> {
    // Step up before the form, not after it: the input would be lost on the way.
    if !is_fresh(&session, app.clock.now()) {
        return Ok(prove_first("/people/new"));
    }
    new_page(&context, FormInput::default(), None, None)
}

fn new_page(
    context: &PageContext,
    typed: FormInput,
    wrong: Option<Refusal>,
    made: Option<Invitation>,
) -> Result<Response, Problem> {
    let status = if wrong.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let frame = context.frame("Invite a colleague", MenuItem::People);
    let page = NewPage { frame, typed, roles: our_roles(), wrong, made };
    Ok((status, context.show(&page)?).into_response())
}

async fn invite(
    State(app): State<App>,
    SignedIn(session): SignedIn,
    context: PageContext,
    Form(typed): Form<FormInput>,
) -> Result<Response, Problem> {
    if !is_fresh(&session, app.clock.now()) {
        return Ok(prove_first("/people/new"));
    }
    let Some(role) = typed.role.as_deref().and_then(Role::parse) else {
        let refusal = Refusal::new("missing", "Choose a role.").at("role");
        return new_page(&context, typed, Some(refusal), None);
    };
    let new = TeamMember {
        email: typed.email.clone().unwrap_or_default(),
        name: typed.name.clone().unwrap_or_default(),
        role,
    };
    match team::invite(&app, &context.actor, &new).await {
        Ok(made) => new_page(&context, FormInput::default(), None, Some(made)),
        Err(OpsError::Refused(refusal)) => new_page(&context, typed, Some(refusal), None),
        Err(error) => Err(error.into()),
    }
}
