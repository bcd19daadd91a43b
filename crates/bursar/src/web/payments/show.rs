//! One payment: its state and what that means for the money, the reason, the possible actions, and the evidence.

mod actions;
mod settling;
mod unreadable;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use payout::access::Permission;
use payout::eligibility::{Blocker, Code};
use payout::ids::{RewardId, TransactionId};
use payout::money::{Money, Sum, Vendor};
use payout::transaction::{AttemptState, Leg, State as Stands};

use self::actions::{Action, actions, by_hand, cancel, parked, shared_reason};
pub use self::actions::{ActionsBlocked, refused_now};
use self::settling::{settle_by_hand, settle_parked, takes_two};
use crate::app::App;
use crate::ops::by_hand as by_hand_verbs;
use crate::ops::evidence;
use crate::ops::idempotency::{Idempotency, Reply};
use crate::ops::placed;
use crate::ops::transactions as verbs;
use crate::ops::why;
use crate::ops::{OpsError, contradiction_text};
use crate::store::submissions::{self, Submission};
use crate::store::transactions::{self, Attempt, CoveredReward, Transaction};
use crate::store::{self, Db, batches, clawbacks, contradictions, mails, payees, put_back};
use crate::web::kit::clawbacks::ClawbackRow;
use crate::web::kit::form::{Form, Key};
use crate::web::kit::format::{
    BlockerSummary, Cash, Chip, Summed, When, detail_of, how_many, meaning_of, payment_chip, summarize, when,
};
use crate::web::kit::layout::{Flash, Frame, MenuItem, PageContext};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, Web, get, post};
use crate::web::notices;
use crate::web::payouts::payee_kind;
use crate::work::ask;

pub fn routes() -> Vec<Route> {
    let (reads, pays) = (Access::May(Permission::Read), Access::May(Permission::Pay));
    vec![
        get("/transactions/{number}", reads, show),
        post("/transactions/{number}/refresh", pays, refresh),
        post("/transactions/{number}/resubmit", pays, resubmit).step_up("Resubmit this payment"),
        post("/transactions/{number}/return-to-pool", pays, return_to_pool)
            .step_up("Return its rewards to the pool"),
        post("/transactions/{number}/mark-paid-outside", pays, mark_paid_outside)
            .step_up("Mark this payment as paid outside"),
        post("/transactions/{number}/cancel-unclaimed", pays, cancel_unclaimed)
            .step_up("Cancel this unclaimed payment"),
        post("/transactions/{number}/settle-by-hand", pays, settle_by_hand)
            .step_up("Settle this payment by hand"),
        post("/transactions/{number}/settle-parked", pays, settle_parked)
            .step_up("Settle this payment's money in the payee's balance"),
        post("/transactions/{number}/looked", Access::May(Permission::Administer), unreadable::say_looked)
            .step_up("Say that you looked at this payment"),
        post(
            "/transactions/{number}/hold-again",
            Access::May(Permission::Administer),
            unreadable::hold_again,
        )
        .step_up("Let this payment hold its payee"),
    ]
}

struct AttemptRow {
    leg: &'static str,
    number: i64,
    chip: Chip,
    key: Option<String>,
    vendor_id: Option<String>,
    reason: Option<String>,
    sent: Option<When>,
    ended: Option<When>,
    tries: i64,
}

struct LineRow {
    at: When,
    /// How often it happened in a row, and when last.
    times: usize,
    last: When,
    source: &'static str,
    effect: String,
    detail: Option<String>,
    event: Option<String>,
    /// The addresses of the raw text behind it and behind equal entries.
    raws: Vec<String>,
}

