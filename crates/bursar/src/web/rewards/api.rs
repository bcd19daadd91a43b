//! `/rewards`: creating, listing, and decisions on one or many. Files are in [`crate::web::imports::api`].

use axum::Json as JsonAnswer;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use payout::access::Permission;
use payout::ids::RewardId;
use payout::reward::PaymentType;

use super::api_filter::{RewardFilter, RewardSort, sort_word, window};
use super::json::RewardJson;
use crate::app::{Actor, App};
use crate::ops::OpsError;
use crate::ops::idempotency::Reply;
use crate::ops::partners::visible;
use crate::ops::rewards::{
    self as verbs, BulkOutcome, Created, Draft, Edit, RewardSelection, Verdict, expiry_of,
};
use crate::store::Db;
use crate::store::programs::{self, RecordRef};
use crate::store::rewards::{self, Reward, Visible};
use crate::web::kit::extract::{Change, Json};
use crate::web::kit::form::{Key, ListQuery, encode_cursor};
use crate::web::kit::json::{BlockerJson, MoneyJson, Page, ValueJson, blockers_for, etag, expiry, if_match};
use crate::web::kit::problem::{FieldError, Problem};
use crate::web::kit::route::{Access, Route, delete, get, patch, post};
use crate::web::kit::session::CurrentActor;
use crate::web::kit::shapes;

const READ: Access = Access::MayOrOwn(Permission::Read);
const REVIEW: Access = Access::May(Permission::Review);

/// Room for the ids of a hundred thousand rewards.
const BULK_LIMIT: usize = 4 << 20;

pub fn routes() -> Vec<Route> {
    let mut routes = vec![
        get("/api/v1/rewards", READ, list)
            .says("Rewards: views, filters, sorts")
            .filters::<RewardFilter>()
            .filters::<RewardSort>()
            .by_pages()
            .answers_page::<RewardJson>(),
        post("/api/v1/rewards", REVIEW, create)
            .tagged()
            .says("Enter a reward; the same external id with the same content answers the one that exists")
            .takes::<NewReward>()
            .answers::<RewardJson>(200)
            .answers::<RewardJson>(201),
        get("/api/v1/rewards/{id}", READ, read)
            .tagged()
            .says("One reward, by its id, number or your id")
            .answers::<RewardJson>(200),
        patch("/api/v1/rewards/{id}", REVIEW, edit)
            .tagged()
            .takes_tag()
            .says("Edit a reward; another value of an approved one returns it to review")
            .takes::<RewardEdit>()
            .answers::<RewardJson>(200),
        delete("/api/v1/rewards/{id}", REVIEW, remove)
            .takes_tag()
            .says("Delete a reward that was never approved")
            .answers_nothing(204),
        post("/api/v1/rewards/bulk", REVIEW, bulk)
            .up_to(BULK_LIMIT)
            .says("Approve or reject many, by ids or by a filter with the number you saw")
            .takes::<Bulk>()
            .answers::<BulkJson>(200),
        get("/api/v1/rewards/{id}/eligibility", READ, eligibility)
            .says("Can it be paid? Every gate that applies, not only the first")
            .answers::<Eligibility>(200),
        post("/api/v1/rewards/{id}/clawback", REVIEW, claw_back)
            .tagged()
            .says("Take back what was paid wrongly: the payee's next claim subtracts it")
            .takes::<NewClawback>()
            .answers::<RewardJson>(201),
    ];
    let decisions = [
        post("/api/v1/rewards/{id}/approve", REVIEW, approve).says("Approve it").takes::<DecisionBody>(),
        post("/api/v1/rewards/{id}/reject", REVIEW, reject)
            .says("Reject it, with a reason")
            .takes::<ReasonedDecision>(),
        post("/api/v1/rewards/{id}/review", REVIEW, review)
            .says("Take it into review")
            .takes::<DecisionBody>(),
        post("/api/v1/rewards/{id}/void", REVIEW, void)
            .says("Take it out, with a reason")
            .takes::<ReasonedDecision>(),
    ];
    routes.extend(decisions.into_iter().map(|route| route.tagged().takes_tag().answers::<RewardJson>(200)));
    routes
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"external_id": "deal-4711", "activity": "deal", "owner": "ana", "value": {"value": "420.00", "currency": "USD"}, "earned_on": "2026-03-02"}))]
struct NewReward {
    /// Its external id; the same id means the same reward.
    #[schema(value_type = shapes::ExternalId)]
    external_id: String,
    /// The external id of the activity.
    #[schema(value_type = shapes::ExternalId)]
    activity: String,
    /// The external id of the partner.
    #[schema(value_type = shapes::ExternalId)]
    owner: String,
    /// Defaults to the activity's own value.
    #[schema(value_type = Option<shapes::MoneyOrPoints>)]
    value: Option<ValueJson>,
    #[schema(value_type = Option<shapes::PaymentType>)]
    payment_type: Option<String>,
    form_reference: Option<String>,
    #[schema(value_type = Option<Object>)]
    form_data: Option<serde_json::Value>,
    note: Option<String>,
    #[schema(value_type = Option<shapes::Day>)]
    earned_on: Option<String>,
    #[schema(value_type = Option<shapes::DayOrMoment>)]
    expires_at: Option<String>,
    /// A date in the years 2000 to 2199, or `9999-12-31` for never. Ignored if `expires_at` is given.
    expires_on: Option<String>,
}

