//! API keys: who made them, when they expire, and when and from where they were last used; creating one, which is shown
//! once; allowed addresses, and whether they are required; revoking.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use payout::Refusal;
use payout::access::Role;
use payout::ids::PersonId;
use payout::scope::{Scope, Scopes};

use super::list::ADMINISTERS;
use crate::app::App;
use crate::ops::OpsError;
use crate::ops::people::keys::{self, KeyStatus, USUAL_DAYS};
use crate::ops::people::{self, NewKey};
use crate::store::roster::{self, Filter, Kind, Listed};
use crate::web::kit::form::{Form, ListQuery, encode_cursor};
use crate::web::kit::format::{Chip, When, when};
use crate::web::kit::history;
use crate::web::kit::layout::{Flash, Frame, MenuItem, PageContext};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Route, get, post};
use crate::web::kit::session::{SignedIn, is_fresh, prove_first};

const PAGE: &str = "/keys";

pub(super) fn routes() -> Vec<Route> {
    vec![
        get(PAGE, ADMINISTERS, list),
        get("/keys/new", ADMINISTERS, form),
        post("/keys/new", ADMINISTERS, make),
        get("/keys/{id}/revoke", ADMINISTERS, ask_revoke),
        post("/keys/{id}/revoke", ADMINISTERS, revoke),
        get("/keys/{id}/addresses", ADMINISTERS, ask_addresses),
        post("/keys/{id}/addresses", ADMINISTERS, change_addresses),
        post("/keys/rules", ADMINISTERS, keep_rules),
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
    seen_from: Option<String>,
    ends: Option<When>,
    addresses: String,
    /// What it may pay per day; empty if it has no limits of its own.
    day_limits: String,
    made: When,
    made_by: String,
    gone: Option<When>,
    standing: KeyStatus,
}

impl Row {
    fn of(one: Listed, made_by: String, now: i64) -> Self {
        Self {
            standing: KeyStatus::of(&one, now),
            id: one.id.to_string(),
            name: one.name,
            role: one.role.label(),
            partner: one.partner.map(|(id, name)| (format!("/partners/{id}"), name)),
            scopes: one.scopes.replace(',', ", "),
            hint: one.hint.unwrap_or_default(),
            seen: when(one.last_seen_at),
            seen_from: one.seen_from,
            ends: when(one.ends_at),
            addresses: one.networks.replace(',', ", "),
            day_limits: one.day_limits.replace(',', ", "),
            made: When(one.created_at),
            made_by,
            gone: when(one.disabled_at),
        }
    }

    fn chip(&self) -> Chip {
        match self.standing {
            KeyStatus::Works => Chip { tone: "fine", words: "Works" },
            KeyStatus::Ended => Chip { tone: "bad", words: "Ended" },
            KeyStatus::MakerGone => Chip { tone: "bad", words: "Ended with its creator" },
            KeyStatus::Revoked => Chip { tone: "bad", words: "Revoked" },
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct ListParams {
    /// `yes` to include revoked keys.
    revoked: Option<String>,
}

#[derive(Template)]
#[template(path = "users/api_keys.html")]
struct ListPage {
    frame: Frame,
    /// Whether revoked keys are shown.
    all: bool,
    rows: Vec<Row>,
    next: Option<String>,
    /// Whether keys that may pay or administer must have an address list.
    required: bool,
    fresh: bool,
}

async fn list(
    State(app): State<App>,
    SignedIn(session): SignedIn,
    context: PageContext,
    ListQuery(params, paging): ListQuery<ListParams>,
) -> Result<Response, Problem> {
    let (all, now) = (params.revoked.as_deref() == Some("yes"), app.clock.now());
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
        format!("{PAGE}?{all}after={}", encode_cursor(&[&last.id.to_string()]))
    });
    let names = history::names(&mut db, found.iter().filter_map(|one| one.made_by.as_deref())).await?;
    let row = |one: Listed| {
        let by = one.made_by.as_ref().and_then(|by| names.get(by).cloned()).unwrap_or_default();
        Row::of(one, by, now)
    };
    let rows = found.into_iter().take(limit).map(row).collect();
    let required = keys::addresses_required(&mut db).await?;
    let (frame, fresh) = (context.frame("API keys", MenuItem::People), is_fresh(&session, now));
    context.show(&ListPage { frame, all, rows, next, required, fresh })
}

#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FormInput {
    name: Option<String>,
    role: Option<String>,
    partner: Option<String>,
    scope: Vec<String>,
    ends: Option<String>,
    addresses: Option<String>,
    day_limits: Option<String>,
}

/// The lifetimes to choose from: value and label.
const LASTS: [(&str, &str); 6] = [
    ("7d", "7 days"),
    ("30d", "30 days"),
    ("90d", "90 days"),
    ("180d", "180 days"),
    ("365d", "A year"),
    ("never", "Never"),
];

#[derive(Template)]
#[template(path = "users/api_key_new.html")]
struct NewPage {
    frame: Frame,
    typed: FormInput,
    wrong: Option<Refusal>,
    made: Option<String>,
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

    fn scoped(&self, scope: &Scope) -> bool {
        self.typed.scope.iter().any(|typed| typed == scope.as_str())
    }

    fn lasts(&self) -> &'static [(&'static str, &'static str)] {
        &LASTS
    }

    fn lasting(&self, word: &str) -> bool {
        self.typed.ends.as_deref() == Some(word)
    }
}

