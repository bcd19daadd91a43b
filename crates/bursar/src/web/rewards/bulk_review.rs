//! Bulk decisions on rewards: submitting one, its result per reward, and undoing it. The list is in [`super::list`],
//! deciding about a single reward in [`super::show`].

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::Deserialize;

use payout::access::Permission;
use payout::ids::RewardId;
use payout::reward::{self as rules, RewardStatus, Shown};

use super::filter::FilterParams;
use super::list as again;
use crate::app::App;
use crate::ops::idempotency::Reply;
use crate::ops::rewards::{
    self as verbs, RewardSelection, SavedDecision, Verdict, check_restorable, why_no_undo,
};
use crate::store::Db;
use crate::store::decisions::{self, DecidedFilter as Of, Decision};
use crate::store::rewards;
use crate::web::kit::extract::{Tree, read};
use crate::web::kit::form::{Form, Key, ListQuery, Pager, encode_cursor};
use crate::web::kit::format::{Cash, Summed, Value, When, count, how_many};
use crate::web::kit::history;
use crate::web::kit::layout::{Flash, Frame, MenuItem, PageContext};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, get, post};

/// How many rewards of the result a page shows.
const ROWS_SHOWN: i64 = 100;

pub fn routes() -> Vec<Route> {
    let (reads, reviews) = (Access::May(Permission::Read), Access::May(Permission::Review));
    vec![
        post("/rewards/decide", reviews, decide),
        get("/rewards/decisions/{id}", reads, show),
        post("/rewards/decisions/{id}/undo", reviews, undo),
    ]
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BulkForm {
    action: String,
    #[serde(default)]
    id: Vec<String>,
    all: Option<String>,
    expected_count: Option<i64>,
    reason: Option<String>,
    shown: Option<String>,
    /// The query string of the list, for the way back and, if all matches are decided, to find them.
    back: Option<String>,
}

/// The list as it was, with what was refused and why: selections and text are kept.
async fn refused(app: &App, context: PageContext, sent: BulkForm, flash: Flash) -> Result<Response, Problem> {
    let kept = again::RetainedInput {
        ticked: sent.id,
        reason: sent.reason.unwrap_or_default(),
        shown: sent.shown.is_some(),
    };
    again::again(app, &context.telling(flash), &sent.back.unwrap_or_default(), kept).await
}

async fn decide(
    State(app): State<App>,
    context: PageContext,
    key: Key,
    Form(sent): Form<BulkForm>,
) -> Result<Response, Problem> {
    let query = sent.back.clone().unwrap_or_default();
    let back = format!("/rewards?{query}");
    let reason = sent.reason.clone().unwrap_or_default();
    let verdict = match sent.action.as_str() {
        "approve" => Verdict::Approve,
        _ if reason.trim().is_empty() => {
            let message = "Enter a reason to reject rewards. It is kept with them. Nothing was done.";
            return refused(&app, context, sent, Flash::bad(message)).await;
        }
        _ => Verdict::Reject { reason, shown: sent.shown.is_some() },
    };
    let which = match &sent.all {
        Some(_) => {
            let params: FilterParams =
                read(&Tree::from_pairs(query.as_bytes()).map_err(Problem::field)?).map_err(Problem::field)?;
            let mut db = app.store.read().await?;
            let narrowed = params.resolve(&mut db).await?;
            if let Some(problem) = narrowed.problems.into_iter().next() {
                return Ok(Flash::bad(format!("{problem} Nothing was done.")).on(&back));
            }
            match sent.expected_count {
                Some(expected) => RewardSelection::All(Box::new(narrowed.filter), expected),
                None => {
                    let all = rewards::count(&mut db, &narrowed.filter, app.clock.now()).await?;
                    return confirm(&app, &context, &sent, &params, all);
                }
            }
        }
        None => RewardSelection::Ids(sent.id.iter().filter_map(|id| RewardId::parse(id)).collect()),
    };
    if matches!(&which, RewardSelection::Ids(ids) if ids.is_empty()) {
        return Ok(Flash::bad("Select at least one reward. Nothing was done.").on(&back));
    }
    let once = key.once(result);
    match verbs::decide_and_keep(&app, &context.actor, &which, &verdict, &query, once.as_ref()).await {
        Ok(kept) => Ok(axum::response::IntoResponse::into_response(result(&kept))),
        Err(error) => {
            let flash = Flash::refused(error)?;
            refused(&app, context, sent, flash).await
        }
    }
}

fn result(kept: &SavedDecision) -> Reply {
    Reply::see_other(format!("/rewards/decisions/{}", kept.id))
}

/// The confirmation page when the number of matches exceeds what the list counts.
#[derive(Template)]
#[template(path = "rewards/bulk_all.html")]
struct AllPage {
    frame: Frame,
    word: &'static str,
    all: String,
    expected: i64,
    action: String,
    reason: String,
    shown: bool,
    back: String,
    view: &'static str,
    on: usize,
    once: String,
}

fn confirm(
    app: &App,
    context: &PageContext,
    sent: &BulkForm,
    params: &FilterParams,
    all: i64,
) -> Result<Response, Problem> {
    let word = if sent.action == "approve" { "Approve" } else { "Reject" };
    context.show(&AllPage {
        frame: context.frame(format!("{word} all that match"), MenuItem::Rewards),
        word,
        all: how_many(usize::try_from(all).unwrap_or(usize::MAX), "reward", "rewards"),
        expected: all,
        action: sent.action.clone(),
        reason: sent.reason.clone().unwrap_or_default(),
        shown: sent.shown.is_some(),
        back: sent.back.clone().unwrap_or_default(),
        view: params.view().1,
        on: params.filters(),
        once: app.clock.secret(),
    })
}

/// The result for one reward.
struct Row {
    number: Option<String>,
    owner: String,
    value: Option<Value>,
    result: String,
}

#[derive(Template)]
#[template(path = "rewards/bulk_review.html")]
struct DecisionPage {
    frame: Frame,
    id: String,
    told: (&'static str, String),
    reason: Option<String>,
    by: String,
    at: When,
    undone: Option<(String, When)>,
    may_review: bool,
    undo_until: When,
    undo_why_not: Option<String>,
    /// What was decided, by currency.
    totals: Vec<Summed>,
    skipped: Vec<Row>,
    more_skipped: Option<String>,
    done: Vec<Row>,
    turn: Pager,
    list: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EmptyForm {}

async fn show(
    State(app): State<App>,
    context: PageContext,
    Path(id): Path<String>,
    ListQuery(EmptyForm {}, paging): ListQuery<EmptyForm>,
) -> Result<Response, Problem> {
    let now = app.clock.now();
    let mut db = app.store.read().await?;
    let decision = decisions::find(&mut db, &id).await?;
    let after = paging.after_parts::<1>()?.map(|[after]| after);
    let mut done = decisions::kept(&mut db, &id, Of::Done(after.as_deref()), Some(ROWS_SHOWN + 1)).await?;
    let more = done.len() as u64 > ROWS_SHOWN.unsigned_abs();
    done.truncate(usize::try_from(ROWS_SHOWN).unwrap_or(usize::MAX));
    let next = done.last().filter(|_| more).map(|last| encode_cursor(&[&last.id.to_string()]));
    // Skipped rewards are on the first page, where people look for them.
    let skipped = match after {
        None => decisions::kept(&mut db, &id, Of::Skipped(None), Some(2 * ROWS_SHOWN)).await?,
        Some(_) => Vec::new(),
    };
    let unseen = decision.skipped - i64::try_from(skipped.len()).unwrap_or(0);
    let undo_why_not = why_no_undo(&mut db, &id, &decision, now).await?;
    let tells = decision.undone.is_some() || undo_why_not.is_none();
    let page = DecisionPage {
        frame: context.frame("What was decided", MenuItem::Rewards),
        told: outcome_message(&decision),
        reason: decision.reason.clone(),
        by: name(&mut db, &decision.by).await?,
        at: When(decision.at),
        undone: match &decision.undone {
            Some((at, by)) => Some((name(&mut db, by).await?, When(*at))),
            None => None,
        },
        may_review: context.may(Permission::Review),
        undo_until: When(decision.at.saturating_add(rules::UNDO_US)),
        undo_why_not,
        totals: decisions::totals(&mut db, &id).await?.into_iter().map(Cash).collect(),
        more_skipped: (after.is_none() && unseen > 0).then(|| count(unseen)),
        skipped: skipped.iter().map(|kept| row(kept, &decision, tells)).collect(),
        done: done.iter().map(|kept| row(kept, &decision, tells)).collect(),
        turn: paging.turn(done.len(), next.as_deref(), None),
        list: decision.list,
        id,
    };
    context.show(&page)
}

async fn name(db: &mut Db, id: &str) -> Result<String, Problem> {
    Ok(history::names(db, std::iter::once(id)).await?.remove(id).unwrap_or_default())
}

fn verb(status: RewardStatus) -> &'static str {
    match status {
        RewardStatus::Approved => "approved",
        RewardStatus::Rejected => "rejected",
        RewardStatus::Void => "voided",
        RewardStatus::InReview => "moved to In Review",
        RewardStatus::Submitted => "submitted",
    }
}

fn outcome_message(decision: &Decision) -> (&'static str, String) {
    let many = |count: i64| usize::try_from(count).unwrap_or(usize::MAX);
    let words = format!("{} {}.", how_many(many(decision.done), "reward", "rewards"), verb(decision.verdict));
    match decision.skipped {
        0 => ("good", words),
        skipped => ("warn", format!("{words} {} skipped:", how_many(many(skipped), "was", "were"))),
    }
}

/// `tells`: why this one cannot be undone is said here, because the others can be.
fn row(kept: &decisions::DecidedReward, decision: &Decision, tells: bool) -> Row {
    let is = kept.now.as_ref();
    let label = |status: RewardStatus| Shown::parse(status.as_str()).map_or("", Shown::label);
    let result = match (&kept.skipped, kept.undone_at, check_restorable(kept)) {
        (Some(code), _, _) => format!("Skipped: {}", skipped_why(code)),
        (None, Some(_), _) => format!("Undone: {} again", kept.before.map_or("", label)),
        (None, None, Err(refusal)) => {
            let why = if tells { format!(" Cannot be undone: {}", refusal.sentence) } else { String::new() };
            format!("{}.{why}", label(decision.verdict))
        }
        (None, None, Ok(_)) => label(decision.verdict).to_owned(),
    };
    Row {
        number: is.map(|is| format!("RW-{:06}", is.number)),
        owner: is.map(|is| is.owner_name.clone()).unwrap_or_default(),
        value: is.map(|is| Value(is.worth)),
        result,
    }
}

fn skipped_why(code: &str) -> &'static str {
    match code {
        "own_reward" => "it is yours, and you cannot approve your own reward. Ask another reviewer.",
        "not_pending" => "it is no longer Submitted or In Review.",
        "not_found" => "it was deleted in the meantime.",
        "record_unreadable" => {
            "its record cannot be read. Ask your Bursar operator to check the log and repair it."
        }
        _ => "the rules do not allow it. Open it to see why.",
    }
}

async fn undo(
    State(app): State<App>,
    context: PageContext,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let here = format!("/rewards/decisions/{id}");
    let flash = match verbs::undo(&app, &context.actor, &id).await {
        Ok(undone) => {
            let words =
                format!("Undone: {} back as before.", how_many(undone.restored, "reward is", "rewards are"));
            match undone.left {
                0 => Flash::good(words),
                left => Flash::warn(format!(
                    "{words} {} since and stay as they are. They are listed below.",
                    how_many(left, "was changed", "were changed")
                )),
            }
        }
        Err(error) => Flash::refused(error)?,
    };
    Ok(flash.on(&here))
}
