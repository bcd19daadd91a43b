//! Concurrency in a scenario: `together SIDE | SIDE … turns N`, where N seeds the interleaving. Not here: how steps
//! take turns (`turns`).

use std::collections::{BTreeMap, BTreeSet};

use bursar::work::{self, Work};

use super::plot::span;
use super::{Outcome, Stage, commands};
use crate::turns::{self, End, Fate, Side};
use crate::world::{self, Loop, SECOND, World, wire};

/// How long a process may stall before it is woken: whatever it holds would be long outdated.
const LONGEST_SLEEP: i64 = 600 * SECOND;

impl Stage {
    /// Runs all sides; a second passes first.
    pub(super) async fn together(&mut self, words: &[&str]) -> Outcome {
        let (sides, turns) = match words {
            [sides @ .., "turns", number] => (sides, number.parse().map_err(|_| "which number?")?),
            _ => return Err("whose turns?".to_owned()),
        };
        self.world.pass(SECOND);
        let (mut playing, mut whose) = (Vec::new(), Vec::new());
        for words in sides.split(|word| *word == "|") {
            if !words.starts_with(&["wake"]) {
                let worker = words.iter().position(|word| *word == "on").and_then(|at| words.get(at + 1));
                let worker =
                    worker.and_then(|word| word.parse::<usize>().ok()).map_or(0, |number| number - 1);
                self.rouse(|one| one == worker).await;
            }
            let (side, worker) = self.side(words).await?;
            if let Some(side) = side {
                playing.push(side);
                whose.push((worker, words.join(" ")));
            }
        }
        let (ends, mut died) = (turns::together(playing, turns).await, BTreeSet::new());
        for (end, (worker, words)) in ends.into_iter().zip(whose) {
            let message = match end {
                End::Done(message) => message,
                End::Died => {
                    // Its earlier stalled work dies with it.
                    self.asleep.remove(&worker);
                    died.insert(worker);
                    "died".to_owned()
                }
                End::Asleep(side) => {
                    self.world.memory.fell_asleep(self.world.vendors_now());
                    self.asleep.entry(worker).or_default().push(side);
                    "fell asleep".to_owned()
                }
            };
            self.log.push(format!("  {words}: {message}"));
            if message.contains("failed") && !words.contains("errs") {
                return Err(format!("{words}: {message}"));
            }
        }
        for worker in died {
            self.world.replace(worker).await;
        }
        Ok(())
    }

    /// Wakes and finishes all stalled work, and corrects every clock.
    pub(super) async fn healed(&mut self) {
        self.rouse(|_| true).await;
        self.world.set_clocks_right();
    }

    /// A stalled process does nothing else, so its stalled work is finished first.
    pub(super) async fn rouse(&mut self, which: impl Fn(usize) -> bool) {
        let (woken, asleep): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(&mut self.asleep).into_iter().partition(|(worker, _)| which(*worker));
        self.asleep = asleep;
        let sleeping: Vec<Side> = woken.into_values().flatten().collect();
        self.world.memory.woke(self.world.vendors_now(), self.asleep.is_empty());
        sleeping.iter().for_each(Side::wake);
        if !sleeping.is_empty() {
            turns::together(sleeping, 0).await;
        }
    }

    /// Does that before a line, depending on the line. A short time may pass during a stall.
    pub(super) async fn rouse_for(&mut self, first: &str, rest: &[&str]) {
        let short = match rest {
            [count, unit] => span(count, unit).is_ok_and(|us| us <= LONGEST_SLEEP),
            _ => false,
        };
        if let ("maybe", [first, rest @ ..]) = (first, rest) {
            return Box::pin(self.rouse_for(first, rest)).await;
        }
        match (first, rest) {
            ("together", _) => {}
            // Lines about vendors and their clocks.
            ("vendor" | "balance" | "mend" | "drain" | "reverse" | "daily" | "close-bank", _) => {}
            ("disconnect" | "write-over" | "fees" | "items" | "lists" | "pages" | "clock", _) => {}
            ("later" | "live", _) if short => {}
            ("later" | "live" | "die" | "processes", _) => self.rouse(|_| true).await,
            ("tick", [_, "by", worker]) => {
                let worker = worker.parse::<usize>().map_or(0, |number| number.saturating_sub(1));
                self.rouse(|one| one == worker).await;
            }
            ("tick", [_, "together"]) => self.rouse(|_| true).await,
            _ => self.rouse(|worker| worker == 0).await,
        }
    }

