//! Rate limits for password attempts: token buckets, bounded in number, so that guessing is slow and does not lock out
//! the owner of a login. Each process counts for itself; what it allows for a login is then also counted for all nodes
//! together (`Web::tried`). Not here: how many slow hashes run at a time (`secrets::Hashing`), and where a request comes
//! from (`kit::client`).

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use super::client::Network;

const SECOND_US: i64 = 1_000_000;
/// The most buckets for unauthenticated clients; about half a megabyte.
const MOST_BUCKETS: usize = 1 << 14;

/// The size of a burst, and the refill interval.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Rule {
    pub(super) at_once: i64,
    pub(super) then_every_us: i64,
}

/// Everything from one network, whichever login it tries.
const OF_A_NETWORK: Rule = Rule { at_once: 60, then_every_us: SECOND_US };
/// One login from one network, or from a browser that has signed in to it before.
const OF_A_LOGIN_HERE: Rule = Rule { at_once: 10, then_every_us: 60 * SECOND_US };
/// Everything from one IPv6 site, across its networks.
const OF_A_SITE: Rule = Rule { at_once: 240, then_every_us: SECOND_US / 4 };
/// One login from one IPv6 site, so that nobody can exhaust the login's global bucket by rotating through networks.
const OF_A_LOGIN_AT_A_SITE: Rule = Rule { at_once: 20, then_every_us: 60 * SECOND_US };
/// One login from everywhere else. Slow, but never closed: its owner waits seconds.
const OF_A_LOGIN: Rule = Rule { at_once: 50, then_every_us: 10 * SECOND_US };
/// Second factor codes of one login from everywhere else: somebody who tries one knows the password, and there are only a
/// million codes.
const OF_A_CODE: Rule = Rule { at_once: 20, then_every_us: 60 * SECOND_US };
/// Mails to one login that strangers can trigger.
const OF_A_MAIL: Rule = Rule { at_once: 3, then_every_us: 1_200 * SECOND_US };
/// Step-up attempts in one session.
const OF_A_SESSION: Rule = Rule { at_once: 10, then_every_us: 60 * SECOND_US };

/// Too many attempts; how many seconds to wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wait(pub u32);

/// An attempt that this process allows, and the limit that it also counts against on all nodes together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Allowed {
    /// What is counted: one login, or one session.
    pub(super) of: String,
    pub(super) rule: Rule,
}

/// The attempt counters. Cheap to clone.
#[derive(Clone, Default)]
pub struct LoginLimiter(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// Keyed, so that nobody can craft collisions.
    hasher: RandomState,
    strangers: Mutex<Buckets>,
    /// Sessions have their own buckets, so that strangers cannot evict them.
    sessions: Mutex<Buckets>,
}

impl LoginLimiter {
    /// Whether this network may post a sign-in form. Checked before the form is read.
    ///
    /// # Errors
    /// How long to wait.
    pub fn check_network(&self, network: Option<Network>, now: i64) -> Result<(), Wait> {
        let Some(network) = network else { return Ok(()) };
        // First the network's own count, so that one network cannot use up its whole site's.
        self.stranger(&("network", network), OF_A_NETWORK, now)?;
        match network.site() {
            Some(site) => self.stranger(&("site", site), OF_A_SITE, now),
            None => Ok(()),
        }
    }

    /// Whether a password of this login may be tried. Browsers that have signed in to it before (`known`) have their own
    /// bucket, which nobody else can exhaust.
    ///
    /// # Errors
    /// How long to wait.
    pub fn sign_in(
        &self,
        email: &str,
        network: Option<Network>,
        known: bool,
        now: i64,
    ) -> Result<Allowed, Wait> {
        self.of_a_login(("login", email), network, known, OF_A_LOGIN, now)
    }

    /// Whether a second factor code of this person may be tried, after the password; otherwise like [`LoginLimiter::sign_in`].
    ///
    /// # Errors
    /// How long to wait.
    pub fn code(
        &self,
        person: &str,
        network: Option<Network>,
        known: bool,
        now: i64,
    ) -> Result<Allowed, Wait> {
        self.of_a_login(("code", person), network, known, OF_A_CODE, now)
    }

    /// Whether a password reset mail may be requested for this address. Unknown addresses are limited too, so the result
    /// reveals nothing.
    ///
    /// # Errors
    /// How long to wait.
    pub fn forgotten(&self, email: &str, now: i64) -> Result<Allowed, Wait> {
        self.stranger(&("forgotten", email), OF_A_MAIL, now)?;
        Ok(Allowed { of: format!("forgotten {email}"), rule: OF_A_MAIL })
    }

