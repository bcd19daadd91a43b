//! `/batches`: preparing a payout and paying it.

use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use payout::access::Permission;
use payout::ids::{BatchId, RewardId};
use payout::ledger::Payee;
use payout::money::Money;
use payout::reward::PaymentType;

use super::{MoneyJson, Page, etag, if_match};
use crate::app::App;
use crate::clock::rfc3339;
use crate::ops::batches::{self as verbs, BatchView, Choose, ClaimView};
use crate::ops::idempotency::{Mark, Once, Reply};
use crate::ops::pay::{self, Paid, Seen};
use crate::store::batches::{self, PoolFilter};
use crate::web::fault::{self, Fault, FieldError};
use crate::web::session::Who;
use crate::web::strict::Json;
use crate::web::{Need, Route, Web, delete, get, post};
use crate::work::ask;

/// The rows of the route table.
#[must_use]
pub fn routes() -> Vec<Route> {
    let (read, prepare) = (Need::May(Permission::Read), Need::May(Permission::Prepare));
    let pays = Need::May(Permission::Pay);
    vec![
        get("/api/v1/batches", read, list).says("Batches, newest first").by_pages().answers::<Listed>(200),
        post("/api/v1/batches", prepare, form)
            .says("Form a batch, or add to the open draft")
            .filters::<FormQuery>()
            .takes::<ChooseJson>()
            .answers::<BatchJson>(201),
        get("/api/v1/batches/{id}", read, show)
            .says("A batch with its claims, totals, blockers and digest")
            .answers::<BatchJson>(200),
        delete("/api/v1/batches/{id}", prepare, remove)
            .says("Delete Payout: only before Pay; the rewards return to the pool")
            .answers::<BatchJson>(200),
        post("/api/v1/batches/{id}/rewards", prepare, add)
            .says("Add rewards to a draft")
            .takes::<ChooseJson>()
            .answers::<BatchJson>(200),
        delete("/api/v1/batches/{id}/rewards", prepare, take_out)
            .says("Take rewards out of a draft")
            .takes::<RewardsJson>()
            .answers::<BatchJson>(200),
        post("/api/v1/batches/{id}/remove-blocked", prepare, remove_blocked)
            .says("Take every blocked claim's rewards out of a draft")
            .answers::<BatchJson>(200),
        post("/api/v1/batches/{id}/release", pays, release)
            .says("Two-person rule: release exactly this digest")
            .takes::<ReleaseJson>()
            .answers::<BatchJson>(200),
        post("/api/v1/batches/{id}/pay", pays, pay_batch)
            .says("Pay: exactly what was shown, or nothing")
            .takes::<PayJson>()
            .answers::<PaidJson>(202),
    ]
}

/// A batch.
#[derive(Serialize, ToSchema)]
#[schema(as = Batch)]
struct BatchJson {
    id: String,
    number: String,
    status: String,
    created_at: String,
    claims: Vec<ClaimJson>,
    totals: Vec<MoneyJson>,
    #[schema(value_type = Vec<Object>)]
    blockers: Vec<Value>,
    digest: String,
}

/// What one payee gets in one currency.
#[derive(Serialize, ToSchema)]
#[schema(as = Claim)]
struct ClaimJson {
    payee: PayeeJson,
    payment_type: String,
    vendor: Option<String>,
    destination: Option<String>,
    currency: String,
    total: MoneyJson,
    fee: MoneyJson,
    net: MoneyJson,
    reward_count: usize,
    #[schema(value_type = Vec<Object>)]
    blockers: Vec<Value>,
}

/// Who receives.
#[derive(Serialize, ToSchema)]
#[schema(as = Payee)]
pub(super) struct PayeeJson {
    /// `partner` or `account`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// Our id.
    id: String,
    /// The caller's own id.
    external_id: Option<String>,
    /// The name.
    name: Option<String>,
}

