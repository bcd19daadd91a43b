//! The destinations that staff entered and that this payout would be the first to pay, on the Pay page: with the two-person
//! rule, whoever releases it confirms them. Not here: who may release it (`ops::batches::entered`).

use crate::ops::batches::entered;
use crate::ops::batches::view::BatchView;
use crate::store::{Db, payees};
use crate::web::kit::format::{self, When};
use crate::web::kit::history;
use crate::web::kit::problem::Problem;

/// After an import there may be thousands.
const LISTED: usize = 50;

pub struct Line {
    pub name: String,
    pub page: String,
    pub to: String,
    pub by: String,
    pub at: When,
}

#[derive(Default)]
pub struct Entered {
    pub count: usize,
    pub lines: Vec<Line>,
}

/// The destinations with who entered them, the latest first.
pub async fn of(db: &mut Db, view: &BatchView) -> Result<Entered, Problem> {
    let mut found = entered::unproven(db, view.batch.id).await?;
    let count = found.len();
    found.sort_by_key(|entry| (std::cmp::Reverse(entry.at), entry.payee));
    found.truncate(LISTED);
    let of: Vec<_> = found.iter().map(|entry| entry.payee).collect();
    let names = payees::names(db, &of).await?;
    let people =
        history::names(db, found.iter().flat_map(|entry| [entry.actor.as_str(), &entry.entered_by])).await?;
    let called = |id: &str| people.get(id).cloned().unwrap_or_else(|| id.to_owned());
    let by = |entry: &payees::UnprovenEntry| match entry.actor == entry.entered_by {
        true => called(&entry.actor),
        false => format!("{} (counts as {})", called(&entry.actor), called(&entry.entered_by)),
    };
    let line = |entry: payees::UnprovenEntry| Line {
        name: names.get(&entry.payee).map_or_else(|| entry.payee.to_string(), |named| named.name.clone()),
        page: format::address(entry.payee),
        by: by(&entry),
        to: entry.masked,
        at: When(entry.at),
    };
    Ok(Entered { count, lines: found.into_iter().map(line).collect() })
}
