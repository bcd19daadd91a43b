//! The audit trail as people read it: who, what, when; on the page of the thing it is about, and as a list of its own.

use std::collections::HashMap;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use serde_json::Value;

use payout::access::Permission;
use payout::ids::PersonId;

use super::frame::{Frame, Place, Visit};
use super::words::{When, plain};
use crate::app::App;
use crate::ops::people::OPERATOR;
use crate::store::audit::{self, Row};
use crate::store::{self, Db, people};
use crate::web::fault::Fault;
use crate::web::form::{ListQuery, sealed};
use crate::web::{Need, Route, get};

/// The rows of the route table.
#[must_use]
pub fn routes() -> Vec<Route> {
    vec![get("/activity", Need::May(Permission::Audit), activity)]
}

/// A line of history.
pub struct Line {
    /// When.
    pub at: When,
    /// Who.
    pub who: String,
    /// What was done.
    pub what: String,
    /// The id of what it was done to.
    pub subject: String,
    /// The particulars.
    pub detail: String,
}

impl Line {
    /// The page of what it is about, or everything done to what has no page.
    fn address(&self) -> String {
        let subject = &self.subject;
        match subject.split('_').next() {
            Some("rwd") => format!("/rewards/{subject}"),
            Some("bat") => format!("/claims/{subject}"),
            Some("ptn") => format!("/partners/{subject}"),
            Some("acc") => format!("/accounts/{subject}"),
            Some("ptx") => format!("/transactions/{subject}"),
            Some("imp") => format!("/imports/{subject}"),
            Some(_) | None => {
                let mut query = url::form_urlencoded::Serializer::new(String::new());
                format!("/activity?{}", query.append_pair("subject", subject).finish())
            }
        }
    }
}

/// The newest lines about one thing.
///
/// # Errors
/// When the database does not answer.
pub async fn of(db: &mut Db, subject: &str, limit: i64) -> Result<Vec<Line>, Fault> {
    let rows = audit::newest(db, Some(subject), i64::MAX, limit).await?;
    lines(db, rows).await
}

async fn lines(db: &mut Db, rows: Vec<Row>) -> Result<Vec<Line>, Fault> {
    let names = names(db, rows.iter().map(|row| row.actor.as_str())).await?;
    let line = |row: Row| Line {
        at: When(row.at),
        who: names.get(&row.actor).cloned().unwrap_or_default(),
        what: plain(&row.action),
        detail: detail(&row.detail),
        subject: row.subject,
    };
    Ok(rows.into_iter().map(line).collect())
}

/// The names of whoever acted: people, API keys, the command line, Bursar itself.
///
/// # Errors
/// When the database does not answer.
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
            // People are never taken out, so whoever is not among them had none of our ids: he was at the machine.
            Some(id) => people::by_id(db, id).await?.map_or_else(at_the_machine, |person| person.name),
            None if actor == OPERATOR => at_the_machine(),
            None => "Bursar".to_owned(),
        };
        names.insert(actor.to_owned(), name);
    }
    Ok(names)
}

fn at_the_machine() -> String {
    "Command line".to_owned()
}

/// The particulars in a few words. What a machine wrote for machines, such as settings before and after, is left to the
/// API's audit trail.
fn detail(json: &str) -> String {
    let Ok(Value::Object(fields)) = serde_json::from_str(json) else { return String::new() };
    let words = fields.iter().filter_map(|(name, value)| {
        let value = match value {
            Value::String(text) if !text.is_empty() => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::String(_) | Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
                return None;
            }
        };
        Some(format!("{}: {value}", plain(name).to_lowercase()))
    });
    words.collect::<Vec<_>>().join(" · ")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ask {
    /// The id of one thing.
    subject: Option<String>,
}

#[derive(Template)]
#[template(path = "activity.html")]
struct ActivityPage {
    frame: Frame,
    subject: Option<String>,
    lines: Vec<Line>,
    next: Option<String>,
}

async fn activity(
    State(app): State<App>,
    visit: Visit,
    ListQuery(ask, paging): ListQuery<Ask>,
) -> Result<Response, Fault> {
    let after = paging.after_parts::<1>()?.and_then(|[seq]| seq.parse().ok());
    let mut db = app.store.read().await?;
    let mut rows =
        audit::newest(&mut db, ask.subject.as_deref(), after.unwrap_or(i64::MAX), paging.limit + 1).await?;
    let limit = usize::try_from(paging.limit).unwrap_or(usize::MAX);
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|last| {
        let mut text = url::form_urlencoded::Serializer::new(String::new());
        if let Some(subject) = &ask.subject {
            text.append_pair("subject", subject);
        }
        format!("/activity?{}", text.append_pair("after", &sealed(&[&last.seq.to_string()])).finish())
    });
    let page = ActivityPage {
        frame: visit.frame("Activity", Place::Activity),
        subject: ask.subject,
        lines: lines(&mut db, rows).await?,
        next,
    };
    visit.show(&page)
}

#[cfg(test)]
mod tests {
    use super::detail;

    #[test]
    fn particulars_are_a_few_words() {
        assert_eq!(
            detail(r#"{"rewards":3,"old":null,"reason":"a copy","n":{"x":1}}"#),
            "reason: a copy · rewards: 3"
        );
        assert_eq!(detail("{}"), "");
    }
}
