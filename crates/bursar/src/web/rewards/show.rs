//! One reward: its data, whether it can be paid and why not, past and possible decisions; and editing and deleting it. The
//! buttons use the same rules as the verbs, so they never promise more.

mod payments;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use payout::Refusal;
use payout::access::Permission;
use payout::eligibility::{Blocker, Code, Scope};
use payout::money::{Money, Sum};
use payout::reward::{self as rules, Entry, RewardStatus, Standing};

use self::payments::PaymentLink;
use super::edit_conflict::{self, ConflictField, EditConflict, is_conflict};
use super::filter::{FilterParams, listed};
use crate::app::App;
use crate::clock;
use crate::ops::idempotency::Reply;
use crate::ops::rewards::{self as verbs, Created, Edit, Verdict, expiry_of};
use crate::store::clawbacks::Clawback as TakesBackReward;
use crate::store::programs::RewardValue;
use crate::store::rewards::{self, Reward, Window};
use crate::store::{Db, clawbacks, contradictions};
use crate::web::kit::clawbacks::ClawbackRow;
use crate::web::kit::extract::{Tree, read};
use crate::web::kit::form::{Form, Key, Query};
use crate::web::kit::format;
use crate::web::kit::format::{BlockerSummary, Cash, Chip, Summed, Value, When, plain, reward_chip, when};
use crate::web::kit::history::{self, Line};
use crate::web::kit::layout::{Flash, Frame, MenuItem, PageContext};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, get, post};

pub fn routes() -> Vec<Route> {
    let (reads, reviews) = (Access::May(Permission::Read), Access::May(Permission::Review));
    vec![
        get("/rewards/{number}", reads, show),
        post("/rewards/{number}/decide", reviews, decide),
        get("/rewards/{number}/edit", reviews, edit_form),
        post("/rewards/{number}/edit", reviews, edit),
        get("/rewards/{number}/delete", reviews, delete_form),
        post("/rewards/{number}/delete", reviews, delete),
        post("/rewards/{number}/clawback", reviews, claw_back),
    ]
}

/// One gate of a reward.
struct Gate {
    words: &'static str,
    closed: Vec<BlockerSummary>,
}

/// The gates in an order that makes sense to people, each with the codes that close it.
#[rustfmt::skip]
const GATES: [(&str, &[Code]); 12] = [
    ("Payouts switched on", &[Code::ModuleDisabled, Code::SafeMode, Code::BooksDoNotBalance]),
    ("Approved", &[Code::RewardNotApproved]),
    ("Cash", &[Code::RewardNotCash]),
    ("Not expired", &[Code::RewardExpired]),
    ("Not in another batch or payment", &[Code::RewardInBatch, Code::RewardInFlight, Code::RewardPaid]),
    ("Hold period over", &[Code::RewardInHoldPeriod]),
    ("Partner active and not on hold", &[Code::PartnerOnHold, Code::PartnerClosed]),
    ("Payout profile complete", &[Code::ProfileMissing, Code::ProfileIncomplete]),
    ("Destination not changed recently", &[Code::ProfileChangedRecently, Code::DestinationChanged]),
    (
        "Vendor connected, credentials valid",
        &[Code::VendorNotConnected, Code::VendorCredentialsRejected, Code::OtherVendorAccount],
    ),
    ("Amount payable through the vendor to this payee",
        &[Code::CurrencyUnsupported, Code::CountryUnsupported, Code::AmountNotPayable, Code::AboveVendorMax,
          Code::NetNotPositive, Code::BelowThreshold, Code::ClawbackLeftOut,
          Code::FeeTableMissing, Code::TotalTooLarge]),
    ("Tax report on file, if one is needed", &[Code::TaxReportMissing, Code::TaxReportExpired]),
];