impl PayeeJson {
    pub(super) fn of(payee: Payee, named: Option<&crate::store::payees::Named>) -> Self {
        Self {
            kind: match payee {
                Payee::Partner(_) => "partner",
                Payee::Account(_) => "account",
            },
            id: payee.to_string(),
            external_id: named.map(|named| named.external_id.clone()),
            name: named.map(|named| named.name.clone()),
        }
    }
}

/// How a payee is paid follows from who it is.
pub(super) fn payment_type(payee: Payee) -> PaymentType {
    match payee {
        Payee::Partner(_) => PaymentType::Individual,
        Payee::Account(_) => PaymentType::Organization,
    }
}

impl From<&ClaimView> for ClaimJson {
    fn from(claim: &ClaimView) -> Self {
        Self {
            payee: PayeeJson::of(claim.payee, claim.named.as_ref()),
            payment_type: payment_type(claim.payee).as_str().to_owned(),
            vendor: claim.vendor().map(|vendor| vendor.as_str().to_owned()),
            destination: claim.destination.as_ref().map(payout::payee::Destination::masked),
            currency: claim.total.currency.code().to_owned(),
            total: claim.total.into(),
            fee: claim.fee.into(),
            net: claim.net.into(),
            reward_count: claim.reward_count,
            blockers: claim.blockers.iter().map(fault::blocker).collect(),
        }
    }
}

impl From<&BatchView> for BatchJson {
    fn from(view: &BatchView) -> Self {
        Self {
            id: view.batch.id.to_string(),
            number: view.batch.number.clone(),
            status: view.status.as_str().to_owned(),
            created_at: rfc3339(view.batch.created.1),
            claims: view.claims.iter().map(ClaimJson::from).collect(),
            totals: view.totals.iter().copied().map(MoneyJson::from).collect(),
            blockers: view.blockers.iter().map(fault::blocker).collect(),
            digest: view.digest.clone(),
        }
    }
}

/// A row of the list of batches.
#[derive(Serialize, ToSchema)]
#[schema(as = ListedBatch)]
struct Listed {
    id: String,
    number: String,
    created_at: String,
    pay_pressed_at: Option<String>,
    deleted_at: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    limit: Option<i64>,
    after: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct FormQuery {
    /// Start another draft beside the open one.
    new: Option<bool>,
}

/// What to put into a batch: named rewards, or everything that passes every gate.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ChooseRewards)]
struct ChooseJson {
    rewards: Option<Vec<String>>,
    all_eligible: Option<bool>,
    filter: Option<FilterJson>,
}

/// What narrows "everything": ids of ours or of the caller's own.
#[derive(Deserialize, ToSchema, Default)]
#[serde(deny_unknown_fields)]
#[schema(as = PoolFilter)]
struct FilterJson {
    owner: Option<String>,
    account: Option<String>,
    program: Option<String>,
    activity: Option<String>,
    currency: Option<String>,
    payment_type: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RewardIds)]
struct RewardsJson {
    rewards: Vec<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Release)]
struct ReleaseJson {
    digest: String,
}

/// What was shown when Pay was pressed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Pay)]
struct PayJson {
    digest: String,
    totals: Vec<MoneyJson>,
}

/// What Pay promised.
#[derive(Serialize, ToSchema)]
#[schema(as = Paid)]
struct PaidJson {
    batch: BatchJson,
    transactions: usize,
}

fn ids(rewards: &[String]) -> Result<Vec<RewardId>, Fault> {
    let mut errors = Vec::new();
    let mut ids = Vec::with_capacity(rewards.len());
    for (place, text) in rewards.iter().enumerate() {
        match RewardId::parse(text) {
            Some(id) => ids.push(id),
            None => errors.push(FieldError {
                pointer: format!("/rewards/{place}"),
                code: "invalid_id",
                detail: "This is not the id of a reward; it begins with rwd_.".to_owned(),
            }),
        }
    }
    if errors.is_empty() { Ok(ids) } else { Err(Fault::fields(errors)) }
}