fn new_page(
    context: &PageContext,
    typed: FormInput,
    wrong: Option<Refusal>,
    made: Option<String>,
) -> Result<Response, Problem> {
    let status = if wrong.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let page = NewPage { frame: context.frame("New API key", MenuItem::People), typed, wrong, made };
    Ok((status, context.show(&page)?).into_response())
}

async fn form(
    State(app): State<App>,
    SignedIn(session): SignedIn,
    context: PageContext,
) -> Result<Response, Problem> {
    if !is_fresh(&session, app.clock.now()) {
        return Ok(prove_first("/keys/new"));
    }
    let usual = format!("{USUAL_DAYS}d");
    let typed =
        FormInput { scope: vec![Scope::Read.as_str().to_owned()], ends: Some(usual), ..FormInput::default() };
    new_page(&context, typed, None, None)
}

async fn make(
    State(app): State<App>,
    SignedIn(session): SignedIn,
    context: PageContext,
    Form(typed): Form<FormInput>,
) -> Result<Response, Problem> {
    let now = app.clock.now();
    if !is_fresh(&session, now) {
        return Ok(prove_first("/keys/new"));
    }
    let new = match typed.parse(now) {
        Ok(new) => new,
        Err(refusal) => return new_page(&context, typed, Some(refusal), None),
    };
    match people::make_key(&app, &context.actor.id.to_string(), &new).await {
        Ok(key) => new_page(&context, typed, None, Some(key)),
        Err(OpsError::Refused(refusal)) => new_page(&context, typed, Some(refusal), None),
        Err(error) => Err(error.into()),
    }
}

impl FormInput {
    /// The key described by the input.
    fn parse(&self, now: i64) -> Result<NewKey, Refusal> {
        let Some(role) = self.role.as_deref().and_then(Role::parse) else {
            return Err(Refusal::new("missing", "Choose a role for the key.").at("role"));
        };
        let scopes: Option<Vec<Scope>> = self.scope.iter().map(|name| Scope::parse(name)).collect();
        let unknown = || Refusal::new("unknown_value", "Choose among the scopes of this page.").at("scopes");
        let ends = self.ends.as_deref().map_or_else(|| format!("{USUAL_DAYS}d"), str::to_owned);
        Ok(NewKey {
            name: self.name.clone().unwrap_or_default(),
            role,
            partner: self.partner.clone(),
            scopes: Scopes::of(&scopes.ok_or_else(unknown)?),
            ends_at: keys::end(&ends, now)?,
            addresses: keys::addresses(self.addresses.as_deref().unwrap_or_default())?,
            day_limits: keys::day_limits(self.day_limits.as_deref().unwrap_or_default())?,
        })
    }
}

#[derive(Template)]
#[template(path = "users/api_key_revoke.html")]
struct RevokePage {
    frame: Frame,
    row: Row,
}

