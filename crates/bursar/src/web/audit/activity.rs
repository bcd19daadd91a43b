//! The activity log, newest first: who did what to what. Also verifies its hash chain.

use std::collections::HashMap;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use payout::access::Permission;

use crate::app::App;
use crate::clock;
use crate::ops::brake::{self, Broken};
use crate::ops::people::OPERATOR;
use crate::ops::verify::{self, ChainSegment};
use crate::store::audit::{self, Filter, Row};
use crate::store::programs::RewardValue;
use crate::store::roster::{self, Kind};
use crate::store::{self, Db, payees, rewards, transactions};
use crate::web::kit::action_words;
use crate::web::kit::change_summary::{CAME_FROM, particulars};
use crate::web::kit::form::{Form, ListQuery, Pager, Query, encode_cursor};
use crate::web::kit::format::{ShortTime, count, in_words, plain};
use crate::web::kit::history;
use crate::web::kit::layout::{Flash, Frame, MenuItem, PageContext};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, get, post};

pub fn routes() -> Vec<Route> {
    let audits = Access::May(Permission::Audit);
    vec![
        get("/activity", audits, list),
        get("/activity/chain", audits, chain),
        get("/activity/books", audits, books),
        post("/activity/books/release", Access::May(Permission::Administer), release)
            .step_up("Let payments go on"),
    ]
}

/// Bursar's own actions are logged under the names of its loops; the filter offers them as one actor.
const BURSAR: &str = "bursar";
const LOOPS: [&str; 8] =
    ["dispatch", "intake", "settle", "reconcile", "sweep", "notify", "onboard", "exports"];
/// At most this many people are offered as a choice; others are reachable from their own pages.
const MOST_OFFERED: i64 = 100;
/// How many rows of the chain are verified per page.
const SEGMENT_ROWS: i64 = 20_000;
const DAY_US: i64 = 86_400 * 1_000_000;

/// The query string of the list.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct ListParams {
    /// The id of a person or API key, `operator`, or `bursar`.
    actor: Option<String>,
    action: Option<String>,
    /// The id of the subject.
    subject: Option<String>,
    /// The first day (UTC).
    from: Option<String>,
    /// The last day (UTC).
    to: Option<String>,
}

impl ListParams {
    fn query(&self) -> url::form_urlencoded::Serializer<'static, String> {
        let mut text = url::form_urlencoded::Serializer::new(String::new());
        let words = [
            ("actor", &self.actor),
            ("action", &self.action),
            ("subject", &self.subject),
            ("from", &self.from),
            ("to", &self.to),
        ];
        for (name, value) in words {
            if let Some(value) = value {
                text.append_pair(name, value);
            }
        }
        text
    }

    /// The filter for the database.
    ///
    /// # Errors
    /// What is invalid, in words.
    pub fn filter(&self, before: Option<(i64, i64)>) -> Result<Filter, String> {
        let day = |typed: &Option<String>| -> Result<Option<i64>, String> {
            let describe = |day: &str| format!("“{day}” is not a day; write it like 2026-03-31.");
            typed.as_deref().map(|day| clock::day(day, &describe(day))).transpose()
        };
        let (from, last) = (day(&self.from)?, day(&self.to)?);
        if from.zip(last).is_some_and(|(from, last)| last < from) {
            return Err("The last day is before the first, so nothing can lie between them.".to_owned());
        }
        let actors = self.actor.as_deref().map(|actor| match actor {
            BURSAR => LOOPS.map(str::to_owned).to_vec(),
            actor => vec![actor.to_owned()],
        });
        Ok(Filter {
            actors,
            action: self.action.clone(),
            subject: self.subject.clone(),
            from,
            to: last.map(|last| last + DAY_US),
            before,
        })
    }

    /// The address for exporting the list shown.
    fn export(&self) -> String {
        format!("/exports/new?of=audit&{}", self.query().finish())
    }

    fn is_filtered(&self) -> bool {
        [&self.actor, &self.action, &self.subject, &self.from, &self.to].iter().any(|word| word.is_some())
    }
}

/// An option of a select: value, label, whether it is selected.
type Choice = (String, String, bool);

struct Line {
    at: ShortTime,
    who: String,
    what: String,
    /// The subject: its label and the address of its page.
    about: (String, String),
    details: Vec<String>,
    /// Whether they are too long for the row and are collapsed.
    folded: bool,
}

