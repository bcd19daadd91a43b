//! What every verb, loop and face is given: the database, the clock, the configuration, the master key and the nudges.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use payout::access::Role;
use payout::ids::{PartnerId, PersonId};

use crate::clock::Clock;
use crate::config::Config;
use crate::pulse::Pulse;
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
    /// How people and vendors reach us, without a slash at the end.
    pub base_url: String,
    pub master_key: MasterKey,
    /// Wakes the loops when there is something to do; correctness never depends on it.
    pub nudge: Nudge,
}

/// A bell that several loops listen to: each of them wakes once, at once or the next time it would sleep.
#[derive(Default)]
pub struct Bell(watch::Sender<u64>);

impl Bell {
    /// Wakes every loop that listens.
    pub fn ring(&self) {
        self.0.send_modify(|rung| *rung = rung.wrapping_add(1));
    }

    /// Hears what is rung from now on.
    pub fn listen(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }
}

/// One bell per kind of loop.
#[derive(Default)]
pub struct Nudge {
    /// Something is to be sent.
    pub dispatch: Bell,
    pub intake: Bell,
    /// A vendor is to be asked.
    pub settle: Bell,
    /// Something is to be looked for.
    pub look_for: Bell,
    /// What vendors say of our balance is to be read.
    pub movements: Bell,
    pub sweep: Bell,
    /// Never rung: a beat is a measure of time.
    pub nodes: Bell,
    /// An export is to be made.
    pub exports: Bell,
    /// Something is to be mailed.
    pub notify: Bell,
    /// A file is to be checked or entered.
    pub imports: Bell,
    /// Rows of the audit trail wait to be chained.
    pub trail: Bell,
    /// When each loop last finished a pass.
    pub pulse: Pulse,
    /// Goes up when a vendor's credentials change.
    pub vendors_changed: std::sync::atomic::AtomicU64,
    /// Something people look at has changed.
    pub changed: watch::Sender<u64>,
    /// Who watches, and how often.
    pub watchers: Watchers,
}

/// The live pages that are open, by who watches.
#[derive(Default)]
pub struct Watchers(Arc<Mutex<HashMap<PersonId, usize>>>);

/// One of them, while it is held.
#[must_use]
pub struct Watching(Arc<Mutex<HashMap<PersonId, usize>>>, PersonId);

impl Watchers {
    /// Another live page of this person; `None` when they have so many already.
    pub fn admit(&self, who: PersonId, most: usize) -> Option<Watching> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(who).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Watching(self.0.clone(), who))
    }
}

impl Drop for Watching {
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
    /// Tells whoever watches a live page that something changed.
    pub fn tell_watchers(&self) {
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
    /// The partner they are, for the two partner roles.
    pub partner: Option<PartnerId>,
    /// May write, not only read (an API key's scope; people always may).
    pub may_write: bool,
    /// From where they ask: a page's address and browser, an API key, the command line.
    pub came_from: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_person_watches_so_much_and_nobody_else_is_kept_from_it() {
        let (watchers, ana, bo) = (Watchers::default(), PersonId::fresh(0, 1), PersonId::fresh(0, 2));
        let mut held: Vec<Watching> = (0..3).filter_map(|_| watchers.admit(ana, 3)).collect();
        assert_eq!(held.len(), 3);
        assert!(watchers.admit(ana, 3).is_none());
        assert!(watchers.admit(bo, 3).is_some());
        held.pop();
        assert!(watchers.admit(ana, 3).is_some());
        held.clear();
        assert!(watchers.0.lock().unwrap().is_empty());
    }
}
