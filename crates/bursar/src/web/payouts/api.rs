//! `/batches`: preparing and paying a payout.

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use payout::access::Permission;
use payout::ids::{BatchId, RewardId};
use payout::money::{Currency, Sum, Vendor};
use payout::scope::Scope;

use super::difference;
use crate::app::App;
use crate::clock::rfc3339;
use crate::ops::batches as verbs;
use crate::ops::batches::view::{BatchView, ClaimView};
use crate::ops::batches::{Draft, Selection};
use crate::ops::idempotency::{HeldKey, Idempotency, Reply};
use crate::ops::pay::{self, Balances, ConfirmedTotals, Paid};
use crate::ops::{self, OpsError, claims, payees, shown_draft};
use crate::store::batches::{self, PoolFilter};
use crate::web::kit::extract::Json;
use crate::web::kit::form::{ListQuery, Query, encode_cursor, key_required};
use crate::web::kit::json::{MoneyJson, Page, PayeeJson, etag, if_match, payment_type};
use crate::web::kit::problem::{self, FieldError, Problem};
use crate::web::kit::route::{Access, Route, Web, delete, get, post};
use crate::web::kit::session::CurrentActor;
use crate::web::kit::shapes;
use crate::work::ask;

pub fn routes() -> Vec<Route> {
    let (read, prepare) = (Access::May(Permission::Read), Access::May(Permission::Prepare));
    let pays = Access::May(Permission::Pay);
    vec![
        get("/api/v1/batches", read, list)
            .says("Batches, newest first")
            .by_pages()
            .answers_page::<BatchRow>(),
        post("/api/v1/batches", prepare, form)
            .tagged()
            .says("Form a batch, or add to the open draft")
            .filters::<FormQuery>()
            .takes::<ChooseJson>()
            .answers::<BatchJson>(201),
        get("/api/v1/batches/{id}", read, show)
            .tagged()
            .says("A batch with its claims, totals, blockers and digest")
            .answers::<BatchJson>(200),
        delete("/api/v1/batches/{id}", prepare, remove)
            .tagged()
            .takes_tag()
            .says("Delete Payout: only before Pay; the rewards return to the pool")
            .answers::<BatchJson>(200),
        post("/api/v1/batches/{id}/rewards", prepare, add)
            .tagged()
            .takes_tag()
            .says("Add rewards to a draft")
            .takes::<ChooseJson>()
            .answers::<BatchJson>(200),
        delete("/api/v1/batches/{id}/rewards", prepare, take_out)
            .tagged()
            .takes_tag()
            .says("Take rewards out of a draft")
            .takes::<RewardsJson>()
            .answers::<BatchJson>(200),
        post("/api/v1/batches/{id}/remove-blocked", prepare, remove_blocked)
            .tagged()
            .takes_tag()
            .says("Take every blocked claim's rewards out of a draft")
            .answers::<BatchJson>(200),
        post("/api/v1/batches/{id}/override-threshold", prepare, override_threshold)
            .tagged()
            .takes_tag()
            .says("Pay a claim of exactly this total although it is under the earning threshold")
            .takes::<OverrideChange>()
            .answers::<BatchJson>(200),
        post("/api/v1/batches/{id}/release", pays, release)
            .tagged()
            .takes_tag()
            .opened_by(Scope::Release)
            .says("Two-person rule: release exactly this digest")
            .takes::<ReleaseJson>()
            .answers::<BatchJson>(200),
        post("/api/v1/batches/{id}/pay", pays, pay_batch)
            .says("Pay: exactly what was shown, or nothing")
            .needs_key()
            .takes::<PayJson>()
            .answers::<PaidJson>(202),
    ]
}

/// A batch.
#[derive(Serialize, ToSchema)]
#[schema(as = Batch)]
struct BatchJson {
    #[schema(value_type = shapes::BatchIdOnly)]
    id: String,
    number: String,
    #[schema(value_type = shapes::BatchStatus)]
    status: String,
    created_at: String,
    claims: Vec<ClaimJson>,
    totals: Vec<MoneyJson>,
    #[schema(value_type = Vec<Object>)]
    blockers: Vec<Value>,
    digest: String,
    /// The numbers of payments whose record cannot be read; claims and totals do not include them.
    unreadable: Vec<String>,
    /// The two-person rule: who asked, who released, since when a release is void.
    release: ReleaseState,
}

