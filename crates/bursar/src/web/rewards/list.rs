//! The rewards list: views, filters, sort orders and columns. Bulk decisions are in [`super::bulk_review`], saved views in
//! [`super::saved_views`].

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use payout::access::Permission;
use payout::ids::RewardId;
use payout::reward::{PaymentType, RewardType, Shown};

use super::columns::{Column, chosen, unknown};
use super::filter::{FilterParams, ResolvedFilter, VIEWS, listed};
use super::saved_views;
use crate::app::App;
use crate::ops::rewards::hold_was_over;
use crate::store::Db;
use crate::store::programs::{self, Filter as Catalogue};
use crate::store::rewards::{self, Count, Reward, View, Window};
use crate::store::saved_views::{self as views, SavedView};
use crate::web::kit::facet::{Facet, Facets, Typed, date_presets};
use crate::web::kit::form::{ListQuery, Pager, Paging, encode_cursor};
use crate::web::kit::format::{Chip, ShortTime, Value, count, how_many, reward_chip, summarize};
use crate::web::kit::layout::{Frame, MenuItem, PageContext};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, get};
use crate::web::kit::sort::{First, Head};

/// How far matching rewards are counted for a page.
const COUNTED: i64 = 10_000;
/// With more options than this, a name is typed instead of selected.
const CHOICES: i64 = 40;

pub fn routes() -> Vec<Route> {
    vec![get("/rewards", Access::May(Permission::Read), list)]
}

/// A row of the list.
struct Row {
    id: RewardId,
    number: String,
    owner: String,
    account: String,
    kind: &'static str,
    payment: &'static str,
    value: Value,
    currency: String,
    clawback: bool,
    /// Whether it may be edited or deleted, judging by its status.
    edits: bool,
    deletes: bool,
    program: String,
    activity: String,
    chip: Chip,
    /// Details beside the status: the batch, why it is not eligible, or a warning before a decision.
    aside: Option<String>,
    created: ShortTime,
    expires: String,
    decided: Option<ShortTime>,
    external_id: String,
    batch: Option<String>,
    /// Whether it was selected when a decision was refused.
    ticked: bool,
}

/// An option of a filter.
struct Choice {
    value: String,
    words: String,
    chosen: bool,
}

#[derive(Template)]
#[template(path = "rewards/list.html")]
struct ListPage {
    frame: Frame,
    ask: FilterParams,
    title: String,
    /// The views to choose from, in groups.
    views: Vec<(&'static str, Vec<Choice>)>,
    /// The filters, to be added one at a time.
    facets: Facets,
    /// The filters that are a choice among few.
    selects: Vec<(&'static str, &'static str, Vec<Choice>)>,
    /// The text filters: name, label, value, input type, example.
    inputs: Vec<Input>,
    statuses: Vec<Choice>,
    on: Vec<(String, String)>,
    problems: Vec<String>,
    candidates: Vec<(String, String)>,
    /// Every column, and whether it is shown.
    all_columns: Vec<Choice>,
    columns: Vec<Column>,
    heads: Vec<Head>,
    rows: Vec<Row>,
    turn: Pager,
    deciding: bool,
    matching: Count,
    /// How many rewards were checked before the page gave up with too few matches.
    looked_at: Option<i64>,
    may_review: bool,
    empty: (&'static str, &'static str),
    /// The query string of this list, to return to; and the same with a leading question mark, if not empty.
    back: String,
    here: String,
    /// The query string to save as a view.
    kept: String,
    once: String,
    /// The input of a refused decision.
    written: RetainedInput,
}

/// A filter with a text field.
struct Input {
    name: &'static str,
    words: &'static str,
    value: String,
    kind: &'static str,
    hint: &'static str,
}

impl ListPage {
    fn summary(&self) -> String {
        let rows = how_many(self.rows.len(), "reward", "rewards");
        match (self.turn.is_needed(), self.turn.told.as_str()) {
            (false, _) | (true, "") => rows,
            (true, message) => format!("{message} rewards"),
        }
    }

    /// The number of matches, if counted; larger numbers are counted when a bulk decision is made.
    fn all(&self) -> Option<(i64, String)> {
        match self.matching {
            Count::Exactly(all) => Some((all, count(all))),
            Count::MoreThan(_) | Count::Unknown => None,
        }
    }

