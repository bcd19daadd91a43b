//! A stream that tells an open page that something changed; the page then fetches itself again. What is deliberately not here:
//! what changed.

use std::convert::Infallible;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::StreamExt as _;
use futures::stream::unfold;
use serde::Deserialize;
use tokio::sync::watch;

use payout::ids::{BatchId, PersonId};

use super::problem::Fault;
use crate::app::{App, Watching};
use crate::store::batches;
use crate::store::{self, Db, exports, imports};

/// How long one stream lives. The browser comes back by itself, and a stop never waits for somebody who watches.
const STREAM_LIFE: Duration = Duration::from_secs(20);

/// The least time between two tellings: a page need not be fetched for each of a thousand payments.
const PACE: Duration = Duration::from_millis(700);

/// How often it is looked whether another process has changed something.
const ELSEWHERE: Duration = Duration::from_secs(3);

/// How many streams one person may have open: a page in each of many tabs, and not all connections there are.
const STREAMS: usize = 24;

/// What a live page has seen already.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// The number of the change that the page has seen.
    pub seen: Option<i64>,
}

/// What a live page is about.
#[derive(Clone, Debug)]
pub enum Watched {
    Batch(BatchId),
    /// A file on its way in, by its number.
    Import(String),
    /// A file on its way out, by its number.
    Export(i64),
}

impl Watched {
    /// A number that goes up with every change, whichever process makes it; and whether nothing more is to come.
    async fn now(&self, db: &mut Db) -> store::Result<(i64, bool)> {
        match self {
            Self::Batch(batch) => {
                let number = batches::change_number(db, *batch).await?;
                let at_rest = batches::states(db, *batch)
                    .await?
                    .iter()
                    .all(|(state, outside, _)| state.settled() || *outside);
                Ok((number, at_rest))
            }
            Self::Import(number) => {
                let import = imports::find(db, number).await?;
                Ok((import.fence, !import.state.moving()))
            }
            Self::Export(number) => {
                let run = exports::find(db, *number).await?;
                Ok((run.change_number(), !run.is_moving()))
            }
        }
    }
}

/// Tells of changes from the one that was seen last: by a browser that comes back, in its `Last-Event-ID`, else by the page.
/// What happened between the page and the stream is told at once. When nothing is under way and nothing new is to be told,
/// 204 tells the browser not to come back.
///
/// # Errors
/// When the database does not answer, or this person watches too much already.
pub async fn watching(
    app: App,
    who: PersonId,
    of: Watched,
    ask: &Ask,
    headers: &HeaderMap,
) -> Result<Response, Fault> {
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let seen: Option<i64> = last.or(ask.seen);
    let (number, at_rest) = of.now(&mut app.store.read().await?).await?;
    if at_rest && seen == Some(number) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let Some(admitted) = app.nudge.watchers.admit(who, STREAMS) else {
        let told = "You have many live pages open, so this one does not follow by itself. Close some, then reload it.";
        return Err(Fault::new(StatusCode::TOO_MANY_REQUESTS, "slow_down", told).retry_after(60));
    };
    let changed = app.nudge.changed.subscribe();
    let watch = Watch { changed, app, of, told: None, seen, _admitted: admitted };
    let stream = unfold(watch, Watch::next).take_until(tokio::time::sleep(STREAM_LIFE));
    // nginx would keep what is told until there is more of it.
    let at_once = [(HeaderName::from_static("x-accel-buffering"), "no")];
    Ok((at_once, Sse::new(stream).keep_alive(KeepAlive::default())).into_response())
}

/// Somebody's stream of change numbers.
struct Watch {
    app: App,
    changed: watch::Receiver<u64>,
    of: Watched,
    told: Option<i64>,
    /// What the page has seen, until that is told: then it knows by the next number that it must look again.
    seen: Option<i64>,
    _admitted: Watching,
}

impl Watch {
    /// The next number: what the page has seen first, then the one of now, then each that is another, at a pace. Without a
    /// database the stream ends, and the browser comes back by itself.
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        let number = match self.seen.take() {
            Some(seen) => seen,
            None => self.another().await?,
        };
        self.told = Some(number);
        let event = Event::default().id(number.to_string()).event("changed");
        Some((Ok(event.retry(Duration::from_secs(1)).data(number.to_string())), self))
    }

    async fn another(&mut self) -> Option<i64> {
        loop {
            self.changed.borrow_and_update();
            let mut db = self.app.store.read().await.ok()?;
            let (number, _) = self.of.now(&mut db).await.ok()?;
            drop(db);
            if self.told != Some(number) {
                return Some(number);
            }
            tokio::time::sleep(PACE).await;
            // Another process may have changed it, of which no bell rings here.
            let rung = tokio::time::timeout(ELSEWHERE, self.changed.changed()).await;
            if matches!(rung, Ok(Err(_))) {
                return None;
            }
        }
    }
}
