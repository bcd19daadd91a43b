//! Which denied requests get a row in the audit trail: the first of each kind and client in ten minutes, and only so many of
//! all unknown clients together. The others are counted, and the next row says how many. So nobody can fill the trail, or
//! hide what somebody else does. Not here: writing the row (`ops::denials`), and the log (`refused`).

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::{Mutex, PoisonError};

use axum::http::StatusCode;

const MINUTE_US: i64 = 60 * 1_000_000;
/// One client has a row of each kind this often.
const SPAN_US: i64 = 10 * MINUTE_US;
/// A client's count is kept this long for its next row; then it counts as one of many. As rows are few, so are those kept.
const KEPT_US: i64 = 60 * MINUTE_US;
/// The most rows of each kind in ten minutes for unknown clients, and as many again for logins and API keys.
const MOST_ROWS: usize = 50;
const DAY_US: i64 = 24 * 60 * MINUTE_US;
/// The most rows of each kind in a day for unknown clients: rows stay for ever.
const MOST_ROWS_A_DAY: usize = 200;

/// The kind of a denied request; `None` if it gets no row: a form without its token says nothing about whoever sent it.
/// `sent_key` is whether it came with an API key.
pub fn kind(status: StatusCode, code: &str, sent_key: bool) -> Option<&'static str> {
    match code {
        _ if status == StatusCode::TOO_MANY_REQUESTS => Some("rate_limited"),
        "api_key_ended" | "api_key_maker_gone" | "api_key_address" | "api_key_addresses_required" => {
            Some("api_key_refused")
        }
        "unauthenticated" if sent_key => Some("api_key_refused"),
        // A partner is answered 404 where they may not know that it exists.
        "permission_denied" => Some("permission_denied"),
        code if status == StatusCode::FORBIDDEN && !code.starts_with("form_") => Some("permission_denied"),
        _ => None,
    }
}

