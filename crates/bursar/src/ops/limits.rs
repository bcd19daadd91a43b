//! The operator's limits: what a batch would use of them, and how Pay uses them. The amounts per day are counters that Pay
//! locks until it commits, so concurrent Pays stay within the daily limit. They count what Pay committed to: a payment that
//! fails later frees nothing until the next day.

use payout::eligibility::{Blocker, Code, Spending, over_limits};
use payout::ids::BatchId;
use payout::money::{Currency, Sum};
use payout::settings::Settings;

use super::{OpsError, Result};
use crate::clock;
use crate::store::{self, Db, Tx};

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
        let used = store::counted(db, &counter(sum.currency, None, now)).await?;
        spending.day.push(Sum::new(sum.minor + i128::from(used), sum.currency));
        if let Some(person) = person {
            let used = store::counted(db, &counter(sum.currency, Some(person), now)).await?;
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
    person: &str,
    now: i64,
) -> Result<()> {
    let mut spending = Spending { batch: sums.to_vec(), ..Spending::default() };
    for sum in sums.iter().filter(|sum| sum.minor > 0) {
        let Some(sum) = sum.money() else {
            return Err(OpsError::Blocked(vec![Blocker::new(Code::TotalTooLarge, batch)]));
        };
        for (of, into) in [(None, &mut spending.day), (Some(person), &mut spending.person)] {
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

fn counter(currency: Currency, person: Option<&str>, now: i64) -> String {
    let (day, currency) = (clock::date(now), currency.code());
    match person {
        None => format!("paid:{day}:{currency}"),
        Some(person) => format!("paid:{day}:{currency}:{person}"),
    }
}
