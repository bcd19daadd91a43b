//! A server-sent event stream that tells an open page that something has changed; the page then fetches itself again. Not
//! here: what changed.

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

use super::problem::Problem;
use crate::app::{App, WatcherGuard};
use crate::store::batches;
use crate::store::{self, Db, exports, imports};

/// How long one stream lives. The browser reconnects by itself, and a shutdown never waits for a stream.
const STREAM_LIFE: Duration = Duration::from_secs(20);

/// The minimum interval between two events: a page need not be fetched for each of a thousand payments.
const PACE: Duration = Duration::from_millis(700);

/// How often to check for changes by other processes.
const ELSEWHERE: Duration = Duration::from_secs(3);

/// How many streams one person may have open: enough for many tabs, but not all connections.
const STREAMS: usize = 24;

/// What a live page has already seen.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamParams {
    /// The change number that the page has seen.
    pub seen: Option<i64>,
}

/// What a live page shows.
#[derive(Clone, Debug)]
pub enum LiveSubject {
    Batch(BatchId),
    /// An import, by its number.
    Import(String),
    /// An export, by its number.
    Export(i64),
}

impl LiveSubject {
    /// A number that increases with every change, by any process; and whether no more changes will come.
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

/// Streams changes since the last one seen: from `Last-Event-ID` of a reconnecting browser, or else from the page. Changes
/// between the page load and the stream are sent at once. If nothing is in progress and there is nothing new, 204 tells the
/// browser not to reconnect.
///
/// # Errors
/// If the database fails, or this person has too many streams open.
pub async fn watching(
    app: App,
    who: PersonId,
    of: LiveSubject,
    params: &StreamParams,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let seen: Option<i64> = last.or(params.seen);
    let (number, at_rest) = of.now(&mut app.store.read().await?).await?;
    if at_rest && seen == Some(number) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let Some(admitted) = app.nudge.watchers.admit(who, STREAMS) else {
        let message = "You have many live pages open, so this one does not follow by itself. Close some, then reload it.";
        return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "slow_down", message).retry_after(60));
    };
    let changed = app.nudge.changed.subscribe();
    let watch = ChangeStream { changed, app, of, last_sent: None, seen, _admitted: admitted };
    let stream = unfold(watch, ChangeStream::next).take_until(tokio::time::sleep(STREAM_LIFE));
    // Otherwise nginx would buffer events.
    let at_once = [(HeaderName::from_static("x-accel-buffering"), "no")];
    Ok((at_once, Sse::new(stream).keep_alive(KeepAlive::default())).into_response())
}

/// One stream of change numbers.
struct ChangeStream {
    app: App,
    changed: watch::Receiver<u64>,
    of: LiveSubject,
    last_sent: Option<i64>,
    /// What the page has seen, sent first; the next number then tells the page that it must reload.
    seen: Option<i64>,
    _admitted: WatcherGuard,
}

impl ChangeStream {
    /// The next number: first what the page has seen, then the current one, then each new one, at a limited pace. If the
    /// database fails the stream ends, and the browser reconnects by itself.
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        let number = match self.seen.take() {
            Some(seen) => seen,
            None => self.another().await?,
        };
        self.last_sent = Some(number);
        let event = Event::default().id(number.to_string()).event("changed");
        Some((Ok(event.retry(Duration::from_secs(1)).data(number.to_string())), self))
    }

    async fn another(&mut self) -> Option<i64> {
        loop {
            self.changed.borrow_and_update();
            let mut db = self.app.store.read().await.ok()?;
            let (number, _) = self.of.now(&mut db).await.ok()?;
            drop(db);
            if self.last_sent != Some(number) {
                return Some(number);
            }
            tokio::time::sleep(PACE).await;
            // Another process may have changed it, and its changes trigger no notification here.
            let rung = tokio::time::timeout(ELSEWHERE, self.changed.changed()).await;
            if matches!(rung, Ok(Err(_))) {
                return None;
            }
        }
    }
}