/// The release state of a batch. People are identified by id.
#[derive(Serialize, ToSchema)]
struct ReleaseState {
    asked_by: Option<String>,
    asked_at: Option<String>,
    /// Who released it in its current form.
    released_by: Option<String>,
    released_at: Option<String>,
    /// Since when the previous release is void, because something has changed.
    void_since: Option<String>,
}

/// Why a claim is paid although it is below the earning threshold.
#[derive(Serialize, ToSchema)]
struct ThresholdOverride {
    reason: String,
    /// The id of the person who decided it.
    by: String,
    at: String,
}

/// What one payee gets in one currency.
#[derive(Serialize, ToSchema)]
#[schema(as = Claim)]
struct ClaimJson {
    payee: PayeeJson,
    #[schema(value_type = shapes::PaymentType)]
    payment_type: String,
    #[schema(value_type = Option<shapes::VendorName>)]
    vendor: Option<String>,
    destination: Option<String>,
    #[schema(value_type = shapes::CurrencyCode)]
    currency: String,
    total: MoneyJson,
    fee: MoneyJson,
    net: MoneyJson,
    reward_count: usize,
    #[schema(value_type = Vec<Object>)]
    blockers: Vec<Value>,
    #[serde(rename = "override")]
    overridden: Option<ThresholdOverride>,
    /// With US Tax Tracking on: whether paying it takes the payee's year over the reporting threshold.
    crosses_tax_line: bool,
}

impl From<&ClaimView> for ClaimJson {
    fn from(claim: &ClaimView) -> Self {
        Self {
            payee: PayeeJson::of(claim.payee, claim.named.as_ref()),
            payment_type: payment_type(claim.payee).as_str().to_owned(),
            vendor: claim.vendor().map(|vendor| vendor.as_str().to_owned()),
            destination: claim.destination.as_ref().map(payout::payee::Destination::masked),
            currency: claim.total.currency.code().to_owned(),
            total: claim.exact().into(),
            fee: claim.fee.into(),
            net: claim.net.into(),
            reward_count: claim.reward_count,
            blockers: claim.blockers.iter().map(problem::blocker).collect(),
            overridden: claim.overridden.as_ref().map(|one| ThresholdOverride {
                reason: one.reason.clone(),
                by: one.actor.clone(),
                at: rfc3339(one.at),
            }),
            crosses_tax_line: claim.crossing.is_some(),
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
            blockers: view.blockers.iter().map(problem::blocker).collect(),
            digest: view.digest.clone(),
            unreadable: view.unreadable.clone(),
            release: ReleaseState::of(view),
        }
    }
}

impl ReleaseState {
    fn of(view: &BatchView) -> Self {
        let batch = &view.batch;
        let stands = batch.released.as_ref().filter(|(_, of, _)| *of == view.digest);
        // A changed destination also voids a release, but its time is not recorded here.
        let void = batch.released.as_ref().filter(|_| stands.is_none()).map(|_| batch.changed.1);
        Self {
            asked_by: batch.release_asked_by.clone(),
            asked_at: batch.release_asked_at.map(rfc3339),
            released_by: stands.map(|(by, ..)| by.clone()),
            released_at: stands.map(|(.., at)| rfc3339(*at)),
            void_since: batch.release_voided_at.or(void).map(rfc3339),
        }
    }
}

/// A row of the list of batches.
#[derive(Serialize, ToSchema)]
#[schema(as = ListedBatch)]
struct BatchRow {
    id: String,
    number: String,
    created_at: String,
    pay_pressed_at: Option<String>,
    deleted_at: Option<String>,
    #[schema(value_type = shapes::BatchStatus)]
    status: &'static str,
    /// By currency.
    totals: Vec<MoneyJson>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct NoFilter {}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct FormQuery {
    /// Start another draft in addition to the open one
    new: Option<bool>,
}

/// The rewards to put into a batch: listed rewards, or everything that passes every gate.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ChooseRewards)]
#[schema(example = json!({"all_eligible": true, "filter": {"currency": "USD", "payment_type": "individual"}}))]
struct ChooseJson {
    #[schema(value_type = Option<Vec<shapes::RewardId>>)]
    rewards: Option<Vec<String>>,
    all_eligible: Option<bool>,
    filter: Option<FilterJson>,
}

/// Limits "everything", by ID or external ID.
#[derive(Deserialize, ToSchema, Default)]
#[serde(deny_unknown_fields)]
#[schema(as = PoolFilter)]
struct FilterJson {
    owner: Option<String>,
    account: Option<String>,
    program: Option<String>,
    activity: Option<String>,
    #[schema(value_type = Option<shapes::CurrencyCode>)]
    currency: Option<String>,
    #[schema(value_type = Option<shapes::PaymentType>)]
    payment_type: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RewardIds)]
