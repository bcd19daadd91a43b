//! `/transactions`: payments after Pay, and actions on failed ones.

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use payout::access::{Permission, Role};
use payout::ids::TransactionId;
use payout::law::Parked;
use payout::ledger::Payee;
use payout::money::{Money, Vendor};
use payout::remedy::Choice;

use super::api_filter::PaymentFilter;
use crate::app::App;
use crate::clock::rfc3339;
use crate::ops::idempotency::{HeldKey, Idempotency, Reply};
use crate::ops::placed;
use crate::ops::transactions::{self as verbs};
use crate::ops::{OpsError, by_hand, evidence};
use crate::store::submissions::{self, Submission};
use crate::store::transactions::{self, Attempt, CoveredReward, Transaction};
use crate::store::{Db, contradictions, payees};
use crate::web::kit::extract::Json;
use crate::web::kit::form::{ListQuery, encode_cursor, key_required};
use crate::web::kit::json::{MoneyJson, Page, PayeeJson, payment_type};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, Web, get, post};
use crate::web::kit::scope::own_payees;
use crate::web::kit::session::CurrentActor;
use crate::web::kit::shapes;
use crate::work::ask;

pub fn routes() -> Vec<Route> {
    let (read, pays) = (Access::MayOrOwn(Permission::Read), Access::May(Permission::Pay));
    vec![
        get("/api/v1/transactions", read, list)
            .says("Transactions, newest first")
            .by_pages()
            .filters::<PaymentFilter>()
            .answers_page::<TransactionJson>(),
        get("/api/v1/transactions/{id}", read, show)
            .says("A transaction with its attempts, rewards and timeline")
            .answers::<WholeJson>(200),
        post("/api/v1/transactions/{id}/resubmit", pays, resubmit)
            .asks_vendor()
            .says("Send a failed payment again, with a new key")
            .needs_key()
            .answers::<WholeJson>(200),
        post("/api/v1/transactions/{id}/refresh", pays, refresh)
            .asks_vendor()
            .says("Ask the vendor now and apply what it says")
            .answers::<WholeJson>(200),
        post("/api/v1/transactions/{id}/return-to-pool", pays, return_to_pool)
            .asks_vendor()
            .says("Free a failed payment's rewards; Stripe is asked to reverse a transfer first")
            .answers::<WholeJson>(200)
            .answers::<WholeJson>(202),
        post("/api/v1/transactions/{id}/cancel-unclaimed", pays, cancel_unclaimed)
            .asks_vendor()
            .says("Call back what nobody has claimed; 202 while PayPal has not said that the money is back")
            .answers::<WholeJson>(200)
            .answers::<WholeJson>(202),
        post("/api/v1/transactions/{id}/settle-by-hand", pays, settle_by_hand)
            .asks_vendor()
            .says("Settle what needs a person: `made` (its object is read at the vendor) or `not_made`")
            .takes::<ByHandJson>()
            .answers::<WholeJson>(200)
            .answers::<WholeJson>(202),
        post("/api/v1/transactions/{id}/settle-parked", pays, settle_parked)
            .asks_vendor()
            .says("Settle money that lies in a payee's Stripe balance and cannot be fetched; 202 until a second person says the same")
            .takes::<ParkedJson>()
            .answers::<WholeJson>(200)
            .answers::<WholeJson>(202),
        post("/api/v1/transactions/{id}/mark-paid-outside", pays, mark_paid_outside)
            .asks_vendor()
            .says("Close a failed payment that was made some other way")
            .takes::<OutsideJson>()
            .answers::<WholeJson>(200),
    ]
}

