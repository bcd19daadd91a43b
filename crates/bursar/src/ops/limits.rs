//! The operator's limits and those of API keys: what a batch would use of them, and how Pay uses them. The amounts per day
//! are counters that Pay locks until it commits, so concurrent Pays stay within the daily limit. They count what Pay
//! committed to: a payment that fails later frees nothing until the next day.

use payout::eligibility::{Blocker, Code, Spending, over_limits};
use payout::ids::BatchId;
use payout::money::{Currency, Money, Sum};
use payout::settings::Settings;

use super::people::keys;
use super::{OpsError, Result};
use crate::app::Actor;
use crate::clock;
use crate::store::{self, Db, Tx, people};

/// Whoever pays, and whose limits that uses besides the installation's.
pub(super) struct Payer {
    /// A payment by API key counts toward its owner's limit.
    person: String,
    /// The API key that pays, if it has limits of its own.
    key: Option<(String, Vec<Money>)>,
}

impl Payer {
    pub(super) async fn of(db: &mut Db, actor: &Actor, now: i64) -> Result<Self> {
        let id = actor.id.to_string();
        let person = people::behind(db, &id, now).await?;
        let kept = people::day_limits(db, actor.id).await?;
        Ok(Self { person, key: (!kept.is_empty()).then(|| (id, keys::kept_limits(&kept))) })
    }
}

/// The limits that paying these sums now would exceed: per payout and per day and, with `person`, that person's per day.
pub async fn closed(
    db: &mut Db,
    settings: &Settings,
    batch: BatchId,
    sums: &[Sum],
    person: Option<&str>,
    now: i64,
) -> store::Result<Vec<Blocker>> {
    let mut spending = Spending { batch: sums.to_vec(), ..Spending::default() };
    for sum in sums {
        let used = store::counted(db, &counter(sum.currency, Of::Everybody, now)).await?;
        spending.day.push(Sum::new(sum.minor + i128::from(used), sum.currency));
        if let Some(person) = person {
            let used = store::counted(db, &counter(sum.currency, Of::Person(person), now)).await?;
            spending.person.push(Sum::new(sum.minor + i128::from(used), sum.currency));
        }
    }
    Ok(blockers(settings, &spending, batch))
}

/// Adds these sums to the counters, or nothing if that would exceed a limit. The counters stay locked until the transaction
/// ends; they are locked in a fixed order, so that two Pays cannot deadlock.
///
/// # Errors
/// [`OpsError::Blocked`] with every limit that would be exceeded.
pub(super) async fn take_up(
    tx: &mut Tx,
    settings: &Settings,
    batch: BatchId,
    sums: &[Sum],
    payer: &Payer,
    now: i64,
) -> Result<()> {
    let mut spending = Spending { batch: sums.to_vec(), ..Spending::default() };
    if let Some((_, limits)) = &payer.key {
        spending.key_limits.clone_from(limits);
    }
    for sum in sums.iter().filter(|sum| sum.minor > 0) {
        let Some(sum) = sum.money() else {
            return Err(OpsError::Blocked(vec![Blocker::new(Code::TotalTooLarge, batch)]));
        };
        let key = payer.key.as_ref().map(|(id, _)| (Of::Key(id), &mut spending.key));
        let all = [(Of::Everybody, &mut spending.day), (Of::Person(&payer.person), &mut spending.person)];
        for (of, into) in all.into_iter().chain(key) {
            let used = store::count_up(tx, &counter(sum.currency, of, now), sum.minor).await?;
            into.push(Sum::new(i128::from(used), sum.currency));
        }
    }
    let blockers = blockers(settings, &spending, batch);
    if blockers.is_empty() { Ok(()) } else { Err(OpsError::Blocked(blockers)) }
}

fn blockers(settings: &Settings, spending: &Spending, batch: BatchId) -> Vec<Blocker> {
    let told = over_limits(settings, spending).into_iter();
    told.map(|note| Blocker::new(Code::OverLimit, batch).noting(Some(note))).collect()
}

/// Whose payments a counter counts.
enum Of<'a> {
    Everybody,
    Person(&'a str),
    Key(&'a str),
}

fn counter(currency: Currency, of: Of<'_>, now: i64) -> String {
    let (day, currency) = (clock::date(now), currency.code());
    match of {
        Of::Everybody => format!("paid:{day}:{currency}"),
        Of::Person(person) => format!("paid:{day}:{currency}:{person}"),
        // A key that nobody stands behind is its own person, and has both counters.
        Of::Key(key) => format!("paid:{day}:{currency}:key:{key}"),
    }
}
