//! Facts about a simulation that no database has: destinations it set, when it turned safe mode on, clock errors, how
//! long a process stalled, and problems seen along the way. Not here: what must hold (`invariants`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use simulator::Books;

use crate::world::SECOND;

/// How long after its decision a request may reach a vendor when clocks and processes are undisturbed.
pub const ON_ITS_WAY: i64 = 5 * SECOND;

/// A payee's destination from a moment on, by the vendors' clock.
#[derive(Clone, Debug)]
pub struct Aim {
    pub at: i64,
    pub payee: String,
    pub address: String,
}

/// What was lost in a restore.
#[derive(Clone, Debug, Default)]
pub struct Lost {
    /// The start of the lost period, by the vendors' clock.
    pub since: i64,
    /// When the database was restored.
    pub at: i64,
    /// Payment and reward, as they were before.
    pub covered: Vec<(String, String)>,
    pub payees: Vec<(String, String)>,
    /// The number of payment requests that had reached another vendor account.
    pub elsewhere: usize,
}

impl Lost {
    /// The payments that the lost database knew.
    pub fn payments(&self) -> impl Iterator<Item = &String> {
        self.payees.iter().map(|(payment, _)| payment)
    }

    /// Those of them with no money out by now.
    pub fn over(&self, books: &Books) -> BTreeSet<String> {
        let out = |id: &&String| {
            books.flows(id).iter().map(|flow| flow.left_minor - flow.returned_minor).sum::<i64>() > 0
        };
        self.payments().filter(|id| !out(id)).cloned().collect()
    }

    /// Whether this moment is in the lost period.
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

    /// Records a payee's new destination.
    pub fn aimed(&self, at: i64, payee: String, address: String) {
        self.kept().aims.push(Aim { at, payee, address });
    }

    /// Records that safe mode was turned on or off.
    pub fn safe_mode(&self, at: i64, on: bool) {
        let mut kept = self.kept();
        match (on, kept.safe.last_mut()) {
            (true, Some((_, i64::MAX))) => {}
            (true, _) => kept.safe.push((at, i64::MAX)),
            (false, Some((_, until))) => *until = at.min(*until),
            (false, None) => {}
        }
    }

    /// Records how far off a clock is.
    pub fn off_by(&self, us: i64) {
        let mut kept = self.kept();
        kept.most_off = kept.most_off.max(us.abs());
    }

    pub fn fell_asleep(&self, at: i64) {
        let mut kept = self.kept();
        kept.asleep_since = kept.asleep_since.or(Some(at));
    }

    /// Records that stalled processes resumed, and whether all of them did.
    pub fn woke(&self, at: i64, all: bool) {
        let mut kept = self.kept();
        if let Some(since) = kept.asleep_since {
            kept.longest_sleep = kept.longest_sleep.max(at - since);
        }
        if all {
            kept.asleep_since = None;
        }
    }

    /// Records a violation at the moment it was seen.
    pub fn saw(&self, what: String) {
        self.kept().saw.push(what);
    }

    /// The violations seen along the way.
    pub fn told(&self) -> Vec<String> {
        self.kept().saw.clone()
    }

    /// Records a restore to when `aims` destinations were known.
    pub fn went_back(&self, lost: Lost, aims: usize) {
        let mut kept = self.kept();
        // Destinations changed since then revert to the earlier ones.
        let mut stood: BTreeMap<String, String> = BTreeMap::new();
        for aim in kept.aims.iter().take(aims) {
            stood.insert(aim.payee.clone(), aim.address.clone());
        }
        let again = stood.into_iter().map(|(payee, address)| Aim { at: lost.at, payee, address });
        kept.aims.extend(again);
        kept.lost = Some(lost);
    }

    /// What was lost in the restore; empty if there was none.
    pub fn lost(&self) -> Lost {
        self.kept().lost.clone().unwrap_or_default()
    }

    /// All destinations set, oldest first.
    pub fn aims(&self) -> Vec<Aim> {
        self.kept().aims.clone()
    }

    /// The periods in which safe mode was on.
    pub fn safe(&self) -> Vec<(i64, i64)> {
        self.kept().safe.clone()
    }

    /// How long after its decision a request may reach a vendor, given all clock errors and stalls.
    pub fn latitude(&self) -> i64 {
        let kept = self.kept();
        ON_ITS_WAY + 2 * kept.most_off + kept.longest_sleep
    }
}
