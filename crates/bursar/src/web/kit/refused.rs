//! Logging of refusals and responses: who, from where, and with which code. Anyone can cause refusals without limit, so each
//! minute logs only so many and counts the rest, and each second logs only so many responses: log collectors that get too
//! many lines drop all of them. Not here: what is refused (`web::guard`, the verbs), and the activity log, which records what
//! people do.

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::{Mutex, PoisonError};

use axum::http::StatusCode;
use axum::response::Response;
use payout::ids::PersonId;

const SECOND_US: i64 = 1_000_000;
/// The maximum number of response lines per second for all unknown clients together, and for one login or API key, so that
/// none can hide what another does.
const MOST_OF_ONE: usize = 50;
/// The maximum for all logins and API keys together.
const MOST_OF_KNOWN: usize = 150;
const MINUTE_US: i64 = 60 * 1_000_000;
/// The most lines per code and minute for unknown clients, and as many again for logins and API keys, so that no one can hide
/// one kind of attempt behind many others, and unknown clients cannot hide those of our own people.
const MOST_LINES: usize = 50;
/// The most codes counted separately. Codes are our own; this is a bound in case one ever is not.
const MOST_KINDS: usize = 64;

/// Marks a response as a refusal; a response extension.
#[derive(Clone, Debug)]
pub struct Refused {
    pub code: String,
    /// The API key it was refused to, if known but not accepted.
    pub key: Option<PersonId>,
}

/// Marks a response as a refusal if its status says so.
pub fn mark(response: &mut Response, status: StatusCode, code: &str, key: Option<PersonId>) {
    let refuses = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::TOO_MANY_REQUESTS];
    if refuses.contains(&status) {
        response.extensions_mut().insert(Refused { code: code.to_owned(), key });
    }
}

/// The refusal of a response, if it is one. Pages that report a rate limit in their own words have no code.
pub fn take(response: &mut Response) -> Option<Refused> {
    let marked = response.extensions_mut().remove::<Refused>();
    let slow = response.status() == StatusCode::TOO_MANY_REQUESTS;
    marked.or_else(|| slow.then(|| Refused { code: "slow_down".to_owned(), key: None }))
}

/// The refusals of the current minute.
#[derive(Default)]
pub struct Refusals {
    /// Keyed, so that no one can craft collisions.
    hasher: RandomState,
    minute: Mutex<Minute>,
}

#[derive(Default)]
struct Minute {
    began: i64,
    seen: HashSet<u64>,
    /// The number of lines by known or unknown client, and by code.
    lines: BTreeMap<(bool, String), usize>,
    left_out: BTreeMap<String, u64>,
}

impl Refusals {
    /// Whether a refusal gets its own line: the first of its code for this client in this minute, while there is room.
    pub fn has_line(&self, code: &str, whose: &impl Hash, is_known: bool, now: i64) -> bool {
        let one = self.hasher.hash_one((code, self.hasher.hash_one(whose)));
        let mut minute = self.minute.lock().unwrap_or_else(PoisonError::into_inner);
        if minute.seen.is_empty() {
            minute.began = now;
        }
        let kind = (is_known, code.to_owned());
        let room = match minute.lines.get(&kind) {
            Some(lines) => *lines < MOST_LINES,
            None => minute.lines.len() < 2 * MOST_KINDS,
        };
        if room && minute.seen.insert(one) {
            *minute.lines.entry(kind).or_default() += 1;
            return true;
        }
        let counted = minute.left_out.len() < MOST_KINDS || minute.left_out.contains_key(code);
        let kind = if counted { code } else { "others" };
        *minute.left_out.entry(kind.to_owned()).or_default() += 1;
        false
    }

    /// How many refusals of each code had no line in the past minute. Called on every request, so that the counts are
    /// logged even if nothing is refused afterwards.
    pub fn left_out(&self, now: i64) -> BTreeMap<String, u64> {
        let mut minute = self.minute.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = !(0..MINUTE_US).contains(&(now - minute.began));
        if minute.seen.is_empty() || !is_over {
            return BTreeMap::new();
        }
        std::mem::take(&mut *minute).left_out
    }
}

/// The response lines of the current second.
#[derive(Default)]
pub struct Answers(Mutex<Second>);

#[derive(Default)]
struct Second {
    began: i64,
    /// The number of lines for unknown clients, and for each login and API key.
    strangers: usize,
    known: BTreeMap<PersonId, usize>,
    left_out: u64,
}

