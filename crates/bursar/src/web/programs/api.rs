//! `/programs` and `/activities`.

use axum::Json as JsonAnswer;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use payout::Refusal;
use payout::access::Permission;
use payout::ids::ProgramId;
use payout::reward::RewardType;

use crate::app::App;
use crate::clock::rfc3339;
use crate::ops::programs as verbs;
use crate::store::programs::{self, Activity, Filter, Program, RecordRef, RewardValue};
use crate::web::kit::extract::{Change, Json};
use crate::web::kit::form::{ListQuery, encode_cursor};
use crate::web::kit::json::{Page, ValueJson};
use crate::web::kit::problem::Problem;
use crate::web::kit::record_json::{filter, required, saved};
use crate::web::kit::route::{Access, Route, get, put};
use crate::web::kit::session::CurrentActor;
use crate::web::kit::shapes;

const READ: Access = Access::May(Permission::Read);
const WRITE: Access = Access::May(Permission::ManagePartners);

pub fn routes() -> Vec<Route> {
    vec![
        get("/api/v1/programs", READ, list_programs)
            .says("Reward programs")
            .filters::<ProgramFilter>()
            .by_pages()
            .answers_page::<ProgramJson>(),
        get("/api/v1/programs/{id}", READ, program)
            .says("One program, by its id or yours")
            .answers::<ProgramJson>(200),
        put("/api/v1/programs/{id}", WRITE, put_program)
            .says("Enter or change the program you know by this id")
            .takes::<ProgramChange>()
            .answers::<ProgramJson>(200)
            .answers::<ProgramJson>(201),
        get("/api/v1/activities", READ, list_activities)
            .says("Reward activities")
            .filters::<ActivityFilter>()
            .by_pages()
            .answers_page::<ActivityJson>(),
        get("/api/v1/activities/{id}", READ, activity)
            .says("One activity, by its id or yours")
            .answers::<ActivityJson>(200),
        put("/api/v1/activities/{id}", WRITE, put_activity)
            .says("Enter or change the activity you know by this id")
            .takes::<ActivityChange>()
            .answers::<ActivityJson>(200)
            .answers::<ActivityJson>(201),
    ]
}

#[derive(Serialize, ToSchema)]
#[schema(as = Program)]
struct ProgramJson {
    id: String,
    external_id: String,
    name: String,
    #[schema(value_type = shapes::RewardType)]
    r#type: &'static str,
    manager_email: Option<String>,
    hold_days: i64,
    created_at: String,
    updated_at: String,
}