async fn ask_revoke(
    State(app): State<App>,
    context: PageContext,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let one = listed(&app, &id).await?;
    let frame = context.frame(format!("Revoke {}?", one.name), MenuItem::People);
    context.show(&RevokePage { frame, row: Row::of(one, String::new(), app.clock.now()) })
}

async fn listed(app: &App, id: &str) -> Result<Listed, Problem> {
    let id = PersonId::parse(id).ok_or_else(Problem::missing)?;
    let one = roster::one(&mut app.store.read().await?, id).await?.filter(|one| one.email.is_none());
    one.ok_or_else(Problem::missing)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EmptyForm {}

async fn revoke(
    State(app): State<App>,
    context: PageContext,
    Path(id): Path<String>,
    Form(EmptyForm {}): Form<EmptyForm>,
) -> Result<Response, Problem> {
    let id = PersonId::parse(&id).ok_or_else(Problem::missing)?;
    people::revoke(&app, &context.actor, id).await?;
    Ok(Flash::good("The key is revoked. Requests with it are refused.").on(PAGE))
}

#[derive(Template)]
#[template(path = "users/api_key_addresses.html")]
struct AddressesPage {
    frame: Frame,
    row: Row,
    /// The input, one address per line.
    typed: String,
    wrong: Option<String>,
}

async fn addresses_page(
    app: &App,
    context: &PageContext,
    id: &str,
    wrong: Option<(String, Refusal)>,
) -> Result<Response, Problem> {
    let one = listed(app, id).await?;
    let frame = context.frame(format!("Allowed addresses of {}", one.name), MenuItem::People);
    let status = if wrong.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let (typed, wrong) = match wrong {
        Some((typed, refusal)) => (typed, Some(refusal.sentence)),
        None => (one.networks.replace(',', "\n"), None),
    };
    let page = AddressesPage { frame, row: Row::of(one, String::new(), app.clock.now()), typed, wrong };
    Ok((status, context.show(&page)?).into_response())
}

async fn ask_addresses(
    State(app): State<App>,
    SignedIn(session): SignedIn,
    context: PageContext,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    if !is_fresh(&session, app.clock.now()) {
        return Ok(prove_first(&format!("{PAGE}/{id}/addresses")));
    }
    addresses_page(&app, &context, &id, None).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Addresses {
    #[serde(default)]
    addresses: String,
}

async fn change_addresses(
    State(app): State<App>,
    SignedIn(session): SignedIn,
    context: PageContext,
    Path(id): Path<String>,
    Form(sent): Form<Addresses>,
) -> Result<Response, Problem> {
    if !is_fresh(&session, app.clock.now()) {
        return Ok(prove_first(&format!("{PAGE}/{id}/addresses")));
    }
    let key = PersonId::parse(&id).ok_or_else(Problem::missing)?;
    let changed = match keys::addresses(&sent.addresses) {
        Ok(all) => keys::change_addresses(&app, &context.actor, key, &all).await,
        Err(refusal) => Err(refusal.into()),
    };
    match changed {
        Ok(()) => Ok(Flash::good("Saved. It applies from the next call.").on(PAGE)),
        Err(OpsError::Refused(refusal)) => {
            addresses_page(&app, &context, &id, Some((sent.addresses, refusal))).await
        }
        Err(error) => Err(error.into()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rules {
    /// `required`, or empty.
    addresses: Option<String>,
}

async fn keep_rules(
    State(app): State<App>,
    SignedIn(session): SignedIn,
    context: PageContext,
    Form(sent): Form<Rules>,
) -> Result<Response, Problem> {
    if !is_fresh(&session, app.clock.now()) {
        return Ok(prove_first(PAGE));
    }
    let required = sent.addresses.as_deref() == Some("required");
    let flash = match keys::require_addresses(&app, &context.actor, required).await {
        Ok(()) if required => {
            Flash::good("Saved. Keys that pay or administer now work only from their allowed addresses.")
        }
        Ok(()) => Flash::good("Saved. Allowed addresses are now optional for every key."),
        Err(error) => Flash::refused(error)?,
    };
    Ok(flash.on(PAGE))
}
