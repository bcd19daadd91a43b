//! How often somebody may try a password: buckets that fill again with time, bounded in number, so that guessing is slow
//! and nobody who knows the password is kept out by those who guess. What is deliberately not here: how many slow hashes
//! are made at a time (`secrets::Hashing`), and who a request comes from (`kit::client`).

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use super::client::Network;

const SECOND_US: i64 = 1_000_000;
/// The most buckets that are kept of strangers; about half a megabyte.
const MOST_BUCKETS: usize = 1 << 14;

/// So many tries at once, and then one in so long.
#[derive(Clone, Copy)]
pub(super) struct Rule {
    pub(super) at_once: i64,
    pub(super) then_every_us: i64,
}

/// Everything that comes from one network, whatever it guesses at.
const OF_A_NETWORK: Rule = Rule { at_once: 60, then_every_us: SECOND_US };
/// One login from one network, or from a browser that has signed in to it before.
const OF_A_LOGIN_HERE: Rule = Rule { at_once: 10, then_every_us: 60 * SECOND_US };
/// Everything that comes from one site of IPv6, whichever of its many networks.
const OF_A_SITE: Rule = Rule { at_once: 240, then_every_us: SECOND_US / 4 };
/// One login from one site of IPv6, so that nobody uses up what a login has from everywhere by going through their networks.
const OF_A_LOGIN_AT_A_SITE: Rule = Rule { at_once: 20, then_every_us: 60 * SECOND_US };
/// One login from everywhere else together. Slow, and never shut: its owner waits seconds, not for good.
const OF_A_LOGIN: Rule = Rule { at_once: 50, then_every_us: 10 * SECOND_US };
/// Codes of one login's second factor, from everywhere else together: whoever tries one knows the password, and there are only
/// a million.
const OF_A_CODE: Rule = Rule { at_once: 20, then_every_us: 60 * SECOND_US };
/// Mails to one login that strangers may cause.
const OF_A_MAIL: Rule = Rule { at_once: 3, then_every_us: 1_200 * SECOND_US };
/// Proving again who one is, in one session.
const OF_A_SESSION: Rule = Rule { at_once: 10, then_every_us: 60 * SECOND_US };

/// Too many tries; how many seconds to wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wait(pub u32);

/// The tries there were. Cheap to clone.
#[derive(Clone, Default)]
pub struct Tries(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// Keyed, so that nobody outside can make two things fall into one bucket.
    hasher: RandomState,
    strangers: Mutex<Buckets>,
    /// Whoever has a session never shares room with those who have none.
    sessions: Mutex<Buckets>,
}

impl Tries {
    /// Whether somebody of this network may send a form to sign in. Asked before the form is read.
    ///
    /// # Errors
    /// How long to wait.
    pub fn knock(&self, network: Option<Network>, now: i64) -> Result<(), Wait> {
        let Some(network) = network else { return Ok(()) };
        if let Some(site) = network.site() {
            self.stranger(&("site", site), OF_A_SITE, now)?;
        }
        self.stranger(&("network", network), OF_A_NETWORK, now)
    }

    /// Whether somebody may try a password of this login. `known` are browsers that have signed in to it before: they have a
    /// bucket of their own, so that nobody elsewhere can use it up.
    ///
    /// # Errors
    /// How long to wait.
    pub fn sign_in(&self, email: &str, network: Option<Network>, known: bool, now: i64) -> Result<(), Wait> {
        self.of_a_login(("login", email), network, known, OF_A_LOGIN, now)
    }

    /// Whether somebody who knows the password of a person may try a code of their second factor; the rest as above.
    ///
    /// # Errors
    /// How long to wait.
    pub fn code(&self, person: &str, network: Option<Network>, known: bool, now: i64) -> Result<(), Wait> {
        self.of_a_login(("code", person), network, known, OF_A_CODE, now)
    }

    /// Whether somebody may ask for a link in the place of this login's forgotten password. Asked for addresses that nobody has
    /// as well, so that it tells nothing of them.
    ///
    /// # Errors
    /// How long to wait.
    pub fn forgotten(&self, email: &str, now: i64) -> Result<(), Wait> {
        self.stranger(&("forgotten", email), OF_A_MAIL, now)
    }

    fn of_a_login(
        &self,
        of: (&str, &str),
        network: Option<Network>,
        known: bool,
        from_everywhere: Rule,
        now: i64,
    ) -> Result<(), Wait> {
        // All of them together, so whoever gathers many marks of a known browser gains nothing by it; when it is used up, they
        // have what everybody has.
        if known && self.stranger(&("known", of), OF_A_LOGIN_HERE, now).is_ok() {
            return Ok(());
        }
        if let Some(network) = network {
            self.stranger(&(of, network), OF_A_LOGIN_HERE, now)?;
            if let Some(site) = network.site() {
                self.stranger(&(of, site), OF_A_LOGIN_AT_A_SITE, now)?;
            }
        }
        self.stranger(&of, from_everywhere, now)
    }

    /// Whether whoever holds a session may try its password.
    ///
    /// # Errors
    /// How long to wait.
    pub fn prove(&self, session: &str, now: i64) -> Result<(), Wait> {
        let key = self.0.hasher.hash_one(session);
        let mut buckets = self.0.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        buckets.take(key, OF_A_SESSION, now)
    }

    fn stranger(&self, of: &impl Hash, rule: Rule, now: i64) -> Result<(), Wait> {
        let key = self.0.hasher.hash_one(of);
        let mut buckets = self.0.strangers.lock().unwrap_or_else(PoisonError::into_inner);
        buckets.take(key, rule, now)
    }