#[derive(Template)]
#[template(path = "payments/show.html")]
struct ShowPage {
    frame: Frame,
    number: String,
    chip: Chip,
    detail: Option<&'static str>,
    meaning: &'static str,
    reason: Option<placed::Reason>,
    /// What stops every payment now, including this one.
    stopped: Vec<BlockerSummary>,
    /// Since when the vendor contradicts what is recorded here, and what it said, if known.
    contradicted: Option<(When, Option<String>)>,
    /// The attempts in question, and what is recorded about them.
    against: Vec<String>,
    /// The vendor object that may be this payment, for the settlement form.
    likely: Option<String>,
    /// The clawbacks of its rewards.
    taken: Vec<ClawbackRow>,
    /// Why it was set aside, since when, and when last tried.
    aside: Option<(String, When, When)>,
    payee: String,
    payee_page: String,
    kind: &'static str,
    vendor: &'static str,
    destination: String,
    /// Shown only if no real money moves.
    test: Option<&'static str>,
    batch: String,
    amount: Cash,
    fee: Option<Cash>,
    /// The vendor's fee, if reported.
    fee_taken: Option<Summed>,
    net: Cash,
    pressed: When,
    since: When,
    settled: Option<When>,
    asked: Option<(When, String)>,
    ask_at: Option<When>,
    /// While unsettled: the time of the vendor's last event, and problems with its webhooks.
    webhooks: Option<(Option<When>, Vec<String>)>,
    /// While unsettled: its batch's change number, from which the page gets live updates.
    seen: Option<i64>,
    released: Option<When>,
    outside: Option<(String, String)>,
    refresh: Action,
    deeds: Vec<Action>,
    outside_deed: Action,
    /// Why none of these is possible, if the reason is the same for all.
    closed_alike: Option<String>,
    by_hand: Option<Action>,
    /// The other payments of the same request that wait with it: *not made* applies to them, too.
    together: Vec<String>,
    /// The button that cancels an unclaimed payment.
    cancel: Option<Action>,
    /// Settling money parked in the payee's balance.
    parked: Option<Action>,
    /// One person's opinion that another must confirm: who, when, what, how it was determined, and why it takes two.
    opinion: Option<FirstConfirmationRow>,
    /// When it comes back by itself, and in how many days that is.
    unclaimed: Option<(When, Option<String>)>,
    /// The possible actions, the usual one first: the label and who does it.
    choices: Vec<(&'static str, &'static str)>,
    /// The gates that would refuse a resubmit now.
    closed: Vec<BlockerSummary>,
    /// Whether a resubmit, which asks Stripe again, may open them.
    may_open: bool,
    today: String,
    attempts: Vec<AttemptRow>,
    rewards: Vec<(String, Cash)>,
    timeline: Vec<LineRow>,
    /// Messages, polls and mails that moved nothing: folded, so that the story can be read.
    quiet: Vec<LineRow>,
    may_read_raw: bool,
    mails: Vec<notices::Row>,
}

async fn show(
    State(web): State<Web>,
    context: PageContext,
    Path(number): Path<String>,
) -> Result<Response, Problem> {
    let app = &web.app;
    let mut db = app.store.read().await?;
    let transaction = match placed::payment(&mut db, &number).await {
        Err(OpsError::Blocked(why)) => {
            return unreadable::show(&mut db, &context, (&number, app.clock.now()), &why).await;
        }
        found => found?,
    };
    if transaction.label() != number {
        return Ok(Redirect::to(&format!("/transactions/{}", transaction.label())).into_response());
    }
    let mut page = page(&mut db, app, &context, &transaction).await?;
    if !transaction.state.settled() {
        let known = store::vendors::all(&mut db).await?;
        drop(db);
        let last = known.iter().find(|one| one.vendor == transaction.terms.vendor);
        let last = last.and_then(|one| one.last_event_at).map(When);
        let long = app.clock.now() - transaction.state_at > LONG_US;
        page.webhooks =
            Some((last, if long { wrong_webhooks(&web, &transaction).await } else { Vec::new() }));
    }
    context.show(&page)
}

/// After this long without news, check the vendor's webhooks.
const LONG_US: i64 = 10 * 60 * 1_000_000;

/// The problems with the vendor's webhooks, in sentences; empty if the vendor does not answer in time.
async fn wrong_webhooks(web: &Web, transaction: &Transaction) -> Vec<String> {
    let vendor = transaction.terms.vendor;
    let asking = tokio::time::timeout(std::time::Duration::from_secs(2), ask::hooks(&web.work, vendor));
    let Ok(Some(hooks)) = asking.await else { return Vec::new() };
    let describe = |hook: ask::Hook| match (hook.works, hook.missing.is_empty()) {
        (true, true) => None,
        (false, _) => {
            Some(format!("{} is not registered at {}, or it is disabled.", hook.address, vendor.label()))
        }
        (true, false) => Some(format!("Not enabled at {}: {}.", vendor.label(), hook.missing.join(", "))),
    };
    hooks.into_iter().filter_map(describe).collect()
}