    fn of_a_login(
        &self,
        of: (&str, &str),
        network: Option<Network>,
        known: bool,
        from_everywhere: Rule,
        now: i64,
    ) -> Result<Allowed, Wait> {
        let (kind, name) = of;
        // One bucket for all known browsers, so that collecting their cookies gains nothing; once it is empty, the general
        // limits apply.
        if known && self.stranger(&("known", of), OF_A_LOGIN_HERE, now).is_ok() {
            return Ok(Allowed { of: format!("known {kind} {name}"), rule: OF_A_LOGIN_HERE });
        }
        if let Some(network) = network {
            self.stranger(&(of, network), OF_A_LOGIN_HERE, now)?;
            if let Some(site) = network.site() {
                self.stranger(&(of, site), OF_A_LOGIN_AT_A_SITE, now)?;
            }
        }
        self.stranger(&of, from_everywhere, now)?;
        Ok(Allowed { of: format!("{kind} {name}"), rule: from_everywhere })
    }

    /// Whether a session may try its password.
    ///
    /// # Errors
    /// How long to wait.
    pub fn check_step_up(&self, session: &str, now: i64) -> Result<Allowed, Wait> {
        let key = self.0.hasher.hash_one(session);
        let mut buckets = self.0.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        buckets.take(key, OF_A_SESSION, now)?;
        Ok(Allowed { of: format!("session {session}"), rule: OF_A_SESSION })
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

/// When each bucket will be full again; full ones are dropped.
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
        // A bucket cannot be emptier than empty: after the clock is set back, nobody waits for the difference.
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

    /// Drops full buckets and, if too many are left, the half that will be full first.
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
        let (tries, now) = (LoginLimiter::default(), 1_000 * SECOND_US);
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
        let (tries, now) = (LoginLimiter::default(), 1_000 * SECOND_US);
        let of = |site: u16, number: u16| {
            Some(Network::of(std::net::Ipv6Addr::new(0x2001, 0xdb8, site, number, 0, 0, 0, 7).into()))
        };
        let tried = (0..1_000).filter(|number| tries.sign_in("ana", of(1, *number), false, now).is_ok());
        assert_eq!(tried.count(), 20, "so many from one site, whichever of its networks they come from");
        for _ in 0..10 {
            tries.sign_in("ana", network(1), false, now).unwrap();
        }
        tries.sign_in("ana", of(2, 1), false, now).unwrap();
        let knocks = (0..1_000).filter(|number| tries.check_network(of(1, *number), now).is_ok()).count();
        assert_eq!(knocks, 240);
        let knocks =
            |of: Option<Network>| (0..1_000).filter(|_| tries.check_network(of, now).is_ok()).count();
        assert_eq!((knocks(of(3, 1)), knocks(of(3, 2))), (60, 60), "one network leaves the rest to its site");
    }

    #[test]
    fn proving_shares_nothing_with_strangers() {
        let (tries, now) = (LoginLimiter::default(), 0);
        for number in 0..100_000 {
            let _ = tries.sign_in(&number.to_string(), network(1), false, now);
            let _ = tries.check_network(network(1), now);
        }
        for _ in 0..10 {
            tries.check_step_up("session", now).unwrap();
        }
        assert_eq!(tries.check_step_up("session", now), Err(Wait(61)));
        tries.check_step_up("another", now).unwrap();
    }

    #[test]
    fn a_clock_that_is_put_back_shuts_nobody_out() {
        let (tries, day) = (LoginLimiter::default(), 86_400 * SECOND_US);
        tries.check_step_up("session", 3 * day).unwrap();
        assert_eq!(
            tries.check_step_up("session", day),
            Err(Wait(61)),
            "as if all were used up, and no longer"
        );
        tries.check_step_up("session", day + 61 * SECOND_US).unwrap();
    }

    #[test]
    fn buckets_are_few_and_forgotten() {
        let (tries, now) = (LoginLimiter::default(), 0);
        for number in 0..100_000 {
            let _ = tries.sign_in(&number.to_string(), None, false, now);
            assert!(tries.kept() <= MOST_BUCKETS);
        }
        tries.check_network(network(1), now + 3_600 * SECOND_US).unwrap();
        assert_eq!(tries.kept(), 1, "full again, and dropped");
    }
}
