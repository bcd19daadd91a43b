//! Time and randomness, read here and nowhere else. Everything else gets them from here, so tests and the simulation
//! run the same code on a clock of their own.
#![allow(clippy::disallowed_methods, reason = "this is the one place where the clock and chance are read")]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};

/// A source of time and randomness.
#[derive(Clone)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    System,
    /// The machine's clock, minus this many microseconds.
    Behind(Arc<AtomicI64>),
    Virtual(Arc<VirtualClock>),
}

/// A clock that moves only when told to, with randomness from a seed: the same seed gives the same run.
#[derive(Debug)]
pub struct VirtualClock {
    now: AtomicI64,
    drawn: AtomicU64,
    seed: u64,
}

impl VirtualClock {
    /// Advances the clock by `us` microseconds.
    pub fn pass(&self, us: i64) {
        self.now.fetch_add(us, Ordering::SeqCst);
    }
}

impl Clock {
    /// The machine's clock and random number generator.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// The machine's clock, minus the handle's microseconds: used to create data in the past.
    pub fn behind(us: i64) -> (Self, Arc<AtomicI64>) {
        let behind = Arc::new(AtomicI64::new(us));
        (Self(Source::Behind(behind.clone())), behind)
    }

    /// A clock for tests that begins at `now` and is moved through the handle.
    pub fn standing_at(now: i64, seed: u64) -> (Self, Arc<VirtualClock>) {
        let clock = Arc::new(VirtualClock { now: AtomicI64::new(now), drawn: AtomicU64::new(0), seed });
        (Self(Source::Virtual(clock.clone())), clock)
    }

    /// Microseconds UTC.
    pub fn now(&self) -> i64 {
        match &self.0 {
            Source::System => jiff::Timestamp::now().as_microsecond().saturating_add(ahead()),
            Source::Behind(us) => {
                jiff::Timestamp::now().as_microsecond().saturating_sub(us.load(Ordering::SeqCst))
            }
            Source::Virtual(clock) => clock.now.load(Ordering::SeqCst),
        }
    }

    /// 128 random bits.
    pub fn random(&self) -> u128 {
        match &self.0 {
            Source::System | Source::Behind(_) => rand::random(),
            Source::Virtual(clock) => {
                use sha2::Digest as _;
                let drawn = clock.drawn.fetch_add(1, Ordering::SeqCst);
                let hash = sha2::Sha256::digest(format!("{}:{drawn}", clock.seed));
                hash.iter().take(16).fold(0, |bits, byte| (bits << 8) | u128::from(*byte))
            }
        }
    }

    /// The random part of an ID that sorts: 32 bits that count up within this process, then 48 random ones. IDs it makes in
    /// the same millisecond sort in the order in which they were made, so entries with the same time are listed in order.
    pub fn in_turn(&self) -> u128 {
        static TURN: AtomicU32 = AtomicU32::new(0);
        let turn = match &self.0 {
            Source::System | Source::Behind(_) => u128::from(TURN.fetch_add(1, Ordering::Relaxed)),
            Source::Virtual(clock) => u128::from(clock.drawn.load(Ordering::SeqCst)) & u128::from(u32::MAX),
        };
        (turn << 48) | (self.random() & ((1 << 48) - 1))
    }

    /// A secret of 256 random bits, in the alphabet of ids.
    pub fn secret(&self) -> String {
        payout::ids::encode(self.random()) + &payout::ids::encode(self.random())
    }
}

/// How far this process's clock runs ahead of the machine's, in microseconds. Zero, except where a test harness shows
/// what a wrong clock does ([`crate::points`]).
#[cfg(debug_assertions)]
static AHEAD: AtomicI64 = AtomicI64::new(0);

#[cfg(debug_assertions)]
fn ahead() -> i64 {
    AHEAD.load(Ordering::Relaxed)
}

#[cfg(debug_assertions)]
pub(crate) fn set_ahead(us: i64) {
    AHEAD.store(us, Ordering::Relaxed);
}

#[cfg(not(debug_assertions))]
const fn ahead() -> i64 {
    0
}

/// A date in UTC, `YYYY-MM-DD`.
pub fn date(us: i64) -> String {
    timestamp(us).strftime("%Y-%m-%d").to_string()
}

/// A time for display, in UTC: `23 Nov 2026, 06:20 UTC`.
pub fn human(us: i64) -> String {
    timestamp(us).strftime("%-d %b %Y, %H:%M UTC").to_string()
}

/// RFC 3339 in UTC with microseconds.
pub fn rfc3339(us: i64) -> String {
    timestamp(us).strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

/// Parses RFC 3339 into microseconds UTC; `None` if it does not parse.
pub fn moment(text: &str) -> Option<i64> {
    text.trim().parse().ok().map(jiff::Timestamp::as_microsecond)
}

/// Parses a `Date` header into microseconds UTC.
pub fn http_date(text: &str) -> Option<i64> {
    let parser = jiff::fmt::rfc2822::DateTimeParser::new();
    parser.parse_timestamp(text).ok().map(jiff::Timestamp::as_microsecond)
}

/// The first microsecond of a UTC date written `YYYY-MM-DD`; `None` if it does not parse.
pub fn start_of_date(date: &str) -> Option<i64> {
    if date.len() != 10 {
        return None;
    }
    let day: jiff::civil::Date = date.parse().ok()?;
    let zoned = day.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(zoned.timestamp().as_microsecond())
}

/// The same for a date that somebody typed, with a plausible year.
///
/// # Errors
/// A message about the year if the year is the problem; `usual` otherwise.
pub fn day(text: &str, usual: &str) -> Result<i64, String> {
    let figures = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let parts: Vec<&str> = text.splitn(4, '-').filter(figures).collect();
    let year = if let [year, _, _] = parts[..] { Some(year) } else { None };
    let meant = |year: &str| year.len() == 4 && year.parse().is_ok_and(|year| (1970..2200).contains(&year));
    match year {
        Some(year) if !meant(year) => Err(format!(
            "The year {year} is not one that a date here has: it lies between 1970 and 2199. Write the date like 2026-01-31."
        )),
        Some(_) | None => start_of_date(text).ok_or_else(|| usual.to_owned()),
    }
}

fn timestamp(us: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_microsecond(us).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::Clock;

    #[test]
    fn ids_of_the_same_millisecond_sort_as_they_were_made() {
        for clock in [Clock::system(), Clock::standing_at(0, 7).0] {
            let ids: Vec<u128> = (0..50).map(|_| payout::ids::fresh(0, clock.in_turn())).collect();
            assert!(ids.is_sorted(), "{ids:?}");
        }
    }
}