impl From<Program> for ProgramJson {
    fn from(program: Program) -> Self {
        Self {
            id: program.id.to_string(),
            external_id: program.external_id,
            name: program.name,
            r#type: program.reward_type.as_str(),
            manager_email: program.manager_email,
            hold_days: program.hold_days,
            created_at: rfc3339(program.created_at),
            updated_at: rfc3339(program.updated_at),
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = Activity)]
struct ActivityJson {
    id: String,
    external_id: String,
    name: String,
    /// The external id of its program.
    program: String,
    program_id: String,
    /// `cash` or `points`, like its program.
    #[schema(value_type = shapes::RewardType)]
    r#type: &'static str,
    #[schema(value_type = Option<shapes::MoneyOrPoints>)]
    value: Option<ValueJson>,
    active: bool,
    created_at: String,
    updated_at: String,
}

impl From<Activity> for ActivityJson {
    fn from(activity: Activity) -> Self {
        Self {
            id: activity.id.to_string(),
            external_id: activity.external_id,
            name: activity.name,
            program: activity.program.1,
            program_id: activity.program.0.to_string(),
            r#type: activity.reward_type.as_str(),
            value: activity.worth.map(ValueJson::from),
            active: activity.inactive_at.is_none(),
            created_at: rfc3339(activity.created_at),
            updated_at: rfc3339(activity.updated_at),
        }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Growth", "type": "cash", "hold_days": 14}))]
struct ProgramChange {
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    #[schema(value_type = Option<shapes::RewardType>)]
    r#type: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    manager_email: Change<String>,
    #[schema(minimum = 0, maximum = 3650)]
    hold_days: Option<i64>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Deal", "program": "growth", "value": {"value": "150.00", "currency": "USD"}}))]
struct ActivityChange {
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    /// The external id of its program.
    #[schema(value_type = Option<shapes::ExternalId>)]
    program: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<shapes::MoneyOrPoints>)]
    value: Change<ValueJson>,
    active: Option<bool>,
}

async fn put_program(
    State(app): State<App>,
    CurrentActor(actor): CurrentActor,
    Path(external_id): Path<String>,
    Json(change): Json<ProgramChange>,
) -> Result<(StatusCode, JsonAnswer<ProgramJson>), Problem> {
    let message = "The program type must be cash or points.";
    let unknown = || Refusal::new("unknown_value", message).at("type");
    let kind =
        change.r#type.as_deref().map(|word| RewardType::parse(word).ok_or_else(unknown)).transpose()?;
    let (program, new) = verbs::save_program(&app, &actor, &external_id, |before, fresh| {
        let now = app.clock.now();
        let old = before.as_ref();
        Ok(Program {
            id: old.map_or(fresh, |old| old.id),
            external_id: external_id.clone(),
            name: required(change.name.clone(), old.map(|old| old.name.clone()), "name")?,
            reward_type: required(kind, old.map(|old| old.reward_type), "type")?,
            manager_email: change.manager_email.clone().over(old.and_then(|old| old.manager_email.clone())),
            hold_days: change.hold_days.unwrap_or(old.map_or(0, |old| old.hold_days)),
            created_at: old.map_or(now, |old| old.created_at),
            updated_at: now,
        })
    })
    .await?;
    Ok((saved(new), JsonAnswer(program.into())))
}

async fn put_activity(
    State(app): State<App>,
    CurrentActor(actor): CurrentActor,
    Path(external_id): Path<String>,
    Json(change): Json<ActivityChange>,
) -> Result<(StatusCode, JsonAnswer<ActivityJson>), Problem> {
    let worth: Change<RewardValue> = match &change.value {
        Change::Keep => Change::Keep,
        Change::Clear => Change::Clear,
        Change::Set(value) => Change::Set(value.read("/value").map_err(Problem::field)?),
    };
    let (activity, new) = verbs::save_activity(&app, &actor, &external_id, |before, fresh| {
        let now = app.clock.now();
        let old = before.as_ref();
        let program = required(change.program.clone(), old.map(|old| old.program.1.clone()), "program")?;
        let was_inactive_at = old.and_then(|old| old.inactive_at);
        Ok(Activity {
            id: old.map_or(fresh, |old| old.id),
            external_id: external_id.clone(),
            program: (ProgramId::fresh(0, 0), program),
            reward_type: RewardType::Cash,
            hold_days: 0,
            name: required(change.name.clone(), old.map(|old| old.name.clone()), "name")?,
            worth: worth.clone().over(old.and_then(|old| old.worth)),
            inactive_at: match change.active {
                Some(true) => None,
                Some(false) => Some(was_inactive_at.unwrap_or(now)),
                None => was_inactive_at,
            },
            created_at: old.map_or(now, |old| old.created_at),
            updated_at: now,
        })
    })
    .await?;
    Ok((saved(new), JsonAnswer(activity.into())))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct ProgramFilter {
    /// Text contained in the name or external id
    q: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct ActivityFilter {
    /// Text contained in the name or external id
    q: Option<String>,
    /// The program it belongs to
    program: Option<String>,
}

async fn list_programs(
    State(app): State<App>,
    ListQuery(wanted, paging): ListQuery<ProgramFilter>,
) -> Result<JsonAnswer<Page<ProgramJson>>, Problem> {
    let filter = Filter { q: wanted.q, ..filter(&paging)? };
    let rows = programs::programs(&mut app.store.read().await?, &filter).await?;
    Ok(JsonAnswer(Page::of(
        rows,
        paging.limit,
        |row| encode_cursor(&[&row.id.to_string()]),
        ProgramJson::from,
    )))
}

async fn program(State(app): State<App>, Path(id): Path<String>) -> Result<JsonAnswer<ProgramJson>, Problem> {
    let found = programs::program(&mut app.store.read().await?, RecordRef::Either(&id)).await?;
    Ok(JsonAnswer(found.ok_or_else(Problem::missing)?.into()))
}

async fn list_activities(
    State(app): State<App>,
    ListQuery(wanted, paging): ListQuery<ActivityFilter>,
) -> Result<JsonAnswer<Page<ActivityJson>>, Problem> {
    let filter = Filter { q: wanted.q, program: wanted.program, ..filter(&paging)? };
    let rows = programs::activities(&mut app.store.read().await?, &filter).await?;
    Ok(JsonAnswer(Page::of(
        rows,
        paging.limit,
        |row| encode_cursor(&[&row.id.to_string()]),
        ActivityJson::from,
    )))
}

async fn activity(
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<JsonAnswer<ActivityJson>, Problem> {
    let found = programs::activity(&mut app.store.read().await?, RecordRef::Either(&id)).await?;
    Ok(JsonAnswer(found.ok_or_else(Problem::missing)?.into()))
}