async fn page(
    db: &mut Db,
    app: &App,
    context: &PageContext,
    transaction: &Transaction,
) -> Result<ShowPage, Problem> {
    let terms = transaction.terms;
    let names = payees::names(db, &[terms.payee]).await?;
    let attempts = transactions::attempts(db, &[transaction.id]).await?;
    let carriers: Vec<String> = attempts.iter().filter_map(|one| one.submission.clone()).collect();
    let carriers = submissions::several(db, &carriers).await?;
    let (rewards, taken) = covered_by(db, transaction).await?;
    let rows = evidence::of(db, transaction).await?;
    let closed = why::closed_to_resubmit(db, transaction, app.clock.now()).await?;
    let held = ActionsBlocked::of(db, context).await?;
    let [refresh, resubmit, return_to_pool, outside_deed] = actions(app, held, transaction, &closed);
    let found = put_back::any_found(db, Some(transaction.id)).await?;
    let contradicted = transaction.contradicted_at.map(|at| (When(at), disagreement(&rows)));
    let (story, quiet) = rows.into_iter().partition(evidence::Row::is_story);
    Ok(ShowPage {
        frame: context.frame(transaction.label(), MenuItem::Dashboard),
        number: transaction.label(),
        chip: payment_chip(transaction),
        detail: detail_of(transaction),
        meaning: meaning_of(transaction),
        reason: placed::reason_now(transaction, placed::elsewhere(&closed)),
        stopped: summarize(&why::stopped(db, transaction).await?),
        contradicted,
        against: contradiction_text::sentences(db, transaction).await?,
        likely: contradiction_text::likely(db, transaction).await?,
        taken,
        aside: set_aside(db, transaction).await?,
        payee: names.get(&terms.payee).map(|named| named.name.clone()).unwrap_or_default(),
        payee_page: crate::web::kit::format::address(terms.payee),
        kind: payee_kind(terms.payee),
        vendor: terms.vendor.label(),
        destination: transaction.destination.masked(),
        test: no_real_money(transaction),
        batch: batches::find(db, &transaction.batch.to_string()).await?.number,
        amount: Cash(terms.amount),
        fee: expected_fee(transaction),
        fee_taken: fee_taken(db, transaction).await?,
        net: Cash(terms.net),
        pressed: When(transaction.created_at),
        since: When(transaction.state_at),
        settled: when(transaction.settled_at),
        asked: last_asked(transaction),
        ask_at: when(transaction.ask_at),
        webhooks: None,
        seen: change_seen(db, transaction).await?,
        released: when(transaction.released_at),
        outside: transaction.outside.clone().map(|(_, on, reference)| (on, reference)),
        refresh,
        closed_alike: shared_reason([&resubmit, &return_to_pool, &outside_deed]),
        deeds: vec![resubmit, return_to_pool],
        outside_deed,
        by_hand: by_hand(app, held, transaction, (&attempts, found)),
        together: together(db, &attempts).await?,
        cancel: cancel(app, held, transaction, &attempts),
        parked: parked(app, held, transaction),
        opinion: opinion(db, transaction).await?,
        unclaimed: unclaimed(transaction, app.clock.now()),
        choices: choices(transaction, &closed),
        may_open: why::may_open(transaction, &closed),
        closed: summarize(&closed),
        today: crate::clock::date(app.clock.now()),
        attempts: attempts.iter().map(|one| attempt(transaction, one, &carriers)).collect(),
        rewards,
        timeline: lines(&transaction.label(), story),
        quiet: lines(&transaction.label(), quiet),
        may_read_raw: context.may(Permission::Evidence),
        mails: mails_about(db, app, transaction).await?,
    })
}

