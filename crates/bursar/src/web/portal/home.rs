//! The portal's home page: the partner's tasks, where the money is in each currency, what is waiting and why, and the latest
//! payouts. Partners can request a payout here; our people make it.

use std::collections::{BTreeMap, HashMap};

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use payout::ledger::Payee;
use payout::money::{self, Currency};
use payout::transaction::Status;

use super::blockers::{Reason, Waiting};
use super::layout::{Frame, MenuItem, OnBehalfOf, PartnerContext, day};
use super::payouts::{Row, newest};
use super::steps::{self, Step};
use super::words::{Amount, Words};
use super::years::span;
use super::{PARTNERS, blockers, failed};
use crate::app::App;
use crate::clock;
use crate::ops::requests;
use crate::store::Db;
use crate::store::portal::{self as store, PaymentRange, Sum};
use crate::store::rewards::{self, Filter, View};
use crate::store::transactions::Transaction;
use crate::web::kit::form::Form;
use crate::web::kit::layout::Flash;
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Route, get, post};

pub fn routes() -> Vec<Route> {
    vec![get("/portal", PARTNERS, show), post("/portal/request", PARTNERS, request)]
}

/// How many payouts the home page shows.
const LATEST: i64 = 5;

/// A payment that needs action by the partner.
struct Task {
    who: String,
    number: String,
    amount: Amount,
    message: String,
    remedy: String,
    /// Additional information needed to fix it.
    note: Option<String>,
    act: (String, &'static str),
}

/// The money of one payee in one currency.
struct BalanceRow {
    /// The payee's name, if there is more than one payee.
    payee: Option<String>,
    waiting: Amount,
    on_its_way: Amount,
    paid: Amount,
    /// The amount that failed or came back, if any.
    came_back: Option<Amount>,
}

/// Rewards waiting for the same reasons.
struct WaitingRow {
    amount: Amount,
    /// The total is positive, and no batch has it yet.
    can_be_paid: bool,
    rewards: String,
    payee: Option<String>,
    reasons: Vec<Reason>,
    when: &'static str,
    request: Option<&'static str>,
    requested: Option<String>,
}

#[derive(Template)]
#[template(path = "portal/home.html")]
struct HomePage {
    frame: Frame,
    steps: Vec<Step>,
    /// How many of the steps are done, in words; `None` if all are.
    progress: Option<String>,
    tasks: Vec<Task>,
    stops: Vec<Reason>,
    /// Payments that failed or came back and need our decision.
    ours: Vec<(String, Amount, &'static str)>,
    purses: Vec<BalanceRow>,
    /// What is known about when the next payout comes.
    next: Option<String>,
    paid_in: String,
    in_review: i64,
    heaps: Vec<WaitingRow>,
    payouts: Vec<Row>,
}

async fn show(State(app): State<App>, context: PartnerContext) -> Result<Response, Problem> {
    let now = app.clock.now();
    let mut db = app.store.read().await?;
    let t = context.t();
    let payees = context.payees();
    let (steps, stops) = steps::steps(&mut db, &context, now).await?;
    let (tasks, ours) = of_payments(&mut db, &context).await?;
    let mut waiting = Vec::new();
    for (whose, payee) in &payees {
        waiting.push((*whose, blockers::waiting(&mut db, &context, *whose, *payee, now).await?));
    }
    let year = clock::date(now).get(..4).unwrap_or("").to_owned();
    let (preparing, purses) = purses(&mut db, &context, &waiting, &year).await?;
    let wishes = store::requests(&mut db).await?;
    let mut heaps = Vec::new();
    for (whose, waiting) in waiting {
        heaps.extend(waiting.heaps.into_iter().map(|heap| waiting_row(&context, whose, heap, &wishes)));
    }
    let prepared = !preparing.is_empty();
    heaps.extend(preparing);
    let next = next_payout(t, prepared, &heaps);
    let done = steps.iter().filter(|step| step.done()).count();
    let of = t.steps_done.replace("{done}", &done.to_string()).replace("{count}", &steps.len().to_string());
    let in_review = Filter { view: View::Pending, visible: context.visible(), ..Filter::default() };
    let all: Vec<String> = payees.iter().map(|(_, payee)| payee.to_string()).collect();
    let page = HomePage {
        frame: context.frame(t.hello.replace("{name}", &context.partner.name), MenuItem::Home),
        progress: (done < steps.len()).then_some(of),
        steps,
        tasks,
        stops,
        ours,
        purses,
        next,
        paid_in: t.paid_in.replace("{year}", &year),
        in_review: rewards::count(&mut db, &in_review, now).await?,
        heaps,
        payouts: newest(&mut db, &context, &all, None, LATEST).await?,
    };
    context.show(&page)
}

/// The payments that need action by the partner, as in the mails; and those that need our decision.
async fn of_payments(
    db: &mut Db,
    context: &PartnerContext,
) -> Result<(Vec<Task>, Vec<(String, Amount, &'static str)>), Problem> {
    let (asking, ours) = failed::of_payments(db, context).await?;
    let task = |one: failed::ActionRequired| Task {
        who: context.named(one.whose),
        number: one.payment.label(),
        amount: context.cash(one.payment.terms.net),
        act: (
            format!("/portal/profile/{}", one.whose.as_str()),
            if one.at_stripe { context.t().mend_at_stripe } else { context.t().act_profile },
        ),
        note: one.account_sentence(context),
        message: one.message,
        remedy: one.remedy,
    };
    let row = |one: Transaction| (one.label(), context.cash(one.terms.net), context.t().meaning(one.state));
    Ok((asking.into_iter().map(task).collect(), ours.into_iter().map(row).collect()))
}

/// The four totals of each payee and currency; rewards in a draft count as waiting.
async fn purses(
    db: &mut Db,
    context: &PartnerContext,
    waiting: &[(OnBehalfOf, Waiting)],
    year: &str,
) -> Result<(Vec<WaitingRow>, Vec<BalanceRow>), Problem> {
    let payees = context.payees();
    let ids: Vec<Payee> = payees.iter().map(|(_, payee)| *payee).collect();
    let preparing = store::in_preparation(db, &ids).await?;
    let mut purses = Vec::new();
    for (whose, payee) in &payees {
        let of_them = waiting.iter().filter(|(of, _)| of == whose).flat_map(|(_, waiting)| &waiting.heaps);
        let waits = of_them.map(|heap| heap.total);
        let prepared = preparing.iter().filter(|(of, ..)| of == payee).map(|(_, _, money)| *money);
        let columns = columns(db, *payee, waits.chain(prepared).collect(), year).await?;
        purses.extend(columns.into_iter().map(|(currency, sums)| {
            let failed = sums.iter().skip(3).any(|minor| *minor != 0);
            let [waiting, on_its_way, paid, came_back] =
                sums.map(|minor| context.cash(money::Sum::new(minor, currency)));
            let payee = (payees.len() > 1).then(|| context.named(*whose));
            BalanceRow { payee, waiting, on_its_way, paid, came_back: Some(came_back).filter(|_| failed) }
        }));
    }
    let preparing = preparing.into_iter().map(|(payee, count, money)| WaitingRow {
        amount: context.cash(money),
        can_be_paid: false,
        rewards: context.rewards(usize::try_from(count).unwrap_or(0)),
        payee: context.tag(payee),
        reasons: Vec::new(),
        when: context.t().in_preparation,
        request: None,
        requested: None,
    });
    Ok((preparing.collect(), purses))
}

/// When the next payout comes, if known: it is being prepared, it can be any day, or not before the day until which
/// everything waiting is held.
fn next_payout(t: &Words, prepared: bool, heaps: &[WaitingRow]) -> Option<String> {
    if prepared {
        return Some(t.in_preparation.to_owned());
    }
    if heaps.iter().any(|heap| heap.reasons.is_empty() && heap.can_be_paid) {
        return Some(t.next_payout.to_owned());
    }
    // It is not known when a reason without a day ends: that depends on someone acting.
    let over = |heap: &WaitingRow| {
        let until: Option<Vec<String>> = heap.reasons.iter().map(|reason| reason.until.clone()).collect();
        until.filter(|_| heap.can_be_paid)?.into_iter().max()
    };
    heaps.iter().filter_map(over).min().map(|day| t.payout_from.replace("{day}", &day))
}

/// A payee's amounts waiting, in flight, paid this year and returned, by currency.
async fn columns(
    db: &mut Db,
    payee: Payee,
    waits: Vec<money::Sum>,
    year: &str,
) -> Result<BTreeMap<Currency, [i128; 4]>, Problem> {
    let mut columns: BTreeMap<Currency, [i128; 4]> = BTreeMap::new();
    let mut add = |column: usize, adds: money::Sum| {
        if let Some(sum) = columns.entry(adds.currency).or_default().get_mut(column) {
            *sum += adds.minor;
        }
    };
    waits.into_iter().for_each(|sum| add(0, sum));
    for Sum { state, net } in store::sums(db, &[payee], &PaymentRange::Open).await? {
        match state.status() {
            Status::Pending | Status::PendingProcessing | Status::PayoutReady => add(1, net),
            Status::Failed | Status::PayoutFailed => add(3, net),
            Status::Success => {}
        }
    }
    let (from, to) = span(year);
    let dates = (format!("{year}-01-01"), format!("{year}-12-32"));
    for which in [PaymentRange::PaidBetween(from, to), PaymentRange::OutsideBetween(dates.0, dates.1)] {
        store::sums(db, &[payee], &which).await?.iter().for_each(|sum| add(2, sum.net));
    }
    Ok(columns)
}

/// The number of rewards in a group, and of clawbacks among them.
fn how_many(context: &PartnerContext, heap: &blockers::WaitingGroup) -> String {
    let taken = context.t().some_taken_back.replace("{count}", &heap.taken.to_string());
    match (heap.count, heap.taken) {
        (0, _) => taken,
        (count, 0) => context.rewards(count),
        (count, _) => format!("{}, {taken}", context.rewards(count)),
    }
}

fn waiting_row(
    context: &PartnerContext,
    whose: OnBehalfOf,
    heap: blockers::WaitingGroup,
    wishes: &HashMap<Payee, i64>,
) -> WaitingRow {
    let ready = heap.reasons.is_empty() && heap.total.minor > 0;
    let requested = wishes.get(&heap.payee).copied();
    WaitingRow {
        amount: context.cash(heap.total),
        can_be_paid: heap.total.minor > 0,
        rewards: how_many(context, &heap),
        payee: context.tag(heap.payee),
        when: context.t().next_payout,
        request: (ready && requested.is_none()).then_some(whose.as_str()),
        requested: requested.filter(|_| ready).map(day),
        reasons: heap.reasons,
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReconfirmForm {
    #[serde(default)]
    whose: String,
}

async fn request(
    State(app): State<App>,
    context: PartnerContext,
    Form(sent): Form<ReconfirmForm>,
) -> Result<Response, Problem> {
    let (_, payee) = context.whose(&sent.whose)?;
    let flash = match requests::request_payout(&app, context.actor(), payee).await {
        Ok(()) => Flash::good(context.t().request_sent),
        Err(error) => context.refused(error)?,
    };
    Ok(flash.on("/portal"))
}