struct RewardsJson {
    #[schema(value_type = Vec<shapes::RewardId>)]
    rewards: Vec<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Release)]
struct ReleaseJson {
    #[schema(value_type = shapes::Digest)]
    digest: String,
}

/// A claim to pay although it is below the earning threshold.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ThresholdOverrideChange)]
struct OverrideChange {
    /// The payee, by ID or external ID.
    payee: String,
    #[schema(value_type = shapes::CurrencyCode)]
    currency: String,
    #[schema(value_type = shapes::ShortReason)]
    reason: String,
}

/// What was shown when Pay was pressed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Pay)]
#[schema(example = json!({"digest": "sha256:0756f2234217b25a58038b71d86b81b80544b1fe749699154fce8b1a9e2619ae", "totals": [{"value": "420.00", "currency": "USD"}]}))]
struct PayJson {
    #[schema(value_type = shapes::Digest)]
    digest: String,
    #[schema(value_type = Vec<shapes::MoneyGiven>)]
    totals: Vec<MoneyJson>,
}

/// The result of Pay.
#[derive(Serialize, ToSchema)]
#[schema(as = Paid)]
struct PaidJson {
    batch: BatchJson,
    transactions: usize,
}

fn ids(rewards: &[String]) -> Result<Vec<RewardId>, Problem> {
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
    if errors.is_empty() { Ok(ids) } else { Err(Problem::fields(errors)) }
}

async fn choose(app: &App, json: ChooseJson) -> Result<Selection, Problem> {
    match (json.rewards, json.all_eligible) {
        (Some(rewards), None | Some(false)) if json.filter.is_none() => Ok(Selection::Named(ids(&rewards)?)),
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
            Ok(Selection::AllEligible(PoolFilter {
                owner: next(),
                account: next(),
                program: next(),
                activity: next(),
                currency: filter.currency,
                payment_type: filter.payment_type,
                ..PoolFilter::default()
            }))
        }
        (Some(_) | None, _) => Err(Problem::field(FieldError {
            pointer: "/rewards".to_owned(),
            code: "choose_one",
            detail: "Name the rewards, or say all_eligible with an optional filter; not both.".to_owned(),
        })),
    }
}

async fn find(app: &App, id_or_number: &str) -> Result<BatchId, Problem> {
    match BatchId::parse(id_or_number) {
        Some(id) => Ok(id),
        None => Ok(batches::find(&mut app.store.read().await?, id_or_number).await?.id),
    }
}

/// The batch as shown to the caller. A draft is also saved as a snapshot, to explain differences if it changes before
/// somebody pays it.
async fn answered(app: &App, status: StatusCode, view: &BatchView) -> Response {
    shown_draft::keep(app, view).await;
    ([(header::ETAG, etag(view.batch.version))], (status, axum::Json(BatchJson::from(view)))).into_response()
}

/// The batch with blockers from the vendors' balances; an unknown balance does not block.
fn weighed(view: &BatchView, balances: &Balances) -> BatchView {
    let mut view = view.clone();
    if view.batch.open() {
        view.blockers.extend(balances.blockers(&view));
    }
    view
}

/// The stored response: the same as the one sent, with the balances read before the change.
fn once(
    mark: Option<Extension<HeldKey>>,
    status: StatusCode,
    balances: &Balances,
) -> Option<Idempotency<BatchView>> {
    let balances = balances.clone();
    mark.map(|Extension(mark)| {
        Idempotency::new(mark, move |view| Reply::json(status, &BatchJson::from(&weighed(view, &balances))))
    })
}

async fn list(
    State(app): State<App>,
    ListQuery(NoFilter {}, paging): ListQuery<NoFilter>,
) -> Result<axum::Json<Page<BatchRow>>, Problem> {
    let before = match paging.after_parts()? {
        None => None,
        Some([id]) => Some(BatchId::parse(&id).ok_or_else(|| paging.elsewhere())?.to_string()),
    };
    let mut db = app.store.read().await?;
    let rows = batches::newest(&mut db, before.as_deref(), paging.limit + 1).await?;
    let stand = verbs::standings(&mut db, &rows).await?;
    let rows: Vec<_> = rows.into_iter().zip(stand).collect();
    Ok(axum::Json(Page::of(
        rows,
        paging.limit,
        |(row, _)| encode_cursor(&[&row.id.to_string()]),
        |(row, (status, totals))| BatchRow {
            id: row.id.to_string(),
            number: row.number,
            created_at: rfc3339(row.created.1),
            pay_pressed_at: row.paid.map(|(_, at)| rfc3339(at)),
            deleted_at: row.deleted_at.map(rfc3339),
            status: status.as_str(),
            totals: totals.into_iter().map(MoneyJson::from).collect(),
        },
    )))
}