fn gates(blockers: &[Blocker]) -> Vec<Gate> {
    let mut gates: Vec<Gate> = GATES
        .iter()
        .map(|(words, codes)| {
            let closing = blockers.iter().filter(|blocker| codes.contains(&blocker.code));
            Gate { words, closed: closing.map(BlockerSummary::with_details).collect() }
        })
        .collect();
    // Also show a code that no gate above lists.
    let known = |code: &Code| GATES.iter().any(|(_, codes)| codes.contains(code));
    let others = blockers.iter().filter(|blocker| !known(&blocker.code));
    gates.extend(others.map(|blocker| Gate {
        words: "The payout itself",
        closed: vec![BlockerSummary::with_details(blocker)],
    }));
    gates
}

/// The short answer to whether it can be paid; a reward that is paid or on its way is not waiting.
fn verdict(blockers: &[Blocker]) -> Chip {
    let placed = |code| blockers.iter().any(|blocker| blocker.code == code);
    let others = blockers.iter().any(|blocker| {
        !matches!(blocker.code, Code::RewardInBatch | Code::RewardInFlight)
            && blocker.code.scope() != Scope::Batch
    });
    let (tone, words) = if blockers.is_empty() {
        ("fine", "Yes")
    } else if placed(Code::RewardNotCash) {
        ("", "Not paid out")
    } else if placed(Code::RewardPaid) {
        ("good", "Paid")
    } else if placed(Code::RewardInFlight) {
        ("wait", "In a payment")
    } else if placed(Code::RewardInBatch) && !others {
        ("wait", "In a payout")
    } else {
        ("warn", "Not yet")
    };
    Chip { tone, words }
}

/// An action, or why it is not possible.
struct Action {
    name: &'static str,
    words: &'static str,
    look: &'static str,
    why_not: Option<String>,
}

#[derive(Template)]
#[template(path = "rewards/show.html")]
struct ShowPage {
    frame: Frame,
    number: String,
    chip: Chip,
    value: Value,
    reward: Reward,
    form_data: Vec<(String, String)>,
    created: When,
    decided: Option<When>,
    decided_by: Option<String>,
    reimbursed: Option<String>,
    expires: Option<String>,
    held_until: Option<When>,
    /// The day it was earned, if its hold period was over before it was entered.
    hold_over: Option<String>,
    gates: Vec<Gate>,
    taken: Vec<ClawbackRow>,
    /// How much of it was clawed back, if anything.
    taken_in_all: Option<Summed>,
    payable: bool,
    verdict: Chip,
    deeds: Vec<Action>,
    may_review: bool,
    edit_why_not: Option<String>,
    delete_why_not: Option<String>,
    /// How much can be clawed back, if it was paid.
    takes_back: Option<ClawbackOffer>,
    /// The state of the payment it is in.
    placed: Option<PaymentLink>,
    history: Vec<Line>,
    back: String,
}

/// What can be clawed back of a paid reward.
struct ClawbackOffer {
    left: Money,
    once: String,
}

impl ShowPage {
    fn clawback(&self) -> bool {
        self.reward.entered.entry == Entry::Clawback
    }

    fn left_in_words(&self, left: &Money) -> String {
        format::in_words(*left)
    }

    /// Once it is paid, nothing is left to decide, edit or delete.
    fn paid(&self) -> bool {
        self.reward.paid_at.is_some()
    }

    /// Whether it is a clawback that has not been deducted yet.
    fn comes_off(&self) -> bool {
        comes_off(&self.reward)
    }

    /// If no decision is possible, the reason.
    fn nothing_to_decide(&self) -> Option<&str> {
        let first = self.deeds.first()?.why_not.as_deref()?;
        let same = self.deeds.iter().all(|deed| deed.why_not.is_some());
        same.then_some(first)
    }
}

async fn find(db: &mut Db, number: &str) -> Result<Reward, Problem> {
    rewards::find(db, number).await?.ok_or_else(Problem::missing)
}