#[derive(Template)]
#[template(path = "audit/activity.html")]
struct ActivityPage {
    frame: Frame,
    ask: ListParams,
    actors: Vec<Choice>,
    actions: Vec<Choice>,
    problem: Option<String>,
    lines: Vec<Line>,
    turn: Pager,
    /// The name of the subject, if the list is filtered by one.
    about: Option<String>,
    rows: String,
}

async fn list(
    State(app): State<App>,
    context: PageContext,
    ListQuery(params, paging): ListQuery<ListParams>,
) -> Result<Response, Problem> {
    let mut db = app.store.read().await?;
    let before = paging.after_parts::<2>()?.and_then(|[at, seq]| Some((at.parse().ok()?, seq.parse().ok()?)));
    let (mut rows, problem) = match params.filter(before) {
        Ok(filter) => (audit::list(&mut db, &filter, paging.limit + 1).await?, None),
        Err(problem) => (Vec::new(), Some(problem)),
    };
    let limit = usize::try_from(paging.limit).unwrap_or(usize::MAX);
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows
        .last()
        .filter(|_| more)
        .map(|last| encode_cursor(&[&last.at.to_string(), &last.seq.to_string()]));
    let turn = paging.turn(rows.len(), next.as_deref(), None);
    let about = match &params.subject {
        None => None,
        Some(id) => {
            Some(called(&mut db, std::slice::from_ref(id)).await?.remove(id).unwrap_or_else(|| id.clone()))
        }
    };
    let page = ActivityPage {
        frame: context.frame("Activity log", MenuItem::Activity),
        actors: actors(&mut db, params.actor.as_deref()).await?,
        actions: actions(&mut db, params.action.as_deref()).await?,
        problem,
        lines: lines(&mut db, rows, context.may(Permission::Administer)).await?,
        turn,
        about,
        rows: count(store::counted(&mut db, "audit").await?),
        ask: params,
    };
    context.show(&page)
}

/// The actors to choose from, including the chosen one.
async fn actors(db: &mut Db, chosen: Option<&str>) -> Result<Vec<Choice>, Problem> {
    let mut choices = vec![
        (OPERATOR.to_owned(), "Command line".to_owned(), chosen == Some(OPERATOR)),
        (BURSAR.to_owned(), "Bursar itself".to_owned(), chosen == Some(BURSAR)),
    ];
    for (kind, aside) in [(Kind::Ours, ""), (Kind::Keys, " (API key)")] {
        let some = roster::Filter { kind, ..roster::Filter::default() };
        let found = roster::list(db, &some, MOST_OFFERED).await?;
        let mut found: Vec<Choice> = found
            .into_iter()
            .map(|one| {
                (one.id.to_string(), format!("{}{aside}", one.name), chosen == Some(&one.id.to_string()))
            })
            .collect();
        found.sort_by(|one, other| one.1.cmp(&other.1));
        choices.extend(found);
    }
    if let Some(id) = chosen.filter(|_| !choices.iter().any(|(_, _, here)| *here)) {
        let name = history::names(db, std::iter::once(id)).await?.remove(id);
        choices.push((id.to_owned(), name.unwrap_or_else(|| id.to_owned()), true));
    }
    Ok(choices)
}

async fn actions(db: &mut Db, chosen: Option<&str>) -> Result<Vec<Choice>, Problem> {
    let found = audit::actions(db).await?;
    Ok(found
        .into_iter()
        .map(|word| (word.clone(), action_words::done(&word), chosen == Some(word.as_str())))
        .collect())
}

async fn lines(db: &mut Db, rows: Vec<Row>, opens_people: bool) -> Result<Vec<Line>, Problem> {
    let names = history::names(db, rows.iter().map(|row| row.actor.as_str())).await?;
    let mut ids: Vec<String> = rows.iter().map(|row| row.subject.clone()).collect();
    ids.sort_unstable();
    ids.dedup();
    let called = called(db, &ids).await?;
    let line = |row: Row| {
        let (what, details) = said(&row.action, particulars(&row.detail));
        Line {
            at: ShortTime(row.at),
            who: names.get(&row.actor).cloned().unwrap_or_default(),
            what,
            // The address alone folds nothing: nearly every row has one.
            folded: details
                .iter()
                .filter(|one| !one.starts_with(CAME_FROM))
                .map(|one| one.chars().count() + 3)
                .sum::<usize>()
                > ONE_LINE,
            about: (
                called.get(&row.subject).cloned().unwrap_or_else(|| named(&row.subject)),
                address(&row.subject, called.contains_key(&row.subject), opens_people),
            ),
            details,
        }
    };
    Ok(rows.into_iter().map(line).collect())
}

