//! Review Claims: the batch being prepared, why it cannot be paid yet, and what could be added to it. Not here: the forms
//! that change it (`edit`) and Pay itself (`pay`).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use askama::Template;
use axum::extract::{Path, State as Shared};
use axum::response::{IntoResponse, Redirect, Response};

use payout::access::Permission;
use payout::batch::{BatchStatus, expected_arrival};
use payout::eligibility::{Blocker, Code, Who};
use payout::ids::RewardId;
use payout::ledger::Payee;
use payout::money::{Currency, Money, Sum, Vendor};
use payout::transaction::{State, Status};

use super::candidates::PoolParams;
use crate::ops::batches as verbs;
use crate::ops::batches::view::{self, BatchView, ClaimView};
use crate::ops::pay::Balances;
use crate::ops::views::needing_attention;
use crate::ops::{limits, settings};
use crate::store::batches::{self, Candidate};
use crate::store::programs::RewardValue;
use crate::store::rewards::{self, Reward};
use crate::store::transactions::{self, Filter};
use crate::store::{Db, payees, people, portal};
use crate::web::kit::form::Query;
use crate::web::kit::format::{
    BlockerSummary, Cash, Chip, Summed, Value, When, batch_chip, how_many, status_chip, summarize,
    summarize_by_subject,
};
use crate::web::kit::history::Line;
use crate::web::kit::layout::{Frame, MenuItem, PageContext};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, Web, get};
use crate::web::kit::{format, history};
use crate::work::{Work, ask};

pub fn routes() -> Vec<Route> {
    let reads = Access::May(Permission::Read);
    vec![get("/claims", reads, active), get("/claims/{number}", reads, one)]
}

/// How many claims, or rewards of the pool, a page shows.
const ON_A_PAGE: usize = 50;
/// How long the page waits for a vendor's balance before it shows it as unknown.
const BALANCE_WAIT: Duration = Duration::from_secs(2);

/// A claim, as a table row.
pub struct Row {
    /// Identifies the claim in its batch, for the forms that remove it.
    pub key: String,
    pub name: String,
    pub page: String,
    /// Individual or Organization.
    pub kind: &'static str,
    /// The number of rewards, in words.
    pub rewards: String,
    pub total: Summed,
    /// The fee and the net amount, if the payee bears the fee.
    pub net: Option<(Cash, Cash)>,
    pub vendor: &'static str,
    pub destination: String,
    /// When it is expected to arrive.
    pub arrives: &'static str,
    /// Why it cannot be paid.
    pub whys: Vec<BlockerSummary>,
    /// Whether the payee has requested a payout.
    pub requested: bool,
    /// Whether staff entered its destination, and it would be the first payment there.
    pub entered: bool,
    /// Whether it is below its earning threshold, which somebody may override.
    pub under: bool,
    /// The override of the threshold: reason, person and time.
    pub overridden: Option<(String, String, When)>,
    /// Its first rewards: id, number, what each adds.
    pub shown: Vec<(RewardId, String, Cash)>,
    /// How many more it has.
    pub more: usize,
}

impl Row {
    /// A claim with its first rewards. `names` are the people who overrode a threshold.
    pub fn of(claim: &ClaimView, names: &HashMap<String, String>) -> Self {
        let name = claim.named.as_ref().map_or_else(|| claim.payee.to_string(), |named| named.name.clone());
        let shown = claim.rewards.iter().take(ON_A_PAGE).map(|(id, number, minor)| {
            (*id, format!("RW-{number:06}"), Cash(Money::new(*minor, claim.total.currency)))
        });
        Self {
            key: format!("{} {}", claim.payee, claim.total.currency),
            name,
            page: format::address(claim.payee),
            kind: payee_kind(claim.payee),
            rewards: how_many(claim.reward_count, "reward", "rewards"),
            total: Cash(claim.exact()),
            net: (claim.net != claim.total).then_some((Cash(claim.fee), Cash(claim.net))),
            vendor: claim.vendor().map_or("No vendor yet", Vendor::label),
            destination: claim.destination.as_ref().map(|to| to.masked()).unwrap_or_default(),
            arrives: claim.vendor().map_or("", expected_arrival),
            whys: summarize(&claim.blockers),
            requested: false,
            entered: false,
            under: claim.blockers.iter().any(|one| one.code == Code::BelowThreshold),
            overridden: claim.overridden.as_ref().map(|one| {
                (one.reason.clone(), names.get(&one.actor).cloned().unwrap_or_default(), When(one.at))
            }),
            shown: shown.collect(),
            more: claim.rewards.len().saturating_sub(ON_A_PAGE),
        }
    }
}

