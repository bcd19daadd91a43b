//! The invariants: what must always hold, checked on the database as it is. The audit chain is walked from its first row.

use crate::store::{self, Db, audit, invariants};

/// One invariant and what breaks it.
#[derive(Clone, Debug)]
pub struct Invariant {
    /// Its number in the payment protocol.
    pub id: &'static str,
    pub says: &'static str,
    /// It is about money: while it is broken, nothing is sent.
    pub stops: bool,
    /// How many things it was asked of.
    pub checked: i64,
    /// What breaks it: ids, at most a hundred.
    pub violations: Vec<String>,
}

impl Invariant {
    pub fn holds(&self) -> bool {
        self.violations.is_empty()
    }
}

/// What must hold of the audit trail.
pub const CHAIN: &str = "every change has its audit row and the chain verifies";

/// How many audit rows are read at a time.
const PAGE: i64 = 5_000;

/// Checks every invariant the database can tell.
pub async fn all(db: &mut Db) -> store::Result<Vec<Invariant>> {
    let mut found = rules(db).await?;
    found.push(chain(db).await?);
    Ok(found)
}

/// Checks every rule, but not the chain of the audit trail.
pub async fn rules(db: &mut Db) -> store::Result<Vec<Invariant>> {
    let mut found = Vec::new();
    for rule in invariants::RULES {
        let (mut violations, checked) = invariants::check(db, rule).await?;
        violations.truncate(100);
        found.push(Invariant { id: rule.id, says: rule.says, stops: rule.stops, checked, violations });
    }
    Ok(found)
}

/// Checks what can be asked of payments, of these alone.
pub async fn of_payments(db: &mut Db, payments: &[String]) -> store::Result<Vec<Invariant>> {
    let mut found = Vec::new();
    for rule in invariants::RULES.iter().filter(|rule| rule.is_of_payments()) {
        let violations = invariants::check_some(db, rule, payments).await?;
        let checked = i64::try_from(payments.len()).unwrap_or(i64::MAX);
        found.push(Invariant { id: rule.id, says: rule.says, stops: rule.stops, checked, violations });
    }
    Ok(found)
}

/// The audit chain: every row follows from the one before it, without a gap and up to the last that was counted; and what
/// waits to be chained is as it was written.
pub async fn chain(db: &mut Db) -> store::Result<Invariant> {
    let Stretch { last, mut violations, .. } = stretch(db, 1, i64::MAX).await?;
    let waiting = audit::waiting(db).await?;
    violations.extend(waiting.violations);
    violations.truncate(100);
    Ok(Invariant { id: "I22", says: CHAIN, stops: false, checked: last + waiting.count, violations })
}

/// A stretch of the audit chain that was walked.
#[derive(Clone, Debug)]
pub struct Stretch {
    /// The first row of it.
    pub first: i64,
    /// The last row of it; before the first when there was none.
    pub last: i64,
    /// The rows that do not follow from the one before them.
    pub violations: Vec<String>,
}

/// Walks the audit chain from a row on, at most so many rows. The row before the first is believed.
pub async fn stretch(db: &mut Db, first: i64, most: i64) -> store::Result<Stretch> {
    let (first, mut violations) = (first.max(1), Vec::new());
    // Asked before the rows are, so that what is added meanwhile is not missed.
    let promised = store::counted(db, "audit").await?;
    let before = if first > 1 { audit::rows(db, first - 2, 1).await?.pop() } else { None };
    let mut previous = before.map(|row| row.hash).unwrap_or_default();
    let (mut last, end) = (first - 1, (first - 1).saturating_add(most));
    while last < end {
        let rows = audit::rows(db, last, PAGE.min(end - last)).await?;
        if rows.is_empty() {
            break;
        }
        for row in rows {
            if row.seq != last + 1 || row.previous_hash != previous || row.computed_hash() != row.hash {
                violations.push(format!("audit row {}", row.seq));
            }
            last = row.seq;
            previous = row.hash;
        }
    }
    if last < end && last < promised {
        violations.push(format!("audit rows {} to {promised} are missing at the end", last + 1));
    }
    Ok(Stretch { first, last, violations })
}
