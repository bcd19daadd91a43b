//! A partner's earnings, or for a partner administrator their whole company's: each reward with its status, and why it is
//! not paid yet. A reviewer's reason is shown if the reviewer allowed it.

use std::collections::{BTreeMap, BTreeSet};

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use payout::ids::{RewardId, TransactionId};
use payout::ledger::Payee;
use payout::reward::{Entry, RewardStatus, Shown};
use payout::transaction::Status;

use super::blockers::{Reason, Waiting};
use super::layout::{Frame, MenuItem, OnBehalfOf, PartnerContext, day};
use super::{PARTNERS, blockers, years};
use crate::app::App;
use crate::store::programs::RewardValue;
use crate::store::rewards::{self, Filter, Reward, Sort, Window};
use crate::store::{Db, transactions};
use crate::web::kit::form::{ListQuery, encode_cursor};
use crate::web::kit::format::{Chip, count, reward_chip, status_chip};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Route, get};

pub fn routes() -> Vec<Route> {
    vec![get("/portal/rewards", PARTNERS, list)]
}

struct Row {
    number: String,
    owner: String,
    activity: String,
    organization: bool,
    value: String,
    chip: Chip,
    reason: Option<String>,
    /// For a clawback: which reward it claws back.
    taken: Option<String>,
    paid_on: Option<String>,
    payout: Option<String>,
    whys: Vec<Reason>,
    day: String,
}

#[derive(Template)]
#[template(path = "portal/rewards.html")]
struct RewardsPage {
    frame: Frame,
    company: bool,
    rows: Vec<Row>,
    years: Vec<(String, String, bool)>,
    next: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListParams {
    /// The calendar year to show; all years if `None`.
    year: Option<String>,
}

async fn list(
    State(app): State<App>,
    context: PartnerContext,
    ListQuery(params, paging): ListQuery<ListParams>,
) -> Result<Response, Problem> {
    let year = years::named(params.year.as_deref())?;
    let filter = Filter {
        visible: context.visible(),
        created_from: year.as_ref().map(|(_, from, _)| *from),
        created_before: year.as_ref().map(|(_, _, to)| *to),
        ..Filter::default()
    };
    let place = paging.after_parts::<2>()?.and_then(|[key, id]| Some((key.parse().ok()?, id)));
    let window = Window { sort: Sort::CreatedAt, descending: true, after: place, limit: paging.limit };
    let now = app.clock.now();
    let mut db = app.store.read().await?;
    let listed = rewards::list(&mut db, &filter, &window, now).await?;
    let found = listed.rewards;
    let of_year = year.as_ref().map(|(year, ..)| format!("year={year}&")).unwrap_or_default();
    let next = listed.next.map(|(key, id)| {
        format!("/portal/rewards?{of_year}after={}", encode_cursor(&[&key.to_string(), &id]))
    });
    let mut waiting: BTreeMap<Payee, Waiting> = BTreeMap::new();
    let approved = found.iter().filter(|one| one.shown(now) == Shown::Approved);
    let payees: BTreeSet<Payee> = approved.filter_map(|one| one.entered.payee).collect();
    let own: Vec<Payee> = context.payees().iter().map(|(_, own)| *own).collect();
    for payee in payees.into_iter().filter(|payee| own.contains(payee)) {
        waiting.insert(payee, blockers::waiting(&mut db, &context, whose(payee), payee, now).await?);
    }
    let beside = RelatedPayments::of(&mut db, &found).await?;
    let rows = found.into_iter().map(|reward| row(&context, reward, &waiting, &beside, now)).collect();
    context.show(&RewardsPage {
        frame: context.frame(context.t().rewards, MenuItem::Rewards),
        company: context.administers(),
        rows,
        years: years::year_links(
            &context,
            now,
            "/portal/rewards",
            year.as_ref().map(|(year, ..)| year.as_str()),
        ),
        next,
    })
}

/// Additional data for rewards: their payments' statuses, and the rewards that clawbacks claw back.
struct RelatedPayments {
    payments: BTreeMap<TransactionId, Status>,
    taken_from: BTreeMap<String, String>,
}

impl RelatedPayments {
    async fn of(db: &mut Db, rewards: &[Reward]) -> Result<Self, Problem> {
        let ids: Vec<TransactionId> =
            rewards.iter().filter_map(|one| one.transaction.map(|(id, _)| id)).collect();
        let payments = transactions::several(db, &ids).await?;
        let taken = rewards.iter().filter(|one| one.entered.entry == Entry::Clawback);
        let of: Vec<RewardId> =
            taken.filter_map(|one| RewardId::parse(one.entered.form_reference.as_deref()?)).collect();
        let named = rewards::named(db, &of).await?;
        Ok(Self {
            payments: payments
                .iter()
                .filter(|one| !one.closed())
                .map(|one| (one.id, one.state.status()))
                .collect(),
            taken_from: named.iter().map(|one| (one.entered.id.to_string(), one.number())).collect(),
        })
    }

