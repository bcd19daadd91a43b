//! A batch after Pay: its progress, failures first, and live statuses of its payments. An event stream tells the page that
//! something has changed and the page fetches itself again; without JavaScript it refreshes on a timer.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;

use payout::access::Permission;
use payout::batch::{BatchStatus, status_after_pay};
use payout::money::{Currency, Sum};
use payout::transaction::{Detail, State as Stands, Status};

use crate::app::App;
use crate::ops::views;
use crate::store::Db;
use crate::store::batches::{self, Batch, StateTotal};
use crate::store::transactions::{self, Filter, Transaction};
use crate::web::kit::form::Query;
use crate::web::kit::format::{Cash, Chip, Summed, When, batch_chip, how_many};
use crate::web::kit::history;
use crate::web::kit::layout::{Frame, MenuItem, PageContext};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, get};
use crate::web::kit::session::CurrentActor;
use crate::web::kit::sse::{LiveSubject, StreamParams, watching};
use crate::web::payments::{self, Row};

pub fn routes() -> Vec<Route> {
    vec![get("/claims/{number}/events", Access::May(Permission::Read), events)]
}

/// How many payments of one kind the page shows.
const MOST: i64 = 100;

struct Group {
    words: &'static str,
    rows: Vec<Row>,
    more: bool,
}

/// A payment's state, as grouped on the page.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Succeeded,
    /// Its payee was paid by other means.
    Outside,
    UnderWay,
    /// Only a person can resolve it.
    Person,
    Ended,
}

impl Part {
    fn of(state: Stands, outside: bool) -> Self {
        match (outside, state.settled(), state.status() == Status::Success) {
            (true, _, _) => Self::Outside,
            (false, _, true) => Self::Succeeded,
            (false, true, false) => Self::Ended,
            (false, false, false) if state.detail() == Some(Detail::NeedsReview) => Self::Person,
            (false, false, false) => Self::UnderWay,
        }
    }
}

/// A batch's totals in one currency: overall, and by state; the parts add up to the whole.
struct Totals {
    all: Summed,
    succeeded: Summed,
    outside: Summed,
    under_way: Summed,
    person: Summed,
    ended: Summed,
}

#[derive(Template)]
#[template(path = "payouts/progress.html")]
struct LivePage {
    frame: Frame,
    number: String,
    chip: Chip,
    deleted: Option<When>,
    paid: Option<(String, When)>,
    moving: bool,
    /// The number of the last change that the page shows.
    seen: i64,
    told: String,
    /// The vendors' contradictions, if any.
    doubted: Option<String>,
    /// Succeeded, ended otherwise and in progress, in thousandths.
    bar: [usize; 3],
    counts: Vec<(Chip, usize)>,
    totals: Vec<Totals>,
    /// Whether some payees were paid by other means.
    outside: bool,
    /// Whether some payments need a person.
    person: bool,
    /// The numbers of payments whose record cannot be read.
    unreadable: Vec<String>,
    groups: Vec<Group>,
}

impl LivePage {
    /// The start of the third part of the bar.
    fn ended(&self) -> usize {
        self.bar[0] + self.bar[1]
    }
}

/// The page of a batch that is no longer a draft.
pub async fn show(db: &mut Db, context: &PageContext, batch: Batch) -> Result<Response, Problem> {
    // Read first, so that the stream reports every later change.
    let seen = batches::change_number(db, batch.id).await?;
    let (_, unreadable) = transactions::of_batch(db, batch.id).await?;
    let alike = batches::totals_by_state(db, batch.id, &unreadable).await?;
    // An unreadable payment needs a person.
    let unread = unreadable.iter().map(|_| (Stands::Review, false));
    let status = match batch.deleted_at {
        Some(_) => BatchStatus::Deleted,
        None => status_after_pay(alike.iter().map(|one| (one.state, one.outside)).chain(unread)),
    };
    let contradicted: i64 = alike.iter().map(|one| one.contradicted).sum();
    let by = batch.paid.clone();
    let paid = match &by {
        Some((by, at)) => {
            let names = history::names(db, std::iter::once(by.as_str())).await?;
            Some((names.get(by).cloned().unwrap_or_default(), When(*at)))
        }
        None => None,
    };
    let count = |wanted: Part| {
        let found = alike.iter().filter(|one| Part::of(one.state, one.outside) == wanted);
        found.map(|one| usize::try_from(one.count).unwrap_or(0)).sum::<usize>()
    };
    let (good, outside) = (count(Part::Succeeded), count(Part::Outside));
    let (bad, moving) = (count(Part::Ended), count(Part::UnderWay));
    let person = count(Part::Person);
    let all = good + outside + bad + moving + person;
    let so_far = [good, outside, bad, moving, person];
    let share = |part: usize| (part * 1_000).checked_div(all).unwrap_or(0);
    let page = LivePage {
        frame: context.frame(batch.number.clone(), MenuItem::Claims),
        chip: batch_chip(status),
        deleted: batch.deleted_at.map(When),
        paid,
        moving: moving + person > 0,
        seen,
        told: match contradicted {
            0 => progress_sentence(so_far, unreadable.len()),
            _ => format!("As recorded here: {}", progress_sentence(so_far, unreadable.len())),
        },
        doubted: doubted(usize::try_from(contradicted).unwrap_or(0)),
        bar: [
            share(good + outside),
            share(bad + person),
            1_000 - share(good + outside) - share(bad + person),
        ],
        counts: counts(&alike),
        totals: totals(&alike),
        outside: outside > 0,
        person: person > 0,
        unreadable,
        groups: groups(db, &batch).await?,
        number: batch.number,
    };
    context.show(&page)
}

