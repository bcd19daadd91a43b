//! The list of rewards: its views, filters and sorts, and deciding about many rewards at once.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use payout::access::Permission;
use payout::ids::RewardId;
use payout::reward::{PaymentType, RewardType, Shown};

use super::asked::{Ask, Narrowed, VIEWS};
use super::frame::{Frame, Place, Told, Visit};
use super::words::{Chip, Value, When, count, how_many, reward_chip, whys};
use crate::app::App;
use crate::ops::rewards::{self as verbs, Done, Verdict, Which};
use crate::store::Db;
use crate::store::programs::{self, Filter as Catalogue};
use crate::store::rewards::{self, Reward, Sort, View, Window};
use crate::web::fault::Fault;
use crate::web::form::{Form, ListQuery, Paging, sealed};
use crate::web::strict::{Tree, read};
use crate::web::{Need, Route, get, post};

/// The rows of the route table.
#[must_use]
pub fn routes() -> Vec<Route> {
    let (reads, reviews) = (Need::May(Permission::Read), Need::May(Permission::Review));
    vec![
        get("/rewards", reads, list),
        get("/rewards/settings", reads, settings),
        post("/rewards/decide", reviews, decide),
    ]
}

#[derive(Template)]
#[template(path = "reward_settings.html")]
struct SettingsPage {
    frame: Frame,
}

async fn settings(visit: Visit) -> Result<Response, Fault> {
    visit.show(&SettingsPage { frame: visit.frame("Reward Settings", Place::RewardSettings) })
}

/// A row of the list.
struct Row {
    id: RewardId,
    number: String,
    owner: String,
    account: String,
    kind: &'static str,
    value: Value,
    clawback: bool,
    program: String,
    activity: String,
    chip: Chip,
    /// Where the status is not the whole story: the batch, or why it is not eligible.
    aside: Option<String>,
    created: When,
}

/// A choice of a filter.
struct Choice {
    value: String,
    words: String,
    chosen: bool,
}

#[derive(Template)]
#[template(path = "rewards.html")]
struct ListPage {
    frame: Frame,
    ask: Ask,
    title: &'static str,
    views: Vec<Choice>,
    selects: Vec<(&'static str, &'static str, Vec<Choice>)>,
    on: Vec<(String, String)>,
    problems: Vec<String>,
    candidates: Vec<(String, String)>,
    heads: Vec<Head>,
    rows: Vec<Row>,
    next: Option<String>,
    first: Option<String>,
    deciding: bool,
    /// How many match in all, where all can be decided about.
    matching: Option<i64>,
    may_review: bool,
    empty: (&'static str, &'static str),
    /// The query string of this list, to come back to, and the same behind a question mark where there is one.
    back: String,
    here: String,
}

impl ListPage {
    fn told(&self) -> String {
        let rows = how_many(self.rows.len(), "reward", "rewards");
        match (self.matching, &self.next) {
            (Some(matching), Some(_)) => format!("{rows} of {}", count(matching)),
            (None, Some(_)) => format!("{rows}, and there are more"),
            (_, None) => rows,
        }
    }

    fn all(&self) -> String {
        count(self.matching.unwrap_or_default())
    }
}

/// A column of the list.
struct Head {
    words: &'static str,
    right: bool,
    /// `ascending` or `descending`, where the list is sorted by it.
    sorted: Option<&'static str>,
    /// Where to go to sort by it.
    address: Option<String>,
}

async fn list(
    State(app): State<App>,
    visit: Visit,
    ListQuery(ask, paging): ListQuery<Ask>,
) -> Result<Response, Fault> {
    let now = app.clock.now();
    let mut db = app.store.read().await?;
    let narrowed = ask.narrow(&mut db).await?;
    let (rows, next) = match narrowed.problems.is_empty() {
        true => rows(&mut db, &ask, &narrowed, &paging, now).await?,
        false => (Vec::new(), None),
    };
    let may_review = visit.may(Permission::Review);
    let deciding =
        may_review && !rows.is_empty() && matches!(narrowed.filter.view, View::Pending | View::All);
    let matching = match deciding && narrowed.filter.view == View::Pending {
        true => Some(rewards::count(&mut db, &narrowed.filter, now).await?),
        false => None,
    };
    let (title, back) = (ask.view().1, ask.query(&[]));
    let page = ListPage {
        frame: visit.frame(title, Place::Rewards),
        title,
        views: choices(VIEWS.iter().map(|(view, words)| (*view, *words)), Some(ask.view().0)),
        selects: selects(&mut db, &ask).await?,
        on: narrowed.on,
        problems: narrowed.problems,
        candidates: narrowed.candidates,
        heads: heads(&ask),
        rows,
        next: next.map(|next| ask.address_at(&next)),
        first: paging.after.is_some().then(|| ask.address(&[])),
        deciding,
        matching,
        may_review,
        empty: empty(narrowed.filter.view, &ask),
        here: if back.is_empty() { String::new() } else { format!("?{back}") },
        back,
        ask,
    };
    visit.show(&page)
}