async fn show(
    State(app): State<App>,
    context: PageContext,
    Path(number): Path<String>,
    Query(params): Query<FilterParams>,
) -> Result<Response, Problem> {
    let now = app.clock.now();
    let mut db = app.store.read().await?;
    let reward = find(&mut db, &number).await?;
    if reward.number() != number {
        return Ok(Redirect::to(&format!("/rewards/{}", reward.number())).into_response());
    }
    let blockers = verbs::blockers(&mut db, &reward, now).await?;
    let standing = standing(&mut db, &reward, &context).await?;
    let entered = &reward.entered;
    let decider = entered.decided_by.clone();
    let decided_by = match &decider {
        Some(id) => history::names(&mut db, std::iter::once(id.as_str())).await?.remove(id),
        None => None,
    };
    let payments = payments::of(&mut db, &reward).await?;
    let clawbacks = clawbacks::of_rewards(&mut db, [entered.id]).await?;
    let verdict = match comes_off(&reward) {
        true => Chip { tone: "wait", words: "Subtracted from the next claim" },
        false => verdict(&blockers),
    };
    let (taken_in_all, verdict) = taken_in_all(entered.worth, &clawbacks, verdict);
    let page = ShowPage {
        frame: context.frame(reward.number(), MenuItem::Rewards),
        chip: reward_chip(reward.shown(now)),
        value: Value(entered.worth),
        form_data: form_data(entered.form_data.as_deref()),
        created: When(entered.created_at),
        decided: when(entered.decided_at),
        decided_by,
        reimbursed: reward.paid_at.map(clock::date),
        // Stored as the end of the last valid day; show that day.
        expires: entered.expires_at.map(|at| clock::date(at - 1)),
        held_until: when(entered.held_until.filter(|until| *until > now)),
        hold_over: entered.earned_on.clone().filter(|_| verbs::hold_was_over(entered)),
        gates: gates(&blockers),
        payable: blockers.is_empty(),
        verdict,
        taken_in_all,
        taken: clawbacks.into_iter().map(ClawbackRow::of).collect(),
        deeds: actions(standing),
        may_review: context.may(Permission::Review),
        edit_why_not: why_not(rules::edit_value(standing)),
        delete_why_not: why_not(rules::delete(standing)),
        takes_back: takes_back(&mut db, &app, &reward).await?,
        placed: payments::placed(&reward, &payments, entered.entry == Entry::Clawback),
        history: {
            let mut lines = history::of(&mut db, &entered.id.to_string(), 50).await?;
            // What has the same time stays in the order in which it happened: entered and decided, then paid.
            lines.reverse();
            lines.extend(payments::lines(&payments));
            lines.sort_by_key(|line| line.at.0);
            lines.reverse();
            lines
        },
        back: params.query(&[]),
        number,
        reward,
    };
    context.show(&page)
}

/// Whether it is a clawback still to be deducted from the payee's next claim.
fn comes_off(reward: &Reward) -> bool {
    let placed = reward.batch.is_some() || reward.transaction.is_some() || reward.paid_at.is_some();
    reward.entered.entry == Entry::Clawback && reward.entered.status == RewardStatus::Approved && !placed
}

/// How much of a reward was clawed back, and the adjusted answer to whether it can be paid.
fn taken_in_all(worth: RewardValue, clawbacks: &[TakesBackReward], verdict: Chip) -> (Option<Summed>, Chip) {
    let RewardValue::Cash(worth) = worth else { return (None, verdict) };
    let standing = clawbacks.iter().filter(|one| one.status != RewardStatus::Void);
    let taken: i128 = standing.map(|one| i128::from(one.value.minor)).sum();
    let words = match taken {
        0 => return (None, verdict),
        taken if taken < i128::from(worth.minor) => "Paid, partly clawed back",
        _ => "Paid and clawed back",
    };
    (Some(Cash(Sum::new(taken, worth.currency))), Chip { tone: "warn", words })
}