/// A transaction.
#[derive(Serialize, ToSchema)]
#[schema(as = Transaction)]
struct TransactionJson {
    id: String,
    number: String,
    batch: String,
    payee: PayeeJson,
    #[schema(value_type = shapes::PaymentType)]
    payment_type: String,
    #[schema(value_type = shapes::VendorName)]
    vendor: String,
    destination: String,
    /// `live`, `test` or `sandbox`: the mode of the vendor account it is paid from; in the last two no money moves. Null
    /// for payments made before this was recorded.
    mode: Option<String>,
    #[schema(value_type = shapes::TransactionStatus)]
    status: String,
    label: String,
    #[schema(value_type = Option<shapes::TransactionDetail>)]
    detail: Option<String>,
    amount: MoneyJson,
    fee: MoneyJson,
    net: MoneyJson,
    reason: Option<ReasonJson>,
    created_at: String,
    status_since: String,
    settled_at: Option<String>,
    last_asked_at: Option<String>,
    last_answer: Option<String>,
    released_at: Option<String>,
    paid_outside: Option<OutsideShown>,
    /// Since when the vendor contradicts a final state recorded here; until that is settled, nothing of it is paid again.
    contradicted_at: Option<String>,
}

/// A transaction with all details.
#[derive(Serialize, ToSchema)]
#[schema(as = WholeTransaction)]
struct WholeJson {
    #[serde(flatten)]
    transaction: TransactionJson,
    rewards: Vec<RewardJson>,
    attempts: Vec<AttemptJson>,
    timeline: Vec<LineJson>,
    /// The possible actions, the usual one first; empty for partners, who see theirs in the portal.
    choices: Vec<ChoiceJson>,
    /// What one person has recorded and another must confirm.
    second_person: Option<SecondJson>,
}

/// An opinion that waits for a second person.
#[derive(Serialize, ToSchema)]
#[schema(as = SecondPerson)]
struct SecondJson {
    /// `not_made`, `made`, `reversed`, `written_off` or `paid_otherwise`, with its date and reference.
    deed: String,
    /// Why it takes two: `two_person_rule`, `vendor_not_looked_through` or `nothing_proves_it`.
    why: String,
    note: String,
    asked_by: String,
    asked_at: String,
}

/// A possible action.
#[derive(Serialize, ToSchema)]
#[schema(as = Choice)]
struct ChoiceJson {
    /// `wait`, `refresh`, `outside`, `resubmit`, `return_to_pool`, `mark_paid_outside`, `settle_by_hand`,
    /// `settle_parked` or `cancel_unclaimed`.
    deed: &'static str,
    words: &'static str,
    #[schema(value_type = shapes::WhoActs)]
    who: &'static str,
}

impl From<&Choice> for ChoiceJson {
    fn from(choice: &Choice) -> Self {
        Self { deed: choice.action.as_str(), words: choice.words, who: choice.who.as_str() }
    }
}

/// Why a payment is in its state.
#[derive(Serialize, ToSchema)]
#[schema(as = Reason)]
struct ReasonJson {
    /// The vendor's own code, a blocker's, or ours.
    code: String,
    message: String,
    remedy: String,
    who: String,
    /// The vendor's own message.
    vendor_message: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = PaidOutside)]
struct OutsideShown {
    paid_on: String,
    reference: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = CoveredReward)]
struct RewardJson {
    id: String,
    number: String,
    value: MoneyJson,
}

/// One attempt of one leg.
#[derive(Serialize, ToSchema)]
#[schema(as = Attempt)]
struct AttemptJson {
    id: String,
    number: i64,
    leg: String,
    state: String,
    key: Option<String>,
    #[schema(value_type = Object)]
    vendor_ids: serde_json::Value,
    first_sent_at: Option<String>,
    ended_at: Option<String>,
    tries: i64,
    reason_code: Option<String>,
}

/// An entry of the evidence timeline.
#[derive(Serialize, ToSchema)]
#[schema(as = TimelineLine)]
struct LineJson {
    time: String,
    source: String,
    effect: String,
    /// The effect in words: what happened, and what it means for the money.
    message: String,
    detail: Option<String>,
    event_id: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = MarkPaidOutside)]
#[schema(example = json!({"reference": "wire 4711", "paid_on": "2026-03-02"}))]
struct OutsideJson {
    #[schema(value_type = shapes::Reference)]
    reference: String,
    #[schema(value_type = shapes::Day)]
    paid_on: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SettleByHand)]
