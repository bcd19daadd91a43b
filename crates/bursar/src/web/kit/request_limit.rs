//! Rate limits for authenticated requests: a token bucket per login or API key, so that a runaway program, or somebody with
//! a stolen key, cannot exhaust the database. What is deliberately not here: unauthenticated clients (`login_limit`),
//! webhooks and health checks, and heavy requests (`turns`).

use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, PoisonError};

use super::login_limit::{Buckets, Rule, Wait};

const MINUTE_US: i64 = 60_000_000;
/// The extra allowance of each session once its login has used up its bucket: a session that floods cannot keep its owner
/// from ending it in another.
const OF_A_SESSION: Rule = Rule { at_once: 20, then_every_us: 3_000_000 };

pub struct Requests {
    /// `None` if requests are not limited.
    rule: Option<Rule>,
    hasher: RandomState,
    buckets: Mutex<Buckets>,
}

impl Requests {
    /// A limit per minute, which may all be used at once; 0 for no limit.
    pub fn of(per_minute: u32) -> Self {
        let at_once = i64::from(per_minute);
        let rule = (at_once > 0).then(|| Rule { at_once, then_every_us: MINUTE_US / at_once });
        Self { rule, hasher: RandomState::new(), buckets: Mutex::default() }
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
    fn where_it_is_0_nobody_counts() {
        let requests = Requests::of(0);
        assert!((0..100_000).all(|_| requests.ask("key", None, 0).is_ok()));
    }
}