/// A first confirmation that waits for a second person: who, when, what, how it was determined, and why it takes two.
type FirstConfirmationRow = (String, When, String, String, &'static str);

async fn opinion(db: &mut Db, of: &Transaction) -> Result<Option<FirstConfirmationRow>, Problem> {
    Ok(contradictions::opinion(db, of.id).await?.map(|one| {
        let why = takes_two(&one.why);
        (one.asked_name, When(one.asked_at), by_hand_verbs::describe_action(&one.action), one.note, why)
    }))
}

/// While it is unsettled: its batch's change number.
async fn change_seen(db: &mut Db, of: &Transaction) -> Result<Option<i64>, Problem> {
    match of.state.settled() {
        true => Ok(None),
        false => Ok(Some(batches::change_number(db, of.batch).await?)),
    }
}

/// The fee that is expected; without a fee table, Stripe's fees are billed separately.
fn expected_fee(of: &Transaction) -> Option<Cash> {
    (of.terms.vendor == Vendor::PayPal || of.fee.minor > 0).then_some(Cash(of.fee))
}

/// The mails about a payment, in the words of the Outbox.
async fn mails_about(db: &mut Db, app: &App, of: &Transaction) -> Result<Vec<notices::Row>, Problem> {
    let about = mails::Filter { about: Some(of.id.to_string()), ..mails::Filter::default() };
    let found = mails::list(db, &about, 100).await?;
    Ok(found.into_iter().map(|mail| notices::Row::of(mail, app.config.smtp_url.is_some())).collect())
}

/// The vendor's fee, if reported.
async fn fee_taken(db: &mut Db, of: &Transaction) -> Result<Option<Summed>, Problem> {
    let taken = transactions::fees_taken(db, [of.id]).await?.remove(&of.id);
    Ok(taken.map(|minor| Cash(Sum::new(minor, of.terms.amount.currency))))
}

/// When the vendor was last polled, and its answer.
fn last_asked(of: &Transaction) -> Option<(When, String)> {
    let (at, what) = of.asked.as_ref()?;
    Some((When(*at), evidence::vendors_own(what, of.terms.vendor)))
}

/// The rewards that a payment covers, with their amounts, and the clawbacks of them.
async fn covered_by(
    db: &mut Db,
    of: &Transaction,
) -> Result<(Vec<(String, Cash)>, Vec<ClawbackRow>), Problem> {
    let covered = transactions::covered(db, of.id).await?;
    let ids: Vec<RewardId> = covered.iter().filter_map(|row| RewardId::parse(&row.id)).collect();
    let taken = clawbacks::of_rewards(db, ids).await?.into_iter().map(ClawbackRow::of).collect();
    let currency = of.terms.amount.currency;
    let row =
        |row: CoveredReward| (format!("RW-{:06}", row.number), Cash(Money::new(row.amount_minor, currency)));
    Ok((covered.into_iter().map(row).collect(), taken))
}

/// The vendor's last statement that contradicts the books.
fn disagreement(rows: &[evidence::Row]) -> Option<String> {
    let row = rows.iter().rfind(|row| row.line.effect == "contradiction")?;
    row.particulars.clone()
}

/// Why a payment is set aside, if that is what it waits for.
async fn set_aside(db: &mut Db, of: &Transaction) -> Result<Option<(String, When, When)>, Problem> {
    if of.waiting.as_deref() != Some(Code::SetAside.as_str()) {
        return Ok(None);
    }
    let found = store::aside::of(db, &of.id.to_string()).await?;
    Ok(found.map(|(why, first, last)| (why, When(first), When(last))))
}

/// The label of a payment that moves no real money.
fn no_real_money(of: &Transaction) -> Option<&'static str> {
    match of.mode.as_deref() {
        None | Some("live") => None,
        Some("sandbox") => Some("Sandbox, no real money"),
        Some(_) => Some("Test, no real money"),
    }
}

/// How long PayPal waits for a recipient to claim (PayPal documentation: 30 days).
const CLAIMED_WITHIN_US: i64 = 30 * DAY_US;
const DAY_US: i64 = 86_400_000_000;

/// When PayPal returns an unclaimed payment by itself, and how far off that is; `None` if overdue.
fn unclaimed(transaction: &Transaction, now: i64) -> Option<(When, Option<String>)> {
    if transaction.state != Stands::Unclaimed {
        return None;
    }
    let until = transaction.state_at.saturating_add(CLAIMED_WITHIN_US);
    let days = usize::try_from((until - now).max(0).saturating_add(DAY_US - 1) / DAY_US).unwrap_or(0);
    Some((When(until), (days > 0).then(|| format!("{} left", how_many(days, "day", "days")))))
}