struct ByHandJson {
    #[schema(value_type = Outcome)]
    outcome: String,
    /// With `made`: the transfer, payout, reversal or PayPal item that was found.
    #[schema(min_length = 1)]
    vendor_id: Option<String>,
    /// How it was determined.
    #[schema(value_type = shapes::LongReason)]
    note: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SettleParked)]
struct ParkedJson {
    #[schema(value_type = ParkedOutcome)]
    outcome: String,
    /// With `paid_otherwise`: the reference and date of the payment made in its place.
    #[schema(value_type = Option<shapes::Reference>)]
    reference: Option<String>,
    #[schema(value_type = Option<shapes::Day>)]
    paid_on: Option<String>,
    /// How it was determined.
    #[schema(value_type = shapes::LongReason)]
    note: String,
}

/// The findings about a payment.
const MADE: &str = "made";
const NOT_MADE: &str = "not_made";

shapes::shapes! {
    Outcome, "Whether the payment was made." => shapes::one_of([MADE, NOT_MADE]);
    ParkedOutcome, "What became of money that lies in a payee's balance." => shapes::one_of(Parked::ALL.iter().map(|it| it.as_str()));
}

fn reason(transaction: &Transaction, elsewhere: bool) -> Option<ReasonJson> {
    placed::reason_now(transaction, elsewhere).map(|reason| ReasonJson {
        message: reason.message,
        remedy: reason.remedy.to_owned(),
        who: reason.who.as_str().to_owned(),
        vendor_message: reason.said,
        code: reason.code,
    })
}

fn json(transaction: &Transaction, named: Option<&payees::PayeeIdentity>) -> TransactionJson {
    let (terms, state) = (transaction.terms, transaction.state);
    TransactionJson {
        id: transaction.id.to_string(),
        number: transaction.label(),
        batch: transaction.batch.to_string(),
        payee: PayeeJson::of(terms.payee, named),
        payment_type: payment_type(terms.payee).as_str().to_owned(),
        vendor: terms.vendor.as_str().to_owned(),
        destination: transaction.destination.masked(),
        mode: transaction.mode.clone(),
        status: state.status().as_str().to_owned(),
        label: state.status().label().to_owned(),
        detail: state.detail().map(|detail| detail.as_str().to_owned()),
        amount: terms.amount.into(),
        fee: transaction.fee.into(),
        net: terms.net.into(),
        reason: reason(transaction, false),
        created_at: rfc3339(transaction.created_at),
        status_since: rfc3339(transaction.state_at),
        settled_at: transaction.settled_at.map(rfc3339),
        last_asked_at: transaction.asked.as_ref().map(|(at, _)| rfc3339(*at)),
        last_answer: transaction.asked.as_ref().map(|(_, what)| what.clone()),
        released_at: transaction.released_at.map(rfc3339),
        paid_outside: transaction.outside.as_ref().map(|(_, paid_on, reference)| OutsideShown {
            paid_on: paid_on.clone(),
            reference: reference.clone(),
        }),
        contradicted_at: transaction.contradicted_at.map(rfc3339),
    }
}

fn covered(row: &CoveredReward, like: Money) -> RewardJson {
    RewardJson {
        id: row.id.clone(),
        number: format!("RW-{:06}", row.number),
        value: Money::new(row.amount_minor, like.currency).into(),
    }
}