impl NewReward {
    fn draft(self) -> Result<Draft, Problem> {
        let worth = self.value.map(|value| value.read("/value")).transpose().map_err(Problem::field)?;
        let payment_type = match self.payment_type.as_deref() {
            Some(word) => Some(PaymentType::parse(word).ok_or_else(|| {
                let detail = "The payment type is individual or organization.".to_owned();
                Problem::field(FieldError {
                    pointer: "/payment_type".to_owned(),
                    code: "unknown_value",
                    detail,
                })
            })?),
            None => None,
        };
        let expires_at = match (self.expires_at, self.expires_on) {
            (Some(at), _) => Some(expiry(&at, "/expires_at").map_err(Problem::field)?),
            (None, Some(on)) => expiry_of(&on)?,
            (None, None) => None,
        };
        Ok(Draft {
            external_id: self.external_id,
            activity: self.activity,
            owner: self.owner,
            worth,
            payment_type,
            form_reference: self.form_reference,
            form_data: self.form_data.map(|data| data.to_string()),
            note: self.note,
            earned_on: self.earned_on,
            expires_at,
        })
    }
}

async fn create(
    State(app): State<App>,
    CurrentActor(actor): CurrentActor,
    key: Key,
    Json(new): Json<NewReward>,
) -> Result<Response, Problem> {
    let draft = new.draft()?;
    let created = verbs::create(&app, &actor, &draft, key.once(created).as_ref()).await?;
    Ok(tagged(created.reward.version, created_reply(&created)))
}

fn created(created: &Created) -> Reply {
    created_reply(created)
}

fn created_reply(created: &Created) -> Reply {
    let status = if created.existed { StatusCode::OK } else { StatusCode::CREATED };
    Reply::json(status, &RewardJson::of(&created.reward, created.now))
}

fn tagged(version: i64, reply: Reply) -> Response {
    ([(header::ETAG, etag(version))], reply).into_response()
}

/// The reward, if the actor may see it.
async fn visible_to(db: &mut Db, actor: &Actor, id: &str) -> Result<Reward, Problem> {
    let found = rewards::find(db, id).await?.ok_or_else(Problem::missing)?;
    let may = match visible(actor) {
        Visible::All => true,
        Visible::Of(partner) => found.owner.id == partner,
        Visible::CompanyOf(partner) => {
            let partner = programs::partner(db, RecordRef::Either(&partner.to_string())).await?;
            partner.is_some_and(|partner| partner.account.0 == found.account.id)
        }
    };
    if may { Ok(found) } else { Err(Problem::missing()) }
}

async fn read(
    State(app): State<App>,
    CurrentActor(actor): CurrentActor,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let found = visible_to(&mut app.store.read().await?, &actor, &id).await?;
    let body = seen_by(&actor, &found, app.clock.now());
    Ok(([(header::ETAG, etag(found.version))], JsonAnswer(body)).into_response())
}

fn seen_by(actor: &Actor, reward: &Reward, now: i64) -> RewardJson {
    let body = RewardJson::of(reward, now);
    if visible(actor) == Visible::All { body } else { body.for_partner() }
}

fn answer(app: &App, reward: &Reward) -> Response {
    let body = RewardJson::of(reward, app.clock.now());
    ([(header::ETAG, etag(reward.version))], JsonAnswer(body)).into_response()
}