/// The possible actions, as the rules list them.
fn choices(transaction: &Transaction, closed: &[Blocker]) -> Vec<(&'static str, &'static str)> {
    let all = placed::choices_now(transaction, placed::elsewhere(closed)).iter();
    all.map(|choice| (choice.words, choice.who.label())).collect()
}

/// The payments that end with this one if it is marked as not made and the vendor's records cannot be searched.
async fn together(db: &mut Db, attempts: &[Attempt]) -> Result<Vec<String>, Problem> {
    let mut others = Vec::new();
    for attempt in attempts.iter().filter(|one| one.state == AttemptState::Review) {
        let with = by_hand_verbs::ends_with(db, attempt).await?;
        others.extend(with.into_iter().map(|one| one.transaction));
    }
    let mut found = transactions::several(db, &others).await?;
    found.sort_by_key(|one| one.number);
    Ok(found.iter().map(Transaction::label).collect())
}

fn attempt(of: &Transaction, attempt: &Attempt, carriers: &[Submission]) -> AttemptRow {
    let carrier = carriers.iter().find(|carrier| Some(&carrier.id) == attempt.submission.as_ref());
    let bank = attempt.leg == Leg::Payout;
    let (tone, words) = match attempt.state {
        AttemptState::Queued => ("", "Queued"),
        AttemptState::Sending => ("wait", "Being sent"),
        AttemptState::Unknown => ("warn", "Outcome not known"),
        AttemptState::Review => ("warn", "Needs review"),
        AttemptState::Accepted => ("wait", "Accepted by the vendor"),
        // Its transfer stands, and is watched for a while: somebody may take it back yet.
        AttemptState::Succeeded if settled(of, attempt.leg) => came_back(of, attempt.leg),
        AttemptState::Succeeded => ("good", "Done"),
        // People have settled that it was made in addition to another one.
        AttemptState::Failed if attempt.reason_code.is_none() && attempt.vendor_id.is_some() => {
            ("warn", "Made after all")
        }
        AttemptState::Failed if contradiction_text::called_not_made(attempt) => {
            ("bad", "Settled as not made")
        }
        AttemptState::Failed if bank => ("bad", "Failed, the money is at Stripe"),
        AttemptState::Returned if bank => ("bad", "Sent back to Stripe"),
        AttemptState::Failed => ("bad", "Failed, no money moved"),
        AttemptState::Returned => came_back(of, attempt.leg),
    };
    AttemptRow {
        leg: match attempt.leg {
            Leg::Transfer => "Transfer to the payee's Stripe balance",
            Leg::Payout => "Payout to the payee's bank",
            Leg::Reversal => "Transfer reversal",
            Leg::Item => "PayPal payment",
            Leg::Cancel => "Cancellation of the unclaimed payment",
        },
        number: attempt.number,
        chip: Chip { tone, words },
        key: carrier.map(|carrier| carrier.key.clone()),
        vendor_id: attempt.vendor_id.clone(),
        // Once it turned out to be made, the failure reason no longer applies.
        reason: attempt.reason_code.clone().filter(|_| tone != "good"),
        sent: when(attempt.first_sent_at),
        ended: when(attempt.ended_at),
        tries: carrier.map_or(0, |carrier| carrier.tries),
    }
}

/// Whether two people have settled the money that this leg moved.
fn settled(of: &Transaction, leg: Leg) -> bool {
    leg == Leg::Transfer && of.state == Stands::WrittenOff
}

/// What happened to the money of an attempt that no longer holds it.
fn came_back(of: &Transaction, leg: Leg) -> (&'static str, &'static str) {
    match (settled(of, leg), of.otherwise_at) {
        (true, Some(_)) => ("good", "Paid otherwise"),
        (true, None) => ("bad", "Written off"),
        (false, _) => ("bad", "The money came back to us"),
    }
}

