//! Shared state for verbs, loops, pages and commands: the database, the clock, the configuration, the master key and
//! the nudges.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use payout::access::Role;
use payout::ids::{PartnerId, PersonId};

use crate::clock::Clock;
use crate::config::Config;
use crate::pulse::LoopHeartbeats;
use crate::secrets::MasterKey;
use crate::store::Store;

/// The running program. Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Inner>);

/// What [`App`] derefs to.
pub struct Inner {
    pub store: Store,
    pub clock: Clock,
    pub config: Config,
    /// The public base URL for people and vendors, without a trailing slash.
    pub base_url: String,
    pub master_key: MasterKey,
    /// Wakes the loops when there is something to do; correctness never depends on it.
    pub nudge: Nudge,
}

/// A notifier with several listening loops. Each loop wakes once per ring: immediately, or the next time it would
/// sleep.
#[derive(Default)]
pub struct Notifier(watch::Sender<u64>);

impl Notifier {
    pub fn notify(&self) {
        self.0.send_modify(|rung| *rung = rung.wrapping_add(1));
    }

    /// Subscribes to rings from now on.
    pub fn listen(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }
}

/// One notifier per kind of loop.
#[derive(Default)]
pub struct Nudge {
    /// There is something to send.
    pub dispatch: Notifier,
    pub intake: Notifier,
    /// A vendor must be asked about a payment.
    pub settle: Notifier,
    /// There is a request to look up.
    pub look_for: Notifier,
    /// Vendors' balance transactions must be read.
    pub movements: Notifier,
    pub sweep: Notifier,
    /// Never rung: heartbeats run on time alone.
    pub nodes: Notifier,
    /// There is an export to produce.
    pub exports: Notifier,
    pub notify: Notifier,
    /// A file must be checked or entered.
    pub imports: Notifier,
    /// Audit rows are waiting to be chained.
    pub trail: Notifier,
    /// When each loop last finished a pass.
    pub pulse: LoopHeartbeats,
    /// Incremented when a vendor's credentials change.
    pub vendors_changed: std::sync::atomic::AtomicU64,
    /// Signals that a live page has new data to show.
    pub changed: watch::Sender<u64>,
    /// The open live pages, counted per person.
    pub watchers: Watchers,
}

/// Counts the open live pages per person.
#[derive(Default)]
pub struct Watchers(Arc<Mutex<HashMap<PersonId, usize>>>);

/// One open live page. Dropping it frees the slot.
#[must_use]
pub struct WatcherGuard(Arc<Mutex<HashMap<PersonId, usize>>>, PersonId);

impl Watchers {
    /// Opens another live page for this person; `None` once they have `most` open.
    pub fn admit(&self, who: PersonId, most: usize) -> Option<WatcherGuard> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(who).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(WatcherGuard(self.0.clone(), who))
    }
}

impl Drop for WatcherGuard {
    fn drop(&mut self) {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.1);
            }
        }
    }
}

impl Nudge {
    /// Tells open live pages that something changed.
    pub fn notify_watchers(&self) {
        self.changed.send_modify(|count| *count += 1);
    }
}

impl std::ops::Deref for App {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl App {
    pub fn new(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }
}

#[derive(Clone, Debug)]
pub struct Actor {
    /// The person or API key.
    pub id: PersonId,
    /// The name shown in history.
    pub name: String,
    pub role: Role,
    /// The partner this login belongs to, for the two partner roles.
    pub partner: Option<PartnerId>,
    /// May write as well as read. An API key's scope decides; people always may.
    pub may_write: bool,
    /// The origin of the request: a page's address and browser, an API key, or the command line.
    pub came_from: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_person_watches_so_much_and_nobody_else_is_kept_from_it() {
        let (watchers, ana, bo) = (Watchers::default(), PersonId::fresh(0, 1), PersonId::fresh(0, 2));
        let mut held: Vec<WatcherGuard> = (0..3).filter_map(|_| watchers.admit(ana, 3)).collect();
        assert_eq!(held.len(), 3);
        assert!(watchers.admit(ana, 3).is_none());
        assert!(watchers.admit(bo, 3).is_some());
        held.pop();
        assert!(watchers.admit(ana, 3).is_some());
        held.clear();
        assert!(watchers.0.lock().unwrap().is_empty());
    }
}