fn attempt(attempt: &Attempt, carrier: Option<&Submission>) -> AttemptJson {
    let mut ids = serde_json::Map::new();
    if let Some(id) = &attempt.vendor_id {
        ids.insert(attempt.leg.as_str().to_owned(), id.as_str().into());
    }
    let batch = carrier.filter(|one| one.vendor == Vendor::PayPal).and_then(|one| one.vendor_id.clone());
    if let Some(batch) = batch {
        ids.insert("batch".to_owned(), batch.into());
    }
    AttemptJson {
        id: attempt.id.to_string(),
        number: attempt.number,
        leg: attempt.leg.as_str().to_owned(),
        state: attempt.state.as_str().to_owned(),
        key: carrier.map(|one| one.key.clone()),
        vendor_ids: ids.into(),
        first_sent_at: attempt.first_sent_at.map(rfc3339),
        ended_at: attempt.ended_at.map(rfc3339),
        tries: carrier.map_or(0, |one| one.tries),
        reason_code: attempt.reason_code.clone(),
    }
}

/// Partners see what was done, but neither which of our people did it nor their notes.
fn line(row: evidence::Row, ours: bool) -> LineJson {
    let line = row.line;
    let of_people = line.source == "person" || line.source == "notice";
    LineJson {
        time: rfc3339(line.at),
        source: line.source,
        effect: line.effect,
        message: row.told,
        detail: line.detail.as_deref().map(evidence::particulars).filter(|_| ours || !of_people),
        event_id: line.event_id,
    }
}

async fn whole(db: &mut Db, transaction: &Transaction, ours: bool) -> Result<WholeJson, Problem> {
    let names = payees::names(db, &[transaction.terms.payee]).await?;
    let attempts = transactions::attempts(db, &[transaction.id]).await?;
    let carriers: Vec<String> = attempts.iter().filter_map(|one| one.submission.clone()).collect();
    let carriers = submissions::several(db, &carriers).await?;
    let carrier =
        |one: &Attempt| carriers.iter().find(|carrier| Some(&carrier.id) == one.submission.as_ref());
    let rewards = transactions::covered(db, transaction.id).await?;
    let elsewhere = placed::moved_on(db, transaction).await?;
    let body = json(transaction, names.get(&transaction.terms.payee));
    Ok(WholeJson {
        transaction: TransactionJson { reason: reason(transaction, elsewhere), ..body },
        rewards: rewards.iter().map(|row| covered(row, transaction.terms.amount)).collect(),
        attempts: attempts.iter().map(|one| attempt(one, carrier(one))).collect(),
        timeline: evidence::of(db, transaction).await?.into_iter().map(|row| line(row, ours)).collect(),
        choices: placed::choices_now(transaction, elsewhere)
            .iter()
            .filter(|_| ours)
            .map(ChoiceJson::from)
            .collect(),
        second_person: contradictions::opinion(db, transaction.id).await?.filter(|_| ours).map(|one| {
            SecondJson {
                deed: one.action,
                why: one.why,
                note: one.note,
                asked_by: one.asked_name,
                asked_at: rfc3339(one.asked_at),
            }
        }),
    })
}

fn bad(pointer: &str, code: &'static str, detail: &str) -> Problem {
    Problem::field(crate::web::kit::problem::FieldError {
        pointer: pointer.to_owned(),
        code,
        detail: detail.to_owned(),
    })
}

async fn list(
    State(app): State<App>,
    CurrentActor(actor): CurrentActor,
    ListQuery(query, paging): ListQuery<PaymentFilter>,
) -> Result<axum::Json<Page<TransactionJson>>, Problem> {
    let mut db = app.store.read().await?;
    let own = own_payees(&mut db, &actor).await?;
    let mut filter = query.read(&mut db, own.as_deref(), app.clock.now()).await?;
    filter.after = match paging.after_parts()? {
        None => None,
        Some([id]) => Some(TransactionId::parse(&id).ok_or_else(|| paging.elsewhere())?.to_string()),
    };
    filter.scope.own = own;
    let rows = transactions::list(&mut db, &filter, paging.limit + 1).await?;
    let of: Vec<Payee> = rows.iter().map(|row| row.terms.payee).collect();
    let names = payees::names(&mut db, &of).await?;
    Ok(axum::Json(Page::of(
        rows,
        paging.limit,
        |row| encode_cursor(&[&row.id.to_string()]),
        |row| json(&row, names.get(&row.terms.payee)),
    )))
}

