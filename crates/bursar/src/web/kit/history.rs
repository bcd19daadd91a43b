//! The latest audit rows on the page of their subject: who, what, when. The full log is `audit::activity`.

use std::collections::HashMap;

use payout::ids::PersonId;

use super::action_words;
use super::change_summary::{CAME_FROM, particulars};
use super::format::When;
use super::problem::Problem;
use crate::ops::people::{OPERATOR, STRANGER};
use crate::store::audit::{self, Row};
use crate::store::{self, Db, people};

pub struct Line {
    pub at: When,
    pub who: String,
    pub what: String,
    pub detail: String,
}

/// The newest rows about one subject.
pub async fn of(db: &mut Db, subject: &str, limit: i64) -> Result<Vec<Line>, Problem> {
    let rows = audit::newest(db, Some(subject), i64::MAX, limit).await?;
    lines(db, rows).await
}

async fn lines(db: &mut Db, rows: Vec<Row>) -> Result<Vec<Line>, Problem> {
    let names = names(db, rows.iter().map(|row| row.actor.as_str())).await?;
    let line = |row: Row| {
        let mut detail = particulars(&row.detail);
        // Where colleagues were is for those who read the activity log.
        detail.retain(|one| !one.starts_with(CAME_FROM));
        Line {
            at: When(row.at),
            who: names.get(&row.actor).cloned().unwrap_or_default(),
            what: action_words::done(&row.action),
            detail: detail.join(" · "),
        }
    };
    Ok(rows.into_iter().map(line).collect())
}

/// The names of actors: people, API keys, the command line, Bursar itself.
pub async fn names(
    db: &mut Db,
    actors: impl Iterator<Item = &str>,
) -> store::Result<HashMap<String, String>> {
    let mut names = HashMap::new();
    for actor in actors {
        if names.contains_key(actor) {
            continue;
        }
        let name = match PersonId::parse(actor) {
            // People are never deleted, so an unknown id is from the command line.
            Some(id) => people::by_id(db, id).await?.map_or_else(at_the_machine, |person| person.name),
            None if actor == OPERATOR => at_the_machine(),
            None if actor == STRANGER => "Somebody unknown".to_owned(),
            None => "Bursar".to_owned(),
        };
        names.insert(actor.to_owned(), name);
    }
    Ok(names)
}

fn at_the_machine() -> String {
    "Command line".to_owned()
}