async fn list(
    State(app): State<App>,
    CurrentActor(actor): CurrentActor,
    ListQuery(wanted, paging): ListQuery<RewardFilter>,
) -> Result<JsonAnswer<Page<RewardJson>>, Problem> {
    let now = app.clock.now();
    let mut db = app.store.read().await?;
    let (filter, eligible) = wanted.read(&actor)?;
    let window = window(&paging)?;
    let (rows, next) = match eligible {
        None => {
            let listed = rewards::list(&mut db, &filter, &window, now).await?;
            (listed.rewards, listed.next)
        }
        Some(eligible) => {
            let pool = verbs::pool(&mut db, &filter, &window, eligible, now).await?;
            (pool.rows.into_iter().map(|(reward, _)| reward).collect(), pool.next)
        }
    };
    let next = next.map(|(key, id)| encode_cursor(&[sort_word(&paging), &key.to_string(), &id]));
    let data = rows.into_iter().map(|reward| seen_by(&actor, &reward, now)).collect();
    Ok(JsonAnswer(Page { data, has_more: next.is_some(), next }))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RewardEdit {
    #[schema(value_type = Option<shapes::MoneyOrPoints>)]
    value: Option<ValueJson>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    reason: Change<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    note: Change<String>,
    #[serde(default)]
    #[schema(value_type = Option<shapes::DayOrMoment>)]
    expires_at: Change<String>,
    /// A date in the years 2000 to 2199, or `9999-12-31` for never. Ignored if `expires_at` is given.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    expires_on: Change<String>,
}

async fn edit(
    State(app): State<App>,
    CurrentActor(actor): CurrentActor,
    Path(id): Path<String>,
    headers: HeaderMap,
    Json(sent): Json<RewardEdit>,
) -> Result<Response, Problem> {
    let worth = sent.value.map(|value| value.read("/value")).transpose().map_err(Problem::field)?;
    let expires_at = match (sent.expires_at, sent.expires_on) {
        (Change::Set(at), _) => Some(Some(expiry(&at, "/expires_at").map_err(Problem::field)?)),
        (Change::Clear, _) | (Change::Keep, Change::Clear) => Some(None),
        (Change::Keep, Change::Set(on)) => Some(expiry_of(&on)?),
        (Change::Keep, Change::Keep) => None,
    };
    let edit = Edit { worth, reason: named(sent.reason), note: named(sent.note), expires_at };
    let edited = verbs::edit(&app, &actor, &id, if_match(&headers), &edit).await;
    with_current(&app, &id, edited).await
}

fn named(change: Change<String>) -> Option<Option<String>> {
    match change {
        Change::Keep => None,
        Change::Clear => Some(None),
        Change::Set(text) => Some(Some(text)),
    }
}

/// The changed reward, or with a stale `If-Match` the current one.
async fn with_current(app: &App, id: &str, outcome: Result<Reward, OpsError>) -> Result<Response, Problem> {
    match outcome {
        Ok(reward) => Ok(answer(app, &reward)),
        Err(error) => Err(or_stale(app, id, error).await),
    }
}

async fn or_stale(app: &App, id: &str, error: OpsError) -> Problem {
    let problem = Problem::from(error);
    if problem.code() != "precondition_failed" {
        return problem;
    }
    let current = async { rewards::find(&mut app.store.read().await?, id).await }.await;
    match current {
        Ok(Some(current)) => Problem::stale(json!(RewardJson::of(&current, app.clock.now()))),
        Ok(None) => Problem::missing(),
        Err(error) => error.into(),
    }
}

async fn remove(
    State(app): State<App>,
    CurrentActor(actor): CurrentActor,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    match verbs::delete(&app, &actor, &id, if_match(&headers)).await {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(error) => Err(or_stale(&app, &id, error).await),
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct DecisionBody {
    reason: Option<String>,
    #[serde(default)]
    show_reason_to_partner: bool,
}

/// A decision that requires a reason.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "it is read by the description only; every decision is read alike")]
struct ReasonedDecision {
    #[schema(min_length = 1, pattern = r"\S")]
    reason: String,
    #[schema(required = false)]
    show_reason_to_partner: bool,
}

macro_rules! decisions {
    ($($name:ident = |$body:ident| $verdict:expr;)+) => {$(
        async fn $name(
            State(app): State<App>,
            CurrentActor(actor): CurrentActor,
            Path(id): Path<String>,
            headers: HeaderMap,
            key: Key,
            Json($body): Json<DecisionBody>,
        ) -> Result<Response, Problem> {
            let verdict = $verdict;
            let once = key.once(created);
            let decided = verbs::decide(&app, &actor, &id, if_match(&headers), &verdict, once.as_ref()).await;
            with_current(&app, &id, decided).await
        }
    )+};
}

decisions! {
    approve = |_body| Verdict::Approve;
    review = |_body| Verdict::Review;
    reject = |body| Verdict::Reject { reason: body.reason.unwrap_or_default(), shown: body.show_reason_to_partner };
    void = |body| Verdict::Void { reason: body.reason.unwrap_or_default(), shown: body.show_reason_to_partner };
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Bulk {
    action: BulkAction,
    #[schema(value_type = Option<Vec<shapes::RewardId>>)]
    ids: Option<Vec<String>>,
    filter: Option<RewardFilter>,
    #[schema(minimum = 0)]
    expected_count: Option<i64>,
    reason: Option<String>,
    #[serde(default)]
    show_reason_to_partner: bool,
}

#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum BulkAction {
    Approve,
    Reject,
}

/// What was done, and what was skipped and why.
#[derive(Serialize, ToSchema)]
struct BulkJson {
    done: Vec<String>,
    skipped: Vec<Skipped>,
}

#[derive(Serialize, ToSchema)]
struct Skipped {
    id: String,
    /// Stable; what each means: [/api/docs/errors](/api/docs/errors)
    code: String,
}

impl Bulk {
    fn which(&self, actor: &Actor) -> Result<(RewardSelection, Vec<String>), Problem> {
        let wrong = |pointer: &str, code, told: &str| {
            Problem::field(FieldError { pointer: pointer.to_owned(), code, detail: told.to_owned() })
        };
        match (&self.ids, &self.filter, self.expected_count) {
            (Some(ids), None, None) => {
                let mut unknown = Vec::new();
                let mut known: Vec<RewardId> = Vec::new();
                for text in ids {
                    match RewardId::parse(text) {
                        Some(id) => known.push(id),
                        None => unknown.push(text.clone()),
                    }
                }
                known.sort_unstable();
                known.dedup();
                Ok((RewardSelection::Ids(known), unknown))
            }
            (None, Some(filter), Some(count)) => {
                let (filter, eligible) = filter.read(actor)?;
                if eligible.is_some() {
                    let message =
                        "The views eligible and not_eligible hold approved rewards, which need no decision.";
                    return Err(wrong("/filter/view", "invalid", message));
                }
                Ok((RewardSelection::All(Box::new(filter), count), Vec::new()))
            }
            (None, Some(_), None) => {
                Err(wrong("/expected_count", "missing", "Say how many rewards you saw under this filter."))
            }
            (Some(_), Some(_), _) | (Some(_), None, Some(_)) | (None, None, _) => {
                Err(wrong("/ids", "missing", "Name either ids, or a filter with expected_count."))
            }
        }
    }
}

async fn bulk(
    State(app): State<App>,
    CurrentActor(actor): CurrentActor,
    key: Key,
    Json(sent): Json<Bulk>,
) -> Result<Response, Problem> {
    let verdict = match sent.action {
        BulkAction::Approve => Verdict::Approve,
        BulkAction::Reject => {
            let reason = sent.reason.clone().unwrap_or_default();
            if reason.trim().is_empty() {
                let detail = "Give a reason to reject; it is kept with each reward.".to_owned();
                let error = FieldError { pointer: "/reason".to_owned(), code: "reason_required", detail };
                return Err(Problem::field(error));
            }
            Verdict::Reject { reason, shown: sent.show_reason_to_partner }
        }
    };
    let (which, unknown) = sent.which(&actor)?;
    if let Some(first) = unknown.first() {
        let detail = format!("{first:?} is not the id of a reward; it begins with rwd_. Nothing was done.");
        return Err(Problem::field(FieldError { pointer: "/ids".to_owned(), code: "invalid_id", detail }));
    }
    let done = verbs::decide_many(&app, &actor, &which, &verdict, key.once(bulk_reply).as_ref()).await?;
    Ok(bulk_reply(&done).into_response())
}

fn bulk_reply(done: &BulkOutcome) -> Reply {
    let skipped = done.skipped.iter();
    let body = BulkJson {
        done: done.done.iter().map(ToString::to_string).collect(),
        skipped: skipped.map(|(id, code)| Skipped { id: id.to_string(), code: (*code).to_owned() }).collect(),
    };
    Reply::json(StatusCode::OK, &body)
}

/// Whether a reward can be paid, and everything that blocks it.
#[derive(Serialize, ToSchema)]
struct Eligibility {
    eligible: bool,
    blockers: Vec<BlockerJson>,
}

async fn eligibility(
    State(app): State<App>,
    CurrentActor(actor): CurrentActor,
    Path(id): Path<String>,
) -> Result<JsonAnswer<Eligibility>, Problem> {
    let mut db = app.store.read().await?;
    let reward = visible_to(&mut db, &actor, &id).await?;
    let blockers = verbs::blockers(&mut db, &reward, app.clock.now()).await?;
    Ok(JsonAnswer(Eligibility { eligible: blockers.is_empty(), blockers: blockers_for(&actor, &blockers) }))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"value": {"value": "20.00", "currency": "USD"}, "reason": "The deal was canceled."}))]
struct NewClawback {
    #[schema(value_type = shapes::MoneyGiven)]
    value: MoneyJson,
    #[schema(min_length = 1, pattern = r"\S")]
    reason: String,
}

async fn claw_back(
    State(app): State<App>,
    CurrentActor(actor): CurrentActor,
    Path(id): Path<String>,
    key: Key,
    Json(sent): Json<NewClawback>,
) -> Result<Response, Problem> {
    let value = sent.value.read("/value").map_err(Problem::field)?;
    let once = key.once(created);
    let taken = verbs::claw_back(&app, &actor, &id, value, &sent.reason, once.as_ref()).await?;
    Ok(tagged(taken.reward.version, created_reply(&taken)))
}