/// The denied requests of the last minutes.
#[derive(Default)]
pub struct Denials {
    /// Keyed, so that no one can craft collisions.
    hasher: RandomState,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    began: i64,
    /// The rows since then, by kind, and whether the clients are known.
    rows: BTreeMap<(bool, &'static str), usize>,
    day_began: i64,
    /// The rows for unknown clients since then, by kind.
    rows_of_day: BTreeMap<&'static str, usize>,
    clients: HashMap<u64, Client>,
    /// Denied requests of clients that are not remembered.
    others: BTreeMap<(bool, &'static str), u64>,
}

struct Client {
    of: (bool, &'static str),
    row_at: i64,
    left_out: u64,
}

/// How many denied requests had no row before the one that gets one: of this client, and of others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LeftOut {
    pub own: u64,
    pub others: u64,
}

impl Denials {
    /// Whether a denied request gets a row; `None` if it does not.
    pub fn has_row(
        &self,
        kind: &'static str,
        whose: &impl Hash,
        is_known: bool,
        now: i64,
    ) -> Option<LeftOut> {
        let client = self.hasher.hash_one((kind, is_known, self.hasher.hash_one(whose)));
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.begin_span(now);
        let of = (is_known, kind);
        if let Some(client) = kept.clients.get_mut(&client)
            && (0..SPAN_US).contains(&(now - client.row_at))
        {
            client.left_out += 1;
            return None;
        }
        let of_day = kept.rows_of_day.get(kind).copied().unwrap_or_default();
        let room =
            kept.rows.get(&of).is_none_or(|rows| *rows < MOST_ROWS) && (is_known || of_day < MOST_ROWS_A_DAY);
        if !room {
            *kept.others.entry(of).or_default() += 1;
            return None;
        }
        *kept.rows.entry(of).or_default() += 1;
        if !is_known {
            *kept.rows_of_day.entry(kind).or_default() += 1;
        }
        let before = kept.clients.insert(client, Client { of, row_at: now, left_out: 0 });
        let others = kept.others.remove(&of).unwrap_or_default();
        Some(LeftOut { own: before.map_or(0, |before| before.left_out), others })
    }
}

impl Kept {
    /// Every ten minutes, forgets the clients that are of no more use.
    fn begin_span(&mut self, now: i64) {
        if (0..SPAN_US).contains(&(now - self.began)) {
            return;
        }
        self.began = now;
        self.rows.clear();
        if !(0..DAY_US).contains(&(now - self.day_began)) {
            self.day_began = now;
            self.rows_of_day.clear();
        }
        let others = &mut self.others;
        self.clients.retain(|_, client| {
            let age = now - client.row_at;
            let stays = (0..SPAN_US).contains(&age) || (client.left_out > 0 && (0..KEPT_US).contains(&age));
            if !stays && client.left_out > 0 {
                *others.entry(client.of).or_default() += client.left_out;
            }
            stays
        });
        self.clients.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: LeftOut = LeftOut { own: 0, others: 0 };

    #[test]
    fn a_client_has_a_row_of_each_kind_in_ten_minutes() {
        let denials = Denials::default();
        assert_eq!(denials.has_row("rate_limited", &1, false, 5), Some(NOTHING));
        for now in 6..9 {
            assert_eq!(denials.has_row("rate_limited", &1, false, now), None);
        }
        assert_eq!(denials.has_row("permission_denied", &1, false, 9), Some(NOTHING));
        assert_eq!(denials.has_row("rate_limited", &2, false, 9), Some(NOTHING));
        let next = denials.has_row("rate_limited", &1, false, 5 + SPAN_US);
        assert_eq!(next, Some(LeftOut { own: 3, others: 0 }));
        assert_eq!(denials.has_row("rate_limited", &2, false, 9 + 2 * SPAN_US), Some(NOTHING));
    }

    #[test]
    fn whoever_has_many_addresses_fills_nothing_and_hides_nobody() {
        let denials = Denials::default();
        let rows = (0..100_000).filter(|one| denials.has_row("rate_limited", one, false, *one).is_some());
        assert_eq!(rows.count(), MOST_ROWS);
        assert_eq!(denials.has_row("rate_limited", &"ana", true, 7), Some(NOTHING), "one of ours");
        assert_eq!(denials.has_row("api_key_refused", &7, false, 7), Some(NOTHING), "another kind");
        let next = denials.has_row("rate_limited", &"new", false, SPAN_US);
        assert_eq!(next, Some(LeftOut { own: 0, others: 100_000 - 50 }));
        for span in 1..200 {
            for one in 0..MOST_ROWS {
                for _ in 0..2 {
                    let _ = denials.has_row("rate_limited", &(span, one), false, span * SPAN_US);
                }
            }
            assert!(denials.kept.lock().unwrap().clients.len() <= 8 * MOST_ROWS);
            assert!(denials.has_row("rate_limited", &"kim", true, span * SPAN_US).is_some(), "one of ours");
        }
    }

    #[test]
    fn strangers_have_few_rows_a_day_however_long_they_go_on() {
        let denials = Denials::default();
        let flood = |day: i64| {
            let spans = (0..DAY_US / SPAN_US).map(|span| day * DAY_US + span * SPAN_US);
            let each = spans.flat_map(|at| (0..60).map(move |one| (at, one)));
            each.filter(|(at, one)| denials.has_row("rate_limited", &(at, one), false, *at).is_some()).count()
        };
        assert_eq!([flood(1), flood(2)], [MOST_ROWS_A_DAY; 2]);
    }

    #[test]
    fn each_refusal_but_that_of_a_form_without_its_token_has_a_row() {
        let of = |code: &str| kind(StatusCode::FORBIDDEN, code, false);
        for code in ["permission_denied", "person_needed", "own_reward"] {
            assert_eq!(of(code), Some("permission_denied"), "{code}");
        }
        assert_eq!(of("api_key_address"), Some("api_key_refused"));
        assert_eq!([of("form_expired"), of("form_from_elsewhere")], [None; 2]);
        assert_eq!(kind(StatusCode::NOT_FOUND, "permission_denied", false), Some("permission_denied"));
    }

    #[test]
    fn a_clock_that_is_put_back_begins_another_span() {
        let denials = Denials::default();
        assert!(denials.has_row("rate_limited", &1, false, 10 * SPAN_US).is_some());
        assert!(denials.has_row("rate_limited", &1, false, SPAN_US).is_some());
    }
}
