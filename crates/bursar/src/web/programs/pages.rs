//! Programs and reward activities: the list of programs, one with its activities, and the forms of both.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::Deserialize;

use payout::Refusal;
use payout::access::Permission;
use payout::ids::ProgramId;
use payout::money::{Currency, Money};
use payout::reward::RewardType;

use crate::app::App;
use crate::ops::import::points;
use crate::ops::programs as verbs;
use crate::store::programs::{self, Activity, Filter, Program, RecordRef, RewardValue};
use crate::web::kit::form::{Form, ListQuery, Pager, Query, encode_cursor};
use crate::web::kit::format::{Chip, Value, When};
use crate::web::kit::layout::{Frame, MenuItem, PageContext};
use crate::web::kit::problem::Problem;
use crate::web::kit::record_form::{self, Field, RecordForm, by_hand, given, must_be_as_seen, must_be_new};
use crate::web::kit::route::{Access, Route, get, post};

pub fn routes() -> Vec<Route> {
    let (reads, manages) = (Access::May(Permission::Read), Access::May(Permission::ManagePartners));
    vec![
        get("/programs", reads, list),
        get("/programs/new", manages, new_program_form),
        post("/programs/new", manages, new_program),
        get("/programs/{id}", reads, show),
        get("/programs/{id}/edit", manages, program_form),
        post("/programs/{id}/edit", manages, edit_program),
        get("/activities/new", manages, new_activity_form),
        post("/activities/new", manages, new_activity),
        get("/activities/{id}/edit", manages, activity_form),
        post("/activities/{id}/edit", manages, edit_activity),
    ]
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListParams {
    q: Option<String>,
}

#[derive(Template)]
#[template(path = "programs/list.html")]
struct ListPage {
    frame: Frame,
    q: String,
    rows: Vec<Program>,
    turn: Pager,
    may_manage: bool,
}

async fn list(
    State(app): State<App>,
    context: PageContext,
    ListQuery(params, paging): ListQuery<ListParams>,
) -> Result<Response, Problem> {
    let after = paging.after_parts::<1>()?.map(|[id]| id);
    let filter = Filter { q: params.q.clone(), after, limit: paging.limit + 1, ..Filter::default() };
    let mut rows = programs::programs(&mut app.store.read().await?, &filter).await?;
    let limit = usize::try_from(paging.limit).unwrap_or(usize::MAX);
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|last| encode_cursor(&[&last.id.to_string()]));
    let turn = paging.turn(rows.len(), next.as_deref(), None);
    let page = ListPage {
        frame: context.frame("Programs", MenuItem::Programs),
        q: params.q.unwrap_or_default(),
        rows,
        turn,
        may_manage: context.may(Permission::ManagePartners),
    };
    context.show(&page)
}

/// The label of a reward type; takes a reference because templates pass one.
fn kind(kind: &RewardType) -> &'static str {
    match kind {
        RewardType::Cash => "Cash",
        RewardType::Points => "Points",
    }
}

struct Row {
    activity: Activity,
    worth: Option<Value>,
    chip: Chip,
}

#[derive(Template)]
#[template(path = "programs/show.html")]
struct ProgramPage {
    frame: Frame,
    program: Program,
    changed: When,
    q: String,
    rows: Vec<Row>,
    turn: Pager,
    may_manage: bool,
}

async fn program(app: &App, id: &str) -> Result<Program, Problem> {
    programs::program(&mut app.store.read().await?, RecordRef::Either(id)).await?.ok_or_else(Problem::missing)
}

async fn show(
    State(app): State<App>,
    context: PageContext,
    Path(id): Path<String>,
    ListQuery(params, paging): ListQuery<ListParams>,
) -> Result<Response, Problem> {
    let program = program(&app, &id).await?;
    let after = paging.after_parts::<1>()?.map(|[id]| id);
    let of = Some(program.id.to_string());
    let filter =
        Filter { q: params.q.clone(), program: of, after, limit: paging.limit + 1, ..Filter::default() };
    let mut found = programs::activities(&mut app.store.read().await?, &filter).await?;
    let limit = usize::try_from(paging.limit).unwrap_or(usize::MAX);
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|last| encode_cursor(&[&last.id.to_string()]));
    let turn = paging.turn(found.len(), next.as_deref(), None);
    let row = |activity: Activity| Row {
        worth: activity.worth.map(Value),
        chip: match activity.inactive_at {
            Some(_) => Chip { tone: "", words: "Inactive" },
            None => Chip { tone: "fine", words: "Active" },
        },
        activity,
    };
    let page = ProgramPage {
        frame: context.frame(program.name.clone(), MenuItem::Programs),
        changed: When(program.updated_at),
        program,
        q: params.q.unwrap_or_default(),
        rows: found.into_iter().map(row).collect(),
        turn,
        may_manage: context.may(Permission::ManagePartners),
    };
    context.show(&page)
}

