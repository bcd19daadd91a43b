//! The operator's limits: what a batch would take up of them, and Pay taking it up. What was paid on a day is counted in
//! rows that Pay holds until it commits, so that any number of Pays at once stay within a day's limit. What is counted
//! is what Pay promised: a payment that fails later gives nothing back until the next day.

use payout::eligibility::{Blocker, Code, Spending, over_limits};
use payout::ids::BatchId;
use payout::money::{Currency, Sum};
use payout::settings::Settings;

use super::{OpsError, Result};
use crate::clock;
use crate::store::{self, Db, Tx};

/// The limits that paying these sums now would go over: those per payout and per day, and with a `person` also their own.
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

/// Takes these sums up, or nothing when that would go over a limit. The counters are then this transaction's until it
/// ends; they are taken in one order, so that two Pays cannot wait for each other.
///
/// # Errors
/// [`OpsError::Blocked`] with every limit that it would go over.
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