async fn form(
    State(web): State<Web>,
    CurrentActor(actor): CurrentActor,
    Query(query): Query<FormQuery>,
    mark: Option<Extension<HeldKey>>,
    Json(json): Json<ChooseJson>,
) -> Result<Response, Problem> {
    let choose = choose(&web.app, json).await?;
    let balances = ask::balances(&web.work).await;
    let once = once(mark, StatusCode::CREATED, &balances);
    let view = verbs::form(&web.app, &actor, &choose, query.new.unwrap_or(false), once.as_ref()).await?;
    Ok(answered(&web.app, StatusCode::CREATED, &weighed(&view, &balances)).await)
}

/// Reads the balances fresh, as the page does; an unknown balance does not block.
async fn show(State(web): State<Web>, Path(id): Path<String>) -> Result<Response, Problem> {
    let view = verbs::view(&mut web.app.store.read().await?, &id, web.app.clock.now()).await?;
    if view.batch.open() && view.claims.iter().any(|claim| claim.vendor() == Some(Vendor::Stripe)) {
        let balances = ask::balances(&web.work).await;
        return Ok(answered(&web.app, StatusCode::OK, &weighed(&view, &balances)).await);
    }
    Ok(answered(&web.app, StatusCode::OK, &view).await)
}

fn draft(id: BatchId, headers: &HeaderMap) -> Draft {
    Draft { id, version: if_match(headers) }
}

/// A verb's refusal; if the batch has changed since it was read, with its current version.
async fn not_done(app: &App, id: BatchId, error: OpsError) -> Problem {
    let problem = Problem::from(error);
    if problem.code() != "precondition_failed" {
        return problem;
    }
    let now = async {
        let view = verbs::view(&mut app.store.read().await?, &id.to_string(), app.clock.now()).await?;
        Ok::<_, Problem>(serde_json::to_value(BatchJson::from(&view)).unwrap_or_default())
    };
    now.await.map_or_else(|fault| fault, Problem::stale)
}

async fn remove(
    State(app): State<App>,
    CurrentActor(actor): CurrentActor,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id = find(&app, &id).await?;
    if let Err(error) = verbs::delete(&app, &actor, draft(id, &headers)).await {
        return Err(not_done(&app, id, error).await);
    }
    let view = verbs::view(&mut app.store.read().await?, &id.to_string(), app.clock.now()).await?;
    Ok(answered(&app, StatusCode::OK, &view).await)
}

async fn add(
    State(web): State<Web>,
    CurrentActor(actor): CurrentActor,
    Path(id): Path<String>,
    headers: HeaderMap,
    mark: Option<Extension<HeldKey>>,
    Json(json): Json<ChooseJson>,
) -> Result<Response, Problem> {
    let id = find(&web.app, &id).await?;
    let choose = choose(&web.app, json).await?;
    let balances = ask::balances(&web.work).await;
    let once = once(mark, StatusCode::OK, &balances);
    let done = verbs::add(&web.app, &actor, draft(id, &headers), &choose, once.as_ref()).await;
    done_or_not(&web.app, id, done, &balances).await
}

async fn take_out(
    State(web): State<Web>,
    CurrentActor(actor): CurrentActor,
    Path(id): Path<String>,
    headers: HeaderMap,
    Json(json): Json<RewardsJson>,
) -> Result<Response, Problem> {
    let id = find(&web.app, &id).await?;
    let balances = ask::balances(&web.work).await;
    let done = verbs::remove(&web.app, &actor, draft(id, &headers), &ids(&json.rewards)?, None).await;
    done_or_not(&web.app, id, done, &balances).await
}

async fn remove_blocked(
    State(web): State<Web>,
    CurrentActor(actor): CurrentActor,
    Path(id): Path<String>,
    headers: HeaderMap,
    mark: Option<Extension<HeldKey>>,
) -> Result<Response, Problem> {
    let id = find(&web.app, &id).await?;
    let balances = ask::balances(&web.work).await;
    let (draft, once) = (draft(id, &headers), once(mark, StatusCode::OK, &balances));
    let done = verbs::remove_blocked(&web.app, &actor, draft, once.as_ref()).await;
    done_or_not(&web.app, id, done, &balances).await
}