    /// Parses one side: its action, worker and fate.
    async fn side(&mut self, words: &[&str]) -> Result<(Option<Side>, usize), String> {
        let (words, fate) = match words {
            [rest @ .., "dies", at] => (rest, Fate::Dies(count(at)?)),
            [rest @ .., "sleeps", at] => (rest, Fate::Sleeps(count(at)?)),
            [rest @ .., "errs", at] => (rest, Fate::Errs(count(at)?)),
            rest => (rest, Fate::Goes),
        };
        let (words, worker) = match words {
            [rest @ .., "on", worker] => (rest, count(worker)? as usize - 1),
            rest => (rest, 0),
        };
        if worker >= self.world.works.len() {
            return Ok((None, worker));
        }
        let side = match words {
            ["loops"] => Some(Side::new(worker, fate, loops(self.world.works[worker].clone()))),
            ["wake"] => {
                let mut sleeping = self.asleep.remove(&worker).unwrap_or_default();
                let first = (!sleeping.is_empty()).then(|| sleeping.remove(0));
                if !sleeping.is_empty() {
                    self.asleep.insert(worker, sleeping);
                }
                self.world.memory.woke(self.world.vendors_now(), self.asleep.is_empty());
                first.inspect(Side::wake)
            }
            ["loop", which] => {
                let which = named(which)?;
                Some(Side::new(worker, fate, one(self.world.works[worker].clone(), which)))
            }
            ["deliver"] => Some(Side::new(worker, fate, deliveries(&self.world, worker))),
            [command, of @ ..] => {
                // The command may have no target yet.
                match commands::side(&self.world, &self.cast, worker, command, of).await {
                    Ok(doing) => Some(Side::new(worker, fate, doing)),
                    Err(message) => {
                        self.log.push(format!("  {}: {message}", words.join(" ")));
                        None
                    }
                }
            }
            [] => return Err("what is done?".to_owned()),
        };
        Ok((side, worker))
    }
}

fn count(word: &str) -> Result<u32, String> {
    word.parse::<u32>().ok().filter(|count| *count > 0).ok_or(format!("{word} is no number"))
}

fn named(which: &str) -> Result<Loop, String> {
    Ok(match which {
        "dispatch" => Loop::Dispatch,
        "intake" => Loop::Intake,
        "settle" => Loop::Settle,
        "reconcile" => Loop::Reconcile,
        "notify" => Loop::Notify,
        _ => return Err(format!("there is no loop {which}")),
    })
}

/// Runs every loop of a process until nothing is due.
async fn loops(work: Work) -> String {
    if let Err(error) = work::heartbeat(&work, work.app.clock.now()).await {
        return format!("the beat failed: {error:?}");
    }
    world::tick_all(&work).await.map_or_else(|told| told, |done| format!("{done} steps"))
}

async fn one(work: Work, which: Loop) -> String {
    world::tick(&work, which).await.map_or_else(|told| told, |done| format!("{done} steps"))
}

/// Delivers the due webhooks to a process.
fn deliveries(world: &World, worker: usize) -> impl Future<Output = String> + Send + 'static {
    let (simulator, router, base) =
        (world.simulator.clone(), world.router(worker), world.app.base_url.clone());
    async move {
        let (now, mut taken) = (simulator.time(), 0);
        for delivery in simulator.due_webhooks(now) {
            turns::point().await;
            let status = turns::quietly(wire::post(router.clone(), &base, &delivery)).await;
            simulator.delivered(delivery.id, status, now);
            taken += usize::from(status == 200);
        }
        format!("{taken} taken")
    }
}