/// The number of payments that vendors contradict, in a sentence.
fn doubted(count: usize) -> Option<String> {
    let of = match count {
        0 => return None,
        1 => "For 1 payment".to_owned(),
        many => format!("For {many} payments"),
    };
    Some(format!(
        "{of}, the vendor reports something different from what is recorded here. Someone must look into it."
    ))
}

/// The progress in a sentence, announced to screen readers when it changes. Unreadable payments are counted separately.
fn progress_sentence([good, outside, bad, moving, person]: [usize; 5], unread: usize) -> String {
    let all = good + outside + bad + moving + person + unread;
    let payments = how_many(all, "payment", "payments");
    let apart =
        |count: usize, words: &str| if count > 0 { format!(", {count} {words}") } else { String::new() };
    let outside_of_many = apart(outside, "paid another way");
    let of_person = apart(person, if person == 1 { "needs review" } else { "need review" });
    if unread > 0 {
        let (bad, moving) = (apart(bad, "failed or came back"), apart(moving, "in progress"));
        return format!(
            "{good} of {payments} succeeded{outside_of_many}{bad}{of_person}{moving}, {unread} cannot be read. Someone must look into it."
        );
    }
    match (all, moving) {
        (1, 1) => "The payment is in progress.".to_owned(),
        (1, _) if person == 1 => "The payment needs review.".to_owned(),
        (1, _) if good == 1 => "The payment succeeded.".to_owned(),
        (1, _) if outside == 1 => "The payee was paid another way.".to_owned(),
        (1, _) => "The payment failed or came back.".to_owned(),
        (_, moving) if person > 0 => {
            let (bad, moving) = (apart(bad, "failed or came back"), apart(moving, "in progress"));
            format!("{good} of {payments} succeeded{outside_of_many}{bad}{of_person}{moving}.")
        }
        (_, 0) if good == all => format!("All {payments} succeeded."),
        (_, 0) => {
            let bad = apart(bad, "did not");
            format!("All {payments} have ended: {good} succeeded{outside_of_many}{bad}.")
        }
        (_, moving) => {
            let bad = apart(bad, "failed or came back");
            format!("{good} of {payments} succeeded{outside_of_many}{bad}, {moving} in progress.")
        }
    }
}

fn counts(alike: &[StateTotal]) -> Vec<(Chip, usize)> {
    let person = |one: &&StateTotal| Part::of(one.state, one.outside) == Part::Person;
    let of = |status: Status, outside: bool| {
        let found = alike.iter().filter(|one| (one.state.status(), one.outside) == (status, outside));
        let found = found.filter(|one| !person(one));
        found.map(|one| usize::try_from(one.count).unwrap_or(0)).sum::<usize>()
    };
    let counts =
        Status::ALL.iter().map(|status| (crate::web::kit::format::status_chip(*status), of(*status, false)));
    let outside = Status::ALL.iter().map(|status| of(*status, true)).sum::<usize>();
    let outside = (Chip { tone: "good", words: "Paid another way" }, outside);
    let doubted = alike.iter().map(|one| usize::try_from(one.contradicted).unwrap_or(0)).sum::<usize>();
    let doubted = (Chip { tone: "bad", words: "Vendor disagrees" }, doubted);
    let needs = alike.iter().filter(person).map(|one| usize::try_from(one.count).unwrap_or(0)).sum::<usize>();
    let needs = (Chip { tone: "bad", words: "Needs review" }, needs);
    counts.chain([outside, needs, doubted]).filter(|(_, count)| *count > 0).collect()
}