async fn choose(app: &App, json: ChooseJson) -> Result<Choose, Fault> {
    match (json.rewards, json.all_eligible) {
        (Some(rewards), None | Some(false)) if json.filter.is_none() => Ok(Choose::Named(ids(&rewards)?)),
        (None, Some(true)) => {
            let filter = json.filter.unwrap_or_default();
            let mut db = app.store.read().await?;
            let ours = |kind, id: Option<String>| (kind, id);
            let mut found = Vec::new();
            for (kind, id) in [
                ours("partner", filter.owner),
                ours("account", filter.account),
                ours("program", filter.program),
                ours("activity", filter.activity),
            ] {
                found.push(match id {
                    Some(id) => Some(batches::our_id(&mut db, kind, &id).await?.unwrap_or(id)),
                    None => None,
                });
            }
            let mut found = found.into_iter();
            let mut next = || found.next().flatten();
            Ok(Choose::AllEligible(PoolFilter {
                owner: next(),
                account: next(),
                program: next(),
                activity: next(),
                currency: filter.currency,
                payment_type: filter.payment_type,
                payee: None,
            }))
        }
        (Some(_) | None, _) => Err(Fault::field(FieldError {
            pointer: "/rewards".to_owned(),
            code: "choose_one",
            detail: "Name the rewards, or say all_eligible with an optional filter; not both.".to_owned(),
        })),
    }
}

async fn find(app: &App, id_or_number: &str) -> Result<BatchId, Fault> {
    match BatchId::parse(id_or_number) {
        Some(id) => Ok(id),
        None => Ok(batches::find(&mut app.store.read().await?, id_or_number).await?.id),
    }
}

fn shown(status: StatusCode, view: &BatchView) -> Response {
    ([(header::ETAG, etag(view.batch.version))], (status, axum::Json(BatchJson::from(view)))).into_response()
}

fn made(view: &BatchView) -> Reply {
    Reply::json(StatusCode::CREATED, &BatchJson::from(view))
}

fn changed(view: &BatchView) -> Reply {
    Reply::json(StatusCode::OK, &BatchJson::from(view))
}

fn once(mark: Option<Extension<Mark>>, reply: fn(&BatchView) -> Reply) -> Option<Once<BatchView>> {
    mark.map(|Extension(mark)| Once::new(mark, reply))
}

async fn list(
    State(app): State<App>,
    Query(query): Query<ListQuery>,
) -> Result<axum::Json<Page<Listed>>, Fault> {
    let limit = query.limit.unwrap_or(50).clamp(1, 200);
    let rows = batches::newest(&mut app.store.read().await?, query.after.as_deref(), limit + 1).await?;
    Ok(axum::Json(Page::of(
        rows,
        limit,
        |row| row.id.to_string(),
        |row| Listed {
            id: row.id.to_string(),
            number: row.number,
            created_at: rfc3339(row.created.1),
            pay_pressed_at: row.paid.map(|(_, at)| rfc3339(at)),
            deleted_at: row.deleted_at.map(rfc3339),
        },
    )))
}

async fn form(
    State(app): State<App>,
    Who(actor): Who,
    Query(query): Query<FormQuery>,
    mark: Option<Extension<Mark>>,
    Json(json): Json<ChooseJson>,
) -> Result<Response, Fault> {
    let choose = choose(&app, json).await?;
    let once = once(mark, made);
    let view = verbs::form(&app, &actor, &choose, query.new.unwrap_or(false), once.as_ref()).await?;
    Ok(shown(StatusCode::CREATED, &view))
}

async fn show(State(app): State<App>, Path(id): Path<String>) -> Result<Response, Fault> {
    let view = verbs::view(&mut app.store.read().await?, &id, app.clock.now()).await?;
    Ok(shown(StatusCode::OK, &view))
}