/// The maximum length of details shown in the row; longer ones are collapsed below it.
const ONE_LINE: usize = 90;

/// What was done, in words, and its details. A payment's transition is described in one phrase.
fn said(action: &str, details: Vec<String>) -> (String, Vec<String>) {
    if action != "transaction_moved" {
        return (action_words::done(action), details);
    }
    let fact = details.iter().find_map(|one| one.strip_prefix("fact: "));
    let Some(fact) = fact.map(|fact| fact.replace(' ', "_")) else {
        return (action_words::done(action), details);
    };
    let rest = details.into_iter().filter(|one| !one.starts_with("fact: ") && !one.starts_with("state: "));
    (action_words::happened(&fact), rest.collect())
}

/// Display names for these IDs.
async fn called(db: &mut Db, ids: &[String]) -> Result<HashMap<String, String>, Problem> {
    let mut called = audit::called(db, ids).await?;
    for id in ids.iter().filter(|id| !id.contains('_')) {
        let name = match id.as_str() {
            "settings:payout" => "Payout Settings".to_owned(),
            "stripe" | "paypal" => {
                payout::money::Vendor::parse(id).map_or_else(String::new, |it| it.label().to_owned())
            }
            "claims" => "Review Claims".to_owned(),
            other => other.to_owned(),
        };
        called.insert(id.clone(), name);
    }
    Ok(called)
}

/// The display name of a subject that has no id.
fn named(subject: &str) -> String {
    let own =
        !subject.is_empty() && subject.bytes().all(|letter| letter.is_ascii_lowercase() || letter == b'_');
    if own { plain(subject) } else { subject.to_owned() }
}