/// A claim that takes its payee's year over the tax reporting threshold.
pub struct ThresholdCrossingRow {
    /// The payee's name and page.
    pub name: (String, String),
    /// What they have been paid this year.
    pub so_far: Summed,
    pub adds: Cash,
    pub line: Cash,
}

/// The claims that take their payee over the tax reporting threshold.
pub fn crossing(view: &BatchView) -> Vec<ThresholdCrossingRow> {
    let crosses = |claim: &ClaimView| {
        let crossing = claim.crossing?;
        let name = claim.named.as_ref().map_or_else(|| claim.payee.to_string(), |named| named.name.clone());
        Some(ThresholdCrossingRow {
            name: (name, format::address(claim.payee)),
            so_far: Cash(crossing.so_far),
            adds: Cash(crossing.adds),
            line: Cash(crossing.line),
        })
    };
    view.claims.iter().filter_map(crosses).collect()
}

/// The names of the people who overrode a threshold in a batch.
pub async fn names_of_overriders(db: &mut Db, view: &BatchView) -> Result<HashMap<String, String>, Problem> {
    let actors = view.claims.iter().filter_map(|claim| claim.overridden.as_ref());
    Ok(history::names(db, actors.map(|one| one.actor.as_str())).await?)
}

/// Individual or Organization.
pub fn payee_kind(payee: Payee) -> &'static str {
    match payee {
        Payee::Partner(_) => "Individual",
        Payee::Account(_) => "Organization",
    }
}

/// A reward of the pool that can be added.
struct CandidateRow {
    id: RewardId,
    number: String,
    owner: String,
    payee: String,
    activity: String,
    value: Value,
    clawback: bool,
    expires: Option<String>,
    requested: bool,
}

/// Rewards of one payee that are blocked by the same gates.
struct BlockedGroup {
    payee: String,
    total: Option<Summed>,
    numbers: Vec<String>,
    more: usize,
    whys: Vec<BlockerSummary>,
}

/// The batch on the page.
struct Active {
    number: String,
    chip: Chip,
    claims: Vec<Row>,
    told: String,
    blocked: usize,
    totals: Vec<Summed>,
    stops: Vec<BlockerSummary>,
    crossing: Vec<ThresholdCrossingRow>,
    release: Option<Release>,
    /// Who released its current form, and when.
    released: Option<(String, When)>,
    pages: Pages,
    history: Vec<Line>,
}

/// The state of the two-person rule.
struct Release {
    /// Whether this person may release it.
    may: bool,
    /// Who asked for the release, and when.
    asked: Option<(String, When)>,
    /// Since when a release is void, because something changed after it.
    void: Option<When>,
}