async fn done_or_not(
    app: &App,
    id: BatchId,
    done: ops::Result<BatchView>,
    balances: &Balances,
) -> Result<Response, Problem> {
    match done {
        Ok(view) => Ok(answered(app, StatusCode::OK, &weighed(&view, balances)).await),
        Err(error) => Err(not_done(app, id, error).await),
    }
}

async fn override_threshold(
    State(web): State<Web>,
    CurrentActor(actor): CurrentActor,
    Path(id): Path<String>,
    headers: HeaderMap,
    mark: Option<Extension<HeldKey>>,
    Json(json): Json<OverrideChange>,
) -> Result<Response, Problem> {
    let app = &web.app;
    let id = find(app, &id).await?;
    let wrong = |pointer: &str, code, detail: &str| {
        Problem::field(FieldError { pointer: pointer.to_owned(), code, detail: detail.to_owned() })
    };
    let payee = payees::named(&mut app.store.read().await?, &json.payee).await?;
    let payee =
        payee.ok_or_else(|| wrong("/payee", "unknown_payee", "There is no such partner or account."))?;
    let currency = Currency::parse(&json.currency)
        .map_err(|_| wrong("/currency", "unknown_currency", "There is no such currency."))?;
    let balances = ask::balances(&web.work).await;
    let once = once(mark, StatusCode::OK, &balances);
    let (draft, of) = (draft(id, &headers), (payee, currency));
    let done = claims::override_threshold(app, &actor, draft, of, &json.reason, once.as_ref()).await;
    done_or_not(app, id, done, &balances).await
}

async fn release(
    State(web): State<Web>,
    CurrentActor(actor): CurrentActor,
    Path(id): Path<String>,
    headers: HeaderMap,
    mark: Option<Extension<HeldKey>>,
    Json(json): Json<ReleaseJson>,
) -> Result<Response, Problem> {
    let id = find(&web.app, &id).await?;
    let balances = ask::balances(&web.work).await;
    let (draft, once) = (draft(id, &headers), once(mark, StatusCode::OK, &balances));
    match verbs::release(&web.app, &actor, draft, &json.digest, once.as_ref()).await {
        Err(OpsError::Conflict(refusal)) if refusal.code == "batch_changed" => {
            Err(different(&web.app, id, OpsError::Conflict(refusal), &json.digest, None).await)
        }
        done => done_or_not(&web.app, id, done, &balances).await,
    }
}

fn paid(paid: &Paid) -> Reply {
    let json = PaidJson { batch: BatchJson::from(&paid.batch), transactions: paid.transactions };
    Reply::json(StatusCode::ACCEPTED, &json)
}

async fn pay_batch(
    State(web): State<Web>,
    CurrentActor(actor): CurrentActor,
    Path(id): Path<String>,
    mark: Option<Extension<HeldKey>>,
    Json(json): Json<PayJson>,
) -> Result<Response, Problem> {
    let Some(Extension(mark)) = mark else { return Err(key_required()) };
    let id = find(&web.app, &id).await?;
    let totals: Result<Vec<Sum>, FieldError> = json
        .totals
        .iter()
        .enumerate()
        .map(|(place, money)| money.read(&format!("/totals/{place}")).map(Sum::from))
        .collect();
    let seen = ConfirmedTotals { digest: json.digest, totals: totals.map_err(Problem::field)? };
    let balances = ask::balances(&web.work).await;
    match pay::pay(&web.app, &actor, id, &seen, &balances, Some(&Idempotency::new(mark, paid))).await {
        Ok(done) => Ok(paid(&done).into_response()),
        Err(OpsError::Conflict(refusal)) if refusal.code == "batch_changed" => {
            let (error, totals) = (OpsError::Conflict(refusal), Some(seen.totals.as_slice()));
            Err(different(&web.app, id, error, &seen.digest, totals).await)
        }
        Err(error) => Err(error.into()),
    }
}

/// The refusal if something has changed since it was shown, with the differences.
async fn different(app: &App, id: BatchId, error: OpsError, digest: &str, totals: Option<&[Sum]>) -> Problem {
    let now = app.clock.now();
    let found = async {
        let mut db = app.store.read().await?;
        shown_draft::difference(&mut db, id, digest, totals, now).await
    };
    match found.await {
        Ok(difference) => Problem::from(error).with("difference", difference::json(&difference)),
        Err(error) => error.into(),
    }
}