async fn show(
    State(app): State<App>,
    CurrentActor(actor): CurrentActor,
    Path(id): Path<String>,
) -> Result<axum::Json<WholeJson>, Problem> {
    let mut db = app.store.read().await?;
    let own = own_payees(&mut db, &actor).await?;
    let transaction = match placed::payment(&mut db, &id).await {
        // The owner cannot be read, so show it to our own people only.
        Err(OpsError::Blocked(_)) if own.is_some() => return Err(Problem::missing()),
        found => found?,
    };
    if own.is_some_and(|own| !own.contains(&transaction.terms.payee.to_string())) {
        return Err(Problem::missing());
    }
    let ours = !matches!(actor.role, Role::Partner | Role::PartnerAdmin);
    Ok(axum::Json(whole(&mut db, &transaction, ours).await?))
}

async fn find(app: &App, id: &str) -> Result<TransactionId, Problem> {
    Ok(transactions::find(&mut app.store.read().await?, id).await?.id)
}

/// The response stored with the effect, in case the process dies before it sends the full one.
fn done(transaction: &Transaction) -> Reply {
    let status = if verbs::recalling(transaction) { StatusCode::ACCEPTED } else { StatusCode::OK };
    Reply::json(status, &json(transaction, None))
}

async fn answer(app: &App, status: StatusCode, transaction: &Transaction) -> Result<Response, Problem> {
    let whole = whole(&mut app.store.read().await?, transaction, true).await?;
    Ok((status, axum::Json(whole)).into_response())
}

async fn resubmit(
    State(web): State<Web>,
    CurrentActor(actor): CurrentActor,
    Path(id): Path<String>,
    mark: Option<Extension<HeldKey>>,
) -> Result<Response, Problem> {
    let Some(Extension(mark)) = mark else { return Err(key_required()) };
    let app = &web.app;
    let id = find(app, &id).await?;
    ask::before_resubmit(&web.work, id).await?;
    let transaction = verbs::resubmit(app, &actor, id, Some(&Idempotency::new(mark, done))).await?;
    answer(app, StatusCode::OK, &transaction).await
}

async fn refresh(
    State(web): State<Web>,
    CurrentActor(actor): CurrentActor,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id = find(&web.app, &id).await?;
    let transaction = ask::refresh(&web.work, &actor, id).await?;
    answer(&web.app, StatusCode::OK, &transaction).await
}

async fn return_to_pool(
    State(web): State<Web>,
    CurrentActor(actor): CurrentActor,
    Path(id): Path<String>,
    mark: Option<Extension<HeldKey>>,
) -> Result<Response, Problem> {
    let id = find(&web.app, &id).await?;
    let once = mark.map(|Extension(mark)| Idempotency::new(mark, done));
    let before = ask::before_return(&web.work, id).await?;
    if before.state == payout::transaction::State::Recalled && before.released_at.is_some() {
        return answer(&web.app, StatusCode::OK, &before).await;
    }
    let asked = verbs::return_to_pool(&web.app, &actor, id, once.as_ref()).await?;
    if !verbs::recalling(&asked) {
        return answer(&web.app, StatusCode::OK, &asked).await;
    }
    let after = ask::reversal(&web.work, id).await?;
    if verbs::recalling(&after) {
        return answer(&web.app, StatusCode::ACCEPTED, &after).await;
    }
    if after.released_at.is_some() {
        return answer(&web.app, StatusCode::OK, &after).await;
    }
    let words = reason(&after, false)
        .map_or_else(String::new, |reason| reason.vendor_message.unwrap_or(reason.message));
    let sentence =
        format!("The vendor refused to give the transfer back, so the rewards stay where they are: {words}");
    Err(Problem::new(StatusCode::CONFLICT, "reversal_refused", sentence))
}