/// A batch that was changed after it was read is not changed unseen.
async fn same_version(app: &App, id: BatchId, headers: &HeaderMap) -> Result<(), Fault> {
    let Some(version) = if_match(headers) else { return Ok(()) };
    let view = verbs::view(&mut app.store.read().await?, &id.to_string(), app.clock.now()).await?;
    if view.batch.version == version {
        return Ok(());
    }
    Err(Fault::stale(serde_json::to_value(BatchJson::from(&view)).unwrap_or_default()))
}

async fn remove(
    State(app): State<App>,
    Who(actor): Who,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let id = find(&app, &id).await?;
    same_version(&app, id, &headers).await?;
    verbs::delete(&app, &actor, id).await?;
    let view = verbs::view(&mut app.store.read().await?, &id.to_string(), app.clock.now()).await?;
    Ok(shown(StatusCode::OK, &view))
}

async fn add(
    State(app): State<App>,
    Who(actor): Who,
    Path(id): Path<String>,
    headers: HeaderMap,
    mark: Option<Extension<Mark>>,
    Json(json): Json<ChooseJson>,
) -> Result<Response, Fault> {
    let id = find(&app, &id).await?;
    same_version(&app, id, &headers).await?;
    let choose = choose(&app, json).await?;
    let view = verbs::add(&app, &actor, id, &choose, once(mark, changed).as_ref()).await?;
    Ok(shown(StatusCode::OK, &view))
}

async fn take_out(
    State(app): State<App>,
    Who(actor): Who,
    Path(id): Path<String>,
    headers: HeaderMap,
    Json(json): Json<RewardsJson>,
) -> Result<Response, Fault> {
    let id = find(&app, &id).await?;
    same_version(&app, id, &headers).await?;
    let view = verbs::remove(&app, &actor, id, &ids(&json.rewards)?, None).await?;
    Ok(shown(StatusCode::OK, &view))
}

async fn remove_blocked(
    State(app): State<App>,
    Who(actor): Who,
    Path(id): Path<String>,
    mark: Option<Extension<Mark>>,
) -> Result<Response, Fault> {
    let id = find(&app, &id).await?;
    let view = verbs::remove_blocked(&app, &actor, id, once(mark, changed).as_ref()).await?;
    Ok(shown(StatusCode::OK, &view))
}

async fn release(
    State(app): State<App>,
    Who(actor): Who,
    Path(id): Path<String>,
    mark: Option<Extension<Mark>>,
    Json(json): Json<ReleaseJson>,
) -> Result<Response, Fault> {
    let id = find(&app, &id).await?;
    let view = verbs::release(&app, &actor, id, &json.digest, once(mark, changed).as_ref()).await?;
    Ok(shown(StatusCode::OK, &view))
}

fn paid(paid: &Paid) -> Reply {
    let json = PaidJson { batch: BatchJson::from(&paid.batch), transactions: paid.transactions };
    Reply::json(StatusCode::ACCEPTED, &json)
}

async fn pay_batch(
    State(web): State<Web>,
    Who(actor): Who,
    Path(id): Path<String>,
    mark: Option<Extension<Mark>>,
    Json(json): Json<PayJson>,
) -> Result<Response, Fault> {
    let Some(Extension(mark)) = mark else { return Err(key_required()) };
    let id = find(&web.app, &id).await?;
    let totals: Result<Vec<Money>, FieldError> = json
        .totals
        .iter()
        .enumerate()
        .map(|(place, money)| money.read(&format!("/totals/{place}")))
        .collect();
    let seen = Seen { digest: json.digest, totals: totals.map_err(Fault::field)? };
    let balances = ask::balances(&web.work).await;
    let done = pay::pay(&web.app, &actor, id, &seen, &balances, Some(&Once::new(mark, paid))).await?;
    Ok(paid(&done).into_response())
}

/// Where a second request could pay twice, a key is not optional.
pub(super) fn key_required() -> Fault {
    let told = "Send an Idempotency-Key with this request, so that repeating it after a lost answer cannot do it twice.";
    Fault::bad_request("idempotency_key_required", told)
}