fn address(subject: &str, there: bool, opens_people: bool) -> String {
    let own = match subject.split('_').next().filter(|_| there) {
        Some("rwd") => Some(format!("/rewards/{subject}")),
        Some("bat") => Some(format!("/claims/{subject}")),
        Some("ptn") => Some(format!("/partners/{subject}")),
        Some("acc") => Some(format!("/accounts/{subject}")),
        Some("ptx") => Some(format!("/transactions/{subject}")),
        Some("imp") => Some(format!("/imports/{subject}")),
        Some("exp") => Some(format!("/exports/{subject}")),
        Some("prg") => Some(format!("/programs/{subject}")),
        Some("act") => Some(format!("/activities/{subject}/edit")),
        Some("per") if opens_people => Some(format!("/people/{subject}")),
        Some("settings:payout" | "stripe" | "paypal") => Some("/settings/payouts".to_owned()),
        Some("claims") => Some("/claims".to_owned()),
        Some(_) | None => None,
    };
    own.unwrap_or_else(|| {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        format!("/activity?{}", query.append_pair("subject", subject).finish())
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct From {
    /// The first row to verify.
    from: Option<i64>,
}

#[derive(Template)]
#[template(path = "audit/chain.html")]
struct ChainPage {
    frame: Frame,
    stretch: ChainSegment,
    total: i64,
    next: Option<i64>,
}

impl ChainPage {
    fn first(&self) -> String {
        count(self.stretch.first)
    }

    fn last(&self) -> String {
        count(self.stretch.last)
    }

    fn total(&self) -> String {
        count(self.total)
    }
}

async fn chain(
    State(app): State<App>,
    context: PageContext,
    Query(ask): Query<From>,
) -> Result<Response, Problem> {
    let mut db = app.store.read().await?;
    let total = store::counted(&mut db, "audit").await?;
    let stretch = verify::segment(&mut db, ask.from.unwrap_or(1), SEGMENT_ROWS).await?;
    let next = (stretch.last >= stretch.first && stretch.last < total).then_some(stretch.last + 1);
    let frame = context.frame("The chain of the activity log", MenuItem::Activity);
    context.show(&ChainPage { frame, stretch, total, next })
}

/// At most this many violations are listed on the page.
const LISTED: usize = 100;

/// A violation, with the page of its subject.
struct BrokenRow {
    id: String,
    says: String,
    what: String,
    address: Option<String>,
}

struct BrakeBox {
    since: String,
    broken: Vec<BrokenRow>,
}

#[derive(Template)]
#[template(path = "audit/books.html")]
struct BooksPage {
    frame: Frame,
    brake: Option<BrakeBox>,
    /// Whether payments are stopped, in a sentence.
    says: &'static str,
    known: Vec<BrokenRow>,
    more: usize,
    may_release: bool,
}

/// Our own ids in a text.
fn ids_in(text: &str) -> Vec<String> {
    let words = text.split(|sign: char| !sign.is_ascii_alphanumeric() && sign != '_');
    let is_id =
        |word: &&str| word.split_once('_').is_some_and(|(kind, rest)| kind.len() == 3 && rest.len() == 26);
    words.filter(is_id).map(str::to_owned).collect()
}

/// The amounts of the payments and rewards with these ids; skips unreadable ones.
async fn amounts(db: &mut Db, ids: &[String]) -> Result<HashMap<String, String>, Problem> {
    let mut amounts = HashMap::new();
    for id in ids {
        let amount = match id.split_once('_') {
            Some(("ptx", _)) => match transactions::find(db, id).await {
                Ok(found) => {
                    let named = payees::names(db, &[found.terms.payee]).await?.remove(&found.terms.payee);
                    let name = named.map(|named| format!(" to {}", named.name)).unwrap_or_default();
                    Some(format!("{}{name}", in_words(found.terms.net)))
                }
                Err(error) if error.about_a_row() => None,
                Err(error) => return Err(error.into()),
            },
            Some(("rwd", _)) => match rewards::find(db, id).await {
                Ok(found) => found.map(|found| match found.entered.worth {
                    RewardValue::Cash(money) => format!("{} for {}", in_words(money), found.owner.name),
                    RewardValue::Points(points) => format!("{points} points for {}", found.owner.name),
                }),
                Err(error) if error.about_a_row() => None,
                Err(error) => return Err(error.into()),
            },
            _ => None,
        };
        amounts.extend(amount.map(|told| (id.clone(), told)));
    }
    Ok(amounts)
}

async fn books(State(app): State<App>, context: PageContext) -> Result<Response, Problem> {
    let mut db = app.store.read().await?;
    let state = brake::state(&mut db).await?;
    let broken = state.as_ref().map(|brake| brake.broken.as_slice()).unwrap_or_default();
    let known = brake::known(&mut db).await?;
    let listed: Vec<&Broken> = broken.iter().take(LISTED).chain(known.iter().take(LISTED)).collect();
    let ids: Vec<String> = listed.iter().flat_map(|one| ids_in(&one.what)).collect();
    let called = audit::called(&mut db, &ids).await?;
    let amounts = amounts(&mut db, &ids).await?;
    let row = |one: &Broken| {
        // Replace each id by its display name; anything else, such as a ledger account, stays as it is.
        let ids = ids_in(&one.what);
        let mut what = one.what.clone();
        for id in &ids {
            let amount = amounts.get(id).map(|amount| format!(", {amount}")).unwrap_or_default();
            if let Some(name) = called.get(id) {
                what = what.replace(id.as_str(), &format!("{name}{amount}"));
            }
        }
        let known = ids.iter().find(|id| called.contains_key(*id));
        let page = known.map(|id| address(id, true, false));
        BrokenRow { id: one.id.clone(), says: one.says.clone(), what, address: page }
    };
    let page = BooksPage {
        says: brake::says(&mut db).await?,
        brake: state.as_ref().map(|brake| BrakeBox {
            since: clock::human(brake.at),
            broken: broken.iter().take(LISTED).map(row).collect(),
        }),
        known: known.iter().take(LISTED).map(row).collect(),
        more: broken.len().saturating_sub(LISTED),
        may_release: context.may(Permission::Administer),
        frame: Frame { braked: None, ..context.frame("What must hold", MenuItem::Activity) },
    };
    context.show(&page)
}

/// What happened, and why payments may resume.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReviewNote {
    #[serde(default)]
    note: String,
}

async fn release(
    State(app): State<App>,
    context: PageContext,
    Form(sent): Form<ReviewNote>,
) -> Result<Response, Problem> {
    let flash = match brake::release(&app, &context.actor, &sent.note).await {
        Ok(()) => Flash::good("Payments go on. What you looked at does not stop them again."),
        Err(error) => Flash::refused(error)?,
    };
    Ok(flash.on("/activity/books"))
}

#[cfg(test)]
mod tests {
    use super::said;

    #[test]
    fn how_a_payment_moved_is_one_phrase() {
        let details = |words: &[&str]| words.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
        let moved = said("transaction_moved", details(&["fact: item paid", "leg: item", "state: success"]));
        assert_eq!(moved, ("PayPal paid the receiver".to_owned(), details(&["leg: item"])));
        let other = said("reward_approved", details(&["from: submitted"]));
        assert_eq!(other, ("Reward approved".to_owned(), details(&["from: submitted"])));
    }
}