#[derive(Template)]
#[template(path = "payouts/draft.html")]
struct ClaimsPage {
    frame: Frame,
    active: Option<Active>,
    /// The filters of the pool, and the active ones, each with the address that removes it.
    wanted: PoolParams,
    on: Vec<(String, String)>,
    problems: Vec<String>,
    pool_pages: Pages,
    open: Vec<CandidateRow>,
    open_count: usize,
    closed: Vec<BlockedGroup>,
    closed_told: String,
    /// How many rewards each gate blocks, highest first.
    gates: Vec<(String, &'static str)>,
    earlier: Vec<EarlierPayments>,
    attention: Option<String>,
    recent: Vec<(String, Chip, When)>,
    may_prepare: bool,
}

/// The position in a paginated list: the page, the number of pages, and the neighboring ones.
struct PageLinks {
    at: usize,
    of: usize,
    before: Option<String>,
    after: Option<String>,
}

type Pages = Option<PageLinks>;

/// The requested page of `count` rows: its offset, and the links to its neighbors.
fn page_links(count: usize, asked: Option<u32>, address: impl Fn(&str) -> String) -> (usize, Pages) {
    let of = count.div_ceil(ON_A_PAGE).max(1);
    let at = usize::try_from(asked.unwrap_or(1)).unwrap_or(1).clamp(1, of);
    let beside = |page: usize| (1..=of).contains(&page).then(|| address(&page.to_string()));
    let (before, after) = (beside(at.saturating_sub(1)), beside(at + 1));
    ((at - 1) * ON_A_PAGE, (of > 1).then_some(PageLinks { at, of, before, after }))
}

async fn active(
    Shared(web): Shared<Web>,
    context: PageContext,
    Query(wanted): Query<PoolParams>,
) -> Result<Response, Problem> {
    let mut db = web.app.store.read().await?;
    let draft = batches::open_draft(&mut db).await?;
    drop(db);
    page(&web, context, draft.map(|draft| draft.number), "/claims", wanted).await
}

async fn one(
    Shared(web): Shared<Web>,
    context: PageContext,
    Path(number): Path<String>,
    Query(wanted): Query<PoolParams>,
) -> Result<Response, Problem> {
    let batch = batches::find(&mut web.app.store.read().await?, &number).await?;
    if batch.paid.is_some() || batch.deleted_at.is_some() {
        return Ok(Redirect::to(&format!("/claims/{}/pay", batch.number)).into_response());
    }
    let path = format!("/claims/{}", batch.number);
    page(&web, context, Some(batch.number), &path, wanted).await
}

async fn page(
    web: &Web,
    context: PageContext,
    number: Option<String>,
    path: &str,
    wanted: PoolParams,
) -> Result<Response, Problem> {
    let (app, now) = (&web.app, web.app.clock.now());
    let mut db = app.store.read().await?;
    let active = match number {
        Some(number) => {
            let view = verbs::view(&mut db, &number, now).await?;
            let balances = balances(&web.work, &view).await;
            Some(shown(&mut db, &context, &view, &balances, (path, &wanted), now).await?)
        }
        None => None,
    };
    let (filter, problems) = wanted.read(&mut db).await?;
    let (mut open, mut closed) = verbs::pool_blockers(&mut db, &filter, now).await?;
    if !problems.is_empty() {
        (open, closed) = (Vec::new(), Vec::new());
    }
    // Payees who have requested a payout come first.
    let wishes = portal::requests(&mut db).await?;
    open.sort_by_key(|one| !one.payee.is_some_and(|payee| wishes.contains_key(&payee)));
    let (open_count, closed_count) = (open.len(), closed.len());
    let gates = gates(&closed);
    let (from, pool_pages) =
        page_links(open_count, wanted.pool, |page| wanted.address(path, &[("pool", page)]) + "#add");
    open = open.into_iter().skip(from).take(ON_A_PAGE).collect();
    let (earlier, attention) = payments(&mut db).await?;
    let page = ClaimsPage {
        frame: context.frame("Review Claims", MenuItem::Claims),
        open: pooled(&mut db, open, &wishes).await?,
        closed: stopped(&mut db, closed).await?,
        open_count,
        closed_told: how_many(closed_count, "reward", "rewards"),
        gates,
        earlier,
        attention,
        recent: recent(&mut db).await?,
        may_prepare: context.may(Permission::Prepare),
        on: wanted.on(path),
        wanted,
        problems,
        pool_pages,
        active,
    };
    context.show(&page)
}

/// The vendor balances, if the batch needs one that can be read; unknown if the vendor is too slow.
pub async fn balances(work: &Work, view: &BatchView) -> Balances {
    if view.claims.iter().all(|claim| claim.vendor() != Some(Vendor::Stripe)) {
        return Balances::default();
    }
    tokio::time::timeout(BALANCE_WAIT, ask::balances(work)).await.unwrap_or_default()
}

/// The text for someone who may release the payout.
const YOU_CAN: &str = "You can release it, because you neither prepared nor changed it. Check the figures on the Pay page and release it there. A release is valid for a day.";

/// Everything that blocks Pay for this person.
pub async fn stops(
    db: &mut Db,
    context: &PageContext,
    view: &BatchView,
    balances: &Balances,
    now: i64,
) -> Result<Vec<Blocker>, Problem> {
    let mut stops = view.all_blockers();
    stops.extend(balances.blockers(view));
    if !context.may(Permission::Pay) {
        stops.push(Blocker::new(Code::PermissionDenied, context.actor.id));
        return Ok(stops);
    }
    // If this person cannot release it for a reason of their own, show that reason.
    let me = context.actor.id.to_string();
    for stop in stops.iter_mut().filter(|stop| stop.code == Code::ReleaseNeedsOtherPerson) {
        *stop = match verbs::not_the_other(db, view.batch.id, &me, now).await? {
            Some(why) => why,
            None => stop.clone().acting(Who::Payer, YOU_CAN),
        };
    }
    // The person's own limit is included, so recompute all limits.
    stops.retain(|stop| stop.code != Code::OverLimit);
    let rules = settings::load(db).await?;
    let me = people::behind(db, &me, now).await?;
    let sums = view::sums(&view.claims);
    stops.extend(limits::closed(db, &rules, view.batch.id, &sums, Some(&me), now).await?);
    Ok(stops)
}

async fn shown(
    db: &mut Db,
    context: &PageContext,
    view: &BatchView,
    balances: &Balances,
    (path, wanted): (&str, &PoolParams),
    now: i64,
) -> Result<Active, Problem> {
    let stops = stops(db, context, view, balances, now).await?;
    let needs_release = stops.iter().any(|stop| stop.code == Code::ReleaseNeedsOtherPerson);
    let me = context.actor.id.to_string();
    let prepared = verbs::not_the_other(db, view.batch.id, &me, now).await?.is_some();
    let (release, released) = release(db, context, view, needs_release, prepared).await?;
    let names = names_of_overriders(db, view).await?;
    let mut claims: Vec<&ClaimView> = view.claims.iter().collect();
    // Blocked claims first, then payees who have requested a payout.
    let wishes = portal::requests(db).await?;
    let asked = |claim: &ClaimView| wishes.contains_key(&claim.payee);
    let name = |claim: &ClaimView| claim.named.as_ref().map(|named| named.name.clone());
    claims.sort_by_cached_key(|claim| {
        (claim.blockers.is_empty(), !asked(claim), name(claim), claim.total.currency)
    });
    let entered = verbs::entered::unproven(db, view.batch.id).await?;
    let entered: HashSet<Payee> = entered.into_iter().map(|entry| entry.payee).collect();
    let row = |claim: &ClaimView| Row {
        requested: asked(claim),
        entered: entered.contains(&claim.payee),
        ..Row::of(claim, &names)
    };
    let (from, pages) = page_links(claims.len(), wanted.page, |page| wanted.address(path, &[("page", page)]));
    let rewards: usize = view.claims.iter().map(|claim| claim.reward_count).sum();
    Ok(Active {
        number: view.batch.number.clone(),
        chip: match &released {
            Some(_) => Chip { tone: "good", words: "Released" },
            None => batch_chip(view.status),
        },
        told: format!(
            "{} for {}",
            how_many(view.claims.len(), "claim", "claims"),
            how_many(rewards, "reward", "rewards")
        ),
        blocked: view.claims.iter().filter(|claim| !claim.blockers.is_empty()).count(),
        claims: claims.into_iter().skip(from).take(ON_A_PAGE).map(row).collect(),
        totals: view.totals.iter().copied().map(Cash).collect(),
        stops: summarize_by_subject(&stops),
        crossing: crossing(view),
        release,
        released,
        pages,
        history: history::of(db, &view.batch.id.to_string(), 12).await?,
    })
}

/// What the vendors are told to pay, by currency: less than the rewards' total if payees bear the fees.
pub fn nets(view: &BatchView) -> Vec<Summed> {
    let mut sums: BTreeMap<Currency, i128> = BTreeMap::new();
    for claim in &view.claims {
        // A claim that exceeds one payment has no net amount.
        let net = claim.beyond.map_or(i128::from(claim.net.minor), |beyond| beyond.minor);
        *sums.entry(claim.total.currency).or_default() += net;
    }
    sums.into_iter().map(|(currency, minor)| Cash(Sum::new(minor, currency))).collect()
}

/// The state of the release: what is still needed, or who gave it.
async fn release(
    db: &mut Db,
    context: &PageContext,
    view: &BatchView,
    needed: bool,
    prepared: bool,
) -> Result<(Option<Release>, Option<(String, When)>), Problem> {
    let batch = &view.batch;
    let names = history::names(db, batch.release_asked_by.as_deref().into_iter()).await?;
    let name = |by: &String| names.get(by).cloned().unwrap_or_default();
    let release = needed.then(|| Release {
        may: context.may(Permission::Pay) && !prepared,
        asked: batch.release_asked_by.as_ref().map(name).zip(batch.release_asked_at.map(When)),
        void: void_since(view),
    });
    Ok((release, released(db, view).await?))
}

/// Since when a release is void, because something changed after it.
pub fn void_since(view: &BatchView) -> Option<When> {
    let overtaken = view.batch.released.as_ref().filter(|(_, of, _)| *of != view.digest).map(|(.., at)| *at);
    view.batch.release_voided_at.or(overtaken).map(When)
}

/// Who released a batch in exactly its current form, and when.
pub async fn released(db: &mut Db, view: &BatchView) -> Result<Option<(String, When)>, Problem> {
    let stands = view.batch.released.as_ref().filter(|(_, of, _)| *of == view.digest);
    let Some((by, _, at)) = stands else { return Ok(None) };
    let names = history::names(db, std::iter::once(by.as_str())).await?;
    Ok(Some((names.get(by).cloned().unwrap_or_default(), When(*at))))
}

async fn pooled(
    db: &mut Db,
    found: Vec<Candidate>,
    wishes: &HashMap<Payee, i64>,
) -> Result<Vec<CandidateRow>, Problem> {
    let ids: Vec<RewardId> = found.iter().map(|candidate| candidate.id).collect();
    let of: Vec<Payee> = found.iter().filter_map(|candidate| candidate.payee).collect();
    let read = rewards::named(db, &ids).await?;
    let names = payees::names(db, &of).await?;
    let pooled = |candidate: Candidate| {
        let reward: &Reward = read.iter().find(|reward| reward.entered.id == candidate.id)?;
        let payee = candidate.payee.and_then(|payee| names.get(&payee));
        Some(CandidateRow {
            id: candidate.id,
            number: reward.number(),
            owner: reward.owner.name.clone(),
            payee: payee.map(|named| named.name.clone()).unwrap_or_default(),
            activity: reward.activity.name.clone(),
            // A clawback is shown with its sign.
            value: Value(candidate.adds.map_or(reward.entered.worth, RewardValue::Cash)),
            clawback: candidate.takes_off(),
            expires: reward.entered.expires_at.map(|at| crate::clock::date(at - 1)),
            requested: candidate.payee.is_some_and(|payee| wishes.contains_key(&payee)),
        })
    };
    Ok(found.into_iter().filter_map(pooled).collect())
}

/// How many rewards each gate blocks, with its message; highest first.
pub(super) fn gates(closed: &[(Candidate, Vec<Blocker>)]) -> Vec<(String, &'static str)> {
    let mut counts: HashMap<Code, usize> = HashMap::new();
    for (_, blockers) in closed {
        let mut codes: Vec<Code> = blockers.iter().map(|blocker| blocker.code).collect();
        codes.sort_unstable();
        codes.dedup();
        codes.into_iter().for_each(|code| *counts.entry(code).or_default() += 1);
    }
    let mut rows: Vec<(Code, usize)> = counts.into_iter().collect();
    rows.sort_unstable_by_key(|(code, count)| (std::cmp::Reverse(*count), *code));
    rows.into_iter().map(|(code, count)| (how_many(count, "reward", "rewards"), code.message())).collect()
}

/// What cannot be added: one line for all rewards of a payee and currency that are blocked by the same gates.
async fn stopped(db: &mut Db, found: Vec<(Candidate, Vec<Blocker>)>) -> Result<Vec<BlockedGroup>, Problem> {
    type BlockedKey = (Option<Payee>, Option<Currency>, Vec<Code>);
    let mut groups: Vec<(BlockedKey, Vec<Candidate>, Vec<Blocker>)> = Vec::new();
    for (candidate, blockers) in found {
        let codes = blockers.iter().map(|blocker| blocker.code).collect();
        let alike = (candidate.payee, candidate.adds.map(|adds| adds.currency), codes);
        // Sorted by payee and currency, so equal ones are close together.
        let full = groups.len() == ON_A_PAGE;
        match groups.iter_mut().rev().take(8).find(|(known, ..)| *known == alike) {
            Some((_, rewards, _)) => rewards.push(candidate),
            None if full => break,
            None => groups.push((alike, vec![candidate], blockers)),
        }
    }
    let of: Vec<Payee> = groups.iter().filter_map(|((payee, ..), ..)| *payee).collect();
    let names = payees::names(db, &of).await?;
    let line = |((payee, currency, _), rewards, blockers): (BlockedKey, Vec<Candidate>, Vec<Blocker>)| {
        BlockedGroup {
            payee: payee
                .and_then(|payee| names.get(&payee))
                .map(|named| named.name.clone())
                .unwrap_or_default(),
            total: currency.map(|currency| Cash(verbs::sum(&rewards, currency))),
            numbers: rewards.iter().take(6).map(|reward| format!("RW-{:06}", reward.number)).collect(),
            more: rewards.len().saturating_sub(6),
            whys: summarize(&blockers),
        }
    };
    Ok(groups.into_iter().map(line).collect())
}

/// A status of earlier payments: its chip, the count, and the address of the list.
struct EarlierPayments {
    chip: Chip,
    count: String,
    address: String,
}

/// The unfinished earlier payments by status, and how many of them need attention.
async fn payments(db: &mut Db) -> Result<(Vec<EarlierPayments>, Option<String>), Problem> {
    let describe = |number: i64| if number > 99 { "99+".to_owned() } else { number.to_string() };
    let mut earlier = Vec::new();
    for status in Status::ALL.iter().copied().filter(|status| *status != Status::Success) {
        let filter = Filter { states: Some(State::of(status).collect()), open: true, ..Filter::default() };
        earlier.push(EarlierPayments {
            chip: status_chip(status),
            count: describe(transactions::count(db, &filter, 100).await?),
            address: format!("/dashboard/transactions?status={}", status.as_str()),
        });
    }
    let attention = transactions::count(db, &needing_attention(), 100).await?;
    Ok((earlier, (attention > 0).then(|| describe(attention))))
}

/// The batches that were paid last.
async fn recent(db: &mut Db) -> Result<Vec<(String, Chip, When)>, Problem> {
    let mut recent = Vec::new();
    for batch in batches::newest(db, None, 20).await? {
        let Some((_, paid_at)) = batch.paid else { continue };
        if recent.len() == 5 {
            break;
        }
        let states = batches::states(db, batch.id).await?;
        let status =
            payout::batch::status_after_pay(states.into_iter().map(|(state, outside, _)| (state, outside)));
        recent.push((batch.number, batch_chip(status), When(paid_at)));
    }
    Ok(recent)
}

impl ClaimsPage {
    fn blocked_summary(&self) -> String {
        let rewards = how_many(self.open_count, "reward", "rewards");
        match self.open.len() == self.open_count {
            true => rewards,
            false => format!("{} of {rewards}", self.open.len()),
        }
    }
}

/// Whether a batch can still be changed.
pub fn is_draft(status: BatchStatus) -> bool {
    matches!(status, BatchStatus::Draft | BatchStatus::AwaitingRelease)
}