const EXTERNAL_ID: &str = "Your own id. Imports and the API use it.";

#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ProgramTyped {
    external_id: Option<String>,
    name: Option<String>,
    r#type: Option<String>,
    manager_email: Option<String>,
    hold_days: Option<String>,
    seen: Option<i64>,
}

impl ProgramTyped {
    fn of(program: &Program) -> Self {
        Self {
            external_id: Some(program.external_id.clone()),
            name: Some(program.name.clone()),
            r#type: Some(program.reward_type.as_str().to_owned()),
            manager_email: program.manager_email.clone(),
            hold_days: Some(program.hold_days.to_string()),
            seen: Some(program.updated_at),
        }
    }

    fn fields(&self) -> Vec<Field> {
        let kinds = RewardType::ALL.iter().map(|one| (one.as_str().to_owned(), kind(one).to_owned()));
        let days = "How long a reward waits before it can be paid (0 to 3650).";
        let mut fields = vec![
            Field::line("name", "Name", &self.name, "").needed(),
            Field::select("type", "Reward Type", "Choose one", &self.r#type, kinds).needed(),
            Field::line("manager_email", "Manager (e-mail)", &self.manager_email, "").of_kind("email"),
            Field::line("hold_days", "Hold period in days", &self.hold_days, days).of_kind("number").needed(),
        ];
        if self.seen.is_none() {
            fields.push(Field::line("external_id", "External id", &self.external_id, EXTERNAL_ID).needed());
        }
        fields
    }

    fn sheet(&self, title: String, back: (String, String)) -> RecordForm {
        RecordForm { title, place: MenuItem::Programs, back, fields: self.fields(), seen: self.seen }
    }

    fn over(&self, before: Program) -> Result<Program, Refusal> {
        let message = "The program type must be cash or points.";
        let unknown = || Refusal::new("unknown_value", message).at("type");
        let days = given(&self.hold_days).unwrap_or_else(|| "0".to_owned());
        let odd =
            || Refusal::new("invalid", "Enter the hold period as a whole number of days.").at("hold_days");
        Ok(Program {
            name: given(&self.name).unwrap_or_default(),
            reward_type: self.r#type.as_deref().and_then(RewardType::parse).ok_or_else(unknown)?,
            manager_email: given(&self.manager_email),
            hold_days: days.parse().map_err(|_| odd())?,
            ..before
        })
    }
}

fn new_program_sheet(typed: &ProgramTyped) -> RecordForm {
    typed.sheet("New program".to_owned(), ("/programs".to_owned(), "Programs".to_owned()))
}

async fn new_program_form(State(app): State<App>, context: PageContext) -> Result<Response, Problem> {
    let days = Some("0".to_owned());
    let typed = ProgramTyped { external_id: by_hand(&app.clock), hold_days: days, ..ProgramTyped::default() };
    record_form::show(&context, new_program_sheet(&typed))
}

async fn new_program(
    State(app): State<App>,
    context: PageContext,
    Form(typed): Form<ProgramTyped>,
) -> Result<Response, Problem> {
    let typed = ProgramTyped { seen: None, ..typed };
    let (now, external_id) = (app.clock.now(), given(&typed.external_id).unwrap_or_default());
    let saved = verbs::save_program(&app, &context.actor, &external_id, |before, fresh| {
        must_be_new(before.as_ref(), "a program")?;
        typed.over(Program {
            id: fresh,
            external_id: external_id.clone(),
            name: String::new(),
            reward_type: RewardType::Cash,
            manager_email: None,
            hold_days: 0,
            created_at: now,
            updated_at: now,
        })
    });
    match saved.await {
        Ok((program, new)) => {
            Ok(record_form::saved(&program.name, new, &format!("/programs/{}", program.id)))
        }
        Err(error) => record_form::again(&context, new_program_sheet(&typed), &[], error),
    }
}

fn program_sheet(typed: &ProgramTyped, program: &Program) -> RecordForm {
    let back = (format!("/programs/{}", program.id), program.name.clone());
    typed.sheet(format!("Edit {}", program.name), back)
}

async fn program_form(
    State(app): State<App>,
    context: PageContext,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let found = program(&app, &id).await?;
    record_form::show(&context, program_sheet(&ProgramTyped::of(&found), &found))
}

async fn edit_program(
    State(app): State<App>,
    context: PageContext,
    Path(id): Path<String>,
    Form(typed): Form<ProgramTyped>,
) -> Result<Response, Problem> {
    let found = program(&app, &id).await?;
    let ours = found.id.to_string();
    let saved = verbs::save_program(&app, &context.actor, &ours, |before, _| {
        typed.over(must_be_as_seen(before, |program| program.updated_at, typed.seen)?)
    });
    match saved.await {
        Ok((program, new)) => {
            Ok(record_form::saved(&program.name, new, &format!("/programs/{}", program.id)))
        }
        Err(error) => {
            let now = program(&app, &id).await?;
            let typed = ProgramTyped { seen: Some(now.updated_at), ..typed };
            record_form::again(&context, program_sheet(&typed, &now), &ProgramTyped::of(&now).fields(), error)
        }
    }
}

#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ActivityTyped {
    external_id: Option<String>,
    name: Option<String>,
    program: Option<String>,
    value: Option<String>,
    currency: Option<String>,
    active: Option<String>,
    seen: Option<i64>,
}