/// The timeline; consecutive equal entries are combined.
fn lines(number: &str, rows: Vec<evidence::Row>) -> Vec<LineRow> {
    let mut timeline: Vec<LineRow> = Vec::new();
    for row in rows {
        let next = line(number, row);
        match timeline.last_mut() {
            Some(last) if last.is_like(&next) => {
                (last.times, last.last) = (last.times + 1, next.at);
                last.raws.extend(next.raws);
            }
            Some(_) | None => timeline.push(next),
        }
    }
    timeline
}

impl LineRow {
    /// Whether another entry is equal; entries from events are never combined.
    fn is_like(&self, other: &Self) -> bool {
        let same = (self.source, &self.effect, &self.detail) == (other.source, &other.effect, &other.detail);
        same && self.event.is_none() && other.event.is_none()
    }
}

fn line(number: &str, row: evidence::Row) -> LineRow {
    let line = row.line;
    LineRow {
        at: When(line.at),
        source: match line.source.as_str() {
            "request" => "Sent to the vendor",
            "answer" => "The vendor's answer",
            "webhook" => "Webhook",
            "poll" => "Polled the vendor",
            "notice" => "Notice",
            "person" => "A person",
            _ => "Bursar",
        },
        effect: row.told,
        detail: row.particulars,
        event: line.event_id,
        times: 1,
        last: When(line.at),
        raws: row.raw.then(|| format!("/transactions/{number}/evidence/{}", row.id)).into_iter().collect(),
    }
}

async fn id_of(app: &App, number: &str) -> Result<TransactionId, Problem> {
    Ok(transactions::find(&mut app.store.read().await?, number).await?.id)
}

fn address(transaction: &Transaction) -> String {
    format!("/transactions/{}", transaction.label())
}

/// The redirect for a repeated idempotency key.
fn again(transaction: &Transaction) -> Reply {
    Reply::see_other(address(transaction))
}

async fn refresh(
    State(web): State<Web>,
    context: PageContext,
    Path(number): Path<String>,
) -> Result<Response, Problem> {
    let id = id_of(&web.app, &number).await?;
    let flash = match ask::refresh(&web.work, &context.actor, id).await {
        Ok(after) => match &after.asked {
            Some((_, what)) => {
                let vendor = after.terms.vendor;
                Flash::good(format!("{} was asked: {}.", vendor.label(), evidence::vendors_own(what, vendor)))
            }
            None => Flash::warn("The vendor could not be reached. Bursar tries again automatically."),
        },
        Err(error) => Flash::refused(error)?,
    };
    Ok(flash.on(&format!("/transactions/{number}")))
}

/// The confirmation required before money is moved.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfirmForm {
    checked: Option<String>,
}

impl ConfirmForm {
    fn is_sure(&self) -> bool {
        self.checked.is_some()
    }
}

const NOT_TICKED: &str = "Confirm first that you have checked. Nothing was done.";

async fn resubmit(
    State(web): State<Web>,
    context: PageContext,
    key: Key,
    Path(number): Path<String>,
    Form(sent): Form<ConfirmForm>,
) -> Result<Response, Problem> {
    if !sent.is_sure() {
        return Ok(Flash::bad(NOT_TICKED).on(&format!("/transactions/{number}")));
    }
    let flash = sent_again(&web, &context, &number, key.once(again).as_ref()).await?;
    Ok(flash.on(&format!("/transactions/{number}")))
}

/// Resubmits one payment; returns the message.
pub(super) async fn sent_again(
    web: &Web,
    context: &PageContext,
    number: &str,
    once: Option<&Idempotency<Transaction>>,
) -> Result<Flash, Problem> {
    let id = id_of(&web.app, number).await?;
    let sent = match ask::before_resubmit(&web.work, id).await {
        Ok(()) => verbs::resubmit(&web.app, &context.actor, id, once).await,
        Err(error) => Err(error),
    };
    match sent {
        Ok(_) => Ok(Flash::good(format!("{number} is sent again with a new idempotency key."))),
        Err(error) => Flash::refused(error),
    }
}

