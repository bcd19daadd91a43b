//! Request rate limits per login and API key: a token bucket for each, so that a faulty program or a stolen key cannot take
//! the database from everyone else. A key that was not accepted recently counts against its network, before it is looked up.
//! Not here: sign-in (`login_limit`), webhooks and health checks, which identify no client, and expensive work (`work_limit`).

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, PoisonError};

use super::client::Network;
use super::login_limit::{Buckets, Rule, Wait};

const MINUTE_US: i64 = 60_000_000;
/// The extra allowance of each session once its login has used up its bucket: a session that floods cannot keep its owner
/// from ending it in another.
const OF_A_SESSION: Rule = Rule { at_once: 20, then_every_us: 3_000_000 };

/// The maximum number of accepted keys to remember.
const MOST_KNOWN: usize = 1 << 13;

pub struct Requests {
    /// `None` if requests are not limited.
    rule: Option<Rule>,
    hasher: RandomState,
    buckets: Mutex<Buckets>,
    /// Clients that were not accepted, separate from those that were.
    strangers: Mutex<Buckets>,
    /// When each key was last accepted.
    known: Mutex<HashMap<u64, i64>>,
}

impl Requests {
    /// A limit per minute, which may all be used at once; 0 for no limit.
    pub fn of(per_minute: u32) -> Self {
        let at_once = i64::from(per_minute);
        let rule = (at_once > 0).then(|| Rule { at_once, then_every_us: MINUTE_US / at_once });
        Self {
            rule,
            hasher: RandomState::new(),
            buckets: Mutex::default(),
            strangers: Mutex::default(),
            known: Mutex::default(),
        }
    }

    /// Whether a key may be looked up. A recently accepted one may; all others from a network share the rate of a single key.
    ///
    /// # Errors
    /// How long to wait.
    pub fn check_unknown_key(&self, key: &str, network: Option<Network>, now: i64) -> Result<(), Wait> {
        let Some(rule) = self.rule else { return Ok(()) };
        if self.known.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&self.of_key(key)) {
            return Ok(());
        }
        // Behind an unconfigured proxy on this machine, one counter would cover everyone.
        let Some(network) = network else { return Ok(()) };
        let mut strangers = self.strangers.lock().unwrap_or_else(PoisonError::into_inner);
        // First the network's own count, so that one network cannot use up its whole site's.
        strangers.take(self.hasher.hash_one(("network", network)), rule, now)?;
        if let Some(site) = network.site() {
            let of_site = Rule { at_once: rule.at_once * 4, then_every_us: rule.then_every_us / 4 };
            strangers.take(self.hasher.hash_one(("site", site)), of_site, now)?;
        }
        Ok(())
    }

    /// Records whether a key was accepted.
    pub fn seen(&self, key: &str, came_in: bool, now: i64) {
        let key = self.of_key(key);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if !came_in {
            known.remove(&key);
            return;
        }
        if known.len() >= MOST_KNOWN && !known.contains_key(&key) {
            let mut all: Vec<i64> = known.values().copied().collect();
            let (_, middle, _) = all.select_nth_unstable(MOST_KNOWN / 2);
            let middle = *middle;
            known.retain(|_, at| *at > middle);
        }
        known.insert(key, now);
    }

    fn of_key(&self, key: &str) -> u64 {
        self.hasher.hash_one(("key", key))
    }

    /// Whether a login or an API key may send another request. `session` is the one it comes from, for a person.
    ///
    /// # Errors
    /// How long to wait.
    pub fn ask(&self, whose: &str, session: Option<&str>, now: i64) -> Result<(), Wait> {
        let Some(rule) = self.rule else { return Ok(()) };
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let used_up = match buckets.take(self.hasher.hash_one(("login", whose)), rule, now) {
            Ok(()) => return Ok(()),
            Err(wait) => wait,
        };
        let Some(session) = session else { return Err(used_up) };
        let own = buckets.take(self.hasher.hash_one(("session", session)), OF_A_SESSION, now);
        own.map_err(|wait| Wait(wait.0.min(used_up.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_sends_its_minute_at_once_and_then_evenly() {
        let requests = Requests::of(1_200);
        let sent = |now| (0..5_000).filter(|_| requests.ask("key", None, now).is_ok()).count();
        assert_eq!(sent(0), 1_200);
        assert_eq!(requests.ask("key", None, 0), Err(Wait(1)));
        assert_eq!(sent(1_000_000), 20);
        assert_eq!(sent(3_600_000_000), 1_200, "never more than a minute of them");
        requests.ask("another", None, 0).unwrap();
    }

    #[test]
    fn another_session_of_the_same_login_is_not_kept_out() {
        let requests = Requests::of(60);
        for _ in 0..1_000 {
            let _ = requests.ask("kim", Some("stolen"), 0);
        }
        assert!(requests.ask("kim", Some("stolen"), 0).is_err());
        let own = (0..100).filter(|_| requests.ask("kim", Some("own"), 0).is_ok()).count();
        assert_eq!(own, 20);
    }

    #[test]
    fn keys_that_never_came_in_share_what_one_may_ask() {
        let requests = Requests::of(60);
        let network = |last| Some(Network::of(std::net::Ipv4Addr::new(203, 0, last, 9).into()));
        requests.check_unknown_key("ours", network(1), 0).unwrap();
        requests.seen("ours", true, 0);
        let others =
            (0..1_000).filter(|one| requests.check_unknown_key(&format!("brs_{one}"), network(1), 0).is_ok());
        assert_eq!(others.count(), 59);
        assert!(requests.check_unknown_key("ours", network(1), 0).is_ok(), "one that came in is looked for");
        assert!(requests.check_unknown_key("brs_1", network(2), 0).is_ok(), "another network");
        requests.seen("ours", false, 0);
        assert!(requests.check_unknown_key("ours", network(1), 0).is_err(), "it came in no more");
        let unplaced =
            (0..1_000).filter(|one| requests.check_unknown_key(&format!("brs_{one}"), None, 0).is_ok());
        assert_eq!(unplaced.count(), 1_000, "one count would keep out everybody behind an unnamed proxy");
        // A client with many networks of one site has four times the limit.
        let within =
            |part: u16| Some(Network::of(std::net::Ipv6Addr::new(0x2001, 0xdb8, 1, part, 0, 0, 0, 1).into()));
        let of_site = (0..1_000).filter(|part| requests.check_unknown_key("brs_1", within(*part), 0).is_ok());
        assert_eq!(of_site.count(), 240);
    }

    #[test]
    fn so_many_keys_are_remembered_and_no_more() {
        let requests = Requests::of(60);
        for number in 0..3 * MOST_KNOWN {
            requests.seen(&number.to_string(), true, i64::try_from(number).unwrap());
        }
        let known = requests.known.lock().unwrap();
        assert!(
            known.len() <= MOST_KNOWN
                && known.contains_key(&requests.of_key(&(3 * MOST_KNOWN - 1).to_string()))
        );
    }

    #[test]
    fn where_it_is_0_nobody_counts() {
        let requests = Requests::of(0);
        assert!((0..10_000).all(|_| requests.check_unknown_key("brs_1", None, 0).is_ok()));
        assert!((0..100_000).all(|_| requests.ask("key", None, 0).is_ok()));
    }
}