impl ActivityTyped {
    fn of(activity: &Activity) -> Self {
        let value = activity.worth.map(|worth| match worth {
            RewardValue::Cash(money) => money.decimal(),
            RewardValue::Points(points) => points.to_string(),
        });
        let currency = activity.worth.and_then(RewardValue::currency);
        Self {
            external_id: Some(activity.external_id.clone()),
            name: Some(activity.name.clone()),
            program: Some(activity.program.1.clone()),
            value,
            currency: currency.map(|currency| currency.code().to_owned()),
            active: activity.inactive_at.is_none().then(|| "yes".to_owned()),
            seen: Some(activity.updated_at),
        }
    }

    fn fields(&self, programs: &[Program]) -> Vec<Field> {
        let of = programs.iter().map(|one| {
            (one.external_id.clone(), format!("{} ({})", one.name, kind(&one.reward_type).to_lowercase()))
        });
        let chosen = programs.iter().find(|one| self.program.as_ref() == Some(&one.external_id));
        let none = match chosen.map(|program| program.reward_type) {
            Some(RewardType::Cash) => "Choose one",
            Some(RewardType::Points) => "None, it gives points",
            None => "Choose one; none for points",
        };
        let value = "What it gives when a reward does not say; may stay empty.";
        let open = Currency::all().filter(|currency| currency.ended().is_none());
        // The current currency stays selectable even if it has been discontinued.
        let kept = given(&self.currency).and_then(|code| Currency::parse(&code).ok());
        let kept = kept.filter(|currency| currency.ended().is_some());
        let currencies =
            open.chain(kept).map(|currency| (currency.code().to_owned(), currency.code().to_owned()));
        let mut fields = vec![
            Field::line("name", "Name", &self.name, "").needed(),
            Field::select("program", "Program", "Choose one", &self.program, of).needed(),
            Field::line("value", "Default value", &self.value, value),
            Field::select("currency", "Currency", none, &self.currency, currencies),
            Field::line("active", "Active: rewards can be entered for it", &self.active, "").of_kind("tick"),
        ];
        if self.seen.is_none() {
            fields.push(Field::line("external_id", "External id", &self.external_id, EXTERNAL_ID).needed());
        }
        fields
    }

    fn sheet(&self, title: String, back: (String, String), programs: &[Program]) -> RecordForm {
        RecordForm { title, place: MenuItem::Programs, back, fields: self.fields(programs), seen: self.seen }
    }

    /// The value; with a currency it is money, without one points.
    fn worth(&self) -> Result<Option<RewardValue>, Refusal> {
        let Some(value) = given(&self.value) else { return Ok(None) };
        let Some(code) = given(&self.currency).map(|code| code.to_uppercase()) else {
            let read = points(&value);
            let refuse =
                |error: payout::money::MoneyError| Refusal::new(error.code(), error.sentence()).at("value");
            return read.map(|points| Some(RewardValue::Points(points))).map_err(refuse);
        };
        let currency = Currency::parse(&code)
            .map_err(|error| Refusal::new(error.code(), error.sentence()).at("currency"))?;
        let money = Money::parse(&value, currency)
            .map_err(|error| Refusal::new(error.code(), error.sentence()).at("value"))?;
        Ok(Some(RewardValue::Cash(money)))
    }