/// What is left of a paid reward after earlier clawbacks.
async fn takes_back(db: &mut Db, app: &App, reward: &Reward) -> Result<Option<ClawbackOffer>, Problem> {
    let paid = reward.paid_at.is_some() && reward.entered.entry == Entry::Earned;
    let RewardValue::Cash(worth) = reward.entered.worth else { return Ok(None) };
    if !paid {
        return Ok(None);
    }
    let (taken, _) = rewards::clawed_back(db, reward.entered.id).await?;
    let left = Money::new(worth.minor.saturating_sub(taken), worth.currency);
    Ok((left.minor > 0).then(|| ClawbackOffer { left, once: app.clock.secret() }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Clawback {
    amount: Option<String>,
    reason: Option<String>,
}

async fn claw_back(
    State(app): State<App>,
    context: PageContext,
    key: Key,
    Path(number): Path<String>,
    Form(sent): Form<Clawback>,
) -> Result<Response, Problem> {
    let here = format!("/rewards/{number}");
    let reward = find(&mut app.store.read().await?, &number).await?;
    let RewardValue::Cash(worth) = reward.entered.worth else {
        return Ok(Flash::bad("Points are not paid out, so there is nothing to take back.").on(&here));
    };
    let value = match Money::parse(sent.amount.as_deref().unwrap_or(""), worth.currency) {
        Ok(value) => value,
        Err(error) => return Ok(Flash::bad(error.sentence()).on(&here)),
    };
    let once = key.once(|made: &Created| Reply::see_other(format!("/rewards/{}", made.reward.number())));
    let reason = sent.reason.unwrap_or_default();
    match verbs::claw_back(&app, &context.actor, &number, value, &reason, once.as_ref()).await {
        Ok(made) => {
            let new = made.reward.number();
            let message = format!(
                "{new} claws back {} of {number}. It is subtracted from the payee's next claim.",
                format::in_words(value)
            );
            Ok(Flash::good(message).on(&format!("/rewards/{new}")))
        }
        Err(error) => Ok(Flash::refused(error)?.on(&here)),
    }
}

async fn standing(db: &mut Db, reward: &Reward, context: &PageContext) -> Result<Standing, Problem> {
    Ok(Standing {
        status: reward.entered.status,
        placed: reward.batch.is_some() || reward.transaction.is_some() || reward.paid_at.is_some(),
        ever_approved: reward.entered.first_approved_at.is_some(),
        asked_by_owner: context.actor.partner == Some(reward.entered.owner),
        contradicted: contradictions::rewards(db).await?.contains(&reward.entered.id),
    })
}

fn why_not<T>(answer: Result<T, Refusal>) -> Option<String> {
    answer.err().map(|refusal| refusal.sentence)
}

fn actions(standing: Standing) -> Vec<Action> {
    let reason = "a reason";
    let deed = |name, words, look, why_not| Action { name, words, look, why_not };
    vec![
        deed("approve", "Approve", "first", why_not(rules::approve(standing))),
        deed("reject", "Reject", "bad", why_not(rules::reject(standing, reason))),
        deed("review", "Move to In Review", "", why_not(rules::review(standing))),
        deed("void", "Void", "bad", why_not(rules::void(standing, reason))),
    ]
}

/// The form's fields, one by one; anything but an object is shown as it is.
fn form_data(json: Option<&str>) -> Vec<(String, String)> {
    let Some(json) = json else { return Vec::new() };
    match serde_json::from_str::<serde_json::Value>(json) {
        Ok(serde_json::Value::Object(fields)) => fields
            .into_iter()
            .map(|(name, value)| {
                let words = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                (plain(&name), words)
            })
            .collect(),
        Ok(_) | Err(_) => vec![("Form".to_owned(), json.to_owned())],
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Decision {
    action: String,
    reason: Option<String>,
    shown: Option<String>,
    version: Option<i64>,
    /// Whether to continue with the next one in the list.
    next: Option<String>,
    back: Option<String>,
}

async fn decide(
    State(app): State<App>,
    context: PageContext,
    Path(number): Path<String>,
    Form(sent): Form<Decision>,
) -> Result<Response, Problem> {
    let (verdict, word) = sent.verdict();
    let query = sent.back.clone().unwrap_or_default();
    let here = with_query(&format!("/rewards/{number}"), &query);
    // Find the next one before the decision removes this one from the list.
    let next = match sent.next {
        Some(_) => next_after(&app, &number, &query).await?,
        None => None,
    };
    match verbs::decide(&app, &context.actor, &number, sent.version, &verdict, None).await {
        Ok(reward) => {
            let flash = Flash::good(format!("{} is {word}.", reward.number()));
            let on = match (sent.next, next) {
                (Some(_), Some(next)) => with_query(&format!("/rewards/{next}"), &query),
                (Some(_), None) => with_query("/rewards", &query),
                (None, _) => here,
            };
            Ok(flash.on(&on))
        }
        Err(error) if is_conflict(&error) => {
            let mut db = app.store.read().await?;
            let reward = find(&mut db, &number).await?;
            let standing = standing(&mut db, &reward, &context).await?;
            let clash = sent.conflict(&reward, standing, app.clock.now());
            edit_conflict::show(&mut db, &context, &reward, clash).await
        }
        Err(error) => Ok(Flash::refused(error)?.on(&here)),
    }
}

impl Decision {
    fn verdict(&self) -> (Verdict, &'static str) {
        let (reason, shown) = (self.reason.clone().unwrap_or_default(), self.shown.is_some());
        match self.action.as_str() {
            "approve" => (Verdict::Approve, "approved"),
            "reject" => (Verdict::Reject { reason, shown }, "rejected"),
            "void" => (Verdict::Void { reason, shown }, "voided"),
            _ => (Verdict::Review, "in review"),
        }
    }

    /// The attempted decision next to the current state of the reward.
    fn conflict(&self, reward: &Reward, standing: Standing, now: i64) -> EditConflict {
        let reason = self.reason.clone().unwrap_or_default();
        let (wanted, again, answer) = match self.action.as_str() {
            "approve" => ("Approved", "Approve anyway", rules::approve(standing)),
            "reject" => ("Rejected", "Reject anyway", rules::reject(standing, &reason)),
            "void" => ("Void", "Void anyway", rules::void(standing, &reason)),
            _ => ("In Review", "Move to In Review anyway", rules::review(standing)),
        };
        let shown = |shown: bool| if shown { "yes" } else { "no" }.to_owned();
        let is = &reward.entered;
        let mut lines = vec![
            ConflictField {
                field: "Status",
                typed: wanted.to_owned(),
                now: reward.shown(now).label().to_owned(),
            },
            ConflictField {
                field: "Reason",
                typed: reason.clone(),
                now: is.reason.clone().unwrap_or_default(),
            },
            ConflictField {
                field: "Reason shown to the partner",
                typed: shown(self.shown.is_some()),
                now: shown(reward.reason_shown_at.is_some()),
            },
        ];
        let value = in_words(is.worth);
        lines.push(ConflictField { field: "Value", typed: "(not typed)".to_owned(), now: value });
        let mut fields = vec![
            ("action", self.action.clone()),
            ("reason", reason),
            ("version", reward.version.to_string()),
            ("back", self.back.clone().unwrap_or_default()),
        ];
        let ticks = [("shown", &self.shown), ("next", &self.next)];
        fields.extend(ticks.into_iter().filter_map(|(name, tick)| Some((name, tick.clone()?))));
        EditConflict {
            action: format!("/rewards/{}/decide", reward.number()),
            lines,
            fields,
            again,
            why_not: why_not(answer),
        }
    }
}

fn in_words(worth: RewardValue) -> String {
    match worth {
        RewardValue::Cash(money) => format::in_words(money),
        RewardValue::Points(points) => format!("{} points", format::count(points)),
    }
}

fn with_query(path: &str, query: &str) -> String {
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// The number of the next reward in the list, or of the first one after the last. Rewards that have left the list in the
/// meantime are skipped.
async fn next_after(app: &App, number: &str, query: &str) -> Result<Option<String>, Problem> {
    let params: FilterParams =
        read(&Tree::from_pairs(query.as_bytes()).map_err(Problem::field)?).map_err(Problem::field)?;
    let mut db = app.store.read().await?;
    let this = find(&mut db, number).await?;
    let narrowed = params.resolve(&mut db).await?;
    if !narrowed.problems.is_empty() {
        return Ok(None);
    }
    let (sort, descending) = params.sort();
    let place = Some((sort.key(&this), this.entered.id.to_string()));
    for after in [place, None] {
        let window = Window { sort, descending, after, limit: 2 };
        let found = listed(&mut db, &params, &narrowed.filter, &window, app.clock.now()).await?.rows;
        if let Some((next, _)) = found.iter().find(|(reward, _)| reward.entered.id != this.entered.id) {
            return Ok(Some(next.number()));
        }
    }
    Ok(None)
}

#[derive(Template)]
#[template(path = "rewards/edit.html")]
struct EditPage {
    frame: Frame,
    number: String,
    why_not: Option<String>,
    takes_approval_back: bool,
    amount: String,
    unit: &'static str,
    expires_on: String,
    note: String,
    version: i64,
}

async fn edit_form(
    State(app): State<App>,
    context: PageContext,
    Path(number): Path<String>,
) -> Result<Response, Problem> {
    let mut db = app.store.read().await?;
    let reward = find(&mut db, &number).await?;
    edit_page(&mut db, &context, &reward, &EditForm::of(&reward)).await
}

async fn edit_page(
    db: &mut Db,
    context: &PageContext,
    reward: &Reward,
    shown: &EditForm,
) -> Result<Response, Problem> {
    let standing = standing(db, reward, context).await?;
    let unit = reward.entered.worth.currency().map_or("points", |currency| currency.code());
    context.show(&EditPage {
        frame: context.frame(format!("Edit {}", reward.number()), MenuItem::Rewards),
        number: reward.number(),
        why_not: edit_why_not(reward, standing),
        takes_approval_back: standing.status == rules::RewardStatus::Approved,
        amount: shown.amount.clone().unwrap_or_default(),
        unit,
        expires_on: shown.expires_on.clone().unwrap_or_default(),
        note: shown.note.clone().unwrap_or_default(),
        version: shown.version.unwrap_or(reward.version),
    })
}

fn edit_why_not(reward: &Reward, standing: Standing) -> Option<String> {
    let clawback = "A clawback cannot be edited. Void it with a reason and enter another.";
    match reward.entered.entry {
        Entry::Clawback => Some(clawback.to_owned()),
        Entry::Earned => why_not(rules::edit_value(standing)),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EditForm {
    amount: Option<String>,
    expires_on: Option<String>,
    note: Option<String>,
    version: Option<i64>,
}

impl EditForm {
    /// The form with the current values.
    fn of(reward: &Reward) -> Self {
        let amount = match reward.entered.worth {
            RewardValue::Cash(money) => money.decimal(),
            RewardValue::Points(points) => points.to_string(),
        };
        Self {
            amount: Some(amount),
            expires_on: reward.entered.expires_at.map(|at| clock::date(at - 1)),
            note: reward.entered.note.clone(),
            version: Some(reward.version),
        }
    }

    /// The input next to the current values of the reward.
    fn conflict(&self, reward: &Reward, standing: Standing) -> EditConflict {
        let is = Self::of(reward);
        let pairs = [
            ("Value", "amount", &self.amount, &is.amount),
            ("Expires on", "expires_on", &self.expires_on, &is.expires_on),
            ("Note", "note", &self.note, &is.note),
        ];
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let lines = pairs.iter().map(|(field, _, typed, now)| ConflictField {
            field,
            typed: text(typed),
            now: text(now),
        });
        let mut fields: Vec<_> = pairs.iter().map(|(_, name, typed, _)| (*name, text(typed))).collect();
        fields.push(("version", reward.version.to_string()));
        EditConflict {
            action: format!("/rewards/{}/edit", reward.number()),
            lines: lines.collect(),
            fields,
            again: "Apply my change",
            why_not: edit_why_not(reward, standing),
        }
    }

    fn read(&self, before: RewardValue) -> Result<Edit, Refusal> {
        let amount = self.amount.as_deref().unwrap_or("");
        let refuse = |error: payout::money::MoneyError| Refusal::new(error.code(), error.sentence());
        let worth = match before {
            RewardValue::Cash(money) => {
                RewardValue::Cash(Money::parse(amount, money.currency).map_err(refuse)?)
            }
            RewardValue::Points(_) => {
                RewardValue::Points(crate::ops::import::points(amount).map_err(refuse)?)
            }
        };
        Ok(Edit {
            worth: Some(worth),
            reason: None,
            note: Some(self.note.clone()),
            expires_at: Some(self.expires_on.as_deref().map(expiry_of).transpose()?.flatten()),
        })
    }
}

async fn edit(
    State(app): State<App>,
    context: PageContext,
    Path(number): Path<String>,
    Form(sent): Form<EditForm>,
) -> Result<Response, Problem> {
    let reward = find(&mut app.store.read().await?, &number).await?;
    let edit = match sent.read(reward.entered.worth) {
        Ok(edit) => edit,
        Err(refusal) => {
            let context = context.telling(Flash::bad(refusal.sentence));
            let page = edit_page(&mut app.store.read().await?, &context, &reward, &sent).await?;
            return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
        }
    };
    match verbs::edit(&app, &context.actor, &number, sent.version, &edit).await {
        Ok(after) if after.entered.status != reward.entered.status => {
            let message = format!("{} is changed, and waits for approval again.", after.number());
            Ok(Flash::warn(message).on(&format!("/rewards/{number}")))
        }
        Ok(after) => {
            Ok(Flash::good(format!("{} is changed.", after.number())).on(&format!("/rewards/{number}")))
        }
        Err(error) if is_conflict(&error) => {
            let mut db = app.store.read().await?;
            let reward = find(&mut db, &number).await?;
            let clash = sent.conflict(&reward, standing(&mut db, &reward, &context).await?);
            edit_conflict::show(&mut db, &context, &reward, clash).await
        }
        Err(error) => {
            let context = context.telling(Flash::refused(error)?);
            let page = edit_page(&mut app.store.read().await?, &context, &reward, &sent).await?;
            Ok((StatusCode::CONFLICT, page).into_response())
        }
    }
}

#[derive(Template)]
#[template(path = "rewards/delete.html")]
struct DeletePage {
    frame: Frame,
    number: String,
    owner: String,
    activity: String,
    value: Value,
    why_not: Option<String>,
    version: i64,
}

async fn delete_form(
    State(app): State<App>,
    context: PageContext,
    Path(number): Path<String>,
) -> Result<Response, Problem> {
    let mut db = app.store.read().await?;
    let reward = find(&mut db, &number).await?;
    context.show(&DeletePage {
        frame: context.frame(format!("Delete {}", reward.number()), MenuItem::Rewards),
        number: reward.number(),
        why_not: why_not(rules::delete(standing(&mut db, &reward, &context).await?)),
        value: Value(reward.entered.worth),
        owner: reward.owner.name,
        activity: reward.activity.name,
        version: reward.version,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VersionForm {
    version: Option<i64>,
}

async fn delete(
    State(app): State<App>,
    context: PageContext,
    Path(number): Path<String>,
    Form(seen): Form<VersionForm>,
) -> Result<Response, Problem> {
    match verbs::delete(&app, &context.actor, &number, seen.version).await {
        Ok(()) => Ok(Flash::good(format!("{number} is deleted.")).on("/rewards")),
        Err(error) => Ok(Flash::refused(error)?.on(&format!("/rewards/{number}/delete"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_gate_is_shown_and_no_closed_one_is_lost() {
        let blockers = [
            Blocker::new(Code::ProfileMissing, "p"),
            Blocker::new(Code::RewardNotApproved, "r"),
            Blocker::new(Code::OverLimit, "b"),
        ];
        let gates = gates(&blockers);
        assert_eq!(gates.len(), GATES.len() + 1);
        assert_eq!(gates.iter().map(|gate| gate.closed.len()).sum::<usize>(), blockers.len());
        assert!(gates.iter().any(|gate| gate.words == "Cash" && gate.closed.is_empty()));
    }
}