impl Answers {
    /// Whether a response gets its own line.
    pub fn has_line(&self, who: Option<PersonId>, now: i64) -> bool {
        let mut second = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !(0..SECOND_US).contains(&(now - second.began)) {
            *second = Second { began: now, left_out: second.left_out, ..Second::default() };
        }
        let all: usize = second.known.values().sum();
        let Second { strangers, known, left_out, .. } = &mut *second;
        let (lines, room) = match who {
            None => (strangers, usize::MAX),
            Some(who) => (known.entry(who).or_default(), MOST_OF_KNOWN - all),
        };
        let has_line = room > 0 && *lines < MOST_OF_ONE;
        match has_line {
            true => *lines += 1,
            false => *left_out += 1,
        }
        has_line
    }

    /// How many responses had no line in the previous second, if any. Called for every response.
    pub fn left_out(&self, now: i64) -> Option<u64> {
        let mut second = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = !(0..SECOND_US).contains(&(now - second.began));
        let left_out = std::mem::take(if is_over { &mut second.left_out } else { return None });
        (left_out > 0).then_some(left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_a_line_a_minute_for_each_of_them() {
        let refusals = Refusals::default();
        assert!(refusals.has_line("unauthenticated", &1, false, 0));
        assert!(!refusals.has_line("unauthenticated", &1, false, 1));
        assert!(refusals.has_line("form_expired", &1, false, 2));
        assert!(refusals.has_line("unauthenticated", &2, false, 3));
        assert!(refusals.left_out(MINUTE_US - 1).is_empty(), "the minute is not over");
        assert_eq!(refusals.left_out(MINUTE_US), BTreeMap::from([("unauthenticated".to_owned(), 1)]));
        assert!(refusals.left_out(2 * MINUTE_US).is_empty(), "told once");
        assert!(refusals.has_line("unauthenticated", &1, false, 2 * MINUTE_US));
    }

    #[test]
    fn whoever_has_many_addresses_fills_nothing_and_hides_nobody() {
        let refusals = Refusals::default();
        let lines = (0..100_000).filter(|one| refusals.has_line("unauthenticated", one, false, *one)).count();
        assert_eq!(lines, MOST_LINES);
        assert!(refusals.has_line("unauthenticated", &"ana", true, 7), "one of ours");
        assert!(refusals.has_line("form_from_elsewhere", &7, false, 7), "another kind");
        let lines = (0..1_000).filter(|kind| refusals.has_line(&kind.to_string(), kind, false, 8)).count();
        assert_eq!(lines, 2 * MOST_KINDS - 3);
        let left_out = refusals.left_out(MINUTE_US);
        assert_eq!(left_out.len(), MOST_KINDS + 1, "the rest are others");
        assert_eq!(left_out.values().sum::<u64>(), 100_000 - 50 + 1_000 - 125);
    }

    #[test]
    fn a_second_has_so_many_lines_about_answers() {
        let answers = Answers::default();
        let lines = |who: Option<u128>, now: i64| {
            let who = who.map(|who| PersonId::fresh(0, who));
            (0..1_000).filter(|_| answers.has_line(who, now)).count()
        };
        assert_eq!((lines(None, 5), lines(Some(1), 6)), (50, 50), "strangers hide none of ours");
        let others = [2, 3, 4].map(|who| lines(Some(who), 6));
        assert_eq!(others, [50, 50, 0], "nor does one key hide another");
        assert_eq!(answers.left_out(7), None, "the second is not over");
        assert_eq!(answers.left_out(SECOND_US + 5), Some(4_800));
        assert_eq!(answers.left_out(2 * SECOND_US), None, "told once");
        assert_eq!(lines(None, SECOND_US + 6), 50);
        assert_eq!(lines(None, 0), 50, "a clock that is put back begins another second");
        assert_eq!(answers.left_out(SECOND_US), Some(1_900));
    }

    #[test]
    fn a_clock_that_is_put_back_begins_another_minute() {
        let refusals = Refusals::default();
        assert!(refusals.has_line("a", &1, false, 10 * MINUTE_US));
        assert!(!refusals.has_line("a", &1, false, 10 * MINUTE_US));
        assert_eq!(refusals.left_out(MINUTE_US).len(), 1);
        assert!(refusals.has_line("a", &1, false, MINUTE_US));
    }
}