async fn cancel_unclaimed(
    State(web): State<Web>,
    CurrentActor(actor): CurrentActor,
    Path(id): Path<String>,
    mark: Option<Extension<HeldKey>>,
) -> Result<Response, Problem> {
    let id = find(&web.app, &id).await?;
    let once = mark.map(|Extension(mark)| Idempotency::new(mark, asked));
    verbs::cancel_unclaimed(&web.app, &actor, id, once.as_ref()).await?;
    match ask::cancellation(&web.work, id).await? {
        (after, None) if after.state == payout::transaction::State::Unclaimed => {
            answer(&web.app, StatusCode::ACCEPTED, &after).await
        }
        (after, None) => answer(&web.app, StatusCode::OK, &after).await,
        (_, Some(code)) => {
            let message = format!(
                "PayPal did not give it back ({code}). Read the payment again: it may have been claimed."
            );
            Err(Problem::new(StatusCode::CONFLICT, "cancel_refused", message))
        }
    }
}

/// The response stored for a cancellation: that it was requested.
fn asked(transaction: &Transaction) -> Reply {
    Reply::json(StatusCode::ACCEPTED, &json(transaction, None))
}

async fn mark_paid_outside(
    State(web): State<Web>,
    CurrentActor(actor): CurrentActor,
    Path(id): Path<String>,
    mark: Option<Extension<HeldKey>>,
    Json(json): Json<OutsideJson>,
) -> Result<Response, Problem> {
    let app = &web.app;
    let id = find(app, &id).await?;
    ask::before_outside(&web.work, id).await?;
    let once = mark.map(|Extension(mark)| Idempotency::new(mark, done));
    let after =
        verbs::mark_paid_outside(app, &actor, id, &json.reference, &json.paid_on, once.as_ref()).await?;
    answer(app, StatusCode::OK, &after).await
}

async fn settle_by_hand(
    State(web): State<Web>,
    CurrentActor(actor): CurrentActor,
    Path(id): Path<String>,
    mark: Option<Extension<HeldKey>>,
    Json(json): Json<ByHandJson>,
) -> Result<Response, Problem> {
    let id = find(&web.app, &id).await?;
    let once = mark.map(|Extension(mark)| Idempotency::new(mark, done));
    let finding = match (json.outcome.as_str(), json.vendor_id) {
        (MADE, Some(vendor_id)) => ask::found(&web.work, id, &vendor_id).await?,
        (MADE, None) => return Err(bad("/vendor_id", "missing", "Say under which id the vendor has it.")),
        (NOT_MADE, _) => ask::not_made(&web.work, id).await?,
        (_, _) => return Err(bad("/outcome", "unknown_value", "The outcome is made or not_made.")),
    };
    let after = by_hand::settle_by_hand(&web.app, &actor, id, &finding, &json.note, once.as_ref()).await?;
    settled(&web.app, &after).await
}

/// 202 while a second person must confirm.
async fn settled(app: &App, after: &Transaction) -> Result<Response, Problem> {
    let waits = contradictions::opinion(&mut app.store.read().await?, after.id).await?.is_some();
    answer(app, if waits { StatusCode::ACCEPTED } else { StatusCode::OK }, after).await
}

async fn settle_parked(
    State(web): State<Web>,
    CurrentActor(actor): CurrentActor,
    Path(id): Path<String>,
    mark: Option<Extension<HeldKey>>,
    Json(json): Json<ParkedJson>,
) -> Result<Response, Problem> {
    let id = find(&web.app, &id).await?;
    let once = mark.map(|Extension(mark)| Idempotency::new(mark, done));
    let Some(how) = Parked::parse(&json.outcome) else {
        let message = "The outcome is reversed, written_off or paid_otherwise.";
        return Err(bad("/outcome", "unknown_value", message));
    };
    let (reference, paid_on) = (json.reference.unwrap_or_default(), json.paid_on.unwrap_or_default());
    let found = by_hand::ParkedFinding { how, reference, paid_on, note: json.note };
    ask::parked(&web.work, id, how).await?;
    let after = by_hand::settle_parked(&web.app, &actor, id, &found, once.as_ref()).await?;
    settled(&web.app, &after).await
}
