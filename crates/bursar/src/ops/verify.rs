//! Checks the invariants on the current database, and walks the audit chain from its first row.

use crate::store::{self, Db, audit, invariants};

/// An invariant and its violations.
#[derive(Clone, Debug)]
pub struct Invariant {
    /// Its number in the payment protocol.
    pub id: &'static str,
    pub says: &'static str,
    /// Whether it is about money: while it is violated, nothing is sent.
    pub stops: bool,
    /// How many things were checked.
    pub checked: i64,
    /// What violates it: ids, at most a hundred.
    pub violations: Vec<String>,
}

impl Invariant {
    pub fn holds(&self) -> bool {
        self.violations.is_empty()
    }
}

/// The invariant of the audit trail.
pub const CHAIN: &str = "every change has its audit row and the chain verifies";

/// How many audit rows are read at a time.
const PAGE: i64 = 5_000;

/// Checks every invariant that the database can tell.
pub async fn all(db: &mut Db) -> store::Result<Vec<Invariant>> {
    let mut found = rules(db).await?;
    found.push(chain(db).await?);
    Ok(found)
}

/// Checks every rule except the chain of the audit trail.
pub async fn rules(db: &mut Db) -> store::Result<Vec<Invariant>> {
    let mut found = Vec::new();
    for rule in invariants::RULES {
        let (mut violations, checked) = invariants::check(db, rule).await?;
        violations.truncate(100);
        found.push(Invariant { id: rule.id, says: rule.says, stops: rule.stops, checked, violations });
    }
    Ok(found)
}

/// Checks the rules about payments, for these payments only.
pub async fn of_payments(db: &mut Db, payments: &[String]) -> store::Result<Vec<Invariant>> {
    let mut found = Vec::new();
    for rule in invariants::RULES.iter().filter(|rule| rule.is_of_payments()) {
        let violations = invariants::check_some(db, rule, payments).await?;
        let checked = i64::try_from(payments.len()).unwrap_or(i64::MAX);
        found.push(Invariant { id: rule.id, says: rule.says, stops: rule.stops, checked, violations });
    }
    Ok(found)
}

/// Checks the audit chain: every row follows from the one before, without gaps and up to the last counted one, and rows
/// waiting to be chained are unmodified.
pub async fn chain(db: &mut Db) -> store::Result<Invariant> {
    let ChainSegment { last, mut violations, .. } = segment(db, 1, i64::MAX).await?;
    let waiting = audit::waiting(db).await?;
    violations.extend(waiting.violations);
    violations.truncate(100);
    Ok(Invariant { id: "I22", says: CHAIN, stops: false, checked: last + waiting.count, violations })
}

/// The result of verifying a segment of the audit chain.
#[derive(Clone, Debug)]
pub struct ChainSegment {
    pub first: i64,
    /// Its last row; `first - 1` if it is empty.
    pub last: i64,
    /// The rows that do not follow from the one before.
    pub violations: Vec<String>,
}

/// Walks the audit chain from a row, at most `most` rows. The row before the first one is trusted.
pub async fn segment(db: &mut Db, first: i64, most: i64) -> store::Result<ChainSegment> {
    let (first, mut violations) = (first.max(1), Vec::new());
    // Read the count before the rows, so that rows added in between are not reported as missing.
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
    Ok(ChainSegment { first, last, violations })
}