async fn rows(
    db: &mut Db,
    ask: &Ask,
    narrowed: &Narrowed,
    paging: &Paging,
    now: i64,
) -> Result<(Vec<Row>, Option<String>), Fault> {
    let (sort, descending) = ask.sort();
    let after = paging.after_parts::<2>()?;
    let after = after.and_then(|[key, id]| Some((key.parse().ok()?, id)));
    let window = Window { sort, descending, after, limit: paging.limit + 1 };
    let mut found = match ask.eligible() {
        Some(eligible) => verbs::pool(db, &narrowed.filter, &window, eligible, now).await?,
        None => {
            let rows = rewards::list(db, &narrowed.filter, &window, now).await?;
            rows.into_iter().map(|reward| (reward, Vec::new())).collect()
        }
    };
    let limit = usize::try_from(paging.limit).unwrap_or(usize::MAX);
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|(last, _)| {
        let (key, id) = verbs::after(last, sort);
        sealed(&[&key.to_string(), &id])
    });
    let rows = found.into_iter().map(|(reward, blockers)| {
        let reasons: Vec<String> = whys(&blockers).into_iter().map(|why| why.message).collect();
        row(reward, Some(reasons.join(" ")).filter(|reasons| !reasons.is_empty()), now)
    });
    Ok((rows.collect(), next))
}

fn row(reward: Reward, why: Option<String>, now: i64) -> Row {
    let placed = match (&reward.transaction, &reward.batch) {
        (Some((_, number)), _) => Some(format!("PT-{number:06}")),
        (None, Some((_, number))) => Some(number.clone()),
        (None, None) => None,
    };
    Row {
        id: reward.entered.id,
        number: reward.number(),
        chip: reward_chip(reward.shown(now)),
        kind: reward.entered.reward_type.label(),
        value: Value(reward.entered.worth),
        clawback: reward.entered.entry == payout::reward::Entry::Clawback,
        aside: why.or(placed),
        created: When(reward.entered.created_at),
        owner: reward.owner.name,
        account: reward.account.name,
        program: reward.program.name,
        activity: reward.activity.name,
    }
}

fn choices<'a>(all: impl IntoIterator<Item = (&'a str, &'a str)>, chosen: Option<&str>) -> Vec<Choice> {
    let choice = |(value, words): (&str, &str)| Choice {
        value: value.to_owned(),
        words: words.to_owned(),
        chosen: chosen == Some(value),
    };
    all.into_iter().map(choice).collect()
}

/// The filters that are a choice among few.
async fn selects(db: &mut Db, ask: &Ask) -> Result<Vec<(&'static str, &'static str, Vec<Choice>)>, Fault> {
    let all = Catalogue { limit: 500, ..Catalogue::default() };
    let programs = programs::programs(db, &all).await?;
    let activities = programs::activities(db, &all).await?;
    let programs = programs.iter().map(|one| (one.external_id.as_str(), one.name.as_str()));
    let activities = activities.iter().map(|one| (one.external_id.as_str(), one.name.as_str()));
    let kinds = RewardType::ALL.iter().map(|kind| (kind.as_str(), kind.label()));
    let payments = PaymentType::ALL.iter().map(|kind| (kind.as_str(), kind.label()));
    let statuses = Shown::ALL.iter().map(|status| (status.as_str(), status.label()));
    Ok(vec![
        ("program", "Program", choices(programs, ask.program.as_deref())),
        ("activity", "Reward Activity", choices(activities, ask.activity.as_deref())),
        ("type", "Reward Type", choices(kinds, ask.reward_type.as_deref())),
        ("payment_type", "Payment Type", choices(payments, ask.payment_type.as_deref())),
        ("status", "Status", choices(statuses, ask.status.first().map(String::as_str))),
    ])
}

fn heads(ask: &Ask) -> Vec<Head> {
    let (sort, descending) = ask.sort();
    let plain = |words| Head { words, right: false, sorted: None, address: None };
    let sortable = |words, by, name: &str| {
        let here = sort == by;
        // The first press sorts the usual way round: the newest and the largest first.
        let down = if here { !descending } else { true };
        let wanted = if down { format!("-{name}") } else { name.to_owned() };
        Head {
            words,
            right: by == Sort::Value,
            sorted: here.then_some(if descending { "descending" } else { "ascending" }),
            address: Some(ask.address(&[("sort", &wanted)])),
        }
    };
    vec![
        sortable("Number", Sort::Number, "number"),
        plain("Owner"),
        plain("Reward Type"),
        sortable("Value", Sort::Value, "value"),
        plain("Program"),
        plain("Reward Activity"),
        plain("Status"),
        sortable("Created On", Sort::CreatedAt, "created_at"),
    ]
}