/// The totals by currency and state.
fn totals(alike: &[StateTotal]) -> Vec<Totals> {
    let mut sums: BTreeMap<Currency, [i128; 6]> = BTreeMap::new();
    for one in alike {
        let [all, succeeded, outside, under_way, person, ended] = sums.entry(one.net.currency).or_default();
        *all += one.net.minor;
        *match Part::of(one.state, one.outside) {
            Part::Succeeded => succeeded,
            Part::Outside => outside,
            Part::UnderWay => under_way,
            Part::Person => person,
            Part::Ended => ended,
        } += one.net.minor;
    }
    let row = |(currency, sums): (Currency, [i128; 6])| {
        let [all, succeeded, outside, under_way, person, ended] =
            sums.map(|minor| Cash(Sum::new(minor, currency)));
        Totals { all, succeeded, outside, under_way, person, ended }
    };
    sums.into_iter().map(row).collect()
}

/// The groups: needs a person first, then failed, in progress, and succeeded.
async fn groups(db: &mut Db, batch: &Batch) -> Result<Vec<Group>, Problem> {
    let mut groups = Vec::new();
    let against = Filter { batch: Some(batch.id), ..views::contradicted() };
    group(db, &mut groups, "Vendor disagrees", &against, |_| true).await?;
    for (part, words) in [
        (Part::Person, "Needs review"),
        (Part::Ended, "Failed or came back"),
        (Part::UnderWay, "In progress"),
        (Part::Outside, "Paid another way"),
        (Part::Succeeded, "Succeeded"),
    ] {
        let outside = part == Part::Outside;
        let states = Stands::ALL.iter().copied().filter(|state| Part::of(*state, outside) == part).collect();
        let filter = Filter {
            batch: Some(batch.id),
            states: Some(states),
            outside: Some(outside),
            ..Filter::default()
        };
        group(db, &mut groups, words, &filter, |one| one.contradicted_at.is_none()).await?;
    }
    Ok(groups)
}

/// Adds a group with the payments of a filter that also match, unless it would be empty.
async fn group(
    db: &mut Db,
    groups: &mut Vec<Group>,
    words: &'static str,
    filter: &Filter,
    also: impl Fn(&Transaction) -> bool,
) -> Result<(), Problem> {
    let found = transactions::list(db, filter, MOST + 1).await?;
    let most = usize::try_from(MOST).unwrap_or(usize::MAX);
    let more = found.len() > most;
    let rows = payments::rows(db, found.into_iter().filter(|one| also(one)).take(most).collect()).await?;
    if !rows.is_empty() {
        groups.push(Group { words, rows, more });
    }
    Ok(())
}

async fn events(
    State(app): State<App>,
    CurrentActor(actor): CurrentActor,
    Path(number): Path<String>,
    Query(params): Query<StreamParams>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let batch = batches::find(&mut app.store.read().await?, &number).await?.id;
    watching(app, actor.id, LiveSubject::Batch(batch), &params, &headers).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_it_is_in_a_sentence() {
        assert_eq!(progress_sentence([1, 0, 0, 0, 0], 0), "The payment succeeded.");
        assert_eq!(progress_sentence([0, 1, 0, 0, 0], 0), "The payee was paid another way.");
        assert_eq!(progress_sentence([12, 0, 0, 0, 0], 0), "All 12 payments succeeded.");
        assert_eq!(
            progress_sentence([3, 0, 1, 8, 0], 0),
            "3 of 12 payments succeeded, 1 failed or came back, 8 in progress."
        );
        assert_eq!(
            progress_sentence([3, 0, 1, 0, 0], 0),
            "All 4 payments have ended: 3 succeeded, 1 did not."
        );
        assert_eq!(
            progress_sentence([2, 0, 0, 0, 0], 1),
            "2 of 3 payments succeeded, 1 cannot be read. Someone must look into it."
        );
        assert_eq!(
            progress_sentence([0, 0, 0, 0, 0], 1),
            "0 of 1 payment succeeded, 1 cannot be read. Someone must look into it."
        );
        assert_eq!(progress_sentence([0, 0, 0, 0, 2], 0), "0 of 2 payments succeeded, 2 need review.");
        assert_eq!(progress_sentence([0, 0, 0, 0, 1], 0), "The payment needs review.");
        assert_eq!(
            progress_sentence([4, 0, 1, 2, 1], 0),
            "4 of 8 payments succeeded, 1 failed or came back, 1 needs review, 2 in progress."
        );
        assert_eq!(
            progress_sentence([3, 1, 1, 0, 0], 0),
            "All 5 payments have ended: 3 succeeded, 1 paid another way, 1 did not."
        );
    }
}