    fn over(&self, before: Activity, now: i64) -> Result<Activity, Refusal> {
        let inactive_at = match self.active {
            Some(_) => None,
            None => Some(before.inactive_at.unwrap_or(now)),
        };
        Ok(Activity {
            name: given(&self.name).unwrap_or_default(),
            program: (before.program.0, given(&self.program).unwrap_or_default()),
            worth: self.worth()?,
            inactive_at,
            ..before
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewParams {
    /// The program of the new activity, by external id.
    program: Option<String>,
}

async fn all(app: &App) -> Result<Vec<Program>, Problem> {
    let mut all = programs::all_programs(&mut app.store.read().await?).await?;
    all.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(all)
}

async fn new_activity_sheet(app: &App, typed: &ActivityTyped) -> Result<RecordForm, Problem> {
    let back = ("/programs".to_owned(), "Programs".to_owned());
    Ok(typed.sheet("New activity".to_owned(), back, &all(app).await?))
}

async fn new_activity_form(
    State(app): State<App>,
    context: PageContext,
    Query(within): Query<NewParams>,
) -> Result<Response, Problem> {
    let typed = ActivityTyped {
        external_id: by_hand(&app.clock),
        program: within.program,
        active: Some("yes".to_owned()),
        ..ActivityTyped::default()
    };
    record_form::show(&context, new_activity_sheet(&app, &typed).await?)
}

async fn new_activity(
    State(app): State<App>,
    context: PageContext,
    Form(typed): Form<ActivityTyped>,
) -> Result<Response, Problem> {
    let typed = ActivityTyped { seen: None, ..typed };
    let (now, external_id) = (app.clock.now(), given(&typed.external_id).unwrap_or_default());
    let saved = verbs::save_activity(&app, &context.actor, &external_id, |before, fresh| {
        must_be_new(before.as_ref(), "an activity")?;
        let empty = Activity {
            id: fresh,
            external_id: external_id.clone(),
            // The verb finds the program by the external id in the form, and takes type and hold period from it.
            program: (ProgramId::fresh(0, 0), String::new()),
            reward_type: RewardType::Cash,
            hold_days: 0,
            name: String::new(),
            worth: None,
            inactive_at: None,
            created_at: now,
            updated_at: now,
        };
        typed.over(empty, now)
    });
    match saved.await {
        Ok((activity, new)) => {
            Ok(record_form::saved(&activity.name, new, &format!("/programs/{}", activity.program.0)))
        }
        Err(error) => record_form::again(&context, new_activity_sheet(&app, &typed).await?, &[], error),
    }
}

async fn activity(app: &App, id: &str) -> Result<Activity, Problem> {
    programs::activity(&mut app.store.read().await?, RecordRef::Either(id))
        .await?
        .ok_or_else(Problem::missing)
}

fn activity_sheet(typed: &ActivityTyped, activity: &Activity, programs: &[Program]) -> RecordForm {
    let back = (format!("/programs/{}", activity.program.0), activity.program.1.clone());
    typed.sheet(format!("Edit {}", activity.name), back, programs)
}

async fn activity_form(
    State(app): State<App>,
    context: PageContext,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let found = activity(&app, &id).await?;
    record_form::show(&context, activity_sheet(&ActivityTyped::of(&found), &found, &all(&app).await?))
}

async fn edit_activity(
    State(app): State<App>,
    context: PageContext,
    Path(id): Path<String>,
    Form(typed): Form<ActivityTyped>,
) -> Result<Response, Problem> {
    let (found, now) = (activity(&app, &id).await?, app.clock.now());
    let ours = found.id.to_string();
    let saved = verbs::save_activity(&app, &context.actor, &ours, |before, _| {
        typed.over(must_be_as_seen(before, |activity| activity.updated_at, typed.seen)?, now)
    });
    match saved.await {
        Ok((activity, new)) => {
            Ok(record_form::saved(&activity.name, new, &format!("/programs/{}", activity.program.0)))
        }
        Err(error) => {
            let (now, all) = (activity(&app, &id).await?, all(&app).await?);
            let typed = ActivityTyped { seen: Some(now.updated_at), ..typed };
            let current = ActivityTyped::of(&now).fields(&all);
            record_form::again(&context, activity_sheet(&typed, &now, &all), &current, error)
        }
    }
}