async fn return_to_pool(
    State(web): State<Web>,
    context: PageContext,
    key: Key,
    Path(number): Path<String>,
    Form(sent): Form<ConfirmForm>,
) -> Result<Response, Problem> {
    if !sent.is_sure() {
        return Ok(Flash::bad(NOT_TICKED).on(&format!("/transactions/{number}")));
    }
    let flash = taken_back(&web, &context, &number, key.once(again).as_ref()).await?;
    Ok(flash.on(&format!("/transactions/{number}")))
}

/// Returns the rewards of one payment to the pool; returns the message.
pub(super) async fn taken_back(
    web: &Web,
    context: &PageContext,
    number: &str,
    once: Option<&Idempotency<Transaction>>,
) -> Result<Flash, Problem> {
    let id = id_of(&web.app, number).await?;
    let before = match ask::before_return(&web.work, id).await {
        Ok(before) => before,
        Err(error) => return Flash::refused(error),
    };
    if before.state == Stands::Recalled && before.released_at.is_some() {
        return Ok(recalled(&before));
    }
    match verbs::return_to_pool(&web.app, &context.actor, id, once).await {
        Ok(asked) if verbs::recalling(&asked) => Ok(recalled(&ask::reversal(&web.work, id).await?)),
        Ok(_) => Ok(Flash::good(format!("The rewards of {number} are back in the pool."))),
        Err(error) => Flash::refused(error),
    }
}

async fn cancel_unclaimed(
    State(web): State<Web>,
    context: PageContext,
    key: Key,
    Path(number): Path<String>,
) -> Result<Response, Problem> {
    let id = id_of(&web.app, &number).await?;
    let asked = verbs::cancel_unclaimed(&web.app, &context.actor, id, key.once(again).as_ref()).await;
    let flash = match asked {
        Ok(_) => called_back(&ask::cancellation(&web.work, id).await?),
        Err(error) => Flash::refused(error)?,
    };
    Ok(flash.on(&format!("/transactions/{number}")))
}

/// The message after canceling an unclaimed payment.
fn called_back((after, refused): &(Transaction, Option<String>)) -> Flash {
    match (after.state, refused) {
        (Stands::Returned, _) => Flash::good("PayPal has returned the money. It can be paid again now."),
        (Stands::Unclaimed, Some(code)) => {
            Flash::bad(format!("PayPal refused to cancel it ({code}). It is still unclaimed."))
        }
        (Stands::Unclaimed, None) => Flash::warn(
            "PayPal was asked to cancel it but has not confirmed yet. This page updates when it does. No further action is needed.",
        ),
        (state, _) => Flash::warn(format!(
            "It was too late to cancel it. The payment is now {}.",
            state.status().label()
        )),
    }
}

/// The message after recalling money from a Stripe balance.
fn recalled(after: &Transaction) -> Flash {
    let number = after.label();
    if verbs::recalling(after) {
        return Flash::warn(format!(
            "Stripe has not answered yet. The rewards of {number} return to the pool once the transfer is reversed. No further action is needed."
        ));
    }
    if after.released_at.is_some() {
        return Flash::good(format!(
            "The money is back in our balance, and the rewards of {number} are back in the pool."
        ));
    }
    let words = placed::reason(after).map(|reason| reason.said.unwrap_or(reason.message)).unwrap_or_default();
    Flash::bad(format!(
        "Stripe refused to reverse the transfer, so the rewards stay with this payment. {words}"
    ))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PaidOutsideForm {
    reference: Option<String>,
    paid_on: Option<String>,
}

async fn mark_paid_outside(
    State(web): State<Web>,
    context: PageContext,
    Path(number): Path<String>,
    Form(sent): Form<PaidOutsideForm>,
) -> Result<Response, Problem> {
    let (app, id) = (&web.app, id_of(&web.app, &number).await?);
    let (reference, paid_on) = (sent.reference.unwrap_or_default(), sent.paid_on.unwrap_or_default());
    let marked = async {
        ask::before_outside(&web.work, id).await?;
        verbs::mark_paid_outside(app, &context.actor, id, &reference, &paid_on, None).await
    };
    let flash = match marked.await {
        Ok(_) => Flash::good(format!("{number} is marked as paid outside on {paid_on}.")),
        Err(error) => Flash::refused(error)?,
    };
    Ok(flash.on(&format!("/transactions/{number}")))
}
