//! What a simulation knows of itself and no database holds: where it said that people are paid, when it put the program into
//! safe mode, how wrong its clocks were, how long a process stood still, and what went wrong on the way. What is
//! deliberately not here: what must hold of it (`invariants`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use simulator::Books;

use crate::world::SECOND;

/// How much later than it was decided a request may reach a vendor, where nothing was done to clocks and processes.
pub const ON_ITS_WAY: i64 = 5 * SECOND;

/// Where somebody is paid from a moment on, by the vendors' clock.
#[derive(Clone, Debug)]
pub struct Aim {
    pub at: i64,
    pub payee: String,
    pub address: String,
}

/// What was lost when the database was put back.
#[derive(Clone, Debug, Default)]
pub struct Lost {
    /// From when on, by the vendors' clock.
    pub since: i64,
    /// When it was put back.
    pub at: i64,
    /// Payment and reward, as they were before.
    pub covered: Vec<(String, String)>,
    pub payees: Vec<(String, String)>,
    /// How many requests for money had reached another account of a vendor.
    pub elsewhere: usize,
}

impl Lost {
    /// The payments that it knew.
    pub fn payments(&self) -> impl Iterator<Item = &String> {
        self.payees.iter().map(|(payment, _)| payment)
    }

    /// Those of them of which nothing is out by now.
    pub fn over(&self, books: &Books) -> BTreeSet<String> {
        let out = |id: &&String| {
            books.flows(id).iter().map(|flow| flow.left_minor - flow.returned_minor).sum::<i64>() > 0
        };
        self.payments().filter(|id| !out(id)).cloned().collect()
    }

    /// Whether this moment is in the time of which nothing is known any more.
    pub fn within(&self, at: i64) -> bool {
        self.since < at && at <= self.at
    }
}

#[derive(Default)]
pub struct Memory(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    aims: Vec<Aim>,
    safe: Vec<(i64, i64)>,
    most_off: i64,
    asleep_since: Option<i64>,
    longest_sleep: i64,
    saw: Vec<String>,
    lost: Option<Lost>,
}

impl Memory {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on somebody is paid there.
    pub fn aimed(&self, at: i64, payee: String, address: String) {
        self.kept().aims.push(Aim { at, payee, address });
    }

    /// Safe mode is on from now, or off.
    pub fn safe_mode(&self, at: i64, on: bool) {
        let mut kept = self.kept();
        match (on, kept.safe.last_mut()) {
            (true, Some((_, i64::MAX))) => {}
            (true, _) => kept.safe.push((at, i64::MAX)),
            (false, Some((_, until))) => *until = at.min(*until),
            (false, None) => {}
        }
    }

    /// A clock is off by so much.
    pub fn off_by(&self, us: i64) {
        let mut kept = self.kept();
        kept.most_off = kept.most_off.max(us.abs());
    }

    pub fn fell_asleep(&self, at: i64) {
        let mut kept = self.kept();
        kept.asleep_since = kept.asleep_since.or(Some(at));
    }

    /// Some of those who stood still go on; whether some do not.
    pub fn woke(&self, at: i64, all: bool) {
        let mut kept = self.kept();
        if let Some(since) = kept.asleep_since {
            kept.longest_sleep = kept.longest_sleep.max(at - since);
        }
        if all {
            kept.asleep_since = None;
        }
    }

    /// Something that must not be, seen at the moment at which it was.
    pub fn saw(&self, what: String) {
        self.kept().saw.push(what);
    }

    /// What was seen on the way.
    pub fn told(&self) -> Vec<String> {
        self.kept().saw.clone()
    }

    /// The database is put back, as it was when so many aims were known.
    pub fn went_back(&self, lost: Lost, aims: usize) {
        let mut kept = self.kept();
        // Whoever changed since where they are paid is paid again where they were.
        let mut stood: BTreeMap<String, String> = BTreeMap::new();
        for aim in kept.aims.iter().take(aims) {
            stood.insert(aim.payee.clone(), aim.address.clone());
        }
        let again = stood.into_iter().map(|(payee, address)| Aim { at: lost.at, payee, address });
        kept.aims.extend(again);
        kept.lost = Some(lost);
    }

    /// What was lost then; nothing, where it was never put back.
    pub fn lost(&self) -> Lost {
        self.kept().lost.clone().unwrap_or_default()
    }

    /// Where people were paid, oldest first.
    pub fn aims(&self) -> Vec<Aim> {
        self.kept().aims.clone()
    }

    /// From when until when safe mode was on.
    pub fn safe(&self) -> Vec<(i64, i64)> {
        self.kept().safe.clone()
    }

    /// How much later than it was decided a request may reach a vendor, by all that was done to clocks and processes.
    pub fn latitude(&self) -> i64 {
        let kept = self.kept();
        ON_ITS_WAY + 2 * kept.most_off + kept.longest_sleep
    }
}