fn empty(view: View, ask: &Ask) -> (&'static str, &'static str) {
    if ask.is_narrowed() {
        return ("No reward matches these filters.", "Take a filter off, or look in another view.");
    }
    match (view, ask.eligible()) {
        (_, Some(true)) => (
            "No approved reward can be paid right now.",
            "Approve pending rewards, or look under “Approved – not eligible yet” for what stops the others.",
        ),
        (_, Some(false)) => {
            ("Every approved reward can be paid.", "Add them to the batch under Review Claims.")
        }
        (View::Pending, None) => (
            "Nothing waits for a decision.",
            "New rewards appear here when they are entered, imported or sent by the API.",
        ),
        (View::All | View::Pool, None) => {
            ("There are no rewards yet.", "Enter one, import a file, or send them by the API.")
        }
        (View::InPayout, None) => ("No reward is in a payout.", "Prepare one under Review Claims."),
        (View::Paid, None) => ("Nothing has been paid yet.", "Prepare a payout under Review Claims."),
        (View::Rejected, None) => {
            ("No reward was rejected.", "Rejected rewards are kept here with their reason.")
        }
        (View::Expiring, None) => {
            ("No approved reward expires in the next 30 days.", "There is nothing to do.")
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Decision {
    action: String,
    #[serde(default)]
    id: Vec<String>,
    all: Option<String>,
    expected_count: Option<i64>,
    reason: Option<String>,
    shown: Option<String>,
    /// The query string of the list, to go back to and, for all that match, to find them by.
    back: Option<String>,
}

async fn decide(State(app): State<App>, visit: Visit, Form(sent): Form<Decision>) -> Result<Response, Fault> {
    let query = sent.back.clone().unwrap_or_default();
    let back = format!("/rewards?{query}");
    let reason = sent.reason.clone().unwrap_or_default();
    let verdict = match sent.action.as_str() {
        "approve" => Verdict::Approve,
        _ if reason.trim().is_empty() => {
            let told = "Give a reason to reject rewards; it is kept with them. Nothing was done.";
            return Ok(Told::bad(told).on(&back));
        }
        _ => Verdict::Reject { reason, shown: sent.shown.is_some() },
    };
    let which = match &sent.all {
        Some(_) => {
            let ask: Ask = read(&Tree::from_pairs(query.as_bytes())).map_err(Fault::field)?;
            let narrowed = ask.narrow(&mut app.store.read().await?).await?;
            Which::All(Box::new(narrowed.filter), sent.expected_count.unwrap_or(-1))
        }
        None => Which::Ids(sent.id.iter().filter_map(|id| RewardId::parse(id)).collect()),
    };
    if matches!(&which, Which::Ids(ids) if ids.is_empty()) {
        return Ok(Told::bad("No reward is ticked, so nothing was done.").on(&back));
    }
    let told = match verbs::decide_many(&app, &visit.actor, &which, &verdict, None).await {
        Ok(done) => summary(&app, &done, &verdict).await?,
        Err(error) => Told::refused(error)?,
    };
    Ok(told.on(&back))
}

/// What was done about many, and which were skipped and why.
async fn summary(app: &App, done: &Done, verdict: &Verdict) -> Result<Told, Fault> {
    let word = if *verdict == Verdict::Approve { "approved" } else { "rejected" };
    let words = format!("{} {word}.", how_many(done.done.len(), "reward", "rewards"));
    if done.skipped.is_empty() {
        return Ok(Told::good(words));
    }
    let skipped: Vec<RewardId> = done.skipped.iter().take(200).map(|(id, _)| *id).collect();
    let found = rewards::named(&mut app.store.read().await?, &skipped).await?;
    let number = |id: RewardId| {
        let known = found.iter().find(|reward| reward.entered.id == id);
        known.map_or_else(|| id.to_string(), Reward::number)
    };
    let items =
        done.skipped.iter().take(200).map(|(id, code)| format!("{}: {}", number(*id), skipped_why(code)));
    let words = format!("{words} {} skipped:", how_many(done.skipped.len(), "was", "were"));
    Ok(Told::warn(words).listing(items))
}

fn skipped_why(code: &str) -> &'static str {
    match code {
        "own_reward" => "it is yours, and nobody approves a reward of his own; ask another reviewer.",
        "not_pending" => "it is not Submitted or In Review any more.",
        "not_found" => "it was deleted meanwhile.",
        _ => "the rules do not allow it; open it to see why.",
    }
}
