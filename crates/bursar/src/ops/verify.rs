//! The invariants: what must always hold, checked on the database as it is. The audit chain is walked from its first row.

use crate::store::{self, Db, audit, invariants};

/// One invariant and what breaks it.
#[derive(Clone, Debug)]
pub struct Invariant {
    /// Its number in the payment protocol.
    pub id: &'static str,
    /// What must hold.
    pub says: &'static str,
    /// How many things it was asked of.
    pub checked: i64,
    /// What breaks it: ids, at most a hundred.
    pub violations: Vec<String>,
}

impl Invariant {
    /// Nothing breaks it.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.violations.is_empty()
    }
}

/// How many audit rows are read at a time.
const PAGE: i64 = 5_000;

/// Checks every invariant the database can tell.
///
/// # Errors
/// When the database does not answer.
pub async fn all(db: &mut Db) -> store::Result<Vec<Invariant>> {
    let mut found = Vec::new();
    for rule in invariants::RULES {
        let (mut violations, checked) = invariants::check(db, rule).await?;
        violations.truncate(100);
        found.push(Invariant { id: rule.id, says: rule.says, checked, violations });
    }
    found.push(chain(db).await?);
    Ok(found)
}

/// The audit chain: every row follows from the one before it, without a gap.
///
/// # Errors
/// When the database does not answer.
pub async fn chain(db: &mut Db) -> store::Result<Invariant> {
    let (mut checked, mut previous, mut violations) = (0, String::new(), Vec::new());
    loop {
        let rows = audit::rows(db, checked, PAGE).await?;
        if rows.is_empty() {
            break;
        }
        for row in rows {
            checked += 1;
            if row.seq != checked || row.previous_hash != previous || row.computed_hash() != row.hash {
                violations.push(format!("audit row {}", row.seq));
                checked = row.seq;
            }
            previous = row.hash;
        }
    }
    violations.truncate(100);
    Ok(Invariant {
        id: "I22",
        says: "every change has its audit row and the chain verifies",
        checked,
        violations,
    })
}
