//! Time and the loops in a scenario, and the plot so far, shown when a scenario fails.

use std::collections::BTreeMap;
use std::time::Duration;

use bursar::store::transactions::{self, Filter};
use bursar::work::CrashPoint;

use super::{Outcome, Stage, quick};
use crate::world::{DAY, Loop, SECOND, World, check, dispatching};

/// How many requests, webhooks and timeline entries a failure shows.
const SHOWN: usize = 16;
/// The longest step by which `live` advances the clock.
const LONGEST_STEP: i64 = 6 * 3_600 * SECOND;

impl Stage {
    pub async fn time(&mut self, first: &str, rest: &[&str]) -> Outcome {
        match (first, rest) {
            ("workers", [count]) => {
                self.world.employ(count.parse().map_err(|_| "how many?")?).await;
            }
            ("processes", [count, ..]) => {
                self.world.employ(count.parse().map_err(|_| "how many?")?).await;
            }
            ("later", [count, unit]) => self.world.pass(span(count, unit)?),
            // Stripe's payout schedules run at midnight.
            ("live", ["past", "midnight"]) => {
                let day = self.world.vendors_now().rem_euclid(DAY);
                self.live(DAY - day + 600 * SECOND).await?;
            }
            ("live", [count, unit]) => self.live(span(count, unit)?).await?,
            ("quiet", [count, unit]) => return self.quiet(span(count, unit)?).await,
            ("together", sides) => self.together(sides).await?,
            ("deliver", []) => {
                self.world.deliver().await;
            }
            ("die", [from, "and", to]) | ("die", ["between", from, "and", to]) => {
                let point = match (*from, *to) {
                    ("commit", "send") => CrashPoint::BetweenCommitAndSend,
                    ("send", "record") => CrashPoint::BetweenSendAndRecord,
                    ("lease", "begin") => CrashPoint::BetweenLeaseAndBegin,
                    ("begin", "send") => CrashPoint::BetweenBeginAndSend,
                    _ => return Err("between which two?".to_owned()),
                };
                self.world.works[0].crash_at(point);
                self.world.pass(SECOND);
                self.world.tick(0, Loop::Dispatch).await;
                self.world.replace(0).await;
            }
            ("start", ["dispatch", "by", worker]) => {
                self.asked = asked(&self.world);
                let work = self.world.works[number(worker)? - 1].clone();
                self.world.pass(SECOND);
                let now = self.world.now();
                self.running.push(tokio::spawn(async move {
                    dispatching(&work, now).await.unwrap();
                }));
            }
            ("asked", []) => {
                let began = tokio::time::Instant::now();
                while asked(&self.world) == self.asked {
                    if began.elapsed() > Duration::from_secs(60) {
                        return Err("no vendor was asked anything".to_owned());
                    }
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
            ("rest", [millis]) => tokio::time::sleep(Duration::from_millis(number(millis)? as u64)).await,
            ("finish", []) => {
                for running in self.running.drain(..) {
                    running.await.map_err(|error| format!("what was started failed: {error}"))?;
                }
            }
            ("tick", [which, how @ ..]) => return self.tick(which, how).await,
            _ => return Err("this line cannot be read".to_owned()),
        }
        Ok(())
    }

    /// The steps of `live` grow, so they do not reveal constant polling.
    async fn quiet(&self, us: i64) -> Outcome {
        let before = self.questions();
        for _ in 0..us / (10 * SECOND) {
            self.world.pass(10 * SECOND);
            self.world.deliver().await;
            self.world.tick_all(0).await;
        }
        match self.questions() {
            after if after == before => Ok(()),
            after => Err(format!("the vendors were asked: {before:?} before, {after:?} after")),
        }
    }

    /// The vendors' request counts for our objects. Excludes the regular polling of recent events.
    fn questions(&self) -> BTreeMap<String, u64> {
        let mut questions = self.world.simulator.books().questions;
        questions.retain(|what, _| !what.ends_with("/v1/events"));
        questions
    }

    pub(super) async fn live(&self, us: i64) -> Outcome {
        match &self.outside {
            Some(outside) => {
                let awake = |worker: &usize| !self.asleep.contains_key(worker);
                let awake: Vec<usize> = (0..self.world.works.len()).filter(awake).collect();
                quick::live(&self.world, &awake, outside, us).await
            }
            None => {
                live(&self.world, us).await;
                Ok(())
            }
        }
    }

    async fn tick(&mut self, which: &str, how: &[&str]) -> Outcome {
        let which = match which {
            "dispatch" => Some(Loop::Dispatch),
            "intake" => Some(Loop::Intake),
            "settle" => Some(Loop::Settle),
            "reconcile" => Some(Loop::Reconcile),
            "notify" => Some(Loop::Notify),
            "all" => None,
            _ => return Err(format!("there is no loop {which}")),
        };
        let workers: Vec<usize> = match how {
            [] => vec![0],
            ["by", worker] => vec![number(worker)? - 1],
            ["together"] => (0..self.world.works.len()).collect(),
            _ => return Err("by whom?".to_owned()),
        };
        self.world.pass(SECOND);
        let world = &self.world;
        let ticks = workers.into_iter().map(|worker| async move {
            match which {
                Some(which) => world.tick(worker, which).await,
                None => world.tick_all(worker).await,
            }
        });
        futures::future::join_all(ticks).await;
        Ok(())
    }
}

/// Advances time in steps that grow from a second to a quarter of a day, because most things of interest happen early.
pub async fn live(world: &World, us: i64) {
    let (mut left, mut step) = (us, SECOND);
    while left > 0 {
        world.pass(step.min(left));
        left -= step;
        step = (step * 3 / 2).min(LONGEST_STEP);
        world.deliver().await;
        world.tick_all(0).await;
    }
}

/// The number of requests the vendors received.
fn asked(world: &World) -> u64 {
    world.simulator.books().questions.values().sum()
}

fn number(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| format!("{text} is no number"))
}

/// Parses `3 days` into microseconds.
pub fn span(count: &str, unit: &str) -> Result<i64, String> {
    let count: i64 = count.parse().map_err(|_| format!("{count} is no number"))?;
    let unit = match unit.trim_end_matches('s') {
        "second" => SECOND,
        "minute" => 60 * SECOND,
        "hour" => 3_600 * SECOND,
        "day" => DAY,
        _ => return Err(format!("{unit} is no unit of time")),
    };
    Ok(count * unit)
}

/// Every transaction with its timeline, and the vendors' view of it.
pub async fn of(world: &World) -> String {
    let books = world.simulator.books();
    let mut db = world.app.store.read().await.unwrap();
    let mut all = transactions::list(&mut db, &Filter::default(), 20).await.unwrap();
    all.sort_by_key(|one| one.number);
    let mut message = String::new();
    for one in all {
        message += &format!(
            "\n{} {} {} {} {:?} {:?}\n",
            one.label(),
            one.terms.vendor.as_str(),
            one.terms.net,
            one.state.as_str(),
            one.reason,
            check::Flow::of(&one, &books)
        );
        let lines = transactions::timeline(&mut db, one.id).await.unwrap();
        for line in lines.iter().skip(lines.len().saturating_sub(SHOWN)) {
            let at = bursar::clock::rfc3339(line.at);
            message += &format!(
                "    {at} {} {} {}\n",
                line.source,
                line.effect,
                line.detail.as_deref().unwrap_or("")
            );
        }
    }
    let requests = books.requests.len().saturating_sub(SHOWN);
    for request in &books.requests[requests..] {
        let key = request.key.as_deref().unwrap_or("-");
        message += &format!("  request {} {key} executed={}\n", request.path, request.executed);
    }
    let webhooks = books.webhooks.len().saturating_sub(SHOWN);
    for webhook in &books.webhooks[webhooks..] {
        message += &format!("  webhook {} answered {}\n", webhook.event_type, webhook.answered);
    }
    message
}