    /// Why the page is not full although the list continues.
    fn stopped(&self) -> Option<String> {
        let looked = count(self.looked_at?);
        Some(format!(
            "{looked} rewards were searched for these filters. There may be more matches on the next pages."
        ))
    }
}

async fn list(
    State(app): State<App>,
    context: PageContext,
    ListQuery(params, paging): ListQuery<FilterParams>,
) -> Result<Response, Problem> {
    page(&app, &context, params, paging, RetainedInput::default()).await
}

/// The selection and text from before a decision was refused.
#[derive(Default)]
pub struct RetainedInput {
    /// The selected rewards, by id.
    pub ticked: Vec<String>,
    pub reason: String,
    /// Whether the reason was to be shown to the partner.
    pub shown: bool,
}

/// The list as in the query string, with the selection kept.
pub async fn again(
    app: &App,
    context: &PageContext,
    query: &str,
    kept: RetainedInput,
) -> Result<Response, Problem> {
    let ListQuery(params, paging) = ListQuery::of("/rewards", query)?;
    page(app, context, params, paging, kept).await
}

async fn page(
    app: &App,
    context: &PageContext,
    mut params: FilterParams,
    paging: Paging,
    written: RetainedInput,
) -> Result<Response, Problem> {
    // The sort order is parsed with the paging.
    params.sort.clone_from(&paging.sort);
    let now = app.clock.now();
    let mut db = app.store.read().await?;
    if let Some(id) = params.opens() {
        return saved_views::open(&mut db, &context.actor, id).await;
    }
    let mut narrowed = params.resolve(&mut db).await?;
    narrowed.problems.extend(params.unknown_order());
    narrowed.problems.extend(unknown(&params.columns).map(|name| format!("There is no column “{name}”.")));
    let (rows, next, looked_at) = match narrowed.problems.is_empty() {
        true => rows(&mut db, &params, &narrowed, &paging, now).await?,
        false => (Vec::new(), None, None),
    };
    let mut rows = rows;
    rows.iter_mut().for_each(|row| row.ticked = written.ticked.contains(&row.id.to_string()));
    let may_review = context.may(Permission::Review);
    let deciding =
        may_review && !rows.is_empty() && matches!(narrowed.filter.view, View::Pending | View::All);
    let matching = match next.is_some() && params.eligible().is_none() {
        true => rewards::count_up_to(&mut db, &narrowed.filter, COUNTED, now).await?,
        false => Count::Unknown,
    };
    let found = views::of(&mut db, context.actor.id).await?;
    let opened = found.iter().find(|view| Some(view.id.as_str()) == params.saved.as_deref());
    let title = opened.map_or_else(|| params.view().1.to_owned(), |view| view.name.clone());
    let (back, columns, shown) = (params.query(&[]), chosen(&params.columns), rows.len());
    let (selects, typed) = selects(&mut db, &params).await?;
    let page = ListPage {
        frame: context.frame(&title, MenuItem::Rewards),
        title,
        written,
        views: menu(&params, &found, context),
        facets: facets(&params, &selects, &typed, now),
        selects,
        inputs: inputs(&params).into_iter().chain(typed).collect(),
        statuses: statuses(&params),
        on: narrowed.on,
        problems: narrowed.problems,
        candidates: narrowed.candidates,
        all_columns: Column::ALL.iter().skip(1).map(|column| of_column(*column, &columns)).collect(),
        heads: columns.iter().map(|column| head(&params, *column)).collect(),
        columns,
        rows,
        turn: paging.turn(shown, next.as_deref(), matched(matching).as_deref()),
        deciding,
        matching,
        looked_at,
        may_review,
        empty: empty(narrowed.filter.view, &params),
        here: if back.is_empty() { String::new() } else { format!("?{back}") },
        back,
        kept: params.kept(),
        once: app.clock.secret(),
        ask: params,
    };
    context.show(&page)
}

/// The number of matches, as far as counted.
fn matched(matching: Count) -> Option<String> {
    match matching {
        Count::Exactly(all) => Some(count(all)),
        Count::MoreThan(many) => Some(format!("more than {}", count(many))),
        Count::Unknown => None,
    }
}

/// The built-in views, the person's own, and shared ones.
fn menu(
    params: &FilterParams,
    found: &[SavedView],
    context: &PageContext,
) -> Vec<(&'static str, Vec<Choice>)> {
    let here = params.saved.as_deref();
    let known = here.is_some_and(|here| found.iter().any(|view| view.id == here));
    let ours = VIEWS.iter().map(|(view, words)| (*view, *words));
    let of = |mine: bool| {
        let views = found.iter().filter(|view| (view.person == context.actor.id) == mine);
        choices(views.map(|view| (view.id.as_str(), view.name.as_str())), here)
    };
    let groups = vec![
        ("Views", choices(ours, (!known).then(|| params.view().0))),
        ("My views", of(true)),
        ("Shared views", of(false)),
    ];
    groups.into_iter().filter(|(_, views)| !views.is_empty()).collect()
}

fn of_column(column: Column, shown: &[Column]) -> Choice {
    let (value, words) = (column.name().to_owned(), column.words().to_owned());
    Choice { value, words, chosen: shown.contains(&column) }
}

/// The rows, the cursor of the next page, and how many were checked if too few matched.
async fn rows(
    db: &mut Db,
    params: &FilterParams,
    narrowed: &ResolvedFilter,
    paging: &Paging,
    now: i64,
) -> Result<(Vec<Row>, Option<String>, Option<i64>), Problem> {
    let (sort, descending) = params.sort();
    let after = paging.after_parts::<2>()?;
    let after = after.and_then(|[key, id]| Some((key.parse().ok()?, id)));
    let window = Window { sort, descending, after, limit: paging.limit };
    let found = listed(db, params, &narrowed.filter, &window, now).await?;
    let next = found.next.map(|(key, id)| encode_cursor(&[&key.to_string(), &id]));
    let rows = found.rows.into_iter().map(|(reward, blockers)| {
        let reasons: Vec<String> = summarize(&blockers).into_iter().map(|why| why.message).collect();
        row(reward, Some(reasons.join(" ")).filter(|reasons| !reasons.is_empty()), now)
    });
    Ok((rows.collect(), next, found.looked_at))
}

/// The warning to reviewers that the hold gave no one time to look at the reward.
const HOLD_OVER: &str = "Its hold period was already over when it was entered";

fn row(reward: Reward, why: Option<String>, now: i64) -> Row {
    let placed = match (&reward.transaction, &reward.batch) {
        (Some((_, number)), _) => Some(format!("PT-{number:06}")),
        (None, Some((_, number))) => Some(number.clone()),
        (None, None) => None,
    };
    let shown = reward.shown(now);
    let chip = reward_chip(shown);
    let entered = reward.entered;
    let undecided = matches!(shown, Shown::Submitted | Shown::InReview);
    let hold = (undecided && hold_was_over(&entered)).then(|| HOLD_OVER.to_owned());
    Row {
        ticked: false,
        id: entered.id,
        number: format!("RW-{:06}", entered.number),
        chip,
        kind: match entered.reward_type {
            RewardType::Cash => "Cash",
            RewardType::Points => "Points",
        },
        edits: matches!(shown, Shown::Submitted | Shown::InReview | Shown::Approved | Shown::Expired),
        deletes: matches!(
            shown,
            Shown::Submitted | Shown::InReview | Shown::Approved | Shown::Expired | Shown::Rejected
        ),
        payment: entered.payment_type.map_or("Not applicable", PaymentType::label),
        value: Value(entered.worth),
        currency: entered.worth.currency().map_or("Not applicable", |currency| currency.code()).to_owned(),
        clawback: entered.entry == payout::reward::Entry::Clawback,
        aside: why.or(placed).or(hold),
        created: ShortTime(entered.created_at),
        expires: entered.expires_at.map_or_else(|| "Never".to_owned(), |at| crate::clock::date(at - 1)),
        decided: entered.decided_at.map(ShortTime),
        external_id: entered.external_id,
        batch: reward.batch.map(|(_, number)| number),
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

/// The filters with a text field.
fn inputs(params: &FilterParams) -> Vec<Input> {
    let input = |name, words, value: &Option<String>, kind, hint| {
        let value = value.clone().unwrap_or_default();
        Input { name, words, value, kind, hint }
    };
    vec![
        input("owner", "Owner", &params.owner, "text", "Name or id"),
        input("account", "Account", &params.account, "text", "Name or id"),
        input("currency", "Currency", &params.currency, "text", "Three letters, like USD"),
        input("value_min", "Value from", &params.value_min, "text", "Choose a currency first"),
        input("value_max", "Value to", &params.value_max, "text", "Choose a currency first"),
        input("created_from", "Created from (UTC)", &params.created_from, "date", ""),
        input("created_to", "Created to (UTC)", &params.created_to, "date", ""),
        input("expires_from", "Expires from (UTC)", &params.expires_from, "date", ""),
        input("expires_to", "Expires to (UTC)", &params.expires_to, "date", ""),
        input("decided_from", "Approved/rejected from (UTC)", &params.decided_from, "date", ""),
        input("decided_to", "Approved/rejected to (UTC)", &params.decided_to, "date", ""),
        input("batch", "Batch", &params.batch, "text", "Like PB-2026-0042"),
    ]
}

/// The filters, to be added one at a time.
fn facets(params: &FilterParams, selects: &Selects, typed: &[Input], now: i64) -> Facets {
    let ticks =
        statuses(params).into_iter().map(|one| ("status", one.value, one.words, one.chosen)).collect();
    let mut facets = vec![Facet::ticked("Status", ticks)];
    facets.extend(selects.iter().map(|(name, words, choices)| {
        let options = choices.iter().map(|one| (one.value.clone(), one.words.clone(), one.chosen));
        Facet::typed(words, vec![Typed::among(name, words, options)])
    }));
    let one = |name, words, value: &Option<String>, hint| {
        Facet::typed(words, vec![Typed::of(name, words, "text", value, hint)])
    };
    facets.extend(
        typed.iter().map(|input| one(input.name, input.words, &Some(input.value.clone()), input.hint)),
    );
    facets.push(one("owner", "Owner", &params.owner, "Name or id"));
    facets.push(one("account", "Account", &params.account, "Name or id"));
    let values = vec![
        Typed::of("currency", "Currency", "text", &params.currency, "USD"),
        Typed::of("value_min", "From", "text", &params.value_min, ""),
        Typed::of("value_max", "To", "text", &params.value_max, ""),
    ];
    facets.push(Facet::typed("Value", values));
    let days = |words, from, to, first: &Option<String>, last: &Option<String>| {
        let days = vec![Typed::of(from, "From", "date", first, ""), Typed::of(to, "To", "date", last, "")];
        Facet::typed(words, days)
    };
    let presets = date_presets(&crate::clock::date(now)).into_iter().map(|(words, first, last)| {
        (words.to_owned(), params.address(&[("created_from", &first), ("created_to", &last)]))
    });
    let created =
        days("Created (UTC)", "created_from", "created_to", &params.created_from, &params.created_to);
    facets.push(created.with(presets.collect()));
    facets.push(days(
        "Expires (UTC)",
        "expires_from",
        "expires_to",
        &params.expires_from,
        &params.expires_to,
    ));
    let decided = "Approved/rejected (UTC)";
    facets.push(days(decided, "decided_from", "decided_to", &params.decided_from, &params.decided_to));
    facets.push(one("batch", "Batch", &params.batch, "PB-2026-0042"));
    Facets::of(facets, params.besides(&[]))
}

/// Every status, of which several can be ticked.
fn statuses(params: &FilterParams) -> Vec<Choice> {
    let choice = |status: &Shown| Choice {
        value: status.as_str().to_owned(),
        words: status.label().to_owned(),
        chosen: params.status.iter().any(|asked| asked == status.as_str()),
    };
    Shown::ALL.iter().map(choice).collect()
}

type Selects = Vec<(&'static str, &'static str, Vec<Choice>)>;

/// The filters with a list of options, and those with too many options, as text filters.
async fn selects(db: &mut Db, params: &FilterParams) -> Result<(Selects, Vec<Input>), Problem> {
    let all = Catalogue { limit: CHOICES + 1, ..Catalogue::default() };
    let programs = programs::programs(db, &all).await?;
    let activities = programs::activities(db, &all).await?;
    let of_programs = programs.iter().map(|one| (one.external_id.as_str(), one.name.as_str()));
    let of_activities = activities.iter().map(|one| (one.external_id.as_str(), one.name.as_str()));
    let kinds = RewardType::ALL.iter().map(|kind| (kind.as_str(), kind.label()));
    let payments = PaymentType::ALL.iter().map(|kind| (kind.as_str(), kind.label()));
    let mut selects = vec![
        ("program", "Program", choices(of_programs, params.program.as_deref())),
        ("activity", "Reward Activity", choices(of_activities, params.activity.as_deref())),
        ("type", "Reward Type", choices(kinds, params.reward_type.as_deref())),
        ("payment_type", "Payment Type", choices(payments, params.payment_type.as_deref())),
    ];
    let many = |choices: &[Choice]| choices.len() as u64 > CHOICES.unsigned_abs();
    let typed = selects.extract_if(.., |(_, _, choices)| many(choices)).map(|(name, words, _)| {
        let value = if name == "program" { &params.program } else { &params.activity };
        Input { name, words, value: value.clone().unwrap_or_default(), kind: "text", hint: "Name or id" }
    });
    let typed = typed.collect();
    Ok((selects, typed))
}

fn head(params: &FilterParams, column: Column) -> Head {
    let head = match column.sort() {
        Some(name) => {
            let to = |order: &str| params.address(&[("sort", order)]);
            Head::sorting(column.words(), name, First::Falling, params.order(), to)
        }
        None => Head::plain(column.words()),
    };
    if column == Column::Value { head.right() } else { head }
}

fn empty(view: View, params: &FilterParams) -> (&'static str, &'static str) {
    if params.is_narrowed() {
        return ("No reward matches these filters.", "Remove a filter, or choose another view.");
    }
    match (view, params.eligible()) {
        (_, Some(true)) => (
            "No approved reward can be paid right now.",
            "Approve pending rewards, or open “Approved – not eligible yet” to see what stops the others.",
        ),
        (_, Some(false)) => {
            ("Every approved reward can be paid.", "Add them to the batch under Review Claims.")
        }
        (View::Pending, None) => (
            "No rewards to review.",
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