    #[cfg(test)]
    fn kept(&self) -> usize {
        self.0.strangers.lock().unwrap().full_again.len()
    }
}

/// When each bucket will be full again; one that is full is forgotten.
#[derive(Default)]
pub(super) struct Buckets {
    full_again: HashMap<u64, i64>,
    swept_at: i64,
}

impl Buckets {
    pub(super) fn take(&mut self, key: u64, rule: Rule, now: i64) -> Result<(), Wait> {
        if (now - self.swept_at).abs() >= 60 * SECOND_US || self.full_again.len() >= MOST_BUCKETS {
            self.sweep(now);
        }
        // Nothing is emptier than empty: a clock that is put back makes nobody wait for what it was ahead.
        let empty = now.saturating_add(rule.then_every_us.saturating_mul(rule.at_once));
        let known = self.full_again.get(&key).copied();
        let full_again = known.unwrap_or(now).clamp(now, empty);
        if known.is_some_and(|known| known > empty) {
            self.full_again.insert(key, full_again);
        }
        let wait_us = full_again - now - rule.then_every_us * (rule.at_once - 1);
        if wait_us > 0 {
            let seconds = wait_us / SECOND_US + 1;
            return Err(Wait(u32::try_from(seconds).unwrap_or(u32::MAX)));
        }
        self.full_again.insert(key, full_again + rule.then_every_us);
        Ok(())
    }

    /// Drops what is full again; where that leaves too many, the half that is full again first.
    fn sweep(&mut self, now: i64) {
        self.swept_at = now;
        self.full_again.retain(|_, at| *at > now);
        if self.full_again.len() >= MOST_BUCKETS {
            let mut ends: Vec<i64> = self.full_again.values().copied().collect();
            let (_, middle, _) = ends.select_nth_unstable(MOST_BUCKETS / 2);
            let middle = *middle;
            self.full_again.retain(|_, at| *at > middle);
        }
        self.full_again.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(number: u8) -> Option<Network> {
        Some(Network::of([203, 0, number, 7].into()))
    }

    #[test]
    fn guessing_at_a_login_does_not_keep_its_owner_out() {
        let (tries, now) = (Tries::default(), 1_000 * SECOND_US);
        for _ in 0..10 {
            tries.sign_in("ana", network(1), false, now).unwrap();
        }
        assert_eq!(
            tries.sign_in("ana", network(1), false, now),
            Err(Wait(61)),
            "ten tries, then one a minute"
        );
        tries.sign_in("ana", network(2), false, now).unwrap();
        tries.sign_in("ana", network(1), false, now + 61 * SECOND_US).unwrap();

        (3..250).for_each(|number| {
            let _ = tries.sign_in("ana", network(number), false, now);
        });
        let Err(Wait(seconds)) = tries.sign_in("ana", network(250), false, now) else {
            panic!("a login has a bucket over all networks");
        };
        assert!(seconds <= 11, "{seconds}: slow, and never shut");
        tries.sign_in("ana", network(250), true, now).unwrap();
        tries.sign_in("ben", network(250), false, now).unwrap();
    }

    #[test]
    fn one_site_with_many_networks_does_not_use_up_what_a_login_has() {
        let (tries, now) = (Tries::default(), 1_000 * SECOND_US);
        let of = |site: u16, number: u16| {
            Some(Network::of(std::net::Ipv6Addr::new(0x2001, 0xdb8, site, number, 0, 0, 0, 7).into()))
        };
        let tried = (0..1_000).filter(|number| tries.sign_in("ana", of(1, *number), false, now).is_ok());
        assert_eq!(tried.count(), 20, "so many from one site, whichever of its networks they come from");
        for _ in 0..10 {
            tries.sign_in("ana", network(1), false, now).unwrap();
        }
        tries.sign_in("ana", of(2, 1), false, now).unwrap();
        let knocks = (0..1_000).filter(|number| tries.knock(of(1, *number), now).is_ok()).count();
        assert_eq!(knocks, 240);
    }

    #[test]
    fn proving_shares_nothing_with_strangers() {
        let (tries, now) = (Tries::default(), 0);
        for number in 0..100_000 {
            let _ = tries.sign_in(&number.to_string(), network(1), false, now);
            let _ = tries.knock(network(1), now);
        }
        for _ in 0..10 {
            tries.prove("session", now).unwrap();
        }
        assert_eq!(tries.prove("session", now), Err(Wait(61)));
        tries.prove("another", now).unwrap();
    }

    #[test]
    fn a_clock_that_is_put_back_shuts_nobody_out() {
        let (tries, day) = (Tries::default(), 86_400 * SECOND_US);
        tries.prove("session", 3 * day).unwrap();
        assert_eq!(tries.prove("session", day), Err(Wait(61)), "as if all were used up, and no longer");
        tries.prove("session", day + 61 * SECOND_US).unwrap();
    }

    #[test]
    fn buckets_are_few_and_forgotten() {
        let (tries, now) = (Tries::default(), 0);
        for number in 0..100_000 {
            let _ = tries.sign_in(&number.to_string(), None, false, now);
            assert!(tries.kept() <= MOST_BUCKETS);
        }
        tries.knock(network(1), now + 3_600 * SECOND_US).unwrap();
        assert_eq!(tries.kept(), 1, "full again, and dropped");
    }
}