    /// The chip of a reward; it shows if its payment failed or came back.
    fn chip(&self, context: &PartnerContext, reward: &Reward, shown: Shown) -> Chip {
        let t = context.t();
        if reward.entered.entry == Entry::Clawback
            && matches!(shown, Shown::Approved | Shown::InPayout | Shown::Paid)
        {
            return Chip { tone: "", words: t.taken_back };
        }
        let payment = reward.transaction.and_then(|(id, _)| self.payments.get(&id).copied());
        match payment.filter(|_| shown == Shown::InPayout) {
            Some(status @ (Status::Failed | Status::PayoutFailed)) => {
                Chip { words: t.status(status), ..status_chip(status) }
            }
            Some(Status::Pending | Status::PendingProcessing | Status::PayoutReady | Status::Success)
            | None => Chip { words: t.reward(shown), ..reward_chip(shown) },
        }
    }

    /// For a clawback: which reward it claws back, and what it is deducted from.
    fn clawback_sentence(&self, context: &PartnerContext, reward: &Reward) -> Option<String> {
        let standing = matches!(reward.entered.status, RewardStatus::Approved);
        if reward.entered.entry != Entry::Clawback || !standing {
            return None;
        }
        let number = self.taken_from.get(reward.entered.form_reference.as_deref()?)?;
        let words = if reward.paid_at.is_some() { context.t().came_off } else { context.t().taken_back_from };
        Some(words.replace("{number}", number))
    }
}

fn whose(payee: Payee) -> OnBehalfOf {
    match payee {
        Payee::Partner(_) => OnBehalfOf::Me,
        Payee::Account(_) => OnBehalfOf::Company,
    }
}

fn row(
    context: &PartnerContext,
    reward: Reward,
    waiting: &BTreeMap<Payee, Waiting>,
    beside: &RelatedPayments,
    now: i64,
) -> Row {
    let t = context.t();
    let shown = reward.shown(now);
    let sign = if reward.entered.entry == Entry::Clawback { "−" } else { "" };
    let value = match reward.entered.worth {
        RewardValue::Cash(money) => context.cash(money).to_string(),
        RewardValue::Points(points) => {
            format!("<span class=\"m\">{} <small>{}</small></span>", count(points), t.points)
        }
    };
    let payee = reward.entered.payee;
    let whys = payee.and_then(|payee| Some((payee, waiting.get(&payee)?)));
    // A colleague's blockers and payouts are shown only to the colleague.
    let own = context.payees().iter().any(|(_, own)| Some(*own) == payee);
    let taken = beside.clawback_sentence(context, &reward).filter(|_| own);
    // Show a payment's number only to partners who may open it.
    let theirs = own || context.administers();
    Row {
        number: reward.number(),
        chip: beside.chip(context, &reward, shown),
        value: format!("{sign}{value}"),
        reason: reward.reason_shown_at.and(reward.entered.reason.clone()),
        taken: taken.clone(),
        paid_on: reward.paid_at.map(day),
        payout: reward.transaction.as_ref().filter(|_| theirs).map(|(_, number)| format!("PT-{number:06}")),
        // Clawbacks are not paid, so nothing blocks them.
        whys: whys
            .filter(|_| own && taken.is_none())
            .map(|(payee, why)| why.of(reward.entered.id, whose(payee), context))
            .unwrap_or_default(),
        day: day(reward.entered.created_at),
        organization: matches!(payee, Some(Payee::Account(_))),
        owner: reward.owner.name,
        activity: reward.activity.name,
    }
}
